//! What is allowed, as checked data: YAML for people, canonical bytes for both ends.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Visitor};
use serde::{Deserialize, Serialize};

use super::case::{Case, OperationWord};
use super::docket::Docket;
use super::rule::{RULES, Rule};
use super::setting;
use crate::domain::{Action, Digest, Duration, Environment, IdentityKind, PurposeId};

/// Longest policy text that is read. A policy with a thousand reviewed functions has 150 KB.
const TEXT_MAX: usize = 4 * 1024 * 1024;

/// The rules for one resource. Both ends hold the same bytes; see [`Policy::canonical`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    environment: Environment,
    document: Document,
    digest: Digest,
    /// The document's cases.
    docket: Docket,
}

/// What people write about statements, apart from the environments it applies to: a section of a larger file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct PolicySource(Document);

impl PolicySource {
    /// Reads what people write.
    pub(crate) fn parse(text: &str) -> Result<Self, PolicyMistake> {
        if text.len() > TEXT_MAX {
            return Err(PolicyMistake::whole(format!("this policy is longer than {} MiB", TEXT_MAX >> 20)));
        }
        if text.lines().all(|line| line.trim_start().is_empty() || line.trim_start().starts_with('#')) {
            return Ok(Self::default());
        }
        super::yaml::read(text)
    }

    /// All tags that relations carry.
    pub(crate) fn tags(&self) -> BTreeSet<&str> {
        self.0.tags.iter().flat_map(|tagged| tagged.tags.iter().map(String::as_str)).collect()
    }

    /// Confines a purpose to some operations and to data with some tags; empty is no confinement. Data without a tag is
    /// nobody's concern. It becomes part of the policy, so that both ends decide by it.
    pub(crate) fn confine(
        &mut self,
        purpose: &PurposeId,
        operations: &BTreeSet<OperationWord>,
        tags: &BTreeSet<String>,
    ) {
        if !operations.is_empty() {
            self.0.cases.insert(Case::operations_of(purpose, operations));
        }
        let others = self.tags().into_iter().filter(|tag| !tags.contains(*tag)).map(str::to_owned);
        let others: BTreeSet<String> = others.collect();
        if !tags.is_empty() && !others.is_empty() {
            self.0.cases.insert(Case::tags_of(purpose, others));
        }
    }
}

impl Policy {
    /// The rules for an environment, with what was written about them.
    pub(crate) fn written(environment: Environment, source: &PolicySource) -> Self {
        Self::of(environment, source.0.clone())
    }

