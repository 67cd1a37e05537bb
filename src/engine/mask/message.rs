//! Errors, notices and notifications: what the server says may quote values.
//!
//! The fields that have a meaning for programs stay: severity, SQLSTATE, position, the names of schema, table, column,
//! type and constraint. The texts for people stay as far as they can only hold what the person knows already.

use super::Pen;
use super::text;
use super::treatment::Applied;
use crate::engine::catalog::Catalog;
use crate::engine::detector::Likeness;
use crate::engine::resolve::Exposure;

/// What stands for a value in a message.
const VALUE: &str = "***";

/// What stands for a message of which nothing can be shown.
const HIDDEN: &str = "the message is hidden, because it may hold masked values";

/// Removes values from the fields of a message.
pub(in crate::engine) fn redact(catalog: &Catalog, exposure: Exposure, fields: &mut Vec<(u8, String)>) {
    let has = |code: u8| fields.iter().any(|(have, _)| *have == code);
    // With a position it is about the statement itself: it was found when reading it, before any value was.
    let of_statement = has(b'P') && !has(b'q');
    match exposure {
        Exposure::Anything if !of_statement => {
            fields.retain(|(code, _)| !b"DHWqp".contains(code));
            fields.iter_mut().filter(|(code, _)| *code == b'M').for_each(|(_, text)| HIDDEN.clone_into(text));
        }
        Exposure::Values if !of_statement => {
            let names: Vec<String> =
                fields.iter().filter(|(code, _)| b"stcdn".contains(code)).map(|(_, name)| name.clone()).collect();
            fields.retain(|(code, _)| !b"DWqp".contains(code));
            for (_, text) in fields.iter_mut().filter(|(code, _)| b"MH".contains(code)) {
                *text = without_values(text, &names, catalog);
            }
        }
        Exposure::Anything | Exposure::Values | Exposure::Nothing => {}
    }
    tidy(fields);
}

/// Removes what looks like a value from the texts for people.
pub(in crate::engine) fn tidy(fields: &mut [(u8, String)]) {
    let mut pen = Pen::new(None);
    for (_, shown) in fields.iter_mut().filter(|(code, _)| b"MDHWq".contains(code)) {
        let mut out = Vec::new();
        match text::look(Likeness::Likely, shown.as_bytes(), usize::MAX, &mut pen, &mut out) {
            Applied::Unchanged => {}
            Applied::Written => *shown = String::from_utf8_lossy(&out).into_owned(),
            Applied::Null => VALUE.clone_into(shown),
        }
    }
}

/// A message of the server's own without what it quotes, and without numbers.
///
/// A quoted name stays when the server also gave it as a name, or when it is the only thing quoted and the catalog knows
/// it. A value that has quotes in it could otherwise pass for text between two names.
fn without_values(message: &str, names: &[String], catalog: &Catalog) -> String {
    let is_quote = |letter: char| matches!(letter, '"' | '“' | '”' | '„' | '«' | '»' | '‟');
    let parts: Vec<&str> = message.split(is_quote).collect();
    let quoted: Vec<&str> = parts.iter().skip(1).step_by(2).copied().collect();
    let balanced = parts.len() % 2 == 1;
    let all_named = quoted.iter().all(|part| names.iter().any(|name| name == part));
    let one_known = matches!(quoted.as_slice(), [only] if catalog.names(only));
    if balanced && (all_named || one_known) {
        let kept = parts.iter().enumerate().map(|(index, part)| match index % 2 {
            1 => format!("\"{part}\""),
            _ => without_numbers(part),
        });
        return kept.collect();
    }
    match (parts.split_first(), parts.split_last()) {
        (Some((before, _)), Some((after, _))) if balanced => {
            format!("{}\"{VALUE}\"{}", without_numbers(before), without_numbers(after))
        }
        (Some((before, _)), _) => format!("{}\"{VALUE}\"", without_numbers(before)),
        (None, _) => VALUE.to_owned(),
    }
}

/// Words with digits in them are values, or parts of some.
fn without_numbers(text: &str) -> String {
    let word = |word: &str| match word.find(|letter: char| letter.is_ascii_digit()) {
        Some(_) => {
            let blank = if word.ends_with(' ') { " " } else { "" };
            format!("{VALUE}{blank}")
        }
        None => word.to_owned(),
    };
    text.split_inclusive(' ').map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::catalog::CatalogRelation;
    use crate::engine::classify::Classification;

    fn catalog() -> Catalog {
        let relation = CatalogRelation { oid: 1, name: "customers".to_owned(), ..CatalogRelation::default() };
        Catalog::new(vec![relation], Classification::default())
    }

    fn check(exposure: Exposure, fields: &[(u8, &str)], expected: &[(u8, &str)]) {
        let owned = |fields: &[(u8, &str)]| -> Vec<(u8, String)> {
            fields.iter().map(|(code, text)| (*code, (*text).to_owned())).collect()
        };
        let mut found = owned(fields);
        redact(&catalog(), exposure, &mut found);
        assert_eq!(found, owned(expected), "{exposure:?} {fields:?}");
    }

    #[test]
    fn values_go_and_names_stay() {
        let values = |message: &str, expected: &str| {
            check(Exposure::Values, &[(b'C', "22007"), (b'M', message)], &[(b'C', "22007"), (b'M', expected)]);
        };
        values("invalid input syntax for type date: \"zoe\"", "invalid input syntax for type date: \"***\"");
        values("permission denied for table \"customers\"", "permission denied for table \"customers\"");
        values("\"customers\" x \"customers\"", "\"***\"");
        values("a \"b\" c \"d", "a \"***\"");
        values("character too large for encoding: 187350", "character too large for encoding: ***");
        values("invalid byte sequence: 0xc3 0x28 here", "invalid byte sequence: *** *** here");
        values("division by zero", "division by zero");
        values("invalid value for « DateStyle »: « Zoe »", "invalid value for \"***\"");
    }

    #[test]
    fn constraints_are_named_and_rows_are_not_shown() {
        check(
            Exposure::Values,
            &[(b'C', "23505"), (b'M', "duplicate key in \"k\""), (b'D', "Key (a)=(zoe) exists."), (b'n', "k")],
            &[(b'C', "23505"), (b'M', "duplicate key in \"k\""), (b'n', "k")],
        );
    }

    #[test]
    fn what_is_about_the_statement_stays() {
        let about = [(b'C', "42P01"), (b'M', "relation \"nope\" does not exist"), (b'P', "15")];
        check(Exposure::Values, &about, &about);
        check(Exposure::Anything, &about, &about);
        check(Exposure::Nothing, &about[..2], &about[..2]);
        check(Exposure::Anything, &[(b'C', "P0001"), (b'M', "zoe"), (b'H', "zoe")], &[(b'C', "P0001"), (b'M', HIDDEN)]);
    }

    #[test]
    fn what_looks_like_a_value_goes_everywhere() {
        check(Exposure::Nothing, &[(b'M', "no zoe@mail.example here")], &[(b'M', "no *** here")]);
    }
}
