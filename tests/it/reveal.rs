//! Real values of masked columns: only to sessions that asked for them, only by policy or approval, and on record.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::support::postgres::Database;
use crate::support::wire::Wire;
use crate::support::{Ran, Sandbox, collect, postgres, wait_until};

/// How long something may take to show on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

const SHOW: &str = "select email, credit_card from customers where id = 1";
const CLEAR: &str = "person1@mail.example.org";
const CARD: &str = "**** **** **** 1111";

/// A production database with masked columns. Support may see addresses without asking anybody, an agent may not.
const CONFIG: &str = "
server: {listen: '127.0.0.1:0', data: data}
users:
  alice: {groups: [support]}
  bob: {groups: [approver, support]}
resources:
  prod-db: {url: 'postgres://gov_broker@127.0.0.1:PORT/NAME', password: {file: broker.password}, labels: {env: prod},
            roles: {read: app_ro, write: app_rw}, masking: PLACE}
purposes:
  ticket: {description: A customer asked, access: read}
  report: {description: Numbers, access: read}
agents:
  bot: {owner: carol, charter: bot.md, who: {group: support}, purposes: [ticket]}
access:
  - {who: {group: support}, labels: {env: prod}, access: read, ttl: 1h}
approvals: {approvers: [approver]}
policy:
  rules: {masked_copy: deny}
  cases:
    - name: whoever answers a customer may see their address
      if: {kind: [person, agent], purpose: ticket, relation: [public.customers, public.contacts]}
      then: allow
      rules: revealed_column
";

/// A view of what may be revealed, and another table with addresses.
const PREPARED: &str = "CREATE VIEW contacts AS SELECT id, email, upper(email) AS shouted, credit_card FROM customers; \
    CREATE TABLE staff (id int, email text, manager text); GRANT SELECT ON contacts, staff TO app_ro; \
    INSERT INTO staff SELECT i, 'staff' || i || '@corp.example', 'boss' || i || '@corp.example' FROM generate_series(1, 30) i";

/// The views that sessions have of their own.
const OWN: &str = "SELECT count(*) FROM pg_views WHERE schemaname ~ '^gov_mask_[0-9a-f]{8}_[0-9a-z]{26}_'";

struct Bench {
    sandbox: Sandbox,
    database: Database,
}

impl Bench {
    fn new(masking: &str) -> Self {
        let database = postgres::server().database();
        let mut sandbox = Sandbox::new();
        let way = sandbox.gov(["server", "--print-masking-sql", "gov_broker"]).ok().stdout;
        postgres::server().run(&database.name, &way);
        postgres::server().run(&database.name, PREPARED);
        sandbox.write_secret("broker.password", postgres::PASSWORD);
        sandbox.write("bot.md", "Answers what customers ask.");
        let port = postgres::server().port.to_string();
        let config = CONFIG.replace("PORT", &port).replace("NAME", &database.name).replace("PLACE", masking);
        let config = sandbox.write("gov.yaml", &config);
        sandbox.start_server(&["--dev", "--config", config.to_str().unwrap()]);
        sandbox.log_in("alice");
        Self { sandbox, database }
    }

    fn run(&self, sql: &str) -> String {
        postgres::server().run(&self.database.name, sql)
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
    shown_by_approval(&Bench::new("wire"));
}

#[test]
fn a_revealed_column_is_shown_by_approval_where_the_database_masks() {
    shown_by_approval(&Bench::new("database"));
}

fn shown_by_approval(bench: &Bench) {
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
    shown_by_policy(&Bench::new("wire"));
}

#[test]
fn a_policy_may_let_a_purpose_see_a_column_where_the_database_masks() {
    shown_by_policy(&Bench::new("database"));
}

fn shown_by_policy(bench: &Bench) {
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

#[test]
fn the_database_shows_a_revealed_column_to_its_session_only_and_as_long_as_it_lasts() {
    let bench = Bench::new("database");
    let reveals = ["prod-db", "--purpose", "ticket", "--reveal", "customers.email"];
    let other = bench.sandbox.connect(&["prod-db", "--purpose", "report"]).unwrap();
    let mut masked = other.wire(&[]).unwrap();
    assert_eq!(bench.run(OWN), "0");
    let connected = bench.sandbox.connect(&reveals).unwrap();
    let mut wire = connected.wire(&[]).unwrap();
    let cell = |wire: &mut Wire, sql: &str| {
        let answer = wire.simple(sql.as_bytes());
        let error = answer.errors.first().map(|error| error.sqlstate.clone());
        error.unwrap_or_else(|| answer.rows.iter().flatten().next().cloned().flatten().unwrap_or_default())
    };
    // Whatever name it has, and through a view of it; what was not asked for stays masked, and is found by masked values.
    for relation in ["customers", "public.customers", "contacts", "(TABLE customers)"] {
        assert_eq!(cell(&mut wire, &format!("SELECT email FROM {relation} t WHERE id = 1")), CLEAR, "{relation}");
        assert_eq!(cell(&mut wire, &format!("SELECT credit_card FROM {relation} t WHERE id = 1")), CARD, "{relation}");
    }
    assert_eq!(cell(&mut wire, "SELECT shouted FROM contacts WHERE id = 1"), CLEAR.to_uppercase());
    assert_eq!(cell(&mut wire, &format!("SELECT id FROM customers WHERE email = '{CLEAR}'")), "1");
    assert!(cell(&mut wire, "SELECT email FROM staff WHERE id = 1").ends_with("@masked.invalid"));
    assert_eq!(bench.run(OWN), "2");
    // What is asked about a revealed column is asked of real values: it is guarded as where masks are put on on the way.
    for sql in [
        "SELECT count(*) FROM customers WHERE email LIKE 'person1%'",
        "CREATE TEMP TABLE kept AS SELECT email FROM customers",
    ] {
        assert_eq!(cell(&mut wire, sql), "42501", "{sql}");
    }
    // Nobody else sees it: not by name, not by path, not by right.
    let schema = bench.run(&OWN.replace("count(*)", "DISTINCT schemaname"));
    for wire in [&mut masked, &mut wire] {
        let sees = "SELECT email FROM customers WHERE id = 1";
        assert_eq!(cell(wire, &sees.replace("customers", &format!("{schema}.customers"))), "42P01");
        assert_eq!(cell(wire, &format!("SET search_path = {schema}; {sees}")), "42501");
    }
    assert!(cell(&mut masked, "SELECT email FROM customers WHERE id = 1").ends_with("@masked.invalid"));
    let role = cell(&mut masked, "SELECT current_user");
    assert_eq!(bench.run(&format!("SELECT has_schema_privilege('{role}', '{schema}', 'USAGE')")), "f");
    assert_eq!(bench.run(&format!("SELECT has_table_privilege('{role}', '{schema}.customers', 'SELECT')")), "f");
    // A migration takes the views away, and they come back.
    bench.run("ALTER TABLE customers ALTER country TYPE varchar(90)");
    wait_until("the view is back", || cell(&mut wire, "SELECT email FROM customers WHERE id = 1") == CLEAR);
    assert!(cell(&mut masked, "SELECT email FROM customers WHERE id = 1").ends_with("@masked.invalid"));
    // It ends with the session, and leaves nothing behind.
    drop((wire, connected));
    wait_until("the views are gone", || bench.run(OWN) == "0");
    assert_eq!(bench.run("SELECT count(*) FROM pg_namespace WHERE nspname ~ '_[0-9a-z]{26}_public$'"), "0");
    assert!(cell(&mut masked, "SELECT email FROM customers WHERE id = 1").ends_with("@masked.invalid"));
}
