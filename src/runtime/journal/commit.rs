//! The thread that makes frames durable, keeps segments set aside, and heals what a bad disk has left.
//!
//! One round: (1) wait until somebody waits for a frame, or for [`LAZY`] when frames were written and nobody waits;
//! (2) note the last frame written; (3) sync the files it and those before it are in; (4) say so. What is appended
//! during (3) is the next round's.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::task::Waker;
use std::thread::JoinHandle;
use std::time::Duration;

use super::folder::Slot;
use super::{Progress, SPARE, Segment, Shared, Writer, frame, name};
use crate::domain::{Failure, Kind};

/// How long written frames may wait for somebody to wait for them.
const LAZY: Duration = Duration::from_millis(50);

/// How often a disk that was full or broken is tried again.
const AGAIN: Duration = Duration::from_millis(50);

/// What the thread is to do.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// Somebody waits for this frame.
    wanted: u64,
    /// Something was written since the last round.
    written: bool,
    stop: bool,
    rest: Rest,
}

/// What the thread does at the moment. Waking it costs the caller a system call and the machine two switches, so it is
/// woken only when it would not come by itself in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Rest {
    /// A round, or it has been woken: it looks for work before it rests again.
    #[default]
    Awake,
    /// It looks again within [`LAZY`].
    Dozing,
    /// Until it is woken.
    Asleep,
}

/// The running thread. Dropping it ends the thread after a last round.
#[derive(Debug)]
pub(super) struct Thread {
    shared: Arc<Shared>,
    handle: Option<JoinHandle<()>>,
}

impl Thread {
    pub(super) fn start(shared: &Arc<Shared>) -> Result<Self, Failure> {
        let inner = Arc::clone(shared);
        let handle = std::thread::Builder::new().name("journal".to_owned()).spawn(move || run(&inner));
        let handle = handle.map_err(|error| {
            Failure::new(Kind::Internal, "no thread can be started").detail(super::sentence(&error.to_string()))
        })?;
        Ok(Self { shared: Arc::clone(shared), handle: Some(handle) })
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.shared.lock_work().stop = true;
        self.shared.wake.notify_all();
        if let Some(handle) = self.handle.take() {
            // A thread that panicked has nothing more to tell.
            drop(handle.join());
        }
    }
}

impl Shared {
    pub(super) fn lock_work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that frames were written.
    pub(super) fn note_work(&self) {
        let mut work = self.lock_work();
        work.written = true;
        if work.rest == Rest::Asleep {
            self.rouse(work);
        }
    }

    /// Says that somebody waits for a frame.
    pub(super) fn want(&self, number: u64) {
        let mut work = self.lock_work();
        work.wanted = work.wanted.max(number);
        if work.rest != Rest::Awake {
            self.rouse(work);
        }
    }

    /// Wakes the thread. Without the lock, so that it does not have to wait for it.
    fn rouse(&self, mut work: MutexGuard<'_, Work>) {
        work.rest = Rest::Awake;
        drop(work);
        self.wake.notify_all();
    }

    /// Changes what waiters see, and wakes those who have waited for it.
    fn publish(&self, change: impl FnOnce(&mut Progress)) {
        let mut progress = self.lock_progress();
        change(&mut progress);
        let reached = progress.durable.max(progress.failed);
        let (woken, waiting) =
            std::mem::take(&mut progress.waiting).into_iter().partition(|(number, _)| *number <= reached);
        progress.waiting = waiting;
        let threads = progress.threads;
        drop(progress);
        if threads > 0 {
            self.progressed.notify_all();
        }
        let woken: Vec<(u64, Waker)> = woken;
        self.bell.call(woken.into_iter().map(|(_, waker)| waker).collect());
    }
}

/// How the last round went.
#[derive(Clone, Copy)]
struct Health {
    /// Everything written was made durable.
    synced: bool,
    /// As many segments are set aside as should be.
    stocked: bool,
}

fn run(shared: &Shared) {
    let mut health = Health { synced: true, stocked: refill(shared) };
    loop {
        let stop = wait(shared, health);
        let synced = round(shared);
        health = Health { synced, stocked: refill(shared) };
        if stop {
            return;
        }
    }
}

