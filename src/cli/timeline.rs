//! Who connected, what they ran, what data they touched.

use clap::{ArgMatches, Args};

use super::exit::Exit;
use super::output::{Format, Output};
use super::{Command, drift, moment, parse, raw, result, run_async};
use crate::client::gateway::Gateway;
use crate::domain::{Failure, Timestamp};
use crate::runtime::clock;
use crate::wire::api::{TimelineEntry, TimelinePage, TimelineQuery, TimelineSession};

pub(super) struct Timeline;

#[derive(Args)]
struct Arguments {
    /// Show all of this session; the first letters of its id are enough
    session: Option<String>,
    /// Only what this person did: name, e-mail address or pseudonym
    #[arg(long, value_name = "WHO")]
    person: Option<String>,
    /// Only what this agent did
    #[arg(long, value_name = "AGENT")]
    agent: Option<String>,
    /// Only at this database
    #[arg(long, value_name = "NAME")]
    resource: Option<String>,
    /// Only for this purpose
    #[arg(long, value_name = "PURPOSE")]
    purpose: Option<String>,
    /// Only what touched this table, with its schema or without
    #[arg(long, value_name = "TABLE")]
    table: Option<String>,
    /// Only what touched columns that hold this, for example email or pii.ssn
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// Only this approval: who asked, who agreed, what ran by it
    #[arg(long, value_name = "ID")]
    approval: Option<String>,
    /// Only this operation
    #[arg(long, value_name = "OPERATION", value_parser = OPERATIONS)]
    operation: Option<String>,
    /// Only what ended so
    #[arg(long, value_name = "OUTCOME", value_parser = OUTCOMES)]
    outcome: Option<String>,
    /// Only statements whose two accounts compare so
    #[arg(long, value_name = "RESULT", value_parser = BOOKS)]
    books: Option<String>,
    /// Only statements with all these words; `pay*` stands for all words that begin so
    #[arg(long, value_name = "WORDS")]
    text: Option<String>,
    /// Only from then on: 2h, 30d, 2026-11-27, 2026-11-27T09:30 (UTC)
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Only before then
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
    /// Show so many, the newest
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    limit: u32,
    /// Go on showing what happens
    #[arg(short, long)]
    follow: bool,
    /// Also show connections, credentials, and who read the log
    #[arg(long)]
    all: bool,
    /// Of one purpose, show what was never done for it in the 30 days before; --since says from when, a day ago if not
    #[arg(long, requires = "purpose", conflicts_with_all = ["follow", "csv", "limit", "until", "all", "session"])]
    drift: bool,
    /// Show the session's statements as they were typed: for auditors, where they are kept; it is recorded
    #[arg(long, requires = "session", conflicts_with_all = ["follow", "csv", "drift"])]
    raw: bool,
    /// Print as CSV
    #[arg(long)]
    csv: bool,
}

/// What statements do, how they end, and how their two accounts compare, in the words of the records.
const OPERATIONS: [&str; 12] = [
    "read",
    "insert",
    "update",
    "delete",
    "truncate",
    "schema_change",
    "drop",
    "privilege",
    "session",
    "maintenance",
    "outside",
    "opaque",
];
const OUTCOMES: [&str; 6] = ["ok", "error", "denied", "held", "unknown", "open"];
const BOOKS: [&str; 8] =
    ["matched", "gateway_only", "client_only", "mismatch", "refused_by_client", "held", "unknown", "open"];

/// Columns a screen has when nobody says otherwise.
const WIDTH: usize = 80;

/// How long the server waits for something to happen before it says that nothing has.
const WAIT_SECONDS: u64 = 15;

