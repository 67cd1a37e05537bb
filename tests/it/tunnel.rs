//! The way from the local endpoint to the gateway: through proxies, over restarts, and with nobody reading.

use std::time::{Duration, Instant};

use crate::support::postgres::{self, Database};
use crate::support::proxy::{Manner, Proxy};
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

/// The name of a server that only a proxy finds.
const FAR: &str = "gov.example.test";

/// A server as others than this machine reach it: under a name, with a certificate, and here through a proxy only.
fn started_far(proxy: &Proxy) -> (Sandbox, Database) {
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    let authority_certificate = authority.self_signed(&authority_key).unwrap();
    let (key, issuer) = (rcgen::KeyPair::generate().unwrap(), rcgen::Issuer::new(authority, authority_key));
    let leaf = rcgen::CertificateParams::new(vec![FAR.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();

    let database = postgres::server().database();
    let mut sandbox = Sandbox::new();
    sandbox.write("ca.pem", &authority_certificate.pem());
    sandbox.write("chain.pem", &leaf.pem());
    sandbox.write_secret("key.pem", &key.serialize_pem());
    sandbox.write_secret("broker.password", postgres::PASSWORD);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = format!(
        "server: {{listen: '127.0.0.1:{port}', url: 'https://{FAR}:{port}', data: data, \
         tls: {{certificate: chain.pem, key: {{file: key.pem}}}}}}\nusers: {{bob: {{groups: [dba]}}}}\nresources:\n  shop: \
         {{url: 'postgres://gov_broker@127.0.0.1:{}/{}', password: {{file: broker.password}}, labels: {{env: dev}}, \
         roles: {{read: app_ro, write: app_rw}}}}\naccess:\n  - {{who: {{group: dba}}, labels: {{env: dev}}, access: write, \
         ttl: 1h}}\n",
        postgres::server().port,
        database.name
    );
    let config = sandbox.write("gov.yaml", &config);
    sandbox.start_server_at(&format!("127.0.0.1:{port}"), &["--dev", "--config", config.to_str().unwrap()]);
    sandbox.environment = vec![("HTTPS_PROXY", format!("http://127.0.0.1:{}", proxy.port))];
    let url = sandbox.url().to_owned();
    sandbox.gov(["login", &url, "--ca-file", "ca.pem", "--dev-user", "bob", "--token-store", "file"]).ok();
    (sandbox, database)
}

const ONE: [&str; 6] = ["exec", "shop", "--format", "csv", "-c", "select 1 as one"];

#[test]
fn everything_goes_through_the_proxy_of_the_environment() {
    let proxy = Proxy::start(Manner::Connects);
    let (mut sandbox, database) = started_far(&proxy);
    assert_eq!(sandbox.gov(ONE).ok().stdout, "one\r\n1\r\n");
    let endpoint = sandbox.connect(&["shop", "--write"]).unwrap();
    let before = proxy.connects();
    let mut wires = [endpoint.wire(&[]).unwrap(), endpoint.wire(&[]).unwrap()];
    assert_eq!(proxy.connects(), before + 2, "each connection has a tunnel of its own");
    for wire in &mut wires {
        assert_eq!(wire.simple(b"SELECT repeat('x', 1000000)").rows[0][0].as_ref().map(String::len), Some(1_000_000));
    }
    // A cancel request goes the same way.
    let (process, key) = wires[0].cancel.clone();
    wires[0].send(b'Q', b"SELECT pg_sleep(300)\0");
    let running = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND query LIKE '%pg_sleep(300)%'",
        database.name
    );
    while postgres::server().run("postgres", &running) == "0" {
        std::thread::sleep(Duration::from_millis(50));
    }
    crate::support::wire::Wire::cancel(&endpoint.socket, process, &key);
    assert_eq!(wires[0].answer().errors[0].sqlstate, "57014");
    drop((wires, endpoint));

    // Whoever is excepted is dialled directly, which leads nowhere here.
    let before = proxy.connects();
    sandbox.environment.push(("NO_PROXY", "example.test".to_owned()));
    let ran = sandbox.gov(ONE);
    assert_eq!((ran.code, proxy.connects()), (8, before), "{ran:?}");
    assert!(ran.stderr.contains(FAR) && ran.stderr.contains("Name or service not known"), "{ran:?}");
}

#[test]
fn a_proxy_that_does_not_let_us_through_is_named() {
    let proxy = Proxy::start(Manner::Connects);
    let (mut sandbox, _database) = started_far(&proxy);
    let (refuses, asks) = (Proxy::start(Manner::Refuses), Proxy::start(Manner::Asks("Basic bWU6c2VjcmV0")));
    for (url, code, said) in [
        (
            format!("http://127.0.0.1:{}", refuses.port),
            8,
            format!("he proxy `127.0.0.1:{}` refused to connect", refuses.port),
        ),
        (
            format!("http://127.0.0.1:{}", asks.port),
            8,
            format!("`127.0.0.1:{}` asks for a user and a password", asks.port),
        ),
        (format!("http://me:wrong@127.0.0.1:{}", asks.port), 8, "asks for a user and a password, or for others".into()),
        ("http://127.0.0.1:1".into(), 8, "othing listens at the proxy `127.0.0.1:1`".into()),
        (format!("http://me:secret@127.0.0.1:{}", asks.port), 0, String::new()),
    ] {
        sandbox.environment = vec![("HTTPS_PROXY", url.clone())];
        let ran = sandbox.gov(ONE);
        assert_eq!(ran.code, code, "{url}: {ran:?}");
        assert!(ran.stderr.contains(&said) && !ran.stderr.contains("wrong"), "{url}: {ran:?}");
        assert!(code == 0 || ran.stderr.contains("hint: check HTTPS_PROXY"), "{url}: {ran:?}");
    }
    assert_eq!(refuses.connects(), 0);
    assert!(asks.connects() > 0);
}

#[test]
fn an_end_that_falls_silent_is_noticed_by_the_other() {
    let proxy = Proxy::start(Manner::Connects);
    let (sandbox, _database) = started_far(&proxy);
    let endpoint = sandbox.connect(&["shop"]).unwrap();
    let mut idle = endpoint.wire(&[]).unwrap();
    let role = idle.simple(b"SELECT session_user").rows[0][0].clone().unwrap();
    let mut busy = endpoint.wire(&[]).unwrap();
    let backends = || {
        postgres::server().run("postgres", &format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{role}'"))
    };
    busy.send(b'Q', b"SELECT pg_sleep(600)\0");
    while backends() != "2" {
        std::thread::sleep(Duration::from_millis(50));
    }
    proxy.be_silent(true);
    let begun = Instant::now();
    // This end says so, in the database's words, to whoever waits and to whoever does not.
    for wire in [&mut busy, &mut idle] {
        let told = wire.answer();
        assert_eq!((told.errors[0].sqlstate.as_str(), told.closed), ("08006", true), "{told:?}");
        assert!(told.errors[0].detail.contains("fallen silent"), "{told:?}");
    }
    println!("this end noticed after {:?}", begun.elapsed());
    // The other one lets go of the database; what ran there is cancelled, for nobody waits for it.
    while backends() != "0" {
        assert!(begun.elapsed() < Duration::from_secs(180), "{} connections are still open", backends());
        std::thread::sleep(Duration::from_millis(200));
    }
    println!("the other end noticed after {:?}", begun.elapsed());
    // The endpoint is still there, and works again when the way is; with its end the role goes.
    proxy.be_silent(false);
    assert!(works(&endpoint));
    drop(endpoint);
    assert!(!postgres::server().session_roles().contains(&role));
}

#[test]
fn a_connection_on_which_nothing_happens_stays() {
    let (sandbox, _database) = started();
    let endpoint = sandbox.connect(&["shop", "--write"]).unwrap();
    let mut wire = endpoint.wire(&[]).unwrap();
    // Longer than either end would wait for a silent one: idle, in a transaction, while a statement runs, and while
    // nobody reads what comes.
    wire.simple(b"BEGIN");
    std::thread::sleep(Duration::from_secs(45));
    assert_eq!(wire.simple(b"SELECT pg_sleep(45)").tags, ["SELECT 1"]);
    wire.send(b'Q', b"SELECT repeat('x', 10000) FROM generate_series(1, 3000)\0");
    std::thread::sleep(Duration::from_secs(45));
    assert_eq!(wire.answer().tags, ["SELECT 3000"]);
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
