//! What the value of an expression comes from, and what a condition asks of it.

use pg_query::protobuf::{AExprKind, BoolExprType, SubLinkType};

use super::{Form, Origin, Purpose, Source, Tracer};
use crate::engine::builtin;
use crate::engine::detector::{Likeness, scan};
use crate::engine::sql::constant;
use crate::engine::sql::fact::Constant;
use crate::engine::sql::tree::Node;

impl Tracer<'_, '_> {
    /// What a value comes from.
    pub(super) fn value(&mut self, node: Node<'_>) -> Origin {
        self.position = node.location().unwrap_or(self.position);
        match node.kind() {
            // Whoever made a view may have written a value into it; whoever wrote this statement knows what it says.
            "AConst" if self.views > 0 && is_telling(node) => Origin::of(Source::CatalogText, Form::Same),
            "" | "AConst" | "Integer" | "Float" | "Boolean" | "String" | "BitString" | "ParamRef" | "SetToDefault"
            | "SqlValueFunction" | "CurrentOfExpr" | "GroupingFunc" | "MergeSupportFunc" | "TypeName" => {
                Origin::default()
            }
            "ColumnRef" => self.column(node),
            "TypeCast" => self.cast(node),
            "CollateClause" | "NamedArgExpr" => self.part(node, "arg"),
            "AExpr" => self.operation(node),
            "NullTest" => match self.part(node, "arg") {
                // Whether there is a value is not what it is.
                origin if origin.is_same() => Origin::default(),
                origin => origin.computed(),
            },
            "SubLink" => self.sub_select(node),
            "FuncCall" => self.call(node),
            "CaseExpr" => self.case(node),
            "CoalesceExpr" => self.one_of(node.children("args")).at_least(Form::Picked),
            "AArrayExpr" => self.all_of(node.children("elements")).at_least(Form::Readable),
            "RowExpr" => self.all_of(node.children("args")).at_least(Form::Readable),
            "AIndirection" => self.within(node),
            "SelectStmt" => self.query(node).all.at_least(Form::Readable),
            "XmlExpr" | "JsonParseExpr" => {
                let origin = self.all_of(node.nodes());
                if origin.sources().any(|(_, form)| form > Form::Picked) {
                    self.used(Purpose::Risk, origin.clone());
                }
                // Its texts stand side by side.
                if node.children("args").count() > 1 && origin.sources().any(|(source, _)| self.is_looked_into(source))
                {
                    return origin.blurred();
                }
                origin.at_least(Form::Readable)
            }
            "XmlSerialize"
            | "JsonObjectConstructor"
            | "JsonArrayConstructor"
            | "JsonArrayQueryConstructor"
            | "JsonScalarExpr"
            | "JsonSerializeExpr"
            | "JsonValueExpr"
            | "JsonKeyValue"
            | "JsonOutput"
            | "JsonObjectAgg"
            | "JsonArrayAgg"
            | "JsonAggConstructor"
            | "ResTarget"
            | "List" => self.all_of(node.nodes()).at_least(Form::Readable),
            // Conditions as values, and whatever else the grammar has: computed from all of it.
            _ => self.all_of(node.nodes()).computed(),
        }
    }

    fn part(&mut self, node: Node<'_>, field: &'static str) -> Origin {
        node.child(field).map(|part| self.value(part)).unwrap_or_default()
    }

