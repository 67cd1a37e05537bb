//! Finds e-mail addresses.

use std::ops::Range;

use super::{Detector, Form, Method, Sight};

pub(super) struct Email;

impl Detector for Email {
    fn name(&self) -> &'static str {
        "email"
    }

    fn summary(&self) -> &'static str {
        "e-mail addresses"
    }

    fn method(&self) -> Method {
        Method::Pseudonym(Form::Email)
    }

    fn sight(&self) -> Sight {
        Sight::Text { signs: "@", find }
    }

    fn claims(&self) -> &'static [&'static str] {
        &[
            "email",
            "emails",
            "e mail",
            "mail",
            "email address",
            "mail address",
            "emailadresse",
            "correo",
            "courriel",
            "adresse mail",
            "epost",
            "e post",
            "posta",
            "eposta",
            "sahkoposti",
            "mailadresse",
        ]
    }
}

fn find(text: &str, from: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    // Addresses may be written in any script (RFC 6531); the signs are those people use (RFC 5321 section 4.1.2).
    let local = |b: &u8| b.is_ascii_alphanumeric() || !b.is_ascii() || b"._%+-'!#$&?^~".contains(b);
    let domain = |b: &u8| b.is_ascii_alphanumeric() || !b.is_ascii() || b".-".contains(b);
    let mut search = from;
    while let Some(at) = memchr::memchr(b'@', bytes.get(search..)?).map(|offset| offset + search) {
        let before = bytes.get(from..at)?.iter().rev().take_while(|b| local(b)).count();
        // What stands before an address is not a part of it: quotes and full stops.
        let lead = bytes.get(at - before..at)?.iter().take_while(|b| b"'.".contains(b)).count();
        let after = bytes.get(at + 1..)?.iter().take_while(|b| domain(b)).count();
        let host = bytes.get(at + 1..at + 1 + after)?;
        let trail = host.iter().rev().take_while(|b| b".-".contains(b)).count();
        let host = host.get(..after - trail)?;
        let top = host.rsplit(|b| *b == b'.').next().unwrap_or_default();
        let is_host = host.contains(&b'.') && !host.starts_with(b".") && top.len() >= 2;
        if before > lead && is_host && !top.iter().all(u8::is_ascii_digit) {
            return Some(at - before + lead..at + 1 + after - trail);
        }
        search = at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(find(text, 0).map(|range| text.get(range).unwrap()), expected, "{text}");
        };
        check("ada@example.com", Some("ada@example.com"));
        check("to <ada.b+c@mail.example.co.uk>.", Some("ada.b+c@mail.example.co.uk"));
        check("jürgen@exämple.de, x", Some("jürgen@exämple.de"));
        check("mail='ada@example.com'", Some("ada@example.com"));
        check("ada@example.com.", Some("ada@example.com"));
        check("@handle and me@host and a@1.2", None);
        check("a @ b.com", None);
        check("x@y.z", None);
    }
}
