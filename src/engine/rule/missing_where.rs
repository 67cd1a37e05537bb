//! Stops changes of existing rows whose condition does not say which.

use super::{Rule, refused};
use crate::domain::{Action, Environment, IdentityKind, Reason};
use crate::engine::condition::{self, Truth};
use crate::engine::resolve::Facts;
use crate::engine::sql::fact::{Change, Deed, Item, Limit, Name, Query, Rows, Upsert};

pub(super) struct MissingWhere;

impl Rule for MissingWhere {
    fn name(&self) -> &'static str {
        "missing_where"
    }

    fn summary(&self) -> &'static str {
        "UPDATE, DELETE and MERGE without a condition that restricts the rows"
    }

    fn default(&self, environment: Environment, who: IdentityKind) -> Action {
        refused(environment, who)
    }

    fn check(&self, facts: &Facts<'_>) -> Option<Reason> {
        facts.deeds().find_map(|(deed, position)| {
            let (what, why) = match deed {
                Deed::Change(change) => (change.how.word(), everything(facts, change)?),
                Deed::Insert { into, rows: Rows::Query(query), upsert: Some(upsert) } => {
                    ("update", overwritten(facts, into, query, upsert)?)
                }
                _ => return None,
            };
            let target = match deed {
                Deed::Change(change) => &change.target,
                Deed::Insert { into, .. } => into,
                _ => return None,
            };
            Some(
                Reason::new(self.name(), format!("this would {what} every row of `{target}`"))
                    .detail(why)
                    .hint("add a WHERE that says which rows, for example by their key")
                    .at(position),
            )
        })
    }
}

/// Why a change reaches every row, when it does.
fn everything(facts: &Facts<'_>, change: &Change) -> Option<&'static str> {
    if facts.has_own_rows(&change.target) {
        return None;
    }
    let truth = condition::of_change(facts, change);
    match (truth, &change.condition) {
        (Truth::Restricts | Truth::Never, _) => None,
        (_, None) => Some("The statement has no WHERE clause."),
        (Truth::Always, _) => Some("The condition holds for every row, or for all but one."),
        (Truth::Independent, _) => Some("Whether the condition holds does not depend on the row."),
    }
}

/// Why an upsert reaches every row, when it does: it inserts what is already there.
fn overwritten(facts: &Facts<'_>, into: &Name, query: &Query, upsert: &Upsert) -> Option<&'static str> {
    let itself = |query: &&Query| {
        let from =
            |name: &Name| name == into || name.name == into.name && (name.schema.is_none() != into.schema.is_none());
        query.limit == Limit::None
            && !query.grouped
            && query.sources.iter().any(|source| matches!(&source.item, Item::Relation(name) if from(name)))
            && !matches!(condition::of_query(facts, query), Truth::Restricts | Truth::Never)
    };
    let open = !matches!(condition::of_upsert(facts, upsert), Truth::Restricts | Truth::Never);
    let all = open && !facts.has_own_rows(into) && query.simple().iter().any(itself);
    all.then_some("It inserts the rows that the table already has, and updates them because they conflict.")
}
