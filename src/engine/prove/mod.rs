//! Proves promises about a policy, or refutes them with a statement that breaks them.
//!
//! The language of policies is finite: cases name kinds, groups, purposes, labels, operations, relations, tags, numbers of
//! rows and hours, and compute nothing. So there are finitely many kinds of session and of statement that a policy can tell
//! apart ([`space`]), and a proof decides one of each. It is decided by what decides statements ([`decide::verdict`]), on
//! subjects put together here instead of read from SQL: there is no second meaning of a policy that could differ.
//!
//! Which rules speak about a statement is for their own code to find out, and taken as unknown, but for a few laws
//! ([`law`]). So what is proven is true of every statement; what is not may still be, and is refuted only by a statement
//! that the whole engine reads and lets through ([`witness`]).

mod law;
mod promise;
mod space;
#[cfg(test)]
mod tests;
mod witness;

pub(crate) use promise::{AgentAccess, Promise};

use std::collections::BTreeSet;

use self::law::Lasting;
use self::space::{Deed, Session, Space, TooMany};
use super::case::{self, Case, Subject};
use super::decide;
use super::policy::{Policy, PolicySource};
use super::question::Question;
use super::rule::{RULES, Rule};
use crate::domain::{Access, Action, Environment, Operation, ResourceName, Verdict};

/// Sessions, statements, or kinds of both that are tried for one promise: a few seconds.
const COMBINATIONS_MAX: u64 = 2_000_000;

/// Ways to break a promise for which a statement is looked for.
const BREACHES_MAX: usize = 32;

/// What became of a promise.
#[derive(Debug)]
pub(crate) enum Outcome {
    Proven,
    Refuted(Box<Counterexample>),
    /// The policy knows nothing that the promise is about.
    Empty,
    /// Nothing is known to exclude this, but no statement was found that does it.
    Unshown(Box<Counterexample>),
    /// So many combinations would have to be tried.
    TooMany(u64),
}

/// What became of a promise, and what that rests on.
#[derive(Debug)]
pub(crate) struct Proof {
    pub(crate) outcome: Outcome,
    /// Situations that were decided, each for all that the policy cannot tell from it.
    pub(crate) decided: u64,
}

/// A situation in which a promise is broken.
#[derive(Debug)]
pub(crate) struct Counterexample {
    pub(crate) question: Question,
    /// Whether the time of the question matters.
    pub(crate) at_matters: bool,
    pub(crate) operations: BTreeSet<Operation>,
    pub(crate) relations: Vec<Touched>,
    /// Rows that the planner expects, where it matters; `None` within is that it cannot say.
    pub(crate) estimate: Option<Option<u64>>,
    pub(crate) verdict: Verdict,
    /// What let it through.
    pub(crate) causes: Vec<Cause>,
    /// A statement that does it.
    pub(crate) sql: Option<String>,
}

/// A relation of a counterexample.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Touched {
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(crate) tags: BTreeSet<String>,
    /// How many rows it has, where it matters.
    pub(crate) rows: Option<u64>,
}

/// What in a policy lets something through.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cause {
    /// A case, by its name, that makes a rule milder.
    Case { name: String, rule: &'static str, then: Action },
    /// A case, by its name, whose `unless` excuses it from stopping this.
    Excused { name: String },
    /// What `rules` or `agent_rules` says about a rule.
    Section { section: &'static str, rule: &'static str, then: Action },
    /// What a rule leads to where nothing is said about it.
    BuiltIn { rule: &'static str, then: Action },
    /// No rule speaks about it and no case stops it.
    Nothing,
}

/// Holds policies to promises.
#[derive(Debug)]
pub(crate) struct Prover<'p> {
    policies: [(Environment, Policy); 3],
    agents: AgentAccess,
    resource: &'p ResourceName,
}

impl<'p> Prover<'p> {
    pub(crate) fn new(source: &PolicySource, agents: AgentAccess, resource: &'p ResourceName) -> Self {
        let environments = [Environment::Production, Environment::Staging, Environment::Development];
        Self { policies: environments.map(|one| (one, Policy::written(one, source))), agents, resource }
    }

