//! Run SQL in a governed session, for scripts.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{ArgMatches, Args};
use indicatif::{ProgressBar, ProgressStyle};

use super::exit::Exit;
use super::fleet::{self, Order, Target};
use super::output::{self, Output};
use super::result::{self, Format, Printer};
use super::variables::{self, Prepared};
use super::wish::WishArguments;
use super::{Command, parse, run_async};
use crate::client::inside::{self, Inside};
use crate::domain::{ApprovalId, Duration, Failure, Kind, ResourceName};
use crate::runtime::database::{Answer, Connection};
use crate::runtime::{files, log, shutdown};
use crate::session::WAITS;
use crate::wire::postgres::{APPROVAL, Complaint};

/// Longest file or input of SQL. A statement itself may have 1 MiB.
const INPUT_MAX: u64 = 64 * 1024 * 1024;

/// How long a result may take before its progress is shown.
const PROGRESS_AFTER: Duration = Duration::from_millis(700);

pub(super) struct Exec;

#[derive(Args)]
struct Arguments {
    /// The database, as `gov ls` names it; several as `a,b,c`, or by their labels as `env=staging`
    #[arg(value_name = "RESOURCE", value_parser = fleet::target)]
    target: Target,
    #[command(flatten)]
    wish: WishArguments,
    /// Run this; may be repeated
    #[arg(short, long = "command", value_name = "SQL", conflicts_with = "file", allow_hyphen_values = true)]
    command: Vec<String>,
    /// Run what is in this file; `-` is the input
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Set a variable: `:NAME` in the SQL becomes a bound value, `:"NAME"` a quoted identifier
    #[arg(short = 'v', long = "set", value_name = "NAME=VALUE", value_parser = variables::assignment)]
    set: Vec<(String, String)>,
    /// How rows are written
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: Format,
    /// Run everything in one transaction: all of it, or nothing
    #[arg(short = '1', long)]
    single_transaction: bool,
    /// Do not wait for an approval: end with code 5, and its id on the output
    #[arg(long)]
    no_wait: bool,
    /// Use an approval that was asked for with --no-wait, for the very same SQL
    #[arg(long, value_name = "ID")]
    approval: Option<ApprovalId>,
    /// Of several databases, run in so many at once
    #[arg(long, value_name = "COUNT", default_value = "4")]
    parallel: NonZeroUsize,
    /// Of several databases, keep in this file how each ended, and leave out those that ended well before
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
    /// Say which databases are meant and whether the policy would let it run there; open nothing
    #[arg(long, conflicts_with_all = ["resume", "approval", "no_wait"])]
    dry_run: bool,
}

impl Command for Exec {
    fn name(&self) -> &'static str {
        "exec"
    }

    fn summary(&self) -> &'static str {
        "Run SQL in a governed session"
    }

    fn define(&self, command: clap::Command) -> clap::Command {
        Arguments::augment_args(command)
            .long_about(
                "Run SQL in a governed session of its own, for scripts and one-off questions. It comes from -c, from a \
                 file, or from the input; statements run one after the other, and the first that fails ends it. Rows go \
                 to the output, everything else to the error output.\n\nThe exit code says what happened: 0 all ran, 3 \
                 the policy said no, 5 somebody must approve first, 9 the database refused. `gov --help` lists all.\n\n\
                 Several databases, named in a list or chosen by all the labels they carry, give one result with the \
                 column `_resource` before the others. One that fails does not stop the others; how each ended is said on \
                 the error output, and the exit code is that of the first in the list that failed, or 0. With --resume \
                 FILE the same command again runs only where it has not ended well; where it is not known whether a \
                 change took effect, it says so and does not run again.",
            )
            .after_help(
                "Examples:\n  gov exec prod-db -c 'select count(*) from orders'\n  gov exec prod-db -v id=7 -c 'select * \
                 from orders where id = :id' --format json\n  gov exec staging-db --write -1 -f migration.sql\n  gov exec \
                 env=staging -c 'select version()' --format csv\n  gov exec env=prod --write -1 -f fix.sql --resume fix.json",
            )
    }

    fn appendix(&self) -> Option<(&'static str, String)> {
        let schema = serde_json::to_string_pretty(&result::schema()).ok()?;
        Some(("JSON SCHEMA", schema))
    }

    fn run(&self, arguments: &ArgMatches, output: &mut Output) -> Result<Exit, Failure> {
        let mut arguments: Arguments = parse(arguments)?;
        log::start("warn");
        if output.format() == output::Format::Json {
            arguments.format = Format::Json;
        }
        let statements = statements(&arguments)?;
        if statements.is_empty() {
            return Err(
                Failure::new(Kind::Usage, "there is no SQL to run").hint("give it with -c, with -f, or on the input")
            );
        }
        let resource = match &arguments.target {
            Target::One(name) if !arguments.dry_run => name.clone(),
            _ => return run_async(fleet::run(order(arguments, statements)?, output)),
        };
        if arguments.resume.is_some() {
            let message = "`--resume` is for several databases";
            return Err(Failure::new(Kind::Usage, message).hint(format!("write a list of one: {resource},")));
        }
        run_async(exec(&resource, &arguments, &statements, output))
    }
}

