//! Values that people wrote into definitions: policies on rows, conditions, defaults, views, comments, labels. They stand in
//! the system catalogs, which everybody may read, and in plans.

use std::process::Command;

use crate::support::postgres;
use crate::support::{Connected, Sandbox, wire::Wire};

const SCHEMA: &str = r#"
    CREATE TYPE seat AS ENUM ('aisle', 'zoe.quill@northwind.example');
    CREATE TABLE desks (id int PRIMARY KEY, owner text DEFAULT 'Quillfeather Z', seat seat DEFAULT 'aisle',
        state text DEFAULT 'open' CHECK (state IN ('open', 'taken')), mark text CHECK (mark <> 'Quillfeather'));
    INSERT INTO desks SELECT i, 'desk ' || i, CASE WHEN i = 7 THEN 'zoe.quill@northwind.example' ELSE 'aisle' END::seat
        FROM generate_series(1, 40) i;
    ALTER TABLE desks ENABLE ROW LEVEL SECURITY;
    CREATE POLICY all_but ON desks USING (owner <> 'Quillfeather Z');
    CREATE VIEW others AS SELECT id FROM desks WHERE owner <> 'Quillfeather Z';
    COMMENT ON TABLE desks IS 'ask Zoe Quillfeather';
    CREATE FUNCTION who() RETURNS text LANGUAGE sql AS $$ SELECT 'Quillfeather Z' $$;
    GRANT SELECT ON desks, others TO app_ro, app_rw, gov_broker;
"#;

fn check(masking: &str) {
    let (server, database) = (postgres::server(), postgres::server().database());
    server.run(&database.name, &format!("{SCHEMA} GRANT CREATE ON DATABASE {} TO gov_broker", database.name));
    let mut sandbox = Sandbox::new();
    let resource = database.resource("db", &sandbox.home, &format!("env=dev&masking={masking}"));
    sandbox.start_server(&["--dev", "--resource", &resource]);
    sandbox.log_in("alice");
    let connected = sandbox.connect(&["db"]).unwrap();
    let mut wire = connected.wire(&[]).unwrap();
    for sql in [
        "SELECT qual FROM pg_policies",
        "SELECT pg_get_expr(polqual, polrelid) FROM pg_policy",
        "SELECT pg_get_viewdef('public.others'::regclass, true)",
        "SELECT definition FROM pg_views WHERE viewname = 'others'",
        "SELECT pg_get_constraintdef(oid), conbin FROM pg_constraint WHERE conrelid = 'public.desks'::regclass",
        "SELECT column_name, column_default FROM information_schema.columns WHERE table_name = 'desks'",
        "SELECT pg_get_expr(adbin, adrelid), adbin::text FROM pg_attrdef",
        "SELECT obj_description('public.desks'::regclass), 'about ' || obj_description('public.desks'::regclass)",
        "SELECT prosrc, pg_get_functiondef(oid) FROM pg_proc WHERE proname = 'who'",
        "EXPLAIN SELECT id FROM public.others",
        "EXPLAIN (VERBOSE, FORMAT JSON) SELECT id FROM public.others",
        "EXPLAIN (FORMAT XML) SELECT id FROM public.others",
        "EXPLAIN (FORMAT YAML) SELECT id FROM public.others",
        "SELECT seat, seat::text FROM public.desks WHERE id = 7",
        "SELECT seat FROM public.desks",
        "SELECT ARRAY[seat] FROM public.desks",
        "COPY (SELECT seat FROM public.desks) TO STDOUT",
        "SELECT enumlabel FROM pg_enum",
        "SELECT string_agg(enumlabel, ', ') FROM pg_enum",
        "SELECT enum_range(NULL::public.seat), enum_last(NULL::public.seat)",
    ] {
        let answer = wire.simple(sql.as_bytes());
        let shown = format!("{answer:?}");
        // What was hidden was there: a node's bytes are 81, 117, 105.
        let hidden = ["Quillfeather", "zoe.quill", "81 0 0 0 117", "81 117 105 108 108"];
        assert!(hidden.iter().all(|value| !shown.contains(value)), "{masking}: {sql}: {shown}");
        let answers = sql.starts_with("SELECT qual") || sql.starts_with("EXPLAIN") || sql.contains("enumlabel");
        assert!(!answers || !answer.rows.is_empty(), "{masking}: {sql}: {shown}");
    }
    assert_eq!(first(&mut wire, "SELECT seat FROM public.desks WHERE id = 8"), "aisle");
    // What a table looks like is told all the same.
    let described = psql(&connected, "\\d+ public.desks");
    for stays in ["'open'::text", "'taken'::text", "POLICY \"all_but\"", "owner <> '***'::text", "'aisle'::"] {
        assert!(described.contains(stays), "{masking}: {stays}: {described}");
    }
    assert!(!described.contains("Quillfeather"), "{masking}: {described}");
    let labels = psql(&connected, "\\dT+ public.seat");
    assert!(labels.contains("aisle") && !labels.contains("zoe.quill"), "{masking}: {labels}");
}

fn first(wire: &mut Wire, sql: &str) -> String {
    let answer = wire.simple(sql.as_bytes());
    assert!(answer.errors.is_empty(), "{sql}: {answer:?}");
    answer.rows[0][0].clone().unwrap_or_default()
}

fn psql(connected: &Connected, command: &str) -> String {
    let mut psql = Command::new(postgres::programs().join("psql"));
    // `.s.PGSQL.5432` in a folder: what psql wants are the folder and the number.
    let port = connected.socket.extension().unwrap().to_str().unwrap();
    psql.env_clear().args(["-X", "-h", connected.socket.parent().unwrap().to_str().unwrap(), "-p", port]);
    psql.args(["-U", &connected.user, "-d", &connected.database, "-c", command]);
    let output = psql.output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn definitions_show_no_values_on_the_way() {
    check("wire");
}

#[test]
fn definitions_show_no_values_of_the_database() {
    check("database");
}
