//! The audit inside the transaction, against a real PostgreSQL: what changes more than it may is rolled back, however it
//! is sent, and what stays within it is as if there were no gateway.

use crate::support::wire::Wire;
use crate::support::{Connected, Sandbox, postgres};

/// A schema whose tags and texts say less than what happens.
const SETUP: &str = "
    CREATE TABLE parents (id int PRIMARY KEY, note text);
    CREATE TABLE children (id int PRIMARY KEY, parent int REFERENCES parents ON DELETE CASCADE);
    CREATE TABLE log (at timestamptz DEFAULT now(), what text);
    CREATE TABLE checked (id int PRIMARY KEY, parent int REFERENCES parents DEFERRABLE INITIALLY DEFERRED);
    INSERT INTO parents SELECT i, 'x' FROM generate_series(1, 2000) i;
    INSERT INTO children SELECT i, 1 + i % 20 FROM generate_series(1, 3000) i;
    CREATE FUNCTION echo() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN INSERT INTO log (what) SELECT md5(i::text) FROM generate_series(1, 600) i; RETURN NEW; END';
    CREATE TRIGGER echo AFTER UPDATE ON parents FOR EACH ROW EXECUTE FUNCTION echo();
    GRANT SELECT ON ALL TABLES IN SCHEMA public TO app_ro, app_rw;
    GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO app_rw;
";

/// A database that is written to with the default cap of a thousand rows.
struct Bench {
    sandbox: Sandbox,
    database: postgres::Database,
    connected: Connected,
}

impl Bench {
    fn new() -> Self {
        let database = postgres::server().database();
        postgres::server().run(&database.name, SETUP);
        let mut sandbox = Sandbox::new();
        sandbox.write_secret("broker.password", postgres::PASSWORD);
        let config = format!(
            "server: {{listen: '127.0.0.1:0', data: data}}\nresources:\n  dev-db: {{url: 'postgres://gov_broker@127.0.0.1:{}/{}', \
             password: {{file: broker.password}}, labels: {{env: dev}}, roles: {{read: app_ro, write: app_rw}}}}\naccess:\n  - \
             {{who: {{group: dba}}, labels: {{env: dev}}, access: write, ttl: 1h}}\npolicy: {{limits: {{changed_rows: 1000}}}}\n",
            postgres::server().port,
            database.name
        );
        let config = sandbox.write("gov.yaml", &config);
        sandbox.start_server(&["--dev", "--config", config.to_str().unwrap()]);
        sandbox.log_in("bob");
        let connected = sandbox.connect(&["dev-db", "--write"]).unwrap();
        Self { sandbox, database, connected }
    }

    fn wire(&self) -> Wire {
        self.connected.wire(&[]).unwrap()
    }

    /// What the database holds, seen past the gateway.
    fn count(&self, what: &str) -> u32 {
        postgres::server().run(&self.database.name, &format!("SELECT count(*) FROM {what}")).parse().unwrap()
    }
}

