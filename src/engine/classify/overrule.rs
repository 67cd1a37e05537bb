//! What people say about columns: it counts more than what was found.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _};

use super::{FREE_TEXT, Finding};
use crate::engine::detector::DETECTORS;
use crate::engine::policy::nearest;

/// The word for a column that holds nothing sensitive.
const CLEAR: &str = "clear";

/// Words by column: `schema.relation.column`, each a name or `*`. Of several that match, the one with the fewest `*` counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(transparent)]
pub(crate) struct Overrules(BTreeMap<Pattern, Word>);

impl Overrules {
    /// What somebody said about a column: `Some(None)` when it holds nothing.
    pub(crate) fn of(&self, schema: &str, relation: &str, column: &str) -> Option<Option<Finding>> {
        let matching = self.0.iter().filter(|(pattern, _)| pattern.matches(&[schema, relation, column]));
        let (_, word) = matching.min_by_key(|(pattern, _)| pattern.0.iter().filter(|part| *part == "*").count())?;
        let finding = |entity: &str| Finding {
            entity: entity.to_owned(),
            confidence: 1.0,
            evidence: "the configuration says so".to_owned(),
        };
        Some((word.0 != CLEAR).then(|| finding(word.0)))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Pattern([String; 3]);

impl Pattern {
    fn matches(&self, names: &[&str; 3]) -> bool {
        self.0.iter().zip(names).all(|(part, name)| part == "*" || part == name)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let parts: Vec<String> = text.split('.').map(str::to_owned).collect();
        match <[String; 3]>::try_from(parts) {
            Ok(parts) if parts.iter().all(|part| !part.is_empty()) => Ok(Self(parts)),
            _ => Err(D::Error::custom(format_args!("`{text}` is not a column; write it as `schema.relation.column`"))),
        }
    }
}

/// An entity, or one of the two words for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Word(&'static str);

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let known = || DETECTORS.iter().map(|detector| detector.name()).chain([CLEAR, FREE_TEXT]);
        let found = known().find(|word| *word == text);
        found.map(Self).ok_or_else(|| D::Error::custom(Unknown { word: &text, near: nearest(&text, known()) }))
    }
}

struct Unknown<'a> {
    word: &'a str,
    near: Option<&'a str>,
}

impl fmt::Display for Unknown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown entity `{}`", self.word)?;
        match self.near {
            Some(near) => write!(f, "; did you mean `{near}`?"),
            None => write!(f, "; `gov classify --entities` lists them"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_word_counts() {
        let overrules: Overrules =
            serde_yaml::from_str("'*.customers.city': address\npublic.customers.city: clear\n'*.*.note': free_text\n")
                .unwrap();
        let said = |schema: &str, relation: &str, column: &str| {
            overrules.of(schema, relation, column).map(|finding| finding.map(|finding| finding.entity))
        };
        assert_eq!(said("public", "customers", "city"), Some(None));
        assert_eq!(said("shop", "customers", "city"), Some(Some("address".to_owned())));
        assert_eq!(said("shop", "orders", "note"), Some(Some("free_text".to_owned())));
        assert_eq!(said("shop", "orders", "city"), None);
    }

    #[test]
    fn mistakes_are_named() {
        let check = |text: &str, expected: &str| {
            let error = serde_yaml::from_str::<Overrules>(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check("a.b.c: emial\n", "did you mean `email`?");
        check("a.b: email\n", "schema.relation.column");
        check("a.b.c: xyzzy\n", "gov classify --entities");
    }
}
