//! Masks a JSON document leaf by leaf: by its key's name, by what detectors see in it, or all of it. Structure, order and
//! spaces stay as they are. Works on the text without a tree, so depth costs nothing but a word per level.

use super::number;
use super::shape::Shape;
use super::text;
use super::treatment::{Applied, Pen, Treatment, apply, constant};
use crate::engine::detector::{self, Detector, Method};

/// What stands for a document of which nothing may stay.
const MASKED: &[u8] = br#"{"masked": true}"#;

/// Fewest digits of a number that is looked at.
const DIGITS_MIN: usize = 9;

/// Masks the leaves of a document.
pub(super) fn walk(treatment: Treatment, value: &[u8], pen: &mut Pen, out: &mut Vec<u8>) -> Applied {
    let (whole, hinted, looking) = match treatment {
        Treatment::Clear => return Applied::Unchanged,
        Treatment::Redact | Treatment::Hide => return masked(out),
        Treatment::Entity(entity) => (Some(entity), None, Treatment::Look),
        Treatment::Suspect(entity) => (None, Some(entity), Treatment::Look),
        Treatment::Glance | Treatment::Look | Treatment::Definition => (None, None, treatment),
    };
    match (Walk { rest: value, whole, looking, levels: Vec::new(), pending: None, hinted, changed: false })
        .run(pen, out)
    {
        Some(true) => Applied::Written,
        Some(false) => Applied::Unchanged,
        // Not JSON: the type of the column says otherwise, so nothing about it can be relied on.
        None => Applied::Null,
    }
}

/// A document of which nothing stays.
pub(super) fn masked(out: &mut Vec<u8>) -> Applied {
    constant(MASKED, out)
}

struct Walk<'a> {
    rest: &'a [u8],
    /// What every leaf holds.
    whole: Option<&'static dyn Detector>,
    /// What happens to a leaf of which nothing is known.
    looking: Treatment,
    /// What the key over each open bracket says of all below it.
    levels: Vec<Option<&'static dyn Detector>>,
    /// What the key just read says of its value.
    pending: Option<&'static dyn Detector>,
    /// What the last key may mean, if the value agrees.
    hinted: Option<&'static dyn Detector>,
    changed: bool,
}

impl<'a> Walk<'a> {
    fn run(mut self, pen: &mut Pen, out: &mut Vec<u8>) -> Option<bool> {
        while let Some((first, rest)) = self.rest.split_first() {
            match first {
                b'{' | b'[' => {
                    let said = self.said();
                    self.levels.push(said);
                    self.pending = None;
                    self.copy(1, out)?;
                }
                b'}' | b']' => {
                    self.levels.pop()?;
                    self.pending = None;
                    self.copy(1, out)?;
                }
                b',' => {
                    self.pending = None;
                    self.copy(1, out)?;
                }
                b':' | b' ' | b'\t' | b'\n' | b'\r' => self.copy(1, out)?,
                b'"' => {
                    let (inner, after) = split_string(rest)?;
                    let text = unescape(inner)?;
                    let is_key = after.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':');
                    let raw = self.rest.get(..inner.len() + 2)?;
                    self.rest = after;
                    if is_key {
                        self.key(raw, &text, pen, out);
                    } else {
                        self.leaf(raw, &text, pen, out);
                    }
                }
                b'-' | b'0'..=b'9' => {
                    let length = self.rest.iter().take_while(|byte| is_in_number(**byte)).count();
                    let raw = self.take(length)?;
                    self.number(raw, pen, out)?;
                }
                b't' | b'f' | b'n' => {
                    let length = self.rest.iter().take_while(|byte| byte.is_ascii_lowercase()).count();
                    let raw = self.take(length)?;
                    if !matches!(raw, b"true" | b"false" | b"null") {
                        return None;
                    }
                    out.extend_from_slice(raw);
                }
                _ => return None,
            }
        }
        self.levels.is_empty().then_some(self.changed)
    }

    fn copy(&mut self, length: usize, out: &mut Vec<u8>) -> Option<()> {
        out.extend_from_slice(self.take(length)?);
        Some(())
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    /// What is known of the value that comes next.
    fn said(&self) -> Option<&'static dyn Detector> {
        self.whole.or(self.pending).or_else(|| self.levels.last().copied().flatten())
    }

    /// A key names what is below it. It can be a value itself.
    fn key(&mut self, raw: &[u8], text: &str, pen: &mut Pen, out: &mut Vec<u8>) {
        let words = detector::words(text);
        self.pending = detector::claimed(&words);
        self.hinted = detector::hinted(&words);
        let start = out.len();
        out.push(b'"');
        let mut masked = Vec::new();
        if text::look(self.looking.floor(), text.as_bytes(), usize::MAX, pen, &mut masked) == Applied::Written {
            escape(&masked, out);
            out.push(b'"');
            self.changed = true;
        } else {
            out.truncate(start);
            out.extend_from_slice(raw);
        }
    }

    fn leaf(&mut self, raw: &[u8], text: &str, pen: &mut Pen, out: &mut Vec<u8>) {
        let mut masked = Vec::new();
        let applied = match self.said() {
            Some(entity) => text::mask(Some(entity), text.as_bytes(), usize::MAX, pen, &mut masked),
            None => match self.hinted.filter(|entity| detector::agrees(*entity, text)) {
                Some(entity) => text::mask(Some(entity), text.as_bytes(), usize::MAX, pen, &mut masked),
                // A text can be a document itself.
                None => apply(self.looking, &Shape::Text, false, usize::MAX, text.as_bytes(), pen, &mut masked),
            },
        };
        if applied != Applied::Written || masked == text.as_bytes() {
            return out.extend_from_slice(raw);
        }
        out.push(b'"');
        escape(&masked, out);
        out.push(b'"');
        self.changed = true;
    }

    fn number(&mut self, raw: &[u8], pen: &mut Pen, out: &mut Vec<u8>) -> Option<()> {
        let said = self.said().or_else(|| {
            let text = std::str::from_utf8(raw).ok().filter(|text| text.len() >= DIGITS_MIN)?;
            let mut found = std::mem::take(&mut pen.found);
            detector::scan(text, self.looking.floor(), &mut found);
            let detector = found.first().map(|one| one.detector);
            pen.found = found;
            detector
        });
        let Some(entity) = said else {
            out.extend_from_slice(raw);
            return Some(());
        };
        let start = out.len();
        // A number with an exponent is no account number; nothing of it stays.
        let plain = !raw.iter().any(|byte| matches!(byte, b'e' | b'E' | b'+'));
        let method = if plain { entity.method() } else { Method::Redact };
        let written = plain && number::numeric_text(method, raw, out) == Applied::Written;
        if !written {
            out.truncate(start);
            out.push(b'0');
        }
        self.changed |= out.get(start..)? != raw;
        Some(())
    }
}