    /// The built-in rules for an environment, nothing changed.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn built_in(environment: Environment) -> Self {
        Self::of(environment, Document::default())
    }

    /// The form of a policy, for editors that complete and check while one writes.
    pub(crate) fn schema() -> Schema {
        schemars::schema_for!(Document)
    }

    /// Reads the policy that people write.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn parse(text: &str, environment: Environment) -> Result<Self, PolicyMistake> {
        PolicySource::parse(text).map(|source| Self::written(environment, &source))
    }

    /// The bytes both ends decide by: the same for the same meaning, whatever the order and layout of the text.
    pub(crate) fn canonical(&self) -> Vec<u8> {
        canonical(self.environment, &self.document)
    }

    /// Reads what [`Policy::canonical`] wrote. Anything else, also the same meaning in another form, is refused.
    pub(crate) fn from_canonical(bytes: &[u8]) -> Result<Self, PolicyMistake> {
        if bytes.len() > TEXT_MAX {
            return Err(PolicyMistake::whole(format!("this policy is longer than {} MiB", TEXT_MAX >> 20)));
        }
        let sealed: Sealed<Document> =
            serde_json::from_slice(bytes).map_err(|error| PolicyMistake::whole(error.to_string()))?;
        let environment = environment_of(&sealed.environment)
            .ok_or_else(|| PolicyMistake::whole(format!("unknown environment `{}`", sealed.environment)))?;
        let policy = Self::of(environment, sealed.policy);
        if sealed.version != VERSION || policy.canonical() != bytes {
            return Err(PolicyMistake::whole("this policy is not in its canonical form".to_owned()));
        }
        Ok(policy)
    }

    fn of(environment: Environment, document: Document) -> Self {
        let bytes = canonical(environment, &document);
        let digest = Digest::of_hash(ring::digest::digest(&ring::digest::SHA256, &bytes).as_ref());
        let docket = Docket::new(document.cases.iter());
        Self { environment, document, digest, docket }
    }

    /// SHA-256 of the canonical bytes.
    pub(crate) fn digest(&self) -> Digest {
        self.digest
    }

    /// What a rule's firing leads to. What is said for everybody makes nothing milder for agents.
    pub(super) fn action(&self, rule: &dyn Rule, who: IdentityKind) -> Action {
        let standard = rule.default(self.environment, who);
        let rules = match who {
            IdentityKind::Agent => &self.document.agent_rules,
            IdentityKind::Person | IdentityKind::Workload => &self.document.rules,
        };
        rules.get(&RuleName(rule.name())).map_or(standard, |action| (*action).into())
    }

    /// The section of the document that says what a rule leads to, when one does.
    pub(super) fn says(&self, rule: &dyn Rule, who: IdentityKind) -> Option<&'static str> {
        let (section, rules) = match who {
            IdentityKind::Agent => ("agent_rules", &self.document.agent_rules),
            IdentityKind::Person | IdentityKind::Workload => ("rules", &self.document.rules),
        };
        rules.contains_key(&RuleName(rule.name())).then_some(section)
    }

    /// What relations are tagged by, besides cases.
    pub(super) fn tagged(&self) -> impl Iterator<Item = &Pattern> {
        self.document.tags.iter().map(|tagged| &tagged.relation)
    }

    /// Whether somebody read this function, with this body, and found that it only reads.
    pub(super) fn is_reviewed(&self, signature: &str, body: &str) -> bool {
        self.document.reviewed_functions.iter().any(|reviewed| {
            reviewed.function.0 == signature
                && match &reviewed.body {
                    Body::Any => true,
                    Body::Exactly(digest) => digest.to_string() == body,
                }
        })
    }

    /// Whether a session may put this schema into its search path.
    pub(super) fn lists_schema(&self, schema: &str) -> bool {
        const ALWAYS: [&str; 5] = ["public", "$user", "pg_catalog", "information_schema", ""];
        ALWAYS.contains(&schema) || self.document.search_path.contains(schema)
    }

    /// Whether a session may change this parameter, beyond those that anybody may.
    pub(super) fn lists_setting(&self, name: &str) -> bool {
        self.document.settings.contains(name)
    }

    /// The tags of a relation.
    pub(crate) fn tags(&self, schema: &str, name: &str) -> BTreeSet<&str> {
        let matching = self.document.tags.iter().filter(|tagged| tagged.relation.matches(schema, name));
        matching.flat_map(|tagged| tagged.tags.iter().map(String::as_str)).collect()
    }

    /// What is said about particular people, purposes, data and hours.
    pub(super) fn docket(&self) -> &Docket {
        &self.docket
    }

    pub(crate) fn limits(&self) -> Thresholds {
        self.document.limits
    }

    /// Rows that one transaction may change. Where everything can be made anew, loading it must not be in the way.
    pub(super) fn changed_rows(&self) -> u64 {
        self.document.limits.changed_rows.unwrap_or(match self.environment {
            Environment::Production | Environment::Staging => 1_000,
            Environment::Development => u64::MAX,
        })
    }

    /// How long a statement may run unless the session asks for less. Where everything can be made anew, as long as it
    /// takes.
    pub(crate) fn statement_time(&self) -> Option<Duration> {
        match self.environment {
            Environment::Production | Environment::Staging => Some(Duration::from_millis(self.document.limits.timeout)),
            Environment::Development => None,
        }
    }
}

/// Of the canonical form.
const VERSION: u32 = 1;

/// What is signed and compared.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed<D> {
    version: u32,
    environment: String,
    policy: D,
}

