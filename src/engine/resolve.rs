//! Names of a command → what they stand for in this session: the facts that rules look at.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::builtin::{self, Class};
use super::catalog::{
    CastContext, Catalog, CatalogCast, CatalogFunction, CatalogRelation, FIRST_USER_OID, RelationKind,
};
use super::lineage::{self, Kept, Lineage, Origin, Purpose, Source};
use super::mask::recognise::Recogniser;
use super::policy::Policy;
use super::scope::{Names, Scope};
use super::sql::Complaint;
use super::sql::fact::{Call, Command, CopyForm, Deed, Mention, Name, Notation, Use};
use super::sql::tree::Node;
use super::write_back::Seen;
use crate::domain::{Access, Function, Grant, IdentityKind, Relation, Timestamp, Touch};

/// What is known about one command, in one session, for one grant.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    pub(super) policy: &'a Policy,
    pub(super) catalog: &'a Catalog,
    pub(super) names: &'a Names,
    pub(super) access: Access,
    pub(super) who: IdentityKind,
    pub(super) grant: &'a Grant,
    pub(super) recogniser: &'a Recogniser,
    pub(super) seen: &'a Seen,
    /// Why the text is not understood, when it is not; then nothing else is known.
    pub(super) complaint: Option<&'a Complaint>,
    parts: Vec<Part<'a>>,
    pub(super) calls: Vec<Called<'a>>,
    pub(super) relations: Vec<Used<'a>>,
    /// Functions that run without being called by name.
    pub(super) hidden: Vec<Hidden<'a>>,
    /// EXECUTE and FETCH of names that nobody prepared or declared here.
    pub(super) unknown_names: Vec<(&'a str, usize)>,
    /// Where its values come from and go; nothing as long as no column of the database is known to need a mask.
    pub(super) lineage: Option<Arc<Lineage>>,
}

/// What a decision is about, besides the statement and the session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) policy: &'a Policy,
    pub(super) catalog: &'a Catalog,
    pub(super) recogniser: &'a Recogniser,
    pub(super) seen: &'a Seen,
    pub(super) grant: &'a Grant,
    pub(super) who: IdentityKind,
    pub(super) now: Timestamp,
}

/// The command, or one that it executes.
#[derive(Clone, Copy, Debug)]
struct Part<'a> {
    command: &'a Command,
    /// Where in the text to point instead, for what is not in the text.
    position: Option<usize>,
}

/// A function call and what it means.
#[derive(Debug)]
pub(super) struct Called<'a> {
    pub(super) call: &'a Call,
    pub(super) callee: Callee<'a>,
    pub(super) position: usize,
}

/// What a call means.
#[derive(Clone, Copy, Debug)]
pub(super) enum Callee<'a> {
    BuiltIn(Class),
    /// Somebody read it, or it is part of an extension that only computes.
    Reviewed,
    /// What it does is not known. With the function, when there is one.
    Opaque(Option<&'a CatalogFunction>),
}

/// A relation that occurs and what it is.
#[derive(Debug)]
pub(super) struct Used<'a> {
    pub(super) used: &'a Use,
    pub(super) found: Found<'a>,
    pub(super) position: usize,
}

/// What a relation's name means.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found<'a> {
    Known(&'a CatalogRelation),
    /// Of `pg_catalog` or `information_schema`.
    System(&'a str),
    /// The session's own.
    Temporary,
    Missing,
}

/// A function that runs behind an operator, a cast, a view.
#[derive(Debug)]
pub(super) struct Hidden<'a> {
    /// For a sentence: `the operator ###`.
    pub(super) behind: String,
    pub(super) function: HiddenFunction<'a>,
    pub(super) position: usize,
}

