//! Rows of a result as text for people and programs: table, CSV, JSON, one JSON object per line.

use std::io::{self, Write};

use comfy_table::{CellAlignment, ContentArrangement, ContentLineStyle, LineStyle, Table, TableStyle};
use schemars::{Schema, json_schema};

use super::exec::Sink;
use crate::wire::postgres::Column;

/// How rows are written. The words are those of `--format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns for reading
    Table,
    /// Comma-separated values with a header line (RFC 4180)
    Csv,
    /// One JSON array of objects
    Json,
    /// One JSON object per line
    Ndjson,
}

/// Rows a table block holds. A longer result is shown in several blocks, so that memory stays flat.
const BLOCK_ROWS: usize = 10_000;

/// Looks like psql's: a line under the header, bars between columns.
const PLAIN: TableStyle = TableStyle::new()
    .header_lines(ContentLineStyle::none().junction('|'))
    .header_separator(LineStyle::none().fill('-').junction('+'))
    .content_lines(ContentLineStyle::none().junction('|'));

/// A cell; `None` is NULL.
type Cell = Option<Vec<u8>>;

/// Writes the rows of one result.
#[derive(Debug)]
pub(crate) struct Printer<W> {
    out: W,
    format: Format,
    columns: Vec<Column>,
    /// Names as JSON keys, quoted, made unique.
    keys: Vec<String>,
    block: Vec<Vec<Cell>>,
    rows: u64,
}

impl<W: Write> Printer<W> {
    pub(crate) fn new(out: W, format: Format) -> Self {
        Self { out, format, columns: Vec::new(), keys: Vec::new(), block: Vec::new(), rows: 0 }
    }

    /// A result begins.
    pub(crate) fn begin(&mut self, columns: Vec<Column>) -> io::Result<()> {
        self.keys = unique_keys(&columns);
        self.columns = columns;
        self.rows = 0;
        match self.format {
            Format::Csv => {
                let names: Vec<Cell> =
                    self.columns.iter().map(|column| Some(column.name.clone().into_bytes())).collect();
                write_csv(&mut self.out, &names)
            }
            Format::Json => self.out.write_all(b"["),
            Format::Table | Format::Ndjson => Ok(()),
        }
    }

    /// A row of it.
    pub(crate) fn row(&mut self, cells: Vec<Cell>) -> io::Result<()> {
        self.rows += 1;
        match self.format {
            Format::Table => {
                self.block.push(cells);
                if self.block.len() >= BLOCK_ROWS { self.flush_block() } else { Ok(()) }
            }
            Format::Csv => write_csv(&mut self.out, &cells),
            Format::Json => {
                self.out.write_all(if self.rows == 1 { b"\n" } else { b",\n" })?;
                self.write_object(&cells)
            }
            Format::Ndjson => {
                self.write_object(&cells)?;
                self.out.write_all(b"\n")
            }
        }
    }

    /// The result is complete.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        match self.format {
            Format::Table => {
                if self.rows == 0 || !self.block.is_empty() {
                    self.flush_block()?;
                }
                writeln!(self.out, "({} {})", self.rows, if self.rows == 1 { "row" } else { "rows" })?;
            }
            Format::Json => self.out.write_all(if self.rows == 0 { b"]\n" } else { b"\n]\n" })?,
            Format::Csv | Format::Ndjson => {}
        }
        self.out.flush()
    }

    /// Bytes as they come.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn flush_block(&mut self) -> io::Result<()> {
        let mut table = Table::new();
        table.load_style(PLAIN).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(self.columns.iter().map(|column| visible(column.name.as_bytes())));
        for cells in self.block.drain(..) {
            table.add_row(cells.iter().map(|cell| cell.as_deref().map_or_else(String::new, visible)));
        }
        for (index, column) in self.columns.iter().enumerate() {
            if is_number(column.kind)
                && let Some(shown) = table.column_mut(index)
            {
                shown.set_cell_alignment(CellAlignment::Right);
            }
        }
        writeln!(self.out, "{table}")
    }

    fn write_object(&mut self, cells: &[Cell]) -> io::Result<()> {
        self.out.write_all(b"{")?;
        for (index, cell) in cells.iter().enumerate() {
            if index > 0 {
                self.out.write_all(b",")?;
            }
            self.out.write_all(self.keys.get(index).map_or(b"\"?\"".as_slice(), |key| key.as_bytes()))?;
            self.out.write_all(b":")?;
            let kind = self.columns.get(index).map_or(0, |column| column.kind);
            self.out.write_all(json_value(kind, cell.as_deref()).as_bytes())?;
        }
        self.out.write_all(b"}")
    }
}

impl Printer<Sink<'_>> {
    /// Something for the person, after the data so far.
    pub(crate) fn talk(&mut self, text: &str) {
        self.out.talk(text);
    }

    /// Whether whoever read the data has had enough.
    pub(crate) fn is_unread(&self) -> bool {
        self.out.is_unread()
    }
}

/// The form of what `--format json` writes, which does not change: what is added later is added beside it.
pub(super) fn schema() -> Schema {
    json_schema!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "gov exec --format json",
        "description": "One document for each statement that returns rows, one after the other. With --format ndjson, \
                        each line is an item.",
        "type": "array",
        "items": {
            "description": "One row: a member for each column, in their order. A name that repeats is followed by _2, \
                            _3. Of several databases, the first member is _resource.",
            "type": "object",
            "additionalProperties": {
                "description": "NULL is null, boolean is true or false, json and jsonb are as they are, and int2, int4, \
                                int8, oid, float4, float8 and numeric are numbers with all their digits; NaN, \
                                Infinity and everything else is text as PostgreSQL writes it. A masked value that is \
                                no value of its type any more is text.",
                "type": ["null", "boolean", "number", "string", "object", "array"]
            }
        }
    })
}

