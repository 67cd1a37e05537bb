//! A session between a client and a database that are scripts: what each says, and what each must then have heard.
//! Numbers in names are those of the pitfalls list (PostgreSQL part) that the project works from.

use std::sync::Arc;

use super::fuzz::{grant, setup};
use super::*;
use crate::domain::{Executed, Verdict};
use crate::wire::buffer::{Piece, Writer};
use crate::wire::postgres::{Column, Format, Request};

/// A session at work.
struct Bench {
    session: Session,
    now: u64,
    /// What has reached the database, as message types and texts.
    database: Vec<String>,
    /// What has reached the client.
    client: Vec<String>,
    /// How often what ran was to be cancelled.
    cancels: usize,
    events: Vec<Happening>,
    pleas: Vec<Plea>,
    barriers: usize,
    closed: Option<Closing>,
}

/// Message types a script shows with their first text.
fn shown(bytes: &[u8], from_client: bool) -> Vec<String> {
    let mut frames = Frames::new(usize::MAX >> 1);
    let mut chunk = frames.chunk(bytes);
    let mut out = Vec::new();
    while let Some(Piece::Frame(frame)) = chunk.next().unwrap() {
        let text = match (frame.tag, from_client) {
            (b'E', false) => {
                let complaint = postgres::diagnosis(frame.body).unwrap();
                format!(" {} {}", String::from_utf8_lossy(&complaint.sqlstate()), complaint.message())
            }
            (b'Q' | b'P' | b'B' | b'D' | b'E' | b'C', true) | (b'Z' | b'D' | b'd' | b'A', false) => {
                format!(" {}", String::from_utf8_lossy(frame.body).replace('\0', "."))
            }
            _ => String::new(),
        };
        out.push(match (frame.tag, from_client) {
            (b'P', true) if text.starts_with(" gov: own.") => format!("own {}", question(&text)),
            // What goes with it.
            (b'C' | b'B' | b'E', true) if text.contains("gov: own.") => continue,
            (b'Q', true) => format!("Q {}", question(&text)),
            (tag, _) => format!("{}{text}", char::from(tag)),
        });
    }
    chunk.end();
    assert!(frames.at_boundary(), "half a message was sent");
    out
}

/// A text, or what is short for one of ours.
fn question(text: &str) -> &str {
    let text = text.trim_start_matches(" gov: own.").trim();
    let ours = [(ledger::BEGIN_AND_COUNTS, "BEGIN; counts"), (ledger::COUNTS, "counts"), (ledger::AUDIT, "audit")];
    ours.iter()
        .find(|(whole, _)| text.starts_with(whole))
        .map_or_else(|| text.trim_end_matches("..."), |(_, short)| short)
}

/// The answer to a question for counts.
fn counts(tables: &str) -> Vec<u8> {
    [described(&["a", "b"]), row(&[tables, "20000"]), complete("SELECT 1")].concat()
}

/// The answer to the audit: no strong lock is held.
fn audit(tables: &str) -> Vec<u8> {
    let mut out = described(&["a", "b", "c", "d"]);
    let mut message = Writer::message(&mut out, b'D');
    message.count(4);
    message.value(Some(tables.as_bytes()));
    message.value(None);
    message.value(Some(b"t"));
    message.value(Some(b"on"));
    drop(message);
    out.extend(complete("SELECT 1"));
    out
}

/// The same within a batch: no description, and the answers to what goes with it.
fn in_batch(answer: &[u8]) -> Vec<u8> {
    let mut frames = Frames::new(usize::MAX >> 1);
    let mut chunk = frames.chunk(answer);
    let mut out = [message(b'3', b""), message(b'3', b""), message(b'1', b""), message(b'2', b"")].concat();
    while let Some(Piece::Frame(frame)) = chunk.next().unwrap() {
        if frame.tag != b'T' {
            out.extend_from_slice(frame.raw);
        }
    }
    chunk.end();
    out
}

impl Bench {
    fn new() -> Self {
        Self::with(Duty::Enforce)
    }

    fn with(duty: Duty) -> Self {
        Self {
            session: Session::new(setup(duty), Scope::default()),
            now: 1_000_000,
            database: vec![],
            client: vec![],
            cancels: 0,
            events: vec![],
            pleas: vec![],
            barriers: 0,
            closed: None,
        }
    }

    fn settle(&mut self, turn: Turn) {
        self.database.extend(shown(&turn.to_database, true));
        self.client.extend(shown(&turn.to_client, false));
        self.barriers += usize::from(turn.durable_first > 0);
        self.pleas.extend(turn.pleas);
        self.cancels += usize::from(turn.cancel);
        self.events.extend(turn.events.into_iter().map(|event| event.happening));
        self.closed = self.closed.or(turn.close);
    }

    fn says_raw(&mut self, bytes: &[u8]) -> &mut Self {
        let mut turn = Turn::default();
        self.now += 1;
        self.session.from_client(Timestamp::from_millis(self.now), bytes, &mut turn);
        self.settle(turn);
        self
    }

    fn says(&mut self, requests: &[Request<'_>]) -> &mut Self {
        let mut bytes = Vec::new();
        for request in requests {
            request.write(&mut bytes);
        }
        self.says_raw(&bytes)
    }

    fn query(&mut self, text: &str) -> &mut Self {
        self.says(&[Request::Query { text: text.as_bytes() }])
    }

    fn answers(&mut self, messages: &[Vec<u8>]) -> &mut Self {
        let mut turn = Turn::default();
        self.now += 1;
        self.session.from_database(Timestamp::from_millis(self.now), &messages.concat(), &mut turn);
        self.settle(turn);
        self
    }

    /// What the database heard since the last look.
    #[track_caller]
    fn heard(&mut self, expected: &[&str]) -> &mut Self {
        assert_eq!(std::mem::take(&mut self.database), expected, "to the database");
        self
    }

    /// What the client heard since the last look.
    #[track_caller]
    fn told(&mut self, expected: &[&str]) -> &mut Self {
        assert_eq!(std::mem::take(&mut self.client), expected, "to the client");
        self
    }

    fn ends(&self) -> Vec<(u64, Outcome, u64)> {
        let ends = self.events.iter().filter_map(|event| match event {
            Happening::StatementEnded(end) => Some((end.id.number, end.outcome.clone(), end.rows)),
            _ => None,
        });
        ends.collect()
    }

    fn verdicts(&self) -> Vec<(u64, Verdict)> {
        let starts = self.events.iter().filter_map(|event| match event {
            Happening::StatementStarted(start) => Some((start.id.number, start.verdict)),
            _ => None,
        });
        starts.collect()
    }
}

pub(super) fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Writer::message(&mut out, tag).raw(body);
    out
}

fn ready(status: &str) -> Vec<u8> {
    message(b'Z', status.as_bytes())
}

fn complete(tag: &str) -> Vec<u8> {
    message(b'C', format!("{tag}\0").as_bytes())
}

fn failed(sqlstate: &str, text: &str) -> Vec<u8> {
    message(b'E', format!("SERROR\0C{sqlstate}\0M{text}\0\0").as_bytes())
}

pub(super) fn described(names: &[&str]) -> Vec<u8> {
    let columns: Vec<Column> = names
        .iter()
        .map(|name| Column {
            name: (*name).to_owned(),
            table: 0,
            attribute: 0,
            kind: 25,
            size: -1,
            modifier: -1,
            format: Format::Text,
        })
        .collect();
    let mut out = Vec::new();
    postgres::write_columns(&columns, &mut out);
    out
}