fn canonical(environment: Environment, document: &Document) -> Vec<u8> {
    let sealed = Sealed { version: VERSION, environment: environment.word().to_owned(), policy: document };
    // Only maps with keys that are not text can fail, and there are none.
    serde_json::to_vec(&sealed).unwrap_or_default()
}

fn environment_of(word: &str) -> Option<Environment> {
    [Environment::Production, Environment::Staging, Environment::Development]
        .into_iter()
        .find(|environment| environment.word() == word)
}

/// The policy as people write it. Every list is sorted by its type, so that equal meanings have equal bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Document {
    /// Outcomes that differ from the built-in ones, by rule.
    rules: BTreeMap<RuleName, ActionWord>,
    /// The same for agents, who otherwise get the built-in ones.
    agent_rules: BTreeMap<RuleName, ActionWord>,
    /// Functions that were read and found to do nothing but read.
    reviewed_functions: BTreeSet<Reviewed>,
    /// Schemas a session may put into its search path.
    search_path: BTreeSet<String>,
    /// Parameters a session may change, beyond those that anybody may.
    settings: BTreeSet<String>,
    tags: BTreeSet<Tagged>,
    limits: Thresholds,
    /// What else is stopped, and where the outcomes of rules differ.
    cases: BTreeSet<Case>,
}

/// Numbers beyond which a statement is stopped or asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Thresholds {
    /// Rows that one transaction may change, in all tables together, triggers and cascades included. Without a
    /// number: 1000, and any number in development.
    changed_rows: Option<u64>,
    /// Rows that may be exported or read from tagged relations without asking.
    pub(crate) exported_rows: u64,
    /// Rows a statement may make out of nothing, or by joining without a condition.
    pub(crate) generated_rows: u64,
    /// Length of a value a statement may make out of nothing.
    pub(crate) generated_bytes: u64,
    /// How long a statement may run in production and staging, and the highest value a session may give its timeouts, in
    /// milliseconds.
    #[serde(with = "duration")]
    #[schemars(with = "String", extend("examples" = ["30s", "5min"]))]
    pub(crate) timeout: u64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            changed_rows: None,
            exported_rows: 1_000,
            generated_rows: 10_000_000,
            generated_bytes: 16 * 1024 * 1024,
            timeout: 5 * 60 * 1_000,
        }
    }
}

/// A rule's word, checked against the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub(super) struct RuleName(&'static str);

impl RuleName {
    pub(super) fn called(name: &str) -> Option<Self> {
        RULES.iter().find(|rule| rule.name() == name).map(|rule| Self(rule.name()))
    }

    /// The rule itself.
    pub(super) fn rule(self) -> Option<&'static dyn Rule> {
        RULES.iter().find(|rule| rule.name() == self.0).copied()
    }

    pub(super) fn of(rule: &dyn Rule) -> Self {
        Self(rule.name())
    }
}

impl JsonSchema for RuleName {
    fn schema_name() -> Cow<'static, str> {
        "rule".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let rules = RULES.iter().filter(|rule| !rule.is_fixed());
        let one = |rule: &&dyn Rule| json_schema!({ "const": rule.name(), "description": rule.summary() });
        json_schema!({ "oneOf": rules.map(one).collect::<Vec<_>>() })
    }

    fn inline_schema() -> bool {
        true
    }
}

impl<'de> Deserialize<'de> for RuleName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Word::read(deserializer, |word| match RULES.iter().find(|rule| rule.name() == word) {
            Some(rule) if rule.is_fixed() => Err(format!("the rule `{word}` cannot be changed{HINT}remove the line")),
            Some(rule) => Ok(Self(rule.name())),
            None => Err(unknown("rule", word, RULES.iter().map(|rule| rule.name()))),
        })
    }
}

/// An outcome's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ActionWord(Action);

const ACTIONS: [Action; 4] = [Action::Allow, Action::Observe, Action::Hold, Action::Deny];

impl From<Action> for ActionWord {
    fn from(action: Action) -> Self {
        Self(action)
    }
}

impl From<ActionWord> for Action {
    fn from(word: ActionWord) -> Self {
        word.0
    }
}

impl Serialize for ActionWord {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.word())
    }
}

