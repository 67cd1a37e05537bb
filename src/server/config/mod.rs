//! What the server was told, checked. Whoever holds a [`Config`] need not check anything again.
//!
//! A configuration comes from a file ([`file`]) or from the command line of `gov server --dev` ([`inline`]); both end
//! here, as the same type.

mod check;
mod file;
mod inline;
mod place;
mod secret;
mod sections;
mod upstream;
mod values;

pub(crate) use check::Mistake;
#[cfg(test)]
pub(crate) use file::parse;
pub(crate) use file::{FILE_MAX, Outline, outline, read};
pub(crate) use inline::{BadArgument, development, resource, user};
pub(crate) use place::{line, place};

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::audit::NoteKey;
use crate::domain::{
    Access, AgentId, Budget, Digest, Duration, Identity, IdentityKind, Labels, ProtocolName, PurposeId, ResourceName,
    Secret, WorkloadId,
};
use crate::engine::{Overrules, PolicySource};
use crate::identity::claims::ClaimRules;
use crate::identity::jwt::KeySet;
use crate::identity::workload::WorkloadRule;
pub(crate) use crate::runtime::pump::Durability;
use crate::runtime::tls::{CertifiedPem, Trust};

/// Everything a server is told.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) listen: SocketAddr,
    /// `https://host[:port]` as clients know it. `None`: the address that was bound, for a server on loopback.
    pub(crate) url: Option<String>,
    pub(crate) tls: TlsIdentity,
    /// Where the server keeps what must survive.
    pub(crate) data: PathBuf,
    /// The key under which the server's own secrets are sealed. `None`: a file in the data folder.
    pub(crate) key: Option<Secret<[u8; 32]>>,
    pub(crate) identity: IdentitySource,
    pub(crate) durability: Durability,
    /// Who is asked to sign the log's checkpoints.
    pub(crate) witnesses: Vec<Witness>,
    /// Statements are kept as they were typed, encrypted.
    pub(crate) raw_texts: bool,
    pub(crate) resources: BTreeMap<ResourceName, Resource>,
    pub(crate) purposes: BTreeMap<PurposeId, PurposeRule>,
    /// Labels; a resource that carries all those of one entry is for stated purposes only.
    pub(crate) require_purpose: Vec<Labels>,
    pub(crate) agents: BTreeMap<AgentId, Agent>,
    pub(crate) workloads: BTreeMap<WorkloadId, Workload>,
    pub(crate) access: Vec<AccessRule>,
    /// Groups whose members see and end everybody's sessions.
    pub(crate) operators: Vec<String>,
    /// Groups whose members read statements as they were typed, and erase persons.
    pub(crate) auditors: Vec<String>,
    pub(crate) approvals: ApprovalRules,
    /// What differs from the built-in guardrails.
    pub(crate) policy: PolicySource,
    /// What people say about columns, against what was found.
    pub(crate) masks: Overrules,
}

impl Config {
    /// May agree to what others ask for. Only people, and only themselves: an agent's word is nobody's.
    pub(crate) fn is_approver(&self, identity: &Identity) -> bool {
        identity.acting() == IdentityKind::Person
            && identity.groups.iter().any(|group| self.approvals.approvers.contains(group))
    }

    /// May read statements as they were typed, and erase persons. Only people.
    pub(crate) fn is_auditor(&self, identity: &Identity) -> bool {
        identity.acting() == IdentityKind::Person && identity.groups.iter().any(|group| self.auditors.contains(group))
    }

    /// May see and end sessions of others. Only people: a program that can do so is a way around them.
    pub(crate) fn is_operator(&self, identity: &Identity) -> bool {
        identity.acting() == IdentityKind::Person && identity.groups.iter().any(|group| self.operators.contains(group))
    }
}

/// Somebody who signs a log's checkpoints, and none that contradicts an earlier one.
#[derive(Clone, Debug)]
pub(crate) struct Witness {
    /// What `/add-checkpoint` is added to.
    pub(crate) url: reqwest::Url,
    pub(crate) key: NoteKey,
    pub(crate) trust: Trust,
}

