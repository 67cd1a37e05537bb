//! Opens sessions: who, what, why, until when; then a credential, two certified keys, and a first record.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use tracing::info;

use super::Server;
use super::access::{self, Allowed};
use super::api::Caller;
use super::approval::{AccessAsk, Approval, Wanted};
use super::budgets::{self, Tab};
use super::config::Config;
use super::credential;
use super::directory;
use super::leases;
use super::live::Opening;
use super::masking::Place;
use super::reload;
use super::schema::Reading;
use crate::domain::{
    Access, ApprovalId, BadName, ColumnName, Duration, Environment, Failure, Grant, Happening, Identity, IdentityKind,
    Kind, Limits, Masking, Move, Peer, PublicKey, Purpose, ResourceName, Timestamp,
};
use crate::engine::{Engine, MaskKey, Policy, Revealing};
use crate::runtime::{clock, random};
use crate::wire::api::{AccessRequest, SessionOpened, SessionRequest};

/// Database connections of one session at the same time. A GUI opens one per editor tab, a pool some ten; a benchmark
/// with a thousand idle ones should work too.
const CONNECTIONS_MAX: u32 = 2000;

/// Columns of one session that are shown with their real values: their names fit in its first record. Who needs more
/// needs another classification.
const REVEALED_MAX: usize = 32;

/// Shortest session: less cannot be used.
const TTL_MIN: Duration = Duration::from_secs(1);

/// Longest text a client states about itself.
const STATED_MAX: usize = 128;

