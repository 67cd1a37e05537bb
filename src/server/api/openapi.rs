//! The OpenAPI 3.1 document, made from the list of routes.

use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

use super::{Contents, Handler, Method, Route};
use crate::wire::api::{ErrorBody, OAuthError};

pub(super) const DOCUMENT: Route = Route {
    method: Method::Get,
    path: "/v1/openapi.json",
    summary: "Describe this API",
    request: Contents::Nothing,
    response: Contents::Json(|_| json!({"type": "object"}).try_into().unwrap_or_default()),
    handler: Handler::Public(|call| {
        Box::pin(async move {
            let document = document(&call.server.url, call.server.routes());
            super::json(&document)
        })
    }),
};

/// The document for a server at `url` with these routes.
pub(crate) fn document<'r>(url: &str, routes: impl IntoIterator<Item = &'r Route>) -> Value {
    let mut schemas = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .into_generator();
    let mut paths = Map::new();
    for route in routes {
        let operation = operation(route, &mut schemas);
        let path = paths.entry(path(route)).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(route.method.word().to_owned(), operation);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "gov",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Governed, short-lived database sessions",
        },
        "servers": [{"url": url}],
        "paths": paths,
        "components": {
            "schemas": schemas.take_definitions(true),
            "securitySchemes": {
                "user": {
                    "type": "http",
                    "scheme": "DPoP",
                    "description": "An access token of this server, and in the header `DPoP` a proof of possession \
                                    of the key it is bound to (RFC 9449).",
                },
                "subject_token": {
                    "type": "http",
                    "scheme": "DPoP",
                    "description": "A token of the identity provider in the body, and in the header `DPoP` a proof of \
                                    possession of the key that the new token is to be bound to.",
                },
                "session_key": {
                    "type": "apiKey",
                    "in": "header",
                    "name": crate::wire::tunnel::PROOF_HEADER,
                    "description": "An Ed25519 signature by the session's key over keying material of this very TLS \
                                    connection, the session, the stream's number and the policy's digest.",
                },
            },
        },
    })
}

/// A route's path as OpenAPI writes it, which has no sign for a parameter of several parts.
fn path(route: &Route) -> String {
    route.path.replace("{*", "{")
}

fn operation(route: &Route, schemas: &mut SchemaGenerator) -> Value {
    let (security, error) = match route.handler {
        Handler::Public(_) | Handler::Page(_) => (json!([]), error_schema(schemas)),
        Handler::User(_) => (json!([{"user": []}]), error_schema(schemas)),
        Handler::SessionKey(_) => (json!([{"session_key": []}]), error_schema(schemas)),
        Handler::SubjectToken(_) => (json!([{"subject_token": []}]), schemas.subschema_for::<OAuthError>().to_value()),
        Handler::Device(_) => (json!([]), schemas.subschema_for::<OAuthError>().to_value()),
    };
    let mut operation = json!({
        "summary": route.summary,
        "security": security,
        "x-gov-right": route.handler.right(),
        "responses": {
            "200": {"description": "Done"},
            "default": {"description": "Not done", "content": {"application/json": {"schema": error}}},
        },
    });
    let parameters: Vec<_> = path(route)
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
        .chain(query(route.request, schemas))
        .collect();
    if let Some(operation) = operation.as_object_mut() {
        if !parameters.is_empty() {
            operation.insert("parameters".to_owned(), parameters.into());
        }
        if let Some(content) = content(route.request, schemas) {
            operation.insert("requestBody".to_owned(), json!({"required": true, "content": content}));
        }
    }
    if let (Some(content), Some(done)) = (content(route.response, schemas), operation.pointer_mut("/responses/200")) {
        *done = json!({"description": "Done", "content": content});
    }
    operation
}

/// The parameters behind the question mark: the members of one schema.
fn query(contents: Contents, schemas: &mut SchemaGenerator) -> Vec<Value> {
    let Contents::Query(schema) = contents else { return Vec::new() };
    let reference = schema(schemas).to_value();
    let name = reference.pointer("/$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next());
    let schema = name.and_then(|name| schemas.definitions().get(name)).unwrap_or(&reference);
    let members = schema.pointer("/properties").and_then(Value::as_object).into_iter().flatten();
    members.map(|(name, schema)| json!({"name": name, "in": "query", "required": false, "schema": schema})).collect()
}

fn error_schema(schemas: &mut SchemaGenerator) -> Value {
    schemas.subschema_for::<ErrorBody>().to_value()
}

fn content(contents: Contents, schemas: &mut SchemaGenerator) -> Option<Value> {
    let (kind, schema) = match contents {
        Contents::Nothing | Contents::Query(_) => return None,
        Contents::Json(schema) => ("application/json", schema(schemas).to_value()),
        Contents::Form(schema) => ("application/x-www-form-urlencoded", schema(schemas).to_value()),
        Contents::Html => ("text/html", json!({"type": "string"})),
        Contents::Text => ("text/plain", json!({"type": "string"})),
        Contents::Bytes => ("application/octet-stream", json!({"type": "string", "format": "binary"})),
    };
    Some(json!({(kind): {"schema": schema}}))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::server::api::ROUTES;

    #[test]
    fn the_document_holds_every_route_and_nothing_else() {
        let routes = ROUTES.iter().chain(crate::server::dev_issuer::ROUTES);
        let document = document("https://gov.example", routes.clone());
        let mut described = BTreeSet::new();
        for (path, operations) in document["paths"].as_object().unwrap() {
            for (method, operation) in operations.as_object().unwrap() {
                described.insert((path.clone(), method.clone()));
                assert!(!operation["summary"].as_str().unwrap().is_empty());
                assert!(!operation["x-gov-right"].as_str().unwrap().is_empty());
            }
        }
        let listed: BTreeSet<_> = routes.clone().map(|route| (path(route), route.method.word().to_owned())).collect();
        assert_eq!(described, listed);
        assert_eq!(listed.len(), routes.count(), "a route is listed twice");
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document("https://gov.example", ROUTES);
        let text = document.to_string();
        let mut references = 0;
        for reference in text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(document.pointer(reference).is_some(), "{reference}");
            references += 1;
        }
        assert!(references > 5);
    }
}
