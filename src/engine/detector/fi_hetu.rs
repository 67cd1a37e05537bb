//! Finds identity codes of Finland: date of birth, century, serial, check character.

use super::{Detector, Form, Likeness, Method, Sight, Word};

pub(super) struct FiHetu;

impl Detector for FiHetu {
    fn name(&self) -> &'static str {
        "fi_hetu"
    }

    fn summary(&self) -> &'static str {
        "identity codes of Finland (henkilötunnus)"
    }

    fn method(&self) -> Method {
        Method::Pseudonym(Form::Word)
    }

    fn sight(&self) -> Sight {
        Sight::Word { length: 11..=11, starts: |first| first.is_ascii_digit(), look }
    }

    fn claims(&self) -> &'static [&'static str] {
        &["hetu", "henkilotunnus", "sotu"]
    }

    fn is_checked(&self) -> bool {
        true
    }
}

fn look(seen: &Word<'_>) -> Option<(Likeness, usize)> {
    let code: [u8; 11] = seen.word().as_bytes().try_into().ok()?;
    let [day, day_units, month, month_units, .., last] = code;
    let digits: Option<u32> =
        code.iter().take(10).enumerate().filter(|(place, _)| *place != 6).try_fold(0, |sum, (_, byte)| {
            let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
            Some(sum * 10 + u32::from(digit))
        });
    let century = code.get(6).is_some_and(|sign| b"+-ABCDEFYXWVU".contains(sign));
    let two = |tens: u8, units: u8| tens.wrapping_sub(b'0').wrapping_mul(10).wrapping_add(units.wrapping_sub(b'0'));
    let fits = century && (1..=31).contains(&two(day, day_units)) && (1..=12).contains(&two(month, month_units));
    let expected = b"0123456789ABCDEFHJKLMNPRSTUVWXY".get(usize::try_from(digits? % 31).ok()?)?;
    (fits && last == *expected).then_some((Likeness::Certain, seen.end))
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn values() {
        check(&FiHetu, "131052-308T", Likeness::Certain);
        check(&FiHetu, "131052-308U", Likeness::No);
        check(&FiHetu, "131352-308T", Likeness::No);
    }
}
