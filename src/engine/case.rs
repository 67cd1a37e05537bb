//! Cases: what a policy says about particular people, purposes, data and hours, beyond the built-in rules.
//!
//! A case either stops statements by itself, or changes what built-in rules lead to. What makes things stricter needs
//! one thing to fit: one of several operations, one of several relations. What makes them milder needs everything to
//! fit: an exception for `scratch.*` does not cover a statement that also touches `billing.payments`. Of several cases
//! that apply, the strictest counts. Matches are plain data and evaluated here; there is no language to compute in.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::policy::{ActionWord, HINT, Pattern, RuleName, Word, unknown};
use super::resolve::{Facts, Found};
use super::rule::Rule;
use super::sql::fact::{Deed, Name};
use crate::domain::{Access, Action, Grant, IdentityKind, Operation, PurposeId, Reason, Timestamp, Touch};

/// The word under which cases that stop statements by themselves are recorded.
pub(super) const RULE: &str = "case";

/// One case, as people write it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, try_from = "Written", into = "Written")]
#[schemars(with = "Written")]
pub(super) struct Case {
    written: Written,
}

/// The form of a case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Written {
    /// What it is called in refusals.
    name: String,
    /// When it applies: everything said here must be so.
    #[serde(rename = "if")]
    matches: Match,
    /// When it does not apply after all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unless: Option<Match>,
    /// What happens.
    then: ActionWord,
    /// The built-in rules whose outcome it changes. Without them the case stops statements by itself.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty", deserialize_with = "one_or_many")]
    #[schemars(with = "OneOrMany<RuleName>")]
    rules: BTreeSet<RuleName>,
    /// What whoever is stopped is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Conditions. Of several values of one condition, one is enough; what is not said does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Match {
    /// Who acts.
    #[serde(skip_serializing_if = "BTreeSet::is_empty", deserialize_with = "one_or_many")]
    #[schemars(with = "OneOrMany<KindWord>")]
    pub(super) kind: BTreeSet<KindWord>,
    /// Groups of the identity.
    #[serde(skip_serializing_if = "BTreeSet::is_empty", deserialize_with = "one_or_many")]
    #[schemars(with = "OneOrMany<String>")]
    pub(super) group: BTreeSet<String>,
    /// Purposes the session was opened for.
    #[serde(skip_serializing_if = "BTreeSet::is_empty", deserialize_with = "one_or_many")]
    #[schemars(with = "OneOrMany<String>")]
    pub(super) purpose: BTreeSet<String>,
    /// Labels of the resource, each with this value.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) labels: BTreeMap<String, String>,
    /// What the session may do.
    #[serde(skip_serializing_if = "BTreeSet::is_empty", deserialize_with = "one_or_many")]
    #[schemars(with = "OneOrMany<AccessWord>")]
    pub(super) access: BTreeSet<AccessWord>,
    /// What the statement does.
    #[serde(skip_serializing_if = "BTreeSet::is_empty", deserialize_with = "one_or_many")]
    #[schemars(with = "OneOrMany<OperationWord>")]
    pub(super) operation: BTreeSet<OperationWord>,
    /// Relations, as `schema.relation` or `schema.*`.
    #[serde(skip_serializing_if = "BTreeSet::is_empty", deserialize_with = "one_or_many")]
    #[schemars(with = "OneOrMany<Pattern>")]
    pub(super) relation: BTreeSet<Pattern>,
    /// Tags of relations, from `tags`.
    #[serde(skip_serializing_if = "BTreeSet::is_empty", deserialize_with = "one_or_many")]
    #[schemars(with = "OneOrMany<String>")]
    pub(super) tag: BTreeSet<String>,
    /// Relations with more rows than this, by the planner's estimate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) table_rows_over: Option<u64>,
    /// Statements that the planner expects to return or change more rows than this. It is asked each time, with the
    /// session's own rights; where it cannot say, somebody else has to agree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) estimated_rows_over: Option<u64>,
    /// Hours of the week in UTC, as `mon-fri 08:00-18:00`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hours: Option<Hours>,
}

