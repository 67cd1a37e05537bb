//! Masks, as data.

use super::treatment::Treatment;
use super::*;
use crate::engine::catalog::Catalog;
use crate::engine::detector;

fn column(kind: u32, modifier: i32, binary: bool) -> ResultColumn {
    ResultColumn { name: String::new(), table: 0, attribute: 0, kind, modifier, binary }
}

fn key(seed: u8) -> MaskKey {
    MaskKey(Secret::new([seed; 32]))
}

fn entity(name: &str) -> Treatment {
    Treatment::Entity(detector::named(name).unwrap())
}

/// What becomes of one cell: `None` for NULL.
fn mask(treatment: Treatment, kind: &ResultColumn, key: &MaskKey, value: &[u8]) -> Option<Vec<u8>> {
    let mut masker = Masker::new(Some(key), vec![Column::new(treatment, kind, &Catalog::default())], Shown::default());
    masker.begin();
    masker.cell(0, Some(value));
    let masked = masker.finish();
    match masked.changes().of(0) {
        None => Some(value.to_vec()),
        Some(changed) => changed.map(<[u8]>::to_vec),
    }
}

const TEXT: u32 = 25;

#[test]
fn texts() {
    let check = |treatment, value: &str, expected: &str| {
        let masked = mask(treatment, &column(TEXT, -1, false), &key(1), value.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(masked).unwrap(), expected, "{value}");
    };
    check(Treatment::Look, "nothing", "nothing");
    check(entity("card"), "4111 1111 1111 1111", "**** **** **** 1111");
    check(entity("card"), "**** **** **** 1111", "**** **** **** 1111");
    check(entity("card"), "abcdefgh", "***");
    check(Treatment::Redact, "abc", "***");
    check(Treatment::Redact, "", "");
    check(entity("email"), "", "");
    check(Treatment::Look, "pay with 4111 1111 1111 1111 today", "pay with **** **** **** 1111 today");
    check(Treatment::Glance, "order 4111111111111111", "order 4111111111111111");
}

#[test]
fn pseudonyms_are_stable_per_key_and_recognised() {
    for name in ["email", "phone", "iban"] {
        let mask = |key: u8, value: &[u8]| {
            mask(entity(name), &column(TEXT, -1, false), &super::tests::key(key), value).unwrap()
        };
        let one = mask(1, b"ada@example.com");
        assert_eq!(one, mask(1, b"ada@example.com"), "{name}");
        assert_ne!(one, mask(1, b"bob@example.com"), "{name}");
        assert_ne!(one, mask(2, b"ada@example.com"), "{name}");
        assert_eq!(one, mask(1, &one), "{name}");
        assert_ne!(one, mask(2, &one), "{name}: made with another key");
    }
}

const SMALLINT: u32 = 21;
const INTEGER: u32 = 23;
const BIGINT: u32 = 20;
const NUMERIC: u32 = 1700;

/// The modifier of `numeric(precision, scale)`.
fn numeric(precision: i32, scale: i32) -> i32 {
    (precision << 16 | scale & 0x7ff) + 4
}

#[test]
fn numbers_have_pseudonyms_where_there_is_room() {
    let shown = |name: &str, kind: u32, modifier: i32, value: &str| {
        let masked = mask(entity(name), &column(kind, modifier, false), &key(1), value.as_bytes());
        String::from_utf8(masked.unwrap()).unwrap()
    };
    let digits = |name: &str, kind: u32, modifier: i32, value: &str, expected: usize| {
        let masked = shown(name, kind, modifier, value);
        let whole = masked.split('.').next().unwrap();
        assert!(whole.starts_with("888") && whole.len() == expected, "{name} {kind} {modifier}: {masked}");
    };
    let coarse = |name: &str, kind: u32, modifier: i32, value: &str, expected: &str| {
        assert_eq!(shown(name, kind, modifier, value), expected, "{name} {kind} {modifier}");
    };
    for name in ["phone", "us_ssn", "iban"] {
        digits(name, BIGINT, -1, "4722123456", 19);
        digits(name, NUMERIC, -1, "4722123456", 19);
        digits(name, NUMERIC, numeric(15, 0), "4722123456", 15);
        digits(name, NUMERIC, numeric(18, 2), "4722123456.00", 16);
        digits(name, NUMERIC, numeric(38, 10), "-4722123456.5000000000", 19);
        coarse(name, NUMERIC, numeric(14, 0), "4722123456", "4000000000");
        coarse(name, NUMERIC, numeric(18, 4), "4722123456.0000", "4000000000.0000");
        coarse(name, NUMERIC, numeric(20, -3), "4722123000", "4000000000");
        coarse(name, NUMERIC, numeric(2, 5), "0.00012", "0.00000");
        coarse(name, INTEGER, -1, "472212345", "400000000");
        coarse(name, SMALLINT, -1, "4722", "4000");
    }
    assert!(shown("us_ssn", NUMERIC, -1, "4722123456.00").ends_with(".00"));
    for value in ["NaN", "Infinity", "-Infinity"] {
        coarse("us_ssn", NUMERIC, -1, value, value);
    }
    // Amounts keep their magnitude, secrets nothing.
    coarse("salary", BIGINT, -1, "812000", "800000");
    coarse("secret", BIGINT, -1, "812000", "0");
}

