"""What the benchmark runs on: PostgreSQL, PgBouncer, two bare stunnel hops and gov, all private, on free ports of
127.0.0.1, in one folder, gone at the end."""

import ctypes
import json
import os
import pathlib
import pwd
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

PASSWORD = "only-for-benchmarks"
REPOSITORY = pathlib.Path(__file__).resolve().parent.parent

# Roles as README.md tells an administrator to make them, and tables for the results. `readings` holds numbers only,
# `events` texts in which there is nothing to mask, `people` texts of which most are masked.
CONTENTS = """
    ALTER ROLE postgres PASSWORD '{password}';
    CREATE ROLE gov_managed NOLOGIN;
    CREATE ROLE app_ro NOLOGIN;
    CREATE ROLE app_rw NOLOGIN;
    CREATE ROLE gov_broker LOGIN CREATEROLE PASSWORD '{password}';
    GRANT pg_signal_backend TO gov_broker;
    GRANT gov_managed, app_ro, app_rw TO gov_broker WITH ADMIN OPTION;
    CREATE TABLE readings (id int, sensor int, value float8, taken timestamptz, good bool);
    INSERT INTO readings SELECT i, i % 977, i * 0.37, timestamptz '2026-01-01' + i * interval '1 second', i % 7 > 0
        FROM generate_series(1, {rows}) i;
    CREATE TABLE events (id int, place text, message text, status text);
    INSERT INTO events SELECT i, 'hall ' || i % 40, 'the door number ' || i % 300 || ' was opened and closed again',
        (ARRAY['open', 'done', 'late'])[1 + i % 3] FROM generate_series(1, {rows}) i;
    CREATE TABLE people (id int, full_name text, email text, phone text);
    INSERT INTO people SELECT i, 'Person Number' || i, 'person' || i || '@mail.example.org',
        '+47 22 ' || lpad((i % 1000000)::text, 6, '0') FROM generate_series(1, {rows}) i;
    GRANT SELECT ON ALL TABLES IN SCHEMA public TO app_ro, app_rw;
    GRANT CREATE ON DATABASE bench TO gov_broker;
    VACUUM ANALYZE;
"""

# Where to get what may be missing, by program.
PACKAGES = {
    "pgbench": "postgresql-client postgresql-contrib",
    "pgbouncer": "pgbouncer",
    "psql": "postgresql-client",
    "stunnel": "stunnel4",
    "openssl": "openssl",
}


def stop(message, hint=None):
    """Ends the benchmark with a reason."""
    print(f"error: {message}", file=sys.stderr)
    if hint:
        print(f"hint: {hint}", file=sys.stderr)
    raise SystemExit(1)