/// How much of a statement must fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    /// One operation, one relation.
    Any,
    /// All of them, and all must be known.
    All,
}

impl Needs {
    fn opposite(self) -> Self {
        match self {
            Self::Any => Self::All,
            Self::All => Self::Any,
        }
    }
}

/// What a command touches, put together once for all cases.
#[derive(Debug)]
pub(super) struct Subject<'a> {
    pub(super) grant: &'a Grant,
    pub(super) who: IdentityKind,
    pub(super) now: Timestamp,
    pub(super) operations: BTreeSet<Operation>,
    pub(super) relations: Vec<Touched<'a>>,
    /// Everything the command does is known.
    pub(super) is_known: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Touched<'a> {
    pub(super) schema: &'a str,
    pub(super) name: &'a str,
    pub(super) touch: Touch,
    pub(super) tags: BTreeSet<&'a str>,
    pub(super) rows: Option<u64>,
}

impl<'a> Subject<'a> {
    pub(super) fn new(facts: &Facts<'a>, now: Timestamp) -> Self {
        let used = facts.relations.iter().map(|used| (&used.used.name, used.used.touch));
        let dropped = facts.deeds().filter_map(|(deed, _)| match deed {
            Deed::Drop { names, .. } => Some(names),
            _ => None,
        });
        let dropped = dropped.flatten().map(|name| (name, Touch::Define));
        let touched = used.chain(dropped).filter_map(|(name, touch)| touched(facts, name, touch));
        let missing = |name: &Name| matches!(facts.find(name), Found::Missing);
        Self {
            grant: facts.grant,
            who: facts.who,
            now,
            operations: facts.deeds().flat_map(|(deed, _)| deed.operations().collect::<Vec<_>>()).collect(),
            relations: touched.collect(),
            is_known: facts.complaint.is_none()
                && facts.strange().next().is_none()
                && facts.unknown_names.is_empty()
                // What is only now being made is named for what it will be.
                && !facts.relations.iter().any(|used| used.used.touch != Touch::Define && missing(&used.used.name)),
        }
    }
}

impl Subject<'_> {
    /// The relations that are touched: schema, name and tags.
    pub(super) fn touched(&self) -> impl Iterator<Item = (&str, &str, &BTreeSet<&str>)> {
        self.relations.iter().map(|touched| (touched.schema, touched.name, &touched.tags))
    }
}

/// A relation that is not the server's own and not the session's.
fn touched<'a>(facts: &Facts<'a>, name: &'a Name, touch: Touch) -> Option<Touched<'a>> {
    let (schema, name_found, rows) = match facts.find(name) {
        Found::Known(relation) => (relation.schema.as_str(), relation.name.as_str(), relation.rows),
        Found::Missing => (name.schema.as_deref().unwrap_or_default(), &*name.name, None),
        Found::System(_) | Found::Temporary => return None,
    };
    Some(Touched { schema, name: name_found, touch, tags: facts.tags(name), rows })
}

impl Case {
    /// That a purpose is for these operations only. What a session sets for itself is always part of using it.
    pub(super) fn operations_of(purpose: &PurposeId, allowed: &BTreeSet<OperationWord>) -> Self {
        let others = OperationWord::ALL.iter().filter(|operation| **operation != Operation::Session).copied();
        let operation = others.map(OperationWord).filter(|word| !allowed.contains(word)).collect();
        let words: Vec<_> = allowed.iter().map(|word| word.0.word()).collect();
        let matches = Match { operation, ..Match::default() };
        Self::confining(purpose, "operations", matches, format!("the purpose `{purpose}` is for: {}", words.join(", ")))
    }

    /// That a purpose is for no data that carries one of these tags.
    pub(super) fn tags_of(purpose: &PurposeId, others: BTreeSet<String>) -> Self {
        let words: Vec<_> = others.iter().map(|tag| format!("`{tag}`")).collect();
        let reason = format!("the purpose `{purpose}` is not for data tagged {}", words.join(" or "));
        Self::confining(purpose, "tags", Match { tag: others, ..Match::default() }, reason)
    }