    pub(super) fn all_of<'t>(&mut self, nodes: impl Iterator<Item = Node<'t>>) -> Origin {
        nodes.fold(Origin::default(), |all, node| all.and(&self.value(node)))
    }

    fn one_of<'t>(&mut self, nodes: impl Iterator<Item = Node<'t>>) -> Origin {
        nodes.map(|node| self.value(node)).reduce(|one, other| one.or(&other)).unwrap_or_default()
    }

    fn cast(&mut self, node: Node<'_>) -> Origin {
        let origin = self.part(node, "arg");
        let Some(to) = node.child("type_name") else { return origin.computed() };
        let is_whole = to.child("typmods").is_none() && to.child("array_bounds").is_none();
        let name = to.words("names").last().unwrap_or_default();
        if self.facts.casts_by_code() {
            return origin.computed().and(&Origin::unknown());
        }
        if origin.fields().is_some() && matches!(name, "json" | "jsonb") {
            return origin;
        }
        match name {
            "text" | "varchar" | "bpchar" | "citext" | "name" if is_whole => self.as_text(origin),
            // One kind of document in the other's place.
            "json" | "jsonb" if is_whole && origin.sources().all(|(source, form)| self.is_document(source, form)) => {
                origin.at_least(Form::Picked)
            }
            "json" | "jsonb" | "xml" if is_whole && origin.sources().all(|(_, form)| form <= Form::Picked) => {
                origin.at_least(Form::Readable)
            }
            _ => {
                // A column's own value fits the other type or does not; what was made of it may be made to fit.
                if origin.sources().any(|(_, form)| form > Form::Picked) {
                    self.used(Purpose::Risk, origin.clone());
                }
                if is_whole && PLAIN.contains(&name) { origin.computed() } else { self.changed(origin) }
            }
        }
    }

    fn is_document(&self, source: &Source, form: Form) -> bool {
        form <= Form::Picked && matches!(source, Source::Column { .. }) && !self.is_text(source)
    }

    /// A value as text: the same where it was text before.
    fn as_text(&self, origin: Origin) -> Origin {
        let is_text = |source: &Source| match source {
            Source::Column { relation, attribute, key } => key.is_some() || self.is_text_column(*relation, *attribute),
            Source::Temporary | Source::CatalogText | Source::CatalogTree | Source::Secret | Source::Unknown => true,
        };
        let stays = origin.sources().all(|(source, _)| is_text(source));
        if stays { origin } else { origin.at_least(Form::Readable) }
    }

    pub(super) fn is_text_column(&self, relation: u32, attribute: i16) -> bool {
        self.facts.catalog.column(relation, attribute).is_some_and(|column| TEXT.contains(&column.kind))
    }

    fn operation(&mut self, node: Node<'_>) -> Origin {
        if node.choice::<AExprKind>("kind") == AExprKind::AexprOp && node.words("name").last() == Some("||") {
            return self.joined(node);
        }
        let (left, right) = (self.part(node, "lexpr"), self.part(node, "rexpr"));
        match (node.choice::<AExprKind>("kind"), node.words("name").last().unwrap_or_default()) {
            (AExprKind::AexprOp, operator @ ("->" | "->>")) => match node.child("rexpr").map(constant) {
                Some(Constant::Text(key)) if right.is_empty() => left.under(&key, operator == "->>"),
                // An element of an array is under the same name as the array.
                Some(Constant::Integer(_)) if right.is_empty() => left.at_least(Form::Picked),
                _ => left.and(&right).computed(),
            },
            (AExprKind::AexprOp, operator @ ("#>" | "#>>")) => match node.child("rexpr").map(constant) {
                Some(Constant::Text(path)) if right.is_empty() => {
                    let names = path.trim_matches(['{', '}']).split(',').map(|name| name.trim_matches(['"', ' ']));
                    names
                        .filter(|name| name.parse::<i64>().is_err())
                        .fold(left, |left, name| left.under(name, operator == "#>>"))
                }
                _ => left.and(&right).computed(),
            },
            // Whether there is a value tells whether they are equal.
            (AExprKind::AexprNullif, _) => {
                if let Some((one, other)) = node.child("lexpr").zip(node.child("rexpr")) {
                    self.equality(one, other);
                }
                left.at_least(Form::Picked).and(&right.computed())
            }
            (AExprKind::AexprOp, operator)
                if !CANNOT_FAIL.contains(&operator) && !left.clone().and(&right).is_empty() =>
            {
                let both = left.and(&right).computed();
                self.used(Purpose::Risk, both.clone());
                both
            }
            // A pattern may be none.
            (AExprKind::AexprLike | AExprKind::AexprIlike | AExprKind::AexprSimilar, _) if !right.is_empty() => {
                let both = left.and(&right).computed();
                self.used(Purpose::Risk, both.clone());
                both
            }
            _ => left.and(&right).computed(),
        }
    }

    fn case(&mut self, node: Node<'_>) -> Origin {
        let mut tested = self.part(node, "arg");
        let compared = node.child("arg").is_some();
        let mut result: Option<Origin> = None;
        for when in node.children("args") {
            for condition in when.children("expr") {
                let origin = if compared { self.value(condition) } else { self.test(condition) };
                tested = tested.and(&origin);
            }
            let one = self.part(when, "result");
            result = Some(result.map_or_else(|| one.clone(), |result| result.or(&one)));
        }
        if compared {
            self.used(Purpose::Test, tested.clone());
        }
        let otherwise = self.part(node, "defresult");
        let result = result.map_or_else(|| otherwise.clone(), |result| result.or(&otherwise));
        result.at_least(Form::Picked).and(&tested.computed())
    }

    /// Fields, elements and slices of a value.
    fn within(&mut self, node: Node<'_>) -> Origin {
        let mut origin = self.part(node, "arg");
        for step in node.children("indirection") {
            origin = match step.kind() {
                "String" => self.field(&origin, step.text("sval")),
                "AIndices" => match step.child("uidx").map(constant) {
                    Some(Constant::Text(key)) => origin.under(&key, false),
                    _ => {
                        let index = self.part(step, "lidx").and(&self.part(step, "uidx"));
                        origin.at_least(Form::Picked).and(&index.computed())
                    }
                },
                _ => origin.at_least(Form::Readable),
            };
        }
        origin
    }

    /// `(value).name`: a field; or, where there is none of that name, a call of a function with the value.
    fn field(&self, origin: &Origin, name: &str) -> Origin {
        let catalog = self.facts.catalog;
        let is_function = || {
            let is_built_in = builtin::class(name).is_some() || catalog.has_built_in(name);
            is_built_in || catalog.functions_named(name).next().is_some()
        };
        let has_field = match origin.fields() {
            Some(fields) => fields.iter().any(|field| &*field.name == name),
            None => origin.sources().all(|(source, _)| self.has_field(source, name)) || !is_function(),
        };
        if has_field { origin.under(name, true) } else { origin.clone().computed().and(&Origin::unknown()) }
    }

    /// Whether a column's values are rows with such a field.
    fn has_field(&self, source: &Source, name: &str) -> bool {
        let catalog = self.facts.catalog;
        let Source::Column { relation, attribute, key: None } = source else { return false };
        let kind = catalog.column(*relation, *attribute).and_then(|column| catalog.type_of(column.kind));
        kind.into_iter().flat_map(|kind| [kind.oid, kind.element, kind.base]).any(|oid| {
            let kind = catalog.type_of(oid);
            kind.into_iter()
                .flat_map(|kind| catalog.relations_named(&kind.name).map(move |row| (kind, row)))
                .any(|(kind, row)| row.schema == kind.schema && row.columns.iter().any(|column| column.name == name))
        })
    }

    fn sub_select(&mut self, node: Node<'_>) -> Origin {
        let tested = self.part(node, "testexpr").computed();
        let Some(select) = node.child("subselect") else { return Origin::unknown() };
        let rows = self.query(select);
        let chosen = rows.chosen.clone().computed();
        match node.choice::<SubLinkType>("sub_link_type") {
            SubLinkType::ExistsSublink => chosen,
            SubLinkType::ExprSublink => rows.all.at_least(Form::Picked).and(&chosen),
            SubLinkType::ArraySublink | SubLinkType::MultiexprSublink => rows.all.at_least(Form::Readable).and(&chosen),
            SubLinkType::AnySublink
            | SubLinkType::AllSublink
            | SubLinkType::RowcompareSublink
            | SubLinkType::CteSublink
            | SubLinkType::Undefined => rows.all.and(&chosen).and(&tested).computed(),
        }
    }

    /// A condition: notes what it asks, and says what its outcome depends on.
    pub(super) fn test(&mut self, node: Node<'_>) -> Origin {
        self.position = node.location().unwrap_or(self.position);
        match node.kind() {
            "BoolExpr" if node.choice::<BoolExprType>("boolop") != BoolExprType::Undefined => {
                node.children("args").fold(Origin::default(), |all, part| all.and(&self.test(part)))
            }
            "BooleanTest" => node.child("arg").map(|part| self.test(part)).unwrap_or_default(),
            "NullTest" => self.tested_value(node),
            "AExpr" => self.comparison(node),
            "SubLink" => self.tested_sub_select(node),
            _ => self.tested_value(node),
        }
    }

    /// A value that decides.
    fn tested_value(&mut self, node: Node<'_>) -> Origin {
        let origin = self.value(node);
        self.used(Purpose::Test, origin.clone());
        origin
    }

    /// An expression whose value decides how much is done.
    pub(super) fn decides(&mut self, node: Node<'_>) {
        self.tested_value(node);
    }

    fn comparison(&mut self, node: Node<'_>) -> Origin {
        let (Some(left), Some(right)) = (node.child("lexpr"), node.child("rexpr")) else {
            return self.tested_value(node);
        };
        let operator = node.words("name").last().unwrap_or_default();
        match node.choice::<AExprKind>("kind") {
            AExprKind::AexprOp | AExprKind::AexprDistinct | AExprKind::AexprNotDistinct
                if matches!(operator, "=" | "<>") =>
            {
                self.equality(left, right)
            }
            AExprKind::AexprIn => {
                let listed: Vec<_> = right.children("items").collect();
                if listed.iter().all(|item| is_written_out(*item)) {
                    let origin = self.recognised(left);
                    self.looked_up(origin, listed.len())
                } else {
                    listed.into_iter().fold(Origin::default(), |all, item| all.and(&self.equality(left, item)))
                }
            }
            AExprKind::AexprOpAny if operator == "=" && listed(right).is_some() => {
                let origin = self.recognised(left);
                self.looked_up(origin, listed(right).unwrap_or_default())
            }
            AExprKind::AexprLike | AExprKind::AexprIlike if is_word_search(right) => {
                let origin = self.value(left);
                self.used(Purpose::Word, origin.clone());
                origin
            }
            AExprKind::AexprOp if operator == "@@" && is_text_search(right) => {
                let origin = self.value(left);
                self.used(Purpose::Word, origin.clone());
                origin
            }
            AExprKind::AexprOp if matches!(operator, "~" | "~*") && is_pattern_of_word(right) => {
                let origin = self.value(left);
                self.used(Purpose::Word, origin.clone());
                origin
            }
            _ => self.tested_value(node),
        }
    }

    fn equality(&mut self, left: Node<'_>, right: Node<'_>) -> Origin {
        if is_written_out(right) {
            let origin = self.recognised(left);
            return self.looked_up(origin, 1);
        }
        if is_written_out(left) {
            let origin = self.recognised(right);
            return self.looked_up(origin, 1);
        }
        let (left, right) = (self.value(left), self.value(right));
        self.matched(&left, &right)
    }

    fn matched(&mut self, left: &Origin, right: &Origin) -> Origin {
        if left.is_same() && right.is_same() {
            self.used(Purpose::Match(right.clone()), left.clone());
            self.used(Purpose::Match(left.clone()), right.clone());
        } else {
            self.used(Purpose::Test, left.clone().and(right));
        }
        left.clone().and(right)
    }

    fn looked_up(&mut self, origin: Origin, values: usize) -> Origin {
        let what = if origin.is_same() { Purpose::Lookup(values) } else { Purpose::Test };
        self.used(what, origin.clone());
        origin
    }

    /// The value of an expression, where letters in another case and blanks at the ends are no change: to know that
    /// they are equal one must know all the rest.
    fn recognised(&mut self, node: Node<'_>) -> Origin {
        const FOLDING: [&str; 5] = ["lower", "upper", "trim", "btrim", "casefold"];
        let mut arguments = node.children("args");
        match (arguments.next(), arguments.next()) {
            (Some(argument), None)
                if node.kind() == "FuncCall"
                    && node.words("funcname").last().is_some_and(|name| FOLDING.contains(&name)) =>
            {
                self.value(argument)
            }
            _ => self.value(node),
        }
    }

    fn tested_sub_select(&mut self, node: Node<'_>) -> Origin {
        let operator = node.words("oper_name").last().unwrap_or("=");
        match (node.choice::<SubLinkType>("sub_link_type"), node.child("testexpr"), node.child("subselect")) {
            (SubLinkType::AnySublink, Some(tested), Some(select)) if operator == "=" && tested.kind() != "RowExpr" => {
                let left = self.value(tested);
                let rows = self.query(select);
                self.matched(&left, &rows.all).and(&rows.chosen)
            }
            // Its own conditions were noted when it was read.
            (SubLinkType::ExistsSublink, _, Some(select)) => self.query(select).chosen,
            _ => self.tested_value(node),
        }
    }
}

