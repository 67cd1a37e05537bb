//! PostgreSQL's grammar, read by PostgreSQL's own parser.

use std::sync::Arc;

use super::fact::{Command, Deed, Object};
use super::statement::command;
use super::token::Tokens;
use super::tree::Tree;
use super::{Complaint, DEPTH_MAX, Memory, TEXT_MAX, Understood};
use crate::domain::{Fault, Operation, Parse, Relation, Statement, Touch};

pub(super) fn understand(text: &[u8]) -> Understood {
    match read(text) {
        Ok((normalized, commands)) => Understood {
            statement: Arc::new(Statement {
                parse: Parse::Understood,
                normalized: normalized.into(),
                operations: operations(&commands).into(),
                relations: relations(&commands).into(),
                tags: Arc::from([]),
                functions: Arc::from([]),
                length: text.len(),
            }),
            complaint: None,
            commands,
            memory: Memory::default(),
        },
        Err(refused) => Understood {
            statement: Arc::new(Statement {
                parse: Parse::Opaque,
                normalized: Arc::from(""),
                operations: Arc::from([Operation::Opaque]),
                relations: Arc::from([]),
                tags: Arc::from([]),
                functions: Arc::from([]),
                length: text.len(),
            }),
            complaint: Some(Complaint { text: refused.to_string(), fault: refused.fault() }),
            commands: Vec::new(),
            memory: Memory::default(),
        },
    }
}

/// Why a text is not understood.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("this text is longer than {} KiB", TEXT_MAX / 1024)]
    TooLong,
    #[error("this text is not valid UTF-8")]
    NotUtf8,
    #[error("this text has a zero byte in it")]
    ZeroByte,
    #[error("this text nests more deeply than can be read safely")]
    TooDeep,
    #[error("{0}")]
    Syntax(String),
}

impl Refused {
    fn fault(&self) -> Fault {
        match self {
            Self::TooLong => Fault::TooLong,
            Self::NotUtf8 | Self::ZeroByte => Fault::Encoding,
            Self::TooDeep => Fault::TooComplex,
            Self::Syntax(_) => Fault::Syntax,
        }
    }
}

impl From<pg_query::Error> for Refused {
    fn from(error: pg_query::Error) -> Self {
        match error {
            pg_query::Error::Parse(complaint) | pg_query::Error::Scan(complaint) => Self::Syntax(complaint),
            error => Self::Syntax(error.to_string()),
        }
    }
}

fn read(text: &[u8]) -> Result<(String, Vec<Command>), Refused> {
    if text.len() > TEXT_MAX {
        return Err(Refused::TooLong);
    }
    let sql = std::str::from_utf8(text).map_err(|_| Refused::NotUtf8)?;
    if memchr::memchr(0, text).is_some() {
        return Err(Refused::ZeroByte);
    }
    let tokens = Tokens::scan(sql)?;
    if tokens.depth_at_most() > DEPTH_MAX {
        return Err(Refused::TooDeep);
    }
    let parsed = pg_query::parse(sql, 0)?;
    let tree = Arc::new(Tree::new(&parsed.protobuf).map_err(|error| Refused::Syntax(error.to_string()))?);
    let commands = tree.statements().filter_map(|raw| {
        let start = usize::try_from(raw.integer("stmt_location")).unwrap_or(0);
        Some(command(&tree, raw.child("stmt")?, tokens.word_from(start)))
    });
    Ok((tokens.normalized(), commands.collect()))
}

fn operations(commands: &[Command]) -> Vec<Operation> {
    let mut operations: Vec<Operation> = commands.iter().flat_map(Command::operations).collect();
    operations.sort_unstable();
    operations.dedup();
    operations
}

fn relations(commands: &[Command]) -> Vec<Relation> {
    let mut relations: Vec<Relation> = commands.iter().flat_map(relations_of).collect();
    relations.sort_unstable();
    relations.dedup();
    relations
}

/// The relations a command names, those it drops included.
pub(super) fn relations_of(command: &Command) -> Vec<Relation> {
    let relation = |name: &super::fact::Name, touch| Relation {
        schema: name.schema.as_deref().map(str::to_owned),
        name: name.name.to_string(),
        touch,
    };
    let dropped = command.acts.iter().filter_map(|act| match &act.deed {
        Deed::Drop {
            object:
                Object::Table
                | Object::View
                | Object::MaterializedView
                | Object::ForeignTable
                | Object::Sequence
                | Object::Index,
            names,
            ..
        } => Some(names),
        _ => None,
    });
    let dropped = dropped.flatten().map(|name| relation(name, Touch::Define));
    command.relations.iter().map(|used| relation(&used.name, used.touch)).chain(dropped).collect()
}
