//! Finds identity numbers of Norway: date of birth, serial, two check digits.

use super::checksum::weighted;
use super::{Detector, Digits, Form, Likeness, Method, Sight};

pub(super) struct NoFodselsnummer;

impl Detector for NoFodselsnummer {
    fn name(&self) -> &'static str {
        "no_fodselsnummer"
    }

    fn summary(&self) -> &'static str {
        "identity numbers of Norway (fødselsnummer)"
    }

    fn method(&self) -> Method {
        Method::Pseudonym(Form::Word)
    }

    fn sight(&self) -> Sight {
        Sight::Digits { count: 11..=11, look }
    }

    fn claims(&self) -> &'static [&'static str] {
        &["fodselsnummer", "fodselsnr", "fodsels nummer", "fnr", "personnummer no"]
    }

    fn is_checked(&self) -> bool {
        true
    }
}

fn look(seen: &Digits<'_>) -> Likeness {
    let [day, day_units, month, month_units, .., first, second] = seen.digits else { return Likeness::No };
    let (day, month) = (day * 10 + day_units, month * 10 + month_units);
    // D-numbers have 40 added to the day, numbers for tests 40 or 80 to the month.
    let fits = seen.digits.len() == 11 && matches!(day, 1..=31 | 41..=71) && (1..=12).contains(&(month % 40));
    let digit = |weights: &[u32]| (11 - weighted(seen.digits, weights) % 11) % 11;
    let good = fits
        && u32::from(*first) == digit(&[3, 7, 6, 1, 8, 9, 4, 5, 2])
        && u32::from(*second) == digit(&[5, 4, 3, 2, 7, 6, 5, 4, 3, 2]);
    if good { Likeness::Certain } else { Likeness::No }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn values() {
        check(&NoFodselsnummer, "01129910042", Likeness::Certain);
        check(&NoFodselsnummer, "011299 10042", Likeness::Certain);
        check(&NoFodselsnummer, "01129910043", Likeness::No);
    }
}
