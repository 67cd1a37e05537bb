//! Finds tax codes of Italy: letters of the name, date of birth, place, check letter.

use super::{Detector, Form, Likeness, Method, Sight, Word};

pub(super) struct ItFiscalCode;

impl Detector for ItFiscalCode {
    fn name(&self) -> &'static str {
        "it_fiscal_code"
    }

    fn summary(&self) -> &'static str {
        "tax codes of Italy (codice fiscale)"
    }

    fn method(&self) -> Method {
        Method::Pseudonym(Form::Word)
    }

    fn sight(&self) -> Sight {
        Sight::Word { length: 16..=16, starts: |first| first.is_ascii_alphabetic(), look }
    }

    fn claims(&self) -> &'static [&'static str] {
        &["codice fiscale", "codicefiscale", "cod fiscale", "codfisc", "cf"]
    }

    fn is_checked(&self) -> bool {
        true
    }
}

fn look(seen: &Word<'_>) -> Option<(Likeness, usize)> {
    let code: [u8; 16] = seen.word().to_ascii_uppercase().as_bytes().try_into().ok()?;
    // Where two persons would have the same, digits are written as letters.
    let digit = |byte: u8| byte.is_ascii_digit() || b"LMNPQRSTUV".contains(&byte);
    let fits = code.iter().enumerate().all(|(place, byte)| match place {
        8 => b"ABCDEHLMPRST".contains(byte),
        0..=5 | 11 | 15 => byte.is_ascii_uppercase(),
        _ => digit(*byte),
    });
    let (last, head) = code.split_last()?;
    let sum: u32 = head.iter().enumerate().map(|(place, byte)| value(place, *byte)).sum();
    (fits && u32::from(*last) == u32::from(b'A') + sum % 26).then_some((Likeness::Certain, seen.end))
}

fn value(place: usize, byte: u8) -> u32 {
    /// Values at odd places, counted from one, of 0 to 9 and A to J alike, then of K to Z.
    const ODD: [u32; 26] =
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    let index = if byte.is_ascii_digit() { byte - b'0' } else { byte.saturating_sub(b'A') };
    if place.is_multiple_of(2) { ODD.get(usize::from(index)).copied().unwrap_or(0) } else { u32::from(index) }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn values() {
        check(&ItFiscalCode, "RSSMRA85T10A562S", Likeness::Certain);
        check(&ItFiscalCode, "RSSMRA85T10A562T", Likeness::No);
        check(&ItFiscalCode, "RSSMRA85T10A562", Likeness::No);
    }
}
