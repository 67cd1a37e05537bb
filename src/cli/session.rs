//! See and end sessions.

use clap::{ArgMatches, Args, Subcommand};

use super::exit::Exit;
use super::output::{Format, Output};
use super::{Command, parse, run_async};
use crate::client::gateway::Gateway;
use crate::domain::{Failure, Kind, Timestamp, print_duration};
use crate::runtime::{clock, env, process};
use crate::wire::api::{BudgetEntry, Empty, SessionEntry, SessionList};

pub(super) struct Session;

#[derive(Args)]
struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// List your open sessions; for operators, everybody's
    Ls,
    /// End sessions: their connections, their credentials, everything
    Kill {
        /// The session, as `gov session ls` names it; its first letters are enough
        #[arg(required_unless_present = "all")]
        session: Vec<String>,
        /// End all sessions that `gov session ls` shows
        #[arg(long, conflicts_with = "session")]
        all: bool,
    },
}

impl Command for Session {
    fn name(&self) -> &'static str {
        "session"
    }

    fn summary(&self) -> &'static str {
        "See and end open sessions"
    }

    fn define(&self, command: clap::Command) -> clap::Command {
        Arguments::augment_args(command)
            .long_about(
                "See and end open sessions. A session that is ended is over at once: its connections are closed, what \
                 runs in the database is terminated, and its credential is gone.",
            )
            .after_help("Example: gov session kill 01m820r")
    }

    fn run(&self, arguments: &ArgMatches, output: &mut Output) -> Result<Exit, Failure> {
        let arguments: Arguments = parse(arguments)?;
        run_async(async {
            let gateway = Gateway::open().await?;
            let list: SessionList = gateway.get("/v1/sessions").await?;
            match arguments.action {
                Action::Ls => show(&list, output),
                Action::Kill { session, all } => {
                    for entry in chosen(&list, &session, all)? {
                        let path = format!("/v1/sessions/{}/end", entry.session);
                        gateway.post::<Empty>(&path, &Empty {}).await?;
                        // An endpoint of this session on this machine has nothing left to lead to.
                        if entry.host == env::user_at_host() {
                            process::end_own(entry.process);
                        }
                        output.say(format!("Ended {} of {} on `{}`.", entry.session, entry.who, entry.resource));
                    }
                }
            }
            Ok(Exit::Done)
        })
    }
}

fn show(list: &SessionList, output: &mut Output) {
    match output.format() {
        Format::Json => output.json(list),
        Format::Human if list.sessions.is_empty() => output.say("No session is open."),
        Format::Human => {
            let heading = ["session", "who", "resource", "access", "masking", "purpose", "connections", "left", "from"];
            output.table(&heading, list.sessions.iter().map(row));
            for entry in list.sessions.iter().filter(|entry| !entry.budget.is_empty()) {
                output.say(format!("{} has used {}.", entry.session, used(&entry.budget)));
            }
        }
    }
}

fn row(entry: &SessionEntry) -> Vec<String> {
    let left = Timestamp::parse(&entry.expires_at).map(|until| until.since(clock::now()));
    let purpose = match (&entry.purpose, &entry.reference) {
        (Some(purpose), Some(reference)) => format!("{purpose} ({reference})"),
        (Some(purpose), None) => purpose.clone(),
        (None, _) => "-".to_owned(),
    };
    vec![
        entry.session.clone(),
        entry.who.clone(),
        entry.resource.clone(),
        entry.access.clone(),
        entry.masking.clone(),
        purpose,
        entry.connections.to_string(),
        left.map_or_else(|| "-".to_owned(), print_duration),
        entry.host.clone(),
    ]
}

/// The sessions meant. Letters that fit several, or none, end nothing at all.
fn chosen<'a>(list: &'a SessionList, wanted: &[String], all: bool) -> Result<Vec<&'a SessionEntry>, Failure> {
    if all {
        return Ok(list.sessions.iter().collect());
    }
    wanted
        .iter()
        .map(|start| {
            let mut fitting = list.sessions.iter().filter(|entry| entry.session.starts_with(start.as_str()));
            match (fitting.next(), fitting.next()) {
                (Some(entry), None) => Ok(entry),
                (Some(_), Some(_)) => {
                    Err(Failure::new(Kind::Usage, format!("`{start}` is the beginning of several sessions"))
                        .hint("write more of it: gov session ls"))
                }
                (None, _) => Err(Failure::new(Kind::NotFound, format!("there is no open session `{start}`"))
                    .hint("see what is open: gov session ls")),
            }
        })
        .collect()
}

/// What has been used up, of what may be.
pub(super) fn used(budget: &[BudgetEntry]) -> String {
    let parts: Vec<_> = budget
        .iter()
        .map(|entry| {
            let of = if entry.of == "day" { " today" } else { "" };
            format!("{} of {} {}{of}", entry.used, entry.limit, entry.what)
        })
        .collect();
    parts.join(", ")
}
