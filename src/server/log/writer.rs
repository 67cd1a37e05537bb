//! The thread that takes envelopes in and publishes checkpoints.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Instant;

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{oneshot, watch};

use super::Committed;
use super::admit::{AdmitError, Bearer, Entrance};
use super::recent::{Entered, Recent};
use super::tables;
use crate::audit::{
    Carried, Checkpoint, Frontier, Head, Inclusion, NOTE_MAX, Note, NoteSigner, Receipt, prove_consistency,
    prove_inclusion, root,
};
use crate::domain::{Duration, Event, Failure, Happening, Kind, PublicKey};
use crate::runtime::drain::{Drain, Drained};
use crate::runtime::journal::Journal;
use crate::runtime::recorder::Recorder;
use crate::runtime::{clock, files};

/// How often the journal is looked at when nobody waits for what is in it. Each look that finds something costs a
/// transaction, whose syncs statements that wait for their own feel.
const LOOK: Duration = Duration::from_millis(500);

/// Longest time, and most leaves, between checkpoints when something has come in (DESIGN §8).
const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);
const CHECKPOINT_LEAVES: u64 = 256;

/// Most readings of the journal, and most uploads, that are committed at once.
const READINGS_MAX: usize = 16;
const UPLOADS_MAX: usize = 64;

/// How long to wait before a database that failed is tried again.
const AGAIN: Duration = Duration::from_millis(200);

/// What the thread is asked for.
#[derive(Debug)]
pub(super) enum Job {
    Upload(Upload, Reply),
    /// Look at the journal now: somebody waits for what is in it.
    Look,
    /// Sign a checkpoint of all there is, without waiting for its time.
    Publish,
    Stop,
}

/// What a client brings.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) subject: String,
    pub(super) envelopes: Vec<Carried>,
    /// Size of the tree the client remembers.
    pub(super) remembered: u64,
}

type Reply = oneshot::Sender<Result<Receipt, Failure>>;

/// What a writer is made of.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) db: Connection,
    pub(super) journal: Journal,
    pub(super) server: PublicKey,
    pub(super) note: NoteSigner,
    pub(super) control: Recorder,
    /// A file beside the database that remembers the last checkpoint, so that a database put back from a copy is
    /// noticed.
    pub(super) memory: PathBuf,
    /// Gets what enters, for whoever follows the log.
    pub(super) recent: Arc<Recent>,
    /// Hears how far the log has come.
    pub(super) progress: watch::Sender<Committed>,
}

/// The thread's state.
#[derive(Debug)]
pub(super) struct Writer {
    parts: Parts,
    drain: Drain,
    frontier: Frontier,
    published: Option<Head>,
    published_at: Instant,
    /// Read from the journal and not committed yet.
    waiting: Vec<Drained>,
    /// Frames up to this one were there when the log was opened: what is lost among them has been reported.
    reported: u64,
}

/// What became of a transaction.
struct Round {
    frontier: Frontier,
    published: Option<Head>,
    note: Option<String>,
    replies: Vec<Result<Receipt, Failure>>,
    entered: Vec<Entered>,
}

impl Writer {
    /// Refuses a log that is not what it was.
    pub(super) fn new(parts: Parts) -> Result<Self, Failure> {
        let size = tables::size(&parts.db).map_err(|error| broken(&error))?;
        let damaged = |why: String| {
            Failure::new(Kind::Usage, "the log is not what it was")
                .detail(format!("{why}."))
                .hint("put the newest copy back; `gov audit verify` says what is wrong with it")
        };
        let hashes = tables::Kept::new(&parts.db);
        let frontier = Frontier::of(size, &hashes).map_err(|error| damaged(sentence(&error)))?;
        let published = tables::checkpoint(&parts.db).map_err(|error| broken(&error))?.map(|(head, _)| head);
        let remembered = remembered(&parts)?;
        for (head, whose) in [(published, "its last checkpoint"), (remembered, "the checkpoint remembered beside it")] {
            let Some(head) = head else { continue };
            if head.size > size {
                return Err(damaged(format!("It has {size} entries, and {whose} says {}", head.size)));
            }
            if root(head.size, &hashes).map_err(|error| damaged(sentence(&error)))? != head.root {
                return Err(damaged(format!("Its first {} entries are not those of {whose}", head.size)));
            }
        }
        let drain = Drain::new(&parts.journal);
        let reported = parts.journal.last_durable();
        let published_at = clock::monotonic();
        parts.progress.send_replace(Committed {
            frames: 0,
            leaves: size,
            published: published.map_or(0, |head| head.size),
        });
        Ok(Self { parts, drain, frontier, published, published_at, waiting: Vec::new(), reported })
    }

