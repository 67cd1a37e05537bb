//! An append-only journal on disk: what is appended survives the death of the process at once, and the death of the
//! machine as soon as its ticket is durable.
//!
//! The gateway keeps its records here before they reach the log's database, the client before they reach the server.
//!
//! - A frame is written by one `pwrite` before [`Journal::append`] returns. One thread makes frames durable, as many
//!   at a time as have gathered (group commit); it starts at once when somebody waits and the disk is idle.
//! - Frames stand in segments: files of one size whose room on the disk is set aside beforehand. Some segments are
//!   always set aside as a reserve. When no new one can be had, the disk is full: ordinary frames are refused at once,
//!   and frames that complete something already begun use the reserve. When there is room again, all goes on.
//! - A segment whose writing or syncing failed once is never written again. After a failed sync nobody knows what is
//!   on the disk (`fsync(2)` reports an error once and forgets it), so what was not known to be durable is kept in
//!   memory until it is, and is written again elsewhere.
//! - What is found at opening that is no frame is stepped over, counted and reported; nothing is written over it.

mod bell;
mod commit;
mod cursor;
mod folder;
mod frame;

pub(crate) use cursor::{Cursor, Piece};
pub(crate) use frame::BODY_MAX;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::domain::{Failure, Kind};

use bell::Bell;
use folder::{Folder, RealFolder, Slot};

/// How much a journal takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Length of a segment.
    pub(crate) segment_bytes: u64,
    /// Segments set aside that only what completes something may use.
    pub(crate) reserve: usize,
    /// Most bytes of segments at the same time, the reserve not counted. More means that nobody takes them away.
    pub(crate) bytes_max: u64,
    /// Somebody waits for frames to be durable: segments are filled with zeros beforehand. Blocks that are only
    /// reserved become the file's own when they are first written, and each sync would then wait for the file system's
    /// journal too.
    pub(crate) filled: bool,
}

impl Settings {
    /// Segments of 4 MiB, because the newest is read whole at opening; a reserve of 16 MiB, which is room for the ends
    /// of some 50,000 statements.
    pub(crate) const fn new(bytes_max: u64) -> Self {
        Self { segment_bytes: 4 * 1024 * 1024, reserve: 4, bytes_max, filled: true }
    }

    /// Segments to have set aside: the reserve, and the next.
    fn stock(&self) -> usize {
        self.reserve.saturating_add(1)
    }
}

/// Whether a frame begins something or completes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Importance {
    /// Refused when the disk is full.
    Ordinary,
    /// May use the reserve: the end of what was begun, a signature, a notice of what was lost.
    Completing,
}

/// The place of one frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

impl Ticket {
    pub(crate) const fn number(self) -> u64 {
        self.0
    }

    /// The ticket that has this number.
    pub(crate) const fn from_number(number: u64) -> Self {
        Self(number)
    }
}

/// A handle on an open journal. When the last one is dropped, everything is made durable and the folder is let go.
#[derive(Clone, Debug)]
pub(crate) struct Journal {
    shared: Arc<Shared>,
    _thread: Arc<commit::Thread>,
}

/// How long to wait for a disk that does not answer. What waits is refused then.
pub(crate) const SYNC_TIMEOUT: Duration = Duration::from_secs(5);

/// Most bytes kept in memory because they are not known to be durable. At the 20 MB/s of a busy gateway a disk may
/// stand still for less than a second before statements are refused.
const TAIL_MAX: usize = 16 * 1024 * 1024;

#[derive(Debug)]
struct Shared {
    folder: Box<dyn Folder>,
    settings: Settings,
    /// Where it is, for messages.
    place: String,
    /// When the journal was opened: its last frame, and the last that its own frames say was durable.
    opened_last: u64,
    opened_durable: u64,
    writer: Mutex<Writer>,
    /// The last durable frame.
    durable: AtomicU64,
    progress: Mutex<Progress>,
    /// Wakes the tasks that wait.
    bell: Bell,
    /// With `progress`: for threads that wait.
    progressed: Condvar,
    work: Mutex<commit::Work>,
    /// With `work`: for the thread that makes frames durable.
    wake: Condvar,
}