/// Whether something that looks like a value of somebody's is written here.
fn is_telling(constant: Node<'_>) -> bool {
    let Constant::Text(text) = self::constant(constant) else { return false };
    let mut found = Vec::new();
    scan(&text, Likeness::Likely, &mut found);
    !found.is_empty()
}

/// Operators that give a value for any operands of their types. Arithmetic overflows, and divides by zero.
const CANNOT_FAIL: [&str; 24] = [
    "=", "<>", "<", "<=", ">", ">=", "||", "~~", "~~*", "!~~", "!~~*", "->", "->>", "#>", "#>>", "@>", "<@", "?", "?|",
    "?&", "&&", "<<", ">>", "@@",
];

/// Types of values that say nothing of the text they were made of but themselves.
const PLAIN: [&str; 14] = [
    "bool",
    "date",
    "float4",
    "float8",
    "int2",
    "int4",
    "int8",
    "interval",
    "numeric",
    "time",
    "timestamp",
    "timestamptz",
    "timetz",
    "uuid",
];

/// text, varchar, bpchar, name
const TEXT: [u32; 4] = [25, 1043, 1042, 19];

/// How many values an array has that is written out.
fn listed(node: Node<'_>) -> Option<usize> {
    match node.kind() {
        "TypeCast" => node.child("arg").and_then(listed),
        "AArrayExpr" if node.children("elements").all(is_written_out) => Some(node.children("elements").count()),
        _ => None,
    }
}

