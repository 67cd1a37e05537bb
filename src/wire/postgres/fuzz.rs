//! What anybody may send, changed by chance: no parser panics, hands out more than it was given, or answers otherwise when
//! the bytes arrive one at a time. The captures are those of `tests/vectors/wire`.

use std::num::NonZeroU32;

use super::reply::diagnosis;
use super::*;
use crate::domain::{Chance, Secret};
use crate::wire::buffer::{Frame, Frames, Piece, WireError};

const CLIENTS: [&[u8]; 2] = [
    include_bytes!("../../../tests/vectors/wire/psql.client"),
    include_bytes!("../../../tests/vectors/wire/driver.client"),
];
const SERVERS: [&[u8]; 2] = [
    include_bytes!("../../../tests/vectors/wire/psql.server"),
    include_bytes!("../../../tests/vectors/wire/driver.server"),
];

/// How often each parser is tried.
const ROUNDS: usize = 3_000;

/// A client's capture from behind its startup packet.
fn behind_startup(capture: &[u8]) -> &[u8] {
    let (_, length) = first_packet(capture).unwrap().unwrap();
    &capture[length..]
}

/// The messages of a stream delivered in pieces of this length, and how it ends.
fn messages(stream: &[u8], size: usize) -> (Vec<(u8, Vec<u8>)>, Option<WireError>) {
    let mut frames = Frames::new(REQUEST_MAX);
    let mut out = Vec::new();
    for piece in stream.chunks(size) {
        let mut chunk = frames.chunk(piece);
        loop {
            match chunk.next() {
                Ok(Some(Piece::Frame(frame))) => {
                    out.push((frame.tag, frame.body.to_vec()));
                    continue;
                }
                Ok(None) => break,
                Ok(Some(_)) => {}
                Err(error) => return (out, Some(error)),
            }
            chunk.gather();
        }
        chunk.end();
        assert!(frames.kept() <= stream.len());
    }
    (out, None)
}

/// The messages, which must be the same however the stream is cut.
fn cut_anyhow(stream: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let whole = messages(stream, stream.len().max(1));
    for size in [1, 5, 7] {
        assert_eq!(messages(stream, size), whole, "in pieces of {size}: {stream:?}");
    }
    whole.0
}

fn as_frame(raw: &[u8]) -> Frame<'_> {
    Frame { tag: raw[0], body: &raw[5..], raw }
}

/// What a client says after its login; how many messages are understood, and how many refused.
pub(crate) fn requests(stream: &[u8]) -> (usize, usize) {
    let (mut understood, mut refused) = (0, 0);
    for (tag, body) in cut_anyhow(stream) {
        let Ok(request) = Request::read(Frame { tag, body: &body, raw: &body }) else {
            refused += 1;
            continue;
        };
        understood += 1;
        let mut again = Vec::new();
        request.write(&mut again);
        // One of them is never handed on, and so never written.
        if !matches!(request, Request::FunctionCall { .. }) {
            assert_eq!(again.len(), body.len() + 5, "{request:?}");
            assert_eq!(Request::read(as_frame(&again)), Ok(request));
        }
    }
    (understood, refused)
}

#[test]
fn fuzz_requests_are_understood_or_refused_and_mean_the_same_when_written_anew() {
    let samples: Vec<&[u8]> = CLIENTS.iter().map(|capture| behind_startup(capture)).collect();
    let mut chance = Chance::new(1);
    let (mut understood, mut refused) = (0, 0);
    for _ in 0..ROUNDS {
        let (one, other) = requests(&chance.mutate(&samples));
        (understood, refused) = (understood + one, refused + other);
    }
    println!("requests: {ROUNDS} streams, {understood} messages understood, {refused} refused");
    assert!(understood > ROUNDS && refused > ROUNDS / 20);
}

