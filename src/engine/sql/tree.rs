//! A parse tree as one flat list, complete by construction.
//!
//! pg_query's tree is 272 kinds of node in typed structures, and its own walkers forget places where a call or a
//! relation can stand. Every one of those structures can be serialised, so one small [`Serializer`] sees every field of
//! every kind, whether we thought of it or not, and lays it out in the order of reading. After that nothing recurses.

use std::fmt;
use std::sync::Arc;

use pg_query::protobuf;
use serde::Serialize;
use serde::ser::{Error, Impossible, SerializeSeq, SerializeStruct, Serializer};

use super::DEPTH_MAX;
use super::token::Tokens;

/// The parse tree of a text.
#[derive(Debug, Default)]
pub(in crate::engine) struct Tree {
    entries: Vec<Entry>,
    /// The text of all strings, one after the other.
    strings: String,
}

/// A node that keeps its tree.
#[derive(Clone, Debug, Default)]
pub(in crate::engine) struct Root {
    tree: Arc<Tree>,
    at: u32,
}

impl Root {
    pub(in crate::engine) fn new(tree: &Arc<Tree>, node: Node<'_>) -> Self {
        Self { tree: Arc::clone(tree), at: node.at }
    }

    pub(in crate::engine) fn node(&self) -> Node<'_> {
        Node { tree: &self.tree, at: self.at }
    }

    /// The node at a place of the same tree.
    pub(in crate::engine) fn at(&self, place: Place) -> Node<'_> {
        Node { tree: &self.tree, at: place.0 }
    }
}

/// Where a node stands in its tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::engine) struct Place(u32);

/// A node, a value or an empty place. Values that are zero, false or empty have no entry: they are the default.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// The name of the field of the parent in which this stands.
    field: &'static str,
    content: Content,
    parent: u32,
    /// The entry after the last one below this.
    end: u32,
}

#[derive(Clone, Copy, Debug)]
enum Content {
    /// A node of this kind.
    Node(&'static str),
    Text {
        start: u32,
        end: u32,
    },
    Integer(i64),
    True,
    /// A place for a node without a node: an empty list element, or a node that the C library could not express.
    Empty,
}

impl Tree {
    /// That of SQL that stands in other code; nothing where it is none, or too deep to be read.
    pub(super) fn within(text: &str) -> Option<Arc<Self>> {
        let shallow = Tokens::scan(text).is_ok_and(|tokens| tokens.depth_at_most() <= DEPTH_MAX);
        let parsed = shallow.then(|| pg_query::parse(text, 0).ok()).flatten()?;
        Self::new(&parsed.protobuf).ok().map(Arc::new)
    }

    pub(super) fn new(parsed: &protobuf::ParseResult) -> Result<Self, TooLarge> {
        let mut writer = Writer::default();
        parsed.serialize(&mut writer)?;
        Ok(writer.tree)
    }

    /// The statements of the text, in order.
    pub(super) fn statements(&self) -> impl Iterator<Item = Node<'_>> {
        self.root().into_iter().flat_map(|root| root.children("stmts")).filter(|node| node.kind() == "RawStmt")
    }

    fn root(&self) -> Option<Node<'_>> {
        Node { tree: self, at: 0 }.some()
    }
}

/// A node of a tree.
#[derive(Clone, Copy)]
pub(in crate::engine) struct Node<'t> {
    tree: &'t Tree,
    at: u32,
}

impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.kind(), self.at)
    }
}

impl PartialEq for Node<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.tree, other.tree) && self.at == other.at
    }
}

