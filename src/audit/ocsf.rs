//! Records as events of the Open Cybersecurity Schema Framework 1.9: Datastore Activity (6005), Authentication (3002),
//! Authorize Session (3003). For tools that gather what happened; proofs stay with the log.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::record::{Core, Happened};
use crate::domain::{SessionId, Side, StatementId, Timestamp};

/// Follows the records of a log in their order; a statement is told when its end is known.
#[derive(Debug, Default)]
pub(crate) struct Ocsf {
    started: BTreeMap<(SessionId, StatementId), Core>,
}

/// Something that happened, whole: with how it ended, where it had an end.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(super) class: Class,
    pub(super) is_success: bool,
    /// The record that says who, and what was asked.
    pub(super) record: Core,
    /// What came of a statement that ran.
    pub(super) happened: Option<Happened>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    DatastoreActivity = 6005,
    Authentication = 3002,
    AuthorizeSession = 3003,
}

/// Version of the schema.
const VERSION: &str = "1.9.0-dev";

const INFORMATIONAL: u8 = 1;
const MEDIUM: u8 = 3;
const SUCCESS: u8 = 1;
const FAILURE: u8 = 2;

impl Ocsf {
    /// The event a record completes, if it does. The gateway's account counts; a client's is about the same thing, but
    /// for what the client refused by itself, of which the gateway has not heard.
    pub(crate) fn event(&mut self, record: &Core) -> Option<Event> {
        // What a dead gateway had written and not signed is in the record of whoever found it.
        let found = record.of.as_ref().and_then(|of| Core::parse(of.record.as_deref()?).ok());
        let record = found.as_ref().unwrap_or(record);
        if record.side == Side::Client && record.statement.is_none_or(|id| id.number > 0) {
            return None;
        }
        match record.kind.as_str() {
            "auth.login" => Some(Event::new(Class::Authentication, true, record)),
            "auth.fail" => Some(Event::new(Class::Authentication, false, record)),
            "session.open" => Some(Event::new(Class::AuthorizeSession, true, record)),
            "session.refuse" => Some(Event::new(Class::AuthorizeSession, false, record)),
            _ => self.statement(record),
        }
    }

    /// Statements whose end the log does not tell: their gateway died, or they still run.
    pub(crate) fn unended(self) -> impl Iterator<Item = Event> {
        let happened = || Happened { outcome: "unknown".to_owned(), ..Happened::default() };
        self.started.into_values().map(move |start| Event::of_statement(start, Some(happened())))
    }

    fn statement(&mut self, record: &Core) -> Option<Event> {
        let key = (record.session?, record.statement?);
        if let Some(decided) = &record.decided {
            if decided.action == "allow" {
                self.started.insert(key, record.clone());
                return None;
            }
            return Some(Event::of_statement(record.clone(), None));
        }
        let happened = record.happened.clone()?;
        let start = self.started.remove(&key)?;
        Some(Event::of_statement(start, Some(happened)))
    }
}

impl Event {
    fn new(class: Class, is_success: bool, record: &Core) -> Self {
        Self { class, is_success, record: record.clone(), happened: None }
    }

    fn of_statement(record: Core, happened: Option<Happened>) -> Self {
        let is_success = happened.as_ref().is_some_and(|happened| happened.outcome == "ok");
        Self { class: Class::DatastoreActivity, is_success, record, happened }
    }

    /// When it began.
    pub(crate) fn at(&self) -> Timestamp {
        self.record.at
    }

    pub(super) fn severity(&self) -> u8 {
        if self.is_success { INFORMATIONAL } else { MEDIUM }
    }

    pub(super) fn status(&self) -> u8 {
        if self.is_success { SUCCESS } else { FAILURE }
    }

    /// The schema's number and word for what was done.
    pub(super) fn activity(&self) -> (u8, &'static str) {
        match self.class {
            Class::Authentication => (1, "Logon"),
            Class::AuthorizeSession => (1, "Assign Privileges"),
            Class::DatastoreActivity => {
                activity(self.record.asked.as_ref().map(|asked| asked.operations.as_slice()).unwrap_or_default())
            }
        }
    }

