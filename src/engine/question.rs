//! Questions about a policy that nobody needs a session or a database for: what would be said to this statement, from
//! this somebody, there and then? Whoever asks gets the engine's own decision, and expectations are checked against it.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::Deserializer;

use super::case::{Match, one_or_many};
use super::catalog::{Catalog, CatalogRelation, FIRST_USER_OID};
use super::classify::Classification;
use super::policy::{HINT, PolicyMistake, RuleName, Word, unknown};
use super::prove::Promise;
use super::{ByEstimate, Decision, Engine, Scope};
use crate::domain::{
    Access, Action, Digest, Grant, Identity, IdentityKind, Labels, Limits, Method, Purpose, PurposeId, Reason,
    ResourceName, SessionId, Statement, Timestamp, Verdict,
};

/// Who asks, for what, where and when.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) name: String,
    pub(crate) kind: IdentityKind,
    pub(crate) groups: Vec<String>,
    pub(crate) purpose: Option<PurposeId>,
    pub(crate) access: Access,
    pub(crate) resource: ResourceName,
    pub(crate) labels: Labels,
    pub(crate) at: Timestamp,
    /// How many rows the planner is taken to expect; nobody asks it.
    pub(crate) estimated_rows: Option<u64>,
}

/// What is said to one statement.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) verdict: Verdict,
    /// Why it may not run, or not yet.
    pub(crate) reason: Option<Reason>,
    /// The rules that fired, strictest first.
    pub(crate) rules: Arc<[(&'static str, Action)]>,
    pub(crate) statement: Arc<Statement>,
    /// It may change rows, and is rolled back when it changes more than so many.
    pub(crate) changes_max: Option<u64>,
    /// What is decided by how many rows the planner expects, where it depends on that.
    pub(crate) by_estimate: Vec<ByEstimate>,
}

impl Answer {
    /// The rule that decided, or the strictest of those that only noted something.
    pub(crate) fn rule(&self) -> Option<&'static str> {
        self.reason.as_ref().map(|reason| reason.rule)
    }
}

impl Engine {
    /// Answers a question about a statement.
    pub(crate) fn answer(&self, question: &Question, sql: &str) -> Answer {
        let grant = question.grant(self.policy().digest());
        let what = self.understand(sql.as_bytes());
        if question.access == Access::Read && self.catalog().relations().next().is_none() {
            self.replace_catalog(Arc::new(assumed(&what.statement)));
        }
        let path = ["$user".to_owned(), "public".to_owned()];
        let decision = self.decide(question.at, &grant, &what, &Scope::new("gov", &path));
        let (decision, by_estimate) = decision.assuming(question.estimated_rows);
        match decision {
            Decision::Allow(permit) => Answer {
                by_estimate,
                verdict: Verdict::Allow,
                reason: None,
                rules: Arc::clone(permit.rules()),
                statement: Arc::clone(permit.statement()),
                changes_max: permit
                    .obligations()
                    .audit
                    .map(|audit| audit.rows_max)
                    // Where nothing is enforced any number may change.
                    .filter(|rows| *rows < u64::MAX),
            },
            Decision::Hold(refusal) | Decision::Deny(refusal) => Answer {
                by_estimate,
                verdict: refusal.verdict,
                reason: Some(refusal.reason),
                rules: refusal.rules,
                statement: refusal.statement,
                changes_max: None,
            },
        }
    }
}

/// Where no catalog was read, what a statement names is taken to be there: only that it is there, and no more.
fn assumed(statement: &Statement) -> Catalog {
    let relations = statement.relations.iter().zip(FIRST_USER_OID..).map(|(relation, oid)| CatalogRelation {
        oid,
        schema: relation.schema.clone().unwrap_or_else(|| "public".to_owned()),
        name: relation.name.clone(),
        ..CatalogRelation::default()
    });
    Catalog::new(relations.collect(), Classification::default())
}

