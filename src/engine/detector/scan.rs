//! One look at a text for all detectors.
//!
//! Which kinds of bytes occur is counted first, in one pass: a cell with hardly a digit, no `@` and no long word is done
//! with, and nobody is asked about what lacks the signs they need. What is left is cut into runs of digits and into words
//! once, and each detector is asked only about pieces of its kind.

use std::ops::Range;
use std::sync::LazyLock;

use super::{DETECTORS, Detector, Digits, Likeness, Sight, Word, address, person_name};

/// A value in a text.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Found {
    pub(in crate::engine) range: Range<usize>,
    pub(in crate::engine) detector: &'static dyn Detector,
}

/// Finds the values in `text` that look at least so likely, in order and without overlaps.
pub(in crate::engine) fn scan(text: &str, floor: Likeness, found: &mut Vec<Found>) {
    found.clear();
    let Census { digits, kinds } = Census::of(text.as_bytes());
    if digits < DIGITS_MIN && text.len() < WORD_MIN && kinds & AT == 0 {
        return;
    }
    for (needle, sign, find, detector) in &SIGHTS.texts {
        // Nearly every text lacks the first byte of a needle.
        let lacks = *sign != 0 && kinds & sign == 0;
        if lacks || (needle.len() > 1 && !text.contains(needle)) {
            continue;
        }
        let mut from = 0;
        while let Some(range) = find(text, from).filter(|range| range.end > from) {
            from = range.end;
            found.push(Found { range, detector: *detector });
        }
    }
    if digits >= DIGITS_MIN || text.len() >= WORD_MIN {
        words(text, floor, found);
    }
    if digits >= RUN_MIN {
        runs(text, floor, found);
    }
    // Names and streets are written with capitals.
    if kinds & CAPITAL != 0 && is_prose(text) {
        names(text, found);
        if digits > 0 {
            addresses(text, found);
        }
    }
    if found.len() > 1 {
        // Of two that overlap, the one that begins first is kept, and of those the longest.
        found.sort_by_key(|one| (one.range.start, usize::MAX - one.range.end));
        let mut end = 0;
        found.retain(|one| {
            let keep = one.range.start >= end;
            end = if keep { one.range.end } else { end };
            keep
        });
    }
}

/// The detectors by how they see, each in the order of their list. Asked of every cell, so not asked for every time.
static SIGHTS: LazyLock<Sights> = LazyLock::new(|| {
    let mut sights = Sights::default();
    for detector in DETECTORS {
        match detector.sight() {
            Sight::Text { needle, find } => {
                let first = needle.as_bytes().first().copied().unwrap_or_default();
                sights.texts.push((needle, kinds_of(first) & SIGNS, find, *detector));
            }
            Sight::Word(look) => sights.words.push((look, *detector)),
            Sight::Digits(look) => sights.digits.push((look, *detector)),
            Sight::Nowhere | Sight::Cell(_) => {}
        }
    }
    sights.name = super::named("person_name");
    sights.address = super::named("address");
    sights
});

