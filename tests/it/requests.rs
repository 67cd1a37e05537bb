//! Access that has to be asked for: requested, approved, used, taken back; and taken in an emergency, and reviewed.

use std::time::{Duration, Instant};

use crate::approvals::{assert_signed, one_message};
use crate::support::{Ran, Sandbox, postgres};

/// How long something may take to show on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A production database that developers must ask for, and two people who approve.
struct Bench {
    sandbox: Sandbox,
}

impl Bench {
    fn new() -> Self {
        Self::with("")
    }

    /// With more in the section about approvals.
    fn with(more: &str) -> Self {
        let database = postgres::server().database();
        let mut sandbox = Sandbox::new();
        sandbox.write_secret("broker.password", postgres::PASSWORD);
        let config = format!(
            "server: {{listen: '127.0.0.1:0', data: data}}\nusers:\n  alice: {{groups: [dev, approver]}}\n  bob: {{groups: \
             [approver]}}\n  mallory: {{groups: [dev]}}\nresources:\n  prod-db: {{url: 'postgres://gov_broker@127.0.0.1:{}/{}', \
             password: {{file: broker.password}}, labels: {{env: prod}}, roles: {{read: app_ro, write: app_rw}}}}\n\
             access:\n  - {{who: {{group: dev}}, labels: {{env: prod}}, access: write, ttl: 1h, approval: true, break_glass: \
             2s}}\napprovals: {{approvers: [approver]{more}}}\n",
            postgres::server().port,
            database.name
        );
        let config = sandbox.write("gov.yaml", &config);
        sandbox.start_server(&["--dev", "--config", config.to_str().unwrap()]);
        Self { sandbox }
    }

    /// Runs `gov` as somebody.
    fn by(&self, who: &str, arguments: &[&str]) -> Ran {
        self.sandbox.log_in(who);
        self.sandbox.gov(arguments)
    }

    fn entry(&self, id: &str) -> serde_json::Value {
        let list = self.by("bob", &["approval", "ls", "--all", "--json"]).ok().json();
        list["approvals"].as_array().unwrap().iter().find(|entry| entry["approval"] == id).unwrap().clone()
    }