/// Who agrees to what must be approved, and how long that may take.
#[derive(Clone, Debug)]
pub(crate) struct ApprovalRules {
    /// Groups whose members may.
    pub(crate) approvers: Vec<String>,
    /// Distinct persons who must.
    pub(crate) quorum: usize,
    /// How long a statement waits in place.
    pub(crate) wait: Duration,
    /// How long a request that nobody waits for may be approved, and then used.
    pub(crate) keep: Duration,
    /// Who is told about every change.
    pub(crate) webhooks: Vec<Webhook>,
}

/// An address that is told about approvals.
#[derive(Clone, Debug)]
pub(crate) struct Webhook {
    pub(crate) url: reqwest::Url,
    /// What messages are signed with.
    pub(crate) secret: Secret<String>,
    pub(crate) form: WebhookForm,
}

/// How a message is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WebhookForm {
    Json,
    /// What Slack, Mattermost and their kin take at an incoming webhook.
    Slack,
}

/// A statement waits this long when nothing is configured: long enough to reach somebody.
pub(crate) const WAIT_DEFAULT: Duration = Duration::from_secs(15 * 60);

/// A request that nobody waits for is good this long when nothing is configured: a working day.
pub(crate) const KEEP_DEFAULT: Duration = Duration::from_secs(8 * 3600);

/// What the server proves itself with.
#[derive(Clone, Debug)]
pub(crate) enum TlsIdentity {
    /// A certificate for loopback under an authority of this machine's own, made at the first start.
    Loopback,
    Given(CertifiedPem),
}

/// Who says who people are.
#[derive(Clone, Debug)]
pub(crate) enum IdentitySource {
    /// The issuer built into the server, which asks for no passwords. Loopback only.
    BuiltIn(BTreeMap<String, User>),
    Provider(Provider),
}

/// A user of the built-in issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) email: Option<String>,
    pub(crate) groups: Vec<String>,
}

/// An OpenID Connect provider.
#[derive(Clone, Debug)]
pub(crate) struct Provider {
    pub(crate) rules: ClaimRules,
    pub(crate) scopes: Vec<String>,
    /// `resource` (RFC 8707) clients ask for, so that they get an access token for us.
    pub(crate) resource: Option<String>,
    pub(crate) trust: Trust,
}

/// A database, as only the gateway sees it.
#[derive(Clone, Debug)]
pub(crate) struct Resource {
    pub(crate) protocol: ProtocolName,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The user the gateway itself logs in as.
    pub(crate) user: String,
    pub(crate) password: Option<Secret<String>>,
    pub(crate) database: String,
    pub(crate) tls: DatabaseTls,
    pub(crate) labels: Labels,
    pub(crate) credential: CredentialKind,
    pub(crate) roles: Roles,
    pub(crate) masking: MaskingWish,
}

/// Where sensitive values are to be masked for sessions that read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum MaskingWish {
    /// In the database, or not at all: without it sessions are refused.
    Database,
    /// On the way.
    Wire,
    /// In the database where that can be had and is in nobody's way, on the way elsewhere; the session says which, and why.
    #[default]
    Auto,
}

/// How the gateway reaches a database.
#[derive(Clone, Debug)]
pub(crate) enum DatabaseTls {
    Off,
    /// The database must prove its name under this trust.
    Verified(Trust),
}

/// Where a session's database credential comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CredentialKind {
    /// A role made for the session and dropped after it.
    PostgresRole,
    /// The gateway's own user for everyone: what is left where roles cannot be made.
    Static,
}

/// Group roles that session roles are members of. A session for an access without a role is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Roles {
    pub(crate) read: Option<String>,
    pub(crate) write: Option<String>,
    /// Owns what write sessions create.
    pub(crate) owner: Option<String>,
}

/// A reason for access that may be stated.
#[derive(Clone, Debug)]
pub(crate) struct PurposeRule {
    pub(crate) description: String,
    /// What a reference must look like; with it, one must be given.
    pub(crate) reference: Option<regex::Regex>,
    /// The most it opens.
    pub(crate) access: Access,
    pub(crate) ttl: Option<Duration>,
    /// What it may be stated for.
    pub(crate) reach: Reach,
    /// Who may state it; empty for everybody whom an access rule lets in.
    pub(crate) who: Who,
    pub(crate) bounds: Bounds,
}

