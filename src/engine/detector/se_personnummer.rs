//! Finds identity numbers of Sweden: date of birth, serial, check digit by Luhn.

use super::checksum::luhn;
use super::{Detector, Digits, Form, Likeness, Method, Sight};

pub(super) struct SePersonnummer;

impl Detector for SePersonnummer {
    fn name(&self) -> &'static str {
        "se_personnummer"
    }

    fn summary(&self) -> &'static str {
        "identity numbers of Sweden (personnummer)"
    }

    fn method(&self) -> Method {
        Method::Pseudonym(Form::Word)
    }

    fn sight(&self) -> Sight {
        Sight::Digits { count: 10..=12, look }
    }

    fn claims(&self) -> &'static [&'static str] {
        &["personnummer", "personnr", "person nr", "pnr", "samordningsnummer"]
    }

    fn is_checked(&self) -> bool {
        true
    }
}

fn look(seen: &Digits<'_>) -> Likeness {
    let short = match seen.digits.len() {
        10 => seen.digits,
        12 if seen.digits.starts_with(&[1, 9]) || seen.digits.starts_with(&[2, 0]) => {
            seen.digits.get(2..).unwrap_or_default()
        }
        _ => return Likeness::No,
    };
    let [_, _, month, month_units, day, day_units, ..] = short else { return Likeness::No };
    let (month, day) = (month * 10 + month_units, day * 10 + day_units);
    // Coordination numbers have 60 added to the day.
    let fits = (1..=12).contains(&month) && matches!(day, 1..=31 | 61..=91);
    if !fits || !luhn(short) {
        return Likeness::No;
    }
    let is_printed = seen.text.split('-').map(str::len).eq([seen.digits.len() - 4, 4]);
    if is_printed { Likeness::Certain } else { Likeness::Possible }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn values() {
        check(&SePersonnummer, "811218-9876", Likeness::Certain);
        check(&SePersonnummer, "19811218-9876", Likeness::Certain);
        check(&SePersonnummer, "8112189876", Likeness::Possible);
        check(&SePersonnummer, "811218-9875", Likeness::No);
        check(&SePersonnummer, "811318-9876", Likeness::No);
    }
}
