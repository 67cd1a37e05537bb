//! Show the main job on a private PostgreSQL.
//!
//! Every line that begins with `$` is run as it stands, by this same program, and every claim is checked against the
//! database itself. The demonstration ends well only when each of them held.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use clap::{ArgMatches, Args};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command as Process};

use super::exit::Exit;
use super::output::Output;
use super::{Command, parse, run_async};
use crate::domain::{Duration, Failure, Kind};
use crate::runtime::{env, files, random};

/// How long one step may take. PostgreSQL's first start is the slowest.
const STEP_MAX: Duration = Duration::from_secs(60);

/// Roles as an administrator would make them for gov, and a small shop with values that look real and are not.
const CONTENTS: &str = include_str!("demo.sql");

pub(super) struct Demo;

#[derive(Args)]
struct Arguments {
    /// Leave everything running, and say how to play with it
    #[arg(long)]
    keep: bool,
}

impl Command for Demo {
    fn name(&self) -> &'static str {
        "demo"
    }

    fn summary(&self) -> &'static str {
        "Show the main job on a private PostgreSQL"
    }

    fn define(&self, command: clap::Command) -> clap::Command {
        Arguments::augment_args(command)
            .long_about(
                "Show the main job on a private PostgreSQL: log in, connect, see results masked and a DROP TABLE stopped, \
                 watch the session's database role come and go, and read and verify the record of it all.\n\nEverything \
                 lives in a folder of its own and is removed at the end; nothing of yours is touched. It needs the \
                 programs of a PostgreSQL server (Debian: postgresql) and, as root, the user `postgres`.",
            )
            .after_help("Example: gov demo --keep")
    }

    fn run(&self, arguments: &ArgMatches, output: &mut Output) -> Result<Exit, Failure> {
        let arguments: Arguments = parse(arguments)?;
        run_async(async {
            let mut stage = Stage::set(output).await?;
            let shown = stage.show(output).await;
            if arguments.keep && shown.is_ok() {
                stage.leave(output)?;
            } else {
                stage.clear().await;
            }
            shown.map(|()| Exit::Done)
        })
    }
}

/// What the demonstration runs on.
struct Stage {
    folder: PathBuf,
    programs: PathBuf,
    gov: PathBuf,
    port: u16,
    database: Option<Child>,
    server: Option<Child>,
    url: String,
}

impl Stage {
    /// Starts the database and the server.
    async fn set(output: &mut Output) -> Result<Self, Failure> {
        let programs = programs()?;
        let suffix: String = random::bytes::<4>()?.iter().map(|byte| format!("{byte:02x}")).collect();
        let folder = std::env::temp_dir().join(format!("gov-demo-{suffix}"));
        let gov = std::env::current_exe().map_err(|error| broken("this program cannot be found", &error))?;
        let mut stage =
            Self { folder, programs, gov, port: free_port().await?, database: None, server: None, url: String::new() };
        output.say("Starting a private PostgreSQL and a gov server, in a folder of their own.");
        let set = async {
            stage.start_database().await?;
            stage.start_server().await
        };
        match set.await {
            Ok(()) => Ok(stage),
            Err(failure) => {
                stage.clear().await;
                Err(failure)
            }
        }
    }

