//! How a request for approval stands.

use schemars::generate::SchemaGenerator;
use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Answer, Desk, Tool, arguments, document};
use crate::domain::ApprovalId;
use crate::domain::{Failure, Kind};
use crate::wire::api::{ApprovalEntry, ApprovalList};

pub(super) struct RequestStatus;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// The approval, as request_approval or a held query named it.
    approval: String,
}

impl Tool for RequestStatus {
    fn name(&self) -> &'static str {
        "request_status"
    }

    fn summary(&self) -> &'static str {
        "Tell how a request for approval stands: `pending` is waiting for people, `approved` may be run with query, \
         everything else has ended. Wait some seconds between two calls"
    }

    fn input(&self, schemas: &mut SchemaGenerator) -> Schema {
        Arguments::json_schema(schemas)
    }

    fn output(&self, schemas: &mut SchemaGenerator) -> Schema {
        ApprovalEntry::json_schema(schemas)
    }

    fn only_reads(&self) -> bool {
        true
    }

    fn call<'a>(&self, desk: &'a Desk, given: Map<String, Value>) -> Answer<'a> {
        Box::pin(async move {
            let Arguments { approval } = arguments(given)?;
            let unknown = || Failure::new(Kind::NotFound, "there is no such request for approval of yours");
            // As an id first: it becomes part of nothing that was not checked.
            let id: ApprovalId = approval.parse().map_err(|_| unknown())?;
            let list: ApprovalList = desk.gateway().await?.get("/v1/approvals?all=true").await?;
            let found =
                list.approvals.into_iter().find(|entry| entry.approval == id.to_string() && desk.has(&entry.resource));
            document(&found.ok_or_else(unknown)?)
        })
    }
}
