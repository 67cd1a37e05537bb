//! A public key, as data: compared and printed, used elsewhere.

use std::fmt;

/// An Ed25519 public key (RFC 8032), printed as lower-case hexadecimal. It is its own name: records say which key
/// signed them by the key itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct PublicKey(pub(crate) [u8; 32]);

impl PublicKey {
    /// The value written as 64 hexadecimal digits, or nothing.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        super::Digest::parse(text).map(|same_shape| Self(same_shape.0))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
