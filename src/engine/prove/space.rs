//! Everything a policy can tell apart: its kinds of session and its kinds of statement.
//!
//! A case looks at a session (who, for what, where, when) and at a statement (operations, relations) separately: it fits
//! when both do. So two sessions that every condition answers alike are one kind, and two statements likewise, and a
//! verdict on one pair of kinds is the verdict on all their pairs. Every name that a condition has is tried, and for each
//! list of names one that is on none.
//!
//! **How many relations, operations and groups are enough.** Take a statement that breaks a promise. Leave one group,
//! operation or relation out of it, but not the last of its operations or relations, and see which of the things that make
//! it break the promise can change:
//!
//! - The promise is about it: one operation and one relation that fit its `if` are enough, and one group. That its
//!   `unless` does not fit the whole can need one operation or relation that is outside of it, and never a group.
//! - A case that would make it strict enough, by itself or over a rule, does not apply. What fits one thing of fewer fits
//!   one of more, so it still does not; what excuses all of more excuses all of fewer. One group of its `unless` may be
//!   needed.
//! - A case that makes a rule milder than the promise allows does apply. What fits all of more fits all of fewer. One group
//!   of its `if` may be needed, for each rule that speaks.
//! - A case that makes a rule milder, but not too mild, does not apply; if it did, it would be the strictest. It can need
//!   one operation and one relation that it does not fit, or that its `unless` fits, or one group of its `unless`.
//!
//! So as many are enough as there are such needs, and what needs none is tried with at most one. Whoever finds a statement
//! that breaks the promise finds one that small.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::super::case::{Case, Match, Needs, OperationWord, Subject, Touched};
use super::super::policy::Policy;
use super::super::question::Question;
use super::law::Lasting;
use super::promise::{AgentAccess, Promise};
use super::{COMBINATIONS_MAX, law};
use crate::domain::{
    Access, Environment, Grant, IdentityKind, Labels, Operation, PurposeId, ResourceName, Timestamp, Touch,
};

/// A kind of session, as one of it.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) grant: Grant,
    pub(super) question: Question,
    pub(super) environment: Environment,
    /// How much there is to say about it.
    pub(super) cost: usize,
}

/// A kind of statement, as one of it.
#[derive(Clone, Debug)]
pub(super) struct Deed<'p> {
    pub(super) operations: BTreeSet<Operation>,
    pub(super) relations: Vec<Touched<'p>>,
    pub(super) is_known: bool,
}

impl<'p> Deed<'p> {
    pub(super) fn subject<'s>(&self, grant: &'s Grant, at: Timestamp) -> Subject<'s>
    where
        'p: 's,
    {
        Subject {
            grant,
            who: grant.identity.acting(),
            now: at,
            operations: self.operations.clone(),
            relations: self.relations.clone(),
            is_known: self.is_known,
        }
    }

    pub(super) fn cost(&self) -> usize {
        self.operations.len() + 2 * self.relations.len() + usize::from(!self.is_known)
    }
}

/// What matters for one promise.
#[derive(Debug)]
pub(super) struct Space<'p> {
    promise: &'p Promise,
    /// Of any environment: what differs between them is not looked at here.
    policy: &'p Policy,
    /// What resources are called.
    resource: &'p ResourceName,
    /// Cases that can make a difference to whether it is kept.
    cases: Vec<&'p Case>,
    /// All their conditions, and the promise's.
    conditions: Vec<&'p Match>,
}

/// More would have to be tried than anybody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooMany(pub(super) u64);

impl<'p> Space<'p> {
    pub(super) fn new(promise: &'p Promise, policy: &'p Policy, resource: &'p ResourceName) -> Self {
        let least = promise.mildest();
        let speaks = |case: &&Case| match (case.is_alone(), promise.rules().next()) {
            (true, _) => case.then() >= least,
            (false, Some(_)) => {
                promise.rules().any(|rule| case.names(rule) || law::with(rule).any(|with| case.names(with)))
            }
            (false, None) => law::rules().any(|rule| case.names(rule)),
        };
        let cases: Vec<&Case> = policy.docket().all().filter(speaks).collect();
        let conditions = cases.iter().flat_map(|case| case.conditions()).chain(promise.conditions()).collect();
        Self { promise, policy, resource, cases, conditions }
    }

    /// Whether the time makes a difference.
    pub(super) fn has_hours(&self) -> bool {
        self.conditions.iter().any(|conditions| conditions.hours.is_some())
    }

