//! What is found, and what of it is said.

use rusqlite::Connection;
use rusqlite::types::Value;

use super::access::{self, AccessFilter};
use super::query::{self, Filter};
use super::{fill, tables};
use crate::audit::{Envelope, RECORDS_TYPE};
use crate::domain::{PublicKey, SessionId, Side, Timestamp};
use crate::server::log::Entered;

/// An index in memory, and a session it knows.
struct Index {
    db: Connection,
    leaves: u64,
    session: SessionId,
}

/// When everything happens, more or less.
const NOON: &str = "2026-11-22T12:00:00.000Z";

impl Index {
    fn new() -> Self {
        let db = Connection::open_in_memory().unwrap();
        tables::MIGRATIONS.steps.iter().for_each(|step| db.execute_batch(step).unwrap());
        let mut index = Self { db, leaves: 0, session: SessionId::new(Timestamp::default(), [1; 10]) };
        index.record(
            Side::Gateway,
            r#""kind":"session.open","sub":"u-alice","purp":{"id":"support","ref":"ZD-1"},"db":{"resource":"shop"},"access":"read""#,
        );
        index
    }

    /// One record of the session, as the log would hand it over.
    fn record(&mut self, side: Side, rest: &str) {
        let (id, session, key) = ("0".repeat(26), self.session, PublicKey([7; 32]));
        let side = side.word();
        let record = format!(r#"{{"id":"{id}","seq":0,"ts":"{NOON}","sid":"{session}","side":"{side}",{rest}}}"#);
        let previous = "0".repeat(64);
        let payload = format!(
            r#"{{"v":1,"key":"{key}","side":"{side}","sid":"{session}","first":0,"prev":"{previous}","records":[{record}]}}"#
        );
        let payload = payload.into_bytes();
        let line = Envelope { payload_type: RECORDS_TYPE, payload, key, signature: [0; 64] }.write();
        let transaction = self.db.transaction().unwrap();
        self.leaves = fill::add(&transaction, vec![Entered::read(self.leaves, &line)]).unwrap();
        transaction.commit().unwrap();
    }

    fn start(&mut self, side: Side, number: u64, text: &str, tags: &str, rest: &str) {
        let hmac = "a".repeat(64);
        self.record(
            side,
            &format!(
                r#""kind":"stmt.start","stid":"1.{number}","q":{{"parse":"ok","op":["read"],"objs":[{{"schema":"public","name":"customers","touch":"read"}}],"tags":[{tags}],"norm":"{text}","bytes":9,"hmac":"{hmac}"}},"dec":{{"action":"allow","rules":[],"engine":"1"}}{rest}"#
            ),
        );
    }

    fn end(&mut self, side: Side, number: u64, rest: &str) {
        self.record(
            side,
            &format!(r#""kind":"stmt.end","stid":"1.{number}","res":{{"outcome":"ok","rows":2,"bytes":9{rest}}}"#),
        );
    }

    /// The statements found, the newest first.
    fn statements(&self, filter: Filter) -> Vec<query::Entry> {
        let found = query::run(&self.db, &Filter { limit: 100, ..filter }).unwrap().entries;
        found.into_iter().filter(|entry| entry.kind == "statement").collect()
    }

    fn numbers(&self, filter: Filter) -> Vec<String> {
        self.statements(filter).into_iter().filter_map(|entry| entry.statement).collect()
    }
}

fn tags(tags: &[&'static str]) -> Filter {
    Filter { tags: Some(tags.to_vec()), ..Filter::default() }
}

#[test]
fn what_columns_hold_is_found_and_how_it_went_out() {
    let mut index = Index::new();
    index.start(Side::Gateway, 1, "SELECT email FROM customers WHERE ssn = $1", r#""email","us_ssn""#, "");
    index.end(Side::Gateway, 1, r#","masked":["email"]"#);
    index.start(Side::Gateway, 2, "SELECT id FROM customers", "", "");
    index.end(Side::Gateway, 2, "");
    index.start(Side::Gateway, 3, "SELECT salary FROM staff", r#""salary""#, "");
    index.end(Side::Gateway, 3, r#","clear":["salary"]"#);
    assert_eq!(index.numbers(tags(&["email"])), ["1.1"]);
    assert_eq!(index.numbers(tags(&["us_ssn"])), ["1.1"]);
    assert_eq!(index.numbers(tags(&["salary", "email"])), ["1.3", "1.1"], "either will do");
    assert!(index.numbers(tags(&["card"])).is_empty());
    let found = index.statements(tags(&["us_ssn"])).remove(0);
    assert_eq!(
        (found.tags, found.masked_tags),
        (vec!["email".to_owned(), "us_ssn".to_owned()], vec!["email".to_owned()])
    );
    assert_eq!(index.statements(tags(&["salary"])).remove(0).clear_tags, ["salary"]);
    let both = Filter { text: Some("customers".to_owned()), table: Some("customers".to_owned()), ..tags(&["email"]) };
    assert_eq!(index.numbers(both), ["1.1"], "filters narrow each other");
    let elsewhere = Filter { table: Some("orders".to_owned()), ..tags(&["email"]) };
    assert!(index.numbers(elsewhere).is_empty());
}

#[test]
fn how_values_went_out_is_the_gateways_to_say() {
    let mut index = Index::new();
    index.start(Side::Client, 1, "SELECT email FROM customers", r#""email""#, "");
    index.end(Side::Client, 1, r#","clear":["email"]"#);
    assert!(index.statements(tags(&["email"])).remove(0).clear_tags.is_empty());
    index.start(Side::Gateway, 1, "SELECT email FROM customers", r#""email""#, "");
    index.end(Side::Gateway, 1, r#","masked":["email"]"#);
    let found = index.statements(tags(&["email"]));
    assert_eq!((found.len(), found[0].masked_tags.as_slice()), (1, ["email".to_owned()].as_slice()));
}

#[test]
fn an_approval_tells_its_story() {
    let mut index = Index::new();
    let digest = "b".repeat(64);
    // What was recorded again after a kill is there once.
    for state in ["pending", "approved", "approved", "executed"] {
        let rest =
            format!(r#""kind":"approval","sub":"u-bob","what":"{state}","appr":{{"id":"apr_1","digest":"{digest}"}}"#);
        index.record(Side::Server, &rest);
    }
    index.start(Side::Gateway, 1, "DROP TABLE customers", "", r#","appr":{"id":"apr_1"}"#);
    index.start(Side::Gateway, 2, "SELECT 2", "", r#","appr":{"id":"apr_2"}"#);
    let filter = Filter { approval: Some("apr_1".to_owned()), limit: 100, ..Filter::default() };
    let found = query::run(&index.db, &filter).unwrap().entries;
    let kinds: Vec<_> = found.iter().map(|entry| (entry.kind.as_str(), entry.why.as_deref().unwrap_or(""))).collect();
    assert_eq!(kinds.len(), 4, "{kinds:?}");
    for expected in [("approval", "pending"), ("approval", "approved"), ("approval", "executed"), ("statement", "")] {
        assert!(kinds.contains(&expected), "{expected:?} in {kinds:?}");
    }
}

/// Neither has a number: one waits at the gateway and may come back, the other never left the client.
#[test]
fn what_waits_is_not_what_the_client_refused() {
    let mut index = Index::new();
    for (side, action) in [(Side::Gateway, "hold"), (Side::Client, "deny")] {
        let hmac = "a".repeat(64);
        index.record(
            side,
            &format!(
                r#""kind":"stmt.start","stid":"1.0","q":{{"parse":"ok","op":[],"objs":[],"tags":[],"norm":"x","bytes":1,"hmac":"{hmac}"}},"dec":{{"action":"{action}","rules":[],"engine":"1"}}"#
            ),
        );
    }
    let books = |word: &str| {
        let found = index.statements(Filter { books: Some(word.to_owned()), ..Filter::default() });
        found.into_iter().filter_map(|entry| entry.action).collect::<Vec<_>>()
    };
    assert_eq!((books("held"), books("refused_by_client")), (vec!["hold".to_owned()], vec!["deny".to_owned()]));
}

/// The client knew nothing of the table, passed the statement on, and heard an error.
#[test]
fn what_the_gateway_denied_is_denied_whichever_account_comes_first() {
    let denied = r#""kind":"stmt.start","stid":"1.1","q":{"parse":"ok","op":["update"],"objs":[],"tags":[],"norm":"x","bytes":1,"hmac":"HMAC"},"dec":{"action":"deny","rules":[["read_only","deny"]],"engine":"1"}"#;
    let denied = denied.replace("HMAC", &"a".repeat(64));
    let failed =
        r#""kind":"stmt.end","stid":"1.1","res":{"outcome":"error","sqlstate":"42501","rows":0,"bytes":0,"dur_us":9}"#;
    let mut found = [false, true].map(|client_first| {
        let mut index = Index::new();
        if !client_first {
            index.record(Side::Gateway, &denied);
        }
        index.start(Side::Client, 1, "x", "", "");
        index.record(Side::Client, failed);
        if client_first {
            index.record(Side::Gateway, &denied);
        }
        let [mut entry] = <[_; 1]>::try_from(index.statements(Filter::default())).unwrap();
        (entry.id, entry.leaf) = Default::default();
        entry
    });
    assert_eq!(found[0].outcome.as_deref(), Some("denied"));
    assert_eq!(found[0].rules, ["read_only"]);
    assert_eq!((found[1].outcome.take(), found[1].took_us), (found[0].outcome.take(), found[0].took_us));
}

#[test]
fn words_tables_and_times_narrow() {
    let mut index = Index::new();
    index.start(Side::Gateway, 1, "SELECT email FROM customers", "", "");
    index.end(Side::Gateway, 1, "");
    index.start(Side::Gateway, 2, "SELECT pay_date FROM payments", "", "");
    let text = |text: &str| Filter { text: Some(text.to_owned()), ..Filter::default() };
    assert_eq!(index.numbers(text("email customers")), ["1.1"]);
    assert_eq!(index.numbers(text("pay*")), ["1.2"]);
    assert!(index.numbers(text("pay")).is_empty());
    assert!(index.numbers(text("\" OR *")).is_empty(), "operators are no operators");
    assert_eq!(index.numbers(Filter { outcome: Some("open".to_owned()), ..Filter::default() }), ["1.2"]);
    let noon = Timestamp::parse(NOON).unwrap();
    assert_eq!(index.numbers(Filter { since: Some(noon), ..Filter::default() }).len(), 2);
    assert!(index.numbers(Filter { until: Some(noon), ..Filter::default() }).is_empty());
    let other = Filter { subjects: Some(vec!["u-bob".to_owned()]), ..Filter::default() };
    assert!(index.numbers(other).is_empty());
    let known = Filter { subjects: Some(vec!["u-bob".to_owned(), "u-alice".to_owned()]), ..Filter::default() };
    assert_eq!(index.numbers(known), ["1.2", "1.1"], "whose session it is counts for its statements");
}

/// What takes time in a million statements is seen in SQLite's plan of ten.
#[test]
fn the_usual_questions_are_answered_from_an_index() {
    let index = Index::new();
    let plan = |sql: &str, values: Vec<Value>| {
        let mut statement = index.db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps = statement.query_map(rusqlite::params_from_iter(values), |row| row.get::<_, String>(3)).unwrap();
        steps.map(Result::unwrap).collect::<Vec<_>>().join("\n")
    };
    let one = |word: &str| Some(word.to_owned());
    for (filter, expected) in [
        (Filter { subjects: Some(vec!["u-alice".to_owned()]), ..Filter::default() }, "INDEX entries_by_subject"),
        (Filter { text: one("select email customers"), ..Filter::default() }, "SCAN words VIRTUAL TABLE INDEX"),
        (
            Filter { since: Some(Timestamp::default()), ..tags(&["email"]) },
            "SEARCH tagged USING PRIMARY KEY (tag=? AND id>?)",
        ),
        (Filter { table: one("customers"), ..Filter::default() }, "SEARCH touched USING PRIMARY KEY (name=?)"),
        (Filter { session: one("0k"), ..Filter::default() }, "entries_by_s"),
        (Filter { resource: one("shop"), ..Filter::default() }, "INDEX entries_by_resource"),
        (Filter { approval: one("apr_1"), ..Filter::default() }, "INDEX entries_by_approval"),
        (Filter { outcome: one("denied"), ..Filter::default() }, "INDEX entries_by_outcome"),
        (Filter { books: one("mismatch"), ..Filter::default() }, "INDEX entries_by_books"),
    ] {
        let (sql, values) = query::build(&filter);
        let plan = plan(&sql, values);
        assert!(plan.contains(expected) && !plan.contains("SCAN entries"), "{filter:?}:\n{plan}");
    }
    let counted = plan(query::BOOKS_OF_SESSION, vec![Value::from("s".to_owned())]);
    assert_eq!(counted, "SEARCH entries USING COVERING INDEX entries_by_session (session=? AND books>?)");
}

#[test]
fn accesses_are_counted_by_who_and_how() {
    let mut index = Index::new();
    for number in 1..=3 {
        index.start(Side::Gateway, number, "SELECT email FROM customers WHERE ssn = $1", r#""email","us_ssn""#, "");
        index.end(Side::Gateway, number, r#","masked":["email"]"#);
    }
    index.start(Side::Gateway, 4, "SELECT email FROM customers", r#""email""#, r#","appr":{"id":"apr_1"}"#);
    index.end(Side::Gateway, 4, r#","clear":["email"]"#);
    let refused = r#""kind":"stmt.start","stid":"1.0","q":{"parse":"ok","op":[],"objs":[],"tags":["email"],"norm":"x","bytes":1,"hmac":"HMAC"},"dec":{"action":"deny","rules":[],"engine":"1"}"#;
    index.record(Side::Gateway, &refused.replace("HMAC", &"a".repeat(64)));
    let counted = |filter: AccessFilter| {
        let found = access::run(&index.db, &filter).unwrap();
        let line = |access: &access::Access| {
            let approval = access.approval.clone().unwrap_or_default();
            format!("{} {} {} {}x{}", access.tag, access.shown, approval, access.statements, access.rows)
        };
        found.iter().map(line).collect::<Vec<_>>()
    };
    let all = ["email clear apr_1 1x2", "email masked  3x6", "us_ssn not_shown  3x6"];
    assert_eq!(counted(AccessFilter::default()), all);
    let alice = AccessFilter { subjects: Some(vec!["u-alice".to_owned()]), ..AccessFilter::default() };
    assert_eq!(counted(alice.clone()).len(), 3);
    assert_eq!(counted(AccessFilter { tags: Some(vec!["us_ssn"]), ..alice }), all[2..]);
    let bob = AccessFilter { subjects: Some(vec!["u-bob".to_owned()]), ..AccessFilter::default() };
    assert!(counted(bob).is_empty());
    let elsewhere = AccessFilter { resource: Some("crm".to_owned()), ..AccessFilter::default() };
    assert!(counted(elsewhere).is_empty());
    let later = Timestamp::parse("2026-11-22T12:00:01Z");
    assert!(counted(AccessFilter { since: later, ..AccessFilter::default() }).is_empty());
    assert_eq!(counted(AccessFilter { until: later, ..AccessFilter::default() }), all);
}
