//! Applies a treatment to a value: text and binary formats, every type. What cannot be masked true to its type becomes
//! NULL, never what it was.

use super::pseudonym::{Drafts, Pseudonyms};
use super::recent::Recent;
use super::shape::Shape;
use super::{ResultColumn, array, definition, json, number, text};
use crate::engine::catalog::Catalog;
use crate::engine::detector::{self, Detector, Found, Likeness, Method};

/// What happens to the values of a column.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) enum Treatment {
    /// They pass.
    Clear,
    /// Somebody looked at the column and found nothing: only what cannot be anything else is masked.
    Glance,
    /// It may hold anything: all detectors look at every value.
    Look,
    /// It is a text of the system catalogs: of what it quotes only what can be nobody's stays.
    Definition,
    /// It may hold this, where a value reads like it; it is looked at as well.
    Suspect(&'static dyn Detector),
    /// It holds this, whatever a value looks like.
    Entity(&'static dyn Detector),
    /// It is sensitive, and nobody knows what it is.
    Redact,
    /// It was computed from something sensitive: also whether there is a value, and whether it is empty, may be all that
    /// was asked.
    Hide,
}

impl Treatment {
    /// How much a value must read like something to be masked as that, where it is looked at.
    pub(super) fn floor(self) -> Likeness {
        match self {
            Self::Glance => Likeness::Certain,
            Self::Clear
            | Self::Look
            | Self::Definition
            | Self::Suspect(_)
            | Self::Entity(_)
            | Self::Redact
            | Self::Hide => Likeness::Likely,
        }
    }
}

/// A column of a result with its treatment.
#[derive(Clone, Debug)]
pub(super) struct Column {
    treatment: Treatment,
    shape: Shape,
    binary: bool,
    /// Characters that a value may have; of a `numeric`, digits before its point.
    room: usize,
    /// `character(n)`: values are filled up to their length.
    padded: bool,
}

/// What masking needs besides the value: the key, and memory that is used again.
#[derive(Debug)]
pub(super) struct Pen {
    pub(super) pseudonyms: Option<Pseudonyms>,
    pub(super) recent: Recent,
    pub(super) found: Vec<Found>,
    /// Arrays and rows that are open around the value at hand.
    pub(super) depth: usize,
}

impl Pen {
    pub(super) fn new(pseudonyms: Option<Pseudonyms>) -> Self {
        Self { pseudonyms, recent: Recent::default(), found: Vec::new(), depth: 0 }
    }

    /// Whether a text is a pseudonym that was made with this key.
    pub(super) fn made(&self, text: &str) -> bool {
        self.pseudonyms.as_ref().is_some_and(|pseudonyms| pseudonyms.made(text))
    }
}

/// What became of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Applied {
    Unchanged,
    /// The new value was appended.
    Written,
    Null,
}

impl Column {
    pub(super) fn new(treatment: Treatment, column: &ResultColumn, catalog: &Catalog) -> Self {
        let shape = Shape::of(column.kind, catalog);
        let room = room(column.kind, column.modifier);
        let padded = column.kind == BPCHAR && room < usize::MAX;
        Self { treatment: usual(treatment, &shape), shape, binary: column.binary, room, padded }
    }

    pub(super) fn is_clear(&self) -> bool {
        matches!(self.treatment, Treatment::Clear)
    }

    /// Masked whatever a value holds.
    pub(super) fn is_masked(&self) -> bool {
        matches!(self.treatment, Treatment::Entity(_) | Treatment::Redact | Treatment::Hide)
    }

    /// Nothing can stand for its values but NULL.
    pub(super) fn has_no_mask(&self) -> bool {
        self.is_masked() && matches!(self.shape, Shape::Label | Shape::Plain | Shape::Unknown)
    }

    /// Its masks depend on how many digits its values may have.
    pub(super) fn is_measured(&self) -> bool {
        match &self.shape {
            Shape::Array(element) => **element == Shape::Numeric,
            shape => *shape == Shape::Numeric,
        }
    }

    /// What stands in the place of NULL. Appends to `out` what is written.
    pub(super) fn apply_null(&self, out: &mut Vec<u8>) -> Applied {
        match self.treatment {
            Treatment::Hide => hide(&self.shape, self.binary, self.room, out),
            Treatment::Clear
            | Treatment::Glance
            | Treatment::Look
            | Treatment::Definition
            | Treatment::Suspect(_)
            | Treatment::Entity(_)
            | Treatment::Redact => Applied::Unchanged,
        }
    }