#[test]
fn what_changes_too_much_is_rolled_back_however_it_is_sent() {
    let bench = Bench::new();
    let mut wire = bench.wire();
    let refused = |answer: crate::support::wire::Answer, rows: &str| {
        assert_eq!(answer.errors.len(), 1, "{answer:?}");
        assert_eq!(answer.errors[0].sqlstate, "42501", "{answer:?}");
        assert!(answer.errors[0].message.contains(&format!("changes {rows} rows")), "{answer:?}");
        assert_eq!(answer.errors[0].rule(), Some("changed_rows"));
        assert!(!answer.closed);
    };
    // The condition restricts nothing; the tag would say DELETE 2000.
    refused(wire.simple(b"DELETE FROM parents WHERE id > 0 AND note IS NOT NULL"), "5000");
    // Twenty rows, and what hangs on them.
    refused(wire.simple(b"DELETE FROM parents WHERE id <= 10"), "1510");
    // Two rows, and what their triggers write.
    refused(wire.simple(b"UPDATE parents SET note = 'y' WHERE id <= 2"), "1202");
    refused(wire.extended(b"DELETE FROM parents WHERE id <= $1::int", &["10"]), "1510");
    // In a transaction of the client's own it is the COMMIT that fails.
    assert_eq!(wire.simple(b"BEGIN").tags, ["BEGIN"]);
    assert_eq!(wire.simple(b"UPDATE parents SET note = 'y' WHERE id = 1").tags, ["UPDATE 1"]);
    assert_eq!(wire.simple(b"UPDATE parents SET note = 'y' WHERE id = 2").tags, ["UPDATE 1"]);
    refused(wire.simple(b"COMMIT"), "1202");
    assert_eq!(wire.extended(b"BEGIN", &[]).tags, ["BEGIN"]);
    assert_eq!(wire.extended(b"DELETE FROM parents WHERE id <= $1::int", &["10"]).tags, ["DELETE 10"]);
    refused(wire.extended(b"COMMIT", &[]), "1510");
    // A text with everything in it.
    refused(wire.simple(b"BEGIN; DELETE FROM parents WHERE id <= 10; COMMIT; SELECT 1"), "1510");
    refused(wire.simple(b"INSERT INTO log (what) SELECT 'a' FROM generate_series(1, 600); INSERT INTO log (what) SELECT 'b' FROM generate_series(1, 600)"), "1200");

    assert_eq!((bench.count("parents"), bench.count("children"), bench.count("log")), (2000, 3000, 0));
    // The session goes on, and what stays within the cap is done.
    assert_eq!(wire.simple(b"UPDATE parents SET note = 'z' WHERE id = 1").tags, ["UPDATE 1"]);
    assert_eq!(wire.simple(b"BEGIN; DELETE FROM parents WHERE id = 3; COMMIT").tags, ["BEGIN", "DELETE 1", "COMMIT"]);
    assert_eq!(wire.extended(b"DELETE FROM parents WHERE id = $1::int", &["4"]).tags, ["DELETE 1"]);
    assert_eq!((bench.count("parents"), bench.count("children"), bench.count("log")), (1998, 2700, 600));
}

#[test]
fn the_client_sees_its_own_transactions_and_no_others() {
    let bench = Bench::new();
    let mut wire = bench.wire();
    // A constraint that is checked at the end fails the statement, as it does without us.
    let answer = wire.simple(b"INSERT INTO checked VALUES (1, 99999)");
    assert_eq!(answer.errors[0].sqlstate, "23503", "{answer:?}");
    assert!(answer.tags.is_empty(), "{answer:?}");
    assert_eq!(wire.simple(b"SELECT txid_current_if_assigned() IS NULL").rows, [[Some("t".to_owned())]]);
    // A failed statement leaves nothing open: the next is its own.
    assert_eq!(wire.simple(b"INSERT INTO parents VALUES (1, 'again')").errors[0].sqlstate, "23505");
    assert_eq!(wire.simple(b"INSERT INTO parents VALUES (5000, 'new') RETURNING id").rows, [[Some("5000".to_owned())]]);
    // What failed counts for nothing afterwards.
    for _ in 0..3 {
        assert!(!wire.simple(b"DELETE FROM parents WHERE id <= 10").errors.is_empty());
    }
    assert_eq!(wire.simple(b"DELETE FROM parents WHERE id = 11").tags, ["DELETE 1"]);
    // Savepoints are the client's own.
    for (text, tag) in [
        ("BEGIN", "BEGIN"),
        ("SAVEPOINT a", "SAVEPOINT"),
        ("DELETE FROM parents WHERE id = 12", "DELETE 1"),
        ("ROLLBACK TO a", "ROLLBACK"),
        ("DELETE FROM parents WHERE id = 13", "DELETE 1"),
        ("COMMIT", "COMMIT"),
    ] {
        assert_eq!(wire.simple(text.as_bytes()).tags, [tag]);
    }
    assert_eq!((bench.count("parents WHERE id = 12"), bench.count("parents WHERE id = 13")), (1, 0));
    // A table of the session's own, and one that is new, may be as large as they like.
    assert_eq!(wire.simple(b"CREATE TEMP TABLE mine AS SELECT * FROM parents").tags, ["SELECT 1999"]);
    assert_eq!(wire.simple(b"UPDATE mine SET note = 'q' WHERE id > 0").tags, ["UPDATE 1999"]);
}

