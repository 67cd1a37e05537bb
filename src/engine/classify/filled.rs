//! Columns that triggers and rules fill: what stands in them is what the code had before it, whatever was seen in them
//! when somebody looked. A log that was empty then holds names an hour later.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde::Deserialize;

use super::{Classification, FREE_TEXT, Finding, Kind, Overrules};
use crate::engine::snapshot::{Column, Relation, Snapshot};
use crate::engine::sql::filling::{self, Code, Filling, Place, Taken};

/// Asks for the code that triggers and rules run. Its answer does not leave the gateway: code quotes values.
pub(crate) const FILLERS: &str = include_str!("fillers.sql");

/// The answer to [`FILLERS`].
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fillers {
    fillers: Vec<Filler>,
    functions: Vec<Function>,
}

/// A trigger or a rule.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Filler {
    relation: u32,
    /// What people call it: `trigger x`.
    name: String,
    language: String,
    code: String,
    /// What a trigger is given in its definition.
    arguments: String,
}

/// A function that code may call.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Function {
    name: String,
    language: String,
    code: String,
}

/// What is written to a column.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fill {
    relation: u32,
    attribute: i16,
    /// Columns whose values these are, or are made of.
    columns: BTreeSet<(u32, i16)>,
    /// Relations of which it may hold anything.
    relations: BTreeSet<u32>,
    /// By what.
    by: String,
}

/// What is written where, by this schema's triggers and rules. The thread needs [`crate::engine::STACK`] bytes of stack.
pub(crate) fn fills(snapshot: &Snapshot, fillers: &Fillers) -> Vec<Fill> {
    let schema = Schema::new(snapshot);
    let mut functions: HashMap<&str, Vec<&Function>> = HashMap::new();
    for function in &fillers.functions {
        functions.entry(&function.name).or_default().push(function);
    }
    let mut reader = Reader { functions, read: HashMap::new() };
    let mut fills = BTreeSet::new();
    for filler in &fillers.fillers {
        let Some(called) = schema.relations.get(&filler.relation).copied() else { continue };
        let codes = reader.reached(filler);
        let named = codes.iter().flat_map(|code| &code.words).flat_map(|word| schema.named(word));
        let named = schema.with_behind(named.collect());
        let by = format!("{} of `{}`", filler.name, called.name);
        let writing = Writing { schema: &schema, called, named: &named, by: &by };
        for code in &codes {
            fills.extend(code.fillings.iter().flat_map(|filling| writing.fill(filling)));
        }
        if codes.iter().any(|code| code.opaque) {
            fills.extend(writing.anywhere(&codes));
        }
    }
    fills.into_iter().collect()
}

/// Functions that are followed from one trigger.
const REACHED_MAX: usize = 200;

/// Reads code once, however many triggers run it.
struct Reader<'f> {
    functions: HashMap<&'f str, Vec<&'f Function>>,
    read: HashMap<(&'f str, &'f str), Arc<Code>>,
}

impl<'f> Reader<'f> {
    /// The code of a trigger and of all that it may call.
    fn reached(&mut self, filler: &'f Filler) -> Vec<Arc<Code>> {
        let mut codes = vec![self.read(&filler.language, &filler.code), Arc::new(told(filler))];
        let mut seen = BTreeSet::new();
        let mut at = 0;
        while let Some(code) = codes.get(at).cloned() {
            at += 1;
            for word in code.words.iter().filter(|word| seen.insert((*word).clone())) {
                let called = self.functions.get(word.as_str()).cloned().unwrap_or_default();
                codes.extend(called.into_iter().map(|function| self.read(&function.language, &function.code)));
            }
            if codes.len() > REACHED_MAX {
                codes.push(Arc::new(Code { opaque: true, ..Code::default() }));
                return codes;
            }
        }
        codes
    }

    fn read(&mut self, language: &'f str, code: &'f str) -> Arc<Code> {
        let read = self.read.entry((language, code)).or_insert_with(|| {
            Arc::new(match language {
                "plpgsql" | "sql" => filling::code(code),
                "internal" => Code::default(),
                _ => filling::unread(code),
            })
        });
        Arc::clone(read)
    }
}

/// What a trigger's definition tells its function. Those that came with the server make one column, which they are told
/// first, of others.
fn told(filler: &Filler) -> Code {
    let mut words = filler.arguments.split_ascii_whitespace().map(str::to_lowercase);
    let fillings = match (&*filler.language, words.next()) {
        ("internal", Some(first)) => {
            let taken = Taken { fields: words.collect(), ..Taken::default() };
            vec![Filling { into: None, place: Place::Named(first), taken }]
        }
        _ => Vec::new(),
    };
    Code { fillings, opaque: false, ..filling::unread(&filler.arguments) }
}