    fn confining(purpose: &PurposeId, what: &str, matches: Match, reason: String) -> Self {
        let matches = Match { purpose: BTreeSet::from([purpose.to_string()]), ..matches };
        let (name, then) = (format!("{what} of {purpose}"), ActionWord::from(Action::Deny));
        let written = Written { name, matches, unless: None, then, rules: BTreeSet::new(), reason: Some(reason) };
        Self { written }
    }

    /// The name people gave it.
    pub(super) fn name(&self) -> &str {
        &self.written.name
    }

    /// Whether the time matters.
    pub(super) fn has_hours(&self) -> bool {
        self.conditions().any(|matches| matches.hours.is_some())
    }

    /// When it applies, and when it does not after all.
    pub(super) fn conditions(&self) -> impl Iterator<Item = &Match> {
        [&self.written.matches].into_iter().chain(&self.written.unless)
    }

    /// What it leads to.
    pub(super) fn then(&self) -> Action {
        self.written.then.into()
    }

    /// Whether it stops statements by itself, whatever rules say.
    pub(super) fn is_alone(&self) -> bool {
        self.written.rules.is_empty()
    }

    /// Whether it changes what a rule leads to.
    pub(super) fn names(&self, rule: &dyn Rule) -> bool {
        self.written.rules.contains(&RuleName::of(rule))
    }

    /// What relations must match one of for it to apply; nothing when it may apply whatever is touched.
    pub(super) fn patterns(&self) -> impl Iterator<Item = &str> {
        self.written.matches.relation.iter().map(Pattern::as_written)
    }

    /// Tags of which a relation must carry one for it to apply; nothing when it may apply whatever is touched.
    pub(super) fn tags(&self) -> impl Iterator<Item = &str> {
        self.written.matches.tag.iter().map(String::as_str)
    }

    /// What a rule that fired leads to instead of `standard`, when this case says so.
    pub(super) fn changes(&self, rule: &dyn Rule, standard: Action, subject: &Subject<'_>) -> Option<Action> {
        let then = Action::from(self.written.then);
        if !self.names(rule) {
            return None;
        }
        let needs = if then < standard { Needs::All } else { Needs::Any };
        // What is said for everybody makes nothing milder for agents.
        let names_agents = self.written.matches.kind.contains(&KindWord(IdentityKind::Agent));
        let is_for_them = then >= standard || subject.who != IdentityKind::Agent || names_agents;
        (is_for_them && self.applies(subject, needs)).then_some(then)
    }

    /// What the case leads to by itself, and why; with the number of rows beyond which it does, where that matters.
    pub(super) fn stops(&self, subject: &Subject<'_>, position: usize) -> Option<(Action, Reason, Option<u64>)> {
        if !self.written.rules.is_empty() || !self.applies(subject, Needs::Any) {
            return None;
        }
        let message = match &self.written.reason {
            Some(reason) => reason.trim_end_matches('.').to_owned(),
            None => "this is a case that the policy names".to_owned(),
        };
        let reason = Reason::new(RULE, message).detail(format!("Case: {}.", self.name())).at(position);
        Some((self.written.then.into(), reason, self.written.matches.estimated_rows_over))
    }

    /// Whether it would stop a subject, if it were not for its `unless`.
    pub(super) fn excuses(&self, subject: &Subject<'_>) -> bool {
        let excused = self.written.unless.as_ref().is_some_and(|unless| unless.fits(subject, Needs::All));
        self.is_alone() && excused && self.written.matches.fits(subject, Needs::Any)
    }

    fn applies(&self, subject: &Subject<'_>, needs: Needs) -> bool {
        let excepted = |unless: &Match| unless.fits(subject, needs.opposite());
        self.written.matches.fits(subject, needs) && !self.written.unless.as_ref().is_some_and(excepted)
    }
}

impl Match {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn fits(&self, subject: &Subject<'_>, needs: Needs) -> bool {
        self.fits_session(subject) && self.fits_operations(subject, needs) && self.fits_relations(subject, needs)
    }

