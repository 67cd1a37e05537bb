//! One governed connection: the state machine that client and gateway both run.
//!
//! Bytes and time in; bytes and events out. No sockets, no clock. The peer that is nearer to the person is
//! "the client", the one nearer to the data is "the database", whatever stands in between:
//!
//! ```text
//!            requests: read, understood, decided, written anew (takes a Permit)
//!  client ───────────────────────────────────────────────────────────────────▶ database
//!         ◀───────────────────────────────────────────────────────────────────
//!            responses: split, rows masked (takes a Masked), passed on
//! ```
//!
//! Both directions go on independently. What ties them together is the queue of what the database still owes: one
//! entry for each request sent, in order, because PostgreSQL answers in order.

#[cfg(test)]
pub(crate) mod fuzz;
#[cfg(all(fuzzing, not(test)))]
pub(crate) mod fuzz;
mod hold;
mod ledger;
mod request;
mod response;
mod rows;
#[cfg(test)]
mod tests;
mod transaction;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, OnceLock};

use ring::hmac;

use crate::audit::TextSealer;
use crate::domain::{
    ApprovalId, Digest, Event, Failure, Grant, Happening, Kind, Outcome, Reason, SealedText, Shown, StatementEnd,
    StatementId, Timestamp,
};
use crate::engine::{CopyForm, Engine, Incoming, Masker, Refusal, ResultColumn, Rewritten, Scope, Understood};
use crate::wire::buffer::{Frames, WireError};
use crate::wire::postgres::{self, CopyFormat, CopyRow, Severity, Target, Transaction};
use crate::wire::tunnel;
use ledger::Ledger;
use transaction::Script;

pub(crate) use hold::{Ask, Plea, WAITS};
pub(crate) use ledger::AUDIT;
pub(crate) use response::tripped;
#[cfg(test)]
pub(crate) use rows::tests::share_of_rows;
pub(crate) use rows::{Helper, Share};

/// Which end of the tunnel this is. Both decide; only one is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Duty {
    /// This end's decisions and masks count: the gateway.
    Enforce,
    /// The other end enforces. This one refuses early, keeps its own books, and passes rows on: the client.
    Watch,
}

/// What a session is made of.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) duty: Duty,
    pub(crate) engine: Arc<Engine>,
    pub(crate) grant: Arc<Grant>,
    /// Which connection of the grant's session this is.
    pub(crate) stream: u32,
    /// Key of [`crate::domain::StatementStart::raw_hmac`].
    pub(crate) text_key: hmac::Key,
    /// Seals raw texts for the record, where they are kept.
    pub(crate) sealer: Option<Arc<TextSealer>>,
    /// There is somebody to ask about what must be approved. Without, it is refused.
    pub(crate) approvals: bool,
    /// The client wants to know which columns of each result were masked.
    pub(crate) tells_masked: bool,
}

/// What a step hands to the outside.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    pub(crate) to_client: Vec<u8>,
    pub(crate) to_database: Vec<u8>,
    /// To be recorded in this order.
    pub(crate) events: Vec<Event>,
    /// How many of `events`, from the first, must be durable before anything of `to_database` leaves. What a turn sends
    /// waits as a whole: in two pieces it would wake the database twice. `0 <= durable_first <= events.len()`
    pub(crate) durable_first: usize,
    /// The catalog is older than what the session has seen: it should be read anew, and
    /// [`Session::catalog_refreshed`] called.
    pub(crate) refresh: bool,
    /// The planner should be asked, and [`Session::estimated`] called.
    pub(crate) estimate: Option<Box<Inquiry>>,
    /// What is said to those who approve.
    pub(crate) pleas: Vec<Plea>,
    /// Nobody wants the rest of what the database sends for the statement at hand: it should be cancelled there, before
    /// anything more is read or sent.
    pub(crate) cancel: bool,
    /// The connection ends once `to_client` has been delivered.
    pub(crate) close: Option<Closing>,
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closing {
    /// The client said goodbye.
    Terminated,
    /// The client broke the protocol.
    ClientFault,
    /// The database broke the protocol, or went away.
    DatabaseFault,
    /// The grant ended.
    GrantEnded,
    /// A masked value was about to go out as it is.
    Tripped,
}

