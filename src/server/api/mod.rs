//! The HTTP API: one list of routes, from which the router, the OpenAPI document and the tests are made.
//!
//! A route's handler and the right it needs are one value ([`Handler`]): a function that takes a [`Caller`] cannot be
//! reached by anybody who has not proved to be one.

mod approvals;
mod classification;
mod explain;
mod health;
mod log;
mod logout;
mod me;
pub(crate) mod openapi;
mod raw_texts;
mod resources;
mod server;
mod sessions;
pub(crate) mod timeline;
mod token;

pub(super) use token::Refused;

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Form, FromRequest, FromRequestParts, Json, Query, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method as HttpMethod, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use schemars::Schema;
use schemars::generate::SchemaGenerator;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Server;
use super::listener::Connection;
use crate::domain::{BadName, Failure, Identity, Kind, ResourceName, Timestamp};
use crate::identity::dpop::{self, DpopError, Proof};
use crate::identity::jwt::Thumbprint;
use crate::identity::token::{AccessToken, TokenError};
use crate::runtime::clock;
use crate::wire::api::{DPOP_HEADER, ErrorBody};

/// Largest body of a request, in bytes. Everything a client sends is a form or a small JSON document; whoever takes
/// more does so in a route of its own, after authentication.
pub(crate) const BODY_MAX: usize = 64 * 1024;

/// How long reading a body may take.
const BODY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// All routes except those of the built-in issuer.
pub(crate) const ROUTES: &[Route] = &[
    server::INFO,
    token::EXCHANGE,
    me::ME,
    logout::LOGOUT,
    resources::LIST,
    explain::EXPLAIN,
    classification::LIST,
    classification::UNMASK,
    sessions::OPEN,
    sessions::LIST,
    sessions::END,
    sessions::MASKS,
    sessions::POLICY,
    sessions::TUNNEL,
    approvals::LIST,
    approvals::SHOW,
    approvals::APPROVE,
    approvals::DENY,
    approvals::WITHDRAW,
    approvals::REVIEW,
    approvals::REQUEST,
    approvals::REHEARSE,
    log::UPLOAD,
    log::CHECKPOINT,
    log::TILE,
    log::OWN,
    log::EVIDENCE,
    raw_texts::SEALED,
    raw_texts::SHOW,
    raw_texts::ERASE,
    timeline::FIND,
    timeline::ACCESS,
    openapi::DOCUMENT,
    health::HEALTHZ,
    health::READYZ,
];

/// One thing the server can be asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    pub(crate) method: Method,
    /// Parameters in braces, as in OpenAPI.
    pub(crate) path: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) request: Contents,
    pub(crate) response: Contents,
    pub(crate) handler: Handler,
}

/// HTTP methods in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Post,
}

impl Method {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
        }
    }

    fn filter(self) -> MethodFilter {
        match self {
            Self::Get => MethodFilter::GET,
            Self::Post => MethodFilter::POST,
        }
    }
}

/// What a body holds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Contents {
    Nothing,
    Json(fn(&mut SchemaGenerator) -> Schema),
    Form(fn(&mut SchemaGenerator) -> Schema),
    /// Parameters behind the question mark.
    Query(fn(&mut SchemaGenerator) -> Schema),
    Html,
    Text,
    Bytes,
}

/// What a handler gives back. A failure becomes the API's error document.
pub(crate) type Answer = Pin<Box<dyn Future<Output = Result<Response, Failure>> + Send>>;

/// What runs, and what a caller must prove before it does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Handler {
    /// Nothing: anybody may ask.
    Public(fn(Call) -> Answer),
    /// A token of the identity provider, and a device key. Checked by the handler, whose errors are OAuth's.
    SubjectToken(fn(Call) -> Answer),
    /// The key of a session, in a proof for this one TLS connection. Checked by the handler, which knows the session.
    SessionKey(fn(Call) -> Answer),
    /// A login: an access token of this server and the key it is bound to.
    User(fn(Call, Caller) -> Answer),
    /// An endpoint of the built-in issuer, for devices. What they hold is checked by the handler.
    Device(fn(Call) -> Answer),
    /// A page for browsers on this machine. Asked only when `Host` and `Origin` are the server's own.
    Page(fn(Call) -> Answer),
}

impl Handler {
    /// The right's word in documents and tests.
    pub(crate) fn right(self) -> &'static str {
        match self {
            Self::Public(_) => "public",
            Self::SubjectToken(_) => "subject_token",
            Self::SessionKey(_) => "session_key",
            Self::User(_) => "user",
            Self::Device(_) => "device",
            Self::Page(_) => "page",
        }
    }
}

/// One request.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) server: Arc<Server>,
    pub(crate) connection: Connection,
    pub(crate) now: Timestamp,
    pub(crate) parameters: Vec<(String, String)>,
    pub(crate) parts: Parts,
    /// Taken once. The lock is never waited for; it makes the call shareable, which a body alone is not.
    body: Mutex<Body>,
}

/// Somebody who proved to be logged in.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) identity: Identity,
    /// Their name in records.
    pub(crate) pseudonym: String,
    /// The device key they hold.
    pub(crate) key: Thumbprint,
    pub(crate) expires_at: Timestamp,
}