fn is_in_number(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E')
}

/// The inside of a string whose opening quote was read, and what follows its closing quote.
fn split_string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        match bytes.get(at)? {
            b'"' => return Some((bytes.get(..at)?, bytes.get(at + 1..)?)),
            _ => at += 2,
        }
    }
}

/// The text of a string (RFC 8259 section 7).
fn unescape(inner: &[u8]) -> Option<String> {
    let inner = std::str::from_utf8(inner).ok()?;
    let mut text = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            text.push(character);
            continue;
        }
        match characters.next()? {
            'b' => text.push('\u{8}'),
            'f' => text.push('\u{c}'),
            'n' => text.push('\n'),
            'r' => text.push('\r'),
            't' => text.push('\t'),
            'u' => {
                let unit = unit(&mut characters)?;
                let code = match unit {
                    0xd800..=0xdbff => {
                        let is_escape = characters.next() == Some('\\') && characters.next() == Some('u');
                        let low = is_escape.then(|| self::unit(&mut characters)).flatten()?;
                        0x1_0000 + ((unit - 0xd800) << 10) + low.checked_sub(0xdc00)?
                    }
                    unit => unit,
                };
                text.push(char::from_u32(code)?);
            }
            character @ ('"' | '\\' | '/') => text.push(character),
            _ => return None,
        }
    }
    Some(text)
}

fn unit(characters: &mut std::str::Chars<'_>) -> Option<u32> {
    (0..4).try_fold(0, |sum, _| Some(sum * 16 + characters.next()?.to_digit(16)?))
}

fn escape(text: &[u8], out: &mut Vec<u8>) {
    for byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            byte => out.push(*byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(document: &str, expected: &str) {
        let mut out = Vec::new();
        let applied = walk(Treatment::Look, document.as_bytes(), &mut Pen::new(None), &mut out);
        let shown = match applied {
            Applied::Unchanged => document.to_owned(),
            Applied::Written => String::from_utf8(out).unwrap(),
            Applied::Null => "NULL".to_owned(),
        };
        assert_eq!(shown, expected, "{document}");
    }

    #[test]
    fn leaves_are_masked_where_they_stand() {
        check(r#"{"a": [1, "x", null, true, {"b": -1.5e3}]}"#, r#"{"a": [1, "x", null, true, {"b": -1.5e3}]}"#);
        check(r#"{"n":"write to ada@example.com"}"#, r#"{"n":"write to ***"}"#);
        check(r#"{"email":["x","y"],"b":"y"}"#, r#"{"email":["***","***"],"b":"y"}"#);
        check(r#"{"e":"ada\u0040example.com"}"#, r#"{"e":"***"}"#);
        check(r#"{"ada@example.com": 1}"#, r#"{"***": 1}"#);
        check(r#"{"card": 4111111111111111, "n": 4111111111111111}"#, r#"{"card": 1111, "n": 1111}"#);
        check(r#"{"x": "\ud83d\ude00 \"q\" ada@example.com"}"#, "{\"x\": \"😀 \\\"q\\\" ***\"}");
    }

    #[test]
    fn what_is_not_json_becomes_null() {
        for document in ["{", "}", "\"", "\"\\", "\"\\u12\"", "nope", "[1,2", "\u{1}", r#""\ud800""#] {
            check(document, "NULL");
        }
    }
}