impl Closing {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Terminated => "terminated",
            Self::ClientFault => "client_fault",
            Self::DatabaseFault => "database_fault",
            Self::GrantEnded => "grant_ended",
            Self::Tripped => "tripped",
        }
    }
}

/// Prepared statements and portals one connection may hold. A driver's statement cache holds a few hundred.
const NAMES_MAX: usize = 10_000;

/// How a statement ended that came behind one that failed, and was never run.
const NEVER_RAN: &[u8; 5] = b"57014";

/// Requests a client may send ahead of their answers. Pipelining drivers stay under a few thousand; the number bounds
/// memory, not speed.
const PENDING_MAX: usize = 100_000;

/// One governed connection.
#[derive(Debug)]
pub(crate) struct Session {
    setup: Setup,
    from_client: Frames,
    from_database: Frames,
    scope: Scope,
    /// What the database said last about its transaction.
    status: Transaction,
    /// The database is in a transaction block, as far as answers have come.
    in_block: bool,
    /// The transaction block has begun, and nothing was sent in it yet: it may still become one that writes.
    block_is_new: bool,
    /// A batch of the extended protocol was sent in part: its Sync has not been.
    unsynced: bool,
    /// The transaction that may not commit before its audit.
    ledger: Option<Ledger>,
    /// The simple query that runs in steps.
    script: Option<Script>,
    prepared: HashMap<String, Prepared>,
    portals: HashMap<String, Arc<Portal>>,
    /// What the database still owes, in order.
    pending: VecDeque<Pending>,
    /// A request of an extended-query batch was refused or failed on our side: everything up to Sync is dropped.
    skipping: bool,
    /// What was refused of the batch that is being dropped, before its Execute came. It is not on record yet.
    refused_early: Option<Box<Early>>,
    /// What the batch at hand had prepared when it failed at the database: an Execute that waited, or comes behind it, is of
    /// that and runs nothing.
    fallen: Option<Box<Fallen>>,
    /// An Execute was sent since the last Sync, outside a transaction block: the batch is a transaction of its own.
    batch_executed: bool,
    /// The database is reading COPY data from the client.
    copying_in: bool,
    /// The COPY data at hand were refused: what still comes of them goes nowhere.
    copy_refused: bool,
    /// The end of the COPY data that were passed on.
    copy_tail: Vec<u8>,
    /// COPY data on their way to the database, where masks in their rows are known.
    copy_in: Option<CopyIn>,
    /// The client has been given an error that the database knows nothing of: until it is ready again the client is
    /// told nothing else.
    muted: bool,
    /// The columns that the client was told last were masked.
    told_masked: String,
    /// Statements numbered so far.
    statements: u64,
    /// Raw texts sealed so far.
    texts_sealed: u64,
    /// Numbers of statements that were not read and are not on record yet.
    unread: Vec<StatementId>,
    /// Why nothing can be put on record at the moment, and therefore nothing may run.
    unrecordable: Option<Failure>,
    /// A request that waits for something. Nothing behind it is read meanwhile.
    waiting: Option<Waiting>,
    /// The approval for which the other end lets a statement wait; on the end that watches, until that is answered.
    waits_for: Option<ApprovalId>,
    /// Somebody agreed to the request at hand.
    released: Option<Released>,
    /// What the planner said of the request at hand, once it was asked; `None` inside: it could not say.
    estimated: Option<Option<u64>>,
    /// The request at hand was parked once; it is decided by what is known now.
    unparked: bool,
    /// The database has said itself why it closes the connection.
    farewell: bool,
    /// Masks rows at the same time.
    helper: Option<Arc<dyn Helper>>,
    /// A statement was running when the connection ended.
    cut: bool,
    closed: bool,
}

