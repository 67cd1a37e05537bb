//! What a session is asked for: the arguments of every command that opens one.

use clap::Args;

use crate::client::session::Wish;
use crate::domain::{Access, BadName, Duration, Failure, Kind, Purpose, ResourceName, parse_duration};

// Not a doc comment: clap would make it the command's help.
#[derive(Args)]
pub(super) struct WishArguments {
    /// Ask for write access; without it the session can only read
    #[arg(long)]
    write: bool,
    /// Why: one of the purposes `gov ls` shows
    #[arg(long, value_name = "PURPOSE")]
    purpose: Option<String>,
    /// What the purpose refers to, for example a ticket
    #[arg(long = "ref", value_name = "REFERENCE", requires = "purpose")]
    reference: Option<String>,
    /// End the session after this long, for example 30m or 1h
    #[arg(long, value_name = "TIME", value_parser = time)]
    ttl: Option<Duration>,
}

fn time(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "write a number and a unit: 90s, 30m, 1h".to_owned())
}

impl WishArguments {
    pub(super) fn wish(&self, resource: &ResourceName) -> Result<Wish, Failure> {
        let purpose = match &self.purpose {
            None => None,
            Some(id) => Some(Purpose {
                id: id.parse().map_err(|error: BadName| Failure::new(Kind::Usage, error.to_string()))?,
                reference: self.reference.clone(),
            }),
        };
        Ok(Wish {
            resource: resource.clone(),
            access: if self.write { Access::Write } else { Access::Read },
            purpose,
            ttl_seconds: self.ttl.map(|ttl| ttl.as_secs()),
        })
    }
}
