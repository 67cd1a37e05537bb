//! Finds serial numbers of mobile devices: fifteen digits with a check digit by Luhn.

use super::checksum::{is_repeated, luhn};
use super::{Detector, Digits, Form, Likeness, Method, Sight};

pub(super) struct Imei;

impl Detector for Imei {
    fn name(&self) -> &'static str {
        "imei"
    }

    fn summary(&self) -> &'static str {
        "serial numbers of mobile devices (IMEI)"
    }

    fn method(&self) -> Method {
        Method::Pseudonym(Form::Word)
    }

    fn sight(&self) -> Sight {
        Sight::Digits { count: 15..=15, look }
    }

    fn claims(&self) -> &'static [&'static str] {
        &["imei", "imei number", "device imei", "imei no", "meid"]
    }

    fn is_checked(&self) -> bool {
        true
    }
}

fn look(seen: &Digits<'_>) -> Likeness {
    let good = seen.digits.len() == 15 && !is_repeated(seen.digits) && luhn(seen.digits);
    if good { Likeness::Possible } else { Likeness::No }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn values() {
        check(&Imei, "490154203237518", Likeness::Possible);
        check(&Imei, "490154203237519", Likeness::No);
    }
}
