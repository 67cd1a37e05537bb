//! Masks numbers, dates, addresses and identifiers: what has a width and a meaning, in both formats.
//!
//! Numbers that name somebody become others that do, where their type has room for a pseudonym: `bigint`, and `numeric`
//! with 15 digits before its point or more. An `integer` is too short for one that could be told from other numbers.
//!
//! Coarsening keeps the first digit of a number and the month of a date, so that sums of groups still mean something,
//! and does nothing to a value that was coarsened before.

use super::treatment::{Applied, Pen, constant};
use crate::engine::detector::{Detector, Method};

/// How a number is masked that has no pseudonym: identifiers keep four digits or, like amounts, their magnitude.
fn whole(method: Method, number: i128) -> i128 {
    match method {
        Method::Redact => 0,
        Method::LastFour => number % 10_000,
        Method::Pseudonym(_) | Method::Coarsen => {
            let mut step = 1;
            while (number / step).abs() >= 10 {
                step *= 10;
            }
            // One digit has no smaller one to hide behind.
            if step == 1 { 0 } else { number / step * step }
        }
    }
}

/// The number that stands for one of an entity, which is given as it is written, in so many digits. Nothing where there is
/// no room, no key, or nothing by which to tell one from another.
fn stand_in(entity: Option<&'static dyn Detector>, number: &str, digits: usize, pen: &Pen) -> Option<u64> {
    let entity = entity.filter(|entity| match entity.method() {
        Method::Pseudonym(_) | Method::LastFour => true,
        Method::Redact | Method::Coarsen => false,
    })?;
    pen.pseudonyms.as_ref()?.numeral(entity, number, digits)
}

pub(super) fn integer(
    entity: Option<&'static dyn Detector>,
    width: usize,
    binary: bool,
    value: &[u8],
    pen: &Pen,
    out: &mut Vec<u8>,
) -> Applied {
    let number = match (binary, width, value) {
        (false, _, value) => std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()),
        (true, 2, [a, b]) => Some(i128::from(i16::from_be_bytes([*a, *b]))),
        (true, 4, [a, b, c, d]) => Some(i128::from(i32::from_be_bytes([*a, *b, *c, *d]))),
        (true, 8, value) => value.try_into().ok().map(|bytes| i128::from(i64::from_be_bytes(bytes))),
        (true, _, _) => None,
    };
    let Some(number) = number else { return Applied::Null };
    let method = entity.map_or(Method::Redact, Detector::method);
    let masked = stand_in(entity, &number.to_string(), integer_digits(width), pen)
        .map_or_else(|| whole(method, number), i128::from);
    if !binary {
        return constant(masked.to_string().as_bytes(), out);
    }
    let bytes = masked.to_be_bytes();
    // It fits into its width: the leading bytes only repeat the sign.
    constant(bytes.get(bytes.len() - width..).unwrap_or_default(), out)
}

/// Digits that an integer of a width may have, whatever they are.
pub(super) fn integer_digits(width: usize) -> usize {
    match width {
        2 => 4,
        4 => 9,
        // 19 that begin with 8 are below 2^63.
        8 => 19,
        _ => 0,
    }
}

pub(super) fn float(method: Method, width: usize, binary: bool, value: &[u8], out: &mut Vec<u8>) -> Applied {
    let number = match (binary, width, value) {
        (false, _, value) => std::str::from_utf8(value).ok().and_then(|text| text.parse::<f64>().ok()),
        (true, 4, [a, b, c, d]) => Some(f64::from(f32::from_be_bytes([*a, *b, *c, *d]))),
        (true, 8, value) => value.try_into().ok().map(f64::from_be_bytes),
        (true, _, _) => None,
    };
    let Some(number) = number else { return Applied::Null };
    if !number.is_finite() {
        return Applied::Unchanged;
    }
    let masked = match method {
        Method::Redact => 0.0,
        Method::LastFour => number.trunc() % 10_000.0,
        Method::Pseudonym(_) | Method::Coarsen if number.abs() < 10.0 => 0.0,
        Method::Pseudonym(_) | Method::Coarsen => first_digit(number),
    };
    #[expect(clippy::cast_possible_truncation, reason = "it came from a value of this width and is nearer to zero")]
    match (binary, width) {
        (true, 4) => constant(&(masked as f32).to_be_bytes(), out),
        (true, _) => constant(&masked.to_be_bytes(), out),
        (false, _) => constant(masked.to_string().as_bytes(), out),
    }
}

