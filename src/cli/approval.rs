//! See what waits for approval, and decide it.

use clap::{ArgMatches, Args, Subcommand};

use super::exit::Exit;
use super::output::{self, Format, Output};
use super::{Command, parse, run_async};
use crate::client::gateway::Gateway;
use crate::domain::{Failure, Kind, Timestamp, print_duration};
use crate::runtime::clock;
use crate::wire::api::{ApprovalDecision, ApprovalEntry, ApprovalList, ApprovalShown, Empty, Rehearsal};

pub(super) struct Approval;

#[derive(Args)]
struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// List what waits for approval: yours, and what you may decide
    Ls {
        /// Those that have ended too
        #[arg(long)]
        all: bool,
    },
    /// Show a request: the statement, what it touches, what it may change
    Show {
        /// The request, as `gov approval ls` names it; its last letters are enough
        approval: String,
        /// Run the statement in a transaction that is rolled back, and count the rows it changed
        #[arg(long)]
        dry_run: bool,
    },
    /// Agree to a request of somebody else's
    Approve(Decided),
    /// Say no, or take back a yes that has not been used
    Deny(Decided),
    /// Withdraw a request of your own
    Withdraw(Decided),
    /// Close what somebody took in an emergency, after having looked at what was done with it
    Review(Decided),
}

#[derive(Args)]
struct Decided {
    /// The request, as `gov approval ls` names it; its last letters are enough
    approval: String,
    /// Why, for whoever asked and for the record
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

impl Command for Approval {
    fn name(&self) -> &'static str {
        "approval"
    }

    fn summary(&self) -> &'static str {
        "See what waits for approval, and decide it"
    }

    fn define(&self, command: clap::Command) -> clap::Command {
        Arguments::augment_args(command)
            .long_about(
                "See what waits for approval, and decide it. A statement that must be approved waits in its session; when \
                 enough people have agreed, the very same bytes run there, once. Nobody decides about their own request, \
                 and a no wins.",
            )
            .after_help("Examples:\n  gov approval ls\n  gov approval show 7m2k --dry-run\n  gov approval approve 7m2k")
    }

    fn run(&self, arguments: &ArgMatches, output: &mut Output) -> Result<Exit, Failure> {
        let arguments: Arguments = parse(arguments)?;
        run_async(async {
            let gateway = Gateway::open().await?;
            match arguments.action {
                Action::Ls { all } => list(&self::all(&gateway, all).await?, output),
                Action::Show { approval, dry_run } => {
                    let id = chosen(&gateway, &approval).await?;
                    let found: ApprovalShown = gateway.get(&format!("/v1/approvals/{id}")).await?;
                    // Before anything is shown: what ends in an error shows nothing.
                    let rehearsal = if dry_run { Some(rehearse(&gateway, &id).await?) } else { None };
                    show(&found, output);
                    match &rehearsal {
                        Some(Ok(rehearsal)) => show_rehearsal(rehearsal, output),
                        Some(Err(why)) => show_none(why, output),
                        None => {}
                    }
                }
                Action::Approve(decided) => decide(&gateway, "approve", decided, output).await?,
                Action::Deny(decided) => decide(&gateway, "deny", decided, output).await?,
                Action::Withdraw(decided) => decide(&gateway, "withdraw", decided, output).await?,
                Action::Review(decided) => decide(&gateway, "review", decided, output).await?,
            }
            Ok(Exit::Done)
        })
    }
}

async fn all(gateway: &Gateway, all: bool) -> Result<ApprovalList, Failure> {
    gateway.get(if all { "/v1/approvals?all=true" } else { "/v1/approvals" }).await
}

/// The request meant. Identifiers begin with the time, so it is their ends that differ.
async fn chosen(gateway: &Gateway, wanted: &str) -> Result<String, Failure> {
    let list = all(gateway, true).await?;
    let mut fitting = list.approvals.iter().filter(|entry| entry.approval.ends_with(wanted));
    match (fitting.next(), fitting.next()) {
        (Some(entry), None) => Ok(entry.approval.clone()),
        (Some(_), Some(_)) => Err(Failure::new(Kind::Usage, format!("`{wanted}` is the end of several requests"))
            .hint("write more of it: gov approval ls")),
        (None, _) => Err(Failure::new(Kind::NotFound, format!("there is no approval `{wanted}`"))
            .hint("see what there is with: gov approval ls")),
    }
}

/// What the statement would change. That it is none that can be tried is an answer too.
async fn rehearse(gateway: &Gateway, id: &str) -> Result<Result<Rehearsal, Failure>, Failure> {
    match gateway.post(&format!("/v1/approvals/{id}/rehearse"), &Empty {}).await {
        Ok(rehearsal) => Ok(Ok(rehearsal)),
        Err(failure) if failure.kind == Kind::Usage => Ok(Err(failure)),
        Err(failure) => Err(failure),
    }
}

async fn decide(gateway: &Gateway, verb: &str, decided: Decided, output: &mut Output) -> Result<(), Failure> {
    let id = chosen(gateway, &decided.approval).await?;
    let decision = ApprovalDecision { reason: decided.reason };
    let entry: ApprovalEntry = gateway.post(&format!("/v1/approvals/{id}/{verb}"), &decision).await?;
    match output.format() {
        Format::Json => output.json(&entry),
        Format::Human => output.say(match entry.state.as_str() {
            "pending" => format!("{} of {} have agreed to {id}.", entry.agreed, entry.needed),
            state => format!("{id} of {} is {state}.", entry.who),
        }),
    }
    Ok(())
}

