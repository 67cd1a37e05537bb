//! Client → database: read, understand, decide, write anew. The only place that writes a statement towards a
//! database, and it takes a [`Permit`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::hold::Case;
use super::transaction::{Passage, is_own_name, own_name, raw};
use super::{
    Closed, Closing, CopyIn, Duty, Early, NAMES_MAX, NEVER_RAN, PENDING_MAX, Pending, Portal, Prepared, RawText, Run,
    Session, Turn, Waiting, copy_format,
};
use crate::domain::{
    Action, Digest, Failure, Fault, Happening, Kind, Outcome, Reason, Shown, Statement, StatementId, StatementStart,
    Timestamp, Verdict,
};
use crate::engine::{Decision, Parameter, Permit, Refusal, Rewritten, Understood};
use crate::wire::buffer::{Frame, Piece, WireError};
use crate::wire::postgres::{
    self, Bind, Complaint, CopyFormat, CopyPiece, CopyRow, Request, Severity, Target, Transaction, Values,
};
use crate::wire::tunnel;

/// What is no SQL, under a name no client can take: preparing it makes a batch fail.
const POISON: &str = "gov: refused";

/// Bytes of COPY data that are looked at again with what comes next: more than a pseudonym has.
const COPY_OVERLAP: usize = 64;

/// Bytes of a row of COPY data that are kept to see it whole. A longer one, and what follows it, is looked through for
/// pseudonyms only.
const COPY_ROW_MAX: usize = 8 * 1024 * 1024;

/// `warning`
const WARNING: &str = "01000";

/// `io_error`: the statement could not be put on record.
const UNRECORDABLE: &str = "58030";

impl Session {
    /// Takes bytes from the client.
    #[expect(clippy::wrong_self_convention, reason = "where the bytes come from, not what they become")]
    pub(crate) fn from_client(&mut self, now: Timestamp, bytes: &[u8], turn: &mut Turn) {
        let mut frames = std::mem::take(&mut self.from_client);
        let mut chunk = frames.chunk(bytes);
        let outcome = loop {
            if self.closed || self.waiting.is_some() {
                break Ok(());
            }
            match chunk.next() {
                Err(error) => break Err(error),
                Ok(None) => break Ok(()),
                Ok(Some(Piece::Frame(frame))) => {
                    if let Err(error) = self.request(now, frame, turn) {
                        break Err(error);
                    }
                    continue;
                }
                // A request is judged whole, however long it is.
                Ok(Some(Piece::Long { .. } | Piece::Part(_))) => {}
            }
            chunk.gather();
        };
        chunk.end();
        self.from_client = frames;
        if let Err(error) = outcome {
            self.violated(now, Closing::ClientFault, &error, turn);
        }
    }

    /// The catalog is as new as it can be: decides the request that waited for that, then what came behind it.
    pub(crate) fn catalog_refreshed(&mut self, now: Timestamp, turn: &mut Turn) {
        let Some(Waiting::Catalog(raw)) = self.waiting.take_if(|waiting| matches!(waiting, Waiting::Catalog(_))) else {
            return;
        };
        self.unparked = true;
        self.request_again(now, &raw, turn);
    }

    /// Whether a refusal rests on a name the catalog does not have. Then the request waits for a newer one, once.
    fn parks(&mut self, refusal: &Refusal, request: &Request<'_>, turn: &mut Turn) -> bool {
        if !refusal.stale || self.unparked || self.setup.duty == Duty::Watch {
            return false;
        }
        self.waiting = Some(Waiting::Catalog(raw(request)));
        turn.refresh = true;
        true
    }

    pub(super) fn request(&mut self, now: Timestamp, frame: Frame<'_>, turn: &mut Turn) -> Result<(), WireError> {
        if frame.tag == tunnel::BEAT && self.setup.duty == Duty::Enforce {
            return Ok(());
        }
        let request = Request::read(frame)?;
        if self.pending.len() >= PENDING_MAX {
            return Err(WireError::Violation("more requests were sent ahead than can be remembered"));
        }
        if self.skipping && !matches!(request, Request::Sync | Request::Terminate) {
            self.dropped(now, &request, turn);
            return Ok(());
        }
        if self.copying_in && self.setup.duty == Duty::Enforce && is_out_of_place_in_copy(&request) {
            return Err(WireError::Violation("a statement was sent in the middle of COPY data"));
        }
        if self.is_closing(&request) {
            self.wait_for_answers(&request, turn);
            return Ok(());
        }
        match request {
            Request::Query { text } => self.query(now, text, turn),
            Request::Parse { name, text, types } => self.parse(now, name, text, types, turn),
            Request::Bind(bind) => self.bind(now, bind, turn),
            Request::Describe { target, name } => self.describe(target, name, turn),
            Request::Execute { portal, rows_max } => self.execute(now, portal, rows_max, turn),
            Request::Close { target, name } => self.close_name(target, name, turn),
            Request::Sync => self.sync(now, turn),
            Request::Flush => self.pass(&Request::Flush, turn),
            Request::CopyData(data) => self.copy_data(data, turn),
            Request::CopyDone => self.copy_end(&Request::CopyDone, turn),
            Request::CopyFail { reason } => self.copy_end(&Request::CopyFail { reason }, turn),
            Request::FunctionCall { .. } => {
                let failure = Failure::new(Kind::Denied, "function calls outside SQL are not allowed here")
                    .detail("The client used the fast-path protocol, which names a function by number only.")
                    .hint("call the function in a SELECT");
                self.refuse_query("42501", &failure, None, turn);
            }
            Request::Terminate => {
                self.pass(&Request::Terminate, turn);
                self.close(now, Closing::Terminated, None, turn);
            }
        }
        Ok(())
    }

