//! What a client must know before anybody is logged in.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Contents, Handler, Method, Route, json};
use crate::server::config::IdentitySource;
use crate::wire::api::{IssuerInfo, ServerInfo, ServerKey};

pub(super) const INFO: Route = Route {
    method: Method::Get,
    path: "/v1/server",
    summary: "Tell where to log in, and by which key the server signs",
    request: Contents::Nothing,
    response: Contents::Json(|schemas| schemas.subschema_for::<ServerInfo>()),
    handler: Handler::Public(|call| {
        Box::pin(async move {
            let server = &call.server;
            let rules = server.issuer.rules();
            let (scopes, resource, built_in) = match &server.config().identity {
                IdentitySource::BuiltIn(_) => (vec!["openid".to_owned()], None, true),
                IdentitySource::Provider(provider) => (provider.scopes.clone(), provider.resource.clone(), false),
            };
            json(&ServerInfo {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                url: server.url.clone(),
                time: call.now.to_string(),
                issuer: IssuerInfo {
                    url: rules.issuer.clone(),
                    client_id: rules.client_id.clone(),
                    scopes,
                    resource,
                    token: server.issuer.method().word().to_owned(),
                    built_in,
                },
                key: ServerKey {
                    id: server.keys.signing.thumbprint().to_string(),
                    public_key: URL_SAFE_NO_PAD.encode(server.keys.signing.public()),
                },
                log: server.log.key().text(),
            })
        })
    }),
};
