//! Stops reading the system catalogs that hold values of other tables or secrets, which no mask makes safe.

use super::{Rule, refused};
use crate::domain::{Action, Environment, IdentityKind, Reason};
use crate::engine::lineage::{SECRET, secret_column};
use crate::engine::resolve::{Facts, Found, Used};
use crate::engine::sql::tree::Node;

pub(super) struct LeakyCatalog;

impl Rule for LeakyCatalog {
    fn name(&self) -> &'static str {
        "leaky_catalog"
    }

    fn summary(&self) -> &'static str {
        "column statistics, large objects and password digests in system catalogs"
    }

    fn default(&self, environment: Environment, who: IdentityKind) -> Action {
        refused(environment, who)
    }

    fn check(&self, facts: &Facts<'_>) -> Option<Reason> {
        let leaks = facts.relations.iter().find(|used| {
            matches!(used.found, Found::System("pg_catalog"))
                && SECRET.contains(&&*used.used.name.name)
                && !shows_others_only(facts, used)
        })?;
        Some(
            Reason::new(self.name(), format!("`{}` holds values of other tables, or secrets", leaks.used.name))
                .detail("They cannot be masked, because nothing says which column they come from.")
                .at(leaks.position),
        )
    }
}

/// Whether a relation has one secret column and nothing in the command can be that column: not by its name, a star, the
/// row as a whole, another name for it, or a join on whatever columns there are.
fn shows_others_only(facts: &Facts<'_>, used: &Used<'_>) -> bool {
    let Some(secret) = secret_column(&used.used.name.name) else { return false };
    let row = used.used.alias.as_deref().unwrap_or(&used.used.name.name);
    let can_be_it = |node: Node<'_>| match node.kind() {
        "ColumnRef" => {
            node.children("fields").any(|field| field.kind() == "AStar")
                || node.words("fields").last().is_some_and(|word| word == secret || word == row)
        }
        "AIndirection" => node.words("indirection").any(|word| word == secret),
        "FuncCall" => node.words("funcname").last() == Some(secret),
        "Alias" => node.child("colnames").is_some(),
        "JoinExpr" => node.flag("is_natural") || node.child("using_clause").is_some(),
        _ => false,
    };
    facts.roots().all(|(root, _)| !root.all().any(can_be_it))
}