    /// Whether what is said about relations can make a difference.
    pub(super) fn looks_at_relations(&self) -> bool {
        !self.relation.is_empty() || !self.tag.is_empty() || self.table_rows_over.is_some()
    }

    pub(super) fn fits_session(&self, subject: &Subject<'_>) -> bool {
        let grant = subject.grant;
        let purpose = grant.purpose.as_ref().map(|purpose| purpose.id.as_str());
        (self.kind.is_empty() || self.kind.contains(&KindWord(subject.who)))
            && (self.access.is_empty() || self.access.contains(&AccessWord(grant.access)))
            && (self.group.is_empty() || grant.identity.groups.iter().any(|group| self.group.contains(group)))
            && (self.purpose.is_empty() || purpose.is_some_and(|purpose| self.purpose.contains(purpose)))
            && self.labels.iter().all(|(label, value)| grant.labels.get(label) == Some(value))
            && self.hours.is_none_or(|hours| hours.contain(subject.now))
    }

    pub(super) fn fits_operations(&self, subject: &Subject<'_>, needs: Needs) -> bool {
        let wanted = |operation: &Operation| self.operation.contains(&OperationWord(*operation));
        match needs {
            _ if self.operation.is_empty() => true,
            Needs::Any => subject.operations.iter().any(wanted),
            Needs::All => subject.is_known && !subject.operations.is_empty() && subject.operations.iter().all(wanted),
        }
    }

    pub(super) fn fits_relations(&self, subject: &Subject<'_>, needs: Needs) -> bool {
        if !self.looks_at_relations() {
            return true;
        }
        let fits = |touched: &Touched<'_>| self.fits_relation(touched);
        let relations = &subject.relations;
        match needs {
            Needs::Any => relations.iter().any(|touched| self.operates(subject, touched.touch) && fits(touched)),
            Needs::All => subject.is_known && !relations.is_empty() && relations.iter().all(fits),
        }
    }

    /// Whether a relation is what is said about relations.
    pub(super) fn fits_relation(&self, touched: &Touched<'_>) -> bool {
        (self.relation.is_empty() || self.relation.iter().any(|found| found.matches(touched.schema, touched.name)))
            && (self.tag.is_empty() || self.tag.iter().any(|tag| touched.tags.contains(tag.as_str())))
            && self.table_rows_over.is_none_or(|rows| touched.rows.is_some_and(|found| found > rows))
    }

    /// Whether one of the operations asked for, and done, can be what touched a relation this way.
    fn operates(&self, subject: &Subject<'_>, touch: Touch) -> bool {
        let done = self.operation.iter().filter(|word| subject.operations.contains(&word.0));
        self.operation.is_empty()
            || done.into_iter().any(|word| match word.0 {
                Operation::Insert | Operation::Update | Operation::Delete => touch == Touch::Write,
                Operation::SchemaChange | Operation::Drop | Operation::Privilege => touch == Touch::Define,
                // These may touch a relation in any way.
                Operation::Read
                | Operation::Truncate
                | Operation::Session
                | Operation::Maintenance
                | Operation::Outside
                | Operation::Opaque => true,
            })
    }
}

impl TryFrom<Written> for Case {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let name = &written.name;
        if name.trim().is_empty() || name.chars().any(char::is_control) {
            return Err(format!("a case has no name{HINT}give it one that says what it is about"));
        }
        if written.matches.is_empty() {
            return Err(format!("the case `{name}` would be every statement{HINT}say under `if` which"));
        }
        if written.unless.as_ref().is_some_and(Match::is_empty) {
            return Err(format!("the case `{name}` would never apply{HINT}say under `unless` when it does not"));
        }
        let estimates = |matches: &Match| matches.estimated_rows_over.is_some();
        let stops = written.rules.is_empty() && Action::from(written.then) >= Action::Hold;
        if written.unless.as_ref().is_some_and(estimates) || (estimates(&written.matches) && !stops) {
            return Err(format!(
                "the case `{name}` rests on an estimate, which excuses nothing{HINT}say `estimated_rows_over` under `if`, \
                 without `rules`, and then `hold` or `deny`"
            ));
        }
        if Action::from(written.then) == Action::Allow && written.rules.is_empty() {
            return Err(format!(
                "the case `{name}` allows what nothing forbids{HINT}name under `rules` what it is an exception to"
            ));
        }
        Ok(Self { written })
    }
}

