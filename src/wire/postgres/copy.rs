//! Rows of `COPY … TO STDOUT`: text, CSV and binary (manual, `COPY`, section "File Formats").
//!
//! A row is taken apart into cells and, when a cell changed, put together again in the same format. The server sends
//! one row per message; nothing here depends on it but that no message ends inside a row.

use std::ops::Range;

use crate::wire::buffer::{Reader, WireError};

/// How the rows are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CopyFormat {
    Text { delimiter: u8, null: Vec<u8> },
    Csv { delimiter: u8, quote: u8, escape: u8, null: Vec<u8> },
    Binary,
}

impl CopyFormat {
    /// What COPY does when nothing is said.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn text() -> Self {
        Self::Text { delimiter: b'\t', null: b"\\N".to_vec() }
    }
}

/// First bytes of a binary copy; flags and the length of an extension follow.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

/// One piece of copy data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CopyPiece<'a> {
    /// Belongs to the format, not to the data: goes out as it is.
    Frame(&'a [u8]),
    /// A row: its bytes as they came. Its cells are in the [`CopyRow`].
    Row(&'a [u8]),
}

/// The cells of a row as values, in memory that the next row uses again.
#[derive(Debug, Default)]
pub(crate) struct CopyRow {
    /// The values, one after the other.
    bytes: Vec<u8>,
    /// Where each stands in them; `None` is NULL.
    cells: Vec<Option<Range<usize>>>,
}

impl CopyRow {
    /// Each cell; `None` is NULL.
    pub(crate) fn cells(&self) -> impl ExactSizeIterator<Item = Option<&[u8]>> {
        self.cells.iter().map(|cell| Some(self.bytes.get(cell.clone()?).unwrap_or_default()))
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.cells.clear();
    }

    /// Ends a cell that began at `start` of the bytes.
    fn end(&mut self, start: usize, is_null: bool) {
        self.cells.push((!is_null).then_some(start..self.bytes.len()));
    }
}

/// The next piece of `data`, and what follows it; the cells of a row are in `row` then. `first`: nothing has been read
/// before.
pub(crate) fn next_piece<'a>(
    format: &CopyFormat,
    data: &'a [u8],
    first: bool,
    row: &mut CopyRow,
) -> Result<Option<(CopyPiece<'a>, &'a [u8])>, WireError> {
    if data.is_empty() {
        return Ok(None);
    }
    row.clear();
    match format {
        CopyFormat::Text { delimiter, null } => {
            let (line, rest) = line(data)?;
            if line == b"\\.\n" {
                return Ok(Some((CopyPiece::Frame(line), rest)));
            }
            text_row(line.strip_suffix(b"\n").unwrap_or(line), *delimiter, null, row);
            Ok(Some((CopyPiece::Row(line), rest)))
        }
        CopyFormat::Csv { delimiter, quote, escape, null } => csv_row(data, *delimiter, *quote, *escape, null, row),
        CopyFormat::Binary => binary_piece(data, first, row),
    }
}

/// Writes a row.
pub(crate) fn write_row<'a>(
    format: &CopyFormat,
    cells: impl ExactSizeIterator<Item = Option<&'a [u8]>>,
    out: &mut Vec<u8>,
) {
    match format {
        CopyFormat::Text { delimiter, null } => {
            for (index, cell) in cells.enumerate() {
                if index > 0 {
                    out.push(*delimiter);
                }
                match cell {
                    None => out.extend_from_slice(null),
                    Some(bytes) => escape_text(bytes, *delimiter, out),
                }
            }
            out.push(b'\n');
        }
        CopyFormat::Csv { delimiter, quote, escape, null } => {
            for (index, cell) in cells.enumerate() {
                if index > 0 {
                    out.push(*delimiter);
                }
                match cell {
                    None => out.extend_from_slice(null),
                    // Quoted whatever it holds: a reader takes it the same, and it cannot be taken for NULL.
                    Some(bytes) => {
                        out.push(*quote);
                        for byte in bytes {
                            if byte == quote || byte == escape {
                                out.push(*escape);
                            }
                            out.push(*byte);
                        }
                        out.push(*quote);
                    }
                }
            }
            out.push(b'\n');
        }
        CopyFormat::Binary => {
            out.extend_from_slice(&u16::try_from(cells.len()).unwrap_or(u16::MAX).to_be_bytes());
            for cell in cells {
                match cell {
                    None => out.extend_from_slice(&(-1i32).to_be_bytes()),
                    Some(bytes) => {
                        out.extend_from_slice(&i32::try_from(bytes.len()).unwrap_or(i32::MAX).to_be_bytes());
                        out.extend_from_slice(bytes);
                    }
                }
            }
        }
    }
}

