//! The engine's answers, as data: the guardrail corpus and our own cases.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

pub(super) use super::corpus::{CATALOG, POLICY, engine, grant};
use super::*;
use crate::domain::{Access, Environment, IdentityKind, SessionId, Verdict};

const CORPUS: &str = include_str!("../../tests/vectors/guardrails/statements.jsonl");

/// One connection, and what it was told.
struct Session {
    engine: Arc<Engine>,
    grant: Grant,
    scope: Scope,
}

impl Session {
    fn new(engine: &Arc<Engine>, grant: Grant) -> Self {
        let path = ["$user".to_owned(), "public".to_owned()];
        Self { engine: Arc::clone(engine), grant, scope: Scope::new("gv_rw", &path) }
    }

    fn decide(&self, text: &[u8]) -> (Verdict, String) {
        let what = self.engine.understand(text);
        let decision = self.engine.decide(Timestamp::default(), &self.grant, &what, &self.scope);
        self.foresees(text, &decision);
        match decision {
            Decision::Allow(_) => (Verdict::Allow, String::new()),
            Decision::Hold(refusal) | Decision::Deny(refusal) => {
                let Reason { rule, message, detail, .. } = refusal.reason;
                (refusal.verdict, format!("{rule}: {message} ({})", detail.unwrap_or_default()))
            }
        }
    }

    /// The other end, with an engine of its own and the same policy and catalog, must say the same. Only what rests on
    /// a name that the catalog does not have is left to the end that may have a newer one.
    fn foresees(&self, text: &[u8], decision: &Decision) {
        let bytes = self.engine.policy().canonical();
        let policy = Policy::from_canonical(&bytes).unwrap();
        let client = Engine::new(Arc::new(policy), self.engine.catalog(), None);
        let foreseen = client.foresee(Timestamp::default(), &self.grant, &client.understand(text), &self.scope);
        match (decision, foreseen) {
            (Decision::Allow(_), Decision::Allow(_)) => {}
            (Decision::Hold(here) | Decision::Deny(here), Decision::Hold(there) | Decision::Deny(there)) => {
                assert_eq!((here.verdict, &here.reason, &here.rules), (there.verdict, &there.reason, &there.rules));
            }
            (Decision::Hold(here) | Decision::Deny(here), Decision::Allow(_)) => {
                assert!(here.stale, "{}", String::from_utf8_lossy(text));
            }
            (Decision::Allow(_), Decision::Hold(_) | Decision::Deny(_)) => {
                panic!("only the client stops {}", String::from_utf8_lossy(text));
            }
        }
    }

    /// Sends a text. What is allowed succeeds; what is held is approved and succeeds; what is denied does not happen.
    fn send(&mut self, text: &[u8]) -> (Verdict, String) {
        let answer = self.decide(text);
        if answer.0 != Verdict::Deny {
            let what = self.engine.understand(text);
            for command in 0..what.commands.len() {
                self.engine.scope_after(&what, command, &mut self.scope);
            }
        }
        answer
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Allow => "allow",
        Verdict::Hold => "approve",
        Verdict::Deny => "block",
    }
}

/// A case of the corpus.
#[derive(Deserialize)]
struct Case {
    id: String,
    category: String,
    sql: Vec<String>,
    expected: String,
    accept: Vec<String>,
    decisions: Option<Vec<String>>,
    layer: String,
}

/// The layers that need the database itself: how many rows there really are.
const LIVE_LAYERS: [&str; 2] = ["rowcap", "estimate"];

