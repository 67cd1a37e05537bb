//! Masks text: whole values, and values within a text.

use std::borrow::Cow;

use super::number;
use super::pseudonym::{Drafts, Making};
use super::treatment::{Applied, Pen, constant};
use crate::engine::detector::{self, Detector, Likeness, Method};

/// What stands where nothing may stay.
pub(super) const STARS: &str = "***";

/// Masks a whole text in at most `room` characters.
pub(super) fn mask(
    entity: Option<&'static dyn Detector>,
    value: &[u8],
    room: usize,
    pen: &mut Pen,
    out: &mut Vec<u8>,
) -> Applied {
    mask_how(entity, value, room, pen, None, out)
}

/// The same of a cell of a row, which may be left among the row's drafts.
pub(super) fn draft(
    entity: &'static dyn Detector,
    value: &[u8],
    room: usize,
    pen: &mut Pen,
    drafts: &mut Drafts,
    out: &mut Vec<u8>,
) -> Applied {
    mask_how(Some(entity), value, room, pen, Some(drafts), out)
}

fn mask_how(
    entity: Option<&'static dyn Detector>,
    value: &[u8],
    room: usize,
    pen: &mut Pen,
    drafts: Option<&mut Drafts>,
    out: &mut Vec<u8>,
) -> Applied {
    if value.is_empty() {
        return Applied::Unchanged;
    }
    let Some((entity, text)) = entity.zip(std::str::from_utf8(value).ok()) else {
        return stars(room, out);
    };
    // `character(n)` is filled up with spaces; they are not a part of the value.
    let text = text.trim_end_matches(' ');
    if pen.made(text) {
        return Applied::Unchanged;
    }
    let written = match entity.method() {
        Method::Redact => false,
        Method::LastFour => last_four(text, out),
        Method::Coarsen => number::coarsen_text(text, room, out),
        Method::Pseudonym(form) => {
            let is_masked = text.bytes().all(|byte| byte == b'*');
            let Pen { pseudonyms, recent, .. } = pen;
            let pseudonyms = pseudonyms.as_ref().filter(|_| !is_masked);
            pseudonyms.is_some_and(|pseudonyms| {
                recent.write(Making { pseudonyms, drafts }, entity, form, text.as_bytes(), room, out)
            })
        }
    };
    if written { Applied::Written } else { stars(room, out) }
}

pub(super) fn stars(room: usize, out: &mut Vec<u8>) -> Applied {
    constant(STARS.get(..room.min(STARS.len())).unwrap_or_default().as_bytes(), out)
}

/// Stars for all digits but the last four; what stands between them stays. Nothing is written when the text is not
/// mostly digits.
fn last_four(text: &str, out: &mut Vec<u8>) -> bool {
    let counts = |character: char| character.is_ascii_digit() || character == '*';
    let sign = |character: char| matches!(character, ' ' | '-' | '.' | '/');
    let count = text.chars().filter(|character| counts(*character)).count();
    if count < 8 || !text.chars().all(|character| counts(character) || sign(character)) {
        return false;
    }
    let mut left = count;
    for byte in text.bytes() {
        let counted = counts(char::from(byte));
        out.push(if counted && left > 4 { b'*' } else { byte });
        left -= usize::from(counted);
    }
    true
}

/// Bytes as text. Only text is looked at; what is not UTF-8 came from a database that holds no text of the kind.
pub(super) fn lossy(value: &[u8]) -> Cow<'_, str> {
    // What reads byte by byte is only for what needs it.
    std::str::from_utf8(value).map_or_else(|_| String::from_utf8_lossy(value), Cow::Borrowed)
}

/// Masks the values that detectors find in a text, in at most `room` characters.
pub(super) fn look(floor: Likeness, value: &[u8], room: usize, pen: &mut Pen, out: &mut Vec<u8>) -> Applied {
    let lossy = lossy(value);
    let mut found = std::mem::take(&mut pen.found);
    detector::scan(&lossy, floor, &mut found);
    let mut from = 0;
    let start = out.len();
    let mut changed = false;
    for one in &found {
        let (Some(between), Some(seen)) = (lossy.get(from..one.range.start), lossy.get(one.range.clone())) else {
            continue;
        };
        out.extend_from_slice(between.as_bytes());
        let before = out.len();
        if mask(Some(one.detector), seen.as_bytes(), usize::MAX, pen, out) == Applied::Written {
            changed |= out.get(before..) != Some(seen.as_bytes());
        } else {
            out.truncate(before);
            out.extend_from_slice(seen.as_bytes());
        }
        from = one.range.end;
    }
    let found_any = !found.is_empty();
    pen.found = found;
    if !found_any || !changed {
        out.truncate(start);
        return Applied::Unchanged;
    }
    out.extend_from_slice(lossy.get(from..).unwrap_or_default().as_bytes());
    let fits = out.get(start..).map(String::from_utf8_lossy).is_some_and(|text| text.chars().count() <= room);
    if fits {
        return Applied::Written;
    }
    out.truncate(start);
    stars(room, out)
}
