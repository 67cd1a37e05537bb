//! The net under the masks: a sensitive value that stands where nobody expects one, and is recognised on its way out.

use crate::support::postgres::{self, Database};
use crate::support::{Sandbox, wire::Wire};

fn bench() -> (Sandbox, Database) {
    let (server, database) = (postgres::server(), postgres::server().database());
    server.run(
        &database.name,
        "CREATE TABLE people (id int PRIMARY KEY, passport_no text); GRANT SELECT ON people TO app_ro; \
         INSERT INTO people SELECT i, 'L8' || 98900 + i || 'C' FROM generate_series(1, 40) i",
    );
    let mut sandbox = Sandbox::new();
    let resource = database.resource("db", &sandbox.home, "env=dev&masking=wire");
    sandbox.start_server(&["--dev", "--resource", &resource]);
    sandbox.log_in("alice");
    (sandbox, database)
}

/// Asks in a session of its own until it ends, and gives what was said.
#[track_caller]
fn trips(sandbox: &Sandbox, sql: &str) {
    let connected = sandbox.connect(&["db"]).unwrap();
    let mut other = connected.wire(&[]).unwrap();
    let mut wire = connected.wire(&[]).unwrap();
    let answer = wire.simple(sql.as_bytes());
    assert_eq!(answer.errors[0].sqlstate, "42501", "{sql}: {answer:?}");
    assert!(answer.errors[0].message.contains("the session has ended"), "{sql}: {answer:?}");
    assert!(answer.errors[0].detail.contains("`public.people.passport_no`"), "{sql}: {answer:?}");
    assert!(!format!("{answer:?}").contains("L898907C"), "{sql}: {answer:?}");
    assert!(answer.closed, "{sql}: {answer:?}");
    assert!(ends(&mut other), "the session's other connections end too");
}

fn ends(wire: &mut Wire) -> bool {
    (0..600).any(|_| {
        let over = wire.simple(b"SELECT 1").closed;
        std::thread::sleep(std::time::Duration::from_millis(if over { 0 } else { 100 }));
        over
    })
}

#[test]
fn a_value_that_was_copied_elsewhere_does_not_leave() {
    let (sandbox, database) = bench();
    let status = "SELECT status FROM orders WHERE id = 3";
    assert!(sandbox.gov(["exec", "db", "-c", status]).ok().stdout.contains("open"));
    assert!(!sandbox.gov(["exec", "db", "-c", "SELECT passport_no FROM people"]).ok().stdout.contains("L898907C"));
    // A column in which nothing was found, and in which something stands now.
    let copied = "UPDATE orders SET status = (SELECT passport_no FROM people WHERE people.id = 7) WHERE id = 3";
    postgres::server().run(&database.name, copied);
    trips(&sandbox, status);
    trips(&sandbox, "SELECT id, status FROM orders ORDER BY id");
    trips(&sandbox, "COPY (SELECT status FROM orders WHERE id = 3) TO STDOUT");
    // Everything else goes on.
    let fine = "SELECT status FROM orders WHERE id = 4";
    assert!(sandbox.gov(["exec", "db", "-c", fine]).ok().stdout.contains("open"));
    // On record is whose value it was, and not the value.
    sandbox.log_in("dave");
    let tail = ["--json", "audit", "tail", "--lines", "500"];
    let records = || sandbox.gov(tail).ok().stdout;
    assert!((0..600).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        records().matches("mask.trip").count() == 3
    }));
    let records = records();
    let tripped: Vec<&str> = records.lines().filter(|line| line.contains("mask.trip")).collect();
    assert!(tripped.iter().all(|line| line.contains("public.people.passport_no")), "{tripped:?}");
    assert!(!records.contains("L898907C"), "{records}");
}

#[test]
fn what_is_shown_elsewhere_on_purpose_is_not_watched_for() {
    let (sandbox, database) = bench();
    // Before anybody looked: then it is as public as the rest of the column.
    postgres::server().run(
        &database.name,
        "CREATE TABLE labels (id int PRIMARY KEY, label text); GRANT SELECT ON labels TO app_ro; \
         INSERT INTO labels SELECT i, CASE i WHEN 7 THEN 'L898907C' ELSE 'shelf number ' || i END FROM generate_series(1, 100) i",
    );
    let shown = sandbox.gov(["exec", "db", "-c", "SELECT label FROM labels WHERE id < 9"]).ok();
    assert!(shown.stdout.contains("shelf number 8"), "{shown:?}");
}