    /// Applies the treatment to a value that is not NULL. Appends to `out` what is written, of a pseudonym perhaps no more
    /// than room for it, which the row's drafts then hold.
    pub(super) fn apply(&self, value: &[u8], pen: &mut Pen, drafts: &mut Drafts, out: &mut Vec<u8>) -> Applied {
        if self.is_clear() {
            return Applied::Unchanged;
        }
        let start = out.len();
        if let (Treatment::Entity(entity), Shape::Text | Shape::Name, false) =
            (self.treatment, &self.shape, self.padded)
        {
            let before = drafts.count();
            let applied = text::draft(entity, value, self.room, pen, drafts, out);
            let is_same = drafts.count() == before && out.get(start..) == Some(value);
            return if is_same { Applied::Unchanged } else { applied };
        }
        let applied = apply(self.treatment, &self.shape, self.binary, self.room, value, pen, out);
        if applied == Applied::Written {
            if self.padded {
                let written = out.get(start..).map(String::from_utf8_lossy).map_or(0, |text| text.chars().count());
                out.resize(out.len() + self.room.saturating_sub(written).min(PADDING_MAX), b' ');
            }
            if out.get(start..) == Some(value) {
                return Applied::Unchanged;
            }
        }
        applied
    }
}

/// What a type and its modifier say about the length of values: characters, or a `numeric`'s digits before its point.
pub(super) fn room(kind: u32, modifier: i32) -> usize {
    // All of them keep what was declared plus four in the modifier.
    let declared = modifier.checked_sub(4).and_then(|declared| usize::try_from(declared).ok());
    match (kind, declared) {
        (NAME, _) => NAME_MAX,
        (VARCHAR | BPCHAR | VARCHAR_ARRAY | BPCHAR_ARRAY, Some(length)) => length,
        (NUMERIC | NUMERIC_ARRAY, Some(declared)) => {
            let (precision, scale) = (declared >> 16, declared & 0x7ff);
            // A scale below zero, whose eleven bits begin with a one, leaves the last digits out.
            if scale < 0x400 { precision.saturating_sub(scale) } else { 0 }
        }
        (_, _) => usize::MAX,
    }
}

/// Longest `character(n)` that is filled up. The server's own limit is 10 MiB.
const PADDING_MAX: usize = 10 * 1024 * 1024;

const NAME: u32 = 19;
const NUMERIC: u32 = 1700;
const NUMERIC_ARRAY: u32 = 1231;
const VARCHAR: u32 = 1043;
const BPCHAR: u32 = 1042;
const VARCHAR_ARRAY: u32 = 1015;
const BPCHAR_ARRAY: u32 = 1014;

/// `NAMEDATALEN` less the final zero.
const NAME_MAX: usize = 63;

/// Looking is for what can hold text; numbers and times pass where nothing is known against them.
pub(super) fn usual(treatment: Treatment, shape: &Shape) -> Treatment {
    let can_hold = |shape: &Shape| {
        matches!(
            shape,
            Shape::Text
                | Shape::Name
                | Shape::Json
                | Shape::Jsonb
                | Shape::Label
                | Shape::Xml
                | Shape::Row(_)
                | Shape::Hstore
                | Shape::Unknown
                | Shape::Bytes
        )
    };
    let holds_text = match shape {
        Shape::Array(element) => can_hold(element),
        shape => can_hold(shape),
    };
    match treatment {
        Treatment::Glance | Treatment::Look | Treatment::Definition | Treatment::Suspect(_) if !holds_text => {
            Treatment::Clear
        }
        treatment => treatment,
    }
}

/// Applies a treatment to a value of a shape. Written values are appended to `out`; what a failed attempt appended is
/// taken away again.
pub(super) fn apply(
    treatment: Treatment,
    shape: &Shape,
    binary: bool,
    room: usize,
    value: &[u8],
    pen: &mut Pen,
    out: &mut Vec<u8>,
) -> Applied {
    let start = out.len();
    let applied = match usual(treatment, shape) {
        Treatment::Clear => Applied::Unchanged,
        Treatment::Glance | Treatment::Look | Treatment::Definition | Treatment::Suspect(_) => {
            look(treatment, shape, binary, room, value, pen, out)
        }
        Treatment::Entity(entity) => mask(Some(entity), shape, binary, room, value, pen, out),
        Treatment::Redact => mask(None, shape, binary, room, value, pen, out),
        Treatment::Hide => hide(shape, binary, room, out),
    };
    if applied != Applied::Written {
        out.truncate(start);
    }
    applied
}

