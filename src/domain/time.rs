//! Points in time and lengths of time, as data. Nothing here can ask what time it is.

use std::fmt;

pub(crate) use std::time::Duration;

/// Milliseconds since 1970-01-01T00:00:00Z, leap seconds ignored (POSIX time).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Timestamp(u64);

impl Timestamp {
    pub(crate) const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    pub(crate) const fn from_seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    pub(crate) const fn millis(self) -> u64 {
        self.0
    }

    pub(crate) const fn seconds(self) -> u64 {
        self.0 / 1000
    }

    /// The moment `length` later; stops at the end of representable time.
    pub(crate) fn after(self, length: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(length.as_millis()).unwrap_or(u64::MAX)))
    }

    /// The moment `length` earlier; stops at 1970.
    pub(crate) fn before(self, length: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(length.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long from `earlier` to `self`; zero when `earlier` is later.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// RFC 3339 in UTC with milliseconds, parsed back by [`Timestamp::parse`].
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let format = &time::format_description::well_known::Rfc3339;
        let at = time::OffsetDateTime::parse(text, format).ok()?;
        let millis = at.unix_timestamp_nanos() / 1_000_000;
        u64::try_from(millis).ok().map(Self)
    }
}

impl fmt::Display for Timestamp {
    /// `2026-11-22T14:10:21.042Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.0 / 86_400_000;
        let (year, month, day) = civil_from_days(days);
        let ms = self.0 % 86_400_000;
        let (hour, minute, second, milli) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
    }
}

/// A length of time as people write it: numbers with `s`, `m`, `h` or `d`, for example `90s` or `1h30m`.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, behind) = rest.split_at_checked(end)?;
        let (unit, behind) = behind.split_at_checked(1)?;
        let seconds: u64 = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 60 * 60,
            "d" => 24 * 60 * 60,
            _ => return None,
        };
        total = total.checked_add(Duration::from_secs(number.parse::<u64>().ok()?.checked_mul(seconds)?))?;
        rest = behind;
    }
    (!text.is_empty()).then_some(total)
}

/// A length of time as [`parse_duration`] reads it, in whole seconds.
pub(crate) fn print_duration(length: Duration) -> String {
    let mut rest = length.as_secs();
    let mut out = String::new();
    for (unit, seconds) in [('d', 24 * 60 * 60), ('h', 60 * 60), ('m', 60), ('s', 1)] {
        if rest >= seconds {
            out.push_str(&(rest / seconds).to_string());
            out.push(unit);
            rest %= seconds;
        }
    }
    if out.is_empty() { "0s".to_owned() } else { out }
}

/// Days since 1970-01-01 to a Gregorian date. Howard Hinnant, "chrono-compatible low-level date algorithms",
/// `civil_from_days`, for dates from 1970 on.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let era = z / 146_097;
    let day_of_era = z % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let mp = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_and_parses_rfc_3339() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_356_621_042, "2026-11-22T14:10:21.042Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
        ] {
            assert_eq!(Timestamp::from_millis(millis).to_string(), text);
            assert_eq!(Timestamp::parse(text), Some(Timestamp::from_millis(millis)));
        }
        assert_eq!(Timestamp::parse("yesterday"), None);
    }

    #[test]
    fn arithmetic_stops_at_the_ends() {
        let last = Timestamp::from_millis(u64::MAX);
        assert_eq!(last.after(Duration::from_secs(1)), last);
        assert_eq!(Timestamp::from_millis(5).before(Duration::from_secs(1)), Timestamp::from_millis(0));
        assert_eq!(Timestamp::from_millis(5).since(last), Duration::ZERO);
    }

    #[test]
    fn lengths_of_time() {
        for (text, seconds) in
            [("90s", 90), ("15m", 900), ("1h30m", 5400), ("1d", 86_400), ("1d2h3m4s", 93_784), ("0s", 0)]
        {
            let length = Duration::from_secs(seconds);
            assert_eq!(parse_duration(text), Some(length), "{text}");
            assert_eq!(parse_duration(&print_duration(length)), Some(length), "{text}");
        }
        for bad in
            ["", "1", "h", "1h30", "-1h", "1.5h", "1y", "1 h", "1hé", "99999999999999999999s", "9999999999999999d"]
        {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
        assert_eq!(print_duration(Duration::from_secs(5400)), "1h30m");
    }
}
