//! Approvals: who is asked, what they said, and the one execution an approval is good for.
//!
//! A statement that must be approved waits in its session ([`crate::session::Plea`]); here its request is kept in the
//! store, shown to those who may decide, and moved from state to state ([`Ballot`]). Every move is one transaction that
//! compares and sets, and every move is on record ([`moves`]). A waiting session belongs to this process: when it goes, so
//! does the wait, and what was running then ended as the log says, or nobody knows how ([`aftermath`]).

mod aftermath;
mod moves;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rusqlite::{OptionalExtension as _, Transaction};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};

use super::config::ApprovalRules;
use super::live::Live;
use super::log::Log;
use super::store::{Migrations, Store};
use super::timeline::Timeline;
use super::webhook::{Handed, Webhooks};
use crate::audit;
use crate::domain::{
    Access, ApprovalId, ApprovalState, Ballot, Digest, Duration, Executed, Failure, Happening, Identity, Kind, Move,
    Purpose, ResourceName, SessionId, Timestamp, Touch, print_duration,
};
use crate::runtime::journal::Ticket;
use crate::runtime::pump::{Arbiter, Command, Durability};
use crate::runtime::{clock, random};
use crate::session::{Ask, Plea};
pub(crate) use moves::Made;

pub(crate) const MIGRATIONS: Migrations = Migrations {
    owner: "approvals",
    steps: &[
        "
        CREATE TABLE approvals (
            id TEXT PRIMARY KEY,
            -- Grows by one with each change: whoever saves says which one they read.
            version INTEGER NOT NULL,
            state TEXT NOT NULL,
            requester TEXT NOT NULL,
            body TEXT NOT NULL
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX approvals_by_state ON approvals (state);
    ",
        "
        -- Somebody has to look at it yet, whatever its state.
        ALTER TABLE approvals ADD COLUMN review INTEGER NOT NULL DEFAULT 0;
    ",
        "
        CREATE TABLE approval_moves (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            approval TEXT NOT NULL,
            at_ms INTEGER NOT NULL,
            was TEXT,
            became TEXT NOT NULL,
            subject TEXT,
            recorded INTEGER NOT NULL DEFAULT 0
        ) STRICT;
    ",
    ],
};

/// How long a request is kept after its end, for those who want to see what became of it.
const KEPT_MAX: usize = 1000;

/// Clocks that tell the time and clocks that wait are not the same.
const DEADLINE_SLACK: Duration = Duration::from_millis(50);

/// How often open requests are looked at for those whose time is over: nobody is told later than that.
const TICK_EVERY: Duration = Duration::from_secs(1);

/// Access that was taken in an emergency is to be reviewed within this time after its end. Whoever took it takes no more
/// while that is overdue.
const REVIEW_WITHIN: Duration = Duration::from_secs(24 * 3600);

/// What stands in place of a rule where access itself is asked for.
const ACCESS_RULE: &str = "access";

/// A request for approval, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Approval {
    pub(crate) id: ApprovalId,
    pub(crate) ballot: Ballot,
    /// Pseudonym of whoever asks.
    pub(crate) requester: String,
    pub(crate) body: Body,
}

/// What those who decide are shown, and what their answer is bound to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Body {
    yes: Vec<String>,
    no: Option<String>,
    needed: usize,
    barred: Vec<String>,
    approve_by_ms: u64,
    execute_by_ms: u64,
    /// The session it waits in; `None` when its answer is for later.
    pub(crate) session: Option<String>,
    /// Digest of the case alone, as a session computes it.
    binding: String,
    /// Digest of the case, this request and its limits: what is on record.
    pub(crate) digest: String,
    pub(crate) asked_at: String,
    pub(crate) who: String,
    pub(crate) kind: String,
    /// Who says so.
    #[serde(default)]
    pub(crate) issuer: String,
    /// Who acts for them, the nearest first.
    pub(crate) actors: Vec<String>,
    pub(crate) resource: String,
    pub(crate) access: String,
    pub(crate) purpose: Option<String>,
    pub(crate) reference: Option<String>,
    /// The statement as it was sent. Forgotten once the request has ended.
    pub(crate) text: Option<String>,
    pub(crate) values: Vec<Option<String>>,
    pub(crate) normalized: String,
    pub(crate) operations: Vec<String>,
    pub(crate) objects: Vec<Object>,
    pub(crate) search_path: Vec<String>,
    /// Code runs in it that nobody reviewed: it is not tried out.
    pub(crate) opaque: bool,
    pub(crate) in_transaction: bool,
    pub(crate) rule: String,
    pub(crate) message: String,
    pub(crate) detail: Option<String>,
    /// Rows it may change; `None` where nothing can be rolled back.
    pub(crate) rows_max: Option<u64>,
    /// What those who decided said, in order.
    pub(crate) remarks: Vec<String>,
    #[serde(default)]
    pub(crate) about: About,
    /// How long access is given.
    #[serde(default)]
    pub(crate) lasts_ms: Option<u64>,
    /// Until when it must have been reviewed.
    #[serde(default)]
    pub(crate) review_by_ms: Option<u64>,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum About {
    #[default]
    Statement,
    /// Access to a resource, for a time.
    Access,
    /// Access that was taken in an emergency.
    BreakGlass,
}

