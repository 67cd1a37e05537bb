//! A snapshot of a database's schema, as data.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use super::builtin;
use super::classify::Classification;
use super::mask::view::MaskedViews;
use super::snapshot::{self, Snapshot};
use super::sql::{self, Command};
use crate::domain::{ColumnName, SessionId};

/// One column of a relation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CatalogColumn {
    /// `pg_attribute.attnum`.
    pub(crate) attribute: i16,
    pub(crate) name: String,
    /// `pg_attribute.atttypid`.
    pub(crate) kind: u32,
    /// `pg_attribute.atttypmod`, the declared length where the type has one; of a domain, that of what it is over.
    pub(crate) modifier: i32,
    pub(crate) not_null: bool,
    /// Filled from a sequence: its values start at 1 unless somebody chose otherwise.
    pub(crate) counted: bool,
}

/// A table, view, materialised view, foreign table or partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CatalogRelation {
    /// `pg_class.oid`.
    pub(crate) oid: u32,
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(crate) columns: Vec<CatalogColumn>,
    pub(crate) kind: RelationKind,
    /// `pg_class.relowner`.
    pub(crate) owner: u32,
    /// The planner's estimate of its rows; `None` when it was never analysed.
    pub(crate) rows: Option<u64>,
    pub(crate) row_security: bool,
    /// Has rules that rewrite statements on it, other than the one that makes a view a view.
    pub(crate) rules: bool,
    /// The query of a view, with every name written with its schema.
    pub(crate) definition: Option<String>,
    /// Sets of attributes whose values together occur once.
    pub(crate) keys: Vec<Vec<i16>>,
    pub(crate) foreign_keys: Vec<CatalogForeignKey>,
    /// Partitioned tables and inheritance parents.
    pub(crate) parents: Vec<u32>,
    /// Functions that its triggers run.
    pub(crate) triggers: Vec<u32>,
    pub(crate) extension: Option<String>,
}

/// `pg_class.relkind`, as far as one can name it in a statement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum RelationKind {
    #[default]
    Table,
    Partitioned,
    View,
    MaterializedView,
    Foreign,
    Sequence,
    Composite,
}

/// Every value of these attributes occurs in those of the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CatalogForeignKey {
    pub(crate) columns: Vec<i16>,
    pub(crate) target: u32,
    pub(crate) target_columns: Vec<i16>,
    /// Deleting in the target deletes here.
    pub(crate) cascades: bool,
}

/// A function, procedure or aggregate that did not come with the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CatalogFunction {
    pub(crate) oid: u32,
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(crate) is_procedure: bool,
    /// Types of the arguments.
    pub(crate) arguments: Vec<u32>,
    /// How many of them may be left out.
    pub(crate) defaults: usize,
    pub(crate) variadic: bool,
    pub(crate) language: String,
    /// Runs with the rights of its owner.
    pub(crate) definer: bool,
    pub(crate) owner: String,
    /// `schema.name(types)`, as reviewed functions are listed in a policy.
    pub(crate) signature: String,
    /// SHA-256, in hexadecimal, of all that defines what it does.
    pub(crate) body: String,
    pub(crate) extension: Option<String>,
}

impl CatalogRelation {
    /// A column by its number.
    pub(crate) fn column(&self, attribute: i16) -> Option<&CatalogColumn> {
        self.columns.iter().find(|column| column.attribute == attribute)
    }
}

impl CatalogFunction {
    /// Whether a call with so many arguments can mean this function.
    pub(crate) fn takes(&self, arguments: usize) -> bool {
        let most = if self.variadic { usize::MAX } else { self.arguments.len() };
        (self.arguments.len().saturating_sub(self.defaults + usize::from(self.variadic))..=most).contains(&arguments)
    }

    /// Part of an extension whose functions only compute.
    pub(crate) fn is_harmless(&self) -> bool {
        self.extension.as_deref().is_some_and(|extension| HARMLESS_EXTENSIONS.binary_search(&extension).is_ok())
            && builtin::class(&self.name).is_none_or(|class| class == builtin::Class::Read)
    }
}

