//! What FROM offers: relations, sub-selects, functions, joins; and what names mean there.

use super::{Columns, Form, Frame, Item, Named, Origin, Purpose, Rows, Source, Tracer, VIEWS_MAX, system};
use crate::engine::catalog::{CatalogRelation, RelationKind};
use crate::engine::resolve::Found;
use crate::engine::sql::fact::Name;
use crate::engine::sql::tree::Node;

impl Tracer<'_, '_> {
    /// Adds an item of FROM to the innermost frame.
    pub(super) fn add_item(&mut self, item: Node<'_>) {
        match item.kind() {
            "RangeVar" => {
                let columns = self.range(item);
                self.offer(item, item.text("relname"), columns);
            }
            "RangeTableSample" => {
                item.children("relation").for_each(|relation| self.add_item(relation));
                item.children("args").for_each(|argument| self.decides(argument));
            }
            "RangeSubselect" => {
                // Without LATERAL, what stands beside it cannot be named in it.
                let beside = if item.flag("lateral") { None } else { self.frames.pop() };
                let rows = item.child("subquery").map(|select| self.query(select)).unwrap_or_default();
                self.frames.extend(beside);
                self.offer(item, "", rows.columns());
            }
            "RangeFunction" => self.functions(item),
            "RangeTableFunc" | "JsonTable" => {
                let mut origin = Origin::default();
                for part in item.nodes().filter(|part| part.kind() != "Alias") {
                    origin = origin.and(&self.value(part));
                }
                self.used(Purpose::Rows, origin.clone());
                self.offer(item, "", Columns::Any(origin.computed()));
            }
            "JoinExpr" => self.join(item),
            _ => {
                let origin = self.value(item);
                self.offer(item, "", Columns::Any(origin.and(&Origin::unknown())));
            }
        }
    }

    /// Adds columns under the item's alias, and its column names as far as they go.
    fn offer(&mut self, item: Node<'_>, name: &str, columns: Columns) {
        let alias = item.child("alias");
        let names: Vec<&str> = alias.into_iter().flat_map(|alias| alias.words("colnames")).collect();
        let columns = match columns {
            Columns::Known(known) => Rows::of(known).named(&names).columns(),
            columns @ (Columns::System(_) | Columns::Any(_)) if !names.is_empty() => {
                Columns::Any(columns.all().renamed())
            }
            columns => columns,
        };
        let alias = alias.map_or(name, |alias| alias.text("aliasname")).into();
        if let Some(frame) = self.frames.last_mut() {
            frame.items.push(Item { alias, columns });
        }
    }

    /// The columns of a relation or common table expression.
    fn range(&mut self, range: Node<'_>) -> Columns {
        let (schema, name) = (range.text("schemaname"), range.text("relname"));
        let common = self.commons.iter().rev().find(|common| schema.is_empty() && *common.name == *name);
        match common {
            Some(common) => common.rows.clone().columns(),
            None => self.relation(&Name::new(schema, name)),
        }
    }

    pub(super) fn relation(&mut self, name: &Name) -> Columns {
        // The server writes names in a view's query with their schema, those of its own apart.
        let found =
            if self.views > 0 && name.schema.is_none() { Found::System("pg_catalog") } else { self.facts.find(name) };
        match found {
            Found::Known(relation) => self.known(relation),
            Found::System(_) => Columns::System(name.name.clone()),
            Found::Temporary if self.facts.names.certain => Columns::Any(Origin::of(Source::Temporary, Form::Same)),
            Found::Temporary | Found::Missing => Columns::Any(Origin::unknown()),
        }
    }

    /// The columns of a relation of the catalog; those of a view as its query makes them.
    fn known(&mut self, relation: &CatalogRelation) -> Columns {
        let own =
            |attribute: i16| Origin::of(Source::Column { relation: relation.oid, attribute, key: None }, Form::Same);
        let columns = relation.columns.iter();
        if let Some(extension) = &relation.extension {
            let origin = |name: &str| system::column(extension, name);
            return Columns::Known(columns.map(|column| Named::new(&column.name, origin(&column.name))).collect());
        }
        let made = match relation.kind {
            RelationKind::View | RelationKind::MaterializedView => Some(self.view(relation)),
            RelationKind::Table
            | RelationKind::Partitioned
            | RelationKind::Foreign
            | RelationKind::Sequence
            | RelationKind::Composite => None,
        };
        let stored = relation.kind == RelationKind::MaterializedView;
        let made = made.map(|rows| match rows.columns {
            Some(made) if made.len() == relation.columns.len() => {
                made.into_iter().map(|column| column.origin).collect()
            }
            _ => vec![rows.all; relation.columns.len()],
        });
        let named = |(index, column): (usize, &crate::engine::catalog::CatalogColumn)| {
            let origin = match made.as_ref().and_then(|made: &Vec<Origin>| made.get(index)) {
                Some(made) if stored => made.clone().and(&own(column.attribute)),
                Some(made) => made.clone(),
                None => own(column.attribute),
            };
            Named::new(&column.name, origin)
        };
        Columns::Known(columns.enumerate().map(named).collect())
    }

