//! Forget a person.

use clap::Args;

use super::super::exit::Exit;
use super::super::output::{Format, Output};
use crate::client::gateway::Gateway;
use crate::domain::Failure;
use crate::wire::api::{EraseRequest, Erased};

#[derive(Args)]
#[command(
    long_about = "Forget a person: end their sessions, destroy the keys of what they typed, and forget whose their \
                  records are. The records stay as they are, so that the log still verifies: they say that a pseudonym \
                  ran normalised statements, and nobody can tell any more whose it was. The erasure itself is on \
                  record, with the reason, for good.\n\nFor members of the groups under `auditors`, and never for \
                  themselves. Copies of the server's data folder from before still have the keys: erase them too."
)]
pub(super) struct Arguments {
    /// Whom: name, e-mail address or pseudonym
    #[arg(long, value_name = "WHO")]
    subject: String,
    /// Why, as a reference that names nobody: a ticket, an article of law
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

pub(super) async fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let gateway = Gateway::open().await?;
    let request = EraseRequest { subject: arguments.subject.clone(), reason: arguments.reason.clone() };
    let erased: Erased = gateway.post("/v1/people/erase", &request).await?;
    if output.format() == Format::Json {
        output.json(&erased);
    } else {
        let keys = if erased.keys == 1 {
            "1 key of raw texts is".to_owned()
        } else {
            format!("{} keys of raw texts are", erased.keys)
        };
        output.line(format!("`{}` is forgotten: {keys} destroyed, and the name is gone.", arguments.subject));
        output.say("The erasure is on record. What is in backups of the server's data folder is not erased.");
    }
    Ok(Exit::Done)
}
