//! The one loop that moves bytes between two sockets and a [`Session`].
//!
//! Both directions are always read, each into a bounded buffer: a client that pipelines without reading, or reads
//! without ever being done, meets back-pressure instead of a deadlock. What may not leave before it is on record waits
//! at its barrier while everything else goes on.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, Sleep};

use crate::domain::{ApprovalId, Event, Failure, Happening, Kind, StatementEnd};
use crate::runtime::clock;
use crate::session::{Closing, Duty, Inquiry, Plea, Session, Turn};
use crate::wire::tunnel::{BEAT_EVERY, SILENT_MAX};

/// Bytes read at once. Measured: between 16 and 256 KiB the size makes no difference a relay can show. Masks show one: rows
/// that come together are shared with another core, and of a wake-up each has the less the more they are.
const READ_SIZE: usize = 256 * 1024;

/// Bytes waiting to be written in one direction above which the other side is not read.
const BUFFER_MAX: usize = 256 * 1024;

/// A written-out buffer larger than this is given back, so that idle connections stay small.
const BUFFER_KEPT: usize = 4 * 1024;

/// How long a closing connection may take to deliver its last words.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// A record's place in line. Once durable, everything recorded before it is durable too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(pub(crate) u64);

/// Where events go before their effects happen.
pub(crate) trait Records {
    /// Whether anything can be recorded now.
    fn ready(&self) -> Result<(), Failure>;
    /// Takes an event. Returns at once; durability is asked for with the place.
    fn record(&self, event: &Event) -> Result<Place, Failure>;
    /// Ready once the event at this place is durable, or cannot become so.
    fn poll_durable(&mut self, cx: &mut Context<'_>, place: Place) -> Poll<Result<(), Failure>>;
}

/// How sure it must be that a record survives before its statement may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// The operating system has it: it survives the death of this process, not of the machine.
    Written,
    /// The disk has it.
    Synced,
}

/// What may be said to a running pump from outside.
#[derive(Debug)]
pub(crate) enum Command {
    /// The grant ended; the failure is what the client is told.
    End(Failure),
    /// The statement at hand waits for approval; the notice is what the client is told.
    Held(Failure, ApprovalId),
    /// The statement that waits may run.
    Approved(ApprovalId),
    /// It may not; with the SQLSTATE of the error, and the request that nobody waits for.
    NotApproved(&'static str, Box<Failure>, Option<ApprovalId>),
    /// The client cancels what it runs.
    Cancel,
}

/// Takes what a session says to those who approve. They answer with [`Command`]s.
pub(crate) type Arbiter = Arc<dyn Fn(Plea) + Send + Sync>;

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) why: Closing,
    pub(crate) statements: u64,
}

/// Told of each statement that has ended. The failure, when no further one may begin.
pub(crate) type Meter = Arc<dyn Fn(&StatementEnd) -> Option<Failure> + Send + Sync>;

/// Reads the catalog anew; done when the session's engine has it.
pub(crate) type Refresh = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Asks the planner how many rows it expects; `None` where it cannot say.
pub(crate) type Estimator = Arc<dyn Fn(Inquiry) -> Pin<Box<dyn Future<Output = Option<u64>> + Send>> + Send + Sync>;

/// Cancels what runs at the database; done when the database has been told.
pub(crate) type Cancel = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// A session between its two sockets.
pub(crate) struct Pump<C, D, R> {
    session: Session,
    client: C,
    database: D,
    records: R,
    durability: Durability,
    commands: mpsc::Receiver<Command>,
    /// No more commands will come.
    commands_closed: bool,
    to_client: Outbox,
    to_database: Outbox,
    /// Positions in `to_database` that wait for a place to be durable, in order.
    barriers: VecDeque<(u64, Place)>,
    turn: Turn,
    closing: Option<Closing>,
    last_words: Pin<Box<Sleep>>,
    client_gone: bool,
    database_gone: bool,
    refresh: Option<Refresh>,
    estimator: Option<Estimator>,
    arbiter: Option<Arbiter>,
    meter: Option<Meter>,
    /// The catalog is being read anew.
    refreshing: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// The planner is being asked.
    estimating: Option<Pin<Box<dyn Future<Output = Option<u64>> + Send>>>,
    cancel: Option<Cancel>,
    /// What runs is being cancelled. Until the database has been told, neither side is read: the word must not reach
    /// what comes next.
    cancelling: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    pulse: Pulse,
}

