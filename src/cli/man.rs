//! Manual pages.

use std::path::PathBuf;

use clap::{ArgMatches, Args};

use super::exit::Exit;
use super::output::Output;
use super::{COMMANDS, Command, definition, parse};
use crate::domain::{Failure, Kind};

pub(super) struct Man;

#[derive(Args)]
struct Arguments {
    /// The command to explain; gov itself when left out
    command: Option<String>,
    /// Write the pages of all commands into this folder
    #[arg(long, value_name = "FOLDER", conflicts_with = "command")]
    all: Option<PathBuf>,
}

impl Command for Man {
    fn name(&self) -> &'static str {
        "man"
    }

    fn summary(&self) -> &'static str {
        "Print a manual page"
    }

    fn define(&self, command: clap::Command) -> clap::Command {
        Arguments::augment_args(command).after_help("Example: gov man login | man -l -")
    }

    fn run(&self, arguments: &ArgMatches, output: &mut Output) -> Result<Exit, Failure> {
        let arguments: Arguments = parse(arguments)?;
        let broken =
            |error: &std::io::Error| Failure::new(Kind::Internal, "the manual could not be written").cause(error);
        let pages = pages().map_err(|error| broken(&error))?;
        if let Some(folder) = arguments.all {
            for (name, page) in pages {
                crate::runtime::files::write(&folder.join(name), &page).map_err(|error| broken(&error))?;
            }
            return Ok(Exit::Done);
        }
        let wanted = match &arguments.command {
            None => "gov.1".to_owned(),
            Some(command) => format!("gov-{command}.1"),
        };
        let Some((_, page)) = pages.into_iter().find(|(name, _)| *name == wanted) else {
            return Err(Failure::new(Kind::NotFound, "there is no such command").hint("see: gov --help"));
        };
        output.bytes(&page);
        Ok(Exit::Done)
    }
}

/// All pages with their file names, from the list of commands.
pub(crate) fn pages() -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let mut all = definition();
    all.build();
    let mut pages = vec![("gov.1".to_owned(), render(all.clone())?)];
    for command in all.get_subcommands().filter(|command| !command.is_hide_set()) {
        let mut page = render(command.clone())?;
        let known = COMMANDS.iter().find(|known| known.name() == command.get_name());
        if let Some((heading, text)) = known.and_then(|known| known.appendix()) {
            page.extend(section(heading, &text).into_bytes());
        }
        pages.push((format!("gov-{}.1", command.get_name()), page));
    }
    Ok(pages)
}

/// A section whose text is shown as it stands. No line of it may begin with a dot.
fn section(heading: &str, text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('-', "\\-");
    format!(".SH {heading}\n.nf\n{text}\n.fi\n")
}

fn render(command: clap::Command) -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command).date("").render(&mut page)?;
    Ok(page)
}