impl<'t> Node<'t> {
    fn entry(self) -> Option<&'t Entry> {
        self.tree.entries.get(self.at as usize)
    }

    fn some(self) -> Option<Self> {
        self.entry().map(|_| self)
    }

    /// The kind of node, for example `SelectStmt`; empty for a place without a node.
    pub(in crate::engine) fn kind(self) -> &'static str {
        match self.entry().map(|entry| entry.content) {
            Some(Content::Node(kind)) => kind,
            _ => "",
        }
    }

    /// What tells this node from the others of its tree.
    pub(super) fn place(self) -> Place {
        Place(self.at)
    }

    /// The node at a place of the same tree.
    pub(super) fn same(self, place: Place) -> Self {
        Self { at: place.0, ..self }
    }

    /// The field of the parent in which this node stands.
    pub(in crate::engine) fn field(self) -> &'static str {
        self.entry().map_or("", |entry| entry.field)
    }

    pub(in crate::engine) fn parent(self) -> Option<Self> {
        let parent = self.entry()?.parent;
        (parent != self.at).then_some(Node { tree: self.tree, at: parent })
    }

    /// Everything directly below, values included.
    fn below(self) -> impl Iterator<Item = (Self, &'t Entry)> {
        let end = self.entry().map_or(0, |entry| entry.end);
        let tree = self.tree;
        let mut at = self.at + 1;
        std::iter::from_fn(move || {
            let entry = tree.entries.get(at as usize).filter(|_| at < end)?;
            let node = Node { tree, at };
            at = entry.end;
            Some((node, entry))
        })
    }

    /// The nodes directly below, in any field. Empty places are skipped.
    pub(in crate::engine) fn nodes(self) -> impl Iterator<Item = Self> {
        self.below().filter(|(_, entry)| matches!(entry.content, Content::Node(_))).map(|(node, _)| node)
    }

    /// The nodes in a field. Empty places are skipped.
    pub(in crate::engine) fn children(self, field: &'static str) -> impl Iterator<Item = Self> {
        self.nodes().filter(move |node| node.field() == field)
    }

    /// The nodes in a field, empty places included.
    pub(in crate::engine) fn places(self, field: &'static str) -> impl Iterator<Item = Self> {
        let placed = |entry: &Entry| matches!(entry.content, Content::Node(_) | Content::Empty);
        self.below().filter(move |(_, entry)| entry.field == field && placed(entry)).map(|(node, _)| node)
    }

    /// The first node in a field.
    pub(in crate::engine) fn child(self, field: &'static str) -> Option<Self> {
        self.children(field).next()
    }

    /// This node and all nodes below it in the order of reading, empty places included.
    pub(in crate::engine) fn all(self) -> impl Iterator<Item = Self> {
        let tree = self.tree;
        let end = self.entry().map_or(0, |entry| entry.end);
        (self.at..end)
            .map(move |at| Node { tree, at })
            .filter(|node| node.entry().is_some_and(|entry| matches!(entry.content, Content::Node(_) | Content::Empty)))
    }

    /// Whether `other` is this node or below it.
    pub(super) fn contains(self, other: Self) -> bool {
        self.at <= other.at && self.entry().is_some_and(|entry| other.at < entry.end)
    }

    /// A string; empty when it is not set.
    pub(in crate::engine) fn text(self, field: &'static str) -> &'t str {
        let value = self.below().find(|(_, entry)| entry.field == field).map(|(_, entry)| entry.content);
        match value {
            Some(Content::Text { start, end }) => {
                self.tree.strings.get(start as usize..end as usize).unwrap_or_default()
            }
            _ => "",
        }
    }

    /// A number; 0 when it is not set.
    pub(in crate::engine) fn integer(self, field: &'static str) -> i64 {
        let value = self.below().find(|(_, entry)| entry.field == field).map(|(_, entry)| entry.content);
        match value {
            Some(Content::Integer(value)) => value,
            _ => 0,
        }
    }

    pub(in crate::engine) fn flag(self, field: &'static str) -> bool {
        self.below().any(|(_, entry)| entry.field == field && matches!(entry.content, Content::True))
    }

    /// One of the parser's enumerations.
    pub(in crate::engine) fn choice<E: TryFrom<i32> + Default>(self, field: &'static str) -> E {
        i32::try_from(self.integer(field)).ok().and_then(|value| E::try_from(value).ok()).unwrap_or_default()
    }

    /// The byte of the text at which the node begins, where the parser says so.
    pub(in crate::engine) fn location(self) -> Option<usize> {
        usize::try_from(self.integer("location")).ok()
    }

    /// The words of a field that holds a dotted name.
    pub(in crate::engine) fn words(self, field: &'static str) -> impl Iterator<Item = &'t str> {
        self.children(field).filter(|node| node.kind() == "String").map(|node| node.text("sval"))
    }
}

/// The tree has more than 2³² entries. A text of [`super::TEXT_MAX`] cannot reach that.
#[derive(Debug, thiserror::Error)]
#[error("the parse tree is too large")]
pub(super) struct TooLarge;

impl Error for TooLarge {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

#[derive(Debug, Default)]
struct Writer {
    tree: Tree,
    /// The node being written, and its field.
    parent: u32,
    field: &'static str,
}

impl Writer {
    fn next(&self) -> Result<u32, TooLarge> {
        u32::try_from(self.tree.entries.len()).ok().filter(|at| *at < u32::MAX).ok_or(TooLarge)
    }

    fn value(&mut self, content: Content) -> Result<(), TooLarge> {
        let at = self.next()?;
        self.tree.entries.push(Entry { field: self.field, content, parent: self.parent, end: at + 1 });
        Ok(())
    }
}

/// A structure being written: a node, or the wrapper `Node` around one of any kind, which leaves no trace.
struct Open<'w> {
    writer: &'w mut Writer,
    /// The node's entry, and the parent to return to.
    node: Option<(u32, u32)>,
    /// Entries there were before the wrapper: when there are no more at its end, the place is empty.
    before: usize,
}

impl SerializeStruct for Open<'_> {
    type Ok = ();
    type Error = TooLarge;

    fn serialize_field<T: ?Sized + Serialize>(&mut self, name: &'static str, value: &T) -> Result<(), TooLarge> {
        if self.node.is_some() {
            self.writer.field = name;
        }
        value.serialize(&mut *self.writer)
    }

    fn end(self) -> Result<(), TooLarge> {
        let Some((node, parent)) = self.node else {
            return if self.writer.tree.entries.len() == self.before {
                self.writer.value(Content::Empty)
            } else {
                Ok(())
            };
        };
        let end = self.writer.next()?;
        if let Some(entry) = self.writer.tree.entries.get_mut(node as usize) {
            entry.end = end;
        }
        self.writer.parent = parent;
        Ok(())
    }
}

