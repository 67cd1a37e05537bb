//! The index's tables.
//!
//! A row's id is its time in milliseconds, times [`PER_MILLISECOND`], plus a number within that millisecond. So the
//! order of ids is the order of time in every index, in the full text too, and a stretch of time is a range of ids.

use rusqlite::{Connection, OptionalExtension, Transaction};

use crate::domain::{Digest, Timestamp};
use crate::server::store::Migrations;

pub(super) const MIGRATIONS: Migrations = Migrations {
    owner: "timeline",
    steps: &[
        "
        CREATE TABLE position (
            one INTEGER PRIMARY KEY CHECK (one = 1),
            leaves INTEGER NOT NULL,
            last BLOB NOT NULL
        ) STRICT;

        CREATE TABLE sessions (
            session TEXT PRIMARY KEY,
            opened INTEGER,
            subject TEXT,
            kind TEXT,
            agent TEXT,
            resource TEXT,
            access TEXT,
            purpose TEXT,
            reference TEXT,
            client_closed INTEGER,
            gateway_closed INTEGER,
            why TEXT,
            reconciled INTEGER NOT NULL DEFAULT 0
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX sessions_to_reconcile ON sessions (gateway_closed) WHERE reconciled < 2;

        CREATE TABLE signers (
            key BLOB PRIMARY KEY,
            side TEXT NOT NULL,
            session TEXT
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE texts (
            id INTEGER PRIMARY KEY,
            digest BLOB NOT NULL UNIQUE,
            text TEXT NOT NULL
        ) STRICT;

        CREATE TABLE entries (
            id INTEGER PRIMARY KEY,
            leaf INTEGER NOT NULL,
            kind TEXT NOT NULL,
            session TEXT,
            statement TEXT,
            subject TEXT,
            agent TEXT,
            resource TEXT,
            purpose TEXT,
            reference TEXT,
            operations TEXT,
            objects TEXT,
            tags TEXT,
            text INTEGER,
            action TEXT,
            rules TEXT,
            outcome TEXT,
            sqlstate TEXT,
            rows INTEGER,
            masked INTEGER,
            took INTEGER,
            why TEXT,
            line TEXT,
            books TEXT
        ) STRICT;
        CREATE UNIQUE INDEX entries_by_statement ON entries (session, statement) WHERE statement IS NOT NULL;
        CREATE INDEX entries_by_session ON entries (session);
        CREATE INDEX entries_by_subject ON entries (subject);
        CREATE INDEX entries_by_resource ON entries (resource);
        CREATE INDEX entries_by_outcome ON entries (outcome) WHERE outcome <> 'ok';
        CREATE INDEX entries_by_books ON entries (books) WHERE books <> 'matched';

        CREATE TABLE touched (
            name TEXT NOT NULL,
            id INTEGER NOT NULL,
            schema TEXT,
            PRIMARY KEY (name, id)
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE tagged (
            tag TEXT NOT NULL,
            id INTEGER NOT NULL,
            PRIMARY KEY (tag, id)
        ) STRICT, WITHOUT ROWID;

        CREATE VIRTUAL TABLE words USING fts5 (
            text, content = '', detail = none, tokenize = \"unicode61 tokenchars '_'\"
        );
    ",
        // Statements and approvals know each other, and what was masked is known by what it was. Only the log says so of
        // what is indexed already: it is read anew.
        "
        DELETE FROM position;
        DELETE FROM sessions;
        DELETE FROM signers;
        DELETE FROM texts;
        DELETE FROM entries;
        DELETE FROM touched;
        DELETE FROM tagged;
        INSERT INTO words (words) VALUES ('delete-all');
        ALTER TABLE entries ADD COLUMN approval TEXT;
        ALTER TABLE entries ADD COLUMN masked_tags TEXT;
        ALTER TABLE entries ADD COLUMN clear_tags TEXT;
        CREATE INDEX entries_by_approval ON entries (approval) WHERE approval IS NOT NULL;
        ALTER TABLE tagged ADD COLUMN shown TEXT;
    ",
        // The heading of each session on a page counts its statements: from the index alone, for a page names fifty
        // sessions and a session may have thousands of statements all over the table.
        "
        DROP INDEX entries_by_session;
        CREATE INDEX entries_by_session ON entries (session, books);
    ",
        // What waits at the gateway was said to be refused by the client: read anew.
        "
        DELETE FROM position;
        DELETE FROM sessions;
        DELETE FROM signers;
        DELETE FROM texts;
        DELETE FROM entries;
        DELETE FROM touched;
        DELETE FROM tagged;
        INSERT INTO words (words) VALUES ('delete-all');
    ",
        "ALTER TABLE entries ADD COLUMN functions TEXT;",
        // Where sessions are masked stands in the log only: read anew.
        "
        DELETE FROM position;
        DELETE FROM sessions;
        DELETE FROM signers;
        DELETE FROM texts;
        DELETE FROM entries;
        DELETE FROM touched;
        DELETE FROM tagged;
        INSERT INTO words (words) VALUES ('delete-all');
        ALTER TABLE sessions ADD COLUMN masking TEXT;
    ",
    ],
};

/// Rows that can be told apart within a millisecond; more go into the next.
const PER_MILLISECOND: u64 = 4096;

/// SQLite's integers have a sign; none of our numbers comes near it.
pub(super) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The first id of a moment.
pub(super) fn first_id(at: Timestamp) -> i64 {
    integer(at.millis().saturating_mul(PER_MILLISECOND))
}

/// The moment of an id.
pub(super) fn moment(id: i64) -> Timestamp {
    Timestamp::from_millis(u64::try_from(id).unwrap_or(0) / PER_MILLISECOND)
}

/// Where something stands among what happened in the same millisecond: both sides' records come in in any order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// A beginning, before what it makes possible.
    Begins,
    Within,
    /// An end, behind what it ends.
    Ends,
}

impl Standing {
    /// Of a kind of record.
    pub(super) fn of(kind: &str) -> Self {
        match kind {
            "session.open" | "cred.mint" | "stream.open" => Self::Begins,
            "stream.close" | "cred.revoke" | "session.close" | "recon.session" => Self::Ends,
            _ => Self::Within,
        }
    }

    /// The part of a millisecond's ids that is for it.
    fn ids(self) -> std::ops::Range<i64> {
        let all = integer(PER_MILLISECOND);
        match self {
            Self::Begins => 0..all / 8,
            Self::Within => all / 8..all / 8 * 7,
            Self::Ends => all / 8 * 7..all,
        }
    }

    /// The ids of what happens then.
    pub(super) fn ids_at(self, at: Timestamp) -> std::ops::Range<i64> {
        let (moment, ids) = (first_id(at), self.ids());
        moment.saturating_add(ids.start)..moment.saturating_add(ids.end)
    }
}

/// The id behind the last one in the table of a range.
pub(super) fn free_id(db: &Transaction<'_>, ids: std::ops::Range<i64>) -> rusqlite::Result<i64> {
    let sql = "SELECT id FROM entries WHERE id >= ?1 AND id < ?2 ORDER BY id DESC LIMIT 1";
    let last: Option<i64> = db.prepare_cached(sql)?.query_row((ids.start, ids.end), |row| row.get(0)).optional()?;
    Ok(last.map_or(ids.start, |last| last.saturating_add(1)))
}

/// How far the index is: how many leaves it has, and the hash of the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) leaves: u64,
    pub(super) last: Digest,
}

impl Default for Position {
    fn default() -> Self {
        Self { leaves: 0, last: Digest([0; 32]) }
    }
}

pub(super) fn position(db: &Connection) -> rusqlite::Result<Position> {
    let read = |row: &rusqlite::Row<'_>| {
        let leaves: i64 = row.get(0)?;
        Ok(Position { leaves: u64::try_from(leaves).unwrap_or(0), last: Digest(row.get(1)?) })
    };
    Ok(db.query_row("SELECT leaves, last FROM position", [], read).optional()?.unwrap_or_default())
}

pub(super) fn advance(db: &Transaction<'_>, position: Position) -> rusqlite::Result<()> {
    let leaves = integer(position.leaves);
    db.prepare_cached("INSERT OR REPLACE INTO position VALUES (1, ?1, ?2)")?.execute((leaves, position.last.0))?;
    Ok(())
}

/// Forgets everything.
pub(super) fn clear(db: &mut Connection) -> rusqlite::Result<()> {
    let transaction = db.transaction()?;
    for table in ["position", "sessions", "signers", "texts", "entries", "touched", "tagged"] {
        transaction.execute(&format!("DELETE FROM {table}"), [])?;
    }
    transaction.execute("INSERT INTO words (words) VALUES ('delete-all')", [])?;
    transaction.commit()
}
