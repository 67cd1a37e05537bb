//! The log: every envelope, in one order, under one Merkle tree.
//!
//! Envelopes come from the gateway's own journal and from clients. One thread takes them in: it checks what each proves,
//! gives it the next leaf, and commits many at a time together with the tree. What has been committed is let go from
//! the journal; what a client uploaded is answered with a proof that it is in. Everything can be done again at any
//! point: an envelope that is there already is known by its key and place, byte by byte.

mod admit;
mod check;
mod cosign;
mod recent;
mod tables;
mod writer;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{oneshot, watch};

use crate::audit::{
    Algorithm, Batch, Carried, Certificate, Context, Entry, Envelope, Head, NoteKey, NoteSigner, Pseudonyms, Receipt,
    Signer, Tile, TileKind, bundle, prove_consistency,
};
use crate::domain::{
    Digest, Duration, Event, Failure, Grant, Happening, Kind, Peer, PublicKey, SessionId, Side, Timestamp,
};
use crate::runtime::drain::{self, Recovery};
use crate::runtime::journal::{Importance, Journal, Settings, Ticket};
use crate::runtime::recorder::{Recorder, Recorders, SEAL_AFTER};
use crate::runtime::{clock, files, random};
use crate::server::store;
pub(super) use check::compare;
pub(crate) use cosign::Cosigners;
use recent::Recent;
pub(crate) use recent::{Contents, Entered};
pub(super) use tables::bodies;
use writer::{Job, Upload, Writer};

/// Most bytes of the gateway's journal: some minutes of a busy gateway whose database stands still.
const JOURNAL_MAX: u64 = 4 * 1024 * 1024 * 1024;

/// Most envelopes of one upload.
pub(crate) const UPLOAD_MAX: usize = 64;

/// How long after a session's end its keys may still sign: closing takes time, and clocks differ.
const KEY_GRACE: Duration = Duration::from_secs(15 * 60);

/// How long a server's own key may sign. A server is restarted more often.
const SERVER_KEY_LIFE: Duration = Duration::from_secs(366 * 24 * 3600);

/// Envelopes whose raw texts are shown at once.
const TEXT_LEAVES_MAX: usize = 16;

/// Bytes of sealed raw texts that are given at once, unless one envelope has more.
const SEALED_BYTES: usize = 4 * 1024 * 1024;

/// An envelope of a session, opened.
#[derive(Debug)]
pub(crate) struct Leaf {
    pub(crate) leaf: u64,
    pub(crate) records: Vec<String>,
    /// The raw texts that came with it, one behind the other.
    pub(crate) sealed: Vec<u8>,
}

/// What a log is made of.
#[derive(Debug)]
pub(crate) struct Opening<'a> {
    /// A folder of its own.
    pub(crate) folder: &'a Path,
    /// The server's key: it certifies all others, and signs checkpoints. Whoever has its public half can verify
    /// everything.
    pub(crate) server: Signer,
    /// The name of a log that begins now, in its checkpoints: a URL without its scheme. A log keeps the name it began
    /// with, whatever the server is called later.
    pub(crate) origin: &'a str,
    pub(crate) pseudonyms: Pseudonyms,
}

/// The open log.
#[derive(Debug)]
pub(crate) struct Log {
    recorders: Recorders,
    /// Records what the server itself does.
    control: Recorder,
    server: Signer,
    key: NoteKey,
    jobs: mpsc::Sender<Job>,
    /// Until the log is closed.
    thread: Mutex<Option<JoinHandle<()>>>,
    /// For reading beside the thread that writes.
    reader: Arc<Mutex<Connection>>,
    recovery: Recovery,
    recent: Arc<Recent>,
    committed: watch::Receiver<Committed>,
}

/// How far the log has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Committed {
    /// Frames of the journal up to this one have been taken in.
    frames: u64,
    /// How many entries it has.
    leaves: u64,
    /// How many of them the last checkpoint states.
    published: u64,
}

/// What a session records with.
#[derive(Debug)]
pub(crate) struct SessionBooks {
    /// The gateway's account.
    pub(crate) gateway: Recorder,
    /// What lets the client sign its own.
    pub(crate) client_certificate: Envelope,
    /// When this is durable, the session's opening is on record.
    pub(crate) opened: Ticket,
}

