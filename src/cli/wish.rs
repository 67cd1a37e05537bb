//! What a session is asked for: the arguments of every command that opens one.

use clap::Args;

use super::output::Output;
use crate::client::gateway::Gateway;
use crate::client::session::Wish;
use crate::domain::{
    Access, AgentId, BadName, ColumnName, Duration, Failure, Kind, Purpose, ResourceName, parse_duration,
    print_duration,
};
use crate::wire::api::{PurposeEntry, ResourceList};

// Not a doc comment: clap would make it the command's help.
#[derive(Args, Debug)]
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
    /// Ask for the real values of a masked column, as table.column; may be given several times
    #[arg(long, value_name = "COLUMN")]
    reveal: Vec<ColumnName>,
    /// End the session after this long, for example 30m or 1h
    #[arg(long, value_name = "TIME", value_parser = time)]
    ttl: Option<Duration>,
    /// Act as this agent, for whoever is logged in
    #[arg(long, value_name = "AGENT", env = "GOV_AGENT")]
    agent: Option<AgentId>,
}

fn time(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "write a number and a unit: 90s, 30m, 1h".to_owned())
}

impl WishArguments {
    /// Whether the session may change something.
    pub(super) fn writes(&self) -> bool {
        self.write
    }

    pub(super) fn access(&self) -> Access {
        if self.write { Access::Write } else { Access::Read }
    }

    /// The server, as whoever is to have the session.
    pub(super) async fn gateway(&self) -> Result<Gateway, Failure> {
        Ok(Gateway::open().await?.acting(self.agent.clone()))
    }

    /// What is wished for. Where a purpose is needed and none was typed, the person is asked.
    pub(super) async fn wish(
        &self,
        gateway: &Gateway,
        resource: &ResourceName,
        output: &Output,
    ) -> Result<Wish, Failure> {
        let mut wish = self.stated(resource)?;
        if wish.purpose.is_none() && output.can_ask() {
            let list = gateway.get("/v1/resources").await?;
            let picked = pick(&list, resource, wish.access, output);
            wish.purpose = picked.map(|(id, reference)| purpose(&id, reference)).transpose()?;
        }
        Ok(wish)
    }

    /// What is wished for, as it was typed.
    pub(super) fn stated(&self, resource: &ResourceName) -> Result<Wish, Failure> {
        let purpose = self.purpose.as_deref().map(|id| purpose(id, self.reference.clone()));
        Ok(Wish {
            resource: resource.clone(),
            access: self.access(),
            purpose: purpose.transpose()?,
            reveal: self.reveal.clone(),
            ttl_seconds: self.ttl.map(|ttl| ttl.as_secs()),
        })
    }

    /// The masked columns whose real values are asked for, as a request names them.
    pub(super) fn revealed(&self) -> Vec<String> {
        self.reveal.iter().map(ToString::to_string).collect()
    }

    /// The same as words of a command line.
    pub(super) fn words(&self) -> Vec<String> {
        let ttl = self.ttl.map(print_duration);
        let agent = self.agent.as_ref().map(ToString::to_string);
        let options = [("--purpose", &self.purpose), ("--ref", &self.reference), ("--ttl", &ttl), ("--agent", &agent)];
        let valued = options.into_iter().filter_map(|(option, value)| Some([option.to_owned(), value.clone()?]));
        let revealed = self.reveal.iter().flat_map(|column| ["--reveal".to_owned(), column.to_string()]);
        self.write.then(|| "--write".to_owned()).into_iter().chain(valued.flatten()).chain(revealed).collect()
    }
}

pub(super) fn purpose(id: &str, reference: Option<String>) -> Result<Purpose, Failure> {
    let id = id.parse().map_err(|error: BadName| Failure::new(Kind::Usage, error.to_string()))?;
    Ok(Purpose { id, reference })
}

/// Asks for one of the purposes that open a resource, and for what it refers to. Nobody is asked where none is needed;
/// an answer that names none of them is left to the server, which says what there is.
fn pick(
    list: &ResourceList,
    resource: &ResourceName,
    access: Access,
    output: &Output,
) -> Option<(String, Option<String>)> {
    let entry = list.resources.iter().find(|entry| entry.name == resource.as_str())?;
    let ways: Vec<_> =
        entry.ways.iter().filter(|way| access == Access::Read || way.access == Access::Write.word()).collect();
    if ways.iter().any(|way| way.purposes.is_empty()) {
        return None;
    }
    let opens = |purpose: &&PurposeEntry| ways.iter().any(|way| way.purposes.contains(&purpose.id));
    let open: Vec<_> = list.purposes.iter().filter(opens).collect();
    output.say(format!("`{resource}` needs a purpose:\n"));
    for (index, purpose) in open.iter().enumerate() {
        output.say(format!("  {}  {}  {}", index + 1, purpose.id, purpose.description));
    }
    let typed = output.ask(format!("\nWhich one? [1-{}]", open.len()))?;
    let by_number = typed.parse::<usize>().ok().and_then(|number| open.get(number.checked_sub(1)?));
    let chosen = by_number.or_else(|| open.iter().find(|purpose| purpose.id == typed));
    let Some(chosen) = chosen else { return Some((typed, None)) };
    let reference = chosen.reference.as_ref();
    let reference = reference.and_then(|pattern| output.ask(format!("What does it refer to? ({pattern})")));
    Some((chosen.id.clone(), reference))
}
