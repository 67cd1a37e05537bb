//! Run the gateway.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgMatches, Args};
use serde::Serialize;

use super::exit::Exit;
use super::output::{Format, Output, clean};
use super::{Command, parse, run_async};
use crate::domain::{Failure, Kind};
use crate::engine::masking_sql;
use crate::runtime::shutdown::{self, Shutdown};
use crate::runtime::{env, log};
use crate::server::check::{self, Compared};
use crate::server::config::{self, Config, IdentitySource};
use crate::server::{Followed, Gateway};

pub(super) struct Server;

#[derive(Args)]
struct Arguments {
    /// The configuration, in YAML
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Try gov out: loopback only, with a built-in issuer that asks for no passwords
    #[arg(long)]
    dev: bool,
    /// With --dev: a database to govern, NAME=postgres://USER@HOST:PORT/DATABASE?LABEL=VALUE
    #[arg(long, value_name = "NAME=URL", requires = "dev")]
    resource: Vec<String>,
    /// With --dev: a user, NAME:GROUP,GROUP; alice, bob, carol and dave are there already
    #[arg(long, value_name = "NAME:GROUPS", requires = "dev")]
    user: Vec<String>,
    /// Listen here instead
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Keep data here instead
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Serve nobody; compare the log's tables and the timeline with the log itself, and say which row says something else
    #[arg(long)]
    check: bool,
    /// Print a commented configuration and end
    #[arg(long)]
    print_example_config: bool,
    /// Print the SQL by which a superuser lets gov mask in a database, for the user it logs in as, and end
    #[arg(long, value_name = "BROKER")]
    print_masking_sql: Option<String>,
}

#[derive(Serialize)]
struct Ready<'a> {
    url: &'a str,
}

impl Command for Server {
    fn name(&self) -> &'static str {
        "server"
    }

    fn summary(&self) -> &'static str {
        "Run the gateway"
    }

    fn define(&self, command: clap::Command) -> clap::Command {
        Arguments::augment_args(command)
            .long_about(
                "Run the gateway: the control plane and the way to the databases, on one port.\n\nWith --config it reads \
                 a file. With --dev it needs none: it listens on this machine only, makes its own certificate, and \
                 carries a small issuer with the users alice (engineering, may read), bob (dba, may write), carol and \
                 dave. GOV_LOG chooses what it logs, for example GOV_LOG=debug.\n\nWith --check it only looks at what \
                 it keeps: everything beside the log follows from the log, and a row that does not was changed by somebody.",
            )
            .after_help("Example: gov server --dev --resource 'prod-db=postgres://admin@localhost/app?env=prod'")
    }

    fn run(&self, arguments: &ArgMatches, output: &mut Output) -> Result<Exit, Failure> {
        let arguments: Arguments = parse(arguments)?;
        if arguments.print_example_config {
            output.bytes(config::EXAMPLE.as_bytes());
            return Ok(Exit::Done);
        }
        if let Some(broker) = &arguments.print_masking_sql {
            output.bytes(masking_sql(broker).as_bytes());
            return Ok(Exit::Done);
        }
        let config = configuration(&arguments)?;
        if arguments.check {
            return Ok(show(&check::compare(&config.data)?, output));
        }
        log::start("info");
        let followed = arguments.config.map(|file| Followed { file, development: arguments.dev });
        run_async(serve(config, followed, output))
    }
}

/// What `--check --json` prints.
#[derive(Serialize)]
struct Checked<'a> {
    sound: bool,
    entries: u64,
    rows: u64,
    faults: &'a [String],
}

fn show(compared: &Compared, output: &mut Output) -> Exit {
    let Compared { entries, rows, lies, more } = compared;
    let sound = lies.is_empty();
    if output.format() == Format::Json {
        output.json(&Checked { sound, entries: *entries, rows: *rows, faults: lies });
    } else if sound {
        output.line(format!("{rows} rows beside the log say what its {entries} entries say."));
    } else {
        output.line("Beside the log stands something else than in it:");
        lies.iter().for_each(|lie| output.line(format!("  - {}", clean(lie))));
        if *more > 0 {
            output.line(format!("  and {more} more"));
        }
        output.say(
            "The entries themselves are for `gov audit verify`. A timeline is made anew from them: stop the server,",
        );
        output.say("take `timeline.db` away, start it. Where the log's own tables differ, put the newest copy back.");
    }
    if sound { Exit::Done } else { Exit::Unsound }
}

fn configuration(arguments: &Arguments) -> Result<Config, Failure> {
    let mut config = match (&arguments.config, arguments.dev) {
        (Some(file), development) => config::read(file, development)?,
        (None, true) => config::development(env::data_dir()?.join("server")),
        (None, false) => {
            return Err(Failure::new(Kind::Usage, "the server has no configuration")
                .detail("Name a file with --config, or try gov out with --dev.")
                .hint("begin with: gov server --print-example-config > gov.yaml"));
        }
    };
    for text in &arguments.resource {
        let (name, resource) = config::resource(text).map_err(|error| refused("--resource", &error))?;
        config.resources.insert(name, resource);
    }
    for text in &arguments.user {
        let (name, user) = config::user(text).map_err(|error| refused("--user", &error))?;
        if let IdentitySource::BuiltIn(users) = &mut config.identity {
            users.insert(name, user);
        }
    }
    if let Some(listen) = arguments.listen {
        config.listen = listen;
    }
    if let Some(data) = &arguments.data {
        config.data.clone_from(data);
    }
    Ok(config)
}

fn refused(option: &str, error: &config::BadArgument) -> Failure {
    Failure::new(Kind::Usage, format!("{option} is not understood")).cause(error)
}

async fn serve(config: Config, followed: Option<Followed>, output: &mut Output) -> Result<Exit, Failure> {
    let development = matches!(config.identity, IdentitySource::BuiltIn(_));
    let (shutdown, ending) = Shutdown::new();
    // Before anything is announced: whoever waits for the announcement may end us right after it.
    let mut signalled = std::pin::pin!(shutdown::signalled());
    let gateway = Gateway::open(config).await?;
    match output.format() {
        Format::Json => output.json(&Ready { url: gateway.url() }),
        Format::Human if development => {
            let url = gateway.url();
            output.say(format_args!(
                "Built-in issuer: no passwords, this machine only. Log in from another terminal:\n\n    gov login {url}\n"
            ));
        }
        Format::Human => {}
    }
    let mut serving = std::pin::pin!(gateway.run(followed, ending));
    tokio::select! {
        ended = &mut serving => ended?,
        signal = &mut signalled => {
            signal?;
            shutdown.begin();
            serving.await?;
        }
    }
    Ok(Exit::Done)
}
