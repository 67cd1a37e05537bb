//! Real drivers and tools through `gov connect` to a real PostgreSQL: each does in its own way what its kind does, and
//! says how that went, one line per thing. Together the lines are the table of drivers, which this prints.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;

use crate::support::postgres::server;
use crate::support::{Connected, Sandbox, finish, repository, tool};

/// The columns of the table: what drivers do.
const CELLS: &[&str] = &[
    "simple",
    "prepared",
    "extended",
    "binary",
    "copy",
    "cancel",
    "error",
    "notice",
    "large",
    "transaction",
    "masked",
    "returned",
    "introspection",
    "reconnect",
];

/// A driver: its name, what runs its file in `drivers/`, and the things it must say of.
struct Driver {
    name: &'static str,
    program: fn(file: &str) -> Command,
    file: &'static str,
    cells: &'static [&'static str],
}

/// Everything that a driver with ways of its own for all of it does.
const EVERYTHING: &[&str] = &[
    "simple",
    "prepared",
    "binary",
    "copy",
    "cancel",
    "error",
    "notice",
    "large",
    "transaction",
    "masked",
    "returned",
    "introspection",
    "reconnect",
];

const DRIVERS: &[Driver] = &[
    Driver { name: "psql", program: shell, file: "psql.sh", cells: EVERYTHING },
    Driver {
        name: "pgbench",
        program: shell,
        file: "pgbench.sh",
        cells: &["simple", "prepared", "extended", "copy", "transaction", "reconnect"],
    },
    Driver {
        name: "pg_dump",
        program: shell,
        file: "pg_dump.sh",
        cells: &["simple", "copy", "transaction", "masked", "introspection"],
    },
    Driver { name: "psycopg 3", program: python, file: "psycopg.py", cells: EVERYTHING },
    Driver { name: "asyncpg", program: python, file: "asyncpg.py", cells: EVERYTHING },
    Driver {
        name: "node-postgres",
        program: node,
        file: "node-postgres.mjs",
        // Its COPY is a package of its own.
        cells: &[
            "simple",
            "prepared",
            "binary",
            "cancel",
            "error",
            "notice",
            "large",
            "transaction",
            "masked",
            "returned",
            "reconnect",
        ],
    },
    Driver { name: "pgjdbc", program: java, file: "Driver.java", cells: EVERYTHING },
];

#[test]
fn drivers() {
    let mut sandbox = Sandbox::new();
    let (database, empty) = (server().database(), server().database());
    let resources: Vec<String> =
        [("prod-db", &database, "env=prod"), ("dev-db", &database, "env=dev"), ("bench-db", &empty, "env=dev")]
            .into_iter()
            .flat_map(|(name, database, label)| {
                ["--resource".to_owned(), database.resource(name, &sandbox.home, label)]
            })
            .collect();
    let mut arguments = vec!["--dev"];
    arguments.extend(resources.iter().map(String::as_str));
    sandbox.start_server(&arguments);
    sandbox.log_in("bob");
    // Ways in: one that writes, one that reads what is kept most strictly, one that reads what may be taken along, and
    // one to a place that may be filled.
    let write = sandbox.connect(&["dev-db", "--write"]).unwrap();
    let read = sandbox.connect(&["prod-db"]).unwrap();
    let export = sandbox.connect(&["dev-db"]).unwrap();
    let bench = sandbox.connect(&["bench-db", "--write"]).unwrap();

    let found: Vec<BTreeMap<String, String>> = std::thread::scope(|scope| {
        let run = |driver: &'static Driver| {
            let (sandbox, endpoints) = (&sandbox, [&write, &read, &export, &bench]);
            scope.spawn(move || run(driver, sandbox, endpoints))
        };
        let running: Vec<_> = DRIVERS.iter().map(run).collect();
        running.into_iter().map(|running| running.join().unwrap()).collect()
    });

    // Every driver has sent back what it was shown.
    let real = "SELECT count(*) FROM customers WHERE email LIKE '%@mail.example.org' AND credit_card NOT LIKE '%*%' \
                AND born = date '1970-01-01' + id * 37";
    assert_eq!(server().run(&database.name, real), "20");

    let (table, wrong) = table(&found);
    // Also where everything works: the table stands in the README.
    eprintln!("\n{table}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What a driver said, by cell.
fn run(driver: &Driver, sandbox: &Sandbox, endpoints: [&Connected; 4]) -> BTreeMap<String, String> {
    let file = repository().join("tests/it/drivers").join(driver.file);
    let mut command = (driver.program)(file.to_str().unwrap());
    let scratch = sandbox.home.join(driver.file);
    std::fs::create_dir(&scratch).unwrap();
    command.args(endpoints.map(|endpoint| if driver.name == "pgjdbc" { endpoint.jdbc_url() } else { endpoint.url() }));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("HOME", &sandbox.home).env("TMPDIR", scratch).current_dir(&sandbox.home);
    let ran = finish(command);
    let mut said: BTreeMap<String, String> = ran
        .stdout
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(cell, what)| (cell.to_owned(), what.to_owned()))
        .collect();
    for cell in driver.cells {
        said.entry((*cell).to_owned()).or_insert_with(|| format!("said nothing: {ran:?}"));
    }
    said
}

/// The table, and what is wrong in it.
fn table(found: &[BTreeMap<String, String>]) -> (String, Vec<String>) {
    let mut table = format!("| driver | {} |\n|---|{}\n", CELLS.join(" | "), "---|".repeat(CELLS.len()));
    let mut wrong = Vec::new();
    for (driver, said) in DRIVERS.iter().zip(found) {
        write!(table, "| {} |", driver.name).unwrap();
        for cell in CELLS {
            let mark = match said.get(*cell).map(String::as_str) {
                None => "–",
                Some("ok") => "yes",
                Some(what) => {
                    wrong.push(format!("{}, {cell}: {what}", driver.name));
                    "NO"
                }
            };
            write!(table, " {mark} |").unwrap();
        }
        table.push('\n');
    }
    (table, wrong)
}

fn shell(file: &str) -> Command {
    let mut command = Command::new("bash");
    command.arg(file);
    command
}

/// Debian's own, which sees Debian's packages, whatever else comes first on the path.
fn python(file: &str) -> Command {
    let mut command = Command::new("/usr/bin/python3");
    command.arg(file);
    command
}

fn node(file: &str) -> Command {
    let mut command = Command::new(tool("node", "nodejs"));
    command.arg(file);
    command
}

fn java(file: &str) -> Command {
    let mut command = Command::new(tool("java", "default-jdk-headless"));
    command.args(["-cp", "/usr/share/java/postgresql.jar", file]);
    command
}
