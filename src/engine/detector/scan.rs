//! One look at a text for all detectors.
//!
//! Most cells hold nothing, and that has to cost next to nothing. Moments and UUIDs are recognised as such. Of other texts
//! bytes are counted first ([`Census`]): one without `@`, `:` or `$`, with few digits and no long word is done with. What is
//! left is cut into runs of digits and into words, and of each piece two look-ups, by its length and its first byte, say
//! which detectors it can be of: mostly none. `oracle.rs` beside it says the same without any of this, and a test compares
//! the two.

use std::ops::Range;
use std::sync::LazyLock;

use super::census::{Census, Kind, is_capital};
use super::ordinary::is_ordinary;
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
    let bytes = text.as_bytes();
    if is_ordinary(bytes) {
        return;
    }
    let census = Census::of(bytes);
    let sights = &*SIGHTS;
    for sight in sights.texts.iter().filter(|sight| census.covers(sight.signs)) {
        let mut from = 0;
        while let Some(range) = (sight.find)(text, from).filter(|range| range.end > from) {
            from = range.end;
            found.push(Found { range, detector: sight.detector });
        }
    }
    let digits = census.count(Kind::Digit);
    words_with_digits(text, digits, floor, found);
    long_words(text, floor, found);
    if digits >= RUN_MIN {
        runs(text, digits, floor, found);
    }
    // Names and streets are written with capitals, and have another word before the last.
    let first = bytes.first().is_some_and(|byte| is_capital(*byte));
    if census.count(Kind::Capital) > usize::from(first) {
        let capitals = words_with_capital(bytes);
        if capitals > 0 && is_prose(text) {
            names(text, found);
            if digits > 0 && capitals > 1 {
                addresses(text, found);
            }
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

/// How much a whole text looks like a value of each detector, by its place in the list. Those that see nothing in it are
/// left out.
pub(in crate::engine) fn each(text: &str, mut saw: impl FnMut(usize, Likeness)) {
    let text = text.trim();
    let bytes = text.as_bytes();
    let census = Census::of(bytes);
    let sights = &*SIGHTS;
    let mut see = |place, likeness| {
        if likeness > Likeness::No {
            saw(place, likeness);
        }
    };
    let mut digits = [0; DIGITS_MAX];
    if let Some(number) = number_alone(text, &mut digits) {
        for sight in sights.digits.of(number.digits) {
            see(sight.place, (sight.look)(&number));
        }
    }
    if census.count(Kind::Digit) > 0 || text.len() >= MIXED_CELL_MIN {
        let word = Word { text, start: 0, end: memchr::memchr(b' ', bytes).unwrap_or(text.len()) };
        for sight in sights.words.of(word.word().as_bytes()) {
            if let Some((likeness, _)) = (sight.look)(&word).filter(|(_, end)| *end == text.len()) {
                see(sight.place, likeness);
            }
        }
    }
    for sight in sights.texts.iter().filter(|sight| census.covers(sight.signs)) {
        if (sight.find)(text, 0) == Some(0..text.len()) {
            see(sight.place, Likeness::Certain);
        }
    }
    for (place, look) in &sights.cells {
        see(*place, look(text));
    }
}

/// The detectors by how they see, each in the order of their list. Asked of every cell, so not asked for every time.
static SIGHTS: LazyLock<Sights> = LazyLock::new(|| {
    let mut sights = Sights::default();
    for (place, detector) in DETECTORS.iter().copied().enumerate() {
        match detector.sight() {
            Sight::Text { signs, find } => {
                sights.texts.push(TextSight { place, signs: Census::of(signs.as_bytes()), find, detector });
            }
            Sight::Word { length, starts, look } => {
                sights.words.add(Piece { place, look, detector }, |count| length.contains(&count), starts);
            }
            Sight::Digits { count, look } => {
                sights.digits.add(Piece { place, look, detector }, |length| count.contains(&length), |_| true);
            }
            Sight::Cell(look) => sights.cells.push((place, look)),
            Sight::Nowhere => {}
        }
    }
    sights.name = super::named("person_name");
    sights.address = super::named("address");
    sights
});

#[derive(Default)]
struct Sights {
    texts: Vec<TextSight>,
    words: Pieces<LookAtWord>,
    digits: Pieces<LookAtDigits>,
    /// With their places in the list.
    cells: Vec<(usize, LookAtCell)>,
    /// Of names, which are also known within a text.
    name: Option<&'static dyn Detector>,
    /// The same of addresses.
    address: Option<&'static dyn Detector>,
}

type LookAtWord = fn(&Word<'_>) -> Option<(Likeness, usize)>;
type LookAtDigits = fn(&Digits<'_>) -> Likeness;
type LookAtCell = fn(&str) -> Likeness;

/// What is found anywhere in a text.
struct TextSight {
    place: usize,
    /// What must be in the text for that.
    signs: Census,
    find: fn(&str, usize) -> Option<Range<usize>>,
    detector: &'static dyn Detector,
}

/// What sees a piece of a text, by the piece's length and first byte.
struct Pieces<Look> {
    all: Vec<Piece<Look>>,
    /// A bit for each of them, by length; the last stands for all that are longer.
    by_length: [u32; LENGTHS],
    by_first: [u32; 256],
}

struct Piece<Look> {
    place: usize,
    look: Look,
    detector: &'static dyn Detector,
}

/// Lengths that are told apart.
const LENGTHS: usize = 64;

impl<Look> Default for Pieces<Look> {
    fn default() -> Self {
        Self { all: Vec::new(), by_length: [0; LENGTHS], by_first: [0; 256] }
    }
}

impl<Look> Pieces<Look> {
    fn add(&mut self, piece: Piece<Look>, of_length: impl Fn(usize) -> bool, starts: impl Fn(u8) -> bool) {
        let bit = 1 << self.all.len();
        self.all.push(piece);
        let last = LENGTHS - 1;
        for (length, bits) in self.by_length.iter_mut().enumerate() {
            *bits |= if of_length(length) || (length == last && of_length(usize::MAX)) { bit } else { 0 };
        }
        for (first, bits) in (0..=u8::MAX).zip(&mut self.by_first) {
            *bits |= if starts(first) { bit } else { 0 };
        }
    }

    /// Those that may see something in a piece.
    fn of(&self, piece: &[u8]) -> impl Iterator<Item = &Piece<Look>> {
        let length = piece.len().min(LENGTHS - 1);
        let first = piece.first().copied().map_or(0, usize::from);
        let bits = |bits: &[u32], place: usize| bits.get(place).copied().unwrap_or_default();
        let mut left = bits(&self.by_length, length) & bits(&self.by_first, first);
        std::iter::from_fn(move || {
            let next = self.all.get(usize::try_from(left.trailing_zeros()).ok()?)?;
            left &= left.wrapping_sub(1);
            Some(next)
        })
    }
}

/// Whether a byte occurs within names and keys.
fn is_in_word(byte: u8) -> bool {
    IN_WORD.get(usize::from(byte)).copied().unwrap_or_default()
}

static IN_WORD: [bool; 256] = {
    let mut all = [false; 256];
    let mut byte: u8 = 0;
    loop {
        #[expect(clippy::indexing_slicing, reason = "a byte is below 256")]
        {
            all[byte as usize] =
                byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'+' | b'-') || !byte.is_ascii();
        }
        match byte.checked_add(1) {
            Some(next) => byte = next,
            None => break,
        }
    }
    all
};

/// A text that is one number with signs between its digits.
fn number_alone<'a>(text: &'a str, digits: &'a mut [u8; DIGITS_MAX]) -> Option<Digits<'a>> {
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '(')) {
        return None;
    }
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
    let digits = digits.get(..count).filter(|digits| digits.len() >= RUN_MIN)?;
    Some(Digits { text, digits })
}

/// Fewest digits of a number that means a person or an account.
const RUN_MIN: usize = 7;

/// Shortest word without digits that can be a secret.
const WORD_MIN: usize = 16;

/// Shortest word with a digit that can be anything.
const MIXED_MIN: usize = 4;

/// Shortest cell without digits that is a word of some kind.
const MIXED_CELL_MIN: usize = 8;

/// Most groups of digits that are taken together.
const GROUPS_MAX: usize = 8;

/// Most digits of a number.
const DIGITS_MAX: usize = 24;

/// How far before a value the word that names it may stand, in bytes.
const CONTEXT: usize = 40;

/// The words before a value, which may name it. Read when somebody asks, and once.
struct Before<'a> {
    text: &'a str,
    start: usize,
    words: Option<Words>,
}

