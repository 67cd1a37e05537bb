//! INSERT, UPDATE, DELETE, MERGE and COPY: what is stored where, and what RETURNING gives back.

use pg_query::protobuf::ConstrType;

use super::{Columns, Frame, Item, Named, Origin, Outputs, Purpose, Rows, Tracer};
use crate::engine::catalog::CatalogRelation;
use crate::engine::resolve::Found;
use crate::engine::sql::copy;
use crate::engine::sql::fact::{CopyForm, Name};
use crate::engine::sql::tree::Node;

impl<'a> Tracer<'_, 'a> {
    /// The rows that RETURNING gives.
    pub(super) fn modify(&mut self, node: Node<'_>) -> Rows {
        let depth = self.commons.len();
        self.with(node.child("with_clause"));
        self.frames.push(Frame::default());
        let relation = node.child("relation");
        let target = relation.map(|relation| Name::new(relation.text("schemaname"), relation.text("relname")));
        let target = target.unwrap_or_else(|| Name::bare(""));
        if let Some(relation) = relation {
            // A common table expression cannot be written to: the name is a relation's.
            let columns = self.relation(&target);
            let alias =
                relation.child("alias").map_or_else(|| relation.text("relname"), |alias| alias.text("aliasname"));
            if let Some(frame) = self.frames.last_mut() {
                frame.items.push(Item { alias: alias.into(), columns });
            }
        }
        match node.kind() {
            "InsertStmt" => self.insert(node, &target),
            "MergeStmt" => self.merge(node, &target),
            _ => {
                node.children("from_clause").chain(node.children("using_clause")).for_each(|item| self.add_item(item));
                node.children("where_clause").for_each(|condition| drop(self.test(condition)));
                self.assign(node.children("target_list"), &target);
            }
        }
        let returned = node.child("returning_clause").into_iter().flat_map(|returning| returning.children("exprs"));
        let rows = self.targets(returned);
        self.frames.pop();
        self.commons.truncate(depth);
        rows
    }

    fn insert(&mut self, node: Node<'_>, target: &Name) {
        // What is selected cannot name the target.
        let outside = self.frames.pop();
        let rows = node.child("select_stmt").map(|select| self.query(select)).unwrap_or_default();
        self.frames.extend(outside);
        let named: Vec<&str> = node.children("cols").map(|column| column.text("name")).collect();
        let relation = self.written(target);
        let names: Vec<&str> = match (named.is_empty(), relation) {
            (true, Some(relation)) => relation.columns.iter().map(|column| &*column.name).collect(),
            _ => named,
        };
        match &rows.columns {
            Some(columns) => {
                for (index, column) in columns.iter().enumerate() {
                    self.store(target, names.get(index).copied(), column.origin.clone());
                }
            }
            None => self.store(target, None, rows.all.clone()),
        }
        let Some(conflict) = node.child("on_conflict_clause") else { return };
        let proposed = match rows.columns {
            Some(columns) => {
                let proposed = columns.into_iter().zip(names).map(|(column, name)| Named::new(name, column.origin));
                Columns::Known(proposed.collect())
            }
            None => Columns::Any(rows.all.renamed()),
        };
        if let Some(frame) = self.frames.last_mut() {
            frame.items.push(Item { alias: "excluded".into(), columns: proposed });
        }
        conflict.children("where_clause").for_each(|condition| drop(self.test(condition)));
        self.assign(conflict.children("target_list"), target);
        // RETURNING does not see it.
        if let Some(frame) = self.frames.last_mut() {
            frame.items.pop();
        }
    }

    fn merge(&mut self, node: Node<'_>, target: &Name) {
        node.children("source_relation").for_each(|source| self.add_item(source));
        node.children("join_condition").for_each(|condition| drop(self.test(condition)));
        for when in node.children("merge_when_clauses") {
            when.children("condition").for_each(|condition| drop(self.test(condition)));
            let values: Vec<Node<'_>> = when.children("values").collect();
            if values.is_empty() {
                self.assign(when.children("target_list"), target);
                continue;
            }
            let names: Vec<&str> = when.children("target_list").map(|column| column.text("name")).collect();
            for (index, value) in values.into_iter().enumerate() {
                let origin = self.value(value);
                self.store(target, names.get(index).copied(), origin);
            }
        }
    }

    /// SET column = value
    fn assign<'t>(&mut self, targets: impl Iterator<Item = Node<'t>>, target: &Name) {
        for assigned in targets {
            let origin = assigned.child("val").map(|value| self.value(value)).unwrap_or_default();
            self.store(target, Some(assigned.text("name")), origin);
        }
    }

    fn store(&mut self, target: &Name, column: Option<&str>, origin: Origin) {
        let relation = self.written(target);
        let column = relation.zip(column).and_then(|(relation, name)| {
            let column = relation.columns.iter().find(|column| column.name == name)?;
            Some((relation.oid, column.attribute))
        });
        self.stored.extend(column);
        self.used(Purpose::Store(column), origin);
    }

    fn written(&self, target: &Name) -> Option<&'a CatalogRelation> {
        match self.facts.find(target) {
            Found::Known(relation) => Some(relation),
            Found::System(_) | Found::Temporary | Found::Missing => None,
        }
    }

    /// ALTER TABLE … ADD COLUMN … GENERATED: a new column is filled from others, and nobody knows yet what it holds.
    pub(super) fn generated(&mut self, node: Node<'_>) {
        let Some(relation) = node.child("relation").filter(|_| node.kind() == "AlterTableStmt") else { return };
        let columns = self.relation(&Name::new(relation.text("schemaname"), relation.text("relname")));
        let item = Item { alias: relation.text("relname").into(), columns };
        self.frames.push(Frame { items: vec![item], windows: Vec::new() });
        let constraints = node.all().filter(|part| part.kind() == "Constraint");
        let generated = constraints.filter(|one| one.choice::<ConstrType>("contype") == ConstrType::ConstrGenerated);
        for expression in generated.filter_map(|one| one.child("raw_expr")) {
            let origin = self.value(expression);
            self.used(Purpose::Store(None), origin);
        }
        self.frames.pop();
    }

    /// COPY … FROM writes the columns it lists, or all.
    fn copied_into(&mut self, node: Node<'_>) {
        let Some(relation) = node.child("relation") else { return };
        let target = Name::new(relation.text("schemaname"), relation.text("relname"));
        let listed: Vec<&str> = node.words("attlist").collect();
        let Some(relation) = self.written(&target) else { return };
        let columns = relation.columns.iter().filter(|column| listed.is_empty() || listed.contains(&&*column.name));
        self.stored.extend(columns.map(|column| (relation.oid, column.attribute)));
    }

    /// COPY … TO gives rows like a query; COPY … FROM gives none.
    pub(super) fn copy(&mut self, node: Node<'_>) -> Outputs {
        if node.flag("is_from") {
            self.copied_into(node);
            return Outputs::default();
        }
        let outputs = match (node.child("relation"), node.child("query")) {
            (Some(relation), _) => {
                let columns = self.relation(&Name::new(relation.text("schemaname"), relation.text("relname")));
                let listed: Vec<&str> = node.words("attlist").collect();
                match columns {
                    Columns::Known(columns) if listed.is_empty() => Outputs::Columns(columns),
                    Columns::Known(columns) => {
                        let column = |name: &&str| columns.iter().find(|column| *column.name == **name).cloned();
                        Outputs::Columns(listed.iter().filter_map(column).collect())
                    }
                    other => Outputs::All(other.all()),
                }
            }
            (None, Some(query)) => self.statement(query),
            (None, None) => Outputs::default(),
        };
        if node.flag("is_program") || !node.text("filename").is_empty() {
            self.used(Purpose::Store(None), outputs.all());
            return Outputs::default();
        }
        // In text format nothing tells NULL from a value that is written like it: each row says whether it is that value.
        if let CopyForm::Text { null, .. } = copy::written(node)
            && may_be_value(&null)
        {
            self.used(Purpose::Test, outputs.all());
        }
        outputs
    }
}

/// Whether what COPY writes for NULL could be a value that means something. A backslash before one sign is no value's:
/// the server writes those with another one before it.
fn may_be_value(null: &str) -> bool {
    /// What people write for nothing.
    const NOTHING: [&str; 8] = ["null", "nil", "none", "nan", "na", "n/a", "empty", "missing"];
    let word = null.trim_matches(|sign: char| !sign.is_alphanumeric());
    let is_escape = null.starts_with('\\') && null.chars().count() == 2;
    !(is_escape || word.is_empty() || NOTHING.iter().any(|nothing| word.eq_ignore_ascii_case(nothing)))
}
