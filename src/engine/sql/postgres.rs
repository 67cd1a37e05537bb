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
            complaint: Some(Complaint {
                text: refused.to_string(),
                fault: refused.fault(),
                position: refused.position(text),
            }),
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

    /// Where in the text it stands.
    fn position(&self, text: &[u8]) -> Option<usize> {
        match self {
            Self::Syntax(complaint) => position(std::str::from_utf8(text).ok()?, complaint),
            Self::TooLong | Self::NotUtf8 | Self::ZeroByte | Self::TooDeep => None,
        }
    }
}

/// Longest text that is read again to find where it cannot be read.
const SOUGHT_MAX: usize = 64 * 1024;

/// Where the parser stopped. The crate gives its complaint and not the place; but the complaint quotes the text from
/// there on. Where the same stands more than once, it is the last of them up to which the text can be read.
fn position(text: &str, complaint: &str) -> Option<usize> {
    if complaint.ends_with(" at end of input") {
        return Some(text.len());
    }
    let (_, near) = complaint.split_once(" at or near \"")?;
    let near = near.strip_suffix('"')?;
    let places: Vec<usize> = text.match_indices(near).map(|(at, _)| at).collect();
    if let [only] = places.as_slice() {
        return Some(*only);
    }
    if text.len() > SOUGHT_MAX {
        return None;
    }
    let is_readable = |at: &usize| {
        let before = text.get(..*at).unwrap_or_default();
        pg_query::parse(before, 0)
            .map_err(Refused::from)
            .map_or_else(|refused| refused.to_string() != complaint, |_| true)
    };
    let readable = places.partition_point(is_readable);
    places.get(readable.checked_sub(1)?).copied()
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

#[cfg(test)]
mod tests {
    use super::*;

    /// `marked` has `«` where the complaint points to.
    fn check(marked: &str) {
        let text = marked.replacen('«', "", 1);
        let found = understand(text.as_bytes()).complaint;
        assert_eq!(found.as_ref().and_then(|found| found.position), marked.find('«'), "{marked}: {found:?}");
    }

    #[test]
    fn a_complaint_points_to_where_reading_ends() {
        check("«selec 1");
        check("select 1; «selec 2");
        check("select 1 +«;");
        check("select (1«");
        check("select (1 -- and so on\n«");
        check("select é, «from, t");
        check("select 'selec' as \"selec\" /* selec */; «selec selec");
        check("select 1 from t where a = 1 «from t where a = 1");
        check("select a, b, c, «, d");
        check("select not a not «b not b");
        check("select «'it''s not over");
        check("select 1 as «\"x\"\"");
        check("select 1 limit 1 «limit 2");
        check("select a «\"\"");
    }

    #[test]
    fn a_complaint_about_no_place_points_nowhere() {
        for text in ["(select 1 order by 1) order by 2", "select '\u{0}'"] {
            assert_eq!(understand(text.as_bytes()).complaint.unwrap().position, None, "{text}");
        }
        let long = format!("select {}, , 1", "1, ".repeat(SOUGHT_MAX));
        assert_eq!(understand(long.as_bytes()).complaint.unwrap().position, None);
    }
}