    fn query(&mut self, now: Timestamp, text: &[u8], turn: &mut Turn) {
        if let Some(failure) = self.unrecordable.clone() {
            self.unread(now, turn);
            return self.refuse_query(UNRECORDABLE, &failure, None, turn);
        }
        let what = self.setup.engine.understand(text);
        let raw = self.raw_text(text);
        let case = Case { what: &what, text, values: Some(&[]), hold: None, raw: &raw };
        match self.decide(now, case, turn) {
            Decision::Allow(permit) if self.wants_estimate(&permit) => {
                self.ask_planner(case, false, &Request::Query { text }, turn);
            }
            Decision::Allow(permit) if self.needs_script(&what, &permit) => {
                if self.pending.is_empty() {
                    let run = self.start(now, &what, &raw, &permit, turn);
                    self.begin_script(now, text, run, permit, turn);
                } else {
                    self.wait_for_answers(&Request::Query { text }, turn);
                }
            }
            Decision::Allow(permit) => {
                let run = self.start(now, &what, &raw, &permit, turn);
                self.pending.push_back(Pending::Query(Box::new(run)));
                self.forward(&Request::Query { text }, &permit, turn);
            }
            Decision::Hold(refusal) | Decision::Deny(refusal) => {
                if self.parks(&refusal, &Request::Query { text }, turn) {
                    return;
                }
                if let Some(instead) = &refusal.instead {
                    self.replaced(now, &raw, &refusal, position(text, &refusal), turn);
                    return self.query(now, instead.as_bytes(), turn);
                }
                if refusal.verdict == Verdict::Hold && self.asks() {
                    return self.hold(now, case, &refusal, &Request::Query { text }, turn);
                }
                self.turned_away(now, &raw, &refusal, turn);
                self.refuse_query(sqlstate(&refusal), &failure(&refusal), position(text, &refusal), turn);
            }
        }
    }

    fn parse(&mut self, now: Timestamp, name: &str, text: &[u8], types: Vec<u32>, turn: &mut Turn) {
        if self.prepared.len() >= NAMES_MAX {
            return self.refuse_batch("53400", &too_many("prepared statements"), None, turn);
        }
        if is_own_name(name) {
            return self.fail_batch("42P05", &own_name(name), turn);
        }
        let what = self.setup.engine.understand(text);
        let (permit, held) = match self.judge(now, &what) {
            Decision::Allow(permit) => {
                let held = permit.asks_estimate();
                (permit, held)
            }
            Decision::Hold(refusal) | Decision::Deny(refusal) => {
                if self.parks(&refusal, &Request::Parse { name, text, types: types.clone() }, turn) {
                    return;
                }
                if let Some(instead) = &refusal.instead {
                    let raw = self.raw_text(text);
                    self.replaced(now, &raw, &refusal, position(text, &refusal), turn);
                    return self.parse(now, name, instead.as_bytes(), types, turn);
                }
                let holds = refusal.verdict == Verdict::Hold && self.asks();
                match self.permit_to_prepare(now, &what, &refusal).filter(|_| holds) {
                    Some(permit) => (permit, true),
                    None => {
                        let raw = self.raw_text(text);
                        let at = position(text, &refusal);
                        let early = Early { raw, refusal, statement: Some(name.to_owned()), portal: None };
                        return self.refuse_early(now, early, at, turn);
                    }
                }
            }
        };
        if self.before_batch(&what, &permit, &Request::Parse { name, text, types: types.clone() }, turn)
            == Passage::Wait
        {
            return;
        }
        let sealed = self.sealed(text);
        let prepared = Prepared { text: text.into(), sealed, what, types: types.as_slice().into(), held };
        let before = self.prepared.insert(name.to_owned(), prepared);
        self.pending.push_back(Pending::Parse { name: name.to_owned(), before, rewritten: None });
        self.forward(&Request::Parse { name, text, types }, &permit, turn);
    }

