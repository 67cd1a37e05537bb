//! Asks before code that nobody reviewed runs where columns are masked: it can carry their values anywhere.

use super::Rule;
use super::opaque_code::OpaqueCode;
use crate::domain::{Action, Environment, IdentityKind, Reason};
use crate::engine::resolve::Facts;
use crate::engine::sql::fact::Deed;

pub(super) struct MaskedCode;

impl Rule for MaskedCode {
    fn name(&self) -> &'static str {
        "masked_code"
    }

    fn summary(&self) -> &'static str {
        "code that nobody reviewed, in a database with masked columns"
    }

    /// Masks do not depend on the environment.
    fn default(&self, _: Environment, who: IdentityKind) -> Action {
        match who {
            IdentityKind::Agent => Action::Deny,
            IdentityKind::Person | IdentityKind::Workload => Action::Hold,
        }
    }

    fn check(&self, facts: &Facts<'_>) -> Option<Reason> {
        facts.lineage.as_ref()?;
        let written = || {
            facts.deeds().find_map(|(deed, position)| match deed {
                Deed::Code { what, .. } => Some(
                    Reason::new(self.name(), format!("this would {what}"))
                        .at(position)
                        .detail("What it will do with masked columns cannot be known from the statement."),
                ),
                _ => None,
            })
        };
        let runs = OpaqueCode.check(facts).map(|reason| Reason { rule: self.name(), ..reason });
        runs.or_else(written)
    }
}