/// Opens a session for a caller. Not cancel safe: a minted credential would wait for the sweeper; spawn it.
pub(super) async fn open(
    server: Arc<Server>,
    caller: Caller,
    address: String,
    request: SessionRequest,
) -> Result<SessionOpened, Failure> {
    let wish = Wish::of(&request.resource, &request.access, request.purpose.as_deref(), request.reference.as_deref())?;
    let key = BASE64URL.decode(&request.session_key).ok().and_then(|bytes| bytes.try_into().ok()).map(PublicKey);
    let key = key.ok_or_else(|| Failure::new(Kind::Usage, "the session key is not an Ed25519 public key"))?;
    let config = server.config();
    let refused = |failure: &Failure| {
        server.happened(Happening::SessionRefused {
            subject: caller.pseudonym.clone(),
            resource: wish.resource.to_string(),
            why: refusal_word(failure.kind),
        });
    };
    let mut allowed = access::decide(&config, &caller.identity, wish.as_request()).inspect_err(refused)?;
    let warrant = warrant(&server, &caller, &wish, &mut allowed).await.inspect_err(refused)?;
    let who = budgets::whose(&caller.pseudonym, &caller.identity);
    let tab = Tab::new(allowed.bounds, who, Arc::clone(&server.live.days));
    let spent = tab.spent_before(clock::now());
    let asks = spent.as_ref().and_then(|failure| tab.asks(failure));
    if let Some(failure) = spent.filter(|_| asks.is_none()) {
        return Err(failure);
    }
    let schema = server.schema(&wish.resource)?;
    let resource = Arc::clone(schema.resource());
    let reading = schema.refreshed().await?;
    let session = random::session_id()?;
    let revealing = (!request.reveal.is_empty()).then_some(session);
    let Place { masking, seen, why } = schema.masking().of(allowed.access, revealing, &reading).await?;
    let now = clock::now();
    let policy = Arc::new(Policy::written(Environment::of(&resource.labels), &config.policy));
    let canonical = policy.canonical();
    let grant = Arc::new(Grant {
        session,
        identity: caller.identity.clone(),
        resource: wish.resource.clone(),
        labels: resource.labels.clone(),
        purpose: wish.purpose.clone(),
        access: allowed.access,
        reveal: revealed(&request.reveal, &reading)?,
        masking,
        limits: Limits { connections_max: CONNECTIONS_MAX, rows_max: allowed.bounds.statement_rows },
        opened_at: now,
        expires_at: expiry(&caller, now, lifetime(allowed.ttl, request.ttl_seconds)),
        policy: policy.digest(),
    });
    let lease_request = credential::Request {
        session,
        access: grant.access,
        expires_at: grant.expires_at,
        connections_max: CONNECTIONS_MAX,
        statement_time: policy.statement_time(),
        seen,
    };
    let lease = resource.source.mint(&resource, lease_request).await?;
    let remembered = leases::Open { resource: resource.name.to_string(), role: lease.role.clone() };
    let remembered = server.store.run(move |db| leases::minted(db, &remembered, now)).await;
    let peer = Peer { address, host: stated(&request.host), version: stated(&request.version) };
    let begun = async {
        remembered?;
        let mut reading = Arc::clone(&reading);
        if masking == Masking::Database && !grant.reveal.is_empty() {
            let (role, columns) = (lease.role.clone(), grant.reveal.clone());
            reading = schema.reveal(Revealing { session, role, columns }).await?;
        }
        let catalog = reading.catalog_of(masking);
        let engine = Engine::new(policy, catalog, Some(mask_key(&server, &grant))).revealing(&grant);
        if let Some(reason) = asks {
            engine.hold_all(reason);
        }
        let books = server.log.open_session(&grant, &caller.pseudonym, key, peer)?;
        // Nobody has the session before its opening is on record for good.
        server.log.durable(books.opened).await?;
        let opening = Opening {
            grant: Arc::clone(&grant),
            schema: Arc::clone(&schema),
            engine: Arc::new(engine),
            lease: lease.clone(),
            text_key: random::bytes()?,
            sealer: server.text_sealer(&caller.pseudonym, session, now).await?,
            client_key: key,
            requester: caller.pseudonym.clone(),
            barred: barred(&server, &config, &caller.identity, &caller.pseudonym).await?,
            warrant,
            approvals: Arc::clone(&server.approvals),
            host: stated(&request.host),
            process: request.process,
            recorder: books.gateway,
            durability: server.config().durability,
            crew: server.crew.clone(),
            tab,
        };
        Ok((server.live.add(opening), books.client_certificate))
    };
    let (live, certificate) = match begun.await {
        Ok(live) => live,
        Err(failure) => {
            // Nothing may stay behind of a session that nobody has.
            drop(schema.revoke(&grant, &lease).await);
            return Err(failure);
        }
    };
    // Access may have been changed while the credential was made.
    let latest = server.config();
    if !Arc::ptr_eq(&config, &latest) {
        reload::bring(&server, &latest, &live).await?;
    }
    live.happened(Happening::CredentialMinted { source: resource.source.name(), role: lease.role.clone() });
    info!(session = %session, resource = %grant.resource, subject = %caller.pseudonym, "session opened");
    Ok(SessionOpened {
        session: session.to_string(),
        resource: grant.resource.to_string(),
        protocol: "postgres".to_owned(),
        database: resource.database.clone(),
        role: lease.acts_as().to_owned(),
        search_path: reading.search_path.clone(),
        labels: grant.labels.clone(),
        access: grant.access.word().to_owned(),
        reveal: grant.reveal.iter().map(ToString::to_string).collect(),
        masking: grant.masking.word().to_owned(),
        masking_reason: why,
        opened_at: grant.opened_at.to_string(),
        expires_at: grant.expires_at.to_string(),
        connections_max: CONNECTIONS_MAX,
        pseudonym: caller.pseudonym.clone(),
        policy: String::from_utf8(canonical).map_err(|_| Failure::new(Kind::Internal, "the policy is not text"))?,
        policy_digest: grant.policy.to_string(),
        text_key: BASE64URL.encode(live.text_key_bytes()),
        certificate: certificate.write(),
    })
}

