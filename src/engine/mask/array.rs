//! Masks arrays and rows element by element, in both formats (manual, sections "Array Input and Output Syntax" and
//! "Composite Type Input and Output Syntax"). What does not read as one becomes NULL.

use super::shape::{Field, Shape};
use super::treatment::{Applied, Pen, Treatment, apply};

/// Rows and arrays within one another that are followed. Each level takes a frame of the stack.
const NESTING_MAX: usize = 32;

/// An array in text format: `{a,"b c",NULL}`, with bounds before it when they are not the usual ones.
pub(super) fn text(
    treatment: Treatment,
    element: &Shape,
    room: usize,
    value: &[u8],
    pen: &mut Pen,
    out: &mut Vec<u8>,
) -> Applied {
    let opening = value.iter().position(|byte| *byte == b'{').unwrap_or(0);
    let Some((bounds, mut rest)) = value.split_at_checked(opening) else { return Applied::Null };
    out.extend_from_slice(bounds);
    let (mut depth, mut changed, mut masked, mut plain) = (0usize, false, Vec::new(), Vec::new());
    while let Some((first, after)) = rest.split_first() {
        match first {
            b'{' => depth += 1,
            b'}' => match depth.checked_sub(1) {
                Some(outer) => depth = outer,
                None => return Applied::Null,
            },
            b',' if depth > 0 => {}
            _ => {
                plain.clear();
                let Some(length) = read_element(rest, &mut plain).filter(|_| depth > 0) else { return Applied::Null };
                let (raw, after) = rest.split_at_checked(length).unwrap_or_default();
                rest = after;
                masked.clear();
                // Unquoted, it is no value.
                let is_null = raw.eq_ignore_ascii_case(b"NULL");
                let applied = match is_null {
                    true => Applied::Unchanged,
                    false => apply(treatment, element, false, room, &plain, pen, &mut masked),
                };
                changed |= applied == Applied::Null || (applied == Applied::Written && masked != plain);
                match applied {
                    Applied::Unchanged => out.extend_from_slice(raw),
                    Applied::Null => out.extend_from_slice(b"NULL"),
                    Applied::Written if needs_quotes(&masked) => quote(&masked, b"\"\\", b"\\", out),
                    Applied::Written => out.extend_from_slice(&masked),
                }
                continue;
            }
        }
        out.push(*first);
        rest = after;
    }
    match (depth, changed) {
        (0, true) => Applied::Written,
        (0, false) => Applied::Unchanged,
        (_, _) => Applied::Null,
    }
}

/// How many elements an array has, at most: in text format a comma may also stand in one.
pub(super) fn elements_at_most(value: &[u8], binary: bool) -> usize {
    if !binary {
        return memchr::memchr_iter(b',', value).count() + 1;
    }
    let mut reader = Reader(value);
    let dimensions = reader.number().and_then(|count| usize::try_from(count).ok());
    let header = dimensions.filter(|count| *count <= DIMENSIONS_MAX).and_then(|count| reader.take(8 + count * 8));
    let element = || {
        let length = reader.number()?;
        reader.take(usize::try_from(length.max(0)).ok()?)
    };
    header.map_or(0, |_| std::iter::from_fn(element).count())
}

/// Reads one element, quoted or not; its length as it is written.
fn read_element(bytes: &[u8], plain: &mut Vec<u8>) -> Option<usize> {
    let quoted = bytes.first() == Some(&b'"');
    let mut at = usize::from(quoted);
    loop {
        match bytes.get(at)? {
            b'\\' => {
                plain.push(*bytes.get(at + 1)?);
                at += 2;
            }
            b'"' if quoted => return Some(at + 1),
            b'"' => return None,
            b',' | b'}' | b'{' if !quoted => return Some(at),
            byte => {
                plain.push(*byte);
                at += 1;
            }
        }
    }
}

/// Whether an element would be read as something else without quotes. The server quotes these and no others.
fn needs_quotes(element: &[u8]) -> bool {
    let means =
        |byte: &u8| matches!(byte, b'"' | b'\\' | b'{' | b'}' | b',') || byte.is_ascii_whitespace() || *byte == 0x0b;
    element.is_empty() || element.eq_ignore_ascii_case(b"NULL") || element.iter().any(means)
}

