//! Sessions: open one, see those that are open, end one, and the streams of one.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use ring::signature::{ED25519, UnparsedPublicKey};
use tracing::warn;

use super::{Call, Caller, Contents, Handler, Method, Route, json};
use crate::domain::{Digest, Duration, Failure, Identity, Kind, SessionId};
use crate::engine::snapshot;
use crate::runtime::clock;
use crate::runtime::net::{AcceptedTls, Socket};
use crate::server::live::Live;
use crate::server::{sessions, tunnel};
use crate::wire::api::{
    BudgetEntry, Empty, MaskList, MaskedColumn, PolicyInForce, SessionEntry, SessionList, SessionOpened, SessionRequest,
};
use crate::wire::tunnel as wire;

pub(super) const OPEN: Route = Route {
    method: Method::Post,
    path: "/v1/sessions",
    summary: "Open a session",
    request: Contents::Json(|schemas| schemas.subschema_for::<SessionRequest>()),
    response: Contents::Json(|schemas| schemas.subschema_for::<SessionOpened>()),
    handler: Handler::User(|mut call, caller| {
        Box::pin(async move {
            let request = call.json::<SessionRequest>().await?;
            let address = call.connection.peer.ip().to_string();
            // A caller that goes away half way must not leave a credential behind.
            let opened = tokio::spawn(sessions::open(call.server, caller, address, request)).await;
            json(&opened.map_err(|_| Failure::new(Kind::Internal, "the session could not be opened"))??)
        })
    }),
};

pub(super) const LIST: Route = Route {
    method: Method::Get,
    path: "/v1/sessions",
    summary: "List the open sessions of the caller, or all of them for those who may end them",
    request: Contents::Nothing,
    response: Contents::Json(|schemas| schemas.subschema_for::<SessionList>()),
    handler: Handler::User(|call, caller| {
        Box::pin(async move {
            let all = call.server.live.all();
            let mut sessions: Vec<_> =
                all.iter().filter(|live| may_touch(&call, &caller, live)).map(|live| entry(live)).collect();
            sessions.sort_by(|a, b| a.session.cmp(&b.session));
            json(&SessionList { sessions })
        })
    }),
};

pub(super) const END: Route = Route {
    method: Method::Post,
    path: "/v1/sessions/{session}/end",
    summary: "End a session: its connections, its credential, everything",
    request: Contents::Nothing,
    response: Contents::Json(|schemas| schemas.subschema_for::<Empty>()),
    handler: Handler::User(|call, caller| {
        Box::pin(async move {
            let id = session_id(&call)?;
            let live = call.server.live.get(id).filter(|live| may_touch(&call, &caller, live));
            let live = live.ok_or_else(|| unknown(id))?;
            let own = is_own(&caller, &live);
            let (why, said) = if own {
                ("ended_by_owner", Failure::new(Kind::NotLoggedIn, "this session was ended"))
            } else {
                let who = &caller.identity.name;
                ("killed", Failure::new(Kind::NotLoggedIn, format!("this session was ended by {who}")))
            };
            let said = said.hint("run `gov connect` again if you may");
            let live_sessions = std::sync::Arc::clone(&call.server.live);
            let ended = tokio::spawn(async move { live_sessions.end(id, &said, why).await }).await;
            ended.map_err(|_| Failure::new(Kind::Internal, "the session could not be ended"))?;
            json(&Empty {})
        })
    }),
};

pub(super) const TUNNEL: Route = Route {
    method: Method::Get,
    path: "/v1/sessions/{session}/tunnel",
    summary: "Open a stream of a session: an upgrade to gov-tunnel/1",
    request: Contents::Nothing,
    response: Contents::Nothing,
    handler: Handler::SessionKey(|call| Box::pin(open_stream(call))),
};

