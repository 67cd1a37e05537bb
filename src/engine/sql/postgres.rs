//! PostgreSQL's grammar, read by PostgreSQL's own parser.

use std::sync::Arc;

use pg_query::NodeEnum;

use super::{Command, Understood};
use crate::domain::{Operation, Parse, Statement};

/// Longest text that is parsed. What is longer cannot be judged in reasonable time and is not understood.
const TEXT_MAX: usize = 1024 * 1024;

pub(super) fn understand(text: &[u8]) -> Understood {
    if text.len() > TEXT_MAX {
        return opaque(text, "this text is longer than 1 MiB".to_owned());
    }
    let Ok(sql) = std::str::from_utf8(text) else {
        return opaque(text, "this text is not valid UTF-8".to_owned());
    };
    let parsed = match pg_query::parse(sql, 0) {
        Ok(parsed) => parsed,
        Err(error) => return opaque(text, error.to_string()),
    };
    let mut operations = Vec::new();
    let mut commands = Vec::new();
    for raw in &parsed.protobuf.stmts {
        let node = raw.stmt.as_ref().and_then(|node| node.node.as_ref());
        let (name, operation) = match node {
            Some(NodeEnum::SelectStmt(_)) => ("SelectStmt", Operation::Read),
            Some(NodeEnum::DropStmt(_)) => ("DropStmt", Operation::Drop),
            Some(NodeEnum::CopyStmt(_)) => ("CopyStmt", Operation::Opaque),
            Some(NodeEnum::TruncateStmt(_)) => ("TruncateStmt", Operation::Truncate),
            _ => ("other", Operation::Opaque),
        };
        operations.push(operation);
        commands.push(Command { node: name });
    }
    let normalized = pg_query::normalize(sql).unwrap_or_default();
    Understood {
        statement: Arc::new(Statement {
            parse: Parse::Understood,
            normalized: normalized.into(),
            operations: operations.into(),
            relations: Arc::from([]),
            length: text.len(),
        }),
        complaint: None,
        commands,
    }
}

fn opaque(text: &[u8], complaint: String) -> Understood {
    Understood {
        statement: Arc::new(Statement {
            parse: Parse::Opaque,
            normalized: Arc::from(""),
            operations: Arc::from([Operation::Opaque]),
            relations: Arc::from([]),
            length: text.len(),
        }),
        complaint: Some(complaint),
        commands: Vec::new(),
    }
}
