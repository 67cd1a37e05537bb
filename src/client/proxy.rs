//! The local endpoint: looks like the database to psql, DBeaver and drivers, and tunnels each connection to the
//! gateway.
//!
//! Others share this machine. TCP listens on 127.0.0.1 only and asks for the session's own user and password over
//! SCRAM; the Unix socket lies in a folder of the owner's and asks the kernel who is calling. Nothing a caller sends
//! before it has proved itself costs more than a small buffer and ten seconds.

use std::collections::HashMap;
use std::future::Future;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ring::hmac;
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::{Semaphore, mpsc, watch};
use tracing::debug;

use crate::domain::{Duration, Failure, Grant, Kind, Secret, Timestamp};
use crate::engine::{Engine, Scope};
use crate::runtime::database::{self, ConnectError};
use crate::runtime::net::{self, AcceptedTls, Socket};
use crate::runtime::pump::{Command, Durability, Ended, Pump};
use crate::runtime::read_ahead::ReadAhead;
use crate::runtime::recorder::Recorder;
use crate::runtime::{clock, random};
use crate::session::{Duty, Session, Setup};
use crate::wire::buffer::{Frames, Piece};
use crate::wire::postgres::{
    self, ChannelBinding, FirstPacket, LoggedIn, ServerLogin, ServerScram, ServerStep, Severity, Startup, Verifier,
    Version,
};

/// From the first byte to a login, TLS included. PostgreSQL's `authentication_timeout` is 60 s; ours is a local caller.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long opening a stream to the database behind the gateway may take.
const STREAM_TIMEOUT: Duration = Duration::from_secs(20);

/// Callers that have not logged in yet, at the same time.
const STRANGERS_MAX: usize = 128;

/// Wrong cancel keys per minute before cancel requests are ignored for the rest of it. Guessing a 32-bit key takes
/// 2^31 tries on average.
const WRONG_KEYS_MAX: u32 = 20;

/// RFC 7677 asks for at least 4096, and some drivers refuse less.
const ITERATIONS: NonZeroU32 = NonZeroU32::MIN.saturating_add(4095);

/// Opens streams to the gateway.
pub(crate) trait Dial: Send + Sync + 'static {
    /// A new stream of the current session; a new session where the old one is gone and may be replaced.
    fn dial(&self) -> impl Future<Output = Result<Dialled, Failure>> + Send;
}

/// A stream, and what governs it.
#[derive(Debug)]
pub(crate) struct Dialled {
    pub(crate) socket: Socket,
    pub(crate) stream: u32,
    pub(crate) grant: Arc<Grant>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) text_key: hmac::Key,
    pub(crate) recorder: Recorder,
    /// Stays open while the session may go on; what arrives ends the connection.
    pub(crate) ended: watch::Receiver<Option<Failure>>,
}

/// Who may come in over TCP, and to what.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) user: String,
    verifier: Verifier,
    /// Names of the database a caller may ask for: its own, and the resource's.
    databases: Vec<String>,
    /// TLS for callers that insist on it, and the binding of its certificate.
    tls: Option<(Arc<ServerConfig>, ChannelBinding)>,
}

impl Door {
    pub(crate) fn new(
        user: String,
        password: &Secret<String>,
        databases: Vec<String>,
        tls: Option<(Arc<ServerConfig>, ChannelBinding)>,
    ) -> Result<Self, Failure> {
        let verifier = postgres::verifier(password.expose().as_bytes(), &random::bytes::<16>()?, ITERATIONS);
        Ok(Self { user, verifier, databases, tls })
    }
}

/// A local endpoint of one resource.
#[derive(Debug)]
pub(crate) struct Endpoint<D> {
    door: Door,
    dial: D,
    cancels: Mutex<Cancels>,
    processes: AtomicU32,
    strangers: Semaphore,
    connections: AtomicU32,
}

/// Keys given out to local callers, by the process id given out with them.
#[derive(Debug, Default)]
struct Cancels {
    keys: HashMap<u32, LocalKey>,
    wrong: u32,
    counting_since: Timestamp,
}

#[derive(Clone, Debug)]
struct LocalKey {
    ours: Vec<u8>,
    /// What the gateway gave us for the stream.
    process: u32,
    theirs: Vec<u8>,
}

/// How a caller is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caller {
    /// The kernel says that it is us.
    Ourselves,
    /// Nobody yet.
    Stranger,
}

impl<D: Dial> Endpoint<D> {
    pub(crate) fn new(door: Door, dial: D) -> Result<Arc<Self>, Failure> {
        Ok(Arc::new(Self {
            door,
            dial,
            cancels: Mutex::default(),
            processes: AtomicU32::new(u32::from_be_bytes(random::bytes()?) >> 8),
            strangers: Semaphore::new(STRANGERS_MAX),
            connections: AtomicU32::new(0),
        }))
    }