pub(super) const MASKS: Route = Route {
    method: Method::Get,
    path: "/v1/sessions/{session}/masks",
    summary: "List what is known to be masked in the database of a session",
    request: Contents::Nothing,
    response: Contents::Json(|schemas| schemas.subschema_for::<MaskList>()),
    handler: Handler::User(|call, caller| {
        Box::pin(async move {
            let reading = own(&call, &caller)?.schema.current().await?;
            let catalog = &reading.catalog;
            let mut columns = Vec::new();
            for relation in &reading.snapshot.relations {
                let of = |column: &&snapshot::Column| column.relation == relation.oid;
                for column in reading.snapshot.columns.iter().filter(of) {
                    let found = catalog.classification.findings.get(&(column.relation, column.attribute));
                    columns.extend(found.map(|found| MaskedColumn {
                        schema: relation.schema.clone(),
                        relation: relation.name.clone(),
                        column: column.name.clone(),
                        holds: found.entity.clone(),
                    }));
                }
            }
            json(&MaskList { columns })
        })
    }),
};

/// How long a client that asks for the next policy is kept waiting: less than it waits for any answer.
const POLICY_WAIT: Duration = Duration::from_secs(15);

pub(super) const POLICY: Route = Route {
    method: Method::Get,
    path: "/v1/sessions/{session}/policy",
    summary: "The policy a session is decided by; with `?known=DIGEST` the answer waits a while for another one, or for the end",
    request: Contents::Nothing,
    response: Contents::Json(|schemas| schemas.subschema_for::<PolicyInForce>()),
    handler: Handler::User(|call, caller| {
        Box::pin(async move {
            let Known { known } = call.query()?;
            let live = own(&call, &caller)?;
            let known = known.as_deref().and_then(Digest::parse);
            if let Some(known) = known {
                let news = async {
                    tokio::select! {
                        () = live.policy_other_than(known) => {}
                        () = live.over() => {}
                    }
                };
                // Over in vain: the answer is that nothing has changed.
                drop(tokio::time::timeout(POLICY_WAIT, news).await);
            }
            let policy = live.engine.policy();
            let epitaph = call.server.live.epitaph(live.grant.session);
            let text = || String::from_utf8(policy.canonical());
            let unreadable = |_| Failure::new(Kind::Internal, "the policy is not text");
            json(&PolicyInForce {
                policy: (known != Some(policy.digest())).then(text).transpose().map_err(unreadable)?,
                policy_digest: policy.digest().to_string(),
                // A gateway that stops has ended nothing: its sessions are replaced.
                ended: epitaph.filter(|failure| failure.kind != Kind::Gateway).map(|failure| failure.message),
            })
        })
    }),
};

#[derive(serde::Deserialize)]
struct Known {
    known: Option<String>,
}

/// The session that a path names, for whoever it is of.
fn own(call: &Call, caller: &Caller) -> Result<Arc<Live>, Failure> {
    let id = session_id(call)?;
    call.server.live.get(id).filter(|live| is_own(caller, live)).ok_or_else(|| unknown(id))
}

