//! The same SQL in many databases: which, how many at once, one merged result, and how each of them ended.
//!
//! 1. The target chooses databases among those the server offers ([`Target`]); `--dry-run` ends here, with verdicts.
//! 2. Sessions are opened in order, so many at a time. Each database's rows wait in a channel of their own.
//! 3. The channels are read in the order of the list, so that the merged result is the same each time. A database that
//!    is ahead of its turn is held back, not buffered.
//! 4. What ended how is kept in the file of `--resume` ([`Book`]), and told at the end.

mod book;

use std::sync::{Arc, Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::{Semaphore, mpsc};

use super::exec::{self, Sink};
use super::exit::Exit;
use super::output::{self, Output};
use super::result::{Format, Printer};
use super::variables::Prepared;
use super::wish::WishArguments;
use crate::client::inside::{self, Inside};
use crate::domain::{Duration, Failure, Kind, Labels, ResourceName, print_duration};
use crate::runtime::clock;
use crate::runtime::database::{Answer, Connection};
use crate::runtime::shutdown::{self, Ending, Shutdown};
use crate::session::WAITS;
use crate::wire::api::{ExplainRequest, Explanation, ResourceEntry, ResourceList};
use crate::wire::postgres::{self, Column};
use book::{Book, State};

/// Rows of a database that may wait for their turn.
const ROWS_AHEAD: usize = 1024;

/// The first column of a merged result.
const RESOURCE: &str = "_resource";

/// PostgreSQL's number for the type `text`.
const TEXT: u32 = 25;

/// What SQL is run in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// One database, whose results are shown as they are.
    One(ResourceName),
    /// Those of a list.
    Listed(Vec<ResourceName>),
    /// Those that carry all these labels.
    Labelled(Labels),
}

impl Target {
    /// A name to write in a hint.
    pub(super) fn example(&self) -> &str {
        match self {
            Self::One(name) => name.as_str(),
            Self::Listed(names) => names.first().map_or("RESOURCE", ResourceName::as_str),
            Self::Labelled(_) => "RESOURCE",
        }
    }
}

/// Reads a target: `prod-db`, `a,b,c`, or `env=staging,data=financial`.
pub(super) fn target(text: &str) -> Result<Target, String> {
    let parts: Vec<&str> = text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    let labels: Vec<_> = parts.iter().filter_map(|part| part.split_once('=')).collect();
    if !labels.is_empty() {
        if labels.len() < parts.len() {
            return Err("write either names or labels (`label=value`), not both".to_owned());
        }
        let labels = labels.into_iter().map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
        return Ok(Target::Labelled(labels.collect()));
    }
    let mut names = Vec::new();
    for part in &parts {
        let name: ResourceName = part.parse().map_err(|error: crate::domain::BadName| error.to_string())?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    match names.as_slice() {
        [name] if !text.contains(',') => Ok(Target::One(name.clone())),
        [] => Err("name a database, or the labels of several".to_owned()),
        _ => Ok(Target::Listed(names)),
    }
}

/// What is to be done, and how.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) wish: WishArguments,
    pub(super) target: Target,
    pub(super) statements: Vec<Prepared>,
    /// What connections begin with.
    pub(super) parameters: Vec<(String, String)>,
    pub(super) format: Format,
    pub(super) parallel: usize,
    pub(super) resume: Option<std::path::PathBuf>,
    pub(super) dry_run: bool,
}

/// How one database ended.
#[derive(Clone, Debug)]
struct Report {
    rows: u64,
    /// What the database said about statements without rows.
    tags: Vec<String>,
    took: Duration,
    end: End,
}

#[derive(Clone, Debug)]
enum End {
    Done,
    /// It ended well in an earlier run.
    DoneBefore,
    Failed(Failure),
    /// It may or may not have taken effect.
    Unknown(Failure),
}

/// What one database sends.
enum Message {
    Columns(Vec<Column>),
    Row(Vec<Option<Vec<u8>>>),
    Ended(Box<Report>),
}

/// What the tasks of all databases share.
struct Shared {
    order: Order,
    book: Mutex<Book>,
    bar: ProgressBar,
    /// What is for the person at once, whoever's turn it is.
    talk: mpsc::UnboundedSender<String>,
}

