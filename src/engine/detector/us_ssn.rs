//! Finds social security numbers of the United States: no check digit, but area, group and serial are never zero.

use super::{Detector, Digits, Form, Likeness, Method, Sight};

pub(super) struct UsSsn;

impl Detector for UsSsn {
    fn name(&self) -> &'static str {
        "us_ssn"
    }

    fn summary(&self) -> &'static str {
        "social security numbers of the United States"
    }

    fn method(&self) -> Method {
        Method::Pseudonym(Form::Word)
    }

    fn sight(&self) -> Sight {
        Sight::Digits { count: 9..=9, look }
    }

    fn claims(&self) -> &'static [&'static str] {
        &["ssn", "social security", "social security number", "social security no", "soc sec", "ssn last 4", "itin"]
    }
}

fn look(seen: &Digits<'_>) -> Likeness {
    let [a, b, c, d, e, serial @ ..] = seen.digits else { return Likeness::No };
    let area = u32::from(*a) * 100 + u32::from(*b) * 10 + u32::from(*c);
    let fits = serial.len() == 4 && area != 0 && area != 666 && (*d, *e) != (0, 0) && serial.iter().any(|n| *n != 0);
    if !fits {
        return Likeness::No;
    }
    let is_grouped = seen.text.split(['-', ' ']).map(str::len).eq([3, 2, 4]);
    match (is_grouped, seen.text.len()) {
        (true, _) => Likeness::Certain,
        (false, 9) => Likeness::Possible,
        (false, _) => Likeness::No,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn numbers() {
        check(&UsSsn, "536-22-8571", Likeness::Certain);
        check(&UsSsn, "536228571", Likeness::Possible);
        check(&UsSsn, "000-22-8571", Likeness::No);
        check(&UsSsn, "666-22-8571", Likeness::No);
        check(&UsSsn, "536-00-8571", Likeness::No);
        check(&UsSsn, "536-22-0000", Likeness::No);
        check(&UsSsn, "53-622-8571", Likeness::No);
    }
}