impl Command for Timeline {
    fn name(&self) -> &'static str {
        "timeline"
    }

    fn summary(&self) -> &'static str {
        "Show who ran what, and what data they touched"
    }

    fn define(&self, command: clap::Command) -> clap::Command {
        Arguments::augment_args(command)
            .long_about(
                "Show who connected, what they ran, and what data they touched. One's own sessions; for operators, \
                 everybody's. Statements are shown as they are recorded: without their literal values. That somebody \
                 looked is recorded too. With --drift and a purpose: statements, tables and kinds of data that were never \
                 seen under it before. With --raw and a session, \
                 auditors see statements as they were typed, if the server keeps them.\n\nTimes are in UTC. Filters narrow each other: everything given must hold.",
            )
            .after_help(
                "Examples:\n  gov timeline --since 2h\n  gov timeline --person alice --table customers --operation read\n  \
                 gov timeline --text 'customers email' --outcome denied\n  gov timeline --purpose analytics.report --drift \
                 --since 7d\n  gov timeline 01m8e47gb1",
            )
    }

    fn run(&self, arguments: &ArgMatches, output: &mut Output) -> Result<Exit, Failure> {
        let arguments: Arguments = parse(arguments)?;
        let query = query(&arguments, clock::now())?;
        run_async(async {
            let gateway = Gateway::open().await?;
            if arguments.drift {
                drift::report(&gateway, &query, clock::now(), output).await?;
                return Ok(Exit::Done);
            }
            if arguments.raw {
                return raw::show(&gateway, query, output).await;
            }
            let page: TimelinePage = gateway.find("/v1/timeline", &query).await?;
            let mut printer = Printer::new(&arguments, output);
            printer.page(&page, output);
            if !arguments.follow {
                printer.end(&page, &query, output);
                return Ok(Exit::Done);
            }
            let mut after = page.entries.last().map_or(0, |entry| entry.id);
            while !output.is_closed() {
                let next = TimelineQuery { after: Some(after), wait_seconds: Some(WAIT_SECONDS), ..query.clone() };
                let page: TimelinePage = gateway.find("/v1/timeline", &next).await?;
                printer.page(&page, output);
                after = page.entries.last().map_or(after, |entry| entry.id);
            }
            Ok(Exit::Done)
        })
    }
}

fn query(arguments: &Arguments, now: Timestamp) -> Result<TimelineQuery, Failure> {
    let time = |text: &Option<String>| Ok(moment::option(text.as_deref(), now)?.map(|at| at.to_string()));
    Ok(TimelineQuery {
        person: arguments.person.clone(),
        agent: arguments.agent.clone(),
        resource: arguments.resource.clone(),
        purpose: arguments.purpose.clone(),
        table: arguments.table.clone(),
        tag: arguments.tag.clone(),
        approval: arguments.approval.clone(),
        operation: arguments.operation.clone(),
        outcome: arguments.outcome.clone(),
        books: arguments.books.clone(),
        kind: None,
        text: arguments.text.clone(),
        session: arguments.session.as_ref().map(|session| session.to_lowercase()),
        since: time(&arguments.since)?,
        until: time(&arguments.until)?,
        before: None,
        after: None,
        limit: Some(arguments.limit.max(1)),
        wait_seconds: None,
        all: arguments.all,
    })
}

/// Writes pages, one after the other.
#[derive(Debug)]
struct Printer {
    csv: bool,
    /// One session, and all of it.
    drill_down: bool,
    /// Of what was written last: the session, or who it was where there is none; and the day.
    under: Option<String>,
    day: String,
    begun: bool,
}

impl Printer {
    fn new(arguments: &Arguments, output: &Output) -> Self {
        let csv = arguments.csv && output.format() == Format::Human;
        let (under, day, begun) = Default::default();
        Self { csv, drill_down: arguments.session.is_some(), under, day, begun }
    }

    fn page(&mut self, page: &TimelinePage, output: &mut Output) {
        if output.format() == Format::Json {
            page.entries.iter().for_each(|entry| output.json(entry));
        } else if self.csv {
            self.csv_rows(page, output);
        } else {
            self.people(page, output);
        }
    }

    fn csv_rows(&mut self, page: &TimelinePage, output: &mut Output) {
        let mut out = Vec::new();
        if !std::mem::replace(&mut self.begun, true) {
            let heading: Vec<_> = CSV_COLUMNS.iter().map(|(name, _)| Some(name.as_bytes().to_vec())).collect();
            // Writing into memory does not fail.
            drop(result::write_csv(&mut out, &heading));
        }
        for entry in &page.entries {
            let cells: Vec<_> = CSV_COLUMNS.iter().map(|(_, cell)| cell(entry).map(String::into_bytes)).collect();
            drop(result::write_csv(&mut out, &cells));
        }
        output.bytes(&out);
    }

