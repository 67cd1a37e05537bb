//! What a command says, in our own words: no grammar above this line, no catalog and no policy below it.
//!
//! Names are as written, folded and unquoted as the server does it; what they stand for depends on the catalog and the
//! session and is looked up later. Values are kept only where a rule needs them.

use std::fmt;
use std::sync::Arc;

use super::compared::Compared;
use super::tree::{Place, Root};
use crate::domain::{Operation, Touch};

/// A name with or without its schema.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Name {
    pub(crate) schema: Option<Box<str>>,
    pub(crate) name: Box<str>,
}

impl Name {
    pub(crate) fn bare(name: &str) -> Self {
        Self { schema: None, name: name.into() }
    }

    pub(crate) fn new(schema: &str, name: &str) -> Self {
        Self { schema: (!schema.is_empty()).then(|| schema.into()), name: name.into() }
    }

    /// From the parts of a dotted name; a database name before the schema must be the current one and says nothing.
    pub(crate) fn of_words<'t>(words: impl Iterator<Item = &'t str>) -> Self {
        let words: Vec<&str> = words.collect();
        match words.as_slice() {
            [] => Self::bare(""),
            [name] => Self::bare(name),
            [.., schema, name] => Self::new(schema, name),
        }
    }

    /// Whether the schema is written and is this one.
    pub(crate) fn is_in(&self, schema: &str) -> bool {
        self.schema.as_deref() == Some(schema)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(f, "{schema}.")?;
        }
        f.write_str(&self.name)
    }
}

/// One command of a text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Command {
    /// The byte at which its first word begins.
    pub(crate) position: usize,
    /// What it does, outermost first.
    pub(crate) acts: Vec<Act>,
    /// The functions it calls, wherever they stand, in whatever notation.
    pub(crate) calls: Vec<Call>,
    /// The operators it names.
    pub(crate) operators: Vec<Mention>,
    /// The types it names: a cast can call a function.
    pub(crate) types: Vec<Mention>,
    pub(crate) relations: Vec<Use>,
    /// Places of the tree that are not on our list of what we know.
    pub(crate) strange: Vec<Strange>,
    /// Where a recursive query stands that has nothing to end it.
    pub(crate) endless: Option<usize>,
    /// The server refuses to run it inside a transaction block.
    pub(crate) alone: bool,
    /// COPY … TO STDOUT: how its rows are written.
    pub(crate) copies: Option<CopyForm>,
    /// The statements in it, itself included, that write values to columns: INSERT, UPDATE, MERGE.
    pub(in crate::engine) writers: Vec<Place>,
    /// What it compares for equality.
    pub(in crate::engine) compared: Compared,
    /// Itself in the parse tree, for what follows values through it.
    pub(in crate::engine) root: Root,
}

impl Command {
    /// The kinds of thing it does, for the record.
    pub(crate) fn operations(&self) -> Vec<Operation> {
        let mut operations: Vec<Operation> = self.acts.iter().flat_map(|act| act.deed.operations()).collect();
        if !self.strange.is_empty() {
            operations.push(Operation::Opaque);
        }
        operations.dedup();
        operations
    }
}

/// Something a command does.
#[derive(Clone, Debug)]
pub(crate) struct Act {
    pub(crate) deed: Deed,
    /// The byte of the text to point at.
    pub(crate) position: usize,
}

/// A name that occurs, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mention {
    pub(crate) name: Name,
    pub(crate) position: usize,
}

/// A kind of node that is on no list of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Strange {
    pub(crate) node: &'static str,
    pub(crate) position: usize,
}

/// A relation that occurs. Names of common table expressions are not among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Use {
    pub(crate) name: Name,
    /// What the command calls it, when that is not its name.
    pub(crate) alias: Option<Box<str>>,
    pub(crate) touch: Touch,
    pub(crate) position: usize,
}

/// A function call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    pub(crate) name: Name,
    pub(crate) notation: Notation,
    /// The arguments' values as far as they are constants.
    pub(crate) arguments: Vec<Constant>,
    pub(crate) position: usize,
}

