//! The guardrail corpus through the real proxy and a real PostgreSQL: what must be stopped is, what must pass does, and
//! nothing that was stopped changed a row.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Deserialize;

use crate::support::wire::Answer;
use crate::support::{Connected, Sandbox, postgres, repository};

/// Databases in use at the same time.
const WORKERS: usize = 3;

/// The database every case starts from.
const TEMPLATE: &str = "template_guardrails";

/// What the corpus assumes: `billing` is financial, two functions are reviewed. Its smallest table has 1,000 rows, and
/// changing all of them is too many. It is about what statements do; what masks keep has a corpus of its own.
const POLICY: &str = "
policy:
  limits: {changed_rows: 900}
  rules: {masked_copy: observe}
  tags:
    - {relation: billing.*, tags: [financial]}
  reviewed_functions:
    - {function: 'public.full_name(text, text)', body: 54365cc49572f0ce2381f555df2220d6cd7447a4e0e6fec2824a5279c33e337b}
    - {function: 'public.order_total(integer)', body: cea0c99455661806bf4a95f024250ca086fea60142f714e0d54e25152efa3f06}
";

/// Every row of every relation that is not the server's own, the code and the large objects, as one digest.
const DIGEST: &str = include_str!("../vectors/guardrails/digest.sql");

/// A case of the corpus.
#[derive(Debug, Deserialize)]
struct Case {
    id: String,
    category: String,
    sql: Vec<String>,
    protocol: String,
    #[serde(default)]
    params: Vec<Vec<String>>,
    expected: String,
    accept: Vec<String>,
    decisions: Option<Vec<String>>,
    layer: String,
    verified: Verified,
}

/// What PostgreSQL does with a case when nothing guards it.
#[derive(Debug, Deserialize)]
struct Verified {
    /// For each text `ok` and a tag, or an SQLSTATE; by role. Empty for what was not sent.
    status: BTreeMap<String, Vec<String>>,
}

/// What the proxy made of a case.
struct Outcome {
    /// `allow`, `approve`, `block`, or `replaced` where a warning says what was sent instead; one for each text.
    verdicts: Vec<&'static str>,
    /// The SQLSTATE of the first error, one for each text.
    sqlstates: Vec<Option<String>>,
    /// What was said, for whoever reads the failure.
    said: Vec<String>,
    /// Something is not as it was.
    changed: bool,
}

impl Outcome {
    fn strictest(&self) -> &'static str {
        ["block", "approve", "replaced"].into_iter().find(|word| self.verdicts.contains(word)).unwrap_or("allow")
    }
}

impl Case {
    /// Nothing of it may run unless somebody agrees.
    fn must_stop(&self) -> bool {
        !self.accept.iter().any(|accepted| accepted == "allow")
    }

    /// What passes does what it does without us: succeeds, or fails with the database's own error.
    fn works(&self, outcome: &Outcome) -> bool {
        let as_owner = self.verified.status.get("gv_owner").into_iter().flatten();
        self.expected != "allow"
            || as_owner.zip(&outcome.sqlstates).all(|(status, sqlstate)| match sqlstate {
                // What nobody ran unguarded has no outcome to compare with.
                _ if status.starts_with("parse-only") => true,
                None => status.starts_with("ok"),
                Some(sqlstate) => status.starts_with(sqlstate.as_str()),
            })
    }

    fn fits(&self, outcome: &Outcome) -> bool {
        // What was replaced has not run; that the client was warned and not refused is counted for itself.
        let accepted = |verdict: &str| {
            let word = if verdict == "replaced" { "block" } else { verdict };
            self.accept.iter().any(|accepted| accepted == word)
        };
        let each = self.decisions.as_ref().is_none_or(|decisions| {
            decisions
                .iter()
                .zip(&outcome.verdicts)
                .all(|(expected, verdict)| expected == verdict || (expected != "allow" && accepted(verdict)))
        });
        accepted(outcome.strictest()) && each && self.works(outcome)
    }
}

