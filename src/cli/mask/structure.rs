//! What a database is made of, without anything that is in it: read through a governed session, written somewhere else.

use serde::Serialize;

use crate::domain::{Duration, Failure, Kind};
use crate::engine::quoted;
use crate::runtime::database::{Connection, Row};

/// How long one question about the catalog may take.
const QUESTION_MAX: Duration = Duration::from_secs(60);

/// Schemas that are the database's own, or gov's.
const FOREIGN: &str = "(n.nspname ~ '^(pg_|gov_mask_)' OR n.nspname = 'information_schema')";

/// What extensions brought comes with them.
const OF_EXTENSION: &str = "EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = @oid@ AND d.deptype = 'e')";

/// A structure, as statements that make it anew. None of them comes with a row.
#[derive(Debug)]
pub(super) struct Structure {
    /// Schemas, extensions, types, and functions, which tables may need.
    pub(super) before: Vec<Made>,
    pub(super) tables: Vec<Table>,
    /// What goes on tables once they are filled, so that what no synthetic value satisfies is left out and not the value.
    pub(super) after: Vec<Made>,
    /// What no statement here would make.
    pub(super) absent: Vec<Missing>,
    /// Names of views, and calls of functions that want no arguments.
    pub(super) views: Vec<String>,
    pub(super) calls: Vec<String>,
    /// Names of tables that show each session its own rows.
    pub(super) guarded: Vec<String>,
}

/// A statement, and what it makes.
#[derive(Clone, Debug)]
pub(super) struct Made {
    /// What kind of thing it is, as people call it.
    pub(super) what: &'static str,
    pub(super) name: String,
    pub(super) sql: String,
    /// What is made where that cannot be, and what it is without.
    pub(super) instead: Option<(String, &'static str)>,
}

/// What a copy is without, and why.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Missing {
    pub(super) what: &'static str,
    pub(super) name: String,
    pub(super) why: String,
}

#[derive(Debug)]
pub(super) struct Table {
    /// Quoted, with its schema.
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
    /// How its rows are spread over others, of a table that has none itself.
    pub(super) spread: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) schema: String,
    pub(super) relation: String,
    pub(super) name: String,
    /// The name of its type; of a domain, of what is below it.
    pub(super) kind: String,
    /// Characters, or digits, that a value may have.
    pub(super) room: Option<u32>,
    /// Digits of those that are behind the point.
    pub(super) scale: u32,
    pub(super) is_required: bool,
    /// One of the values it may have, where they are listed: the first of an enumeration, or of a check.
    pub(super) choice: Option<String>,
    /// The database computes it.
    pub(super) is_generated: bool,
    written: String,
    /// What stands behind its type.
    clause: String,
}

/// What is asked for, in the order in which it is made, where the order matters.
struct Question {
    what: &'static str,
    /// Gives name, statement, and what is made instead.
    sql: String,
    /// What the copy is without then.
    instead: &'static str,
}

impl Structure {
    pub(super) async fn read(connection: &mut Connection) -> Result<Self, Failure> {
        let mut before = Vec::new();
        for question in first() {
            before.extend(question.ask(connection).await?);
        }
        let (mut after, mut views) = (Vec::new(), Vec::new());
        for question in last() {
            let made = question.ask(connection).await?;
            if matches!(question.what, VIEW | MATERIALIZED) {
                views.extend(made.iter().map(|made| made.name.clone()));
            }
            after.extend(made);
        }
        let tables = tables(&ask(connection, &columns()).await?);
        let names = |rows: Vec<Row>| rows.iter().filter_map(|row| row.text(0).map(str::to_owned)).collect();
        let calls = names(ask(connection, &calls()).await?);
        let guarded = names(ask(connection, &guarded()).await?);
        let mut absent = Vec::new();
        for (what, why, sql) in never() {
            let list: Vec<String> = names(ask(connection, &sql).await?);
            absent.extend(list.into_iter().map(|name| Missing { what, name, why: why.to_owned() }));
        }
        Ok(Self { before, tables, after, absent, views, calls, guarded })
    }
}

