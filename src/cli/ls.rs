//! The databases somebody may use.

use clap::{ArgMatches, Args};

use super::exit::Exit;
use super::output::{Format, Output};
use super::{Command, parse, run_async};
use crate::client::gateway::Gateway;
use crate::domain::{AgentId, Duration, Failure, print_duration};
use crate::wire::api::{ResourceEntry, ResourceList, Way};

pub(super) struct Ls;

#[derive(Args)]
struct Arguments {
    /// Those this agent may use, for whoever is logged in
    #[arg(long, value_name = "AGENT", env = "GOV_AGENT")]
    agent: Option<AgentId>,
}

impl Command for Ls {
    fn name(&self) -> &'static str {
        "ls"
    }

    fn summary(&self) -> &'static str {
        "List the databases you may use"
    }

    fn define(&self, command: clap::Command) -> clap::Command {
        Arguments::augment_args(command)
            .long_about(
                "List the databases you may use, with their labels, and for each way in: whether it is for reading or \
                 writing, which purpose must be stated, and how long a session may last. Where it says `ask`, access is asked for \
                 with `gov request`.",
            )
            .after_help("Example: gov ls")
    }

    fn run(&self, arguments: &ArgMatches, output: &mut Output) -> Result<Exit, Failure> {
        let arguments: Arguments = parse(arguments)?;
        run_async(async {
            let gateway = Gateway::open().await?.acting(arguments.agent);
            let list: ResourceList = gateway.get("/v1/resources").await?;
            match output.format() {
                Format::Json => output.json(&list),
                Format::Human if list.resources.is_empty() => {
                    output.say("There is no database you may use. Ask whoever runs the server.");
                }
                Format::Human => {
                    let heading = ["name", "protocol", "labels", "access", "purpose", "session"];
                    output.table(&heading, list.resources.iter().flat_map(rows));
                }
            }
            Ok(Exit::Done)
        })
    }
}

/// One row per way in; the name stands in the first only.
fn rows(entry: &ResourceEntry) -> Vec<Vec<String>> {
    let labels: Vec<_> = entry.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let about = [entry.name.clone(), entry.protocol.clone(), labels.join(",")];
    let ways = entry.ways.iter().enumerate();
    ways.map(|(index, way)| {
        let about = if index == 0 { about.clone() } else { Default::default() };
        about.into_iter().chain(columns(way)).collect()
    })
    .collect()
}

fn columns(way: &Way) -> [String; 3] {
    let purposes = if way.purposes.is_empty() { "-".to_owned() } else { way.purposes.join(",") };
    let access = if way.approval { format!("{} (ask)", way.access) } else { way.access.clone() };
    [access, purposes, print_duration(Duration::from_secs(way.ttl_seconds))]
}