/// The approval by which somebody gets what they must ask for; the session ends with it. Nothing where nobody need be asked.
async fn warrant(
    server: &Server,
    caller: &Caller,
    wish: &Wish,
    allowed: &mut Allowed,
) -> Result<Option<ApprovalId>, Failure> {
    if !allowed.approval {
        return Ok(None);
    }
    let Some(found) = server.approvals.standing(&wish.of_caller(caller)).await? else {
        let write = if wish.access == Access::Write { " --write" } else { "" };
        let purpose = wish.purpose.as_ref().map_or_else(String::new, |purpose| {
            let reference = purpose.reference.as_ref().map_or_else(String::new, |text| format!(" --ref {text}"));
            format!(" --purpose {}{reference}", purpose.id)
        });
        return Err(Failure::new(Kind::Pending, format!("access to `{}` needs approval", wish.resource))
            .detail("You may ask for it; once somebody has agreed, it is yours for a time.")
            .hint(format!("ask with: gov request {}{write}{purpose} --reason \"...\"", wish.resource)));
    };
    let now = clock::now();
    allowed.ttl = allowed.ttl.min(found.ballot.execute_by.since(now));
    Ok(Some(found.id))
}

/// Asks for access, or takes it where that is allowed.
pub(super) async fn request(server: &Server, caller: &Caller, asked: &AccessRequest) -> Result<Approval, Failure> {
    let wish = Wish::of(&asked.resource, &asked.access, asked.purpose.as_deref(), asked.reference.as_deref())?;
    let reason = stated(&asked.reason);
    if reason.trim().is_empty() {
        return Err(Failure::new(Kind::Usage, "a request needs a reason").hint("add --reason \"...\""));
    }
    let config = server.config();
    let allowed = access::decide(&config, &caller.identity, wish.as_request())?;
    if !allowed.approval {
        return Err(Failure::new(Kind::Usage, format!("nobody need be asked for this access to `{}`", wish.resource))
            .hint(format!("connect with: gov connect {}", wish.resource)));
    }
    if asked.break_glass && caller.identity.acting() != IdentityKind::Person {
        return Err(Failure::new(Kind::Denied, "only a person can take access without being asked")
            .hint("ask for it: leave --break-glass out"));
    }
    let longest = match (asked.break_glass, allowed.break_glass) {
        (false, _) => allowed.ttl,
        (true, Some(longest)) => longest.min(allowed.ttl),
        (true, None) => {
            return Err(Failure::new(Kind::Denied, format!("access to `{}` cannot be taken by you", wish.resource))
                .detail("No access rule lets you go without approval, not even in an emergency.")
                .hint("ask for it: leave --break-glass out"));
        }
    };
    let ask = AccessAsk {
        wanted: wish.of_caller(caller),
        barred: barred(server, &config, &caller.identity, &caller.pseudonym).await?,
        lasts: lifetime(longest, asked.ttl_seconds),
        reason,
        taken: asked.break_glass,
    };
    server.approvals.ask_access(ask).await
}

/// The columns whose real values are to be seen, with their schemas.
pub(super) fn revealed(names: &[String], reading: &Reading) -> Result<Vec<ColumnName>, Failure> {
    if names.len() > REVEALED_MAX {
        return Err(Failure::new(Kind::Usage, "too many columns are to be revealed")
            .detail(format!("The limit is {REVEALED_MAX} in one session.")));
    }
    let mut columns = Vec::new();
    for name in names {
        let name: ColumnName = name.parse().map_err(|error: BadName| Failure::new(Kind::Usage, error.to_string()))?;
        let found = reading.catalog.column_named(&name, &reading.search_path);
        columns.push(found.ok_or_else(|| {
            Failure::new(Kind::NotFound, format!("there is no column `{name}`"))
                .hint("`gov classify` lists the columns that are masked; write one as table.column")
        })?);
    }
    columns.sort();
    columns.dedup();
    Ok(columns)
}

/// Pseudonyms of those who may not approve what somebody asks for: they themselves, and whoever answers for an agent that
/// acts for them.
pub(super) async fn barred(
    server: &Server,
    config: &Config,
    identity: &Identity,
    pseudonym: &str,
) -> Result<Vec<String>, Failure> {
    let mut barred = vec![pseudonym.to_owned()];
    let actors = identity.actors.iter().map(|actor| actor.id.as_str());
    barred.extend(owners(server, config, &identity.issuer, actors).await?);
    Ok(barred)
}

