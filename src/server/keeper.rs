//! Keeps the databases in order while the server runs: preflight at the start, then sweeping what outlived its session.

use std::sync::Arc;

use tracing::{error, info, warn};

use super::credential::Finding;
use super::resource::Resource;
use super::{Server, leases};
use crate::domain::{Duration, Happening};
use crate::runtime::clock;

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
    match resource.source.preflight(resource).await {
        Ok(findings) if findings.is_empty() => {
            info!(resource = %resource.name, credential = resource.source.summary(), "ready")
        }
        Ok(findings) => tell(resource, findings),
        Err(failure) => error!(resource = %resource.name, error = %failure, "not usable at the moment"),
    }
}

fn tell(resource: &Resource, findings: Vec<Finding>) {
    for finding in findings {
        let remedy = finding.remedy.unwrap_or_default();
        if finding.fatal {
            error!(resource = %resource.name, remedy, "not usable: {}", finding.text);
        } else {
            warn!(resource = %resource.name, remedy, "{}", finding.text);
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
