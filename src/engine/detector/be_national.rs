//! Finds national numbers of Belgium: date of birth, serial, remainder modulo 97.

use super::checksum::number;
use super::{Detector, Digits, Form, Likeness, Method, Sight};

pub(super) struct BeNational;

impl Detector for BeNational {
    fn name(&self) -> &'static str {
        "be_national"
    }

    fn summary(&self) -> &'static str {
        "national numbers of Belgium"
    }

    fn method(&self) -> Method {
        Method::Pseudonym(Form::Word)
    }

    fn sight(&self) -> Sight {
        Sight::Digits { count: 11..=11, look }
    }

    fn claims(&self) -> &'static [&'static str] {
        &["rijksregisternummer", "national number", "numero national", "registre national", "rrn be", "insz", "niss"]
    }

    fn is_checked(&self) -> bool {
        true
    }
}

fn look(seen: &Digits<'_>) -> Likeness {
    let Some((head, key)) = seen.digits.split_at_checked(9).filter(|(_, key)| key.len() == 2) else {
        return Likeness::No;
    };
    let [_, _, month, month_units, day, day_units, ..] = head else { return Likeness::No };
    let (month, day) = ((month * 10 + month_units) % 20, day * 10 + day_units);
    let fits = (1..=12).contains(&month) && (1..=31).contains(&day);
    // From 2000 on a 2 is put before the number.
    let key = number(key);
    let good = fits && [number(head), number(head) + 2_000_000_000].into_iter().any(|head| 97 - head % 97 == key);
    if good { Likeness::Likely } else { Likeness::No }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn values() {
        check(&BeNational, "93.05.18-223.61", Likeness::Likely);
        check(&BeNational, "93051822361", Likeness::Likely);
        check(&BeNational, "93051822362", Likeness::No);
    }
}