/// Step 3 of `wire/tunnel.rs`.
async fn open_stream(mut call: Call) -> Result<Response, Failure> {
    let id = session_id(&call)?;
    let sessions = &call.server.live;
    let live = sessions.get(id).ok_or_else(|| sessions.epitaph(id).unwrap_or_else(|| unknown(id)))?;
    let stream = prove(&call, &live)?;
    let upgrade = call
        .parts
        .extensions
        .remove::<OnUpgrade>()
        .filter(|_| call.header(header::UPGRADE.as_str()) == Some(wire::UPGRADE))
        .ok_or_else(|| Failure::new(Kind::Usage, format!("this address is for upgrades to {}", wire::UPGRADE)))?;
    tokio::spawn(async move {
        match upgrade.await.map(whole) {
            Ok(Some(socket)) => tunnel::serve(live, stream, socket).await,
            Ok(None) => warn!(session = %id, stream, "a stream's client spoke before it was asked"),
            Err(error) => warn!(session = %id, stream, error = %error, "a stream was not upgraded"),
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static(wire::UPGRADE));
    Ok(response)
}

/// Checks that the request comes from whoever has the session's key, over this very connection, with the policy this
/// end decides by. Returns the stream's number.
fn prove(call: &Call, live: &Live) -> Result<u32, Failure> {
    let missing = || Failure::new(Kind::NotLoggedIn, "the proof for this stream is missing or malformed");
    let stream: u32 = call.header(wire::STREAM_HEADER).and_then(|text| text.parse().ok()).ok_or_else(missing)?;
    let policy = call.header(wire::POLICY_HEADER).unwrap_or_default();
    let engine = call.header(wire::ENGINE_HEADER).unwrap_or_default();
    let proof = call.header(wire::PROOF_HEADER).and_then(|text| BASE64URL.decode(text).ok()).ok_or_else(missing)?;
    let exporter = call.connection.exporter.ok_or_else(missing)?;
    let grant = &live.grant;
    let message = wire::proof_message(&exporter, grant.session, stream, grant.policy, engine);
    UnparsedPublicKey::new(&ED25519, &live.client_key.0)
        .verify(&message, &proof)
        .map_err(|_| Failure::new(Kind::NotLoggedIn, "the proof for this stream does not fit its session"))?;
    if policy != grant.policy.to_string() || engine != env!("CARGO_PKG_VERSION") {
        return Err(Failure::new(Kind::Denied, "client and gateway do not decide alike")
            .detail(format!("The gateway runs version {}, the client {engine}.", env!("CARGO_PKG_VERSION")))
            .hint("install the gateway's version of gov, then connect again"));
    }
    Ok(stream)
}

/// The connection itself, if nothing has been read beyond the request.
fn whole(upgraded: Upgraded) -> Option<Socket> {
    let parts = upgraded.downcast::<TokioIo<AcceptedTls>>().ok()?;
    parts.read_buf.is_empty().then(|| Socket::Accepted(Box::new(parts.io.into_inner())))
}

fn session_id(call: &Call) -> Result<SessionId, Failure> {
    call.parameter("session")?.parse().map_err(|_| Failure::new(Kind::NotFound, "there is no such session"))
}

fn unknown(id: SessionId) -> Failure {
    Failure::new(Kind::NotFound, format!("there is no open session `{id}`")).hint("see what is open: gov session ls")
}

/// One's own sessions, and everybody's for operators.
fn may_touch(call: &Call, caller: &Caller, live: &Live) -> bool {
    is_own(caller, live) || call.server.config().is_operator(&caller.identity)
}

/// One's own, and those of agents that act for one. An agent has its own only.
fn is_own(caller: &Caller, live: &Live) -> bool {
    let (owner, who) = (&live.grant.identity, &caller.identity);
    owner.is(who) || (who.actors.is_empty() && owner.issuer == who.issuer && owner.subject == who.subject)
}

fn entry(live: &Live) -> SessionEntry {
    let grant = &live.grant;
    SessionEntry {
        session: grant.session.to_string(),
        resource: grant.resource.to_string(),
        who: shown(&grant.identity),
        access: grant.access.word().to_owned(),
        masking: grant.masking.word().to_owned(),
        purpose: grant.purpose.as_ref().map(|purpose| purpose.id.to_string()),
        reference: grant.purpose.as_ref().and_then(|purpose| purpose.reference.clone()),
        opened_at: grant.opened_at.to_string(),
        expires_at: grant.expires_at.to_string(),
        connections: u32::try_from(live.connections()).unwrap_or(u32::MAX),
        role: live.lease.role.clone(),
        host: live.host.clone(),
        process: live.process,
        budget: budget(live),
    }
}

fn budget(live: &Live) -> Vec<BudgetEntry> {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let state = live.tab.state(clock::now()).into_iter().flat_map(|(of, budget, used)| {
        let things = [
            ("rows", budget.rows, used.rows),
            ("bytes", budget.bytes, used.bytes),
            ("statements", budget.statements, used.statements),
            ("lookups", budget.lookups, used.lookups),
            ("time_ms", budget.time.map(millis), millis(used.time)),
        ];
        let limited = things.into_iter().filter_map(|(what, limit, used)| Some((what, limit?, used)));
        limited.map(move |(what, limit, used)| BudgetEntry { of: of.to_owned(), what: what.to_owned(), used, limit })
    });
    state.collect()
}

/// What to call somebody on a screen, with who acts for them.
fn shown(identity: &Identity) -> String {
    let through: Vec<_> = identity.actors.iter().map(|actor| format!(" through {}", actor.id)).collect();
    format!("{}{}", identity.name, through.concat())
}
