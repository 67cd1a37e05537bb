//! Guardrail rules, one per file. The file's name is the rule's word in policy files, errors and records.

mod destructive_ddl;
mod not_understood;

use super::sql::Understood;
use crate::domain::{Action, Environment, Reason};

/// One thing that may be wrong with a statement.
pub(crate) trait Rule: Sync {
    /// The rule's word.
    fn name(&self) -> &'static str;
    /// One line for help and documentation.
    fn summary(&self) -> &'static str;
    /// What happens when nothing is configured.
    fn default(&self, environment: Environment) -> Action;
    /// The reason, when the rule applies.
    fn check(&self, what: &Understood) -> Option<Reason>;
}

/// All rules.
pub(crate) const RULES: &[&dyn Rule] = &[&destructive_ddl::DestructiveDdl, &not_understood::NotUnderstood];
