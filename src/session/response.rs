//! Database → client: split, mask, pass on. Rows are written towards a client in `rows.rs` only, which takes a
//! [`Masked`].

use std::sync::Arc;

use super::ledger::Doom;
use super::rows::{deliver, deliver_run, is_copied_row, mask, mask_copied};
use super::{
    Closed, Closing, CopyOut, Duty, Fallen, NEVER_RAN, Pending, Portal, Run, Session, Setup, Task, Turn, WAITS,
    Waiting, copy_format,
};
use crate::domain::{Access, Failure, Happening, Kind, Outcome, Timestamp};
use crate::engine::{Masked, Masker, ResultColumn, Understood};
use crate::wire::buffer::{Frame, Piece, Reader, WireError, Writer};
use crate::wire::postgres::{self, CopyFormat, Format, Severity, Target, Transaction, tag};
use crate::wire::tunnel;

impl Session {
    /// Takes bytes from the database.
    #[expect(clippy::wrong_self_convention, reason = "where the bytes come from, not what they become")]
    pub(crate) fn from_database(&mut self, now: Timestamp, bytes: &[u8], turn: &mut Turn) {
        let mut frames = std::mem::take(&mut self.from_database);
        // What comes in goes out, nearly always: room for it is made once.
        turn.to_client.reserve(bytes.len());
        let mut chunk = frames.chunk(bytes);
        let outcome = loop {
            if self.closed {
                break Ok(());
            }
            let long = match chunk.next() {
                Err(error) => break Err(error),
                Ok(None) => break Ok(()),
                Ok(Some(Piece::Frame(frame))) => {
                    let tag = frame.tag;
                    let told = turn.to_client.len();
                    let muted = self.muted;
                    if let Err(error) = self.response(now, frame, turn) {
                        break Err(error);
                    }
                    if muted && self.muted {
                        turn.to_client.truncate(told);
                    }
                    // Rows that need no look go on together.
                    if tag == tag::DATA_ROW
                        && let Some((run, proof)) = self.clear_rows()
                        && let Some((raw, count)) = chunk.run(tag, u64::MAX)
                    {
                        run.rows = run.rows.saturating_add(count);
                        run.bytes = run.bytes.saturating_add(u64::try_from(raw.len()).unwrap_or(0));
                        deliver_run(raw, &proof, &mut turn.to_client);
                    } else if let Some(most) = self.together(tag)
                        && let Some((raw, _)) = chunk.run(tag, most)
                        && let Err(error) = self.mask_together(raw, turn)
                    {
                        break Err(error);
                    }
                    continue;
                }
                Ok(Some(Piece::Part(part))) => {
                    turn.to_client.extend_from_slice(part);
                    continue;
                }
                Ok(Some(Piece::Long { tag, length })) => (tag, length),
            };
            // A long row that needs no look goes through in parts; anything else is gathered first.
            match long {
                (tag::DATA_ROW, length) if self.clear_rows().is_some() => {
                    self.count_row(length);
                    chunk.stream(length);
                }
                (_, length) if length > postgres::REQUEST_MAX => {
                    break Err(WireError::Violation("a row is too long to be masked"));
                }
                _ => chunk.gather(),
            }
        };
        chunk.end();
        self.from_database = frames;
        if let Err(error) = outcome
            && !self.trips(now, turn)
        {
            self.violated(now, Closing::DatabaseFault, &error, turn);
        }
        self.resume(now, turn);
    }

    /// Ends the connection when a value of a masked column was about to go out as it is: on record with the column, and
    /// without the value. Nothing of its row has gone out.
    fn trips(&mut self, now: Timestamp, turn: &mut Turn) -> bool {
        let Some(Pending::Query(run) | Pending::Execute { run, .. }) = self.pending.front() else { return false };
        let Some(column) = run.masker.as_ref().and_then(Masker::tripped).map(str::to_owned) else { return false };
        let failure = tripped().detail(format!("It is one of `{column}`, and stands where nothing is masked."));
        self.happened(now, Happening::Tripped { last: run.id, column }, turn);
        let sqlstate = postgres::failure_sqlstate(failure.kind);
        self.close(now, Closing::Tripped, Some((sqlstate, &failure)), turn);
        true
    }

    /// Whether rows are masked here, for which the database must have described them.
    pub(super) fn describes(&self) -> bool {
        self.setup.duty == Duty::Enforce
    }

