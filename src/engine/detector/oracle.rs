//! What [`scan`] and [`each`](super::each) must find, said in the plainest way: no counting first, nobody left out, a new
//! search for every question. Thousands of times slower, and the judge of the fast way.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::scan::{Found, each, scan};
use super::{DETECTORS, Detector, Digits, Likeness, Sight, Word, address, person_name};
use crate::domain::Chance;

/// What stands in a text, by the same rules as [`scan`].
fn slow_scan(text: &str, floor: Likeness) -> Vec<(Range<usize>, &'static str)> {
    let mut found = Vec::new();
    if UUID.is_match(text) {
        return Vec::new();
    }
    for detector in DETECTORS {
        let Sight::Text { signs, find } = detector.sight() else { continue };
        let mut from = 0;
        while let Some(range) = find(text, from).filter(|range| has(text, signs) && range.end > from) {
            from = range.end;
            found.push((range, detector.name()));
        }
    }
    for word in WORD.find_iter(text) {
        let plain = word.as_str().trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let start = word.start() + word.as_str().find(plain).unwrap();
        let has_digit = plain.contains(|c: char| c.is_ascii_digit());
        if plain.len() >= 16 || (plain.len() >= 4 && has_digit) {
            found.extend(slow_word(&Word { text, start, end: start + plain.len() }, floor));
        }
    }
    for row in rows(text) {
        let mut rest = row.as_slice();
        while !rest.is_empty() {
            let longest = (1..=rest.len().min(8)).rev();
            let mut taken = longest.filter_map(|count| Some((slow_number(text, &rest[..count], floor)?, count)));
            let next = taken.next();
            rest = &rest[next.as_ref().map_or(1, |(_, count)| *count)..];
            found.extend(next.map(|(number, _)| number));
        }
    }
    // Prose: more than two words, and one of them all in small letters.
    let small = |word: &str| word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b',');
    if text.split(' ').count() > 2 && text.split(' ').any(small) {
        found.extend(slow_names(text).into_iter().map(|range| (range, "person_name")));
        found.extend(slow_addresses(text).into_iter().map(|range| (range, "address")));
    }
    found.sort_by_key(|(range, _)| (range.start, usize::MAX - range.end));
    let mut kept: Vec<(Range<usize>, &str)> = Vec::new();
    for one in found {
        if kept.last().is_none_or(|last| one.0.start >= last.0.end) {
            kept.push(one);
        }
    }
    kept
}

/// Whether each of these signs is in a text, and so often.
fn has(text: &str, signs: &str) -> bool {
    signs.chars().all(|sign| text.matches(sign).count() >= signs.matches(sign).count())
}

static UUID: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("^(?i:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$").unwrap());

/// What keys, names and numbers are written with.
static WORD: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"[0-9A-Za-z_.+\u{80}-\u{10ffff}-]+").unwrap());

fn slow_word(word: &Word<'_>, floor: Likeness) -> Option<(Range<usize>, &'static str)> {
    DETECTORS.iter().find_map(|detector| {
        let Sight::Word { look, .. } = detector.sight() else { return None };
        let (likeness, end) = look(word)?;
        slow_counts(*detector, likeness, floor, word.text, word.start).then(|| (word.start..end, detector.name()))
    })
}

/// Rows of groups of digits with one to three signs between two. A group that a letter touches is none of a row; only
/// the first and the last can be touched, because between others are signs.
fn rows(text: &str) -> Vec<Vec<Range<usize>>> {
    static ROW: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"[0-9]+(?:[ ./()-]{1,3}[0-9]+)*").unwrap());
    static GROUP: LazyLock<Regex> = LazyLock::new(|| Regex::new("[0-9]+").unwrap());
    let is_letter = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii());
    let touched = |group: &Range<usize>| {
        is_letter(part(text, 0..group.start).chars().next_back())
            || is_letter(part(text, group.end..text.len()).chars().next())
    };
    let groups = |row: regex::Match<'_>| {
        let groups = GROUP.find_iter(row.as_str());
        let groups = groups.map(|group| row.start() + group.start()..row.start() + group.end());
        groups.filter(|group| !touched(group)).collect()
    };
    ROW.find_iter(text).map(groups).collect()
}

