//! Read, verify and hand on the record of what happened.

pub(super) mod access;
mod erase;
pub(super) mod export;
mod tail;
mod verify;

use clap::{ArgMatches, Args, Subcommand};

use super::exit::Exit;
use super::output::Output;
use super::{Command, parse, run_async};
use crate::client::gateway::Gateway;
use crate::domain::Failure;

pub(super) struct Audit;

#[derive(Args)]
struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Show records as they are in the log, the newest last
    Tail(tail::Arguments),
    /// Check the log: signatures, chains, the tree, what was seen last time, both accounts
    Verify(verify::Arguments),
    /// Show who touched what kind of data, how often, masked or clear, and what for
    Access(access::Arguments),
    /// Forget a person: destroy the keys of what they typed, and whose their records are
    Erase(erase::Arguments),
    /// Hand the log on: whole, for verifying it elsewhere, or as events
    Export(export::Arguments),
    /// Print the log's public key, for verifying elsewhere
    Key,
}

impl Command for Audit {
    fn name(&self) -> &'static str {
        "audit"
    }

    fn summary(&self) -> &'static str {
        "Read and verify the signed record of what happened"
    }

    fn define(&self, command: clap::Command) -> clap::Command {
        Arguments::augment_args(command)
            .long_about(
                "Read and verify the signed record of what happened. Every statement is recorded by both sides, signed, \
                 and kept in an append-only log whose past cannot be changed unnoticed.\n\nEverybody can see and verify \
                 their own sessions; operators, the whole log. Verifying trusts nothing but the server's public key.",
            )
            .after_help("Examples:\n  gov audit verify\n  gov audit tail --follow\n  gov audit access --tag pii.ssn --since 30d")
    }

    fn run(&self, arguments: &ArgMatches, output: &mut Output) -> Result<Exit, Failure> {
        let arguments: Arguments = parse(arguments)?;
        match arguments.action {
            Action::Tail(arguments) => run_async(tail::run(&arguments, output)),
            Action::Verify(arguments) => run_async(verify::run(&arguments, output)),
            Action::Access(arguments) => run_async(access::run(&arguments, output)),
            Action::Erase(arguments) => run_async(erase::run(&arguments, output)),
            Action::Export(arguments) => run_async(export::run(&arguments, output)),
            Action::Key => run_async(async {
                output.line(Gateway::open().await?.log_key()?.text());
                Ok(Exit::Done)
            }),
        }
    }
}