/// What waiters see.
#[derive(Debug, Default)]
struct Progress {
    durable: u64,
    /// Frames up to here could not be made durable when it was tried.
    failed: u64,
    why: String,
    /// Tasks that wait, each for a frame.
    waiting: Vec<(u64, Waker)>,
    /// Threads that wait.
    threads: usize,
}

/// Everything that changes with an append.
#[derive(Debug)]
struct Writer {
    /// Oldest first; the last is the one being written. Never empty.
    segments: VecDeque<Segment>,
    /// Where the next frame goes in the last segment. `0 <= offset <= segment_bytes`
    offset: u64,
    /// The next frame's number.
    next: u64,
    /// The last segment must not be written any more.
    abandoned: bool,
    /// Set aside, by name.
    spares: Vec<(String, Arc<dyn Slot>)>,
    spares_made: u64,
    /// Why ordinary frames are refused.
    full: Option<String>,
    /// A sync failed, and what it should have made durable has not been written elsewhere yet.
    unhealed: bool,
    /// Segments written since the last sync, besides the last.
    unsynced: Vec<Arc<dyn Slot>>,
    /// Frames being made durable now, as bytes, and those written since.
    in_flight: Vec<u8>,
    fresh: Vec<u8>,
    /// A file has been given its name since the last sync.
    renamed: bool,
    scratch: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Segment {
    /// Number of its first frame; its name says it too.
    first: u64,
    slot: Arc<dyn Slot>,
}

/// What opening has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Opened {
    /// The last frame that is there.
    pub(crate) last: u64,
    /// Bytes after it that are no frame: something unfinished, which no append has reported as written.
    pub(crate) torn: u64,
}

impl Journal {
    /// Opens the journal in a folder of its own, made if there is none. `None` when another process uses it.
    pub(crate) fn open(path: &Path, settings: Settings) -> Result<Option<(Self, Opened)>, Failure> {
        let place = path.display().to_string();
        let folder =
            RealFolder::open(path.to_owned(), settings.filled).map_err(|error| cannot(&place, "be opened", &error))?;
        folder.map(|folder| Self::open_in(Box::new(folder), settings, place)).transpose()
    }

    fn open_in(folder: Box<dyn Folder>, settings: Settings, place: String) -> Result<(Self, Opened), Failure> {
        let (writer, opened, opened_durable) =
            open_writer(&*folder, &settings).map_err(|error| cannot(&place, "be opened", &error))?;
        let durable = AtomicU64::new(opened.last);
        let progress = Mutex::new(Progress { durable: opened.last, ..Progress::default() });
        let shared = Arc::new(Shared {
            folder,
            settings,
            place,
            opened_last: opened.last,
            opened_durable,
            writer: Mutex::new(writer),
            durable,
            progress,
            bell: Bell::default(),
            progressed: Condvar::new(),
            work: Mutex::default(),
            wake: Condvar::new(),
        });
        let thread = commit::Thread::start(&shared)?;
        Ok((Self { shared, _thread: Arc::new(thread) }, opened))
    }

    /// Appends a frame whose body is these parts, one after the other. When this returns, the frame survives the
    /// death of this process.
    pub(crate) fn append(&self, importance: Importance, kind: u8, body: &[&[u8]]) -> Result<Ticket, Failure> {
        self.shared.append(importance, kind, body)
    }

    /// Whether a frame survives the death of the machine.
    pub(crate) fn is_durable(&self, ticket: Ticket) -> bool {
        self.shared.durable.load(Ordering::Acquire) >= ticket.0
    }

    /// Waits until a frame is durable. May be given up half way: the frame becomes durable all the same.
    pub(crate) async fn durable(&self, ticket: Ticket) -> Result<(), Failure> {
        if self.is_durable(ticket) {
            return Ok(());
        }
        let done = poll_fn(|cx| self.poll_durable(cx, ticket));
        tokio::time::timeout(SYNC_TIMEOUT, done).await.unwrap_or_else(|_| Err(self.too_slow()))
    }