/// What psql says to a command.
fn psql(bench: &Bench, command: &str) -> String {
    let mut psql = std::process::Command::new(postgres::programs().join("psql"));
    // `.s.PGSQL.5432` in a folder: what psql wants are the folder and the number.
    let socket = &bench.connected.socket;
    let port = socket.extension().unwrap().to_str().unwrap();
    psql.env_clear().args(["-X", "-h", socket.parent().unwrap().to_str().unwrap(), "-p", port]);
    psql.args(["-U", &bench.connected.user, "-d", &bench.connected.database]);
    let output = psql.args(["-c", command]).output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn masks_do_not_come_back_by_copy() {
    let bench = Bench::new();
    let copy = |options: &str, rows: &str| {
        psql(&bench, &format!("\\copy customers(id, credit_card) from program 'printf \"{rows}\"' {options}"))
    };
    let mask = "**** **** **** 1111";
    for (options, rows) in [
        ("", format!("101\\t4111 1111 1111 1111\\n102\\t{mask}\\n")),
        ("", format!("101\\t{mask}")),
        ("csv", format!("101,4111 1111 1111 1111\\n102,{mask}\\n")),
        ("csv header", format!("id,credit_card\\n102,{mask}\\n")),
    ] {
        let told = copy(options, &rows);
        assert!(told.contains("this would write a mask to `customers.credit_card`"), "{options}: {told}");
    }
    assert_eq!(bench.count("customers WHERE id > 100"), 0);
    assert!(copy("csv", "101,4111 1111 1111 1111\\n").contains("COPY 1"));
}

#[test]
fn copy_is_counted_too() {
    let bench = Bench::new();
    let copy = |rows: u32| psql(&bench, &format!("\\copy log(what) from program 'seq {rows}'"));
    assert!(copy(900).contains("COPY 900"));
    let refused = copy(1100);
    assert!(refused.contains("this changes 1100 rows, and one transaction may change 1000"), "{refused}");
    assert_eq!(bench.count("log"), 900);
}

#[test]
fn a_session_for_reading_stays_one_whatever_is_reset() {
    let bench = Bench::new();
    let connected = bench.sandbox.connect(&["dev-db"]).unwrap();
    // A client that wishes to begin otherwise begins like this all the same.
    let mut wire = connected.wire(&[("default_transaction_read_only", "off")]).unwrap();
    let reads_only = |wire: &mut Wire| wire.simple(b"SHOW transaction_read_only").rows == [[Some("on".to_owned())]];
    assert!(reads_only(&mut wire));
    for text in ["RESET ALL", "DISCARD ALL", "RESET default_transaction_read_only", "BEGIN; COMMIT"] {
        wire.simple(text.as_bytes());
        assert!(reads_only(&mut wire), "{text}");
    }
    for text in ["SET transaction_read_only = off", "BEGIN READ WRITE", "SET default_transaction_read_only = off"] {
        assert_eq!(wire.simple(text.as_bytes()).errors[0].sqlstate, "42501", "{text}");
    }
}

/// A statement in production runs no longer than the policy lets it, nor than the database does.
#[test]
fn a_statement_runs_no_longer_than_it_may() {
    let database = postgres::server().database();
    let mut sandbox = Sandbox::new();
    let rule = |label| format!("  - {{who: {{group: dba}}, labels: {{env: {label}}}, access: write, ttl: 1h}}\n");
    let config = format!(
        "server: {{listen: '127.0.0.1:0', data: data}}\npolicy: {{limits: {{timeout: 300ms}}}}\naccess:\n{}{}",
        rule("prod"),
        rule("dev")
    );
    let config = sandbox.write("gov.yaml", &config);
    let (prod, dev) = ("prod-db", "dev-db");
    let resources =
        [(prod, "env=prod"), (dev, "env=dev")].map(|(name, label)| database.resource(name, &sandbox.home, label));
    let arguments =
        ["--dev", "--config", config.to_str().unwrap(), "--resource", &resources[0], "--resource", &resources[1]];
    sandbox.start_server(&arguments);
    sandbox.log_in("bob");
    let limit = |wire: &mut Wire| wire.simple(b"SHOW statement_timeout").rows[0][0].clone().unwrap();
    for access in [&["--write"][..], &[]] {
        let connected = sandbox.connect(&[&[prod], access].concat()).unwrap();
        let mut wire = connected.wire(&[]).unwrap();
        assert_eq!(limit(&mut wire), "300ms", "{access:?}");
        for text in ["RESET ALL", "DISCARD ALL", "SET statement_timeout = 0", "SET statement_timeout = '1h'"] {
            wire.simple(text.as_bytes());
            assert_eq!(limit(&mut wire), "300ms", "{text}");
        }
        let answer = wire.simple(b"SELECT count(*) FROM generate_series(1, 10000000)");
        assert_eq!(answer.errors[0].sqlstate, "57014", "{answer:?}");
        wire.simple(b"SET statement_timeout = '200ms'");
        assert_eq!(limit(&mut wire), "200ms");
    }
    let connected = sandbox.connect(&[dev]).unwrap();
    assert_eq!(limit(&mut connected.wire(&[]).unwrap()), "0");
    // What an administrator has set lower stays.
    postgres::server()
        .run(&database.name, &format!("ALTER DATABASE {} SET statement_timeout = '150ms'", database.name));
    // The broker's own connection is from before.
    sandbox.stop_server();
    sandbox.start_server(&arguments);
    sandbox.log_in("bob");
    let connected = sandbox.connect(&[prod]).unwrap();
    assert_eq!(limit(&mut connected.wire(&[]).unwrap()), "150ms");
}

/// What is returned beyond the limit goes nowhere, COPY included; and where that is much, the database is told to stop.
#[test]
fn a_statement_returns_no_more_rows_than_it_may() {
    let database = postgres::server().database();
    let mut sandbox = Sandbox::new();
    sandbox.write_secret("broker.password", postgres::PASSWORD);
    let config = format!(
        "server: {{listen: '127.0.0.1:0', data: data}}\nresources:\n  dev-db: {{url: 'postgres://gov_broker@127.0.0.1:{}/{}', \
         password: {{file: broker.password}}, labels: {{env: dev}}, roles: {{read: app_ro, write: app_rw}}}}\npurposes:\n  report: \
         {{description: d, limits: {{statement_rows: 100}}}}\naccess:\n  - {{who: {{group: dba}}, labels: {{env: dev}}, access: write, \
         purposes: [report], ttl: 1h}}\n",
        postgres::server().port,
        database.name
    );
    let config = sandbox.write("gov.yaml", &config);
    sandbox.start_server(&["--dev", "--config", config.to_str().unwrap()]);
    sandbox.log_in("bob");
    let connected = sandbox.connect(&["dev-db", "--write", "--purpose", "report"]).unwrap();
    let mut wire = connected.wire(&[]).unwrap();
    let cancelled = || {
        let log = postgres::server().log();
        let of_this = log.lines().filter(|line| line.contains(&format!(" {} ", database.name)));
        of_this.filter(|line| line.contains("canceling statement due to user request")).count()
    };
    let large = "SELECT repeat('x', 1000) FROM generate_series(1, 10000000)";
    let cut = |answer: &crate::support::wire::Answer| {
        assert_eq!(answer.errors.len(), 1, "{:?}", answer.errors);
        assert_eq!(answer.errors[0].sqlstate, "53400");
        assert!(answer.errors[0].message.contains("more than 100 rows") && !answer.closed, "{:?}", answer.errors);
    };
    for (count, text) in
        [large.to_owned(), format!("COPY ({large}) TO STDOUT"), "SELECT generate_series(1, 200)".to_owned()]
            .iter()
            .enumerate()
    {
        let answer = wire.simple(text.as_bytes());
        cut(&answer);
        assert_eq!(answer.rows.len() + usize::from(answer.copied), 100, "{text}");
        // The last is read to its end: that is sooner done.
        assert_eq!(cancelled(), (count + 1).min(2), "{text}");
        assert_eq!(wire.simple(b"SELECT 1").rows, [[Some("1".to_owned())]], "{text}");
    }
    let answer = wire.extended(large.as_bytes(), &[]);
    cut(&answer);
    assert_eq!((answer.rows.len(), cancelled()), (100, 3));
    assert_eq!(wire.extended(b"SELECT 1", &[]).tags, ["SELECT 1"]);
    let copy = wire.simple(b"COPY (SELECT generate_series(1, 100)) TO STDOUT (FORMAT binary)");
    assert_eq!((copy.errors.len(), copy.tags), (0, vec!["COPY 100".to_owned()]));
}

/// Rules that only observe are learned from, and what is learned lets the same go on when they deny.
#[test]
fn what_was_observed_becomes_an_exception() {
    let database = postgres::server().database();
    let function = "CREATE FUNCTION public.twice(n int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 2 * n; END'";
    postgres::server().run(&database.name, function);
    let mut sandbox = Sandbox::new();
    sandbox.write_secret("broker.password", postgres::PASSWORD);
    let config = |policy: &str| {
        format!(
            "server: {{listen: '127.0.0.1:0', data: data}}\nresources:\n  prod-db: {{url: 'postgres://gov_broker@127.0.0.1:{}/{}', \
             password: {{file: broker.password}}, labels: {{env: prod}}, roles: {{read: app_ro, write: app_rw}}}}\naccess:\n  - \
             {{who: {{group: dba}}, labels: {{env: prod}}, access: write, ttl: 1h}}\npolicy:\n{policy}\n",
            postgres::server().port,
            database.name
        )
    };
    let file = sandbox
        .write("gov.yaml", &config("  rules: {missing_where: observe, opaque_code: observe, masked_code: observe}"));
    sandbox.start_server(&["--dev", "--config", file.to_str().unwrap()]);
    sandbox.log_in("bob");
    let connected = sandbox.connect(&["prod-db", "--write"]).unwrap();
    let mut wire = connected.wire(&[]).unwrap();
    let update = b"UPDATE orders SET status = 'secret'";
    assert_eq!(wire.simple(update).tags, ["UPDATE 100"]);
    let call = b"SELECT public.twice(21)";
    assert_eq!(wire.simple(call).tags, ["SELECT 1"]);
    let learned = sandbox.gov(["policy", "learn"]).ok().stdout;
    let proposed = "#  - {function: \"public.twice(integer)\", body: ";
    assert!(learned.contains(proposed), "{learned}");
    assert!(learned.contains("relation: [\"public.orders\"]") && !learned.contains("secret"), "{learned}");
    let again = sandbox.gov(["timeline", "--json"]).ok().stdout;
    let again = sandbox.write("entries.jsonl", &again);
    assert_eq!(
        sandbox.gov(["policy", "learn", again.to_str().unwrap()]).ok().stdout,
        learned,
        "offline it is the same"
    );

    // Somebody has read it, and says so.
    let learned = learned.replace("#reviewed_functions:", "reviewed_functions:").replace("#  - {", "  - {");
    let indented: String = learned.lines().map(|line| format!("  {line}\n")).collect();
    sandbox.write("gov.yaml", &config(&format!("  rules: {{opaque_code: deny}}\n{indented}")));
    let begun = std::time::Instant::now();
    while wire.simple(b"DELETE FROM customers").errors[0].rule() != Some("missing_where") {
        assert!(begun.elapsed().as_secs() < 60, "the rule is not in force");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    // While it was only observed, the function may have changed what names mean.
    assert_eq!(wire.simple(b"SET search_path = public").tags, ["SET"]);
    assert_eq!(wire.simple(update).tags, ["UPDATE 100"], "what was seen goes on");
    assert_eq!(wire.simple(call).tags, ["SELECT 1"], "what was read is let through");
    assert_eq!(wire.simple(b"DO $$BEGIN END$$").errors[0].rule(), Some("opaque_code"), "and no other code");
    assert_eq!(wire.simple(b"DELETE FROM orders").errors[0].rule(), Some("missing_where"), "and nothing else");
}
