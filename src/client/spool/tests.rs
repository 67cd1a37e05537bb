//! The spool: kept until proven to be in the log.

use std::sync::Mutex;

use super::*;
use crate::audit::{
    self, Algorithm, Certificate, Checkpoint, Complete, Context, Frontier, Hashes, Head, Inclusion, NoteSigner, Signer,
    TreeError, Verifier,
};
use crate::domain::{Digest, Event, Happening, Secret, Side};
use crate::runtime::{clock, random};

fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("gov-spool-{}-{name}", std::process::id()));
    drop(fs::remove_dir_all(&path));
    create_root(&path).unwrap();
    path
}

fn signer(seed: u8) -> Signer {
    Signer::new(Secret::new([seed; 32])).unwrap()
}

/// A log in memory, with faults.
#[derive(Default)]
struct FakeLog {
    state: Mutex<State>,
    /// Every how many uploads the network fails: before they arrive, and after.
    lost_there: Option<u64>,
    lost_back: Option<u64>,
    /// Answers without taking anything in.
    lies: bool,
}

#[derive(Default)]
struct State {
    frontier: Frontier,
    nodes: Vec<Complete>,
    lines: Vec<String>,
    uploads: u64,
}

impl Hashes for State {
    fn hash(&self, level: u8, index: u64) -> Result<Digest, TreeError> {
        let found = self.nodes.iter().find(|node| (node.level, node.index) == (level, index));
        found.map(|node| node.hash).ok_or(TreeError::Missing { level, index })
    }
}

impl FakeLog {
    fn note(&self) -> NoteSigner {
        NoteSigner::new("gov.example/log", Algorithm::Ed25519, signer(2)).unwrap()
    }

    fn answer(&self, envelopes: &[String], remembered: u64) -> Receipt {
        let mut state = self.state.lock().unwrap();
        let mut leaves = Vec::new();
        for envelope in envelopes {
            let known = state.lines.iter().position(|line| line == envelope);
            let leaf = known.unwrap_or_else(|| {
                if !self.lies {
                    let nodes = state.frontier.append(audit::leaf(envelope.as_bytes()));
                    state.nodes.extend(nodes);
                    state.lines.push(envelope.clone());
                }
                state.lines.len().saturating_sub(1)
            });
            leaves.push(u64::try_from(leaf).unwrap());
        }
        let head = Head { size: state.frontier.size(), root: state.frontier.root() };
        let text = Checkpoint { origin: "gov.example/log".to_owned(), head }.text();
        let checkpoint = format!("{text}\n{}", self.note().sign(&text, clock::now()).unwrap());
        let prove = |leaf| audit::prove_inclusion(leaf, head.size, &*state).unwrap_or_default();
        let inclusions = leaves.into_iter().map(|leaf| Inclusion { leaf, proof: prove(leaf) }).collect();
        let consistency = audit::prove_consistency(remembered, head.size, &*state).unwrap_or_default();
        Receipt { checkpoint, inclusions, consistency }
    }
}

impl Uplink for FakeLog {
    async fn upload(&self, envelopes: &[String], remembered: u64) -> Result<Receipt, Failure> {
        let uploads = {
            let mut state = self.state.lock().unwrap();
            state.uploads += 1;
            state.uploads
        };
        let fails = |every: Option<u64>| every.is_some_and(|every| uploads.is_multiple_of(every));
        let network = || Failure::new(Kind::Gateway, "no network");
        if fails(self.lost_there) {
            return Err(network());
        }
        let receipt = self.answer(envelopes, remembered);
        if fails(self.lost_back) { Err(network()) } else { Ok(receipt) }
    }
}

struct Session {
    spool: Spool,
    recorder: Recorder,
}

fn session(root: &Path) -> Session {
    let name = random::record_id().unwrap();
    let session = name.to_string().parse().unwrap();
    let spool = Spool::create(root, || Ok(name)).unwrap();
    let key = random::signer().unwrap();
    let certificate = Certificate {
        key: key.public(),
        side: Side::Client,
        session: Some(session),
        subject: Some("u-alice".to_owned()),
        from: clock::now(),
        until: clock::now().after(Duration::from_secs(3600)),
    };
    let certificate = certificate.sign(&signer(1)).unwrap();
    let context = Context { side: Side::Client, session: Some(session), ..Context::server(None) };
    let recorder = spool.recorders().open(key, &certificate, &context).unwrap();
    Session { spool, recorder }
}

fn record(recorder: &Recorder, count: u32) {
    for stream in 0..count {
        let happening = Happening::Cancelled { stream };
        recorder.record(&Event { at: clock::now(), session: None, happening }).unwrap();
    }
}

fn remembered(root: &Path, log: &FakeLog) -> Remembered {
    Remembered::new(root.join("checkpoint"), log.note().key().clone())
}

