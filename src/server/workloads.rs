//! Workloads that log in with a token of their own platform: whose tokens, by which keys, as whom.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::config::{Config, Workload, WorkloadKeys};
use super::issuer::{Publisher, Refusal};
use crate::audit;
use crate::domain::{Digest, Failure, Timestamp};
use crate::identity::claims::ClaimsError;
use crate::identity::jwt::ID_TOKEN;
use crate::identity::workload::{self, ProvedWorkload};

/// The issuers of workloads' tokens, with the keys they were last seen to publish.
#[derive(Debug, Default)]
pub(crate) struct Workloads {
    publishers: Mutex<BTreeMap<String, Arc<Publisher>>>,
}

impl Workloads {
    /// The workload that a token proves, and what the token is remembered by, so that nobody else uses it.
    pub(super) async fn prove(
        &self,
        config: &Config,
        token: &str,
        now: Timestamp,
    ) -> Result<(ProvedWorkload, Digest), Refusal> {
        // A token that names an issuer nobody configured must not make us ask anybody anything.
        let issuer = workload::claimed_issuer(token).unwrap_or_default();
        let known = config.workloads.values().find(|workload| workload.rule.issuer == issuer);
        let publisher = self.publisher(&issuer, known.ok_or(ClaimsError::WrongIssuer)?);
        let claims = publisher.map_err(Refusal::Unreachable)?.verify(token, ID_TOKEN, now).await?;
        let rules = config.workloads.iter().map(|(id, workload)| (id, &workload.rule));
        let found = workload::identity(rules, &claims, now).inspect_err(|error| {
            // For whoever writes the rules; the sender is not told what they are.
            let subject = claims.get("sub").and_then(serde_json::Value::as_str).unwrap_or_default();
            tracing::info!(issuer, subject, why = %error, "a workload was not let in");
        })?;
        // What the signature is over, without the signature: some kinds can be written in several ways.
        let signed = token.rsplit_once('.').map_or(token, |(signed, _)| signed);
        let used = found.token.as_ref().map_or_else(|| format!("text\n{signed}"), |id| format!("jti\n{issuer}\n{id}"));
        Ok((found, audit::digest(used.as_bytes())))
    }

    /// Whoever publishes an issuer's keys. Made when first asked for, and kept, so that the keys are.
    fn publisher(&self, issuer: &str, workload: &Workload) -> Result<Arc<Publisher>, Failure> {
        let trust = match &workload.keys {
            WorkloadKeys::Given(keys) => return Ok(Arc::new(Publisher::known(issuer, keys.clone()))),
            WorkloadKeys::Published(trust) => trust,
        };
        let mut publishers = self.publishers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(publisher) = publishers.get(issuer) {
            return Ok(Arc::clone(publisher));
        }
        let publisher = Arc::new(Publisher::new(issuer, trust)?);
        publishers.insert(issuer.to_owned(), Arc::clone(&publisher));
        Ok(publisher)
    }

    /// Forgets the keys: the configuration may name others, or other authorities to believe.
    pub(super) fn forget(&self) {
        self.publishers.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
