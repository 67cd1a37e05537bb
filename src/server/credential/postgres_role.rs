//! One database role per session, with a password nobody but the gateway has and privileges only through the
//! configured group roles.
//!
//! PostgreSQL ends no session when its credential ends: not at `VALID UNTIL`, not with `NOLOGIN`, not with `DROP ROLE`.
//! So the end of a session here is: no new login, every backend terminated on every node, then the role dropped. Facts
//! and timings behind the statements: measured on 15.18 and 18.4.

use std::num::NonZeroU32;

use tracing::warn;

use super::{Boxed, CredentialSource, Finding, Lease, Request, Revoked, inheriting};
use crate::domain::{Access, Duration, Failure, Kind, Secret, Timestamp};
use crate::engine::{literal, quoted};
use crate::runtime::random;
use crate::server::resource::Resource;
use crate::wire::postgres;

/// Marks the roles this file makes, so that they can be found without any other memory of them.
const TAG: &str = "gov_managed";

/// What the names of those roles begin with.
const PREFIX: &str = "gov_s_";

/// Iterations of the verifier. The password has 256 random bits, so stretching it adds nothing, and the server, which
/// tests every new verifier against the empty password, answers a hundred times sooner.
const ITERATIONS: NonZeroU32 = NonZeroU32::MIN;

/// A role outlives its session's end by this much, in case the gateway does not.
const GRACE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct PostgresRole;

impl CredentialSource for PostgresRole {
    fn name(&self) -> &'static str {
        "postgres-role"
    }

    fn summary(&self) -> &'static str {
        "a PostgreSQL role of its own for each session (default)"
    }

    fn makes_roles(&self) -> bool {
        true
    }

    fn preflight<'a>(&'a self, resource: &'a Resource) -> Boxed<'a, Result<Vec<Finding>, Failure>> {
        Box::pin(preflight(resource))
    }

    fn mint<'a>(&'a self, resource: &'a Resource, request: Request) -> Boxed<'a, Result<Lease, Failure>> {
        Box::pin(mint(resource, request))
    }

    fn revoke<'a>(&'a self, resource: &'a Resource, role: &'a str) -> Boxed<'a, Result<Revoked, Failure>> {
        Box::pin(revoke(resource, role))
    }

    fn sweep<'a>(&'a self, resource: &'a Resource, now: Timestamp) -> Boxed<'a, Result<Vec<String>, Failure>> {
        Box::pin(sweep(resource, now))
    }
}

async fn mint(resource: &Resource, request: Request) -> Result<Lease, Failure> {
    let role = format!("{PREFIX}{}", request.session);
    let password = random::password()?;
    let verifier = postgres::verifier(password.expose().as_bytes(), &random::bytes::<16>()?, ITERATIONS);
    let sql = mint_sql(&role, &verifier.to_postgres(), resource, &request, resource.broker().major_version().await?);
    resource.broker().rows(&sql).await?;
    let acts_as = acts_as(resource, request.access).cloned();
    Ok(Lease { role, password: Some(Secret::new(password.expose().clone())), acts_as })
}

/// The group that write sessions act as, so that what they create belongs to it. Predefined roles own nothing.
fn acts_as(resource: &Resource, access: Access) -> Option<&String> {
    let mut groups = resource.roles.owner.iter().chain(&resource.roles.write);
    groups.find(|group| !group.starts_with("pg_")).filter(|_| access == Access::Write)
}

