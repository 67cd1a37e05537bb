//! Sockets: listen on loopback, dial with a deadline, notice a peer that is gone.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};

/// How long a connection attempt may take.
pub(crate) const DIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long sent bytes may stay unacknowledged before the connection counts as lost (`TCP_USER_TIMEOUT`).
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(25);

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

/// Sends small messages at once, and notices within 25 seconds when the other side is gone without saying so.
pub(crate) fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive =
        TcpKeepalive::new().with_time(Duration::from_secs(10)).with_interval(Duration::from_secs(5)).with_retries(3);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX))
}
