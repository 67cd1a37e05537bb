//! Bodies of the HTTP API under `/v1`: the only serde types that client and server share. Times are RFC 3339 in UTC,
//! lengths of time are whole seconds, binary values are base64url without padding.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{Failure, Kind, Labels};

/// Header that carries a proof of possession (RFC 9449 section 4.1).
pub(crate) const DPOP_HEADER: &str = "dpop";

/// `grant_type` of a token exchange (RFC 8693 section 2.1).
pub(crate) const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// `grant_type` of a device flow's polls (RFC 8628 section 3.4).
pub(crate) const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// `subject_token_type` of OpenID Connect ID tokens (RFC 8693 section 3).
pub(crate) const ID_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:id_token";
/// `subject_token_type` of a token that a platform gave to one of its jobs (RFC 8693 section 3).
pub(crate) const JWT_TYPE: &str = "urn:ietf:params:oauth:token-type:jwt";
/// `subject_token_type` of access tokens that are JWTs (RFC 9068).
pub(crate) const ACCESS_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:access_token";

/// Every error of the API outside `/v1/token`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ErrorBody {
    pub(crate) error: ErrorDetail,
}

/// What happened, more about it, what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ErrorDetail {
    /// One of `usage`, `not_logged_in`, `denied`, `pending`, `limit`, `not_found`, `gateway`, `database`, `internal`.
    pub(crate) kind: String,
    /// What happened: lower case, no full stop.
    pub(crate) message: String,
    /// More about it, in sentences.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<String>,
    /// Something to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
}

const KINDS: [Kind; 9] = [
    Kind::Usage,
    Kind::NotLoggedIn,
    Kind::Denied,
    Kind::Pending,
    Kind::Limit,
    Kind::NotFound,
    Kind::Gateway,
    Kind::Database,
    Kind::Internal,
];

/// The word for a kind of failure on the wire.
pub(crate) fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Usage => "usage",
        Kind::NotLoggedIn => "not_logged_in",
        Kind::Denied => "denied",
        Kind::Pending => "pending",
        Kind::Limit => "limit",
        Kind::NotFound => "not_found",
        Kind::Gateway => "gateway",
        Kind::Database => "database",
        Kind::Internal => "internal",
    }
}

impl From<&Failure> for ErrorBody {
    fn from(failure: &Failure) -> Self {
        Self {
            error: ErrorDetail {
                kind: kind_word(failure.kind).to_owned(),
                message: failure.message.clone(),
                detail: failure.detail.clone(),
                hint: failure.hint.clone(),
            },
        }
    }
}

impl ErrorBody {
    /// The failure as the client shows it. A kind from a newer server counts as the server's fault.
    pub(crate) fn into_failure(self) -> Failure {
        let kind = KINDS.into_iter().find(|kind| kind_word(*kind) == self.error.kind).unwrap_or(Kind::Gateway);
        Failure { kind, message: self.error.message, detail: self.error.detail, hint: self.error.hint }
    }
}

/// An error of OAuth's kind (RFC 6749 section 5.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct OAuthError {
    pub(crate) error: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error_description: Option<String>,
}

/// `GET /v1/server`: what a client must know before anybody is logged in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ServerInfo {
    /// The server's version.
    pub(crate) version: String,
    /// The server's own URL; proofs of possession name it.
    pub(crate) url: String,
    /// The server's time, for telling a clock that is off.
    pub(crate) time: String,
    pub(crate) issuer: IssuerInfo,
    /// The Ed25519 key that signs tokens, grants and records.
    pub(crate) key: ServerKey,
    /// The same key as the one that signs the log's checkpoints: `name+id+key` (c2sp.org/signed-note).
    pub(crate) log: String,
}

/// The identity provider to log in with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct IssuerInfo {
    /// `iss`; discovery is below it at `/.well-known/openid-configuration`.
    pub(crate) url: String,
    pub(crate) client_id: String,
    pub(crate) scopes: Vec<String>,
    /// `resource` to ask for (RFC 8707), where the provider's access tokens are used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) resource: Option<String>,
    /// Which of the provider's tokens the server takes: `id_token` or `access_token`.
    pub(crate) token: String,
    /// Whether it is the issuer built into this server, which asks for no passwords.
    pub(crate) built_in: bool,
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ServerKey {
    /// RFC 7638 thumbprint.
    pub(crate) id: String,
    /// The 32 bytes of an Ed25519 public key.
    pub(crate) public_key: String,
}

