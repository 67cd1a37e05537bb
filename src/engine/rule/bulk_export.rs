//! Asks before whole tables leave the database.

use super::{Rule, asked};
use crate::domain::{Action, Environment, IdentityKind, Reason};
use crate::engine::builtin::Class;
use crate::engine::condition::{self, Truth};
use crate::engine::resolve::{Callee, Facts, Found};
use crate::engine::sql::fact::{Deed, Exported, Expression, Item, Limit, Name, Output, Query};

pub(super) struct BulkExport;

impl Rule for BulkExport {
    fn name(&self) -> &'static str {
        "bulk_export"
    }

    fn summary(&self) -> &'static str {
        "COPY … TO STDOUT, table_to_xml and its kin, whole tables with tags"
    }

    fn default(&self, environment: Environment, who: IdentityKind) -> Action {
        asked(environment, who)
    }

    fn check(&self, facts: &Facts<'_>) -> Option<Reason> {
        let told = |what: String, position| {
            let rows = facts.policy.limits().exported_rows;
            Reason::new(self.name(), what)
                .detail("Everything in it would leave the database at once.")
                .hint(format!("add a LIMIT of at most {rows}, or a condition on a key"))
                .at(position)
        };
        let deed = facts.deeds().find_map(|(deed, position)| match deed {
            Deed::Export { from: Exported::Relation(name) } => {
                is_lasting(facts, name).then(|| told(format!("this would export all of `{name}`"), position))
            }
            Deed::Export { from: Exported::Query(query) } => {
                let name = exported(facts, query)?;
                Some(told(format!("this would export from `{name}` without a limit"), position))
            }
            Deed::Read { query, .. } => {
                let name = whole(facts, query)?;
                Some(told(format!("this would read all of `{name}`, which is tagged"), position))
            }
            _ => None,
        });
        let call = || {
            let mut calls =
                facts.calls.iter().filter(|called| matches!(called.callee, Callee::BuiltIn(Class::Exports)));
            calls.next().map(|called| told(format!("`{}` hands out whole tables", called.call.name), called.position))
        };
        deed.or_else(call)
    }
}

fn is_lasting(facts: &Facts<'_>, name: &Name) -> bool {
    matches!(facts.find(name), Found::Known(_) | Found::Missing)
}

fn is_limited(facts: &Facts<'_>, query: &Query) -> bool {
    matches!(query.limit, Limit::Rows(rows) if rows <= facts.policy.limits().exported_rows)
}

/// The relation a COPY of a query exports from without a limit.
fn exported<'q>(facts: &Facts<'_>, query: &'q Query) -> Option<&'q Name> {
    if is_limited(facts, query) || condition::picks_one_row(facts, query) {
        return None;
    }
    let arms = query.arms.iter().find_map(|arm| exported(facts, arm));
    arms.or_else(|| {
        query.sources.iter().find_map(|source| match &source.item {
            Item::Relation(name) => Some(name).filter(|name| is_lasting(facts, name)),
            Item::Query(query) => exported(facts, query),
            Item::Computed => None,
        })
    })
}

/// The tagged relation that a query reads whole.
fn whole<'q>(facts: &Facts<'_>, query: &'q Query) -> Option<&'q Name> {
    if is_limited(facts, query) || is_aggregate(query) {
        return None;
    }
    if let Some(name) = query.arms.iter().find_map(|arm| whole(facts, arm)) {
        return Some(name);
    }
    if matches!(condition::of_query(facts, query), Truth::Restricts | Truth::Never) {
        return None;
    }
    query.sources.iter().find_map(|source| match &source.item {
        Item::Relation(name) => Some(name).filter(|name| !facts.tags(name).is_empty()),
        Item::Query(query) => whole(facts, query),
        Item::Computed => None,
    })
}

/// Whether a query returns one row of numbers about many, and none of their values.
fn is_aggregate(query: &Query) -> bool {
    const NUMBERS: [&str; 9] = ["avg", "count", "max", "min", "stddev", "stddev_pop", "stddev_samp", "sum", "variance"];
    let is_number =
        |output: &Output| matches!(&output.value, Expression::Call { name, .. } if NUMBERS.contains(&&*name.name));
    !query.grouped && !query.output.is_empty() && query.output.iter().all(is_number)
}
