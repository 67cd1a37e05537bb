//! What becomes of a column's values, said in SQL: what [`treatment`](super::super::treatment) does to a cell, done by the
//! database before anybody sees it.
//!
//! Where both can, both make the same of a value. Where SQL cannot, less is shown.

use super::super::number::integer_digits;
use super::super::pseudonym::{NUMERAL, SHOWN};
use super::super::shape::Shape;
use super::super::treatment::{Treatment, usual};
use crate::engine::detector::{Form, Method};
use crate::engine::sql::literal;

/// A column of the relation behind a view.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value<'a> {
    /// Itself in SQL.
    pub(super) sql: &'a str,
    pub(super) shape: &'a Shape,
    /// Its type in SQL; of a domain, what it is over: a mask need not pass the domain's conditions, and clients are told of
    /// the type below it anyway.
    pub(super) written: &'a str,
    /// Characters that a value may have; of a `numeric`, digits before its point.
    pub(super) room: usize,
}

/// The largest number of SQL's `integer`: room without end.
const ENDLESS: usize = 2_147_483_647;

/// Whether values pass as they are.
pub(super) fn passes(treatment: Treatment, shape: &Shape) -> bool {
    matches!(usual(treatment, shape), Treatment::Clear | Treatment::Glance)
}

/// The treated value; `support` is the schema of the functions it may call.
pub(super) fn expression(treatment: Treatment, value: Value<'_>, support: &str) -> String {
    let Value { sql, shape, written, .. } = value;
    let treatment = usual(treatment, shape);
    let method = match treatment {
        Treatment::Clear | Treatment::Glance => return sql.to_owned(),
        Treatment::Look | Treatment::Definition | Treatment::Suspect(_) => return look(value, support),
        Treatment::Hide => return hide(value),
        Treatment::Redact => Method::Redact,
        Treatment::Entity(entity) => entity.method(),
    };
    let entity = match treatment {
        Treatment::Entity(entity) => literal(entity.name()),
        Treatment::Clear
        | Treatment::Glance
        | Treatment::Look
        | Treatment::Definition
        | Treatment::Suspect(_)
        | Treatment::Redact
        | Treatment::Hide => "''".to_owned(),
    };
    let cast = |expression: String| format!("({expression})::{written}");
    match shape {
        Shape::Text | Shape::Name => {
            let text = format!("{sql}::pg_catalog.text");
            cast(match method {
                Method::Redact => format!("CASE WHEN {text} <> '' THEN '***' ELSE {text} END"),
                // Most values end in four digits, and need no function of ours.
                Method::LastFour => format!(
                    "CASE WHEN {text} ~ '^[-0-9*./ ]*[0-9*]{{4}}$' \
                     AND pg_catalog.length(pg_catalog.translate({text}, '-./ ', '')) >= 8 \
                     THEN pg_catalog.translate(pg_catalog.left({text}, -4), '0123456789', '**********') \
                     || pg_catalog.right({text}, 4) ELSE {support}.last_four({text}) END"
                ),
                Method::Coarsen => format!("{support}.coarse({text})"),
                Method::Pseudonym(form) => {
                    let form = match form {
                        Form::Word => "word",
                        Form::Email => "email",
                        Form::Phone => "phone",
                    };
                    let room = value.room.min(ENDLESS);
                    format!("{support}.pseudonym({entity}, '{form}', {text}, {room})")
                }
            })
        }
        Shape::Integer(width) => {
            let stand_in = stand_in(method, &entity, sql, integer_digits(*width), support);
            cast(stand_in.unwrap_or_else(|| number(method, sql)))
        }
        Shape::Numeric => {
            let stand_in = stand_in(method, &entity, sql, value.room, support);
            let number = stand_in.unwrap_or_else(|| number(method, sql));
            cast(format!("pg_catalog.round({number}, coalesce(pg_catalog.scale({sql}), 0))"))
        }
        Shape::Float(_) => cast(format!(
            "CASE WHEN {sql} IN ('NaN', 'Infinity', '-Infinity') THEN {sql} ELSE ({})::{written} END",
            number(method, sql)
        )),
        // Whoever has no day has no month: infinity stays.
        Shape::Date => cast(match method {
            Method::Redact => constant(sql, "'2000-01-01'"),
            _ => format!("{sql} - (coalesce(pg_catalog.date_part('day', {sql}), 1)::pg_catalog.int4 - 1)"),
        }),
        Shape::Timestamp => cast(match method {
            Method::Redact => constant(sql, "'2000-01-01 00:00:00'"),
            _ => format!("pg_catalog.date_trunc('month', {sql})"),
        }),
        Shape::Uuid => cast(match method {
            Method::Redact => constant(sql, "'00000000-0000-0000-0000-000000000000'"),
            _ => format!("{support}.pseudonym({entity}, {sql})"),
        }),
        Shape::Network => cast(match method {
            Method::Redact => constant(sql, "'0.0.0.0'"),
            _ => format!(
                "pg_catalog.set_masklen(pg_catalog.network(pg_catalog.set_masklen({sql}::pg_catalog.inet, \
                 CASE pg_catalog.family({sql}) WHEN 4 THEN 24 ELSE 48 END))::pg_catalog.inet, pg_catalog.masklen({sql}))"
            ),
        }),
        Shape::Hardware(6) if method != Method::Redact => format!("pg_catalog.trunc({sql})"),
        Shape::Json | Shape::Jsonb => cast(constant(sql, "'{\"masked\": true}'")),
        Shape::Xml => cast(constant(sql, "'<masked/>'")),
        Shape::Bytes => cast(constant(sql, "''")),
        Shape::Range => cast(constant(sql, "'empty'")),
        Shape::MultiRange => cast(constant(sql, "'{}'")),
        Shape::Array(element) => each(treatment, value, element, support),
        Shape::Hardware(_) | Shape::Row(_) | Shape::Hstore | Shape::Label | Shape::Plain | Shape::Unknown => {
            nothing(sql)
        }
    }
}

