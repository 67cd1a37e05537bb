//! What is proven is never contradicted, what is refuted really is, and what weakens a policy is noticed.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Deserialize;

use super::super::case::{OperationWord, Subject, Touched as OfCase};
use super::super::catalog::{CatalogColumn, CatalogRelation};
use super::super::resolve::Facts;
use super::super::rule::{RULES, Rule};
use super::super::tests::{engine, grant};
use super::super::{Decision, Engine, Expected, SAMPLES, STACK, Scope};
use super::*;
use crate::domain::{Chance, IdentityKind, Labels, Masking, Timestamp, Touch};

fn source(text: &str) -> PolicySource {
    PolicySource::parse(text).unwrap_or_else(|mistake| panic!("{mistake:?}\n{text}"))
}

/// With as much stack as reading statements needs.
fn with_stack(work: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(STACK).spawn(work).unwrap().join().unwrap();
}

fn prove(policy: &str, agents: AgentAccess, promise: &Promise) -> Proof {
    Prover::new(&source(policy), agents, &"database".parse().unwrap()).prove(promise)
}

fn written(text: &str) -> Promise {
    match Expected::parse(text).unwrap_or_else(|mistake| panic!("{mistake:?}\n{text}")).remove(0) {
        Expected::Promise(promise) => *promise,
        Expected::Answer(_) => panic!("{text}"),
    }
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Proven => "proven",
        Outcome::Refuted(_) => "refuted",
        Outcome::Unshown(_) => "unshown",
        Outcome::Empty => "empty",
        Outcome::TooMany(_) => "too many",
    }
}

#[test]
fn the_policy_that_comes_with_gov_keeps_every_promise_that_comes_with_gov() {
    with_stack(|| {
        for agents in [AgentAccess::Unknown, AgentAccess::AtMost(Access::Read)] {
            for promise in Promise::shipped(agents) {
                let proof = prove("", agents, &promise);
                println!("{} {} in {} situations", word(&proof.outcome), promise.name(), proof.decided);
                assert!(matches!(proof.outcome, Outcome::Proven), "{}: {:?}", promise.name(), proof.outcome);
                assert!(proof.decided > 0, "{}", promise.name());
            }
        }
    });
}

/// Each rule that a promise about production names is what the promise hangs on: made milder, it is broken; and when
/// agents may write, they do.
#[test]
fn a_weakened_policy_breaks_its_promise() {
    with_stack(|| {
        for promise in Promise::shipped(AgentAccess::Unknown) {
            let agents = promise.matches.kind.len() == 1;
            for rule in promise.rules() {
                let section = if agents { "agent_rules" } else { "rules" };
                for outcome in ["allow", "observe"] {
                    let policy = format!("{section}: {{ {}: {outcome} }}\n", rule.name());
                    let proof = prove(&policy, AgentAccess::Unknown, &promise);
                    // What agents see of masked columns, no policy gives away; and to grant to everybody is to grant.
                    let kept = agents && rule.name() == "revealed_column" || rule.name() == "public_grant";
                    let expected = if kept { "proven" } else { "refuted" };
                    assert_eq!(word(&proof.outcome), expected, "{policy}{}: {:?}", promise.name(), proof.outcome);
                }
                let kept = prove(&format!("{section}: {{ {}: hold }}\n", rule.name()), AgentAccess::Unknown, &promise);
                assert_eq!(word(&kept.outcome), "proven", "{}: {:?}", rule.name(), kept.outcome);
            }
        }
        let agents = AgentAccess::AtMost(Access::Write);
        let proof = prove("", agents, &Promise::shipped(agents)[0]);
        assert_eq!(word(&proof.outcome), "refuted", "{:?}", proof.outcome);
    });
}