impl About {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Statement => "statement",
            Self::Access => "access",
            Self::BreakGlass => "break_glass",
        }
    }
}

/// Access that somebody wants.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) requester: String,
    pub(crate) identity: Identity,
    pub(crate) resource: ResourceName,
    pub(crate) access: Access,
    pub(crate) purpose: Option<Purpose>,
}

/// Access that somebody asks for.
#[derive(Clone, Debug)]
pub(crate) struct AccessAsk {
    pub(crate) wanted: Wanted,
    pub(crate) barred: Vec<String>,
    pub(crate) lasts: Duration,
    pub(crate) reason: String,
    /// Nobody is asked; somebody looks at it later.
    pub(crate) taken: bool,
}

impl Wanted {
    /// Whether an approval is of this very access: for the same person through the same agent, no more than was agreed
    /// to, and for the purpose that those who agreed were told.
    fn is_covered(&self, approval: &Approval) -> bool {
        let body = &approval.body;
        let purpose = self.purpose.as_ref();
        body.about != About::Statement
            && approval.requester == self.requester
            && body.actors.iter().eq(self.identity.actors.iter().map(|actor| &actor.id))
            && body.resource == self.resource.as_str()
            && (body.access == self.access.word() || body.access == Access::Write.word())
            && body.purpose.as_deref() == purpose.map(|purpose| purpose.id.as_str())
            && body.reference.as_deref() == purpose.and_then(|purpose| purpose.reference.as_deref())
    }
}

/// A relation that a statement touches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Object {
    pub(crate) name: String,
    pub(crate) touch: String,
    pub(crate) tags: Vec<String>,
}

/// What a move led to.
#[derive(Clone, Debug)]
struct Moved {
    from: ApprovalState,
    approval: Approval,
    /// Why it was not made. Time may have changed the state all the same.
    refused: Option<Failure>,
}

/// Why a statement that asked may not run.
#[derive(Debug)]
struct No {
    sqlstate: &'static str,
    failure: Failure,
    /// The request that was made, where nobody waits for its answer.
    asked: Option<ApprovalId>,
}

impl No {
    fn because(failure: Failure) -> Self {
        Self { sqlstate: "42501", failure, asked: None }
    }
}

/// Where a statement waits: what its connection asked for when it began.
#[derive(Debug)]
pub(crate) struct Stand {
    pub(crate) live: Arc<Live>,
    pub(crate) wait: bool,
    /// An approval that was asked for earlier.
    pub(crate) resume: Mutex<Option<ApprovalId>>,
    pub(crate) commands: mpsc::Sender<Command>,
    /// What its statement waits for at the moment.
    current: Mutex<Option<ApprovalId>>,
}

impl Stand {
    pub(crate) fn new(
        live: Arc<Live>,
        wait: bool,
        resume: Option<ApprovalId>,
        commands: mpsc::Sender<Command>,
    ) -> Self {
        Self { live, wait, resume: Mutex::new(resume), commands, current: Mutex::default() }
    }
}

/// All requests of this gateway.
#[derive(Debug)]
pub(crate) struct Approvals {
    store: Arc<Store>,
    log: Arc<Log>,
    rules: RwLock<ApprovalRules>,
    webhooks: Webhooks,
    /// How sure it is that what ran is on record.
    durability: Durability,
    /// What ran when the last gateway was stopped.
    cut: Mutex<Vec<ApprovalId>>,
    /// The last move that was handed on to be told. Whoever holds it puts moves on record, one after the other.
    announced: tokio::sync::Mutex<i64>,
    /// Who is to be woken when a request is decided.
    waiting: Mutex<HashMap<ApprovalId, oneshot::Sender<Approval>>>,
}

impl Approvals {
    pub(crate) fn new(
        store: Arc<Store>,
        log: Arc<Log>,
        rules: ApprovalRules,
        durability: Durability,
    ) -> Result<Self, Failure> {
        let webhooks = Webhooks::start(&rules.webhooks, &store)?;
        let announced = tokio::sync::Mutex::default();
        let (cut, waiting, rules) = (Mutex::default(), Mutex::default(), RwLock::new(rules));
        Ok(Self { store, log, rules, webhooks, durability, cut, announced, waiting })
    }

    /// Goes on by these rules: what is asked for from now on. Who is told stays as it was.
    pub(crate) fn go_by(&self, rules: &ApprovalRules) {
        self.rules.write().unwrap_or_else(PoisonError::into_inner).clone_from(rules);
    }