/// Step 1. Says whether this is the last round.
fn wait(shared: &Shared, health: Health) -> bool {
    let mut work = shared.lock_work();
    // Work is seldom alone: before a long rest there is a short one.
    let mut rested = false;
    loop {
        let wanted = work.wanted > shared.durable.load(Ordering::Acquire);
        if work.stop || (wanted && health.synced) {
            break;
        }
        let healthy = health.synced && health.stocked;
        let patience = match (healthy, work.written || !rested) {
            (false, _) => AGAIN,
            (true, true) => LAZY,
            (true, false) => {
                work.rest = Rest::Asleep;
                work = shared.wake.wait(work).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
        };
        work.rest = Rest::Dozing;
        let (guard, timeout) = shared.wake.wait_timeout(work, patience).unwrap_or_else(PoisonError::into_inner);
        work = guard;
        if timeout.timed_out() {
            if work.written || !healthy {
                break;
            }
            rested = true;
        }
    }
    work.rest = Rest::Awake;
    work.written = false;
    work.stop
}

/// Steps 2 to 4. Says whether everything written is durable now.
fn round(shared: &Shared) -> bool {
    let mut writer = shared.lock();
    let target = writer.next.saturating_sub(1);
    if target <= shared.durable.load(Ordering::Acquire) && !writer.renamed {
        return true;
    }
    if writer.unhealed {
        return heal(shared, writer);
    }
    let (slots, renamed) = writer.start_round();
    drop(writer);
    let mut synced = if renamed { shared.folder.sync() } else { Ok(()) };
    for slot in slots {
        // Each is tried, whatever became of the others.
        let one = slot.sync();
        synced = synced.and(one);
    }
    let mut writer = shared.lock();
    if let Err(error) = synced {
        writer.unhealed = true;
        writer.full = Some(error.to_string());
        return heal(shared, writer);
    }
    writer.in_flight.clear();
    drop(writer);
    done(shared, target);
    true
}

fn done(shared: &Shared, target: u64) {
    shared.durable.store(target, Ordering::Release);
    shared.publish(|progress| progress.durable = target);
}

impl Writer {
    /// The files that must be synced for everything written so far, and whether the folder must.
    fn start_round(&mut self) -> (Vec<Arc<dyn Slot>>, bool) {
        let mut slots = std::mem::take(&mut self.unsynced);
        slots.extend(self.segments.back().map(|last| Arc::clone(&last.slot)));
        let fresh = std::mem::take(&mut self.fresh);
        if self.in_flight.is_empty() {
            // The buffer that has become empty is the next to be filled.
            self.fresh = std::mem::replace(&mut self.in_flight, fresh);
        } else {
            self.in_flight.extend_from_slice(&fresh);
        }
        (slots, std::mem::take(&mut self.renamed))
    }
}

/// After a failed sync: writes everything that is not known to be durable into new segments and makes those durable
/// before they get their names. Nothing is appended meanwhile.
fn heal(shared: &Shared, mut writer: MutexGuard<'_, Writer>) -> bool {
    let target = writer.next.saturating_sub(1);
    match rewrite(shared, &mut writer) {
        Ok(()) => {
            writer.unhealed = false;
            writer.full = None;
            drop(writer);
            done(shared, target);
            true
        }
        Err(error) => {
            let why = error.to_string();
            writer.full = Some(why.clone());
            drop(writer);
            shared.publish(|progress| {
                progress.failed = target;
                progress.why = why;
            });
            false
        }
    }
}

fn rewrite(shared: &Shared, writer: &mut Writer) -> io::Result<()> {
    let durable = shared.durable.load(Ordering::Acquire);
    let fresh = std::mem::take(&mut writer.fresh);
    writer.in_flight.extend_from_slice(&fresh);
    let mut parts: Vec<(u64, &[u8])> = Vec::new();
    let mut rest: &[u8] = &writer.in_flight;
    let mut number = durable.saturating_add(1);
    while !rest.is_empty() {
        let (length, count) = frames_within(rest, shared.settings.segment_bytes);
        let Some((part, more)) = rest.split_at_checked(length).filter(|(part, _)| !part.is_empty()) else {
            return Err(io::Error::other("the frames kept in memory are not whole"));
        };
        parts.push((number, part));
        number = number.saturating_add(count);
        rest = more;
    }
    if parts.is_empty() {
        parts.push((number, &[]));
    }
    let mut segments = Vec::new();
    let mut offset = 0;
    for (first, part) in parts {
        let spare = format!("{SPARE}healing-{first}");
        let slot: Arc<dyn Slot> = Arc::from(shared.folder.create(&spare, shared.settings.segment_bytes)?);
        slot.write_at(part, 0)?;
        slot.sync()?;
        offset = u64::try_from(part.len()).unwrap_or(u64::MAX);
        segments.push((spare, Segment { first, slot }));
    }
    for (spare, segment) in &segments {
        shared.folder.rename(spare, &name(segment.first))?;
    }
    let replaced: Vec<u64> = writer.segments.iter().map(|old| old.first).filter(|first| *first > durable).collect();
    for first in replaced {
        if !segments.iter().any(|(_, segment)| segment.first == first) {
            shared.folder.remove(&name(first))?;
        }
    }
    shared.folder.sync()?;
    writer.segments.retain(|old| old.first <= durable);
    writer.segments.extend(segments.into_iter().map(|(_, segment)| segment));
    writer.offset = offset;
    writer.abandoned = false;
    writer.renamed = false;
    writer.unsynced.clear();
    writer.in_flight.clear();
    Ok(())
}

/// How many bytes of whole frames fit a segment, and how many frames that is.
fn frames_within(bytes: &[u8], segment_bytes: u64) -> (usize, u64) {
    let room = usize::try_from(segment_bytes).unwrap_or(usize::MAX);
    let (mut length, mut count) = (0usize, 0u64);
    while let frame::Found::Frame(_, size) = frame::read(bytes.get(length..).unwrap_or_default()) {
        if length.saturating_add(size) > room {
            break;
        }
        length += size;
        count += 1;
    }
    (length, count)
}

/// Keeps segments set aside. Says whether there are as many as there should be.
fn refill(shared: &Shared) -> bool {
    loop {
        let mut writer = shared.lock();
        let used = u64::try_from(writer.segments.len()).unwrap_or(u64::MAX);
        if used.saturating_mul(shared.settings.segment_bytes) > shared.settings.bytes_max {
            writer.full = Some("what is written here is not taken away by the other side".to_owned());
            return false;
        }
        if writer.spares.len() >= shared.settings.stock() {
            if !writer.unhealed {
                writer.full = None;
            }
            return !writer.unhealed;
        }
        let spare = writer.spare_name();
        drop(writer);
        let made = shared.folder.create(&spare, shared.settings.segment_bytes);
        let mut writer = shared.lock();
        match made {
            Ok(slot) => writer.spares.push((spare, Arc::from(slot))),
            Err(error) => {
                writer.full = Some(error.to_string());
                return false;
            }
        }
    }
}