    /// The rows of a view's query, which names nothing of where the view is used.
    fn view(&mut self, relation: &CatalogRelation) -> Rows {
        let unknown = || Rows { columns: None, all: Origin::unknown(), chosen: Origin::default() };
        let Some(definition) = self.facts.catalog.view(relation.oid).filter(|_| self.views < VIEWS_MAX) else {
            return unknown();
        };
        let outside = (std::mem::take(&mut self.frames), std::mem::take(&mut self.commons));
        self.views += 1;
        let rows = self.query(definition.root.node());
        self.views -= 1;
        (self.frames, self.commons) = outside;
        rows
    }

    /// ROWS FROM (…), or one function. What columns they return is in no text.
    fn functions(&mut self, item: Node<'_>) {
        let mut origin = Origin::default();
        let mut name = "";
        for function in item.children("functions").flat_map(|list| list.children("items")) {
            let returned = self.value(function);
            if !super::function::is_wrapper(function) {
                self.used(Purpose::Rows, returned.clone());
            }
            origin = origin.and(&returned);
            name = function.words("funcname").last().unwrap_or(name);
        }
        self.offer(item, name, Columns::Any(origin));
    }

    fn join(&mut self, join: Node<'_>) {
        let start = self.frames.last().map_or(0, |frame| frame.items.len());
        join.children("larg").for_each(|side| self.add_item(side));
        let middle = self.frames.last().map_or(0, |frame| frame.items.len());
        join.children("rarg").for_each(|side| self.add_item(side));
        let sides = |frame: &Frame, from: usize, to: usize| frame.items.get(from..to).unwrap_or_default().to_vec();
        let (left, right) = self
            .frames
            .last()
            .map(|frame| (sides(frame, start, middle), sides(frame, middle, frame.items.len())))
            .unwrap_or_default();
        let shared: Vec<Box<str>> = if join.flag("is_natural") {
            names_of(&left).filter(|name| names_of(&right).any(|other| other == *name)).map(Into::into).collect()
        } else {
            join.words("using_clause").map(Into::into).collect()
        };
        for name in shared {
            let (left, right) = (among(&left, &name), among(&right, &name));
            if let (Some(left), Some(right)) = (left, right) {
                self.used(Purpose::Match(right.clone()), left.clone());
                self.used(Purpose::Match(left), right);
            }
        }
        for condition in join.children("quals") {
            self.test(condition);
        }
        // With an alias of its own, a join is one item and hides its sides.
        if join.child("alias").is_some() {
            let sides: Vec<Item> = self.frames.last_mut().map(|frame| frame.items.split_off(start)).unwrap_or_default();
            let all = sides.iter().fold(Origin::default(), |all, item| all.and(&item.columns.all()));
            self.offer(join, "", Columns::Any(all));
        }
    }

    /// The columns that `*`, `item.*` or `(value).*` stands for; nothing when `value` is no star.
    pub(super) fn star(&mut self, value: Node<'_>) -> Option<Rows> {
        let whole = |columns: &Columns| match columns {
            Columns::Known(columns) => Rows::of(columns.clone()),
            other => Rows { columns: None, all: other.all(), chosen: Origin::default() },
        };
        match value.kind() {
            "ColumnRef" if value.children("fields").any(|field| field.kind() == "AStar") => {
                let qualifier = value.words("fields").last();
                let Some(qualifier) = qualifier else {
                    let items = self.frames.last().map(|frame| frame.items.as_slice()).unwrap_or_default();
                    return Some(together(items));
                };
                let item = self.items().find(|item| *item.alias == *qualifier);
                Some(item.map_or_else(
                    || Rows { columns: None, all: Origin::unknown(), chosen: Origin::default() },
                    |item| whole(&item.columns),
                ))
            }
            "AIndirection" if value.children("indirection").any(|step| step.kind() == "AStar") => {
                let origin = value.child("arg").map(|argument| self.value(argument)).unwrap_or_default();
                Some(match origin.fields() {
                    Some(fields) => Rows::of(fields.to_vec()),
                    None => Rows { columns: None, all: origin.at_least(Form::Readable), chosen: Origin::default() },
                })
            }
            _ => None,
        }
    }

    /// What can be named here, innermost first.
    fn items(&self) -> impl Iterator<Item = &Item> {
        self.frames.iter().rev().flat_map(|frame| &frame.items)
    }

