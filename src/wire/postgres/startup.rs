//! The first packets of a connection and the login, from both sides.
//!
//! Seen from a server: GSSENCRequest and SSLRequest may come once each, in any order, each answered by one byte; then
//! either a CancelRequest, after which the connection ends, or a StartupMessage, which happens once. Seen from a
//! client: the same in the other direction. (Manual, sections "Start-up" and "SSL Session Encryption".)

use pgwire::messages::startup::{Authentication, BackendKeyData, NegotiateProtocolVersion, SecretKey};
use thiserror::Error;

use super::reply::{Complaint, diagnosis, parameter_status, put, ready_for_query};
use super::scram::{ClientScram, ScramError, ServerScram};
use super::{STARTUP_MAX, Transaction, tag};
use crate::domain::Secret;
use crate::wire::buffer::{Frame, Reader, WireError, Writer};

/// Version numbers that are not versions (`pqcomm.h`).
const CANCEL_REQUEST: u32 = (1234 << 16) | 5678;
const SSL_REQUEST: u32 = (1234 << 16) | 5679;
const GSS_REQUEST: u32 = (1234 << 16) | 5680;

/// Longest cancel key (protocol 3.2).
const KEY_MAX: usize = 256;

/// Parameters of one startup packet. PostgreSQL has no limit of its own but the packet's.
const PARAMETERS_MAX: usize = 200;

/// The protocol versions we speak, both ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    V3_0,
    V3_2,
}

impl Version {
    fn number(self) -> u32 {
        match self {
            Self::V3_0 => 3 << 16,
            Self::V3_2 => (3 << 16) | 2,
        }
    }

    /// Length of the cancel keys we make for this version.
    pub(crate) fn key_length(self) -> usize {
        match self {
            Self::V3_0 => 4,
            Self::V3_2 => 32,
        }
    }
}

/// A StartupMessage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Startup {
    pub(crate) version: Version,
    /// The client asked for something newer, or for options, that we do not have; it must be told.
    pub(crate) negotiate: Option<Vec<String>>,
    pub(crate) parameters: Vec<(String, String)>,
}

impl Startup {
    /// The value of a parameter. The last one counts, as in the server.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().rev().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn user(&self) -> &str {
        self.parameter("user").unwrap_or_default()
    }

    /// The database the server would connect to: an absent or empty name means the user's name. Deciding on anything
    /// else is how Teleport's `db_names` rules were passed by (PR 45178).
    pub(crate) fn database(&self) -> &str {
        match self.parameter("database") {
            None | Some("") => self.user(),
            Some(name) => name,
        }
    }

    /// Writes the packet.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let mut packet = Writer::untagged(out);
        packet.u32(self.version.number());
        for (name, value) in &self.parameters {
            packet.text(name).text(value);
        }
        packet.u8(0);
    }
}

/// What a client may open a connection with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FirstPacket {
    /// A TLS record: the client starts TLS without asking (`sslnegotiation=direct`). Nothing was consumed.
    DirectTls,
    Ssl,
    Gss,
    Cancel {
        process: u32,
        key: Vec<u8>,
    },
    Startup(Startup),
}

/// Reads the packet at the start of `bytes` and says how long it was; `None` when it is not all there.
///
/// The caller must not have read past an SSLRequest before the handshake: [`WireError::Early`] is for that.
pub(crate) fn first_packet(bytes: &[u8]) -> Result<Option<(FirstPacket, usize)>, WireError> {
    if bytes.first() == Some(&0x16) {
        return Ok(Some((FirstPacket::DirectTls, 0)));
    }
    let Some(head) = bytes.first_chunk::<4>() else { return Ok(None) };
    let stated = i32::from_be_bytes(*head);
    let length = usize::try_from(stated)
        .ok()
        .filter(|length| (8..=STARTUP_MAX).contains(length))
        .ok_or_else(|| WireError::Length { length: i64::from(stated), min: 8, max: STARTUP_MAX })?;
    let Some(packet) = bytes.get(4..length) else { return Ok(None) };
    let mut body = Reader::new(packet);
    let packet = match body.u32("protocol version")? {
        SSL_REQUEST => FirstPacket::Ssl,
        GSS_REQUEST => FirstPacket::Gss,
        CANCEL_REQUEST => {
            let process = body.u32("process")?;
            let key = body.rest();
            if key.is_empty() || key.len() > KEY_MAX {
                return Err(WireError::Violation("a cancel request has no key"));
            }
            FirstPacket::Cancel { process, key: key.to_vec() }
        }
        version if version >> 16 == 3 => FirstPacket::Startup(startup(version & 0xffff, &mut body)?),
        _ => return Err(WireError::Violation("this is not a PostgreSQL client of protocol 3")),
    };
    body.finish()?;
    Ok(Some((packet, length)))
}

