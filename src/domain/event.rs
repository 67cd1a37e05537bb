//! Everything that may enter the audit log, as one closed list.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::approval::ApprovalState;
use super::digest::Digest;
use super::grant::Grant;
use super::id::{ApprovalId, SessionId, StatementId};
use super::key::PublicKey;
use super::sealed::{SealedText, TextKeyId};
use super::statement::Statement;
use super::time::{Duration, Timestamp};
use super::verdict::{Action, Verdict};

/// Something that happened, when, and in which session.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) at: Timestamp,
    pub(crate) session: Option<SessionId>,
    pub(crate) happening: Happening,
}

/// Whose account of it a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Side {
    Client,
    Gateway,
    /// The control plane, which speaks for no session.
    Server,
}

impl Side {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Gateway => "gateway",
            Self::Server => "server",
        }
    }

    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::Client, Self::Gateway, Self::Server].into_iter().find(|side| side.word() == word)
    }
}

/// What happened. A variant that carries text carries only words from a fixed list, identifiers, or normalised SQL.
#[derive(Clone, Debug)]
pub(crate) enum Happening {
    ServerStopped,
    LoginSucceeded {
        subject: String,
        method: &'static str,
    },
    LoginFailed {
        why: &'static str,
    },
    SessionOpened {
        grant: Arc<Grant>,
        /// The pseudonym records use for the identity.
        subject: String,
        client: Peer,
        /// The keys that sign for this session, one per side.
        keys: Vec<(Side, PublicKey)>,
    },
    SessionRefused {
        subject: String,
        resource: String,
        why: &'static str,
    },
    /// The last record of a side. What it sums up is counted where it is written.
    SessionClosed {
        why: &'static str,
    },
    CredentialMinted {
        source: &'static str,
        role: String,
    },
    CredentialRevoked {
        source: &'static str,
        role: String,
        ended: u32,
        dropped: bool,
    },
    CredentialSwept {
        source: &'static str,
        role: String,
    },
    /// From here on the session's statements are decided by another policy than the one it was opened with.
    /// Somebody had the masking views taken out of a database.
    MasksRemoved {
        subject: String,
        resource: String,
    },
    PolicyChanged {
        policy: Digest,
    },
    StreamOpened {
        stream: u32,
        application: String,
    },
    StreamClosed {
        stream: u32,
        why: &'static str,
    },
    Cancelled {
        stream: u32,
    },
    /// Written before the statement is forwarded, or instead of forwarding it.
    StatementStarted(StatementStart),
    /// Written after the database answered, or when it is known that the answer cannot be known.
    StatementEnded(StatementEnd),
    /// A transaction was rolled back because of what it had changed.
    TransactionRefused {
        /// The last statement that ran in it.
        last: StatementId,
        why: &'static str,
        /// Rows changed in all tables.
        changed: u64,
        /// Rows that might have been.
        allowed: u64,
    },
    /// A value of a masked column was about to go out as it is; its row did not, and the session ends.
    Tripped {
        /// What was being answered.
        last: StatementId,
        /// The column it is of: `schema.relation.column`.
        column: String,
    },
    /// How the two accounts of a session that is over compare.
    Reconciled(SessionBalance),
    /// An approval was asked for, or came to another state.
    Approval {
        id: ApprovalId,
        /// `None` when it was just asked for.
        from: Option<ApprovalState>,
        to: ApprovalState,
        /// The pseudonym of whoever did it; `None` for time and the machine.
        by: Option<String>,
        resource: String,
        /// What it is bound to.
        digest: Digest,
        /// What it is about, in a word: a statement, access, or access that was taken.
        about: &'static str,
    },
    /// Somebody read the log.
    AuditRead {
        subject: String,
        what: String,
    },
    /// Somebody had everything destroyed that leads from the records to a person, and the keys of what that person typed.
    Erased {
        subject: String,
        /// The pseudonym of who was erased.
        person: String,
        /// Why, as a reference: a ticket, an article of law.
        why: String,
        keys: Vec<TextKeyId>,
    },
    /// Somebody made a pack of evidence.
    EvidencePacked {
        subject: String,
        /// SHA-256 of the list of what is in it.
        digest: Digest,
    },
    /// A record found after a crash that its own key had not signed yet; whoever found it vouches for having found
    /// it, not for what it says.
    Recovered {
        key: PublicKey,
        /// The record as it was found: one JSON object on one line.
        record: String,
        /// The raw text that was found with it, sealed; empty where there was none.
        sealed: Vec<u8>,
    },
    /// A statement that a process which no longer runs had started and not ended: it may have run.
    StatementUnknown {
        id: StatementId,
        /// The key that signed its start.
        key: PublicKey,
    },
    /// Places of the journal that should hold records and cannot be read.
    Lost {
        /// How many journal entries are missing.
        entries: u64,
        /// Whether they had been reported as durable: then the disk, or somebody, took them back.
        acknowledged: bool,
    },
}