/// The number with zeros behind its first decimal digit, as exactly as it can be had.
fn first_digit(number: f64) -> f64 {
    let written = format!("{number:e}");
    let (mantissa, exponent) = written.split_once('e').unwrap_or(("0", "0"));
    let digit = mantissa.split('.').next().unwrap_or("0");
    format!("{digit}e{exponent}").parse().unwrap_or(0.0)
}

/// Masks a `numeric` that may have so many digits before its point.
pub(super) fn numeric(
    entity: Option<&'static dyn Detector>,
    binary: bool,
    digits: usize,
    value: &[u8],
    pen: &Pen,
    out: &mut Vec<u8>,
) -> Applied {
    let number = if binary { read_numeric(value) } else { plain(value) };
    let stand_in = number.and_then(|number| stand_in(entity, &number, digits, pen));
    let method = entity.map_or(Method::Redact, Detector::method);
    match (stand_in, binary) {
        (Some(number), true) => stand_in_binary(number, value, out),
        (Some(number), false) => {
            out.extend_from_slice(number.to_string().as_bytes());
            if let Some(point) = memchr::memchr(b'.', value) {
                out.push(b'.');
                out.extend(value.iter().skip(point + 1).map(|_| b'0'));
            }
            Applied::Written
        }
        (None, true) => numeric_binary(method, value, out),
        (None, false) => numeric_text(method, value, out),
    }
}

/// A number without zeros that mean nothing; nothing when it is none.
fn plain(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?;
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = !whole.is_empty() && whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    is_number.then(|| match (whole, fraction) {
        ("", "") => "0".to_owned(),
        (whole, "") => format!("{sign}{whole}"),
        ("", fraction) => format!("{sign}0.{fraction}"),
        (whole, fraction) => format!("{sign}{whole}.{fraction}"),
    })
}

/// A `numeric` in binary format, as it is written without zeros that mean nothing.
pub(super) fn read_numeric(value: &[u8]) -> Option<String> {
    let words = words(value)?;
    let [_, weight, sign @ (0 | NEGATIVE), _, digits @ ..] = words.as_slice() else { return None };
    let weight = i32::from(weight.cast_signed());
    let last = i32::try_from(digits.len()).ok()?.checked_sub(1)?;
    let mut text = String::from(if *sign == NEGATIVE { "-" } else { "" });
    // From the highest place, or the first before the point, to the lowest, or the last before the point.
    for place in (weight.min(weight - last).min(0)..=weight.max(0)).rev() {
        if place == -1 {
            text.push('.');
        }
        let digit = usize::try_from(weight - place).ok().and_then(|index| digits.get(index));
        text.push_str(&format!("{:04}", digit.unwrap_or(&0)));
    }
    plain(text.as_bytes())
}

/// The words of a `numeric` in binary format: count, weight of the first digit, sign, decimal places shown, and its digits
/// in base 10,000.
fn words(value: &[u8]) -> Option<Vec<u16>> {
    let pairs = || value.chunks_exact(2).filter_map(|pair| pair.first_chunk().map(|bytes| u16::from_be_bytes(*bytes)));
    let length = usize::from(pairs().next()?) * 2 + 8;
    (value.len() == length).then(|| pairs().collect())
}

/// The sign of what is less than zero.
const NEGATIVE: u16 = 0x4000;

