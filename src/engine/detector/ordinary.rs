//! Knows the whole texts that are full of digits and hold no value: moments and UUIDs.

/// Whether a whole text is a moment or a UUID.
pub(super) fn is_ordinary(text: &[u8]) -> bool {
    is_uuid(text) || is_moment(text)
}

/// A UUID in its usual form (RFC 9562 section 4). Groups in which there are only digits may pass for a number of some
/// kind by chance, and are none.
fn is_uuid(text: &[u8]) -> bool {
    let fits = |(place, byte): (usize, &u8)| match place {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    text.len() == 36 && text.iter().enumerate().all(fits)
}

/// A date, and with it a time of day, as ISO 8601 and RFC 3339 write them and PostgreSQL does. With more than six places of
/// a second it may be a telephone number.
fn is_moment(text: &[u8]) -> bool {
    let Some((date, time)) = text.split_at_checked(DATE.len()) else { return false };
    if !has_form(date, DATE) || date.first() == Some(&b'0') {
        return false;
    }
    let Some((minute, rest)) = time.split_at_checked(MINUTE.len()) else { return time.is_empty() };
    let rest = match rest.split_at_checked(SECOND.len()) {
        Some((second, behind)) if has_form(second, SECOND) => behind,
        _ => rest,
    };
    let rest = match rest {
        [b'.', fraction @ ..] => {
            let digits = fraction.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(fraction.len());
            fraction.get(digits..).filter(|_| (1..=6).contains(&digits)).unwrap_or(rest)
        }
        _ => rest,
    };
    let is_zone = ZONES.iter().any(|zone| has_form(rest, zone));
    MINUTES.iter().any(|form| has_form(minute, form)) && is_zone
}

/// In forms a zero stands for any digit, and all else for itself.
const DATE: &[u8] = b"0000-00-00";
const MINUTES: [&[u8]; 2] = [b" 00:00", b"T00:00"];
const MINUTE: &[u8] = MINUTES[0];
const SECOND: &[u8] = b":00";
const ZONES: [&[u8]; 6] = [b"", b"Z", b"+00", b"-00", b"+00:00", b"-00:00"];

fn has_form(text: &[u8], form: &[u8]) -> bool {
    let fits = |(byte, form): (&u8, &u8)| if *form == b'0' { byte.is_ascii_digit() } else { byte == form };
    text.len() == form.len() && text.iter().zip(form).all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_their_neighbours() {
        for text in [
            "2026-01-28",
            "2026-01-28 12:59",
            "2026-01-28T12:59Z",
            "2026-01-28 12:59:00+02",
            "2026-01-28T12:59:00.123456-03:30",
        ] {
            assert!(is_ordinary(text.as_bytes()), "{text}");
            assert!(
                !is_ordinary(format!("{text}0").as_bytes()) && !is_ordinary(format!(" {text}").as_bytes()),
                "{text}"
            );
        }
        for text in
            ["", "2026-01-2", "0026-01-28 12:59", "2026-01-28 12:59:07.1234567", "2026-01-28 12:59:00.", "2026/01/28"]
        {
            assert!(!is_ordinary(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn uuids_and_their_neighbours() {
        assert!(is_ordinary(b"12345678-1234-1234-1234-123456789012"));
        assert!(is_ordinary(b"3F2504E0-4f89-11d3-9a0c-0305e82c3301"));
        for text in [
            "3f2504e0-4f89-11d3-9a0c-0305e82c330",
            "3f2504e0-4f89-11d3-9a0c 0305e82c3301",
            "3f2504e04f89-11d3-9a0c-0305e82c33012",
        ] {
            assert!(!is_ordinary(text.as_bytes()), "{text}");
        }
    }
}
