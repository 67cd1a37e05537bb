//! Token exchange (RFC 8693): a token of the identity provider for a short one of ours, bound to a device key.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tracing::info;

use super::{Call, Contents, Handler, Method, Route, json, status};
use crate::audit;
use crate::domain::{
    Actor, AgentId, BadName, Digest, Duration, Failure, Happening, Identity, IdentityKind, Kind, Method as Proof,
    Timestamp,
};
use crate::identity::claims::Proved;
use crate::identity::jwt::Thumbprint;
use crate::identity::token::{AccessToken, LIFETIME_MAX};
use crate::runtime::random;
use crate::server::issuer::Refusal;
use crate::server::{access, directory, replay};
use crate::wire::api::{
    ACCESS_TOKEN_TYPE, ID_TOKEN_TYPE, JWT_TYPE, OAuthError, TOKEN_EXCHANGE, TokenRequest, TokenResponse,
};

pub(super) const EXCHANGE: Route = Route {
    method: Method::Post,
    path: "/v1/token",
    summary: "Exchange a token of the identity provider for one of this server",
    request: Contents::Form(|schemas| schemas.subschema_for::<TokenRequest>()),
    response: Contents::Json(|schemas| schemas.subschema_for::<TokenResponse>()),
    handler: Handler::SubjectToken(|call| {
        Box::pin(async move {
            let server = call.server.clone();
            match exchange(call).await {
                Ok(response) => json(&response),
                Err(refused) => {
                    server.happened(Happening::LoginFailed { why: refused.error });
                    Ok(refused.into_response())
                }
            }
        })
    }),
};

/// An exchange that did not happen, in OAuth's words (RFC 6749 section 5.2).
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    pub(crate) error: &'static str,
    pub(crate) description: String,
}

impl Refused {
    pub(crate) fn new(error: &'static str, description: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, error, description: description.into() }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let body = OAuthError { error: self.error.to_owned(), error_description: Some(self.description) };
        (self.status, Json(body)).into_response()
    }
}

/// A failure on our side of the exchange; or one of the request itself.
impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        let error = match failure.kind {
            Kind::NotLoggedIn => "invalid_dpop_proof",
            Kind::Usage | Kind::NotFound | Kind::Denied | Kind::Pending => "invalid_request",
            Kind::Limit | Kind::Gateway | Kind::Database => "temporarily_unavailable",
            Kind::Internal => "server_error",
        };
        let mut description = failure.message;
        for part in [failure.detail, failure.hint].into_iter().flatten() {
            description.push_str(": ");
            description.push_str(&part);
        }
        // RFC 9449 section 5 answers a bad proof at the token endpoint with 400.
        let status = if failure.kind == Kind::NotLoggedIn { StatusCode::BAD_REQUEST } else { status(failure.kind) };
        Self { status, error, description }
    }
}

async fn exchange(mut call: Call) -> Result<TokenResponse, Refused> {
    let request: TokenRequest = call.form().await?;
    if request.grant_type != TOKEN_EXCHANGE {
        return Err(Refused::new("unsupported_grant_type", "this server does token exchange only"));
    }
    if let Some(actor) = &request.requested_actor {
        return delegate(&call, &request, actor).await;
    }
    let proof = call.proof(None)?;
    let Subject { proved, digest, lifetime, method } = subject(&call, &request).await?;
    // From here on the caller holds a genuine token: only now do they cost the store anything.
    let key = call.use_proof(proof).await?;
    let (now, until) = (call.now, proved.expires_at.after(LIFETIME_MAX));
    let (chance, identity, holder) = (random::bytes()?, proved.identity.clone(), key.clone());
    let (pseudonym, first) = call
        .server
        .store
        .run(move |db| {
            let pseudonym = directory::enter(db, &identity, chance, now)?;
            Ok((pseudonym, replay::claim_token(db, digest, &holder, now, until)?))
        })
        .await?;
    if !first {
        return Err(Refused::new("invalid_request", "the token was exchanged before, by another device"));
    }
    let until = call.now.after(lifetime);
    let response = respond(&call, Login { identity: proved.identity, pseudonym: pseudonym.clone(), key, until })?;
    call.server.happened(Happening::LoginSucceeded { subject: pseudonym, method });
    Ok(response)
}

