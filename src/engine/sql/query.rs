//! Queries and expressions of the parse tree, in our own words.

use std::sync::Arc;

use pg_query::protobuf::{
    AExprKind, BoolExprType, BoolTestType, JoinType, MinMaxOp, NullTestType, SetOperation, SubLinkType,
};

use super::fact::{Constant, Expression, Item, Limit, Name, Output, Query, Source};
use super::tree::Node;

/// Longest text constant that is kept. Parameter names, patterns and role names are shorter; the rest is data.
const TEXT_KEPT_MAX: usize = 1024;

/// Constants kept of one list. Whether a condition restricts anything does not depend on how many there are.
const LISTED_KEPT_MAX: usize = 4;

/// Reads queries, knowing the common table expressions they may name.
#[derive(Default)]
pub(super) struct Reader<'t> {
    /// Innermost last; `None` while the expression is being read (its recursive use).
    common: Vec<(&'t str, Option<Arc<Query>>)>,
}

impl<'t> Reader<'t> {
    /// Reads the WITH clause of a statement, and then what `read` reads under it.
    pub(super) fn under<T>(&mut self, with: Option<Node<'t>>, read: impl FnOnce(&mut Self) -> T) -> T {
        let depth = self.common.len();
        if let Some(with) = with {
            let recursive = with.flag("recursive");
            for common in with.children("ctes") {
                let name = common.text("ctename");
                if recursive {
                    self.common.push((name, None));
                }
                let select = common.child("ctequery").filter(|query| query.kind() == "SelectStmt");
                let query = select.map(|select| Arc::new(self.query(select)));
                if recursive {
                    self.common.pop();
                }
                self.common.push((name, query));
            }
        }
        let out = read(self);
        self.common.truncate(depth);
        out
    }

    /// A `SelectStmt`.
    pub(super) fn query(&mut self, select: Node<'t>) -> Query {
        self.under(select.child("with_clause"), |reader| reader.select(select))
    }

    /// A `SelectStmt` whose WITH clause was read.
    pub(super) fn select(&mut self, select: Node<'t>) -> Query {
        let limit = match select.child("limit_count").map(constant) {
            None | Some(Constant::Null) => Limit::None,
            Some(Constant::Integer(rows)) => u64::try_from(rows).map_or(Limit::Unknown, Limit::Rows),
            Some(_) => Limit::Unknown,
        };
        if is_set_operation(select) {
            return Query { limit, arms: self.arms(select), ..Query::default() };
        }
        let mut conditions = Vec::new();
        let sources = self.sources(select.children("from_clause"), &mut conditions);
        let crossed = sources.len() > 1 && select.children("from_clause").all(is_crossed);
        conditions.extend(select.child("where_clause").map(|node| self.expression(node)));
        Query {
            sources,
            crossed,
            condition: all_of(conditions),
            output: select.children("target_list").map(|target| self.output(target)).collect(),
            limit,
            grouped: select.child("group_clause").or_else(|| select.child("having_clause")).is_some(),
            listed: select.children("values_lists").count(),
            arms: Vec::new(),
        }
    }

    /// The arms of a set operation, from the left; a long chain of them nests to the left.
    fn arms(&mut self, select: Node<'t>) -> Vec<Query> {
        let mut rights = Vec::new();
        let mut left = Some(select);
        while let Some(select) = left.filter(|select| is_set_operation(*select)) {
            // A nested WITH or LIMIT makes it a query of its own.
            if select.child("with_clause").is_some() && !rights.is_empty() {
                break;
            }
            rights.extend(select.child("rarg"));
            left = select.child("larg");
        }
        left.into_iter().chain(rights.into_iter().rev()).map(|arm| self.query(arm)).collect()
    }

    fn output(&mut self, target: Node<'t>) -> Output {
        let value = target.child("val").map_or(Expression::Other(Vec::new()), |node| self.expression(node));
        let name = match (target.text("name"), &value) {
            ("", Expression::Column(words)) => words.last().cloned(),
            ("", _) => None,
            (name, _) => Some(name.into()),
        };
        Output { name, value }
    }