/// Words in small letters, a space before each and behind the last, and which letters they begin with.
#[derive(Default)]
struct Words {
    text: String,
    letters: u32,
}

impl<'a> Before<'a> {
    fn new(text: &'a str, start: usize) -> Self {
        Self { text, start, words: None }
    }

    /// Whether what is seen counts where it stands.
    fn counts(&mut self, detector: &dyn Detector, likeness: Likeness, floor: Likeness) -> bool {
        likeness >= floor.max(Likeness::Likely)
            || (likeness == Likeness::Possible && floor < Likeness::Certain && self.name(detector))
    }

    /// Whether the words before a value name it.
    fn name(&mut self, detector: &dyn Detector) -> bool {
        if self.start == 0 {
            return false;
        }
        let words = self.words.get_or_insert_with(|| Words::before(self.text, self.start));
        detector.claims().iter().any(|claim| {
            let claimed = claim.bytes().next().map_or(0, letter);
            words.letters & claimed != 0 && words.hold(claim)
        })
    }
}

impl Words {
    fn before(text: &str, start: usize) -> Self {
        let mut from = start.saturating_sub(CONTEXT);
        while !text.is_char_boundary(from) {
            from += 1;
        }
        let before = text.get(from..start).unwrap_or_default().to_lowercase();
        let mut words = Self::default();
        for word in before.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
            words.letters |= word.bytes().next().map_or(0, letter);
            words.text.push(' ');
            words.text.push_str(word);
        }
        words.text.push(' ');
        words
    }

    /// Whether a phrase stands among the words, from the beginning of one to the end of one.
    fn hold(&self, phrase: &str) -> bool {
        let (text, phrase) = (self.text.as_bytes(), phrase.as_bytes());
        memchr::memmem::find_iter(text, phrase).any(|at| {
            let is_space = |at: Option<usize>| at.and_then(|at| text.get(at)) == Some(&b' ');
            is_space(at.checked_sub(1)) && is_space(at.checked_add(phrase.len()))
        })
    }
}

