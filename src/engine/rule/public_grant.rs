//! Stops rights from being given to everybody.

use super::{Rule, refused};
use crate::domain::{Action, Environment, IdentityKind, Reason};
use crate::engine::resolve::Facts;
use crate::engine::sql::fact::Deed;

pub(super) struct PublicGrant;

impl Rule for PublicGrant {
    fn name(&self) -> &'static str {
        "public_grant"
    }

    fn summary(&self) -> &'static str {
        "GRANT … TO PUBLIC"
    }

    fn default(&self, environment: Environment, who: IdentityKind) -> Action {
        refused(environment, who)
    }

    fn check(&self, facts: &Facts<'_>) -> Option<Reason> {
        facts.deeds().find_map(|(deed, position)| match deed {
            Deed::Privilege { public: true, .. } => Some(
                Reason::new(self.name(), "this would give rights to everybody")
                    .detail("PUBLIC is every role there is and every role there will be.")
                    .hint("grant to the role that needs it")
                    .at(position),
            ),
            _ => None,
        })
    }
}
