//! What an agent may ask for over the Model Context Protocol, one tool per file. The file's name is the tool's.

mod describe_schema;
mod desk;
mod explain;
mod list_resources;
mod query;
mod request_approval;
mod request_status;

use std::pin::Pin;

use schemars::Schema;
use schemars::generate::SchemaGenerator;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::domain::{Failure, Kind};

pub(super) use desk::Desk;

/// What a tool gives back.
pub(super) type Answer<'a> = Pin<Box<dyn Future<Output = Result<Value, Failure>> + Send + 'a>>;

/// One tool.
pub(crate) trait Tool: Sync {
    /// The word agents call it by.
    fn name(&self) -> &'static str;
    /// What it does, for whoever decides whether to call it.
    fn summary(&self) -> &'static str;
    /// What it takes.
    fn input(&self, schemas: &mut SchemaGenerator) -> Schema;
    /// What it gives.
    fn output(&self, schemas: &mut SchemaGenerator) -> Schema;
    /// Whether nothing changes by it, whatever it is given.
    fn only_reads(&self) -> bool;
    /// Does it. May be dropped half way, when the agent does not want it any more.
    fn call<'a>(&self, desk: &'a Desk, arguments: Map<String, Value>) -> Answer<'a>;
}

/// All tools, in the order in which they are listed.
pub(crate) const TOOLS: &[&dyn Tool] = &[
    &list_resources::ListResources,
    &describe_schema::DescribeSchema,
    &query::Query,
    &explain::Explain,
    &request_approval::RequestApproval,
    &request_status::RequestStatus,
];

/// The arguments of a tool. What it does not know is a mistake: an agent that misspells a limit must not go without.
fn arguments<T: DeserializeOwned>(given: Map<String, Value>) -> Result<T, Failure> {
    serde_json::from_value(Value::Object(given))
        .map_err(|error| Failure::new(Kind::Usage, "the arguments are not those of this tool").cause(error))
}

/// What a tool found, as the document it gives back.
fn document(found: &impl serde::Serialize) -> Result<Value, Failure> {
    serde_json::to_value(found).map_err(|_| Failure::new(Kind::Internal, "a result could not be written"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client that validates takes only objects, and an agent reads the descriptions.
    #[test]
    fn tools_take_and_give_objects_and_explain_themselves() {
        for tool in TOOLS {
            let schemas = || SchemaGenerator::default();
            for schema in [tool.input(&mut schemas()), tool.output(&mut schemas())] {
                assert_eq!(schema.get("type"), Some(&Value::from("object")), "{}", tool.name());
            }
            let input = tool.input(&mut schemas());
            assert_eq!(input.get("additionalProperties"), Some(&Value::from(false)), "{}", tool.name());
            for (name, property) in input.get("properties").and_then(Value::as_object).into_iter().flatten() {
                assert!(property.get("description").is_some(), "{}: `{name}` is not explained", tool.name());
            }
        }
    }

    #[test]
    fn what_a_tool_does_not_know_is_a_mistake() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Small {
            #[expect(dead_code, reason = "only read")]
            limit: u32,
        }
        let read = |text: &str| arguments::<Small>(serde_json::from_str(text).unwrap());
        assert!(read(r#"{"limit": 3}"#).is_ok());
        for text in [r#"{"limt": 3}"#, r#"{"limit": 3, "more": 1}"#, r#"{"limit": -1}"#, r#"{"limit": "3"}"#, "{}"] {
            assert_eq!(read(text).unwrap_err().kind, Kind::Usage, "{text}");
        }
    }
}
