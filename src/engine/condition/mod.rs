//! Does a condition restrict which rows of its target a statement touches?
//!
//! A condition is worth something when whether it holds depends on the row. Constants do not, nor conditions on other
//! relations only, nor comparisons of a column with itself or with what it can never be beyond, nor joins that every row
//! of the target finds a partner in. What remains is taken for a restriction; how many rows it really leaves is for the
//! audit inside the transaction to say.

mod bounds;

use self::bounds::{Bounds, NOT_NEGATIVE, Span, is_all, whole_numbers};
use super::catalog::{CatalogColumn, CatalogRelation};
use super::resolve::{Facts, Found};
use super::sql::fact::{Change, Constant, Expression, Item, Limit, Output, Query, Source, Upsert};

/// Relations of one statement that are looked at. With more, the condition is taken to restrict nothing.
const SOURCES_MAX: usize = 64;

/// AND and OR within each other that are followed for where one value may be. Each level looks at those below it anew.
const SPANS_DEPTH_MAX: usize = 8;

/// What a condition does to the rows of its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Truth {
    /// Holds for every row.
    Always,
    /// Holds for no row.
    Never,
    /// Is the same for every row, and nobody can say what.
    Independent,
    /// Depends on the row.
    Restricts,
}

impl Truth {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Never, _) | (_, Self::Never) => Self::Never,
            (Self::Restricts, _) | (_, Self::Restricts) => Self::Restricts,
            (Self::Independent, _) | (_, Self::Independent) => Self::Independent,
            (Self::Always, Self::Always) => Self::Always,
        }
    }

    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Always, _) | (_, Self::Always) => Self::Always,
            (Self::Independent, _) | (_, Self::Independent) => Self::Independent,
            (Self::Restricts, _) | (_, Self::Restricts) => Self::Restricts,
            (Self::Never, Self::Never) => Self::Never,
        }
    }

    fn negated(self, negated: bool) -> Self {
        match self {
            Self::Always if negated => Self::Never,
            Self::Never if negated => Self::Always,
            other => other,
        }
    }

    fn known(value: bool) -> Self {
        if value { Self::Always } else { Self::Never }
    }
}

/// What the condition of a change does to the rows of its target.
pub(super) fn of_change(facts: &Facts<'_>, change: &Change) -> Truth {
    let Some(condition) = &change.condition else { return Truth::Always };
    if change.sources.len() > SOURCES_MAX {
        return Truth::Independent;
    }
    let judge = Judge::new(facts, &change.sources);
    judge.conjunction(&[(condition, false)])
}

/// What the condition of an upsert does to the rows that conflict, when what is inserted are the target's own rows.
pub(super) fn of_upsert(facts: &Facts<'_>, upsert: &Upsert) -> Truth {
    let Some(condition) = &upsert.condition else { return Truth::Always };
    Judge::new(facts, &upsert.sources).conjunction(&[(condition, false)])
}

/// What the condition of a query does to the rows of the first of its sources that is a relation of the catalog; for a
/// query that reads none, it restricts.
pub(super) fn of_query(facts: &Facts<'_>, query: &Query) -> Truth {
    let Some(condition) = &query.condition else { return Truth::Always };
    if query.sources.len() > SOURCES_MAX {
        return Truth::Independent;
    }
    let judge = Judge::new(facts, &query.sources);
    let relation = judge.levels.first().and_then(|level| level.iter().position(|rows| rows.relation.is_some()));
    match relation {
        Some(row) => Judge { target: (0, row), ..judge }.conjunction(&[(condition, false)]),
        None => Truth::Restricts,
    }
}

/// How many rows a query makes where it combines sources that no condition connects: of each group that one connects,
/// as many as its largest has, or one where something restricts it. Of what nobody knows, as few as there can be.
pub(super) fn combinations(facts: &Facts<'_>, query: &Query) -> u64 {
    if query.sources.len() > SOURCES_MAX {
        return 1;
    }
    let judge = Judge::new(facts, &query.sources);
    let Some(level) = judge.levels.first() else { return 1 };
    let mut rows: Vec<u64> =
        level.iter().map(|rows| rows.relation.and_then(|relation| relation.rows).unwrap_or(1).max(1)).collect();
    // Which group each source is in, by the first of it.
    let mut group: Vec<usize> = (0..level.len()).collect();
    for (conjunct, negated) in query.condition.iter().flat_map(|condition| flat(&[(condition, false)])) {
        let Some(sources) = judge.sources_of(conjunct) else { return 1 };
        if let [only] = sources.as_slice() {
            let judge = Judge { target: (0, *only), levels: judge.levels.clone(), ..judge };
            let restricts = matches!(judge.truth(conjunct, negated), Truth::Restricts | Truth::Never);
            rows.get_mut(*only).filter(|_| restricts).into_iter().for_each(|rows| *rows = 1);
        }
        let groups: Vec<usize> = sources.iter().filter_map(|source| group.get(*source).copied()).collect();
        let first = groups.iter().min().copied();
        group.iter_mut().filter(|of| groups.contains(of)).for_each(|of| *of = first.unwrap_or(*of));
    }
    let largest = |which: usize| {
        let of_group = group.iter().zip(&rows).filter(move |(of, _)| **of == which);
        of_group.map(|(_, rows)| *rows).max().unwrap_or(1)
    };
    (0..level.len()).fold(1_u64, |product, which| product.saturating_mul(largest(which)))
}

/// Whether a condition pins every column of a key of the only relation to a value: at most one row is left.
pub(super) fn picks_one_row(facts: &Facts<'_>, query: &Query) -> bool {
    let judge = Judge::new(facts, &query.sources);
    let ([rows], Some(condition)) = (judge.levels.first().map_or(&[][..], Vec::as_slice), &query.condition) else {
        return false;
    };
    let Some(relation) = rows.relation else { return false };
    let pinned: Vec<i16> = flat(&[(condition, false)])
        .into_iter()
        .filter_map(|(conjunct, negated)| match conjunct {
            Expression::Compare { operator, left, right } if &**operator == "=" && !negated => Some((left, right)),
            _ => None,
        })
        .filter_map(|(left, right)| match (judge.target_column(left), judge.target_column(right)) {
            (Some(column), None) if !judge.depends(right) => Some(column.attribute),
            (None, Some(column)) if !judge.depends(left) => Some(column.attribute),
            _ => None,
        })
        .collect();
    relation.keys.iter().any(|key| key.iter().all(|attribute| pinned.contains(attribute)))
}

/// The rows of one source.
#[derive(Clone, Copy)]
struct Rows<'a> {
    alias: &'a str,
    relation: Option<&'a CatalogRelation>,
    /// A sub-select whose result columns have names.
    query: Option<&'a Query>,
    /// Fewer than all rows of the relation, or not known to be all.
    filtered: bool,
}

