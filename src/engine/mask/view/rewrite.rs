//! Leads names of relations to their masking views, where the search path does not: names with a schema, names under
//! another path, and COPY, which takes no view by name.
//!
//! And e-mail addresses that somebody knows to their pseudonyms: who looks for one person's address finds that person's
//! row. Each is a guess that is confirmed or not, so there is a limit to them; and values of which there are few enough to
//! try them all, such as numbers of people, are not looked up.
//!
//! Convenience, not a wall: the text is changed only where the parse tree says what a word is, and what is missed is asked
//! of a relation that the session may not read, which the database refuses.

use std::collections::BTreeMap;
use std::ops::Range;

use super::super::array;
use super::super::pseudonym::Pseudonyms;
use super::super::shape::Shape;
use super::super::treatment::{Applied, Pen, Treatment};
use super::{MaskKey, MaskedViews};
use crate::engine::catalog::{Catalog, CatalogRelation};
use crate::engine::detector::{self, Detector, Form};
use crate::engine::scope::Scope;
use crate::engine::sql::compared::{Equality, select_around};
use crate::engine::sql::fact::{Command, Name};
use crate::engine::sql::token::Tokens;
use crate::engine::sql::tree::Node;
use crate::engine::sql::{Understood, literal, quoted};
use crate::engine::write_back::Parameter;

/// Values that one text may look up, as on the way ([`crate::engine::rule`]'s `masked_condition`).
const LOOKUPS_MAX: usize = 100;

/// A text as the database gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rewritten {
    pub(crate) text: String,
    /// Values that were looked up.
    pub(crate) lookups: usize,
    before: String,
    edits: Vec<Edit>,
}

/// What is needed to look values up.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Lookups<'a> {
    pub(in crate::engine) key: Option<&'a MaskKey>,
    /// How many more may be.
    pub(in crate::engine) left: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Edit {
    /// Bytes of the text as it was.
    replaced: Range<usize>,
    by: String,
}

impl Rewritten {
    fn new(before: &str, mut edits: Vec<Edit>, lookups: usize) -> Option<Self> {
        edits.sort_by_key(|edit| edit.replaced.start);
        edits.dedup();
        let mut text = String::with_capacity(before.len() + 32 * edits.len());
        let mut end = 0;
        for edit in &edits {
            // Two that meet cannot both be right.
            text.push_str(before.get(end..edit.replaced.start)?);
            text.push_str(&edit.by);
            end = edit.replaced.end;
        }
        text.push_str(before.get(end..)?);
        (!edits.is_empty()).then(|| Self { text, lookups, before: before.to_owned(), edits })
    }

    /// Where in the text as it was a position in this one is; both count characters from 1.
    pub(crate) fn position(&self, position: usize) -> usize {
        let at = self.text.char_indices().nth(position.saturating_sub(1)).map_or(self.text.len(), |(at, _)| at);
        let (mut here, mut there) = (0, 0);
        for edit in &self.edits {
            let start = here + edit.replaced.start.saturating_sub(there);
            if at < start {
                break;
            }
            if at < start + edit.by.len() {
                return self.characters(edit.replaced.start);
            }
            here = start + edit.by.len();
            there = edit.replaced.end;
        }
        self.characters(there + at.saturating_sub(here))
    }

    fn characters(&self, before: usize) -> usize {
        self.before.char_indices().take_while(|(at, _)| *at < before).count() + 1
    }
}

/// The text with the names of masked relations led to their views; nothing when it can stay as it is.
pub(in crate::engine) fn rewritten(
    catalog: &Catalog,
    masking: &MaskedViews,
    text: &[u8],
    what: &Understood,
    scope: &Scope,
    lookups: Lookups<'_>,
) -> Option<Rewritten> {
    let text = std::str::from_utf8(text).ok()?;
    let finder = Finder { catalog, masking, text, scope };
    let mut edits: Vec<Edit> = what.commands.iter().flat_map(|command| finder.command(command)).collect();
    let (known, count) = finder.known(what, lookups);
    edits.extend(known);
    Rewritten::new(text, edits, count)
}

