//! The index against one that is made anew from the log, row by row.

use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, Transaction};

use super::{ENVELOPES_MAX, fill, tables};
use crate::server::check::{Compared, word};
use crate::server::log::{self, Entered};

/// A table of which every row follows from the log.
struct Table {
    /// What it is of, for people.
    about: &'static str,
    from: &'static str,
    /// The first say which row it is. `{db}` is where the table is.
    columns: &'static [&'static str],
    keys: usize,
}

/// That a comparison is on record (`reconciled`) is not here: it is noted before the record of it comes in, and says
/// nothing of what happened.
const TABLES: &[Table] = &[
    Table { about: "how far it is", from: "{db}.position", columns: &["one", "leaves", "last"], keys: 1 },
    Table {
        about: "an entry",
        from: "{db}.entries",
        columns: &[
            "id",
            "session",
            "statement",
            "leaf",
            "kind",
            "subject",
            "agent",
            "resource",
            "purpose",
            "reference",
            "operations",
            "objects",
            "tags",
            "entries.text IS NULL AS without_text",
            "(SELECT known.text FROM {db}.texts known WHERE known.id = entries.text) AS text",
            "action",
            "rules",
            "outcome",
            "sqlstate",
            "rows",
            "masked",
            "took",
            "why",
            "line",
            "books",
            "approval",
            "masked_tags",
            "clear_tags",
            "functions",
        ],
        keys: 1,
    },
    Table {
        about: "a session",
        from: "{db}.sessions",
        columns: &[
            "session",
            "opened",
            "subject",
            "kind",
            "agent",
            "resource",
            "access",
            "purpose",
            "reference",
            "client_closed",
            "gateway_closed",
            "why",
            "masking",
        ],
        keys: 1,
    },
    Table { about: "a signing key", from: "{db}.signers", columns: &["key", "side", "session"], keys: 1 },
    Table { about: "a text", from: "{db}.texts", columns: &["digest", "text"], keys: 1 },
    Table { about: "a table touched", from: "{db}.touched", columns: &["name", "id", "schema"], keys: 2 },
    Table { about: "a kind of data touched", from: "{db}.tagged", columns: &["tag", "id", "shown"], keys: 2 },
    Table { about: "a word to be found by", from: "temp.{db}_words", columns: &["term", "doc"], keys: 2 },
];

/// Compares the index at `path` with `log`, as far as the index has come.
pub(crate) fn compare(path: &Path, log: &Connection, compared: &mut Compared) -> rusqlite::Result<()> {
    let mut db = beside(path, "ro")?;
    let db = db.transaction()?;
    rebuild(&db, log)?;
    differences(&db, compared)
}

/// An empty index in a file without a name, which is gone with the connection; and beside it the one that is kept.
pub(in crate::server) fn beside(path: &Path, mode: &str) -> rusqlite::Result<Connection> {
    let db = Connection::open("")?;
    tables::MIGRATIONS.steps.iter().try_for_each(|step| db.execute_batch(step))?;
    let place = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    db.execute("ATTACH ?1 AS kept", [format!("file:{place}?mode={mode}")])?;
    for schema in ["main", "kept"] {
        let sql = format!("CREATE VIRTUAL TABLE temp.{schema}_words USING fts5vocab('{schema}', 'words', 'instance')");
        db.execute_batch(&sql)?;
    }
    Ok(db)
}

/// Reads as much of the log as the index that is kept says it has.
pub(in crate::server) fn rebuild(db: &Transaction<'_>, log: &Connection) -> rusqlite::Result<()> {
    let leaves: i64 = db.query_row("SELECT coalesce(max(leaves), 0) FROM kept.position", [], |row| row.get(0))?;
    let leaves = u64::try_from(leaves).unwrap_or(0);
    let mut next = 0;
    while next < leaves {
        let bodies = log::bodies(log, next, leaves.min(next.saturating_add(ENVELOPES_MAX)))?;
        if bodies.is_empty() {
            break;
        }
        next = fill::add(db, bodies.iter().zip(next..).map(|(body, leaf)| Entered::read(leaf, body)).collect())?;
    }
    Ok(())
}

/// What the index that is kept says otherwise than the one that was made anew.
pub(in crate::server) fn differences(db: &Connection, compared: &mut Compared) -> rusqlite::Result<()> {
    for table in TABLES {
        let of =
            |schema: &str| format!("SELECT {} FROM {}", table.columns.join(", "), table.from).replace("{db}", schema);
        let without = |one: &str, other: &str| rows(db, &format!("{} EXCEPT {}", of(one), of(other)));
        let (kept, said) = (without("kept", "main")?, without("main", "kept")?);
        let count: i64 = db.query_row(&format!("SELECT count(*) FROM ({})", of("kept")), [], |row| row.get(0))?;
        compared.rows = compared.rows.saturating_add(u64::try_from(count).unwrap_or(0));
        let key = |row: &[Value]| row.get(..table.keys).map(<[Value]>::to_vec);
        for row in &kept {
            match said.iter().find(|other| key(other) == key(row)) {
                Some(said) => tell(table, row, said, compared),
                None => compared.lie(format!("the timeline has {}, of which the log says nothing", table.name(row))),
            }
        }
        for row in said.iter().filter(|row| kept.iter().all(|other| key(other) != key(row))) {
            compared.lie(format!("the timeline lacks {}, which the log says", table.name(row)));
        }
    }
    let whole: String = db.query_row("PRAGMA kept.integrity_check(1)", [], |row| row.get(0))?;
    if whole != "ok" {
        compared.lie(format!("the timeline's file is damaged: {whole}"));
    }
    Ok(())
}

fn tell(table: &Table, kept: &[Value], said: &[Value], compared: &mut Compared) {
    let name = table.name(said);
    for (column, (kept, said)) in table.columns.iter().zip(kept.iter().zip(said)) {
        let column = column.rsplit(' ').next().unwrap_or(column);
        if kept != said {
            compared.lie(format!(
                "`{column}` of {name} in the timeline is {}, and by the log {}",
                word(kept),
                word(said)
            ));
        }
    }
}

impl Table {
    /// A row in a sentence.
    fn name(&self, row: &[Value]) -> String {
        let keys: Vec<String> = row.iter().take(self.keys).map(word).collect();
        let name = format!("{} ({})", self.about, keys.join(", "));
        match (self.columns.get(1), row.get(1), row.get(2)) {
            (Some(&"session"), Some(Value::Text(session)), Some(Value::Text(statement))) => {
                format!("{name}, statement {statement} of session {session},")
            }
            (Some(&"session"), Some(Value::Text(session)), _) => format!("{name} of session {session}"),
            _ => name,
        }
    }
}

fn rows(db: &Connection, sql: &str) -> rusqlite::Result<Vec<Vec<Value>>> {
    let mut statement = db.prepare(sql)?;
    let columns = statement.column_count();
    let read = |row: &rusqlite::Row<'_>| (0..columns).map(|at| row.get(at)).collect();
    statement.query_map([], read)?.collect()
}