impl Rows<'_> {
    /// Whether it has such a column; `None` when that is not known.
    fn has(&self, name: &str) -> Option<bool> {
        if is_system_column(name) {
            return Some(self.relation.is_some());
        }
        if let Some(relation) = self.relation {
            return Some(relation.columns.iter().any(|column| column.name == name));
        }
        let outputs = &self.query?.output;
        if outputs.iter().any(|output| output.name.as_deref() == Some(name)) {
            return Some(true);
        }
        // A star hides names.
        (!outputs.is_empty() && outputs.iter().all(|output| output.value != Expression::Star)).then_some(false)
    }
}

/// Where a column comes from: level of nesting, source there, and its name; an empty name is the whole row.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Origin<'e> {
    source: (usize, usize),
    name: &'e str,
}

struct Judge<'a> {
    facts: &'a Facts<'a>,
    /// The sources in scope, outermost query first.
    levels: Vec<Vec<Rows<'a>>>,
    target: (usize, usize),
    /// Judging what restricts a source that this one is joined with: joins back to it say nothing.
    partner_of: Option<(usize, usize)>,
    /// Whether joins are followed. Not within what is looked at while following one, so that the work stays bounded.
    follows: bool,
}

impl<'a> Judge<'a> {
    fn new(facts: &'a Facts<'a>, sources: &'a [Source]) -> Self {
        let level = sources.iter().map(|source| rows(facts, source)).collect();
        Judge { facts, levels: vec![level], target: (0, 0), partner_of: None, follows: true }
    }

    /// The same question inside a sub-select.
    fn inside(&self, query: &'a Query) -> Self {
        let level = query.sources.iter().take(SOURCES_MAX).map(|source| rows(self.facts, source)).collect();
        let levels = self.levels.iter().cloned().chain([level]).collect();
        Judge { levels, ..*self }
    }

    /// The same question about another source.
    fn towards(&self, target: (usize, usize)) -> Self {
        Judge { target, levels: self.levels.clone(), partner_of: Some(self.target), follows: false, ..*self }
    }

