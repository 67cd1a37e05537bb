//! Records → what auditors ask for, as tables: who had access and used it, who agreed to what, what was refused.
//!
//! The gateway's and the server's accounts count; of the client's, what it refused by itself. What a table says can be found again in the records it was made of.

use std::collections::BTreeMap;

use super::record::Core;
use crate::domain::{SessionId, Side, StatementId, Timestamp};

/// The file of a pack that names all others with their SHA-256, as `sha256sum` writes and reads it.
pub(crate) const MANIFEST: &str = "SHA256SUMS";

/// One table of the evidence. Cells may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    /// What it is called as a file, without an ending.
    pub(crate) name: &'static str,
    /// What it answers, for whoever opens it.
    pub(crate) about: &'static str,
    pub(crate) heading: &'static [&'static str],
    pub(crate) rows: Vec<Vec<String>>,
}

/// Takes a log's records in their order, from the first on; those of a stretch of time count.
#[derive(Debug)]
pub(crate) struct Evidence {
    from: Timestamp,
    to: Timestamp,
    /// Who a session belongs to.
    sessions: BTreeMap<SessionId, Whose>,
    /// Statements that have started and not ended.
    open: BTreeMap<(SessionId, StatementId), String>,
    access: BTreeMap<Way, Use>,
    approvals: BTreeMap<String, Vec<Step>>,
    privileged: Vec<Vec<String>>,
    refused: Vec<Vec<String>>,
    /// By session: when its credential was made and, once it was, revoked.
    credentials: BTreeMap<String, (Timestamp, Option<Timestamp>)>,
    policies: BTreeMap<String, Use>,
    agents: BTreeMap<String, Use>,
    readers: Vec<Vec<String>>,
}

#[derive(Clone, Debug, Default)]
struct Whose {
    subject: String,
    agent: String,
    resource: String,
    purpose: String,
    reference: String,
}

/// A way in which somebody had access.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Way {
    subject: String,
    agent: String,
    resource: String,
    access: String,
    purpose: String,
}

/// How often, and when first and last.
#[derive(Clone, Copy, Debug)]
struct Use {
    count: u64,
    first: Timestamp,
    last: Timestamp,
}

impl Use {
    fn note<K: Ord>(all: &mut BTreeMap<K, Self>, what: K, at: Timestamp) {
        let used = all.entry(what).or_insert(Self { count: 0, first: at, last: at });
        (used.count, used.last) = (used.count.saturating_add(1), at);
    }

    fn cells(self) -> [String; 3] {
        [self.count.to_string(), self.first.to_string(), self.last.to_string()]
    }
}

/// Columns of a table about things that happened: when, by whom, where and what for come first.
macro_rules! columns {
    (happened, $($rest:literal),*) => {
        &["at", "subject", "who", "agent", "resource", "purpose", "reference", "session", $($rest),*]
    };
}

/// What became of an approval.
#[derive(Clone, Debug)]
struct Step {
    at: Timestamp,
    state: String,
    by: String,
    resource: String,
    about: String,
}

/// Operations that change what is there or who may do what, rather than rows.
const PRIVILEGED: [&str; 6] = ["schema_change", "drop", "truncate", "privilege", "outside", "maintenance"];

impl Evidence {
    pub(crate) fn new(from: Timestamp, to: Timestamp) -> Self {
        let (sessions, open, access, approvals) = Default::default();
        let (privileged, refused, credentials, policies, agents, readers) = Default::default();
        Self {
            from,
            to,
            sessions,
            open,
            access,
            approvals,
            privileged,
            refused,
            credentials,
            policies,
            agents,
            readers,
        }
    }

