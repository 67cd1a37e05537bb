//! The log's tables: envelopes in the order of the tree, the keys that may sign them, and the tree's own hashes.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;

use rusqlite::{Connection, OptionalExtension, Transaction};

use crate::audit::{Certificate, Complete, Hashes, Head, InTiles, TreeError};
use crate::domain::{Digest, PublicKey, SessionId, Side, Timestamp};
use crate::server::store::Migrations;

pub(super) const MIGRATIONS: Migrations = Migrations {
    owner: "log",
    steps: &[
        "
        CREATE TABLE keys (
            key BLOB PRIMARY KEY,
            side TEXT NOT NULL,
            session TEXT,
            subject TEXT,
            not_before INTEGER NOT NULL,
            not_after INTEGER NOT NULL,
            certificate BLOB NOT NULL
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE envelopes (
            leaf INTEGER PRIMARY KEY,
            hash BLOB NOT NULL,
            key BLOB NOT NULL,
            first INTEGER,
            count INTEGER NOT NULL,
            digest BLOB NOT NULL,
            received INTEGER NOT NULL,
            body TEXT NOT NULL
        ) STRICT;
        CREATE UNIQUE INDEX envelopes_by_place ON envelopes (key, first) WHERE first IS NOT NULL;
        CREATE UNIQUE INDEX certificates ON envelopes (key) WHERE first IS NULL;

        CREATE TABLE nodes (
            level INTEGER NOT NULL,
            number INTEGER NOT NULL,
            hash BLOB NOT NULL,
            PRIMARY KEY (level, number)
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE checkpoint (
            one INTEGER PRIMARY KEY CHECK (one = 1),
            size INTEGER NOT NULL,
            root BLOB NOT NULL,
            note TEXT NOT NULL
        ) STRICT;

        CREATE TABLE refused (
            received INTEGER NOT NULL,
            why TEXT NOT NULL,
            body TEXT NOT NULL
        ) STRICT;
    ",
        "
        CREATE INDEX keys_by_subject ON keys (subject);
    ",
        "
        -- Raw texts that came with the records of a leaf, sealed. They are no part of the tree: records name them.
        CREATE TABLE sealed (
            leaf INTEGER PRIMARY KEY,
            texts BLOB NOT NULL
        ) STRICT;
        CREATE INDEX keys_by_session ON keys (session);
    ",
        // Nobody asked when an entry came in, and it was the only thing here that does not follow from the entry.
        "
        ALTER TABLE envelopes DROP COLUMN received;
    ",
    ],
};

/// Refused envelopes that are kept for whoever looks into them; a client that only sends nonsense must not fill the
/// disk.
const REFUSED_MAX: i64 = 1000;

/// SQLite's integers have a sign; none of our numbers comes near it.
pub(super) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn natural(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// One envelope to be kept.
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub(super) leaf: u64,
    pub(super) hash: Digest,
    pub(super) key: PublicKey,
    /// Number of the first record, and how many there are; `None` for a certificate.
    pub(super) records: Option<(u64, u64)>,
    pub(super) digest: Digest,
    pub(super) body: &'a str,
}

pub(super) fn insert_envelope(db: &Transaction<'_>, row: &Row<'_>) -> rusqlite::Result<()> {
    let (first, count) = row.records.unzip();
    db.prepare_cached("INSERT INTO envelopes VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?.execute((
        integer(row.leaf),
        row.hash.0,
        row.key.0,
        first.map(integer),
        integer(count.unwrap_or(0)),
        row.digest.0,
        row.body,
    ))?;
    Ok(())
}

/// Keeps the sealed texts that came with a leaf.
pub(super) fn insert_sealed(db: &Transaction<'_>, leaf: u64, texts: &[u8]) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT INTO sealed VALUES (?1, ?2)")?.execute((integer(leaf), texts)).map(drop)
}

/// Sealed texts of leaves from `from` on: `most` bytes, or what one leaf has. And the leaf to go on from; `None` when
/// there are no more.
pub(super) fn sealed(db: &Connection, from: u64, most: usize) -> rusqlite::Result<(Vec<u8>, Option<u64>)> {
    let mut found = Vec::new();
    let mut select = db.prepare_cached("SELECT leaf, texts FROM sealed WHERE leaf >= ?1 ORDER BY leaf")?;
    let mut rows = select.query([integer(from)])?;
    while let Some(row) = rows.next()? {
        let texts = row.get_ref(1)?.as_blob()?;
        if !found.is_empty() && found.len().saturating_add(texts.len()) > most {
            return Ok((found, Some(natural(row.get(0)?))));
        }
        found.extend_from_slice(texts);
    }
    Ok((found, None))
}

/// Envelopes that the gateway signed for a session, from behind leaf `after` on, with the sealed texts that came with
/// them; and those in which the server says what it found after a crash, of this session or another, where texts came
/// with them.
pub(super) fn of_session(
    db: &Connection,
    session: SessionId,
    after: Option<u64>,
    most: usize,
) -> rusqlite::Result<Vec<(u64, String, Vec<u8>)>> {
    let sql = "
        SELECT leaf, body, coalesce(texts, x'') FROM envelopes LEFT JOIN sealed USING (leaf)
        WHERE key IN (SELECT key FROM keys WHERE (session = ?1 AND side = 'gateway') OR session IS NULL)
          AND first IS NOT NULL AND leaf > ?2
          AND (texts IS NOT NULL OR key IN (SELECT key FROM keys WHERE session = ?1))
        ORDER BY leaf LIMIT ?3";
    let read = |row: &rusqlite::Row<'_>| Ok((natural(row.get(0)?), row.get(1)?, row.get(2)?));
    let (after, most) = (after.map_or(-1, integer), i64::try_from(most).unwrap_or(i64::MAX));
    db.prepare_cached(sql)?.query_map((session.to_string(), after, most), read)?.collect()
}

/// What stands at or before a place of a key's chain: the leaf, the first record's number, how many, the digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) leaf: u64,
    pub(super) first: u64,
    pub(super) count: u64,
    pub(super) digest: Digest,
}

