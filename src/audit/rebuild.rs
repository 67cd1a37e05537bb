//! Journal entries → envelopes: what a log or a spool hands on, and what a crash has left unsigned.

use std::collections::{BTreeMap, VecDeque};

use super::entry::{Entry, Role};
use super::seal::{self, Envelope, RECORDS_TYPE, SealError};
use crate::domain::{PublicKey, StatementId};

/// Follows a journal from its beginning.
#[derive(Debug, Default)]
pub(crate) struct Rebuilder {
    keys: BTreeMap<PublicKey, Pending>,
}

/// What is known of one key.
#[derive(Debug, Default)]
struct Pending {
    /// Records not sealed yet: journal number and text.
    records: VecDeque<(u64, String)>,
    /// Statements started and not ended, with the journal number that says so.
    open: BTreeMap<StatementId, u64>,
}

/// What one entry amounted to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rebuilt {
    /// Nothing to hand on yet.
    Nothing,
    /// An envelope. Its signature was checked when it was made of records found here.
    Envelope(String),
    /// A seal that does not fit the records before it: some are missing or changed. They stay, as not sealed.
    Broken { key: PublicKey, why: SealError },
}

/// What a key that signs no more has left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leftover {
    pub(crate) key: PublicKey,
    /// Records it had not signed, in order.
    pub(crate) records: Vec<String>,
    /// Statements that were started and have no end.
    pub(crate) open: Vec<StatementId>,
}

impl Rebuilder {
    /// Takes the entry of journal frame `number`.
    pub(crate) fn push(&mut self, number: u64, entry: &Entry<'_>) -> Rebuilt {
        match entry {
            Entry::Record { key, role, core } => {
                let pending = self.keys.entry(*key).or_default();
                pending.records.push_back((number, (*core).to_owned()));
                match role {
                    Role::Start(id) => _ = pending.open.insert(*id, number),
                    Role::End(id) => _ = pending.open.remove(id),
                    Role::Other => {}
                }
                Rebuilt::Nothing
            }
            Entry::Seal { key, count, signature, header } => self.seal(*key, *count, *signature, header),
            Entry::Envelope(text) => Rebuilt::Envelope((*text).to_owned()),
            Entry::Open { key, id } => {
                self.keys.entry(*key).or_default().open.insert(*id, number);
                Rebuilt::Nothing
            }
            Entry::Adopted { key } => {
                self.keys.remove(key);
                Rebuilt::Nothing
            }
        }
    }

    fn seal(&mut self, key: PublicKey, count: u32, signature: [u8; 64], header: &str) -> Rebuilt {
        let pending = self.keys.entry(key).or_default();
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let mut records = Vec::new();
        for (index, (_, record)) in pending.records.iter().take(count).enumerate() {
            if index > 0 {
                records.push(b',');
            }
            records.extend_from_slice(record.as_bytes());
        }
        let payload = seal::payload(header.as_bytes(), &records);
        let envelope = Envelope { payload_type: RECORDS_TYPE, payload, key, signature };
        if let Err(why) = envelope.verify(key) {
            return Rebuilt::Broken { key, why };
        }
        pending.records.drain(..count.min(pending.records.len()));
        if pending.records.is_empty() && pending.open.is_empty() {
            self.keys.remove(&key);
        }
        Rebuilt::Envelope(envelope.write())
    }

    /// The oldest journal frame that is still needed here; `None` when none is.
    pub(crate) fn oldest_needed(&self) -> Option<u64> {
        self.keys.values().filter_map(|pending| pending.records.front().map(|(number, _)| *number)).min()
    }

    /// Statements without an end whose start stands before frame `number`: what must be said again before those
    /// frames go.
    pub(crate) fn open_before(&self, number: u64) -> Vec<(PublicKey, StatementId)> {
        let of_key = |(key, pending): (&PublicKey, &Pending)| {
            let key = *key;
            let old = pending.open.iter().filter(move |(_, at)| **at < number);
            old.map(move |(id, _)| (key, *id)).collect::<Vec<_>>()
        };
        self.keys.iter().flat_map(of_key).collect()
    }

    /// What every key has left, for a process that knows that none of them signs any more.
    pub(crate) fn leftovers(&self) -> Vec<Leftover> {
        let leftover = |(key, pending): (&PublicKey, &Pending)| Leftover {
            key: *key,
            records: pending.records.iter().map(|(_, record)| record.clone()).collect(),
            open: pending.open.keys().copied().collect(),
        };
        self.keys.iter().map(leftover).collect()
    }
}
