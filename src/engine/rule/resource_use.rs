//! Asks before a statement takes time, locks or memory without limit.

use super::{Rule, asked};
use crate::domain::{Action, Environment, IdentityKind, Reason};
use crate::engine::builtin::Class;
use crate::engine::condition;
use crate::engine::resolve::{Called, Callee, Facts};
use crate::engine::sql::fact::{Constant, Deed, Limit, Query};

pub(super) struct ResourceUse;

impl Rule for ResourceUse {
    fn name(&self) -> &'static str {
        "resource_use"
    }

    fn summary(&self) -> &'static str {
        "sleeping, advisory locks, endless recursion, cross joins, values made out of nothing"
    }

    fn default(&self, environment: Environment, who: IdentityKind) -> Action {
        asked(environment, who)
    }

    fn check(&self, facts: &Facts<'_>) -> Option<Reason> {
        let told = |what: &str, position| {
            Reason::new(self.name(), format!("this would {what}"))
                .detail("It can hold up the database for others.")
                .hint("add a limit or a condition")
                .at(position)
        };
        let call = facts.calls.iter().find_map(|called| Some(told(wasted(facts, called)?, called.position)));
        let endless = || facts.endless().map(|position| told("repeat a query that nothing ends", position));
        let crossed = || {
            facts.deeds().find_map(|(deed, position)| match deed {
                Deed::Read { query, .. } => {
                    is_huge(facts, query).then(|| told("combine every row with every other", position))
                }
                _ => None,
            })
        };
        call.or_else(endless).or_else(crossed)
    }
}

/// What a call wastes.
fn wasted(facts: &Facts<'_>, called: &Called<'_>) -> Option<&'static str> {
    let limits = facts.policy.limits();
    let number = |index: usize| match called.call.arguments.get(index) {
        Some(Constant::Integer(number)) => Some(number.unsigned_abs()),
        _ => None,
    };
    match (&*called.call.name.name, called.callee) {
        (_, Callee::BuiltIn(Class::Sleep)) => Some("keep a connection waiting"),
        (_, Callee::BuiltIn(Class::Lock)) => Some("wait for an advisory lock and keep it"),
        ("repeat", Callee::BuiltIn(_)) => {
            let length = match called.call.arguments.first() {
                Some(Constant::Text(text)) => u64::try_from(text.len()).unwrap_or(u64::MAX),
                _ => 1,
            };
            (number(1)?.saturating_mul(length) > limits.generated_bytes).then_some("make a value too large to handle")
        }
        ("lpad" | "rpad", Callee::BuiltIn(_)) => {
            (number(1)? > limits.generated_bytes).then_some("make a value too large to handle")
        }
        ("generate_series", Callee::BuiltIn(_)) => {
            let step = number(2).filter(|step| *step > 0).unwrap_or(1);
            let rows = number(1)?.saturating_sub(number(0)?) / step;
            (rows > limits.generated_rows).then_some("make more rows than anybody reads")
        }
        _ => None,
    }
}

/// Whether a query combines relations without a condition into more rows than anybody reads.
fn is_huge(facts: &Facts<'_>, query: &Query) -> bool {
    query.simple().iter().any(|query| {
        query.crossed
            && query.limit == Limit::None
            && condition::combinations(facts, query) > facts.policy.limits().generated_rows
    })
}