fn startup(minor: u32, body: &mut Reader<'_>) -> Result<Startup, WireError> {
    let mut parameters: Vec<(String, String)> = Vec::new();
    let mut unknown = Vec::new();
    loop {
        let name = body.text()?;
        if name.is_empty() {
            break;
        }
        let value = body.text()?;
        if name.starts_with("_pq_.") {
            unknown.push(name.to_owned());
        } else if parameters.len() < PARAMETERS_MAX {
            parameters.push((name.to_owned(), value.to_owned()));
        } else {
            return Err(WireError::Violation("a startup packet has too many parameters"));
        }
    }
    let version = if minor >= 2 { Version::V3_2 } else { Version::V3_0 };
    let exact = version.number() & 0xffff == minor;
    let negotiate = (!exact || !unknown.is_empty()).then_some(unknown);
    Ok(Startup { version, negotiate, parameters })
}

/// Writes an SSLRequest.
pub(crate) fn ssl_request(out: &mut Vec<u8>) {
    Writer::untagged(out).u32(SSL_REQUEST);
}

/// Writes a CancelRequest.
pub(crate) fn cancel_request(process: u32, key: &[u8], out: &mut Vec<u8>) {
    Writer::untagged(out).u32(CANCEL_REQUEST).u32(process).raw(key);
}

/// Writes what a server says between a successful login and the first query.
pub(crate) fn login_done(
    parameters: &[(String, String)],
    process: u32,
    key: &[u8],
    version: Version,
    out: &mut Vec<u8>,
) {
    put(&Authentication::Ok, out);
    for (name, value) in parameters {
        parameter_status(name, value, out);
    }
    let key = match (version, key.first_chunk::<4>()) {
        (Version::V3_0, Some(key)) => SecretKey::I32(i32::from_be_bytes(*key)),
        _ => SecretKey::Bytes(bytes::Bytes::copy_from_slice(key)),
    };
    put(&BackendKeyData::new(i32::from_be_bytes(process.to_be_bytes()), key), out);
    ready_for_query(Transaction::Idle, out);
}

/// Why a login did not happen.
#[derive(Debug, Error)]
pub(crate) enum LoginError {
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error(transparent)]
    Scram(#[from] ScramError),
    /// The server's own words. They may name the user and the database, never a password.
    #[error("{}", .0.message())]
    Refused(Complaint),
    #[error("{0}")]
    Unsupported(&'static str),
}

/// What a server-side login wants next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ServerStep {
    /// The client has proved that it knows the password.
    Proved,
    /// More is to come.
    Wait,
}

/// The server's side: SCRAM, and nothing else, ever.
///
/// ```text
/// start ──SASL──▶ Offered ──SASLInitialResponse──▶ Challenged ──SASLResponse──▶ proved
/// ```
#[derive(Debug)]
pub(crate) struct ServerLogin {
    scram: ServerScram,
    challenged: bool,
}

impl ServerLogin {
    /// Begins: writes the version negotiation, if one is due, and the offer of mechanisms.
    pub(crate) fn start(startup: &Startup, scram: ServerScram, out: &mut Vec<u8>) -> Self {
        negotiate(startup, out);
        let mechanisms = scram.mechanisms().iter().map(|name| (*name).to_owned()).collect();
        put(&Authentication::SASL(mechanisms), out);
        Self { scram, challenged: false }
    }

    /// Takes one message from the client.
    pub(crate) fn step(&mut self, frame: Frame<'_>, out: &mut Vec<u8>) -> Result<ServerStep, LoginError> {
        if frame.tag != b'p' {
            return Err(WireError::Unexpected(frame.tag).into());
        }
        if self.challenged {
            let last = self.scram.finish(frame.body)?;
            put(&Authentication::SASLFinal(last.into_bytes().into()), out);
            return Ok(ServerStep::Proved);
        }
        let mut body = Reader::new(frame.body);
        let mechanism = body.text()?;
        let length = usize::try_from(body.i32("response length")?)
            .map_err(|_| WireError::Violation("a SASL response has no data"))?;
        let first = body.bytes(length, "response")?;
        body.finish()?;
        if !self.scram.mechanisms().contains(&mechanism) {
            return Err(LoginError::Unsupported("the client chose a mechanism that was not offered"));
        }
        let challenge = self.scram.first(mechanism, first)?;
        put(&Authentication::SASLContinue(challenge.into_bytes().into()), out);
        self.challenged = true;
        Ok(ServerStep::Wait)
    }
}

