//! The audit inside the transaction: a statement that may change something commits only after the database has said
//! what was changed ([`super::ledger`]).
//!
//! A statement outside a transaction block gets one around it, of which the client sees nothing:
//!
//! ```text
//!  client        gateway                                     database
//!  Query ──────▶ BEGIN; counts ────────────────────────────▶
//!                            ◀──────────────────────────────  counts
//!                Query ────────────────────────────────────▶
//!  rows  ◀───────────────────────────────────────────────────  rows, CommandComplete (kept back), ReadyForQuery T
//!                audit ────────────────────────────────────▶
//!                            ◀──────────────────────────────  counts, locks
//!                COMMIT or ROLLBACK ───────────────────────▶
//!  CommandComplete or error, ReadyForQuery I ◀───────────────  ReadyForQuery I
//! ```
//!
//! In a block of the client's own, the counts are taken before its first such statement and the audit before its
//! COMMIT. The extended protocol is the same with the client's Sync in place of the end of the query: there too
//! PostgreSQL reports a failed commit after the CommandComplete of what failed.

use std::collections::VecDeque;

use super::ledger::{self, Doom, Ledger};
use super::{Closing, Duty, Own, Pending, Run, Session, Task, Turn, Waiting};
use crate::domain::{Access, Failure, Grant, Happening, Kind, Masking, Outcome, StatementId, Timestamp};
use crate::engine::{Audit, Bound, Permit, Understood};
use crate::wire::buffer::{Frame, WireError, Writer};
use crate::wire::postgres::{self, Cells, Request, Severity, Target, Transaction};

/// The name of prepared statements and portals of ours.
const OWN: &str = "gov: own";

/// A simple query that runs in steps, because questions of ours come between them.
#[derive(Debug)]
pub(super) struct Script {
    /// Here while none of its text is running.
    pub(super) run: Option<Box<Run>>,
    permit: Permit,
    rest: VecDeque<Segment>,
    audit: Option<Audit>,
    /// The last CommandComplete: the client gets it when what it says has come true.
    pub(super) held: Vec<u8>,
}

/// Commands of a text that are sent together.
#[derive(Debug)]
struct Segment {
    text: Vec<u8>,
    bound: Option<Bound>,
}

/// Whether a request may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passage {
    Go,
    /// It was put aside and comes again.
    Wait,
}

impl Session {
    /// Whether a request must wait for the end of what is going on: a transaction of ours is being closed.
    pub(super) fn is_closing(&self, request: &Request<'_>) -> bool {
        let passes = match request {
            Request::CopyData(_) | Request::CopyDone | Request::CopyFail { .. } => {
                // Data for a COPY that has not been sent yet waits for it.
                self.script.as_ref().is_none_or(|script| script.run.is_none())
            }
            Request::Flush | Request::Terminate => true,
            // Ignored, as the server does.
            Request::Sync if self.copying_in => true,
            Request::Query { .. }
            | Request::Parse { .. }
            | Request::Bind(_)
            | Request::Describe { .. }
            | Request::Execute { .. }
            | Request::Close { .. }
            | Request::Sync
            | Request::FunctionCall { .. } => false,
        };
        let ends = |entry: &Pending| match entry {
            Pending::Query(_) | Pending::Sync => true,
            Pending::Own(own) => !matches!(own.task, Task::Begin | Task::Counts),
            Pending::Parse { .. }
            | Pending::Bind { .. }
            | Pending::Describe { .. }
            | Pending::Execute { .. }
            | Pending::Close { .. }
            | Pending::CopyEnd
            | Pending::Local { .. }
            | Pending::Poison { .. } => false,
        };
        let closes = self.ledger.as_ref().is_some_and(|ledger| ledger.ours) && self.pending.iter().any(ends);
        !passes && (closes || self.script.is_some())
    }

    /// Puts a request aside until everything sent before it is answered.
    pub(super) fn wait_for_answers(&mut self, request: &Request<'_>, turn: &mut Turn) {
        if self.unsynced {
            // The database keeps the answers of a batch back until it is asked for them.
            Request::Flush.write(&mut turn.to_database);
        }
        self.waiting = Some(Waiting::Answers(raw(request)));
    }