impl Log {
    /// Opens the log, and has what a crash left signed. Blocks.
    pub(crate) fn open(opening: Opening<'_>) -> Result<Self, Failure> {
        let folder = opening.folder;
        let Some((journal, _)) = Journal::open(&folder.join("journal"), Settings::new(JOURNAL_MAX))? else {
            return Err(Failure::new(Kind::Usage, "another server uses this log")
                .detail(format!("Its folder is {}.", folder.display())));
        };
        let database = folder.join("log.db");
        let db = store::open_database(&database, &[tables::MIGRATIONS])?;
        let reader = store::open_database(&database, &[tables::MIGRATIONS])?;
        let note = NoteSigner::new(&name(folder, opening.origin)?, Algorithm::Ed25519, opening.server.clone())
            .map_err(|error| Failure::new(Kind::Usage, "the log cannot have this name").detail(format!("{error}.")))?;
        let key = note.key().clone();

        let recorders = Recorders::start(&journal)?;
        let server = opening.server;
        let control = open_control(&recorders, &server, opening.pseudonyms)?;
        let recovery = drain::recover(&journal, &control)?;
        let (jobs, inbox) = mpsc::channel();
        let (progress, committed) = watch::channel(Committed::default());
        let recent = Arc::new(Recent::default());
        let writer = Writer::new(writer::Parts {
            db,
            journal,
            server: server.public(),
            note,
            control: control.clone(),
            memory: folder.join("checkpoint"),
            recent: Arc::clone(&recent),
            progress,
        })?;
        let thread = std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || writer.run(&inbox))
            .map_err(|error| Failure::new(Kind::Internal, "no thread can be started").detail(format!("{error}.")))?;
        let reader = Arc::new(Mutex::new(reader));
        let thread = Mutex::new(Some(thread));
        Ok(Self { recorders, control, server, key, jobs, thread, reader, recovery, recent, committed })
    }

    /// What opening found.
    pub(crate) fn recovery(&self) -> Recovery {
        self.recovery
    }

    /// The key that checkpoints are signed with, for whoever verifies them.
    pub(crate) fn key(&self) -> &NoteKey {
        &self.key
    }

    /// Records something the server itself does.
    pub(crate) fn record(&self, session: Option<SessionId>, happening: Happening) -> Result<Ticket, Failure> {
        self.record_at(clock::now(), session, happening)
    }

    /// The same of something that happened at another time.
    pub(crate) fn record_at(
        &self,
        at: Timestamp,
        session: Option<SessionId>,
        happening: Happening,
    ) -> Result<Ticket, Failure> {
        self.control.record(&Event { at, session, happening })
    }

    /// Waits until a record is durable. Cancel safe.
    pub(crate) async fn durable(&self, ticket: Ticket) -> Result<(), Failure> {
        self.control.durable(ticket).await
    }

    /// Certifies both sides of a session and records that it is open.
    pub(crate) fn open_session(
        &self,
        grant: &Arc<Grant>,
        subject: &str,
        client_key: PublicKey,
        client: Peer,
    ) -> Result<SessionBooks, Failure> {
        let signer = random::signer()?;
        let gateway_key = signer.public();
        let certificate = |key, side| self.certify(key, side, grant, subject);
        let context = Context::session(Side::Gateway, grant, subject);
        let gateway = self.recorders.open(signer, &certificate(gateway_key, Side::Gateway)?, &context)?;
        let client_certificate = certificate(client_key, Side::Client)?;
        let mut body = Vec::new();
        let kind = Entry::Envelope(&client_certificate.write()).write(&mut body);
        self.recorders.journal().append(Importance::Ordinary, kind, &[&body])?;
        let keys = vec![(Side::Client, client_key), (Side::Gateway, gateway_key)];
        let (session, grant, subject) = (Some(grant.session), Arc::clone(grant), subject.to_owned());
        let opened = self.record(session, Happening::SessionOpened { grant, subject, client, keys })?;
        Ok(SessionBooks { gateway, client_certificate, opened })
    }

    fn certify(&self, key: PublicKey, side: Side, grant: &Grant, subject: &str) -> Result<Envelope, Failure> {
        let certificate = Certificate {
            key,
            side,
            session: Some(grant.session),
            subject: Some(subject.to_owned()),
            from: grant.opened_at.before(KEY_GRACE),
            until: grant.expires_at.after(KEY_GRACE),
        };
        certificate.sign(&self.server).map_err(|_| unusable_key())
    }

    /// Takes in what a client recorded. The receipt proves that it is in the log, and that the log begins with the
    /// `remembered` leaves the client knows. Cancel safe; whether it was taken in is not known then, and doing it again
    /// is harmless.
    pub(crate) async fn upload(
        &self,
        subject: &str,
        envelopes: Vec<String>,
        remembered: u64,
    ) -> Result<Receipt, Failure> {
        if envelopes.len() > UPLOAD_MAX {
            return Err(Failure::new(Kind::Limit, format!("an upload has {UPLOAD_MAX} envelopes at most")));
        }
        let (reply, answer) = oneshot::channel();
        let envelopes = envelopes.into_iter().map(Carried::unread).collect();
        let upload = Upload { subject: subject.to_owned(), envelopes, remembered };
        self.jobs.send(Job::Upload(upload, reply)).map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }

    /// Some of what both sides of a subject's sessions have recorded, from behind leaf `after` on, and the proof that
    /// it is in the log. Cancel safe.
    pub(crate) async fn of_subject(
        &self,
        subject: &str,
        after: Option<u64>,
        remembered: u64,
    ) -> Result<(Vec<String>, Receipt), Failure> {
        let subject = subject.to_owned();
        self.read(move |db| {
            let size = tables::checkpoint(db)?.map_or(0, |(head, _)| head.size);
            let from = after.map_or(0, |leaf| leaf.saturating_add(1));
            let found = tables::of_subject(db, &subject, from..size, UPLOAD_MAX)?;
            let (leaves, bodies): (Vec<u64>, Vec<String>) = found.into_iter().unzip();
            Ok(writer::receipt(db, &tables::Kept::new(db), &leaves, remembered)?.map(|receipt| (bodies, receipt)))
        })
        .await?
    }

    /// The file at a path of the log, as C2SP's tlog-tiles describes them: `checkpoint` or a tile. Cancel safe.
    pub(crate) async fn file(&self, path: &str) -> Result<Option<Vec<u8>>, Failure> {
        let path = path.to_owned();
        self.read(move |db| file(db, &path)).await
    }

    /// Some of what the gateway signed for a session, from behind leaf `after` on, with the raw texts that came with it.
    /// Cancel safe.
    pub(crate) async fn of_session(&self, session: SessionId, after: Option<u64>) -> Result<Vec<Leaf>, Failure> {
        let found = self.read(move |db| tables::of_session(db, session, after, TEXT_LEAVES_MAX)).await?;
        let leaf = |(leaf, body, sealed): (u64, String, Vec<u8>)| {
            let batch = Envelope::read(&body).and_then(|envelope| Batch::parse(&envelope.payload));
            Leaf { leaf, records: batch.map(|batch| batch.records).unwrap_or_default(), sealed }
        };
        Ok(found.into_iter().map(leaf).collect())
    }

    /// Sealed raw texts that came with leaves from `from` on, about [`SEALED_BYTES`] of them, and the leaf to go on
    /// from. Cancel safe.
    pub(crate) async fn sealed(&self, from: u64) -> Result<(Vec<u8>, Option<u64>), Failure> {
        self.read(move |db| tables::sealed(db, from, SEALED_BYTES)).await
    }

    /// Tells when the log has grown.
    pub(crate) fn committed(&self) -> watch::Receiver<Committed> {
        self.committed.clone()
    }

    /// Waits until everything recorded before this was called is in the log, and says how many entries it has then.
    /// Cancel safe.
    pub(crate) async fn settled(&self) -> u64 {
        // By then every record has its signature.
        tokio::time::sleep(SEAL_AFTER.saturating_mul(2)).await;
        let journal = self.recorders.journal();
        let last = journal.last_written();
        let mut committed = self.committed.clone();
        let durable = journal.durable(Ticket::from_number(last)).await;
        // A log that has stopped looks no more.
        drop(self.jobs.send(Job::Look));
        let taken = committed.wait_for(|committed| durable.is_err() || committed.frames >= last).await;
        // A log that has stopped has what it has.
        taken.map_or(0, |committed| committed.leaves)
    }

    /// As [`Log::settled`], and a checkpoint states it. Cancel safe.
    pub(crate) async fn published(&self) -> u64 {
        let size = self.settled().await;
        let mut committed = self.committed.clone();
        // A log that has stopped has signed its last checkpoint.
        drop(self.jobs.send(Job::Publish));
        drop(committed.wait_for(|committed| committed.published >= size).await);
        size
    }

    /// The last checkpoint: the tree and the signed note. Cancel safe.
    async fn checkpoint(&self) -> Result<Option<(Head, String)>, Failure> {
        self.read(tables::checkpoint).await
    }

    /// The proof that the tree of `new` entries begins with that of `old`. Cancel safe.
    async fn consistency(&self, old: u64, new: u64) -> Result<Vec<Digest>, Failure> {
        let proof = self.read(move |db| Ok(prove_consistency(old, new, &tables::Kept::new(db)))).await?;
        proof.map_err(|error| Failure::new(Kind::Internal, "the log cannot prove what it has").cause(error))
    }

    /// Entries from `from` on, at most `most` where they have to be read. For one who follows the log: what he is given
    /// he is not given again without reading it. Cancel safe in that nothing is lost by it.
    pub(crate) async fn follow(&self, from: u64, most: u64) -> Result<Vec<Entered>, Failure> {
        let recent = self.recent.take(from);
        if !recent.is_empty() {
            return Ok(recent);
        }
        self.read(move |db| {
            let bodies = tables::bodies(db, from, from.saturating_add(most))?;
            Ok(bodies.iter().zip(from..).map(|(body, leaf)| Entered::read(leaf, body)).collect())
        })
        .await
    }

    /// Whether the log's entry number `count`, counted from 1, has this hash. Every log has the zeroth. Blocks.
    pub(crate) fn has_leaf(&self, count: u64, hash: Digest) -> Result<bool, Failure> {
        let Some(index) = count.checked_sub(1) else { return Ok(true) };
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let found = tables::hashes(&reader, 0, index, count).map_err(|error| writer::broken(&error))?;
        Ok(found.first() == Some(&hash))
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let reader = Arc::clone(&self.reader);
        let task = move || work(&reader.lock().unwrap_or_else(PoisonError::into_inner));
        let result = tokio::task::spawn_blocking(task).await.map_err(|_| stopped())?;
        result.map_err(|error| writer::broken(&error))
    }
}