    async fn start_database(&mut self) -> Result<(), Failure> {
        let data = self.folder.join("postgres");
        let unusable = |error: &std::io::Error| broken("the folder of the demonstration cannot be used", error);
        files::create_private_dir(&self.folder).map_err(|error| unusable(&error))?;
        std::fs::create_dir(&data).map_err(|error| unusable(&error))?;
        if is_root() {
            // PostgreSQL refuses to run as root; its own user must get through to its folder.
            self.finish(Process::new("chown").arg("postgres").arg(&data)).await?;
            self.finish(Process::new("chmod").arg("711").arg(&self.folder)).await?;
        }
        let cluster = data.join("data");
        let mut init = self.as_postgres("initdb");
        init.arg("-D").arg(&cluster).args(["-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8"]);
        self.finish(&mut init).await?;
        let mut postgres = self.as_postgres("postgres");
        postgres.arg("-D").arg(&cluster).args(["-c", &format!("port={}", self.port)]);
        postgres.args(["-c", "listen_addresses=", "-c", &format!("unix_socket_directories={}", data.display())]);
        postgres.stdout(Stdio::null()).stderr(Stdio::null()).stdin(Stdio::null()).process_group(0);
        self.database = Some(postgres.spawn().map_err(|error| broken("PostgreSQL cannot be started", &error))?);
        let answers = async {
            while self.sql("postgres", "SELECT 1").await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(STEP_MAX, answers)
            .await
            .map_err(|_| Failure::new(Kind::Database, "the private PostgreSQL does not start"))?;
        self.sql("postgres", "CREATE DATABASE shop").await?;
        self.sql("shop", CONTENTS).await?;
        Ok(())
    }

    async fn start_server(&mut self) -> Result<(), Failure> {
        let socket = self.folder.join("postgres").display().to_string().replace('/', "%2F");
        let resource = format!(
            "shop=postgres://gov_broker@{socket}:{}/shop?env=prod&read-role=app_ro&write-role=app_rw",
            self.port
        );
        let log = std::fs::File::create(self.folder.join("server.log"))
            .map_err(|error| broken("the server's log cannot be written", &error))?;
        let mut server = self.gov(&["--json", "server", "--dev", "--listen", "127.0.0.1:0", "--resource", &resource]);
        server.stdout(Stdio::piped()).stderr(log).process_group(0);
        let mut server = server.spawn().map_err(|error| broken("the server cannot be started", &error))?;
        let stdout = server.stdout.take();
        self.server = Some(server);
        let unready = || {
            let log = std::fs::read_to_string(self.folder.join("server.log")).unwrap_or_default();
            Failure::new(Kind::Gateway, "the server of the demonstration did not start").detail(log)
        };
        let mut lines = BufReader::new(stdout.ok_or_else(unready)?).lines();
        let line = tokio::time::timeout(STEP_MAX, lines.next_line()).await.ok().and_then(Result::ok).flatten();
        let ready: serde_json::Value = line.and_then(|line| serde_json::from_str(&line).ok()).ok_or_else(unready)?;
        ready.get("url").and_then(|url| url.as_str()).ok_or_else(unready)?.clone_into(&mut self.url);
        Ok(())
    }

    /// The demonstration itself.
    async fn show(&self, output: &mut Output) -> Result<(), Failure> {
        let url = self.url.clone();
        chapter(output, "Log in, through the real device flow (the built-in issuer asks for no password)");
        self.typed(output, &["login", &url, "--dev-user", "alice", "--token-store", "file"], 0).await?;
        self.typed(output, &["ls"], 0).await?;

        chapter(output, "Read. Nobody has configured what is sensitive; it comes back masked");
        let select = "SELECT id, full_name, email, credit_card, country FROM customers ORDER BY id LIMIT 3";
        let shown = self.typed(output, &["exec", "shop", "-c", select], 0).await?;
        let secrets = self
            .sql(
                "shop",
                "SELECT email FROM customers WHERE id <= 3 UNION ALL SELECT credit_card FROM customers WHERE id <= 3",
            )
            .await?;
        let leaked = secrets.lines().find(|secret| shown.contains(secret));
        claim(output, leaked.is_none(), "none of the real addresses and card numbers got through")?;

        chapter(output, "Count. What needs no masking is exact");
        let count = "SELECT country, count(*), sum(amount) FROM customers c JOIN orders o ON o.customer_id = c.id \
                     GROUP BY country ORDER BY country";
        let shown = self.typed(output, &["exec", "shop", "--format", "csv", "-c", count], 0).await?;
        let direct = self.sql("shop", &format!("SELECT string_agg(t.country || ',' || t.count || ',' || t.sum, E'\\n' ORDER BY t.country) FROM ({count}) t")).await?;
        let same = direct.lines().all(|line| shown.contains(line));
        claim(output, same, "the same numbers as asked directly")?;

        chapter(output, "Destroy. It does not happen");
        let before = self.sql("shop", "SELECT count(*) FROM customers").await?;
        self.typed(output, &["exec", "shop", "-c", "DROP TABLE customers"], 3).await?;
        let after = self.sql("shop", "SELECT count(*) FROM customers").await?;
        claim(output, before == after && before != "0", &format!("the table still has its {after} rows"))?;

        chapter(output, "Connect. psql, DBeaver and any driver use the endpoint as if it were the database");
        let roles = "SELECT string_agg(rolname, ', ') FROM pg_roles WHERE rolname LIKE 'gov\\_s\\_%'";
        let none = self.sql("shop", roles).await?;
        claim(output, none.is_empty(), "no session, so no session's role exists in the database")?;
        self.typed(output, &["connect", "shop", "--background"], 0).await?;
        let one = self.sql("shop", roles).await?;
        claim(output, one.starts_with("gov_s_"), &format!("a role was made for this session: {one}"))?;
        self.typed(output, &["session", "ls"], 0).await?;
        self.typed(output, &["session", "kill", "--all"], 0).await?;
        let none = self.sql("shop", roles).await?;
        claim(output, none.is_empty(), "the session has ended, and its role is gone")?;
        self.look_back(output, &secrets).await
    }

    /// What is on record of all that, and what it is worth.
    async fn look_back(&self, output: &mut Output, secrets: &str) -> Result<(), Failure> {
        chapter(output, "Look back. Everything is on record, without a single value of anybody's");
        let shown = self.typed(output, &["timeline"], 0).await?;
        let told = ["DROP TABLE customers", "denied by destructive_ddl", "ORDER BY id LIMIT $1", "session closed"];
        let missing = told.iter().find(|text| !shown.contains(*text));
        claim(output, missing.is_none(), "what was asked, what was refused and what ran are all there")?;
        let leaked = secrets.lines().find(|secret| shown.contains(secret));
        claim(output, leaked.is_none(), "and none of the addresses and card numbers")?;

        chapter(output, "Verify. Both sides signed what they saw; the log cannot be changed unnoticed");
        let shown = self.typed(output, &["audit", "verify"], 0).await?;
        claim(output, shown.contains("entries: sound"), "every signature, chain and proof holds")?;
        let agreed = shown.contains("unmatched = 0") && !shown.contains("statements: 0 matched");
        claim(output, agreed, "client and gateway agree about every statement")
    }

    /// Runs a command of ours as somebody would type it, shows what it says, and gives back its output.
    async fn typed(&self, output: &mut Output, arguments: &[&str], exit: i32) -> Result<String, Failure> {
        let words: Vec<String> = arguments.iter().map(|word| shell_word(word)).collect();
        output.line(format!("\n$ gov {}", words.join(" ")));
        let mut process = self.gov(arguments);
        process.stdin(Stdio::null()).kill_on_drop(true);
        let ran = tokio::time::timeout(STEP_MAX, process.output()).await;
        let ran = ran
            .map_err(|_| Failure::new(Kind::Internal, format!("`gov {}` does not end", words.join(" "))))?
            .map_err(|error| broken("a command cannot be run", &error))?;
        let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        output.line(said.trim_end());
        if ran.status.code() != Some(exit) {
            let ended = ran.status.code().map_or_else(|| "a signal".to_owned(), |code| code.to_string());
            return Err(Failure::new(Kind::Internal, "the demonstration did not go as it should")
                .detail(format!("`gov {}` ended with {ended} instead of {exit}.", words.join(" "))));
        }
        Ok(said)
    }

    /// `gov` in a home of its own, so that nothing of the user's is touched.
    fn gov(&self, arguments: &[&str]) -> Process {
        let mut process = Process::new(&self.gov);
        process.args(arguments);
        for (name, folder) in self.homes() {
            process.env(name, folder);
        }
        process.env_remove("XDG_RUNTIME_DIR");
        process
    }

    fn homes(&self) -> [(&'static str, PathBuf); 2] {
        [("XDG_CONFIG_HOME", self.folder.join("config")), ("XDG_DATA_HOME", self.folder.join("data"))]
    }

    /// Asks the database directly, as its superuser.
    async fn sql(&self, database: &str, sql: &str) -> Result<String, Failure> {
        let address = crate::runtime::database::Address {
            host: self.folder.join("postgres").display().to_string(),
            port: self.port,
            tls: None,
        };
        let login = crate::runtime::database::Login {
            user: "postgres".to_owned(),
            database: database.to_owned(),
            password: None,
            parameters: Vec::new(),
        };
        let failed = |error: &dyn std::fmt::Display| {
            Failure::new(Kind::Database, "the private PostgreSQL did not answer").detail(format!("{error}."))
        };
        let mut connection =
            crate::runtime::database::Connection::open(&address, &login).await.map_err(|error| failed(&error))?;
        let rows = connection.rows(sql, STEP_MAX).await.map_err(|error| failed(&error))?;
        let texts: Vec<&str> = rows.iter().filter_map(|row| row.text(0)).collect();
        Ok(texts.join("\n"))
    }

    /// A program of PostgreSQL, as the user it may run as.
    fn as_postgres(&self, name: &str) -> Process {
        let program = self.programs.join(name);
        if !is_root() {
            return Process::new(program);
        }
        let mut process = Process::new("runuser");
        process.args(["-u", "postgres", "--"]).arg(program);
        process
    }

    async fn finish(&self, process: &mut Process) -> Result<(), Failure> {
        let ran =
            process.stdin(Stdio::null()).output().await.map_err(|error| broken("a program cannot be run", &error))?;
        if ran.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&ran.stderr).trim().to_owned();
        Err(Failure::new(Kind::Database, "the private PostgreSQL cannot be set up").detail(said))
    }

    /// Ends everything and removes the folder.
    async fn clear(&mut self) {
        for child in [self.server.take(), self.database.take()].into_iter().flatten() {
            end(child).await;
        }
        // What could not be removed is in the system's folder for temporary files.
        drop(std::fs::remove_dir_all(&self.folder));
    }

    /// Leaves everything running, with a file that says where.
    fn leave(&mut self, output: &mut Output) -> Result<(), Failure> {
        let text: String =
            self.homes().iter().map(|(name, folder)| format!("export {name}={}\n", folder.display())).collect();
        let pids: Vec<String> = [&self.server, &self.database]
            .into_iter()
            .flatten()
            .filter_map(Child::id)
            .map(|pid| pid.to_string())
            .collect();
        let stop = format!("kill {}; rm -rf {}", pids.join(" "), self.folder.display());
        let file = self.folder.join("env");
        let mut written = std::fs::File::create(&file).map_err(|error| broken("a file cannot be written", &error))?;
        written.write_all(text.as_bytes()).map_err(|error| broken("a file cannot be written", &error))?;
        output.say(format!(
            "\nEverything goes on running. To play with it:\n\n  . {}\n  gov exec shop -c 'SELECT * FROM customers LIMIT 5'\n  \
             gov connect shop -- psql\n  gov login {} --dev-user bob      # bob may write\n\nTo end it and leave nothing:\n\n  \
             {stop}\n",
            file.display(),
            self.url,
        ));
        // The processes are not ours to wait for any more.
        drop((self.server.take(), self.database.take()));
        Ok(())
    }
}

fn chapter(output: &mut Output, title: &str) {
    let title = output.paint("1", &format!("# {title}"));
    output.line(format!("\n{title}"));
}

/// Says that something was checked and held; or ends the demonstration.
fn claim(output: &mut Output, held: bool, text: &str) -> Result<(), Failure> {
    if held {
        let mark = output.paint("32", "checked:");
        output.line(format!("{mark} {text}"));
        return Ok(());
    }
    Err(Failure::new(Kind::Internal, "the demonstration did not go as it should").detail(format!("Not true: {text}.")))
}

/// Asks a process to end, and makes sure that it does.
async fn end(mut child: Child) {
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(rustix::process::Pid::from_raw) {
        // It may have ended by itself.
        let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::INT);
    }
    if tokio::time::timeout(Duration::from_secs(15), child.wait()).await.is_err() {
        drop(child.kill().await);
    }
}

fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

async fn free_port() -> Result<u16, Failure> {
    let listener = crate::runtime::net::listen_loopback(0).await;
    let address = listener.and_then(|listener| listener.local_addr());
    address.map(|address| address.port()).map_err(|error| broken("no port is free", &error))
}

/// The newest server programs of this machine.
fn programs() -> Result<PathBuf, Failure> {
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten() {
        let folder = entry.path().join("bin");
        let version = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if let Some(version) = version.filter(|_| folder.join("postgres").is_file()) {
            found.push((version, folder));
        }
    }
    found.sort();
    if let Some((_, folder)) = found.pop() {
        return Ok(folder);
    }
    let path = env::var("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).find(|folder: &PathBuf| Path::new(folder).join("initdb").is_file());
    on_path.ok_or_else(|| {
        Failure::new(Kind::Usage, "the programs of a PostgreSQL server are not on this machine")
            .hint("install them (Debian: apt install postgresql), or run ./install.sh --demo")
    })
}

fn shell_word(word: &str) -> String {
    let plain = word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./:=@".contains(&byte));
    if plain { word.to_owned() } else { format!("\"{word}\"") }
}

fn broken(what: &str, error: &std::io::Error) -> Failure {
    Failure::new(Kind::Internal, what).detail(format!("{error}."))
}
