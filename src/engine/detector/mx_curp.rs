//! Finds population codes of Mexico: letters of the name, date of birth, sex, state, check digit.

use super::{Detector, Form, Likeness, Method, Sight, Word};

pub(super) struct MxCurp;

impl Detector for MxCurp {
    fn name(&self) -> &'static str {
        "mx_curp"
    }

    fn summary(&self) -> &'static str {
        "population codes of Mexico (CURP)"
    }

    fn method(&self) -> Method {
        Method::Pseudonym(Form::Word)
    }

    fn sight(&self) -> Sight {
        Sight::Word { length: 18..=18, starts: |first| first.is_ascii_uppercase(), look }
    }

    fn claims(&self) -> &'static [&'static str] {
        &["curp", "clave unica"]
    }

    fn is_checked(&self) -> bool {
        true
    }
}

fn look(seen: &Word<'_>) -> Option<(Likeness, usize)> {
    const ORDER: &str = "0123456789ABCDEFGHIJKLMN\u{d1}OPQRSTUVWXYZ";
    let code: [u8; 18] = seen.word().as_bytes().try_into().ok()?;
    let fits = code.iter().enumerate().all(|(place, byte)| match place {
        4..=9 | 17 => byte.is_ascii_digit(),
        10 => b"HMX".contains(byte),
        16 => byte.is_ascii_alphanumeric(),
        _ => byte.is_ascii_uppercase(),
    });
    let sum = code.iter().take(17).enumerate().try_fold(0, |sum, (place, byte)| {
        let value = ORDER.chars().position(|letter| letter == char::from(*byte))?;
        Some(sum + value * (18 - place))
    })?;
    let last = usize::from(code.last()?.checked_sub(b'0')?);
    (fits && (10 - sum % 10) % 10 == last).then_some((Likeness::Certain, seen.end))
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn values() {
        check(&MxCurp, "HEGG560427MVZRRL04", Likeness::Certain);
        check(&MxCurp, "HEGG560427MVZRRL05", Likeness::No);
    }
}
