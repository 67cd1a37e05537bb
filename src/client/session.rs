//! A session, kept: opens it, opens its streams, and replaces it when the gateway has forgotten it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use hyper::Uri;
use ring::hmac;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use tokio::sync::{Mutex, Notify, watch};
use tracing::debug;

use super::gateway::Gateway;
use super::proxy::{Dial, Dialled};
use super::records::Records;
use super::tunnel::{self, Destination, Ticket};
use crate::audit::{self, Context, Envelope, Signer};
use crate::domain::{
    Access, Actor, ColumnName, Digest, Duration, Event, Failure, Grant, Happening, Identity, IdentityKind, Kind,
    Limits, Masking, Method, Purpose, ResourceName, Secret, Side, Timestamp,
};
use crate::engine::{Catalog, Engine, Policy};
use crate::runtime::journal;
use crate::runtime::recorder::{Recorder, Recorders};
use crate::runtime::{clock, env, random, tls};
use crate::wire::api::{ActorEntry, Empty, Me, PolicyInForce, SessionOpened, SessionRequest};

/// What somebody wants to use.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) resource: ResourceName,
    pub(crate) access: Access,
    pub(crate) purpose: Option<Purpose>,
    /// Masked columns to be seen with their real values.
    pub(crate) reveal: Vec<ColumnName>,
    pub(crate) ttl_seconds: Option<u64>,
}

/// An open session, as the client holds it.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) grant: Arc<Grant>,
    pub(crate) database: String,
    /// Why it is not masked in the database.
    pub(crate) masking_reason: Option<String>,
    engine: Arc<Engine>,
    text_key: hmac::Key,
    key: Ed25519KeyPair,
    recorder: Recorder,
    /// Streams opened so far; each has a number of its own.
    streams: AtomicU32,
    /// Says why to the connections, once the session's time is over.
    ended: watch::Sender<Option<Failure>>,
    /// Why the gateway has ended the session, once it has.
    buried: watch::Sender<Option<String>>,
}

/// Opens sessions by one wish and streams in them.
#[derive(Debug)]
pub(crate) struct Keeper {
    gateway: Arc<Gateway>,
    destination: Destination,
    wish: Wish,
    me: Me,
    records: Records,
    current: Mutex<Arc<Held>>,
    /// Told when the current session has taken the place of another.
    replaced: Notify,
}

impl Keeper {
    /// Opens a session. Not cancel safe: a session that was opened would wait for its end unused.
    pub(crate) async fn open(gateway: Gateway, wish: Wish) -> Result<Self, Failure> {
        let url: Uri = gateway
            .server
            .origin()
            .parse()
            .map_err(|_| Failure::new(Kind::Usage, "the profile holds no usable server address"))?;
        let destination = Destination { url, tls: tls::client(&gateway.server.trust, &["http/1.1"])? };
        let me: Me = gateway.get("/v1/me").await?;
        let gateway = Arc::new(gateway);
        let records = Records::open(&gateway, &me.pseudonym)?;
        let begun = begin(&gateway, &wish, &me, records.recorders()).await;
        let held = match begun {
            Ok(held) => Arc::new(held),
            Err(failure) => {
                // Nothing was recorded, so nothing has to be kept. Why there is no session matters more than this.
                drop(records.finish().await);
                return Err(failure);
            }
        };
        records.send(&held.recorder);
        tokio::spawn(follow(Arc::clone(&gateway), Arc::downgrade(&held)));
        Ok(Self { gateway, destination, wish, me, records, current: Mutex::new(held), replaced: Notify::new() })
    }

    /// The session at the moment.
    pub(crate) async fn current(&self) -> Arc<Held> {
        Arc::clone(&*self.current.lock().await)
    }

    /// Waits until the session is over, and gives the reason. When its time is over its connections are told here; when
    /// somebody ended it, the gateway tells them, after the last row of what had come so far.
    pub(crate) async fn over(&self) -> String {
        loop {
            let held = self.current().await;
            let mut buried = held.buried.subscribe();
            tokio::select! {
                () = self.replaced.notified() => {}
                () = tokio::time::sleep(held.grant.expires_at.since(clock::now())) => {
                    if clock::now() >= held.grant.expires_at {
                        let failure = expired(&held.grant);
                        held.ended.send_replace(Some(failure.clone()));
                        return failure.message;
                    }
                }
                // An error means that the sender is gone, and it is held right here.
                Ok(why) = buried.wait_for(Option::is_some) => return why.clone().unwrap_or_default(),
            }
        }
    }

