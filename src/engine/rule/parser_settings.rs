//! Refuses to change how the server reads a text: it would no longer be what was judged.

use super::Rule;
use crate::domain::{Action, Environment, IdentityKind, Reason};
use crate::engine::resolve::Facts;
use crate::engine::setting::{Effect, effect};
use crate::engine::sql::fact::Deed;

pub(super) struct ParserSettings;

impl Rule for ParserSettings {
    fn name(&self) -> &'static str {
        "parser_settings"
    }

    fn summary(&self) -> &'static str {
        "parameters that change how a text is read"
    }

    fn default(&self, _: Environment, _: IdentityKind) -> Action {
        Action::Deny
    }

    fn is_fixed(&self) -> bool {
        true
    }

    fn check(&self, facts: &Facts<'_>) -> Option<Reason> {
        facts.deeds().find_map(|(deed, position)| match deed {
            Deed::Set(setting) if effect(setting, facts.policy) == Effect::Reading => {
                let name = setting.name.as_deref().unwrap_or_default();
                Some(
                    Reason::new(self.name(), format!("`{name}` cannot be changed in this session"))
                        .detail(
                            "The server would read the text of later statements differently from how they are judged.",
                        )
                        .hint("sessions use UTF8, and backslashes are ordinary characters outside E'' strings")
                        .at(position),
                )
            }
            _ => None,
        })
    }
}