/// Values that are bound to a statement, with those that look something up as pseudonyms; nothing when they can stay. All
/// of them, or none where there are too many.
pub(in crate::engine) fn looked_up(
    catalog: &Catalog,
    masking: &MaskedViews,
    what: &Understood,
    scope: &Scope,
    values: &[Parameter<'_>],
    lookups: Lookups<'_>,
) -> LookedUp {
    let Some(key) = lookups.key else { return LookedUp::default() };
    let finder = Finder { catalog, masking, text: "", scope };
    let places = finder.parameters(what);
    let sought = places.into_iter().filter_map(|(number, named, is_array)| {
        let Parameter { value, binary, .. } = values.get(number)?;
        Some((number, Sought { named, value: (*value)?, is_array, binary: *binary }))
    });
    let sought: Vec<(usize, Sought<'_>)> = sought.collect();
    let mut found = LookedUp::default();
    if are_few(sought.iter().map(|(_, sought)| sought), lookups) {
        let pseudonyms = Pseudonyms::new(key);
        for (number, sought) in sought {
            if let Some(made) = sought.made(&pseudonyms) {
                found.lookups += sought.count();
                found.values.insert(number, made);
            }
        }
    }
    found
}

/// What is bound to a statement in place of values that somebody knows, by their number from 0.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct LookedUp {
    pub(crate) values: BTreeMap<usize, Vec<u8>>,
    /// How many values were looked up: an array has many.
    pub(in crate::engine) lookups: usize,
}

/// A value that somebody may know, or an array of some.
#[derive(Clone, Copy, Debug)]
struct Sought<'a> {
    named: Named,
    value: &'a [u8],
    is_array: bool,
    binary: bool,
}

impl Sought<'_> {
    fn count(&self) -> usize {
        if self.is_array { array::elements_at_most(self.value, self.binary) } else { 1 }
    }

    /// What finds what it finds, among pseudonyms.
    fn made(&self, pseudonyms: &Pseudonyms) -> Option<Vec<u8>> {
        match self.is_array {
            true => self.named.array(pseudonyms, self.value, self.binary),
            // A text is the same in either format.
            false => Some(self.named.pseudonym(pseudonyms, std::str::from_utf8(self.value).ok()?)?.into_bytes()),
        }
    }
}

/// Whether these are not more than one text, and one session, may look up.
fn are_few<'s>(sought: impl Iterator<Item = &'s Sought<'s>>, lookups: Lookups<'_>) -> bool {
    sought.map(Sought::count).fold(0, usize::saturating_add) <= LOOKUPS_MAX.min(lookups.left)
}

/// The pseudonyms that a column shows: of which entity, in at most so many characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Named {
    entity: &'static str,
    room: usize,
}

impl Named {
    /// The pseudonym of a value that somebody knows. Whoever writes a pseudonym means it.
    fn pseudonym(self, pseudonyms: &Pseudonyms, value: &str) -> Option<String> {
        let value = value.trim_end_matches(' ');
        let entity: &dyn Detector = detector::named(self.entity)?;
        let mut made = Vec::new();
        let is_new = !value.is_empty() && !pseudonyms.made(value);
        (is_new && pseudonyms.write(entity, Form::Email, value.as_bytes(), self.room, &mut made)).then_some(())?;
        String::from_utf8(made).ok()
    }

    /// An array with the pseudonyms of its elements.
    fn array(self, pseudonyms: &Pseudonyms, array: &[u8], binary: bool) -> Option<Vec<u8>> {
        let entity = detector::named(self.entity)?;
        let (mut pen, mut made) = (Pen::new(Some(pseudonyms.clone())), Vec::new());
        let mask = if binary { array::binary } else { array::text };
        let applied = mask(Treatment::Entity(entity), &Shape::Text, self.room, array, &mut pen, &mut made);
        (applied == Applied::Written).then_some(made)
    }
}

struct Finder<'a> {
    catalog: &'a Catalog,
    masking: &'a MaskedViews,
    text: &'a str,
    scope: &'a Scope,
}