/// What anybody says first.
pub(crate) fn opening(bytes: &[u8]) {
    let whole = first_packet(bytes);
    let first = (0..=bytes.len()).map(|end| first_packet(&bytes[..end])).find(|answer| *answer != Ok(None));
    assert_eq!(first.unwrap_or(Ok(None)), whole, "{bytes:?}");
    if let Ok(Some((FirstPacket::Startup(startup), length))) = whole {
        assert!(length <= bytes.len().min(STARTUP_MAX));
        let mut again = Vec::new();
        startup.write(&mut again);
        let Ok(Some((FirstPacket::Startup(read), _))) = first_packet(&again) else { panic!("{startup:?}") };
        assert_eq!((read.version, read.parameters), (startup.version, startup.parameters));
    }
}

#[test]
fn fuzz_first_packets_are_the_same_as_soon_as_they_are_there() {
    let mut others = [Vec::new(), Vec::new()];
    ssl_request(&mut others[0]);
    cancel_request(7, &[1; 32], &mut others[1]);
    let samples: Vec<&[u8]> = CLIENTS.into_iter().chain(others.iter().map(Vec::as_slice)).collect();
    let mut chance = Chance::new(2);
    for _ in 0..ROUNDS {
        opening(&chance.mutate(&samples));
    }
}

/// What a database says; how many readings of its messages go well, and how many are refused.
pub(crate) fn replies(stream: &[u8]) -> (usize, usize) {
    let (mut read, mut refused) = (0, 0);
    for (_, body) in cut_anyhow(stream) {
        // Each reader gets each body: what a message is said to be is its sender's choice.
        let described = columns(&body).map(|columns| assert!(columns.len() <= body.len() / 19));
        let complained = diagnosis(&body).map(|complaint| {
            let written: usize = complaint.fields.iter().map(|(_, text)| text.len()).sum();
            // What is no UTF-8 grows, by two bytes for each.
            assert!(written <= 3 * body.len());
        });
        let copied = copy_columns(&body).map(|formats| assert!(formats.len() <= body.len() / 2));
        let cells = Cells::of(&body).and_then(|mut cells| {
            let mut length = 0;
            while let Some(cell) = cells.next()? {
                length += cell.map_or(0, <[u8]>::len);
            }
            assert!(length <= body.len());
            cells.finish()
        });
        for outcome in [described, complained, copied, cells] {
            *(if outcome.is_ok() { &mut read } else { &mut refused }) += 1;
        }
        let _either = (Transaction::parse(&body), rows_of_tag(&body));
    }
    (read, refused)
}

#[test]
fn fuzz_replies_are_read_within_their_bounds() {
    let mut chance = Chance::new(3);
    let (mut read, mut refused) = (0, 0);
    for _ in 0..ROUNDS {
        let (one, other) = replies(&chance.mutate(&SERVERS));
        (read, refused) = (read + one, refused + other);
    }
    println!("replies: {ROUNDS} streams, {read} readings went well, {refused} were refused");
    assert!(read > ROUNDS && refused > ROUNDS);
}

/// A client's side of a login, with a hostile server.
fn login() -> (ClientLogin, Vec<u8>) {
    let startup = Startup { version: Version::V3_2, negotiate: None, parameters: vec![("user".into(), "u".into())] };
    let scram = ClientScram::new(Secret::new(b"secret".to_vec()), [1; 18], ChannelBinding::None);
    let mut out = Vec::new();
    (ClientLogin::start(&startup, Some(scram), &mut out), out)
}

/// A server that does not know the password, at the login: it does not get through, and does not learn it.
pub(crate) fn logins(stream: &[u8]) {
    let (mut client, mut out) = login();
    for (tag, body) in messages(stream, 4096).0 {
        match client.step(Frame { tag, body: &body, raw: &body }, &mut out) {
            // A server may ask for no password at all; it does not get one then.
            Ok(LoginStep::Done(done)) => assert!(done.unproved, "{stream:?}"),
            Ok(LoginStep::Wait) => {}
            Err(_) => break,
        }
    }
    assert!(out.len() < 4096 && !out.windows(6).any(|part| part == b"secret"));
}

#[test]
fn fuzz_no_server_gets_through_a_login_without_the_password() {
    let mut chance = Chance::new(4);
    for _ in 0..ROUNDS {
        logins(&chance.mutate(&SERVERS));
    }
}