#[test]
fn pseudonyms_of_cards_end_as_they_do() {
    let shown = |kind: u32, modifier: i32, value: &str| {
        let masked = mask(entity("card"), &column(kind, modifier, false), &key(1), value.as_bytes());
        String::from_utf8(masked.unwrap()).unwrap()
    };
    for (kind, modifier) in [(BIGINT, -1), (NUMERIC, numeric(16, 0)), (NUMERIC, -1)] {
        let one = shown(kind, modifier, "4111111111111111");
        assert!(one.starts_with("888") && one.ends_with("1111"), "{one}");
        let other = shown(kind, modifier, "5555555555551111");
        assert!(other.ends_with("1111") && other != one, "{other}");
        // Of a short number four would be most.
        let short =
            (1_000..1_020).filter(|number| shown(kind, modifier, &number.to_string()).ends_with(&number.to_string()));
        assert_eq!(short.count(), 0);
    }
    assert_eq!(shown(INTEGER, -1, "123456789"), "6789");
}

/// Numbers have the same pseudonym in each type and format that has as much room, and no two share one by chance, but for
/// as many as chance says.
#[test]
fn pseudonyms_of_numbers_follow_from_the_number() {
    let bigint = |value: i64| mask(entity("us_ssn"), &column(BIGINT, -1, true), &key(1), &value.to_be_bytes()).unwrap();
    let mut chance = Chance(11);
    let mut made = std::collections::HashSet::new();
    for _ in 0..20_000 {
        let value = i64::try_from(chance.next() >> (1 + chance.below(60))).unwrap();
        let masked = bigint(value);
        let text = i64::from_be_bytes(masked.as_slice().try_into().unwrap()).to_string();
        let as_text =
            |kind: u32, value: &str| mask(entity("us_ssn"), &column(kind, -1, false), &key(1), value.as_bytes());
        assert_eq!(as_text(BIGINT, &value.to_string()).unwrap(), text.as_bytes());
        assert_eq!(as_text(NUMERIC, &value.to_string()).unwrap(), text.as_bytes());
        assert_eq!(as_text(NUMERIC, &format!("{value}.000")).unwrap(), format!("{text}.000").as_bytes());
        assert_eq!(bigint(i64::from_be_bytes(masked.as_slice().try_into().unwrap())), masked, "{value}");
        made.insert((value, masked));
    }
    let different: std::collections::HashSet<_> = made.iter().map(|(_, masked)| masked).collect();
    assert_eq!(different.len(), made.len());
}

/// A number in the binary format of `numeric`, as the server writes it.
fn numeric_bytes(text: &str, scale: u16) -> Vec<u8> {
    let (sign, text) = text.strip_prefix('-').map_or((0u16, text), |text| (0x4000, text));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole = format!("{}{whole}", "0".repeat((4 - whole.len() % 4) % 4));
    let all = format!("{whole}{fraction}{}", "0".repeat((4 - fraction.len() % 4) % 4));
    let mut digits: Vec<u16> =
        all.as_bytes().chunks(4).map(|four| std::str::from_utf8(four).unwrap().parse().unwrap()).collect();
    let mut weight = i16::try_from(whole.len() / 4).unwrap() - 1;
    while digits.last() == Some(&0) {
        digits.pop();
    }
    while digits.first() == Some(&0) {
        digits.remove(0);
        weight -= 1;
    }
    let weight = if digits.is_empty() { 0 } else { weight };
    let header = [u16::try_from(digits.len()).unwrap(), weight.cast_unsigned(), sign, scale];
    header.iter().chain(&digits).flat_map(|word| word.to_be_bytes()).collect()
}