    fn rows(&self, source: (usize, usize)) -> Option<&Rows<'a>> {
        self.levels.get(source.0)?.get(source.1)
    }

    /// Where a column comes from, looked for as the server does: from the innermost query outwards.
    fn origin<'e>(&self, words: &'e [Box<str>]) -> Option<Origin<'e>> {
        let (name, qualifier) = words.split_last()?;
        for (depth, level) in self.levels.iter().enumerate().rev() {
            let source = match qualifier.last() {
                Some(qualifier) => level.iter().position(|rows| rows.alias == &**qualifier),
                None => column_in(level, name),
            };
            if let Some(index) = source {
                return Some(Origin { source: (depth, index), name });
            }
            // The name of a source alone is its whole row.
            if let (None, Some(index)) = (qualifier.last(), level.iter().position(|rows| rows.alias == &**name)) {
                return Some(Origin { source: (depth, index), name: "" });
            }
            // It may be a column of something whose columns are not known.
            if qualifier.is_empty() && depth > 0 && level.iter().any(|rows| rows.has(name).is_none()) {
                return None;
            }
        }
        // The only relation there is has it, known or not; otherwise nobody knows.
        let only = self.levels.first().is_some_and(|level| level.len() == 1);
        (qualifier.is_empty() && only).then_some(Origin { source: (0, 0), name })
    }

    fn column_of(&self, origin: Origin<'_>) -> Option<&'a CatalogColumn> {
        let relation = self.rows(origin.source)?.relation?;
        relation.columns.iter().find(|column| column.name == origin.name)
    }

    /// The sources of the query itself whose columns occur in an expression; `None` where one cannot tell.
    fn sources_of(&self, expression: &Expression) -> Option<Vec<usize>> {
        let mut found = Vec::new();
        let mut open = vec![expression];
        while let Some(expression) = open.pop() {
            match expression {
                Expression::Column(words) => match self.origin(words)?.source {
                    (0, source) if found.contains(&source) => {}
                    (0, source) => found.push(source),
                    _ => return None,
                },
                Expression::Exists(_) | Expression::Scalar(_) | Expression::Within { .. } | Expression::Star => {
                    return None;
                }
                other => open.extend(parts(other)),
            }
        }
        Some(found)
    }

    /// The column of the target that an expression is, without casts.
    fn target_column(&self, expression: &Expression) -> Option<&'a CatalogColumn> {
        match bare(expression) {
            Expression::Column(words) => {
                let origin = self.origin(words).filter(|origin| origin.source == self.target)?;
                self.column_of(origin)
            }
            _ => None,
        }
    }

    fn target_relation(&self) -> Option<&'a CatalogRelation> {
        self.rows(self.target)?.relation
    }

    /// Whether a column of the target has a different value in every row.
    fn is_key(&self, column: &CatalogColumn) -> bool {
        self.target_relation().is_some_and(|relation| relation.keys.iter().any(|key| *key == [column.attribute]))
    }

    fn conjunction(&self, conjuncts: &[(&'a Expression, bool)]) -> Truth {
        let conjuncts = flat(conjuncts);
        let is_link = |(conjunct, negated): &(&'a Expression, bool)| self.link(conjunct, *negated).is_some();
        let truth = conjuncts.iter().filter(|conjunct| !is_link(conjunct)).fold(Truth::Always, |truth, conjunct| {
            let (conjunct, negated) = *conjunct;
            truth.and(self.truth(conjunct, negated))
        });
        if conjuncts.iter().any(is_link) { truth.and(self.joined(&conjuncts)) } else { truth }
    }

    fn disjunction(&self, disjuncts: &[(&'a Expression, bool)]) -> Truth {
        let mut truth = Truth::Never;
        for (disjunct, negated) in disjuncts {
            truth = truth.or(self.conjunction(&[(disjunct, *negated)]));
        }
        // `a OR NOT a` leaves out no more than the rows where a is null.
        let opposed = |(index, (left, negated)): (usize, &(&'a Expression, bool))| {
            disjuncts.iter().skip(index + 1).any(|(right, other)| self.are_opposite(left, *negated, right, *other))
        };
        let covers = || disjuncts.iter().enumerate().any(opposed) || self.covers(disjuncts);
        if truth == Truth::Restricts && disjuncts.len() <= SOURCES_MAX && covers() {
            return Truth::Always;
        }
        truth
    }

    /// `id < 10 OR id > 5`: whether what one value may be, by one or another of these, is all that it can be.
    fn covers(&self, disjuncts: &[(&'a Expression, bool)]) -> bool {
        let spans: Vec<_> = disjuncts
            .iter()
            .filter_map(|(disjunct, negated)| self.spans(disjunct, *negated, SPANS_DEPTH_MAX))
            .collect();
        spans.iter().enumerate().any(|(index, (subject, _))| {
            let same = spans.iter().skip(index).filter(|(other, _)| self.same(subject, other));
            let all: Vec<Span> = same.flat_map(|(_, spans)| spans).copied().collect();
            is_all(all, self.bounds(subject), self.is_whole(subject))
        })
    }

    /// The value that a condition is about, and where it may be for the condition to hold.
    fn spans(&self, condition: &'a Expression, negated: bool, depth: usize) -> Option<(&'a Expression, Vec<Span>)> {
        let (condition, negated) = self.without_not(condition, negated);
        match condition {
            Expression::Compare { operator, left, right } => {
                let operator = if negated { opposite(operator)? } else { operator };
                let (subject, operator, number) = match (number(left), number(right)) {
                    (None, Some(number)) => (left, operator, number),
                    (Some(number), None) => (right, mirrored(operator)?, number),
                    _ => return None,
                };
                Some((bare(subject), Span::of(operator, number)?))
            }
            Expression::And(arms) | Expression::Or(arms) => {
                if arms.len() > SOURCES_MAX {
                    return None;
                }
                let depth = depth.checked_sub(1)?;
                let mut parts = arms.iter().map(|arm| self.spans(arm, negated, depth));
                let (subject, mut spans) = parts.next()??;
                for part in parts {
                    let (other, more) = part?;
                    if !self.same(subject, other) {
                        return None;
                    }
                    if matches!(condition, Expression::And(_)) == negated {
                        spans.extend(more);
                    } else {
                        spans = spans.iter().flat_map(|one| more.iter().filter_map(|two| one.both(*two))).collect();
                    }
                    if spans.len() > SOURCES_MAX {
                        return None;
                    }
                }
                Some((subject, spans))
            }
            _ => None,
        }
    }

    fn are_opposite(&self, left: &Expression, left_negated: bool, right: &Expression, right_negated: bool) -> bool {
        let (left, left_negated) = self.without_not(left, left_negated);
        let (right, right_negated) = self.without_not(right, right_negated);
        if left_negated != right_negated && self.same(left, right) {
            return true;
        }
        match (left, right) {
            (
                Expression::Compare { operator: one, left: a, right: b },
                Expression::Compare { operator: other, left: c, right: d },
            ) => {
                let one = if left_negated { opposite(one) } else { Some(&**one) };
                let other = if right_negated { Some(&**other) } else { opposite(other) };
                let covers = one.is_some() && one == other
                    || matches!((one, other), (Some("<"), Some(">=")) | (Some(">="), Some("<")));
                covers && self.same(a, c) && self.same(b, d)
            }
            _ => false,
        }
    }

    /// An expression without the NOTs and comparisons with a truth value around it, and whether it is negated.
    fn without_not<'e>(&self, mut expression: &'e Expression, mut negated: bool) -> (&'e Expression, bool) {
        let truth = |side: &Expression| match side {
            Expression::Constant(constant) => truth_of(constant),
            _ => None,
        };
        let is_boolean = |side: &Expression| matches!(side, Expression::Constant(Constant::Boolean(_)));
        loop {
            (expression, negated) = match expression {
                Expression::Not(inner) => (inner, !negated),
                Expression::Is(inner, Some(value)) => (inner, negated == *value),
                Expression::Compare { operator, left, right } if &**operator == "=" => {
                    match (truth(left), truth(right)) {
                        (None, Some(value)) if is_boolean(right) || self.is_truth(left) => (left, negated == value),
                        (Some(value), None) if is_boolean(left) || self.is_truth(right) => (right, negated == value),
                        _ => return (expression, negated),
                    }
                }
                _ => return (expression, negated),
            };
        }
    }

    /// Whether the value of an expression is true or false, and no number or text that looks like it.
    fn is_truth(&self, expression: &Expression) -> bool {
        /// `pg_type.oid` of `bool`.
        const BOOLEAN: u32 = 16;
        is_condition(expression) || self.target_column(expression).is_some_and(|column| column.kind == BOOLEAN)
    }

    fn truth(&self, expression: &'a Expression, negated: bool) -> Truth {
        match expression {
            Expression::Constant(constant) => match truth_of(constant) {
                Some(value) => Truth::known(value).negated(negated),
                None if *constant == Constant::Null => Truth::Never,
                None => Truth::Independent,
            },
            Expression::Not(inner) => self.conjunction(&[(inner, !negated)]),
            Expression::And(arms) | Expression::Or(arms) => {
                let arms: Vec<_> = arms.iter().map(|arm| (arm, negated)).collect();
                let is_and = matches!(expression, Expression::And(_)) != negated;
                if is_and { self.conjunction(&arms) } else { self.disjunction(&arms) }
            }
            Expression::Compare { operator, left, right } => self.compare(operator, left, right, negated),
            Expression::Among { operand, negated: excluded } => self.among(operand, *excluded != negated),
            Expression::Quantified { operator, all, operand, array } => {
                self.quantified(operator, *all, operand, array, negated)
            }
            Expression::IsNull(operand) => self.null_test(operand, negated),
            Expression::Is(operand, Some(value)) => self.conjunction(&[(operand, negated == *value)]),
            Expression::Is(operand, None) => self.null_test(operand, negated),
            Expression::Cast(inner, _) => self.conjunction(&[(inner, negated)]),
            Expression::Case { arms, otherwise } => self.case(arms, otherwise.as_deref(), negated),
            Expression::Coalesce(arms) => {
                let first = arms.iter().find(|arm| *bare(arm) != Expression::Constant(Constant::Null));
                first.map_or(Truth::Never, |first| self.conjunction(&[(first, negated)]))
            }
            Expression::Exists(query) => self.exists(query, &[]).negated(negated),
            Expression::Within { operator, all, operand, query } => {
                self.within(operator, *all, operand, query).negated(negated)
            }
            Expression::Scalar(query) => match query.output.as_slice() {
                // A sub-select without FROM is its expression.
                [output] if query.sources.is_empty() && query.arms.is_empty() => {
                    let conditions = query.condition.iter().map(|condition| (condition, false));
                    let all: Vec<_> = conditions.chain([(&output.value, negated)]).collect();
                    self.inside(query).conjunction(&all)
                }
                // The value of a row that is found holds, where one is.
                [output] if !query.grouped && query.arms.is_empty() && query.limit == Limit::None => {
                    self.exists(query, &[(&output.value, negated)])
                }
                _ => self.dependence(expression),
            },
            Expression::CurrentRow => Truth::Restricts,
            Expression::Parameter(_)
            | Expression::Column(_)
            | Expression::Star
            | Expression::Prefix { .. }
            | Expression::Call { .. }
            | Expression::List(_)
            | Expression::Other(_) => self.dependence(expression),
        }
    }

    fn dependence(&self, expression: &'a Expression) -> Truth {
        if self.depends(expression) { Truth::Restricts } else { Truth::Independent }
    }

    fn case(&self, arms: &'a [(Expression, Expression)], otherwise: Option<&'a Expression>, negated: bool) -> Truth {
        let arms = arms.iter().map(|(when, then)| self.conjunction(&[(when, false), (then, negated)]));
        let otherwise = otherwise.map(|otherwise| self.conjunction(&[(otherwise, negated)]));
        arms.chain(otherwise).fold(Truth::Never, Truth::or)
    }

    /// IN or NOT IN with a list of constants.
    fn among(&self, operand: &'a Expression, excluded: bool) -> Truth {
        match self.target_column(operand) {
            // Everything but a few rows.
            Some(column) if excluded && self.is_key(column) => Truth::Always,
            _ => self.dependence(operand),
        }
    }

    fn quantified(
        &self,
        operator: &str,
        all: bool,
        operand: &'a Expression,
        array: &'a Expression,
        negated: bool,
    ) -> Truth {
        if let Expression::List(elements) = array
            && is_reflexive(operator)
            && !negated
            && self.depends(operand)
        {
            let mut same = elements.iter().map(|element| self.same(operand, element));
            if if all { same.all(|same| same) } else { same.any(|same| same) } {
                return Truth::Always;
            }
        }
        let excludes = matches!((operator, negated), ("<>", false) | ("=", true));
        if excludes && !self.depends(array) && self.target_column(operand).is_some_and(|column| self.is_key(column)) {
            return Truth::Always;
        }
        if self.depends(operand) || self.depends(array) { Truth::Restricts } else { Truth::Independent }
    }

    /// IS NULL, or IS NOT NULL when negated.
    fn null_test(&self, operand: &'a Expression, negated: bool) -> Truth {
        if !self.depends(operand) {
            return Truth::Independent;
        }
        if self.can_be_null(operand) { Truth::Restricts } else { Truth::known(negated) }
    }

    /// Whether a value of the target's row can be null, as far as the catalog knows. An unknown column is taken not to
    /// be, so that IS NOT NULL on it counts for nothing.
    fn can_be_null(&self, expression: &'a Expression) -> bool {
        match expression {
            Expression::Column(words) => {
                let origin = self.origin(words).filter(|origin| origin.source == self.target);
                origin.and_then(|origin| self.column_of(origin)).is_some_and(|column| !column.not_null)
            }
            Expression::Constant(constant) => *constant == Constant::Null,
            // Null only when all of them are.
            Expression::Coalesce(arms) => arms.iter().all(|arm| self.can_be_null(arm)),
            Expression::Call { name, arguments } if matches!(&*name.name, "greatest" | "least") => {
                arguments.iter().all(|argument| self.can_be_null(argument))
            }
            other => parts(other).into_iter().any(|part| self.can_be_null(part)),
        }
    }

    fn compare(&self, operator: &str, left: &'a Expression, right: &'a Expression, negated: bool) -> Truth {
        let operator = match negated.then(|| opposite(operator)) {
            None => operator,
            Some(Some(opposite)) => opposite,
            // An operator whose opposite is not known.
            Some(None) if self.depends(left) || self.depends(right) => return Truth::Restricts,
            Some(None) => return Truth::Independent,
        };
        let (left, right) = (bare(left), bare(right));
        if let Some(truth) = self.compare_special(operator, left, right) {
            return truth;
        }
        if !self.depends(left) && !self.depends(right) {
            return fold(operator, left, right).map_or(Truth::Independent, Truth::known);
        }
        if let Some(truth) = self.compare_sums(operator, left, right) {
            return truth;
        }
        let column = self.target_column(left).map(|column| (column, operator, right));
        let column = column.or_else(|| Some((self.target_column(right)?, mirrored(operator)?, left)));
        match column {
            Some((column, operator, other)) if !self.depends(other) => self.compare_column(column, operator, other),
            _ => self.compare_pattern(operator, left, right),
        }
    }

    /// Comparisons with a truth value, of rows, and of something with itself.
    fn compare_special(&self, operator: &str, left: &'a Expression, right: &'a Expression) -> Option<Truth> {
        if let (Expression::List(lefts), Expression::List(rights)) = (left, right)
            && operator == "="
            && lefts.len() == rights.len()
        {
            let pairs = lefts.iter().zip(rights).map(|(left, right)| self.compare("=", left, right, false));
            return Some(pairs.fold(Truth::Always, Truth::and));
        }
        if let (Expression::List(lefts), Expression::List(rights)) = (left, right)
            && let (Some(left), Some(right)) = (lefts.first(), rights.first())
            && lefts.len() == rights.len()
            && matches!(operator, "<" | "<=" | ">" | ">=")
        {
            // The first that differs decides.
            let strict = operator.trim_end_matches('=');
            return match self.compare(strict, left, right, false) {
                decided @ (Truth::Always | Truth::Never) => Some(decided),
                Truth::Independent | Truth::Restricts => None,
            };
        }
        if self.same(left, right) && self.depends(left) {
            return match operator {
                "=" | "<=" | ">=" | "~~" | "~~*" | "@>" | "<@" => Some(Truth::Always),
                "<>" | "<" | ">" | "!~~" | "!~~*" => Some(Truth::Never),
                _ => None,
            };
        }
        if let (operand, Expression::Scalar(query)) | (Expression::Scalar(query), operand) = (left, right)
            && is_reflexive(operator)
            && self.depends(operand)
            && self.within(operator, false, operand, query) == Truth::Always
        {
            return Some(Truth::Always);
        }
        let equal = match operator {
            "=" => true,
            "<>" => false,
            _ => return None,
        };
        let truth = |expression: &Expression| match expression {
            Expression::Constant(constant) => truth_of(constant),
            _ => None,
        };
        match (truth(left), truth(right)) {
            (None, Some(value)) if is_condition(left) => Some(self.conjunction(&[(left, value != equal)])),
            (Some(value), None) if is_condition(right) => Some(self.conjunction(&[(right, value != equal)])),
            (None, None) if is_condition(left) && is_condition(right) => {
                let (left, right) = (self.conjunction(&[(left, false)]), self.conjunction(&[(right, false)]));
                match (left, right) {
                    (Truth::Restricts, _) | (_, Truth::Restricts) => Some(Truth::Restricts),
                    (Truth::Independent, _) | (_, Truth::Independent) => Some(Truth::Independent),
                    (left, right) => Some(Truth::known((left == right) == equal)),
                }
            }
            _ => None,
        }
    }

    /// `id + 1 > id`: the columns cancel out, and constants are left.
    fn compare_sums(&self, operator: &str, left: &Expression, right: &Expression) -> Option<Truth> {
        let mut sum = self.sum(left)?;
        sum.add(&self.sum(right)?, -1)?;
        sum.terms.retain(|(_, factor)| *factor != 0);
        if !sum.terms.is_empty() {
            return None;
        }
        compare_numbers(operator, i128::from(sum.constant), 0).map(Truth::known)
    }

    fn sum<'e>(&self, expression: &'e Expression) -> Option<Sum<'e>> {
        match bare(expression) {
            Expression::Constant(Constant::Integer(value)) => Some(Sum { terms: Vec::new(), constant: *value }),
            Expression::Column(words) => {
                let origin = self.origin(words).filter(|origin| !origin.name.is_empty())?;
                Some(Sum { terms: vec![(origin, 1)], constant: 0 })
            }
            Expression::Prefix { operator, operand } if &**operator == "-" => {
                let mut sum = Sum::default();
                sum.add(&self.sum(operand)?, -1)?;
                Some(sum)
            }
            Expression::Compare { operator, left, right } if matches!(&**operator, "+" | "-" | "*") => {
                let (mut left, right) = (self.sum(left)?, self.sum(right)?);
                match &**operator {
                    "+" => left.add(&right, 1)?,
                    "-" => left.add(&right, -1)?,
                    "*" if right.terms.is_empty() => return left.times(right.constant),
                    "*" if left.terms.is_empty() => return right.times(left.constant),
                    _ => return None,
                }
                Some(left)
            }
            _ => None,
        }
    }

    /// A column of the target against something that does not depend on the row.
    fn compare_column(&self, column: &CatalogColumn, operator: &str, other: &Expression) -> Truth {
        if operator == "<>" && self.is_key(column) {
            // Everything but one row.
            return Truth::Always;
        }
        let everything = match number(other) {
            // All but the greatest that there can be are all.
            Some(number) => {
                let operator = if operator == "<" { "<=" } else { operator };
                Bounds::of_column(column, self.is_key(column)).are_all(operator, number)
            }
            None => match bare(other) {
                Expression::Constant(Constant::Text(text)) => match operator {
                    "<" | "<=" => &**text == "infinity",
                    ">" | ">=" => &**text == "-infinity" || (text.is_empty() && operator == ">="),
                    _ => matches_everything(operator, text),
                },
                Expression::Scalar(query) => self.is_extreme(column, operator, query),
                pattern => pattern_text(pattern).is_some_and(|text| matches_everything(operator, text)),
            },
        };
        if everything { Truth::Always } else { Truth::Restricts }
    }

    /// `id <= (SELECT max(id) FROM …)`, of all rows of the target itself.
    fn is_extreme(&self, column: &CatalogColumn, operator: &str, query: &'a Query) -> bool {
        let extreme = match operator {
            "<" | "<=" => "max",
            ">" | ">=" => "min",
            _ => return false,
        };
        let ([source], [output]) = (query.sources.as_slice(), query.output.as_slice()) else { return false };
        let rows = rows(self.facts, source);
        let all = query.condition.is_none() && !query.grouped && query.limit == Limit::None && !rows.filtered;
        let itself = rows.relation.zip(self.target_relation()).is_some_and(|(found, target)| found.oid == target.oid);
        let Expression::Call { name, arguments } = &output.value else { return false };
        let [Expression::Column(words)] = arguments.as_slice() else { return false };
        let named = words.last().is_some_and(|word| rows.renamed(word) == column.name);
        let least_or_most = operator.ends_with('=') || self.is_key(column);
        all && itself && named && *name.name == *extreme && least_or_most
    }

    /// A computed value of the target against something.
    fn compare_pattern(&self, operator: &str, left: &Expression, right: &Expression) -> Truth {
        if pattern_text(right).is_some_and(|text| matches_everything(operator, text)) {
            return Truth::Always;
        }
        let everything = match (number(left), number(right)) {
            (None, Some(number)) => self.bounds(left).are_all(operator, number),
            (Some(number), None) => {
                mirrored(operator).is_some_and(|operator| self.bounds(right).are_all(operator, number))
            }
            _ => false,
        };
        if everything { Truth::Always } else { Truth::Restricts }
    }

    /// Between which whole numbers a value is in every row, as far as that is known from how it is computed.
    fn bounds(&self, expression: &Expression) -> Bounds {
        match bare(expression) {
            constant @ Expression::Constant(_) => Bounds { least: number(constant), most: number(constant) },
            Expression::Column(_) => match self.target_column(expression) {
                Some(column) => Bounds::of_column(column, self.is_key(column)),
                None => Bounds::default(),
            },
            Expression::Prefix { operator, operand } if &**operator == "-" => self.bounds(operand).negated(),
            Expression::Compare { operator, left, right } => {
                let (one, two) = (self.bounds(left), self.bounds(right));
                match &**operator {
                    "+" => one.plus(two),
                    "-" => one.plus(two.negated()),
                    "*" if self.same(left, right) => NOT_NEGATIVE,
                    "^" if number(right).is_some_and(|power| power % 2 == 0) => NOT_NEGATIVE,
                    "*" | "/" | "^" if one.is_positive() && two.is_positive() => NOT_NEGATIVE,
                    "%" => one.remainder(number(right)),
                    _ => Bounds::default(),
                }
            }
            Expression::Scalar(query) if is_number(query) && counts(query) => NOT_NEGATIVE,
            Expression::Coalesce(arms) => {
                arms.iter().map(|arm| self.bounds(arm)).reduce(Bounds::either).unwrap_or_default()
            }
            Expression::Call { name, arguments } => {
                let each = || arguments.iter().map(|argument| self.bounds(argument));
                match &*name.name {
                    "greatest" => Bounds { least: each().filter_map(|one| one.least).max(), most: None },
                    "least" => Bounds { least: None, most: each().filter_map(|one| one.most).min() },
                    "mod" => match arguments.as_slice() {
                        [value, by] => self.bounds(value).remainder(number(by)),
                        _ => Bounds::default(),
                    },
                    "sign" if each().all(Bounds::is_above_zero) => Bounds { least: Some(1), most: Some(1) },
                    "sign" => Bounds { least: Some(-1), most: Some(1) },
                    name if NEVER_NEGATIVE.contains(&name) => NOT_NEGATIVE,
                    _ => Bounds::default(),
                }
            }
            _ => Bounds::default(),
        }
    }

    /// Whether a value is a whole number in every row.
    fn is_whole(&self, expression: &Expression) -> bool {
        match bare(expression) {
            Expression::Constant(Constant::Integer(_)) => true,
            Expression::Column(_) => {
                self.target_column(expression).is_some_and(|column| whole_numbers(column).is_some())
            }
            Expression::Prefix { operator, operand } => &**operator == "-" && self.is_whole(operand),
            Expression::Compare { operator, left, right } => {
                matches!(&**operator, "+" | "-" | "*" | "/" | "%") && self.is_whole(left) && self.is_whole(right)
            }
            _ => false,
        }
    }

    /// A comparison of a column of the target with one of another source that two equal values pass.
    fn link<'e>(&self, conjunct: &'e Expression, negated: bool) -> Option<Link<'e>> {
        let Expression::Compare { operator, left, right } = conjunct else { return None };
        let is_equal = &**operator == "=";
        if negated || !is_equal && !is_reflexive(operator) {
            return None;
        }
        let origin = |side: &'e Expression| match bare(side) {
            Expression::Column(words) => self.origin(words),
            _ => None,
        };
        let (left, right) = (origin(left)?, origin(right)?);
        let is_target = |origin: Origin<'_>| origin.source == self.target;
        match (is_target(left), is_target(right)) {
            (true, false) => Some(Link { column: left.name, other: right, is_equal }),
            (false, true) => Some(Link { column: right.name, other: left, is_equal }),
            _ => None,
        }
    }

    /// What its joins do to the rows of the target. They leave out none where each row finds a partner, the partner finds
    /// one in turn, and nothing else restricts any of them.
    fn joined(&self, conjuncts: &[(&'a Expression, bool)]) -> Truth {
        let mut reached: Vec<_> = self.partner_of.into_iter().chain([self.target]).collect();
        let mut next = reached.len() - 1;
        while let Some(source) = reached.get(next).copied() {
            let judge = if source == self.target { None } else { Some(self.towards(source)) };
            let judge = judge.as_ref().unwrap_or(self);
            let links: Vec<_> = conjuncts.iter().map(|(conjunct, negated)| judge.link(conjunct, *negated)).collect();
            let before = reached.len();
            for ((conjunct, negated), link) in conjuncts.iter().zip(&links) {
                match link {
                    Some(link) if reached.iter().take(before).any(|known| *known == link.other.source) => {}
                    Some(link) if self.follows && judge.every_row_finds(*link, &links) => {
                        if !reached.contains(&link.other.source) {
                            reached.push(link.other.source);
                        }
                    }
                    Some(_) => return Truth::Restricts,
                    None if source == self.target => {}
                    None => {
                        if matches!(judge.truth(conjunct, *negated), Truth::Restricts | Truth::Never) {
                            return Truth::Restricts;
                        }
                    }
                }
            }
            next += 1;
        }
        Truth::Always
    }

    /// Whether every row of the target has a partner: the same relation by the same column, or what a foreign key
    /// points to, as long as nothing is filtered out of it. A key of several columns needs all of them among `links`.
    fn every_row_finds(&self, link: Link<'_>, links: &[Option<Link<'_>>]) -> bool {
        let Some(other) = self.rows(link.other.source).filter(|rows| !rows.filtered) else { return false };
        let (Some(target), Some(partner)) = (self.target_relation(), other.relation) else { return false };
        let attribute = |relation: &CatalogRelation, name: &str| {
            relation.columns.iter().find(|column| column.name == name).map(|column| column.attribute)
        };
        let ends = |link: &Link<'_>| {
            let (here, there) = (attribute(target, link.column)?, attribute(partner, other.renamed(link.other.name))?);
            link.is_equal.then_some((here, there))
        };
        if target.oid == partner.oid && link.column == other.renamed(link.other.name) {
            return true;
        }
        let Some(end) = ends(&link) else { return false };
        let same_partner = links.iter().flatten().filter(|known| known.other.source == link.other.source);
        let known: Vec<_> = same_partner.filter_map(ends).chain([end]).collect();
        target.foreign_keys.iter().filter(|key| key.target == partner.oid).any(|key| {
            let mut pairs = key.columns.iter().copied().zip(key.target_columns.iter().copied());
            pairs.clone().any(|pair| pair == end) && pairs.all(|pair| known.contains(&pair))
        })
    }

    /// EXISTS, with conditions of the outer query on what it finds.
    fn exists(&self, query: &'a Query, outer: &[(&'a Expression, bool)]) -> Truth {
        if !query.arms.is_empty() {
            return query.simple().into_iter().map(|arm| self.exists(arm, outer)).fold(Truth::Never, Truth::or);
        }
        if query.sources.len() > SOURCES_MAX {
            return Truth::Independent;
        }
        // There is a number of rows where there are none.
        if outer.is_empty() && is_number(query) {
            return Truth::Always;
        }
        let inside = self.inside(query);
        let conditions: Vec<_> = query.condition.iter().map(|condition| (condition, false)).collect();
        let conjuncts: Vec<_> = conditions.into_iter().chain(outer.iter().copied()).collect();
        let truth = inside.conjunction(&conjuncts);
        match truth {
            // Rows may be missing for reasons of their own, but for all rows of the target alike.
            Truth::Always if !conjuncts.iter().any(|(conjunct, _)| inside.depends(conjunct)) => {
                if query.sources.is_empty() { Truth::Always } else { Truth::Independent }
            }
            truth => truth,
        }
    }

    /// `operand IN (SELECT …)` and its kin.
    fn within(&self, operator: &str, all: bool, operand: &'a Expression, query: &'a Query) -> Truth {
        let depends = || self.depends(operand) || self.inside(query).depends_query(query);
        if all || !is_reflexive(operator) || query.limit != Limit::None {
            return if depends() { Truth::Restricts } else { Truth::Independent };
        }
        for arm in query.simple() {
            let inside = self.inside(arm);
            let operands = match bare(operand) {
                Expression::List(operands) => operands.iter().collect(),
                operand => vec![operand],
            };
            let outputs: Vec<_> = arm.output.iter().map(|output| &output.value).collect();
            let pairs = || operands.iter().zip(&outputs);
            let all_find = operands.len() == outputs.len()
                && pairs().all(|(operand, output)| self.finds_itself(operator, operand, output, &inside));
            let first = (inside.levels.len().saturating_sub(1), 0);
            let found = Judge { follows: self.follows, ..inside.towards(first) };
            let free = arm.condition.as_ref().is_none_or(|condition| {
                [&inside, &found]
                    .iter()
                    .all(|judge| !matches!(judge.conjunction(&[(condition, false)]), Truth::Restricts | Truth::Never))
            });
            if all_find && free && arm.limit == Limit::None && !operands.is_empty() {
                return Truth::Always;
            }
        }
        if depends() { Truth::Restricts } else { Truth::Independent }
    }

    /// Whether what a row of the target looks for is always among what a sub-select has.
    fn finds_itself(&self, operator: &str, operand: &'a Expression, output: &'a Expression, inside: &Self) -> bool {
        let (Expression::Column(wanted), Expression::Column(offered)) = (bare(operand), bare(output)) else {
            return false;
        };
        let wanted = self.origin(wanted).filter(|origin| origin.source == self.target);
        let (Some(wanted), Some(offered)) = (wanted, inside.origin(offered)) else { return false };
        // The sub-select offers the target's own column: its author meant another.
        if offered == wanted {
            return true;
        }
        let link = Link { column: wanted.name, other: offered, is_equal: operator == "=" };
        inside.every_row_finds(link, &[])
    }

    /// Whether the value of an expression can differ between rows of the target.
    fn depends(&self, expression: &'a Expression) -> bool {
        if let Some(sum) = self.sum(expression) {
            return sum.terms.iter().any(|(origin, factor)| origin.source == self.target && *factor != 0);
        }
        match expression {
            Expression::Column(words) => self.origin(words).is_some_and(|origin| origin.source == self.target),
            Expression::Constant(_) | Expression::Parameter(_) | Expression::Star => false,
            Expression::CurrentRow => true,
            Expression::Exists(query) | Expression::Scalar(query) => self.inside(query).depends_query(query),
            Expression::Within { operand, query, .. } => {
                self.depends(operand) || self.inside(query).depends_query(query)
            }
            // The first that is not null decides.
            Expression::Coalesce(arms) => {
                let known = |arm: &&Expression| !matches!(bare(arm), Expression::Constant(Constant::Null));
                match arms.iter().find(known).map(bare) {
                    Some(Expression::Constant(_)) | None => false,
                    Some(_) => arms.iter().any(|arm| self.depends(arm)),
                }
            }
            Expression::Case { arms, otherwise } => {
                let taken = arms.first().is_some_and(|(when, _)| self.conjunction(&[(when, false)]) == Truth::Always);
                match arms.first() {
                    Some((_, then)) if taken => self.depends(then),
                    _ => {
                        arms.iter().any(|(when, then)| self.depends(when) || self.depends(then))
                            || otherwise.as_ref().is_some_and(|otherwise| self.depends(otherwise))
                    }
                }
            }
            // A condition that holds for all rows or none is a constant.
            Expression::IsNull(_) | Expression::Is(..) | Expression::Not(_) => {
                self.conjunction(&[(expression, false)]) == Truth::Restricts
            }
            other => parts(other).into_iter().any(|part| self.depends(part)),
        }
    }

    fn depends_query(&self, query: &'a Query) -> bool {
        let outputs = query.output.iter().map(|output| &output.value);
        outputs.chain(&query.condition).any(|expression| self.depends(expression))
            || query.arms.iter().any(|arm| self.inside(arm).depends_query(arm))
    }

    /// Whether two expressions are the same, names resolved.
    fn same(&self, left: &Expression, right: &Expression) -> bool {
        match (bare(left), bare(right)) {
            (Expression::Column(left), Expression::Column(right)) => {
                let (left, right) = (self.origin(left), self.origin(right));
                left.is_some() && left == right
            }
            (Expression::Constant(Constant::Unknown), _) => false,
            (Expression::Call { name, arguments: left }, Expression::Call { name: other, arguments: right }) => {
                name == other && self.all_same(left, right)
            }
            (Expression::Other(_) | Expression::Exists(_) | Expression::Scalar(_) | Expression::Within { .. }, _) => {
                false
            }
            (Expression::Among { .. } | Expression::Star, _) => false,
            (
                Expression::Compare { operator, left: a, right: b },
                Expression::Compare { operator: other, left: c, right: d },
            ) => operator == other && self.same(a, c) && self.same(b, d),
            (left, right) => {
                let (lefts, rights) = (parts(left), parts(right));
                if lefts.is_empty() && rights.is_empty() {
                    return left == right;
                }
                std::mem::discriminant(left) == std::mem::discriminant(right)
                    && same_words(left, right)
                    && lefts.len() == rights.len()
                    && lefts.iter().zip(rights).all(|(left, right)| self.same(left, right))
            }
        }
    }

    fn all_same(&self, left: &[Expression], right: &[Expression]) -> bool {
        left.len() == right.len() && left.iter().zip(right).all(|(left, right)| self.same(left, right))
    }
}

