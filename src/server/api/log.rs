//! The log: clients bring what they recorded, and everybody may see what the log has signed.

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;

use super::{Call, Caller, Contents, Handler, Method, Route, json};
use crate::audit::{Inclusion, Receipt, Tile, TileKind};
use crate::domain::{Digest, Failure, Happening, Kind};
use crate::wire::api::{
    EvidenceRecorded, EvidenceRequest, InclusionProof, OwnEnvelopes, OwnQuery, UploadReceipt, UploadRequest,
};

/// Longest upload, in bytes: what a client puts into one (2 MiB of envelopes), with the escapes of JSON.
const UPLOAD_MAX: usize = 4 * 1024 * 1024;

pub(super) const UPLOAD: Route = Route {
    method: Method::Post,
    path: "/v1/log/envelopes",
    summary: "Bring what this side of a session has recorded; the answer proves that the log has it",
    request: Contents::Json(|schemas| schemas.subschema_for::<UploadRequest>()),
    response: Contents::Json(|schemas| schemas.subschema_for::<UploadReceipt>()),
    handler: Handler::User(|mut call, caller| {
        Box::pin(async move {
            let request: UploadRequest = call.json_up_to(UPLOAD_MAX).await?;
            let UploadRequest { envelopes, remembered } = request;
            let receipt = call.server.log.upload(&caller.pseudonym, envelopes, remembered).await?;
            json(&written(receipt))
        })
    }),
};

pub(super) const CHECKPOINT: Route = Route {
    method: Method::Get,
    path: "/v1/log/checkpoint",
    summary: "Give the log's last signed checkpoint, with the signatures of its witnesses (c2sp.org/tlog-checkpoint)",
    request: Contents::Nothing,
    response: Contents::Text,
    handler: Handler::User(|call, _| {
        Box::pin(async move {
            let size = call.server.log.published().await;
            match call.server.cosigners.checkpoint(size).await {
                Some(note) => Ok(plain(note.into_bytes(), TEXT)),
                None => file(&call, "checkpoint", TEXT).await,
            }
        })
    }),
};

pub(super) const TILE: Route = Route {
    method: Method::Get,
    path: "/v1/log/tile/{*path}",
    summary: "Give a tile of the log (c2sp.org/tlog-tiles); what was recorded is for operators only",
    request: Contents::Nothing,
    response: Contents::Bytes,
    handler: Handler::User(|call, caller| {
        Box::pin(async move {
            let path = format!("tile/{}", call.parameter("path")?);
            let tile = Tile::parse(&path).ok_or_else(|| Failure::new(Kind::NotFound, "that is no tile"))?;
            if tile.kind == TileKind::Entries {
                only_operators(&call, &caller)?;
                call.server.note_reading(&caller.pseudonym, "everybody's records".to_owned(), call.now)?;
            }
            file(&call, &path, "application/octet-stream").await
        })
    }),
};

pub(super) const OWN: Route = Route {
    method: Method::Get,
    path: "/v1/log/own",
    summary: "Give what both sides recorded of the caller's own sessions, with proofs, some at a time",
    request: Contents::Query(|schemas| schemas.subschema_for::<OwnQuery>()),
    response: Contents::Json(|schemas| schemas.subschema_for::<OwnEnvelopes>()),
    handler: Handler::User(|call, caller| {
        Box::pin(async move {
            let query: OwnQuery = call.query()?;
            call.server.note_reading(
                &caller.pseudonym,
                format!("own records subjects={}", caller.pseudonym),
                call.now,
            )?;
            if query.after.is_none() {
                call.server.log.published().await;
            }
            let (envelopes, receipt) =
                call.server.log.of_subject(&caller.pseudonym, query.after, query.remembered).await?;
            json(&OwnEnvelopes { envelopes, receipt: written(receipt) })
        })
    }),
};

pub(super) const EVIDENCE: Route = Route {
    method: Method::Post,
    path: "/v1/log/evidence",
    summary: "Put on record what is in a pack of evidence; for operators only",
    request: Contents::Json(|schemas| schemas.subschema_for::<EvidenceRequest>()),
    response: Contents::Json(|schemas| schemas.subschema_for::<EvidenceRecorded>()),
    handler: Handler::User(|mut call, caller| {
        Box::pin(async move {
            let request: EvidenceRequest = call.json().await?;
            only_operators(&call, &caller)?;
            let digest = Digest::parse(&request.digest);
            let digest = digest.ok_or_else(|| Failure::new(Kind::Usage, "`digest` is not a SHA-256 value"))?;
            let packed = Happening::EvidencePacked { subject: caller.pseudonym, digest };
            let ticket = call.server.log.record(None, packed)?;
            call.server.log.durable(ticket).await?;
            json(&EvidenceRecorded { at: call.now.to_string() })
        })
    }),
};

/// Refuses whoever may see only what is their own.
pub(super) fn only_operators(call: &Call, caller: &Caller) -> Result<(), Failure> {
    if call.server.config().is_operator(&caller.identity) {
        return Ok(());
    }
    Err(Failure::new(Kind::Denied, "everybody's records are for operators only")
        .hint("see your own with: gov timeline"))
}

async fn file(call: &Call, path: &str, kind: &'static str) -> Result<Response, Failure> {
    let found = call.server.log.file(path).await?;
    let bytes = found.ok_or_else(|| Failure::new(Kind::NotFound, format!("the log has no `{path}` yet")))?;
    Ok(plain(bytes, kind))
}

const TEXT: &str = "text/plain; charset=utf-8";

fn plain(bytes: Vec<u8>, kind: &'static str) -> Response {
    let mut response = Response::new(Body::from(bytes));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn written(receipt: Receipt) -> UploadReceipt {
    let hashes = |hashes: Vec<Digest>| hashes.iter().map(Digest::to_string).collect();
    let inclusion = |found: Inclusion| InclusionProof { leaf: found.leaf, proof: hashes(found.proof) };
    UploadReceipt {
        checkpoint: receipt.checkpoint,
        inclusions: receipt.inclusions.into_iter().map(inclusion).collect(),
        consistency: hashes(receipt.consistency),
    }
}
