//! Keeps the databases in order while the server runs: preflight at the start, then sweeping what outlived its session.

use std::sync::Arc;

use tracing::{error, info, warn};

use super::Server;
use super::resource::Resource;
use crate::domain::{Duration, Happening};
use crate::runtime::clock;

/// How often credentials whose time is over are looked for: an orphan is gone within a minute.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// Runs until dropped.
pub(super) async fn keep(server: Arc<Server>) {
    for resource in server.resources.values() {
        preflight(resource).await;
    }
    loop {
        for resource in server.resources.values() {
            sweep(&server, resource).await;
        }
        tokio::time::sleep(SWEEP_EVERY).await;
    }
}

/// Says what is missing before sessions can be opened, and the SQL that mends it.
async fn preflight(resource: &Resource) {
    match resource.source.preflight(resource).await {
        Ok(findings) if findings.is_empty() => info!(resource = %resource.name, "ready"),
        Ok(findings) => {
            for finding in findings {
                let remedy = finding.remedy.unwrap_or_default();
                if finding.fatal {
                    error!(resource = %resource.name, remedy, "not usable: {}", finding.text);
                } else {
                    warn!(resource = %resource.name, remedy, "{}", finding.text);
                }
            }
        }
        Err(failure) => error!(resource = %resource.name, error = %failure, "not usable at the moment"),
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
