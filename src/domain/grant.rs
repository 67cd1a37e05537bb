//! This identity may use this resource for this purpose, with these limits, until then.

use super::column::ColumnName;
use super::digest::Digest;
use super::id::{PurposeId, ResourceName, SessionId};
use super::identity::Identity;
use super::resource::Labels;
use super::time::Timestamp;

/// How much of a resource a grant opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Access {
    Read,
    Write,
}

impl Access {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// Where sensitive values are masked for a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Masking {
    /// In the database: the session's role has no right on what is sensitive, and sees views that mask it.
    Database,
    /// On the way: the role reads what is sensitive, and everything that comes back is masked as far as it is understood.
    Wire,
}

impl Masking {
    /// The same wherever a session is shown or recorded: whoever reads it learns what it is worth.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Database => "in-database",
            Self::Wire => "on-wire (reduced guarantee)",
        }
    }

    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::Database, Self::Wire].into_iter().find(|masking| masking.word() == word)
    }
}

/// Why somebody connects: an entry of the configured list, and what it refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Purpose {
    pub(crate) id: PurposeId,
    /// A ticket or incident, checked against the purpose's pattern.
    pub(crate) reference: Option<String>,
}

/// What one session may use up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Database connections open at the same time.
    pub(crate) connections_max: u32,
    /// Rows returned by one statement; `None` is without limit.
    pub(crate) rows_max: Option<u64>,
}

/// A session's right, as both ends hold it. Signed by the server when it crosses the wire.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) session: SessionId,
    pub(crate) identity: Identity,
    pub(crate) resource: ResourceName,
    pub(crate) labels: Labels,
    pub(crate) purpose: Option<Purpose>,
    pub(crate) access: Access,
    /// Masked columns whose real values it was opened to see, with their schemas. Each statement that shows one is
    /// judged.
    pub(crate) reveal: Vec<ColumnName>,
    pub(crate) masking: Masking,
    pub(crate) limits: Limits,
    pub(crate) opened_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    /// Digest of the policy both ends decide by. A session whose two ends differ is refused.
    pub(crate) policy: Digest,
}