/// The last envelope of a key that begins at record `seq` or before it.
pub(super) fn stretch_at(db: &Transaction<'_>, key: PublicKey, seq: u64) -> rusqlite::Result<Option<Stretch>> {
    let sql =
        "SELECT leaf, first, count, digest FROM envelopes WHERE key = ?1 AND first <= ?2 ORDER BY first DESC LIMIT 1";
    db.prepare_cached(sql)?.query_row((key.0, integer(seq)), stretch).optional()
}

/// The first envelope of a key that begins after record `seq`.
pub(super) fn stretch_after(db: &Transaction<'_>, key: PublicKey, seq: u64) -> rusqlite::Result<Option<Stretch>> {
    let sql = "SELECT leaf, first, count, digest FROM envelopes WHERE key = ?1 AND first > ?2 ORDER BY first LIMIT 1";
    db.prepare_cached(sql)?.query_row((key.0, integer(seq)), stretch).optional()
}

fn stretch(row: &rusqlite::Row<'_>) -> rusqlite::Result<Stretch> {
    Ok(Stretch {
        leaf: natural(row.get(0)?),
        first: natural(row.get(1)?),
        count: natural(row.get(2)?),
        digest: Digest(row.get(3)?),
    })
}

/// A certified key, and the digest of its certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) certificate: Certificate,
    pub(super) digest: Digest,
}

pub(super) fn insert_key(db: &Transaction<'_>, key: &Key) -> rusqlite::Result<()> {
    let certificate = &key.certificate;
    db.execute(
        "INSERT INTO keys VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        (
            certificate.key.0,
            certificate.side.word(),
            certificate.session.map(|session| session.to_string()),
            &certificate.subject,
            integer(certificate.from.millis()),
            integer(certificate.until.millis()),
            key.digest.0,
        ),
    )?;
    Ok(())
}

