//! Statements that wait for a second person, with real sessions, a real PostgreSQL and several people.

use std::io::Read as _;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::api::{Device, ask, client};
use crate::support::wire::Answer;
use crate::support::{Ran, Sandbox, collect, postgres};

/// How long something may take to show on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A statement that production holds.
pub(crate) const HELD: &str = "alter table orders add column note text";

/// A production database, Alice who may write to it, and two people who approve.
pub(crate) struct Bench {
    pub(crate) sandbox: Sandbox,
    /// Where alice's statements come from: whoever logs in elsewhere meanwhile is somebody else to them.
    pub(crate) alice: Sandbox,
    pub(crate) database: postgres::Database,
}

impl Bench {
    fn new(more: &str) -> Self {
        Self::with(more, "")
    }

    /// With more in the section about approvals, and more sections.
    fn with(more: &str, sections: &str) -> Self {
        Self::behind(postgres::server().port, more, sections)
    }

    /// Where the gateway reaches the database at this port.
    pub(crate) fn behind(port: u16, more: &str, sections: &str) -> Self {
        Self::of(port, "access: write, ttl: 1h", more, sections)
    }

    /// The same, where access itself has to be asked for.
    pub(crate) fn asking(port: u16, sections: &str) -> Self {
        Self::of(port, "access: write, ttl: 1h, approval: true, break_glass: 1h", "", sections)
    }

    fn of(port: u16, access: &str, more: &str, sections: &str) -> Self {
        let database = postgres::server().database();
        // What write sessions create and change belongs to the group.
        postgres::server()
            .run(&database.name, "ALTER TABLE orders OWNER TO app_owner; ALTER TABLE customers OWNER TO app_owner");
        let mut sandbox = Sandbox::new();
        sandbox.write_secret("broker.password", postgres::PASSWORD);
        sandbox.write("charter.md", "Repairs what is broken.");
        let config = format!(
            "server: {{listen: '127.0.0.1:0', data: data}}\nusers:\n  alice: {{groups: [dba]}}\n  bob: {{groups: [approver, dba, second]}}\n  \
             carol: {{groups: [approver]}}\n  mallory: {{groups: [dba]}}\nresources:\n  prod-db: {{url: 'postgres://gov_broker@127.0.0.1:{}/{}', \
             password: {{file: broker.password}}, labels: {{env: prod}}, roles: {{read: app_ro, write: app_rw, owner: app_owner}}}}\n\
             access:\n  - {{who: {{group: dba}}, labels: {{env: prod}}, {access}}}\napprovals: {{approvers: [approver, second]{more}}}\n{sections}",
            port, database.name
        );
        let config = sandbox.write("gov.yaml", &config);
        sandbox.start_server(&["--dev", "--config", config.to_str().unwrap()]);
        Self { sandbox, alice: Sandbox::new(), database }
    }

    /// Runs `gov` as somebody.
    fn by(&self, who: &str, arguments: &[&str]) -> Ran {
        self.sandbox.log_in(who);
        self.sandbox.gov(arguments)
    }

