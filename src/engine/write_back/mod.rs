//! Masked values on their way back into the database.
//!
//! Whoever saves what was shown saves masks: a grid that writes the whole row, an object that is stored, a dump that is
//! loaded. The database would take them for data, and what was there would be gone. So values that a statement brings
//! are compared with what masks make ([`Recogniser`]): pseudonyms wherever they stand, other masks where they would be
//! written to a column that is masked. Of values that may be either, a session that was [shown](Seen) masks of the column
//! is taken to bring one back; another one may mean them.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::domain::Reason;
use crate::engine::catalog::{Catalog, CatalogColumn, CatalogRelation};
use crate::engine::classify::Verdict;
use crate::engine::lineage::{Lineage, verdict};
use crate::engine::mask::ResultColumn;
use crate::engine::mask::plan::{Treatment, of_column};
use crate::engine::mask::recognise::{Recogniser, Resemblance};
use crate::engine::resolve::{Facts, Found};
use crate::engine::sql::copy;
use crate::engine::sql::fact::{CopyForm, Name};
use crate::engine::sql::tree::Node;

/// Columns of which a session was shown masks: relation and attribute. Only ever more.
pub(super) type Seen = BTreeSet<(u32, i16)>;

/// The columns of which a result shows masks, by what the text and what the database say its columns are. Those of a view
/// and those behind it: either may be written to.
pub(super) fn shows(catalog: &Catalog, lineage: Option<&Lineage>, columns: &[ResultColumn]) -> Seen {
    let origin = lineage.map(|lineage| lineage.outputs.all());
    let read = origin.iter().flat_map(|origin| origin.sources()).filter_map(|(source, _)| source.column());
    let described = columns.iter().map(|column| (column.table, column.attribute));
    let is_masked = |(relation, attribute): &(u32, i16)| {
        !matches!(of_column(catalog, *relation, *attribute), Treatment::Clear | Treatment::Glance)
    };
    read.chain(described).filter(is_masked).collect()
}

/// A value that a client bound to a parameter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameter<'a> {
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) binary: bool,
    /// Type oid as the client gave it; 0 where the database is to find out.
    pub(crate) kind: u32,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Returned {
    pub(super) resemblance: Resemblance,
    message: String,
    detail: &'static str,
    position: usize,
}

/// Of what is a mask, and of what may be one.
const LOST: &str = "The database holds another value, which would be lost or not found.";
const LOST_PERHAPS: &str = "If it is one, the real value would be lost.";

impl Returned {
    /// Why this is stopped, in the name of a rule.
    pub(super) fn reason(self, rule: &'static str) -> Reason {
        let hint = "leave that column out of the statement, or connect with --reveal to work with its real values";
        Reason::new(rule, self.message).detail(self.detail).hint(hint).at(self.position)
    }
}

/// The surest sign that a command has masked values written in it.
pub(super) fn written(facts: &Facts<'_>) -> Option<Returned> {
    // No mask was made as long as nothing is known to need one.
    if !facts.catalog.classification.finds() || facts.sees_masks() {
        return None;
    }
    let made = facts.roots().find_map(|(root, at)| written_out(root, facts.recogniser).map(|node| (node, at)));
    if let Some((node, at)) = made {
        let position = at.or_else(|| node.parent()?.location()).unwrap_or_default();
        return Some(pseudonym(position));
    }
    stored_masks(facts, &[])
}

/// The surest sign that a command is given masked values for its parameters.
pub(super) fn bound(facts: &Facts<'_>, values: &[Parameter<'_>]) -> Option<Returned> {
    if facts.sees_masks() {
        return None;
    }
    if values.iter().any(|parameter| parameter.value.is_some_and(|value| facts.recogniser.carries(value))) {
        return Some(pseudonym(facts.first_position()));
    }
    stored_masks(facts, values)
}

