//! Questions → rows.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::tables;
use crate::domain::Timestamp;

/// What is looked for. Everything given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Pseudonyms; `None` for everybody.
    pub(crate) subjects: Option<Vec<String>>,
    pub(crate) agent: Option<String>,
    pub(crate) resource: Option<String>,
    pub(crate) purpose: Option<String>,
    /// A table, with its schema or without.
    pub(crate) table: Option<String>,
    /// Words of classification of which one is enough.
    pub(crate) tags: Option<Vec<&'static str>>,
    pub(crate) approval: Option<String>,
    pub(crate) operation: Option<String>,
    pub(crate) outcome: Option<String>,
    pub(crate) books: Option<String>,
    pub(crate) kind: Option<String>,
    /// Words that must all be there.
    pub(crate) text: Option<String>,
    /// The beginning of a session's id.
    pub(crate) session: Option<String>,
    pub(crate) since: Option<Timestamp>,
    pub(crate) until: Option<Timestamp>,
    /// Only what is older, or newer, than the entry with this id.
    pub(crate) before: Option<i64>,
    pub(crate) after: Option<i64>,
    /// Also what is about connections, credentials and the log itself.
    pub(crate) everything: bool,
    /// The oldest first.
    pub(crate) oldest_first: bool,
    pub(crate) limit: u32,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: i64,
    pub(crate) at: Timestamp,
    pub(crate) leaf: u64,
    pub(crate) kind: String,
    pub(crate) session: Option<String>,
    pub(crate) statement: Option<String>,
    pub(crate) subject: Option<String>,
    pub(crate) agent: Option<String>,
    pub(crate) resource: Option<String>,
    pub(crate) purpose: Option<String>,
    pub(crate) reference: Option<String>,
    pub(crate) operations: Vec<String>,
    pub(crate) objects: Vec<String>,
    pub(crate) tags: Vec<String>,
    /// Those of them that went out masked, and as they are.
    pub(crate) masked_tags: Vec<String>,
    pub(crate) clear_tags: Vec<String>,
    /// Functions that it ran and that nobody had reviewed, each with the digest of its body where there is one.
    pub(crate) functions: Vec<String>,
    pub(crate) approval: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) action: Option<String>,
    pub(crate) rules: Vec<String>,
    pub(crate) outcome: Option<String>,
    pub(crate) sqlstate: Option<String>,
    pub(crate) rows: Option<u64>,
    pub(crate) masked: Option<u64>,
    pub(crate) took_us: Option<u64>,
    pub(crate) why: Option<String>,
    pub(crate) books: Option<String>,
}

/// What is known of a session as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionRow {
    pub(crate) session: String,
    pub(crate) opened: Option<Timestamp>,
    pub(crate) closed: Option<Timestamp>,
    pub(crate) subject: Option<String>,
    pub(crate) agent: Option<String>,
    pub(crate) resource: Option<String>,
    pub(crate) access: Option<String>,
    pub(crate) masking: Option<String>,
    pub(crate) purpose: Option<String>,
    pub(crate) reference: Option<String>,
    pub(crate) why: Option<String>,
    /// How many statements there are for each result of comparing the two accounts.
    pub(crate) books: Vec<(String, u64)>,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    /// In the order asked for.
    pub(crate) entries: Vec<Entry>,
    /// The sessions these are from.
    pub(crate) sessions: Vec<SessionRow>,
    /// There may be more beyond.
    pub(crate) more: bool,
}

/// Kinds that are shown only when everything is asked for: they are about how, not about what.
const DETAILS: &str = "('stream.open', 'stream.close', 'stmt.cancel', 'cred.mint', 'cred.revoke', 'cred.sweep', \
                       'server.stop', 'audit.read', 'recon.session', 'recovered')";

/// How the two accounts of a session compare, counted.
pub(super) const BOOKS_OF_SESSION: &str =
    "SELECT books, count(*) FROM entries WHERE session = ?1 AND books IS NOT NULL GROUP BY books";

/// A query being put together.
#[derive(Debug, Default)]
struct Where {
    joins: String,
    conditions: Vec<String>,
    values: Vec<Value>,
}

impl Where {
    fn value(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("?{}", self.values.len())
    }

    fn equals(&mut self, column: &str, value: Option<&String>) {
        if let Some(value) = value {
            let place = self.value(value.clone());
            self.conditions.push(format!("{column} = {place}"));
        }
    }
}

