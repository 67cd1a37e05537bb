//! Processes that are killed, under load: nothing that was acknowledged is lost, nothing runs unrecorded, nothing is
//! recorded twice. Each test prints attempts, survived, lost.
//!
//! `GOV_FAULT_ROUNDS` says how often something is killed; 20 times when it is not set, 200 for a thorough run.

use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::{Sandbox, postgres};

fn rounds() -> u32 {
    std::env::var("GOV_FAULT_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(20)
}

/// Statements one client would run if it were let.
const STATEMENTS: u32 = 2000;

/// A server at a port of its own, which it has again when it is started again.
struct Stage {
    sandbox: Sandbox,
    listen: String,
    resource: String,
    database: String,
}

impl Stage {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let database = postgres::server().database();
        postgres::server().run(&database.name, "CREATE TABLE marks (n int); GRANT SELECT, INSERT ON marks TO app_rw");
        let resource = database.resource("dev-db", &sandbox.home, "env=dev");
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        sandbox.write("load.sql", &"insert into marks values (1);\n".repeat(STATEMENTS.try_into().unwrap()));
        let mut stage = Self { sandbox, listen: format!("127.0.0.1:{port}"), resource, database: database.name };
        stage.start();
        stage.sandbox.log_in("bob");
        stage
    }

    fn start(&mut self) {
        self.sandbox.start_server_at(&self.listen, &["--dev", "--resource", &self.resource]);
    }

    /// A client that inserts one row after the other.
    fn load(&self) -> Child {
        let mut command = self.sandbox.command(["exec", "dev-db", "--write", "-f", "load.sql"]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    fn rows(&self) -> u64 {
        postgres::server().run(&self.database, "SELECT count(*) FROM marks").parse().unwrap()
    }

    /// Waits until the load has begun to arrive, and some time more, which differs from round to round.
    fn underway(&self, before: u64, round: u32) {
        for _ in 0..6000 {
            if self.rows() > before {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        std::thread::sleep(Duration::from_millis(u64::from(round * 7 % 50)));
    }

    /// What an operator finds in the whole log, once everything has come in.
    fn verified(&self) -> Value {
        let mut report = Value::Null;
        for _ in 0..100 {
            // Each process sends for a while what the dead have left.
            self.sandbox.log_in("bob");
            self.sandbox.gov(["exec", "dev-db", "-c", "select 1"]).ok();
            self.sandbox.log_in("dave");
            let ran = self.sandbox.gov(["audit", "verify", "--json"]);
            report = ran.json();
            assert_eq!(ran.code, 0, "{report:#}");
            if report["unmatched"] == 0 {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        report
    }
}

#[test]
fn a_gateway_that_is_killed_loses_nothing() {
    let mut stage = Stage::new();
    let rounds = rounds();
    for round in 0..rounds {
        let before = stage.rows();
        let mut client = stage.load();
        stage.underway(before, round);
        stage.sandbox.kill_server();
        client.kill().unwrap();
        client.wait().unwrap();
        stage.start();
    }
    let (rows, report) = (stage.rows(), stage.verified());
    // What ran is what both saw end, and what nobody saw end.
    let recorded = report["matched"].as_u64().unwrap() + report["unknown"].as_u64().unwrap();
    println!(
        "gateway killed: {rounds} attempts, {rows} rows written, {recorded} recorded, lost {}",
        rows.saturating_sub(recorded)
    );
    assert!(recorded >= rows && rows > 0, "{report:#}");
    assert_eq!(report["unmatched"], 0, "{report:#}");
}

#[test]
fn a_client_that_is_killed_loses_nothing() {
    let stage = Stage::new();
    let rounds = rounds();
    for round in 0..rounds {
        let before = stage.rows();
        let mut client = stage.load();
        stage.underway(before, round);
        client.kill().unwrap();
        client.wait().unwrap();
    }
    let report = stage.verified();
    let rows = stage.rows();
    let recorded = report["matched"].as_u64().unwrap() + report["unknown"].as_u64().unwrap();
    println!(
        "client killed: {rounds} attempts, {rows} rows written, {recorded} recorded, lost {}",
        rows.saturating_sub(recorded)
    );
    assert!(recorded >= rows && rows > 0, "{report:#}");
    assert_eq!(report["unmatched"], 0, "{report:#}");
}
