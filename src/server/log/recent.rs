//! What entered the log last, as it was read when it was checked: whoever follows the log does not read it again.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::audit::{self, Batch, CERTIFICATE_TYPE, Certificate, Core, Envelope};
use crate::domain::{Digest, SessionId, Side};

/// Most records that are kept for whoever follows. With more he is behind, and reads the log itself.
const RECORDS_MAX: usize = 4_096;

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entered {
    pub(crate) leaf: u64,
    pub(crate) hash: Digest,
    pub(crate) contents: Contents,
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Contents {
    Certificate(Box<Certificate>),
    Records {
        side: Side,
        session: Option<SessionId>,
        records: Vec<Core>,
    },
    /// Nothing that can be read, which the log does not let in.
    Nothing,
}

impl Entered {
    /// Reads an entry that the log has let in. Its signature was checked then.
    pub(crate) fn read(leaf: u64, line: &str) -> Self {
        Self { leaf, hash: audit::leaf(line.as_bytes()), contents: contents(line).unwrap_or(Contents::Nothing) }
    }
}

fn contents(line: &str) -> Option<Contents> {
    let envelope = Envelope::read(line).ok()?;
    if envelope.payload_type == CERTIFICATE_TYPE {
        let certificate = Certificate::open(&envelope, envelope.key).ok()?;
        return Some(Contents::Certificate(Box::new(certificate)));
    }
    let Batch { side, session, records, .. } = Batch::parse(&envelope.payload).ok()?;
    let records = records.iter().filter_map(|record| Core::parse(record).ok()).collect();
    Some(Contents::Records { side, session, records })
}

/// Entries that wait for whoever follows the log.
#[derive(Debug, Default)]
pub(super) struct Recent {
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// In the order of the log, without gaps.
    entries: VecDeque<Entered>,
    records: usize,
}

impl Recent {
    /// Adds what has been committed.
    pub(super) fn add(&self, entered: Vec<Entered>) {
        let mut waiting = self.lock();
        for entry in entered {
            waiting.records += entry.count();
            waiting.entries.push_back(entry);
        }
        while waiting.records > RECORDS_MAX {
            waiting.forget();
        }
    }

    /// Takes what there is from this leaf on; nothing when that leaf is not here.
    pub(super) fn take(&self, from: u64) -> Vec<Entered> {
        let mut waiting = self.lock();
        while waiting.entries.front().is_some_and(|entry| entry.leaf < from) {
            waiting.forget();
        }
        if waiting.entries.front().is_none_or(|entry| entry.leaf != from) {
            return Vec::new();
        }
        waiting.records = 0;
        std::mem::take(&mut waiting.entries).into()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn forget(&mut self) {
        let count = self.entries.pop_front().map_or(self.records, |entry| entry.count());
        self.records = self.records.saturating_sub(count);
    }
}

impl Entered {
    fn count(&self) -> usize {
        match &self.contents {
            Contents::Records { records, .. } => records.len(),
            Contents::Certificate(_) | Contents::Nothing => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(leaf: u64) -> Entered {
        Entered { leaf, hash: Digest([0; 32]), contents: Contents::Nothing }
    }

    fn leaves(entries: &[Entered]) -> Vec<u64> {
        entries.iter().map(|entry| entry.leaf).collect()
    }

    #[test]
    fn what_waits_is_taken_once_and_without_gaps() {
        let recent = Recent::default();
        recent.add(vec![entry(3), entry(4), entry(5)]);
        assert!(recent.take(2).is_empty(), "leaf 2 is to be read first");
        assert_eq!(leaves(&recent.take(4)), [4, 5]);
        assert!(recent.take(4).is_empty());
        recent.add(vec![entry(6)]);
        assert!(recent.take(7).is_empty(), "6 is known already");
        recent.add(vec![entry(7)]);
        assert_eq!(leaves(&recent.take(7)), [7]);
    }

    #[test]
    fn whoever_is_behind_finds_the_newest_only() {
        let recent = Recent::default();
        let many = u64::try_from(RECORDS_MAX).unwrap();
        recent.add((0..many + 2).map(entry).collect());
        assert!(recent.take(0).is_empty());
        assert_eq!(recent.take(2).len(), RECORDS_MAX);
        recent.add(vec![entry(many + 2)]);
        assert_eq!(recent.take(many + 2).len(), 1);
    }
}