    /// Works until it is told to stop, and then until nothing is left.
    pub(super) fn run(mut self, inbox: &Receiver<Job>) {
        let mut stopping = false;
        loop {
            let mut uploads = Vec::new();
            let mut publish = stopping;
            let mut next = if stopping { Err(RecvTimeoutError::Timeout) } else { inbox.recv_timeout(LOOK) };
            loop {
                match next {
                    Ok(Job::Upload(upload, reply)) => uploads.push((upload, reply)),
                    Ok(Job::Look) => {}
                    Ok(Job::Publish) => publish = true,
                    Ok(Job::Stop) | Err(RecvTimeoutError::Disconnected) => stopping = true,
                    Err(RecvTimeoutError::Timeout) => {}
                }
                if stopping || uploads.len() >= UPLOADS_MAX {
                    break;
                }
                let Ok(job) = inbox.try_recv() else { break };
                next = Ok(job);
            }
            match self.round(uploads, publish | stopping) {
                Ok(true) => {}
                Ok(false) if stopping => return,
                Ok(false) => {}
                Err(failure) => {
                    tracing::error!(error = %failure, detail = failure.detail, "the log cannot be written");
                    if stopping {
                        return;
                    }
                    self.parts.journal.wait_beyond(u64::MAX, AGAIN);
                }
            }
        }
    }

    /// Takes in what there is. Says whether there was anything.
    fn round(&mut self, uploads: Vec<(Upload, Reply)>, publish: bool) -> Result<bool, Failure> {
        if self.waiting.is_empty() {
            while self.waiting.len() < READINGS_MAX
                && let Some(drained) = self.drain.next()?
            {
                self.waiting.push(drained);
            }
        }
        let grown = self.frontier.size() > self.published.map_or(0, |head| head.size);
        let due = grown && (publish || self.published_at.elapsed() >= CHECKPOINT_EVERY);
        if self.waiting.is_empty() && uploads.is_empty() && !due {
            return Ok(false);
        }
        let (asked, replies): (Vec<_>, Vec<_>) = uploads.into_iter().unzip();
        let committed = self.commit(&asked, due);
        let round = match committed {
            Ok(round) => round,
            Err(error) => {
                for reply in replies {
                    // Nobody waits any more when the caller was cancelled.
                    drop(reply.send(Err(broken(&error))));
                }
                return Err(broken(&error));
            }
        };
        self.remember(round.note.as_deref());
        for (reply, answer) in replies.into_iter().zip(round.replies) {
            drop(reply.send(answer));
        }
        if round.published != self.published {
            self.published_at = clock::monotonic();
        }
        // Before anybody hears that the log has grown.
        self.parts.recent.add(round.entered);
        self.frontier = round.frontier;
        self.published = round.published;
        self.settle()?;
        Ok(true)
    }

    /// One transaction: everything that waits, the uploads, and a checkpoint if one is due.
    fn commit(&mut self, uploads: &[Upload], due: bool) -> rusqlite::Result<Round> {
        let mut frontier = self.frontier.clone();
        let parts = &mut self.parts;
        let db = parts.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut entered = Vec::new();
        let (server, now) = (parts.server, clock::now());
        let mut entrance = Entrance { db: &db, server, now, frontier: &mut frontier, entered: &mut entered };
        for envelope in self.waiting.iter().flat_map(|drained| &drained.envelopes) {
            match entrance.admit(Bearer::Journal, envelope) {
                Ok(_) => {}
                Err(AdmitError::Database(error)) => return Err(error),
                Err(error) => {
                    tracing::error!(%error, "the log refuses what this server has recorded");
                    tables::insert_refused(&db, entrance.now, &error.to_string(), envelope.line())?;
                }
            }
        }
        let mut answers = Vec::new();
        for upload in uploads {
            answers.push(take_upload(&mut entrance, upload)?);
        }
        let old = self.published;
        let size = frontier.size();
        let grown = size.saturating_sub(old.map_or(0, |head| head.size));
        let publish = grown > 0 && (due || !answers.is_empty() || grown >= CHECKPOINT_LEAVES);
        let (head, note) = if publish {
            let head = Head { size, root: frontier.root() };
            let note = sign(&parts.note, head).ok_or(rusqlite::Error::InvalidQuery)?;
            if !tables::replace_checkpoint(&db, old, head, &note)? {
                // Somebody else has published one: going on would make two logs of one name.
                return Err(rusqlite::Error::StatementChangedRows(0));
            }
            (Some(head), Some(note))
        } else {
            (old, None)
        };
        let mut replies = Vec::new();
        let hashes = tables::Kept::new(&db);
        for (answer, upload) in answers.into_iter().zip(uploads) {
            replies.push(match answer {
                Ok(leaves) => receipt(&db, &hashes, &leaves, upload.remembered)?,
                Err(failure) => Err(failure),
            });
        }
        drop(hashes);
        db.commit()?;
        Ok(Round { frontier, published: head, note, replies, entered })
    }

