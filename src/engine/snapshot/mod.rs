//! How a catalog is read from a database, and the form in which it travels from the gateway to the client.
//!
//! Somebody else runs [`QUERIES`]; each answers with one row of one column, a JSON array, or nothing when it was not
//! allowed to look. They ask only `pg_catalog`, which every role may read, and work on PostgreSQL 13 to 18.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// Most bytes of one answer that are read: 100,000 columns take about 10 MiB.
const ANSWER_MAX: usize = 256 * 1024 * 1024;

/// Run before the queries, in the same session: names are then written with their schema, whatever the role's own path.
pub(crate) const PREPARE: &str = "SET search_path = ''";

/// Changes whenever a definition that the catalog holds changes: asking costs a scan of the system catalogs (a few
/// milliseconds), reading the catalog anew costs more. Statistics do not count as a change.
pub(crate) const FINGERPRINT: &str = include_str!("fingerprint.sql");

/// A question to the database and the list of the snapshot that its answer fills.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Query {
    pub(crate) list: &'static str,
    pub(crate) sql: &'static str,
}

/// The questions, in no particular order.
pub(crate) const QUERIES: &[Query] = &[
    Query { list: "relations", sql: include_str!("relations.sql") },
    Query { list: "columns", sql: include_str!("columns.sql") },
    Query { list: "keys", sql: include_str!("keys.sql") },
    Query { list: "foreign_keys", sql: include_str!("foreign_keys.sql") },
    Query { list: "parents", sql: include_str!("parents.sql") },
    Query { list: "triggers", sql: include_str!("triggers.sql") },
    Query { list: "functions", sql: include_str!("functions.sql") },
    Query { list: "built_in", sql: include_str!("built_in.sql") },
    Query { list: "operators", sql: include_str!("operators.sql") },
    Query { list: "casts", sql: include_str!("casts.sql") },
    Query { list: "types", sql: include_str!("types.sql") },
    Query { list: "uses", sql: include_str!("uses.sql") },
    Query { list: "schemas", sql: include_str!("schemas.sql") },
];