/// `POST /v1/token`, form encoded: a token exchange (RFC 8693 section 2.1), with a proof of possession in the header.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TokenRequest {
    pub(crate) grant_type: String,
    pub(crate) subject_token: String,
    pub(crate) subject_token_type: String,
    /// An agent that is to act for the subject, whose token is then one of this server. The agent proves nothing by
    /// itself: what it gets is less than what the subject has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) requested_actor: Option<String>,
}

/// A server token (RFC 8693 section 2.2.1), bound to the key that made the proof.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TokenResponse {
    pub(crate) access_token: String,
    pub(crate) issued_token_type: String,
    pub(crate) token_type: String,
    pub(crate) expires_in: u64,
}

/// `POST /issuer/device_authorization`, form encoded (RFC 8628 section 3.1), at the built-in issuer. The last two are
/// ours: what the page shows to the person who is asked.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) struct DeviceRequest {
    pub(crate) client_id: String,
    #[serde(default)]
    pub(crate) scope: String,
    /// `user@host` of the device, as it states it.
    #[serde(default)]
    pub(crate) gov_host: String,
    /// The version of the client.
    #[serde(default)]
    pub(crate) gov_version: String,
}

/// A started device flow (RFC 8628 section 3.2).
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct DeviceResponse {
    pub(crate) device_code: String,
    pub(crate) user_code: String,
    pub(crate) verification_uri: String,
    pub(crate) verification_uri_complete: String,
    pub(crate) expires_in: u64,
    pub(crate) interval: u64,
    /// The number that terminal and page must both show.
    pub(crate) gov_number: String,
}

/// `POST /issuer/token`, form encoded, at the built-in issuer.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct IssuerTokenRequest {
    pub(crate) grant_type: String,
    pub(crate) client_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) device_code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refresh_token: Option<String>,
}

/// Tokens of the built-in issuer (OpenID Connect Core 1.0 section 3.1.3.3).
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct IssuerTokenResponse {
    /// Good for nothing: the built-in issuer protects no resources of its own. OAuth requires it.
    pub(crate) access_token: String,
    pub(crate) token_type: String,
    pub(crate) expires_in: u64,
    pub(crate) refresh_token: String,
    pub(crate) id_token: String,
}

/// `POST /issuer/revoke`, form encoded (RFC 7009 section 2.1).
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct RevokeRequest {
    pub(crate) token: String,
    pub(crate) client_id: String,
}

/// `POST /issuer/device`: what the form of the page sends.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) struct DeviceAnswer {
    /// Equal to the cookie of the same name.
    pub(crate) csrf: String,
    pub(crate) user_code: String,
    /// `approve`; anything else is a denial.
    #[serde(default)]
    pub(crate) decision: String,
    #[serde(default)]
    pub(crate) user: String,
    #[serde(default)]
    pub(crate) number: String,
}

/// `GET /v1/me`: the login as the server sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Me {
    /// What to call them on a screen.
    pub(crate) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) email: Option<String>,
    pub(crate) issuer: String,
    /// `sub` at the issuer.
    pub(crate) subject: String,
    /// The name in records.
    pub(crate) pseudonym: String,
    /// `person`, `workload` or `agent`.
    pub(crate) kind: String,
    /// Who acts for them, the nearest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) actors: Vec<ActorEntry>,
    pub(crate) groups: Vec<String>,
    /// When the identity provider last saw them.
    pub(crate) proved_at: String,
    /// When this token ends; a client renews it by itself.
    pub(crate) expires_at: String,
}

/// Somebody who acts for another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ActorEntry {
    /// `agent` or `workload`.
    pub(crate) kind: String,
    pub(crate) id: String,
    /// SHA-256 of the text that says what an agent is for, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) charter: Option<String>,
}

/// `GET /v1/resources`: what the caller may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ResourceList {
    pub(crate) resources: Vec<ResourceEntry>,
    /// What the purposes that they are open for mean.
    #[serde(default)]
    pub(crate) purposes: Vec<PurposeEntry>,
}

