//! The log, handed on and verified by others: by gov elsewhere with nothing but a key, and by a program that shares no
//! code with it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};

use crate::support::{Ran, Sandbox, finish, postgres, repository};

/// Debian's own Python, which has Debian's cryptography.
const PYTHON: &str = "/usr/bin/python3";

/// The other verifier, on an exported folder.
fn second_opinion(folder: &Path, key: &str) -> Ran {
    second_opinion_of(folder, key, None)
}

/// The same, which also asks for a witness.
pub(crate) fn second_opinion_of(folder: &Path, key: &str, witness: Option<&str>) -> Ran {
    let found = Command::new(PYTHON).args(["-c", "import cryptography"]).status();
    let there = found.is_ok_and(|status| status.success());
    assert!(there, "this test needs Python's cryptography; install it with: apt install python3-cryptography");
    let mut command = Command::new(PYTHON);
    command.arg(repository().join("tests/verify.py")).arg(folder).arg(key).args(witness);
    finish(command)
}

/// What a table of events says: time, person, session, statement, text, outcome and rows of each.
fn rows_of(table: &Path) -> Vec<String> {
    let reader = SerializedFileReader::new(std::fs::File::open(table).unwrap()).unwrap();
    let row = |row: Result<Row, _>| {
        let row = row.unwrap();
        let columns: BTreeMap<_, _> = row.get_column_iter().map(|(name, field)| (name.as_str(), field)).collect();
        let text = |name: &str| match columns[name] {
            Field::Str(text) => text.clone(),
            Field::Null => String::new(),
            Field::Long(number) => number.to_string(),
            Field::TimestampMicros(moment) => (moment / 1000).to_string(),
            other => panic!("{name}: {other:?}"),
        };
        EVENT_COLUMNS.map(|(name, _)| text(name)).join("|")
    };
    let mut rows: Vec<_> = reader.get_row_iter(None).unwrap().map(row).collect();
    rows.sort();
    rows
}

