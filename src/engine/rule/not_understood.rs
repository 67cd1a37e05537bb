//! Refuses text that is not SQL as the server reads it: what cannot be read cannot be judged.

use super::Rule;
use crate::domain::{Action, Environment, IdentityKind, Reason};
use crate::engine::resolve::Facts;

pub(super) struct NotUnderstood;

impl Rule for NotUnderstood {
    fn name(&self) -> &'static str {
        "not_understood"
    }

    fn summary(&self) -> &'static str {
        "text that cannot be read"
    }

    fn default(&self, _: Environment, _: IdentityKind) -> Action {
        Action::Deny
    }

    fn is_fixed(&self) -> bool {
        true
    }

    fn check(&self, facts: &Facts<'_>) -> Option<Reason> {
        let complaint = facts.complaint?;
        let reason = Reason::new(self.name(), complaint.text.as_str())
            .detail("A statement that cannot be read is not sent to the database.")
            .fault(complaint.fault);
        Some(Reason { position: complaint.position, ..reason })
    }
}