/// Tells a client that asked for more than we have what it gets instead.
pub(crate) fn negotiate(startup: &Startup, out: &mut Vec<u8>) {
    if let Some(unknown) = &startup.negotiate {
        let version = i32::from_be_bytes(startup.version.number().to_be_bytes());
        put(&NegotiateProtocolVersion::new(version, unknown.clone()), out);
    }
}

/// What a client-side login wants next.
#[derive(Debug)]
pub(crate) enum LoginStep {
    Wait,
    /// Logged in: what the server said about itself on the way.
    Done(LoggedIn),
}

/// A server's introduction.
#[derive(Clone, Debug, Default)]
pub(crate) struct LoggedIn {
    pub(crate) parameters: Vec<(String, String)>,
    pub(crate) process: u32,
    pub(crate) key: Secret<Vec<u8>>,
    /// The server asked for no password at all (`trust`, `peer` or a certificate in its `pg_hba.conf`).
    pub(crate) unproved: bool,
}

/// Parameters a server may report while it logs us in. PostgreSQL 18 reports 15.
const REPORTED_MAX: usize = 200;

/// The client's side: SCRAM or no question at all. A server that asks for a password in clear, or hashed with MD5,
/// does not get one (CVE-2026-6664 class).
///
/// ```text
/// start ──▶ Asked ──SASL──▶ First ──SASLContinue──▶ Final ──SASLFinal, Ok──▶ Ready ──ReadyForQuery──▶ done
///             └───────────────────────────Ok────────────────────────────────┘
/// ```
#[derive(Debug)]
pub(crate) struct ClientLogin {
    state: ClientState,
    scram: Option<ClientScram>,
    /// The other end has proved itself by other means and asks no question: the tunnel.
    trusted: bool,
    logged_in: LoggedIn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClientState {
    Asked,
    First,
    Final,
    Proved,
    Ready,
}

impl ClientLogin {
    /// Begins: writes the startup packet. Without `scram` a server that asks for a password is refused.
    pub(crate) fn start(startup: &Startup, scram: Option<ClientScram>, out: &mut Vec<u8>) -> Self {
        startup.write(out);
        let trusted = scram.is_none();
        Self { state: ClientState::Asked, scram, trusted, logged_in: LoggedIn::default() }
    }

    /// Takes one message from the server.
    pub(crate) fn step(&mut self, frame: Frame<'_>, out: &mut Vec<u8>) -> Result<LoginStep, LoginError> {
        match (frame.tag, self.state) {
            (tag::ERROR, _) => return Err(LoginError::Refused(diagnosis(frame.body)?)),
            // A notice before the login is over comes from nobody in particular; it is not shown (CVE-2024-10977).
            (tag::NOTICE, _) => {}
            (tag::NEGOTIATE_VERSION, ClientState::Asked) => self.negotiated(frame.body)?,
            (tag::AUTHENTICATION, _) => self.authenticate(frame.body, out)?,
            (tag::PARAMETER_STATUS, ClientState::Ready) => {
                let mut body = Reader::new(frame.body);
                let (name, value) = (body.text()?.to_owned(), body.text()?.to_owned());
                body.finish()?;
                if self.logged_in.parameters.len() >= REPORTED_MAX {
                    return Err(LoginError::Unsupported("the server reports too many parameters"));
                }
                self.logged_in.parameters.push((name, value));
            }
            (tag::BACKEND_KEY, ClientState::Ready) => {
                let mut body = Reader::new(frame.body);
                self.logged_in.process = body.u32("process")?;
                let key = body.rest();
                if key.len() > KEY_MAX {
                    return Err(WireError::Violation("a cancel key is too long").into());
                }
                self.logged_in.key = Secret::new(key.to_vec());
            }
            (tag::READY, ClientState::Ready) => return Ok(LoginStep::Done(std::mem::take(&mut self.logged_in))),
            (other, _) => return Err(WireError::Unexpected(other).into()),
        }
        Ok(LoginStep::Wait)
    }

    /// The server has only an older minor version, which is as good; or lacks an option, and we asked for none.
    fn negotiated(&self, body: &[u8]) -> Result<(), LoginError> {
        let mut body = Reader::new(body);
        let version = body.u32("protocol version")?;
        let options = body.u32("options")?;
        // Servers state either the whole version number or its minor half.
        if options != 0 || (version >> 16 != 3 && version >> 16 != 0) || version & 0xffff > 2 {
            return Err(LoginError::Unsupported("the server negotiates a protocol version nobody asked for"));
        }
        Ok(body.finish()?)
    }

