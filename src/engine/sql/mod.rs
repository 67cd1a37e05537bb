//! SQL text → what it does. One file per grammar; "not understood" is one of the answers.

mod postgres;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::Statement;

/// What is known about one text: a simple-query message (which may hold several commands) or one prepared statement.
#[derive(Debug)]
pub(crate) struct Understood {
    /// The part that goes into records.
    pub(crate) statement: Arc<Statement>,
    /// The parser's complaint, when it did not understand.
    pub(crate) complaint: Option<String>,
    /// The commands, in order. Empty for an empty text.
    pub(crate) commands: Vec<Command>,
}

impl Understood {
    /// Whether the database will ask the client for COPY data.
    pub(crate) fn copies_in(&self) -> bool {
        self.commands.iter().any(|command| command.node == "CopyStmt")
    }
}

/// One command of a text.
#[derive(Debug)]
pub(crate) struct Command {
    /// The parse tree's node name, for example `SelectStmt`.
    pub(crate) node: &'static str,
}

/// Longest text that is looked up in the cache; a longer one is understood anew each time.
const CACHED_TEXT_MAX: usize = 8 * 1024;

/// Texts kept at the same time. When full, the cache starts over.
const CACHED_TEXTS_MAX: usize = 512;

/// Texts already understood.
#[derive(Debug, Default)]
pub(super) struct Texts {
    cache: Mutex<HashMap<Box<[u8]>, Arc<Understood>>>,
}

impl Texts {
    pub(super) fn understand(&self, text: &[u8]) -> Arc<Understood> {
        if text.len() > CACHED_TEXT_MAX {
            return Arc::new(postgres::understand(text));
        }
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = cache.get(text) {
            return Arc::clone(known);
        }
        let fresh = Arc::new(postgres::understand(text));
        if cache.len() >= CACHED_TEXTS_MAX {
            cache.clear();
        }
        cache.insert(text.into(), Arc::clone(&fresh));
        fresh
    }
}