    fn response(&mut self, now: Timestamp, frame: Frame<'_>, turn: &mut Turn) -> Result<(), WireError> {
        match frame.tag {
            tag::DATA_ROW => return self.row(frame, turn),
            tunnel::BEAT if self.setup.duty == Duty::Watch => return Ok(()),
            // These three may come at any time.
            tag::NOTICE => return self.notice(frame, turn),
            tag::NOTIFICATION => return self.notification(frame, turn),
            tag::PARAMETER_STATUS => return self.parameter(frame, turn),
            tag::ERROR => return self.failed(now, frame, turn),
            tag::READY => return self.ready(now, frame, turn),
            _ => {}
        }
        if matches!(self.pending.front(), Some(Pending::Own(_))) {
            return self.own_response(now, frame, turn);
        }
        self.deliver_held(turn);
        let head = self.pending.front_mut().ok_or(WireError::Unexpected(frame.tag))?;
        let mut done = true;
        match (frame.tag, head) {
            (tag::PARSE_COMPLETE, Pending::Parse { name, .. }) => {
                if let Some(prepared) = self.prepared.get(name.as_str()) {
                    self.scope.prepare(name, &prepared.what);
                }
                turn.to_client.extend_from_slice(frame.raw);
            }
            (tag::BIND_COMPLETE, Pending::Bind { .. }) => turn.to_client.extend_from_slice(frame.raw),
            (tag::CLOSE_COMPLETE, Pending::Close { target, name, .. }) => {
                if *target == Target::Statement {
                    self.scope.close_prepared(name);
                }
                turn.to_client.extend_from_slice(frame.raw);
            }
            (tag::PARAMETER_DESCRIPTION, Pending::Describe { shown: true, .. }) => {
                turn.to_client.extend_from_slice(frame.raw);
                done = false;
            }
            (tag::ROW_DESCRIPTION, Pending::Describe { portal, shown }) => {
                if let Some(portal) = portal {
                    describe(portal, frame.body)?;
                }
                if *shown {
                    turn.to_client.extend_from_slice(frame.raw);
                }
            }
            (tag::NO_DATA, Pending::Describe { portal, shown }) => {
                if let Some(portal) = portal {
                    portal.columns.get_or_init(Vec::new);
                }
                if *shown {
                    turn.to_client.extend_from_slice(frame.raw);
                }
            }
            (tag::ROW_DESCRIPTION, Pending::Query(_)) => {
                self.begin_rows(frame.body)?;
                turn.to_client.extend_from_slice(frame.raw);
                done = false;
            }
            (tag::COMMAND_COMPLETE, Pending::Query(run)) => {
                tell_masked(&self.setup, &mut self.told_masked, run, turn);
                tell_compared(&self.setup, run, turn);
                completed(run, frame.body);
                let (what, command, opaque) = (Arc::clone(&run.what), run.command, run.opaque);
                run.command += 1;
                let rows_max = run.rows_max.filter(|_| run.cut.is_some() && run.error.is_none());
                if rows_max.is_some() {
                    run.error = Some(*CUT);
                }
                self.copying_in = false;
                self.follow(&what, command, opaque, turn);
                if let Some(rows_max) = rows_max {
                    self.cut_off(rows_max, turn);
                    return Ok(());
                }
                match &mut self.script {
                    Some(script) => script.held.extend_from_slice(frame.raw),
                    None => turn.to_client.extend_from_slice(frame.raw),
                }
                done = false;
            }
            (tag::EMPTY_QUERY, Pending::Query(_)) => {
                turn.to_client.extend_from_slice(frame.raw);
                done = false;
            }
            (tag::COMMAND_COMPLETE | tag::EMPTY_QUERY | tag::PORTAL_SUSPENDED, Pending::Execute { .. }) => {
                self.execution_done(now, frame, turn);
                return Ok(());
            }
            (tag::COPY_IN, Pending::Query(_) | Pending::Execute { .. }) => {
                self.copy_in_begins();
                turn.to_client.extend_from_slice(frame.raw);
                done = false;
            }
            (tag::COPY_OUT, Pending::Query(run) | Pending::Execute { run, .. }) => {
                let columns = postgres::copy_columns(frame.body)?;
                plan_copy(&self.setup, &self.scope, run, columns.len())?;
                turn.to_client.extend_from_slice(frame.raw);
                done = false;
            }
            (tag::COPY_DATA, Pending::Query(run) | Pending::Execute { run, .. }) => {
                let is_row = run.copy.as_mut().is_none_or(|copy| is_copied_row(copy, frame.body));
                if is_row && run.is_full() {
                    self.drain(frame.raw.len(), turn);
                    return Ok(());
                }
                run.rows += u64::from(is_row);
                if run.cut.is_none() {
                    let before = turn.to_client.len();
                    copy_data(frame, run, turn)?;
                    run.bytes = run.bytes.saturating_add(u64::try_from(turn.to_client.len() - before).unwrap_or(0));
                }
                done = false;
            }
            (tag::COPY_DONE, Pending::Query(run) | Pending::Execute { run, .. }) => {
                // An error takes its place when there was too much.
                if run.cut.is_none() {
                    turn.to_client.extend_from_slice(frame.raw);
                }
                done = false;
            }
            (other, _) => return Err(WireError::Unexpected(other)),
        }
        if done {
            self.pending.pop_front();
            self.settle_local(turn);
        }
        Ok(())
    }

