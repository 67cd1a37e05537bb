//! Claims of a workload's token → an identity, by configured rules.
//!
//! CI systems and clusters give every job a token that says which job it is: GitHub Actions, GitLab CI, Kubernetes'
//! projected tokens, and whatever else speaks OpenID Connect. Names in it change hands: whoever takes the name of a
//! repository that was deleted gets tokens with it. So a rule names at least one claim that is never given to another
//! ([`Platform::immutable`]), values are compared whole, and what strangers can set off is refused unless a rule names it.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::claims::{self, ClaimsError, Proved};
use crate::domain::{Duration, Identity, IdentityKind, Method, Timestamp, WorkloadId};

/// Longest token looked at before anybody's signature on it was checked, in bytes. GitHub's have two kilobytes.
const TOKEN_LENGTH_MAX: usize = 16 * 1024;

/// Who gives out the tokens: what their claims mean differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Platform {
    Github,
    Gitlab,
    Kubernetes,
    /// Any other issuer of OpenID Connect tokens, SPIFFE's among them.
    Oidc,
}

impl Platform {
    /// The issuer when none is configured: that of the public service.
    pub(crate) fn issuer(self) -> Option<&'static str> {
        match self {
            Self::Github => Some("https://token.actions.githubusercontent.com"),
            Self::Gitlab => Some("https://gitlab.com"),
            Self::Kubernetes | Self::Oidc => None,
        }
    }

    /// Claims whose values are never given to another, the one that names the workload itself first. A GitHub or GitLab
    /// `sub` is made of names, a Kubernetes one too; OpenID Connect Core 1.0 section 2 asks everybody else never to
    /// reassign it.
    pub(crate) fn immutable(self) -> &'static [&'static str] {
        match self {
            Self::Github => &["repository_id", "repository_owner_id", "enterprise_id"],
            Self::Gitlab => &["project_id", "namespace_id"],
            Self::Kubernetes => &["/kubernetes.io/serviceaccount/uid"],
            Self::Oidc => &["sub"],
        }
    }

    /// The claim that says what set a job off, and its values that somebody without any right in the repository can
    /// bring about, with code or text of their own in the job.
    fn outside(self) -> Option<(&'static str, &'static [&'static str])> {
        match self {
            Self::Github => Some((
                "event_name",
                &[
                    "discussion",
                    "discussion_comment",
                    "fork",
                    "issue_comment",
                    "issues",
                    "pull_request",
                    "pull_request_review",
                    "pull_request_review_comment",
                    "pull_request_target",
                    "watch",
                    "workflow_run",
                ],
            )),
            Self::Gitlab => Some(("pipeline_source", &["external_pull_request_event", "merge_request_event"])),
            Self::Kubernetes | Self::Oidc => None,
        }
    }
}

/// Which tokens of an issuer are taken, and as what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WorkloadRule {
    pub(crate) platform: Platform,
    /// `iss`, compared character by character.
    pub(crate) issuer: String,
    /// `aud`: the token must have been made for us, and for nobody else.
    pub(crate) audience: String,
    /// Claims, by name or JSON pointer, and the values they must have.
    pub(crate) claims: BTreeMap<String, String>,
    /// The groups it is in, for access rules.
    pub(crate) groups: Vec<String>,
    /// How long a login lasts.
    pub(crate) ttl: Duration,
}

/// A workload that proved to be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProvedWorkload {
    pub(crate) proved: Proved,
    /// The issuer's id for the token. Kubernetes before 1.32 and SPIFFE give none.
    pub(crate) token: Option<String>,
    /// How long the login lasts.
    pub(crate) ttl: Duration,
}

/// Who issued a token, by its own account: says whose keys to check it with, and no more.
pub(crate) fn claimed_issuer(token: &str) -> Option<String> {
    if token.len() > TOKEN_LENGTH_MAX {
        return None;
    }
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Map<String, Value> = serde_json::from_slice(&claims).ok()?;
    claims::text(&claims, "iss").map(str::to_owned)
}

