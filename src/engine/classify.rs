//! Which columns hold what, with evidence.

use std::collections::{HashMap, HashSet};

use super::detector::{self, Detector};
use super::snapshot::Snapshot;

/// What one column holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Finding {
    /// The detector's word, for example `email`.
    pub(crate) entity: String,
    /// 0 to 1.
    pub(crate) confidence: f64,
    /// Why, in words for a person.
    pub(crate) evidence: String,
}

/// Findings by relation oid and attribute number: never by name, because names can be shadowed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Classification {
    pub(crate) findings: HashMap<(u32, i16), Finding>,
    /// Relations that were looked at, also those where nothing was found.
    pub(crate) examined: HashSet<u32>,
}

/// What is known about a column.
#[derive(Clone, Copy, Debug)]
pub(super) enum Verdict {
    /// It holds this.
    Sensitive(&'static dyn Detector),
    /// It was looked at, and nothing was found.
    Clear,
    /// Nobody has looked at it yet: it may hold anything.
    Unknown,
}

impl Classification {
    /// What the names of columns say.
    pub(crate) fn by_names(snapshot: &Snapshot) -> Self {
        /// text, varchar, bpchar
        const TEXTUAL: &[u32] = &[25, 1043, 1042];
        let textual = snapshot.columns.iter().filter(|column| TEXTUAL.contains(&column.kind));
        let findings = textual.filter_map(|column| {
            let entity = detector::claimed(&detector::words(&column.name))?;
            let evidence = format!("the name `{}`", column.name);
            let finding = Finding { entity: entity.name().to_owned(), confidence: 0.9, evidence };
            Some(((column.relation, column.attribute), finding))
        });
        let examined = snapshot.relations.iter().map(|relation| relation.oid).collect();
        Self { findings: findings.collect(), examined }
    }

    /// What is known about a column of a relation.
    pub(super) fn verdict(&self, relation: u32, attribute: i16) -> Verdict {
        match self.findings.get(&(relation, attribute)).map(|finding| detector::named(&finding.entity)) {
            Some(Some(entity)) => Verdict::Sensitive(entity),
            // A word of a newer version.
            Some(None) => Verdict::Unknown,
            None if self.examined.contains(&relation) => Verdict::Clear,
            None => Verdict::Unknown,
        }
    }
}

impl Classification {
    /// Whether anything was found at all.
    pub(super) fn finds(&self) -> bool {
        !self.findings.is_empty()
    }
}
