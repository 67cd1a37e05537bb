//! Asks for a statement to be approved, without running it.

use schemars::generate::SchemaGenerator;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::query::{Parameter, held, outcome};
use super::{Answer, Desk, Tool, arguments, document};
use crate::client::inside::lost;
use crate::domain::{Failure, Kind, Verdict};
use crate::wire::api::{ExplainRequest, Explanation, Refused};

pub(super) struct RequestApproval;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// The statement; it is not run. What is approved is this text and these values, to the letter.
    sql: String,
    /// The values of $1, $2, …: they are part of what is approved.
    #[serde(default)]
    parameters: Vec<Parameter>,
    /// The database, as list_resources names it; may be left out when there is one.
    resource: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct Asked {
    /// Whether anybody has to agree. When not, nothing was asked: call query.
    needed: bool,
    /// Give this to request_status, and to query once the state is `approved`.
    #[serde(skip_serializing_if = "Option::is_none")]
    approval: Option<String>,
    /// Why somebody has to agree, and until when they can.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

impl Tool for RequestApproval {
    fn name(&self) -> &'static str {
        "request_approval"
    }

    fn summary(&self) -> &'static str {
        "Ask people to approve a statement that is held; nothing is run. Poll with request_status; once it is approved, \
         call query with the very same sql, parameters and the approval"
    }

    fn input(&self, schemas: &mut SchemaGenerator) -> Schema {
        Arguments::json_schema(schemas)
    }

    fn output(&self, schemas: &mut SchemaGenerator) -> Schema {
        Asked::json_schema(schemas)
    }

    fn only_reads(&self) -> bool {
        false
    }

    fn call<'a>(&self, desk: &'a Desk, given: Map<String, Value>) -> Answer<'a> {
        Box::pin(async move { ask(desk, arguments(given)?).await })
    }
}

async fn ask(desk: &Desk, asked: Arguments) -> Result<Value, Failure> {
    let name = desk.meant(asked.resource.as_deref())?;
    let access = desk.access(name).word().to_owned();
    let request = ExplainRequest { sql: asked.sql.clone(), access, reveal: Vec::new(), estimated_rows: None };
    let explained: Explanation = desk.gateway().await?.post(&format!("/v1/resources/{name}/explain"), &request).await?;
    match explained.refused {
        None => return document(&Asked { needed: false, approval: None, message: None, detail: None }),
        Some(Refused { verdict, rule, message, detail, hint }) if verdict != Verdict::Hold.word() => {
            let detail = detail.map_or_else(String::new, |detail| format!("{detail} "));
            let mut failure = Failure::new(Kind::Denied, message).detail(format!("{detail}Rule: {rule}."));
            failure.hint = hint;
            return Err(failure);
        }
        Some(_) => {}
    }
    let inside = desk.session(name).await?;
    let mut own = inside.connect(Desk::parameters(None)).await?;
    // Whoever asks must not run it, should the policy have changed since: what is begun here is never committed.
    own.connection.ask_for("BEGIN", &[], 1).await.map_err(lost)?;
    let begun = outcome(&mut own.connection).await;
    let values: Vec<_> = asked.parameters.into_iter().map(Parameter::text).collect();
    let values: Vec<_> = values.iter().map(Option::as_deref).collect();
    let held_back = match begun {
        Ok(()) => {
            own.connection.ask_for(&asked.sql, &values, 1).await.map_err(lost)?;
            outcome(&mut own.connection).await
        }
        failed => failed,
    };
    own.close().await;
    match held_back {
        Ok(()) => document(&Asked { needed: false, approval: None, message: None, detail: None }),
        Err(failure) => match held(&failure) {
            Some(id) => document(&Asked {
                needed: true,
                approval: Some(id.to_string()),
                message: Some(failure.message),
                detail: failure.detail,
            }),
            None => Err(failure),
        },
    }
}