/// Masks what detectors find in a value.
fn look(
    treatment: Treatment,
    shape: &Shape,
    binary: bool,
    room: usize,
    value: &[u8],
    pen: &mut Pen,
    out: &mut Vec<u8>,
) -> Applied {
    let floor = treatment.floor();
    match shape {
        Shape::Text | Shape::Name | Shape::Xml if matches!(treatment, Treatment::Definition) => {
            definition::look(value, room, pen, out)
        }
        Shape::Unknown if matches!(treatment, Treatment::Definition) && !binary => {
            definition::look(value, room, pen, out)
        }
        Shape::Text if room == usize::MAX => match look_within(treatment, floor, value, pen, out) {
            Applied::Null => look_at_text(treatment, floor, value, room, pen, out),
            applied => applied,
        },
        Shape::Text | Shape::Name => look_at_text(treatment, floor, value, room, pen, out),
        Shape::Xml => text::look(floor, value, usize::MAX, pen, out),
        Shape::Json => json::walk(treatment, value, pen, out),
        Shape::Jsonb if binary => jsonb(value, out, |value, out| json::walk(treatment, value, pen, out)),
        Shape::Jsonb => json::walk(treatment, value, pen, out),
        Shape::Array(element) if binary => array::binary(treatment, element, room, value, pen, out),
        Shape::Array(element) => array::text(treatment, element, room, value, pen, out),
        Shape::Row(fields) if binary => array::binary_row(treatment, fields, value, pen, out),
        Shape::Row(fields) => array::text_row(treatment, fields, value, pen, out),
        // In text format a value of an unknown type is text; in binary it cannot be written anew.
        Shape::Hstore | Shape::Unknown if !binary => text::look(floor, value, usize::MAX, pen, out),
        // Bytes in which something is found are not cut to pieces: nobody knows what they are.
        Shape::Bytes => {
            let decoded = if binary { None } else { bytes(value) };
            let lossy = text::lossy(decoded.as_deref().unwrap_or(value));
            detector::scan(&lossy, floor, &mut pen.found);
            if pen.found.is_empty() { Applied::Unchanged } else { constant(if binary { b"" } else { b"\\x" }, out) }
        }
        // Of a label nothing but another one could stand there.
        Shape::Hstore | Shape::Label | Shape::Unknown => match text::look(floor, value, usize::MAX, pen, out) {
            Applied::Unchanged => Applied::Unchanged,
            Applied::Written | Applied::Null => Applied::Null,
        },
        Shape::Integer(_)
        | Shape::Float(_)
        | Shape::Numeric
        | Shape::Date
        | Shape::Timestamp
        | Shape::Uuid
        | Shape::Network
        | Shape::Hardware(_)
        | Shape::Range
        | Shape::MultiRange
        | Shape::Plain => Applied::Unchanged,
    }
}

/// A document as text keeps the names that say what its values are, a row or an array where its values begin and end.
/// `Null` where it is none of these.
fn look_within(treatment: Treatment, floor: Likeness, value: &[u8], pen: &mut Pen, out: &mut Vec<u8>) -> Applied {
    let Some(b'{' | b'[' | b'(') = value.first() else { return Applied::Null };
    let start = out.len();
    if let Some(b'{' | b'[') = value.first() {
        match json::walk(treatment, value, pen, out) {
            Applied::Null => out.truncate(start),
            applied => return applied,
        }
    }
    let mut parts = Vec::new();
    let parted = array::nested(pen, |pen| match value.first()? {
        b'{' => Some(array::text(treatment, &Shape::Text, usize::MAX, value, pen, &mut parts)),
        b'(' if array::is_row(value) => Some(array::text_row(treatment, &[], value, pen, &mut parts)),
        _ => None,
    });
    // It may also be a text that begins like one, in which a value goes on behind a comma.
    if parted != Some(Applied::Written) {
        return Applied::Null;
    }
    if text::look(floor, &parts, usize::MAX, pen, out) != Applied::Written {
        out.truncate(start);
        out.extend_from_slice(&parts);
    }
    Applied::Written
}

/// Where a text may be of an entity and reads like it, all of it is masked.
fn look_at_text(
    treatment: Treatment,
    floor: Likeness,
    value: &[u8],
    room: usize,
    pen: &mut Pen,
    out: &mut Vec<u8>,
) -> Applied {
    let suspect = if let Treatment::Suspect(entity) = treatment { Some(entity) } else { None };
    match suspect.filter(|entity| detector::agrees(*entity, &text::lossy(value))) {
        Some(entity) => text::mask(Some(entity), value, room, pen, out),
        None => text::look(floor, value, room, pen, out),
    }
}

