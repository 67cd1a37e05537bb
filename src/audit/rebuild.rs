//! Journal entries → envelopes: what a log or a spool hands on, and what a crash has left unsigned.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::entry::{Entry, Role};
use super::seal::{self, Carried, Envelope, RECORDS_TYPE, SealError};
use crate::domain::{PublicKey, StatementId};

/// Follows a journal from its beginning.
#[derive(Debug, Default)]
pub(crate) struct Rebuilder {
    keys: BTreeMap<PublicKey, Pending>,
    /// Frames that say again what is known here already.
    repeated: BTreeSet<u64>,
    /// Something between the first frame and the last is missing.
    holed: bool,
}

/// What is known of one key.
#[derive(Debug, Default)]
struct Pending {
    /// Records without a signature yet.
    records: VecDeque<Unsigned>,
    /// Statements started and not ended, with the journal number that says so.
    open: BTreeMap<StatementId, u64>,
    /// Ends whose start stood in a part of the journal that is no more. What is said again later must not open them.
    ended: BTreeSet<StatementId>,
}

impl Pending {
    /// Lets go of the rest of a batch whose beginning stood in a part of the journal that is no more. What is let go of
    /// there has been handed on whole, so the rest has been too. Says whether this batch was one.
    fn let_go(&mut self, header: &str, count: u32) -> bool {
        let Some(first) = number_after(header, "\"first\":") else { return false };
        let number = |record: &Unsigned| number_after(&record.text, "\"seq\":");
        let begins_later = self.records.front().is_none_or(|record| number(record).is_some_and(|seq| seq > first));
        if begins_later {
            let end = first.saturating_add(u64::from(count));
            while self.records.front().and_then(number).is_some_and(|seq| seq < end) {
                self.records.pop_front();
            }
        }
        begins_later
    }
}

/// The number behind the first `name` in a text of ours, which has its numbers before anything that others wrote.
fn number_after(text: &str, name: &str) -> Option<u64> {
    let (_, rest) = text.split_once(name)?;
    rest.split(|symbol: char| !symbol.is_ascii_digit()).next()?.parse().ok()
}

/// A record without a signature, and where in the journal it stands.
#[derive(Debug)]
struct Unsigned {
    number: u64,
    text: String,
    /// The raw text that came into being with it, sealed.
    sealed: Vec<u8>,
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.records.is_empty() && self.open.is_empty() && self.ended.is_empty()
    }
}

/// What one entry amounted to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rebuilt {
    /// Nothing to hand on yet.
    Nothing,
    /// An envelope. Its signature was checked when it was made of records found here.
    Envelope(Carried),
    /// A seal that does not fit the records before it: some are missing or changed. They stay, as not sealed.
    Broken { key: PublicKey, why: SealError },
}

/// What a key that signs no more has left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leftover {
    pub(crate) key: PublicKey,
    /// Records it had not signed, in order, each with its sealed raw text, if it has one.
    pub(crate) records: Vec<(String, Vec<u8>)>,
    /// Statements that were started and have no end.
    pub(crate) open: Vec<StatementId>,
}

impl Rebuilder {
    /// Takes the entry of journal frame `number`.
    pub(crate) fn push(&mut self, number: u64, entry: &Entry<'_>) -> Rebuilt {
        match entry {
            Entry::Record { key, role, sealed, core } => {
                let pending = self.keys.entry(*key).or_default();
                let (text, sealed) = ((*core).to_owned(), sealed.to_vec());
                pending.records.push_back(Unsigned { number, text, sealed });
                match role {
                    Role::Start(id) => _ = pending.open.insert(*id, number),
                    Role::End(id) => {
                        if pending.open.remove(id).is_none() {
                            pending.ended.insert(*id);
                        }
                    }
                    Role::Other => {}
                }
                Rebuilt::Nothing
            }
            Entry::Seal { key, count, signature, header } => self.seal(*key, *count, *signature, header),
            Entry::Envelope(text) => Rebuilt::Envelope(Carried::unread((*text).to_owned())),
            Entry::Open { key, id } => {
                if !self.repeated.remove(&number) {
                    let pending = self.keys.entry(*key).or_default();
                    if !pending.ended.remove(id) {
                        pending.open.insert(*id, number);
                    }
                }
                Rebuilt::Nothing
            }
            Entry::Adopted { key } => {
                self.keys.remove(key);
                Rebuilt::Nothing
            }
        }
    }

    /// Frames are missing between others: from here on, what lacks its beginning has lost it.
    pub(crate) fn holed(&mut self) {
        self.holed = true;
    }

