//! Runs the rules and makes the [`Permit`]. No other file can.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use super::case::{Case, Subject};
use super::catalog::Catalog;
use super::lineage::{self, Lineage};
use super::mask::recognise::{Recogniser, Resemblance};
use super::policy::Policy;
use super::resolve::{Asked, Callee, Exposure, Facts};
use super::rule::coarse_value::CoarseValue;
use super::rule::masked_value::MaskedValue;
use super::rule::{RULES, Rule, masked_condition, session_guard};
use super::scope::{Names, Scope};
use super::sql::Understood;
use super::sql::fact::{Command, Deed};
use super::write_back::{self, Incoming, Parameter, Seen};
use crate::domain::{
    Access, Action, Digest, Function, Grant, IdentityKind, Operation, Reason, Relation, SessionId, Statement,
    Timestamp, Verdict,
};

/// The proof that the engine allowed a statement. Only this file can make one.
#[derive(Debug)]
pub(crate) struct Permit {
    /// The rules that fired without stopping the statement, for the record.
    rules: Arc<[(&'static str, Action)]>,
    statement: Arc<Statement>,
    obligations: Obligations,
    /// What it depends on how many rows the planner expects.
    thresholds: Arc<[Threshold]>,
    /// Columns of which it compares masks.
    compares: Arc<[(u32, i16)]>,
}

/// A number of rows beyond which a statement is stopped after all.
#[derive(Clone, Debug)]
struct Threshold {
    rows: u64,
    action: Action,
    reason: Reason,
}

impl Threshold {
    /// What it leads to when the planner expects so many rows; `None` where it cannot say.
    fn action(&self, rows: Option<u64>) -> Action {
        match rows {
            Some(rows) if rows <= self.rows => Action::Allow,
            Some(_) => self.action,
            None => self.action.min(Action::Hold),
        }
    }
}

/// What is decided about a statement for some numbers of rows that the planner may expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ByEstimate {
    /// The most rows it is decided so for; `None` is without end. It begins behind the one before.
    pub(crate) rows_max: Option<u64>,
    pub(crate) verdict: Verdict,
}

impl Permit {
    /// It is good only for so many rows as the planner expects: that is to be asked, and then [`Self::weighed`].
    pub(crate) fn asks_estimate(&self) -> bool {
        !self.thresholds.is_empty()
    }

    /// What it is worth when the planner expects so many rows; `None` where it cannot say. What somebody has approved is
    /// not held once more: they were shown the estimate.
    pub(crate) fn weighed(self, rows: Option<u64>, approved: bool) -> Decision {
        let strictest = self.thresholds.iter().map(|threshold| (threshold.action(rows), threshold.reason.clone()));
        let told = |reason: Reason| {
            let case = reason.detail.clone().unwrap_or_default();
            reason.detail(match rows {
                Some(rows) => format!("The planner expects {rows} rows. {case}"),
                None => format!("How many rows it is about, the planner has not said. {case}"),
            })
        };
        match strictest.max_by_key(|(action, _)| *action) {
            Some((Action::Deny, reason)) => Decision::Deny(self.refused(Verdict::Deny, Action::Deny, told(reason))),
            Some((Action::Hold, reason)) if !approved => {
                Decision::Hold(self.refused(Verdict::Hold, Action::Hold, told(reason)))
            }
            Some((Action::Hold | Action::Observe | Action::Allow, _)) | None => Decision::Allow(self),
        }
    }

    /// What is decided about it, from the fewest rows on; nothing where that does not depend on how many there are.
    fn by_estimate(&self) -> Vec<ByEstimate> {
        if self.thresholds.is_empty() {
            return Vec::new();
        }
        let ends: BTreeSet<u64> = self.thresholds.iter().map(|threshold| threshold.rows).collect();
        let ends = ends.into_iter().map(Some).chain([None]);
        let step = |rows_max: Option<u64>| {
            // More than the last end is as good as endless.
            let rows = Some(rows_max.unwrap_or(u64::MAX));
            let action = self.thresholds.iter().map(|threshold| threshold.action(rows)).max();
            let verdict = match action.unwrap_or(Action::Allow) {
                Action::Deny => Verdict::Deny,
                Action::Hold => Verdict::Hold,
                Action::Observe | Action::Allow => Verdict::Allow,
            };
            ByEstimate { rows_max, verdict }
        };
        ends.map(step).collect()
    }