    fn policy(&self, environment: Environment) -> &Policy {
        let [production, rest @ ..] = &self.policies;
        rest.iter().find(|(found, _)| *found == environment).map_or(&production.1, |(_, policy)| policy)
    }

    /// Proves or refutes a promise. The thread needs [`super::STACK`] bytes of stack.
    pub(crate) fn prove(&self, promise: &Promise) -> Proof {
        let (mut breaches, decided) = match self.breaches(promise) {
            Ok(found) => found,
            Err(TooMany(number)) => return Proof { outcome: Outcome::TooMany(number), decided: 0 },
        };
        breaches.sort_by_key(Breach::cost);
        breaches.truncate(BREACHES_MAX);
        let has_hours = self.space(promise).has_hours();
        let shown = breaches.iter().find_map(|breach| {
            let (sql, seen) = witness::find(self, promise, breach)?;
            Some(self.counterexample(breach, has_hours, Some(sql), seen))
        });
        let outcome = match (shown, breaches.first()) {
            (Some(shown), _) => Outcome::Refuted(Box::new(shown)),
            (None, None) if decided == 0 => Outcome::Empty,
            (None, None) => Outcome::Proven,
            (None, Some(first)) => {
                // What makes some rules speak cannot be written down without a database.
                let silent = |breach: &&Breach<'_>| breach.rules.iter().any(|rule| witness::is_out_of_reach(*rule));
                let breach = breaches.iter().find(silent).unwrap_or(first);
                let subject = breach.deed.subject(&breach.session.grant, breach.session.question.at);
                let environment = breach.session.environment;
                let seen = self.seen(promise, environment, &breach.rules, &subject, breach.verdict);
                let unshown = Box::new(self.counterexample(breach, has_hours, None, seen));
                if silent(&breach) { Outcome::Refuted(unshown) } else { Outcome::Unshown(unshown) }
            }
        };
        Proof { outcome, decided }
    }

    fn space<'s>(&'s self, promise: &'s Promise) -> Space<'s> {
        Space::new(promise, self.policy(Environment::Production), self.resource)
    }

