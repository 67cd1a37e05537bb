//! Finds national insurance numbers of the United Kingdom: two letters, six digits, a letter.

use super::{Detector, Form, Likeness, Method, Sight, Word};

pub(super) struct UkNino;

impl Detector for UkNino {
    fn name(&self) -> &'static str {
        "uk_nino"
    }

    fn summary(&self) -> &'static str {
        "national insurance numbers of the United Kingdom"
    }

    fn method(&self) -> Method {
        Method::Pseudonym(Form::Word)
    }

    fn sight(&self) -> Sight {
        Sight::Word { length: 2..=usize::MAX, starts: |first| first.is_ascii_uppercase(), look }
    }

    fn claims(&self) -> &'static [&'static str] {
        &["nino", "ni number", "national insurance", "national insurance number", "ni no"]
    }
}

fn look(seen: &Word<'_>) -> Option<(Likeness, usize)> {
    // Printed in pairs: the check reads on from the word it was given.
    let rest = seen.text.get(seen.start..)?;
    let spaced = rest.as_bytes().get(2) == Some(&b' ');
    let length = if spaced { 13 } else { 9 };
    let text = rest.get(..length)?;
    let plain: Vec<u8> = text.bytes().filter(|byte| *byte != b' ').collect();
    let [first, second, digits @ .., suffix] = plain.as_slice() else { return None };
    let fits = digits.len() == 6
        && digits.iter().all(u8::is_ascii_digit)
        && first.is_ascii_uppercase()
        && second.is_ascii_uppercase()
        && !b"DFIQUV".contains(first)
        && !b"DFIQUVO".contains(second)
        && !matches!(&[*first, *second], b"BG" | b"GB" | b"NK" | b"KN" | b"TN" | b"NT" | b"ZZ")
        && (b'A'..=b'D').contains(suffix);
    let ends = !rest.as_bytes().get(length).is_some_and(u8::is_ascii_alphanumeric);
    (fits && ends).then_some((Likeness::Likely, seen.start + length))
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn values() {
        check(&UkNino, "AB123456C", Likeness::Likely);
        check(&UkNino, "AB 12 34 56 C", Likeness::Likely);
        check(&UkNino, "GB123456C", Likeness::No);
        check(&UkNino, "AB123456E", Likeness::No);
        check(&UkNino, "QQ123456C", Likeness::No);
    }
}
