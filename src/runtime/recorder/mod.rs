//! Turns events into signed records in a journal.
//!
//! A record is in the journal when [`Recorder::record`] returns. Its signature follows within [`SEAL_AFTER`], together
//! with that of its neighbours: signing each by itself would cost more than the statement it is about. Between the two
//! a record is protected like any file of ours; after a crash it is re-signed as *recovered* by whoever finds it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context as Polled, Poll};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::time::Sleep;

use crate::audit::{
    self, BATCH_MAX, BATCH_RECORDS_MAX, Chain, Context, Encoder, Entry, Envelope, Place, RECORDS_TYPE, Role, Signer,
};
use crate::domain::{
    Event, Failure, Happening, Kind, Outcome, PublicKey, RecordId, SessionId, Shown, StatementEnd, StatementId,
    StatementStart, Timestamp,
};
use crate::runtime::journal::{Importance, Journal, SYNC_TIMEOUT, Ticket};
use crate::runtime::pump::{self, Records};
use crate::runtime::{clock, random};

/// Longest time between a record and its signature. A busy connection fills an envelope in about this time; sooner, and
/// signing, checking and keeping envelopes would cost more than what is in them.
pub(crate) const SEAL_AFTER: Duration = Duration::from_millis(50);

/// How often signatures that could not be written are tried again.
const SEAL_AGAIN: Duration = Duration::from_millis(100);

/// Batches that may wait for their signature. When there are more, whoever records signs.
const BATCHES_MAX: usize = 16;

/// Opens recorders on one journal, and signs for all of them. To be dropped after them: what is recorded later is
/// signed only when its recorder is closed.
#[derive(Clone, Debug)]
pub(crate) struct Recorders {
    shared: Arc<Shared>,
    _thread: Arc<Sealing>,
}

#[derive(Debug)]
struct Shared {
    journal: Journal,
    due: Mutex<Due>,
    wake: Condvar,
}

/// What the signing thread has to do.
#[derive(Debug, Default)]
struct Due {
    books: Vec<Arc<Book>>,
    stop: bool,
}

impl Recorders {
    pub(crate) fn start(journal: &Journal) -> Result<Self, Failure> {
        let shared = Arc::new(Shared { journal: journal.clone(), due: Mutex::default(), wake: Condvar::new() });
        let thread = Sealing::start(&shared)?;
        Ok(Self { shared, _thread: Arc::new(thread) })
    }

    pub(crate) fn journal(&self) -> &Journal {
        &self.shared.journal
    }

    /// A recorder that signs with `signer`, whose `certificate` by the server is recorded first.
    pub(crate) fn open(&self, signer: Signer, certificate: &Envelope, context: &Context) -> Result<Recorder, Failure> {
        let key = signer.public();
        let (side, session) = (context.side, context.session);
        let mut body = Vec::new();
        let kind = Entry::Envelope(&certificate.write()).write(&mut body);
        self.shared.journal.append(Importance::Ordinary, kind, &[&body])?;
        let book = Book {
            shared: Arc::clone(&self.shared),
            key,
            opened: clock::monotonic(),
            first_id: random::bytes()?,
            pages: Mutex::new(Pages {
                encoder: Encoder::new(context),
                session,
                seq: 0,
                frame: Vec::new(),
                batches: VecDeque::new(),
                emptied: Vec::new(),
                open: Vec::new(),
                due: false,
                closed: false,
            }),
            seal: Mutex::new(Seal {
                chain: Chain { key, side, session, previous: certificate.digest() },
                signer: Some(signer),
                waiting: VecDeque::new(),
                emptied: Vec::new(),
                ready: None,
                last: Ticket::default(),
            }),
        };
        Ok(Recorder::of(Arc::new(Handle { book: Arc::new(book) })))
    }
}

/// Records for one key. Clones share it; when the last one is dropped, it is closed.
#[derive(Debug)]
pub(crate) struct Recorder {
    handle: Arc<Handle>,
    /// Until when this clone waits for a record to be durable. Kept, because setting a timer anew is cheaper than
    /// making one.
    deadline: Option<Pin<Box<Sleep>>>,
    /// The record it waits for.
    waiting: Option<Ticket>,
}

impl Clone for Recorder {
    fn clone(&self) -> Self {
        Self::of(Arc::clone(&self.handle))
    }
}

#[derive(Debug)]
struct Handle {
    book: Arc<Book>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        // Somebody who wanted to know would have called `close`; the signing thread tries again if this fails.
        drop(self.book.close());
    }
}

impl Recorder {
    fn of(handle: Arc<Handle>) -> Self {
        Self { handle, deadline: None, waiting: None }
    }

    fn journal(&self) -> &Journal {
        &self.handle.book.shared.journal
    }

