//! Masks inside the database: for each relation a view that shows what may be seen of it, and a role that sees nothing else.
//!
//! A session of such a role has no right on what holds sensitive values. Whatever it asks, however it asks it, is asked of
//! masked values: conditions, joins, copies, cursors and code included. What is not known has no view, and is not there.
//!
//! Pure: from the catalog, its classification and what the database says about rights ([`RIGHTS`], [`STATE`]) comes the
//! text of SQL that makes it so, changes what is there, or takes it away. Somebody else runs it, each as one transaction.

mod expression;
mod rewrite;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use ring::{digest, hmac};
use serde::Deserialize;

pub(crate) use rewrite::{LookedUp, Rewritten};
pub(in crate::engine) use rewrite::{Lookups, looked_up, rewritten};

use super::hash::BLOCK;
use super::plan::of_origin;
use super::shape::Shape;
use super::treatment::{Treatment, room};
use super::{MaskKey, pseudonym};
use crate::domain::{ColumnName, Grant, SessionId};
use crate::engine::catalog::{Catalog, CatalogRelation, RelationKind, TypeKind};
use crate::engine::classify::Verdict;
use crate::engine::decide::{self, Ground};
use crate::engine::detector::{self, DETECTORS, Method};
use crate::engine::lineage::{Form, verdict};
use crate::engine::mask::recognise::Recogniser;
use crate::engine::policy::Policy;
use crate::engine::scope::Scope;
use crate::engine::sql::{Texts, literal, quoted};
use expression::Value;

/// What sessions and the broker may do with each column; `@groups@` is an array of the roles whose members sessions would
/// be without masks.
const RIGHTS: &str = include_str!("rights.sql");

/// What was made before; `@name@` is the name of the role.
const STATE: &str = include_str!("state.sql");

/// What stands there under other names than `@name@`, the role's, and what speaks against taking it away.
const LEFT_BEHIND: &str = include_str!("left_behind.sql");

/// Columns that the reader may read; `@name@` is its name.
const READABLE: &str = include_str!("readable.sql");

/// The functions that views call. `@support@` is the schema they are in, `@reader@` the role that may call them.
const SUPPORT: &str = include_str!("support.sql");

/// What a superuser runs so that masks can be made, and so that they give way to changes of what they show. `@broker@` is
/// the broker's name as a text, `@version@` what is written beside the trigger.
const WAY: &str = include_str!("way.sql");

/// How long the statements wait for somebody who uses a view. Then nothing is changed, and it is tried again later.
const LOCK_TIMEOUT_MS: u32 = 2_000;

/// Longest name that PostgreSQL keeps whole.
const NAME_MAX: usize = 63;

/// The names under which the masks of one resource stand in its database. They differ by resource and key, so that two
/// gateways, or two resources in one database, do not meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MaskingNames {
    name: String,
}

