//! What the columns of a resource hold: sampled over the broker's own connection, judged by the engine, kept in the store.
//!
//! Values are looked at here and nowhere kept: not in the store, not in a log, not in an error; some of them can be
//! recognised for as long as the server runs ([`Tripwire`]). A relation is sampled when
//! it appears, when its columns change, while it has hardly any rows, and once a day. Until then nothing is known about it,
//! and the engine masks all of it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Transaction;
use tracing::{info, warn};

use super::resource::{Broker, Resource};
use super::store::{Migrations, Store};
use crate::domain::{Duration, Timestamp};
use crate::engine::snapshot::{Column, Relation};
use crate::engine::{
    Classification, ColumnKind, FREE_TEXT, Fill, Finding, Fingerprint, Fingerprinter, MaskKey, Overrules, Sampled,
    Snapshot, Tripwire, Watched, classify_relation, fill, quoted,
};
use crate::runtime::clock;

pub(crate) const MIGRATIONS: Migrations = Migrations {
    owner: "classification",
    steps: &["
        CREATE TABLE classified_relations (
            resource TEXT NOT NULL,
            relation INTEGER NOT NULL,
            columns TEXT NOT NULL,
            sampled_at INTEGER NOT NULL,
            rows INTEGER NOT NULL,
            PRIMARY KEY (resource, relation)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE classified_columns (
            resource TEXT NOT NULL,
            relation INTEGER NOT NULL,
            attribute INTEGER NOT NULL,
            entity TEXT NOT NULL,
            confidence REAL NOT NULL,
            evidence TEXT NOT NULL,
            PRIMARY KEY (resource, relation, attribute)
        ) STRICT, WITHOUT ROWID;
    "],
};

/// Rows of a sample.
const ROWS: usize = 200;

/// With fewer rows than this a relation is sampled again soon.
const ROWS_MIN: usize = 20;

/// How soon.
const SOON: Duration = Duration::from_secs(60);

/// Otherwise.
const DAILY: Duration = Duration::from_secs(24 * 3600);

/// Characters of a value that are looked at.
const CHARACTERS: usize = 512;

/// Relations with more rows are sampled by blocks, not from their beginning.
const LARGE: f64 = 20_000.0;

/// How long one reading may spend on samples. What is left over is masked until the keeper comes by.
const BUDGET: std::time::Duration = std::time::Duration::from_secs(8);

/// How long one sample may take in the database.
const STATEMENT_TIMEOUT_MS: u32 = 2_000;

/// What is known about the relations of one resource.
#[derive(Debug)]
pub(super) struct Classifier {
    resource: Arc<Resource>,
    store: Arc<Store>,
    overrules: Mutex<Overrules>,
    /// People have said something else since the last classification.
    overruled: AtomicBool,
    fingerprinter: Fingerprinter,
    known: tokio::sync::Mutex<Option<HashMap<u32, Known>>>,
}

/// What is known about a relation.
#[derive(Clone, Debug, PartialEq)]
struct Known {
    /// Its columns when it was looked at.
    columns: String,
    sampled_at: Timestamp,
    rows: usize,
    findings: BTreeMap<i16, Finding>,
    /// What was sampled, as it can be recognised. In memory only: after a start everything is sampled again for it.
    prints: Option<BTreeMap<i16, Prints>>,
}

/// Fingerprints of what was sampled of a column.
#[derive(Clone, Debug, PartialEq)]
struct Prints {
    /// Something was found in it.
    sensitive: bool,
    values: Vec<(Fingerprint, u32)>,
}

impl Classifier {
    pub(super) fn new(resource: Arc<Resource>, store: Arc<Store>, overrules: Overrules, key: &MaskKey) -> Self {
        let fingerprinter = Fingerprinter::new(key);
        let (overrules, overruled, known) = (Mutex::new(overrules), AtomicBool::new(false), Default::default());
        Self { resource, store, overrules, overruled, fingerprinter, known }
    }

    /// What people say about columns from now on: it counts with the next classification. Whether it is something new.
    pub(super) fn overrule(&self, overrules: &Overrules) -> bool {
        let mut known = self.overrules.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = *known != *overrules;
        known.clone_from(overrules);
        self.overruled.fetch_or(is_new, Ordering::Relaxed);
        is_new
    }

    /// The classification of a schema, and whether anything in it is new. What nobody has looked at is looked at now, as
    /// far as time allows. Cancel safe: what was learned until then is kept.
    pub(super) async fn classify(&self, snapshot: &Snapshot, fills: &[Fill]) -> (Classification, bool) {
        let mut slot = self.known.lock().await;
        let mut known = match slot.take() {
            Some(known) => known,
            None => self.remembered().await.unwrap_or_default(),
        };
        let mut columns: HashMap<u32, Vec<&Column>> = HashMap::new();
        for column in &snapshot.columns {
            columns.entry(column.relation).or_default().push(column);
        }
        let started = clock::monotonic();
        let comments = Comments::read(self.resource.broker(), &self.due(snapshot, &columns, &known)).await;
        let mut news = self.overruled.swap(false, Ordering::Relaxed);
        for relation in self.due(snapshot, &columns, &known) {
            if started.elapsed() > BUDGET {
                warn!(resource = %self.resource.name, "not all relations could be classified in one go");
                break;
            }
            let columns = columns.get(&relation.oid).map(Vec::as_slice).unwrap_or_default();
            let found = self.look(snapshot, relation, columns, &comments).await;
            self.remember(relation.oid, &found).await;
            let before = known.insert(relation.oid, found.clone());
            news |= before.is_none_or(|before| before.findings != found.findings || before.columns != found.columns);
        }
        known.retain(|oid, _| columns.contains_key(oid));
        let classification = self.classification(snapshot, fills, &columns, &known);
        *slot = Some(known);
        (classification, news)
    }

    /// The relations it is time to look at.
    fn due<'s>(
        &self,
        snapshot: &'s Snapshot,
        columns: &HashMap<u32, Vec<&Column>>,
        known: &HashMap<u32, Known>,
    ) -> Vec<&'s Relation> {
        let now = clock::now();
        let is_due = |relation: &&Relation| {
            let Some(columns) = columns.get(&relation.oid) else { return false };
            known.get(&relation.oid).is_none_or(|known| {
                let age = now.since(known.sampled_at);
                let is_soon = known.rows < ROWS_MIN || known.prints.is_none();
                known.columns != fingerprint(columns) || age > if is_soon { SOON } else { DAILY }
            })
        };
        snapshot.relations.iter().filter(is_due).collect()
    }

    async fn look(&self, snapshot: &Snapshot, relation: &Relation, columns: &[&Column], comments: &Comments) -> Known {
        let kinds: Vec<ColumnKind> = columns.iter().map(|column| kind(snapshot, column.kind)).collect();
        let rows = sample(self.resource.broker(), relation, columns, &kinds).await;
        let read = rows.is_some();
        let rows = rows.unwrap_or_default();
        let sampled: Vec<Sampled<'_>> = columns
            .iter()
            .zip(&kinds)
            .enumerate()
            .map(|(index, (column, kind))| Sampled {
                table: &relation.name,
                name: singular(column),
                kind: *kind,
                comment: comments.of(relation.oid, column.attribute),
                made_of: columns
                    .iter()
                    .enumerate()
                    .filter(|(_, other)| column.made_of.contains(&other.attribute))
                    .map(|(index, _)| index)
                    .collect(),
                values: rows
                    .iter()
                    .filter_map(|row| row.text(index))
                    .flat_map(|text| values(text, column.kind))
                    .collect(),
            })
            .collect();
        let (mut findings, mut prints) = (BTreeMap::new(), BTreeMap::new());
        for ((column, sampled), finding) in columns.iter().zip(&sampled).zip(classify_relation(&sampled)) {
            // A text of which hardly a value was seen may hold anything.
            // What a view shows is known from the tables behind it.
            let unseen = relation.kind != 'v'
                && matches!(sampled.kind, ColumnKind::Text | ColumnKind::Container | ColumnKind::Bytes)
                && sampled.values.len() < VALUES_MIN;
            let entity = finding.as_ref().map(|found| found.entity.as_str());
            let values = self.fingerprinter.prints(entity, &sampled.values);
            prints.insert(column.attribute, Prints { sensitive: finding.is_some(), values });
            let finding = finding.or_else(|| {
                unseen.then(|| Finding {
                    entity: FREE_TEXT.to_owned(),
                    confidence: 0.5,
                    evidence: if read { "hardly any values yet" } else { "values could not be read" }.to_owned(),
                })
            });
            findings.extend(finding.map(|finding| (column.attribute, finding)));
        }
        let prints = Some(prints);
        Known { columns: fingerprint(columns), sampled_at: clock::now(), rows: rows.len(), findings, prints }
    }

    fn classification(
        &self,
        snapshot: &Snapshot,
        fills: &[Fill],
        columns: &HashMap<u32, Vec<&Column>>,
        known: &HashMap<u32, Known>,
    ) -> Classification {
        let overrules = self.overrules.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut classification = Classification::default();
        let mut sampled = Vec::new();
        for relation in &snapshot.relations {
            let Some(columns) = columns.get(&relation.oid) else { continue };
            let known = known.get(&relation.oid).filter(|known| known.columns == fingerprint(columns));
            for column in columns {
                let place = (relation.oid, column.attribute);
                let found = known.and_then(|known| known.findings.get(&column.attribute)).cloned();
                let finding = match overrules.of(&relation.schema, &relation.name, &column.name) {
                    Some(None) => {
                        classification.cleared.extend(found.map(|found| (place, found)));
                        None
                    }
                    Some(said) => said,
                    None if known.is_none() => continue,
                    None => found,
                };
                let prints = known.and_then(|known| known.prints.as_ref()?.get(&column.attribute));
                sampled.extend(prints.map(|prints| (place, relation, *column, prints)));
                classification.examined.insert(place);
                classification.findings.extend(finding.map(|finding| (place, finding)));
            }
        }
        inherit(snapshot, &overrules, &mut classification);
        fill(snapshot, fills, &overrules, |oid| kind(snapshot, oid), &mut classification);
        // What is shown somewhere is no secret elsewhere.
        let (mut watched, mut plain) = (Vec::new(), HashSet::new());
        for (place, relation, column, prints) in sampled {
            match classification.findings.get(&place) {
                Some(_) if prints.sensitive => {
                    let name = format!("{}.{}.{}", relation.schema, relation.name, column.name);
                    watched.push(Watched { place, name, prints: prints.values.clone() });
                }
                // What was seen in it is none of its own kind.
                Some(found) if found.entity != FREE_TEXT => {}
                _ => plain.extend(prints.values.iter().map(|(print, _)| *print)),
            }
        }
        classification.tripwire = Tripwire::new(&self.fingerprinter, watched, &plain).map(Arc::new);
        classification
    }

    async fn remembered(&self) -> Option<HashMap<u32, Known>> {
        let resource = self.resource.name.to_string();
        match self.store.run(move |db| read(db, &resource)).await {
            Ok(known) => Some(known),
            Err(failure) => {
                warn!(resource = %self.resource.name, error = %failure, "the last classification is not known");
                None
            }
        }
    }

    async fn remember(&self, relation: u32, known: &Known) {
        let (resource, known) = (self.resource.name.to_string(), known.clone());
        if let Err(failure) = self.store.run(move |db| write(db, &resource, relation, &known)).await {
            warn!(resource = %self.resource.name, error = %failure, "a classification could not be kept");
        }
    }
}

