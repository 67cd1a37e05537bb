//! Points in time as people type them.

use crate::domain::{Failure, Kind, Timestamp, parse_duration};

/// What may be typed, for help and for errors.
const FORMS: &str = "write how long ago (90s, 2h, 30d), or a time in UTC: 2026-11-27, 2026-11-27T09:30";

/// A moment: so long before `now`, or a date and a time in UTC, of which what is left out is zero.
fn parse(text: &str, now: Timestamp) -> Option<Timestamp> {
    if let Some(ago) = parse_duration(text) {
        return Some(now.before(ago));
    }
    let text = text.trim().replace(' ', "T");
    let (date, time) = text.split_once('T').unwrap_or((&text, "00:00"));
    let time = time.trim_end_matches('Z');
    let time = if time.matches(':').count() == 1 { format!("{time}:00") } else { time.to_owned() };
    Timestamp::parse(&format!("{date}T{time}Z"))
}

/// The same for what may be left out.
pub(super) fn option(text: Option<&str>, now: Timestamp) -> Result<Option<Timestamp>, Failure> {
    let wrong = |text: &str| Failure::new(Kind::Usage, format!("`{text}` is no point in time")).hint(FORMS);
    text.map(|text| parse(text, now).ok_or_else(|| wrong(text))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_as_people_type_them() {
        let now = Timestamp::parse("2026-11-27T12:00:00Z").unwrap();
        for (text, expected) in [
            ("2h", "2026-11-27T10:00:00Z"),
            ("1d12h", "2026-11-26T00:00:00Z"),
            ("2026-11-01", "2026-11-01T00:00:00Z"),
            ("2026-11-01T09:30", "2026-11-01T09:30:00Z"),
            ("2026-11-01 09:30", "2026-11-01T09:30:00Z"),
            ("2026-11-01T09:30:15Z", "2026-11-01T09:30:15Z"),
        ] {
            assert_eq!(parse(text, now), Timestamp::parse(expected), "{text}");
        }
        for bad in ["", "yesterday", "2026-13-01", "09:30", "2026-11-01T25:00"] {
            assert_eq!(parse(bad, now), None, "{bad}");
        }
    }
}
