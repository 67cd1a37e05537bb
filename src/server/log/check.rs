//! Each row of the log's tables against the entry it is of.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension};

use super::tables;
use crate::audit::{self, Batch, CERTIFICATE_TYPE, Certificate, Envelope, Frontier};
use crate::domain::Digest;
use crate::server::check::{Compared, word};

/// What a row must say beside the entry itself, in the order of [`COLUMNS`].
type Derived = [Value; 5];

const COLUMNS: [&str; 5] = ["hash", "key", "first", "count", "digest"];

/// What the table of keys must say of one, in the order of [`KEY_COLUMNS`].
type DerivedKey = [Value; 6];

const KEY_COLUMNS: [&str; 6] = ["side", "session", "subject", "not_before", "not_after", "certificate"];

/// Compares everything that follows from the entries: their own columns, the keys, the tree, the checkpoint.
pub(crate) fn compare(db: &Connection, compared: &mut Compared) -> rusqlite::Result<()> {
    let checkpoint = tables::checkpoint(db)?.map(|(head, _)| head);
    let mut frontier = Frontier::default();
    let (mut keys, mut nodes, mut stated) = (0, 0, checkpoint.is_none_or(|head| head.size == 0));
    let mut select = db.prepare("SELECT leaf, body, hash, key, first, count, digest FROM envelopes ORDER BY leaf")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (leaf, body) = (tables::natural(row.get(0)?), row.get::<_, String>(1)?);
        if leaf != frontier.size() {
            compared.lie(format!("entry {} of the log is missing", frontier.size()));
            return Ok(());
        }
        compared.entries += 1;
        let hash = audit::leaf(body.as_bytes());
        for node in frontier.append(hash).into_iter().filter(|node| node.level > 0 && node.level.is_multiple_of(8)) {
            nodes += 1;
            let (level, number) = (node.level, node.index);
            if tables::hashes(db, level, number, number.saturating_add(1))?.first() != Some(&node.hash) {
                compared.lie(format!("the tree's hash {number} at level {level} does not follow from the entries"));
            }
        }
        if let Some(head) = checkpoint.filter(|head| head.size == frontier.size()) {
            stated = frontier.root() == head.root;
        }
        let Some((derived, key)) = derived(hash, &body) else {
            compared.lie(format!("entry {leaf} of the log cannot be read"));
            continue;
        };
        let found = (2..).take(COLUMNS.len()).map(|at| row.get(at)).collect::<Result<Vec<Value>, _>>()?;
        tell(&format!("entry {leaf} of the log"), &COLUMNS, &found, &derived, compared);
        if let Some((name, derived)) = key {
            keys += 1;
            let sql = "SELECT side, session, subject, not_before, not_after, certificate FROM keys WHERE key = ?1";
            let read = |row: &rusqlite::Row<'_>| (0..KEY_COLUMNS.len()).map(|at| row.get(at)).collect();
            let found: Option<Vec<Value>> = db.prepare_cached(sql)?.query_row([&derived.0], read).optional()?;
            match found {
                Some(found) => tell(&format!("the key {name}"), &KEY_COLUMNS, &found, &derived.1, compared),
                None => compared.lie(format!("the key {name} is not among the log's keys")),
            }
        }
    }
    compared.rows += compared.entries + keys + nodes;
    for (table, expected) in [("keys", keys), ("nodes", nodes)] {
        let count: i64 = db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?;
        if tables::natural(count) > expected {
            compared.lie(format!("the log's table `{table}` has {count} rows, and by its entries {expected}"));
        }
    }
    if !stated {
        compared.lie("the last checkpoint is not one of these entries".to_owned());
    }
    Ok(())
}

fn tell(what: &str, columns: &[&str], found: &[Value], derived: &[Value], compared: &mut Compared) {
    for (column, (found, derived)) in columns.iter().zip(found.iter().zip(derived)) {
        if found != derived {
            compared.lie(format!("`{column}` of {what} is {}, and by the entry itself {}", word(found), word(derived)));
        }
    }
}

/// What follows from an entry; and from a certificate, of which key.
#[expect(clippy::type_complexity, reason = "two rows of two tables")]
fn derived(hash: Digest, body: &str) -> Option<(Derived, Option<(String, (Value, DerivedKey))>)> {
    let envelope = Envelope::read(body).ok()?;
    let digest = envelope.digest();
    let blob = |bytes: &[u8]| Value::Blob(bytes.to_vec());
    let number = |number: u64| Value::Integer(tables::integer(number));
    if envelope.payload_type == CERTIFICATE_TYPE {
        let certificate = Certificate::open(&envelope, envelope.key).ok()?;
        let key = blob(&certificate.key.0);
        let text = |text: Option<String>| text.map_or(Value::Null, Value::Text);
        let derived = [
            Value::Text(certificate.side.word().to_owned()),
            text(certificate.session.map(|session| session.to_string())),
            text(certificate.subject),
            number(certificate.from.millis()),
            number(certificate.until.millis()),
            blob(&digest.0),
        ];
        let row = [blob(&hash.0), key.clone(), Value::Null, number(0), blob(&digest.0)];
        return Some((row, Some((certificate.key.to_string(), (key, derived)))));
    }
    let batch = Batch::parse(&envelope.payload).ok()?;
    let count = u64::try_from(batch.records.len()).unwrap_or(u64::MAX);
    Some(([blob(&hash.0), blob(&batch.key.0), number(batch.first), number(count), blob(&digest.0)], None))
}
