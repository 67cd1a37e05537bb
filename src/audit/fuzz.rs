//! What a log is made of, changed by chance: nothing panics, nothing that was changed is believed, and what has one way
//! to be written is read in no other.

use std::sync::LazyLock;

use super::*;
use crate::domain::{Chance, Digest, PublicKey, Secret, SessionId, Side, Timestamp};

const ROUNDS: usize = 3_000;

fn signer(seed: u8) -> Signer {
    Signer::new(Secret::new([seed; 32])).unwrap()
}

/// The keys of a log and of a witness, and what both have signed.
struct Signed {
    log: NoteSigner,
    witness: NoteSigner,
    checkpoints: Vec<(Checkpoint, String)>,
}

static SIGNED: LazyLock<Signed> = LazyLock::new(|| {
    let log = NoteSigner::new("gov.example/log", Algorithm::Ed25519, signer(1)).unwrap();
    let witness = NoteSigner::new("witness.example", Algorithm::Cosignature, signer(2)).unwrap();
    let checkpoints = [(0, 0), (1, 7), (1 << 40, 9)].map(|(size, byte)| {
        let checkpoint =
            Checkpoint { origin: "gov.example/log".to_owned(), head: Head { size, root: Digest([byte; 32]) } };
        let body = checkpoint.text();
        let lines = [&log, &witness].map(|key| key.sign(&body, Timestamp::from_seconds(5)).unwrap());
        (checkpoint, format!("{body}\n{}", lines.concat()))
    });
    Signed { log, witness, checkpoints: checkpoints.into() }
});

/// A checkpoint; whether it is one that was signed.
pub(crate) fn checkpoints(bytes: &[u8]) -> bool {
    let (text, signed) = (String::from_utf8_lossy(bytes), &*SIGNED);
    let Ok(note) = Note::read(&text) else { return false };
    for key in [signed.log.key(), signed.witness.key()] {
        if note.verify(key).is_ok() {
            assert!(signed.checkpoints.iter().any(|(checkpoint, _)| checkpoint.text() == note.text), "{text}");
        }
    }
    if let Ok(checkpoint) = Checkpoint::parse(&note.text) {
        assert_eq!(Checkpoint::parse(&checkpoint.text()), Ok(checkpoint));
    }
    let Ok(checkpoint) = Checkpoint::open(&note, signed.log.key()) else { return false };
    // Lines of keys that nobody asked about may come and go.
    assert!(signed.checkpoints.iter().any(|(known, _)| *known == checkpoint), "{text}");
    true
}

#[test]
fn fuzz_a_checkpoint_is_opened_only_as_it_was_signed() {
    let samples: Vec<&str> = SIGNED.checkpoints.iter().map(|(_, note)| note.as_str()).collect();
    let mut chance = Chance::new(13);
    let (mut changed, mut opened) = (0, 0);
    for _ in 0..ROUNDS {
        let bytes = chance.mutate(&samples);
        changed += usize::from(!samples.iter().any(|sample| sample.as_bytes() == bytes));
        opened += usize::from(checkpoints(&bytes));
    }
    println!("checkpoints: {changed} changed, {opened} opened with what was signed, 0 with anything else");
    assert!(opened > 0 && opened < ROUNDS);
}

#[test]
fn fuzz_what_has_one_form_is_read_in_no_other() {
    let keys = [(1, Algorithm::Ed25519), (2, Algorithm::Cosignature)]
        .map(|(seed, algorithm)| NoteSigner::new("gov.example/log", algorithm, signer(seed)).unwrap().key().text());
    let paths = ["tile/0/000", "tile/entries/x001/234.p/7", "tile/2/x000/x001/002", "tile/63/255.p/255"];
    let mut samples: Vec<String> = paths.map(str::to_owned).into();
    samples.extend(keys);
    samples.push(format!("{0} {0} allow ok - 3|", "ab".repeat(32)));
    let mut chance = Chance::new(14);
    let read = (0..ROUNDS).filter(|_| forms(&chance.mutate(&samples))).count();
    println!("paths and keys: {read} of {ROUNDS} read");
    assert!(read > 0);
}

/// Paths of tiles, names of keys, lines of books.
pub(crate) fn forms(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(key) = NoteKey::parse(&text) {
        assert_eq!(key.text(), text);
    }
    if let Some(line) = Line::read(&text) {
        assert_eq!(Line::read(&line.write()), Some(line));
    }
    let Some(tile) = Tile::parse(&text) else { return false };
    assert_eq!(tile.path(), text);
    assert!(tile.range().end >= tile.range().start);
    true
}

/// A certificate, and what its key signed.
fn envelopes() -> (Envelope, Envelope) {
    let session = SessionId::new(Timestamp::from_millis(1000), [1; 10]);
    let certificate = Certificate {
        key: signer(2).public(),
        side: Side::Client,
        session: Some(session),
        subject: Some("u-alice".to_owned()),
        from: Timestamp::from_millis(1000),
        until: Timestamp::from_millis(9000),
    };
    let certificate = certificate.sign(&signer(1)).unwrap();
    let key = signer(2).public();
    let chain = Chain { key, side: Side::Client, session: Some(session), previous: certificate.digest() };
    let record = format!(
        r#"{{"id":"{}","seq":0,"ts":"2026-11-22T14:10:21.057Z","mono":0,"kind":"stmt.start","sid":"{session}","side":"client",
            "stid":"1.1","q":{{"parse":"ok","op":["read"],"objs":[],"norm":"SELECT $1","bytes":8,"hmac":"{}"}},
            "dec":{{"action":"allow","rules":[],"policy":"{}","engine":"1"}}}}"#,
        "0".repeat(26),
        "ab".repeat(32),
        "cd".repeat(32)
    );
    let payload = payload(&chain.header(0), record.as_bytes());
    let signature = signer(2).sign(RECORDS_TYPE, &payload).unwrap();
    (certificate, Envelope { payload_type: RECORDS_TYPE, payload, key, signature })
}

