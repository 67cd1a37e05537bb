//! Masks that come back, and values that are none.

use std::sync::Arc;

use crate::domain::{Access, Action, Environment, IdentityKind, Secret, Timestamp};
use crate::engine::catalog::{Catalog, CatalogColumn, CatalogRelation};
use crate::engine::classify::{Classification, Finding};
use crate::engine::policy::Policy;
use crate::engine::scope::Scope;
use crate::engine::tests::grant;
use crate::engine::{CopyForm, Decision, Engine, MaskKey, Parameter, ResultColumn};

const TABLE: u32 = 20_000;
const COLUMNS: [(&str, u32, &str); 11] = [
    ("id", 23, ""),
    ("email", 25, "email"),
    ("card", 25, "card"),
    ("born", 1082, "birth_date"),
    ("salary", 23, "salary"),
    ("note", 25, "free_text"),
    ("city", 25, ""),
    ("pin", 1186, "secret"),
    ("key", 2950, "username"),
    ("phone", 20, "phone"),
    ("ssn", 1700, "us_ssn"),
];

fn engine(key: u8) -> Engine {
    engine_in(Environment::Production, key)
}

fn engine_in(environment: Environment, key: u8) -> Engine {
    let columns = COLUMNS.iter().zip(1..).map(|((name, kind, _), attribute)| CatalogColumn {
        attribute,
        name: (*name).to_owned(),
        kind: *kind,
        ..CatalogColumn::default()
    });
    let people = CatalogRelation {
        oid: TABLE,
        schema: "public".to_owned(),
        name: "people".to_owned(),
        columns: columns.collect(),
        ..CatalogRelation::default()
    };
    let finding = |entity: &str| Finding { entity: entity.to_owned(), confidence: 1.0, evidence: String::new() };
    let found = COLUMNS.iter().zip(1..).filter(|((.., entity), _)| !entity.is_empty());
    let findings = found.map(|((.., entity), attribute)| ((TABLE, attribute), finding(entity))).collect();
    let examined = (1..12).map(|attribute| (TABLE, attribute)).collect();
    let catalog = Catalog::new(vec![people], Classification { findings, examined, ..Classification::default() });
    let policy = Policy::built_in(environment);
    Engine::new(Arc::new(policy), Arc::new(catalog), Some(MaskKey(Secret::new([key; 32]))))
}

fn scope() -> Scope {
    Scope::new("app", &["public".to_owned()])
}

/// What a column shows for a value, in text format.
fn shown(engine: &Engine, column: usize, value: &str) -> String {
    let who = grant(Access::Read, IdentityKind::Person);
    let what = engine.understand(b"TABLE people");
    let described: Vec<_> = COLUMNS
        .iter()
        .zip(1..)
        .map(|((name, kind, _), attribute)| ResultColumn {
            name: (*name).to_owned(),
            table: TABLE,
            attribute,
            kind: *kind,
            modifier: -1,
            binary: false,
        })
        .collect();
    let mut masker = engine.masker(&who, &what, 0, &scope(), &described);
    masker.begin();
    masker.cell(column, Some(value.as_bytes()));
    let shown = masker.finish().changes().of(column).unwrap().unwrap().to_vec();
    String::from_utf8(shown).unwrap()
}

fn text(value: &[u8]) -> Parameter<'_> {
    Parameter { value: Some(value), binary: false, kind: 0 }
}

fn binary(value: &[u8], kind: u32) -> Parameter<'_> {
    Parameter { value: Some(value), binary: true, kind }
}

/// The rule that stops a text; empty when none does.
fn stopped(engine: &Engine, text: &str) -> String {
    let who = grant(Access::Write, IdentityKind::Person);
    match engine.decide(Timestamp::default(), &who, &engine.understand(text.as_bytes()), &scope()) {
        Decision::Allow(_) => String::new(),
        Decision::Hold(refusal) | Decision::Deny(refusal) => refusal.reason.rule.to_owned(),
    }
}