struct Schema<'s> {
    relations: HashMap<u32, &'s Relation>,
    by_name: HashMap<String, Vec<u32>>,
    columns: HashMap<u32, Vec<&'s Column>>,
    parents: HashMap<u32, Vec<u32>>,
    /// What views read.
    behind: HashMap<u32, Vec<u32>>,
}

impl<'s> Schema<'s> {
    fn new(snapshot: &'s Snapshot) -> Self {
        let mut by_name: HashMap<String, Vec<u32>> = HashMap::new();
        let mut columns: HashMap<u32, Vec<&Column>> = HashMap::new();
        let mut parents: HashMap<u32, Vec<u32>> = HashMap::new();
        for relation in snapshot.relations.iter().filter(|relation| relation.kind != 'c' && relation.kind != 'S') {
            by_name.entry(relation.name.to_lowercase()).or_default().push(relation.oid);
        }
        for column in &snapshot.columns {
            columns.entry(column.relation).or_default().push(column);
        }
        for parent in &snapshot.parents {
            parents.entry(parent.relation).or_default().push(parent.parent);
        }
        let mut behind: HashMap<u32, Vec<u32>> = HashMap::new();
        for used in snapshot.uses.iter().filter(|used| used.relation != 0 && used.reads != 0) {
            behind.entry(used.relation).or_default().push(used.reads);
        }
        let relations = snapshot.relations.iter().map(|relation| (relation.oid, relation)).collect();
        Self { relations, by_name, columns, parents, behind }
    }

    /// These relations and all that reading them reads.
    fn with_behind(&self, relations: BTreeSet<u32>) -> BTreeSet<u32> {
        let mut open: Vec<u32> = relations.iter().copied().collect();
        let mut found = relations;
        while let Some(relation) = open.pop() {
            let behind = self.behind.get(&relation).into_iter().flatten().copied();
            open.extend(behind.filter(|oid| found.insert(*oid)));
        }
        found
    }

    fn named(&self, word: &str) -> impl Iterator<Item = u32> {
        self.by_name.get(word).into_iter().flatten().copied()
    }

    fn columns(&self, relation: u32) -> &[&'s Column] {
        self.columns.get(&relation).map_or(&[], Vec::as_slice)
    }

    fn column(&self, relation: u32, name: &str) -> Option<i16> {
        let is_it = |column: &&&Column| column.name.eq_ignore_ascii_case(name);
        self.columns(relation).iter().find(is_it).map(|column| column.attribute)
    }

    /// A relation and those whose rows its rows are as well, each with its own number of a column.
    fn through_parents(&self, relation: u32, attribute: i16) -> Vec<(u32, i16)> {
        let name =
            self.columns(relation).iter().find(|column| column.attribute == attribute).map(|column| &column.name);
        let Some(name) = name else { return Vec::new() };
        let mut found = Vec::new();
        let mut open = vec![relation];
        // Inheritance has no loops.
        while let Some(oid) = open.pop() {
            found.extend(self.column(oid, name).map(|attribute| (oid, attribute)));
            open.extend(self.parents.get(&oid).into_iter().flatten());
        }
        found
    }
}

/// What one trigger writes.
struct Writing<'w, 's> {
    schema: &'w Schema<'s>,
    /// The relation that it is of.
    called: &'w Relation,
    /// What its code names.
    named: &'w BTreeSet<u32>,
    by: &'w str,
}

impl Writing<'_, '_> {
    fn fill(&self, filling: &Filling) -> Vec<Fill> {
        let targets: Vec<u32> = match &filling.into {
            None => vec![self.called.oid],
            Some((schema, name)) => {
                let is_there = |oid: &u32| {
                    schema.is_empty()
                        || self.schema.relations.get(oid).is_some_and(|found| found.schema.eq_ignore_ascii_case(schema))
                };
                self.schema.named(&name.to_lowercase()).filter(is_there).collect()
            }
        };
        let fill = |target| self.to(target, &filling.place, &filling.taken);
        targets.into_iter().flat_map(fill).collect()
    }

