//! Keeps the databases in order while the server runs: preflight at the start, then sweeping what outlived its session.

use std::sync::Arc;

use tracing::{error, info, warn};

use super::credential::Finding;
use super::resource::Resource;
use super::{Server, leases};
use crate::domain::{Duration, Failure, Happening};
use crate::runtime::{clock, database};

/// How often credentials whose time is over are looked for: an orphan is gone within a minute.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// Runs until dropped.
pub(super) async fn keep(server: Arc<Server>) {
    for schema in server.schemas.values() {
        preflight(schema.resource()).await;
    }
    revoke_orphans(&server).await;
    // What every column holds is known before the first session needs it.
    for schema in server.schemas.values() {
        if let Err(failure) = schema.refreshed().await {
            warn!(resource = %schema.resource().name, error = %failure, "the schema could not be read yet");
        }
        tell(schema.resource(), schema.masking().findings().await);
    }
    loop {
        for schema in server.schemas.values() {
            sweep(&server, schema.resource()).await;
            // Somebody else may have changed the schema while sessions are open.
            if server.live.all().iter().any(|live| live.grant.resource == schema.resource().name)
                && let Err(failure) = schema.refreshed().await
            {
                warn!(resource = %schema.resource().name, error = %failure, "the schema could not be looked at");
            }
            schema.reclassified().await;
        }
        tokio::time::sleep(SWEEP_EVERY).await;
    }
}

/// Says what is missing before sessions can be opened, and the SQL that mends it.
async fn preflight(resource: &Resource) {
    let findings = async {
        let mut findings = resource.source.preflight(resource).await?;
        findings.extend(open_door(resource).await);
        Ok::<_, Failure>(findings)
    };
    match findings.await {
        Ok(findings) => {
            let usable = !findings.iter().any(|finding| finding.fatal);
            tell(resource, findings);
            if usable {
                info!(resource = %resource.name, credential = resource.source.summary(), "ready");
            }
        }
        Err(failure) => error!(resource = %resource.name, error = %failure, "not usable at the moment"),
    }
}

/// Whether the database lets people in unasked, past gov. At a Unix socket the system may vouch for the broker (`peer`);
/// over a network nobody does.
async fn open_door(resource: &Resource) -> Option<Finding> {
    let (address, login) = (resource.broker().address(), resource.broker().login());
    // Why it cannot be asked is in what the source has found.
    let opened = database::open(address, login).await.ok()?;
    let vouched = address.is_socket() && login.password.is_none();
    (opened.logged_in.unproved && !vouched).then(|| Finding {
        fatal: false,
        text: format!(
            "The database lets `{}` in without asking for a password. Where its pg_hba.conf says `trust`, whoever reaches \
             it is let in as anybody, past gov and past every record: let it say `scram-sha-256`.",
            login.user
        ),
        remedy: None,
    })
}

fn tell(resource: &Resource, findings: Vec<Finding>) {
    for finding in findings {
        if finding.fatal {
            error!(resource = %resource.name, "not usable: {finding}");
        } else {
            warn!(resource = %resource.name, "{finding}");
        }
    }
}

/// Revokes what this gateway had minted before it was last stopped without warning.
async fn revoke_orphans(server: &Server) {
    let open = match server.store.run(leases::open).await {
        Ok(open) => open,
        Err(failure) => return error!(error = %failure, "open credentials are not known"),
    };
    for lease in open {
        let schema = lease.resource.parse().ok().and_then(|name| server.schemas.get(&name));
        // A resource that is configured no more cannot be asked; its roles end at their VALID UNTIL.
        let Some(resource) = schema.map(|schema| schema.resource()) else { continue };
        // Minted since this start: its session is alive.
        if server.live.all().iter().any(|live| live.lease.role == lease.role) {
            continue;
        }
        match resource.source.revoke(resource, &lease.role).await {
            Ok(revoked) => {
                info!(resource = %resource.name, role = lease.role, ended = revoked.ended, "an orphan was revoked");
                server
                    .happened(Happening::CredentialSwept { source: resource.source.name(), role: lease.role.clone() });
                if let Err(failure) = server.store.run(move |db| leases::revoked(db, &lease)).await {
                    warn!(error = %failure, "a revoked credential is still remembered");
                }
            }
            Err(failure) => warn!(resource = %resource.name, role = lease.role, error = %failure, "not revoked yet"),
        }
    }
}

async fn sweep(server: &Server, resource: &Resource) {
    match resource.source.sweep(resource, clock::now()).await {
        Ok(gone) => {
            for role in gone {
                info!(resource = %resource.name, role, "a credential that outlived its session was removed");
                server.happened(Happening::CredentialSwept { source: resource.source.name(), role });
            }
        }
        Err(failure) => warn!(resource = %resource.name, error = %failure, "sweeping was not possible"),
    }
}
