//! The sessions that are open on this gateway: their grant, their credential, their connections, and their end.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use ring::hmac;
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use crate::audit::TextSealer;
use crate::domain::{
    ApprovalId, ApprovalState, Digest, Duration, Event, Failure, Grant, Happening, Kind, PublicKey, Secret, SessionId,
    Timestamp,
};
use crate::engine::{Engine, Policy};
use crate::runtime::clock;
use crate::runtime::crew::Crew;
use crate::runtime::pump::{Arbiter, Command, Durability, Meter, Refresh};
use crate::runtime::recorder::Recorder;
use crate::server::approval::{Approval, Approvals, Stand};
use crate::server::budgets::{Days, Tab};
use crate::server::credential::Lease;
use crate::server::leases;
use crate::server::schema::Schema;
use crate::server::store::Store;
use crate::session::{self, Closing};

/// One open session.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) grant: Arc<Grant>,
    pub(crate) schema: Arc<Schema>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) lease: Lease,
    pub(crate) text_key: hmac::Key,
    text_key_bytes: Secret<[u8; 32]>,
    /// Seals raw texts, where they are kept.
    pub(crate) sealer: Option<Arc<TextSealer>>,
    /// Whoever opens a stream signs with the other half.
    pub(crate) client_key: PublicKey,
    /// Pseudonym of whoever has it.
    pub(crate) requester: String,
    /// Pseudonyms of those who may not approve what it asks for, by the configuration as it is.
    barred: Mutex<Vec<String>>,
    /// The approval by which it was opened, where access had to be asked for. It ends with that.
    pub(crate) warrant: Option<ApprovalId>,
    approvals: Arc<Approvals>,
    /// `user@host` and the process there, as the client states them.
    pub(crate) host: String,
    pub(crate) process: u32,
    recorder: Recorder,
    durability: Durability,
    /// Who helps to mask long results.
    pub(crate) crew: Option<Arc<Crew>>,
    pub(crate) tab: Tab,
    /// Ends the session before its time, and says why in a word for the record.
    enough: mpsc::Sender<(Failure, &'static str)>,
    streams: Mutex<Streams>,
    /// Told when it decides by another policy from now on.
    policy_changed: watch::Sender<()>,
    /// Turns true when the session has ended and its credential is gone.
    ended: watch::Sender<bool>,
}

/// The database connections of a session.
#[derive(Debug, Default)]
struct Streams {
    open: HashMap<u32, Stream>,
    /// The highest number used.
    last: u32,
    /// Numbers used, as far back as one may still come late: a number is used once, or two statements would have the same
    /// name in the records.
    used: BTreeSet<u32>,
    /// Why no further stream may open.
    closed: Option<Failure>,
}

#[derive(Debug)]
struct Stream {
    commands: mpsc::Sender<Command>,
    /// Our key for cancelling what runs there, and the database's own.
    cancel: Option<CancelKeys>,
}

/// How a running statement is cancelled: whoever shows `ours` may use `process` and `theirs`.
#[derive(Clone, Debug)]
pub(crate) struct CancelKeys {
    pub(crate) ours: Vec<u8>,
    pub(crate) process: u32,
    pub(crate) theirs: Vec<u8>,
}

/// Everything a session is made of.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) grant: Arc<Grant>,
    pub(crate) schema: Arc<Schema>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) lease: Lease,
    pub(crate) text_key: [u8; 32],
    pub(crate) sealer: Option<Arc<TextSealer>>,
    pub(crate) client_key: PublicKey,
    pub(crate) requester: String,
    pub(crate) barred: Vec<String>,
    pub(crate) warrant: Option<ApprovalId>,
    pub(crate) approvals: Arc<Approvals>,
    pub(crate) host: String,
    pub(crate) process: u32,
    pub(crate) recorder: Recorder,
    /// How sure a record must be before its statement is sent.
    pub(crate) durability: Durability,
    pub(crate) crew: Option<Arc<Crew>>,
    pub(crate) tab: Tab,
}

impl Live {
    /// Where one connection's events go.
    pub(crate) fn records(&self) -> (Recorder, Durability) {
        (self.recorder.clone(), self.durability)
    }