#[test]
fn the_corpus_through_the_proxy() {
    let vectors = repository().join("tests/vectors/guardrails");
    let corpus = std::fs::read_to_string(vectors.join("statements.jsonl")).unwrap();
    let only = std::env::var("GOV_CASE").ok();
    let cases: Vec<Case> = corpus
        .lines()
        .map(|line| serde_json::from_str::<Case>(line).unwrap())
        .filter(|case| only.as_ref().is_none_or(|only| case.id.starts_with(only.as_str())))
        .collect();
    let (sandbox, untouched) = prepare();
    let next = AtomicUsize::new(0);
    let outcomes: Mutex<BTreeMap<usize, Outcome>> = Mutex::default();
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (sandbox, untouched, next, outcomes, cases) = (&sandbox, &untouched, &next, &outcomes, &cases);
            scope.spawn(move || {
                let mut fresh = false;
                while let Some((index, case)) = take(next, cases) {
                    if !fresh {
                        postgres::server().copy(TEMPLATE, &database(worker));
                    }
                    let outcome = play(sandbox, worker, case, untouched);
                    // A database in which nothing happened is as good as a new one.
                    fresh = case.must_stop() && !outcome.changed;
                    outcomes.lock().unwrap().insert(index, outcome);
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().unwrap();
    assert_eq!(outcomes.len(), cases.len());
    score(&cases, &outcomes);
}

fn take<'c>(next: &AtomicUsize, cases: &'c [Case]) -> Option<(usize, &'c Case)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    cases.get(index).map(|case| (index, case))
}

/// The template, a server that governs one database for each worker, and the template's digest.
fn prepare() -> (Sandbox, String) {
    let server = postgres::server();
    let vectors = repository().join("tests/vectors/guardrails");
    let read = |name: &str| std::fs::read_to_string(vectors.join(name)).unwrap();
    let roles = read("roles.sql");
    server.run("postgres", &roles);
    // The sessions act as the owner of the tables: what stops a statement here is not a missing right.
    server.run("postgres", "GRANT gv_owner, gv_rw, gv_ro TO gov_broker WITH ADMIN OPTION");
    server.run("postgres", &format!("CREATE DATABASE {TEMPLATE}"));
    server.run(TEMPLATE, &read("fixture.sql"));
    let untouched = server.run(TEMPLATE, DIGEST);
    let mut sandbox = Sandbox::new();
    sandbox.write_secret("broker.password", postgres::PASSWORD);
    let mut config =
        "server: {listen: '127.0.0.1:0', data: data}\naudit: {durability: written}\nresources:\n".to_owned();
    for worker in 0..WORKERS {
        server.copy(TEMPLATE, &database(worker));
        config.push_str(&format!(
            "  {}: {{url: 'postgres://gov_broker@127.0.0.1:{}/{}', password: {{file: broker.password}}, \
             labels: {{env: prod}}, roles: {{read: gv_ro, write: gv_owner}}}}\n",
            resource(worker),
            server.port,
            database(worker),
        ));
    }
    config.push_str("access:\n  - {who: {group: dba}, labels: {env: prod}, access: write, ttl: 1h}\n");
    config.push_str(POLICY);
    let config = sandbox.write("gov.yaml", &config);
    sandbox.start_server(&["--dev", "--config", config.to_str().unwrap()]);
    sandbox.log_in("bob");
    (sandbox, untouched)
}

fn resource(worker: usize) -> String {
    format!("guarded-{worker}")
}

fn database(worker: usize) -> String {
    format!("guarded_{worker}")
}

/// Plays one case in a fresh database and a session of its own.
fn play(sandbox: &Sandbox, worker: usize, case: &Case, untouched: &str) -> Outcome {
    let connected =
        sandbox.connect(&[&resource(worker), "--write"]).unwrap_or_else(|ran| panic!("{}: {ran:?}", case.id));
    let answers = say(&connected, case);
    drop(connected);
    let changed = case.must_stop() && postgres::server().run(&database(worker), DIGEST) != untouched;
    Outcome {
        verdicts: answers.iter().map(verdict).collect(),
        sqlstates: answers.iter().map(|answer| answer.errors.first().map(|error| error.sqlstate.clone())).collect(),
        said: answers.iter().flat_map(|answer| answer.errors.iter().map(|error| format!("{error:?}"))).collect(),
        changed,
    }
}

/// Sends what the case sends, the way it sends it.
fn say(connected: &Connected, case: &Case) -> Vec<Answer> {
    let port = postgres::server().port.to_string();
    let texts: Vec<Vec<u8>> = case.sql.iter().map(|text| text.replace("{{PORT}}", &port).into_bytes()).collect();
    let values =
        |index: usize| -> Vec<&str> { case.params.get(index).into_iter().flatten().map(String::as_str).collect() };
    // What needs approval is refused at once.
    let mut parameters = vec![("gov.wait", "off")];
    match case.protocol.as_str() {
        "replication" => parameters.push(("replication", "database")),
        "startup-options" => parameters.push(("options", case.sql[0].as_str())),
        _ => {}
    }
    let mut wire = match connected.wire(&parameters) {
        Ok(wire) => wire,
        Err(refused) => return vec![refused],
    };
    match case.protocol.as_str() {
        "simple" | "replication" | "raw-nul" => texts.iter().map(|text| wire.simple(text)).collect(),
        "startup-options" => texts.iter().skip(1).map(|text| wire.simple(text)).collect(),
        "extended" => texts.iter().enumerate().map(|(index, text)| wire.extended(text, &values(index))).collect(),
        "extended-pipeline" => {
            texts.iter().enumerate().for_each(|(index, text)| wire.send_extended(text, &values(index)));
            wire.send(b'S', &[]);
            vec![wire.answer()]
        }
        "fastpath" => vec![wire.fast_path(case.sql[0].trim().parse().unwrap_or(1))],
        other => panic!("{}: how is `{other}` sent?", case.id),
    }
}

/// What was decided. An error of the database's own means that the statement reached it; a warning of a rule, that
/// another one was sent in its place.
fn verdict(answer: &Answer) -> &'static str {
    match answer.errors.iter().find(|error| error.rule().is_some()) {
        Some(error) if error.routine == "gov_hold" => "approve",
        Some(_) => "block",
        None if answer.notices.iter().any(|notice| notice.rule().is_some()) => "replaced",
        // A connection that ends, or never begins, ran nothing.
        None if answer.closed => "block",
        None => "allow",
    }
}

/// Prints how many were decided rightly, and fails unless all were.
fn score(cases: &[Case], outcomes: &BTreeMap<usize, Outcome>) {
    let mut tally: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    let (mut audited, mut false_blocks, mut replaced) = ((0, 0), 0, 0);
    let mut wrong = Vec::new();
    for (index, case) in cases.iter().enumerate() {
        let outcome = &outcomes[&index];
        let fits = case.fits(outcome);
        // What only the audit inside the transaction can know is counted for itself.
        let live = matches!(case.layer.as_str(), "rowcap" | "estimate");
        let (good, all) = if live { &mut audited } else { tally.entry(&case.category).or_default() };
        *good += u32::from(fits);
        *all += 1;
        replaced += u32::from(outcome.verdicts.contains(&"replaced"));
        false_blocks += u32::from(case.expected == "allow" && outcome.strictest() != "allow");
        if !fits || outcome.changed {
            let changed = if outcome.changed { ", and something CHANGED" } else { "" };
            wrong.push(format!(
                "{} expected {} {:?}: {:?}{changed}\n    {:?}\n    {:?}",
                case.id, case.expected, case.accept, outcome.verdicts, case.sql, outcome.said
            ));
        }
    }
    for (category, (good, all)) in &tally {
        println!("{category:24} {good:3} / {all}");
    }
    let (good, all) = tally.values().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    println!("{:24} {:3} / {}", "only by the audit", audited.0, audited.1);
    println!("through the proxy        {:3} / {}", good + audited.0, all + audited.1);
    println!("{:24} {replaced:3}", "of these sent safely");
    println!("benign blocked           {false_blocks:3}");
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