/// A foreign key holds values of the column that it points to, whatever can be seen of it. Somebody's word counts more.
fn inherit(snapshot: &Snapshot, overrules: &Overrules, classification: &mut Classification) {
    let relations: HashMap<u32, &Relation> =
        snapshot.relations.iter().map(|relation| (relation.oid, relation)).collect();
    let columns: HashMap<(u32, i16), &Column> =
        snapshot.columns.iter().map(|column| ((column.relation, column.attribute), column)).collect();
    let named = |place: (u32, i16)| Some((*relations.get(&place.0)?, *columns.get(&place)?));
    let pairs = snapshot.foreign_keys.iter().flat_map(|key| {
        let targets = key.target_columns.iter().map(|attribute| (key.target, *attribute));
        key.columns.iter().map(|attribute| (key.relation, *attribute)).zip(targets)
    });
    let mut pairs: Vec<_> = pairs.collect();
    loop {
        let before = pairs.len();
        pairs.retain(|(place, target)| {
            let held = classification.findings.get(target).filter(|found| found.entity != FREE_TEXT);
            let (Some(held), Some((relation, column)), Some((other, source))) = (held, named(*place), named(*target))
            else {
                return true;
            };
            let own = classification.findings.get(place).is_some_and(|found| found.entity != FREE_TEXT);
            let said = overrules.of(&relation.schema, &relation.name, &column.name).is_some();
            if !own && !said && classification.examined.contains(place) {
                let evidence = format!("its values are those of `{}.{}`", other.name, source.name);
                let finding = Finding { evidence, ..held.clone() };
                classification.findings.insert(*place, finding);
            }
            false
        });
        if pairs.len() == before {
            return;
        }
    }
}