    /// The CommandComplete that was kept back is followed by more: it was not the last.
    fn deliver_held(&mut self, turn: &mut Turn) {
        if let Some(script) = &mut self.script {
            turn.to_client.append(&mut script.held);
        }
    }

    /// An answer to a question of ours.
    fn own_response(&mut self, now: Timestamp, frame: Frame<'_>, turn: &mut Turn) -> Result<(), WireError> {
        match (frame.tag, self.pending.pop_front()) {
            (tag::COMMAND_COMPLETE, Some(Pending::Own(own))) if own.in_batch => self.answered(now, &own, turn),
            (
                tag::ROW_DESCRIPTION
                | tag::COMMAND_COMPLETE
                | tag::PARSE_COMPLETE
                | tag::BIND_COMPLETE
                | tag::CLOSE_COMPLETE,
                Some(head),
            ) => self.pending.push_front(head),
            (other, _) => return Err(WireError::Unexpected(other)),
        }
        Ok(())
    }

    /// A row of the statement at the head.
    fn row(&mut self, frame: Frame<'_>, turn: &mut Turn) -> Result<(), WireError> {
        if let Some(Pending::Own(own)) = self.pending.front_mut() {
            return Self::own_row(own, frame);
        }
        self.deliver_held(turn);
        self.begin_portal_rows()?;
        let Some(Pending::Query(run) | Pending::Execute { run, .. }) = self.pending.front_mut() else {
            return Err(WireError::Unexpected(frame.tag));
        };
        if run.is_full() {
            self.drain(frame.raw.len(), turn);
            return Ok(());
        }
        let before = turn.to_client.len();
        match &mut run.masker {
            Some(masker) => match masker.clear() {
                Some(proof) => {
                    run.rows += 1;
                    deliver(frame, &proof, &mut turn.to_client)?;
                }
                None => mask(&[frame], masker, &mut run.rows, &mut turn.to_client)?,
            },
            None => return Err(WireError::Violation("a row arrived without a description")),
        }
        run.bytes = run.bytes.saturating_add(u64::try_from(turn.to_client.len() - before).unwrap_or(0));
        Ok(())
    }

    /// A row more than the statement may return. A few are read to their end, so that the connection and the client's
    /// transaction go on; many are cancelled. What was sent behind the statement must not be hit by that: where
    /// there is something, everything is read.
    fn drain(&mut self, length: usize, turn: &mut Turn) {
        let mut behind = self.pending.iter().skip(1);
        let alone = behind.next().is_none_or(|next| matches!(next, Pending::Sync)) && behind.next().is_none();
        let Some(Pending::Query(run) | Pending::Execute { run, .. }) = self.pending.front_mut() else { return };
        let before = run.cut.unwrap_or(0);
        let drained = before.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
        run.cut = Some(drained);
        turn.cancel |= alone && before < DRAIN_MAX && drained >= DRAIN_MAX;
    }

    /// Before the first row of a portal: plan its masks from its description.
    fn begin_portal_rows(&mut self) -> Result<(), WireError> {
        let Some(Pending::Execute { run, portal }) = self.pending.front_mut() else { return Ok(()) };
        if run.masker.is_some() {
            return Ok(());
        }
        let empty = Vec::new();
        let columns = match (self.setup.duty, portal.columns.get()) {
            (_, Some(columns)) => columns,
            (Duty::Watch, None) => &empty,
            (Duty::Enforce, None) => return Err(WireError::Violation("a row arrived without a description")),
        };
        plan(&self.setup, &self.scope, run, columns);
        Ok(())
    }

    /// The description of the rows of a simple query.
    fn begin_rows(&mut self, body: &[u8]) -> Result<(), WireError> {
        let columns = result_columns(body)?;
        if let Some(Pending::Query(run)) = self.pending.front_mut() {
            run.settle();
            plan(&self.setup, &self.scope, run, &columns);
        }
        Ok(())
    }

