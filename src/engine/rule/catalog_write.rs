//! Stops direct changes of the system catalogs, which bypass everything the server checks.

use super::{Rule, refused};
use crate::domain::{Action, Environment, IdentityKind, Reason, Touch};
use crate::engine::resolve::{Facts, Found};

pub(super) struct CatalogWrite;

impl Rule for CatalogWrite {
    fn name(&self) -> &'static str {
        "catalog_write"
    }

    fn summary(&self) -> &'static str {
        "INSERT, UPDATE and DELETE on system catalogs"
    }

    fn default(&self, environment: Environment, who: IdentityKind) -> Action {
        refused(environment, who)
    }

    fn check(&self, facts: &Facts<'_>) -> Option<Reason> {
        let written = facts
            .relations
            .iter()
            .find(|used| used.used.touch == Touch::Write && matches!(used.found, Found::System(_)))?;
        Some(
            Reason::new(self.name(), format!("`{}` belongs to the server", written.used.name))
                .detail(
                    "Rows of the system catalogs are changed by the statements made for it, which check what they do.",
                )
                .at(written.position),
        )
    }
}