    fn rules(&self) -> ApprovalRules {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Who may decide, for a sentence.
    pub(crate) fn approvers(&self) -> Vec<String> {
        self.rules().approvers
    }

    /// Requests that are open, or all that are remembered, the newest first.
    pub(crate) async fn list(&self, open: bool) -> Result<Vec<Approval>, Failure> {
        let now = clock::now();
        let mut found = self.store.run(move |db| load_all(db, open)).await?;
        for approval in &mut found {
            // Time alone needs nobody to notice it.
            drop(approval.ballot.play(now, Move::Tick));
        }
        found.retain(|approval| !open || !approval.ballot.is_over());
        Ok(found)
    }

    /// Asks for access, or takes it. Asking twice is asking once.
    pub(crate) async fn ask_access(&self, ask: AccessAsk) -> Result<Approval, Failure> {
        let now = clock::now();
        let open = self.list(true).await?;
        let same = |approval: &&Approval| {
            ask.wanted.is_covered(approval)
                && approval.body.access == ask.wanted.access.word()
                && matches!(approval.ballot.state, ApprovalState::Pending | ApprovalState::Approved)
        };
        // Whoever is waited for may have to be gone without after all.
        let found = open.iter().filter(same).find(|found| !ask.taken || found.ballot.state == ApprovalState::Approved);
        if let Some(found) = found {
            return Ok(found.clone());
        }
        let overdue = |approval: &&Approval| {
            let due = approval.body.review_by_ms.map(Timestamp::from_millis);
            approval.requester == ask.wanted.requester && due.is_some_and(|due| now >= due)
        };
        if let Some(overdue) = open.iter().find(overdue).filter(|_| ask.taken) {
            let message = format!("what was done with {} has not been reviewed", overdue.id);
            return Err(Failure::new(Kind::Denied, message)
                .detail("No further access is taken before somebody else has looked at that.")
                .hint(format!("let somebody run: gov approval review {}", overdue.id)));
        }
        let approval = self.access_drafted(&ask, random::approval_id()?, now);
        let saved = approval.clone();
        self.store.run(move |db| insert(db, &saved, now)).await?;
        if ask.taken {
            warn!(approval = %approval.id, resource = %ask.wanted.resource, "access was taken without asking");
        } else {
            info!(approval = %approval.id, resource = %ask.wanted.resource, "access asked for");
        }
        self.announce().await;
        Ok(approval)
    }

    /// The approval by which somebody has access now.
    pub(crate) async fn standing(&self, wanted: &Wanted) -> Result<Option<Approval>, Failure> {
        let open = self.list(true).await?;
        let stands =
            |approval: &Approval| wanted.is_covered(approval) && approval.ballot.state == ApprovalState::Approved;
        Ok(open.into_iter().filter(stands).max_by_key(|approval| approval.ballot.execute_by))
    }

    /// Keeps noticing what time alone has changed. Runs until dropped.
    pub(crate) async fn follow(self: Arc<Self>, timeline: Arc<Timeline>) {
        let ticks = async {
            loop {
                self.tick().await;
                tokio::time::sleep(TICK_EVERY).await;
            }
        };
        tokio::join!(self.settle_cut(&timeline), ticks);
    }

    /// Notices what time alone has changed, so that it is on record and told.
    async fn tick(&self) {
        // What could not be put on record, or told, the last time.
        self.announce().await;
        let now = clock::now();
        let open = match self.store.run(|db| load_all(db, true)).await {
            Ok(open) => open,
            Err(failure) => return warn!(error = %failure, "approvals could not be looked through"),
        };
        for approval in open {
            let mut later = approval.ballot.clone();
            drop(later.play(now, Move::Tick));
            if later.state != approval.ballot.state
                && let Err(failure) = self.play(approval.id, now, None, Move::Tick, None).await
            {
                warn!(approval = %approval.id, error = %failure, "an approval whose time is over stays as it is");
            }
        }
    }

    fn access_drafted(&self, ask: &AccessAsk, id: ApprovalId, now: Timestamp) -> Approval {
        let wanted = &ask.wanted;
        let (about, state) = match ask.taken {
            true => (About::BreakGlass, ApprovalState::Approved),
            false => (About::Access, ApprovalState::Pending),
        };
        let rules = self.rules();
        let approve_by = now.after(rules.keep);
        let execute_by = if ask.taken { now.after(ask.lasts) } else { approve_by.after(ask.lasts) };
        let (access, lasts) = (wanted.access.word(), print_duration(ask.lasts));
        let verb = if ask.taken { "took" } else { "asks for" };
        let case = audit::digest(
            format!("gov access\n{}\n{}\n{access}\n{lasts}\n{:?}\n", wanted.requester, wanted.resource, wanted.purpose)
                .as_bytes(),
        );
        let body = Body {
            yes: Vec::new(),
            no: None,
            needed: rules.quorum,
            barred: ask.barred.clone(),
            approve_by_ms: approve_by.millis(),
            execute_by_ms: execute_by.millis(),
            session: None,
            // No statement has this one.
            binding: String::new(),
            digest: bound(case, id, None, (approve_by, execute_by)).to_string(),
            asked_at: now.to_string(),
            who: wanted.identity.name.clone(),
            kind: wanted.identity.acting().word().to_owned(),
            issuer: wanted.identity.issuer.clone(),
            actors: wanted.identity.actors.iter().map(|actor| actor.id.clone()).collect(),
            resource: wanted.resource.to_string(),
            access: access.to_owned(),
            purpose: wanted.purpose.as_ref().map(|purpose| purpose.id.to_string()),
            reference: wanted.purpose.as_ref().and_then(|purpose| purpose.reference.clone()),
            text: None,
            values: Vec::new(),
            normalized: String::new(),
            operations: Vec::new(),
            objects: Vec::new(),
            search_path: Vec::new(),
            opaque: false,
            in_transaction: false,
            rule: ACCESS_RULE.to_owned(),
            message: format!("{verb} {access} access for {lasts}: {}", ask.reason),
            detail: None,
            rows_max: None,
            remarks: Vec::new(),
            about,
            lasts_ms: u64::try_from(ask.lasts.as_millis()).ok(),
            review_by_ms: ask.taken.then(|| execute_by.after(REVIEW_WITHIN).millis()),
        };
        Approval { id, ballot: body.ballot(state), requester: wanted.requester.clone(), body }
    }

    /// Moves a request, puts that on record, and wakes whoever waits for it.
    pub(crate) async fn play(
        &self,
        id: ApprovalId,
        now: Timestamp,
        by: Option<String>,
        wanted: Move<'_>,
        remark: Option<String>,
    ) -> Result<Approval, Failure> {
        let wanted = Owned::of(wanted);
        // What time has changed by now is a move of its own, and nobody's.
        let work = move |db: &Transaction<'_>| {
            let due = change(db, id, now, &Owned::Other(Move::Tick), None, None)?;
            Ok((due, change(db, id, now, &wanted, by.as_deref(), remark)?))
        };
        let (due, moved) = self.store.run(work).await?;
        let (due, moved) = (due?, moved?);
        for moved in [&due, &moved].into_iter().filter(|moved| moved.from != moved.approval.ballot.state) {
            info!(approval = %id, from = moved.from.word(), to = moved.approval.ballot.state.word(), "approval");
        }
        self.announce().await;
        let Moved { from, approval, refused } = moved;
        if from != approval.ballot.state && approval.ballot.state != ApprovalState::Executing {
            let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
            // Whoever waited may have gone this very moment; then the withdrawal is on its way.
            if let Some(waiting) = waiting {
                let _gone = waiting.send(approval.clone());
            }
        }
        refused.map_or(Ok(approval), Err)
    }