    fn bind(&mut self, now: Timestamp, bind: Bind<'_>, turn: &mut Turn) {
        let Some(statement) = self.prepared.get(bind.statement).cloned() else {
            let failure =
                Failure::new(Kind::Usage, format!("prepared statement \"{}\" does not exist", bind.statement));
            return self.fail_batch("26000", &failure, turn);
        };
        if self.portals.len() >= NAMES_MAX {
            return self.refuse_batch("53400", &too_many("portals"), None, turn);
        }
        if is_own_name(bind.portal) {
            return self.fail_batch("42P03", &own_name(bind.portal), turn);
        }
        if !self.unsynced
            && statement.what.redefines(0)
            && let Decision::Allow(permit) = self.judge(now, &statement.what)
            && self.before_batch(&statement.what, &permit, &Request::Bind(bind.clone()), turn) == Passage::Wait
        {
            return;
        }
        let raw = self.bound_text(&statement, &bind);
        let (what, types) = (Arc::clone(&statement.what), Arc::clone(&statement.types));
        let hold = match self.returned(&statement, &bind) {
            Some((Action::Deny, reason)) => {
                let refusal = self.judge(now, &statement.what).and_deny(reason);
                let early = Early { raw, refusal, statement: None, portal: Some(bind.portal.to_owned()) };
                return self.refuse_early(now, early, None, turn);
            }
            Some((Action::Hold, reason)) => Some(reason),
            Some((Action::Observe | Action::Allow, _)) | None => None,
        };
        let values = (statement.held || hold.is_some())
            .then(|| bind.values.iter().map(|value| value.map(<[u8]>::to_vec)).collect());
        let portal = Arc::new(Portal {
            statement,
            raw,
            values,
            binary: bind.value_formats.contains(&1),
            hold,
            columns: std::sync::OnceLock::new(),
            described: AtomicBool::new(false),
        });
        let name = bind.portal.to_owned();
        let before = self.portals.insert(name.clone(), portal);
        self.pending.push_back(Pending::Bind { portal: name, before });
        match self.looked_up(&what, &types, &bind) {
            Some(bytes) => self.pass(&Request::Bind(Bind { values: bind.values.replaced(&bytes), ..bind }), turn),
            None => self.pass(&Request::Bind(bind), turn),
        }
    }

    /// A statement's text together with the values that are bound to it.
    fn bound_text(&self, statement: &Prepared, bind: &Bind<'_>) -> RawText {
        let values = bind.values.iter().map(|value| value.unwrap_or(b"\0NULL"));
        let hmac = self.hmac(std::iter::once(&*statement.text).chain(values));
        RawText { hmac, sealed: statement.sealed.clone() }
    }

    /// The values that are bound to a statement, with pseudonyms for those by which something is looked up in masking
    /// views; nothing when they can stay.
    fn looked_up(&self, what: &Understood, types: &[u32], bind: &Bind<'_>) -> Option<Vec<u8>> {
        if self.setup.duty == Duty::Watch {
            return None;
        }
        let found = self.setup.engine.looked_up(what, &self.scope, parameters(types, bind)).values;
        let values = bind.values.iter().enumerate();
        let values = values.map(|(index, value)| found.get(&index).map(Vec::as_slice).or(value));
        (!found.is_empty()).then(|| Values::written(values))
    }

    /// What the values are that are bound to a statement, when masks made them.
    fn returned(&self, statement: &Prepared, bind: &Bind<'_>) -> Option<(Action, Reason)> {
        let values = parameters(&statement.types, bind);
        self.setup.engine.bound(&self.setup.grant, &statement.what, &self.scope, values)
    }

    fn describe(&mut self, target: Target, name: &str, turn: &mut Turn) {
        let portal = match target {
            Target::Statement => None,
            Target::Portal => self.portals.get(name).cloned(),
        };
        if let Some(portal) = &portal {
            portal.described.store(true, Ordering::Relaxed);
        }
        self.pending.push_back(Pending::Describe { portal, shown: true });
        self.pass(&Request::Describe { target, name }, turn);
    }

    fn execute(&mut self, now: Timestamp, name: &str, rows_max: u32, turn: &mut Turn) {
        if let Some(failure) = self.unrecordable.clone() {
            self.unread(now, turn);
            return self.refuse_batch(UNRECORDABLE, &failure, None, turn);
        }
        let Some(portal) = self.portals.get(name).cloned() else {
            let failure = Failure::new(Kind::Usage, format!("portal \"{name}\" does not exist"));
            return self.fail_batch("34000", &failure, turn);
        };
        let what = Arc::clone(&portal.statement.what);
        let text = Arc::clone(&portal.statement.text);
        let (values, hold) = (portal.values.as_deref(), portal.hold.as_ref());
        let case = Case { what: &what, text: &text, values, hold, raw: &portal.raw };
        match self.decide(now, case, turn) {
            Decision::Allow(permit) if self.wants_estimate(&permit) => {
                let request = Request::Execute { portal: name, rows_max };
                self.ask_planner(case, portal.binary, &request, turn);
            }
            Decision::Allow(permit) => {
                let request = Request::Execute { portal: name, rows_max };
                if self.before_execute(&what, &permit, &request, turn) == Passage::Wait {
                    return;
                }
                // Rows are masked by what the database says of them. A client that did not ask is not the reason not to.
                if self.describes() && !portal.described.swap(true, Ordering::Relaxed) {
                    self.pending.push_back(Pending::Describe { portal: Some(Arc::clone(&portal)), shown: false });
                    self.pass(&Request::Describe { target: Target::Portal, name }, turn);
                }
                let run = Box::new(self.start(now, &what, &portal.raw, &permit, turn));
                self.pending.push_back(Pending::Execute { run, portal });
                self.batch_executed |= self.status == Transaction::Idle;
                self.forward(&request, &permit, turn);
            }
            Decision::Hold(refusal) | Decision::Deny(refusal) => {
                let request = Request::Execute { portal: name, rows_max };
                if self.parks(&refusal, &request, turn) {
                    return;
                }
                if refusal.verdict == Verdict::Hold && self.asks() {
                    return self.hold(now, case, &refusal, &request, turn);
                }
                self.turned_away(now, &portal.raw, &refusal, turn);
                self.refuse_batch(sqlstate(&refusal), &failure(&refusal), position(&text, &refusal), turn);
            }
        }
    }