/// A comparison between a column of the target and something else.
#[derive(Clone, Copy)]
struct Link<'e> {
    column: &'e str,
    other: Origin<'e>,
    /// `=`, not `<=` or `>=`.
    is_equal: bool,
}

/// A sum of columns, each times a whole number, and a constant.
#[derive(Default)]
struct Sum<'e> {
    terms: Vec<(Origin<'e>, i64)>,
    constant: i64,
}

impl<'e> Sum<'e> {
    /// Columns in one sum that are followed.
    const TERMS_MAX: usize = 16;

    fn add(&mut self, other: &Self, sign: i64) -> Option<()> {
        self.constant = self.constant.checked_add(other.constant.checked_mul(sign)?)?;
        for (origin, factor) in &other.terms {
            let factor = factor.checked_mul(sign)?;
            if let Some((_, known)) = self.terms.iter_mut().find(|(known, _)| known == origin) {
                *known = known.checked_add(factor)?;
            } else if self.terms.len() < Self::TERMS_MAX {
                self.terms.push((*origin, factor));
            } else {
                return None;
            }
        }
        Some(())
    }

    fn times(mut self, factor: i64) -> Option<Self> {
        self.constant = self.constant.checked_mul(factor)?;
        for (_, known) in &mut self.terms {
            *known = known.checked_mul(factor)?;
        }
        Some(self)
    }
}