    fn seal(&mut self, key: PublicKey, count: u32, signature: [u8; 64], header: &str) -> Rebuilt {
        let pending = self.keys.entry(key).or_default();
        if !self.holed && pending.let_go(header, count) {
            if pending.is_empty() {
                self.keys.remove(&key);
            }
            return Rebuilt::Nothing;
        }
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let mut records = Vec::new();
        for (index, record) in pending.records.iter().take(count).enumerate() {
            if index > 0 {
                records.push(b',');
            }
            records.extend_from_slice(record.text.as_bytes());
        }
        let payload = seal::payload(header.as_bytes(), &records);
        let envelope = Envelope { payload_type: RECORDS_TYPE, payload, key, signature };
        let mut carried = match Carried::sealed(envelope) {
            Ok(carried) => carried,
            Err(why) => return Rebuilt::Broken { key, why },
        };
        let signed = pending.records.drain(..count.min(pending.records.len()));
        let mut texts = BTreeSet::new();
        // A prepared statement brings the same text each time it runs.
        let raw_texts = signed.map(|record| record.sealed).filter(|sealed| texts.insert(sealed.clone()));
        carried.raw_texts = raw_texts.collect::<Vec<_>>().concat();
        if pending.is_empty() {
            self.keys.remove(&key);
        }
        Rebuilt::Envelope(carried)
    }