impl PurposeRule {
    /// The pattern as it was written, without what makes it match a whole text.
    pub(crate) fn pattern(&self) -> Option<&str> {
        let pattern = self.reference.as_ref()?.as_str();
        Some(pattern.strip_prefix("^(?:").and_then(|rest| rest.strip_suffix(")$")).unwrap_or(pattern))
    }
}

/// Some of the resources. Every list that is not empty must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reach {
    pub(crate) resources: Vec<ResourceName>,
    /// Labels a resource must carry, all of them.
    pub(crate) labels: Labels,
}

/// How much may be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Rows returned by one statement.
    pub(crate) statement_rows: Option<u64>,
    /// By one session.
    pub(crate) session: Budget,
    /// By one identity in a day of UTC.
    pub(crate) day: Budget,
    /// What becomes of a session when nothing is left; `None` is [`Over::End`] where nobody says otherwise.
    pub(crate) over: Option<Over>,
}

/// What becomes of a session that has used up a budget. The stricter one is the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Over {
    /// Somebody must agree to each further statement.
    Hold,
    /// It ends.
    End,
}

impl Bounds {
    /// Both: of each amount the smaller.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            statement_rows: self.statement_rows.into_iter().chain(other.statement_rows).min(),
            session: self.session.and(other.session),
            day: self.day.and(other.day),
            over: self.over.max(other.over),
        }
    }
}

/// A program that may act for people, and is trusted less than they are.
#[derive(Clone, Debug)]
pub(crate) struct Agent {
    /// Who answers for it: `sub` at the issuer.
    pub(crate) owner: String,
    /// SHA-256 of the text that says what it is for.
    pub(crate) charter: Digest,
    /// For whom it may act.
    pub(crate) who: Who,
    pub(crate) reach: Reach,
    /// The purposes it may state. It must state one.
    pub(crate) purposes: Vec<PurposeId>,
    /// The most it gets.
    pub(crate) access: Access,
    pub(crate) ttl: Option<Duration>,
    pub(crate) bounds: Bounds,
}

/// Jobs and services that may log in with a token of their platform.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    pub(crate) rule: WorkloadRule,
    pub(crate) keys: WorkloadKeys,
}

/// Where the keys come from that sign a platform's tokens.
#[derive(Clone, Debug)]
pub(crate) enum WorkloadKeys {
    /// The issuer publishes them; whom to believe about its address.
    Published(Trust),
    Given(KeySet),
}

/// Who may use what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AccessRule {
    pub(crate) who: Who,
    pub(crate) reach: Reach,
    pub(crate) access: Access,
    /// Purposes it is open for; empty when none need be stated.
    pub(crate) purposes: Vec<PurposeId>,
    /// Longest session; where access is asked for, also how long it is given.
    pub(crate) ttl: Duration,
    /// It gives nothing by itself: access is asked for, and somebody else agrees.
    pub(crate) approval: bool,
    /// In an emergency access may be taken for this long, and is reviewed later.
    pub(crate) break_glass: Option<Duration>,
}

/// Whom an access rule is for. Every list that is not empty must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Who {
    pub(crate) groups: Vec<String>,
    /// `sub` at the issuer: names and addresses change hands, subjects do not.
    pub(crate) subjects: Vec<String>,
    pub(crate) kinds: Vec<IdentityKind>,
}

/// A commented configuration, for `gov server --print-example-config`.
pub(crate) const EXAMPLE: &str = include_str!("example.yaml");

/// The session length when none is configured.
pub(crate) const TTL_DEFAULT: Duration = Duration::from_secs(60 * 60);

/// Longest session that may be configured: a working day with overtime (`reference/trust.md` section 3).
pub(crate) const TTL_MAX: Duration = Duration::from_secs(12 * 60 * 60);

/// The port of a server when none is given: not registered with IANA, and above those that need root.
pub(crate) const PORT_DEFAULT: u16 = 7443;

#[cfg(test)]
mod tests;