impl SerializeSeq for &mut Writer {
    type Ok = ();
    type Error = TooLarge;

    fn serialize_element<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), TooLarge> {
        let field = self.field;
        value.serialize(&mut **self)?;
        self.field = field;
        Ok(())
    }

    fn end(self) -> Result<(), TooLarge> {
        Ok(())
    }
}

impl<'w> Serializer for &'w mut Writer {
    type Ok = ();
    type Error = TooLarge;
    type SerializeSeq = Self;
    type SerializeTuple = Impossible<(), TooLarge>;
    type SerializeTupleStruct = Impossible<(), TooLarge>;
    type SerializeTupleVariant = Impossible<(), TooLarge>;
    type SerializeMap = Impossible<(), TooLarge>;
    type SerializeStruct = Open<'w>;
    type SerializeStructVariant = Impossible<(), TooLarge>;

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Open<'w>, TooLarge> {
        let before = self.tree.entries.len();
        if name == "Node" {
            return Ok(Open { writer: self, node: None, before });
        }
        let at = self.next()?;
        let parent = std::mem::replace(&mut self.parent, at);
        self.tree.entries.push(Entry { field: self.field, content: Content::Node(name), parent, end: at + 1 });
        Ok(Open { writer: self, node: Some((at, parent)), before })
    }

    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), TooLarge> {
        value.serialize(self)
    }

    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<(), TooLarge> {
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self, TooLarge> {
        Ok(self)
    }

    fn serialize_str(self, value: &str) -> Result<(), TooLarge> {
        if value.is_empty() {
            return Ok(());
        }
        let start = u32::try_from(self.tree.strings.len()).map_err(|_| TooLarge)?;
        self.tree.strings.push_str(value);
        let end = u32::try_from(self.tree.strings.len()).map_err(|_| TooLarge)?;
        self.value(Content::Text { start, end })
    }

    fn serialize_bool(self, value: bool) -> Result<(), TooLarge> {
        if value { self.value(Content::True) } else { Ok(()) }
    }

    fn serialize_i64(self, value: i64) -> Result<(), TooLarge> {
        if value == 0 { Ok(()) } else { self.value(Content::Integer(value)) }
    }

    fn serialize_i32(self, value: i32) -> Result<(), TooLarge> {
        self.serialize_i64(value.into())
    }

    fn serialize_u32(self, value: u32) -> Result<(), TooLarge> {
        self.serialize_i64(value.into())
    }

    fn serialize_u64(self, value: u64) -> Result<(), TooLarge> {
        // Only sets of column numbers of analysed trees, which the parser does not make.
        self.serialize_i64(i64::try_from(value).unwrap_or(i64::MAX))
    }

    fn serialize_none(self) -> Result<(), TooLarge> {
        Ok(())
    }

    fn serialize_unit(self) -> Result<(), TooLarge> {
        Ok(())
    }

    fn serialize_newtype_struct<T: ?Sized + Serialize>(self, _: &'static str, value: &T) -> Result<(), TooLarge> {
        value.serialize(self)
    }

    // Nothing below occurs in the parser's messages.

    fn serialize_i8(self, value: i8) -> Result<(), TooLarge> {
        self.serialize_i64(value.into())
    }

    fn serialize_i16(self, value: i16) -> Result<(), TooLarge> {
        self.serialize_i64(value.into())
    }

    fn serialize_u8(self, value: u8) -> Result<(), TooLarge> {
        self.serialize_i64(value.into())
    }

    fn serialize_u16(self, value: u16) -> Result<(), TooLarge> {
        self.serialize_i64(value.into())
    }

    fn serialize_f32(self, _: f32) -> Result<(), TooLarge> {
        Ok(())
    }

    fn serialize_f64(self, _: f64) -> Result<(), TooLarge> {
        // Cost estimates of planned trees.
        Ok(())
    }

    fn serialize_char(self, _: char) -> Result<(), TooLarge> {
        Err(TooLarge)
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<(), TooLarge> {
        Err(TooLarge)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), TooLarge> {
        Err(TooLarge)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Result<(), TooLarge> {
        Err(TooLarge)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, TooLarge> {
        Err(TooLarge)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, TooLarge> {
        Err(TooLarge)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, TooLarge> {
        Err(TooLarge)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, TooLarge> {
        Err(TooLarge)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, TooLarge> {
        Err(TooLarge)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Every value in the JSON of the parser's tree, with the name of its field. Zero, false and empty are left out, as
    /// they are in ours; so are the planner's costs.
    fn of_json(value: &Value, field: &str, out: &mut Vec<(String, String)>) {
        match value {
            Value::Object(members) => members.iter().for_each(|(name, value)| of_json(value, name, out)),
            Value::Array(elements) => elements.iter().for_each(|value| of_json(value, field, out)),
            Value::String(text) if !text.is_empty() => out.push((field.to_owned(), text.clone())),
            Value::Number(number) => match number.as_i64() {
                Some(0) | None => {}
                Some(number) => out.push((field.to_owned(), number.to_string())),
            },
            Value::Bool(true) => out.push((field.to_owned(), "true".to_owned())),
            Value::String(_) | Value::Bool(false) | Value::Null => {}
        }
    }

    fn of_tree(tree: &Tree) -> Vec<(String, String)> {
        let value = |entry: &Entry| match entry.content {
            Content::Text { start, end } => tree.strings.get(start as usize..end as usize).map(str::to_owned),
            Content::Integer(number) => Some(number.to_string()),
            Content::True => Some("true".to_owned()),
            Content::Node(_) | Content::Empty => None,
        };
        tree.entries.iter().filter_map(|entry| Some((entry.field.to_owned(), value(entry)?))).collect()
    }

    /// The statements of both corpora, as they are sent.
    fn texts() -> Vec<String> {
        let corpus = include_str!("../../../tests/vectors/guardrails/statements.jsonl");
        let cases = include_str!("../../../tests/vectors/guardrails/cases.txt");
        let mut texts: Vec<String> = Vec::new();
        for line in corpus.lines() {
            let case: Value = serde_json::from_str(line).unwrap();
            texts.extend(case["sql"].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()));
        }
        let sent = cases.lines().filter_map(|line| Some(line.split_once(" | ")?.1));
        texts.extend(sent.flat_map(|line| line.split(" ;; ")).map(str::to_owned));
        texts
    }

    #[test]
    fn nothing_of_the_parsers_tree_is_left_out() {
        let (mut trees, mut values) = (0, 0);
        for text in texts() {
            let Ok(parsed) = pg_query::parse(&text, 0) else { continue };
            let (mut theirs, mut ours) = (Vec::new(), of_tree(&Tree::new(&parsed.protobuf).unwrap()));
            of_json(&serde_json::to_value(&parsed.protobuf).unwrap(), "", &mut theirs);
            theirs.sort();
            ours.sort();
            assert_eq!(ours, theirs, "{text}");
            (trees, values) = (trees + 1, values + ours.len());
        }
        println!("{trees} trees with {values} values, all of them seen");
        assert!(trees > 900, "{trees} of the corpora's texts were read");
    }
}
