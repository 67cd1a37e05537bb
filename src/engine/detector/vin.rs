//! Finds numbers of vehicles: seventeen letters and digits, the ninth of which follows from the others.

use super::{Detector, Form, Likeness, Method, Sight, Word};

pub(super) struct Vin;

impl Detector for Vin {
    fn name(&self) -> &'static str {
        "vin"
    }

    fn summary(&self) -> &'static str {
        "numbers of vehicles (VIN)"
    }

    fn method(&self) -> Method {
        Method::Pseudonym(Form::Word)
    }

    fn sight(&self) -> Sight {
        Sight::Word { length: 17..=17, starts: |first| first.is_ascii_uppercase() || first.is_ascii_digit(), look }
    }

    fn claims(&self) -> &'static [&'static str] {
        &["vin", "vin number", "vehicle identification number", "chassis number", "fahrgestellnummer"]
    }

    fn is_checked(&self) -> bool {
        true
    }
}

fn look(seen: &Word<'_>) -> Option<(Likeness, usize)> {
    const WEIGHTS: [u32; 17] = [8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2];
    let code: [u8; 17] = seen.word().as_bytes().try_into().ok()?;
    let sum = code.iter().zip(WEIGHTS).try_fold(0, |sum, (byte, weight)| Some(sum + value(*byte)? * weight))?;
    let expected = b"0123456789X".get(usize::try_from(sum % 11).ok()?)?;
    let mixed = code.iter().any(u8::is_ascii_uppercase);
    (mixed && code.get(8) == Some(expected)).then_some((Likeness::Possible, seen.end))
}

fn value(byte: u8) -> Option<u32> {
    Some(match byte {
        b'0'..=b'9' => u32::from(byte - b'0'),
        b'A'..=b'H' => u32::from(byte - b'A') + 1,
        b'J'..=b'N' => u32::from(byte - b'J') + 1,
        b'P' => 7,
        b'R' => 9,
        b'S'..=b'Z' => u32::from(byte - b'S') + 2,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn values() {
        check(&Vin, "1M8GDM9AXKP042788", Likeness::Possible);
        check(&Vin, "1M8GDM9A0KP042788", Likeness::No);
    }
}
