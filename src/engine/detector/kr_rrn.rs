//! Finds resident registration numbers of Korea: date of birth, sex, serial, check digit.

use super::checksum::weighted;
use super::{Detector, Digits, Form, Likeness, Method, Sight};

pub(super) struct KrRrn;

impl Detector for KrRrn {
    fn name(&self) -> &'static str {
        "kr_rrn"
    }

    fn summary(&self) -> &'static str {
        "resident registration numbers of Korea"
    }

    fn method(&self) -> Method {
        Method::Pseudonym(Form::Word)
    }

    fn sight(&self) -> Sight {
        Sight::Digits { count: 13..=13, look }
    }

    fn claims(&self) -> &'static [&'static str] {
        &["rrn", "resident registration number", "jumin", "jumin number"]
    }

    fn is_checked(&self) -> bool {
        true
    }
}

fn look(seen: &Digits<'_>) -> Likeness {
    let [_, _, month, month_units, day, day_units, sex, .., last] = seen.digits else { return Likeness::No };
    let (month, day) = (month * 10 + month_units, day * 10 + day_units);
    let fits = seen.digits.len() == 13 && (1..=12).contains(&month) && (1..=31).contains(&day) && (1..=8).contains(sex);
    let sum = weighted(seen.digits, &[2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5]);
    if !fits || (11 - sum % 11) % 10 != u32::from(*last) {
        return Likeness::No;
    }
    let is_printed = seen.text.split('-').map(str::len).eq([6, 7]);
    if is_printed { Likeness::Certain } else { Likeness::Possible }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn values() {
        check(&KrRrn, "900101-1234568", Likeness::Certain);
        check(&KrRrn, "900101-1234567", Likeness::No);
    }
}