    /// Reads the schema anew, if it has changed; the engine then has it.
    pub(crate) fn refresher(&self) -> Refresh {
        let (schema, session) = (Arc::clone(&self.schema), self.grant.session);
        Arc::new(move || {
            let schema = Arc::clone(&schema);
            Box::pin(async move {
                if let Err(failure) = schema.refreshed().await {
                    warn!(%session, error = %failure, "the schema could not be read anew");
                }
            })
        })
    }

    /// Counts what statements use up, and has the session ended, or all that follows held, when nothing is left.
    pub(crate) fn meter(self: &Arc<Self>) -> Meter {
        let live = Arc::clone(self);
        Arc::new(move |end| {
            let failure = live.tab.count(end, live.engine.lookups(), clock::now())?;
            if let Some(reason) = live.tab.asks(&failure) {
                live.engine.hold_all(reason);
                return None;
            }
            if live.tab.first() {
                // There is room for one, and this is the only one.
                drop(live.enough.try_send((failure.clone(), "over_budget")));
            }
            Some(failure)
        })
    }

    /// A masked value was about to leave over one of its connections: the others end too.
    pub(crate) fn trip(&self) {
        // There is room for one; it is being ended already when there is none.
        drop(self.enough.try_send((session::tripped(), Closing::Tripped.word())));
    }

    /// Decides by this policy from now on, and lets the other end know.
    pub(crate) fn decide_by(&self, policy: Policy) {
        self.engine.replace_policy(Arc::new(policy));
        self.policy_changed.send_replace(());
    }

    /// Waits until it decides by another policy than this one. Cancel safe.
    pub(crate) async fn policy_other_than(&self, known: Digest) {
        let mut changed = self.policy_changed.subscribe();
        // Nobody changes it any more when its sender is gone.
        while self.engine.policy().digest() == known && changed.changed().await.is_ok() {}
    }

    /// Waits until the session has ended. Cancel safe.
    pub(crate) async fn over(&self) {
        let mut ended = self.ended.subscribe();
        // The sender lives as long as we do.
        drop(ended.wait_for(|ended| *ended).await);
    }

    /// The key behind [`Self::text_key`], for the other end.
    pub(crate) fn text_key_bytes(&self) -> &[u8; 32] {
        self.text_key_bytes.expose()
    }

    /// Takes a number for a new stream and the ear on which it is told to end.
    pub(crate) fn admit(&self, stream: u32) -> Result<mpsc::Receiver<Command>, Failure> {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(failure) = &streams.closed {
            return Err(failure.clone());
        }
        let limit = self.grant.limits.connections_max;
        if streams.open.len() >= usize::try_from(limit).unwrap_or(usize::MAX) {
            return Err(Failure::new(Kind::Limit, format!("this session has {limit} connections open already"))
                .hint("close one, or open another session"));
        }
        let oldest = streams.last.max(stream).saturating_sub(REORDER_MAX);
        if stream <= oldest || !streams.used.insert(stream) {
            return Err(Failure::new(Kind::Usage, "this stream number was used before"));
        }
        while streams.used.first().is_some_and(|used| *used <= oldest) {
            streams.used.pop_first();
        }
        streams.last = streams.last.max(stream);
        let (commands, receiver) = mpsc::channel(4);
        streams.open.insert(stream, Stream { commands, cancel: None });
        Ok(receiver)
    }

    /// What a stream's session pleads with about what must be approved.
    pub(crate) fn arbiter(self: &Arc<Self>, stream: u32, wait: bool, resume: Option<ApprovalId>) -> Option<Arbiter> {
        let commands = self.commands(stream)?;
        Some(self.approvals.arbiter(Stand::new(Arc::clone(self), wait, resume, commands)))
    }