    /// Puts on record what was moved, and has others told. What fails is tried again with the next move, or the next tick.
    async fn announce(&self) {
        let mut announced = self.announced.lock().await;
        loop {
            match self.announce_behind(*announced).await {
                Ok(Some(last)) => *announced = last,
                Ok(None) => return,
                Err(failure) => return warn!(error = %failure, "what became of approvals is not on record yet"),
            }
        }
    }

    /// Some of the moves behind one; the last of them. `None` when there are none, or others have to be told of earlier ones
    /// first.
    async fn announce_behind(&self, after: i64) -> Result<Option<i64>, Failure> {
        let left = self
            .store
            .run(move |db| {
                let left = moves::left(db, after)?;
                left.into_iter().map(|made| Ok((load(db, made.approval)?, made))).collect::<rusqlite::Result<Vec<_>>>()
            })
            .await?;
        let Some(last) = left.last().map(|(_, made)| made.number) else { return Ok(None) };
        let mut ticket = None;
        for (approval, made) in left.iter().filter(|(_, made)| !made.recorded) {
            if let Some((_, approval)) = approval {
                ticket = Some(self.record(approval, made)?);
            }
        }
        if let Some(ticket) = ticket {
            self.log.durable(ticket).await?;
        }
        self.store.run(move |db| moves::recorded(db, last)).await?;
        let mut told = None;
        for (approval, made) in left {
            let number = made.number;
            // A request of which nothing is left has nobody waiting for it.
            match approval.map_or(Handed::Nobody, |(_, approval)| self.webhooks.tell(approval, made)) {
                Handed::On => {}
                Handed::Nobody => self.store.run(move |db| moves::done(db, number)).await?,
                Handed::Back => break,
            }
            told = Some(number);
        }
        Ok(told)
    }

    fn record(&self, approval: &Approval, made: &Made) -> Result<Ticket, Failure> {
        let happening = Happening::Approval {
            id: approval.id,
            from: made.from,
            to: made.to,
            by: made.by.clone(),
            resource: approval.body.resource.clone(),
            digest: Digest::parse(&approval.body.digest).unwrap_or(Digest([0; 32])),
            about: approval.body.about.word(),
        };
        let session = approval.body.session.as_deref().and_then(|id| id.parse::<SessionId>().ok());
        self.log.record_at(made.at, session, happening)
    }

