//! What `gov server` says of a database that is not ready for it, and that the SQL it says mends that.

use crate::support::postgres::{self, PASSWORD, Postgres};
use crate::support::{Sandbox, wait_until};

/// Brokers that each lack something, and one that has too much. All have the password of the tests.
const BROKERS: &str = "
    CREATE ROLE no_roles LOGIN PASSWORD 'only-for-tests';
    GRANT pg_signal_backend TO no_roles;
    CREATE ROLE no_ending LOGIN CREATEROLE PASSWORD 'only-for-tests';
    CREATE ROLE no_group LOGIN CREATEROLE PASSWORD 'only-for-tests';
    GRANT pg_signal_backend TO no_group;
    CREATE ROLE no_use LOGIN CREATEROLE NOINHERIT PASSWORD 'only-for-tests';
    GRANT pg_signal_backend TO no_use;
    GRANT gov_managed, app_ro, app_rw TO no_use WITH ADMIN OPTION;
    GRANT CREATE ON DATABASE postgres TO no_use;
    CREATE TABLE customers (id int, email text);
    GRANT SELECT ON customers TO app_ro;
    CREATE ROLE too_much LOGIN SUPERUSER PASSWORD 'only-for-tests';
    CREATE ROLE powerful SUPERUSER;
";

/// A resource for a broker, with these groups.
fn resource(sandbox: &Sandbox, server: &Postgres, broker: &str, roles: &str) -> String {
    let (port, secret) = (server.port, postgres::broker_password(&sandbox.home));
    let name = broker.replace('_', "-");
    format!("{name}=postgres://{broker}@127.0.0.1:{port}/postgres?env=dev&password-file={}{roles}", secret.display())
}

/// Starts a server for these.
fn start(sandbox: &mut Sandbox, resources: &[String]) {
    let mut arguments = vec!["--dev"];
    arguments.extend(resources.iter().flat_map(|resource| ["--resource", resource.as_str()]));
    sandbox.start_server(&arguments);
}

/// Waits until the server says this of a resource.
fn says(sandbox: &Sandbox, resource: &str, text: &str) {
    let field = format!("resource={resource}");
    wait_until(text, || sandbox.server_log().lines().any(|line| line.contains(&field) && line.contains(text)));
}

/// Runs all SQL that the server says mends a resource, as a superuser, word for word.
fn mend(sandbox: &Sandbox, server: &Postgres, resource: &str) {
    let field = format!(" resource={resource}");
    for line in sandbox.server_log().lines() {
        let said = line.split_once(&field).and_then(|(message, _)| message.split_once(" To mend it: "));
        if let Some((_, sql)) = said {
            server.run("postgres", sql);
        }
    }
}

#[test]
fn what_a_broker_lacks_is_said_with_the_sql_that_mends_it() {
    let server = Postgres::start("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n", &[]);
    server.run("postgres", BROKERS);
    let mut sandbox = Sandbox::new();
    let own = "&read-role=app_ro&write-role=app_rw";
    let resources = [
        resource(&sandbox, &server, "no_roles", own),
        resource(&sandbox, &server, "no_ending", own),
        resource(&sandbox, &server, "no_group", "&read-role=later_ro&write-role=app_rw"),
        resource(&sandbox, &server, "no_use", &format!("{own}&masking=database")),
        resource(&sandbox, &server, "too_much", "&read-role=powerful&write-role=app_rw"),
        resource(&sandbox, &server, "gov_broker", own),
    ];
    start(&mut sandbox, &resources);
    says(&sandbox, "gov-broker", "ready");
    says(&sandbox, "too-much", "The group role \"powerful\" is a superuser: nothing would stop a session.");
    says(
        &sandbox,
        "too-much",
        "The broker is a superuser. It needs far less. To mend it: CREATE ROLE gov_broker LOGIN",
    );
    let lacks = [
        ("no-roles", "The broker \"no_roles\" may not create roles.", "ALTER ROLE \"no_roles\" CREATEROLE;"),
        (
            "no-ending",
            "The broker \"no_ending\" may not end other sessions.",
            "GRANT pg_signal_backend TO \"no_ending\"",
        ),
        ("no-use", "The broker \"no_use\" may not end other sessions.", "GRANT pg_signal_backend TO \"no_use\""),
        (
            "no-group",
            "The group role \"later_ro\" does not exist.",
            "CREATE ROLE \"later_ro\" NOLOGIN; GRANT \"later_ro\" TO \"no_group\" WITH ADMIN OPTION;",
        ),
    ];
    for (name, text, sql) in lacks {
        says(&sandbox, name, &format!("not usable: {text} To mend it: "));
        says(&sandbox, name, sql);
    }

    // The same again, with what it said done.
    sandbox.stop_server();
    lacks.iter().for_each(|(name, ..)| mend(&sandbox, &server, name));
    start(&mut sandbox, &resources);
    for (name, ..) in lacks {
        says(&sandbox, name, "ready");
    }
    // Which rights it has as a member is told where views are made.
    let unseen = "Masking views cannot show `public.customers`: the broker may not read them";
    let seen =
        || sandbox.server_log().lines().any(|line| line.contains("resource=no-use") && line.contains("views changed"));
    wait_until("views, or why not", || seen() || sandbox.server_log().contains(unseen));
    if !seen() {
        sandbox.stop_server();
        mend(&sandbox, &server, "no-use");
        start(&mut sandbox, &resources);
        says(&sandbox, "no-use", "masking views changed");
    }
}

#[test]
fn a_database_that_lets_anybody_in_is_called_that() {
    let server = Postgres::start("local all all trust\nhost all all 127.0.0.1/32 trust\n", &[]);
    let mut sandbox = Sandbox::new();
    let open = resource(&sandbox, &server, "gov_broker", "&read-role=app_ro&write-role=app_rw");
    start(&mut sandbox, &[open]);
    says(&sandbox, "gov-broker", "The database lets `gov_broker` in without asking for a password.");
    assert!(!sandbox.server_log().contains(PASSWORD));
}
