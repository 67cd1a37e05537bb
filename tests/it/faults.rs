//! Processes that are killed and disks that are full, under load: nothing that was acknowledged is lost, nothing runs
//! unrecorded, nothing runs or is recorded twice. Each test prints attempts, survived, lost.
//!
//! `GOV_KILL_ROUNDS` says how often something is killed; 20 times when it is not set, 200 for a thorough run.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::wire::Wire;
use crate::support::{Sandbox, own_disk, postgres};

fn rounds() -> u32 {
    std::env::var("GOV_KILL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(20)
}

/// Statements one client would run if it were let.
const STATEMENTS: u32 = 2000;

/// How long anything may take to come in on a busy machine.
const PATIENCE: Duration = Duration::from_secs(600);

/// Where a server keeps what it has, below its home.
const SERVER: &str = ".local/share/gov/server";

/// A server at a port of its own, which it has again when it is started again; bob, who writes; and dave, who looks after
/// the log from a home of his own.
struct Stage {
    sandbox: Sandbox,
    operator: Sandbox,
    listen: String,
    resource: String,
    database: String,
    /// Says that raw texts are kept: they must survive what the records survive.
    config: String,
}

impl Stage {
    fn new() -> Self {
        Self::on_disk(None)
    }

    /// With a disk of so many MiB for what the server keeps.
    fn on_disk(mebibytes: Option<u32>) -> Self {
        let sandbox = Sandbox::new();
        let database = postgres::server().database();
        postgres::server().run(&database.name, "CREATE TABLE marks (n int); GRANT SELECT, INSERT ON marks TO app_rw");
        let resource = database.resource("dev-db", &sandbox.home, "env=dev");
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let operator = Sandbox::new();
        let listen = format!("127.0.0.1:{port}");
        let config = format!(
            "server: {{listen: '{listen}', data: {SERVER}}}\naudit: {{raw_sql: encrypted}}\n\
             access: [{{who: {{group: dba}}, labels: {{env: dev}}, access: write}}]\noperators: [security]\n"
        );
        let config = sandbox.write("gov.yaml", &config).to_str().unwrap().to_owned();
        let mut stage = Self { sandbox, operator, listen, resource, database: database.name, config };
        match mebibytes {
            None => stage.start(),
            Some(mebibytes) => {
                let server = ["--json", "server", "--listen", &stage.listen, "--dev", "--resource", &stage.resource];
                let arguments = [&server[..], &["--config", &stage.config]].concat();
                let command = stage.sandbox.command_on_disk(SERVER, mebibytes, &arguments);
                stage.sandbox.start_server_by(command);
            }
        }
        stage.sandbox.log_in("bob");
        stage.operator.log_in_at(&stage.sandbox, "dave");
        stage
    }

    fn start(&mut self) {
        let arguments = ["--dev", "--resource", &self.resource, "--config", &self.config];
        self.sandbox.start_server_at(&self.listen, &arguments);
    }

    /// A client that inserts one number after the other, and says each one that has been acknowledged.
    fn load(&self, round: u32) -> Child {
        let numbers = round * STATEMENTS..(round + 1) * STATEMENTS;
        let inserts: String = numbers.map(|n| format!("insert into marks values ({n}) returning n;\n")).collect();
        self.sandbox.write("load.sql", &inserts);
        let said = std::fs::OpenOptions::new().create(true).append(true).open(self.acknowledged()).unwrap();
        let mut command = self.sandbox.command(["exec", "dev-db", "--write", "--format", "csv", "-f", "load.sql"]);
        command.stdout(Stdio::from(said)).stderr(Stdio::null()).spawn().unwrap()
    }

    fn acknowledged(&self) -> PathBuf {
        self.sandbox.home.join("acknowledged")
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

    /// What an operator finds in the whole log, once everything has come in that the dead have left: one process of the
    /// same user takes all of it over and sends it.
    fn verified(&self) -> Value {
        let heir = self.sandbox.connect(&["dev-db"]).unwrap();
        let begun = Instant::now();
        while spools(&self.sandbox.home) > 1 {
            assert!(begun.elapsed() < PATIENCE, "{} spools are left", spools(&self.sandbox.home));
            std::thread::sleep(Duration::from_millis(200));
        }
        drop(heir);
        loop {
            let ran = self.operator.gov(["audit", "verify", "--json"]);
            let report = ran.json();
            assert_eq!(ran.code, 0, "{report:#}");
            if report["unmatched"] == 0 || begun.elapsed() > PATIENCE {
                return report;
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// Prints the line of the table, and fails unless nothing was lost, unaudited, or done twice.
    fn judge(&self, what: &str, attempts: u32, report: &Value) {
        let said = std::fs::read_to_string(self.acknowledged()).unwrap_or_default();
        let said: BTreeSet<u32> = said.lines().filter_map(|line| line.trim().parse().ok()).collect();
        // The row comes before the end of its statement, which alone is an acknowledgement. It has come when the next
        // statement has a row.
        let numbers: Vec<u32> = said.iter().copied().filter(|number| said.contains(&(number + 1))).collect();
        let list: Vec<String> = numbers.iter().map(|number| format!("({number})")).collect();
        let there = |sql: &str| -> u64 { postgres::server().run(&self.database, sql).parse().unwrap() };
        let missing = format!(
            "SELECT count(*) FROM (VALUES (-1), {}) said (n) WHERE n >= 0 AND n NOT IN (SELECT n FROM marks)",
            if list.is_empty() { "(-1)".to_owned() } else { list.join(",") }
        );
        let lost = there(&missing);
        let twice = there("SELECT count(*) - count(DISTINCT n) FROM marks");
        let rows = self.rows();
        // What ran is what both saw end, and what nobody saw end.
        let recorded = report["matched"].as_u64().unwrap() + report["unknown"].as_u64().unwrap();
        let unaudited = rows.saturating_sub(recorded);
        println!(
            "{what}: {attempts} attempts, {rows} rows, {} acknowledged, {recorded} recorded; lost {lost}, unaudited \
             {unaudited}, duplicates {twice}, unmatched {}",
            numbers.len(),
            report["unmatched"]
        );
        assert!(rows > 0, "{report:#}");
        assert_eq!((lost, unaudited, twice), (0, 0, 0), "{report:#}");
        assert_eq!(report["unmatched"], 0, "{report:#}");
        assert_eq!(report["sound"], true, "{report:#}");
        let proven = report["proven"].to_string();
        assert!(proven.contains("encrypted raw texts are those that the records name"), "{report:#}");
    }
}

/// Folders of records that processes of this home have not got rid of yet.
fn spools(home: &Path) -> usize {
    let folders = |path: PathBuf| -> Vec<PathBuf> {
        let found = std::fs::read_dir(path).into_iter().flatten().filter_map(Result::ok);
        found.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
    };
    let servers = folders(home.join(".local/share/gov/spool"));
    servers.into_iter().flat_map(folders).flat_map(folders).count()
}

#[test]
fn a_gateway_that_is_killed_loses_nothing() {
    let mut stage = Stage::new();
    let rounds = rounds();
    for round in 0..rounds {
        let before = stage.rows();
        let mut client = stage.load(round);
        stage.underway(before, round);
        stage.sandbox.kill_server();
        client.kill().unwrap();
        client.wait().unwrap();
        stage.start();
    }
    let report = stage.verified();
    stage.judge("gateway killed", rounds, &report);
}

#[test]
fn a_client_that_is_killed_loses_nothing() {
    let stage = Stage::new();
    let rounds = rounds();
    for round in 0..rounds {
        let before = stage.rows();
        let mut client = stage.load(round);
        stage.underway(before, round);
        client.kill().unwrap();
        client.wait().unwrap();
    }
    let report = stage.verified();
    stage.judge("client killed", rounds, &report);
}

/// A statement whose record is long, so that a disk fills soon.
fn long_statement(number: u32) -> String {
    let columns: String =
        (0..40).map(|column| format!(", {column} as a_name_that_takes_room_in_the_record_{column:03}")).collect();
    format!("insert into marks select n from (select {number} as n{columns}) wide returning n")
}

/// A file that takes all the room there is.
pub(crate) fn fill(disk: &Path) -> PathBuf {
    let ballast = disk.join("ballast");
    let mut file = std::fs::File::create(&ballast).unwrap();
    for length in [1 << 20, 4096, 1] {
        while file.write_all(&vec![7; length]).is_ok() {}
    }
    ballast
}

/// How a full disk was lived through.
struct Filled {
    written: u32,
    refused: u32,
    slowest: Duration,
}

/// Writes until statements are refused, goes on for a while, makes room, and waits until they are taken again.
fn live_through(wire: &mut Wire, disk: &Path, said: &mut impl std::io::Write) -> Filled {
    let mut filled = Filled { written: 0, refused: 0, slowest: Duration::ZERO };
    let mut number = 0;
    let mut insert = |wire: &mut Wire, filled: &mut Filled| -> bool {
        number += 1;
        let begun = Instant::now();
        let answer = wire.simple(long_statement(number).as_bytes());
        assert!(!answer.closed, "the connection must stay: {answer:?}");
        if let Some(error) = answer.errors.first() {
            assert_eq!(error.sqlstate, "58030", "{error:?}");
            filled.slowest = filled.slowest.max(begun.elapsed());
            filled.refused += 1;
            return false;
        }
        writeln!(said, "{number}").unwrap();
        filled.written += 1;
        true
    };
    assert!(insert(wire, &mut filled));
    let ballast = fill(disk);
    while insert(wire, &mut filled) {
        assert!(filled.written < 50_000, "a full disk was never noticed");
    }
    for _ in 0..50 {
        insert(wire, &mut filled);
    }
    std::fs::remove_file(ballast).unwrap();
    let begun = Instant::now();
    while !insert(wire, &mut filled) {
        assert!(begun.elapsed() < PATIENCE, "there is room again, and nothing is taken");
        std::thread::sleep(Duration::from_millis(20));
    }
    filled
}

#[test]
fn a_full_disk_at_the_gateway_refuses_statements_and_heals() {
    let stage = Stage::on_disk(Some(96));
    let disk = own_disk(stage.sandbox.server_pid(), &stage.sandbox.home.join(SERVER));
    let endpoint = stage.sandbox.connect(&["dev-db", "--write"]).unwrap();
    let mut wire = endpoint.wire(&[]).unwrap();
    let mut said = std::fs::File::create(stage.acknowledged()).unwrap();
    let filled = live_through(&mut wire, &disk, &mut said);
    println!(
        "full disk at the gateway: {} written, {} refused, the slowest refusal after {:?}",
        filled.written, filled.refused, filled.slowest
    );
    drop(wire);
    drop(endpoint);
    let report = stage.verified();
    stage.judge("full disk at the gateway", 1, &report);
}

#[test]
fn a_full_disk_at_the_client_refuses_statements_and_heals() {
    let stage = Stage::new();
    let folder = ".local/share/gov/spool";
    let arguments = ["connect", "--print", "json", "--port", "0", "dev-db", "--write"];
    let endpoint = Sandbox::connect_by(stage.sandbox.command_on_disk(folder, 12, &arguments)).unwrap();
    let disk = own_disk(endpoint.pid(), &stage.sandbox.home.join(folder));
    let mut wire = endpoint.wire(&[]).unwrap();
    let mut said = std::fs::File::create(stage.acknowledged()).unwrap();
    let filled = live_through(&mut wire, &disk, &mut said);
    println!(
        "full disk at the client: {} written, {} refused, the slowest refusal after {:?}",
        filled.written, filled.refused, filled.slowest
    );
    drop(wire);
    drop(endpoint);
    let report = stage.verified();
    stage.judge("full disk at the client", 1, &report);
}
