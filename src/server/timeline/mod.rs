//! The timeline: an index over the log for people who look something up. It holds nothing the log does not hold and
//! can be thrown away at any time; it is then made again from the log.

mod access;
mod check;
mod fill;
mod query;
mod tables;
#[cfg(test)]
mod tests;

pub(crate) use access::{Access, AccessFilter};
pub(super) use check::compare;
#[cfg(test)]
pub(super) use check::{beside, differences, rebuild};
pub(crate) use query::{Entry, Filter, Page, SessionRow};

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::watch;

use crate::domain::{Duration, Failure, Happening, Kind};
use crate::runtime::clock;
use crate::server::log::Log;
use crate::server::store;

/// Envelopes indexed at once, in one transaction.
const ENVELOPES_MAX: u64 = 512;

/// How long somebody who asks waits for the index to have what was recorded before the question.
const FRESH_WITHIN: Duration = Duration::from_secs(2);

/// How often sessions are looked at whose client has not brought its account.
const OVERDUE_EVERY: Duration = Duration::from_secs(60);

/// How long to wait before an index that failed is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// The open index.
#[derive(Debug)]
pub(crate) struct Timeline {
    writer: Arc<Mutex<Connection>>,
    reader: Arc<Mutex<Connection>>,
    /// Leaves of the log that are in the index.
    indexed: watch::Sender<u64>,
}

impl Timeline {
    /// Opens the index; one that another version made, or that is of another log, begins anew. Blocks.
    pub(crate) fn open(path: &Path, log: &Log) -> Result<Self, Failure> {
        let mut writer = store::open_database(path, &[tables::MIGRATIONS])?;
        let broken = |error: rusqlite::Error| failed(&error);
        // It can be made again: what a power cut takes from it is not lost.
        writer.pragma_update(None, "synchronous", "normal").map_err(broken)?;
        let mut indexed = tables::position(&writer).map_err(broken)?;
        if !log.has_leaf(indexed.leaves, indexed.last)? {
            tracing::warn!("the timeline is not that of this log, and is made anew");
            tables::clear(&mut writer).map_err(broken)?;
            indexed = tables::Position::default();
        }
        let reader = store::open_database(path, &[tables::MIGRATIONS])?;
        let (writer, reader) = (Arc::new(Mutex::new(writer)), Arc::new(Mutex::new(reader)));
        Ok(Self { writer, reader, indexed: watch::Sender::new(indexed.leaves) })
    }

    /// Follows the log until dropped.
    pub(crate) async fn follow(self: Arc<Self>, log: Arc<Log>) {
        let mut grown = log.committed();
        let mut overdue_at = clock::monotonic();
        loop {
            match self.catch_up(&log).await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(failure) => {
                    tracing::error!(error = %failure, detail = failure.detail, "the timeline cannot follow the log");
                    tokio::time::sleep(AGAIN).await;
                }
            }
            let overdue = overdue_at.elapsed() >= OVERDUE_EVERY;
            if overdue {
                overdue_at = clock::monotonic();
            }
            if let Err(failure) = self.reconcile(&log, overdue).await {
                tracing::error!(error = %failure, detail = failure.detail, "accounts could not be compared");
            }
            // A closed channel means that the log has stopped; whoever runs this drops it soon.
            drop(tokio::time::timeout(OVERDUE_EVERY, grown.changed()).await);
        }
    }

    /// Indexes some of what the log has gained. Says whether there was anything.
    async fn catch_up(&self, log: &Arc<Log>) -> Result<bool, Failure> {
        let from = *self.indexed.borrow();
        let entered = log.follow(from, ENVELOPES_MAX).await?;
        if entered.is_empty() {
            return Ok(false);
        }
        let position = self.write(move |db| fill::add(db, entered)).await?;
        self.indexed.send_replace(position);
        Ok(true)
    }

    /// Puts on record how the two accounts of sessions compare that are over: those that both sides have closed, and,
    /// where asked, those whose client has been silent for a day.
    async fn reconcile(&self, log: &Arc<Log>, overdue: bool) -> Result<(), Failure> {
        let now = clock::now();
        for balance in self.write(move |db| fill::due(db, now, overdue)).await? {
            let session = balance.session;
            if balance.is_bad() {
                tracing::error!(
                    %session,
                    client_only = balance.client_only,
                    mismatch = balance.mismatch,
                    "client and gateway do not agree about this session; see: gov timeline {session}"
                );
            }
            log.record(Some(session), Happening::Reconciled(balance))?;
            self.write(move |db| fill::reconciled(db, session, balance.client_closed)).await?;
        }
        Ok(())
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&rusqlite::Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let writer = Arc::clone(&self.writer);
        let task = move || {
            let mut db = writer.lock().unwrap_or_else(PoisonError::into_inner);
            let transaction = db.transaction()?;
            let result = work(&transaction)?;
            transaction.commit()?;
            Ok(result)
        };
        tokio::task::spawn_blocking(task).await.map_err(|_| stopped())?.map_err(|error| failed(&error))
    }

    /// Waits until the index has everything that was recorded before this was called, as far as it can be had. Cancel
    /// safe.
    pub(crate) async fn fresh(&self, log: &Log) {
        // Better an answer that lacks the last moment than none.
        drop(tokio::time::timeout(FRESH_WITHIN, self.caught_up(log)).await);
    }

    /// The same, however long it takes. Cancel safe.
    pub(crate) async fn caught_up(&self, log: &Log) {
        let size = log.settled().await;
        let mut indexed = self.indexed.subscribe();
        drop(indexed.wait_for(|leaves| *leaves >= size).await);
    }

    /// Waits until the index grows. Cancel safe.
    pub(crate) async fn grown(&self) {
        drop(self.indexed.subscribe().changed().await);
    }

    /// Counts who touched what. Cancel safe.
    pub(crate) async fn access(&self, filter: AccessFilter) -> Result<Vec<Access>, Failure> {
        let reader = Arc::clone(&self.reader);
        let task = move || timed(|| access::run(&reader.lock().unwrap_or_else(PoisonError::into_inner), &filter));
        tokio::task::spawn_blocking(task).await.map_err(|_| stopped())?.map_err(|error| failed(&error))
    }

    /// Looks something up. Cancel safe.
    pub(crate) async fn find(&self, filter: Filter) -> Result<Page, Failure> {
        let reader = Arc::clone(&self.reader);
        let task = move || timed(|| query::run(&reader.lock().unwrap_or_else(PoisonError::into_inner), &filter));
        tokio::task::spawn_blocking(task).await.map_err(|_| stopped())?.map_err(|error| failed(&error))
    }
}

/// Searches, and tells the operator who wants to know how long it took.
fn timed<T>(search: impl FnOnce() -> T) -> T {
    let begun = clock::monotonic();
    let found = search();
    tracing::debug!(took_us = begun.elapsed().as_micros(), "searched");
    found
}

fn stopped() -> Failure {
    Failure::new(Kind::Internal, "the timeline has stopped")
}

/// SQLite's words name tables of ours, never values.
fn failed(error: &rusqlite::Error) -> Failure {
    Failure::new(Kind::Internal, "the timeline failed").detail(format!("{error}."))
}
