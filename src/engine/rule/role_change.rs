//! Stops changes of who is who: roles, their attributes, members and settings.

use super::{Rule, refused};
use crate::domain::{Action, Environment, IdentityKind, Reason};
use crate::engine::resolve::Facts;
use crate::engine::sql::fact::{Deed, Object};

pub(super) struct RoleChange;

impl Rule for RoleChange {
    fn name(&self) -> &'static str {
        "role_change"
    }

    fn summary(&self) -> &'static str {
        "CREATE, ALTER and DROP ROLE; role membership; settings of roles and databases"
    }

    fn default(&self, environment: Environment, who: IdentityKind) -> Action {
        refused(environment, who)
    }

    fn check(&self, facts: &Facts<'_>) -> Option<Reason> {
        facts.deeds().find_map(|(deed, position)| {
            let what = match deed {
                Deed::Role { what } => what,
                Deed::Drop { object: Object::Role, .. } => "drop a role",
                _ => return None,
            };
            Some(
                Reason::new(self.name(), format!("this would {what}"))
                    .detail("Roles decide who may do what in every database of the server.")
                    .at(position),
            )
        })
    }
}