    pub(crate) fn dialer(&self) -> &D {
        &self.dial
    }

    /// Accepts TCP callers until dropped.
    pub(crate) async fn listen_tcp(self: Arc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    // A caller that is gone already shows at the first read.
                    drop(net::tune(&stream));
                    tokio::spawn(Arc::clone(&self).serve(Socket::Plain(stream), Caller::Stranger));
                }
                Err(error) => pause_after(&error).await,
            }
        }
    }

    /// Accepts callers on the Unix socket until dropped.
    pub(crate) async fn listen_unix(self: Arc<Self>, listener: UnixListener) {
        let me = rustix::process::getuid().as_raw();
        loop {
            match listener.accept().await {
                Ok((stream, _)) => match stream.peer_cred() {
                    Ok(peer) if peer.uid() == me => {
                        tokio::spawn(Arc::clone(&self).serve(Socket::Unix(stream), Caller::Ourselves));
                    }
                    // The folder's mode keeps others out; root can come anyway, and is not us.
                    Ok(_) | Err(_) => debug!("a caller of another user was turned away"),
                },
                Err(error) => pause_after(&error).await,
            }
        }
    }

    /// Serves a caller of this very process.
    pub(crate) async fn serve_own(self: Arc<Self>, stream: tokio::net::UnixStream) {
        self.serve(Socket::Unix(stream), Caller::Ourselves).await;
    }

    /// Serves one caller.
    async fn serve(self: Arc<Self>, socket: Socket, caller: Caller) {
        let admitted = {
            let Ok(_place) = self.strangers.try_acquire() else { return };
            tokio::time::timeout(LOGIN_TIMEOUT, self.admit(socket, caller)).await
        };
        let Ok(Some((socket, startup))) = admitted else { return };
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.connect(socket, startup).await;
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// Lets a caller in: everything up to the point where a password would have been right. `None`: it was a cancel
    /// request, or nobody who belongs here.
    async fn admit(&self, socket: Socket, caller: Caller) -> Option<(Socket, Startup)> {
        let (mut socket, startup, binding) = self.negotiate(socket).await?;
        if !self.door.databases.iter().any(|name| name == startup.database()) && startup.database() != startup.user() {
            let known = self.door.databases.first().map(String::as_str).unwrap_or_default();
            let failure = Failure::new(Kind::NotFound, format!("database \"{}\" is not here", startup.database()))
                .detail("This endpoint leads to one database only.")
                .hint(format!("connect to `{known}`, or run `gov connect` for another resource"));
            return refuse(&mut socket, "3D000", &failure).await;
        }
        match caller {
            Caller::Ourselves => {
                let mut out = Vec::new();
                postgres::negotiate(&startup, &mut out);
                socket.write_all(&out).await.ok()?;
                Some((socket, startup))
            }
            Caller::Stranger => self.authenticate(socket, startup, binding).await,
        }
    }

    /// Answers encryption requests, each at most once, until a startup packet comes.
    async fn negotiate(&self, socket: Socket) -> Option<(Socket, Startup, ChannelBinding)> {
        let (mut socket, direct) = self.take_direct_tls(socket).await?;
        let (mut asked_tls, mut asked_gss) = (direct.is_some(), false);
        let mut binding = direct.unwrap_or(ChannelBinding::None);
        loop {
            match first_packet(&mut socket).await? {
                FirstPacket::Startup(startup) => return Some((socket, startup, binding)),
                FirstPacket::Gss if !asked_gss => {
                    asked_gss = true;
                    socket.write_all(b"N").await.ok()?;
                }
                FirstPacket::Ssl if !asked_tls => {
                    asked_tls = true;
                    match (&self.door.tls, socket) {
                        (Some((config, ours)), Socket::Plain(mut stream)) => {
                            stream.write_all(b"S").await.ok()?;
                            socket = Socket::Accepted(Box::new(accept_tls(config, stream).await?));
                            binding = ours.clone();
                        }
                        (_, mut plain) => {
                            plain.write_all(b"N").await.ok()?;
                            socket = plain;
                        }
                    }
                }
                FirstPacket::Cancel { process, key } => {
                    self.cancel(process, &key).await;
                    return None;
                }
                FirstPacket::DirectTls | FirstPacket::Ssl | FirstPacket::Gss => return None,
            }
        }
    }

    /// TLS that a caller starts without asking (`sslnegotiation=direct`), where it is offered. Such a caller must name
    /// PostgreSQL's protocol (ALPN), as PostgreSQL itself insists: what was meant for another server is not taken here.
    async fn take_direct_tls(&self, socket: Socket) -> Option<(Socket, Option<ChannelBinding>)> {
        let (config, ours, stream) = match (&self.door.tls, socket) {
            (Some((config, ours)), Socket::Plain(stream)) => (config, ours, stream),
            (_, socket) => return Some((socket, None)),
        };
        let mut first = [0];
        let count = stream.peek(&mut first).await.ok()?;
        if !matches!(postgres::first_packet(first.get(..count)?), Ok(Some((FirstPacket::DirectTls, _)))) {
            return Some((Socket::Plain(stream), None));
        }
        let accepted = accept_tls(config, stream).await?;
        let is_named = accepted.get_ref().1.alpn_protocol().is_some();
        is_named.then(|| (Socket::Accepted(Box::new(accepted)), Some(ours.clone())))
    }

    async fn authenticate(
        &self,
        mut socket: Socket,
        startup: Startup,
        binding: ChannelBinding,
    ) -> Option<(Socket, Startup)> {
        let nonce = random::bytes().ok()?;
        let mut out = Vec::new();
        let scram = ServerScram::new(self.door.verifier.clone(), nonce, binding);
        let mut machine = ServerLogin::start(&startup, scram, &mut out);
        let mut frames = Frames::new(postgres::LOGIN_MESSAGE_MAX);
        let mut bytes = [0u8; 1024];
        loop {
            socket.write_all(&out).await.ok()?;
            socket.flush().await.ok()?;
            out.clear();
            let count = socket.read(&mut bytes).await.ok().filter(|count| *count > 0)?;
            let mut chunk = frames.chunk(bytes.get(..count)?);
            let mut step = Ok(ServerStep::Wait);
            while let Ok(Some(Piece::Frame(frame))) = chunk.next() {
                step = machine.step(frame, &mut out);
                if !matches!(step, Ok(ServerStep::Wait)) {
                    break;
                }
            }
            chunk.end();
            // The user's name is no secret, but a wrong one is answered like a wrong password: later, and the same.
            let right_user = startup.user() == self.door.user;
            match step {
                Ok(ServerStep::Wait) => {}
                Ok(ServerStep::Proved) if right_user => {
                    socket.write_all(&out).await.ok()?;
                    return Some((socket, startup));
                }
                Ok(ServerStep::Proved) | Err(_) => {
                    let failure = Failure::new(Kind::NotLoggedIn, "wrong user or password for this local endpoint")
                        .detail("Each `gov connect` makes new ones.")
                        .hint("copy them from the terminal in which `gov connect` runs");
                    return refuse(&mut socket, "28P01", &failure).await;
                }
            }
        }
    }

    /// Opens a stream for an admitted caller and moves bytes until one of them ends.
    async fn connect(&self, mut socket: Socket, startup: Startup) {
        let opened = async {
            let mut dialled = self.dial.dial().await?;
            let logged_in = open_stream(&mut dialled.socket, &startup).await?;
            Ok((dialled, logged_in))
        };
        let opened = tokio::time::timeout(STREAM_TIMEOUT, opened).await.unwrap_or_else(|_| {
            Err(Failure::new(Kind::Gateway, "the gateway did not open the connection in time")
                .hint("run `gov status`, and try again"))
        });
        let (dialled, logged_in) = match opened {
            Ok(opened) => opened,
            Err(failure) => {
                let sqlstate = match failure.kind {
                    Kind::Limit => "53300",
                    kind => postgres::failure_sqlstate(kind),
                };
                refuse::<()>(&mut socket, sqlstate, &failure).await;
                return;
            }
        };
        let Ok(ours) = random::bytes::<32>() else { return };
        let ours = ours.get(..startup.version.key_length()).unwrap_or(&ours).to_vec();
        let process = self.processes.fetch_add(1, Ordering::Relaxed) & 0x7fff_ffff;
        let mut greeting = Vec::new();
        postgres::login_done(&logged_in.parameters, process, &ours, startup.version, &mut greeting);
        let key = LocalKey { ours, process: logged_in.process, theirs: logged_in.key.expose().clone() };
        self.cancels.lock().unwrap_or_else(PoisonError::into_inner).keys.insert(process, key);
        let ended = run(dialled, socket, greeting).await;
        self.cancels.lock().unwrap_or_else(PoisonError::into_inner).keys.remove(&process);
        debug!(process, why = ended.why.word(), statements = ended.statements, "local connection closed");
    }

    /// Passes a cancel request on, if it shows the key given out with the process id.
    async fn cancel(&self, process: u32, key: &[u8]) {
        let Some(found) = self.cancel_key(clock::now(), process, key) else { return };
        let Ok(mut dialled) = self.dial.dial().await else { return };
        let mut packet = Vec::new();
        postgres::cancel_request(found.process, &found.theirs, &mut packet);
        // As with a real server, nobody is told whether it worked.
        if dialled.socket.write_all(&packet).await.is_ok() && dialled.socket.flush().await.is_ok() {
            drop(dialled.socket.read(&mut [0u8; 1]).await);
        }
    }

    fn cancel_key(&self, now: Timestamp, process: u32, shown: &[u8]) -> Option<LocalKey> {
        let mut cancels = self.cancels.lock().unwrap_or_else(PoisonError::into_inner);
        if now.since(cancels.counting_since) >= Duration::from_secs(60) {
            (cancels.counting_since, cancels.wrong) = (now, 0);
        }
        if cancels.wrong >= WRONG_KEYS_MAX {
            return None;
        }
        let found = cancels.keys.get(&process).filter(|key| {
            key.ours.len() == shown.len()
                && key.ours.iter().zip(shown).fold(0, |sum, (ours, theirs)| sum | (ours ^ theirs)) == 0
        });
        let found = found.cloned();
        if found.is_none() {
            cancels.wrong += 1;
        }
        found
    }
}