/// Runs an order in every database of its target. An exit code is given even when some failed: the merged result is
/// data, and a failure's document must not stand in it.
pub(super) async fn run(order: Order, output: &mut Output) -> Result<Exit, Failure> {
    let gateway = order.wish.gateway().await?;
    let list: ResourceList = gateway.get("/v1/resources").await?;
    let names = choose(&order.target, &list)?;
    if order.dry_run {
        return rehearse(&order, &gateway, &names, output).await;
    }
    let book = Book::open(order.resume.as_deref(), &order.statements, order.wish.writes())?;
    let bar = bar(names.len(), output);
    let (talk, mut said) = mpsc::unbounded_channel();
    let shared = Arc::new(Shared { order, book: Mutex::new(book), bar: bar.clone(), talk });
    let (stop, ending) = Shutdown::new();
    let (mut receivers, mut queue) = (Vec::new(), Vec::new());
    for name in &names {
        let (sender, receiver) = mpsc::channel(ROWS_AHEAD);
        receivers.push(receiver);
        queue.push((name.clone(), sender));
    }
    tokio::spawn(start(Arc::clone(&shared), queue, ending));

    let mut merged = Merged {
        printer: Printer::new(Sink::new(output), shared.order.format),
        columns: None,
        odd: false,
        left_out: None,
    };
    let mut reports = Vec::new();
    let mut signalled = Box::pin(shutdown::signalled());
    let mut interrupted = false;
    for (name, mut receiver) in names.iter().zip(receivers) {
        let report = loop {
            tokio::select! {
                Some(text) = said.recv() => bar.suspend(|| merged.printer.talk(&text)),
                message = receiver.recv() => match message {
                    Some(Message::Columns(columns)) => merged.begin(columns)?,
                    Some(Message::Row(cells)) => merged.row(name, cells)?,
                    Some(Message::Ended(report)) => break *report,
                    None => break stopped(),
                },
                signal = &mut signalled, if !interrupted => {
                    signal?;
                    interrupted = true;
                    stop.begin();
                }
            }
            if merged.printer.is_unread() {
                stop.begin();
            }
        };
        reports.push(merged.checked(name, report));
    }
    bar.finish_and_clear();
    while let Ok(text) = said.try_recv() {
        merged.printer.talk(&text);
    }
    merged.end()?;
    drop(merged);
    summarise(&names, &reports, output);
    if let Some(path) = shared.order.resume.as_ref().filter(|_| worst(&reports) != Exit::Done) {
        output.say(format!("To go on, run the same command again: `{}` knows what is done.", path.display()));
    }
    Ok(if interrupted { Exit::INTERRUPTED } else { worst(&reports) })
}

/// The databases of a target, in order.
fn choose(target: &Target, list: &ResourceList) -> Result<Vec<ResourceName>, Failure> {
    let named = |entry: &ResourceEntry| entry.name.parse().ok();
    let found: Vec<ResourceName> = match target {
        Target::One(name) => vec![name.clone()],
        Target::Listed(names) => {
            let missing = names.iter().find(|name| !list.resources.iter().any(|entry| entry.name == name.as_str()));
            if let Some(name) = missing {
                return Err(Failure::new(Kind::NotFound, format!("there is no resource `{name}` for you"))
                    .hint("see what there is with: gov ls"));
            }
            names.clone()
        }
        Target::Labelled(labels) => {
            let carries =
                |entry: &&ResourceEntry| labels.iter().all(|(name, value)| entry.labels.get(name) == Some(value));
            list.resources.iter().filter(carries).filter_map(named).collect()
        }
    };
    if found.is_empty() {
        return Err(
            Failure::new(Kind::NotFound, "no database carries these labels").hint("see what there is with: gov ls")
        );
    }
    Ok(found)
}