impl<'a> Rows<'a> {
    /// The name in the relation of what a sub-select calls so.
    fn renamed<'n>(&self, name: &'n str) -> &'n str
    where
        'a: 'n,
    {
        let output = self.query.and_then(|query| {
            query.output.iter().find(|output| output.name.as_deref() == Some(name)).map(|output| &output.value)
        });
        match output {
            Some(Expression::Column(words)) => words.last().map_or(name, |word| word),
            _ => name,
        }
    }
}

/// The rows of a source. A sub-select that hands on all rows of one relation is that relation.
fn rows<'a>(facts: &'a Facts<'a>, source: &'a Source) -> Rows<'a> {
    let relation = |name| match facts.find(name) {
        Found::Known(relation) => Some(relation),
        Found::System(_) | Found::Temporary | Found::Missing => None,
    };
    match &source.item {
        Item::Relation(name) => Rows {
            alias: &source.alias,
            relation: relation(name).filter(|_| source.columns.is_empty()),
            query: None,
            filtered: false,
        },
        Item::Query(query) => {
            let all =
                query.condition.is_none() && query.limit == Limit::None && !query.grouped && query.arms.is_empty();
            let only = match query.sources.as_slice() {
                [only] if all && query.listed == 0 && source.columns.is_empty() => Some(rows(facts, only)),
                _ => None,
            };
            Rows {
                alias: &source.alias,
                relation: only.and_then(|only| only.relation),
                query: Some(query),
                filtered: only.is_none_or(|only| only.filtered),
            }
        }
        Item::Computed => Rows { alias: &source.alias, relation: None, query: None, filtered: true },
    }
}

