//! The issuer built into the server, for trying gov out and for tests: OpenID Connect's device flow (RFC 8628) with a
//! page on which one picks who to be. It asks for no passwords, says so, and runs on loopback only.

mod flows;
mod page;
mod refresh;

use std::collections::BTreeMap;

use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde_json::json;

use super::api::{Call, Contents, Handler, Method, Refused, Route, json};
use super::config::User;
use super::store::Migrations;
use crate::domain::{Duration, Failure, Timestamp};
use crate::identity::claims::ClaimRules;
use crate::identity::device_flow::{self, Poll};
use crate::identity::jwt::SigningKey;
use crate::runtime::random;
use crate::wire::api::{
    DEVICE_CODE, DeviceRequest, DeviceResponse, IssuerTokenRequest, IssuerTokenResponse, RevokeRequest,
};

pub(crate) const MIGRATIONS: Migrations = refresh::MIGRATIONS;

/// Where the issuer is below the server's URL.
pub(crate) const PATH: &str = "/issuer";

/// The only client there is.
const CLIENT_ID: &str = "gov-cli";

/// How long an ID token may be exchanged after it was made.
const ID_TOKEN_LIFETIME: Duration = Duration::from_secs(10 * 60);

/// The routes that are there only with this issuer.
pub(crate) const ROUTES: &[Route] = &[DISCOVERY, KEYS, DEVICE_AUTHORIZATION, TOKEN, REVOKE, page::SHOW, page::ANSWER];

/// The issuer's state.
#[derive(Debug)]
pub(crate) struct DevIssuer {
    url: String,
    /// Where browsers find the page: plain HTTP, because they do not know this machine's own authority.
    page: String,
    users: BTreeMap<String, User>,
    flows: flows::Flows,
}

impl DevIssuer {
    /// `server` is the server's own URL.
    pub(crate) fn new(server: &str, users: BTreeMap<String, User>) -> Self {
        let page = format!("http://{}{PATH}/device", server.trim_start_matches("https://"));
        Self { url: format!("{server}{PATH}"), page, users, flows: flows::Flows::default() }
    }

    /// What the server is to expect of this issuer's tokens.
    pub(crate) fn rules(&self) -> ClaimRules {
        ClaimRules {
            issuer: self.url.clone(),
            client_id: CLIENT_ID.to_owned(),
            audience: None,
            groups_claim: "groups".to_owned(),
            name_claim: None,
        }
    }

    /// A token that says who `name` is (OpenID Connect Core 1.0 section 2).
    fn id_token(&self, key: &SigningKey, name: &str, now: Timestamp, login: Timestamp) -> Result<String, Refused> {
        let user = self.users.get(name).ok_or_else(|| Refused::new("invalid_grant", "this user is gone"))?;
        // Signatures here are deterministic: without an id, two logins within a second would be one token.
        let id: String = random::bytes::<16>()?.iter().map(|byte| format!("{byte:02x}")).collect();
        let claims = json!({
            "jti": id,
            "iss": self.url,
            "aud": CLIENT_ID,
            "sub": name,
            "iat": now.seconds(),
            "exp": now.after(ID_TOKEN_LIFETIME).seconds(),
            "auth_time": login.seconds(),
            "name": user.name,
            "preferred_username": name,
            "email": user.email,
            "email_verified": user.email.is_some(),
            "groups": user.groups,
        });
        key.token("JWT", &claims).map_err(|_| Refused::new("server_error", "the token could not be made"))
    }
}

/// The issuer, which is there when these routes are.
fn issuer(call: &Call) -> Result<&DevIssuer, Failure> {
    let missing = || Failure::new(crate::domain::Kind::NotFound, "there is nothing at this address");
    call.server.dev_issuer.as_ref().ok_or_else(missing)
}

const DISCOVERY: Route = Route {
    method: Method::Get,
    path: "/issuer/.well-known/openid-configuration",
    summary: "Describe the built-in issuer",
    request: Contents::Nothing,
    response: Contents::Json(|_| json!({"type": "object"}).try_into().unwrap_or_default()),
    handler: Handler::Public(|call| {
        Box::pin(async move {
            let url = &issuer(&call)?.url;
            json(&json!({
                "issuer": url,
                "jwks_uri": format!("{url}/jwks"),
                "device_authorization_endpoint": format!("{url}/device_authorization"),
                "token_endpoint": format!("{url}/token"),
                "revocation_endpoint": format!("{url}/revoke"),
                "grant_types_supported": [DEVICE_CODE, "refresh_token"],
                "response_types_supported": [],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["EdDSA"],
                "token_endpoint_auth_methods_supported": ["none"],
                "scopes_supported": ["openid"],
            }))
        })
    }),
};

const KEYS: Route = Route {
    method: Method::Get,
    path: "/issuer/jwks",
    summary: "Publish the keys of the built-in issuer",
    request: Contents::Nothing,
    response: Contents::Json(|_| json!({"type": "object"}).try_into().unwrap_or_default()),
    handler: Handler::Public(|call| {
        Box::pin(async move { json(&json!({"keys": [call.server.keys.issuer.published_jwk()]})) })
    }),
};