/// Extensions that add types and functions that compute, and nothing that reaches out or runs text. Of these, functions
/// on the lists of [`builtin`] are judged as those lists say.
const HARMLESS_EXTENSIONS: &[&str] = &[
    "address_standardizer",
    "btree_gin",
    "btree_gist",
    "citext",
    "cube",
    "dict_int",
    "dict_xsyn",
    "earthdistance",
    "fuzzystrmatch",
    "hll",
    "hstore",
    "intagg",
    "intarray",
    "isn",
    "ltree",
    "pg_stat_statements",
    "pg_trgm",
    "pgcrypto",
    "pgrowlocks",
    "pgstattuple",
    "postgis",
    "seg",
    "semver",
    "tablefunc",
    "tsm_system_rows",
    "tsm_system_time",
    "unaccent",
    "uuid-ossp",
    "vector",
    "xml2",
];

/// An operator that did not come with the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CatalogOperator {
    pub(crate) schema: String,
    pub(crate) left: u32,
    pub(crate) right: u32,
    pub(crate) function: u32,
}

/// A cast that calls a function that did not come with the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CatalogCast {
    pub(crate) source: u32,
    pub(crate) target: u32,
    pub(crate) function: u32,
    pub(crate) context: CastContext,
}

/// Where a cast happens by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CastContext {
    /// Only where it is written.
    Explicit,
    /// Also where a value is stored in a column.
    Assignment,
    Implicit,
}

/// A type that did not come with the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CatalogType {
    pub(crate) oid: u32,
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(crate) kind: TypeKind,
    /// What a domain is over; 0 for others.
    pub(crate) base: u32,
    /// The element of an array; 0 for others.
    pub(crate) element: u32,
    /// The relation whose columns are the fields of a row; 0 for others.
    pub(crate) relation: u32,
    /// Functions in the conditions of a domain.
    pub(crate) checks: Vec<u32>,
}

/// `pg_type.typtype`. Arrays are base types with an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TypeKind {
    Base,
    Composite,
    Domain,
    Enum,
    Range,
    MultiRange,
}

/// Types of the server's own have numbers below this (`FirstNormalObjectId`).
pub(crate) const FIRST_USER_OID: u32 = 16_384;

/// Everything the engine knows about a database.
#[derive(Clone, Debug, Default)]
pub(crate) struct Catalog {
    /// Grows with every change.
    pub(crate) epoch: u64,
    pub(crate) database: String,
    relations: HashMap<u32, CatalogRelation>,
    relations_by_name: HashMap<String, Vec<u32>>,
    functions: HashMap<u32, CatalogFunction>,
    functions_by_name: HashMap<String, Vec<u32>>,
    built_in: BTreeSet<String>,
    operators: HashMap<String, Vec<CatalogOperator>>,
    casts: Vec<CatalogCast>,
    types: HashMap<String, Vec<CatalogType>>,
    type_names: HashMap<u32, String>,
    /// Functions and relations behind a relation that is read: views, rules, row security.
    behind: HashMap<u32, Behind>,
    schemas: BTreeSet<String>,
    pub(crate) classification: Classification,
    /// Columns whose real values the session may be shown.
    revealed: BTreeSet<(u32, i16)>,
    /// The masks that stand in the database, for sessions that see nothing else.
    pub(super) masking: Option<Arc<MaskedViews>>,
    views: Arc<Views>,
}

/// The queries of views, read when they are first asked for.
#[derive(Debug, Default)]
struct Views {
    read: Mutex<HashMap<u32, Option<Arc<Command>>>>,
}

/// What reading a relation also runs and reads.
#[derive(Clone, Debug, Default)]
struct Behind {
    functions: Vec<u32>,
    relations: Vec<u32>,
    /// Names of built-in functions in a view's query that do more than read.
    built_in: Vec<String>,
}

impl Catalog {
    pub(crate) fn new(relations: Vec<CatalogRelation>, classification: Classification) -> Self {
        let mut catalog = Self { classification, ..Self::default() };
        for relation in relations {
            catalog.relations_by_name.entry(relation.name.clone()).or_default().push(relation.oid);
            catalog.schemas.insert(relation.schema.clone());
            catalog.relations.insert(relation.oid, relation);
        }
        catalog
    }