    /// The items of a FROM or USING, joins taken apart; what they are joined on goes to `conditions`.
    pub(super) fn sources(
        &mut self,
        items: impl Iterator<Item = Node<'t>>,
        conditions: &mut Vec<Expression>,
    ) -> Vec<Source> {
        let mut out = Vec::new();
        let mut open: Vec<Node<'t>> = items.collect();
        open.reverse();
        while let Some(item) = open.pop() {
            if item.kind() != "JoinExpr" {
                out.push(self.source(item));
                continue;
            }
            open.extend(item.child("rarg"));
            open.extend(item.child("larg"));
            // What an outer join is on does not keep rows out.
            if item.choice::<JoinType>("jointype") == JoinType::JoinInner {
                conditions.extend(item.child("quals").map(|node| self.expression(node)));
            }
        }
        out
    }

    fn source(&mut self, item: Node<'t>) -> Source {
        let alias = item.child("alias");
        let named = alias.map_or_else(|| item.text("relname"), |alias| alias.text("aliasname"));
        let columns = alias.into_iter().flat_map(|alias| alias.words("colnames")).map(Into::into).collect();
        let what = match item.kind() {
            "RangeVar" => self.relation(item),
            "RangeSubselect" => match item.child("subquery") {
                Some(select) => Item::Query(Arc::new(self.query(select))),
                None => Item::Computed,
            },
            "RangeTableSample" => match item.child("relation") {
                Some(relation) => return self.source(relation),
                None => Item::Computed,
            },
            _ => Item::Computed,
        };
        Source { alias: named.into(), item: what, columns }
    }

    fn relation(&self, relation: Node<'t>) -> Item {
        let (schema, name) = (relation.text("schemaname"), relation.text("relname"));
        let common = self.common.iter().rev().find(|(common, _)| schema.is_empty() && *common == name);
        match common {
            Some((_, Some(query))) => Item::Query(Arc::clone(query)),
            Some((_, None)) => Item::Computed,
            None => Item::Relation(Name::new(schema, name)),
        }
    }

    pub(super) fn expression(&mut self, node: Node<'t>) -> Expression {
        match node.kind() {
            "AConst" | "Integer" | "Float" | "Boolean" | "String" | "BitString" => Expression::Constant(constant(node)),
            "ParamRef" => Expression::Parameter(u32::try_from(node.integer("number")).unwrap_or(0)),
            "ColumnRef" if node.children("fields").any(|field| field.kind() == "AStar") => Expression::Star,
            "ColumnRef" => Expression::Column(node.words("fields").map(Into::into).collect()),
            "BoolExpr" => self.junction(node),
            "AExpr" => self.operation(node),
            "SubLink" => self.sub_select(node),
            "NullTest" => {
                let test = Expression::IsNull(self.boxed(node.child("arg")));
                let is_null = node.choice::<NullTestType>("nulltesttype") == NullTestType::IsNull;
                if is_null { test } else { Expression::Not(Box::new(test)) }
            }
            "BooleanTest" => self.truth_test(node),
            "TypeCast" => {
                let to = node.child("type_name").map(|name| Name::of_words(name.words("names")));
                Expression::Cast(self.boxed(node.child("arg")), to.unwrap_or_else(|| Name::bare("")))
            }
            "CollateClause" | "NamedArgExpr" => *self.boxed(node.child("arg")),
            "CaseExpr" => self.case(node),
            "MinMaxExpr" => {
                let greatest = node.choice::<MinMaxOp>("op") == MinMaxOp::IsGreatest;
                let arguments = node.children("args").map(|node| self.expression(node)).collect();
                Expression::Call { name: Name::bare(if greatest { "greatest" } else { "least" }), arguments }
            }
            "CoalesceExpr" => Expression::Coalesce(node.children("args").map(|node| self.expression(node)).collect()),
            "FuncCall" => {
                let arguments = node.children("args").chain(node.children("agg_order"));
                let arguments = arguments.map(|node| self.expression(node)).collect();
                Expression::Call { name: Name::of_words(node.words("funcname")), arguments }
            }
            "RowExpr" => Expression::List(self.listed(node.children("args"))),
            "AArrayExpr" => Expression::List(self.listed(node.children("elements"))),
            "List" => Expression::List(self.listed(node.children("items"))),
            "SortBy" => *self.boxed(node.child("node")),
            "CurrentOfExpr" => Expression::CurrentRow,
            "SelectStmt" => Expression::Scalar(Box::new(self.query(node))),
            _ => Expression::Other(node.nodes().map(|node| self.expression(node)).collect()),
        }
    }

