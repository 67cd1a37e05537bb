//! Stops changes of parameters that protect the database or that others rely on.

use super::{Rule, refused};
use crate::domain::{Action, Environment, IdentityKind, Reason};
use crate::engine::policy::Policy;
use crate::engine::resolve::Facts;
use crate::engine::setting::{Effect, effect, nearest};
use crate::engine::sql::fact::{Command, Deed, Setting};

pub(super) struct SessionGuard;

pub(in crate::engine) const NAME: &str = "session_guard";

impl Rule for SessionGuard {
    fn name(&self) -> &'static str {
        NAME
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
                    .hint(hint(name, setting, facts))
                    .at(position),
            )
        })
    }
}

/// What may be sent in place of a command that does nothing but set a parameter to what it may not be. The server's own
/// way with a SET that cannot have its effect (SET LOCAL outside a transaction) is the same: a warning, and it goes on.
pub(in crate::engine) fn instead(command: &Command, policy: &Policy) -> Option<String> {
    let ([act], "VariableSetStmt") = (command.acts.as_slice(), command.root.node().kind()) else { return None };
    let Deed::Set(setting) = &act.deed else { return None };
    let (name, value) = nearest(setting, policy)?;
    // Both are ours: neither needs quoting for what it holds.
    Some(format!("SET {}{name} TO '{value}'", if setting.local { "LOCAL " } else { "" }))
}

fn hint(name: &str, setting: &Setting, facts: &Facts<'_>) -> String {
    if let Some((_, value)) = nearest(setting, facts.policy) {
        return format!("a SET of {name} that is sent by itself gives {value}, and a warning");
    }
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
