//! Finds routing numbers of banks in the United States: nine digits with a weighted sum divisible by ten.

use super::checksum::{number, weighted};
use super::{Detector, Digits, Form, Likeness, Method, Sight};

pub(super) struct UsRouting;

impl Detector for UsRouting {
    fn name(&self) -> &'static str {
        "us_routing"
    }

    fn summary(&self) -> &'static str {
        "routing numbers of banks in the United States"
    }

    fn method(&self) -> Method {
        Method::Pseudonym(Form::Word)
    }

    fn sight(&self) -> Sight {
        Sight::Digits { count: 9..=9, look }
    }

    fn claims(&self) -> &'static [&'static str] {
        &["routing", "routing number", "routing no", "aba", "aba number", "aba routing", "rtn"]
    }

    fn is_checked(&self) -> bool {
        true
    }
}

fn look(seen: &Digits<'_>) -> Likeness {
    let sum = weighted(seen.digits, &[3, 7, 1, 3, 7, 1, 3, 7, 1]);
    let prefix = number(seen.digits.get(..2).unwrap_or_default());
    let fits = seen.digits.len() == 9 && matches!(prefix, 1..=12 | 21..=32 | 61..=72 | 80);
    if fits && sum.is_multiple_of(10) { Likeness::Possible } else { Likeness::No }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn values() {
        check(&UsRouting, "021000021", Likeness::Possible);
        check(&UsRouting, "021000022", Likeness::No);
        check(&UsRouting, "990000021", Likeness::No);
    }
}