pub(super) fn run(db: &Connection, filter: &Filter) -> rusqlite::Result<Page> {
    let (sql, values) = build(filter);
    let mut statement = db.prepare_cached(&sql)?;
    let mut entries: Vec<Entry> = statement.query_map(params_from_iter(values), entry)?.collect::<Result<_, _>>()?;
    let more = entries.len() > usize::try_from(filter.limit).unwrap_or(usize::MAX);
    entries.truncate(usize::try_from(filter.limit).unwrap_or(usize::MAX));
    let mut names: Vec<&String> = entries.iter().filter_map(|entry| entry.session.as_ref()).collect();
    names.sort();
    names.dedup();
    let mut sessions = Vec::new();
    for name in names {
        sessions.extend(session(db, name)?);
    }
    Ok(Page { entries, sessions, more })
}

pub(super) fn build(filter: &Filter) -> (String, Vec<Value>) {
    let mut query = Where::default();
    // Whichever table comes first decides how the answer is found; all are in the order of ids.
    let mut id = "entries.id";
    if let Some(text) = &filter.text {
        let words = query.value(words(text));
        query.joins = "words JOIN entries ON entries.id = words.rowid".to_owned();
        query.conditions.push(format!("words MATCH {words}"));
        id = "words.rowid";
    } else if let Some([tag]) = filter.tags.as_deref() {
        let tag = query.value((*tag).to_owned());
        query.joins = "tagged CROSS JOIN entries ON entries.id = tagged.id".to_owned();
        query.conditions.push(format!("tagged.tag = {tag}"));
        id = "tagged.id";
    } else if let Some(table) = &filter.table {
        query.joins = "touched CROSS JOIN entries ON entries.id = touched.id".to_owned();
        let (schema, name) =
            table.split_once('.').map_or((None, table.as_str()), |(schema, name)| (Some(schema), name));
        let name = query.value(name.to_owned());
        query.conditions.push(format!("touched.name = {name}"));
        if let Some(schema) = schema {
            let schema = query.value(schema.to_owned());
            query.conditions.push(format!("(touched.schema = {schema} OR touched.schema IS NULL)"));
        }
        id = "touched.id";
    } else {
        query.joins = "entries".to_owned();
    }
    if let Some(table) = filter.table.as_ref().filter(|_| id != "touched.id") {
        let name = query.value(table.rsplit('.').next().unwrap_or(table).to_owned());
        query.conditions.push(format!("EXISTS (SELECT 1 FROM touched t WHERE t.name = {name} AND t.id = {id})"));
    }
    if let Some(tags) = filter.tags.as_ref().filter(|_| id != "tagged.id") {
        let tags: Vec<_> = tags.iter().map(|tag| query.value((*tag).to_owned())).collect();
        let tags = tags.join(", ");
        query.conditions.push(format!("EXISTS (SELECT 1 FROM tagged t WHERE t.tag IN ({tags}) AND t.id = {id})"));
    }
    match filter.subjects.as_deref() {
        None => {}
        Some([one]) => {
            let one = query.value(one.clone());
            query.conditions.push(format!("entries.subject = {one}"));
        }
        Some(several) => {
            let places: Vec<_> = several.iter().map(|one| query.value(one.clone())).collect();
            query.conditions.push(format!("entries.subject IN ({})", places.join(", ")));
        }
    }
    query.equals("entries.agent", filter.agent.as_ref());
    query.equals("entries.resource", filter.resource.as_ref());
    query.equals("entries.purpose", filter.purpose.as_ref());
    query.equals("entries.outcome", filter.outcome.as_ref());
    query.equals("entries.books", filter.books.as_ref());
    // What went as it should is most of the table, and not in these columns' indexes; SQLite takes an index of a part only
    // where the words themselves say that nothing else is meant.
    for (column, value, usual) in [("outcome", &filter.outcome, "ok"), ("books", &filter.books, "matched")] {
        if value.as_ref().is_some_and(|value| value != usual) {
            query.conditions.push(format!("entries.{column} <> '{usual}'"));
        }
    }
    query.equals("entries.kind", filter.kind.as_ref());
    query.equals("entries.approval", filter.approval.as_ref());
    if let Some(operation) = &filter.operation {
        let operation = query.value(format!(" {operation} "));
        query.conditions.push(format!("instr(' ' || entries.operations || ' ', {operation}) > 0"));
    }
    if let Some(session) = &filter.session {
        let (from, until) = (query.value(session.clone()), query.value(format!("{session}~")));
        query.conditions.push(format!("entries.session >= {from} AND entries.session < {until}"));
    } else if !filter.everything && filter.kind.is_none() {
        query.conditions.push(format!("entries.kind NOT IN {DETAILS}"));
    }
    let mut bound = |value: Option<i64>, sign: &str| {
        if let Some(value) = value {
            let place = query.value(value);
            query.conditions.push(format!("{id} {sign} {place}"));
        }
    };
    bound(filter.since.map(tables::first_id), ">=");
    bound(filter.until.map(tables::first_id), "<");
    bound(filter.before, "<");
    bound(filter.after, ">");
    let condition = if query.conditions.is_empty() { "1".to_owned() } else { query.conditions.join(" AND ") };
    let order = if filter.oldest_first { "ASC" } else { "DESC" };
    let limit = filter.limit.saturating_add(1);
    let sql = format!(
        "SELECT entries.id, leaf, kind, session, statement, subject, agent, resource, purpose, reference, operations,
                objects, (SELECT texts.text FROM texts WHERE texts.id = entries.text), action, rules, outcome, sqlstate,
                rows, masked, took, why, books, tags, masked_tags, clear_tags, approval,
                functions
         FROM {} WHERE {condition} ORDER BY {id} {order} LIMIT {limit}",
        query.joins
    );
    (sql, query.values)
}

