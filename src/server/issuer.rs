//! The identity provider this server believes: its published keys, fetched when needed, and its tokens, checked.

use std::sync::Arc;

use reqwest::{Client, Url};
use serde_json::{Map, Value};
use thiserror::Error;
use tokio::sync::Mutex;

use super::config::Provider;
use crate::domain::{Duration, Failure, Kind, Method, Timestamp};
use crate::identity::claims::{self, ClaimRules, ClaimsError, Proved};
use crate::identity::discovery;
use crate::identity::jwt::{ACCESS_TOKEN, ID_TOKEN, JwtError, KeySet};
use crate::runtime::http;
use crate::runtime::tls::Trust;

/// How long fetched keys are used without asking again. Providers announce new keys hours before they use them.
const KEYS_FRESH: Duration = Duration::from_secs(60 * 60);

/// How long fetched keys are used when the provider cannot be asked.
const KEYS_STALE: Duration = Duration::from_secs(24 * 60 * 60);

/// Shortest time between two attempts to fetch keys: tokens that name made-up keys must not become requests to the
/// provider.
const ATTEMPT_INTERVAL: Duration = Duration::from_secs(10);

/// How long the provider may take for both documents together: less than clients wait for an answer of ours, so that
/// they learn whose fault it is.
const FETCH_TIMEOUT: Duration = Duration::from_secs(4);

/// An identity provider.
#[derive(Debug)]
pub(crate) struct Issuer {
    rules: ClaimRules,
    /// Which of its tokens are taken.
    method: Method,
    publisher: Publisher,
}

/// The keys that an issuer publishes.
#[derive(Debug)]
pub(crate) struct Publisher {
    issuer: String,
    /// `None` where the keys are known: those of the built-in issuer, and those that stand in a file.
    client: Option<Client>,
    keys: Mutex<Keys>,
}

#[derive(Debug, Default)]
struct Keys {
    set: Arc<KeySet>,
    fetched_at: Option<Timestamp>,
    /// The last attempt because they were old or missing.
    tried_at: Option<Timestamp>,
    /// The last attempt because a token named a key that is not among them. Counted apart, so that the first token
    /// after a change of keys is understood however lately they were fetched.
    renewed_at: Option<Timestamp>,
}