/// How many records the log has, once each.
fn logged(log: &FakeLog) -> u64 {
    let mut verifier = Verifier::new(signer(1).public());
    log.state.lock().unwrap().lines.iter().for_each(|line| verifier.envelope(line));
    let report = verifier.finish();
    assert_eq!((report.faults.as_slice(), report.repeated), (&[][..], 0));
    report.records + report.recovered
}

#[tokio::test(start_paused = true)]
async fn everything_is_sent_once_over_a_network_that_loses() {
    let root = folder("send");
    let log = FakeLog { lost_there: Some(3), lost_back: Some(4), ..FakeLog::default() };
    let Session { spool, recorder } = session(&root);
    let remembered = remembered(&root, &log);
    let records = async {
        for _ in 0..20 {
            record(&recorder, 200);
            recorder.sign_now().unwrap();
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        recorder.close().unwrap();
    };
    let over = Mutex::new(false);
    let sending = spool.send(&log, &remembered, || *over.lock().unwrap());
    let (sent, ()) = tokio::join!(sending, async {
        records.await;
        *over.lock().unwrap() = true;
    });
    sent.unwrap();
    assert_eq!(logged(&log), 4000);
    assert_eq!(remembered.head().unwrap().size, log.state.lock().unwrap().frontier.size());
    drop(recorder);
    let place = spool.folder.clone();
    spool.remove().unwrap();
    assert!(!place.exists());
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_process_left_is_taken_over_by_the_next() {
    let root = folder("take-over");
    let log = FakeLog::default();
    let dead = session(&root);
    record(&dead.recorder, 10);
    dead.recorder.sign_now().unwrap();
    // What is written now is never signed: the process is gone before.
    let unsigned = audit::Entry::Record {
        key: dead.recorder.key(),
        role: audit::Role::Other,
        sealed: &[],
        core: &format!(
            r#"{{"id":"{}","seq":10,"ts":"2026-11-22T14:10:21.057Z","mono":0,"kind":"stmt.cancel","sid":"{}","side":"client","stream":1}}"#,
            random::record_id().unwrap(),
            dead.spool.folder.file_name().unwrap().to_str().unwrap(),
        ),
    };
    let mut body = Vec::new();
    let kind = unsigned.write(&mut body);
    dead.spool.journal.append(crate::runtime::journal::Importance::Ordinary, kind, &[&body]).unwrap();

    let living = session(&root);
    assert!(Spool::take_over(&root, &living.recorder).unwrap().is_empty(), "both are alive");
    drop(dead);
    let found = Spool::take_over(&root, &living.recorder).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].1.records, 1);
    let remembered = remembered(&root, &log);
    for (spool, _) in found {
        spool.send(&log, &remembered, || true).await.unwrap();
        spool.remove().unwrap();
    }
    living.recorder.close().unwrap();
    living.spool.send(&log, &remembered, || true).await.unwrap();
    assert_eq!(logged(&log), 12, "ten signed, one recovered, and the record that recovers it");
    drop(living.recorder);
    living.spool.remove().unwrap();
    let mut left: Vec<_> = fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["checkpoint", "checkpoint.lock"]);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_lies_gets_nothing_let_go() {
    let root = folder("lies");
    let honest = FakeLog::default();
    let Session { spool, recorder } = session(&root);
    let remembered = remembered(&root, &honest);
    record(&recorder, 5);
    recorder.close().unwrap();
    let liar = FakeLog { lies: true, ..FakeLog::default() };
    let failure = spool.send(&liar, &remembered, || true).await.unwrap_err();
    assert_eq!(failure.message, "the server does not prove that it has this session's records");
    spool.send(&honest, &remembered, || true).await.unwrap();
    assert_eq!(logged(&honest), 5);
    // A log that begins anew is shorter than what is remembered, or another.
    record_more(&root, &FakeLog::default(), &remembered).await;
}

async fn record_more(root: &Path, other: &FakeLog, remembered: &Remembered) {
    let Session { spool, recorder } = session(root);
    record(&recorder, 500);
    recorder.close().unwrap();
    let failure = spool.send(other, remembered, || true).await.unwrap_err();
    assert_eq!(failure.kind, Kind::Gateway);
}

#[test]
fn uploads_keep_the_servers_limits() {
    let envelopes: Vec<String> = (0..200).map(|number| "x".repeat(number * 400)).collect();
    let split = batches(&envelopes);
    assert_eq!(split.concat(), envelopes);
    for batch in &split {
        let bytes: usize = batch.iter().map(String::len).sum();
        assert!(batch.len() <= UPLOAD_ENVELOPES && (bytes <= UPLOAD_BYTES || batch.len() == 1));
    }
    assert!(batches(&[]).is_empty());
    assert_eq!(batches(&["x".repeat(UPLOAD_BYTES + 1)]).len(), 1);
}