    /// Ready once a frame is durable or could not be made so. Whoever polls does not wait longer than
    /// [`SYNC_TIMEOUT`], and then says [`Journal::too_slow`].
    pub(crate) fn poll_durable(&self, cx: &mut Context<'_>, ticket: Ticket) -> Poll<Result<(), Failure>> {
        if self.is_durable(ticket) {
            return Poll::Ready(Ok(()));
        }
        self.shared.bell.hang();
        let mut progress = self.shared.lock_progress();
        if progress.durable >= ticket.0 {
            return Poll::Ready(Ok(()));
        }
        if progress.failed >= ticket.0 {
            return Poll::Ready(Err(self.shared.refusal(&progress.why)));
        }
        let waiter = (ticket.0, cx.waker());
        if !progress.waiting.iter().any(|(number, waker)| *number == waiter.0 && waker.will_wake(waiter.1)) {
            progress.waiting.push((waiter.0, waiter.1.clone()));
        }
        drop(progress);
        self.shared.want(ticket.0);
        Poll::Pending
    }

    /// What to say when a frame did not become durable in time.
    pub(crate) fn too_slow(&self) -> Failure {
        self.shared.refusal("the disk does not answer")
    }

    /// Waits until a frame is durable, for callers that are not tasks.
    pub(crate) fn wait_durable(&self, ticket: Ticket) -> Result<(), Failure> {
        if self.is_durable(ticket) {
            return Ok(());
        }
        self.shared.want(ticket.0);
        let waiting = |progress: &mut Progress| progress.durable.max(progress.failed) < ticket.0;
        let progress = self.shared.wait_progress(SYNC_TIMEOUT, waiting);
        if progress.durable >= ticket.0 {
            Ok(())
        } else if progress.failed >= ticket.0 {
            Err(self.shared.refusal(&progress.why))
        } else {
            Err(self.too_slow())
        }
    }

    /// Waits until more than `seen` frames are durable, or until the time is over.
    pub(crate) fn wait_beyond(&self, seen: u64, patience: Duration) {
        drop(self.shared.wait_progress(patience, |progress| progress.durable <= seen));
    }

    /// The last frame that is durable.
    pub(crate) fn last_durable(&self) -> u64 {
        self.shared.durable.load(Ordering::Acquire)
    }

    /// The last frame that was written, durable or not.
    pub(crate) fn last_written(&self) -> u64 {
        self.shared.lock().next.saturating_sub(1)
    }

    /// The oldest frame the journal may still have.
    pub(crate) fn first(&self) -> u64 {
        self.shared.lock().segments.front().map_or(0, |segment| segment.first)
    }

    /// Whether something new may begin.
    pub(crate) fn ready(&self) -> Result<(), Failure> {
        let refused = self.shared.lock().refuses(Importance::Ordinary);
        refused.map_or(Ok(()), |why| Err(self.shared.refusal(&why)))
    }

    /// The oldest frame there will be when everything up to `last` is let go; `None` when that changes nothing.
    pub(crate) fn first_after(&self, last: u64) -> Option<u64> {
        let writer = self.shared.lock();
        let kept = writer.segments.iter().map(|segment| segment.first).filter(|first| *first <= last.saturating_add(1));
        let newest = kept.max();
        newest.filter(|first| writer.segments.front().is_some_and(|oldest| oldest.first < *first))
    }

    /// Lets go of the segments whose frames all have numbers up to `last`.
    pub(crate) fn free(&self, last: u64) -> Result<(), Failure> {
        let Some(kept) = self.first_after(last) else { return Ok(()) };
        let mut writer = self.shared.lock();
        let names: Vec<_> = writer.segments.iter().map(|segment| segment.first).filter(|first| *first < kept).collect();
        writer.segments.retain(|segment| segment.first >= kept);
        drop(writer);
        let names: Vec<_> = names.into_iter().map(name).collect();
        for name in names {
            let removed = self.shared.folder.remove(&name);
            removed.map_err(|error| cannot(&self.shared.place, "be shortened", &error))?;
        }
        Ok(())
    }
}

