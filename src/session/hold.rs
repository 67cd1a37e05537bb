//! Statements that wait in place for a second person: nothing of them has been sent, nothing behind them is read, and
//! when somebody agrees the very same bytes run, in the same transaction.
//!
//! Who is asked, and what they say, is for whoever runs the session: it gets a [`Plea`] and answers with
//! [`Session::held`], then [`Session::approved`] or [`Session::not_approved`].

use std::collections::BTreeSet;
use std::sync::Arc;

use ring::digest;

use super::transaction::raw;
use super::{Duty, Held, Inquiry, RawText, Released, Session, Turn, Waiting};
use crate::domain::{ApprovalId, Digest, Executed, Failure, Kind, Outcome, Reason, Statement, Timestamp};
use crate::engine::{Audit, Decision, Permit, Refusal, Understood};
use crate::wire::postgres::{self, Request, Severity};

/// The SQLSTATE of the notice that a statement waits: class 01 is for warnings, the rest is ours.
pub(crate) const WAITS: &str = "01GOV";

/// What a session says to those who decide.
#[derive(Debug)]
pub(crate) enum Plea {
    Ask(Box<Ask>),
    /// Nobody waits for the answer any more.
    Withdraw,
    /// What was approved ran, or not.
    Ended {
        id: ApprovalId,
        executed: Executed,
    },
}

/// A statement that needs somebody's approval.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    /// For the record, and for whoever decides.
    pub(crate) statement: Arc<Statement>,
    pub(crate) text: Vec<u8>,
    /// The values bound to it, as the client sent them.
    pub(crate) values: Vec<Option<Vec<u8>>>,
    /// Why it is held.
    pub(crate) reason: Reason,
    /// Digest of everything the answer is good for.
    pub(crate) binding: Digest,
    pub(crate) search_path: Vec<String>,
    /// What it may change; `None` where nothing can be rolled back.
    pub(crate) audit: Option<Audit>,
    /// Code runs in it that nobody reviewed.
    pub(crate) opaque: bool,
    /// It runs within a transaction of the client's own.
    pub(crate) in_block: bool,
}

/// A statement as its approval sees it.
#[derive(Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) what: &'a Understood,
    pub(super) text: &'a [u8],
    /// Not kept where nobody expected the statement to be held; then the HMAC stands for them.
    pub(super) values: Option<&'a [Option<Vec<u8>>]>,
    /// Why the values themselves ask for approval.
    pub(super) hold: Option<&'a Reason>,
    pub(super) raw: &'a RawText,
}

impl Session {
    /// Whether there is somebody to ask.
    pub(super) fn asks(&self) -> bool {
        self.setup.duty == Duty::Enforce && self.setup.approvals
    }

    /// Decides about a statement, with the approval that was given for it if there is one. An approval of something
    /// else, be it by one byte, is of no use: it is stale, and the statement is judged like any other.
    pub(super) fn decide(&mut self, now: Timestamp, case: Case<'_>, turn: &mut Turn) -> Decision {
        if let Some(released) = &self.released {
            if released.binding == self.binding(case) {
                let rules = released.rules.iter().copied().collect();
                let (engine, grant) = (&self.setup.engine, &self.setup.grant);
                let decision = engine.decide_approved(now, grant, case.what, &self.scope, &rules);
                let covers = |reason: &Reason| released.rules.contains(&reason.rule);
                if let Decision::Allow(permit) = decision
                    && case.hold.is_none_or(covers)
                {
                    return self.weighed(permit, true);
                }
            }
            let id = released.id;
            self.released = None;
            turn.pleas.push(Plea::Ended { id, executed: Executed::Stale });
        }
        let decision = match self.judge(now, case.what) {
            Decision::Allow(permit) => self.weighed(permit, false),
            stopped => stopped,
        };
        // The end that only watches leaves asking to the other.
        match case.hold.filter(|_| self.setup.duty == Duty::Enforce) {
            Some(reason) => decision.and_hold(reason.clone()),
            None => decision,
        }
    }

    /// The decision by what the planner said, once it has.
    fn weighed(&self, permit: Permit, approved: bool) -> Decision {
        match self.estimated {
            Some(rows) => permit.weighed(rows, approved),
            None => Decision::Allow(permit),
        }
    }

    /// Whether a permit waits for what the planner says. The end that only watches leaves asking to the other.
    pub(super) fn wants_estimate(&self, permit: &Permit) -> bool {
        self.setup.duty == Duty::Enforce && permit.asks_estimate() && self.estimated.is_none()
    }

