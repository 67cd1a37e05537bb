//! A plain client connection to a PostgreSQL server: for the gateway's own questions, for opening the connections it
//! governs, and for `gov exec`. The same rules as everywhere: SCRAM or nothing, TLS verified or refused.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::domain::{Failure, Kind, Secret};
use crate::runtime::net::{self, Socket};
use crate::runtime::read_ahead::ReadAhead;
use crate::runtime::{random, tls};
use crate::wire::buffer::{Frame, Frames, Piece, Reader, WireError, Writer};
use crate::wire::postgres::{
    self, ChannelBinding, ClientLogin, ClientScram, Column, Complaint, LoggedIn, LoginError, LoginStep, Startup,
    Transaction, Version, tag,
};

/// How long a login may take, TLS included.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest answer to one of our own questions, all rows together.
const ANSWER_MAX: usize = 256 * 1024 * 1024;

/// Where a database is, and how it proves itself.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    /// A host name or address, or the folder of a Unix socket when it starts with `/`.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// `None`: no TLS. Fit for loopback, a Unix socket, or a network somebody vouched for in the configuration.
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

impl Address {
    /// A Unix socket of this machine.
    pub(crate) fn is_socket(&self) -> bool {
        self.host.starts_with('/')
    }

    /// `host:port`, for people who configured it.
    pub(crate) fn shown(&self) -> String {
        if self.is_socket() { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }
}

/// Whom to log in as.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) database: String,
    pub(crate) password: Option<Secret<String>>,
    /// Further startup parameters.
    pub(crate) parameters: Vec<(String, String)>,
}

/// Why there is no connection.
#[derive(Debug, Error)]
pub(crate) enum ConnectError {
    #[error("{0}")]
    Unreachable(std::io::Error),
    #[error("TLS failed: {0}")]
    Tls(String),
    #[error("the server does not offer TLS")]
    NoTls,
    #[error("no login within {} seconds", LOGIN_TIMEOUT.as_secs())]
    Slow,
    #[error("{}", .0.message())]
    Refused(Complaint),
    #[error("{0}")]
    Login(String),
}

/// Why a question has no answer.
#[derive(Debug, Error)]
pub(crate) enum QueryError {
    /// The database's own words. They may hold values; do not record them.
    #[error("{}", .0.message())]
    Database(Complaint),
    #[error("the connection was lost: {0}")]
    Lost(String),
    #[error("no answer in time")]
    Slow,
    #[error("the answer is longer than {ANSWER_MAX} bytes")]
    TooLong,
}

impl QueryError {
    pub(crate) fn sqlstate(&self) -> Option<[u8; 5]> {
        match self {
            Self::Database(complaint) => Some(complaint.sqlstate()),
            Self::Lost(_) | Self::Slow | Self::TooLong => None,
        }
    }
}

/// A socket that has just logged in, for whoever goes on with it.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) socket: Socket,
    pub(crate) logged_in: LoggedIn,
}

/// Dials and logs in. Cancel safe: dropping it closes the socket.
pub(crate) async fn open(address: &Address, login: &Login) -> Result<Opened, ConnectError> {
    let socket = dial(address).await?;
    let attempt = async {
        let (socket, binding) = secure(socket, address).await?;
        log_in_bound(socket, login, binding).await
    };
    tokio::time::timeout(LOGIN_TIMEOUT, attempt).await.map_err(|_| ConnectError::Slow)?
}

/// Logs in on a connection that is there already and needs no further proof of either side.
pub(crate) async fn log_in(socket: Socket, login: &Login) -> Result<Opened, ConnectError> {
    log_in_bound(socket, login, ChannelBinding::None).await
}

/// Sends a CancelRequest and waits until the server has taken it.
pub(crate) async fn cancel(address: &Address, process: u32, key: &[u8]) -> Result<(), ConnectError> {
    let socket = dial(address).await?;
    let attempt = async {
        let (mut socket, _) = secure(socket, address).await?;
        let mut packet = Vec::new();
        postgres::cancel_request(process, key, &mut packet);
        socket.write_all(&packet).await.map_err(ConnectError::Unreachable)?;
        socket.flush().await.map_err(ConnectError::Unreachable)?;
        // The server closes the connection when it has acted; a server that says something instead is ignored.
        drop(socket.read(&mut [0u8; 1]).await);
        Ok(())
    };
    tokio::time::timeout(LOGIN_TIMEOUT, attempt).await.map_err(|_| ConnectError::Slow)?
}

