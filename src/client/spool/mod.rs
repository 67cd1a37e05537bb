//! The client's own records, on this machine until the log has proved that it has them.
//!
//! Each process has a folder with a journal. What is recorded goes up in batches; a batch is let go only when the
//! log's receipt proves that every envelope is in a tree that begins with the tree this user remembers. A process
//! that dies leaves its folder behind, and the next one of the same user takes it over: signs what was not signed,
//! and sends it on.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::Notify;

use super::remembered::Remembered;
use crate::audit::{Carried, Receipt};
use crate::domain::{Failure, Kind, RecordId};
use crate::runtime::drain::{self, Drain, Recovery};
use crate::runtime::files;
use crate::runtime::journal::{Journal, Settings};
use crate::runtime::recorder::{Recorder, Recorders};

/// A journal without the server's: at most a day without it at a few hundred statements a second, and a reserve with
/// room for the ends of some thousand statements. Small segments, because every `gov exec` sets two aside.
const JOURNAL: Settings =
    Settings { segment_bytes: 1024 * 1024, reserve: 1, bytes_max: 1024 * 1024 * 1024, filled: false };

/// Envelopes in one upload, and their bytes together: within what the server takes.
const UPLOAD_ENVELOPES: usize = 64;
const UPLOAD_BYTES: usize = 2 * 1024 * 1024;

/// How long to wait before an upload that failed is tried again: doubled each time, up to the second.
const AGAIN_FIRST: Duration = Duration::from_millis(500);
const AGAIN_LAST: Duration = Duration::from_secs(60);

/// How often the journal is looked at for something new. Each upload costs the server a transaction and a checkpoint.
const LOOK: Duration = Duration::from_millis(500);

/// Folders tried before somebody else is thought to take them on purpose.
const NAMES_TRIED: u32 = 10;

/// Takes records to the log.
pub(crate) trait Uplink {
    /// Sends envelopes; the answer proves that they are in the log, and that it begins with the `remembered` leaves.
    fn upload(&self, envelopes: &[String], remembered: u64) -> impl Future<Output = Result<Receipt, Failure>> + Send;
}

/// One process's records.
#[derive(Debug)]
pub(crate) struct Spool {
    folder: PathBuf,
    journal: Journal,
    recorders: Recorders,
    /// Something has come that should not wait for the next look.
    hurry: Notify,
}

impl Spool {
    /// Makes a folder of a new name below `root`.
    pub(crate) fn create(root: &Path, mut name: impl FnMut() -> Result<RecordId, Failure>) -> Result<Self, Failure> {
        // Whoever looks for folders of dead processes may take one that was made a moment ago and is not held yet. It is
        // empty, so they are welcome to it.
        for _ in 0..NAMES_TRIED {
            if let Some(spool) = Self::open(&root.join(name()?.to_string()))? {
                return Ok(spool);
            }
        }
        Err(Failure::new(Kind::Internal, "no folder for this process's records could be made")
            .detail(format!("Each one below {} was taken by another process at once.", root.display())))
    }

    fn open(folder: &Path) -> Result<Option<Self>, Failure> {
        let Some((journal, _)) = Journal::open(folder, JOURNAL)? else { return Ok(None) };
        let recorders = Recorders::start(&journal)?;
        Ok(Some(Self { folder: folder.to_owned(), journal, recorders, hurry: Notify::new() }))
    }

    pub(crate) fn recorders(&self) -> &Recorders {
        &self.recorders
    }

