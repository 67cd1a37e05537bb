//! Show records as they are in the log.

use std::collections::VecDeque;
use std::sync::Arc;

use clap::Args;

use super::super::exit::Exit;
use super::super::output::Output;
use crate::client::gateway::Gateway;
use crate::client::log::Follower;
use crate::domain::{Duration, Failure};

#[derive(Args)]
pub(super) struct Arguments {
    /// Show so many records before what comes
    #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 10)]
    lines: usize,
    /// Go on showing what comes
    #[arg(short, long)]
    follow: bool,
}

/// How often the log is asked for more.
const LOOK: Duration = Duration::from_secs(1);

/// Records as they were signed, one JSON object a line: everybody's for operators, else those of one's own sessions.
pub(super) async fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let mut following = Follower::new(Arc::new(Gateway::open().await?))?;
    let mut newest = VecDeque::new();
    for record in following.next().await? {
        newest.push_back(record);
        if newest.len() > arguments.lines {
            newest.pop_front();
        }
    }
    newest.iter().for_each(|record| output.line(record));
    while arguments.follow && !output.is_closed() {
        tokio::time::sleep(LOOK).await;
        following.next().await?.iter().for_each(|record| output.line(record));
    }
    Ok(Exit::Done)
}
