//! Finds identity numbers of Turkey: nine digits and two check digits.

use super::{Detector, Digits, Form, Likeness, Method, Sight};

pub(super) struct TrTckn;

impl Detector for TrTckn {
    fn name(&self) -> &'static str {
        "tr_tckn"
    }

    fn summary(&self) -> &'static str {
        "identity numbers of Turkey"
    }

    fn method(&self) -> Method {
        Method::Pseudonym(Form::Word)
    }

    fn sight(&self) -> Sight {
        Sight::Digits { count: 11..=11, look }
    }

    fn claims(&self) -> &'static [&'static str] {
        &["tckn", "tc kimlik", "tc kimlik no", "kimlik no", "tc no", "tcno"]
    }

    fn is_checked(&self) -> bool {
        true
    }
}

fn look(seen: &Digits<'_>) -> Likeness {
    let [head @ .., tenth, last] = seen.digits else { return Likeness::No };
    let odd: u32 = head.iter().step_by(2).map(|digit| u32::from(*digit)).sum();
    let even: u32 = head.iter().skip(1).step_by(2).map(|digit| u32::from(*digit)).sum();
    let good = head.len() == 9
        && !head.starts_with(&[0])
        && (odd * 7 + 90 - even) % 10 == u32::from(*tenth)
        && (odd + even + u32::from(*tenth)) % 10 == u32::from(*last);
    if good && seen.text.len() == 11 { Likeness::Likely } else { Likeness::No }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn values() {
        check(&TrTckn, "10000000146", Likeness::Likely);
        check(&TrTckn, "10000000147", Likeness::No);
    }
}