    pub(crate) fn rules(&self) -> &Arc<[(&'static str, Action)]> {
        &self.rules
    }

    /// For a statement that is prepared at most: whoever would have had to agree to its running was not asked.
    pub(crate) fn for_preparing(self) -> Self {
        let rules = self.rules.iter().copied().filter(|(_, action)| *action != Action::Hold).collect();
        Self { rules, ..self }
    }

    /// The statement for the record, with the schemas its relations were found in.
    pub(crate) fn statement(&self) -> &Arc<Statement> {
        &self.statement
    }

    /// What it becomes when something else speaks against the statement.
    fn refused(self, verdict: Verdict, action: Action, reason: Reason) -> Refusal {
        Refusal {
            verdict,
            rules: self.rules.iter().copied().chain([(reason.rule, action)]).collect(),
            reason,
            statement: self.statement,
            stale: false,
            instead: None,
        }
    }

    /// What must hold while it runs.
    pub(crate) fn obligations(&self) -> Obligations {
        self.obligations
    }

    /// Columns of which the database shows masks, and which the statement compares: for
    /// [`untold`](crate::engine::Engine::untold).
    pub(crate) fn compares(&self) -> &Arc<[(u32, i16)]> {
        &self.compares
    }
}

/// What an allowed statement must still obey. Whoever forwards it sees to that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Obligations {
    /// It commits only after the audit inside the transaction; `None` for what is proved to read.
    pub(crate) audit: Option<Audit>,
    /// Rows that may be returned; `None` is without limit.
    pub(crate) rows_max: Option<u64>,
    /// The server refuses to run it inside a transaction block, so that no audit can hold it back.
    pub(crate) alone: bool,
    /// Code runs in it that nobody reviewed; [`Scope::ran_opaque_code`] is due when it succeeded.
    pub(crate) opaque: bool,
    /// Values that it asks masked columns about.
    pub(crate) lookups: usize,
}

/// What the audit inside the transaction may find. More than that is rolled back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Audit {
    /// Rows changed in all tables together.
    pub(crate) rows_max: u64,
    /// The statement says that it changes rows.
    pub(crate) writes: bool,
    /// The statement says that it changes the schema or takes strong locks.
    pub(crate) locks: bool,
}

impl Audit {
    /// What two statements of one transaction may do together.
    #[must_use]
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            rows_max: self.rows_max.min(other.rows_max),
            writes: self.writes || other.writes,
            locks: self.locks || other.locks,
        }
    }
}

impl Obligations {
    /// Those of two statements that run in one message.
    fn and(self, other: Self) -> Self {
        let audit = match (self.audit, other.audit) {
            (Some(one), Some(other)) => Some(one.and(other)),
            (one, other) => one.or(other),
        };
        Self {
            audit,
            rows_max: self.rows_max.into_iter().chain(other.rows_max).min(),
            alone: self.alone || other.alone,
            opaque: self.opaque || other.opaque,
            lookups: self.lookups.saturating_add(other.lookups),
        }
    }
}

/// Why a statement may not run, or not yet.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) verdict: Verdict,
    pub(crate) reason: Reason,
    /// All rules that fired, strictest first.
    pub(crate) rules: Arc<[(&'static str, Action)]>,
    /// The statement for the record, with the schemas its relations were found in.
    pub(crate) statement: Arc<Statement>,
    /// It names something that the catalog does not have: worth asking again with a newer one.
    pub(crate) stale: bool,
    /// What may be sent in its place, with a warning.
    pub(crate) instead: Option<String>,
}

/// The engine's answer.
#[derive(Debug)]
pub(crate) enum Decision {
    Allow(Permit),
    /// Somebody else must agree first.
    Hold(Refusal),
    Deny(Refusal),
}

/// What decisions rest on, besides the session and the statement.
#[derive(Clone, Debug)]
pub(super) struct Ground<'a> {
    pub(super) policy: Arc<Policy>,
    pub(super) catalog: Arc<Catalog>,
    pub(super) recogniser: &'a Recogniser,
    pub(super) seen: Arc<Seen>,
}