/// Says what would happen, and opens nothing.
async fn rehearse(
    order: &Order,
    gateway: &crate::client::gateway::Gateway,
    names: &[ResourceName],
    output: &mut Output,
) -> Result<Exit, Failure> {
    let access = order.wish.access().word();
    let (mut rows, mut exit) = (Vec::new(), Exit::Done);
    for name in names {
        for statement in &order.statements {
            let reveal = order.wish.revealed();
            let request =
                ExplainRequest { sql: statement.text.clone(), access: access.to_owned(), reveal, estimated_rows: None };
            let explained = gateway.post::<Explanation>(&format!("/v1/resources/{name}/explain"), &request).await;
            let (verdict, rule, why, code) = match explained {
                Ok(Explanation { refused: None, .. }) => ("allow".to_owned(), String::new(), String::new(), Exit::Done),
                Ok(Explanation { refused: Some(refused), .. }) => {
                    let code = if refused.verdict == "hold" { Exit::Pending } else { Exit::Denied };
                    (refused.verdict, refused.rule, refused.message, code)
                }
                Err(failure) => ("error".to_owned(), String::new(), failure.message, Exit::from(failure.kind)),
            };
            if exit == Exit::Done {
                exit = code;
            }
            rows.push([name.to_string(), statement.text.clone(), verdict, rule, why]);
        }
    }
    let headings = [RESOURCE, "statement", "verdict", "rule", "why"];
    let mut printer = Printer::new(Sink::new(output), order.format);
    let written = (|| {
        printer.begin(headings.iter().map(|name| text_column(name)).collect())?;
        for row in rows {
            printer.row(row.into_iter().map(|cell| Some(cell.into_bytes())).collect())?;
        }
        printer.end()
    })();
    written.map_err(exec::unwritable)?;
    Ok(exit)
}

/// Starts one task for each database, in order, so many at a time: whoever's turn it is has always been started.
async fn start(shared: Arc<Shared>, queue: Vec<(ResourceName, mpsc::Sender<Message>)>, mut ending: Ending) {
    let gate = Arc::new(Semaphore::new(shared.order.parallel));
    for (name, sender) in queue {
        let permit = tokio::select! {
            permit = Arc::clone(&gate).acquire_owned() => permit,
            () = ending.asked() => return,
        };
        let (shared, ending) = (Arc::clone(&shared), ending.clone());
        tokio::spawn(async move {
            let report = visit(&shared, &name, &sender, ending).await;
            shared.bar.inc(1);
            drop(sender.send(Message::Ended(Box::new(report))).await);
            drop(permit);
        });
    }
}

/// Runs everything in one database, and keeps how it ended.
async fn visit(shared: &Shared, name: &ResourceName, sender: &mpsc::Sender<Message>, ending: Ending) -> Report {
    let started = clock::now();
    let mut run = Run { name, sender, shared, rows: 0, tags: Vec::new(), begun: false };
    let book = |state| shared.book.lock().unwrap_or_else(PoisonError::into_inner).set(name, state);
    let before = shared.book.lock().unwrap_or_else(PoisonError::into_inner).state(name);
    let end = match before {
        Some(State::Done) => End::DoneBefore,
        // Whoever changes data twice by accident is worse off than whoever has to look.
        Some(State::Begun) if shared.order.wish.writes() => End::Unknown(
            Failure::new(Kind::Gateway, "an earlier run began here and did not learn how it ended")
                .hint("look whether it took effect, then run it in this database alone"),
        ),
        Some(State::Begun | State::Failed) | None => match book(State::Begun) {
            Err(failure) => End::Failed(failure),
            Ok(()) => match run.session(ending).await {
                Ok(()) => End::Done,
                Err(failure) if run.begun && failure.kind == Kind::Gateway => End::Unknown(failure),
                Err(failure) => End::Failed(failure),
            },
        },
    };
    let kept = match &end {
        End::Done => book(State::Done),
        End::Failed(_) => book(State::Failed),
        End::DoneBefore | End::Unknown(_) => Ok(()),
    };
    if let Err(failure) = kept {
        drop(shared.talk.send(format!("warning: {}", failure.message)));
    }
    Report { rows: run.rows, tags: run.tags, took: clock::now().since(started), end }
}

/// One database's part.
struct Run<'a> {
    name: &'a ResourceName,
    sender: &'a mpsc::Sender<Message>,
    shared: &'a Shared,
    rows: u64,
    tags: Vec<String>,
    /// Something was sent to the database.
    begun: bool,
}

