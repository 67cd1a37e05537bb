//! Asks before the schema of tagged data changes; policies can ask other people than for the rest.

use super::{Rule, asked};
use crate::domain::{Action, Environment, IdentityKind, Reason, Touch};
use crate::engine::resolve::Facts;
use crate::engine::sql::fact::{Deed, Name, Object};

pub(super) struct TaggedSchemaChange;

impl Rule for TaggedSchemaChange {
    fn name(&self) -> &'static str {
        "tagged_schema_change"
    }

    fn summary(&self) -> &'static str {
        "schema changes of tagged relations"
    }

    fn default(&self, environment: Environment, who: IdentityKind) -> Action {
        asked(environment, who)
    }

    fn check(&self, facts: &Facts<'_>) -> Option<Reason> {
        facts.deeds().find_map(|(deed, position)| {
            let what = match deed {
                Deed::Define { what, .. } | Deed::Code { what, .. } => *what,
                Deed::Drop { object: Object::View | Object::Index | Object::Sequence | Object::Code, .. } => {
                    "drop an object"
                }
                Deed::Privilege { what, .. } | Deed::Owner { what } => *what,
                _ => return None,
            };
            let defined = facts.relations.iter().filter(|used| used.used.touch == Touch::Define);
            let named = defined.map(|used| &used.used.name).chain(names(deed));
            let tags: Vec<_> = named.flat_map(|name| facts.tags(name)).collect();
            let tag = tags.first()?;
            Some(
                Reason::new(self.name(), format!("this would {what} where data is tagged `{tag}`"))
                    .hint("an approval by those responsible for that data is needed")
                    .at(position),
            )
        })
    }
}

/// Names that a deed has itself and that are not among the command's relations.
fn names(deed: &Deed) -> &[Name] {
    match deed {
        Deed::Drop { names, .. } => names,
        _ => &[],
    }
}