pub(super) fn key(db: &Transaction<'_>, key: PublicKey) -> rusqlite::Result<Option<Key>> {
    let sql = "SELECT side, session, subject, not_before, not_after, certificate FROM keys WHERE key = ?1";
    let read = |row: &rusqlite::Row<'_>| {
        let side: String = row.get(0)?;
        let session: Option<String> = row.get(1)?;
        // What is in this table was parsed when it was put there.
        let session = session.and_then(|text| text.parse::<SessionId>().ok());
        let (from, until): (i64, i64) = (row.get(3)?, row.get(4)?);
        let certificate = Certificate {
            key,
            side: Side::parse(&side).unwrap_or(Side::Client),
            session,
            subject: row.get(2)?,
            from: Timestamp::from_millis(natural(from)),
            until: Timestamp::from_millis(natural(until)),
        };
        Ok(Key { certificate, digest: Digest(row.get(5)?) })
    };
    db.prepare_cached(sql)?.query_row([key.0], read).optional()
}

/// Keeps a node of the tree that a tile will need: those of the leaves are with the envelopes.
pub(super) fn insert_node(db: &Transaction<'_>, node: &Complete) -> rusqlite::Result<()> {
    if node.level > 0 && node.level.is_multiple_of(8) {
        let row = (node.level, integer(node.index), node.hash.0);
        db.prepare_cached("INSERT INTO nodes VALUES (?1, ?2, ?3)")?.execute(row)?;
    }
    Ok(())
}

/// How many envelopes there are.
pub(super) fn size(db: &Connection) -> rusqlite::Result<u64> {
    db.query_row("SELECT coalesce(max(leaf) + 1, 0) FROM envelopes", [], |row| row.get(0)).map(natural)
}

/// Hashes `from` to `until` of a level that is a multiple of eight.
pub(super) fn hashes(db: &Connection, level: u8, from: u64, until: u64) -> rusqlite::Result<Vec<Digest>> {
    let (from, until) = (integer(from), integer(until));
    let read = |row: &rusqlite::Row<'_>| row.get(0).map(Digest);
    if level == 0 {
        let sql = "SELECT hash FROM envelopes WHERE leaf >= ?1 AND leaf < ?2 ORDER BY leaf";
        db.prepare_cached(sql)?.query_map((from, until), read)?.collect()
    } else {
        let sql = "SELECT hash FROM nodes WHERE level = ?1 AND number >= ?2 AND number < ?3 ORDER BY number";
        db.prepare_cached(sql)?.query_map((level, from, until), read)?.collect()
    }
}

/// The bodies of leaves `from` to `until`.
pub(in crate::server) fn bodies(db: &Connection, from: u64, until: u64) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT body FROM envelopes WHERE leaf >= ?1 AND leaf < ?2 ORDER BY leaf";
    db.prepare_cached(sql)?.query_map((integer(from), integer(until)), |row| row.get(0))?.collect()
}

/// Leaves in this range that a subject's keys have signed, and the certificates of these keys, with their bodies.
pub(super) fn of_subject(
    db: &Connection,
    subject: &str,
    leaves: Range<u64>,
    most: usize,
) -> rusqlite::Result<Vec<(u64, String)>> {
    let sql = "
        WITH theirs AS (SELECT key FROM keys WHERE subject = ?1),
        found AS (
            SELECT leaf FROM envelopes WHERE key IN theirs AND first IS NOT NULL AND leaf >= ?2 AND leaf < ?3
            UNION ALL
            SELECT leaf FROM envelopes WHERE key IN theirs AND first IS NULL AND leaf >= ?2 AND leaf < ?3
            ORDER BY leaf LIMIT ?4
        )
        SELECT leaf, body FROM found JOIN envelopes USING (leaf) ORDER BY leaf";
    let read = |row: &rusqlite::Row<'_>| Ok((natural(row.get(0)?), row.get(1)?));
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let mut statement = db.prepare_cached(sql)?;
    statement.query_map((subject, integer(leaves.start), integer(leaves.end), most), read)?.collect()
}

