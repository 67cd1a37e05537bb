//! The check digits that numbers carry.

/// The Luhn sum (ISO/IEC 7812-1 annex B).
pub(super) fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let digit = u32::from(*digit);
            match (place % 2, digit) {
                (0, digit) => digit,
                (_, digit) if digit > 4 => digit * 2 - 9,
                (_, digit) => digit * 2,
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// The remainder modulo 97 of letters and digits, letters counted as 10 to 35 (ISO 7064).
pub(super) fn mod_97(characters: impl Iterator<Item = u8>) -> Option<u32> {
    let mut remainder = 0;
    for character in characters {
        remainder = match character {
            b'0'..=b'9' => (remainder * 10 + u32::from(character - b'0')) % 97,
            b'A'..=b'Z' => (remainder * 100 + u32::from(character - b'A') + 10) % 97,
            b'a'..=b'z' => (remainder * 100 + u32::from(character - b'a') + 10) % 97,
            _ => return None,
        };
    }
    Some(remainder)
}

/// The sum of digits times weights, as far as both go.
pub(super) fn weighted(digits: &[u8], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(digit, weight)| u32::from(*digit) * weight).sum()
}
