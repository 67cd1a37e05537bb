//! Policies, statements, rows and messages, changed by chance: nothing panics, both ends of the same bytes decide alike, a
//! policy means the same after its way to the other end, and a cell is masked the same way twice.

use std::sync::{Arc, LazyLock};

use serde::Deserialize;

use super::corpus::{engine, grant};
use super::*;
use crate::domain::{Access, Chance, Environment, IdentityKind, Verdict};

const POLICIES: [&str; 2] = [
    "rules:\n  missing_where: hold\n  schema_change: deny\nagent_rules:\n  opaque_code: deny\nlimits: {changed_rows: 10}\n\
     tags:\n  - {relation: billing.*, tags: [financial]}\n",
    "cases:\n  - {name: agents and money, if: {kind: agent, tag: financial}, then: deny, reason: money is not for agents}\n  \
     - {name: office hours, if: {operation: insert}, unless: {hours: 'mon-fri 08:00-18:00'}, then: deny}\n\
     reviewed_functions:\n  - {function: 'public.full_name(text, text)', body: 54365cc49572f0ce2381f555df2220d6cd7447a4e0e6fec2824a5279c33e337b}\n",
];

/// A policy as somebody wrote it; whether it can be read.
pub(crate) fn policies(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    match Policy::parse(&text, Environment::Production) {
        Ok(policy) => {
            assert_eq!(Policy::from_canonical(&policy.canonical()), Ok(policy), "{text}");
            true
        }
        Err(mistake) => {
            // YAML ends lines with more than Rust does (1.1, production 28).
            let ends = text.matches(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count();
            assert!(mistake.line <= ends + 2, "{mistake:?} {text}");
            assert!(!mistake.message.is_empty() && mistake.message.len() < text.len() + 2_000, "{mistake:?}");
            false
        }
    }
}

/// A policy as it comes from the other end.
pub(crate) fn canonical_policies(bytes: &[u8]) {
    if let Ok(policy) = Policy::from_canonical(bytes) {
        assert_eq!(policy.canonical(), bytes, "one form only");
    }
}

#[test]
fn fuzz_policies_are_read_or_refused_with_a_place() {
    const ROUNDS: usize = 3_000;
    let mut chance = Chance::new(18);
    let mut read = 0;
    for _ in 0..ROUNDS {
        let text = chance.mutate(&POLICIES);
        if policies(&text) {
            read += 1;
            let policy = Policy::parse(&String::from_utf8_lossy(&text), Environment::Production).unwrap();
            canonical_policies(&chance.mutate(&[policy.canonical()]));
        }
    }
    println!("policies: {read} of {ROUNDS} read");
    assert!(read > 0 && read < ROUNDS);
}

/// A kilobyte that would be a billion of everything it repeats.
#[test]
fn fuzz_a_policy_that_repeats_itself_without_end_is_refused() {
    let mut text =
        "tags:\n  - relation: x\n    tags: &a0 [one, two, three, four, five, six, seven, eight, nine]\n".to_owned();
    let mut bomb = "b0: &b0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        bomb += &format!("b{level}: &b{level} [{}]\n", vec![format!("*b{}", level - 1); 10].join(", "));
    }
    text += &format!("rules: {{missing_where: *a0}}\n{bomb}");
    assert!(Policy::parse(&text, Environment::Production).is_err());
    assert!(Policy::parse(&bomb, Environment::Production).is_err());
    for deep in ["[", "{a: ", "{a:\n", "[[],", "- "].map(|part| part.repeat(100_000)) {
        assert!(Policy::parse(&deep, Environment::Production).is_err());
    }
}

#[derive(Deserialize)]
struct Sample {
    sql: Vec<String>,
}

/// Statements of the guardrail corpus.
fn statements() -> Vec<String> {
    let corpus = include_str!("../../tests/vectors/guardrails/statements.jsonl");
    corpus.lines().flat_map(|line| serde_json::from_str::<Sample>(line).unwrap().sql).collect()
}

/// The corpus' database in production, and where a statement begins there.
fn production() -> (Engine, Scope) {
    let path = ["$user".to_owned(), "public".to_owned()];
    (engine(Environment::Production), Scope::new("gv_rw", &path))
}

