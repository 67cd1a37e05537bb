//! What columns come from, and what is asked of masked ones, as data.

use std::sync::Arc;

use crate::domain::{Access, Environment, IdentityKind, Timestamp};
use crate::engine::Engine;
use crate::engine::catalog::{Catalog, CatalogColumn, CatalogRelation, RelationKind};
use crate::engine::classify::{Classification, FREE_TEXT, Finding};
use crate::engine::mask::plan::{Treatment, of_origin};
use crate::engine::mask::recognise::Recogniser;
use crate::engine::policy::Policy;
use crate::engine::resolve::{Asked, Facts};
use crate::engine::rule::RULES;
use crate::engine::scope::Scope;
use crate::engine::sql::Understood;
use crate::engine::tests::grant;
use crate::engine::write_back::Seen;

const TEXT: u32 = 25;
const BYTES: u32 = 17;
const INTEGER: u32 = 23;
const JSON: u32 = 3802;

fn relation(oid: u32, name: &str, columns: &[(&str, u32)]) -> CatalogRelation {
    let columns = columns.iter().zip(1..).map(|((name, kind), attribute)| CatalogColumn {
        attribute,
        name: (*name).to_owned(),
        kind: *kind,
        ..CatalogColumn::default()
    });
    CatalogRelation {
        oid,
        schema: "public".to_owned(),
        name: name.to_owned(),
        columns: columns.collect(),
        ..CatalogRelation::default()
    }
}

fn view(oid: u32, name: &str, columns: &[(&str, u32)], definition: &str) -> CatalogRelation {
    CatalogRelation {
        kind: RelationKind::View,
        definition: Some(definition.to_owned()),
        ..relation(oid, name, columns)
    }
}

/// `people.email` and `staff.mail` are masked, `people.profile` is JSON, `letters.body` text and `scans.page` bytes that
/// may hold anything, everything else is open.
fn catalog() -> Catalog {
    let relations = vec![
        relation(20_000, "people", &[("id", INTEGER), ("email", TEXT), ("city", TEXT), ("profile", JSON)]),
        relation(20_001, "staff", &[("id", INTEGER), ("mail", TEXT)]),
        relation(20_002, "orders", &[("id", INTEGER), ("person", INTEGER), ("status", TEXT)]),
        view(
            20_003,
            "contacts",
            &[("k", INTEGER), ("label", TEXT)],
            " SELECT people.id, people.email FROM public.people WHERE (people.email ~~ 'a%'::text);",
        ),
        relation(20_004, "letters", &[("id", INTEGER), ("body", TEXT)]),
        relation(20_005, "scans", &[("id", INTEGER), ("page", BYTES)]),
        view(
            20_006,
            "desk",
            &[("contact", TEXT), ("kind", TEXT)],
            " SELECT 'ada.lovelace@mail.example.org'::text AS contact, 'desk'::text AS kind;",
        ),
    ];
    let finding = |entity: &str| Finding { entity: entity.to_owned(), confidence: 1.0, evidence: String::new() };
    let findings = [
        ((20_000, 2), finding("email")),
        ((20_001, 2), finding("email")),
        ((20_004, 2), finding(FREE_TEXT)),
        ((20_005, 2), finding(FREE_TEXT)),
    ]
    .into();
    let columns =
        relations.iter().flat_map(|relation| relation.columns.iter().map(|column| (relation.oid, column.attribute)));
    let examined = columns.collect();
    Catalog::new(relations, Classification { findings, examined, ..Classification::default() })
}

struct Bench {
    engine: Engine,
    catalog: Arc<Catalog>,
    policy: Policy,
}

impl Bench {
    fn new() -> Self {
        let (catalog, policy) = (Arc::new(catalog()), Policy::built_in(Environment::Production));
        let engine = Engine::new(Arc::new(policy.clone()), Arc::clone(&catalog), None);
        Self { engine, catalog, policy }
    }

    /// For a session that was opened to see this column.
    fn revealing(column: &str) -> Self {
        let bench = Self::new();
        let session = grant(Access::Read, IdentityKind::Person).session;
        let catalog = Arc::new(bench.catalog.revealing(session, &[column.parse().unwrap()]));
        Self { catalog, ..bench }
    }

