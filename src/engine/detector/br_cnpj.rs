//! Finds taxpayer numbers of companies in Brazil: twelve digits and two check digits.

use super::checksum::{is_repeated, weighted};
use super::{Detector, Digits, Form, Likeness, Method, Sight};

pub(super) struct BrCnpj;

impl Detector for BrCnpj {
    fn name(&self) -> &'static str {
        "br_cnpj"
    }

    fn summary(&self) -> &'static str {
        "taxpayer numbers of companies in Brazil (CNPJ)"
    }

    fn method(&self) -> Method {
        Method::Pseudonym(Form::Word)
    }

    fn sight(&self) -> Sight {
        Sight::Digits { count: 14..=14, look }
    }

    fn claims(&self) -> &'static [&'static str] {
        &["cnpj", "cnpj number", "numero cnpj"]
    }

    fn is_checked(&self) -> bool {
        true
    }
}

fn look(seen: &Digits<'_>) -> Likeness {
    let [.., first, second] = seen.digits else { return Likeness::No };
    let digit = |weights: &[u32]| match weighted(seen.digits, weights) % 11 {
        0 | 1 => 0,
        rest => 11 - rest,
    };
    let good = seen.digits.len() == 14
        && !is_repeated(seen.digits)
        && u32::from(*first) == digit(&[5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2])
        && u32::from(*second) == digit(&[6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2]);
    if good { Likeness::Likely } else { Likeness::No }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn values() {
        check(&BrCnpj, "11.222.333/0001-81", Likeness::Likely);
        check(&BrCnpj, "11222333000181", Likeness::Likely);
        check(&BrCnpj, "11.222.333/0001-82", Likeness::No);
    }
}