/// The same for whoever brings one text at a time.
static PRODUCTION: LazyLock<(Engine, Scope)> = LazyLock::new(production);

/// A text that somebody who may read or write has run.
pub(crate) fn texts(bytes: &[u8]) {
    let Some((access, text)) = bytes.split_first() else { return };
    let access = if access & 1 == 0 { Access::Write } else { Access::Read };
    let text = text.to_owned();
    with_stack(move || {
        let (here, scope) = &*PRODUCTION;
        drop(decided(here, scope, access, &text));
    });
}

/// What is decided about a text, which both ends must agree about.
fn decided(here: &Engine, scope: &Scope, access: Access, text: &[u8]) -> Decision {
    let who = grant(access, IdentityKind::Person);
    let what = here.understand(text);
    let decided = here.decide(Timestamp::default(), &who, &what, scope);
    let there = Engine::new(here.policy(), here.catalog(), None);
    let again = there.decide(Timestamp::default(), &who, &there.understand(text), scope);
    assert_eq!(verdict(&decided), verdict(&again), "{}", String::from_utf8_lossy(text));
    // Nothing of the values goes into a record, however the text is broken.
    assert!(what.statement.normalized.len() <= 2 * text.len() + 64, "{}", String::from_utf8_lossy(text));
    let mut scope = scope.clone();
    for command in 0..what.commands.len() {
        drop(here.masker(&who, &what, command, &scope, &[]));
        here.scope_after(&what, command, &mut scope);
    }
    drop(here.explain(&who, &what, &scope));
    decided
}

/// With as much stack as reading statements needs.
fn with_stack(work: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(STACK).spawn(work).unwrap().join().unwrap();
}

fn verdict(decision: &Decision) -> (Verdict, &'static str) {
    match decision {
        Decision::Allow(_) => (Verdict::Allow, ""),
        Decision::Hold(refusal) | Decision::Deny(refusal) => (refusal.verdict, refusal.reason.rule),
    }
}

#[test]
fn fuzz_statements_are_decided_alike_at_both_ends() {
    const ROUNDS: usize = 1_500;
    with_stack(|| {
        let (here, scope) = production();
        let samples = statements();
        let mut chance = Chance::new(19);
        let mut count = [0usize; 3];
        for round in 0..ROUNDS {
            let access = if round % 2 == 0 { Access::Write } else { Access::Read };
            count[place(&decided(&here, &scope, access, &chance.mutate(&samples)))] += 1;
        }
        println!("statements: {ROUNDS}, {} allowed, {} held, {} denied", count[0], count[1], count[2]);
        assert!(count.iter().all(|count| *count > 0));
    });
}

fn place(decision: &Decision) -> usize {
    match decision {
        Decision::Allow(_) => 0,
        Decision::Hold(_) => 1,
        Decision::Deny(_) => 2,
    }
}

/// Cells in every format that masks know, and what looks like them.
const CELLS: &[&[u8]] = &[
    b"person1@mail.example.org",
    b"4111 1111 1111 1111",
    b"1970-01-01 00:00:00+00",
    b"12345.67",
    br#"{"card": "4111 1111 1111 1111", "mail": "a@b.example", "n": [1, null, {"x": "DE89370400440532013000"}]}"#,
    br#"{a,NULL,"b\"c",{"4111 1111 1111 1111"}}"#,
    b"\x01{\"card\": \"4111 1111 1111 1111\"}",
    b"\0\0\0\x01\0\0\0\x01\0\0\0\x19\0\0\0\x02\0\0\0\x01\0\0\0\x01a\xff\xff\xff\xff",
    b"\0\x02\0\0\0\0\0\x01\0\x0c\x13\x88",
    b"\0\0\0\x2a",
    b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----",
    b"+49 170 1234567, DE89 3704 0044 0532 0130 00, 10.0.0.1, postgres://u:p@h/d",
];

/// Types by their OIDs, text and binary: text, int4, numeric, date, timestamptz, jsonb, text[], bytea, uuid, inet.
const TYPES: &[u32] = &[25, 23, 1700, 1082, 1184, 3802, 1009, 17, 2950, 869, 0];

