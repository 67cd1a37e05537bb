//! Stops conditions that find out what a masked column holds without showing it.
//!
//! A mask changes what is shown, not what is compared: `substr(ssn, 1, 1) = '0'` tells one digit with every question.
//! What stays possible is what one asks who knows the value already, or what compares masked columns among themselves.

use super::Rule;
use crate::domain::{Action, Environment, IdentityKind, Reason};
use crate::engine::lineage::{Kept, Origin, Purpose, Source};
use crate::engine::resolve::Facts;

pub(super) struct MaskedCondition;

pub(in crate::engine) const NAME: &str = "masked_condition";

/// Values that one statement may compare a masked column with.
const LOOKUPS_MAX: usize = 100;

impl Rule for MaskedCondition {
    fn name(&self) -> &'static str {
        NAME
    }

    fn summary(&self) -> &'static str {
        "conditions, orders and row counts that depend on parts of masked values"
    }

    fn default(&self, _: Environment, _: IdentityKind) -> Action {
        Action::Deny
    }

    fn check(&self, facts: &Facts<'_>) -> Option<Reason> {
        let kept = |origin: &Origin| origin.kept(facts.catalog);
        // What unknown code does is for the rules about code.
        let known = |origin: &Origin| {
            let sources = origin.sources().map(|(source, _)| source).filter(|source| **source != Source::Unknown);
            sources.map(|source| source.kept(facts.catalog)).max().unwrap_or(Kept::Open)
        };
        let tells = facts.uses().find(|used| match &used.what {
            Purpose::Lookup(values) => *values > LOOKUPS_MAX && kept(&used.origin) == Kept::Closed,
            Purpose::Match(other) => {
                let is_kept = |(source, _): (&Source, _)| source.kept(facts.catalog) == Kept::Closed;
                kept(&used.origin) == Kept::Closed && (other.is_empty() || !other.sources().all(is_kept))
            }
            Purpose::Word | Purpose::Rows | Purpose::Risk => known(&used.origin) == Kept::Closed,
            Purpose::Test => known(&used.origin) > Kept::Open,
            Purpose::Store(_) | Purpose::Effect(_) => false,
        })?;
        let column = facts.first_kept(&tells.origin);
        Some(
            Reason::new(self.name(), format!("this would tell what {column} holds, which is masked"))
                .detail(
                    "Masked values can be compared for equality with values you know, and with other masked values.",
                )
                .hint("compare with `=` or IN")
                .at(tells.position),
        )
    }
}

/// Values that a command asks masked columns about.
pub(in crate::engine) fn lookups(facts: &Facts<'_>) -> usize {
    let asked = facts.uses().filter(|used| used.origin.kept(facts.catalog) == Kept::Closed);
    let values = asked.map(|used| match used.what {
        Purpose::Lookup(values) => values,
        Purpose::Match(_)
        | Purpose::Word
        | Purpose::Rows
        | Purpose::Risk
        | Purpose::Test
        | Purpose::Store(_)
        | Purpose::Effect(_) => 0,
    });
    values.sum()
}
