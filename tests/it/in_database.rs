//! Masks inside the database, on a real PostgreSQL: made, seen, kept in step, said aloud, and taken away again. What they
//! keep is tried in `leak.rs`.

use std::time::{Duration, Instant};

use crate::support::postgres::{self, Database};
use crate::support::wire::Wire;
use crate::support::{Connected, Sandbox};

/// The schemas, views and roles of gov's masks.
const MADE: &str = "SELECT (SELECT count(*) FROM pg_namespace WHERE nspname ~ '^gov_mask_') \
    + (SELECT count(*) FROM pg_roles WHERE rolname ~ '^gov_mask_' AND EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = rolname))";

struct Bench {
    sandbox: Sandbox,
    database: Database,
}

impl Bench {
    fn new(masking: &str, may_create: bool) -> Self {
        let database = postgres::server().database();
        if may_create {
            let grant = format!("GRANT CREATE ON DATABASE {} TO gov_broker", database.name);
            postgres::server().run(&database.name, &grant);
        }
        let mut sandbox = Sandbox::new();
        let resource = database.resource("db", &sandbox.home, &format!("env=dev&masking={masking}"));
        sandbox.start_server(&["--dev", "--resource", &resource]);
        sandbox.log_in("alice");
        Self { sandbox, database }
    }

    fn run(&self, sql: &str) -> String {
        postgres::server().run(&self.database.name, sql)
    }

    fn connect(&self) -> Connected {
        self.sandbox.connect(&["db"]).unwrap()
    }

    /// Where a new session is masked, as it says itself.
    fn masking(&self) -> String {
        self.sandbox.gov(["exec", "db", "-c", "SELECT 1"]).ok();
        let found = self.sandbox.gov(["--json", "classify", "db"]).ok().json();
        found["masking"].as_str().unwrap().to_owned()
    }
}

/// The cells of the first row, as text.
fn first(wire: &mut Wire, sql: &str) -> Vec<String> {
    let answer = wire.simple(sql.as_bytes());
    assert!(answer.errors.is_empty(), "{sql}: {answer:?}");
    let row = answer.rows.first().unwrap_or_else(|| panic!("{sql}: no row"));
    row.iter().map(|cell| cell.clone().unwrap_or_else(|| "NULL".to_owned())).collect()
}

fn sqlstate(wire: &mut Wire, sql: &str) -> String {
    wire.simple(sql.as_bytes()).errors.first().map(|error| error.sqlstate.clone()).unwrap_or_default()
}

/// Waits for what happens by itself.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(90), "{what} does not happen");
        std::thread::sleep(Duration::from_millis(300));
    }
}

#[test]
fn whoever_reads_asks_masked_values() {
    let bench = Bench::new("database", true);
    assert_eq!(bench.masking(), "in-database");
    let connected = bench.connect();
    let mut wire = connected.wire(&[]).unwrap();
    // Conditions, joins and functions meet masked values, so nothing needs to be refused.
    let email = first(&mut wire, "SELECT email FROM customers WHERE id = 7");
    assert!(email[0].ends_with("@masked.invalid"), "{email:?}");
    assert_eq!(
        first(&mut wire, "SELECT split_part(email, '@', 2) FROM public.customers WHERE id = 7"),
        ["masked.invalid"]
    );
    assert_eq!(first(&mut wire, "SELECT count(*) FROM customers WHERE email LIKE '%example%'"), ["0"]);
    let same = "SELECT count(*) FROM customers a JOIN public.customers b USING (email)";
    assert_eq!(first(&mut wire, same), ["20"]);
    assert_eq!(first(&mut wire, "SELECT id, email FROM customers WHERE email = 'person7@mail.example.org'")[0], "7");
    assert_eq!(first(&mut wire, &format!("SELECT id FROM customers WHERE email = '{}'", email[0])), ["7"]);
    assert_eq!(
        first(&mut wire, "SELECT right(credit_card, 4), born FROM customers WHERE id = 7"),
        ["1111", "1970-09-01"]
    );
    // What is not sensitive is as it was.
    assert_eq!(first(&mut wire, "SELECT sum(amount) FROM public.orders"), ["7575.0"]);
    assert_eq!(
        first(&mut wire, "SET search_path = pg_catalog; SELECT country FROM public.customers WHERE id = 7"),
        ["DE"]
    );
    // A position is one in the text that was written.
    let wrong = wire.simple(b"SELECT nope FROM public.customers");
    assert_eq!(wrong.errors[0].sqlstate, "42703", "{wrong:?}");
    // The same pseudonym as on the way.
    let way = Bench::new("wire", true);
    assert_eq!(way.masking(), "on-wire (reduced guarantee)");
}

