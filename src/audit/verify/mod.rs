//! What a set of envelopes proves, with nothing from the server but its public key.
//!
//! Checked, in this order: (1) each envelope's signature; (2) that the signing key has a certificate by the server's
//! key, for the side and session it speaks for; (3) that each key's envelopes form one chain without gaps, hanging on
//! the certificate; (4) that what was started has ended; (5) that the client's and the gateway's accounts agree.
//! The order in which envelopes are given does not matter.

mod consents;
mod raw_texts;
mod whole;

pub(crate) use whole::{Walk, checkpoint};

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;

use consents::Consents;
use raw_texts::{RawCounts, RawTexts};

use super::books::{Balance, Books};
use super::note::NoteError;
use super::record::{Core, Of, RecordError};
use super::seal::{Batch, CERTIFICATE_TYPE, Certificate, Envelope, SealError};
use crate::domain::{Digest, PublicKey, RecordId, SessionId, Side, StatementId, Timestamp};

/// Most faults that are kept; more are counted.
const FAULTS_MAX: usize = 1000;

/// Takes envelopes, one after the other.
#[derive(Debug)]
pub(crate) struct Verifier {
    server: PublicKey,
    keys: BTreeMap<PublicKey, KeyBook>,
    ids: HashSet<RecordId>,
    books: Books,
    vouched: Vec<Vouched>,
    consents: Consents,
    raw_texts: RawTexts,
    report: Report,
}

/// A record about another key's chain.
#[derive(Debug)]
struct Vouched {
    by: PublicKey,
    of: Of,
    record: Core,
}

/// What is known of one key.
#[derive(Debug, Default)]
struct KeyBook {
    certificate: Option<(Certificate, Digest)>,
    /// By the number of the first record.
    stretches: BTreeMap<u64, Stretch>,
    /// Records found unsigned, by number.
    recovered: BTreeMap<u64, RecordId>,
    started: BTreeSet<StatementId>,
    ended: BTreeSet<StatementId>,
    /// Number of the record that closes the chain.
    closed_at: Option<u64>,
    /// Earliest and latest time a record claims.
    times: Option<(Timestamp, Timestamp)>,
}

/// One envelope's place in its chain.
#[derive(Debug)]
struct Stretch {
    line: u64,
    count: u64,
    previous: Digest,
    digest: Digest,
    side: Side,
    session: Option<SessionId>,
}

/// The result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) envelopes: u64,
    /// Envelopes that were there more than once, byte by byte the same.
    pub(crate) repeated: u64,
    pub(crate) certificates: u64,
    pub(crate) records: u64,
    /// Records found unsigned after a crash.
    pub(crate) recovered: u64,
    /// Keys whose chain ends with the record that closes it.
    pub(crate) keys_closed: u64,
    /// Keys that were closed by a crash: their chain ends where somebody else found it.
    pub(crate) keys_recovered: u64,
    /// Keys of dead clients of which the unsigned end has come in, and what they had signed has not.
    pub(crate) keys_pending: u64,
    /// Keys that may still be in use: nothing proves that nothing is missing at the end.
    pub(crate) keys_open: u64,
    pub(crate) statements: Statements,
    /// How much of the log this is.
    pub(crate) seen: Seen,
    /// Witnesses that have signed the checkpoint, and when.
    pub(crate) witnesses: Vec<(String, Option<Timestamp>)>,
    /// Evidence that was made of the log: by the SHA-256 of its list, when.
    pub(crate) evidence: BTreeMap<Digest, Timestamp>,
    /// The list of the evidence at hand is one of these; and how many files it names.
    pub(crate) pack: Option<(Timestamp, u64)>,
    /// Statements that a rule had held back, and that ran by an approval on record.
    pub(crate) approved: u64,
    /// What became of the raw texts that records name.
    pub(crate) raw_texts: RawCounts,
    pub(crate) faults: Vec<Fault>,
    /// Faults beyond those that are kept.
    pub(crate) more_faults: u64,
}

/// Where the envelopes come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Seen {
    /// From anywhere.
    #[default]
    Envelopes,
    /// Each is in a tree of `size` leaves that begins with those `remembered`.
    Included { size: u64, remembered: u64 },
    /// They are the whole tree.
    Whole { size: u64, remembered: u64 },
}