/// What is to be run, read and prepared before anything is opened: a mistake on the last line costs nothing.
fn statements(arguments: &Arguments) -> Result<Vec<Prepared>, Failure> {
    let texts =
        if arguments.command.is_empty() { vec![input(arguments.file.as_deref())?] } else { arguments.command.clone() };
    let variables: BTreeMap<String, String> = arguments.set.iter().cloned().collect();
    let mut prepared = Vec::new();
    for text in &texts {
        for statement in variables::statements(text) {
            if statement.starts_with('\\') {
                let word = statement.split_whitespace().next().unwrap_or_default();
                return Err(Failure::new(Kind::Usage, format!("`{word}` is a command of psql, not SQL"))
                    .hint(format!("use psql: gov connect {} -- psql", arguments.target.example())));
            }
            prepared.push(variables::prepare(statement, &variables)?);
        }
    }
    Ok(prepared)
}

fn input(file: Option<&std::path::Path>) -> Result<String, Failure> {
    let (name, bytes) = match file {
        Some(path) if path != std::path::Path::new("-") => {
            let name = format!("`{}`", path.display());
            let bytes = files::read_limited(path, INPUT_MAX)
                .and_then(|found| found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "It does not exist")));
            (name, bytes)
        }
        Some(_) | None => {
            let mut bytes = Vec::new();
            let read = io::stdin().lock().take(INPUT_MAX).read_to_end(&mut bytes);
            ("the input".to_owned(), read.map(|_| bytes))
        }
    };
    let unusable = |error: &dyn std::fmt::Display| {
        Failure::new(Kind::Usage, format!("{name} cannot be read")).detail(format!("{error}."))
    };
    String::from_utf8(bytes.map_err(|error| unusable(&error))?).map_err(|_| unusable(&"It is not UTF-8"))
}

/// The same for several databases.
fn order(arguments: Arguments, mut statements: Vec<Prepared>) -> Result<Order, Failure> {
    if arguments.approval.is_some() {
        return Err(Failure::new(Kind::Usage, "an approval is for one database"));
    }
    if arguments.single_transaction && !arguments.dry_run {
        statements.insert(0, plain("BEGIN"));
        statements.push(plain("COMMIT"));
    }
    Ok(Order {
        parameters: parameters(&arguments),
        wish: arguments.wish,
        target: arguments.target,
        statements,
        format: arguments.format,
        parallel: arguments.parallel.get(),
        resume: arguments.resume,
        dry_run: arguments.dry_run,
    })
}

async fn exec(
    resource: &ResourceName,
    arguments: &Arguments,
    statements: &[Prepared],
    output: &mut Output,
) -> Result<Exit, Failure> {
    let gateway = arguments.wish.gateway().await?;
    let wish = arguments.wish.wish(&gateway, resource, output).await?;
    let inside = Inside::open(gateway, wish).await?;
    let ran = tokio::select! {
        ran = run(&inside, arguments, statements, output) => ran.map(|()| Exit::Done),
        // Ending the session ends what runs in the database.
        signal = shutdown::signalled() => signal.map(|_| Exit::INTERRUPTED),
    };
    if let Err(failure) = inside.end().await {
        output.warn(format!("the session could not be ended at the gateway: {}", failure.message));
    }
    ran
}

async fn run(
    inside: &Inside,
    arguments: &Arguments,
    statements: &[Prepared],
    output: &mut Output,
) -> Result<(), Failure> {
    let mut own = inside.connect(parameters(arguments)).await?;
    let outcome = all(&mut own.connection, arguments, statements, output).await;
    own.close().await;
    outcome
}

/// What the connection begins with; the last two are for the gateway, which takes them out.
fn parameters(arguments: &Arguments) -> Vec<(String, String)> {
    let mut parameters = vec![("application_name".to_owned(), "gov exec".to_owned())];
    if arguments.no_wait {
        parameters.push(("gov.wait".to_owned(), "off".to_owned()));
    }
    parameters.extend(arguments.approval.map(|id| ("gov.approval".to_owned(), id.to_string())));
    parameters
}

async fn all(
    connection: &mut Connection,
    arguments: &Arguments,
    statements: &[Prepared],
    output: &mut Output,
) -> Result<(), Failure> {
    if arguments.single_transaction {
        one(connection, &plain("BEGIN"), arguments.format, output).await?;
    }
    for statement in statements {
        let outcome = one(connection, statement, arguments.format, output).await;
        if output.is_closed() {
            // Whoever read it has had enough.
            return Ok(());
        }
        outcome?;
    }
    if arguments.single_transaction {
        one(connection, &plain("COMMIT"), arguments.format, output).await?;
    }
    Ok(())
}

fn plain(text: &str) -> Prepared {
    Prepared { text: text.to_owned(), values: Vec::new() }
}

