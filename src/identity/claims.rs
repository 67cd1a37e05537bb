//! Claims of an identity provider's token → an identity, by configured rules.
//!
//! Two kinds of token are understood: ID tokens (OpenID Connect Core 1.0 section 3.1.3.7) and JWT access tokens
//! (RFC 9068 section 4). The signature has been checked by [`super::jwt`]; this file checks who issued the token, for
//! whom, when, and what it says about the person. `sub` within `iss` is the identity; names and addresses are for
//! screens only.

use serde_json::{Map, Value};
use thiserror::Error;

use super::jwt::NumericDate;
use crate::domain::{Duration, Identity, IdentityKind, Method, Timestamp};

/// How far the clocks of an identity provider and of the server may differ.
const CLOCK_LEEWAY: Duration = Duration::from_secs(60);

/// Longest `sub`, in bytes (OpenID Connect Core 1.0 section 2: 255 ASCII characters).
pub(super) const SUBJECT_LENGTH_MAX: usize = 255;

/// Most groups taken from a token. Microsoft Entra stops at 200 and sends a reference instead.
const GROUPS_MAX: usize = 512;

/// Longest group, name or address kept, in bytes. Directory names stay below 256.
const TEXT_LENGTH_MAX: usize = 256;

/// What must be true of a token, and where in it things are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClaimRules {
    /// `iss`, compared character by character.
    pub(crate) issuer: String,
    /// The client that asked for the token: `aud` of ID tokens.
    pub(crate) client_id: String,
    /// `aud` of access tokens; without it none are accepted.
    pub(crate) audience: Option<String>,
    /// A claim's name, or a JSON pointer when it starts with `/` (for example `/realm_access/roles`).
    pub(crate) groups_claim: String,
    /// The claim to take the name on screens from; the usual ones are tried after it.
    pub(crate) name_claim: Option<String>,
}

/// What a token proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proved {
    pub(crate) identity: Identity,
    pub(crate) expires_at: Timestamp,
}

