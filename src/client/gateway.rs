//! Typed calls to the server, as whoever is logged in. Renews the login by itself.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{Client, Method, RequestBuilder, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;

use super::oauth::Provider;
use super::profile::{self, Profile};
use super::token_store::{self, Login, StoreError, TokenStore};
use crate::audit::{Algorithm, NoteKey};
use crate::domain::{AgentId, Duration, Failure, Kind, Secret, Timestamp};
use crate::identity::dpop;
use crate::identity::jwt::SigningKey;
use crate::runtime::http::{self, Answer, HttpError};
use crate::runtime::tls::Trust;
use crate::runtime::{clock, env, files, random};
use crate::wire::api::{
    ACCESS_TOKEN_TYPE, DPOP_HEADER, ErrorBody, ID_TOKEN_TYPE, IssuerInfo, JWT_TYPE, OAuthError, ServerInfo,
    TOKEN_EXCHANGE, TokenRequest, TokenResponse,
};

/// A token is renewed when it would end sooner than this: time enough for one slow request.
const RENEW_BEFORE: Duration = Duration::from_secs(30);

/// How far this machine's clock may be from the server's; what the server accepts in proofs.
pub(crate) const SKEW_MAX: Duration = dpop::WINDOW;

/// A server that can be reached, before anybody is logged in.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) url: Url,
    pub(crate) trust: Trust,
    http: Client,
}

/// How the two clocks differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Skew {
    Ahead(Duration),
    Behind(Duration),
}

impl Skew {
    /// How `here` differs from `there`.
    pub(crate) fn between(here: Timestamp, there: Timestamp) -> Self {
        if here >= there { Self::Ahead(here.since(there)) } else { Self::Behind(there.since(here)) }
    }

    pub(crate) fn length(self) -> Duration {
        match self {
            Self::Ahead(length) | Self::Behind(length) => length,
        }
    }
}

impl Server {
    pub(crate) fn new(url: Url, ca: Option<&str>) -> Result<Self, Failure> {
        let trust = profile::trust(&url, ca)?;
        let http = http::client(&trust, &url)?;
        Ok(Self { url, trust, http })
    }

    /// `https://host[:port]`.
    pub(crate) fn origin(&self) -> String {
        profile::origin(&self.url)
    }

    /// What the server says about itself.
    pub(crate) async fn info(&self) -> Result<ServerInfo, Failure> {
        let answer = self.send(self.http.get(self.address("/v1/server"))).await?;
        let info: ServerInfo = read(&answer)
            .map_err(|failure| failure.hint(format!("is `{}` the address of a gov server?", self.origin())))?;
        if info.url != self.origin() {
            return Err(Failure::new(Kind::Usage, format!("this server is called `{}`", info.url))
                .detail("Tokens and proofs name the server, so the address must be exactly that.")
                .hint(format!("run: gov login {}", info.url)));
        }
        Ok(info)
    }

    /// How this machine's clock differs from the server's.
    pub(crate) fn skew(info: &ServerInfo) -> Option<Skew> {
        Timestamp::parse(&info.time).map(|there| Skew::between(clock::now(), there))
    }

    fn address(&self, path: &str) -> String {
        format!("{}{path}", self.origin())
    }

    async fn send(&self, request: RequestBuilder) -> Result<Answer, Failure> {
        http::send(request).await.map_err(|error| self.unreachable(&error))
    }

    fn unreachable(&self, error: &HttpError) -> Failure {
        let failure =
            Failure::new(Kind::Gateway, format!("cannot reach the gov server `{}`", self.origin())).cause(error);
        match error {
            HttpError::NotTrusted(_) if http::is_loopback(&self.url) => failure
                .hint("is it a gov server that this user started? name its authority with: gov login --ca-file FILE"),
            HttpError::NotTrusted(_) => failure.hint("name its authority with: gov login --ca-file FILE"),
            HttpError::Proxy(_) => {
                failure.hint("check HTTPS_PROXY, and NO_PROXY if the server can be reached directly")
            }
            HttpError::Unreachable(_) | HttpError::TooSlow | HttpError::TooLong | HttpError::Broken(_) => {
                failure.hint("look at the address, and whether the server runs: gov status")
            }
        }
    }