/// Writes a value in quotes; the given bytes get `escape` before them.
fn quote(value: &[u8], special: &[u8], escape: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in value {
        if special.contains(byte) {
            out.extend_from_slice(escape);
        }
        out.push(*byte);
    }
    out.push(b'"');
}

/// A row in text format: `(a,"b c",)`. `fields`: as far as its type is known.
pub(super) fn text_row(
    treatment: Treatment,
    fields: &[Field],
    value: &[u8],
    pen: &mut Pen,
    out: &mut Vec<u8>,
) -> Applied {
    let inner = value.strip_prefix(b"(").and_then(|rest| rest.strip_suffix(b")"));
    let Some(mut rest) = inner else { return Applied::Null };
    out.push(b'(');
    let (mut changed, mut plain, mut masked) = (false, Vec::new(), Vec::new());
    let mut fields = fields.iter();
    loop {
        plain.clear();
        let Some(length) = read_field(rest, &mut plain) else { return Applied::Null };
        let field = fields.next();
        let (raw, after) = rest.split_at_checked(length).unwrap_or_default();
        masked.clear();
        let applied = match treatment {
            _ if raw.is_empty() => Applied::Unchanged,
            // Of a field's type nothing is known in this format, and NULL is of every type.
            Treatment::Entity(_) | Treatment::Redact => Applied::Null,
            treatment => {
                let own = field.map_or(treatment, |field| field.treatment(treatment));
                let shape = match (own, field.map(|field| &field.shape)) {
                    (Treatment::Entity(_), Some(shape))
                    | (_, Some(shape @ (Shape::Row(_) | Shape::Array(_) | Shape::Json | Shape::Jsonb))) => shape,
                    (_, Some(_) | None) => &Shape::Text,
                };
                apply(own, shape, false, usize::MAX, &plain, pen, &mut masked)
            }
        };
        changed |= applied != Applied::Unchanged;
        match applied {
            Applied::Unchanged => out.extend_from_slice(raw),
            Applied::Null => {}
            Applied::Written => {
                // Quotes and backslashes are doubled.
                out.push(b'"');
                for byte in &masked {
                    if matches!(byte, b'"' | b'\\') {
                        out.push(*byte);
                    }
                    out.push(*byte);
                }
                out.push(b'"');
            }
        }
        match after.split_first() {
            None => break,
            Some((_, after)) => {
                out.push(b',');
                rest = after;
            }
        }
    }
    out.push(b')');
    if changed { Applied::Written } else { Applied::Unchanged }
}

/// Whether a text is a row as the server writes one, which puts fields into quotes that hold a sign of its own. Other texts
/// in brackets are not taken for rows: written anew, quotes in them would double with every bracket.
pub(super) fn is_row(value: &[u8]) -> bool {
    let inner = value.strip_prefix(b"(").and_then(|rest| rest.strip_suffix(b")"));
    let Some(mut rest) = inner else { return false };
    let mut plain = Vec::new();
    loop {
        plain.clear();
        let Some((raw, after)) = read_field(rest, &mut plain).and_then(|length| rest.split_at_checked(length)) else {
            return false;
        };
        let is_special = |byte: &u8| byte.is_ascii_whitespace() || b"()\"\\".contains(byte);
        if raw.first() != Some(&b'"') && raw.iter().any(is_special) {
            return false;
        }
        match after.split_first() {
            None => return true,
            Some((_, after)) => rest = after,
        }
    }
}

/// Reads one field up to a comma or the end; its length as it is written.
fn read_field(bytes: &[u8], plain: &mut Vec<u8>) -> Option<usize> {
    let (mut at, mut quoted) = (0, false);
    loop {
        match bytes.get(at) {
            None => return (!quoted).then_some(at),
            Some(b',') if !quoted => return Some(at),
            Some(b'\\') => {
                plain.push(*bytes.get(at + 1)?);
                at += 2;
            }
            Some(b'"') if quoted && bytes.get(at + 1) == Some(&b'"') => {
                plain.push(b'"');
                at += 2;
            }
            Some(b'"') => {
                quoted = !quoted;
                at += 1;
            }
            Some(byte) => {
                plain.push(*byte);
                at += 1;
            }
        }
    }
}