    fn close_name(&mut self, target: Target, name: &str, turn: &mut Turn) {
        let before = match target {
            Target::Statement => Closed::Statement(self.prepared.remove(name)),
            Target::Portal => Closed::Portal(self.portals.remove(name)),
        };
        self.pending.push_back(Pending::Close { target, name: name.to_owned(), before });
        self.pass(&Request::Close { target, name }, turn);
    }

    fn sync(&mut self, now: Timestamp, turn: &mut Turn) {
        self.skipping = false;
        self.fallen = None;
        self.settle_early(now, turn);
        if self.copying_in {
            // The server ignores a Sync while it reads COPY data (manual, section "COPY Operations").
            return;
        }
        self.batch_executed = false;
        self.pending.push_back(Pending::Sync);
        self.pass(&Request::Sync, turn);
    }

    /// Passes COPY data on, up to where a value stands that a mask made: then the copy fails as a whole.
    fn copy_data(&mut self, data: &[u8], turn: &mut Turn) {
        if self.copy_refused || !self.expects_copy_data() {
            return;
        }
        // A value may stand in two messages.
        let (head, _) = data.split_at_checked(COPY_OVERLAP).unwrap_or((data, &[]));
        self.copy_tail.extend_from_slice(head);
        let engine = &self.setup.engine;
        let reason = engine.copied_in(&self.copy_tail).or_else(|| engine.copied_in(data));
        let reason = reason.or_else(|| self.brought(data, false));
        if let Some(tail) = data.len().checked_sub(COPY_OVERLAP).and_then(|at| data.get(at..)) {
            self.copy_tail.clear();
            self.copy_tail.extend_from_slice(tail);
        } else {
            self.copy_tail.drain(..self.copy_tail.len().saturating_sub(COPY_OVERLAP));
        }
        match reason {
            None => self.pass(&Request::CopyData(data), turn),
            Some(reason) => {
                self.copy_end(&Request::CopyFail { reason: reason.message.as_bytes() }, turn);
                self.copy_refused = true;
            }
        }
    }

    /// Why COPY data may not be written, when a cell of their rows is a mask. Rows are looked at once they are whole, the
    /// last one at the end: what was passed on of them is lost with the copy.
    fn brought(&mut self, data: &[u8], ends: bool) -> Option<Reason> {
        let engine = Arc::clone(&self.setup.engine);
        let copy = self.copy_in.as_mut()?;
        copy.rest.extend_from_slice(data);
        if ends && copy.format != CopyFormat::Binary && copy.rest.last().is_some_and(|byte| *byte != b'\n') {
            copy.rest.push(b'\n');
        }
        // Half a row is not read again with each byte that is added to it.
        if !ends && copy.rest.len() < copy.enough {
            return None;
        }
        let mut rest = copy.rest.as_slice();
        let mut reason = None;
        let mut damaged = false;
        while reason.is_none() {
            match postgres::next_piece(&copy.format, rest, copy.first, &mut copy.row) {
                Ok(Some((piece, after))) => {
                    if let CopyPiece::Row(_) = piece {
                        reason = engine.brought(&copy.rows, copy.row.cells());
                    }
                    (rest, copy.first) = (after, false);
                }
                Ok(None) | Err(WireError::Short(_)) => break,
                Err(_) => {
                    // The database will refuse it.
                    damaged = true;
                    break;
                }
            }
        }
        let left = rest.len();
        copy.rest.drain(..copy.rest.len().saturating_sub(left));
        copy.enough = left.saturating_mul(2);
        if damaged || left > COPY_ROW_MAX {
            self.copy_in = None;
        }
        reason
    }

    fn copy_end(&mut self, request: &Request<'_>, turn: &mut Turn) {
        if self.expects_copy_data() && !self.copy_refused {
            let reason = matches!(request, Request::CopyDone).then(|| self.brought(&[], true)).flatten();
            self.copying_in = false;
            self.pending.push_back(Pending::CopyEnd);
            match &reason {
                Some(reason) => self.pass(&Request::CopyFail { reason: reason.message.as_bytes() }, turn),
                None => self.pass(request, turn),
            }
        }
    }