/// The workload that a genuine token proves at `now`, by the first rule that fits.
pub(crate) fn identity<'r>(
    rules: impl IntoIterator<Item = (&'r WorkloadId, &'r WorkloadRule)>,
    claims: &Map<String, Value>,
    now: Timestamp,
) -> Result<ProvedWorkload, ClaimsError> {
    let issuer = claims::text(claims, "iss").ok_or(ClaimsError::Missing("iss"))?;
    let audience = claims::list(claims, "aud").ok_or(ClaimsError::Missing("aud"))?;
    let (issued_at, expires_at) = claims::lifetime(claims, now)?;
    let for_us = |rule: &WorkloadRule| rule.issuer == issuer && audience == [rule.audience.as_str()];
    let rules: Vec<_> = rules.into_iter().filter(|(_, rule)| for_us(rule)).collect();
    if rules.is_empty() {
        return Err(ClaimsError::WrongAudience);
    }
    let fits =
        |(_, rule): &&(&WorkloadId, &WorkloadRule)| rule.claims.iter().all(|(name, wanted)| is(claims, name, wanted));
    let (id, rule) = rules.iter().find(fits).ok_or(ClaimsError::NoRule)?;
    refuse_outsiders(rule, claims)?;
    let proved = Proved {
        identity: Identity {
            issuer: issuer.to_owned(),
            subject: subject(id, rule.platform, claims)?,
            name: id.to_string(),
            email: None,
            groups: rule.groups.clone(),
            kind: IdentityKind::Workload,
            actors: Vec::new(),
            method: Method::IdToken,
            proved_at: issued_at,
        },
        expires_at,
    };
    let token = claims::text(claims, "jti").map(str::to_owned);
    Ok(ProvedWorkload { proved, token, ttl: rule.ttl })
}

/// Under whose name a workload acts: the rule that let it in, and what is never given to another. Two rules for one
/// repository are two identities, as two tokens of different jobs should be.
fn subject(id: &WorkloadId, platform: Platform, claims: &Map<String, Value>) -> Result<String, ClaimsError> {
    let name = platform.immutable().first().copied().unwrap_or("sub");
    let value = claims::claim(claims, name).and_then(plain).filter(|value| !value.is_empty());
    let value = value.filter(|value| value.len() <= claims::SUBJECT_LENGTH_MAX).ok_or(ClaimsError::Missing(name))?;
    Ok(format!("{id}:{value}"))
}

/// The rule by whose name a workload acts.
pub(crate) fn rule_of(identity: &Identity) -> Option<WorkloadId> {
    let id = identity.subject.split_once(':')?.0;
    id.parse().ok().filter(|_| identity.kind == IdentityKind::Workload)
}

/// A job that a stranger set off runs in the name of the repository. Whoever wants that writes the event into the rule.
fn refuse_outsiders(rule: &WorkloadRule, claims: &Map<String, Value>) -> Result<(), ClaimsError> {
    let Some((name, events)) = rule.platform.outside() else { return Ok(()) };
    let event = claims::text(claims, name).ok_or(ClaimsError::Missing(name))?;
    if events.contains(&event) && !rule.claims.contains_key(name) { Err(ClaimsError::Outside(name)) } else { Ok(()) }
}

/// Whether a claim has a value.
fn is(claims: &Map<String, Value>, name: &str, wanted: &str) -> bool {
    claims::claim(claims, name).and_then(plain).is_some_and(|found| found == wanted)
}

