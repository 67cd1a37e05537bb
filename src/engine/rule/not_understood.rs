//! Refuses text that is not SQL as the server reads it: what cannot be read cannot be judged.

use super::Rule;
use crate::domain::{Action, Environment, Parse, Reason};
use crate::engine::sql::Understood;

pub(super) struct NotUnderstood;

impl Rule for NotUnderstood {
    fn name(&self) -> &'static str {
        "not_understood"
    }

    fn summary(&self) -> &'static str {
        "text that does not parse"
    }

    fn default(&self, _: Environment) -> Action {
        Action::Deny
    }

    fn check(&self, what: &Understood) -> Option<Reason> {
        (what.statement.parse == Parse::Opaque).then(|| Reason {
            rule: self.name(),
            message: what.complaint.clone().unwrap_or_else(|| "this text is not understood".to_owned()),
            detail: None,
            hint: None,
            position: None,
        })
    }
}