    pub(crate) fn from_snapshot(snapshot: &Snapshot, classification: Classification) -> Self {
        let mut catalog = Self::new(relations(snapshot), classification);
        catalog.epoch = snapshot.epoch;
        catalog.database.clone_from(&snapshot.database);
        catalog.built_in = snapshot.built_in.iter().cloned().collect();
        catalog.schemas.extend(snapshot.schemas.iter().cloned());
        for function in &snapshot.functions {
            catalog.functions_by_name.entry(function.name.clone()).or_default().push(function.oid);
            catalog.functions.insert(function.oid, function.into());
        }
        for operator in &snapshot.operators {
            let entry = CatalogOperator {
                schema: operator.schema.clone(),
                left: operator.left,
                right: operator.right,
                function: operator.function,
            };
            catalog.operators.entry(operator.name.clone()).or_default().push(entry);
        }
        catalog.casts = snapshot.casts.iter().map(CatalogCast::from).collect();
        for kind in &snapshot.types {
            let checks = snapshot.uses.iter().filter(|used| used.kind == kind.oid && used.function != 0);
            let checks = checks.map(|used| used.function).collect();
            let entry = CatalogType {
                oid: kind.oid,
                schema: kind.schema.clone(),
                name: kind.name.clone(),
                kind: match kind.kind {
                    'c' => TypeKind::Composite,
                    'd' => TypeKind::Domain,
                    'e' => TypeKind::Enum,
                    'r' => TypeKind::Range,
                    'm' => TypeKind::MultiRange,
                    _ => TypeKind::Base,
                },
                base: kind.base,
                element: kind.element,
                relation: kind.relation,
                checks,
            };
            catalog.type_names.insert(kind.oid, kind.name.clone());
            catalog.types.entry(kind.name.clone()).or_default().push(entry);
        }
        catalog.read_behind(snapshot);
        catalog
    }

    /// The catalog as sessions know it that see these views and nothing behind them.
    pub(crate) fn seen_through(&self, masking: Arc<MaskedViews>) -> Self {
        let mut catalog = self.clone();
        catalog.classification.masked.clone_from(&masking.masked);
        catalog.classification.scrubbed.clone_from(&masking.scrubbed);
        catalog.masking = Some(masking);
        catalog
    }

    fn read_behind(&mut self, snapshot: &Snapshot) {
        for used in snapshot.uses.iter().filter(|used| used.relation != 0) {
            let behind = self.behind.entry(used.relation).or_default();
            behind.functions.extend(Some(used.function).filter(|function| *function != 0));
            behind.relations.extend(Some(used.reads).filter(|relation| *relation != 0));
        }
        // What came with the server is not among a view's recorded dependencies.
        for relation in self.relations.values() {
            let calls = relation.definition.as_deref().map(special_calls).unwrap_or_default();
            if !calls.is_empty() {
                self.behind.entry(relation.oid).or_default().built_in = calls;
            }
        }
    }

    pub(crate) fn relation(&self, oid: u32) -> Option<&CatalogRelation> {
        self.relations.get(&oid)
    }

    /// A column by its relation and number.
    pub(crate) fn column(&self, relation: u32, attribute: i16) -> Option<&CatalogColumn> {
        self.relation(relation)?.column(attribute)
    }

    pub(crate) fn relations(&self) -> impl Iterator<Item = &CatalogRelation> {
        self.relations.values()
    }

    /// The same, for a session that was opened to see the real values of these columns. Those are not masked for it, be it
    /// that its views do not show them yet: what they may show is asked about.
    #[must_use]
    pub(crate) fn revealing(&self, session: SessionId, columns: &[ColumnName]) -> Self {
        let find = |name: &ColumnName| {
            let is_it = |relation: &&CatalogRelation| Some(&relation.schema) == name.schema.as_ref();
            let relation = self.relations_named(&name.relation).find(is_it)?;
            let column = relation.columns.iter().find(|column| column.name == name.column)?;
            Some((relation.oid, column.attribute))
        };
        let revealed: BTreeSet<_> = columns.iter().filter_map(find).collect();
        let catalog = match &self.masking {
            Some(masking) => self.seen_through(Arc::new(masking.seen_by(session))),
            None => self.clone(),
        };
        let mut catalog = Self { revealed, ..catalog };
        catalog.classification.masked.retain(|column| !catalog.revealed.contains(column));
        catalog.classification.scrubbed.retain(|column| !catalog.revealed.contains(column));
        catalog
    }