impl<'a> Finder<'a> {
    fn command(&self, command: &Command) -> Vec<Edit> {
        let root = command.root.node();
        let edit = |node: Node<'_>| match node.kind() {
            "RangeVar" => match node.parent().filter(|parent| parent.kind() == "CopyStmt") {
                Some(copy) if copy.flag("is_from") => None,
                Some(copy) => self.copied(node, copy),
                None => self.range(node, command),
            },
            "ColumnRef" => self.column(node),
            _ => None,
        };
        root.all().filter_map(edit).collect()
    }

    /// A relation, in whatever place.
    fn range(&self, node: Node<'_>, command: &Command) -> Option<Edit> {
        let (schema, at) = (node.text("schemaname"), node.location()?);
        if !node.text("catalogname").is_empty() {
            return None;
        }
        if !schema.is_empty() {
            let (_, moved) = self.moved(schema, node.text("relname"))?;
            return self.schema_word(at, schema, moved);
        }
        // On the path the session began with, views come first.
        if self.scope.has_default_path() {
            return None;
        }
        let is_relation = |used: &crate::engine::sql::fact::Use| used.position == at && used.name.schema.is_none();
        let used = command.relations.iter().find(|used| is_relation(used))?;
        let (_, moved) = self.named(&used.name)?;
        Some(Edit { replaced: at..at, by: format!("{}.", quoted(moved)) })
    }

    /// `schema.relation.column`
    fn column(&self, node: Node<'_>) -> Option<Edit> {
        let fields: Vec<_> = node.children("fields").collect();
        let [schema, relation, _, ..] = fields.as_slice() else { return None };
        let (_, moved) = self.moved(schema.text("sval"), relation.text("sval"))?;
        self.schema_word(node.location()?, schema.text("sval"), moved)
    }

    /// `COPY relation (columns) TO` becomes `COPY (SELECT columns FROM view) TO`.
    fn copied(&self, node: Node<'_>, copy: Node<'_>) -> Option<Edit> {
        let (schema, name, at) = (node.text("schemaname"), node.text("relname"), node.location()?);
        if !node.text("catalogname").is_empty() {
            return None;
        }
        let (_, moved) = match schema {
            "" => self.named(&Name::bare(name))?,
            schema => self.moved(schema, name)?,
        };
        let mut end = at;
        if !schema.is_empty() {
            end = self.dot(self.word(at, schema)?)?;
        }
        end = self.word(end, name)?;
        let columns: Vec<&str> = copy.words("attlist").collect();
        if !columns.is_empty() {
            let list = self.text.get(end..)?;
            let open = list.find(|letter: char| !letter.is_ascii_whitespace())?;
            list.get(open..)?.starts_with('(').then_some(())?;
            let mut place = end + open + 1;
            for (index, column) in columns.iter().enumerate() {
                place += self.text.get(place..)?.find(|letter: char| !letter.is_ascii_whitespace())?;
                place = self.word(place, column)?;
                let rest = self.text.get(place..)?;
                let sign = rest.find(|letter: char| !letter.is_ascii_whitespace())?;
                let expected = if index + 1 == columns.len() { ')' } else { ',' };
                rest.get(sign..)?.starts_with(expected).then_some(())?;
                place += sign + 1;
            }
            end = place;
        }
        let columns: Vec<String> = columns.iter().map(|column| quoted(column)).collect();
        let columns = if columns.is_empty() { "*".to_owned() } else { columns.join(", ") };
        let by = format!("(SELECT {columns} FROM {}.{})", quoted(moved), quoted(name));
        Some(Edit { replaced: at..end, by })
    }

    /// Values written out that are compared for equality with pseudonyms, as pseudonyms; and how many they are. All of
    /// them, or none where there are too many.
    fn known(&self, what: &Understood, lookups: Lookups<'_>) -> (Vec<Edit>, usize) {
        let Some(key) = lookups.key else { return Default::default() };
        let compared = what.commands.iter().flat_map(|command| {
            command.compared.equalities.iter().filter_map(move |equality| {
                let (value, at) = text_constant(command.root.at(equality.value))?;
                let named = self.pseudonym(command.root.at(equality.column), command)?;
                let is_array = equality.is_array;
                Some((at, Sought { named, value: value.as_bytes(), is_array, binary: false }))
            })
        });
        let places: Vec<(usize, Sought<'_>)> = compared.collect();
        if places.is_empty() || !are_few(places.iter().map(|(_, sought)| sought), lookups) {
            return Default::default();
        }
        let Ok(tokens) = Tokens::scan(self.text) else { return Default::default() };
        let pseudonyms = Pseudonyms::new(key);
        let edit = |(at, sought): (usize, Sought<'_>)| {
            let made = String::from_utf8(sought.made(&pseudonyms)?).ok()?;
            Some((Edit { replaced: tokens.at(at)?, by: literal(&made) }, sought.count()))
        };
        let (edits, counts): (Vec<Edit>, Vec<usize>) = places.into_iter().filter_map(edit).unzip();
        (edits, counts.into_iter().sum())
    }

    /// Parameters, numbered from 0, that are compared for equality with pseudonyms of one kind and used for nothing else;
    /// and whether they are arrays.
    fn parameters(&self, what: &Understood) -> Vec<(usize, Named, bool)> {
        // What values are bound to is one command.
        let [command] = what.commands.as_slice() else { return Vec::new() };
        let looks_up = |(number, equalities): (&usize, &Vec<Equality>)| {
            let mut named = equalities.iter().map(|equality| {
                let column = self.pseudonym(command.root.at(equality.column), command)?;
                Some((column, equality.is_array))
            });
            let first = named.next()??;
            named.all(|other| other == Some(first)).then_some((*number, first.0, first.1))
        };
        command.compared.parameters.iter().filter_map(looks_up).collect()
    }

    /// What a column shows pseudonyms of, when it is clear which column of which relation it is.
    fn pseudonym(&self, column: Node<'_>, command: &Command) -> Option<Named> {
        let words: Vec<&str> = column.words("fields").collect();
        let (name, qualifier) = match words.as_slice() {
            [name] => (*name, None),
            [qualifier, name] => (*name, Some(*qualifier)),
            _ => return None,
        };
        let mut open: Vec<Node<'_>> = select_around(column)?.children("from_clause").collect();
        let mut found = Vec::new();
        while let Some(item) = open.pop() {
            match item.kind() {
                "JoinExpr" => open.extend(item.nodes().filter(|side| matches!(side.field(), "larg" | "rarg"))),
                "RangeVar" => {
                    let called =
                        item.child("alias").map_or_else(|| item.text("relname"), |alias| alias.text("aliasname"));
                    if qualifier.is_none_or(|qualifier| qualifier == called) {
                        found.push(self.column_of(item, name, command));
                    }
                }
                // Any name may be a column of something else.
                _ if qualifier.is_none() => return None,
                _ => {}
            }
        }
        let mut found = found.into_iter().flatten();
        let place = found.next().filter(|_| found.next().is_none())?;
        let (entity, room) = *self.masking.named.get(&place)?;
        Some(Named { entity, room })
    }

    /// A column of a relation in FROM.
    fn column_of(&self, range: Node<'_>, name: &str, command: &Command) -> Option<(u32, i16)> {
        let (schema, relation, at) = (range.text("schemaname"), range.text("relname"), range.location()?);
        // A common table expression may have the same name.
        let is_relation = command.relations.iter().any(|used| used.position == at && *used.name.name == *relation);
        let (relation, _) = match schema {
            _ if !is_relation => return None,
            "" => self.named(&Name::bare(relation))?,
            schema => self.moved(schema, relation)?,
        };
        let column = relation.columns.iter().find(|column| column.name == name)?;
        Some((relation.oid, column.attribute))
    }

    /// The relation of this name and the schema of its view.
    fn moved(&self, schema: &str, name: &str) -> Option<(&'a CatalogRelation, &'a str)> {
        let relation = self.catalog.relations_named(name).find(|relation| relation.schema == schema)?;
        Some((relation, self.masking.moved.get(&relation.oid)?))
    }

    /// The relation that a name without a schema means, and the schema of its view.
    fn named(&self, name: &Name) -> Option<(&'a CatalogRelation, &'a str)> {
        if self.scope.is_temporary(name) || !self.scope.names().certain {
            return None;
        }
        let found = self
            .scope
            .names()
            .path()
            .find_map(|schema| self.catalog.relations_named(&name.name).find(|relation| relation.schema == schema));
        let relation = found?;
        Some((relation, self.masking.moved.get(&relation.oid)?))
    }

    fn schema_word(&self, at: usize, schema: &str, moved: &str) -> Option<Edit> {
        Some(Edit { replaced: at..self.word(at, schema)?, by: quoted(moved) })
    }

    /// Where the word that begins here ends, if it is this name.
    fn word(&self, at: usize, name: &str) -> Option<usize> {
        let rest = self.text.get(at..)?;
        if let Some(inner) = rest.strip_prefix('"') {
            let written = quoted(name);
            let is_whole = rest.starts_with(&written) && !rest.get(written.len()..)?.starts_with('"');
            return (!inner.is_empty() && is_whole).then_some(at + written.len());
        }
        let length = rest.find(|letter: char| !(letter.is_alphanumeric() || matches!(letter, '_' | '$')));
        let word = rest.get(..length.unwrap_or(rest.len()))?;
        word.eq_ignore_ascii_case(name).then_some(at + word.len())
    }

    /// What follows a dot that follows here.
    fn dot(&self, at: usize) -> Option<usize> {
        self.text.get(at..)?.starts_with('.').then_some(at + 1)
    }
}

/// A text that is written out, with or without a type, and where it stands.
fn text_constant(node: Node<'_>) -> Option<(&str, usize)> {
    match node.kind() {
        "TypeCast" => node.children("arg").find_map(text_constant),
        "AConst" => {
            let value = node.nodes().find(|value| value.kind() == "String")?;
            Some((value.text("sval"), node.location()?))
        }
        _ => None,
    }
}