    /// The client for requests to an identity provider: the server's own, if it is built into it.
    pub(super) fn http_for(&self, issuer: &IssuerInfo, ca: Option<&str>) -> Result<Client, Failure> {
        if issuer.built_in {
            return Ok(self.http.clone());
        }
        let url = Url::parse(&issuer.url)
            .map_err(|_| Failure::new(Kind::Gateway, format!("the server's issuer `{}` is not a URL", issuer.url)))?;
        let trust = ca.map_or(Trust::System, |ca| Trust::SystemAnd(ca.to_owned()));
        http::foreign_client(&trust, &url)
    }

    /// Exchanges a provider's token for one of the server's, bound to a device key.
    pub(super) async fn exchange(
        &self,
        issuer: &IssuerInfo,
        subject_token: &Secret<String>,
        device: &SigningKey,
    ) -> Result<(Secret<String>, Timestamp), Failure> {
        let kind = if issuer.token == "access_token" { ACCESS_TOKEN_TYPE } else { ID_TOKEN_TYPE };
        self.exchange_as(kind, subject_token, device).await
    }

    /// The same for the token that a platform gave to this job.
    pub(super) async fn exchange_workload(
        &self,
        subject_token: &Secret<String>,
        device: &SigningKey,
    ) -> Result<(Secret<String>, Timestamp), Failure> {
        self.exchange_as(JWT_TYPE, subject_token, device).await
    }

    async fn exchange_as(
        &self,
        kind: &str,
        subject_token: &Secret<String>,
        device: &SigningKey,
    ) -> Result<(Secret<String>, Timestamp), Failure> {
        let form = TokenRequest {
            grant_type: TOKEN_EXCHANGE.to_owned(),
            subject_token: subject_token.expose().clone(),
            subject_token_type: kind.to_owned(),
            requested_actor: None,
        };
        self.token(&form, device).await
    }

    /// A token with which an agent acts for whoever `token` is of.
    async fn delegate(
        &self,
        token: &Secret<String>,
        agent: &AgentId,
        device: &SigningKey,
    ) -> Result<(Secret<String>, Timestamp), Failure> {
        let form = TokenRequest {
            grant_type: TOKEN_EXCHANGE.to_owned(),
            subject_token: token.expose().clone(),
            subject_token_type: ACCESS_TOKEN_TYPE.to_owned(),
            requested_actor: Some(agent.to_string()),
        };
        self.token(&form, device).await
    }

    async fn token(&self, form: &TokenRequest, device: &SigningKey) -> Result<(Secret<String>, Timestamp), Failure> {
        let url = self.address("/v1/token");
        let now = clock::now();
        let proof = prove(device, "POST", &url, None)?;
        let answer = self.send(self.http.post(&url).header(DPOP_HEADER, proof).form(form)).await?;
        if !answer.status.is_success() {
            return Err(exchange_refused(&answer));
        }
        let response: TokenResponse = read(&answer)?;
        let until = now.after(Duration::from_secs(response.expires_in));
        Ok((Secret::new(response.access_token), until))
    }

    /// Posts a form to a page of the built-in issuer, as a browser would.
    pub(super) async fn post_page(&self, path: &str, cookie: &str, form: &impl Serialize) -> Result<Answer, Failure> {
        let request = self.http.post(self.address(path)).header("origin", self.origin()).header("cookie", cookie);
        self.send(request.form(form)).await
    }
}

fn exchange_refused(answer: &Answer) -> Failure {
    let failure = Failure::new(Kind::Denied, "the server did not accept the login");
    match serde_json::from_slice::<OAuthError>(&answer.body) {
        Ok(error) => {
            let kind = if error.error == "temporarily_unavailable" { Kind::Gateway } else { Kind::Denied };
            let why = error.error_description.unwrap_or(error.error);
            Failure { kind, ..failure }.detail(format!("It says: {}.", why.trim_end_matches('.')))
        }
        Err(_) => Failure { kind: Kind::Gateway, ..failure }.detail(format!("It answered {}.", answer.status)),
    }
}