    /// As the schema has it. What it has no place for is `unmapped`.
    pub(crate) fn json(&self) -> Value {
        let record = &self.record;
        let (class, (activity, name)) = (self.class.number(), self.activity());
        let mut event = json!({
            "metadata": {
                "version": VERSION,
                "uid": record.id.to_string(),
                "sequence": record.seq,
                "product": {"name": "gov", "vendor_name": "gov", "version": env!("CARGO_PKG_VERSION")},
            },
            "time": record.at.millis(),
            "class_uid": class,
            "class_name": self.class.name(),
            "category_uid": class / 1000,
            "activity_id": activity,
            "activity_name": name,
            "type_uid": class * 100 + u32::from(activity),
            "severity_id": self.severity(),
            "status_id": self.status(),
            "actor": {
                "user": {"uid": record.subject},
                "session": {"uid": record.session.map(|session| session.to_string())},
            },
        });
        if let Some(agent) = record.actors.first()
            && let Some(actor) = event.pointer_mut("/actor").and_then(Value::as_object_mut)
        {
            actor.insert("app_name".to_owned(), agent.clone().into());
        }
        let Some(members) = event.as_object_mut() else { return event };
        let mut add = |name: &str, value: Value| drop(members.insert(name.to_owned(), value));
        if self.class == Class::DatastoreActivity {
            add("database", json!({"name": record.resource, "type_id": 1, "type": "Relational"}));
            add("type_id", 1.into());
        }
        if let Some(asked) = &record.asked {
            let tables: Vec<Value> = asked
                .relations
                .iter()
                .map(|object| json!({"name": object.name, "group": {"name": object.schema}, "type": object.touch}))
                .collect();
            add("resources", tables.into());
            add("query_info", json!({"query_string": asked.text, "bytes": asked.bytes}));
        }
        if let Some(decided) = &record.decided {
            let rules: Vec<&str> = decided.rules.iter().map(|(rule, _)| rule.as_str()).collect();
            let action = if decided.action == "allow" { 1 } else { 2 };
            add("action_id", action.into());
            add("action", if action == 1 { "Allowed" } else { "Denied" }.into());
            add("disposition", decided.action.clone().into());
            add("policy", json!({"uid": decided.policy.map(|policy| policy.to_string()), "version": decided.engine}));
            add("rules", rules.into());
        }
        if let Some(happened) = &self.happened {
            add("status_code", happened.sqlstate.clone().into());
            add("status_detail", happened.outcome.clone().into());
            add("duration", (happened.dur_us / 1000).into());
            add("count", happened.rows.into());
        }
        add("unmapped", self.unmapped().into());
        event
    }

    fn unmapped(&self) -> serde_json::Map<String, Value> {
        let record = &self.record;
        let asked = record.asked.as_ref();
        let happened = self.happened.as_ref();
        let list = |words: &[String]| Some(words).filter(|words| !words.is_empty()).map(Value::from);
        let text = |text: &Option<String>| text.clone().map(Value::from);
        let members = [
            ("statement", record.statement.map(|statement| statement.to_string().into())),
            ("resource", text(&record.resource)),
            ("purpose", text(&record.purpose)),
            ("reference", text(&record.reference)),
            ("approval", text(&record.approval)),
            ("why", text(&record.why)),
            ("operations", asked.and_then(|asked| list(&asked.operations))),
            ("tags", asked.and_then(|asked| list(&asked.tags))),
            ("masked_tags", happened.and_then(|happened| list(&happened.masked))),
            ("clear_tags", happened.and_then(|happened| list(&happened.clear))),
            ("masked_cells", happened.map(|happened| happened.masked_cells.into())),
            ("result_bytes", happened.map(|happened| happened.bytes.into())),
        ];
        members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}

impl Class {
    pub(super) fn number(self) -> u32 {
        self as u32
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::DatastoreActivity => "Datastore Activity",
            Self::Authentication => "Authentication",
            Self::AuthorizeSession => "Authorize Session",
        }
    }
}

