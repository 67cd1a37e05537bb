//! Masks, as data.

use super::treatment::Treatment;
use super::*;
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
    let mut masker = Masker::new(Some(key), vec![Column::new(treatment, kind, &Catalog::default())]);
    masker.begin();
    masker.cell(0, Some(value));
    let masked = masker.finish();
    match masked.change(0) {
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

#[test]
fn the_same_value_found_in_a_text_and_in_a_column_has_the_same_pseudonym() {
    let text = column(TEXT, -1, false);
    let alone = mask(entity("email"), &text, &key(1), b"ada@example.com").unwrap();
    let within = mask(Treatment::Look, &text, &key(1), b"to ada@example.com.").unwrap();
    assert_eq!(within, [b"to ", alone.as_slice(), b"."].concat());
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
    let mut masker =
        Masker::new(None, vec![Column::new(entity("email"), &column(TEXT, -1, false), &Catalog::default())]);
    masker.begin();
    masker.cell(0, Some(b"ada@example.com"));
    assert_eq!(masker.finish().change(0), Some(Some(b"***".as_slice())));
}

#[test]
fn a_cell_beyond_the_description_becomes_null() {
    let mut masker = Masker::new(Some(&key(1)), Vec::new());
    masker.begin();
    masker.cell(0, Some(b"x"));
    assert_eq!(masker.finish().change(0), Some(None));
}
