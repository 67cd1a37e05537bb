//! Whole conversations, changed by chance: a session does not panic, writes no more than what came in explains, and does
//! the same whether bytes arrive all at once or one at a time.

use std::sync::Arc;

use ring::hmac;

use super::*;
use crate::domain::{Access, Chance, Environment, Identity, IdentityKind, Labels, Limits, Method, Secret, SessionId};
use crate::engine::{Catalog, MaskKey, Policy};
use crate::wire::postgres::first_packet;

const CLIENTS: [&[u8]; 2] =
    [include_bytes!("../../tests/vectors/wire/psql.client"), include_bytes!("../../tests/vectors/wire/driver.client")];
const SERVERS: [&[u8]; 2] =
    [include_bytes!("../../tests/vectors/wire/psql.server"), include_bytes!("../../tests/vectors/wire/driver.server")];

pub(super) fn grant() -> Arc<Grant> {
    let at = Timestamp::from_seconds(1_000);
    Arc::new(Grant {
        session: SessionId::new(at, [1; 10]),
        identity: Identity {
            issuer: "https://issuer".into(),
            subject: "alice".into(),
            name: "Alice".into(),
            email: None,
            groups: vec![],
            kind: IdentityKind::Person,
            actors: vec![],
            method: Method::IdToken,
            proved_at: at,
        },
        resource: "prod-db".parse().unwrap(),
        labels: Labels::from([("env".to_owned(), "prod".to_owned())]),
        purpose: None,
        access: Access::Write,
        reveal: Vec::new(),
        masking: crate::domain::Masking::Wire,
        limits: Limits { connections_max: 4, rows_max: None },
        opened_at: at,
        expires_at: Timestamp::from_seconds(2_000),
        policy: Digest([0; 32]),
    })
}

/// A session for production at one of the two ends, by the built-in policy.
pub(super) fn setup(duty: Duty) -> Setup {
    let policy = Arc::new(Policy::built_in(Environment::Production));
    let key = MaskKey(Secret::new([7; 32]));
    Setup {
        duty,
        engine: Arc::new(Engine::new(policy, Arc::new(Catalog::default()), Some(key))),
        grant: grant(),
        stream: 1,
        text_key: hmac::Key::new(hmac::HMAC_SHA256, &[3; 32]),
        approvals: true,
        sealer: None,
        tells_masked: false,
    }
}

const ROUNDS: usize = 400;

/// A client's capture from behind its login, and a server's.
fn behind_login(capture: &[u8], is_client: bool) -> &[u8] {
    let start = if is_client { first_packet(capture).unwrap().unwrap().1 } else { 0 };
    let last = if is_client { b'p' } else { b'Z' };
    let mut rest = &capture[start..];
    let mut behind = rest;
    while rest.len() >= 5 {
        let (tag, length) = (rest[0], u32::from_be_bytes(rest[1..5].try_into().unwrap()));
        rest = &rest[1 + usize::try_from(length).unwrap()..];
        match (is_client, tag == last) {
            (true, true) => behind = rest,
            (false, true) => return rest,
            (true, false) => return behind,
            (false, false) => {}
        }
    }
    behind
}

/// Everything a session did.
#[derive(Debug, Default, PartialEq, Eq)]
struct Done {
    to_client: Vec<u8>,
    to_database: Vec<u8>,
    events: Vec<String>,
    close: Option<Closing>,
}

/// Plays what the client says and what the database says to it, each in pieces of at most so many bytes.
fn play(duty: Duty, client: (&[u8], usize), database: (&[u8], usize)) -> Done {
    let mut session = Session::new(setup(duty), Scope::default());
    let now = Timestamp::from_seconds(1_000);
    let mut done = Done::default();
    for (by_client, (bytes, size)) in [(true, client), (false, database)] {
        for piece in bytes.chunks(size) {
            let mut turn = Turn::default();
            if by_client {
                session.from_client(now, piece, &mut turn);
            } else {
                session.from_database(now, piece, &mut turn);
            }
            while std::mem::take(&mut turn.refresh) {
                session.catalog_refreshed(now, &mut turn);
            }
            done.to_client.append(&mut turn.to_client);
            done.to_database.append(&mut turn.to_database);
            done.events.extend(turn.events.iter().map(|event| format!("{:?}", event.happening)));
            done.close = done.close.or(turn.close);
        }
    }
    done
}

/// A client and a database that say what they like; how many of four plays of it end early.
fn conversation(client: &[u8], database: &[u8]) -> usize {
    // What waits for nothing: a database that answers before it is asked is told apart by nobody.
    let asked = b"Q\0\0\0\x0dSELECT 1\0".repeat(40);
    let mut ended = 0;
    for duty in [Duty::Enforce, Duty::Watch] {
        for (client, cut_client) in [(client, true), (&asked, false)] {
            let length = client.len() + database.len() + 1;
            let whole = play(duty, (client, length), (database, length));
            let written = whole.to_client.len() + whole.to_database.len();
            assert!(written < 64 * length + 64 * 1024, "{written} bytes for {length}");
            let sizes = if cut_client { (1, length) } else { (length, 1) };
            let cut = play(duty, (client, sizes.0), (database, sizes.1));
            assert_eq!(cut, whole, "{duty:?}, client cut: {cut_client}");
            ended += usize::from(whole.close.is_some());
        }
    }
    ended
}

/// The same; the first two bytes say where what the client says ends.
pub(crate) fn conversations(bytes: &[u8]) {
    let Some((length, said)) = bytes.split_first_chunk() else { return };
    let (client, database) = said.split_at(usize::from(u16::from_be_bytes(*length)).min(said.len()));
    conversation(client, database);
}

#[test]
fn fuzz_a_conversation_goes_alike_however_it_arrives() {
    let clients: Vec<&[u8]> = CLIENTS.iter().map(|capture| behind_login(capture, true)).collect();
    let servers: Vec<&[u8]> = SERVERS.iter().map(|capture| behind_login(capture, false)).collect();
    let mut chance = Chance::new(8);
    let ended: usize = (0..ROUNDS).map(|_| conversation(&chance.mutate(&clients), &chance.mutate(&servers))).sum();
    println!("conversations: {} played, {ended} ended early", 4 * ROUNDS);
    assert!(ended > 0 && ended < 4 * ROUNDS);
}
