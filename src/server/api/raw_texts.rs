//! Statements as they were typed, for auditors; and the end of what leads to a person.

use axum::body::Body;
use axum::response::Response;

use super::{Call, Caller, Contents, Handler, Method, Route, json};
use crate::domain::{Failure, Kind, SessionId};
use crate::server::raw_texts::{RawText, Text};
use crate::wire::api::{EraseRequest, Erased, RawEntry, RawPage, RawQuery};

pub(super) const SHOW: Route = Route {
    method: Method::Get,
    path: "/v1/sessions/{session}/raw",
    summary: "Show a session's statements as they were typed; for auditors only, and recorded each time",
    request: Contents::Query(|schemas| schemas.subschema_for::<RawQuery>()),
    response: Contents::Json(|schemas| schemas.subschema_for::<RawPage>()),
    handler: Handler::User(|call, caller| {
        Box::pin(async move {
            only_auditors(&call, &caller)?;
            let session: SessionId = call.parameter("session")?.parse().map_err(|_| no_session())?;
            let query: RawQuery = call.query()?;
            let what = format!("raw texts session={session}");
            if let Some(ticket) = call.server.note_reading(&caller.pseudonym, what, call.now)? {
                // Nobody has read anything before it is on record for good.
                call.server.log.durable(ticket).await?;
            }
            if query.after.is_none() {
                call.server.log.settled().await;
            }
            let (texts, after) = call.server.raw_texts(session, query.after).await?;
            json(&RawPage {
                kept: call.server.config().raw_texts,
                texts: texts.into_iter().map(written).collect(),
                after,
            })
        })
    }),
};

pub(super) const ERASE: Route = Route {
    method: Method::Post,
    path: "/v1/people/erase",
    summary: "Destroy the keys of what a person typed, and forget whose their records are; for auditors only",
    request: Contents::Json(|schemas| schemas.subschema_for::<EraseRequest>()),
    response: Contents::Json(|schemas| schemas.subschema_for::<Erased>()),
    handler: Handler::User(|mut call, caller| {
        Box::pin(async move {
            let request: EraseRequest = call.json().await?;
            only_auditors(&call, &caller)?;
            let server = std::sync::Arc::clone(&call.server);
            // What has begun is finished, whether or not somebody waits for it.
            let erasing =
                tokio::spawn(
                    async move { server.erase(&caller.pseudonym, &request.subject, request.reason.trim()).await },
                );
            let keys = erasing.await.map_err(|_| Failure::new(Kind::Internal, "erasing was cut off"))??;
            json(&Erased { keys: u64::try_from(keys).unwrap_or(u64::MAX) })
        })
    }),
};

pub(super) const SEALED: Route = Route {
    method: Method::Get,
    path: "/v1/log/sealed/{leaf}",
    summary: "Give encrypted raw texts that came with a leaf and those behind it; for operators only",
    request: Contents::Nothing,
    response: Contents::Bytes,
    handler: Handler::User(|call, caller| {
        Box::pin(async move {
            super::log::only_operators(&call, &caller)?;
            let leaf = call.parameter("leaf")?.parse().map_err(|_| Failure::new(Kind::NotFound, "that is no leaf"))?;
            let (texts, next) = call.server.log.sealed(leaf).await?;
            // First where to go on; a leaf beyond all others when there is nothing more.
            let mut bytes = next.unwrap_or(u64::MAX).to_be_bytes().to_vec();
            bytes.extend_from_slice(&texts);
            Ok(Response::new(Body::from(bytes)))
        })
    }),
};

fn only_auditors(call: &Call, caller: &Caller) -> Result<(), Failure> {
    if call.server.config().is_auditor(&caller.identity) {
        return Ok(());
    }
    Err(Failure::new(Kind::Denied, "what people typed is for auditors only")
        .detail("The server's configuration says who they are, under `auditors`."))
}

fn no_session() -> Failure {
    Failure::new(Kind::NotFound, "there is no such session")
}

fn written(raw: RawText) -> RawEntry {
    let RawText { record, text } = raw;
    let (state, text) = match text {
        Text::Kept(text) => ("kept", Some(text)),
        Text::Erased => ("erased", None),
        Text::Missing => ("missing", None),
        Text::Damaged => ("damaged", None),
    };
    RawEntry {
        at: record.at.to_string(),
        statement: record.statement.filter(|id| id.number > 0).map(|id| id.to_string()),
        action: record.decided.map(|decided| decided.action),
        cut: text
            .as_ref()
            .zip(record.asked)
            .is_some_and(|(text, asked)| asked.bytes > u64::try_from(text.len()).unwrap_or(u64::MAX)),
        state: state.to_owned(),
        text,
    }
}