impl MaskingNames {
    pub(crate) fn new(resource: &str, key: &MaskKey) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key.0.expose());
        let tag = hmac::sign(&key, format!("masking views of {resource}").as_bytes());
        Self { name: format!("gov_mask_{}", hexadecimal(tag.as_ref(), 4)) }
    }

    /// The group role that sees masked data only. The schema of what views call has the same name.
    pub(crate) fn reader(&self) -> &str {
        &self.name
    }

    /// The schema of the views on what is in this schema.
    pub(crate) fn schema(&self, of: &str) -> String {
        let whole = format!("{}_{of}", self.name);
        if whole.len() <= NAME_MAX {
            return whole;
        }
        let mut short: String = whole;
        while short.len() > NAME_MAX - 9 {
            short.pop();
        }
        format!("{short}_{}", hexadecimal(digest::digest(&digest::SHA256, of.as_bytes()).as_ref(), 4))
    }

    /// The schema of the views that one session has of its own on what is in this schema.
    fn schema_of(&self, session: SessionId, of: &str) -> String {
        self.schema(&format!("{session}_{of}"))
    }

    /// A search path on which views stand before what they show; first those that a session has of its own.
    pub(crate) fn path(&self, path: &[String], revealing: Option<SessionId>) -> Vec<String> {
        let all = path.iter().flat_map(|schema| {
            let has_views = schema != "$user";
            let own = revealing.filter(|_| has_views).map(|session| self.schema_of(session, schema));
            let views = has_views.then(|| self.schema(schema));
            own.into_iter().chain(views).chain([schema.clone()])
        });
        all.collect()
    }

    /// Asks for the schemas of the views that a session has of its own.
    pub(crate) fn of_session(&self, session: SessionId) -> String {
        let begins = literal(&self.schema_of(session, ""));
        format!("SELECT n.nspname FROM pg_catalog.pg_namespace n WHERE pg_catalog.starts_with(n.nspname, {begins})")
    }

    /// Asks what sessions and the broker may do with each column.
    pub(crate) fn rights(&self, groups: &[String]) -> String {
        let groups: Vec<String> = groups.iter().map(|group| literal(group)).collect();
        RIGHTS.replace("@groups@", &format!("ARRAY[{}]", groups.join(", ")))
    }

    /// Asks what was made before.
    pub(crate) fn state(&self) -> String {
        STATE.replace("@name@", &literal(&self.name))
    }

    /// Asks for schemas of masks that are not these: of another server, or of a key or a name that is no more.
    pub(crate) fn others(&self) -> String {
        let name = literal(&self.name);
        format!(
            "SELECT n.nspname FROM pg_catalog.pg_namespace n WHERE n.nspname ~ '^gov_mask_[0-9a-f]{{8}}(_|$)' \
             AND n.nspname <> {name} AND NOT pg_catalog.starts_with(n.nspname, {name} || '_') ORDER BY n.nspname"
        )
    }

    /// Asks for the same, with what is to be known before one of them is taken away.
    pub(crate) fn left_behind(&self) -> String {
        LEFT_BEHIND.replace("@name@", &literal(&self.name))
    }

    /// Asks which columns the reader may read past the views: by what is granted to everybody, or by somebody's hand.
    pub(crate) fn readable(&self) -> String {
        READABLE.replace("@name@", &literal(&self.name))
    }

    fn support(&self) -> String {
        let names: BTreeSet<String> = DETECTORS
            .iter()
            .flat_map(|detector| detector.claims())
            // What is not plain letters would need to be quoted twice.
            .filter(|claim| claim.chars().all(|letter| letter.is_alphanumeric() || letter == ' '))
            .map(|claim| claim.replace(' ', "[-_. ]?"))
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let name = quoted(&self.name);
        let sql = SUPPORT.replace("@support@", &name).replace("@reader@", &name);
        sql.replace("@names@", &format!("^({})$", names.join("|")))
    }
}

/// The SQL by which a superuser lets this broker mask in a database.
pub(crate) fn masking_sql(broker: &str) -> String {
    WAY.replace("@broker@", &literal(broker)).replace("@version@", &literal(&version("way", WAY)))
}

/// What the database says about a column.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ColumnRights {
    relation: u32,
    attribute: i16,
    /// Its type in SQL; of a domain, what it is over.
    written: String,
    /// Its type oid and modifier; of a domain, those of what it is over.
    kind: u32,
    modifier: i32,
    /// Sessions would see it without masks.
    wanted: bool,
    /// The broker may read it.
    readable: bool,
    /// The broker may let others read the whole relation.
    grantable: bool,
    /// The broker may let others name what is in its schema.
    opens: bool,
    /// Row security does not hold for the broker: a view would show rows that sessions must not see.
    unfiltered: bool,
}

/// What stands in the database already.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MaskingState {
    /// The version of the functions; nothing when they are not there.
    support: Option<String>,
    reader: Option<u32>,
    schemas: Vec<String>,
    views: Vec<Made>,
    granted: Vec<Made>,
    opened: Vec<String>,
    /// The version of what lets changes of the schema through; nothing when it is not there.
    way: Option<String>,
    /// The broker may make schemas.
    creates: bool,
    /// The broker may write functions.
    speaks: bool,
    /// PostgreSQL's version.
    pub(crate) major: u32,
}

/// Masks under other names: of another gateway or resource, or of a key that is no more.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LeftBehind {
    /// Of its role, and of the schema of what its views call.
    pub(crate) name: String,
    /// It carries gov's mark, and is the broker's to take away.
    marked: bool,
    /// What is in its schemas, or shows what is, and was not made by gov.
    foreign_things: Vec<String>,
    /// Sessions that are masked by it now.
    sessions: u64,
}

