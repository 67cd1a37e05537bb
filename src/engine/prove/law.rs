//! What is sure about every statement, whatever the policy: which rules speak when it does a thing.
//!
//! These are the only facts about rules that a proof takes for granted; everything else a rule may do is assumed to
//! happen, or not, as it suits whoever looks for a hole. Each is read off [`Deed::operations`] and the rule's own
//! `check`; the tests hold them against every statement of the corpora. To leave one out makes a proof weaker, never wrong.
//!
//! [`Deed::operations`]: super::super::sql::fact::Deed::operations

use super::super::case::{OperationWord, Touched};
use super::super::rule::{RULES, Rule};
use crate::domain::{Access, Operation, Touch};

/// How a statement touches relations that are not the session's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Lasting {
    /// It touches one.
    pub(super) any: bool,
    /// It writes to one.
    pub(super) written: bool,
}

impl Lasting {
    pub(super) const ALL: [Self; 3] =
        [Self { any: true, written: true }, Self { any: true, written: false }, Self { any: false, written: false }];

    pub(super) fn of(relations: &[Touched<'_>]) -> Self {
        let written = relations.iter().any(|touched| touched.touch == Touch::Write);
        Self { any: !relations.is_empty(), written }
    }
}

/// The rules of which at least one speaks about a statement that does this in a session with this access; none where
/// nothing is sure. Temporary tables of its own even a session that reads may have, where the database masks.
pub(super) fn speak(operation: Operation, access: Access, lasting: Lasting) -> &'static [&'static str] {
    match (operation, access) {
        (Operation::Read | Operation::Session | Operation::Maintenance | Operation::SchemaChange, _) => &[],
        (Operation::Insert | Operation::Update | Operation::Delete, Access::Read) if lasting.written => &["read_only"],
        (Operation::Insert | Operation::Update | Operation::Delete, _) => &[],
        (Operation::Truncate | Operation::Drop, Access::Read) if lasting.any => &["read_only"],
        // A block of code may do one thing to what is its own and another to what is not.
        (Operation::Truncate, Access::Write) if lasting.any => &["destructive_ddl", "opaque_code"],
        (Operation::Drop, Access::Write) if lasting.any => {
            &["destructive_ddl", "schema_change", "code_change", "role_change", "opaque_code"]
        }
        (Operation::Truncate | Operation::Drop, _) => &[],
        (Operation::Privilege | Operation::Outside | Operation::Opaque, Access::Read) => &["read_only"],
        (Operation::Privilege, Access::Write) => &["privilege", "role_change"],
        (Operation::Outside, Access::Write) => &["outside_access"],
        (Operation::Opaque, Access::Write) => &[],
    }
}

/// The rules that speak wherever this one does.
pub(super) fn with(rule: &dyn Rule) -> impl Iterator<Item = &'static dyn Rule> {
    let others: &[&str] = match rule.name() {
        // To grant to everybody is to grant.
        "public_grant" => &["privilege"],
        _ => &[],
    };
    RULES.iter().filter(|rule| others.contains(&rule.name())).copied()
}

/// The rules that some law names.
pub(super) fn rules() -> impl Iterator<Item = &'static dyn Rule> {
    let named = |rule: &&&dyn Rule| {
        OperationWord::ALL.iter().any(|operation| {
            [Access::Read, Access::Write].iter().any(|access| {
                Lasting::ALL.iter().any(|lasting| speak(*operation, *access, *lasting).contains(&rule.name()))
            })
        })
    };
    RULES.iter().filter(named).copied()
}
