//! Recorders: chains, seals and durability.

use std::path::{Path, PathBuf};

use super::*;
use crate::audit::{Certificate, Rebuilder, Rebuilt, Report, Verifier};
use crate::domain::{Digest, Operation, Parse, Secret, Shown, Side, Statement, StatementStart, Verdict};
use crate::runtime::journal::{Cursor, Piece, Settings};

fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("gov-recorder-{}-{name}", std::process::id()));
    drop(std::fs::remove_dir_all(&path));
    path
}

fn open(path: &Path) -> Journal {
    Journal::open(path, Settings::new(1 << 30)).unwrap().unwrap().0
}

fn server() -> Signer {
    Signer::new(Secret::new([1; 32])).unwrap()
}

fn recorder(recorders: &Recorders, side: Side, session: SessionId) -> Recorder {
    let signer = random::signer().unwrap();
    let certificate = Certificate {
        key: signer.public(),
        side,
        session: Some(session),
        subject: None,
        from: clock::now().before(Duration::from_secs(60)),
        until: clock::now().after(Duration::from_secs(3600)),
    };
    let certificate = certificate.sign(&server()).unwrap();
    let context = Context { side, session: Some(session), ..Context::server(None) };
    recorders.open(signer, &certificate, &context).unwrap()
}

fn statement() -> Arc<Statement> {
    Arc::new(Statement {
        parse: Parse::Understood,
        normalized: "SELECT abalance FROM pgbench_accounts WHERE aid = $1".into(),
        operations: [Operation::Read].into(),
        relations: [].into(),
        tags: [].into(),
        functions: [].into(),
        length: 60,
    })
}

fn start(number: u64, statement: &Arc<Statement>) -> Happening {
    Happening::StatementStarted(StatementStart {
        id: StatementId { stream: 1, number },
        statement: Arc::clone(statement),
        raw_hmac: Digest([1; 32]),
        sealed: None,
        verdict: Verdict::Allow,
        rules: Arc::from([]),
        approval: None,
    })
}

fn end(number: u64) -> Happening {
    Happening::StatementEnded(StatementEnd {
        id: StatementId { stream: 1, number },
        outcome: Outcome::Ok,
        rows: 1,
        bytes: 10,
        masked_columns: 0,
        masked_cells: 0,
        shown: Shown::default(),
        took: Duration::from_micros(100),
    })
}

fn close() -> Happening {
    Happening::SessionClosed { why: "client" }
}

fn event(session: SessionId, happening: Happening) -> Event {
    Event { at: clock::now(), session: Some(session), happening }
}

/// The envelopes a journal holds, and what it holds besides.
fn envelopes(journal: &Journal) -> (Vec<String>, Rebuilder) {
    let (mut lines, mut rebuilder) = (Vec::new(), Rebuilder::default());
    let mut cursor = Cursor::new(journal, 1);
    loop {
        let pieces = cursor.read().unwrap();
        if pieces.is_empty() {
            return (lines, rebuilder);
        }
        for piece in pieces {
            let Piece::Frame { number, kind, body } = piece else { panic!("{piece:?}") };
            match rebuilder.push(number, &Entry::read(kind, &body).unwrap()) {
                Rebuilt::Envelope(carried) => lines.push(carried.into_line()),
                Rebuilt::Nothing => {}
                broken @ Rebuilt::Broken { .. } => panic!("{broken:?}"),
            }
        }
    }
}

fn verified(lines: &[String]) -> Report {
    let mut verifier = Verifier::new(server().public());
    lines.iter().for_each(|line| verifier.envelope(line));
    verifier.finish()
}

#[test]
fn what_is_recorded_is_signed_in_the_journal_and_proves_itself() {
    let journal = open(&folder("signed"));
    let recorders = Recorders::start(&journal).unwrap();
    let session = random::session_id().unwrap();
    let client = recorder(&recorders, Side::Client, session);
    let gateway = recorder(&recorders, Side::Gateway, session);
    let statement = statement();
    for number in 1..=1000 {
        for side in [&client, &gateway] {
            side.record(&event(session, start(number, &statement))).unwrap();
            side.record(&event(session, end(number))).unwrap();
        }
    }
    let mut last = Ticket::default();
    for side in [&client, &gateway] {
        side.record(&event(session, close())).unwrap();
        last = side.close().unwrap();
        let refused = side.record(&event(session, close())).unwrap_err();
        assert_eq!(refused.message, "a record came after its session was closed");
    }
    journal.wait_durable(last).unwrap();
    let (lines, rebuilder) = envelopes(&journal);
    assert_eq!((rebuilder.oldest_needed(), rebuilder.leftovers()), (None, vec![]));
    let report = verified(&lines);
    assert_eq!((report.faults.as_slice(), report.records, report.keys_closed), (&[][..], 4002, 2));
    assert_eq!(report.statements.matched, 1000);
    assert!(lines.len() < 200, "{} envelopes for 4,002 records", lines.len());
}

#[tokio::test]
async fn signatures_follow_within_milliseconds_without_being_asked_for() {
    let journal = open(&folder("soon"));
    let recorders = Recorders::start(&journal).unwrap();
    let session = random::session_id().unwrap();
    let gateway = recorder(&recorders, Side::Gateway, session);
    let ticket = gateway.record(&event(session, start(1, &statement()))).unwrap();
    gateway.durable(ticket).await.unwrap();
    assert!(gateway.journal().is_durable(ticket));
    let started = clock::monotonic();
    loop {
        let (lines, rebuilder) = envelopes(&journal);
        if rebuilder.oldest_needed().is_none() && lines.len() == 2 {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(2), "{} envelopes", lines.len());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let open = envelopes(&journal).1.leftovers();
    assert_eq!(open.len(), 1, "{open:?}");
    assert_eq!((open[0].records.len(), open[0].open.len()), (0, 1));
}

#[test]
fn what_has_no_end_gets_one_that_says_so_when_its_session_closes() {
    let journal = open(&folder("endless"));
    let recorders = Recorders::start(&journal).unwrap();
    let session = random::session_id().unwrap();
    let gateway = recorder(&recorders, Side::Gateway, session);
    gateway.record(&event(session, start(1, &statement()))).unwrap();
    gateway.record(&event(session, start(2, &statement()))).unwrap();
    gateway.record(&event(session, end(1))).unwrap();
    gateway.record(&event(session, close())).unwrap();
    // Dropping the last handle signs.
    drop(gateway);
    drop(recorders);
    journal.wait_durable(Ticket::default()).unwrap();
    let report = loop {
        let (lines, rebuilder) = envelopes(&journal);
        if rebuilder.leftovers().is_empty() && lines.len() == 2 {
            break verified(&lines);
        }
        std::thread::yield_now();
    };
    assert_eq!((report.faults.as_slice(), report.records, report.keys_closed), (&[][..], 5, 1));
}
