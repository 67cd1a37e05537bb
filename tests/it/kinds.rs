//! A sensitive column of every type, read as text and by drivers in binary, through both kinds of masks: masked, and still
//! of its type.

use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use crate::support::postgres::{self, PASSWORD};
use crate::support::{Sandbox, finish, repository};

/// A column: what it is called, its type, a value in the seventh row as SQL, what it holds, and what of that value
/// must not be seen. `None` for what it holds: its own name, or those of its fields, must say it.
struct Kind {
    name: &'static str,
    declared: &'static str,
    value: &'static str,
    holds: Option<&'static str>,
    secret: &'static str,
}

const fn kind(
    name: &'static str,
    declared: &'static str,
    value: &'static str,
    holds: Option<&'static str>,
    secret: &'static str,
) -> Kind {
    Kind { name, declared, value, holds, secret }
}

const MAIL: &str = "'zoe7@mail.example.org'";
const ROW: &str = "ROW('Baker Street 221', 'London', 'zoe7@mail.example.org', 54321)::place";

const KINDS: &[Kind] = &[
    kind("email", "text", MAIL, None, "zoe7"),
    kind("email_address", "varchar(22)", MAIL, None, "zoe7"),
    kind("mail", "character(40)", MAIL, Some("email"), "zoe7"),
    kind("work_email", "citext", MAIL, Some("email"), "zoe7"),
    kind("private_email", "address_text", MAIL, Some("email"), "zoe7"),
    kind("short_email", "short_text", MAIL, Some("email"), "zoe7"),
    kind("emails", "text[]", "ARRAY['zoe7@mail.example.org', NULL]", Some("email"), "zoe7"),
    kind("short_emails", "varchar(22)[]", "ARRAY['zoe7@mail.example.org']", Some("email"), "zoe7"),
    kind("full_name", "name", "'Zoe Ashcroft'", None, "Ashcroft"),
    kind("birth_date", "date", "'1970-09-18'", None, "1970-09-18"),
    kind("date_of_birth", "timestamp", "'1970-09-18 00:00:00'", None, "1970-09-18"),
    kind("birthday", "timestamptz", "'1970-09-18 00:00:00Z'", None, "1970-09-18"),
    kind("birth_dates", "date[]", "ARRAY[date '1970-09-18', NULL]", None, "1970-09-18"),
    kind("salary", "numeric(10, 2)", "54321.5", None, "54321"),
    kind("base_salary", "integer", "54321", None, "54321"),
    kind("annual_salary", "bigint", "54321", None, "54321"),
    kind("monthly_salary", "smallint", "5432", None, "5432"),
    kind("gross_salary", "real", "54321.5", Some("salary"), "54321"),
    kind("net_salary", "double precision", "54321.5", Some("salary"), "54321"),
    kind("bonus", "amount", "54321.25", Some("salary"), "54321"),
    kind("salaries", "numeric(8, 2)[]", "ARRAY[54321.5, NULL]", None, "54321"),
    kind("paid", "int4range", "'[54321,60000)'", Some("salary"), "54321"),
    kind("paid_ranges", "int4multirange", "'{[54321,60000)}'", Some("salary"), "54321"),
    kind("wage", "money", "54321", Some("salary"), "54,321"),
    kind("phone", "bigint", "4722000007", None, "4722000007"),
    kind("mobile", "numeric(15, 0)", "4722000007", Some("phone"), "4722000007"),
    kind("ssn", "numeric(9, 0)", "123456707", None, "123456707"),
    kind("person_key", "uuid", "'9f0b5a8e-0000-4000-8000-000000000007'", Some("national_id"), "9f0b5a8e"),
    kind("keys", "uuid[]", "ARRAY['9f0b5a8e-0000-4000-8000-000000000007'::uuid]", Some("national_id"), "9f0b5a8e"),
    kind("password", "bytea", r"'\xdeadbeef07'", None, "deadbeef07"),
    kind("secrets", "bytea[]", r"ARRAY['\xdeadbeef07'::bytea]", Some("secret"), "deadbeef07"),
    kind("ip_address", "inet", "'203.0.113.77'", None, "203.0.113.77"),
    kind("client_ip", "cidr", "'203.0.113.77/32'", None, "203.0.113.77"),
    kind("mac_address", "macaddr", "'08:00:2b:01:02:07'", None, "01:02:07"),
    kind("home", "place", ROW, None, "Baker"),
    kind(
        "homes",
        "place[]",
        "ARRAY[ROW('Baker Street 221', 'London', 'zoe7@mail.example.org', 54321)::place]",
        None,
        "Baker",
    ),
    kind("diagnosis", "illness", "'measles'", None, "measles"),
    kind("blood_type", "bit(8)", "B'10110011'", Some("health"), "10110011"),
    kind("born_at", "time", "'03:04:57'", Some("birth_date"), "03:04:57"),
    kind("profile", "jsonb", r#"'{"email": "zoe7@mail.example.org", "level": 7}'"#, None, "zoe7"),
    kind("profile_as_typed", "json", r#"'{"email": "zoe7@mail.example.org", "level": 7}'"#, None, "zoe7"),
    kind("contacts", "hstore", "hstore('email', 'zoe7@mail.example.org')", None, "zoe7"),
    kind("letter", "xml", "'<p>zoe7@mail.example.org</p>'", None, "zoe7"),
    kind("password_hash", "text", "'5f4dcc3b5aa765d61d8327deb882cf99'", None, "5f4dcc3b"),
];

/// Those of them that the server knows: multiranges came with PostgreSQL 14.
fn kinds() -> impl Iterator<Item = &'static Kind> {
    static MULTIRANGES: OnceLock<bool> = OnceLock::new();
    let known = "SELECT pg_catalog.to_regtype('int4multirange') IS NOT NULL";
    let multiranges = *MULTIRANGES.get_or_init(|| postgres::server().run("postgres", known) == "t");
    KINDS.iter().filter(move |kind| multiranges || !kind.declared.ends_with("multirange"))
}

const TYPES: &str = "
    CREATE EXTENSION hstore; CREATE EXTENSION citext;
    CREATE DOMAIN address_text AS text CHECK (value ~ '@'); CREATE DOMAIN short_text AS varchar(22);
    CREATE DOMAIN amount AS numeric(10, 2);
    CREATE TYPE place AS (street text, city text, email text, salary integer);
    CREATE TYPE illness AS ENUM ('flu', 'measles')";

/// A server whose masks are these, and the text of its configuration says of each column that needs it what it holds.
fn bench(masking: &str) -> Sandbox {
    let server = postgres::server();
    let database = server.database();
    let declared: Vec<_> = kinds().map(|kind| format!("{} {}", kind.name, kind.declared)).collect();
    let values: Vec<_> = kinds().map(|kind| kind.value.to_owned()).collect();
    let (declared, values) = (declared.join(", "), values.join(", "));
    server.run(
        &database.name,
        &format!(
            "{TYPES}; CREATE TABLE kinds (id int PRIMARY KEY, {declared}); \
             INSERT INTO kinds SELECT i, {values} FROM generate_series(1, 30) i; INSERT INTO kinds (id) VALUES (31); \
             GRANT SELECT ON kinds TO app_ro, app_rw, gov_broker"
        ),
    );
    let mut sandbox = Sandbox::new();
    let views = sandbox.gov(["server", "--print-masking-sql", "gov_broker"]).ok().stdout;
    server.run(&database.name, &views);
    sandbox.write_secret("broker.password", PASSWORD);
    let masks: Vec<_> =
        kinds().filter_map(|kind| Some(format!("public.kinds.{}: {}", kind.name, kind.holds?))).collect();
    let (port, name, masks) = (server.port, &database.name, masks.join(", "));
    let config = format!(
        "server: {{listen: '127.0.0.1:0', data: data}}\nresources:\n  db: {{url: \
         'postgres://gov_broker@127.0.0.1:{port}/{name}', password: {{file: broker.password}}, labels: {{env: dev}}, \
         masking: {masking}, roles: {{read: app_ro, write: app_rw}}}}\naccess:\n  - {{who: {{group: engineering}}, labels: \
         {{env: dev}}, access: read}}\nmasks: {{{masks}}}\n"
    );
    let file = sandbox.write("gov.yaml", &config);
    sandbox.start_server(&["--dev", "--config", file.to_str().unwrap()]);
    sandbox.log_in("alice");
    sandbox
}

#[test]
fn every_type_is_masked_and_stays_what_it_is() {
    for masking in ["wire", "database"] {
        let sandbox = bench(masking);
        let connected = sandbox.connect(&["db"]).unwrap();
        let mut wire = connected.wire(&[]).unwrap();
        let columns: Vec<&str> = kinds().map(|kind| kind.name).collect();
        let columns = columns.join(",");
        let all = format!("SELECT {columns} FROM kinds ORDER BY id");
        let answer = wire.simple(all.as_bytes());
        assert!(answer.errors.is_empty() && answer.rows.len() == 31, "{masking}: {answer:?}");
        let mut wrong = Vec::new();
        for (index, kind) in kinds().enumerate() {
            let shown = answer.rows[6][index].as_deref();
            let is_kept = shown.is_none_or(|shown| !shown.contains(kind.secret));
            let is_short = kind.declared != "varchar(22)" || shown.is_some_and(|shown| shown.chars().count() <= 22);
            if !is_kept || !is_short || answer.rows[30][index].is_some() {
                wrong.push(format!("{} {}: {shown:?}, NULL: {:?}", kind.name, kind.declared, answer.rows[30][index]));
            }
        }
        assert!(wrong.is_empty(), "{masking}:\n{}", wrong.join("\n"));
        copied(&mut wire, &columns, &answer.rows, masking);
        decoded(&sandbox, &connected.url(), &columns, masking);
    }
}

/// COPY shows what SELECT does, length and digits included.
fn copied(wire: &mut crate::support::wire::Wire, columns: &str, rows: &[Vec<Option<String>>], masking: &str) {
    let sql = format!("COPY (SELECT {columns} FROM kinds ORDER BY id) TO STDOUT");
    let answer = wire.simple(sql.as_bytes());
    assert!(answer.errors.is_empty(), "{masking}: {answer:?}");
    let text = String::from_utf8(answer.copy.into()).unwrap();
    let cell = |cell: &str| (cell != "\\N").then(|| cell.replace("\\\\", "\\"));
    let mut wrong = Vec::new();
    for (line, row) in text.lines().zip(rows).take(7) {
        for ((copied, shown), name) in line.split('\t').map(cell).zip(row).zip(columns.split(',')) {
            if copied != *shown {
                wrong.push(format!("{name}: {shown:?}, copied {copied:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{masking}:\n{}", wrong.join("\n"));
}

/// Drivers read the same in either format, and none of them what they must not.
fn decoded(sandbox: &Sandbox, url: &str, columns: &str, masking: &str) {
    let mut python = Command::new("/usr/bin/python3");
    python.arg(repository().join("tests/it/drivers/kinds.py")).args([url, columns]);
    python.env_clear().env("HOME", &sandbox.home).current_dir(&sandbox.home);
    let ran = finish(python).ok();
    let said: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(said.len(), 3, "{masking}: {ran:?}");
    let mut wrong = Vec::new();
    for kind in kinds() {
        let of = |index: usize| &said[index]["values"][kind.name];
        for one in &said {
            let values = &one["values"][kind.name];
            if values[6].to_string().contains(kind.secret) || !values[30].is_null() {
                wrong.push(format!("{}, {}: {}", one["driver"], kind.name, values[6]));
            }
        }
        let is_read = !of(2)[6].to_string().contains("\"bytes\"") || kind.declared.starts_with("bytea");
        // Nothing says in binary where the values of an hstore are: what holds something is not shown at all.
        if is_read && of(1) != of(2) && kind.declared != "hstore" {
            wrong.push(format!("psycopg, {}: {} in text, {} in binary", kind.name, of(1)[6], of(2)[6]));
        }
    }
    assert!(wrong.is_empty(), "{masking}:\n{}", wrong.join("\n"));
}
