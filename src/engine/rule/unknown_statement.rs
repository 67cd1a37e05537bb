//! Stops statements of a kind that is on no list of ours, or with something in them that is not.

use super::{Rule, asked};
use crate::domain::{Action, Environment, IdentityKind, Reason};
use crate::engine::resolve::Facts;

pub(super) struct UnknownStatement;

impl Rule for UnknownStatement {
    fn name(&self) -> &'static str {
        "unknown_statement"
    }

    fn summary(&self) -> &'static str {
        "kinds of statement that are not known"
    }

    fn default(&self, environment: Environment, who: IdentityKind) -> Action {
        asked(environment, who)
    }

    fn check(&self, facts: &Facts<'_>) -> Option<Reason> {
        let (node, position) = facts.strange().next()?;
        Some(
            Reason::new(self.name(), "this statement has a part that is not known")
                .detail(format!("The parser calls it {node}. What it does cannot be said from here."))
                .at(position),
        )
    }
}