    fn becomes(&self, id: &str, state: &str) {
        let begun = Instant::now();
        while self.entry(id)["state"] != state {
            assert!(begun.elapsed() < PATIENCE, "{}", self.entry(id));
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

#[test]
fn access_is_asked_for_given_used_and_taken_back() {
    let bench = Bench::new();
    let connect = ["connect", "prod-db", "--write", "--", "true"];
    let listed = bench.by("alice", &["ls"]).ok().stdout;
    assert!(listed.contains("write (ask)"), "{listed}");
    let refused = bench.by("alice", &connect);
    assert_eq!(refused.code, 5, "{refused:?}");
    assert!(refused.stderr.contains("gov request prod-db --write --reason"), "{refused:?}");
    assert_eq!(bench.by("alice", &["request", "prod-db", "--write", "--reason", " "]).code, 2);

    let asked = bench.by("alice", &["request", "prod-db", "--write", "--ttl", "30m", "--reason", "backfill"]).ok();
    let id = asked.stdout.trim().to_owned();
    assert!(asked.stderr.contains(&format!("gov approval approve {id}")), "{asked:?}");
    let again = bench.by("alice", &["request", "prod-db", "--write", "--ttl", "30m", "--reason", "backfill"]).ok();
    assert_eq!(again.stdout.trim(), id, "asking twice is asking once");
    assert_eq!(bench.by("alice", &connect).code, 5, "nobody has agreed");
    let own = bench.by("alice", &["approval", "approve", &id]);
    assert_eq!((own.code, own.stderr.contains("nobody decides about their own request")), (3, true), "{own:?}");
    assert_eq!(bench.by("mallory", &["approval", "approve", &id]).code, 7);

    let shown = bench.by("bob", &["approval", "show", &id]).ok().stdout;
    assert!(shown.contains("asks for write access for 30m: backfill"), "{shown}");
    bench.by("bob", &["approval", "approve", &id]).ok();
    bench.by("alice", &connect).ok();
    // Reading is less than writing; somebody else has nothing of it.
    bench.by("alice", &["connect", "prod-db", "--", "true"]).ok();
    assert_eq!(bench.by("mallory", &connect).code, 5);

    // Taken back, what was opened by it ends at once.
    bench.sandbox.log_in("alice");
    let connected = bench.sandbox.connect(&["prod-db", "--write"]).unwrap();
    let mut wire = connected.wire(&[]).unwrap();
    assert_eq!(wire.simple(b"UPDATE orders SET status = 'open' WHERE id = 1").tags, ["UPDATE 1"]);
    bench.by("bob", &["approval", "deny", &id, "--reason", "enough"]).ok();
    let ended = wire.simple(b"SELECT 1");
    assert!(ended.closed && ended.errors[0].message.contains("its approval is revoked"), "{ended:?}");
    assert_eq!(bench.by("alice", &connect).code, 5);
    assert_eq!(bench.entry(&id)["state"], "revoked");
}

#[test]
fn access_taken_in_an_emergency_is_reviewed_by_somebody_else() {
    let bench = Bench::new();
    let take = ["request", "prod-db", "--write", "--break-glass", "--reason", "checkout is down"];
    let taken = bench.by("alice", &take).ok();
    let id = taken.stdout.trim().to_owned();
    assert!(taken.stderr.contains("somebody else reviews it"), "{taken:?}");
    bench.sandbox.log_in("alice");
    let entry = bench.entry(&id);
    assert_eq!((entry["about"].as_str(), entry["review_by"].is_string()), (Some("break_glass"), true), "{entry}");
    bench.becomes(&id, "lapsed");
    assert_eq!(bench.by("alice", &["connect", "prod-db", "--write", "--", "true"]).code, 5, "its time is over");

    // It stays open until somebody else has looked.
    let open = || bench.by("bob", &["approval", "ls", "--json"]).ok().json()["approvals"].as_array().unwrap().len();
    assert_eq!(open(), 1);
    assert_eq!(bench.by("alice", &["approval", "review", &id]).code, 3, "nobody reviews their own");
    bench.by("bob", &["approval", "review", &id, "--reason", "restarted a worker, nothing else"]).ok();
    assert_eq!((open(), bench.entry(&id)["state"].as_str()), (0, Some("reviewed")));
    let timeline = bench.by("bob", &["timeline", "--json"]);
    assert_eq!(timeline.code, 0, "{timeline:?}");
}

/// Whoever took access and let nobody look at it takes no more; asking for it is still open to them, taking to others.
#[test]
fn an_overdue_review_blocks_the_next_emergency_of_the_same_person() {
    let mut bench = Bench::new();
    let take = ["request", "prod-db", "--write", "--break-glass", "--reason", "checkout is down"];
    let id = bench.by("alice", &take).ok().stdout.trim().to_owned();
    bench.becomes(&id, "lapsed");
    // It is due in a day: until then the next emergency is as real as the first.
    let second = bench.by("alice", &take).ok().stdout.trim().to_owned();
    assert_ne!(second, id);
    bench.becomes(&second, "lapsed");

    // A day later.
    let config = bench.sandbox.home.join("gov.yaml");
    // Where it was before, or the built-in issuer is another one and knows other people.
    let address = bench.sandbox.url().trim_start_matches("https://").to_owned();
    bench.sandbox.stop_server();
    let store = rusqlite::Connection::open(bench.sandbox.home.join("data/gov.db")).unwrap();
    let aged = "UPDATE approvals SET body = json_set(body, '$.review_by_ms', 1) WHERE id = ?1";
    assert_eq!(store.execute(aged, [&id]).unwrap(), 1);
    drop(store);
    bench.sandbox.start_server_at(&address, &["--dev", "--config", config.to_str().unwrap()]);
    let refused = bench.by("alice", &take);
    assert_eq!(refused.code, 3, "{refused:?}");
    assert!(refused.stderr.contains(&format!("what was done with {id} has not been reviewed")), "{refused:?}");
    assert!(refused.stderr.contains(&format!("let somebody run: gov approval review {id}")), "{refused:?}");
    bench.by("mallory", &take).ok();
    bench.by("alice", &["request", "prod-db", "--write", "--reason", "checkout is down"]).ok();

    assert_eq!(bench.by("alice", &["approval", "review", &id]).code, 3, "nobody unblocks themselves");
    bench.by("bob", &["approval", "review", &id, "--reason", "seen"]).ok();
    let request = bench.by("alice", &["approval", "ls", "--json"]).ok().json();
    let waiting = request["approvals"].as_array().unwrap().iter().find(|entry| entry["state"] == "pending").unwrap();
    bench.by("alice", &["approval", "withdraw", waiting["approval"].as_str().unwrap()]).ok();
    bench.by("alice", &take).ok();
}

/// Each state that a request for access comes to is told, in order, and signed.
#[test]
fn webhooks_hear_of_every_state_of_access() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let hook = format!("http://127.0.0.1:{}/hook", listener.local_addr().unwrap().port());
    let (sender, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        // Ends with the test, whose end of the channel is then gone.
        while sender.send(one_message(&listener)).is_ok() {}
    });
    let bench = Bench::with(&format!(", webhooks: [{{url: '{hook}', secret: {{file: broker.password}}}}]"));
    let hear = |id: &str, about: &str, states: &[&str]| {
        let mut from = serde_json::Value::Null;
        for state in states {
            let (body, signature) = told.recv_timeout(PATIENCE).unwrap();
            assert_signed(&body, &signature);
            let news: serde_json::Value = serde_json::from_str(&body).unwrap();
            let expected = (id, about, from, *state);
            let found = (news["approval"].as_str().unwrap(), news["about"].as_str().unwrap(), news["from"].clone());
            assert_eq!((found.0, found.1, found.2, news["state"].as_str().unwrap()), expected, "{body}");
            assert_eq!((news["who"].as_str(), news["resource"].as_str()), (Some("alice"), Some("prod-db")), "{body}");
            from = (*state).into();
        }
    };
    let ask = |ttl: &str| {
        let asked = bench.by("alice", &["request", "prod-db", "--write", "--ttl", ttl, "--reason", "backfill"]).ok();
        asked.stdout.trim().to_owned()
    };
    let id = ask("30m");
    bench.by("bob", &["approval", "approve", &id]).ok();
    bench.by("bob", &["approval", "deny", &id, "--reason", "enough"]).ok();
    hear(&id, "access", &["pending", "approved", "revoked"]);
    let id = ask("30m");
    bench.by("bob", &["approval", "deny", &id, "--reason", "no"]).ok();
    hear(&id, "access", &["pending", "denied"]);
    let id = ask("30m");
    bench.by("alice", &["approval", "withdraw", &id]).ok();
    hear(&id, "access", &["pending", "withdrawn"]);
    let id = ask("2s");
    bench.by("bob", &["approval", "approve", &id]).ok();
    hear(&id, "access", &["pending", "approved", "lapsed"]);
    let taken = ["request", "prod-db", "--write", "--break-glass", "--reason", "checkout is down"];
    let id = bench.by("alice", &taken).ok().stdout.trim().to_owned();
    bench.becomes(&id, "lapsed");
    // However soon that is looked at, both are told.
    bench.by("bob", &["approval", "review", &id, "--reason", "seen"]).ok();
    hear(&id, "break_glass", &["approved", "lapsed", "reviewed"]);
}
