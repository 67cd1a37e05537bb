//! Treats the cells of a result and makes the [`Masked`] row. No other file can.
//!
//! [`plan`] says which column gets which [`Treatment`]; [`treatment`] applies it to a value of any type in either
//! format; [`pseudonym`] has the key.

mod array;
mod definition;
mod hash;
mod json;
pub(super) mod message;
mod number;
pub(super) mod plan;
mod pseudonym;
mod recent;
pub(super) mod recognise;
mod shape;
mod text;
mod treatment;
mod tripwire;
pub(super) mod view;

use std::collections::BTreeSet;
use std::sync::Arc;

use pseudonym::{Drafts, Pseudonyms};
use treatment::{Applied, Column, Pen};

use crate::domain::{Secret, Shown};
pub(crate) use tripwire::{Fingerprint, Fingerprinter, Tripwire, Watched};

/// The key under which pseudonyms are made: one per resource, so that equal values stay equal there and nowhere else.
#[derive(Clone, Debug)]
pub(crate) struct MaskKey(pub(crate) Secret<[u8; 32]>);

/// A result column as the database describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResultColumn {
    pub(crate) name: String,
    /// Relation oid the value comes from unchanged; 0 when it is computed.
    pub(crate) table: u32,
    /// Attribute number there; 0 when it is computed.
    pub(crate) attribute: i16,
    /// Type oid.
    pub(crate) kind: u32,
    /// `pg_attribute.atttypmod`: the declared length, where the type has one; -1 where there is none.
    pub(crate) modifier: i32,
    pub(crate) binary: bool,
}

/// Masks the rows of one result.
#[derive(Debug)]
pub(crate) struct Masker {
    /// `None` where the rows were masked by the end that enforces.
    pen: Option<Pen>,
    columns: Vec<Column>,
    rows: Rows,
    cells_masked: u64,
    /// By column: whether a cell of it was changed.
    touched: Vec<bool>,
    /// What its columns hold.
    shown: Shown,
    watch: Option<Watch>,
}

/// What unmasked values are compared with, and what came of it.
#[derive(Debug)]
struct Watch {
    tripwire: Arc<Tripwire>,
    /// Columns whose values may be seen.
    revealed: BTreeSet<(u32, i16)>,
    /// The column of which a value was about to go out.
    tripped: Option<u32>,
}

/// What changes in the rows at hand.
#[derive(Debug, Default)]
struct Rows {
    /// Row by row, in the order of their cells.
    changes: Vec<Change>,
    /// Where among the changes each row ends that has ended.
    ends: Vec<usize>,
    /// The new values, one after the other.
    bytes: Vec<u8>,
    /// Those of them that are still to be made.
    drafts: Drafts,
}

#[derive(Debug)]
struct Change {
    index: usize,
    /// Where the new value stands in the rows' bytes; `None` for NULL.
    value: Option<std::ops::Range<usize>>,
}

/// The proof that a row went through the engine, and what must change in it. Only this file can make one.
#[derive(Debug)]
pub(crate) struct Masked<'a> {
    changes: &'a [Change],
    bytes: &'a [u8],
}

/// What changes in a row, from the first cell to the last.
#[derive(Debug)]
pub(crate) struct Changes<'a> {
    /// Those that were not asked for yet.
    left: &'a [Change],
    bytes: &'a [u8],
}

impl<'a> Changes<'a> {
    /// The new value of a cell, which is behind those that were asked for before; `None` when it stays.
    pub(crate) fn of(&mut self, index: usize) -> Option<Option<&'a [u8]>> {
        let (change, left) = self.left.split_first().filter(|(change, _)| change.index == index)?;
        self.left = left;
        Some(change.value.clone().and_then(|range| self.bytes.get(range)))
    }
}

impl<'a> Masked<'a> {
    /// What changes, to be asked cell by cell.
    pub(crate) fn changes(&self) -> Changes<'a> {
        Changes { left: self.changes, bytes: self.bytes }
    }

    /// The row goes out as it came.
    pub(crate) fn is_unchanged(&self) -> bool {
        self.changes.is_empty()
    }
}

impl Masker {
    /// Changes nothing: the rows were masked by the end that enforces.
    pub(super) fn watching() -> Self {
        let (columns, rows, touched, shown) = Default::default();
        Self { pen: None, columns, rows, cells_masked: 0, touched, shown, watch: None }
    }

    /// Treats each column as planned.
    fn new(key: Option<&MaskKey>, columns: Vec<Column>, shown: Shown) -> Self {
        let pen = Pen::new(key.map(Pseudonyms::new));
        let touched = vec![false; columns.len()];
        Self { pen: Some(pen), columns, rows: Rows::default(), cells_masked: 0, touched, shown, watch: None }
    }

    /// Compares what goes out unmasked with what is known of masked columns, but for those that are `revealed`.
    fn watched(mut self, tripwire: Option<&Arc<Tripwire>>, revealed: &BTreeSet<(u32, i16)>) -> Self {
        let watch = |tripwire| Watch { tripwire: Arc::clone(tripwire), revealed: revealed.clone(), tripped: None };
        self.watch = tripwire.map(watch);
        self
    }

