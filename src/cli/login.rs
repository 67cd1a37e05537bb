//! Log in to a gov server with the identity provider it names.

use std::path::PathBuf;

use clap::{ArgMatches, Args};
use serde::Serialize;

use super::exit::Exit;
use super::output::{Format, Output};
use super::{Command, parse, run_async};
use crate::client::gateway::Server;
use crate::client::login::{self, Done, JobWish, Prompt, Wish};
use crate::client::profile::{self, Profile};
use crate::client::token_store::TOKEN_STORES;
use crate::client::workload::Platform;
use crate::domain::{Failure, Kind};
use crate::runtime::{files, http};

/// Longest file of authorities read, in bytes.
const CA_MAX: u64 = 256 * 1024;

pub(super) struct Login;

#[derive(Args)]
struct Arguments {
    /// The server, for example https://gov.example.com; the one before when left out
    server: Option<String>,
    /// Believe these certificate authorities too (PEM); kept for later
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Where the login rests
    #[arg(long, value_name = "PLACE", value_parser = TOKEN_STORES.iter().map(|store| store.name()).collect::<Vec<_>>())]
    token_store: Option<String>,
    /// Log in as a user of the server's built-in issuer, without a browser
    #[arg(long, value_name = "USER")]
    dev_user: Option<String>,
    /// Show no QR code
    #[arg(long)]
    no_qr: bool,
    /// Log in as the job that this is, with the token of its platform: no browser, no prompt, no secret
    #[arg(long, value_name = "PLATFORM", value_enum, conflicts_with_all = ["dev_user", "token_store", "no_qr"])]
    workload: Option<Platform>,
    /// What the platform's token is to be made for, when it is not the server's address
    #[arg(long, value_name = "AUDIENCE", requires = "workload")]
    audience: Option<String>,
    /// Where the platform's token is, when it is not in the usual place
    #[arg(long, value_name = "FILE", requires = "workload")]
    token_file: Option<PathBuf>,
}

#[derive(Serialize)]
struct Report<'a> {
    server: &'a str,
    name: &'a str,
    token_store: &'a str,
}

impl Command for Login {
    fn name(&self) -> &'static str {
        "login"
    }

    fn summary(&self) -> &'static str {
        "Log in to a gov server"
    }

    fn define(&self, command: clap::Command) -> clap::Command {
        Arguments::augment_args(command)
            .long_about(
                "Log in to a gov server.\n\nShows an address and a code. Open the address on any device, enter the code, \
                 and log in there; this command waits. The login is bound to a key of this machine and rests in the \
                 operating system's keychain, or in a file that only you may read.\n\nA job of GitHub Actions, GitLab CI \
                 or Kubernetes logs in with --workload: the token that its platform gives it is exchanged for a login of \
                 15 minutes at most. It rests in a file that only the job's user may read, for the commands that follow; \
                 it cannot be renewed, and the platform's token is not kept. A longer job logs in again.",
            )
            .after_help(
                "Examples:\n  gov login https://gov.example.com\n  gov login https://gov.example.com --workload github",
            )
    }

    fn run(&self, arguments: &ArgMatches, output: &mut Output) -> Result<Exit, Failure> {
        let arguments: Arguments = parse(arguments)?;
        let before = Profile::load().unwrap_or_default();
        let typed = arguments.server.clone().or_else(|| before.as_ref().map(|profile| profile.server.clone()));
        let typed = typed.ok_or_else(|| {
            Failure::new(Kind::Usage, "no server is known yet").hint("name it: gov login https://gov.example.com")
        })?;
        let url = profile::server_url(&typed)?;
        let ca = match &arguments.ca_file {
            Some(file) => Some(read_ca(file)?),
            None => before.filter(|profile| profile.server == profile::origin(&url)).and_then(|profile| profile.ca),
        };
        let server = Server::new(url, ca.as_deref())?;
        if let Some(platform) = arguments.workload {
            let Arguments { audience, token_file, .. } = arguments;
            let wish = JobWish { server, ca, platform, audience, token_file };
            return run_async(async {
                report(&login::log_in_job(wish).await?, output);
                Ok(Exit::Done)
            });
        }
        let wish = Wish { server, ca, store: arguments.token_store, dev_user: arguments.dev_user };
        run_async(async {
            let done = login::login(wish, |prompt| show(prompt, arguments.no_qr, output)).await?;
            report(&done, output);
            Ok(Exit::Done)
        })
    }
}