impl Table {
    pub(super) fn made(&self) -> Made {
        let generates = self.columns.iter().any(|column| column.is_generated);
        Made {
            what: "table",
            name: self.name.clone(),
            sql: self.sql(true),
            instead: generates.then(|| (self.sql(false), "its generated columns are ordinary ones")),
        }
    }

    fn sql(&self, with_clauses: bool) -> String {
        let column = |column: &Column| {
            let required = if column.is_required { " NOT NULL" } else { "" };
            let clause = if with_clauses { column.clause.as_str() } else { "" };
            format!("{} {}{clause}{required}", quoted(&column.name), column.written)
        };
        let columns: Vec<String> = self.columns.iter().map(column).collect();
        let spread = self.spread.as_ref().map(|by| format!(" PARTITION BY {by}")).unwrap_or_default();
        format!("CREATE TABLE {} ({}){spread}", self.name, columns.join(", "))
    }
}

impl Question {
    fn new(what: &'static str, sql: impl Into<String>) -> Self {
        Self { what, sql: sql.into(), instead: "" }
    }

    async fn ask(&self, connection: &mut Connection) -> Result<Vec<Made>, Failure> {
        let made = |row: Row| {
            let text = |index: usize| row.text(index).map(str::to_owned);
            let instead = text(2).map(|sql| (sql, self.instead));
            Some(Made { what: self.what, name: text(0)?, sql: text(1)?, instead })
        };
        Ok(ask(connection, &self.sql).await?.into_iter().filter_map(made).collect())
    }
}

const VIEW: &str = "view";
const MATERIALIZED: &str = "materialized view";

/// The tables, views and indexes that are the users' own.
fn own_relations() -> String {
    format!(
        "pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND NOT {FOREIGN} AND NOT {}",
        of_extension("c.oid")
    )
}

fn of_extension(oid: &str) -> String {
    OF_EXTENSION.replace("@oid@", oid)
}

/// What tables may need.
fn first() -> Vec<Question> {
    let extensions = "SELECT x.extname, pg_catalog.format('CREATE EXTENSION IF NOT EXISTS %I SCHEMA %I CASCADE', x.extname, \
         n.nspname), pg_catalog.format('CREATE EXTENSION IF NOT EXISTS %I CASCADE', x.extname) \
         FROM pg_catalog.pg_extension x JOIN pg_catalog.pg_namespace n ON n.oid = x.extnamespace ORDER BY x.oid";
    vec![
        Question::new(
            "schema",
            format!(
                "SELECT nspname, pg_catalog.format('CREATE SCHEMA IF NOT EXISTS %I', nspname) \
                 FROM pg_catalog.pg_namespace n WHERE NOT {FOREIGN} ORDER BY oid"
            ),
        ),
        Question { instead: "it is in another schema", ..Question::new("extension", extensions) },
        Question::new("type", types()),
        Question::new(
            "sequence",
            format!(
                "SELECT c.relname, pg_catalog.format('CREATE SEQUENCE IF NOT EXISTS %I.%I', n.nspname, c.relname) FROM {} \
                 WHERE c.relkind = 'S' AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = c.oid \
                 AND d.deptype = 'i') ORDER BY c.oid",
                own_relations()
            ),
        ),
        Question::new("function", functions()),
    ]
}

fn types() -> String {
    format!(
        "SELECT pg_catalog.format('%I.%I', n.nspname, t.typname), CASE t.typtype \
         WHEN 'e' THEN pg_catalog.format('CREATE TYPE %I.%I AS ENUM (%s)', n.nspname, t.typname, \
           (SELECT pg_catalog.string_agg(pg_catalog.quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder) \
            FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid)) \
         WHEN 'd' THEN pg_catalog.format('CREATE DOMAIN %I.%I AS %s', n.nspname, t.typname, \
           pg_catalog.format_type(t.typbasetype, t.typtypmod)) \
         WHEN 'r' THEN pg_catalog.format('CREATE TYPE %I.%I AS RANGE (SUBTYPE = %s)', n.nspname, t.typname, \
           (SELECT pg_catalog.format_type(r.rngsubtype, NULL) FROM pg_catalog.pg_range r WHERE r.rngtypid = t.oid)) \
         ELSE pg_catalog.format('CREATE TYPE %I.%I AS (%s)', n.nspname, t.typname, \
           (SELECT pg_catalog.string_agg(pg_catalog.format('%I %s', a.attname, pg_catalog.format_type(a.atttypid, \
            a.atttypmod)), ', ' ORDER BY a.attnum) FROM pg_catalog.pg_attribute a \
            WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped)) END \
         FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace \
         WHERE (t.typtype IN ('e', 'd', 'r') OR t.typtype = 'c' AND EXISTS (SELECT FROM pg_catalog.pg_class c \
         WHERE c.oid = t.typrelid AND c.relkind = 'c')) AND NOT {FOREIGN} AND NOT {} ORDER BY t.oid",
        of_extension("t.oid")
    )
}