    /// Numbers of rows that the planner may expect.
    pub(super) fn estimates(&self) -> Vec<Option<u64>> {
        let over: BTreeSet<u64> =
            self.conditions.iter().filter_map(|conditions| conditions.estimated_rows_over).collect();
        let mut out = vec![Some(0)];
        out.extend(over.iter().map(|rows| Some(rows.saturating_add(1))));
        out.extend((!over.is_empty()).then_some(None));
        out
    }

    /// Needs that some conditions can have of a statement, as the argument above counts them.
    fn needs(&self, looks: impl Fn(&Match) -> bool) -> usize {
        let of_promise = self.promise.conditions().filter(|conditions| looks(conditions)).count();
        let mild_enough = |case: &&&Case| !case.is_alone() && case.then() >= self.promise.mildest();
        let of_cases = self.cases.iter().filter(mild_enough).filter(|case| case.conditions().any(&looks)).count();
        (of_promise + of_cases).max(1)
    }

    fn operations_most(&self) -> usize {
        self.needs(|conditions| !conditions.operation.is_empty())
    }

    fn relations_most(&self) -> usize {
        self.needs(Match::looks_at_relations)
    }

    fn groups_most(&self) -> usize {
        let of_promise = usize::from(!self.promise.matches.group.is_empty());
        let excused = |case: &&&Case| case.conditions().skip(1).any(|unless| !unless.group.is_empty());
        // One rule that the promise names, one that speaks with it, and one for each operation.
        of_promise + self.operations_most() + 2 + self.cases.iter().filter(excused).count()
    }

    /// The kinds of session that the promise is about.
    pub(super) fn sessions(&self, agents: AgentAccess) -> Result<Vec<Session>, TooMany> {
        let groups = subsets(&self.groups(), self.groups_most())?;
        let (purposes, labels, times) = (self.purposes(), self.labels()?, self.times());
        let tried = [groups.len(), purposes.len(), labels.len(), times.len()];
        within(
            tried
                .iter()
                .fold(6, |product: u64, count| product.saturating_mul(u64::try_from(*count).unwrap_or(u64::MAX))),
        )?;
        let (mut seen, mut out) = (HashSet::new(), Vec::new());
        for kind in [IdentityKind::Person, IdentityKind::Agent, IdentityKind::Workload] {
            for access in [Access::Write, Access::Read] {
                if kind == IdentityKind::Agent && !agents.allows(access) {
                    continue;
                }
                for groups in &groups {
                    for purpose in &purposes {
                        for labels in &labels {
                            for at in &times {
                                let cost = 2 * groups.len()
                                    + usize::from(purpose.is_some())
                                    + labels.len()
                                    + usize::from(kind != IdentityKind::Person);
                                let question = Question {
                                    name: "somebody".to_owned(),
                                    kind,
                                    groups: groups.iter().map(|group| (*group).to_owned()).collect(),
                                    purpose: purpose.clone(),
                                    access,
                                    resource: self.resource.clone(),
                                    labels: labels.clone(),
                                    at: *at,
                                    estimated_rows: None,
                                };
                                let environment = Environment::of(labels);
                                let grant = question.grant(self.policy.digest());
                                if let Some(answers) = self.of_session(&grant, *at, environment)
                                    && seen.insert((kind, access, environment, answers))
                                {
                                    out.push(Session { grant, question, environment, cost });
                                }
                            }
                        }
                    }
                }
            }
        }
        Ok(out)
    }

    /// What each condition says to a session; nothing when the promise is not about it.
    fn of_session(&self, grant: &Grant, at: Timestamp, environment: Environment) -> Option<Vec<bool>> {
        let nothing = Deed { operations: BTreeSet::new(), relations: Vec::new(), is_known: true };
        let subject = nothing.subject(grant, at);
        let about = self.promise.is_about(environment) && self.promise.matches.fits_session(&subject);
        about.then(|| self.conditions.iter().map(|conditions| conditions.fits_session(&subject)).collect())
    }

