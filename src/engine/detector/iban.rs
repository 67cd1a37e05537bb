//! Finds international bank account numbers (ISO 13616): country, length, remainder modulo 97.

use super::checksum::mod_97;
use super::{Detector, Form, Likeness, Method, Sight, Word};

pub(super) struct Iban;

impl Detector for Iban {
    fn name(&self) -> &'static str {
        "iban"
    }

    fn summary(&self) -> &'static str {
        "international bank account numbers"
    }

    fn method(&self) -> Method {
        Method::Pseudonym(Form::Word)
    }

    fn sight(&self) -> Sight {
        Sight::Word { length: 4..=usize::MAX, starts: |first| first.is_ascii_alphabetic(), look }
    }

    fn is_checked(&self) -> bool {
        true
    }

    fn claims(&self) -> &'static [&'static str] {
        &["iban", "bank account", "account iban", "kontonummer", "bankverbindung", "compte bancaire", "cuenta bancaria"]
    }
}

/// Longest IBAN that the standard allows.
const LENGTH_MAX: usize = 34;

fn look(seen: &Word<'_>) -> Option<(Likeness, usize)> {
    let rest = seen.text.get(seen.start..)?.as_bytes();
    let [a, b, c, d, ..] = rest else { return None };
    let is_start = a.is_ascii_alphabetic() && b.is_ascii_alphabetic() && c.is_ascii_digit() && d.is_ascii_digit();
    let length = is_start.then(|| length(&[a.to_ascii_uppercase(), b.to_ascii_uppercase()])).flatten()?;
    // In one piece, or in groups with one sign between.
    let mut compact = [0; LENGTH_MAX];
    let mut filled = 0;
    let mut end = 0;
    let mut previous = b' ';
    for (index, byte) in rest.iter().enumerate() {
        let separates = matches!(byte, b' ' | b'-') && previous.is_ascii_alphanumeric();
        if filled == length || !(byte.is_ascii_alphanumeric() || separates) {
            break;
        }
        if let Some(place) = compact.get_mut(filled).filter(|_| !separates) {
            *place = *byte;
            filled += 1;
            end = index + 1;
        }
        previous = *byte;
    }
    let goes_on = rest.get(end).is_some_and(u8::is_ascii_alphanumeric);
    let (head, body) = compact.get(..filled).filter(|_| filled == length && !goes_on)?.split_at_checked(4)?;
    let good = mod_97(body.iter().chain(head).copied()) == Some(1);
    good.then_some((Likeness::Certain, seen.start + end))
}

/// How long the numbers of a country are (SWIFT IBAN registry, release 99).
fn length(country: &[u8; 2]) -> Option<usize> {
    let length = match country {
        b"NO" => 15,
        b"BE" => 16,
        b"DK" | b"FI" | b"FO" | b"GL" | b"NL" | b"SD" | b"FK" => 18,
        b"MK" | b"SI" => 19,
        b"AT" | b"BA" | b"EE" | b"KZ" | b"LT" | b"LU" | b"XK" | b"MN" => 20,
        b"CH" | b"CR" | b"HR" | b"LI" | b"LV" => 21,
        b"BG" | b"BH" | b"DE" | b"GB" | b"GE" | b"IE" | b"ME" | b"RS" | b"VA" => 22,
        b"AE" | b"GI" | b"IL" | b"IQ" | b"TL" | b"SO" | b"OM" => 23,
        b"AD" | b"CZ" | b"ES" | b"MD" | b"PK" | b"RO" | b"SA" | b"SE" | b"SK" | b"TN" | b"VG" => 24,
        b"LY" | b"PT" | b"ST" => 25,
        b"IS" | b"TR" => 26,
        b"BI" | b"DJ" | b"FR" | b"GR" | b"IT" | b"MC" | b"MR" | b"SM" => 27,
        b"AL" | b"AZ" | b"BY" | b"CY" | b"DO" | b"GT" | b"HU" | b"LB" | b"NI" | b"PL" | b"SV" => 28,
        b"BR" | b"EG" | b"PS" | b"QA" | b"UA" => 29,
        b"JO" | b"KW" | b"MU" | b"YE" => 30,
        b"MT" | b"SC" => 31,
        b"LC" => 32,
        b"RU" => 33,
        _ => return None,
    };
    Some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let check = |text: &str, expected: Option<&str>| {
            let end = text.find(' ').unwrap_or(text.len());
            let found = look(&Word { text, start: 0, end }).map(|(_, end)| text.get(..end).unwrap());
            assert_eq!(found, expected, "{text}");
        };
        check("DE89370400440532013000", Some("DE89370400440532013000"));
        check("GB29 NWBK 6016 1331 9268 19", Some("GB29 NWBK 6016 1331 9268 19"));
        check("GB29 NWBK 6016 1331 9268 19 please", Some("GB29 NWBK 6016 1331 9268 19"));
        check("NO9386011117947", Some("NO9386011117947"));
        check("DE89370400440532013001", None);
        check("DE8937040044053201300", None);
        check("DE893704004405320130001", None);
        check("XX89370400440532013000", None);
    }
}
