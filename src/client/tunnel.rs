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
use crate::runtime::http;
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
        let stream = connect(&destination.url, &Matcher::from_system()).await?;
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
async fn connect(url: &Uri, proxies: &Matcher) -> Result<TcpStream, Failure> {
    let host = url.host().unwrap_or_default();
    let port = url.port_u16().unwrap_or(443);
    // A proxy would look for our loopback addresses on its own machine.
    match proxies.intercept(url).filter(|_| !http::is_loopback_host(host)) {
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// A proxy that gives this answer to its one caller, and what the caller asked.
    async fn proxy(answer: &'static str) -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            // What goes through is handed back.
            let (mut from, mut to) = stream.split();
            drop(tokio::io::copy(&mut from, &mut to).await);
            String::from_utf8(head).unwrap()
        });
        (address, asked)
    }

    async fn through(url: &str, proxy: &str) -> Result<TcpStream, Failure> {
        let proxies = Matcher::builder().https(format!("http://me:secret@{proxy}")).no("direct.example.com").build();
        connect(&url.parse().unwrap(), &proxies).await
    }

    #[tokio::test]
    async fn a_proxy_connects_us_to_the_server() {
        let (address, asked) = proxy("HTTP/1.1 200 Connection established\r\n\r\n").await;
        let mut stream = through("https://gov.example.com:8443", &address).await.unwrap();
        stream.write_all(b"client hello").await.unwrap();
        let mut back = [0; 12];
        stream.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"client hello");
        drop(stream);
        let asked = asked.await.unwrap();
        assert!(asked.starts_with("CONNECT gov.example.com:8443 HTTP/1.1\r\n"), "{asked}");
        assert!(asked.to_lowercase().contains(&format!("basic {}", STANDARD.encode("me:secret")).to_lowercase()));
    }

    #[tokio::test]
    async fn a_proxy_that_does_not_is_named() {
        let (address, _asked) = proxy("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n").await;
        let failure = through("https://gov.example.com", &address).await.unwrap_err();
        assert!(failure.message.contains("proxy `127.0.0.1`") && failure.message.contains("gov.example.com:443"));
        assert!(failure.detail.is_some_and(|detail| detail.contains("407")));
        // One that speaks before it is asked would put its bytes into our TLS.
        let (address, _asked) = proxy("HTTP/1.1 200 OK\r\n\r\nsmuggled").await;
        assert!(through("https://gov.example.com", &address).await.is_err());
    }

    #[tokio::test]
    async fn this_machine_is_reached_without_a_proxy() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        // Nobody listens at the proxy.
        through(&url, "127.0.0.1:1").await.unwrap();
    }
}
