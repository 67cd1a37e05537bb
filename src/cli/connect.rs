//! Open a local endpoint to a database.

use std::ffi::OsString;
use std::process::Stdio;

use clap::{ArgMatches, Args, ValueEnum};
use serde::Serialize;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command as Process;

use super::exit::Exit;
use super::output::{Format, Output};
use super::wish::WishArguments;
use super::{Command, parse, run_async, wrapped};
use crate::client::endpoint::{Bound, Encryption, Local, Port};
use crate::client::session::{Held, Keeper};
use crate::domain::{Duration, Failure, Kind, ResourceName, print_duration};
use crate::runtime::log;
use crate::runtime::shutdown::{self, Signal};

pub(super) struct Connect;

#[derive(Args)]
struct Arguments {
    /// The database, as `gov ls` names it
    resource: ResourceName,
    #[command(flatten)]
    wish: WishArguments,
    /// Listen on this port of 127.0.0.1; 0 takes any that is free
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Print how to connect, for programs; the password is part of it
    #[arg(long, value_name = "FORM", conflicts_with = "command")]
    print: Option<Form>,
    /// Offer TLS at the port, for tools that insist on it
    #[arg(long, conflicts_with = "command")]
    tls: bool,
    /// Go on in the background, and come back when the endpoint is open
    #[arg(long, conflicts_with = "command")]
    background: bool,
    /// Run this with the endpoint in its environment, and end the session when it ends
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
    /// The process in the background, once it is there
    #[arg(long, hide = true)]
    detached: bool,
}

/// Forms of telling how to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Url,
    Env,
    Jdbc,
    Json,
}

#[derive(Serialize)]
struct Described<'a> {
    host: String,
    port: u16,
    user: &'a str,
    password: &'a str,
    database: &'a str,
    socket: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_file: Option<String>,
    expires_at: String,
    session: String,
    resource: String,
    masking: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    masking_reason: Option<&'a str>,
    pid: u32,
}

impl Command for Connect {
    fn name(&self) -> &'static str {
        "connect"
    }

    fn summary(&self) -> &'static str {
        "Open a local endpoint to a database"
    }

    fn define(&self, command: clap::Command) -> clap::Command {
        Arguments::augment_args(command)
            .long_about(
                "Open a local endpoint to a database, and keep it open until Ctrl-C or the end of the session.\n\nEvery \
                 client that speaks to the database can use it: it listens on 127.0.0.1, on the same port each time, \
                 with a user and a password made for this session; and on a Unix socket that only you can reach, which \
                 needs no password. With a command behind `--`, the command runs with the endpoint in its environment \
                 (PGHOST, PGPORT, PGUSER, PGDATABASE, PGPASSFILE, DATABASE_URL), and the session ends with it.",
            )
            .after_help(
                "Examples:\n  gov connect prod-db -- psql\n  gov connect prod-db --purpose support.ticket --ref ZD-812\n  \
                 gov connect prod-db --print json",
            )
    }

    fn run(&self, arguments: &ArgMatches, output: &mut Output) -> Result<Exit, Failure> {
        let arguments: Arguments = parse(arguments)?;
        log::start("warn");
        if arguments.background {
            return run_async(detach(output));
        }
        run_async(connect(arguments, output))
    }
}

async fn connect(arguments: Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let gateway = arguments.wish.gateway().await?;
    let wish = arguments.wish.wish(&gateway, &arguments.resource, output).await?;
    if !arguments.command.is_empty() {
        return wrapped::run(gateway, wish, arguments.port, &arguments.command, output).await;
    }
    // Before anything is announced: whoever waits for the announcement may end us right after it.
    let mut signalled = std::pin::pin!(shutdown::signalled());
    let port = arguments.port.map_or(Port::Stable, Port::Given);
    let encryption = if arguments.tls { Encryption::Offered } else { Encryption::None };
    let bound = Bound::open(&gateway.server.origin(), &arguments.resource, port).await?;
    let keeper = Keeper::open(gateway, wish).await?;
    let held = keeper.current().await;
    let (local, endpoint) = bound.serve(&held.database, encryption, keeper)?;
    let ended = async {
        announce(arguments.print, arguments.detached, &local, &held, output)?;
        tokio::select! {
            signal = &mut signalled => {
                if matches!(signal, Ok(Signal::Terminate)) && !arguments.detached {
                    output.say("Another process asked this one to end.");
                }
                signal.map(|_| Exit::Done)
            }
            () = over(endpoint.dialer(), arguments.detached, output) => Ok(Exit::Done),
        }
    };
    let ended = ended.await;
    local.close();
    wrapped::finish(&endpoint, output).await;
    ended
}

/// How long an endpoint in the background answers after its session has expired: a working day, so that whoever comes
/// back to a tool finds a readable error instead of a refused connection.
const AFTERLIFE: Duration = Duration::from_secs(8 * 60 * 60);