#[test]
fn promises_are_refuted_by_the_smallest_statement_and_what_lets_it_through() {
    const CASES: &str = "\
tags:
  - {relation: billing.*, tags: [financial]}
cases:
  - {name: money is not for agents, if: {kind: agent, tag: financial}, unless: {purpose: month-end}, then: deny}
  - {name: scratch is free, if: {relation: scratch.*}, then: allow, rules: [destructive_ddl, schema_change]}
  - {name: on call, if: {group: oncall, hours: mon-fri 08:00-18:00}, then: hold, rules: destructive_ddl}
  - {name: large changes, if: {operation: update, estimated_rows_over: 50}, then: hold}
  - {name: freeze, if: {labels: {tier: gold}, operation: insert}, unless: {group: [dba, oncall]}, then: deny}
";
    let check = |promise: &str, expected: &str, who: &str, sql: &str, cause: &str| {
        let proof = prove(CASES, AgentAccess::Unknown, &written(promise));
        let told = format!("{promise}\n{:?}", proof.outcome);
        assert_eq!(word(&proof.outcome), expected, "{told}");
        let Outcome::Refuted(example) = proof.outcome else { return };
        let question = &example.question;
        let asked = format!(
            "{} {:?} {:?} {:?}",
            question.kind.word(),
            question.groups,
            question.purpose.as_ref().map(ToString::to_string),
            question.labels
        );
        assert!(asked.contains(who), "{asked}\n{told}");
        assert_eq!(example.sql.as_deref(), Some(sql), "{told}");
        assert!(format!("{:?}", example.causes).contains(cause), "{told}");
    };
    with_stack(move || {
        let destroys = "{promise: a, rules: destructive_ddl, if: {labels: {env: prod}}, expect: hold}";
        check(&format!("[{destroys}]"), "refuted", "person []", "DROP TABLE scratch.things", "scratch is free");
        let kept = "{promise: a, rules: destructive_ddl, if: {labels: {env: prod}}, unless: {relation: scratch.*}, expect: hold}";
        check(&format!("[{kept}]"), "proven", "", "", "");
        let denied = "{promise: a, rules: destructive_ddl, if: {labels: {env: prod}}, unless: {relation: scratch.*}, expect: deny}";
        check(&format!("[{denied}]"), "refuted", "[\"oncall\"]", "DROP TABLE public.things", "on call");
        let night = "{promise: a, rules: destructive_ddl, if: {labels: {env: prod}, hours: 'sat,sun'}, unless: {relation: scratch.*}, expect: deny}";
        check(&format!("[{night}]"), "proven", "", "", "");
        let money = "[{promise: a, if: {kind: agent, relation: billing.*}, expect: deny}]";
        check(money, "refuted", "Some(\"month-end\")", "SELECT id FROM billing.things WHERE id = 1", "Excused");
        let money = "[{promise: a, if: {kind: agent, tag: financial}, unless: {purpose: month-end}, expect: deny}]";
        check(money, "proven", "", "", "");
        let other = "[{promise: a, if: {kind: agent, tag: secret}, expect: deny}]";
        check(other, "empty", "", "", "");
        let large = "[{promise: a, if: {operation: update, estimated_rows_over: 50}, expect: hold}]";
        check(large, "proven", "", "", "");
        let large = "[{promise: a, if: {operation: update, estimated_rows_over: 40}, expect: hold}]";
        check(large, "refuted", "person []", "UPDATE public.things SET note = 'x' WHERE id = 1", "Nothing");
        let frozen = "[{promise: a, if: {labels: {tier: gold}, operation: insert}, expect: deny}]";
        check(frozen, "refuted", "[\"dba\"]", "INSERT INTO public.things (id) VALUES (1)", "Excused");
        let rights = "[{promise: a, if: {operation: privilege, labels: {env: prod}}, expect: hold}]";
        check(rights, "proven", "", "", "");
        let dropped =
            "[{promise: a, if: {operation: [drop, truncate], relation: billing.*, labels: {env: prod}}, expect: hold}]";
        check(dropped, "proven", "", "", "");
    });
}

