//! Asks before code that nobody reviewed runs where columns are masked: it can carry their values anywhere.

use super::Rule;
use super::opaque_code::OpaqueCode;
use crate::domain::{Action, Environment, IdentityKind, Reason};
use crate::engine::resolve::Facts;

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
        let reason = OpaqueCode.check(facts)?;
        Some(Reason { rule: self.name(), ..reason })
    }
}