/// Comes back when there is nothing left to be there for.
async fn over(keeper: &Keeper, detached: bool, output: &Output) {
    let why = keeper.over().await;
    if detached {
        tokio::time::sleep(AFTERLIFE).await;
        return;
    }
    output.say(format!("The session is over: {why}. Connections are told so; end this with Ctrl-C."));
    std::future::pending().await
}

fn announce(
    form: Option<Form>,
    detached: bool,
    local: &Local,
    held: &Held,
    output: &mut Output,
) -> Result<(), Failure> {
    let described = Described {
        host: local.address.ip().to_string(),
        port: local.address.port(),
        user: &local.user,
        password: local.password.expose(),
        database: &local.database,
        socket: local.socket_folder.display().to_string(),
        ca_file: local.authority.as_ref().map(|path| path.display().to_string()),
        expires_at: held.grant.expires_at.to_string(),
        session: held.grant.session.to_string(),
        resource: held.grant.resource.to_string(),
        masking: held.grant.masking.word(),
        masking_reason: held.masking_reason.as_deref(),
        pid: std::process::id(),
    };
    let form = match (form, output.format()) {
        (None, Format::Json) => Some(Form::Json),
        (form, _) => form,
    };
    match form {
        Some(Form::Json) => output.json(&described),
        Some(Form::Url) => output.line(local.url()),
        Some(Form::Jdbc) => output.line(local.jdbc_url()),
        Some(Form::Env) => {
            for (name, value) in wrapped::variables(local)? {
                output.line(format!("export {name}={}", shell_quoted(&value)));
            }
            output.line(format!("export PGPASSWORD={}", shell_quoted(local.password.expose())));
        }
        None => {
            let left = print_duration(held.grant.expires_at.since(held.grant.opened_at));
            let purpose =
                held.grant.purpose.as_ref().map_or_else(String::new, |purpose| format!(", for {}", purpose.id));
            output.say(format!(
                "`{}` is open for {left}, to {}{purpose}.\n\n  psql '{}'\n\n  host      {}\n  port      {}\n  user      \
                 {}\n  password  {}\n  database  {}\n  masking   {}{}\n",
                held.grant.resource,
                held.grant.access.word(),
                local.socket_url(),
                described.host,
                described.port,
                described.user,
                described.password,
                described.database,
                described.masking,
                described.masking_reason.map_or_else(String::new, |why| format!("\n            {why}")),
            ));
            if !held.grant.reveal.is_empty() {
                let columns: Vec<_> = held.grant.reveal.iter().map(|column| format!("`{column}`")).collect();
                output.say(format!(
                    "Unmasked where the policy or an approval allows it, and on record: {}.",
                    columns.join(", ")
                ));
            }
            if let Some(path) = &described.ca_file {
                output.say(format!("  TLS       sslmode=verify-full sslrootcert={path}\n"));
            }
            if !detached {
                output.say("Ctrl-C ends the session.");
            }
        }
    }
    if detached {
        // Whoever started us waits for this line and no more; from here on nobody listens.
        output.line(READY);
    }
    Ok(())
}

/// The last line of what the process in the background says.
const READY: &str = "gov: ready";

/// Starts ourselves again, apart from this terminal, and passes on what it says until it is ready.
async fn detach(output: &mut Output) -> Result<Exit, Failure> {
    let broken =
        |error: std::io::Error| Failure::new(Kind::Internal, "no process could be started").detail(format!("{error}."));
    let program = std::env::current_exe().map_err(broken)?;
    let arguments: Vec<OsString> = std::env::args_os()
        .skip(1)
        .map(|argument| if argument == "--background" { "--detached".into() } else { argument })
        .collect();
    let mut child = Process::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A group of its own: signals of this terminal are not for it.
        .process_group(0)
        .spawn()
        .map_err(broken)?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (Some(stdout), Some(stderr)) = (stdout, stderr) else {
        return Err(Failure::new(Kind::Internal, "the new process has no output"));
    };
    let (mut data, mut talk) = (BufReader::new(stdout).lines(), BufReader::new(stderr).lines());
    loop {
        tokio::select! {
            line = data.next_line() => match line.map_err(broken)? {
                Some(line) if line == READY => {
                    // What it said to the person just before.
                    while let Ok(Ok(Some(line))) = tokio::time::timeout(Duration::from_millis(50), talk.next_line()).await {
                        output.say(line);
                    }
                    output.say(format!("It goes on in the background (pid {}). `gov session ls` shows it.", child.id().unwrap_or(0)));
                    return Ok(Exit::Done);
                }
                Some(line) => output.line(line),
                None => break,
            },
            Ok(Some(line)) = talk.next_line() => output.say(line),
        }
    }
    while let Ok(Some(line)) = talk.next_line().await {
        output.say(line);
    }
    let status = child.wait().await.map_err(broken)?;
    Ok(Exit::Wrapped(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1)))
}

/// A word that any POSIX shell reads as it is.
fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shells_read_quoted_words_as_they_are() {
        assert_eq!(shell_quoted("it's $HOME"), r"'it'\''s $HOME'");
    }
}
