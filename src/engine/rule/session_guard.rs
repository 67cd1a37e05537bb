//! Stops changes of parameters that protect the database or that others rely on.

use super::{Rule, refused};
use crate::domain::{Action, Environment, IdentityKind, Reason};
use crate::engine::resolve::Facts;
use crate::engine::setting::{Effect, effect};
use crate::engine::sql::fact::Deed;

pub(super) struct SessionGuard;

impl Rule for SessionGuard {
    fn name(&self) -> &'static str {
        "session_guard"
    }

    fn summary(&self) -> &'static str {
        "time limits off, row security off, search paths and parameters that are not listed"
    }

    fn default(&self, environment: Environment, who: IdentityKind) -> Action {
        refused(environment, who)
    }

    fn check(&self, facts: &Facts<'_>) -> Option<Reason> {
        facts.deeds().find_map(|(deed, position)| {
            let Deed::Set(setting) = deed else { return None };
            let Effect::Guard(why) = effect(setting, facts.policy) else { return None };
            let name = setting.name.as_deref().unwrap_or("a parameter");
            Some(
                Reason::new(self.name(), format!("{name} may not be set to this here"))
                    .detail(format!("This statement is stopped because {why}."))
                    .hint(hint(name, facts))
                    .at(position),
            )
        })
    }
}

fn hint(name: &str, facts: &Facts<'_>) -> String {
    match name {
        "search_path" => {
            "write names with their schema, or have the schema listed under `search_path` in the policy".into()
        }
        name if name.ends_with("_timeout") => {
            format!("set it to at most {} ms, and not to 0", facts.policy.limits().timeout)
        }
        _ => "ask for the parameter to be listed under `settings` in the policy".into(),
    }
}
