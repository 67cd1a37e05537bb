//! Reads a journal from a place on, stepping over what is damaged and saying so.

use std::io;
use std::sync::Arc;

use super::folder::Slot;
use super::frame::{self, Found, Frame};
use super::{Journal, cannot};
use crate::domain::Failure;

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Frame {
        number: u64,
        kind: u8,
        body: Vec<u8>,
    },
    /// Frames `from` to `to` should be here and are not.
    Missing {
        from: u64,
        to: u64,
        /// Some of them are known to have been durable: then this is no crash's work.
        acknowledged: bool,
    },
}

/// Bytes read at once. A few hundred records.
const CHUNK: usize = 256 * 1024;

/// Longest segment that is read. Ours have 4 MiB.
const SEGMENT_MAX: u64 = 256 * 1024 * 1024;

/// A reader's place.
#[derive(Debug)]
pub(crate) struct Cursor {
    journal: Journal,
    /// The next number to be read.
    next: u64,
    /// First number of the segment, and the place in it, where reading goes on.
    at: Option<(u64, u64)>,
}

impl Cursor {
    /// Starts at frame `from`, or at the oldest there is, whichever is later.
    pub(crate) fn new(journal: &Journal, from: u64) -> Self {
        Self { journal: journal.clone(), next: from.max(1), at: None }
    }

    /// The number of the next frame.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// What comes next and is durable; empty when that is nothing.
    pub(crate) fn read(&mut self) -> Result<Vec<Piece>, Failure> {
        let mut pieces = Vec::new();
        while pieces.is_empty() && self.next <= self.journal.last_durable() {
            let read = self.read_some(&mut pieces);
            read.map_err(|error| cannot(&self.journal.shared.place, "be read", &error))?;
        }
        Ok(pieces)
    }

    fn read_some(&mut self, pieces: &mut Vec<Piece>) -> io::Result<()> {
        let last = self.journal.last_durable();
        let Some((first, slot, until)) = self.locate() else {
            return Err(io::Error::other("there is no segment"));
        };
        if first > self.next {
            // The oldest segment begins later: what was before it has been let go.
            self.missing(pieces, first);
        }
        let offset = match self.at {
            Some((of, offset)) if of == first => offset,
            _ => 0,
        };
        let end = until.map_or(last, |until| last.min(until - 1));
        let (bytes, whole) = chunk(&*slot, offset, CHUNK)?;
        let mut scan = scan(&bytes, whole, self.next, end);
        if scan.used == 0 && !whole {
            let (bytes, whole) = chunk(&*slot, offset, usize::MAX)?;
            scan = self::scan(&bytes, whole, self.next, end);
        }
        for frame in scan.frames {
            self.missing(pieces, frame.number);
            self.next = frame.number.saturating_add(1);
            pieces.push(Piece::Frame { number: frame.number, kind: frame.kind, body: frame.body });
        }
        self.at = Some((first, offset.saturating_add(u64::try_from(scan.used).unwrap_or(u64::MAX))));
        if scan.ended {
            self.missing(pieces, end.saturating_add(1));
        }
        Ok(())
    }

    /// Everything from the next number on to before `until` is not there.
    fn missing(&mut self, pieces: &mut Vec<Piece>, until: u64) {
        if self.next < until {
            let shared = &self.journal.shared;
            let acknowledged = self.next <= shared.opened_durable || self.next > shared.opened_last;
            pieces.push(Piece::Missing { from: self.next, to: until - 1, acknowledged });
            self.next = until;
        }
    }

    /// The segment the next frame is in, and where the one after it begins.
    fn locate(&self) -> Option<(u64, Arc<dyn Slot>, Option<u64>)> {
        let writer = self.journal.shared.lock();
        let at = writer.segments.iter().rposition(|segment| segment.first <= self.next).unwrap_or(0);
        let segment = writer.segments.get(at)?;
        let until = writer.segments.get(at.saturating_add(1)).map(|next| next.first);
        Some((segment.first, Arc::clone(&segment.slot), until))
    }
}

