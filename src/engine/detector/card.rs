//! Finds payment card numbers: issuer range, length and check digit (ISO/IEC 7812-1).

use super::checksum::luhn;
use super::{Detector, Digits, Likeness, Method, Sight};

pub(super) struct Card;

impl Detector for Card {
    fn name(&self) -> &'static str {
        "card"
    }

    fn summary(&self) -> &'static str {
        "payment card numbers"
    }

    fn method(&self) -> Method {
        Method::LastFour
    }

    fn sight(&self) -> Sight {
        Sight::Digits { count: 12..=19, look }
    }

    fn is_checked(&self) -> bool {
        true
    }

    fn claims(&self) -> &'static [&'static str] {
        &[
            "card",
            "card number",
            "card no",
            "card num",
            "credit card",
            "credit card number",
            "creditcard",
            "cc number",
            "cc num",
            "cc no",
            "pan",
            "debit card",
            "kreditkarte",
            "kartennummer",
            "kreditkartennummer",
            "tarjeta",
            "numero tarjeta",
            "carte bancaire",
            "numero carte",
            "cartao",
            "numero cartao",
            "kortnummer",
            "kredittkort",
            "card pan",
            "ccn",
        ]
    }
}

fn look(seen: &Digits<'_>) -> Likeness {
    let is_card = seen.digits.iter().any(|digit| *digit != 0) && is_issued(seen.digits) && luhn(seen.digits);
    if !is_card {
        return Likeness::No;
    }
    // Grouped as it is printed: nothing else is written so.
    let grouped = seen.text.split([' ', '-']).map(str::len);
    let is_printed = grouped.clone().eq([4, 4, 4, 4]) || grouped.eq([4, 6, 5]);
    if is_printed { Likeness::Certain } else { Likeness::Likely }
}

/// Whether the leading digits and the length are those of a network.
fn is_issued(digits: &[u8]) -> bool {
    let lead = |count: usize| digits.iter().take(count).fold(0u32, |sum, digit| sum * 10 + u32::from(*digit));
    match (digits.len(), lead(1), lead(2), lead(4)) {
        (15, _, 34 | 37, _) => true,
        (14, _, 30 | 36 | 38 | 39, _) => true,
        (13 | 16 | 19, 4, _, _) => true,
        (16, _, 51..=55, _) | (16, _, _, 2221..=2720) => true,
        (16..=19, _, 62 | 64 | 65 | 81, _) | (16..=19, _, _, 6011) => true,
        (16..=19, _, _, 3528..=3589) => true,
        (12..=19, _, 50 | 56..=58 | 60 | 63 | 67, _) => true,
        (16, _, _, 2200..=2204) => true,
        (_, _, _, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn numbers() {
        check(&Card, "4111111111111111", Likeness::Likely);
        check(&Card, "4111 1111 1111 1111", Likeness::Certain);
        check(&Card, "3782-822463-10005", Likeness::Certain);
        check(&Card, "5555555555554444", Likeness::Likely);
        check(&Card, "4111111111111112", Likeness::No);
        check(&Card, "9111111111111111", Likeness::No);
        check(&Card, "0000000000000000", Likeness::No);
    }
}