/// `POST /v1/resources/{resource}/explain`: a statement that is not to be run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ExplainRequest {
    pub(crate) sql: String,
    /// In a session of which kind: `read` or `write`.
    pub(crate) access: String,
    /// Masked columns whose real values the session was opened to see.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) reveal: Vec<String>,
    /// How many rows the planner is taken to expect; it is asked only when the statement is to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) estimated_rows: Option<u64>,
}

/// What would happen to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Explanation {
    /// Where the session would be masked: `in-database`, or `on-wire (reduced guarantee)`.
    pub(crate) masking: String,
    /// Why it would not be masked in the database, a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) masking_reason: Option<String>,
    /// Why it would not run, or not yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refused: Option<Refused>,
    /// What is decided by how many rows the planner expects, from the fewest on; nothing where it does not depend on that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) by_estimate: Vec<ExplainedEstimate>,
    /// Columns of which it compares masks, where the database shows masks: it finds no values by them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) compares: Vec<ExplainedComparison>,
    /// The columns of its result; none when it returns none.
    pub(crate) columns: Vec<ExplainedOutput>,
}

/// A column of which masks are compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ExplainedComparison {
    /// With its table.
    pub(crate) column: String,
    /// What a session is told.
    pub(crate) message: String,
    /// What finds values all the same.
    pub(crate) detail: String,
}

/// What is decided for some numbers of rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ExplainedEstimate {
    /// The most rows it is decided so for, behind those of the one before; without it there is no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rows_max: Option<u64>,
    /// `allow`, `hold` or `deny`.
    pub(crate) verdict: String,
}

/// Why a statement would not run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Refused {
    /// `hold` (somebody else must agree first) or `deny`.
    pub(crate) verdict: String,
    pub(crate) rule: String,
    pub(crate) message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
}

/// What becomes of a column of a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ExplainedOutput {
    /// Its name; `*` for all of them, when the text does not say how many there are.
    pub(crate) name: String,
    /// `clear`, `watched` (values that look sensitive are masked), `masked` or `hidden`.
    pub(crate) mask: String,
    /// What it is masked as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) entity: Option<String>,
    pub(crate) from: Vec<ExplainedFrom>,
}

/// What a column's values come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ExplainedFrom {
    /// `schema.table.column`, or in words what is no column.
    pub(crate) name: String,
    /// How it shows in them, in words.
    pub(crate) how: String,
}

/// `POST /v1/resources/{resource}/unmask`: what is to go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Unmask {
    /// Masks that another gateway left behind, by their name, instead of this resource's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) left_behind: Option<String>,
}

/// `POST /v1/resources/{resource}/unmask`: what was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Unmasked {
    /// There was something to take away.
    pub(crate) removed: bool,
    /// What other gateways or resources made there, and is there still.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) others: Vec<OtherMasks>,
}

/// Masks of another gateway, of another resource, or of a key that is no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct OtherMasks {
    pub(crate) name: String,
    /// Why it cannot be taken away by gov.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hindrance: Option<String>,
}

/// `GET /v1/resources/{resource}/classification`: the columns that hold something sensitive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ClassifiedResource {
    pub(crate) resource: String,
    /// Where it is masked for sessions that read: `in-database`, or `on-wire (reduced guarantee)`; `refused` where the
    /// configuration asks for what cannot be had at the moment.
    pub(crate) masking: String,
    /// Why it is not masked in the database, a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) masking_reason: Option<String>,
    pub(crate) columns: Vec<ClassifiedColumn>,
    /// Columns in which something was found, and of which the configuration says that they hold nothing: not masked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) cleared: Vec<ClassifiedColumn>,
    /// How many columns were looked at.
    pub(crate) examined: usize,
    /// How many have not been; all of them is masked until then.
    pub(crate) unexamined: usize,
}

/// What one column holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ClassifiedColumn {
    pub(crate) schema: String,
    pub(crate) relation: String,
    pub(crate) column: String,
    /// The entity's word, or `free_text`.
    pub(crate) entity: String,
    /// 0 to 1.
    pub(crate) confidence: f64,
    /// Why, in words for a person. Never a value.
    pub(crate) evidence: String,
}

