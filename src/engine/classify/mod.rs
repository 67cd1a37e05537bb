//! Which columns hold what, with evidence.
//!
//! [`name`] reads the names of columns, [`score`] puts a name, a type, a comment and sampled values together,
//! and [`filled`] knows what columns hold that code fills. What is kept
//! here are the findings; the values that led to them are seen and forgotten.

mod filled;
mod name;
mod overrule;
mod score;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

pub(crate) use filled::{FILLERS, Fill, Fillers, fill, fills};
pub(crate) use overrule::Overrules;
pub(crate) use score::{Kind, Sampled, relation};

use super::detector::{self, Detector};
use super::mask::Tripwire;

/// The word for text that may hold anything: values within it are masked.
pub(crate) const FREE_TEXT: &str = "free_text";

/// What one column holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Finding {
    /// The detector's word, for example `email`; or [`FREE_TEXT`].
    pub(crate) entity: String,
    /// 0 to 1.
    pub(crate) confidence: f64,
    /// Why, in words for a person. Never a value.
    pub(crate) evidence: String,
}

/// Findings by relation oid and attribute number: never by name, because names can be shadowed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Classification {
    pub(crate) findings: HashMap<(u32, i16), Finding>,
    /// What was found in columns of which somebody says that they hold nothing.
    pub(crate) cleared: HashMap<(u32, i16), Finding>,
    /// Columns that were looked at, also those where nothing was found.
    pub(crate) examined: HashSet<(u32, i16)>,
    /// What values of these columns are known by, should one be about to go out as it is.
    pub(crate) tripwire: Option<Arc<Tripwire>>,
    /// Columns of which the database shows masked values only.
    pub(super) masked: HashSet<(u32, i16)>,
    /// Columns that may hold anything, of which the database shows what is left when all that is known by its form is gone.
    pub(super) scrubbed: HashSet<(u32, i16)>,
}

/// What is known about a column.
#[derive(Clone, Copy, Debug)]
pub(super) enum Verdict {
    /// It holds this.
    Sensitive(&'static dyn Detector),
    /// It was looked at, and nothing was found; or what was found is masked where it is read.
    Clear,
    /// Nobody has looked at it yet: it may hold anything.
    Unknown,
}

impl Classification {
    /// What is known about a column of a relation.
    pub(super) fn verdict(&self, relation: u32, attribute: i16) -> Verdict {
        if self.is_masked(relation, attribute) { Verdict::Clear } else { self.known(relation, attribute) }
    }

    /// What a column holds, whether or not the database masks it.
    pub(super) fn known(&self, relation: u32, attribute: i16) -> Verdict {
        let column = (relation, attribute);
        let finding = self.findings.get(&column).filter(|finding| finding.entity != FREE_TEXT);
        match finding.map(|finding| finding.entity.as_str()) {
            // A word of a newer version is not known here.
            Some(entity) => detector::named(entity).map_or(Verdict::Unknown, Verdict::Sensitive),
            None if self.examined.contains(&column) => Verdict::Clear,
            None => Verdict::Unknown,
        }
    }

    /// Whether a column holds texts in which anything may stand.
    pub(super) fn is_free_text(&self, relation: u32, attribute: i16) -> bool {
        self.findings.get(&(relation, attribute)).is_some_and(|finding| finding.entity == FREE_TEXT)
    }

    /// Whether what is seen of a column was masked before.
    pub(super) fn is_masked(&self, relation: u32, attribute: i16) -> bool {
        self.masked.contains(&(relation, attribute))
    }

    /// Whether what is seen of a column that may hold anything was rid of what is known by its form.
    pub(super) fn is_scrubbed(&self, relation: u32, attribute: i16) -> bool {
        self.scrubbed.contains(&(relation, attribute))
    }

    /// Whether anything was found at all.
    pub(super) fn finds(&self) -> bool {
        !self.findings.is_empty()
    }
}
