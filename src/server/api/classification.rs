//! What the columns of a database hold, for whoever may use it.

use std::collections::HashMap;

use super::{Contents, Handler, Method, Route, json};
use crate::domain::{Access, Failure, Happening, Kind};
use crate::engine::Finding;
use crate::server::{access, classification};
use crate::wire::api::{ClassifiedColumn, ClassifiedResource, OtherMasks, Unmask, Unmasked};

pub(super) const LIST: Route = Route {
    method: Method::Get,
    path: "/v1/resources/{resource}/classification",
    summary: "List the columns of a database that hold something sensitive, and why this is thought of them",
    request: Contents::Nothing,
    response: Contents::Json(|schemas| schemas.subschema_for::<ClassifiedResource>()),
    handler: Handler::User(|call, caller| {
        Box::pin(async move {
            let name = call.resource()?;
            access::usable(&call.server.config(), &caller.identity, &name)?;
            let schema = call.server.schema(&name)?;
            // Where nobody has a session, nobody else has looked since. What is known is told without the database too.
            let reading = match schema.refreshed().await {
                Ok(reading) => reading,
                Err(_) => schema.current().await?,
            };
            let (masking, masking_reason) = match schema.masking().of(Access::Read, None, &reading).await {
                Ok(place) => (place.masking.word(), place.why),
                Err(failure) => ("refused", failure.detail),
            };
            let classification = &reading.catalog.classification;
            let columns = |findings: &HashMap<(u32, i16), Finding>| {
                let named = classification::named(&reading.snapshot, findings).into_iter();
                let column = named.map(|named| ClassifiedColumn {
                    schema: named.schema,
                    relation: named.relation,
                    column: named.column,
                    entity: named.finding.entity,
                    confidence: named.finding.confidence,
                    evidence: named.finding.evidence,
                });
                column.collect()
            };
            json(&ClassifiedResource {
                resource: name.to_string(),
                masking: masking.to_owned(),
                masking_reason,
                columns: columns(&classification.findings),
                cleared: columns(&classification.cleared),
                examined: classification.examined.len(),
                unexamined: classification::unexamined(&reading.snapshot, classification),
            })
        })
    }),
};

pub(super) const UNMASK: Route = Route {
    method: Method::Post,
    path: "/v1/resources/{resource}/unmask",
    summary: "Take the masking views out of a database; operators only",
    request: Contents::Json(|schemas| schemas.subschema_for::<Unmask>()),
    response: Contents::Json(|schemas| schemas.subschema_for::<Unmasked>()),
    handler: Handler::User(|mut call, caller| {
        Box::pin(async move {
            let name = call.resource()?;
            let config = call.server.config();
            if !config.is_operator(&caller.identity) {
                access::usable(&config, &caller.identity, &name)?;
                return Err(Failure::new(Kind::Denied, "masking views are taken away by operators only")
                    .detail(format!("Operators are the members of: {}.", config.operators.join(", "))));
            }
            let asked: Unmask = call.json().await?;
            // Whoever is masked there loses sight of everything: on record before it happens.
            let (subject, resource) = (caller.pseudonym.clone(), name.to_string());
            call.server.happened(Happening::MasksRemoved { subject, resource });
            let schema = call.server.schema(&name)?;
            let removed = match &asked.left_behind {
                Some(left_behind) => {
                    schema.unmask_left_behind(left_behind).await?;
                    true
                }
                None => schema.unmask().await?,
            };
            let others = schema.left_behind().await?;
            let others = others.iter().map(|left| OtherMasks { name: left.name.clone(), hindrance: left.hindrance() });
            json(&Unmasked { removed, others: others.collect() })
        })
    }),
};
