//! Completions for shells.

use clap::{ArgMatches, Args};
use clap_complete::Shell;

use super::exit::Exit;
use super::output::Output;
use super::{Command, definition, parse};
use crate::domain::Failure;

pub(super) struct Completions;

/// Shells that completions are made for, with the names of their files.
pub(crate) const SHELLS: &[(Shell, &str)] =
    &[(Shell::Bash, "gov.bash"), (Shell::Zsh, "_gov"), (Shell::Fish, "gov.fish")];

#[derive(Args)]
struct Arguments {
    /// The shell
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(["bash", "zsh", "fish"]))]
    shell: String,
}

impl Command for Completions {
    fn name(&self) -> &'static str {
        "completions"
    }

    fn summary(&self) -> &'static str {
        "Print completions for a shell"
    }

    fn define(&self, command: clap::Command) -> clap::Command {
        Arguments::augment_args(command)
            .after_help("Example: gov completions bash > ~/.local/share/bash-completion/completions/gov")
    }

    fn run(&self, arguments: &ArgMatches, output: &mut Output) -> Result<Exit, Failure> {
        let arguments: Arguments = parse(arguments)?;
        let shell = SHELLS.iter().map(|(shell, _)| *shell).find(|shell| shell.to_string() == arguments.shell);
        if let Some(shell) = shell {
            output.bytes(&generate(shell));
        }
        Ok(Exit::Done)
    }
}

/// The completions of one shell, from the list of commands.
pub(crate) fn generate(shell: Shell) -> Vec<u8> {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut definition(), "gov", &mut out);
    out
}
