//! The engine: policy + catalog + statement + time → decision; policy + decision + row → row.
//!
//! Pure. No I/O, no clock, no chance, no logging: time, keys and the catalog come in as arguments, so both ends decide
//! alike and every case is a line in a test. Only this module can say yes: forwarding a statement takes a [`Permit`],
//! returning rows takes a [`Masked`], and both have private fields and one place each that makes them.

mod builtin;
mod case;
mod catalog;
mod classify;
mod condition;
#[cfg(test)]
mod corpus;
#[cfg(all(fuzzing, not(test)))]
mod corpus;
mod decide;
mod detector;
mod docket;
mod explain;
#[cfg(test)]
pub(crate) mod fuzz;
#[cfg(all(fuzzing, not(test)))]
pub(crate) mod fuzz;
mod lineage;
mod mask;
mod policy;
mod prove;
mod question;
mod resolve;
mod rule;
mod scope;
mod setting;
pub(crate) mod snapshot;
mod sql;
mod startup;
#[cfg(test)]
mod tests;
mod write_back;
mod yaml;

pub(crate) use case::OperationWord;
pub(crate) use catalog::Catalog;
#[cfg(test)]
pub(crate) use catalog::{CatalogColumn, CatalogRelation};
pub(crate) use classify::{
    Classification, FILLERS, FREE_TEXT, Fill, Fillers, Finding, Kind as ColumnKind, Overrules, Sampled, fill, fills,
    relation as classify_relation,
};
pub(crate) use decide::{Audit, ByEstimate, Decision, Permit, Refusal};
pub(crate) use detector::{DETECTORS, called as entities_called};
pub(crate) use explain::{Compared, ExplainedColumn, ExplainedMask};
pub(crate) use mask::view::{
    ColumnRights, LeftBehind, LeftOut, LeftOutWhy, LookedUp, MaskedViews, MaskingNames, MaskingPlan, MaskingState,
    Revealing, Rewritten, masking_sql,
};
pub(crate) use mask::{Fingerprint, Fingerprinter, MaskKey, Masked, Masker, ResultColumn, Tripwire, Watched};
pub(crate) use policy::{Policy, PolicyMistake, PolicySource};
pub(crate) use prove::{AgentAccess, Cause, Counterexample, Outcome, Promise, Prover, Touched as BreachedRelation};
pub(crate) use question::{Answer, Expected, Question, SAMPLES};
pub(crate) use rule::RULES;
pub(crate) use scope::Scope;
pub(crate) use snapshot::Snapshot;
pub(crate) use sql::fact::CopyForm;
pub(crate) use sql::{Bound, STACK, Understood, literal, quoted};
pub(crate) use write_back::{Incoming, Parameter};
pub(crate) use yaml::read as read_yaml;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::domain::{Access, Action, ColumnName, Grant, Reason, SessionId, Timestamp};
use mask::recognise::Recogniser;

/// Both questions, for one resource under one policy. Shared by all connections of a session.
#[derive(Debug)]
pub(crate) struct Engine {
    /// Replaced as a whole when somebody changes it.
    policy: Mutex<Arc<Policy>>,
    /// Replaced as a whole when the schema or the classification changes.
    catalog: Mutex<Arc<Catalog>>,
    /// Present where masks are made (the gateway), absent where they are only watched for (the client).
    mask_key: Option<MaskKey>,
    recogniser: Recogniser,
    /// Columns whose real values the session was opened to see.
    reveal: Option<(SessionId, Vec<ColumnName>)>,
    texts: sql::Texts,
    /// Values that masked columns were asked about.
    lookups: AtomicUsize,
    /// Columns of which a session that writes was shown masks.
    seen: Mutex<Arc<write_back::Seen>>,
    /// Columns of which the session was told that masks are compared.
    told: Mutex<BTreeSet<(u32, i16)>>,
    /// Why somebody must agree to each statement, once that is so.
    over_budget: OnceLock<Reason>,
    /// No rule is asked; every statement announces this. To measure what stands behind the rules: in no build but that
    /// of the tests.
    #[cfg(test)]
    unguarded: Option<Audit>,
}

/// How many values detectors find in texts that may hold anything.
pub(crate) fn values_in<'t>(texts: impl Iterator<Item = &'t str>) -> usize {
    let mut found = Vec::new();
    let count = |text| {
        detector::scan(text, detector::Likeness::Likely, &mut found);
        found.len()
    };
    texts.map(count).sum()
}

