//! Which column of a result gets which treatment.

use super::treatment::{Column, Treatment};
use super::{MaskKey, Masker, ResultColumn};
use crate::domain::Grant;
use crate::engine::catalog::{Catalog, FIRST_USER_OID};
use crate::engine::classify::Verdict;
use crate::engine::policy::Policy;
use crate::engine::scope::Scope;
use crate::engine::sql::Understood;

/// Plans how a result is masked.
#[expect(clippy::too_many_arguments, reason = "each is one of the engine's inputs; Engine::masker is the front")]
pub(in crate::engine) fn masker(
    _policy: &Policy,
    catalog: &Catalog,
    key: Option<&MaskKey>,
    _who: &Grant,
    _what: &Understood,
    _command: usize,
    _scope: &Scope,
    columns: &[ResultColumn],
) -> Masker {
    let columns = columns.iter().map(|column| Column::new(treatment(catalog, column), column, catalog));
    Masker::new(key, columns.collect())
}

fn treatment(catalog: &Catalog, column: &ResultColumn) -> Treatment {
    // Computed, or from a table of the server's own: nobody has classified it.
    if column.attribute <= 0 || column.table < FIRST_USER_OID {
        return Treatment::Look;
    }
    match catalog.classification.verdict(column.table, column.attribute) {
        Verdict::Sensitive(entity) => Treatment::Entity(entity),
        Verdict::Clear => Treatment::Glance,
        Verdict::Unknown => Treatment::Redact,
    }
}
