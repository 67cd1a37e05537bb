//! What would happen to a statement.

use clap::{ArgMatches, Args};

use super::exit::Exit;
use super::output::{Format, Output};
use super::{Command, parse, run_async};
use crate::client::gateway::Gateway;
use crate::domain::{ColumnName, Failure, ResourceName};
use crate::wire::api::{ExplainRequest, ExplainedOutput, Explanation, Refused};

pub(super) struct Explain;

#[derive(Args)]
struct Arguments {
    /// The database, as `gov ls` names it
    resource: ResourceName,
    /// The statement; it is not run
    sql: String,
    /// As in a session that may write
    #[arg(long)]
    write: bool,
    /// As in a session that was opened to see this masked column; may be given several times
    #[arg(long, value_name = "COLUMN")]
    reveal: Vec<ColumnName>,
    /// How many rows the planner is taken to expect, where the policy looks at that; it is asked when the statement runs
    #[arg(long, value_name = "ROWS")]
    estimated_rows: Option<u64>,
}

impl Command for Explain {
    fn name(&self) -> &'static str {
        "explain"
    }

    fn summary(&self) -> &'static str {
        "Say which columns of a statement are masked, and why"
    }

    fn define(&self, command: clap::Command) -> clap::Command {
        Arguments::augment_args(command)
            .long_about(
                "Say what would happen to a statement, without running it: whether the policy lets it run, which of its \
                 columns are masked, and which columns of which tables they come from.\n\n\
                 A column is `clear`; or `watched`, when values in it that look sensitive are masked; or masked as what \
                 it is known to hold; or `hidden`, when it was computed from something masked. In a session that is masked \
                 in the database, values are masked before they are computed with.",
            )
            .after_help("Example: gov explain prod-db 'SELECT id, upper(email) FROM customers'")
    }

    fn run(&self, arguments: &ArgMatches, output: &mut Output) -> Result<Exit, Failure> {
        let arguments: Arguments = parse(arguments)?;
        run_async(async {
            let gateway = Gateway::open().await?;
            let assumed = arguments.estimated_rows;
            let access = if arguments.write { "write" } else { "read" }.to_owned();
            let request = ExplainRequest {
                sql: arguments.sql,
                access,
                reveal: arguments.reveal.iter().map(ToString::to_string).collect(),
                estimated_rows: assumed,
            };
            let path = format!("/v1/resources/{}/explain", arguments.resource);
            let explanation: Explanation = gateway.post(&path, &request).await?;
            match output.format() {
                Format::Json => output.json(&explanation),
                Format::Human => {
                    let why = explanation.masking_reason.as_ref().map_or_else(String::new, |why| format!(" {why}"));
                    output.say(format!("The session would be masked {}.{why}", explanation.masking));
                    if let Some(refused) = &explanation.refused {
                        output.say(sentence(refused));
                    }
                    let steps: Vec<_> =
                        explanation.by_estimate.iter().map(|step| (step.rows_max, step.verdict.as_str())).collect();
                    if !steps.is_empty() {
                        output.say(format_args!("It depends on the estimate: {}.", by_estimate(&steps)));
                        output.say(assumption(assumed));
                    }
                    for compared in &explanation.compares {
                        output.say(format_args!("{}. {}", compared.message, compared.detail));
                    }
                    if !explanation.columns.is_empty() {
                        output.table(&["column", "mask", "from"], explanation.columns.iter().flat_map(rows));
                    }
                }
            }
            Ok(Exit::Done)
        })
    }
}

fn sentence(refused: &Refused) -> String {
    let verb = if refused.verdict == "hold" { "would wait for approval" } else { "would be refused" };
    format!("This {verb}: {} (rule: {}).", refused.message, refused.rule)
}

/// What is decided by how many rows the planner expects: `up to 20 rows allow, above hold`.
pub(super) fn by_estimate(steps: &[(Option<u64>, &str)]) -> String {
    let told = steps.iter().map(|(rows_max, verdict)| match rows_max {
        Some(1) => format!("up to 1 row {verdict}"),
        Some(rows) => format!("up to {rows} rows {verdict}"),
        None => format!("above {verdict}"),
    });
    told.collect::<Vec<_>>().join(", ")
}

/// What the answer rests on, where it depends on the estimate.
pub(super) fn assumption(assumed: Option<u64>) -> String {
    match assumed {
        Some(rows) => format!("Assumed: the planner expects {rows}. It is asked when the statement runs."),
        None => "Assumed: the planner cannot say, and then somebody is asked. Try a number with --estimated-rows ROWS."
            .to_owned(),
    }
}

/// One row for each source; the column stands in the first only.
fn rows(column: &ExplainedOutput) -> Vec<Vec<String>> {
    let mask = column.entity.clone().unwrap_or_else(|| column.mask.clone());
    let sources = column.from.iter().map(|from| match from.how.as_str() {
        "as it is" => from.name.clone(),
        how => format!("{}, {how}", from.name),
    });
    let mut sources: Vec<String> = sources.collect();
    if sources.is_empty() {
        sources.push("-".to_owned());
    }
    let row = |(index, source)| match index {
        0 => vec![column.name.clone(), mask.clone(), source],
        _ => vec![String::new(), String::new(), source],
    };
    sources.into_iter().enumerate().map(row).collect()
}
