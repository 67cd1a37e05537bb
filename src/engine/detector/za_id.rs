//! Finds identity numbers of South Africa: date of birth, sex, citizenship, check digit by Luhn.

use super::checksum::luhn;
use super::{Detector, Digits, Form, Likeness, Method, Sight};

pub(super) struct ZaId;

impl Detector for ZaId {
    fn name(&self) -> &'static str {
        "za_id"
    }

    fn summary(&self) -> &'static str {
        "identity numbers of South Africa"
    }

    fn method(&self) -> Method {
        Method::Pseudonym(Form::Word)
    }

    fn sight(&self) -> Sight {
        Sight::Digits { count: 13..=13, look }
    }

    fn claims(&self) -> &'static [&'static str] {
        &["sa id", "sa id number", "za id", "said number"]
    }

    fn is_checked(&self) -> bool {
        true
    }
}

fn look(seen: &Digits<'_>) -> Likeness {
    let [_, _, month, month_units, day, day_units, .., citizen, _, _] = seen.digits else { return Likeness::No };
    let (month, day) = (month * 10 + month_units, day * 10 + day_units);
    let fits = seen.digits.len() == 13 && (1..=12).contains(&month) && (1..=31).contains(&day) && *citizen <= 2;
    if fits && luhn(seen.digits) { Likeness::Possible } else { Likeness::No }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn values() {
        check(&ZaId, "8001015009087", Likeness::Possible);
        check(&ZaId, "8001015009088", Likeness::No);
        check(&ZaId, "8013015009087", Likeness::No);
    }
}
