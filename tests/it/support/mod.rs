//! What every black-box test needs: a home of its own, a server on a free port, and the command itself.

pub(crate) mod api;
pub(crate) mod browser;
pub(crate) mod middle;
pub(crate) mod platform;
pub(crate) mod postgres;
pub(crate) mod proxy;
pub(crate) mod tunnel;
pub(crate) mod wire;

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The binary under test.
pub(crate) const GOV: &str = env!("CARGO_BIN_EXE_gov");

/// How long any one command may take before the test gives up on it. Nothing here needs more than a second; a busy
/// machine needs patience.
const PATIENCE: Duration = Duration::from_secs(180);

/// What a finished command left.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ran {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: i32,
}

impl Ran {
    /// The command's output, which must be one JSON document.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{self:#?}");
        self
    }
}

/// A home directory of its own and, when wanted, a server. Everything ends and vanishes with it.
#[derive(Debug)]
pub(crate) struct Sandbox {
    pub(crate) home: PathBuf,
    server: Option<Running>,
    /// Variables that commands find in their environment besides.
    pub(crate) environment: Vec<(&'static str, String)>,
}

/// A server process.
#[derive(Debug)]
struct Running {
    child: Child,
    url: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.server = None;
        drop(std::fs::remove_dir_all(&self.home));
    }
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let home = std::env::temp_dir().join(format!("gov-it-{}-{number}", std::process::id()));
        drop(std::fs::remove_dir_all(&home));
        std::fs::create_dir_all(&home).unwrap();
        Self { home, server: None, environment: Vec::new() }
    }

    /// With a running `gov server --dev`, and these arguments besides.
    pub(crate) fn with_server(arguments: &[&str]) -> Self {
        let mut sandbox = Self::new();
        sandbox.start_server(&[&["--dev"], arguments].concat());
        sandbox
    }

    /// Starts `gov server` on a free port and waits until it answers.
    pub(crate) fn start_server(&mut self, arguments: &[&str]) {
        self.start_server_at("127.0.0.1:0", arguments);
    }

    /// Starts `gov server` at an address.
    pub(crate) fn start_server_at(&mut self, listen: &str, arguments: &[&str]) {
        let command = self.command([&["--json", "server", "--listen", listen], arguments].concat());
        self.start_server_by(command);
    }

    /// Starts a server that this command is to start.
    pub(crate) fn start_server_by(&mut self, mut command: Command) {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::from(std::fs::File::create(self.home.join("server.log")).unwrap()))
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: serde_json::Value = serde_json::from_str(&line)
            .unwrap_or_else(|_| panic!("the server did not start: {line}{}", self.server_log()));
        let url = ready["url"].as_str().unwrap_or_else(|| panic!("the server did not start: {line}"));
        self.server = Some(Running { url: url.to_owned(), child });
    }

    /// Ends the server as an operator does, and waits for it.
    pub(crate) fn stop_server(&mut self) {
        let mut running = self.server.take().unwrap();
        let pid = rustix::process::Pid::from_child(&running.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let status = wait(&mut running.child);
        assert_eq!(status, Some(0), "{}", self.server_log());
    }

    /// Kills the server, which gets no word in.
    pub(crate) fn kill_server(&mut self) {
        self.server = None;
    }

    /// Waits for a server that something else kills. Whether it was.
    pub(crate) fn server_dies_within(&mut self, patience: Duration) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < patience {
            let ended = self.server.as_mut().and_then(|running| running.child.try_wait().unwrap());
            if let Some(status) = ended {
                self.server = None;
                assert_eq!(status.code(), None, "it ended by itself: {}", self.server_log());
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }

    /// `https://127.0.0.1:port`.
    pub(crate) fn url(&self) -> &str {
        &self.server.as_ref().expect("the server runs").url
    }

    pub(crate) fn server_pid(&self) -> u32 {
        self.server.as_ref().expect("the server runs").child.id()
    }

    /// Everything the server has logged.
    pub(crate) fn server_log(&self) -> String {
        std::fs::read_to_string(self.home.join("server.log")).unwrap_or_default()
    }

    /// Logs in as a user of the built-in issuer.
    pub(crate) fn log_in(&self, user: &str) {
        self.gov(["login", self.url(), "--dev-user", user, "--token-store", "file"]).ok();
    }

    /// Logs in at the server of another home, as a user of the built-in issuer: from a machine of one's own.
    pub(crate) fn log_in_at(&self, other: &Self, user: &str) {
        let authority = other.home.join(".local/share/gov/dev-ca.pem");
        let authority = authority.to_str().unwrap();
        self.gov(["login", other.url(), "--ca-file", authority, "--dev-user", user, "--token-store", "file"]).ok();
    }

    /// `gov`, ready to be started in this home.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(GOV);
        command
            .args(arguments)
            .env_clear()
            .env("HOME", &self.home)
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("USER", "tester")
            // No keychain, whatever the machine has: tests must not write into somebody's own.
            .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.home)
            .stdin(Stdio::null());
        command
    }

    /// `gov`, ready to be started with a disk of this many MiB of its own at a folder of this home. Others reach it through
    /// [`own_disk`].
    pub(crate) fn command_on_disk(&self, folder: &str, mebibytes: u32, arguments: &[&str]) -> Command {
        let folder = self.home.join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        let plain = self.command(arguments);
        let mut command = Command::new(tool("unshare", "util-linux"));
        let script = format!("mount -t tmpfs -o mode=700,size={mebibytes}m tmpfs \"$0\" && exec \"$@\"");
        command.args(["--mount", "--map-root-user", "sh", "-c"]).arg(script).arg(folder);
        command.arg(plain.get_program()).args(plain.get_args()).env_clear();
        command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?)))).current_dir(&self.home);
        command.stdin(Stdio::null());
        command
    }

    /// Runs `gov` to its end.
    pub(crate) fn gov<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Ran {
        finish(self.command(arguments))
    }

    /// Opens an endpoint with `gov connect` and these arguments, and keeps it open.
    pub(crate) fn connect(&self, arguments: &[&str]) -> Result<Connected, Ran> {
        let fixed = ["connect", "--print", "json", "--port", "0"];
        Self::connect_by(self.command(fixed.iter().chain(arguments)))
    }

    /// The same by a command that says how it opened as JSON.
    pub(crate) fn connect_by(mut command: Command) -> Result<Connected, Ran> {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Byte by byte: what follows the first line is for whoever collects it.
        let mut line = Vec::new();
        let stdout = child.stdout.as_mut().unwrap();
        let mut byte = [0];
        while stdout.read(&mut byte).unwrap() == 1 && byte != *b"\n" {
            line.push(byte[0]);
        }
        let Ok(opened) = serde_json::from_slice::<serde_json::Value>(&line) else { return Err(collect(child)) };
        let text = |name: &str| opened[name].as_str().unwrap().to_owned();
        let socket = Path::new(&text("socket")).join(format!(".s.PGSQL.{}", opened["port"]));
        let port = opened["port"].as_u64().unwrap().try_into().unwrap();
        Ok(Connected {
            child,
            socket,
            port,
            user: text("user"),
            password: text("password"),
            database: text("database"),
            ca_file: opened["ca_file"].as_str().map(str::to_owned),
        })
    }

    /// A file in this home.
    pub(crate) fn write(&self, name: &str, contents: &str) -> PathBuf {
        let path = self.home.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, contents).unwrap();
        path
    }

    /// A file in this home that only its owner may read.
    pub(crate) fn write_secret(&self, name: &str, contents: &str) -> PathBuf {
        let path = self.write(name, contents);
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        path
    }

    /// The file in which the login rests.
    pub(crate) fn token_file(&self) -> PathBuf {
        let folder = self.home.join(".local/share/gov/tokens");
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(files.len(), 1, "{files:?}");
        files.remove(0)
    }
}

