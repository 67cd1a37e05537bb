//! Serves one stream of a session: what arrives is PostgreSQL's protocol from a client that has proved itself.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tracing::{info, warn};

use crate::domain::{ApprovalId, Duration, Failure, Happening, Kind};
use crate::engine::Scope;
use crate::runtime::crew::Crew;
use crate::runtime::net::Socket;
use crate::runtime::pump::{Cancel, Pump};
use crate::runtime::{database, random};
use crate::server::live::{CancelKeys, Live};
use crate::server::{approval, rehearsal, upstream};
use crate::session::{Closing, Duty, Session, Setup};
use crate::wire::postgres::{self, FirstPacket, Severity, Startup, Version};

/// How long a client that has its stream may take to say what for.
const FIRST_PACKET_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs a stream to its end. Not cancel safe: spawn it.
pub(crate) async fn serve(live: Arc<Live>, stream: u32, mut socket: Socket) {
    match tokio::time::timeout(FIRST_PACKET_TIMEOUT, first_packet(&mut socket)).await {
        Ok(Some(FirstPacket::Startup(startup))) => connect(&live, stream, socket, &startup).await,
        Ok(Some(FirstPacket::Cancel { process, key })) => cancel(&live, process, &key).await,
        // The client is gov itself: it asks for no TLS inside TLS, and it does not stay silent.
        Ok(Some(FirstPacket::DirectTls | FirstPacket::Ssl | FirstPacket::Gss) | None) | Err(_) => {
            warn!(session = %live.grant.session, stream, "a stream began with something else than a startup packet");
        }
    }
}