async fn dial(address: &Address) -> Result<Socket, ConnectError> {
    if address.is_socket() {
        let path = Path::new(&address.host).join(format!(".s.PGSQL.{}", address.port));
        return UnixStream::connect(path).await.map(Socket::Unix).map_err(ConnectError::Unreachable);
    }
    net::dial(&address.host, address.port).await.map(Socket::Plain).map_err(ConnectError::Unreachable)
}

/// Encrypts the connection when the address asks for it.
async fn secure(socket: Socket, address: &Address) -> Result<(Socket, ChannelBinding), ConnectError> {
    let Some(config) = &address.tls else { return Ok((socket, ChannelBinding::None)) };
    let Socket::Plain(mut stream) = socket else { return Err(ConnectError::NoTls) };
    let mut packet = Vec::new();
    postgres::ssl_request(&mut packet);
    stream.write_all(&packet).await.map_err(ConnectError::Unreachable)?;
    // One byte and no more: what would follow in clear must not be taken for something said under TLS (CVE-2021-23222).
    match stream.read_u8().await.map_err(ConnectError::Unreachable)? {
        b'S' => {}
        _ => return Err(ConnectError::NoTls),
    }
    let name = tls::server_name(&address.host).map_err(|failure| ConnectError::Tls(failure.message))?;
    let stream = tokio_rustls::TlsConnector::from(Arc::clone(config))
        .connect(name, ReadAhead::new(stream))
        .await
        .map_err(|error| ConnectError::Tls(error.to_string()))?;
    let binding = stream
        .get_ref()
        .1
        .peer_certificates()
        .and_then(|chain| postgres::certificate_binding(chain.first()?))
        .map_or(ChannelBinding::None, ChannelBinding::EndPoint);
    Ok((Socket::Dialled(Box::new(stream)), binding))
}

async fn log_in_bound(mut socket: Socket, login: &Login, binding: ChannelBinding) -> Result<Opened, ConnectError> {
    let mut parameters = vec![("user".to_owned(), login.user.clone()), ("database".to_owned(), login.database.clone())];
    parameters.extend(login.parameters.iter().cloned());
    // Whatever the database is kept in: all that is asked and answered here is read as UTF-8.
    if !login.parameters.iter().any(|(name, _)| name == "client_encoding") {
        parameters.push(("client_encoding".to_owned(), "UTF8".to_owned()));
    }
    let startup = Startup { version: Version::V3_2, negotiate: None, parameters };
    let scram = match &login.password {
        Some(password) => {
            let nonce = random::bytes().map_err(|failure| ConnectError::Login(failure.message))?;
            let password = Secret::new(password.expose().as_bytes().to_vec());
            Some(ClientScram::new(password, nonce, binding))
        }
        None => None,
    };
    let logged_in = introduce(&mut socket, &startup, scram).await?;
    Ok(Opened { socket, logged_in })
}

/// Says who is there, proves it, and hears the server out until it is ready. Not a byte is read beyond: what a server says
/// then, that it ends the session for example, belongs to whoever goes on with the connection.
pub(crate) async fn introduce(
    socket: &mut Socket,
    startup: &Startup,
    scram: Option<ClientScram>,
) -> Result<LoggedIn, ConnectError> {
    let mut out = Vec::new();
    let mut machine = ClientLogin::start(startup, scram, &mut out);
    let mut frames = Frames::new(postgres::STARTUP_MAX);
    let mut bytes = [0u8; 4096];
    loop {
        if !out.is_empty() {
            socket.write_all(&out).await.map_err(ConnectError::Unreachable)?;
            socket.flush().await.map_err(ConnectError::Unreachable)?;
            out.clear();
        }
        let wanted = frames.wanted().min(bytes.len());
        let count = socket.read(bytes.get_mut(..wanted).unwrap_or(&mut [])).await.map_err(ConnectError::Unreachable)?;
        if count == 0 {
            return Err(ConnectError::Login("the server closed the connection during login".to_owned()));
        }
        let mut chunk = frames.chunk(bytes.get(..count).unwrap_or(&[]));
        if let Some(piece) = chunk.next().map_err(|error| ConnectError::Login(error.to_string()))? {
            let Piece::Frame(frame) = piece else {
                return Err(ConnectError::Login("the server sent too long a message during login".to_owned()));
            };
            match machine.step(frame, &mut out) {
                Ok(LoginStep::Wait) => {}
                Ok(LoginStep::Done(logged_in)) => return Ok(logged_in),
                Err(LoginError::Refused(complaint)) => return Err(ConnectError::Refused(complaint)),
                Err(error) => return Err(ConnectError::Login(error.to_string())),
            }
        }
        chunk.end();
    }
}

