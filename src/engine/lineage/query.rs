//! SELECT, VALUES, set operations and WITH.

use pg_query::protobuf::SetOperation;

use super::{Common, Frame, Named, Origin, Purpose, Rows, Tracer};
use crate::engine::sql::tree::Node;

/// Times a recursive query is followed round. Each round can only add sources, and few have more than two arms.
const ROUNDS_MAX: usize = 8;

impl Tracer<'_, '_> {
    /// The rows of a `SelectStmt`.
    pub(super) fn query(&mut self, select: Node<'_>) -> Rows {
        let depth = self.commons.len();
        self.with(select.child("with_clause"));
        let rows = match select.choice::<SetOperation>("op") {
            SetOperation::SetopNone | SetOperation::Undefined => self.simple(select),
            SetOperation::SetopUnion | SetOperation::SetopIntersect | SetOperation::SetopExcept => self.arms(select),
        };
        self.commons.truncate(depth);
        rows
    }

    /// Reads a WITH clause. Whoever calls takes its expressions away again.
    pub(super) fn with(&mut self, with: Option<Node<'_>>) {
        let Some(with) = with else { return };
        for common in with.children("ctes") {
            let rows = if with.flag("recursive") { self.recursive(common) } else { self.common(common) };
            self.commons.push(Common { name: common.text("ctename").into(), rows });
        }
    }

    fn common(&mut self, common: Node<'_>) -> Rows {
        let rows = match common.child("ctequery") {
            Some(query) if query.kind() == "SelectStmt" => self.query(query),
            Some(change) => self.modify(change),
            None => Rows::default(),
        };
        let names: Vec<&str> = common.words("aliascolnames").collect();
        rows.named(&names)
    }

    /// A common table expression that may name itself: first with nothing in it, then with what that gave, until it
    /// stays the same.
    fn recursive(&mut self, common: Node<'_>) -> Rows {
        let mut rows = Rows::default();
        for _ in 0..ROUNDS_MAX {
            self.commons.push(Common { name: common.text("ctename").into(), rows: rows.clone() });
            let uses = self.uses.len();
            let next = self.common(common);
            self.commons.pop();
            let settled = next.all == rows.all && next.columns == rows.columns;
            rows = next;
            if settled {
                return rows;
            }
            // Told again by the next round, with more known.
            self.uses.truncate(uses);
        }
        Rows { columns: None, all: rows.all.and(&Origin::unknown()), chosen: rows.chosen }
    }

    fn arms(&mut self, select: Node<'_>) -> Rows {
        self.frames.push(Frame::default());
        let [left, right] =
            ["larg", "rarg"].map(|side| select.child(side).map(|arm| self.query(arm)).unwrap_or_default());
        // What stands on the right goes by the names of the left.
        let (left_all, right_all) = (left.all.clone(), right.all.clone().renamed());
        let columns = match (left.columns, right.columns) {
            (Some(left), Some(right)) if left.len() == right.len() => {
                let both = left.into_iter().zip(right);
                let both = both.map(|(left, right)| Named { name: left.name, origin: left.origin.or(&right.origin) });
                Some(both.collect())
            }
            // There are as many on either side; which is which is not known on one.
            (Some(columns), _) => Some(with_any(columns, &right_all)),
            (None, Some(columns)) => Some(with_any(columns, &left_all)),
            (None, None) => None,
        };
        let mut rows = Rows { columns, all: left_all.or(&right_all), chosen: left.chosen.and(&right.chosen) };
        if !select.flag("all") {
            self.distinguished(&rows);
        }
        self.ordered(select, &mut rows);
        self.frames.pop();
        rows
    }

