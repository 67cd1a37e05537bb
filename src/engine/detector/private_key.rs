//! Finds private keys in their usual armour.

use std::ops::Range;

use super::{Detector, Method, Sight};

pub(super) struct PrivateKey;

impl Detector for PrivateKey {
    fn name(&self) -> &'static str {
        "private_key"
    }

    fn summary(&self) -> &'static str {
        "private keys"
    }

    fn method(&self) -> Method {
        Method::Redact
    }

    fn sight(&self) -> Sight {
        Sight::Text { signs: "-----", find }
    }

    fn claims(&self) -> &'static [&'static str] {
        &["private key pem", "pem", "ssh private key", "rsa private key", "tls key", "key pem", "privkey"]
    }
}

fn find(text: &str, from: usize) -> Option<Range<usize>> {
    let start = from + text.get(from..)?.find("-----BEGIN ")?;
    let line = text.get(start..)?.split_once("-----BEGIN ")?.1.split("-----").next()?;
    if !line.ends_with("PRIVATE KEY") && !line.ends_with("PRIVATE KEY BLOCK") {
        return find(text, start + 1);
    }
    // Cut short or not: what follows the beginning is the key.
    let end = text.get(start..)?.find("-----END ").and_then(|at| {
        let tail = start + at + "-----END ".len();
        Some(tail + text.get(tail..)?.find("-----")? + 5)
    });
    Some(start..end.unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::super::Likeness;
    use super::super::tests::check;
    use super::*;

    #[test]
    fn values() {
        check(&PrivateKey, "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", Likeness::Certain);
        check(&PrivateKey, "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl", Likeness::Certain);
        check(&PrivateKey, "-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----", Likeness::No);
    }
}