static ENVELOPES: LazyLock<[String; 2]> = LazyLock::new(|| {
    let (certificate, batch) = envelopes();
    [certificate.write(), batch.write()]
});

/// An envelope; whether it is one that nobody signed like that.
pub(crate) fn changed_envelopes(bytes: &[u8]) -> bool {
    let line = String::from_utf8_lossy(bytes);
    let changed = !ENVELOPES.iter().any(|known| *known == line);
    if let Ok(envelope) = Envelope::read(&line) {
        assert_eq!(envelope.write(), line);
        assert!(!changed || envelope.verify(signer(2).public()).is_err(), "{line}");
        assert!(!changed || Certificate::open(&envelope, signer(1).public()).is_err(), "{line}");
    }
    changed
}

/// A whole verifier, given these lines, the truth among them.
pub(crate) fn verifiers(bytes: &[u8]) {
    let mut verifier = Verifier::new(signer(1).public());
    let given = String::from_utf8_lossy(bytes);
    for line in given.lines().chain(ENVELOPES.iter().map(String::as_str)) {
        verifier.envelope(line);
    }
    drop(verifier.finish());
}

#[test]
fn fuzz_no_changed_envelope_is_believed() {
    let mut chance = Chance::new(15);
    let changed = (0..ROUNDS).filter(|_| changed_envelopes(&chance.mutate(&*ENVELOPES))).count();
    for _ in 0..ROUNDS / 10 {
        let lines = [(); 3].map(|()| chance.mutate(&*ENVELOPES));
        verifiers(&lines.join(&b'\n'));
    }
    println!("envelopes: {changed} changed, 0 believed");
    assert!(changed > ROUNDS / 2);
}

/// A batch, a record and a frame of the log, whatever it is.
pub(crate) fn frames(bytes: &[u8]) {
    records(&mut Rebuilder::default(), 1, bytes);
}

/// How many of them these bytes are.
fn records(rebuilder: &mut Rebuilder, number: usize, bytes: &[u8]) -> usize {
    let mut read = 0;
    if let Ok(batch) = Batch::parse(bytes) {
        read += 1;
        assert!(batch.records.iter().map(String::len).sum::<usize>() <= bytes.len());
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        read += usize::from(Core::parse(text).is_ok());
    }
    if let Some((kind, body)) = bytes.split_first()
        && let Ok(entry) = Entry::read(*kind, body)
    {
        read += 1;
        drop(rebuilder.push(u64::try_from(number).unwrap(), &entry));
    }
    read
}

#[test]
fn fuzz_records_batches_and_frames_are_read_or_refused() {
    let (_, batch) = envelopes();
    let payload = String::from_utf8(batch.payload).unwrap();
    let record = Batch::parse(payload.as_bytes()).unwrap().records.remove(0);
    assert!(Core::parse(&record).is_ok());
    let mut frames = Vec::new();
    let id = crate::domain::StatementId { stream: 1, number: 2 };
    let key = PublicKey([5; 32]);
    for entry in [
        Entry::Record { key, role: Role::Start(id), sealed: &[], core: &record },
        Entry::Seal { key, count: 1, signature: [7; 64], header: "{" },
        Entry::Envelope("{}"),
        Entry::Open { key, id },
        Entry::Adopted { key },
    ] {
        let mut body = Vec::new();
        let kind = entry.write(&mut body);
        frames.push([&[kind][..], &body].concat());
    }
    let samples: Vec<Vec<u8>> = [payload.into_bytes(), record.into_bytes()].into_iter().chain(frames).collect();
    let mut chance = Chance::new(16);
    let mut rebuilder = Rebuilder::default();
    let read: usize = (1..=ROUNDS).map(|number| records(&mut rebuilder, number, &chance.mutate(&samples))).sum();
    println!("records and frames: {read} of {ROUNDS} read");
    assert!(read > 0);
}

/// A bundle of entries and an archive; how many of them these bytes are.
pub(crate) fn bundles(bytes: &[u8]) -> usize {
    let entries = bundle_entries(bytes);
    if let Some(entries) = &entries {
        assert_eq!(bundle(entries.iter().copied()).as_deref(), Some(bytes));
    }
    let file = file_in(bytes, "checkpoint");
    usize::from(entries.is_some()) + usize::from(matches!(file, Ok(Some(_))))
}

#[test]
fn fuzz_bundles_and_archives_give_what_is_in_them() {
    let entries: [&[u8]; 3] = [b"one", b"", &[7; 300]];
    let mut writer = ArchiveWriter::default();
    let mut archive = Vec::new();
    for (name, contents) in [("checkpoint", &b"text"[..]), ("tile/0/000.p/1", &[3; 32])] {
        archive.extend(writer.file(name, contents).unwrap());
        archive.extend_from_slice(contents);
    }
    archive.extend(writer.end().unwrap());
    let samples = [bundle(entries).unwrap(), archive];
    let mut chance = Chance::new(17);
    let mut read = 0;
    for _ in 0..ROUNDS {
        let bytes = chance.mutate(&samples);
        read += bundles(&bytes);
        if let Ok(Some(contents)) = file_in(&bytes, "checkpoint") {
            assert_eq!(contents, b"text", "another text with the same check sum");
        }
    }
    println!("bundles and archives: {read} of {ROUNDS} read");
    assert!(read > 0);
}
