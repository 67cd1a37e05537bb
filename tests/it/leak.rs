//! Does sensitive data get out? Every attempt of `vectors/leak` against a real PostgreSQL behind gov, and every benign
//! statement, which must go on working.
//!
//! The attempts are played by a client that hides nothing (`wire.py`), and what came back is searched for the values
//! that must not get out, in every form they are known to take (`leakfind.py`). Both are plain Python: they have to
//! speak the protocol as badly as an attacker may, and share no code with what they test.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::postgres::{Postgres, broker_password};
use crate::support::{Sandbox, finish, repository, tool};

/// What the schema of the corpus needs besides: groups that the broker may hand out, and the way through its foreign
/// table for a role that nobody knew when it was made.
const GRANTS: &str = "
    GRANT analyst, app_rw TO gov_broker WITH ADMIN OPTION;
    GRANT CREATE ON DATABASE govbench TO gov_broker;
    CREATE USER MAPPING FOR PUBLIC SERVER loop_srv OPTIONS (user 'app_rw', password_required 'false');
";

/// Benign statements that do not go through where sessions are masked on the way, and why.
const LOST: &[(&str, &str)] = &[("B036", "what is copied into a temporary table would be there without its mask")];

/// Plain projections that are refused where views are read, and why.
const REFUSED_OF_VIEWS: &[(&str, &str)] = &[("X023", "a view has no system columns, such as `tableoid`")];

#[derive(Deserialize)]
struct Attempt {
    id: String,
    category: String,
    title: String,
    outcome: String,
    accept: Vec<String>,
    hits: Value,
    errors: Value,
    died: Option<String>,
}

#[derive(Deserialize)]
struct Control {
    id: String,
    title: String,
    kept: bool,
    errors: String,
    direct: String,
    got: String,
}

#[test]
fn nothing_sensitive_gets_out_in_production() {
    play("env=prod&masking=wire", &[]);
}

/// The same, masked in the database.
#[test]
fn nothing_sensitive_gets_out_of_the_database() {
    play("env=prod&masking=database", &[]);
}

/// The same where the guardrails let more through.
#[test]
fn nothing_sensitive_gets_out_of_the_database_in_development() {
    play("env=dev&masking=database", &[]);
}

/// In development the guardrails let more through: the masks alone must hold.
#[test]
fn nothing_sensitive_gets_out_in_development() {
    play("env=dev&masking=wire", &[]);
}

/// A session that was opened to see columns as they are: the database shows them to it, and what is shown waits for
/// somebody's yes. Nobody says yes.
#[test]
fn nothing_that_may_be_revealed_gets_out_before_somebody_agrees() {
    play("env=dev&masking=database", &["customers.email", "customers.ssn", "customers.notes", "customers.profile"]);
}

fn play(labels: &str, revealed: &[&str]) {
    let database = Postgres::start(
        "local all all trust\nhost all all 127.0.0.1/32 trust\nhost replication all 127.0.0.1/32 trust\n",
        &["wal_level=logical", "shared_preload_libraries=pg_stat_statements"],
    );
    let vectors = repository().join("tests/vectors/leak");
    database.run("postgres", "CREATE DATABASE govbench");
    // The corpus grants to a role of this name, which the broker's are made without.
    database.run("postgres", "DROP ROLE app_rw, app_owner");
    database.run("govbench", &std::fs::read_to_string(vectors.join("schema.sql")).unwrap());
    database.run("govbench", GRANTS);

    let mut sandbox = Sandbox::new();
    let secret = broker_password(&sandbox.home);
    let resource = format!(
        "bench=postgres://gov_broker@127.0.0.1:{}/govbench?{labels}&password-file={}&read-role=analyst&write-role=app_rw",
        database.port,
        secret.display()
    );
    sandbox.start_server(&["--dev", "--user", "wes:engineering,dba", "--resource", &resource]);
    sandbox.log_in("wes");
    let reveals: Vec<&str> = revealed.iter().flat_map(|column| ["--reveal", column]).collect();
    let reader = Endpoint::open(&sandbox, &reveals);
    let writer = Endpoint::open(&sandbox, &["--write"]);
    // A superuser is never handed out: what asks for one gets the most there is.
    let endpoints = json!({"analyst": reader.at, "app_rw": writer.at, "dba": writer.at});
    let endpoints = sandbox.write("endpoints.json", &endpoints.to_string());

    let python = |script: &str, arguments: &[&str]| {
        let mut command = Command::new(tool("python3", "python3"));
        command.arg(script).args(arguments).current_dir(&vectors).env("PYTHONDONTWRITEBYTECODE", "1");
        finish(command).stdout
    };
    let port = database.port.to_string();
    let endpoints = endpoints.to_str().unwrap();
    let attempts = python("attempts.py", &["--meta-port", &port, "--endpoints", endpoints, "--json"]);
    let controls = python("controls.py", &[&port, endpoints]);
    let (attempts, controls) = (lines(&attempts), lines(&controls));
    match revealed {
        [] => judge(labels, &attempts, &controls),
        _ => none_leaks(&attempts),
    }
}