impl Shared {
    /// Blocks while `waiting` says so, or until the time is over.
    fn wait_progress(
        &self,
        patience: Duration,
        waiting: impl FnMut(&mut Progress) -> bool,
    ) -> MutexGuard<'_, Progress> {
        let mut progress = self.lock_progress();
        progress.threads += 1;
        let waited = self.progressed.wait_timeout_while(progress, patience, waiting);
        let (mut progress, _) = waited.unwrap_or_else(PoisonError::into_inner);
        progress.threads -= 1;
        progress
    }

    fn append(&self, importance: Importance, kind: u8, body: &[&[u8]]) -> Result<Ticket, Failure> {
        let length: usize = body.iter().map(|part| part.len()).sum();
        if length == 0 || length > BODY_MAX {
            return Err(Failure::new(Kind::Internal, format!("a journal entry of {length} bytes cannot be written")));
        }
        let mut writer = self.lock();
        if let Some(why) = writer.refuses(importance) {
            return Err(self.refusal(&why));
        }
        let written = writer.append(self, importance, kind, body);
        if let Err(error) = &written {
            writer.full = Some(error.to_string());
        }
        let number = writer.next;
        if written.is_ok() {
            writer.next += 1;
        }
        drop(writer);
        self.note_work();
        match written {
            Ok(()) => Ok(Ticket(number)),
            Err(error) => Err(self.refusal(&error.to_string())),
        }
    }

    fn lock_progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refusal(&self, why: &str) -> Failure {
        let hint = format!("see to the disk that holds {}; it goes on by itself then", self.place);
        Failure::new(Kind::Limit, "no record can be written").detail(sentence(why)).hint(hint)
    }
}

impl Writer {
    fn refuses(&self, importance: Importance) -> Option<String> {
        let pending = self.in_flight.len().saturating_add(self.fresh.len());
        match importance {
            _ if self.unhealed => self.full.clone().or_else(|| Some("the disk does not take what is written".into())),
            Importance::Ordinary if pending > TAIL_MAX => Some("the disk is slower than what is to be written".into()),
            // Ends and signatures come after starts, so they cannot be more than this.
            Importance::Completing if pending > 2 * TAIL_MAX => Some("the disk does not answer".into()),
            Importance::Ordinary => self.full.clone(),
            Importance::Completing => None,
        }
    }

    /// Writes the frame with the next number; tries once more in another segment when that fails.
    fn append(&mut self, shared: &Shared, importance: Importance, kind: u8, body: &[&[u8]]) -> io::Result<()> {
        self.scratch.clear();
        frame::write(&mut self.scratch, self.next, shared.durable.load(Ordering::Acquire), kind, body);
        let length = u64::try_from(self.scratch.len()).unwrap_or(u64::MAX);
        if self.abandoned || self.offset.saturating_add(length) > shared.settings.segment_bytes {
            self.turn(shared, importance)?;
        }
        if self.write_scratch().is_err() {
            self.turn(shared, importance)?;
            self.write_scratch()?;
        }
        self.offset += length;
        self.fresh.extend_from_slice(&self.scratch);
        Ok(())
    }

    fn write_scratch(&mut self) -> io::Result<()> {
        let last = self.segments.back().ok_or_else(|| io::Error::other("there is no segment"))?;
        let written = last.slot.write_at(&self.scratch, self.offset);
        // After a failure it is not known what is on the disk at this place.
        self.abandoned = written.is_err();
        written
    }

    /// Goes on in the next segment, one of those set aside. What begins something takes one only when the reserve
    /// stays whole, so that there is always room for what ends.
    fn turn(&mut self, shared: &Shared, importance: Importance) -> io::Result<()> {
        if importance == Importance::Ordinary || self.spares.is_empty() {
            // The other thread is seldom so late.
            self.stock(shared, importance)?;
        }
        let Some((spare, slot)) = self.spares.pop() else { return Err(io::ErrorKind::StorageFull.into()) };
        // When this fails nobody knows which name the file has; it is not used, and goes at the next opening.
        shared.folder.rename(&spare, &name(self.next))?;
        match self.segments.back() {
            // Nothing was written in it: the new one has the same number, and has taken its name.
            Some(last) if last.first == self.next => drop(self.segments.pop_back()),
            Some(last) => self.unsynced.push(Arc::clone(&last.slot)),
            None => {}
        }
        self.segments.push_back(Segment { first: self.next, slot });
        self.offset = 0;
        self.abandoned = false;
        self.renamed = true;
        Ok(())
    }