/// Why a token was not taken.
#[derive(Debug, Error)]
pub(crate) enum Refusal {
    #[error("{0}")]
    Token(#[from] JwtError),
    #[error("{0}")]
    Claims(#[from] ClaimsError),
    #[error("{0}")]
    WrongKind(&'static str),
    /// Not the token's fault.
    #[error("{0}")]
    Unreachable(Failure),
}

impl Issuer {
    pub(crate) fn new(provider: &Provider) -> Result<Self, Failure> {
        let method = if provider.rules.audience.is_some() { Method::AccessToken } else { Method::IdToken };
        Ok(Self {
            rules: provider.rules.clone(),
            method,
            publisher: Publisher::new(&provider.rules.issuer, &provider.trust)?,
        })
    }

    /// An issuer whose keys are known.
    pub(crate) fn built_in(rules: ClaimRules, keys: KeySet) -> Self {
        let publisher = Publisher::known(&rules.issuer, keys);
        Self { rules, method: Method::IdToken, publisher }
    }

    pub(crate) fn rules(&self) -> &ClaimRules {
        &self.rules
    }

    /// Which of its tokens are taken.
    pub(crate) fn method(&self) -> Method {
        self.method
    }

    /// The identity that a token proves.
    pub(crate) async fn prove(&self, token: &str, method: Method, now: Timestamp) -> Result<Proved, Refusal> {
        if method != self.method {
            return Err(Refusal::WrongKind(match self.method {
                Method::IdToken => "this server takes ID tokens",
                Method::AccessToken => "this server takes JWT access tokens",
            }));
        }
        let types = match method {
            Method::IdToken => ID_TOKEN,
            Method::AccessToken => ACCESS_TOKEN,
        };
        let claims = self.publisher.verify(token, types, now).await?;
        Ok(claims::identity(&self.rules, method, &claims, now)?)
    }
}

impl Publisher {
    pub(crate) fn new(issuer: &str, trust: &Trust) -> Result<Self, Failure> {
        let url = Url::parse(issuer).map_err(|_| Failure::new(Kind::Usage, format!("`{issuer}` is not a URL")))?;
        let client = Some(http::foreign_client(trust, &url)?);
        Ok(Self { issuer: issuer.to_owned(), client, keys: Mutex::default() })
    }

    /// An issuer whose keys are known.
    pub(crate) fn known(issuer: &str, keys: KeySet) -> Self {
        let keys = Keys { set: Arc::new(keys), ..Keys::default() };
        Self { issuer: issuer.to_owned(), client: None, keys: Mutex::new(keys) }
    }

    /// What a token says, if one of the issuer's keys signed it.
    pub(crate) async fn verify(
        &self,
        token: &str,
        types: &[&str],
        now: Timestamp,
    ) -> Result<Map<String, Value>, Refusal> {
        let keys = self.keys(now, false).await.map_err(Refusal::Unreachable)?;
        match keys.verify::<Map<String, Value>>(token, types) {
            // The provider may have changed its keys a minute ago.
            Err(JwtError::UnknownKey) => {
                let keys = self.keys(now, true).await.map_err(Refusal::Unreachable)?;
                Ok(keys.verify(token, types)?)
            }
            other => Ok(other?),
        }
    }

    /// The provider's keys; fetched again when they are old or `renew` is set, but not more often than is polite.
    async fn keys(&self, now: Timestamp, renew: bool) -> Result<Arc<KeySet>, Failure> {
        // Held over the request, so that a hundred logins at once are one request.
        let mut keys = self.keys.lock().await;
        let Some(client) = &self.client else { return Ok(Arc::clone(&keys.set)) };
        let age = keys.fetched_at.map(|at| now.since(at));
        let wanted = renew || age.is_none_or(|age| age > KEYS_FRESH);
        let last = if renew { &mut keys.renewed_at } else { &mut keys.tried_at };
        let lately = last.is_some_and(|at| now.since(at) < ATTEMPT_INTERVAL);
        if wanted && !lately {
            *last = Some(now);
            let issuer = &self.issuer;
            let fetched = tokio::time::timeout(FETCH_TIMEOUT, fetch(client, issuer)).await;
            match fetched.unwrap_or_else(|_| Err(unreachable(issuer, "It did not answer in time."))) {
                Ok(set) => {
                    keys.set = Arc::new(set);
                    keys.fetched_at = Some(now);
                }
                Err(failure) if age.is_some_and(|age| age <= KEYS_STALE) => {
                    tracing::warn!(issuer = %self.issuer, why = %failure, "the issuer's keys could not be renewed");
                }
                Err(failure) => return Err(failure),
            }
        }
        if keys.fetched_at.is_some_and(|at| now.since(at) <= KEYS_STALE) {
            Ok(Arc::clone(&keys.set))
        } else {
            Err(unreachable(&self.issuer, "A moment ago it did not answer."))
        }
    }
}

async fn fetch(client: &Client, issuer: &str) -> Result<KeySet, Failure> {
    let location = discovery::location(issuer);
    let document = get(client, issuer, &location).await?;
    let document = discovery::parse(&document, issuer)
        .map_err(|error| unreachable(issuer, &format!("Its discovery document is not usable: {error}.")))?;
    let private = Url::parse(&document.jwks_uri).is_ok_and(|url| http::is_private(&url));
    if !private {
        return Err(unreachable(issuer, "Its keys are not published over https."));
    }
    let keys = get(client, issuer, &document.jwks_uri).await?;
    match KeySet::parse(&keys) {
        Ok(keys) if !keys.is_empty() => Ok(keys),
        Ok(_) | Err(_) => Err(unreachable(issuer, "It publishes no key that could be used.")),
    }
}

async fn get(client: &Client, issuer: &str, url: &str) -> Result<Vec<u8>, Failure> {
    let answer =
        http::send(client.get(url)).await.map_err(|error| unreachable(issuer, &format!("`{url}`: {error}.")))?;
    if answer.status.is_success() {
        Ok(answer.body)
    } else {
        Err(unreachable(issuer, &format!("`{url}` answered {}.", answer.status)))
    }
}

fn unreachable(issuer: &str, why: &str) -> Failure {
    Failure::new(Kind::Gateway, format!("the identity provider `{issuer}` cannot be used"))
        .detail(why)
        .hint("logins that are still good go on working; try again in a minute")
}