    /// Puts a statement aside until the planner has said how many rows it expects.
    pub(super) fn ask_planner(&mut self, case: Case<'_>, binary: bool, request: &Request<'_>, turn: &mut Turn) {
        self.waiting = Some(Waiting::Estimate(raw(request)));
        turn.estimate = Some(Box::new(self.question(case).filter(|_| !binary).unwrap_or_default()));
    }

    /// Of several commands, or of values nobody kept, nothing is asked.
    fn question(&self, case: Case<'_>) -> Option<Inquiry> {
        let [_] = case.what.commands.as_slice() else { return None };
        let led = self.led_to_views(case.text);
        let text = led.map_or_else(|| std::str::from_utf8(case.text).ok().map(str::to_owned), |led| Some(led.text))?;
        let value = |value: &Option<Vec<u8>>| value.clone().map(String::from_utf8).transpose().ok();
        let values = case.values?.iter().map(value).collect::<Option<_>>()?;
        Some(Inquiry { text: Some(text), values, search_path: self.scope.names().path().map(str::to_owned).collect() })
    }

    /// What the planner said: decides the request that waited for that, then what came behind it.
    pub(crate) fn estimated(&mut self, now: Timestamp, rows: Option<u64>, turn: &mut Turn) {
        let Some(Waiting::Estimate(raw)) = self.waiting.take_if(|waiting| matches!(waiting, Waiting::Estimate(_)))
        else {
            return;
        };
        self.estimated = Some(rows);
        self.request_again(now, &raw, turn);
    }

    /// The permit for a statement that will be held later: when it is executed, here, or at the other end. Preparing it,
    /// or handing it on to where it is held, runs nothing.
    pub(super) fn permit_to_prepare(&self, now: Timestamp, what: &Understood, refusal: &Refusal) -> Option<Permit> {
        let rules: BTreeSet<&str> = refusal.rules.iter().map(|(rule, _)| *rule).collect();
        match self.setup.engine.decide_approved(now, &self.setup.grant, what, &self.scope, &rules) {
            Decision::Allow(permit) => Some(permit),
            Decision::Hold(_) | Decision::Deny(_) => None,
        }
    }

    /// Puts a statement aside and asks. Everything sent before it is answered first: what is asked about, and said to
    /// the client, then stands in its place.
    pub(super) fn hold(
        &mut self,
        now: Timestamp,
        case: Case<'_>,
        refusal: &Refusal,
        request: &Request<'_>,
        turn: &mut Turn,
    ) {
        if !self.pending.is_empty() {
            return self.wait_for_answers(request, turn);
        }
        self.refused(now, case.raw, refusal, turn);
        let binding = self.binding(case);
        let permit = self.permit_to_prepare(now, case.what, refusal);
        let obligations = permit.map(|permit| permit.obligations()).unwrap_or_default();
        turn.pleas.push(Plea::Ask(Box::new(Ask {
            statement: Arc::clone(&refusal.statement),
            text: case.text.to_vec(),
            values: case.values.unwrap_or_default().to_vec(),
            reason: self.tidied(&refusal.reason),
            binding,
            search_path: self.scope.names().path().map(str::to_owned).collect(),
            audit: obligations.audit.filter(|_| !obligations.alone),
            opaque: obligations.opaque,
            in_block: self.in_block,
        })));
        let rules = refusal.rules.iter().map(|(rule, _)| *rule).collect();
        let (request, raw, refusal) = (raw(request), case.raw.clone(), refusal.clone());
        self.waiting = Some(Waiting::Approval(Box::new(Held { request, binding, rules, raw, refusal })));
    }

    /// The same reason without what looks like a value, for others than the client to read.
    fn tidied(&self, reason: &Reason) -> Reason {
        let mut reason = reason.clone();
        let texts = [Some(&mut reason.message), reason.detail.as_mut(), reason.hint.as_mut()];
        for text in texts.into_iter().flatten() {
            let mut fields = [(b'M', std::mem::take(text))];
            self.setup.engine.tidy(&mut fields);
            let [(_, tidied)] = fields;
            *text = tidied;
        }
        reason
    }

    /// Tells the client that its statement waits, and for whom.
    pub(crate) fn held(&mut self, notice: &Failure, id: ApprovalId, turn: &mut Turn) {
        if matches!(self.waiting, Some(Waiting::Approval(_))) {
            let mut complaint = postgres::complaint(Severity::Notice, WAITS, notice, None);
            complaint.fields.push((postgres::APPROVAL, id.to_string()));
            postgres::notice(complaint, &mut turn.to_client);
        }
    }