    pub(crate) fn reveals(&self, relation: u32, attribute: i16) -> bool {
        self.revealed.contains(&(relation, attribute))
    }

    pub(crate) fn revealed(&self) -> &BTreeSet<(u32, i16)> {
        &self.revealed
    }

    pub(crate) fn reveals_any(&self) -> bool {
        !self.revealed.is_empty()
    }

    /// What a column is called, with its schema.
    pub(crate) fn column_name(&self, relation: u32, attribute: i16) -> Option<ColumnName> {
        let relation = self.relation(relation)?;
        let column = relation.column(attribute)?;
        Some(ColumnName {
            schema: Some(relation.schema.clone()),
            relation: relation.name.clone(),
            column: column.name.clone(),
        })
    }

    /// The column that a name stands for under a search path.
    pub(crate) fn column_named(&self, name: &ColumnName, search_path: &[String]) -> Option<ColumnName> {
        let schemas = match &name.schema {
            Some(schema) => std::slice::from_ref(schema),
            None => search_path,
        };
        let found = |schema: &String| self.relations_named(&name.relation).find(|found| found.schema == *schema);
        let relation = schemas.iter().find_map(found)?;
        let column = relation.columns.iter().find(|column| column.name == name.column)?;
        self.column_name(relation.oid, column.attribute)
    }

    /// The relations of this name, in whatever schema.
    pub(crate) fn relations_named(&self, name: &str) -> impl Iterator<Item = &CatalogRelation> {
        self.relations_by_name.get(name).into_iter().flatten().filter_map(|oid| self.relation(*oid))
    }

    /// The query of a view. The thread needs [`super::STACK`] bytes of stack.
    pub(super) fn view(&self, oid: u32) -> Option<Arc<Command>> {
        let lock = || self.views.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(&oid) {
            return known.clone();
        }
        let read = self.relation(oid).and_then(|relation| sql::view(relation.definition.as_deref()?));
        lock().insert(oid, read.clone());
        read
    }

    pub(crate) fn function(&self, oid: u32) -> Option<&CatalogFunction> {
        self.functions.get(&oid)
    }

    /// The functions of this name that did not come with the server, in whatever schema.
    pub(crate) fn functions_named(&self, name: &str) -> impl Iterator<Item = &CatalogFunction> {
        self.functions_by_name.get(name).into_iter().flatten().filter_map(|oid| self.function(*oid))
    }

    /// Whether the server has a function of this name of its own.
    pub(crate) fn has_built_in(&self, name: &str) -> bool {
        self.built_in.contains(name)
    }

