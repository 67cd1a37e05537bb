//! The form of `gov.yaml`: sections and their keys, as written. What they mean is decided in `check.rs`.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;

use serde::Deserialize;

use super::secret::SecretSource;
use super::values::{LabelName, Length, OneOrMany, Parsed, Plain, Size, Unique, UserName};
use crate::domain::{AgentId, PurposeId, ResourceName, WorkloadId};
use crate::engine::{OperationWord, Overrules, PolicySource};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) server: ServerSection,
    pub(super) identity: Option<IdentitySection>,
    #[serde(default)]
    pub(super) audit: AuditSection,
    #[serde(default)]
    pub(super) resources: Unique<ResourceName, ResourceSection>,
    #[serde(default)]
    pub(super) purposes: Unique<PurposeId, PurposeSection>,
    /// Labels; a resource that carries all those of one entry is for stated purposes only.
    #[serde(default)]
    pub(super) require_purpose: Vec<Unique<LabelName, String>>,
    #[serde(default)]
    pub(super) agents: Unique<AgentId, AgentSection>,
    #[serde(default)]
    pub(super) workloads: Unique<WorkloadId, WorkloadSection>,
    #[serde(default)]
    pub(super) access: Vec<AccessSection>,
    /// Groups whose members see and end everybody's sessions.
    #[serde(default)]
    pub(super) operators: Vec<String>,
    #[serde(default)]
    pub(super) auditors: Vec<String>,
    #[serde(default)]
    pub(super) approvals: ApprovalsSection,
    #[serde(default)]
    pub(super) policy: PolicySource,
    #[serde(default)]
    pub(super) masks: Overrules,
    #[serde(default)]
    pub(super) users: Unique<UserName, UserSection>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServerSection {
    pub(super) listen: Parsed<SocketAddr>,
    pub(super) url: Option<String>,
    pub(super) tls: Option<ServerTlsSection>,
    pub(super) data: PathBuf,
    pub(super) key: Option<SecretSource>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServerTlsSection {
    pub(super) certificate: PathBuf,
    pub(super) key: SecretSource,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IdentitySection {
    pub(super) issuer: String,
    pub(super) client_id: String,
    pub(super) scopes: Option<Vec<String>>,
    pub(super) audience: Option<String>,
    pub(super) resource: Option<String>,
    pub(super) groups_claim: Option<String>,
    pub(super) name_claim: Option<String>,
    pub(super) ca: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditSection {
    pub(super) durability: Option<DurabilityWord>,
    #[serde(default)]
    pub(super) witnesses: Vec<WitnessSection>,
    #[serde(default)]
    pub(super) raw_sql: RawSqlWord,
}

/// Whether statements are kept as they were typed.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawSqlWord {
    #[default]
    Off,
    Encrypted,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WitnessSection {
    pub(super) url: String,
    pub(super) key: String,
    pub(super) ca: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ApprovalsSection {
    pub(super) approvers: Option<OneOrMany<String>>,
    pub(super) quorum: Option<std::num::NonZeroUsize>,
    pub(super) wait: Option<Length>,
    pub(super) keep: Option<Length>,
    #[serde(default)]
    pub(super) webhooks: Vec<WebhookSection>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhookSection {
    pub(super) url: String,
    pub(super) secret: SecretSource,
    pub(super) form: Option<WebhookWord>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum WebhookWord {
    Json,
    Slack,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum DurabilityWord {
    Written,
    Synced,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ResourceSection {
    pub(super) url: String,
    pub(super) password: Option<SecretSource>,
    pub(super) tls: Option<DatabaseTlsSection>,
    #[serde(default)]
    pub(super) labels: Unique<LabelName, String>,
    pub(super) credential: Option<CredentialWord>,
    #[serde(default)]
    pub(super) roles: RolesSection,
    pub(super) masking: Option<MaskingWord>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DatabaseTlsSection {
    pub(super) mode: Option<DatabaseTlsWord>,
    pub(super) ca: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum DatabaseTlsWord {
    VerifyFull,
    Disable,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum CredentialWord {
    PostgresRole,
    Static,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum MaskingWord {
    Database,
    Wire,
    Auto,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RolesSection {
    pub(super) read: Option<String>,
    pub(super) write: Option<String>,
    pub(super) owner: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PurposeSection {
    pub(super) description: String,
    pub(super) reference: Option<String>,
    pub(super) access: Option<AccessWord>,
    /// What statements may do; empty for everything.
    #[serde(default)]
    pub(super) operations: OneOrMany<OperationWord>,
    /// Tags of data it is for; empty for all.
    #[serde(default)]
    pub(super) tags: OneOrMany<String>,
    pub(super) ttl: Option<Length>,
    #[serde(default)]
    pub(super) resources: OneOrMany<Parsed<ResourceName>>,
    #[serde(default)]
    pub(super) labels: Unique<LabelName, String>,
    #[serde(default)]
    pub(super) who: WhoSection,
    #[serde(default)]
    pub(super) limits: LimitsSection,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AgentSection {
    pub(super) owner: String,
    pub(super) charter: PathBuf,
    pub(super) who: WhoSection,
    #[serde(default)]
    pub(super) resources: OneOrMany<Parsed<ResourceName>>,
    #[serde(default)]
    pub(super) labels: Unique<LabelName, String>,
    pub(super) purposes: OneOrMany<Parsed<PurposeId>>,
    pub(super) access: Option<AccessWord>,
    pub(super) ttl: Option<Length>,
    #[serde(default)]
    pub(super) limits: LimitsSection,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WorkloadSection {
    pub(super) platform: PlatformWord,
    pub(super) issuer: Option<String>,
    pub(super) audience: Option<String>,
    pub(super) claims: Unique<String, Plain>,
    #[serde(default)]
    pub(super) groups: Vec<String>,
    pub(super) ttl: Option<Length>,
    pub(super) ca: Option<PathBuf>,
    /// A key set in a file, for issuers that the server cannot ask.
    pub(super) keys: Option<PathBuf>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum PlatformWord {
    Github,
    Gitlab,
    Kubernetes,
    Oidc,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitsSection {
    pub(super) statement_rows: Option<NonZeroU64>,
    #[serde(default)]
    pub(super) session: BudgetSection,
    #[serde(default)]
    pub(super) day: BudgetSection,
    pub(super) over: Option<OverWord>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum OverWord {
    End,
    Hold,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BudgetSection {
    pub(super) rows: Option<NonZeroU64>,
    pub(super) bytes: Option<Size>,
    pub(super) statements: Option<NonZeroU64>,
    pub(super) lookups: Option<NonZeroU64>,
    pub(super) time: Option<Length>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum AccessWord {
    Read,
    Write,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AccessSection {
    pub(super) who: WhoSection,
    #[serde(default)]
    pub(super) resources: OneOrMany<Parsed<ResourceName>>,
    #[serde(default)]
    pub(super) labels: Unique<LabelName, String>,
    pub(super) access: AccessWord,
    #[serde(default)]
    pub(super) purposes: OneOrMany<Parsed<PurposeId>>,
    pub(super) ttl: Option<Length>,
    #[serde(default)]
    pub(super) approval: bool,
    pub(super) break_glass: Option<Length>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WhoSection {
    #[serde(default)]
    pub(super) group: OneOrMany<String>,
    #[serde(default)]
    pub(super) subject: OneOrMany<String>,
    #[serde(default)]
    pub(super) kind: OneOrMany<KindWord>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum KindWord {
    Person,
    Workload,
    Agent,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UserSection {
    pub(super) name: Option<String>,
    pub(super) email: Option<String>,
    #[serde(default)]
    pub(super) groups: Vec<String>,
}