/// Words as the full text takes them: each quoted, so that nothing in it is an operator; the last of `pay*` stands for
/// all that begin so.
fn words(text: &str) -> String {
    let mut quoted = Vec::new();
    for part in text.split_whitespace() {
        let (part, star) = part.strip_suffix('*').map_or((part, ""), |part| (part, "*"));
        let pieces: Vec<&str> =
            part.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|p| !p.is_empty()).collect();
        let last = pieces.len().saturating_sub(1);
        let with_star = |(at, piece): (usize, &&str)| format!("\"{piece}\"{}", if at == last { star } else { "" });
        quoted.extend(pieces.iter().enumerate().map(with_star));
    }
    // Words without a letter are no words: nothing is found by them, rather than everything.
    if quoted.is_empty() { "\"\u{1}\"".to_owned() } else { quoted.join(" ") }
}

fn list(text: Option<String>, between: char) -> Vec<String> {
    text.map(|text| text.split(between).filter(|part| !part.is_empty()).map(str::to_owned).collect())
        .unwrap_or_default()
}

fn natural(number: Option<i64>) -> Option<u64> {
    number.and_then(|number| u64::try_from(number).ok())
}

fn entry(row: &rusqlite::Row<'_>) -> rusqlite::Result<Entry> {
    let id: i64 = row.get(0)?;
    Ok(Entry {
        id,
        at: tables::moment(id),
        leaf: natural(row.get(1)?).unwrap_or(0),
        kind: row.get(2)?,
        session: row.get(3)?,
        statement: row.get(4)?,
        subject: row.get(5)?,
        agent: row.get(6)?,
        resource: row.get(7)?,
        purpose: row.get(8)?,
        reference: row.get(9)?,
        operations: list(row.get(10)?, ' '),
        objects: list(row.get(11)?, '\n'),
        tags: list(row.get(22)?, ' '),
        masked_tags: list(row.get(23)?, ' '),
        clear_tags: list(row.get(24)?, ' '),
        approval: row.get(25)?,
        functions: list(row.get(26)?, '\n'),
        text: row.get(12)?,
        action: row.get(13)?,
        rules: list(row.get(14)?, ' '),
        outcome: row.get(15)?,
        sqlstate: row.get(16)?,
        rows: natural(row.get(17)?),
        masked: natural(row.get(18)?),
        took_us: natural(row.get(19)?),
        why: row.get(20)?,
        books: row.get(21)?,
    })
}

fn session(db: &Connection, name: &str) -> rusqlite::Result<Option<SessionRow>> {
    let moment = |millis: Option<i64>| natural(millis).map(Timestamp::from_millis);
    let read = |row: &rusqlite::Row<'_>| {
        Ok(SessionRow {
            session: name.to_owned(),
            opened: moment(row.get(0)?),
            closed: moment(row.get(1)?),
            subject: row.get(2)?,
            agent: row.get(3)?,
            resource: row.get(4)?,
            access: row.get(5)?,
            purpose: row.get(6)?,
            reference: row.get(7)?,
            why: row.get(8)?,
            masking: row.get(9)?,
            books: Vec::new(),
        })
    };
    let sql = "SELECT opened, gateway_closed, subject, agent, resource, access, purpose, reference, why, masking
               FROM sessions WHERE session = ?1";
    let found = db.prepare_cached(sql)?.query_row([name], read).optional()?;
    let Some(mut found) = found else { return Ok(None) };
    let count = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, natural(row.get(1)?).unwrap_or(0)));
    found.books = db.prepare_cached(BOOKS_OF_SESSION)?.query_map([name], count)?.collect::<Result<_, _>>()?;
    Ok(Some(found))
}
