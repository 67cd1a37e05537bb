//! The databases an agent was given, and how it may use them.

use schemars::generate::SchemaGenerator;
use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Answer, Desk, Tool, arguments, document};
use crate::wire::api::ResourceList;

pub(super) struct ListResources;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

impl Tool for ListResources {
    fn name(&self) -> &'static str {
        "list_resources"
    }

    fn summary(&self) -> &'static str {
        "List the databases you may use, with their labels, and the purposes and access they are open to you for"
    }

    fn input(&self, schemas: &mut SchemaGenerator) -> Schema {
        Nothing::json_schema(schemas)
    }

    fn output(&self, schemas: &mut SchemaGenerator) -> Schema {
        ResourceList::json_schema(schemas)
    }

    fn only_reads(&self) -> bool {
        true
    }

    fn call<'a>(&self, desk: &'a Desk, given: Map<String, Value>) -> Answer<'a> {
        Box::pin(async move {
            arguments::<Nothing>(given)?;
            document(&desk.resources().await?)
        })
    }
}
