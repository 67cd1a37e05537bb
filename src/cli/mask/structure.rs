//! What a database is made of, without anything that is in it: read through a governed session, written somewhere else.

use crate::domain::{Duration, Failure, Kind};
use crate::engine::quoted;
use crate::runtime::database::{Connection, Row};

/// How long one question about the catalog may take.
const QUESTION_MAX: Duration = Duration::from_secs(60);

/// Schemas that are the database's own, or gov's.
const FOREIGN: &str = "(n.nspname ~ '^(pg_|gov_mask_)' OR n.nspname = 'information_schema')";

/// What extensions brought comes with them.
const OF_EXTENSION: &str = "EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = @oid@ AND d.deptype = 'e')";

/// A structure, as statements that make it anew. None of them comes with a value.
#[derive(Debug)]
pub(super) struct Structure {
    pub(super) extensions: Vec<String>,
    /// Schemas, types, and functions, which tables may need.
    pub(super) before: Vec<Made>,
    pub(super) tables: Vec<Table>,
    /// What goes on tables once they are filled: keys, views.
    pub(super) after: Vec<Made>,
    /// Names of views, and calls of functions that want no arguments.
    pub(super) views: Vec<String>,
    pub(super) calls: Vec<String>,
}

/// A statement, and what it makes.
#[derive(Clone, Debug)]
pub(super) struct Made {
    pub(super) name: String,
    pub(super) sql: String,
}

#[derive(Debug)]
pub(super) struct Table {
    /// Quoted, with its schema.
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
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
    /// The first value of an enumeration.
    pub(super) label: Option<String>,
    written: String,
}

impl Structure {
    pub(super) async fn read(connection: &mut Connection) -> Result<Self, Failure> {
        let mut list = async |sql: String| made(ask(connection, &sql).await?);
        let not_of = |oid: &str| format!("NOT {FOREIGN} AND NOT {}", OF_EXTENSION.replace("@oid@", oid));
        let extensions = list(
            "SELECT extname, pg_catalog.format('CREATE EXTENSION IF NOT EXISTS %I CASCADE', extname) \
             FROM pg_catalog.pg_extension ORDER BY oid"
                .to_owned(),
        );
        let extensions = extensions.await?.into_iter().map(|made| made.sql).collect();
        let mut before = list(format!(
            "SELECT nspname, pg_catalog.format('CREATE SCHEMA IF NOT EXISTS %I', nspname) FROM pg_catalog.pg_namespace n \
             WHERE NOT {FOREIGN} ORDER BY oid"
        ))
        .await?;
        before.extend(list(types(&not_of("t.oid"))).await?);
        let functions = functions(&not_of("p.oid"));
        before.extend(list(functions).await?);
        let views = list(format!(
            "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), pg_catalog.format('CREATE %s %I.%I AS %s', \
             CASE c.relkind WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'VIEW' END, n.nspname, c.relname, \
             pg_catalog.pg_get_viewdef(c.oid)) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n \
             ON n.oid = c.relnamespace WHERE c.relkind IN ('v', 'm') AND {} ORDER BY c.oid",
            not_of("c.oid")
        ))
        .await?;
        let mut after = list(format!(
            "SELECT k.conname, pg_catalog.format('ALTER TABLE %I.%I ADD %s', n.nspname, c.relname, \
             pg_catalog.pg_get_constraintdef(k.oid)) FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c \
             ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE k.contype IN ('p', 'u') AND {} ORDER BY k.oid",
            not_of("c.oid")
        ))
        .await?;
        let calls = list(format!(
            "SELECT pg_catalog.format('%I.%I()', n.nspname, p.proname), '' FROM pg_catalog.pg_proc p \
             JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE p.prokind = 'f' AND p.pronargs = 0 \
             AND p.prorettype NOT IN (2279, 3838) AND {} ORDER BY p.oid",
            not_of("p.oid")
        ))
        .await?;
        let names = |list: &[Made]| list.iter().map(|made| made.name.clone()).collect();
        let (calls, seen) = (names(&calls), names(&views));
        after.extend(views);
        let tables = tables(&ask(connection, &columns(&not_of("c.oid"))).await?);
        Ok(Self { extensions, before, tables, after, views: seen, calls })
    }
}