    /// Ends the session at the gateway, and has this side's account of it taken by the log.
    pub(crate) async fn end(&self) -> Result<(), Failure> {
        let held = self.current().await;
        let path = format!("/v1/sessions/{}/end", held.grant.session);
        let recorded = async {
            self.records.inherited().await;
            let last = held.close("client")?;
            // Only what is durable is sent; nobody else asks for that here.
            held.recorder.durable(last).await?;
            self.records.finish().await
        };
        let (ended, recorded) = tokio::join!(self.gateway.post::<Empty>(&path, &Empty {}), recorded);
        match ended {
            // It is over there already, which is what was wanted.
            Ok(_) | Err(Failure { kind: Kind::NotFound, .. }) => recorded,
            Err(failure) => Err(failure),
        }
    }

    /// A session in place of one that the gateway no longer knows, for the rest of its time.
    async fn replace(&self, lost: &Arc<Held>) -> Result<Arc<Held>, Failure> {
        let mut current = self.current.lock().await;
        if !Arc::ptr_eq(&current, lost) {
            // Somebody else was faster.
            return Ok(Arc::clone(&current));
        }
        let left = lost.grant.expires_at.since(clock::now());
        let wish = Wish { ttl_seconds: Some(left.as_secs().max(1)), ..self.wish.clone() };
        let held = Arc::new(begin(&self.gateway, &wish, &self.me, self.records.recorders()).await?);
        tokio::spawn(follow(Arc::clone(&self.gateway), Arc::downgrade(&held)));
        lost.close("lost")?;
        debug!(lost = %lost.grant.session, session = %held.grant.session, "session replaced");
        *current = Arc::clone(&held);
        // Whoever is not waiting yet finds this when they do.
        self.replaced.notify_one();
        Ok(held)
    }

    async fn stream(&self, held: &Arc<Held>) -> Result<Dialled, Failure> {
        let stream = held.streams.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let ticket = Ticket {
            session: held.grant.session,
            stream,
            policy: held.grant.policy,
            engine: env!("CARGO_PKG_VERSION"),
            key: &held.key,
        };
        let socket = tunnel::open(&self.destination, &ticket).await?;
        Ok(Dialled {
            socket,
            stream,
            grant: Arc::clone(&held.grant),
            engine: Arc::clone(&held.engine),
            text_key: held.text_key.clone(),
            recorder: held.recorder.clone(),
            ended: held.ended.subscribe(),
        })
    }
}

impl Held {
    /// The policy that this end decides by.
    pub(crate) fn policy(&self) -> Arc<Policy> {
        self.engine.policy()
    }

    /// This side's last word: what it sums up to, and that nothing follows.
    fn close(&self, why: &'static str) -> Result<journal::Ticket, Failure> {
        let happening = Happening::SessionClosed { why };
        let closed = self.recorder.record(&Event { at: clock::now(), session: Some(self.grant.session), happening });
        // A session is closed once; whoever comes second finds it closed.
        drop(closed);
        self.recorder.close()
    }
}

impl Dial for Keeper {
    async fn dial(&self) -> Result<Dialled, Failure> {
        let held = self.current().await;
        // The wall clock also counts while the machine sleeps.
        if clock::now() >= held.grant.expires_at {
            return Err(expired(&held.grant));
        }
        if let Some(failure) = held.ended.borrow().clone() {
            return Err(failure);
        }
        match self.stream(&held).await {
            // The gateway was started anew, or the session was ended there. Whoever ended it may refuse another one.
            Err(Failure { kind: Kind::NotFound, .. }) => {
                let held = self.replace(&held).await?;
                self.stream(&held).await
            }
            other => other,
        }
    }
}

/// How long it takes to ask again when the gateway could not be asked.
const FOLLOW_PAUSE: Duration = Duration::from_secs(2);

/// Follows what becomes of a session at the gateway: the policy it is decided by, so that this end refuses what that one
/// refuses and nothing else, and its end. Whatever cannot be asked is asked again.
async fn follow(gateway: Arc<Gateway>, session: Weak<Held>) {
    let mut known = None;
    while let Some(held) = session.upgrade() {
        let digest = known.unwrap_or(held.grant.policy);
        let path = format!("/v1/sessions/{}/policy?known={digest}", held.grant.session);
        drop(held);
        let answer = gateway.get::<PolicyInForce>(&path).await;
        let Some(held) = session.upgrade() else { return };
        match answer {
            Ok(answer) => {
                let policy = answer.policy.as_deref().map(|text| Policy::from_canonical(text.as_bytes()));
                if let Some(Ok(policy)) = policy.filter(|_| Digest::parse(&answer.policy_digest) != Some(digest)) {
                    debug!(session = %held.grant.session, policy = %policy.digest(), "the policy has changed");
                    known = Some(policy.digest());
                    held.engine.replace_policy(Arc::new(policy));
                }
                if let Some(why) = answer.ended {
                    held.buried.send_replace(Some(why));
                    return;
                }
            }
            // Nobody knows it there: the gateway was started anew. It is replaced when it is used.
            Err(Failure { kind: Kind::NotFound, .. }) => return,
            Err(failure) => {
                debug!(session = %held.grant.session, error = %failure, "the policy could not be asked for");
                drop(held);
                tokio::time::sleep(FOLLOW_PAUSE).await;
            }
        }
    }
}