fn lines<T: for<'de> Deserialize<'de>>(text: &str) -> Vec<T> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// What would show a revealed column waits, so that more is blocked than without.
fn none_leaks(attempts: &[Attempt]) {
    let leaks: Vec<_> = attempts.iter().filter(|attempt| attempt.outcome == "leak").collect();
    let told = leaks.iter().map(|leak| format!("{} {}: {} {}", leak.id, leak.title, leak.hits, leak.errors));
    println!("revealed to nobody: {} of {} leaked", leaks.len(), attempts.len());
    assert!(leaks.is_empty() && attempts.len() == 198, "{}", told.collect::<Vec<_>>().join("\n"));
}

/// Prints the scores and what went wrong, and fails when anything did.
fn judge(labels: &str, attempts: &[Attempt], controls: &[Control]) {
    let mut table: BTreeMap<&str, [u32; 4]> = BTreeMap::new();
    let mut wrong = Vec::new();
    let in_database = labels.contains("masking=database");
    for attempt in attempts {
        let counts = table.entry(&attempt.category).or_default();
        counts[0] += 1;
        counts[["leak", "blocked", "masked"].iter().position(|word| *word == attempt.outcome).unwrap() + 1] += 1;
        let of_views = in_database && REFUSED_OF_VIEWS.iter().any(|(id, _)| *id == attempt.id);
        if !(attempt.accept.contains(&attempt.outcome) || of_views && attempt.outcome == "blocked") {
            let Attempt { id, title, outcome, hits, errors, died, .. } = attempt;
            let hits: Vec<_> = hits.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
            wrong.push(format!("{id} {title}: {outcome} {hits:?} {errors} {died:?}"));
        }
    }
    let kept = controls.iter().filter(|control| control.kept).count();
    let is_lost = |control: &&Control| !in_database && LOST.iter().any(|(id, _)| *id == control.id);
    for control in controls.iter().filter(|control| !control.kept && !is_lost(control)) {
        let Control { id, title, errors, direct, got, .. } = control;
        wrong.push(format!("{id} {title}: {errors}\n     direct {direct}\n     got    {got}"));
    }
    println!("{labels}: {:16} {:>4} {:>6} {:>8} {:>7}", "category", "all", "leaked", "blocked", "masked");
    for (category, [all, leaked, blocked, masked]) in &table {
        println!("{labels}: {category:16} {all:>4} {leaked:>6} {blocked:>8} {masked:>7}");
    }
    println!("{labels}: benign statements kept: {kept} of {}", controls.len());
    let excused = if in_database { REFUSED_OF_VIEWS } else { LOST };
    excused.iter().for_each(|(id, why)| println!("{labels}: {id} is refused: {why}"));
    assert!(attempts.len() == 198 && controls.len() == 52, "{} and {}", attempts.len(), controls.len());
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// An open `gov connect`.
struct Endpoint {
    at: Value,
    connect: Child,
}

impl Endpoint {
    fn open(sandbox: &Sandbox, arguments: &[&str]) -> Self {
        let arguments = [&["connect", "bench", "--port", "0", "--print", "json"], arguments].concat();
        let mut connect = sandbox.command(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(connect.stdout.take().unwrap()).lines();
        let mut text = String::new();
        let at = loop {
            text.push_str(&lines.next().unwrap_or_else(|| panic!("no endpoint: {text}")).unwrap());
            if let Ok(described) = serde_json::from_str::<Value>(&text) {
                break described;
            }
        };
        let field = |name: &str| at[name].clone();
        let at = json!({
            "host": field("host"), "port": field("port"), "user": field("user"), "password": field("password"),
            "db": field("database"),
            // What somebody else would have to agree to does not wait for them here.
            "params": {"gov.wait": "off"},
        });
        Self { at, connect }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        drop(self.connect.kill());
        drop(self.connect.wait());
    }
}