impl LeftBehind {
    /// Why it is not taken away, as a sentence.
    pub(crate) fn hindrance(&self) -> Option<String> {
        if !self.marked {
            return Some("It does not carry gov's mark, or belongs to somebody else.".to_owned());
        }
        if let Some(first) = self.foreign_things.first() {
            return Some(format!("gov did not make `{first}`, which would go with it."));
        }
        (self.sessions > 0).then(|| format!("Sessions are masked by it now: {}.", self.sessions))
    }

    /// Its names, by which it is taken away.
    pub(crate) fn names(&self) -> MaskingNames {
        MaskingNames { name: self.name.clone() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(deny_unknown_fields)]
struct Made {
    schema: String,
    name: String,
    /// The version of a view.
    #[serde(default)]
    comment: String,
}

impl MaskingState {
    /// What the broker lacks to make or keep masks, as SQL that an administrator may run; `None` when it lacks nothing.
    pub(crate) fn lacks(&self, database: &str, broker: &str) -> Option<String> {
        let (database, broker) = (quoted(database), quoted(broker));
        let create = (!self.creates).then(|| format!("GRANT CREATE ON DATABASE {database} TO {broker};"));
        let speak = (!self.speaks).then(|| format!("GRANT USAGE ON LANGUAGE plpgsql TO {broker};"));
        let lacks: Vec<String> = create.into_iter().chain(speak).collect();
        (!lacks.is_empty()).then(|| lacks.join(" "))
    }

    /// Whether views give way to whoever changes what they show.
    pub(crate) fn gives_way(&self) -> bool {
        self.way.as_ref() == Some(&version("way", WAY))
    }

    /// Whether anything of ours is there.
    pub(crate) fn is_empty(&self) -> bool {
        self.support.is_none() && self.reader.is_none() && self.schemas.is_empty()
    }
}

/// What should stand in the database.
#[derive(Debug)]
pub(crate) struct MaskingPlan {
    names: MaskingNames,
    views: Vec<View>,
    /// Relations without anything to mask, of which the broker may say so.
    granted: BTreeSet<(String, String)>,
    /// Schemas that the reader is let into.
    opened: BTreeSet<String>,
    /// Relations that sessions would see without masks, and do not with them.
    pub(crate) left_out: Vec<LeftOut>,
    /// What the engine has to know of it.
    seen: MaskedViews,
}

#[derive(Debug)]
struct View {
    schema: String,
    name: String,
    sql: String,
    /// The role that may read it.
    reader: String,
}

/// A session that sees some columns as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Revealing {
    pub(crate) session: SessionId,
    /// Its role in the database. Nobody else reads its views.
    pub(crate) role: String,
    pub(crate) columns: Vec<ColumnName>,
}

/// What differs for such a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Revealed {
    /// The schema of its own view of a relation.
    moved: HashMap<u32, String>,
    /// Columns that its views show otherwise.
    shown: HashSet<(u32, i16)>,
}

/// A relation without a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LeftOut {
    pub(crate) relation: String,
    pub(crate) why: LeftOutWhy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeftOutWhy {
    /// Nobody has looked at it yet.
    Unknown,
    /// The broker may not read it.
    Unreadable,
    /// Its row security does not hold for the broker.
    RowSecurity,
}

/// What the engine knows of masks that stand in the database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MaskedViews {
    /// Columns of which sessions see only masked values.
    pub(in crate::engine) masked: HashSet<(u32, i16)>,
    /// Columns that may hold anything, of which sessions see what is left when all that is known by its form is gone.
    pub(in crate::engine) scrubbed: HashSet<(u32, i16)>,
    /// The schema of a relation's view.
    pub(in crate::engine) moved: HashMap<u32, String>,
    /// Columns of which pseudonyms of addresses are seen: of which entity, in at most so many characters.
    pub(in crate::engine) named: HashMap<(u32, i16), (&'static str, usize)>,
    /// What differs for sessions that see some columns as they are.
    revealed: HashMap<SessionId, Revealed>,
}

impl MaskedViews {
    /// The same as one session sees it.
    pub(in crate::engine) fn seen_by(&self, session: SessionId) -> Self {
        let mut own = Self { revealed: HashMap::new(), ..self.clone() };
        if let Some(Revealed { moved, shown }) = self.revealed.get(&session) {
            own.moved.extend(moved.iter().map(|(relation, schema)| (*relation, schema.clone())));
            own.masked.retain(|column| !shown.contains(column));
            own.scrubbed.retain(|column| !shown.contains(column));
            own.named.retain(|column, _| !shown.contains(column));
        }
        own
    }
}