/// Whether the other end of the tunnel is still there.
#[derive(Debug)]
struct Pulse {
    ticks: Interval,
    /// Something came from there since the last tick.
    heard: bool,
    /// Ticks in a row between which nothing came.
    silent: u32,
    /// Where our words to it ended at the last tick.
    said: u64,
}

impl Pulse {
    fn new() -> Self {
        let mut ticks = tokio::time::interval_at(Instant::now() + BEAT_EVERY, BEAT_EVERY);
        // After a sleep of the machine the other end gets its time again.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { ticks, heard: false, silent: 0, said: 0 }
    }
}

/// Bytes on their way out.
#[derive(Debug, Default)]
struct Outbox {
    bytes: Vec<u8>,
    /// How many of `bytes` have been written: `0 <= written <= bytes.len()`.
    written: usize,
    /// Position, counted from the beginning of the connection, of `bytes[0]`.
    base: u64,
    /// Something was written that has not been flushed.
    unflushed: bool,
}

impl Outbox {
    fn waiting(&self) -> usize {
        self.bytes.len().saturating_sub(self.written)
    }

    /// Position just behind the last byte.
    fn end(&self) -> u64 {
        self.base.saturating_add(u64::try_from(self.bytes.len()).unwrap_or(u64::MAX))
    }

    /// Takes all of `more`, leaving it empty. When nothing waits the buffers are swapped, not copied.
    fn take(&mut self, more: &mut Vec<u8>) {
        if more.is_empty() {
            return;
        }
        if self.bytes.is_empty() {
            std::mem::swap(&mut self.bytes, more);
        } else {
            self.bytes.append(more);
        }
    }