    /// The statement at the head, when no cell of its rows needs a look.
    fn clear_rows(&mut self) -> Option<(&mut Run, Masked<'static>)> {
        // An error here shows again, and is dealt with, when the row is read.
        self.begin_portal_rows().ok()?;
        let Some(Pending::Query(run) | Pending::Execute { run, .. }) = self.pending.front_mut() else { return None };
        // Rows that are counted are looked at one by one.
        let proof = run.masker.as_ref().filter(|_| run.rows_max.is_none())?.clear()?;
        Some((run, proof))
    }

    fn count_row(&mut self, length: usize) {
        if let Some(Pending::Query(run) | Pending::Execute { run, .. }) = self.pending.front_mut() {
            run.rows += 1;
            run.bytes = run.bytes.saturating_add(u64::try_from(length).unwrap_or(0));
        }
    }

    fn execution_done(&mut self, now: Timestamp, frame: Frame<'_>, turn: &mut Turn) {
        self.copying_in = false;
        if let Some(Pending::Execute { run, .. }) = self.pending.front()
            && let Some(rows_max) = run.rows_max.filter(|_| run.cut.is_some())
        {
            self.cut_off(rows_max, turn);
            // What was sent behind it in the batch is answered by nobody, as after an error of the database's own.
            self.skipping = !self.pending.iter().any(|entry| matches!(entry, Pending::Sync));
            if let Some(Pending::Execute { run, .. }) = self.pending.pop_front() {
                self.ended(now, *run, Outcome::Error { sqlstate: *CUT }, turn);
            }
            return;
        }
        if let Some(Pending::Execute { run, .. }) = self.pending.front() {
            tell_masked(&self.setup, &mut self.told_masked, run, turn);
            tell_compared(&self.setup, run, turn);
        }
        turn.to_client.extend_from_slice(frame.raw);
        if let Some(Pending::Execute { mut run, .. }) = self.pending.pop_front() {
            completed(&mut run, frame.body);
            if frame.tag == tag::COMMAND_COMPLETE {
                let what = Arc::clone(&run.what);
                self.follow(&what, 0, run.opaque, turn);
            }
            self.ended(now, *run, Outcome::Ok, turn);
        }
        self.settle_local(turn);
    }

    /// The statement at the head returned more rows than so many, which is what it may.
    fn is_cut(&self) -> Option<u64> {
        let Some(Pending::Query(run) | Pending::Execute { run, .. }) = self.pending.front() else { return None };
        run.rows_max.filter(|_| run.cut.is_some() && run.error.is_none())
    }

    /// A statement returned more rows than it may: that is an error, and a transaction of ours goes with it.
    fn cut_off(&mut self, rows_max: u64, turn: &mut Turn) {
        let failure = Failure::new(Kind::Limit, format!("this returns more than {rows_max} rows"))
            .detail("More may not be read with one statement here. The rows before the error were sent.")
            .hint("add a LIMIT or a narrower condition");
        if let Some(script) = &mut self.script {
            script.held.clear();
        }
        if let Some(ledger) = self.ledger.as_mut().filter(|ledger| ledger.ours) {
            ledger.doomed = Some(Doom::Told);
        }
        let complaint = postgres::complaint(Severity::Error, &String::from_utf8_lossy(CUT), &failure, None);
        postgres::error(complaint, &mut turn.to_client);
        self.muted = true;
    }

    /// What changed for the session by a command that succeeded.
    fn follow(&mut self, what: &Understood, command: usize, opaque: bool, turn: &mut Turn) {
        if let Some(bound) = what.bound(command) {
            self.bound_moved(bound);
        }
        self.setup.engine.scope_after(what, command, &mut self.scope);
        if opaque {
            self.scope.ran_opaque_code(self.setup.engine.catalog().epoch);
        }
        if what.renames(command) {
            // SQL and the protocol share the names of prepared statements. What is on its way is not known yet.
            let (scope, pending) = (&self.scope, &self.pending);
            let on_its_way = |wanted: &str| {
                pending.iter().any(|entry| matches!(entry, Pending::Parse { name, .. } if name == wanted))
            };
            self.prepared.retain(|name, _| name.is_empty() || on_its_way(name) || scope.prepared(name).is_some());
        }
        if opaque || what.redefines(command) {
            turn.refresh = true;
        }
    }