    /// COPY data has a meaning only while the database reads it, or may be about to.
    fn expects_copy_data(&self) -> bool {
        self.copying_in
            || self.pending.iter().any(|entry| match entry {
                Pending::Query(run) | Pending::Execute { run, .. } => run.what.copies_in(),
                Pending::Parse { .. }
                | Pending::Bind { .. }
                | Pending::Describe { .. }
                | Pending::Close { .. }
                | Pending::Sync
                | Pending::CopyEnd
                | Pending::Own(_)
                | Pending::Local { .. }
                | Pending::Poison { .. } => false,
            })
    }

    /// What the engine says when nobody has agreed to anything.
    pub(super) fn judge(&self, now: Timestamp, what: &Understood) -> Decision {
        let (engine, grant) = (&self.setup.engine, &self.setup.grant);
        match self.setup.duty {
            Duty::Enforce => engine.decide(now, grant, what, &self.scope),
            // Asking somebody is done at the other end.
            Duty::Watch => match engine.foresee(now, grant, what, &self.scope) {
                Decision::Hold(refusal) => match self.permit_to_prepare(now, what, &refusal) {
                    Some(permit) => Decision::Allow(permit),
                    None => Decision::Hold(refusal),
                },
                decided => decided,
            },
        }
    }

    /// Numbers a statement and records that it is about to be sent. What is written to the database from here on waits
    /// until that record is durable.
    fn start(
        &mut self,
        now: Timestamp,
        what: &Arc<Understood>,
        raw: &RawText,
        permit: &Permit,
        turn: &mut Turn,
    ) -> Run {
        self.setup.engine.runs(permit);
        self.copy_refused = false;
        self.copy_tail.clear();
        self.copy_in = self.copy_in(what);
        self.catch_up(now, turn);
        let id = self.next_id();
        let approval = self.released.take().map(|released| released.id);
        self.happened(
            now,
            Happening::StatementStarted(StatementStart {
                id,
                statement: Arc::clone(permit.statement()),
                raw_hmac: raw.hmac,
                sealed: raw.sealed.clone(),
                verdict: Verdict::Allow,
                rules: Arc::clone(permit.rules()),
                approval,
            }),
            turn,
        );
        turn.durable_first = turn.events.len();
        Run {
            id,
            what: Arc::clone(what),
            command: 0,
            masker: None,
            copy: None,
            share: None,
            started: now,
            rows: 0,
            bytes: 0,
            masked_columns: 0,
            masked_cells: 0,
            shown: Shown::default(),
            compares: match self.setup.duty {
                Duty::Enforce => Arc::clone(permit.compares()),
                Duty::Watch => Arc::default(),
            },
            error: None,
            opaque: permit.obligations().opaque,
            rewritten: None,
            approval,
            rows_max: permit.obligations().rows_max.filter(|_| self.setup.duty == Duty::Enforce),
            cut: None,
        }
    }

    /// What is to be known of the rows that a statement will ask the client for.
    fn copy_in(&self, what: &Understood) -> Option<CopyIn> {
        let rows = match self.setup.duty {
            Duty::Enforce => self.setup.engine.incoming(&self.setup.grant, what, &self.scope)?,
            Duty::Watch => return None,
        };
        let (format, _) = copy_format(rows.form.clone())?;
        Some(CopyIn { rows, format, first: true, row: CopyRow::default(), rest: Vec::new(), enough: 0 })
    }

    /// The number of the next statement that the client's end hands on. Both ends count the same ones, so that their
    /// accounts can be laid side by side.
    fn next_id(&mut self) -> StatementId {
        self.statements += 1;
        StatementId { stream: self.setup.stream, number: self.statements }
    }

    /// Records a refusal of what is no statement yet, or not for good. It has no number.
    pub(super) fn refused(&self, now: Timestamp, raw: &RawText, refusal: &Refusal, turn: &mut Turn) {
        self.not_run(now, StatementId { stream: self.setup.stream, number: 0 }, raw, refusal, turn);
    }

    /// Records that a statement does not run. Where it came from the other end it has a number in the account there, so
    /// it has one here; what the client's end refuses has none, because the gateway never sees it.
    pub(super) fn turned_away(&mut self, now: Timestamp, raw: &RawText, refusal: &Refusal, turn: &mut Turn) {
        match self.setup.duty {
            Duty::Enforce => {
                self.catch_up(now, turn);
                let id = self.next_id();
                self.not_run(now, id, raw, refusal, turn);
            }
            Duty::Watch => self.refused(now, raw, refusal, turn),
        }
    }

    /// Refuses what a batch prepares before it is executed. At the end that counts it is not on record yet: the Execute that
    /// mostly follows has a number in the account of the other end, and is the same statement.
    fn refuse_early(&mut self, now: Timestamp, early: Early, position: Option<usize>, turn: &mut Turn) {
        let refusal = &early.refusal;
        self.refuse_batch(sqlstate(refusal), &failure(refusal), position, turn);
        match self.setup.duty {
            Duty::Watch => self.refused(now, &early.raw, refusal, turn),
            Duty::Enforce => self.refused_early = Some(Box::new(early)),
        }
    }

