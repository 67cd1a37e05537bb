//! The state of a database session that changes what a text means, followed as statements succeed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::sql::fact::{Command, Deed, Discard, Name, Object, Setting, Transaction, Value};
use super::sql::{Understood, path_words};

/// Names of prepared statements and cursors kept for one connection. Past it they are all
/// forgotten: a name that is not known is held.
const NAMES_MAX: usize = 10_000;

/// Savepoints followed in one transaction. Past it, what a rollback returns to is not known.
const SAVEPOINTS_MAX: usize = 1_000;

/// What names mean right now: the part of the scope that decisions depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Names {
    /// The role's name, which `$user` in the search path stands for.
    pub(crate) user: Arc<str>,
    /// Schemas in which unqualified names are looked up, in order, as `search_path` has them.
    pub(crate) search_path: Vec<String>,
    /// Whether `search_path` is known: code that nobody reviewed may have changed it.
    pub(crate) certain: bool,
    /// Temporary relations made in this session.
    pub(crate) temporary: BTreeSet<String>,
    /// Those of them that are views: their rows are those of other relations.
    pub(crate) temporary_views: BTreeSet<String>,
    /// The catalog's epoch when this session last changed the schema.
    pub(crate) changed_at: Option<u64>,
}

impl Names {
    /// The schemas in which unqualified names are looked up, `$user` resolved, without the implicit ones.
    pub(crate) fn path(&self) -> impl Iterator<Item = &str> {
        self.search_path.iter().map(|schema| if schema == "$user" { &*self.user } else { schema.as_str() })
    }

    fn forget_temporary(&mut self) {
        self.temporary.clear();
        self.temporary_views.clear();
    }
}

/// What is known of one database connection's state.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    names: Arc<Names>,
    /// What RESET returns to.
    default_path: Arc<[String]>,
    prepared: BTreeMap<Box<str>, Arc<Command>>,
    cursors: BTreeMap<Box<str>, Cursor>,
    transaction: Option<Open>,
}

#[derive(Clone, Debug)]
struct Cursor {
    query: Arc<Command>,
    /// What names meant when it was declared: they mean that until it is closed.
    names: Arc<Names>,
    /// WITH HOLD: outlives the transaction.
    hold: bool,
}

/// A transaction block.
#[derive(Clone, Debug, Default)]
struct Open {
    /// What a rollback returns to.
    before: Vec<Saved>,
    /// The search path that COMMIT leaves, when SET LOCAL hides it.
    kept: Option<Vec<String>>,
}

#[derive(Clone, Debug)]
struct Saved {
    /// `None` for the beginning of the transaction.
    savepoint: Option<Box<str>>,
    names: Arc<Names>,
    kept: Option<Vec<String>>,
}

impl Default for Scope {
    /// A session with the server's own default, and a role that has no schema of its name.
    fn default() -> Self {
        Self::new("", &["$user".to_owned(), "public".to_owned()])
    }
}

impl Scope {
    /// A session of `user` that begins with this search path.
    pub(crate) fn new(user: &str, search_path: &[String]) -> Self {
        let names = Names {
            user: user.into(),
            search_path: search_path.to_vec(),
            certain: true,
            temporary: BTreeSet::new(),
            temporary_views: BTreeSet::new(),
            changed_at: None,
        };
        Self {
            names: Arc::new(names),
            default_path: search_path.into(),
            prepared: BTreeMap::new(),
            cursors: BTreeMap::new(),
            transaction: None,
        }
    }

    /// Whether names are looked up as they were when the session began.
    pub(super) fn has_default_path(&self) -> bool {
        self.names.certain && *self.names.search_path == *self.default_path
    }

    pub(crate) fn names(&self) -> &Arc<Names> {
        &self.names
    }

    /// What the server says its search path is (ParameterStatus of PostgreSQL 18, SHOW, the start of the session).
    pub(crate) fn search_path_is(&mut self, text: &str) {
        let path = match path_words(text) {
            Value::Words(words) => Some(words.iter().map(ToString::to_string).collect()),
            Value::Default | Value::Unknown => None,
        };
        self.change(|names| {
            names.certain = path.is_some();
            names.search_path = path.unwrap_or_default();
        });
    }

    /// The statement that EXECUTE, or a Bind of the protocol, means by this name.
    pub(crate) fn prepared(&self, name: &str) -> Option<&Arc<Command>> {
        self.prepared.get(name)
    }

    pub(crate) fn cursor(&self, name: &str) -> Option<&Arc<Command>> {
        self.cursors.get(name).map(|cursor| &cursor.query)
    }

    /// What names meant when this cursor was declared.
    pub(super) fn names_of_cursor(&self, name: &str) -> Option<&Names> {
        self.cursors.get(name).map(|cursor| &*cursor.names)
    }