#[derive(Debug)]
pub(super) enum HiddenFunction<'a> {
    Catalog(&'a CatalogFunction),
    BuiltIn(&'a str),
    /// An operator that is neither the server's nor in the catalog.
    Unknown,
}

impl<'a> Facts<'a> {
    /// What is known about `command`.
    pub(super) fn new(asked: Asked<'a>, scope: &'a Scope, command: &'a Command) -> Self {
        let mut facts = Self::unresolved(asked, scope, command);
        facts.relations = facts.resolve_relations();
        facts.calls = facts.resolve_calls();
        facts.hidden = facts.resolve_hidden();
        if facts.catalog.classification.finds() {
            facts.lineage = Some(Arc::new(facts.traced(asked, scope, command)));
        }
        facts
    }

    /// A command whose names nobody has looked up yet.
    pub(super) fn unresolved(asked: Asked<'a>, scope: &'a Scope, command: &'a Command) -> Self {
        let mut facts = Self::empty(asked, scope);
        facts.parts.push(Part { command, position: None });
        facts.add_executed(scope, command);
        facts
    }

    /// Where the command's values come from and go. An EXECUTE is what was prepared, read as it would be now; a FETCH
    /// what was declared, read as it was then.
    fn traced(&self, asked: Asked<'a>, scope: &'a Scope, command: &'a Command) -> Lineage {
        for act in &command.acts {
            match &act.deed {
                Deed::Execute { name } => {
                    if let Some(prepared) = scope.prepared(name) {
                        return lineage::trace_executing(self, command, Some(prepared));
                    }
                }
                Deed::Fetch { cursor } => {
                    if let Some((declared, names)) = scope.cursor(cursor).zip(scope.names_of_cursor(cursor)) {
                        return lineage::trace(&Self { names, ..Self::empty(asked, scope) }, declared);
                    }
                }
                _ => {}
            }
        }
        lineage::trace(self, command)
    }

    /// What is known about a text that is not understood.
    pub(super) fn not_understood(asked: Asked<'a>, scope: &'a Scope, complaint: &'a Complaint) -> Self {
        Self { complaint: Some(complaint), ..Self::empty(asked, scope) }
    }

    fn empty(asked: Asked<'a>, scope: &'a Scope) -> Self {
        let Asked { policy, catalog, recogniser, seen, grant, who, now: _ } = asked;
        Self {
            policy,
            catalog,
            names: scope.names(),
            access: grant.access,
            who,
            grant,
            recogniser,
            seen,
            complaint: None,
            parts: Vec::new(),
            calls: Vec::new(),
            relations: Vec::new(),
            hidden: Vec::new(),
            unknown_names: Vec::new(),
            lineage: None,
        }
    }

    /// What the command executes by name, and the statements inside its blocks.
    fn add_executed(&mut self, scope: &'a Scope, command: &'a Command) {
        for act in &command.acts {
            let position = Some(act.position);
            match &act.deed {
                Deed::Execute { name } => match scope.prepared(name) {
                    Some(prepared) => self.parts.push(Part { command: prepared, position }),
                    None => self.unknown_names.push((name, act.position)),
                },
                Deed::Fetch { cursor } => match scope.cursor(cursor) {
                    // Judged when it was declared; the rows are those of a read.
                    Some(_) => {}
                    None => self.unknown_names.push((cursor, act.position)),
                },
                Deed::Block { statements, .. } => {
                    self.parts.extend(statements.iter().map(|command| Part { command, position }));
                }
                _ => {}
            }
        }
    }

    /// What the command does, with where to point.
    pub(super) fn deeds(&self) -> impl Iterator<Item = (&'a Deed, usize)> {
        self.parts.iter().flat_map(|part| {
            let position = part.position;
            part.command.acts.iter().map(move |act| (&act.deed, position.unwrap_or(act.position)))
        })
    }

    /// What it is in the parse tree, itself and what it executes, with where to point.
    pub(super) fn roots(&self) -> impl Iterator<Item = (Node<'a>, Option<usize>)> {
        self.parts.iter().map(|part| (part.command.root.node(), part.position))
    }

    /// The statements that write values to columns, itself and what it executes, with where to point.
    pub(super) fn writers(&self) -> impl Iterator<Item = (Node<'a>, Option<usize>)> {
        let of_part = |part: &Part<'a>| {
            let (command, position) = (part.command, part.position);
            command.writers.iter().map(move |place| (command.root.at(*place), position))
        };
        self.parts.iter().flat_map(of_part)
    }

    /// Nodes of the tree that are on no list.
    pub(super) fn strange(&self) -> impl Iterator<Item = (&'static str, usize)> {
        self.parts.iter().flat_map(|part| {
            let position = part.position;
            part.command.strange.iter().map(move |strange| (strange.node, position.unwrap_or(strange.position)))
        })
    }

    /// Whether a relation is this session's own and nobody else's. A name that could also mean a lasting relation does.
    pub(super) fn is_temporary(&self, name: &Name) -> bool {
        matches!(self.find(name), Found::Temporary)
    }

    /// Whether the rows of a relation are this session's own too. Those of a temporary view are not, and once there was
    /// one, a name in `pg_temp` that nobody followed may be its new name.
    pub(super) fn has_own_rows(&self, name: &Name) -> bool {
        let views = &self.names.temporary_views;
        let followed = self.names.temporary.contains(&*name.name);
        self.is_temporary(name) && if followed { !views.contains(&*name.name) } else { views.is_empty() }
    }

    /// What a relation's name means, looked up as the server does.
    pub(super) fn find(&self, name: &Name) -> Found<'a> {
        let named = |schema: &str| self.catalog.relations_named(&name.name).find(|found| found.schema == schema);
        match name.schema.as_deref() {
            Some("pg_temp") => Found::Temporary,
            Some("pg_catalog") => Found::System("pg_catalog"),
            Some("information_schema") => Found::System("information_schema"),
            Some(schema) => named(schema).map_or(Found::Missing, Found::Known),
            None => {
                let lasting = if self.names.certain {
                    self.names.path().find_map(named)
                } else {
                    self.catalog.relations_named(&name.name).next()
                };
                match lasting {
                    Some(relation) => Found::Known(relation),
                    None if self.names.temporary.contains(&*name.name) => Found::Temporary,
                    // Every relation of `pg_catalog` has such a name, and it is searched first.
                    None if name.name.starts_with("pg_") => Found::System("pg_catalog"),
                    None if self.names.path().any(|schema| schema == "information_schema") => {
                        Found::System("information_schema")
                    }
                    None => Found::Missing,
                }
            }
        }
    }

    /// The tags of a relation, by its resolved name or, when that is not known, by the schema it is written with.
    pub(super) fn tags(&self, name: &Name) -> BTreeSet<&'a str> {
        match (self.find(name), &name.schema) {
            (Found::Known(relation), _) => self.policy.tags(&relation.schema, &relation.name),
            (Found::Missing, Some(schema)) => self.policy.tags(schema, &name.name),
            (Found::Missing | Found::System(_) | Found::Temporary, _) => BTreeSet::new(),
        }
    }

    /// The relations for the record, with their schemas.
    pub(super) fn recorded(&self) -> Vec<Relation> {
        let mut relations: Vec<Relation> = self
            .relations
            .iter()
            .map(|used| {
                let schema = match used.found {
                    Found::Known(relation) => Some(relation.schema.clone()),
                    Found::System(schema) => Some(schema.to_owned()),
                    Found::Temporary => Some("pg_temp".to_owned()),
                    Found::Missing => used.used.name.schema.as_deref().map(str::to_owned),
                };
                Relation { schema, name: used.used.name.name.to_string(), touch: used.used.touch }
            })
            .collect();
        relations.sort_unstable();
        relations.dedup();
        relations
    }

    /// The functions that it runs and that nobody reviewed, for the record.
    pub(super) fn unreviewed(&self) -> impl Iterator<Item = Function> {
        let known = |function: &CatalogFunction| Function {
            name: function.signature.clone(),
            body: Some(function.body.clone()).filter(|body| !body.is_empty()),
        };
        let called = self.calls.iter().filter_map(move |called| match called.callee {
            Callee::Opaque(Some(function)) => Some(known(function)),
            Callee::Opaque(None) => Some(Function { name: called.call.name.to_string(), body: None }),
            Callee::BuiltIn(_) | Callee::Reviewed => None,
        });
        let hidden = self.hidden.iter().filter_map(move |hidden| match hidden.function {
            HiddenFunction::Catalog(function) => Some(known(function)),
            HiddenFunction::BuiltIn(_) | HiddenFunction::Unknown => None,
        });
        called.chain(hidden)
    }

    fn resolve_relations(&self) -> Vec<Used<'a>> {
        let resolve = |part: &Part<'a>| {
            let position = part.position;
            let command = part.command;
            command.relations.iter().map(move |used| (used, position.unwrap_or(used.position)))
        };
        let uses = self.parts.iter().flat_map(resolve);
        uses.map(|(used, position)| Used { used, found: self.find(&used.name), position }).collect()
    }

    fn resolve_calls(&self) -> Vec<Called<'a>> {
        let mut out = Vec::new();
        for part in &self.parts {
            for call in &part.command.calls {
                let position = part.position.unwrap_or(call.position);
                if let Some(callee) = self.callee(call) {
                    out.push(Called { call, callee, position });
                }
            }
        }
        out
    }

    /// What a call means; nothing when it is no call but a column.
    fn callee(&self, call: &'a Call) -> Option<Callee<'a>> {
        match &call.notation {
            Notation::Function => Some(self.function(&call.name, call.arguments.len())),
            Notation::Sample => Some(match &*call.name.name {
                "bernoulli" | "system" => Callee::BuiltIn(Class::Read),
                name => match self.candidates(&call.name, name, None).next() {
                    Some(function) if self.is_reviewed(function) => Callee::Reviewed,
                    found => Callee::Opaque(found),
                },
            }),
            Notation::Attribute { of } => self.attribute(&call.name.name, of.as_deref()),
        }
    }

    fn function(&self, name: &'a Name, arguments: usize) -> Callee<'a> {
        let class = self.built_in(name, arguments);
        if let Some(class) = class.filter(|class| *class != Class::Read) {
            return Callee::BuiltIn(class);
        }
        let mut reviewed = false;
        for function in self.candidates(name, &name.name, Some(arguments)) {
            if !self.is_reviewed(function) {
                return Callee::Opaque(Some(function));
            }
            reviewed = true;
        }
        match class {
            Some(class) => Callee::BuiltIn(class),
            None if reviewed => Callee::Reviewed,
            // A type's name with one argument is a cast; what that runs is found with the other casts.
            None if arguments == 1 && !self.catalog.types_named(&name.name).is_empty() => Callee::Reviewed,
            None => Callee::Opaque(None),
        }
    }

    /// The class of the built-in function that a name can mean.
    fn built_in(&self, name: &Name, arguments: usize) -> Option<Class> {
        let class = match &*name.name {
            // With a query given as text it runs it; with one given as values it computes.
            "ts_rewrite" if arguments == 3 => Some(Class::Read),
            other => builtin::class(other),
        };
        match name.schema.as_deref() {
            None | Some("pg_catalog") => class,
            Some("information_schema") => builtin::is_of_information_schema(&name.name).then_some(Class::Read),
            // Dangerous extensions can be installed in any schema.
            Some(_) => class.filter(|class| *class != Class::Read),
        }
    }

    /// The functions of the catalog that a name can mean.
    fn candidates(
        &self,
        name: &'a Name,
        bare: &str,
        arguments: Option<usize>,
    ) -> impl Iterator<Item = &'a CatalogFunction> {
        let all: Vec<_> = self
            .catalog
            .functions_named(bare)
            .filter(|function| arguments.is_none_or(|arguments| function.takes(arguments)))
            .filter(|function| match name.schema.as_deref() {
                Some(schema) => function.schema == schema,
                None => !self.names.certain || self.names.path().any(|schema| schema == function.schema),
            })
            .collect();
        all.into_iter()
    }

    /// `of.name`: a column, or a call of a function that takes such a row.
    fn attribute(&self, name: &'a str, of: Option<&str>) -> Option<Callee<'a>> {
        let class = builtin::class(name).filter(|class| *class != Class::Read);
        let opaque = self.catalog.functions_named(name).find(|found| found.takes(1) && !self.is_reviewed(found));
        let unlisted = builtin::class(name).is_none() && self.catalog.has_built_in(name);
        // A row of a system catalog is of a type of the server's own.
        let takes_system_rows =
            opaque.and_then(|function| function.arguments.first()).is_some_and(|first| *first < FIRST_USER_OID);
        if class.is_none() && opaque.is_none() && !unlisted || self.is_column(name, of, takes_system_rows) {
            return None;
        }
        Some(class.map_or(Callee::Opaque(opaque), Callee::BuiltIn))
    }

    /// Whether everything that is called `of` in the command is a relation with such a column.
    fn is_column(&self, name: &str, of: Option<&str>, takes_system_rows: bool) -> bool {
        let Some(of) = of else { return false };
        let mut found = false;
        for used in &self.relations {
            if used.used.alias.as_deref().unwrap_or(&used.used.name.name) != of {
                continue;
            }
            match used.found {
                Found::Known(relation) if relation.columns.iter().any(|column| column.name == name) => found = true,
                Found::System(_) if !takes_system_rows => found = true,
                Found::System(_) | Found::Known(_) | Found::Temporary | Found::Missing => return false,
            }
        }
        found
    }

    pub(super) fn is_reviewed(&self, function: &CatalogFunction) -> bool {
        function.is_harmless() || self.policy.is_reviewed(&function.signature, &function.body)
    }

    /// Functions behind operators, casts and the conditions of types, views and row security.
    fn resolve_hidden(&self) -> Vec<Hidden<'a>> {
        let mut out = Vec::new();
        let types = self.types();
        for part in &self.parts {
            let at = |position: usize| part.position.unwrap_or(position);
            for operator in &part.command.operators {
                self.behind_operator(&operator.name, at(operator.position), &types, &mut out);
            }
            for kind in &part.command.types {
                self.behind_type(&kind.name, at(kind.position), &mut out);
            }
            for call in part.command.calls.iter().filter(|call| call.arguments.len() == 1) {
                self.behind_type(&call.name, at(call.position), &mut out);
            }
        }
        self.behind_casts(&types, &mut out);
        let written = self.parts.iter().find_map(|part| {
            let is_own = |mention: &&Mention| self.catalog.types_named(&mention.name.name).is_empty();
            let mention = part.command.types.iter().find(is_own)?;
            Some(part.position.unwrap_or(mention.position))
        });
        for (function, position) in self.casts_to_built_in(&types).zip(written.into_iter().cycle()) {
            let function = HiddenFunction::Catalog(function);
            out.push(Hidden { behind: "a cast to a type of the server's own".to_owned(), function, position });
        }
        for used in &self.relations {
            let Found::Known(relation) = used.found else { continue };
            let (functions, built_in) = self.catalog.behind(relation.oid);
            let behind = || format!("`{}`", relation.name);
            let functions = functions.into_iter().map(HiddenFunction::Catalog);
            let built_in = built_in.into_iter().map(HiddenFunction::BuiltIn);
            let hidden = functions.chain(built_in);
            out.extend(hidden.map(|function| Hidden { behind: behind(), function, position: used.position }));
        }
        out.retain(|hidden| match hidden.function {
            HiddenFunction::Catalog(function) => !self.is_reviewed(function),
            HiddenFunction::BuiltIn(_) | HiddenFunction::Unknown => true,
        });
        out
    }

    /// The types, other than the server's own, that values in this command can have.
    fn types(&self) -> BTreeSet<u32> {
        let mentioned = self.parts.iter().flat_map(|part| &part.command.types);
        let mentioned = mentioned.flat_map(|mention| self.catalog.types_named(&mention.name.name));
        let columns = self.relations.iter().filter_map(|used| match used.found {
            Found::Known(relation) => Some(relation),
            Found::System(_) | Found::Temporary | Found::Missing => None,
        });
        let columns = columns.flat_map(|relation| &relation.columns).map(|column| column.kind);
        let all = mentioned.map(|kind| kind.oid).chain(columns).filter(|oid| *oid >= FIRST_USER_OID);
        // A cast of a list is one of each element, that of a domain one of what it is over.
        let within = |oid| self.catalog.type_of(oid).map_or([oid; 3], |kind| [oid, kind.element, kind.base]);
        all.flat_map(within).filter(|oid| *oid >= FIRST_USER_OID).collect()
    }

    /// Casts that somebody made of these types to the server's own: no name of theirs stands where they are called for.
    fn casts_to_built_in(&self, types: &BTreeSet<u32>) -> impl Iterator<Item = &'a CatalogFunction> {
        let is_one = |cast: &&CatalogCast| types.contains(&cast.source) && cast.target < FIRST_USER_OID;
        let casts: Vec<_> = self.catalog.casts().iter().filter(is_one).collect();
        casts.into_iter().filter_map(|cast| self.catalog.function(cast.function))
    }

    /// Whether a cast to one of the server's own types can run code that did not come with the server.
    pub(super) fn casts_by_code(&self) -> bool {
        self.casts_to_built_in(&self.types()).any(|function| !function.is_harmless())
    }

    fn behind_operator(&self, name: &Name, position: usize, types: &BTreeSet<u32>, out: &mut Vec<Hidden<'a>>) {
        let is_known = builtin::is_operator(&name.name);
        let can_be = |schema: &str| match name.schema.as_deref() {
            Some(written) => written == schema,
            None => !self.names.certain || self.names.path().any(|listed| listed == schema),
        };
        let mut found = false;
        for operator in self.catalog.operators_named(&name.name).iter().filter(|found| can_be(&found.schema)) {
            found = true;
            // An operator with a name of the server's own is meant only when a value of one of its types is there.
            let fits = |kind: u32| kind < FIRST_USER_OID || types.contains(&kind);
            let foreign = operator.left >= FIRST_USER_OID || operator.right >= FIRST_USER_OID;
            let meant = !is_known || !foreign || (fits(operator.left) && fits(operator.right));
            if let Some(function) = self.catalog.function(operator.function).filter(|_| meant) {
                let function = HiddenFunction::Catalog(function);
                out.push(Hidden { behind: format!("the operator `{}`", name.name), function, position });
            }
        }
        let outside = name.schema.as_deref().is_some_and(|schema| schema != "pg_catalog");
        if !found && (!is_known || outside) {
            let behind = format!("the operator `{name}`");
            out.push(Hidden { behind, function: HiddenFunction::Unknown, position });
        }
    }

    /// What a cast to a type that is written out runs: its cast functions and the conditions of a domain.
    fn behind_type(&self, name: &Name, position: usize, out: &mut Vec<Hidden<'a>>) {
        for kind in self.catalog.types_named(&name.name) {
            if name.schema.as_deref().is_some_and(|schema| schema != kind.schema) {
                continue;
            }
            let casts = self.catalog.casts().iter().filter(|cast| cast.target == kind.oid);
            let functions = casts.map(|cast| cast.function).chain(kind.checks.iter().copied());
            for function in functions.filter_map(|oid| self.catalog.function(oid)) {
                let behind = format!("a cast to `{}`", name.name);
                out.push(Hidden { behind, function: HiddenFunction::Catalog(function), position });
            }
        }
    }

    /// Casts that happen by themselves.
    fn behind_casts(&self, types: &BTreeSet<u32>, out: &mut Vec<Hidden<'a>>) {
        let written = self.relations.iter().find(|used| used.used.touch == Touch::Write);
        for cast in self.catalog.casts() {
            let fits = |kind: u32| kind < FIRST_USER_OID || types.contains(&kind);
            let happens = match cast.context {
                CastContext::Explicit => None,
                CastContext::Assignment => written.map(|used| used.position).filter(|_| fits(cast.target)),
                CastContext::Implicit => Some(self.first_position()).filter(|_| fits(cast.source) && fits(cast.target)),
            };
            // Between two of the server's own types only an assignment or a comparison can call for it.
            let function = self.catalog.function(cast.function);
            if let (Some(position), Some(function)) = (happens, function) {
                let behind = "a cast that happens by itself".to_owned();
                out.push(Hidden { behind, function: HiddenFunction::Catalog(function), position });
            }
        }
    }

    /// Where a recursive query stands that has nothing to end it.
    pub(super) fn endless(&self) -> Option<usize> {
        self.parts.iter().find_map(|part| part.command.endless.map(|endless| part.position.unwrap_or(endless)))
    }

    /// Whether this session changed the schema after the catalog was read.
    pub(super) fn is_stale(&self) -> bool {
        self.names.changed_at.is_some_and(|epoch| self.catalog.epoch <= epoch)
    }

    /// Whether something was named that the catalog does not have: worth asking again with a newer one.
    pub(super) fn misses_something(&self) -> bool {
        self.relations.iter().any(|used| matches!(used.found, Found::Missing) && used.used.touch != Touch::Define)
            || self.calls.iter().any(|called| matches!(called.callee, Callee::Opaque(None)))
    }

    /// How the command's rows are written, when it is a COPY … TO STDOUT.
    pub(super) fn copies(&self) -> Option<&'a CopyForm> {
        self.parts.first().and_then(|part| part.command.copies.as_ref())
    }

    /// Whether the database itself shows nothing but masks to this session: what was seen is found there, and nothing is
    /// written.
    pub(super) fn sees_masks(&self) -> bool {
        self.catalog.masking.is_some()
    }

    /// The columns of which it compares masks, where the database shows masks: what looks for a value by them
    /// finds none, and nothing says so. An address that is written out is looked up as it is.
    pub(super) fn compares_masks(&self) -> BTreeSet<(u32, i16)> {
        let Some(masking) = &self.catalog.masking else { return BTreeSet::new() };
        let is_in_vain = |what: &Purpose, column: &(u32, i16)| match what {
            Purpose::Test | Purpose::Word => true,
            Purpose::Lookup(_) => !masking.named.contains_key(column),
            Purpose::Match(_) | Purpose::Rows | Purpose::Risk | Purpose::Store(_) | Purpose::Effect(_) => false,
        };
        let columns = self.uses().flat_map(|used| {
            let columns = used.origin.sources().filter_map(|(source, _)| source.column());
            columns.filter(|column| is_in_vain(&used.what, column))
        });
        columns.filter(|(relation, attribute)| self.catalog.classification.is_masked(*relation, *attribute)).collect()
    }

    /// What the command uses values for, besides returning them.
    pub(super) fn uses(&self) -> impl Iterator<Item = &lineage::Use> {
        self.lineage.iter().flat_map(|lineage| &lineage.uses)
    }

    /// The first source that is kept, for a sentence.
    pub(super) fn first_kept(&self, origin: &Origin) -> String {
        let is_kept = |source: &&Source| source.kept(self.catalog) != Kept::Open || **source == Source::CatalogTree;
        let kept = origin.sources().map(|(source, _)| source).filter(is_kept);
        let name = |source: &Source| match source {
            Source::Column { relation, attribute, key } => {
                let relation = self.catalog.relation(*relation)?;
                let column = relation.column(*attribute)?;
                let key = key.as_ref().map(|key| format!(".{}", key.name)).unwrap_or_default();
                Some(format!("`{}.{}{key}`", relation.name, column.name))
            }
            Source::CatalogTree => Some("an expression of the system catalogs".to_owned()),
            Source::Temporary | Source::CatalogText | Source::Secret | Source::Unknown => None,
        };
        kept.filter_map(name).next().unwrap_or_else(|| "a value".to_owned())
    }

    /// What the command's messages may show.
    pub(super) fn exposure(&self) -> Exposure {
        let opaque = self.calls.iter().any(|called| matches!(called.callee, Callee::Opaque(_)))
            || self.deeds().any(|(deed, _)| matches!(deed, Deed::Block { .. } | Deed::Procedure))
            || !self.unknown_names.is_empty();
        let kept = || {
            self.relations.iter().any(|used| match used.found {
                Found::Known(relation) => lineage::touches(self.catalog, relation.oid),
                Found::System(_) | Found::Missing => true,
                Found::Temporary => !self.names.certain,
            })
        };
        match (&self.lineage, opaque) {
            (None, _) => Exposure::Nothing,
            (Some(_), true) => Exposure::Anything,
            (Some(_), false) if kept() => Exposure::Values,
            (Some(_), false) => Exposure::Nothing,
        }
    }

    pub(super) fn first_position(&self) -> usize {
        self.parts.first().map_or(0, |part| part.command.position)
    }

    /// Whether names are looked up by a search path that is not known.
    pub(super) fn is_lost(&self) -> bool {
        let bare = |name: &Name| name.schema.is_none();
        !self.names.certain
            && (self.relations.iter().any(|used| bare(&used.used.name))
                || self
                    .calls
                    .iter()
                    .any(|called| bare(&called.call.name) && called.call.notation == Notation::Function))
    }
}

/// What a statement's messages may show, from nothing that is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Exposure {
    #[default]
    Nothing,
    /// Values of columns that are masked, where the server quotes values.
    Values,
    /// Anything, anywhere: code that nobody reviewed writes messages of its own.
    Anything,
}

impl Found<'_> {
    /// A table of another server.
    pub(super) fn is_foreign(&self) -> bool {
        matches!(self, Found::Known(relation) if relation.kind == RelationKind::Foreign)
    }
}