/// How the statements' accounts compare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Statements {
    pub(crate) matched: u64,
    pub(crate) refused_by_client: u64,
    pub(crate) client_only: u64,
    pub(crate) gateway_only: u64,
    pub(crate) mismatched: u64,
    pub(crate) unknown: u64,
    pub(crate) held: u64,
    pub(crate) open: u64,
}

/// Something that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The envelope in question, counted from 1, if it is one.
    pub(crate) line: Option<u64>,
    pub(crate) what: Wrong,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    Envelope(SealError),
    Record {
        seq: u64,
        why: RecordError,
    },
    /// A record's own number, side or session is not that of the envelope it is in.
    Place {
        key: PublicKey,
        seq: u64,
    },
    /// Two records have the same id.
    Twice(RecordId),
    NoCertificate(PublicKey),
    TwoCertificates(PublicKey),
    /// The certificate is for another side or session.
    NotItsSession(PublicKey),
    /// Records claim times at which the certificate was not valid.
    OutsideWindow(PublicKey),
    /// Records `from` to `to` of a key are not there.
    Gap {
        key: PublicKey,
        from: u64,
        to: u64,
    },
    /// A key signed two different things for the same place.
    Fork {
        key: PublicKey,
        seq: u64,
    },
    /// An envelope does not name the one before it.
    Link {
        key: PublicKey,
        seq: u64,
    },
    /// A chain goes on after the record that closes it.
    AfterClose {
        key: PublicKey,
        seq: u64,
    },
    /// A record vouches for another key's records without the right to.
    NotEntitled {
        key: PublicKey,
        seq: u64,
    },
    /// A closed chain has a statement without an end.
    NoEnd {
        key: PublicKey,
        statement: StatementId,
    },
    /// The log has more or fewer entries than its checkpoint states.
    Count {
        found: u64,
        stated: u64,
    },
    /// The entries are not those the checkpoint was signed for.
    Root {
        size: u64,
    },
    /// A tile of hashes does not follow from the entries.
    Tile {
        path: String,
    },
    /// The log has become shorter than it was.
    Shorter {
        size: u64,
        remembered: u64,
    },
    /// The log does not begin any more as it did.
    Rewritten {
        remembered: u64,
    },
    /// A file of the evidence has been changed, or taken away.
    Evidence {
        file: String,
    },
    /// The evidence's list of files is not one that is on record.
    EvidenceList,
    /// A raw text that a record names is not there, and no record says that it was erased.
    RawMissing {
        session: Option<SessionId>,
        statement: Option<StatementId>,
    },
    /// A raw text is there and is not the one that a record names.
    RawChanged {
        session: Option<SessionId>,
        statement: Option<StatementId>,
    },
    Witness {
        name: String,
        why: NoteError,
    },
    /// A statement ran that a rule had held back, and nobody has approved it on record.
    NotApproved {
        session: SessionId,
        statement: StatementId,
    },
    /// A statement showed masked columns as they are to a session that was not opened for that.
    NotRevealed {
        session: SessionId,
        statement: StatementId,
    },
    ClientOnly {
        session: SessionId,
        statement: StatementId,
    },
    Mismatch {
        session: SessionId,
        statement: StatementId,
        differ: Vec<&'static str>,
    },
}

impl Verifier {
    pub(crate) fn new(server: PublicKey) -> Self {
        let (keys, ids, books, vouched, consents, raw_texts, report) = Default::default();
        Self { server, keys, ids, books, vouched, consents, raw_texts, report }
    }

    /// Takes one envelope as one line.
    pub(crate) fn envelope(&mut self, line: &str) {
        self.report.envelopes += 1;
        let number = self.report.envelopes;
        if let Err(what) = self.take(number, line) {
            self.report.fault(Some(number), what);
        }
    }