pub(super) fn row(cells: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut message = Writer::message(&mut out, b'D');
    message.count(cells.len());
    for cell in cells {
        message.value(Some(cell.as_bytes()));
    }
    drop(message);
    out
}

fn parse<'a>(name: &'a str, text: &'a str) -> Request<'a> {
    Request::Parse { name, text: text.as_bytes(), types: vec![] }
}

/// Bind and Execute of an unnamed portal.
fn run(statement: &str) -> Vec<u8> {
    let mut out = Vec::new();
    Writer::message(&mut out, b'B').text("").text(statement).count(0).count(0).count(0);
    Request::Execute { portal: "", rows_max: 0 }.write(&mut out);
    out
}

fn batch(requests: &[Request<'_>], rest: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for request in requests {
        request.write(&mut out);
    }
    out.extend(rest.concat());
    out
}

fn sync() -> Vec<u8> {
    message(b'S', b"")
}

#[test]
fn a_query_is_recorded_before_it_is_sent_and_after_it_ended() {
    let mut bench = Bench::new();
    bench.query("select 1").heard(&["Q select 1."]);
    assert_eq!((bench.barriers, bench.verdicts()), (1, vec![(1, Verdict::Allow)]));
    bench
        .answers(&[described(&["a"]), row(&["x"]), row(&["y"]), complete("SELECT 2"), ready("I")])
        .told(&["T", "D .\u{1}...\u{1}x", "D .\u{1}...\u{1}y", "C", "Z I"])
        .heard(&[]);
    assert_eq!(bench.ends(), [(1, Outcome::Ok, 2)]);
}

#[test]
fn pg_05_a_refused_query_costs_one_error_and_nothing_else() {
    let mut bench = Bench::new();
    bench.query("drop table t").heard(&[]);
    assert!(bench.client[0].starts_with("E 42501"), "{:?}", bench.client);
    assert_eq!(bench.client[1], "Z I");
    assert_eq!(bench.verdicts(), [(1, Verdict::Deny)], "the client's end has it as number 1");
    bench.client.clear();

    // Inside a transaction the status stays what it is: the transaction goes on.
    bench.query("begin").answers(&[complete("BEGIN"), ready("T")]);
    bench.client.clear();
    bench.query("drop table t");
    assert_eq!(bench.client[1], "Z T");
}

#[test]
fn what_would_lift_a_limit_is_replaced_by_the_limit_with_a_warning() {
    // pg_dump begins with these.
    for (asked, sent) in [
        ("SET statement_timeout = 0", "SET statement_timeout TO '300000ms'"),
        ("SET idle_in_transaction_session_timeout = '1d';", "SET idle_in_transaction_session_timeout TO '300000ms'"),
        ("set local Lock_Timeout to 0 -- never", "SET LOCAL lock_timeout TO '300000ms'"),
        ("SET row_security = off", "SET row_security TO 'on'"),
    ] {
        let mut bench = Bench::new();
        bench.query(asked).heard(&[&format!("Q {sent}.")]).told(&["N"]);
        bench.answers(&[complete("SET"), ready("I")]).told(&["C", "Z I"]);
        assert_eq!(bench.verdicts(), [(0, Verdict::Deny), (1, Verdict::Allow)], "both are on record");

        // Prepared, and sent behind something that has not been answered.
        bench.query("select 1").heard(&["Q select 1."]);
        bench.says_raw(&batch(&[parse("", asked)], &[run(""), sync()])).told(&[]);
        assert_eq!(bench.database[0], format!("P .{sent}..."));
        bench.answers(&[complete("SELECT 1"), ready("I")]).told(&["C", "Z I", "N"]);
        bench.answers(&[message(b'1', b""), message(b'2', b""), message(b'n', b""), complete("SET"), ready("I")]);
        bench.told(&["1", "2", "C", "Z I"]);
    }
    // What is more than a SET, or not one of a parameter that tools reset out of habit, is refused as it stands.
    for asked in [
        "SET statement_timeout = 0; select 1",
        "select set_config('statement_timeout', '0', false)",
        "SET default_transaction_read_only = off",
        "SET statement_timeout TO DEFAULT",
        "RESET statement_timeout",
        "SET statement_timeout = -1",
    ] {
        let mut bench = Bench::new();
        bench.query(asked).heard(&[]);
        assert!(bench.client[0].starts_with("E 42501"), "{asked}: {:?}", bench.client);
    }
    // The end nearer to the person does it first, and says so once: what it sends needs no second thought.
    let mut bench = Bench::with(Duty::Watch);
    bench.query("SET lock_timeout = 0").heard(&["Q SET lock_timeout TO '300000ms'."]).told(&["N"]);
}

#[test]
fn pg_05_a_refusal_waits_for_the_answers_before_it() {
    let mut bench = Bench::new();
    bench.query("select 1").query("drop table t").query("select 2").heard(&["Q select 1.", "Q select 2."]).told(&[]);
    bench.answers(&[complete("SELECT 0"), ready("T")]);
    assert_eq!(bench.client.len(), 4);
    assert_eq!(bench.client[..2], ["C", "Z T"]);
    assert!(bench.client[2].starts_with("E 42501") && bench.client[3] == "Z T", "{:?}", bench.client);
    bench.client.clear();
    bench.answers(&[complete("SELECT 0"), ready("I")]).told(&["C", "Z I"]);
}

#[test]
fn pg_05_in_a_batch_everything_up_to_sync_is_dropped_and_sync_is_answered_by_the_database() {
    let mut bench = Bench::new();
    bench.says_raw(&batch(&[parse("", "drop table t")], &[run(""), sync()])).heard(&["S"]);
    assert!(bench.client.len() == 1 && bench.client[0].starts_with("E 42501"), "{:?}", bench.client);
    bench.client.clear();
    bench.answers(&[ready("I")]).told(&["Z I"]);
    // The next batch is served.
    bench.says_raw(&batch(&[parse("", "select 1")], &[run(""), sync()]));
    bench.heard(&["P .select 1...", "B ........", "D P.", "E .....", "S"]);
}

#[test]
fn pg_05_what_ran_before_a_refusal_in_the_same_batch_is_undone() {
    let mut bench = Bench::new();
    let mut insert = batch(&[parse("", "insert into t values (1)")], &[run("")]);
    insert.extend(batch(&[parse("", "drop table t")], &[run(""), sync()]));
    bench.says_raw(&insert);
    bench.heard(&["P .insert into t values (1)...", "B ........", "H"]);
    bench.answers(&[message(b'1', b""), message(b'2', b"")]);
    let heard = std::mem::take(&mut bench.database);
    assert_eq!(heard[..4], ["own BEGIN", "own counts", "D P.", "E ....."], "{heard:?}");
    // Instead of the DROP the database gets a request that must fail.
    assert_eq!(heard[4..], ["P gov: refused.gov: refused...", "S"], "{heard:?}");
    bench.answers(&[
        in_batch(&complete("BEGIN")),
        in_batch(&counts("")),
        message(b'n', b""),
        complete("INSERT 0 1"),
        failed("42601", "syntax error at or near \"gov\""),
        ready("E"),
    ]);
    bench.heard(&["Q ROLLBACK."]).answers(&[complete("ROLLBACK"), ready("I")]);
    let told = std::mem::take(&mut bench.client);
    assert_eq!(told[..3], ["1", "2", "C"], "{told:?}");
    assert!(told[3].starts_with("E 42501") && told[4] == "Z I" && told.len() == 5, "{told:?}");
}