/// What a request waits for; with the request as it came.
#[derive(Debug)]
enum Waiting {
    /// A newer catalog, to be decided by.
    Catalog(Vec<u8>),
    /// The answers to everything sent before it.
    Answers(Vec<u8>),
    /// The audit of the transaction that it commits.
    Audit(Vec<u8>),
    /// What the planner expects of it.
    Estimate(Vec<u8>),
    /// Somebody's approval.
    Approval(Box<Held>),
}

/// What the planner is asked about: one statement, as it would be run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inquiry {
    /// `None`: it cannot be asked about this.
    pub(crate) text: Option<String>,
    /// In text form.
    pub(crate) values: Vec<Option<String>>,
    pub(crate) search_path: Vec<String>,
}

/// A statement that waits for approval.
#[derive(Debug)]
struct Held {
    request: Vec<u8>,
    /// Digest of what was asked about.
    binding: Digest,
    /// The rules that asked for it.
    rules: Vec<&'static str>,
    /// What is on record of it when nobody agrees.
    raw: RawText,
    refusal: Refusal,
}

/// What was refused when it was prepared, or when values were bound to it.
#[derive(Debug)]
struct Early {
    raw: RawText,
    refusal: Refusal,
    /// The name it would have had.
    statement: Option<String>,
    /// The portal that would have stood for it, once that is known.
    portal: Option<String>,
}

/// A batch that failed at the database.
#[derive(Debug)]
struct Fallen {
    /// How the statement that is asked for next ended.
    sqlstate: [u8; 5],
    /// The last of a name counts.
    statements: Vec<(String, Prepared)>,
    portals: Vec<(String, Arc<Understood>, RawText)>,
}

/// An approval that was given.
#[derive(Debug)]
struct Released {
    id: ApprovalId,
    binding: Digest,
    rules: Vec<&'static str>,
}

/// A question of ours to the database.
#[derive(Debug)]
struct Own {
    task: Task,
    /// It was asked within a batch of the extended protocol, not as a simple query.
    in_batch: bool,
    row: Option<Vec<Option<String>>>,
    error: Option<[u8; 5]>,
}

/// What a question of ours is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    Begin,
    Counts,
    Audit,
    Commit,
    Rollback,
}

/// What goes on record of a statement's raw text.
#[derive(Clone, Debug)]
struct RawText {
    hmac: Digest,
    sealed: Option<Arc<SealedText>>,
}

/// A prepared statement.
#[derive(Clone, Debug)]
struct Prepared {
    text: Arc<[u8]>,
    sealed: Option<Arc<SealedText>>,
    what: Arc<Understood>,
    /// Type oids of its parameters as far as the client gave them.
    types: Arc<[u32]>,
    /// It will be held when it is executed: whoever decides then will want to see the values.
    held: bool,
}

/// A portal: a prepared statement with values bound to it.
#[derive(Debug)]
struct Portal {
    statement: Prepared,
    /// Its HMAC is over text and values.
    raw: RawText,
    /// The values, of a statement that will be held.
    values: Option<Vec<Option<Vec<u8>>>>,
    /// Some of the values are in binary form.
    binary: bool,
    /// Why the values themselves ask for approval.
    hold: Option<Reason>,
    /// What the database says its rows look like, once it has said so.
    columns: OnceLock<Vec<ResultColumn>>,
    /// A Describe for this portal has been sent.
    described: std::sync::atomic::AtomicBool,
}