    /// Nothing follows that would have executed what was refused early: it has no number.
    pub(super) fn settle_early(&mut self, now: Timestamp, turn: &mut Turn) {
        if let Some(early) = self.refused_early.take() {
            self.refused(now, &early.raw, &early.refusal, turn);
        }
    }

    /// A request came behind one that failed in its batch, and goes nowhere.
    fn dropped(&mut self, now: Timestamp, request: &Request<'_>, turn: &mut Turn) {
        match request {
            Request::Bind(bind) => {
                if let Some(early) = &mut self.refused_early
                    && early.statement.as_deref() == Some(bind.statement)
                {
                    early.portal = Some(bind.portal.to_owned());
                }
                self.bound_behind(bind);
            }
            Request::Execute { portal, .. } => {
                let is_early = |early: &mut Box<Early>| early.portal.as_deref() == Some(portal);
                let Some(early) = self.refused_early.take_if(is_early) else {
                    return match self.portal_of_fallen(portal) {
                        Some((what, raw)) => self.failed_before(now, &what, &raw, turn),
                        None => self.unread(now, turn),
                    };
                };
                self.catch_up(now, turn);
                let id = self.next_id();
                // The values that came with it were not read, and with them what both accounts are compared by.
                let raw = RawText { hmac: Digest::UNREAD, sealed: early.raw.sealed };
                self.not_run(now, id, &raw, &early.refusal, turn);
            }
            Request::Query { .. } => self.unread(now, turn),
            Request::Parse { name, text, types } => {
                if self.fallen.as_ref().is_some_and(|fallen| fallen.statements.len() < NAMES_MAX) {
                    let (what, sealed) = (self.setup.engine.understand(text), self.sealed(text));
                    let types = types.as_slice().into();
                    let prepared = Prepared { text: (*text).into(), sealed, what, types, held: false };
                    if let Some(fallen) = &mut self.fallen {
                        fallen.statements.push(((*name).to_owned(), prepared));
                    }
                }
            }
            Request::Describe { .. }
            | Request::Close { .. }
            | Request::Sync
            | Request::Flush
            | Request::CopyData(_)
            | Request::CopyDone
            | Request::CopyFail { .. }
            | Request::FunctionCall { .. }
            | Request::Terminate => {}
        }
    }

    /// Values came for a statement of a batch that has failed.
    fn bound_behind(&mut self, bind: &Bind<'_>) {
        let Some(fallen) = self.fallen.as_ref().filter(|fallen| fallen.portals.len() < NAMES_MAX) else { return };
        let named = fallen.statements.iter().rev().find(|(name, _)| name == bind.statement);
        let Some(statement) = named.map(|(_, prepared)| prepared).or_else(|| self.prepared.get(bind.statement)) else {
            return;
        };
        let raw = self.bound_text(statement, bind);
        let portal = (bind.portal.to_owned(), Arc::clone(&statement.what), raw);
        if let Some(fallen) = &mut self.fallen {
            fallen.portals.push(portal);
        }
    }

    /// What a portal stood for, or would have, in a batch that has failed.
    fn portal_of_fallen(&self, name: &str) -> Option<(Arc<Understood>, RawText)> {
        let fallen = self.fallen.as_ref()?;
        let named = fallen.portals.iter().rev().find(|(portal, ..)| portal == name);
        let known = || self.portals.get(name).map(|portal| (Arc::clone(&portal.statement.what), portal.raw.clone()));
        named.map(|(_, what, raw)| (Arc::clone(what), raw.clone())).or_else(known)
    }

    /// Records a statement that the database has refused before it was run: it was allowed, began, and failed.
    fn failed_before(&mut self, now: Timestamp, what: &Arc<Understood>, raw: &RawText, turn: &mut Turn) {
        if self.unrecordable.is_some() {
            return self.unread(now, turn);
        }
        let permit = match self.judge(now, what) {
            Decision::Allow(permit) => permit,
            // Nobody was asked yet, and nobody is.
            Decision::Hold(refusal) | Decision::Deny(refusal) => {
                match self.permit_to_prepare(now, what, &refusal).filter(|_| refusal.verdict == Verdict::Hold) {
                    Some(permit) => permit.for_preparing(),
                    None => return self.turned_away(now, raw, &refusal, turn),
                }
            }
        };
        let run = self.start(now, what, raw, &permit, turn);
        let Some(fallen) = &mut self.fallen else { return };
        let sqlstate = std::mem::replace(&mut fallen.sqlstate, *NEVER_RAN);
        self.ended(now, run, Outcome::Error { sqlstate }, turn);
    }

    fn not_run(&self, now: Timestamp, id: StatementId, raw: &RawText, refusal: &Refusal, turn: &mut Turn) {
        let (statement, rules) = (Arc::clone(&refusal.statement), Arc::clone(&refusal.rules));
        let (raw_hmac, sealed, verdict, approval) = (raw.hmac, raw.sealed.clone(), refusal.verdict, None);
        let start = StatementStart { id, statement, raw_hmac, sealed, verdict, rules, approval };
        self.happened(now, Happening::StatementStarted(start), turn);
    }