/// Why a genuine token does not prove an identity here. The text is safe to show to whoever sent the token.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum ClaimsError {
    #[error("the claim `{0}` is missing or not of the right form")]
    Missing(&'static str),
    #[error("it comes from another issuer")]
    WrongIssuer,
    #[error("it was made for somebody else (`aud`)")]
    WrongAudience,
    #[error("it was asked for by another client (`azp` or `client_id`)")]
    WrongClient,
    #[error("access tokens are not accepted: no audience is configured")]
    AccessTokensOff,
    #[error("it has expired")]
    Expired,
    #[error("it is dated in the future: the server's clock and the issuer's differ")]
    NotYet,
    #[error("the issuer left the groups out because there are too many (`_claim_names`)")]
    GroupsElsewhere,
    #[error("it lists more than {GROUPS_MAX} groups")]
    TooManyGroups,
    #[error("no rule for workloads fits what it says")]
    NoRule,
    #[error("somebody from outside set this job off (`{0}`), and no rule for workloads asks for that")]
    Outside(&'static str),
}

/// The identity that a token of kind `method` proves at `now`.
pub(crate) fn identity(
    rules: &ClaimRules,
    method: Method,
    claims: &Map<String, Value>,
    now: Timestamp,
) -> Result<Proved, ClaimsError> {
    if text(claims, "iss") != Some(&rules.issuer) {
        return Err(ClaimsError::WrongIssuer);
    }
    match method {
        Method::IdToken => check_id_token_audience(rules, claims)?,
        Method::AccessToken => check_access_token_audience(rules, claims)?,
    }
    let (issued_at, expires_at) = lifetime(claims, now)?;
    let subject = subject(claims)?;
    let identity = Identity {
        issuer: rules.issuer.clone(),
        subject: subject.to_owned(),
        name: name(rules, claims).unwrap_or_else(|| subject.to_owned()),
        email: email(claims),
        groups: groups(rules, claims)?,
        kind: IdentityKind::Person,
        actors: Vec::new(),
        method,
        proved_at: date(claims, "auth_time")?.unwrap_or(issued_at),
    };
    Ok(Proved { identity, expires_at })
}

/// When a token was made and when it ends, if it is good at `now`.
pub(super) fn lifetime(claims: &Map<String, Value>, now: Timestamp) -> Result<(Timestamp, Timestamp), ClaimsError> {
    let expires_at = date(claims, "exp")?.ok_or(ClaimsError::Missing("exp"))?;
    if expires_at.after(CLOCK_LEEWAY) <= now {
        return Err(ClaimsError::Expired);
    }
    let issued_at = date(claims, "iat")?.ok_or(ClaimsError::Missing("iat"))?;
    let not_before = date(claims, "nbf")?.unwrap_or(issued_at).max(issued_at);
    if not_before > now.after(CLOCK_LEEWAY) {
        return Err(ClaimsError::NotYet);
    }
    Ok((issued_at, expires_at))
}

/// Whom a token is about.
fn subject(claims: &Map<String, Value>) -> Result<&str, ClaimsError> {
    text(claims, "sub")
        .filter(|subject| !subject.is_empty() && subject.len() <= SUBJECT_LENGTH_MAX)
        .ok_or(ClaimsError::Missing("sub"))
}

fn check_id_token_audience(rules: &ClaimRules, claims: &Map<String, Value>) -> Result<(), ClaimsError> {
    let audience = list(claims, "aud").ok_or(ClaimsError::Missing("aud"))?;
    if !audience.contains(&rules.client_id.as_str()) {
        return Err(ClaimsError::WrongAudience);
    }
    match text(claims, "azp") {
        Some(party) if party == rules.client_id => Ok(()),
        Some(_) => Err(ClaimsError::WrongClient),
        // With several audiences it must be clear who asked (OpenID Connect Core 1.0 section 3.1.3.7, rule 4).
        None if audience.len() > 1 => Err(ClaimsError::WrongClient),
        None => Ok(()),
    }
}

fn check_access_token_audience(rules: &ClaimRules, claims: &Map<String, Value>) -> Result<(), ClaimsError> {
    let wanted = rules.audience.as_deref().ok_or(ClaimsError::AccessTokensOff)?;
    let audience = list(claims, "aud").ok_or(ClaimsError::Missing("aud"))?;
    if !audience.contains(&wanted) {
        return Err(ClaimsError::WrongAudience);
    }
    if text(claims, "client_id") == Some(&rules.client_id) { Ok(()) } else { Err(ClaimsError::WrongClient) }
}

pub(super) fn text<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    claims.get(name).and_then(Value::as_str)
}

/// One text, or a list of texts, as `aud` may be either (RFC 7519 section 4.1.3).
pub(super) fn list<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<Vec<&'a str>> {
    texts(claims.get(name)?)
}

fn texts(value: &Value) -> Option<Vec<&str>> {
    match value {
        Value::String(one) => Some(vec![one]),
        Value::Array(many) => many.iter().map(Value::as_str).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

fn date(claims: &Map<String, Value>, name: &'static str) -> Result<Option<Timestamp>, ClaimsError> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => {
            let date = <NumericDate as serde::Deserialize>::deserialize(value);
            date.map(|date| Some(date.0)).map_err(|_| ClaimsError::Missing(name))
        }
    }
}

fn groups(rules: &ClaimRules, claims: &Map<String, Value>) -> Result<Vec<String>, ClaimsError> {
    let elsewhere = claims.get("_claim_names").and_then(|names| names.get(&rules.groups_claim)).is_some();
    if elsewhere {
        return Err(ClaimsError::GroupsElsewhere);
    }
    let Some(found) = claim(claims, &rules.groups_claim) else { return Ok(Vec::new()) };
    let groups = texts(found).ok_or(ClaimsError::Missing("groups"))?;
    if groups.len() > GROUPS_MAX {
        return Err(ClaimsError::TooManyGroups);
    }
    // A group that is too long is not cut: a cut name could be another group's.
    Ok(groups.into_iter().filter(|group| group.len() <= TEXT_LENGTH_MAX).map(str::to_owned).collect())
}