    fn take(&mut self, number: u64, line: &str) -> Result<(), Wrong> {
        let envelope = Envelope::read(line).map_err(Wrong::Envelope)?;
        if envelope.payload_type == CERTIFICATE_TYPE {
            return self.certificate(&envelope);
        }
        envelope.verify(envelope.key).map_err(Wrong::Envelope)?;
        let batch = Batch::parse(&envelope.payload).map_err(Wrong::Envelope)?;
        if batch.key != envelope.key {
            return Err(Wrong::Envelope(SealError::Signature(batch.key)));
        }
        self.batch(number, &batch, envelope.digest())
    }

    fn certificate(&mut self, envelope: &Envelope) -> Result<(), Wrong> {
        let certificate = Certificate::open(envelope, self.server).map_err(Wrong::Envelope)?;
        let key = certificate.key;
        let book = self.keys.entry(key).or_default();
        let digest = envelope.digest();
        match &book.certificate {
            Some((_, known)) if *known == digest => self.report.repeated += 1,
            Some(_) => return Err(Wrong::TwoCertificates(key)),
            None => {
                book.certificate = Some((certificate, digest));
                self.report.certificates += 1;
            }
        }
        Ok(())
    }

    fn batch(&mut self, line: u64, batch: &Batch, digest: Digest) -> Result<(), Wrong> {
        let key = batch.key;
        let book = self.keys.entry(key).or_default();
        if let Some(known) = book.stretches.get(&batch.first) {
            if known.digest == digest {
                self.report.repeated += 1;
                return Ok(());
            }
            return Err(Wrong::Fork { key, seq: batch.first });
        }
        let count = u64::try_from(batch.records.len()).unwrap_or(u64::MAX);
        let (previous, side, session) = (batch.previous, batch.side, batch.session);
        book.stretches.insert(batch.first, Stretch { line, count, previous, digest, side, session });
        for (record, seq) in batch.records.iter().zip(batch.first..) {
            let core = Core::parse(record).map_err(|why| Wrong::Record { seq, why })?;
            self.record(batch, seq, &core)?;
        }
        Ok(())
    }

    fn record(&mut self, batch: &Batch, seq: u64, record: &Core) -> Result<(), Wrong> {
        let key = batch.key;
        let own_session = batch.session.is_none() || record.session == batch.session;
        if record.seq != seq || record.side != batch.side || !own_session {
            return Err(Wrong::Place { key, seq });
        }
        if !self.ids.insert(record.id) {
            return Err(Wrong::Twice(record.id));
        }
        self.report.records += 1;
        if let ("evidence", Some(digest)) = (record.kind.as_str(), record.digest) {
            self.report.evidence.insert(digest, record.at);
        }
        if batch.side == Side::Server {
            self.raw_texts.destroyed(record);
        }
        self.raw_texts.named(record);
        self.consents.enter(batch.side, record);
        let book = self.keys.entry(key).or_default();
        book.note(record);
        if let Some(session) = record.session {
            self.books.enter(session, batch.side, record);
        }
        if let Some(of) = &record.of {
            // What it is worth depends on certificates that may come later.
            self.vouched.push(Vouched { by: key, of: of.clone(), record: record.clone() });
        }
        Ok(())
    }

    /// The result of everything taken.
    pub(crate) fn finish(self) -> Report {
        self.conclude(false)
    }

    /// The same, where everything taken is all there is.
    fn finish_whole(self) -> Report {
        self.conclude(true)
    }

    fn conclude(mut self, whole: bool) -> Report {
        for vouched in std::mem::take(&mut self.vouched) {
            if let Err(what) = self.vouch(&vouched) {
                self.report.fault(None, what);
            }
        }
        let mut ended = BTreeMap::new();
        for (key, book) in &self.keys {
            let end = book.check(*key, &mut self.report);
            if let Some((Certificate { session: Some(session), side, .. }, _)) = &book.certificate {
                ended.insert((*session, *side), end != End::Open);
            }
        }
        std::mem::take(&mut self.raw_texts).check(&mut self.report);
        std::mem::take(&mut self.consents).check(whole, &mut self.report);
        self.report.statements.matched = self.books.matched();
        for (session, statement, balance) in self.books.unmatched() {
            let over = |side| ended.get(&(session, side)).copied().unwrap_or(false);
            // What a dead client says last comes in after its finder has said it: that it saw no answer, so that the
            // statement may never have reached a gateway that died too.
            let answered = || self.books.has_end(session, statement, Side::Client);
            self.report.statements.count(&balance);
            match balance {
                // While both are at work, one is always ahead of the other.
                Balance::ClientOnly if over(Side::Client) || (over(Side::Gateway) && answered()) => {
                    self.report.fault(None, Wrong::ClientOnly { session, statement });
                }
                Balance::Mismatch(differ) => {
                    self.report.fault(None, Wrong::Mismatch { session, statement, differ });
                }
                Balance::Matched
                | Balance::ClientOnly
                | Balance::GatewayOnly
                | Balance::RefusedByClient
                | Balance::Unknown
                | Balance::Held
                | Balance::Open => {}
            }
        }
        self.report
    }