    /// The kinds of statement that the promise can be about.
    pub(super) fn deeds(&self) -> Result<Vec<Deed<'p>>, TooMany> {
        let operations = subsets(&self.operations(), self.operations_most())?;
        let relations = subsets(&self.relations(), self.relations_most())?;
        let product = u64::try_from(operations.len()).unwrap_or(u64::MAX).saturating_mul(2);
        within(product.saturating_mul(u64::try_from(relations.len()).unwrap_or(u64::MAX)))?;
        // Nobody in particular: only what is said about statements is asked.
        let somebody = Question {
            name: String::new(),
            kind: IdentityKind::Person,
            groups: Vec::new(),
            purpose: None,
            access: Access::Write,
            resource: self.resource.clone(),
            labels: Labels::new(),
            at: Timestamp::default(),
            estimated_rows: None,
        };
        let grant = somebody.grant(self.policy.digest());
        let (mut seen, mut out) = (HashSet::new(), Vec::new());
        for is_known in [true, false] {
            for operations in &operations {
                for relations in &relations {
                    let operations = operations.iter().copied().collect();
                    let deed = Deed { operations, relations: relations.clone(), is_known };
                    let subject = deed.subject(&grant, Timestamp::default());
                    let about = self.promise.matches.fits_operations(&subject, Needs::Any)
                        && self.promise.matches.fits_relations(&subject, Needs::Any);
                    if about && seen.insert(self.of_deed(&deed, &subject)) {
                        out.push(deed);
                    }
                }
            }
        }
        Ok(out)
    }

    /// What each condition says to a statement, and which rules surely speak about it.
    fn of_deed(&self, deed: &Deed<'_>, subject: &Subject<'_>) -> (Vec<[bool; 4]>, BTreeSet<&'static [&'static str]>) {
        let answers = |conditions: &&Match| {
            [
                conditions.fits_operations(subject, Needs::Any),
                conditions.fits_operations(subject, Needs::All),
                conditions.fits_relations(subject, Needs::Any),
                conditions.fits_relations(subject, Needs::All),
            ]
        };
        let speak = |access| {
            let lasting = Lasting::of(&deed.relations);
            deed.operations.iter().map(move |operation| law::speak(*operation, access, lasting))
        };
        (self.conditions.iter().map(answers).collect(), speak(Access::Read).chain(speak(Access::Write)).collect())
    }

    /// Groups that conditions name, one of those that all name together.
    fn groups(&self) -> Vec<&'p str> {
        let named: BTreeSet<&str> = self.conditions.iter().flat_map(|one| &one.group).map(String::as_str).collect();
        let mut seen = HashSet::new();
        let answers = |group: &str| self.conditions.iter().map(|one| one.group.contains(group)).collect::<Vec<_>>();
        named.into_iter().filter(|group| seen.insert(answers(group))).collect()
    }

    /// None, which is like one that nobody names, and those that are named. No session has one that is no id.
    fn purposes(&self) -> Vec<Option<PurposeId>> {
        let named: BTreeSet<&String> = self.conditions.iter().flat_map(|one| &one.purpose).collect();
        [None].into_iter().chain(named.into_iter().filter_map(|id| id.parse().ok()).map(Some)).collect()
    }

    /// Labels of resources: each that is named with each value it is named with, and without it.
    fn labels(&self) -> Result<Vec<Labels>, TooMany> {
        let environments = ["prod", "staging", "dev"].map(|word| Some(word.to_owned()));
        let mut named: BTreeMap<&str, Vec<Option<String>>> = BTreeMap::from([("env", environments.to_vec())]);
        for (label, value) in self.conditions.iter().flat_map(|one| &one.labels) {
            let values = named.entry(label).or_insert_with(|| vec![None]);
            if !values.iter().any(|known| known.as_ref() == Some(value)) {
                values.push(Some(value.clone()));
            }
        }
        if let Some(values) = named.get_mut("env") {
            values.push(None);
        }
        let mut out = vec![Labels::new()];
        for (label, values) in named {
            within(u64::try_from(out.len().saturating_mul(values.len())).unwrap_or(u64::MAX))?;
            let with = |labels: &Labels, value: &Option<String>| {
                let mut labels = labels.clone();
                labels.extend(value.clone().map(|value| (label.to_owned(), value)));
                labels
            };
            out = out.iter().flat_map(|labels| values.iter().map(move |value| with(labels, value))).collect();
        }
        Ok(out)
    }

    /// Times of a week between which no condition changes its answer. The first is a Monday.
    fn times(&self) -> Vec<Timestamp> {
        const MONDAY: u64 = 1_795_996_800;
        const DAY: u64 = 24 * 60 * 60;
        let hours: Vec<_> = self.conditions.iter().filter_map(|one| one.hours).collect();
        if hours.is_empty() {
            return vec![Timestamp::from_seconds(MONDAY)];
        }
        let minutes: BTreeSet<u16> = [0].into_iter().chain(hours.iter().flat_map(|hours| hours.turns())).collect();
        let of_day = |day: u64| {
            minutes.iter().map(move |minute| Timestamp::from_seconds(MONDAY + day * DAY + u64::from(*minute) * 60))
        };
        (0..7).flat_map(of_day).collect()
    }

    /// Operations, one of those that no condition and no law tells apart.
    fn operations(&self) -> Vec<Operation> {
        let mut seen = HashSet::new();
        let answers = |operation: Operation| {
            let conditions: Vec<bool> =
                self.conditions.iter().map(|one| one.operation.contains(&OperationWord(operation))).collect();
            let laws = [Access::Read, Access::Write]
                .map(|access| Lasting::ALL.map(|lasting| law::speak(operation, access, lasting)));
            // How it touches relations.
            let touch = match operation {
                Operation::Insert | Operation::Update | Operation::Delete => 0,
                Operation::SchemaChange | Operation::Drop | Operation::Privilege => 1,
                _ => 2,
            };
            (conditions, laws, touch)
        };
        OperationWord::ALL.iter().copied().filter(|operation| seen.insert(answers(*operation))).collect()
    }

    /// Relations, one of those that no condition tells apart: by their names, the tags that the policy gives them, how they
    /// are touched, and their size.
    fn relations(&self) -> Vec<Touched<'p>> {
        let looking: Vec<&Match> = self.conditions.iter().filter(|one| one.looks_at_relations()).copied().collect();
        let of_tags = looking.iter().any(|one| !one.tag.is_empty()).then(|| self.policy.tagged());
        let patterns = looking.iter().flat_map(|one| &one.relation).chain(of_tags.into_iter().flatten());
        let (mut schemas, mut names) = (BTreeSet::new(), BTreeSet::new());
        for pattern in patterns {
            let (schema, name) = pattern.as_written().split_once('.').unwrap_or_default();
            schemas.extend(Some(schema).filter(|schema| *schema != "*"));
            names.extend(Some(name).filter(|name| *name != "*"));
        }
        let other = |named: &BTreeSet<&str>, known: &'static [&'static str]| {
            known.iter().copied().find(|word| !named.contains(word)).unwrap_or("\u{1}")
        };
        let (schema, name) = (other(&schemas, OTHER_SCHEMAS), other(&names, OTHER_NAMES));
        // What is not there has no schema when none is written.
        let schemas: Vec<&str> = [schema].into_iter().chain(schemas).chain([""]).collect();
        let names: Vec<&str> = [name].into_iter().chain(names).collect();
        let over: BTreeSet<u64> = looking.iter().filter_map(|one| one.table_rows_over).collect();
        let rows: Vec<Option<u64>> =
            [None].into_iter().chain(over.into_iter().map(|rows| Some(rows.saturating_add(1)))).collect();
        let touches: &[Touch] = match looking.iter().any(|one| !one.operation.is_empty()) {
            true => &[Touch::Write, Touch::Define, Touch::Read],
            false => &[Touch::Read],
        };
        let (mut seen, mut out) = (HashSet::new(), Vec::new());
        for schema in schemas {
            for name in &names {
                let tags = if schema.is_empty() { BTreeSet::new() } else { self.policy.tags(schema, name) };
                for rows in &rows {
                    for touch in touches {
                        let relation = Touched { schema, name, touch: *touch, tags: tags.clone(), rows: *rows };
                        let answers: Vec<bool> = looking.iter().map(|one| one.fits_relation(&relation)).collect();
                        if seen.insert((answers, *touch)) {
                            out.push(relation);
                        }
                    }
                }
            }
        }
        out
    }
}

