//! Finds resident identity numbers of China: place, date of birth, serial, check character.

use super::checksum::weighted;
use super::{Detector, Form, Likeness, Method, Sight, Word};

pub(super) struct CnResidentId;

impl Detector for CnResidentId {
    fn name(&self) -> &'static str {
        "cn_resident_id"
    }

    fn summary(&self) -> &'static str {
        "resident identity numbers of China"
    }

    fn method(&self) -> Method {
        Method::Pseudonym(Form::Word)
    }

    fn sight(&self) -> Sight {
        Sight::Word { length: 18..=18, starts: |first| first.is_ascii_digit(), look }
    }

    fn claims(&self) -> &'static [&'static str] {
        &["resident id", "id card number", "identity card number", "shenfenzheng", "sfz"]
    }

    fn is_checked(&self) -> bool {
        true
    }
}

fn look(seen: &Word<'_>) -> Option<(Likeness, usize)> {
    let code: [u8; 18] = seen.word().to_ascii_uppercase().as_bytes().try_into().ok()?;
    let (last, head) = code.split_last()?;
    let digits: Vec<u8> = head.iter().map(|byte| byte.wrapping_sub(b'0')).collect();
    let [_, _, _, _, _, _, century, century_units, _, _, month, month_units, day, day_units, ..] = digits.as_slice()
    else {
        return None;
    };
    let (month, day) =
        (month.wrapping_mul(10).wrapping_add(*month_units), day.wrapping_mul(10).wrapping_add(*day_units));
    let fits = digits.iter().all(|digit| *digit < 10)
        && matches!((century, century_units), (1, 8 | 9) | (2, 0))
        && (1..=12).contains(&month)
        && (1..=31).contains(&day);
    let sum = weighted(&digits, &[7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]);
    let expected = b"10X98765432".get(usize::try_from(sum % 11).ok()?)?;
    (fits && last == expected).then_some((Likeness::Certain, seen.end))
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn values() {
        check(&CnResidentId, "11010519491231002X", Likeness::Certain);
        check(&CnResidentId, "110105194912310021", Likeness::No);
    }
}