impl Ground<'_> {
    pub(super) fn asked<'a>(&'a self, grant: &'a Grant, who: IdentityKind, now: Timestamp) -> Asked<'a> {
        let Self { policy, catalog, recogniser, seen } = self;
        Asked { policy, catalog, recogniser, seen, grant, who, now }
    }
}

impl Decision {
    /// The same decision where nobody asks the planner, and where so many rows are assumed; with `None` what depends on
    /// them is held. And what it is for other numbers of rows, where it depends on them.
    pub(crate) fn assuming(self, rows: Option<u64>) -> (Self, Vec<ByEstimate>) {
        match self {
            Self::Allow(permit) => {
                let by_estimate = permit.by_estimate();
                (permit.weighed(rows, false), by_estimate)
            }
            stopped @ (Self::Hold(_) | Self::Deny(_)) => (stopped, Vec::new()),
        }
    }

    /// The same decision, where the values that are bound to the statement ask for approval.
    pub(crate) fn and_hold(self, reason: Reason) -> Self {
        match self {
            Self::Allow(permit) => Self::Hold(permit.refused(Verdict::Hold, Action::Hold, reason)),
            Self::Hold(refusal) => {
                let rules = refusal.rules.iter().copied().chain([(reason.rule, Action::Hold)]).collect();
                Self::Hold(Refusal { rules, ..refusal })
            }
            Self::Deny(refusal) => Self::Deny(refusal),
        }
    }

    /// The refusal of a statement because of the values that are bound to it, whatever was decided about its text.
    pub(crate) fn and_deny(self, reason: Reason) -> Refusal {
        match self {
            Self::Allow(permit) => permit.refused(Verdict::Deny, Action::Deny, reason),
            Self::Hold(refusal) | Self::Deny(refusal) => {
                let rules = refusal.rules.iter().copied().chain([(reason.rule, Action::Deny)]).collect();
                Refusal { verdict: Verdict::Deny, reason, rules, instead: None, ..refusal }
            }
        }
    }
}

/// What was decided about a text last: asking again in the same session is a comparison.
#[derive(Debug, Default)]
pub(super) struct Memory {
    last: Mutex<Option<Remembered>>,
}

#[derive(Debug)]
struct Remembered {
    key: Key,
    /// When it was judged, if the policy looks at the time.
    minute: Option<u64>,
    judgement: Arc<Judgement>,
}

/// Everything that a judgement depends on besides the text and the time.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    names: Arc<Names>,
    epoch: u64,
    policy: Digest,
    /// Whose judgement it is: identity, purpose, labels and limits are those of the session.
    session: SessionId,
    access: Access,
    who: IdentityKind,
    rows_max: Option<u64>,
    /// Of how many columns it has been shown masks: that these are others would take more of them.
    seen: usize,
}