    /// Somebody agreed: the statement goes on as it came.
    pub(crate) fn approved(&mut self, now: Timestamp, id: ApprovalId, turn: &mut Turn) {
        let Some(held) = self.take_held() else {
            // Whoever waited has gone: what was to be run was not.
            turn.pleas.push(Plea::Ended { id, executed: Executed::Stale });
            return;
        };
        self.released = Some(Released { id, binding: held.binding, rules: held.rules });
        self.request_again(now, &held.request, turn);
    }

    /// Nobody agreed, or nobody is waited for: then with the request that was made, to come back with. What the failure
    /// says of the statement is tidied already, and the names and words of persons in it stay as they are.
    pub(crate) fn not_approved(
        &mut self,
        now: Timestamp,
        sqlstate: &str,
        failure: &Failure,
        asked: Option<ApprovalId>,
        turn: &mut Turn,
    ) {
        let Some(held) = self.take_held() else { return };
        self.turned_away(now, &held.raw, &held.refusal, turn);
        let mut complaint = postgres::complaint(Severity::Error, sqlstate, failure, None);
        complaint.fields.extend(asked.map(|id| (postgres::APPROVAL, id.to_string())));
        if held.request.first() == Some(&b'Q') {
            self.answer_query(complaint, turn);
        } else {
            self.answer_batch(complaint, turn);
        }
        self.from_client(now, &[], turn);
    }

    /// The client cancelled what it runs. Whether that was a statement that waits: then it ends here.
    pub(crate) fn cancelled(&mut self, now: Timestamp, turn: &mut Turn) {
        if matches!(self.waiting, Some(Waiting::Approval(_))) {
            turn.pleas.push(Plea::Withdraw);
            let failure = Failure::new(Kind::Usage, "canceling statement due to user request")
                .detail("It waited for approval and has not run. The request was withdrawn.");
            self.not_approved(now, "57014", &failure, None, turn);
        }
    }

    pub(super) fn take_held(&mut self) -> Option<Box<Held>> {
        match self.waiting.take() {
            Some(Waiting::Approval(held)) => Some(held),
            waiting => {
                self.waiting = waiting;
                None
            }
        }
    }

    /// SHA-256 over everything an approval is good for: who, through whom, what for, under which policy and limits, in
    /// which schemas, which bytes and values. Each part is followed by its length, so that no two cases give the same.
    fn binding(&self, case: Case<'_>) -> Digest {
        let mut context = digest::Context::new(&digest::SHA256);
        let mut add = |part: &[u8]| {
            context.update(part);
            context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        };
        let grant = &self.setup.grant;
        add(b"gov approval 1");
        add(grant.identity.issuer.as_bytes());
        add(grant.identity.subject.as_bytes());
        add(&grant.identity.actors.len().to_be_bytes());
        for actor in &grant.identity.actors {
            add(actor.kind.word().as_bytes());
            add(actor.id.as_bytes());
        }
        add(grant.resource.as_str().as_bytes());
        add(grant.access.word().as_bytes());
        add(grant.purpose.as_ref().map_or("", |purpose| purpose.id.as_str()).as_bytes());
        add(grant.purpose.as_ref().and_then(|purpose| purpose.reference.as_deref()).unwrap_or_default().as_bytes());
        add(&grant.reveal.len().to_be_bytes());
        grant.reveal.iter().for_each(|column| add(column.to_string().as_bytes()));
        add(&self.setup.engine.policy().digest().0);
        let names = self.scope.names();
        add(&[u8::from(names.certain)]);
        add(&names.search_path.len().to_be_bytes());
        names.path().for_each(|schema| add(schema.as_bytes()));
        add(&grant.limits.rows_max.unwrap_or(u64::MAX).to_be_bytes());
        add(case.text);
        match case.values {
            Some(values) => values.iter().for_each(|value| match value {
                Some(value) => add(value),
                None => add(b"\0NULL"),
            }),
            None => add(&case.raw.hmac.0),
        }
        Digest::of_hash(context.finish().as_ref())
    }
}

/// What the client is told when the other end is lost while a statement waits there. Whether somebody has agreed
/// meanwhile is not known on this side.
pub(super) fn parted(failure: &Failure, id: ApprovalId) -> Failure {
    let why = failure.detail.as_deref().map_or_else(String::new, |why| format!("{why} "));
    let message = format!("{}, and this waited for approval there", failure.message);
    Failure::new(failure.kind, message)
        .detail(format!("{why}Nobody waits for it any more: unless somebody has agreed already, it does not run."))
        .hint(format!("see what became of it with: gov approval show {id}; then connect and run it again"))
}

/// What an outcome means for the approval it ran under.
pub(super) fn executed(outcome: &Outcome) -> Executed {
    match outcome {
        Outcome::Ok => Executed::Well,
        Outcome::Error { .. } => Executed::Badly,
        Outcome::Unknown => Executed::Unseen,
    }
}
