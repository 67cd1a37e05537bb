//! What a client sends once it is logged in: simple and extended query, COPY, function calls.

use crate::wire::buffer::{Frame, Reader, WireError, Writer};

/// What a Describe or Close is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Target {
    Statement,
    Portal,
}

/// One message from a client, fully read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request<'a> {
    /// The text is bytes: whether it is UTF-8 is a question about the statement, not about the framing.
    Query {
        text: &'a [u8],
    },
    Parse {
        name: &'a str,
        text: &'a [u8],
        types: Vec<u32>,
    },
    Bind(Bind<'a>),
    Describe {
        target: Target,
        name: &'a str,
    },
    Execute {
        portal: &'a str,
        rows_max: u32,
    },
    Close {
        target: Target,
        name: &'a str,
    },
    Sync,
    Flush,
    CopyData(&'a [u8]),
    CopyDone,
    CopyFail {
        reason: &'a [u8],
    },
    FunctionCall {
        function: u32,
    },
    Terminate,
}

/// A Bind message. Values stay where they are; only their bounds are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bind<'a> {
    pub(crate) portal: &'a str,
    pub(crate) statement: &'a str,
    pub(crate) value_formats: Vec<i16>,
    pub(crate) values: Values<'a>,
    pub(crate) result_formats: Vec<i16>,
}

/// Parameter values: how many, and their length-prefixed bytes, checked to be exactly that many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Values<'a> {
    pub(crate) count: usize,
    bytes: &'a [u8],
}

impl<'a> Values<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, WireError> {
        let count = reader.count(4, "parameter values")?;
        let mut ahead = Reader::new(reader.peek());
        let before = ahead.remaining();
        for _ in 0..count {
            value(&mut ahead)?;
        }
        let length = before.saturating_sub(ahead.remaining());
        Ok(Self { count, bytes: reader.bytes(length, "parameter values")? })
    }

    /// As many values, whose bytes [`Self::written`] has made.
    pub(crate) fn replaced(self, bytes: &'a [u8]) -> Self {
        Self { bytes, ..self }
    }

    /// Values with their lengths, as a Bind carries them.
    pub(crate) fn written<'v>(values: impl Iterator<Item = Option<&'v [u8]>>) -> Vec<u8> {
        let mut out = Vec::new();
        for value in values {
            let length = value.map_or(-1, |value| i32::try_from(value.len()).unwrap_or(i32::MAX));
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(value.unwrap_or_default());
        }
        out
    }

    /// The values in order; `None` is NULL.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Option<&'a [u8]>> {
        let mut reader = Reader::new(self.bytes);
        (0..self.count).map_while(move |_| value(&mut reader).ok())
    }
}

/// One length-prefixed value.
fn value<'a>(reader: &mut Reader<'a>) -> Result<Option<&'a [u8]>, WireError> {
    match reader.i32("value length")? {
        -1 => Ok(None),
        length => match usize::try_from(length) {
            Ok(length) => reader.bytes(length, "value").map(Some),
            Err(_) => Err(WireError::Violation("a value states a negative length")),
        },
    }
}

impl<'a> Request<'a> {
    /// Reads one message. Every byte of the body must be accounted for.
    pub(crate) fn read(frame: Frame<'a>) -> Result<Self, WireError> {
        let mut body = Reader::new(frame.body);
        let request = match frame.tag {
            b'Q' => Self::Query { text: body.until_zero()? },
            b'P' => {
                let (name, text) = (body.text()?, body.until_zero()?);
                let count = body.count(4, "parameter types")?;
                let types = (0..count).map(|_| body.u32("parameter type")).collect::<Result<_, _>>()?;
                Self::Parse { name, text, types }
            }
            b'B' => {
                let (portal, statement) = (body.text()?, body.text()?);
                let value_formats = formats(&mut body)?;
                let values = Values::read(&mut body)?;
                let result_formats = formats(&mut body)?;
                Self::Bind(Bind { portal, statement, value_formats, values, result_formats })
            }
            b'D' => {
                let target = target(&mut body)?;
                Self::Describe { target, name: body.text()? }
            }
            b'E' => {
                let portal = body.text()?;
                // The server takes zero and below as "no limit".
                Self::Execute { portal, rows_max: u32::try_from(body.i32("row limit")?).unwrap_or(0) }
            }
            b'C' => {
                let target = target(&mut body)?;
                Self::Close { target, name: body.text()? }
            }
            b'S' => Self::Sync,
            b'H' => Self::Flush,
            b'd' => Self::CopyData(body.rest()),
            b'c' => Self::CopyDone,
            b'f' => Self::CopyFail { reason: body.until_zero()? },
            b'F' => {
                let function = body.u32("function oid")?;
                formats(&mut body)?;
                Values::read(&mut body)?;
                body.i16("result format")?;
                Self::FunctionCall { function }
            }
            b'X' => Self::Terminate,
            other => return Err(WireError::Unexpected(other)),
        };
        body.finish()?;
        Ok(request)
    }