/// A reason for access that the caller may state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct PurposeEntry {
    pub(crate) id: String,
    pub(crate) description: String,
    /// The pattern that a reference must have; with it, one must be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reference: Option<String>,
}

/// One database the caller may use, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ResourceEntry {
    pub(crate) name: String,
    /// The database protocol, for example `postgres`.
    pub(crate) protocol: String,
    pub(crate) labels: Labels,
    /// One entry per access rule that fits the caller.
    pub(crate) ways: Vec<Way>,
}

/// One way to use a resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Way {
    /// `read` or `write`.
    pub(crate) access: String,
    /// The purposes it is open for; empty when none need be stated.
    pub(crate) purposes: Vec<String>,
    /// Longest session, in seconds.
    pub(crate) ttl_seconds: u64,
    /// Somebody else must agree first: `POST /v1/requests`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) approval: bool,
}

/// `GET /healthz` and `GET /readyz`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Health {
    /// `ok`.
    pub(crate) status: String,
}

/// An answer without contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Empty {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_cross_the_wire_whole() {
        for kind in KINDS {
            let failure = Failure::new(kind, "a").detail("B.").hint("c");
            let text = serde_json::to_string(&ErrorBody::from(&failure)).unwrap();
            assert_eq!(serde_json::from_str::<ErrorBody>(&text).unwrap().into_failure(), failure);
        }
        let newer = r#"{"error": {"kind": "tomorrow", "message": "a", "more": 1}}"#;
        let failure = serde_json::from_str::<ErrorBody>(newer).unwrap().into_failure();
        assert_eq!(failure, Failure::new(Kind::Gateway, "a"));
    }
}

/// `POST /v1/sessions`: asks for a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SessionRequest {
    pub(crate) resource: String,
    /// `read` or `write`.
    pub(crate) access: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) purpose: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reference: Option<String>,
    /// Masked columns whose real values are to be seen: `table.column` or `schema.table.column`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) reveal: Vec<String>,
    /// Shorter than what the policy allows; longer is cut to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ttl_seconds: Option<u64>,
    /// The Ed25519 public key made for this session: it opens streams and signs the client's records.
    pub(crate) session_key: String,
    /// `user@host`, as the client states it.
    pub(crate) host: String,
    /// The process that holds the session there, as the client states it.
    #[serde(default)]
    pub(crate) process: u32,
    /// The client's version.
    pub(crate) version: String,
}

/// A session that is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct SessionOpened {
    pub(crate) session: String,
    pub(crate) resource: String,
    /// The database protocol.
    pub(crate) protocol: String,
    /// The name of the database that connections are in.
    pub(crate) database: String,
    /// The database role that statements run as.
    pub(crate) role: String,
    /// Schemas in which unqualified names are looked up, until the session says otherwise.
    pub(crate) search_path: Vec<String>,
    pub(crate) labels: Labels,
    pub(crate) access: String,
    /// Masked columns whose real values it was opened to see, with their schemas.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) reveal: Vec<String>,
    /// Where sensitive values are masked: `in-database`, or `on-wire (reduced guarantee)`.
    pub(crate) masking: String,
    /// Why they are not masked in the database, a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) masking_reason: Option<String>,
    pub(crate) opened_at: String,
    pub(crate) expires_at: String,
    /// Database connections at the same time.
    pub(crate) connections_max: u32,
    /// Who it is for: their name in records.
    pub(crate) pseudonym: String,
    /// The policy both ends decide by, in its canonical form.
    pub(crate) policy: String,
    /// SHA-256 of the same, hexadecimal.
    pub(crate) policy_digest: String,
    /// Key under which statements' texts are recorded; the same on both sides.
    pub(crate) text_key: String,
    /// The server's certificate for the session's key: the envelope that begins the client's records.
    pub(crate) certificate: String,
}

/// `GET /v1/sessions/{session}/policy`: the policy a session is decided by now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct PolicyInForce {
    /// In its canonical form; absent when it is the one that the caller knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) policy: Option<String>,
    /// SHA-256 of the same, hexadecimal.
    pub(crate) policy_digest: String,
    /// Why the session is over, where somebody or something ended it; nothing else changes any more then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ended: Option<String>,
}

/// `GET /v1/sessions`: sessions that are open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct SessionList {
    pub(crate) sessions: Vec<SessionEntry>,
}