    /// Every situation in which the promise is broken, and how many were decided.
    fn breaches<'s>(&'s self, promise: &'s Promise) -> Result<(Vec<Breach<'s>>, u64), TooMany> {
        let space = self.space(promise);
        let (sessions, deeds, estimates) = (space.sessions(self.agents)?, space.deeds()?, space.estimates());
        let product = [sessions.len(), deeds.len(), estimates.len()];
        let product = product.iter().map(|count| u64::try_from(*count).unwrap_or(u64::MAX));
        space::within(product.fold(1, u64::saturating_mul))?;
        let (mut out, mut decided) = (Vec::new(), 0);
        for session in &sessions {
            for deed in &deeds {
                let subject = deed.subject(&session.grant, session.question.at);
                for rules in speaking(promise, deed, session.grant.access) {
                    for estimate in &estimates {
                        if !promise.concerns(&subject, &rules, *estimate) {
                            continue;
                        }
                        decided += 1;
                        let verdict = decide::verdict(self.policy(session.environment), &subject, &rules, *estimate);
                        if verdict < promise.least() {
                            let (session, deed, rules) = (session.clone(), deed.clone(), rules.clone());
                            out.push(Breach { session, deed, rules, estimate: *estimate, verdict });
                        }
                    }
                }
            }
        }
        Ok((out, decided))
    }

    fn counterexample(&self, breach: &Breach<'_>, at_matters: bool, sql: Option<String>, seen: Seen) -> Counterexample {
        let Seen { operations, relations, verdict, causes } = seen;
        let estimates = |case: &Case| case.conditions().any(|conditions| conditions.estimated_rows_over.is_some());
        let estimates = self.policy(breach.session.environment).docket().all().any(estimates);
        Counterexample {
            question: breach.session.question.clone(),
            at_matters,
            operations,
            relations,
            estimate: estimates.then_some(breach.estimate),
            verdict,
            causes,
            sql,
        }
    }

    /// A subject in our own words, with what lets it through when these rules speak about it.
    fn seen(
        &self,
        promise: &Promise,
        environment: Environment,
        rules: &[&dyn Rule],
        subject: &Subject<'_>,
        verdict: Verdict,
    ) -> Seen {
        let relation = |touched: &case::Touched<'_>| Touched {
            schema: touched.schema.to_owned(),
            name: touched.name.to_owned(),
            tags: touched.tags.iter().map(|tag| (*tag).to_owned()).collect(),
            rows: touched.rows,
        };
        let mut causes: BTreeSet<Cause> =
            rules.iter().flat_map(|rule| self.causes(*rule, environment, subject)).collect();
        let cases = self.policy(environment).docket().of(subject);
        let strict = cases.iter().filter(|case| case.then() >= promise.mildest() && case.excuses(subject));
        causes.extend(strict.map(|case| Cause::Excused { name: case.name().to_owned() }));
        if causes.is_empty() {
            causes.insert(Cause::Nothing);
        }
        Seen {
            operations: subject.operations.clone(),
            relations: subject.relations.iter().map(relation).collect(),
            verdict,
            causes: causes.into_iter().collect(),
        }
    }

    /// What makes a rule as mild as it is.
    fn causes(&self, rule: &dyn Rule, environment: Environment, subject: &Subject<'_>) -> Vec<Cause> {
        let policy = self.policy(environment);
        let (who, name) = (subject.who, rule.name());
        let standard = policy.action(rule, who).max(rule.mildest(who));
        let cases = policy.docket().of(subject);
        let changing = cases.iter().filter_map(|case| Some((case, case.changes(rule, standard, subject)?)));
        let cases: Vec<Cause> = changing
            .filter(|(_, then)| *then < standard)
            .map(|(case, then)| Cause::Case { name: case.name().to_owned(), rule: name, then })
            .collect();
        if !cases.is_empty() {
            return cases;
        }
        vec![match policy.says(rule, who) {
            Some(section) => Cause::Section { section, rule: name, then: standard },
            None => Cause::BuiltIn { rule: name, then: standard },
        }]
    }
}

/// A situation in which a promise is broken, as far as rules are not asked.
struct Breach<'p> {
    session: Session,
    deed: Deed<'p>,
    rules: Vec<&'static dyn Rule>,
    estimate: Option<u64>,
    verdict: Verdict,
}

impl Breach<'_> {
    fn cost(&self) -> usize {
        self.session.cost + self.deed.cost()
    }
}

/// A situation in words, and what is said to it.
struct Seen {
    operations: BTreeSet<Operation>,
    relations: Vec<Touched>,
    verdict: Verdict,
    causes: Vec<Cause>,
}

/// The fewest rules that may speak about a statement for the promise to be about it: one that it names, and for each thing
/// that the statement does one of those that a law names. More rules make no verdict milder.
fn speaking(promise: &Promise, deed: &Deed<'_>, access: Access) -> Vec<Vec<&'static dyn Rule>> {
    let mut out: Vec<Vec<&'static dyn Rule>> =
        promise.rules().map(|rule| [rule].into_iter().chain(law::with(rule)).collect()).collect();
    let named = !out.is_empty();
    if out.is_empty() {
        out.push(Vec::new());
    }
    let lasting = Lasting::of(&deed.relations);
    for operation in &deed.operations {
        let any = law::speak(*operation, access, lasting);
        // Cases about other rules than the promise names were not looked at; what no case can change still counts.
        let usable = |rule: &&dyn Rule| any.contains(&rule.name()) && (!named || rule.is_fixed());
        let any: Vec<&dyn Rule> = RULES.iter().copied().filter(usable).collect();
        if any.is_empty() {
            continue;
        }
        let is_there = |rules: &[&dyn Rule]| rules.iter().any(|rule| any.iter().any(|one| one.name() == rule.name()));
        let with = |rules: Vec<&'static dyn Rule>| match is_there(&rules) {
            true => vec![rules],
            false => any.iter().map(|rule| rules.iter().chain([rule]).copied().collect()).collect(),
        };
        out = out.into_iter().flat_map(with).collect();
    }
    out
}
