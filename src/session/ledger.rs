//! What a transaction has changed, by the database's own count, against what its statements said they would change.
//!
//! Command tags do not count what triggers and cascades change, and text does not say how many rows a condition finds.
//! The database keeps both per transaction: rows changed per table, and the strong locks it holds. The counters carry
//! what earlier transactions of the connection left in them, so they are read twice, and the difference is what counts
//! (facts measured on PostgreSQL 15.18; they are the same from 13 to 18).

use std::collections::HashMap;

use crate::domain::{Failure, Kind};
use crate::engine::Audit;

/// Rows changed so far, as `oid class rows`, with `,` between the tables. Temporary tables are the session's own. The
/// system's tables count too: a GRANT or a new function shows nowhere else. Every name and operator carries its
/// schema: the session's search path has no say here.
macro_rules! counts {
    () => {
        "(SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', r.oid, CASE WHEN r.relnamespace OPERATOR(pg_catalog.=) \
         '11'::pg_catalog.oid THEN 's' ELSE 'u' END, n.changed), ',') FROM pg_catalog.pg_class r CROSS JOIN LATERAL \
         (SELECT pg_catalog.pg_stat_get_xact_tuples_inserted(r.oid) OPERATOR(pg_catalog.+) \
         pg_catalog.pg_stat_get_xact_tuples_updated(r.oid) OPERATOR(pg_catalog.+) \
         pg_catalog.pg_stat_get_xact_tuples_deleted(r.oid) AS changed) n \
         WHERE r.relkind OPERATOR(pg_catalog.=) ANY ('{r,m}'::pg_catalog.\"char\"[]) \
         AND r.relpersistence OPERATOR(pg_catalog.<>) 't'::pg_catalog.\"char\" \
         AND n.changed OPERATOR(pg_catalog.>) '0'::pg_catalog.int8)"
    };
}

/// Those, and the number of the newest relation.
macro_rules! select_counts {
    () => {
        concat!("SELECT ", counts!(), ", (SELECT pg_catalog.max(r.oid)::pg_catalog.text FROM pg_catalog.pg_class r)")
    };
}

/// Asked before the first statement that may change something.
pub(super) const COUNTS: &str = select_counts!();

/// The same where the transaction is opened for one statement, in a session whose transactions otherwise only read.
pub(super) const BEGIN_WRITING_AND_COUNTS: &str = concat!("BEGIN READ WRITE; ", select_counts!());

/// The same where it is the first in a transaction block of such a session.
pub(super) const WRITE_AND_COUNTS: &str = concat!("SET TRANSACTION READ WRITE; ", select_counts!());

/// The same where the transaction is opened for one statement.
pub(super) const BEGIN_AND_COUNTS: &str = concat!("BEGIN; ", select_counts!());

/// Asked before the transaction may commit: the counts, a relation or object held in a lock that keeps writers out,
/// whether the transaction wrote anything at all, and whether rows are being counted.
pub(crate) const AUDIT: &str = concat!(
    "SELECT ",
    counts!(),
    ", (SELECT COALESCE(l.relation::pg_catalog.regclass::pg_catalog.text, l.classid::pg_catalog.regclass::pg_catalog.text) \
     FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_class r ON r.oid OPERATOR(pg_catalog.=) l.relation \
     WHERE l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid() AND (\
     l.locktype OPERATOR(pg_catalog.=) 'relation' AND COALESCE(r.relpersistence OPERATOR(pg_catalog.<>) \
     't'::pg_catalog.\"char\", true) AND l.mode OPERATOR(pg_catalog.=) ANY ('{ShareUpdateExclusiveLock,ShareLock,\
     ShareRowExclusiveLock,ExclusiveLock,AccessExclusiveLock}'::pg_catalog.text[]) \
     OR l.locktype OPERATOR(pg_catalog.=) 'object' AND l.mode OPERATOR(pg_catalog.=) 'AccessExclusiveLock') LIMIT 1), \
     pg_catalog.pg_current_xact_id_if_assigned() IS NOT NULL, pg_catalog.current_setting('track_counts')"
);