/// A claim by its name, or by a JSON pointer (RFC 6901) when that starts with `/`.
pub(super) fn claim<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let Some(pointer) = name.strip_prefix('/') else { return claims.get(name) };
    let step = |at: Option<&'a Value>, step: &str| {
        let step = step.replace("~1", "/").replace("~0", "~");
        let next = at.map_or_else(|| claims.get(&step), |value| value.get(&step));
        next.map(Some)
    };
    pointer.split('/').try_fold(None, step).flatten()
}

fn name(rules: &ClaimRules, claims: &Map<String, Value>) -> Option<String> {
    let configured = rules.name_claim.as_deref();
    let usual = ["name", "preferred_username", "email"];
    configured
        .into_iter()
        .chain(usual)
        .find_map(|claim| text(claims, claim))
        .map(for_screens)
        .filter(|name| !name.is_empty())
}

/// An address the issuer does not call unverified.
fn email(claims: &Map<String, Value>) -> Option<String> {
    let verified = claims.get("email_verified").is_none_or(|value| *value == Value::Bool(true));
    text(claims, "email").filter(|_| verified).map(for_screens)
}

/// A text without what could steer a terminal, and not endless.
fn for_screens(text: &str) -> String {
    let mut out: String = text.chars().filter(|c| !c.is_control() && !is_bidi_control(*c)).collect();
    while out.len() > TEXT_LENGTH_MAX {
        out.pop();
    }
    out.trim().to_owned()
}