    /// Takes the word of one key for what another could not say any more: the server's for its gateways and its own
    /// former keys, a client's for former keys of the same subject.
    fn vouch(&mut self, vouched: &Vouched) -> Result<(), Wrong> {
        let certificate = |key| self.keys.get(&key).and_then(|book| book.certificate.as_ref()).map(|(known, _)| known);
        let (Some(by), Some(of)) = (certificate(vouched.by), certificate(vouched.of.key)) else {
            return Err(Wrong::NoCertificate(vouched.of.key));
        };
        let entitled = match of.side {
            Side::Gateway | Side::Server => by.side == Side::Server,
            Side::Client => by.side == Side::Client && by.subject == of.subject,
        };
        if !entitled {
            return Err(Wrong::NotEntitled { key: vouched.by, seq: vouched.record.seq });
        }
        let (side, session) = (of.side, of.session);
        let Some(book) = self.keys.get_mut(&vouched.of.key) else { return Ok(()) };
        let Some(text) = &vouched.of.record else {
            book.ended.extend(vouched.record.statement);
            if let Some(session) = session {
                self.books.enter(session, side, &vouched.record);
            }
            return Ok(());
        };
        let seq = vouched.record.seq;
        let found = Core::parse(text).map_err(|why| Wrong::Record { seq, why })?;
        if found.side != side || (session.is_some() && found.session != session) {
            return Err(Wrong::Place { key: vouched.of.key, seq: found.seq });
        }
        if book.has(found.seq) {
            // It had been signed after all, and stands in the chain; or two things are said of one place.
            let is_the_same = self.ids.contains(&found.id);
            return if is_the_same { Ok(()) } else { Err(Wrong::Fork { key: vouched.of.key, seq: found.seq }) };
        }
        match book.recovered.insert(found.seq, found.id) {
            // Whoever recovers may be interrupted, and does it again.
            Some(known) if known == found.id => return Ok(()),
            Some(_) => return Err(Wrong::Fork { key: vouched.of.key, seq: found.seq }),
            None => {}
        }
        book.note(&found);
        self.raw_texts.named(&found);
        self.consents.enter(side, &found);
        self.report.recovered += 1;
        if let Some(session) = found.session {
            self.books.enter(session, side, &found);
        }
        Ok(())
    }
}

/// How a chain ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Closed,
    Recovered,
    Open,
}

impl KeyBook {
    /// Whether an envelope has this record.
    fn has(&self, seq: u64) -> bool {
        let stretch = self.stretches.range(..=seq).next_back();
        stretch.is_some_and(|(first, stretch)| seq < first.saturating_add(stretch.count))
    }

    fn note(&mut self, record: &Core) {
        if let Some(statement) = record.statement {
            if record.decided.as_ref().is_some_and(|decided| decided.action == "allow") {
                self.started.insert(statement);
            }
            if record.happened.is_some() && record.of.is_none() {
                self.ended.insert(statement);
            }
        }
        let closing = match record.side {
            Side::Client | Side::Gateway => "session.close",
            Side::Server => "server.stop",
        };
        if record.kind == closing {
            self.closed_at = Some(record.seq);
        }
        let (first, last) = self.times.unwrap_or((record.at, record.at));
        self.times = Some((first.min(record.at), last.max(record.at)));
    }

