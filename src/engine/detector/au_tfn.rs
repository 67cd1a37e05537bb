//! Finds tax file numbers of Australia: nine digits whose weighted sum is divisible by eleven.

use super::checksum::weighted;
use super::{Detector, Digits, Form, Likeness, Method, Sight};

pub(super) struct AuTfn;

impl Detector for AuTfn {
    fn name(&self) -> &'static str {
        "au_tfn"
    }

    fn summary(&self) -> &'static str {
        "tax file numbers of Australia"
    }

    fn method(&self) -> Method {
        Method::Pseudonym(Form::Word)
    }

    fn sight(&self) -> Sight {
        Sight::Digits { count: 9..=9, look }
    }

    fn claims(&self) -> &'static [&'static str] {
        &["tfn", "tax file number", "tax file no"]
    }

    fn is_checked(&self) -> bool {
        true
    }
}

fn look(seen: &Digits<'_>) -> Likeness {
    let sum = weighted(seen.digits, &[1, 4, 3, 7, 5, 8, 6, 9, 10]);
    let good = seen.digits.len() == 9 && sum > 0 && sum.is_multiple_of(11);
    if good { Likeness::Possible } else { Likeness::No }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn values() {
        check(&AuTfn, "876 543 210", Likeness::Possible);
        check(&AuTfn, "876543211", Likeness::No);
    }
}