    /// A Parse of the protocol succeeded: SQL's EXECUTE knows the name too. A text of several commands cannot be
    /// prepared.
    pub(crate) fn prepare(&mut self, name: &str, what: &Understood) {
        if let [command] = what.commands.as_slice() {
            remember(&mut self.prepared, name.into(), Arc::new(command.clone()));
        } else {
            self.prepared.remove(name);
        }
    }

    /// A Close of the protocol succeeded.
    pub(crate) fn close_prepared(&mut self, name: &str) {
        self.prepared.remove(name);
    }

    /// The server reported that it is in no transaction.
    pub(crate) fn idle(&mut self) {
        if self.transaction.is_some() {
            self.roll_back();
        }
    }

    /// Command number `command` of `what` succeeded, under a catalog of this epoch.
    pub(crate) fn after(&mut self, what: &Understood, command: usize, epoch: u64) {
        if let Some(command) = what.commands.get(command) {
            self.advance(command, epoch);
        }
    }

    pub(super) fn advance(&mut self, command: &Command, epoch: u64) {
        let executed: Vec<Arc<Command>> = command
            .acts
            .iter()
            .filter_map(|act| match &act.deed {
                Deed::Execute { name } => self.prepared.get(name).cloned(),
                _ => None,
            })
            .collect();
        for act in command.acts.iter().chain(executed.iter().flat_map(|command| &command.acts)) {
            self.follow(&act.deed, epoch);
        }
    }

    fn follow(&mut self, deed: &Deed, epoch: u64) {
        match deed {
            Deed::Set(setting) => self.set(setting),
            Deed::ResetAll => self.reset_path(),
            Deed::Discard(discard) => self.discard(*discard),
            Deed::Transaction(transaction) => self.follow_transaction(transaction),
            Deed::Prepare { name, statement } => {
                remember(&mut self.prepared, name.clone(), Arc::clone(statement));
            }
            Deed::Deallocate { name } => forget(&mut self.prepared, name.as_deref()),
            Deed::Declare { cursor, query, hold } => {
                let names = Arc::clone(&self.names);
                let declared = Cursor { query: Arc::clone(query), names, hold: *hold };
                remember(&mut self.cursors, cursor.clone(), declared);
            }
            Deed::Close { cursor } => forget(&mut self.cursors, cursor.as_deref()),
            Deed::Define {
                object: object @ (Object::Table | Object::View | Object::Sequence),
                name: Some(name),
                temporary: true,
                ..
            } => {
                let (name, is_view) = (name.name.to_string(), *object == Object::View);
                self.change(|names| {
                    if is_view {
                        names.temporary_views.insert(name.clone());
                    }
                    names.temporary.insert(name);
                });
            }
            Deed::Define { name: Some(name), what, .. } if self.is_temporary(name) => {
                // A rename of a temporary relation: the new name is not followed, so the old one means nothing now.
                if what.starts_with("rename") {
                    self.change(|names| {
                        names.temporary.remove(&*name.name);
                    });
                }
            }
            Deed::Drop { names, .. } if names.iter().all(|name| self.is_temporary(name)) => {
                names.iter().for_each(|name| self.drop_temporary(&name.name));
            }
            Deed::Define { .. } | Deed::Drop { .. } | Deed::DropPart { .. } | Deed::Code { .. } => {
                self.change(|names| names.changed_at = Some(epoch));
            }
            Deed::Block { .. } | Deed::Procedure => self.change(|names| {
                names.certain = false;
                names.changed_at = Some(epoch);
            }),
            Deed::Read { .. }
            | Deed::Export { .. }
            | Deed::Insert { .. }
            | Deed::Change(_)
            | Deed::Truncate { .. }
            | Deed::Privilege { .. }
            | Deed::Owner { .. }
            | Deed::Role { .. }
            | Deed::Outside { .. }
            | Deed::Lock { .. }
            | Deed::Maintain { .. }
            | Deed::Show
            | Deed::Execute { .. }
            | Deed::Fetch { .. }
            | Deed::Explain
            | Deed::Listen
            | Deed::Notify => {}
        }
    }

    /// Functions that nobody reviewed ran: what they did to the session is not known.
    pub(crate) fn ran_opaque_code(&mut self, epoch: u64) {
        self.change(|names| {
            names.certain = false;
            names.changed_at = Some(epoch);
        });
    }

    /// Whether a name is one of this session's temporary relations, as far as one can tell from the session.
    pub(super) fn is_temporary(&self, name: &Name) -> bool {
        match name.schema.as_deref() {
            Some(schema) => schema == "pg_temp",
            None => self.names.temporary.contains(&*name.name),
        }
    }

