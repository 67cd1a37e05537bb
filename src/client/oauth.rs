//! The identity provider's side of a login: discovery, the device flow (RFC 8628) and renewal, with the crate `oauth2`
//! over our one way out.

use std::pin::Pin;

use std::time::Duration;

use oauth2::basic::BasicErrorResponse;
use oauth2::{
    AuthType, Client, ClientId, DeviceAuthorizationResponse, DeviceAuthorizationUrl, DeviceCodeErrorResponse,
    DeviceCodeErrorResponseType, EndpointNotSet, EndpointSet, ErrorResponse, ExtraDeviceAuthorizationFields,
    ExtraTokenFields, HttpRequest, HttpResponse, RefreshToken, RequestTokenError, Scope, StandardTokenResponse,
    TokenResponse as _, TokenUrl,
};
use reqwest::Url;
use serde::{Deserialize, Serialize};

use crate::domain::{Failure, Kind, Secret};
use crate::identity::discovery::{self, Discovery};
use crate::runtime::http::{self, HttpError};
use crate::wire::api::IssuerInfo;

/// Shortest time between two polls, whatever the provider says: nought would be a storm.
const POLL_MIN: Duration = Duration::from_secs(1);

/// What providers may add to the start of a device flow.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ExtraDevice {
    /// The built-in issuer's number to match.
    pub(super) gov_number: Option<String>,
}

impl ExtraDeviceAuthorizationFields for ExtraDevice {}

/// What OpenID Connect adds to tokens.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ExtraToken {
    id_token: Option<String>,
}

impl ExtraTokenFields for ExtraToken {}

type Tokens = StandardTokenResponse<ExtraToken, oauth2::basic::BasicTokenType>;

type OAuthClient<Device> = Client<
    BasicErrorResponse,
    Tokens,
    oauth2::StandardTokenIntrospectionResponse<oauth2::EmptyExtraTokenFields, oauth2::basic::BasicTokenType>,
    oauth2::StandardRevocableToken,
    oauth2::basic::BasicRevocationErrorResponse,
    EndpointNotSet,
    Device,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

/// A started flow.
pub(super) type Started = DeviceAuthorizationResponse<ExtraDevice>;

/// What the provider gave.
#[derive(Debug)]
pub(super) struct Granted {
    /// The token to exchange at our server: of the kind it asked for.
    pub(super) subject_token: Secret<String>,
    pub(super) refresh_token: Option<Secret<String>>,
}

/// An identity provider, seen from a client.
#[derive(Debug)]
pub(super) struct Provider<'a> {
    http: reqwest::Client,
    info: &'a IssuerInfo,
    endpoints: Discovery,
}

/// The answer to one request, on its way.
type BoxedAnswer = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send>>;

async fn execute(http: reqwest::Client, request: HttpRequest) -> Result<HttpResponse, HttpError> {
    let broken = |error: &dyn std::fmt::Display| HttpError::Broken(error.to_string());
    let request = reqwest::Request::try_from(request).map_err(|error| broken(&error))?;
    let answer = http::send(reqwest::RequestBuilder::from_parts(http, request)).await?;
    let mut response = HttpResponse::new(answer.body);
    *response.status_mut() = answer.status;
    Ok(response)
}

impl<'a> Provider<'a> {
    /// Asks the provider where its endpoints are.
    pub(super) async fn discover(http: reqwest::Client, info: &'a IssuerInfo) -> Result<Self, Failure> {
        let location = discovery::location(&info.url);
        let answer = http::send(http.get(&location)).await.map_err(|error| unreachable(info, &error))?;
        if !answer.status.is_success() {
            return Err(unusable(info, &format!("`{location}` answered {}.", answer.status)));
        }
        let endpoints = discovery::parse(&answer.body, &info.url)
            .map_err(|error| unusable(info, &format!("Its discovery document is not usable: {error}.")))?;
        let all = [endpoints.token_endpoint.as_ref(), endpoints.device_authorization_endpoint.as_ref()];
        for endpoint in all.into_iter().flatten() {
            if !Url::parse(endpoint).is_ok_and(|url| http::is_private(&url)) {
                return Err(unusable(info, "One of its endpoints is not https."));
            }
        }
        Ok(Self { http, info, endpoints })
    }

    fn client(&self) -> Result<OAuthClient<EndpointNotSet>, Failure> {
        let url = self.endpoints.token_endpoint.clone();
        let url = url.ok_or_else(|| unusable(self.info, "It has no `token_endpoint`."))?;
        let token = TokenUrl::new(url)
            .map_err(|error| unusable(self.info, &format!("Its token endpoint is not a URL: {error}.")))?;
        // A public client names itself in the body; there is no secret to authenticate with (RFC 6749 section 2.3.1).
        Ok(Client::new(ClientId::new(self.info.client_id.clone()))
            .set_auth_type(AuthType::RequestBody)
            .set_token_uri(token))
    }