#[derive(Default)]
struct Sights {
    /// Also the kind of the needle's first byte.
    texts: Vec<(&'static str, u8, FindText, &'static dyn Detector)>,
    words: Vec<(LookAtWord, &'static dyn Detector)>,
    digits: Vec<(LookAtDigits, &'static dyn Detector)>,
    /// Of names, which are also known within a text.
    name: Option<&'static dyn Detector>,
    /// The same of addresses.
    address: Option<&'static dyn Detector>,
}

type FindText = fn(&str, usize) -> Option<Range<usize>>;
type LookAtWord = fn(&Word<'_>) -> Option<(Likeness, usize)>;
type LookAtDigits = fn(&Digits<'_>) -> Likeness;

/// What bytes a text is made of.
#[derive(Clone, Copy, Debug, Default)]
struct Census {
    digits: usize,
    /// Which kinds occur.
    kinds: u8,
}

impl Census {
    fn of(bytes: &[u8]) -> Self {
        let add = |sum: Self, byte: &u8| {
            let kinds = kinds_of(*byte);
            Self { digits: sum.digits + usize::from(kinds & DIGIT), kinds: sum.kinds | kinds }
        };
        bytes.iter().fold(Self::default(), add)
    }
}

/// Kinds of bytes. A byte is of several.
const DIGIT: u8 = 1;
/// A letter or digit.
const PLAIN: u8 = 1 << 1;
/// What occurs within names and keys.
const WORD: u8 = 1 << 2;
/// What may begin a capital letter.
const CAPITAL: u8 = 1 << 3;
/// Signs that needles begin with. What begins with another is looked for in every text.
const AT: u8 = 1 << 4;
const COLON: u8 = 1 << 5;
const DOLLAR: u8 = 1 << 6;
const DASH: u8 = 1 << 7;
const SIGNS: u8 = AT | COLON | DOLLAR | DASH;

fn kinds_of(byte: u8) -> u8 {
    KINDS.get(usize::from(byte)).copied().unwrap_or_default()
}

static KINDS: [u8; 256] = {
    let mut kinds = [0; 256];
    let mut byte: u8 = 0;
    loop {
        #[expect(clippy::indexing_slicing, reason = "a byte is below 256")]
        let kind: &mut u8 = &mut kinds[byte as usize];
        *kind = match byte {
            b'0'..=b'9' => DIGIT | PLAIN | WORD,
            b'A'..=b'Z' => PLAIN | WORD | CAPITAL,
            b'a'..=b'z' => PLAIN | WORD,
            0x80.. => WORD | CAPITAL,
            b'-' => WORD | DASH,
            b'_' | b'.' | b'+' => WORD,
            b'@' => AT,
            b':' => COLON,
            b'$' => DOLLAR,
            _ => 0,
        };
        match byte.checked_add(1) {
            Some(next) => byte = next,
            None => break,
        }
    }
    kinds
};

/// How much a whole text looks like a value of each detector, by its place in the list. Those that see nothing in it are
/// left out.
pub(in crate::engine) fn each(text: &str, mut saw: impl FnMut(usize, Likeness)) {
    let text = text.trim();
    let mut digits = [0; DIGITS_MAX];
    let number = number_alone(text, &mut digits);
    let word = Word { text, start: 0, end: text.find(' ').unwrap_or(text.len()) };
    let digit = text.bytes().any(|byte| byte.is_ascii_digit());
    for (index, detector) in DETECTORS.iter().enumerate() {
        let likeness = match (detector.sight(), &number) {
            (Sight::Digits(look), Some(number)) => look(number),
            (Sight::Word(look), _) if digit || text.len() >= 8 => match look(&word) {
                Some((likeness, end)) if end == text.len() => likeness,
                _ => Likeness::No,
            },
            (Sight::Text { needle, find }, _) if text.contains(needle) => match find(text, 0) {
                Some(range) if range == (0..text.len()) => Likeness::Certain,
                _ => Likeness::No,
            },
            (Sight::Cell(look), _) => look(text),
            (Sight::Digits(_) | Sight::Word(_) | Sight::Text { .. } | Sight::Nowhere, _) => Likeness::No,
        };
        if likeness > Likeness::No {
            saw(index, likeness);
        }
    }
}

/// A text that is one number with signs between its digits.
fn number_alone<'a>(text: &'a str, digits: &'a mut [u8; DIGITS_MAX]) -> Option<Digits<'a>> {
    let mut count = 0;
    // An extension behind a telephone number is no part of it.
    let text = text
        .split_once(" x")
        .or_else(|| text.split_once('x'))
        .or_else(|| text.split_once(" ext"))
        .map_or(text, |(number, _)| number);
    for byte in text.bytes() {
        match (byte, digits.get_mut(count)) {
            (b'0'..=b'9', Some(digit)) => {
                *digit = byte - b'0';
                count += 1;
            }
            (b'+' | b'(' | b')' | b' ' | b'-' | b'.' | b'/', _) => {}
            _ => return None,
        }
    }
    let starts = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '('));
    let digits = digits.get(..count).filter(|digits| digits.len() >= RUN_MIN && starts)?;
    Some(Digits { text, digits })
}

/// Fewest digits of anything that is not a word of some length.
const DIGITS_MIN: usize = 4;

/// Fewest digits of a number that means a person or an account.
const RUN_MIN: usize = 7;

/// Shortest word without digits that can be a secret.
const WORD_MIN: usize = 16;

/// Shortest word with a digit that can be anything.
const MIXED_MIN: usize = 4;

/// Most groups of digits that are taken together.
const GROUPS_MAX: usize = 8;

/// Most digits of a number.
const DIGITS_MAX: usize = 24;

/// How far before a value the word that names it may stand, in bytes.
const CONTEXT: usize = 40;

/// Whether what is seen counts where it stands.
fn counts(detector: &dyn Detector, likeness: Likeness, floor: Likeness, text: &str, start: usize) -> bool {
    likeness >= floor.max(Likeness::Likely)
        || (likeness == Likeness::Possible && floor < Likeness::Certain && is_named(detector, text, start))
}

/// Whether the words before a value name it.
fn is_named(detector: &dyn Detector, text: &str, start: usize) -> bool {
    let mut from = start.saturating_sub(CONTEXT);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let before = text.get(from..start).unwrap_or_default().to_lowercase();
    let words: Vec<&str> = before.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    detector.claims().iter().any(|claim| {
        let length = claim.split(' ').count();
        words.windows(length).any(|window| window.iter().copied().eq(claim.split(' ')))
    })
}

/// Words of which one at least is written small: a title or a name of a thing has capitals throughout.
fn is_prose(text: &str) -> bool {
    let small = |word: &str| word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b',');
    text.bytes().filter(|byte| *byte == b' ').count() > 1 && text.split(' ').any(small)
}

/// A house number, words with capitals, and the last of them a word for a street.
fn addresses(text: &str, found: &mut Vec<Found>) {
    let Some(detector) = SIGHTS.address else { return };
    let words: Vec<(usize, &str)> =
        text.split(' ').map(|word| (word.as_ptr().addr() - text.as_ptr().addr(), word)).collect();
    for (index, (start, word)) in words.iter().enumerate() {
        let is_number = (1..=5).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number {
            continue;
        }
        let behind = words.iter().skip(index + 1).take(STREET_WORDS_MAX);
        let named = behind.take_while(|(_, word)| word.starts_with(char::is_uppercase));
        let street = named.skip(1).filter_map(|(at, word)| {
            let plain = word.trim_end_matches(|c: char| !c.is_alphanumeric());
            address::is_street(&plain.to_lowercase()).then_some(at + plain.len())
        });
        found.extend(street.last().map(|end| Found { range: *start..end, detector }));
    }
}

/// Most words of a street's name.
const STREET_WORDS_MAX: usize = 5;

/// A known given name and another word with a capital behind it.
fn names(text: &str, found: &mut Vec<Found>) {
    let Some(detector) = SIGHTS.name else { return };
    let is_name = |word: &str| word.len() > 1 && word.starts_with(char::is_uppercase) && word.chars().all(is_in_name);
    let mut before: Option<Range<usize>> = None;
    for word in text.split(' ') {
        let start = word.as_ptr().addr() - text.as_ptr().addr();
        let plain = word.trim_matches(|c: char| !c.is_alphanumeric());
        let lead = word.find(plain).unwrap_or(0);
        let range = start + lead..start + lead + plain.len();
        // What ends in a sign ends a name.
        let open = lead + plain.len() == word.len();
        let capital = is_name(plain);
        match before.take().filter(|_| capital && lead == 0) {
            Some(given) => found.push(Found { range: given.start..range.end, detector }),
            None if capital && open && person_name::is_given(plain) => before = Some(range),
            None => {}
        }
    }
}

fn is_in_name(letter: char) -> bool {
    letter.is_alphabetic() || matches!(letter, '\'' | '’' | '-')
}

/// Words of letters, digits and the signs that occur within names and keys.
fn words(text: &str, floor: Likeness, found: &mut Vec<Found>) {
    let bytes = text.as_bytes();
    let mut rest = bytes;
    while !rest.is_empty() {
        let mut kinds = 0;
        let length = rest.iter().take_while(|byte| {
            let kind = kinds_of(**byte);
            kinds |= kind;
            kind & WORD != 0
        });
        let length = length.count();
        let (word, behind) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        // The byte that ends a word is none of its own, and is no digit.
        if length >= WORD_MIN || (length >= MIXED_MIN && kinds & DIGIT != 0) {
            look_at(text, word, bytes.len() - rest.len(), floor, found);
        }
        rest = behind.get(1..).unwrap_or_default();
    }
}

/// Asks about the word that stands at `start`.
fn look_at(text: &str, word: &[u8], start: usize, floor: Likeness, found: &mut Vec<Found>) {
    let is_outside = |byte: &&u8| kinds_of(**byte) & PLAIN == 0;
    let trail = word.iter().rev().take_while(is_outside).count();
    let lead = word.iter().take_while(is_outside).count();
    let plain = word.len().saturating_sub(trail + lead);
    if plain < MIXED_MIN || (plain < WORD_MIN && !word.iter().any(u8::is_ascii_digit)) {
        return;
    }
    let word = Word { text, start: start + lead, end: start + lead + plain };
    let seen = SIGHTS.words.iter().find_map(|(look, detector)| {
        let (likeness, end) = look(&word)?;
        let range = word.start..end;
        counts(*detector, likeness, floor, text, word.start).then_some(Found { range, detector: *detector })
    });
    found.extend(seen);
}

/// Runs of digits with signs between them, and within a long run every row of whole groups.
fn runs(text: &str, floor: Likeness, found: &mut Vec<Found>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(first) = bytes.get(at..).and_then(|rest| rest.iter().position(u8::is_ascii_digit)) {
        let first = at + first;
        let (groups, end) = groups(bytes, first);
        let glued = first > 0 && bytes.get(first - 1).is_some_and(|byte| is_letter(*byte));
        // Digits in the middle of a word belong to the word.
        let skip = usize::from(glued);
        row_of_groups(text, groups.get(skip..).unwrap_or_default(), floor, found);
        at = end;
    }
}

fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'_' | 0x80..)
}

