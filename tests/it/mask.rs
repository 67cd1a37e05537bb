//! `gov mask attack`: what leaks is found, what does not is not, and the database itself stays as it is.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::postgres::{self, Database};
use crate::support::{Ran, Sandbox};

/// Something of most kinds that are copied.
const MORE: &str = "
    CREATE TYPE mood AS ENUM ('good', 'bad');
    CREATE TABLE notes (id bigint PRIMARY KEY, mood mood NOT NULL, body text, salary numeric(10, 2),
        bonus int);
    INSERT INTO notes SELECT i, 'good', 'call person' || i || '@mail.example.org', i * 1000, i * 100 FROM generate_series(1, 30) i;
    CREATE VIEW directory AS SELECT id, lower(email) AS address FROM customers;
    CREATE FUNCTION many() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM customers';
    GRANT SELECT ON notes, directory TO app_ro;
";

/// A server for one database, with these overrules, and somebody who may use it.
fn bench(masks: &str) -> (Sandbox, Database) {
    let (server, database) = (postgres::server(), postgres::server().database());
    server.run(&database.name, MORE);
    let mut sandbox = Sandbox::new();
    sandbox.write_secret("broker.password", postgres::PASSWORD);
    let (port, name) = (server.port, &database.name);
    let config = format!(
        "server: {{listen: '127.0.0.1:0', data: data}}\nresources:\n  prod-db: {{url: \
         'postgres://gov_broker@127.0.0.1:{port}/{name}', password: {{file: broker.password}}, labels: {{env: prod}}, \
         roles: {{read: app_ro, write: app_rw}}}}\naccess:\n  - {{who: {{group: dba}}, labels: {{env: prod}}, access: \
         write}}\nmasks: {masks}\n"
    );
    let file = sandbox.write("gov.yaml", &config);
    sandbox.start_server(&["--dev", "--config", file.to_str().unwrap()]);
    sandbox.log_in("bob");
    (sandbox, database)
}

fn attack(sandbox: &Sandbox, arguments: &[&str]) -> Ran {
    sandbox.gov([&["--json", "mask", "attack", "prod-db"], arguments].concat())
}

/// How many attempts ended so, over all families in which the session and its masking are these.
fn sum(report: &Value, session: &str, masking: &str, what: &str) -> u64 {
    let is_one = |score: &&Value| score["session"] == session && score["masking"].as_str().unwrap().contains(masking);
    let scores = report["scores"].as_array().unwrap().iter().filter(is_one);
    scores.map(|score| score[what].as_u64().unwrap()).sum()
}

#[test]
fn nothing_leaks_wherever_it_is_masked() {
    let (sandbox, database) = bench("{}");
    let contents = || postgres::server().run(&database.name, "SELECT count(*), min(email), max(email) FROM customers");
    let before = contents();
    for (place, masking) in [("wire", "on-wire"), ("database", "in-database")] {
        let report = attack(&sandbox, &["--masking", place]).ok().json();
        for nothing in ["leaks", "not_copied", "not_attacked"] {
            assert_eq!(report[nothing], json!([]), "{report}");
        }
        assert_eq!(report["columns"].as_array().unwrap().len(), 7, "{report}");
        assert_eq!(report["searchable"], json!(["notes.body"]), "{report}");
        for (session, masking) in [("read", masking), ("write", "on-wire")] {
            assert!(sum(&report, session, masking, "attempts") > 300, "{report}");
            assert!(sum(&report, session, masking, "masked") > 200, "{report}");
        }
        let families: BTreeSet<_> =
            report["scores"].as_array().unwrap().iter().map(|score| score["family"].as_str().unwrap()).collect();
        assert!(families.len() > 14, "{report}");
    }
    assert_eq!(before, contents(), "nothing of it happened to the database itself");
}

#[test]
fn what_somebody_cleared_by_mistake_is_found() {
    let (sandbox, _database) = bench("{public.customers.email: clear}");
    let found = sandbox.gov(["classify", "prod-db"]).ok();
    let cleared = "Not masked, because the configuration says so: `customers.email`.";
    assert!(found.stderr.contains(cleared), "{found:?}");
    let leaking = attack(&sandbox, &[]);
    assert_eq!(leaking.code, 10, "{leaking:?}");
    let report = leaking.json();
    let of: BTreeSet<_> = report["leaks"].as_array().unwrap().iter().map(|leak| leak["of"].as_str().unwrap()).collect();
    assert!(of.contains("customers.email"), "{report}");
    let expected = ["customers.email", "\"public\".\"customers\"", "public.directory"];
    assert!(of.iter().all(|of| expected.contains(of)), "{of:?}");
    // Somebody may have meant it.
    attack(&sandbox, &["--accept", "customers.email"]).ok();
}

