//! Stops a session from taking another role.

use super::{Rule, refused};
use crate::domain::{Action, Environment, IdentityKind, Reason};
use crate::engine::resolve::Facts;
use crate::engine::setting::{Effect, effect};
use crate::engine::sql::fact::Deed;

pub(super) struct RoleSwitch;

impl Rule for RoleSwitch {
    fn name(&self) -> &'static str {
        "role_switch"
    }

    fn summary(&self) -> &'static str {
        "SET ROLE and SET SESSION AUTHORIZATION"
    }

    fn default(&self, environment: Environment, who: IdentityKind) -> Action {
        refused(environment, who)
    }

    fn check(&self, facts: &Facts<'_>) -> Option<Reason> {
        facts.deeds().find_map(|(deed, position)| match deed {
            Deed::Set(setting) if effect(setting, facts.policy) == Effect::Role => Some(
                Reason::new(self.name(), "a session keeps the role it was opened with")
                    .detail("Rights, masks and records all belong to that role.")
                    .hint("ask for access under the other role instead")
                    .at(position),
            ),
            _ => None,
        })
    }
}
