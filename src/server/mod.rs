//! The gateway: one port, one store, and everything that is decided near the databases.

mod access;
mod api;
mod approval;
mod budgets;
pub(crate) mod check;
mod classification;
pub(crate) mod config;
mod credential;
mod dev_issuer;
mod directory;
#[cfg(test)]
mod floor;
mod issuer;
mod keeper;
mod keys;
mod leases;
mod listener;
mod live;
mod log;
mod masking;
mod nearest;
mod raw_texts;
mod rehearsal;
mod reload;
mod replay;
mod resource;
mod schema;
mod sessions;
mod store;
mod timeline;
mod tunnel;
mod upstream;
mod webhook;
mod witness;
mod workloads;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::net::TcpListener;

use crate::audit::Pseudonyms;
use crate::domain::{Failure, Happening, Kind, ResourceName, Secret};
use crate::engine::MaskKey;
use crate::identity::jwt::KeySet;
use crate::runtime::crew::Crew;
use crate::runtime::drain::Recovery;
use crate::runtime::shutdown::Ending;
use crate::runtime::tls::{self, CertifiedPem};
use crate::runtime::{clock, env, files, process};
use approval::Approvals;
use classification::Classifier;
use config::{Config, IdentitySource, TlsIdentity};
use dev_issuer::DevIssuer;
use issuer::Issuer;
use keys::ServerKeys;
use listener::Door;
use live::LiveSessions;
use log::{Cosigners, Log};
use masking::DatabaseMasking;
pub(crate) use reload::Followed;
use resource::Resource;
use schema::Schema;
use store::Store;
use timeline::Timeline;
pub(crate) use witness::{Witness, WitnessSetup};
use workloads::Workloads;

/// Most authorities kept there: one per data folder somebody tries out.
const AUTHORITIES_MAX: usize = 8;

/// Longest certificate or key file, in bytes.
const PEM_MAX: u64 = 64 * 1024;

/// What every request can reach.
#[derive(Debug)]
pub(crate) struct Server {
    /// What was said at the start; who may do what is as it was said last.
    config: RwLock<Arc<Config>>,
    /// `https://host[:port]`, as clients know it.
    pub(crate) url: String,
    pub(crate) store: Arc<Store>,
    pub(crate) keys: ServerKeys,
    /// The public half of what signs access tokens.
    token_keys: KeySet,
    issuer: Issuer,
    workloads: Workloads,
    dev_issuer: Option<DevIssuer>,
    schemas: BTreeMap<ResourceName, Arc<Schema>>,
    pub(crate) live: Arc<LiveSessions>,
    pub(crate) log: Arc<Log>,
    pub(crate) cosigners: Arc<Cosigners>,
    pub(crate) timeline: Arc<Timeline>,
    readings: api::timeline::Readings,
    pub(crate) approvals: Arc<Approvals>,
    /// Who helps sessions to mask long results; nobody on a machine of one core.
    crew: Option<Arc<Crew>>,
}

impl Server {
    /// What the server was told, as of now.
    pub(crate) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// All routes of this server.
    fn routes(&self) -> impl Iterator<Item = &'static api::Route> {
        let built_in: &[_] = if self.dev_issuer.is_some() { dev_issuer::ROUTES } else { &[] };
        api::ROUTES.iter().chain(built_in)
    }

    /// Puts on record what happened outside of any session, and tells the operator.
    fn happened(&self, what: Happening) {
        match &what {
            Happening::LoginSucceeded { subject, method } => tracing::info!(subject = %subject, method, "login"),
            Happening::LoginFailed { why } => tracing::info!(why, "login failed"),
            other => tracing::debug!(happening = ?std::mem::discriminant(other), "event"),
        }
        if let Err(failure) = self.log.record(None, what) {
            tracing::error!(error = %failure, "an event could not be recorded");
        }
    }

    /// A resource that exists. Whether somebody may use it was asked before.
    fn schema(&self, name: &ResourceName) -> Result<Arc<Schema>, Failure> {
        let found = self.schemas.get(name).cloned();
        found.ok_or_else(|| Failure::new(Kind::NotFound, format!("there is no resource `{name}`")))
    }
}

/// The embedded database, in the folder of the server's data.
const STORE: &str = "gov.db";

/// A server that has its port but does not answer yet.
#[derive(Debug)]
pub(crate) struct Gateway {
    server: Arc<Server>,
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
}