#[test]
fn the_role_has_no_right_on_what_is_behind() {
    let bench = Bench::new("database", true);
    let connected = bench.connect();
    let mut wire = connected.wire(&[]).unwrap();
    let role = first(&mut wire, "SELECT current_user").remove(0);
    for (what, expected) in [
        ("has_table_privilege('{}', 'public.customers', 'SELECT')", "f"),
        ("has_any_column_privilege('{}', 'public.customers', 'SELECT')", "f"),
        ("bool_or(has_table_privilege('{}', c.oid, 'SELECT')) FROM pg_class c WHERE relname = 'key'", "f"),
        (
            "bool_or(has_table_privilege('{}', c.oid, 'SELECT')) FROM pg_class c WHERE relkind = 'v' AND relname = 'customers'",
            "t",
        ),
    ] {
        assert_eq!(bench.run(&format!("SELECT {}", what.replace("{}", &role))), expected, "{what}");
    }
    // Nobody calls what makes pseudonyms, and nobody reads the key.
    let support = bench.run(
        "SELECT nspname FROM pg_namespace WHERE nspname ~ '^gov_mask_[0-9a-f]{8}$' AND nspname IN \
        (SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE relname = 'key')",
    );
    for sql in [
        format!("SELECT {support}.pseudonym('email', 'email', 'x@x.example', 100)"),
        format!("SELECT * FROM {support}.key"),
    ] {
        assert!(!sqlstate(&mut wire, &sql).is_empty(), "{sql}");
    }
}

#[test]
fn views_follow_the_schema() {
    let bench = Bench::new("database", true);
    let connected = bench.connect();
    let mut wire = connected.wire(&[]).unwrap();
    assert_eq!(first(&mut wire, "SELECT count(*) FROM customers"), ["20"]);
    bench.run(
        "CREATE TABLE staff (id int, work_email text); GRANT SELECT ON staff TO app_ro; \
         INSERT INTO staff SELECT i, 'w' || i || '@corp.example' FROM generate_series(1, 30) i; \
         ALTER TABLE customers ADD mobile_phone text; UPDATE customers SET mobile_phone = '+4915112345' || 100 + id",
    );
    until("a new table's view", || sqlstate(&mut wire, "SELECT * FROM staff").is_empty());
    assert!(first(&mut wire, "SELECT lower(work_email) FROM public.staff")[0].ends_with("@masked.invalid"));
    until("a new column", || sqlstate(&mut wire, "SELECT mobile_phone FROM customers").is_empty());
    assert!(first(&mut wire, "SELECT mobile_phone FROM customers")[0].starts_with("+999"));
}

#[test]
fn what_cannot_be_had_is_said_and_never_replaced_in_silence() {
    let refused = Bench::new("database", false);
    let failed = refused.sandbox.gov(["exec", "db", "-c", "SELECT 1"]);
    assert!(failed.stderr.contains("cannot be masked in the database"), "{}", failed.stderr);
    until("the remedy", || refused.sandbox.server_log().contains("GRANT CREATE ON DATABASE"));
    let auto = Bench::new("auto", false);
    assert_eq!(auto.masking(), "on-wire (reduced guarantee)");
    assert!(auto.connect().wire(&[]).is_ok());
    // What everybody may read no view can keep.
    let open = Bench::new("auto", true);
    open.run("GRANT SELECT (email) ON customers TO PUBLIC");
    until("the check", || {
        drop(open.sandbox.gov(["exec", "db", "-c", "SELECT 1"]));
        open.masking() == "on-wire (reduced guarantee)"
    });
    assert!(open.sandbox.server_log().contains("REVOKE SELECT ON"));
}

#[test]
fn what_somebody_else_has_left_is_told() {
    let database = postgres::server().database();
    postgres::server().run(&database.name, "CREATE SCHEMA gov_mask_0badcafe; CREATE SCHEMA gov_mask_0badcafe_public");
    let mut sandbox = Sandbox::new();
    let resource = database.resource("db", &sandbox.home, "env=dev&masking=wire");
    sandbox.start_server(&["--dev", "--resource", &resource]);
    let told = |log: String| {
        log.contains("not of this resource")
            && log.contains("gov_mask_0badcafe_public")
            && log.contains("DROP OWNED BY")
    };
    until("what is left is told", || told(sandbox.server_log()));
}

#[test]
fn all_of_it_can_be_taken_away() {
    let bench = Bench::new("database", true);
    assert_eq!(bench.masking(), "in-database");
    assert_ne!(bench.run(MADE), "0");
    let refused = bench.sandbox.gov(["classify", "db", "--uninstall"]);
    assert!(refused.stderr.contains("operators only"), "{}", refused.stderr);
    bench.sandbox.log_in("dave");
    let away = bench.sandbox.gov(["classify", "db", "--uninstall"]);
    assert!(away.stderr.contains("Nothing of gov's masks is left"), "{}", away.stderr);
    assert_eq!(bench.run("SELECT count(*) FROM pg_namespace WHERE nspname ~ '^gov_mask_'"), "0");
    let again = bench.sandbox.gov(["classify", "db", "--uninstall"]);
    assert!(again.stderr.contains("There were no masking views"), "{}", again.stderr);
    // Without masks, and with the wish for them, nobody reads.
    bench.sandbox.log_in("alice");
    let failed = bench.sandbox.gov(["exec", "db", "-c", "SELECT 1"]);
    assert!(failed.stderr.contains("cannot be masked in the database"), "{}", failed.stderr);
}
