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

/// The digits as a number.
pub(super) fn number(digits: &[u8]) -> u64 {
    digits.iter().fold(0u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(*digit)))
}

/// Nothing but the same digit: a number somebody typed to fill a field.
pub(super) fn is_repeated(digits: &[u8]) -> bool {
    digits.windows(2).all(|pair| pair.first() == pair.last())
}

/// J. Verhoeff's check over the dihedral group of order ten.
pub(super) fn verhoeff(digits: &[u8]) -> bool {
    /// The permutation that moves each place one step on.
    const MOVE: [u8; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    let moved = |digit: u8, times: usize| {
        (0..times).fold(digit, |digit, _| MOVE.get(usize::from(digit)).copied().unwrap_or_default())
    };
    let sum = digits.iter().rev().enumerate().fold(0, |sum, (place, digit)| multiply(sum, moved(*digit, place % 8)));
    sum == 0
}

/// Rotations are 0 to 4, reflections 5 to 9.
fn multiply(left: u8, right: u8) -> u8 {
    match (left, right) {
        (0..5, 0..5) => (left + right) % 5,
        (0..5, _) => (left + right - 5) % 5 + 5,
        (_, 0..5) => (left - 5 + 5 - right) % 5 + 5,
        (_, _) => (left + 5 - right) % 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums() {
        let digits = |text: &str| text.bytes().map(|byte| byte - b'0').collect::<Vec<u8>>();
        assert!(luhn(&digits("79927398713")) && !luhn(&digits("79927398714")));
        assert!(verhoeff(&digits("2363")) && !verhoeff(&digits("2364")));
        assert_eq!(mod_97(b"3214282912345698765432161182".iter().copied()), Some(1));
        assert_eq!(mod_97(b"!".iter().copied()), None);
        assert_eq!(number(&digits("18446744073709551616")), u64::MAX);
    }
}