/// The statements that make a role: one text, so one implicit transaction. A lost commit is a failed login, never an
/// orphan, so the commit is not waited for.
fn mint_sql(role: &str, verifier: &str, resource: &Resource, request: &Request, major: u32) -> String {
    let seen = request.seen.as_ref().filter(|_| request.access == Access::Read);
    let groups = seen.map_or_else(|| resource.roles.of(request.access), |seen| std::slice::from_ref(&seen.reader));
    let quoted_role = quoted(role);
    let limit = request.connections_max;
    let until = request.expires_at.after(GRACE);
    let group_list: Vec<String> = groups.iter().map(|group| quoted(group)).collect();
    // From 16 on a membership can be without the right to SET ROLE, which otherwise outlives a REVOKE.
    let unswitchable = major >= 16 && request.access == Access::Read;
    let memberships = if unswitchable || group_list.is_empty() {
        quoted(TAG)
    } else {
        format!("{}, {}", quoted(TAG), group_list.join(", "))
    };
    let mut sql = format!(
        "SET LOCAL synchronous_commit = off; \
         CREATE ROLE {quoted_role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS INHERIT \
         CONNECTION LIMIT {limit} PASSWORD {} VALID UNTIL '{until}' IN ROLE {memberships};",
        literal(verifier)
    );
    if unswitchable {
        for group in &group_list {
            sql.push_str(&format!(" GRANT {group} TO {quoted_role} WITH INHERIT TRUE, SET FALSE;"));
        }
    }
    if let Some(time) = request.statement_time {
        // 0 means that there is no limit; LEAST ignores NULL.
        sql.push_str(&format!(
            " SELECT pg_catalog.set_config(name, LEAST({}, NULLIF(reset_val::bigint, 0))::text, true) \
             FROM pg_catalog.pg_settings WHERE name = 'statement_timeout'; \
             ALTER ROLE {quoted_role} SET statement_timeout FROM CURRENT;",
            time.as_millis()
        ));
    }
    match request.access {
        // Comfort, not a wall: a session can undo it. The wall is that the group may not write.
        Access::Read => {
            sql.push_str(&format!(" ALTER ROLE {quoted_role} SET default_transaction_read_only = on;"));
            if let Some(seen) = seen {
                let path: Vec<String> = seen.search_path.iter().map(|schema| quoted(schema)).collect();
                sql.push_str(&format!(" ALTER ROLE {quoted_role} SET search_path = {};", path.join(", ")));
            }
        }
        Access::Write => {
            if let Some(owner) = acts_as(resource, request.access) {
                if !groups.contains(owner) {
                    sql.push_str(&format!(" GRANT {} TO {quoted_role};", quoted(owner)));
                }
                sql.push_str(&format!(" ALTER ROLE {quoted_role} SET role = {};", literal(owner)));
            }
        }
    }
    sql
}

async fn revoke(resource: &Resource, role: &str) -> Result<Revoked, Failure> {
    let name = quoted(role);
    let oid = role_oid(resource, role).await?;
    let Some(oid) = oid else { return Ok(Revoked { ended: 0, dropped: true }) };

    // 1. No new login. Its own transaction: it must be visible before anybody is counted.
    resource.broker().rows(&format!("ALTER ROLE {name} NOLOGIN")).await?;

    // 2. End what lives, on every node. A node that cannot be asked keeps the role from being forgotten.
    let mut ended = 0;
    let mut unreached = None;
    for node in resource.nodes() {
        match end_backends(node, &oid).await {
            Ok(count) => ended += count,
            Err(failure) => unreached = Some(failure),
        }
    }
    if let Some(failure) = unreached {
        return Err(failure);
    }

    // 3. Drop it; where it owns something, hand that over first.
    let dropped = match resource.broker().ask(&format!("DROP ROLE {name}")).await {
        Ok(_) => true,
        Err(error) if error.sqlstate() == Some(*b"2BP01") => release_owned(resource, role).await?,
        Err(error) => return Err(resource.broker().failure(&error)),
    };
    Ok(Revoked { ended, dropped })
}

async fn role_oid(resource: &Resource, role: &str) -> Result<Option<String>, Failure> {
    let sql = format!("SELECT oid FROM pg_catalog.pg_roles WHERE rolname = {}", literal(role));
    let rows = resource.broker().rows(&sql).await?;
    Ok(rows.first().and_then(|row| row.text(0)).map(str::to_owned))
}

