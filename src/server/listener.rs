//! Accepts connections on the server's one port: TLS 1.3, then HTTP/1.1.
//!
//! What strangers can use up is bounded here: time, connections per address, connections at all.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tower_service::Service as _;

use crate::domain::{Failure, Kind};
use crate::runtime::read_ahead::ReadAhead;
use crate::runtime::shutdown::{DRAIN, Ending};
use crate::runtime::{net, ports, tls};

/// How long a stranger may take for the TLS handshake, and for the headers of each request
/// (`reference/trust.md` section 5.2, number 10).
const HANDSHAKE: Duration = Duration::from_secs(10);

/// HTTP connections at the same time. Each costs two file descriptors at most and some 50 kB.
const CONNECTIONS_MAX: usize = 4096;

/// HTTP connections at the same time from one address: a large office behind one. Tunnels do not count: they are
/// authenticated, and leave HTTP behind.
const CONNECTIONS_PER_ADDRESS_MAX: usize = 512;

/// Bytes of request headers. Tokens have up to 16 KiB, proofs and the rest need two.
const HEADERS_MAX: usize = 32 * 1024;

/// How long to wait after the system refused to accept, which it does when descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// First byte of a TLS connection: a handshake record (RFC 8446 section 5.1).
const TLS_HANDSHAKE: u8 = 22;

/// What is known of the connection a request came on. Part of every request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connection {
    pub(crate) peer: SocketAddr,
    /// Bytes only the two ends of this TLS connection can compute; `None` on plain HTTP, where only pages are served.
    pub(crate) exporter: Option<[u8; 32]>,
}

/// What a connection must begin with.
#[derive(Clone, Debug)]
pub(crate) enum Door {
    /// TLS.
    Tls(Arc<ServerConfig>),
    /// TLS, and plain HTTP besides: for the device page of the built-in issuer on loopback. Browsers do not know this
    /// machine's own authority, and nothing leaves the machine.
    TlsOrPages(Arc<ServerConfig>),
    /// Plain HTTP, for what proves itself and is no secret.
    Plain,
}

/// Binds the port, or says who has it.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        let failure = Failure::new(Kind::Usage, format!("cannot listen on {address}"));
        match (error.kind(), ports::holder(address.port())) {
            (io::ErrorKind::AddrInUse, Some(holder)) => failure
                .detail(format!("The port is taken by {holder}."))
                .hint("name another with --listen, or end that"),
            (io::ErrorKind::AddrInUse, None) => {
                failure.detail("The port is taken by a program of another user.").hint("name another with --listen")
            }
            (io::ErrorKind::PermissionDenied, _) => failure
                .detail("Ports below 1024 are for root.")
                .hint("name another with --listen, or allow it: setcap cap_net_bind_service=+ep gov"),
            (_, _) => failure.cause(error),
        }
    })
}

/// Accepts until the end is asked for, then lets the requests that run finish. Not cancel safe: requests would be cut
/// off.
pub(crate) async fn serve(listener: TcpListener, door: Door, router: Router, mut ending: Ending) {
    let counts = Arc::new(Counts::default());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = ending.asked() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(error = %error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Dropping the socket is the cheapest answer to whoever has too many.
        let Some(place) = Place::take(&counts, peer.ip()) else { continue };
        let (door, router, ending) = (door.clone(), router.clone(), ending.clone());
        tokio::spawn(async move {
            if let Err(error) = connection(stream, peer, door, router, ending).await {
                tracing::debug!(peer = %peer, error = %error, "a connection ended");
            }
            drop(place);
        });
    }
    drop(listener);
    let drained = async {
        while counts.total() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    if timeout(DRAIN, drained).await.is_err() {
        tracing::warn!(connections = counts.total(), "requests were cut off");
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, door: Door, router: Router, ending: Ending) -> io::Result<()> {
    net::tune(&stream)?;
    let too_slow = |_| io::Error::new(io::ErrorKind::TimedOut, "no handshake within 10 seconds");
    let plain = Connection { peer, exporter: None };
    let config = match door {
        Door::Tls(config) => config,
        Door::TlsOrPages(config) => {
            let mut first = [0u8; 1];
            let read = timeout(HANDSHAKE, stream.peek(&mut first)).await.map_err(too_slow)??;
            if read == 1 && first != [TLS_HANDSHAKE] {
                return http(stream, plain, router, ending).await;
            }
            config
        }
        Door::Plain => return http(stream, plain, router, ending).await,
    };
    let stream =
        timeout(HANDSHAKE, TlsAcceptor::from(config).accept(ReadAhead::new(stream))).await.map_err(too_slow)??;
    let exporter = tls::exporter(stream.get_ref().1)?;
    http(stream, Connection { peer, exporter: Some(exporter) }, router, ending).await
}

async fn http(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    connection: Connection,
    router: Router,
    mut ending: Ending,
) -> io::Result<()> {
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(connection);
        router.clone().call(request)
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HANDSHAKE).max_buf_size(HEADERS_MAX);
    let serving = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
    tokio::pin!(serving);
    let served = tokio::select! {
        served = &mut serving => served,
        () = ending.asked() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    served.map_err(io::Error::other)
}

/// How many connections there are, by address.
#[derive(Debug, Default)]
struct Counts(Mutex<HashMap<IpAddr, usize>>);

impl Counts {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn total(&self) -> usize {
        self.lock().values().sum()
    }
}

/// The right to be connected; given back when dropped.
#[derive(Debug)]
struct Place {
    counts: Arc<Counts>,
    address: IpAddr,
}

impl Place {
    fn take(counts: &Arc<Counts>, address: IpAddr) -> Option<Self> {
        let mut all = counts.lock();
        let total: usize = all.values().sum();
        let here = all.get(&address).copied().unwrap_or(0);
        if total >= CONNECTIONS_MAX || here >= CONNECTIONS_PER_ADDRESS_MAX {
            return None;
        }
        all.insert(address, here + 1);
        Some(Self { counts: Arc::clone(counts), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.counts.lock();
        if let Some(count) = all.get_mut(&self.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                all.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_per_address_and_given_back() {
        let counts = Arc::new(Counts::default());
        let one: IpAddr = "192.0.2.1".parse().unwrap();
        let other: IpAddr = "192.0.2.2".parse().unwrap();
        let mut places: Vec<_> = (0..CONNECTIONS_PER_ADDRESS_MAX).map(|_| Place::take(&counts, one).unwrap()).collect();
        assert!(Place::take(&counts, one).is_none());
        assert!(Place::take(&counts, other).is_some());
        places.pop();
        assert!(Place::take(&counts, one).is_some());
        drop(places);
        assert_eq!(counts.total(), 0);
        assert!(counts.lock().is_empty());
    }
}