    /// Writes up to position `limit`. Ready when that is done.
    fn poll_write(
        &mut self,
        socket: &mut (impl AsyncWrite + Unpin),
        limit: u64,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let limit = usize::try_from(limit.saturating_sub(self.base)).unwrap_or(usize::MAX).min(self.bytes.len());
        while let Some(bytes) = self.bytes.get(self.written..limit).filter(|bytes| !bytes.is_empty()) {
            match ready!(Pin::new(&mut *socket).poll_write(cx, bytes))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.written += count,
            }
            self.unflushed = true;
        }
        if self.written == self.bytes.len() && self.written > 0 {
            self.base = self.end();
            self.written = 0;
            self.bytes.clear();
            if self.bytes.capacity() > BUFFER_KEPT {
                self.bytes = Vec::new();
            }
        }
        if self.unflushed {
            ready!(Pin::new(socket).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}

impl<C, D, R> Pump<C, D, R>
where
    C: AsyncRead + AsyncWrite + Unpin,
    D: AsyncRead + AsyncWrite + Unpin,
    R: Records,
{
    /// `greeting` goes to the client first.
    pub(crate) fn new(
        session: Session,
        client: C,
        database: D,
        (records, durability): (R, Durability),
        commands: mpsc::Receiver<Command>,
        greeting: Vec<u8>,
    ) -> Self {
        Self {
            session,
            client,
            database,
            records,
            durability,
            commands,
            commands_closed: false,
            to_client: Outbox { bytes: greeting, ..Outbox::default() },
            to_database: Outbox::default(),
            barriers: VecDeque::new(),
            turn: Turn::default(),
            closing: None,
            last_words: Box::pin(tokio::time::sleep(Duration::ZERO)),
            client_gone: false,
            database_gone: false,
            refresh: None,
            estimator: None,
            arbiter: None,
            meter: None,
            refreshing: None,
            estimating: None,
            cancel: None,
            cancelling: None,
            pulse: Pulse::new(),
        }
    }

    /// With a way to a newer catalog.
    pub(crate) fn refreshing(mut self, refresh: Refresh) -> Self {
        self.refresh = Some(refresh);
        self
    }

    /// With a planner to ask.
    pub(crate) fn estimating(mut self, estimator: Estimator) -> Self {
        self.estimator = Some(estimator);
        self
    }

    /// With a way to cancel what runs.
    pub(crate) fn cancelling(mut self, cancel: Cancel) -> Self {
        self.cancel = Some(cancel);
        self
    }

    /// With somebody to ask about what must be approved.
    pub(crate) fn arbitrated(mut self, arbiter: Arbiter) -> Self {
        self.arbiter = Some(arbiter);
        self
    }

    /// With somebody who counts what statements use up.
    pub(crate) fn metered(mut self, meter: Meter) -> Self {
        self.meter = Some(meter);
        self
    }

    /// Runs until the connection ends. Not cancel safe: dropping it cuts both sockets, and statements on their way get
    /// no end record.
    pub(crate) async fn run(mut self) -> Ended {
        let why = poll_fn(|cx| self.poll(cx)).await;
        // Best effort: the peers see the end either way.
        drop(tokio::time::timeout(LAST_WORDS, shut(&mut self.client)).await);
        drop(tokio::time::timeout(LAST_WORDS, shut(&mut self.database)).await);
        if let Some(cancel) = self.cancel.filter(|_| self.session.was_cut() && why != Closing::DatabaseFault) {
            // A backend that computes does not look whether anybody still listens.
            cancel().await;
        }
        Ended { why, statements: self.session.statements() }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Closing> {
        // For this turn only: an idle connection holds no read buffer.
        let mut scratch: Option<Scratch> = None;
        self.poll_pulse(cx);
        loop {
            let mut progress = false;
            progress |= self.poll_commands(cx);
            progress |= self.poll_refresh(cx);
            progress |= self.poll_estimate(cx);
            progress |= self.poll_cancelling(cx);
            progress |= self.poll_writes(cx);
            if let Some(why) = self.closing {
                if self.is_drained() || self.last_words.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(why);
                }
            } else {
                progress |= self.poll_reads(cx, scratch.get_or_insert_with(|| Box::new_uninit_slice(READ_SIZE)));
            }
            if !progress {
                return Poll::Pending;
            }
        }
    }

    fn is_drained(&self) -> bool {
        let client = self.client_gone || (self.to_client.waiting() == 0 && !self.to_client.unflushed);
        let database = self.database_gone || (self.to_database.waiting() == 0 && !self.to_database.unflushed);
        client && database
    }

    fn poll_commands(&mut self, cx: &mut Context<'_>) -> bool {
        if self.commands_closed || self.closing.is_some() {
            return false;
        }
        match self.commands.poll_recv(cx) {
            Poll::Pending => false,
            Poll::Ready(None) => {
                self.commands_closed = true;
                false
            }
            Poll::Ready(Some(command)) => {
                let (now, turn) = (clock::now(), &mut self.turn);
                match command {
                    Command::End(failure) => self.session.grant_ended(now, &failure, turn),
                    Command::Held(notice, id) => self.session.held(&notice, id, turn),
                    Command::Approved(id) => {
                        self.session.recording(self.records.ready());
                        self.session.approved(now, id, turn);
                    }
                    Command::NotApproved(sqlstate, failure, asked) => {
                        self.session.not_approved(now, sqlstate, &failure, asked, turn);
                    }
                    Command::Cancel => self.session.cancelled(now, turn),
                }
                self.settle();
                true
            }
        }
    }

    /// Says that we are here when we have said nothing else, and gives the other end up when it says nothing.
    fn poll_pulse(&mut self, cx: &mut Context<'_>) {
        while self.closing.is_none() && self.pulse.ticks.poll_tick(cx).is_ready() {
            let (end, listens) = match self.session.duty() {
                Duty::Watch => (self.to_database.end(), self.reads_database()),
                Duty::Enforce => (self.to_client.end(), self.reads_client()),
            };
            // What we do not read we cannot hear.
            let heard = std::mem::take(&mut self.pulse.heard) || !listens;
            self.pulse.silent = if heard { 0 } else { self.pulse.silent.saturating_add(1) };
            if self.pulse.silent >= SILENT_MAX {
                match self.session.duty() {
                    Duty::Watch => self.database_is_gone("The gateway has fallen silent"),
                    Duty::Enforce => self.client_is_gone(),
                }
            } else if end == self.pulse.said {
                self.session.beat(&mut self.turn);
                self.settle();
            }
            self.pulse.said = match self.session.duty() {
                Duty::Watch => self.to_database.end(),
                Duty::Enforce => self.to_client.end(),
            };
        }
    }

    /// Whether there is room for more of what the database says.
    fn reads_database(&self) -> bool {
        self.to_client.waiting() < BUFFER_MAX && self.cancelling.is_none()
    }

    /// Whether there is room for more of what the client says.
    fn reads_client(&self) -> bool {
        let waiting = self.to_database.waiting().max(self.session.held_back());
        waiting < BUFFER_MAX && self.cancelling.is_none()
    }

    fn poll_refresh(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(refreshing) = &mut self.refreshing else { return false };
        if refreshing.as_mut().poll(cx).is_pending() {
            return false;
        }
        self.refreshing = None;
        self.session.catalog_refreshed(clock::now(), &mut self.turn);
        self.settle();
        true
    }

    fn poll_estimate(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(estimating) = &mut self.estimating else { return false };
        let Poll::Ready(rows) = estimating.as_mut().poll(cx) else { return false };
        self.estimating = None;
        self.session.recording(self.records.ready());
        self.session.estimated(clock::now(), rows, &mut self.turn);
        self.settle();
        true
    }

    fn poll_cancelling(&mut self, cx: &mut Context<'_>) -> bool {
        let told = self.cancelling.as_mut().is_some_and(|cancelling| cancelling.as_mut().poll(cx).is_ready());
        if told {
            self.cancelling = None;
        }
        told
    }

    fn poll_writes(&mut self, cx: &mut Context<'_>) -> bool {
        let mut progress = false;
        while let Some((_, place)) = self.barriers.front() {
            match self.records.poll_durable(cx, *place) {
                Poll::Pending => break,
                Poll::Ready(Ok(())) => {
                    self.barriers.pop_front();
                    progress = true;
                }
                Poll::Ready(Err(failure)) => {
                    self.unrecorded(&failure);
                    return true;
                }
            }
        }
        let limit = self.barriers.front().map_or(u64::MAX, |(position, _)| *position);
        let before = (self.to_client.waiting(), self.to_database.waiting());
        if !self.client_gone
            && let Poll::Ready(Err(_)) = self.to_client.poll_write(&mut self.client, u64::MAX, cx)
        {
            self.client_is_gone();
            progress = true;
        }
        if !self.database_gone
            && let Poll::Ready(Err(error)) = self.to_database.poll_write(&mut self.database, limit, cx)
        {
            self.database_is_gone(&broke(&error));
            progress = true;
        }
        // Room was made: what was not read because of it can be read now.
        let full = |count: usize| count >= BUFFER_MAX;
        progress
            || (full(before.0) && !full(self.to_client.waiting()))
            || (full(before.1) && !full(self.to_database.waiting()))
    }

    fn poll_reads(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch) -> bool {
        let mut progress = false;
        if self.reads_database() {
            let mut target = ReadBuf::uninit(scratch);
            match poll_gather(&mut self.database, cx, &mut target) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) if target.filled().is_empty() => {
                    self.database_is_gone("The far side closed it");
                    progress = true;
                }
                Poll::Ready(Ok(())) => {
                    self.pulse.heard |= self.session.duty() == Duty::Watch;
                    self.session.from_database(clock::now(), target.filled(), &mut self.turn);
                    self.settle();
                    progress = true;
                }
                Poll::Ready(Err(error)) => {
                    self.database_is_gone(&broke(&error));
                    progress = true;
                }
            }
        }
        if self.reads_client() && self.closing.is_none() {
            let mut target = ReadBuf::uninit(scratch);
            match poll_gather(&mut self.client, cx, &mut target) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) if !target.filled().is_empty() => {
                    self.pulse.heard |= self.session.duty() == Duty::Enforce;
                    self.session.recording(self.records.ready());
                    self.session.from_client(clock::now(), target.filled(), &mut self.turn);
                    self.settle();
                    progress = true;
                }
                Poll::Ready(Ok(()) | Err(_)) => {
                    self.client_is_gone();
                    progress = true;
                }
            }
        }
        progress
    }

    /// Moves a turn's results to where they go: events to the records first, then bytes, behind their barrier.
    fn settle(&mut self) {
        if let Some(arbiter) = &self.arbiter {
            self.turn.pleas.drain(..).for_each(|plea| arbiter(plea));
        }
        let durable_first = std::mem::take(&mut self.turn.durable_first);
        let (mut awaited, mut over) = (None, None);
        for (index, event) in std::mem::take(&mut self.turn.events).into_iter().enumerate() {
            if let (Some(meter), Happening::StatementEnded(end)) = (&self.meter, &event.happening) {
                over = meter(end).or(over);
            }
            match self.records.record(&event) {
                Ok(place) if index < durable_first => awaited = Some(place),
                Ok(_) => {}
                Err(failure) => return self.unrecorded(&failure),
            }
        }
        // Where it is enough that a record is written, it is when `record` has returned.
        if let (Durability::Synced, Some(place)) = (self.durability, awaited) {
            self.barriers.push_back((self.to_database.end(), place));
        }
        self.to_client.take(&mut self.turn.to_client);
        self.to_database.take(&mut self.turn.to_database);
        if std::mem::take(&mut self.turn.refresh) && self.refreshing.is_none() {
            self.refreshing = match &self.refresh {
                Some(refresh) => Some(refresh()),
                // Nobody has a newer one: what waits is decided by what is known.
                None => Some(Box::pin(std::future::ready(()))),
            };
        }
        if let Some(question) = self.turn.estimate.take() {
            self.estimating = match &self.estimator {
                Some(estimator) => Some(estimator(*question)),
                None => Some(Box::pin(std::future::ready(None))),
            };
        }
        if std::mem::take(&mut self.turn.cancel) && self.cancelling.is_none() {
            // Without a way to cancel, the rest is read to its end.
            self.cancelling = self.cancel.as_ref().map(|cancel| cancel());
        }
        if let Some(why) = self.turn.close.take()
            && self.closing.is_none()
        {
            self.closing = Some(why);
            self.last_words = Box::pin(tokio::time::sleep(LAST_WORDS));
        }
        if let Some(failure) = over {
            // What had ended goes out first; what comes next is told that there is nothing left.
            self.session.grant_ended(clock::now(), &failure, &mut self.turn);
            self.settle();
        }
    }

    /// Something that had to be on record is not: nothing more goes to the database.
    fn unrecorded(&mut self, failure: &Failure) {
        self.turn = Turn::default();
        self.barriers.clear();
        self.to_database = Outbox::default();
        self.session.grant_ended(clock::now(), failure, &mut self.turn);
        // The end records of what was running cannot be written either; after a restart they become `unknown`.
        self.turn.events.clear();
        self.turn.durable_first = 0;
        self.settle();
        self.closing.get_or_insert(Closing::GrantEnded);
    }

    fn client_is_gone(&mut self) {
        if !std::mem::replace(&mut self.client_gone, true) {
            self.session.client_lost(clock::now(), &mut self.turn);
            self.settle();
        }
    }

    fn database_is_gone(&mut self, why: &str) {
        if !std::mem::replace(&mut self.database_gone, true) {
            let what = match self.session.duty() {
                Duty::Watch => "gateway",
                Duty::Enforce => "database",
            };
            let failure = Failure::new(Kind::Gateway, format!("the connection to the {what} was lost"))
                .detail(format!("{why}."))
                .hint("connect again; a statement that was running may or may not have taken effect");
            self.session.database_lost(clock::now(), &failure, &mut self.turn);
            self.settle();
        }
    }
}

fn broke(error: &io::Error) -> String {
    match error.kind() {
        // What TLS says of it is for programmers.
        io::ErrorKind::UnexpectedEof => "It ended without a word".to_owned(),
        _ => format!("Its connection broke: {error}"),
    }
}

/// A read buffer that costs nothing to set up: it is lent uninitialised, and only what was filled is ever seen.
type Scratch = Box<[MaybeUninit<u8>]>;

/// Reads what there is, as long as there is room: what arrived in several TLS records or segments goes on as one. Ready
/// without a byte at the end of the stream.
fn poll_gather(
    socket: &mut (impl AsyncRead + Unpin),
    cx: &mut Context<'_>,
    target: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    loop {
        let before = target.filled().len();
        match Pin::new(&mut *socket).poll_read(cx, target) {
            Poll::Ready(Ok(())) if target.filled().len() > before && target.remaining() > 0 => {}
            // After bytes, an end or an error is left to the next read, which meets it again.
            Poll::Pending | Poll::Ready(Err(_)) if before > 0 => return Poll::Ready(Ok(())),
            done => return done,
        }
    }
}

async fn shut(socket: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    use tokio::io::AsyncWriteExt as _;
    socket.shutdown().await
}