/// The transaction that is under audit.
#[derive(Debug)]
pub(super) struct Ledger {
    /// What its statements have announced.
    allowed: Audit,
    /// What the counters showed when it was opened; `None` until the database has said so.
    before: Option<Before>,
    /// The client knows nothing of this transaction: it was opened around its statements, and ends with them.
    pub(super) ours: bool,
    /// The audit found nothing wrong: the statement that commits may go.
    pub(super) audited: bool,
    /// It may not commit any more.
    pub(super) doomed: Option<Doom>,
}

/// Why a transaction may not commit.
#[derive(Debug)]
pub(super) enum Doom {
    /// The client has been told.
    Told,
    Untold(Failure),
}

#[derive(Debug)]
struct Before {
    rows: HashMap<u32, u64>,
    /// Relations with higher numbers were made since: filling a new table changes nothing that was there.
    newest: u32,
}

/// What an audit found against.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// In a word, for the record.
    pub(super) why: &'static str,
    pub(super) changed: u64,
    pub(super) allowed: u64,
    /// For the person.
    pub(super) failure: Failure,
}

impl Ledger {
    pub(super) fn new(allowed: Audit, ours: bool) -> Self {
        Self { allowed, before: None, ours, audited: false, doomed: None }
    }

    /// Another statement of the same transaction.
    pub(super) fn announce(&mut self, audit: Audit) {
        self.allowed = self.allowed.and(audit);
        self.audited = false;
    }

    /// Takes the answer to [`COUNTS`]. Without it nothing could be compared later.
    pub(super) fn opened(&mut self, row: Option<&[Option<String>]>) {
        self.before = row.and_then(before);
        if self.before.is_none() {
            self.doomed = Some(Doom::Untold(uncounted()));
        }
    }

    /// Takes the answer to [`AUDIT`].
    pub(super) fn judge(&self, row: Option<&[Option<String>]>) -> Result<(), Finding> {
        let unknown = |failure| Finding { why: "uncounted", changed: 0, allowed: self.allowed.rows_max, failure };
        let (Some(before), Some([counts, lock, wrote, counting])) = (&self.before, row) else {
            return Err(unknown(uncounted()));
        };
        let tables = tables(counts.as_deref()).ok_or_else(|| unknown(uncounted()))?;
        if counting.as_deref() != Some("on") {
            return Err(unknown(uncounted().detail("The server's parameter `track_counts` is off.")));
        }
        let changed = |system: bool| {
            let tables = tables.iter().filter(|table| table.system == system && table.oid <= before.newest);
            let grown =
                tables.map(|table| table.changed.saturating_sub(before.rows.get(&table.oid).copied().unwrap_or(0)));
            grown.fold(0, u64::saturating_add)
        };
        let (rows, definitions) = (changed(false), changed(true));
        let Audit { rows_max, writes, locks } = self.allowed;
        let found = |why, failure| Err(Finding { why, changed: rows, allowed: rows_max, failure });
        if rows > rows_max {
            return found("changed_rows", too_many_rows(rows, rows_max));
        }
        if !writes && !locks && (rows > 0 || wrote.as_deref() != Some("f")) {
            return found("unannounced_write", unannounced("wrote to the database", rows));
        }
        if !locks && definitions > 0 {
            return found("unannounced_change", unannounced("changed definitions or rights", rows));
        }
        match lock {
            Some(name) if !locks => found("unannounced_lock", unannounced(&format!("locked `{name}`"), rows)),
            Some(_) | None => Ok(()),
        }
    }
}

/// One table's count.
struct Table {
    oid: u32,
    system: bool,
    changed: u64,
}

/// Reads a list of counts; no table at all is NULL.
fn tables(counts: Option<&str>) -> Option<Vec<Table>> {
    let table = |text: &str| {
        let mut words = text.split(' ');
        let (oid, class, changed) = (words.next()?, words.next()?, words.next()?);
        Some(Table { oid: oid.parse().ok()?, system: class == "s", changed: changed.parse().ok()? })
    };
    counts.filter(|counts| !counts.is_empty()).map_or(Some(Vec::new()), |counts| counts.split(',').map(table).collect())
}

fn too_many_rows(rows: u64, rows_max: u64) -> Failure {
    Failure::new(Kind::Denied, format!("this changes {rows} rows, and one transaction may change {rows_max}"))
        .detail(
            "Rows of all tables count, also those that triggers and cascades change. The transaction was rolled back. \
             Rule: changed_rows.",
        )
        .hint("narrow the condition, or do it in several transactions")
}

