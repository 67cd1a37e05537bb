//! Lets a read grant run only what is proved to read.

use super::Rule;
use crate::domain::{Access, Action, Environment, IdentityKind, Masking, Reason};
use crate::engine::builtin::Class;
use crate::engine::resolve::{Callee, Facts};
use crate::engine::setting;
use crate::engine::sql::fact::{Deed, Name, Object, Setting, Transaction};

pub(super) struct ReadOnly;

impl Rule for ReadOnly {
    fn name(&self) -> &'static str {
        "read_only"
    }

    fn summary(&self) -> &'static str {
        "anything but reads under a grant to read"
    }

    fn default(&self, _: Environment, _: IdentityKind) -> Action {
        Action::Deny
    }

    fn is_fixed(&self) -> bool {
        true
    }

    fn check(&self, facts: &Facts<'_>) -> Option<Reason> {
        if facts.access == Access::Write {
            return None;
        }
        let told = |message: String, position| {
            Reason::new(self.name(), message)
                .detail("This access is for reading, and only what is known to read is let through.")
                .hint("ask for access to write, or have the function reviewed")
                .at(position)
        };
        let mut deeds = facts.deeds().filter(|(deed, _)| !keeps_to_own(facts, deed));
        let deed = deeds.find_map(|(deed, position)| Some(told(effect(deed)?.to_owned(), position)));
        let call = || {
            facts.calls.iter().find_map(|called| {
                let reads = match called.callee {
                    Callee::BuiltIn(class) => is_read(class),
                    Callee::Reviewed => true,
                    Callee::Opaque(_) => false,
                };
                (!reads).then(|| told(format!("`{}` is not known to only read", called.call.name), called.position))
            })
        };
        let hidden = || {
            let hidden = facts.hidden.first()?;
            Some(told(format!("{} is not known to only read", hidden.behind), hidden.position))
        };
        let name =
            || facts.unknown_names.first().map(|(name, position)| told(format!("`{name}` is not known"), *position));
        let strange =
            || facts.strange().next().map(|(_, position)| told("part of this is not known".to_owned(), position));
        deed.or_else(call).or_else(hidden).or_else(name).or_else(strange)
    }
}

/// Whether a deed is about temporary tables only, of a session that sees nothing but masks: what it puts there are masks,
/// and nobody else sees them. That it does no more, the audit inside the transaction looks after.
fn keeps_to_own(facts: &Facts<'_>, deed: &Deed) -> bool {
    let own = |names: &[Name]| !names.is_empty() && names.iter().all(|name| facts.is_temporary(name));
    let is_own = match deed {
        Deed::Define { object: Object::Table, temporary, .. } => *temporary,
        Deed::Drop { object: Object::Table, names, cascade: false } => own(names),
        Deed::Truncate { relations } => own(relations),
        Deed::Insert { into, .. } => facts.has_own_rows(into),
        Deed::Change(change) => facts.has_own_rows(&change.target),
        _ => false,
    };
    is_own && facts.grant.masking == Masking::Database
}

/// What a deed does besides reading.
fn effect(deed: &Deed) -> Option<&'static str> {
    match deed {
        Deed::Read { locks: false, .. } | Deed::Export { .. } | Deed::Explain | Deed::Show => None,
        // Whatever the policy says about settings.
        Deed::Set(setting) if !keeps_read_only(setting) => Some("this asks for a transaction that writes"),
        Deed::Set(_) | Deed::ResetAll | Deed::Discard(_) | Deed::Listen => None,
        Deed::Prepare { .. } | Deed::Execute { .. } | Deed::Deallocate { .. } => None,
        Deed::Declare { .. } | Deed::Fetch { .. } | Deed::Close { .. } => None,
        Deed::Transaction(Transaction::Begin { read_only: Some(false) }) => {
            Some("this asks for a transaction that writes")
        }
        Deed::Transaction(Transaction::TwoPhase) => Some("this leaves a transaction behind"),
        Deed::Transaction(_) => None,
        // What a SELECT takes anyway, and pg_dump beforehand.
        Deed::Lock { mode: ACCESS_SHARE, .. } => None,
        Deed::Read { locks: true, .. } | Deed::Lock { .. } => Some("this locks rows or tables"),
        Deed::Insert { .. } => Some("this inserts rows"),
        Deed::Change(_) | Deed::Truncate { .. } => Some("this changes rows"),
        Deed::Drop { .. } | Deed::DropPart { .. } | Deed::Define { .. } => Some("this changes the schema"),
        Deed::Code { .. } => Some("this changes code"),
        Deed::Privilege { .. } | Deed::Owner { .. } | Deed::Role { .. } => Some("this changes rights"),
        Deed::Outside { .. } => Some("this reaches outside the database"),
        Deed::Maintain { .. } => Some("this is maintenance"),
        Deed::Block { .. } | Deed::Procedure => Some("this runs code"),
        Deed::Notify => Some("this sends a notification"),
    }
}

/// Whether transactions still read only after this. A parameter whose name is computed may be any.
fn keeps_read_only(setting: &Setting) -> bool {
    match setting.name.as_deref() {
        Some("transaction_read_only" | "default_transaction_read_only") => setting::is_on(&setting.value),
        Some(_) => true,
        None => false,
    }
}

/// The weakest lock mode, as the server numbers them.
const ACCESS_SHARE: u8 = 1;

fn is_read(class: Class) -> bool {
    match class {
        Class::Read | Class::Setting | Class::Exports | Class::Sleep | Class::Lock => true,
        Class::Sequence
        | Class::SequenceReset
        | Class::Notify
        | Class::Maintenance
        | Class::RunsText
        | Class::Outside => false,
    }
}
