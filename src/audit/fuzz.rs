//! What a log is made of, changed by chance: nothing panics, nothing that was changed is believed, and what has one way
//! to be written is read in no other.

use super::*;
use crate::domain::{Chance, Digest, PublicKey, Secret, SessionId, Side, Timestamp};

const ROUNDS: usize = 3_000;

fn signer(seed: u8) -> Signer {
    Signer::new(Secret::new([seed; 32])).unwrap()
}

/// One of the samples, changed, as text.
fn text(chance: &mut Chance, samples: &[String]) -> String {
    String::from_utf8_lossy(&chance.mutate(samples)).into_owned()
}

#[test]
fn fuzz_a_checkpoint_is_opened_only_as_it_was_signed() {
    let log = NoteSigner::new("gov.example/log", Algorithm::Ed25519, signer(1)).unwrap();
    let witness = NoteSigner::new("witness.example", Algorithm::Cosignature, signer(2)).unwrap();
    let signed: Vec<(Checkpoint, String)> = [(0, 0), (1, 7), (1 << 40, 9)]
        .map(|(size, byte)| {
            let checkpoint =
                Checkpoint { origin: "gov.example/log".to_owned(), head: Head { size, root: Digest([byte; 32]) } };
            let body = checkpoint.text();
            let lines = [&log, &witness].map(|key| key.sign(&body, Timestamp::from_seconds(5)).unwrap());
            (checkpoint, format!("{body}\n{}", lines.concat()))
        })
        .into();
    let samples: Vec<String> = signed.iter().map(|(_, note)| note.clone()).collect();
    let mut chance = Chance::new(13);
    let (mut changed, mut opened) = (0, 0);
    for _ in 0..ROUNDS {
        let text = text(&mut chance, &samples);
        changed += usize::from(!samples.contains(&text));
        let Ok(note) = Note::read(&text) else { continue };
        for key in [log.key(), witness.key()] {
            if note.verify(key).is_ok() {
                assert!(signed.iter().any(|(checkpoint, _)| checkpoint.text() == note.text), "{text}");
            }
        }
        if let Ok(checkpoint) = Checkpoint::open(&note, log.key()) {
            // Lines of keys that nobody asked about may come and go.
            opened += 1;
            assert!(signed.iter().any(|(known, _)| *known == checkpoint), "{text}");
        }
        if let Ok(checkpoint) = Checkpoint::parse(&note.text) {
            assert_eq!(Checkpoint::parse(&checkpoint.text()), Ok(checkpoint));
        }
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
    let mut read = 0;
    for _ in 0..ROUNDS {
        let text = text(&mut chance, &samples);
        if let Some(tile) = Tile::parse(&text) {
            read += 1;
            assert_eq!(tile.path(), text);
            assert!(tile.range().end >= tile.range().start);
        }
        if let Ok(key) = NoteKey::parse(&text) {
            assert_eq!(key.text(), text);
        }
        if let Some(line) = Line::read(&text) {
            assert_eq!(Line::read(&line.write()), Some(line));
        }
    }
    println!("paths and keys: {read} of {ROUNDS} read");
    assert!(read > 0);
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

#[test]
fn fuzz_no_changed_envelope_is_believed() {
    let (certificate, batch) = envelopes();
    let samples = [certificate.write(), batch.write()];
    let mut chance = Chance::new(15);
    let (mut changed, mut believed) = (0, 0);
    for _ in 0..ROUNDS {
        let line = text(&mut chance, &samples);
        let new = !samples.contains(&line);
        changed += usize::from(new);
        let Ok(envelope) = Envelope::read(&line) else { continue };
        assert_eq!(envelope.write(), line);
        believed += usize::from(new && envelope.verify(signer(2).public()).is_ok());
        believed += usize::from(new && Certificate::open(&envelope, signer(1).public()).is_ok());
    }
    // A whole verifier, given the truth and what was changed, in any order.
    for _ in 0..ROUNDS / 10 {
        let mut verifier = Verifier::new(signer(1).public());
        for _ in 0..3 {
            verifier.envelope(&text(&mut chance, &samples));
        }
        drop(verifier.finish());
    }
    println!("envelopes: {changed} changed, {believed} believed");
    assert!(changed > ROUNDS / 2);
    assert_eq!(believed, 0);
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
    let mut read = 0;
    for number in 0..ROUNDS {
        let bytes = chance.mutate(&samples);
        if let Ok(batch) = Batch::parse(&bytes) {
            read += 1;
            assert!(batch.records.iter().map(String::len).sum::<usize>() <= bytes.len());
        }
        if let Ok(text) = std::str::from_utf8(&bytes) {
            read += usize::from(Core::parse(text).is_ok());
        }
        if let Some((kind, body)) = bytes.split_first()
            && let Ok(entry) = Entry::read(*kind, body)
        {
            read += 1;
            drop(rebuilder.push(u64::try_from(number).unwrap() + 1, &entry));
        }
    }
    println!("records and frames: {read} of {ROUNDS} read");
    assert!(read > 0);
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
        if let Some(entries) = bundle_entries(&bytes) {
            read += 1;
            assert_eq!(bundle(entries), Some(bytes.clone()));
        }
        if let Ok(Some(contents)) = file_in(&bytes, "checkpoint") {
            read += 1;
            assert_eq!(contents, b"text", "another text with the same check sum");
        }
    }
    println!("bundles and archives: {read} of {ROUNDS} read");
    assert!(read > 0);
}