/// A bit for what a word begins with: one for each small letter, and one for all else.
const fn letter(first: u8) -> u32 {
    match first {
        b'a'..=b'z' => 1 << (first - b'a'),
        _ => 1 << 26,
    }
}

/// Words of which one at least is written small: a title or a name of a thing has capitals throughout.
fn is_prose(text: &str) -> bool {
    let small = |word: &[u8]| word.len() > 1 && word.iter().all(|byte| byte.is_ascii_lowercase() || *byte == b',');
    let bytes = text.as_bytes();
    memchr::memchr_iter(b' ', bytes).nth(1).is_some() && bytes.split(|byte| *byte == b' ').any(small)
}

/// Words behind a space that may begin with a capital.
fn words_with_capital(bytes: &[u8]) -> usize {
    let pairs = bytes.iter().zip(bytes.iter().skip(1));
    pairs.filter(|(before, byte)| **before == b' ' && is_capital(**byte)).count()
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
    let bytes = text.as_bytes();
    let is_name = |word: &str| word.len() > 1 && word.starts_with(char::is_uppercase) && word.chars().all(is_in_name);
    // What belongs to a name is not the beginning of another.
    let mut free = 0;
    for space in memchr::memchr_iter(b' ', bytes) {
        let start = memchr::memrchr(b' ', bytes.get(..space).unwrap_or_default()).map_or(0, |before| before + 1);
        if start < free || !bytes.get(space + 1).is_some_and(|byte| is_capital(*byte)) {
            continue;
        }
        let (Some(given), Some(behind)) = (text.get(start..space), text.get(space + 1..)) else { continue };
        let family = behind.split(' ').next().unwrap_or_default();
        // Signs may stand before the one and behind the other: what ends in a sign ends a name.
        let is_sign = |letter: char| !letter.is_alphanumeric();
        let (given, name) = (given.trim_start_matches(is_sign), family.trim_end_matches(is_sign));
        if !given.ends_with(is_sign) && is_name(given) && is_name(name) && person_name::is_given(given) {
            found.push(Found { range: space - given.len()..space + 1 + name.len(), detector });
            free = space + 1 + family.len();
        }
    }
}

