//! `-v name=value` in SQL: `:name` and `:'name'` become bound values, `:"name"` a quoted identifier.
//!
//! The notation is psql's, the meaning is safer: a value never becomes part of the text, so it cannot change what the
//! text does. The text is split by PostgreSQL's own scanner, so a colon in a string, a comment, a cast or an array slice
//! is left alone.

use std::collections::BTreeMap;

use pg_query::protobuf::Token;

use crate::domain::{Failure, Kind};

/// Parameters of one statement, as the protocol's 16-bit count allows.
const PARAMETERS_MAX: usize = 65_535;

/// One statement, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prepared {
    pub(crate) text: String,
    /// Values of `$1`, `$2`, … in order.
    pub(crate) values: Vec<String>,
}

/// Reads `name=value` as typed on the command line.
pub(crate) fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if is_name(name) => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE, where NAME is letters, digits and `_`".to_owned()),
    }
}

fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The statements of a text, each without its semicolon. Nothing is ever left out: a text that cannot be split is one
/// statement, and the gateway says what is wrong with it.
pub(crate) fn statements(text: &str) -> Vec<&str> {
    let parts = match pg_query::split_with_parser(text) {
        Ok(parts) => parts,
        // Variables are not SQL yet: split at semicolons that stand outside of strings, comments and parentheses.
        Err(_) => split_at_semicolons(text).unwrap_or_else(|| vec![text]),
    };
    parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).collect()
}

fn split_at_semicolons(text: &str) -> Option<Vec<&str>> {
    let scanned = pg_query::scan(text).ok()?;
    let (mut parts, mut from, mut depth) = (Vec::new(), 0, 0i32);
    for token in &scanned.tokens {
        match token.token() {
            Token::Ascii40 => depth += 1,
            Token::Ascii41 => depth -= 1,
            Token::Ascii59 if depth == 0 => {
                let place = span(token)?;
                parts.push(text.get(from..place.start)?);
                from = place.end;
            }
            _ => {}
        }
    }
    parts.push(text.get(from..)?);
    Some(parts)
}

/// Puts variables into a statement. A name nobody set is a mistake, said with what is set.
pub(crate) fn prepare(text: &str, variables: &BTreeMap<String, String>) -> Result<Prepared, Failure> {
    let mut prepared = Prepared { text: String::with_capacity(text.len()), values: Vec::new() };
    let Ok(scanned) = pg_query::scan(text) else {
        prepared.text.push_str(text);
        return Ok(prepared);
    };
    let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
    let mut copied = 0;
    let mut in_brackets = 0i32;
    let tokens: Vec<_> = scanned.tokens.iter().filter_map(|token| Some((token.token(), span(token)?))).collect();
    for pair in tokens.windows(2) {
        let [(first, colon), (kind, word)] = pair else { continue };
        match first {
            Token::Ascii91 => in_brackets += 1,
            Token::Ascii93 => in_brackets -= 1,
            _ => {}
        }
        if *first != Token::Ascii58 {
            continue;
        }
        // A slice `[1 : 2]` has a space or a number behind its colon; a variable has neither.
        if colon.end != word.start {
            continue;
        }
        let shown = text.get(word.clone()).unwrap_or_default();
        let (name, quoting) = match kind {
            Token::Sconst => (shown.trim_matches('\''), Quoting::Value),
            _ if shown.starts_with('"') => (shown.trim_matches('"'), Quoting::Identifier),
            _ if is_name(shown) => (shown, Quoting::Value),
            _ => continue,
        };
        let Some((name, value)) = variables.get_key_value(name) else {
            // `a[lower:upper]` is SQL too.
            if in_brackets > 0 {
                continue;
            }
            return Err(unset(name, variables));
        };
        prepared.text.push_str(text.get(copied..colon.start).unwrap_or_default());
        copied = word.end;
        match quoting {
            Quoting::Identifier => prepared.text.push_str(&format!("\"{}\"", value.replace('"', "\"\""))),
            Quoting::Value => {
                let number = *numbers.entry(name).or_insert_with(|| {
                    prepared.values.push(value.clone());
                    prepared.values.len()
                });
                prepared.text.push_str(&format!("${number}"));
            }
        }
    }
    if prepared.values.len() > PARAMETERS_MAX {
        return Err(Failure::new(Kind::Usage, "the statement has more values than PostgreSQL takes"));
    }
    prepared.text.push_str(text.get(copied..).unwrap_or_default());
    Ok(prepared)
}

