//! Finds tax numbers of persons in Germany: ten digits of which one occurs more than once, and a check digit.

use super::{Detector, Digits, Form, Likeness, Method, Sight};

pub(super) struct DeTaxId;

impl Detector for DeTaxId {
    fn name(&self) -> &'static str {
        "de_tax_id"
    }

    fn summary(&self) -> &'static str {
        "tax numbers of persons in Germany (Steuer-ID)"
    }

    fn method(&self) -> Method {
        Method::Pseudonym(Form::Word)
    }

    fn sight(&self) -> Sight {
        Sight::Digits { count: 11..=11, look }
    }

    fn claims(&self) -> &'static [&'static str] {
        &[
            "steuer id",
            "steuerid",
            "steueridentifikationsnummer",
            "steuer identifikationsnummer",
            "idnr",
            "steuer idnr",
            "steuernummer",
        ]
    }

    fn is_checked(&self) -> bool {
        true
    }
}

fn look(seen: &Digits<'_>) -> Likeness {
    let [head @ .., last] = seen.digits else { return Likeness::No };
    let mut product = 10;
    for digit in head {
        let sum = (u32::from(*digit) + product) % 10;
        product = (if sum == 0 { 10 } else { sum }) * 2 % 11;
    }
    // Exactly one digit occurs twice or three times among the first ten.
    let often = (0..10).filter(|wanted| head.iter().filter(|digit| *digit == wanted).count() > 1).count();
    let fits = head.len() == 10 && seen.digits.first() != Some(&0) && often == 1;
    if fits && (11 - product) % 10 == u32::from(*last) { Likeness::Likely } else { Likeness::No }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn values() {
        check(&DeTaxId, "86095742719", Likeness::Likely);
        check(&DeTaxId, "86 095 742 719", Likeness::Likely);
        check(&DeTaxId, "86095742718", Likeness::No);
    }
}