impl Question {
    pub(super) fn grant(&self, policy: Digest) -> Grant {
        Grant {
            session: SessionId::new(self.at, [0; 10]),
            identity: Identity {
                issuer: String::new(),
                subject: self.name.clone(),
                name: self.name.clone(),
                email: None,
                groups: self.groups.clone(),
                kind: self.kind,
                actors: Vec::new(),
                method: Method::IdToken,
                proved_at: self.at,
            },
            resource: self.resource.clone(),
            labels: self.labels.clone(),
            purpose: self.purpose.clone().map(|id| Purpose { id, reference: None }),
            access: self.access,
            reveal: Vec::new(),
            masking: crate::domain::Masking::Wire,
            limits: Limits { connections_max: 1, rows_max: None },
            opened_at: self.at,
            expires_at: Timestamp::from_millis(u64::MAX),
            policy,
        }
    }
}

/// An entry of a file of expectations.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Written")]
pub(crate) enum Expected {
    Answer(Expectation),
    Promise(Box<Promise>),
}

/// A statement and what should be said to it.
#[derive(Clone, Debug)]
pub(crate) struct Expectation {
    pub(crate) sql: String,
    /// A user of the configuration; anybody else has the groups that are named.
    pub(crate) who: Option<String>,
    pub(crate) groups: BTreeSet<String>,
    pub(crate) kind: Option<IdentityKind>,
    pub(crate) purpose: Option<String>,
    /// A resource of the configuration.
    pub(crate) on: Option<String>,
    /// Asked with a session that may write; without it one that may read.
    pub(crate) write: bool,
    pub(crate) at: Option<Timestamp>,
    /// How many rows the planner is taken to expect.
    pub(crate) estimated_rows: Option<u64>,
    pub(crate) expect: Verdict,
    /// The rule that should decide; any may when it is not named.
    pub(crate) rule: Option<String>,
}

/// The form of an entry. One with `sql` is about this statement, one with `promise` about everything that fits its `if`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    sql: Option<String>,
    #[serde(rename = "as")]
    who: Option<String>,
    #[serde(default)]
    groups: BTreeSet<String>,
    #[serde(default, deserialize_with = "kind")]
    kind: Option<IdentityKind>,
    purpose: Option<String>,
    on: Option<String>,
    #[serde(default)]
    write: bool,
    #[serde(default, deserialize_with = "time")]
    at: Option<Timestamp>,
    estimated_rows: Option<u64>,
    #[serde(deserialize_with = "verdict")]
    expect: Verdict,
    rule: Option<String>,
    promise: Option<String>,
    #[serde(default, rename = "if")]
    matches: Match,
    #[serde(default)]
    unless: Option<Match>,
    #[serde(default, deserialize_with = "one_or_many")]
    rules: BTreeSet<RuleName>,
}

impl TryFrom<Written> for Expected {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written {
            sql,
            who,
            groups,
            kind,
            purpose,
            on,
            write,
            at,
            estimated_rows,
            expect,
            rule,
            promise,
            matches,
            unless,
            rules,
        } = written;
        let of_promise = !matches.is_empty() || unless.is_some() || !rules.is_empty();
        let asked = who.is_some() || !groups.is_empty() || kind.is_some() || purpose.is_some() || on.is_some();
        let asked = asked || write || at.is_some() || estimated_rows.is_some() || rule.is_some();
        match (sql, promise) {
            (Some(sql), None) if !of_promise => Ok(Self::Answer(Expectation {
                sql,
                who,
                groups,
                kind,
                purpose,
                on,
                write,
                at,
                estimated_rows,
                expect,
                rule,
            })),
            (None, Some(name)) if !asked => Promise::written(name, matches, unless, rules, expect)
                .map(|promise| Self::Promise(Box::new(promise)))
                .map_err(|(message, hint)| format!("{message}{HINT}{hint}")),
            (Some(_), None) => Err(format!(
                "an expectation about a statement has no `if`, `unless` or `rules`{HINT}say `promise` in place of `sql`"
            )),
            (None, Some(_)) => Err(format!(
                "a promise is about everybody and every statement{HINT}say under `if`, `unless` and `rules` about which"
            )),
            (Some(_), Some(_)) | (None, None) => Err(format!(
                "an expectation is about one statement, or promises something{HINT}give it either `sql` or `promise`"
            )),
        }
    }
}