    fn boxed(&mut self, node: Option<Node<'t>>) -> Box<Expression> {
        Box::new(node.map_or(Expression::Other(Vec::new()), |node| self.expression(node)))
    }

    /// The elements of a list, without most of the constants.
    fn listed(&mut self, nodes: impl Iterator<Item = Node<'t>>) -> Vec<Expression> {
        let mut constants = 0;
        let mut out = Vec::new();
        for node in nodes {
            if node.kind() == "AConst" {
                constants += 1;
                if constants > LISTED_KEPT_MAX {
                    continue;
                }
            }
            out.push(self.expression(node));
        }
        out
    }

    fn junction(&mut self, node: Node<'t>) -> Expression {
        let mut arms = node.children("args").map(|node| self.expression(node)).collect::<Vec<_>>();
        match node.choice::<BoolExprType>("boolop") {
            BoolExprType::AndExpr => Expression::And(arms),
            BoolExprType::OrExpr => Expression::Or(arms),
            BoolExprType::NotExpr if arms.len() == 1 => {
                Expression::Not(Box::new(arms.pop().unwrap_or(Expression::CurrentRow)))
            }
            BoolExprType::NotExpr | BoolExprType::Undefined => Expression::Other(arms),
        }
    }

    fn operation(&mut self, node: Node<'t>) -> Expression {
        let operator = node.words("name").last().unwrap_or_default();
        let (left, right) = (node.child("lexpr"), node.child("rexpr"));
        match node.choice::<AExprKind>("kind") {
            AExprKind::AexprOp if left.is_none() => {
                if let value @ Constant::Integer(_) = constant(node) {
                    return Expression::Constant(value);
                }
                Expression::Prefix { operator: operator.into(), operand: self.boxed(right) }
            }
            AExprKind::AexprOp | AExprKind::AexprLike | AExprKind::AexprIlike | AExprKind::AexprSimilar => {
                self.compare(operator, left, right)
            }
            kind @ (AExprKind::AexprDistinct | AExprKind::AexprNotDistinct) => {
                let distinct = kind == AExprKind::AexprDistinct;
                let is_null = |side: Option<Node<'t>>| side.is_some_and(|side| constant(side) == Constant::Null);
                let test = match (is_null(left), is_null(right)) {
                    (false, true) => Expression::IsNull(self.boxed(left)),
                    (true, _) => Expression::IsNull(self.boxed(right)),
                    (false, false) => return self.compare(if distinct { "<>" } else { "=" }, left, right),
                };
                if distinct { Expression::Not(Box::new(test)) } else { test }
            }
            kind @ (AExprKind::AexprOpAny | AExprKind::AexprOpAll) => {
                self.quantified(operator, kind == AExprKind::AexprOpAll, left, right)
            }
            AExprKind::AexprIn => self.membership(operator == "<>", left, right),
            AExprKind::AexprBetween => self.between(left, right, false),
            AExprKind::AexprNotBetween => Expression::Not(Box::new(self.between(left, right, false))),
            AExprKind::AexprBetweenSym => self.between(left, right, true),
            AExprKind::AexprNotBetweenSym => Expression::Not(Box::new(self.between(left, right, true))),
            AExprKind::AexprNullif | AExprKind::Undefined => {
                Expression::Other(left.into_iter().chain(right).map(|node| self.expression(node)).collect())
            }
        }
    }

    fn compare(&mut self, operator: &str, left: Option<Node<'t>>, right: Option<Node<'t>>) -> Expression {
        Expression::Compare { operator: operator.into(), left: self.boxed(left), right: self.boxed(right) }
    }

    /// `operand BETWEEN low AND high`; SYMMETRIC where either end may be the lower one.
    fn between(&mut self, operand: Option<Node<'t>>, ends: Option<Node<'t>>, symmetric: bool) -> Expression {
        let ends: Vec<_> = ends.into_iter().flat_map(|list| list.children("items")).collect();
        let [low, high] = ends.as_slice() else { return Expression::Other(Vec::new()) };
        let mut within = |low: Node<'t>, high: Node<'t>| {
            Expression::And(vec![self.compare(">=", operand, Some(low)), self.compare("<=", operand, Some(high))])
        };
        let as_written = within(*low, *high);
        if symmetric { Expression::Or(vec![as_written, within(*high, *low)]) } else { as_written }
    }

