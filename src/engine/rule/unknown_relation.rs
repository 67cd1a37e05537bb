//! Says what PostgreSQL would say when a read names a relation that is not there, instead of asking it: what nobody has
//! seen has no class and no masks, and may be there by the time the statement arrives.

use super::Rule;
use crate::domain::{Access, Action, Environment, Fault, IdentityKind, Reason, Touch};
use crate::engine::policy::nearest;
use crate::engine::resolve::{Facts, Found, Used};

pub(super) struct UnknownRelation;

impl Rule for UnknownRelation {
    fn name(&self) -> &'static str {
        "unknown_relation"
    }

    fn summary(&self) -> &'static str {
        "relations that are not there, under a grant to read"
    }

    fn default(&self, _: Environment, _: IdentityKind) -> Action {
        Action::Deny
    }

    fn is_fixed(&self) -> bool {
        true
    }

    fn check(&self, facts: &Facts<'_>) -> Option<Reason> {
        if facts.access == Access::Write {
            return None;
        }
        // What a statement makes is not there yet; whether it may be made is said elsewhere.
        let missing = |used: &&Used<'_>| matches!(used.found, Found::Missing) && used.used.touch != Touch::Define;
        let used = facts.relations.iter().find(missing)?;
        let name = &used.used.name;
        let written = name.schema.as_ref().map_or_else(String::new, |schema| format!("{schema}."));
        let reason = Reason::new(self.name(), format!("relation \"{written}{}\" does not exist", name.name))
            .fault(Fault::UnknownRelation)
            .at(used.position);
        let known = facts.catalog.relations().map(|relation| relation.name.as_str());
        Some(match nearest(&name.name, known) {
            Some(near) => reason.hint(format!("did you mean `{near}`?")),
            None => reason,
        })
    }
}