/// Up to and with the next line feed. In text format one inside a value is written `\n`, so this is the row's end.
fn line(data: &[u8]) -> Result<(&[u8], &[u8]), WireError> {
    let end = memchr::memchr(b'\n', data).ok_or(WireError::Short("copy row"))?;
    data.split_at_checked(end + 1).ok_or(WireError::Short("copy row"))
}

fn text_row(body: &[u8], delimiter: u8, null: &[u8], row: &mut CopyRow) {
    if memchr::memchr(b'\\', body).is_none() {
        // Nothing is escaped, so that no value is NULL unless an empty one is, or one that somebody chose.
        row.bytes.extend_from_slice(body);
        let mut from = 0;
        for at in memchr::memchr_iter(delimiter, body).chain([body.len()]) {
            let is_null = body.get(from..at) == Some(null);
            row.cells.push((!is_null).then_some(from..at));
            from = at + 1;
        }
        return;
    }
    for field in fields(body, delimiter) {
        let start = row.bytes.len();
        unescape_text(field, &mut row.bytes);
        row.end(start, field == null);
    }
}

/// Splits at delimiters that no backslash stands before.
fn fields(body: &[u8], delimiter: u8) -> impl Iterator<Item = &[u8]> {
    let mut escaped = false;
    body.split(move |byte| {
        let ends = !escaped && *byte == delimiter;
        escaped = !escaped && *byte == b'\\';
        ends
    })
}

fn unescape_text(field: &[u8], out: &mut Vec<u8>) {
    let mut rest = field;
    while let Some((plain, [_, escaped @ ..])) = memchr::memchr(b'\\', rest).and_then(|at| rest.split_at_checked(at)) {
        out.extend_from_slice(plain);
        let Some((letter, behind)) = escaped.split_first() else {
            out.push(b'\\');
            return;
        };
        out.push(match letter {
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            // The server does not write octal or hexadecimal escapes, it only reads them.
            other => *other,
        });
        rest = behind;
    }
    out.extend_from_slice(rest);
}

fn escape_text(bytes: &[u8], delimiter: u8, out: &mut Vec<u8>) {
    let is_odd = |byte: &u8| matches!(byte, 8..=13 | b'\\') || *byte == delimiter;
    // Most values have nothing to escape, which many bytes at a time are asked for; those that have have it in few places.
    if !bytes.iter().fold(false, |any, byte| any | is_odd(byte)) {
        out.extend_from_slice(bytes);
        return;
    }
    let mut rest = bytes;
    while let Some((plain, [odd, behind @ ..])) = rest.iter().position(is_odd).and_then(|at| rest.split_at_checked(at))
    {
        let letter = match odd {
            8 => b'b',
            12 => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            11 => b'v',
            sign => *sign,
        };
        out.extend_from_slice(plain);
        out.extend_from_slice(&[b'\\', letter]);
        rest = behind;
    }
    out.extend_from_slice(rest);
}

fn csv_row<'a>(
    data: &'a [u8],
    delimiter: u8,
    quote: u8,
    escape: u8,
    null: &[u8],
    row: &mut CopyRow,
) -> Result<Option<(CopyPiece<'a>, &'a [u8])>, WireError> {
    // Where the cell at hand begins.
    let mut start = 0;
    let (mut quoted, mut inside) = (false, false);
    let mut index = 0;
    loop {
        let byte = *data.get(index).ok_or(WireError::Short("copy row"))?;
        index += 1;
        if inside {
            let next = data.get(index).copied();
            if byte == escape && matches!(next, Some(next) if next == quote || next == escape) {
                row.bytes.extend(next);
                index += 1;
            } else if byte == quote {
                inside = false;
            } else {
                row.bytes.push(byte);
            }
        } else if byte == quote {
            (quoted, inside) = (true, true);
        } else if byte == delimiter || byte == b'\n' {
            let is_null = !quoted && row.bytes.get(start..) == Some(null);
            row.end(start, is_null);
            (start, quoted) = (row.bytes.len(), false);
            if byte == b'\n' {
                let (raw, rest) = data.split_at_checked(index).ok_or(WireError::Short("copy row"))?;
                return Ok(Some((CopyPiece::Row(raw), rest)));
            }
        } else {
            row.bytes.push(byte);
        }
    }
}

