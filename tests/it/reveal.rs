//! Real values of masked columns: only to sessions that asked for them, only by policy or approval, and on record.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Ran, Sandbox, collect, postgres};

/// How long something may take to show on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

const SHOW: &str = "select email, credit_card from customers where id = 1";
const CLEAR: &str = "person1@mail.example.org";

/// A production database with masked columns. Support may see addresses without asking anybody, an agent may not.
const CONFIG: &str = "
server: {listen: '127.0.0.1:0', data: data}
users:
  alice: {groups: [support]}
  bob: {groups: [approver, support]}
resources:
  prod-db: {url: 'postgres://gov_broker@127.0.0.1:PORT/NAME', password: {file: broker.password}, labels: {env: prod},
            roles: {read: app_ro, write: app_rw}}
purposes:
  ticket: {description: A customer asked, access: read}
  report: {description: Numbers, access: read}
agents:
  bot: {owner: carol, charter: bot.md, who: {group: support}, purposes: [ticket]}
access:
  - {who: {group: support}, labels: {env: prod}, access: read, ttl: 1h}
approvals: {approvers: [approver]}
policy:
  cases:
    - name: whoever answers a customer may see their address
      if: {kind: [person, agent], purpose: ticket, relation: public.customers}
      then: allow
      rules: revealed_column
";

struct Bench {
    sandbox: Sandbox,
}

impl Bench {
    fn new() -> Self {
        let database = postgres::server().database();
        let mut sandbox = Sandbox::new();
        sandbox.write_secret("broker.password", postgres::PASSWORD);
        sandbox.write("bot.md", "Answers what customers ask.");
        let port = postgres::server().port.to_string();
        let config = sandbox.write("gov.yaml", &CONFIG.replace("PORT", &port).replace("NAME", &database.name));
        sandbox.start_server(&["--dev", "--config", config.to_str().unwrap()]);
        sandbox.log_in("alice");
        Self { sandbox }
    }

    fn exec(&self, arguments: &[&str]) -> Ran {
        self.sandbox.gov([&["exec", "prod-db", "--format", "csv", "-c", SHOW][..], arguments].concat())
    }

    fn waits(&self, arguments: &[&str]) -> Child {
        let arguments = [&["exec", "prod-db", "--format", "csv", "-c", SHOW][..], arguments].concat();
        self.sandbox.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// The request that waits, once there is one.
    fn asked(&self) -> String {
        self.sandbox.log_in("bob");
        let begun = Instant::now();
        loop {
            let list = self.sandbox.gov(["approval", "ls", "--json"]).ok().json();
            let mut entries = list["approvals"].as_array().unwrap().iter();
            if let Some(entry) = entries.find(|entry| entry["state"] == "pending") {
                return entry["approval"].as_str().unwrap().to_owned();
            }
            assert!(begun.elapsed() < PATIENCE, "nothing waits: {list}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn a_revealed_column_is_shown_by_approval_and_the_others_stay_masked() {
    let bench = Bench::new();
    let masked = bench.exec(&[]).ok();
    assert!(!masked.stdout.contains(CLEAR), "{masked:?}");

    let exec = bench.waits(&["--reveal", "customers.email"]);
    let id = bench.asked();
    let shown = bench.sandbox.gov(["approval", "show", &id]).ok().stdout;
    for part in ["this would show `public.customers.email` as it is", "rule revealed_column", SHOW, "alice"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    bench.sandbox.gov(["approval", "approve", &id]).ok();
    let ran = collect(exec);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains(CLEAR) && ran.stdout.contains("1111") && !ran.stdout.contains("4111"), "{ran:?}");

    // Refused, it shows nothing.
    bench.sandbox.log_in("alice");
    let exec = bench.waits(&["--reveal", "customers.email"]);
    let id = bench.asked();
    bench.sandbox.gov(["approval", "deny", &id]).ok();
    let ran = collect(exec);
    assert!(ran.code == 3 && !ran.stdout.contains("person1"), "{ran:?}");
    assert!(ran.stderr.contains("this would show `public.customers.email` as it is"), "{ran:?}");
}

#[test]
fn a_policy_may_let_a_purpose_see_a_column_but_never_an_agent() {
    let bench = Bench::new();
    let ran = bench.exec(&["--purpose", "ticket", "--reveal", "customers.email"]).ok();
    assert!(ran.stdout.contains(CLEAR), "{ran:?}");
    // Another purpose, and somebody's agent, must be let.
    for arguments in [["--purpose", "report"].as_slice(), &["--purpose", "ticket", "--agent", "bot"]] {
        let ran = bench.exec(&[arguments, &["--no-wait", "--reveal", "customers.email"]].concat());
        assert!(ran.code == 5 && !ran.stdout.contains("person1"), "{ran:?}");
        assert!(ran.stderr.contains("this would show `public.customers.email` as it is"), "{ran:?}");
    }
    let unknown = bench.exec(&["--reveal", "customers.mail"]);
    assert!(unknown.stderr.contains("there is no column `customers.mail`"), "{unknown:?}");

    let explained = bench.sandbox.gov(["explain", "prod-db", SHOW, "--reveal", "public.customers.email"]).ok();
    assert!(
        explained.stderr.contains("would wait for approval") && explained.stdout.contains("clear"),
        "{explained:?}"
    );

    // On record are the rule, and what went out as it is.
    let begun = Instant::now();
    loop {
        let timeline = bench.sandbox.gov(["timeline", "--all", "--json"]).ok().stdout;
        let is_it = |entry: &str| entry.contains("revealed_column") && entry.contains(r#""clear_tags":["email"]"#);
        if timeline.lines().any(is_it) {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{timeline}");
        std::thread::sleep(Duration::from_millis(200));
    }
}
