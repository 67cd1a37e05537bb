//! What needed somebody's word had it: a statement that a rule held back ran by an approval that the server has on record,
//! and real values of masked columns went to sessions that were opened to see them.
//!
//! Which kinds of data need no mask is the policy's to say, and the log has its digest only. So of values that went out as
//! they are (`res.clear`) a record cannot be told to be wrong by itself; what the engine says of it, that a column was
//! revealed and by which rule it asked, can.

use std::collections::BTreeSet;

use super::{Report, Wrong};
use crate::audit::record::Core;
use crate::domain::{SessionId, Side, StatementId, Timestamp};

/// The rule that asks before real values of masked columns are shown.
const REVEALS: &str = "revealed_column";

#[derive(Debug, Default)]
pub(super) struct Consents {
    given: BTreeSet<String>,
    opened: BTreeSet<SessionId>,
    /// Those that were opened to see columns as they are.
    revealing: BTreeSet<SessionId>,
    needed: Vec<Needed>,
    /// The latest time a record of a server claims.
    latest: Option<Timestamp>,
}

/// A statement that the gateway let through, and that needed a word.
#[derive(Debug)]
struct Needed {
    session: SessionId,
    statement: StatementId,
    at: Timestamp,
    is_held: bool,
    reveals: bool,
    approval: Option<String>,
}

impl Consents {
    /// Takes a record; `side` is that of the key that signed it.
    pub(super) fn enter(&mut self, side: Side, record: &Core) {
        match side {
            Side::Server => self.server(record),
            Side::Gateway => self.needed.extend(needed(record)),
            // What a client foresees lets nothing through.
            Side::Client => {}
        }
    }

    fn server(&mut self, record: &Core) {
        self.latest = self.latest.max(Some(record.at));
        match (record.kind.as_str(), record.what.as_deref(), record.session) {
            ("approval", Some("approved"), _) => self.given.extend(record.approval.clone()),
            ("session.open", _, Some(session)) => {
                self.opened.insert(session);
                if !record.reveal.is_empty() {
                    self.revealing.insert(session);
                }
            }
            _ => {}
        }
    }

    /// What is missing. Where this is not the `whole` log, what the server says elsewhere cannot be missed.
    pub(super) fn check(self, whole: bool, report: &mut Report) {
        for needed in self.needed {
            let (session, statement) = (needed.session, needed.statement);
            let given = needed.approval.as_ref().is_some_and(|approval| self.given.contains(approval));
            // The word of a server and that of its gateway are signed a moment apart.
            let is_told_by_now = whole && self.latest > Some(needed.at);
            if needed.is_held && given {
                report.approved += 1;
            } else if needed.is_held && (needed.approval.is_none() || is_told_by_now) {
                report.fault(None, Wrong::NotApproved { session, statement });
            }
            if needed.reveals && self.opened.contains(&session) && !self.revealing.contains(&session) {
                report.fault(None, Wrong::NotRevealed { session, statement });
            }
        }
    }
}

fn needed(record: &Core) -> Option<Needed> {
    let decided = record.decided.as_ref().filter(|decided| decided.action == "allow")?;
    let is_held = decided.rules.iter().any(|(_, action)| action == "hold");
    let reveals = decided.rules.iter().any(|(rule, _)| rule == REVEALS);
    let (session, statement) = (record.session?, record.statement?);
    let approval = record.approval.clone();
    (is_held || reveals).then_some(Needed { session, statement, at: record.at, is_held, reveals, approval })
}