/// Pseudonyms of those who answer for agents.
async fn owners(
    server: &Server,
    config: &Config,
    issuer: &str,
    actors: impl Iterator<Item = &str>,
) -> Result<Vec<String>, Failure> {
    let mut owners = Vec::new();
    for agent in actors.filter_map(|actor| config.agents.get(&actor.parse().ok()?)) {
        let (issuer, owner) = (issuer.to_owned(), agent.owner.clone());
        let (chance, now) = (random::bytes()?, clock::now());
        let mention = server.store.run(move |db| directory::mention(db, (&issuer, &owner), chance, now));
        owners.push(mention.await?);
    }
    Ok(owners)
}

/// Bars whoever answers, by this configuration, for an agent that asked. Whoever was barred when it was asked stays so.
pub(super) async fn bar_owners(server: &Server, config: &Config, approval: &Approval) -> Result<(), Failure> {
    let body = &approval.body;
    for owner in owners(server, config, &body.issuer, body.actors.iter().map(String::as_str)).await? {
        if approval.ballot.barred.contains(&owner) {
            continue;
        }
        let agreed = approval.ballot.yes.contains(&owner);
        let remark =
            agreed.then(|| "a yes does not count any more: whoever said it answers for the agent now".to_owned());
        let barred = server.approvals.play(approval.id, clock::now(), None, Move::Bar(&owner), remark).await?;
        server.live.end_opened_by(&barred).await;
    }
    Ok(())
}

fn mask_key(server: &Server, grant: &Grant) -> MaskKey {
    MaskKey(server.keys.mask_key(grant.resource.as_str()))
}

fn lifetime(longest: Duration, wished_seconds: Option<u64>) -> Duration {
    wished_seconds.map_or(longest, Duration::from_secs).clamp(TTL_MIN, longest.max(TTL_MIN))
}

/// When a session ends. A job's does with its login, which nothing renews: the job is proved for that long and no longer,
/// whatever a rule gives to whoever it is.
fn expiry(caller: &Caller, now: Timestamp, lifetime: Duration) -> Timestamp {
    let wished = now.after(lifetime);
    match caller.identity.kind {
        IdentityKind::Workload => wished.min(caller.expires_at),
        IdentityKind::Person | IdentityKind::Agent => wished,
    }
}

fn refusal_word(kind: Kind) -> &'static str {
    match kind {
        Kind::NotFound => "not_found",
        Kind::Pending => "pending",
        Kind::Usage
        | Kind::NotLoggedIn
        | Kind::Denied
        | Kind::Limit
        | Kind::Gateway
        | Kind::Database
        | Kind::Internal => "denied",
    }
}

fn stated(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(STATED_MAX).collect()
}

/// What is wished for, checked.
struct Wish {
    resource: ResourceName,
    access: Access,
    purpose: Option<Purpose>,
}

impl Wish {
    fn of(resource: &str, access: &str, purpose: Option<&str>, reference: Option<&str>) -> Result<Self, Failure> {
        let bad = |error: &dyn std::fmt::Display| Failure::new(Kind::Usage, error.to_string());
        let access = match access {
            "read" => Access::Read,
            "write" => Access::Write,
            other => return Err(bad(&format!("`{other}` is not an access; there are `read` and `write`"))),
        };
        let purpose = match purpose {
            Some(id) => {
                Some(Purpose { id: id.parse().map_err(|error| bad(&error))?, reference: reference.map(stated) })
            }
            None => None,
        };
        Ok(Self { resource: resource.parse().map_err(|error| bad(&error))?, access, purpose })
    }

    /// The same, as what this caller wants.
    fn of_caller(&self, caller: &Caller) -> Wanted {
        Wanted {
            requester: caller.pseudonym.clone(),
            identity: caller.identity.clone(),
            resource: self.resource.clone(),
            access: self.access,
            purpose: self.purpose.clone(),
        }
    }

    fn as_request(&self) -> access::Request<'_> {
        access::Request { resource: &self.resource, access: self.access, purpose: self.purpose.as_ref() }
    }
}
