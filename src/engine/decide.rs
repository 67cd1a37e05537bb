//! Runs the rules and makes the [`Permit`]. No other file can.

use std::sync::Arc;

use super::catalog::Catalog;
use super::policy::Policy;
use super::rule::RULES;
use super::scope::Scope;
use super::sql::Understood;
use crate::domain::{Action, Grant, Reason, Timestamp, Verdict};

/// The proof that the engine allowed a statement. Only this file can make one.
#[derive(Debug)]
pub(crate) struct Permit {
    /// The rules that fired without stopping the statement, for the record.
    rules: Arc<[(&'static str, Action)]>,
}

impl Permit {
    pub(crate) fn rules(&self) -> &Arc<[(&'static str, Action)]> {
        &self.rules
    }
}

/// Why a statement may not run, or not yet.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) verdict: Verdict,
    pub(crate) reason: Reason,
    pub(crate) rules: Arc<[(&'static str, Action)]>,
}

/// The engine's answer.
#[derive(Debug)]
pub(crate) enum Decision {
    Allow(Permit),
    /// Somebody else must agree first.
    Hold(Refusal),
    Deny(Refusal),
}

/// Runs every rule; the strictest outcome counts.
pub(super) fn decide(
    policy: &Policy,
    _catalog: &Catalog,
    _now: Timestamp,
    _who: &Grant,
    what: &Understood,
    _scope: &Scope,
) -> Decision {
    let mut fired: Vec<(Action, Reason)> = Vec::new();
    for rule in RULES {
        if let Some(reason) = rule.check(what) {
            let action = policy.overrides.get(rule.name()).copied().unwrap_or_else(|| rule.default(policy.environment));
            fired.push((action, reason));
        }
    }
    fired.sort_by_key(|(action, _)| std::cmp::Reverse(*action));
    let rules: Arc<[_]> = fired.iter().map(|(action, reason)| (reason.rule, *action)).collect();
    match fired.into_iter().next() {
        Some((Action::Deny, reason)) => Decision::Deny(Refusal { verdict: Verdict::Deny, reason, rules }),
        Some((Action::Hold, reason)) => Decision::Hold(Refusal { verdict: Verdict::Hold, reason, rules }),
        _ => Decision::Allow(Permit { rules }),
    }
}