    fn authenticate(&mut self, body: &[u8], out: &mut Vec<u8>) -> Result<(), LoginError> {
        let mut body = Reader::new(body);
        let code = body.u32("authentication code")?;
        match (code, self.state, &mut self.scram) {
            (0, ClientState::Asked, _) => {
                self.logged_in.unproved = !self.trusted;
                self.state = ClientState::Ready;
            }
            (0, ClientState::Proved, _) => self.state = ClientState::Ready,
            (10, ClientState::Asked, Some(scram)) => {
                let mut offered = false;
                loop {
                    match body.text()? {
                        "" => break,
                        name => offered |= name == scram.mechanism(),
                    }
                }
                if !offered {
                    return Err(LoginError::Unsupported(if scram.mechanism().ends_with("PLUS") {
                        "the server does not offer channel binding over TLS; something may stand between"
                    } else {
                        "the server does not offer SCRAM-SHA-256"
                    }));
                }
                let first = scram.first();
                let mut message = Writer::message(out, b'p');
                message.text(scram.mechanism()).u32(u32::try_from(first.len()).unwrap_or(0)).raw(first.as_bytes());
                self.state = ClientState::First;
            }
            (11, ClientState::First, Some(scram)) => {
                let reply = scram.reply(body.rest())?;
                Writer::message(out, b'p').raw(reply.as_bytes());
                self.state = ClientState::Final;
            }
            (12, ClientState::Final, Some(scram)) => {
                scram.verify(body.rest())?;
                self.state = ClientState::Proved;
            }
            (10, ClientState::Asked, None) => return Err(LoginError::Unsupported("the server asks for a password")),
            (3, ..) => return Err(LoginError::Unsupported("the server asks for the password in clear text")),
            (5, ..) => return Err(LoginError::Unsupported("the server asks for an MD5 password hash")),
            (0 | 10..=12, ..) => return Err(WireError::Violation("login messages out of order").into()),
            _ => return Err(LoginError::Unsupported("the server asks for a login method other than SCRAM")),
        }
        Ok(body.finish()?)
    }
}

impl Default for Secret<Vec<u8>> {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::super::scram::{ChannelBinding, verifier};
    use super::*;
    use crate::wire::buffer::{Frames, Piece};

    fn plain(version: Version) -> Startup {
        Startup {
            version,
            negotiate: None,
            parameters: vec![("user".into(), "alice".into()), ("database".into(), "shop".into())],
        }
    }

    #[test]
    fn first_packets_are_told_apart() {
        let mut bytes = Vec::new();
        ssl_request(&mut bytes);
        assert_eq!(first_packet(&bytes).unwrap(), Some((FirstPacket::Ssl, 8)));
        assert_eq!(first_packet(&bytes[..7]).unwrap(), None);
        assert_eq!(first_packet(&[0x16, 3, 1]).unwrap(), Some((FirstPacket::DirectTls, 0)));

        for key in [&[1u8, 2, 3, 4][..], &[7; 32], &[7; 256]] {
            let mut bytes = Vec::new();
            cancel_request(42, key, &mut bytes);
            let (packet, length) = first_packet(&bytes).unwrap().unwrap();
            assert_eq!((packet, length), (FirstPacket::Cancel { process: 42, key: key.to_vec() }, bytes.len()));
        }
        let mut too_long = Vec::new();
        cancel_request(42, &[7; 257], &mut too_long);
        assert!(first_packet(&too_long).is_err());

        for version in [Version::V3_0, Version::V3_2] {
            let mut bytes = Vec::new();
            plain(version).write(&mut bytes);
            assert_eq!(first_packet(&bytes).unwrap().unwrap().0, FirstPacket::Startup(plain(version)));
            for end in 0..bytes.len() {
                assert_eq!(first_packet(&bytes[..end]).unwrap(), None);
            }
        }
    }

    #[test]
    fn garbage_is_refused_early() {
        for bytes in [b"GET / HTTP/1.1\r\n".as_slice(), &[0xff; 8], &[0, 0, 0, 7, 0, 0, 0, 0], &[0, 0, 0x27, 0x11]] {
            assert!(first_packet(bytes).is_err(), "{bytes:?}");
        }
        assert!(first_packet(&[0, 0, 0, 9, 0, 2, 0, 0, 0]).is_err(), "protocol 2");
        let trailing = [&[0, 0, 0, 10, 0, 3, 0, 0][..], b"\0x"].concat();
        assert!(first_packet(&trailing).is_err(), "bytes after the last parameter");
    }

