//! Run a command that can reach one governed database, and no other.

use std::ffi::OsString;

use clap::{ArgMatches, Args};

use super::exit::Exit;
use super::output::Output;
use super::wish::WishArguments;
use super::{Command, parse, run_async, wrapped};
use crate::domain::{Failure, ResourceName};
use crate::runtime::log;

pub(super) struct Run;

#[derive(Args)]
struct Arguments {
    /// The database, as `gov ls` names it
    #[arg(long)]
    resource: ResourceName,
    #[command(flatten)]
    wish: WishArguments,
    /// What to run, with its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl Command for Run {
    fn name(&self) -> &'static str {
        "run"
    }

    fn summary(&self) -> &'static str {
        "Run a command with a governed database in reach"
    }

    fn define(&self, command: clap::Command) -> clap::Command {
        Arguments::augment_args(command)
            .long_about(
                "Run a command with a governed database in reach: an agent, a notebook, a training job, a migration \
                 tool.\n\nIts environment holds the local endpoint (PGHOST, PGPORT, PGUSER, PGDATABASE, PGPASSFILE, \
                 DATABASE_URL) and nothing about any other database: other PG variables and variables that hold the URL \
                 of a database are left out. No password is in the environment. When the command ends, so does the \
                 session: what it left behind can do nothing more. The exit code is the command's; 128 and the number \
                 of the signal if one ended it.",
            )
            .after_help(
                "Examples:\n  gov run --resource prod-db --purpose analytics.report -- python report.py\n  gov run \
                 --resource staging-db --write -- dbt build",
            )
    }

    fn run(&self, arguments: &ArgMatches, output: &mut Output) -> Result<Exit, Failure> {
        let arguments: Arguments = parse(arguments)?;
        log::start("warn");
        run_async(async {
            let gateway = arguments.wish.gateway().await?;
            let wish = arguments.wish.wish(&gateway, &arguments.resource, output).await?;
            wrapped::run(gateway, wish, None, &arguments.command, output).await
        })
    }
}