/// Characters that reorder the text around them (Unicode Technical Report 36 section 2.6).
fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn rules() -> ClaimRules {
        ClaimRules {
            issuer: "https://idp.example".to_owned(),
            client_id: "gov".to_owned(),
            audience: Some("https://gov.example".to_owned()),
            groups_claim: "groups".to_owned(),
            name_claim: None,
        }
    }

    fn good() -> Value {
        json!({
            "iss": "https://idp.example", "aud": "gov", "sub": "u-1", "iat": NOW.seconds() - 10,
            "exp": NOW.seconds() + 300, "name": "Alice", "email": "alice@example.com", "email_verified": true,
            "groups": ["engineering", "dba"],
        })
    }

    fn with(mut base: Value, changes: &Value) -> Map<String, Value> {
        for (name, value) in changes.as_object().unwrap() {
            if value.is_null() {
                base.as_object_mut().unwrap().remove(name);
            } else {
                base[name] = value.clone();
            }
        }
        base.as_object().unwrap().clone()
    }

    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "a hundred lines below read better without `&`")]
    fn check(changes: Value, expect: Result<(), ClaimsError>) {
        let found = identity(&rules(), Method::IdToken, &with(good(), &changes), NOW);
        assert_eq!(found.map(|_| ()), expect, "{changes}");
    }

    #[test]
    fn id_tokens() {
        let seconds = NOW.seconds();
        check(json!({}), Ok(()));
        check(json!({"iss": "https://idp.example/"}), Err(ClaimsError::WrongIssuer));
        check(json!({"iss": null}), Err(ClaimsError::WrongIssuer));
        check(json!({"iss": ["https://idp.example"]}), Err(ClaimsError::WrongIssuer));
        check(json!({"aud": "gov2"}), Err(ClaimsError::WrongAudience));
        check(json!({"aud": []}), Err(ClaimsError::WrongAudience));
        check(json!({"aud": null}), Err(ClaimsError::Missing("aud")));
        check(json!({"aud": ["gov"]}), Ok(()));
        check(json!({"aud": ["gov", "other"]}), Err(ClaimsError::WrongClient));
        check(json!({"aud": ["gov", "other"], "azp": "gov"}), Ok(()));
        check(json!({"azp": "other"}), Err(ClaimsError::WrongClient));
        check(json!({"exp": null}), Err(ClaimsError::Missing("exp")));
        check(json!({"exp": "soon"}), Err(ClaimsError::Missing("exp")));
        check(json!({"exp": seconds - 59}), Ok(()));
        check(json!({"exp": seconds - 60}), Err(ClaimsError::Expired));
        check(json!({"iat": null}), Err(ClaimsError::Missing("iat")));
        check(json!({"iat": seconds + 60}), Ok(()));
        check(json!({"iat": seconds + 61}), Err(ClaimsError::NotYet));
        check(json!({"nbf": seconds + 61}), Err(ClaimsError::NotYet));
        check(json!({"sub": null}), Err(ClaimsError::Missing("sub")));
        check(json!({"sub": ""}), Err(ClaimsError::Missing("sub")));
        check(json!({"sub": 7}), Err(ClaimsError::Missing("sub")));
        check(json!({"sub": "a".repeat(255)}), Ok(()));
        check(json!({"sub": "a".repeat(256)}), Err(ClaimsError::Missing("sub")));
        check(json!({"groups": {"a": 1}}), Err(ClaimsError::Missing("groups")));
        check(json!({"groups": [1]}), Err(ClaimsError::Missing("groups")));
        check(json!({"groups": vec!["g"; 513]}), Err(ClaimsError::TooManyGroups));
        check(json!({"groups": null, "_claim_names": {"groups": "src1"}}), Err(ClaimsError::GroupsElsewhere));
    }

    #[test]
    fn access_tokens() {
        let check = |rules: &ClaimRules, changes: Value, expect: Result<(), ClaimsError>| {
            let base = with(good(), &json!({"aud": "https://gov.example", "client_id": "gov"}));
            let claims = with(Value::Object(base), &changes);
            assert_eq!(identity(rules, Method::AccessToken, &claims, NOW).map(|_| ()), expect, "{changes}");
        };
        check(&rules(), json!({}), Ok(()));
        check(&rules(), json!({"aud": ["https://gov.example", "https://other.example"]}), Ok(()));
        check(&rules(), json!({"aud": "gov"}), Err(ClaimsError::WrongAudience));
        check(&rules(), json!({"client_id": null}), Err(ClaimsError::WrongClient));
        check(&rules(), json!({"client_id": "other"}), Err(ClaimsError::WrongClient));
        check(&ClaimRules { audience: None, ..rules() }, json!({}), Err(ClaimsError::AccessTokensOff));
    }

    #[test]
    fn what_is_said_about_the_person() {
        let prove = |rules: &ClaimRules, changes: Value| {
            identity(rules, Method::IdToken, &with(good(), &changes), NOW).unwrap().identity
        };
        let alice = prove(&rules(), json!({"auth_time": NOW.seconds() - 100}));
        assert_eq!((alice.name.as_str(), alice.email.as_deref()), ("Alice", Some("alice@example.com")));
        assert_eq!(alice.groups, ["engineering", "dba"]);
        assert_eq!(alice.proved_at, NOW.before(Duration::from_secs(100)));
        assert_eq!(prove(&rules(), json!({"email_verified": false})).email, None);
        assert_eq!(prove(&rules(), json!({"email_verified": "true"})).email, None);
        assert_eq!(prove(&rules(), json!({"name": "\u{1b}[2JAl\u{202e}ice\n"})).name, "[2JAlice");
        assert_eq!(prove(&rules(), json!({"name": null, "email": null})).name, "u-1");
        assert_eq!(prove(&rules(), json!({"groups": "one"})).groups, ["one"]);
        assert_eq!(prove(&rules(), json!({"groups": null})).groups, [""; 0]);
        assert_eq!(prove(&rules(), json!({"groups": ["a".repeat(257), "b"]})).groups, ["b"]);
        let nested = ClaimRules { groups_claim: "/realm_access/roles".to_owned(), ..rules() };
        assert_eq!(prove(&nested, json!({"realm_access": {"roles": ["x"]}})).groups, ["x"]);
        assert_eq!(prove(&nested, json!({"realm_access": "roles"})).groups, [""; 0]);
        let address = ClaimRules { groups_claim: "https://example.com/groups".to_owned(), ..rules() };
        assert_eq!(prove(&address, json!({"https://example.com/groups": ["y"]})).groups, ["y"]);
        let named = ClaimRules { name_claim: Some("upn".to_owned()), ..rules() };
        assert_eq!(prove(&named, json!({"upn": "alice@corp"})).name, "alice@corp");
    }
}