    /// Pseudonyms of those who may not approve what it asks for.
    pub(crate) fn barred(&self) -> Vec<String> {
        self.barred.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on these may not approve what it asks for.
    pub(crate) fn bar(&self, barred: Vec<String>) {
        *self.barred.lock().unwrap_or_else(PoisonError::into_inner) = barred;
    }

    fn commands(&self, stream: u32) -> Option<mpsc::Sender<Command>> {
        let streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.open.get(&stream).map(|stream| stream.commands.clone())
    }

    /// Ends what a stream waits for, if it waits.
    pub(crate) fn cancel_waiting(&self, stream: u32) {
        // A full channel means that there are words on their way to it that end the wait as well.
        drop(self.commands(stream).map(|commands| commands.try_send(Command::Cancel)));
    }

    /// Makes what runs on a stream cancellable.
    pub(crate) fn cancellable(&self, stream: u32, keys: CancelKeys) {
        if let Some(stream) = self.streams.lock().unwrap_or_else(PoisonError::into_inner).open.get_mut(&stream) {
            stream.cancel = Some(keys);
        }
    }

    /// The keys for a cancel request, if it shows the right one. The comparison takes the same time for every wrong
    /// key of the right length.
    pub(crate) fn cancel_keys(&self, stream: u32, shown: &[u8]) -> Option<CancelKeys> {
        let streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = streams.open.get(&stream)?.cancel.as_ref()?;
        let same = keys.ours.len() == shown.len()
            && keys.ours.iter().zip(shown).fold(0, |sum, (ours, theirs)| sum | (ours ^ theirs)) == 0;
        same.then(|| keys.clone())
    }

    /// A stream has ended.
    pub(crate) fn release(&self, stream: u32) {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).open.remove(&stream);
    }

    /// How many connections are open.
    pub(crate) fn connections(&self) -> usize {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).open.len()
    }

    /// Records something that happened in this session outside its statements.
    pub(crate) fn happened(&self, happening: Happening) {
        let event = Event { at: clock::now(), session: Some(self.grant.session), happening };
        if let Err(failure) = self.recorder.record(&event) {
            warn!(session = %self.grant.session, error = %failure, "an event could not be recorded");
        }
    }

    /// Admits no more streams and tells those that are open to end.
    fn shut(&self, failure: &Failure) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.closed.get_or_insert_with(|| failure.clone());
        for stream in streams.open.values() {
            // A full channel means that it has been told already; a closed one, that it has ended.
            drop(stream.commands.try_send(Command::End(failure.clone())));
        }
    }
}

/// Streams are opened at the same time and may arrive in another order than they were numbered.
const REORDER_MAX: u32 = 10_000;

/// Open sessions by id.
#[derive(Debug)]
pub(crate) struct LiveSessions {
    store: Arc<Store>,
    /// What identities have used today, in sessions that are open and in those that were.
    pub(crate) days: Arc<Days>,
    open: Mutex<HashMap<SessionId, Arc<Live>>>,
    /// What to tell clients of sessions that were ended, until the time they would have had is over: a client replaces
    /// a session that nobody knows, and must not replace one that somebody ended.
    ended: Mutex<HashMap<SessionId, (Failure, Timestamp)>>,
}