fn expired(grant: &Grant) -> Failure {
    let minutes = clock::now().since(grant.expires_at).as_secs() / 60;
    let ago = match minutes {
        0 => "just now".to_owned(),
        1 => "a minute ago".to_owned(),
        minutes => format!("{minutes} minutes ago"),
    };
    Failure::new(Kind::NotLoggedIn, format!("the session expired {ago}"))
        .hint(format!("run `gov connect {}` again", grant.resource))
}

/// Asks for a session and checks what comes back.
async fn begin(gateway: &Gateway, wish: &Wish, me: &Me, recorders: &Recorders) -> Result<Held, Failure> {
    let seed = Secret::new(random::bytes::<32>()?);
    let broken = || Failure::new(Kind::Internal, "no session key could be made");
    let key = Ed25519KeyPair::from_seed_unchecked(seed.expose()).map_err(|_| broken())?;
    let request = SessionRequest {
        resource: wish.resource.to_string(),
        access: wish.access.word().to_owned(),
        purpose: wish.purpose.as_ref().map(|purpose| purpose.id.to_string()),
        reference: wish.purpose.as_ref().and_then(|purpose| purpose.reference.clone()),
        reveal: wish.reveal.iter().map(ToString::to_string).collect(),
        ttl_seconds: wish.ttl_seconds,
        session_key: BASE64URL.encode(key.public_key()),
        host: env::user_at_host(),
        process: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let opened: SessionOpened = gateway.post("/v1/sessions", &request).await?;
    let signer = Signer::new(seed).map_err(|_| broken())?;
    hold(&opened, wish, me, key, signer, recorders).ok_or_else(|| {
        Failure::new(Kind::Gateway, "the server's answer was not understood")
            .hint("install the server's version of gov")
    })?
}

fn hold(
    opened: &SessionOpened,
    wish: &Wish,
    me: &Me,
    key: Ed25519KeyPair,
    signer: Signer,
    recorders: &Recorders,
) -> Option<Result<Held, Failure>> {
    let policy = Policy::from_canonical(opened.policy.as_bytes()).ok()?;
    let digest = audit::digest(opened.policy.as_bytes());
    if Some(digest) != Digest::parse(&opened.policy_digest) {
        return None;
    }
    let text_key: [u8; 32] = BASE64URL.decode(&opened.text_key).ok()?.try_into().ok()?;
    let certificate = Envelope::read(&opened.certificate).ok()?;
    let grant = Arc::new(Grant {
        session: opened.session.parse().ok()?,
        identity: identity(me)?,
        resource: wish.resource.clone(),
        labels: opened.labels.clone(),
        purpose: wish.purpose.clone(),
        access: match opened.access.as_str() {
            "read" => Access::Read,
            "write" => Access::Write,
            _ => return None,
        },
        reveal: opened.reveal.iter().map(|column| column.parse().ok()).collect::<Option<_>>()?,
        masking: Masking::parse(&opened.masking)?,
        limits: Limits { connections_max: opened.connections_max, rows_max: None },
        opened_at: Timestamp::parse(&opened.opened_at)?,
        expires_at: Timestamp::parse(&opened.expires_at)?,
        policy: digest,
    });
    let context = Context::session(Side::Client, &grant, &opened.pseudonym);
    let recorder = match recorders.open(signer, &certificate, &context) {
        Ok(recorder) => recorder,
        Err(failure) => return Some(Err(failure)),
    };
    Some(Ok(Held {
        grant,
        database: opened.database.clone(),
        masking_reason: opened.masking_reason.clone(),
        engine: Arc::new(Engine::new(Arc::new(policy), Arc::new(Catalog::default()), None)),
        text_key: hmac::Key::new(hmac::HMAC_SHA256, &text_key),
        key,
        recorder,
        streams: AtomicU32::new(0),
        ended: watch::Sender::new(None),
        buried: watch::Sender::new(None),
    }))
}

fn identity(me: &Me) -> Option<Identity> {
    Some(Identity {
        issuer: me.issuer.clone(),
        subject: me.subject.clone(),
        name: me.name.clone(),
        email: me.email.clone(),
        groups: me.groups.clone(),
        kind: IdentityKind::parse(&me.kind)?,
        actors: me.actors.iter().map(actor).collect::<Option<_>>()?,
        method: Method::IdToken,
        proved_at: Timestamp::parse(&me.proved_at)?,
    })
}

fn actor(entry: &ActorEntry) -> Option<Actor> {
    let charter = match &entry.charter {
        None => None,
        Some(charter) => Some(Digest::parse(charter)?),
    };
    Some(Actor { kind: IdentityKind::parse(&entry.kind)?, id: entry.id.clone(), charter })
}