/// The groups of digits from `first` on, and where the last ends. A group that a letter follows is not one.
fn groups(bytes: &[u8], first: usize) -> (Vec<Range<usize>>, usize) {
    let mut groups = Vec::new();
    let mut start = first;
    loop {
        let length = bytes.get(start..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit()).count();
        let end = start + length;
        if bytes.get(end).is_some_and(|byte| is_letter(*byte)) {
            return (groups, end);
        }
        groups.push(start..end);
        let rest = bytes.get(end..).unwrap_or_default();
        let between =
            rest.iter().take(4).take_while(|byte| matches!(byte, b' ' | b'-' | b'.' | b'/' | b'(' | b')')).count();
        let goes_on = (1..=3).contains(&between) && rest.get(between).is_some_and(u8::is_ascii_digit);
        if !goes_on {
            return (groups, end);
        }
        start = end + between;
    }
}

fn row_of_groups(text: &str, groups: &[Range<usize>], floor: Likeness, found: &mut Vec<Found>) {
    let mut index = 0;
    while index < groups.len() {
        let longest = (groups.len() - index).min(GROUPS_MAX);
        let taken = (1..=longest).rev().find(|count| {
            let window = groups.get(index..index + count).unwrap_or_default();
            number(text, window, floor).is_some_and(|one| {
                found.push(one);
                true
            })
        });
        index += taken.unwrap_or(1);
    }
}

