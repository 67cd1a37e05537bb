//! Stops reading the system catalogs that hold values of other tables or secrets, which no mask makes safe.

use super::{Rule, refused};
use crate::domain::{Action, Environment, IdentityKind, Reason};
use crate::engine::lineage::SECRET;
use crate::engine::resolve::{Facts, Found};

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
            matches!(used.found, Found::System("pg_catalog")) && SECRET.contains(&&*used.used.name.name)
        })?;
        Some(
            Reason::new(self.name(), format!("`{}` holds values of other tables, or secrets", leaks.used.name))
                .detail("They cannot be masked, because nothing says which column they come from.")
                .at(leaks.position),
        )
    }
}
