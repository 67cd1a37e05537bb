//! Statements that show how a promise is broken: written out, read and decided by the whole engine.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::case::{Subject, Touched};
use super::super::catalog::{Catalog, CatalogColumn, CatalogRelation, FIRST_USER_OID};
use super::super::classify::Classification;
use super::super::resolve::Facts;
use super::super::rule::{RULES, Rule};
use super::super::{Decision, Engine, Scope, quoted};
use super::promise::Promise;
use super::{Breach, Prover, Seen};
use crate::domain::{Touch, Verdict};

/// The form of a statement about some relations.
struct Form {
    before: &'static str,
    /// For each relation; `{}` is its name, `{n}` its number.
    each: &'static str,
    between: &'static str,
    after: &'static str,
    /// Whether it can be about several.
    several: bool,
}

const fn one(text: &'static str) -> Form {
    Form { before: "", each: text, between: "", after: "", several: false }
}

const fn list(before: &'static str, after: &'static str) -> Form {
    Form { before, each: "{}", between: ", ", after, several: true }
}

const fn with(each: &'static str, after: &'static str) -> Form {
    Form { before: "WITH ", each, between: ", ", after, several: true }
}

const fn union(each: &'static str) -> Form {
    Form { before: "", each, between: " UNION ALL ", after: "", several: true }
}

/// One or more for each rule and each operation, the plainest first.
const FORMS: &[Form] = &[
    union("SELECT id FROM {} WHERE id = 1"),
    one("INSERT INTO {} (id) VALUES (1)"),
    one("UPDATE {} SET note = 'x' WHERE id = 1"),
    one("DELETE FROM {} WHERE id = 1"),
    one("DELETE FROM {}"),
    one("UPDATE {} SET note = 'x'"),
    list("DROP TABLE ", ""),
    list("TRUNCATE ", ""),
    one("ALTER TABLE {} DROP COLUMN note"),
    one("ALTER TABLE {} ADD COLUMN more text"),
    one("CREATE TABLE {} (id integer)"),
    one("CREATE INDEX ON {} (id)"),
    one("DROP VIEW {}"),
    one("CREATE FUNCTION {}() RETURNS integer LANGUAGE sql AS 'SELECT 1'"),
    one("CREATE TRIGGER t AFTER INSERT ON {} EXECUTE FUNCTION f()"),
    list("GRANT SELECT ON ", " TO analyst"),
    list("GRANT SELECT ON ", " TO PUBLIC"),
    one("ALTER TABLE {} OWNER TO analyst"),
    one("CREATE ROLE intern LOGIN"),
    one("DROP ROLE intern"),
    one("SET ROLE postgres"),
    one("SET statement_timeout = 0"),
    one("SET application_name = 'x'"),
    one("SET standard_conforming_strings = off"),
    list("LOCK TABLE ", " IN ACCESS EXCLUSIVE MODE"),
    one("VACUUM FULL {}"),
    one("ANALYZE {}"),
    one("COPY {} TO STDOUT"),
    one("COPY {} TO '/tmp/copy'"),
    one("COPY {} TO PROGRAM 'cat'"),
    one("SELECT pg_read_file('/etc/passwd')"),
    one("DO $$ BEGIN PERFORM 1; END $$"),
    one("CALL tidy()"),
    one("SELECT tidy(id) FROM {} WHERE id = 1"),
    one("SELECT tidy()"),
    one("SELECT setval('numbers', 1)"),
    one("SELECT pg_sleep(60)"),
    one("UPDATE pg_catalog.pg_class SET relname = 'x' WHERE oid = 1"),
    one("SELECT stavalues1 FROM pg_catalog.pg_statistic"),
    with("w{n} AS (DELETE FROM {} WHERE id = 1)", " SELECT 1"),
    with("w{n} AS (UPDATE {} SET note = 'x' WHERE id = 1)", " SELECT 1"),
    with("w{n} AS (INSERT INTO {} (id) VALUES (1))", " SELECT 1"),
    with("w{n} AS (DELETE FROM {})", " SELECT 1"),
    one("CREATE TABLE {} AS SELECT 1 AS id"),
    one("INSERT INTO {} (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET note = 'x' WHERE {}.id = 1"),
];

