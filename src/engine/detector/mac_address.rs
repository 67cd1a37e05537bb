//! Finds addresses of network hardware.

use std::ops::Range;

use super::{Detector, Method, Sight};

pub(super) struct MacAddress;

impl Detector for MacAddress {
    fn name(&self) -> &'static str {
        "mac_address"
    }

    fn summary(&self) -> &'static str {
        "addresses of network hardware"
    }

    fn method(&self) -> Method {
        Method::Coarsen
    }

    fn sight(&self) -> Sight {
        Sight::Text { signs: ":::::", find }
    }

    fn claims(&self) -> &'static [&'static str] {
        &["mac", "mac address", "macaddress", "mac addr", "hardware address", "wifi mac", "device mac"]
    }
}

fn find(text: &str, from: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let mut search = from;
    while let Some(colon) = memchr::memchr(b':', bytes.get(search..)?).map(|at| at + search) {
        let start = colon.checked_sub(2).filter(|start| *start >= from);
        let candidate = start.and_then(|start| Some((start, bytes.get(start..start + LENGTH)?)));
        if let Some((start, candidate)) = candidate {
            let fits = candidate.iter().enumerate().all(|(place, byte)| match place % 3 {
                2 => *byte == b':',
                _ => byte.is_ascii_hexdigit(),
            });
            let touches = |at: Option<usize>| {
                at.and_then(|at| bytes.get(at)).is_some_and(|byte| byte.is_ascii_hexdigit() || *byte == b':')
            };
            if fits && !touches(start.checked_sub(1)) && !touches(start.checked_add(LENGTH)) {
                return Some(start..start + LENGTH);
            }
        }
        search = colon + 1;
    }
    None
}

/// Six pairs and the signs between them.
const LENGTH: usize = 17;

#[cfg(test)]
mod tests {
    use super::super::Likeness;
    use super::super::tests::check;
    use super::*;

    #[test]
    fn values() {
        check(&MacAddress, "00:1b:44:11:3a:b7", Likeness::Certain);
        check(&MacAddress, "00:1b:44:11:3a", Likeness::No);
        check(&MacAddress, "00:1b:44:11:3a:b7:00", Likeness::No);
        check(&MacAddress, "12:30:00", Likeness::No);
    }
}