impl Run<'_> {
    async fn session(&mut self, mut ending: Ending) -> Result<(), Failure> {
        let order = &self.shared.order;
        let gateway = order.wish.gateway().await?;
        let inside = Inside::open(gateway, order.wish.stated(self.name)?).await?;
        let ran = tokio::select! {
            ran = self.statements(&inside) => ran,
            // Ending the session ends what runs in the database.
            () = ending.asked() => Err(given_up()),
        };
        if let Err(failure) = inside.end().await {
            self.say(&format!("the session could not be ended at the gateway: {}", failure.message));
        }
        ran
    }

    async fn statements(&mut self, inside: &Inside) -> Result<(), Failure> {
        let order = &self.shared.order;
        let mut own = inside.connect(order.parameters.clone()).await?;
        let mut outcome = Ok(());
        for statement in &order.statements {
            self.begun = true;
            outcome = self.statement(&mut own.connection, statement).await;
            if outcome.is_err() {
                break;
            }
        }
        own.close().await;
        outcome
    }

    async fn statement(&mut self, connection: &mut Connection, statement: &Prepared) -> Result<(), Failure> {
        let values: Vec<Option<&str>> = statement.values.iter().map(|value| Some(value.as_str())).collect();
        if let Err(error) = connection.ask_with(&statement.text, &values).await {
            return Err(inside::unheard(connection, error).await);
        }
        let (mut in_rows, mut failed) = (false, None);
        loop {
            // Whoever ends a connection says why before.
            let said = |error| failed.as_ref().map_or_else(|| inside::lost(error), inside::said_no);
            match connection.next().await.map_err(said)? {
                Answer::Columns(columns) => {
                    in_rows = true;
                    self.send(Message::Columns(columns)).await?;
                }
                Answer::Row(cells) => {
                    self.rows += 1;
                    self.send(Message::Row(cells)).await?;
                }
                // It has no columns that could be merged.
                Answer::Copied(_) => {}
                Answer::Complete(_) if std::mem::take(&mut in_rows) => {}
                Answer::Complete(tag) => self.tags.push(tag),
                Answer::Notice(complaint) if complaint.sqlstate() == *WAITS.as_bytes() => {
                    self.say(&exec::whole(&complaint));
                }
                Answer::Notice(complaint) => self.say(&exec::shown(&complaint)),
                Answer::CopyWanted => {
                    connection.refuse_copy("gov exec has no data to copy").await.map_err(inside::lost)?;
                }
                Answer::Suspended | Answer::Parameter(..) => {}
                Answer::Failed(complaint) => failed = failed.or(Some(complaint)),
                Answer::Ready(_) => return failed.map_or(Ok(()), |complaint| Err(inside::said_no(&complaint))),
            }
        }
    }

    async fn send(&self, message: Message) -> Result<(), Failure> {
        self.sender.send(message).await.map_err(|_| given_up())
    }

    fn say(&self, text: &str) {
        drop(self.shared.talk.send(format!("{}: {text}", self.name)));
    }
}

/// One result out of many.
struct Merged<'a> {
    printer: Printer<Sink<'a>>,
    /// Names of the columns.
    columns: Option<Vec<String>>,
    /// The result that is being read has others: its rows are left out.
    odd: bool,
    /// What has been left out of the database whose turn it is.
    left_out: Option<LeftOut>,
}

/// Rows that could not be merged.
struct LeftOut {
    rows: u64,
    /// Names of the columns that the first such result has.
    columns: Vec<String>,
}

impl Merged<'_> {
    /// A database begins a result. Only the first of the list decides what the columns are called.
    fn begin(&mut self, columns: Vec<Column>) -> Result<(), Failure> {
        let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        let Some(known) = &self.columns else {
            let all = std::iter::once(text_column(RESOURCE)).chain(columns).collect();
            self.columns = Some(names);
            return self.printer.begin(all).map_err(exec::unwritable);
        };
        self.odd = *known != names;
        if self.odd {
            self.left_out.get_or_insert(LeftOut { rows: 0, columns: names });
        }
        Ok(())
    }

    fn row(&mut self, name: &ResourceName, cells: Vec<Option<Vec<u8>>>) -> Result<(), Failure> {
        if let Some(left_out) = self.left_out.as_mut().filter(|_| self.odd) {
            left_out.rows += 1;
            return Ok(());
        }
        let cells = std::iter::once(Some(name.to_string().into_bytes())).chain(cells).collect();
        self.printer.row(cells).map_err(exec::unwritable)
    }

    /// How a database ended, its rows considered: those that could not be merged are not shown, which is told.
    fn checked(&mut self, name: &ResourceName, report: Report) -> Report {
        self.odd = false;
        let Some(left_out) = self.left_out.take() else { return report };
        let rows = report.rows.saturating_sub(left_out.rows);
        let end = match report.end {
            End::Done => End::Failed(
                Failure::new(Kind::Usage, "it ran, and rows are left out: their columns are not those of the others")
                    .detail(format!("They have {}.", left_out.columns.join(", ")))
                    .hint(format!("look at it alone: gov exec {name} …")),
            ),
            end @ (End::DoneBefore | End::Failed(_) | End::Unknown(_)) => end,
        };
        Report { rows, end, ..report }
    }

    fn end(&mut self) -> Result<(), Failure> {
        match self.columns {
            Some(_) => self.printer.end().map_err(exec::unwritable),
            None => Ok(()),
        }
    }
}