impl Expected {
    /// Reads a file of them: a list in YAML.
    pub(crate) fn parse(text: &str) -> Result<Vec<Self>, PolicyMistake> {
        super::yaml::read(text)
    }
}

impl Expectation {
    /// What is wrong with an answer; nothing when it is the one expected.
    pub(crate) fn differs(&self, answer: &Answer) -> Option<String> {
        let told = |verdict: Verdict, rule: Option<&str>| {
            rule.map_or_else(|| verdict.word().to_owned(), |rule| format!("{} by {rule}", verdict.word()))
        };
        let rule = answer.rule();
        let same_rule = self.rule.as_deref().is_none_or(|expected| {
            rule == Some(expected) || rule.is_none() && answer.rules.iter().any(|(noted, _)| *noted == expected)
        });
        (answer.verdict != self.expect || !same_rule).then(|| {
            format!("expected {}, found {}", told(self.expect, self.rule.as_deref()), told(answer.verdict, rule))
        })
    }
}

fn verdict<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Verdict, D::Error> {
    const ALL: [Verdict; 3] = [Verdict::Allow, Verdict::Hold, Verdict::Deny];
    Word::read(deserializer, |word| {
        let found = ALL.into_iter().find(|verdict| verdict.word() == word);
        found.ok_or_else(|| unknown("verdict", word, ALL.iter().map(|verdict| verdict.word())))
    })
}

fn kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<IdentityKind>, D::Error> {
    const ALL: [IdentityKind; 3] = [IdentityKind::Person, IdentityKind::Workload, IdentityKind::Agent];
    Word::read(deserializer, |word| {
        let found = IdentityKind::parse(word);
        found.map(Some).ok_or_else(|| unknown("kind", word, ALL.iter().map(|kind| kind.word())))
    })
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    Word::read(deserializer, |word| {
        Timestamp::parse(word).map(Some).ok_or_else(|| format!("`{word}` is not a time like 2026-11-27T10:00:00Z"))
    })
}

/// Statements that policies differ on, for comparing two of them when nobody says which matter.
pub(crate) const SAMPLES: &[&str] = &[
    "SELECT * FROM users WHERE id = 1",
    "SELECT pg_sleep(60)",
    "INSERT INTO notes (body) VALUES ('x')",
    "UPDATE users SET name = 'x' WHERE id = 1",
    "UPDATE users SET name = 'x'",
    "DELETE FROM orders WHERE id = 1",
    "DELETE FROM orders",
    "TRUNCATE orders",
    "DROP TABLE orders",
    "ALTER TABLE orders DROP COLUMN total",
    "ALTER TABLE orders ADD COLUMN note text",
    "CREATE TABLE scratch.t (id int)",
    "CREATE INDEX ON orders (user_id)",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "GRANT SELECT ON users TO analyst",
    "GRANT SELECT ON users TO PUBLIC",
    "CREATE ROLE intern LOGIN",
    "SET ROLE postgres",
    "SET statement_timeout = 0",
    "SET search_path = other",
    "DO $$ BEGIN DELETE FROM orders; END $$",
    "CALL archive_orders()",
    "SELECT purge_old()",
    "SELECT setval('orders_id_seq', 1)",
    "COPY users TO STDOUT",
    "COPY users TO PROGRAM 'cat'",
    "SELECT pg_read_file('/etc/passwd')",
    "LOCK TABLE orders",
    "VACUUM FULL orders",
    "SELEC 1",
];
