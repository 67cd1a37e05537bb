//! Asks before a sequence is set: numbers given out twice collide.

use super::{Rule, asked};
use crate::domain::{Action, Environment, IdentityKind, Reason};
use crate::engine::builtin::Class;
use crate::engine::resolve::{Callee, Facts};

pub(super) struct SequenceReset;

impl Rule for SequenceReset {
    fn name(&self) -> &'static str {
        "sequence_reset"
    }

    fn summary(&self) -> &'static str {
        "setval"
    }

    fn default(&self, environment: Environment, who: IdentityKind) -> Action {
        asked(environment, who)
    }

    fn check(&self, facts: &Facts<'_>) -> Option<Reason> {
        let called =
            facts.calls.iter().find(|called| matches!(called.callee, Callee::BuiltIn(Class::SequenceReset)))?;
        Some(
            Reason::new(self.name(), "this would set a sequence")
                .detail("Numbers that it gave out before may come again, and a ROLLBACK does not undo it.")
                .at(called.position),
        )
    }
}