/// A case that is milder than its rule covers only what fits it whole: together with something else it does not, and what
/// it would still have asked about goes unasked. One relation does not show it, two do.
#[test]
fn two_relations_are_tried_where_one_does_not_show_it() {
    const CASES: &str = "\
cases:
  - {name: loose, if: {relation: [a.*, b.*]}, then: allow, rules: destructive_ddl}
  - {name: tight, if: {relation: a.*}, then: hold, rules: destructive_ddl}
";
    with_stack(|| {
        let promise =
            written("[{promise: a, rules: destructive_ddl, if: {relation: a.*, labels: {env: prod}}, expect: hold}]");
        let Outcome::Refuted(example) = prove(CASES, AgentAccess::Unknown, &promise).outcome else { panic!() };
        assert_eq!(example.relations.len(), 2, "{example:?}");
        assert!(example.sql.as_deref().unwrap().contains("a.things, b.things"), "{example:?}");
    });
}

#[test]
fn too_much_to_try_is_said_and_nothing_is_proven() {
    let names = |what: &str| (0..60).map(|one| format!("{what}{one}")).collect::<Vec<_>>().join(", ");
    let labels: String =
        (0..40).map(|one| format!("  - {{name: l{one}, if: {{labels: {{k{one}: v}}}}, then: deny}}\n")).collect();
    let policy = format!("cases:\n  - {{name: g, if: {{group: [{}]}}, then: deny}}\n{labels}", names("g"));
    with_stack(move || {
        let proof = prove(&policy, AgentAccess::Unknown, &written("[{promise: a, if: {kind: agent}, expect: deny}]"));
        assert!(matches!(proof.outcome, Outcome::TooMany(count) if count > COMBINATIONS_MAX), "{:?}", proof.outcome);
    });
}

#[test]
fn promises_that_cannot_be_meant_are_refused() {
    let check = |text: &str, expected: &str| {
        let mistake = Expected::parse(text).unwrap_err();
        let told =
            format!("{}:{}: {}; {}", mistake.line, mistake.column, mistake.message, mistake.hint.unwrap_or_default());
        assert!(told.contains(expected), "{told}");
    };
    check("- {promise: a, if: {kind: agent}, expect: allow}", "nothing is promised");
    check("- {promise: a, expect: deny}", "about every statement");
    check("- {promise: '', if: {kind: agent}, expect: deny}", "no name");
    check("- {promise: a, if: {kind: agent}, unless: {}, expect: deny}", "excuses nothing");
    check("- {promise: a, if: {kind: agent}, kind: agent, expect: deny}", "everybody");
    check("- {sql: SELECT 1, if: {kind: agent}, expect: deny}", "has no `if`");
    check("- {sql: SELECT 1, promise: a, expect: deny}", "either `sql` or `promise`");
    check("- {expect: deny}", "either `sql` or `promise`");
    check("- {promise: a, if: {knd: agent}, expect: deny}", "did you mean `kind`?");
    check("- {promise: a, rules: destructive_dll, expect: deny}", "did you mean `destructive_ddl`?");
}

#[derive(Deserialize)]
struct Sample {
    sql: Vec<String>,
}

/// What a session does to tables of its own, and to others beside them.
const OWN_TABLES: [&str; 9] = [
    "CREATE TEMP TABLE t AS SELECT * FROM orders",
    "INSERT INTO pg_temp.t SELECT * FROM orders",
    "WITH d AS (DELETE FROM orders WHERE id = 1) INSERT INTO pg_temp.t VALUES (1)",
    "UPDATE pg_temp.t SET a = 1",
    "DELETE FROM pg_temp.t USING orders WHERE orders.id = t.a",
    "TRUNCATE pg_temp.t",
    "TRUNCATE pg_temp.t, orders",
    "DROP TABLE pg_temp.t",
    "DROP TABLE pg_temp.t, orders",
];

