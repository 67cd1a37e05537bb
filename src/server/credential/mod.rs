//! Where the credential of a session's database connections comes from. One source per file; the file's name is its
//! word in the configuration.

mod postgres_role;
mod r#static;

use std::future::Future;
use std::pin::Pin;

use crate::domain::{Access, Duration, Failure, Secret, SessionId, Timestamp};
use crate::server::resource::Resource;

/// A future in a box, because the sources stand in one list.
pub(crate) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a role sees that is masked in the database, in the place of what its group would.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The group that reads masking views only.
    pub(crate) reader: String,
    /// The search path on which those views come first.
    pub(crate) search_path: Vec<String>,
}

/// What a session needs.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) session: SessionId,
    pub(crate) access: Access,
    pub(crate) expires_at: Timestamp,
    pub(crate) connections_max: u32,
    /// How long a statement may run, unless the database says less. Comfort, not a wall: a session may change its own limit;
    /// the engine sees to it that no session sets a longer one.
    pub(crate) statement_time: Option<Duration>,
    /// `None` where it is not masked in the database.
    pub(crate) seen: Option<Seen>,
}

/// A credential on loan. It never leaves the gateway.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    /// Role name in the database.
    pub(crate) role: String,
    pub(crate) password: Option<Secret<String>>,
    /// The role that its sessions act as from the start, where that is another one.
    pub(crate) acts_as: Option<String>,
}

impl Lease {
    /// `current_user` of its sessions.
    pub(crate) fn acts_as(&self) -> &str {
        self.acts_as.as_deref().unwrap_or(&self.role)
    }
}

/// What an end of a lease did, step by step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Revoked {
    /// Connections that were ended, on all nodes.
    pub(crate) ended: u32,
    /// The role is gone. False while something it owns keeps it; it cannot log in either way.
    pub(crate) dropped: bool,
}

/// Something that keeps a source from working, or makes it weaker than it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Sessions cannot be opened until this is mended.
    pub(crate) fatal: bool,
    /// What is the matter, a sentence.
    pub(crate) text: String,
    /// SQL for an administrator to run, if SQL mends it.
    pub(crate) remedy: Option<String>,
}

/// For the server's log. What mends it is not quoted there: it is to be copied.
impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)?;
        self.remedy.as_ref().map_or(Ok(()), |remedy| write!(f, " To mend it: {remedy}"))
    }
}

/// One source of credentials.
pub(crate) trait CredentialSource: Sync + std::fmt::Debug {
    /// Its word in the configuration.
    fn name(&self) -> &'static str;
    /// One line for help and documentation.
    fn summary(&self) -> &'static str;
    /// Each session has a role of its own, whose rights can be masks.
    fn makes_roles(&self) -> bool;
    /// What is missing before sessions can be opened, in the order to mend it.
    fn preflight<'a>(&'a self, resource: &'a Resource) -> Boxed<'a, Result<Vec<Finding>, Failure>>;
    /// Makes the credential of a session. Asking twice for the same session replaces the first answer.
    fn mint<'a>(&'a self, resource: &'a Resource, request: Request) -> Boxed<'a, Result<Lease, Failure>>;
    /// Ends it: no new login, no living connection on any node, no role. May be repeated until it succeeds.
    fn revoke<'a>(&'a self, resource: &'a Resource, role: &'a str) -> Boxed<'a, Result<Revoked, Failure>>;
    /// Finds credentials whose time is over, from the database's own state alone, and ends them. Returns their roles.
    fn sweep<'a>(&'a self, resource: &'a Resource, now: Timestamp) -> Boxed<'a, Result<Vec<String>, Failure>>;
}

/// All sources.
pub(crate) const CREDENTIAL_SOURCES: &[&dyn CredentialSource] = &[&postgres_role::PostgresRole, &r#static::Static];

/// What makes a role able to use the rights of others. It may be a member of them already, without inheriting: from
/// PostgreSQL 16 on each membership says that for itself, before that the role did.
pub(crate) fn inheriting(groups: &str, member: &str, major: u32) -> String {
    if major >= 16 {
        format!("GRANT {groups} TO {member} WITH INHERIT TRUE;")
    } else {
        format!("ALTER ROLE {member} INHERIT; GRANT {groups} TO {member};")
    }
}

/// The source with this word.
pub(crate) fn source(name: &str) -> Option<&'static dyn CredentialSource> {
    CREDENTIAL_SOURCES.iter().find(|source| source.name() == name).copied()
}