/// An array in binary format: dimensions, whether there are NULLs, the element's type, bounds, elements with lengths.
pub(super) fn binary(
    treatment: Treatment,
    element: &Shape,
    room: usize,
    value: &[u8],
    pen: &mut Pen,
    out: &mut Vec<u8>,
) -> Applied {
    let start = out.len();
    let mut reader = Reader(value);
    let masked = nested(pen, |pen| {
        let dimensions = usize::try_from(reader.number()?).ok().filter(|count| *count <= DIMENSIONS_MAX)?;
        reader.take(8 + dimensions * 8)?;
        out.extend_from_slice(value.get(..12 + dimensions * 8)?);
        let (mut changed, mut nulls) = (false, false);
        while !reader.0.is_empty() {
            let applied = reader.value(treatment, element, room, pen, out)?;
            changed |= applied != Applied::Unchanged;
            nulls |= applied == Applied::Null;
        }
        if let Some(flag) = out.get_mut(start + 7).filter(|_| nulls) {
            *flag = 1;
        }
        Some(changed)
    });
    applied(masked)
}

/// `MAXDIM`
const DIMENSIONS_MAX: usize = 6;

/// A row in binary format: its fields, each with its type and length. `known`: as far as its own type is known.
pub(super) fn binary_row(
    treatment: Treatment,
    known: &[Field],
    value: &[u8],
    pen: &mut Pen,
    out: &mut Vec<u8>,
) -> Applied {
    let mut reader = Reader(value);
    let masked = nested(pen, |pen| {
        let fields = usize::try_from(reader.number()?).ok()?;
        out.extend_from_slice(value.get(..4)?);
        let mut changed = false;
        for index in 0..fields {
            let kind = reader.take(4)?;
            out.extend_from_slice(kind);
            let kind = kind.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))?;
            let field = known.get(index);
            let built_in = Shape::built_in(kind);
            let shape = built_in.as_ref().or_else(|| field.map(|field| &field.shape)).unwrap_or(&Shape::Unknown);
            let treatment = match treatment {
                Treatment::Entity(_) => Treatment::Redact,
                treatment => field.map_or(treatment, |field| field.treatment(treatment)),
            };
            changed |= reader.value(treatment, shape, usize::MAX, pen, out)? != Applied::Unchanged;
        }
        reader.0.is_empty().then_some(changed)
    });
    applied(masked)
}

fn applied(masked: Option<bool>) -> Applied {
    match masked {
        Some(true) => Applied::Written,
        Some(false) => Applied::Unchanged,
        None => Applied::Null,
    }
}

/// Goes one level down; `None` when that is too deep.
pub(super) fn nested<T>(pen: &mut Pen, work: impl FnOnce(&mut Pen) -> Option<T>) -> Option<T> {
    if pen.depth >= NESTING_MAX {
        return None;
    }
    pen.depth += 1;
    let result = work(pen);
    pen.depth -= 1;
    result
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<i32> {
        self.take(4)?.first_chunk().map(|bytes| i32::from_be_bytes(*bytes))
    }

    /// Reads a value with its length and writes what becomes of it, with its length.
    fn value(
        &mut self,
        treatment: Treatment,
        shape: &Shape,
        room: usize,
        pen: &mut Pen,
        out: &mut Vec<u8>,
    ) -> Option<Applied> {
        let length = self.number()?;
        if length == -1 {
            out.extend_from_slice(&NULL);
            return Some(Applied::Unchanged);
        }
        let value = self.take(usize::try_from(length).ok()?)?;
        let start = out.len();
        out.extend_from_slice(&length.to_be_bytes());
        let applied = apply(treatment, shape, true, room, value, pen, out);
        match applied {
            Applied::Unchanged => out.extend_from_slice(value),
            Applied::Null => {
                out.truncate(start);
                out.extend_from_slice(&NULL);
            }
            Applied::Written => {
                let written = i32::try_from(out.len() - start - 4).ok()?;
                out.get_mut(start..start + 4)?.copy_from_slice(&written.to_be_bytes());
                if out.get(start + 4..)? == value {
                    return Some(Applied::Unchanged);
                }
            }
        }
        Some(applied)
    }
}

/// The length of what is not there.
const NULL: [u8; 4] = (-1i32).to_be_bytes();
