//! The command line of `gov server --dev` → [`Config`]: a server to try gov out with, in a minute.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::check::database_tls;
use super::secret::{SecretError, SecretSource, read_public};
use super::sections::DatabaseTlsWord;
use super::upstream::{self, BadUrl};
use super::values::{BadWord, LabelName, UserName};
use super::{
    AccessRule, ApprovalRules, Config, CredentialKind, Durability, IdentitySource, KEEP_DEFAULT, MaskingWish,
    PORT_DEFAULT, Reach, Resource, Roles, TTL_DEFAULT, TlsIdentity, User, WAIT_DEFAULT, Who,
};
use crate::domain::{Access, BadName, Labels, ResourceName};
use crate::engine::{Overrules, PolicySource};
use crate::server::nearest::nearest;

/// Why an argument was refused. Never repeats a URL, which may hold a password.
#[derive(Debug, Error)]
pub(crate) enum BadArgument {
    #[error("write NAME=URL, for example `prod-db=postgres://admin@localhost/app?env=prod`")]
    NotAResource,
    #[error("{0}")]
    Name(#[from] BadName),
    #[error("{0}; {hint}", hint = .0.hint())]
    Url(#[from] BadUrl),
    #[error("`{typed}` is neither an option nor a label: did you mean `{meant}`?")]
    Misspelt { typed: String, meant: &'static str },
    #[error("`{name}={value}`: {rule}")]
    BadOption { name: String, value: String, rule: &'static str },
    #[error("{0}")]
    Label(#[from] BadWord),
    #[error("{0}")]
    Secret(#[from] SecretError),
    #[error("write NAME:GROUP,GROUP, for example `erin:engineering,dba`")]
    NotAUser,
    #[error("`{0}` is not a user name: {1}")]
    UserName(String, BadWord),
}

/// What may stand behind the question mark of a resource's URL. Everything else is a label.
const OPTIONS: [&str; 9] = [
    "credential",
    "masking",
    "owner-role",
    "password-env",
    "password-file",
    "read-role",
    "sslmode",
    "sslrootcert",
    "write-role",
];

/// The configuration of `gov server --dev`: loopback, the built-in issuer with four users, no resources yet.
///
/// `engineering` may read everything, `dba` may also write, `security` may end sessions of others.
pub(crate) fn development(data: PathBuf) -> Config {
    let rule = |group: &str, access| AccessRule {
        approval: false,
        break_glass: None,
        who: Who { groups: vec![group.to_owned()], ..Who::default() },
        reach: Reach::default(),
        access,
        purposes: Vec::new(),
        ttl: TTL_DEFAULT,
    };
    Config {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, PORT_DEFAULT)),
        url: None,
        tls: TlsIdentity::Loopback,
        data,
        key: None,
        identity: IdentitySource::BuiltIn(users()),
        durability: Durability::Synced,
        witnesses: Vec::new(),
        raw_texts: false,
        resources: BTreeMap::new(),
        purposes: BTreeMap::new(),
        require_purpose: Vec::new(),
        agents: BTreeMap::new(),
        workloads: BTreeMap::new(),
        access: vec![rule("engineering", Access::Read), rule("dba", Access::Write)],
        operators: vec!["security".to_owned()],
        auditors: vec!["security".to_owned()],
        approvals: ApprovalRules {
            approvers: vec!["approver".to_owned()],
            quorum: 1,
            wait: WAIT_DEFAULT,
            keep: KEEP_DEFAULT,
            webhooks: Vec::new(),
        },
        policy: PolicySource::default(),
        masks: Overrules::default(),
    }
}

/// Whom the built-in issuer knows where nobody is configured.
pub(super) fn users() -> BTreeMap<String, User> {
    let user = |name: &str, shown: &str, groups: &[&str]| {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        (name.to_owned(), User { name: shown.to_owned(), email: Some(format!("{name}@example.com")), groups })
    };
    BTreeMap::from([
        user("alice", "Alice Ames", &["engineering"]),
        user("bob", "Bob Berg", &["dba", "approver"]),
        user("carol", "Carol Cole", &["support"]),
        user("dave", "Dave Dunn", &["security", "approver"]),
    ])
}

/// `NAME=postgres://user@host/database?label=value`.
pub(crate) fn resource(text: &str) -> Result<(ResourceName, Resource), BadArgument> {
    let (name, url) = text.split_once('=').ok_or(BadArgument::NotAResource)?;
    let name: ResourceName = name.parse()?;
    let found = upstream::parse(url)?;
    let mut options = Options::default();
    for (name, value) in found.options {
        options.take(name, value)?;
    }
    let password = match &options.password {
        None => None,
        Some(source) => Some(source.read(Path::new(""))?),
    };
    let resource = Resource {
        tls: database_tls(options.tls, options.authority, &found.host),
        protocol: found.protocol,
        host: found.host,
        port: found.port,
        user: found.user,
        password,
        database: found.database,
        labels: options.labels,
        credential: options.credential.unwrap_or(CredentialKind::PostgresRole),
        roles: options.roles,
        masking: options.masking,
    };
    Ok((name, resource))
}

#[derive(Default)]
struct Options {
    password: Option<SecretSource>,
    tls: Option<DatabaseTlsWord>,
    authority: Option<String>,
    labels: Labels,
    credential: Option<CredentialKind>,
    roles: Roles,
    masking: MaskingWish,
}

impl Options {
    fn take(&mut self, name: String, value: String) -> Result<(), BadArgument> {
        let bad = |rule| BadArgument::BadOption { name: name.clone(), value: value.clone(), rule };
        match name.as_str() {
            "password-file" => self.password = Some(SecretSource::File(PathBuf::from(value))),
            "password-env" => self.password = Some(SecretSource::Env(value)),
            "read-role" => self.roles.read = Some(value),
            "write-role" => self.roles.write = Some(value),
            "owner-role" => self.roles.owner = Some(value),
            "sslrootcert" => self.authority = Some(read_public(PathBuf::from(value))?),
            "sslmode" => {
                self.tls = Some(match value.as_str() {
                    "disable" => DatabaseTlsWord::Disable,
                    "verify-full" => DatabaseTlsWord::VerifyFull,
                    _ => return Err(bad("use `verify-full` or `disable`; others do not check the name")),
                });
            }
            "credential" => {
                self.credential = Some(match value.as_str() {
                    "postgres-role" => CredentialKind::PostgresRole,
                    "static" => CredentialKind::Static,
                    _ => return Err(bad("use `postgres-role` or `static`")),
                });
            }
            "masking" => {
                self.masking = match value.as_str() {
                    "database" => MaskingWish::Database,
                    "wire" => MaskingWish::Wire,
                    "auto" => MaskingWish::Auto,
                    _ => return Err(bad("use `database`, `wire` or `auto`")),
                };
            }
            label => {
                // A label that is nearly an option is an option misspelt, and a guard that is off.
                if let Some(meant) = nearest(label, OPTIONS) {
                    return Err(BadArgument::Misspelt { typed: name, meant });
                }
                let label: LabelName = label.parse()?;
                self.labels.insert(label.0, value);
            }
        }
        Ok(())
    }
}

/// `NAME:GROUP,GROUP`.
pub(crate) fn user(text: &str) -> Result<(String, User), BadArgument> {
    let (name, groups) = text.split_once(':').ok_or(BadArgument::NotAUser)?;
    let checked: UserName = name.parse().map_err(|rule| BadArgument::UserName(name.to_owned(), rule))?;
    let groups = groups.split(',').map(str::trim).filter(|group| !group.is_empty()).map(str::to_owned).collect();
    let email = Some(format!("{name}@example.com"));
    Ok((checked.0.clone(), User { name: checked.0, email, groups }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources() {
        let (name, found) = resource("prod-db=postgres://admin@localhost/app?env=prod&read-role=app_read").unwrap();
        assert_eq!((name.as_str(), found.user.as_str(), found.database.as_str()), ("prod-db", "admin", "app"));
        assert_eq!(found.labels, Labels::from([("env".to_owned(), "prod".to_owned())]));
        assert_eq!(found.roles.read.as_deref(), Some("app_read"));
        assert!(matches!(found.tls, super::super::DatabaseTls::Off), "a database on this machine");
        let (_, far) = resource("a=postgres://admin@db.example/app").unwrap();
        assert!(matches!(far.tls, super::super::DatabaseTls::Verified(_)), "a database elsewhere");
        for (text, expect) in [
            ("prod-db", "write NAME=URL, for example `prod-db=postgres://admin@localhost/app?env=prod`"),
            (
                "Prod=postgres://u@h/d",
                "`Prod` is not a resource name: use 1 to 63 of a-z, 0-9, `-`, `_` and `.`, starting with a letter or a digit",
            ),
            (
                "a=postgres://u:hunter2@h/d",
                "a password must not stand in a URL; give the password as a file or an environment variable",
            ),
            ("a=postgres://u@h/d?sslmod=disable", "`sslmod` is neither an option nor a label: did you mean `sslmode`?"),
            (
                "a=postgres://u@h/d?sslmode=require",
                "`sslmode=require`: use `verify-full` or `disable`; others do not check the name",
            ),
            ("a=postgres://u@h/d?password-file=/no/such", "`/no/such` cannot be used: it does not exist"),
            ("a=postgres://u@h/d?password-env=GOV_NO_SUCH", "the environment variable `GOV_NO_SUCH` is not set"),
        ] {
            assert_eq!(resource(text).unwrap_err().to_string(), expect);
        }
    }

    #[test]
    fn users_as_arguments() {
        let (name, found) = user("erin:engineering, dba").unwrap();
        assert_eq!((name.as_str(), found.groups), ("erin", vec!["engineering".to_owned(), "dba".to_owned()]));
        assert_eq!(user("erin:").unwrap().1.groups, [""; 0]);
        assert!(matches!(user("erin"), Err(BadArgument::NotAUser)));
        assert!(user("E rin:a").is_err());
    }
}