    /// What a connection's session is given to plead with.
    pub(crate) fn arbiter(self: &Arc<Self>, stand: Stand) -> Arbiter {
        let (approvals, stand) = (Arc::clone(self), Arc::new(stand));
        Arc::new(move |plea| {
            let (approvals, stand) = (Arc::clone(&approvals), Arc::clone(&stand));
            match plea {
                Plea::Ask(ask) => {
                    tokio::spawn(approvals.asked(stand, *ask));
                }
                Plea::Withdraw => {
                    let current = stand.current.lock().unwrap_or_else(PoisonError::into_inner).take();
                    if let Some(id) = current {
                        let by = Some(stand.live.requester.clone());
                        // It may have been decided this very moment; the session then says that it did not run.
                        tokio::spawn(async move {
                            drop(approvals.play(id, clock::now(), by, Move::Withdraw, None).await);
                        });
                    }
                }
                Plea::Ended { id, executed } => {
                    tokio::spawn(async move {
                        if let Err(failure) = approvals.play(id, clock::now(), None, Move::Finish(executed), None).await
                        {
                            warn!(approval = %id, error = %failure, "the end of an execution was not noted");
                        }
                    });
                }
            }
        })
    }

    async fn asked(self: Arc<Self>, stand: Arc<Stand>, ask: Ask) {
        let answer = match self.answer(&stand, ask).await {
            Ok(id) => Command::Approved(id),
            Err(No { sqlstate, failure, asked }) => Command::NotApproved(sqlstate, Box::new(failure), asked),
        };
        *stand.current.lock().unwrap_or_else(PoisonError::into_inner) = None;
        // The connection may have ended meanwhile.
        drop(stand.commands.send(answer).await);
    }