/// The last checkpoint published: the tree's head and the signed note.
pub(super) fn checkpoint(db: &Connection) -> rusqlite::Result<Option<(Head, String)>> {
    let read = |row: &rusqlite::Row<'_>| {
        let head = Head { size: natural(row.get(0)?), root: Digest(row.get(1)?) };
        Ok((head, row.get(2)?))
    };
    db.query_row("SELECT size, root, note FROM checkpoint", [], read).optional()
}

/// Publishes a checkpoint in place of `old`. `false` when another one is there: somebody else writes this log.
pub(super) fn replace_checkpoint(
    db: &Transaction<'_>,
    old: Option<Head>,
    new: Head,
    note: &str,
) -> rusqlite::Result<bool> {
    let (size, root) = (integer(new.size), new.root.0);
    let changed = match old {
        None => db.execute(
            "INSERT INTO checkpoint SELECT 1, ?1, ?2, ?3 WHERE NOT EXISTS (SELECT 1 FROM checkpoint)",
            (size, root, note),
        )?,
        Some(old) => db.execute(
            "UPDATE checkpoint SET size = ?1, root = ?2, note = ?3 WHERE size = ?4 AND root = ?5",
            (size, root, note, integer(old.size), old.root.0),
        )?,
    };
    Ok(changed == 1)
}

/// The leaf of a key's certificate.
pub(super) fn certificate_leaf(db: &Transaction<'_>, key: PublicKey) -> rusqlite::Result<u64> {
    db.query_row("SELECT leaf FROM envelopes WHERE key = ?1 AND first IS NULL", [key.0], |row| row.get(0)).map(natural)
}

pub(super) fn insert_refused(db: &Transaction<'_>, received: Timestamp, why: &str, body: &str) -> rusqlite::Result<()> {
    db.execute("INSERT INTO refused VALUES (?1, ?2, ?3)", (integer(received.millis()), why, body))?;
    db.execute("DELETE FROM refused WHERE rowid <= (SELECT max(rowid) FROM refused) - ?1", [REFUSED_MAX])?;
    Ok(())
}

/// The tree in the tables, for one transaction. What has been looked up is remembered: proofs for neighbours have most of
/// their hashes in common, and each hash within a tile is made of all that lie below it there.
#[derive(Debug)]
pub(super) struct Kept<'a> {
    db: &'a Connection,
    tiles: RefCell<HashMap<(u8, u64), Vec<Digest>>>,
    known: RefCell<HashMap<(u8, u64), Digest>>,
}

/// Tiles and hashes that are remembered: 2 MiB and some. When there are more, they are looked up again.
const TILES_MAX: usize = 256;
const KNOWN_MAX: usize = 16 * 1024;

impl<'a> Kept<'a> {
    pub(super) fn new(db: &'a Connection) -> Self {
        Self { db, tiles: RefCell::default(), known: RefCell::default() }
    }

    fn tile(&self, height: u8, number: u64) -> Option<Vec<Digest>> {
        if let Some(tile) = self.tiles.borrow().get(&(height, number)) {
            return Some(tile.clone());
        }
        let from = number.checked_mul(256)?;
        let tile = hashes(self.db, height.checked_mul(8)?, from, from.checked_add(256)?).ok()?;
        let mut tiles = self.tiles.borrow_mut();
        if tiles.len() >= TILES_MAX {
            tiles.clear();
        }
        tiles.insert((height, number), tile.clone());
        Some(tile)
    }
}

impl Hashes for Kept<'_> {
    fn hash(&self, level: u8, index: u64) -> Result<Digest, TreeError> {
        if let Some(hash) = self.known.borrow().get(&(level, index)) {
            return Ok(*hash);
        }
        let missing = TreeError::Missing { level, index };
        let tiles = InTiles(|height, number| self.tile(height, number));
        let hash = tiles.hash(level, index).map_err(|_| missing)?;
        let mut known = self.known.borrow_mut();
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert((level, index), hash);
        Ok(hash)
    }
}
