//! The state of a database session that changes what a text means, followed as statements succeed.

use std::sync::Arc;

/// What is known of one database connection's state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Scope {
    /// Schemas in which unqualified names are looked up, in order.
    pub(crate) search_path: Arc<[String]>,
}

impl Default for Scope {
    fn default() -> Self {
        Self { search_path: Arc::from(["public".to_owned()]) }
    }
}