    /// Waits for the answer, as long as there may be one. When it is yes, the approval has been used.
    async fn answer(&self, stand: &Stand, ask: Ask) -> Result<ApprovalId, No> {
        let resume = stand.resume.lock().unwrap_or_else(PoisonError::into_inner).take();
        let approval = match resume {
            Some(id) => self.earlier(id, stand, &ask).await,
            None => self.request(stand, ask).await,
        };
        let approval = approval.map_err(No::because)?;
        let (id, now) = (approval.id, clock::now());
        if approval.ballot.state == ApprovalState::Pending {
            if !stand.wait {
                return Err(No { asked: Some(id), ..No::because(self.pending(&approval)) });
            }
            let (wake, woken) = oneshot::channel();
            self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id, wake);
            *stand.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(id);
            drop(stand.commands.send(Command::Held(self.notice(&approval), id)).await);
            // A little later than the deadline: then the deadline is over for sure.
            let left = approval.ballot.approve_by.since(now) + DEADLINE_SLACK;
            // Decided between the two lines above, it is seen here; decided later, it wakes us.
            let known = self.play(id, clock::now(), None, Move::Tick, None).await;
            let pending = known.as_ref().is_ok_and(|known| known.ballot.state == ApprovalState::Pending);
            let decided = match known {
                Ok(_) if pending => match tokio::time::timeout(left, woken).await {
                    Ok(Ok(decided)) => Ok(decided),
                    Ok(Err(_)) | Err(_) => self.play(id, clock::now(), None, Move::Tick, None).await,
                },
                known => known,
            };
            self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
            let decided = decided.map_err(No::because)?;
            if decided.ballot.state != ApprovalState::Approved {
                let (sqlstate, failure) = refusal(&decided);
                return Err(No { sqlstate, ..No::because(failure) });
            }
        }
        self.play(id, clock::now(), None, Move::Use, None).await.map_err(No::because)?;
        Ok(id)
    }

    /// An approval that was asked for in another session of the same person, for this very case.
    async fn earlier(&self, id: ApprovalId, stand: &Stand, ask: &Ask) -> Result<Approval, Failure> {
        let unknown = || {
            Failure::new(Kind::NotFound, format!("there is no approval `{id}` for this"))
                .detail("An approval is good for the bytes, values, purpose and schemas it was asked for, and for one person.")
                .hint("ask again without --approval")
        };
        let found = self.store.run(move |db| load(db, id)).await?;
        let (_, mut found) = found.ok_or_else(unknown)?;
        let same = found.body.session.is_none()
            && found.requester == stand.live.requester
            && found.body.binding == ask.binding.to_string();
        if !same {
            return Err(unknown());
        }
        drop(found.ballot.play(clock::now(), Move::Tick));
        match found.ballot.state {
            ApprovalState::Pending | ApprovalState::Approved => Ok(found),
            _ => Err(refusal(&found).1),
        }
    }

    /// Asks anew.
    async fn request(&self, stand: &Stand, ask: Ask) -> Result<Approval, Failure> {
        let now = clock::now();
        let approval = self.drafted(stand, &ask, random::approval_id()?, now);
        let saved = approval.clone();
        self.store.run(move |db| insert(db, &saved, now)).await?;
        info!(approval = %approval.id, session = %stand.live.grant.session, rule = ask.reason.rule, "approval asked for");
        self.announce().await;
        Ok(approval)
    }

    fn drafted(&self, stand: &Stand, ask: &Ask, id: ApprovalId, now: Timestamp) -> Approval {
        let grant = &stand.live.grant;
        let policy = stand.live.engine.policy();
        let rules = self.rules();
        let end = |length| now.after(length).min(grant.expires_at);
        // One that is waited for is used at once; one for later has its own time.
        let (approve_by, execute_by) = if stand.wait {
            (end(rules.wait), grant.expires_at)
        } else {
            (now.after(rules.keep), now.after(rules.keep))
        };
        let session = stand.wait.then(|| grant.session.to_string());
        let objects = ask.statement.relations.iter().map(|relation| Object {
            name: relation.schema.as_ref().map_or_else(|| relation.name.clone(), |s| format!("{s}.{}", relation.name)),
            touch: match relation.touch {
                Touch::Read => "read",
                Touch::Write => "write",
                Touch::Define => "define",
            }
            .to_owned(),
            tags: policy
                .tags(relation.schema.as_deref().unwrap_or("public"), &relation.name)
                .into_iter()
                .map(str::to_owned)
                .collect(),
        });
        let shown = |value: &Option<Vec<u8>>| {
            value.as_ref().map(|value| match std::str::from_utf8(value) {
                Ok(text) if !text.contains('\0') => text.to_owned(),
                Ok(_) | Err(_) => value.iter().map(|byte| format!("{byte:02x}")).collect(),
            })
        };
        let body = Body {
            yes: Vec::new(),
            no: None,
            needed: rules.quorum,
            barred: stand.live.barred(),
            approve_by_ms: approve_by.millis(),
            execute_by_ms: execute_by.millis(),
            binding: ask.binding.to_string(),
            digest: bound(ask.binding, id, session.as_deref(), (approve_by, execute_by)).to_string(),
            session,
            asked_at: now.to_string(),
            who: grant.identity.name.clone(),
            kind: grant.identity.acting().word().to_owned(),
            issuer: grant.identity.issuer.clone(),
            actors: grant.identity.actors.iter().map(|actor| actor.id.clone()).collect(),
            resource: grant.resource.to_string(),
            access: grant.access.word().to_owned(),
            purpose: grant.purpose.as_ref().map(|purpose| purpose.id.to_string()),
            reference: grant.purpose.as_ref().and_then(|purpose| purpose.reference.clone()),
            text: Some(String::from_utf8_lossy(&ask.text).into_owned()),
            values: ask.values.iter().map(shown).collect(),
            normalized: ask.statement.normalized.to_string(),
            operations: ask.statement.operations.iter().map(|operation| operation.word().to_owned()).collect(),
            objects: objects.collect(),
            search_path: ask.search_path.clone(),
            opaque: ask.opaque,
            in_transaction: ask.in_block,
            rule: ask.reason.rule.to_owned(),
            message: ask.reason.message.clone(),
            detail: ask.reason.detail.clone(),
            rows_max: ask.audit.map(|audit| audit.rows_max),
            remarks: Vec::new(),
            about: About::Statement,
            lasts_ms: None,
            review_by_ms: None,
        };
        let ballot = body.ballot(ApprovalState::Pending);
        Approval { id, ballot, requester: stand.live.requester.clone(), body }
    }

    /// What the client is told while it waits.
    fn notice(&self, approval: &Approval) -> Failure {
        let until = approval.ballot.approve_by;
        let (who, hint) = match list(&self.approvers()) {
            Some(groups) => (
                format!("{} of {groups} may approve it until {until}", persons(approval.ballot.needed)),
                format!("let somebody run: gov approval approve {}", approval.id),
            ),
            None => (format!("Nobody may approve it, and it waits until {until}"), NO_APPROVERS.to_owned()),
        };
        let (why, rule) = (sentence(approval), &approval.body.rule);
        Failure::new(Kind::Pending, format!("this waits for approval: {}", approval.body.message))
            .detail(format!("{why}{who}. Ctrl-C withdraws it. Rule: {rule}."))
            .hint(hint)
    }

    /// What a client that does not wait is told.
    fn pending(&self, approval: &Approval) -> Failure {
        Failure::new(Kind::Pending, format!("this needs approval: {}", approval.body.message))
            .detail(format!("{}Approval: {}. Rule: {}.", sentence(approval), approval.id, approval.body.rule))
            .hint(list(&self.approvers()).map_or_else(
                || NO_APPROVERS.to_owned(),
                |groups| {
                    let id = approval.id;
                    format!("once somebody of {groups} has approved it, run it again with --approval {id}")
                },
            ))
    }
}