/// Rules about masked columns, and about texts that are none: what makes them speak cannot be written here.
pub(super) fn is_out_of_reach(rule: &dyn Rule) -> bool {
    rule.name().starts_with("masked_") || matches!(rule.name(), "revealed_column" | "coarse_value" | "not_understood")
}

/// A statement that breaks the promise the way this says, and what the engine sees in it.
pub(super) fn find(prover: &Prover<'_>, promise: &Promise, breach: &Breach<'_>) -> Option<(String, Seen)> {
    let plain = [Touched { schema: "public", name: "things", touch: Touch::Read, tags: BTreeSet::new(), rows: None }];
    let relations = if breach.deed.relations.is_empty() { &plain } else { breach.deed.relations.as_slice() };
    let policy = Arc::new(prover.policy(breach.session.environment).clone());
    let engine = Engine::new(policy, Arc::new(catalog(relations)), None);
    FORMS.iter().filter(|form| form.several || relations.len() == 1).find_map(|form| {
        let sql = form.about(relations);
        let seen = decided(&engine, prover, promise, breach, &sql)?;
        Some((sql, seen))
    })
}

/// What is seen in a text, when the promise is about it and it breaks it.
fn decided(engine: &Engine, prover: &Prover<'_>, promise: &Promise, breach: &Breach<'_>, sql: &str) -> Option<Seen> {
    let (grant, at) = (&breach.session.grant, breach.session.question.at);
    let scope = Scope::new("gov", &["$user".to_owned(), "public".to_owned()]);
    let what = engine.understand(sql.as_bytes());
    let verdict = match engine.decide(at, grant, &what, &scope) {
        Decision::Allow(permit) => match permit.weighed(breach.estimate, false) {
            Decision::Allow(_) => Verdict::Allow,
            Decision::Hold(refusal) | Decision::Deny(refusal) => refusal.verdict,
        },
        Decision::Hold(refusal) | Decision::Deny(refusal) => refusal.verdict,
    };
    let [command] = what.commands.as_slice() else { return None };
    if verdict >= promise.least() || what.complaint.is_some() {
        return None;
    }
    let ground = engine.ground();
    let facts = Facts::new(ground.asked(grant, grant.identity.acting(), at), &scope, command);
    let rules: Vec<&dyn Rule> = RULES.iter().filter(|rule| rule.check(&facts).is_some()).copied().collect();
    let subject = Subject::new(&facts, at);
    let about = promise.concerns(&subject, &rules, breach.estimate);
    about.then(|| prover.seen(promise, breach.session.environment, &rules, &subject, verdict))
}

/// A database with these relations, each with a key and a text.
fn catalog(relations: &[Touched<'_>]) -> Catalog {
    let column = |attribute, name: &str, kind| CatalogColumn {
        attribute,
        name: name.to_owned(),
        kind,
        modifier: -1,
        not_null: attribute == 1,
        counted: false,
    };
    let there = relations.iter().filter(|relation| !relation.schema.is_empty()).zip(FIRST_USER_OID..);
    let relations = there.map(|(relation, oid)| CatalogRelation {
        oid,
        schema: relation.schema.to_owned(),
        name: relation.name.to_owned(),
        // int4 and text
        columns: vec![column(1, "id", 23), column(2, "note", 25)],
        keys: vec![vec![1]],
        rows: relation.rows,
        ..CatalogRelation::default()
    });
    Catalog::new(relations.collect(), Classification::default())
}

impl Form {
    fn about(&self, relations: &[Touched<'_>]) -> String {
        let each = |(number, relation): (usize, &Touched<'_>)| {
            let name = match relation.schema {
                "" => name(relation.name),
                schema => format!("{}.{}", name(schema), name(relation.name)),
            };
            self.each.replace("{n}", &(number + 1).to_string()).replace("{}", &name)
        };
        let each: Vec<String> = relations.iter().enumerate().map(each).collect();
        format!("{}{}{}", self.before, each.join(self.between), self.after)
    }
}

/// A name as people write it: quoted where it must be.
fn name(text: &str) -> String {
    let plain = text.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if plain { text.to_owned() } else { quoted(text) }
}