fn stand_in_binary(number: u64, value: &[u8], out: &mut Vec<u8>) -> Applied {
    let Some(scale) = value.get(6..8) else { return Applied::Null };
    let mut digits = Vec::new();
    let mut left = number;
    while left > 0 {
        digits.push(u16::try_from(left % 10_000).unwrap_or(0));
        left /= 10_000;
    }
    let weight = u16::try_from(digits.len().saturating_sub(1)).unwrap_or(0);
    // Zeros at the end are not written.
    let zeros = digits.iter().take_while(|digit| **digit == 0).count();
    let count = u16::try_from(digits.len() - zeros).unwrap_or(0);
    out.extend([count, weight, 0].iter().flat_map(|word| word.to_be_bytes()));
    out.extend_from_slice(scale);
    out.extend(digits.iter().skip(zeros).rev().flat_map(|digit| digit.to_be_bytes()));
    Applied::Written
}

pub(super) fn numeric_text(method: Method, value: &[u8], out: &mut Vec<u8>) -> Applied {
    let Ok(text) = std::str::from_utf8(value) else { return Applied::Null };
    if matches!(text, "NaN" | "Infinity" | "-Infinity") {
        return Applied::Unchanged;
    }
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let (integer, fraction) = digits.split_once('.').map_or((digits, None), |(integer, rest)| (integer, Some(rest)));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(integer) || !fraction.is_none_or(is_number) {
        return Applied::Null;
    }
    let integer = integer.trim_start_matches('0');
    let kept = match method {
        Method::Redact => String::new(),
        Method::LastFour => integer.get(integer.len().saturating_sub(4)..).unwrap_or_default().to_owned(),
        Method::Pseudonym(_) | Method::Coarsen if integer.len() < 2 => String::new(),
        Method::Pseudonym(_) | Method::Coarsen => {
            let (first, rest) = integer.split_at_checked(1).unwrap_or_default();
            format!("{first}{}", "0".repeat(rest.len()))
        }
    };
    let kept = kept.trim_start_matches('0');
    if kept.is_empty() {
        out.push(b'0');
    } else {
        out.extend_from_slice(sign.as_bytes());
        out.extend_from_slice(kept.as_bytes());
    }
    if let Some(fraction) = fraction {
        out.push(b'.');
        out.extend(std::iter::repeat_n(b'0', fraction.len()));
    }
    Applied::Written
}

fn numeric_binary(method: Method, value: &[u8], out: &mut Vec<u8>) -> Applied {
    let Some(words) = words(value) else { return Applied::Null };
    let [_, weight, sign, scale, digits @ ..] = words.as_slice() else { return Applied::Null };
    // 0xC000 and above: not a number, and the infinities.
    if *sign >= 0xc000 {
        return Applied::Unchanged;
    }
    let weight = i32::from(weight.cast_signed());
    let place = |index: usize| i32::try_from(index).ok().map(|index| weight - index);
    let first = digits.iter().position(|digit| *digit != 0);
    let kept = match method {
        Method::Redact => None,
        Method::LastFour => {
            let last = usize::try_from(weight).ok().and_then(|index| digits.get(index));
            last.filter(|digit| **digit != 0).map(|digit| (*digit, 0))
        }
        Method::Pseudonym(_) | Method::Coarsen => first.and_then(|index| {
            let (digit, place) = (*digits.get(index)?, place(index)?);
            let mut step = 1;
            while digit / step >= 10 {
                step *= 10;
            }
            (place > 0 || (place == 0 && digit >= 10)).then_some((digit / step * step, place))
        }),
    };
    let written = match kept.and_then(|(digit, place)| Some((digit, i16::try_from(place).ok()?))) {
        Some((digit, place)) => vec![1, place.cast_unsigned(), *sign, *scale, digit],
        None => vec![0, 0, 0, *scale],
    };
    out.extend(written.iter().flat_map(|word| word.to_be_bytes()));
    Applied::Written
}

