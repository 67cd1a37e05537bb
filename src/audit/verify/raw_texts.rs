//! Raw texts that lie beside a log, against the records that name them.
//!
//! A text that is not there is one of three things: erased, when the server's own records say that its key was
//! destroyed; missing, when they do not; not looked at, when none were at hand.

use std::collections::{BTreeMap, BTreeSet};

use super::super::record::Raw;
use super::super::seal;
use super::super::sealed::sealed_texts;
use super::{Core, Report, Verifier, Wrong};
use crate::domain::{Digest, SessionId, StatementId, TextKeyId};

/// What is known of raw texts.
#[derive(Debug, Default)]
pub(super) struct RawTexts {
    /// By what records name them: the key, and the statement that was first to.
    named: BTreeMap<Digest, (TextKeyId, Option<SessionId>, Option<StatementId>)>,
    destroyed: BTreeSet<TextKeyId>,
    intact: BTreeSet<Digest>,
    changed: BTreeSet<Digest>,
    /// Some were at hand, or it was said that there are none.
    at_hand: bool,
}

/// What became of the raw texts that records name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RawCounts {
    pub(crate) intact: u64,
    pub(crate) erased: u64,
    /// Nobody had them at hand.
    pub(crate) unseen: u64,
}

impl RawTexts {
    pub(super) fn named(&mut self, record: &Core) {
        let Some(Raw { digest, key }) = record.raw else { return };
        self.named.entry(digest).or_insert((key, record.session, record.statement));
    }

    /// Takes a record of the server itself.
    pub(super) fn destroyed(&mut self, record: &Core) {
        if record.kind == "erase" {
            self.destroyed.extend(&record.destroyed);
        }
    }

    pub(super) fn check(self, report: &mut Report) {
        for (digest, (key, session, statement)) in self.named {
            let counts = &mut report.raw_texts;
            if self.destroyed.contains(&key) {
                counts.erased += 1;
            } else if self.intact.contains(&digest) {
                counts.intact += 1;
            } else if self.changed.contains(&digest) {
                report.fault(None, Wrong::RawChanged { session, statement });
            } else if self.at_hand {
                report.fault(None, Wrong::RawMissing { session, statement });
            } else {
                counts.unseen += 1;
            }
        }
    }
}

impl Verifier {
    /// Takes some of the raw texts that lie beside the log; each stands under the name that records know it by. What is
    /// cut short shows as missing.
    pub(crate) fn raw_texts(&mut self, bytes: &[u8]) {
        self.raw_texts.at_hand = true;
        let texts = &mut self.raw_texts;
        for (name, sealed) in sealed_texts(bytes) {
            let found = if seal::digest(sealed) == name { &mut texts.intact } else { &mut texts.changed };
            found.insert(name);
        }
    }
}
