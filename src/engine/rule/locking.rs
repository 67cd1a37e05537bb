//! Asks before anything keeps others out or rewrites a table.

use super::{Rule, asked};
use crate::domain::{Action, Environment, IdentityKind, Reason};
use crate::engine::builtin::Class;
use crate::engine::resolve::{Callee, Facts};
use crate::engine::sql::fact::Deed;

pub(super) struct Locking;

impl Rule for Locking {
    fn name(&self) -> &'static str {
        "locking"
    }

    fn summary(&self) -> &'static str {
        "LOCK TABLE, VACUUM FULL, CLUSTER, REINDEX"
    }

    fn default(&self, environment: Environment, who: IdentityKind) -> Action {
        asked(environment, who)
    }

    fn check(&self, facts: &Facts<'_>) -> Option<Reason> {
        let deed = facts.deeds().find_map(|(deed, position)| match deed {
            Deed::Lock { relations, mode } => {
                let lasting = relations.iter().any(|name| !facts.is_temporary(name));
                (*mode > WRITERS_LOCK && lasting).then_some(("lock a table against others", position))
            }
            Deed::Maintain { what, heavy: true } => Some((*what, position)),
            _ => None,
        });
        let call = || {
            let mut calls =
                facts.calls.iter().filter(|called| matches!(called.callee, Callee::BuiltIn(Class::Maintenance)));
            calls.next().map(|called| ("reorganise an index", called.position))
        };
        let (what, position) = deed.or_else(call)?;
        Some(
            Reason::new(self.name(), format!("this would {what}"))
                .detail("Others wait for as long as it takes.")
                .at(position),
        )
    }
}

/// ROW EXCLUSIVE: what every INSERT, UPDATE and DELETE takes.
const WRITERS_LOCK: u8 = 3;