    /// Goes on with the request that waited for answers, when they are there.
    pub(super) fn resume(&mut self, now: Timestamp, turn: &mut Turn) {
        if self.closed {
            return;
        }
        let copies = |raw: &[u8]| matches!(raw.first(), Some(b'd' | b'c' | b'f'));
        match &self.waiting {
            Some(Waiting::Answers(raw)) if self.pending.is_empty() || (copies(raw) && self.copying_in) => {
                let Some(Waiting::Answers(raw)) = self.waiting.take() else { return };
                self.request_again(now, &raw, turn);
            }
            Some(_) | None => {}
        }
    }

    /// Handles a request that was put aside, and then what came behind it.
    pub(super) fn request_again(&mut self, now: Timestamp, raw: &[u8], turn: &mut Turn) {
        let outcome = match raw.split_first_chunk::<5>() {
            Some(([tag, ..], body)) => self.request(now, Frame { tag: *tag, body, raw }, turn),
            None => Ok(()),
        };
        self.unparked = false;
        self.estimated = None;
        match outcome {
            Ok(()) => self.from_client(now, &[], turn),
            Err(error) => self.violated(now, Closing::ClientFault, &error, turn),
        }
    }

    /// What a statement may change, where that has to be audited. Alone stands what the server refuses to run inside a
    /// transaction block: nothing can be rolled back there, so it is for the rules, and for people, to decide on.
    fn audit_of(permit: &Permit) -> Option<Audit> {
        let obligations = permit.obligations();
        obligations.audit.filter(|_| !obligations.alone)
    }

    /// Whether a simple query must run in steps.
    pub(super) fn needs_script(&self, what: &Understood, permit: &Permit) -> bool {
        let commits =
            || (0..what.commands.len()).any(|command| matches!(what.bound(command), Some(Bound::Commit { .. })));
        self.setup.duty == Duty::Enforce
            && self.status != Transaction::Failed
            && (Self::audit_of(permit).is_some() || (self.ledger.is_some() && commits()))
    }

    /// Begins to run a simple query in steps.
    pub(super) fn begin_script(&mut self, now: Timestamp, text: &[u8], run: Run, permit: Permit, turn: &mut Turn) {
        let audit = Self::audit_of(&permit);
        let rest = segments(text, &run.what);
        self.script = Some(Script { run: Some(Box::new(run)), permit, rest, audit, held: Vec::new() });
        self.step_script(now, turn);
    }

    /// Sends what comes next in a simple query that runs in steps, once everything before it is answered.
    pub(super) fn step_script(&mut self, now: Timestamp, turn: &mut Turn) {
        let Some(script) = &mut self.script else { return };
        let failed = script.run.as_ref().is_some_and(|run| run.error.is_some());
        let doomed = self.ledger.as_ref().is_some_and(|ledger| ledger.doomed.is_some());
        let next = if failed || doomed { None } else { script.rest.front() };
        let Some(segment) = next else { return self.close_transaction(now, turn) };
        let commits = matches!(segment.bound, Some(Bound::Commit { .. }));
        match (&mut self.ledger, script.audit) {
            (Some(ledger), _) if commits && !ledger.audited => return self.ask(Task::Audit, turn),
            (Some(ledger), Some(audit)) if segment.bound.is_none() => ledger.announce(audit),
            (None, Some(audit)) if segment.bound.is_none() && self.status != Transaction::Failed => {
                let ours = self.status == Transaction::Idle;
                self.ledger = Some(Ledger::new(audit, ours));
                if ours {
                    self.scope.begin();
                }
                return self.ask(Task::Counts, turn);
            }
            (Some(_) | None, _) => {}
        }
        turn.to_client.append(&mut script.held);
        let (Some(segment), Some(run)) = (script.rest.pop_front(), script.run.take()) else { return };
        self.pending.push_back(Pending::Query(run));
        if let Some(script) = self.script.take() {
            self.forward(&Request::Query { text: &segment.text }, &script.permit, turn);
            self.script = Some(script);
        }
    }

