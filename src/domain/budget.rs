//! What may be used up: by one session, or by one identity in a day.

use super::time::{Duration, print_duration};

/// An amount of each thing that statements use up; `None` is without limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Budget {
    /// Rows returned.
    pub(crate) rows: Option<u64>,
    /// Bytes of row data returned.
    pub(crate) bytes: Option<u64>,
    pub(crate) statements: Option<u64>,
    /// Values that masked columns were asked for.
    pub(crate) lookups: Option<u64>,
    /// Time in which statements ran.
    pub(crate) time: Option<Duration>,
}

/// What has been used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) statements: u64,
    pub(crate) lookups: u64,
    pub(crate) time: Duration,
}

/// A thing of which nothing is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spent {
    /// `rows`, `bytes`, `statements`, `lookups` or `time`.
    pub(crate) what: &'static str,
    /// How much of it there was.
    pub(crate) limit: String,
}

impl Budget {
    /// Both: of each thing the smaller amount.
    #[must_use]
    pub(crate) fn and(self, other: Self) -> Self {
        fn smaller<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
            one.into_iter().chain(other).min()
        }
        Self {
            rows: smaller(self.rows, other.rows),
            bytes: smaller(self.bytes, other.bytes),
            statements: smaller(self.statements, other.statements),
            lookups: smaller(self.lookups, other.lookups),
            time: smaller(self.time, other.time),
        }
    }

    /// The first thing of which nothing is left, if there is one: then no further statement may begin.
    pub(crate) fn spent(&self, used: &Usage) -> Option<Spent> {
        let number = |what, limit: Option<u64>, used: u64| {
            limit.filter(|limit| used >= *limit).map(|limit| Spent { what, limit: limit.to_string() })
        };
        let time = || {
            let limit = self.time.filter(|limit| used.time >= *limit)?;
            Some(Spent { what: "time", limit: print_duration(limit) })
        };
        number("rows", self.rows, used.rows)
            .or_else(|| number("bytes", self.bytes, used.bytes))
            .or_else(|| number("statements", self.statements, used.statements))
            .or_else(|| number("lookups", self.lookups, used.lookups))
            .or_else(time)
    }
}

impl Usage {
    pub(crate) fn add(&mut self, more: &Self) {
        self.rows = self.rows.saturating_add(more.rows);
        self.bytes = self.bytes.saturating_add(more.bytes);
        self.statements = self.statements.saturating_add(more.statements);
        self.lookups = self.lookups.saturating_add(more.lookups);
        self.time = self.time.saturating_add(more.time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smaller_amount_of_each_counts() {
        let one = Budget { rows: Some(10), bytes: Some(1), ..Budget::default() };
        let other = Budget { rows: Some(5), time: Some(Duration::from_secs(60)), ..Budget::default() };
        let both = Budget { rows: Some(5), bytes: Some(1), time: Some(Duration::from_secs(60)), ..Budget::default() };
        assert_eq!(one.and(other), both);
        assert_eq!(other.and(one), both);
        assert_eq!(one.and(Budget::default()), one);
    }

    #[test]
    fn what_is_used_up_is_named() {
        let budget = Budget {
            rows: Some(10),
            bytes: Some(100),
            statements: Some(3),
            lookups: Some(5),
            time: Some(Duration::from_secs(60)),
        };
        let used = |rows, bytes, statements, seconds| Usage {
            rows,
            bytes,
            statements,
            lookups: 4,
            time: Duration::from_secs(seconds),
        };
        for (used, what) in [
            (used(0, 0, 0, 0), None),
            (used(9, 99, 2, 59), None),
            (used(10, 0, 0, 0), Some(("rows", "10"))),
            (used(0, 101, 9, 0), Some(("bytes", "100"))),
            (used(0, 0, 3, 0), Some(("statements", "3"))),
            (used(0, 0, 0, 60), Some(("time", "1m"))),
        ] {
            let spent = budget.spent(&used);
            assert_eq!(spent.as_ref().map(|spent| (spent.what, spent.limit.as_str())), what, "{used:?}");
        }
        let asked = budget.spent(&Usage { lookups: 5, ..Usage::default() });
        assert_eq!(asked.map(|spent| (spent.what, spent.limit)), Some(("lookups", "5".to_owned())));
        assert_eq!(Budget::default().spent(&used(u64::MAX, u64::MAX, u64::MAX, u64::MAX)), None);
    }

    #[test]
    fn usage_adds_up_and_stays_within_its_numbers() {
        let mut used = Usage { rows: 1, bytes: u64::MAX, statements: 1, lookups: 3, time: Duration::from_secs(1) };
        used.add(&used.clone());
        assert_eq!(used, Usage { rows: 2, bytes: u64::MAX, statements: 2, lookups: 6, time: Duration::from_secs(2) });
    }
}
