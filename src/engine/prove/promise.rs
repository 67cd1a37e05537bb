//! What a policy is held to: claims about everything it will ever be asked, in the words of its own cases.

use std::collections::BTreeSet;

use super::super::case::{AccessWord, KindWord, Match, Needs, OperationWord, Subject};
use super::super::policy::{Pattern, RuleName};
use super::super::rule::Rule;
use crate::domain::{Access, Action, Environment, IdentityKind, Operation, Verdict};

/// A claim: whatever is like this gets at least that verdict.
#[derive(Clone, Debug)]
pub(crate) struct Promise {
    /// What is promised, as a sentence.
    name: String,
    /// What it is about: read as a case that stops statements reads them.
    pub(super) matches: Match,
    /// What it is not about after all.
    pub(super) unless: Option<Match>,
    /// Statements on which one of these rules speaks; any statement when there are none.
    rules: BTreeSet<RuleName>,
    environment: Option<Environment>,
    /// The mildest verdict that keeps it.
    least: Verdict,
}

/// What an agent's session may do by the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AgentAccess {
    /// There is none to look at.
    Unknown,
    /// The most that any agent gets.
    AtMost(Access),
}

impl AgentAccess {
    pub(super) fn allows(self, access: Access) -> bool {
        match self {
            Self::Unknown => true,
            Self::AtMost(most) => access <= most,
        }
    }
}

impl Promise {
    /// A promise that somebody wrote; or why it is none, and what to do.
    pub(in crate::engine) fn written(
        name: String,
        matches: Match,
        unless: Option<Match>,
        rules: BTreeSet<RuleName>,
        least: Verdict,
    ) -> Result<Self, (&'static str, &'static str)> {
        if name.trim().is_empty() || name.chars().any(char::is_control) {
            return Err(("this promise has no name", "say in a sentence what is promised"));
        }
        if least == Verdict::Allow {
            return Err((
                "nothing is promised by `expect: allow`",
                "say `hold` or `deny`, the mildest that may be said",
            ));
        }
        if matches.is_empty() && rules.is_empty() {
            return Err(("this would be about every statement", "say under `if` or `rules` about which"));
        }
        if unless.as_ref().is_some_and(|unless| unless.is_empty() || unless.estimated_rows_over.is_some()) {
            return Err((
                "this `unless` excuses nothing, or by an estimate",
                "say under `unless` what it is not about",
            ));
        }
        Ok(Self { name, matches, unless, rules, environment: None, least })
    }

    /// What every policy is held to, unless it promises something else under the same name.
    pub(crate) fn shipped(agents: AgentAccess) -> Vec<Self> {
        SHIPPED.iter().map(|shipped| shipped.promise(agents)).collect()
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn least(&self) -> Verdict {
        self.least
    }

    /// The mildest outcome that keeps it.
    pub(super) fn mildest(&self) -> Action {
        match self.least {
            Verdict::Allow => Action::Allow,
            Verdict::Hold => Action::Hold,
            Verdict::Deny => Action::Deny,
        }
    }

    pub(super) fn rules(&self) -> impl Iterator<Item = &'static dyn Rule> {
        self.rules.iter().filter_map(|name| name.rule())
    }

    pub(super) fn conditions(&self) -> impl Iterator<Item = &Match> {
        [&self.matches].into_iter().chain(&self.unless)
    }

    /// Whether it is about databases of this environment.
    pub(super) fn is_about(&self, environment: Environment) -> bool {
        self.environment.is_none_or(|about| about == environment)
    }

    /// Whether it is about a subject, given the rules that speak about it and the rows that the planner expects. What the
    /// planner cannot say may be more than any number.
    pub(super) fn concerns(&self, subject: &Subject<'_>, rules: &[&dyn Rule], rows: Option<u64>) -> bool {
        let expects = |over: u64| rows.is_none_or(|rows| rows > over);
        self.matches.fits(subject, Needs::Any)
            && self.matches.estimated_rows_over.is_none_or(expects)
            && !self.unless.as_ref().is_some_and(|unless| unless.fits(subject, Needs::All))
            && (self.rules.is_empty() || rules.iter().any(|rule| self.rules.contains(&RuleName::of(*rule))))
    }
}

/// A promise that comes with gov.
struct Shipped {
    name: &'static str,
    /// Whose statements; anybody's when not said.
    kind: Option<IdentityKind>,
    environment: Option<Environment>,
    operations: &'static [Operation],
    rules: &'static [&'static str],
}

impl Shipped {
    fn promise(&self, agents: AgentAccess) -> Promise {
        let mut matches = Match::default();
        matches.kind.extend(self.kind.map(KindWord));
        matches.operation.extend(self.operations.iter().copied().map(OperationWord));
        // A session's own temporary tables are nobody's concern: they are not among the relations that are matched.
        matches.relation.extend((!self.operations.is_empty()).then(Pattern::anything));
        let mut name = self.name.to_owned();
        if !self.operations.is_empty() && agents == AgentAccess::Unknown {
            // Whether a session writes is for the configuration to say, and here is only a policy.
            matches.access.insert(AccessWord(Access::Read));
            name.push_str(" unless their session was granted to write");
        }
        Promise {
            name,
            matches,
            unless: None,
            rules: self.rules.iter().filter_map(|name| RuleName::called(name)).collect(),
            environment: self.environment,
            least: Verdict::Hold,
        }
    }
}

const fn on_prod(name: &'static str, rules: &'static [&'static str]) -> Shipped {
    Shipped { name, kind: None, environment: Some(Environment::Production), operations: &[], rules }
}

const fn of_agents(name: &'static str, operations: &'static [Operation], rules: &'static [&'static str]) -> Shipped {
    Shipped { name, kind: Some(IdentityKind::Agent), environment: None, operations, rules }
}

const SHIPPED: &[Shipped] = &[
    of_agents(
        "agents never write",
        &[Operation::Insert, Operation::Update, Operation::Delete, Operation::Truncate, Operation::Drop],
        &[],
    ),
    of_agents(
        "agents change schemas, code and rights only with approval",
        &[],
        &["schema_change", "code_change", "privilege", "role_change", "role_switch"],
    ),
    of_agents("agents run code that nobody reviewed only with approval", &[], &["opaque_code", "masked_code"]),
    of_agents("agents see masked columns as they are only with approval", &[], &["revealed_column"]),
    on_prod("nothing on prod is dropped or emptied without approval", &["destructive_ddl"]),
    on_prod("no statement on prod changes every row of a table without approval", &["missing_where"]),
    on_prod(
        "rights and roles on prod change only with approval",
        &["privilege", "public_grant", "role_change", "role_switch"],
    ),
    on_prod("code that nobody reviewed runs on prod only with approval", &["opaque_code", "masked_code"]),
    on_prod("files, programs and other servers are out of reach on prod without approval", &["outside_access"]),
    on_prod("masked columns on prod are shown as they are only with approval", &["revealed_column"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_promises_name_rules_that_there_are_and_differ_in_name() {
        let promises = Promise::shipped(AgentAccess::Unknown);
        let names: BTreeSet<&str> = promises.iter().map(Promise::name).collect();
        assert_eq!(names.len(), SHIPPED.len());
        for (promise, shipped) in promises.iter().zip(SHIPPED) {
            assert_eq!(promise.rules().count(), shipped.rules.len(), "{}", shipped.name);
        }
    }
}
