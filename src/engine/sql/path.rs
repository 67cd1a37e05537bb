//! The text form of a list of names, as `search_path` is written in a string.

use super::fact::Value;

/// Splits a list of names the way the server's `SplitIdentifierString` does: names without quotes are folded, double
/// quotes keep case and commas. A list that the server would refuse is unknown.
pub(crate) fn words(text: &str) -> Value {
    let mut words: Vec<Box<str>> = Vec::new();
    let mut rest = text.trim_start_matches(is_space);
    if rest.is_empty() {
        return Value::Words(words);
    }
    loop {
        let (word, after) = match rest.strip_prefix('"') {
            Some(quoted) => match unquote(quoted) {
                Some(found) => found,
                None => return Value::Unknown,
            },
            None => {
                let end = rest.find(|c: char| c == ',' || is_space(c)).unwrap_or(rest.len());
                let (word, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
                if word.is_empty() {
                    return Value::Unknown;
                }
                (word.to_ascii_lowercase(), after)
            }
        };
        words.push(word.into());
        rest = after.trim_start_matches(is_space);
        match rest.strip_prefix(',') {
            Some(next) => rest = next.trim_start_matches(is_space),
            None if rest.is_empty() => return Value::Words(words),
            None => return Value::Unknown,
        }
    }
}

/// The name before the closing quote, and what comes after it. Two quotes stand for one.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut word = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once('"')?;
        word.push_str(before);
        match after.strip_prefix('"') {
            Some(next) => {
                word.push('"');
                rest = next;
            }
            None => return Some((word, after)),
        }
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0c' | '\x0b')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_names() {
        let check = |text: &str, expected: Option<&[&str]>| {
            let expected = expected
                .map_or(Value::Unknown, |words| Value::Words(words.iter().map(|word| (*word).into()).collect()));
            assert_eq!(words(text), expected, "{text}");
        };
        check("", Some(&[]));
        check("  ", Some(&[]));
        check("public", Some(&["public"]));
        check("\"$user\", public", Some(&["$user", "public"]));
        check("Public , \"Mixed \"\"Case\"\", x\"", Some(&["public", "Mixed \"Case\", x"]));
        check("a b", None);
        check("a,", None);
        check(",a", None);
        check("\"open", None);
    }
}