impl Engine {
    pub(crate) fn new(policy: Arc<Policy>, catalog: Arc<Catalog>, mask_key: Option<MaskKey>) -> Self {
        Self {
            policy: Mutex::new(policy),
            catalog: Mutex::new(catalog),
            recogniser: Recogniser::new(mask_key.as_ref()),
            mask_key,
            reveal: None,
            texts: sql::Texts::default(),
            lookups: AtomicUsize::new(0),
            seen: Mutex::default(),
            told: Mutex::default(),
            over_budget: OnceLock::new(),
            #[cfg(test)]
            unguarded: None,
        }
    }

    /// An engine that asks no rule and takes every statement for a small write.
    #[cfg(test)]
    pub(crate) fn unguarded(announced: Audit) -> Self {
        let policy = Arc::new(Policy::built_in(crate::domain::Environment::Production));
        let engine = Self::new(policy, Arc::new(Catalog::default()), None);
        Self { unguarded: Some(announced), ..engine }
    }

    /// For a session that was opened to see the real values of some columns.
    #[must_use]
    pub(crate) fn revealing(mut self, grant: &Grant) -> Self {
        self.reveal = (!grant.reveal.is_empty()).then(|| (grant.session, grant.reveal.clone()));
        self.replace_catalog(self.catalog());
        self
    }

    pub(crate) fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on decisions are taken by this policy, also about what was prepared before.
    pub(crate) fn replace_policy(&self, policy: Arc<Policy>) {
        *self.policy.lock().unwrap_or_else(PoisonError::into_inner) = policy;
    }

    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn replace_catalog(&self, catalog: Arc<Catalog>) {
        let catalog = match &self.reveal {
            Some((session, columns)) => Arc::new(catalog.revealing(*session, columns)),
            None => catalog,
        };
        *self.catalog.lock().unwrap_or_else(PoisonError::into_inner) = catalog;
    }

