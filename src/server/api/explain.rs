//! What would happen to a statement: whether it may run, which of its columns are masked, and what they come from.

use std::sync::Arc;

use super::{Contents, Handler, Method, Route, json};
use crate::domain::{Access, Duration, Environment, Failure, Grant, Kind, Limits};
use crate::engine::{ByEstimate, Decision, Engine, ExplainedColumn, ExplainedMask, Policy, Refusal, Scope};
use crate::runtime::{clock, random};
use crate::server::access::{self, Request};
use crate::server::sessions;
use crate::wire::api::{
    ExplainRequest, ExplainedComparison, ExplainedEstimate, ExplainedFrom, ExplainedOutput, Explanation, Refused,
};

pub(super) const EXPLAIN: Route = Route {
    method: Method::Post,
    path: "/v1/resources/{resource}/explain",
    summary: "Say what would happen to a statement: may it run, which columns are masked, what they come from",
    request: Contents::Json(|schemas| schemas.subschema_for::<ExplainRequest>()),
    response: Contents::Json(|schemas| schemas.subschema_for::<Explanation>()),
    handler: Handler::User(|mut call, caller| {
        Box::pin(async move {
            let request = call.json::<ExplainRequest>().await?;
            let name = call.resource()?;
            let access = match request.access.as_str() {
                "read" => Access::Read,
                "write" => Access::Write,
                other => {
                    let message = format!("`{other}` is not an access; there are `read` and `write`");
                    return Err(Failure::new(Kind::Usage, message));
                }
            };
            let server = &call.server;
            let config = server.config();
            let offers =
                config.resources.get(&name).map(|resource| access::offers(&config, &caller.identity, &name, resource));
            if !offers.is_some_and(|offers| offers.iter().any(|offer| offer.access == access)) {
                access::decide(&config, &caller.identity, Request { resource: &name, access, purpose: None })?;
            }
            let schema = server.schema(&name)?;
            let reading = schema.refreshed().await?;
            let session = random::session_id()?;
            let revealing = (!request.reveal.is_empty()).then_some(session);
            let place = schema.masking().of(access, revealing, &reading).await?;
            let labels = schema.resource().labels.clone();
            let policy = Arc::new(Policy::written(Environment::of(&labels), &config.policy));
            let now = clock::now();
            let grant = Grant {
                session,
                identity: caller.identity.clone(),
                resource: name,
                labels,
                purpose: None,
                access,
                reveal: sessions::revealed(&request.reveal, &reading)?,
                masking: place.masking,
                limits: Limits { connections_max: 1, rows_max: None },
                opened_at: now,
                expires_at: now.after(Duration::from_secs(1)),
                policy: policy.digest(),
            };
            let engine = Engine::new(policy, reading.catalog_of(place.masking), None).revealing(&grant);
            let scope = Scope::new("", &reading.search_path);
            let what = engine.understand(request.sql.as_bytes());
            // The planner is not asked: it may run code, and what the broker may do is more than the caller.
            let decision = engine.decide(now, &grant, &what, &scope);
            let (decision, by_estimate) = decision.assuming(request.estimated_rows);
            let (refused, compares) = match decision {
                Decision::Allow(permit) => (None, engine.untold(permit.compares())),
                Decision::Hold(refusal) | Decision::Deny(refusal) => (Some(refused(refusal)), Vec::new()),
            };
            let compares = compares.into_iter().map(|compared| ExplainedComparison {
                message: compared.message(),
                detail: compared.detail().to_owned(),
                column: compared.column,
            });
            let columns = engine.explain(&grant, &what, &scope).into_iter().map(output).collect();
            let (masking, masking_reason) = (place.masking.word().to_owned(), place.why);
            let by_estimate = by_estimate.into_iter().map(step).collect();
            let compares = compares.collect();
            json(&Explanation { masking, masking_reason, refused, by_estimate, compares, columns })
        })
    }),
};

fn step(step: ByEstimate) -> ExplainedEstimate {
    ExplainedEstimate { rows_max: step.rows_max, verdict: step.verdict.word().to_owned() }
}

fn refused(refusal: Refusal) -> Refused {
    Refused {
        verdict: refusal.verdict.word().to_owned(),
        rule: refusal.reason.rule.to_owned(),
        message: refusal.reason.message,
        detail: refusal.reason.detail,
        hint: refusal.reason.hint,
    }
}

fn output(column: ExplainedColumn) -> ExplainedOutput {
    let (mask, entity) = match column.mask {
        ExplainedMask::Clear => ("clear", None),
        ExplainedMask::Watched => ("watched", None),
        ExplainedMask::Masked(entity) => ("masked", Some(entity.to_owned())),
        ExplainedMask::Hidden => ("hidden", None),
    };
    let from = column.from.into_iter().map(|source| ExplainedFrom { name: source.name, how: source.how.to_owned() });
    ExplainedOutput { name: column.name, mask: mask.to_owned(), entity, from: from.collect() }
}