/// The laws hold for every statement there is at hand.
#[test]
fn laws_hold_for_the_corpora() {
    let corpus = include_str!("../../../tests/vectors/guardrails/statements.jsonl");
    let own = include_str!("../../../tests/vectors/guardrails/cases.txt");
    let mut texts: Vec<String> =
        corpus.lines().flat_map(|line| serde_json::from_str::<Sample>(line).unwrap().sql).collect();
    let own = own.lines().filter_map(|line| line.split_once(" | ")).flat_map(|(_, texts)| texts.split(" ;; "));
    texts.extend(own.chain(SAMPLES.iter().copied()).map(str::to_owned));
    texts.extend(OWN_TABLES.map(str::to_owned));
    with_stack(move || {
        let engine = engine(Environment::Production);
        let scope = Scope::new("gv_rw", &["$user".to_owned(), "public".to_owned()]);
        let mut held = 0;
        let sessions =
            [(Access::Read, Masking::Wire), (Access::Read, Masking::Database), (Access::Write, Masking::Wire)];
        for (access, masking) in sessions {
            let grant = crate::domain::Grant { masking, ..grant(access, IdentityKind::Person) };
            for text in &texts {
                let what = engine.understand(text.as_bytes());
                for command in &what.commands {
                    let ground = engine.ground();
                    let asked = ground.asked(&grant, IdentityKind::Person, Timestamp::default());
                    let facts = Facts::new(asked, &scope, command);
                    let rules: Vec<&str> =
                        RULES.iter().filter(|rule| rule.check(&facts).is_some()).map(|rule| rule.name()).collect();
                    let subject = Subject::new(&facts, Timestamp::default());
                    for rule in RULES.iter().filter(|rule| rules.contains(&rule.name())) {
                        assert!(law::with(*rule).all(|with| rules.contains(&with.name())), "{text}: {rules:?}");
                    }
                    for operation in &subject.operations {
                        let any = law::speak(*operation, access, law::Lasting::of(&subject.relations));
                        held += usize::from(!any.is_empty());
                        let holds = any.is_empty() || any.iter().any(|rule| rules.contains(rule));
                        assert!(holds, "{text}: {operation:?} {access:?} {rules:?}");
                    }
                }
            }
        }
        println!("{held} times a law applied");
        assert!(held > 500);
    });
}

const KINDS: [IdentityKind; 3] = [IdentityKind::Person, IdentityKind::Agent, IdentityKind::Workload];
const SCHEMAS: [&str; 4] = ["a", "b", "c", "public"];
const NAMES: [&str; 3] = ["x", "y", "things"];
const GROUPS: [&str; 4] = ["g", "h", "i", "j"];
const SPEAKING: [&str; 4] = ["destructive_ddl", "opaque_code", "schema_change", "missing_where"];

/// Conditions, some of them, by chance.
fn conditions(chance: &mut Chance) -> String {
    let mut out = Vec::new();
    let operations = ["read", "insert", "update", "delete", "drop", "truncate", "opaque", "schema_change"];
    for _ in 0..=chance.below(2) {
        out.push(match chance.below(11) {
            0 => format!("kind: [{}]", chance.pick(&["agent", "person", "agent, workload"])),
            1 => format!("group: [{}]", chance.pick(&["g", "h", "g, i", "h, j"])),
            2 => format!("purpose: {}", chance.pick(&["p", "q"])),
            3 => format!(
                "labels: {{{}}}",
                chance.pick(&["env: prod", "env: dev", "tier: gold", "env: prod, tier: gold"])
            ),
            4 => format!("access: {}", chance.pick(&["read", "write"])),
            5 | 6 => format!("operation: [{}, {}]", chance.pick(&operations), chance.pick(&operations)),
            7 | 8 => format!("relation: ['{}.{}']", chance.pick(&["a", "b", "*"]), chance.pick(&["*", "x", "y"])),
            9 => format!("tag: {}", chance.pick(&["t", "u"])),
            _ => format!("hours: {}", chance.pick(&["mon-fri 08:00-18:00", "sat,sun", "22:00-06:00"])),
        });
    }
    out.sort();
    out.dedup_by_key(|one| one.split(':').next().unwrap().to_owned());
    out.join(", ")
}