    /// Takes over what dead processes of this user have left below `root`, to be sent by this one. Everything they had
    /// not signed is signed by `recorder`, which records elsewhere.
    pub(crate) fn take_over(root: &Path, recorder: &Recorder) -> Result<Vec<(Self, Recovery)>, Failure> {
        let unreadable = |error: io::Error| {
            Failure::new(Kind::Internal, format!("`{}` cannot be read", root.display())).detail(format!("{error}."))
        };
        let mut found = Vec::new();
        for entry in fs::read_dir(root).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.strip_suffix(DONE).is_some_and(is_spool) {
                // Everything in it has been proved to be in the log.
                drop(fs::remove_dir_all(&path));
                continue;
            }
            if is_spool(name)
                && let Some(spool) = Self::open(&path)?
            {
                let recovery = drain::recover(&spool.journal, recorder)?;
                found.push((spool, recovery));
            }
        }
        Ok(found)
    }

    /// Sends what is recorded, as it comes, until everything has been sent and `ending` says that no more will come.
    /// May be dropped at any point: what was not proved to be in the log is sent again by the next process.
    pub(crate) async fn send(
        &self,
        uplink: &impl Uplink,
        remembered: &Remembered,
        ending: impl Fn() -> bool,
    ) -> Result<(), Failure> {
        let mut drain = Drain::new(&self.journal);
        loop {
            let over = ending();
            while let Some(drained) = drain.next()? {
                // Raw texts are kept by the gateway, and never here.
                let lines: Vec<String> = drained.envelopes.into_iter().map(Carried::into_line).collect();
                for batch in batches(&lines) {
                    send_batch(uplink, remembered, batch).await?;
                }
                drain.free(drained.last)?;
            }
            if over && drain.is_empty() {
                return Ok(());
            }
            // Too late or too early: the next look finds what there is.
            drop(tokio::time::timeout(LOOK, self.hurry.notified()).await);
        }
    }

    /// Has what is recorded sent now.
    pub(crate) fn hurry(&self) {
        self.hurry.notify_one();
    }

    /// Removes the folder. Only for a spool whose records have all been sent.
    pub(crate) fn remove(&self) -> Result<(), Failure> {
        let done = with_suffix(&self.folder);
        let cannot = |error: io::Error| {
            Failure::new(Kind::Internal, format!("`{}` cannot be removed", self.folder.display()))
                .detail(format!("{error}."))
        };
        // Renamed while it is still ours, so that nobody takes over a folder that is going away.
        fs::rename(&self.folder, &done).map_err(cannot)?;
        fs::remove_dir_all(&done).map_err(cannot)
    }
}

/// Appended to the name of a folder that is going away.
const DONE: &str = ".done";

fn with_suffix(folder: &Path) -> PathBuf {
    let mut name = folder.as_os_str().to_owned();
    name.push(DONE);
    PathBuf::from(name)
}

fn is_spool(name: &str) -> bool {
    name.parse::<RecordId>().is_ok()
}

/// Makes the folder all spools are in.
pub(crate) fn create_root(root: &Path) -> Result<(), Failure> {
    files::create_private_dir(root).map_err(|error| {
        Failure::new(Kind::Usage, format!("`{}` cannot be made", root.display())).detail(format!("{error}."))
    })
}

/// Splits envelopes into uploads.
fn batches(envelopes: &[String]) -> Vec<&[String]> {
    let mut batches = Vec::new();
    let mut rest = envelopes;
    while !rest.is_empty() {
        let mut bytes = 0usize;
        let fitting = rest.iter().take(UPLOAD_ENVELOPES).take_while(|envelope| {
            bytes = bytes.saturating_add(envelope.len());
            bytes <= UPLOAD_BYTES
        });
        let (batch, more) = rest.split_at_checked(fitting.count().max(1)).unwrap_or((rest, &[]));
        batches.push(batch);
        rest = more;
    }
    batches
}

/// Sends one batch until the log proves that it has it. What only the passing of time can mend is tried again; a log
/// that lies or refuses is not.
async fn send_batch(uplink: &impl Uplink, remembered: &Remembered, batch: &[String]) -> Result<(), Failure> {
    let mut pause = AGAIN_FIRST;
    loop {
        let head = remembered.head()?;
        match uplink.upload(batch, head.size).await {
            Ok(receipt) => {
                let head = receipt.check(batch, remembered.log(), head).map_err(|error| {
                    Failure::new(Kind::Gateway, "the server does not prove that it has this session's records")
                        .detail(format!("Its receipt is not valid: {error}."))
                        .hint("your records stay on this machine; tell those who run the server")
                })?;
                return remembered.keep(head, &receipt.checkpoint);
            }
            Err(failure) => match failure.kind {
                Kind::Gateway | Kind::Limit | Kind::Internal | Kind::NotLoggedIn | Kind::Pending => {
                    tracing::debug!(error = %failure, "records could not be sent; they stay here");
                    tokio::time::sleep(pause).await;
                    pause = pause.saturating_mul(2).min(AGAIN_LAST);
                }
                Kind::Usage | Kind::Denied | Kind::NotFound | Kind::Database => return Err(failure),
            },
        }
    }
}

#[cfg(test)]
mod tests;