/// A statement that runs: from the request to its last answer.
#[derive(Debug)]
struct Run {
    id: StatementId,
    what: Arc<Understood>,
    /// Which command of the text is running.
    command: usize,
    masker: Option<Masker>,
    /// Rows of COPY … TO STDOUT are being sent.
    copy: Option<CopyOut>,
    /// With whoever helps to mask its rows; kept for its memory.
    share: Option<Box<Share>>,
    started: Timestamp,
    rows: u64,
    bytes: u64,
    masked_columns: u32,
    masked_cells: u64,
    shown: Shown,
    /// Columns of which it compares masks, where that is told.
    compares: Arc<[(u32, i16)]>,
    error: Option<[u8; 5]>,
    /// Code runs in it that nobody reviewed.
    opaque: bool,
    /// What was sent in place of its text.
    rewritten: Option<Box<Rewritten>>,
    /// What it runs by.
    approval: Option<ApprovalId>,
    /// Rows it may return; `None` is without limit, and at the end that does not enforce.
    rows_max: Option<u64>,
    /// Bytes of rows beyond those, which went nowhere; `None` while there are none.
    cut: Option<u64>,
}

/// COPY data on their way to the database.
#[derive(Debug)]
struct CopyIn {
    rows: Incoming,
    format: CopyFormat,
    /// Nothing of them has come yet.
    first: bool,
    /// The row at hand; kept for its memory.
    row: CopyRow,
    /// A row that has not come whole.
    rest: Vec<u8>,
    /// Bytes of it from which on it is read again.
    enough: usize,
}

/// COPY data on its way to the client.
#[derive(Debug)]
struct CopyOut {
    format: CopyFormat,
    /// Nothing of it has come yet.
    first: bool,
    /// The next message has the columns' names and is no row.
    names: bool,
    /// The next line has the columns' names.
    header: bool,
    /// The rows at hand, kept for their memory.
    rows: [CopyRow; rows::GROUP],
}

/// How rows are written that go to the client or come from there; nothing where that is not known. And whether the first
/// line has the columns' names.
fn copy_format(form: CopyForm) -> Option<(CopyFormat, bool)> {
    let bytes = |text: Box<str>| text.as_bytes().to_vec();
    Some(match form {
        CopyForm::Text { delimiter, null, header } => (CopyFormat::Text { delimiter, null: bytes(null) }, header),
        CopyForm::Csv { delimiter, quote, escape, null, header } => {
            (CopyFormat::Csv { delimiter, quote, escape, null: bytes(null) }, header)
        }
        CopyForm::Binary => (CopyFormat::Binary, false),
        CopyForm::Unknown => return None,
    })
}

impl Run {
    /// It has returned all rows that it may.
    fn is_full(&self) -> bool {
        self.rows_max.is_some_and(|rows_max| self.rows >= rows_max)
    }

    /// Takes the masker's counts before it is dropped or replaced.
    fn settle(&mut self) {
        (self.copy, self.share) = (None, None);
        if let Some(masker) = self.masker.take() {
            self.masked_columns = self.masked_columns.saturating_add(masker.columns_masked());
            self.masked_cells = self.masked_cells.saturating_add(masker.cells_masked());
            // Of a result without rows nothing went out.
            if self.bytes > 0 {
                self.shown.add(masker.shown());
            }
        }
    }
}

/// What the database owes for one request.
#[derive(Debug)]
enum Pending {
    /// A simple query: any number of results, then ReadyForQuery.
    Query(Box<Run>),
    /// ParseComplete. `before` is what the name stood for until now, `rewritten` what was sent in place of the text.
    Parse { name: String, before: Option<Prepared>, rewritten: Option<Box<Rewritten>> },
    /// BindComplete.
    Bind { portal: String, before: Option<Arc<Portal>> },
    /// ParameterDescription (statements only), then RowDescription or NoData. `shown`: the client asked for it.
    Describe { portal: Option<Arc<Portal>>, shown: bool },
    /// Rows, then CommandComplete, EmptyQueryResponse or PortalSuspended.
    Execute { run: Box<Run>, portal: Arc<Portal> },
    /// CloseComplete.
    Close { target: Target, name: String, before: Closed },
    /// ReadyForQuery.
    Sync,
    /// The end of COPY data from the client was sent here; nothing is owed for it.
    CopyEnd,
    /// The answer to a question of ours, which the client does not see.
    Own(Own),
    /// Nothing is owed: these bytes are ours and go to the client when it is their turn.
    Local { bytes: Vec<u8>, ready: bool },
    /// A request of ours that must fail, so that the database undoes the batch a refused request belongs to. Its error
    /// is replaced by these bytes.
    Poison { bytes: Vec<u8> },
}