/// What the requester is told when the answer is not yes.
fn refusal(approval: &Approval) -> (&'static str, Failure) {
    let about = &approval.body.message;
    let remark = approval.body.remarks.last().map_or_else(String::new, |remark| format!("{remark}. "));
    let (sqlstate, message) = match approval.ballot.state {
        ApprovalState::Denied => ("42501", format!("approval was denied: {about}")),
        ApprovalState::Revoked => ("42501", format!("approval was taken back: {about}")),
        ApprovalState::Expired | ApprovalState::Lapsed => ("57014", format!("nobody approved this in time: {about}")),
        state => ("42501", format!("approval is {state}: {about}")),
    };
    let used = match approval.ballot.state {
        ApprovalState::Executing => Some("It runs at this moment, and is good for one execution"),
        ApprovalState::Executed => Some("It has run, and was good for one execution"),
        ApprovalState::Failed => Some("It was used, and what ran by it failed"),
        ApprovalState::Unknown => Some("It was used, and whether that took effect is not known"),
        ApprovalState::Pending
        | ApprovalState::Approved
        | ApprovalState::Denied
        | ApprovalState::Expired
        | ApprovalState::Withdrawn
        | ApprovalState::Revoked
        | ApprovalState::Lapsed
        | ApprovalState::Stale
        | ApprovalState::Reviewed => None,
    };
    let (ran, look) = match used {
        Some(used) => (format!("{used}: nothing has run now."), "timeline --approval"),
        None => ("Nothing of it has run.".to_owned(), "approval show"),
    };
    let detail = format!("{remark}{ran} Approval: {}. Rule: {}.", approval.id, approval.body.rule);
    let hint = format!("see what became of it with: gov {look} {}", approval.id);
    (sqlstate, Failure::new(Kind::Denied, message).detail(detail).hint(hint))
}

/// Why, where the rule says more than what the statement does.
fn sentence(approval: &Approval) -> String {
    approval.body.detail.as_ref().map_or_else(String::new, |detail| format!("{detail} "))
}

fn persons(count: usize) -> String {
    if count == 1 { "Somebody".to_owned() } else { format!("{count} persons") }
}

/// What can be done where nobody may decide.
const NO_APPROVERS: &str = "no approvers are configured: name groups under `approvals: {approvers: ...}` on the server";

/// Groups, for a sentence; nothing when there are none.
pub(crate) fn list(groups: &[String]) -> Option<String> {
    let listed: Vec<_> = groups.iter().map(|group| format!("`{group}`")).collect();
    (!listed.is_empty()).then(|| listed.join(", "))
}

/// SHA-256 over a case and the limits of one request for it.
fn bound(case: Digest, id: ApprovalId, session: Option<&str>, (by, until): (Timestamp, Timestamp)) -> Digest {
    let text = format!("gov approval\n{case}\n{id}\n{}\n{}\n{}\n", session.unwrap_or("-"), by.millis(), until.millis());
    audit::digest(text.as_bytes())
}

impl Body {
    fn ballot(&self, state: ApprovalState) -> Ballot {
        Ballot {
            state,
            yes: self.yes.clone(),
            no: self.no.clone(),
            needed: self.needed,
            barred: self.barred.clone(),
            approve_by: Timestamp::from_millis(self.approve_by_ms),
            execute_by: Timestamp::from_millis(self.execute_by_ms),
            lasts: self.lasts_ms.map(Duration::from_millis),
            review: self.review_by_ms.is_some(),
        }
    }
}

/// Others have been told of a move, or cannot be.
pub(crate) async fn told(store: &Store, made: &Made) {
    let number = made.number;
    if let Err(failure) = store.run(move |db| moves::done(db, number)).await {
        warn!(approval = %made.approval, error = %failure, "others will be told of this approval again");
    }
}

/// A move that can be sent to the store's thread.
#[derive(Debug)]
enum Owned {
    Approve(String),
    Deny(String),
    Review(String),
    Bar(String),
    Other(Move<'static>),
}

impl Owned {
    fn of(wanted: Move<'_>) -> Self {
        match wanted {
            Move::Approve(who) => Self::Approve(who.to_owned()),
            Move::Deny(who) => Self::Deny(who.to_owned()),
            Move::Review(who) => Self::Review(who.to_owned()),
            Move::Bar(who) => Self::Bar(who.to_owned()),
            Move::Withdraw => Self::Other(Move::Withdraw),
            Move::Use => Self::Other(Move::Use),
            Move::Finish(executed) => Self::Other(Move::Finish(executed)),
            Move::Tick => Self::Other(Move::Tick),
        }
    }

    fn wanted(&self) -> Move<'_> {
        match self {
            Self::Approve(who) => Move::Approve(who),
            Self::Deny(who) => Move::Deny(who),
            Self::Review(who) => Move::Review(who),
            Self::Bar(who) => Move::Bar(who),
            Self::Other(wanted) => *wanted,
        }
    }
}

