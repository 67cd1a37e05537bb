//! Finds addresses of machines on the internet, of the sixth version.

use std::ops::Range;

use super::{Detector, Method, Sight};

pub(super) struct Ipv6Address;

impl Detector for Ipv6Address {
    fn name(&self) -> &'static str {
        "ipv6_address"
    }

    fn summary(&self) -> &'static str {
        "internet addresses of machines, version 6"
    }

    fn method(&self) -> Method {
        Method::Coarsen
    }

    fn sight(&self) -> Sight {
        Sight::Text { signs: "::", find }
    }

    fn claims(&self) -> &'static [&'static str] {
        &["ipv 6", "ipv 6 address"]
    }
}

fn find(text: &str, from: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let belongs = |byte: u8| byte.is_ascii_hexdigit() || byte == b':';
    let mut search = from;
    while let Some(colon) = memchr::memchr(b':', bytes.get(search..)?).map(|at| at + search) {
        let before = bytes.get(search..colon)?.iter().rev().take_while(|byte| belongs(**byte)).count();
        let after = bytes.get(colon..)?.iter().take_while(|byte| belongs(**byte)).count();
        let range = colon - before..colon + after;
        let candidate = text.get(range.clone())?;
        // Eight parts, or fewer with a gap: times have neither.
        let colons = candidate.bytes().filter(|byte| *byte == b':').count();
        let has_gap = candidate.as_bytes().windows(2).any(|pair| pair == b"::");
        let is_shaped = colons == 7 || has_gap;
        let parsed = is_shaped
            .then(|| candidate.parse().ok())
            .flatten()
            .filter(|address: &std::net::Ipv6Addr| address.segments().iter().filter(|part| **part != 0).count() > 1);
        let touches = colon.checked_sub(before + 1).and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_alphanumeric);
        if parsed.is_some() && candidate.len() > 6 && !touches {
            return Some(range);
        }
        search = colon + after;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::Likeness;
    use super::super::tests::check;
    use super::*;

    #[test]
    fn values() {
        check(&Ipv6Address, "2001:db8::17", Likeness::Certain);
        check(&Ipv6Address, "fe80::1ff:fe23:4567:890a", Likeness::Certain);
        check(&Ipv6Address, "12:30:00", Likeness::No);
        check(&Ipv6Address, "::1", Likeness::No);
        check(&Ipv6Address, "a::b", Likeness::No);
    }
}
