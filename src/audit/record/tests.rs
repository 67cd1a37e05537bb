//! Records: canonical, complete, and without anything personal.

use std::sync::Arc;

use super::*;
use crate::audit::Role;
use crate::domain::{
    Access, Action, ApprovalId, Duration, Event, Function, Happening, Identity, IdentityKind, Limits, Method,
    Operation, Outcome, Parse, Peer, PublicKey, RecordId, Relation, Shown, Statement, StatementEnd, StatementId,
    StatementStart, Timestamp, Touch, Verdict,
};

/// Longest record. A batch of one must fit an envelope, and an envelope a log entry of 65,535 bytes (C2SP tlog-tiles,
/// "Entry bundles": a 16-bit length), after base64 has made it a third longer.
const RECORD_MAX: usize = 32 * 1024;

fn grant() -> Grant {
    Grant {
        session: SessionId::new(Timestamp::from_millis(1_795_356_621_042), [1; 10]),
        identity: Identity {
            issuer: "https://idp.example.com".to_owned(),
            subject: "alice".to_owned(),
            name: "Alice Example".to_owned(),
            email: Some("alice@example.com".to_owned()),
            groups: vec!["engineering".to_owned()],
            kind: IdentityKind::Person,
            actors: vec![Actor {
                kind: IdentityKind::Agent,
                id: "copilot".to_owned(),
                charter: Some(Digest([0xc4; 32])),
            }],
            method: Method::IdToken,
            proved_at: Timestamp::from_millis(0),
        },
        resource: "prod-db".parse().unwrap(),
        labels: Default::default(),
        purpose: Some(Purpose { id: "support.ticket".parse().unwrap(), reference: Some("ZD-812".to_owned()) }),
        access: Access::Read,
        reveal: Vec::new(),
        masking: crate::domain::Masking::Wire,
        limits: Limits { connections_max: 1, rows_max: None },
        opened_at: Timestamp::from_millis(1_795_356_621_042),
        expires_at: Timestamp::from_millis(1_795_360_221_042),
        policy: Digest([0xcd; 32]),
    }
}

fn statement(normalized: &str) -> Statement {
    Statement {
        parse: Parse::Understood,
        normalized: normalized.into(),
        operations: [Operation::Read].into(),
        relations: [Relation { schema: Some("public".to_owned()), name: "customers".to_owned(), touch: Touch::Read }]
            .into(),
        tags: [].into(),
        functions: [].into(),
        length: 77,
    }
}

fn start(statement: Statement, verdict: Verdict) -> Happening {
    Happening::StatementStarted(StatementStart {
        id: StatementId { stream: 1, number: 3 },
        statement: Arc::new(statement),
        raw_hmac: Digest([0xee; 32]),
        sealed: None,
        verdict,
        rules: Arc::from([("missing_where", Action::Observe)]),
        approval: None,
    })
}

fn encoder() -> Encoder {
    Encoder::new(&Context::session(Side::Gateway, &grant(), "5e1f"))
}

fn place(seq: u64) -> Place {
    Place {
        id: RecordId::new(Timestamp::from_millis(1_795_356_621_042), [2; 10]),
        seq,
        elapsed: Duration::from_millis(15),
    }
}

fn written(encoder: &mut Encoder, happening: Happening) -> (String, Role) {
    let event = Event { at: Timestamp::from_millis(1_795_356_621_057), session: Some(grant().session), happening };
    let mut out = Vec::new();
    let role = encoder.encode(&mut out, place(7), &event);
    (String::from_utf8(out).unwrap(), role)
}

#[test]
fn a_start_is_written_exactly_so() {
    let (line, role) =
        written(&mut encoder(), start(statement("SELECT * FROM customers WHERE id = $1"), Verdict::Allow));
    assert_eq!(role, Role::Start(StatementId { stream: 1, number: 3 }));
    let expected = [
        r#"{"id":"01kn9bsf9j0820g20820g20820","seq":7,"ts":"2026-11-22T14:10:21.057Z","mono":15,"kind":"stmt.start","#,
        r#""sid":"01kn9bsf9j041061050r3gg28a","side":"gateway","stid":"1.3","q":{"parse":"ok","op":["read"],"#,
        r#""objs":[{"schema":"public","name":"customers","touch":"read"}],"norm":"SELECT * FROM customers WHERE id = $1","#,
        r#""bytes":77,"hmac":"eeee"},"dec":{"action":"allow","rules":[["missing_where","observe"]],"policy":"cdcd","#,
        r#""engine":"0.1.0"},"sub":"5e1f","act":[{"type":"agent","id":"copilot","charter":"c4c4"}],"#,
        r#""purp":{"id":"support.ticket","ref":"ZD-812"},"db":{"resource":"prod-db"}}"#,
    ];
    let expected = expected.concat().replace("\"eeee\"", &format!("\"{}\"", "ee".repeat(32)));
    let expected = expected.replace("\"cdcd\"", &format!("\"{}\"", "cd".repeat(32)));
    let expected = expected.replace("\"c4c4\"", &format!("\"{}\"", "c4".repeat(32)));
    let session = grant().session.to_string();
    let expected = expected.replace("01kn9bsf9j041061050r3gg28a", &session);
    let expected = expected.replace("01kn9bsf9j0820g20820g20820", &place(0).id.to_string());
    assert_eq!(line, expected);
}