/// How a call is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Notation {
    /// `f(x)`
    Function,
    /// `x.f`, which calls `f(x)` when x has no such column. With the name before the dot, when it is one.
    Attribute { of: Option<Box<str>> },
    /// `TABLESAMPLE f (x)`
    Sample,
}

/// A value written in a text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Constant {
    /// Not a constant, or of no interest.
    Unknown,
    Null,
    Boolean(bool),
    Integer(i64),
    Text(Box<str>),
}

/// What a command does.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    /// SELECT, VALUES or TABLE; FOR UPDATE and its kin lock rows.
    Read {
        query: Box<Query>,
        locks: bool,
    },
    /// COPY … TO STDOUT
    Export {
        from: Exported,
    },
    Insert {
        into: Name,
        rows: Rows,
        upsert: Option<Box<Upsert>>,
    },
    /// UPDATE, DELETE, or one such arm of a MERGE.
    Change(Box<Change>),
    Truncate {
        relations: Vec<Name>,
    },
    Drop {
        object: Object,
        names: Vec<Name>,
        cascade: bool,
    },
    /// ALTER … DROP COLUMN, ALTER TYPE … DROP ATTRIBUTE, and whatever an ALTER drops with CASCADE
    DropPart {
        what: &'static str,
        of: Name,
    },
    /// Creates, alters or renames something that holds or describes data.
    Define {
        /// For a sentence: `create a table`.
        what: &'static str,
        object: Object,
        name: Option<Name>,
        /// Made in the session's own temporary schema.
        temporary: bool,
    },
    /// Changes what other statements do from now on: functions, triggers, rules, defaults, operators, casts.
    Code {
        what: &'static str,
        name: Option<Name>,
    },
    /// Rights on objects: GRANT, REVOKE, default privileges, row security.
    Privilege {
        what: &'static str,
        /// Gives something to everybody.
        public: bool,
    },
    /// Who owns what.
    Owner {
        what: &'static str,
    },
    /// Roles themselves: their existence, attributes, membership, settings.
    Role {
        what: &'static str,
    },
    /// Leaves the database: files, programs, other servers, server control.
    Outside {
        what: &'static str,
    },
    /// LOCK TABLE
    Lock {
        relations: Vec<Name>,
        /// Lock mode as the server numbers them, 1 (ACCESS SHARE) to 8 (ACCESS EXCLUSIVE).
        mode: u8,
    },
    /// VACUUM, ANALYZE, CLUSTER, REINDEX; heavy when it keeps others out or rewrites the table.
    Maintain {
        what: &'static str,
        heavy: bool,
    },
    Set(Setting),
    ResetAll,
    Discard(Discard),
    /// SHOW, and what else only concerns how the session looks at things.
    Show,
    Transaction(Transaction),
    /// DO
    Block {
        language: Box<str>,
        /// The statements in it that can be read.
        statements: Vec<Command>,
    },
    /// CALL
    Procedure,
    Prepare {
        name: Box<str>,
        statement: Arc<Command>,
    },
    Execute {
        name: Box<str>,
    },
    /// With no name: all of them.
    Deallocate {
        name: Option<Box<str>>,
    },
    Declare {
        cursor: Box<str>,
        query: Arc<Command>,
        /// WITH HOLD: outlives the transaction.
        hold: bool,
    },
    Fetch {
        cursor: Box<str>,
    },
    /// With no name: all of them.
    Close {
        cursor: Option<Box<str>>,
    },
    /// Shows a plan. What it also runs stands beside it.
    Explain,
    Listen,
    Notify,
}