/// A proof of possession for one request.
fn prove(device: &SigningKey, method: &str, url: &str, token: Option<&str>) -> Result<String, Failure> {
    let request = dpop::Request { method, url, token };
    dpop::make(device, request, clock::now(), random::bytes()?)
        .map_err(|_| Failure::new(Kind::Internal, "no proof of possession could be made"))
}

/// The document in an answer, or the failure it tells of.
fn read<T: DeserializeOwned>(answer: &Answer) -> Result<T, Failure> {
    if !answer.status.is_success() {
        return Err(match serde_json::from_slice::<ErrorBody>(&answer.body) {
            Ok(error) => error.into_failure(),
            Err(_) => Failure::new(Kind::Gateway, format!("the server answered {}", answer.status)),
        });
    }
    serde_json::from_slice(&answer.body)
        .map_err(|_| Failure::new(Kind::Gateway, "the server's answer was not understood"))
}

/// The headers that make a request one of whoever is logged in.
#[derive(Debug)]
pub(crate) struct Authorization {
    pub(crate) authorization: Secret<String>,
    pub(crate) proof: String,
}

/// A server, and a login at it.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) server: Server,
    pub(crate) profile: Profile,
    store: &'static dyn TokenStore,
    login: Mutex<Login>,
    agent: Option<Acting>,
}

/// An agent that acts for whoever is logged in.
#[derive(Debug)]
struct Acting {
    agent: AgentId,
    /// Its token and until when that is good. Kept in memory only.
    token: Mutex<Option<(Secret<String>, Timestamp)>>,
}

impl Gateway {
    /// The login of this machine. Asks nobody; the first call may find that it has ended.
    pub(crate) async fn open() -> Result<Self, Failure> {
        let profile = Profile::load()?.ok_or_else(|| not_logged_in("Nobody has logged in on this machine."))?;
        let url = profile::server_url(&profile.server)?;
        let server = Server::new(url, profile.ca.as_deref())?;
        let store = token_store::named(&profile.token_store)
            .ok_or_else(|| not_logged_in("The profile names a place for tokens that this version does not know."))?;
        let login = load(store, &profile.server).await?;
        let login = login.ok_or_else(|| not_logged_in("The login was ended on this machine."))?;
        Ok(Self::new(server, profile, store, login))
    }

    pub(super) fn new(server: Server, profile: Profile, store: &'static dyn TokenStore, login: Login) -> Self {
        Self { server, profile, store, login: Mutex::new(login), agent: None }
    }

    /// The same as an agent that acts for whoever is logged in.
    #[must_use]
    pub(crate) fn acting(mut self, agent: Option<AgentId>) -> Self {
        self.agent = agent.map(|agent| Acting { agent, token: Mutex::default() });
        self
    }

