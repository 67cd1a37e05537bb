//! Finds citizen numbers of the Netherlands: nine digits that pass the eleven test.

use super::checksum::weighted;
use super::{Detector, Digits, Form, Likeness, Method, Sight};

pub(super) struct NlBsn;

impl Detector for NlBsn {
    fn name(&self) -> &'static str {
        "nl_bsn"
    }

    fn summary(&self) -> &'static str {
        "citizen numbers of the Netherlands (BSN)"
    }

    fn method(&self) -> Method {
        Method::Pseudonym(Form::Word)
    }

    fn sight(&self) -> Sight {
        Sight::Digits { count: 9..=9, look }
    }

    fn claims(&self) -> &'static [&'static str] {
        &["bsn", "burgerservicenummer", "sofinummer", "bsn nummer", "sofi nummer"]
    }

    fn is_checked(&self) -> bool {
        true
    }
}

fn look(seen: &Digits<'_>) -> Likeness {
    let [head @ .., last] = seen.digits else { return Likeness::No };
    let sum = weighted(head, &[9, 8, 7, 6, 5, 4, 3, 2]);
    let good = head.len() == 8 && sum > 0 && sum % 11 == u32::from(*last);
    if good { Likeness::Possible } else { Likeness::No }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn values() {
        check(&NlBsn, "111222333", Likeness::Possible);
        check(&NlBsn, "111222334", Likeness::No);
    }
}
