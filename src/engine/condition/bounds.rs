//! Between what numbers a value can be, and whether some places where it may be are all there are.

use super::CatalogColumn;

/// What a column of whole numbers can hold.
pub(super) fn whole_numbers(column: &CatalogColumn) -> Option<(i128, i128)> {
    match column.kind {
        // int2, int4, int8
        21 => Some((i128::from(i16::MIN), i128::from(i16::MAX))),
        23 => Some((i128::from(i32::MIN), i128::from(i32::MAX))),
        20 => Some((i128::from(i64::MIN), i128::from(i64::MAX))),
        _ => None,
    }
}

/// Between what a value is in every row; `None` is without end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) least: Option<i128>,
    pub(super) most: Option<i128>,
}

pub(super) const NOT_NEGATIVE: Bounds = Bounds { least: Some(0), most: None };

impl Bounds {
    /// What the type can hold, for a key from the first number on that anybody gives out.
    pub(super) fn of_column(column: &CatalogColumn, is_key: bool) -> Self {
        let Some((least, most)) = whole_numbers(column) else { return Self::default() };
        Self { least: Some(if is_key || column.counted { 1 } else { least }), most: Some(most) }
    }

    pub(super) fn is_positive(self) -> bool {
        self.least.is_some_and(|least| least >= 0)
    }

    pub(super) fn is_above_zero(self) -> bool {
        self.least.is_some_and(|least| least > 0)
    }

    pub(super) fn negated(self) -> Self {
        Self { least: self.most.and_then(i128::checked_neg), most: self.least.and_then(i128::checked_neg) }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        let sum = |one: Option<i128>, two: Option<i128>| one.zip(two).and_then(|(one, two)| one.checked_add(two));
        Self { least: sum(self.least, other.least), most: sum(self.most, other.most) }
    }

    pub(super) fn either(self, other: Self) -> Self {
        let both = |one: Option<i128>, two: Option<i128>| one.zip(two);
        Self {
            least: both(self.least, other.least).map(|(one, two)| one.min(two)),
            most: both(self.most, other.most).map(|(one, two)| one.max(two)),
        }
    }

    /// Of a division by a constant. It has the sign of what is divided.
    pub(super) fn remainder(self, by: Option<i128>) -> Self {
        let Some(most) = by.and_then(i128::checked_abs).filter(|by| *by > 0).map(|by| by - 1) else {
            return Self::default();
        };
        Self { least: Some(if self.is_positive() { 0 } else { -most }), most: Some(most) }
    }

    /// Whether everything in between is on the right side of a number.
    pub(super) fn are_all(self, operator: &str, number: i128) -> bool {
        let (least, most) = (self.least, self.most);
        let above = least.is_some_and(|least| least > number);
        let below = most.is_some_and(|most| most < number);
        match operator {
            ">" => above,
            ">=" => above || least == Some(number),
            "<" => below,
            "<=" => below || most == Some(number),
            "=" => (least, most) == (Some(number), Some(number)),
            "<>" => above || below,
            _ => false,
        }
    }
}

/// Where a value may be. Ends are twice the number; one beside it is between that number and the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    from: i128,
    to: i128,
}

impl Span {
    /// Where a value is that compares so with a number.
    pub(super) fn of(operator: &str, number: i128) -> Option<Vec<Self>> {
        let at = number.checked_mul(2)?;
        let below = Self { from: i128::MIN, to: at - 1 };
        let above = Self { from: at + 1, to: i128::MAX };
        Some(match operator {
            "=" => vec![Self { from: at, to: at }],
            "<>" => vec![below, above],
            "<" => vec![below],
            "<=" => vec![Self { to: at, ..below }],
            ">" => vec![above],
            ">=" => vec![Self { from: at, ..above }],
            _ => return None,
        })
    }

    pub(super) fn both(self, other: Self) -> Option<Self> {
        let (from, to) = (self.from.max(other.from), self.to.min(other.to));
        (from <= to).then_some(Self { from, to })
    }
}

/// Whether spans leave out nothing between the bounds.
pub(super) fn is_all(mut spans: Vec<Span>, bounds: Bounds, whole: bool) -> bool {
    let twice = |number: Option<i128>, end: i128| number.and_then(|number| number.checked_mul(2)).unwrap_or(end);
    let most = twice(bounds.most, i128::MAX);
    // The first place that nothing covers yet. Between two whole numbers there is nothing to be covered.
    let mut open = twice(bounds.least, i128::MIN);
    spans.sort_unstable();
    for span in spans {
        if open > most || span.from > open {
            break;
        }
        if span.to == i128::MAX {
            return true;
        }
        let next = span.to.saturating_add(1);
        let next = if whole && next % 2 != 0 { next.saturating_add(1) } else { next };
        open = open.max(next);
    }
    open > most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_cover_or_leave_something_out() {
        let of = |places: &[(&str, i128)]| -> Vec<Span> {
            places.iter().flat_map(|(operator, number)| Span::of(operator, *number).unwrap()).collect()
        };
        let from = |least| Bounds { least: Some(least), most: None };
        let open = Bounds::default();
        for (places, bounds, whole, covered) in [
            (&[("<", 10), (">", 5)][..], open, false, true),
            (&[("<=", 5), (">=", 6)], open, true, true),
            (&[("<=", 5), (">=", 6)], open, false, false),
            (&[("<", 5), (">", 5)], open, true, false),
            (&[("<", 7), ("=", 7), (">", 7)], open, false, true),
            (&[(">", 0)], from(1), true, true),
            (&[(">", 1)], from(1), true, false),
            (&[("=", 0), ("=", 1)], Bounds { least: Some(0), most: Some(1) }, true, true),
            (&[("=", 0), ("=", 1)], Bounds { least: Some(0), most: Some(1) }, false, false),
            (&[("=", 0), ("=", 1)], Bounds { least: Some(0), most: Some(2) }, true, false),
            (&[("<>", 3)], open, true, false),
            (&[("<>", 3), ("<>", 4)], open, true, true),
            (&[("<", i128::from(i64::MIN)), (">=", i128::from(i64::MIN))], open, true, true),
            (&[], open, true, false),
        ] {
            assert_eq!(is_all(of(places), bounds, whole), covered, "{places:?} {bounds:?}");
        }
        assert_eq!(Span::of("<", i128::MAX), None);
    }

    #[test]
    fn bounds_say_what_holds_for_all() {
        let digit = Bounds { least: Some(0), most: Some(9) };
        for (operator, number, all) in [
            ("<", 10, true),
            ("<", 9, false),
            ("<=", 9, true),
            (">", -1, true),
            (">", 0, false),
            (">=", 0, true),
            ("<>", 10, true),
            ("<>", 5, false),
            ("=", 0, false),
            ("~~", 0, false),
        ] {
            assert_eq!(digit.are_all(operator, number), all, "{operator} {number}");
        }
        let huge = Bounds { least: Some(i128::MIN), most: Some(i128::MAX) };
        assert_eq!(huge.negated(), Bounds { least: Some(-i128::MAX), most: None });
        assert_eq!(huge.plus(digit), Bounds { least: Some(i128::MIN), most: None });
        assert_eq!(digit.negated().remainder(Some(4)), Bounds { least: Some(-3), most: Some(3) });
        assert_eq!(digit.remainder(Some(0)), Bounds::default());
    }
}
