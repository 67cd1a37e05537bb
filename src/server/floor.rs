//! What the floor alone stops: every statement of the corpus that must be stopped, with no rule asked, as the owner of
//! the tables, and as a role that may write.
//!
//! What is left is the session's own role, with the rights it was minted with, and the audit inside the transaction, to
//! which every statement is announced as a write of few rows. That is the worst a guard could be wrong about a text. The
//! table is compared with `tests/vectors/guardrails/floor.txt` (`GOV_UPDATE=1` writes it anew).

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;

use ring::hmac;
use serde::Deserialize;
use tokio::sync::mpsc;

use super::config::{self, Config};
use super::credential::Request;
use super::resource::Resource;
use super::upstream;
use crate::domain::{
    Access, Digest, Duration, Event, Failure, Grant, Identity, IdentityKind, Limits, Masking, Method, SessionId,
    Timestamp,
};
use crate::engine::{Audit, Engine, Scope, snapshot};
use crate::runtime::net::Socket;
use crate::runtime::pump::{Durability, Place, Pump, Records};
use crate::runtime::{clock, random};
use crate::session::{Duty, Session, Setup};
use crate::wire::postgres::{Startup, Version};

#[path = "../../tests/it/support/postgres.rs"]
#[expect(dead_code, clippy::disallowed_methods, reason = "it belongs to the black-box tests, which use all of it")]
mod postgres;
#[path = "../../tests/it/support/wire.rs"]
#[expect(dead_code, reason = "the black-box tests use all of it")]
mod wire;

const TEMPLATE: &str = "template_floor";
const DATABASE: &str = "floor";

/// Cases that are played before anybody looks what is left of the database. Few leave anything.
const AT_ONCE: usize = 24;

/// Whom sessions act as.
const ROLES: [(&str, Access); 2] = [("gv_owner", Access::Write), ("gv_rw", Access::Write)];

/// The corpus assumes that changing all rows of its smallest table, 1,000, is too many.
const ANNOUNCED: Audit = Audit { rows_max: 900, writes: true, locks: false };

/// What takes longer is ended by the test.
const PATIENCE: &str = "5s";

const DIGEST: &str = include_str!("../../tests/vectors/guardrails/digest.sql");

/// What definitions and rights are, comments, settings and the places of sequences included.
const OTHERS: &str = "SELECT concat_ws(' ',
    (SELECT concat(count(*), ':', sum(xmin::text::bigint)) FROM pg_description),
    (SELECT concat(count(*), ':', sum(xmin::text::bigint)) FROM pg_default_acl),
    (SELECT concat(count(*), ':', sum(xmin::text::bigint)) FROM pg_event_trigger),
    (SELECT concat(count(*), ':', sum(xmin::text::bigint)) FROM pg_extension),
    (SELECT concat(count(*), ':', sum(xmin::text::bigint)) FROM pg_publication),
    (SELECT concat(count(*), ':', sum(xmin::text::bigint)) FROM pg_foreign_server),
    (SELECT concat(count(*), ':', sum(xmin::text::bigint)) FROM pg_largeobject_metadata),
    (SELECT count(*) FROM pg_prepared_xacts),
    (SELECT string_agg(concat(schemaname, sequencename, last_value), ',' ORDER BY 1) FROM pg_sequences))";

/// A case of the corpus, as far as this is about it.
#[derive(Debug, Deserialize)]
struct Case {
    id: String,
    category: String,
    sql: Vec<String>,
    protocol: String,
    #[serde(default)]
    params: Vec<Vec<String>>,
    accept: Vec<String>,
}

/// What became of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// The database refused it: a right is missing, or it is no statement for a transaction.
    Refused,
    /// The audit rolled it back.
    Audited,
    /// It ran, and left nothing behind that the digests see.
    Traceless,
    /// It ran until the test ended it.
    Endless,
    /// Rows are not what they were.
    Rows,
    /// Definitions, rights, settings or sequences are not what they were.
    Definitions,
}

impl Outcome {
    const ALL: [Self; 6] =
        [Self::Refused, Self::Audited, Self::Traceless, Self::Endless, Self::Rows, Self::Definitions];

    fn word(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Audited => "audited",
            Self::Traceless => "traceless",
            Self::Endless => "endless",
            Self::Rows => "ROWS",
            Self::Definitions => "DEFINITIONS",
        }
    }
}

/// Records that nobody reads.
struct Unread;

impl Records for Unread {
    fn ready(&self) -> Result<(), Failure> {
        Ok(())
    }

    fn record(&self, _: &Event) -> Result<Place, Failure> {
        Ok(Place(0))
    }