fn list(list: &ApprovalList, output: &mut Output) {
    match output.format() {
        Format::Json => output.json(list),
        Format::Human if list.approvals.is_empty() => output.say("Nothing waits for approval."),
        Format::Human => {
            let heading = ["approval", "state", "who", "resource", "what", "purpose", "left", "yours"];
            output.table(&heading, list.approvals.iter().map(row));
        }
    }
}

fn row(entry: &ApprovalEntry) -> Vec<String> {
    let open = matches!(entry.state.as_str(), "pending" | "approved");
    let until = match (entry.state.as_str(), &entry.review_by) {
        ("pending", _) => &entry.approve_by,
        ("approved", _) | (_, None) => &entry.execute_by,
        (_, Some(review_by)) => review_by,
    };
    let open = open || entry.review_by.is_some();
    let left = Timestamp::parse(until).filter(|_| open).map(|until| until.since(clock::now()));
    vec![
        entry.approval.clone(),
        entry.state.clone(),
        whose(entry),
        entry.resource.clone(),
        entry.message.clone(),
        purpose(entry),
        left.map_or_else(|| "-".to_owned(), print_duration),
        if entry.yours { "yes" } else { "no" }.to_owned(),
    ]
}

fn whose(entry: &ApprovalEntry) -> String {
    if entry.actors.is_empty() {
        entry.who.clone()
    } else {
        format!("{} for {}", entry.actors.join(" for "), entry.who)
    }
}

fn purpose(entry: &ApprovalEntry) -> String {
    match (&entry.purpose, &entry.reference) {
        (Some(purpose), Some(reference)) => format!("{purpose} ({reference})"),
        (Some(purpose), None) => purpose.clone(),
        (None, _) => "-".to_owned(),
    }
}

fn show(found: &ApprovalShown, output: &mut Output) {
    if output.format() == Format::Json {
        return output.json(found);
    }
    let entry = &found.entry;
    let mut line = |name: &str, text: &str| output.line(format!("{name:<12} {}", output::clean(text)));
    line("approval", &entry.approval);
    line("state", &format!("{} ({} of {} have agreed)", entry.state, entry.agreed, entry.needed));
    line("who", &format!("{} ({})", whose(entry), entry.kind));
    line("resource", &format!("{} ({})", entry.resource, entry.access));
    line("purpose", &purpose(entry));
    if entry.about != "statement" {
        line("asks", &entry.message);
        line("approve by", &entry.approve_by);
        line("lasts until", &entry.execute_by);
        if let Some(due) = &entry.review_by {
            line("review by", due);
        }
        line("digest", &found.digest);
        found.remarks.iter().for_each(|remark| line("said", remark));
        return;
    }
    line("why held", &format!("{} (rule {})", entry.message, entry.rule));
    if let Some(detail) = &found.detail {
        line("", detail);
    }
    line("does", &found.operations.join(", "));
    for object in &found.objects {
        let tags = if object.tags.is_empty() { String::new() } else { format!(" [{}]", object.tags.join(", ")) };
        line("object", &format!("{} {}{tags}", object.touch, object.name));
    }
    line("looks in", &found.search_path.join(", "));
    line("estimate", &found.estimate.map_or_else(|| "not known".to_owned(), |rows| format!("{rows} rows")));
    let limit = match found.rows_max {
        Some(rows) => format!("{rows} rows in all tables, or it is rolled back"),
        None if found.operations.iter().all(|operation| operation == "read") => "none: it changes nothing".to_owned(),
        None => "none: it cannot be rolled back".to_owned(),
    };
    line("limit", &limit);
    line("transaction", if found.in_transaction { "the requester's own" } else { "its own" });
    line("approve by", &entry.approve_by);
    line("digest", &found.digest);
    for remark in &found.remarks {
        line("said", remark);
    }
    for (index, value) in found.values.iter().enumerate() {
        line("value", &format!("${} = {}", index + 1, value.as_deref().unwrap_or("NULL")));
    }
    line("normalised", &found.normalized);
    match &found.text {
        Some(text) => {
            line("as sent", "");
            // Line by line: what a statement says must not pass for what we say about it.
            text.lines().for_each(|text| output.line(format!("    {}", output::clean(text))));
        }
        None => line("as sent", "forgotten, because the request has ended"),
    }
}

fn show_rehearsal(rehearsal: &Rehearsal, output: &mut Output) {
    match output.format() {
        Format::Json => output.json(rehearsal),
        Format::Human => {
            output.line(format!("dry run      {} rows changed in all tables, and rolled back", rehearsal.changed));
            for table in &rehearsal.tables {
                output.line(format!("             {} in {}", table.changed, output::clean(&table.table)));
            }
        }
    }
}

fn show_none(why: &Failure, output: &mut Output) {
    match output.format() {
        // The request is the data; a rehearsal that there is none of has no form of its own.
        Format::Json => output.say(why),
        Format::Human => {
            output.line(format!("dry run      none: {}", output::clean(&why.message)));
            if let Some(detail) = &why.detail {
                output.line(format!("             {}", output::clean(detail)));
            }
        }
    }
}
