//! Stops statements that drop or empty whole objects.

use super::{Rule, refused};
use crate::domain::{Action, Environment, IdentityKind, Reason};
use crate::engine::resolve::Facts;
use crate::engine::sql::fact::{Deed, Name, Object};

pub(super) struct DestructiveDdl;

impl Rule for DestructiveDdl {
    fn name(&self) -> &'static str {
        "destructive_ddl"
    }

    fn summary(&self) -> &'static str {
        "DROP and TRUNCATE of tables, schemas, databases and columns; anything with CASCADE"
    }

    fn default(&self, environment: Environment, who: IdentityKind) -> Action {
        refused(environment, who)
    }

    fn check(&self, facts: &Facts<'_>) -> Option<Reason> {
        facts.deeds().find_map(|(deed, position)| {
            let what = destroyed(facts, deed)?;
            Some(
                Reason::new(self.name(), format!("this would destroy {what}"))
                    .detail("What is dropped or emptied can only come back from a backup.")
                    .hint("rename it first and drop it later, or have the change approved as a migration")
                    .at(position),
            )
        })
    }
}

/// What a deed destroys, when it is not the session's own.
fn destroyed(facts: &Facts<'_>, deed: &Deed) -> Option<String> {
    let lasting = |names: &[Name]| names.is_empty() || !names.iter().all(|name| facts.is_temporary(name));
    match deed {
        Deed::Truncate { relations } => lasting(relations).then(|| format!("all rows of {}", list(relations))),
        Deed::DropPart { what, of } => (!facts.is_temporary(of)).then(|| format!("{what} of `{of}`")),
        Deed::Drop { object, names, cascade } => {
            let whole = matches!(
                object,
                Object::Table | Object::MaterializedView | Object::ForeignTable | Object::Schema | Object::Database
            );
            let others = if *cascade { " and everything that depends on it" } else { "" };
            ((whole || *cascade) && lasting(names)).then(|| format!("{}{others}", list(names)))
        }
        _ => None,
    }
}

fn list(names: &[Name]) -> String {
    match names {
        [] => "everything a role owns".to_owned(),
        names => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
    }
}
