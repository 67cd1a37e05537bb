//! Tables that triggers and rules fill: whoever reads them, in the database or on the way, does not see what is masked where
//! it came from.

use crate::support::postgres;
use crate::support::{Sandbox, wire::Wire};

/// Logs of a table of persons, empty when they are looked at. Of what one holds nothing says its form: names, reversed
/// ones, numbers under names that nobody knows.
const SCHEMA: &str = r#"
    CREATE TABLE staff (id int PRIMARY KEY, full_name text, salary int, grade int);
    INSERT INTO staff SELECT i, 'Quillfeather Zoe ' || i, 70000 + i, i % 5 FROM generate_series(1, 40) i;
    CREATE TABLE staff_log (id serial PRIMARY KEY, at timestamptz DEFAULT now(), op text, tbl text, row_id int, was jsonb, note text, n int);
    CREATE FUNCTION log_staff() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$ BEGIN
      INSERT INTO staff_log (op, tbl, row_id, was, note, n)
        VALUES (TG_OP, TG_TABLE_NAME, OLD.id, to_jsonb(OLD), reverse(OLD.full_name), OLD.salary);
      RETURN NEW; END $$;
    CREATE TRIGGER logs AFTER UPDATE ON staff FOR EACH ROW EXECUTE FUNCTION log_staff();
    CREATE SCHEMA history;
    CREATE TABLE history.staff (id int, who text);
    CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$ BEGIN
      EXECUTE format('INSERT INTO history.%I VALUES ($1.id, $1.full_name)', TG_TABLE_NAME) USING OLD;
      RETURN NEW; END $$;
    CREATE TRIGGER keeps AFTER UPDATE ON staff FOR EACH ROW EXECUTE FUNCTION keep();
    CREATE TABLE ruled (id int, what text);
    CREATE RULE also AS ON UPDATE TO staff DO ALSO INSERT INTO ruled VALUES (old.id, upper(old.full_name));
    GRANT USAGE ON SCHEMA history TO app_ro, app_rw, gov_broker;
    GRANT SELECT ON ALL TABLES IN SCHEMA public TO app_ro, app_rw, gov_broker;
    GRANT SELECT ON ALL TABLES IN SCHEMA history TO app_ro, app_rw, gov_broker;
    GRANT UPDATE ON staff TO app_rw; GRANT INSERT ON ruled TO app_rw;
"#;

fn bench(masking: &str) -> (Sandbox, postgres::Database) {
    let (server, database) = (postgres::server(), postgres::server().database());
    server.run(&database.name, &format!("{SCHEMA} GRANT CREATE ON DATABASE {} TO gov_broker", database.name));
    let mut sandbox = Sandbox::new();
    let resource = database.resource("db", &sandbox.home, &format!("env=dev&masking={masking}"));
    sandbox.start_server(&["--dev", "--resource", &resource]);
    (sandbox, database)
}

/// What everything that was filled shows.
const ALL: &str = "SELECT s.op, s.tbl, s.row_id, s.was::text, s.note, s.n, h.who, r.what \
    FROM staff_log s, history.staff h, ruled r WHERE s.row_id = 7 AND h.id = 7 AND r.id = 7";

fn shows_nothing(wire: &mut Wire) {
    for sql in [
        "SELECT op, tbl, row_id FROM staff_log WHERE row_id = 7",
        "SELECT was, note, n FROM staff_log",
        "SELECT * FROM staff_log",
        "SELECT who FROM history.staff",
        "SELECT what FROM ruled",
        "TABLE ruled",
        "COPY staff_log TO STDOUT",
    ] {
        let answer = wire.simple(sql.as_bytes());
        let shown = format!("{answer:?}").to_lowercase();
        let hidden = ["quillfeather", "rehtaefl", "70007"];
        assert!(hidden.iter().all(|value| !shown.contains(value)), "{sql}: {shown}");
    }
    let known = wire.simple(b"SELECT op, tbl, row_id FROM staff_log WHERE row_id = 7");
    assert!(known.errors.is_empty() && known.rows.len() == 1, "{known:?}");
    let cells: Vec<_> = known.rows[0].iter().flatten().map(String::as_str).collect();
    assert_eq!(cells, ["UPDATE", "staff", "7"], "what says nothing of persons stays: {known:?}");
    assert_eq!(wire.simple(b"SELECT count(*) FROM staff_log").rows, [[Some("1".to_owned())]]);
}

#[test]
fn what_a_trigger_wrote_is_masked_on_the_way() {
    let (sandbox, database) = bench("wire");
    sandbox.log_in("bob");
    let connected = sandbox.connect(&["db", "--write"]).unwrap();
    let mut wire = connected.wire(&[]).unwrap();
    // Whoever opened a session before it happened is shown no more.
    let there = postgres::server().run(&database.name, &format!("UPDATE staff SET grade = 9 WHERE id = 7; {ALL}"));
    assert!(there.contains("QUILLFEATHER ZOE 7") && there.contains("rehtaefl"), "{there}");
    shows_nothing(&mut wire);
}

#[test]
fn what_a_trigger_wrote_is_masked_in_the_database() {
    let (sandbox, database) = bench("database");
    sandbox.log_in("alice");
    let connected = sandbox.connect(&["db"]).unwrap();
    let mut wire = connected.wire(&[]).unwrap();
    postgres::server().run(&database.name, "UPDATE staff SET grade = 9 WHERE id = 7");
    shows_nothing(&mut wire);
    let found = sandbox.gov(["--json", "classify", "db"]).ok().stdout;
    for evidence in [
        "filled by trigger `logs` of `staff`",
        "filled by trigger `keeps` of `staff`",
        "filled by rule `also` of `staff`",
    ] {
        assert!(found.contains(evidence), "{evidence}: {found}");
    }
}