#[test]
fn masks_that_come_back_are_recognised() {
    let engine = engine(1);
    let check = |text: &str, rule: &str| assert_eq!(stopped(&engine, text), rule, "{text}");
    let email = shown(&engine, 1, "zoe@mail.example");
    let card = shown(&engine, 2, "4111 1111 1111 1111");
    let (born, salary) = (shown(&engine, 3, "1990-05-17"), shown(&engine, 4, "73500"));
    let key = shown(&engine, 8, "9f0b5a8e-0000-4000-8000-000000000001");
    // A pseudonym is one wherever it stands.
    check(&format!("UPDATE people SET email = '{email}' WHERE id = 1"), "masked_value");
    check(&format!("UPDATE people SET note = 'write to {email}, please' WHERE id = 1"), "masked_value");
    check(&format!("UPDATE people SET email = lower('{email}') || '' WHERE id = 1"), "masked_value");
    check(&format!("INSERT INTO people (id, email) VALUES (1, '{email}')"), "masked_value");
    check(&format!("INSERT INTO people (note) SELECT v FROM (VALUES ('{email}')) x(v)"), "masked_value");
    check(&format!("PREPARE p AS UPDATE people SET email = '{email}' WHERE id = $1"), "masked_value");
    check(&format!("UPDATE people SET key = '{key}' WHERE id = 1"), "masked_value");
    let (phone, ssn) = (shown(&engine, 9, "4722123456"), shown(&engine, 10, "123456789.00"));
    check(&format!("UPDATE people SET phone = {phone} WHERE id = 1"), "masked_value");
    check(&format!("UPDATE people SET ssn = {ssn} WHERE id = 1"), "masked_value");
    check(&format!("INSERT INTO people (note) VALUES ('call {phone}')"), "masked_value");
    check(&format!("SELECT id FROM people WHERE phone = {phone}"), "masked_value");
    // Of a `numeric` without that much room a range is shown.
    check("UPDATE people SET ssn = 100000000 WHERE id = 1", "coarse_value");
    // Compared, it would be found nowhere, or everything else would.
    check(&format!("SELECT id FROM people WHERE email = '{email}'"), "masked_value");
    check(&format!("DELETE FROM people WHERE id > 5 AND email <> '{email}'"), "masked_value");
    // Other masks, where they would be written.
    check(&format!("UPDATE people SET card = '{card}' WHERE id = 1"), "masked_value");
    check("INSERT INTO people (id, email) VALUES (1, '***')", "masked_value");
    check("INSERT INTO people VALUES (1, 'zoe@mail.example', '************1111')", "masked_value");
    check(&format!("UPDATE people SET (id, born) = (1, '{born}') WHERE id = 1"), "coarse_value");
    check(&format!("UPDATE people SET salary = {salary} WHERE id = 1"), "coarse_value");
    check(&format!("UPDATE people SET salary = '{salary}'::int WHERE id = 1"), "coarse_value");
    check("UPDATE people SET note = 'the key was ***' WHERE id = 1", "coarse_value");
    check("UPDATE people SET pin = NULL WHERE id = 1", "coarse_value");
    let upsert =
        "INSERT INTO people (id, salary) VALUES (1, 70000) ON CONFLICT (id) DO UPDATE SET salary = EXCLUDED.salary";
    check(upsert, "coarse_value");
    let merge =
        "MERGE INTO people p USING people q ON p.id = q.id AND p.id = 1 WHEN MATCHED THEN UPDATE SET salary = 70000";
    check(merge, "coarse_value");
}

#[test]
fn data_pass() {
    let (engine, other) = (engine(1), engine(2));
    let check = |text: &str| assert_eq!(stopped(&engine, text), "", "{text}");
    check("INSERT INTO people (id, email, card) VALUES (1, 'zoe@mail.example', '4111 1111 1111 1111')");
    check("UPDATE people SET email = 'zoe@mail.example' WHERE id = 1");
    check("UPDATE people SET born = '1990-05-17', salary = 73500 WHERE id = 1");
    // A new row takes nothing away, and people are born on the first.
    check("INSERT INTO people (born, salary) VALUES ('1990-05-01', 70000)");
    check("INSERT INTO people (id, pin) VALUES (1, NULL)");
    check("UPDATE people SET phone = 4000000000, ssn = 123456789 WHERE id = 1");
    check("UPDATE people SET email = NULL WHERE id = 1");
    check("UPDATE people SET email = '' WHERE id = 1");
    // Nobody masks this column.
    check("UPDATE people SET city = '***' WHERE id = 1");
    check("SELECT id FROM people WHERE email = 'zoe@mail.example'");
    // The mask of another resource is data here.
    let foreign = shown(&other, 1, "zoe@mail.example");
    check(&format!("UPDATE people SET email = '{foreign}' WHERE id = 1"));
}

