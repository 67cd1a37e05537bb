//! Verification: what is proven, and that every change is noticed.

use std::sync::Arc;

use super::super::record::{Context, Encoder, Place};
use super::super::seal::{Chain, RECORDS_TYPE, Signer, payload};
use super::*;
use crate::domain::{
    Action, ApprovalId, ApprovalState, Duration, Event, Happening, Operation, Outcome, Parse, Secret, Shown, Statement,
    StatementEnd, StatementStart, Verdict,
};

const SUBJECT: &str = "5e1f";

fn signer(seed: u8) -> Signer {
    Signer::new(Secret::new([seed; 32])).unwrap()
}

fn server() -> Signer {
    signer(1)
}

fn session(number: u8) -> SessionId {
    SessionId::new(Timestamp::from_millis(1000), [number; 10])
}

/// One key's writer.
struct Author {
    signer: Signer,
    chain: Chain,
    encoder: Encoder,
    seq: u64,
    waiting: Vec<Vec<u8>>,
    lines: Vec<String>,
    ids: u64,
}

impl Author {
    fn new(seed: u8, side: Side, of: Option<SessionId>, subject: Option<&str>) -> Self {
        let signer = signer(seed);
        let certificate = Certificate {
            key: signer.public(),
            side,
            session: of,
            subject: subject.map(str::to_owned),
            from: Timestamp::from_millis(1000),
            until: Timestamp::from_millis(9000),
        };
        let envelope = certificate.sign(&server()).unwrap();
        let chain = Chain { key: signer.public(), side, session: of, previous: envelope.digest() };
        let context = Context { side, session: of, policy: Some(Digest([7; 32])), ..Context::server(None) };
        let (encoder, lines) = (Encoder::new(&context), vec![envelope.write()]);
        Self { signer, chain, encoder, seq: 0, waiting: Vec::new(), lines, ids: u64::from(seed) << 32 }
    }

    fn client() -> Self {
        Self::new(2, Side::Client, Some(session(1)), Some(SUBJECT))
    }

    fn gateway() -> Self {
        Self::new(3, Side::Gateway, Some(session(1)), Some(SUBJECT))
    }

    fn control() -> Self {
        Self::new(4, Side::Server, None, None)
    }

    fn at(mut self, millis: u64, happening: Happening) -> Self {
        self.ids += 1;
        let [a, b, c, d, e, f, g, h] = self.ids.to_be_bytes();
        let id = RecordId::new(Timestamp::from_millis(1), [0, 0, a, b, c, d, e, f, g, h]);
        let place = Place { id, seq: self.seq, elapsed: Duration::ZERO };
        let event = Event { at: Timestamp::from_millis(millis), session: self.chain.session, happening };
        let mut out = Vec::new();
        self.encoder.encode(&mut out, place, &event);
        self.seq += 1;
        self.waiting.push(out);
        self
    }

    fn says(self, happening: Happening) -> Self {
        self.at(2000, happening)
    }

    fn seal(mut self) -> Self {
        let first = self.seq - self.waiting.len() as u64;
        let payload = payload(&self.chain.header(first), &self.waiting.join(&b','));
        let signature = self.signer.sign(RECORDS_TYPE, &payload).unwrap();
        let envelope = Envelope { payload_type: RECORDS_TYPE, payload, key: self.signer.public(), signature };
        self.chain.previous = envelope.digest();
        self.lines.push(envelope.write());
        self.waiting.clear();
        self
    }

    /// The last `count` records were not signed when the process died.
    fn unsigned(&self) -> Vec<Happening> {
        let key = self.signer.public();
        let text = |record: &Vec<u8>| String::from_utf8(record.clone()).unwrap();
        self.waiting
            .iter()
            .map(|record| Happening::Recovered { key, record: text(record), sealed: Vec::new() })
            .collect()
    }
}

fn id(number: u64) -> StatementId {
    StatementId { stream: 1, number }
}

