//! The last checkpoint of a log that this user has seen: whoever shows a shorter log later, or another one, is caught.

use std::path::PathBuf;

use crate::audit::{Checkpoint, Head, NOTE_MAX, Note, NoteKey};
use crate::domain::{Failure, Kind};
use crate::runtime::files;

/// One log's checkpoint in a file.
#[derive(Clone, Debug)]
pub(crate) struct Remembered {
    path: PathBuf,
    log: NoteKey,
}

impl Remembered {
    pub(crate) fn new(path: PathBuf, log: NoteKey) -> Self {
        Self { path, log }
    }

    /// The key the log signs with.
    pub(crate) fn log(&self) -> &NoteKey {
        &self.log
    }

    /// What is remembered; the empty tree when nothing is.
    pub(crate) fn head(&self) -> Result<Head, Failure> {
        let unreadable = |why: String| {
            Failure::new(Kind::Usage, format!("the checkpoint in `{}` cannot be read", self.path.display()))
                .detail(format!("{why}."))
                .hint("remove the file to begin anew; what the log was before can then not be compared")
        };
        let limit = u64::try_from(NOTE_MAX).unwrap_or(u64::MAX);
        let Some(bytes) = files::read_limited(&self.path, limit).map_err(|error| unreadable(error.to_string()))? else {
            return Ok(Head::empty());
        };
        let text = String::from_utf8(bytes).map_err(|error| unreadable(error.to_string()))?;
        let note = Note::read(&text).map_err(|error| unreadable(error.to_string()))?;
        let checkpoint = Checkpoint::open(&note, &self.log).map_err(|error| unreadable(error.to_string()))?;
        Ok(checkpoint.head)
    }

    /// Remembers a checkpoint that was checked against the one remembered. An older one, of a process that was
    /// slower, changes nothing.
    pub(crate) fn keep(&self, head: Head, note: &str) -> Result<(), Failure> {
        let cannot = |error: std::io::Error| {
            Failure::new(Kind::Internal, "the log's checkpoint cannot be remembered")
                .detail(format!("{}: {error}.", self.path.display()))
        };
        // Held while it is compared and replaced: several processes of one user remember the same log.
        let _held = files::lock(&self.path.with_extension("lock")).map_err(cannot)?;
        if self.head()?.size >= head.size {
            return Ok(());
        }
        files::write_private(&self.path, note.as_bytes()).map_err(cannot)
    }
}