pub(super) fn date(method: Method, binary: bool, value: &[u8], out: &mut Vec<u8>) -> Applied {
    if !binary {
        return match (method, value) {
            (_, b"infinity" | b"-infinity") => Applied::Unchanged,
            (Method::Redact, _) => constant(b"2000-01-01", out),
            (_, value) => match month(value) {
                Some((month, rest)) if rest.is_empty() || rest == b" BC" => {
                    out.extend_from_slice(month);
                    out.extend_from_slice(b"-01");
                    constant(rest, out)
                }
                _ => Applied::Null,
            },
        };
    }
    let Ok(bytes) = value.try_into() else { return Applied::Null };
    let days = i32::from_be_bytes(bytes);
    if matches!(days, i32::MIN | i32::MAX) {
        return Applied::Unchanged;
    }
    let masked = if method == Method::Redact { 0 } else { first_of_month(i64::from(days)) };
    match i32::try_from(masked) {
        Ok(days) => constant(&days.to_be_bytes(), out),
        Err(_) => Applied::Null,
    }
}

pub(super) fn timestamp(method: Method, binary: bool, value: &[u8], out: &mut Vec<u8>) -> Applied {
    if !binary {
        if matches!(value, b"infinity" | b"-infinity") {
            return Applied::Unchanged;
        }
        let Some((month, rest)) = month(value).filter(|(_, rest)| rest.first() == Some(&b' ')) else {
            return Applied::Null;
        };
        // What follows the time: its zone, the era.
        let time = rest.iter().skip(1).take_while(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.')).count();
        let zone = rest.get(1 + time..).unwrap_or_default();
        out.extend_from_slice(if method == Method::Redact { b"2000-01" } else { month });
        out.extend_from_slice(b"-01 00:00:00");
        return constant(zone, out);
    }
    let Ok(bytes) = value.try_into() else { return Applied::Null };
    let microseconds = i64::from_be_bytes(bytes);
    if matches!(microseconds, i64::MIN | i64::MAX) {
        return Applied::Unchanged;
    }
    let days = if method == Method::Redact { 0 } else { first_of_month(microseconds.div_euclid(DAY)) };
    match days.checked_mul(DAY) {
        Some(masked) => constant(&masked.to_be_bytes(), out),
        None => Applied::Null,
    }
}

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// Days from 1970-01-01 to 2000-01-01, where the database begins to count.
const EPOCH: i64 = 10_957;

/// The year and month of a date in the ISO style, and what follows the day.
fn month(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let year = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (month, rest) = value.split_at_checked(year + 3).filter(|_| year >= 4)?;
    let [.., b'-', tens, units] = month else { return None };
    let [b'-', day, day_units, rest @ ..] = rest else { return None };
    [tens, units, day, day_units].iter().all(|byte| byte.is_ascii_digit()).then_some((month, rest))
}

/// The first day of the month of a day, both counted from 2000-01-01 (H. Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms", `civil_from_days`: years begin in March, so that leap days come last).
fn first_of_month(days: i64) -> i64 {
    let day_of_era = (days + EPOCH + 719_468).rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5;
    days - day
}

pub(super) fn uuid(
    entity: Option<&'static dyn Detector>,
    binary: bool,
    value: &[u8],
    pen: &Pen,
    out: &mut Vec<u8>,
) -> Applied {
    let read = if binary { value.try_into().ok() } else { read_uuid(value) };
    let Some(uuid) = read else { return Applied::Null };
    let masked = match (entity, &pen.pseudonyms) {
        (Some(entity), Some(pseudonyms)) if entity.method() != Method::Redact => pseudonyms.uuid(entity, uuid),
        (_, _) => [0; 16],
    };
    if binary {
        return constant(&masked, out);
    }
    for (index, byte) in masked.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        out.extend_from_slice(format!("{byte:02x}").as_bytes());
    }
    Applied::Written
}