impl Gateway {
    /// Opens everything the server needs; refuses rather than guess.
    pub(crate) async fn open(config: Config) -> Result<Self, Failure> {
        refuse_open_doors(&config)?;
        files::create_private_dir(&config.data).map_err(|error| unusable(&config.data, &error))?;
        let listener = listener::bind(config.listen).await?;
        let address = listener.local_addr().unwrap_or(config.listen);
        let url = config.url.clone().unwrap_or_else(|| format!("https://{address}"));
        let identity = match &config.tls {
            TlsIdentity::Given(identity) => identity.clone(),
            TlsIdentity::Loopback => loopback_identity(&config.data)?,
        };
        let tls = tls::server(&identity, &["http/1.1"])?;
        let store = Store::open(&config.data.join(STORE))?;
        let keys = ServerKeys::open(&store, &config.data, config.key.as_ref())?;
        let (issuer, dev_issuer) = match &config.identity {
            IdentitySource::Provider(provider) => (Issuer::new(provider)?, None),
            IdentitySource::BuiltIn(users) => {
                let built_in = DevIssuer::new(&url, users.clone());
                (Issuer::built_in(built_in.rules(), KeySet::of(&[&keys.issuer])), Some(built_in))
            }
        };
        let token_keys = KeySet::of(&[&keys.signing]);
        let log = Arc::new(open_log(&config.data, &keys, &url)?);
        let cosigners = Arc::new(Cosigners::new(&config.witnesses)?);
        let timeline = Arc::new(Timeline::open(&config.data.join("timeline.db"), &log)?);
        let store = Arc::new(store);
        let live = Arc::new(LiveSessions::new(Arc::clone(&store)));
        live.days.restore(&store, clock::now()).await?;
        live.days.write_at_once(&config.data.join(STORE))?;
        let schema = |(name, resource): (&ResourceName, &config::Resource)| {
            let wish = resource.masking;
            let resource = Arc::new(Resource::configured(name, resource)?);
            let key = MaskKey(keys.mask_key(name.as_str()));
            let classifier = Classifier::new(Arc::clone(&resource), Arc::clone(&store), config.masks.clone(), &key);
            let masking = DatabaseMasking::new(Arc::clone(&resource), wish, key);
            Ok((name.clone(), Arc::new(Schema::new(resource, Arc::clone(&live), classifier, masking))))
        };
        let schemas = config.resources.iter().map(schema).collect::<Result<_, Failure>>()?;
        let rules = config.approvals.clone();
        let approvals = Approvals::new(Arc::clone(&store), Arc::clone(&log), rules, config.durability)?;
        let approvals = Arc::new(approvals);
        approvals.recover().await?;
        let server = Arc::new(Server {
            config: RwLock::new(Arc::new(config)),
            url,
            store,
            keys,
            token_keys,
            issuer,
            workloads: Workloads::default(),
            dev_issuer,
            schemas,
            live,
            log,
            cosigners,
            approvals,
            timeline,
            readings: api::timeline::Readings::default(),
            crew: Crew::start()?.map(Arc::new),
        });
        Ok(Self { server, listener, tls })
    }

    /// Where clients reach it.
    pub(crate) fn url(&self) -> &str {
        &self.server.url
    }

    /// Serves until the end is asked for; changes of the file that is followed take effect at once. Not cancel safe: requests would be cut off.
    pub(crate) async fn run(self, followed: Option<Followed>, ending: Ending) -> Result<(), Failure> {
        let Self { server, listener, tls } = self;
        server.finish_erasures().await?;
        let door = if server.dev_issuer.is_some() { Door::TlsOrPages(tls) } else { Door::Tls(tls) };
        let router = api::router(&server, server.routes());
        let open_files = process::raise_open_files();
        tracing::info!(url = %server.url, resources = server.config().resources.len(), open_files, "serving");
        for name in access::unused(&server.config()) {
            tracing::warn!(resource = %name, "no access rule opens this resource");
        }
        let keeper = tokio::spawn(keeper::keep(Arc::clone(&server)));
        let timeline = tokio::spawn(Arc::clone(&server.timeline).follow(Arc::clone(&server.log)));
        let cosigners = tokio::spawn(Arc::clone(&server.cosigners).follow(Arc::clone(&server.log)));
        let approvals = tokio::spawn(Arc::clone(&server.approvals).follow(Arc::clone(&server.timeline)));
        let days = tokio::spawn(Arc::clone(&server.live.days).follow(Arc::clone(&server.store)));
        let follower = followed.map(|followed| tokio::spawn(reload::follow(Arc::clone(&server), followed)));
        listener::serve(listener, door, router, ending).await;
        keeper.abort();
        approvals.abort();
        cosigners.abort();
        if let Some(follower) = follower {
            follower.abort();
        }
        server.live.end_all().await;
        days.abort();
        server.live.days.keep(&server.store).await?;
        timeline.abort();
        let log = Arc::clone(&server.log);
        // It ends with everything in the log, and the last checkpoint signed.
        let closed = tokio::task::spawn_blocking(move || log.close()).await;
        closed.map_err(|_| Failure::new(Kind::Internal, "the log could not be closed"))?;
        tracing::info!("ended");
        Ok(())
    }
}