/// A text in which anything may stand.
fn look(value: Value<'_>, support: &str) -> String {
    let Value { sql, shape, written, .. } = value;
    match shape {
        Shape::Text | Shape::Name => format!("({support}.scrub({sql}::pg_catalog.text))::{written}"),
        Shape::Json | Shape::Jsonb => format!("({support}.scrub({sql}))::{written}"),
        Shape::Xml => format!("({})::{written}", constant(sql, "'<masked/>'")),
        Shape::Bytes => {
            let text = format!("pg_catalog.encode({sql}, 'escape')");
            format!("(CASE WHEN {support}.scrub({text}) <> {text} THEN '' ELSE {sql} END)::{written}")
        }
        Shape::Label => {
            let text = format!("{sql}::pg_catalog.text");
            format!("CASE WHEN {support}.scrub({text}) = {text} THEN {sql} END")
        }
        Shape::Array(element) => each(Treatment::Look, value, element, support),
        Shape::Integer(_)
        | Shape::Float(_)
        | Shape::Numeric
        | Shape::Date
        | Shape::Timestamp
        | Shape::Uuid
        | Shape::Network
        | Shape::Hardware(_)
        | Shape::Range
        | Shape::MultiRange
        | Shape::Row(_)
        | Shape::Hstore
        | Shape::Plain
        | Shape::Unknown => nothing(sql),
    }
}

/// What stands for any value, and for none.
fn hide(value: Value<'_>) -> String {
    let Value { sql, shape, written, .. } = value;
    match shape {
        Shape::Text | Shape::Name => format!("'***'::{written}"),
        Shape::Json | Shape::Jsonb => format!("'{{\"masked\": true}}'::{written}"),
        Shape::Integer(_)
        | Shape::Float(_)
        | Shape::Numeric
        | Shape::Date
        | Shape::Timestamp
        | Shape::Uuid
        | Shape::Network
        | Shape::Hardware(_)
        | Shape::Xml
        | Shape::Bytes
        | Shape::Range
        | Shape::MultiRange
        | Shape::Array(_)
        | Shape::Row(_)
        | Shape::Hstore
        | Shape::Label
        | Shape::Plain
        | Shape::Unknown => nothing(sql),
    }
}

/// The number that stands for another in so many digits; nothing where those are too few, or it has none.
fn stand_in(method: Method, entity: &str, sql: &str, digits: usize, support: &str) -> Option<String> {
    let shown = match method {
        Method::Pseudonym(_) => 0,
        Method::LastFour => SHOWN,
        Method::Redact | Method::Coarsen => return None,
    };
    let digits = digits.min(*NUMERAL.end());
    let stand_in = || format!("{support}.pseudonym({entity}, {sql}::pg_catalog.numeric, {digits}, {shown})");
    NUMERAL.contains(&digits).then(stand_in)
}

/// Identifiers without pseudonyms keep four digits or, like amounts, their first.
fn number(method: Method, sql: &str) -> String {
    let number = format!("{sql}::pg_catalog.numeric");
    match method {
        Method::Redact => constant(sql, "0"),
        Method::LastFour => format!("pg_catalog.mod(pg_catalog.trunc({number}), 10000)"),
        Method::Pseudonym(_) | Method::Coarsen => format!(
            "CASE WHEN pg_catalog.abs({number}) < 10 THEN 0 ELSE pg_catalog.trunc({number}, \
             1 - pg_catalog.length(pg_catalog.trunc(pg_catalog.abs({number}))::pg_catalog.text)) END"
        ),
    }
}

/// Each element on its own. What was an array of arrays is a list afterwards.
fn each(treatment: Treatment, value: Value<'_>, element: &Shape, support: &str) -> String {
    let Value { sql, written, room, .. } = value;
    let Some(of) = written.strip_suffix("[]") else { return nothing(sql) };
    let one = expression(treatment, Value { sql: "u.e", shape: element, written: of, room }, support);
    format!(
        "(CASE WHEN {sql} IS NOT NULL THEN ARRAY(SELECT {one} FROM pg_catalog.unnest({sql}) WITH ORDINALITY AS u(e, n) \
         ORDER BY u.n) END)::{written}"
    )
}

/// One value for all that are not NULL.
fn constant(sql: &str, constant: &str) -> String {
    format!("CASE WHEN {sql} IS NOT NULL THEN {constant} END")
}

/// NULL of the column's own type.
fn nothing(sql: &str) -> String {
    format!("CASE WHEN false THEN {sql} END")
}