/// Rows that COPY … FROM STDIN brings: what their columns are masked as.
#[derive(Debug)]
pub(crate) struct Incoming {
    /// How they are written.
    pub(crate) form: CopyForm,
    catalog: Arc<Catalog>,
    /// In the order of a row's cells.
    columns: Vec<(String, Treatment, ResultColumn)>,
}

impl Incoming {
    /// What is known of the rows that a command brings; nothing where it brings none, or nothing in them is masked.
    pub(super) fn of(facts: &Facts<'_>, catalog: &Arc<Catalog>) -> Option<Self> {
        let (copy, _) = facts.roots().find(|(root, _)| root.kind() == "CopyStmt" && root.flag("is_from"))?;
        let target = copy.child("relation")?;
        let Found::Known(relation) = facts.find(&Name::new(target.text("schemaname"), target.text("relname"))) else {
            return None;
        };
        let form = copy::written(copy);
        let binary = form == CopyForm::Binary;
        let named: Vec<&str> = copy.words("attlist").collect();
        let find = |name: &str| relation.columns.iter().find(|column| column.name == name);
        let columns = if named.is_empty() {
            relation.columns.iter().collect()
        } else {
            named.iter().map(|name| find(name)).collect::<Option<Vec<_>>>()?
        };
        let columns = columns.into_iter().map(|column| {
            let described = ResultColumn {
                name: String::new(),
                table: relation.oid,
                attribute: column.attribute,
                kind: catalog.base(column.kind),
                modifier: column.modifier,
                binary,
            };
            let treatment = of_column(catalog, relation.oid, column.attribute);
            (format!("`{}.{}`, which is masked", relation.name, column.name), treatment, described)
        });
        Some(Self { form, catalog: Arc::clone(catalog), columns: columns.collect() })
    }

    /// Why a row may not be written, when a cell of it is a mask. A new row takes nothing away, so that what may be one
    /// passes, as it does in INSERT.
    pub(super) fn returned<'v>(
        &self,
        recogniser: &Recogniser,
        cells: impl Iterator<Item = Option<&'v [u8]>>,
    ) -> Option<Returned> {
        self.columns.iter().zip(cells).find_map(|((column, treatment, described), value)| {
            let value = value.filter(|value| Recogniser::is_marked(value))?;
            let found = recogniser.resembles(*treatment, described, &self.catalog, Some(value))?;
            let message = format!("this would write a mask to {column}");
            (found == Resemblance::Sure).then_some(Returned { resemblance: found, message, detail: LOST, position: 0 })
        })
    }
}

/// Values that would be written to columns whose masks they look like.
fn stored_masks(facts: &Facts<'_>, bound: &[Parameter<'_>]) -> Option<Returned> {
    let mut possible = None;
    for (writer, at) in facts.writers() {
        for stored in stored(facts, writer) {
            let Some((resemblance, column)) = stored.resembles(facts, bound) else { continue };
            let position = at.or(stored.position).unwrap_or_default();
            match resemblance {
                Resemblance::Sure => {
                    let message = format!("this would write a mask to {column}");
                    return Some(Returned { resemblance, message, detail: LOST, position });
                }
                // Whoever saves a row that was shown brings back what was shown.
                Resemblance::Possible if stored.replaces && stored.was_shown(facts) => {
                    let message = format!("this would write what may be a mask over {column} and was shown so");
                    let detail = "Masks of this column were shown to this session. If this is one, the real value would be lost; \
                                  a session that has not read the column may write it.";
                    return Some(Returned { resemblance: Resemblance::Sure, message, detail, position });
                }
                Resemblance::Possible if stored.replaces && possible.is_none() => {
                    let message = format!("this would write what may be a mask over {column}");
                    possible = Some(Returned { resemblance, message, detail: LOST_PERHAPS, position });
                }
                // A new row takes nothing away.
                Resemblance::Possible => {}
            }
        }
    }
    possible
}

/// A pseudonym is in it.
pub(super) fn pseudonym(position: usize) -> Returned {
    Returned {
        resemblance: Resemblance::Sure,
        message: "a value in this was made by a mask; the database does not hold it".to_owned(),
        detail: LOST,
        position,
    }
}