    /// Writes the message anew, from what was understood of it.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Query { text } => {
                Writer::message(out, b'Q').raw(text).u8(0);
            }
            Self::Parse { name, text, types } => {
                let mut message = Writer::message(out, b'P');
                message.text(name).raw(text).u8(0).count(types.len());
                for oid in types {
                    message.u32(*oid);
                }
            }
            Self::Bind(bind) => {
                let mut message = Writer::message(out, b'B');
                message.text(bind.portal).text(bind.statement).count(bind.value_formats.len());
                for format in &bind.value_formats {
                    message.i16(*format);
                }
                message.count(bind.values.count).raw(bind.values.bytes).count(bind.result_formats.len());
                for format in &bind.result_formats {
                    message.i16(*format);
                }
            }
            Self::Describe { target, name } => {
                Writer::message(out, b'D').u8(target_byte(*target)).text(name);
            }
            Self::Execute { portal, rows_max } => {
                Writer::message(out, b'E').text(portal).u32(*rows_max);
            }
            Self::Close { target, name } => {
                Writer::message(out, b'C').u8(target_byte(*target)).text(name);
            }
            Self::Sync => drop(Writer::message(out, b'S')),
            Self::Flush => drop(Writer::message(out, b'H')),
            Self::CopyData(data) => {
                Writer::message(out, b'd').raw(data);
            }
            Self::CopyDone => drop(Writer::message(out, b'c')),
            Self::CopyFail { reason } => {
                Writer::message(out, b'f').raw(reason).u8(0);
            }
            // A function call is decoded so that it can be refused in step; it is never forwarded.
            Self::FunctionCall { .. } => {}
            Self::Terminate => drop(Writer::message(out, b'X')),
        }
    }
}

fn formats(body: &mut Reader<'_>) -> Result<Vec<i16>, WireError> {
    let count = body.count(2, "formats")?;
    (0..count)
        .map(|_| match body.i16("format")? {
            format @ (0 | 1) => Ok(format),
            _ => Err(WireError::Violation("a format code is neither text nor binary")),
        })
        .collect()
}

fn target(body: &mut Reader<'_>) -> Result<Target, WireError> {
    match body.u8("target")? {
        b'S' => Ok(Target::Statement),
        b'P' => Ok(Target::Portal),
        _ => Err(WireError::Violation("a message names neither a statement nor a portal")),
    }
}

fn target_byte(target: Target) -> u8 {
    match target {
        Target::Statement => b'S',
        Target::Portal => b'P',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(bytes: &[u8]) -> Frame<'_> {
        Frame { tag: bytes[0], body: &bytes[5..], raw: bytes }
    }

    /// Each message, written by hand as the manual's chapter "Message Formats" lays it out.
    fn samples() -> Vec<Vec<u8>> {
        let message = |tag: u8, body: &[u8]| {
            let mut out = Vec::new();
            Writer::message(&mut out, tag).raw(body);
            out
        };
        vec![
            message(b'Q', b"select 1\0"),
            message(b'P', b"s1\0select $1\0\0\x02\0\0\0\x17\0\0\0\0"),
            message(b'B', b"p\0s\0\0\x01\0\x01\0\x02\0\0\0\x01A\xff\xff\xff\xff\0\x01\0\0"),
            message(b'D', b"Ss1\0"),
            message(b'E', b"p\0\0\0\0\x05"),
            message(b'C', b"Pp\0"),
            message(b'S', b""),
            message(b'H', b""),
            message(b'd', b"1\t2\n"),
            message(b'c', b""),
            message(b'f', b"no\0"),
            message(b'X', b""),
        ]
    }

    #[test]
    fn reading_and_writing_give_the_same_bytes() {
        for bytes in samples() {
            let mut out = Vec::new();
            Request::read(whole(&bytes)).unwrap().write(&mut out);
            assert_eq!(out, bytes, "{:?}", char::from(bytes[0]));
        }
    }

    #[test]
    fn every_message_cut_short_or_too_long_is_refused() {
        for bytes in samples() {
            if bytes[0] == b'd' {
                continue; // COPY data has no inner structure to be short of.
            }
            for end in 5..bytes.len() {
                assert!(Request::read(whole(&bytes[..end])).is_err(), "{:?} cut at {end}", char::from(bytes[0]));
            }
            let mut long = bytes.clone();
            long.push(b'S');
            assert!(Request::read(whole(&long)).is_err(), "{:?} too long", char::from(bytes[0]));
        }
    }

    #[test]
    fn a_hidden_second_message_is_refused() {
        // pgwire 0.42 reads this as a Sync followed by a Query.
        let mut bytes = vec![b'S', 0, 0, 0, 14];
        bytes.extend_from_slice(b"Q\0\0\0\x0axxxxx\0");
        assert!(matches!(Request::read(whole(&bytes)), Err(WireError::Trailing(_))));
    }

    #[test]
    fn values_are_counted_exactly() {
        let bind = b"\0\0\0\0\0\x02\0\0\0\x01A\0\0";
        assert!(Request::read(Frame { tag: b'B', body: bind, raw: bind }).is_err(), "second value missing");
        let negative = b"\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0";
        assert!(Request::read(Frame { tag: b'B', body: negative, raw: negative }).is_err());
        let good = b"\0\0\0\0\0\x02\0\0\0\x01A\xff\xff\xff\xff\0\0";
        let Request::Bind(bind) = Request::read(Frame { tag: b'B', body: good, raw: good }).unwrap() else { panic!() };
        assert_eq!(bind.values.iter().collect::<Vec<_>>(), [Some(b"A".as_slice()), None]);
    }

    #[test]
    fn unknown_types_are_refused() {
        for tag in (0..=255u8).filter(|tag| !b"QPBDECSHdcfFX".contains(tag)) {
            assert_eq!(Request::read(Frame { tag, body: b"", raw: b"" }), Err(WireError::Unexpected(tag)));
        }
    }
}