    /// Writes a record. When this returns, the record survives the death of this process.
    pub(crate) fn record(&self, event: &Event) -> Result<Ticket, Failure> {
        self.handle.book.record(event)
    }

    /// Waits until a record is durable. May be given up half way.
    pub(crate) async fn durable(&self, ticket: Ticket) -> Result<(), Failure> {
        self.journal().durable(ticket).await
    }

    /// Signs what is not signed yet, without waiting for the disk.
    #[cfg(test)]
    pub(crate) fn sign_unsynced(&self) {
        drop(self.handle.book.sign_all());
    }

    /// Signs what is not signed yet, and waits until all of it is durable. Blocks.
    pub(crate) fn sign_now(&self) -> Result<(), Failure> {
        let last = self.handle.book.sign_all()?;
        self.journal().wait_durable(last)
    }

    /// Signs what is not signed yet and wipes the key. What comes after is refused. The ticket is that of the last
    /// signature.
    pub(crate) fn close(&self) -> Result<Ticket, Failure> {
        self.handle.book.close()
    }

    /// The key's public half.
    pub(crate) fn key(&self) -> PublicKey {
        self.handle.book.key
    }
}

impl Records for Recorder {
    fn ready(&self) -> Result<(), Failure> {
        self.journal().ready()
    }

    fn record(&self, event: &Event) -> Result<pump::Place, Failure> {
        Self::record(self, event).map(|ticket| pump::Place(ticket.number()))
    }

    fn poll_durable(&mut self, cx: &mut Polled<'_>, place: pump::Place) -> Poll<Result<(), Failure>> {
        let ticket = Ticket::from_number(place.0);
        let done = self.journal().poll_durable(cx, ticket);
        if done.is_ready() {
            self.waiting = None;
            return done;
        }
        let until = tokio::time::Instant::from_std(clock::monotonic()) + SYNC_TIMEOUT;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        if self.waiting != Some(ticket) {
            self.waiting = Some(ticket);
            deadline.as_mut().reset(until);
        }
        deadline.as_mut().poll(cx).map(|()| Err(self.journal().too_slow()))
    }
}

/// The chain of one key.
#[derive(Debug)]
struct Book {
    shared: Arc<Shared>,
    key: PublicKey,
    opened: Instant,
    /// Record ids count up from here: unguessable at the start, unique after it.
    first_id: [u8; 10],
    /// Held while a record is written.
    pages: Mutex<Pages>,
    /// Held while a batch is signed, so that batches are signed in order. Locked before `pages`, never after.
    seal: Mutex<Seal>,
}

#[derive(Debug)]
struct Pages {
    encoder: Encoder,
    session: Option<SessionId>,
    /// Number of the next record.
    seq: u64,
    /// The record being written.
    frame: Vec<u8>,
    /// Records that are not signed, oldest first. The last is being filled.
    batches: VecDeque<Batch>,
    /// Buffers to use again.
    emptied: Vec<Vec<u8>>,
    /// Statements started and not ended.
    open: Vec<StatementId>,
    /// The signing thread knows that there is something to do.
    due: bool,
    closed: bool,
}

#[derive(Debug)]
struct Batch {
    first: u64,
    count: u32,
    /// The records, separated by commas.
    records: Vec<u8>,
}

#[derive(Debug)]
struct Seal {
    chain: Chain,
    /// `None` when the key has been wiped.
    signer: Option<Signer>,
    /// Oldest first.
    waiting: VecDeque<Batch>,
    emptied: Vec<Vec<u8>>,
    /// A signature that has not been written yet.
    ready: Option<Ready>,
    last: Ticket,
}

#[derive(Debug)]
struct Ready {
    header: Vec<u8>,
    count: u32,
    envelope: Envelope,
}

impl Book {
    fn record(self: &Arc<Self>, event: &Event) -> Result<Ticket, Failure> {
        let mut pages = self.pages();
        if pages.closed {
            return Err(Failure::new(Kind::Internal, "a record came after its session was closed"));
        }
        if let Happening::SessionClosed { .. } = event.happening {
            self.end_what_is_open(&mut pages, event.at)?;
        }
        let ticket = self.write(&mut pages, event)?;
        let overdue = pages.batches.len() > BATCHES_MAX;
        drop(pages);
        if overdue {
            // Whether this works now or later, the record is written.
            drop(self.sign_all());
        }
        Ok(ticket)
    }