impl JsonSchema for ActionWord {
    fn schema_name() -> Cow<'static, str> {
        "outcome".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "enum": ACTIONS.map(Action::word) })
    }

    fn inline_schema() -> bool {
        true
    }
}

impl<'de> Deserialize<'de> for ActionWord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Word::read(deserializer, |word| {
            let found = ACTIONS.into_iter().find(|action| action.word() == word);
            found.map(Self).ok_or_else(|| unknown("outcome", word, ACTIONS.iter().map(|action| action.word())))
        })
    }
}

/// A function that somebody read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Reviewed {
    function: Signature,
    body: Body,
}

/// `schema.name(types)`
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
struct Signature(String);

impl JsonSchema for Signature {
    fn schema_name() -> Cow<'static, str> {
        "signature".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^.+\\..+\\(.*\\)$", "examples": ["public.full_name(text, text)"] })
    }

    fn inline_schema() -> bool {
        true
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Word::read(deserializer, |text| {
            let is_whole = text.split_once('(').is_some_and(|(name, rest)| name.contains('.') && rest.ends_with(')'));
            is_whole.then(|| Self(text.to_owned())).ok_or_else(|| {
                format!(
                    "`{text}` is not a function with its schema and argument types{HINT}write it as the server does, \
                     for example `public.full_name(text, text)`"
                )
            })
        })
    }
}

/// Which body of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Body {
    /// Whatever it is changed to.
    Any,
    Exactly(Digest),
}

impl Serialize for Body {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Any => serializer.serialize_str("any"),
            Self::Exactly(digest) => serializer.collect_str(digest),
        }
    }
}

impl JsonSchema for Body {
    fn schema_name() -> Cow<'static, str> {
        "body".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^([0-9a-f]{64}|any)$", "examples": ["any"] })
    }

    fn inline_schema() -> bool {
        true
    }
}

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Word::read(deserializer, |text| match Digest::parse(text) {
            Some(digest) => Ok(Self::Exactly(digest)),
            None if text == "any" => Ok(Self::Any),
            None => Err(format!(
                "`{text}` is not a digest{HINT}write the 64 digits that `gov policy learn` prints, or `any`"
            )),
        })
    }
}

/// Relations and their tags.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Tagged {
    relation: Pattern,
    tags: BTreeSet<String>,
}

/// `schema.relation`, each a name or `*`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub(super) struct Pattern(String);

impl Pattern {
    pub(super) fn anything() -> Self {
        Self("*.*".to_owned())
    }

    pub(super) fn as_written(&self) -> &str {
        &self.0
    }

    pub(super) fn matches(&self, schema: &str, name: &str) -> bool {
        let (schemas, names) = self.0.split_once('.').unwrap_or(("", ""));
        (schemas == "*" || schemas == schema) && (names == "*" || names == name)
    }
}

impl JsonSchema for Pattern {
    fn schema_name() -> Cow<'static, str> {
        "pattern".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^.+\\..+$", "examples": ["billing.*"] })
    }

    fn inline_schema() -> bool {
        true
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Word::read(deserializer, |text| {
            let parts = text.split_once('.');
            let is_whole = parts.is_some_and(|(schema, name)| !schema.is_empty() && !name.is_empty());
            is_whole.then(|| Self(text.to_owned())).ok_or_else(|| {
                format!(
                    "`{text}` is not a relation with its schema{HINT}write `schema.relation`, or `schema.*` for all \
                     in it"
                )
            })
        })
    }
}

/// Reads a word and checks it while the parser still knows where it stands: a mistake gets that line and column.
pub(super) struct Word<T>(fn(&str) -> Result<T, String>);

impl<T> Word<T> {
    pub(super) fn read<'de, D: Deserializer<'de>>(
        deserializer: D,
        check: fn(&str) -> Result<T, String>,
    ) -> Result<T, D::Error> {
        deserializer.deserialize_str(Self(check))
    }
}

impl<T> Visitor<'_> for Word<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a word")
    }

    fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<T, E> {
        let Self(check) = self;
        check(word).map_err(E::custom)
    }
}

