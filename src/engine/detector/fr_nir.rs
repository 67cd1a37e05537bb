//! Finds social security numbers of France: sex, year, month, place, and a remainder modulo 97.

use super::checksum::number;
use super::{Detector, Digits, Form, Likeness, Method, Sight};

pub(super) struct FrNir;

impl Detector for FrNir {
    fn name(&self) -> &'static str {
        "fr_nir"
    }

    fn summary(&self) -> &'static str {
        "social security numbers of France (NIR)"
    }

    fn method(&self) -> Method {
        Method::Pseudonym(Form::Word)
    }

    fn sight(&self) -> Sight {
        Sight::Digits { count: 15..=15, look }
    }

    fn claims(&self) -> &'static [&'static str] {
        &["nir", "numero securite sociale", "securite sociale", "num secu", "numero secu", "insee", "no secu"]
    }

    fn is_checked(&self) -> bool {
        true
    }
}

fn look(seen: &Digits<'_>) -> Likeness {
    let Some((head, key)) = seen.digits.split_at_checked(13).filter(|(_, key)| key.len() == 2) else {
        return Likeness::No;
    };
    let [sex, _, _, month, month_units, ..] = head else { return Likeness::No };
    let month = month * 10 + month_units;
    // Months above 12 stand for births whose month is not known.
    let fits = matches!(sex, 1..=4 | 7 | 8) && matches!(month, 1..=12 | 20..=42 | 50..=99);
    let good = fits && number(key) == 97 - number(head) % 97;
    if good { Likeness::Certain } else { Likeness::No }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn values() {
        check(&FrNir, "2 55 08 14 168 025 38", Likeness::Certain);
        check(&FrNir, "255081416802538", Likeness::Certain);
        check(&FrNir, "255081416802539", Likeness::No);
    }
}