/// What the rules say about a text.
#[derive(Debug)]
struct Judgement {
    /// The rules that fired, strictest first; in the order of the list among equals.
    fired: Vec<(Action, Reason)>,
    rules: Arc<[(&'static str, Action)]>,
    statement: Arc<Statement>,
    obligations: Obligations,
    thresholds: Arc<[Threshold]>,
    stale: bool,
    /// What may be sent in place of a parameter set to what it may not be.
    instead: Option<String>,
    /// For each command where its values come from and go.
    lineages: Vec<Option<Arc<Lineage>>>,
    /// What messages about it may show.
    exposure: Exposure,
    /// Columns of which it compares masks.
    compares: Arc<[(u32, i16)]>,
}

impl Memory {
    fn recall(&self, key: &Key, fits: impl Fn(Option<u64>) -> bool) -> Option<Arc<Judgement>> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let last = last.as_ref().filter(|last| last.key == *key && fits(last.minute))?;
        Some(Arc::clone(&last.judgement))
    }

    fn remember(&self, key: Key, minute: Option<u64>, judgement: &Arc<Judgement>) {
        let remembered = Remembered { key, minute, judgement: Arc::clone(judgement) };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(remembered);
    }
}

/// What the enforcing end will say, as far as this one can know. A refusal that rests on a name our catalog does not
/// have is left to that end, which may have a newer one.
pub(super) fn foresee(ground: &Ground<'_>, now: Timestamp, who: &Grant, what: &Understood, scope: &Scope) -> Decision {
    match decide(ground, now, who, what, scope, &BTreeSet::new()) {
        Decision::Hold(refusal) | Decision::Deny(refusal) if refusal.stale => Decision::Allow(Permit {
            rules: refusal.rules,
            statement: refusal.statement,
            obligations: Obligations::default(),
            thresholds: Arc::from([]),
            compares: Arc::from([]),
        }),
        decided => decided,
    }
}

/// Runs every rule on every command; the strictest outcome counts. Rules in `approved` that ask for a hold do not.
pub(super) fn decide(
    ground: &Ground<'_>,
    now: Timestamp,
    who: &Grant,
    what: &Understood,
    scope: &Scope,
    approved: &BTreeSet<&str>,
) -> Decision {
    let judgement = judgement(ground, now, who, what, scope);
    if now >= who.expires_at {
        let reason = Reason::new("expired", "this access has ended").hint("ask for access again");
        return Decision::Deny(judgement.refusal(Verdict::Deny, reason));
    }
    let stops = |(action, reason): &&(Action, Reason)| match action {
        Action::Allow | Action::Observe => false,
        Action::Hold => !approved.contains(reason.rule),
        Action::Deny => true,
    };
    match judgement.fired.iter().find(stops) {
        Some((Action::Deny, reason)) => Decision::Deny(judgement.refusal(Verdict::Deny, reason.clone())),
        Some((_, reason)) => Decision::Hold(judgement.refusal(Verdict::Hold, reason.clone())),
        None => Decision::Allow(Permit {
            rules: Arc::clone(&judgement.rules),
            statement: Arc::clone(&judgement.statement),
            obligations: judgement.obligations,
            thresholds: Arc::clone(&judgement.thresholds),
            compares: Arc::clone(&judgement.compares),
        }),
    }
}

/// A yes to anything that announces this of itself.
#[cfg(test)]
pub(super) fn unguarded(what: &Understood, announced: Audit) -> Decision {
    Decision::Allow(Permit {
        rules: Arc::from([]),
        statement: Arc::clone(&what.statement),
        obligations: Obligations { audit: Some(announced), ..Obligations::default() },
        thresholds: Arc::from([]),
        compares: Arc::from([]),
    })
}

fn judgement(ground: &Ground<'_>, now: Timestamp, who: &Grant, what: &Understood, scope: &Scope) -> Arc<Judgement> {
    let key = key(ground, who, scope);
    let minute = ground.policy.docket().has_hours().then(|| now.seconds() / 60);
    if let Some(judgement) = what.memory.recall(&key, |at| at == minute) {
        return judgement;
    }
    let asked = ground.asked(who, key.who, now);
    let judgement = Arc::new(judge(asked, who, what, scope));
    // What a name was prepared or declared as is not part of the key.
    if !what.commands.iter().any(names_another) {
        what.memory.remember(key, minute, &judgement);
    }
    judgement
}

fn key(ground: &Ground<'_>, who: &Grant, scope: &Scope) -> Key {
    Key {
        names: Arc::clone(scope.names()),
        epoch: ground.catalog.epoch,
        policy: ground.policy.digest(),
        session: who.session,
        access: who.access,
        who: who.identity.acting(),
        rows_max: who.limits.rows_max,
        seen: ground.seen.len(),
    }
}

/// Where the values of command number `command` come from: as it was judged, or, when the session has changed since,
/// as it is now.
pub(super) fn lineage(
    ground: &Ground<'_>,
    who: &Grant,
    what: &Understood,
    command: usize,
    scope: &Scope,
) -> Option<Arc<Lineage>> {
    let key = key(ground, who, scope);
    if let Some(judgement) = what.memory.recall(&key, |_| true) {
        return judgement.lineages.get(command).cloned().flatten();
    }
    let asked = ground.asked(who, key.who, Timestamp::default());
    Facts::new(asked, scope, what.commands.get(command)?).lineage
}

/// What the values are that a client binds to a prepared statement, and what that leads to.
pub(super) fn bound(
    ground: &Ground<'_>,
    who: &Grant,
    what: &Understood,
    scope: &Scope,
    values: &[Parameter<'_>],
) -> Option<(Action, Reason)> {
    let kind = who.identity.acting();
    let asked = ground.asked(who, kind, Timestamp::default());
    let returned = what
        .commands
        .iter()
        .find_map(|command| write_back::bound(&Facts::unresolved(asked, scope, command), values))?;
    let rule: &dyn Rule = match returned.resemblance {
        Resemblance::Sure => &MaskedValue,
        Resemblance::Possible => &CoarseValue,
    };
    Some((ground.policy.action(rule, kind), returned.reason(rule.name())))
}

/// What is known of the rows that a COPY … FROM STDIN brings, when it is all of a text.
pub(super) fn incoming(ground: &Ground<'_>, who: &Grant, what: &Understood, scope: &Scope) -> Option<Incoming> {
    let asked = ground.asked(who, who.identity.acting(), Timestamp::default());
    let [command] = what.commands.as_slice() else { return None };
    Incoming::of(&Facts::unresolved(asked, scope, command), &ground.catalog)
}

/// Where the values of the only command of a text come from, whether or not any of them is known to need a mask.
pub(super) fn traced(ground: &Ground<'_>, who: &Grant, what: &Understood, scope: &Scope) -> Option<Lineage> {
    let asked = ground.asked(who, who.identity.acting(), Timestamp::default());
    let command = what.commands.first()?;
    Some(lineage::trace(&Facts::new(asked, scope, command), command))
}

/// A session may ask masked columns about so many values: support looks up one person at a time; thousands of guesses
/// find what one does not know.
pub(super) const LOOKUPS_MAX: usize = 1_000;

/// What becomes of a permit when the session has asked for more than [`LOOKUPS_MAX`] values.
pub(super) fn exhausted(permit: Permit) -> Decision {
    let reason = Reason::new(masked_condition::NAME, "this session has looked up too many masked values")
        .detail(format!("The limit is {LOOKUPS_MAX} values in one session."))
        .hint("open another session, and say for what");
    Decision::Deny(permit.refused(Verdict::Deny, Action::Deny, reason))
}

/// What becomes of a decision when what may be used without asking is used up. What touches no data goes on: a
/// transaction can be ended.
pub(super) fn over_budget(decision: Decision, reason: &Reason) -> Decision {
    match decision {
        Decision::Allow(permit) if permit.statement.operations.iter().all(|one| *one == Operation::Session) => {
            Decision::Allow(permit)
        }
        Decision::Allow(permit) => Decision::Hold(permit.refused(Verdict::Hold, Action::Hold, reason.clone())),
        Decision::Hold(refusal) => {
            // One word is enough for both.
            let rules = refusal.rules.iter().copied().chain([(reason.rule, Action::Hold)]).collect();
            Decision::Hold(Refusal { rules, ..refusal })
        }
        Decision::Deny(refusal) => Decision::Deny(refusal),
    }
}

/// What messages about a statement may show.
pub(super) fn exposure(ground: &Ground<'_>, who: &Grant, what: &Understood, scope: &Scope) -> Exposure {
    let key = key(ground, who, scope);
    if let Some(judgement) = what.memory.recall(&key, |_| true) {
        return judgement.exposure;
    }
    // What the time changes, messages do not depend on.
    judge(ground.asked(who, key.who, Timestamp::default()), who, what, scope).exposure
}

/// What messages may show that belong to no statement in particular.
pub(super) fn exposure_of_nothing(catalog: &Catalog) -> Exposure {
    if catalog.classification.finds() { Exposure::Values } else { Exposure::Nothing }
}

fn names_another(command: &Command) -> bool {
    command.acts.iter().any(|act| matches!(act.deed, Deed::Execute { .. } | Deed::Fetch { .. }))
}

fn judge(asked: Asked<'_>, who: &Grant, what: &Understood, scope: &Scope) -> Judgement {
    let (mut fired, mut thresholds) = (Vec::new(), Vec::new());
    let mut relations = Vec::new();
    let (mut tags, mut functions) = (BTreeSet::new(), BTreeSet::new());
    let mut obligations = Obligations { rows_max: who.limits.rows_max, ..Obligations::default() };
    let mut stale = false;
    let mut lineages = Vec::new();
    let mut exposure = Exposure::default();
    let mut compares = BTreeSet::new();
    if let Some(complaint) = &what.complaint {
        fired.extend(check(&Facts::not_understood(asked, scope, complaint), asked.now, &mut thresholds));
    }
    // Each command is judged in the session that those before it will have left behind.
    let mut later = None;
    for (index, command) in what.commands.iter().enumerate() {
        let facts = Facts::new(asked, later.as_ref().unwrap_or(scope), command);
        fired.extend(check(&facts, asked.now, &mut thresholds));
        relations.extend(facts.recorded());
        functions.extend(facts.unreviewed());
        obligations = obligations.and(obligations_of(&facts, command));
        stale |= facts.misses_something();
        exposure = exposure.max(facts.exposure());
        compares.append(&mut facts.compares_masks());
        tags.extend(facts.lineage.iter().flat_map(|lineage| lineage.tags(asked.catalog)));
        lineages.push(facts.lineage);
        if index + 1 < what.commands.len() {
            later.get_or_insert_with(|| scope.clone()).advance(command, asked.catalog.epoch);
        }
    }
    fired.sort_by_key(|(action, _)| std::cmp::Reverse(*action));
    Judgement {
        rules: fired.iter().map(|(action, reason)| (reason.rule, *action)).collect(),
        fired,
        statement: recorded(&what.statement, relations, tags, functions),
        obligations,
        thresholds: thresholds.into(),
        stale,
        instead: match what.commands.as_slice() {
            [command] => session_guard::instead(command, asked.policy),
            _ => None,
        },
        lineages,
        exposure,
        compares: compares.into_iter().collect(),
    }
}

/// What is said to a subject about which these rules speak, when the planner expects so many rows.
pub(super) fn verdict(policy: &Policy, subject: &Subject<'_>, rules: &[&dyn Rule], rows: Option<u64>) -> Verdict {
    let cases = policy.docket().of(subject);
    let of_rules = rules.iter().map(|rule| outcome(policy, *rule, &cases, subject));
    let (mut strictest, mut weighed) = (of_rules.max().unwrap_or(Action::Allow), Action::Allow);
    for (action, reason, threshold) in cases.iter().filter_map(|case| case.stops(subject, 0)) {
        match threshold {
            None => strictest = strictest.max(action),
            Some(threshold) => weighed = weighed.max(Threshold { rows: threshold, action, reason }.action(rows)),
        }
    }
    // The planner is asked about what nothing else stops.
    match if strictest < Action::Hold { weighed } else { strictest } {
        Action::Allow | Action::Observe => Verdict::Allow,
        Action::Hold => Verdict::Hold,
        Action::Deny => Verdict::Deny,
    }
}

/// What a rule that spoke leads to, given the cases that may say otherwise.
pub(super) fn outcome(policy: &Policy, rule: &dyn Rule, cases: &[&Case], subject: &Subject<'_>) -> Action {
    let mildest = rule.mildest(subject.who);
    let standard = policy.action(rule, subject.who).max(mildest);
    let changed = cases.iter().filter_map(|case| case.changes(rule, standard, subject)).max();
    changed.unwrap_or(standard).max(mildest)
}

/// What fired and what it leads to. Cases come after the rules: of two that ask for the same, the rule gives the reason.
fn check(facts: &Facts<'_>, now: Timestamp, thresholds: &mut Vec<Threshold>) -> Vec<(Action, Reason)> {
    let rules = RULES.iter().filter_map(|rule| Some((*rule, rule.check(facts)?)));
    let docket = facts.policy.docket();
    if docket.is_empty() {
        let standard = |rule: &dyn Rule| facts.policy.action(rule, facts.who).max(rule.mildest(facts.who));
        return rules.map(|(rule, reason)| (standard(rule), reason)).collect();
    }
    let subject = Subject::new(facts, now);
    let cases = docket.of(&subject);
    let rules = rules.map(|(rule, reason)| (outcome(facts.policy, rule, &cases, &subject), reason));
    let mut fired: Vec<_> = rules.collect();
    for (action, reason, rows) in cases.iter().filter_map(|case| case.stops(&subject, facts.first_position())) {
        match rows {
            None => fired.push((action, reason)),
            Some(rows) => thresholds.push(Threshold { rows, action, reason }),
        }
    }
    fired
}

/// The record's part with the relations as they were found, those that nothing was found for as they are written, and
/// what their columns hold, and the functions that nobody reviewed.
fn recorded(
    statement: &Arc<Statement>,
    mut relations: Vec<Relation>,
    tags: BTreeSet<&'static str>,
    functions: BTreeSet<Function>,
) -> Arc<Statement> {
    let found: BTreeSet<(&str, _)> = relations.iter().map(|found| (found.name.as_str(), found.touch)).collect();
    let others = statement.relations.iter().filter(|written| !found.contains(&(written.name.as_str(), written.touch)));
    let others: Vec<_> = others.cloned().collect();
    relations.extend(others);
    relations.sort_unstable();
    relations.dedup();
    if tags.is_empty() && functions.is_empty() && *relations == *statement.relations {
        return Arc::clone(statement);
    }
    let (tags, functions) = (tags.into_iter().collect(), functions.into_iter().collect());
    Arc::new(Statement { relations: relations.into(), tags, functions, ..(**statement).clone() })
}

fn obligations_of(facts: &Facts<'_>, command: &Command) -> Obligations {
    let opaque = !facts.hidden.is_empty()
        || facts.calls.iter().any(|called| matches!(called.callee, Callee::Opaque(_)))
        || facts.deeds().any(|(deed, _)| matches!(deed, Deed::Block { .. } | Deed::Procedure));
    let has =
        |wanted: &[Operation]| facts.deeds().any(|(deed, _)| deed.operations().any(|done| wanted.contains(&done)));
    let writes = has(&[Operation::Insert, Operation::Update, Operation::Delete]);
    let locks = has(&[
        Operation::Truncate,
        Operation::SchemaChange,
        Operation::Drop,
        Operation::Privilege,
        Operation::Maintenance,
    ]);
    let audited = opaque || writes || locks || facts.strange().next().is_some();
    let rows_max = match facts.access {
        Access::Write => facts.policy.changed_rows(),
        // A grant to read changes nothing but temporary tables, which are not counted.
        Access::Read => 0,
    };
    Obligations {
        audit: audited.then_some(Audit { rows_max, writes: writes || opaque, locks: locks || opaque }),
        rows_max: None,
        alone: command.alone,
        opaque,
        lookups: masked_condition::lookups(facts),
    }
}

impl Judgement {
    fn refusal(&self, verdict: Verdict, reason: Reason) -> Refusal {
        Refusal {
            verdict,
            instead: self.instead.clone().filter(|_| reason.rule == session_guard::NAME),
            reason,
            rules: Arc::clone(&self.rules),
            statement: Arc::clone(&self.statement),
            stale: self.stale,
        }
    }
}
