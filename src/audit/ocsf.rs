//! Records as events of the Open Cybersecurity Schema Framework 1.9: Datastore Activity (6005), Authentication (3002),
//! Authorize Session (3003). For tools that gather what happened; proofs stay with the log.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::record::Core;
use crate::domain::{SessionId, Side, StatementId};

/// Follows the records of a log in their order; a statement is told when its end is known, or that it will have none.
#[derive(Debug, Default)]
pub(crate) struct Ocsf {
    started: BTreeMap<(SessionId, StatementId), Core>,
}

/// Version of the schema.
const VERSION: &str = "1.9.0-dev";

const INFORMATIONAL: u8 = 1;
const MEDIUM: u8 = 3;
const SUCCESS: u8 = 1;
const FAILURE: u8 = 2;

impl Ocsf {
    /// The event a record completes, if it does. The gateway's account counts; a client's is about the same thing.
    pub(crate) fn event(&mut self, record: &Core) -> Option<Value> {
        if record.side == Side::Client {
            return None;
        }
        match record.kind.as_str() {
            "auth.login" => Some(base(record, 3002, "Authentication", 1, "Logon", INFORMATIONAL, SUCCESS)),
            "auth.fail" => Some(base(record, 3002, "Authentication", 1, "Logon", MEDIUM, FAILURE)),
            "session.open" => {
                Some(base(record, 3003, "Authorize Session", 1, "Assign Privileges", INFORMATIONAL, SUCCESS))
            }
            "session.refuse" => Some(base(record, 3003, "Authorize Session", 1, "Assign Privileges", MEDIUM, FAILURE)),
            _ => self.statement(record),
        }
    }

    fn statement(&mut self, record: &Core) -> Option<Value> {
        let key = (record.session?, record.statement?);
        if let Some(decided) = &record.decided {
            if decided.action == "allow" {
                self.started.insert(key, record.clone());
                return None;
            }
            return Some(datastore(record, None));
        }
        record.happened.as_ref()?;
        let start = self.started.remove(&key)?;
        Some(datastore(&start, Some(record)))
    }
}

fn base(record: &Core, class: u32, class_name: &str, activity: u8, name: &str, severity: u8, status: u8) -> Value {
    let mut event = json!({
        "metadata": {
            "version": VERSION,
            "uid": record.id.to_string(),
            "sequence": record.seq,
            "product": {"name": "gov", "vendor_name": "gov", "version": env!("CARGO_PKG_VERSION")},
        },
        "time": record.at.millis(),
        "class_uid": class,
        "class_name": class_name,
        "category_uid": class / 1000,
        "activity_id": activity,
        "activity_name": name,
        "type_uid": class * 100 + u32::from(activity),
        "severity_id": severity,
        "status_id": status,
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
    let more = [
        ("resource", record.resource.clone()),
        ("purpose", record.purpose.clone()),
        ("reference", record.reference.clone()),
        ("why", record.why.clone()),
    ];
    let more: serde_json::Map<_, _> =
        more.into_iter().filter_map(|(name, value)| Some((name.to_owned(), Value::from(value?)))).collect();
    if let Some(members) = event.as_object_mut() {
        members.insert("unmapped".to_owned(), more.into());
    }
    event
}

fn datastore(start: &Core, end: Option<&Core>) -> Value {
    let operations = start.asked.as_ref().map(|asked| asked.operations.as_slice()).unwrap_or_default();
    let (activity, name) = activity(operations);
    let happened = end.and_then(|end| end.happened.as_ref());
    let ok = happened.is_some_and(|happened| happened.outcome == "ok");
    let severity = if ok { INFORMATIONAL } else { MEDIUM };
    let status = if ok { SUCCESS } else { FAILURE };
    let mut event = base(start, 6005, "Datastore Activity", activity, name, severity, status);
    let Some(members) = event.as_object_mut() else { return event };
    let mut add = |name: &str, value: Value| drop(members.insert(name.to_owned(), value));
    add("database", json!({"name": start.resource, "type_id": 1, "type": "Relational"}));
    add("type_id", 1.into());
    if let Some(asked) = &start.asked {
        let tables: Vec<Value> = asked
            .relations
            .iter()
            .map(|object| json!({"name": object.name, "group": {"name": object.schema}, "type": object.touch}))
            .collect();
        add("resources", tables.into());
        add("query_info", json!({"query_string": asked.text, "bytes": asked.bytes}));
    }
    if let Some(decided) = &start.decided {
        let rules: Vec<&str> = decided.rules.iter().map(|(rule, _)| rule.as_str()).collect();
        let action = if decided.action == "allow" { 1 } else { 2 };
        add("action_id", action.into());
        add("action", if action == 1 { "Allowed" } else { "Denied" }.into());
        add("disposition", decided.action.clone().into());
        add("policy", json!({"uid": decided.policy.map(|policy| policy.to_string()), "version": decided.engine}));
        add("rules", rules.into());
    }
    if let Some(happened) = happened {
        add("status_code", happened.sqlstate.clone().into());
        add("status_detail", happened.outcome.clone().into());
        add("duration", (happened.dur_us / 1000).into());
        add("count", happened.rows.into());
    }
    event
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
        assert_eq!(ocsf.event(&start("allow", "read")), None);
        let end = record(r#""kind":"stmt.end","stid":"1.1","res":{"outcome":"ok","rows":3,"dur_us":5000}"#);
        let event = ocsf.event(&end).unwrap();
        assert_eq!((event["class_uid"].as_u64(), event["type_uid"].as_u64()), (Some(6005), Some(600_501)));
        assert_eq!((event["status_id"].as_u64(), event["count"].as_u64()), (Some(1), Some(3)));
        assert_eq!(ocsf.event(&end), None, "told once");
        let denied = ocsf.event(&start("deny", "drop")).unwrap();
        assert_eq!((denied["activity_id"].as_u64(), denied["action_id"].as_u64()), (Some(7), Some(2)));
    }
}
