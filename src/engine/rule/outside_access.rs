//! Stops what leaves the database: files, programs, other servers, other sessions, the server itself.

use super::{Rule, refused};
use crate::domain::{Action, Environment, IdentityKind, Reason, Touch};
use crate::engine::builtin::{self, Class};
use crate::engine::resolve::{Callee, Facts, HiddenFunction};
use crate::engine::sql::fact::{Deed, Transaction};

pub(super) struct OutsideAccess;

impl Rule for OutsideAccess {
    fn name(&self) -> &'static str {
        "outside_access"
    }

    fn summary(&self) -> &'static str {
        "server files and programs, other servers, extensions, replication, server control, large objects"
    }

    fn default(&self, environment: Environment, who: IdentityKind) -> Action {
        refused(environment, who)
    }

    fn check(&self, facts: &Facts<'_>) -> Option<Reason> {
        let told = |message: String, position| {
            Reason::new(self.name(), message)
                .detail("It would reach beyond the data of this database, where nothing can be rolled back or masked.")
                .at(position)
        };
        let deed = facts.deeds().find_map(|(deed, position)| match deed {
            Deed::Outside { what } => Some(told(format!("this would {what}"), position)),
            Deed::Transaction(Transaction::TwoPhase) => {
                Some(told("this would leave a transaction to be finished by somebody else".to_owned(), position))
            }
            _ => None,
        });
        let call = || {
            let mut calls =
                facts.calls.iter().filter(|called| matches!(called.callee, Callee::BuiltIn(Class::Outside)));
            calls
                .next()
                .map(|called| told(format!("`{}` reaches outside the database", called.call.name), called.position))
        };
        let hidden = || {
            facts.hidden.iter().find_map(|hidden| match hidden.function {
                HiddenFunction::BuiltIn(name) if builtin::class(name) == Some(Class::Outside) => Some(told(
                    format!("{} calls `{name}`, which reaches outside the database", hidden.behind),
                    hidden.position,
                )),
                _ => None,
            })
        };
        let foreign = || {
            let mut written =
                facts.relations.iter().filter(|used| used.used.touch == Touch::Write && used.found.is_foreign());
            written.next().map(|used| told(format!("`{}` is a table of another server", used.used.name), used.position))
        };
        deed.or_else(call).or_else(hidden).or_else(foreign)
    }
}