/// A duration: a whole number of milliseconds, or with a unit as PostgreSQL writes them.
mod duration {
    use super::{Deserializer, HINT, Visitor, fmt, setting};

    pub(super) fn serialize<S: serde::Serializer>(milliseconds: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(*milliseconds)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        deserializer.deserialize_any(Duration)
    }

    struct Duration;

    impl Visitor<'_> for Duration {
        type Value = u64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a duration like `30s` or `5min`")
        }

        fn visit_u64<E: serde::de::Error>(self, milliseconds: u64) -> Result<u64, E> {
            Ok(milliseconds)
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<u64, E> {
            setting::milliseconds(text)
                .ok_or_else(|| E::custom(format!("`{text}` is not a duration{HINT}write it like `30s` or `5min`")))
        }
    }
}

/// A mistake in a policy, with where it is and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) struct PolicyMistake {
    /// From 1; 0 when the mistake is the whole text.
    pub(crate) line: usize,
    /// From 1; 0 when the mistake is the whole text.
    pub(crate) column: usize,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl fmt::Display for PolicyMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "{}:{}: ", self.line, self.column)?;
        }
        f.write_str(&self.message)
    }
}

/// Between the message and the hint in the one text that a deserialiser's error can carry.
pub(super) const HINT: char = '\u{1f}';

impl PolicyMistake {
    fn whole(message: String) -> Self {
        Self { line: 0, column: 0, message, hint: None }
    }

    /// What a reader of YAML complained about.
    pub(super) fn of(error: &serde_yaml::Error) -> Self {
        let (line, column) = error.location().map_or((0, 0), |at| (at.line(), at.column()));
        let text = error.to_string();
        let suffix = format!(" at line {line} column {column}");
        let text = text.strip_suffix(&suffix).unwrap_or(&text);
        let (message, hint) = match text.split_once(HINT) {
            Some((message, hint)) => (message, Some(hint.to_owned())),
            None => (text, hint_for(text)),
        };
        Self { line, column, message: message.to_owned(), hint }
    }
}

/// For `unknown field`, which the deserialiser words itself.
fn hint_for(message: &str) -> Option<String> {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let word = message.contains("unknown field").then(|| quoted.next()).flatten()?;
    nearest(word, quoted).map(|near| format!("did you mean `{near}`?"))
}

pub(super) fn unknown<'a>(what: &str, word: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    match nearest(word, known.clone()) {
        Some(near) => format!("unknown {what} `{word}`{HINT}did you mean `{near}`?"),
        None => {
            let known: Vec<_> = known.collect();
            format!("unknown {what} `{word}`{HINT}known are {}", known.join(", "))
        }
    }
}

/// The known word that somebody probably meant: at most a third of its letters are wrong.
pub(super) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near = known.map(|known| (distance(word, known), known)).min_by_key(|(distance, _)| *distance);
    near.filter(|(distance, known)| *distance * 3 <= known.chars().count()).map(|(_, known)| known)
}