/// Values from which something follows about a text.
const VALUES_MIN: usize = 3;

/// Tells two versions of a relation apart.
fn fingerprint(columns: &[&Column]) -> String {
    let made_of = |column: &Column| column.made_of.iter().map(|attribute| format!(":{attribute}")).collect::<String>();
    let parts =
        columns.iter().map(|column| format!("{}:{}:{}{}", column.attribute, column.kind, column.name, made_of(column)));
    let text = parts.collect::<Vec<_>>().join("\n");
    let hash = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    hash.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// The types whose lists say as much as their values alone do, each with its list's.
const LISTED: [(u32, u32); 15] = [
    // smallint, integer, bigint, real, double precision, numeric
    (21, 1005),
    (23, 1007),
    (20, 1016),
    (700, 1021),
    (701, 1022),
    (1700, 1231),
    // date, timestamp without and with time zone, uuid, inet, cidr, macaddr, macaddr8, bytea
    (1082, 1182),
    (1114, 1115),
    (1184, 1185),
    (2950, 2951),
    (869, 1041),
    (650, 651),
    (829, 1040),
    (774, 775),
    (17, 1001),
];

/// The type of what is in a list of numbers and the like; every other type is its own.
fn listed(oid: u32) -> u32 {
    LISTED.iter().find(|(_, list)| *list == oid).map_or(oid, |(of, _)| *of)
}

/// What a column's values are called: a list of numbers by the name of one, since there is nothing else to know them by.
fn singular(column: &Column) -> &str {
    let is_one = |one: &&str| !one.ends_with('s') && !one.ends_with("ie") && listed(column.kind) != column.kind;
    let one = column.name.strip_suffix('s').filter(is_one);
    one.unwrap_or(&column.name)
}

/// The values in a cell: of a list each, of everything else itself. None of them has quotes or backslashes.
fn values(text: &str, oid: u32) -> Vec<&str> {
    if listed(oid) == oid {
        return vec![text];
    }
    text.split(['{', '}', ',']).filter(|value| !value.is_empty() && *value != "NULL").collect()
}

/// What values of a type can be.
fn kind(snapshot: &Snapshot, oid: u32) -> ColumnKind {
    let oid = listed(oid);
    let of = |oid: u32| match oid {
        // text, varchar, bpchar, name
        25 | 1043 | 1042 | 19 => Some(ColumnKind::Text),
        20 | 21 | 23 | 700 | 701 | 1700 => Some(ColumnKind::Number),
        // A day of birth may be kept with a time of day, which is midnight mostly.
        1082 | 1114 | 1184 => Some(ColumnKind::Date),
        2950 => Some(ColumnKind::Uuid),
        869 | 650 => Some(ColumnKind::Address),
        829 | 774 => Some(ColumnKind::Hardware),
        17 => Some(ColumnKind::Bytes),
        // json, jsonb, xml, tsvector, and arrays of text
        114 | 3802 | 142 | 3614 | 1009 | 1015 | 1014 | 199 | 3807 => Some(ColumnKind::Container),
        1..16_384 => Some(ColumnKind::Other),
        _ => None,
    };
    let named = |oid: u32| snapshot.types.iter().find(|kind| kind.oid == oid);
    of(oid).unwrap_or_else(|| match named(oid) {
        Some(found) if found.kind == 'd' => of(found.base).unwrap_or(ColumnKind::Container),
        Some(found) if found.kind == 'e' => ColumnKind::Other,
        Some(found) if found.name == "citext" => ColumnKind::Text,
        _ => ColumnKind::Container,
    })
}

/// Some rows of a relation, a cell for each column; `None` when they cannot be had. Only tables are asked, and never a
/// function of theirs: a view, a policy on rows or an output function would run with the broker's rights.
async fn sample(
    broker: &Broker,
    relation: &Relation,
    columns: &[&Column],
    kinds: &[ColumnKind],
) -> Option<Vec<crate::runtime::database::Row>> {
    if !matches!(relation.kind, 'r' | 'p' | 'm') || columns.is_empty() {
        return None;
    }
    let cells = columns.iter().zip(kinds).map(|(column, kind)| match kind {
        ColumnKind::Text | ColumnKind::Number | ColumnKind::Date | ColumnKind::Container if is_plain(column.kind) => {
            format!("pg_catalog.left({}::pg_catalog.text, {CHARACTERS})", quoted(&column.name))
        }
        _ => "NULL".to_owned(),
    });
    let cells = cells.collect::<Vec<_>>().join(", ");
    let name = format!("{}.{}", quoted(&relation.schema), quoted(&relation.name));
    let part = (relation.rows > LARGE).then(|| {
        let percent = 100.0 * 4_000.0 / relation.rows;
        format!(" TABLESAMPLE SYSTEM ({percent:.6})")
    });
    for part in [part, Some(String::new())].into_iter().flatten() {
        let sql = format!(
            "SET LOCAL statement_timeout = {STATEMENT_TIMEOUT_MS}; SET LOCAL lock_timeout = 500; SET LOCAL row_security = off; \
             SET LOCAL transaction_read_only = on; SET LOCAL search_path = ''; SET LOCAL datestyle = 'ISO'; \
             SELECT {cells} FROM {name}{part} LIMIT {ROWS}"
        );
        match broker.ask(&sql).await {
            Ok(rows) if rows.is_empty() && !part.is_empty() => {}
            Ok(rows) => return Some(rows),
            Err(error) => {
                // The database's words can hold values.
                let sqlstate = error.sqlstate().map(|code| String::from_utf8_lossy(&code).into_owned());
                info!(relation = relation.oid, sqlstate = sqlstate.as_deref(), "a relation could not be sampled");
                return None;
            }
        }
    }
    Some(Vec::new())
}

/// Types of the server's own are made into text by the server's own functions.
fn is_plain(oid: u32) -> bool {
    oid < 16_384
}

/// What people wrote about columns.
#[derive(Debug, Default)]
struct Comments(HashMap<(u32, i16), String>);

impl Comments {
    async fn read(broker: &Broker, relations: &[&Relation]) -> Self {
        const COMMENTS: &str = "SELECT objoid::bigint, objsubid, description FROM pg_catalog.pg_description \
             WHERE classoid = 'pg_catalog.pg_class'::pg_catalog.regclass AND objsubid > 0";
        if relations.is_empty() {
            return Self::default();
        }
        let rows = broker.ask(COMMENTS).await.unwrap_or_default();
        let comment = |row: &crate::runtime::database::Row| {
            Some(((row.number(0)?, row.number(1)?), row.text(2)?.chars().take(CHARACTERS).collect()))
        };
        Self(rows.iter().filter_map(comment).collect())
    }

    fn of(&self, relation: u32, attribute: i16) -> Option<&str> {
        self.0.get(&(relation, attribute)).map(String::as_str)
    }
}

fn read(db: &Transaction<'_>, resource: &str) -> rusqlite::Result<HashMap<u32, Known>> {
    let mut relations =
        db.prepare("SELECT relation, columns, sampled_at, rows FROM classified_relations WHERE resource = ?1")?;
    let rows = relations.query_map([resource], |row| {
        let sampled_at = u64::try_from(row.get::<_, i64>(2)?).unwrap_or(0);
        let known = Known {
            columns: row.get(1)?,
            sampled_at: Timestamp::from_millis(sampled_at),
            rows: usize::try_from(row.get::<_, i64>(3)?).unwrap_or(0),
            findings: BTreeMap::new(),
            prints: None,
        };
        Ok((row.get(0)?, known))
    })?;
    let mut known: HashMap<u32, Known> = rows.collect::<rusqlite::Result<_>>()?;
    let select = "SELECT relation, attribute, entity, confidence, evidence FROM classified_columns WHERE resource = ?1";
    let mut columns = db.prepare(select)?;
    let rows = columns.query_map([resource], |row| {
        let finding = Finding { entity: row.get(2)?, confidence: row.get(3)?, evidence: row.get(4)? };
        Ok((row.get::<_, u32>(0)?, row.get::<_, i16>(1)?, finding))
    })?;
    for row in rows {
        let (relation, attribute, finding) = row?;
        if let Some(known) = known.get_mut(&relation) {
            known.findings.insert(attribute, finding);
        }
    }
    Ok(known)
}

fn write(db: &Transaction<'_>, resource: &str, relation: u32, known: &Known) -> rusqlite::Result<()> {
    let sampled_at = i64::try_from(known.sampled_at.millis()).unwrap_or(i64::MAX);
    let rows = i64::try_from(known.rows).unwrap_or(i64::MAX);
    db.execute(
        "INSERT OR REPLACE INTO classified_relations VALUES (?1, ?2, ?3, ?4, ?5)",
        (resource, relation, &known.columns, sampled_at, rows),
    )?;
    db.execute("DELETE FROM classified_columns WHERE resource = ?1 AND relation = ?2", (resource, relation))?;
    for (attribute, finding) in &known.findings {
        db.execute(
            "INSERT INTO classified_columns VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            (resource, relation, attribute, &finding.entity, finding.confidence, &finding.evidence),
        )?;
    }
    Ok(())
}

/// A finding with the name of its column, for whoever may use the resource.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) schema: String,
    pub(super) relation: String,
    pub(super) column: String,
    pub(super) finding: Finding,
}

