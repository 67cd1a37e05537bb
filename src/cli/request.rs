//! Ask for access to a database that is given by approval only.

use clap::{ArgMatches, Args};

use super::exit::Exit;
use super::output::{Format, Output};
use super::wish::WishArguments;
use super::{Command, parse, run_async};
use crate::domain::{Failure, Kind, ResourceName};
use crate::wire::api::{AccessRequest, ApprovalEntry};

pub(super) struct Request;

#[derive(Args)]
struct Arguments {
    /// The database, as `gov ls` names it
    resource: ResourceName,
    #[command(flatten)]
    wish: WishArguments,
    /// Why, for those who decide and for the record
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// It cannot wait: take the access now, where the policy lets you, and have it reviewed
    #[arg(long)]
    break_glass: bool,
}

impl Command for Request {
    fn name(&self) -> &'static str {
        "request"
    }

    fn summary(&self) -> &'static str {
        "Ask for access to a database"
    }

    fn define(&self, command: clap::Command) -> clap::Command {
        Arguments::augment_args(command)
            // Each statement that shows such a column asks by itself.
            .mut_arg("reveal", |reveal| reveal.hide(true))
            .long_about(
                "Ask for access to a database that `gov ls` marks with `ask`. Those who may decide see it in `gov approval \
                 ls`; once they have agreed, `gov connect` works for as long as was agreed, and no longer.\n\nIn an \
                 emergency, and where the policy lets you, --break-glass takes the access at once for a short time. \
                 Everybody who approves is told, it is on record, and somebody else has to review what was done.",
            )
            .after_help(
                "Examples:\n  gov request prod-db --write --ttl 30m --reason 'backfill of ZD-812'\n  gov request prod-db \
                 --break-glass --reason 'checkout is down'",
            )
    }

    fn run(&self, arguments: &ArgMatches, output: &mut Output) -> Result<Exit, Failure> {
        let arguments: Arguments = parse(arguments)?;
        if !arguments.wish.revealed().is_empty() {
            return Err(Failure::new(Kind::Usage, "columns are not asked for together with access")
                .hint("give --reveal to gov connect or gov exec, once you have access"));
        }
        run_async(async {
            let gateway = arguments.wish.gateway().await?;
            let wish = arguments.wish.wish(&gateway, &arguments.resource, output).await?;
            let asked = AccessRequest {
                resource: wish.resource.to_string(),
                access: wish.access.word().to_owned(),
                purpose: wish.purpose.as_ref().map(|purpose| purpose.id.to_string()),
                reference: wish.purpose.and_then(|purpose| purpose.reference),
                reason: arguments.reason,
                ttl_seconds: wish.ttl_seconds,
                break_glass: arguments.break_glass,
            };
            let entry: ApprovalEntry = gateway.post("/v1/requests", &asked).await?;
            match output.format() {
                Format::Json => output.json(&entry),
                Format::Human => tell(&entry, &arguments.wish, output),
            }
            Ok(Exit::Done)
        })
    }
}

fn tell(entry: &ApprovalEntry, wish: &WishArguments, output: &mut Output) {
    let connect = [vec!["gov connect".to_owned(), entry.resource.clone()], wish.words()].concat().join(" ");
    output.line(&entry.approval);
    match (entry.state.as_str(), &entry.review_by) {
        ("approved", None) => output.say(format!("You have access until {}: {connect}", entry.execute_by)),
        ("approved", Some(due)) => output.say(format!(
            "You have access until {}: {connect}\nEverybody who approves has been told, and somebody else reviews it by {due}.",
            entry.execute_by
        )),
        (state, _) => output.say(format!(
            "Your request is {state}; it can be approved until {}.\nLet somebody run: gov approval approve {}\nThen: {connect}",
            entry.approve_by, entry.approval
        )),
    }
}
