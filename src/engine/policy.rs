//! What is allowed, as checked data.

use std::collections::BTreeMap;

use crate::domain::{Action, Environment};

/// The rules for one resource. Both ends hold the same bytes; see [`Policy::canonical`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) environment: Environment,
    /// Outcomes that differ from the built-in ones, by rule name.
    pub(crate) overrides: BTreeMap<String, Action>,
}

impl Policy {
    /// The built-in rules for an environment, nothing changed.
    pub(crate) fn built_in(environment: Environment) -> Self {
        Self { environment, overrides: BTreeMap::new() }
    }
}