#[test]
fn a_statement_written_again_is_written_alike() {
    let mut encoder = encoder();
    let happening = start(statement("SELECT 1"), Verdict::Allow);
    let first = written(&mut encoder, happening.clone());
    assert_eq!(first, written(&mut encoder, happening));
    for _ in 0..300 {
        written(&mut encoder, start(statement("SELECT 2"), Verdict::Allow));
    }
    assert_eq!(first, written(&mut encoder, start(statement("SELECT 1"), Verdict::Allow)));
}

/// One of each kind, with what must be found again by reading.
fn samples() -> Vec<Happening> {
    let key = PublicKey([9; 32]);
    let id = StatementId { stream: 2, number: 5 };
    let end = |outcome| {
        let took = Duration::from_micros(1234);
        let (masked_columns, masked_cells, shown) = (1, 4, Shown::default());
        let (rows, bytes) = (4, 99);
        Happening::StatementEnded(StatementEnd { id, outcome, rows, bytes, masked_columns, masked_cells, shown, took })
    };
    vec![
        Happening::ServerStopped,
        Happening::LoginSucceeded { subject: "5e1f".to_owned(), method: "device" },
        Happening::LoginFailed { why: "expired" },
        Happening::EvidencePacked { subject: "5e1f".to_owned(), digest: Digest([6; 32]) },
        Happening::SessionOpened {
            grant: Arc::new(grant()),
            subject: "5e1f".to_owned(),
            client: Peer { address: "10.1.2.3".to_owned(), host: "al@x".to_owned(), version: "0.1.0".to_owned() },
            keys: vec![(Side::Client, key), (Side::Gateway, PublicKey([8; 32]))],
        },
        Happening::SessionRefused { subject: "5e1f".to_owned(), resource: "no\"db".to_owned(), why: "access" },
        Happening::SessionClosed { why: "expired" },
        Happening::CredentialMinted { source: "static", role: "gov_s_1".to_owned() },
        Happening::CredentialRevoked { source: "static", role: "gov_s_1".to_owned(), ended: 1, dropped: true },
        Happening::CredentialSwept { source: "static", role: "gov_s_1".to_owned() },
        Happening::MasksRemoved { subject: "5e1f".to_owned(), resource: "db".to_owned() },
        Happening::Tripped { last: StatementId { stream: 1, number: 3 }, column: "public.t.c".to_owned() },
        Happening::PolicyChanged { policy: Digest([2; 32]) },
        Happening::StreamOpened { stream: 1, application: "psql \u{1b}[31mä".to_owned() },
        Happening::StreamClosed { stream: 1, why: "client" },
        Happening::Cancelled { stream: 1 },
        start(statement("SELECT $1 -- \"x\"\n"), Verdict::Allow),
        start(statement(""), Verdict::Deny),
        end(Outcome::Ok),
        end(Outcome::Error { sqlstate: *b"42501" }),
        end(Outcome::Error { sqlstate: *b"\"}\n,," }),
        end(Outcome::Unknown),
        Happening::StatementUnknown { id, key },
        Happening::AuditRead { subject: "5e1f".to_owned(), what: "timeline".to_owned() },
        Happening::Recovered { key, record: r#"{"id":"x"}"#.to_owned(), sealed: Vec::new() },
        Happening::Recovered { key, record: "{\"id\":\n1}".to_owned(), sealed: Vec::new() },
        Happening::Recovered { key, record: "garbage \"".to_owned(), sealed: Vec::new() },
        Happening::Lost { entries: 3, acknowledged: true },
    ]
}

#[test]
fn every_kind_is_one_line_that_reads_back() {
    let mut kinds = std::collections::BTreeSet::new();
    for happening in samples() {
        let (line, role) = written(&mut encoder(), happening.clone());
        assert!(!line.contains('\n') && line.is_ascii(), "{line}");
        let core = Core::parse(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!((core.id, core.seq, core.side), (place(7).id, 7, Side::Gateway));
        assert_eq!(core.session, Some(grant().session));
        assert_eq!(core.at.millis(), 1_795_356_621_057);
        assert_eq!(matches!(role, Role::Start(_)), core.decided.as_ref().is_some_and(|d| d.action == "allow"));
        assert_eq!(matches!(role, Role::End(_)), core.kind == "stmt.end");
        kinds.insert(core.kind);
    }
    assert_eq!(kinds.len(), 22, "{kinds:?}");
}

#[test]
fn what_was_written_is_what_is_read() {
    let (line, _) = written(&mut encoder(), start(statement("SELECT $1"), Verdict::Hold));
    let core = Core::parse(&line).unwrap();
    let asked = core.asked.unwrap();
    assert_eq!((asked.text.as_str(), asked.bytes, asked.hmac), ("SELECT $1", 77, Digest([0xee; 32])));
    assert_eq!(asked.relations[0].name, "customers");
    let decided = core.decided.unwrap();
    assert_eq!((decided.action.as_str(), decided.policy), ("hold", Some(Digest([0xcd; 32]))));
    assert_eq!((core.subject.as_deref(), core.purpose.as_deref()), (Some("5e1f"), Some("support.ticket")));
    assert_eq!((core.actors, core.resource.as_deref()), (vec!["copilot".to_owned()], Some("prod-db")));
    let chain = format!(r#""act":[{{"type":"agent","id":"copilot","charter":"{}"}}]"#, "c4".repeat(32));
    assert!(line.contains(&chain), "{line}");
    let took = Duration::from_micros(8);
    let id = StatementId { stream: 1, number: 1 };
    let outcome = Outcome::Error { sqlstate: *b"22P02" };
    let (rows, bytes, masked_columns, masked_cells, shown) = (1, 2, 0, 0, Shown::default());
    let end = StatementEnd { id, outcome, rows, bytes, masked_columns, masked_cells, shown, took };
    let (line, _) = written(&mut encoder(), Happening::StatementEnded(end));
    let happened = Core::parse(&line).unwrap().happened.unwrap();
    assert_eq!((happened.outcome.as_str(), happened.sqlstate.as_deref()), ("error", Some("22P02")));
    assert_eq!((happened.rows, happened.bytes, happened.dur_us), (1, 2, 8));
    let key = PublicKey([9; 32]);
    let record = r#"{"id":"x", "n": 1.0}"#.to_owned();
    let (line, _) = written(&mut encoder(), Happening::Recovered { key, record: record.clone(), sealed: Vec::new() });
    let of = Core::parse(&line).unwrap().of.unwrap();
    assert_eq!((of.key, of.record), (key, Some(record)));
}

#[test]
fn nothing_that_names_a_person_is_written() {
    for happening in samples() {
        let pseudonyms = Some(Pseudonyms::new(Secret::new([1; 32])));
        let context = Context { pseudonyms, ..Context::session(Side::Gateway, &grant(), "5e1f") };
        let (line, _) = written(&mut Encoder::new(&context), happening);
        for personal in ["alice", "Alice", "10.1.2.3", "al@x"] {
            assert!(!line.contains(personal), "{personal} in {line}");
        }
    }
}

#[test]
fn nothing_of_a_text_that_was_not_understood_is_written() {
    let opaque = Statement { parse: Parse::Opaque, ..statement("SELECT 'secret'") };
    let (line, _) = written(&mut encoder(), start(opaque, Verdict::Deny));
    assert!(!line.contains("secret") && line.contains(r#""norm":"""#), "{line}");
}

#[test]
fn the_longest_record_is_within_the_limit() {
    let relation = |name: String| Relation { schema: Some("s".repeat(63)), name, touch: Touch::Define };
    let function = |n| Function { name: format!("s.f{n}({})", "\u{1}".repeat(60)), body: Some("ab".repeat(32)) };
    let long = Statement {
        functions: (0..1_000).map(function).collect(),
        relations: (0..10_000).map(|n| relation(format!("{n}{}", "\u{1}".repeat(60)))).collect(),
        ..statement(&"\u{1}".repeat(1024 * 1024))
    };
    let mut context = Context::session(Side::Gateway, &grant(), &"\u{1}".repeat(500));
    context.actors = vec![Actor { kind: IdentityKind::Agent, id: "\u{1}".repeat(500), charter: None }; 3];
    let (line, _) = written(&mut Encoder::new(&context), start(long, Verdict::Deny));
    assert!(line.len() <= RECORD_MAX, "{}", line.len());
    let core = Core::parse(&line).unwrap();
    assert!(line.contains(r#""cut":true"#) && line.contains(r#""objs_more":99"#), "{line}");
    assert!(line.contains(r#""funcs_more":99"#) || line.contains(r#""funcs_more":98"#), "{line}");
    assert!(core.asked.unwrap().text.len() > 1000);
}

/// Functions are said where there are any; a record from before they were, is one of a statement that has none.
#[test]
fn functions_that_nobody_reviewed_are_read_again() {
    let functions = [("public.age(date, text)", Some("ab".repeat(32))), ("tidy", None)];
    let functions = functions.map(|(name, body)| Function { name: name.to_owned(), body });
    let (line, _) = written(
        &mut encoder(),
        start(Statement { functions: functions.into(), ..statement("SELECT 1") }, Verdict::Hold),
    );
    let asked = Core::parse(&line).unwrap().asked.unwrap();
    let read: Vec<_> = asked.functions.iter().map(|called| (called.name.as_str(), called.body.as_deref())).collect();
    assert_eq!(read, [("public.age(date, text)", Some("ab".repeat(32).as_str())), ("tidy", None)]);
    let (line, _) = written(&mut encoder(), start(statement("SELECT 1"), Verdict::Hold));
    assert!(!line.contains("funcs"), "{line}");
    assert_eq!(Core::parse(&line).unwrap().asked.unwrap().functions, []);
}

#[test]
fn records_with_members_twice_or_missing_are_refused() {
    let (line, _) = written(&mut encoder(), start(statement("SELECT 1"), Verdict::Allow));
    let member = |from: &str, to: &str| line.replacen(from, to, 1);
    for bad in [
        member("\"seq\":7", "\"seq\":7,\"seq\":8"),
        member("\"seq\":7,", ""),
        member("\"seq\":7", "\"seq\":-7"),
        member("\"seq\":7", "\"seq\":\"7\""),
        member("\"side\":\"gateway\"", "\"side\":\"moon\""),
        member("2026-11-22", "2026-13-22"),
        member("\"hmac\":\"ee", "\"hmac\":\"e"),
        member("\"stid\":\"1.3\"", "\"stid\":\"13\""),
        format!("{line}x"),
        line.strip_suffix('}').unwrap().to_owned(),
    ] {
        assert_ne!(bad, line);
        assert!(Core::parse(&bad).is_err(), "{bad}");
    }
}

#[test]
fn pseudonyms_differ_by_key_kind_and_text() {
    let one = Pseudonyms::new(Secret::new([1; 32]));
    let two = Pseudonyms::new(Secret::new([2; 32]));
    let all = [one.place("host", "a"), one.place("address", "a"), one.place("hosta", ""), two.place("host", "a")];
    assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), all.len());
    assert_eq!(all[0], one.place("host", "a"));
    assert!(all.iter().all(|name| name.len() == 32));
}

#[test]
fn what_columns_hold_and_what_was_agreed_is_read_again() {
    let approval = ApprovalId::new(Timestamp::default(), [3; 10]);
    let statement = Statement { tags: ["email", "us_ssn"].into(), ..statement("SELECT 1") };
    let Happening::StatementStarted(start) = start(statement, Verdict::Allow) else { panic!() };
    let started = Happening::StatementStarted(StatementStart { approval: Some(approval), ..start });
    let core = Core::parse(&written(&mut encoder(), started).0).unwrap();
    assert_eq!(core.asked.unwrap().tags, ["email", "us_ssn"]);
    assert_eq!(core.approval, Some(approval.to_string()));
    let shown = Shown { masked: ["email", "us_ssn"].into(), clear: ["salary"].into() };
    let (id, outcome, took) = (StatementId { stream: 1, number: 1 }, Outcome::Ok, Duration::from_micros(8));
    let (rows, bytes, masked_columns, masked_cells) = (1, 2, 0, 0);
    let end = StatementEnd { id, outcome, rows, bytes, masked_columns, masked_cells, shown, took };
    let happened = Core::parse(&written(&mut encoder(), Happening::StatementEnded(end)).0).unwrap().happened.unwrap();
    assert_eq!(
        (happened.masked, happened.clear),
        (vec!["email".to_owned(), "us_ssn".to_owned()], vec!["salary".to_owned()])
    );
}

#[test]
fn a_session_names_the_columns_it_was_opened_to_see() {
    let revealing = |reveal: &[&str]| {
        let reveal = reveal.iter().map(|column| column.parse().unwrap()).collect();
        let grant = Arc::new(Grant { reveal, ..grant() });
        let opened =
            Happening::SessionOpened { grant, subject: "5e1f".to_owned(), client: Peer::default(), keys: Vec::new() };
        written(&mut encoder(), opened).0
    };
    let both = r#""reveal":["public.customers.email","public.staff.mail"],"from":"#;
    assert!(revealing(&["public.customers.email", "public.staff.mail"]).contains(both));
    assert!(!revealing(&[]).contains("reveal"));
}
