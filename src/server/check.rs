//! Compares what the server keeps beside its log with the log. None of that is signed, and all of it follows from what
//! is: whoever changed something behind the server's back is found out, and with them the row that says something else.

use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{log, timeline};
use crate::domain::{Digest, Failure, Kind};

/// Most differences that are kept; more are counted.
const LIES_MAX: usize = 1000;

/// What was compared, and what of it says something else than the log.
#[derive(Debug, Default)]
pub(crate) struct Compared {
    /// Entries of the log.
    pub(crate) entries: u64,
    /// Rows that follow from them.
    pub(crate) rows: u64,
    /// Each in a sentence.
    pub(crate) lies: Vec<String>,
    /// Those beyond the ones that are kept.
    pub(crate) more: u64,
}

impl Compared {
    pub(super) fn lie(&mut self, sentence: String) {
        if self.lies.len() < LIES_MAX {
            self.lies.push(sentence);
        } else {
            self.more += 1;
        }
    }
}

/// Compares all that is in a server's folder, whether or not it runs. Blocks.
pub(crate) fn compare(data: &Path) -> Result<Compared, Failure> {
    let mut compared = Compared::default();
    let path = data.join("log").join("log.db");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(&path, flags).map_err(|error| unreadable(&path, &error))?;
    // One state of it, whatever the server writes in the meantime.
    let log = db.unchecked_transaction().map_err(|error| unreadable(&path, &error))?;
    damage(&path, log::compare(&log, &mut compared), &mut compared)?;
    let path = data.join("timeline.db");
    if path.exists() {
        damage(&path, timeline::compare(&path, &log, &mut compared), &mut compared)?;
    }
    Ok(compared)
}

/// A file that SQLite cannot make sense of is one more difference.
fn damage(path: &Path, result: rusqlite::Result<()>, compared: &mut Compared) -> Result<(), Failure> {
    match result {
        Err(error)
            if matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)) =>
        {
            compared.lie(format!("`{}` is damaged: {error}", path.display()));
            Ok(())
        }
        done => done.map_err(|error| unreadable(path, &error)),
    }
}

fn unreadable(path: &Path, error: &rusqlite::Error) -> Failure {
    let hint = if path.exists() {
        "a file of an older gov is brought up to date when this one is started"
    } else {
        "say where the server keeps its data, with --config or --data"
    };
    Failure::new(Kind::Usage, format!("`{}` cannot be compared", path.display())).cause(error).hint(hint)
}

/// A value in a sentence.
pub(super) fn word(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => format!("`{}`", text.chars().take(60).collect::<String>()),
        Value::Blob(bytes) => match <[u8; 32]>::try_from(bytes.as_slice()) {
            Ok(digest) => Digest(digest).to_string(),
            Err(_) => format!("{} bytes", bytes.len()),
        },
    }
}