def programs():
    """The newest PostgreSQL server programs, and a check that everything else is there."""
    missing = [name for name in PACKAGES if not shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")]
    servers = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
    packages = [PACKAGES[name] for name in missing] + ([] if servers else ["postgresql"])
    if packages:
        stop(f"this machine lacks {', '.join(missing) or 'PostgreSQL'}", f"apt-get install {' '.join(packages)}")
    return servers[-1].parent


def gov_binary():
    """The release binary; built when it is missing or older than the sources."""
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    binary = target / "release" / "gov"
    sources = [REPOSITORY / "Cargo.lock", REPOSITORY / "Cargo.toml", *(REPOSITORY / "src").rglob("*")]
    if not binary.exists() or binary.stat().st_mtime < max(path.stat().st_mtime for path in sources):
        print("Building gov (the first time takes several minutes)", file=sys.stderr)
        subprocess.run(["cargo", "build", "--release", "--locked", "--bin", "gov"], cwd=REPOSITORY, check=True)
    return binary


def engine_table():
    """What `engine.rs` prints; before anything else runs, so that the machine is its own."""
    command = ["cargo", "bench", "--quiet", "--locked", "--bench", "engine"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    if done.returncode != 0:
        stop("the engine could not be measured", done.stderr)
    return done.stdout.rstrip()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def dies_with_us():
    """In the child: the kernel ends it when the benchmark ends, however that happens (PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


class Stage:
    """Everything that runs. Use it as a context: leaving it ends all of it and removes the folder."""

    def __init__(self, gov, rows):
        self.gov_path = gov
        self.rows = rows
        self.children = []
        self.postgres_programs = programs()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="gov-bench-"))
        self.folder.chmod(0o711)
        self.ports = {}

    def __enter__(self):
        try:
            self.start_postgres()
            self.start_pgbouncer()
            self.start_stunnel()
            self.start_gov()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        # PostgreSQL was started first and ends last; SIGINT makes it end without waiting for clients.
        for child, how in reversed(self.children):
            if child.poll() is None:
                child.send_signal(how)
                try:
                    child.wait(15)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def spawn(self, command, *, as_postgres=False, how=signal.SIGTERM, **options):
        """Starts a process of ours in a session of its own, so that Ctrl-C reaches it through us only."""
        if as_postgres and os.getuid() == 0:
            # PostgreSQL and PgBouncer refuse to run as root.
            entry = pwd.getpwnam("postgres")
            options |= {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        options.setdefault("stdout", subprocess.DEVNULL)
        options.setdefault("stderr", subprocess.DEVNULL)
        options |= {"stdin": subprocess.DEVNULL, "start_new_session": True, "preexec_fn": dies_with_us}
        child = subprocess.Popen([str(word) for word in command], **options)
        self.children.append((child, how))
        return child

    def own_folder(self, name):
        folder = self.folder / name
        folder.mkdir(mode=0o700)
        if os.getuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        return folder

    def start_postgres(self):
        folder = self.own_folder("postgres")
        data, port = folder / "data", free_port()
        init = [self.postgres_programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync"]
        init += ["-E", "UTF8", "--locale=C.UTF-8"]
        if self.spawn(init, as_postgres=True, stderr=open(self.folder / "initdb.log", "wb")).wait(120) != 0:
            stop("PostgreSQL cannot be set up", (self.folder / "initdb.log").read_text())
        (data / "pg_hba.conf").write_text("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        settings = {
            "port": port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": folder,
            "max_connections": 1500,
            "shared_buffers": "512MB",
            "password_encryption": "scram-sha-256",
            # Results do not depend on it, and filling the tables takes less.
            "fsync": "off",
            "autovacuum": "off",
            "max_parallel_workers_per_gather": 0,
        }
        command = [self.postgres_programs / "postgres", "-D", data]
        command += [f"--{name}={value}" for name, value in settings.items()]
        log = open(self.folder / "postgres.log", "wb")
        self.postgres = self.spawn(command, as_postgres=True, how=signal.SIGINT, stderr=log)
        self.socket = folder
        self.ports["direct"] = port
        self.wait("PostgreSQL", lambda: self.psql("SELECT 1", check=False).returncode == 0)
        self.psql("CREATE DATABASE bench", database="postgres")
        pgbench = ["pgbench", "-h", folder, "-p", port, "-U", "postgres", "-i", "-q", "-s", "10", "bench"]
        subprocess.run([str(word) for word in pgbench], check=True, capture_output=True, timeout=120)
        for statement in CONTENTS.format(password=PASSWORD, rows=self.rows).split(";"):
            if statement.strip():
                self.psql(statement, database="bench")

    def psql(self, sql, database="postgres", check=True):
        command = ["psql", "-XqAt", "-h", self.socket, "-p", self.ports["direct"], "-U", "postgres", "-d", database]
        command = [str(word) for word in command] + ["-c", sql]
        done = subprocess.run(command, capture_output=True, text=True, timeout=180)
        if check and done.returncode != 0:
            stop("PostgreSQL refused a statement of the benchmark", done.stderr)
        return done

    def start_pgbouncer(self):
        folder, port = self.own_folder("pgbouncer"), free_port()
        (folder / "users").write_text(f'"postgres" "{PASSWORD}"\n')
        (folder / "pgbouncer.ini").write_text(
            f"""
[databases]
bench = host=127.0.0.1 port={self.ports["direct"]} dbname=bench
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {folder}/users
pool_mode = session
server_reset_query = DISCARD ALL
ignore_startup_parameters = extra_float_digits
"""
        )
        program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        self.pgbouncer = self.spawn([program, "-q", folder / "pgbouncer.ini"], as_postgres=True)
        self.ports["pgbouncer"] = port
        self.wait("PgBouncer", lambda: answers(port))

    def start_stunnel(self):
        folder, near, far = self.own_folder("stunnel"), free_port(), free_port()
        make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        make += ["-days", "2", "-subj", "/CN=localhost", "-keyout", folder / "key", "-out", folder / "certificate"]
        subprocess.run([str(word) for word in make], check=True, capture_output=True)
        common = "foreground = yes\npid =\nsyslog = no\ndebug = err\nsslVersion = TLSv1.3\n"
        common += "socket = l:TCP_NODELAY=1\nsocket = r:TCP_NODELAY=1\n[hop]\n"
        far_side = f"accept = 127.0.0.1:{far}\nconnect = 127.0.0.1:{self.ports['direct']}\n"
        far_side += f"cert = {folder}/certificate\nkey = {folder}/key\n"
        near_side = f"client = yes\naccept = 127.0.0.1:{near}\nconnect = 127.0.0.1:{far}\n"
        (folder / "far.conf").write_text(common + far_side)
        (folder / "near.conf").write_text(common + near_side)
        self.stunnels = [self.spawn(["stunnel", folder / "far.conf"]), self.spawn(["stunnel", folder / "near.conf"])]
        self.ports["stunnel"] = near
        self.wait("stunnel", lambda: answers(near) and answers(far))

    def start_gov(self):
        ways = {"synced": "durability: synced", "written": "durability: written",
                "sealed": "durability: synced, raw_sql: encrypted"}
        self.govs = {name: Gov(self, name, audit) for name, audit in ways.items()}

    def wait(self, name, ready):
        deadline = time.monotonic() + 60
        while not ready():
            if time.monotonic() > deadline:
                stop(f"{name} does not start", f"look at the logs in {self.folder}")
            time.sleep(0.05)


class Gov:
    """A `gov server --dev` and a person who uses it, in a home of its own. `audit` is how sure a record must be before its
    statement goes on, and whether what was typed is kept; `durability: synced` is what people get who configure nothing."""

    def __init__(self, stage, name, audit):
        self.stage, self.home = stage, stage.folder / name
        self.home.mkdir(mode=0o700)
        keep = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        # No keychain and no settings of the user's.
        own = {"HOME": str(self.home), "USER": "bench", "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent"}
        self.environment = keep | own
        secret = self.home / "broker.password"
        secret.write_text(PASSWORD)
        secret.chmod(0o600)
        config = self.home / "gov.yaml"
        config.write_text(
            "server: { listen: 127.0.0.1:0, data: data }\n"
            f"audit: {{ {audit} }}\n"
            "access:\n"
            "  - { who: { group: engineering }, labels: { env: prod }, access: read }\n"
            "  - { who: { group: engineering }, labels: { env: dev }, access: read }\n"
        )
        command = [stage.gov_path, "--json", "server", "--dev", "--config", config]
        # The same database three times: in production somebody is asked before whole tables leave, and that is measured
        # too; and masks are put on at the gateway, or in the database.
        for name, environment, masking in (
            ("bench", "prod", "wire"), ("bench-export", "dev", "wire"), ("bench-views", "dev", "database"),
        ):
            governed = f"{name}=postgres://gov_broker@127.0.0.1:{stage.ports['direct']}/bench?env={environment}"
            governed += f"&masking={masking}"
            command += ["--resource", f"{governed}&read-role=app_ro&write-role=app_rw&password-file={secret}"]
        self.server = self.spawn(command, "server.log")
        url = self.said(self.server, "server.log")["url"]
        self.run("login", url, "--dev-user", "alice", "--token-store", "file")

    def spawn(self, command, log):
        log = open(self.home / log, "wb")
        return self.stage.spawn(command, env=self.environment, stdout=subprocess.PIPE, stderr=log)

    def connect(self, resource):
        """Starts `gov connect` and gives the process and where it listens."""
        command = [self.stage.gov_path, "connect", resource, "--port", "0", "--print", "json"]
        process = self.spawn(command, "connect.log")
        said = self.said(process, "connect.log")
        return process, {name: said[name] for name in ("host", "port", "user", "password", "database")}

    def end(self, process):
        process.send_signal(signal.SIGTERM)
        process.wait(15)
        self.stage.children = [(child, how) for child, how in self.stage.children if child is not process]

    def said(self, process, log):
        """The JSON document a process prints when it is ready."""
        text = ""
        for line in process.stdout:
            text += line.decode()
            try:
                said = json.loads(text)
            except ValueError:
                continue
            if "error" not in said:
                return said
            break
        stop("gov did not start", text + (self.home / log).read_text())

    def run(self, *arguments, timeout=60):
        command = [str(self.stage.gov_path), *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=timeout)
        if done.returncode != 0:
            stop(f"`gov {' '.join(arguments)}` ended with {done.returncode}", done.stderr)
        return done


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


def rss_kb(process):
    """Resident memory of a process, in kB."""
    for line in pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def cpu_seconds(processes):
    """User and system time of processes so far."""
    total = 0
    for process in processes:
        fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def raise_file_limit():
    """A thousand connections take more descriptors than most shells allow."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