/// What a database's schema was at one time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Snapshot {
    /// Grows with every change; a decision taken under another epoch is taken anew.
    pub(crate) epoch: u64,
    pub(crate) database: String,
    pub(crate) relations: Vec<Relation>,
    pub(crate) columns: Vec<Column>,
    pub(crate) keys: Vec<Key>,
    pub(crate) foreign_keys: Vec<ForeignKey>,
    pub(crate) parents: Vec<Parent>,
    pub(crate) triggers: Vec<Trigger>,
    pub(crate) functions: Vec<Function>,
    /// Names of the functions that came with the server.
    pub(crate) built_in: Vec<String>,
    pub(crate) operators: Vec<Operator>,
    pub(crate) casts: Vec<Cast>,
    pub(crate) types: Vec<Type>,
    pub(crate) uses: Vec<Use>,
    pub(crate) schemas: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Relation {
    pub(crate) oid: u32,
    pub(crate) schema: String,
    pub(crate) name: String,
    /// `pg_class.relkind`
    pub(crate) kind: char,
    pub(crate) owner: u32,
    pub(crate) row_security: bool,
    /// The planner's estimate; negative when never analysed.
    pub(crate) rows: f64,
    /// Has rules other than that of a view.
    pub(crate) rules: bool,
    /// The query of a view.
    pub(crate) definition: Option<String>,
    pub(crate) extension: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Column {
    pub(crate) relation: u32,
    pub(crate) attribute: i16,
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: u32,
    /// `pg_attribute.atttypmod`; of a domain, that of what it is over.
    pub(crate) modifier: i32,
    pub(crate) not_null: bool,
    /// Filled from a sequence.
    pub(crate) counted: bool,
    /// Attributes that a generated column is computed from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) made_of: Vec<i16>,
}

/// A set of columns whose values together occur once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Key {
    pub(crate) relation: u32,
    pub(crate) columns: Vec<i16>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ForeignKey {
    pub(crate) relation: u32,
    pub(crate) columns: Vec<i16>,
    pub(crate) target: u32,
    pub(crate) target_columns: Vec<i16>,
    /// `pg_constraint.confdeltype`: a no action, r restrict, c cascade, n set null, d set default
    pub(crate) on_delete: char,
    pub(crate) on_update: char,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Parent {
    pub(crate) relation: u32,
    pub(crate) parent: u32,
    pub(crate) partition: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Trigger {
    pub(crate) relation: u32,
    pub(crate) name: String,
    pub(crate) function: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Function {
    pub(crate) oid: u32,
    pub(crate) schema: String,
    pub(crate) name: String,
    /// `pg_proc.prokind`
    pub(crate) kind: char,
    pub(crate) arguments: Vec<u32>,
    /// Arguments that may be left out.
    pub(crate) defaults: u16,
    pub(crate) variadic: bool,
    pub(crate) language: String,
    /// `pg_proc.provolatile`
    pub(crate) volatility: char,
    /// Runs with the rights of its owner.
    pub(crate) definer: bool,
    pub(crate) owner: String,
    /// `schema.name(types)`, as reviewed functions are listed in a policy.
    pub(crate) signature: String,
    /// SHA-256 of all that defines what it does, in hexadecimal.
    pub(crate) body: String,
    pub(crate) extension: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Operator {
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(crate) left: u32,
    pub(crate) right: u32,
    pub(crate) function: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cast {
    pub(crate) source: u32,
    pub(crate) target: u32,
    pub(crate) function: u32,
    /// `pg_cast.castcontext`: e only written out, a also on assignment, i anywhere
    pub(crate) context: char,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Type {
    pub(crate) oid: u32,
    pub(crate) schema: String,
    pub(crate) name: String,
    /// `pg_type.typtype`
    pub(crate) kind: char,
    /// What a domain is over.
    pub(crate) base: u32,
    /// The relation of a composite type.
    pub(crate) relation: u32,
    /// The element of an array.
    pub(crate) element: u32,
}

/// What runs or is read when a relation is read or a value becomes of a type; 0 where there is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Use {
    pub(crate) relation: u32,
    #[serde(rename = "type")]
    pub(crate) kind: u32,
    pub(crate) function: u32,
    pub(crate) reads: u32,
}

/// Why a snapshot could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotError {
    #[error("the answer about {0} is missing")]
    Missing(&'static str),
    #[error("the answer about {0} is larger than {ANSWER_MAX} bytes")]
    TooLarge(&'static str),
    #[error("the answer about {0} is not what was asked for: {1}")]
    Unreadable(&'static str, serde_json::Error),
}

impl Snapshot {
    /// From the answers to [`QUERIES`], by list.
    pub(crate) fn read(epoch: u64, database: &str, answers: &HashMap<&str, String>) -> Result<Self, SnapshotError> {
        fn list<T: for<'de> Deserialize<'de>>(
            answers: &HashMap<&str, String>,
            name: &'static str,
        ) -> Result<Vec<T>, SnapshotError> {
            let answer = answers.get(name).ok_or(SnapshotError::Missing(name))?;
            if answer.len() > ANSWER_MAX {
                return Err(SnapshotError::TooLarge(name));
            }
            serde_json::from_str(answer).map_err(|error| SnapshotError::Unreadable(name, error))
        }
        Ok(Self {
            epoch,
            database: database.to_owned(),
            relations: list(answers, "relations")?,
            columns: list(answers, "columns")?,
            keys: list(answers, "keys")?,
            foreign_keys: list(answers, "foreign_keys")?,
            parents: list(answers, "parents")?,
            triggers: list(answers, "triggers")?,
            functions: list(answers, "functions")?,
            built_in: list(answers, "built_in")?,
            operators: list(answers, "operators")?,
            casts: list(answers, "casts")?,
            types: list(answers, "types")?,
            uses: list(answers, "uses")?,
            schemas: list(answers, "schemas")?,
        })
    }
}