/// The functions and procedures whose code reaches nothing else.
fn functions() -> String {
    format!(
        "SELECT pg_catalog.format('%I.%I', n.nspname, p.proname), pg_catalog.pg_get_functiondef(p.oid) {} \
         AND p.prokind IN ('f', 'p') AND {SPOKEN} ORDER BY p.oid",
        own_functions()
    )
}

/// Without those that come with a type.
fn own_functions() -> String {
    format!(
        "FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
         JOIN pg_catalog.pg_language l ON l.oid = p.prolang WHERE NOT {FOREIGN} AND NOT {} \
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = p.oid AND d.deptype = 'i')",
        of_extension("p.oid")
    )
}

/// Languages whose code reaches nothing but the database that it is in.
const SPOKEN: &str = "l.lanname IN ('sql', 'plpgsql')";

fn calls() -> String {
    format!(
        "SELECT pg_catalog.format('%I.%I()', n.nspname, p.proname) {} AND p.prokind = 'f' AND p.pronargs = 0 \
         AND p.prorettype NOT IN (2279, 3838) AND {SPOKEN} ORDER BY p.oid",
        own_functions()
    )
}

/// What is told of the copy instead of made.
fn never() -> Vec<(&'static str, &'static str, String)> {
    let functions = own_functions();
    vec![
        (
            "function",
            "it is not written in SQL or PL/pgSQL, and could reach out of the copy",
            format!(
                "SELECT pg_catalog.format('%I.%I', n.nspname, p.proname) {functions} AND p.prokind IN ('f', 'p') \
                 AND NOT {SPOKEN} ORDER BY p.oid"
            ),
        ),
        (
            "aggregate",
            "aggregates are not copied",
            format!(
                "SELECT pg_catalog.format('%I.%I', n.nspname, p.proname) {functions} AND p.prokind NOT IN ('f', 'p') \
                 ORDER BY p.oid"
            ),
        ),
        (
            "foreign table",
            "it is an ordinary table in the copy, which reaches no other server",
            format!(
                "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM {} WHERE c.relkind = 'f' ORDER BY c.oid",
                own_relations()
            ),
        ),
        (
            "event trigger",
            "only a superuser could make it",
            format!(
                "SELECT e.evtname FROM pg_catalog.pg_event_trigger e WHERE e.evtname !~ '^gov_' AND NOT {} ORDER BY e.oid",
                of_extension("e.oid")
            ),
        ),
        (
            "policy",
            "it is for roles that this session is not one of",
            format!(
                "SELECT pg_catalog.format('%I of %I.%I', y.polname, n.nspname, c.relname) FROM pg_catalog.pg_policy y \
                 JOIN {} ON c.oid = y.polrelid WHERE NOT {CONCERNS} ORDER BY y.oid",
                own_relations()
            ),
        ),
    ]
}

/// Whether a policy `y` is about whoever asks.
const CONCERNS: &str = "(0 = ANY (y.polroles) OR EXISTS (SELECT FROM pg_catalog.unnest(y.polroles) AS r(id) \
                        WHERE r.id <> 0 AND pg_catalog.pg_has_role(r.id, 'USAGE')))";

/// Tables whose rows are not everybody's.
fn guarded() -> String {
    format!(
        "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM {} WHERE c.relkind IN ('r', 'p') AND c.relrowsecurity \
         ORDER BY c.oid",
        own_relations()
    )
}

