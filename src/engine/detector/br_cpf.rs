//! Finds taxpayer numbers of persons in Brazil: nine digits and two check digits.

use super::checksum::{is_repeated, weighted};
use super::{Detector, Digits, Form, Likeness, Method, Sight};

pub(super) struct BrCpf;

impl Detector for BrCpf {
    fn name(&self) -> &'static str {
        "br_cpf"
    }

    fn summary(&self) -> &'static str {
        "taxpayer numbers of persons in Brazil (CPF)"
    }

    fn method(&self) -> Method {
        Method::Pseudonym(Form::Word)
    }

    fn sight(&self) -> Sight {
        Sight::Digits { count: 11..=11, look }
    }

    fn claims(&self) -> &'static [&'static str] {
        &["cpf", "cpf number", "numero cpf", "nr cpf"]
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
    let good = seen.digits.len() == 11
        && !is_repeated(seen.digits)
        && u32::from(*first) == digit(&[10, 9, 8, 7, 6, 5, 4, 3, 2])
        && u32::from(*second) == digit(&[11, 10, 9, 8, 7, 6, 5, 4, 3, 2]);
    if !good {
        return Likeness::No;
    }
    let is_printed = seen.text.split(['.', '-']).map(str::len).eq([3, 3, 3, 2]);
    if is_printed { Likeness::Certain } else { Likeness::Likely }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn values() {
        check(&BrCpf, "529.982.247-25", Likeness::Certain);
        check(&BrCpf, "52998224725", Likeness::Likely);
        check(&BrCpf, "529.982.247-26", Likeness::No);
        check(&BrCpf, "111.111.111-11", Likeness::No);
    }
}