#[test]
fn guardrail_corpus() {
    let engine = Arc::new(engine(Environment::Production));
    let mut misses = Vec::new();
    let mut tally: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    let mut live = (0, 0);
    for line in CORPUS.lines() {
        let case: Case = serde_json::from_str(line).unwrap();
        let mut session = Session::new(&engine, grant(Access::Write, IdentityKind::Person));
        let answers: Vec<_> = case.sql.iter().map(|text| session.send(text.as_bytes())).collect();
        let strictest = answers.iter().map(|(verdict, _)| *verdict).max().unwrap_or(Verdict::Allow);
        let good = case.accept.iter().any(|accepted| accepted == word(strictest));
        if LIVE_LAYERS.contains(&case.layer.as_str()) {
            live.0 += u32::from(good);
            live.1 += 1;
            continue;
        }
        let per_statement = case.decisions.as_ref().is_none_or(|decisions| {
            let pairs = decisions.iter().zip(&answers);
            pairs.into_iter().all(|(expected, (verdict, _))| {
                expected == word(*verdict) || (expected != "allow" && case.accept.iter().any(|a| a == word(*verdict)))
            })
        });
        let entry = tally.entry(case.category.clone()).or_default();
        entry.1 += 1;
        if good && per_statement {
            entry.0 += 1;
        } else {
            misses.push(format!(
                "{} expected {} {:?}: {answers:?}\n    {:?}",
                case.id, case.expected, case.accept, case.sql
            ));
        }
    }
    let (good, all) = tally.values().fold((0, 0), |(good, all), (g, a)| (good + g, all + a));
    for (category, (good, all)) in &tally {
        println!("{category:24} {good:3} / {all}");
    }
    println!("decided from the text    {good:3} / {all}");
    println!("of those that need the database, already stopped or rightly let through: {} / {}", live.0, live.1);
    assert!(misses.is_empty(), "{}", misses.join("\n"));
}

/// Our own cases; see the file for its form.
const CASES: &str = include_str!("../../tests/vectors/guardrails/cases.txt");