#[derive(Clone, Copy)]
enum Quoting {
    Value,
    Identifier,
}

fn span(token: &pg_query::protobuf::ScanToken) -> Option<std::ops::Range<usize>> {
    Some(usize::try_from(token.start).ok()?..usize::try_from(token.end).ok()?)
}

fn unset(name: &str, variables: &BTreeMap<String, String>) -> Failure {
    let known: Vec<&str> = variables.keys().map(String::as_str).collect();
    let detail =
        if known.is_empty() { "No variable is set.".to_owned() } else { format!("Set: {}.", known.join(", ")) };
    Failure::new(Kind::Usage, format!("the variable `{name}` is not set"))
        .detail(detail)
        .hint(format!("add `-v {name}=VALUE`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str, values: &[&str]) {
        let variables =
            BTreeMap::from([("id".to_owned(), "7".to_owned()), ("t".to_owned(), "odd \"name\"".to_owned())]);
        let prepared = prepare(text, &variables).unwrap();
        assert_eq!((prepared.text.as_str(), prepared.values.as_slice()), (expected, values.map_owned().as_slice()));
    }

    trait MapOwned {
        fn map_owned(&self) -> Vec<String>;
    }

    impl MapOwned for [&str] {
        fn map_owned(&self) -> Vec<String> {
            self.iter().map(|value| (*value).to_owned()).collect()
        }
    }

    #[test]
    fn values_are_bound_and_never_spliced() {
        check("select :id, :'id', :id::int", "select $1, $1, $1::int", &["7"]);
        check(r#"select * from :"t" where id = :id"#, r#"select * from "odd ""name""" where id = $1"#, &["7"]);
        check(
            "select ':id', \"a:id\" -- :id\n, $$:id$$ /* :id */",
            "select ':id', \"a:id\" -- :id\n, $$:id$$ /* :id */",
            &[],
        );
        check("select a[1:2], '1'::int, a[lo:hi]", "select a[1:2], '1'::int, a[lo:hi]", &[]);
    }

    #[test]
    fn a_forgotten_variable_is_said() {
        let failure = prepare("select :nope", &BTreeMap::new()).unwrap_err();
        assert!(failure.hint.unwrap().contains("-v nope="));
        assert!(assignment("a b=1").is_err() && assignment("=1").is_err() && assignment("a").is_err());
        assert_eq!(assignment("a=b=c").unwrap(), ("a".to_owned(), "b=c".to_owned()));
    }

    #[test]
    fn texts_are_split_as_the_server_splits_them() {
        assert_eq!(statements("select ';'; select $$;$$ -- ;\n; "), ["select ';'", "select $$;$$ -- ;"]);
        assert_eq!(
            statements("select :id; select f(:a; 1) -- ;\n; select 2"),
            ["select :id", "select f(:a; 1) -- ;", "select 2"]
        );
        assert_eq!(statements("selec 1; drop table t"), ["selec 1", "drop table t"]);
        let atomic = "create function f() returns int begin atomic select 1; select 2; end";
        assert_eq!(statements(&format!("{atomic}; select 3")), [atomic, "select 3"]);
        assert_eq!(statements("\\d"), ["\\d"]);
        assert_eq!(statements("select 'no end"), ["select 'no end"]);
        assert_eq!(statements(" \n"), Vec::<&str>::new());
    }
}
