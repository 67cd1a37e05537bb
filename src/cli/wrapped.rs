//! A command that runs with an endpoint in its environment: `gov run`, and `gov connect … -- COMMAND`.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use rustix::process::{Pid, kill_process};
use tokio::process::{Child, Command};

use super::exit::Exit;
use super::output::Output;
use crate::client::endpoint::{Bound, Encryption, Local, Port};
use crate::client::gateway::Gateway;
use crate::client::proxy::Endpoint;
use crate::client::session::{Keeper, Wish};
use crate::domain::{Failure, Kind};
use crate::runtime::env;
use crate::runtime::shutdown::{self, Signal};

/// Opens an endpoint, runs a command that finds nothing but it, and ends the session when the command has ended.
/// Not cancel safe: the session would go on to its end.
pub(super) async fn run(
    gateway: Gateway,
    wish: Wish,
    port: Option<u16>,
    command: &[OsString],
    output: &Output,
) -> Result<Exit, Failure> {
    let port = port.map_or(Port::Any, Port::Given);
    let bound = Bound::open(&gateway.server.origin(), &wish.resource, port).await?;
    let keeper = Keeper::open(gateway, wish).await?;
    let held = keeper.current().await;
    let (local, endpoint) = bound.serve(&held.database, Encryption::None, keeper)?;
    let ended = async {
        let mut child = start(command, &local)?;
        wait(&mut child).await
    };
    let ended = ended.await;
    local.close();
    finish(&endpoint, output).await;
    ended
}

/// Ends the session; a gateway that cannot be reached ends it when its time is over.
pub(super) async fn finish(endpoint: &Endpoint<Keeper>, output: &Output) {
    if let Err(failure) = endpoint.dialer().end().await {
        output.warn(format!("the session could not be ended at the gateway: {}", failure.message));
    }
}

/// Waits for a command, however often we are asked to end before: the session must be ended after it.
async fn wait(child: &mut Child) -> Result<Exit, Failure> {
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            signal = shutdown::signalled() => pass_on(signal?, child),
        }
    };
    status.map(exit).map_err(|error| {
        Failure::new(Kind::Internal, "the command could not be waited for").detail(format!("{error}."))
    })
}

/// Ctrl-C comes from the terminal, which sends it to the command as well; what it means is the command's business. A
/// request to end comes to us alone, from whoever started us.
fn pass_on(signal: Signal, child: &Child) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let (Signal::Terminate, Some(pid)) = (signal, pid) {
        // A command that has just ended need not be told.
        let _gone = kill_process(pid, rustix::process::Signal::TERM);
    }
}

/// A command that a signal ended counts as shells count it: 128 and the signal's number.
fn exit(status: ExitStatus) -> Exit {
    let code = status.code().or_else(|| status.signal().map(|signal| signal.saturating_add(128)));
    Exit::Wrapped(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// What a command finds in its environment. No secret: the socket needs none, and for TCP there is a file.
pub(super) fn variables(local: &Local) -> Result<Vec<(&'static str, String)>, Failure> {
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
    let mut process = Command::new(program);
    process.args(arguments).env_clear();
    process.envs(env::all().filter(|(name, value)| !leads_elsewhere(name, value)));
    process.envs(variables(local)?);
    process.spawn().map_err(|error| {
        Failure::new(Kind::Usage, format!("`{}` cannot be run", program.to_string_lossy()))
            .detail(format!("{error}."))
            .hint("is it installed, and on the PATH?")
    })
}

/// Schemes of URLs that lead to a database, as drivers and tools write them.
const DATABASE_SCHEMES: [&str; 6] = ["postgres", "postgresql", "jdbc:postgresql", "mysql", "mariadb", "jdbc:mysql"];

/// Whether a variable of the caller's environment is about another database: what libpq reads, and the URL of a
/// database under whatever name and with whatever driver (`postgresql+psycopg://…`).
fn leads_elsewhere(name: &OsStr, value: &OsStr) -> bool {
    let value = value.to_string_lossy();
    let scheme = value.split_once("://").and_then(|(scheme, _)| scheme.split('+').next());
    name.as_encoded_bytes().starts_with(b"PG")
        || name == "DATABASE_URL"
        || scheme.is_some_and(|scheme| DATABASE_SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_to_another_database_is_left_out() {
        for (name, value, out) in [
            ("PGHOST", "db.internal", true),
            ("PGSERVICE", "prod", true),
            ("DATABASE_URL", "anything", true),
            ("REPORTS_DSN", "postgres://u:p@db/app", true),
            ("AIRFLOW_CONN", "postgresql+psycopg2://u:p@db/app", true),
            ("SPRING_DATASOURCE_URL", "JDBC:postgresql://db/app", true),
            ("OLD", "mysql://u@db/app", true),
            ("PATH", "/usr/bin", false),
            ("HOMEPAGE", "https://example.com/postgres://", false),
            ("NOTE", "postgres is up", false),
        ] {
            assert_eq!(leads_elsewhere(OsStr::new(name), OsStr::new(value)), out, "{name}={value}");
        }
    }

    #[test]
    fn exits_are_counted_as_shells_count_them() {
        for (raw, expect) in [(0, 0), (7 << 8, 7), (15, 143), (9, 137)] {
            assert_eq!(exit(ExitStatus::from_raw(raw)), Exit::Wrapped(expect));
        }
    }
}