fn read_ca(file: &std::path::Path) -> Result<String, Failure> {
    let broken = |why: String| Failure::new(Kind::Usage, format!("`{}` cannot be used", file.display())).cause(why);
    let bytes = files::read_limited(file, CA_MAX).map_err(|error| broken(error.to_string()))?;
    let bytes = bytes.ok_or_else(|| broken("It does not exist".to_owned()))?;
    String::from_utf8(bytes).map_err(|_| broken("It is not text".to_owned()))
}

fn show(prompt: &Prompt, no_qr: bool, output: &Output) {
    output.say(format_args!("Open {} and enter the code:\n\n    {}\n", prompt.url, prompt.code));
    // A phone cannot reach this machine's own loopback address.
    let reachable = reqwest::Url::parse(&prompt.url).is_ok_and(|url| !http::is_loopback(&url));
    let code = prompt.url_with_code.as_ref().filter(|_| !no_qr && reachable && output.is_watched());
    if let Some(code) = code.and_then(|url| qr(url, output)) {
        output.say(format_args!("Or point your phone at this, and compare the code:\n\n{code}"));
    }
    if let Some(number) = &prompt.number {
        output.say(format_args!("The page asks for the number of this terminal: {number}\n"));
    }
    if prompt.built_in {
        output.say("This server uses its built-in issuer: it asks for no password. Not for real data.\n");
    }
    output.say("Waiting for you there. Ctrl-C gives up.");
}

/// A QR code in half blocks, two rows to a line. Dark on light whatever the terminal's colours are, because not every
/// camera reads the reverse; where colours are unwanted, for a dark terminal.
fn qr(text: &str, output: &Output) -> Option<String> {
    /// Light modules around the code. ISO/IEC 18004 asks for four; phones are content with two.
    const MARGIN: usize = 2;
    let code = fast_qr::QRBuilder::new(text).build().ok()?;
    let inner = |at: usize| at.checked_sub(MARGIN).filter(|at| *at < code.size);
    let dark = |row: usize, column: usize| match (inner(row), inner(column)) {
        (Some(row), Some(column)) => code.data.get(row * code.size + column).is_some_and(|module| module.value()),
        (_, _) => false,
    };
    let side = code.size + 2 * MARGIN;
    let painted = output.is_colored();
    let mut out = String::new();
    for row in (0..side).step_by(2) {
        let line: String = (0..side)
            .map(|column| match (dark(row, column) == painted, (dark(row + 1, column)) == painted) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            })
            .collect();
        out.push_str(&format!("    {}\n", output.paint("30;107", &line)));
    }
    Some(out)
}

fn report(done: &Done, output: &mut Output) {
    let profile = &done.profile;
    if let Some(why) = &done.fallback {
        output
            .warn(format_args!("the login rests in {}, because there is nothing better ({why})", done.store.summary()));
    }
    match output.format() {
        Format::Json => {
            output.json(&Report { server: &profile.server, name: &profile.name, token_store: done.store.name() });
        }
        Format::Human => output.say(format_args!("Logged in to {} as {}.", profile.server, profile.name)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::output::Color;
    use super::*;

    /// The picture in the file was read back with OpenCV's detector; the painted one shows the reverse characters on
    /// the reverse ground.
    #[test]
    fn codes_are_drawn_for_light_and_dark() {
        let url = "https://login.example.com/device?user_code=BCDF-GHJK";
        let draw = |color| qr(url, &Output::new(Format::Human, color)).unwrap();
        let plain = draw(Color::Never);
        assert_eq!(plain, include_str!("../../tests/vectors/qr.txt"));
        let reverse = |c: char| match c {
            '█' => ' ',
            ' ' => '█',
            '▀' => '▄',
            '▄' => '▀',
            other => other,
        };
        for (plain, painted) in plain.lines().zip(draw(Color::Always).lines()) {
            let painted = painted.strip_prefix("    \u{1b}[30;107m").unwrap().strip_suffix("\u{1b}[0m").unwrap();
            let expected: String = plain.chars().skip(4).map(reverse).collect();
            assert_eq!(painted, expected);
        }
    }
}
