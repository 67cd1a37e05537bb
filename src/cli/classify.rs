//! `gov classify`: what the columns of a database hold, and why this is thought of them.

use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches};

use super::exit::Exit;
use super::output::{Format, Output};
use super::{Command, run_async};
use crate::client::gateway::Gateway;
use crate::domain::{Failure, Kind, ResourceName};
use crate::engine::{DETECTORS, FREE_TEXT};
use crate::wire::api::{ClassifiedColumn, ClassifiedResource, Unmask, Unmasked};

pub(super) struct Classify;

/// How often the server is asked while watching.
const WATCH_EVERY: Duration = Duration::from_secs(3);

impl Command for Classify {
    fn name(&self) -> &'static str {
        "classify"
    }

    fn summary(&self) -> &'static str {
        "Show which columns of a database are sensitive, and why"
    }

    fn define(&self, command: clap::Command) -> clap::Command {
        command
            .long_about(
                "Show which columns of a database are sensitive, and why. The server finds out by itself, from names, types, \
                 comments and samples of values, which it does not keep; new tables are looked at before anybody can read \
                 them. What is listed here is masked in every result. Values within columns of free text are masked where \
                 they stand. If a finding is wrong, say so under `masks` in the server's configuration.",
            )
            .after_help("Example: gov classify prod-db")
            .arg(Arg::new("resource").help("The database, as `gov ls` names it").required_unless_present("entities"))
            .arg(
                Arg::new("watch")
                    .long("watch")
                    .help("Stay, and show the list again whenever it changes")
                    .action(ArgAction::SetTrue),
            )
            .arg(
                Arg::new("uninstall")
                    .long("uninstall")
                    .help("Take the masking views, their functions and their role out of the database (operators)")
                    .conflicts_with("watch")
                    .action(ArgAction::SetTrue),
            )
            .arg(
                Arg::new("left-behind")
                    .long("left-behind")
                    .value_name("NAME")
                    .help("Take what a gateway that is no more has left there instead, by its name")
                    .requires("uninstall"),
            )
            .arg(
                Arg::new("entities")
                    .long("entities")
                    .help("List everything that can be found")
                    .conflicts_with("watch")
                    .action(ArgAction::SetTrue),
            )
    }

    fn run(&self, arguments: &ArgMatches, output: &mut Output) -> Result<Exit, Failure> {
        if arguments.get_flag("entities") {
            entities(output);
            return Ok(Exit::Done);
        }
        let resource = arguments.get_one::<String>("resource").map(String::as_str).unwrap_or_default();
        let resource: ResourceName =
            resource.parse().map_err(|error: crate::domain::BadName| Failure::new(Kind::Usage, error.to_string()))?;
        let watch = arguments.get_flag("watch");
        let uninstall = arguments.get_flag("uninstall");
        let left_behind = arguments.get_one::<String>("left-behind").cloned();
        run_async(async {
            let gateway = Gateway::open().await?;
            if uninstall {
                let path = format!("/v1/resources/{resource}/unmask");
                let done: Unmasked = gateway.post(&path, &Unmask { left_behind: left_behind.clone() }).await?;
                removed(&resource, left_behind.as_deref(), &done, output);
                return Ok(Exit::Done);
            }
            let path = format!("/v1/resources/{resource}/classification");
            let mut shown: Option<ClassifiedResource> = None;
            loop {
                let found: ClassifiedResource = gateway.get(&path).await?;
                if shown.as_ref() != Some(&found) {
                    show(&found, output);
                    shown = Some(found);
                }
                if !watch {
                    return Ok(Exit::Done);
                }
                tokio::time::sleep(WATCH_EVERY).await;
            }
        })
    }
}

fn removed(resource: &ResourceName, left_behind: Option<&str>, done: &Unmasked, output: &mut Output) {
    match (output.format(), left_behind) {
        (Format::Json, _) => return output.json(done),
        (Format::Human, Some(name)) => {
            output.say(format!("Nothing of `{name}` is left in the database of `{resource}`."));
        }
        (Format::Human, None) if done.removed => {
            output.say(format!("Nothing of the masks of `{resource}` is left in its database."));
            output.say("They are made again when the server starts, unless its configuration says `masking: wire`.");
            output.say("What let migrations pass them is the superuser's who made it: DROP EVENT TRIGGER gov_make_way; DROP SCHEMA gov_way CASCADE");
        }
        (Format::Human, None) => {
            output.say(format!("There were no masking views in the database of `{resource}`."));
        }
    }
    for other in &done.others {
        output.say(match &other.hindrance {
            None => format!(
                "`{}` stands there too. If no other gateway or resource uses it: gov classify {resource} --uninstall \
                 --left-behind {}",
                other.name, other.name
            ),
            Some(hindrance) => format!("`{}` stands there too. {hindrance}", other.name),
        });
    }
}

fn show(found: &ClassifiedResource, output: &mut Output) {
    match output.format() {
        Format::Json => output.json(found),
        Format::Human => {
            if !found.columns.is_empty() {
                output.table(&["column", "holds", "confidence", "evidence"], found.columns.iter().map(row));
            }
            let (sensitive, examined) = (found.columns.len(), found.examined);
            output.say(format!(
                "{sensitive} of {examined} columns are masked, whole or where something is found in them."
            ));
            let why = found.masking_reason.as_ref().map_or_else(String::new, |why| format!(" {why}"));
            output.say(match found.masking.as_str() {
                "refused" => format!("Sessions that read are refused.{why}"),
                masking => format!("Sessions that read are masked {masking}.{why}"),
            });
            if !found.cleared.is_empty() {
                let names: Vec<String> = found.cleared.iter().map(|column| format!("`{}`", name(column))).collect();
                output.say(format!("Not masked, because the configuration says so: {}.", names.join(", ")));
            }
            if found.unexamined > 0 {
                output.say(format!(
                    "{} more have not been looked at yet; until then all of them is masked.",
                    found.unexamined
                ));
            }
        }
    }
}

/// What is in the usual schema is named as people name it.
pub(super) fn name(column: &ClassifiedColumn) -> String {
    let schema = if column.schema == "public" { String::new() } else { format!("{}.", column.schema) };
    format!("{schema}{}.{}", column.relation, column.column)
}

fn row(column: &ClassifiedColumn) -> Vec<String> {
    vec![name(column), column.entity.clone(), format!("{:.2}", column.confidence), column.evidence.clone()]
}

fn entities(output: &mut Output) {
    let list = || {
        let free = (FREE_TEXT, "texts in which any of these may stand");
        DETECTORS.iter().map(|detector| (detector.name(), detector.summary())).chain([free])
    };
    match output.format() {
        Format::Json => {
            let list: std::collections::BTreeMap<_, _> = list().collect();
            output.json(&list);
        }
        Format::Human => {
            let mut rows: Vec<_> = list().map(|(name, summary)| vec![name.to_owned(), summary.to_owned()]).collect();
            rows.sort();
            output.table(&["entity", "what it is"], rows);
        }
    }
}