    fn ground(&self) -> decide::Ground<'_> {
        let seen = Arc::clone(&self.seen.lock().unwrap_or_else(PoisonError::into_inner));
        decide::Ground { policy: self.policy(), catalog: self.catalog(), recogniser: &self.recogniser, seen }
    }

    /// What a text does. Cached: asking again is a look-up, also about a text that differs only in the number it looks
    /// something up by. The thread needs [`STACK`] bytes of stack.
    pub(crate) fn understand(&self, text: &[u8]) -> Arc<Understood> {
        self.texts.understand(text)
    }

    /// Whether a statement may run, asked again at every execution.
    pub(crate) fn decide(&self, now: Timestamp, who: &Grant, what: &Understood, scope: &Scope) -> Decision {
        #[cfg(test)]
        if let Some(announced) = self.unguarded {
            return decide::unguarded(what, announced);
        }
        self.decide_approved(now, who, what, scope, &BTreeSet::new())
    }

    /// What the enforcing end will say, as far as the other can know.
    pub(crate) fn foresee(&self, now: Timestamp, who: &Grant, what: &Understood, scope: &Scope) -> Decision {
        decide::foresee(&self.ground(), now, who, what, scope)
    }

    /// The same after somebody agreed to what these rules asked about. What other rules ask about still waits, and what
    /// is denied stays denied. That the approval is for these very bytes is for the caller to see to.
    pub(crate) fn decide_approved(
        &self,
        now: Timestamp,
        who: &Grant,
        what: &Understood,
        scope: &Scope,
        rules: &BTreeSet<&str>,
    ) -> Decision {
        self.within_limits(decide::decide(&self.ground(), now, who, what, scope, rules), rules)
    }

    /// What the values that a client binds to a statement lead to, when masks made them: they are not data.
    pub(crate) fn bound<'v>(
        &self,
        who: &Grant,
        what: &Understood,
        scope: &Scope,
        values: impl Iterator<Item = Parameter<'v>>,
    ) -> Option<(Action, Reason)> {
        let ground = self.ground();
        // Nothing is masked as long as nothing was found.
        if !ground.catalog.classification.finds() {
            return None;
        }
        let values: Vec<_> = values.collect();
        if values.is_empty() {
            return None;
        }
        decide::bound(&ground, who, what, scope, &values)
    }

    /// Why COPY data may not be written, when a pseudonym stands in them.
    pub(crate) fn copied_in(&self, data: &[u8]) -> Option<Reason> {
        self.recogniser.carries(data).then(|| write_back::pseudonym(0).reason(rule::masked_value::NAME))
    }

    /// What is known of the rows that a COPY … FROM STDIN brings; nothing where no column of theirs is known to need a
    /// mask.
    pub(crate) fn incoming(&self, who: &Grant, what: &Understood, scope: &Scope) -> Option<Incoming> {
        let ground = self.ground();
        let finds = ground.catalog.classification.finds() && what.copies_in();
        finds.then(|| decide::incoming(&ground, who, what, scope)).flatten()
    }

    /// Why a row of COPY data may not be written, when a mask made a cell of it.
    pub(crate) fn brought<'v>(
        &self,
        incoming: &Incoming,
        cells: impl Iterator<Item = Option<&'v [u8]>>,
    ) -> Option<Reason> {
        Some(incoming.returned(&self.recogniser, cells)?.reason(rule::masked_value::NAME))
    }

    /// A text as the database should get it, for a session that sees masking views: their names in the place of those
    /// that the client wrote. Nothing when it can stay. The thread needs [`STACK`] bytes of stack.
    pub(crate) fn rewritten(&self, text: &[u8], scope: &Scope) -> Option<Rewritten> {
        let catalog = self.catalog();
        let masking = catalog.masking.as_ref()?;
        let left = decide::LOOKUPS_MAX.saturating_sub(self.lookups.load(Ordering::Relaxed));
        let lookups = mask::view::Lookups { key: self.mask_key.as_ref(), left };
        let rewritten = mask::view::rewritten(&catalog, masking, text, &self.understand(text), scope, lookups)?;
        self.lookups.fetch_add(rewritten.lookups, Ordering::Relaxed);
        Some(rewritten)
    }

    /// Values that a client binds to a statement and by which a session that sees masking views finds something: what the
    /// database should get in their place.
    pub(crate) fn looked_up<'v>(
        &self,
        what: &Understood,
        scope: &Scope,
        values: impl Iterator<Item = Parameter<'v>>,
    ) -> LookedUp {
        // Known of the text once and for all: most compare no parameter.
        if what.commands.iter().all(|command| command.compared.parameters.is_empty()) {
            return LookedUp::default();
        }
        let catalog = self.catalog();
        let Some(masking) = &catalog.masking else { return LookedUp::default() };
        let values: Vec<_> = values.collect();
        let left = decide::LOOKUPS_MAX.saturating_sub(self.lookups.load(Ordering::Relaxed));
        let lookups = mask::view::Lookups { key: self.mask_key.as_ref(), left };
        let found = mask::view::looked_up(&catalog, masking, what, scope, &values, lookups);
        self.lookups.fetch_add(found.lookups, Ordering::Relaxed);
        found
    }

    /// Of the columns whose masks a statement compares: those that the session has not been told about. From now on it has
    /// been.
    pub(crate) fn untold(&self, compares: &[(u32, i16)]) -> Vec<Compared> {
        let catalog = self.catalog();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let new = compares.iter().filter(|column| told.insert(**column));
        let named = new.filter_map(|(relation, attribute)| {
            let (relation, column) = (catalog.relation(*relation)?, catalog.column(*relation, *attribute)?);
            let looked_up =
                catalog.masking.as_ref().is_some_and(|own| own.named.contains_key(&(relation.oid, *attribute)));
            Some(Compared { column: format!("{}.{}", relation.name, column.name), looked_up })
        });
        named.collect()
    }

    /// Counts what a statement that is about to run asks masked columns.
    pub(crate) fn runs(&self, permit: &Permit) {
        self.lookups.fetch_add(permit.obligations().lookups, Ordering::Relaxed);
    }

    /// Values that the session has asked masked columns for.
    pub(crate) fn lookups(&self) -> u64 {
        u64::try_from(self.lookups.load(Ordering::Relaxed)).unwrap_or(u64::MAX)
    }

    /// From now on somebody must agree to each statement: what may be used without asking is used up.
    pub(crate) fn hold_all(&self, reason: Reason) {
        // Whatever was used up first is the reason.
        drop(self.over_budget.set(reason));
    }

    fn within_limits(&self, decision: Decision, agreed: &BTreeSet<&str>) -> Decision {
        let decision = match self.over_budget.get() {
            Some(reason) if !agreed.contains(reason.rule) => decide::over_budget(decision, reason),
            Some(_) | None => decision,
        };
        match decision {
            Decision::Allow(permit)
                if permit.obligations().lookups > 0
                    && self.lookups.load(Ordering::Relaxed).saturating_add(permit.obligations().lookups)
                        > decide::LOOKUPS_MAX =>
            {
                decide::exhausted(permit)
            }
            decision => decision,
        }
    }

    /// Follows the session after command number `command` of `what` succeeded.
    pub(crate) fn scope_after(&self, what: &Understood, command: usize, scope: &mut Scope) {
        scope.after(what, command, self.catalog().epoch);
    }

    /// Whether a session may begin with this parameter: judged like a SET, because it is one.
    pub(crate) fn startup_parameter(&self, who: &Grant, name: &str, value: &str) -> Result<(), Reason> {
        startup::parameter(&self.policy(), who.identity.acting(), name, value)
    }

    /// How the rows of command number `command` of a statement are to be masked, from what the database says about
    /// its result columns.
    pub(crate) fn masker(
        &self,
        who: &Grant,
        what: &Understood,
        command: usize,
        scope: &Scope,
        columns: &[ResultColumn],
    ) -> Masker {
        let ground = self.ground();
        let lineage = decide::lineage(&ground, who, what, command, scope);
        self.saw(who, &ground.catalog, lineage.as_deref(), columns);
        let catalog = ground.catalog;
        mask::plan::masker(&catalog, self.mask_key.as_ref(), lineage.as_deref(), columns)
    }

    /// Keeps in mind of which columns masks are shown to a session that could write them back.
    fn saw(&self, who: &Grant, catalog: &Catalog, lineage: Option<&lineage::Lineage>, columns: &[ResultColumn]) {
        if who.access != Access::Write {
            return;
        }
        let shown = write_back::shows(catalog, lineage, columns);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !shown.is_subset(&seen) {
            Arc::make_mut(&mut seen).extend(shown);
        }
    }

    /// How command number `command`, a COPY … TO STDOUT, writes its rows. Nothing when it is no such command.
    pub(crate) fn copies(&self, what: &Understood, command: usize) -> Option<CopyForm> {
        what.commands.get(command)?.copies.clone()
    }

    /// How the rows are to be masked that command number `command`, a COPY … TO STDOUT, sends in so many columns, and
    /// how they are written. Nothing when it is no such command.
    pub(crate) fn copier(
        &self,
        who: &Grant,
        what: &Understood,
        command: usize,
        scope: &Scope,
        columns: usize,
    ) -> Option<(Masker, CopyForm)> {
        let form = self.copies(what, command)?;
        let ground = self.ground();
        let lineage = decide::lineage(&ground, who, what, command, scope);
        self.saw(who, &ground.catalog, lineage.as_deref(), &[]);
        let catalog = ground.catalog;
        let binary = form == CopyForm::Binary;
        let masker = mask::plan::copier(&catalog, self.mask_key.as_ref(), lineage.as_deref(), columns, binary);
        Some((masker, form))
    }

    /// What the result columns of a text that is not run come from, and what would become of them.
    pub(crate) fn explain(&self, who: &Grant, what: &Understood, scope: &Scope) -> Vec<ExplainedColumn> {
        let ground = self.ground();
        let catalog = &ground.catalog;
        let mut scope = scope.clone();
        let mut out = Vec::new();
        for command in 0..what.commands.len() {
            let lineage = decide::lineage(&ground, who, what, command, &scope);
            out.extend(lineage.iter().flat_map(|lineage| explain::columns(catalog, lineage)));
            scope.after(what, command, catalog.epoch);
        }
        out
    }

    /// The masker of an end that does not mask: the other end has done it.
    pub(crate) fn watcher(&self) -> Masker {
        Masker::watching()
    }

    /// Removes values from the fields of an error or notice that the database sent for `what` (or for nothing in
    /// particular). Severity, SQLSTATE, position and names stay.
    pub(crate) fn redact(&self, who: &Grant, what: Option<&Understood>, scope: &Scope, fields: &mut Vec<(u8, String)>) {
        let ground = self.ground();
        let exposure = match what {
            Some(what) => decide::exposure(&ground, who, what, scope),
            None => decide::exposure_of_nothing(&ground.catalog),
        };
        mask::message::redact(&ground.catalog, exposure, fields);
    }

    /// Removes what looks like a value from the fields of a message of ours, which may repeat what the client wrote.
    pub(crate) fn tidy(&self, fields: &mut [(u8, String)]) {
        mask::message::tidy(fields);
    }
}