    fn simple(&mut self, select: Node<'_>) -> Rows {
        if select.child("values_lists").is_some() {
            return self.values(select);
        }
        self.frames.push(Frame::default());
        for item in select.children("from_clause") {
            self.add_item(item);
        }
        let mut chosen = Origin::default();
        for condition in select.children("where_clause") {
            chosen = chosen.and(&self.test(condition));
        }
        for window in select.children("window_clause") {
            let keys = self.window(window);
            if let Some(frame) = self.frames.last_mut() {
                frame.windows.push(Named::new(window.text("name"), keys));
            }
        }
        let mut rows = self.targets(select.children("target_list"));
        for key in select.children("group_clause") {
            self.group_key(key, &rows);
        }
        for condition in select.children("having_clause") {
            chosen = chosen.and(&self.test(condition));
        }
        let distinct: Vec<_> = select.places("distinct_clause").collect();
        if distinct.iter().any(|on| on.kind().is_empty()) {
            self.distinguished(&rows);
        }
        for on in distinct.into_iter().filter(|on| !on.kind().is_empty()) {
            self.group_key(on, &rows);
        }
        rows.chosen = chosen;
        self.ordered(select, &mut rows);
        self.frames.pop();
        rows
    }

    fn values(&mut self, select: Node<'_>) -> Rows {
        self.frames.push(Frame::default());
        let mut columns: Option<Vec<Named>> = None;
        for list in select.children("values_lists") {
            let row: Vec<Origin> = list.children("items").map(|item| self.value(item)).collect();
            match &mut columns {
                None => {
                    let named = row.into_iter().enumerate();
                    columns = Some(
                        named.map(|(index, origin)| Named::new(&format!("column{}", index + 1), origin)).collect(),
                    );
                }
                Some(columns) => columns.iter_mut().zip(row).for_each(|(column, origin)| {
                    column.origin = std::mem::take(&mut column.origin).or(&origin);
                }),
            }
        }
        let mut rows = Rows::of(columns.unwrap_or_default());
        self.ordered(select, &mut rows);
        self.frames.pop();
        rows
    }

    /// ORDER BY, LIMIT and OFFSET.
    fn ordered(&mut self, select: Node<'_>, rows: &mut Rows) {
        for key in select.children("sort_clause").filter_map(|sort| sort.child("node")) {
            self.group_key(key, rows);
        }
        for field in ["limit_count", "limit_offset"] {
            for count in select.children(field) {
                let origin = self.value(count);
                rows.chosen = std::mem::take(&mut rows.chosen).and(&origin);
                self.used(Purpose::Test, origin);
            }
        }
    }