    /// `operand = ANY (array)` and its kin. An array that is a sub-select is that sub-select.
    fn quantified(
        &mut self,
        operator: &str,
        all: bool,
        operand: Option<Node<'t>>,
        array: Option<Node<'t>>,
    ) -> Expression {
        let selected = array.filter(|array| {
            array.kind() == "SubLink" && array.choice::<SubLinkType>("sub_link_type") == SubLinkType::ArraySublink
        });
        match selected.and_then(|array| array.child("subselect")).filter(|select| select.kind() == "SelectStmt") {
            Some(select) => Expression::Within {
                operator: operator.into(),
                all,
                operand: self.boxed(operand),
                query: Box::new(self.query(select)),
            },
            None => Expression::Quantified {
                operator: operator.into(),
                all,
                operand: self.boxed(operand),
                array: self.boxed(array),
            },
        }
    }

    /// `operand IN (list)`: when the list is short or has more than constants, each element is a comparison of its own.
    fn membership(&mut self, negated: bool, left: Option<Node<'t>>, right: Option<Node<'t>>) -> Expression {
        let items = || right.into_iter().flat_map(|list| list.children("items"));
        let is_short = items().nth(LISTED_KEPT_MAX).is_none();
        let is_constant = |node: &Node<'t>| !is_short && matches!(node.kind(), "AConst" | "ParamRef");
        let operator = if negated { "<>" } else { "=" };
        if let (Some(only), None) = (items().next(), items().nth(1)) {
            return self.compare(operator, left, Some(only));
        }
        if items().all(|node| is_constant(&node)) {
            return Expression::Among { operand: self.boxed(left), negated };
        }
        let mut arms: Vec<_> =
            items().filter(|node| !is_constant(node)).map(|node| self.compare(operator, left, Some(node))).collect();
        if items().any(|node| is_constant(&node)) {
            arms.push(Expression::Among { operand: self.boxed(left), negated });
        }
        if negated { Expression::And(arms) } else { Expression::Or(arms) }
    }

    fn sub_select(&mut self, node: Node<'t>) -> Expression {
        let query = match node.child("subselect") {
            Some(select) if select.kind() == "SelectStmt" => Box::new(self.query(select)),
            _ => return Expression::Other(Vec::new()),
        };
        let kind = node.choice::<SubLinkType>("sub_link_type");
        match kind {
            SubLinkType::ExistsSublink => Expression::Exists(query),
            SubLinkType::ExprSublink => Expression::Scalar(query),
            SubLinkType::AnySublink | SubLinkType::AllSublink => Expression::Within {
                operator: node.words("oper_name").last().unwrap_or("=").into(),
                all: kind == SubLinkType::AllSublink,
                operand: self.boxed(node.child("testexpr")),
                query,
            },
            SubLinkType::ArraySublink
            | SubLinkType::RowcompareSublink
            | SubLinkType::MultiexprSublink
            | SubLinkType::CteSublink
            | SubLinkType::Undefined => {
                let operand = node.child("testexpr").map(|node| self.expression(node));
                Expression::Other(operand.into_iter().chain([Expression::Scalar(query)]).collect())
            }
        }
    }

    fn truth_test(&mut self, node: Node<'t>) -> Expression {
        let operand = self.boxed(node.child("arg"));
        let negated = |test| Expression::Not(Box::new(test));
        match node.choice::<BoolTestType>("booltesttype") {
            BoolTestType::IsTrue => Expression::Is(operand, Some(true)),
            BoolTestType::IsNotTrue => negated(Expression::Is(operand, Some(true))),
            BoolTestType::IsFalse => Expression::Is(operand, Some(false)),
            BoolTestType::IsNotFalse => negated(Expression::Is(operand, Some(false))),
            BoolTestType::IsUnknown => Expression::Is(operand, None),
            BoolTestType::IsNotUnknown => negated(Expression::Is(operand, None)),
            BoolTestType::Undefined => Expression::Other(vec![*operand]),
        }
    }