/// What arrives while a question is being answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Columns(Vec<Column>),
    Row(Vec<Option<Vec<u8>>>),
    /// COPY data, as it came.
    Copied(Vec<u8>),
    /// The server wants COPY data, which this client never has.
    CopyWanted,
    /// One command is done; its tag.
    Complete(String),
    /// As many rows as were asked for have come, and there may be more.
    Suspended,
    /// A parameter of the session has this value now.
    Parameter(String, String),
    Notice(Complaint),
    Failed(Complaint),
    /// The question is answered.
    Ready(Transaction),
}

/// A logged-in connection that asks and listens.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: Socket,
    frames: Frames,
    arrived: VecDeque<Answer>,
}

impl Connection {
    pub(crate) async fn open(address: &Address, login: &Login) -> Result<Self, ConnectError> {
        Ok(Self::of(open(address, login).await?))
    }

    /// Goes on with a connection that has just logged in.
    pub(crate) fn of(opened: Opened) -> Self {
        Self { socket: opened.socket, frames: Frames::new(postgres::REPLY_MAX), arrived: VecDeque::new() }
    }

    /// Asks with the simple protocol: one text, any number of commands.
    pub(crate) async fn ask(&mut self, sql: &str) -> Result<(), QueryError> {
        let mut out = Vec::new();
        Writer::message(&mut out, b'Q').text(sql);
        self.send(&out).await
    }

    /// Asks with the extended protocol: one command, values apart from the text, all in text format.
    pub(crate) async fn ask_with(&mut self, sql: &str, values: &[Option<&str>]) -> Result<(), QueryError> {
        let mut out = Vec::new();
        prepare(&mut out, sql, values);
        Writer::message(&mut out, b'E').text("").u32(0);
        drop(Writer::message(&mut out, b'S'));
        self.send(&out).await
    }

    /// Asks with the extended protocol and wants binary cells.
    pub(crate) async fn ask_binary(&mut self, sql: &str) -> Result<(), QueryError> {
        let mut out = Vec::new();
        Writer::message(&mut out, b'P').text("").text(sql).count(0);
        Writer::message(&mut out, b'B').text("").text("").count(0).count(0).count(1).count(1);
        Writer::message(&mut out, b'D').u8(b'P').text("");
        Writer::message(&mut out, b'E').text("").u32(0);
        drop(Writer::message(&mut out, b'S'));
        self.send(&out).await
    }

    /// Asks with the extended protocol for the first rows of one command; [`Self::more`] asks for the next, and
    /// [`Self::enough`] ends it.
    pub(crate) async fn ask_for(&mut self, sql: &str, values: &[Option<&str>], rows: u32) -> Result<(), QueryError> {
        let mut out = Vec::new();
        prepare(&mut out, sql, values);
        execute(&mut out, rows);
        self.send(&out).await
    }

    /// Asks for the next rows of a command that was suspended.
    pub(crate) async fn more(&mut self, rows: u32) -> Result<(), QueryError> {
        let mut out = Vec::new();
        execute(&mut out, rows);
        self.send(&out).await
    }

    /// Ends what [`Self::ask_for`] began: the server answers that it is ready.
    pub(crate) async fn enough(&mut self) -> Result<(), QueryError> {
        let mut out = Vec::new();
        drop(Writer::message(&mut out, b'S'));
        self.send(&out).await
    }

    /// Answers a server that wants COPY data and gets none.
    pub(crate) async fn refuse_copy(&mut self, why: &str) -> Result<(), QueryError> {
        let mut out = Vec::new();
        Writer::message(&mut out, b'f').text(why);
        // In an extended-query batch the server has ignored the Sync that came with the command.
        drop(Writer::message(&mut out, b'S'));
        self.send(&out).await
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), QueryError> {
        let lost = |error: std::io::Error| QueryError::Lost(error.to_string());
        self.socket.write_all(bytes).await.map_err(lost)?;
        self.socket.flush().await.map_err(lost)
    }