#[test]
fn pg_05_in_a_transaction_block_the_block_goes_on() {
    let mut bench = Bench::new();
    bench.query("begin").answers(&[complete("BEGIN"), ready("T")]);
    bench.database.clear();
    bench.says_raw(&batch(&[parse("", "select 1")], &[run("")]));
    bench.says_raw(&batch(&[parse("", "drop table t")], &[sync()]));
    let heard = std::mem::take(&mut bench.database);
    assert!(!heard.iter().any(|sent| sent.contains("gov: refused")), "{heard:?}");
    assert_eq!(heard[heard.len() - 2..], ["H", "S"], "earlier answers are asked for: {heard:?}");
}

#[test]
fn pg_06_both_directions_go_on_while_the_other_waits() {
    let mut bench = Bench::new();
    for _ in 0..1000 {
        bench.query("select 1");
    }
    assert_eq!(bench.database.len(), 1000);
    for _ in 0..1000 {
        bench.answers(&[complete("SELECT 0"), ready("I")]);
    }
    assert_eq!((bench.ends().len(), bench.closed), (1000, None));
}

#[test]
fn pg_07_copy_data_is_passed_only_while_it_is_wanted() {
    let mut bench = Bench::new();
    // Stray data is ignored, as the server would.
    bench.says(&[Request::CopyData(b"stray"), Request::CopyDone]).heard(&[]);
    bench.query("copy t from stdin").answers(&[complete("BEGIN"), counts(""), ready("T")]);
    bench.answers(&[message(b'G', &[0, 0, 1, 0, 0])]);
    bench.heard(&["Q BEGIN; counts", "Q copy t from stdin."]);
    bench
        .says(&[Request::CopyData(b"1\n"), Request::Sync, Request::Flush, Request::CopyData(b"2\n"), Request::CopyDone])
        .heard(&["d", "H", "d", "c"]);
    bench.client.clear();
    bench.answers(&[complete("COPY 2"), ready("T")]).told(&[]).answers(&[audit("7 u 2"), ready("T")]);
    bench.heard(&["Q audit", "Q COMMIT."]).answers(&[complete("COMMIT"), ready("I")]).told(&["C", "Z I"]);
    assert_eq!(bench.ends(), [(1, Outcome::Ok, 2)]);
    bench.says(&[Request::CopyData(b"late")]).heard(&[]);
}

#[test]
fn pg_07_a_sync_behind_copy_in_is_ignored_and_the_one_behind_its_end_is_not() {
    let opened = || [message(b'1', b""), message(b'2', b"")];
    let begun = || [in_batch(&complete("BEGIN")), in_batch(&counts("")), message(b'n', b"")];
    let wanted = || [message(b'G', &[0, 0, 1, 0, 0])];
    let closed = |bench: &mut Bench| {
        bench.client.clear();
        bench.answers(&[complete("COPY 1"), ready("T")]).answers(&[audit("7 u 1"), ready("T")]);
        bench.answers(&[complete("COMMIT"), ready("I")]).told(&["C", "Z I"]);
        assert!(bench.session.is_idle(), "{:?}", bench.session.pending);
    };
    // libpq sends Sync with the Execute, and once more after CopyDone.
    let mut bench = Bench::new();
    bench.says_raw(&batch(&[parse("", "copy t from stdin")], &[run(""), sync()]));
    bench.answers(&opened()).answers(&begun()).answers(&wanted());
    bench.says(&[Request::CopyData(b"1\n"), Request::CopyDone, Request::Sync]);
    closed(&mut bench);

    // A client that does not wait for the server to want the data.
    bench.says_raw(&batch(&[parse("", "copy t from stdin")], &[run("")]));
    bench.says(&[Request::CopyData(b"1\n"), Request::CopyDone, Request::Sync]);
    bench.answers(&opened()).answers(&begun()).answers(&wanted());
    closed(&mut bench);
}

#[test]
fn pg_08_a_function_call_is_refused_in_step() {
    let mut bench = Bench::new();
    bench.says_raw(&message(b'F', b"\0\0\x03\xe9\0\0\0\0\0\0"));
    assert!(bench.client[0].starts_with("E 42501") && bench.client[1] == "Z I", "{:?}", bench.client);
    bench.client.clear();
    bench.query("select 1").heard(&["Q select 1."]);
    assert_eq!(bench.closed, None);
}

#[test]
fn pg_09_a_name_stands_for_what_the_database_holds() {
    let mut bench = Bench::new();
    bench.says_raw(&batch(&[parse("s", "select 1")], &[sync()]));
    bench.answers(&[message(b'1', b""), ready("I")]);
    // The name is taken: the server refuses, and it still stands for the first text.
    bench.says_raw(&batch(&[parse("s", "select 2")], &[sync()]));
    bench.answers(&[failed("42P05", "prepared statement \"s\" already exists"), ready("I")]);
    assert_eq!(&*bench.session.prepared["s"].text, b"select 1");

    // An error drops the whole batch, a Close in it included.
    bench.says_raw(&batch(
        &[parse("bad", "select 1/0"), Request::Close { target: Target::Statement, name: "s" }],
        &[sync()],
    ));
    bench.answers(&[failed("42601", "syntax error"), ready("I")]);
    assert!(bench.session.prepared.contains_key("s") && !bench.session.prepared.contains_key("bad"));

    bench.says(&[Request::Close { target: Target::Statement, name: "s" }, Request::Sync]);
    bench.answers(&[message(b'3', b""), ready("I")]);
    assert!(!bench.session.prepared.contains_key("s"));
}

#[test]
fn pg_09_a_name_nobody_prepared_fails_as_the_database_would_have_it() {
    let mut bench = Bench::new();
    // The transaction block the batch stands in fails over there as well, or does not: the database knows.
    bench.says_raw(&batch(&[], &[run("ghost"), sync()])).heard(&["P gov: refused.gov: refused...", "S"]).told(&[]);
    bench.answers(&[failed("42601", "syntax error"), ready("E")]);
    assert!(bench.client[0].starts_with("E 26000") && bench.client[1] == "Z E", "{:?}", bench.client);
}

#[test]
fn pg_10_a_change_of_what_text_means_ends_the_session() {
    for (name, value) in [("standard_conforming_strings", "off"), ("client_encoding", "SJIS")] {
        let mut bench = Bench::new();
        bench.answers(&[message(b'S', format!("{name}\0{value}\0").as_bytes())]);
        assert_eq!(bench.closed, Some(Closing::DatabaseFault), "{name}");
    }
    let mut bench = Bench::new();
    bench.answers(&[message(b'S', b"TimeZone\0UTC\0"), message(b'S', b"client_encoding\0UTF8\0")]).told(&["S", "S"]);
    assert_eq!(bench.closed, None);
}