#[test]
fn numerics_are_masked_in_binary_as_in_text() {
    let scaled = |text: &str| text.split_once('.').map_or(0, |(_, fraction)| u16::try_from(fraction.len()).unwrap());
    for value in [
        "0",
        "7",
        "4722123456",
        "4722123456.50",
        "-120000000",
        "10000",
        "100000000.0000",
        "0.0005",
        "-0.00000001",
        "123456789012345678901234567890.123456789",
        "9999.9999",
        "0.00",
        "20000.0001",
    ] {
        for name in ["us_ssn", "card", "salary", "secret"] {
            for modifier in [-1, numeric(16, 0), numeric(10, 0)] {
                let mask = |binary, value: &[u8]| {
                    mask(entity(name), &column(NUMERIC, modifier, binary), &key(1), value).unwrap()
                };
                let text = String::from_utf8(mask(false, value.as_bytes())).unwrap();
                let (bytes, expected) =
                    (mask(true, &numeric_bytes(value, scaled(value))), numeric_bytes(&text, scaled(value)));
                assert_eq!(bytes, expected, "{name} {value} is {text}");
            }
        }
    }
}

#[test]
fn numbers_that_stand_for_others_are_known_when_they_come_back() {
    let recogniser = recognise::Recogniser::new(Some(&key(1)));
    let other = recognise::Recogniser::new(Some(&key(2)));
    let mut taken = 0;
    for (kind, modifier) in [(BIGINT, -1), (NUMERIC, -1), (NUMERIC, numeric(15, 0)), (NUMERIC, numeric(17, 0))] {
        for name in ["us_ssn", "phone", "card"] {
            let shown = mask(entity(name), &column(kind, modifier, false), &key(1), b"4111111111111111").unwrap();
            let text = String::from_utf8(shown.clone()).unwrap();
            assert!(recogniser.carries(&shown), "{text}");
            for around in [format!("{{1,{text},NULL}}"), format!("{text}.00"), format!("id={text};")] {
                assert!(recogniser.carries(around.as_bytes()), "{around}");
            }
            assert!(
                recogniser.carries(&numeric_bytes(&text, 0))
                    && recogniser.carries(&numeric_bytes(&format!("{text}.00"), 2))
            );
            if kind == BIGINT {
                assert!(recogniser.carries(&text.parse::<i64>().unwrap().to_be_bytes()));
            }
            // One digit more or less, and it is another number.
            for not in [format!("1{text}"), format!("{text}0"), text.get(1..).unwrap_or_default().to_owned()] {
                taken += usize::from(recogniser.carries(not.as_bytes()));
            }
            taken += usize::from(other.carries(&shown));
        }
    }
    assert_eq!(taken, 0);
    // Numbers of the outside that begin so are rarely taken for one.
    let mut chance = Chance(5);
    let near = |number: &u64| recogniser.carries(format!("888{:016}", number % 10_000_000_000_000_000).as_bytes());
    let taken = (0..50_000).map(|_| chance.next()).filter(near).count();
    assert!((1..15).contains(&taken), "{taken} of 50,000, where five are to be expected");
}

#[test]
fn the_same_value_found_in_a_text_and_in_a_column_has_the_same_pseudonym() {
    let text = column(TEXT, -1, false);
    let alone = mask(entity("email"), &text, &key(1), b"ada@example.com").unwrap();
    let within = mask(Treatment::Look, &text, &key(1), b"to ada@example.com.").unwrap();
    assert_eq!(within, [b"to ", alone.as_slice(), b"."].concat());
}