    fn drop_temporary(&mut self, name: &str) {
        self.change(|names| {
            names.temporary.remove(name);
            names.temporary_views.remove(name);
        });
    }

    fn change(&mut self, change: impl FnOnce(&mut Names)) {
        change(Arc::make_mut(&mut self.names));
    }

    fn set(&mut self, setting: &Setting) {
        if setting.name.as_deref().is_some_and(|name| name != "search_path") {
            return;
        }
        let path = match &setting.value {
            Value::Words(words) => Some(words.iter().map(ToString::to_string).collect::<Vec<_>>()),
            Value::Default => Some(self.default_path.to_vec()),
            Value::Unknown => None,
        };
        let certain = setting.certain && setting.name.is_some();
        // Outside a transaction, SET LOCAL has no effect.
        if setting.local && self.transaction.is_none() {
            return;
        }
        let now = self.names.search_path.clone();
        if let Some(open) = &mut self.transaction {
            if setting.local {
                open.kept.get_or_insert(now);
            } else {
                open.kept = None;
            }
        }
        self.change(|names| {
            names.certain = certain && path.is_some();
            names.search_path = path.unwrap_or_default();
        });
    }

    fn reset_path(&mut self) {
        let path = self.default_path.to_vec();
        if let Some(open) = &mut self.transaction {
            open.kept = None;
        }
        self.change(|names| {
            names.certain = true;
            names.search_path = path;
        });
    }

    fn discard(&mut self, discard: Discard) {
        match discard {
            Discard::Caches => {}
            Discard::Temporary => self.change(Names::forget_temporary),
            Discard::All => {
                self.reset_path();
                self.change(Names::forget_temporary);
                self.prepared.clear();
                self.cursors.clear();
            }
        }
    }

    fn follow_transaction(&mut self, transaction: &Transaction) {
        match transaction {
            Transaction::Begin { .. } => {
                if self.transaction.is_none() {
                    self.begin();
                }
            }
            Transaction::Commit { chain } => {
                self.commit();
                if *chain {
                    self.begin();
                }
            }
            Transaction::Rollback { chain } => {
                self.roll_back();
                if *chain {
                    self.begin();
                }
            }
            Transaction::Savepoint(name) => self.savepoint(name),
            Transaction::RollbackTo(name) => self.roll_back_to(name),
            Transaction::Release(name) => {
                if let Some(open) = &mut self.transaction
                    && let Some(at) = position(&open.before, name)
                {
                    open.before.truncate(at);
                }
            }
            // The session's part in the transaction is over.
            Transaction::TwoPhase => self.commit(),
        }
    }

    /// A transaction begins, whoever asked for it.
    pub(crate) fn begin(&mut self) {
        let saved = Saved { savepoint: None, names: Arc::clone(&self.names), kept: None };
        self.transaction = Some(Open { before: vec![saved], ..Open::default() });
    }

    /// The transaction was committed.
    pub(crate) fn commit(&mut self) {
        self.cursors.retain(|_, cursor| cursor.hold);
        let Some(open) = self.transaction.take() else { return };
        self.change(|names| {
            if let Some(path) = open.kept {
                names.search_path = path;
            }
        });
    }

    fn roll_back(&mut self) {
        self.cursors.clear();
        if let Some(saved) = self.transaction.take().and_then(|open| open.before.into_iter().next()) {
            self.names = saved.names;
        }
    }

    fn savepoint(&mut self, name: &str) {
        let names = Arc::clone(&self.names);
        let Some(open) = &mut self.transaction else { return };
        if open.before.len() < SAVEPOINTS_MAX {
            open.before.push(Saved { savepoint: Some(name.into()), names, kept: open.kept.clone() });
        }
    }

    fn roll_back_to(&mut self, name: &str) {
        let found = self.transaction.as_mut().and_then(|open| {
            let at = position(&open.before, name)?;
            open.before.truncate(at + 1);
            let saved = open.before.last()?.clone();
            open.kept = saved.kept;
            Some(saved.names)
        });
        match found {
            Some(names) => self.names = names,
            None => self.change(|names| {
                names.certain = false;
                names.forget_temporary();
            }),
        }
    }
}

fn position(saved: &[Saved], name: &str) -> Option<usize> {
    saved.iter().rposition(|saved| saved.savepoint.as_deref() == Some(name))
}

fn remember<T>(names: &mut BTreeMap<Box<str>, T>, name: Box<str>, what: T) {
    if names.len() >= NAMES_MAX && !names.contains_key(&name) {
        names.clear();
    }
    names.insert(name, what);
}

fn forget<T>(names: &mut BTreeMap<Box<str>, T>, name: Option<&str>) {
    match name {
        Some(name) => {
            names.remove(name);
        }
        None => names.clear(),
    }
}