#[test]
fn pg_11_rows_without_a_description_are_described_first() {
    let mut bench = Bench::new();
    bench.says_raw(&batch(&[parse("", "select mail from t")], &[run(""), sync()]));
    assert_eq!(bench.database[2], "D P.", "a Describe of ours: {:?}", bench.database);
    bench.answers(&[
        message(b'1', b""),
        message(b'2', b""),
        described(&["mail"]),
        row(&["zoe@corp.example.com"]),
        complete("SELECT 1"),
        ready("I"),
    ]);
    let told = std::mem::take(&mut bench.client);
    assert_eq!(told.len(), 5, "its answer is not the client's: {told:?}");
    assert!(!told.iter().any(|told| told.starts_with('T')), "{told:?}");
    assert!(told[2].starts_with('D') && !told[2].contains("zoe"), "{told:?}");

    // A client that asks itself is not answered twice.
    let describe = Request::Describe { target: Target::Portal, name: "" };
    let mut bytes = Vec::new();
    parse("", "select mail from t").write(&mut bytes);
    Writer::message(&mut bytes, b'B').text("").text("").count(0).count(0).count(0);
    describe.write(&mut bytes);
    Request::Execute { portal: "", rows_max: 0 }.write(&mut bytes);
    bytes.extend(sync());
    bench.database.clear();
    bench.says_raw(&bytes);
    assert_eq!(bench.database.iter().filter(|sent| sent.starts_with('D')).count(), 1);
}

#[test]
fn pg_11_whoever_asks_is_told_which_columns_were_masked_and_nobody_else() {
    let answer = [described(&["id", "mail"]), row(&["1", "zoe@corp.example.com"]), complete("SELECT 1"), ready("I")];
    for (asks, told) in [(true, vec!["S", "C", "Z I"]), (false, vec!["C", "Z I"])] {
        let mut bench = Bench::new();
        bench.session.setup.tells_masked = asks;
        bench.query("select id, mail from t").answers(&answer);
        assert_eq!(bench.client[2..], told);
        // Told once, as long as it stays the same.
        bench.client.clear();
        bench.query("select id, mail from t").answers(&answer);
        assert_eq!(bench.client[2..], ["C", "Z I"]);
    }
}

#[test]
fn pg_11_the_end_that_watches_describes_nothing() {
    let mut bench = Bench::with(Duty::Watch);
    bench.says_raw(&batch(&[parse("", "select 1")], &[run(""), sync()]));
    assert!(!bench.database.iter().any(|sent| sent.starts_with('D')), "{:?}", bench.database);
    bench.answers(&[message(b'1', b""), message(b'2', b""), row(&["x"]), complete("SELECT 1"), ready("I")]);
    assert_eq!((bench.ends(), bench.closed), (vec![(1, Outcome::Ok, 1)], None));
}

#[test]
fn pg_11_a_row_nobody_described_ends_the_connection_where_rows_are_masked() {
    let mut bench = Bench::new();
    bench.query("select 1").answers(&[row(&["x"])]);
    assert_eq!(bench.closed, Some(Closing::DatabaseFault));
    assert!(!bench.client.iter().any(|told| told.starts_with('D')), "{:?}", bench.client);
}

#[test]
fn pg_12_notifications_are_treated_like_messages() {
    let mut bench = Bench::new();
    bench.answers(&[message(b'A', b"\0\0\0\x07ch\0mail me at zoe@corp.example.com\0")]);
    assert_eq!(bench.client.len(), 1);
    assert!(bench.client[0].contains("ch.mail me at "), "{:?}", bench.client);
    assert!(!bench.client[0].contains("zoe"), "{:?}", bench.client);
}

#[test]
fn pg_15_limits_are_said_and_the_session_goes_on() {
    let mut bench = Bench::new();
    let long = format!("select '{}'", "x".repeat(2 * 1024 * 1024));
    bench.query(&long).heard(&[]);
    assert!(bench.client[0].starts_with("E 54000") && bench.client[1] == "Z I", "{:?}", bench.client);
    bench.client.clear();
    bench.query("select 1").heard(&["Q select 1."]);

    let mut bytes = vec![b'Q'];
    bytes.extend((u32::try_from(postgres::REQUEST_MAX).unwrap() + 1).to_be_bytes());
    bench.says_raw(&bytes);
    assert_eq!(bench.closed, Some(Closing::ClientFault));
    assert!(bench.client[0].starts_with("E 54000"), "{:?}", bench.client);
}

#[test]
fn beats_of_the_tunnel_are_for_its_two_ends_only() {
    let beat = || message(tunnel::BEAT, b"");
    let mut far = Bench::new();
    far.says_raw(&beat()).heard(&[]).told(&[]).query("select 1").says_raw(&beat()).heard(&["Q select 1."]);
    assert_eq!(far.closed, None);
    far.answers(&[beat()]);
    assert_eq!(far.closed, Some(Closing::DatabaseFault), "a database has none");

    let mut near = Bench::with(Duty::Watch);
    near.query("select 1").answers(&[described(&["a"]), beat(), row(&["x"]), beat()]);
    near.told(&["T", "D .\u{1}...\u{1}x"]);
    near.answers(&[complete("SELECT 1"), ready("I"), beat()]).told(&["C", "Z I"]);
    near.says_raw(&beat());
    assert_eq!(near.closed, Some(Closing::ClientFault), "a driver has none");

    let mut turn = Turn::default();
    near.session.beat(&mut turn);
    assert_eq!((turn.to_database, turn.to_client), (beat(), Vec::new()));
    let mut turn = Turn::default();
    far.session.beat(&mut turn);
    assert_eq!((turn.to_database, turn.to_client), (Vec::new(), beat()));
}

#[test]
fn what_is_not_on_record_does_not_run() {
    let mut bench = Bench::new();
    bench.session.recording(Err(Failure::new(Kind::Internal, "the disk is full")));
    bench.query("select 1").heard(&[]);
    assert_eq!(bench.client, ["E 58030 the disk is full", "Z I"]);
    bench.client.clear();
    bench.session.recording(Ok(()));
    bench.query("select 1").heard(&["Q select 1."]);
}

/// Both ends count the same statements, whoever stops them: a refusal here must not shift what comes after it.
#[test]
fn what_the_gateway_turns_away_has_its_number_and_what_the_client_refuses_has_none() {
    let mut gateway = Bench::new();
    gateway.query("select 1").answers(&[complete("SELECT 0"), ready("I")]).query("drop table t");
    gateway.says_raw(&batch(&[parse("", "drop table t")], &[run(""), run(""), sync()]));
    gateway.says_raw(&batch(&[parse("", "select 2")], &[run(""), sync()]));
    gateway.session.recording(Err(Failure::new(Kind::Internal, "the disk is full")));
    gateway.query("select 3").query("select 4");
    gateway.session.recording(Ok(()));
    gateway.query("select 5");
    use Verdict::{Allow, Deny};
    // The refused Parse is the first Execute behind it; the second was not read; 3 and 4 are caught up with.
    let expected = [(1, Allow), (2, Deny), (3, Deny), (4, Deny), (5, Allow), (6, Deny), (7, Deny), (8, Allow)];
    assert_eq!(gateway.verdicts(), expected);

    let mut client = Bench::with(Duty::Watch);
    client.query("drop table t").query("select 1").heard(&["Q select 1."]);
    assert_eq!(client.verdicts(), [(0, Deny), (1, Allow)]);
}

