//! Threads that mask a share of a long result's rows while the connection's own task masks the rest.
//!
//! Nobody waits for them: a share that none of them has taken when the task has done its own is taken back. So where all
//! cores are busy with other connections, sharing costs a wake-up, and a result is not slower for it.

use std::collections::VecDeque;
use std::fmt;
use std::num::NonZero;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::domain::{Failure, Kind};
use crate::session::{Helper, Share};

/// Most threads. Each serves one result at a time, and few results are long.
const THREADS_MAX: usize = 4;

/// The threads. Dropping it ends them.
pub(crate) struct Crew {
    desk: Arc<Desk>,
    threads: Vec<JoinHandle<()>>,
}

/// Where shares are put down.
#[derive(Default)]
struct Desk {
    waiting: Mutex<Waiting>,
    wake: Condvar,
}

#[derive(Default)]
struct Waiting {
    /// Shares that nobody has taken, oldest first. Some are empty: they were taken back.
    places: VecDeque<Arc<Place>>,
    stop: bool,
}

/// Where one share lies.
struct Place {
    share: Mutex<State>,
    returned: Condvar,
}

enum State {
    Waiting(Box<Share>),
    /// Somebody works on it.
    Taken,
    Returned(Box<Share>),
    /// Whoever worked on it is no more.
    Lost,
}

impl Crew {
    /// One for each core but one; nobody on a machine that has only that.
    pub(crate) fn start() -> Result<Option<Self>, Failure> {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let count = cores.saturating_sub(1).min(THREADS_MAX);
        if count == 0 { Ok(None) } else { Self::of(count).map(Some) }
    }

    fn of(count: usize) -> Result<Self, Failure> {
        let mut crew = Self { desk: Arc::default(), threads: Vec::new() };
        for _ in 0..count {
            let desk = Arc::clone(&crew.desk);
            let thread = std::thread::Builder::new().name("masking".to_owned()).spawn(move || work(&desk));
            let failure = |error| Failure::new(Kind::Internal, "no thread can be started").detail(format!("{error}."));
            crew.threads.push(thread.map_err(failure)?);
        }
        Ok(crew)
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        lock(&self.desk.waiting).stop = true;
        self.desk.wake.notify_all();
        for thread in self.threads.drain(..) {
            // A thread that panicked has nothing more to tell.
            drop(thread.join());
        }
    }
}

impl fmt::Debug for Crew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Crew({})", self.threads.len())
    }
}

impl Helper for Crew {
    /// Blocks when `own` is done and somebody still works on the share, which is as long as `own`: some hundred
    /// microseconds.
    fn both(&self, share: Box<Share>, own: &mut dyn FnMut()) -> Option<Box<Share>> {
        let place = Arc::new(Place { share: Mutex::new(State::Waiting(share)), returned: Condvar::new() });
        lock(&self.desk.waiting).places.push_back(Arc::clone(&place));
        self.desk.wake.notify_one();
        own();
        let mut state = lock(&place.share);
        loop {
            match std::mem::replace(&mut *state, State::Taken) {
                State::Waiting(mut share) => {
                    drop(state);
                    lock(&self.desk.waiting).places.retain(|other| !Arc::ptr_eq(other, &place));
                    share.run();
                    return Some(share);
                }
                State::Returned(share) => return Some(share),
                State::Lost => return None,
                State::Taken => state = place.returned.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

fn work(desk: &Desk) {
    let idle = |waiting: &mut Waiting| waiting.places.is_empty() && !waiting.stop;
    loop {
        let mut waiting = desk.wake.wait_while(lock(&desk.waiting), idle).unwrap_or_else(PoisonError::into_inner);
        if waiting.stop {
            return;
        }
        let place = waiting.places.pop_front();
        drop(waiting);
        if let Some(place) = place {
            place.work();
        }
    }
}

impl Place {
    fn work(&self) {
        let mut state = lock(&self.share);
        let State::Waiting(mut share) = std::mem::replace(&mut *state, State::Taken) else { return };
        drop(state);
        let mut bringing = Bringing { place: self, state: State::Lost };
        share.run();
        bringing.state = State::Returned(share);
    }
}

/// Brings a share back, or the news that there is none, whatever happens to the thread.
struct Bringing<'a> {
    place: &'a Place,
    state: State,
}

impl Drop for Bringing<'_> {
    fn drop(&mut self) {
        *lock(&self.place.share) = std::mem::replace(&mut self.state, State::Taken);
        self.place.returned.notify_one();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::share_of_rows;

    #[test]
    fn everything_is_done_once_whoever_does_it() {
        let crew = Crew::of(2).unwrap();
        std::thread::scope(|scope| {
            // More at once than there are threads, so that some shares are taken back.
            for task in 0..6 {
                let crew = &crew;
                scope.spawn(move || {
                    for round in 0..40 {
                        let (share, expected) = share_of_rows(task * 1_000 + round);
                        let mut own = 0;
                        let share = crew.both(share, &mut || own += 1).unwrap();
                        assert_eq!((own, share.written()), (1, &expected[..]));
                    }
                });
            }
        });
        assert!(lock(&crew.desk.waiting).places.is_empty(), "nothing is left lying about");
    }

    #[test]
    fn without_anybody_shares_are_taken_back() {
        let crew = Crew::of(0).unwrap();
        let (share, expected) = share_of_rows(7);
        assert_eq!(crew.both(share, &mut || {}).unwrap().written(), expected);
    }
}
