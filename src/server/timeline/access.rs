//! Who saw what: the index counted by person, kind of data and how it went out.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::tables;
use crate::domain::Timestamp;

/// What is asked. Everything given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AccessFilter {
    /// Words of classification; `None` for all.
    pub(crate) tags: Option<Vec<&'static str>>,
    /// Pseudonyms; `None` for everybody.
    pub(crate) subjects: Option<Vec<String>>,
    pub(crate) resource: Option<String>,
    pub(crate) since: Option<Timestamp>,
    pub(crate) until: Option<Timestamp>,
}

/// What one person touched of one kind of data, in one way and for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    pub(crate) tag: String,
    pub(crate) subject: Option<String>,
    pub(crate) agent: Option<String>,
    pub(crate) resource: Option<String>,
    pub(crate) purpose: Option<String>,
    pub(crate) approval: Option<String>,
    /// `clear`, `masked`, or `not_shown` for what was compared or written.
    pub(crate) shown: String,
    pub(crate) statements: u64,
    /// Rows that these statements returned, or changed.
    pub(crate) rows: u64,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
}

/// Most lines of one report: beyond that it is narrowed, not read.
const LINES_MAX: u32 = 10_000;

/// What went out clear comes first, then who touched it most. Statements that were refused or held touched nothing.
pub(super) fn run(db: &Connection, filter: &AccessFilter) -> rusqlite::Result<Vec<Access>> {
    let mut conditions = vec!["entries.outcome NOT IN ('denied', 'held')".to_owned()];
    let mut values: Vec<Value> = Vec::new();
    let mut place = |value: Value| {
        values.push(value);
        format!("?{}", values.len())
    };
    let mut one_of = |column: &str, of: Vec<Value>| {
        let places: Vec<String> = of.into_iter().map(&mut place).collect();
        format!("{column} IN ({})", places.join(", "))
    };
    if let Some(tags) = &filter.tags {
        conditions.push(one_of("tagged.tag", tags.iter().map(|tag| Value::from((*tag).to_owned())).collect()));
    }
    if let Some(subjects) = &filter.subjects {
        conditions.push(one_of("entries.subject", subjects.iter().cloned().map(Value::from).collect()));
    }
    conditions.extend(filter.resource.clone().map(|resource| one_of("entries.resource", vec![resource.into()])));
    for (bound, sign) in [(filter.since, ">="), (filter.until, "<")] {
        let bound = bound.map(|at| place(tables::first_id(at).into()));
        conditions.extend(bound.map(|place| format!("tagged.id {sign} {place}")));
    }
    let sql = format!(
        "SELECT tagged.tag, subject, agent, resource, purpose, approval, coalesce(tagged.shown, 'not_shown') AS how,
                count(*), sum(coalesce(rows, 0)), min(tagged.id), max(tagged.id)
         FROM tagged CROSS JOIN entries ON entries.id = tagged.id
         WHERE {} GROUP BY 1, 2, 3, 4, 5, 6, 7
         ORDER BY tagged.tag, how, count(*) DESC, max(tagged.id) DESC LIMIT {LINES_MAX}",
        conditions.join(" AND ")
    );
    let natural = |number: i64| u64::try_from(number).unwrap_or(0);
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Access {
            tag: row.get(0)?,
            subject: row.get(1)?,
            agent: row.get(2)?,
            resource: row.get(3)?,
            purpose: row.get(4)?,
            approval: row.get(5)?,
            shown: row.get(6)?,
            statements: natural(row.get(7)?),
            rows: natural(row.get(8)?),
            first: tables::moment(row.get(9)?),
            last: tables::moment(row.get(10)?),
        })
    };
    db.prepare_cached(&sql)?.query_map(params_from_iter(values), read)?.collect()
}