impl From<Case> for Written {
    fn from(case: Case) -> Self {
        case.written
    }
}

/// A word of a fixed list, under its own type.
macro_rules! word {
    ($(#[$doc:meta])* $name:ident, $of:ty, $what:literal, [$($value:expr),+ $(,)?]) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) struct $name(pub(super) $of);

        impl $name {
            pub(super) const ALL: &[$of] = &[$($value),+];
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                self.0.word().cmp(other.0.word())
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.0.word())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Word::read(deserializer, |word| {
                    let found = Self::ALL.iter().find(|known| known.word() == word);
                    found.copied().map(Self).ok_or_else(|| {
                        unknown($what, word, Self::ALL.iter().map(|known| known.word()))
                    })
                })
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                $what.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let words: Vec<_> = Self::ALL.iter().map(|known| known.word()).collect();
                json_schema!({ "enum": words })
            }

            fn inline_schema() -> bool {
                true
            }
        }
    };
}

word!(
    /// A kind of identity.
    KindWord,
    IdentityKind,
    "kind",
    [IdentityKind::Person, IdentityKind::Workload, IdentityKind::Agent]
);
word!(
    /// How much of a resource a session opens.
    AccessWord,
    Access,
    "access",
    [Access::Read, Access::Write]
);
word!(
    /// What a statement does.
    OperationWord,
    Operation,
    "operation",
    [
        Operation::Read,
        Operation::Insert,
        Operation::Update,
        Operation::Delete,
        Operation::Truncate,
        Operation::SchemaChange,
        Operation::Drop,
        Operation::Privilege,
        Operation::Session,
        Operation::Maintenance,
        Operation::Outside,
        Operation::Opaque,
    ]
);

/// One value, or a list of them: `kind: agent`, `kind: [agent, workload]`.
pub(super) fn one_or_many<'de, D: Deserializer<'de>, T: Deserialize<'de> + Ord>(
    deserializer: D,
) -> Result<BTreeSet<T>, D::Error> {
    struct Reader<T>(std::marker::PhantomData<T>);

    impl<'de, T: Deserialize<'de> + Ord> Visitor<'de> for Reader<T> {
        type Value = BTreeSet<T>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("one value or a list")
        }

        fn visit_str<E: serde::de::Error>(self, one: &str) -> Result<BTreeSet<T>, E> {
            T::deserialize(serde::de::value::StrDeserializer::new(one)).map(|one| BTreeSet::from([one]))
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<BTreeSet<T>, A::Error> {
            let mut out = BTreeSet::new();
            while let Some(next) = list.next_element()? {
                out.insert(next);
            }
            Ok(out)
        }

        fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<BTreeSet<T>, A::Error> {
            Err(serde::de::Error::invalid_type(serde::de::Unexpected::Map, &self))
        }
    }

    deserializer.deserialize_any(Reader(std::marker::PhantomData))
}

/// The form of what [`one_or_many`] reads, for editors.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it stands for a form and is never made")]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

/// Hours of the week, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Hours {
    /// Bit 0 is Monday.
    days: u8,
    /// Minutes of the day, the first that belongs and the first that does not. A span that ends before it begins goes
    /// over midnight.
    from: u16,
    to: u16,
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const DAY_MINUTES: u16 = 24 * 60;