    /// The oldest journal frame that is still needed here; `None` when none is.
    pub(crate) fn oldest_needed(&self) -> Option<u64> {
        self.keys.values().filter_map(|pending| pending.records.front().map(|record| record.number)).min()
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

    /// That a statement is open has been said again in frame `number`.
    pub(crate) fn said_again(&mut self, key: PublicKey, id: StatementId, number: u64) {
        if let Some(at) = self.keys.get_mut(&key).and_then(|pending| pending.open.get_mut(&id)) {
            *at = number;
        }
        self.repeated.insert(number);
    }

    /// What every key has left, for a process that knows that none of them signs any more.
    pub(crate) fn leftovers(&self) -> Vec<Leftover> {
        let leftover = |(key, pending): (&PublicKey, &Pending)| Leftover {
            key: *key,
            records: pending.records.iter().map(|record| (record.text.clone(), record.sealed.clone())).collect(),
            open: pending.open.keys().copied().collect(),
        };
        let something = |leftover: &Leftover| !leftover.records.is_empty() || !leftover.open.is_empty();
        self.keys.iter().map(leftover).filter(something).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::seal::{Chain, Signer, payload};
    use super::super::sealed::write_sealed;
    use super::*;
    use crate::domain::{Digest, Secret, Side};

    const RECORDS: [&str; 3] = ["{\"n\":0}", "{\"n\":1}", "{\"n\":2}"];

    fn id(number: u64) -> StatementId {
        StatementId { stream: 1, number }
    }

    fn record(role: Role, index: usize) -> Entry<'static> {
        Entry::Record { key: signer().public(), role, sealed: &[], core: RECORDS[index] }
    }

    fn signer() -> Signer {
        Signer::new(Secret::new([1; 32])).unwrap()
    }

    /// The header and the signature over the first records.
    fn seal(count: usize) -> (String, [u8; 64]) {
        let chain = Chain { key: signer().public(), side: Side::Client, session: None, previous: Digest([0; 32]) };
        let header = String::from_utf8(chain.header(0)).unwrap();
        let payload = payload(header.as_bytes(), RECORDS[..count].join(",").as_bytes());
        (header, signer().sign(RECORDS_TYPE, &payload).unwrap())
    }

    #[test]
    fn a_seal_turns_the_records_before_it_into_an_envelope() {
        let mut rebuilder = Rebuilder::default();
        rebuilder.push(1, &record(Role::Start(id(1)), 0));
        rebuilder.push(2, &record(Role::End(id(1)), 1));
        rebuilder.push(3, &record(Role::Start(id(2)), 2));
        assert_eq!(rebuilder.oldest_needed(), Some(1));
        let (header, signature) = seal(2);
        let sealed = Entry::Seal { key: signer().public(), count: 2, signature, header: &header };
        let Rebuilt::Envelope(carried) = rebuilder.push(4, &sealed) else { panic!() };
        let read = Envelope::read(carried.line()).unwrap();
        assert_eq!(read.verify(signer().public()), Ok(()));
        assert_eq!(carried.checked(), Some(&read));
        assert_eq!(rebuilder.oldest_needed(), Some(3));
        let left =
            Leftover { key: signer().public(), records: vec![(RECORDS[2].to_owned(), vec![])], open: vec![id(2)] };
        assert_eq!(rebuilder.leftovers(), [left]);
        rebuilder.push(5, &Entry::Adopted { key: signer().public() });
        assert_eq!((rebuilder.leftovers(), rebuilder.oldest_needed()), (vec![], None));
    }

    #[test]
    fn raw_texts_go_with_their_records_and_a_repeated_one_goes_once() {
        let (mut one, mut other) = (Vec::new(), Vec::new());
        write_sealed(&mut one, Digest([1; 32]), b"one");
        write_sealed(&mut other, Digest([2; 32]), b"other");
        let key = signer().public();
        let record = |index: usize, sealed| Entry::Record { key, role: Role::Other, sealed, core: RECORDS[index] };
        let mut rebuilder = Rebuilder::default();
        rebuilder.push(1, &record(0, &one));
        rebuilder.push(2, &record(1, &one));
        rebuilder.push(3, &record(2, &other));
        let (header, signature) = seal(2);
        let sealed = Entry::Seal { key, count: 2, signature, header: &header };
        let Rebuilt::Envelope(carried) = rebuilder.push(4, &sealed) else { panic!() };
        assert_eq!(carried.raw_texts, one);
        assert_eq!(rebuilder.leftovers()[0].records, [(RECORDS[2].to_owned(), other)]);
    }

    #[test]
    fn the_rest_of_a_batch_whose_beginning_was_let_go_of_goes_too() {
        let key = signer().public();
        let text = |seq: u64| format!(r#"{{"id":"x","seq":{seq}}}"#);
        let chain = Chain { key, side: Side::Client, session: None, previous: Digest([0; 32]) };
        let header = String::from_utf8(chain.header(3)).unwrap();
        let records = [text(3), text(4)].join(",");
        let signature = signer().sign(RECORDS_TYPE, &payload(header.as_bytes(), records.as_bytes())).unwrap();
        let seal = Entry::Seal { key, count: 2, signature, header: &header };
        let push = |rebuilder: &mut Rebuilder, seq: u64| {
            rebuilder.push(seq, &Entry::Record { key, role: Role::Other, sealed: &[], core: &text(seq) });
        };
        // The journal begins with the last record of the batch, or behind all of them; what follows is not touched.
        for begins in [4, 5] {
            let mut rebuilder = Rebuilder::default();
            (begins..=5).for_each(|seq| push(&mut rebuilder, seq));
            assert_eq!(rebuilder.push(9, &seal), Rebuilt::Nothing);
            assert_eq!(rebuilder.leftovers()[0].records, [(text(5), vec![])]);
        }
        // The same where something was lost in between: then nobody has it.
        let mut rebuilder = Rebuilder::default();
        rebuilder.holed();
        push(&mut rebuilder, 4);
        assert!(matches!(rebuilder.push(9, &seal), Rebuilt::Broken { .. }));
        assert_eq!(rebuilder.leftovers()[0].records, [(text(4), vec![])]);
        // And where it is whole.
        let mut rebuilder = Rebuilder::default();
        [3, 4].into_iter().for_each(|seq| push(&mut rebuilder, seq));
        assert!(matches!(rebuilder.push(9, &seal), Rebuilt::Envelope(_)));
    }

    #[test]
    fn a_seal_over_other_records_is_broken_and_leaves_them() {
        let mut rebuilder = Rebuilder::default();
        rebuilder.push(1, &record(Role::Other, 1));
        let (header, signature) = seal(1);
        for count in [0, 1, 2, u32::MAX] {
            let sealed = Entry::Seal { key: signer().public(), count, signature, header: &header };
            assert!(matches!(rebuilder.push(2, &sealed), Rebuilt::Broken { .. }), "{count}");
        }
        assert_eq!(rebuilder.leftovers()[0].records, [(RECORDS[1].to_owned(), vec![])]);
    }

    #[test]
    fn what_is_said_again_is_open_only_as_long_as_it_has_not_ended() {
        let key = signer().public();
        let again = Entry::Open { key, id: id(1) };
        let open = |rebuilder: &Rebuilder| rebuilder.leftovers().iter().map(|left| left.open.len()).sum::<usize>();
        // In the process that says it again: before and after the end.
        let mut rebuilder = Rebuilder::default();
        rebuilder.push(1, &record(Role::Start(id(1)), 0));
        assert_eq!(rebuilder.open_before(2), [(key, id(1))]);
        rebuilder.said_again(key, id(1), 9);
        assert_eq!(rebuilder.open_before(9), []);
        rebuilder.push(8, &record(Role::End(id(1)), 1));
        rebuilder.push(9, &again);
        assert_eq!(open(&rebuilder), 0);
        // In the next process, which does not find the start any more.
        let mut rebuilder = Rebuilder::default();
        rebuilder.push(8, &record(Role::End(id(1)), 1));
        rebuilder.push(9, &again);
        assert_eq!(open(&rebuilder), 0);
        rebuilder.push(10, &again);
        assert_eq!(open(&rebuilder), 1);
    }
}
