//! Statements that wait for a second person, with real sessions, a real PostgreSQL and several people.

use std::io::Read as _;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::support::wire::Answer;
use crate::support::{Ran, Sandbox, collect, postgres};

/// How long something may take to show on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A statement that production holds.
const HELD: &str = "alter table orders add column note text";

/// A production database, Alice who may write to it, and two people who approve.
struct Bench {
    sandbox: Sandbox,
    database: postgres::Database,
}

impl Bench {
    fn new(more: &str) -> Self {
        let database = postgres::server().database();
        // What write sessions create and change belongs to the group.
        postgres::server()
            .run(&database.name, "ALTER TABLE orders OWNER TO app_owner; ALTER TABLE customers OWNER TO app_owner");
        let mut sandbox = Sandbox::new();
        sandbox.write_secret("broker.password", postgres::PASSWORD);
        let config = format!(
            "server: {{listen: '127.0.0.1:0', data: data}}\nusers:\n  alice: {{groups: [dba]}}\n  bob: {{groups: [approver, dba]}}\n  \
             carol: {{groups: [approver]}}\n  mallory: {{groups: [dba]}}\nresources:\n  prod-db: {{url: 'postgres://gov_broker@127.0.0.1:{}/{}', \
             password: {{file: broker.password}}, labels: {{env: prod}}, roles: {{read: app_ro, write: app_rw, owner: app_owner}}}}\n\
             access:\n  - {{who: {{group: dba}}, labels: {{env: prod}}, access: write, ttl: 1h}}\napprovals: {{approvers: [approver]{more}}}\n",
            postgres::server().port,
            database.name
        );
        let config = sandbox.write("gov.yaml", &config);
        sandbox.start_server(&["--dev", "--config", config.to_str().unwrap()]);
        Self { sandbox, database }
    }

    /// Runs `gov` as somebody.
    fn by(&self, who: &str, arguments: &[&str]) -> Ran {
        self.sandbox.log_in(who);
        self.sandbox.gov(arguments)
    }