/// Bytes of a segment from `offset` on, and whether they are all there are.
fn chunk(slot: &dyn Slot, offset: u64, most: usize) -> io::Result<(Vec<u8>, bool)> {
    let length = slot.length()?;
    if length > SEGMENT_MAX {
        return Err(io::Error::other(format!("a segment is longer than {SEGMENT_MAX} bytes")));
    }
    let rest = usize::try_from(length.saturating_sub(offset)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; rest.min(most)];
    let count = slot.read_at(&mut bytes, offset)?;
    bytes.truncate(count);
    Ok((bytes, count == rest))
}

/// What a stretch of bytes holds.
struct Scan {
    frames: Vec<Frame>,
    /// Bytes that need not be looked at again.
    used: usize,
    /// The number after the last found.
    next: u64,
    /// There is no frame behind `used`.
    ended: bool,
    /// Bytes that are neither frames nor zeros.
    garbage: usize,
}

/// Reads frames from `expected` to `last`. When the bytes are not `whole`, what looks damaged may only be cut off by
/// their end, and reading stops there.
fn scan(bytes: &[u8], whole: bool, expected: u64, last: u64) -> Scan {
    let mut scan = Scan { frames: Vec::new(), used: 0, next: expected, ended: false, garbage: 0 };
    while scan.next <= last {
        let rest = bytes.get(scan.used..).unwrap_or_default();
        match frame::read(rest) {
            // It belongs to the next segment, which holds what counts, or to the next reading.
            Found::Frame(frame, _) if frame.number > last => {
                scan.ended = true;
                break;
            }
            Found::Frame(frame, size) => {
                scan.used += size;
                // An older one is here when the reader has begun in the middle of the segment.
                if frame.number >= scan.next {
                    scan.next = frame.number.saturating_add(1);
                    scan.frames.push(frame);
                }
            }
            Found::End | Found::Garbage if !whole => break,
            Found::End | Found::Garbage => {
                let (skipped, garbage) = next_frame(rest, scan.next, last);
                scan.garbage += garbage;
                let Some(skipped) = skipped else {
                    scan.ended = true;
                    break;
                };
                scan.used += skipped;
            }
        }
    }
    scan
}

/// Searches for a frame of a number that can come next: how far it is, and how many bytes before it are not zero.
fn next_frame(bytes: &[u8], expected: u64, last: u64) -> (Option<usize>, usize) {
    let mut garbage = 0;
    let mut at = 0;
    while let Some(zeros) = bytes.get(at..).and_then(leading_zeros) {
        let byte = at + zeros;
        // A head begins with a length of four bytes, of which one is not zero.
        for start in byte.saturating_sub(3).max(at)..=byte {
            match frame::read(bytes.get(start..).unwrap_or_default()) {
                Found::Frame(frame, _) if frame.number >= expected && frame.number <= last => {
                    return (Some(start), garbage);
                }
                Found::Frame(..) | Found::End | Found::Garbage => {}
            }
        }
        garbage += 1;
        at = byte + 1;
    }
    (None, garbage)
}

/// How many zeros stand before the first byte that is none; `None` when there is no such byte.
fn leading_zeros(bytes: &[u8]) -> Option<usize> {
    const STEP: usize = 256;
    let blocks = bytes.chunks_exact(STEP).take_while(|block| **block == [0; STEP]).count() * STEP;
    let rest = bytes.get(blocks..)?;
    rest.iter().position(|byte| *byte != 0).map(|at| blocks + at)
}

/// Where a segment ends.
pub(super) struct End {
    /// The last frame's number; one less than the segment's first when it has none.
    pub(super) last: u64,
    /// The last frame that was durable when the newest was written.
    pub(super) durable: u64,
    /// Where the next frame would go.
    pub(super) offset: u64,
    /// Bytes behind that which are not zero.
    pub(super) torn: u64,
    pub(super) length: u64,
}

/// Reads a whole segment to find its end.
pub(super) fn find_end(slot: &dyn Slot, first: u64) -> io::Result<End> {
    let (bytes, _) = chunk(slot, 0, usize::MAX)?;
    let scan = scan(&bytes, true, first, u64::MAX);
    let size = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    Ok(End {
        last: scan.next.saturating_sub(1),
        durable: scan.frames.iter().map(|frame| frame.durable).max().unwrap_or(0),
        offset: size(scan.used),
        torn: size(scan.garbage),
        length: size(bytes.len()),
    })
}