impl LiveSessions {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        Self { store, days: Arc::default(), open: Mutex::default(), ended: Mutex::default() }
    }

    /// Adds a session and sees to it that it ends in time.
    pub(crate) fn add(self: &Arc<Self>, opening: Opening) -> Arc<Live> {
        let (enough, mut had) = mpsc::channel(1);
        let live = Arc::new(Live {
            grant: opening.grant,
            schema: opening.schema,
            engine: opening.engine,
            lease: opening.lease,
            text_key: hmac::Key::new(hmac::HMAC_SHA256, &opening.text_key),
            text_key_bytes: Secret::new(opening.text_key),
            sealer: opening.sealer,
            client_key: opening.client_key,
            requester: opening.requester,
            barred: Mutex::new(opening.barred),
            warrant: opening.warrant,
            approvals: opening.approvals,
            host: opening.host,
            process: opening.process,
            recorder: opening.recorder,
            durability: opening.durability,
            crew: opening.crew,
            tab: opening.tab,
            enough,
            streams: Mutex::default(),
            policy_changed: watch::Sender::new(()),
            ended: watch::Sender::new(false),
        });
        let id = live.grant.session;
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(id, Arc::clone(&live));
        let (sessions, left) = (Arc::clone(self), live.grant.expires_at.since(clock::now()));
        let watched = Arc::clone(&live);
        tokio::spawn(async move {
            tokio::select! {
                () = watched.over() => {}
                () = tokio::time::sleep(left) => sessions.end(id, &expired(), "expired").await,
                Some((failure, why)) = had.recv() => sessions.end(id, &failure, why).await,
            }
        });
        live
    }

    pub(crate) fn get(&self, id: SessionId) -> Option<Arc<Live>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// Why a session is over, if it is known here.
    pub(crate) fn epitaph(&self, id: SessionId) -> Option<Failure> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).get(&id).map(|(failure, _)| failure.clone())
    }

    fn bury(&self, live: &Live, failure: &Failure, now: Timestamp) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.retain(|_, (_, until)| *until > now);
        ended.insert(live.grant.session, (failure.clone(), live.grant.expires_at));
    }

    pub(crate) fn all(&self) -> Vec<Arc<Live>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Ends all sessions, all at once: the server stops.
    pub(crate) async fn end_all(self: &Arc<Self>) {
        let stopping = Failure::new(Kind::Gateway, "the gateway is stopping").hint("connect again in a moment");
        let mut endings = tokio::task::JoinSet::new();
        for live in self.all() {
            let (sessions, stopping) = (Arc::clone(self), stopping.clone());
            endings.spawn(async move { sessions.end(live.grant.session, &stopping, "server_stopped").await });
        }
        while endings.join_next().await.is_some() {}
    }

    /// Ends what was opened by an approval of access that is good no longer.
    ///
    /// Not cancel safe: spawn it where the caller may go away.
    pub(crate) async fn end_opened_by(self: &Arc<Self>, approval: &Approval) {
        let state = approval.ballot.state;
        if !matches!(state, ApprovalState::Revoked | ApprovalState::Withdrawn) {
            return;
        }
        let opened = self.all().into_iter().filter(|live| live.warrant == Some(approval.id));
        let mut endings = tokio::task::JoinSet::new();
        for live in opened {
            let sessions = Arc::clone(self);
            let failure = Failure::new(Kind::Denied, format!("this session was withdrawn: its approval is {state}"))
                .hint("ask again with: gov request");
            endings.spawn(async move { sessions.end(live.grant.session, &failure, "withdrawn").await });
        }
        while endings.join_next().await.is_some() {}
    }

    /// Ends a session for real: sockets told to close, backends terminated on every node, credential revoked, books
    /// closed. `failure` is what its clients are told; `why` is for the record. Ending it twice is harmless.
    ///
    /// Not cancel safe: spawn it where the caller may go away.
    pub(crate) async fn end(&self, id: SessionId, failure: &Failure, why: &'static str) {
        let Some(live) = self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&id) else { return };
        self.bury(&live, failure, clock::now());
        live.shut(failure);
        // Time for the last words and the end records; the backends are terminated below in any case.
        let drained = async {
            while live.connections() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let slow = tokio::time::timeout(DRAIN_MAX, drained).await.is_err();
        let resource = live.schema.resource();
        match live.schema.revoke(&live.grant, &live.lease).await {
            Ok(revoked) => {
                info!(session = %id, why, ended = revoked.ended, dropped = revoked.dropped, slow, "session ended");
                live.happened(Happening::CredentialRevoked {
                    source: resource.source.name(),
                    role: live.lease.role.clone(),
                    ended: revoked.ended,
                    dropped: revoked.dropped,
                });
                let lease = leases::Open { resource: resource.name.to_string(), role: live.lease.role.clone() };
                if let Err(failure) = self.store.run(move |db| leases::revoked(db, &lease)).await {
                    warn!(session = %id, error = %failure, "a revoked credential is still remembered");
                }
            }
            // The sweeper goes on trying; the role cannot outlive its VALID UNTIL for new logins.
            Err(failure) => warn!(session = %id, why, error = %failure, "session ended, credential not yet revoked"),
        }
        live.happened(Happening::SessionClosed { why });
        live.ended.send_replace(true);
    }
}

/// How long the connections of an ending session may take to say goodbye.
const DRAIN_MAX: Duration = Duration::from_secs(2);

fn expired() -> Failure {
    Failure::new(Kind::NotLoggedIn, "this session has expired").hint("run `gov connect` again")
}