/// One open session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct SessionEntry {
    pub(crate) session: String,
    pub(crate) resource: String,
    /// What to call whoever has it.
    pub(crate) who: String,
    pub(crate) access: String,
    /// Where sensitive values are masked: `in-database`, or `on-wire (reduced guarantee)`.
    pub(crate) masking: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) purpose: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reference: Option<String>,
    pub(crate) opened_at: String,
    pub(crate) expires_at: String,
    /// Database connections open at the moment.
    pub(crate) connections: u32,
    /// The role in the database.
    pub(crate) role: String,
    /// `user@host` as the client stated it.
    pub(crate) host: String,
    /// The process there, as the client stated it.
    pub(crate) process: u32,
    /// What may be used up of it, and what has been.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) budget: Vec<BudgetEntry>,
}

/// A thing that may be used up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct BudgetEntry {
    /// `session` or `day`: by this session, or by all sessions of the identity since midnight UTC.
    pub(crate) of: String,
    /// `rows`, `bytes`, `statements`, `lookups` (values that masked columns were asked for) or `time_ms`.
    pub(crate) what: String,
    pub(crate) used: u64,
    pub(crate) limit: u64,
}

/// `POST /v1/log/envelopes`: what a client has recorded, for the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UploadRequest {
    /// Signed envelopes (DSSE), each as the line it is written as.
    pub(crate) envelopes: Vec<String>,
    /// Size of the log that the client remembers.
    pub(crate) remembered: u64,
}

/// Proof that the log has what was uploaded. Hashes are hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct UploadReceipt {
    /// The signed checkpoint of a tree that has everything uploaded (c2sp.org/tlog-checkpoint).
    pub(crate) checkpoint: String,
    /// For each envelope, in the order of the upload.
    pub(crate) inclusions: Vec<InclusionProof>,
    /// That this tree begins with the one remembered (RFC 6962 section 2.1.2).
    pub(crate) consistency: Vec<String>,
}

/// Where an envelope is in the log, and the proof of it (RFC 6962 section 2.1.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct InclusionProof {
    pub(crate) leaf: u64,
    pub(crate) proof: Vec<String>,
}

/// `GET /v1/timeline`: what is looked for; everything given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TimelineQuery {
    /// A name, an e-mail address, a subject at the issuer, or a pseudonym. Others than oneself: for operators.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) person: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) resource: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) purpose: Option<String>,
    /// A table, with its schema or without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) table: Option<String>,
    /// What a column holds, in the words of classification: `email`, `us_ssn`; `pii.ssn` is understood too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tag: Option<String>,
    /// An approval: its own story, and what ran by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) approval: Option<String>,
    /// `read`, `insert`, `update`, `delete`, `truncate`, `schema_change`, `drop`, `privilege`, ….
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) operation: Option<String>,
    /// `ok`, `error`, `denied`, `held`, `unknown` or `open`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) outcome: Option<String>,
    /// How the two accounts compare: `matched`, `gateway_only`, `client_only`, `mismatch`, ….
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) books: Option<String>,
    /// A kind of record, for example `session.open`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<String>,
    /// Words that all stand in the statement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
    /// A session, or the first letters of its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) session: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<String>,
    /// Only entries before, or behind, the one with this id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<u32>,
    /// Seconds to wait for something when there is nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) wait_seconds: Option<u64>,
    /// Also connections, credentials, readings of the log.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) all: bool,
}

/// What was found, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TimelinePage {
    pub(crate) entries: Vec<TimelineEntry>,
    /// The sessions they are from.
    pub(crate) sessions: Vec<TimelineSession>,
    /// There is more: older than these, or, where `after` was given, newer.
    pub(crate) more: bool,
}

