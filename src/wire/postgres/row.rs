//! Row descriptions and data rows, in text and binary format.

#[cfg(test)]
use crate::wire::buffer::Writer;
use crate::wire::buffer::{Reader, WireError};

/// How a value is written on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Format {
    Text,
    Binary,
}

impl Format {
    pub(crate) fn of(code: i16) -> Self {
        if code == 1 { Self::Binary } else { Self::Text }
    }
}

/// One column of a result, as RowDescription tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// The relation the value comes from unchanged; 0 when it is computed.
    pub(crate) table: u32,
    /// The attribute of that relation; 0 when it is computed.
    pub(crate) attribute: i16,
    pub(crate) kind: u32,
    pub(crate) size: i16,
    pub(crate) modifier: i32,
    pub(crate) format: Format,
}

/// Reads a RowDescription body. At most 65,535 columns; the server allows 1,664.
pub(crate) fn columns(body: &[u8]) -> Result<Vec<Column>, WireError> {
    let mut reader = Reader::new(body);
    let count = reader.count(19, "columns")?;
    let mut columns = Vec::with_capacity(count);
    for _ in 0..count {
        columns.push(Column {
            name: String::from_utf8_lossy(reader.until_zero()?).into_owned(),
            table: reader.u32("table")?,
            attribute: reader.i16("attribute")?,
            kind: reader.u32("type")?,
            size: reader.i16("size")?,
            modifier: reader.i32("modifier")?,
            format: Format::of(reader.i16("format")?),
        });
    }
    reader.finish()?;
    Ok(columns)
}

/// Writes a RowDescription message.
#[cfg(test)]
pub(crate) fn write_columns(columns: &[Column], out: &mut Vec<u8>) {
    let mut message = Writer::message(out, super::tag::ROW_DESCRIPTION);
    message.count(columns.len());
    for column in columns {
        message.text(&column.name).u32(column.table).i16(column.attribute).u32(column.kind);
        message.i16(column.size).i32(column.modifier).i16(i16::from(column.format == Format::Binary));
    }
}

/// The cells of a DataRow body, read one after the other without copying.
#[derive(Clone, Debug)]
pub(crate) struct Cells<'a> {
    left: usize,
    reader_rest: &'a [u8],
}

impl<'a> Cells<'a> {
    /// Reads the cell count; the cells follow by iteration.
    pub(crate) fn of(body: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let left = reader.count(4, "cells")?;
        Ok(Self { left, reader_rest: reader.rest() })
    }

    pub(crate) fn count(&self) -> usize {
        self.left
    }

    /// All cells were read and nothing is left over.
    pub(crate) fn finish(self) -> Result<(), WireError> {
        match (self.left, self.reader_rest.len()) {
            (0, 0) => Ok(()),
            (0, more) => Err(WireError::Trailing(more)),
            _ => Err(WireError::Short("cells")),
        }
    }

    /// The next cell: `None` at the end, `Some(None)` for NULL.
    pub(crate) fn next(&mut self) -> Result<Option<Option<&'a [u8]>>, WireError> {
        if self.left == 0 {
            return Ok(None);
        }
        let (length, rest) = self.reader_rest.split_first_chunk::<4>().ok_or(WireError::Short("cell length"))?;
        self.left -= 1;
        let cell = match i32::from_be_bytes(*length) {
            -1 => {
                self.reader_rest = rest;
                None
            }
            length => {
                let length =
                    usize::try_from(length).map_err(|_| WireError::Violation("a cell has a negative length"))?;
                let (cell, rest) = rest.split_at_checked(length).ok_or(WireError::Short("cell"))?;
                self.reader_rest = rest;
                Some(cell)
            }
        };
        Ok(Some(cell))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_round_trip_and_refuse_damage() {
        let list = vec![
            Column {
                name: "id".into(),
                table: 16_400,
                attribute: 1,
                kind: 23,
                size: 4,
                modifier: -1,
                format: Format::Binary,
            },
            Column {
                name: "?column?".into(),
                table: 0,
                attribute: 0,
                kind: 25,
                size: -1,
                modifier: -1,
                format: Format::Text,
            },
        ];
        let mut bytes = Vec::new();
        write_columns(&list, &mut bytes);
        assert_eq!(columns(&bytes[5..]).unwrap(), list);
        for end in 5..bytes.len() {
            assert!(columns(&bytes[5..end]).is_err());
        }
        bytes.push(0);
        assert!(columns(&bytes[5..]).is_err());
    }

    #[test]
    fn cells_are_read_exactly() {
        let body = b"\0\x03\0\0\0\x01A\xff\xff\xff\xff\0\0\0\0";
        let mut cells = Cells::of(body).unwrap();
        assert_eq!(cells.count(), 3);
        assert_eq!(cells.next().unwrap(), Some(Some(b"A".as_slice())));
        assert_eq!(cells.next().unwrap(), Some(None));
        assert_eq!(cells.next().unwrap(), Some(Some(b"".as_slice())));
        assert_eq!(cells.next().unwrap(), None);
        cells.finish().unwrap();
        assert!(Cells::of(b"\0\x01").is_err());
        assert!(Cells::of(b"\0\x01\0\0\0\x05ab").unwrap().next().is_err());
        assert!(Cells::of(b"\0\x01\xff\xff\xff\xfe").unwrap().next().is_err());
    }
}
