//! Output column → the base columns it derives from, and what else a statement does with what it reads.
//!
//! A value is followed from the tables to where it is used: through expressions, sub-selects, common table expressions,
//! set operations, joins, windows and aggregates ([`expression`], [`function`], [`query`], [`from`]), through views,
//! whose queries are in the catalog, and through statements that were prepared or declared before. What is not known to
//! do less counts as doing anything: a node we have no words for computes from everything below it, code nobody
//! reviewed may have read anything.
//!
//! Two things are told. What each result column comes from, for the masks. And where a value decides something that can
//! be seen without being shown, or goes where no mask follows ([`Use`]), for the rules.

mod apart;
mod expression;
mod from;
mod function;
mod kept;
mod modify;
mod origin;
mod query;
mod system;
#[cfg(test)]
mod tests;

pub(super) use kept::{Kept, is_mixed, touches, verdict};
pub(super) use origin::{Form, Key, Named, Origin, Source};
pub(super) use system::{SECRET, secret_column};

use std::collections::BTreeSet;

use super::catalog::Catalog;
use super::resolve::Facts;
use super::sql::Command;
use super::sql::tree::Node;

/// Views within views that are followed.
const VIEWS_MAX: usize = 32;

/// What a command does with what it reads.
#[derive(Clone, Debug, Default)]
pub(super) struct Lineage {
    pub(super) outputs: Outputs,
    pub(super) uses: Vec<Use>,
    /// Columns that are written to.
    stored: BTreeSet<(u32, i16)>,
}

impl Lineage {
    /// What the columns hold that it reads, compares or writes, in the words of classification.
    pub(super) fn tags(&self, catalog: &Catalog) -> BTreeSet<&'static str> {
        let returned = match &self.outputs {
            Outputs::Columns(columns) => columns.iter().map(|column| &column.origin).collect(),
            Outputs::All(origin) => vec![origin],
        };
        let compared = self.uses.iter().filter_map(|used| match &used.what {
            Purpose::Match(other) => Some(other),
            Purpose::Lookup(_)
            | Purpose::Word
            | Purpose::Rows
            | Purpose::Risk
            | Purpose::Test
            | Purpose::Store(_)
            | Purpose::Effect(_) => None,
        });
        let origins = returned.into_iter().chain(compared).chain(self.uses.iter().map(|used| &used.origin));
        let written = self.stored.iter().map(|(relation, attribute)| Source::Column {
            relation: *relation,
            attribute: *attribute,
            key: None,
        });
        let read = origins.flat_map(Origin::sources).filter_map(|(source, _)| source.holds(catalog));
        read.chain(written.filter_map(|source| source.holds(catalog))).map(|entity| entity.name()).collect()
    }
}

/// What the columns of a result come from.
#[derive(Clone, Debug)]
pub(super) enum Outputs {
    /// One for each column.
    Columns(Vec<Named>),
    /// How many there are is not known from the text; each may come from all of this.
    All(Origin),
}

impl Default for Outputs {
    fn default() -> Self {
        Self::All(Origin::default())
    }
}

impl Outputs {
    /// What column number `index` of `count` comes from; nothing when the text does not say.
    pub(super) fn column(&self, index: usize, count: usize) -> Option<&Origin> {
        match self {
            Self::Columns(columns) if columns.len() == count => columns.get(index).map(|column| &column.origin),
            Self::Columns(_) | Self::All(_) => None,
        }
    }

    /// What all of them together come from.
    pub(super) fn all(&self) -> Origin {
        match self {
            Self::Columns(columns) => columns.iter().fold(Origin::default(), |all, one| all.and(&one.origin)),
            Self::All(origin) => origin.clone(),
        }
    }
}

/// A value is used for something else than being returned.
#[derive(Clone, Debug)]
pub(super) struct Use {
    pub(super) what: Purpose,
    pub(super) origin: Origin,
    /// The byte of the text to point at.
    pub(super) position: usize,
}

/// What a value is used for.
#[derive(Clone, Debug)]
pub(super) enum Purpose {
    /// Compared for equality with so many values that are written out: whoever asks knows them already.
    Lookup(usize),
    /// Compared for equality with values from elsewhere.
    Match(Origin),
    /// Looked through for a word.
    Word,
    /// Taken apart into rows.
    Rows,
    /// Computed with in a way that may fail: whether it does tells about it.
    Risk,
    /// Decides in some other way which rows there are, how many or in which order.
    Test,
    /// Written to this column; nothing when it is to a new table or to a file.
    Store(Option<(u32, i16)>),
    /// Given to a function that does something with it.
    Effect(Box<str>),
}

/// Follows the values of `command`.
pub(super) fn trace(facts: &Facts<'_>, command: &Command) -> Lineage {
    trace_executing(facts, command, None)
}

/// The same where an EXECUTE stands in it, by itself or within, for what was prepared.
pub(super) fn trace_executing(facts: &Facts<'_>, command: &Command, prepared: Option<&Command>) -> Lineage {
    let mut tracer = Tracer { prepared, ..Tracer::new(facts) };
    let outputs = tracer.statement(command.root.node());
    Lineage { outputs, uses: tracer.uses, stored: tracer.stored }
}