async fn accept_tls(config: &Arc<ServerConfig>, stream: TcpStream) -> Option<AcceptedTls> {
    tokio_rustls::TlsAcceptor::from(Arc::clone(config)).accept(ReadAhead::new(stream)).await.ok()
}

/// Runs one connection to its end.
async fn run(dialled: Dialled, socket: Socket, greeting: Vec<u8>) -> Ended {
    let setup = Setup {
        duty: Duty::Watch,
        engine: dialled.engine,
        grant: dialled.grant,
        stream: dialled.stream,
        text_key: dialled.text_key,
        approvals: false,
        // The gateway does.
        sealer: None,
        tells_masked: false,
    };
    let (commands, receiver) = mpsc::channel(1);
    let mut ended = dialled.ended;
    let watcher = tokio::spawn(async move {
        let why = ended.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
        if let Some(failure) = why {
            // A closed channel means that the connection ended by itself.
            drop(commands.send(Command::End(failure)).await);
        }
    });
    let session = Session::new(setup, Scope::default());
    // The gateway waits for its disk before anything runs; the client's own account needs only survive the client.
    let records = (dialled.recorder, Durability::Written);
    let outcome = Pump::new(session, socket, dialled.socket, records, receiver, greeting).run().await;
    watcher.abort();
    outcome
}