    fn check(&self, key: PublicKey, report: &mut Report) -> End {
        let Some((certificate, anchor)) = &self.certificate else {
            report.fault(self.stretches.values().next().map(|stretch| stretch.line), Wrong::NoCertificate(key));
            return End::Open;
        };
        let mut next = 0;
        let mut previous = *anchor;
        for (first, stretch) in &self.stretches {
            let line = Some(stretch.line);
            let seq = *first;
            if stretch.side != certificate.side || stretch.session != certificate.session {
                report.fault(line, Wrong::NotItsSession(key));
            }
            match seq.cmp(&next) {
                std::cmp::Ordering::Less => report.fault(line, Wrong::Fork { key, seq }),
                std::cmp::Ordering::Greater => report.fault(line, Wrong::Gap { key, from: next, to: seq - 1 }),
                std::cmp::Ordering::Equal if stretch.previous != previous => {
                    report.fault(line, Wrong::Link { key, seq });
                }
                std::cmp::Ordering::Equal => {}
            }
            next = seq.saturating_add(stretch.count);
            previous = stretch.digest;
        }
        let signed = next;
        let mut pending = false;
        for seq in self.recovered.keys().copied().filter(|seq| *seq >= signed) {
            if seq > next && certificate.side == Side::Client {
                // What the dead process had signed itself comes in after what its finder signed.
                pending = true;
            } else if seq > next {
                report.fault(None, Wrong::Gap { key, from: next, to: seq - 1 });
            }
            next = seq.saturating_add(1);
        }
        self.check_times(key, certificate, report);
        if pending {
            report.keys_pending += 1;
            return End::Open;
        }
        self.check_end(key, next, next > signed, report)
    }

    /// A client's clock is its own affair; ours are not.
    fn check_times(&self, key: PublicKey, certificate: &Certificate, report: &mut Report) {
        let Some((first, last)) = self.times else { return };
        if certificate.side != Side::Client && (first < certificate.from || last > certificate.until) {
            report.fault(None, Wrong::OutsideWindow(key));
        }
    }

    fn check_end(&self, key: PublicKey, next: u64, recovered: bool, report: &mut Report) -> End {
        let end = match self.closed_at {
            Some(seq) => {
                if seq.saturating_add(1) < next {
                    report.fault(None, Wrong::AfterClose { key, seq });
                }
                End::Closed
            }
            None if recovered => End::Recovered,
            None => End::Open,
        };
        match end {
            End::Closed => report.keys_closed += 1,
            End::Recovered => report.keys_recovered += 1,
            End::Open => report.keys_open += 1,
        }
        if end != End::Open {
            for statement in self.started.difference(&self.ended).copied() {
                report.fault(None, Wrong::NoEnd { key, statement });
            }
        }
        end
    }
}

impl Statements {
    fn count(&mut self, balance: &Balance) {
        let counter = match balance {
            Balance::Matched => &mut self.matched,
            Balance::RefusedByClient => &mut self.refused_by_client,
            Balance::ClientOnly => &mut self.client_only,
            Balance::GatewayOnly => &mut self.gateway_only,
            Balance::Mismatch(_) => &mut self.mismatched,
            Balance::Unknown => &mut self.unknown,
            Balance::Held => &mut self.held,
            Balance::Open => &mut self.open,
        };
        *counter += 1;
    }
}