impl Log {
    /// Takes in everything recorded so far and signs the last checkpoint. Blocks. What is recorded later is refused.
    pub(crate) fn close(&self) {
        let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let stopped = Event { at: clock::now(), session: None, happening: Happening::ServerStopped };
        // What cannot be recorded now shows as a server that did not say goodbye.
        drop(self.control.record(&stopped));
        drop(self.control.close().and_then(|last| self.recorders.journal().wait_durable(last)));
        drop(self.jobs.send(Job::Stop));
        drop(thread.join());
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.close();
    }
}

/// The name this log began with; `origin`, if it begins now.
fn name(folder: &Path, origin: &str) -> Result<String, Failure> {
    let path = folder.join("origin");
    let broken = |error: std::io::Error| {
        Failure::new(Kind::Usage, format!("`{}` cannot be used", path.display())).detail(format!("{error}."))
    };
    if let Some(known) = files::read_limited(&path, ORIGIN_MAX).map_err(broken)? {
        return String::from_utf8(known).map_err(|error| broken(std::io::Error::other(error)));
    }
    files::write_private(&path, origin.as_bytes()).map_err(broken)?;
    Ok(origin.to_owned())
}

/// Longest name of a log, in bytes: what a note takes as the name of a key.
const ORIGIN_MAX: u64 = 255;