impl MaskingPlan {
    /// What should stand there for this classification, with what some sessions see as it is. The thread needs
    /// [`crate::engine::STACK`] bytes of stack.
    pub(crate) fn new(
        names: &MaskingNames,
        catalog: &Arc<Catalog>,
        policy: &Arc<Policy>,
        who: &Grant,
        rights: &[ColumnRights],
        revealing: &[Revealing],
    ) -> Self {
        // Nothing comes back in a text of our own.
        let recogniser = Recogniser::new(None);
        let (policy, seen) = (Arc::clone(policy), Arc::default());
        let ground = Ground { policy, catalog: Arc::clone(catalog), recogniser: &recogniser, seen };
        let mut plan = Self {
            names: names.clone(),
            views: Vec::new(),
            granted: BTreeSet::new(),
            opened: BTreeSet::new(),
            left_out: Vec::new(),
            seen: MaskedViews::default(),
        };
        let mut by_relation: BTreeMap<u32, Vec<&ColumnRights>> = BTreeMap::new();
        for column in rights {
            by_relation.entry(column.relation).or_default().push(column);
        }
        for (oid, rights) in &by_relation {
            // What extensions show is not data of the resource; the engine judges who asks for it.
            if let Some(relation) = catalog.relation(*oid).filter(|relation| relation.extension.is_none()) {
                let treatments = treatments(&ground, who, relation);
                plan.add(catalog, relation, &treatments, rights);
            }
        }
        for one in revealing {
            plan.reveal(&ground, who, one, &by_relation);
        }
        plan
    }

    fn add(
        &mut self,
        catalog: &Catalog,
        relation: &CatalogRelation,
        treatments: &BTreeMap<i16, Treatment>,
        rights: &[&ColumnRights],
    ) {
        let name = || format!("{}.{}", relation.schema, relation.name);
        let treatment = |column: &ColumnRights| treatment_of(treatments, column);
        for column in rights {
            match treatment(column) {
                Treatment::Clear | Treatment::Glance => {}
                Treatment::Look | Treatment::Definition | Treatment::Suspect(_) => {
                    self.seen.scrubbed.insert((relation.oid, column.attribute));
                }
                Treatment::Entity(_) | Treatment::Redact | Treatment::Hide => {
                    self.seen.masked.insert((relation.oid, column.attribute));
                }
            }
        }
        let wanted: Vec<&ColumnRights> = rights.iter().copied().filter(|column| column.wanted).collect();
        let Some(first) = wanted.first() else { return };
        // What a view shows is known from what is behind it.
        let is_unknown = |column: &&ColumnRights| {
            relation.kind != RelationKind::View
                && matches!(verdict(catalog, relation.oid, column.attribute), Verdict::Unknown)
        };
        let why = if wanted.iter().any(is_unknown) {
            Some(LeftOutWhy::Unknown)
        } else if !wanted.iter().all(|column| column.readable) {
            Some(LeftOutWhy::Unreadable)
        } else {
            first.unfiltered.then_some(LeftOutWhy::RowSecurity)
        };
        if let Some(why) = why {
            self.left_out.push(LeftOut { relation: name(), why });
            return;
        }
        let passes = pass(catalog, relation, treatments, &wanted);
        if passes && first.grantable && relation.kind != RelationKind::View && wanted.len() == rights.len() {
            self.granted.insert((relation.schema.clone(), relation.name.clone()));
            if first.opens {
                self.opened.insert(relation.schema.clone());
            }
            return;
        }
        for column in &wanted {
            if let (Treatment::Entity(entity), Shape::Text) = (treatment(column), shape_of(catalog, relation, column))
                && entity.method() == Method::Pseudonym(detector::Form::Email)
            {
                let room = room(column.kind, column.modifier);
                self.seen.named.insert((relation.oid, column.attribute), (entity.name(), room));
            }
        }
        let shown = self.shown(catalog, relation, treatments, &wanted);
        let schema = self.names.schema(&relation.schema);
        self.seen.moved.insert(relation.oid, schema.clone());
        self.views.push(View::new(schema, relation, &shown, passes, self.names.reader()));
    }