    fn people(&mut self, page: &TimelinePage, output: &mut Output) {
        for entry in &page.entries {
            let day = entry.at.get(..10).unwrap_or_default();
            let new_day = self.day != day;
            if new_day {
                self.day = day.to_owned();
                let text = output.paint("1", day);
                output.line(format!("{}{text}", if self.begun { "\n" } else { "" }));
            }
            let under = whose(entry);
            if new_day || self.under.as_ref() != under || !self.begun {
                self.under = under.cloned();
                let session = page.sessions.iter().find(|session| Some(&session.session) == entry.session.as_ref());
                output.line(format!("\n{}", heading(entry, session)));
            }
            self.begun = true;
            self.entry(entry, output);
        }
        if self.drill_down
            && let [session] = page.sessions.as_slice()
        {
            output.line(format!("\n{}", accounts(session)));
        }
    }

    fn entry(&self, entry: &TimelineEntry, output: &mut Output) {
        let time = entry.at.get(11..19).unwrap_or_default();
        if entry.kind != "statement" {
            output.line(format!("  {time}  {}", cut(&happening(entry), WIDTH.saturating_sub(12))));
            return;
        }
        let text = entry.text.as_deref().unwrap_or("(not understood, so not recorded)");
        let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let lines_max = if self.drill_down { usize::MAX } else { 2 };
        let lines = wrapped(&super::output::clean(&text), WIDTH.saturating_sub(12), lines_max);
        for (index, line) in lines.iter().enumerate() {
            output.line(if index == 0 { format!("  {time}  {line}") } else { format!("            {line}") });
        }
        let (color, said) = came_of_it(entry);
        output.line(format!("            {}", output.paint(color, &said)));
        if let Some(held) = held(entry) {
            let lines = wrapped(&super::output::clean(&held), WIDTH.saturating_sub(12), lines_max);
            lines.iter().for_each(|line| output.line(format!("            {line}")));
        }
    }

    /// Says what there is beyond the page.
    fn end(&self, page: &TimelinePage, query: &TimelineQuery, output: &mut Output) {
        if page.entries.is_empty() && output.format() == Format::Human && !self.csv {
            output.say("Nothing like that is on record.");
        } else if page.more && output.format() == Format::Human {
            let limit = query.limit.unwrap_or_default();
            output.say(format!(
                "There is more before this. Narrow it with filters, or see more with --limit {}.",
                limit.saturating_mul(10)
            ));
        }
    }
}

/// What an entry stands under: its session, or whoever it was where there is none.
fn whose(entry: &TimelineEntry) -> Option<&String> {
    entry.session.as_ref().or(entry.who.as_ref()).or(entry.subject.as_ref())
}

/// `shop  Alice Ames  read  in-database  support.ticket (ZD-812)  01m8…`
fn heading(entry: &TimelineEntry, session: Option<&TimelineSession>) -> String {
    let who = entry.who.as_deref().or(entry.subject.as_deref());
    let Some(id) = &entry.session else {
        return who.map_or_else(|| "the server".to_owned(), |who| format!("{who}, at the server"));
    };
    // What happens besides statements may know of its session no more than the name.
    let known = |own: &Option<String>, of: fn(&TimelineSession) -> &Option<String>| {
        own.clone().or_else(|| session.and_then(|session| of(session).clone()))
    };
    let resource = known(&entry.resource, |session| &session.resource);
    let mut parts = vec![resource.unwrap_or_default(), who.unwrap_or("somebody").to_owned()];
    if let Some(agent) = known(&entry.agent, |session| &session.agent) {
        parts.push(format!("through {agent}"));
    }
    if let Some(access) = session.and_then(|session| session.access.clone()) {
        parts.push(access);
    }
    if let Some(masking) = session.and_then(|session| session.masking.clone()) {
        parts.push(masking);
    }
    let purpose = known(&entry.purpose, |session| &session.purpose);
    match (purpose, known(&entry.reference, |session| &session.reference)) {
        (Some(purpose), Some(reference)) => parts.push(format!("{purpose} ({reference})")),
        (Some(purpose), None) => parts.push(purpose),
        (None, _) => {}
    }
    parts.push(id.clone());
    super::output::clean(&parts.join("  "))
}