/// Runs one statement and writes what it gives.
async fn one(
    connection: &mut Connection,
    statement: &Prepared,
    format: Format,
    output: &mut Output,
) -> Result<(), Failure> {
    let values: Vec<Option<&str>> = statement.values.iter().map(|value| Some(value.as_str())).collect();
    if let Err(error) = connection.ask_with(&statement.text, &values).await {
        return Err(inside::unheard(connection, error).await);
    }
    let progress = Progress::new(output);
    let mut printer = Printer::new(Sink::new(output), format);
    let (mut in_rows, mut failed) = (false, None);
    loop {
        let answer = connection.next().await;
        // Whoever ends a connection says why before.
        let said = |error| failed.as_ref().map_or_else(|| inside::lost(error), inside::said_no);
        match answer.map_err(said)? {
            Answer::Columns(columns) => {
                printer.begin(columns).map_err(unwritable)?;
                in_rows = true;
            }
            Answer::Row(cells) => {
                progress.row();
                printer.row(cells).map_err(unwritable)?;
            }
            Answer::Copied(data) => printer.raw(&data).map_err(unwritable)?,
            Answer::Complete(tag) => {
                if std::mem::take(&mut in_rows) {
                    printer.end().map_err(unwritable)?;
                } else {
                    progress.hide();
                    printer.talk(&tag);
                }
            }
            Answer::Notice(complaint) if complaint.sqlstate() == *WAITS.as_bytes() => {
                printer.talk(&whole(&complaint));
                progress.waits();
            }
            Answer::Notice(complaint) => {
                progress.hide();
                printer.talk(&shown(&complaint));
            }
            Answer::CopyWanted => {
                connection.refuse_copy("gov exec has no data to copy").await.map_err(inside::lost)?;
            }
            // Masks show in the rows themselves.
            Answer::Suspended | Answer::Parameter(..) => {}
            Answer::Failed(complaint) => failed = failed.or(Some(complaint)),
            Answer::Ready(_) => {
                progress.hide();
                printer.flush().map_err(unwritable)?;
                return match failed {
                    None => Ok(()),
                    Some(complaint) => {
                        // For scripts, which come back with it.
                        if let Some(id) = approval_of(&complaint) {
                            printer.raw(format!("{id}\n").as_bytes()).map_err(unwritable)?;
                            printer.flush().map_err(unwritable)?;
                        }
                        Err(inside::said_no(&complaint))
                    }
                };
            }
        }
    }
}

/// Rows counted on a terminal, once a result takes long enough for somebody to wonder.
struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    fn new(output: &Output) -> Self {
        let bar = output.is_watched().then(|| {
            let bar = ProgressBar::no_length();
            let style = ProgressStyle::with_template("{spinner} {pos} rows, {elapsed}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.enable_steady_tick(PROGRESS_AFTER);
            bar
        });
        Self { bar }
    }

    /// Somebody else is waited for.
    fn waits(&self) {
        if let Some(bar) = &self.bar {
            let style = ProgressStyle::with_template("{spinner} waiting for approval, {elapsed}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        }
    }

    fn row(&self) {
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
    }

    fn hide(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.hide();
    }
}

/// Data on its way to the output, in larger pieces.
pub(super) struct Sink<'a> {
    output: &'a mut Output,
    buffer: Vec<u8>,
}

/// Bytes gathered before they are written.
const SINK_SIZE: usize = 64 * 1024;

impl<'a> Sink<'a> {
    pub(super) fn new(output: &'a mut Output) -> Self {
        Self { output, buffer: Vec::new() }
    }

    /// Something for the person, after the data so far.
    pub(super) fn talk(&mut self, text: &str) {
        self.push();
        self.output.say(text);
    }

    /// Whoever read it has had enough.
    pub(super) fn is_unread(&self) -> bool {
        self.output.is_closed()
    }

    fn push(&mut self) {
        self.output.bytes(&self.buffer);
        self.buffer.clear();
    }
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= SINK_SIZE {
            self.push();
        }
        // A reader that went away is not an error: what is left is not wanted.
        if self.output.is_closed() { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.push();
        Ok(())
    }
}

/// The approval that a statement needs and nobody waits for.
fn approval_of(complaint: &Complaint) -> Option<ApprovalId> {
    complaint.field(APPROVAL).filter(|_| complaint.needs_approval())?.parse().ok()
}

/// What a notice says, with its detail and hint: of a statement that waits, who is waited for and what they have to do.
pub(super) fn whole(complaint: &Complaint) -> String {
    let part = |code: u8, before: &str| complaint.field(code).map(|text| format!("{before}{}", output::clean(text)));
    let parts = [Some(output::clean(complaint.message())), part(b'D', "  "), part(b'H', "hint: ")];
    parts.into_iter().flatten().collect::<Vec<_>>().join("\n")
}

pub(super) fn shown(complaint: &Complaint) -> String {
    let severity = complaint.field(b'S').unwrap_or("NOTICE").to_lowercase();
    format!("{severity}: {}", whole(complaint))
}

#[expect(clippy::needless_pass_by_value, reason = "the form that `map_err` takes")]
pub(super) fn unwritable(error: io::Error) -> Failure {
    Failure::new(Kind::Usage, "the output could not be written").detail(format!("{error}."))
}