/// What goes on tables that are there, and filled.
fn last() -> Vec<Question> {
    let own = own_relations();
    let parts = format!(
        "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), \
         pg_catalog.format('ALTER TABLE %I.%I ATTACH PARTITION %I.%I %s', m.nspname, o.relname, n.nspname, c.relname, \
         pg_catalog.pg_get_expr(c.relpartbound, c.oid)), \
         pg_catalog.format('ALTER TABLE %I.%I ATTACH PARTITION %I.%I DEFAULT', m.nspname, o.relname, n.nspname, c.relname) \
         FROM {own} JOIN pg_catalog.pg_inherits h ON h.inhrelid = c.oid JOIN pg_catalog.pg_class o ON o.oid = h.inhparent \
         JOIN pg_catalog.pg_namespace m ON m.oid = o.relnamespace WHERE c.relispartition AND c.relkind IN ('r', 'p', 'f') \
         ORDER BY c.oid"
    );
    vec![
        Question { instead: "it takes every row that no other does", ..Question::new("partition", parts) },
        Question::new(
            "child table",
            format!(
                "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), \
                 pg_catalog.format('ALTER TABLE %I.%I INHERIT %I.%I', n.nspname, c.relname, m.nspname, o.relname) \
                 FROM {own} JOIN pg_catalog.pg_inherits h ON h.inhrelid = c.oid \
                 JOIN pg_catalog.pg_class o ON o.oid = h.inhparent JOIN pg_catalog.pg_namespace m ON m.oid = o.relnamespace \
                 WHERE NOT c.relispartition AND c.relkind = 'r' ORDER BY c.oid, h.inhseqno"
            ),
        ),
        Question::new("key", constraints("'p', 'u', 'x'")),
        Question::new("foreign key", constraints("'f'")),
        Question::new("check", constraints("'c'")),
        Question::new("check", domain_checks()),
        Question::new(
            "index",
            format!(
                "SELECT c.relname, pg_catalog.pg_get_indexdef(c.oid) FROM {own} WHERE c.relkind IN ('i', 'I') \
                 AND NOT c.relispartition AND EXISTS (SELECT FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class o \
                 ON o.oid = i.indrelid WHERE i.indexrelid = c.oid AND o.relkind IN ('r', 'p', 'm')) \
                 AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conindid = c.oid \
                 AND k.contype IN ('p', 'u', 'x')) ORDER BY c.oid"
            ),
        ),
        Question::new(
            "default",
            format!(
                "SELECT pg_catalog.format('%I.%I', c.relname, a.attname), \
                 pg_catalog.format('ALTER TABLE %I.%I ALTER COLUMN %I SET DEFAULT %s', n.nspname, c.relname, a.attname, \
                 pg_catalog.pg_get_expr(v.adbin, v.adrelid)) FROM {own} JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid \
                 JOIN pg_catalog.pg_attrdef v ON v.adrelid = c.oid AND v.adnum = a.attnum \
                 WHERE c.relkind IN ('r', 'p', 'f') AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY c.oid, a.attnum"
            ),
        ),
        Question::new(VIEW, views('v')),
        Question::new(MATERIALIZED, views('m')),
        Question::new(
            "rule",
            format!(
                "SELECT w.rulename, pg_catalog.pg_get_ruledef(w.oid) FROM {own} JOIN pg_catalog.pg_rewrite w \
                 ON w.ev_class = c.oid WHERE w.rulename <> '_RETURN' ORDER BY w.oid"
            ),
        ),
        Question::new(
            "trigger",
            format!(
                "SELECT pg_catalog.format('%I of %I.%I', g.tgname, n.nspname, c.relname), pg_catalog.pg_get_triggerdef(g.oid) \
                 FROM {own} JOIN pg_catalog.pg_trigger g ON g.tgrelid = c.oid \
                 WHERE NOT g.tgisinternal AND g.tgparentid = 0 ORDER BY g.oid"
            ),
        ),
        Question::new("policy", policies()),
        Question::new("comment", comments()),
    ]
}