/// A policy and a promise, by chance; both can be read. Half of the promises say what a case says, which other cases may
/// take back.
fn chosen(chance: &mut Chance) -> (String, Promise) {
    let unless = |chance: &mut Chance| match chance.below(3) {
        0 => format!(", unless: {{{}}}", conditions(chance)),
        _ => String::new(),
    };
    let rules = |chance: &mut Chance| match chance.below(3) {
        0 => String::new(),
        _ => format!(", rules: {}", chance.pick(&SPEAKING)),
    };
    loop {
        let mut policy = "tags:\n  - {relation: a.*, tags: [t]}\n  - {relation: '*.y', tags: [u]}\ncases:\n".to_owned();
        for number in 0..=chance.below(4) {
            let (matches, unless, rules) = (conditions(chance), unless(chance), rules(chance));
            let then = chance.pick(&["allow", "observe", "hold", "hold", "deny"]);
            policy += &format!("  - {{name: c{number}, if: {{{matches}}}{unless}, then: {then}{rules}}}\n");
        }
        let (matches, unless) = (conditions(chance), unless(chance));
        let (rules, expect) = match chance.below(2) {
            0 => (rules(chance), *chance.pick(&["hold", "hold", "deny"])),
            _ => {
                policy += &format!("  - {{name: promised, if: {{{matches}}}{unless}, then: deny}}\n");
                (String::new(), "deny")
            }
        };
        let promise = format!("[{{promise: p, if: {{{matches}}}{unless}{rules}, expect: {expect}}}]");
        if PolicySource::parse(&policy).is_ok()
            && let Ok(mut expected) = Expected::parse(&promise)
            && let Expected::Promise(promise) = expected.remove(0)
        {
            return (policy, *promise);
        }
    }
}

fn some<T: Copy + Ord>(chance: &mut Chance, all: &[T], most: usize) -> BTreeSet<T> {
    (0..chance.below(most + 1)).map(|_| *chance.pick(all)).collect()
}

/// A session, by chance: with names that policies have and names that they have not.
fn asker(chance: &mut Chance) -> Question {
    let mut labels = Labels::new();
    labels.extend(
        ["prod", "staging", "dev", "odd"].get(chance.below(5)).map(|env| ("env".to_owned(), (*env).to_owned())),
    );
    labels.extend(["gold", "iron"].get(chance.below(3)).map(|tier| ("tier".to_owned(), (*tier).to_owned())));
    Question {
        name: "alice".to_owned(),
        kind: *chance.pick(&KINDS),
        groups: some(chance, &GROUPS, 4).into_iter().map(str::to_owned).collect(),
        purpose: ["p", "q", "r"].get(chance.below(4)).map(|id| id.parse().unwrap()),
        access: *chance.pick(&[Access::Read, Access::Write]),
        resource: "somewhere".parse().unwrap(),
        labels,
        at: Timestamp::from_seconds(1_795_996_800 + 60 * u64::try_from(chance.below(7 * 24 * 60)).unwrap()),
        estimated_rows: None,
    }
}

/// Random situations, with more groups, operations and relations than the proof tries, never contradict it; and every
/// counterexample is one.
#[test]
fn what_is_proven_is_never_contradicted() {
    const POLICIES: usize = 150;
    const SITUATIONS: usize = 400;
    with_stack(|| {
        let (mut chance, resource) = (Chance::new(20), "database".parse().unwrap());
        let (mut proven, mut refuted, mut unshown, mut about) = (0, 0, 0, 0);
        for _ in 0..POLICIES {
            let (policy, promise) = chosen(&mut chance);
            let prover = Prover::new(&source(&policy), AgentAccess::Unknown, &resource);
            let mut promised = || (0..SITUATIONS).filter(|_| holds(&prover, &promise, &mut chance)).count();
            match &prover.prove(&promise).outcome {
                Outcome::Proven => {
                    proven += 1;
                    about += promised();
                }
                Outcome::Refuted(example) => {
                    refuted += 1;
                    breaks(&policy, &promise, example);
                }
                Outcome::Unshown(_) => unshown += 1,
                Outcome::Empty => assert_eq!(promised(), 0, "{policy}{promise:?}"),
                Outcome::TooMany(count) => panic!("{count} {policy}{promise:?}"),
            }
        }
        println!("{proven} proven, {refuted} refuted, {unshown} unshown; {about} situations were promised");
        assert!(proven > 20 && refuted > 20 && about > 500);
    });
}

