//! Finds social insurance numbers of Canada: nine digits with a check digit by Luhn.

use super::checksum::{is_repeated, luhn};
use super::{Detector, Digits, Form, Likeness, Method, Sight};

pub(super) struct CaSin;

impl Detector for CaSin {
    fn name(&self) -> &'static str {
        "ca_sin"
    }

    fn summary(&self) -> &'static str {
        "social insurance numbers of Canada"
    }

    fn method(&self) -> Method {
        Method::Pseudonym(Form::Word)
    }

    fn sight(&self) -> Sight {
        Sight::Digits { count: 9..=9, look }
    }

    fn claims(&self) -> &'static [&'static str] {
        &["sin", "sin number", "social insurance number", "social insurance", "sin no", "numero assurance sociale"]
    }

    fn is_checked(&self) -> bool {
        true
    }
}

fn look(seen: &Digits<'_>) -> Likeness {
    let good =
        seen.digits.len() == 9 && !seen.digits.starts_with(&[0]) && !is_repeated(seen.digits) && luhn(seen.digits);
    if !good {
        return Likeness::No;
    }
    let is_printed = seen.text.split([' ', '-']).map(str::len).eq([3, 3, 3]);
    if is_printed { Likeness::Likely } else { Likeness::Possible }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn values() {
        check(&CaSin, "130 692 544", Likeness::Likely);
        check(&CaSin, "130692544", Likeness::Possible);
        check(&CaSin, "130692545", Likeness::No);
    }
}