/// Makes the router of the given routes.
pub(crate) fn router<'r>(server: &Arc<Server>, routes: impl IntoIterator<Item = &'r Route>) -> Router {
    let mut router = Router::new();
    for route in routes {
        let route = *route;
        let server = Arc::clone(server);
        let answer = move |request: Request| {
            let server = Arc::clone(&server);
            async move { finish(dispatch(route, server, request).await) }
        };
        router = router.route(route.path, on(route.method.filter(), answer));
    }
    let nothing = || async { finish(Err(Failure::new(Kind::NotFound, "there is nothing at this address"))) };
    router.fallback(nothing).method_not_allowed_fallback(nothing).layer(DefaultBodyLimit::max(BODY_MAX))
}

async fn dispatch(route: Route, server: Arc<Server>, request: Request) -> Result<Response, Failure> {
    let connection = request.extensions().get::<Connection>().copied();
    let connection = connection.ok_or_else(|| Failure::new(Kind::Internal, "a request came from nowhere"))?;
    let (mut parts, body) = request.into_parts();
    let parameters = RawPathParams::from_request_parts(&mut parts, &())
        .await
        .map_err(|_| Failure::new(Kind::Usage, "the address cannot be read"))?;
    let parameters = parameters.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let call = Call { server, connection, now: clock::now(), parameters, parts, body: Mutex::new(body) };
    if call.connection.exporter.is_none() && !matches!(route.handler, Handler::Page(_)) {
        return Err(Failure::new(Kind::Usage, "this server speaks https"));
    }
    match route.handler {
        Handler::Public(run) | Handler::SubjectToken(run) | Handler::SessionKey(run) | Handler::Device(run) => {
            run(call).await
        }
        Handler::Page(run) => {
            call.check_own_page()?;
            run(call).await
        }
        Handler::User(run) => {
            let caller = call.caller().await?;
            run(call, caller).await
        }
    }
}

/// Adds what every response has; turns failures into documents.
fn finish(result: Result<Response, Failure>) -> Response {
    let mut response = result.unwrap_or_else(|failure| error(&failure));
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// A failure as the API says it.
pub(crate) fn error(failure: &Failure) -> Response {
    let mut response = (status(failure.kind), Json(ErrorBody::from(failure))).into_response();
    if failure.kind == Kind::NotLoggedIn {
        // RFC 9449 section 7.1.
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("DPoP algs=\"EdDSA ES256\""));
    }
    response
}

/// The HTTP status of a failure (RFC 9110 section 15).
pub(crate) fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::Usage => StatusCode::BAD_REQUEST,
        Kind::NotLoggedIn => StatusCode::UNAUTHORIZED,
        Kind::Denied => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Pending => StatusCode::CONFLICT,
        Kind::Limit => StatusCode::TOO_MANY_REQUESTS,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Kind::Gateway | Kind::Database => StatusCode::BAD_GATEWAY,
    }
}

/// A JSON document.
pub(crate) fn json(body: &impl Serialize) -> Result<Response, Failure> {
    Ok(Json(body).into_response())
}

