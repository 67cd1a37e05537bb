//! Empties a journal of records: hands on envelopes, lets go of what has been taken, and after a crash has what was
//! left unsigned signed by somebody who lives.

use crate::audit::{Carried, Entry, Rebuilder, Rebuilt};
use crate::domain::{Event, Failure, Happening, PublicKey};
use crate::runtime::clock;
use crate::runtime::journal::{Cursor, Importance, Journal, Piece, Ticket};
use crate::runtime::recorder::Recorder;

/// Follows a journal from its oldest frame.
#[derive(Debug)]
pub(crate) struct Drain {
    journal: Journal,
    cursor: Cursor,
    rebuilder: Rebuilder,
}

/// What was read at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Drained {
    /// Envelopes, in the order of the journal. After a restart some of them have been handed on before.
    pub(crate) envelopes: Vec<Carried>,
    /// Frames that cannot be read, or make no sense.
    pub(crate) lost: u64,
    /// Some of these are known to have been durable.
    pub(crate) lost_acknowledged: bool,
    /// Everything up to this frame has been read.
    pub(crate) last: u64,
}

impl Drain {
    pub(crate) fn new(journal: &Journal) -> Self {
        let cursor = Cursor::new(journal, journal.first());
        Self { journal: journal.clone(), cursor, rebuilder: Rebuilder::default() }
    }

    /// What has come since the last time and is durable; `None` when that is nothing.
    pub(crate) fn next(&mut self) -> Result<Option<Drained>, Failure> {
        let pieces = self.cursor.read()?;
        if pieces.is_empty() {
            return Ok(None);
        }
        let mut drained = Drained::default();
        for piece in pieces {
            match piece {
                Piece::Frame { number, kind, body } => {
                    drained.last = number;
                    match Entry::read(kind, &body).map(|entry| self.rebuilder.push(number, &entry)) {
                        Ok(Rebuilt::Envelope(envelope)) => drained.envelopes.push(envelope),
                        Ok(Rebuilt::Nothing) => {}
                        // The records it was for are among the lost, or it is itself no seal of ours.
                        Ok(Rebuilt::Broken { .. }) | Err(_) => drained.lost += 1,
                    }
                }
                Piece::Missing { from, to, acknowledged } => {
                    drained.last = to;
                    self.rebuilder.holed();
                    drained.lost += to.saturating_sub(from).saturating_add(1);
                    drained.lost_acknowledged |= acknowledged;
                }
            }
        }
        Ok(Some(drained))
    }

    /// Lets go of what the journal has up to frame `last`, except what is still needed here: records without a
    /// signature, and starts without an end, which are said again behind.
    pub(crate) fn free(&mut self, last: u64) -> Result<(), Failure> {
        let needed = self.rebuilder.oldest_needed().map_or(u64::MAX, |number| number.saturating_sub(1));
        let last = last.min(needed);
        let Some(first) = self.journal.first_after(last) else { return Ok(()) };
        let mut said = Ticket::default();
        for (key, id) in self.rebuilder.open_before(first) {
            let mut body = Vec::new();
            let kind = Entry::Open { key, id }.write(&mut body);
            said = self.journal.append(Importance::Completing, kind, &[&body])?;
            self.rebuilder.said_again(key, id, said.number());
        }
        self.journal.wait_durable(said)?;
        self.journal.free(last)
    }

    /// Whether everything that was ever written has been handed on, and nothing waits for a signature or an end.
    pub(crate) fn is_empty(&self) -> bool {
        self.cursor.next() > self.journal.last_written() && self.rebuilder.leftovers().is_empty()
    }
}

/// What a recovery found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recovery {
    /// Records found without a signature.
    pub(crate) records: u64,
    /// Statements whose end nobody saw.
    pub(crate) unknown: u64,
    /// Frames that cannot be read.
    pub(crate) lost: u64,
}

/// Has what a dead process left in `journal` signed by `recorder`, which may write to this journal or to another.
/// Every key in the journal other than the recorder's own must be one that signs no more.
///
/// Being interrupted is harmless: what was done is then done again, and readers know the two for the same.
pub(crate) fn recover(journal: &Journal, recorder: &Recorder) -> Result<Recovery, Failure> {
    let mut drain = Drain::new(journal);
    let mut recovery = Recovery::default();
    let mut acknowledged = false;
    while let Some(drained) = drain.next()? {
        recovery.lost += drained.lost;
        acknowledged |= drained.lost_acknowledged;
    }
    if recovery.lost > 0 {
        record(recorder, Happening::Lost { entries: recovery.lost, acknowledged })?;
    }
    let mut adopted: Vec<PublicKey> = Vec::new();
    for leftover in drain.rebuilder.leftovers() {
        let key = leftover.key;
        if key == recorder.key() {
            continue;
        }
        for (text, sealed) in leftover.records {
            record(recorder, Happening::Recovered { key, record: text, sealed })?;
            recovery.records += 1;
        }
        for id in leftover.open {
            record(recorder, Happening::StatementUnknown { id, key })?;
            recovery.unknown += 1;
        }
        adopted.push(key);
    }
    // What is said of the dead must be safe before they are forgotten.
    recorder.sign_now()?;
    let mut forgotten = Ticket::default();
    for key in adopted {
        let mut body = Vec::new();
        let kind = Entry::Adopted { key }.write(&mut body);
        forgotten = journal.append(Importance::Completing, kind, &[&body])?;
    }
    journal.wait_durable(forgotten)?;
    Ok(recovery)
}

fn record(recorder: &Recorder, happening: Happening) -> Result<(), Failure> {
    recorder.record(&Event { at: clock::now(), session: None, happening }).map(drop)
}

#[cfg(test)]
mod tests;