/// What a closed name stood for.
#[derive(Debug)]
enum Closed {
    Statement(Option<Prepared>),
    Portal(Option<Arc<Portal>>),
}

impl Session {
    /// A connection that has just logged in.
    pub(crate) fn new(setup: Setup, scope: Scope) -> Self {
        Self {
            setup,
            from_client: Frames::new(postgres::REQUEST_MAX),
            from_database: Frames::new(postgres::REPLY_MAX),
            scope,
            status: Transaction::Idle,
            in_block: false,
            block_is_new: false,
            unsynced: false,
            ledger: None,
            script: None,
            prepared: HashMap::new(),
            portals: HashMap::new(),
            pending: VecDeque::new(),
            skipping: false,
            refused_early: None,
            fallen: None,
            batch_executed: false,
            copying_in: false,
            copy_refused: false,
            copy_tail: Vec::new(),
            copy_in: None,
            muted: false,
            told_masked: String::new(),
            statements: 0,
            texts_sealed: 0,
            unread: Vec::new(),
            unrecordable: None,
            waiting: None,
            waits_for: None,
            released: None,
            estimated: None,
            unparked: false,
            farewell: false,
            helper: None,
            cut: false,
            closed: false,
        }
    }

    /// Statements numbered so far.
    pub(crate) fn statements(&self) -> u64 {
        self.statements
    }

    /// Says to the other end of the tunnel that this one is there. In the middle of a message there is no place for that,
    /// and no need: the rest of it says so too.
    pub(crate) fn beat(&self, turn: &mut Turn) {
        match self.setup.duty {
            Duty::Watch => tunnel::beat(&mut turn.to_database),
            Duty::Enforce if self.from_database.at_message_start() => tunnel::beat(&mut turn.to_client),
            Duty::Enforce => {}
        }
    }

    /// Which end this is.
    pub(crate) fn duty(&self) -> Duty {
        self.setup.duty
    }

    /// Whether the connection ended while a statement ran, of which the database knows nothing yet.
    pub(crate) fn was_cut(&self) -> bool {
        self.cut
    }

    /// Says whether records can be written. While they cannot, statements are refused one by one, and the connection
    /// stays.
    pub(crate) fn recording(&mut self, state: Result<(), Failure>) {
        self.unrecordable = state.err();
    }

    /// Client bytes that wait behind a request that waits.
    pub(crate) fn held_back(&self) -> usize {
        if self.waiting.is_some() { self.from_client.kept() } else { 0 }
    }

    /// No request is being answered: a cut now loses nothing.
    #[cfg(test)]
    pub(crate) fn is_idle(&self) -> bool {
        self.pending.is_empty() && self.from_client.at_boundary() && self.from_database.at_boundary()
    }

    /// The grant ended while the connection was open: says so to the client and closes.
    pub(crate) fn grant_ended(&mut self, now: Timestamp, failure: &Failure, turn: &mut Turn) {
        // admin_shutdown, which drivers know to reconnect after; a budget is not whole again by that.
        let sqlstate = if failure.kind == Kind::Limit { postgres::failure_sqlstate(failure.kind) } else { "57P01" };
        self.close(now, Closing::GrantEnded, Some((sqlstate, failure)), turn);
    }

    /// The database side is gone, or the way to it: `failure` says which.
    pub(crate) fn database_lost(&mut self, now: Timestamp, failure: &Failure, turn: &mut Turn) {
        let parted = self.waits_for.map(|id| hold::parted(failure, id));
        let say = Some(("08006", parted.as_ref().unwrap_or(failure))).filter(|_| !self.farewell);
        self.close(now, Closing::DatabaseFault, say, turn);
    }

    /// The client side is gone without a word.
    pub(crate) fn client_lost(&mut self, now: Timestamp, turn: &mut Turn) {
        self.close(now, Closing::Terminated, None, turn);
    }