fn text_column(name: &str) -> Column {
    Column {
        name: name.to_owned(),
        table: 0,
        attribute: 0,
        kind: TEXT,
        size: -1,
        modifier: -1,
        format: postgres::Format::Text,
    }
}

/// Databases counted on a terminal.
fn bar(count: usize, output: &Output) -> ProgressBar {
    if !output.is_watched() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(count.try_into().unwrap_or(u64::MAX));
    let style = ProgressStyle::with_template("{bar:30} {pos} of {len} databases, {elapsed}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

fn given_up() -> Failure {
    Failure::new(Kind::Gateway, "it was interrupted")
}

/// A database that was never visited.
fn stopped() -> Report {
    let failure = Failure::new(Kind::Gateway, "it was not begun");
    Report { rows: 0, tags: Vec::new(), took: Duration::ZERO, end: End::Failed(failure) }
}

/// The code of the first that did not end well.
fn worst(reports: &[Report]) -> Exit {
    let failure = |report: &Report| match &report.end {
        End::Failed(failure) | End::Unknown(failure) => Some(Exit::from(failure.kind)),
        End::Done | End::DoneBefore => None,
    };
    reports.iter().find_map(failure).unwrap_or(Exit::Done)
}

/// A line for each database, and one for all, on the error output.
fn summarise(names: &[ResourceName], reports: &[Report], output: &Output) {
    let width = names.iter().map(|name| name.as_str().len()).max().unwrap_or_default();
    let mut well = 0_usize;
    for (name, report) in names.iter().zip(reports) {
        let (word, text) = match &report.end {
            End::Done => {
                well += 1;
                let what = if report.tags.is_empty() { counted(report.rows) } else { report.tags.join(", ") };
                ("ok", format!("{what} in {}", brief(report.took)))
            }
            End::DoneBefore => {
                well += 1;
                ("ok", "done in an earlier run".to_owned())
            }
            End::Failed(failure) => (word(failure.kind), told(failure, report)),
            End::Unknown(failure) => ("unknown", told(failure, report)),
        };
        let line = format!("{:<width$}  {word:<7}  {text}", name.as_str());
        output.say(output::clean(&line));
    }
    let bad = reports.len().saturating_sub(well);
    output.say(format!("{} databases: {well} ok, {bad} not.", reports.len()));
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Denied => "denied",
        Kind::Pending => "held",
        Kind::Limit => "limit",
        Kind::Usage | Kind::NotFound | Kind::NotLoggedIn | Kind::Gateway | Kind::Database | Kind::Internal => "failed",
    }
}

/// Why, on one line; with the id that an approval is asked for by, and what was already shown.
fn told(failure: &Failure, report: &Report) -> String {
    let detail = failure.detail.as_deref().unwrap_or_default().lines().next().unwrap_or_default();
    let detail = if detail.is_empty() { String::new() } else { format!(" ({detail})") };
    let rows = if report.rows == 0 { String::new() } else { format!(", after {}", counted(report.rows)) };
    format!("{}{rows}{detail}", failure.message)
}

fn counted(rows: u64) -> String {
    format!("{rows} {}", if rows == 1 { "row" } else { "rows" })
}

fn brief(took: Duration) -> String {
    if took < Duration::from_secs(10) { format!("{:.1}s", took.as_secs_f64()) } else { print_duration(took) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_a_name_a_list_or_labels() {
        let name = |text: &str| text.parse::<ResourceName>().unwrap();
        let labels = |pairs: &[(&str, &str)]| {
            Target::Labelled(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
        };
        assert_eq!(target("prod-db"), Ok(Target::One(name("prod-db"))));
        assert_eq!(target("a,b,a"), Ok(Target::Listed(vec![name("a"), name("b")])));
        // A list of one is a list: its result has the column.
        assert_eq!(target("a,"), Ok(Target::Listed(vec![name("a")])));
        assert_eq!(target("env=staging"), Ok(labels(&[("env", "staging")])));
        assert_eq!(target("env=staging, data=x"), Ok(labels(&[("data", "x"), ("env", "staging")])));
        for bad in ["", ",", "a,env=b", "A", "a b"] {
            assert!(target(bad).is_err(), "{bad}");
        }
    }
}