/// The first constant below a node that is a pseudonym.
fn written_out<'t>(root: Node<'t>, recogniser: &Recogniser) -> Option<Node<'t>> {
    root.all().find(|node| match node.kind() {
        "String" => recogniser.carries(node.text("sval").as_bytes()),
        // So is every number called that is longer than an `integer`.
        "Float" => recogniser.carries(node.text("fval").as_bytes()),
        _ => false,
    })
}

/// A value that a command writes to a column.
struct Stored<'t, 'a> {
    relation: &'a CatalogRelation,
    column: &'a CatalogColumn,
    value: Value<'t>,
    /// It may take the place of a value that is there.
    replaces: bool,
    position: Option<usize>,
}

/// A value as it is written in a statement.
enum Value<'t> {
    Text(Cow<'t, str>),
    Null,
    /// `$n`
    Parameter(i64),
}

impl<'t> Value<'t> {
    /// The value of an expression that is one, whatever it is cast to.
    fn of(node: Node<'t>) -> Option<Self> {
        match node.kind() {
            "TypeCast" | "CollateClause" => node.child("arg").and_then(Self::of),
            "ParamRef" => Some(Self::Parameter(node.integer("number"))),
            "AConst" if node.flag("isnull") => Some(Self::Null),
            "AConst" => match node.child("val")? {
                value if value.kind() == "String" => Some(Self::Text(value.text("sval").into())),
                value if value.kind() == "Float" => Some(Self::Text(value.text("fval").into())),
                value if value.kind() == "Integer" => Some(Self::Text(value.integer("ival").to_string().into())),
                _ => None,
            },
            _ => None,
        }
    }
}

impl Stored<'_, '_> {
    /// Whether the session was shown masks of the column.
    fn was_shown(&self, facts: &Facts<'_>) -> bool {
        facts.seen.contains(&(self.relation.oid, self.column.attribute))
    }

    /// How much the value looks like a mask of its column, and which column that is.
    fn resembles(&self, facts: &Facts<'_>, bound: &[Parameter<'_>]) -> Option<(Resemblance, String)> {
        let (catalog, relation, column) = (facts.catalog, self.relation, self.column);
        let parameter = match &self.value {
            Value::Text(text) => Parameter { value: Some(text.as_bytes()), binary: false, kind: 0 },
            Value::Null => Parameter { value: None, binary: false, kind: 0 },
            Value::Parameter(number) => {
                let index = usize::try_from(*number).ok().and_then(|number| number.checked_sub(1))?;
                *bound.get(index)?
            }
        };
        let described = ResultColumn {
            name: String::new(),
            table: relation.oid,
            attribute: column.attribute,
            kind: if parameter.kind == 0 { catalog.base(column.kind) } else { parameter.kind },
            modifier: column.modifier,
            binary: parameter.binary,
        };
        let treatment = of_column(catalog, relation.oid, column.attribute);
        let value =
            parameter.value.map(|value| if parameter.binary { value.into() } else { plain(value, described.kind) });
        let found = facts.recogniser.resembles(treatment, &described, catalog, value.as_deref())?;
        // What nobody has looked at is masked as nothing in particular, and its masks look like anything.
        let is_known = !matches!(verdict(catalog, relation.oid, column.attribute), Verdict::Unknown);
        let name = || format!("`{}.{}`, which is masked", relation.name, column.name);
        (is_known || found == Resemblance::Sure).then(|| (found, name()))
    }
}