/// How many statements of a session there are for each result of comparing the client's account with the gateway's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionBalance {
    pub(crate) session: SessionId,
    /// The client's account is whole; otherwise it was waited for in vain.
    pub(crate) client_closed: bool,
    pub(crate) matched: u64,
    /// The client forwarded nothing.
    pub(crate) refused_by_client: u64,
    pub(crate) client_only: u64,
    pub(crate) gateway_only: u64,
    pub(crate) mismatch: u64,
    pub(crate) unknown: u64,
    /// Held, or without an end.
    pub(crate) open: u64,
}

impl SessionBalance {
    /// A session without statements.
    pub(crate) fn of(session: SessionId, client_closed: bool) -> Self {
        Self {
            session,
            client_closed,
            matched: 0,
            refused_by_client: 0,
            client_only: 0,
            gateway_only: 0,
            mismatch: 0,
            unknown: 0,
            open: 0,
        }
    }

    /// Somebody has left something out, or lied.
    pub(crate) fn is_bad(&self) -> bool {
        self.client_only > 0 || self.mismatch > 0 || (self.client_closed && self.gateway_only > 0)
    }
}

/// Where a session is used from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Address the gateway saw.
    pub(crate) address: String,
    /// `user@host` as the client states it; not proved.
    pub(crate) host: String,
    /// The client's version.
    pub(crate) version: String,
}

/// What was asked, and what was decided.
#[derive(Clone, Debug)]
pub(crate) struct StatementStart {
    pub(crate) id: StatementId,
    pub(crate) statement: Arc<Statement>,
    /// HMAC-SHA256 of the raw bytes under the session's text key: equal on both sides for equal bytes, and worthless
    /// to whoever does not have the key.
    pub(crate) raw_hmac: Digest,
    /// The raw text itself, where such texts are kept.
    pub(crate) sealed: Option<Arc<SealedText>>,
    pub(crate) verdict: Verdict,
    /// The rules that fired, strictest first, with what each asked for.
    pub(crate) rules: Arc<[(&'static str, Action)]>,
    /// What it runs by, where somebody had to agree.
    pub(crate) approval: Option<ApprovalId>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StatementEnd {
    pub(crate) id: StatementId,
    pub(crate) outcome: Outcome,
    /// Rows returned, or affected where none are returned.
    pub(crate) rows: u64,
    /// Bytes of row data sent to the client.
    pub(crate) bytes: u64,
    /// Result columns that were masked.
    pub(crate) masked_columns: u32,
    /// Cells in which something was masked.
    pub(crate) masked_cells: u64,
    pub(crate) shown: Shown,
    pub(crate) took: Duration,
}

/// What the columns of a result hold whose rows went out, in the words of classification. What was compared and not
/// returned is in neither.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) masked: BTreeSet<&'static str>,
    pub(crate) clear: BTreeSet<&'static str>,
}

impl Shown {
    /// What went out in several results together.
    pub(crate) fn add(&mut self, other: Self) {
        self.masked.extend(other.masked);
        self.clear.extend(other.clear);
    }
}

/// How a statement ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Ok,
    /// The five characters of the SQLSTATE; never the message, which can hold values.
    Error {
        sqlstate: [u8; 5],
    },
    /// It may have run: the connection ended before the database said so.
    Unknown,
}