fn binary_piece<'a>(
    data: &'a [u8],
    first: bool,
    row: &mut CopyRow,
) -> Result<Option<(CopyPiece<'a>, &'a [u8])>, WireError> {
    let mut reader = Reader::new(data);
    let cut = |reader: &Reader<'_>| data.split_at_checked(data.len() - reader.remaining());
    if first {
        if reader.bytes(SIGNATURE.len(), "copy signature")? != SIGNATURE {
            return Err(WireError::Violation("binary copy data begin with something else than their signature"));
        }
        reader.u32("copy flags")?;
        let extension = usize::try_from(reader.u32("copy extension")?).unwrap_or(usize::MAX);
        reader.bytes(extension, "copy extension")?;
        return Ok(cut(&reader).map(|(frame, rest)| (CopyPiece::Frame(frame), rest)));
    }
    let count = reader.i16("copy fields")?;
    for _ in 0..count {
        let length = reader.i32("copy field length")?;
        let start = row.bytes.len();
        match usize::try_from(length) {
            Ok(length) => row.bytes.extend_from_slice(reader.bytes(length, "copy field")?),
            Err(_) if length == -1 => {}
            Err(_) => return Err(WireError::Violation("a copy field states a negative length")),
        }
        row.end(start, length == -1);
    }
    // A count of -1 is the trailer.
    Ok(cut(&reader).map(|(raw, rest)| (if count < 0 { CopyPiece::Frame(raw) } else { CopyPiece::Row(raw) }, rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv() -> CopyFormat {
        CopyFormat::Csv { delimiter: b',', quote: b'"', escape: b'"', null: Vec::new() }
    }

    fn rows(format: &CopyFormat, mut data: &[u8]) -> Vec<Vec<Option<String>>> {
        let mut out = Vec::new();
        let (mut first, mut row) = (true, CopyRow::default());
        while let Some((piece, rest)) = next_piece(format, data, first, &mut row).unwrap() {
            if let CopyPiece::Row(_) = piece {
                let text = |cell: Option<&[u8]>| cell.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
                out.push(row.cells().map(text).collect());
            }
            (data, first) = (rest, false);
        }
        out
    }

    fn check(format: &CopyFormat, cells: &[Option<&str>]) {
        let bytes: Vec<Option<&[u8]>> = cells.iter().map(|cell| cell.map(str::as_bytes)).collect();
        let mut data = if *format == CopyFormat::Binary { [SIGNATURE, &[0; 8]].concat() } else { Vec::new() };
        write_row(format, bytes.into_iter(), &mut data);
        let expected: Vec<Option<String>> = cells.iter().map(|cell| cell.map(str::to_owned)).collect();
        assert_eq!(rows(format, &data), [expected], "{format:?}");
    }

    #[test]
    fn what_is_written_reads_the_same() {
        for format in [CopyFormat::text(), csv(), CopyFormat::Binary] {
            check(&format, &[Some("a"), None, Some("")]);
            check(&format, &[Some("tab\t line\n back\\ quote\" comma, cr\r"), Some("\\N"), Some("\\.")]);
            check(&format, &[None]);
        }
        check(&CopyFormat::Text { delimiter: b'|', null: b"NULL".to_vec() }, &[Some("a|b"), None]);
        check(
            &CopyFormat::Csv { delimiter: b';', quote: b'\'', escape: b'\\', null: b"~".to_vec() },
            &[Some("it's; \\ ~"), None, Some("~")],
        );
    }

    #[test]
    fn what_the_server_writes_is_read() {
        assert_eq!(
            rows(&CopyFormat::text(), b"1\ta\\tb\t\\N\n2\t\\\\N\t\n"),
            [
                vec![Some("1".into()), Some("a\tb".into()), None],
                vec![Some("2".into()), Some("\\N".into()), Some(String::new())],
            ]
        );
        assert_eq!(
            rows(&csv(), b"1,\"a\"\"b\nc\",\n2,x,\"\"\n"),
            [
                vec![Some("1".into()), Some("a\"b\nc".into()), None],
                vec![Some("2".into()), Some("x".into()), Some(String::new())],
            ]
        );
    }

    #[test]
    fn damage_is_refused() {
        for (format, data, first) in [
            (CopyFormat::text(), b"no end".as_slice(), false),
            (csv(), b"\"no end\n", false),
            (CopyFormat::Binary, b"PGCOPY\n\xff\r\n\x01\0\0\0\0\0\0\0\0", true),
            (CopyFormat::Binary, b"\0\x01\0\0\0\x05ab", false),
            (CopyFormat::Binary, b"\0\x01\xff\xff\xff\xfe", false),
        ] {
            assert!(next_piece(&format, data, first, &mut CopyRow::default()).is_err(), "{format:?} {data:?}");
        }
    }
}
