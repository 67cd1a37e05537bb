//! Data that leaves in bulk, to a training set or another environment: by purpose and by who asks, it is seen, and
//! stopped where the policy says so. One line for each way to carry it off.

use crate::support::{Ran, Sandbox, postgres};

/// Rows in the table, more than anything here may take.
const ROWS: &str = "5000";

/// A server with a database that has them, and what it was started with.
fn sandbox() -> (Sandbox, Vec<String>) {
    let database = postgres::server().database();
    let fill = format!(
        "CREATE TABLE events (id int PRIMARY KEY, kind text, note text); INSERT INTO events SELECT i, 'k' || i % 3, \
         repeat('n', 100) FROM generate_series(1, {ROWS}) i; GRANT SELECT ON events TO app_ro, app_rw; ANALYZE"
    );
    postgres::server().run(&database.name, &fill);
    let mut sandbox = Sandbox::new();
    sandbox.write("charter.md", "Prepares training data.\n");
    let config = sandbox.write(
        "gov.yaml",
        "server: {listen: '127.0.0.1:0', data: data}
purposes:
  training.dataset:
    description: Examples to train on
    access: read
    limits: {statement_rows: 300, session: {rows: 700, bytes: 200KiB}, day: {rows: 1000}}
  wide: {description: Anything}
  tagged: {description: Not for people's data, tags: [open]}
agents:
  trainer: {owner: dave, charter: charter.md, who: {group: engineering}, purposes: [training.dataset, wide]}
access:
  - {who: {group: engineering}, labels: {env: prod}, access: read}
policy:
  tags:
    - {relation: public.customers, tags: [personal]}
    - {relation: public.orders, tags: [open]}
  cases:
    - {name: people are not examples, if: {purpose: training.dataset, tag: personal}, then: deny}
    - {name: agents take no people, if: {kind: agent, tag: personal}, then: deny}
",
    );
    let resource = database.resource("prod-db", &sandbox.home, "env=prod");
    let arguments =
        ["--dev", "--config", config.to_str().unwrap(), "--resource", &resource].map(str::to_owned).to_vec();
    sandbox.start_server(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    sandbox.log_in("alice");
    (sandbox, arguments)
}

fn exec(sandbox: &Sandbox, purpose: &str, agent: bool, sql: &str) -> Ran {
    let mut arguments = vec!["exec", "prod-db", "--purpose", purpose, "--no-wait", "--format", "csv", "-c", sql];
    if agent {
        arguments.extend(["--agent", "trainer"]);
    }
    sandbox.gov(arguments)
}

/// Rows that came, without the header.
fn rows(ran: &Ran) -> usize {
    ran.stdout.lines().count().saturating_sub(1)
}

#[test]
fn every_way_to_carry_data_off_ends_somewhere() {
    let (sandbox, _) = sandbox();
    let attempts: &[(&str, &str, bool, &str, i32)] = &[
        ("COPY of a table, by a person", "wide", false, "copy events to stdout", 5),
        ("COPY of a table, by an agent", "wide", true, "copy events to stdout", 3),
        ("COPY of a query without a condition", "wide", true, "copy (select id, note from events) to stdout", 3),
        ("COPY into a file of the server", "wide", false, "copy events to '/tmp/x'", 3),
        ("COPY to a program", "wide", false, "copy events to program 'cat'", 3),
        ("data of people, for training", "training.dataset", false, "select id from customers limit 1", 3),
        (
            "the same under a name of its own",
            "training.dataset",
            false,
            "with c as (select * from customers) select id from c limit 1",
            3,
        ),
        ("data of people, by an agent", "wide", true, "select country from customers limit 1", 3),
        ("data with a tag that the purpose has not", "tagged", false, "select id from customers limit 1", 3),
        ("data with a tag that it has", "tagged", false, "select id from orders limit 1", 0),
        ("a little, for training", "training.dataset", false, "select id from events where id <= 3", 0),
    ];
    for (what, purpose, agent, sql, code) in attempts {
        let ran = exec(&sandbox, purpose, *agent, sql);
        assert_eq!(ran.code, *code, "{what}: {ran:?}");
    }
}

/// A server that is killed right behind a statement knows of it when it starts again: nothing waits for a clock.
#[test]
fn a_killed_server_forgets_nothing_of_a_day() {
    let (mut sandbox, arguments) = sandbox();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    for round in 1..=5 {
        let ran = exec(&sandbox, "training.dataset", true, "select id from events where id <= 100");
        let address = sandbox.url().trim_start_matches("https://").to_owned();
        sandbox.kill_server();
        assert_eq!((ran.code, rows(&ran)), (0, 100), "{ran:?}");
        sandbox.start_server_at(&address, &arguments);
        let connected = sandbox.connect(&["prod-db", "--purpose", "training.dataset", "--agent", "trainer"]).unwrap();
        let sessions = sandbox.gov(["--json", "session", "ls"]).ok().json();
        let budget = sessions["sessions"][0]["budget"].as_array().unwrap().clone();
        let used = |of: &str, what: &str| {
            budget.iter().find(|entry| entry["of"] == of && entry["what"] == what).unwrap()["used"].as_u64().unwrap()
        };
        assert_eq!((used("day", "rows"), used("session", "rows")), (round * 100, 0), "{sessions}");
        drop(connected);
    }
}

#[test]
fn what_comes_a_bit_at_a_time_is_counted_too() {
    let (mut sandbox, arguments) = sandbox();
    // One statement gives no more than it may.
    let all = exec(&sandbox, "training.dataset", false, "select id from events where id > 0");
    assert!(all.code != 0 && rows(&all) <= 300, "{} rows: {}", rows(&all), all.stderr);
    // Pages of one session: rows are counted over all of them.
    let pages: Vec<String> =
        (0..20).map(|page| format!("select id from events where id > {} order by id limit 100", page * 100)).collect();
    let paged = exec(&sandbox, "training.dataset", true, &pages.join("; "));
    assert_eq!(paged.code, 6, "{paged:?}");
    assert!(paged.stdout.lines().filter(|line| *line != "id").count() <= 800, "{}", paged.stdout.len());
    // Sessions, one after the other: the day is counted, of the agent as of the person.
    let mut taken = 0;
    let refused = loop {
        let more = exec(&sandbox, "training.dataset", true, "select id from events where id <= 100");
        if more.code != 0 {
            break more;
        }
        taken += rows(&more);
        assert!(taken <= 1000, "{taken}");
    };
    assert!(refused.code == 6 && refused.stderr.contains("budget of this day is used up: 1000 rows"), "{refused:?}");
    // Nor does the day begin anew with the server, not even when it is killed the moment after.
    let address = sandbox.url().trim_start_matches("https://").to_owned();
    sandbox.kill_server();
    sandbox.start_server_at(&address, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    sandbox.log_in("alice");
    let refused = exec(&sandbox, "training.dataset", true, "select 1");
    assert!(refused.code == 6 && refused.stderr.contains("budget of this day is used up"), "{refused:?}");
    // Wide values: bytes are counted, not only rows.
    let wide = "select id, note, note, note, note, note, note, note, note from events where id <= 250";
    let wide = exec(&sandbox, "training.dataset", false, &format!("{wide}; {wide}"));
    assert!(wide.code == 6 && wide.stderr.contains("bytes"), "{}", wide.stderr);
    // It is all to be seen, by purpose.
    let seen = sandbox.gov(["--json", "timeline", "--purpose", "training.dataset", "--limit", "500"]).ok().stdout;
    let counted: u64 =
        seen.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["rows"].as_u64()).sum();
    assert!(counted >= 1000, "{counted}");
    assert!(seen.contains("trainer"), "{seen}");
}