/// One thing that happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TimelineEntry {
    pub(crate) id: i64,
    pub(crate) at: String,
    /// `statement`, or the kind of the record.
    pub(crate) kind: String,
    /// Which entry of the log says so.
    pub(crate) leaf: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) session: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) statement: Option<String>,
    /// What to call them, unless their name has been erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) who: Option<String>,
    /// Their name in records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) agent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) resource: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) purpose: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reference: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) operations: Vec<String>,
    /// Relations and how each was used, for example `public.orders read`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) objects: Vec<String>,
    /// What the columns hold that it read, compared or wrote.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) tags: Vec<String>,
    /// What of that went out masked, and what as it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) masked_tags: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) clear_tags: Vec<String>,
    /// Functions that it runs and that nobody has reviewed, as `schema.name(types)` and the digest of the body.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) functions: Vec<String>,
    /// The approval it ran by, or is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) approval: Option<String>,
    /// The statement without its literal values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
    /// `allow`, `hold` or `deny`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) action: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) rules: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) outcome: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sqlstate: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rows: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) masked_cells: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) took_us: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
    /// How client and gateway agree about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) books: Option<String>,
}

/// A session as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TimelineSession {
    pub(crate) session: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) who: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) agent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) resource: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) access: Option<String>,
    /// Where sensitive values were masked: `in-database`, or `on-wire (reduced guarantee)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) masking: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) purpose: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reference: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) opened_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) closed_at: Option<String>,
    /// Why it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
    /// Its statements, counted by how client and gateway agree about them.
    pub(crate) books: std::collections::BTreeMap<String, u64>,
}

/// `GET /v1/timeline/access`: which accesses are meant; everything given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AccessQuery {
    /// What a column holds, in the words of classification: `email`, `us_ssn`; `pii.ssn` is understood too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tag: Option<String>,
    /// A name, an e-mail address, a subject at the issuer, or a pseudonym. Others than oneself: for operators.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) person: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) resource: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<String>,
}

/// Who touched what; by kind of data, what went out clear first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct AccessReport {
    pub(crate) access: Vec<AccessEntry>,
}

/// What one person touched of one kind of data, in one way and for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct AccessEntry {
    pub(crate) tag: String,
    /// `clear`, `masked`, or `not_shown` for what was compared or written and not returned.
    pub(crate) shown: String,
    /// What to call them, unless their name has been erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) who: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) agent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) resource: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) purpose: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) approval: Option<String>,
    pub(crate) statements: u64,
    /// Rows that these statements returned, or changed.
    pub(crate) rows: u64,
    pub(crate) first: String,
    pub(crate) last: String,
}

/// `GET /v1/log/own`: where to go on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct OwnQuery {
    /// Only envelopes behind this leaf.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<u64>,
    /// Size of the log that the client remembers.
    pub(crate) remembered: u64,
}

/// `GET /v1/sessions/{session}/raw`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawQuery {
    /// Only what came behind this leaf of the log: `after` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<u64>,
}

/// Some of a session's statements as they were typed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct RawPage {
    /// Raw texts are being kept at present.
    pub(crate) kept: bool,
    pub(crate) texts: Vec<RawEntry>,
    /// Where the next page begins; nothing when this was behind the last.
    pub(crate) after: Option<u64>,
}

/// One statement as it was typed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct RawEntry {
    pub(crate) at: String,
    /// Its number, as in the timeline; what never ran for good has none.
    pub(crate) statement: Option<String>,
    /// `allow`, `hold` or `deny`.
    pub(crate) action: Option<String>,
    /// `kept`, `erased`, or what should not be: `missing`, `damaged`.
    pub(crate) state: String,
    /// It was longer than what is kept.
    pub(crate) cut: bool,
    pub(crate) text: Option<String>,
}

/// `POST /v1/people/erase`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EraseRequest {
    /// A name, an e-mail address, a subject at the issuer, or a pseudonym.
    pub(crate) subject: String,
    /// A reference that stays in the log for good. It must not name the person.
    pub(crate) reason: String,
}

/// What is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Erased {
    /// Keys that were destroyed: one for each month in which something was typed.
    pub(crate) keys: u64,
}

/// `POST /v1/log/evidence`: what was made of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EvidenceRequest {
    /// SHA-256 of the list of files, in hexadecimal.
    pub(crate) digest: String,
}

/// It is on record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct EvidenceRecorded {
    pub(crate) at: String,
}

/// What the log has of the caller's own sessions, with the proof that it is in there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct OwnEnvelopes {
    pub(crate) envelopes: Vec<String>,
    pub(crate) receipt: UploadReceipt,
}

/// `GET /v1/approvals`: requests for approval that the caller made or may decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ApprovalList {
    pub(crate) approvals: Vec<ApprovalEntry>,
}