    /// Alice's statement, waiting.
    fn exec(&self, arguments: &[&str]) -> Child {
        self.sandbox.log_in("alice");
        let base = ["exec", "prod-db", "--write"];
        let mut command = self.sandbox.command([&base[..], arguments].concat());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// The request that waits, once there is one.
    fn waiting(&self) -> String {
        self.sandbox.log_in("bob");
        let begun = Instant::now();
        loop {
            let list = self.sandbox.gov(["approval", "ls", "--json"]).ok().json();
            if let Some(entry) = list["approvals"].as_array().unwrap().iter().find(|entry| entry["state"] == "pending")
            {
                return entry["approval"].as_str().unwrap().to_owned();
            }
            assert!(begun.elapsed() < PATIENCE, "nothing waits: {list}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn state(&self, id: &str) -> String {
        let list = self.by("bob", &["approval", "ls", "--all", "--json"]).ok().json();
        let entry = list["approvals"].as_array().unwrap().iter().find(|entry| entry["approval"] == id).unwrap().clone();
        entry["state"].as_str().unwrap().to_owned()
    }

    /// Waits for a state that comes by itself.
    fn becomes(&self, id: &str, state: &str) {
        let begun = Instant::now();
        while self.state(id) != state {
            assert!(begun.elapsed() < PATIENCE, "{id} is {}, not {state}", self.state(id));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn has_column(&self) -> bool {
        let sql = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = 'note'";
        postgres::server().run(&self.database.name, sql) == "1"
    }
}

#[test]
fn a_second_person_says_yes_and_the_statement_runs_where_it_waited() {
    let bench = Bench::new("");
    let exec = bench.exec(&["-c", HELD]);
    let id = bench.waiting();
    assert!(!bench.has_column());
    let shown = bench.by("bob", &["approval", "show", &id]).ok().stdout;
    for part in ["prod-db (write)", "rule schema_change", "define public.orders", HELD, "1000 rows", "alice"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    // Not whoever asked, and not somebody who is not asked.
    let own = bench.by("alice", &["approval", "approve", &id]);
    assert_eq!((own.code, own.stderr.contains("nobody decides about their own request")), (3, true), "{own:?}");
    let stranger = bench.by("mallory", &["approval", "approve", &id]);
    assert_eq!((stranger.code, stranger.stderr.contains("there is no approval")), (7, true), "{stranger:?}");
    assert!(!bench.has_column());

    let yes = bench.by("carol", &["approval", "approve", &id[20..], "--reason", "as discussed"]).ok();
    assert!(yes.stderr.contains("of alice is approved"), "{yes:?}");
    let ran = collect(exec);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.stderr.contains("this waits for approval") && ran.stderr.contains(&format!("gov approval approve {id}")),
        "{ran:?}"
    );
    assert!(bench.has_column());
    bench.becomes(&id, "executed");
    let shown = bench.by("bob", &["approval", "show", &id]).ok().stdout;
    assert!(shown.contains("carol agreed: as discussed"), "{shown}");
    assert!(shown.contains("forgotten, because the request has ended"), "{shown}");
    // It was good for one execution.
    let again = bench.by("carol", &["approval", "approve", &id]);
    assert!(again.stderr.contains("this approval is executed"), "{again:?}");
}

#[test]
fn no_and_too_late_and_withdrawn_are_one_error_each() {
    let bench = Bench::new(", wait: 2s");
    let exec = bench.exec(&["-c", HELD]);
    let id = bench.waiting();
    bench.by("bob", &["approval", "deny", &id, "--reason", "not on a friday"]).ok();
    let ran = collect(exec);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(
        ran.stderr.contains("approval was denied") && ran.stderr.contains("bob said no: not on a friday"),
        "{ran:?}"
    );

    let late = collect(bench.exec(&["-c", HELD]));
    assert!(late.stderr.contains("nobody approved this in time") && late.stderr.contains("57014"), "{late:?}");
    assert!(!bench.has_column());
}

#[test]
fn what_nobody_waits_for_is_used_later_once_and_only_for_the_same_bytes() {
    let bench = Bench::new(", quorum: 2");
    let asked = collect(bench.exec(&["--no-wait", "-c", HELD]));
    assert_eq!(asked.code, 5, "{asked:?}");
    let id = asked.stdout.trim().to_owned();
    assert_eq!(id.len(), 26, "{asked:?}");
    let early = collect(bench.exec(&["--no-wait", "--approval", &id, "-c", HELD]));
    assert_eq!((early.code, early.stdout.trim()), (5, id.as_str()), "{early:?}");
    // One person counts once.
    bench.by("bob", &["approval", "approve", &id]).ok();
    bench.by("bob", &["approval", "approve", &id]).ok();
    assert_eq!(bench.state(&id), "pending");
    bench.by("carol", &["approval", "approve", &id]).ok();
    assert_eq!(bench.state(&id), "approved");
    // Another byte, another person: not theirs.
    let other = collect(bench.exec(&["--approval", &id, "-c", &HELD.replace("add", "add ")]));
    assert!(other.code == 3 && other.stderr.contains("there is no approval"), "{other:?}");
    bench.sandbox.log_in("mallory");
    let other = bench.sandbox.gov(["exec", "prod-db", "--write", "--approval", &id, "-c", HELD]);
    assert!(other.code == 3 && other.stderr.contains("there is no approval"), "{other:?}");
    assert!(!bench.has_column());

    let ran = collect(bench.exec(&["--approval", &id, "-c", HELD]));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(bench.has_column());
    bench.becomes(&id, "executed");
    let again = collect(bench.exec(&["--approval", &id, "-c", HELD]));
    assert!(again.code == 3 && again.stderr.contains("approval is executed"), "{again:?}");
}

#[test]
fn psql_sees_a_notice_and_ctrl_c_withdraws() {
    let bench = Bench::new("");
    bench.sandbox.log_in("alice");
    let connected = bench.sandbox.connect(&["prod-db", "--write"]).unwrap();
    let psql = |text: &str| {
        let mut psql = std::process::Command::new(postgres::programs().join("psql"));
        let port = connected.socket.extension().unwrap().to_str().unwrap();
        psql.env_clear().args(["-X", "-h", connected.socket.parent().unwrap().to_str().unwrap(), "-p", port]);
        psql.args(["-U", &connected.user, "-d", &connected.database, "-c", text]);
        psql.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let mut waiting = psql(HELD);
    let id = bench.waiting();
    rustix::process::kill_process(rustix::process::Pid::from_child(&waiting), rustix::process::Signal::INT).unwrap();
    let mut said = String::new();
    waiting.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    waiting.wait().unwrap();
    assert!(said.contains("NOTICE:  this waits for approval") && said.contains(&id), "{said}");
    bench.becomes(&id, "withdrawn");
    // Whoever goes away without a word withdraws too.
    let mut gone = psql(HELD);
    let id = bench.waiting();
    gone.kill().unwrap();
    gone.wait().unwrap();
    bench.becomes(&id, "withdrawn");
    assert!(!bench.has_column());
    let late = bench.by("bob", &["approval", "approve", &id]);
    assert!(late.stderr.contains("this approval is withdrawn"), "{late:?}");
}

#[test]
fn in_a_transaction_the_statement_runs_in_that_transaction() {
    let bench = Bench::new("");
    bench.sandbox.log_in("alice");
    let connected = bench.sandbox.connect(&["prod-db", "--write"]).unwrap();
    let mut wire = connected.wire(&[]).unwrap();
    assert_eq!(wire.simple(b"BEGIN").tags, ["BEGIN"]);
    assert_eq!(wire.simple(b"UPDATE orders SET status = 'held' WHERE id = 1").tags, ["UPDATE 1"]);
    let held = std::thread::spawn(move || -> (Answer, Answer) {
        let answer = wire.extended(HELD.as_bytes(), &[]);
        (answer, wire.simple(b"ROLLBACK"))
    });
    let id = bench.waiting();
    let shown = bench.by("bob", &["approval", "show", &id]).ok().stdout;
    assert!(shown.contains("the requester's own"), "{shown}");
    bench.by("bob", &["approval", "approve", &id]).ok();
    let (answer, end) = held.join().unwrap();
    assert_eq!(answer.tags, ["ALTER TABLE"], "{answer:?}");
    assert_eq!(answer.notices.len(), 1, "{answer:?}");
    assert_eq!(end.tags, ["ROLLBACK"]);
    assert!(!bench.has_column());
}

#[test]
fn a_statement_that_ran_when_the_server_was_killed_is_unknown() {
    let mut bench = Bench::new("");
    // The table is locked by somebody else, so what is approved runs without coming to an end.
    let mut lock = postgres::server().psql(&bench.database.name);
    let mut lock =
        lock.args(["-c", "BEGIN; LOCK TABLE orders; SELECT pg_sleep(300)"]).stdout(Stdio::null()).spawn().unwrap();
    let exec = bench.exec(&["-c", HELD]);
    let id = bench.waiting();
    bench.by("bob", &["approval", "approve", &id]).ok();
    bench.becomes(&id, "executing");
    bench.sandbox.kill_server();
    drop(collect(exec));
    let config = bench.sandbox.home.join("gov.yaml");
    bench.sandbox.start_server(&["--dev", "--config", config.to_str().unwrap()]);
    assert_eq!(bench.state(&id), "unknown");
    lock.kill().unwrap();
    lock.wait().unwrap();
}

/// Takes one request and answers it; its body and its signature.
fn one_message(listener: &std::net::TcpListener) -> (String, String) {
    use std::io::Write as _;
    let (mut stream, _) = listener.accept().unwrap();
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).unwrap();
        bytes.extend(&buffer[..count]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let field = |name: &str| {
                let line = head.lines().find(|line| line.to_lowercase().starts_with(name));
                line.and_then(|line| line.split_once(": ")).map(|(_, value)| value.to_owned()).unwrap_or_default()
            };
            if body.len() >= field("content-length").parse::<usize>().unwrap() {
                stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").unwrap();
                return (body.to_owned(), field("gov-signature"));
            }
        }
        assert!(count > 0, "{text}");
    }
}

#[test]
fn others_are_told_about_every_change_and_never_what_the_statement_says() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let hook = format!(", webhooks: [{{url: 'http://127.0.0.1:{port}/hook', secret: {{file: broker.password}}}}]");
    let bench = Bench::new(&hook);
    let exec = bench.exec(&["-c", HELD]);
    let (asked, signature) = one_message(&listener);
    let id = bench.waiting();
    bench.by("bob", &["approval", "approve", &id]).ok();
    let rest: Vec<_> = (0..3).map(|_| one_message(&listener).0).collect();
    assert_eq!(collect(exec).code, 0);
    let states: Vec<_> = std::iter::once(&asked)
        .chain(&rest)
        .map(|body| serde_json::from_str::<serde_json::Value>(body).unwrap()["state"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(states, ["pending", "approved", "executing", "executed"]);
    assert!(asked.contains(&id) && asked.contains("alice") && !asked.contains("column note"), "{asked}");
    let (time, tag) = signature.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, postgres::PASSWORD.as_bytes());
    let right = ring::hmac::sign(&key, format!("{time}.{asked}").as_bytes());
    let right: String = right.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(tag, right);
}

#[test]
fn a_killed_server_leaves_a_state_that_can_be_understood() {
    let mut bench = Bench::new("");
    let exec = bench.exec(&["-c", HELD]);
    let waiting = bench.waiting();
    let asked = collect(bench.exec(&["--no-wait", "-c", HELD]));
    let later = asked.stdout.trim().to_owned();
    bench.sandbox.kill_server();
    drop(collect(exec));
    let config = bench.sandbox.home.join("gov.yaml");
    bench.sandbox.start_server(&["--dev", "--config", config.to_str().unwrap()]);
    assert_eq!(bench.state(&waiting), "withdrawn");
    assert_eq!(bench.state(&later), "pending");
    assert!(!bench.has_column());
}