    fn case(&mut self, node: Node<'t>) -> Expression {
        let subject = node.child("arg");
        let arms = node.children("args").map(|when| {
            let condition = match subject {
                Some(subject) => self.compare("=", Some(subject), when.child("expr")),
                None => *self.boxed(when.child("expr")),
            };
            (condition, *self.boxed(when.child("result")))
        });
        let arms = arms.collect();
        Expression::Case { arms, otherwise: node.child("defresult").map(|node| Box::new(self.expression(node))) }
    }
}

/// The conjunction of conditions; none when there are none.
pub(super) fn all_of(mut conditions: Vec<Expression>) -> Option<Expression> {
    if conditions.len() > 1 { Some(Expression::And(conditions)) } else { conditions.pop() }
}

/// Whether nothing but the query's condition keeps the sources in an item of FROM apart.
fn is_crossed(item: Node<'_>) -> bool {
    let mut open = vec![item];
    while let Some(item) = open.pop().filter(|item| item.kind() == "JoinExpr") {
        let is_inner = item.choice::<JoinType>("jointype") == JoinType::JoinInner;
        let by_name = item.child("using_clause").is_some() || item.flag("is_natural");
        if by_name || !is_inner && item.child("quals").is_some() {
            return false;
        }
        open.extend(item.child("larg").into_iter().chain(item.child("rarg")).filter(|side| side.kind() == "JoinExpr"));
    }
    true
}

fn is_set_operation(select: Node<'_>) -> bool {
    let operation = select.choice::<SetOperation>("op");
    !matches!(operation, SetOperation::SetopNone | SetOperation::Undefined)
}

/// The value of a node when it is a constant, a sign before one, a cast of one, or whole-number arithmetic.
pub(in crate::engine) fn constant(node: Node<'_>) -> Constant {
    match node.kind() {
        "AConst" if node.flag("isnull") => Constant::Null,
        "AConst" => node.child("val").map_or(Constant::Unknown, constant),
        "Integer" => Constant::Integer(node.integer("ival")),
        "Boolean" => Constant::Boolean(node.flag("boolval")),
        // Whole numbers that do not fit four bytes arrive as text.
        "Float" => node.text("fval").parse().map_or_else(|_| text(node.text("fval")), Constant::Integer),
        "String" => text(node.text("sval")),
        "BitString" => text(node.text("bsval")),
        "TypeCast" if keeps_value(node) => node.child("arg").map_or(Constant::Unknown, constant),
        "AExpr" if node.choice::<AExprKind>("kind") == AExprKind::AexprOp => arithmetic(node),
        _ => Constant::Unknown,
    }
}

/// Whether a cast leaves a constant's text as it is. `varchar(4)` and `"char"` cut it short.
fn keeps_value(cast: Node<'_>) -> bool {
    const WHOLE: [&str; 8] = ["text", "varchar", "int2", "int4", "int8", "bool", "regclass", "interval"];
    let to = cast.child("type_name");
    to.is_some_and(|to| {
        to.child("typmods").is_none()
            && to.child("array_bounds").is_none()
            && to.words("names").last().is_some_and(|name| WHOLE.contains(&name))
    })
}

fn arithmetic(node: Node<'_>) -> Constant {
    let whole = |node: Node<'_>| match constant(node) {
        Constant::Integer(value) => Some(value),
        _ => None,
    };
    let right = node.child("rexpr").and_then(whole);
    let value = match (node.child("lexpr").map(whole), node.words("name").last()) {
        (None, Some("-")) => right.and_then(i64::checked_neg),
        (None, Some("+")) => right,
        (Some(left), Some("+")) => left.zip(right).and_then(|(left, right)| left.checked_add(right)),
        (Some(left), Some("-")) => left.zip(right).and_then(|(left, right)| left.checked_sub(right)),
        (Some(left), Some("*")) => left.zip(right).and_then(|(left, right)| left.checked_mul(right)),
        _ => None,
    };
    value.map_or(Constant::Unknown, Constant::Integer)
}

fn text(value: &str) -> Constant {
    if value.len() > TEXT_KEPT_MAX { Constant::Unknown } else { Constant::Text(value.into()) }
}