#[test]
fn bound_values_are_looked_at() {
    let engine = engine(1);
    let who = grant(Access::Write, IdentityKind::Person);
    let check = |text: &str, values: &[Parameter<'_>], expected: Option<Action>| {
        let what = engine.understand(text.as_bytes());
        let found = engine.bound(&who, &what, &scope(), values.iter().copied()).map(|(action, _)| action);
        assert_eq!(found, expected, "{text} {values:?}");
    };
    let email = shown(&engine, 1, "zoe@mail.example");
    let update = |column: &str| format!("UPDATE people SET {column} = $1 WHERE id = $2");
    check(&update("email"), &[text(email.as_bytes()), text(b"1")], Some(Action::Deny));
    check(&update("email"), &[binary(email.as_bytes(), 1043), text(b"1")], Some(Action::Deny));
    check(&update("email"), &[text(b"zoe@mail.example"), text(b"1")], None);
    check(&update("card"), &[text(b"************1111"), text(b"1")], Some(Action::Deny));
    check(&update("salary"), &[binary(&70_000i32.to_be_bytes(), 0), text(b"1")], Some(Action::Hold));
    check(&update("salary"), &[binary(&70_000i64.to_be_bytes(), 20), text(b"1")], Some(Action::Hold));
    check(&update("salary"), &[binary(&73_500i64.to_be_bytes(), 20), text(b"1")], None);
    // 7305 days after the first of 2000 it is the first of 2020.
    check(&update("born"), &[binary(&7_305i32.to_be_bytes(), 1082), text(b"1")], Some(Action::Hold));
    check(&update("born"), &[binary(&7_306i32.to_be_bytes(), 1082), text(b"1")], None);
    check("SELECT id FROM people WHERE email = $1", &[text(email.as_bytes())], Some(Action::Deny));
    check("INSERT INTO people (salary) VALUES ($1)", &[text(b"70000")], None);
    let key = shown(&engine, 8, "9f0b5a8e-0000-4000-8000-000000000001");
    let bytes = u128::from_str_radix(&key.replace('-', ""), 16).unwrap().to_be_bytes();
    check(&update("key"), &[binary(&bytes, 2950), text(b"1")], Some(Action::Deny));
}

/// What a session that was shown masks of a column writes to it is taken for one of them, wherever it is.
#[test]
fn what_was_shown_does_not_come_back() {
    for environment in [Environment::Development, Environment::Production] {
        let engine = engine_in(environment, 1);
        let asked = if environment == Environment::Production { "coarse_value" } else { "" };
        let check = |text: &str, rule: &str| assert_eq!(stopped(&engine, text), rule, "{environment:?} {text}");
        let born = "UPDATE people SET born = '1990-05-01' WHERE id = 1";
        let salary = "UPDATE people SET salary = 70000 WHERE id = 1";
        let note = "UPDATE people SET note = 'write to ***' WHERE id = 1";
        [born, salary, note].iter().for_each(|text| check(text, asked));
        // Sessions that read bring nothing back, and what is not masked is what it is.
        let look = |access: Access, text: &str, columns: &[i16]| {
            let described = columns.iter().map(|attribute| {
                let (name, kind, _) = COLUMNS[usize::try_from(*attribute).unwrap() - 1];
                let name = name.to_owned();
                ResultColumn { name, table: TABLE, attribute: *attribute, kind, modifier: -1, binary: false }
            });
            let described: Vec<_> = described.collect();
            let what = engine.understand(text.as_bytes());
            drop(engine.masker(&grant(access, IdentityKind::Person), &what, 0, &scope(), &described));
        };
        look(Access::Read, "SELECT born, salary FROM people", &[4, 5]);
        look(Access::Write, "SELECT id, city FROM people", &[1, 7]);
        [born, salary, note].iter().for_each(|text| check(text, asked));
        look(Access::Write, "SELECT born FROM people", &[4]);
        check(born, "masked_value");
        check("UPDATE people SET born = '1990-05-17' WHERE id = 1", "");
        check(salary, asked);
        check("INSERT INTO people (born) VALUES ('1990-05-01')", "");
        // Also what was only computed from it was shown.
        let what = engine.understand(b"SELECT max(salary) FROM people");
        let number =
            ResultColumn { name: "max".to_owned(), table: 0, attribute: 0, kind: 23, modifier: -1, binary: false };
        drop(engine.masker(&grant(Access::Write, IdentityKind::Person), &what, 0, &scope(), &[number]));
        check(salary, "masked_value");
        check(note, asked);
        let copy = engine.understand(b"COPY people (note) TO STDOUT");
        assert!(engine.copier(&grant(Access::Write, IdentityKind::Person), &copy, 0, &scope(), 1).is_some());
        check(note, "masked_value");
        let bound = |value: &[u8]| {
            let who = grant(Access::Write, IdentityKind::Person);
            let what = engine.understand(b"UPDATE people SET born = $1, city = $2 WHERE id = $3");
            let values = [text(value), text(b"Oslo"), text(b"1")];
            engine.bound(&who, &what, &scope(), values.into_iter()).map(|(action, reason)| (action, reason.rule))
        };
        assert_eq!(bound(b"1990-05-01"), Some((Action::Deny, "masked_value")));
        assert_eq!(bound(b"1990-05-17"), None);
        // As JavaScript writes a date.
        assert_eq!(bound(b"1990-05-01T00:00:00.000+02:00"), Some((Action::Deny, "masked_value")));
        assert_eq!(bound(b"1990-05-17T00:00:00.000+02:00"), None);
    }
}

