//! Draining a journal: nothing lost, nothing twice.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::audit::{Batch, Carried, Certificate, Context, Core, Encoder, Envelope, Place, Report, Signer, Verifier};
use crate::domain::{
    Digest, Duration, Operation, Outcome, Parse, Secret, SessionId, Shown, Side, Statement, StatementEnd, StatementId,
    StatementStart, Timestamp, Verdict,
};
use crate::runtime::journal::Settings;
use crate::runtime::recorder::Recorders;
use crate::runtime::{env, random};

const SETTINGS: Settings = Settings { segment_bytes: 128 * 1024, reserve: 1, bytes_max: 1 << 30, filled: true };

fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("gov-drain-{}-{name}", std::process::id()));
    drop(std::fs::remove_dir_all(&path));
    path
}

fn open(path: &Path) -> Journal {
    Journal::open(path, SETTINGS).unwrap().unwrap().0
}

fn server() -> Signer {
    Signer::new(Secret::new([1; 32])).unwrap()
}

fn recorder(recorders: &Recorders, side: Side, session: Option<SessionId>) -> Recorder {
    let signer = random::signer().unwrap();
    let context = Context { side, session, ..Context::server(None) };
    let certificate = certificate(signer.public(), side, session);
    recorders.open(signer, &certificate, &context).unwrap()
}

fn certificate(key: PublicKey, side: Side, session: Option<SessionId>) -> Envelope {
    let (from, until) = (Timestamp::from_millis(0), clock::now().after(Duration::from_secs(3600)));
    Certificate { key, side, session, subject: None, from, until }.sign(&server()).unwrap()
}

fn start(number: u64) -> Event {
    let statement = Arc::new(Statement {
        parse: Parse::Understood,
        normalized: "SELECT $1".into(),
        operations: [Operation::Read].into(),
        relations: [].into(),
        tags: [].into(),
        functions: [].into(),
        length: 8,
    });
    let happening = Happening::StatementStarted(StatementStart {
        id: StatementId { stream: 1, number },
        statement,
        raw_hmac: Digest([1; 32]),
        sealed: None,
        verdict: Verdict::Allow,
        rules: Arc::from([]),
        approval: None,
    });
    Event { at: clock::now(), session: None, happening }
}

fn end(number: u64) -> Event {
    let id = StatementId { stream: 1, number };
    let (rows, bytes, masked_columns, masked_cells, took) = (1, 2, 0, 0, Duration::ZERO);
    let (outcome, shown) = (Outcome::Ok, Shown::default());
    let end = StatementEnd { id, outcome, rows, bytes, masked_columns, masked_cells, shown, took };
    Event { at: clock::now(), session: None, happening: Happening::StatementEnded(end) }
}

/// Everything a journal still hands on; so much of it is known to be broken.
fn envelopes(journal: &Journal, broken: u64) -> Vec<String> {
    let mut drain = Drain::new(journal);
    let (mut lines, mut lost) = (Vec::new(), 0);
    while let Some(drained) = drain.next().unwrap() {
        lost += drained.lost;
        lines.extend(drained.envelopes.into_iter().map(Carried::into_line));
    }
    assert_eq!(lost, broken);
    lines
}

fn verified(lines: &[String]) -> Report {
    let mut verifier = Verifier::new(server().public());
    lines.iter().for_each(|line| verifier.envelope(line));
    verifier.finish()
}

#[test]
fn a_long_statement_outlives_the_segment_it_started_in() {
    let path = folder("long");
    let journal = open(&path);
    let recorders = Recorders::start(&journal).unwrap();
    let gateway = recorder(&recorders, Side::Gateway, Some(random::session_id().unwrap()));
    gateway.record(&start(1)).unwrap();
    gateway.record(&start(2)).unwrap();
    let mut drain = Drain::new(&journal);
    for number in 3..2000 {
        gateway.record(&start(number)).unwrap();
        gateway.record(&end(number)).unwrap();
        if number % 100 == 0 {
            gateway.sign_now().unwrap();
            while let Some(drained) = drain.next().unwrap() {
                drain.free(drained.last).unwrap();
            }
        }
    }
    gateway.record(&end(2)).unwrap();
    gateway.sign_now().unwrap();
    assert!(journal.first() > 100, "nothing was let go");
    // A crash: the key is gone, the journal is read again from what is left of it.
    let left = Drain::new(&journal);
    let mut left = left;
    while left.next().unwrap().is_some() {}
    let leftovers = left.rebuilder.leftovers();
    assert_eq!((leftovers.len(), leftovers[0].open.as_slice()), (1, &[StatementId { stream: 1, number: 1 }][..]));
}

