//! What the caller may use.

use super::{Contents, Handler, Method, Route, json};
use crate::server::access;
use crate::wire::api::{ResourceEntry, ResourceList, Way};

pub(super) const LIST: Route = Route {
    method: Method::Get,
    path: "/v1/resources",
    summary: "List the databases the caller may use, and how",
    request: Contents::Nothing,
    response: Contents::Json(|schemas| schemas.subschema_for::<ResourceList>()),
    handler: Handler::User(|call, caller| {
        Box::pin(async move {
            let config = &call.server.config;
            let mut resources = Vec::new();
            for (name, resource) in &config.resources {
                let ways: Vec<_> = access::ways(config, &caller.identity, name, resource)
                    .into_iter()
                    .map(|rule| Way {
                        access: rule.access.word().to_owned(),
                        purposes: rule.purposes.iter().map(ToString::to_string).collect(),
                        ttl_seconds: rule.ttl.as_secs(),
                    })
                    .collect();
                if !ways.is_empty() {
                    resources.push(ResourceEntry {
                        name: name.to_string(),
                        protocol: resource.protocol.word().to_owned(),
                        labels: resource.labels.clone(),
                        ways,
                    });
                }
            }
            json(&ResourceList { resources })
        })
    }),
};