fn open_control(recorders: &Recorders, server: &Signer, pseudonyms: Pseudonyms) -> Result<Recorder, Failure> {
    let signer = random::signer()?;
    let now = clock::now();
    let (key, side) = (signer.public(), Side::Server);
    let (from, until) = (now.before(KEY_GRACE), now.after(SERVER_KEY_LIFE));
    let certificate = Certificate { key, side, session: None, subject: None, from, until };
    let certificate = certificate.sign(server).map_err(|_| unusable_key())?;
    recorders.open(signer, &certificate, &Context::server(Some(pseudonyms)))
}

fn unusable_key() -> Failure {
    Failure::new(Kind::Internal, "the server's key cannot be used")
}

fn stopped() -> Failure {
    Failure::new(Kind::Internal, "the log has stopped")
}

/// A file of the log; `None` when the last checkpoint does not call for it.
fn file(db: &Connection, path: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    let Some((head, note)) = tables::checkpoint(db)? else { return Ok(None) };
    if path == "checkpoint" {
        return Ok(Some(note.into_bytes()));
    }
    let Some(tile) = Tile::parse(path) else { return Ok(None) };
    let range = tile.range();
    match tile.kind {
        TileKind::Entries if range.end <= head.size => {
            let bodies = tables::bodies(db, range.start, range.end)?;
            Ok(bundle(bodies.iter().map(String::as_bytes)))
        }
        TileKind::Hashes { height } if height < 8 && range.end <= head.size >> (8 * u32::from(height)) => {
            let hashes = tables::hashes(db, height * 8, range.start, range.end)?;
            Ok(Some(hashes.iter().flat_map(|hash| hash.0).collect()))
        }
        TileKind::Entries | TileKind::Hashes { .. } => Ok(None),
    }
}

#[cfg(test)]
mod tests;