impl Table {
    /// The statement that makes it.
    pub(super) fn sql(&self) -> String {
        let column = |column: &Column| {
            let required = if column.is_required { " NOT NULL" } else { "" };
            format!("{} {}{required}", quoted(&column.name), column.written)
        };
        let columns: Vec<String> = self.columns.iter().map(column).collect();
        format!("CREATE TABLE {} ({})", self.name, columns.join(", "))
    }
}

fn types(wanted: &str) -> String {
    format!(
        "SELECT pg_catalog.format('%I.%I', n.nspname, t.typname), CASE t.typtype \
         WHEN 'e' THEN pg_catalog.format('CREATE TYPE %I.%I AS ENUM (%s)', n.nspname, t.typname, \
           (SELECT pg_catalog.string_agg(pg_catalog.quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder) \
            FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid)) \
         WHEN 'd' THEN pg_catalog.format('CREATE DOMAIN %I.%I AS %s', n.nspname, t.typname, \
           pg_catalog.format_type(t.typbasetype, t.typtypmod)) \
         ELSE pg_catalog.format('CREATE TYPE %I.%I AS (%s)', n.nspname, t.typname, \
           (SELECT pg_catalog.string_agg(pg_catalog.format('%I %s', a.attname, pg_catalog.format_type(a.atttypid, \
            a.atttypmod)), ', ' ORDER BY a.attnum) FROM pg_catalog.pg_attribute a \
            WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped)) END \
         FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace \
         WHERE (t.typtype IN ('e', 'd') OR t.typtype = 'c' AND EXISTS (SELECT FROM pg_catalog.pg_class c \
         WHERE c.oid = t.typrelid AND c.relkind = 'c')) AND {wanted} ORDER BY t.oid"
    )
}

fn functions(wanted: &str) -> String {
    format!(
        "SELECT pg_catalog.format('%I.%I', n.nspname, p.proname), pg_catalog.pg_get_functiondef(p.oid) \
         FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
         JOIN pg_catalog.pg_language l ON l.oid = p.prolang \
         WHERE p.prokind = 'f' AND l.lanname IN ('sql', 'plpgsql') AND {wanted} ORDER BY p.oid"
    )
}

fn columns(wanted: &str) -> String {
    format!(
        "SELECT n.nspname, c.relname, a.attname, b.typname, \
         CASE WHEN b.typname IN ('numeric', '_numeric') AND m.typmod > 4 THEN ((m.typmod - 4) >> 16) & 65535 \
              WHEN m.typmod > 4 THEN m.typmod - 4 END, \
         CASE WHEN b.typname = 'numeric' AND m.typmod > 4 THEN (m.typmod - 4) & 65535 ELSE 0 END, \
         a.attnotnull, \
         (SELECT e.enumlabel FROM pg_catalog.pg_enum e WHERE e.enumtypid = b.oid ORDER BY e.enumsortorder LIMIT 1), \
         pg_catalog.format_type(a.atttypid, a.atttypmod) \
         FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
         JOIN pg_catalog.pg_type b ON b.oid = CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END \
         CROSS JOIN LATERAL (SELECT CASE t.typtype WHEN 'd' THEN t.typtypmod ELSE a.atttypmod END AS typmod) m \
         WHERE c.relkind IN ('r', 'p', 'f') AND a.attnum > 0 AND NOT a.attisdropped AND {wanted} \
         ORDER BY c.oid, a.attnum"
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
            label: row.text(7).map(str::to_owned),
            written: text(8),
        };
        let name = format!("{}.{}", quoted(&column.schema), quoted(&column.relation));
        match tables.last_mut().filter(|last| last.name == name) {
            Some(table) => table.columns.push(column),
            None => tables.push(Table { name, columns: vec![column] }),
        }
    }
    tables
}

async fn ask(connection: &mut Connection, sql: &str) -> Result<Vec<Row>, Failure> {
    connection.rows(sql, QUESTION_MAX).await.map_err(|error| {
        Failure::new(Kind::Database, "the structure of the database could not be read").detail(format!("{error}."))
    })
}

fn made(rows: Vec<Row>) -> Result<Vec<Made>, Failure> {
    let made = |row: Row| Some(Made { name: row.text(0)?.to_owned(), sql: row.text(1)?.to_owned() });
    Ok(rows.into_iter().filter_map(made).collect())
}