/// What became of a statement, and the colour for it.
fn came_of_it(entry: &TimelineEntry) -> (&'static str, String) {
    let rules = entry.rules.join(", ");
    let mut said = match entry.outcome.as_deref() {
        Some("ok") => {
            let rows = entry.rows.unwrap_or(0);
            let mut said = format!("ok, {rows} {}", if rows == 1 { "row" } else { "rows" });
            if let Some(masked) = entry.masked_cells.filter(|masked| *masked > 0) {
                said.push_str(&format!(", {masked} {} masked", if masked == 1 { "cell" } else { "cells" }));
            }
            if let Some(took) = entry.took_us {
                said.push_str(&format!(", {}", duration(took)));
            }
            return ("32", with_books(said, entry));
        }
        Some("denied") => format!("denied by {rules}"),
        Some("held") => format!("held by {rules}: somebody must approve"),
        Some("error") => format!("failed with SQLSTATE {}", entry.sqlstate.as_deref().unwrap_or("unknown")),
        Some("unknown") => "unknown: it may have run".to_owned(),
        _ => "running".to_owned(),
    };
    if entry.books.as_deref() == Some("refused_by_client") {
        said.push_str(" on the client's side");
        return ("31", said);
    }
    ("31", with_books(said, entry))
}

/// What sensitive columns a statement touched, and how their values went out.
fn held(entry: &TimelineEntry) -> Option<String> {
    let shown = |tag: &&String| !entry.masked_tags.contains(tag) && !entry.clear_tags.contains(tag);
    let touched: Vec<String> = entry.tags.iter().filter(shown).cloned().collect();
    let parts = [("in clear", &entry.clear_tags), ("masked", &entry.masked_tags), ("not shown", &touched)];
    let parts = parts.iter().filter(|(_, tags)| !tags.is_empty());
    let mut said: Vec<String> = parts.map(|(how, tags)| format!("{how}: {}", tags.join(", "))).collect();
    said.extend(entry.approval.as_ref().map(|approval| format!("by approval {approval}")));
    (!said.is_empty()).then(|| said.join("; "))
}

/// Adds what is not as it should be about the two accounts.
fn with_books(mut said: String, entry: &TimelineEntry) -> String {
    let told = match entry.books.as_deref() {
        Some("mismatch") => "; CLIENT AND GATEWAY DIFFER",
        Some("client_only") => "; KNOWN FROM THE CLIENT ALONE",
        Some("gateway_only") => "; the client's account has not come in",
        _ => "",
    };
    said.push_str(told);
    said
}

fn duration(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} us"),
        1_000..1_000_000 => format!("{} ms", micros / 1_000),
        _ => format!("{}.{} s", micros / 1_000_000, micros / 100_000 % 10),
    }
}

/// Something that is no statement, in words.
fn happening(entry: &TimelineEntry) -> String {
    let why = entry.why.as_deref().unwrap_or_default();
    match entry.kind.as_str() {
        "session.open" => "session opened".to_owned(),
        "session.close" => format!("session closed ({})", why.replace('_', " ")),
        "session.refuse" => format!("session refused ({why})"),
        "auth.login" => "logged in".to_owned(),
        "auth.fail" => format!("login failed ({why})"),
        "cred.mint" => "database role made for the session".to_owned(),
        "cred.revoke" => "database role gone".to_owned(),
        "cred.sweep" => "database role of a lost session removed".to_owned(),
        "stream.open" => "connection opened".to_owned(),
        "stream.close" => format!("connection closed ({why})"),
        "stmt.cancel" => "cancel asked for".to_owned(),
        "txn.refuse" => format!("transaction rolled back ({})", why.replace('_', " ")),
        "mask.trip" => format!("ended: a value of {why} was about to leave unmasked"),
        "recon.session" => "the two accounts were compared".to_owned(),
        "audit.read" => format!("read the log: {why}"),
        "approval" => {
            // What time and the machine do is nobody's.
            let said = matches!(why, "pending" | "approved" | "denied" | "revoked" | "withdrawn" | "reviewed");
            let by = entry.who.as_ref().filter(|_| said).map_or_else(String::new, |who| format!(", by {who}"));
            format!("approval {} is {why}{by}", entry.approval.as_deref().unwrap_or_default())
        }
        other if why.is_empty() => other.to_owned(),
        other => format!("{other} ({why})"),
    }
}

