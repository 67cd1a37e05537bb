//! Our own access token: what the server gives for a provider's token, and what every call brings.
//!
//! A JWT access token (RFC 9068) signed with the server's Ed25519 key, good for at most [`LIFETIME_MAX`], and only
//! together with a proof of the key in `cnf.jkt` (RFC 9449 section 6.1). Whoever finds one in a log can do nothing
//! with it.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::jwt::{ACCESS_TOKEN, JwtError, KeySet, NumericDate, SigningKey, Thumbprint};
use crate::domain::{Actor, Digest, Duration, Identity, IdentityKind, Method, Timestamp};

/// Longest life of a token: what a stolen laptop's thief has after the login was revoked elsewhere, if the server that
/// revokes could not be asked.
pub(crate) const LIFETIME_MAX: Duration = Duration::from_secs(15 * 60);

/// Deepest chain of those who act for the subject (`reference/trust.md` section 3).
const ACTORS_MAX: usize = 3;

/// A login, as the server stated it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AccessToken {
    /// `jti`: unique per token.
    pub(crate) id: String,
    /// The person's pseudonym in records.
    pub(crate) pseudonym: String,
    pub(crate) identity: Identity,
    /// The device key without which the token is worthless.
    pub(crate) key: Thumbprint,
    pub(crate) issued_at: Timestamp,
    pub(crate) expires_at: Timestamp,
}

/// Why a token of ours was not accepted.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum TokenError {
    #[error("{0}")]
    NotGenuine(#[from] JwtError),
    #[error("it was made by or for another server")]
    OtherServer,
    #[error("it has expired")]
    Expired,
}

/// RFC 8693 section 4.1: the actor that is nearest, and inside it the one before.
#[derive(Serialize, Deserialize)]
struct ActClaim {
    sub: String,
    /// Which kind of actor; the registered claim for it is still a draft, so the name is ours.
    gov_kind: String,
    /// Under which charter an agent acts.
    #[serde(skip_serializing_if = "Option::is_none")]
    gov_charter: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<Box<Self>>,
}

#[derive(Serialize, Deserialize)]
struct Confirmation {
    jkt: String,
}

/// Where the identity comes from.
#[derive(Serialize, Deserialize)]
struct Origin {
    iss: String,
    sub: String,
    method: String,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    jti: String,
    client_id: String,
    iat: NumericDate,
    exp: NumericDate,
    auth_time: NumericDate,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    groups: Vec<String>,
    kind: String,
    origin: Origin,
    cnf: Confirmation,
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<Box<ActClaim>>,
}

/// The name under which our tokens say who asked for them.
const CLIENT_ID: &str = "gov";

impl AccessToken {
    /// The signed text. `server` is the server's own URL, issuer and audience at once.
    pub(crate) fn sign(&self, server: &str, key: &SigningKey) -> Result<String, JwtError> {
        let identity = &self.identity;
        let act = identity.actors.iter().rev().fold(None, |inner, actor| {
            Some(Box::new(ActClaim {
                sub: actor.id.clone(),
                gov_kind: actor.kind.word().to_owned(),
                gov_charter: actor.charter.map(|charter| charter.to_string()),
                act: inner,
            }))
        });
        let claims = Claims {
            iss: server.to_owned(),
            aud: server.to_owned(),
            sub: self.pseudonym.clone(),
            jti: self.id.clone(),
            client_id: CLIENT_ID.to_owned(),
            iat: NumericDate(self.issued_at),
            exp: NumericDate(self.expires_at),
            auth_time: NumericDate(identity.proved_at),
            name: identity.name.clone(),
            email: identity.email.clone(),
            groups: identity.groups.clone(),
            kind: identity.kind.word().to_owned(),
            origin: Origin {
                iss: identity.issuer.clone(),
                sub: identity.subject.clone(),
                method: identity.method.word().to_owned(),
            },
            cnf: Confirmation { jkt: self.key.as_str().to_owned() },
            act,
        };
        key.token("at+jwt", &claims)
    }