    fn with<T>(&self, sql: &str, look: impl FnOnce(&Facts<'_>) -> T) -> T {
        let what: Arc<Understood> = self.engine.understand(sql.as_bytes());
        assert!(what.complaint.is_none(), "{sql}: {:?}", what.complaint);
        let (grant, who) = (grant(Access::Write, IdentityKind::Person), IdentityKind::Person);
        let now = Timestamp::default();
        let recogniser = Recogniser::new(None);
        let (policy, catalog, recogniser, seen) = (&self.policy, &self.catalog, &recogniser, &Seen::new());
        let asked = Asked { policy, catalog, recogniser, seen, grant: &grant, who, now };
        let mut scope = Scope::default();
        let (last, before) = what.commands.split_last().unwrap();
        (0..before.len()).for_each(|command| scope.after(&what, command, 0));
        look(&Facts::new(asked, &scope, last))
    }

    /// The treatment of each output, one letter each.
    #[track_caller]
    fn outputs(&self, sql: &str, expected: &str) {
        let found: String = self.with(sql, |facts| {
            let lineage = facts.lineage.as_ref().unwrap();
            let letter = |origin| match of_origin(&self.catalog, origin) {
                Treatment::Clear | Treatment::Glance => '.',
                Treatment::Look => 'l',
                Treatment::Definition => 'd',
                Treatment::Entity(_) => 'E',
                Treatment::Redact => 'R',
                Treatment::Suspect(_) => 'S',
                Treatment::Hide => 'H',
            };
            match &lineage.outputs {
                super::Outputs::Columns(columns) => columns.iter().map(|column| letter(&column.origin)).collect(),
                super::Outputs::All(origin) => format!("*{}", letter(&origin.clone())),
            }
        });
        assert_eq!(found, expected, "{sql}");
    }

    /// The rule about masked values that stops a statement, if one does.
    #[track_caller]
    fn stopped(&self, sql: &str, expected: &str) {
        let found = self.with(sql, |facts| {
            let masked = RULES.iter().filter(|rule| rule.name().starts_with("masked_"));
            masked.filter_map(|rule| rule.check(facts)).map(|reason| reason.rule).next().unwrap_or_default()
        });
        assert_eq!(found, expected, "{sql}");
    }
}

#[test]
fn columns_are_followed_through_queries() {
    let bench = Bench::new();
    let check = |sql, expected| bench.outputs(sql, expected);
    check("SELECT * FROM people", ".E.l");
    check("SELECT p.*, 1 FROM people p", ".E.l.");
    check("TABLE staff", ".E");
    check("SELECT email AS id, id AS email FROM people", "E.");
    check("SELECT a FROM people AS p(x, a)", "E");
    check("SELECT q.b FROM (SELECT id, email FROM people) q(a, b)", "E");
    check("WITH q AS (SELECT email e, city FROM people) SELECT city, e FROM q", ".E");
    check("WITH q(x, y) AS (SELECT city, email FROM people) SELECT y, x FROM q", "E.");
    check(
        "WITH RECURSIVE q(n, e) AS (SELECT 1, email FROM people UNION ALL SELECT n + 1, e FROM q WHERE n < 5) SELECT n, e FROM q",
        ".E",
    );
    check("SELECT status FROM orders UNION ALL SELECT email FROM people", "E");
    check("SELECT email FROM people UNION ALL SELECT mail FROM staff", "E");
    check("SELECT 'x' UNION ALL SELECT email FROM people", "E");
    check("VALUES ((SELECT email FROM people LIMIT 1), 1)", "E.");
    check("SELECT l.e FROM people p, LATERAL (SELECT p.email) l(e)", "E");
    check("SELECT email FROM (SELECT email FROM people) a NATURAL JOIN (SELECT mail AS email FROM staff) b", "E");
    check("SELECT label, k FROM contacts", "E.");
    check("SELECT o.status, p.email FROM orders o JOIN people p ON p.id = o.person", ".E");
    check("UPDATE people SET city = 'x' RETURNING email, id", "E.");
    check("WITH d AS (DELETE FROM people RETURNING email AS x) SELECT x FROM d", "E");
    check("COPY people (email, id) TO STDOUT", "E.");
    check("COPY (SELECT email FROM people) TO STDOUT", "E");
    check("PREPARE p AS SELECT email || '' FROM people; EXECUTE p", "H");
    // A plan is a text about it, whatever its columns are.
    check("PREPARE p AS SELECT email FROM people; EXPLAIN ANALYZE EXECUTE p", "*d");
    check("BEGIN; DECLARE c CURSOR FOR SELECT email, id FROM people; FETCH ALL FROM c", "E.");
    check("FETCH ALL FROM nobody", "*H");
    // A cursor means what its names meant when it was declared.
    check("BEGIN; DECLARE c CURSOR FOR SELECT email || '' FROM people; SET search_path = other; FETCH ALL FROM c", "H");
}

/// Whatever takes a row can be written as if it were a field of it.
#[test]
fn functions_written_as_fields_are_calls() {
    let bench = Bench::new();
    let check = |sql, expected| bench.outputs(sql, expected);
    check("SELECT (p).row_to_json, (p).concat, (p).email, (p).id FROM people p", "HHH.");
    check("SELECT p.row_to_json, p.to_jsonb FROM people p", "HH");
    check("SELECT (q.r).record_send FROM (SELECT p AS r FROM people p) q", "H");
    check("SELECT (profile).record_send FROM people", "H");
    check("SELECT p.proname, p.to_jsonb, (p).to_jsonb, a.name FROM pg_proc p, pg_settings a", ".HH.");
}

/// Whoever wrote a statement knows what it says; who made a view said it to its owner.
#[test]
fn values_that_are_written_into_a_view_are_looked_at() {
    let bench = Bench::new();
    bench.outputs("SELECT contact, reverse(contact), kind, upper(kind), 'a@b.example.org' FROM desk", "dH...");
}

#[test]
fn settings_that_people_made_are_looked_at() {
    let bench = Bench::new();
    let check = |sql, expected| bench.outputs(sql, expected);
    check("SELECT current_setting('work_mem'), current_setting('app.contact'), current_setting($1)", ".dd");
    check("SELECT reverse(current_setting('app.contact')), current_setting('app.jwt_secret')", "HH");
    check("SHOW work_mem", "*.");
    check("SHOW app.contact", "*d");
    check("SHOW app.jwt_secret", "*H");
    check("SHOW ALL", "*d");
    check("SELECT setconfig, reverse(setconfig::text) FROM pg_db_role_setting", "dH");
    check("SELECT reverse(pg_get_function_arguments(oid)), pg_get_function_arg_default(oid, 1) FROM pg_proc", "Hd");
}

#[test]
fn expressions_are_computed_from_their_parts() {
    let bench = Bench::new();
    let check = |sql, expected| bench.outputs(sql, expected);
    check("SELECT upper(email), email || '', reverse(email), substr(email, 1, 1) FROM people", "HHHH");
    check("SELECT email::text, email::varchar(3), email::bytea FROM people", "EHH");
    check("SELECT upper(status), length(status), id + 1 FROM orders", "...");
    check("SELECT count(*), count(email), count(DISTINCT email), count(left(email, 1)) FROM people", "...H");
    check("SELECT min(email), max(email), string_agg(email, ','), array_agg(email) FROM people", "EEHH");
    check("SELECT coalesce(email, ''), nullif(email, 'x') FROM people", "EE");
    check("SELECT CASE WHEN city = 'x' THEN email ELSE city END FROM people", "E");
    check("SELECT CASE WHEN email = 'x' THEN 1 ELSE 0 END FROM people", "H");
    check("SELECT email = 'x', email IS NULL, left(email, 1) IS NULL FROM people", "H.H");
    check("SELECT p, p::text, to_jsonb(p), row_to_json(p) FROM people p", "HHHH");
    check("SELECT o, json_agg(o) FROM orders o GROUP BY o", "..");
    check("SELECT (q.r).email, (q.r).id FROM (SELECT p AS r FROM people p) q", "H.");
    check("SELECT (q.r).* FROM (SELECT p AS r FROM people p) q", ".E.l");
    check(
        "SELECT profile ->> 'plan', profile ->> 'email', profile -> 'x' ->> 'email', md5(profile::text) FROM people",
        "lEEH",
    );
    check("SELECT first_value(email) OVER (ORDER BY id), row_number() OVER (ORDER BY email) FROM people", "EH");
    check("SELECT count(*) OVER w FROM people WINDOW w AS (PARTITION BY email)", "H");
    check(
        "SELECT (SELECT count(*) FROM people WHERE email = 'x'), EXISTS (SELECT 1 FROM people WHERE email = 'x')",
        "HH",
    );
    check("SELECT ARRAY(SELECT email FROM people), ARRAY[1]", "H.");
    check("SELECT nobody_knows(1), now(), $1", "H..");
    check("SELECT obj_description(1), query FROM pg_stat_activity", "dH");
    check("EXPLAIN SELECT * FROM people", "*d");
}

/// Detectors find a value by where it begins and ends and by its case, and a document by its names.
#[test]
fn texts_that_may_hold_anything_are_hidden_where_nobody_would_find_it_any_more() {
    let bench = Bench::new();
    let check = |sql, expected| bench.outputs(sql, expected);
    check("SELECT body, body::text, max(body), coalesce(body, ''), to_jsonb(l) FROM letters l GROUP BY 1, 5", "lllll");
    check("SELECT left(body, 80), left(body, 40), substr(body, 2), split_part(body, ' ', 3) FROM letters", "lHHH");
    check("SELECT reverse(body), body::bytea, body::varchar(5), translate(body, '@', '#') FROM letters", "HHHH");
    check("SELECT regexp_split_to_table(body, ' '), string_to_array(body, ' '), ascii(body) FROM letters", "HHH");
    check(
        "SELECT lower(body), upper(body), initcap(body), ltrim(body, 'H'), lower(status) FROM letters, orders",
        "HHlH.",
    );
    check("SELECT body || '', body || ' / ' || id, '9' || body, body || body, id || body FROM letters", "llHHH");
    check(
        "SELECT concat('(', body, ')'), concat('x', body), concat_ws(', ', body, id), concat_ws('', body) FROM letters",
        "lHlH",
    );
    check("SELECT format('%s (%s)', body, id), format('%s%s', body, id), format('9%1$s', body) FROM letters", "lHH");
    check(
        "SELECT string_agg(body, '; '), string_agg(body, ''), string_agg(body, '0'), array_agg(body) FROM letters",
        "lHHl",
    );
    check("SELECT xmlelement(name a, body), xmlelement(name a, '9', body) FROM letters", "lH");
    check("SELECT length(body), length(left(body, 1)), body IS NULL FROM letters", ".H.");
    // Bytes are read as they are; what is made of them is written in hexadecimal.
    check("SELECT page, max(page), page::text, format('%s', page), to_json(page), ROW(page, 1) FROM scans", "llHHHH");
    // A document with something behind it is none.
    check("SELECT profile::text, profile::text || ' ', left(profile::text, 80), profile || '{}' FROM people", "lHHl");
    check("SELECT p.profile::text || 'x' FROM people p", "H");
    let stopped = |sql, stops: bool| bench.stopped(sql, if stops { "masked_condition" } else { "" });
    stopped("SELECT id FROM letters WHERE body ILIKE '%late%' AND length(body) > 10 ORDER BY body", false);
    stopped("SELECT id FROM letters WHERE body LIKE 'late%' OR body ~* 'late' OR body LIKE '%so late'", false);
    stopped(
        "SELECT id FROM letters WHERE to_tsvector('english', body) @@ plainto_tsquery('english', 'late order')",
        false,
    );
    stopped("SELECT id FROM letters WHERE body LIKE '078%'", true);
    stopped("SELECT id FROM letters WHERE body ~ 'l.te'", true);
    stopped("SELECT id FROM letters WHERE to_tsvector(body) @@ to_tsquery('late:*')", true);
    stopped("SELECT id FROM letters WHERE substr(body, 1, 1) = 'a'", true);
    stopped("SELECT id FROM people WHERE email LIKE 'late%' OR email ~ 'late'", true);
}

/// A name is what says what stands under it, or what may.
#[test]
fn values_under_names_in_documents() {
    let bench = Bench::new();
    let check = |sql, expected| bench.outputs(sql, expected);
    check("SELECT profile ->> 'name', profile -> 'kin' -> 'name', profile #>> '{kin,name}' FROM people", "SSS");
    check("SELECT profile::json ->> 'name', jsonb_extract_path_text(profile, 'kin', 'name') FROM people", "SS");
    check("SELECT upper(profile ->> 'name'), json_build_object('a', profile) -> 'a' ->> 'name' FROM people", "HH");
    check("SELECT to_jsonb(p) -> 'profile' ->> 'name' FROM people p", "H");
    check("SELECT profile ->> 'page', upper(profile ->> 'page'), (profile ->> 'ms')::int + 1 FROM people", "lll");
    check(
        "SELECT reverse(profile ->> 'page'), (profile ->> 'page') || 'x', (profile ->> 'page')::bytea FROM people",
        "HHH",
    );
    check("SELECT jsonb_array_length(profile -> 'items'), jsonb_typeof(profile -> 'x') FROM people", "..");
    check(
        "SELECT json_build_object('x', body) ->> 'x', reverse(json_build_object('x', body) ->> 'x') FROM letters",
        "lH",
    );
    let stopped = |sql, stops: bool| bench.stopped(sql, if stops { "masked_condition" } else { "" });
    stopped("SELECT id FROM people WHERE profile ->> 'page' LIKE '/a%'", false);
    stopped("SELECT id FROM people WHERE profile ->> 'name' = 'Ada Lovelace'", false);
    stopped("SELECT id FROM people WHERE profile ->> 'name' LIKE 'A%'", true);
    stopped("SELECT id FROM people WHERE substr(profile ->> 'page', 1, 1) = 'a'", true);
    stopped("SELECT id FROM letters WHERE json_build_object('x', body) ->> 'x' LIKE 'a%'", true);
}

#[test]
fn conditions_may_not_tell() {
    let bench = Bench::new();
    let check = |sql, stops: bool| bench.stopped(sql, if stops { "masked_condition" } else { "" });
    check("SELECT id FROM people WHERE email = 'a@b.example'", false);
    check("SELECT id FROM people WHERE lower(email) = lower('A@b.example') OR email IN ('a', 'b')", false);
    check("SELECT id FROM people WHERE email IS NOT NULL ORDER BY email", false);
    check("SELECT count(*) FROM people p JOIN staff s ON s.mail = p.email", false);
    check("SELECT count(*) FROM people WHERE email IN (SELECT mail FROM staff)", false);
    check("SELECT email, count(*) FROM people GROUP BY email", false);
    check("SELECT id FROM people WHERE city LIKE 'a%' AND id > 7", false);
    check("SELECT profile ->> 'plan', count(*) FROM people GROUP BY 1", false);
    check("SELECT id FROM contacts WHERE k = 1", false);
    check("SELECT id FROM people WHERE profile::text LIKE '%refund%'", false);
    check("SELECT id FROM people WHERE to_tsvector(profile::text) @@ plainto_tsquery('late refund')", false);
    check("SELECT id FROM people WHERE to_tsvector(profile::text) @@ to_tsquery('refun:*')", true);
    check("SELECT id FROM people WHERE to_tsvector(profile::text) @@ to_tsquery($1)", true);
    check("SELECT id FROM people WHERE to_tsvector(email) @@ plainto_tsquery('alice')", true);
    check("SELECT id FROM people WHERE email LIKE 'a%'", true);
    check("SELECT id FROM people WHERE email > 'a'", true);
    check("SELECT id FROM people WHERE substr(email, 1, 1) = 'a'", true);
    check("SELECT id FROM people WHERE email = city", true);
    check("SELECT g FROM generate_series(1, 9) g JOIN people ON email = g::text", true);
    check("SELECT id FROM people WHERE NOT (id = 1 AND email < 'b')", true);
    check("SELECT id FROM people WHERE profile ->> 'email' LIKE 'a%'", true);
    check("SELECT id FROM people WHERE profile::text LIKE '%a%'", true);
    check("SELECT 1 FROM people, generate_series(1, length(email))", true);
    check("SELECT id FROM people LIMIT (SELECT length(email) FROM people)", true);
    check("SELECT id FROM people ORDER BY left(email, 1)", true);
    check("SELECT count(*) FROM people GROUP BY substr(email, 1, 1)", true);
    check("SELECT count(*) FROM (SELECT left(email, 1) FROM people UNION SELECT 'a') q", true);
    check("SELECT email FROM people INTERSECT SELECT 'a@b.example'", true);
    check("SELECT count(*) FILTER (WHERE email LIKE 'a%') FROM people", true);
    check("SELECT CASE WHEN email LIKE 'a%' THEN 1 END FROM people", true);
    check("SELECT nullif(left(email, 1), 'a') FROM people", true);
    check("SELECT id FROM people p WHERE EXISTS (SELECT 1 FROM orders o WHERE p.email LIKE 'a%')", true);
    check("SELECT id FROM people WHERE email = ANY (ARRAY['a', 'b'])", false);
    check("SELECT upper(email), md5(email), email || city, length(email) FROM people", false);
    check("SELECT email::int, (profile ->> 'age')::int + 1 FROM people", false);
    check("SELECT 1 / (ascii(left(email, 1)) - 97) FROM people", true);
    check("SELECT left(email, 1)::int FROM people", true);
    check("SELECT 2147483647 + ascii(left(email, 1)) FROM people", true);
    check("SELECT date_trunc(replace(left(email, 1), 'a', 'day'), now()) FROM people", true);
    check("SELECT 'x' LIKE replace(left(email, 1), 'a', '\\') FROM people", true);
    check("UPDATE people SET city = city WHERE email LIKE 'a%'", true);
    check("SELECT label FROM contacts WHERE label LIKE 'a%'", true);
}

/// In text format a row says of each value whether it is what stands for NULL.
#[test]
fn what_copy_writes_for_null_asks_nothing() {
    let bench = Bench::new();
    let check = |options: &str, stops: bool| {
        let sql = format!("COPY people TO STDOUT ({options})");
        bench.stopped(&sql, if stops { "masked_condition" } else { "" });
    };
    for value in ["zoe@mail.example", "7", "a", "\\\\zoe", "nulls", "é"] {
        check(&format!("NULL '{value}'"), true);
        check(&format!("NULL '{value}', FORMAT csv"), false);
    }
    for nothing in ["", "\\N", "\\z", "NULL", "<null>", "n/a", "~", "---"] {
        check(&format!("NULL '{nothing}'"), false);
    }
    bench.stopped("COPY people TO STDOUT WITH NULL AS 'zoe@mail.example'", "masked_condition");
    bench.stopped("COPY (SELECT email FROM people) TO STDOUT (NULL 'zoe@mail.example')", "masked_condition");
    bench.stopped("COPY orders TO STDOUT (NULL 'zoe@mail.example')", "");
}

#[test]
fn values_stay_where_they_are_masked() {
    let bench = Bench::new();
    let check = |sql, stops: bool| bench.stopped(sql, if stops { "masked_copy" } else { "" });
    check("CREATE TABLE t AS SELECT id, city FROM people", false);
    check("UPDATE people SET email = lower(email)", false);
    check("INSERT INTO staff SELECT id, email FROM people", false);
    check("INSERT INTO orders VALUES (1, 2, 'x') ON CONFLICT (id) DO UPDATE SET status = excluded.status", false);
    check("CREATE TABLE t AS SELECT email FROM people", true);
    check("SELECT email INTO TEMP t FROM people", true);
    check("CREATE TEMP VIEW v AS SELECT email FROM people", true);
    check("CREATE VIEW v AS SELECT email FROM people", false);
    check("INSERT INTO orders (id, status) SELECT id, email FROM people", true);
    check("UPDATE orders SET status = (SELECT email FROM people LIMIT 1)", true);
    check("MERGE INTO orders o USING people p ON o.person = p.id WHEN MATCHED THEN UPDATE SET status = p.email", true);
    check("SELECT set_config('my.x', email, false) FROM people", true);
    check("SELECT pg_notify('x', email) FROM people", true);
    check("SELECT pg_notify('x', status) FROM orders", false);
    check("COPY (SELECT email FROM people) TO '/tmp/x'", true);
    check("COPY (SELECT email FROM people) TO STDOUT (ENCODING 'UTF8', FORMAT csv, HEADER)", false);
    check("ALTER TABLE people ADD COLUMN x text GENERATED ALWAYS AS (reverse(email)) STORED", true);
    check("ALTER TABLE people ADD COLUMN x int GENERATED ALWAYS AS (id + 1) STORED", false);
}

#[test]
fn what_was_prepared_is_copied_by_nobody() {
    let bench = Bench::new();
    for made in ["CREATE TEMP TABLE t AS EXECUTE p", "EXPLAIN ANALYZE CREATE TEMP TABLE t AS EXECUTE p"] {
        bench.stopped(&format!("PREPARE p AS SELECT email FROM people; {made}"), "masked_copy");
        bench.stopped(&format!("PREPARE p AS SELECT reverse(email) FROM people; {made}"), "masked_copy");
        bench.stopped(&format!("PREPARE p AS SELECT id FROM people; {made}"), "");
    }
    bench.stopped("CREATE TEMP TABLE t AS EXECUTE nobody", "masked_copy");
}

#[test]
fn catalog_queries_of_drivers_stay_readable() {
    let bench = Bench::new();
    // asyncpg's introspection, in short: a recursive query within a recursive query, both over system catalogs.
    let types = "WITH RECURSIVE tree(oid, name, base, depth) AS (
            SELECT t.oid, t.name, t.base, 0 FROM (SELECT t.oid AS oid, t.typname AS name, (CASE WHEN t.typtype = 'd' THEN
                (WITH RECURSIVE bases(oid, depth) AS (
                    SELECT t2.typbasetype AS oid, 0 AS depth FROM pg_type t2 WHERE t2.oid = t.oid
                    UNION ALL SELECT t2.typbasetype, tb.depth + 1 FROM pg_type t2, bases tb WHERE tb.oid = t2.oid)
                 SELECT oid FROM bases ORDER BY depth DESC LIMIT 1) END) AS base FROM pg_type t) t WHERE t.oid = any($1::oid[])
            UNION ALL SELECT t.oid, t.typname, t.typbasetype, tt.depth + 1 FROM pg_type t, tree tt WHERE t.oid = tt.base)
        SELECT DISTINCT *, base::regtype::text AS base_name FROM tree ORDER BY depth DESC";
    bench.stopped(types, "");
    bench.outputs(types, ".....");
    bench.outputs("SELECT n.nspname, c.relname, pg_get_userbyid(c.relowner) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace", "...");
    // psql's \\d: defaults are texts like any other of the catalogs, bounds of partitions are values.
    let default =
        "SELECT (SELECT pg_get_expr(d.adbin, d.adrelid, true) FROM pg_attrdef d WHERE d.adrelid = a.attrelid)";
    bench.outputs(&format!("{default} FROM pg_attribute a"), "d");
    bench.outputs("SELECT enumlabel, reverse(enumlabel), enum_first(NULL::x) FROM pg_enum", "dHd");
    bench.outputs("SELECT pg_get_expr(relpartbound, oid), pg_get_partition_constraintdef(oid) FROM pg_class", "HH");
    // An expression as it is kept holds constants as bytes.
    bench.outputs("SELECT adbin, adbin::text, adrelid FROM pg_attrdef", "HH.");
    bench.outputs("SELECT conbin, tgqual FROM pg_constraint, pg_trigger WHERE tgqual IS NOT NULL", "HH");
    bench.outputs("SELECT string_agg(chr(b::int), '') FROM (SELECT regexp_split_to_table(ev_action::text, ' ') b FROM pg_rewrite) q", "H");
    bench.outputs("SELECT a::text, to_jsonb(a) ->> 'adbin', upper(a::text) FROM pg_attrdef a", "HHH");
    bench.outputs("SELECT q.adbin::text, q.adrelid FROM (SELECT * FROM pg_attrdef) q", "Hd");
    bench.outputs("SELECT c.relname, q.oid FROM (SELECT * FROM pg_class) q JOIN pg_class c ON c.oid = q.oid", ".d");
    bench.outputs("SELECT pg_get_expr(q.adbin, q.adrelid) FROM (SELECT * FROM pg_attrdef) q", "d");
    // Under another name as well, which no longer says what is an expression.
    for rows in [
        "pg_attrdef AS q(a, b, c, d)",
        "(SELECT * FROM pg_attrdef) AS q(a, b, c, d)",
        "(TABLE pg_attrdef UNION ALL TABLE pg_attrdef) AS q(a, b, c, d)",
        "(SELECT * FROM pg_shdescription UNION ALL SELECT oid, adrelid, adbin::text FROM pg_attrdef) AS q(a, b, d)",
    ] {
        bench.outputs(&format!("SELECT d::text FROM {rows}"), "H");
    }
    bench.outputs("WITH q(a, b, c, d) AS (SELECT * FROM pg_attrdef) SELECT d::text, pg_get_expr(d, b) FROM q", "Hd");
    let right = "SELECT * FROM pg_shdescription UNION ALL SELECT oid, adrelid, adbin::text FROM pg_attrdef";
    bench.outputs(&format!("SELECT description FROM ({right}) q"), "H");
    bench.stopped("SELECT conname FROM pg_constraint WHERE conbin IS NULL", "");
    bench.stopped("CREATE TEMP TABLE t AS SELECT adbin::text FROM pg_attrdef", "masked_copy");
    bench.stopped("CREATE TEMP TABLE t AS SELECT adrelid FROM pg_attrdef", "");
    bench.outputs("SELECT typdefault, agginitval, rolconfig, action_statement FROM pg_type, pg_aggregate, pg_roles, information_schema.triggers", "dddd");
    bench.outputs("SELECT qual::text FROM pg_get_publication_tables('p')", "H");
    bench.outputs("SELECT reverse(typdefault), md5(agginitval) FROM pg_type, pg_aggregate", "HH");
    bench.outputs("SELECT pg_get_expr(CASE WHEN adbin::text LIKE '%x%' THEN adbin END, adrelid) FROM pg_attrdef", "H");
}

