//! Serve governed databases to an agent, over the Model Context Protocol on standard input and output.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{ArgMatches, Args, ValueEnum};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation, JsonObject, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig, ToolAnnotations,
};
use rmcp::service::RequestContext;
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::{ErrorData, RoleServer, ServerHandler, ServiceExt as _};
use schemars::Schema;
use schemars::generate::SchemaSettings;
use serde_json::json;

use super::exit::Exit;
use super::output::Output;
use super::tool::{Desk, TOOLS, Tool};
use super::wish::WishArguments;
use super::{Command, parse, run_async};
use crate::domain::{Failure, Kind, ResourceName};
use crate::runtime::{log, shutdown};
use crate::wire::api::ErrorBody;

/// Longest message of the agent's, in bytes. A longer one is dropped, whatever it says.
const MESSAGE_MAX: usize = 1024 * 1024;

pub(super) struct Mcp;

#[derive(Args)]
struct Arguments {
    /// The databases the agent is given, as `gov ls` names them
    #[arg(required = true)]
    resource: Vec<ResourceName>,
    #[command(flatten)]
    wish: WishArguments,
    /// Print what to put into the configuration of an agent's program, and do no more
    #[arg(long, value_name = "PROGRAM")]
    print_config: Option<Program>,
}

/// Programs whose configuration is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Program {
    Claude,
    Cursor,
    Vscode,
    Codex,
}

impl Command for Mcp {
    fn name(&self) -> &'static str {
        "mcp"
    }

    fn summary(&self) -> &'static str {
        "Serve governed databases to an agent"
    }

    fn define(&self, command: clap::Command) -> clap::Command {
        Arguments::augment_args(command)
            .long_about(
                "Serve governed databases to an agent, over the Model Context Protocol on standard input and output. \
                 The agent's program starts it.\n\nThe agent can list the databases it was given here, see their \
                 schema and what is masked in it, query, and ask what would be allowed; nothing else. It gets a \
                 session of its own per database, under the policy, for the purpose given here, and with --agent no \
                 more than what is registered for it. A refusal tells it the rule and what would be allowed instead.",
            )
            .after_help(
                "Examples:\n  gov mcp prod-db --purpose analytics.report\n  gov mcp prod-db --agent report-bot --purpose \
                 analytics.report --print-config claude",
            )
    }

    fn run(&self, arguments: &ArgMatches, output: &mut Output) -> Result<Exit, Failure> {
        let arguments: Arguments = parse(arguments)?;
        if let Some(program) = arguments.print_config {
            output.bytes(configuration(program, &arguments)?.as_bytes());
            return Ok(Exit::Done);
        }
        log::start("warn");
        run_async(serve(arguments, output))
    }
}

/// Serves until the agent's program closes our input, or we are asked to end; then ends every session.
async fn serve(arguments: Arguments, output: &Output) -> Result<Exit, Failure> {
    let wishes = arguments.resource.iter().map(|name| Ok((name.clone(), arguments.wish.stated(name)?)));
    let wishes: BTreeMap<_, _> = wishes.collect::<Result<_, Failure>>()?;
    // Before anything is promised to the agent: whether there is a login.
    drop(arguments.wish.gateway().await?);
    let desk = Arc::new(Desk::new(arguments.wish, wishes));
    let transport = AsyncRwTransport::new(tokio::io::stdin(), tokio::io::stdout()).with_max_line_length(MESSAGE_MAX);
    let served = tokio::select! {
        served = converse(Arc::clone(&desk), transport) => served,
        signal = shutdown::signalled() => signal.map(|_| ()),
    };
    for failure in desk.close().await {
        output.warn(format!("a session could not be ended at the gateway: {}", failure.message));
    }
    served.map(|()| Exit::Done)
}

async fn converse(
    desk: Arc<Desk>,
    transport: AsyncRwTransport<RoleServer, tokio::io::Stdin, tokio::io::Stdout>,
) -> Result<(), Failure> {
    let broken = |error: &dyn std::fmt::Display| {
        Failure::new(Kind::Usage, "the agent's program does not speak the Model Context Protocol").cause(error)
    };
    let running = Clerk { desk }.serve(transport).await.map_err(|error| broken(&error))?;
    running.waiting().await.map(drop).map_err(|error| broken(&error))
}

/// Answers an agent.
#[derive(Debug)]
struct Clerk {
    desk: Arc<Desk>,
}

impl ServerHandler for Clerk {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("gov", env!("CARGO_PKG_VERSION")))
            .with_instructions(
                "Databases under a policy. Values that are sensitive come masked; do not try to work around that. \
                 Ask `explain` before a statement you are not sure of. What a refusal suggests is what is allowed.",
            )
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(TOOLS.iter().map(|tool| described(*tool)).collect()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let tool = TOOLS.iter().find(|tool| tool.name() == request.name);
        let tool = tool.ok_or_else(|| ErrorData::invalid_params("there is no such tool", None))?;
        let arguments = request.arguments.unwrap_or_default();
        let done = async {
            let _turn = self.desk.turn().await?;
            tool.call(&self.desk, arguments).await
        };
        let found = tokio::select! {
            found = done => found,
            // What was begun is dropped, and with it its connection: the database stops.
            () = context.ct.cancelled() => Err(Failure::new(Kind::Usage, "the call was cancelled")),
        };
        Ok(match found {
            Ok(value) => CallToolResult::structured(value),
            // As text: what is structured must be of the tool's own form, and clients check.
            Err(failure) => {
                let said = json!(ErrorBody::from(&failure)).to_string();
                CallToolResult::error(vec![ContentBlock::text(said)])
            }
        }
        .into())
    }
}

fn described(tool: &dyn Tool) -> rmcp::model::Tool {
    // One document per tool: clients do not follow references out of it.
    let mut schemas =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true).into_generator();
    let input = object(tool.input(&mut schemas));
    let output = object(tool.output(&mut schemas));
    let mut described = rmcp::model::Tool::new(tool.name(), tool.summary(), input).with_raw_output_schema(output);
    described.annotations = Some(ToolAnnotations::new().read_only(tool.only_reads()).open_world(false));
    described
}

fn object(schema: Schema) -> Arc<JsonObject> {
    Arc::new(schema.to_value().as_object().cloned().unwrap_or_default())
}

/// What to put into the configuration of an agent's program. Nothing in it is secret.
fn configuration(program: Program, arguments: &Arguments) -> Result<String, Failure> {
    let gov = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("gov")).display().to_string();
    let names = arguments.resource.iter().map(ToString::to_string);
    let words: Vec<String> = std::iter::once("mcp".to_owned()).chain(names).chain(arguments.wish.words()).collect();
    let name = "gov";
    let server = json!({ "command": gov, "args": words });
    let document = match program {
        Program::Claude | Program::Cursor => json!({ "mcpServers": { name: server } }),
        Program::Vscode => json!({ "servers": { name: { "type": "stdio", "command": gov, "args": words } } }),
        Program::Codex => {
            // Strings and lists of strings are written in TOML as they are in JSON.
            return Ok(format!("[mcp_servers.{name}]\ncommand = {}\nargs = {}\n", json!(gov), json!(words)));
        }
    };
    serde_json::to_string_pretty(&document)
        .map(|text| format!("{text}\n"))
        .map_err(|_| Failure::new(Kind::Internal, "the configuration could not be written"))
}