    /// Whether a bare name is a column of the innermost FROM.
    pub(super) fn is_column(&self, reference: Node<'_>) -> bool {
        let name = reference.words("fields").last().unwrap_or_default();
        self.frames.last().is_some_and(|frame| frame.items.iter().any(|item| item.columns.named(name).is_some()))
    }

    /// A column or a whole row.
    pub(super) fn column(&self, reference: Node<'_>) -> Origin {
        let words: Vec<&str> = reference.words("fields").collect();
        match words.as_slice() {
            [] => Origin::default(),
            [name] => self.bare(name),
            [.., item, name] => match self.items().find(|found| *found.alias == **item) {
                Some(item) => match &item.columns {
                    Columns::System(relation) if system::is_of_rows(name) => {
                        system::relation(relation).computed().and(&Origin::unknown())
                    }
                    Columns::System(relation) => system::column(relation, name),
                    Columns::Any(origin) => system::among(origin, name),
                    Columns::Known(_) if is_system_column(name) => Origin::default(),
                    // Without such a column it is a call: `row.function`.
                    columns @ Columns::Known(_) => {
                        columns.named(name).unwrap_or_else(|| columns.all().computed().and(&Origin::unknown()))
                    }
                },
                // A column of a composite type: `(item).name` without its parentheses is not SQL, but costs nothing.
                None => self.bare(item).under(name, true).and(&Origin::unknown()),
            },
        }
    }

    /// A name without a qualifier: a column of the nearest query that has one, or else a whole row.
    fn bare(&self, name: &str) -> Origin {
        for frame in self.frames.iter().rev() {
            let found = frame.items.iter().filter_map(|item| item.columns.named(name));
            // More than one is a column that a join merged.
            if let Some(origin) = found.reduce(|one, other| one.or(&other)) {
                return origin;
            }
            if let Some(item) = frame.items.iter().find(|item| *item.alias == *name) {
                return match &item.columns {
                    Columns::Known(columns) => Origin::row(columns.clone()),
                    Columns::System(relation) => system::row(relation),
                    Columns::Any(origin) => origin.clone(),
                };
            }
            let any = frame.items.iter().filter_map(|item| match &item.columns {
                Columns::Any(origin) => Some(system::among(origin, name)),
                Columns::Known(_) | Columns::System(_) => None,
            });
            if let Some(origin) = any.reduce(|one, other| one.and(&other)) {
                return origin;
            }
            let system = frame.items.iter().filter_map(|item| match &item.columns {
                Columns::System(relation) => Some(system::column(relation, name)),
                Columns::Known(_) | Columns::Any(_) => None,
            });
            if let Some(origin) = system.reduce(|one, other| one.and(&other)) {
                return origin;
            }
        }
        if is_system_column(name) {
            return Origin::default();
        }
        // The server would refuse the name; if it does not, it is one of what can be named.
        self.items().fold(Origin::default(), |all, item| all.and(&item.columns.all()))
    }
}

impl Columns {
    /// The column of this name, where it is known.
    fn named(&self, name: &str) -> Option<Origin> {
        match self {
            Self::Known(columns) => {
                columns.iter().find(|column| *column.name == *name).map(|column| column.origin.clone())
            }
            Self::System(_) | Self::Any(_) => None,
        }
    }

    pub(super) fn all(&self) -> Origin {
        match self {
            Self::Known(columns) => columns.iter().fold(Origin::default(), |all, column| all.and(&column.origin)),
            Self::System(relation) => system::row(relation),
            Self::Any(origin) => origin.clone(),
        }
    }
}

/// The columns of several items, one after the other. Where a join merges columns the star has fewer; then the count
/// does not fit the result's, and all of them are meant.
fn together(items: &[Item]) -> Rows {
    let mut columns = Some(Vec::new());
    let mut all = Origin::default();
    for item in items {
        all = all.and(&item.columns.all());
        columns = match (columns, &item.columns) {
            (Some(mut columns), Columns::Known(more)) => {
                columns.extend(more.iter().cloned());
                Some(columns)
            }
            _ => None,
        };
    }
    Rows { columns, all, chosen: Origin::default() }
}

fn names_of(items: &[Item]) -> impl Iterator<Item = &str> {
    items
        .iter()
        .flat_map(|item| match &item.columns {
            Columns::Known(columns) => columns.as_slice(),
            Columns::System(_) | Columns::Any(_) => &[],
        })
        .map(|column| &*column.name)
}

fn among(items: &[Item], name: &str) -> Option<Origin> {
    items.iter().find_map(|item| item.columns.named(name))
}

/// The columns that every table has.
fn is_system_column(name: &str) -> bool {
    matches!(name, "ctid" | "tableoid" | "xmin" | "xmax" | "cmin" | "cmax")
}
