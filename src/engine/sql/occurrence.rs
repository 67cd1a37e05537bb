//! What occurs anywhere in a command: relations, calls in every notation, operators, types.

use std::collections::HashSet;

use pg_query::protobuf::AExprKind;

use super::fact::{Call, Command, Constant, Mention, Name, Notation, Strange, Use};
use super::kind;
use super::query::constant;
use super::tree::Node;
use crate::domain::Touch;

/// Arguments of a call whose values are kept. No function that a rule looks into takes more.
const ARGUMENTS_KEPT_MAX: usize = 4;

/// Adds everything that occurs in `root` to the command.
pub(super) fn collect(root: Node<'_>, command: &mut Command) {
    let mut seen = Seen::default();
    let mut withs = Withs::default();
    let mut position = command.position;
    for node in root.all() {
        withs.enter(node);
        if matches!(node.kind(), "InsertStmt" | "UpdateStmt" | "MergeStmt") {
            command.writers.push(node.place());
        }
        if matches!(node.kind(), "ColumnRef" | "FuncCall" | "RangeVar" | "AExpr" | "TypeCast" | "SubLink") {
            position = node.location().unwrap_or(position);
        }
        match node.kind() {
            "FuncCall" => command.calls.push(call(node, position)),
            "ColumnRef" => seen.column(node, position, command),
            "AIndirection" => {
                // The fields after the parentheses; each calls a function when the value before has no such field.
                for field in node.children("indirection").filter(|field| field.kind() == "String") {
                    seen.attribute(None, field.text("sval"), position, command);
                }
            }
            "RangeTableSample" => command.calls.push(Call {
                name: Name::of_words(node.words("method")),
                notation: Notation::Sample,
                arguments: Vec::new(),
                position: node.location().unwrap_or(position),
            }),
            "AExpr" => seen.operators(node, position, command),
            "SubLink" => seen.operator(node, "oper_name", position, command),
            "SortBy" => seen.operator(node, "use_op", position, command),
            "TypeName" if !node.flag("pct_type") => seen.kind_of_value(node, position, command),
            "CommonTableExpr" if is_endless(node) => command.endless = command.endless.or_else(|| node.location()),
            "RangeVar" => command.relations.extend(relation(node, &withs)),
            "" => {
                let parent = node.parent().map_or("", |parent| parent.kind());
                if !kind::may_be_empty(parent, node.field()) {
                    command.strange.push(Strange { node: parent, position });
                }
            }
            statement if statement.ends_with("Stmt") => {}
            part if kind::is_part(part) => {}
            unknown => command.strange.push(Strange { node: unknown, position }),
        }
    }
}

fn call(node: Node<'_>, position: usize) -> Call {
    let arguments: Vec<_> = node.children("args").chain(node.children("agg_order")).collect();
    // Named arguments come in any order, and VARIADIC hides how many there are.
    let is_plain = arguments.iter().all(|argument| argument.kind() != "NamedArgExpr") && !node.flag("func_variadic");
    let value = |(index, argument): (usize, &Node<'_>)| {
        if is_plain && index < ARGUMENTS_KEPT_MAX { constant(*argument) } else { Constant::Unknown }
    };
    Call {
        name: Name::of_words(node.words("funcname")),
        notation: Notation::Function,
        arguments: arguments.iter().enumerate().map(value).collect(),
        position,
    }
}

/// What was already noted; a long list repeats the same few names.
#[derive(Default)]
struct Seen<'t> {
    attributes: HashSet<(Option<&'t str>, &'t str)>,
    operators: HashSet<(&'t str, &'t str)>,
    types: HashSet<(&'t str, &'t str)>,
}

impl<'t> Seen<'t> {
    /// `a.b` is the column b of a, or else a call of b with a row of a.
    fn column(&mut self, node: Node<'t>, position: usize, command: &mut Command) {
        let fields: Vec<_> = node.children("fields").collect();
        let [.., of, field] = fields.as_slice() else { return };
        if field.kind() == "String" {
            self.attribute(Some(of.text("sval")), field.text("sval"), position, command);
        }
    }

    fn attribute(&mut self, of: Option<&'t str>, name: &'t str, position: usize, command: &mut Command) {
        if self.attributes.insert((of, name)) {
            command.calls.push(Call {
                name: Name::bare(name),
                notation: Notation::Attribute { of: of.map(Into::into) },
                arguments: vec![Constant::Unknown],
                position,
            });
        }
    }