/// A value in JSON, as PostgreSQL's own `row_to_json` writes it: numbers and booleans as such, JSON as it is, anything
/// else as text.
fn json_value(kind: u32, cell: Option<&[u8]>) -> String {
    let Some(bytes) = cell else { return "null".to_owned() };
    let text = String::from_utf8_lossy(bytes);
    let raw = match (kind, &*text) {
        (16, "t") => Some("true"),
        (16, "f") => Some("false"),
        // `NaN` and `Infinity` are numbers to PostgreSQL and not to JSON.
        (kind, text) if is_number(kind) && serde_json::from_str::<serde_json::Number>(text).is_ok() => Some(text),
        // json, jsonb. A masked value may no longer be JSON.
        (114 | 3802, text) if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() => Some(text),
        _ => None,
    };
    raw.map_or_else(|| quoted(&text), str::to_owned)
}

/// The same as a value, for documents that are not written row by row.
pub(super) fn value(kind: u32, cell: Option<&[u8]>) -> serde_json::Value {
    let text = json_value(kind, cell);
    serde_json::from_str(&text).unwrap_or(serde_json::Value::String(text))
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// int8, int2, int4, oid, float4, float8, numeric
fn is_number(kind: u32) -> bool {
    matches!(kind, 20 | 21 | 23 | 26 | 700 | 701 | 1700)
}

/// Column names may repeat; keys of an object may not. The second `a` becomes `a_2`.
fn unique_keys(columns: &[Column]) -> Vec<String> {
    let mut taken: Vec<String> = Vec::with_capacity(columns.len());
    for column in columns {
        let mut name = column.name.clone();
        let mut number = 2;
        while taken.contains(&name) {
            name = format!("{}_{number}", column.name);
            number += 1;
        }
        taken.push(name);
    }
    taken.iter().map(|name| quoted(name)).collect()
}

/// RFC 4180. NULL is an empty field, an empty text is `""`.
pub(super) fn write_csv(out: &mut impl Write, cells: &[Cell]) -> io::Result<()> {
    for (index, cell) in cells.iter().enumerate() {
        if index > 0 {
            out.write_all(b",")?;
        }
        let Some(bytes) = cell else { continue };
        let plain = !bytes.is_empty() && !bytes.iter().any(|byte| b",\"\r\n".contains(byte));
        if plain {
            out.write_all(bytes)?;
        } else {
            out.write_all(b"\"")?;
            for part in bytes.split_inclusive(|byte| *byte == b'"') {
                out.write_all(part)?;
                if part.ends_with(b"\"") {
                    out.write_all(b"\"")?;
                }
            }
            out.write_all(b"\"")?;
        }
    }
    out.write_all(b"\r\n")
}

/// A value as a terminal may show it: what moves the cursor or changes colours is written as an escape.
fn visible(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for character in String::from_utf8_lossy(bytes).chars() {
        match character {
            '\n' | '\t' => out.push(character),
            character if character.is_control() => out.extend(character.escape_unicode()),
            character => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::postgres;

    fn column(name: &str, kind: u32) -> Column {
        Column {
            name: name.to_owned(),
            table: 0,
            attribute: 0,
            kind,
            size: -1,
            modifier: -1,
            format: postgres::Format::Text,
        }
    }

    fn printed(format: Format, columns: &[Column], rows: &[&[Option<&str>]]) -> String {
        let mut out = Vec::new();
        let mut printer = Printer::new(&mut out, format);
        printer.begin(columns.to_vec()).unwrap();
        for row in rows {
            printer.row(row.iter().map(|cell| cell.map(|text| text.as_bytes().to_vec())).collect()).unwrap();
        }
        printer.end().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn json_has_the_types_of_the_columns() {
        let columns = [column("id", 23), column("ok", 16), column("doc", 3802), column("n", 1700), column("t", 25)];
        let rows: &[&[Option<&str>]] =
            &[&[Some("1"), Some("t"), Some(r#"{"a":1}"#), Some("NaN"), Some("a\"b")], &[None, None, None, None, None]];
        assert_eq!(
            printed(Format::Ndjson, &columns, rows),
            "{\"id\":1,\"ok\":true,\"doc\":{\"a\":1},\"n\":\"NaN\",\"t\":\"a\\\"b\"}\n\
             {\"id\":null,\"ok\":null,\"doc\":null,\"n\":null,\"t\":null}\n"
        );
        let array: serde_json::Value = serde_json::from_str(&printed(Format::Json, &columns, rows)).unwrap();
        assert_eq!(array.as_array().unwrap().len(), 2);
        assert_eq!(printed(Format::Json, &columns, &[]), "[]\n");
        assert_eq!(
            printed(Format::Ndjson, &[column("a", 25), column("a", 25)], &[&[Some("1"), Some("2")]]),
            "{\"a\":\"1\",\"a_2\":\"2\"}\n"
        );
    }

    #[test]
    fn csv_tells_null_from_empty() {
        let columns = [column("a", 25), column("b,c", 25)];
        let rows: &[&[Option<&str>]] = &[&[None, Some("")], &[Some("x\"y"), Some("line\nbreak")], &[Some("1"), None]];
        assert_eq!(printed(Format::Csv, &columns, rows), "a,\"b,c\"\r\n,\"\"\r\n\"x\"\"y\",\"line\nbreak\"\r\n1,\r\n");
    }

    #[test]
    fn a_table_cannot_drive_the_terminal() {
        let shown = printed(Format::Table, &[column("a", 25)], &[&[Some("\u{1b}[2Jx")]]);
        assert!(!shown.contains('\u{1b}') && shown.contains("x") && shown.ends_with("(1 row)\n"), "{shown}");
    }
}