/// A driver prepares and executes in one go: what is refused when it is prepared is the statement that is executed, and
/// on record once.
#[test]
fn what_is_refused_when_it_is_prepared_is_on_record_once() {
    let started = |bench: &Bench| -> Vec<(u64, String, Digest)> {
        let starts = bench.events.iter().filter_map(|happening| match happening {
            Happening::StatementStarted(start) => {
                Some((start.id.number, start.statement.normalized.to_string(), start.raw_hmac))
            }
            _ => None,
        });
        starts.collect()
    };
    let text = "DROP TABLE orders";
    let mut bench = Bench::new();
    bench.says_raw(&batch(&[parse("", text)], &[run("")]));
    assert_eq!(started(&bench), [(1, text.to_owned(), Digest::UNREAD)]);
    bench.says_raw(&sync());
    assert_eq!(started(&bench).len(), 1);
    // Prepared, and nothing more: it has no number, and its own digest.
    bench.says_raw(&batch(&[parse("", text)], &[sync()]));
    let second = started(&bench).remove(1);
    assert_eq!((second.0, second.1.as_str(), second.2 == Digest::UNREAD), (0, text, false));
    // Whoever leaves is no way around the record.
    bench.says(&[parse("", text)]);
    assert_eq!(started(&bench).len(), 2);
    let mut turn = Turn::default();
    bench.session.client_lost(Timestamp::from_seconds(2_000), &mut turn);
    bench.settle(turn);
    assert_eq!(started(&bench).len(), 3);
}

#[test]
fn a_statement_nobody_saw_end_is_unknown() {
    let mut bench = Bench::new();
    bench.query("select 1");
    let mut turn = Turn::default();
    bench.session.database_lost(
        Timestamp::from_millis(1_000_100),
        &Failure::new(Kind::Gateway, "the connection to the database was lost"),
        &mut turn,
    );
    bench.settle(turn);
    assert_eq!(bench.ends(), [(1, Outcome::Unknown, 0)]);
    assert!(bench.client[0].starts_with("E 08006"), "{:?}", bench.client);
}

#[test]
fn attack_02_a_query_hidden_in_a_failed_batch_is_dropped() {
    let mut bench = Bench::new();
    bench.says_raw(&batch(&[parse("", "drop table t")], &[])).heard(&[]);
    bench.query("select 'smuggled'").heard(&[]);
    assert_eq!(bench.verdicts(), [(0, Verdict::Deny), (1, Verdict::Deny)], "what was not read is on record too");
    bench.says_raw(&sync()).heard(&["S"]);
}

#[test]
fn attack_02_messages_out_of_place_end_the_connection() {
    for bytes in [message(b'p', b"secret\0"), message(b'Z', b"I"), message(0, b""), message(b'Q', b"no end")] {
        let mut bench = Bench::new();
        bench.says_raw(&bytes).heard(&[]);
        assert_eq!(bench.closed, Some(Closing::ClientFault), "{bytes:?}");
    }
    // A database that answers what nobody asked.
    for bytes in [message(b'C', b"SELECT 1\0"), message(b'G', &[0, 0, 0]), message(b'W', &[0, 0, 0]), ready("X")] {
        let mut bench = Bench::new();
        bench.answers(std::slice::from_ref(&bytes));
        assert_eq!(bench.closed, Some(Closing::DatabaseFault), "{bytes:?}");
    }
}

#[test]
fn audit_a_statement_commits_after_its_audit_and_the_client_sees_one_statement() {
    let mut bench = Bench::new();
    bench.query("update t set a = 1 where id = 7").heard(&["Q BEGIN; counts"]);
    assert_eq!(bench.barriers, 1, "it is on record before anything happens for it");
    bench.answers(&[complete("BEGIN"), counts("7 u 5000"), ready("T")]);
    bench.heard(&["Q update t set a = 1 where id = 7."]).told(&[]);
    bench.answers(&[complete("UPDATE 1"), ready("T")]).heard(&["Q audit"]).told(&[]);
    bench.answers(&[audit("7 u 5001"), ready("T")]).heard(&["Q COMMIT."]).told(&[]);
    bench.answers(&[complete("COMMIT"), ready("I")]).told(&["C", "Z I"]);
    assert_eq!(bench.ends(), [(1, Outcome::Ok, 1)]);
    assert!(bench.session.is_idle());
}

#[test]
fn audit_what_changed_too_much_is_rolled_back_with_one_error() {
    let mut bench = Bench::new();
    bench.query("update t set a = 1 where id = 7").answers(&[complete("BEGIN"), counts(""), ready("T")]);
    bench.answers(&[complete("UPDATE 1"), ready("T")]).answers(&[audit("7 u 1,8 u 1000"), ready("T")]);
    bench.heard(&["Q BEGIN; counts", "Q update t set a = 1 where id = 7.", "Q audit", "Q ROLLBACK."]).told(&[]);
    bench.answers(&[complete("ROLLBACK"), ready("I")]);
    bench.told(&["E 42501 this changes 1001 rows, and one transaction may change 1000", "Z I"]);
    assert_eq!(bench.ends(), [(1, Outcome::Error { sqlstate: *b"42501" }, 1)]);
    let refused = bench.events.iter().any(|event| {
        matches!(event, Happening::TransactionRefused { why: "changed_rows", changed: 1001, allowed: 1000, .. })
    });
    assert!(refused, "{:?}", bench.events);
    bench.query("select 1").heard(&["Q select 1."]);
}

#[test]
fn audit_a_failed_statement_leaves_no_transaction_behind() {
    let mut bench = Bench::new();
    bench.query("update t set a = 1 / 0 where id = 7").answers(&[complete("BEGIN"), counts(""), ready("T")]);
    bench.answers(&[failed("22012", "division by zero"), ready("E")]).answers(&[complete("ROLLBACK"), ready("I")]);
    bench.heard(&["Q BEGIN; counts", "Q update t set a = 1 / 0 where id = 7.", "Q ROLLBACK."]);
    assert!(bench.client[0].starts_with("E 22012") && bench.client[1..] == ["Z I"], "{:?}", bench.client);
    assert_eq!(bench.ends(), [(1, Outcome::Error { sqlstate: *b"22012" }, 0)]);
}

#[test]
fn audit_a_commit_that_fails_is_the_clients_to_know() {
    let mut bench = Bench::new();
    bench.query("update t set a = 1 where id = 7").answers(&[complete("BEGIN"), counts(""), ready("T")]);
    bench.answers(&[complete("UPDATE 1"), ready("T")]).answers(&[audit("7 u 1"), ready("T")]);
    bench.answers(&[failed("23503", "violates foreign key constraint"), ready("I")]);
    assert!(bench.client[0].starts_with("E 23503") && bench.client[1..] == ["Z I"], "{:?}", bench.client);
    assert_eq!(bench.ends(), [(1, Outcome::Error { sqlstate: *b"23503" }, 1)]);
}

#[test]
fn audit_a_client_that_sends_ahead_waits_for_the_end_of_the_transaction() {
    let mut bench = Bench::new();
    bench.query("update t set a = 1 where id = 7").query("select 1").heard(&["Q BEGIN; counts"]);
    bench.answers(&[complete("BEGIN"), counts(""), ready("T")]);
    bench.answers(&[complete("UPDATE 1"), ready("T")]).answers(&[audit("7 u 1"), ready("T")]);
    bench.answers(&[complete("COMMIT"), ready("I")]);
    bench.heard(&["Q update t set a = 1 where id = 7.", "Q audit", "Q COMMIT.", "Q select 1."]).told(&["C", "Z I"]);

    // And the other way round.
    bench.query("delete from t where id = 7").heard(&[]);
    bench.answers(&[complete("SELECT 0"), ready("I")]).heard(&["Q BEGIN; counts"]);
}