pub(super) fn read_uuid(text: &[u8]) -> Option<[u8; 16]> {
    let mut uuid = [0; 16];
    let mut digits = text.iter().filter(|byte| **byte != b'-').map(|byte| char::from(*byte).to_digit(16));
    for byte in &mut uuid {
        let (high, low) = (digits.next()??, digits.next()??);
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    digits.next().is_none().then_some(uuid)
}

/// `inet` and `cidr`: the last byte of an old address goes, and the last ten of a new one.
pub(super) fn network(method: Method, binary: bool, value: &[u8], out: &mut Vec<u8>) -> Applied {
    if binary {
        let [family, bits, is_cidr, length, address @ ..] = value else { return Applied::Null };
        let mut address = address.to_vec();
        if usize::from(*length) != address.len() || !matches!(length, 4 | 16) {
            return Applied::Null;
        }
        hide_host(method, &mut address);
        out.extend_from_slice(&[*family, *bits, *is_cidr, *length]);
        return constant(&address, out);
    }
    let Ok(text) = std::str::from_utf8(value) else { return Applied::Null };
    let (address, mask) = text.find('/').and_then(|at| text.split_at_checked(at)).unwrap_or((text, ""));
    match coarse_address(method, address) {
        Some(address) => constant(format!("{address}{mask}").as_bytes(), out),
        None => Applied::Null,
    }
}

fn coarse_address(method: Method, text: &str) -> Option<std::net::IpAddr> {
    Some(match text.parse().ok()? {
        std::net::IpAddr::V4(address) => {
            let mut octets = address.octets();
            hide_host(method, &mut octets);
            octets.into()
        }
        std::net::IpAddr::V6(address) => {
            let mut octets = address.octets();
            hide_host(method, &mut octets);
            octets.into()
        }
    })
}

fn hide_host(method: Method, address: &mut [u8]) {
    let kept = match (method, address.len()) {
        (Method::Redact, _) => 0,
        (_, 4) => 3,
        (_, _) => 6,
    };
    address.iter_mut().skip(kept).for_each(|byte| *byte = 0);
}

/// Hardware addresses keep their maker.
pub(super) fn hardware(method: Method, width: usize, binary: bool, value: &[u8], out: &mut Vec<u8>) -> Applied {
    let kept = if method == Method::Redact { 0 } else { 3 };
    if binary {
        if value.len() != width {
            return Applied::Null;
        }
        out.extend(value.iter().enumerate().map(|(index, byte)| if index < kept { *byte } else { 0 }));
        return Applied::Written;
    }
    let pairs: Vec<&[u8]> = value.split(|byte| *byte == b':').collect();
    let is_pair = |pair: &&[u8]| pair.len() == 2 && pair.iter().all(u8::is_ascii_hexdigit);
    if pairs.len() != width || !pairs.iter().all(is_pair) {
        return Applied::Null;
    }
    for (index, pair) in pairs.iter().enumerate() {
        if index > 0 {
            out.push(b':');
        }
        out.extend_from_slice(if index < kept { pair } else { b"00" });
    }
    Applied::Written
}

/// Dates, addresses and numbers that are kept as text. False when it is none of them; nothing is written then.
pub(super) fn coarsen_text(text: &str, room: usize, out: &mut Vec<u8>) -> bool {
    let masked = if let Some((month, _)) = month(text.as_bytes()) {
        Some(format!("{}-01", String::from_utf8_lossy(month)))
    } else if let Some(address) = coarse_address(Method::Coarsen, text) {
        Some(address.to_string())
    } else {
        let mut number = Vec::new();
        let written = numeric_text(Method::Coarsen, text.as_bytes(), &mut number) == Applied::Written;
        written.then(|| String::from_utf8(number).ok()).flatten()
    };
    match masked.filter(|masked| masked.len() <= room) {
        Some(masked) => constant(masked.as_bytes(), out) == Applied::Written,
        None => false,
    }
}