    /// A statement came that is not even read: behind one that failed in its batch, or while nothing can be put on
    /// record. The client's account has it, so it is counted, and recorded as soon as that is possible.
    fn unread(&mut self, now: Timestamp, turn: &mut Turn) {
        if self.setup.duty == Duty::Watch {
            return;
        }
        self.settle_early(now, turn);
        let id = self.next_id();
        if self.unread.len() < PENDING_MAX {
            self.unread.push(id);
        }
        self.catch_up(now, turn);
    }

    /// Records what was not read, if anything can be recorded now.
    pub(super) fn catch_up(&mut self, now: Timestamp, turn: &mut Turn) {
        if self.unread.is_empty() || self.unrecordable.is_some() {
            return;
        }
        let statement = Arc::new(Statement::unread());
        for id in std::mem::take(&mut self.unread) {
            let (statement, rules) = (Arc::clone(&statement), Arc::from([]));
            let (raw_hmac, sealed, verdict, approval) = (Digest::UNREAD, None, Verdict::Deny, None);
            let start = StatementStart { id, statement, raw_hmac, sealed, verdict, rules, approval };
            self.happened(now, Happening::StatementStarted(start), turn);
        }
    }

    /// Records that a statement was not sent, and warns that another one is sent in its place. That one comes next and is
    /// judged like any other.
    fn replaced(&mut self, now: Timestamp, raw: &RawText, refusal: &Refusal, position: Option<usize>, turn: &mut Turn) {
        self.refused(now, raw, refusal, turn);
        let Some(instead) = &refusal.instead else { return };
        let mut warning = failure(refusal);
        warning.message = format!("{}: sent instead was {instead}", refusal.reason.message);
        warning.hint = None;
        let mut bytes = Vec::new();
        postgres::notice(postgres::complaint(Severity::Warning, WARNING, &warning, position), &mut bytes);
        self.pending.push_back(Pending::Local { bytes, ready: false });
        self.settle_local(turn);
    }

    pub(super) fn complaint(&self, sqlstate: &str, failure: &Failure, position: Option<usize>) -> Complaint {
        let mut complaint = postgres::complaint(Severity::Error, sqlstate, failure, position);
        self.setup.engine.tidy(&mut complaint.fields);
        complaint
    }

    /// Answers a simple query or function call ourselves: an error, then readiness, when it is its turn.
    pub(super) fn refuse_query(&mut self, sqlstate: &str, failure: &Failure, position: Option<usize>, turn: &mut Turn) {
        self.answer_query(self.complaint(sqlstate, failure, position), turn);
    }

    pub(super) fn answer_query(&mut self, complaint: Complaint, turn: &mut Turn) {
        let mut bytes = Vec::new();
        postgres::error(complaint, &mut bytes);
        self.pending.push_back(Pending::Local { bytes, ready: true });
        self.settle_local(turn);
    }

    /// Answers a message of an extended-query batch ourselves: an error, and everything up to Sync is dropped.
    ///
    /// Outside a transaction block the batch is one transaction. Had the database refused, what ran before in the batch
    /// would be undone; so it is made to fail there too. Inside a block the block goes on: that is the point of refusing
    /// one statement instead of the connection.
    pub(super) fn refuse_batch(&mut self, sqlstate: &str, failure: &Failure, position: Option<usize>, turn: &mut Turn) {
        self.answer_batch(self.complaint(sqlstate, failure, position), turn);
    }

    pub(super) fn answer_batch(&mut self, complaint: Complaint, turn: &mut Turn) {
        let mut bytes = Vec::new();
        postgres::error(complaint, &mut bytes);
        if self.batch_executed {
            return self.poison(bytes, turn);
        }
        self.skipping = true;
        if !self.pending.is_empty() {
            // What was sent before is answered before; the database keeps its answers back until asked.
            self.pass(&Request::Flush, turn);
        }
        self.pending.push_back(Pending::Local { bytes, ready: false });
        self.settle_local(turn);
    }

    /// Answers a message that the database would not take either, in our words: what it leads to is the same, a
    /// transaction block that has failed included.
    fn fail_batch(&mut self, sqlstate: &str, failure: &Failure, turn: &mut Turn) {
        let mut bytes = Vec::new();
        postgres::error(self.complaint(sqlstate, failure, None), &mut bytes);
        self.poison(bytes, turn);
    }

    /// Sends a request that must fail; its error is replaced by these bytes.
    fn poison(&mut self, bytes: Vec<u8>, turn: &mut Turn) {
        self.skipping = true;
        self.pending.push_back(Pending::Poison { bytes });
        self.write(&Request::Parse { name: POISON, text: POISON.as_bytes(), types: Vec::new() }, turn);
    }