/// Says to the gateway what the caller said to us, and hears its introduction.
async fn open_stream(socket: &mut Socket, startup: &Startup) -> Result<LoggedIn, Failure> {
    let onward = Startup { version: Version::V3_2, negotiate: None, parameters: startup.parameters.clone() };
    database::introduce(socket, &onward, None).await.map_err(|error| match error {
        ConnectError::Refused(complaint) => relayed(&complaint),
        error => Failure::new(Kind::Gateway, "the connection to the gateway was lost")
            .detail(format!("{error}."))
            .hint("run `gov status`, and try again"),
    })
}

/// The gateway's refusal, as it is passed on.
fn relayed(complaint: &postgres::Complaint) -> Failure {
    let kind = match &complaint.sqlstate() {
        b"53300" | b"53400" => Kind::Limit,
        b"42501" => Kind::Denied,
        b"28000" => Kind::NotLoggedIn,
        b"08001" => Kind::Database,
        b"22023" => Kind::Usage,
        _ => Kind::Gateway,
    };
    let mut failure = Failure::new(kind, complaint.message());
    failure.detail = complaint.field(b'D').map(str::to_owned);
    failure.hint = complaint.field(b'H').map(str::to_owned);
    failure
}

/// The next untagged packet, if it is one and nothing follows it.
async fn first_packet(socket: &mut Socket) -> Option<FirstPacket> {
    let mut bytes = Vec::with_capacity(256);
    loop {
        if let Some((packet, length)) = postgres::first_packet(&bytes).ok()? {
            // Bytes behind an encryption request would be taken for encrypted ones later (CVE-2021-23214).
            return (length == bytes.len()).then_some(packet);
        }
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

/// Ends a connection with a reason its user can read.
async fn refuse<T>(socket: &mut Socket, sqlstate: &str, failure: &Failure) -> Option<T> {
    let mut bytes = Vec::new();
    postgres::error(postgres::complaint(Severity::Fatal, sqlstate, failure, None), &mut bytes);
    // The caller may be gone; then nobody needs to know.
    drop(socket.write_all(&bytes).await);
    drop(socket.shutdown().await);
    None
}

/// Accepting fails for a moment when the process has no file descriptor left; trying again at once would only burn CPU.
async fn pause_after(error: &std::io::Error) {
    debug!(%error, "accepting a connection failed");
    tokio::time::sleep(Duration::from_millis(100)).await;
}
