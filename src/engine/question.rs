//! Questions about a policy that nobody needs a session or a database for: what would be said to this statement, from
//! this somebody, there and then? Whoever asks gets the engine's own decision, and expectations are checked against it.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::Deserializer;

use super::catalog::{Catalog, CatalogRelation, FIRST_USER_OID};
use super::classify::Classification;
use super::policy::{PolicyMistake, Word, unknown};
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
    fn grant(&self, policy: Digest) -> Grant {
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

/// A statement and what should be said to it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expectation {
    pub(crate) sql: String,
    /// A user of the configuration; anybody else has the groups that are named.
    #[serde(rename = "as")]
    pub(crate) who: Option<String>,
    #[serde(default)]
    pub(crate) groups: BTreeSet<String>,
    #[serde(default, deserialize_with = "kind")]
    pub(crate) kind: Option<IdentityKind>,
    pub(crate) purpose: Option<String>,
    /// A resource of the configuration.
    pub(crate) on: Option<String>,
    /// Asked with a session that may write; without it one that may read.
    #[serde(default)]
    pub(crate) write: bool,
    #[serde(default, deserialize_with = "time")]
    pub(crate) at: Option<Timestamp>,
    /// How many rows the planner is taken to expect.
    pub(crate) estimated_rows: Option<u64>,
    #[serde(deserialize_with = "verdict")]
    pub(crate) expect: Verdict,
    /// The rule that should decide; any may when it is not named.
    pub(crate) rule: Option<String>,
}

impl Expectation {
    /// Reads a file of them: a list in YAML.
    pub(crate) fn parse(text: &str) -> Result<Vec<Self>, PolicyMistake> {
        super::yaml::read(text)
    }

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