fn unannounced(what: &str, rows: u64) -> Failure {
    Failure::new(Kind::Denied, format!("this {what}, which its text does not say"))
        .detail(format!("It changed {rows} rows. The transaction was rolled back. Rule: unannounced."))
        .hint("write what the statement does in the statement itself, or have the function it calls reviewed")
}

pub(super) fn uncounted() -> Failure {
    Failure::new(Kind::Denied, "the database does not say what this transaction changed")
        .detail("Without that it may not commit. It was rolled back. Rule: changed_rows.")
        .hint("try again; if it stays so, tell whoever runs the gateway")
}

/// What the database counted when a transaction began.
fn before(row: &[Option<String>]) -> Option<Before> {
    let [counts, newest] = row else { return None };
    let rows = tables(counts.as_deref())?.into_iter().map(|table| (table.oid, table.changed)).collect();
    Some(Before { rows, newest: newest.as_ref()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Audit = Audit { rows_max: 10, writes: true, locks: false };

    fn ledger(allowed: Audit, before: Option<&str>) -> Ledger {
        let mut ledger = Ledger::new(allowed, true);
        ledger.opened(Some(&[before.map(str::to_owned), Some("20000".to_owned())]));
        ledger
    }

    fn why(allowed: Audit, before: Option<&str>, after: Option<&str>, lock: Option<&str>) -> Result<(), &'static str> {
        let row = [after.map(str::to_owned), lock.map(str::to_owned), Some("t".to_owned()), Some("on".to_owned())];
        ledger(allowed, before).judge(Some(&row)).map_err(|finding| finding.why)
    }

    #[test]
    fn only_what_this_transaction_changed_counts() {
        assert_eq!(why(SMALL, None, Some("7 u 10"), None), Ok(()));
        assert_eq!(why(SMALL, None, Some("7 u 11"), None), Err("changed_rows"));
        assert_eq!(why(SMALL, Some("7 u 5000"), Some("7 u 5010"), None), Ok(()));
        assert_eq!(why(SMALL, Some("7 u 5000"), Some("7 u 5006,8 u 5"), None), Err("changed_rows"), "all tables");
        assert_eq!(why(SMALL, Some("7 u 5000"), Some("8 u 11"), None), Err("changed_rows"), "one that is gone");
        assert_eq!(why(SMALL, None, Some("20001 u 5000"), None), Ok(()), "a new table");
    }

    #[test]
    fn what_was_not_announced_is_found() {
        let read = Audit { writes: false, ..SMALL };
        let defines = Audit { locks: true, ..SMALL };
        assert_eq!(why(read, None, Some("7 u 1"), None), Err("unannounced_write"));
        assert_eq!(why(read, None, None, None), Err("unannounced_write"), "something that no table counts");
        assert_eq!(why(SMALL, None, Some("1255 s 1"), None), Err("unannounced_change"));
        assert_eq!(why(SMALL, None, None, Some("orders")), Err("unannounced_lock"));
        assert_eq!(why(defines, None, Some("1255 s 1"), Some("orders")), Ok(()));
    }

    #[test]
    fn what_cannot_be_counted_may_not_commit() {
        let mut unanswered = Ledger::new(SMALL, true);
        assert_eq!(unanswered.judge(None).unwrap_err().why, "uncounted");
        for row in [None, Some(vec![]), Some(vec![Some("x".to_owned()), Some("5".to_owned())]), Some(vec![None, None])]
        {
            unanswered.opened(row.as_deref());
            assert!(unanswered.doomed.take().is_some(), "{row:?}");
        }
        let off = [None, None, Some("f".to_owned()), Some("off".to_owned())];
        assert_eq!(ledger(SMALL, None).judge(Some(&off)).unwrap_err().why, "uncounted");
        assert_eq!(ledger(SMALL, None).judge(None).unwrap_err().why, "uncounted");
    }

    #[test]
    fn statements_of_one_transaction_add_up() {
        let mut ledger = ledger(SMALL, None);
        ledger.announce(Audit { rows_max: 100, writes: false, locks: true });
        let row = [Some("7 u 11".to_owned()), Some("t".to_owned()), Some("t".to_owned()), Some("on".to_owned())];
        let finding = ledger.judge(Some(&row)).unwrap_err();
        assert_eq!((finding.why, finding.changed, finding.allowed), ("changed_rows", 11, 10));
    }
}