    fn poll_durable(&mut self, _: &mut std::task::Context<'_>, _: Place) -> std::task::Poll<Result<(), Failure>> {
        std::task::Poll::Ready(Ok(()))
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a table is written where it was asked for")]
fn what_the_floor_alone_stops() {
    let vectors = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/guardrails"));
    let cases: Vec<Case> = std::fs::read_to_string(vectors.join("statements.jsonl"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Case>(line).unwrap())
        .filter(|case| !case.accept.iter().any(|accepted| accepted == "allow"))
        .filter(|case| matches!(case.protocol.as_str(), "simple" | "extended"))
        .collect();
    let server = postgres::server();
    let read = |name: &str| std::fs::read_to_string(vectors.join(name)).unwrap();
    server.run("postgres", &read("roles.sql"));
    server.run("postgres", "GRANT gv_owner, gv_rw, gv_ro TO gov_broker WITH ADMIN OPTION");
    server.run("postgres", &format!("CREATE DATABASE {TEMPLATE}"));
    server.run(TEMPLATE, &read("fixture.sql"));
    // Without them a cascade looks through the whole table for every row.
    server.run(TEMPLATE, "CREATE INDEX ON billing.payments (order_id); CREATE INDEX ON public.orders (user_id)");

    let mut table: BTreeMap<&str, [Outcome; ROLES.len()]> = BTreeMap::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let fresh = || {
        server.copy(TEMPLATE, DATABASE);
        state(server)
    };
    for (number, (role, access)) in ROLES.into_iter().enumerate() {
        let resource = resource(server.port, role, access);
        let play = |case: &Case| runtime.block_on(play(&resource, access, case));
        let mut before = fresh();
        for few in cases.chunks(AT_ONCE) {
            let mut outcomes: Vec<Outcome> = few.iter().map(|case| judged(&play(case), &before, &before)).collect();
            if state(server) != before {
                // Some left something behind: one by one, to see which.
                before = fresh();
                outcomes.clear();
                for case in few {
                    let said = play(case);
                    let after = state(server);
                    outcomes.push(judged(&said, &before, &after));
                    if after != before {
                        before = fresh();
                    }
                }
            }
            for (case, outcome) in few.iter().zip(outcomes) {
                table.entry(&case.id).or_insert([Outcome::Refused; ROLES.len()])[number] = outcome;
            }
        }
    }
    print(&cases, &table);
    let lines: Vec<String> =
        table.iter().map(|(id, outcomes)| format!("{id} {}", outcomes.map(Outcome::word).join(" "))).collect();
    let kept = vectors.join("floor.txt");
    if std::env::var_os("GOV_UPDATE").is_some() {
        std::fs::write(&kept, lines.join("\n") + "\n").unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&kept).unwrap();
    // What the test ended on a busy machine could have come to anything.
    let same = |(one, other): (&str, &str)| one == other || [one, other].contains(&Outcome::Endless.word());
    let fits = |(found, expected): &(&String, &str)| {
        found.split(' ').count() == expected.split(' ').count() && found.split(' ').zip(expected.split(' ')).all(same)
    };
    let other: Vec<_> = lines.iter().zip(expected.lines()).filter(|pair| !fits(pair)).collect();
    assert!(other.is_empty(), "the floor holds more or less than it did (found, expected): {other:?}");
    assert_eq!(lines.len(), expected.lines().count());
}

/// A digest of the rows, and one of everything else.
fn state(server: &postgres::Postgres) -> (String, String) {
    let said = server.run(DATABASE, &format!("{DIGEST};{};{OTHERS}", snapshot::FINGERPRINT));
    let (rows, others) = said.split_once('\n').unwrap();
    (rows.to_owned(), others.to_owned())
}

fn judged(said: &[wire::Answer], before: &(String, String), after: &(String, String)) -> Outcome {
    let errors: Vec<_> = said.iter().flat_map(|answer| &answer.errors).collect();
    if before.0 != after.0 {
        Outcome::Rows
    } else if before.1 != after.1 {
        Outcome::Definitions
    } else if errors.iter().any(|error| error.rule().is_some()) {
        Outcome::Audited
    } else if errors.iter().any(|error| error.sqlstate == "57014") {
        Outcome::Endless
    } else if errors.is_empty() && !said.iter().any(|answer| answer.closed) {
        Outcome::Traceless
    } else {
        Outcome::Refused
    }
}

fn resource(port: u16, role: &str, access: Access) -> Resource {
    let words = match access {
        Access::Read => "read",
        Access::Write => "write",
    };
    let text = format!(
        "server: {{listen: '127.0.0.1:0', data: data}}\nresources:\n  floor: {{url: 'postgres://gov_broker@127.0.0.1:{port}/{DATABASE}', \
         labels: {{env: prod}}, roles: {{{words}: {role}}}}}\n"
    );
    let config: Config = config::parse(&text, std::path::Path::new("gov.yaml"), true).unwrap();
    let (name, mut configured) = config.resources.into_iter().next().unwrap();
    configured.password = Some(crate::domain::Secret::new(postgres::PASSWORD.to_owned()));
    Resource::configured(&name, &configured).unwrap()
}

/// Says what a case says, in a session of its own with a role of its own.
async fn play(resource: &Resource, access: Access, case: &Case) -> Vec<wire::Answer> {
    let now = clock::now();
    let session = SessionId::new(now, random::bytes::<10>().unwrap());
    let expires_at = now.after(Duration::from_secs(600));
    let request = Request { session, access, expires_at, connections_max: 4, statement_time: None, seen: None };
    let lease = resource.source.mint(resource, request).await.unwrap();
    let parameters = vec![("statement_timeout".to_owned(), PATIENCE.to_owned())];
    let startup = Startup { version: Version::V3_0, parameters, negotiate: None };
    let opened =
        upstream::open(resource, &lease, upstream::parameters(upstream::given(&startup).unwrap(), access).unwrap())
            .await
            .unwrap();

    let path = std::env::temp_dir().join(format!("gov-floor-{}-{session}", std::process::id()));
    let listener = UnixListener::bind(&path).unwrap();
    let (port, texts, values) = (resource.broker().address().port.to_string(), case.sql.clone(), case.params.clone());
    let extended = case.protocol == "extended";
    let socket = path.clone();
    let client = tokio::task::spawn_blocking(move || {
        let mut wire = wire::Wire::dial(&socket);
        let mut say = |(index, text): (usize, &String)| {
            let text = text.replace("{{PORT}}", &port);
            let values: Vec<&str> = values.get(index).into_iter().flatten().map(String::as_str).collect();
            if extended { wire.extended(text.as_bytes(), &values) } else { wire.simple(text.as_bytes()) }
        };
        texts.iter().enumerate().map(&mut say).collect::<Vec<_>>()
    });
    let (accepted, _) = listener.accept().unwrap();
    accepted.set_nonblocking(true).unwrap();
    let accepted = Socket::Unix(tokio::net::UnixStream::from_std(accepted).unwrap());
    let setup = Setup {
        duty: Duty::Enforce,
        engine: Arc::new(Engine::unguarded(ANNOUNCED)),
        grant: Arc::new(grant(resource, session, access, now, expires_at)),
        stream: 1,
        text_key: hmac::Key::new(hmac::HMAC_SHA256, &[3; 32]),
        approvals: false,
        sealer: None,
        tells_masked: false,
    };
    let scope = Scope::new(lease.acts_as(), &["public".to_owned()]);
    let (_commands, commands) = mpsc::channel(1);
    let records = (Unread, Durability::Written);
    Pump::new(Session::new(setup, scope), accepted, opened.socket, records, commands, Vec::new()).run().await;
    let said = client.await.unwrap();
    std::fs::remove_file(&path).unwrap();
    resource.source.revoke(resource, &lease.role).await.unwrap();
    said
}

fn grant(resource: &Resource, session: SessionId, access: Access, now: Timestamp, expires_at: Timestamp) -> Grant {
    Grant {
        session,
        identity: Identity {
            issuer: "https://issuer".to_owned(),
            subject: "alice".to_owned(),
            name: "Alice".to_owned(),
            email: None,
            groups: Vec::new(),
            kind: IdentityKind::Person,
            actors: Vec::new(),
            method: Method::IdToken,
            proved_at: now,
        },
        resource: resource.name.clone(),
        labels: resource.labels.clone(),
        purpose: None,
        access,
        reveal: Vec::new(),
        masking: Masking::Wire,
        limits: Limits { connections_max: 4, rows_max: None },
        opened_at: now,
        expires_at,
        policy: Digest([0; 32]),
    }
}

fn print(cases: &[Case], table: &BTreeMap<&str, [Outcome; ROLES.len()]>) {
    let heading: String = Outcome::ALL.iter().map(|outcome| format!("{:>12}", outcome.word())).collect();
    let categories: BTreeSet<&str> = cases.iter().map(|case| case.category.as_str()).collect();
    for (number, (role, _)) in ROLES.into_iter().enumerate() {
        let line = |name: &str, wanted: &dyn Fn(&Case) -> bool| {
            let mine: Vec<Outcome> =
                cases.iter().filter(|case| wanted(case)).map(|case| table[case.id.as_str()][number]).collect();
            let counts: String = Outcome::ALL
                .iter()
                .map(|outcome| format!("{:12}", mine.iter().filter(|found| *found == outcome).count()))
                .collect();
            println!("{name:24}{counts}{:12}", mine.len());
        };
        println!("\n{role:24}{heading}{:>12}", "all");
        for category in &categories {
            line(category, &|case| case.category == *category);
        }
        line("all", &|_| true);
    }
}
