//! Finds addresses of machines on the internet.

use super::{Detector, Likeness, Method, Sight, Word};

pub(super) struct IpAddress;

impl Detector for IpAddress {
    fn name(&self) -> &'static str {
        "ip_address"
    }

    fn summary(&self) -> &'static str {
        "internet addresses of machines"
    }

    fn method(&self) -> Method {
        Method::Coarsen
    }

    fn sight(&self) -> Sight {
        Sight::Word { length: 7..=15, starts: |first| first.is_ascii_digit(), look }
    }

    fn claims(&self) -> &'static [&'static str] {
        &[
            "ip",
            "ip address",
            "ipaddress",
            "ip addr",
            "client ip",
            "remote ip",
            "remote addr",
            "remote address",
            "source ip",
            "user ip",
            "last ip",
            "login ip",
            "last login ip",
            "current sign in ip",
            "last sign in ip",
            "ipv 4",
            "adresse ip",
            "direccion ip",
            "ip adresse",
        ]
    }
}

fn look(seen: &Word<'_>) -> Option<(Likeness, usize)> {
    let address: std::net::Ipv4Addr = seen.word().parse().ok()?;
    let [first, second, third, fourth] = address.octets();
    // A network, or a version with four parts.
    let is_range = seen.text.as_bytes().get(seen.end) == Some(&b'/') || fourth == 0;
    let is_version = first < 10 && second < 32 && third < 32 && fourth < 100;
    let means_nobody = address.is_loopback() || address.is_unspecified() || address.is_broadcast();
    if is_range || is_version || means_nobody {
        return None;
    }
    // Every network has a 10.0.0.1.
    Some((if address.is_private() { Likeness::Possible } else { Likeness::Likely }, seen.end))
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn values() {
        check(&IpAddress, "203.0.113.77", Likeness::Likely);
        check(&IpAddress, "203.0.113.0", Likeness::No);
        check(&IpAddress, "1.4.2.17", Likeness::No);
        check(&IpAddress, "127.0.0.1", Likeness::No);
        check(&IpAddress, "10.0.0.1", Likeness::Possible);
        check(&IpAddress, "203.0.113.77/24", Likeness::No);
    }
}