    #[test]
    fn newer_versions_and_options_are_negotiated() {
        let mut bytes = vec![0, 0, 0, 0, 0, 3, 0, 9];
        bytes.extend_from_slice(b"user\0a\0_pq_.wish\x001\0\0");
        let length = u32::try_from(bytes.len()).unwrap();
        bytes[..4].copy_from_slice(&length.to_be_bytes());
        let Some((FirstPacket::Startup(startup), _)) = first_packet(&bytes).unwrap() else { panic!() };
        assert_eq!(startup.version, Version::V3_2);
        assert_eq!(startup.negotiate, Some(vec!["_pq_.wish".to_owned()]));
        assert_eq!(startup.parameter("_pq_.wish"), None);
    }

    #[test]
    fn the_database_is_the_one_the_server_would_take() {
        let with = |database: Option<&str>| {
            let mut startup = plain(Version::V3_0);
            startup.parameters.truncate(1);
            startup.parameters.extend(database.map(|name| ("database".to_owned(), name.to_owned())));
            startup.database().to_owned()
        };
        assert_eq!((with(None), with(Some("")), with(Some("x"))), ("alice".into(), "alice".into(), "x".into()));
    }

    /// Runs our client against our server.
    fn login(password: &str, binding: ChannelBinding) -> Result<LoggedIn, String> {
        let startup = plain(Version::V3_2);
        let verifier = verifier(b"right", b"0123456789abcdef", NonZeroU32::MIN);
        let scram = ClientScram::new(Secret::new(password.as_bytes().to_vec()), [1; 18], binding.clone());
        let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
        let mut client = ClientLogin::start(&startup, Some(scram), &mut to_server);
        to_server.clear();
        let mut server = ServerLogin::start(&startup, ServerScram::new(verifier, [2; 18], binding), &mut to_client);
        let (mut from_client, mut from_server) = (Frames::new(10_000), Frames::new(10_000));
        loop {
            let mut chunk = from_server.chunk(&to_client);
            while let Some(Piece::Frame(frame)) = chunk.next().unwrap() {
                if let LoginStep::Done(done) = client.step(frame, &mut to_server).map_err(|e| e.to_string())? {
                    return Ok(done);
                }
            }
            chunk.end();
            to_client.clear();
            let mut chunk = from_client.chunk(&to_server);
            while let Some(Piece::Frame(frame)) = chunk.next().unwrap() {
                if server.step(frame, &mut to_client).map_err(|e| e.to_string())? == ServerStep::Proved {
                    let reported = [("server_version".to_owned(), "15".to_owned())];
                    login_done(&reported, 7, &[5; 32], Version::V3_2, &mut to_client);
                }
            }
            chunk.end();
            to_server.clear();
        }
    }

    #[test]
    fn our_client_logs_in_to_our_server() {
        for binding in [ChannelBinding::None, ChannelBinding::EndPoint(vec![3; 32])] {
            let done = login("right", binding.clone()).unwrap();
            assert_eq!((done.process, done.key.expose().len(), done.unproved), (7, 32, false));
            assert!(login("wrong", binding).unwrap_err().contains("password is wrong"));
        }
    }

    #[test]
    fn weak_or_disordered_logins_are_refused() {
        let startup = plain(Version::V3_0);
        let attempt = |messages: &[&[u8]]| {
            let scram = ClientScram::new(Secret::new(b"x".to_vec()), [1; 18], ChannelBinding::None);
            let mut out = Vec::new();
            let mut client = ClientLogin::start(&startup, Some(scram), &mut out);
            messages
                .iter()
                .map(|body| client.step(Frame { tag: b'R', body, raw: body }, &mut out).map(|_| ()))
                .find(Result::is_err)
                .map(|error| error.unwrap_err().to_string())
        };
        assert!(attempt(&[b"\0\0\0\x03"]).unwrap().contains("clear text"));
        assert!(attempt(&[b"\0\0\0\x05abcd"]).unwrap().contains("MD5"));
        assert!(attempt(&[b"\0\0\0\x0aSCRAM-SHA-512\0\0"]).unwrap().contains("does not offer"));
        assert!(attempt(&[b"\0\0\0\x0av=x"]).is_some());
        assert!(attempt(&[b"\0\0\0\x0aSCRAM-SHA-256\0\0", b"\0\0\0\0"]).unwrap().contains("order"), "Ok too early");
        assert!(attempt(&[b"\0\0\0\0x"]).is_some(), "bytes after Ok");
        assert!(attempt(&[b"\0\0\0\0", b"\0\0\0\0"]).unwrap().contains("order"), "Ok twice");
    }
}
