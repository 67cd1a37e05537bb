//! The way from the local endpoint to the gateway: through proxies, over restarts, and with nobody reading.

use std::time::Duration;

use crate::support::postgres::{self, Database};
use crate::support::{Connected, Sandbox, finish};

fn started() -> (Sandbox, Database) {
    let database = postgres::server().database();
    let mut sandbox = Sandbox::new();
    let resource = database.resource("shop", &sandbox.home, "env=dev");
    sandbox.start_server(&["--dev", "--resource", &resource]);
    sandbox.log_in("bob");
    (sandbox, database)
}

#[test]
fn a_proxy_of_the_environment_is_not_asked_for_this_machine() {
    let (sandbox, _database) = started();
    let mut command = sandbox.command(["exec", "shop", "--format", "csv", "-c", "select 1 as one"]);
    // Nobody listens there.
    command.env("HTTPS_PROXY", "http://127.0.0.1:1");
    assert_eq!(finish(command).ok().stdout, "one\r\n1\r\n");
}

/// Opens a connection and asks something, again and again until it works.
fn works(endpoint: &Connected) -> bool {
    (0..300).any(|_| {
        let answered = endpoint.wire(&[]).map(|mut wire| wire.simple(b"SELECT 7").tags == ["SELECT 1"]);
        answered.unwrap_or_else(|_| {
            std::thread::sleep(Duration::from_millis(200));
            false
        })
    })
}

#[test]
fn pg_19_a_restart_of_the_server_costs_the_open_connections_and_nothing_else() {
    let (mut sandbox, database) = started();
    let endpoint = sandbox.connect(&["shop"]).unwrap();
    let mut open = endpoint.wire(&[]).unwrap();
    assert_eq!(open.simple(b"SELECT 1").tags, ["SELECT 1"]);
    let address = sandbox.url().trim_start_matches("https://").to_owned();
    sandbox.stop_server();
    // Who was connected is told; who comes now is told as well, in PostgreSQL's words, by a port that is still there.
    assert!(open.answer().closed);
    for _ in 0..3 {
        let answer = endpoint.wire(&[]).unwrap_err();
        assert_eq!(answer.errors.len(), 1, "{answer:?}");
        assert!(answer.errors[0].hint.contains("gov status"), "{answer:?}");
    }
    let resource = database.resource("shop", &sandbox.home, "env=dev");
    sandbox.start_server_at(&address, &["--dev", "--resource", &resource]);
    assert!(works(&endpoint), "{}", sandbox.server_log());
}

#[test]
fn pg_19_one_connection_that_cannot_be_opened_hurts_only_itself() {
    let (sandbox, database) = started();
    let endpoint = sandbox.connect(&["shop"]).unwrap();
    let mut open = endpoint.wire(&[]).unwrap();
    // The database lets nobody in for a moment.
    let allow = |yes: bool| {
        postgres::server().run("postgres", &format!("ALTER DATABASE {} ALLOW_CONNECTIONS {yes}", database.name));
    };
    allow(false);
    let refused = endpoint.wire(&[]).unwrap_err();
    assert_eq!(refused.errors.len(), 1, "{refused:?}");
    assert_eq!(open.simple(b"SELECT 1").tags, ["SELECT 1"], "the other one goes on");
    allow(true);
    assert!(works(&endpoint));
}

/// Memory of a process that is in use, in KiB.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_reader_that_does_not_read_fills_nobodys_memory() {
    let (sandbox, _database) = started();
    let endpoint = sandbox.connect(&["shop"]).unwrap();
    let mut wire = endpoint.wire(&[]).unwrap();
    assert_eq!(wire.simple(b"SELECT 1").tags, ["SELECT 1"]);
    let all = || resident(sandbox.server_pid()) + resident(endpoint.pid());
    let before = all();
    // A gigabyte, of which nobody takes a byte.
    wire.send(b'Q', b"SELECT repeat('x', 10000) FROM generate_series(1, 100000)\0");
    std::thread::sleep(Duration::from_secs(5));
    let grown = all().saturating_sub(before);
    println!("{grown} KiB more, at both ends together");
    assert!(grown < 32 * 1024, "{grown} KiB");
    // And the one who goes away takes the statement along.
    drop(wire);
    assert!(works(&endpoint));
}