    /// The database begins to read COPY data. A Sync that was sent behind the command and before the end of the data
    /// will be ignored by the server, and is not owed an answer.
    fn copy_in_begins(&mut self) {
        let end = self.pending.iter().position(|entry| matches!(entry, Pending::CopyEnd));
        self.copying_in = end.is_none();
        if matches!(&self.waiting, Some(Waiting::Answers(raw)) if raw.first() == Some(&b'S')) {
            self.waiting = None;
        }
        let end = end.unwrap_or(self.pending.len());
        let mut index = 0;
        self.pending.retain(|entry| {
            let keep = index >= end || !matches!(entry, Pending::Sync);
            index += 1;
            keep
        });
    }

    fn failed(&mut self, now: Timestamp, frame: Frame<'_>, turn: &mut Turn) -> Result<(), WireError> {
        let mut complaint = postgres::diagnosis(frame.body)?;
        let sqlstate = complaint.sqlstate();
        self.farewell = complaint.field(b'V').or_else(|| complaint.field(b'S')) == Some("FATAL");
        self.copying_in = false;
        if !matches!(self.pending.front(), Some(Pending::Own(_))) {
            self.deliver_held(turn);
        }
        if let Some(rows_max) = self.is_cut() {
            // Whatever ended it, most likely we: the client learns that it asked for too much.
            self.cut_off(rows_max, turn);
            match self.pending.front_mut() {
                Some(Pending::Query(run)) => run.error = Some(*CUT),
                _ => self.drop_batch(now, Some(*CUT), turn),
            }
            return Ok(());
        }
        self.point_into_the_clients_text(&mut complaint.fields);
        match self.pending.front_mut() {
            Some(Pending::Query(run)) => {
                run.error = Some(sqlstate);
                let what = Arc::clone(&run.what);
                self.redact(Some(&what), &mut complaint.fields);
            }
            Some(Pending::Poison { bytes }) => {
                turn.to_client.append(bytes);
                self.drop_batch(now, None, turn);
                return Ok(());
            }
            Some(Pending::Own(own)) if own.in_batch => {
                self.question_failed(now, turn);
                return Ok(());
            }
            Some(Pending::Own(own)) => {
                own.error = Some(sqlstate);
                if own.task != Task::Commit {
                    return Ok(());
                }
                // What the constraints that are checked at the end say is the client's to know.
                if let Some(script) = &mut self.script {
                    script.held.clear();
                }
                self.redact(None, &mut complaint.fields);
            }
            // Nobody asked: the server is about to end the connection (shutdown, terminated, idle timeout).
            None | Some(Pending::Sync) => self.redact(None, &mut complaint.fields),
            Some(Pending::Execute { run, .. }) => {
                let what = Arc::clone(&run.what);
                self.redact(Some(&what), &mut complaint.fields);
                self.fell(*NEVER_RAN);
                self.drop_batch(now, Some(sqlstate), turn);
            }
            Some(
                Pending::Parse { .. }
                | Pending::Bind { .. }
                | Pending::Describe { .. }
                | Pending::Close { .. }
                | Pending::CopyEnd
                | Pending::Local { .. },
            ) => {
                self.redact(None, &mut complaint.fields);
                self.fell(sqlstate);
                self.drop_batch(now, Some(sqlstate), turn);
            }
        }
        if sqlstate == *READ_ONLY && self.makes_own_tables() {
            complaint.fields.retain(|(code, _)| *code != b'H');
            complaint.fields.push((b'H', OWN_TABLES.to_owned()));
        }
        postgres::error(complaint, &mut turn.to_client);
        Ok(())
    }

    /// Keeps what a batch has prepared that fails here, for what is still to come of it. `sqlstate` is how the next
    /// statement of it ended.
    fn fell(&mut self, sqlstate: [u8; 5]) {
        if self.setup.duty == Duty::Watch {
            return;
        }
        let mut fallen = Fallen { sqlstate, statements: Vec::new(), portals: Vec::new() };
        for entry in self.pending.iter().take_while(|entry| !matches!(entry, Pending::Sync)) {
            match entry {
                Pending::Parse { name, .. } => {
                    let prepared = self.prepared.get(name).cloned();
                    fallen.statements.extend(prepared.map(|prepared| (name.clone(), prepared)));
                }
                Pending::Bind { portal: name, .. } => {
                    let portal = self.portals.get(name);
                    let kept =
                        |portal: &Arc<Portal>| (name.clone(), Arc::clone(&portal.statement.what), portal.raw.clone());
                    fallen.portals.extend(portal.map(kept));
                }
                Pending::Describe { .. }
                | Pending::Execute { .. }
                | Pending::Query(_)
                | Pending::Close { .. }
                | Pending::Sync
                | Pending::CopyEnd
                | Pending::Own(_)
                | Pending::Local { .. }
                | Pending::Poison { .. } => {}
            }
        }
        self.fallen = Some(Box::new(fallen));
    }