impl Call {
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// A header that must not be there twice.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers().get_all(name).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok(),
            (_, _) => None,
        }
    }

    /// A parameter of the path.
    pub(crate) fn parameter(&self, name: &str) -> Result<&str, Failure> {
        let found = self.parameters.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str()).ok_or_else(|| Failure::new(Kind::Usage, format!("`{name}` is missing")))
    }

    /// The database that the path names.
    pub(crate) fn resource(&self) -> Result<ResourceName, Failure> {
        let name = self.parameter("resource")?;
        name.parse().map_err(|error: BadName| Failure::new(Kind::Usage, error.to_string()))
    }

    /// The parameters behind the question mark.
    pub(crate) fn query<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let query = Query::try_from_uri(&self.parts.uri);
        query.map(|Query(value)| value).map_err(|error| bad_request(&error.body_text()))
    }

    /// The body as JSON.
    pub(crate) async fn json<T: DeserializeOwned>(&mut self) -> Result<T, Failure> {
        let read = Json::<T>::from_request(self.take_request(), &());
        let read = tokio::time::timeout(BODY_TIMEOUT, read).await.map_err(|_| too_slow())?;
        read.map(|Json(value)| value).map_err(|error| bad_request(&error.body_text()))
    }

    /// A body as JSON that may be longer than most: for callers who have proved who they are.
    pub(crate) async fn json_up_to<T: DeserializeOwned>(&mut self, length_max: usize) -> Result<T, Failure> {
        let body = self.take_request().into_body();
        let read = tokio::time::timeout(BODY_TIMEOUT, axum::body::to_bytes(body, length_max)).await;
        let bytes = read.map_err(|_| too_slow())?.map_err(|error| bad_request(&error.to_string()))?;
        serde_json::from_slice(&bytes).map_err(|error| bad_request(&error.to_string()))
    }

    /// The body as a form.
    pub(crate) async fn form<T: DeserializeOwned>(&mut self) -> Result<T, Failure> {
        let read = Form::<T>::from_request(self.take_request(), &());
        let read = tokio::time::timeout(BODY_TIMEOUT, read).await.map_err(|_| too_slow())?;
        read.map(|Form(value)| value).map_err(|error| bad_request(&error.body_text()))
    }

    /// The request itself, with its body; what stays has an empty one.
    pub(crate) fn take_request(&mut self) -> Request {
        let body = std::mem::take(self.body.get_mut().unwrap_or_else(PoisonError::into_inner));
        Request::from_parts(self.parts.clone(), body)
    }

    /// This request, as a proof of possession names it (RFC 9449 section 4.2): by the URL clients know, whatever
    /// stands between them and us.
    fn proof_request<'a>(&'a self, url: &'a str, token: Option<&'a str>) -> dpop::Request<'a> {
        dpop::Request { method: self.parts.method.as_str(), url, token }
    }

    fn own_url(&self) -> String {
        format!("{}{}", self.server.url, self.parts.uri.path())
    }

    /// The proof of possession that came with this request. It costs a signature check and touches nothing; whether
    /// it was used before is a question for [`Call::use_proof`], after everything else is known to be genuine.
    pub(crate) fn proof(&self, token: Option<&str>) -> Result<Proof, Failure> {
        let proof = self.header(DPOP_HEADER).ok_or_else(|| not_logged_in("The proof of possession is missing."))?;
        let url = self.own_url();
        dpop::check(proof, self.proof_request(&url, token), self.now).map_err(|error| match error {
            DpopError::ClockOff(_) => clock_off(&error),
            DpopError::NotGenuine(_) | DpopError::OtherRequest | DpopError::OtherToken => {
                not_logged_in("The proof of possession is not good for this request.")
            }
        })
    }

    /// Uses a proof up. Refused when it was used before, or when its key was logged out.
    pub(crate) async fn use_proof(&self, proof: Proof) -> Result<Thumbprint, Failure> {
        let (key, now) = (proof.key.clone(), self.now);
        let used = self.server.store.run(move |db| {
            let revoked = super::replay::is_revoked(db, &proof.key)?;
            Ok((super::replay::first_use(db, &proof, now)?, revoked))
        });
        match used.await? {
            (true, false) => Ok(key),
            (_, true) => Err(not_logged_in("This login was ended.")),
            (false, false) => Err(not_logged_in("The proof of possession was used before.")),
        }
    }

    /// Who calls. The token must be ours and alive, the proof for this very request, the key not logged out.
    async fn caller(&self) -> Result<Caller, Failure> {
        let authorization = self.header(header::AUTHORIZATION.as_str());
        let text = authorization
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("dpop"))
            .map(|(_, token)| token.trim())
            .ok_or_else(|| not_logged_in("No access token was sent."))?;
        let token = self.own_token(text)?;
        let proof = self.proof(Some(text))?;
        if proof.key != token.key {
            return Err(not_logged_in("The access token belongs to another device."));
        }
        let key = self.use_proof(proof).await?;
        Ok(Caller { identity: token.identity, pseudonym: token.pseudonym, key, expires_at: token.expires_at })
    }

    /// The login in an access token of this server. Whether the caller holds its key is another question.
    pub(crate) fn own_token(&self, text: &str) -> Result<AccessToken, Failure> {
        AccessToken::verify(text, &self.server.url, &self.server.token_keys, self.now).map_err(|error| match error {
            TokenError::Expired => not_logged_in("The access token has expired."),
            TokenError::NotGenuine(_) | TokenError::OtherServer => {
                not_logged_in("The access token is not one of this server's.")
            }
        })
    }

    /// Refuses requests for pages that another site started, or that came under another name (DNS rebinding).
    fn check_own_page(&self) -> Result<(), Failure> {
        let own = self.server.url.trim_start_matches("https://");
        let refused = || Failure::new(Kind::Denied, "this page is for this machine only");
        if self.header(header::HOST.as_str()) != Some(own) {
            return Err(refused());
        }
        let changes = self.parts.method != HttpMethod::GET;
        let origin = self.headers().contains_key(header::ORIGIN);
        if changes || origin {
            let scheme = if self.connection.exporter.is_some() { "https" } else { "http" };
            let same = format!("{scheme}://{own}");
            if self.header(header::ORIGIN.as_str()) != Some(&same) {
                return Err(refused());
            }
        }
        Ok(())
    }
}

fn too_slow() -> Failure {
    Failure::new(Kind::Limit, "the request took too long")
}

fn bad_request(why: &str) -> Failure {
    // The words are serde's and name fields and positions.
    Failure::new(Kind::Usage, "the request cannot be read").detail(format!("{}.", why.trim_end_matches('.')))
}

fn not_logged_in(why: &str) -> Failure {
    Failure::new(Kind::NotLoggedIn, "you are not logged in").detail(why).hint("run: gov login")
}

fn clock_off(error: &DpopError) -> Failure {
    Failure::new(Kind::NotLoggedIn, "the clock of your machine and the server's differ by more than a minute")
        .detail(format!("By the server's clock, {error}."))
        .hint("set the clock, for example with: timedatectl set-ntp true")
}