/// What a subject token proves.
struct Subject {
    proved: Proved,
    /// What the token is remembered by.
    digest: Digest,
    /// How long the login lasts.
    lifetime: Duration,
    /// The word for how it was proved, in the record of the login.
    method: &'static str,
}

/// Checks the token that is to be exchanged: of a person, by the identity provider; of a job, by its platform.
async fn subject(call: &Call, request: &TokenRequest) -> Result<Subject, Refused> {
    let (server, token) = (&call.server, &request.subject_token);
    let refused = |refusal: Refusal| match refusal {
        Refusal::Unreachable(failure) => failure.into(),
        Refusal::Token(_) | Refusal::Claims(_) | Refusal::WrongKind(_) => {
            // RFC 8693 section 2.2.2 asks for this word when the subject token is not acceptable.
            Refused::new("invalid_request", format!("the token is not accepted: {refusal}"))
        }
    };
    let method = match request.subject_token_type.as_str() {
        ID_TOKEN_TYPE => Proof::IdToken,
        ACCESS_TOKEN_TYPE => Proof::AccessToken,
        JWT_TYPE => {
            let (found, digest) = server.workloads.prove(&server.config(), token, call.now).await.map_err(refused)?;
            return Ok(Subject { proved: found.proved, digest, lifetime: found.ttl, method: "workload" });
        }
        _ => return Err(Refused::new("invalid_request", "this kind of token is not taken")),
    };
    let proved = server.issuer.prove(token, method, call.now).await.map_err(refused)?;
    let digest = audit::digest(token.as_bytes());
    Ok(Subject { proved, digest, lifetime: LIFETIME_MAX, method: method.word() })
}

/// Lets an agent act for whoever is logged in (RFC 8693 section 1.1): the subject stays, the agent becomes the actor.
/// The token lives no longer than the login it comes from, and no further agent can be put before this one.
///
/// It is no login, and not on record as one: each command of an agent begins with it. Whatever the agent then opens is on
/// record under both names.
async fn delegate(call: &Call, request: &TokenRequest, actor: &str) -> Result<TokenResponse, Refused> {
    if request.subject_token_type != ACCESS_TOKEN_TYPE {
        return Err(Refused::new("invalid_request", "an agent acts for somebody who is logged in at this server"));
    }
    let proof = call.proof(None)?;
    let login = call.own_token(&request.subject_token)?;
    if proof.key != login.key {
        return Err(Refused::new("invalid_request", "the access token belongs to another device"));
    }
    let key = call.use_proof(proof).await?;
    let id: AgentId = actor.parse().map_err(|error: BadName| Refused::new("invalid_request", error.to_string()))?;
    let mut identity = login.identity;
    let config = call.server.config();
    let agent = config.agents.get(&id);
    // The same words whether there is no such agent or it is not for this person: the difference is nobody's business.
    let agent = agent
        .filter(|agent| identity.actors.is_empty() && access::may_act(agent, &identity))
        .ok_or_else(|| Refused::new("invalid_target", format!("there is no agent `{id}` that may act for you")))?;
    identity.actors.push(Actor { kind: IdentityKind::Agent, id: id.to_string(), charter: Some(agent.charter) });
    let until = login.expires_at.min(call.now.after(LIFETIME_MAX));
    info!(subject = %login.pseudonym, agent = %id, "an agent may act");
    respond(call, Login { identity, pseudonym: login.pseudonym, key, until })
}

/// What a token is to say.
struct Login {
    identity: Identity,
    pseudonym: String,
    key: Thumbprint,
    until: Timestamp,
}

fn respond(call: &Call, login: Login) -> Result<TokenResponse, Refused> {
    let server = &call.server;
    let id: String = random::bytes::<16>()?.iter().map(|byte| format!("{byte:02x}")).collect();
    let Login { identity, pseudonym, key, until } = login;
    let token = AccessToken { id, pseudonym, identity, key, issued_at: call.now, expires_at: until };
    let signed = token
        .sign(&server.url, &server.keys.signing)
        .map_err(|_| Refused::new("server_error", "the token could not be made"))?;
    Ok(TokenResponse {
        access_token: signed,
        issued_token_type: ACCESS_TOKEN_TYPE.to_owned(),
        token_type: "DPoP".to_owned(),
        expires_in: until.since(call.now).as_secs(),
    })
}