    /// `GET path`.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.call(Method::GET, path, |request| request).await
    }

    /// `POST path` with a JSON document.
    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        self.call(Method::POST, path, |request| request.json(body)).await
    }

    /// `GET path` with parameters behind a question mark: the members of `query`.
    pub(crate) async fn find<T: DeserializeOwned>(&self, path: &str, query: &impl Serialize) -> Result<T, Failure> {
        let mut url = self.server.url.clone();
        if let Ok(serde_json::Value::Object(members)) = serde_json::to_value(query) {
            for (name, value) in members {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                url.query_pairs_mut().append_pair(&name, &text);
            }
        }
        self.get(&format!("{path}?{}", url.query().unwrap_or_default())).await
    }

    /// `GET path`, as bytes of any kind. `None` when there is nothing.
    pub(crate) async fn bytes(&self, path: &str, length_max: usize) -> Result<Option<Vec<u8>>, Failure> {
        let authorization = self.authorize("GET", path).await?;
        let request = self
            .server
            .http
            .get(self.server.address(path))
            .header("authorization", authorization.authorization.expose())
            .header(DPOP_HEADER, authorization.proof);
        let answer = http::send_for(request, length_max).await.map_err(|error| self.server.unreachable(&error))?;
        if answer.status.is_success() {
            return Ok(Some(answer.body));
        }
        match read::<serde_json::Value>(&answer) {
            Err(Failure { kind: Kind::NotFound, .. }) => Ok(None),
            Err(failure) => Err(failure),
            Ok(_) => Err(Failure::new(Kind::Gateway, "the server's answer was not understood")),
        }
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<T, Failure> {
        let authorization = self.authorize(method.as_str(), path).await?;
        let request = self
            .server
            .http
            .request(method, self.server.address(path))
            .header("authorization", authorization.authorization.expose())
            .header(DPOP_HEADER, authorization.proof);
        let answer = self.server.send(body(request)).await?;
        read(&answer)
    }

    /// The headers for one request; the path without what stands behind a question mark.
    pub(crate) async fn authorize(&self, method: &str, path: &str) -> Result<Authorization, Failure> {
        let login = self.current().await?;
        let device = device_key(&login)?;
        let token = self.token(&login, &device).await?;
        let token = token.expose();
        let path = path.split(['?', '#']).next().unwrap_or(path);
        let proof = prove(&device, method, &self.server.address(path), Some(token))?;
        Ok(Authorization { authorization: Secret::new(format!("DPoP {token}")), proof })
    }

    /// The token to call with: the login's own, or the agent's that acts for it.
    async fn token(&self, login: &Login, device: &SigningKey) -> Result<Secret<String>, Failure> {
        let Some(acting) = &self.agent else { return Ok(login.access_token.clone()) };
        let mut held = acting.token.lock().await;
        match &*held {
            Some((token, until)) if clock::now().after(RENEW_BEFORE) < *until => Ok(token.clone()),
            _ => {
                let (token, until) = self.server.delegate(&login.access_token, &acting.agent, device).await?;
                *held = Some((token.clone(), until));
                Ok(token)
            }
        }
    }

    /// The login with a token that is good for a while; renewed if needed.
    async fn current(&self) -> Result<Login, Failure> {
        let mut login = self.login.lock().await;
        if clock::now().after(RENEW_BEFORE) >= login.access_until {
            *login = self.renew().await?;
        }
        Ok(login.clone())
    }

    /// Renews the login, unless another process of this user has just done so: a refresh token works once, and using
    /// it twice ends the login.
    async fn renew(&self) -> Result<Login, Failure> {
        let path = env::data_dir()?.join("renew.lock");
        let locked = tokio::task::spawn_blocking(move || files::lock(&path)).await;
        let _held = locked.map_err(|error| internal(&error))?.map_err(|error| internal(&error))?;
        let server = &self.profile.server;
        let found = load(self.store, server).await?;
        let mut login = found.ok_or_else(|| not_logged_in("The login was ended on this machine."))?;
        if clock::now().after(RENEW_BEFORE) < login.access_until {
            return Ok(login);
        }
        let ended = || not_logged_in("The login has ended.");
        let Some(refresh_token) = login.refresh_token.clone() else {
            return Err(self.profile.workload.as_deref().map_or_else(ended, job_ended));
        };
        let issuer = &self.profile.issuer;
        let provider = Provider::discover(self.server.http_for(issuer, self.profile.ca.as_deref())?, issuer).await?;
        let granted = provider.renew(&refresh_token).await?.ok_or_else(ended)?;
        // First of all what must not be lost: the old refresh token is void from now on.
        login.refresh_token = granted.refresh_token.or(Some(refresh_token));
        save(self.store, server, &login).await?;
        let device = device_key(&login)?;
        let (token, until) = self.server.exchange(issuer, &granted.subject_token, &device).await?;
        login.access_token = token;
        login.access_until = until;
        save(self.store, server, &login).await?;
        Ok(login)
    }

    /// Ends the login: at the server, at the identity provider, and here. What could not be reached is told; here it
    /// is gone in any case.
    pub(crate) async fn logout(self) -> Result<Vec<Failure>, Failure> {
        let mut troubles = Vec::new();
        let revoked: Result<crate::wire::api::Empty, Failure> = self.call(Method::POST, "/v1/logout", |r| r).await;
        match revoked {
            // A login that has ended needs no ending.
            Ok(_) | Err(Failure { kind: Kind::NotLoggedIn, .. }) => {}
            Err(failure) => troubles.push(failure),
        }
        let refresh_token = self.login.lock().await.refresh_token.clone();
        if let Some(token) = refresh_token {
            let issuer = &self.profile.issuer;
            let revoked = async {
                let http = self.server.http_for(issuer, self.profile.ca.as_deref())?;
                Provider::discover(http, issuer).await?.revoke(&token).await
            };
            troubles.extend(revoked.await.err());
        }
        erase(self.store, &self.profile.server).await?;
        Ok(troubles)
    }

    /// Until when the present access token is good, and whether it can be renewed after that.
    pub(crate) async fn validity(&self) -> (Timestamp, bool) {
        let login = self.login.lock().await;
        (login.access_until, login.refresh_token.is_some())
    }

    /// The key the server's log signs with: the server's own, under the log's name.
    pub(crate) fn log_key(&self) -> Result<NoteKey, Failure> {
        let key = NoteKey::parse(&self.profile.log).ok();
        let ours = self.server_key()?;
        key.filter(|key| key.public.0 == ours && key.algorithm == Algorithm::Ed25519).ok_or_else(|| {
            Failure::new(Kind::Usage, "the profile holds no key of the server's log").hint("log in again: gov login")
        })
    }

    /// The server's public key as it was seen when this login began.
    pub(crate) fn server_key(&self) -> Result<[u8; 32], Failure> {
        let bytes = URL_SAFE_NO_PAD.decode(&self.profile.key.public_key).ok();
        bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| {
            Failure::new(Kind::Usage, "the profile holds no key of the server").hint("log in again: gov login")
        })
    }
}

