//! Finds telephone numbers: international ones, and national ones as they are written.

use super::{Detector, Digits, Form, Likeness, Method, Sight};

pub(super) struct Phone;

impl Detector for Phone {
    fn name(&self) -> &'static str {
        "phone"
    }

    fn summary(&self) -> &'static str {
        "telephone numbers"
    }

    fn method(&self) -> Method {
        Method::Pseudonym(Form::Phone)
    }

    fn sight(&self) -> Sight {
        Sight::Digits { count: 7..=17, look }
    }

    fn claims(&self) -> &'static [&'static str] {
        &[
            "phone",
            "phones",
            "phone number",
            "phone no",
            "telephone",
            "telephone number",
            "tel",
            "tel no",
            "mobile",
            "mobile number",
            "mobile no",
            "cell",
            "cell phone",
            "cellphone",
            "cellular",
            "fax",
            "fax number",
            "msisdn",
            "telefon",
            "telefonnummer",
            "telefonnr",
            "handy",
            "handynummer",
            "telefono",
            "movil",
            "celular",
            "telefone",
            "telemovel",
            "portable",
            "numero telephone",
            "mobil",
            "mobilnummer",
            "tlf",
            "telefoon",
            "telefoonnummer",
            "gsm",
            "puhelin",
            "puhelinnumero",
            "whatsapp",
            "contact number",
            "work phone",
            "home phone",
            "mobil nr",
            "cellulare",
        ]
    }
}

fn look(seen: &Digits<'_>) -> Likeness {
    let count = seen.digits.len();
    // E.164: at most 15 digits with the country code; no country's numbers are shorter than 7.
    if let Some(rest) = seen.text.strip_prefix('+').or_else(|| seen.text.strip_prefix("(+")) {
        let fits = (7..=15).contains(&count) && !rest.starts_with(['0', ' ', '-', '.']);
        return if fits { Likeness::Certain } else { Likeness::No };
    }
    if let Some(code) = seen.digits.strip_prefix(&[0, 0]) {
        let fits = (9..=15).contains(&code.len()) && !code.starts_with(&[0]);
        return if fits { Likeness::Possible } else { Likeness::No };
    }
    let is_sign = |byte: &u8| matches!(byte, b' ' | b'-' | b'.' | b'(' | b')' | b'/');
    let groups = seen.text.as_bytes().split(is_sign).filter(|group| !group.is_empty());
    let first = groups.clone().next().unwrap_or_default();
    // North America: (212) 555-0123, 212-555-0123, 1-212-555-0123; area codes and exchanges begin with 2 to 9.
    let american = (10..=11).contains(&count) && matches!(first.len(), 1 | 3) && {
        let country = usize::from(first == b"1");
        let here = groups.clone().skip(country);
        let begins = |group: &[u8]| matches!(group.first(), Some(b'2'..=b'9'));
        here.clone().map(<[u8]>::len).eq([3, 3, 4]) && here.take(2).all(begins)
    };
    // Elsewhere national numbers are written with a leading zero and in groups.
    let national =
        seen.digits.first() == Some(&0) && (9..=11).contains(&count) && (2..=6).contains(&groups.clone().count());
    // And in pairs and threes where a trunk prefix is not used.
    let paired = (8..=10).contains(&count)
        && groups.clone().all(|group| matches!(group.len(), 2 | 3))
        && groups.clone().count() >= 4;
    match (american || paired, national) {
        (true, _) => Likeness::Likely,
        (_, true) if first.len() >= 2 => Likeness::Likely,
        (_, _) if (7..=12).contains(&count) => Likeness::Possible,
        (_, _) => Likeness::No,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn numbers() {
        check(&Phone, "+47 22 12 34 56", Likeness::Certain);
        check(&Phone, "+14155550123", Likeness::Certain);
        check(&Phone, "(212) 555-0123", Likeness::Likely);
        check(&Phone, "1-212-555-0123", Likeness::Likely);
        check(&Phone, "030 123456-78", Likeness::Likely);
        check(&Phone, "06 12 34 56 78", Likeness::Likely);
        check(&Phone, "22123456", Likeness::Possible);
        check(&Phone, "94-066-73-93", Likeness::Likely);
        check(&Phone, "+0123456789", Likeness::No);
        check(&Phone, "+1234567890123456", Likeness::No);
        check(&Phone, "112-155-0123", Likeness::Possible);
    }
}
