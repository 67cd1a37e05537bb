//! A private PostgreSQL and a gov server beside it, in a folder of their own: what is shown and tried there touches nothing
//! of the user's, and is gone at the end.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command as Process};

use crate::domain::{Duration, Failure, Kind};
use crate::runtime::database::{Address, Connection, Login};
use crate::runtime::{env, files, random, shutdown};

/// How long one step may take. PostgreSQL's first start is the slowest.
pub(super) const STEP_MAX: Duration = Duration::from_secs(60);

/// What runs, and where.
pub(super) struct Stage {
    pub(super) folder: PathBuf,
    programs: PathBuf,
    gov: PathBuf,
    port: u16,
    database: Option<Child>,
    server: Option<Child>,
    /// Where the server is, once there is one.
    pub(super) url: String,
}

impl Stage {
    /// A stage with nothing on it yet. What is put there is [cleared](Self::clear) in the end, whatever happens.
    pub(super) async fn new(name: &str) -> Result<Self, Failure> {
        let programs = programs()?;
        let suffix: String = random::bytes::<4>()?.iter().map(|byte| format!("{byte:02x}")).collect();
        let folder = std::env::temp_dir().join(format!("gov-{name}-{suffix}"));
        let gov = std::env::current_exe().map_err(|error| broken("this program cannot be found", &error))?;
        Ok(Self { folder, programs, gov, port: free_port().await?, database: None, server: None, url: String::new() })
    }

    /// Starts the database, and waits until it answers.
    pub(super) async fn set(&mut self) -> Result<(), Failure> {
        let data = self.folder.join("postgres");
        let unusable = |error: &std::io::Error| broken("the folder for it cannot be used", error);
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
        let started = tokio::time::timeout(STEP_MAX, answers).await;
        started.map_err(|_| Failure::new(Kind::Database, "the private PostgreSQL does not start"))
    }

    /// Starts a server with these arguments, and waits until it answers.
    pub(super) async fn serve(&mut self, arguments: &[&str]) -> Result<(), Failure> {
        let log = std::fs::File::create(self.folder.join("server.log"))
            .map_err(|error| broken("the server's log cannot be written", &error))?;
        let mut server = self.gov(&[&["--json", "server", "--listen", "127.0.0.1:0"], arguments].concat());
        server.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).process_group(0);
        let mut server = server.spawn().map_err(|error| broken("the server cannot be started", &error))?;
        let stdout = server.stdout.take();
        self.server = Some(server);
        let unready = || Failure::new(Kind::Gateway, "the private server did not start");
        let mut lines = BufReader::new(stdout.ok_or_else(unready)?).lines();
        let line = tokio::time::timeout(STEP_MAX, lines.next_line()).await.ok().and_then(Result::ok).flatten();
        let line = line.unwrap_or_default();
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
        let Some(url) = ready.get("url").and_then(|url| url.as_str()) else {
            let log = std::fs::read_to_string(self.folder.join("server.log")).unwrap_or_default();
            return Err(unready().detail(format!("{line}\n{log}").trim()));
        };
        url.clone_into(&mut self.url);
        Ok(())
    }

    /// `gov` in a home of its own, so that nothing of the user's is touched.
    pub(super) fn gov(&self, arguments: &[&str]) -> Process {
        let mut process = Process::new(&self.gov);
        process.args(arguments);
        for (name, folder) in self.homes() {
            process.env(name, folder);
        }
        process.env_remove("XDG_RUNTIME_DIR");
        process
    }

    pub(super) fn homes(&self) -> [(&'static str, PathBuf); 2] {
        [("XDG_CONFIG_HOME", self.folder.join("config")), ("XDG_DATA_HOME", self.folder.join("data"))]
    }

    /// The database, as a server is told where it is.
    pub(super) fn address(&self, user: &str, database: &str) -> String {
        let socket = self.folder.join("postgres").display().to_string().replace('/', "%2F");
        format!("postgres://{user}@{socket}:{}/{database}", self.port)
    }

    /// A connection to the database itself, around everything.
    pub(super) async fn connection(&self, database: &str, user: &str) -> Result<Connection, Failure> {
        let address = Address { host: self.folder.join("postgres").display().to_string(), port: self.port, tls: None };
        let login =
            Login { user: user.to_owned(), database: database.to_owned(), password: None, parameters: Vec::new() };
        Connection::open(&address, &login).await.map_err(|error| silent(&error))
    }

    /// Asks the database directly, as its superuser.
    pub(super) async fn sql(&self, database: &str, sql: &str) -> Result<String, Failure> {
        let mut connection = self.connection(database, "postgres").await?;
        let rows = connection.rows(sql, STEP_MAX).await.map_err(|error| silent(&error))?;
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
        process.stdin(Stdio::null()).kill_on_drop(true);
        let ran = process.output().await.map_err(|error| broken("a program cannot be run", &error))?;
        if ran.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&ran.stderr).trim().to_owned();
        Err(Failure::new(Kind::Database, "the private PostgreSQL cannot be set up").detail(said))
    }

    /// Ends everything and removes the folder.
    pub(super) async fn clear(&mut self) {
        for child in [self.server.take(), self.database.take()].into_iter().flatten() {
            end(child).await;
        }
        // What could not be removed is in the system's folder for temporary files.
        drop(std::fs::remove_dir_all(&self.folder));
    }

    /// Lets everything go on running, and says how somebody else ends it.
    pub(super) fn released(self) -> String {
        let children = [&self.server, &self.database];
        let pids: Vec<String> =
            children.into_iter().flatten().filter_map(Child::id).map(|pid| pid.to_string()).collect();
        format!("kill {}; rm -rf {}", pids.join(" "), self.folder.display())
    }
}

/// Does the work, unless Ctrl-C or a polite request to end comes before it is done: then there is nothing.
pub(super) async fn unless_interrupted<T>(
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<Option<T>, Failure> {
    tokio::select! {
        // First, for Ctrl-C ends what the work has started too, and that is not how the work failed.
        biased;
        signal = shutdown::signalled() => signal.map(|_| None),
        done = work => done.map(Some),
    }
}

fn silent(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Kind::Database, "the private PostgreSQL did not answer").detail(format!("{error}."))
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

pub(super) fn broken(what: &str, error: &std::io::Error) -> Failure {
    Failure::new(Kind::Internal, what).detail(format!("{error}."))
}
