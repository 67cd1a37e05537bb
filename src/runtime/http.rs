//! The one way out over HTTPS: no redirects, a deadline, a limit on every body, and plain HTTP to this machine only.

use std::net::IpAddr;
use std::time::Duration;

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use thiserror::Error;

use crate::domain::{Failure, Kind};
use crate::runtime::tls::{self, Trust};

/// How long connecting may take, and a whole exchange with a server of others. `DESIGN.md` section 14: when the identity
/// provider is down, logins fail within five seconds.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How long our own server may take for an answer: opening a session makes it wait for a database, for ten seconds at
/// most.
const TIMEOUT_OURS: Duration = Duration::from_secs(30);

/// Longest body read, in bytes. The largest bodies are key sets and lists of resources, some tens of kilobytes.
const BODY_MAX: usize = 1024 * 1024;

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum HttpError {
    /// Nobody listens, the name is unknown, the network is down.
    #[error("{0}")]
    Unreachable(String),
    /// The environment names a proxy, and it did not let us through.
    #[error("{0}")]
    Proxy(String),
    /// Somebody answered who could not prove to be the one we asked for.
    #[error("its TLS certificate is not trusted: {0}")]
    NotTrusted(String),
    #[error("it did not answer in time")]
    TooSlow,
    #[error("its answer is too long")]
    TooLong,
    #[error("the connection broke: {0}")]
    Broken(String),
}

/// A client for a server of ours. Connections are kept and used again.
pub(crate) fn client(trust: &Trust, server: &Url) -> Result<Client, Failure> {
    build(&*tls::client(trust, &["http/1.1"])?, server, TIMEOUT_OURS)
}

/// A client for somebody else's server: as above, but TLS 1.2 is good enough.
pub(crate) fn foreign_client(trust: &Trust, server: &Url) -> Result<Client, Failure> {
    build(&*tls::foreign_client(trust)?, server, TIMEOUT)
}

fn build(tls: &rustls::ClientConfig, server: &Url, patience: Duration) -> Result<Client, Failure> {
    // rustls is handed over as it is, so that there is one TLS configuration in the program.
    let builder = Client::builder()
        .tls_backend_preconfigured(tls.clone())
        .redirect(Policy::none())
        .connect_timeout(TIMEOUT)
        .timeout(patience)
        .user_agent(concat!("gov/", env!("CARGO_PKG_VERSION")))
        .http1_only();
    // A proxy would look for our loopback addresses on its own machine.
    let builder = if is_loopback(server) { builder.no_proxy() } else { builder };
    builder.build().map_err(|error| Failure::new(Kind::Internal, "no HTTP client could be made").cause(error))
}

/// Sends a request and reads the answer to its end. Cancel safe in that nothing is left behind; the server may still
/// have acted.
pub(crate) async fn send(request: RequestBuilder) -> Result<Answer, HttpError> {
    send_for(request, BODY_MAX).await
}

/// As [`send`], for answers that may be as long as the caller says.
pub(crate) async fn send_for(request: RequestBuilder, length_max: usize) -> Result<Answer, HttpError> {
    let response = request.send().await.map_err(|error| explain(&error))?;
    let status = response.status();
    Ok(Answer { status, body: read(response, length_max).await? })
}

async fn read(mut response: Response, length_max: usize) -> Result<Vec<u8>, HttpError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| explain(&error))? {
        if body.len().saturating_add(chunk.len()) > length_max {
            return Err(HttpError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Whether a URL names this very machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    is_loopback_host(url.host_str().unwrap_or_default())
}

/// Whether the host of a URL is this very machine.
pub(crate) fn is_loopback_host(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether tokens may be sent there: over TLS, or without leaving this machine.
pub(crate) fn is_private(url: &Url) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url))
}

/// The innermost cause in words, without the layers around it.
fn explain(error: &reqwest::Error) -> HttpError {
    if error.is_timeout() {
        return HttpError::TooSlow;
    }
    let mut cause: &(dyn std::error::Error + 'static) = error;
    let mut kind = None;
    loop {
        if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
            return untrusted(tls);
        }
        // An `io::Error` shows what it wraps here, not in `source()`.
        let failed = cause.downcast_ref::<std::io::Error>();
        kind = failed.map(std::io::Error::kind).or(kind);
        let wrapped = failed.and_then(std::io::Error::get_ref);
        match wrapped.map(|inner| inner as &(dyn std::error::Error + 'static)).or_else(|| cause.source()) {
            Some(inner) => cause = inner,
            None => break,
        }
    }
    if let Some(proxy) = error.url().filter(|_| error.is_connect()).and_then(proxy) {
        return HttpError::Proxy(match cause.to_string().as_str() {
            _ if kind == Some(std::io::ErrorKind::ConnectionRefused) => {
                format!("nothing listens at the proxy `{proxy}`")
            }
            // What hyper-util says of a CONNECT that was not answered with success.
            "tunnel error: proxy authorization required" => {
                format!("the proxy `{proxy}` asks for a user and a password, or for others")
            }
            "tunnel error: unsuccessful" => format!("the proxy `{proxy}` refused to connect"),
            other => format!("the way there leads through the proxy `{proxy}`: {other}"),
        });
    }
    let text = match kind {
        Some(std::io::ErrorKind::ConnectionRefused) => "nothing listens there".to_owned(),
        // What TLS says of it is for programmers.
        Some(std::io::ErrorKind::UnexpectedEof) => "it ended without a word".to_owned(),
        _ => cause.to_string(),
    };
    if error.is_connect() { HttpError::Unreachable(text) } else { HttpError::Broken(text) }
}

/// The proxy that the environment names for a URL, as `host:port`.
fn proxy(url: &Url) -> Option<String> {
    let uri: hyper::Uri = url.as_str().parse().ok()?;
    let intercepted = Matcher::from_system().intercept(&uri).filter(|_| !is_loopback(url))?;
    Some(format!("{}:{}", intercepted.uri().host()?, intercepted.uri().port_u16().unwrap_or(80)))
}

fn untrusted(error: &rustls::Error) -> HttpError {
    match error {
        rustls::Error::InvalidCertificate(why) => HttpError::NotTrusted(match why {
            rustls::CertificateError::UnknownIssuer => "its issuer is unknown".to_owned(),
            rustls::CertificateError::NotValidForName | rustls::CertificateError::NotValidForNameContext { .. } => {
                "it is for another name".to_owned()
            }
            rustls::CertificateError::Expired | rustls::CertificateError::ExpiredContext { .. } => {
                "it has expired, or the clock of this machine is wrong".to_owned()
            }
            rustls::CertificateError::NotValidYet | rustls::CertificateError::NotValidYetContext { .. } => {
                "it is not valid yet, or the clock of this machine is wrong".to_owned()
            }
            rustls::CertificateError::Other(_) => "it is not one for a server".to_owned(),
            other => format!("{other:?}"),
        }),
        other => HttpError::Unreachable(format!("no TLS connection: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_go_over_tls_or_stay_here() {
        for (url, loopback, private) in [
            ("https://gov.example.com/x", false, true),
            ("http://gov.example.com", false, false),
            ("http://127.0.0.1:80", true, true),
            ("http://127.8.9.1", true, true),
            ("http://[::1]:8080", true, true),
            ("http://localhost", true, true),
            ("http://localhost.example.com", false, false),
            ("http://127.0.0.1.example.com", false, false),
            ("http://128.0.0.1", false, false),
            ("ftp://127.0.0.1", true, false),
        ] {
            let parsed = Url::parse(url).unwrap();
            assert_eq!((is_loopback(&parsed), is_private(&parsed)), (loopback, private), "{url}");
        }
    }
}