impl Report {
    fn fault(&mut self, line: Option<u64>, what: Wrong) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(Fault { line, what });
        } else {
            self.more_faults += 1;
        }
    }

    /// A fault that explains others, and is told before them.
    fn fault_first(&mut self, what: Wrong) {
        self.faults.insert(0, Fault { line: None, what });
    }

    /// Nothing that was looked at is wrong.
    pub(crate) fn is_sound(&self) -> bool {
        self.faults.is_empty()
    }

    /// What has been shown, as sentences.
    pub(crate) fn proven(&self) -> Vec<String> {
        if !self.is_sound() {
            return Vec::new();
        }
        let Self { envelopes, certificates, records, recovered, .. } = self;
        let mut said = Vec::new();
        if let Seen::Whole { size, remembered } = self.seen {
            said.push(format!(
                "The log has the {size} entries its signed checkpoint states, in this order and no other."
            ));
            if remembered > 0 {
                said.push(format!(
                    "It begins with the {remembered} entries it had when it was last looked at from here."
                ));
            }
        }
        if let Seen::Included { size, remembered } = self.seen {
            let all = all(*envelopes, "The only envelope is", "envelopes are");
            said.push(format!("{all} in the log's tree of {size} entries."));
            if remembered > 0 {
                said.push(format!(
                    "It begins with the {remembered} entries it had when it was last looked at from here."
                ));
            }
        }
        if let Some((at, files)) = self.pack {
            said.push(format!("The {files} files of the evidence are those that the log has on record since {at}."));
        }
        for (name, at) in &self.witnesses {
            let when = at.map_or_else(String::new, |at| format!(", last at {at}"));
            said.push(format!("The witness `{name}` has seen this very checkpoint{when}."));
        }
        said.extend([
            all(
                *envelopes,
                "The only envelope is signed by the key it names, and has not been changed.",
                "envelopes are signed by the keys they name, and none has been changed.",
            ),
            all(
                *certificates,
                "The only signing key is certified by the server's key for the side and session it speaks for.",
                "signing keys are certified by the server's key for the sides and sessions they speak for.",
            ),
            all(
                *records,
                "The only record stands in its key's chain.",
                "records stand in their keys' chains without gaps.",
            ),
        ]);
        let notes = [
            (self.keys_closed, "chain is closed:", "chains are closed:", "nothing is missing at the end either."),
            (self.statements.matched, "statement has", "statements have", "the same account of client and gateway."),
            (
                self.approved,
                "statement that needed",
                "statements that needed",
                "approval ran by one that is on record.",
            ),
            (
                self.raw_texts.intact,
                "encrypted raw text is what",
                "encrypted raw texts are those that",
                "the records name.",
            ),
            (self.raw_texts.erased, "raw text was", "raw texts were", "erased: the log says when, by whom and why."),
            (*recovered, "record was", "records were", "found unsigned after a crash, and signed by the finder."),
        ];
        said.extend(counted(notes));
        said
    }

    /// What has not been shown, and why, as sentences.
    pub(crate) fn not_proven(&self) -> Vec<String> {
        let statements = &self.statements;
        let notes = [
            (self.keys_open, "chain is", "chains are", "not closed: more is to come, or the end was cut off."),
            (self.keys_pending, "chain of a client", "chains of clients", "that died: not all of it has come in."),
            (
                self.keys_recovered,
                "chain ends",
                "chains end",
                "in a crash: what was said last is signed by the finder.",
            ),
            (
                statements.gateway_only,
                "statement is",
                "statements are",
                "known from the gateway alone: the client's account has not come in.",
            ),
            (statements.client_only, "statement is", "statements are", "known from the client alone."),
            (statements.unknown, "statement", "statements", "may or may not have run: nobody saw the end."),
            (statements.held, "statement was", "statements were", "held and did not run."),
            (statements.open, "statement has", "statements have", "not ended."),
            (
                self.raw_texts.unseen,
                "raw text that records name was",
                "raw texts that records name were",
                "not at hand.",
            ),
        ];
        let mut said: Vec<_> = counted(notes).collect();
        match self.seen {
            Seen::Envelopes => said.push(
                "That nothing newer has been taken away is not shown by envelopes alone: it takes a checkpoint from elsewhere."
                    .to_owned(),
            ),
            Seen::Included { .. } => said.push("Other people's records were not looked at.".to_owned()),
            Seen::Whole { .. } => {}
        }
        if let Seen::Included { remembered: 0, .. } | Seen::Whole { remembered: 0, .. } = self.seen {
            said.push("Nothing is remembered of this log: that it was not rewritten before is not shown.".to_owned());
        }
        if self.witnesses.is_empty() && self.seen != Seen::Envelopes {
            said.push("No witness vouches for it: that others are shown the same log is not shown.".to_owned());
        }
        said
    }
}