    /// Code that is not known writes to whatever it names. Where it makes up names, it makes them of that of the relation
    /// whose trigger it is and of what stands in it: `customers_history` of `_history`, or `customers` in another schema.
    fn anywhere(&self, codes: &[Arc<Code>]) -> Vec<Fill> {
        let own = self.called.name.to_lowercase();
        let stands =
            |part: &str| part.is_empty() || codes.iter().flat_map(|code| &code.words).any(|word| word.contains(part));
        let is_made = |name: &str| name.split_once(&own).is_some_and(|(before, after)| stands(before) && stands(after));
        let made = self.schema.by_name.iter().filter(|(name, _)| is_made(name)).flat_map(|(_, oids)| oids);
        let targets: BTreeSet<u32> = self.named.iter().chain(made).copied().collect();
        let targets = targets.into_iter().filter(|oid| *oid != self.called.oid);
        targets.flat_map(|target| self.to(target, &Place::Any, &Taken::ANYTHING)).collect()
    }

    fn to(&self, target: u32, place: &Place, taken: &Taken) -> Vec<Fill> {
        let columns = self.schema.columns(target);
        let attributes: Vec<i16> = match place {
            Place::Named(name) => self.schema.column(target, name).into_iter().collect(),
            Place::Nth(index) => columns.get(*index).map(|column| column.attribute).into_iter().collect(),
            Place::Any => columns.iter().map(|column| column.attribute).collect(),
        };
        let row = (taken.row || taken.anything).then_some(self.called.oid);
        let named = taken.anything.then_some(self.named).into_iter().flatten().copied();
        let relations: BTreeSet<u32> = row.into_iter().chain(named).filter(|source| *source != target).collect();
        let fields = taken.fields.iter();
        let fill = |(relation, attribute)| Fill {
            relation,
            attribute,
            columns: fields
                .clone()
                .filter_map(|name| Some((self.called.oid, self.schema.column(self.called.oid, name)?)))
                .filter(|source| *source != (target, attribute))
                .collect(),
            relations: relations.clone(),
            by: self.by.to_owned(),
        };
        let places = attributes.into_iter().flat_map(|attribute| self.schema.through_parents(target, attribute));
        places.map(fill).filter(|fill| !(fill.columns.is_empty() && fill.relations.is_empty())).collect()
    }
}

/// Adds what follows to a classification. Somebody's word counts more, and so does what a column was found to hold.
pub(crate) fn fill(
    snapshot: &Snapshot,
    fills: &[Fill],
    overrules: &Overrules,
    kind: impl Fn(u32) -> Kind,
    classification: &mut Classification,
) {
    if fills.is_empty() {
        return;
    }
    let schema = Schema::new(snapshot);
    let mut keys: BTreeSet<(u32, i16)> = BTreeSet::new();
    for key in &snapshot.keys {
        keys.extend(key.columns.iter().map(|attribute| (key.relation, *attribute)));
    }
    for key in &snapshot.foreign_keys {
        keys.extend(key.columns.iter().map(|attribute| (key.relation, *attribute)));
    }
    let columns: BTreeMap<(u32, i16), &Column> =
        snapshot.columns.iter().map(|column| ((column.relation, column.attribute), column)).collect();
    let filled = Filled { schema: &schema, keys, columns, kind };
    // What one trigger fills may have a trigger itself. Each round finds something more, or is the last.
    loop {
        let mut found = Vec::new();
        for fill in fills {
            let place = (fill.relation, fill.attribute);
            let held = classification.findings.get(&place).map(|found| found.entity.as_str());
            let Some(column) = filled.columns.get(&place) else { continue };
            let Some(relation) = schema.relations.get(&fill.relation) else { continue };
            let said = overrules.of(&relation.schema, &relation.name, &column.name).is_some();
            if said || held.is_some_and(|held| held != FREE_TEXT) || !classification.examined.contains(&place) {
                continue;
            }
            if let Some(entity) = filled.entity(fill, column, classification).filter(|entity| Some(&**entity) != held) {
                let evidence = format!("filled by {}", fill.by);
                found.push((place, Finding { entity, confidence: 0.9, evidence }));
            }
        }
        if found.is_empty() {
            return;
        }
        classification.findings.extend(found);
    }
}

struct Filled<'s, K> {
    schema: &'s Schema<'s>,
    /// Columns that tell rows apart, or point to others.
    keys: BTreeSet<(u32, i16)>,
    columns: BTreeMap<(u32, i16), &'s Column>,
    kind: K,
}

/// The entity of which nothing stays: of values that may be of several kinds nobody knows which shows.
const SECRET: &str = "secret";