    fn write(self: &Arc<Self>, pages: &mut Pages, event: &Event) -> Result<Ticket, Failure> {
        let place = Place { id: self.record_id(event.at, pages.seq), seq: pages.seq, elapsed: self.opened.elapsed() };
        let mut frame = std::mem::take(&mut pages.frame);
        frame.clear();
        audit::write_record_head(&mut frame, self.key, Role::Other);
        let sealed = frame.len();
        write_sealed(&mut frame, &event.happening);
        let head = frame.len();
        let role = pages.encoder.encode(&mut frame, place, event);
        audit::set_role(&mut frame, role);
        let written = frame.get(head..).filter(|record| record.len() <= BATCH_MAX).map_or_else(
            || Err(Failure::new(Kind::Internal, "a record is too long to be signed")),
            |record| {
                let kind = audit::record_kind(frame.get(sealed..head).unwrap_or_default());
                let ticket = self.shared.journal.append(importance(&event.happening), kind, &[&frame])?;
                pages.keep(record, role);
                Ok(ticket)
            },
        );
        pages.frame = frame;
        if written.is_ok() && !pages.due {
            pages.due = true;
            self.shared.note_due(self);
        }
        written
    }

    /// Says of statements that have no end that none is known: nobody will tell any more.
    fn end_what_is_open(self: &Arc<Self>, pages: &mut Pages, at: Timestamp) -> Result<(), Failure> {
        while let Some(id) = pages.open.first().copied() {
            let (rows, bytes, masked_columns, masked_cells) = (0, 0, 0, 0);
            let (outcome, shown, took) = (Outcome::Unknown, Shown::default(), Duration::ZERO);
            let end = StatementEnd { id, outcome, rows, bytes, masked_columns, masked_cells, shown, took };
            let session = pages.session;
            self.write(pages, &Event { at, session, happening: Happening::StatementEnded(end) })?;
        }
        Ok(())
    }

    fn close(self: &Arc<Self>) -> Result<Ticket, Failure> {
        let mut pages = self.pages();
        if !pages.closed {
            self.end_what_is_open(&mut pages, clock::now())?;
            pages.closed = true;
            // Even when nothing is left to sign, the key is left to wipe.
            if !pages.due {
                pages.due = true;
                self.shared.note_due(self);
            }
        }
        drop(pages);
        self.sign_all()
    }

    /// Signs everything written so far.
    fn sign_all(&self) -> Result<Ticket, Failure> {
        let mut seal = self.seal.lock().unwrap_or_else(PoisonError::into_inner);
        let mut pages = self.pages();
        seal.waiting.append(&mut pages.batches);
        pages.due = false;
        let closed = pages.closed;
        drop(pages);
        let signed = seal.sign_waiting(self);
        let mut pages = self.pages();
        pages.emptied.append(&mut seal.emptied);
        // Whoever called has it signed again.
        pages.due |= signed.is_err();
        drop(pages);
        signed?;
        if closed {
            seal.signer = None;
        }
        Ok(seal.last)
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record_id(&self, at: Timestamp, seq: u64) -> RecordId {
        let first = self.first_id.iter().fold(0u128, |sum, byte| (sum << 8) | u128::from(*byte));
        let [_, _, _, _, _, _, chance @ ..] = first.wrapping_add(u128::from(seq)).to_be_bytes();
        RecordId::new(at, chance)
    }
}

impl Pages {
    fn keep(&mut self, record: &[u8], role: Role) {
        self.seq += 1;
        match role {
            Role::Start(id) => self.open.push(id),
            Role::End(id) => self.open.retain(|open| *open != id),
            Role::Other => {}
        }
        if let Some(batch) = self.batches.back_mut()
            && batch.count < BATCH_RECORDS_MAX
            && batch.records.len().saturating_add(record.len()) < BATCH_MAX
        {
            batch.records.push(b',');
            batch.records.extend_from_slice(record);
            batch.count += 1;
            return;
        }
        let mut records = self.emptied.pop().unwrap_or_default();
        records.clear();
        records.extend_from_slice(record);
        self.batches.push_back(Batch { first: self.seq - 1, count: 1, records });
    }
}

impl Seal {
    fn sign_waiting(&mut self, book: &Book) -> Result<(), Failure> {
        self.write(book)?;
        while let Some(batch) = self.waiting.pop_front() {
            let signed = self.sign(&batch);
            if signed.is_err() {
                self.waiting.push_front(batch);
                return signed;
            }
            self.emptied.push(batch.records);
            self.write(book)?;
        }
        Ok(())
    }

    /// Makes the signature of a batch ready to be written. It is made once: the same chain place never gets two.
    fn sign(&mut self, batch: &Batch) -> Result<(), Failure> {
        let header = self.chain.header(batch.first);
        let payload = audit::payload(&header, &batch.records);
        let signer = self.signer.as_ref();
        let signature = signer
            .and_then(|signer| signer.sign(RECORDS_TYPE, &payload).ok())
            .ok_or_else(|| Failure::new(Kind::Internal, "the key that signs records cannot be used"))?;
        let envelope = Envelope { payload_type: RECORDS_TYPE, payload, key: self.chain.key, signature };
        self.ready = Some(Ready { header, count: batch.count, envelope });
        Ok(())
    }

