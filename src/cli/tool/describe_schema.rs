//! Tables and columns of a database, and what is masked in them.

use std::collections::BTreeMap;

use schemars::generate::SchemaGenerator;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Answer, Desk, Tool, arguments, document};
use crate::client::inside::{lost, said_no};
use crate::domain::{Duration, Failure};
use crate::runtime::database::QueryError;
use crate::wire::api::MaskList;

/// How long the database may take to list its columns.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Columns told at once. A schema that has more is asked for table by table.
const COLUMNS_MAX: usize = 5_000;

/// What the session's own role may see, because it is asked as that role.
const COLUMNS: &str = "SELECT table_schema, table_name, column_name, data_type, is_nullable FROM information_schema.columns \
     WHERE table_schema NOT IN ('pg_catalog', 'information_schema') AND table_name = coalesce($1, table_name) \
     ORDER BY table_schema, table_name, ordinal_position LIMIT 5001";

pub(super) struct DescribeSchema;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// The database, as list_resources names it; may be left out when there is one.
    resource: Option<String>,
    /// Only this table or view.
    table: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct Description {
    tables: Vec<Relation>,
    /// Whether there are more tables: ask for one by name.
    truncated: bool,
}

#[derive(Serialize, JsonSchema)]
struct Relation {
    schema: String,
    name: String,
    columns: Vec<Column>,
}

#[derive(Serialize, JsonSchema)]
struct Column {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    nullable: bool,
    /// What it holds that you will not see, for example `email`: values of it come masked.
    #[serde(skip_serializing_if = "Option::is_none")]
    masked: Option<String>,
}

impl Tool for DescribeSchema {
    fn name(&self) -> &'static str {
        "describe_schema"
    }

    fn summary(&self) -> &'static str {
        "List the tables and columns of a database, with their types and what is masked"
    }

    fn input(&self, schemas: &mut SchemaGenerator) -> Schema {
        Arguments::json_schema(schemas)
    }

    fn output(&self, schemas: &mut SchemaGenerator) -> Schema {
        Description::json_schema(schemas)
    }

    fn only_reads(&self) -> bool {
        true
    }

    fn call<'a>(&self, desk: &'a Desk, given: Map<String, Value>) -> Answer<'a> {
        Box::pin(describe(desk, given))
    }
}

async fn describe(desk: &Desk, given: Map<String, Value>) -> Result<Value, Failure> {
    let Arguments { resource, table } = arguments(given)?;
    let inside = desk.session(desk.meant(resource.as_deref())?).await?;
    let session = inside.keeper().current().await.grant.session;
    let masks: MaskList = desk.gateway().await?.get(&format!("/v1/sessions/{session}/masks")).await?;
    let masked: BTreeMap<_, _> =
        masks.columns.iter().map(|mask| ((&*mask.schema, &*mask.relation, &*mask.column), &mask.holds)).collect();
    let mut own = inside.connect(Desk::parameters(None)).await?;
    let rows = own.connection.rows_with(COLUMNS, &[table.as_deref()], TIMEOUT).await.map_err(|error| match error {
        QueryError::Database(complaint) => said_no(&complaint),
        other => lost(other),
    });
    own.close().await;
    let rows = rows?;
    let mut tables: Vec<Relation> = Vec::new();
    for row in rows.iter().take(COLUMNS_MAX) {
        let [schema, name, column, kind] = [0, 1, 2, 3].map(|index| row.text(index).unwrap_or_default());
        if tables.last().is_none_or(|last| last.schema != schema || last.name != name) {
            tables.push(Relation { schema: schema.to_owned(), name: name.to_owned(), columns: Vec::new() });
        }
        if let Some(last) = tables.last_mut() {
            last.columns.push(Column {
                name: column.to_owned(),
                kind: kind.to_owned(),
                nullable: row.text(4) == Some("YES"),
                masked: masked.get(&(schema, name, column)).map(|holds| (*holds).clone()),
            });
        }
    }
    document(&Description { tables, truncated: rows.len() > COLUMNS_MAX })
}
