//! SQL text → what it does. One file per grammar; "not understood" is one of the answers.
//!
//! [`postgres`] reads a text with PostgreSQL's own parser, lays its tree out flat ([`tree`]) and says in our own words
//! ([`fact`]) what each command does ([`statement`], [`definition`], [`query`], [`body`]) and what occurs anywhere in it
//! ([`occurrence`], [`compared`]); of code that is not a client's, what it writes where ([`filling`]). The tree does not outlive that: what is kept is the facts.

mod body;
pub(super) mod compared;
pub(super) mod copy;
mod definition;
pub(super) mod fact;
pub(super) mod filling;
mod kind;
mod occurrence;
mod path;
mod postgres;
mod query;
mod quote;
mod shape;
mod statement;
pub(super) mod token;
pub(super) mod tree;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use fact::Command;
pub(super) use path::words as path_words;
pub(super) use query::constant;
pub(crate) use quote::{literal, quoted};
use shape::Shape;

use super::decide::Memory;
use crate::domain::{Fault, Statement};

/// Longest text that is parsed. What is longer cannot be judged in reasonable time and is not understood.
const TEXT_MAX: usize = 1024 * 1024;

/// Deepest parse tree that is read, as [`token::Tokens::depth_at_most`] bounds it: a chain of 1,000 operators or joins,
/// 2,000 arms of a UNION, 200 sub-selects within one another.
const DEPTH_MAX: usize = 2_000;

/// Stack that reading a text of [`DEPTH_MAX`] needs, measured with the worst nesting found. Threads that call
/// [`super::Engine::understand`] are started with this much; it is address space, touched only as far as it is needed.
/// Without optimisation the decoder of the parser's answer takes fifteen times the stack.
pub(crate) const STACK: usize = if cfg!(debug_assertions) { 128 << 20 } else { 8 << 20 };

/// What is known about one text: a simple-query message (which may hold several commands) or one prepared statement.
#[derive(Debug)]
pub(crate) struct Understood {
    /// The part that goes into records, with names as written.
    pub(crate) statement: Arc<Statement>,
    /// Why it is not understood, when it is not.
    pub(crate) complaint: Option<Complaint>,
    /// The commands, in order. Empty for an empty text.
    pub(crate) commands: Vec<Command>,
    /// What was decided about it last.
    pub(super) memory: Memory,
}

/// Why a text is not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Complaint {
    pub(crate) text: String,
    pub(crate) fault: Fault,
    /// Byte offset of what is not understood, where it is known.
    pub(crate) position: Option<usize>,
}

/// How a command moves the bounds of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    Begin,
    /// What was done becomes lasting, or is left behind prepared to. With AND CHAIN another one begins at once.
    Commit {
        chain: bool,
    },
    Rollback {
        chain: bool,
    },
}

impl Understood {
    /// How command number `command` moves the bounds of a transaction. Savepoints are within them.
    pub(crate) fn bound(&self, command: usize) -> Option<Bound> {
        let bound = |act: &fact::Act| match &act.deed {
            fact::Deed::Transaction(fact::Transaction::Begin { .. }) => Some(Bound::Begin),
            fact::Deed::Transaction(fact::Transaction::Commit { chain }) => Some(Bound::Commit { chain: *chain }),
            fact::Deed::Transaction(fact::Transaction::TwoPhase) => Some(Bound::Commit { chain: false }),
            fact::Deed::Transaction(fact::Transaction::Rollback { chain }) => Some(Bound::Rollback { chain: *chain }),
            _ => None,
        };
        self.commands.get(command)?.acts.iter().find_map(bound)
    }

    /// Whether the database will ask the client for COPY data.
    pub(crate) fn copies_in(&self) -> bool {
        let asks = |act: &fact::Act| matches!(act.deed, fact::Deed::Insert { rows: fact::Rows::Client, .. });
        self.commands.iter().any(|command| command.acts.iter().any(asks))
    }

    /// Whether names of prepared statements may stand for something else after command number `command`.
    pub(crate) fn renames(&self, command: usize) -> bool {
        let changes = |act: &fact::Act| {
            matches!(act.deed, fact::Deed::Deallocate { .. } | fact::Deed::Discard(_) | fact::Deed::Prepare { .. })
        };
        self.commands.get(command).is_some_and(|command| command.acts.iter().any(changes))
    }

    /// Whether the schema may be another one after command number `command`.
    pub(crate) fn redefines(&self, command: usize) -> bool {
        let changes = |act: &fact::Act| {
            matches!(
                act.deed,
                fact::Deed::Define { .. }
                    | fact::Deed::Drop { .. }
                    | fact::Deed::DropPart { .. }
                    | fact::Deed::Code { .. }
                    | fact::Deed::Block { .. }
                    | fact::Deed::Procedure
            )
        };
        self.commands.get(command).is_some_and(|command| command.acts.iter().any(changes))
    }
}

/// Longest text that is looked up in the cache; a longer one is understood anew each time.
const CACHED_TEXT_MAX: usize = 8 * 1024;

/// Texts kept at the same time. When full, the cache starts over.
const CACHED_TEXTS_MAX: usize = 512;

/// The query of a view, as the server writes it: one command, or nothing when it is not understood.
pub(super) fn view(definition: &str) -> Option<Arc<Command>> {
    let commands = postgres::understand(definition.as_bytes()).commands;
    commands.into_iter().next().map(Arc::new)
}

/// Texts already understood, by their shapes.
#[derive(Debug, Default)]
pub(super) struct Texts {
    cache: Mutex<HashMap<Box<[u8]>, Arc<Understood>>>,
}

impl Texts {
    pub(super) fn understand(&self, text: &[u8]) -> Arc<Understood> {
        if text.len() > CACHED_TEXT_MAX {
            return Arc::new(postgres::understand(text));
        }
        let shape = Shape::of(text);
        if let Some(known) = self.lock().get(shape.text()) {
            return Arc::clone(known);
        }
        // Understood outside the lock: another connection's statement does not wait for this one.
        let fresh = Arc::new(postgres::understand(shape.text()));
        if fresh.complaint.is_some() && shape.is_shared() {
            // The parser quotes what it does not understand: it must have been written.
            return Arc::new(postgres::understand(text));
        }
        let mut cache = self.lock();
        if cache.len() >= CACHED_TEXTS_MAX {
            cache.clear();
        }
        cache.insert(shape.text().into(), Arc::clone(&fresh));
        fresh
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Box<[u8]>, Arc<Understood>>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