/// One request for approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ApprovalEntry {
    pub(crate) approval: String,
    /// `pending`, `approved`, `executing`, `executed`, `failed`, `unknown`, `denied`, `expired`, `withdrawn`, `revoked`,
    /// `lapsed`, `stale` or `reviewed`.
    pub(crate) state: String,
    /// `statement`, `access`, or `break_glass` for access that was taken.
    #[serde(default)]
    pub(crate) about: String,
    /// Until when somebody has to review it; absent when nobody has to, or somebody has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) review_by: Option<String>,
    /// What to call whoever asks.
    pub(crate) who: String,
    /// `person`, `workload` or `agent`.
    pub(crate) kind: String,
    /// Who acts for them, the nearest first.
    #[serde(default)]
    pub(crate) actors: Vec<String>,
    pub(crate) resource: String,
    pub(crate) access: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) purpose: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reference: Option<String>,
    /// The rule that asks for it.
    pub(crate) rule: String,
    /// What the statement does.
    pub(crate) message: String,
    pub(crate) asked_at: String,
    /// Until when it can be approved.
    pub(crate) approve_by: String,
    /// Until when it can be used.
    pub(crate) execute_by: String,
    /// Distinct persons who must agree, and how many have.
    pub(crate) needed: u32,
    pub(crate) agreed: u32,
    /// The caller may decide.
    pub(crate) yours: bool,
}

/// `GET /v1/approvals/{approval}`: everything somebody who decides should see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ApprovalShown {
    #[serde(flatten)]
    pub(crate) entry: ApprovalEntry,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<String>,
    /// The statement as it was sent; forgotten once the request has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
    /// The values bound to it.
    #[serde(default)]
    pub(crate) values: Vec<Option<String>>,
    /// The statement with its literals out.
    pub(crate) normalized: String,
    pub(crate) operations: Vec<String>,
    pub(crate) objects: Vec<ApprovalObject>,
    pub(crate) search_path: Vec<String>,
    /// It runs inside a transaction of the requester's own.
    pub(crate) in_transaction: bool,
    /// Rows it may change before it is rolled back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rows_max: Option<u64>,
    /// Rows the database's planner expects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) estimate: Option<u64>,
    /// What it is bound to, SHA-256.
    pub(crate) digest: String,
    /// What was said when it was decided.
    #[serde(default)]
    pub(crate) remarks: Vec<String>,
}

/// A relation that a held statement touches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ApprovalObject {
    pub(crate) name: String,
    /// `read`, `write` or `define`.
    pub(crate) touch: String,
    #[serde(default)]
    pub(crate) tags: Vec<String>,
}

/// `POST /v1/approvals/{approval}/approve`, `…/deny` and `…/withdraw`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApprovalDecision {
    /// Why, for the requester and the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

/// `POST /v1/requests`: access that is asked for, or taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccessRequest {
    pub(crate) resource: String,
    /// `read` or `write`.
    pub(crate) access: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) purpose: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reference: Option<String>,
    /// Why, for those who decide and for the record.
    pub(crate) reason: String,
    /// How long it is needed; longer than the policy allows is cut to that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ttl_seconds: Option<u64>,
    /// It cannot wait: take it now, where the policy allows that, and have it reviewed.
    #[serde(default)]
    pub(crate) break_glass: bool,
}

/// `POST /v1/approvals/{approval}/rehearse`: what the statement would have changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Rehearsal {
    /// Rows changed in all tables, triggers and cascades included. All of it was rolled back.
    pub(crate) changed: u64,
    pub(crate) tables: Vec<RehearsedTable>,
}

/// Rows that would change in one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct RehearsedTable {
    pub(crate) table: String,
    pub(crate) changed: u64,
}

/// `GET /v1/sessions/{session}/masks`: what is known to be masked in the database of a session. Values that look like
/// something else's are masked wherever they stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct MaskList {
    pub(crate) columns: Vec<MaskedColumn>,
}

/// A column of which the rows are masked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct MaskedColumn {
    pub(crate) schema: String,
    pub(crate) relation: String,
    pub(crate) column: String,
    /// What it holds, for example `email`.
    pub(crate) holds: String,
}