    /// Alice's statement, waiting.
    fn exec(&self, arguments: &[&str]) -> Child {
        self.alice.log_in_at(&self.sandbox, "alice");
        let base = ["exec", "prod-db", "--write"];
        let mut command = self.alice.command([&base[..], arguments].concat());
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

    pub(crate) fn has_column(&self) -> bool {
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
    // What cannot be tried is shown like what nobody tried, with the reason.
    let tried = bench.by("bob", &["approval", "show", &id, "--dry-run"]).ok().stdout;
    assert!(tried.contains(HELD) && tried.contains("dry run      none: this statement cannot be rehearsed"), "{tried}");
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
fn pg_dump_takes_the_schema_of_production_and_asks_for_its_data() {
    let bench = Bench::new("");
    bench.sandbox.log_in("alice");
    let connected = bench.sandbox.connect(&["prod-db"]).unwrap();
    let dump = |options: &[&str], wait: &str| {
        let mut command = std::process::Command::new(crate::support::tool("pg_dump", "postgresql-client"));
        command
            .args(["-d", &connected.url()])
            .args(options)
            .env_clear()
            .env("PGOPTIONS", format!("-c gov.wait={wait}"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let ran = collect(dump(&["--schema-only", "--verbose"], "on")).ok();
    for part in ["CREATE TABLE public.customers", "CREATE TABLE public.orders", "dump complete"] {
        assert!(ran.stdout.contains(part), "{part}: {ran:?}");
    }
    // It begins by taking its limits off; they stay, and that is said. (It shows notices only when it is verbose.)
    assert!(ran.stderr.contains("sent instead was SET statement_timeout TO '300000ms'"), "{ran:?}");

    // Whole tables leave production when somebody has agreed, and masked even then.
    let waiting = dump(&["-t", "customers", "--verbose"], "on");
    let id = bench.waiting();
    bench.by("carol", &["approval", "approve", &id]).ok();
    let ran = collect(waiting).ok();
    assert!(ran.stderr.contains("this waits for approval"), "{ran:?}");
    let rows = ran.stdout.lines().skip_while(|line| !line.starts_with("COPY public.customers")).skip(1);
    assert_eq!(rows.take_while(|line| *line != "\\.").count(), 20, "{ran:?}");
    assert!(!ran.stdout.contains("mail.example.org") && !ran.stdout.contains("4111 1111"), "{ran:?}");
    // Whoever does not want to wait says so.
    let ran = collect(dump(&["-t", "customers"], "off"));
    assert!(ran.code != 0 && !ran.stdout.contains("Person"), "{ran:?}");
    assert!(ran.stderr.contains("this needs approval") && ran.stderr.contains("Rule: bulk_export"), "{ran:?}");
    // In the clients' own words: the limit that is in force.
    let mut wire = connected.wire(&[]).unwrap();
    let answer = wire.simple(b"SET statement_timeout = 0");
    assert_eq!((answer.tags.as_slice(), answer.notices.len()), (&["SET".to_owned()][..], 1), "{answer:?}");
    assert_eq!((answer.notices[0].sqlstate.as_str(), answer.notices[0].rule()), ("01000", Some("session_guard")));
    assert_eq!(wire.simple(b"SHOW statement_timeout").rows[0][0].as_deref(), Some("5min"));
}

#[test]
fn no_and_too_late_and_withdrawn_are_one_error_each() {
    let bench = Bench::new(", wait: 2s");
    let exec = bench.exec(&["-c", HELD]);
    let id = bench.waiting();
    bench.by("bob", &["approval", "deny", &id, "--reason", "ask Ann Miller on monday"]).ok();
    let ran = collect(exec);
    assert_eq!(ran.code, 3, "{ran:?}");
    // Names of persons are hidden in what a database says, not in what persons say to each other.
    assert!(
        ran.stderr.contains("approval was denied") && ran.stderr.contains("bob said no: ask Ann Miller on monday"),
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
    // What cannot be done says what can be.
    let says = |who: &str, verb: &str, id: &str, code: i32, words: [&str; 2]| {
        let ran = bench.by(who, &["approval", verb, id]);
        assert!(ran.code == code && words.iter().all(|words| ran.stderr.contains(words)), "{who} {verb}: {ran:?}");
    };
    says("bob", "approve", &id, 3, ["is approved already", &format!("gov approval show {id}")]);
    says("bob", "withdraw", &id, 3, ["only whoever asked can withdraw this", &format!("gov approval deny {id}")]);
    says("alice", "approve", &id, 3, ["about their own request", &format!("gov approval withdraw {id}")]);
    says("alice", "deny", "nonsense", 7, ["there is no approval `nonsense`", "gov approval ls"]);
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

/// Beyond a budget that says so, statements wait one by one; what touches no data does not.
#[test]
fn beyond_a_budget_each_statement_waits() {
    let limits =
        "purposes: {audit: {description: d, limits: {session: {statements: 2}, day: {statements: 4}, over: hold}}}\n";
    let bench = Bench::with("", limits);
    let text = "select 1 as a; select 2 as b; begin; select 3 as c; rollback; select 4 as d";
    let exec = bench.exec(&["--purpose", "audit", "--format", "csv", "-c", text]);
    for (number, sql) in [(1, "select 3 as c"), (2, "select 4 as d")] {
        let id = bench.waiting();
        let shown = bench.by("bob", &["approval", "show", &id]).ok().stdout;
        let why = "the budget of this session is used up: 2 statements (rule budget)";
        assert!(shown.contains(why) && shown.contains(sql), "{number}: {shown}");
        bench.by("bob", &["approval", "approve", &id]).ok();
    }
    let ran = collect(exec).ok();
    assert_eq!(ran.stdout.lines().collect::<Vec<_>>(), ["a", "1", "b", "2", "c", "3", "d", "4"], "{ran:?}");
    // What is used up of the day is so from the beginning of the next session.
    let asked = collect(bench.exec(&["--purpose", "audit", "--no-wait", "-c", "select 5"]));
    assert_eq!(asked.code, 5, "{asked:?}");
    assert!(asked.stderr.contains("the budget of this day is used up: 4 statements"), "{asked:?}");
}

/// Takes one request and answers it; its body and its signature.
pub(crate) fn one_message(listener: &std::net::TcpListener) -> (String, String) {
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
    assert_signed(&asked, &signature);
}

/// Checks a message's signature as whoever receives it would.
#[track_caller]
pub(crate) fn assert_signed(body: &str, signature: &str) {
    let (time, tag) = signature.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, postgres::PASSWORD.as_bytes());
    let right = ring::hmac::sign(&key, format!("{time}.{body}").as_bytes());
    let right: String = right.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(tag, right, "{body}");
}

/// An agent of carol's, who approves, that may act for alice and for bob.
const AGENT: &str = "purposes: {repair: {description: Repair}}
agents: {fixer: {owner: carol, charter: charter.md, who: {group: dba}, purposes: [repair], access: write}}
policy: {agent_rules: {schema_change: hold}}
";

/// A token with which the agent acts for whoever is logged in, and their device.
async fn acting(sandbox: &Sandbox) -> (Device, String) {
    let (device, token) = Device::of_login(sandbox);
    let url = format!("{}/v1/token", sandbox.url());
    let form = json!({
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "requested_actor": "fixer",
        "subject_token": token, "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
    });
    let request = client(sandbox).post(&url).header("dpop", device.proof("POST", &url, None, |_| ()));
    let (status, answer) = ask(request.form(&form)).await;
    assert_eq!(status, 200, "{answer}");
    (device, answer["access_token"].as_str().unwrap().to_owned())
}

/// Attack class 13 as well: an approval is not to be had by whoever gains from it, in any of their shapes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_13_the_quorum_is_of_persons_who_did_not_ask() {
    let bench = Bench::with(", quorum: 2", AGENT);
    let exec = bench.exec(&["--agent", "fixer", "--purpose", "repair", "-c", HELD]);
    let id = bench.waiting();
    let agreed = || {
        let list = bench.by("bob", &["approval", "ls", "--all", "--json"]).ok().json();
        let entry = list["approvals"]
            .as_array()
            .unwrap()
            .iter()
            .find(|entry| entry["approval"] == id.as_str())
            .unwrap()
            .clone();
        (entry["state"].as_str().unwrap().to_owned(), entry["agreed"].as_u64().unwrap())
    };
    let pending = |count| ("pending".to_owned(), count);
    let mut attempts = 0;
    // Whoever the agent acts for, and whoever answers for it, though she is of those who approve.
    for who in ["alice", "carol"] {
        let own = bench.by(who, &["approval", "approve", &id]);
        assert_eq!((own.code, own.stderr.contains("nobody decides about their own request")), (3, true), "{own:?}");
        attempts += 1;
    }
    // The agent itself, whoever it acts for: an agent's word is nobody's.
    for who in ["alice", "bob"] {
        bench.sandbox.log_in(who);
        let (device, token) = acting(&bench.sandbox).await;
        for decision in ["approve", "deny"] {
            let url = format!("{}/v1/approvals/{id}/{decision}", bench.sandbox.url());
            let request = client(&bench.sandbox).post(&url).header("authorization", format!("DPoP {token}"));
            let proof = device.proof("POST", &url, Some(&token), |_| ());
            let (status, answer) = ask(request.header("dpop", proof).json(&json!({}))).await;
            assert!(matches!(status, 403 | 404), "{who} {decision}: {status} {answer}");
            attempts += 1;
        }
    }
    assert_eq!(agreed(), pending(0));
    // A person who is in two groups that approve is one person, however often they say it.
    for _ in 0..3 {
        bench.by("bob", &["approval", "approve", &id]).ok();
        assert_eq!(agreed(), pending(1));
        attempts += 1;
    }
    assert!(!bench.has_column());
    // Another session of the same person does not run by it, nor does it without the agent.
    for arguments in [
        &["--approval", &id, "-c", HELD][..],
        &["--agent", "fixer", "--purpose", "repair", "--approval", &id, "-c", HELD],
    ] {
        let other = collect(bench.exec(arguments));
        assert!(other.code == 3 && other.stderr.contains("there is no approval"), "{other:?}");
        attempts += 1;
    }
    println!("attack 13 approvals: {attempts} attempts, {attempts} survived");
    let refused = bench.by("bob", &["approval", "deny", &id]);
    assert_eq!(refused.code, 0, "whoever agreed may think again: {refused:?}");
    assert_eq!(collect(exec).code, 3);
    assert!(!bench.has_column());
}

/// Killed after every step: what has been said stays said, and nobody has to guess where it stands.
#[test]
fn a_server_killed_between_the_steps_goes_on_where_it_was() {
    let mut bench = Bench::new(", quorum: 2");
    let asked = collect(bench.exec(&["--no-wait", "-c", HELD]));
    let id = asked.stdout.trim().to_owned();
    let config = bench.sandbox.home.join("gov.yaml");
    let port = bench.sandbox.url().trim_start_matches("https://").to_owned();
    let restart = |bench: &mut Bench| {
        bench.sandbox.kill_server();
        bench.sandbox.start_server_at(&port, &["--dev", "--config", config.to_str().unwrap()]);
    };
    let shown = |bench: &Bench| bench.by("bob", &["approval", "show", &id]).ok().stdout;
    restart(&mut bench);
    assert_eq!(bench.state(&id), "pending");
    bench.by("bob", &["approval", "approve", &id, "--reason", "first"]).ok();
    restart(&mut bench);
    assert_eq!(bench.state(&id), "pending");
    assert!(shown(&bench).contains("bob agreed: first"), "{}", shown(&bench));
    // The one who agreed before the kill still counts once.
    bench.by("bob", &["approval", "approve", &id]).ok();
    assert_eq!(bench.state(&id), "pending");
    bench.by("carol", &["approval", "approve", &id, "--reason", "second"]).ok();
    restart(&mut bench);
    assert_eq!(bench.state(&id), "approved");
    assert!(!bench.has_column());
    assert_eq!(collect(bench.exec(&["--approval", &id, "-c", HELD])).code, 0);
    bench.becomes(&id, "executed");
    restart(&mut bench);
    assert_eq!(bench.state(&id), "executed");
    let again = collect(bench.exec(&["--approval", &id, "-c", HELD]));
    assert!(again.code == 3 && again.stderr.contains("approval is executed"), "{again:?}");
}

/// Another person answers for the agent from now on: in sessions that are open, too, it is them who does not decide.
#[test]
fn whoever_answers_for_an_agent_now_does_not_decide() {
    let bench = Bench::with("", AGENT);
    bench.sandbox.log_in("alice");
    let connected = bench.sandbox.connect(&["prod-db", "--write", "--agent", "fixer", "--purpose", "repair"]).unwrap();
    let mut wire = connected.wire(&[]).unwrap();
    let path = bench.sandbox.home.join("gov.yaml");
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, config.replace("owner: carol", "owner: bob")).unwrap();
    let begun = Instant::now();
    while !bench.sandbox.server_log().contains("the configuration was changed") {
        assert!(begun.elapsed() < PATIENCE, "{}", bench.sandbox.server_log());
        std::thread::sleep(Duration::from_millis(50));
    }
    let running = std::thread::spawn(move || wire.simple(HELD.as_bytes()));
    let id = bench.waiting();
    let own = bench.by("bob", &["approval", "approve", &id]);
    assert_eq!((own.code, own.stderr.contains("nobody decides about their own request")), (3, true), "{own:?}");
    bench.by("carol", &["approval", "approve", &id]).ok();
    let answer = running.join().unwrap();
    assert_eq!(answer.tags, ["ALTER TABLE"], "{answer:?}");
}

/// The same of requests that are open: a yes of whoever answers for the agent now is none, and what rested on it is taken
/// back. Whoever answered for it when it asked does not decide either.
#[test]
fn whoever_answers_for_an_agent_now_has_not_agreed() {
    let bench = Bench::with("", AGENT);
    let asks = |more: &[&str]| {
        let base = ["--agent", "fixer", "--purpose", "repair", "--no-wait"];
        collect(bench.exec(&[&base[..], more, &["-c", HELD]].concat()))
    };
    let ask = || asks(&[]).stdout.trim().to_owned();
    let (agreed, open) = (ask(), ask());
    bench.by("bob", &["approval", "approve", &agreed]).ok();
    assert_eq!((bench.state(&agreed).as_str(), bench.state(&open).as_str()), ("approved", "pending"));
    let path = bench.sandbox.home.join("gov.yaml");
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, config.replace("owner: carol", "owner: bob")).unwrap();
    bench.becomes(&agreed, "revoked");
    let shown = bench.by("bob", &["approval", "show", &agreed]).ok().stdout;
    assert!(shown.contains("whoever said it answers for the agent now"), "{shown}");
    let used = asks(&["--approval", &agreed]);
    assert!(used.code == 3 && used.stderr.contains("approval was taken back"), "{used:?}");
    for who in ["bob", "carol", "alice"] {
        let own = bench.by(who, &["approval", "approve", &open]);
        assert_eq!((own.code, own.stderr.contains("nobody decides about their own request")), (3, true), "{own:?}");
    }
    assert_eq!(bench.state(&open), "pending");
    assert!(!bench.has_column());
}

/// The planner is asked before anything runs, by what the session itself may do, with the values at hand; what it cannot
/// say, somebody else has to agree to.
#[test]
fn estimates_hold_and_deny_before_anything_runs() {
    let cases = "policy: {cases: [{name: large changes, if: {operation: [update, delete], estimated_rows_over: 20}, then: hold}, \
                 {name: huge reads, if: {operation: read, relation: public.orders, estimated_rows_over: 90}, then: deny}]}\n";
    let bench = Bench::with("", cases);
    postgres::server().run(&bench.database.name, "ANALYZE");
    let changed = || {
        postgres::server()
            .run(&bench.database.name, "SELECT count(*) FROM orders WHERE status = 'x'")
            .parse::<u32>()
            .unwrap()
    };
    let update = |rows: u32| format!("update orders set status = 'x' where id <= {rows}");
    bench.sandbox.log_in("alice");
    let exec = |sql: &str| bench.sandbox.gov(["exec", "prod-db", "--write", "--no-wait", "-c", sql]);
    let few = exec(&update(5)).ok();
    assert!(few.stderr.contains("UPDATE 5"), "{few:?}");
    let held = exec(&update(40));
    assert_eq!((held.code, changed()), (5, 5), "{held:?}");
    let denied = exec("select id from orders where id > 0");
    assert!(
        denied.code == 3 && denied.stderr.contains("The planner expects 100 rows. Case: huge reads."),
        "{denied:?}"
    );
    exec("select id from orders where id = 7").ok();

    // Values count as they are bound; where they cannot be read, or there are several commands, nobody knows.
    let connected = bench.sandbox.connect(&["prod-db", "--write"]).unwrap();
    let mut wire = connected.wire(&[("gov.wait", "off")]).unwrap();
    let bound = b"UPDATE orders SET status = 'x' WHERE id <= $1::int";
    assert_eq!(wire.extended(bound, &["6"]).tags, ["UPDATE 6"]);
    let held = |answer: Answer| {
        assert_eq!((answer.errors.len(), answer.tags.len(), answer.closed), (1, 0, false), "{answer:?}");
        assert!(answer.errors[0].message.contains("needs approval"), "{answer:?}");
    };
    held(wire.extended(bound, &["60"]));
    held(wire.simple(b"UPDATE orders SET status = 'x' WHERE id = 1; UPDATE orders SET status = 'x' WHERE id = 2"));
    assert_eq!(wire.simple(b"BEGIN").tags, ["BEGIN"]);
    assert_eq!(wire.simple(b"UPDATE orders SET status = 'x' WHERE id = 7").tags, ["UPDATE 1"]);
    held(wire.simple(update(60).as_bytes()));
    assert_eq!(wire.simple(b"COMMIT").tags, ["COMMIT"]);
    assert_eq!(changed(), 7);

    // Whoever decides is shown the number, may try it out, and what they agree to runs as it came.
    let pending = || -> Vec<String> {
        let list = bench.sandbox.gov(["approval", "ls", "--json"]).ok().json();
        let entries = list["approvals"].as_array().unwrap().iter().filter(|entry| entry["state"] == "pending");
        entries.map(|entry| entry["approval"].as_str().unwrap().to_owned()).collect()
    };
    bench.sandbox.log_in("bob");
    // Of those nobody waits for any more.
    let before = pending();
    let waiting = bench.exec(&["-c", &update(50)]);
    bench.sandbox.log_in("bob");
    let begun = Instant::now();
    let id = loop {
        if let Some(id) = pending().into_iter().find(|id| !before.contains(id)) {
            break id;
        }
        assert!(begun.elapsed() < PATIENCE, "nothing waits");
        std::thread::sleep(Duration::from_millis(100));
    };
    let shown = bench.sandbox.gov(["approval", "show", &id]).ok().stdout;
    assert!(shown.contains("The planner expects ") && !shown.contains("estimate     not known"), "{shown}");
    let tried = bench.sandbox.gov(["approval", "show", &id, "--dry-run"]).ok().stdout;
    assert!(tried.contains("50"), "{tried}");
    assert_eq!(changed(), 7);
    bench.by("bob", &["approval", "approve", &id]).ok();
    let ran = collect(waiting);
    assert_eq!((ran.code, changed()), (0, 50), "{ran:?}");
    assert!(ran.stderr.contains("this is a case that the policy names"), "{ran:?}");
}
