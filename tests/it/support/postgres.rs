//! A real PostgreSQL for the tests: private, on a free port, gone with them.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Password of the superuser and of the broker, over TCP.
pub(crate) const PASSWORD: &str = "only-for-tests";

/// Roles the broker hands out, and the broker, as `README.md` tells an administrator to make them.
const ROLES: &str = "
    CREATE ROLE gov_managed NOLOGIN;
    CREATE ROLE app_ro NOLOGIN;
    CREATE ROLE app_rw NOLOGIN;
    CREATE ROLE app_owner NOLOGIN;
    CREATE ROLE gov_broker LOGIN CREATEROLE PASSWORD 'only-for-tests';
    GRANT pg_signal_backend TO gov_broker;
    GRANT gov_managed, app_ro, app_rw, app_owner TO gov_broker WITH ADMIN OPTION;
";

/// What the databases of the tests hold. Values are made up; those that look personal are so on purpose.
const CONTENTS: &str = "
    CREATE TABLE customers (id int PRIMARY KEY, full_name text, email text, country text, born date, credit_card text);
    INSERT INTO customers SELECT i, 'Person ' || i, 'person' || i || '@mail.example.org', (ARRAY['NO','DE','FR'])[1 + i % 3],
        date '1970-01-01' + i * 37, '4111 1111 1111 1111' FROM generate_series(1, 20) i;
    CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers, amount numeric, status text);
    INSERT INTO orders SELECT i, 1 + i % 20, i * 1.5, 'open' FROM generate_series(1, 100) i;
    GRANT USAGE ON SCHEMA public TO app_ro, app_rw;
    GRANT SELECT ON ALL TABLES IN SCHEMA public TO app_ro, app_rw;
    GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO app_rw;
    GRANT CREATE ON SCHEMA public TO app_rw, app_owner;
";

/// A running server.
#[derive(Debug)]
pub(crate) struct Postgres {
    pub(crate) port: u16,
    folder: PathBuf,
    /// Ends the server when our end of its input closes, which even a killed test does.
    _keeper: Child,
}

/// A database of its own for one test.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) name: String,
}

/// The one server of this test run.
pub(crate) fn server() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(|| {
        let server = Postgres::start("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n", &[]);
        server.run("postgres", "CREATE DATABASE template_gov");
        server.run("template_gov", CONTENTS);
        server
    })
}

impl Postgres {
    /// A server of one test's own, with these rules about who may log in and these settings.
    pub(crate) fn start(rules: &str, settings: &[&str]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let programs = programs();
        let folder = std::env::temp_dir().join(format!("gov-it-pg-{}-{number}", std::process::id()));
        drop(std::fs::remove_dir_all(&folder));
        std::fs::create_dir_all(&folder).unwrap();
        // PostgreSQL refuses to run as root.
        let root = rustix::process::getuid().is_root();
        if root {
            run(Command::new("chown").arg("postgres").arg(&folder));
        }
        let unprivileged = |program: PathBuf| {
            if !root {
                return Command::new(program);
            }
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        };
        let data = folder.join("data");
        let mut init = unprivileged(programs.join("initdb"));
        run(init.arg("-D").arg(&data).args([
            "-U",
            "postgres",
            "-A",
            "trust",
            "--no-sync",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
        ]));
        std::fs::write(data.join("pg_hba.conf"), rules).unwrap();
        let port = free_port();
        let own = settings.iter().map(|setting| (*setting).to_owned());
        let settings = [
            format!("port={port}"),
            "listen_addresses=127.0.0.1".to_owned(),
            format!("unix_socket_directories={}", folder.display()),
            "fsync=off".to_owned(),
            "max_connections=200".to_owned(),
            "log_statement=all".to_owned(),
            "log_line_prefix=%p %u %d ".to_owned(),
            "password_encryption=scram-sha-256".to_owned(),
        ];
        let settings: String = settings.into_iter().chain(own).map(|setting| format!(" -c '{setting}'")).collect();
        // The shell waits for the end of its input, which is the end of this process, and ends the server then. Where it may
        // not take the folder itself away, whoever made that does.
        let script = format!(
            "{}/postgres -D {}{settings} 2> {}/log & server=$!; read line; kill -INT $server; wait; rm -rf {} 2> /dev/null",
            programs.display(),
            data.display(),
            folder.display(),
            folder.display(),
        );
        let mut keeper = unprivileged("/bin/sh".into());
        let keeper = keeper.arg("-c").arg(script).stdin(Stdio::piped()).spawn().unwrap();
        let server = Self { port, folder, _keeper: keeper };
        let started = Instant::now();
        while !server.answers() {
            assert!(started.elapsed() < Duration::from_secs(30), "PostgreSQL does not start: {}", server.log());
            std::thread::sleep(Duration::from_millis(30));
        }
        server.run("postgres", &format!("ALTER ROLE postgres PASSWORD '{PASSWORD}'"));
        server.run("postgres", ROLES);
        server
    }