    /// Keeps the checkpoint outside the database. If that fails the log is as good as before; only a rollback of the
    /// database to this very point would go unnoticed here.
    fn remember(&self, note: Option<&str>) {
        if let Some(note) = note
            && let Err(error) = files::write_private(&self.parts.memory, note.as_bytes())
        {
            tracing::warn!(%error, "the last checkpoint cannot be remembered beside the log");
        }
    }

    /// What was committed goes from the journal; what was lost is said.
    fn settle(&mut self) -> Result<(), Failure> {
        let waiting = std::mem::take(&mut self.waiting);
        let frames = waiting.last().map_or_else(|| self.parts.progress.borrow().frames, |drained| drained.last);
        self.parts.progress.send_replace(Committed {
            frames,
            leaves: self.frontier.size(),
            published: self.published.map_or(0, |head| head.size),
        });
        let new = waiting.iter().filter(|drained| drained.last > self.reported);
        let (lost, acknowledged) =
            new.fold((0, false), |(lost, known), drained| (lost + drained.lost, known | drained.lost_acknowledged));
        if lost > 0 {
            let happening = Happening::Lost { entries: lost, acknowledged };
            self.parts.control.record(&Event { at: clock::now(), session: None, happening })?;
        }
        waiting.last().map_or(Ok(()), |drained| self.drain.free(drained.last))
    }
}

/// The leaves of an upload, or why it was refused.
fn take_upload(entrance: &mut Entrance<'_>, upload: &Upload) -> rusqlite::Result<Result<Vec<u64>, Failure>> {
    let mut leaves = Vec::new();
    for envelope in &upload.envelopes {
        match entrance.admit(Bearer::Client(&upload.subject), envelope) {
            Ok(leaf) => leaves.push(leaf),
            Err(AdmitError::Database(error)) => return Err(error),
            // Its certificate is in the journal before the client has it; the log may not have come that far.
            Err(AdmitError::Unknown(_)) => {
                return Ok(Err(Failure::new(Kind::Pending, "the log does not know this session's key yet")));
            }
            Err(error) => {
                let (now, why) = (entrance.now, error.to_string());
                tables::insert_refused(entrance.db, now, &why, envelope.line())?;
                let failure = Failure::new(Kind::Denied, "the log does not take this record");
                return Ok(Err(failure.detail(format!("{}.", sentence(&error)))));
            }
        }
    }
    Ok(Ok(leaves))
}

/// Proves, against the last checkpoint, that these leaves are in the log.
pub(super) fn receipt(
    db: &Connection,
    hashes: &tables::Kept<'_>,
    leaves: &[u64],
    remembered: u64,
) -> rusqlite::Result<Result<Receipt, Failure>> {
    let Some((head, checkpoint)) = tables::checkpoint(db)? else {
        return Ok(Err(Failure::new(Kind::Internal, "the log has no checkpoint")));
    };
    if remembered > head.size {
        let detail = format!("It has {} entries; the client remembers {remembered}.", head.size);
        return Ok(Err(Failure::new(Kind::Gateway, "the log has become shorter").detail(detail)));
    }
    let prove = |leaf: &u64| prove_inclusion(*leaf, head.size, hashes).map(|proof| Inclusion { leaf: *leaf, proof });
    let inclusions = leaves.iter().map(prove).collect::<Result<Vec<_>, _>>();
    let consistency = prove_consistency(remembered, head.size, hashes);
    Ok(inclusions
        .and_then(|inclusions| Ok(Receipt { checkpoint, inclusions, consistency: consistency? }))
        .map_err(|error| Failure::new(Kind::Internal, "the log cannot prove what it has").detail(sentence(&error))))
}

fn sign(note: &NoteSigner, head: Head) -> Option<String> {
    let text = Checkpoint { origin: note.key().name.clone(), head }.text();
    let line = note.sign(&text, clock::now()).ok()?;
    Some(format!("{text}\n{line}"))
}

/// The checkpoint remembered beside the database.
fn remembered(parts: &Parts) -> Result<Option<Head>, Failure> {
    let unreadable = |why: String| {
        Failure::new(Kind::Usage, format!("`{}` cannot be read", parts.memory.display())).detail(format!("{why}."))
    };
    let limit = u64::try_from(NOTE_MAX).unwrap_or(u64::MAX);
    let Some(bytes) = files::read_limited(&parts.memory, limit).map_err(|error| unreadable(error.to_string()))? else {
        return Ok(None);
    };
    let text = String::from_utf8(bytes).map_err(|error| unreadable(error.to_string()))?;
    let open = || Checkpoint::open(&Note::read(&text)?, parts.note.key());
    open().map(|checkpoint| Some(checkpoint.head)).map_err(|error| unreadable(sentence(&error)))
}

/// SQLite's words name tables of ours, never values.
pub(super) fn broken(error: &rusqlite::Error) -> Failure {
    Failure::new(Kind::Internal, "the log's database failed").detail(format!("{error}."))
}

/// An error's words as the beginning of a sentence.
fn sentence(error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}", first.to_uppercase(), letters.as_str()))
}