/// Whether a query has one row whatever it finds: numbers about all that there is.
fn is_number(query: &Query) -> bool {
    const NUMBERS: [&str; 5] = ["avg", "count", "max", "min", "sum"];
    let is_one =
        |output: &Output| matches!(&output.value, Expression::Call { name, .. } if NUMBERS.contains(&&*name.name));
    let plain = !query.grouped && query.arms.is_empty() && query.limit == Limit::None;
    plain && !query.output.is_empty() && query.output.iter().all(is_one)
}

/// Whether the only number of a query is how many there are.
fn counts(query: &Query) -> bool {
    matches!(query.output.as_slice(), [Output { value: Expression::Call { name, .. }, .. }] if *name.name == *"count")
}

/// The source among these that has a column.
fn column_in(level: &[Rows<'_>], name: &str) -> Option<usize> {
    level.iter().position(|rows| rows.has(name) == Some(true))
}

fn is_system_column(name: &str) -> bool {
    matches!(name, "ctid" | "tableoid" | "xmin" | "xmax" | "cmin" | "cmax")
}

/// The conjuncts of a condition, conjunctions within conjunctions taken apart.
fn flat<'e>(conjuncts: &[(&'e Expression, bool)]) -> Vec<(&'e Expression, bool)> {
    let mut out = Vec::new();
    let mut open: Vec<_> = conjuncts.iter().rev().copied().collect();
    while let Some((conjunct, negated)) = open.pop() {
        match (conjunct, negated) {
            (Expression::And(arms), false) | (Expression::Or(arms), true) => {
                open.extend(arms.iter().rev().map(|arm| (arm, negated)));
            }
            (Expression::Not(inner), _) => open.push((inner, !negated)),
            _ => out.push((conjunct, negated)),
        }
    }
    out
}