    /// Before an Execute: what has to happen first. Called with the request as it came.
    pub(super) fn before_execute(
        &mut self,
        what: &Understood,
        permit: &Permit,
        request: &Request<'_>,
        turn: &mut Turn,
    ) -> Passage {
        // In a batch that has begun it is too late for a transaction that may write: unless there is one, what a grant to
        // read does to its temporary tables runs in one that reads, and what cannot the database says itself.
        let audit = Self::audit_of(permit).filter(|_| !self.reads_masks() || self.ledger.is_some());
        let commits = self.ledger.is_some() && matches!(what.bound(0), Some(Bound::Commit { .. }));
        if self.setup.duty == Duty::Watch || (audit.is_none() && !commits) {
            return Passage::Go;
        }
        if !self.pending.is_empty() {
            self.wait_for_answers(request, turn);
            return Passage::Wait;
        }
        if self.status == Transaction::Failed && !self.unsynced {
            return Passage::Go;
        }
        match (&mut self.ledger, audit) {
            (Some(ledger), _) if commits && !ledger.audited => {
                self.ask_in_batch(Task::Audit, turn);
                Request::Flush.write(&mut turn.to_database);
                self.waiting = Some(Waiting::Audit(raw(request)));
                return Passage::Wait;
            }
            (Some(ledger), Some(audit)) => ledger.announce(audit),
            (None, Some(audit)) => {
                let ours = !self.in_block;
                self.ledger = Some(Ledger::new(audit, ours));
                if ours {
                    self.scope.begin();
                    self.ask_in_batch(Task::Begin, turn);
                }
                self.ask_in_batch(Task::Counts, turn);
            }
            (Some(_) | None, None) => {}
        }
        Passage::Go
    }

    /// A command moved the bounds of the transaction.
    pub(super) fn bound_moved(&mut self, bound: Bound) {
        match bound {
            Bound::Begin => {
                self.in_block = true;
                // The client has taken the transaction over: it goes on until the client ends it.
                if let Some(ledger) = &mut self.ledger {
                    ledger.ours = false;
                }
            }
            Bound::Commit { chain } | Bound::Rollback { chain } => {
                self.in_block = chain;
                self.ledger = None;
            }
        }
    }

    /// The client's batch, or the last step of its query, is answered. Whether the answer to it is kept back because a
    /// transaction has to be closed first.
    pub(super) fn closes_transaction(&mut self, now: Timestamp, turn: &mut Turn) -> bool {
        let due = |ledger: &Ledger| ledger.ours || ledger.doomed.is_some();
        if self.status == Transaction::Idle || !self.ledger.as_ref().is_some_and(due) {
            return false;
        }
        self.close_transaction(now, turn);
        true
    }

    /// Everything the client asked for has run: the audit, then the end of a transaction of ours.
    fn close_transaction(&mut self, now: Timestamp, turn: &mut Turn) {
        match &self.ledger {
            Some(ledger) if ledger.doomed.is_some() => self.ask(Task::Rollback, turn),
            Some(ledger) if ledger.ours && self.status == Transaction::Failed => self.ask(Task::Rollback, turn),
            Some(ledger) if ledger.ours && ledger.audited => self.ask(Task::Commit, turn),
            Some(ledger) if ledger.ours => self.ask(Task::Audit, turn),
            Some(_) | None => self.end_script(now, None, turn),
        }
    }

    /// Before the first message of a batch, with the request as it came: what makes or drops a temporary table needs a
    /// transaction that may write, and one that reads can only become that before anything is read in it.
    pub(super) fn before_batch(
        &mut self,
        what: &Understood,
        permit: &Permit,
        request: &Request<'_>,
        turn: &mut Turn,
    ) -> Passage {
        let audit = Self::audit_of(permit).filter(|_| self.makes_own_tables() && what.redefines(0));
        let Some(audit) = audit.filter(|_| !self.unsynced && self.ledger.is_none()) else { return Passage::Go };
        if !self.pending.is_empty() {
            self.wait_for_answers(request, turn);
            return Passage::Wait;
        }
        let ours = self.status == Transaction::Idle;
        if ours || self.block_is_new {
            self.ledger = Some(Ledger::new(audit, ours));
            if ours {
                self.scope.begin();
            }
            self.ask(Task::Counts, turn);
        }
        Passage::Go
    }

