//! Finds insurance numbers of Switzerland: 756, nine digits, a check digit as of an EAN.

use super::checksum::weighted;
use super::{Detector, Digits, Form, Likeness, Method, Sight};

pub(super) struct ChAhv;

impl Detector for ChAhv {
    fn name(&self) -> &'static str {
        "ch_ahv"
    }

    fn summary(&self) -> &'static str {
        "insurance numbers of Switzerland (AHV)"
    }

    fn method(&self) -> Method {
        Method::Pseudonym(Form::Word)
    }

    fn sight(&self) -> Sight {
        Sight::Digits { count: 13..=13, look }
    }

    fn claims(&self) -> &'static [&'static str] {
        &["ahv", "ahv nummer", "avs", "numero avs", "ahvn", "ahv nr", "ahvn 13"]
    }

    fn is_checked(&self) -> bool {
        true
    }
}

fn look(seen: &Digits<'_>) -> Likeness {
    let [head @ .., last] = seen.digits else { return Likeness::No };
    let sum = weighted(head, &[1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3]);
    let good = head.len() == 12 && head.starts_with(&[7, 5, 6]) && (10 - sum % 10) % 10 == u32::from(*last);
    if !good {
        return Likeness::No;
    }
    let is_printed = seen.text.split('.').map(str::len).eq([3, 4, 4, 2]);
    if is_printed { Likeness::Certain } else { Likeness::Likely }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn values() {
        check(&ChAhv, "756.9217.0769.85", Likeness::Certain);
        check(&ChAhv, "7569217076985", Likeness::Likely);
        check(&ChAhv, "756.9217.0769.84", Likeness::No);
    }
}
