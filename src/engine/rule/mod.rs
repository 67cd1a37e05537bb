//! Guardrail rules, one per file. The file's name is the rule's word in policy files, errors and records.

mod bulk_export;
mod catalog_write;
pub(super) mod coarse_value;
mod code_change;
mod destructive_ddl;
mod leaky_catalog;
mod locking;
mod masked_code;
pub(super) mod masked_condition;
mod masked_copy;
pub(super) mod masked_value;
mod missing_where;
mod not_understood;
mod opaque_code;
mod outside_access;
mod parser_settings;
mod privilege;
mod public_grant;
mod read_only;
mod resource_use;
mod revealed_column;
mod role_change;
mod role_switch;
mod schema_change;
mod sequence_reset;
pub(super) mod session_guard;
mod tagged_schema_change;
mod unknown_relation;
mod unknown_statement;

use super::resolve::Facts;
use crate::domain::{Action, Environment, IdentityKind, Reason};

/// One thing that may be wrong with a statement.
pub(crate) trait Rule: Sync {
    /// The rule's word.
    fn name(&self) -> &'static str;
    /// One line for help and documentation.
    fn summary(&self) -> &'static str;
    /// What happens when nothing is configured.
    fn default(&self, environment: Environment, who: IdentityKind) -> Action;
    /// Whether no policy can change it, because everything else rests on it.
    fn is_fixed(&self) -> bool {
        false
    }
    /// The mildest that a policy can make it for these.
    fn mildest(&self, _who: IdentityKind) -> Action {
        Action::Allow
    }
    /// The reason, when the rule applies.
    fn check(&self, facts: &Facts<'_>) -> Option<Reason>;
}

/// All rules. Of several that ask for the same, the first gives the reason.
pub(crate) const RULES: &[&dyn Rule] = &[
    &not_understood::NotUnderstood,
    &parser_settings::ParserSettings,
    &destructive_ddl::DestructiveDdl,
    &read_only::ReadOnly,
    &unknown_relation::UnknownRelation,
    &missing_where::MissingWhere,
    &catalog_write::CatalogWrite,
    &outside_access::OutsideAccess,
    &role_change::RoleChange,
    &role_switch::RoleSwitch,
    &session_guard::SessionGuard,
    &public_grant::PublicGrant,
    &leaky_catalog::LeakyCatalog,
    &masked_condition::MaskedCondition,
    &masked_copy::MaskedCopy,
    &masked_value::MaskedValue,
    &revealed_column::RevealedColumn,
    &coarse_value::CoarseValue,
    &tagged_schema_change::TaggedSchemaChange,
    &code_change::CodeChange,
    &schema_change::SchemaChange,
    &privilege::Privilege,
    &locking::Locking,
    &sequence_reset::SequenceReset,
    &opaque_code::OpaqueCode,
    &masked_code::MaskedCode,
    &bulk_export::BulkExport,
    &resource_use::ResourceUse,
    &unknown_statement::UnknownStatement,
];

/// For what should not happen at all: refused in production, asked about in staging, noted in development.
fn refused(environment: Environment, who: IdentityKind) -> Action {
    match (who, environment) {
        (IdentityKind::Agent, _) | (_, Environment::Production) => Action::Deny,
        (_, Environment::Staging) => Action::Hold,
        (_, Environment::Development) => Action::Observe,
    }
}

/// For what a second person should see first: asked about in production, noted elsewhere. Nobody asks for an agent.
fn asked(environment: Environment, who: IdentityKind) -> Action {
    match (who, environment) {
        (IdentityKind::Agent, _) => Action::Deny,
        (_, Environment::Production) => Action::Hold,
        (_, Environment::Staging | Environment::Development) => Action::Observe,
    }
}
