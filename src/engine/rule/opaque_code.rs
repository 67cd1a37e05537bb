//! Asks before code runs that nobody reviewed: what it does cannot be known from the statement.

use super::{Rule, asked};
use crate::domain::{Action, Environment, IdentityKind, Reason, Touch};
use crate::engine::builtin::{self, Class};
use crate::engine::resolve::{Called, Callee, Facts, Found, Hidden, HiddenFunction};
use crate::engine::sql::fact::Deed;

pub(super) struct OpaqueCode;

impl Rule for OpaqueCode {
    fn name(&self) -> &'static str {
        "opaque_code"
    }

    fn summary(&self) -> &'static str {
        "DO, CALL, functions, operators and casts that nobody reviewed; SQL given as text"
    }

    fn default(&self, environment: Environment, who: IdentityKind) -> Action {
        asked(environment, who)
    }

    fn check(&self, facts: &Facts<'_>) -> Option<Reason> {
        let told = |message: String, position| {
            Reason::new(self.name(), message)
                .detail("What it does cannot be known from the statement.")
                .hint("have the function reviewed and listed under `reviewed_functions` in the policy")
                .at(position)
        };
        let deed = facts.deeds().find_map(|(deed, position)| match deed {
            Deed::Block { language, .. } => Some(told(format!("this runs a block of {language}"), position)),
            _ => None,
        });
        let name = || {
            let (name, position) = facts.unknown_names.first()?;
            Some(told(format!("`{name}` was not prepared or declared in this session"), *position))
        };
        let call = || facts.calls.iter().find_map(|called| Some(told(opaque_call(called)?, called.position)));
        let hidden = || facts.hidden.iter().find_map(|hidden| Some(told(opaque_hidden(hidden)?, hidden.position)));
        let relation = || {
            facts.relations.iter().find_map(|used| match used.found {
                Found::Known(relation) if relation.rules && used.used.touch == Touch::Write => {
                    Some(told(format!("rules rewrite statements on `{}`", used.used.name), used.position))
                }
                Found::Missing if facts.is_stale() && used.used.touch != Touch::Define => {
                    Some(told(format!("`{}` was made after the catalog was read", used.used.name), used.position))
                }
                _ => None,
            })
        };
        let lost = || {
            facts.is_lost().then(|| {
                Reason::new(self.name(), "this session's search path is not known")
                    .detail("Code that nobody reviewed ran in it and may have changed what names mean.")
                    .hint("SET search_path, or write names with their schema")
                    .at(facts.first_position())
            })
        };
        deed.or_else(name).or_else(call).or_else(hidden).or_else(relation).or_else(lost)
    }
}

fn opaque_call(called: &Called<'_>) -> Option<String> {
    match called.callee {
        Callee::BuiltIn(Class::RunsText) => Some(format!("`{}` runs SQL that it takes as text", called.call.name)),
        Callee::Opaque(Some(function)) => Some(format!("`{}` was not reviewed", function.signature)),
        Callee::Opaque(None) => Some(format!("`{}` is not known", called.call.name)),
        Callee::BuiltIn(_) | Callee::Reviewed => None,
    }
}

fn opaque_hidden(hidden: &Hidden<'_>) -> Option<String> {
    match hidden.function {
        HiddenFunction::Catalog(function) => {
            Some(format!("{} calls `{}`, which was not reviewed", hidden.behind, function.signature))
        }
        HiddenFunction::BuiltIn(name) if builtin::class(name) != Some(Class::Outside) => {
            Some(format!("{} calls `{name}`, which does more than read", hidden.behind))
        }
        HiddenFunction::BuiltIn(_) => None,
        HiddenFunction::Unknown => Some(format!("{} is not known", hidden.behind)),
    }
}
