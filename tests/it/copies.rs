//! COPY at its edges, through both kinds of masks: every form it has, values that look like parts of the form, other
//! encodings. What goes out is read by PostgreSQL itself and must be the rows that SELECT shows.

use std::process::Stdio;

use crate::support::postgres::{self, Database};
use crate::support::wire::{Answer, Wire};
use crate::support::{Connected, Sandbox, wait_until};

/// Addresses and labels that have in them what ends values, rows and copies.
const LETTERS: &str = r#"
    CREATE TABLE letters (id int PRIMARY KEY, email text, label text);
    INSERT INTO letters SELECT i, 'person' || i || '@mail.example.org', 'x' FROM generate_series(100, 160) i;
    INSERT INTO letters VALUES (1, E'a"b@mail.example.org', E'x\ny'), (2, E'back\\slash@mail.example.org', E'\\.'),
        (3, E'new\nline@mail.example.org', E'a,b;c|d\te'), (4, E'cr\r\nlf@mail.example.org', ''), (5, '', E'\\N'),
        (6, NULL, NULL), (7, E'\\N', '"'), (8, 'plain@mail.example.org', E'\\.\nmore'), (9, E'\\.', 'NULL'),
        (10, E'it''s@mail.example.org', E'\b\f\v\\x41');
    CREATE TABLE back (id int, email text, label text);
    GRANT SELECT ON letters TO app_ro, app_rw, gov_broker;
"#;

const FORMS: &[&str] = &[
    "",
    "(DELIMITER '|', NULL '~')",
    "(FORMAT csv)",
    "(FORMAT csv, HEADER)",
    r"(FORMAT csv, HEADER, DELIMITER ';', QUOTE '''', ESCAPE '\')",
    "(FORMAT csv, FORCE_QUOTE *, NULL 'NULL')",
    r"(FORMAT csv, FORCE_QUOTE (email), NULL '\N', DELIMITER E'\t')",
    "(FORMAT csv, ENCODING 'UTF8')",
    "(FORMAT binary)",
];

struct Bench {
    sandbox: Sandbox,
    database: Database,
    connected: Connected,
}

impl Bench {
    fn new(masking: &str, database: Database) -> Self {
        let mut sandbox = Sandbox::new();
        let views = sandbox.gov(["server", "--print-masking-sql", "gov_broker"]).ok().stdout;
        postgres::server().run(&database.name, &views);
        let resource = database.resource("db", &sandbox.home, &format!("env=dev&masking={masking}"));
        sandbox.start_server(&["--dev", "--resource", &resource]);
        sandbox.log_in("alice");
        let connected = sandbox.connect(&["db"]).unwrap();
        Self { sandbox, database, connected }
    }

    fn wire(&self) -> Wire {
        self.connected.wire(&[]).unwrap()
    }
}

fn letters() -> Database {
    let database = postgres::server().database();
    postgres::server().run(&database.name, LETTERS);
    database
}

