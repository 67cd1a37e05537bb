//! Asks before masked columns are shown with their real values, to a session that was opened to see them.
//!
//! What a policy lets through without asking is said in a case: for a purpose, a group, relations, hours.

use std::collections::BTreeSet;

use super::Rule;
use crate::domain::{Action, Environment, IdentityKind, Reason};
use crate::engine::lineage::{Kept, Source};
use crate::engine::resolve::Facts;

pub(super) struct RevealedColumn;

impl Rule for RevealedColumn {
    fn name(&self) -> &'static str {
        "revealed_column"
    }

    fn summary(&self) -> &'static str {
        "masked columns shown with their real values, because the session asked with --reveal"
    }

    fn default(&self, _: Environment, _: IdentityKind) -> Action {
        Action::Hold
    }

    /// What an agent sees, a person has agreed to.
    fn mildest(&self, who: IdentityKind) -> Action {
        match who {
            IdentityKind::Agent => Action::Hold,
            IdentityKind::Person | IdentityKind::Workload => Action::Allow,
        }
    }

    fn check(&self, facts: &Facts<'_>) -> Option<Reason> {
        let outputs = facts.lineage.as_ref().filter(|_| facts.catalog.reveals_any())?.outputs.all();
        let mut columns = BTreeSet::new();
        for (source, _) in outputs.sources() {
            match source {
                Source::Column { relation, attribute, .. } if facts.catalog.reveals(*relation, *attribute) => {
                    if source.kept(facts.catalog) > Kept::Open {
                        columns
                            .extend(facts.catalog.column_name(*relation, *attribute).map(|name| format!("`{name}`")));
                    }
                }
                // It may have read anything.
                Source::Unknown => drop(columns.insert("what was asked for with --reveal".to_owned())),
                Source::Column { .. }
                | Source::Temporary
                | Source::CatalogText
                | Source::CatalogTree
                | Source::Secret => {}
            }
        }
        let listed: Vec<_> = columns.into_iter().collect();
        (!listed.is_empty()).then(|| {
            Reason::new(self.name(), format!("this would show {} as it is", listed.join(", ")))
                .detail("The column is masked for everybody else.")
                .hint("have somebody approve it, or connect without --reveal to see it masked")
                .at(facts.first_position())
        })
    }
}