/// The schema's activity for what a statement does; for several, what changes most.
fn activity(operations: &[String]) -> (u8, &'static str) {
    let does = |word: &str| operations.iter().any(|operation| operation == word);
    if does("drop") || does("delete") || does("truncate") {
        (7, "Delete")
    } else if does("schema_change") {
        (6, "Create")
    } else if does("update") {
        (2, "Update")
    } else if does("insert") {
        (5, "Write")
    } else if does("read") {
        (1, "Read")
    } else {
        (4, "Query")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(rest: &str) -> Core {
        let (id, session) = ("0".repeat(26), "1".repeat(26));
        Core::parse(&format!(
            r#"{{"id":"{id}","seq":0,"ts":"2026-11-22T14:10:21.057Z","sid":"{session}","side":"gateway",{rest}}}"#
        ))
        .unwrap()
    }

    #[test]
    fn a_statement_is_one_event() {
        let hmac = "a".repeat(64);
        let start = |action: &str, operation: &str| {
            record(&format!(
                r#""kind":"stmt.start","stid":"1.1","q":{{"parse":"ok","op":["{operation}"],"objs":[{{"name":"t","touch":"read"}}],"norm":"x","bytes":1,"hmac":"{hmac}"}},"dec":{{"action":"{action}","rules":[["rule","deny"]],"engine":"1"}}"#
            ))
        };
        let mut ocsf = Ocsf::default();
        assert!(ocsf.event(&start("allow", "read")).is_none());
        let end = record(r#""kind":"stmt.end","stid":"1.1","res":{"outcome":"ok","rows":3,"dur_us":5000}"#);
        let event = ocsf.event(&end).unwrap().json();
        assert_eq!((event["class_uid"].as_u64(), event["type_uid"].as_u64()), (Some(6005), Some(600_501)));
        assert_eq!((event["status_id"].as_u64(), event["count"].as_u64()), (Some(1), Some(3)));
        assert!(ocsf.event(&end).is_none(), "told once");
        let denied = ocsf.event(&start("deny", "drop")).unwrap().json();
        assert_eq!((denied["activity_id"].as_u64(), denied["action_id"].as_u64()), (Some(7), Some(2)));
    }

    #[test]
    fn what_the_client_refused_by_itself_is_told() {
        let hmac = "a".repeat(64);
        let refusal = |number: u64| {
            let text = format!(
                r#"{{"id":"{}","seq":4,"ts":"2026-11-22T14:10:21.057Z","sid":"{}","side":"client","kind":"stmt.start","stid":"1.{number}","q":{{"parse":"ok","op":["drop"],"objs":[],"norm":"x","bytes":1,"hmac":"{hmac}"}},"dec":{{"action":"deny","rules":[],"engine":"1"}}}}"#,
                "0".repeat(26),
                "1".repeat(26)
            );
            Ocsf::default().event(&Core::parse(&text).unwrap())
        };
        assert_eq!(refusal(0).unwrap().json()["disposition"], "deny");
        assert!(refusal(3).is_none(), "the gateway tells of what has a number");
    }

    #[test]
    fn what_a_dead_gateway_left_is_told_too() {
        let hmac = "a".repeat(64);
        let start = format!(
            r#"{{"id":"{}","seq":4,"ts":"2026-11-22T14:10:21.057Z","sid":"{}","side":"gateway","kind":"stmt.start","stid":"1.7","q":{{"parse":"ok","op":["read"],"objs":[],"norm":"x","bytes":1,"hmac":"{hmac}"}},"dec":{{"action":"allow","rules":[],"engine":"1"}}}}"#,
            "0".repeat(26),
            "1".repeat(26)
        );
        let found = record(&format!(r#""kind":"recovered","of":{{"key":"{}","record":{start}}}"#, "b".repeat(64)));
        let mut ocsf = Ocsf::default();
        assert!(ocsf.event(&found).is_none());
        let events: Vec<Value> = ocsf.unended().map(|event| event.json()).collect();
        assert_eq!(events.len(), 1);
        assert_eq!(events[0]["unmapped"]["statement"], "1.7");
        assert_eq!((&events[0]["status_detail"], &events[0]["status_id"]), (&"unknown".into(), &2.into()));
    }
}