/// Follows values through one command.
struct Tracer<'f, 'a> {
    facts: &'f Facts<'a>,
    /// What an EXECUTE means.
    prepared: Option<&'f Command>,
    uses: Vec<Use>,
    stored: BTreeSet<(u32, i16)>,
    /// What can be named in expressions, innermost query last.
    frames: Vec<Frame>,
    /// Common table expressions in scope, innermost last.
    commons: Vec<Common>,
    /// Views being followed: how somebody wrote a view is not what this statement does.
    views: usize,
    position: usize,
}

/// What the FROM of one query offers.
#[derive(Debug, Default)]
struct Frame {
    items: Vec<Item>,
    /// What named windows are partitioned and ordered by.
    windows: Vec<Named>,
}

/// One thing rows come from.
#[derive(Clone, Debug)]
struct Item {
    alias: Box<str>,
    columns: Columns,
}

#[derive(Clone, Debug)]
enum Columns {
    Known(Vec<Named>),
    /// A relation of the system catalogs, by name.
    System(Box<str>),
    /// Any name may be one of its columns.
    Any(Origin),
}

#[derive(Debug)]
struct Common {
    name: Box<str>,
    rows: Rows,
}

/// The rows of a query.
#[derive(Clone, Debug, Default)]
struct Rows {
    /// Nothing when it is not known how many there are.
    columns: Option<Vec<Named>>,
    all: Origin,
    /// What decides which rows there are.
    chosen: Origin,
}

impl Rows {
    fn of(columns: Vec<Named>) -> Self {
        let all = columns.iter().fold(Origin::default(), |all, column| all.and(&column.origin));
        Self { columns: Some(columns), all, chosen: Origin::default() }
    }

    /// The same, under these names as far as they go.
    fn named(mut self, names: &[&str]) -> Self {
        if !names.is_empty() {
            self.all = self.all.renamed();
        }
        let columns = self.columns.iter_mut().flatten();
        columns.zip(names).for_each(|(column, name)| column.name = (*name).into());
        self
    }

    fn columns(self) -> Columns {
        self.columns.map_or(Columns::Any(self.all), Columns::Known)
    }

    fn outputs(self) -> Outputs {
        self.columns.map_or(Outputs::All(self.all), Outputs::Columns)
    }
}

impl<'f, 'a> Tracer<'f, 'a> {
    fn new(facts: &'f Facts<'a>) -> Self {
        let (uses, stored, frames, commons) = Default::default();
        Self { facts, prepared: None, uses, stored, frames, commons, views: 0, position: 0 }
    }

    fn used(&mut self, what: Purpose, origin: Origin) {
        if self.views == 0 && !origin.is_empty() {
            self.uses.push(Use { what, origin, position: self.position });
        }
    }

    /// Any statement, as it stands at the top of a text or in the place of one.
    fn statement(&mut self, node: Node<'_>) -> Outputs {
        match node.kind() {
            "SelectStmt" => {
                let rows = self.query(node);
                match node.child("into_clause") {
                    Some(_) => {
                        self.used(Purpose::Store(None), rows.all);
                        Outputs::default()
                    }
                    None => rows.outputs(),
                }
            }
            "InsertStmt" | "UpdateStmt" | "DeleteStmt" | "MergeStmt" => self.modify(node).outputs(),
            "CopyStmt" => self.copy(node),
            // The plan quotes the statement and what the server knew about it beforehand.
            "ExplainStmt" => {
                let explained = node.child("query").map(|query| self.statement(query)).unwrap_or_default();
                let unknown = explained.all().sources().any(|(source, _)| *source == Source::Unknown);
                let origin = if unknown { Origin::unknown() } else { Origin::of(Source::CatalogText, Form::Same) };
                Outputs::All(origin)
            }
            "PrepareStmt" | "DeclareCursorStmt" => {
                node.children("query").for_each(|query| drop(self.statement(query)));
                Outputs::default()
            }
            "CreateTableAsStmt" => {
                let made = node.child("query").map(|query| self.statement(query)).unwrap_or_default();
                self.used(Purpose::Store(None), made.all());
                Outputs::default()
            }
            // A lasting view is followed like a table's columns; what a temporary one shows is not known later on.
            "ViewStmt" => {
                let rows = node.child("query").map(|query| self.query(query)).unwrap_or_default();
                if node.child("view").is_some_and(|view| view.text("relpersistence") == "t") {
                    self.used(Purpose::Store(None), rows.all);
                }
                Outputs::default()
            }
            "VariableShowStmt" => Outputs::All(system::setting(node.text("name"))),
            "ExecuteStmt" => match self.prepared {
                Some(prepared) => self.statement(prepared.root.node()),
                None => Outputs::All(Origin::unknown()),
            },
            "CallStmt" | "DoStmt" | "FetchStmt" => Outputs::All(Origin::unknown()),
            // Definitions and the like return nothing, but statements may stand in them.
            _ => {
                self.generated(node);
                for inner in node.nodes().filter(|inner| inner.kind().ends_with("Stmt")) {
                    drop(self.statement(inner));
                }
                Outputs::default()
            }
        }
    }
}