    /// Sends a statement, with the names of what the session sees through views led there. Only a permit opens this way.
    pub(super) fn forward(&mut self, request: &Request<'_>, _permit: &Permit, turn: &mut Turn) {
        match request {
            Request::Query { text } => {
                let Some(rewritten) = self.led_to_views(text) else { return self.write(request, turn) };
                self.write(&Request::Query { text: rewritten.text.as_bytes() }, turn);
                if let Some(Pending::Query(run)) = self.pending.back_mut() {
                    run.rewritten = Some(Box::new(rewritten));
                }
            }
            Request::Parse { name, text, types } => {
                let Some(led) = self.led_to_views(text) else { return self.write(request, turn) };
                self.write(&Request::Parse { name, text: led.text.as_bytes(), types: types.clone() }, turn);
                if let Some(Pending::Parse { rewritten, .. }) = self.pending.back_mut() {
                    *rewritten = Some(Box::new(led));
                }
            }
            Request::Bind(_)
            | Request::Describe { .. }
            | Request::Execute { .. }
            | Request::Close { .. }
            | Request::Sync
            | Request::Flush
            | Request::CopyData(_)
            | Request::CopyDone
            | Request::CopyFail { .. }
            | Request::FunctionCall { .. }
            | Request::Terminate => self.write(request, turn),
        }
    }

    pub(super) fn led_to_views(&self, text: &[u8]) -> Option<Rewritten> {
        match self.setup.duty {
            Duty::Enforce => self.setup.engine.rewritten(text, &self.scope),
            Duty::Watch => None,
        }
    }

    /// Sends a message that starts nothing by itself. A statement does not pass here.
    fn pass(&mut self, request: &Request<'_>, turn: &mut Turn) {
        match request {
            Request::Query { .. } | Request::Parse { .. } | Request::Execute { .. } | Request::FunctionCall { .. } => {}
            Request::Bind(_)
            | Request::Describe { .. }
            | Request::Close { .. }
            | Request::Sync
            | Request::Flush
            | Request::CopyData(_)
            | Request::CopyDone
            | Request::CopyFail { .. }
            | Request::Terminate => self.write(request, turn),
        }
    }

    fn write(&mut self, request: &Request<'_>, turn: &mut Turn) {
        self.block_is_new = false;
        match request {
            Request::Parse { .. }
            | Request::Bind(_)
            | Request::Describe { .. }
            | Request::Execute { .. }
            | Request::Close { .. } => self.unsynced = true,
            Request::Query { .. } | Request::Sync => self.unsynced = false,
            Request::Flush
            | Request::CopyData(_)
            | Request::CopyDone
            | Request::CopyFail { .. }
            | Request::FunctionCall { .. }
            | Request::Terminate => {}
        }
        request.write(&mut turn.to_database);
    }
}

/// The values that are bound to a statement, with their types as far as the client has named them.
fn parameters<'a>(types: &'a [u32], bind: &'a Bind<'_>) -> impl Iterator<Item = Parameter<'a>> {
    // One format may stand for all.
    let format = |index: usize| match bind.value_formats.as_slice() {
        [one] => *one,
        formats => formats.get(index).copied().unwrap_or(0),
    };
    bind.values.iter().enumerate().map(move |(index, value)| Parameter {
        value,
        binary: format(index) == 1,
        kind: types.get(index).copied().unwrap_or(0),
    })
}

/// The server takes COPY data, its end, and what it ignores meanwhile (manual, section "COPY Operations").
fn is_out_of_place_in_copy(request: &Request<'_>) -> bool {
    match request {
        Request::Query { .. }
        | Request::Parse { .. }
        | Request::Bind(_)
        | Request::Describe { .. }
        | Request::Execute { .. }
        | Request::Close { .. }
        | Request::FunctionCall { .. } => true,
        Request::Sync
        | Request::Flush
        | Request::CopyData(_)
        | Request::CopyDone
        | Request::CopyFail { .. }
        | Request::Terminate => false,
    }
}

fn too_many(what: &str) -> Failure {
    Failure::new(Kind::Limit, format!("this connection holds too many {what}"))
        .detail(format!("The limit is {NAMES_MAX}."))
        .hint("close those that are no longer used, or reconnect")
}

/// The code PostgreSQL would give; what it would have run gets `insufficient_privilege`.
fn sqlstate(refusal: &Refusal) -> &'static str {
    match refusal.reason.fault {
        Fault::Forbidden => "42501",
        Fault::Syntax => "42601",
        Fault::Encoding => "22021",
        Fault::TooLong => "54000",
        Fault::TooComplex => "54001",
        Fault::UnknownRelation => "42P01",
    }
}

/// What the person is told when the policy says no.
fn failure(refusal: &Refusal) -> Failure {
    let reason = &refusal.reason;
    let (kind, message) = match refusal.verdict {
        Verdict::Hold => (Kind::Pending, format!("this needs approval: {}", reason.message)),
        Verdict::Allow | Verdict::Deny => (Kind::Denied, reason.message.clone()),
    };
    let detail = reason.detail.as_ref().map_or_else(String::new, |detail| format!("{detail} "));
    let mut failure = Failure::new(kind, message).detail(format!("{detail}Rule: {}.", reason.rule));
    failure.hint.clone_from(&reason.hint);
    failure
}

/// The position field counts characters from 1.
fn position(text: &[u8], refusal: &Refusal) -> Option<usize> {
    let before = text.get(..refusal.reason.position?)?;
    Some(String::from_utf8_lossy(before).chars().count() + 1)
}
