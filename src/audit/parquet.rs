//! The events of `ocsf` as a table in the Parquet format: one row each, a typed column for each fact.
//!
//! Names are those of the schema where it has one. Rows are written in groups, so that only one group is ever in memory.

use std::io::Write;
use std::sync::Arc;

use ::parquet::column::writer::ColumnWriter;
use ::parquet::data_type::ByteArray;
pub(crate) use ::parquet::errors::ParquetError;
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::parser::parse_message_type;

use super::ocsf::Event;
use super::record::{Asked, Decided, Happened};

/// Rows of one group. Readers load a group's column at once.
const GROUP_ROWS_MAX: usize = 16_384;

/// Bytes of statements in one group: each may be 64 KiB long.
const GROUP_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What one event has in one column.
enum Cell {
    Number(Option<u64>),
    Text(Option<String>),
    /// Any number of them: a repeated column.
    Texts(Vec<String>),
}

type Column = (&'static str, fn(&Event) -> Cell);

/// Each column as Parquet's own language declares it, and what goes into it. Appended to, never changed.
const COLUMNS: &[Column] = &[
    ("required int64 time (TIMESTAMP(MICROS, true))", |event| {
        Cell::Number(Some(event.record.at.millis().saturating_mul(1000)))
    }),
    ("required int64 class_uid", |event| Cell::Number(Some(event.class.number().into()))),
    ("required binary class_name (STRING)", |event| text(event.class.name())),
    ("required int64 activity_id", |event| Cell::Number(Some(event.activity().0.into()))),
    ("required binary activity_name (STRING)", |event| text(event.activity().1)),
    ("required int64 severity_id", |event| Cell::Number(Some(event.severity().into()))),
    ("required int64 status_id", |event| Cell::Number(Some(event.status().into()))),
    ("required binary record (STRING)", |event| text(&event.record.id.to_string())),
    ("required int64 sequence", |event| Cell::Number(Some(event.record.seq))),
    ("optional binary session (STRING)", |event| Cell::Text(event.record.session.map(|session| session.to_string()))),
    ("optional binary statement (STRING)", |event| {
        Cell::Text(event.record.statement.map(|statement| statement.to_string()))
    }),
    ("optional binary subject (STRING)", |event| Cell::Text(event.record.subject.clone())),
    ("optional binary agent (STRING)", |event| Cell::Text(event.record.actors.first().cloned())),
    ("optional binary resource (STRING)", |event| Cell::Text(event.record.resource.clone())),
    ("optional binary purpose (STRING)", |event| Cell::Text(event.record.purpose.clone())),
    ("optional binary reference (STRING)", |event| Cell::Text(event.record.reference.clone())),
    ("optional binary approval (STRING)", |event| Cell::Text(event.record.approval.clone())),
    ("repeated binary operations (STRING)", |event| Cell::Texts(asked(event, |asked| asked.operations.clone()))),
    ("repeated binary tables (STRING)", |event| Cell::Texts(asked(event, tables))),
    ("repeated binary tags (STRING)", |event| Cell::Texts(asked(event, |asked| asked.tags.clone()))),
    ("optional binary query (STRING)", |event| Cell::Text(event.record.asked.as_ref().map(|asked| asked.text.clone()))),
    ("optional int64 query_bytes", |event| Cell::Number(event.record.asked.as_ref().map(|asked| asked.bytes))),
    ("optional binary action (STRING)", |event| Cell::Text(decided(event).map(|decided| decided.action.clone()))),
    ("repeated binary rules (STRING)", |event| {
        Cell::Texts(decided(event).map(|decided| first(&decided.rules)).unwrap_or_default())
    }),
    ("optional binary policy_sha256 (STRING)", |event| {
        Cell::Text(decided(event).and_then(|decided| decided.policy).map(|policy| policy.to_string()))
    }),
    ("optional binary engine (STRING)", |event| Cell::Text(decided(event).map(|decided| decided.engine.clone()))),
    ("optional binary outcome (STRING)", |event| Cell::Text(happened(event, |happened| happened.outcome.clone()))),
    ("optional binary sqlstate (STRING)", |event| {
        Cell::Text(happened(event, |happened| happened.sqlstate.clone()).flatten())
    }),
    ("optional int64 duration_us", |event| Cell::Number(happened(event, |happened| happened.dur_us))),
    ("optional int64 rows", |event| Cell::Number(happened(event, |happened| happened.rows))),
    ("optional int64 result_bytes", |event| Cell::Number(happened(event, |happened| happened.bytes))),
    ("optional int64 masked_cells", |event| Cell::Number(happened(event, |happened| happened.masked_cells))),
    ("repeated binary masked_tags (STRING)", |event| {
        Cell::Texts(happened(event, |happened| happened.masked.clone()).unwrap_or_default())
    }),
    ("repeated binary clear_tags (STRING)", |event| {
        Cell::Texts(happened(event, |happened| happened.clear.clone()).unwrap_or_default())
    }),
    ("optional binary why (STRING)", |event| Cell::Text(event.record.why.clone())),
];

fn text(text: &str) -> Cell {
    Cell::Text(Some(text.to_owned()))
}

fn asked(event: &Event, read: fn(&Asked) -> Vec<String>) -> Vec<String> {
    event.record.asked.as_ref().map(read).unwrap_or_default()
}

fn tables(asked: &Asked) -> Vec<String> {
    let name = |schema: &Option<String>, name: &str| {
        schema.as_ref().map_or_else(|| name.to_owned(), |schema| format!("{schema}.{name}"))
    };
    asked.relations.iter().map(|object| name(&object.schema, &object.name)).collect()
}

fn decided(event: &Event) -> Option<&Decided> {
    event.record.decided.as_ref()
}

fn first(pairs: &[(String, String)]) -> Vec<String> {
    pairs.iter().map(|(first, _)| first.clone()).collect()
}

fn happened<T>(event: &Event, read: fn(&Happened) -> T) -> Option<T> {
    event.happened.as_ref().map(read)
}

/// A table being written.
pub(crate) struct ParquetWriter<W: Write + Send> {
    file: SerializedFileWriter<W>,
    group: Vec<Event>,
    group_bytes: usize,
}

impl<W: Write + Send> ParquetWriter<W> {
    pub(crate) fn new(to: W) -> Result<Self, ParquetError> {
        let columns: Vec<&str> = COLUMNS.iter().map(|(declared, _)| *declared).collect();
        let schema = parse_message_type(&format!("message gov {{ {}; }}", columns.join("; ")))?;
        let created_by = format!("gov version {}", env!("CARGO_PKG_VERSION"));
        let properties = WriterProperties::builder().set_created_by(created_by).build();
        let file = SerializedFileWriter::new(to, Arc::new(schema), Arc::new(properties))?;
        Ok(Self { file, group: Vec::new(), group_bytes: 0 })
    }

    pub(crate) fn add(&mut self, event: Event) -> Result<(), ParquetError> {
        self.group_bytes += event.record.asked.as_ref().map_or(0, |asked| asked.text.len());
        self.group.push(event);
        if self.group.len() >= GROUP_ROWS_MAX || self.group_bytes >= GROUP_BYTES_MAX {
            self.write_group()
        } else {
            Ok(())
        }
    }

    /// Writes what is left, and the directory at the end without which none of it can be read.
    pub(crate) fn end(mut self) -> Result<W, ParquetError> {
        if !self.group.is_empty() {
            self.write_group()?;
        }
        self.file.into_inner()
    }

    fn write_group(&mut self) -> Result<(), ParquetError> {
        let events = std::mem::take(&mut self.group);
        self.group_bytes = 0;
        let mut group = self.file.next_row_group()?;
        for (_, cell) in COLUMNS {
            let Some(mut column) = group.next_column()? else { break };
            write_column(column.untyped(), events.iter().map(cell))?;
            column.close()?;
        }
        group.close()?;
        Ok(())
    }
}

/// Levels say which value is whose (Dremel): a definition of 0 that there is none, a repetition of 1 that it is one more
/// of the same row.
#[derive(Default)]
struct Levels {
    definitions: Vec<i16>,
    repetitions: Vec<i16>,
}

impl Levels {
    fn add(&mut self, is_there: bool, is_more: bool) {
        self.definitions.push(is_there.into());
        self.repetitions.push(is_more.into());
    }
}

fn write_column(column: &mut ColumnWriter<'_>, cells: impl Iterator<Item = Cell>) -> Result<(), ParquetError> {
    let mut levels = Levels::default();
    let (mut numbers, mut texts) = (Vec::new(), Vec::new());
    for cell in cells {
        match cell {
            Cell::Number(number) => {
                levels.add(number.is_some(), false);
                numbers.extend(number);
            }
            Cell::Text(text) => {
                levels.add(text.is_some(), false);
                texts.extend(text.map(String::into_bytes).map(ByteArray::from));
            }
            Cell::Texts(several) if several.is_empty() => levels.add(false, false),
            Cell::Texts(several) => {
                for (at, text) in several.into_iter().enumerate() {
                    levels.add(true, at > 0);
                    texts.push(ByteArray::from(text.into_bytes()));
                }
            }
        }
    }
    // A column that must be there ignores them.
    let (definitions, repetitions) = (Some(levels.definitions.as_slice()), Some(levels.repetitions.as_slice()));
    match column {
        ColumnWriter::Int64ColumnWriter(writer) => {
            let numbers: Vec<i64> =
                numbers.into_iter().map(|number| i64::try_from(number).unwrap_or(i64::MAX)).collect();
            writer.write_batch(&numbers, definitions, repetitions)?;
        }
        ColumnWriter::ByteArrayColumnWriter(writer) => {
            writer.write_batch(&texts, definitions, repetitions)?;
        }
        _ => return Err(ParquetError::General("columns are whole numbers or texts".to_owned())),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ::parquet::file::reader::{FileReader, SerializedFileReader};
    use ::parquet::record::Field;

    use super::super::ocsf::Ocsf;
    use super::super::record::Core;
    use super::*;

    /// An event for each of so many statements.
    fn events(count: usize) -> impl Iterator<Item = Event> {
        let mut ocsf = Ocsf::default();
        let (id, session, hmac) = ("0".repeat(26), "1".repeat(26), "a".repeat(64));
        (0..count).map(move |number| {
            let record = |rest: &str| {
                Core::parse(&format!(
                    r#"{{"id":"{id}","seq":{number},"ts":"2026-11-22T14:10:21.057Z","sid":"{session}","side":"gateway","stid":"1.{number}",{rest}}}"#
                ))
                .unwrap()
            };
            let tags = if number % 2 == 0 { r#""email","us_ssn""# } else { "" };
            let start = record(&format!(
                r#""kind":"stmt.start","sub":"u-alice","q":{{"parse":"ok","op":["read"],"objs":[{{"schema":"public","name":"t","touch":"read"}}],"tags":[{tags}],"norm":"SELECT {number}","bytes":9,"hmac":"{hmac}"}},"dec":{{"action":"allow","rules":[],"engine":"1"}}"#
            ));
            let end = record(r#""kind":"stmt.end","res":{"outcome":"ok","rows":3,"dur_us":5000,"masked":["email"]}"#);
            ocsf.event(&start);
            ocsf.event(&end).unwrap()
        })
    }

    #[test]
    fn what_is_written_is_read_by_another_hand() {
        let count = GROUP_ROWS_MAX * 2 + 100;
        let mut writer = ParquetWriter::new(Vec::new()).unwrap();
        events(count).for_each(|event| writer.add(event).unwrap());
        let file = writer.end().unwrap();
        let reader = SerializedFileReader::new(bytes::Bytes::from(file)).unwrap();
        assert_eq!((reader.num_row_groups(), reader.metadata().file_metadata().num_rows()), (3, count as i64));
        let mut read = 0;
        for (number, row) in reader.get_row_iter(None).unwrap().enumerate() {
            let row = row.unwrap();
            let column = |name: &str| row.get_column_iter().find(|(found, _)| *found == name).unwrap().1.clone();
            let texts = |name: &str| match column(name) {
                Field::ListInternal(list) => list.elements().iter().map(ToString::to_string).collect::<Vec<_>>(),
                other => panic!("{other:?}"),
            };
            assert_eq!(column("time"), Field::TimestampMicros(1_795_356_621_057_000), "{number}");
            assert_eq!(column("query"), Field::Str(format!("SELECT {number}")));
            assert_eq!((column("rows"), column("class_uid")), (Field::Long(3), Field::Long(6005)));
            assert_eq!((column("sqlstate"), column("subject")), (Field::Null, Field::Str("u-alice".to_owned())));
            let tags: &[&str] = if number % 2 == 0 { &["\"email\"", "\"us_ssn\""] } else { &[] };
            assert_eq!(
                (texts("tags"), texts("masked_tags")),
                (tags.iter().map(|tag| (*tag).to_owned()).collect(), vec!["\"email\"".to_owned()])
            );
            read += 1;
        }
        assert_eq!(read, count);
    }

    #[test]
    fn no_event_is_a_table_too() {
        let file = ParquetWriter::new(Vec::new()).unwrap().end().unwrap();
        let reader = SerializedFileReader::new(bytes::Bytes::from(file)).unwrap();
        assert_eq!(reader.metadata().file_metadata().num_rows(), 0);
    }
}
