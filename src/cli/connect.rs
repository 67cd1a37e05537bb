//! Open a local endpoint to a database.

use std::ffi::OsString;
use std::process::Stdio;

use clap::{ArgMatches, Args, ValueEnum};
use serde::Serialize;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command as Process};

use super::exit::Exit;
use super::output::{Format, Output};
use super::{Command, parse, run_async};
use crate::client::endpoint::{Bound, Local, Port};
use crate::client::gateway::Gateway;
use crate::client::proxy::Endpoint;
use crate::client::session::{Held, Keeper, Wish};
use crate::domain::{Access, Duration, Failure, Kind, Purpose, ResourceName, parse_duration, print_duration};
use crate::runtime::{env, log, shutdown};

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
    #[arg(long, value_name = "FORM")]
    print: Option<Form>,
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

// What a session is asked for, the same for every command that opens one. Not a doc comment: clap would make it the
// command's help.
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
                id: id.parse().map_err(|error: crate::domain::BadName| Failure::new(Kind::Usage, error.to_string()))?,
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
    expires_at: String,
    session: String,
    resource: String,
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
    let wish = arguments.wish.wish(&arguments.resource)?;
    // Before anything is announced: whoever waits for the announcement may end us right after it.
    let mut signalled = std::pin::pin!(shutdown::signalled());
    let gateway = Gateway::open().await?;
    let port = match (arguments.port, arguments.command.is_empty()) {
        (Some(port), _) => Port::Given(port),
        (None, true) => Port::Stable,
        (None, false) => Port::Any,
    };
    let bound = Bound::open(&gateway.server.origin(), &arguments.resource, port).await?;
    let keeper = Keeper::open(gateway, wish).await?;
    let held = keeper.current().await;
    let (local, endpoint) = bound.serve(&held.database, keeper)?;
    let ended = async {
        if arguments.command.is_empty() {
            announce(arguments.print, arguments.detached, &local, &held, output)?;
            tokio::select! {
                signal = &mut signalled => signal.map(|()| Exit::Done),
                () = over(endpoint.dialer(), arguments.detached, output) => Ok(Exit::Done),
            }
        } else {
            let mut child = start(&arguments.command, &local)?;
            // The terminal sends Ctrl-C to both; what it means is the child's business.
            let exit = loop {
                tokio::select! {
                    status = child.wait() => break status,
                    _ = shutdown::signalled() => {}
                }
            };
            let status = exit.map_err(|error| {
                Failure::new(Kind::Internal, "the command could not be waited for").detail(format!("{error}."))
            })?;
            Ok(Exit::Wrapped(u8::try_from(status.code().unwrap_or(128)).unwrap_or(1)))
        }
    };
    let ended = ended.await;
    local.close();
    finish(&endpoint, output).await;
    ended
}

/// How long an endpoint in the background answers after its session has expired: a working day, so that whoever comes
/// back to a tool finds a readable error instead of a refused connection.
const AFTERLIFE: Duration = Duration::from_secs(8 * 60 * 60);

/// Comes back when there is nothing left to be there for.
async fn over(keeper: &Keeper, detached: bool, output: &Output) {
    keeper.expire().await;
    if detached {
        tokio::time::sleep(AFTERLIFE).await;
        return;
    }
    output.say("The session has expired. Connections are told so; end this with Ctrl-C and connect again.");
    std::future::pending().await
}

/// Ends the session; a gateway that cannot be reached ends it when its time is over.
async fn finish(endpoint: &Endpoint<Keeper>, output: &Output) {
    if let Err(failure) = endpoint.dialer().end().await {
        output.warn(format!("the session could not be ended at the gateway: {}", failure.message));
    }
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
        expires_at: held.grant.expires_at.to_string(),
        session: held.grant.session.to_string(),
        resource: held.grant.resource.to_string(),
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
            for (name, value) in variables(local)? {
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
                 {}\n  password  {}\n  database  {}\n",
                held.grant.resource,
                held.grant.access.word(),
                local.socket_url(),
                described.host,
                described.port,
                described.user,
                described.password,
                described.database,
            ));
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

/// What a wrapped command finds in its environment. No secret: the socket needs none, and for TCP there is a file.
fn variables(local: &Local) -> Result<Vec<(&'static str, String)>, Failure> {
    Ok(vec![
        ("PGHOST", local.socket_folder.display().to_string()),
        ("PGPORT", local.address.port().to_string()),
        ("PGUSER", local.user.clone()),
        ("PGDATABASE", local.database.clone()),
        ("PGPASSFILE", local.write_pass_file()?.display().to_string()),
        ("DATABASE_URL", local.socket_url()),
    ])
}

fn start(command: &[OsString], local: &Local) -> Result<Child, Failure> {
    let Some((program, arguments)) = command.split_first() else {
        return Err(Failure::new(Kind::Usage, "there is no command behind `--`"));
    };
    let mut process = Process::new(program);
    process.args(arguments).env_clear();
    // What the caller's environment says about PostgreSQL is about another database.
    process.envs(env::all().filter(|(name, _)| !name.as_encoded_bytes().starts_with(b"PG") && name != "DATABASE_URL"));
    process.envs(variables(local)?);
    process.spawn().map_err(|error| {
        Failure::new(Kind::Usage, format!("`{}` cannot be run", program.to_string_lossy()))
            .detail(format!("{error}."))
            .hint("is it installed, and on the PATH?")
    })
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
