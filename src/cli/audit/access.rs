//! Show who touched what kind of data.

use clap::Args;

use super::super::exit::Exit;
use super::super::output::{Format, Output, clean};
use super::super::{moment, result};
use crate::client::gateway::Gateway;
use crate::domain::Failure;
use crate::runtime::clock;
use crate::wire::api::{AccessEntry, AccessQuery, AccessReport};

#[derive(Args)]
pub(super) struct Arguments {
    /// Only this kind of data, in the words of `gov classify`: email, card, us_ssn; `pii.ssn` is understood too
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// Only what this person did: name, e-mail address or pseudonym
    #[arg(long, value_name = "WHO")]
    person: Option<String>,
    /// Only at this database
    #[arg(long, value_name = "NAME")]
    resource: Option<String>,
    /// Only from then on: 2h, 30d, 2026-11-27, 2026-11-27T09:30 (UTC)
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Only before then
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
    /// Write comma-separated values
    #[arg(long)]
    csv: bool,
}

/// One's own accesses; for operators, everybody's.
pub(super) async fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let now = clock::now();
    let query = AccessQuery {
        tag: arguments.tag.clone(),
        person: arguments.person.clone(),
        resource: arguments.resource.clone(),
        since: moment::option(arguments.since.as_deref(), now)?.map(|at| at.to_string()),
        until: moment::option(arguments.until.as_deref(), now)?.map(|at| at.to_string()),
    };
    let report: AccessReport = Gateway::open().await?.find("/v1/timeline/access", &query).await?;
    match output.format() {
        Format::Json => output.json(&report),
        Format::Human if arguments.csv => output.bytes(&csv(&report)),
        Format::Human if report.access.is_empty() => output.say("Nobody touched anything like that, by the records."),
        Format::Human => people(&report, output),
    }
    Ok(Exit::Done)
}

/// A heading for each kind of data, and two lines for each way in which somebody touched it.
fn people(report: &AccessReport, output: &mut Output) {
    let mut tag = None;
    for entry in &report.access {
        if tag != Some(&entry.tag) {
            let heading = output.paint("1", &clean(&entry.tag));
            output.line(format!("{}{heading}", if tag.is_some() { "\n" } else { "" }));
            tag = Some(&entry.tag);
        }
        let who = entry.who.as_ref().or(entry.subject.as_ref()).map_or("somebody", String::as_str);
        let who: String = clean(who).chars().take(24).collect();
        let (color, how) = match entry.shown.as_str() {
            "clear" => ("31", "in clear"),
            "masked" => ("32", "masked"),
            _ => ("0", "not shown"),
        };
        // Painted text is longer than it looks.
        let how = output.paint(color, &format!("{how:<9}"));
        let times = if entry.statements == 1 { "time" } else { "times" };
        let noun = if entry.rows == 1 { "row" } else { "rows" };
        let day = entry.last.get(..10).unwrap_or_default();
        let (statements, rows) = (entry.statements, entry.rows);
        output.line(format!("  {who:<24}  {how}  {statements:>6} {times:<5}  {rows:>9} {noun:<4}  {day}"));
        output.line(format!("    {}", clean(&reason(entry))));
    }
}

/// `shop, through copilot, support.ticket, approval apr_…`
fn reason(entry: &AccessEntry) -> String {
    let parts = [
        entry.resource.clone(),
        entry.agent.as_ref().map(|agent| format!("through {agent}")),
        Some(entry.purpose.clone().unwrap_or_else(|| "without a purpose".to_owned())),
        entry.approval.as_ref().map(|approval| format!("approval {approval}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

type Column = (&'static str, fn(&AccessEntry) -> Option<String>);

/// What CSV has. Appended to, never reordered.
const CSV_COLUMNS: &[Column] = &[
    ("tag", |entry| Some(entry.tag.clone())),
    ("shown", |entry| Some(entry.shown.clone())),
    ("who", |entry| entry.who.clone()),
    ("subject", |entry| entry.subject.clone()),
    ("agent", |entry| entry.agent.clone()),
    ("resource", |entry| entry.resource.clone()),
    ("purpose", |entry| entry.purpose.clone()),
    ("approval", |entry| entry.approval.clone()),
    ("statements", |entry| Some(entry.statements.to_string())),
    ("rows", |entry| Some(entry.rows.to_string())),
    ("first", |entry| Some(entry.first.clone())),
    ("last", |entry| Some(entry.last.clone())),
];

pub(in crate::cli) fn csv(report: &AccessReport) -> Vec<u8> {
    let heading: Vec<_> = CSV_COLUMNS.iter().map(|(name, _)| Some(name.as_bytes().to_vec())).collect();
    let rows = report
        .access
        .iter()
        .map(|entry| CSV_COLUMNS.iter().map(|(_, cell)| cell(entry).map(String::into_bytes)).collect::<Vec<_>>());
    let mut out = Vec::new();
    for cells in std::iter::once(heading).chain(rows) {
        // Writing into memory does not fail.
        drop(result::write_csv(&mut out, &cells));
    }
    out
}
