//! End the login: at the server, at the identity provider, and on this machine.

use clap::ArgMatches;

use super::exit::Exit;
use super::output::Output;
use super::{Command, run_async};
use crate::client::gateway::Gateway;
use crate::domain::{Failure, Kind};

pub(super) struct Logout;

impl Command for Logout {
    fn name(&self) -> &'static str {
        "logout"
    }

    fn summary(&self) -> &'static str {
        "End the login on this machine"
    }

    fn define(&self, command: clap::Command) -> clap::Command {
        command
            .long_about(
                "End the login on this machine.\n\nThe server refuses this machine's key from now on, the identity \
                 provider's token is revoked, and what was kept here is erased. If one of them cannot be reached, the \
                 command says so and erases what is here anyway.",
            )
            .after_help("Example: gov logout")
    }

    fn run(&self, _: &ArgMatches, output: &mut Output) -> Result<Exit, Failure> {
        run_async(async {
            let gateway = match Gateway::open().await {
                Ok(gateway) => gateway,
                Err(Failure { kind: Kind::NotLoggedIn, .. }) => {
                    output.say("Nobody is logged in.");
                    return Ok(Exit::Done);
                }
                Err(failure) => return Err(failure),
            };
            let server = gateway.profile.server.clone();
            for trouble in gateway.logout().await? {
                output.warn(format_args!("{trouble}: what was kept here is gone, but it was not told"));
            }
            output.say(format_args!("Logged out of {server}."));
            Ok(Exit::Done)
        })
    }
}