fn constraints(kinds: &str) -> String {
    format!(
        "SELECT pg_catalog.format('%I of %I.%I', k.conname, n.nspname, c.relname), \
         pg_catalog.format('ALTER TABLE %I.%I ADD CONSTRAINT %I %s', n.nspname, c.relname, k.conname, \
         pg_catalog.pg_get_constraintdef(k.oid)) FROM {} JOIN pg_catalog.pg_constraint k ON k.conrelid = c.oid \
         WHERE k.contype IN ({kinds}) AND k.conparentid = 0 AND k.conislocal AND c.relkind IN ('r', 'p', 'f') ORDER BY k.oid",
        own_relations()
    )
}

fn domain_checks() -> String {
    let own = format!(
        "FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace AND NOT {FOREIGN} AND NOT {}",
        of_extension("t.oid")
    );
    format!(
        "SELECT pg_catalog.format('%I of %I.%I', k.conname, n.nspname, t.typname), \
         pg_catalog.format('ALTER DOMAIN %I.%I ADD CONSTRAINT %I %s', n.nspname, t.typname, k.conname, \
         pg_catalog.pg_get_constraintdef(k.oid)) {own} JOIN pg_catalog.pg_constraint k ON k.contypid = t.oid \
         WHERE k.contype = 'c' UNION ALL SELECT pg_catalog.format('NOT NULL of %I.%I', n.nspname, t.typname), \
         pg_catalog.format('ALTER DOMAIN %I.%I SET NOT NULL', n.nspname, t.typname) {own} \
         WHERE t.typtype = 'd' AND t.typnotnull"
    )
}

fn views(kind: char) -> String {
    let word = if kind == 'm' { "MATERIALIZED VIEW" } else { "VIEW" };
    format!(
        "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), pg_catalog.format('CREATE {word} %I.%I%s AS %s', n.nspname, \
         c.relname, ' WITH (' || pg_catalog.array_to_string(c.reloptions, ', ') || ')', pg_catalog.pg_get_viewdef(c.oid)) \
         FROM {} WHERE c.relkind = '{kind}' ORDER BY c.oid",
        own_relations()
    )
}

/// Policies that are about whoever asks, for everybody who attacks. Of a table that hides rows from its owner too, only the
/// owner's would be others, and nobody attacks as that.
fn policies() -> String {
    format!(
        "SELECT pg_catalog.format('%I of %I.%I', y.polname, n.nspname, c.relname), \
         pg_catalog.format('CREATE POLICY %I ON %I.%I AS %s FOR %s TO %s%s%s', y.polname, n.nspname, c.relname, \
         CASE WHEN y.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END, \
         CASE y.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' \
         ELSE 'ALL' END, CASE WHEN 0 = ANY (y.polroles) THEN 'PUBLIC' ELSE 'attack_ro, attack_rw' END, \
         ' USING (' || pg_catalog.pg_get_expr(y.polqual, y.polrelid) || ')', \
         ' WITH CHECK (' || pg_catalog.pg_get_expr(y.polwithcheck, y.polrelid) || ')') \
         FROM pg_catalog.pg_policy y JOIN {} ON c.oid = y.polrelid WHERE {CONCERNS} ORDER BY y.oid",
        own_relations()
    )
}

fn comments() -> String {
    format!(
        "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), pg_catalog.format('COMMENT ON %s IS %L', CASE \
         WHEN a.attname IS NOT NULL THEN pg_catalog.format('COLUMN %I.%I.%I', n.nspname, c.relname, a.attname) \
         WHEN c.relkind = 'v' THEN pg_catalog.format('VIEW %I.%I', n.nspname, c.relname) \
         WHEN c.relkind = 'm' THEN pg_catalog.format('MATERIALIZED VIEW %I.%I', n.nspname, c.relname) \
         ELSE pg_catalog.format('TABLE %I.%I', n.nspname, c.relname) END, s.description) \
         FROM {} JOIN pg_catalog.pg_description s ON s.objoid = c.oid \
         AND s.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass \
         LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = s.objsubid AND s.objsubid > 0 \
         WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm') ORDER BY c.oid, s.objsubid",
        own_relations()
    )
}

