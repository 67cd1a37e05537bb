//! Names of columns, keys and tables as words.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::{DETECTORS, Detector};

/// The words of a name, in lower case: `customerEmail_2` is `customer`, `email`, `2`.
pub(in crate::engine) fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before = Kind::Sign;
    let mut characters = name.chars().peekable();
    while let Some(character) = characters.next() {
        let kind = Kind::of(character);
        // `eMail` is two words, `SSNumber` is `ss` and `number`, `ssn4` is `ssn` and `4`.
        let ends_capitals = before == Kind::Capital
            && kind == Kind::Capital
            && characters.peek().is_some_and(|next| Kind::of(*next) == Kind::Small);
        let starts = match (before, kind) {
            (_, Kind::Sign) => false,
            (Kind::Capital, Kind::Small) => false,
            (before, kind) => before != kind || ends_capitals,
        };
        if starts {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| kind != Kind::Sign) {
            word.extend(character.to_lowercase().map(plain));
        }
        before = kind;
    }
    words
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Small,
    Capital,
    Digit,
    Sign,
}

impl Kind {
    fn of(character: char) -> Self {
        match character {
            character if character.is_uppercase() => Self::Capital,
            character if character.is_alphabetic() => Self::Small,
            character if character.is_numeric() => Self::Digit,
            _ => Self::Sign,
        }
    }
}

/// A letter without its accent, as names of columns are often written.
fn plain(letter: char) -> char {
    match letter {
        'á' | 'à' | 'â' | 'ä' | 'ã' | 'å' => 'a',
        'é' | 'è' | 'ê' | 'ë' => 'e',
        'í' | 'ì' | 'î' | 'ï' => 'i',
        'ó' | 'ò' | 'ô' | 'ö' | 'õ' | 'ø' => 'o',
        'ú' | 'ù' | 'û' | 'ü' => 'u',
        'ç' => 'c',
        'ñ' => 'n',
        letter => letter,
    }
}

/// The entity whose name this is, whole.
pub(in crate::engine) fn claimed(words: &[String]) -> Option<&'static dyn Detector> {
    static CLAIMS: LazyLock<HashMap<&'static str, &'static dyn Detector>> = LazyLock::new(|| {
        let claims = |detector: &'static dyn Detector| detector.claims().iter().map(move |claim| (*claim, detector));
        DETECTORS.iter().rev().flat_map(|detector| claims(*detector)).collect()
    });
    let (first, rest) = words.split_first()?;
    match rest {
        [] => CLAIMS.get(first.as_str()).copied(),
        _ => CLAIMS.get(words.join(" ").as_str()).copied(),
    }
}

/// The entity whose name this may be.
pub(in crate::engine) fn hinted(words: &[String]) -> Option<&'static dyn Detector> {
    let name = words.join(" ");
    DETECTORS.iter().find(|detector| detector.hints().contains(&name.as_str())).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words() {
        let check = |name: &str, expected: &str| assert_eq!(words(name).join(" "), expected, "{name}");
        check("customer_email", "customer email");
        check("customerEmail2", "customer email 2");
        check("eMail", "e mail");
        check("HTTPServerName", "http server name");
        check("SSN", "ssn");
        check("Straße_Größe", "straße große");
        check("numéro", "numero");
        check("", "");
        check("__", "");
    }

    #[test]
    fn names_are_claimed() {
        let check = |name: &str, expected: Option<&str>| {
            assert_eq!(claimed(&words(name)).map(Detector::name), expected, "{name}");
        };
        check("email", Some("email"));
        check("eMail", Some("email"));
        check("credit-card", Some("card"));
        check("email_sent_at", None);
    }
}
