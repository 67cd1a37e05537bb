//! Asks before rights and owners change.

use super::{Rule, asked};
use crate::domain::{Action, Environment, IdentityKind, Reason};
use crate::engine::resolve::Facts;
use crate::engine::sql::fact::Deed;

pub(super) struct Privilege;

impl Rule for Privilege {
    fn name(&self) -> &'static str {
        "privilege"
    }

    fn summary(&self) -> &'static str {
        "GRANT, REVOKE, owners, default privileges, row security"
    }

    fn default(&self, environment: Environment, who: IdentityKind) -> Action {
        asked(environment, who)
    }

    fn check(&self, facts: &Facts<'_>) -> Option<Reason> {
        facts.deeds().find_map(|(deed, position)| match deed {
            Deed::Privilege { what, .. } | Deed::Owner { what } => {
                Some(Reason::new(self.name(), format!("this would {what}")).at(position))
            }
            _ => None,
        })
    }
}
