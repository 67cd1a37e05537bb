//! The login as the server sees it.

use super::{Contents, Handler, Method, Route, json};
use crate::domain::Actor;
use crate::wire::api::{ActorEntry, Me};

pub(super) const ME: Route = Route {
    method: Method::Get,
    path: "/v1/me",
    summary: "Tell who the caller is",
    request: Contents::Nothing,
    response: Contents::Json(|schemas| schemas.subschema_for::<Me>()),
    handler: Handler::User(|_, caller| {
        Box::pin(async move {
            let identity = caller.identity;
            json(&Me {
                name: identity.name,
                email: identity.email,
                issuer: identity.issuer,
                subject: identity.subject,
                pseudonym: caller.pseudonym,
                kind: identity.kind.word().to_owned(),
                actors: identity.actors.into_iter().map(actor).collect(),
                groups: identity.groups,
                proved_at: identity.proved_at.to_string(),
                expires_at: caller.expires_at.to_string(),
            })
        })
    }),
};

fn actor(actor: Actor) -> ActorEntry {
    let charter = actor.charter.map(|charter| charter.to_string());
    ActorEntry { kind: actor.kind.word().to_owned(), id: actor.id, charter }
}