/// Findings of a schema with the names of their columns, in the order of names.
pub(super) fn named(snapshot: &Snapshot, findings: &HashMap<(u32, i16), Finding>) -> Vec<Named> {
    let relations: HashMap<u32, &Relation> =
        snapshot.relations.iter().map(|relation| (relation.oid, relation)).collect();
    let mut named: Vec<Named> = snapshot
        .columns
        .iter()
        .filter_map(|column| {
            let relation = relations.get(&column.relation).filter(|relation| relation.kind != 'c')?;
            let finding = findings.get(&(column.relation, column.attribute))?;
            Some(Named {
                schema: relation.schema.clone(),
                relation: relation.name.clone(),
                column: column.name.clone(),
                finding: finding.clone(),
            })
        })
        .collect();
    named.sort_by(|left, right| (&left.schema, &left.relation).cmp(&(&right.schema, &right.relation)));
    named
}

/// How many columns of a schema nobody has looked at.
pub(super) fn unexamined(snapshot: &Snapshot, classification: &Classification) -> usize {
    let composites: Vec<u32> =
        snapshot.relations.iter().filter(|relation| relation.kind == 'c').map(|relation| relation.oid).collect();
    let columns = snapshot.columns.iter().filter(|column| !composites.contains(&column.relation));
    columns.filter(|column| !classification.examined.contains(&(column.relation, column.attribute))).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::store::scratch;

    #[test]
    fn a_list_of_numbers_is_looked_at_number_by_number() {
        assert_eq!(values("{4111111111111111,NULL,-7}", 1016), ["4111111111111111", "-7"]);
        assert_eq!(values("{{1,2},{3,4}}", 1231), ["1", "2", "3", "4"]);
        assert!(values("{}", 1016).is_empty());
        assert_eq!(values("{a,b}", 1009), ["{a,b}"]);
        let snapshot = Snapshot::default();
        assert_eq!(
            [1016, 1231, 1182].map(|oid| kind(&snapshot, oid)),
            [ColumnKind::Number, ColumnKind::Number, ColumnKind::Date]
        );
        assert_eq!([1000, 1009].map(|oid| kind(&snapshot, oid)), [ColumnKind::Other, ColumnKind::Container]);
    }

    #[test]
    fn foreign_keys_hold_what_they_point_to() {
        let relation = |oid: u32| {
            format!(
                "{{\"oid\":{oid},\"schema\":\"s\",\"name\":\"t{oid}\",\"kind\":\"r\",\"owner\":10,\"row_security\":false,\"rows\":1,\"rules\":false,\"definition\":null,\"extension\":null}}"
            )
        };
        let column = |oid: u32| Column {
            relation: oid,
            attribute: 1,
            name: "c".to_owned(),
            kind: 25,
            modifier: -1,
            not_null: false,
            counted: false,
            made_of: Vec::new(),
        };
        let key = |relation: u32, target: u32| crate::engine::snapshot::ForeignKey {
            relation,
            columns: vec![1],
            target,
            target_columns: vec![1],
            on_delete: 'a',
            on_update: 'a',
        };
        let snapshot = Snapshot {
            relations: [1, 2, 3, 4].map(|oid| serde_json::from_str(&relation(oid)).unwrap()).to_vec(),
            columns: [1, 2, 3, 4].map(column).to_vec(),
            // In whatever order: the third by the second, which nobody has to point to first; a loop ends.
            foreign_keys: vec![key(3, 2), key(2, 1), key(4, 1), key(1, 3)],
            ..Snapshot::default()
        };
        let finding = |entity: &str| Finding { entity: entity.into(), confidence: 0.9, evidence: "name".into() };
        let mut classification = Classification::default();
        classification.examined.extend([1, 2, 3, 4].map(|oid| (oid, 1)));
        classification.findings.insert((1, 1), finding("email"));
        classification.findings.insert((2, 1), finding(FREE_TEXT));
        let overrules = serde_yaml::from_str("s.t4.c: clear").unwrap();
        inherit(&snapshot, &overrules, &mut classification);
        let entity = |oid| classification.findings.get(&(oid, 1)).map(|found| found.entity.as_str());
        assert_eq!([1, 2, 3, 4].map(entity), [Some("email"), Some("email"), Some("email"), None]);
        assert_eq!(classification.findings[&(3, 1)].evidence, "its values are those of `t2.c`");
    }

    #[test]
    fn findings_are_kept_per_resource_and_replaced_as_a_whole() {
        let store = scratch("classification");
        let finding = |entity: &str| Finding { entity: entity.into(), confidence: 0.5, evidence: "name".into() };
        let known = |findings: BTreeMap<i16, Finding>| Known {
            columns: "c".into(),
            sampled_at: Timestamp::from_seconds(7),
            rows: 3,
            findings,
            prints: None,
        };
        let first = known(BTreeMap::from([(1, finding("email")), (2, finding("phone"))]));
        let second = known(BTreeMap::from([(2, finding("card"))]));
        let written = second.clone();
        store.run_blocking(move |db| write(db, "a", 16_400, &first)).unwrap();
        store.run_blocking(move |db| write(db, "a", 16_400, &written)).unwrap();
        let read = |resource: &'static str| store.run_blocking(move |db| super::read(db, resource)).unwrap();
        assert_eq!(read("a"), HashMap::from([(16_400, second)]));
        assert!(read("b").is_empty());
    }
}
