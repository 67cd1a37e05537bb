//! The raw text of a statement, sealed: worthless once the key of its person and month has been destroyed.

use std::fmt;

use super::digest::Digest;

/// Which key a text is sealed under; chance, so that it says nothing about whose it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TextKeyId(pub(crate) [u8; 8]);

impl TextKeyId {
    /// The id written as 16 lower-case hexadecimal digits, the one way it is printed, or nothing.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let number = u64::from_str_radix(text, 16).ok()?;
        let id = Self(number.to_be_bytes());
        (id.to_string() == text).then_some(id)
    }
}

impl fmt::Display for TextKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TextKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A sealed text, and what a record says of it.
#[derive(Debug)]
pub(crate) struct SealedText {
    pub(crate) key: TextKeyId,
    /// SHA-256 of `bytes`: what records name it by.
    pub(crate) digest: Digest,
    pub(crate) bytes: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_ids_are_written_in_one_way() {
        let id = TextKeyId([0, 1, 2, 3, 0xfc, 0xfd, 0xfe, 0xff]);
        assert_eq!(id.to_string(), "00010203fcfdfeff");
        assert_eq!(TextKeyId::parse("00010203fcfdfeff"), Some(id));
        for wrong in ["", "10203fcfdfeff", "00010203FCFDFEFF", "+0010203fcfdfeff", "00010203fcfdfeff0"] {
            assert_eq!(TextKeyId::parse(wrong), None, "{wrong}");
        }
    }
}