    /// Takes the next record.
    pub(crate) fn record(&mut self, record: &Core) {
        let counts = record.at >= self.from && record.at < self.to;
        if record.side == Side::Client {
            // What the client refused by itself the gateway never saw. Whoever lies here accuses themselves.
            if record.kind == "stmt.start" && record.statement.is_some_and(|statement| statement.number == 0) {
                self.started(record, counts);
            }
            return;
        }
        if record.kind == "session.open" {
            self.opened(record);
        }
        match record.kind.as_str() {
            "stmt.start" => self.started(record, counts),
            "stmt.end" => self.ended(record, counts),
            _ if !counts => {}
            "approval" => {
                let step = Step {
                    at: record.at,
                    state: record.what.clone().unwrap_or_default(),
                    by: record.subject.clone().unwrap_or_default(),
                    resource: record.resource.clone().unwrap_or_default(),
                    about: record.about.clone().unwrap_or_default(),
                };
                self.approvals.entry(record.approval.clone().unwrap_or_default()).or_default().push(step);
            }
            "auth.fail" | "session.refuse" => self.refused.push(self.row(record, &record.kind, "", "")),
            "cred.mint" => {
                let session = record.session.map(|session| session.to_string()).unwrap_or_default();
                self.credentials.insert(session, (record.at, None));
            }
            "cred.revoke" | "cred.sweep" => {
                let session = record.session.map(|session| session.to_string()).unwrap_or_default();
                if let Some((_, revoked)) = self.credentials.get_mut(&session) {
                    *revoked = Some(record.at);
                }
            }
            "audit.read" => {
                let what = record.what.clone().unwrap_or_default();
                self.readers.push(vec![record.at.to_string(), record.subject.clone().unwrap_or_default(), what]);
            }
            _ => {}
        }
    }

    fn opened(&mut self, record: &Core) {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let whose = Whose {
            subject: text(&record.subject),
            agent: record.actors.first().cloned().unwrap_or_default(),
            resource: text(&record.resource),
            purpose: text(&record.purpose),
            reference: text(&record.reference),
        };
        if record.at >= self.from && record.at < self.to {
            let way = Way {
                subject: whose.subject.clone(),
                agent: whose.agent.clone(),
                resource: whose.resource.clone(),
                access: text(&record.access),
                purpose: whose.purpose.clone(),
            };
            Use::note(&mut self.access, way, record.at);
            if !whose.agent.is_empty() {
                Use::note(&mut self.agents, whose.agent.clone(), record.at);
            }
        }
        if let Some(session) = record.session {
            self.sessions.insert(session, whose);
        }
    }

    fn started(&mut self, record: &Core, counts: bool) {
        let (Some(asked), Some(decided)) = (&record.asked, &record.decided) else { return };
        if let (Some(session), Some(statement)) = (record.session, record.statement)
            && decided.action == "allow"
        {
            self.open.insert((session, statement), asked.text.clone());
        }
        if !counts {
            return;
        }
        if let Some(policy) = decided.policy {
            Use::note(&mut self.policies, policy.to_string(), record.at);
        }
        let rules: Vec<&str> = decided.rules.iter().map(|(rule, _)| rule.as_str()).collect();
        let rules = rules.join(" ");
        if decided.action != "allow" {
            self.refused.push(self.row(record, &decided.action, &rules, &asked.text));
        } else if asked.operations.iter().any(|operation| PRIVILEGED.contains(&operation.as_str())) {
            let approval = record.approval.clone().unwrap_or_default();
            let mut row = self.row(record, &asked.operations.join(" "), &rules, &asked.text);
            row.push(approval);
            self.privileged.push(row);
        }
    }

    fn ended(&mut self, record: &Core, counts: bool) {
        let (Some(session), Some(statement)) = (record.session, record.statement) else { return };
        let text = self.open.remove(&(session, statement)).unwrap_or_default();
        let Some(happened) = record.happened.as_ref().filter(|happened| counts && happened.outcome != "ok") else {
            return;
        };
        let why = happened.sqlstate.clone().unwrap_or_default();
        self.refused.push(self.row(record, &happened.outcome, &why, &text));
    }