/// Rows, arrays and documents that were written as text are read as what they are, also within one another.
#[test]
fn what_is_within_a_text_is_looked_at_by_itself() {
    let check = |value: &str, hidden: &str| {
        let masked = mask(Treatment::Look, &column(TEXT, -1, false), &key(1), value.as_bytes()).unwrap();
        let masked = String::from_utf8(masked).unwrap();
        assert!(!masked.contains(hidden), "{value}: {masked}");
    };
    let name = "Zoe Quillfeather";
    check(r#"(7,"refund for Zoe Quillfeather",x)"#, name);
    check(r#"(7,"{""user"":{""name"":""Zoe Quillfeather""}}")"#, name);
    check(r#"{"refund for Zoe Quillfeather",b}"#, name);
    check(r#"{"row": "(7,\"refund for Zoe Quillfeather\")"}"#, name);
    check(r#"{"text": "{\"name\": \"Zoe Quillfeather\"}"}"#, name);
    // What only begins like one is a text all the same.
    check("(he asked, again: ada@example.com)", "ada@example.com");
    check(&format!("{}ada@example.com{}", "(".repeat(10_000), ")".repeat(10_000)), "ada@example.com");
    let person = Treatment::Suspect(detector::named("person_name").unwrap());
    let suspect = |value: &str| mask(person, &column(TEXT, -1, false), &key(1), value.as_bytes()).unwrap();
    assert_eq!(suspect("large widget"), b"large widget");
    assert!(suspect("Ada Lovelace").starts_with(b"person_name_"));
    assert!(suspect("write to ada@example.com").ends_with(b"@masked.invalid"));
}

#[test]
fn declared_lengths_are_kept() {
    let short = column(1043, 4 + 10, false);
    assert_eq!(mask(entity("email"), &short, &key(1), b"a@b.example").unwrap(), b"***");
    let padded = column(1042, 4 + 5, false);
    assert_eq!(mask(entity("email"), &padded, &key(1), b"abc  ").unwrap(), b"***  ");
    let tiny = column(1043, 4 + 2, false);
    assert_eq!(mask(Treatment::Redact, &tiny, &key(1), b"ab").unwrap(), b"**");
}

#[test]
fn without_a_key_nothing_stays() {
    let mut masker = Masker::new(
        None,
        vec![Column::new(entity("email"), &column(TEXT, -1, false), &Catalog::default())],
        Shown::default(),
    );
    masker.begin();
    masker.cell(0, Some(b"ada@example.com"));
    assert_eq!(masker.finish().changes().of(0), Some(Some(b"***".as_slice())));
}

#[test]
fn a_cell_beyond_the_description_becomes_null() {
    let mut masker = Masker::new(Some(&key(1)), Vec::new(), Shown::default());
    masker.begin();
    masker.cell(0, Some(b"x"));
    assert_eq!(masker.finish().changes().of(0), Some(None));
}

/// A small generator (xorshift64*): the same seed makes the same values.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }

    fn bytes(&mut self) -> Vec<u8> {
        (0..self.below(40)).map(|_| u8::try_from(self.next() & 0xff).unwrap()).collect()
    }
}

/// Values as the database writes them: type, binary, and some to begin with.
const WRITTEN: &[(u32, bool, &[&[u8]])] = &[
    (
        25,
        false,
        &[
            b"ada@example.com",
            b"4111 1111 1111 1111",
            b"call +47 22 12 34 56 now",
            b"x",
            b"\xff\xfe",
            "Zoë Müller".as_bytes(),
        ],
    ),
    (1042, false, &[b"ada@example.com     ", b"a"]),
    (19, false, &[b"maria"]),
    (114, false, &[br#"{"email": "a@b.example", "n": [1, 2.5, null, true], "name": "Maria Smith"}"#, b"7", b"[]"]),
    (3802, true, &[b"\x01{\"email\": \"a@b.example\"}"]),
    (142, false, &[b"<a>ada@example.com</a>"]),
    (21, true, &[b"\x30\x39", b"\x80\x00"]),
    (23, true, &[b"\x00\x01\xe2\x40", b"\x80\x00\x00\x00"]),
    (20, true, &[b"\x00\x0e\x9b\xb5\xc5\x8b\x69\x95", b"\x80\0\0\0\0\0\0\0"]),
    (20, false, &[b"4111111111111111", b"-9223372036854775808", b"7"]),
    (700, true, &[b"\x47\xc3\x50\x00", b"\x7f\xc0\0\0"]),
    (701, true, &[b"\x40\xf8\x6a\0\0\0\0\0", b"\xff\xf0\0\0\0\0\0\0"]),
    (701, false, &[b"123456.789", b"1e+300", b"NaN"]),
    (1700, false, &[b"812000.00", b"-0.75", b"NaN", b"9"]),
    (1700, true, &[b"\0\x02\0\x01\0\0\0\x02\0\x51\x07\xd0", b"\0\0\0\0\xc0\0\0\0"]),
    (1016, false, &[b"{4111111111111111,7,NULL}"]),
    (1016, true, &[b"\0\0\0\x01\0\0\0\0\0\0\0\x14\0\0\0\x01\0\0\0\x01\0\0\0\x08\x00\x0e\x9b\xb5\xc5\x8b\x69\x95"]),
    (1231, false, &[b"{4111111111111111.50,-7}"]),
    (1082, false, &[b"1987-03-14", b"infinity", b"0044-03-15 BC"]),
    (1082, true, &[b"\xff\xff\xed\xbb", b"\x7f\xff\xff\xff"]),
    (1114, false, &[b"2026-05-17 12:30:00.12"]),
    (1184, false, &[b"2026-05-17 12:30:00.12+02"]),
    (1184, true, &[b"\0\x02\xf5\xd4\x10\x11\x12\x13", b"\x7f\xff\xff\xff\xff\xff\xff\xff"]),
    (2950, false, &[b"3f2504e0-4f89-11d3-9a0c-0305e82c3301"]),
    (2950, true, &[b"\x3f\x25\x04\xe0\x4f\x89\x11\xd3\x9a\x0c\x03\x05\xe8\x2c\x33\x01"]),
    (17, false, &[b"\\x616461406578616d706c652e636f6d", b"ada@example.com"]),
    (17, true, &[b"ada@example.com\0"]),
    (869, false, &[b"203.0.113.77", b"2001:db8::17/64"]),
    (869, true, &[b"\x02\x20\0\x04\xcb\0\x71\x4d"]),
    (829, false, &[b"00:1b:44:11:3a:b7"]),
    (829, true, &[b"\0\x1b\x44\x11\x3a\xb7"]),
    (3904, false, &[b"[1,10)"]),
    (3904, true, &[b"\x02\0\0\0\x04\0\0\0\x01\0\0\0\x04\0\0\0\x0a"]),
    (1009, false, &[b"{ada@example.com,\"b \\\"c\\\"\",NULL}", b"[0:1]={a,b}", b"{{a,b},{c,d}}", b"{}"]),
    (1009, true, &[b"\0\0\0\x01\0\0\0\0\0\0\0\x19\0\0\0\x01\0\0\0\x01\0\0\0\x0fada@example.com"]),
    (2249, false, &[b"(1,ada@example.com,\"a \"\"b\"\"\",)"]),
    (2249, true, &[b"\0\0\0\x02\0\0\0\x17\0\0\0\x04\0\0\0\x01\0\0\0\x19\0\0\0\x0fada@example.com"]),
    (16, true, &[b"\x01"]),
    (1186, false, &[b"3 days"]),
    (90_000, false, &[b"ada@example.com"]),
    (90_000, true, &[b"ada@example.com"]),
];

fn treatments() -> Vec<Treatment> {
    let entities =
        detector::DETECTORS.iter().flat_map(|entity| [Treatment::Entity(*entity), Treatment::Suspect(*entity)]);
    entities.chain([Treatment::Clear, Treatment::Glance, Treatment::Look, Treatment::Redact, Treatment::Hide]).collect()
}

/// Whether a value is written as its type is. What stays as it was is not looked at.
fn is_of_type(kind: u32, binary: bool, value: &[u8]) -> bool {
    let text = std::str::from_utf8(value);
    match (kind, binary) {
        (114, _) => serde_json::from_slice::<serde_json::Value>(value).is_ok(),
        (3802, true) => value[0] == 1 && serde_json::from_slice::<serde_json::Value>(&value[1..]).is_ok(),
        (20, false) => text.unwrap().parse::<i64>().is_ok(),
        (701, false) | (1700, false) => text.unwrap().parse::<f64>().is_ok(),
        (21, true) => value.len() == 2,
        (23 | 700 | 1082, true) => value.len() == 4,
        (20 | 701 | 1184, true) => value.len() == 8,
        (1700, true) => value.len() >= 8 && value.len() == 8 + 2 * usize::from(value[1]),
        (2950, true) => value.len() == 16,
        (2950, false) => value.len() == 36,
        (1082, false) => value.ends_with(b"-01") || value.ends_with(b"-01 BC"),
        (1009 | 1016 | 1231, false) => value.ends_with(b"}"),
        (2249, false) => value.starts_with(b"(") && value.ends_with(b")"),
        (1114 | 1184, false) => text.unwrap().get(7..19) == Some("-01 00:00:00"),
        (142, _) => value.starts_with(b"<") && value.ends_with(b">"),
        (17, false) => value.starts_with(b"\\x"),
        (869, false) => text.unwrap().split('/').next().unwrap().parse::<std::net::IpAddr>().is_ok(),
        (869, true) => value.len() == 4 + usize::from(value[3]),
        (829, false) => value.len() == 17 && value.iter().skip(2).step_by(3).all(|byte| *byte == b':'),
        (829, true) => value.len() == 6,
        (3904, false) => value == b"empty",
        (3904, true) => value == b"\x01",
        (1009 | 1016, true) => lists(value, 20, 1),
        (2249, true) => lists(value, 4, 2),
        // Any bytes will do.
        (25 | 1042 | 19 | 90_000, _) | (17, true) => true,
        (_, _) => false,
    }
}

/// Whether values follow each other up to the end, each behind its length, and before it so many words of four bytes.
fn lists(value: &[u8], header: usize, words: usize) -> bool {
    let mut rest = &value[header..];
    while !rest.is_empty() {
        let (length, behind) = rest[4 * (words - 1)..].split_first_chunk().unwrap();
        let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
        rest = behind.get(length..).unwrap_or_else(|| panic!("{value:?} is cut short"));
    }
    true
}

/// Under another key no pseudonym is the same, under one key each always is, and nothing that came before changes it.
#[test]
fn pseudonyms_follow_from_the_key_the_entity_and_the_value() {
    let uuid = b"3f2504e0-4f89-11d3-9a0c-0305e82c3301".as_slice();
    let mut chance = Chance(27);
    let mut all = std::collections::HashMap::new();
    for entity in detector::DETECTORS.iter().filter(|entity| matches!(entity.method(), detector::Method::Pseudonym(_)))
    {
        let treatment = Treatment::Entity(*entity);
        for (kind, binary, value) in [
            (2950, false, uuid),
            (2950, true, &[0x3f; 16]),
            (TEXT, false, b"Zoe"),
            (19, true, b"Z"),
            (BIGINT, false, b"4711"),
            (BIGINT, true, &[1; 8]),
            (NUMERIC, false, b"0.5"),
        ] {
            let column = column(kind, -1, binary);
            let [one, other] = [1, 2].map(|seed| mask(treatment, &column, &key(seed), value).unwrap());
            assert_ne!(one, other, "{entity:?}");
            assert_ne!(one, value, "{entity:?}");
            for made in [one, other] {
                assert_eq!(all.insert(made, entity.name()), None, "{entity:?}: has what another has");
            }
        }
        let column = column(TEXT, -1, false);
        let mut masker =
            Masker::new(Some(&key(1)), vec![Column::new(treatment, &column, &Catalog::default())], Shown::default());
        for _ in 0..200 {
            let value = format!("zoe{}@x.example", chance.below(20));
            masker.begin();
            masker.cell(0, Some(value.as_bytes()));
            let alone = mask(treatment, &column, &key(1), value.as_bytes());
            assert_eq!(masker.finish().changes().of(0).unwrap().map(<[u8]>::to_vec), alone, "{entity:?} {value}");
        }
    }
}

#[test]
fn masks_are_idempotent_typed_deterministic_and_total() {
    let mut checked = 0;
    for (kind, binary, values) in WRITTEN {
        let column = column(*kind, if *kind == 1042 { 24 } else { -1 }, *binary);
        for treatment in treatments() {
            for value in *values {
                let once = mask(treatment, &column, &key(1), value);
                assert_eq!(once, mask(treatment, &column, &key(1), value), "{kind} {treatment:?}: not the same twice");
                checked += 1;
                let Some(once) = once else { continue };
                if once != *value {
                    assert!(
                        is_of_type(*kind, *binary, &once),
                        "{kind} {binary} {treatment:?}: {value:?} became {once:?}"
                    );
                }
                let twice = mask(treatment, &column, &key(1), &once);
                assert_eq!(twice.as_ref(), Some(&once), "{kind} {binary} {treatment:?} {value:?}: not idempotent");
            }
        }
    }
    println!("{checked} values");
}

#[test]
fn masks_are_total_and_keep_to_their_length() {
    let seed = 0x9e37_79b9_7f4a_7c15;
    let mut chance = Chance(seed);
    let treatments = treatments();
    for round in 0..20_000 {
        let (kind, binary, values) = chance.pick(WRITTEN);
        let mut value = if chance.below(2) == 0 { chance.bytes() } else { chance.pick(values).to_vec() };
        for _ in 0..chance.below(3) {
            let byte = u8::try_from(chance.next() & 0xff).unwrap();
            match (chance.below(3), value.len()) {
                (_, 0) | (0, _) => value.push(byte),
                (1, length) => drop(value.remove(chance.below(length))),
                (_, length) => {
                    let at = chance.below(length);
                    value[at] = byte;
                }
            }
        }
        let room = chance.below(20);
        let declared = matches!(kind, 25 | 1042);
        let column = column(
            if *kind == 25 { 1043 } else { *kind },
            if declared { i32::try_from(room).unwrap() + 4 } else { -1 },
            *binary,
        );
        let treatment = *chance.pick(&treatments);
        let masked = mask(treatment, &column, &key(1), &value);
        if let Some(masked) = masked.filter(|masked| declared && *masked != value) {
            let length = String::from_utf8_lossy(&masked).chars().count();
            let before = String::from_utf8_lossy(&value).chars().count();
            assert!(
                length <= room.max(before),
                "round {round} of seed {seed:x}: {value:?} became {masked:?}, longer than {room}"
            );
        }
    }
}

#[test]
fn a_value_of_another_column_trips_unless_it_was_revealed() {
    let maker = Fingerprinter::new(&key(1));
    let prints = maker.prints(Some("passport"), &["L898907C"]);
    let watched = Watched { place: (16_400, 2), name: "public.people.passport".to_owned(), prints };
    let tripwire = Arc::new(Tripwire::new(&maker, vec![watched], &Default::default()).unwrap());
    let tripped = |treatment, value: &[u8], revealed: &[(u32, i16)]| {
        let columns = vec![Column::new(treatment, &column(TEXT, -1, false), &Catalog::default())];
        let revealed = revealed.iter().copied().collect();
        let mut masker = Masker::new(Some(&key(1)), columns, Shown::default()).watched(Some(&tripwire), &revealed);
        masker.begin();
        masker.cell(0, Some(value));
        masker.tripped().map(str::to_owned)
    };
    assert_eq!(tripped(Treatment::Glance, b"L898907C", &[]).as_deref(), Some("public.people.passport"));
    for (treatment, value, revealed) in [
        (Treatment::Glance, b"L898908C", &[][..]),
        (Treatment::Glance, b"L898907C", &[(16_400, 2)]),
        (Treatment::Redact, b"L898907C", &[]),
        // What nothing is known against was not asked of the database.
        (Treatment::Clear, b"L898907C", &[]),
    ] {
        assert_eq!(tripped(treatment, value, revealed), None, "{treatment:?}");
    }
}

/// Rows of pseudonyms of all kinds, made together, are what each is when it is made alone.
#[test]
fn pseudonyms_of_a_row_are_those_of_their_values() {
    let pseudonyms = Pseudonyms::new(&key(5));
    let (mut chance, mut drafts) = (Chance(9), Drafts::default());
    let entities = detector::DETECTORS.iter().filter_map(|entity| match entity.method() {
        detector::Method::Pseudonym(form) => Some((*entity, form)),
        _ => None,
    });
    let entities: Vec<_> = entities.collect();
    let (mut refused, mut long) = (0, 0);
    for _ in 0..5_000 {
        let (mut expected, mut row) = (b"before".to_vec(), b"before".to_vec());
        for _ in 0..chance.below(9) {
            let (entity, form) = entities[chance.below(entities.len())];
            let value = "v".repeat(chance.below(70));
            let room = if chance.below(4) == 0 { chance.below(40) } else { usize::MAX };
            let written = pseudonyms.write(entity, form, value.as_bytes(), room, &mut expected);
            assert_eq!(drafts.add(&pseudonyms, entity, form, value.as_bytes(), room, &mut row), written);
            refused += usize::from(!written);
            long += usize::from(value.len() > 55);
            // What needs no pseudonym stands between them.
            expected.push(b'|');
            row.push(b'|');
        }
        drafts.write_all(&pseudonyms, &mut row);
        assert_eq!(row, expected);
        assert_eq!(drafts.count(), 0);
    }
    assert!(refused > 1_000 && long > 1_000, "{refused} without room, {long} in several blocks");
}