    fn operators(&mut self, node: Node<'t>, position: usize, command: &mut Command) {
        let kind = node.choice::<AExprKind>("kind");
        let is_between = matches!(
            kind,
            AExprKind::AexprBetween
                | AExprKind::AexprNotBetween
                | AExprKind::AexprBetweenSym
                | AExprKind::AexprNotBetweenSym
        );
        if !is_between {
            return self.operator(node, "name", position, command);
        }
        // The name is a keyword here; these are the operators it stands for.
        for operator in ["<=", ">=", "<", ">"] {
            self.note_operator("", operator, position, command);
        }
    }

    fn operator(&mut self, node: Node<'t>, field: &'static str, position: usize, command: &mut Command) {
        let words: Vec<&'t str> = node.words(field).collect();
        match words.as_slice() {
            [] => {}
            [name] => self.note_operator("", name, position, command),
            [.., schema, name] => self.note_operator(schema, name, position, command),
        }
    }

    fn note_operator(&mut self, schema: &'t str, name: &'t str, position: usize, command: &mut Command) {
        if self.operators.insert((schema, name)) {
            command.operators.push(Mention { name: Name::new(schema, name), position });
        }
    }

    fn kind_of_value(&mut self, node: Node<'t>, position: usize, command: &mut Command) {
        let words: Vec<&'t str> = node.words("names").collect();
        let (schema, name) = match words.as_slice() {
            [] => return,
            [name] => ("", *name),
            [.., schema, name] => (*schema, *name),
        };
        if self.types.insert((schema, name)) {
            let position = node.location().unwrap_or(position);
            command.types.push(Mention { name: Name::new(schema, name), position });
        }
    }
}

/// The relation a `RangeVar` stands for, unless it is the name of a common table expression or of a row lock.
fn relation(node: Node<'_>, withs: &Withs<'_>) -> Option<Use> {
    let parent = node.parent()?;
    let name = Name::new(node.text("schemaname"), node.text("relname"));
    let touch = match (parent.kind(), node.field()) {
        // FOR UPDATE OF names what FROM calls it.
        ("LockingClause", _) => return None,
        ("InsertStmt" | "UpdateStmt" | "DeleteStmt" | "MergeStmt", "relation") => Touch::Write,
        ("TruncateStmt", _) => Touch::Write,
        ("CopyStmt", _) if parent.flag("is_from") => Touch::Write,
        ("CopyStmt", _) | ("TableLikeClause", _) | ("LockStmt", _) => Touch::Read,
        (_, "from_clause" | "using_clause" | "larg" | "rarg" | "source_relation") | ("RangeTableSample", _) => {
            if name.schema.is_none() && withs.name(node, &name.name) {
                return None;
            }
            Touch::Read
        }
        _ => Touch::Define,
    };
    let alias = node.child("alias").map(|alias| alias.text("aliasname")).filter(|alias| !alias.is_empty());
    Some(Use { name, alias: alias.map(Into::into), touch, position: node.location().unwrap_or(0) })
}

/// Whether a recursive query has nothing to end it: no condition and no join where it repeats, no LIMIT on what uses it.
fn is_endless(common: Node<'_>) -> bool {
    let with = common.parent().filter(|with| with.flag("recursive"));
    let limited = with.and_then(Node::parent).is_none_or(|user| user.child("limit_count").is_some());
    let repeated = common.child("ctequery").and_then(|query| query.child("rarg"));
    let Some(repeated) = repeated.filter(|repeated| {
        !limited && repeated.child("where_clause").is_none() && repeated.child("limit_count").is_none()
    }) else {
        return false;
    };
    let mut from = repeated.children("from_clause");
    let only = from.next().filter(|_| from.next().is_none());
    only.is_some_and(|item| item.kind() == "RangeVar" && item.text("relname") == common.text("ctename"))
}

/// The WITH clauses in whose statements the walk is, innermost last.
#[derive(Default)]
struct Withs<'t> {
    open: Vec<(Node<'t>, Node<'t>)>,
}

impl<'t> Withs<'t> {
    fn enter(&mut self, node: Node<'t>) {
        while self.open.last().is_some_and(|(statement, _)| !statement.contains(node)) {
            self.open.pop();
        }
        if matches!(node.kind(), "SelectStmt" | "InsertStmt" | "UpdateStmt" | "DeleteStmt" | "MergeStmt") {
            self.open.extend(node.child("with_clause").map(|with| (node, with)));
        }
    }

    /// Whether a bare name in FROM is that of a common table expression in whose scope it stands.
    fn name(&self, node: Node<'_>, name: &str) -> bool {
        self.open.iter().any(|(_, with)| {
            let inside = with.contains(node);
            // Inside the WITH itself, only what stands before is visible, unless it is recursive.
            with.children("ctes")
                .take_while(|common| !inside || with.flag("recursive") || !common.contains(node))
                .any(|common| common.text("ctename") == name)
        })
    }
}