impl Hours {
    /// `mon-fri`, `08:00-18:00`, or both; days as a list too: `sat,sun`.
    fn parse(text: &str) -> Option<Self> {
        let mut hours = Self { days: 0, from: 0, to: DAY_MINUTES };
        let mut words = text.split_whitespace().peekable();
        if let Some(days) = words.next_if(|word| word.starts_with(|letter: char| letter.is_ascii_alphabetic())) {
            for part in days.split(',') {
                let (first, last) = part.split_once('-').unwrap_or((part, part));
                let day = |word: &str| DAYS.iter().position(|day| *day == word);
                let (first, last) = (day(first)?, day(last)?);
                let length = (last + 7 - first) % 7;
                (first..=first + length).for_each(|day| hours.days |= 1 << (day % 7));
            }
        } else {
            hours.days = 0x7f;
        }
        if let Some(span) = words.next() {
            let (from, to) = span.split_once('-')?;
            (hours.from, hours.to) = (minute(from)?, minute(to)?);
        } else if hours.days == 0x7f && !text.contains("mon") {
            return None;
        }
        (words.next().is_none() && hours.from != hours.to).then_some(hours)
    }

    /// Minutes of a day at which a span begins or has ended: between two of them, and within one day, nothing changes.
    pub(super) fn turns(self) -> [u16; 2] {
        [self.from % DAY_MINUTES, self.to % DAY_MINUTES]
    }

    fn contain(self, now: Timestamp) -> bool {
        let minutes = now.seconds() / 60;
        let minute = u16::try_from(minutes % u64::from(DAY_MINUTES)).unwrap_or(0);
        // 1970-01-01 was a Thursday.
        let day = (minutes / u64::from(DAY_MINUTES) + 3) % 7;
        let in_span = if self.from < self.to {
            (self.from..self.to).contains(&minute)
        } else {
            minute >= self.from || minute < self.to
        };
        in_span && self.days >> day & 1 == 1
    }
}

/// Minutes since midnight of `08:30`; `24:00` is the end of the day.
fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let two = |text: &str| -> Option<u16> { (text.len() == 2).then(|| text.parse().ok())? };
    let (hour, minute) = (two(hour)?, two(minute)?);
    (minute < 60).then(|| hour * 60 + minute).filter(|minute| *minute <= DAY_MINUTES)
}

impl Serialize for Hours {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let days = DAYS.iter().enumerate().filter(|(day, _)| self.days >> day & 1 == 1).map(|(_, word)| *word);
        let days: Vec<_> = days.collect();
        let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        serializer.collect_str(&format_args!("{} {}-{}", days.join(","), time(self.from), time(self.to)))
    }
}

impl<'de> Deserialize<'de> for Hours {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Word::read(deserializer, |text| {
            Self::parse(text).ok_or_else(|| {
                format!("`{text}` is no hours of a week{HINT}write them like `mon-fri 08:00-18:00`, in UTC")
            })
        })
    }
}

impl JsonSchema for Hours {
    fn schema_name() -> Cow<'static, str> {
        "hours".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "examples": ["mon-fri 08:00-18:00", "sat,sun", "22:00-06:00"] })
    }

    fn inline_schema() -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_of_the_week() {
        let check = |text: &str, at: &str, expected: bool| {
            let hours = Hours::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(hours.contain(Timestamp::parse(at).unwrap()), expected, "{text} {at}");
        };
        // 2026-11-27 is a Friday.
        check("mon-fri 08:00-18:00", "2026-11-27T08:00:00Z", true);
        check("mon-fri 08:00-18:00", "2026-11-27T07:59:59Z", false);
        check("mon-fri 08:00-18:00", "2026-11-27T18:00:00Z", false);
        check("mon-fri 08:00-18:00", "2026-11-28T12:00:00Z", false);
        check("sat,sun", "2026-11-28T12:00:00Z", true);
        check("fri-mon", "2026-11-30T00:00:00Z", true);
        check("fri-mon", "2026-12-01T00:00:00Z", false);
        check("22:00-06:00", "2026-11-27T23:00:00Z", true);
        check("22:00-06:00", "2026-11-27T12:00:00Z", false);
        check("08:00-24:00", "2026-11-27T23:59:00Z", true);
        for text in ["", "monday", "mon 8-18", "mon 08:00", "25:00-26:00", "08:00-08:00", "mon 08:00-18:00 utc", "mon-"]
        {
            assert_eq!(Hours::parse(text), None, "{text}");
        }
    }
}
