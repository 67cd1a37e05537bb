//! A configured database, as the gateway sees it: its address, the broker's own login there, and how sessions get in.

use std::time::Duration;

use tokio::sync::Mutex;
use tracing::warn;

use super::config::{self, CredentialKind, DatabaseTls};
use super::credential::{self, CredentialSource};
use crate::domain::{Access, Failure, Kind, Labels, ResourceName};
use crate::runtime::database::{self, Address, Connection, Login, QueryError, Row};
use crate::runtime::tls;

/// How long one of the broker's own questions may take.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(30);

/// The group roles a session's role is put into: the only source of its privileges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Roles {
    pub(crate) read: Vec<String>,
    pub(crate) write: Vec<String>,
    /// Owns what write sessions create: they act as this role.
    pub(crate) owner: Option<String>,
}

impl Default for Roles {
    /// Roles every PostgreSQL since 14 has. Good enough to try gov out; groups of one's own say more exactly what a
    /// session may do.
    fn default() -> Self {
        Self {
            read: vec!["pg_read_all_data".to_owned()],
            write: vec!["pg_read_all_data".to_owned(), "pg_write_all_data".to_owned()],
            owner: None,
        }
    }
}

impl Roles {
    pub(crate) fn of(&self, access: Access) -> &[String] {
        match access {
            Access::Read => &self.read,
            Access::Write => &self.write,
        }
    }
}

/// One resource.
#[derive(Debug)]
pub(crate) struct Resource {
    pub(crate) name: ResourceName,
    pub(crate) labels: Labels,
    /// The database sessions are in.
    pub(crate) database: String,
    pub(crate) roles: Roles,
    pub(crate) source: &'static dyn CredentialSource,
    broker: Broker,
    /// Read replicas: a session that ends is ended there too.
    replicas: Vec<Broker>,
}

impl Resource {
    /// The resource as configured.
    pub(crate) fn configured(name: &ResourceName, config: &config::Resource) -> Result<Self, Failure> {
        let tls = match &config.tls {
            DatabaseTls::Off => None,
            DatabaseTls::Verified(trust) => Some(tls::database_client(trust)?),
        };
        let address = Address { host: config.host.clone(), port: config.port, tls };
        let login = Login {
            user: config.user.clone(),
            database: config.database.clone(),
            password: config.password.clone(),
            parameters: vec![("application_name".to_owned(), "gov".to_owned())],
        };
        let source = match config.credential {
            CredentialKind::PostgresRole => "postgres-role",
            CredentialKind::Static => "static",
        };
        let source = credential::source(source)
            .ok_or_else(|| Failure::new(Kind::Internal, format!("there is no credential source `{source}`")))?;
        let default = Roles::default();
        let roles = Roles {
            read: config.roles.read.as_ref().map_or(default.read, |role| vec![role.clone()]),
            write: config.roles.write.as_ref().map_or(default.write, |role| vec![role.clone()]),
            owner: config.roles.owner.clone(),
        };
        Ok(Self::new(name.clone(), config.labels.clone(), address, login, roles, source, Vec::new()))
    }

    pub(crate) fn new(
        name: ResourceName,
        labels: Labels,
        address: Address,
        login: Login,
        roles: Roles,
        source: &'static dyn CredentialSource,
        replicas: Vec<Address>,
    ) -> Self {
        let database = login.database.clone();
        let replicas = replicas.into_iter().map(|address| Broker::new(name.clone(), address, login.clone())).collect();
        let broker = Broker::new(name.clone(), address, login);
        Self { name, labels, database, roles, source, broker, replicas }
    }

    /// The gateway's own connection.
    pub(crate) fn broker(&self) -> &Broker {
        &self.broker
    }

    /// Every node a session may have connections on, the primary first.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Broker> {
        std::iter::once(&self.broker).chain(&self.replicas)
    }
}

/// The gateway's own login to one node, connected when needed and again after a loss.
#[derive(Debug)]
pub(crate) struct Broker {
    resource: ResourceName,
    address: Address,
    login: Login,
    connection: Mutex<Option<Connection>>,
}

impl Broker {
    fn new(resource: ResourceName, address: Address, login: Login) -> Self {
        Self { resource, address, login, connection: Mutex::new(None) }
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    pub(crate) fn login(&self) -> &Login {
        &self.login
    }

    /// The server's version as it introduces itself: 15 for `15.18 (Debian …)`.
    pub(crate) async fn major_version(&self) -> Result<u32, Failure> {
        let rows = self.rows("SHOW server_version_num").await?;
        let number: u32 = rows.first().and_then(|row| row.number(0)).unwrap_or(0);
        Ok(number / 10_000)
    }

    /// Asks one text of SQL; the rows of all its commands. A connection that was lost since the last question is
    /// replaced once; a question that may have had an effect is not asked twice.
    pub(crate) async fn rows(&self, sql: &str) -> Result<Vec<Row>, Failure> {
        self.ask(sql).await.map_err(|error| self.failure(&error))
    }

    /// The same with the database's own error, for callers that act on it.
    pub(crate) async fn ask(&self, sql: &str) -> Result<Vec<Row>, QueryError> {
        let mut slot = self.connection.lock().await;
        let kept = slot.take().and_then(|mut connection| connection.is_open().then_some(connection));
        let mut connection = match kept {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let answer = connection.rows(sql, QUESTION_TIMEOUT).await;
        if matches!(answer, Ok(_) | Err(QueryError::Database(_))) {
            *slot = Some(connection);
        }
        answer
    }

    async fn connect(&self) -> Result<Connection, QueryError> {
        Connection::open(&self.address, &self.login).await.map_err(|error| {
            warn!(resource = %self.resource, address = self.address.shown(), error = %error, "broker cannot connect");
            match error {
                database::ConnectError::Refused(complaint) => QueryError::Database(complaint),
                error => QueryError::Lost(error.to_string()),
            }
        })
    }

    /// What the person who asked is told. The gateway's log has the database's words.
    pub(crate) fn failure(&self, error: &QueryError) -> Failure {
        warn!(resource = %self.resource, error = %error, "broker's question failed");
        match error {
            QueryError::Database(complaint) => database::refused(self.resource.as_str(), complaint),
            QueryError::Lost(_) | QueryError::Slow | QueryError::TooLong => database::silent(self.resource.as_str()),
        }
    }
}