/// Insertions, deletions, replacements and exchanges of neighbours from one word to the other (optimal string alignment).
fn distance(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().collect();
    let to: Vec<char> = to.chars().collect();
    let mut rows: Vec<Vec<usize>> = vec![(0..=to.len()).collect()];
    let at = |rows: &[Vec<usize>], row: Option<usize>, column: Option<usize>| -> usize {
        row.zip(column).and_then(|(row, column)| rows.get(row)?.get(column).copied()).unwrap_or(usize::MAX - 1)
    };
    for (row, left) in from.iter().enumerate() {
        let mut next = vec![row + 1];
        for (column, right) in to.iter().enumerate() {
            let replaced = at(&rows, Some(row), Some(column)) + usize::from(left != right);
            let removed = at(&rows, Some(row), Some(column + 1)) + 1;
            let added = next.last().map_or(usize::MAX, |before| before + 1);
            let swapped = row
                .checked_sub(1)
                .zip(column.checked_sub(1))
                .filter(|(above, before)| from.get(*above) == Some(right) && to.get(*before) == Some(left));
            let swapped = swapped.map_or(usize::MAX, |(above, before)| at(&rows, Some(above), Some(before)) + 1);
            next.push(replaced.min(removed).min(added).min(swapped));
        }
        rows.push(next);
    }
    at(&rows, Some(from.len()), Some(to.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(text: &str) -> Result<Policy, PolicyMistake> {
        Policy::parse(text, Environment::Production)
    }

    #[test]
    fn mistakes_have_a_place_and_a_hint() {
        let check = |text: &str, place: (usize, usize), message: &str, hint: &str| {
            let mistake = policy(text).unwrap_err();
            assert_eq!((mistake.line, mistake.column), place, "{mistake:?}");
            assert!(mistake.message.contains(message), "{mistake:?}");
            assert!(mistake.hint.as_deref().unwrap_or_default().contains(hint), "{mistake:?}");
        };
        check("rules:\n  destructiv_ddl: hold\n", (2, 3), "unknown rule `destructiv_ddl`", "`destructive_ddl`");
        check("rules:\n  destructive_ddl: hodl\n", (2, 20), "unknown outcome `hodl`", "`hold`");
        check("rules:\n  read_only: allow\n", (2, 3), "cannot be changed", "remove");
        check("ruels:\n  read_only: allow\n", (1, 1), "unknown field `ruels`", "`rules`");
        check("rules: [a]\n", (1, 8), "invalid type", "");
        check("rules:\n\tx: y\n", (2, 1), "", "");
        check("limits:\n  timeout: 5 parsecs\n", (2, 12), "not a duration", "5min");
        check("limits:\n  changed_rows: many\n", (2, 17), "invalid type", "");
        let reviewed = "reviewed_functions:\n  - function: full_name\n    body: any\n";
        check(reviewed, (2, 15), "not a function with its schema", "public.full_name");
        check("tags:\n  - relation: payments\n    tags: [financial]\n", (2, 15), "with its schema", "schema.*");
    }

    #[test]
    fn distances() {
        assert_eq!(distance("hodl", "hold"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(nearest("odrers", ["orders", "users"].into_iter()), Some("orders"));
        assert_eq!(nearest("zebra", ["orders", "users"].into_iter()), None);
    }

    #[test]
    fn canonical_form_is_read_back_and_the_same_for_the_same_meaning() {
        let one = policy(
            "search_path: [b, a]\nrules:\n  schema_change: observe\n  locking: deny\nlimits:\n  timeout: 30s\n\
             reviewed_functions:\n  - {function: 'a.b(text)', body: any}\n",
        );
        let other = policy(
            "limits: {timeout: 30000}\nrules: {locking: deny, schema_change: observe}\nsearch_path:\n- a\n- b\n- a\n\
             reviewed_functions:\n  - body: any\n    function: 'a.b(text)'\n",
        );
        let (one, other) = (one.unwrap(), other.unwrap());
        assert_eq!(one.canonical(), other.canonical());
        assert_eq!(one.digest(), other.digest());
        assert_eq!(Policy::from_canonical(&one.canonical()).unwrap(), one);
        assert_ne!(one.digest(), Policy::built_in(Environment::Production).digest());
        assert_ne!(Policy::built_in(Environment::Staging).digest(), Policy::built_in(Environment::Production).digest());
    }

    #[test]
    fn what_is_not_canonical_is_refused() {
        let bytes = Policy::built_in(Environment::Staging).canonical();
        let text = String::from_utf8(bytes).unwrap();
        let refused = |text: &str| Policy::from_canonical(text.as_bytes()).unwrap_err();
        refused(&text.replace("staging", "prod "));
        refused(&text.replace("\"version\":1", "\"version\":2"));
        refused(&text.replacen('{', "{ ", 1));
        refused(&text.replacen('{', "{\"x\":1,", 1));
        refused(text.trim_end_matches('}'));
        refused("");
    }

    #[test]
    fn an_empty_text_is_the_built_in_policy() {
        for text in ["", "\n", "# nothing\n"] {
            assert_eq!(policy(text).unwrap(), Policy::built_in(Environment::Production), "{text:?}");
        }
    }
}