#[test]
fn own_cases() {
    let mut engine_of_section = Arc::new(engine(Environment::Production));
    let mut grant_of_section = grant(Access::Write, IdentityKind::Person);
    let mut wrong = Vec::new();
    let mut cases = 0;
    for line in CASES.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(section) = line.strip_prefix('[') {
            let words: Vec<_> = section.trim_end_matches(']').split(' ').collect();
            let environment = match words[0] {
                "prod" => Environment::Production,
                "staging" => Environment::Staging,
                "dev" => Environment::Development,
                other => panic!("{other}"),
            };
            let kind = if words[1] == "agent" { IdentityKind::Agent } else { IdentityKind::Person };
            let access = if words[2] == "read" { Access::Read } else { Access::Write };
            engine_of_section = Arc::new(engine(environment));
            grant_of_section = grant(access, kind);
            continue;
        }
        let (expected, texts) = line.split_once(" | ").unwrap();
        let mut session = Session::new(&engine_of_section, grant_of_section.clone());
        let answers: Vec<_> = texts.split(" ;; ").map(|text| session.send(text.as_bytes())).collect();
        let (verdict, why) = answers.iter().max_by_key(|(verdict, _)| *verdict).unwrap();
        let rule = why.split(':').next().filter(|rule| !rule.is_empty()).unwrap_or("-");
        cases += 1;
        if format!("{} {rule}", verdict.word()) != expected {
            wrong.push(format!("{line}\n    {} {why}", verdict.word()));
        }
    }
    println!("{} of {cases} own cases", cases - wrong.len());
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Texts that differ in constants only, of which the first is allowed and the second is not: whichever comes first, the
/// other is judged by its own constants.
#[test]
fn constants_are_those_of_the_text_itself() {
    let mut wrong = Vec::new();
    for (allowed, stopped) in [
        ("UPDATE orders SET total = 10 WHERE id = 11", "UPDATE orders SET total = 10 WHERE 11 = 11"),
        ("DELETE FROM orders WHERE id = 12", "DELETE FROM orders WHERE id <> 12"),
        ("DELETE FROM orders WHERE id > 12345", "DELETE FROM orders WHERE id > -1234"),
        ("DELETE FROM orders WHERE status = 'open'", "DELETE FROM orders WHERE status LIKE '%'"),
        ("DELETE FROM notes WHERE body LIKE '%old%'", "DELETE FROM notes WHERE body LIKE '%%%%%'"),
        ("DELETE FROM orders WHERE false", "DELETE FROM orders WHERE true"),
        ("DELETE FROM orders WHERE id = 12 AND 21 = 22", "DELETE FROM orders WHERE id = id AND 21 = 21"),
        ("SELECT set_config('application_name', 'x', false)", "SELECT set_config('role', 'postgres', false)"),
        ("SELECT set_config('search_path', 'public', false)", "SELECT set_config('search_path', 'scratch', false)"),
        ("SET search_path = public", "SET search_path = scratch"),
        ("SET statement_timeout = 1000", "SET statement_timeout = 9999999"),
        ("SET statement_timeout = '10s'", "SET statement_timeout = '10h'"),
        ("SELECT * FROM generate_series(1, 100)", "SELECT * FROM generate_series(1, 9999999999)"),
        ("SELECT repeat('x', 10)", "SELECT repeat('x', 1000000000)"),
        ("SELECT * FROM billing.invoices LIMIT 10", "SELECT * FROM billing.invoices LIMIT 9999999"),
        ("COPY (SELECT * FROM billing.invoices LIMIT 10) TO STDOUT", "COPY (SELECT * FROM billing.invoices) TO STDOUT"),
        ("EXPLAIN (ANALYZE 0) DELETE FROM orders", "EXPLAIN (ANALYZE 1) DELETE FROM orders"),
    ] {
        let verdicts = |texts: &[&str]| {
            let engine = Arc::new(engine(Environment::Production));
            let session = Session::new(&engine, grant(Access::Write, IdentityKind::Person));
            texts.iter().map(|text| session.decide(text.as_bytes())).collect::<Vec<_>>()
        };
        let (one, other) = (verdicts(&[allowed, stopped, allowed]), verdicts(&[stopped, allowed, stopped]));
        let fits = one[0] == (Verdict::Allow, String::new()) && one[1].0 != Verdict::Allow;
        if !fits || one[2] != one[0] || other != [one[1].clone(), one[0].clone(), one[1].clone()] {
            wrong.push(format!("{allowed}\n{stopped}\n    {one:?}\n    {other:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is looked up by number is judged alike whatever the number is, and as it is when it is alone: with a text of
/// each kind that an engine knows as one.
#[test]
fn what_is_looked_up_by_number_is_judged_as_it_is() {
    let known = Arc::new(engine(Environment::Production));
    for access in [Access::Read, Access::Write] {
        let session = Session::new(&known, grant(access, IdentityKind::Person));
        for text in [
            "SELECT * FROM orders WHERE id = {}",
            "SELECT * FROM billing.invoices WHERE id = {};",
            "SELECT a, b INTO elsewhere FROM orders WHERE id = {} AND total = {}",
            "SELECT * FROM pg_authid WHERE oid = {}",
            "SELECT purge_old() FROM orders WHERE id = {}",
            "SELECT name, set_config(name, setting, false) FROM pg_settings WHERE name = {}",
            "UPDATE orders SET total = user_id WHERE orders.id = {}",
            "UPDATE nowhere SET a = b WHERE id = {}",
            "DELETE FROM orders USING users WHERE users.id = {}",
            "DELETE FROM orders o USING orders p WHERE p.id = {}",
            "DELETE FROM orders WHERE current_user = {}",
            "DELETE FROM orders WHERE no_such_column = {} AND id = {}",
            "SELECT a FROM orders WHERE left = {}",
        ] {
            let with = |numbers: [&str; 2]| {
                numbers.iter().fold(text.to_owned(), |text, number| text.replacen("{}", number, 1))
            };
            let record = |text: &str| known.understand(text.as_bytes()).statement.normalized.to_string();
            for numbers in [["12345", "54321"], ["98765", "56789"], ["98", "56"]] {
                let shared = session.decide(with(numbers).as_bytes());
                // In brackets a number is nothing that texts are known by.
                let bracketed = numbers.map(|number| format!("({number})"));
                let alone = session.decide(with([&bracketed[0], &bracketed[1]]).as_bytes());
                assert_eq!(shared.0, alone.0, "{text}: {} {}", shared.1, alone.1);
                assert_eq!(record(&with(numbers)), record(&with(["1", "2"])), "{text}");
            }
        }
    }
}

/// Cases over the corpus' policy; see [`cases_apply_to_whom_and_what_they_name`].
const EXCEPTIONS: &str = "\
cases:
  - {name: agents and money, if: {kind: agent, tag: financial}, then: deny, reason: money is not for agents}
  - {name: support reads only tickets, if: {group: support, relation: 'public.notes', operation: read}, then: hold}
  - {name: incident, if: {purpose: incident}, then: observe, rules: [opaque_code, resource_use]}
  - {name: scratch is free, if: {relation: scratch.*}, then: allow, rules: [schema_change, code_change]}
  - {name: big deletes, if: {operation: [delete, update], table_rows_over: 4000}, then: hold}
  - {name: office hours, if: {operation: insert}, unless: {hours: 'mon-fri 08:00-18:00'}, then: deny}
  - {name: eu data, if: {labels: {region: eu}, operation: read}, unless: {group: eu}, then: deny}
";

#[test]
fn cases_apply_to_whom_and_what_they_name() {
    let policy = Policy::parse(&format!("{POLICY}{EXCEPTIONS}"), Environment::Production).unwrap();
    assert_eq!(Policy::from_canonical(&policy.canonical()).unwrap(), policy);
    let snapshot: Snapshot = serde_json::from_str(CATALOG).unwrap();
    let catalog = Catalog::from_snapshot(&snapshot, Classification::default());
    let engine = Arc::new(Engine::new(Arc::new(policy), Arc::new(catalog), None));
    let mut sessions = 0;
    let mut check = |how: &dyn Fn(&mut Grant), at: &str, text: &str, expected: &str| {
        let mut grant = grant(Access::Write, IdentityKind::Person);
        grant.expires_at = Timestamp::from_millis(u64::MAX);
        sessions += 1;
        grant.session = SessionId::new(Timestamp::from_seconds(sessions), [0; 10]);
        how(&mut grant);
        let what = engine.understand(text.as_bytes());
        let now = Timestamp::parse(at).unwrap();
        let path = ["public".to_owned()];
        let found = match engine.decide(now, &grant, &what, &Scope::new("gv_rw", &path)) {
            Decision::Allow(_) => "allow".to_owned(),
            Decision::Hold(refusal) | Decision::Deny(refusal) => {
                let case = refusal.reason.detail.filter(|_| refusal.reason.rule == "case").unwrap_or_default();
                format!("{} {} {case}", refusal.verdict.word(), refusal.reason.rule)
            }
        };
        assert_eq!(found.trim(), expected, "{text}");
    };
    let friday = "2026-11-27T10:00:00Z";
    let plain = |_: &mut Grant| {};
    let agent = |grant: &mut Grant| grant.identity.kind = IdentityKind::Agent;
    let support = |grant: &mut Grant| grant.identity.groups.push("support".to_owned());
    let incident = |grant: &mut Grant| {
        grant.purpose = Some(crate::domain::Purpose { id: "incident".parse().unwrap(), reference: None });
    };
    let agent_incident = |grant: &mut Grant| {
        agent(grant);
        incident(grant);
    };
    let eu = |grant: &mut Grant| drop(grant.labels.insert("region".to_owned(), "eu".to_owned()));
    let eu_member = |grant: &mut Grant| {
        eu(grant);
        grant.identity.groups.push("eu".to_owned());
    };
    let money = "SELECT * FROM billing.invoices WHERE id = 1";
    check(&plain, friday, money, "allow");
    check(&agent, friday, money, "deny case Case: agents and money.");
    check(&agent, friday, "SELECT * FROM users WHERE id = 1", "allow");
    check(&support, friday, "SELECT * FROM notes", "hold case Case: support reads only tickets.");
    check(&support, friday, "SELECT * FROM users WHERE id = 1", "allow");
    check(&plain, friday, "SELECT purge_old()", "hold opaque_code");
    check(&incident, friday, "SELECT purge_old()", "allow");
    // What is said for everybody makes nothing milder for agents.
    check(&agent_incident, friday, "SELECT purge_old()", "deny opaque_code");
    check(&plain, friday, "CREATE TABLE scratch.t (a int)", "allow");
    check(&plain, friday, "CREATE TABLE public.t (a int)", "hold schema_change");
    // Everything a statement touches must be excepted, and nothing unknown may be in it.
    check(&plain, friday, "CREATE TABLE scratch.t AS SELECT * FROM users", "hold schema_change");
    check(&plain, friday, "CREATE TABLE scratch.t AS SELECT * FROM nowhere", "hold schema_change");
    check(&plain, friday, "DELETE FROM orders WHERE id = 1", "hold case Case: big deletes.");
    check(&plain, friday, "DELETE FROM notes WHERE id = 1", "allow");
    check(&plain, friday, "WITH x AS (DELETE FROM notes WHERE id = 1) SELECT * FROM orders", "allow");
    check(&plain, friday, "INSERT INTO notes (body) VALUES ('x')", "allow");
    let insert = "INSERT INTO notes (body) VALUES ('x')";
    check(&plain, "2026-11-28T10:00:00Z", insert, "deny case Case: office hours.");
    check(&eu, friday, "SELECT 1", "deny case Case: eu data.");
    check(&eu_member, friday, "SELECT 1", "allow");
}

/// The record says which functions a statement was stopped for, so that somebody can review them.
#[test]
fn functions_that_nobody_reviewed_are_in_the_statement() {
    let engine = engine(Environment::Production);
    let grant = grant(Access::Write, IdentityKind::Person);
    let check = |text: &str, expected: &[&str]| {
        let what = engine.understand(text.as_bytes());
        let statement =
            match engine.decide(Timestamp::default(), &grant, &what, &Scope::new("gv_rw", &["public".to_owned()])) {
                Decision::Allow(permit) => Arc::clone(permit.statement()),
                Decision::Hold(refusal) | Decision::Deny(refusal) => refusal.statement,
            };
        let told = |function: &crate::domain::Function| (function.name.clone(), function.body.is_some());
        let found: Vec<_> = statement.functions.iter().map(told).collect();
        let expected: Vec<_> = expected.iter().map(|name| ((*name).to_owned(), name.ends_with(')'))).collect();
        assert_eq!(found, expected, "{text}");
    };
    check("SELECT lower(name) FROM users WHERE id = 1", &[]);
    check("SELECT full_name('a', 'b')", &[]);
    check("SELECT purge_old(), purge_old()", &["public.purge_old()"]);
    check("SELECT nobody_has(1), elsewhere.this('secret')", &["elsewhere.this", "nobody_has"]);
}

#[test]
fn cases_that_cannot_be_meant_are_refused() {
    let check = |case: &str, expected: &str| {
        let mistake = Policy::parse(&format!("cases:\n  - {case}\n"), Environment::Production).unwrap_err();
        let told = format!("{}: {}; {}", mistake.line, mistake.message, mistake.hint.unwrap_or_default());
        assert!(told.contains(expected), "{told}");
    };
    check("{name: x, if: {}, then: hold}", "would be every statement");
    check("{name: '', if: {kind: agent}, then: hold}", "no name");
    check("{name: x, if: {kind: agent}, unless: {}, then: hold}", "would never apply");
    check("{name: x, if: {kind: agent}, then: allow}", "name under `rules`");
    check("{name: x, if: {kind: robot}, then: hold}", "unknown kind `robot`");
    check("{name: x, if: {operation: [updte]}, then: hold}", "did you mean `update`?");
    check("{name: x, if: {knd: agent}, then: hold}", "did you mean `kind`?");
    check("{name: x, if: {hours: 9 to 5}, then: hold}", "mon-fri 08:00-18:00");
    check("{name: x, if: {kind: agent}, then: observe, rules: read_only}", "cannot be changed");
    check("{name: x, if: {relation: payments}, then: hold}", "write `schema.relation`");
    check("{name: x, if: {kind: agent}}", "then");
}

/// What a case says about estimates waits for the planner: the number itself decides, and none means that somebody else
/// must agree.
#[test]
fn estimates_decide_when_they_are_known() {
    let cases = "cases:
  - {name: large changes, if: {operation: [update, delete], estimated_rows_over: 20}, then: hold}
  - {name: huge changes, if: {operation: update, estimated_rows_over: 1000}, then: deny}
";
    let policy = Policy::parse(&format!("{POLICY}{cases}"), Environment::Development).unwrap();
    assert_eq!(Policy::from_canonical(&policy.canonical()).unwrap(), policy);
    let snapshot: Snapshot = serde_json::from_str(CATALOG).unwrap();
    let catalog = Catalog::from_snapshot(&snapshot, Classification::default());
    let engine = Engine::new(Arc::new(policy), Arc::new(catalog), None);
    let mut grant = grant(Access::Write, IdentityKind::Person);
    grant.expires_at = Timestamp::from_millis(u64::MAX);
    let permit = |text: &str| {
        let what = engine.understand(text.as_bytes());
        match engine.decide(Timestamp::from_seconds(1), &grant, &what, &Scope::default()) {
            Decision::Allow(permit) => permit,
            stopped => panic!("{text}: {stopped:?}"),
        }
    };
    let word = |decision: Decision| match decision {
        Decision::Allow(_) => "allow",
        Decision::Hold(_) => "hold",
        Decision::Deny(_) => "deny",
    };
    let (update, delete) = ("UPDATE orders SET status = 'x' WHERE id < 9", "DELETE FROM orders WHERE id < 9");
    for (text, rows, approved, expected) in [
        (update, Some(20), false, "allow"),
        (update, Some(21), false, "hold"),
        (update, Some(21), true, "allow"),
        (update, Some(1001), false, "deny"),
        (update, Some(1001), true, "deny"),
        (update, None, false, "hold"),
        (update, None, true, "allow"),
        (delete, Some(1001), false, "hold"),
    ] {
        let permit = permit(text);
        assert!(permit.asks_estimate(), "{text}");
        assert_eq!(word(permit.weighed(rows, approved)), expected, "{text} {rows:?} {approved}");
    }
    assert!(!permit("SELECT id FROM orders WHERE id = 1").asks_estimate());
    let (assumed, by_estimate) = Decision::Allow(permit(update)).assuming(None);
    assert_eq!(word(assumed), "hold");
    let steps = |decision: Decision| {
        let by_estimate = decision.assuming(Some(21)).1;
        by_estimate.into_iter().map(|step| (step.rows_max, step.verdict.word())).collect::<Vec<_>>()
    };
    assert_eq!(by_estimate.len(), 3);
    let expected = [(Some(20), "allow"), (Some(1000), "hold"), (None, "deny")];
    assert_eq!(steps(Decision::Allow(permit(update))), expected);
    assert_eq!(steps(Decision::Allow(permit(delete))), [(Some(20), "allow"), (None, "hold")]);
    assert_eq!(steps(Decision::Allow(permit("SELECT id FROM orders WHERE id = 1"))), []);
    for wrong in [
        "cases: [{name: a, if: {estimated_rows_over: 5}, then: observe}]",
        "cases: [{name: a, if: {estimated_rows_over: 5}, then: allow, rules: missing_where}]",
        "cases: [{name: a, if: {estimated_rows_over: 5}, then: deny, rules: missing_where}]",
        "cases: [{name: a, if: {operation: read}, unless: {estimated_rows_over: 5}, then: deny}]",
    ] {
        assert!(Policy::parse(wrong, Environment::Production).is_err(), "{wrong}");
    }
}

/// No name of a cast's type stands where it is called for, when what it makes is a type of the server's own.
#[test]
fn casts_to_the_servers_own_types_are_known_by_what_they_start_from() {
    let mut snapshot: Snapshot = serde_json::from_str(CATALOG).unwrap();
    for cast in &mut snapshot.casts {
        (cast.source, cast.target, cast.context) = (cast.target, 25, 'e');
    }
    let catalog = Catalog::from_snapshot(&snapshot, Classification::default());
    let policy = Policy::parse(POLICY, Environment::Production).unwrap();
    let engine = Arc::new(Engine::new(Arc::new(policy), Arc::new(catalog), None));
    let session = Session::new(&engine, grant(Access::Read, IdentityKind::Person));
    let check = |text: &str, allowed| {
        let (verdict, why) = session.decide(text.as_bytes());
        assert_eq!(verdict == Verdict::Allow, allowed, "{text}: {why}");
    };
    check("SELECT ROW('x')::public.bomb::text", false);
    check("SELECT CAST(b AS text) FROM (SELECT NULL::public.bomb AS b) q", false);
    check("SELECT ARRAY[NULL::public.bomb]::text[]", false);
    check("SELECT NULL::public.bomb", true);
    check("SELECT 1::text", true);
}