/// Terminates every backend of the role and waits until none is left. The form of `pg_terminate_backend` that waits
/// exists from PostgreSQL 14 on; asking again until there is nothing to end works everywhere.
async fn end_backends(node: &crate::server::resource::Broker, oid: &str) -> Result<u32, Failure> {
    /// 50 × 100 ms: a backend that blocks in a write to a slow reader ends within 115 ms (measured).
    const ATTEMPTS: u32 = 50;
    let sql =
        format!("SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE usesysid = {oid}");
    let mut first = None;
    for _ in 0..ATTEMPTS {
        let count = u32::try_from(node.rows(&sql).await?.len()).unwrap_or(u32::MAX);
        let ended = *first.get_or_insert(count);
        if count == 0 {
            return Ok(ended);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err(Failure::new(Kind::Database, "a connection could not be ended")
        .detail("The database was told to end it several times and did not.")
        .hint("the gateway will try again; look at pg_stat_activity for the role's backends"))
}

/// Gives what the role owns, in the session's database, to the role's first group, and drops the role.
async fn release_owned(resource: &Resource, role: &str) -> Result<bool, Failure> {
    let name = quoted(role);
    let mut groups = resource.roles.owner.iter().chain(&resource.roles.write);
    let heir = groups.find(|group| !group.starts_with("pg_"));
    let heir = heir.map_or_else(|| quoted(&resource.broker().login().user), |group| quoted(group));
    // Dropping what one owns takes membership in the owner (15 and 18 alike). Nothing that a masking view shows goes: the
    // views need not make way for it.
    let sql = format!(
        "SET LOCAL gov.makes_masks = on; GRANT {name} TO CURRENT_USER; REASSIGN OWNED BY {name} TO {heir}; DROP OWNED BY {name}; DROP ROLE {name}"
    );
    match resource.broker().ask(&sql).await {
        Ok(_) => Ok(true),
        Err(error) => {
            // It owns something in another database, which only a connection there can release. It cannot log in.
            warn!(resource = %resource.name, role, error = %error, "a session's role could not be dropped yet");
            Ok(false)
        }
    }
}

async fn sweep(resource: &Resource, now: Timestamp) -> Result<Vec<String>, Failure> {
    let sql = format!(
        "SELECT r.rolname FROM pg_catalog.pg_roles r \
         JOIN pg_catalog.pg_auth_members m ON m.member = r.oid JOIN pg_catalog.pg_roles g ON g.oid = m.roleid \
         WHERE g.rolname = '{TAG}' AND r.rolname ~ '^{PREFIX}' AND (r.rolvaliduntil < '{now}' OR NOT r.rolcanlogin)"
    );
    let mut gone = Vec::new();
    for row in resource.broker().rows(&sql).await? {
        let Some(role) = row.text(0) else { continue };
        match revoke(resource, role).await {
            Ok(Revoked { dropped: true, .. }) => gone.push(role.to_owned()),
            Ok(Revoked { dropped: false, .. }) => {}
            Err(failure) => warn!(resource = %resource.name, role, error = %failure, "sweeping failed"),
        }
    }
    // Ghosts: the role is gone, a connection that logged in just before is not.
    let ghosts = "SELECT pg_catalog.pg_terminate_backend(a.pid) FROM pg_catalog.pg_stat_activity a \
                  WHERE a.usesysid IS NOT NULL AND a.backend_type = 'client backend' \
                  AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_roles r WHERE r.oid = a.usesysid)";
    for node in resource.nodes() {
        node.rows(ghosts).await?;
    }
    Ok(gone)
}

async fn preflight(resource: &Resource) -> Result<Vec<Finding>, Failure> {
    let broker = resource.broker();
    let mut findings = Vec::new();
    let me = broker.rows(
        "SELECT r.rolsuper, r.rolcreaterole, current_user, pg_catalog.pg_is_in_recovery(), \
         pg_catalog.pg_has_role(current_user, 'pg_signal_backend', 'USAGE') \
         FROM pg_catalog.pg_roles r WHERE r.rolname = current_user",
    );
    let me = me.await?;
    let Some(me) = me.first() else {
        return Err(Failure::new(Kind::Database, "the broker's own role cannot be seen"));
    };
    let (superuser, create_role) = (me.is_true(0), me.is_true(1));
    let user = quoted(me.text(2).unwrap_or_default());
    let major = broker.major_version().await?;
    let mut fatal = |text: String, remedy: Option<String>| findings.push(Finding { fatal: true, text, remedy });

    if me.is_true(3) {
        fatal("This is a replica: roles can only be made on the primary.".to_owned(), None);
    }
    if major < 13 {
        fatal(format!("This server is PostgreSQL {major}; gov supports 13 and later."), None);
    }
    if !superuser && !create_role {
        fatal(format!("The broker {user} may not create roles."), Some(format!("ALTER ROLE {user} CREATEROLE;")));
    }
    if !superuser && !me.is_true(4) {
        fatal(
            format!("The broker {user} may not end other sessions."),
            Some(inheriting("pg_signal_backend", &user, major)),
        );
    }
    let tag = "SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = 'gov_managed'";
    if broker.rows(tag).await?.is_empty() && broker.ask(&format!("CREATE ROLE {TAG} NOLOGIN")).await.is_err() {
        fatal(
            format!("The role {TAG}, which marks the roles gov makes, does not exist."),
            Some(format!("CREATE ROLE {TAG} NOLOGIN; GRANT {TAG} TO {user} WITH ADMIN OPTION;")),
        );
    }
    let groups = std::iter::once(TAG.to_owned()).chain(resource.roles.read.iter().cloned());
    let mut seen = Vec::new();
    for group in groups.chain(resource.roles.write.iter().cloned()) {
        if seen.contains(&group) {
            continue;
        }
        let sql = format!(
            "SELECT r.rolsuper, EXISTS (SELECT 1 FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles me \
             ON me.oid = m.member WHERE m.roleid = r.oid AND me.rolname = current_user AND m.admin_option) \
             FROM pg_catalog.pg_roles r WHERE r.rolname = {}",
            literal(&group)
        );
        let name = quoted(&group);
        match broker.rows(&sql).await?.first() {
            None => fatal(
                format!("The group role {name} does not exist."),
                Some(format!(
                    "CREATE ROLE {name} NOLOGIN; GRANT {name} TO {user} WITH ADMIN OPTION; -- then grant it what \
                     sessions may do"
                )),
            ),
            Some(row) if row.is_true(0) => {
                fatal(format!("The group role {name} is a superuser: nothing would stop a session."), None);
            }
            // Before 16, CREATEROLE was enough to hand out any role.
            Some(row) if !superuser && major >= 16 && !row.is_true(1) => fatal(
                format!("The broker {user} may not hand out the group role {name}."),
                Some(format!("GRANT {name} TO {user} WITH ADMIN OPTION;")),
            ),
            Some(_) => {}
        }
        seen.push(group);
    }
    findings.extend(audit(resource).await);
    findings.extend(warnings(resource, superuser, major));
    Ok(findings)
}

/// Whether the audit inside transactions can be on. Without it nothing that writes is committed: that is safe, and of
/// no use.
async fn audit(resource: &Resource) -> Option<Finding> {
    let broker = resource.broker();
    let group = quoted(resource.roles.write.first()?);
    let ask = format!("BEGIN; SET LOCAL ROLE {group}; {}; ROLLBACK", crate::session::AUDIT);
    let asked = broker.ask(&ask).await;
    if asked.is_err() {
        // A failed text leaves its transaction open.
        drop(broker.ask("ROLLBACK").await);
    }
    let (text, remedy) = match asked {
        Ok(rows) if rows.iter().any(|row| row.text(3) == Some("on")) => return None,
        Ok(_) => (
            "The server does not count changed rows (`track_counts` is off): no write can be audited, so none will be \
             committed."
                .to_owned(),
            Some("ALTER SYSTEM SET track_counts = on; SELECT pg_catalog.pg_reload_conf();".to_owned()),
        ),
        // The broker may be forbidden to act as the group; then the first write shows.
        Err(error) if error.sqlstate() == Some(*b"42501") => {
            (format!("It could not be tried whether sessions of {group} may ask what they changed."), None)
        }
        Err(_) => (
            format!(
                "Sessions of {group} cannot ask what they changed: no write can be audited, so none will be committed."
            ),
            None,
        ),
    };
    Some(Finding { fatal: false, text, remedy })
}

/// What works, but less safely than it could.
fn warnings(resource: &Resource, superuser: bool, major: u32) -> Vec<Finding> {
    let mut warnings = Vec::new();
    let mut warn = |text: &str, remedy: Option<&str>| {
        warnings.push(Finding { fatal: false, text: text.to_owned(), remedy: remedy.map(str::to_owned) });
    };
    if superuser {
        warn(
            "The broker is a superuser. It needs far less.",
            Some(
                "CREATE ROLE gov_broker LOGIN CREATEROLE PASSWORD '…'; GRANT pg_signal_backend TO gov_broker; \
                 GRANT gov_managed, app_ro, app_rw TO gov_broker WITH ADMIN OPTION;",
            ),
        );
    } else if major < 16 {
        warn("Before PostgreSQL 16 a role that may create roles can make itself nearly a superuser.", None);
    }
    if resource.roles == crate::server::resource::Roles::default() {
        warn(
            "Sessions get the predefined roles pg_read_all_data and pg_write_all_data: every table of the database.",
            Some("name group roles of your own under `roles:` of the resource"),
        );
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SessionId;
    use crate::runtime::database::{Address, Login};
    use crate::server::resource::Roles;

    fn resource(roles: Roles) -> Resource {
        let address = Address { host: "/nowhere".into(), port: 1, tls: None };
        let login = Login { user: "gov_broker".into(), database: "app".into(), password: None, parameters: vec![] };
        Resource::new("db".parse().unwrap(), Default::default(), address, login, roles, &PostgresRole, vec![])
    }

    fn sql(access: Access, major: u32) -> String {
        let own = Roles { read: vec!["app_ro".into()], write: vec!["app_rw".into()], owner: None };
        let request = Request {
            session: SessionId::new(Timestamp::from_millis(0), [0; 10]),
            access,
            expires_at: Timestamp::from_millis(0),
            connections_max: 4,
            statement_time: Some(Duration::from_secs(2)).filter(|_| access == Access::Write),
            seen: None,
        };
        mint_sql("gov_s_x", "SCRAM-SHA-256$1:s$a:b", &resource(own), &request, major)
    }

    #[test]
    fn the_role_gets_its_group_and_nothing_else() {
        let read_15 = sql(Access::Read, 15);
        assert!(read_15.contains(r#"IN ROLE "gov_managed", "app_ro";"#), "{read_15}");
        assert!(read_15.contains("VALID UNTIL '1970-01-01T00:01:00.000Z'") && read_15.contains("CONNECTION LIMIT 4"));
        let read_16 = sql(Access::Read, 16);
        assert!(read_16.contains(r#"IN ROLE "gov_managed"; GRANT "app_ro" TO "gov_s_x" WITH INHERIT TRUE, SET FALSE"#));
        let write = sql(Access::Write, 16);
        assert!(write.contains(r#"IN ROLE "gov_managed", "app_rw";"#) && write.contains("SET role = 'app_rw'"));
        assert!(!write.contains("read_only"));
        assert!(write.contains("LEAST(2000, ") && !read_15.contains("statement_timeout"));
    }
}