#[test]
fn what_a_crash_left_is_signed_by_the_next_process_and_forgotten_once_it_is() {
    let journal = open(&folder("recover"));
    let session = Some(random::session_id().unwrap());
    let dead = random::signer().unwrap();
    let key = dead.public();
    let append = |entry: &Entry<'_>| {
        let mut body = Vec::new();
        let kind = entry.write(&mut body);
        journal.append(Importance::Ordinary, kind, &[&body]).unwrap()
    };
    append(&Entry::Envelope(&certificate(key, Side::Gateway, session).write()));
    let mut encoder = Encoder::new(&Context { side: Side::Gateway, session, ..Context::server(None) });
    let mut last = Ticket::default();
    for (seq, event) in (0..).zip([start(1), end(1), start(2)]) {
        let place = Place { id: random::record_id().unwrap(), seq, elapsed: Duration::ZERO };
        let mut core = Vec::new();
        let role = encoder.encode(&mut core, place, &event);
        last = append(&Entry::Record { key, role, sealed: &[], core: std::str::from_utf8(&core).unwrap() });
    }
    append(&Entry::Seal { key, count: 3, signature: [0; 64], header: "{" });
    journal.wait_durable(last).unwrap();

    let recorders = Recorders::start(&journal).unwrap();
    let control = recorder(&recorders, Side::Server, None);
    assert_eq!(recover(&journal, &control).unwrap(), Recovery { records: 3, unknown: 1, lost: 1 });
    // Nothing is left, whoever looks; the broken seal stays where it is.
    let again = recorder(&recorders, Side::Server, None);
    assert_eq!(recover(&journal, &again).unwrap(), Recovery { records: 0, unknown: 0, lost: 1 });
    let report = verified(&envelopes(&journal, 1));
    assert_eq!(report.faults, []);
    assert_eq!((report.recovered, report.keys_recovered), (3, 1));
}

/// Not a test of its own: the process that [`killing_the_recorder_loses_nothing`] starts and kills. Without the
/// variable it has nothing to do.
#[test]
fn recording_process() {
    let Some(path) = env::var("GOV_TEST_DRAIN") else { return };
    let journal = open(&PathBuf::from(path));
    let recorders = Recorders::start(&journal).unwrap();
    let mut out = std::io::stdout();
    let control = recorder(&recorders, Side::Server, None);
    let recovery = recover(&journal, &control).unwrap();
    writeln!(out, "recovered {recovery:?}").unwrap();
    let mut session = random::session_id().unwrap();
    for count in 0.. {
        let gateway = recorder(&recorders, Side::Gateway, Some(session));
        for number in 1..=50 {
            gateway.record(&start(number)).unwrap();
            writeln!(out, "started {session} {number}").unwrap();
            gateway.record(&end(number)).unwrap();
            writeln!(out, "ended {session} {number}").unwrap();
        }
        if count % 3 != 0 {
            let closed = Happening::SessionClosed { why: "client" };
            gateway.record(&Event { at: clock::now(), session: None, happening: closed }).unwrap();
        }
        gateway.close().unwrap();
        session = random::session_id().unwrap();
    }
}

#[test]
fn killing_the_recorder_loses_nothing() {
    use std::io::{BufRead, BufReader};
    let path = folder("kill");
    let mut acknowledged: Vec<String> = Vec::new();
    let (mut attempts, mut recovered) = (0, 0);
    while attempts < 25 {
        attempts += 1;
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "runtime::drain::tests::recording_process", "--nocapture"])
            .env("GOV_TEST_DRAIN", &path)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut seen = 0;
        while let Some(Ok(line)) = lines.next() {
            recovered += usize::from(line.contains("recovered Recovery") && !line.contains("records: 0, unknown: 0"));
            if line.starts_with("started ") || line.starts_with("ended ") {
                acknowledged.push(line);
                seen += 1;
            }
            if seen == 40 + attempts * 13 {
                // SIGKILL.
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
    }
    let journal = open(&path);
    let recorders = Recorders::start(&journal).unwrap();
    let control = recorder(&recorders, Side::Server, None);
    recover(&journal, &control).unwrap();
    let lines = envelopes(&journal, 0);
    let report = verified(&lines);
    assert_eq!(report.faults, []);
    // Each acknowledged record is in the log, signed by its key or by whoever found it; no start is without an end.
    let mut said = std::collections::HashSet::new();
    for line in &lines {
        let envelope = Envelope::read(line).unwrap();
        let Ok(batch) = Batch::parse(&envelope.payload) else { continue };
        for record in &batch.records {
            let core = Core::parse(record).unwrap();
            let found = core.of.and_then(|of| of.record);
            let core = Core::parse(found.as_deref().unwrap_or(record)).unwrap();
            let (Some(session), Some(id)) = (core.session, core.statement) else { continue };
            let word = if core.kind == "stmt.start" { "started" } else { "ended" };
            said.insert(format!("{word} {session} {}", id.number));
        }
    }
    let lost = acknowledged.iter().filter(|line| !said.contains(*line)).count();
    println!(
        "kill -9 of the recorder: {attempts} attempts, {} acknowledged records survived, {lost} lost, {recovered} recoveries",
        acknowledged.len() - lost
    );
    assert_eq!(lost, 0);
    assert!(recovered > 0, "no kill came between a record and its signature");
}