/// Step 1 of the flow.
const DEVICE_AUTHORIZATION: Route = Route {
    method: Method::Post,
    path: "/issuer/device_authorization",
    summary: "Start a device flow at the built-in issuer",
    request: Contents::Form(|schemas| schemas.subschema_for::<DeviceRequest>()),
    response: Contents::Json(|schemas| schemas.subschema_for::<DeviceResponse>()),
    handler: Handler::Device(|mut call| {
        Box::pin(async move {
            match start(&mut call).await {
                Ok(response) => json(&response),
                Err(refused) => Ok(refused.into_response()),
            }
        })
    }),
};

async fn start(call: &mut Call) -> Result<DeviceResponse, Refused> {
    let request: DeviceRequest = call.form().await?;
    check_client(&request.client_id)?;
    let issuer = issuer(call)?;
    let asker = flows::Asker::new(&request, call.connection.peer.ip(), call.now);
    let started = issuer.flows.start(asker, call.now, random::bytes()?, random::bytes()?)?;
    Ok(DeviceResponse {
        device_code: started.device_code,
        user_code: started.user_code.to_string(),
        verification_uri: issuer.page.clone(),
        verification_uri_complete: format!("{}?user_code={}", issuer.page, started.user_code),
        expires_in: device_flow::LIFETIME.as_secs(),
        interval: device_flow::INTERVAL.as_secs(),
        gov_number: started.number.to_string(),
    })
}

/// Step 3 of the flow, and renewal.
const TOKEN: Route = Route {
    method: Method::Post,
    path: "/issuer/token",
    summary: "Give the built-in issuer's tokens for a device code or a refresh token",
    request: Contents::Form(|schemas| schemas.subschema_for::<IssuerTokenRequest>()),
    response: Contents::Json(|schemas| schemas.subschema_for::<IssuerTokenResponse>()),
    handler: Handler::Device(|mut call| {
        Box::pin(async move {
            match token(&mut call).await {
                Ok(response) => json(&response),
                Err(refused) => Ok(refused.into_response()),
            }
        })
    }),
};

async fn token(call: &mut Call) -> Result<IssuerTokenResponse, Refused> {
    let request: IssuerTokenRequest = call.form().await?;
    check_client(&request.client_id)?;
    let issuer = issuer(call)?;
    let (store, now) = (&call.server.store, call.now);
    let fresh = random::bytes::<32>()?;
    let grant = match (request.grant_type.as_str(), request.device_code, request.refresh_token) {
        (DEVICE_CODE, Some(code), _) => {
            let user = match issuer.flows.poll(&code, now) {
                Some(Poll::Granted(user)) => user,
                Some(Poll::Pending) => return Err(Refused::new("authorization_pending", "nobody has answered yet")),
                Some(Poll::SlowDown) => return Err(Refused::new("slow_down", "wait five seconds more between polls")),
                Some(Poll::Denied) => return Err(Refused::new("access_denied", "the request was denied")),
                Some(Poll::Expired) => return Err(Refused::new("expired_token", "the code has expired")),
                Some(Poll::Used) => return Err(Refused::new("invalid_grant", "the code was used before")),
                None => return Err(Refused::new("invalid_grant", "there is no such code")),
            };
            refresh::begin(store, user, now, fresh).await?
        }
        ("refresh_token", _, Some(token)) => match refresh::rotate(store, &token, now, fresh).await? {
            Some(grant) => grant,
            None => return Err(Refused::new("invalid_grant", "the refresh token is not good any more")),
        },
        (DEVICE_CODE | "refresh_token", _, _) => return Err(Refused::new("invalid_request", "the code is missing")),
        (_, _, _) => return Err(Refused::new("unsupported_grant_type", "device_code and refresh_token are known")),
    };
    Ok(IssuerTokenResponse {
        id_token: issuer.id_token(&call.server.keys.issuer, &grant.user, now, grant.login)?,
        access_token: "unused".to_owned(),
        token_type: "Bearer".to_owned(),
        expires_in: ID_TOKEN_LIFETIME.as_secs(),
        refresh_token: grant.token,
    })
}

const REVOKE: Route = Route {
    method: Method::Post,
    path: "/issuer/revoke",
    summary: "Revoke a refresh token of the built-in issuer",
    request: Contents::Form(|schemas| schemas.subschema_for::<RevokeRequest>()),
    response: Contents::Nothing,
    handler: Handler::Device(|mut call| {
        Box::pin(async move {
            let request: RevokeRequest = call.form().await?;
            if let Err(refused) = check_client(&request.client_id) {
                return Ok(refused.into_response());
            }
            refresh::revoke(&call.server.store, &request.token).await?;
            // Also for tokens that do not exist (RFC 7009 section 2.2).
            Ok(StatusCode::OK.into_response())
        })
    }),
};

fn check_client(client_id: &str) -> Result<(), Refused> {
    if client_id == CLIENT_ID { Ok(()) } else { Err(Refused::new("invalid_client", "the only client is `gov-cli`")) }
}
