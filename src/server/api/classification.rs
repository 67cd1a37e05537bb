//! What the columns of a database hold, for whoever may use it.

use super::{Contents, Handler, Method, Route, json};
use crate::domain::{Failure, Kind, ResourceName};
use crate::server::{access, classification};
use crate::wire::api::{ClassifiedColumn, ClassifiedResource};

pub(super) const LIST: Route = Route {
    method: Method::Get,
    path: "/v1/resources/{resource}/classification",
    summary: "List the columns of a database that hold something sensitive, and why this is thought of them",
    request: Contents::Nothing,
    response: Contents::Json(|schemas| schemas.subschema_for::<ClassifiedResource>()),
    handler: Handler::User(|call, caller| {
        Box::pin(async move {
            let name: ResourceName = call
                .parameter("resource")?
                .parse()
                .map_err(|error: crate::domain::BadName| Failure::new(Kind::Usage, error.to_string()))?;
            access::usable(&call.server.config(), &caller.identity, &name)?;
            let reading = call.server.schema(&name)?.current().await?;
            let classification = &reading.catalog.classification;
            let columns =
                classification::named(&reading.snapshot, classification).into_iter().map(|named| ClassifiedColumn {
                    schema: named.schema,
                    relation: named.relation,
                    column: named.column,
                    entity: named.finding.entity,
                    confidence: named.finding.confidence,
                    evidence: named.finding.evidence,
                });
            json(&ClassifiedResource {
                resource: name.to_string(),
                columns: columns.collect(),
                examined: classification.examined.len(),
                unexamined: classification::unexamined(&reading.snapshot, classification),
            })
        })
    }),
};