    /// Speaks TLS from now on, with this certificate.
    pub(crate) fn encrypt(&self, certificate: &str, key: &str) {
        let data = self.folder.join("data");
        let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(&data).unwrap());
        for (name, text) in [("server.crt", certificate), ("server.key", key)] {
            let path = data.join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
            std::os::unix::fs::chown(&path, Some(owner), None).unwrap();
        }
        self.run("postgres", "ALTER SYSTEM SET ssl = on");
        self.run("postgres", "SELECT pg_reload_conf()");
        while self.run("postgres", "SHOW ssl") != "on" {
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn answers(&self) -> bool {
        let mut psql = self.psql("postgres");
        psql.args(["-c", "SELECT 1"]).stdout(Stdio::null()).stderr(Stdio::null());
        psql.status().is_ok_and(|status| status.success())
    }

    /// psql as the superuser, over the private socket.
    pub(crate) fn psql(&self, database: &str) -> Command {
        let mut psql = Command::new(programs().join("psql"));
        psql.env_clear().arg("-X").args(["-h", self.folder.to_str().unwrap(), "-p", &self.port.to_string()]);
        psql.args(["-U", "postgres", "-v", "ON_ERROR_STOP=1", "-d", database]);
        psql
    }

    /// Runs SQL as the superuser and gives back what it prints.
    pub(crate) fn run(&self, database: &str, sql: &str) -> String {
        let mut psql =
            self.psql(database).args(["-qAt", "-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        psql.stdin.take().unwrap().write_all(sql.as_bytes()).unwrap();
        let output = psql.wait_with_output().unwrap();
        assert!(output.status.success(), "{sql}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// A new database with customers and orders.
    pub(crate) fn database(&self) -> Database {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("shop_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        self.copy("template_gov", &name);
        Database { name }
    }

    /// Makes a database anew as a copy of another one.
    pub(crate) fn copy(&self, template: &str, name: &str) {
        // Copying a template needs it to itself for a moment.
        static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
        self.run("postgres", &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        self.run("postgres", &format!("CREATE DATABASE {name} TEMPLATE {template}"));
    }

    /// The socket at which everybody is whom he says he is.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join(format!(".s.PGSQL.{}", self.port))
    }

    /// What the server has logged: every statement, with who ran it.
    pub(crate) fn log(&self) -> String {
        // Databases kept in other encodings write theirs.
        String::from_utf8_lossy(&std::fs::read(self.folder.join("log")).unwrap_or_default()).into_owned()
    }

    /// Roles of sessions that exist in the server.
    pub(crate) fn session_roles(&self) -> String {
        self.run("postgres", "SELECT rolname FROM pg_roles WHERE rolname LIKE 'gov\\_s\\_%' ORDER BY 1")
    }
}

impl Database {
    /// The argument of `--resource` that governs this database under `name`, through the broker.
    pub(crate) fn resource(&self, name: &str, home: &Path, labels: &str) -> String {
        let secret = broker_password(home);
        format!(
            "{name}=postgres://gov_broker@127.0.0.1:{}/{}?{labels}&password-file={}&read-role=app_ro&write-role=app_rw",
            server().port,
            self.name,
            secret.display()
        )
    }
}

/// A file with the broker's password, as the server wants it kept.
pub(crate) fn broker_password(home: &Path) -> PathBuf {
    let secret = home.join("broker.password");
    std::fs::write(&secret, PASSWORD).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&secret, mode).unwrap();
    secret
}

/// The programs of the newest server on this machine; those of another version where `GOV_POSTGRES` names their folder.
pub(crate) fn programs() -> PathBuf {
    if let Some(folder) = std::env::var_os("GOV_POSTGRES") {
        return folder.into();
    }
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let version = path.file_name()?.to_str()?.parse().ok()?;
            path.join("bin/postgres").is_file().then(|| (version, path.join("bin")))
        })
        .collect();
    found.sort();
    found.pop().map(|(_, path)| path).unwrap_or_else(|| {
        panic!("this test needs the programs of a PostgreSQL server; install them with: apt install postgresql")
    })
}

/// A port nobody has at the moment.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
