//! What the system catalogs hold that values may stand in.

use super::{Form, Origin, Source};
use crate::engine::builtin;
use crate::engine::detector;

/// Columns with texts that people wrote, in which they may have quoted values.
const TEXTS: &[&str] = &[
    "action_condition",
    "action_statement",
    "agginitval",
    "aggminitval",
    "attfdwoptions",
    "attribute_default",
    "check_clause",
    "column_default",
    "comment",
    "definition",
    "description",
    "dictinitoption",
    "domain_default",
    "enumlabel",
    "extcondition",
    "fdwoptions",
    "ftoptions",
    "generation_expression",
    "indexdef",
    "label",
    "option_value",
    "parameter_default",
    "proconfig",
    "prosrc",
    "qual",
    "rolconfig",
    "routine_definition",
    "rowfilter",
    "setconfig",
    "srvoptions",
    "tgargs",
    "typdefault",
    "useconfig",
    "view_definition",
    "with_check",
];

/// Columns with expressions as the server keeps them. Functions print them as text.
const TREES: &[&str] = &[
    "adbin",
    "conbin",
    "ev_action",
    "ev_qual",
    "indexprs",
    "indpred",
    "partexprs",
    "polqual",
    "polwithcheck",
    "proargdefaults",
    "prosqlbody",
    "prqual",
    "stxexprs",
    "tgqual",
    "typdefaultbin",
];

/// Relations with such columns.
const WITH_TREES: &[&str] = &[
    "pg_attrdef",
    "pg_class",
    "pg_constraint",
    "pg_index",
    "pg_partitioned_table",
    "pg_policy",
    "pg_proc",
    "pg_publication_rel",
    "pg_rewrite",
    "pg_statistic_ext",
    "pg_trigger",
    "pg_type",
];

/// Columns with values of other tables: what rows hold that are older than a column, and what the rows of a partition hold.
/// They may be asked about like the texts, and are not shown.
const VALUES: &[&str] = &["attmissingval", "relpartbound"];

/// Relations that hold values of other tables, or secrets.
pub(in crate::engine) const SECRET: &[&str] = &[
    "pg_authid",
    "pg_file_settings",
    "pg_hba_file_rules",
    "pg_ident_file_mappings",
    "pg_largeobject",
    "pg_shadow",
    "pg_statistic",
    "pg_statistic_ext_data",
    "pg_stats",
    "pg_stats_ext",
    "pg_stats_ext_exprs",
    "pg_user_mapping",
    "pg_user_mappings",
];

/// Those of them of which one column is the secret, and the others say who there is.
const SECRET_COLUMN: &[(&str, &str)] = &[
    ("pg_authid", "rolpassword"),
    ("pg_shadow", "passwd"),
    ("pg_user_mapping", "umoptions"),
    ("pg_user_mappings", "umoptions"),
];

/// The only column of a relation in [`SECRET`] that is one, if there is such a column.
pub(in crate::engine) fn secret_column(relation: &str) -> Option<&'static str> {
    SECRET_COLUMN.iter().find(|(known, _)| *known == relation).map(|(_, column)| *column)
}

/// Columns with statements and names of other sessions, by relation or extension.
const SESSIONS: &[(&str, &[&str])] = &[
    ("pg_cursors", &["statement"]),
    ("pg_prepared_statements", &["statement"]),
    ("pg_prepared_xacts", &["gid"]),
    ("pg_stat_activity", &["application_name", "query"]),
    ("pg_stat_statements", &["query"]),
];

/// A setting of the server, by name; all of them. Those that are not the server's own have a dot in their names and hold
/// what people keep there: addresses, tokens.
pub(super) fn setting(name: &str) -> Origin {
    // `app.jwt_secret`: what it is comes last.
    let is_claimed = |last: &str| {
        let words = detector::words(last);
        (0..words.len()).any(|from| words.get(from..).and_then(detector::claimed).is_some())
    };
    match name.rsplit_once('.') {
        Some((_, last)) if is_claimed(last) => Origin::of(Source::Secret, Form::Same),
        Some(_) => Origin::of(Source::CatalogText, Form::Same),
        None if name.eq_ignore_ascii_case("all") => Origin::of(Source::CatalogText, Form::Same),
        None => Origin::default(),
    }
}

/// A column of a system relation, or of one that an extension brought.
pub(super) fn column(relation: &str, name: &str) -> Origin {
    let told = SESSIONS.iter().any(|(told, columns)| *told == relation && columns.contains(&name));
    let secret = SECRET.contains(&relation) && secret_column(relation).is_none_or(|secret| secret == name);
    if told || secret {
        return Origin::of(Source::Secret, Form::Same);
    }
    if VALUES.contains(&name) {
        return Origin::of(Source::CatalogText, Form::Computed);
    }
    if TREES.binary_search(&name).is_ok() {
        return Origin::of(Source::CatalogTree, Form::Picked);
    }
    if TEXTS.binary_search(&name).is_ok() {
        return Origin::of(Source::CatalogText, Form::Same);
    }
    Origin::default()
}

/// Names of built-in functions that are columns of system relations too.
const COLUMNS: &[&str] = &["abbrev", "last_value", "mode", "name", "netmask", "oid", "version"];

/// Whether `row.name` of a system relation is a call: whatever takes any row can be called so.
pub(super) fn is_of_rows(name: &str) -> bool {
    builtin::class(name).is_some() && !COLUMNS.contains(&name)
}

/// A whole row, or all columns, of a system relation.
pub(super) fn relation(relation: &str) -> Origin {
    let secret = SECRET.contains(&relation) || SESSIONS.iter().any(|(told, _)| *told == relation);
    Origin::of(if secret { Source::Secret } else { Source::CatalogText }, Form::Same)
}

/// The same with the expressions that stand in it, as long as [names](among) say which they are.
pub(super) fn row(name: &str) -> Origin {
    let row = relation(name);
    if WITH_TREES.contains(&name) { row.and(&Origin::of(Source::CatalogTree, Form::Same)) } else { row }
}

/// A column by this name of what may hold whole relations.
pub(super) fn among(origin: &Origin, name: &str) -> Origin {
    if TREES.contains(&name) { origin.clone() } else { origin.clone().without_trees() }
}

#[cfg(test)]
mod tests {
    #[test]
    fn lists_are_sorted() {
        assert!(
            super::TEXTS.is_sorted()
                && super::TREES.is_sorted()
                && super::SECRET.is_sorted()
                && super::SESSIONS.is_sorted()
        );
    }
}
