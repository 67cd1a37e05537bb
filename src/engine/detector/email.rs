//! Finds e-mail addresses.

use std::ops::Range;

use super::Detector;

pub(super) struct Email;

impl Detector for Email {
    fn name(&self) -> &'static str {
        "email"
    }

    fn summary(&self) -> &'static str {
        "e-mail addresses"
    }

    fn find(&self, text: &str, from: usize) -> Option<Range<usize>> {
        let bytes = text.as_bytes();
        let local = |b: &u8| b.is_ascii_alphanumeric() || b"._%+-".contains(b);
        let domain = |b: &u8| b.is_ascii_alphanumeric() || b".-".contains(b);
        let mut search = from;
        while let Some(at) = memchr::memchr(b'@', bytes.get(search..)?).map(|offset| offset + search) {
            let before = bytes.get(from..at)?.iter().rev().take_while(|b| local(b)).count();
            let after = bytes.get(at + 1..)?.iter().take_while(|b| domain(b)).count();
            let host = text.get(at + 1..at + 1 + after)?;
            if before > 0 && host.contains('.') && !host.ends_with('.') && !host.starts_with('.') {
                return Some(at - before..at + 1 + after);
            }
            search = at + 1;
        }
        None
    }
}
