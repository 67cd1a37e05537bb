//! Finds taxpayer numbers of India: five letters, of which the fourth says who, four digits, a letter.

use super::{Detector, Form, Likeness, Method, Sight, Word};

pub(super) struct InPan;

impl Detector for InPan {
    fn name(&self) -> &'static str {
        "in_pan"
    }

    fn summary(&self) -> &'static str {
        "taxpayer numbers of India (PAN)"
    }

    fn method(&self) -> Method {
        Method::Pseudonym(Form::Word)
    }

    fn sight(&self) -> Sight {
        Sight::Word { length: 10..=10, starts: |first| first.is_ascii_uppercase(), look }
    }

    fn claims(&self) -> &'static [&'static str] {
        &["pan number", "pan no", "pan card", "permanent account number"]
    }
}

fn look(seen: &Word<'_>) -> Option<(Likeness, usize)> {
    let code: [u8; 10] = seen.word().as_bytes().try_into().ok()?;
    let fits = code.iter().enumerate().all(|(place, byte)| match place {
        3 => b"PCHFATBLJG".contains(byte),
        5..=8 => byte.is_ascii_digit(),
        _ => byte.is_ascii_uppercase(),
    });
    fits.then_some((Likeness::Likely, seen.end))
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn values() {
        check(&InPan, "ABCPE1234F", Likeness::Likely);
        check(&InPan, "ABCXE1234F", Likeness::No);
        check(&InPan, "abcpe1234f", Likeness::No);
    }
}