    /// The login in a signed text, if this server made it and it has not expired at `now`.
    pub(crate) fn verify(text: &str, server: &str, keys: &KeySet, now: Timestamp) -> Result<Self, TokenError> {
        let claims: Claims = keys.verify(text, ACCESS_TOKEN)?;
        if claims.iss != server || claims.aud != server {
            return Err(TokenError::OtherServer);
        }
        // No leeway: the clock that made it is the clock that reads it.
        let lifetime = claims.exp.0.since(claims.iat.0);
        if claims.exp.0 <= now || lifetime > LIFETIME_MAX {
            return Err(TokenError::Expired);
        }
        let malformed = || TokenError::NotGenuine(JwtError::Malformed);
        Ok(Self {
            id: claims.jti,
            pseudonym: claims.sub,
            identity: Identity {
                issuer: claims.origin.iss,
                subject: claims.origin.sub,
                name: claims.name,
                email: claims.email,
                groups: claims.groups,
                kind: IdentityKind::parse(&claims.kind).ok_or_else(malformed)?,
                actors: actors(claims.act).ok_or_else(malformed)?,
                method: Method::parse(&claims.origin.method).ok_or_else(malformed)?,
                proved_at: claims.auth_time.0,
            },
            key: Thumbprint::parse(&claims.cnf.jkt).ok_or_else(malformed)?,
            issued_at: claims.iat.0,
            expires_at: claims.exp.0,
        })
    }
}

fn actors(mut claim: Option<Box<ActClaim>>) -> Option<Vec<Actor>> {
    let mut out = Vec::new();
    while let Some(actor) = claim {
        if out.len() == ACTORS_MAX {
            return None;
        }
        let charter = match actor.gov_charter {
            None => None,
            Some(text) => Some(Digest::parse(&text)?),
        };
        out.push(Actor { kind: IdentityKind::parse(&actor.gov_kind)?, id: actor.sub, charter });
        claim = actor.act;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Secret;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
    const SERVER: &str = "https://gov.example";

    fn key(byte: u8) -> SigningKey {
        SigningKey::from_seed(&Secret::new([byte; 32])).unwrap()
    }

    fn token() -> AccessToken {
        AccessToken {
            id: "t-1".to_owned(),
            pseudonym: "p-1".to_owned(),
            identity: Identity {
                issuer: "https://idp.example".to_owned(),
                subject: "u-1".to_owned(),
                name: "Alice".to_owned(),
                email: None,
                groups: vec!["engineering".to_owned()],
                kind: IdentityKind::Person,
                actors: [("near", Some(Digest([7; 32]))), ("far", None)]
                    .map(|(id, charter)| Actor { kind: IdentityKind::Agent, id: id.to_owned(), charter })
                    .to_vec(),
                method: Method::IdToken,
                proved_at: NOW,
            },
            key: key(9).thumbprint().clone(),
            issued_at: NOW,
            expires_at: NOW.after(LIFETIME_MAX),
        }
    }

    #[test]
    fn a_token_round_trips_and_ends() {
        let server = key(1);
        let text = token().sign(SERVER, &server).unwrap();
        let keys = KeySet::of(&[&server]);
        assert_eq!(AccessToken::verify(&text, SERVER, &keys, NOW), Ok(token()));
        let last = NOW.after(LIFETIME_MAX);
        let just_before = last.before(Duration::from_millis(1));
        assert!(AccessToken::verify(&text, SERVER, &keys, just_before).is_ok());
        assert_eq!(AccessToken::verify(&text, SERVER, &keys, last), Err(TokenError::Expired));
    }

    #[test]
    fn tokens_of_others_are_refused() {
        let server = key(1);
        let keys = KeySet::of(&[&server]);
        let check = |text: &str| AccessToken::verify(text, SERVER, &keys, NOW).unwrap_err();
        let elsewhere = token().sign("https://other.example", &server).unwrap();
        assert_eq!(check(&elsewhere), TokenError::OtherServer);
        let forged = token().sign(SERVER, &key(2)).unwrap();
        assert_eq!(check(&forged), TokenError::NotGenuine(JwtError::UnknownKey));
        let endless = AccessToken { expires_at: NOW.after(LIFETIME_MAX * 2), ..token() };
        assert_eq!(check(&endless.sign(SERVER, &server).unwrap()), TokenError::Expired);
        let id_token = server.token("JWT", &serde_json::json!({"iss": SERVER, "aud": SERVER})).unwrap();
        assert_eq!(check(&id_token), TokenError::NotGenuine(JwtError::WrongType));
    }

    #[test]
    fn chains_of_actors_are_short() {
        let server = key(1);
        let mut long = token();
        long.identity.actors =
            vec![Actor { kind: IdentityKind::Agent, id: "a".to_owned(), charter: None }; ACTORS_MAX + 1];
        let text = long.sign(SERVER, &server).unwrap();
        assert!(AccessToken::verify(&text, SERVER, &KeySet::of(&[&server]), NOW).is_err());
    }
}
