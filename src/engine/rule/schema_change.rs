//! Asks before the schema changes.

use super::{Rule, asked};
use crate::domain::{Action, Environment, IdentityKind, Reason, Touch};
use crate::engine::resolve::Facts;
use crate::engine::sql::fact::{Deed, Object};

pub(super) struct SchemaChange;

impl Rule for SchemaChange {
    fn name(&self) -> &'static str {
        "schema_change"
    }

    fn summary(&self) -> &'static str {
        "CREATE, ALTER, RENAME, COMMENT, SELECT INTO and the like"
    }

    fn default(&self, environment: Environment, who: IdentityKind) -> Action {
        asked(environment, who)
    }

    fn check(&self, facts: &Facts<'_>) -> Option<Reason> {
        facts.deeds().find_map(|(deed, position)| {
            let what = match deed {
                Deed::Define { what, .. } if !is_own(facts, deed) => what,
                Deed::Drop { object: Object::View | Object::Sequence | Object::Index, names, cascade: false }
                    if names.iter().all(|name| facts.is_temporary(name)) =>
                {
                    return None;
                }
                Deed::Drop {
                    object: Object::View | Object::Sequence | Object::Index | Object::Type | Object::Other,
                    cascade: false,
                    ..
                } => "drop an object",
                _ => return None,
            };
            Some(Reason::new(self.name(), format!("this would {what}")).at(position))
        })
    }
}

/// Whether a definition concerns only relations of the session's own.
fn is_own(facts: &Facts<'_>, deed: &Deed) -> bool {
    let Deed::Define { name: Some(name), temporary, .. } = deed else { return false };
    // The new relation is not there yet; everything else that it is defined on must be temporary too.
    let others = facts.relations.iter().filter(|used| used.used.touch == Touch::Define && used.used.name != *name);
    (*temporary || facts.is_temporary(name)) && others.into_iter().all(|used| facts.is_temporary(&used.used.name))
}
