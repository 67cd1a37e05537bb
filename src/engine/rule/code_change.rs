//! Asks before code changes that will run in other people's statements.

use super::{Rule, asked};
use crate::domain::{Action, Environment, IdentityKind, Reason};
use crate::engine::resolve::Facts;
use crate::engine::sql::fact::{Deed, Object};

pub(super) struct CodeChange;

impl Rule for CodeChange {
    fn name(&self) -> &'static str {
        "code_change"
    }

    fn summary(&self) -> &'static str {
        "functions, triggers, rules, policies, defaults, domains, operators, casts"
    }

    fn default(&self, environment: Environment, who: IdentityKind) -> Action {
        asked(environment, who)
    }

    fn check(&self, facts: &Facts<'_>) -> Option<Reason> {
        facts.deeds().find_map(|(deed, position)| {
            let what = match deed {
                Deed::Code { what, name, .. } if name.as_ref().is_none_or(|name| !facts.is_temporary(name)) => what,
                Deed::Drop { object: Object::Code, cascade: false, .. } => "drop code",
                _ => return None,
            };
            Some(
                Reason::new(self.name(), format!("this would {what}"))
                    .detail("It changes what statements of other people do from then on.")
                    .at(position),
            )
        })
    }
}