#[test]
fn audit_in_the_clients_transaction_comes_before_its_commit() {
    let mut bench = Bench::new();
    bench.query("begin").answers(&[complete("BEGIN"), ready("T")]);
    bench.query("select 1").answers(&[complete("SELECT 0"), ready("T")]).heard(&["Q begin.", "Q select 1."]);
    bench.query("delete from t where id = 7").heard(&["Q counts"]).answers(&[counts(""), ready("T")]);
    bench.heard(&["Q delete from t where id = 7."]).answers(&[complete("DELETE 1"), ready("T")]);
    bench.query("update t set a = 2 where id = 8").heard(&["Q update t set a = 2 where id = 8."]);
    bench.client.clear();
    bench.answers(&[complete("UPDATE 1"), ready("T")]).told(&["C", "Z T"]);
    bench.query("commit").heard(&["Q audit"]).answers(&[audit("7 u 2"), ready("T")]).heard(&["Q commit."]);
    bench.answers(&[complete("COMMIT"), ready("I")]).told(&["C", "Z I"]);

    // One that only read needs none.
    bench.query("begin").answers(&[complete("BEGIN"), ready("T")]);
    bench.query("commit").heard(&["Q begin.", "Q commit."]);
}

#[test]
fn audit_a_refused_commit_rolls_back() {
    let mut bench = Bench::new();
    bench.query("begin").answers(&[complete("BEGIN"), ready("T")]);
    bench.query("delete from t where id = 7").answers(&[counts(""), ready("T")]);
    bench.answers(&[complete("DELETE 1"), ready("T")]);
    bench.client.clear();
    bench.query("commit").answers(&[audit("7 u 5000"), ready("T")]);
    bench.heard(&["Q begin.", "Q counts", "Q delete from t where id = 7.", "Q audit", "Q ROLLBACK."]).told(&[]);
    bench.answers(&[complete("ROLLBACK"), ready("I")]);
    bench.told(&["E 42501 this changes 5000 rows, and one transaction may change 1000", "Z I"]);

    // A rollback of the client's own asks nothing.
    bench.query("begin").answers(&[complete("BEGIN"), ready("T")]);
    bench.query("delete from t where id = 7").answers(&[counts(""), ready("T")]);
    bench.answers(&[complete("DELETE 1"), ready("T")]);
    bench.database.clear();
    bench.query("rollback").heard(&["Q rollback."]).answers(&[complete("ROLLBACK"), ready("I")]);
    bench.query("select 1").heard(&["Q select 1."]);
}

#[test]
fn audit_of_a_batch_comes_at_its_sync() {
    let mut bench = Bench::new();
    bench.says_raw(&batch(&[parse("", "delete from t where id = 7")], &[run(""), sync()]));
    bench
        .heard(&["P .delete from t where id = 7...", "B ........", "H"])
        .answers(&[message(b'1', b""), message(b'2', b"")]);
    bench.heard(&["own BEGIN", "own counts", "D P.", "E .....", "S"]).told(&["1", "2"]);
    bench.answers(&[in_batch(&complete("BEGIN")), in_batch(&counts("")), message(b'n', b""), complete("DELETE 1")]);
    bench.told(&["C"]).answers(&[ready("T")]).heard(&["Q audit"]);
    bench.answers(&[audit("7 u 1"), ready("T")]).heard(&["Q COMMIT."]).told(&[]);
    bench.answers(&[complete("COMMIT"), ready("I")]).told(&["Z I"]);
    assert!(bench.session.is_idle());

    // The same found wanting: PostgreSQL too reports a failed commit behind the CommandComplete.
    bench.says_raw(&batch(&[parse("", "delete from t where id = 7")], &[run(""), sync()]));
    bench.answers(&[message(b'1', b""), message(b'2', b"")]);
    bench.answers(&[in_batch(&complete("BEGIN")), in_batch(&counts("")), message(b'n', b""), complete("DELETE 1")]);
    bench.answers(&[ready("T")]).answers(&[audit("7 u 1,8 u 2000"), ready("T")]);
    bench.client.clear();
    bench.answers(&[complete("ROLLBACK"), ready("I")]);
    bench.told(&["E 42501 this changes 2001 rows, and one transaction may change 1000", "Z I"]);
}

#[test]
fn audit_of_a_commit_in_a_batch() {
    let mut bench = Bench::new();
    bench.query("begin").answers(&[complete("BEGIN"), ready("T")]);
    bench.query("delete from t where id = 7").answers(&[counts(""), ready("T")]);
    bench.answers(&[complete("DELETE 1"), ready("T")]);
    bench.database.clear();
    bench.client.clear();
    let commit = batch(&[parse("", "commit")], &[run(""), sync()]);
    bench.says_raw(&commit).heard(&["P .commit...", "B ........", "H"]);
    bench.answers(&[message(b'1', b""), message(b'2', b"")]).heard(&["own audit", "H"]);
    bench.answers(&[in_batch(&audit("7 u 1001"))]).heard(&["S"]);
    bench.told(&["1", "2", "E 42501 this changes 1001 rows, and one transaction may change 1000"]);
    bench.answers(&[ready("T")]).heard(&["Q ROLLBACK."]).answers(&[complete("ROLLBACK"), ready("I")]).told(&["Z I"]);

    bench.query("begin").answers(&[complete("BEGIN"), ready("T")]);
    bench.query("delete from t where id = 7").answers(&[counts(""), ready("T")]);
    bench.answers(&[complete("DELETE 1"), ready("T")]);
    bench.says_raw(&commit).answers(&[message(b'1', b""), message(b'2', b"")]);
    bench.database.clear();
    bench.answers(&[in_batch(&audit("7 u 1"))]).heard(&["D P.", "E .....", "S"]);
}

#[test]
fn audit_a_text_with_its_own_transaction_is_taken_apart_where_it_commits() {
    let mut bench = Bench::new();
    bench.query("begin; delete from t where id = 7; update t set a = 1 where id = 8; commit; select 1");
    bench.heard(&["Q begin; ."]).answers(&[complete("BEGIN"), ready("T")]).heard(&["Q counts"]);
    bench.answers(&[counts(""), ready("T")]);
    bench.heard(&["Q delete from t where id = 7; update t set a = 1 where id = 8; ."]).told(&["C"]);
    bench.answers(&[complete("DELETE 1"), complete("UPDATE 1"), ready("T")]).heard(&["Q audit"]).told(&["C"]);
    bench.answers(&[audit("7 u 2"), ready("T")]).heard(&["Q commit; ."]).told(&["C"]);
    bench.answers(&[complete("COMMIT"), ready("I")]).heard(&["Q BEGIN; counts"]);
}

#[test]
fn audit_an_unanswered_question_stops_the_transaction() {
    let mut bench = Bench::new();
    bench.query("delete from t where id = 7").answers(&[failed("57014", "canceling statement"), ready("E")]);
    bench.heard(&["Q BEGIN; counts", "Q ROLLBACK."]).answers(&[complete("ROLLBACK"), ready("I")]);
    bench.told(&["E 42501 the database does not say what this transaction changed", "Z I"]);

    bench.says_raw(&batch(&[parse("", "delete from t where id = 7")], &[run(""), sync()]));
    bench.answers(&[message(b'1', b""), message(b'2', b"")]);
    bench.client.clear();
    bench.answers(&[in_batch(&complete("BEGIN")), failed("57014", "canceling statement"), ready("E")]);
    bench.answers(&[complete("ROLLBACK"), ready("I")]);
    bench.told(&["E 42501 the database does not say what this transaction changed", "Z I"]);
}

#[test]
fn audit_the_end_that_watches_asks_nothing() {
    let mut bench = Bench::with(Duty::Watch);
    bench.query("delete from t where id = 7").heard(&["Q delete from t where id = 7."]);
}

