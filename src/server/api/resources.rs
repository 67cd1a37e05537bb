//! What the caller may use.

use std::collections::BTreeSet;

use super::{Contents, Handler, Method, Route, json};
use crate::domain::PurposeId;
use crate::server::access::{self, Offer};
use crate::server::config::PurposeRule;
use crate::wire::api::{PurposeEntry, ResourceEntry, ResourceList, Way};

pub(super) const LIST: Route = Route {
    method: Method::Get,
    path: "/v1/resources",
    summary: "List the databases the caller may use, and how",
    request: Contents::Nothing,
    response: Contents::Json(|schemas| schemas.subschema_for::<ResourceList>()),
    handler: Handler::User(|call, caller| {
        Box::pin(async move {
            let config = &call.server.config();
            let mut resources = Vec::new();
            for (name, resource) in &config.resources {
                let ways: Vec<_> =
                    access::offers(config, &caller.identity, name, resource).into_iter().map(way).collect();
                if !ways.is_empty() {
                    resources.push(ResourceEntry {
                        name: name.to_string(),
                        protocol: resource.protocol.word().to_owned(),
                        labels: resource.labels.clone(),
                        ways,
                    });
                }
            }
            let stated: BTreeSet<&String> =
                resources.iter().flat_map(|entry| &entry.ways).flat_map(|way| &way.purposes).collect();
            let purposes = config.purposes.iter().filter(|(id, _)| stated.contains(&id.to_string())).map(purpose);
            let purposes = purposes.collect();
            json(&ResourceList { resources, purposes })
        })
    }),
};

fn way(offer: Offer<'_>) -> Way {
    let purposes = if offer.free { Vec::new() } else { offer.purposes };
    Way {
        access: offer.access.word().to_owned(),
        purposes: purposes.into_iter().map(ToString::to_string).collect(),
        ttl_seconds: offer.ttl.as_secs(),
        approval: offer.approval,
    }
}

fn purpose((id, rule): (&PurposeId, &PurposeRule)) -> PurposeEntry {
    let reference = rule.pattern().map(str::to_owned);
    PurposeEntry { id: id.to_string(), description: rule.description.clone(), reference }
}