impl<K: Fn(u32) -> Kind> Filled<'_, K> {
    /// What a column holds that is filled so; nothing when nothing sensitive comes into it.
    fn entity(&self, fill: &Fill, column: &Column, classification: &Classification) -> Option<String> {
        let kind = (self.kind)(column.kind);
        if kind == Kind::Other {
            return None;
        }
        let is_text = matches!(kind, Kind::Text | Kind::Container | Kind::Bytes);
        // Nobody has looked at it yet: it may hold anything.
        let of = |place: &(u32, i16)| match classification.findings.get(place) {
            Some(found) => Some(found.entity.as_str()),
            None => (is_text && !classification.examined.contains(place)).then_some(SECRET),
        };
        let mut held: BTreeSet<&str> = fill.columns.iter().filter_map(of).collect();
        for relation in &fill.relations {
            let sources = self.schema.columns(*relation).iter();
            let sources = sources.map(|source| (source, (*relation, source.attribute)));
            match kind {
                Kind::Text | Kind::Container | Kind::Bytes => {
                    let shown = sources.filter_map(|(_, place)| of(&place));
                    held.extend(shown.map(|held| if held == FREE_TEXT { FREE_TEXT } else { SECRET }));
                }
                // A number that tells rows apart is not what somebody earns.
                Kind::Number if column.counted || self.keys.contains(&(column.relation, column.attribute)) => {}
                Kind::Number => {
                    let numbers = sources.filter(|(source, _)| (self.kind)(source.kind) == Kind::Number);
                    held.extend(numbers.filter_map(|(_, place)| of(&place)));
                }
                Kind::Date | Kind::Uuid | Kind::Address | Kind::Hardware | Kind::Other => {
                    let alike = sources.filter(|(source, _)| source.kind == column.kind);
                    held.extend(alike.filter_map(|(_, place)| of(&place)));
                }
            }
        }
        let closed: Vec<&str> = held.iter().copied().filter(|held| *held != FREE_TEXT).collect();
        match closed.as_slice() {
            [] => (is_text && held.contains(FREE_TEXT)).then(|| FREE_TEXT.to_owned()),
            [entity] => Some((*entity).to_owned()),
            _ => Some(SECRET.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::snapshot::{Key, Parent};

    const TEXT: u32 = 25;
    const NUMBER: u32 = 23;
    const JSONB: u32 = 3802;
    const DAY: u32 = 1082;

    type Table = (u32, &'static str, &'static [(&'static str, u32)]);

    /// Relations with their columns. The first column of each is its key.
    fn snapshot(relations: &[Table]) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for (oid, name, columns) in relations {
            let (oid, name, schema) = (*oid, (*name).to_owned(), "public".to_owned());
            let (definition, extension) = (None, None);
            let (kind, owner, row_security, rows, rules) = ('r', 10, false, 1.0, false);
            snapshot.relations.push(Relation {
                oid,
                schema,
                name,
                kind,
                owner,
                row_security,
                rows,
                rules,
                definition,
                extension,
            });
            snapshot.columns.extend((1..).zip(*columns).map(|(attribute, (name, kind))| Column {
                relation: oid,
                attribute,
                name: (*name).to_owned(),
                kind: *kind,
                modifier: -1,
                not_null: false,
                counted: false,
                made_of: Vec::new(),
            }));
            snapshot.keys.push(Key { relation: oid, columns: vec![1] });
        }
        snapshot
    }

    const PEOPLE: Table =
        (1, "people", &[("id", NUMBER), ("name", TEXT), ("mail", TEXT), ("pay", NUMBER), ("level", NUMBER)]);
    const LOG: Table =
        (2, "log", &[("id", NUMBER), ("op", TEXT), ("was", JSONB), ("note", TEXT), ("n", NUMBER), ("at", DAY)]);

    fn trigger(relation: u32, language: &str, code: &str) -> Filler {
        let (name, arguments) = ("trigger `t`".to_owned(), String::new());
        Filler { relation, name, language: language.to_owned(), code: code.to_owned(), arguments }
    }

    /// What the columns of the relations hold, beginning with the second, where `people` holds names, mail and pay.
    fn held(snapshot: &Snapshot, fillers: &Fillers, overrules: &str) -> Vec<String> {
        let mut classification = Classification::default();
        let all = snapshot.columns.iter().map(|column| (column.relation, column.attribute));
        classification.examined.extend(all);
        for (attribute, entity) in [(2, "person_name"), (3, "email"), (4, "salary")] {
            let finding = Finding { entity: entity.to_owned(), confidence: 0.9, evidence: "name".to_owned() };
            classification.findings.insert((1, attribute), finding);
        }
        let kind = |oid: u32| match oid {
            TEXT => Kind::Text,
            NUMBER => Kind::Number,
            DAY => Kind::Date,
            _ => Kind::Container,
        };
        let fills = fills(snapshot, fillers);
        fill(snapshot, &fills, &serde_yaml::from_str(overrules).unwrap(), kind, &mut classification);
        let others =
            snapshot.columns.iter().filter(|column| column.relation != 1 || !(2..=4).contains(&column.attribute));
        let told = others.filter_map(|column| {
            let finding = classification.findings.get(&(column.relation, column.attribute))?;
            Some(format!("{}.{} {}", column.relation, column.name, finding.entity))
        });
        told.collect()
    }

    fn by(code: &str) -> Fillers {
        Fillers { fillers: vec![trigger(1, "plpgsql", code)], functions: Vec::new() }
    }

    #[test]
    fn a_log_holds_what_its_trigger_had() {
        let snapshot = snapshot(&[PEOPLE, LOG]);
        let check = |code: &str, expected: &[&str]| assert_eq!(held(&snapshot, &by(code), "{}"), expected, "{code}");
        check(
            "BEGIN INSERT INTO log (id, op, was, note, n, at) VALUES (OLD.id, TG_OP, to_jsonb(OLD), reverse(OLD.name), OLD.pay + 1, now()); END",
            &["2.was secret", "2.note person_name", "2.n salary"],
        );
        check(
            "BEGIN INSERT INTO public.log (note, n) VALUES (OLD.name || OLD.mail, OLD.level); END",
            &["2.note secret"],
        );
        // Keys tell rows apart, days are not what anybody earns.
        check(
            "BEGIN INSERT INTO log SELECT x.* FROM x; END",
            &["2.op secret", "2.was secret", "2.note secret", "2.n salary"],
        );
        check("BEGIN INSERT INTO other.log (note) VALUES (OLD.name); END", &[]);
        check("BEGIN NEW.level := NEW.pay / 1000; END", &["1.level salary"]);
    }

    #[test]
    fn what_people_say_counts_more() {
        let snapshot = snapshot(&[PEOPLE, LOG]);
        let code = "BEGIN INSERT INTO log (op, note) VALUES (v, OLD.name); END";
        assert_eq!(held(&snapshot, &by(code), "{}"), ["2.op secret", "2.note person_name"]);
        assert_eq!(held(&snapshot, &by(code), "public.log.op: clear"), ["2.note person_name"]);
    }

    #[test]
    fn what_is_called_and_what_is_filled_after_it_counts() {
        let snapshot = snapshot(&[PEOPLE, LOG, (3, "copy", &[("id", NUMBER), ("what", TEXT)])]);
        let function = Function {
            name: "note_it".to_owned(),
            language: "sql".to_owned(),
            code: "INSERT INTO log (note) VALUES ($1)".to_owned(),
        };
        let fillers = vec![
            trigger(2, "plpgsql", "BEGIN INSERT INTO copy (what) VALUES (NEW.note); END"),
            trigger(1, "plpgsql", "BEGIN PERFORM note_it(OLD.name); END"),
        ];
        let fillers = Fillers { fillers, functions: vec![function] };
        assert_eq!(held(&snapshot, &fillers, "{}"), ["2.note secret", "3.what secret"]);
    }

    #[test]
    fn code_that_is_not_known_fills_what_it_names() {
        let mut snapshot = snapshot(&[
            PEOPLE,
            LOG,
            (3, "people_history", &[("id", NUMBER), ("what", TEXT)]),
            (4, "above", &[("id", NUMBER), ("note", TEXT)]),
        ]);
        snapshot.parents.push(Parent { relation: 2, parent: 4, partition: true });
        let made = by("BEGIN EXECUTE format('INSERT INTO %I_history ...', TG_TABLE_NAME) USING OLD; END");
        assert_eq!(held(&snapshot, &made, "{}"), ["3.what secret"]);
        let other = by("BEGIN EXECUTE format('INSERT INTO %I_archive ...', TG_TABLE_NAME) USING OLD; END");
        assert!(held(&snapshot, &other, "{}").is_empty());
        let python = Fillers { fillers: vec![trigger(1, "plpython3u", "x('insert into LOG')")], ..Fillers::default() };
        let all = ["2.op secret", "2.was secret", "2.note secret", "2.n salary", "4.note secret"];
        assert_eq!(held(&snapshot, &python, "{}"), all);
        let mut told = trigger(1, "c", "");
        told.arguments = "sys_period log true".to_owned();
        let told = Fillers { fillers: vec![told], ..Fillers::default() };
        assert_eq!(held(&snapshot, &told, "{}").len(), 5);
        let mut index = trigger(1, "internal", "");
        index.arguments = "level pg_catalog.english name".to_owned();
        let index = Fillers { fillers: vec![index], ..Fillers::default() };
        assert_eq!(held(&snapshot, &index, "{}"), ["1.level person_name"]);
    }
}
