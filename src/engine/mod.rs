//! The engine: policy + catalog + statement + time → decision; policy + decision + row → row.
//!
//! Pure. No I/O, no clock, no chance, no logging: time, keys and the catalog come in as arguments, so both ends decide
//! alike and every case is a line in a test. Only this module can say yes: forwarding a statement takes a [`Permit`],
//! returning rows takes a [`Masked`], and both have private fields and one place each that makes them.

mod catalog;
mod classify;
mod decide;
mod detector;
mod mask;
mod policy;
mod rule;
mod scope;
mod sql;

pub(crate) use catalog::{Catalog, CatalogColumn, CatalogRelation};
pub(crate) use classify::{Classification, Finding};
pub(crate) use decide::{Decision, Permit, Refusal};
pub(crate) use mask::{MaskKey, Masked, Masker, ResultColumn};
pub(crate) use policy::Policy;
pub(crate) use scope::Scope;
pub(crate) use sql::Understood;

use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::{Grant, Timestamp};

/// Both questions, for one resource under one policy. Shared by all connections of a session.
#[derive(Debug)]
pub(crate) struct Engine {
    policy: Arc<Policy>,
    /// Replaced as a whole when the schema or the classification changes.
    catalog: Mutex<Arc<Catalog>>,
    /// Present where masks are made (the gateway), absent where they are only watched for (the client).
    mask_key: Option<MaskKey>,
    texts: sql::Texts,
}

impl Engine {
    pub(crate) fn new(policy: Arc<Policy>, catalog: Arc<Catalog>, mask_key: Option<MaskKey>) -> Self {
        Self { policy, catalog: Mutex::new(catalog), mask_key, texts: sql::Texts::default() }
    }

    pub(crate) fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn replace_catalog(&self, catalog: Arc<Catalog>) {
        *self.catalog.lock().unwrap_or_else(PoisonError::into_inner) = catalog;
    }

    /// What a text does. Cached by text: asking again is a look-up.
    pub(crate) fn understand(&self, text: &[u8]) -> Arc<Understood> {
        self.texts.understand(text)
    }

    /// Whether a statement may run, asked again at every execution.
    pub(crate) fn decide(&self, now: Timestamp, who: &Grant, what: &Understood, scope: &Scope) -> Decision {
        decide::decide(&self.policy, &self.catalog(), now, who, what, scope)
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
        mask::masker(&self.policy, &self.catalog(), self.mask_key.as_ref(), who, what, command, scope, columns)
    }

    /// The masker of an end that does not mask: the other end has done it.
    pub(crate) fn watcher(&self) -> Masker {
        Masker::watching()
    }

    /// Removes values from the fields of an error or notice that the database sent for `what` (or for nothing in
    /// particular). Severity, SQLSTATE, position and names stay.
    pub(crate) fn redact(&self, what: Option<&Understood>, fields: &mut Vec<(u8, String)>) {
        mask::redact(&self.catalog(), what, fields);
    }
}
