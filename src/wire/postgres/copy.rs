//! Rows of `COPY … TO STDOUT`: text, CSV and binary (manual, `COPY`, section "File Formats").
//!
//! A row is taken apart into cells and, when a cell changed, put together again in the same format. The server sends
//! one row per message; nothing here depends on it but that no message ends inside a row.

use std::borrow::Cow;

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
    #[cfg(test)]
    pub(crate) fn text() -> Self {
        Self::Text { delimiter: b'\t', null: b"\\N".to_vec() }
    }
}

/// First bytes of a binary copy; flags and the length of an extension follow.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

/// A cell; `None` is NULL.
pub(crate) type Cell<'a> = Option<Cow<'a, [u8]>>;

/// One piece of copy data.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CopyPiece<'a> {
    /// Belongs to the format, not to the data: goes out as it is.
    Frame(&'a [u8]),
    /// A row: its bytes as they came, and its cells.
    Row { raw: &'a [u8], cells: Vec<Cell<'a>> },
}

/// The next piece of `data`, and what follows it. `first`: nothing has been read before.
pub(crate) fn next_piece<'a>(
    format: &CopyFormat,
    data: &'a [u8],
    first: bool,
) -> Result<Option<(CopyPiece<'a>, &'a [u8])>, WireError> {
    if data.is_empty() {
        return Ok(None);
    }
    match format {
        CopyFormat::Text { delimiter, null } => {
            let (line, rest) = line(data)?;
            if line == b"\\.\n" {
                return Ok(Some((CopyPiece::Frame(line), rest)));
            }
            let body = line.strip_suffix(b"\n").unwrap_or(line);
            let mut cells = Vec::with_capacity(CELLS_USUAL);
            if memchr::memchr(b'\\', body).is_some() {
                cells.extend(fields(body, *delimiter).map(|field| text_cell(field, null)));
            } else {
                plain_fields(body, *delimiter, |field| cells.push((field != null).then_some(Cow::Borrowed(field))));
            }
            Ok(Some((CopyPiece::Row { raw: line, cells }, rest)))
        }
        CopyFormat::Csv { delimiter, quote, escape, null } => csv_row(data, *delimiter, *quote, *escape, null),
        CopyFormat::Binary => binary_piece(data, first),
    }
}

/// Writes a row.
pub(crate) fn write_row(format: &CopyFormat, cells: &[Option<&[u8]>], out: &mut Vec<u8>) {
    match format {
        CopyFormat::Text { delimiter, null } => {
            for (index, cell) in cells.iter().enumerate() {
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
            for (index, cell) in cells.iter().enumerate() {
                if index > 0 {
                    out.push(*delimiter);
                }
                match cell {
                    None => out.extend_from_slice(null),
                    // Quoted whatever it holds: a reader takes it the same, and it cannot be taken for NULL.
                    Some(bytes) => {
                        out.push(*quote);
                        for byte in *bytes {
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

/// Cells of most rows: for so many there is room at once.
const CELLS_USUAL: usize = 16;

/// Splits a row without a backslash.
fn plain_fields<'a>(body: &'a [u8], delimiter: u8, mut each: impl FnMut(&'a [u8])) {
    let mut from = 0;
    for at in memchr::memchr_iter(delimiter, body).chain([body.len()]) {
        each(body.get(from..at).unwrap_or_default());
        from = at + 1;
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

fn text_cell<'a>(field: &'a [u8], null: &[u8]) -> Cell<'a> {
    if field == null {
        return None;
    }
    if memchr::memchr(b'\\', field).is_none() {
        return Some(Cow::Borrowed(field));
    }
    let mut out = Vec::with_capacity(field.len());
    let mut bytes = field.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match bytes.next() {
            None => out.push(b'\\'),
            Some(b'b') => out.push(8),
            Some(b'f') => out.push(12),
            Some(b'n') => out.push(b'\n'),
            Some(b'r') => out.push(b'\r'),
            Some(b't') => out.push(b'\t'),
            Some(b'v') => out.push(11),
            // The server does not write octal or hexadecimal escapes, it only reads them.
            Some(other) => out.push(other),
        }
    }
    Some(Cow::Owned(out))
}

fn escape_text(bytes: &[u8], delimiter: u8, out: &mut Vec<u8>) {
    // Most values have nothing to escape, and those that have have it in few places.
    let is_odd = |byte: &u8| matches!(byte, 8..=13 | b'\\') || *byte == delimiter;
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
) -> Result<Option<(CopyPiece<'a>, &'a [u8])>, WireError> {
    let mut cells: Vec<Cell<'a>> = Vec::new();
    let mut field: Vec<u8> = Vec::new();
    let (mut quoted, mut inside) = (false, false);
    let mut index = 0;
    loop {
        let byte = *data.get(index).ok_or(WireError::Short("copy row"))?;
        index += 1;
        if inside {
            let next = data.get(index).copied();
            if byte == escape && matches!(next, Some(next) if next == quote || next == escape) {
                field.extend(next);
                index += 1;
            } else if byte == quote {
                inside = false;
            } else {
                field.push(byte);
            }
        } else if byte == quote {
            (quoted, inside) = (true, true);
        } else if byte == delimiter || byte == b'\n' {
            let value = std::mem::take(&mut field);
            cells.push((quoted || value != null).then_some(Cow::Owned(value)));
            quoted = false;
            if byte == b'\n' {
                let (raw, rest) = data.split_at_checked(index).ok_or(WireError::Short("copy row"))?;
                return Ok(Some((CopyPiece::Row { raw, cells }, rest)));
            }
        } else {
            field.push(byte);
        }
    }
}

fn binary_piece(data: &[u8], first: bool) -> Result<Option<(CopyPiece<'_>, &[u8])>, WireError> {
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
    let mut cells = Vec::new();
    for _ in 0..count {
        let length = reader.i32("copy field length")?;
        cells.push(match usize::try_from(length) {
            Ok(length) => Some(Cow::Borrowed(reader.bytes(length, "copy field")?)),
            Err(_) if length == -1 => None,
            Err(_) => return Err(WireError::Violation("a copy field states a negative length")),
        });
    }
    // A count of -1 is the trailer.
    Ok(cut(&reader)
        .map(|(raw, rest)| (if count < 0 { CopyPiece::Frame(raw) } else { CopyPiece::Row { raw, cells } }, rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv() -> CopyFormat {
        CopyFormat::Csv { delimiter: b',', quote: b'"', escape: b'"', null: Vec::new() }
    }

    fn rows(format: &CopyFormat, mut data: &[u8]) -> Vec<Vec<Option<String>>> {
        let mut out = Vec::new();
        let mut first = true;
        while let Some((piece, rest)) = next_piece(format, data, first).unwrap() {
            if let CopyPiece::Row { cells, .. } = piece {
                let text = |cell: Cell<'_>| cell.map(|bytes| String::from_utf8(bytes.into_owned()).unwrap());
                out.push(cells.into_iter().map(text).collect());
            }
            (data, first) = (rest, false);
        }
        out
    }

    fn check(format: &CopyFormat, cells: &[Option<&str>]) {
        let bytes: Vec<Option<&[u8]>> = cells.iter().map(|cell| cell.map(str::as_bytes)).collect();
        let mut data = if *format == CopyFormat::Binary { [SIGNATURE, &[0; 8]].concat() } else { Vec::new() };
        write_row(format, &bytes, &mut data);
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
            assert!(next_piece(&format, data, first).is_err(), "{format:?} {data:?}");
        }
    }
}
