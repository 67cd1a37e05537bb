//! Finds identity numbers of Spain: up to eight digits and a letter that follows from them.

use super::{Detector, Form, Likeness, Method, Sight, Word};

pub(super) struct EsDni;

impl Detector for EsDni {
    fn name(&self) -> &'static str {
        "es_dni"
    }

    fn summary(&self) -> &'static str {
        "identity numbers of Spain (DNI and NIE)"
    }

    fn method(&self) -> Method {
        Method::Pseudonym(Form::Word)
    }

    fn sight(&self) -> Sight {
        Sight::Word {
            length: 9..=usize::MAX,
            starts: |first| first.is_ascii_digit() || b"XYZxyz-".contains(&first),
            look,
        }
    }

    fn claims(&self) -> &'static [&'static str] {
        &["dni", "nie", "nif", "dni nie", "numero dni", "documento identidad"]
    }

    fn is_checked(&self) -> bool {
        true
    }
}

fn look(seen: &Word<'_>) -> Option<(Likeness, usize)> {
    let word = seen.word();
    if !word.ends_with(|last: char| last.is_ascii_alphabetic()) {
        return None;
    }
    let plain: Vec<u8> = word.bytes().filter(|byte| *byte != b'-').map(|byte| byte.to_ascii_uppercase()).collect();
    let (letter, head) = plain.split_last().filter(|(_, head)| head.len() == 8)?;
    let lead = match head.first()? {
        b'X' => 0,
        b'Y' => 1,
        b'Z' => 2,
        digit => u32::from(digit.checked_sub(b'0').filter(|digit| *digit < 10)?),
    };
    let number = head.iter().skip(1).try_fold(lead, |sum, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        Some(sum * 10 + u32::from(digit))
    })?;
    let expected = b"TRWAGMYFPDXBNJZSQVHLCKE".get(usize::try_from(number % 23).ok()?)?;
    (letter == expected).then_some((Likeness::Certain, seen.end))
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn values() {
        check(&EsDni, "12345678Z", Likeness::Certain);
        check(&EsDni, "X1234567L", Likeness::Certain);
        check(&EsDni, "12345678-Z", Likeness::Certain);
        check(&EsDni, "12345678A", Likeness::No);
        check(&EsDni, "1234567Z", Likeness::No);
    }
}
