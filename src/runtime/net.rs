//! Sockets: listen on loopback, dial with a deadline, notice a peer that is gone.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixStream};

use crate::runtime::read_ahead::ReadAhead;

/// How long a connection attempt may take.
pub(crate) const DIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// Connects, trying every address the name has.
pub(crate) async fn dial(host: &str, port: u16) -> io::Result<TcpStream> {
    let attempt = tokio::time::timeout(DIAL_TIMEOUT, TcpStream::connect((host, port)));
    let stream =
        attempt.await.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no answer within 10 seconds"))??;
    tune(&stream)?;
    Ok(stream)
}

/// Binds a loopback port. Any other address is a mistake of ours.
pub(crate) async fn listen_loopback(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).await
}

/// Sends small messages at once, and notices within 25 seconds when the other side is gone from an idle connection without
/// saying so.
///
/// Not `TCP_USER_TIMEOUT`: to that, a peer that is there and takes no more bytes for a while (a pager, a COPY that waits
/// for a lock) is as lost as one that is gone. In the tunnel each end hears whether the other is there.
pub(crate) fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive =
        TcpKeepalive::new().with_time(Duration::from_secs(10)).with_interval(Duration::from_secs(5)).with_retries(3);
    socket.set_tcp_keepalive(&keepalive)
}

/// TLS in which we are the client.
pub(crate) type DialledTls = tokio_rustls::client::TlsStream<ReadAhead>;

/// TLS in which we are the server.
pub(crate) type AcceptedTls = tokio_rustls::server::TlsStream<ReadAhead>;

/// A connection of any kind we make or accept.
#[derive(Debug)]
pub(crate) enum Socket {
    Plain(TcpStream),
    Unix(UnixStream),
    Dialled(Box<DialledTls>),
    Accepted(Box<AcceptedTls>),
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Dialled(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Accepted(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Dialled(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Accepted(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Dialled(stream) => Pin::new(stream).poll_flush(cx),
            Self::Accepted(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Dialled(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Accepted(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