    fn violated(&mut self, now: Timestamp, who: Closing, error: &WireError, turn: &mut Turn) {
        if let (Closing::ClientFault, WireError::Length { length, max, .. }) = (who, error)
            && usize::try_from(*length).is_ok_and(|length| length > *max)
        {
            let failure = Failure::new(Kind::Limit, "this request is too long")
                .detail(format!("A request may have {} MiB.", max >> 20))
                .hint("send the data in several statements, or with COPY");
            return self.close(now, who, Some(("54000", &failure)), turn);
        }
        let (message, hint) = match who {
            Closing::ClientFault => (
                "what this client sent is not PostgreSQL's protocol",
                "if it is a current PostgreSQL driver, please report it with its version",
            ),
            _ => (
                "what the database sent is not PostgreSQL's protocol",
                "connect without a pooler or proxy between the gateway and the database",
            ),
        };
        let failure = Failure::new(Kind::Gateway, message).detail(format!("{error}.")).hint(hint);
        self.close(now, who, Some(("08P01", &failure)), turn);
    }

    /// Ends the connection: open statements become `unknown`, because nobody saw them end.
    fn close(&mut self, now: Timestamp, why: Closing, say: Option<(&str, &Failure)>, turn: &mut Turn) {
        if self.closed {
            return;
        }
        self.closed = true;
        self.settle_early(now, turn);
        if let Some(held) = self.take_held() {
            turn.pleas.push(Plea::Withdraw);
            self.turned_away(now, &held.raw, &held.refusal, turn);
        }
        self.catch_up(now, turn);
        // In the middle of a message that is being passed through there is no place for another one.
        if let Some((sqlstate, failure)) = say
            && self.from_database.at_message_start()
        {
            postgres::error(postgres::complaint(Severity::Fatal, sqlstate, failure, None), &mut turn.to_client);
        }
        if let Some(run) = self.script.take().and_then(|script| script.run) {
            self.ended(now, *run, Outcome::Unknown, turn);
        }
        for entry in std::mem::take(&mut self.pending) {
            if let Pending::Query(run) | Pending::Execute { run, .. } = entry {
                self.cut = true;
                self.ended(now, *run, Outcome::Unknown, turn);
            }
        }
        turn.close = Some(why);
    }

    /// Records the end of a statement.
    fn ended(&self, now: Timestamp, mut run: Run, outcome: Outcome, turn: &mut Turn) {
        run.settle();
        if let Some(id) = run.approval {
            turn.pleas.push(Plea::Ended { id, executed: hold::executed(&outcome) });
        }
        self.happened(
            now,
            Happening::StatementEnded(StatementEnd {
                id: run.id,
                outcome,
                rows: run.rows,
                bytes: run.bytes,
                masked_columns: run.masked_columns,
                masked_cells: run.masked_cells,
                shown: run.shown,
                took: now.since(run.started),
            }),
            turn,
        );
    }

    fn happened(&self, now: Timestamp, happening: Happening, turn: &mut Turn) {
        turn.events.push(Event { at: now, session: Some(self.setup.grant.session), happening });
    }

    fn raw_text(&mut self, text: &[u8]) -> RawText {
        RawText { hmac: self.hmac(std::iter::once(text)), sealed: self.sealed(text) }
    }

    fn sealed(&mut self, text: &[u8]) -> Option<Arc<SealedText>> {
        let sealer = self.setup.sealer.as_ref()?;
        self.texts_sealed += 1;
        sealer.seal(self.setup.stream, self.texts_sealed, text).map(Arc::new)
    }

    /// HMAC over the parts, each followed by its length, so that no two lists of parts give the same input.
    fn hmac<'a>(&self, parts: impl Iterator<Item = &'a [u8]>) -> Digest {
        let mut context = hmac::Context::with_key(&self.setup.text_key);
        for part in parts {
            context.update(part);
            context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        }
        Digest::of_hash(context.sign().as_ref())
    }
}