    /// The next thing the server says. Cancel safe between calls.
    pub(crate) async fn next(&mut self) -> Result<Answer, QueryError> {
        loop {
            if let Some(answer) = self.arrived.pop_front() {
                return Ok(answer);
            }
            let mut bytes = vec![0u8; 64 * 1024];
            let count = self.socket.read(&mut bytes).await.map_err(|error| QueryError::Lost(error.to_string()))?;
            if count == 0 {
                return Err(QueryError::Lost("the server closed it".to_owned()));
            }
            let mut chunk = self.frames.chunk(bytes.get(..count).unwrap_or(&[]));
            loop {
                match chunk.next().map_err(|error| QueryError::Lost(error.to_string()))? {
                    None => break,
                    Some(Piece::Frame(frame)) => {
                        let answer = answer(frame).map_err(|error| QueryError::Lost(error.to_string()))?;
                        self.arrived.extend(answer);
                        continue;
                    }
                    Some(Piece::Long { .. } | Piece::Part(_)) => {}
                }
                chunk.gather();
            }
            chunk.end();
        }
    }

    /// Asks and collects all rows, as text. Several commands give the rows of all of them.
    pub(crate) async fn rows(&mut self, sql: &str, limit: Duration) -> Result<Vec<Row>, QueryError> {
        self.collect(limit, async |connection: &mut Self| connection.ask(sql).await).await
    }

    /// Asks with values and collects all rows.
    pub(crate) async fn rows_with(
        &mut self,
        sql: &str,
        values: &[Option<&str>],
        limit: Duration,
    ) -> Result<Vec<Row>, QueryError> {
        self.collect(limit, async |connection: &mut Self| connection.ask_with(sql, values).await).await
    }

    async fn collect(
        &mut self,
        limit: Duration,
        ask: impl AsyncFnOnce(&mut Self) -> Result<(), QueryError>,
    ) -> Result<Vec<Row>, QueryError> {
        let answered = async {
            ask(self).await?;
            let (mut rows, mut length, mut failed) = (Vec::new(), 0usize, None);
            loop {
                match self.next().await? {
                    Answer::Row(cells) => {
                        length += cells.iter().flatten().map(Vec::len).sum::<usize>();
                        if length > ANSWER_MAX {
                            return Err(QueryError::TooLong);
                        }
                        rows.push(Row(cells));
                    }
                    Answer::Failed(complaint) => failed = failed.or(Some(complaint)),
                    Answer::CopyWanted => return Err(QueryError::Lost("it asked for COPY data".to_owned())),
                    Answer::Ready(_) => {
                        return failed.map_or(Ok(rows), |complaint| Err(QueryError::Database(complaint)));
                    }
                    Answer::Columns(_)
                    | Answer::Copied(_)
                    | Answer::Complete(_)
                    | Answer::Suspended
                    | Answer::Parameter(..)
                    | Answer::Notice(_) => {}
                }
            }
        };
        tokio::time::timeout(limit, answered).await.map_err(|_| QueryError::Slow)?
    }

    /// The server has not closed the connection since the last answer.
    pub(crate) fn is_open(&mut self) -> bool {
        use std::future::Future as _;
        let mut byte = [0u8; 1];
        let read = std::pin::pin!(self.socket.read(&mut byte));
        // Nothing is expected now: if there is something to read it is the end, or an error before it.
        read.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_pending()
    }
}

/// A row of text cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row(Vec<Option<Vec<u8>>>);

impl Row {
    /// A cell as text; `None` for NULL, for a cell that is not there and for bytes that are not UTF-8.
    pub(crate) fn text(&self, index: usize) -> Option<&str> {
        std::str::from_utf8(self.0.get(index)?.as_deref()?).ok()
    }

    /// A cell as a number.
    pub(crate) fn number<T: std::str::FromStr>(&self, index: usize) -> Option<T> {
        self.text(index)?.parse().ok()
    }

    /// A boolean cell; anything but `t` is false.
    pub(crate) fn is_true(&self, index: usize) -> bool {
        self.text(index) == Some("t")
    }
}

/// One command with its values, in text format, and what its rows look like.
fn prepare(out: &mut Vec<u8>, sql: &str, values: &[Option<&str>]) {
    Writer::message(out, b'P').text("").text(sql).count(0);
    let mut bind = Writer::message(out, b'B');
    bind.text("").text("").count(0).count(values.len());
    for value in values {
        bind.value(value.map(str::as_bytes));
    }
    bind.count(0);
    drop(bind);
    Writer::message(out, b'D').u8(b'P').text("");
}

/// So many rows of it, and no Sync, which would end it.
fn execute(out: &mut Vec<u8>, rows: u32) {
    Writer::message(out, b'E').text("").u32(rows);
    drop(Writer::message(out, b'H'));
}

