//! Moves that are not on record yet, or that others have not been told of yet.
//!
//! A move is saved together with its entry here, in one transaction; the entry goes when the move is on record and told.
//! What a process that was killed between the two has left, the next one makes up for: each move is on record at least
//! once, with the time it was made at, and others are told of it at least once.

use rusqlite::Transaction;

use crate::domain::{ApprovalId, ApprovalState, Timestamp};

/// Moves that are looked at together.
const AT_ONCE: usize = 100;

/// A move as it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Made {
    /// Grows from move to move, and is never used again.
    pub(crate) number: i64,
    pub(crate) approval: ApprovalId,
    pub(crate) at: Timestamp,
    /// `None` when it was just asked for.
    pub(crate) from: Option<ApprovalState>,
    pub(crate) to: ApprovalState,
    /// The pseudonym of whoever made it; `None` for time and the machine.
    pub(crate) by: Option<String>,
    pub(crate) recorded: bool,
}

/// Notes a move, in the transaction that saves it.
pub(super) fn note(
    db: &Transaction<'_>,
    approval: ApprovalId,
    at: Timestamp,
    (from, to): (Option<ApprovalState>, ApprovalState),
    by: Option<&str>,
) -> rusqlite::Result<()> {
    db.execute(
        "INSERT INTO approval_moves (approval, at_ms, was, became, subject) VALUES (?1, ?2, ?3, ?4, ?5)",
        (approval.to_string(), integer(at), from.map(ApprovalState::word), to.word(), by),
    )?;
    Ok(())
}

/// The oldest that are left behind `after`, in the order in which they were made.
pub(super) fn left(db: &Transaction<'_>, after: i64) -> rusqlite::Result<Vec<Made>> {
    let mut select = db.prepare_cached(
        "SELECT number, approval, at_ms, was, became, subject, recorded FROM approval_moves WHERE number > ?1
         ORDER BY number LIMIT ?2",
    )?;
    let rows = select.query_map((after, i64::try_from(AT_ONCE).unwrap_or(i64::MAX)), read)?;
    Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?.into_iter().flatten().collect())
}

/// These moves, up to `number`, are on record.
pub(super) fn recorded(db: &Transaction<'_>, number: i64) -> rusqlite::Result<()> {
    db.execute("UPDATE approval_moves SET recorded = 1 WHERE number <= ?1", [number])?;
    Ok(())
}

/// The move is on record, and whoever is to be told has been told, or cannot be.
pub(super) fn done(db: &Transaction<'_>, number: i64) -> rusqlite::Result<()> {
    db.execute("DELETE FROM approval_moves WHERE number = ?1 AND recorded = 1", [number])?;
    Ok(())
}

/// `None` for a row that no version of ours wrote.
fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Option<Made>> {
    let (approval, at): (String, i64) = (row.get(1)?, row.get(2)?);
    let (was, became): (Option<String>, String) = (row.get(3)?, row.get(4)?);
    let (number, by, recorded) = (row.get(0)?, row.get(5)?, row.get(6)?);
    let made = || {
        let at = Timestamp::from_millis(u64::try_from(at).ok()?);
        let from = was.as_deref().map(ApprovalState::parse);
        let from = if from.is_some() { Some(from.flatten()?) } else { None };
        Some(Made {
            number,
            approval: approval.parse().ok()?,
            at,
            from,
            to: ApprovalState::parse(&became)?,
            by,
            recorded,
        })
    };
    Ok(made())
}

fn integer(at: Timestamp) -> i64 {
    i64::try_from(at.millis()).unwrap_or(i64::MAX)
}