/// Opens the log, and says what a crash has left behind.
fn open_log(data: &Path, keys: &ServerKeys, url: &str) -> Result<Log, Failure> {
    let origin = format!("{}/v1/log", url.trim_start_matches("https://"));
    let pseudonyms = Pseudonyms::new(keys.pseudonym.clone());
    let log = Log::open(log::Opening {
        folder: &data.join("log"),
        server: keys.records.clone(),
        origin: &origin,
        pseudonyms,
    })?;
    let recovery = log.recovery();
    if recovery != Recovery::default() {
        let Recovery { records, unknown, lost } = recovery;
        tracing::warn!(records, unknown, lost, "the last run ended without closing its books; they were closed now");
    }
    Ok(log)
}

/// What may be on loopback only.
fn refuse_open_doors(config: &Config) -> Result<(), Failure> {
    let reachable = |what: &str, address: SocketAddr| {
        Failure::new(Kind::Usage, format!("{what} must not be reachable from other machines, and {address} is")).hint(
            "listen on 127.0.0.1, or configure an identity provider and a certificate: gov server --config gov.yaml",
        )
    };
    let loopback = config.listen.ip().is_loopback();
    match (&config.identity, &config.tls) {
        (IdentitySource::BuiltIn(_), _) if !loopback => Err(reachable("the built-in issuer", config.listen)),
        (_, TlsIdentity::Loopback) if !loopback => Err(reachable("a self-made certificate", config.listen)),
        (IdentitySource::BuiltIn(_) | IdentitySource::Provider(_), TlsIdentity::Given(_) | TlsIdentity::Loopback) => {
            Ok(())
        }
    }
}

fn unusable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Kind::Usage, format!("`{}` cannot be used", path.display())).cause(error)
}

/// The certificate for loopback in the data folder; made when it is not there. Its authority is put where clients of
/// the same user look. The authority's key is thrown away: nobody can make another certificate with it.
fn loopback_identity(data: &Path) -> Result<CertifiedPem, Failure> {
    let folder = data.join("tls");
    let read = |name: &str| {
        let path = folder.join(name);
        let bytes = files::read_secret(&path, PEM_MAX).map_err(|error| unusable(&path, &error))?;
        Ok::<_, Failure>(bytes.and_then(|bytes| String::from_utf8(bytes).ok()))
    };
    let (authority, identity) = match (read("authority.pem")?, read("chain.pem")?, read("key.pem")?) {
        (Some(authority), Some(chain), Some(key)) => (authority, CertifiedPem { chain, key: Secret::new(key) }),
        (_, _, _) => {
            let (authority, identity) = tls::loopback_certificate()?;
            let write = |name: &str, text: &str| {
                let path = folder.join(name);
                files::write_private(&path, text.as_bytes()).map_err(|error| unusable(&path, &error))
            };
            write("authority.pem", &authority)?;
            write("chain.pem", &identity.chain)?;
            write("key.pem", identity.key.expose())?;
            (authority, identity)
        }
    };
    publish_authority(&authority)?;
    Ok(identity)
}

/// Adds an authority to those the client of this user believes, for loopback only; the newest first.
fn publish_authority(authority: &str) -> Result<(), Failure> {
    const END: &str = "-----END CERTIFICATE-----\n";
    let path = env::loopback_authorities()?;
    let known = files::read_limited(&path, PEM_MAX).map_err(|error| unusable(&path, &error))?.unwrap_or_default();
    let known = String::from_utf8_lossy(&known);
    if known.contains(authority.trim()) {
        return Ok(());
    }
    let all: String = std::iter::once(authority).chain(known.split_inclusive(END)).take(AUTHORITIES_MAX).collect();
    files::write_private(&path, all.as_bytes()).map_err(|error| unusable(&path, &error))
}