fn answer(frame: Frame<'_>) -> Result<Option<Answer>, WireError> {
    Ok(match frame.tag {
        tag::ROW_DESCRIPTION => Some(Answer::Columns(postgres::columns(frame.body)?)),
        tag::DATA_ROW => {
            let mut cells = postgres::Cells::of(frame.body)?;
            let mut row = Vec::with_capacity(cells.count());
            while let Some(cell) = cells.next()? {
                row.push(cell.map(<[u8]>::to_vec));
            }
            cells.finish()?;
            Some(Answer::Row(row))
        }
        tag::COMMAND_COMPLETE => Some(Answer::Complete(
            String::from_utf8_lossy(frame.body.strip_suffix(b"\0").unwrap_or_default()).into_owned(),
        )),
        tag::EMPTY_QUERY => Some(Answer::Complete(String::new())),
        tag::PORTAL_SUSPENDED => Some(Answer::Suspended),
        tag::PARAMETER_STATUS => {
            let mut body = Reader::new(frame.body);
            let (name, value) = (body.text()?, body.text()?);
            Some(Answer::Parameter(name.to_owned(), value.to_owned()))
        }
        tag::ERROR => Some(Answer::Failed(postgres::diagnosis(frame.body)?)),
        tag::NOTICE => Some(Answer::Notice(postgres::diagnosis(frame.body)?)),
        tag::READY => {
            let status = Transaction::parse(frame.body).ok_or(WireError::Violation("an unknown transaction status"))?;
            Some(Answer::Ready(status))
        }
        tag::COPY_DATA => Some(Answer::Copied(frame.body.to_vec())),
        tag::COPY_IN => Some(Answer::CopyWanted),
        tag::PARSE_COMPLETE
        | tag::BIND_COMPLETE
        | tag::CLOSE_COMPLETE
        | tag::NO_DATA
        | tag::PARAMETER_DESCRIPTION
        | tag::NOTIFICATION
        | tag::COPY_OUT
        | tag::COPY_DONE => None,
        other => return Err(WireError::Unexpected(other)),
    })
}

/// What a person who asked for a database is told when it cannot be reached: what failed, not where it stands.
pub(crate) fn unreachable(resource: &str, error: &ConnectError) -> Failure {
    match error {
        ConnectError::Unreachable(_) | ConnectError::Slow => silent(resource),
        ConnectError::Refused(complaint) => refused(resource, complaint),
        ConnectError::Tls(_) | ConnectError::NoTls | ConnectError::Login(_) => {
            Failure::new(Kind::Database, format!("the gateway cannot log in to the database of `{resource}`"))
                .detail("The two could not agree on a secure login.")
                .hint("tell whoever runs the gateway; its log has the details")
        }
    }
}

/// The database does not answer.
pub(crate) fn silent(resource: &str) -> Failure {
    Failure::new(Kind::Database, format!("the database of `{resource}` does not answer"))
        .hint("try again; if it stays so, tell whoever runs the gateway")
}

/// The database refused something the gateway asked for. Its words stay in the gateway's log: they can hold values.
pub(crate) fn refused(resource: &str, complaint: &Complaint) -> Failure {
    let sqlstate = complaint.sqlstate();
    if sqlstate == *b"53300" {
        return Failure::new(Kind::Limit, format!("the database of `{resource}` has no room for more connections"))
            .hint("close connections that are not used, and try again");
    }
    Failure::new(Kind::Database, format!("the database of `{resource}` refused the gateway"))
        .detail(format!("SQLSTATE {}.", String::from_utf8_lossy(&sqlstate)))
        .hint("tell whoever runs the gateway; its log has the details")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::postgres::Severity;

    /// A session that is withdrawn while a connection to it is being opened says so right behind its introduction.
    #[tokio::test]
    async fn what_is_said_right_after_the_login_is_heard() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut said = Vec::new();
        postgres::login_done(&[("server_version".to_owned(), "15".to_owned())], 7, &[1; 32], Version::V3_2, &mut said);
        let withdrawn = Failure::new(Kind::Denied, "this session was withdrawn");
        postgres::error(postgres::complaint(Severity::Fatal, "57P01", &withdrawn, None), &mut said);
        theirs.write_all(&said).await.unwrap();
        let user = || "gov".to_owned();
        let login = Login { user: user(), database: user(), password: None, parameters: Vec::new() };
        let opened = log_in(Socket::Unix(ours), &login).await.unwrap();
        assert_eq!(opened.logged_in.process, 7);
        let heard = Connection::of(opened).next().await.unwrap();
        assert!(matches!(&heard, Answer::Failed(said) if said.message() == withdrawn.message), "{heard:?}");
    }
}