    /// The views of a session that sees some columns as they are: of each relation that shows something else then, be it
    /// because it is a view of what has those columns.
    fn reveal(
        &mut self,
        ground: &Ground<'_>,
        who: &Grant,
        revealing: &Revealing,
        by_relation: &BTreeMap<u32, Vec<&ColumnRights>>,
    ) {
        let catalog = Arc::new(ground.catalog.revealing(revealing.session, &revealing.columns));
        let clear = Ground { catalog: Arc::clone(&catalog), ..ground.clone() };
        let mut revealed = Revealed::default();
        for (oid, rights) in by_relation {
            let Some(relation) = catalog.relation(*oid).filter(|_| self.seen.moved.contains_key(oid)) else { continue };
            let has_one = relation.columns.iter().any(|column| catalog.reveals(*oid, column.attribute));
            if !has_one && relation.kind != RelationKind::View {
                continue;
            }
            let wanted: Vec<&ColumnRights> = rights.iter().copied().filter(|column| column.wanted).collect();
            let treatments_now = treatments(&clear, who, relation);
            let before = self.shown(&catalog, relation, &treatments(ground, who, relation), &wanted);
            let now = self.shown(&catalog, relation, &treatments_now, &wanted);
            let differs = before.iter().zip(&now).filter(|(before, now)| before != now);
            let differs: Vec<(u32, i16)> = differs.map(|(_, (attribute, _))| (*oid, *attribute)).collect();
            if differs.is_empty() {
                continue;
            }
            let passes = pass(&catalog, relation, &treatments_now, &wanted);
            let schema = self.names.schema_of(revealing.session, &relation.schema);
            self.views.push(View::new(schema.clone(), relation, &now, passes, &revealing.role));
            revealed.moved.insert(*oid, schema);
            revealed.shown.extend(differs);
        }
        self.seen.revealed.insert(revealing.session, revealed);
    }

    /// What a view shows of each column, in SQL.
    fn shown(
        &self,
        catalog: &Catalog,
        relation: &CatalogRelation,
        treatments: &BTreeMap<i16, Treatment>,
        wanted: &[&ColumnRights],
    ) -> Vec<(i16, String)> {
        let support = quoted(self.names.reader());
        let columns = wanted.iter().filter_map(|column| {
            let found = relation.column(column.attribute)?;
            let name = quoted(&found.name);
            let sql = format!("r.{name}");
            let shape = shape_of(catalog, relation, column);
            let room = room(column.kind, column.modifier);
            let value = Value { sql: &sql, shape: &shape, written: &column.written, room };
            let treatment = treatment_of(treatments, column);
            Some((column.attribute, format!("{} AS {name}", expression::expression(treatment, value, &support))))
        });
        columns.collect()
    }

    /// What the engine should know once it stands there.
    pub(crate) fn views(&self) -> MaskedViews {
        self.seen.clone()
    }

    /// Relations of which the reader may read a column past its mask: then no view keeps it.
    pub(crate) fn exposed(&self, catalog: &Catalog, readable: &[(u32, i16)]) -> BTreeSet<String> {
        let masked = readable.iter().filter(|column| self.seen.masked.contains(column));
        let relation = masked.filter_map(|(relation, _)| catalog.relation(*relation));
        relation.map(|relation| format!("{}.{}", quoted(&relation.schema), quoted(&relation.name))).collect()
    }

    /// How many views there are.
    pub(crate) fn len(&self) -> usize {
        self.views.len()
    }

    /// The statements that make it so; nothing when it is so. They are one transaction.
    pub(crate) fn changes(&self, state: &MaskingState, key: &MaskKey) -> Option<String> {
        let reader = quoted(self.names.reader());
        let mut sql = Vec::new();
        if state.reader.is_none() {
            sql.push(format!(
                "CREATE ROLE {reader} NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
            ));
        }
        let support = self.names.support();
        let version = version("functions", &support);
        // Views call the functions, so that they cannot be kept when those change.
        let anew = state.support.as_ref() != Some(&version);
        let (schemas, views) = if anew { (&[][..], &[][..]) } else { (&state.schemas[..], &state.views[..]) };
        if anew {
            let old = state.schemas.iter().map(String::as_str).chain([self.names.reader()]);
            sql.extend(old.map(|schema| format!("DROP SCHEMA IF EXISTS {} CASCADE", quoted(schema))));
            sql.push(support.trim_end().trim_end_matches(';').to_owned());
            let block = hexadecimal(&pseudonym::block(key), BLOCK);
            sql.push(format!("INSERT INTO {reader}.key VALUES (decode('{block}', 'hex'))"));
            sql.push(format!("COMMENT ON SCHEMA {reader} IS {}", literal(&version)));
        }
        self.change_views(schemas, views, &mut sql);
        self.change_grants(state, &mut sql);
        (!sql.is_empty()).then(|| transaction(&sql))
    }