async fn first_packet(socket: &mut Socket) -> Option<FirstPacket> {
    let mut bytes = Vec::new();
    loop {
        if let Some((packet, length)) = postgres::first_packet(&bytes).ok()? {
            // Nothing may follow before the answer.
            return (length == bytes.len()).then_some(packet);
        }
        // `first_packet` refuses a length above the limit, so this ends.
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

async fn connect(live: &Arc<Live>, stream: u32, mut socket: Socket, startup: &Startup) {
    let commands = match live.admit(stream) {
        Ok(commands) => commands,
        Err(failure) => return refuse(&mut socket, &failure).await,
    };
    let (given, wish) = match upstream::given(startup).and_then(Wish::taken_from) {
        Ok(taken) => taken,
        Err(failure) => {
            live.release(stream);
            return refuse(&mut socket, &failure).await;
        }
    };
    let opened = match governed(live, given).await {
        Ok((parameters, scope)) => match upstream::open(live.schema.resource(), &live.lease, parameters).await {
            Ok(opened) => Ok((opened, scope)),
            Err(error) => {
                warn!(session = %live.grant.session, stream, error = %error, "the database connection failed");
                Err(database::unreachable(live.schema.resource().name.as_str(), &error))
            }
        },
        Err(failure) => Err(failure),
    };
    let ((opened, scope), ours) = match (opened, random::bytes::<32>()) {
        (Ok(opened), Ok(ours)) => (opened, ours),
        (Err(failure), _) | (Ok(_), Err(failure)) => {
            live.release(stream);
            return refuse(&mut socket, &failure).await;
        }
    };
    let keys = CancelKeys {
        ours: ours.to_vec(),
        process: opened.logged_in.process,
        theirs: opened.logged_in.key.expose().clone(),
    };
    live.cancellable(stream, keys.clone());
    let application = startup.parameter("application_name").unwrap_or_default().chars().take(64).collect();
    info!(session = %live.grant.session, stream, "stream opened");
    live.happened(Happening::StreamOpened { stream, application });

    let mut greeting = Vec::new();
    postgres::login_done(&opened.logged_in.parameters, stream, &ours, Version::V3_2, &mut greeting);
    let setup = Setup {
        duty: Duty::Enforce,
        engine: Arc::clone(&live.engine),
        grant: Arc::clone(&live.grant),
        stream,
        text_key: live.text_key.clone(),
        sealer: live.sealer.clone(),
        approvals: true,
        tells_masked: wish.tells_masked,
    };
    let mut session = Session::new(setup, scope);
    if let Some(crew) = &live.crew {
        session = session.helped(Arc::<Crew>::clone(crew));
    }
    let mut pump = Pump::new(session, socket, opened.socket, live.records(), commands, greeting)
        .refreshing(live.refresher())
        .estimating(rehearsal::estimator(live))
        .cancelling(canceller(live, stream, keys))
        .metered(live.meter());
    if let Some(arbiter) = live.arbiter(stream, wish.wait, wish.approval) {
        pump = pump.arbitrated(arbiter);
    }
    let ended = pump.run().await;
    info!(session = %live.grant.session, stream, why = ended.why.word(), statements = ended.statements, "stream closed");
    live.happened(Happening::StreamClosed { stream, why: ended.why.word() });
    if ended.why == Closing::Tripped {
        live.trip();
    }
    live.release(stream);
}

/// What a connection asks of the gateway itself, with parameters that no database knows.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    /// What must be approved waits in place.
    wait: bool,
    /// An approval that was asked for earlier.
    approval: Option<ApprovalId>,
    /// Which columns of each result were masked is told.
    tells_masked: bool,
}

impl Wish {
    fn taken_from(given: Vec<(String, String)>) -> Result<(Vec<(String, String)>, Self), Failure> {
        let mut wish = Self { wait: true, approval: None, tells_masked: false };
        let mut parameters = Vec::new();
        for (name, value) in given {
            match name.as_str() {
                "gov.wait" => wish.wait = switch(&name, &value)?,
                postgres::MASKED_COLUMNS => wish.tells_masked = switch(&name, &value)?,
                "gov.approval" => {
                    let id = value.parse().map_err(|_| approval::unknown(&value))?;
                    wish.approval = Some(id);
                }
                _ => parameters.push((name, value)),
            }
        }
        Ok((parameters, wish))
    }
}

fn switch(name: &str, value: &str) -> Result<bool, Failure> {
    match value {
        "on" => Ok(true),
        "off" => Ok(false),
        other => {
            Err(Failure::new(Kind::Usage, format!("`{other}` is not a value of `{name}`")).hint("write `on` or `off`"))
        }
    }
}

/// What a client wants to begin with, judged like the SET it is, and the scope that follows from it.
async fn governed(live: &Live, given: Vec<(String, String)>) -> Result<(Vec<(String, String)>, Scope), Failure> {
    let parameters = upstream::parameters(given, live.grant.access)?;
    let reading = live.schema.current().await?;
    let mut scope = Scope::new(live.lease.acts_as(), &reading.search_path);
    for (name, value) in &parameters {
        live.engine.startup_parameter(&live.grant, name, value).map_err(|reason| {
            let mut failure = Failure::new(Kind::Denied, reason.message).detail(format!("Rule: {}.", reason.rule));
            failure.hint = reason.hint;
            failure
        })?;
        if name == "search_path" {
            scope.search_path_is(value);
        }
    }
    Ok((parameters, scope))
}

/// Cancels what runs on the stream `process`, if the key is the one we gave out for it.
async fn cancel(live: &Arc<Live>, process: u32, key: &[u8]) {
    let Some(keys) = live.cancel_keys(process, key) else {
        warn!(session = %live.grant.session, stream = process, "a cancel request showed a wrong key");
        return;
    };
    live.happened(Happening::Cancelled { stream: process });
    live.cancel_waiting(process);
    if let Err(error) = database::cancel(live.schema.resource().broker().address(), keys.process, &keys.theirs).await {
        warn!(session = %live.grant.session, stream = process, error = %error, "a cancel request was not delivered");
    }
}

/// Cancels what runs on a stream when nobody wants the rest of it.
fn canceller(live: &Arc<Live>, stream: u32, keys: CancelKeys) -> Cancel {
    let live = Arc::clone(live);
    Arc::new(move || {
        let (live, keys) = (Arc::clone(&live), keys.clone());
        Box::pin(async move {
            let address = live.schema.resource().broker().address();
            if let Err(error) = database::cancel(address, keys.process, &keys.theirs).await {
                warn!(session = %live.grant.session, stream, error = %error, "what nobody waits for could not be cancelled");
            }
        })
    })
}

/// Says why there is no connection, in PostgreSQL's words.
async fn refuse(socket: &mut Socket, failure: &Failure) {
    let sqlstate = match failure.kind {
        // too_many_connections
        Kind::Limit => "53300",
        kind => postgres::failure_sqlstate(kind),
    };
    let mut bytes = Vec::new();
    postgres::error(postgres::complaint(Severity::Fatal, sqlstate, failure, None), &mut bytes);
    // The client may be gone; then nobody needs to know.
    drop(socket.write_all(&bytes).await);
    drop(socket.shutdown().await);
}
