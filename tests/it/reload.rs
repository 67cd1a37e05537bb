//! A configuration that changes while sessions are open: what it allows now is in force within a second, what it no
//! longer allows is withdrawn, and a file that cannot be used changes nothing.

use std::time::{Duration, Instant};

use crate::support::wire::Wire;
use crate::support::{Sandbox, postgres};

/// How long a change may take on a busy machine. On an idle one it is a third of a second.
const PATIENCE: Duration = Duration::from_secs(60);

fn config(policy: &str, access: &str) -> String {
    let (port, name) = (postgres::server().port, "reloaded");
    format!(
        "server: {{listen: '127.0.0.1:0', data: data}}\nresources:\n  prod-db: {{url: \
         'postgres://gov_broker@127.0.0.1:{port}/{name}', password: {{file: broker.password}}, labels: {{env: prod}}, \
         roles: {{read: app_ro, write: app_rw}}}}\naccess:\n  - {{who: {{group: dba}}, labels: {{env: prod}}, access: \
         {access}}}\npolicy:\n  {policy}\n"
    )
}

/// Asks until the answer is this rule's, or the database's own.
fn until(wire: &mut Wire, sql: &str, rule: Option<&str>) {
    let start = Instant::now();
    loop {
        let answer = wire.simple(sql.as_bytes());
        let found = answer.errors.first().and_then(|error| error.rule());
        if found == rule && !answer.closed {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "{rule:?} is not in force: {answer:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn changes_reach_live_sessions() {
    postgres::server().copy("template_gov", "reloaded");
    let mut sandbox = Sandbox::new();
    sandbox.write_secret("broker.password", postgres::PASSWORD);
    let file = sandbox.write("gov.yaml", &config("{}", "write"));
    sandbox.start_server(&["--dev", "--config", file.to_str().unwrap()]);
    sandbox.log_in("bob");
    let connected = sandbox.connect(&["prod-db", "--write"]).unwrap();
    let mut wire = connected.wire(&[]).unwrap();
    let update = "UPDATE orders SET status = 'open' WHERE id = 1";
    until(&mut wire, update, None);
    // What was prepared before is decided again.
    assert_eq!(wire.simple(b"PREPARE p AS UPDATE orders SET status = 'open' WHERE id = 2").tags, ["PREPARE"]);

    let case = "cases: [{name: freeze, if: {operation: update}, then: deny, reason: nothing changes today}]";
    sandbox.write("gov.yaml", &config(case, "write"));
    until(&mut wire, update, Some("case"));
    let refused = wire.simple(b"EXECUTE p");
    assert_eq!(refused.errors[0].message, "nothing changes today");
    // A session whose client has known no other policy.
    let frozen = sandbox.connect(&["prod-db", "--write"]).unwrap();
    let mut late = frozen.wire(&[]).unwrap();
    until(&mut late, update, Some("case"));

    // Broken: everything stays as it is, and the server says so.
    sandbox.write("gov.yaml", &config("rules: {destructiv_ddl: allow}", "write"));
    let start = Instant::now();
    while !sandbox.server_log().contains("stays in force") {
        assert!(start.elapsed() < PATIENCE, "{}", sandbox.server_log());
        std::thread::sleep(Duration::from_millis(50));
    }
    until(&mut wire, update, Some("case"));

    sandbox.write("gov.yaml", &config("{}", "write"));
    until(&mut wire, update, None);
    // Its own client would still refuse, did it not follow.
    until(&mut late, update, None);

    // Less access than the session has: it ends, with a reason.
    sandbox.write("gov.yaml", &config("{}", "read"));
    let start = Instant::now();
    let last = loop {
        let answer = wire.simple(update.as_bytes());
        if answer.closed {
            break answer;
        }
        assert!(start.elapsed() < PATIENCE, "the session goes on: {answer:?}");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(last.errors[0].sqlstate, "57P01", "{last:?}");
    assert!(last.errors[0].message.contains("withdrawn"), "{last:?}");
    let refused = connected.wire(&[]).unwrap_err();
    assert!(refused.errors[0].message.contains("withdrawn"), "{refused:?}");
    assert_eq!(sandbox.gov(["connect", "prod-db", "--write", "--", "true"]).code, 3);
    sandbox.gov(["connect", "prod-db", "--", "true"]).ok();
}

/// What people say about columns, and who decides, counts at once too; what cannot is named.
#[test]
fn masks_and_approvers_change_while_the_server_runs() {
    postgres::server().copy("template_gov", "reloaded_masks");
    let mut sandbox = Sandbox::new();
    sandbox.write_secret("broker.password", postgres::PASSWORD);
    let written = |more: &str| config("{}", "write").replace("/reloaded", "/reloaded_masks") + more;
    let file = sandbox.write("gov.yaml", &written("approvals: {approvers: [juniors]}\n"));
    sandbox.start_server(&["--dev", "--config", file.to_str().unwrap()]);
    sandbox.log_in("bob");
    let connected = sandbox.connect(&["prod-db", "--write"]).unwrap();
    let mut wire = connected.wire(&[]).unwrap();
    let mut country = || wire.simple(b"SELECT country FROM customers WHERE id = 1").rows[0][0].clone().unwrap();
    let clear = country();
    let held = || sandbox.gov(["exec", "prod-db", "--write", "--no-wait", "-c", "ALTER TABLE orders ADD x int"]).stderr;
    assert!(held().contains("juniors"));

    let masks = "masks: {public.customers.country: secret}\n";
    sandbox.write(
        "gov.yaml",
        &written(&format!("approvals: {{approvers: [seniors]}}\naudit: {{raw_sql: encrypted}}\n{masks}")),
    );
    let start = Instant::now();
    while country() == clear {
        assert!(start.elapsed() < PATIENCE, "it is not masked: {}", sandbox.server_log());
        std::thread::sleep(Duration::from_millis(50));
    }
    let asked = held();
    assert!(asked.contains("seniors") && !asked.contains("juniors"), "{asked}");
    let log = sandbox.server_log();
    let named = log.lines().find(|line| line.contains("from the next start of the server on")).unwrap();
    assert!(named.contains("section=\"audit\""), "{named}");

    sandbox.write("gov.yaml", &written(""));
    let start = Instant::now();
    while country() != clear {
        assert!(start.elapsed() < PATIENCE, "it stays masked: {}", sandbox.server_log());
        std::thread::sleep(Duration::from_millis(50));
    }
}
