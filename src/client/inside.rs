//! A session of this very process: no port, no socket, the same path through the endpoint as every other client's.

use std::sync::Arc;

use tokio::net::UnixStream;
use tokio::task::JoinHandle;

use super::gateway::Gateway;
use super::proxy::{Door, Endpoint};
use super::session::{Keeper, Wish};
use crate::domain::{Duration, Failure, Kind, Timestamp};
use crate::runtime::database::{self, Answer, ConnectError, Connection, Login, QueryError};
use crate::runtime::net::Socket;
use crate::runtime::{clock, random};
use crate::wire::postgres::Complaint;

/// How long a connection that was closed may take to have its books closed.
const SETTLE_MAX: Duration = Duration::from_secs(5);

/// A session that nobody else can reach.
#[derive(Debug)]
pub(crate) struct Inside {
    endpoint: Arc<Endpoint<Keeper>>,
    database: String,
    expires_at: Timestamp,
}

/// A connection in it.
#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) connection: Connection,
    serving: JoinHandle<()>,
}

impl Inside {
    /// Opens a session. Not cancel safe: a session that was opened would wait for its end unused.
    pub(crate) async fn open(gateway: Gateway, wish: Wish) -> Result<Self, Failure> {
        let keeper = Keeper::open(gateway, wish).await?;
        let held = keeper.current().await;
        let (database, expires_at) = (held.database.clone(), held.grant.expires_at);
        let door = Door::new("gov".to_owned(), &random::password()?, vec![database.clone()], None)?;
        Ok(Self { endpoint: Endpoint::new(door, keeper)?, database, expires_at })
    }

    pub(crate) fn keeper(&self) -> &Keeper {
        self.endpoint.dialer()
    }

    /// Whether its time is over.
    pub(crate) fn is_over(&self) -> bool {
        clock::now() >= self.expires_at
    }

    /// A new connection: one end of a socket pair is the local caller. Cancel safe: what is dropped half way is closed.
    pub(crate) async fn connect(&self, parameters: Vec<(String, String)>) -> Result<Own, Failure> {
        let (ours, theirs) = UnixStream::pair()
            .map_err(|error| Failure::new(Kind::Internal, "no socket could be made").detail(format!("{error}.")))?;
        let serving = tokio::spawn(Arc::clone(&self.endpoint).serve_own(theirs));
        let login = Login { user: "gov".to_owned(), database: self.database.clone(), password: None, parameters };
        let opened = database::log_in(Socket::Unix(ours), &login).await.map_err(|error| refused(&error))?;
        Ok(Own { connection: Connection::of(opened), serving })
    }

    /// Ends the session at the gateway.
    pub(crate) async fn end(&self) -> Result<(), Failure> {
        self.keeper().end().await
    }
}

impl Own {
    /// Closes the connection and waits until its books are closed.
    pub(crate) async fn close(self) {
        drop(self.connection);
        drop(tokio::time::timeout(SETTLE_MAX, self.serving).await);
    }
}

/// What the database, or the gateway in its words, said no to.
pub(crate) fn said_no(complaint: &Complaint) -> Failure {
    let kind = match &complaint.sqlstate() {
        b"42501" if complaint.needs_approval() => Kind::Pending,
        b"42501" => Kind::Denied,
        b"28000" | b"57P01" => Kind::NotLoggedIn,
        b"53400" | b"53300" => Kind::Limit,
        b"08006" | b"08P01" => Kind::Gateway,
        _ => Kind::Database,
    };
    let state = String::from_utf8_lossy(&complaint.sqlstate()).into_owned();
    let mut failure = Failure::new(kind, complaint.message());
    let detail = complaint.field(b'D').map_or_else(String::new, |detail| format!("{detail}\n"));
    failure.detail = Some(format!("{detail}SQLSTATE {state}."));
    failure.hint = complaint.field(b'H').map(str::to_owned);
    failure
}

/// Why a question could not be asked: what was said before the connection was closed, if anything was.
pub(crate) async fn unheard(connection: &mut Connection, error: QueryError) -> Failure {
    while let Ok(answer) = connection.next().await {
        if let Answer::Failed(complaint) = answer {
            return said_no(&complaint);
        }
    }
    lost(error)
}

#[expect(clippy::needless_pass_by_value, reason = "the form that `map_err` takes")]
pub(crate) fn lost(error: QueryError) -> Failure {
    Failure::new(Kind::Gateway, "the connection was lost")
        .detail(format!("{error}."))
        .hint("a statement that was running may or may not have taken effect")
}

fn refused(error: &ConnectError) -> Failure {
    match error {
        ConnectError::Refused(complaint) => said_no(complaint),
        ConnectError::Unreachable(_)
        | ConnectError::Tls(_)
        | ConnectError::NoTls
        | ConnectError::Slow
        | ConnectError::Login(_) => {
            Failure::new(Kind::Gateway, "the session gave no connection").detail(format!("{error}."))
        }
    }
}