/// Whether a situation by chance is one that the promise is about; it is kept then.
fn holds(prover: &Prover<'_>, promise: &Promise, chance: &mut Chance) -> bool {
    let question = asker(chance);
    let policy = prover.policy(Environment::of(&question.labels));
    let grant = question.grant(policy.digest());
    let operations = some(chance, OperationWord::ALL, 4);
    let touches = [Touch::Read, Touch::Write, Touch::Define];
    let mut relations = Vec::new();
    for _ in 0..chance.below(5) {
        let (schema, name, touch) = (*chance.pick(&SCHEMAS), *chance.pick(&NAMES), *chance.pick(&touches));
        relations.push(OfCase { schema, name, touch, tags: policy.tags(schema, name), rows: None });
    }
    let mut rules: Vec<&dyn Rule> = RULES.iter().filter(|_| chance.below(12) == 0).copied().collect();
    rules.extend(promise.rules());
    for operation in &operations {
        let any = law::speak(*operation, question.access, law::Lasting::of(&relations));
        let any: Vec<_> = RULES.iter().filter(|rule| any.contains(&rule.name())).collect();
        rules.extend(any.get(chance.below(any.len())).copied());
    }
    let is_known = chance.below(4) > 0;
    let subject = Subject { grant: &grant, who: question.kind, now: question.at, operations, relations, is_known };
    let about = promise.concerns(&subject, &rules, Some(0));
    if about {
        let verdict = decide::verdict(policy, &subject, &rules, Some(0));
        let rules: Vec<_> = rules.iter().map(|rule| rule.name()).collect();
        assert!(verdict >= promise.least(), "{promise:?}\n{question:?}\n{subject:?}\n{rules:?}\n{policy:?}");
    }
    about
}

/// A counterexample's statement, decided by another engine, is as mild as it says.
fn breaks(policy: &str, promise: &Promise, example: &Counterexample) {
    assert!(example.verdict < promise.least(), "{example:?}");
    let Some(sql) = &example.sql else { return };
    let question = &example.question;
    let column = |attribute, name: &str, kind| CatalogColumn {
        attribute,
        name: name.to_owned(),
        kind,
        modifier: -1,
        not_null: attribute == 1,
        counted: false,
    };
    let relations: Vec<_> = example
        .relations
        .iter()
        .zip(20_000..)
        .filter(|(relation, _)| !relation.schema.is_empty())
        .map(|(relation, oid)| CatalogRelation {
            oid,
            columns: vec![column(1, "id", 23), column(2, "note", 25)],
            keys: vec![vec![1]],
            schema: relation.schema.clone(),
            name: relation.name.clone(),
            rows: relation.rows,
            ..Default::default()
        })
        .collect();
    let policy = Policy::written(Environment::of(&question.labels), &source(policy));
    let grant = question.grant(policy.digest());
    let catalog = super::super::Catalog::new(relations, super::super::Classification::default());
    let engine = Engine::new(Arc::new(policy), Arc::new(catalog), None);
    let scope = Scope::new("gov", &["$user".to_owned(), "public".to_owned()]);
    let verdict = match engine.decide(question.at, &grant, &engine.understand(sql.as_bytes()), &scope) {
        Decision::Allow(_) => Verdict::Allow,
        Decision::Hold(refusal) | Decision::Deny(refusal) => refusal.verdict,
    };
    assert_eq!(verdict, example.verdict, "{example:?}");
}
