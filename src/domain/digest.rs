//! A SHA-256 value, as data: compared and printed, computed elsewhere.

use std::fmt;

/// 32 bytes of SHA-256 (FIPS 180-4), printed as lower-case hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Digest(pub(crate) [u8; 32]);

impl Digest {
    /// In place of the digest of what was not read. Nobody finds bytes that have it.
    pub(crate) const UNREAD: Self = Self([0; 32]);

    /// What a hash function gave: all of it, where it gave 32 bytes.
    pub(crate) fn of_hash(bytes: &[u8]) -> Self {
        let mut out = [0u8; 32];
        out.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        Self(out)
    }

    /// The value written as 64 lower-case hexadecimal digits, the one way it is printed, or nothing.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut out = [0u8; 32];
        if text.len() != 64 || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        for (byte, pair) in out.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).ok()?;
            *byte = u8::from_str_radix(pair, 16).ok()?;
        }
        Some(Self(out))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips() {
        let digest = Digest([0xab; 32]);
        assert_eq!(Digest::parse(&digest.to_string()), Some(digest));
        assert_eq!(Digest::parse("ab"), None);
        assert_eq!(Digest::parse(&"zz".repeat(32)), None);
        assert_eq!(Digest::parse(&"AB".repeat(32)), None);
        assert_eq!(Digest::parse(&"+b".repeat(32)), None);
        assert_eq!(Digest::parse(&"é".repeat(32)), None);
    }
}