    /// Sets segments aside at once: the reserve and one for what begins something, one for what completes it.
    fn stock(&mut self, shared: &Shared, importance: Importance) -> io::Result<()> {
        let enough = match importance {
            Importance::Ordinary => shared.settings.stock(),
            Importance::Completing => 1,
        };
        while self.spares.len() < enough {
            let spare = self.spare_name();
            let slot = shared.folder.create(&spare, shared.settings.segment_bytes)?;
            self.spares.push((spare, Arc::from(slot)));
        }
        Ok(())
    }

    fn spare_name(&mut self) -> String {
        self.spares_made += 1;
        format!("{SPARE}{}", self.spares_made)
    }
}

/// Finds the segments and the end of the last one. The last number returned is that of the last frame which, as
/// later frames say, was durable.
fn open_writer(folder: &dyn Folder, settings: &Settings) -> io::Result<(Writer, Opened, u64)> {
    let segments = open_segments(folder)?;
    let mut opened = Opened::default();
    let (mut offset, mut usable, mut durable) = (0, false, 0);
    for (age, segment) in segments.iter().rev().enumerate() {
        let end = cursor::find_end(&*segment.slot, segment.first)?;
        if age == 0 {
            opened = Opened { last: end.last, torn: end.torn };
            offset = end.offset;
            usable = end.torn == 0 && end.length == settings.segment_bytes;
        }
        durable = durable.max(end.durable);
        if end.last >= segment.first {
            break;
        }
    }
    let mut segments = segments;
    let next = opened.last.saturating_add(1);
    if !usable {
        let slot: Arc<dyn Slot> = Arc::from(folder.create(&name(next), settings.segment_bytes)?);
        segments.retain(|segment| segment.first != next);
        segments.push_back(Segment { first: next, slot });
        offset = 0;
    }
    folder.sync()?;
    let writer = Writer {
        segments,
        offset,
        next,
        abandoned: false,
        spares: Vec::new(),
        spares_made: 0,
        full: None,
        unhealed: false,
        unsynced: Vec::new(),
        in_flight: Vec::new(),
        fresh: Vec::new(),
        renamed: false,
        scratch: Vec::new(),
    };
    Ok((writer, opened, durable))
}

/// The segments there are, oldest first.
fn open_segments(folder: &dyn Folder) -> io::Result<VecDeque<Segment>> {
    let mut firsts = Vec::new();
    for found in folder.names()? {
        match first_of(&found) {
            Some(first) => firsts.push(first),
            // A segment set aside by a process that ended; it may hold anything.
            None if found.starts_with(SPARE) => folder.remove(&found)?,
            None => {}
        }
    }
    firsts.sort_unstable();
    let mut segments = VecDeque::new();
    for first in firsts {
        let slot: Arc<dyn Slot> = Arc::from(folder.open(&name(first))?);
        // A process that was killed may have left it in the kernel's memory only.
        slot.sync()?;
        segments.push_back(Segment { first, slot });
    }
    Ok(segments)
}

const SPARE: &str = "spare-";
const SUFFIX: &str = ".journal";

/// A segment's file name: its first frame's number, in as many digits as the largest has, so that names sort.
fn name(first: u64) -> String {
    format!("{first:020}{SUFFIX}")
}

fn first_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    (digits.len() == 20).then(|| digits.parse().ok()).flatten()
}

fn cannot(place: &str, what: &str, error: &io::Error) -> Failure {
    Failure::new(Kind::Internal, format!("the journal in {place} cannot {what}")).detail(sentence(&error.to_string()))
}

/// What a system error says, as a sentence.
fn sentence(text: &str) -> String {
    let text = text.trim_end_matches('.');
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}

#[cfg(test)]
mod tests;
