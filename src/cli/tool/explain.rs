//! What would be decided about a statement, without running it.

use schemars::generate::SchemaGenerator;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Answer, Desk, Tool, arguments, document};
use crate::domain::Verdict;
use crate::wire::api::{ExplainRequest, ExplainedComparison, ExplainedEstimate, ExplainedOutput, Explanation, Refused};

pub(super) struct Explain;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// The statement; nothing of it is run.
    sql: String,
    /// The database, as list_resources names it; may be left out when there is one.
    resource: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct Told {
    /// `allow`, `hold` (somebody else must agree first) or `deny`. It is decided again when the statement comes.
    verdict: String,
    /// The rule that decided, when one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    /// What the statement would do.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// What would be allowed instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// Where the session is masked: `in-database`, or `on-wire (reduced guarantee)`.
    masking: String,
    /// What is decided by how many rows the planner expects, from the fewest on; nothing where it does not depend on that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    by_estimate: Vec<ExplainedEstimate>,
    /// Columns of which it compares masks, by which it finds no values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    compares: Vec<ExplainedComparison>,
    /// The columns of its result, what is masked in them, and what they come from.
    columns: Vec<ExplainedOutput>,
}

impl From<Explanation> for Told {
    fn from(explanation: Explanation) -> Self {
        let Explanation { masking, masking_reason: _, refused, by_estimate, compares, columns } = explanation;
        let (verdict, rule, message, detail, hint) = match refused {
            None => (Verdict::Allow.word().to_owned(), None, None, None, None),
            Some(Refused { verdict, rule, message, detail, hint }) => {
                (verdict, Some(rule), Some(message), detail, hint)
            }
        };
        Self { verdict, rule, message, detail, hint, masking, by_estimate, compares, columns }
    }
}

impl Tool for Explain {
    fn name(&self) -> &'static str {
        "explain"
    }

    fn summary(&self) -> &'static str {
        "Tell whether a statement would be allowed, held or denied, by which rule, and what would be allowed instead; \
         nothing is run"
    }

    fn input(&self, schemas: &mut SchemaGenerator) -> Schema {
        Arguments::json_schema(schemas)
    }

    fn output(&self, schemas: &mut SchemaGenerator) -> Schema {
        Told::json_schema(schemas)
    }

    fn only_reads(&self) -> bool {
        true
    }

    fn call<'a>(&self, desk: &'a Desk, given: Map<String, Value>) -> Answer<'a> {
        Box::pin(async move {
            let Arguments { sql, resource } = arguments(given)?;
            let name = desk.meant(resource.as_deref())?;
            let access = desk.access(name).word().to_owned();
            let request = ExplainRequest { sql, access, reveal: Vec::new(), estimated_rows: None };
            let path = format!("/v1/resources/{name}/explain");
            let explanation: Explanation = desk.gateway().await?.post(&path, &request).await?;
            document(&Told::from(explanation))
        })
    }
}
