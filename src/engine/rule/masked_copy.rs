//! Asks before masked values are copied to where no mask follows them.

use super::Rule;
use crate::domain::{Action, Environment, IdentityKind, Reason};
use crate::engine::lineage::{Form, Kept, Purpose, Source};
use crate::engine::resolve::Facts;

pub(super) struct MaskedCopy;

impl Rule for MaskedCopy {
    fn name(&self) -> &'static str {
        "masked_copy"
    }

    fn summary(&self) -> &'static str {
        "masked values written to other tables, to files, to settings or to other sessions"
    }

    /// Somebody else may find that the copy is needed, and see to it that it is classified.
    fn default(&self, _: Environment, who: IdentityKind) -> Action {
        match who {
            IdentityKind::Agent => Action::Deny,
            IdentityKind::Person | IdentityKind::Workload => Action::Hold,
        }
    }

    fn check(&self, facts: &Facts<'_>) -> Option<Reason> {
        let kept = |source: &Source| source.kept(facts.catalog);
        let copied = facts.uses().find(|used| match &used.what {
            Purpose::Store(target) => {
                let to = target.map_or(Kept::Open, |(relation, attribute)| {
                    kept(&Source::Column { relation, attribute, key: None })
                });
                used.origin.sources().any(|(source, form)| match (kept(source), to) {
                    // Elsewhere nothing says that constants stand in it as bytes.
                    (Kept::Open, _) => *source == Source::CatalogTree,
                    (_, Kept::Closed) => false,
                    (Kept::Mixed, Kept::Mixed) => form == Form::Computed,
                    (Kept::Mixed | Kept::Closed, _) => true,
                })
            }
            Purpose::Effect(_) => used.origin.kept(facts.catalog) > Kept::Open,
            Purpose::Lookup(_) | Purpose::Match(_) | Purpose::Word | Purpose::Rows | Purpose::Risk | Purpose::Test => {
                false
            }
        })?;
        let column = facts.first_kept(&copied.origin);
        let message = match &copied.what {
            Purpose::Effect(function) => format!("`{function}` would carry {column}, which is masked, out of sight"),
            _ => format!("this would copy {column}, which is masked, to where it is not"),
        };
        Some(
            Reason::new(self.name(), message)
                .detail("Masks belong to columns. What is copied elsewhere is not known to be the same data.")
                .hint("leave the column out, or copy it to a column that is masked as well")
                .at(copied.position),
        )
    }
}