#[test]
fn names_of_ours_cannot_be_taken() {
    let mut bench = Bench::new();
    bench.says_raw(&batch(&[parse("gov: own", "select 1")], &[sync()]));
    bench.heard(&["P gov: refused.gov: refused...", "S"]);
    bench.answers(&[failed("42601", "syntax error"), ready("I")]);
    assert!(bench.client[0].starts_with("E 42P05"), "{:?}", bench.client);
}

impl Bench {
    fn tell(&mut self, say: impl FnOnce(&mut Session, Timestamp, &mut Turn)) -> &mut Self {
        let mut turn = Turn::default();
        self.now += 1;
        say(&mut self.session, Timestamp::from_millis(self.now), &mut turn);
        self.settle(turn);
        self
    }

    /// What was said to those who approve since the last look.
    fn pleaded(&mut self) -> Vec<Plea> {
        std::mem::take(&mut self.pleas)
    }

    /// The one statement that was asked about.
    #[track_caller]
    fn asked(&mut self) -> Ask {
        match self.pleaded().as_slice() {
            [Plea::Ask(ask)] => (**ask).clone(),
            other => panic!("{other:?}"),
        }
    }
}

/// A statement that production holds.
const HELD: &str = "alter table t add column c int";

fn approval_id() -> ApprovalId {
    ApprovalId::new(Timestamp::from_seconds(1), [9; 10])
}

fn refusal(message: &str) -> Failure {
    Failure::new(Kind::Denied, message)
}

#[test]
fn hold_a_statement_waits_in_place_and_then_runs_as_it_came() {
    let mut bench = Bench::new();
    bench.query("begin").answers(&[complete("BEGIN"), ready("T")]);
    bench.query(HELD).query("select 1").heard(&["Q begin."]);
    bench.client.clear();
    let ask = bench.asked();
    assert_eq!((ask.text.as_slice(), ask.reason.rule, ask.in_block), (HELD.as_bytes(), "schema_change", true));
    bench.tell(|session, _, turn| session.held(&refusal("this waits for approval"), approval_id(), turn)).told(&["N"]);
    bench.tell(|session, now, turn| session.approved(now, approval_id(), turn)).heard(&["Q counts"]);
    bench.answers(&[counts(""), ready("T")]).heard(&["Q alter table t add column c int."]);
    bench.answers(&[complete("ALTER TABLE"), ready("T")]).told(&["C", "Z T"]).heard(&["Q select 1."]);
    assert!(
        matches!(bench.pleaded().as_slice(), [Plea::Ended { id, executed: Executed::Well }] if *id == approval_id())
    );
    assert_eq!(bench.verdicts()[1], (0, Verdict::Hold), "that it was held is on record");
    assert_eq!(bench.verdicts()[2], (2, Verdict::Allow));
}

#[test]
fn hold_no_is_one_error() {
    let mut bench = Bench::new();
    bench.query(HELD).query("select 1").heard(&[]).told(&[]);
    bench.asked();
    bench.tell(|session, now, turn| session.not_approved(now, "42501", &refusal("approval was denied"), None, turn));
    bench.told(&["E 42501 approval was denied", "Z I"]).heard(&["Q select 1."]);
    let expected = [(0, Verdict::Hold), (1, Verdict::Hold), (2, Verdict::Allow)];
    assert_eq!(bench.verdicts(), expected, "asked about, then not run: the client's end has it as number 1");
    // What comes too late changes nothing, and is said.
    bench.tell(|session, now, turn| session.approved(now, approval_id(), turn));
    assert!(matches!(bench.pleaded().as_slice(), [Plea::Ended { executed: Executed::Stale, .. }]));
    bench
        .heard(&[])
        .tell(|session, now, turn| session.not_approved(now, "42501", &refusal("no"), None, turn))
        .told(&[]);
}

#[test]
fn hold_ctrl_c_withdraws() {
    let mut bench = Bench::new();
    bench.query(HELD);
    bench.asked();
    bench.tell(|session, now, turn| session.cancelled(now, turn));
    bench.told(&["E 57014 canceling statement due to user request", "Z I"]).heard(&[]);
    assert!(matches!(bench.pleaded().as_slice(), [Plea::Withdraw]));
    // Where nothing waits, it is the database's to cancel.
    bench.query("select 1").tell(|session, now, turn| session.cancelled(now, turn)).told(&[]);
}

#[test]
fn hold_whoever_leaves_withdraws() {
    let mut bench = Bench::new();
    bench.query(HELD);
    bench.asked();
    bench.tell(|session, now, turn| session.client_lost(now, turn));
    assert!(matches!(bench.pleaded().as_slice(), [Plea::Withdraw]));
    assert_eq!(bench.verdicts(), [(0, Verdict::Hold), (1, Verdict::Hold)]);

    // While it runs, nobody sees how it ends.
    let mut bench = Bench::new();
    bench.query(HELD);
    bench.asked();
    bench.tell(|session, now, turn| session.approved(now, approval_id(), turn));
    bench.tell(|session, now, turn| session.client_lost(now, turn));
    assert!(matches!(bench.pleaded().as_slice(), [Plea::Ended { executed: Executed::Unseen, .. }]));
}

#[test]
fn hold_a_batch_waits_at_its_execute_with_its_values() {
    let mut bench = Bench::new();
    let mut bytes = Vec::new();
    parse("", HELD).write(&mut bytes);
    Writer::message(&mut bytes, b'B').text("").text("").count(0).count(1).value(Some(b"7")).count(0);
    Request::Execute { portal: "", rows_max: 0 }.write(&mut bytes);
    bytes.extend(sync());
    bench.says_raw(&bytes);
    assert_eq!(bench.database.len(), 3, "Parse, Bind, and a Flush: {:?}", bench.database);
    bench.answers(&[message(b'1', b""), message(b'2', b"")]).told(&["1", "2"]);
    let ask = bench.asked();
    assert_eq!(ask.values, [Some(b"7".to_vec())]);
    bench.database.clear();
    bench.tell(|session, now, turn| session.approved(now, approval_id(), turn));
    bench.heard(&["own BEGIN", "own counts", "D P.", "E .....", "S"]);

    // Refused, the batch is dropped up to its Sync.
    let mut bench = Bench::new();
    bench.says_raw(&bytes).answers(&[message(b'1', b""), message(b'2', b"")]);
    bench.asked();
    bench.client.clear();
    bench.database.clear();
    bench.tell(|session, now, turn| session.not_approved(now, "57014", &refusal("nobody approved"), None, turn));
    bench.told(&["E 57014 nobody approved"]).heard(&["S"]).answers(&[ready("I")]).told(&["Z I"]);
}

#[test]
fn hold_what_is_asked_about_is_bound_to_everything_it_means() {
    let binding = |change: &dyn Fn(&mut Bench), text: &str| {
        let mut bench = Bench::new();
        change(&mut bench);
        bench.query(text).asked().binding
    };
    let same = |_: &mut Bench| {};
    let first = binding(&same, HELD);
    assert_eq!(first, binding(&same, HELD));
    assert_ne!(first, binding(&same, &HELD.replace("int", "int ")), "a byte");
    let path = |bench: &mut Bench| {
        bench.session.scope.search_path_is("other, public");
    };
    assert_ne!(first, binding(&path, HELD), "the search path");
    let other_grant = |change: fn(&mut Grant)| {
        let changed = move |bench: &mut Bench| {
            let mut grant = (*bench.session.setup.grant).clone();
            change(&mut grant);
            bench.session.setup.grant = Arc::new(grant);
        };
        binding(&changed, HELD)
    };
    assert_ne!(first, other_grant(|grant| grant.identity.subject = "bob".into()), "who");
    let purpose = |grant: &mut Grant| {
        grant.purpose = Some(crate::domain::Purpose { id: "incident".parse().unwrap(), reference: None });
    };
    assert_ne!(first, other_grant(purpose), "what for");
}