/// Whether an expression is a value that whoever wrote the statement knows: a constant, a parameter, a cast of one.
fn is_written_out(node: Node<'_>) -> bool {
    match node.kind() {
        "AConst" | "ParamRef" => true,
        "TypeCast" | "CollateClause" => node.child("arg").is_some_and(is_written_out),
        "AExpr" => node.child("lexpr").is_none() && node.child("rexpr").is_some_and(is_written_out),
        "FuncCall" => {
            const FOLDING: [&str; 2] = ["lower", "upper"];
            let mut arguments = node.children("args");
            let argument = arguments.next().filter(|_| arguments.next().is_none());
            node.words("funcname").last().is_some_and(|name| FOLDING.contains(&name))
                && argument.is_some_and(is_written_out)
        }
        _ => false,
    }
}

/// Shortest word that one may look for. Shorter ones can be put together to what is there.
const WORD_MIN: usize = 3;

/// Whether a pattern is `%word%`, or a text that begins or ends with the word: letters and blanks, nothing that is
/// particular to one value.
fn is_word_search(pattern: Node<'_>) -> bool {
    let Constant::Text(pattern) = constant(pattern) else { return false };
    let word = pattern.strip_prefix('%').unwrap_or(&pattern);
    is_word(word.strip_suffix('%').unwrap_or(word))
}

/// Whether a regular expression is such a word.
fn is_pattern_of_word(pattern: Node<'_>) -> bool {
    matches!(constant(pattern), Constant::Text(word) if is_word(&word))
}

/// Whether a query of a full text search is such words too, none of which stands for others by how it begins.
fn is_text_search(query: Node<'_>) -> bool {
    const QUERIES: [&str; 4] = ["phraseto_tsquery", "plainto_tsquery", "to_tsquery", "websearch_to_tsquery"];
    let words = |node: Node<'_>| matches!(constant(node), Constant::Text(text) if is_word(&text));
    query.kind() == "FuncCall"
        && query.words("funcname").last().is_some_and(|name| QUERIES.contains(&name))
        && query.children("args").last().is_some_and(words)
}

fn is_word(word: &str) -> bool {
    word.chars().count() >= WORD_MIN && word.chars().all(|letter| letter.is_alphabetic() || letter == ' ')
}
