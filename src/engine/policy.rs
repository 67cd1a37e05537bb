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
    /// The one way this policy is written; both ends compare its digest.
    pub(crate) fn canonical(&self) -> Vec<u8> {
        let rules: Vec<_> =
            self.overrides.iter().map(|(rule, action)| format!("\"{rule}\":\"{}\"", action.word())).collect();
        format!("{{\"environment\":\"{}\",\"rules\":{{{}}}}}", self.environment.word(), rules.join(",")).into_bytes()
    }

    /// Reads [`Self::canonical`] back; `None` for anything else.
    pub(crate) fn from_canonical(bytes: &[u8]) -> Option<Self> {
        let read = [Environment::Production, Environment::Staging, Environment::Development]
            .into_iter()
            .map(Self::built_in)
            .find(|policy| policy.canonical() == bytes);
        read
    }

    /// The built-in rules for an environment, nothing changed.
    pub(crate) fn built_in(environment: Environment) -> Self {
        Self { environment, overrides: BTreeMap::new() }
    }
}