/// A running `gov connect`.
#[derive(Debug)]
pub(crate) struct Connected {
    child: Child,
    pub(crate) socket: PathBuf,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) database: String,
    /// Who vouches for its certificate, where it offers TLS.
    pub(crate) ca_file: Option<String>,
}

impl Connected {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the line with these words on its terminal.
    pub(crate) fn said(&mut self, words: &str) -> String {
        let mut lines = BufReader::new(self.child.stderr.as_mut().unwrap()).lines();
        lines.find_map(|line| line.ok().filter(|line| line.contains(words))).expect("it ended without saying so")
    }

    /// Over TCP, with the password.
    pub(crate) fn url(&self) -> String {
        format!("postgresql://{}:{}@127.0.0.1:{}/{}", self.user, self.password, self.port, self.database)
    }

    /// The same as Java writes it.
    pub(crate) fn jdbc_url(&self) -> String {
        let at = format!("jdbc:postgresql://127.0.0.1:{}/{}", self.port, self.database);
        format!("{at}?user={}&password={}", self.user, self.password)
    }

    /// A new connection to the database, with these startup parameters besides.
    pub(crate) fn wire(&self, parameters: &[(&str, &str)]) -> Result<wire::Wire, wire::Answer> {
        let own = [("user", self.user.as_str()), ("database", self.database.as_str())];
        wire::Wire::open(&self.socket, &[&own, parameters].concat())
    }
}

impl Drop for Connected {
    /// Ends the session as Ctrl-C does, so that nothing of it stays at the database.
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        // One that has ended by itself is waited for like any other.
        if rustix::process::kill_process(pid, rustix::process::Signal::TERM).is_ok() {
            wait(&mut self.child);
        }
    }
}

/// A path as the process sees it that has a disk of its own there.
pub(crate) fn own_disk(pid: u32, path: &Path) -> PathBuf {
    Path::new(&format!("/proc/{pid}/root")).join(path.strip_prefix("/").unwrap())
}

/// Runs a command to its end and collects what it says.
pub(crate) fn finish(mut command: Command) -> Ran {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    collect(child)
}

/// Waits for a running command and collects what it says.
pub(crate) fn collect(mut child: Child) -> Ran {
    fn read(stream: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
        std::thread::spawn(move || {
            let mut stream = stream;
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).unwrap();
            String::from_utf8_lossy(&bytes).into_owned()
        })
    }
    let (stdout, stderr) = (read(child.stdout.take().unwrap()), read(child.stderr.take().unwrap()));
    let code = wait(&mut child);
    let (stdout, stderr) = (stdout.join().unwrap(), stderr.join().unwrap());
    Ran { code: code.unwrap_or_else(|| panic!("ended by a signal: {stdout}{stderr}")), stdout, stderr }
}

/// Waits until something holds that comes by itself; gives up after a minute.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(60), "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Waits for a process; kills it when patience ends. `None` when a signal ended it.
pub(crate) fn wait(child: &mut Child) -> Option<i32> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        if start.elapsed() > PATIENCE {
            drop(child.kill());
            return child.wait().unwrap().code();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A tool that a test needs and this repository cannot bring.
pub(crate) fn tool(name: &str, package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("this test needs `{name}`; install it with: apt install {package}"))
}

/// The repository's own folder.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
