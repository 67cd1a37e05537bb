//! Whether the server lives, for whoever watches it.

use super::{Contents, Handler, Method, Route, json};
use crate::wire::api::Health;

pub(super) const HEALTHZ: Route = Route {
    method: Method::Get,
    path: "/healthz",
    summary: "Tell that the server runs",
    request: Contents::Nothing,
    response: Contents::Json(|schemas| schemas.subschema_for::<Health>()),
    handler: Handler::Public(|_| Box::pin(async { json(&Health { status: "ok".to_owned() }) })),
};

pub(super) const READYZ: Route = Route {
    method: Method::Get,
    path: "/readyz",
    summary: "Tell that the server can do its work",
    request: Contents::Nothing,
    response: Contents::Json(|schemas| schemas.subschema_for::<Health>()),
    handler: Handler::Public(|call| {
        Box::pin(async move {
            call.server.store.run(|db| db.query_row("SELECT 1", [], |_| Ok(()))).await?;
            json(&Health { status: "ok".to_owned() })
        })
    }),
};