/// Masks a whole value: as the entity's method says, or so that nothing of it stays.
fn mask(
    entity: Option<&'static dyn Detector>,
    shape: &Shape,
    binary: bool,
    room: usize,
    value: &[u8],
    pen: &mut Pen,
    out: &mut Vec<u8>,
) -> Applied {
    let treatment = entity.map_or(Treatment::Redact, Treatment::Entity);
    let method = entity.map_or(Method::Redact, Detector::method);
    match shape {
        Shape::Text | Shape::Name => text::mask(entity, value, room, pen, out),
        Shape::Json => json::walk(treatment, value, pen, out),
        Shape::Jsonb if binary => jsonb(value, out, |value, out| json::walk(treatment, value, pen, out)),
        Shape::Jsonb => json::walk(treatment, value, pen, out),
        Shape::Xml => constant(b"<masked/>", out),
        Shape::Integer(width) => number::integer(entity, *width, binary, value, pen, out),
        Shape::Float(width) => number::float(method, *width, binary, value, out),
        Shape::Numeric => number::numeric(entity, binary, room, value, pen, out),
        Shape::Date => number::date(method, binary, value, out),
        Shape::Timestamp => number::timestamp(method, binary, value, out),
        Shape::Uuid => number::uuid(entity, binary, value, pen, out),
        Shape::Bytes => constant(if binary { b"" } else { b"\\x" }, out),
        Shape::Network => number::network(method, binary, value, out),
        Shape::Hardware(width) => number::hardware(method, *width, binary, value, out),
        // An empty range is a range of any type; its binary form is one flag.
        Shape::Range => constant(if binary { b"\x01" } else { b"empty" }, out),
        Shape::MultiRange => constant(if binary { b"\0\0\0\0" } else { b"{}" }, out),
        Shape::Array(element) if binary => array::binary(treatment, element, room, value, pen, out),
        Shape::Array(element) => array::text(treatment, element, room, value, pen, out),
        Shape::Row(fields) if binary => array::binary_row(treatment, fields, value, pen, out),
        Shape::Row(fields) => array::text_row(treatment, fields, value, pen, out),
        Shape::Hstore => constant(if binary { b"\0\0\0\0" } else { b"" }, out),
        Shape::Label | Shape::Plain | Shape::Unknown => Applied::Null,
    }
}

/// What stands for any value, and for none.
fn hide(shape: &Shape, binary: bool, room: usize, out: &mut Vec<u8>) -> Applied {
    match shape {
        Shape::Text | Shape::Name => text::stars(room, out),
        Shape::Json => json::masked(out),
        Shape::Jsonb => {
            if binary {
                out.push(1);
            }
            json::masked(out)
        }
        Shape::Xml => constant(b"<masked/>", out),
        Shape::Bytes => constant(if binary { b"" } else { b"\\x" }, out),
        Shape::Integer(_)
        | Shape::Float(_)
        | Shape::Numeric
        | Shape::Date
        | Shape::Timestamp
        | Shape::Uuid
        | Shape::Network
        | Shape::Hardware(_)
        | Shape::Range
        | Shape::MultiRange
        | Shape::Array(_)
        | Shape::Row(_)
        | Shape::Hstore
        | Shape::Label
        | Shape::Plain
        | Shape::Unknown => Applied::Null,
    }
}

/// The bytes behind the text form of `bytea`, hexadecimal or with escapes.
fn bytes(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    if let Some(digits) = text.strip_prefix(b"\\x") {
        return digits.chunks_exact(2).map(|pair| Some(digit(*pair.first()?)? * 16 + digit(*pair.last()?)?)).collect();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|digits| *first == b'\\' && digits.iter().all(|d| (b'0'..=b'7').contains(d)));
        if let Some(digits) = octal {
            bytes.push(digits.iter().fold(0, |sum: u8, d| sum.wrapping_mul(8).wrapping_add(d - b'0')));
            rest = after.get(3..)?;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    Some(bytes)
}

pub(super) fn constant(value: &[u8], out: &mut Vec<u8>) -> Applied {
    out.extend_from_slice(value);
    Applied::Written
}

/// The binary form of jsonb is a version and its text.
fn jsonb(value: &[u8], out: &mut Vec<u8>, walk: impl FnOnce(&[u8], &mut Vec<u8>) -> Applied) -> Applied {
    match value.split_first() {
        Some((1, text)) => {
            out.push(1);
            walk(text, out)
        }
        _ => Applied::Null,
    }
}
