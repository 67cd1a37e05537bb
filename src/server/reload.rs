//! Follows the configuration file: who may do what changes while the server runs, and live sessions feel it at once.
//!
//! What is said about people, purposes, agents, workloads, approvals, masks and statements takes effect; addresses, keys and
//! resources are what a process is built on, and wait for its next start, which is said. A file that cannot be read leaves
//! everything as it was.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use tracing::{error, info, warn};

use super::Server;
use super::access;
use super::config::{self, Config};
use super::live::Live;
use super::sessions;
use crate::domain::{Duration, Environment, Failure, Happening, Kind};
use crate::engine::Policy;
use crate::runtime::{clock, files};

/// How often the file is looked at: a change is in force within a second.
const LOOK: Duration = Duration::from_millis(300);

/// A configuration file that is followed.
#[derive(Clone, Debug)]
pub(crate) struct Followed {
    pub(crate) file: PathBuf,
    /// The server carries the built-in issuer.
    pub(crate) development: bool,
}

/// Runs until dropped.
pub(super) async fn follow(server: Arc<Server>, followed: Followed) {
    let mut last = contents(&followed);
    loop {
        tokio::time::sleep(LOOK).await;
        let now = contents(&followed);
        if now == last {
            continue;
        }
        match config::read(&followed.file, followed.development) {
            Ok(config) => {
                for section in waiting(last.as_deref(), now.as_deref()) {
                    warn!(section, "what changed there is in force from the next start of the server on");
                }
                take(&server, config).await;
            }
            Err(failure) => error!(
                error = %failure,
                detail = failure.detail.as_deref().unwrap_or_default(),
                hint = failure.hint.as_deref().unwrap_or_default(),
                "the changed configuration cannot be used; the one before it stays in force"
            ),
        }
        last = now;
    }
}

/// Sections, as they stand in the file, that a running server is built on.
const BUILT_ON: [&[&str]; 6] =
    [&["server"], &["identity"], &["audit"], &["users"], &["resources"], &["approvals", "webhooks"]];

/// Those of [`BUILT_ON`] that two versions of the file differ in.
fn waiting(before: Option<&[u8]>, after: Option<&[u8]>) -> Vec<String> {
    let read = |bytes: Option<&[u8]>| serde_yaml::from_slice(bytes.unwrap_or_default()).unwrap_or_default();
    let (before, after): (serde_yaml::Value, serde_yaml::Value) = (read(before), read(after));
    let part = |file: &serde_yaml::Value, path: &[&str]| {
        path.iter().try_fold(file.clone(), |value, key| value.get(key).cloned())
    };
    let differs = BUILT_ON.iter().filter(|path| part(&before, path) != part(&after, path));
    differs.map(|path| path.join(".")).collect()
}

/// What the file holds; nothing when it cannot be read.
fn contents(followed: &Followed) -> Option<Vec<u8>> {
    files::read_limited(&followed.file, config::FILE_MAX).ok().flatten()
}

/// Puts a new configuration in force, and withdraws what it no longer allows.
async fn take(server: &Arc<Server>, new: Config) {
    let old = server.config();
    server.approvals.go_by(&new.approvals);
    let config = Arc::new(Config {
        purposes: new.purposes,
        require_purpose: new.require_purpose,
        agents: new.agents,
        workloads: new.workloads,
        access: new.access,
        operators: new.operators,
        auditors: new.auditors,
        approvals: new.approvals,
        policy: new.policy,
        masks: new.masks,
        ..Config::clone(&old)
    });
    *server.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&config);
    server.workloads.forget();
    // A session that is opened meanwhile is among these, or was opened by the new configuration.
    let (mut changed, mut withdrawn) = (0_u32, 0_u32);
    for live in server.live.all() {
        match bring(server, &config, &live).await {
            Ok(true) => changed += 1,
            Ok(false) => {}
            Err(_) => withdrawn += 1,
        }
    }
    if let Err(failure) = bar(server, &config).await {
        // Whoever decides is looked at again then.
        warn!(error = %failure, "who may decide about what is open could not be brought up to date");
    }
    // Last, because it asks the databases.
    for schema in server.schemas.values() {
        schema.overrule(&config.masks).await;
    }
    info!(changed, withdrawn, "the configuration was changed");
}

/// Bars those who answer for agents now from deciding about what these have asked for.
async fn bar(server: &Server, config: &Config) -> Result<(), Failure> {
    for approval in server.approvals.list(true).await? {
        sessions::bar_owners(server, config, &approval).await?;
    }
    Ok(())
}

/// Brings a session under a configuration: ends it, or has it decide by the policy as it is now. Whether that is another
/// one.
pub(super) async fn bring(server: &Server, config: &Config, live: &Live) -> Result<bool, Failure> {
    let brought = async {
        still_allowed(config, live)?;
        live.bar(sessions::barred(server, config, &live.grant.identity, &live.requester).await?);
        Ok(())
    };
    if let Err(failure) = brought.await {
        server.live.end(live.grant.session, &failure, "withdrawn").await;
        return Err(failure);
    }
    let policy = Policy::written(Environment::of(&live.grant.labels), &config.policy);
    let digest = policy.digest();
    if digest == live.engine.policy().digest() {
        return Ok(false);
    }
    live.decide_by(policy);
    live.happened(Happening::PolicyChanged { policy: digest });
    Ok(true)
}

/// Whether the session would be opened again as it is, and would still be open.
fn still_allowed(config: &Config, live: &Live) -> Result<(), Failure> {
    let grant = &live.grant;
    let request = access::Request { resource: &grant.resource, access: grant.access, purpose: grant.purpose.as_ref() };
    let withdrawn = |detail: String| {
        Failure::new(Kind::Denied, "this session was withdrawn: its access was changed")
            .detail(detail)
            .hint("see what is open to you with: gov ls")
    };
    let allowed = access::decide(config, &grant.identity, request)
        .map_err(|failure| withdrawn(format!("Asked now, the answer is: {}.", failure.message)))?;
    if allowed.approval && live.warrant.is_none() {
        return Err(withdrawn("Such access has to be asked for now.".to_owned()));
    }
    if grant.opened_at.after(allowed.ttl) <= clock::now() {
        return Err(withdrawn("Such sessions may not last that long any more.".to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_the_next_start_is_named() {
        let before = b"server: {data: a}\nresources: {x: {url: u}}\napprovals: {quorum: 1}\nmasks: {}\n";
        let after = b"server: {data: b}\nresources: {x: {url: u}}\naudit: {raw_sql: 'off'}\napprovals: {quorum: 2, webhooks: [{url: h}]}\n";
        assert_eq!(waiting(Some(before), Some(after)), ["server", "audit", "approvals.webhooks"]);
        assert_eq!(waiting(Some(before), Some(b"# moved\nresources: {x: {url: u}}\nserver:\n  data: a\n")), [""; 0]);
    }
}
