//! The same SQL in many databases when something comes between: a Ctrl-C in the middle, and databases that do not
//! answer alike.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Sandbox, collect, postgres, wait_until};

/// Databases under one label, in this order.
const NAMES: [&str; 3] = ["stage-a", "stage-b", "stage-c"];

/// A server with three databases. In each, this has been run besides.
fn fleet(setup: [&str; 3]) -> (Sandbox, Vec<postgres::Database>) {
    let databases: Vec<_> = NAMES.iter().map(|_| postgres::server().database()).collect();
    let mut sandbox = Sandbox::new();
    let mut arguments = vec!["--dev".to_owned()];
    for ((name, database), setup) in NAMES.iter().zip(&databases).zip(setup) {
        postgres::server().run(&database.name, setup);
        let label = if *name == "stage-c" { "env=dev&fleet=yes&last=yes" } else { "env=dev&fleet=yes" };
        arguments.extend(["--resource".to_owned(), database.resource(name, &sandbox.home, label)]);
    }
    sandbox.start_server(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    sandbox.log_in("bob");
    (sandbox, databases)
}

/// Interrupted while the second of three works on it: the first is done, the second is not known, the third has not
/// begun; and the same command goes on from there, twice nowhere.
#[test]
fn an_interrupted_run_says_where_it_stood_and_goes_on_from_there() {
    let (sandbox, databases) = fleet([""; 3]);
    let rows = |at: usize, what: &str| {
        postgres::server().run(&databases[at].name, &format!("SELECT count(*) FROM orders WHERE status = '{what}'"))
    };
    // Somebody has what the second needs.
    let mut lock = postgres::server().psql(&databases[1].name);
    let mut lock = lock.args(["-qAt"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(
        lock.stdin.as_mut().unwrap(),
        b"BEGIN; LOCK TABLE orders IN EXCLUSIVE MODE; SELECT 'locked';\n",
    )
    .unwrap();
    let mut said = [0; 6];
    std::io::Read::read_exact(lock.stdout.as_mut().unwrap(), &mut said).unwrap();

    let update = "update orders set status = 'paid' where id = 7";
    let whole = ["exec", "fleet=yes", "--write", "--parallel", "1", "--resume", "run.json", "-c", update];
    let mut command = sandbox.command(whole);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%orders%'";
    wait_until("the second waits for the lock", || postgres::server().run(&databases[1].name, waiting) != "0");
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let ran = collect(child);
    assert_eq!(ran.code, 130, "{ran:?}");
    let lines: Vec<&str> = ran.stderr.lines().collect();
    assert!(lines[0].starts_with("stage-a  ok       UPDATE 1"), "{ran:?}");
    assert!(lines[1].starts_with("stage-b  unknown  it was interrupted"), "{ran:?}");
    assert!(lines[2].starts_with("stage-c  failed   it was not begun"), "{ran:?}");
    assert_eq!(lines[3], "3 databases: 1 ok, 2 not.", "{ran:?}");
    assert_eq!(lines[4], "To go on, run the same command again: `run.json` knows what is done.", "{ran:?}");
    // What ran there was ended with its session, although nobody let go of the lock.
    wait_until("the statement is over", || postgres::server().run(&databases[1].name, waiting) == "0");
    drop(lock.kill());
    drop(lock.wait());
    assert_eq!([rows(0, "paid"), rows(1, "paid"), rows(2, "paid")], ["1", "0", "0"]);

    // In the first it would show if it ran again. The second is for a person to look at.
    postgres::server().run(&databases[0].name, "UPDATE orders SET status = 'shipped' WHERE id = 7");
    let ran = sandbox.gov(whole);
    assert_eq!(ran.code, 8, "{ran:?}");
    let lines: Vec<&str> = ran.stderr.lines().collect();
    assert_eq!(lines[0], "stage-a  ok       done in an earlier run", "{ran:?}");
    assert!(lines[1].starts_with("stage-b  unknown  an earlier run began here"), "{ran:?}");
    assert!(lines[2].starts_with("stage-c  ok       UPDATE 1"), "{ran:?}");
    assert_eq!([rows(0, "shipped"), rows(1, "paid"), rows(2, "paid")], ["1", "0", "1"]);
    assert_eq!(sandbox.gov(["session", "ls", "--json"]).ok().json()["sessions"], serde_json::json!([]), "none is left");
}

/// Without a file nothing is remembered, and nothing is said of one. What only reads begins anew wherever it was.
#[test]
fn an_interrupted_read_is_simply_read_again() {
    let pause = |seconds: u32| format!("CREATE TABLE pause AS SELECT {seconds} AS s; GRANT SELECT ON pause TO app_ro");
    let (quick, slow) = (pause(0), pause(600));
    let (sandbox, databases) = fleet([&quick, &slow, &quick]);
    let read = ["exec", "fleet=yes", "--format", "csv", "-c", "select s, pg_sleep(s) is null as slept from pause"];
    for resume in [&[] as &[&str], &["--resume", "read.json"]] {
        let mut command = sandbox.command([&read[..], &["--parallel", "1"], resume].concat());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let sleeping =
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()";
        wait_until("the second sleeps", || postgres::server().run(&databases[1].name, sleeping) == "1");
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        let ran = collect(child);
        assert_eq!(ran.code, 130, "{ran:?}");
        // What had come by then is data, and whole.
        assert_eq!(ran.stdout, "_resource,s,slept\r\nstage-a,0,f\r\n", "{ran:?}");
        assert_eq!(ran.stderr.contains("To go on"), !resume.is_empty(), "{ran:?}");
        wait_until("it sleeps no more", || postgres::server().run(&databases[1].name, sleeping) == "0");
    }
    postgres::server().run(&databases[1].name, "UPDATE pause SET s = 1");
    let ran = sandbox.gov([&read[..], &["--resume", "read.json"]].concat()).ok();
    assert_eq!(ran.stdout, "_resource,s,slept\r\nstage-b,1,f\r\nstage-c,0,f\r\n", "{ran:?}");
    assert!(ran.stderr.ends_with("3 databases: 3 ok, 0 not.\n"), "{ran:?}");
}

/// Results are merged by what their columns are called. One that has others is named and left out, in every format, and
/// the others are whole.
#[test]
fn a_database_with_other_columns_is_named_and_left_out() {
    let more = "ALTER TABLE orders ADD COLUMN note text";
    let (sandbox, _databases) = fleet(["", more, ""]);
    let exec = |format: &str| {
        let read = "select * from orders where id = 1";
        let ran = sandbox.gov(["exec", "fleet=yes", "--format", format, "-c", read]);
        assert_eq!(ran.code, 2, "{ran:?}");
        let lines: Vec<&str> = ran.stderr.lines().collect();
        assert!(lines[0].starts_with("stage-a  ok       1 row in "), "{ran:?}");
        let odd = "stage-b  failed   it ran, and rows are left out: their columns are not those of the others";
        assert_eq!(lines[1], format!("{odd} (They have id, customer_id, amount, status, note.)"), "{ran:?}");
        assert!(lines[2].starts_with("stage-c  ok       1 row in "), "{ran:?}");
        assert_eq!(lines[3], "3 databases: 2 ok, 1 not.", "{ran:?}");
        assert!(!ran.stdout.contains("stage-b"), "{ran:?}");
        ran.stdout
    };
    let csv = exec("csv");
    assert_eq!(csv, "_resource,id,customer_id,amount,status\r\nstage-a,1,2,1.5,open\r\nstage-c,1,2,1.5,open\r\n");
    let json: serde_json::Value = serde_json::from_str(&exec("json")).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 2, "{json}");
    assert_eq!(json[1]["_resource"], "stage-c");
    let lines: Vec<serde_json::Value> =
        exec("ndjson").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(exec("table").lines().count(), 5);

    // What both have is merged.
    let both = "select id, status from orders where id = 1";
    assert_eq!(sandbox.gov(["exec", "fleet=yes", "-c", both]).ok().stdout.lines().count(), 6);

    // One database with results of several kinds: what was left out in the middle is not forgotten at the end.
    let ran = sandbox.gov(
        [
            &["exec", "stage-a,", "--format", "csv"][..],
            &["-c", "select 1 as a", "-c", "select 2 as b", "-c", "select 3 as a"],
        ]
        .concat(),
    );
    assert_eq!((ran.code, ran.stdout.as_str()), (2, "_resource,a\r\nstage-a,1\r\nstage-a,3\r\n"), "{ran:?}");
    assert!(ran.stderr.contains("of the others, after 2 rows (They have b.)"), "{ran:?}");
}
