//! The end of a login: everything bound to the caller's device key is void from now on.

use super::{Contents, Handler, Method, Route, json};
use crate::server::replay;
use crate::wire::api::Empty;

pub(super) const LOGOUT: Route = Route {
    method: Method::Post,
    path: "/v1/logout",
    summary: "End the caller's login on this device",
    request: Contents::Nothing,
    response: Contents::Json(|schemas| schemas.subschema_for::<Empty>()),
    handler: Handler::User(|call, caller| {
        Box::pin(async move {
            let now = call.now;
            call.server.store.run(move |db| replay::revoke_key(db, &caller.key, now)).await?;
            tracing::info!(subject = %caller.pseudonym, "logged out");
            json(&Empty {})
        })
    }),
};
