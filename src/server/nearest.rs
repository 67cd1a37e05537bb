//! The known word that somebody probably meant.

/// Longest word compared, in characters; the work grows with its square.
const LENGTH_MAX: usize = 64;

/// The known word nearest to `typed`, if one is near enough to be a slip of the fingers: at most a third of its
/// characters wrong.
pub(crate) fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if typed.chars().count() > LENGTH_MAX {
        return None;
    }
    known
        .into_iter()
        .filter(|word| word.chars().count() <= LENGTH_MAX)
        .map(|word| (distance(typed, word), word))
        .filter(|(distance, word)| *distance * 3 <= word.chars().count().max(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// How many characters must be added, removed, changed or swapped with their neighbour (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    let mut last_a = None;
    for (row, a) in a.chars().enumerate() {
        let mut current = vec![row + 1];
        let mut last_b = None;
        for (column, b) in b.iter().copied().enumerate() {
            let at = |line: &[usize], index: usize| line.get(index).copied().unwrap_or(usize::MAX / 2);
            let mut best = (at(&above, column) + usize::from(a != b))
                .min(at(&above, column + 1) + 1)
                .min(at(&current, column) + 1);
            if last_a == Some(b) && last_b == Some(a) {
                best = best.min(at(&before, column.wrapping_sub(1)) + 1);
            }
            current.push(best);
            last_b = Some(b);
        }
        before = std::mem::replace(&mut above, current);
        last_a = Some(a);
    }
    above.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_fingers() {
        let known = ["prod-db", "staging-db", "url", "password", "labels"];
        for (typed, expect) in [
            ("prod-bd", Some("prod-db")),
            ("prodb", Some("prod-db")),
            ("proddb", Some("prod-db")),
            ("ulr", Some("url")),
            ("urll", Some("url")),
            ("pasword", Some("password")),
            ("label", Some("labels")),
            ("something", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(nearest(typed, known), expect, "{typed}");
        }
        assert_eq!(nearest(&"a".repeat(10_000), known), None);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("ab", "ba"), 1);
    }
}