/// An expression without the casts around it, and without the sub-select around a plain expression.
fn bare(mut expression: &Expression) -> &Expression {
    loop {
        expression = match expression {
            Expression::Cast(inner, _) => inner,
            Expression::Prefix { operator, operand } if &**operator == "+" => operand,
            Expression::Scalar(query) => match query.output.as_slice() {
                [output] if query.sources.is_empty() && query.condition.is_none() && query.arms.is_empty() => {
                    &output.value
                }
                _ => return expression,
            },
            _ => return expression,
        };
    }
}

/// The expressions directly inside one, sub-selects not entered.
fn parts(expression: &Expression) -> Vec<&Expression> {
    match expression {
        Expression::Not(inner)
        | Expression::IsNull(inner)
        | Expression::Is(inner, _)
        | Expression::Cast(inner, _)
        | Expression::Prefix { operand: inner, .. }
        | Expression::Among { operand: inner, .. }
        | Expression::Within { operand: inner, .. } => vec![inner],
        Expression::And(all)
        | Expression::Or(all)
        | Expression::Coalesce(all)
        | Expression::List(all)
        | Expression::Other(all)
        | Expression::Call { arguments: all, .. } => all.iter().collect(),
        Expression::Compare { left, right, .. } => vec![left, right],
        Expression::Quantified { operand, array, .. } => vec![operand, array],
        Expression::Case { arms, otherwise } => {
            let arms = arms.iter().flat_map(|(when, then)| [when, then]);
            arms.chain(otherwise.as_deref()).collect()
        }
        Expression::Constant(_)
        | Expression::Parameter(_)
        | Expression::Column(_)
        | Expression::Star
        | Expression::Exists(_)
        | Expression::Scalar(_)
        | Expression::CurrentRow => Vec::new(),
    }
}