    /// When, whose, where, what for, what, why, the statement.
    fn row(&self, record: &Core, what: &str, why: &str, text: &str) -> Vec<String> {
        let known = record.session.and_then(|session| self.sessions.get(&session)).cloned().unwrap_or_default();
        let or = |own: &Option<String>, known: String| own.clone().unwrap_or(known);
        let why = if why.is_empty() { record.why.as_deref().unwrap_or_default() } else { why };
        vec![
            record.at.to_string(),
            or(&record.subject, known.subject),
            known.agent,
            or(&record.resource, known.resource),
            or(&record.purpose, known.purpose),
            or(&record.reference, known.reference),
            record.session.map(|session| session.to_string()).unwrap_or_default(),
            what.to_owned(),
            why.to_owned(),
            text.to_owned(),
        ]
    }

    /// The tables, with names beside pseudonyms as far as they are known.
    pub(crate) fn tables(self, names: &BTreeMap<String, String>) -> Vec<Table> {
        let named = |subject: &str| names.get(subject).cloned().unwrap_or_default();
        let with_name = |at: usize| {
            move |mut row: Vec<String>| {
                let name = row.get(at).map(|subject| named(subject)).unwrap_or_default();
                row.insert(at.saturating_add(1).min(row.len()), name);
                row
            }
        };
        let ways = self.access.into_iter().map(|(way, used)| {
            let Way { subject, agent, resource, access, purpose } = way;
            [vec![subject, agent, resource, access, purpose], used.cells().to_vec()].concat()
        });
        let credentials = self.credentials.into_iter().map(|(session, (made, revoked))| {
            let lived = revoked.map(|revoked| revoked.since(made).as_secs().to_string());
            let revoked = revoked.map(|revoked| revoked.to_string());
            vec![session, made.to_string(), revoked.unwrap_or_default(), lived.unwrap_or_default()]
        });
        let counted = |all: BTreeMap<String, Use>| {
            all.into_iter().map(|(what, used)| [vec![what], used.cells().to_vec()].concat()).collect::<Vec<_>>()
        };
        let approvals = self.approvals.into_iter().map(|(id, steps)| approval(id, &steps));
        vec![
            Table {
                name: "1-access-review",
                about: "who had access to what, for which purpose, how often and when last",
                heading: &["subject", "who", "agent", "resource", "access", "purpose", "sessions", "first", "last"],
                rows: ways.map(with_name(0)).collect(),
            },
            Table {
                name: "3-approvals",
                about: "what was asked for or taken, who agreed or reviewed, when; taken in an emergency: `break_glass`; `self_approved` must be `no` everywhere",
                heading: &[
                    "approval",
                    "about",
                    "resource",
                    "asked",
                    "asked_by",
                    "who",
                    "decided",
                    "approved_by",
                    "state",
                    "self_approved",
                ],
                rows: approvals.map(with_name(4)).collect(),
            },
            Table {
                name: "5-privileged",
                about: "statements that change definitions, rights or the server",
                heading: columns!(happened, "operations", "rules", "statement", "approval"),
                rows: self.privileged.into_iter().map(with_name(1)).collect(),
            },
            Table {
                name: "6-refused-and-failed",
                about: "what was refused, held or failed, and attempts to log in",
                heading: columns!(happened, "what", "why", "statement"),
                rows: self.refused.into_iter().map(with_name(1)).collect(),
            },
            Table {
                name: "7-credentials",
                about: "database credentials, each made for one session, and when it was gone",
                heading: &["session", "made", "revoked", "seconds"],
                rows: credentials.collect(),
            },
            Table {
                name: "8-policies",
                about: "policies that decided, by their SHA-256, and over how many statements",
                heading: &["policy", "statements", "first", "last"],
                rows: counted(self.policies),
            },
            Table {
                name: "10-agents",
                about: "programs that acted for people",
                heading: &["agent", "sessions", "first", "last"],
                rows: counted(self.agents),
            },
            Table {
                name: "11-readers",
                about: "who read the record",
                heading: &["at", "subject", "who", "what"],
                rows: self.readers.into_iter().map(with_name(1)).collect(),
            },
        ]
    }
}