/// Asks about one row of groups.
fn number(text: &str, groups: &[Range<usize>], floor: Likeness) -> Option<Found> {
    let count: usize = groups.iter().map(ExactSizeIterator::len).sum();
    if !(RUN_MIN..=DIGITS_MAX).contains(&count) {
        return None;
    }
    let bytes = text.as_bytes();
    let mut digits = [0; DIGITS_MAX];
    let all = groups.iter().cloned().flatten().filter_map(|at| bytes.get(at));
    digits.iter_mut().zip(all).for_each(|(to, from)| *to = from.wrapping_sub(b'0'));
    let digits = digits.get(..count)?;
    let mut start = groups.first()?.start;
    // A plus or an opening bracket before it belongs to the number.
    for sign in [b'(', b'+', b'('] {
        if start > 0 && bytes.get(start - 1) == Some(&sign) {
            start -= 1;
        }
    }
    let range = start..groups.last()?.end;
    let seen = Digits { text: text.get(range.clone())?, digits };
    let sees = |(look, detector): &&(LookAtDigits, &'static dyn Detector)| {
        counts(*detector, look(&seen), floor, text, range.start)
    };
    let (_, detector) = SIGHTS.digits.iter().find(sees)?;
    Some(Found { range, detector: *detector })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, floor: Likeness, expected: &[(&str, &str)]) {
        let mut found = Vec::new();
        scan(text, floor, &mut found);
        let found: Vec<_> =
            found.iter().map(|one| (one.detector.name(), text.get(one.range.clone()).unwrap())).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn values_in_texts() {
        check("", Likeness::Likely, &[]);
        check("nothing to see", Likeness::Likely, &[]);
        check(
            "write to ada@example.com or bob@example.org",
            Likeness::Likely,
            &[("email", "ada@example.com"), ("email", "bob@example.org")],
        );
        check(
            "card 4111 1111 1111 1111 5555 5555 5555 4444.",
            Likeness::Likely,
            &[("card", "4111 1111 1111 1111"), ("card", "5555 5555 5555 4444")],
        );
        check("call (212) 555-0123 now", Likeness::Likely, &[("phone", "(212) 555-0123")]);
        check("call +47 22 12 34 56", Likeness::Certain, &[("phone", "+47 22 12 34 56")]);
        check("ssn 536228571", Likeness::Likely, &[("us_ssn", "536228571")]);
        check("order 536228571", Likeness::Likely, &[]);
        check("4111111111111111", Likeness::Certain, &[]);
        check("x4111111111111111", Likeness::Likely, &[]);
        check(
            "pay to DE89 3704 0044 0532 0130 00 today",
            Likeness::Certain,
            &[("iban", "DE89 3704 0044 0532 0130 00")],
        );
        check("met Maria Blorp, then left", Likeness::Likely, &[("person_name", "Maria Blorp")]);
        check("she moved to 17 Larkspur Hollow Rd, now", Likeness::Certain, &[("address", "17 Larkspur Hollow Rd")]);
        check("Maria Wooden Chair", Likeness::Likely, &[]);
        check("The Widget Maria. Blorp", Likeness::Likely, &[]);
        check("2026-01-01 12:30:00.123456", Likeness::Likely, &[]);
        check("3f2504e0-4f89-11d3-9a0c-0305e82c3301", Likeness::Likely, &[]);
    }
}