    /// A position in what was sent in the place of a text is led back into that text.
    fn point_into_the_clients_text(&self, fields: &mut [(u8, String)]) {
        let rewritten = self.pending.front().and_then(|entry| match entry {
            Pending::Query(run) => run.rewritten.as_deref(),
            Pending::Parse { rewritten, .. } => rewritten.as_deref(),
            Pending::Bind { .. }
            | Pending::Describe { .. }
            | Pending::Execute { .. }
            | Pending::Close { .. }
            | Pending::Sync
            | Pending::CopyEnd
            | Pending::Own(_)
            | Pending::Local { .. }
            | Pending::Poison { .. } => None,
        });
        let Some(rewritten) = rewritten else { return };
        for (_, field) in fields.iter_mut().filter(|(code, _)| *code == b'P') {
            if let Ok(position) = field.parse() {
                *field = rewritten.position(position).to_string();
            }
        }
    }

    /// After an error in an extended-query batch the server ignores everything up to Sync: what was sent is not owed
    /// an answer, and the names it would have changed stand as before.
    pub(super) fn drop_batch(&mut self, now: Timestamp, sqlstate: Option<[u8; 5]>, turn: &mut Turn) {
        let end = self.pending.iter().position(|entry| matches!(entry, Pending::Sync)).unwrap_or(self.pending.len());
        if end == self.pending.len() {
            // The Sync has not been sent yet: what comes before it would be ignored over there.
            self.skipping = true;
        }
        let dropped: Vec<Pending> = self.pending.drain(..end).collect();
        let mut first = true;
        let mut runs = Vec::new();
        for entry in dropped.into_iter().rev() {
            match entry {
                Pending::Parse { name, before, rewritten: _ } => restore(&mut self.prepared, name, before),
                Pending::Bind { portal, before } => restore(&mut self.portals, portal, before),
                Pending::Close { target: Target::Statement, name, before: Closed::Statement(Some(before)) } => {
                    self.prepared.insert(name, before);
                }
                Pending::Close { target: Target::Portal, name, before: Closed::Portal(Some(before)) } => {
                    self.portals.insert(name, before);
                }
                Pending::Execute { run, .. } | Pending::Query(run) => runs.push(run),
                Pending::Close { .. }
                | Pending::Describe { .. }
                | Pending::Sync
                | Pending::CopyEnd
                | Pending::Own(_)
                | Pending::Local { .. }
                | Pending::Poison { .. } => {}
            }
        }
        // The one at the head failed with the error at hand; those behind it never ran, which is the server's 25P02
        // in all but name.
        for run in runs.into_iter().rev() {
            let sqlstate = if std::mem::take(&mut first) { sqlstate.unwrap_or(*NEVER_RAN) } else { *NEVER_RAN };
            self.ended(now, *run, Outcome::Error { sqlstate }, turn);
        }
    }

    fn ready(&mut self, now: Timestamp, frame: Frame<'_>, turn: &mut Turn) -> Result<(), WireError> {
        let status = Transaction::parse(frame.body).ok_or(WireError::Violation("an unknown transaction status"))?;
        while matches!(self.pending.front(), Some(Pending::CopyEnd)) {
            self.pending.pop_front();
        }
        self.muted = false;
        self.waits_for = None;
        let began = (self.status, status) == (Transaction::Idle, Transaction::Open);
        (self.status, self.in_block, self.copying_in) = (status, status != Transaction::Idle, false);
        match self.pending.pop_front() {
            Some(Pending::Own(own)) if !own.in_batch => {
                self.answered(now, &own, turn);
                return Ok(());
            }
            Some(Pending::Query(run)) => {
                // What begins a transaction stands alone in what was sent.
                self.block_is_new =
                    began && self.pending.is_empty() && (self.script.is_some() || run.what.commands.len() == 1);
                if let Some(script) = &mut self.script {
                    script.run = Some(run);
                    // Nothing is owed for the end of COPY data, and a question of ours comes next.
                    while matches!(self.pending.front(), Some(Pending::CopyEnd)) {
                        self.pending.pop_front();
                    }
                    self.step_script(now, turn);
                    return Ok(());
                }
                let outcome = run.error.map_or(Outcome::Ok, |sqlstate| Outcome::Error { sqlstate });
                self.ended(now, *run, outcome, turn);
            }
            Some(Pending::Sync) => {}
            _ => return Err(WireError::Unexpected(frame.tag)),
        }
        if self.closes_transaction(now, turn) {
            return Ok(());
        }
        if status == Transaction::Idle {
            self.ledger = None;
            self.scope.idle();
            // Portals live no longer than their transaction (manual, section "Extended Query").
            self.forget_portals();
        }
        turn.to_client.extend_from_slice(frame.raw);
        self.settle_local(turn);
        Ok(())
    }