/// A database in another encoding than the tests' own, and what is in it.
fn database_in(encoding: &str, contents: &str) -> Database {
    let name = format!("in_{}", encoding.to_ascii_lowercase());
    let server = postgres::server();
    server.run("postgres", &format!("CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0"));
    server.run(&name, &format!("SET client_encoding = UTF8; {contents}; GRANT USAGE ON SCHEMA public TO app_ro;"));
    server.run(&name, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO app_ro, gov_broker");
    Database { name }
}

fn ask(wire: &mut Wire, sql: &str) -> Answer {
    let answer = wire.simple(sql.as_bytes());
    assert!(answer.errors.is_empty(), "{sql}: {answer:?}");
    answer
}

#[test]
fn what_is_copied_out_reads_as_the_masked_rows() {
    for masking in ["wire", "database"] {
        let bench = Bench::new(masking, letters());
        let mut wire = bench.wire();
        let rows = ask(&mut wire, "SELECT id, email, label FROM letters ORDER BY id").rows;
        assert_eq!(rows.len(), 71);
        let shown = format!("{rows:?}");
        assert!(!shown.contains("mail.example.org") && shown.contains("@masked.invalid"), "{shown}");
        for form in FORMS {
            let sql = format!("COPY (SELECT id, email, label FROM letters ORDER BY id) TO STDOUT {form}");
            let copied = ask(&mut wire, &sql);
            assert_eq!(copied.tags, ["COPY 71"], "{form}");
            assert!(!String::from_utf8_lossy(&copied.copy).contains("mail.example.org"), "{masking}: {form}");
            // PostgreSQL reads what it is given; which values are in quotes is nothing that it wants to be told.
            let form = form.replace("FORCE_QUOTE *, ", "").replace("FORCE_QUOTE (email), ", "");
            let file = bench.sandbox.home.join("copied");
            std::fs::write(&file, &copied.copy).unwrap();
            let mut psql = postgres::server().psql(&bench.database.name);
            psql.args(["-q", "-c", "TRUNCATE back"])
                .args(["-c", &format!("\\copy back FROM '{}' {form}", file.display())]);
            let read = psql.stderr(Stdio::piped()).output().unwrap();
            assert!(read.status.success(), "{masking}: {form}: {read:?}\n{}", String::from_utf8_lossy(&copied.copy));
            let differ = postgres::server().run(&bench.database.name, &differing(&rows));
            assert_eq!(differ, "0", "{masking}: {form}\n{}", String::from_utf8_lossy(&copied.copy));
        }
    }
}

/// How many rows of `back` are not among these, and the other way round.
fn differing(rows: &[Vec<Option<String>>]) -> String {
    let value = |cell: &Option<String>| match cell {
        Some(text) => format!("'{}'", text.replace('\'', "''")),
        None => "NULL".to_owned(),
    };
    let row = |row: &Vec<Option<String>>| {
        format!("({}::int, {}::text, {}::text)", value(&row[0]), value(&row[1]), value(&row[2]))
    };
    let rows = rows.iter().map(row).collect::<Vec<_>>().join(", ");
    format!(
        "WITH shown(id, email, label) AS (VALUES {rows}) SELECT (SELECT count(*) FROM (TABLE shown EXCEPT ALL TABLE back) a) \
         + (SELECT count(*) FROM (TABLE back EXCEPT ALL TABLE shown) b)"
    )
}

#[test]
fn what_stands_for_null_tells_nothing() {
    const GUESS: &str = "COPY (SELECT id, email FROM letters) TO STDOUT (NULL 'person107@mail.example.org')";
    let bench = Bench::new("wire", letters());
    let refused = bench.wire().simple(GUESS.as_bytes());
    assert_eq!(refused.errors[0].rule(), Some("masked_condition"), "{refused:?}");
    assert_eq!(refused.copied, 0);
    // Where the database compares masked values there is nothing to tell.
    let bench = Bench::new("database", letters());
    let copied = String::from_utf8(ask(&mut bench.wire(), GUESS).copy.into()).unwrap();
    assert!(copied.lines().any(|line| line.starts_with("6\tperson107@")), "{copied}");
    assert!(copied.lines().any(|line| line.starts_with("107\t") && line.ends_with("@masked.invalid")), "{copied}");
}

#[test]
fn other_encodings_are_refused_and_nothing_is_lost_by_it() {
    for masking in ["wire", "database"] {
        let bench = Bench::new(masking, letters());
        let mut wire = bench.wire();
        for sql in [
            "COPY (SELECT email FROM letters) TO STDOUT (ENCODING 'LATIN1')",
            "COPY orders TO STDOUT (FORMAT csv, ENCODING 'SJIS')",
            "SET client_encoding = 'EUC_JP'",
            "SET NAMES 'WIN1252'",
        ] {
            let refused = wire.simple(sql.as_bytes());
            assert_eq!(refused.errors[0].rule(), Some("parser_settings"), "{masking}: {sql}: {refused:?}");
            assert!(!refused.closed && refused.copied == 0, "{masking}: {sql}");
        }
        // Who asks for one when it begins is told that it has another, as the protocol says it.
        for encoding in ["LATIN1", "WIN1252", "SJIS", "EUC_JP", "SQL_ASCII"] {
            let mut wire = bench.connected.wire(&[("client_encoding", encoding)]).unwrap();
            assert_eq!(ask(&mut wire, "SHOW client_encoding").rows, [[Some("UTF8".to_owned())]], "{encoding}");
        }
    }
}

#[test]
fn databases_in_other_encodings_are_masked_like_any() {
    const GROESSE: &str = "
        CREATE TABLE größe (id int PRIMARY KEY, \"vollständiger_name\" text, email text, thing text);
        INSERT INTO größe SELECT i, 'Zoë Größe', 'zoë' || i || '@mail.example.org', 'in Zürich, zoë' || i || '@mail.example.org'
            FROM generate_series(1, 30) i";
    let name = database_in("LATIN1", GROESSE).name;
    for masking in ["wire", "database"] {
        let bench = Bench::new(masking, Database { name: name.clone() });
        let found = || bench.sandbox.gov(["classify", "db"]).ok().stdout;
        wait_until("it is classified", || found().contains("100 % of 30 values have its form"));
        let mut wire = bench.wire();
        let rows = ask(&mut wire, "SELECT id, email, thing FROM größe WHERE id = 7").rows;
        let cell = |index: usize| rows[0][index].clone().unwrap();
        assert!(cell(1).ends_with("@masked.invalid"), "{masking}: {rows:?}");
        assert!(cell(2).starts_with("in Zürich, ") && !cell(2).contains("mail.example.org"), "{masking}: {rows:?}");
        let copied = ask(&mut wire, "COPY größe TO STDOUT (FORMAT csv)").copy;
        let copied = String::from_utf8(copied.into()).unwrap();
        assert!(copied.contains("Zürich") && !copied.contains("mail.example.org"), "{masking}: {copied}");
    }
}

/// Bytes that are no text in any encoding the gateway reads: what is masked is masked all the same, and what is not cannot
/// be sent; neither shows them in a message.
#[test]
fn a_database_without_an_encoding_shows_no_bytes() {
    const RAW: &str = r"
        CREATE TABLE people (id int PRIMARY KEY, full_name text, email text);
        INSERT INTO people SELECT i, 'Ann Lee', 'ann' || i || '@mail.example.org' FROM generate_series(1, 30) i;
        UPDATE people SET full_name = E'Jos\xe9 M\xfcller', email = E'jos\xe9@mail.example.org' WHERE id = 7";
    let name = database_in("SQL_ASCII", "CREATE TABLE nothing (id int)").name;
    postgres::server().run(&name, &format!("{RAW}; GRANT SELECT ON people TO app_ro, gov_broker"));
    let bench = Bench::new("database", Database { name: name.clone() });
    let rows = ask(&mut bench.wire(), "SELECT full_name, email FROM people WHERE id = 7").rows;
    let cell = |index: usize| rows[0][index].clone().unwrap();
    assert!(cell(0).starts_with("person_name_") && cell(1).ends_with("@masked.invalid"), "{rows:?}");
    drop(bench);
    let bench = Bench::new("wire", Database { name });
    let refused = bench.wire().simple(b"SELECT full_name, email FROM people WHERE id = 7");
    assert_eq!(refused.errors[0].sqlstate, "22021", "{refused:?}");
    assert!(refused.rows.is_empty() && !refused.errors[0].message.contains("0x"), "{refused:?}");
}
