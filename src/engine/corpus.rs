//! The database of the guardrail corpus, and somebody who uses it: for tests and fuzzers.

use std::sync::Arc;

use super::*;
use crate::domain::{Access, Digest, Environment, IdentityKind};

/// The catalog of `fixture.sql`, as `tests/vectors/guardrails/refresh` reads it from a real PostgreSQL.
pub(super) const CATALOG: &str = include_str!("../../tests/vectors/guardrails/catalog.json");
/// What `corpora/README.md` assumes: `billing` is financial, two functions are reviewed.
pub(super) const POLICY: &str = "\
tags:
  - relation: billing.*
    tags: [financial]
reviewed_functions:
  - {function: 'public.full_name(text, text)', body: 54365cc49572f0ce2381f555df2220d6cd7447a4e0e6fec2824a5279c33e337b}
  - {function: 'public.order_total(integer)', body: cea0c99455661806bf4a95f024250ca086fea60142f714e0d54e25152efa3f06}
";

pub(super) fn engine(environment: Environment) -> Engine {
    let snapshot: Snapshot = serde_json::from_str(CATALOG).unwrap();
    let catalog = Catalog::from_snapshot(&snapshot, Classification::default());
    Engine::new(Arc::new(Policy::parse(POLICY, environment).unwrap()), Arc::new(catalog), None)
}

/// Access of somebody to the corpus' database.
pub(super) fn grant(access: Access, kind: IdentityKind) -> Grant {
    crate::doors::grant(access, kind, Digest([0; 32])).unwrap()
}