/// The same of the events as JSON lines.
fn rows_as_lines_say(events: &str) -> Vec<String> {
    let row = |line: &str| {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |pointer: &str| match event.pointer(pointer) {
            Some(serde_json::Value::String(text)) => text.clone(),
            Some(serde_json::Value::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        EVENT_COLUMNS.map(|(_, pointer)| text(pointer)).join("|")
    };
    let mut rows: Vec<_> = events.lines().map(row).collect();
    rows.sort();
    rows
}

/// Columns of the table, and where the same stands in an event.
const EVENT_COLUMNS: [(&str, &str); 12] = [
    ("time", "/time"),
    ("class_uid", "/class_uid"),
    ("activity_name", "/activity_name"),
    ("subject", "/actor/user/uid"),
    ("session", "/actor/session/uid"),
    ("statement", "/unmapped/statement"),
    ("resource", "/unmapped/resource"),
    ("query", "/query_info/query_string"),
    ("action", "/disposition"),
    ("outcome", "/status_detail"),
    ("sqlstate", "/status_code"),
    ("rows", "/count"),
];

#[test]
fn an_exported_log_is_verified_elsewhere_and_tampering_shows() {
    let mut sandbox = Sandbox::new();
    let resource = postgres::server().database().resource("prod-db", &sandbox.home, "env=prod");
    sandbox.start_server(&["--dev", "--resource", &resource]);
    sandbox.log_in("alice");
    sandbox.gov(["exec", "prod-db", "-c", "select count(*) from customers; select 1/0"]);
    sandbox.gov(["exec", "prod-db", "-c", "select email from customers where id < 3"]).ok();
    let refused = sandbox.gov(["audit", "export", "--format", "zip", "-o", "log.zip"]);
    assert_eq!(refused.code, 3, "everybody's records are not alice's: {refused:?}");

    sandbox.log_in("dave");
    let key = sandbox.gov(["audit", "key"]).ok().stdout.trim().to_owned();
    sandbox.gov(["audit", "export", "--format", "zip", "-o", "log.zip"]).ok();
    sandbox.gov(["audit", "export", "--format", "folder", "-o", "log"]).ok();
    let events = sandbox.gov(["audit", "export", "--format", "ocsf-json"]).ok().stdout;
    let failed = events.lines().filter(|line| line.contains(r#""status_code":"22012""#)).count();
    assert_eq!(failed, 1, "a division by zero is one event: {events}");
    assert!(!events.contains("1/0") && events.contains("customers"), "{events}");
    let unnamed = sandbox.gov(["audit", "export", "--format", "parquet"]);
    assert_eq!(unnamed.code, 2, "a table is nothing for a terminal: {unnamed:?}");
    sandbox.gov(["audit", "export", "--format", "parquet", "-o", "events.parquet"]).ok();
    assert_eq!(rows_of(&sandbox.home.join("events.parquet")), rows_as_lines_say(&events));
    let again = sandbox.gov(["audit", "export", "--format", "parquet", "-o", "events.parquet"]);
    assert_eq!(again.code, 2, "what is there already is somebody's: {again:?}");
    sandbox.stop_server();

    // Somewhere else, where nobody has ever logged in.
    let elsewhere = Sandbox::new();
    let (folder, archive) = (sandbox.home.join("log"), sandbox.home.join("log.zip"));
    let verify = |place: &Path, key: &str| {
        elsewhere.gov(["audit", "verify", "--json", "--log", place.to_str().unwrap(), "--key", key])
    };
    for place in [&folder, &archive] {
        let report = verify(place, &key).ok().json();
        assert_eq!((report["sound"].as_bool(), report["unmatched"].as_u64()), (Some(true), Some(0)), "{report}");
        assert_eq!(report["matched"].as_u64(), Some(3), "{report}");
    }
    let agreed = second_opinion(&folder, &key).ok();
    assert!(agreed.stdout.contains("3 statements matched"), "{agreed:?}");
    let unknown = elsewhere.gov(["audit", "verify", "--log", folder.to_str().unwrap()]);
    assert_eq!(unknown.code, 2, "without a key nothing is proved: {unknown:?}");

    let entries = walk(&folder.join("tile/entries"));
    let original = std::fs::read(&entries[0]).unwrap();
    let mut changes = 0;
    for at in (10..original.len()).step_by(original.len() / 12) {
        let mut changed = original.clone();
        changed[at] ^= 1;
        std::fs::write(&entries[0], changed).unwrap();
        let (ours, theirs) = (verify(&folder, &key), second_opinion(&folder, &key));
        assert!(ours.code != 0 && theirs.code != 0, "byte {at}: {ours:?} {theirs:?}");
        changes += 1;
    }
    println!("tampering with an exported log: {changes} attempts, noticed by both verifiers {changes}, missed 0");
    std::fs::write(&entries[0], original).unwrap();
    second_opinion(&folder, &key).ok();
}

#[test]
fn evidence_is_on_record_and_a_changed_report_shows() {
    let mut sandbox = Sandbox::new();
    let resource = postgres::server().database().resource("prod-db", &sandbox.home, "env=prod");
    sandbox.start_server(&["--dev", "--resource", &resource]);
    sandbox.log_in("alice");
    sandbox.gov(["exec", "prod-db", "-c", "select email from customers where id < 3"]).ok();
    sandbox.gov(["exec", "prod-db", "-c", "drop table orders"]);
    let refused = sandbox.gov(["evidence", "--from", "1h", "-o", "evidence.zip"]);
    assert_eq!(refused.code, 3, "everybody's records are not alice's: {refused:?}");
    sandbox.log_in("dave");
    let key = sandbox.gov(["audit", "key"]).ok().stdout.trim().to_owned();
    sandbox.gov(["evidence", "--from", "1h", "-o", "evidence.zip"]).ok();
    let again = sandbox.gov(["evidence", "--from", "1h", "-o", "evidence.zip"]);
    assert_eq!(again.code, 2, "what is there is somebody's evidence: {again:?}");
    sandbox.stop_server();

    let elsewhere = Sandbox::new();
    let archive = sandbox.home.join("evidence.zip");
    let folder = elsewhere.home.join("evidence");
    let unzip = "import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extractall(sys.argv[2])";
    let unpacked = Command::new(PYTHON).args(["-c", unzip]).arg(&archive).arg(&folder).status().unwrap();
    assert!(unpacked.success());
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let touched = read("reports/2-who-touched-what.csv");
    assert!(touched.contains("email,masked,Alice Ames,"), "{touched}");
    let used = read("reports/1-access-review.csv");
    assert!(used.contains("Alice Ames,") && used.contains(",prod-db,read,"), "{used}");
    let refused = read("reports/6-refused-and-failed.csv");
    assert!(refused.contains("destructive_ddl"), "{refused}");
    assert!(read("reports/9-integrity.txt").contains(": sound"), "{}", read("reports/9-integrity.txt"));
    assert!(read("README.txt").contains(&key));

    let verify =
        |place: &Path| elsewhere.gov(["audit", "verify", "--json", "--log", place.to_str().unwrap(), "--key", &key]);
    for place in [&archive, &folder] {
        let report = verify(place).ok().json();
        let proven = report["proven"].to_string();
        assert!(proven.contains("files of the evidence are those that the log has on record"), "{report}");
    }
    let shipped = std::fs::read_to_string(repository().join("tests/verify.py")).unwrap();
    assert_eq!(read("verify.py"), shipped, "the verifier is in the pack, and listed");
    second_opinion(&folder, &key).ok();
    let report = folder.join("reports/1-access-review.csv");
    let original = std::fs::read(&report).unwrap();
    std::fs::write(&report, b"subject\n").unwrap();
    assert!(verify(&folder).code != 0 && second_opinion(&folder, &key).code != 0, "a changed report");
    // Also with a list that fits it: the log knows another one.
    let list = folder.join("SHA256SUMS");
    let forged = read("SHA256SUMS").lines().filter(|line| !line.contains("1-access")).collect::<Vec<_>>().join("\n");
    let honest = std::fs::read(&list).unwrap();
    std::fs::write(&list, forged + "\n").unwrap();
    assert!(verify(&folder).code != 0 && second_opinion(&folder, &key).code != 0, "another list");
    std::fs::write(&list, honest).unwrap();
    std::fs::write(&report, original).unwrap();
    verify(&folder).ok();
}

fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(walk(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

/// What the gateway refuses when it is prepared is one statement, in the timeline and in the report on a purpose, with its
/// text and the rule; and both accounts agree about it.
#[test]
fn a_refused_statement_is_counted_once() {
    let database = postgres::server().database();
    let mut sandbox = Sandbox::new();
    postgres::broker_password(&sandbox.home);
    let config = format!(
        "server: {{listen: '127.0.0.1:0', data: data}}\nresources:\n  prod-db: {{url: 'postgres://gov_broker@127.0.0.1:{}/{}', \
         password: {{file: broker.password}}, labels: {{env: prod}}, roles: {{read: app_ro, write: app_rw}}}}\npurposes: {{support: \
         {{description: d}}}}\naccess:\n  - {{who: {{group: dba}}, labels: {{env: prod}}, access: write, ttl: 1h}}\n",
        postgres::server().port,
        database.name
    );
    sandbox.write("gov.yaml", &config);
    sandbox.start_server(&["--dev", "--config", "gov.yaml"]);
    sandbox.log_in("bob");
    // One the client's end refuses, and one that only the gateway can.
    for text in ["drop table orders", "delete from orders"] {
        let refused = sandbox.gov(["exec", "prod-db", "--write", "--purpose", "support", "-c", text]);
        assert_eq!(refused.code, 3, "{refused:?}");
    }
    let report = sandbox.gov(["timeline", "--json", "--drift", "--purpose", "support"]).ok().json();
    assert_eq!(report["statements"], 2, "{report}");
    let told = |at: usize, what: &str| report["unusual"][at][what].clone();
    assert_eq!((told(0, "statement"), told(0, "count")), ("drop table orders".into(), 1.into()), "{report}");
    assert_eq!((told(1, "statement"), told(1, "count")), ("delete from orders".into(), 1.into()), "{report}");
    let entries = sandbox.gov(["timeline", "--json", "--purpose", "support"]).ok().stdout;
    let books: Vec<String> = entries
        .lines()
        .filter_map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["books"].as_str().map(str::to_owned)
        })
        .collect();
    assert_eq!(books, ["refused_by_client", "matched"], "{entries}");
    sandbox.log_in("dave");
    sandbox.gov(["audit", "verify"]).ok();
}
