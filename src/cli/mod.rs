//! What people type.

mod approval;
mod audit;
mod classify;
mod completions;
mod connect;
mod demo;
mod drift;
mod evidence;
mod exec;
mod exit;
mod explain;
mod fleet;
mod login;
mod logout;
mod ls;
mod man;
mod mask;
mod mcp;
mod moment;
mod output;
mod policy;
mod raw;
mod request;
mod result;
mod run;
mod server;
mod session;
mod stage;
mod status;
mod timeline;
pub(crate) mod tool;
mod variables;
mod wish;
mod witness;
mod wrapped;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches};

use crate::domain::{Failure, Kind};
use crate::runtime::{process, tasks};
use exit::{Exit, MEANINGS};
use output::{Color, Format, Output};

/// One command. Its file has its name.
pub(crate) trait Command: Sync {
    /// The word people type.
    fn name(&self) -> &'static str;
    /// One line for help: imperative, no full stop.
    fn summary(&self) -> &'static str;
    /// Its arguments, with a longer explanation and an example.
    fn define(&self, command: clap::Command) -> clap::Command;
    fn run(&self, arguments: &ArgMatches, output: &mut Output) -> Result<Exit, Failure>;
    /// What its manual page says besides the help: a heading, and text that is shown as it stands.
    fn appendix(&self) -> Option<(&'static str, String)> {
        None
    }
}

/// All commands, in the order of the help.
pub(crate) const COMMANDS: &[&dyn Command] = &[
    &login::Login,
    &logout::Logout,
    &status::Status,
    &ls::Ls,
    &classify::Classify,
    &mask::Mask,
    &connect::Connect,
    &exec::Exec,
    &run::Run,
    &explain::Explain,
    &mcp::Mcp,
    &session::Session,
    &policy::Policies,
    &timeline::Timeline,
    &audit::Audit,
    &evidence::EvidencePack,
    &approval::Approval,
    &request::Request,
    &server::Server,
    &witness::Witness,
    &demo::Demo,
    &completions::Completions,
    &man::Man,
];

/// Runs the command on this process's command line.
pub fn run() -> ExitCode {
    process::forbid_core_files();
    std::panic::set_hook(Box::new(confess));
    ExitCode::from(run_with(std::env::args_os()).code())
}

fn run_with(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let matches = match definition().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => return not_understood(&error),
    };
    let format = if matches.get_flag("json") { Format::Json } else { Format::Human };
    let color = matches.get_one::<Color>("color").copied().unwrap_or_default();
    let mut output = Output::new(format, color);
    let Some((name, arguments)) = matches.subcommand() else { return Exit::Usage };
    let Some(command) = COMMANDS.iter().find(|command| command.name() == name) else { return Exit::Usage };
    match command.run(arguments, &mut output) {
        Ok(exit) => exit,
        Err(failure) => {
            output.failure(&failure);
            Exit::from(failure.kind)
        }
    }
}

/// What is said when gov itself has a fault: where, and never what it was working on.
fn confess(panic: &std::panic::PanicHookInfo<'_>) {
    let place = panic.location().map(|place| format!(" at {}:{}", place.file(), place.line())).unwrap_or_default();
    let failure = Failure::new(Kind::Internal, format!("gov has a fault{place}"))
        .detail("This should not have happened, and is not yours.")
        .hint("report the line above");
    Output::new(Format::Human, Color::Auto).failure(&failure);
}

/// Help, version, or a command line that clap does not understand.
fn not_understood(error: &clap::Error) -> Exit {
    let mut output = Output::new(Format::Human, Color::Auto);
    if error.use_stderr() {
        // It repeats what was typed, or what a program put there.
        output.say(output::clean(&error.render().to_string()).trim_end());
        return Exit::Usage;
    }
    output.bytes(error.render().to_string().as_bytes());
    Exit::Done
}

/// The whole command line, from the list of commands.
pub(crate) fn definition() -> clap::Command {
    let codes: Vec<_> = MEANINGS.iter().map(|(exit, meaning)| format!("  {}  {meaning}", exit.code())).collect();
    let json = Arg::new("json").long("json").global(true).action(ArgAction::SetTrue).help("Print data as JSON");
    let color = Arg::new("color")
        .long("color")
        .global(true)
        .value_name("WHEN")
        .value_parser(clap::value_parser!(Color))
        .hide_possible_values(true)
        .help("Use colours: auto, always or never");
    let mut all = clap::Command::new("gov")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Open governed, short-lived database sessions")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .args([json, color])
        .after_help("Begin with: gov login https://gov.example.com")
        .after_long_help(format!("Exit codes:\n{}\n\nBegin with: gov login https://gov.example.com", codes.join("\n")));
    for command in COMMANDS {
        // The summary last: derived arguments would put a doc comment of theirs in its place.
        all = all.subcommand(command.define(clap::Command::new(command.name())).about(command.summary()));
    }
    all
}

/// The arguments of a command, as the type it derives.
fn parse<A: clap::FromArgMatches>(arguments: &ArgMatches) -> Result<A, Failure> {
    A::from_arg_matches(arguments).map_err(|error| Failure::new(Kind::Usage, error.to_string()))
}

/// Runs what needs threads and sockets.
fn run_async(work: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    tasks::run(work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        definition().debug_assert();
    }

    #[test]
    fn names_and_summaries_are_as_they_should_be() {
        let mut names: Vec<_> = COMMANDS.iter().map(|command| command.name()).collect();
        for command in COMMANDS {
            let summary = command.summary();
            assert!(summary.starts_with(char::is_uppercase) && !summary.ends_with('.'), "{summary}");
            assert!(summary.len() <= 60, "{summary}");
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), COMMANDS.len());
    }
}
