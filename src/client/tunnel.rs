//! Opens streams to the gateway: TCP (through an HTTP proxy where the environment names one), TLS 1.3, HTTP Upgrade.
//! The steps are numbered in `wire/tunnel.rs`.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as BASE64URL};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, PROXY_AUTHORIZATION, UPGRADE};
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use ring::signature::Ed25519KeyPair;
use rustls::ClientConfig;
use tokio::net::TcpStream;

use crate::domain::{Digest, Duration, Failure, Kind, SessionId};
use crate::runtime::net::{self, DialledTls, Socket};
use crate::runtime::read_ahead::ReadAhead;
use crate::runtime::tls;
use crate::wire::api::ErrorBody;
use crate::wire::tunnel;

/// From dialling to the answer of the upgrade.
const OPEN_TIMEOUT: Duration = Duration::from_secs(15);

/// Longest error body read from the gateway.
const ERROR_MAX: usize = 64 * 1024;

/// Where streams go.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    /// `https://host:port`, the server's URL.
    pub(crate) url: Uri,
    /// Shared by all streams, so that TLS sessions are resumed.
    pub(crate) tls: Arc<ClientConfig>,
}

/// What opens a stream.
#[derive(Debug)]
pub(crate) struct Ticket<'a> {
    pub(crate) session: SessionId,
    pub(crate) stream: u32,
    pub(crate) policy: Digest,
    pub(crate) engine: &'a str,
    /// The session's key: the gateway knows its public half.
    pub(crate) key: &'a Ed25519KeyPair,
}

/// Opens a stream. Cancel safe: dropping it closes the connection.
pub(crate) async fn open(destination: &Destination, ticket: &Ticket<'_>) -> Result<Socket, Failure> {
    let attempt = async {
        let host = destination.url.host().unwrap_or_default();
        let stream = connect(destination).await?;
        let name = tls::server_name(host.trim_matches(['[', ']']))?;
        let stream = tokio_rustls::TlsConnector::from(Arc::clone(&destination.tls))
            .connect(name, ReadAhead::new(stream))
            .await
            .map_err(|error| unreachable(host, &error))?;
        upgrade(stream, destination, ticket).await
    };
    tokio::time::timeout(OPEN_TIMEOUT, attempt).await.unwrap_or_else(|_| {
        Err(unreachable(destination.url.host().unwrap_or_default(), &"it did not answer within 15 seconds"))
    })
}

/// Steps 2 and 3.
async fn upgrade(stream: DialledTls, destination: &Destination, ticket: &Ticket<'_>) -> Result<Socket, Failure> {
    let host = destination.url.host().unwrap_or_default();
    let broken = |error: &dyn std::fmt::Display| unreachable(host, error);
    let exporter = tls::exporter(stream.get_ref().1).map_err(|error| broken(&error))?;
    let message = tunnel::proof_message(&exporter, ticket.session, ticket.stream, ticket.policy, ticket.engine);
    let request = Request::get(format!("/v1/sessions/{}/tunnel", ticket.session))
        .header(HOST, destination.url.authority().map_or(host, |authority| authority.as_str()))
        .header(CONNECTION, "upgrade")
        .header(UPGRADE, tunnel::UPGRADE)
        .header(tunnel::STREAM_HEADER, ticket.stream)
        .header(tunnel::POLICY_HEADER, ticket.policy.to_string())
        .header(tunnel::ENGINE_HEADER, ticket.engine)
        .header(tunnel::PROOF_HEADER, BASE64URL.encode(ticket.key.sign(&message)))
        .body(Empty::<Bytes>::new())
        .map_err(|error| broken(&error))?;
    let answer = send(TokioIo::new(stream), request).await.map_err(|error| broken(&error))?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(refusal(answer, host).await);
    }
    let upgraded = hyper::upgrade::on(answer).await.map_err(|error| broken(&error))?;
    let stream = whole::<DialledTls>(upgraded).map_err(|error| broken(&error))?;
    Ok(Socket::Dialled(Box::new(stream)))
}

/// A TCP connection to the server, or to it through a proxy.
async fn connect(destination: &Destination) -> Result<TcpStream, Failure> {
    let host = destination.url.host().unwrap_or_default();
    let port = destination.url.port_u16().unwrap_or(443);
    match Matcher::from_system().intercept(&destination.url) {
        None => net::dial(host.trim_matches(['[', ']']), port).await.map_err(|error| unreachable(host, &error)),
        Some(proxy) => through(&proxy, host, port).await,
    }
}

/// Asks an HTTP proxy for a connection (RFC 9110 section 9.3.6).
async fn through(proxy: &Intercept, host: &str, port: u16) -> Result<TcpStream, Failure> {
    let proxy_host = proxy.uri().host().unwrap_or_default();
    let failure = |error: &dyn std::fmt::Display| {
        Failure::new(Kind::Gateway, format!("the proxy `{proxy_host}` did not connect to `{host}:{port}`"))
            .detail(format!("{error}."))
            .hint("check HTTPS_PROXY, and NO_PROXY if the server can be reached directly")
    };
    if proxy.uri().scheme_str() != Some("http") {
        return Err(failure(&"Only proxies with an http:// URL are supported"));
    }
    let stream = net::dial(proxy_host, proxy.uri().port_u16().unwrap_or(80)).await.map_err(|error| failure(&error))?;
    let mut request =
        Request::builder().method(Method::CONNECT).uri(format!("{host}:{port}")).header(HOST, format!("{host}:{port}"));
    if let Some(credentials) = proxy.basic_auth() {
        request = request.header(PROXY_AUTHORIZATION, credentials);
    } else if let Some((user, password)) = proxy.raw_auth() {
        let credentials = STANDARD.encode(format!("{user}:{password}"));
        request = request.header(PROXY_AUTHORIZATION, format!("Basic {credentials}"));
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| failure(&error))?;
    let answer = send(TokioIo::new(stream), request).await.map_err(|error| failure(&error))?;
    if !answer.status().is_success() {
        return Err(failure(&format!("It answered {}", answer.status())));
    }
    let upgraded = hyper::upgrade::on(answer).await.map_err(|error| failure(&error))?;
    whole::<TcpStream>(upgraded).map_err(|error| failure(&error))
}

/// Sends one request on a connection of its own.
async fn send<I>(io: TokioIo<I>, request: Request<Empty<Bytes>>) -> Result<Response<Incoming>, hyper::Error>
where
    I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(io).await?;
    // Ends with the exchange, or when the connection has been handed over.
    tokio::spawn(connection.with_upgrades());
    sender.send_request(request).await
}

/// The connection itself, when nothing was read beyond the answer: the other side waits for us to speak.
fn whole<I>(upgraded: Upgraded) -> Result<I, &'static str>
where
    I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let parts = upgraded.downcast::<TokioIo<I>>().map_err(|_| "the connection is of an unexpected kind")?;
    if parts.read_buf.is_empty() { Ok(parts.io.into_inner()) } else { Err("it spoke before it was asked") }
}

/// The server's reason for not opening a stream.
async fn refusal(answer: Response<Incoming>, host: &str) -> Failure {
    let status = answer.status();
    let body = Limited::new(answer.into_body(), ERROR_MAX).collect().await.map(|body| body.to_bytes());
    match body.ok().and_then(|body| serde_json::from_slice::<ErrorBody>(&body).ok()) {
        Some(error) => error.into_failure(),
        None => unreachable(host, &format!("it answered {status}")),
    }
}

fn unreachable(host: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Kind::Gateway, format!("the gateway `{host}` cannot be reached"))
        .detail(format!("{error}."))
        .hint("check the network, then run `gov status`")
}