    fn write(&mut self, book: &Book) -> Result<(), Failure> {
        let Some(ready) = &self.ready else { return Ok(()) };
        let header = std::str::from_utf8(&ready.header).unwrap_or_default();
        let (key, count, signature) = (book.key, ready.count, ready.envelope.signature);
        let mut body = Vec::new();
        let kind = Entry::Seal { key, count, signature, header }.write(&mut body);
        self.last = book.shared.journal.append(Importance::Completing, kind, &[&body])?;
        self.chain.previous = ready.envelope.digest();
        self.ready = None;
        Ok(())
    }
}

/// Appends the raw text that comes into being with a record.
fn write_sealed(frame: &mut Vec<u8>, happening: &Happening) {
    if let Happening::Recovered { sealed, .. } = happening {
        frame.extend_from_slice(sealed);
    } else if let Happening::StatementStarted(StatementStart { sealed: Some(text), .. }) = happening {
        audit::write_sealed(frame, text.digest, &text.bytes);
    }
}

/// What may still be recorded when the disk is full: what completes something begun, or tells of a loss.
fn importance(happening: &Happening) -> Importance {
    match happening {
        Happening::StatementEnded(_)
        | Happening::StatementUnknown { .. }
        | Happening::StreamClosed { .. }
        | Happening::Cancelled { .. }
        | Happening::TransactionRefused { .. }
        | Happening::Tripped { .. }
        | Happening::Approval { .. }
        | Happening::EvidencePacked { .. }
        | Happening::SessionClosed { .. }
        | Happening::CredentialRevoked { .. }
        | Happening::CredentialSwept { .. }
        | Happening::ServerStopped
        | Happening::Reconciled(_)
        | Happening::Recovered { .. }
        | Happening::Lost { .. } => Importance::Completing,
        Happening::MasksRemoved { .. }
        | Happening::PolicyChanged { .. }
        | Happening::LoginSucceeded { .. }
        | Happening::LoginFailed { .. }
        | Happening::SessionOpened { .. }
        | Happening::SessionRefused { .. }
        | Happening::CredentialMinted { .. }
        | Happening::StreamOpened { .. }
        | Happening::StatementStarted(_)
        | Happening::AuditRead { .. }
        | Happening::Erased { .. } => Importance::Ordinary,
    }
}

impl Shared {
    fn due(&self) -> MutexGuard<'_, Due> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_due(&self, book: &Arc<Book>) {
        let mut due = self.due();
        if due.stop {
            // Nobody signs any more but the book's own `close`.
            return;
        }
        due.books.push(Arc::clone(book));
        if due.books.len() == 1 {
            self.wake.notify_one();
        }
    }
}

/// The signing thread. Dropping it ends the thread after all that is due has been signed.
#[derive(Debug)]
struct Sealing {
    shared: Arc<Shared>,
    handle: Option<JoinHandle<()>>,
}

impl Sealing {
    fn start(shared: &Arc<Shared>) -> Result<Self, Failure> {
        let inner = Arc::clone(shared);
        let handle = std::thread::Builder::new().name("sealing".to_owned()).spawn(move || run(&inner));
        let handle = handle
            .map_err(|error| Failure::new(Kind::Internal, "no thread can be started").detail(format!("{error}.")))?;
        Ok(Self { shared: Arc::clone(shared), handle: Some(handle) })
    }
}

impl Drop for Sealing {
    fn drop(&mut self) {
        self.shared.due().stop = true;
        self.shared.wake.notify_all();
        if let Some(handle) = self.handle.take() {
            // A thread that panicked has nothing more to tell.
            drop(handle.join());
        }
    }
}

fn run(shared: &Shared) {
    let mut pause = SEAL_AFTER;
    loop {
        let idle = |due: &mut Due| due.books.is_empty() && !due.stop;
        let due = shared.wake.wait_while(shared.due(), idle).unwrap_or_else(PoisonError::into_inner);
        let gather = |due: &mut Due| !due.stop;
        let (mut due, _) = shared.wake.wait_timeout_while(due, pause, gather).unwrap_or_else(PoisonError::into_inner);
        let (books, stop) = (std::mem::take(&mut due.books), due.stop);
        drop(due);
        let failed: Vec<_> = books.into_iter().filter(|book| book.sign_all().is_err()).collect();
        pause = if failed.is_empty() { SEAL_AFTER } else { SEAL_AGAIN };
        shared.due().books.extend(failed);
        if stop {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