/// What goes on tables, and what no copy can have.
const RULED: &str = "
    CREATE EXTENSION dblink;
    CREATE DOMAIN code AS text CHECK (VALUE ~ '^[0-9a-z]+');
    CREATE TABLE people (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text UNIQUE NOT NULL,
        state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'closed')), score int CHECK (score > 1000), code code,
        address text GENERATED ALWAYS AS (lower(email)) STORED, CHECK (length(email) < 200));
    INSERT INTO people (email, score) SELECT 'person' || i || '@mail.example.org', 2000 FROM generate_series(1, 30) i;
    CREATE UNIQUE INDEX short ON people (lower(email));
    COMMENT ON TABLE people IS 'who buys';
    CREATE TABLE visits (id serial PRIMARY KEY, person bigint REFERENCES people);
    CREATE FUNCTION told() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE NOTICE 'changed %', OLD.email; RETURN coalesce(NEW, OLD); END $$;
    CREATE TRIGGER told BEFORE UPDATE OR DELETE ON people FOR EACH ROW EXECUTE FUNCTION told();
    CREATE FUNCTION far() RETURNS text LANGUAGE sql AS
        $$ SELECT * FROM dblink('dbname=postgres', 'SELECT 1') AS t(x text) $$;
    CREATE TABLE open_rows (id int, email text);
    CREATE TABLE hidden_rows (id int, email text);
    INSERT INTO open_rows SELECT i, 'person' || i || '@mail.example.org' FROM generate_series(1, 30) i;
    INSERT INTO hidden_rows SELECT * FROM open_rows;
    ALTER TABLE open_rows ENABLE ROW LEVEL SECURITY;
    ALTER TABLE hidden_rows ENABLE ROW LEVEL SECURITY;
    CREATE POLICY everybody ON open_rows USING (id > 0);
    CREATE POLICY others ON open_rows TO app_owner USING (true);
    CREATE POLICY own ON hidden_rows USING (id = current_setting('app.id')::int);
    CREATE TABLE spread (id int, at date NOT NULL, email text) PARTITION BY RANGE (at);
    CREATE TABLE spread_a PARTITION OF spread FOR VALUES FROM ('2000-01-01') TO ('2001-01-01');
    INSERT INTO spread SELECT id, '2000-05-05', email FROM open_rows;
    CREATE MATERIALIZED VIEW short_list AS SELECT id, email FROM people;
    CREATE AGGREGATE joined(text) (SFUNC = textcat, STYPE = text);
    GRANT SELECT ON ALL TABLES IN SCHEMA public TO app_ro;
";

#[test]
fn the_copy_has_what_goes_on_tables_and_says_what_it_is_without() {
    let (sandbox, database) = bench("{}");
    postgres::server().run(&database.name, RULED);
    let report = attack(&sandbox, &[]).ok().json();
    let few = [("trigger", 1), ("foreign key", 2), ("key", 6), ("check", 3), ("row security", 1), ("partition", 1)];
    let few = few.into_iter().chain([("index", 1), ("comment", 1), ("policy", 2), ("materialized view", 1)]);
    for (what, count) in few.chain([("sequence", 1), ("default", 2)]) {
        assert_eq!(report["copied"][what], json!(count), "{what}: {report}");
    }
    let missing: BTreeSet<_> = report["not_copied"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| format!("{} {}", one["what"].as_str().unwrap(), one["name"].as_str().unwrap()))
        .collect();
    let expected = [
        "aggregate public.joined",
        "check people_score_check of public.people",
        "extension dblink",
        "partition public.spread_a",
        "policy others of public.open_rows",
        "row security public.hidden_rows",
    ];
    assert_eq!(missing.iter().map(String::as_str).collect::<Vec<_>>(), expected, "{report}");
    assert!(report["not_copied"].as_array().unwrap().iter().all(|one| one["why"].as_str().unwrap().len() > 10));
    assert!(report["not_copied"].to_string().contains("PostgreSQL trusts no ordinary owner with it"), "{report}");
    assert_eq!(report["not_attacked"], json!([]), "{report}");
    for column in ["people.address", "spread.email", "open_rows.email", "hidden_rows.email"] {
        assert!(report["columns"].as_array().unwrap().contains(&json!(column)), "{column}: {report}");
    }
    assert_eq!(report["leaks"], json!([]), "{report}");
    let is_of_it = |score: &&Value| score["family"] == "constraint";
    assert!(report["scores"].as_array().unwrap().iter().any(|score| is_of_it(&score)), "{report}");
}

#[test]
fn what_cannot_be_tried_is_not_taken_for_safe() {
    let (sandbox, _database) = bench("{}");
    let all = ["customers.full_name", "customers.email", "customers.born", "customers.credit_card"];
    let all = all.iter().chain(&["notes.body", "notes.salary", "notes.bonus"]);
    let accepted: Vec<&str> = all.flat_map(|column| ["--accept", column]).collect();
    let nothing = attack(&sandbox, &accepted);
    assert_eq!(nothing.code, 7, "{nothing:?}");
    assert!(nothing.stdout.contains("no sensitive column to attack"), "{nothing:?}");
    // A name that is written wrong accepts nothing.
    let misspelt = attack(&sandbox, &["--accept", "customers.emial"]);
    assert_eq!(misspelt.code, 2, "{misspelt:?}");
    assert!(misspelt.stdout.contains("`customers.emial` is no sensitive column of `prod-db`"), "{misspelt:?}");
}