fn slow_number(text: &str, groups: &[Range<usize>], floor: Likeness) -> Option<(Range<usize>, &'static str)> {
    let digits: Vec<u8> = groups.iter().flat_map(|group| part(text, group.clone()).bytes()).map(|b| b - b'0').collect();
    if !(7..=24).contains(&digits.len()) {
        return None;
    }
    let before = part(text, 0..groups[0].start);
    let before = before.strip_suffix('(').unwrap_or(before);
    let before = before.strip_suffix('+').unwrap_or(before);
    let before = before.strip_suffix('(').unwrap_or(before);
    let range = before.len()..groups[groups.len() - 1].end;
    let seen = Digits { text: part(text, range.clone()), digits: &digits };
    let detector = DETECTORS.iter().find(|detector| match detector.sight() {
        Sight::Digits { look, .. } => slow_counts(**detector, look(&seen), floor, text, range.start),
        _ => false,
    })?;
    Some((range, detector.name()))
}

/// Likely enough by itself; or possible, and one of the words for it stands in the forty bytes before.
fn slow_counts(detector: &dyn Detector, likeness: Likeness, floor: Likeness, text: &str, start: usize) -> bool {
    if likeness >= Likeness::Likely {
        return likeness >= floor;
    }
    let mut from = start.saturating_sub(40);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let before = part(text, from..start).to_lowercase();
    let words: Vec<&str> = before.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let before = format!(" {} ", words.join(" "));
    let is_named = detector.claims().iter().any(|claim| before.contains(&format!(" {claim} ")));
    likeness == Likeness::Possible && floor < Likeness::Certain && is_named
}

/// A known given name, and right behind it a word with a capital.
fn slow_names(text: &str) -> Vec<Range<usize>> {
    let words = words(text);
    let mut found = Vec::new();
    let mut index = 0;
    while let Some([(start, word), (next_start, next)]) = words.get(index..index + 2) {
        index += 1;
        let (given, family) = (plain(word), plain(next));
        let is_name = |word: &str| {
            let letters = |c: char| c.is_alphabetic() || matches!(c, '\'' | '’' | '-');
            word.len() > 1 && word.starts_with(char::is_uppercase) && word.chars().all(letters)
        };
        let touch = word.ends_with(given) && next.starts_with(family);
        if touch && is_name(given) && is_name(family) && person_name::is_given(given) {
            found.push(start + word.len() - given.len()..next_start + family.len());
            index += 1;
        }
    }
    found
}

/// A house number, words with capitals, and the last of them a word for a street.
fn slow_addresses(text: &str) -> Vec<Range<usize>> {
    let words = words(text);
    let mut found = Vec::new();
    for (index, (start, number)) in words.iter().enumerate() {
        if !(1..=5).contains(&number.len()) || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let mut end = None;
        for (place, (at, word)) in words[index + 1..].iter().take(5).enumerate() {
            if !word.starts_with(char::is_uppercase) {
                break;
            }
            let word = word.trim_end_matches(|c: char| !c.is_alphanumeric());
            if place > 0 && address::is_street(&word.to_lowercase()) {
                end = Some(at + word.len());
            }
        }
        found.extend(end.map(|end| *start..end));
    }
    found
}

fn part(text: &str, range: Range<usize>) -> &str {
    text.get(range).unwrap()
}

/// Words between single spaces, and where they stand.
fn words(text: &str) -> Vec<(usize, &str)> {
    let mut start = 0;
    let place = |word| {
        let place = start;
        start += str::len(word) + 1;
        (place, word)
    };
    text.split(' ').map(place).collect()
}

fn plain(word: &str) -> &str {
    word.trim_matches(|c: char| !c.is_alphanumeric())
}

/// How much a whole text looks like a value of each detector that sees anything in it.
fn slow_each(text: &str) -> Vec<(usize, Likeness)> {
    let text = text.trim();
    let cut = [" x", "x", " ext"].iter().find_map(|sign| text.split_once(sign)).map_or(text, |(number, _)| number);
    let digits: Vec<u8> = cut.bytes().filter(u8::is_ascii_digit).map(|byte| byte - b'0').collect();
    let is_number = cut.chars().all(|c| c.is_ascii_digit() || "+() -./".contains(c))
        && cut.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '('))
        && (7..=24).contains(&digits.len());
    let word = Word { text, start: 0, end: text.split(' ').next().unwrap().len() };
    let is_word = text.len() >= 8 || text.contains(|c: char| c.is_ascii_digit());
    let likeness = |detector: &dyn Detector| match detector.sight() {
        Sight::Digits { look, .. } if is_number => look(&Digits { text: cut, digits: &digits }),
        Sight::Word { look, .. } if is_word => match look(&word) {
            Some((likeness, end)) if end == text.len() => likeness,
            _ => Likeness::No,
        },
        Sight::Text { signs, find } if has(text, signs) && find(text, 0) == Some(0..text.len()) => Likeness::Certain,
        Sight::Cell(look) => look(text),
        _ => Likeness::No,
    };
    let all = DETECTORS.iter().enumerate().map(|(place, detector)| (place, likeness(*detector)));
    all.filter(|(_, likeness)| *likeness > Likeness::No).collect()
}