impl Deed {
    /// The kinds of thing it does.
    pub(crate) fn operations(&self) -> impl Iterator<Item = Operation> {
        let one = match self {
            Self::Read { .. } | Self::Export { .. } | Self::Fetch { .. } => Operation::Read,
            Self::Insert { .. } => Operation::Insert,
            Self::Change(change) => match change.how {
                How::Update => Operation::Update,
                How::Delete => Operation::Delete,
            },
            Self::Truncate { .. } => Operation::Truncate,
            Self::Drop { .. } | Self::DropPart { .. } => Operation::Drop,
            Self::Define { .. } | Self::Code { .. } => Operation::SchemaChange,
            Self::Privilege { .. } | Self::Owner { .. } | Self::Role { .. } => Operation::Privilege,
            Self::Outside { .. } => Operation::Outside,
            Self::Lock { .. } | Self::Maintain { .. } => Operation::Maintenance,
            Self::Block { .. } | Self::Procedure => Operation::Opaque,
            Self::Set(_) | Self::ResetAll | Self::Discard(_) | Self::Show | Self::Transaction(_) => Operation::Session,
            Self::Prepare { .. }
            | Self::Execute { .. }
            | Self::Deallocate { .. }
            | Self::Declare { .. }
            | Self::Close { .. } => Operation::Session,
            Self::Explain | Self::Listen | Self::Notify => Operation::Session,
        };
        let updates = matches!(self, Self::Insert { upsert: Some(_), .. });
        [one].into_iter().chain(updates.then_some(Operation::Update))
    }
}

/// How COPY writes rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CopyForm {
    Text {
        delimiter: u8,
        null: Box<str>,
        /// The first line has the columns' names.
        header: bool,
    },
    Csv {
        delimiter: u8,
        quote: u8,
        escape: u8,
        null: Box<str>,
        header: bool,
    },
    Binary,
    /// With options that we do not know, or in another encoding.
    Unknown,
}

/// What a COPY … TO STDOUT hands out.
#[derive(Clone, Debug)]
pub(crate) enum Exported {
    Relation(Name),
    Query(Box<Query>),
}

/// Where inserted rows come from.
#[derive(Clone, Debug)]
pub(crate) enum Rows {
    /// Written out in the statement, or default values.
    Listed,
    Query(Box<Query>),
    /// COPY … FROM STDIN
    Client,
}

/// ON CONFLICT DO UPDATE
#[derive(Clone, Debug)]
pub(crate) struct Upsert {
    /// The target, and as `excluded` the row that was to be inserted.
    pub(crate) sources: Vec<Source>,
    pub(crate) condition: Option<Expression>,
}

/// How existing rows are changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Update,
    Delete,
}

impl How {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// Changes to existing rows.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) how: How,
    pub(crate) target: Name,
    /// The target first, then what it is joined with.
    pub(crate) sources: Vec<Source>,
    /// WHERE, and the ON of the joins.
    pub(crate) condition: Option<Expression>,
}

/// Kinds of object, as far as rules tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Object {
    Table,
    View,
    MaterializedView,
    ForeignTable,
    Sequence,
    Index,
    Schema,
    Database,
    Type,
    /// Functions, procedures, triggers, rules, policies, operators, casts: whatever runs later.
    Code,
    Role,
    /// Extensions, languages, servers, publications, subscriptions, tablespaces.
    Server,
    Other,
}

/// A parameter being set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    /// In lower case; `None` when the name is computed.
    pub(crate) name: Option<Box<str>>,
    pub(crate) value: Value,
    /// Until the end of the transaction only.
    pub(crate) local: bool,
    /// Whether it surely happens when the statement succeeds.
    pub(crate) certain: bool,
}

/// What a parameter is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// Back to what it was at the start of the session.
    Default,
    /// The words of a list; most parameters take one.
    Words(Vec<Box<str>>),
    /// Computed.
    Unknown,
}