/// A session's books, as a sentence.
fn accounts(session: &TimelineSession) -> String {
    let counted: Vec<_> =
        session.books.iter().map(|(word, count)| format!("{count} {}", word.replace('_', " "))).collect();
    let counted = if counted.is_empty() { "no statements".to_owned() } else { counted.join(", ") };
    format!("accounts: {counted}")
}

/// Text in lines of at most `width`, broken at spaces where there are any; at most so many lines.
fn wrapped(text: &str, width: usize, lines_max: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        let length = |text: &str| text.chars().count();
        if !line.is_empty() && length(&line) + 1 + length(word) > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    let more = lines.len() > lines_max;
    lines.truncate(lines_max);
    let last = lines.len().saturating_sub(1);
    for (index, line) in lines.iter_mut().enumerate() {
        *line = if more && index == last { cut(&format!("{line} …"), width) } else { cut(line, width) };
    }
    lines
}

/// Text that is not wider than that.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

type Column = (&'static str, fn(&TimelineEntry) -> Option<String>);

/// What CSV has. Appended to, never reordered.
const CSV_COLUMNS: &[Column] = &[
    ("at", |entry| Some(entry.at.clone())),
    ("kind", |entry| Some(entry.kind.clone())),
    ("who", |entry| entry.who.clone()),
    ("subject", |entry| entry.subject.clone()),
    ("agent", |entry| entry.agent.clone()),
    ("resource", |entry| entry.resource.clone()),
    ("purpose", |entry| entry.purpose.clone()),
    ("reference", |entry| entry.reference.clone()),
    ("session", |entry| entry.session.clone()),
    ("statement", |entry| entry.statement.clone()),
    ("operations", |entry| Some(entry.operations.join(" "))),
    ("objects", |entry| Some(entry.objects.join("; "))),
    ("tags", |entry| Some(entry.tags.join(" "))),
    ("action", |entry| entry.action.clone()),
    ("rules", |entry| Some(entry.rules.join(" "))),
    ("outcome", |entry| entry.outcome.clone()),
    ("sqlstate", |entry| entry.sqlstate.clone()),
    ("rows", |entry| entry.rows.map(|rows| rows.to_string())),
    ("masked_cells", |entry| entry.masked_cells.map(|cells| cells.to_string())),
    ("took_us", |entry| entry.took_us.map(|took| took.to_string())),
    ("books", |entry| entry.books.clone()),
    ("why", |entry| entry.why.clone()),
    ("leaf", |entry| Some(entry.leaf.to_string())),
    ("text", |entry| entry.text.clone()),
    ("masked_tags", |entry| Some(entry.masked_tags.join(" "))),
    ("clear_tags", |entry| Some(entry.clear_tags.join(" "))),
    ("approval", |entry| entry.approval.clone()),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_stands_under_the_name_of_somebody_else() {
        let login = |who: &str, subject: &str| TimelineEntry {
            who: (!who.is_empty()).then(|| who.to_owned()),
            subject: Some(subject.to_owned()),
            ..TimelineEntry::default()
        };
        let all = [login("alice", "u-1"), login("bob", "u-2"), login("", "u-3"), login("", "u-4")];
        for [before, after] in all.array_windows() {
            assert_ne!(whose(before), whose(after));
            assert_ne!(heading(before, None), heading(after, None));
        }
    }

    #[test]
    fn statements_fit_the_screen() {
        assert_eq!(wrapped("SELECT one FROM two", 10, 9), ["SELECT one", "FROM two"]);
        assert_eq!(wrapped("SELECT one FROM two WHERE three", 10, 2), ["SELECT one", "FROM two …"]);
        assert_eq!(wrapped("SELECTSELECTSELECT a", 10, 9), ["SELECTSEL…", "a"]);
        assert_eq!(wrapped("", 10, 2), [""]);
    }
}
