//! Which columns hold what, with evidence.

use std::collections::HashMap;

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
}