/// A sentence about all of something: with the count before it, unless there is only one.
fn all(count: u64, one: &str, many: &str) -> String {
    if count == 1 { one.to_owned() } else { format!("All {count} {many}") }
}

/// One sentence for each that there are any of: the count, the words for one or for many, and the rest.
fn counted<const N: usize>(notes: [(u64, &str, &str, &str); N]) -> impl Iterator<Item = String> {
    let some = notes.into_iter().filter(|(count, ..)| *count > 0);
    some.map(|(count, one, many, rest)| format!("{count} {} {rest}", if count == 1 { one } else { many }))
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "envelope {line}: ")?;
        }
        self.what.fmt(f)
    }
}

/// A statement in a sentence.
struct Named(Option<SessionId>, Option<StatementId>);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.1) {
            (Some(session), Some(statement)) => write!(f, "statement {statement} of session {session}"),
            (_, _) => f.write_str("a statement"),
        }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Envelope(why) => why.fmt(f),
            Self::Record { seq, why } => write!(f, "record {seq}: {why}"),
            Self::Place { key, seq } => {
                write!(f, "record {seq} of key {key} does not say itself what its envelope says of it")
            }
            Self::Twice(id) => write!(f, "two records have the id {id}"),
            Self::NoCertificate(key) => write!(f, "the server has not certified the key {key}"),
            Self::TwoCertificates(key) => write!(f, "the key {key} has two certificates"),
            Self::NotItsSession(key) => write!(f, "the key {key} signed for a side or session it is not certified for"),
            Self::OutsideWindow(key) => {
                write!(f, "records of the key {key} claim times at which its certificate was not valid")
            }
            Self::Gap { key, from, to } => write!(f, "records {from} to {to} of the key {key} are missing"),
            Self::Fork { key, seq } => write!(f, "the key {key} signed two different records {seq}"),
            Self::Link { key, seq } => {
                write!(f, "what the key {key} signed from record {seq} on does not follow what it signed before")
            }
            Self::AfterClose { key, seq } => write!(f, "the key {key} signed on after it was closed by record {seq}"),
            Self::NotEntitled { key, seq } => {
                write!(f, "record {seq} of the key {key} speaks for a key it may not speak for")
            }
            Self::Count { found, stated } => {
                write!(f, "the log has {found} entries, and its checkpoint states {stated}")
            }
            Self::Root { size } => write!(f, "the {size} entries are not those the checkpoint was signed for"),
            Self::Tile { path } => write!(f, "`{path}` does not follow from the entries"),
            Self::Shorter { size, remembered } => {
                write!(f, "the log has {size} entries, and had {remembered} when it was last looked at from here")
            }
            Self::Rewritten { remembered } => {
                write!(
                    f,
                    "the first {remembered} entries are not those that were there when it was last looked at from here"
                )
            }
            Self::Evidence { file } => {
                write!(f, "the file `{file}` of the evidence is not what it was, or is not there")
            }
            Self::EvidenceList => write!(f, "the log does not know the list of this evidence"),
            Self::Witness { name, why } => write!(f, "the witness `{name}` does not vouch for this checkpoint: {why}"),
            Self::RawMissing { session, statement } => {
                write!(f, "the raw text of {} is missing, and nobody has erased it", Named(*session, *statement))
            }
            Self::RawChanged { session, statement } => {
                write!(f, "the raw text of {} is not the one that was recorded", Named(*session, *statement))
            }
            Self::NotApproved { session, statement } => {
                write!(
                    f,
                    "statement {statement} of session {session} needed approval and ran; nobody approved it on record"
                )
            }
            Self::NotRevealed { session, statement } => write!(
                f,
                "statement {statement} of session {session} showed masked columns as they are, and the session was not \
                 opened for that"
            ),
            Self::NoEnd { key, statement } => write!(f, "statement {statement} of the key {key} has no end"),
            Self::ClientOnly { session, statement } => {
                write!(f, "statement {statement} of session {session} is known from the client alone")
            }
            Self::Mismatch { session, statement, differ } => {
                let differ = differ.join(", ");
                write!(f, "client and gateway differ about statement {statement} of session {session}: {differ}")
            }
        }
    }
}

#[cfg(test)]
mod tests;