fn columns() -> String {
    format!(
        "SELECT n.nspname, c.relname, a.attname, b.typname, \
         CASE WHEN b.typname IN ('numeric', '_numeric') AND m.typmod > 4 THEN ((m.typmod - 4) >> 16) & 65535 \
              WHEN m.typmod > 4 THEN m.typmod - 4 END, \
         CASE WHEN b.typname = 'numeric' AND m.typmod > 4 THEN (m.typmod - 4) & 65535 ELSE 0 END, \
         a.attnotnull, \
         (SELECT e.enumlabel FROM pg_catalog.pg_enum e WHERE e.enumtypid = b.oid ORDER BY e.enumsortorder LIMIT 1), \
         pg_catalog.format_type(a.atttypid, a.atttypmod), \
         CASE WHEN a.attgenerated <> '' THEN pg_catalog.format(' GENERATED ALWAYS AS (%s) %s', \
              pg_catalog.pg_get_expr(v.adbin, v.adrelid), CASE a.attgenerated WHEN 's' THEN 'STORED' ELSE 'VIRTUAL' END) \
              WHEN a.attidentity = 'a' THEN ' GENERATED ALWAYS AS IDENTITY' \
              WHEN a.attidentity = 'd' THEN ' GENERATED BY DEFAULT AS IDENTITY' END, \
         a.attgenerated <> '', \
         CASE WHEN c.relkind = 'p' THEN pg_catalog.pg_get_partkeydef(c.oid) END, \
         (SELECT pg_catalog.pg_get_constraintdef(k.oid) FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid \
         AND k.contype = 'c' AND k.conkey = ARRAY[a.attnum] ORDER BY k.oid LIMIT 1) \
         FROM {} JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid \
         JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
         JOIN pg_catalog.pg_type b ON b.oid = CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END \
         CROSS JOIN LATERAL (SELECT CASE t.typtype WHEN 'd' THEN t.typtypmod ELSE a.atttypmod END AS typmod) m \
         LEFT JOIN pg_catalog.pg_attrdef v ON v.adrelid = c.oid AND v.adnum = a.attnum \
         WHERE c.relkind IN ('r', 'p', 'f') AND a.attnum > 0 AND NOT a.attisdropped ORDER BY c.oid, a.attnum",
        own_relations()
    )
}

fn tables(rows: &[Row]) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    for row in rows {
        let text = |index: usize| row.text(index).unwrap_or_default().to_owned();
        let column = Column {
            schema: text(0),
            relation: text(1),
            name: text(2),
            kind: text(3),
            room: row.number(4),
            scale: row.number(5).unwrap_or(0),
            is_required: row.is_true(6),
            choice: row.text(7).map(str::to_owned).or_else(|| listed(row.text(12)?)),
            is_generated: row.is_true(10),
            written: text(8),
            clause: text(9),
        };
        let name = format!("{}.{}", quoted(&column.schema), quoted(&column.relation));
        match tables.last_mut().filter(|last| last.name == name) {
            Some(table) => table.columns.push(column),
            None => tables.push(Table { name, columns: vec![column], spread: row.text(11).map(str::to_owned) }),
        }
    }
    tables
}

/// The first of the values that a check lists, as PostgreSQL writes `x IN ('a', 'b')`.
fn listed(check: &str) -> Option<String> {
    let at = ["= ANY (", "= '"].into_iter().find_map(|sign| check.find(sign))?;
    let (_, from) = check.get(at..)?.split_once('\'')?;
    let (value, _) = from.split_once("'::")?;
    Some(value.replace("''", "'"))
}

async fn ask(connection: &mut Connection, sql: &str) -> Result<Vec<Row>, Failure> {
    connection.rows(sql, QUESTION_MAX).await.map_err(|error| {
        Failure::new(Kind::Database, "the structure of the database could not be read").detail(format!("{error}."))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_check_lists_is_known() {
        let check = |check: &str, expected: Option<&str>| assert_eq!(listed(check).as_deref(), expected, "{check}");
        check("CHECK ((status = ANY (ARRAY['open'::text, 'closed'::text])))", Some("open"));
        check(
            "CHECK (((kind)::text = ANY ((ARRAY['it''s'::character varying, 'b'::character varying])::text[])))",
            Some("it's"),
        );
        check("CHECK ((currency = 'EUR'::bpchar))", Some("EUR"));
        check("CHECK ((amount > (0)::numeric))", None);
        check("CHECK ((email ~ '@'::text))", None);
        check("CHECK ((length(ssn) = 11))", None);
    }
}