fn insert(db: &Transaction<'_>, approval: &Approval, now: Timestamp) -> rusqlite::Result<()> {
    let body = serde_json::to_string(&approval.body).unwrap_or_default();
    let state = approval.ballot.state.word();
    db.execute(
        "INSERT INTO approvals (id, version, state, requester, body, review) VALUES (?1, 0, ?2, ?3, ?4, ?5)",
        (approval.id.to_string(), state, &approval.requester, body, approval.ballot.review),
    )?;
    moves::note(db, approval.id, now, (None, approval.ballot.state), Some(&approval.requester))?;
    // The oldest that have ended make room.
    db.execute(
        "DELETE FROM approvals WHERE id IN (SELECT id FROM approvals WHERE state NOT IN ('pending', 'approved', 'executing') \
         AND review = 0 AND id NOT IN (SELECT approval FROM approval_moves) ORDER BY id DESC LIMIT -1 OFFSET ?1)",
        [i64::try_from(KEPT_MAX).unwrap_or(i64::MAX)],
    )?;
    Ok(())
}

/// A request and the version of it that was read.
fn load(db: &Transaction<'_>, id: ApprovalId) -> rusqlite::Result<Option<(i64, Approval)>> {
    let mut select = db.prepare_cached("SELECT id, version, state, requester, body FROM approvals WHERE id = ?1")?;
    Ok(select.query_row([id.to_string()], read).optional()?.flatten())
}

fn load_all(db: &Transaction<'_>, open: bool) -> rusqlite::Result<Vec<Approval>> {
    let mut select = db.prepare(
        "SELECT id, version, state, requester, body FROM approvals \
         WHERE NOT ?1 OR review = 1 OR state IN ('pending', 'approved', 'executing') ORDER BY id DESC",
    )?;
    let rows = select.query_map([open], read)?.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(rows.into_iter().flatten().map(|(_, approval)| approval).collect())
}

/// `None` for a row that no version of ours wrote: what cannot be read is not approved.
fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Option<(i64, Approval)>> {
    let (id, version, state): (String, i64, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
    let (requester, body): (String, String) = (row.get(3)?, row.get(4)?);
    let approval = || {
        let body: Body = serde_json::from_str(&body).ok()?;
        let ballot = body.ballot(ApprovalState::parse(&state)?);
        Some((version, Approval { id: id.parse().ok()?, ballot, requester, body }))
    };
    Ok(approval())
}

/// Saves a request, unless somebody else has changed it since `version` was read.
fn save(db: &Transaction<'_>, version: i64, approval: &mut Approval) -> rusqlite::Result<bool> {
    let Ballot { yes, no, barred, .. } = &approval.ballot;
    (approval.body.yes, approval.body.no, approval.body.barred) = (yes.clone(), no.clone(), barred.clone());
    // Access lasts from the yes on.
    approval.body.execute_by_ms = approval.ballot.execute_by.millis();
    if approval.ballot.state.is_end() {
        approval.body.text = None;
        approval.body.values.clear();
    }
    let body = serde_json::to_string(&approval.body).unwrap_or_default();
    let state = approval.ballot.state.word();
    let changed = db.execute(
        "UPDATE approvals SET version = version + 1, state = ?3, body = ?4, review = ?5 WHERE id = ?1 AND version = ?2",
        (approval.id.to_string(), version, state, body, !approval.ballot.is_over() && approval.ballot.review),
    )?;
    Ok(changed == 1)
}

/// Loads, plays and saves: one transaction, which another gateway's cannot come between.
fn change(
    db: &Transaction<'_>,
    id: ApprovalId,
    now: Timestamp,
    wanted: &Owned,
    by: Option<&str>,
    remark: Option<String>,
) -> rusqlite::Result<Result<Moved, Failure>> {
    let Some((version, mut approval)) = load(db, id)? else { return Ok(Err(unknown(&id.to_string()))) };
    let from = approval.ballot.state;
    let played = approval.ballot.play(now, wanted.wanted());
    if let (Ok(_), Some(remark)) = (&played, remark) {
        approval.body.remarks.push(remark);
    }
    let same = from == approval.ballot.state && matches!(wanted, Owned::Other(_));
    if !same && !save(db, version, &mut approval)? {
        return Ok(Err(
            Failure::new(Kind::Denied, "somebody else changed this approval just now").hint("look at it again")
        ));
    }
    let to = approval.ballot.state;
    // That somebody agreed is worth a record, even where that is not enough.
    if from != to || (by.is_some() && played.is_ok()) {
        moves::note(db, id, now, (Some(from), to), by.filter(|_| played.is_ok()))?;
    }
    Ok(Ok(Moved { from, approval, refused: played.err() }))
}

pub(crate) fn unknown(id: &str) -> Failure {
    Failure::new(Kind::NotFound, format!("there is no approval `{id}`")).hint("see what there is with: gov approval ls")
}

#[cfg(test)]
mod tests;