    fn change_views(&self, schemas: &[String], views: &[Made], sql: &mut Vec<String>) {
        let needed: BTreeMap<&str, &str> =
            self.views.iter().map(|view| (view.schema.as_str(), view.reader.as_str())).collect();
        for schema in schemas.iter().filter(|schema| !needed.contains_key(schema.as_str())) {
            sql.push(format!("DROP SCHEMA {} CASCADE", quoted(schema)));
        }
        for (schema, reader) in needed.iter().filter(|(schema, _)| !schemas.iter().any(|made| made == **schema)) {
            let (schema, reader) = (quoted(schema), quoted(reader));
            sql.push(format!("CREATE SCHEMA {schema}; GRANT USAGE ON SCHEMA {schema} TO {reader}"));
        }
        let wanted: HashMap<(&str, &str), (&View, String)> = self
            .views
            .iter()
            .map(|view| ((view.schema.as_str(), view.name.as_str()), (view, version("view", &view.sql))))
            .collect();
        let mut kept = HashSet::new();
        for made in views.iter().filter(|made| needed.contains_key(made.schema.as_str())) {
            let place = (made.schema.as_str(), made.name.as_str());
            if wanted.get(&place).is_some_and(|(_, version)| *version == made.comment) {
                kept.insert(place);
            } else {
                sql.push(format!("DROP VIEW {}.{}", quoted(&made.schema), quoted(&made.name)));
            }
        }
        for view in self.views.iter().filter(|view| !kept.contains(&(view.schema.as_str(), view.name.as_str()))) {
            let name = format!("{}.{}", quoted(&view.schema), quoted(&view.name));
            let (version, reader) = (literal(&version("view", &view.sql)), quoted(&view.reader));
            sql.push(format!("{}; COMMENT ON VIEW {name} IS {version}; GRANT SELECT ON {name} TO {reader}", view.sql));
        }
    }

    fn change_grants(&self, state: &MaskingState, sql: &mut Vec<String>) {
        let reader = quoted(self.names.reader());
        let table = |schema: &str, name: &str| format!("{}.{}", quoted(schema), quoted(name));
        for made in &state.granted {
            if !self.granted.contains(&(made.schema.clone(), made.name.clone())) {
                sql.push(format!("REVOKE ALL ON {} FROM {reader}", table(&made.schema, &made.name)));
            }
        }
        for (schema, name) in &self.granted {
            if !state.granted.iter().any(|made| made.schema == *schema && made.name == *name) {
                sql.push(format!("GRANT SELECT ON {} TO {reader}", table(schema, name)));
            }
        }
        for schema in self.opened.iter().filter(|schema| !state.opened.contains(schema)) {
            sql.push(format!("GRANT USAGE ON SCHEMA {} TO {reader}", quoted(schema)));
        }
    }
}

impl View {
    fn new(schema: String, relation: &CatalogRelation, shown: &[(i16, String)], passes: bool, reader: &str) -> Self {
        let columns: Vec<String> = shown.iter().map(|(_, column)| format!("  {column}")).collect();
        // Without anything to mask there is nothing to keep conditions away from, and the planner sees through it.
        let barrier = if passes { "" } else { " WITH (security_barrier)" };
        let sql = format!(
            "CREATE VIEW {}.{}{barrier} AS SELECT\n{}\nFROM {}.{} AS r",
            quoted(&schema),
            quoted(&relation.name),
            columns.join(",\n"),
            quoted(&relation.schema),
            quoted(&relation.name)
        );
        Self { schema, name: relation.name.clone(), sql, reader: reader.to_owned() }
    }
}