    /// Another that masks as this one does, and has masked nothing yet.
    pub(crate) fn apart(&self) -> Self {
        let pen = self.pen.as_ref().map(|pen| Pen::new(pen.pseudonyms.clone()));
        let (columns, touched) = (self.columns.clone(), vec![false; self.columns.len()]);
        let (rows, shown) = Default::default();
        let watch = self.watch.as_ref().map(|watch| {
            let (tripwire, revealed) = (Arc::clone(&watch.tripwire), watch.revealed.clone());
            Watch { tripwire, revealed, tripped: None }
        });
        Self { pen, columns, rows, cells_masked: 0, touched, shown, watch }
    }

    /// Takes over what another has counted and met since the last time.
    pub(crate) fn absorb(&mut self, other: &mut Self) {
        self.cells_masked = self.cells_masked.saturating_add(std::mem::take(&mut other.cells_masked));
        self.touched.iter_mut().zip(&other.touched).for_each(|(own, theirs)| *own |= theirs);
        if let (Some(own), Some(theirs)) = (&mut self.watch, &other.watch) {
            own.tripped = own.tripped.or(theirs.tripped);
        }
    }

    /// The masked column of which a value was about to go out as it is, in the row at hand. Such a row must not.
    pub(crate) fn tripped(&self) -> Option<&str> {
        let watch = self.watch.as_ref()?;
        watch.tripwire.column(watch.tripped?)
    }

    /// When no cell of this result needs to be looked at: the proof for any number of its rows.
    pub(crate) fn clear(&self) -> Option<Masked<'static>> {
        (self.pen.is_none() || self.columns.iter().all(Column::is_clear)).then_some(Masked { changes: &[], bytes: &[] })
    }

    /// Columns that are masked whatever they hold.
    pub(crate) fn columns_masked(&self) -> u32 {
        u32::try_from(self.columns.iter().filter(|column| column.is_masked()).count()).unwrap_or(u32::MAX)
    }

    /// Columns that are masked whatever they hold, and those of which a cell was changed; from 0.
    pub(crate) fn masked(&self) -> impl Iterator<Item = usize> {
        let columns = self.columns.iter().zip(&self.touched).enumerate();
        columns.filter(|(_, (column, touched))| column.is_masked() || **touched).map(|(index, _)| index)
    }

    /// What its columns hold, by how their values go out.
    pub(crate) fn shown(self) -> Shown {
        self.shown
    }

    /// Cells changed since the beginning.
    pub(crate) fn cells_masked(&self) -> u64 {
        self.cells_masked
    }

    /// Starts a row, and forgets those before.
    pub(crate) fn begin(&mut self) {
        let Rows { changes, ends, bytes, drafts } = &mut self.rows;
        changes.clear();
        ends.clear();
        bytes.clear();
        drafts.clear();
    }

    /// Takes the next cell of the row; `None` is NULL, which stays where it tells nothing.
    pub(crate) fn cell(&mut self, index: usize, value: Option<&[u8]>) {
        let Some(pen) = &mut self.pen else { return };
        let start = self.rows.bytes.len();
        // A cell beyond the description is not known to be anything.
        let applied = match (self.columns.get(index), value) {
            (Some(column), Some(value)) => column.apply(value, pen, &mut self.rows.drafts, &mut self.rows.bytes),
            (Some(column), None) => column.apply_null(&mut self.rows.bytes),
            (None, Some(_)) => Applied::Null,
            (None, None) => Applied::Unchanged,
        };
        let value = match applied {
            Applied::Unchanged => {
                self.rows.bytes.truncate(start);
                if let (Some(watch), Some(value)) = (&mut self.watch, value)
                    && self.columns.get(index).is_some_and(|column| !column.is_clear())
                {
                    watch.compare(value);
                }
                return;
            }
            Applied::Written => Some(start..self.rows.bytes.len()),
            Applied::Null => None,
        };
        if let Some(touched) = self.touched.get_mut(index) {
            *touched = true;
        }
        self.rows.changes.push(Change { index, value });
        self.cells_masked += 1;
    }

    /// Ends the row at hand and starts another, which is finished together with it.
    pub(crate) fn end_row(&mut self) {
        self.rows.ends.push(self.rows.changes.len());
    }

    /// Finishes the row at hand.
    pub(crate) fn finish(&mut self) -> Masked<'_> {
        self.write_drafts();
        let Rows { changes, ends, bytes, .. } = &self.rows;
        let start = ends.last().copied().unwrap_or(0);
        Masked { changes: changes.get(start..).unwrap_or_default(), bytes }
    }

    /// Finishes the rows that have ended, the first one first.
    pub(crate) fn finish_rows(&mut self) -> impl Iterator<Item = Masked<'_>> {
        self.write_drafts();
        let Rows { changes, ends, bytes, .. } = &self.rows;
        let mut start = 0;
        ends.iter().map(move |end| {
            let changes = changes.get(start..*end).unwrap_or_default();
            start = *end;
            Masked { changes, bytes }
        })
    }

    fn write_drafts(&mut self) {
        let Rows { drafts, bytes, .. } = &mut self.rows;
        if let Some(pseudonyms) = self.pen.as_ref().and_then(|pen| pen.pseudonyms.as_ref()) {
            drafts.write_all(pseudonyms, bytes);
        }
    }
}

impl Watch {
    fn compare(&mut self, value: &[u8]) {
        let Some(number) = self.tripwire.touched_by(value) else { return };
        if !self.tripwire.place(number).is_some_and(|place| self.revealed.contains(&place)) {
            self.tripped = Some(number);
        }
    }
}

#[cfg(test)]
mod tests;