fn is_in_name(letter: char) -> bool {
    letter.is_alphabetic() || matches!(letter, '\'' | '’' | '-')
}

/// Words of letters, digits and the signs that occur within names and keys, which have a digit. So many digits are in the
/// text.
fn words_with_digits(text: &str, digits: usize, floor: Likeness, found: &mut Vec<Found>) {
    let bytes = text.as_bytes();
    let mut left = digits;
    let mut word = 0..0;
    while left > 0
        && let Some(digit) = next_digit(bytes, word.end)
    {
        word = word_around(bytes, digit, word.end);
        if word.end < bytes.len() {
            let letters = bytes.get(word.clone()).unwrap_or_default();
            left = left.saturating_sub(letters.iter().filter(|byte| byte.is_ascii_digit()).count());
        }
        if word.len() >= MIXED_MIN {
            look_at(text, word.clone(), floor, found);
        }
    }
}

/// Words that are long enough without a digit. Of so many bytes the last that is in no word says how many can be passed
/// over.
fn long_words(text: &str, floor: Likeness, found: &mut Vec<Found>) {
    let bytes = text.as_bytes();
    // A word may begin here, and none that has not been seen begins before.
    let mut from = 0;
    while let Some(window) = bytes.get(from..from + WORD_MIN) {
        if let Some(gap) = window.iter().rposition(|byte| !is_in_word(*byte)) {
            from += gap + 1;
            continue;
        }
        let end = from + length_while(bytes.get(from..).unwrap_or_default(), is_in_word);
        let has_digit = bytes.get(from..end).unwrap_or_default().iter().any(u8::is_ascii_digit);
        if !has_digit {
            look_at(text, from..end, floor, found);
        }
        from = end;
    }
}

/// The word that the byte at `place` is in, as far as it lies behind `from`.
fn word_around(bytes: &[u8], place: usize, from: usize) -> Range<usize> {
    let (before, behind) = (bytes.get(from..place).unwrap_or_default(), bytes.get(place..).unwrap_or_default());
    let start = before.iter().rposition(|byte| !is_in_word(*byte)).map_or(from, |at| from + at + 1);
    start..place + length_while(behind, is_in_word)
}

/// How many bytes at the beginning are of a kind.
#[inline]
fn length_while(bytes: &[u8], is: impl Fn(u8) -> bool) -> usize {
    bytes.iter().position(|byte| !is(*byte)).unwrap_or(bytes.len())
}

fn next_digit(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    rest.iter().position(u8::is_ascii_digit).map(|at| from + at)
}

/// Asks about a word.
fn look_at(text: &str, word: Range<usize>, floor: Likeness, found: &mut Vec<Found>) {
    let letters = text.as_bytes().get(word.clone()).unwrap_or_default();
    let (Some(lead), Some(last)) =
        (letters.iter().position(u8::is_ascii_alphanumeric), letters.iter().rposition(u8::is_ascii_alphanumeric))
    else {
        return;
    };
    let plain = letters.get(lead..=last).unwrap_or_default();
    if plain.len() < MIXED_MIN || (plain.len() < WORD_MIN && !plain.iter().any(u8::is_ascii_digit)) {
        return;
    }
    let word = Word { text, start: word.start + lead, end: word.start + last + 1 };
    let mut before = Before::new(text, word.start);
    let seen = SIGHTS.words.of(plain).find_map(|sight| {
        let (likeness, end) = (sight.look)(&word)?;
        let detector = sight.detector;
        before.counts(detector, likeness, floor).then_some(Found { range: word.start..end, detector })
    });
    found.extend(seen);
}

/// Rows of groups of digits with signs between them, and within a long row every row of whole groups. So many digits are
/// in the text.
fn runs(text: &str, digits: usize, floor: Likeness, found: &mut Vec<Found>) {
    let bytes = text.as_bytes();
    let mut left = digits;
    let mut from = 0;
    while left >= RUN_MIN
        && let Some(first) = next_digit(bytes, from)
    {
        // Digits in the middle of a word belong to the word.
        let glued = first > 0 && bytes.get(first - 1).is_some_and(|byte| is_letter(*byte));
        let mut row = Row { bytes, next: Some(first), digits: 0, end: first };
        let group = row.next().filter(|_| !glued);
        if row.next.is_some() || row.digits >= RUN_MIN {
            row_of_groups(text, group, &mut row, floor, found);
        }
        left = left.saturating_sub(row.digits);
        from = row.end;
    }
}

const fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || !byte.is_ascii()
}

/// Reads groups of digits with one to three signs between two. A group that a letter follows is not one, and ends it.
struct Row<'a> {
    bytes: &'a [u8],
    next: Option<usize>,
    /// Digits so far.
    digits: usize,
    /// Where the last group ended.
    end: usize,
}

impl Iterator for Row<'_> {
    type Item = Group;

    #[inline]
    fn next(&mut self) -> Option<Group> {
        let start = self.next.take()?;
        let length = length_while(self.bytes.get(start..)?, |byte| byte.is_ascii_digit());
        self.end = start + length;
        self.digits += length;
        let rest = self.bytes.get(self.end..).unwrap_or_default();
        if rest.first().is_some_and(|byte| is_letter(*byte)) {
            return None;
        }
        let is_sign = |byte: u8| matches!(byte, b' ' | b'-' | b'.' | b'/' | b'(' | b')');
        let between = length_while(rest.get(..4).unwrap_or(rest), is_sign);
        let goes_on = (1..=3).contains(&between) && rest.get(between).is_some_and(u8::is_ascii_digit);
        self.next = goes_on.then_some(self.end + between);
        Some(Group { start, length })
    }
}

/// Digits without a sign between them.
#[derive(Clone, Copy, Default)]
struct Group {
    start: usize,
    length: usize,
}

impl Group {
    fn range(self) -> Range<usize> {
        self.start..self.start + self.length
    }
}

/// Looks through a row to its end, as many groups at a time as may be taken together. The first has been read.
fn row_of_groups(text: &str, first: Option<Group>, row: &mut Row<'_>, floor: Likeness, found: &mut Vec<Found>) {
    let mut window = [Group::default(); GROUPS_MAX];
    let mut filled = 0;
    let mut groups = first.into_iter().chain(row);
    loop {
        for (place, group) in window.iter_mut().skip(filled).zip(&mut groups) {
            *place = group;
            filled += 1;
        }
        let seen = longest_number(text, window.get(..filled).unwrap_or_default(), floor);
        // What follows a number, or the groups behind the first, may be another.
        let done = seen.as_ref().map_or(1, |(_, groups)| *groups).min(filled);
        found.extend(seen.map(|(one, _)| one));
        let left = window.get(done..filled).unwrap_or_default();
        if filled < GROUPS_MAX && left.iter().map(|group| group.length).sum::<usize>() < RUN_MIN {
            return;
        }
        window.rotate_left(done);
        filled -= done;
    }
}

/// The longest number that begins with the first of these groups, and of how many of them it is made.
fn longest_number(text: &str, groups: &[Group], floor: Likeness) -> Option<(Found, usize)> {
    let bytes = text.as_bytes();
    let mut digits = [0; DIGITS_MAX];
    let (mut count, mut taken) = (0, 0);
    for group in groups {
        let Some(places) = digits.get_mut(count..count + group.length) else { break };
        places.iter_mut().zip(bytes.get(group.range())?).for_each(|(to, from)| *to = from.wrapping_sub(b'0'));
        count += group.length;
        taken += 1;
    }
    let mut start = groups.first()?.start;
    // A plus or an opening bracket before it belongs to the number.
    for sign in [b'(', b'+', b'('] {
        if start > 0 && bytes.get(start - 1) == Some(&sign) {
            start -= 1;
        }
    }
    let mut before = Before::new(text, start);
    // What is too short only gets shorter.
    while count >= RUN_MIN {
        let last = groups.get(..taken)?.last()?;
        let range = start..last.range().end;
        let seen = Digits { text: text.get(range.clone())?, digits: digits.get(..count)? };
        let mut sights = SIGHTS.digits.of(seen.digits);
        if let Some(sight) = sights.find(|sight| before.counts(sight.detector, (sight.look)(&seen), floor)) {
            return Some((Found { range, detector: sight.detector }, taken));
        }
        count -= last.length;
        taken -= 1;
    }
    None
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