impl MaskingNames {
    /// The statements that take a session's own schemas away.
    pub(crate) fn concealment(&self, schemas: &[&str]) -> String {
        let dropped: Vec<String> =
            schemas.iter().map(|schema| format!("DROP SCHEMA IF EXISTS {} CASCADE", quoted(schema))).collect();
        transaction(&dropped)
    }

    /// The statements that take everything away again.
    pub(crate) fn removal(&self, state: &MaskingState) -> String {
        let reader = quoted(&self.name);
        let mut sql = Vec::new();
        let schemas = state.schemas.iter().map(String::as_str).chain(state.support.is_some().then_some(self.reader()));
        sql.extend(schemas.map(|schema| format!("DROP SCHEMA {} CASCADE", quoted(schema))));
        for made in &state.granted {
            sql.push(format!("REVOKE ALL ON {}.{} FROM {reader}", quoted(&made.schema), quoted(&made.name)));
        }
        sql.extend(state.opened.iter().map(|schema| format!("REVOKE ALL ON SCHEMA {} FROM {reader}", quoted(schema))));
        if state.reader.is_some() {
            sql.push(format!("DROP ROLE {reader}"));
        }
        transaction(&sql)
    }
}

/// One text, so one implicit transaction.
fn transaction(sql: &[String]) -> String {
    let settings = format!(
        "SET LOCAL search_path = ''; SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}; SET LOCAL client_min_messages = warning; \
         SET LOCAL gov.makes_masks = on"
    );
    format!("{settings};\n{};", sql.join(";\n"))
}

/// What becomes of each column of a relation: of a table by what is known of it, of a view by what it shows.
fn treatments(ground: &Ground<'_>, who: &Grant, relation: &CatalogRelation) -> BTreeMap<i16, Treatment> {
    let text = format!("SELECT * FROM {}.{}", quoted(&relation.schema), quoted(&relation.name));
    let what = Texts::default().understand(text.as_bytes());
    let lineage = decide::traced(ground, who, &what, &Scope::default());
    let columns = relation.columns.iter().enumerate();
    let count = relation.columns.len();
    let treatment = |index: usize| {
        let outputs = lineage.as_ref().map(|lineage| &lineage.outputs);
        match outputs.and_then(|outputs| outputs.column(index, count)) {
            Some(origin) => of_origin(&ground.catalog, origin),
            None => outputs
                .map_or(Treatment::Hide, |outputs| of_origin(&ground.catalog, &outputs.all().at_least(Form::Computed))),
        }
    };
    columns.map(|(index, column)| (column.attribute, treatment(index))).collect()
}

/// What becomes of a column; of one that nothing is known about, nothing is shown.
fn treatment_of(treatments: &BTreeMap<i16, Treatment>, column: &ColumnRights) -> Treatment {
    treatments.get(&column.attribute).copied().unwrap_or(Treatment::Hide)
}

/// Whether all these columns are shown as they are.
fn pass(
    catalog: &Catalog,
    relation: &CatalogRelation,
    treatments: &BTreeMap<i16, Treatment>,
    wanted: &[&ColumnRights],
) -> bool {
    let passes = |column: &&ColumnRights| {
        expression::passes(treatment_of(treatments, column), &shape_of(catalog, relation, column))
    };
    wanted.iter().all(passes)
}

fn shape_of(catalog: &Catalog, relation: &CatalogRelation, column: &ColumnRights) -> Shape {
    relation.column(column.attribute).map_or(Shape::Unknown, |found| shape(catalog, found.kind))
}

/// What values of a type are made of. A list of values of a domain would have to pass the domain's conditions.
fn shape(catalog: &Catalog, kind: u32) -> Shape {
    let element = catalog.type_of(kind).and_then(|list| catalog.type_of(list.element));
    if element.is_some_and(|element| element.kind == TypeKind::Domain) {
        return Shape::Unknown;
    }
    Shape::of(kind, catalog)
}

/// Tells two versions of something apart. Written beside it in the database, so that what is there need not be read.
fn version(what: &str, sql: &str) -> String {
    let hash = digest::digest(&digest::SHA256, sql.as_bytes());
    format!("gov masking {what} {}", hexadecimal(hash.as_ref(), 16))
}

fn hexadecimal(bytes: &[u8], count: usize) -> String {
    bytes.iter().take(count).map(|byte| format!("{byte:02x}")).collect()
}
