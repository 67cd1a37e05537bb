//! Finds identity numbers of Poland: date of birth, serial, check digit.

use super::checksum::weighted;
use super::{Detector, Digits, Form, Likeness, Method, Sight};

pub(super) struct PlPesel;

impl Detector for PlPesel {
    fn name(&self) -> &'static str {
        "pl_pesel"
    }

    fn summary(&self) -> &'static str {
        "identity numbers of Poland (PESEL)"
    }

    fn method(&self) -> Method {
        Method::Pseudonym(Form::Word)
    }

    fn sight(&self) -> Sight {
        Sight::Digits { count: 11..=11, look }
    }

    fn claims(&self) -> &'static [&'static str] {
        &["pesel", "numer pesel", "nr pesel"]
    }

    fn is_checked(&self) -> bool {
        true
    }
}

fn look(seen: &Digits<'_>) -> Likeness {
    let [_, _, month, month_units, day, day_units, .., last] = seen.digits else { return Likeness::No };
    // The century is added to the month.
    let (month, day) = ((month * 10 + month_units) % 20, day * 10 + day_units);
    let fits = seen.digits.len() == 11 && (1..=12).contains(&month) && (1..=31).contains(&day);
    let good = fits && (10 - weighted(seen.digits, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3]) % 10) % 10 == u32::from(*last);
    if good && seen.text.len() == 11 { Likeness::Likely } else { Likeness::No }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn values() {
        check(&PlPesel, "44051401359", Likeness::Likely);
        check(&PlPesel, "44051401358", Likeness::No);
        check(&PlPesel, "44991401359", Likeness::No);
    }
}
