//! One thing the client asked the database to do, and what is known about it.

use std::sync::Arc;

/// What kinds of thing a statement does. One statement can do several (`WITH d AS (DELETE …) SELECT …`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Operation {
    /// Reads rows.
    Read,
    Insert,
    Update,
    Delete,
    Truncate,
    /// Creates or changes schema objects.
    SchemaChange,
    /// Drops schema objects.
    Drop,
    /// Grants, revokes, roles, ownership, row security.
    Privilege,
    /// Session and transaction control that changes no data.
    Session,
    /// Locks, vacuum, cluster, reindex.
    Maintenance,
    /// Server files, programs, other servers, server control.
    Outside,
    /// What it does cannot be known from its text.
    Opaque,
}

impl Operation {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Truncate => "truncate",
            Self::SchemaChange => "schema_change",
            Self::Drop => "drop",
            Self::Privilege => "privilege",
            Self::Session => "session",
            Self::Maintenance => "maintenance",
            Self::Outside => "outside",
            Self::Opaque => "opaque",
        }
    }
}

/// How a relation is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Touch {
    Read,
    Write,
    Define,
}

/// A relation as a statement names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Relation {
    pub(crate) schema: Option<String>,
    pub(crate) name: String,
    pub(crate) touch: Touch,
}

/// Code that a statement runs and that nobody has reviewed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Function {
    /// `schema.name(types)`; as it was written where no such function was found.
    pub(crate) name: String,
    /// SHA-256, in hexadecimal, of all that defines what it does.
    pub(crate) body: Option<String>,
}

/// Whether the text was understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Parse {
    Understood,
    /// Not parsed: nothing is known, and nothing of the text goes into a record.
    Opaque,
}

/// What a record says about a statement: no literal values, no comments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) parse: Parse,
    /// The text with literals replaced by `$n`; empty when not understood.
    pub(crate) normalized: Arc<str>,
    pub(crate) operations: Arc<[Operation]>,
    pub(crate) relations: Arc<[Relation]>,
    /// What the columns hold that it reads, compares or writes, in the words of classification, each once.
    pub(crate) tags: Arc<[&'static str]>,
    /// Functions that it runs, by name or behind an operator, a cast or a view, and that nobody has reviewed; each once.
    pub(crate) functions: Arc<[Function]>,
    /// Length of the raw text in bytes.
    pub(crate) length: usize,
}

impl Statement {
    /// What is said of one that came and was not read.
    pub(crate) fn unread() -> Self {
        Self {
            parse: Parse::Opaque,
            normalized: "".into(),
            operations: Arc::from([]),
            relations: Arc::from([]),
            tags: Arc::from([]),
            functions: Arc::from([]),
            length: 0,
        }
    }
}