    /// Portals that no request on its way mentions are gone with the transaction.
    pub(super) fn forget_portals(&mut self) {
        if self.pending.is_empty() {
            self.portals.clear();
        }
    }

    /// Sends answers of ours whose turn has come.
    pub(super) fn settle_local(&mut self, turn: &mut Turn) {
        loop {
            match self.pending.front_mut() {
                Some(Pending::CopyEnd) => {
                    self.pending.pop_front();
                }
                Some(Pending::Local { bytes, ready }) => {
                    turn.to_client.append(bytes);
                    if *ready {
                        postgres::ready_for_query(self.status, &mut turn.to_client);
                    }
                    self.pending.pop_front();
                }
                _ => return,
            }
        }
    }

    fn notice(&mut self, frame: Frame<'_>, turn: &mut Turn) -> Result<(), WireError> {
        let mut complaint = postgres::diagnosis(frame.body)?;
        if self.setup.duty == Duty::Watch {
            let waits = complaint.field(postgres::APPROVAL).filter(|_| complaint.sqlstate() == *WAITS.as_bytes());
            self.waits_for = waits.and_then(|id| id.parse().ok()).or(self.waits_for);
            turn.to_client.extend_from_slice(frame.raw);
            return Ok(());
        }
        let what = match self.pending.front() {
            Some(Pending::Query(run) | Pending::Execute { run, .. }) => Some(Arc::clone(&run.what)),
            _ => None,
        };
        self.redact(what.as_deref(), &mut complaint.fields);
        postgres::notice(complaint, &mut turn.to_client);
        Ok(())
    }

    /// A notification carries text from another session: its payload is treated like a message.
    fn notification(&self, frame: Frame<'_>, turn: &mut Turn) -> Result<(), WireError> {
        let mut body = Reader::new(frame.body);
        let process = body.u32("process")?;
        let channel = body.text()?;
        let payload = body.text()?;
        body.finish()?;
        let mut fields = vec![(b'M', payload.to_owned())];
        self.redact(None, &mut fields);
        let payload = fields.first().map(|(_, text)| text.as_str()).unwrap_or_default();
        Writer::message(&mut turn.to_client, tag::NOTIFICATION).u32(process).text(channel).text(payload);
        Ok(())
    }

    /// A changed parameter. Two of them change what a text means; the engine reads texts as if they were never
    /// changed, so a session in which they are must not go on. Neither must one for reading in which writing was
    /// switched on, by whatever code.
    fn parameter(&mut self, frame: Frame<'_>, turn: &mut Turn) -> Result<(), WireError> {
        let mut body = Reader::new(frame.body);
        let (name, value) = (body.text()?, body.text()?);
        body.finish()?;
        match (name, value) {
            ("standard_conforming_strings", value) if value != "on" => {
                Err(WireError::Violation("standard_conforming_strings was switched off"))
            }
            // Servers since 14 report it; before, only the rules stand between.
            ("default_transaction_read_only", value) if value != "on" && self.setup.grant.access == Access::Read => {
                Err(WireError::Violation("a session for reading was made to write"))
            }
            ("client_encoding", value) if !value.eq_ignore_ascii_case("utf8") => {
                Err(WireError::Violation("client_encoding was changed"))
            }
            _ => {
                if name == "search_path" {
                    self.scope.search_path_is(value);
                }
                turn.to_client.extend_from_slice(frame.raw);
                Ok(())
            }
        }
    }

    fn redact(&self, what: Option<&Understood>, fields: &mut Vec<(u8, String)>) {
        match self.setup.duty {
            Duty::Enforce => self.setup.engine.redact(&self.setup.grant, what, &self.scope, fields),
            Duty::Watch => {}
        }
    }
}

/// Bytes of rows beyond the limit that are read before the rest is cancelled: about what is on its way already.
const DRAIN_MAX: u64 = 256 * 1024;

/// `read_only_sql_transaction`
const READ_ONLY: &[u8; 5] = b"25006";

/// What is said to it where temporary tables can be made.
const OWN_TABLES: &str =
    "make and drop temporary tables outside a transaction block, or first in one that began with a BEGIN of its own";

/// `configuration_limit_exceeded`: a statement returned more rows than it may.
const CUT: &[u8; 5] = b"53400";

