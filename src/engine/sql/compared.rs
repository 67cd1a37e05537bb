//! What a query compares for equality, as its text says it. Whether that looks something up is known with a catalog.

use std::collections::BTreeMap;

use pg_query::protobuf::AExprKind;

use super::tree::{Node, Place};

/// The equalities that the rows of a query depend on.
#[derive(Clone, Debug, Default)]
pub(in crate::engine) struct Compared {
    pub(in crate::engine) equalities: Vec<Equality>,
    /// Parameters, numbered from 0, that stand in equalities and nowhere else: in which.
    pub(in crate::engine) parameters: BTreeMap<usize, Vec<Equality>>,
}

/// A column and a value that it is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Equality {
    pub(in crate::engine) column: Place,
    pub(in crate::engine) value: Place,
    /// The value is an array, of which one element must be equal.
    pub(in crate::engine) is_array: bool,
}

impl Compared {
    /// Of a query's own condition: which rows there are may be asked; whether there is one is an answer without a row.
    pub(super) fn of(root: Node<'_>) -> Self {
        let condition = root.child("where_clause").filter(|_| root.kind() == "SelectStmt");
        let compared = condition.into_iter().flat_map(Node::all).filter(|node| node.kind() == "AExpr");
        let compared = compared.filter(|node| select_around(*node) == Some(root));
        let equalities: Vec<Equality> = compared.flat_map(equalities).collect();
        let mut parameters: BTreeMap<usize, Vec<Equality>> = BTreeMap::new();
        for equality in &equalities {
            if let Some(number) = parameter(root.same(equality.value)) {
                parameters.entry(number).or_default().push(*equality);
            }
        }
        if !parameters.is_empty() {
            let mut uses: BTreeMap<usize, usize> = BTreeMap::new();
            for number in root.all().filter(|node| node.kind() == "ParamRef").filter_map(parameter) {
                *uses.entry(number).or_default() += 1;
            }
            parameters.retain(|number, equalities| uses.get(number) == Some(&equalities.len()));
        }
        Self { equalities, parameters }
    }
}

/// `=`, IN and `= ANY`, of a column and of values.
fn equalities(node: Node<'_>) -> Vec<Equality> {
    let kind = node.choice::<AExprKind>("kind");
    let sides: Vec<Node<'_>> = node.nodes().filter(|side| matches!(side.field(), "lexpr" | "rexpr")).collect();
    let ([left, right], true) = (sides.as_slice(), node.words("name").eq(["="])) else { return Vec::new() };
    let (column, values) = match kind {
        AExprKind::AexprOp if left.kind() != "ColumnRef" => (right, vec![(*left, false)]),
        AExprKind::AexprOp => (left, vec![(*right, false)]),
        AExprKind::AexprIn => (left, right.children("items").map(|item| (item, false)).collect()),
        AExprKind::AexprOpAny => (left, elements(*right)),
        _ => return Vec::new(),
    };
    if column.kind() != "ColumnRef" {
        return Vec::new();
    }
    let equality =
        |(value, is_array): (Node<'_>, bool)| Equality { column: column.place(), value: value.place(), is_array };
    values.into_iter().map(equality).collect()
}

/// The elements of an array that is written out, or the array.
fn elements(array: Node<'_>) -> Vec<(Node<'_>, bool)> {
    let mut inner = array;
    while let Some(below) = inner.child("arg").filter(|_| inner.kind() == "TypeCast") {
        inner = below;
    }
    match inner.kind() {
        "AArrayExpr" => inner.children("elements").map(|element| (element, false)).collect(),
        _ => vec![(array, true)],
    }
}

/// The query that a node stands in.
pub(in crate::engine) fn select_around(node: Node<'_>) -> Option<Node<'_>> {
    let mut above = node.parent();
    while let Some(node) = above.filter(|node| node.kind() != "SelectStmt") {
        above = node.parent();
    }
    above
}

/// The number of a parameter, with or without a type, from 0.
fn parameter(node: Node<'_>) -> Option<usize> {
    match node.kind() {
        "TypeCast" => node.children("arg").find_map(parameter),
        "ParamRef" => usize::try_from(node.integer("number")).ok()?.checked_sub(1),
        _ => None,
    }
}