/// Values of all kinds, and of no kind.
const VALUES: &[&str] = &[
    "ada@example.com",
    "'zoë.o'neil+x@пример.рф",
    "person7@mail.example.org",
    "4111 1111 1111 1111",
    "4111111111111111",
    "5555-5555-5555-4444",
    "378282246310005",
    "+47 22 12 34 56",
    "(212) 555-0123",
    "1-212-555-0123",
    "01 42 68 53 00",
    "0049 30 901820",
    "536-22-8571",
    "536228571",
    "756.1234.5678.97",
    "390.533.447-05",
    "39053344705",
    "11.222.333/0001-81",
    "046 454 286",
    "046454286",
    "44051401359",
    "02070803628",
    "85.07.30-033.28",
    "1 80 12 75 123 456 71",
    "180127512345671",
    "943 476 5919",
    "9434765919",
    "2341 2341 2346",
    "111222333",
    "123456782",
    "021000021",
    "070172-1234",
    "811218-9876",
    "198112189876",
    "860824655",
    "10000000146",
    "8001015009087",
    "820701-2409184",
    "490154203237518",
    "11010519491231002X",
    "110105194912310021",
    "RSSMRA85T10A562S",
    "BADD110313HCMLNS09",
    "131052-308T",
    "12345678Z",
    "X1234567L",
    "AB123456C",
    "AB 12 34 56 C",
    "ABCPE1234F",
    "1HGBH41JXMN109186",
    "1M8GDM9AXKP042788",
    "DEUTDEFF",
    "DEUTDEFF500",
    "DE89 3704 0044 0532 0130 00",
    "DE89370400440532013000",
    "no9386011117947",
    "203.0.113.77",
    "10.1.2.3",
    "10.0.0.0/8",
    "2001:db8::17",
    "fe80::1:2",
    "2001:0db8:0000:0000:0000:ff00:0042:8329",
    "00:1b:44:11:3a:b7",
    "AKIAIOSFODNN7EXAMPLE",
    "AKIAIOSFODNNTEXAMPLE",
    "AIzaSyA1234567890abcdefghijklmnopqrstuvw",
    "ya29.a0AfH6SMBx1234567890abcdefghijklmnop",
    "ghp_0123456789abcdefghijABCDEFGHIJ012345",
    "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
    "xoxb-123456789012-abcdefABCDEF",
    "glpat-abcDEF1234567890abcd",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
    "eyJhbGciOiJIUzI1NiJ9",
    "0x52908400098527886E0F7030069857D2E4169EE7",
    "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq",
    "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2",
    "$2b$12$EixZaYVK1fsbw1ZfbX3OXePaWxn96p36WQoeG6Lruj3vjPGga31lW",
    "pbkdf2_sha256$260000$abcdefgh$0123456789abcdef=",
    "$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/",
    "scrypt:32768:8:1$saltsaltsalt$0123456789",
    "postgres://app:s3cret@db.internal:5432/x?y=1",
    "https://example.org/a@b",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----",
    "-----BEGIN CERTIFICATE-----",
    "-----BEGIN PRIVATE KEY-----",
    "aB3dE5gH7jK9mN1pQ3sT5vW7",
    "Maria Blorp",
    "(Maria Blorp)",
    "José O'Brien",
    "Anna-Lena Müller",
    "Maria. Blorp",
    "17 Larkspur Hollow Rd",
    "5 Rue Victor Hugo",
    "maria.smith",
    "李小龙",
    "01129910042",
    "011299 10042",
    "19811218-9876",
    "2 55 08 14 168 025 38",
    "255081416802538",
    "756.9217.0769.85",
    "7569217076985",
    "529.982.247-25",
    "52998224725",
    "93.05.18-223.61",
    "86095742719",
    "876 543 210",
    "HEGG560427MVZRRL04",
    "900101-1234568",
    "9001011234568",
    "130 692 544",
    "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
    "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY",
    "x9Kq2mPz7Rt4Wv8Yb3Nc6Hd1",
    "GB29 NWBK 6016 1331 9268 19",
    "12 Main Street, Springfield",
    "AKIAIOSFODNNEXAMPLEA",
    "2026-01-05 12:30:00.123456+00",
    "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
    "00000012-4f89-41d3-9a0c-0305e82c3301",
    "1234567",
    "99999999999999999999999999",
    "1 2 3 4 5 6 7 8 9 10 11 12 13",
    "v1.2.3.4-beta_5",
    "{\"a\": [1, \"b\"]}",
    "done",
    "the door number 17 was opened and closed again",
    "Delivered to the front desk, signed for by the Porter",
    "a@b",
    "€ 1.234.567,89",
    "$1,200.50",
    "***",
    "eml_0123456789abcd@masked.invalid",
    // Moments and UUIDs, which are none, and what is nearly one.
    "2026-01-28 12:59:07.123456+02",
    "2026-01-28T12:59:07.1234567Z",
    "1987-04-21",
    "12345678-1234-1234-1234-123456789012",
    "41111111-1111-1111-9a0c-0305e82c3301",
];