/// What the connections of a session are told in which a masked value was about to leave as it is.
pub(crate) fn tripped() -> Failure {
    Failure::new(Kind::Denied, "a masked value was about to leave as it is, and the session has ended")
        .hint("tell whoever runs the gateway: the record names statement and column")
}

fn plan(setup: &super::Setup, scope: &crate::engine::Scope, run: &mut Run, columns: &[ResultColumn]) {
    run.masker = Some(match setup.duty {
        Duty::Enforce => setup.engine.masker(&setup.grant, &run.what, run.command, scope, columns),
        Duty::Watch => setup.engine.watcher(),
    });
}

/// Plans the masks of COPY … TO STDOUT.
fn plan_copy(
    setup: &super::Setup,
    scope: &crate::engine::Scope,
    run: &mut Run,
    columns: usize,
) -> Result<(), WireError> {
    let planned = match setup.duty {
        Duty::Enforce => setup.engine.copier(&setup.grant, &run.what, run.command, scope, columns),
        Duty::Watch => setup.engine.copies(&run.what, run.command).map(|form| (setup.engine.watcher(), form)),
    };
    let (masker, form) = planned.ok_or(WireError::Violation("COPY data that nobody asked for"))?;
    let (format, header) = match copy_format(form) {
        Some(known) => known,
        None if masker.clear().is_some() => (CopyFormat::Binary, false),
        None => return Err(WireError::Violation("COPY data in a form that cannot be masked")),
    };
    run.masker = Some(masker);
    run.copy = Some(CopyOut { format, first: true, names: header, header, rows: Default::default() });
    Ok(())
}

/// Sends COPY data on, its rows masked.
fn copy_data(frame: Frame<'_>, run: &mut Run, turn: &mut Turn) -> Result<(), WireError> {
    let masker = run.masker.as_mut().ok_or(WireError::Unexpected(frame.tag))?;
    if let Some(proof) = masker.clear() {
        deliver_run(frame.raw, &proof, &mut turn.to_client);
        return Ok(());
    }
    let copy = run.copy.as_mut().ok_or(WireError::Unexpected(frame.tag))?;
    mask_copied(frame, masker, copy, &mut turn.to_client)
}

fn describe(portal: &Portal, body: &[u8]) -> Result<(), WireError> {
    let columns = result_columns(body)?;
    // A second Describe of the same portal says the same.
    portal.columns.get_or_init(|| columns);
    Ok(())
}

fn result_columns(body: &[u8]) -> Result<Vec<ResultColumn>, WireError> {
    Ok(postgres::columns(body)?
        .into_iter()
        .map(|column| ResultColumn {
            name: column.name,
            table: column.table,
            attribute: column.attribute,
            kind: column.kind,
            modifier: column.modifier,
            binary: column.format == Format::Binary,
        })
        .collect())
}

/// The SQLSTATE of the notice that masks were compared: class 01 is for warnings, the rest is ours.
const COMPARED: &str = "01GOM";

/// Says of each column once in a session that masks of it were compared: what looks for a part of a value finds
/// nothing, which would look like an answer.
fn tell_compared(setup: &Setup, run: &Run, turn: &mut Turn) {
    if run.compares.is_empty() {
        return;
    }
    for compared in setup.engine.untold(&run.compares) {
        let notice = Failure::new(Kind::Usage, compared.message())
            .detail(compared.detail())
            .hint(format!("connect with --reveal {} to work with its values", compared.column));
        postgres::notice(postgres::complaint(Severity::Notice, COMPARED, &notice, None), &mut turn.to_client);
    }
}

/// Tells a client that asked for it which columns of the result at its end were masked, unless it is what it was told
/// last.
fn tell_masked(setup: &Setup, told: &mut String, run: &Run, turn: &mut Turn) {
    if !setup.tells_masked {
        return;
    }
    let columns = run.masker.iter().flat_map(Masker::masked).map(|index| (index + 1).to_string());
    let columns = columns.collect::<Vec<_>>().join(",");
    if *told != columns {
        postgres::parameter_status(postgres::MASKED_COLUMNS, &columns, &mut turn.to_client);
        *told = columns;
    }
}

fn completed(run: &mut Run, body: &[u8]) {
    run.settle();
    // Rows that were seen count as seen; the tag counts those that were only changed.
    if run.rows == 0 {
        run.rows = postgres::rows_of_tag(body).unwrap_or(0);
    }
}

fn restore<V>(map: &mut std::collections::HashMap<String, V>, name: String, before: Option<V>) {
    match before {
        Some(before) => map.insert(name, before),
        None => map.remove(&name),
    };
}