/// One approval's story as a row, without the requester's name.
fn approval(id: String, steps: &[Step]) -> Vec<String> {
    let (first, last) = (steps.first(), steps.last());
    let asked_by = first.map(|step| step.by.clone()).unwrap_or_default();
    // A vote that is not the last one needed leaves a request pending.
    let voted: Vec<&Step> = steps
        .iter()
        .skip(1)
        .filter(|step| {
            !step.by.is_empty() && matches!(step.state.as_str(), "pending" | "approved" | "denied" | "reviewed")
        })
        .collect();
    let yes: Vec<&str> = voted.iter().filter(|step| step.state != "denied").map(|step| step.by.as_str()).collect();
    let own = !asked_by.is_empty() && yes.contains(&asked_by.as_str());
    vec![
        id,
        first.map(|step| step.about.clone()).unwrap_or_default(),
        first.map(|step| step.resource.clone()).unwrap_or_default(),
        first.map(|step| step.at.to_string()).unwrap_or_default(),
        asked_by,
        voted.last().map(|step| step.at.to_string()).unwrap_or_default(),
        yes.join(" "),
        last.map(|step| step.state.clone()).unwrap_or_default(),
        if own { "YES" } else { "no" }.to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Log {
        evidence: Evidence,
        second: u64,
    }

    impl Log {
        fn new() -> Self {
            let at = |text: &str| Timestamp::parse(text).unwrap();
            Self { evidence: Evidence::new(at("2026-11-22T12:00:00Z"), at("2026-11-22T13:00:00Z")), second: 0 }
        }

        fn at(&mut self, time: &str, side: &str, rest: &str) {
            let (id, session) = ("0".repeat(26), "1".repeat(26));
            let line = format!(r#"{{"id":"{id}","seq":0,"ts":"{time}","sid":"{session}","side":"{side}",{rest}}}"#);
            self.evidence.record(&Core::parse(&line).unwrap());
        }

        fn gateway(&mut self, rest: &str) {
            self.second += 1;
            let time = format!("2026-11-22T12:00:{:02}Z", self.second);
            self.at(&time, "gateway", rest);
        }

        fn statement(&mut self, number: u64, operation: &str, action: &str, approval: &str) {
            let hmac = "a".repeat(64);
            self.gateway(&format!(
                r#""kind":"stmt.start","stid":"1.{number}","q":{{"parse":"ok","op":["{operation}"],"objs":[],"norm":"text {number}","bytes":1,"hmac":"{hmac}"}},"dec":{{"action":"{action}","rules":[["rule","{action}"]],"policy":"{hmac}","engine":"1"}}{approval}"#
            ));
        }

        fn rows(self, name: &str) -> Vec<String> {
            let names = BTreeMap::from([("u-1".to_owned(), "Alice".to_owned())]);
            let tables = self.evidence.tables(&names);
            let table = tables.into_iter().find(|table| table.name == name).unwrap();
            assert!(table.rows.iter().all(|row| row.len() == table.heading.len()), "{table:?}");
            table.rows.iter().map(|row| row.join("|")).collect()
        }
    }

    const OPEN: &str = r#""kind":"session.open","sub":"u-1","act":[{"type":"agent","id":"copilot"}],"db":{"resource":"shop"},"access":"write","purp":{"id":"support","ref":"ZD-1"}"#;

    #[test]
    fn access_is_counted_within_the_time_asked_for() {
        let mut log = Log::new();
        log.at("2026-11-22T11:59:59Z", "gateway", OPEN);
        log.gateway(OPEN);
        log.gateway(OPEN);
        log.at("2026-11-22T13:00:00Z", "gateway", OPEN);
        assert_eq!(
            log.rows("1-access-review"),
            ["u-1|Alice|copilot|shop|write|support|2|2026-11-22T12:00:01.000Z|2026-11-22T12:00:02.000Z"]
        );
    }

    fn busy() -> Log {
        let mut log = Log::new();
        // The session began before, and its owner is known all the same.
        log.at("2026-11-22T11:00:00Z", "gateway", OPEN);
        log.statement(1, "read", "allow", "");
        log.statement(2, "drop", "allow", r#","appr":{"id":"apr_1"}"#);
        log.statement(3, "drop", "deny", "");
        log.gateway(r#""kind":"stmt.end","stid":"1.1","res":{"outcome":"error","sqlstate":"22012"}"#);
        log.gateway(r#""kind":"stmt.end","stid":"1.2","res":{"outcome":"ok"}"#);
        log.at("2026-11-22T12:30:00Z", "client", r#""kind":"auth.fail","why":"no""#);
        let hmac = "a".repeat(64);
        for number in [0, 4] {
            let asked =
                format!(r#""q":{{"parse":"ok","op":["drop"],"objs":[],"norm":"own","bytes":1,"hmac":"{hmac}"}}"#);
            let decided = r#""dec":{"action":"deny","rules":[["own","deny"]],"engine":"1"}"#;
            let rest = format!(r#""kind":"stmt.start","stid":"1.{number}",{asked},{decided}"#);
            log.at("2026-11-22T12:31:00Z", "client", &rest);
        }
        log
    }

    #[test]
    fn what_changes_more_than_rows_stands_out() {
        let rows = busy().rows("5-privileged");
        assert_eq!(rows.len(), 1, "{rows:?}");
        assert!(rows[0].contains("|u-1|Alice|copilot|shop|support|ZD-1|"), "{rows:?}");
        assert!(rows[0].ends_with("|drop|rule|text 2|apr_1"), "{rows:?}");
    }

    #[test]
    fn what_was_refused_or_failed_is_told_by_the_gateway() {
        let rows = busy().rows("6-refused-and-failed");
        assert_eq!(rows.len(), 3, "of the client's account only what it refused by itself: {rows:?}");
        assert!(rows[0].ends_with("|deny|rule|text 3") && rows[1].ends_with("|error|22012|text 1"), "{rows:?}");
        assert!(rows[2].ends_with("|deny|own|own"), "{rows:?}");
    }

    #[test]
    fn whoever_agrees_to_their_own_request_shows() {
        for (voter, expected) in [("u-2", "no"), ("u-1", "YES")] {
            let mut log = Log::new();
            for (by, state) in [("u-1", "pending"), (voter, "approved"), ("", "executed")] {
                let by = if by.is_empty() { String::new() } else { format!(r#""sub":"{by}","#) };
                let digest = "b".repeat(64);
                log.gateway(&format!(
                    r#""kind":"approval",{by}"what":"{state}","appr":{{"id":"apr_1","digest":"{digest}","about":"access"}},"db":{{"resource":"shop"}}"#
                ));
            }
            let rows = log.rows("3-approvals");
            assert!(rows[0].ends_with(&format!("|{voter}|executed|{expected}")), "{rows:?}");
            assert!(rows[0].starts_with("apr_1|access|shop|2026-11-22T12:00:01.000Z|u-1|Alice|"), "{rows:?}");
        }
    }

    #[test]
    fn credentials_and_readers_are_listed() {
        let mut log = Log::new();
        log.gateway(r#""kind":"cred.mint""#);
        log.gateway(r#""kind":"cred.revoke""#);
        log.gateway(r#""kind":"audit.read","sub":"u-1","what":"timeline""#);
        let Log { evidence, .. } = log;
        let tables = evidence.tables(&BTreeMap::new());
        let rows = |name| tables.iter().find(|table| table.name == name).unwrap().rows.concat();
        assert_eq!(rows("7-credentials").last().unwrap(), "1");
        assert_eq!(rows("11-readers"), ["2026-11-22T12:00:03.000Z", "u-1", "", "timeline"]);
    }
}