    pub(crate) fn operators_named(&self, name: &str) -> &[CatalogOperator] {
        self.operators.get(name).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn casts(&self) -> &[CatalogCast] {
        &self.casts
    }

    pub(crate) fn types_named(&self, name: &str) -> &[CatalogType] {
        self.types.get(name).map_or(&[], Vec::as_slice)
    }

    /// The type with this oid, when it did not come with the server.
    pub(crate) fn type_of(&self, oid: u32) -> Option<&CatalogType> {
        self.types_named(self.type_names.get(&oid)?).iter().find(|kind| kind.oid == oid)
    }

    /// The type whose values these are, which is another for a domain.
    pub(crate) fn base(&self, kind: u32) -> u32 {
        /// Domains over domains that are followed.
        const NESTING_MAX: usize = 16;
        let over =
            |kind: &u32| self.type_of(*kind).filter(|found| found.kind == TypeKind::Domain).map(|found| found.base);
        std::iter::successors(Some(kind), over).take(NESTING_MAX).last().unwrap_or(kind)
    }

    /// Whether something is called this: a schema, a relation, a column, a function or a type.
    pub(super) fn names(&self, name: &str) -> bool {
        self.schemas.contains(name)
            || self.relations_by_name.contains_key(name)
            || self.functions_by_name.contains_key(name)
            || self.types.contains_key(name)
            || self.relations.values().any(|relation| relation.columns.iter().any(|column| column.name == name))
    }

    /// The functions that reading a relation also runs, through views and row security, and the names of built-in
    /// functions among them that do more than read.
    pub(crate) fn behind(&self, relation: u32) -> (Vec<&CatalogFunction>, Vec<&str>) {
        let (mut functions, mut built_in) = (Vec::new(), Vec::new());
        let mut seen = BTreeSet::from([relation]);
        let mut open = vec![relation];
        while let Some(behind) = open.pop().map(|oid| self.behind.get(&oid)) {
            let Some(behind) = behind else { continue };
            functions.extend(behind.functions.iter().filter_map(|oid| self.function(*oid)));
            built_in.extend(behind.built_in.iter().map(String::as_str));
            open.extend(behind.relations.iter().filter(|oid| seen.insert(**oid)));
        }
        (functions, built_in)
    }
}

fn relations(snapshot: &Snapshot) -> Vec<CatalogRelation> {
    let mut relations: HashMap<u32, CatalogRelation> =
        snapshot.relations.iter().map(|relation| (relation.oid, relation.into())).collect();
    for column in &snapshot.columns {
        if let Some(relation) = relations.get_mut(&column.relation) {
            relation.columns.push(CatalogColumn {
                attribute: column.attribute,
                name: column.name.clone(),
                kind: column.kind,
                modifier: column.modifier,
                not_null: column.not_null,
                counted: column.counted,
            });
        }
    }
    for key in &snapshot.keys {
        if let Some(relation) = relations.get_mut(&key.relation) {
            relation.keys.push(key.columns.clone());
        }
    }
    for key in &snapshot.foreign_keys {
        if let Some(relation) = relations.get_mut(&key.relation) {
            relation.foreign_keys.push(CatalogForeignKey {
                columns: key.columns.clone(),
                target: key.target,
                target_columns: key.target_columns.clone(),
                cascades: key.on_delete == 'c',
            });
        }
    }
    for parent in &snapshot.parents {
        if let Some(relation) = relations.get_mut(&parent.relation) {
            relation.parents.push(parent.parent);
        }
    }
    for trigger in &snapshot.triggers {
        if let Some(relation) = relations.get_mut(&trigger.relation) {
            relation.triggers.push(trigger.function);
        }
    }
    relations.into_values().collect()
}

impl From<&snapshot::Relation> for CatalogRelation {
    fn from(relation: &snapshot::Relation) -> Self {
        let kind = match relation.kind {
            'p' => RelationKind::Partitioned,
            'v' => RelationKind::View,
            'm' => RelationKind::MaterializedView,
            'f' => RelationKind::Foreign,
            'S' => RelationKind::Sequence,
            'c' => RelationKind::Composite,
            _ => RelationKind::Table,
        };
        Self {
            oid: relation.oid,
            schema: relation.schema.clone(),
            name: relation.name.clone(),
            kind,
            owner: relation.owner,
            rows: estimate(relation.rows),
            row_security: relation.row_security,
            rules: relation.rules,
            definition: relation.definition.clone(),
            extension: relation.extension.clone(),
            ..Self::default()
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate, checked to be positive")]
fn estimate(rows: f64) -> Option<u64> {
    (rows >= 0.0).then_some(rows as u64)
}

impl From<&snapshot::Function> for CatalogFunction {
    fn from(function: &snapshot::Function) -> Self {
        Self {
            oid: function.oid,
            schema: function.schema.clone(),
            name: function.name.clone(),
            is_procedure: function.kind == 'p',
            arguments: function.arguments.clone(),
            defaults: function.defaults.into(),
            variadic: function.variadic,
            language: function.language.clone(),
            definer: function.definer,
            owner: function.owner.clone(),
            signature: function.signature.clone(),
            body: function.body.clone(),
            extension: function.extension.clone(),
        }
    }
}

impl From<&snapshot::Cast> for CatalogCast {
    fn from(cast: &snapshot::Cast) -> Self {
        let context = match cast.context {
            'e' => CastContext::Explicit,
            'a' => CastContext::Assignment,
            _ => CastContext::Implicit,
        };
        Self { source: cast.source, target: cast.target, function: cast.function, context }
    }
}

/// The built-in functions in a view's query that do more than read. The server writes a call as its name and a
/// parenthesis with nothing between.
fn special_calls(definition: &str) -> Vec<String> {
    let before = definition.split('(').map(str::trim_end);
    let name = before.filter_map(|text| text.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next());
    let special = name.filter(|name| builtin::class(name).is_some_and(|class| class != builtin::Class::Read));
    special.map(str::to_owned).collect()
}