#[test]
fn fuzz_scram_ends_well_only_when_nothing_was_changed() {
    let mut chance = Chance::new(5);
    let (mut attempts, mut through) = (0, 0);
    for round in 0..ROUNDS {
        let verifier = verifier(b"secret", b"0123456789abcdef", NonZeroU32::MIN);
        let mut client = ClientScram::new(Secret::new(b"secret".to_vec()), [1; 18], ChannelBinding::None);
        let mut server = ServerScram::new(verifier, [2; 18], ChannelBinding::None);
        let mut changed = false;
        let mut turn = 0;
        // One of the four messages is changed on its way.
        let mut way = |text: String| {
            turn += 1;
            let sent =
                if turn == round % 4 + 1 { chance.mutate(&[text.as_bytes()]) } else { text.clone().into_bytes() };
            changed |= sent != text.as_bytes();
            sent
        };
        let first = way(client.first());
        let end = server.first(client.mechanism(), &first).and_then(|second| {
            let third = client.reply(&way(second))?;
            let fourth = server.finish(&way(third))?;
            client.verify(&way(fourth))
        });
        attempts += usize::from(changed);
        through += usize::from(changed && end.is_ok());
        assert!(changed || end.is_ok());
    }
    println!("scram: {attempts} exchanges with one message changed, {through} went through");
    assert_eq!(through, 0);
}

#[test]
fn fuzz_certificates_give_a_hash_or_none() {
    let certificate =
        b"\x30\x1e\x30\x08\x02\x06serial\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00\x03\x03\x00ab";
    assert!(certificate_binding(certificate).is_some());
    let mut chance = Chance::new(6);
    for _ in 0..ROUNDS {
        let hash = certificate_binding(&chance.mutate(&[&certificate[..]]));
        assert!(hash.is_none_or(|hash| (32..=64).contains(&hash.len())));
    }
}

/// The formats of COPY.
fn copy_formats() -> [CopyFormat; 3] {
    let csv = CopyFormat::Csv { delimiter: b',', quote: b'"', escape: b'\\', null: Vec::new() };
    [CopyFormat::text(), csv, CopyFormat::Binary]
}

/// Data of COPY in one of its formats, from its beginning or from somewhere behind it.
pub(crate) fn copies(bytes: &[u8]) {
    let Some((choice, data)) = bytes.split_first() else { return };
    copied(&copy_formats()[usize::from(choice >> 1) % 3], data, choice & 1 == 0);
}

fn copied(format: &CopyFormat, mut data: &[u8], mut first: bool) {
    let (mut row, mut found) = (CopyRow::default(), CopyRow::default());
    while let Ok(Some((piece, rest))) = next_piece(format, data, first, &mut row) {
        let taken = data.len() - rest.len();
        assert!(taken > 0, "{format:?} {data:?}");
        match piece {
            CopyPiece::Frame(frame) => assert_eq!(frame.len(), taken),
            CopyPiece::Row(raw) => {
                assert_eq!(raw.len(), taken);
                let mut again = Vec::new();
                write_row(format, row.cells(), &mut again);
                let read = next_piece(format, &again, false, &mut found).unwrap().unwrap().0;
                assert_eq!(read, CopyPiece::Row(&again), "{format:?} {raw:?}");
                assert!(found.cells().eq(row.cells()), "{format:?} {raw:?} {again:?}");
            }
        }
        (data, first) = (rest, false);
    }
}

#[test]
fn fuzz_copy_rows_are_taken_apart_and_put_together_alike() {
    let cells: [&[Option<&[u8]>]; 3] =
        [&[Some(b"1"), None, Some(b"a\tb\\c\n\"d\",")], &[Some(b""), Some(b"\\N"), Some(b"\xff\0")], &[None]];
    let mut chance = Chance::new(7);
    for format in copy_formats() {
        let mut sample = Vec::new();
        cells.iter().for_each(|row| write_row(&format, row.iter().copied(), &mut sample));
        let header = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
        let samples = [sample.clone(), [&header[..], &sample, b"\xff\xff"].concat()];
        for _ in 0..ROUNDS {
            let bytes = chance.mutate(&samples);
            copied(&format, &bytes, chance.below(2) == 0);
        }
    }
}
