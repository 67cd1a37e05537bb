//! The nouns everyone shares: no behaviour beyond checking themselves, no I/O, nothing serialisable.

mod approval;
mod budget;
#[cfg(test)]
mod chance;
#[cfg(all(fuzzing, not(test)))]
mod chance;
mod column;
mod digest;
mod event;
mod failure;
mod grant;
mod id;
mod identity;
mod key;
mod resource;
mod sealed;
mod secret;
mod statement;
mod time;
mod verdict;

pub(crate) use approval::{ApprovalState, Ballot, Executed, Move};
pub(crate) use budget::{Budget, Spent, Usage};
#[cfg(any(test, fuzzing))]
pub(crate) use chance::Chance;
pub(crate) use column::ColumnName;
pub(crate) use digest::Digest;
pub(crate) use event::{Event, Happening, Outcome, Peer, SessionBalance, Shown, Side, StatementEnd, StatementStart};
pub(crate) use failure::{Failure, Kind};
pub(crate) use grant::{Access, Grant, Limits, Masking, Purpose};
pub(crate) use id::{
    AgentId, ApprovalId, BadName, PurposeId, RecordId, ResourceName, SessionId, StatementId, WorkloadId,
};
pub(crate) use identity::{Actor, Identity, IdentityKind, Method};
pub(crate) use key::PublicKey;
pub(crate) use resource::{Environment, Labels, ProtocolName};
pub(crate) use sealed::{SealedText, TextKeyId};
pub(crate) use secret::Secret;
pub(crate) use statement::{Function, Operation, Parse, Relation, Statement, Touch};
pub(crate) use time::{Duration, Timestamp, parse_duration, print_duration};
pub(crate) use verdict::{Action, Fault, Reason, Verdict};
