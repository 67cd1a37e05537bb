//! Masks texts of the system catalogs: definitions, conditions, comments, plans.
//!
//! What stands in quotes in them is a value that somebody wrote down, and no detector knows a name by its form. So it goes,
//! unless it can hardly be anybody's: a word in one case that is no known name, a sign, the name of an object. Two words
//! with capitals of which one is a given name go wherever they stand.

use super::Pen;
use super::text::{self, STARS};
use super::treatment::Applied;
use crate::engine::detector::{self, Likeness, Sight};

/// Masks what is quoted in a text, and what detectors see in the rest, in at most `room` characters.
pub(super) fn look(value: &[u8], room: usize, pen: &mut Pen, out: &mut Vec<u8>) -> Applied {
    let lossy = text::lossy(value);
    let shown = without_names(&without_quoted(&lossy));
    let changed = shown != *lossy;
    if changed && shown.chars().count() > room {
        return text::stars(room, out);
    }
    match text::look(Likeness::Likely, shown.as_bytes(), room, pen, out) {
        Applied::Unchanged if changed => {
            out.extend_from_slice(shown.as_bytes());
            Applied::Written
        }
        applied => applied,
    }
}

/// The text with stars for what it quotes. A quote that nobody closes is open to the end.
fn without_quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['\'', '$']) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let open = out.chars().next_back();
        if let Some(after) = from.strip_prefix('\'') {
            if is_in_word(open, after) {
                out.push('\'');
                rest = after;
                continue;
            }
            let escapes = matches!(open, Some('e' | 'E'))
                && !out.chars().rev().nth(1).is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
            let end = quoted_end(after, escapes);
            let (inside, behind) = after.split_at(end);
            let behind = behind.strip_prefix('\'').unwrap_or(behind);
            let kept = is_nobodys(inside, behind);
            out.push('\'');
            out.push_str(if kept { inside } else { STARS });
            if behind.len() < after.len() - end {
                out.push('\'');
            }
            rest = behind;
            continue;
        }
        // Between dollars stands code, or a value.
        match dollar_quoted(from) {
            Some((tag, inside)) if !inside.contains([';', '\n']) => {
                out.push_str(tag);
                out.push_str(if is_nobodys(inside, "") { inside } else { STARS });
                out.push_str(tag);
                rest = from.get(2 * tag.len() + inside.len()..).unwrap_or_default();
            }
            Some((tag, _)) => {
                out.push_str(tag);
                rest = from.get(tag.len()..).unwrap_or_default();
            }
            None => {
                out.push('$');
                rest = from.get(1..).unwrap_or_default();
            }
        }
    }
    out.push_str(rest);
    out
}

/// Whether an apostrophe is one of a language: `don't`, `John's`.
fn is_in_word(before: Option<char>, after: &str) -> bool {
    let end = after.find(|letter: char| !letter.is_alphabetic()).unwrap_or(after.len());
    let (word, behind) = after.split_at(end);
    before.is_some_and(char::is_lowercase)
        && ["d", "ll", "m", "re", "s", "t", "ve"].contains(&word)
        && !behind.starts_with('\'')
}

/// Where a text in quotes ends. Two quotes stand for one.
fn quoted_end(text: &str, escapes: bool) -> usize {
    let mut letters = text.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' if escapes => drop(letters.next()),
            '\'' if letters.next_if(|(_, next)| *next == '\'').is_none() => return at,
            _ => {}
        }
    }
    text.len()
}

/// The tag that a text begins with, and what stands between it and its like.
fn dollar_quoted(text: &str) -> Option<(&str, &str)> {
    let name = text.strip_prefix('$')?;
    let end = name.find(|letter: char| !letter.is_alphanumeric() && letter != '_')?;
    if !name.get(end..)?.starts_with('$') || name.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let tag = text.get(..end + 2)?;
    let inside = text.get(tag.len()..)?;
    Some((tag, inside.get(..inside.find(tag)?)?))
}

/// Longest word that is taken for one of a fixed set, in bytes.
const WORD_MAX: usize = 32;

/// Longest value that says nothing.
const SHORT: usize = 3;