    /// Step 1: a code for the person. `about` is what the built-in issuer shows to whoever is asked.
    pub(super) async fn start(&self, about: &[(&'static str, String)]) -> Result<Started, Failure> {
        let url = self
            .endpoints
            .device_authorization_endpoint
            .clone()
            .ok_or_else(|| unusable(self.info, "It has no device flow (`device_authorization_endpoint`)."))?;
        let url = DeviceAuthorizationUrl::new(url)
            .map_err(|error| unusable(self.info, &format!("Its device endpoint is not a URL: {error}.")))?;
        let client = self.client()?.set_device_authorization_url(url);
        let mut request = client.exchange_device_code();
        for scope in &self.info.scopes {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        if let Some(resource) = &self.info.resource {
            request = request.add_extra_param("resource", resource.clone());
        }
        for (name, value) in about {
            request = request.add_extra_param(*name, value.clone());
        }
        request.request_async(&self.way_out()).await.map_err(|error| self.refused(error))
    }

    /// Step 3: polls until the person has answered or the code has expired. Cancel safe: the code just expires.
    pub(super) async fn wait(&self, started: &Started) -> Result<Granted, Failure> {
        let client = self.client()?;
        let mut request = client.exchange_device_access_token(started);
        if let Some(resource) = &self.info.resource {
            request = request.add_extra_param("resource", resource.clone());
        }
        let pause = |interval: Duration| tokio::time::sleep(interval.max(POLL_MIN));
        let tokens = request.request_async(&self.way_out(), pause, None).await;
        self.granted(&tokens.map_err(|error| self.not_approved(error))?)
    }

    /// New tokens for a refresh token. `None`: it is not good any more.
    pub(super) async fn renew(&self, refresh_token: &Secret<String>) -> Result<Option<Granted>, Failure> {
        let client = self.client()?;
        let token = RefreshToken::new(refresh_token.expose().clone());
        let mut request = client.exchange_refresh_token(&token);
        if let Some(resource) = &self.info.resource {
            request = request.add_extra_param("resource", resource.clone());
        }
        match request.request_async(&self.way_out()).await {
            Ok(tokens) => self.granted(&tokens).map(Some),
            Err(RequestTokenError::ServerResponse(error)) if error.error().as_ref() == "invalid_grant" => Ok(None),
            Err(error) => Err(self.refused(error)),
        }
    }

    /// Ends a refresh token, where the provider lets one (RFC 7009). Best effort: it ends by itself one day.
    pub(super) async fn revoke(&self, refresh_token: &Secret<String>) -> Result<(), Failure> {
        let Some(url) = &self.endpoints.revocation_endpoint else { return Ok(()) };
        if !Url::parse(url).is_ok_and(|url| http::is_private(&url)) {
            return Err(unusable(self.info, "Its revocation endpoint is not https."));
        }
        let form = [
            ("token", refresh_token.expose().as_str()),
            ("token_type_hint", "refresh_token"),
            ("client_id", &self.info.client_id),
        ];
        http::send(self.http.post(url).form(&form)).await.map_err(|error| unreachable(self.info, &error))?;
        Ok(())
    }

    /// The crate's requests, over our way out. Owns what it needs and gives boxed futures: with borrowed ones the
    /// compiler cannot see that they may move between threads.
    fn way_out(&self) -> impl Fn(HttpRequest) -> BoxedAnswer + 'static {
        let http = self.http.clone();
        move |request| Box::pin(execute(http.clone(), request))
    }

    fn granted(&self, tokens: &Tokens) -> Result<Granted, Failure> {
        let subject_token = match self.info.token.as_str() {
            "access_token" => Some(tokens.access_token().secret().clone()),
            _ => tokens.extra_fields().id_token.clone(),
        };
        let subject_token = subject_token.ok_or_else(|| {
            unusable(self.info, "It gave no ID token.").hint("ask its administrator to allow the scope `openid`")
        })?;
        Ok(Granted {
            subject_token: Secret::new(subject_token),
            refresh_token: tokens.refresh_token().map(|token| Secret::new(token.secret().clone())),
        })
    }

    /// A refusal at the end of the device flow.
    fn not_approved(&self, error: RequestTokenError<HttpError, DeviceCodeErrorResponse>) -> Failure {
        let RequestTokenError::ServerResponse(response) = &error else { return self.refused(error) };
        match response.error() {
            DeviceCodeErrorResponseType::AccessDenied => {
                Failure::new(Kind::Denied, "the login was denied").detail("Somebody answered `Deny` on the page.")
            }
            DeviceCodeErrorResponseType::ExpiredToken => {
                Failure::new(Kind::NotLoggedIn, "the code has expired").hint("start again with: gov login")
            }
            DeviceCodeErrorResponseType::AuthorizationPending
            | DeviceCodeErrorResponseType::SlowDown
            | DeviceCodeErrorResponseType::Basic(_) => self.refused(error),
        }
    }

    fn refused<T: ErrorResponse + std::fmt::Display>(&self, error: RequestTokenError<HttpError, T>) -> Failure {
        match error {
            RequestTokenError::ServerResponse(response) => {
                let text: String = response.to_string().chars().filter(|c| !c.is_control()).take(300).collect();
                unusable(self.info, &format!("It answered: {text}."))
            }
            RequestTokenError::Request(error) => unreachable(self.info, &error),
            // What was not understood may be a token.
            RequestTokenError::Parse(_, _) | RequestTokenError::Other(_) => {
                unusable(self.info, "Its answer was not understood.")
            }
        }
    }
}

fn unreachable(info: &IssuerInfo, error: &HttpError) -> Failure {
    Failure::new(Kind::Gateway, format!("cannot reach the identity provider `{}`", info.url))
        .cause(error)
        .hint("look whether it can be reached from this machine, for example in a browser")
}

fn unusable(info: &IssuerInfo, why: &str) -> Failure {
    Failure::new(Kind::Gateway, format!("the identity provider `{}` did not do its part", info.url)).detail(why)
}