/// Masks with a key, without a catalog.
fn masking() -> Engine {
    let policy = engine(Environment::Production).policy();
    Engine::new(policy, Arc::new(Catalog::default()), Some(MaskKey(crate::domain::Secret::new([7; 32]))))
}

static MASKING: LazyLock<Engine> = LazyLock::new(masking);

/// A cell of one of the types, in one of the two formats.
pub(crate) fn cells(bytes: &[u8]) {
    let Some((choice, cell)) = bytes.split_first() else { return };
    let column = column(TYPES[usize::from(choice >> 1) % TYPES.len()], choice & 1 == 0);
    masked(&MASKING, &[column], &[cell.to_owned()]);
}

fn column(kind: u32, binary: bool) -> ResultColumn {
    ResultColumn { name: "a".to_owned(), table: 0, attribute: 0, kind, modifier: -1, binary }
}

/// What becomes of a row, which must be the same each time.
fn masked(engine: &Engine, columns: &[ResultColumn], cells: &[Vec<u8>]) -> Vec<Option<Option<Vec<u8>>>> {
    let who = grant(Access::Read, IdentityKind::Person);
    let what = engine.understand(b"SELECT a, b FROM t");
    let mut masker = engine.masker(&who, &what, 0, &Scope::default(), columns);
    let mut play = || -> Vec<Option<Option<Vec<u8>>>> {
        masker.begin();
        cells.iter().enumerate().for_each(|(index, cell)| masker.cell(index, Some(cell)));
        let row = masker.finish();
        let mut changes = row.changes();
        (0..cells.len()).map(|index| changes.of(index).map(|cell| cell.map(<[u8]>::to_vec))).collect()
    };
    let first = play();
    assert_eq!(first, play(), "{columns:?} {cells:?}");
    for (cell, change) in cells.iter().zip(&first) {
        let length = change.iter().flatten().map(Vec::len).sum::<usize>();
        assert!(length <= 16 * cell.len() + 1024, "{cell:?} became {change:?}");
    }
    first
}

#[test]
fn fuzz_cells_are_masked_the_same_way_twice() {
    const ROUNDS: usize = 4_000;
    with_stack(|| {
        let engine = masking();
        let mut chance = Chance::new(20);
        let mut changed = 0;
        for _ in 0..ROUNDS {
            let mut some = || column(*chance.pick(TYPES), chance.below(2) == 0);
            let columns = [some(), some()];
            let cells: Vec<Vec<u8>> = (0..3).map(|_| chance.mutate(CELLS)).collect();
            let row = masked(&engine, &columns, &cells);
            // The third has no column: nobody knows what it is, so nobody gets it.
            assert_eq!(row[2], Some(None));
            changed += row.iter().flatten().count();
        }
        println!("cells: {} tried, {changed} masked", 3 * ROUNDS);
        assert!(changed > ROUNDS);
    });
}

/// What the database says of an error or beside it, with this text in it.
pub(crate) fn messages(bytes: &[u8]) {
    let (engine, who) = (&PRODUCTION.0, grant(Access::Read, IdentityKind::Person));
    let text = String::from_utf8_lossy(bytes).into_owned();
    let before = vec![
        (b'S', "ERROR".to_owned()),
        (b'C', "22P02".to_owned()),
        (b'M', text.clone()),
        (b'D', text),
        (b'P', "7".to_owned()),
    ];
    let mut fields = before.clone();
    engine.redact(&who, None, &Scope::default(), &mut fields);
    for code in [b'S', b'C', b'P'] {
        let find = |fields: &[(u8, String)]| fields.iter().find(|(have, _)| *have == code).cloned();
        assert_eq!(find(&fields), find(&before));
    }
    let mut tidied = fields.clone();
    engine.tidy(&mut tidied);
    assert_eq!(tidied.len(), fields.len());
}

#[test]
fn fuzz_messages_lose_values_and_nothing_else() {
    const ROUNDS: usize = 2_000;
    let mut chance = Chance::new(21);
    for _ in 0..ROUNDS {
        messages(&chance.mutate(CELLS));
    }
}