/// Names for what no condition names.
const OTHER_SCHEMAS: &[&str] = &["public", "app", "elsewhere", "anywhere"];
const OTHER_NAMES: &[&str] = &["things", "items", "others", "whatever"];

/// Nothing else may be tried when this is more than anybody waits for.
pub(super) fn within(combinations: u64) -> Result<(), TooMany> {
    if combinations > COMBINATIONS_MAX { Err(TooMany(combinations)) } else { Ok(()) }
}

/// All choices of at most so many of these, the smaller first.
fn subsets<T: Clone>(all: &[T], most: usize) -> Result<Vec<Vec<T>>, TooMany> {
    let mut out = vec![Vec::new()];
    let mut last: Vec<(usize, Vec<T>)> = vec![(0, Vec::new())];
    for _ in 0..most.min(all.len()) {
        let mut next = Vec::new();
        for (from, chosen) in &last {
            for (place, one) in all.iter().enumerate().skip(*from) {
                let more: Vec<T> = chosen.iter().chain([one]).cloned().collect();
                next.push((place + 1, more));
            }
            within(u64::try_from(out.len() + next.len()).unwrap_or(u64::MAX))?;
        }
        out.extend(next.iter().map(|(_, chosen)| chosen.clone()));
        last = next;
    }
    Ok(out)
}