    /// The rows that a list of targets makes: of a SELECT, or of RETURNING.
    pub(super) fn targets<'t>(&mut self, targets: impl Iterator<Item = Node<'t>>) -> Rows {
        let mut columns = Some(Vec::new());
        let mut all = Origin::default();
        for target in targets {
            let Some(value) = target.child("val") else { continue };
            match self.star(value) {
                Some(star) => {
                    all = all.and(&star.all);
                    columns = columns.zip(star.columns).map(|(mut columns, more)| {
                        columns.extend(more);
                        columns
                    });
                }
                None => {
                    let origin = self.value(value);
                    all = all.and(&origin);
                    let name = match target.text("name") {
                        "" => figured(value),
                        name => name,
                    };
                    columns
                        .iter_mut()
                        .for_each(|columns: &mut Vec<Named>| columns.push(Named::new(name, origin.clone())));
                }
            }
        }
        Rows { columns, all, chosen: Origin::default() }
    }

    /// Rows that are told apart by all their columns: one that is not a column's own value tells whether it equals
    /// another.
    fn distinguished(&mut self, rows: &Rows) {
        match &rows.columns {
            Some(columns) => columns.iter().for_each(|column| self.key(column.origin.clone())),
            None => self.key(rows.all.clone()),
        }
    }

    /// A key of GROUP BY, ORDER BY or DISTINCT ON: an expression, or a column of the result by number or name.
    fn group_key(&mut self, key: Node<'_>, rows: &Rows) {
        if key.kind() == "GroupingSet" {
            return key.children("content").for_each(|key| self.group_key(key, rows));
        }
        let columns = rows.columns.as_deref().unwrap_or_default();
        let number = key.child("val").filter(|value| key.kind() == "AConst" && value.kind() == "Integer");
        let name = (key.kind() == "ColumnRef").then(|| key.words("fields").collect::<Vec<_>>());
        let found = match (number, name.as_deref()) {
            (Some(number), _) => {
                let at = usize::try_from(number.integer("ival")).unwrap_or(0).wrapping_sub(1);
                Some(columns.get(at).map_or_else(|| rows.all.clone(), |column| column.origin.clone()))
            }
            (None, Some([name])) => {
                columns.iter().find(|column| *column.name == **name).map(|column| column.origin.clone())
            }
            (None, _) => None,
        };
        // Where a name means a column of FROM as well, it is that of one or of the other.
        let origin = match found {
            Some(found) if key.kind() == "ColumnRef" && self.is_column(key) => found.and(&self.value(key)),
            Some(found) => found,
            None => self.value(key),
        };
        self.key(origin);
    }

    /// Rows are grouped or ordered by this. By a column's own values that shows nothing but which rows belong
    /// together; by anything that can be compared with other values it shows what they are.
    pub(super) fn key(&mut self, origin: Origin) {
        if !origin.is_same() {
            self.used(Purpose::Test, origin);
        }
    }

    /// What a window is partitioned and ordered by.
    pub(super) fn window(&mut self, window: Node<'_>) -> Origin {
        let mut keys = Origin::default();
        let refers = [window.text("refname"), window.text("name")];
        let known = self.frames.last().into_iter().flat_map(|frame| &frame.windows);
        for window in known.filter(|known| refers.contains(&&*known.name)) {
            keys = keys.and(&window.origin);
        }
        for key in window.children("partition_clause").chain(window.children("order_clause")) {
            let key = key.child("node").filter(|_| key.kind() == "SortBy").unwrap_or(key);
            keys = keys.and(&self.value(key));
        }
        for offset in window.children("start_offset").chain(window.children("end_offset")) {
            keys = keys.and(&self.value(offset));
        }
        keys.computed()
    }
}

fn with_any(columns: Vec<Named>, other: &Origin) -> Vec<Named> {
    columns.into_iter().map(|column| Named { origin: column.origin.or(other), ..column }).collect()
}

/// The name a column gets that was not given one (`FigureColname` of the server's parse_target.c).
pub(super) fn figured(value: Node<'_>) -> &str {
    match value.kind() {
        "ColumnRef" => value.words("fields").last().unwrap_or_default(),
        "AIndirection" => match value.words("indirection").last() {
            Some(field) => field,
            None => value.child("arg").map_or("", figured),
        },
        "FuncCall" => value.words("funcname").last().unwrap_or_default(),
        "AExpr"
            if value.choice::<pg_query::protobuf::AExprKind>("kind") == pg_query::protobuf::AExprKind::AexprNullif =>
        {
            "nullif"
        }
        "TypeCast" => match value.child("arg").map_or("", figured) {
            "" => value.child("type_name").and_then(|name| name.words("names").last()).unwrap_or_default(),
            name => name,
        },
        "CollateClause" => value.child("arg").map_or("", figured),
        "CaseExpr" => match value.child("defresult").map_or("", figured) {
            "" => "case",
            name => name,
        },
        "AArrayExpr" => "array",
        "RowExpr" => "row",
        "CoalesceExpr" => "coalesce",
        "GroupingFunc" => "grouping",
        "SubLink" => match value.child("testexpr") {
            Some(_) => "",
            None => sub_select_name(value),
        },
        _ => "",
    }
}

fn sub_select_name(link: Node<'_>) -> &str {
    use pg_query::protobuf::SubLinkType;
    match link.choice::<SubLinkType>("sub_link_type") {
        SubLinkType::ExistsSublink => "exists",
        SubLinkType::ArraySublink => "array",
        SubLinkType::ExprSublink => {
            let target = link.child("subselect").and_then(|select| select.child("target_list"));
            target.map_or("", |target| match target.text("name") {
                "" => target.child("val").map_or("", figured),
                name => name,
            })
        }
        _ => "",
    }
}
