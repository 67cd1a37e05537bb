//! Finds keys for the interfaces of Google.

use super::{Detector, Likeness, Method, Sight, Word};

pub(super) struct GoogleKey;

impl Detector for GoogleKey {
    fn name(&self) -> &'static str {
        "google_key"
    }

    fn summary(&self) -> &'static str {
        "keys for the interfaces of Google"
    }

    fn method(&self) -> Method {
        Method::Redact
    }

    fn sight(&self) -> Sight {
        Sight::Word { length: 35..=usize::MAX, starts: |first| b"AGy".contains(&first), look }
    }

    fn claims(&self) -> &'static [&'static str] {
        &["google api key", "google key", "gcp key", "maps key", "firebase key"]
    }
}

fn look(seen: &Word<'_>) -> Option<(Likeness, usize)> {
    let word = seen.word();
    let is_key = word.strip_prefix("AIza").is_some_and(|rest| rest.len() == 35);
    let is_client = word.strip_prefix("GOCSPX-").is_some_and(|rest| rest.len() == 28);
    let is_token = word.strip_prefix("ya29.").is_some_and(|rest| rest.len() > 30);
    (is_key || is_client || is_token).then_some((Likeness::Certain, seen.end))
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn values() {
        check(&GoogleKey, "AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY", Likeness::Certain);
        check(&GoogleKey, "AIzaSyD", Likeness::No);
    }
}