/// Whether two expressions of one kind have the same words besides their parts.
fn same_words(left: &Expression, right: &Expression) -> bool {
    match (left, right) {
        (Expression::Prefix { operator: left, .. }, Expression::Prefix { operator: right, .. }) => left == right,
        (
            Expression::Quantified { operator: left, all: one, .. },
            Expression::Quantified { operator: right, all: other, .. },
        ) => left == right && one == other,
        (Expression::Is(_, left), Expression::Is(_, right)) => left == right,
        _ => true,
    }
}

/// Whether an expression has a truth value by its form.
fn is_condition(expression: &Expression) -> bool {
    match expression {
        Expression::Compare { operator, .. } => opposite(operator).is_some(),
        Expression::Not(_)
        | Expression::And(_)
        | Expression::Or(_)
        | Expression::IsNull(_)
        | Expression::Is(..)
        | Expression::Exists(_)
        | Expression::Within { .. }
        | Expression::Quantified { .. }
        | Expression::Among { .. } => true,
        _ => false,
    }
}

/// The truth value of a constant, also when it is written as text.
fn truth_of(constant: &Constant) -> Option<bool> {
    match constant {
        Constant::Boolean(value) => Some(*value),
        Constant::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
            "t" | "true" | "y" | "yes" | "on" | "1" => Some(true),
            "f" | "false" | "n" | "no" | "off" | "0" => Some(false),
            _ => None,
        },
        Constant::Integer(value) => Some(*value != 0),
        Constant::Null | Constant::Unknown => None,
    }
}

/// The operator that holds where this one does not.
fn opposite(operator: &str) -> Option<&'static str> {
    Some(match operator {
        "=" => "<>",
        "<>" => "=",
        "<" => ">=",
        ">=" => "<",
        ">" => "<=",
        "<=" => ">",
        "~~" => "!~~",
        "!~~" => "~~",
        "~~*" => "!~~*",
        "!~~*" => "~~*",
        "~" => "!~",
        "!~" => "~",
        "~*" => "!~*",
        "!~*" => "~*",
        _ => return None,
    })
}

/// Whether equal values pass.
fn is_reflexive(operator: &str) -> bool {
    matches!(operator, "=" | "<=" | ">=")
}

/// The operator that says the same with its sides exchanged.
fn mirrored(operator: &str) -> Option<&'static str> {
    Some(match operator {
        "=" => "=",
        "<>" => "<>",
        "<" => ">",
        ">" => "<",
        "<=" => ">=",
        ">=" => "<=",
        _ => return None,
    })
}

/// The result of comparing two constants.
fn fold(operator: &str, left: &Expression, right: &Expression) -> Option<bool> {
    if let (Some(left), Some(right)) = (number(left), number(right)) {
        return compare_numbers(operator, left, right);
    }
    match (left, right) {
        (Expression::Constant(Constant::Text(left)), Expression::Constant(Constant::Text(right))) => match operator {
            "=" => Some(left == right),
            "<>" => Some(left != right),
            _ => None,
        },
        (Expression::Constant(Constant::Boolean(left)), Expression::Constant(Constant::Boolean(right))) => {
            compare_numbers(operator, i128::from(*left), i128::from(*right))
        }
        _ => None,
    }
}

fn compare_numbers(operator: &str, left: i128, right: i128) -> Option<bool> {
    Some(match operator {
        "=" => left == right,
        "<>" => left != right,
        "<" => left < right,
        "<=" => left <= right,
        ">" => left > right,
        ">=" => left >= right,
        _ => return None,
    })
}

/// The number that an expression is.
fn number(expression: &Expression) -> Option<i128> {
    match bare(expression) {
        Expression::Constant(Constant::Integer(value)) => Some((*value).into()),
        Expression::Constant(Constant::Text(text)) => text.trim().parse().ok(),
        Expression::Prefix { operator, operand } if &**operator == "-" => number(operand)?.checked_neg(),
        Expression::Compare { operator, left, right } => {
            let (left, right) = (number(left)?, number(right)?);
            match &**operator {
                "+" => left.checked_add(right),
                "-" => left.checked_sub(right),
                "*" => left.checked_mul(right),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Functions whose result is never below zero.
const NEVER_NEGATIVE: &[&str] =
    &["abs", "bit_length", "cardinality", "char_length", "character_length", "count", "length", "octet_length"];

/// The text of a pattern, also as LIKE … ESCAPE and SIMILAR TO wrap it.
fn pattern_text(expression: &Expression) -> Option<&str> {
    match bare(expression) {
        Expression::Constant(Constant::Text(text)) => Some(text),
        Expression::Call { name, arguments } if matches!(&*name.name, "like_escape" | "similar_to_escape") => {
            pattern_text(arguments.first()?)
        }
        _ => None,
    }
}

/// Whether a pattern matches every text there is.
fn matches_everything(operator: &str, pattern: &str) -> bool {
    match operator {
        "~~" | "~~*" => !pattern.is_empty() && pattern.chars().all(|c| c == '%'),
        "~" | "~*" => {
            let pattern = pattern.trim_start_matches('^').trim_end_matches('$');
            // SIMILAR TO has its own words for it.
            matches!(pattern, "" | ".*" | ".*?" | "(.*)" | "%")
        }
        _ => false,
    }
}
