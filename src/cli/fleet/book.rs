//! The file of `--resume`: how each database ended, so that the next run goes on where this one stopped.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::variables::Prepared;
use crate::audit;
use crate::domain::{Failure, Kind, ResourceName};
use crate::runtime::files;

/// Longest file read, in bytes: some ten thousand databases.
const LENGTH_MAX: u64 = 1024 * 1024;

/// What is known about a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// Something may have been sent to it.
    Begun,
    Done,
    /// It said no, or was never reached.
    Failed,
}

/// What is written. Neither statements nor data are: only the digest by which they are known again.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    statements: String,
    databases: BTreeMap<String, State>,
}

#[derive(Debug)]
pub(super) struct Book {
    /// `None`: nothing is kept.
    path: Option<PathBuf>,
    written: Written,
}

impl Book {
    /// Opens the file, which need not be there. One about other statements is refused: it would skip databases in which
    /// these have never run.
    pub(super) fn open(path: Option<&Path>, statements: &[Prepared], writes: bool) -> Result<Self, Failure> {
        let mut all = vec![u8::from(writes)];
        for part in statements.iter().flat_map(|prepared| std::iter::once(&prepared.text).chain(&prepared.values)) {
            // The length keeps (`ab`, `c`) apart from (`a`, `bc`).
            all.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            all.extend_from_slice(part.as_bytes());
        }
        let fresh = Written { statements: audit::digest(&all).to_string(), databases: BTreeMap::new() };
        let Some(path) = path else { return Ok(Self { path: None, written: fresh }) };
        let path = std::path::absolute(path).map_err(|error| unusable(path, &error))?;
        let found = files::read_limited(&path, LENGTH_MAX).map_err(|error| unusable(&path, &error))?;
        let written = match found {
            None => fresh,
            Some(text) => {
                let found: Written = serde_json::from_slice(&text).map_err(|error| unusable(&path, &error))?;
                if found.statements != fresh.statements {
                    let message = format!("`{}` is about other statements", path.display());
                    return Err(Failure::new(Kind::Usage, message)
                        .hint("run the same SQL with the same values again, or name another file"));
                }
                found
            }
        };
        let book = Self { path: Some(path), written };
        // Before anything runs: a file that cannot be written is no help after the crash.
        book.save()?;
        Ok(book)
    }

    pub(super) fn state(&self, name: &ResourceName) -> Option<State> {
        self.written.databases.get(name.as_str()).copied()
    }

    /// Durable when this returns.
    pub(super) fn set(&mut self, name: &ResourceName, state: State) -> Result<(), Failure> {
        self.written.databases.insert(name.to_string(), state);
        self.save()
    }

    fn save(&self) -> Result<(), Failure> {
        let Some(path) = &self.path else { return Ok(()) };
        let text = serde_json::to_vec_pretty(&self.written).map_err(|error| unusable(path, &error))?;
        files::write_private(path, &text).map_err(|error| unusable(path, &error))
    }
}

fn unusable(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Kind::Usage, format!("`{}` cannot be used", path.display())).cause(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_book_goes_on_for_the_same_statements_only() {
        let path = std::env::temp_dir().join(format!("gov-book-{}.json", std::process::id()));
        drop(files::remove(&path));
        let statement =
            |text: &str, value: &str| vec![Prepared { text: text.to_owned(), values: vec![value.to_owned()] }];
        let name: ResourceName = "a".parse().unwrap();
        let mut book = Book::open(Some(&path), &statement("select $1", "x"), false).unwrap();
        assert_eq!(book.state(&name), None);
        book.set(&name, State::Done).unwrap();
        let again = Book::open(Some(&path), &statement("select $1", "x"), false).unwrap();
        assert_eq!(again.state(&name), Some(State::Done));
        for (text, value, writes) in [("select $2", "x", false), ("select $1", "y", false), ("select $1", "x", true)] {
            let refused = Book::open(Some(&path), &statement(text, value), writes).unwrap_err();
            assert!(refused.message.ends_with("is about other statements"), "{refused}");
        }
        files::write_private(&path, b"{}").unwrap();
        assert_eq!(Book::open(Some(&path), &statement("select $1", "x"), false).unwrap_err().kind, Kind::Usage);
        drop(files::remove(&path));
    }
}