#[test]
fn hold_an_approval_of_something_else_is_of_no_use() {
    let mut bench = Bench::new();
    bench.query(HELD);
    bench.asked();
    // The schemas it looks in changed between the question and the answer.
    bench.answers(&[message(b'S', b"search_path\0other\0")]);
    bench.tell(|session, now, turn| session.approved(now, approval_id(), turn)).heard(&[]);
    let pleas = bench.pleaded();
    assert!(
        matches!(pleas.as_slice(), [Plea::Ended { executed: Executed::Stale, .. }, Plea::Ask(_)]),
        "it is stale, and asked about anew: {pleas:?}"
    );
}

#[test]
fn hold_the_end_that_watches_leaves_the_question_to_the_other() {
    let mut bench = Bench::with(Duty::Watch);
    bench.query(HELD).heard(&["Q alter table t add column c int."]);
    assert!(bench.pleaded().is_empty());
}

/// A session that may read two rows with one statement.
fn limited() -> Bench {
    let mut bench = Bench::new();
    let mut grant = (*grant()).clone();
    grant.limits.rows_max = Some(2);
    bench.session.setup.grant = Arc::new(grant);
    bench
}

#[test]
fn limit_rows_beyond_it_are_not_sent_and_the_session_goes_on() {
    let rows = |count: usize| vec![row(&["x"]); count].concat();
    let mut bench = limited();
    bench.query("select a from t").answers(&[described(&["a"]), rows(2), complete("SELECT 2"), ready("I")]);
    bench.told(&["T", "D .\u{1}...\u{1}x", "D .\u{1}...\u{1}x", "C", "Z I"]);
    bench.query("select a from t").answers(&[described(&["a"]), rows(5), complete("SELECT 5"), ready("I")]);
    bench.told(&["T", "D .\u{1}...\u{1}x", "D .\u{1}...\u{1}x", "E 53400 this returns more than 2 rows", "Z I"]);
    bench.query("select 1").answers(&[complete("SELECT 0"), ready("I")]).told(&["C", "Z I"]);

    // In a batch, what comes behind it is not answered either.
    let mut bench = limited();
    let mut bytes = batch(&[parse("", "select a from t")], &[run("")]);
    bytes.extend(batch(&[parse("", "select 1")], &[run(""), sync()]));
    bench.says_raw(&bytes);
    let head = || [message(b'1', b""), message(b'2', b"")].concat();
    bench.answers(&[head(), described(&["a"]), rows(3), complete("SELECT 3")]);
    bench.told(&["1", "2", "D .\u{1}...\u{1}x", "D .\u{1}...\u{1}x", "E 53400 this returns more than 2 rows"]);
    bench.answers(&[head(), described(&["a"]), rows(1), complete("SELECT 1"), ready("I")]).told(&["Z I"]);

    // What a statement changed that returned too much is undone.
    let mut bench = limited();
    bench.query("delete from t where id = 7 returning id").answers(&[complete("BEGIN"), counts(""), ready("T")]);
    bench.answers(&[described(&["a"]), rows(3), complete("DELETE 3"), ready("T")]);
    bench.client.clear();
    bench.heard(&["Q BEGIN; counts", "Q delete from t where id = 7 returning id.", "Q ROLLBACK."]);
    bench.answers(&[complete("ROLLBACK"), ready("I")]).told(&["Z I"]);
}

#[test]
fn limit_copy_is_counted_like_a_result() {
    let began = || [message(b'H', &[0, 0, 1, 0, 0])].concat();
    let line = |text: &str| message(b'd', text.as_bytes());
    let mut bench = limited();
    bench.query("copy (select a from t limit 9) to stdout").answers(&[
        began(),
        line("a\n"),
        line("b\n"),
        message(b'c', b""),
        complete("COPY 2"),
    ]);
    bench.answers(&[ready("I")]).told(&["H", "d a\n", "d b\n", "c", "C", "Z I"]);
    bench.query("copy (select a from t limit 9) to stdout").answers(&[began(), line("a\n"), line("b\n"), line("c\n")]);
    bench.answers(&[message(b'c', b""), complete("COPY 3"), ready("I")]);
    bench.told(&["H", "d a\n", "d b\n", "E 53400 this returns more than 2 rows", "Z I"]);
    // The names of the columns are no row, and neither is the end of the binary form.
    bench.query("copy (select a from t limit 9) to stdout (format csv, header)").answers(&[
        began(),
        line("id\n"),
        line("a\n"),
        line("b\n"),
    ]);
    bench.answers(&[message(b'c', b""), complete("COPY 2"), ready("I")]);
    bench.told(&["H", "d id\n", "d a\n", "d b\n", "c", "C", "Z I"]);
    assert_eq!(bench.ends().iter().map(|(_, _, rows)| *rows).collect::<Vec<_>>(), [2, 2, 2]);
    assert_eq!(bench.cancels, 0);
}

#[test]
fn limit_what_is_far_beyond_it_is_cancelled_once() {
    let large = "x".repeat(100_000);
    let mut bench = limited();
    bench.query("select a from t").answers(&[described(&["a"]), row(&["x"]), row(&["x"]), row(&[&large])]);
    assert_eq!(bench.cancels, 0, "it may end by itself");
    bench.answers(&[row(&[&large]), row(&[&large])]).answers(&[row(&[&large])]);
    assert_eq!(bench.cancels, 1);
    bench.answers(&[failed("57014", "canceling statement due to user request"), ready("I")]);
    bench.client.drain(..3);
    bench.told(&["E 53400 this returns more than 2 rows", "Z I"]);
    assert_eq!(bench.ends(), [(1, Outcome::Error { sqlstate: *b"53400" }, 2)]);

    // It ended before the word came.
    bench.query("select a from t").answers(&[
        described(&["a"]),
        [0; 5].map(|_| row(&[&large])).concat(),
        complete("SELECT 5"),
    ]);
    bench.answers(&[ready("I")]);
    assert_eq!((bench.cancels, bench.client.pop().as_deref()), (2, Some("Z I")));

    // In a batch, and in front of another one: the word might reach that.
    let mut bench = limited();
    let head = || [message(b'1', b""), message(b'2', b"")].concat();
    let one = || batch(&[parse("", "select a from t")], &[run(""), sync()]);
    bench.says_raw(&one()).answers(&[head(), described(&["a"]), [0; 5].map(|_| row(&[&large])).concat()]);
    assert_eq!(bench.cancels, 1);
    bench.answers(&[failed("57014", "canceling statement due to user request"), ready("I")]);
    assert_eq!(bench.client.split_off(4), ["E 53400 this returns more than 2 rows", "Z I"]);
    let mut bench = limited();
    bench.says_raw(&[one(), one()].concat()).answers(&[
        head(),
        described(&["a"]),
        [0; 5].map(|_| row(&[&large])).concat(),
    ]);
    assert_eq!(bench.cancels, 0);
}
