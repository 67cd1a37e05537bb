//! Refuses to change how the server reads a text, which would no longer be what was judged, and to have rows written so
//! that nobody could look at them.

use super::Rule;
use crate::domain::{Action, Environment, IdentityKind, Reason};
use crate::engine::resolve::Facts;
use crate::engine::setting::{Effect, effect};
use crate::engine::sql::fact::{CopyForm, Deed};

pub(super) struct ParserSettings;

impl Rule for ParserSettings {
    fn name(&self) -> &'static str {
        "parser_settings"
    }

    fn summary(&self) -> &'static str {
        "parameters that change how a text is read, and COPY in another encoding"
    }

    fn default(&self, _: Environment, _: IdentityKind) -> Action {
        Action::Deny
    }

    fn is_fixed(&self) -> bool {
        true
    }

    fn check(&self, facts: &Facts<'_>) -> Option<Reason> {
        if facts.copies() == Some(&CopyForm::Unknown) {
            let reason = Reason::new(self.name(), "rows cannot be copied out in this form")
                .detail("What leaves is looked at, in UTF8 and by the options of COPY that are known here.")
                .hint("leave out ENCODING and change the encoding of the file; FORMAT text, csv and binary work");
            return Some(reason.at(facts.first_position()));
        }
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