/// A date or time as the database writes it, of one that a driver writes as ISO 8601 has it: JavaScript knows no dates but
/// those with a time and a zone.
fn plain(value: &[u8], kind: u32) -> Cow<'_, [u8]> {
    const DATE: u32 = 1082;
    const TIMESTAMP: u32 = 1114;
    const TIMESTAMPTZ: u32 = 1184;
    let zone: &[u8] = if kind == TIMESTAMPTZ { b"+00" } else { b"" };
    match (value.split_at_checked(10), kind) {
        (Some((date, [b'T' | b' ', ..])), DATE) => date.into(),
        (Some((date, [b'T' | b' ', time @ ..])), TIMESTAMP | TIMESTAMPTZ) if time.len() >= 8 => {
            [date, b" ", time.get(..8).unwrap_or_default(), zone].concat().into()
        }
        (_, _) => value.into(),
    }
}

/// The values that a statement writes to columns that the catalog knows.
fn stored<'t, 'a>(facts: &Facts<'a>, writer: Node<'t>) -> Vec<Stored<'t, 'a>> {
    let mut out = Vec::new();
    let target = writer.child("relation");
    let target = target.map(|target| facts.find(&Name::new(target.text("schemaname"), target.text("relname"))));
    let Some(Found::Known(relation)) = target else { return out };
    match writer.kind() {
        "InsertStmt" => inserted(writer, relation, &mut out),
        "UpdateStmt" => assigned(writer, relation, &mut out),
        _ => {
            for when in writer.children("merge_when_clauses") {
                let values: Vec<_> = when.children("values").collect();
                if values.is_empty() {
                    assigned(when, relation, &mut out);
                } else {
                    let names = when.children("target_list").map(|column| column.text("name"));
                    row(relation, &names.collect::<Vec<_>>(), values.into_iter(), false, &mut out);
                }
            }
        }
    }
    out
}

fn inserted<'t, 'a>(node: Node<'t>, relation: &'a CatalogRelation, out: &mut Vec<Stored<'t, 'a>>) {
    let mut names: Vec<&str> = node.children("cols").map(|column| column.text("name")).collect();
    if names.is_empty() {
        names = relation.columns.iter().map(|column| column.name.as_str()).collect();
    }
    let conflict = node.child("on_conflict_clause");
    // What is proposed may be what the row that is there is set to.
    let replaces = conflict.is_some_and(|conflict| conflict.child("target_list").is_some());
    if let Some(select) = node.child("select_stmt") {
        for list in select.children("values_lists") {
            row(relation, &names, list.children("items"), replaces, out);
        }
        let selected = select.children("target_list").filter_map(|target| target.child("val"));
        row(relation, &names, selected, replaces, out);
    }
    if let Some(conflict) = conflict {
        assigned(conflict, relation, out);
    }
}

fn row<'t, 'a>(
    relation: &'a CatalogRelation,
    names: &[&str],
    values: impl Iterator<Item = Node<'t>>,
    replaces: bool,
    out: &mut Vec<Stored<'t, 'a>>,
) {
    for (name, value) in names.iter().zip(values) {
        store(relation, name, value, replaces, out);
    }
}

/// SET column = value; SET (column, …) = (value, …)
fn assigned<'t, 'a>(node: Node<'t>, relation: &'a CatalogRelation, out: &mut Vec<Stored<'t, 'a>>) {
    for target in node.children("target_list") {
        let Some(value) = target.child("val") else { continue };
        let value = match value.kind() {
            "MultiAssignRef" => {
                let place = usize::try_from(value.integer("colno")).unwrap_or(0).checked_sub(1);
                let row = value.child("source").filter(|source| source.kind() == "RowExpr");
                match row.zip(place).and_then(|(row, place)| row.children("args").nth(place)) {
                    Some(value) => value,
                    None => continue,
                }
            }
            _ => value,
        };
        store(relation, target.text("name"), value, true, out);
    }
}

fn store<'t, 'a>(
    relation: &'a CatalogRelation,
    name: &str,
    node: Node<'t>,
    replaces: bool,
    out: &mut Vec<Stored<'t, 'a>>,
) {
    let column = relation.columns.iter().find(|column| column.name == name);
    if let Some((column, value)) = column.zip(Value::of(node)) {
        out.push(Stored { relation, column, value, replaces, position: node.location() });
    }
}
