//! Finds identifier codes of banks: bank, country, place, branch.

use super::{Detector, Form, Likeness, Method, Sight, Word};

pub(super) struct Bic;

impl Detector for Bic {
    fn name(&self) -> &'static str {
        "bic"
    }

    fn summary(&self) -> &'static str {
        "identifier codes of banks (BIC)"
    }

    fn method(&self) -> Method {
        Method::Pseudonym(Form::Word)
    }

    fn sight(&self) -> Sight {
        Sight::Word { length: 8..=11, starts: |first| first.is_ascii_uppercase(), look }
    }

    fn claims(&self) -> &'static [&'static str] {
        &["bic", "swift", "swift code", "bic code", "bic swift", "swift bic"]
    }
}

fn look(seen: &Word<'_>) -> Option<(Likeness, usize)> {
    let word = seen.word().as_bytes();
    let letters = word.iter().take(6).all(u8::is_ascii_uppercase);
    let rest = word.iter().skip(6).all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    (matches!(word.len(), 8 | 11) && letters && rest).then_some((Likeness::Possible, seen.end))
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn values() {
        check(&Bic, "DEUTDEFF500", Likeness::Possible);
        check(&Bic, "deutdeff500", Likeness::No);
        check(&Bic, "DEUTDEFF50", Likeness::No);
    }
}
