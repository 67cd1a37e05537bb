//! The statements in the body of a PL/pgSQL block that can be read without running it.

use serde_json::Value;

use super::fact::Command;
use super::statement::command;
use super::tree::Tree;

/// Longest body that is looked into; beyond it nothing is said about the parts. Bodies are opaque anyway: what is found
/// here makes the answer stricter and the explanation better, never milder.
const BODY_MAX: usize = 64 * 1024;

/// Statements looked at in one body.
const STATEMENTS_MAX: usize = 200;

/// The SQL statements written in a body, and those that it executes from a plain string.
pub(super) fn statements(body: &str, position: usize) -> Vec<Command> {
    if body.len() > BODY_MAX {
        return Vec::new();
    }
    let block = format!("DO '{}'", body.replace('\'', "''"));
    let Ok(parsed) = pg_query::parse_plpgsql(&block) else { return Vec::new() };
    let mut out = Vec::new();
    for text in texts(&parsed) {
        out.extend(read(text, position));
        if out.len() >= STATEMENTS_MAX {
            break;
        }
    }
    out
}

/// The texts of the statements in the parser's JSON answer. That answer nests no deeper than `serde_json` reads (128).
fn texts(parsed: &Value) -> Vec<&str> {
    let mut out = Vec::new();
    let mut open = vec![parsed];
    while let Some(value) = open.pop() {
        match value {
            Value::Array(items) => open.extend(items),
            Value::Object(fields) => {
                out.extend(fields.get("PLpgSQL_stmt_execsql").and_then(|found| text_of(found, "sqlstmt")));
                let executed = fields.get("PLpgSQL_stmt_dynexecute").and_then(|found| text_of(found, "query"));
                out.extend(executed.and_then(|text| text.strip_prefix('\'')?.strip_suffix('\'')));
                open.extend(fields.values());
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    out
}

fn text_of<'v>(statement: &'v Value, field: &str) -> Option<&'v str> {
    statement.get(field)?.get("PLpgSQL_expr")?.get("query")?.as_str()
}

fn read(text: &str, position: usize) -> Vec<Command> {
    let Some(tree) = Tree::within(text) else { return Vec::new() };
    tree.statements().filter_map(|raw| raw.child("stmt")).map(|root| command(&tree, root, position)).collect()
}