#[test]
fn records_say_what_columns_hold() {
    let bench = Bench::new();
    let check = |sql: &str, expected: &[&str]| {
        let found = bench.with(sql, |facts| facts.lineage.as_ref().unwrap().tags(&bench.catalog));
        assert_eq!(found.into_iter().collect::<Vec<_>>(), expected, "{sql}");
    };
    check("SELECT email FROM people", &["email"]);
    check("SELECT * FROM contacts", &["email"]);
    check("SELECT id, city FROM people", &[]);
    check("SELECT count(*) FROM people", &[]);
    check("SELECT id FROM people WHERE email = 'a@b.c'", &["email"]);
    check("SELECT 1 FROM people JOIN staff ON people.email = staff.mail", &["email"]);
    check("SELECT profile->>'phone' FROM people", &["phone"]);
    check("UPDATE people SET email = 'a@b.c' WHERE id = 1", &["email"]);
    check("UPDATE people SET city = 'x' WHERE id = 1", &[]);
    check("INSERT INTO staff VALUES (1, 'a@b.c')", &["email"]);
    check("INSERT INTO staff (id) VALUES (1)", &[]);
    check("COPY staff FROM STDIN", &["email"]);
    check("COPY staff (id) FROM STDIN", &[]);
}

#[test]
fn a_revealed_column_is_clear_and_asked_about() {
    let bench = Bench::revealing("public.people.email");
    let check = |sql, outputs, asked| {
        bench.outputs(sql, outputs);
        let rule = RULES.iter().find(|rule| rule.name() == "revealed_column").unwrap();
        assert_eq!(bench.with(sql, |facts| rule.check(facts).is_some()), asked, "{sql}");
    };
    check("SELECT * FROM people", "...l", true);
    check("SELECT upper(email) FROM people", ".", true);
    check("SELECT label FROM contacts", ".", true);
    check("SELECT id FROM people", ".", false);
    // Others are masked as before, also beside it.
    check("SELECT mail FROM staff", "E", false);
    check("SELECT email FROM people UNION SELECT mail FROM staff", "E", true);
    check("SELECT nobody_knows()", "H", true);
    // To see it is not to copy it.
    bench.stopped("INSERT INTO orders (status) SELECT email FROM people", "masked_copy");
    Bench::new().outputs("SELECT email FROM people", "E");
}