/// Texts as they are; numbers and truths as they are written. Lists and objects are no values to compare with.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn rule(platform: Platform, claims: &[(&str, &str)]) -> WorkloadRule {
        WorkloadRule {
            platform,
            issuer: "https://issuer.example".to_owned(),
            audience: "https://gov.example".to_owned(),
            claims: claims.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            groups: vec!["ci".to_owned()],
            ttl: Duration::from_secs(600),
        }
    }

    /// The shape of a GitHub Actions token (docs.github.com, OpenID Connect reference).
    fn github() -> Value {
        json!({
            "jti": "example-id", "sub": "repo:octo-org/octo-repo:environment:prod", "environment": "prod",
            "aud": "https://gov.example", "ref": "refs/heads/main", "repository": "octo-org/octo-repo",
            "repository_owner": "octo-org", "repository_id": "74", "repository_owner_id": "65", "run_id": "9",
            "event_name": "push", "ref_type": "branch", "runner_environment": "github-hosted",
            "job_workflow_ref": "octo-org/octo-automation/.github/workflows/deploy.yml@refs/heads/main",
            "iss": "https://issuer.example", "nbf": 1_799_999_990u64, "iat": 1_799_999_990u64,
            "exp": 1_800_000_290u64
        })
    }

    fn ask(rules: &[WorkloadRule], change: impl FnOnce(&mut Value)) -> Result<String, ClaimsError> {
        let mut claims = github();
        change(&mut claims);
        let ids: Vec<WorkloadId> = (0..rules.len()).map(|place| format!("deploy-{place}").parse().unwrap()).collect();
        let found = identity(ids.iter().zip(rules), claims.as_object().unwrap(), NOW)?;
        assert_eq!(found.proved.identity.kind, IdentityKind::Workload);
        assert_eq!(rule_of(&found.proved.identity).map(|id| id.to_string()), Some(found.proved.identity.name.clone()));
        Ok(found.proved.identity.subject)
    }

    #[test]
    fn a_token_is_taken_by_what_never_changes_hands() {
        let rules = [rule(Platform::Github, &[("repository_id", "74"), ("environment", "prod")])];
        let yes = || Ok("deploy-0:74".to_owned());
        let table: [(&str, Value, Result<String, ClaimsError>); 17] = [
            ("environment", json!("prod"), yes()),
            ("repository_id", json!(74), yes()),
            // The same names, in somebody else's repository.
            ("repository_id", json!("75"), Err(ClaimsError::NoRule)),
            ("repository_id", json!(["74"]), Err(ClaimsError::NoRule)),
            ("repository_id", Value::Null, Err(ClaimsError::NoRule)),
            ("environment", json!("prod2"), Err(ClaimsError::NoRule)),
            // Another name, in ours: it was renamed.
            ("repository", json!("octo-org/renamed"), yes()),
            ("aud", json!("https://other"), Err(ClaimsError::WrongAudience)),
            ("aud", json!(["https://gov.example"]), yes()),
            ("aud", json!(["https://gov.example", "https://other"]), Err(ClaimsError::WrongAudience)),
            ("iss", json!("https://evil"), Err(ClaimsError::WrongAudience)),
            ("exp", json!(1_799_999_900), Err(ClaimsError::Expired)),
            ("iat", json!(1_800_000_900), Err(ClaimsError::NotYet)),
            ("event_name", json!("pull_request"), Err(ClaimsError::Outside("event_name"))),
            ("event_name", json!("pull_request_target"), Err(ClaimsError::Outside("event_name"))),
            ("event_name", Value::Null, Err(ClaimsError::Missing("event_name"))),
            ("event_name", json!("workflow_dispatch"), yes()),
        ];
        for (claim, value, expect) in table {
            assert_eq!(ask(&rules, |claims| claims[claim] = value.clone()), expect, "{claim}: {value}");
        }
    }

    #[test]
    fn the_first_rule_that_fits_names_the_workload() {
        let rules = [
            rule(Platform::Github, &[("repository_owner_id", "65"), ("event_name", "pull_request")]),
            rule(Platform::Github, &[("repository_owner_id", "65")]),
        ];
        assert_eq!(ask(&rules, |_| ()), Ok("deploy-1:74".to_owned()));
        assert_eq!(ask(&rules, |claims| claims["event_name"] = "pull_request".into()), Ok("deploy-0:74".to_owned()));
    }

    #[test]
    fn other_platforms_name_workloads_by_other_claims() {
        let pointer = "/kubernetes.io/serviceaccount/uid";
        let kubernetes = [rule(Platform::Kubernetes, &[(pointer, "u-1")])];
        let with = |uid: &str| json!({"serviceaccount": {"name": "etl", "uid": uid}, "namespace": "jobs"});
        assert_eq!(ask(&kubernetes, |claims| claims["kubernetes.io"] = with("u-1")), Ok("deploy-0:u-1".to_owned()));
        assert_eq!(ask(&kubernetes, |claims| claims["kubernetes.io"] = with("u-2")), Err(ClaimsError::NoRule));
        assert_eq!(ask(&kubernetes, |_| ()), Err(ClaimsError::NoRule));
        let gitlab = [rule(Platform::Gitlab, &[("project_id", "22")])];
        let by = |source: &'static str| {
            ask(&gitlab, |claims| {
                claims["project_id"] = "22".into();
                claims["pipeline_source"] = source.into();
            })
        };
        assert_eq!(by("push"), Ok("deploy-0:22".to_owned()));
        assert_eq!(by("merge_request_event"), Err(ClaimsError::Outside("pipeline_source")));
        let oidc = [rule(Platform::Oidc, &[("sub", "spiffe://example/etl")])];
        let sub = |sub: Value| ask(&oidc, |claims| claims["sub"] = sub);
        assert_eq!(sub("spiffe://example/etl".into()), Ok("deploy-0:spiffe://example/etl".to_owned()));
        assert_eq!(sub("spiffe://example/etl2".into()), Err(ClaimsError::NoRule));
    }

    #[test]
    fn the_issuer_is_read_before_anything_is_believed() {
        let body = URL_SAFE_NO_PAD.encode(r#"{"iss": "https://a"}"#);
        assert_eq!(claimed_issuer(&format!("x.{body}.y")).as_deref(), Some("https://a"));
        let long = format!("x.{body}.{}", "y".repeat(TOKEN_LENGTH_MAX));
        for token in ["", "a.b.c", "..", &format!("x.{}.y", URL_SAFE_NO_PAD.encode("{}")), &long] {
            assert_eq!(claimed_issuer(token), None);
        }
    }
}