impl Value {
    /// The only word.
    pub(crate) fn word(&self) -> Option<&str> {
        match self {
            Self::Words(words) => match words.as_slice() {
                [word] => Some(word),
                _ => None,
            },
            Self::Default | Self::Unknown => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Discard {
    All,
    Temporary,
    /// Plans and sequence values.
    Caches,
}

/// Transaction control.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Transaction {
    Begin {
        /// READ ONLY or READ WRITE, when written.
        read_only: Option<bool>,
    },
    Commit {
        /// AND CHAIN: another one begins at once.
        chain: bool,
    },
    Rollback {
        chain: bool,
    },
    Savepoint(Box<str>),
    RollbackTo(Box<str>),
    Release(Box<str>),
    /// PREPARE TRANSACTION, COMMIT PREPARED, ROLLBACK PREPARED
    TwoPhase,
}

/// A SELECT, VALUES or TABLE, or a set operation of some.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Query {
    pub(crate) sources: Vec<Source>,
    /// Every row of each source is combined with every row of the others that the condition lets it.
    pub(crate) crossed: bool,
    /// WHERE, and the ON of the joins.
    pub(crate) condition: Option<Expression>,
    /// The values of the result's columns; empty for a set operation.
    pub(crate) output: Vec<Output>,
    pub(crate) limit: Limit,
    /// GROUP BY or HAVING.
    pub(crate) grouped: bool,
    /// Rows of a VALUES list.
    pub(crate) listed: usize,
    /// The arms of a set operation.
    pub(crate) arms: Vec<Self>,
}

impl Query {
    /// Itself, or the arms of the set operation that it is, those of their arms included.
    pub(crate) fn simple(&self) -> Vec<&Self> {
        let mut out = Vec::new();
        let mut open = vec![self];
        while let Some(query) = open.pop() {
            if query.arms.is_empty() { out.push(query) } else { open.extend(&query.arms) }
        }
        out
    }
}

/// A result column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Output {
    /// AS, or the column's own name.
    pub(crate) name: Option<Box<str>>,
    pub(crate) value: Expression,
}

/// LIMIT
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Limit {
    #[default]
    None,
    Rows(u64),
    /// A parameter or an expression.
    Unknown,
}

/// Something rows come from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Source {
    /// What the rest of the query calls it; empty when it has no name.
    pub(crate) alias: Box<str>,
    pub(crate) item: Item,
    /// Column names given with the alias.
    pub(crate) columns: Vec<Box<str>>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Item {
    Relation(Name),
    /// A sub-select or a common table expression.
    Query(Arc<Query>),
    /// A function, a table function, or the recursive use of a common table expression.
    Computed,
}

/// An expression, as far as conditions are understood.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expression {
    Constant(Constant),
    /// `$n`
    Parameter(u32),
    /// `column`, `table.column`; also a whole row. Words before the last are the qualifier.
    Column(Vec<Box<str>>),
    /// `*`, `table.*`
    Star,
    Not(Box<Self>),
    And(Vec<Self>),
    Or(Vec<Self>),
    /// An operator with two operands. LIKE is `~~`, IN is a disjunction of `=`.
    Compare {
        operator: Box<str>,
        left: Box<Self>,
        right: Box<Self>,
    },
    /// An operator before its operand.
    Prefix {
        operator: Box<str>,
        operand: Box<Self>,
    },
    /// `operand = ANY (array)`, `operand <> ALL (array)`
    Quantified {
        operator: Box<str>,
        all: bool,
        operand: Box<Self>,
        array: Box<Self>,
    },
    /// IN with constants only: how many different ones is not kept.
    Among {
        operand: Box<Self>,
        negated: bool,
    },
    /// IS NULL
    IsNull(Box<Self>),
    /// IS TRUE, IS FALSE, IS UNKNOWN
    Is(Box<Self>, Option<bool>),
    Cast(Box<Self>, Name),
    /// Conditions with their results, then ELSE.
    Case {
        arms: Vec<(Self, Self)>,
        otherwise: Option<Box<Self>>,
    },
    Coalesce(Vec<Self>),
    Call {
        name: Name,
        arguments: Vec<Self>,
    },
    List(Vec<Self>),
    Exists(Box<Query>),
    /// A sub-select as a value.
    Scalar(Box<Query>),
    /// `operand IN (SELECT …)`, `operand = ALL (SELECT …)`
    Within {
        operator: Box<str>,
        all: bool,
        operand: Box<Self>,
        query: Box<Query>,
    },
    /// WHERE CURRENT OF
    CurrentRow,
    /// Anything else; its value depends on those of its parts.
    Other(Vec<Self>),
}
