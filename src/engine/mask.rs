//! Runs the detectors over rows and makes the [`Masked`] row. No other file can.

use super::catalog::Catalog;
use super::detector::DETECTORS;
use super::policy::Policy;
use super::scope::Scope;
use super::sql::Understood;
use crate::domain::{Grant, Secret};

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
    pub(crate) binary: bool,
}

/// Masks the rows of one result.
#[derive(Debug)]
pub(crate) struct Masker {
    looks: Vec<bool>,
    /// Cells replaced in the row at hand: index and new value, `None` for NULL.
    changed: Vec<(usize, Option<Vec<u8>>)>,
    cells_masked: u64,
}

/// The proof that a row went through the engine, and what must change in it. Only this file can make one.
#[derive(Debug)]
pub(crate) struct Masked<'a> {
    changes: &'a [(usize, Option<Vec<u8>>)],
}

impl Masked<'_> {
    /// The new value of cell `index`; `None` when it stays.
    pub(crate) fn change(&self, index: usize) -> Option<Option<&[u8]>> {
        self.changes.iter().find(|(at, _)| *at == index).map(|(_, value)| value.as_deref())
    }

    /// The row goes out as it came.
    pub(crate) fn is_unchanged(&self) -> bool {
        self.changes.is_empty()
    }
}

impl Masker {
    /// Changes nothing: the rows were masked by the end that enforces.
    pub(super) fn watching() -> Self {
        Self { looks: Vec::new(), changed: Vec::new(), cells_masked: 0 }
    }

    /// When no cell of this result needs to be looked at: the proof for any number of its rows.
    pub(crate) fn clear(&self) -> Option<Masked<'static>> {
        (!self.looks.contains(&true)).then_some(Masked { changes: &[] })
    }

    /// Columns that are masked whatever they hold.
    pub(crate) fn columns_masked(&self) -> u32 {
        0
    }

    /// Cells changed since the beginning.
    pub(crate) fn cells_masked(&self) -> u64 {
        self.cells_masked
    }

    /// Starts a row.
    pub(crate) fn begin(&mut self) {
        self.changed.clear();
    }

    /// Takes the next cell of the row; `None` is NULL.
    pub(crate) fn cell(&mut self, index: usize, value: Option<&[u8]>) {
        // A cell beyond the description is not known to be anything, and is looked at.
        if !self.looks.get(index).copied().unwrap_or(true) {
            return;
        }
        let Some(Ok(text)) = value.map(std::str::from_utf8) else { return };
        for detector in DETECTORS {
            if detector.find(text, 0).is_some() {
                self.changed.push((index, Some(b"***".to_vec())));
                self.cells_masked += 1;
                return;
            }
        }
    }

    /// Ends the row.
    pub(crate) fn finish(&self) -> Masked<'_> {
        Masked { changes: &self.changed }
    }
}

/// Plans how a result is masked.
#[expect(clippy::too_many_arguments, reason = "each is one of the engine's inputs; Engine::masker is the front")]
pub(super) fn masker(
    _policy: &Policy,
    _catalog: &Catalog,
    _key: Option<&MaskKey>,
    _who: &Grant,
    _what: &Understood,
    _command: usize,
    _scope: &Scope,
    columns: &[ResultColumn],
) -> Masker {
    /// text, varchar, bpchar, name, json, unknown
    const TEXTUAL: &[u32] = &[25, 1043, 1042, 19, 114, 705];
    let looks = columns.iter().map(|column| TEXTUAL.contains(&column.kind) || column.kind >= 16_384).collect();
    Masker { looks, changed: Vec::new(), cells_masked: 0 }
}

/// See [`super::Engine::redact`].
pub(super) fn redact(_catalog: &Catalog, _what: Option<&Understood>, fields: &mut Vec<(u8, String)>) {
    fields.retain(|(code, _)| !b"DW".contains(code));
}