/// Whether a value is hardly anybody's: it says nothing, names an object, or is a word that a program would use.
fn is_nobodys(value: &str, behind: &str) -> bool {
    let is_of = |kind: &str| behind.strip_prefix("::").is_some_and(|cast| cast.starts_with(kind));
    let is_word = value.len() <= WORD_MAX
        && (value.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
            || value.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'));
    value.chars().count() <= SHORT && !detector::is_given(value)
        || !value.contains(char::is_alphanumeric)
        || ["reg", "interval", "boolean"].iter().any(|kind| is_of(kind))
        || is_pattern(value)
        || is_word && !value.split('_').any(detector::is_given)
}

/// Whether a value is a pattern without a word in it, such as `^[0-9a-z]+$`.
fn is_pattern(value: &str) -> bool {
    let mut runs = value.split(|letter: char| !letter.is_alphanumeric());
    value.contains(['^', '['])
        && runs.all(|run| run.chars().count() <= 2)
        && value.bytes().filter(u8::is_ascii_digit).count() <= 4
}

fn reads_like_a_name(text: &str) -> Likeness {
    match detector::named("person_name").map(|entity| entity.sight()) {
        Some(Sight::Cell(look)) => look(text),
        _ => Likeness::Likely,
    }
}

/// The text with stars for words with capitals, one behind the other, that are certainly somebody's name.
fn without_names(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut run: Option<std::ops::Range<usize>> = None;
    let mut at = 0;
    let mut written = 0;
    for piece in text.split_inclusive(|letter: char| !is_of_a_name(letter)) {
        let word = piece.trim_end_matches(|letter: char| !is_of_a_name(letter));
        let (start, end) = (at, at + word.len());
        at += piece.len();
        let is_name = word.starts_with(char::is_uppercase) && word.contains(char::is_lowercase);
        if is_name {
            run = Some(run.map_or(start, |run| run.start)..end);
        }
        // A run goes on behind one space.
        if is_name && piece.get(word.len()..) == Some(" ") {
            continue;
        }
        let Some(found) = run.take() else { continue };
        let Some(name) = text.get(found.clone()) else { continue };
        if holds_a_name(name) {
            out.push_str(text.get(written..found.start).unwrap_or_default());
            out.push_str(STARS);
            written = found.end;
        }
    }
    out.push_str(text.get(written..).unwrap_or_default());
    out
}

fn is_of_a_name(letter: char) -> bool {
    letter.is_alphabetic() || matches!(letter, '-' | '’')
}

/// Whether two words, one behind the other, are certainly a name.
fn holds_a_name(run: &str) -> bool {
    let words: Vec<&str> = run.split(' ').collect();
    words.windows(2).any(|pair| reads_like_a_name(&pair.join(" ")) == Likeness::Certain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let mut out = Vec::new();
        let applied = look(text.as_bytes(), usize::MAX, &mut Pen::new(None), &mut out);
        let shown = if applied == Applied::Unchanged { text.to_owned() } else { String::from_utf8(out).unwrap() };
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn what_is_quoted_is_a_value() {
        check("((owner <> 'Zoe Quillfeather'::text))", "((owner <> '***'::text))");
        check("(name = 'Quillfeather')", "(name = '***')");
        check("(name = 'zoe'::text)", "(name = '***'::text)");
        check("(pin = '0781051120'::text)", "(pin = '***'::text)");
        check("x = 'O''Hara and ''more''' AND y = 'ab'", "x = '***' AND y = 'ab'");
        check("x = E'it\\'s \\\\' || 'Quill Zoe'", "x = E'***' || '***'");
        check("x = 'Quill", "x = '***");
        check("RETURN $x$Quill of Zoe$x$;", "RETURN $x$***$x$;");
        check("AS $f$ BEGIN x := 'Quill Z'; END $f$", "AS $f$ BEGIN x := '***'; END $f$");
        check("LIKE'Quillfeather'", "LIKE'***'");
    }

    #[test]
    fn what_is_nobodys_stays() {
        for text in [
            "nextval('public.\"Orders_id_seq\"'::regclass)",
            "CHECK ((status = ANY (ARRAY['open'::text, 'paid_late'::text, 'VOID'::text])))",
            "DEFAULT '{}'::jsonb",
            "'00:05:00'::interval",
            "CHECK ((VALUE ~ '^[0-9a-z]+'::text) AND mood = 'good')",
            " SELECT $1 + 2 AS total, 'EUR'::text AS currency FROM orders",
            "-- it doesn't matter, that's John's",
            "Seq Scan on orders  (cost=0.00..1.05 rows=5 width=36)",
            "  Hash Cond: (a.id = b.id)",
            "Nested Loop Left Join",
            "Bitmap Heap Scan, Merge Append, Sort Method: quicksort",
        ] {
            check(text, text);
        }
    }

    #[test]
    fn names_go_from_comments() {
        check("asked by Zoe Quillfeather, who left", "asked by ***, who left");
        check("Zoe Quillfeather", "***");
        check("reach ada@example.com", "reach ***");
    }
}