#[test]
fn copied_data_are_looked_at() {
    let engine = engine(1);
    let email = shown(&engine, 1, "zoe@mail.example");
    assert!(engine.copied_in(format!("1\t{email}\tx\n").as_bytes()).is_some());
    assert!(engine.copied_in(b"1\tzoe@mail.example\tperson_name_something\t+999123456789012\n").is_none());
}

#[test]
fn masks_in_copied_rows_are_known() {
    let engine = engine(7);
    let who = grant(Access::Write, IdentityKind::Person);
    let brought = |text: &str, cells: &[Option<&str>]| {
        let what = engine.understand(text.as_bytes());
        let incoming = engine.incoming(&who, &what, &scope()).unwrap();
        engine.brought(&incoming, cells.iter().map(|cell| cell.map(str::as_bytes))).map(|reason| reason.message)
    };
    let card = shown(&engine, 2, "4111 1111 1111 1111");
    let refused = Some("this would write a mask to `people.card`, which is masked".to_owned());
    assert_eq!(brought("COPY people (id, card) FROM STDIN", &[Some("1"), Some(&card)]), refused);
    assert_eq!(brought("COPY people FROM STDIN (FORMAT csv)", &[Some("1"), Some("a@b.example"), Some(&card)]), refused);
    assert_eq!(brought("COPY people (city, card) FROM STDIN", &[Some(&card), Some("4111 1111 1111 1111")]), None);
    // What only may be a mask takes nothing away.
    assert_eq!(brought("COPY people (born, salary) FROM STDIN", &[Some("1990-05-01"), Some("50000")]), None);
    assert_eq!(brought("COPY people (card, email) FROM STDIN", &[None]), None);
    assert!(engine.incoming(&who, &engine.understand(b"COPY strangers FROM STDIN"), &scope()).is_none());
    // What the server does with a row does not keep it from being read.
    let form = |options: &str| {
        let text = format!("COPY people FROM STDIN (FORMAT csv, {options})");
        engine.incoming(&who, &engine.understand(text.as_bytes()), &scope()).unwrap().form
    };
    for options in ["FORCE_NULL (card), FORCE_NOT_NULL (email)", "HEADER MATCH", "ON_ERROR ignore", "DEFAULT 'd'"] {
        assert!(matches!(form(options), CopyForm::Csv { .. }), "{options}");
    }
    assert_eq!(form("ENCODING 'latin1'"), CopyForm::Unknown);
    assert!(engine.incoming(&who, &engine.understand(b"COPY people TO STDOUT"), &scope()).is_none());
}