    /// Whether temporary tables may be made here that the client's transactions, which read, have no room for.
    pub(super) fn makes_own_tables(&self) -> bool {
        self.setup.duty == Duty::Enforce && self.reads_masks()
    }

    /// Its role sees masks only, and its transactions read: all that it may change are temporary tables.
    fn reads_masks(&self) -> bool {
        let Grant { access, masking, .. } = &*self.setup.grant;
        (*access, *masking) == (Access::Read, Masking::Database)
    }

    /// Sends a question of ours as a simple query.
    fn ask(&mut self, task: Task, turn: &mut Turn) {
        let opens = task == Task::Counts && self.status == Transaction::Idle;
        let text = match opens {
            true if self.reads_masks() => ledger::BEGIN_WRITING_AND_COUNTS,
            true => ledger::BEGIN_AND_COUNTS,
            false if task == Task::Counts && self.block_is_new && self.reads_masks() => ledger::WRITE_AND_COUNTS,
            false => task.text(),
        };
        Request::Query { text: text.as_bytes() }.write(&mut turn.to_database);
        self.pending.push_back(Pending::Own(Own::new(task, false)));
    }

    /// Sends a question of ours within a batch of the extended protocol.
    fn ask_in_batch(&mut self, task: Task, turn: &mut Turn) {
        let text = task.text().as_bytes();
        let out = &mut turn.to_database;
        Request::Close { target: Target::Portal, name: OWN }.write(out);
        Request::Close { target: Target::Statement, name: OWN }.write(out);
        Request::Parse { name: OWN, text, types: Vec::new() }.write(out);
        Writer::message(out, b'B').text(OWN).text(OWN).count(0).count(0).count(0);
        Request::Execute { portal: OWN, rows_max: 0 }.write(out);
        self.unsynced = true;
        self.pending.push_back(Pending::Own(Own::new(task, true)));
    }

    /// A question of ours is answered.
    pub(super) fn answered(&mut self, now: Timestamp, own: &Own, turn: &mut Turn) {
        match own.task {
            Task::Begin => self.in_block = true,
            Task::Counts => {
                if let Some(ledger) = &mut self.ledger {
                    ledger.opened(own.row());
                }
                self.step_script(now, turn);
            }
            Task::Audit => self.audited(now, own, turn),
            Task::Commit | Task::Rollback => self.closed_transaction(now, own, turn),
        }
    }

    fn audited(&mut self, now: Timestamp, own: &Own, turn: &mut Turn) {
        let Some(ledger) = &mut self.ledger else { return };
        let finding = match ledger.judge(own.row()) {
            Ok(()) => {
                ledger.audited = true;
                match self.waiting.take() {
                    Some(Waiting::Audit(raw)) => self.request_again(now, &raw, turn),
                    waiting => {
                        self.waiting = waiting;
                        if self.script.is_some() {
                            self.step_script(now, turn)
                        } else {
                            self.close_transaction(now, turn)
                        }
                    }
                }
                return;
            }
            Err(finding) => finding,
        };
        self.happened(
            now,
            Happening::TransactionRefused {
                last: StatementId { stream: self.setup.stream, number: self.statements },
                why: finding.why,
                changed: finding.changed,
                allowed: finding.allowed,
            },
            turn,
        );
        match self.waiting.take() {
            // The client's own COMMIT, in a batch: refused here, and the transaction rolled back at its Sync.
            Some(Waiting::Audit(_)) => {
                if let Some(ledger) = &mut self.ledger {
                    ledger.doomed = Some(Doom::Told);
                }
                self.refuse_batch("42501", &finding.failure, None, turn);
                self.from_client(now, &[], turn);
            }
            waiting => {
                self.waiting = waiting;
                if let Some(ledger) = &mut self.ledger {
                    ledger.doomed = Some(Doom::Untold(finding.failure));
                }
                self.close_transaction(now, turn);
            }
        }
    }

    /// A question of ours failed inside a batch: the database drops everything up to Sync, and so do we.
    pub(super) fn question_failed(&mut self, now: Timestamp, turn: &mut Turn) {
        if let Some(ledger) = &mut self.ledger {
            ledger.doomed = Some(Doom::Told);
        }
        if matches!(self.waiting, Some(Waiting::Audit(_))) {
            self.waiting = None;
        }
        let complaint = postgres::complaint(Severity::Error, "42501", &ledger::uncounted(), None);
        postgres::error(complaint, &mut turn.to_client);
        self.drop_batch(now, Some(*b"42501"), turn);
    }