/// What values are put together with: signs that belong to some, words that name others, and what cuts one short.
const BETWEEN: &[&str] = &[
    "",
    " ",
    " ",
    " ",
    "  ",
    "   ",
    "    ",
    ", ",
    ". ",
    ": ",
    "; ",
    "\n",
    "\t",
    "(",
    ")",
    "(+",
    "+",
    "-",
    "--",
    "-----",
    "_",
    "/",
    "@",
    ":",
    "::",
    "://",
    "$",
    "\"",
    "'",
    "’",
    "x",
    " ext ",
    "é",
    "Ж",
    "\u{0}",
    "\u{a0}",
    " ssn ",
    " SSN: ",
    " tax file number ",
    " swift ",
    " nhs no ",
    " phone ",
    " card ",
    " Konto Nr. ",
    " api key ",
    " İ ",
    "7",
    "0",
    "A",
];

/// Texts whose parts are values of all kinds; also whole, and also changed byte by byte.
fn some_text(chance: &mut Chance) -> String {
    let mut text = String::new();
    for _ in 0..=chance.below(3) {
        match chance.below(8) {
            0 => text.push_str(&String::from_utf8_lossy(&chance.mutate(VALUES))),
            1 => text.extend((0..chance.below(12)).map(|_| char::from(b' ' + u8::try_from(chance.below(95)).unwrap()))),
            2 => text.push_str(&chance.below(usize::MAX).to_string()),
            _ => text.push_str(chance.pick::<&str>(VALUES)),
        }
        // Twice as often one value alone.
        if chance.below(2) == 0 {
            break;
        }
        text.push_str(chance.pick::<&str>(BETWEEN));
    }
    match chance.below(6) {
        0 => format!("{}{text}", chance.pick::<&str>(BETWEEN)),
        1 => format!("{text}{}", chance.pick::<&str>(BETWEEN)),
        2 => "filed under the shelf ".repeat(1 + chance.below(16)) + &text,
        _ => text,
    }
}

#[test]
fn fuzz_the_fast_way_finds_what_the_slow_way_finds() {
    const ROUNDS: usize = 40_000;
    let seed = 20_261_127;
    let mut chance = Chance::new(seed);
    let (mut found, mut values, mut looks) = (Vec::new(), 0, 0);
    for round in 0..ROUNDS {
        let text = some_text(&mut chance);
        for floor in [Likeness::Likely, Likeness::Certain] {
            scan(&text, floor, &mut found);
            let fast: Vec<_> = found.iter().map(|one: &Found| (one.range.clone(), one.detector.name())).collect();
            values += fast.len();
            assert_eq!(fast, slow_scan(&text, floor), "round {round} of seed {seed}, {floor:?}: {text:?}");
        }
        let mut fast = Vec::new();
        each(&text, |place, likeness| fast.push((place, likeness)));
        looks += fast.len();
        fast.sort_unstable();
        assert_eq!(fast, slow_each(&text), "round {round} of seed {seed}: {text:?}");
    }
    assert!(values > ROUNDS / 2 && looks > ROUNDS / 4);
}

/// Every detector that sees anything at all is asked for something it sees.
#[test]
fn every_kind_of_value_occurs_in_the_fuzzed_texts() {
    let mut seen = std::collections::BTreeSet::new();
    for value in VALUES {
        each(value, |place, _| {
            seen.insert(DETECTORS[place].name());
        });
    }
    for detector in DETECTORS {
        let sees = !matches!(detector.sight(), Sight::Nowhere);
        assert_eq!(seen.contains(detector.name()), sees, "{}", detector.name());
    }
}