fn start(number: u64, text: u8, verdict: Verdict) -> Happening {
    let statement = Statement {
        parse: Parse::Understood,
        normalized: "SELECT $1".into(),
        operations: [Operation::Read].into(),
        relations: [].into(),
        tags: [].into(),
        functions: [].into(),
        length: 8,
    };
    let (statement, rules) = (Arc::new(statement), Arc::from([]));
    Happening::StatementStarted(StatementStart {
        id: id(number),
        statement,
        raw_hmac: Digest([text; 32]),
        sealed: None,
        verdict,
        rules,
        approval: None,
    })
}

/// A statement that these rules had something to say about, and that was let through.
fn ruled(number: u64, rules: &[(&'static str, Action)], approval: Option<ApprovalId>) -> Happening {
    let Happening::StatementStarted(start) = start(number, 9, Verdict::Allow) else { unreachable!() };
    Happening::StatementStarted(StatementStart { rules: rules.into(), approval, ..start })
}

fn end(number: u64, rows: u64, outcome: Outcome) -> Happening {
    let (bytes, masked_columns, masked_cells, took) = (0, 0, 0, Duration::ZERO);
    let (id, shown) = (id(number), Shown::default());
    Happening::StatementEnded(StatementEnd { id, outcome, rows, bytes, masked_columns, masked_cells, shown, took })
}

fn close() -> Happening {
    Happening::SessionClosed { why: "client" }
}

/// One statement that ran, and one that was denied.
fn ordinary(author: Author) -> Author {
    author
        .says(start(1, 9, Verdict::Allow))
        .seal()
        .says(end(1, 3, Outcome::Ok))
        .says(start(2, 8, Verdict::Deny))
        .says(close())
        .seal()
}

fn report(authors: &[&Author]) -> Report {
    let mut verifier = Verifier::new(server().public());
    authors.iter().flat_map(|author| &author.lines).for_each(|line| verifier.envelope(line));
    verifier.finish()
}

/// The faults, as sentences.
fn faults(authors: &[&Author]) -> Vec<String> {
    report(authors).faults.iter().map(ToString::to_string).collect()
}

#[test]
fn two_accounts_that_agree_are_proved() {
    let control = Author::control().says(Happening::ServerStopped).seal();
    let report = report(&[&control, &ordinary(Author::gateway()), &ordinary(Author::client())]);
    let expected = Report {
        envelopes: 8,
        certificates: 3,
        records: 9,
        keys_closed: 3,
        statements: Statements { matched: 2, ..Statements::default() },
        ..Report::default()
    };
    assert_eq!(report, expected);
    assert!(report.is_sound() && report.proven().len() == 5 && report.not_proven().len() == 1);
}

#[test]
fn the_order_does_not_matter_and_saying_it_twice_changes_nothing() {
    let authors = [&ordinary(Author::gateway()), &ordinary(Author::client())];
    let mut lines: Vec<_> = authors.iter().flat_map(|author| author.lines.clone()).collect();
    lines.extend(lines.clone());
    for turn in 0..lines.len() {
        lines.rotate_left(turn);
        lines.reverse();
        let mut verifier = Verifier::new(server().public());
        lines.iter().for_each(|line| verifier.envelope(line));
        let report = verifier.finish();
        assert!(report.is_sound(), "{:?}", report.faults);
        assert_eq!((report.records, report.repeated, report.statements.matched), (8, 6, 2));
    }
}

#[test]
fn every_single_change_of_what_is_closed_is_found() {
    let authors = [&ordinary(Author::gateway()), &ordinary(Author::client())];
    let lines: Vec<_> = authors.iter().flat_map(|author| author.lines.clone()).collect();
    let check = |lines: &[String]| {
        let mut verifier = Verifier::new(server().public());
        lines.iter().for_each(|line| verifier.envelope(line));
        verifier.finish()
    };
    let (mut attempts, mut found) = (0, 0);
    for line in 0..lines.len() {
        for at in (0..lines[line].len()).step_by(7) {
            let mut changed = lines.clone();
            let mut bytes = changed[line].clone().into_bytes();
            bytes[at] ^= 1;
            changed[line] = String::from_utf8(bytes).unwrap();
            attempts += 1;
            found += usize::from(!check(&changed).is_sound());
        }
        let mut shorter = lines.clone();
        shorter.remove(line);
        let report = check(&shorter);
        attempts += 1;
        // Taking away the end of a chain leaves a chain that is not closed; the books then miss it too.
        found += usize::from(!report.is_sound() || report.keys_open > 0);
    }
    println!("changes: {attempts} attempts, {found} found");
    assert_eq!(found, attempts);
}

#[test]
fn a_gateway_that_leaves_something_out_and_a_client_that_lies_are_caught() {
    let closed = |author: Author| author.says(close()).seal();
    let ran = |author: Author, text, rows| author.says(start(1, text, Verdict::Allow)).says(end(1, rows, Outcome::Ok));
    let session = session(1);
    assert_eq!(
        faults(&[&closed(ran(Author::client(), 9, 3)), &closed(Author::gateway())]),
        [format!("statement 1.1 of session {session} is known from the client alone")]
    );
    for (text, rows, differ) in [(8, 3, "text"), (9, 4, "rows"), (8, 4, "text, rows")] {
        assert_eq!(
            faults(&[&closed(ran(Author::client(), text, rows)), &closed(ran(Author::gateway(), 9, 3))]),
            [format!("client and gateway differ about statement 1.1 of session {session}: {differ}")]
        );
    }
    let silent = report(&[&closed(Author::client()), &closed(ran(Author::gateway(), 9, 3))]);
    assert_eq!((silent.is_sound(), silent.statements.gateway_only), (true, 1));
    let refused = closed(Author::client().says(start(1, 9, Verdict::Deny)));
    let refused = report(&[&refused, &closed(Author::gateway())]);
    assert_eq!((refused.is_sound(), refused.statements.refused_by_client), (true, 1));
}

#[test]
fn keys_speak_only_for_what_they_are_certified_for() {
    let uncertified = Author { lines: ordinary(Author::gateway()).lines.split_off(1), ..Author::gateway() };
    let key = uncertified.signer.public();
    assert_eq!(faults(&[&uncertified]), [format!("envelope 1: the server has not certified the key {key}")]);

    let mut other = Author::new(3, Side::Gateway, Some(session(2)), None);
    other.chain.session = Some(session(1));
    let other = other.says(close()).seal();
    assert_eq!(
        faults(&[&other]),
        [format!("envelope 2: the key {key} signed for a side or session it is not certified for")]
    );

    let mut liar = Author::gateway();
    liar.encoder = Encoder::new(&Context { side: Side::Client, session: Some(session(1)), ..Context::server(None) });
    let liar = liar.says(close()).seal();
    assert_eq!(
        faults(&[&liar]),
        [format!("envelope 2: record 0 of key {key} does not say itself what its envelope says of it")]
    );

    let late = Author::gateway().at(9001, close()).seal();
    assert_eq!(
        faults(&[&late]),
        [format!("records of the key {key} claim times at which its certificate was not valid")]
    );
    assert!(report(&[&Author::client().at(9001, close()).seal()]).is_sound());

    let mut renewed = Author::gateway();
    renewed.lines.extend(Author::new(3, Side::Gateway, Some(session(2)), None).lines);
    assert_eq!(faults(&[&renewed]), [format!("envelope 2: the key {key} has two certificates")]);
}

#[test]
fn chains_without_a_link_or_with_two_are_refused() {
    let whole = ordinary(Author::gateway());
    let key = whole.signer.public();
    let without = |line: usize| {
        let mut author = ordinary(Author::gateway());
        author.lines.remove(line);
        author
    };
    assert_eq!(faults(&[&without(1)]), [format!("envelope 2: records 0 to 0 of the key {key} are missing"),]);
    assert_eq!(report(&[&without(2)]).keys_open, 1);

    let mut forked = ordinary(Author::gateway());
    forked.lines.extend(Author::gateway().says(close()).seal().lines.split_off(1));
    assert_eq!(faults(&[&forked]), [format!("envelope 4: the key {key} signed two different records 0")]);

    let mut unlinked = Author::gateway().says(start(1, 1, Verdict::Deny)).seal();
    unlinked.chain.previous = Digest([0; 32]);
    let unlinked = unlinked.says(close()).seal();
    assert_eq!(
        faults(&[&unlinked]),
        [format!("envelope 3: what the key {key} signed from record 1 on does not follow what it signed before")]
    );

    let after = Author::gateway().says(close()).says(start(1, 1, Verdict::Deny)).seal();
    assert_eq!(faults(&[&after]), [format!("the key {key} signed on after it was closed by record 0")]);

    let endless = Author::gateway().says(start(1, 1, Verdict::Allow)).says(close()).seal();
    assert_eq!(faults(&[&endless]), [format!("statement 1.1 of the key {key} has no end")]);

    let mut twice = Author::gateway().says(start(1, 1, Verdict::Deny));
    twice.ids -= 1;
    let twice = twice.says(close()).seal();
    assert_eq!(faults(&[&twice]).len(), 1);
    assert!(faults(&[&twice])[0].starts_with("envelope 2: two records have the id "));
}

#[test]
fn what_a_crash_left_is_vouched_for_by_those_who_may() {
    let crashed = Author::gateway().says(start(1, 9, Verdict::Allow)).seal().says(start(2, 9, Verdict::Allow));
    let key = crashed.signer.public();
    let recover = |mut finder: Author| {
        for found in crashed.unsigned() {
            finder = finder.says(found);
        }
        let unknown = |number| Happening::StatementUnknown { id: id(number), key };
        finder.says(unknown(1)).says(unknown(2)).seal()
    };
    let recovered = report(&[&crashed, &recover(Author::control())]);
    assert_eq!(recovered.faults, []);
    assert_eq!((recovered.recovered, recovered.keys_recovered, recovered.statements.gateway_only), (1, 1, 2));
    // What a client sent last may not have reached a gateway that died: while the client's account has not come in whole
    // that is no fault yet. What it saw answered, or has closed its books on, must be in the gateway's account.
    let sent = || Author::client().says(start(3, 9, Verdict::Allow));
    let unseen = report(&[&crashed, &recover(Author::control()), &sent().seal()]);
    assert_eq!((unseen.faults.len(), unseen.statements.client_only), (0, 1));
    let alone = [format!("statement 1.3 of session {} is known from the client alone", session(1))];
    let answered = || sent().says(end(3, 1, Outcome::Ok));
    assert_eq!(faults(&[&crashed, &recover(Author::control()), &answered().seal()]), alone);
    assert_eq!(faults(&[&crashed, &recover(Author::control()), &answered().says(close()).seal()]), alone);
    assert_eq!(faults(&[&Author::gateway().says(close()).seal(), &answered().seal()]), alone);
    let at_work = Author::gateway().says(start(4, 9, Verdict::Allow)).seal();
    assert_eq!(faults(&[&at_work, &answered().says(close()).seal()]), alone);
    // Interrupted and done again, by another key of the server's.
    let mut again = Author::new(5, Side::Server, None, None);
    again.ids += 1000;
    assert_eq!(faults(&[&crashed, &recover(Author::control()), &recover(again)]), Vec::<String>::new());

    let client = Author::new(6, Side::Client, Some(session(2)), Some(SUBJECT));
    let by = client.signer.public();
    let not_entitled = faults(&[&crashed, &recover(client)]);
    assert_eq!(not_entitled[0], format!("record 0 of the key {by} speaks for a key it may not speak for"));

    let crashed = Author::client().says(start(1, 9, Verdict::Deny));
    let recover = |subject| {
        let finder = Author::new(6, Side::Client, Some(session(2)), Some(subject));
        crashed.unsigned().into_iter().fold(finder, Author::says).seal()
    };
    assert_eq!(faults(&[&crashed, &recover(SUBJECT)]), Vec::<String>::new());
    assert_eq!(faults(&[&crashed, &recover("other")]).len(), 1);
}

/// Between being signed and being let go of, a record may be found by whoever looks after a crash: it is said twice.
#[test]
fn what_was_signed_and_found_unsigned_too_is_one() {
    let unsigned = Author::gateway().says(start(1, 9, Verdict::Allow)).says(end(1, 3, Outcome::Ok)).says(close());
    let found: Vec<_> = unsigned.unsigned();
    let signed = unsigned.seal();
    let finder = found.iter().cloned().fold(Author::control(), Author::says).says(Happening::ServerStopped).seal();
    let judged = report(&[&signed, &finder]);
    assert_eq!((judged.faults.as_slice(), judged.recovered, judged.keys_closed), (&[][..], 0, 2));
    // Something else in a place that is taken is a second word of the same key.
    let mut other = Author::gateway();
    other.ids += 100;
    let other = other.says(start(1, 8, Verdict::Allow));
    let key = other.signer.public();
    let finder = other.unsigned().into_iter().fold(Author::control(), Author::says).seal();
    assert_eq!(faults(&[&signed, &finder]), [format!("the key {key} signed two different records 0")]);
}

#[test]
fn what_needed_a_word_had_one() {
    let session = session(1);
    let id = ApprovalId::new(Timestamp::from_millis(1), [7; 10]);
    let held: &[_] = &[("missing_where", Action::Hold)];
    let gateway =
        |approval| Author::gateway().says(ruled(1, held, approval)).says(end(1, 0, Outcome::Ok)).says(close()).seal();
    let said = |to| Happening::Approval {
        id,
        from: Some(ApprovalState::Pending),
        to,
        by: Some("u-bob".to_owned()),
        resource: "prod-db".to_owned(),
        digest: Digest([1; 32]),
        about: "statement",
    };
    let whole = |authors: &[&Author]| {
        let mut verifier = Verifier::new(server().public());
        authors.iter().flat_map(|author| &author.lines).for_each(|line| verifier.envelope(line));
        verifier.finish_whole()
    };
    let told = |report: &Report| report.faults.iter().map(ToString::to_string).collect::<Vec<_>>();
    let control = |to| Author::control().says(said(to)).at(3000, Happening::ServerStopped).seal();
    let approved = whole(&[&gateway(Some(id)), &control(ApprovalState::Approved)]);
    assert_eq!((told(&approved), approved.approved), (Vec::new(), 1));
    let missing = [format!("statement 1.1 of session {session} needed approval and ran; nobody approved it on record")];
    assert_eq!(told(&whole(&[&gateway(None), &control(ApprovalState::Approved)])), missing);
    assert_eq!(told(&whole(&[&gateway(Some(id)), &control(ApprovalState::Denied)])), missing);
    // One's own records alone do not say what the server said; nor does a log that has not come so far.
    assert_eq!(faults(&[&gateway(Some(id))]), Vec::<String>::new());
    assert_eq!(told(&whole(&[&gateway(Some(id))])), Vec::<String>::new());
    assert_eq!(faults(&[&gateway(None)]), missing, "it does not even claim one");

    let shown: &[_] = &[("revealed_column", Action::Allow)];
    let shows = Author::gateway().says(ruled(1, shown, None)).says(end(1, 1, Outcome::Ok)).says(close()).seal();
    let opened = |reveal: &str| {
        let record = |author: Author| {
            let mut author = author.says(Happening::ServerStopped);
            let text = String::from_utf8(author.waiting.pop().unwrap()).unwrap();
            let text = text.replace("server.stop", "session.open");
            let text = text.replace(r#""side":"server""#, &format!(r#""side":"server","sid":"{session}"{reveal}"#));
            author.waiting.push(text.into_bytes());
            author.seal()
        };
        record(Author::control())
    };
    assert_eq!(faults(&[&shows, &opened(r#","reveal":["public.customers.email"]"#)]), Vec::<String>::new());
    assert_eq!(
        faults(&[&shows, &opened("")]),
        [format!(
            "statement 1.1 of session {session} showed masked columns as they are, and the session was not opened for that"
        )]
    );
}