    /// A transaction was committed or rolled back by us.
    fn closed_transaction(&mut self, now: Timestamp, own: &Own, turn: &mut Turn) {
        let ledger = self.ledger.take();
        if own.task == Task::Commit && own.error.is_none() {
            self.scope.commit();
        }
        let failure = match ledger.and_then(|ledger| ledger.doomed) {
            Some(Doom::Untold(failure)) => Some(failure),
            Some(Doom::Told) | None => None,
        };
        if let Some(failure) = &failure {
            postgres::error(postgres::complaint(Severity::Error, "42501", failure, None), &mut turn.to_client);
        }
        let error = failure.map(|_| *b"42501").or(own.error);
        self.end_script(now, error, turn);
    }

    /// Tells the client that its query, or its batch, is over.
    fn end_script(&mut self, now: Timestamp, error: Option<[u8; 5]>, turn: &mut Turn) {
        if let Some(mut script) = self.script.take() {
            let Some(run) = script.run.take() else { return };
            let outcome = match error.or(run.error) {
                Some(sqlstate) => Outcome::Error { sqlstate },
                None => {
                    turn.to_client.append(&mut script.held);
                    Outcome::Ok
                }
            };
            self.ended(now, *run, outcome, turn);
        }
        if self.status == Transaction::Idle {
            self.scope.idle();
            self.forget_portals();
        }
        postgres::ready_for_query(self.status, &mut turn.to_client);
        self.settle_local(turn);
    }

    /// Takes a row that answers a question of ours.
    pub(super) fn own_row(own: &mut Own, frame: Frame<'_>) -> Result<(), WireError> {
        let mut cells = Cells::of(frame.body)?;
        let mut row = Vec::new();
        while let Some(cell) = cells.next()? {
            row.push(cell.map(|cell| String::from_utf8_lossy(cell).into_owned()));
        }
        cells.finish()?;
        own.row = Some(row);
        Ok(())
    }
}

impl Task {
    fn text(self) -> &'static str {
        match self {
            Self::Begin => "BEGIN",
            Self::Counts => ledger::COUNTS,
            Self::Audit => ledger::AUDIT,
            Self::Commit => "COMMIT",
            Self::Rollback => "ROLLBACK",
        }
    }
}

impl Own {
    fn new(task: Task, in_batch: bool) -> Self {
        Self { task, in_batch, row: None, error: None }
    }

    fn row(&self) -> Option<&[Option<String>]> {
        self.row.as_deref().filter(|_| self.error.is_none())
    }
}

/// A request as it came.
pub(super) fn raw(request: &Request<'_>) -> Vec<u8> {
    let mut raw = Vec::new();
    request.write(&mut raw);
    raw
}

/// Cuts a text at the commands that begin and end transactions. Everything between two of them runs together.
fn segments(text: &[u8], what: &Understood) -> VecDeque<Segment> {
    let mut segments: VecDeque<(usize, Option<Bound>)> = VecDeque::new();
    for (index, command) in what.commands.iter().enumerate() {
        let bound = what.bound(index);
        match segments.back() {
            None => segments.push_back((0, bound)),
            Some((_, None)) if bound.is_none() => {}
            Some(_) => segments.push_back((command.position, bound)),
        }
    }
    let ends = segments.iter().skip(1).map(|(start, _)| *start).chain([text.len()]).collect::<Vec<_>>();
    let cut = |((start, bound), end): ((usize, Option<Bound>), usize)| Segment {
        text: text.get(start..end).unwrap_or_default().to_vec(),
        bound,
    };
    segments.into_iter().zip(ends).map(cut).collect()
}

/// A name no client may give: ours begin with it.
pub(super) fn is_own_name(name: &str) -> bool {
    name.starts_with("gov: ")
}

/// What a client that takes one of our names is told.
pub(super) fn own_name(name: &str) -> Failure {
    Failure::new(Kind::Usage, format!("the name \"{name}\" is taken")).hint("give it another name")
}