fn device_key(login: &Login) -> Result<SigningKey, Failure> {
    SigningKey::from_seed(&login.device).ok_or_else(|| not_logged_in("The device key is not usable."))
}

fn not_logged_in(why: &str) -> Failure {
    Failure::new(Kind::NotLoggedIn, "you are not logged in").detail(why).hint("run: gov login")
}

fn job_ended(platform: &str) -> Failure {
    not_logged_in("The login of this job has ended.").hint(format!("run: gov login --workload {platform}"))
}

fn internal(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Kind::Internal, "the login could not be renewed").cause(error)
}

/// How long a keychain may take to answer. One that waits for a person to unlock it gets that time.
const STORE_TIMEOUT: Duration = Duration::from_secs(60);

/// Keychains block, and some start an executor of their own: they get a thread.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let answered = tokio::time::timeout(STORE_TIMEOUT, tokio::task::spawn_blocking(work)).await;
    // An answer that is no answer: too late, or the thread broke.
    answered.map_err(|_| StoreError::Silent)?.unwrap_or(Err(StoreError::Silent))
}

fn store_failed(store: &dyn TokenStore, error: &StoreError) -> Failure {
    Failure::new(Kind::Internal, format!("{} cannot be used", store.summary()))
        .cause(error)
        .hint("log in again with: gov login --token-store file")
}

pub(super) async fn load(store: &'static dyn TokenStore, server: &str) -> Result<Option<Login>, Failure> {
    let server = server.to_owned();
    blocking(move || Login::load(store, &server)).await.map_err(|error| store_failed(store, &error))
}

pub(super) async fn save(store: &'static dyn TokenStore, server: &str, login: &Login) -> Result<(), Failure> {
    try_save(store, server, login).await.map_err(|error| store_failed(store, &error))
}

pub(super) async fn try_save(store: &'static dyn TokenStore, server: &str, login: &Login) -> Result<(), StoreError> {
    let (server, login) = (server.to_owned(), login.clone());
    blocking(move || login.save(store, &server)).await
}

async fn erase(store: &'static dyn TokenStore, server: &str) -> Result<(), Failure> {
    let server = server.to_owned();
    blocking(move || store.erase(&server)).await.map_err(|error| store_failed(store, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_differ_one_way_or_the_other() {
        let at = Timestamp::from_seconds;
        assert_eq!(Skew::between(at(10), at(4)), Skew::Ahead(Duration::from_secs(6)));
        assert_eq!(Skew::between(at(4), at(10)), Skew::Behind(Duration::from_secs(6)));
        assert_eq!(Skew::between(at(4), at(4)).length(), Duration::ZERO);
    }
}
