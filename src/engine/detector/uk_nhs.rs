//! Finds numbers of the health service of England: nine digits and a check digit.

use super::checksum::{is_repeated, weighted};
use super::{Detector, Digits, Form, Likeness, Method, Sight};

pub(super) struct UkNhs;

impl Detector for UkNhs {
    fn name(&self) -> &'static str {
        "uk_nhs"
    }

    fn summary(&self) -> &'static str {
        "numbers of the health service of England (NHS)"
    }

    fn method(&self) -> Method {
        Method::Pseudonym(Form::Word)
    }

    fn sight(&self) -> Sight {
        Sight::Digits { count: 10..=10, look }
    }

    fn claims(&self) -> &'static [&'static str] {
        &["nhs", "nhs number", "nhs no", "nhs num"]
    }

    fn is_checked(&self) -> bool {
        true
    }
}

fn look(seen: &Digits<'_>) -> Likeness {
    let [head @ .., last] = seen.digits else { return Likeness::No };
    let check = (11 - weighted(head, &[10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11) % 11;
    if head.len() != 9 || is_repeated(head) || check != u32::from(*last) {
        return Likeness::No;
    }
    let is_printed = seen.text.split([' ', '-']).map(str::len).eq([3, 3, 4]);
    if is_printed { Likeness::Likely } else { Likeness::Possible }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn values() {
        check(&UkNhs, "943 476 5919", Likeness::Likely);
        check(&UkNhs, "9434765919", Likeness::Possible);
        check(&UkNhs, "943 476 5918", Likeness::No);
    }
}
