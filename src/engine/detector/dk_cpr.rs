//! Finds identity numbers of Denmark: date of birth and four digits.

use super::{Detector, Digits, Form, Likeness, Method, Sight};

pub(super) struct DkCpr;

impl Detector for DkCpr {
    fn name(&self) -> &'static str {
        "dk_cpr"
    }

    fn summary(&self) -> &'static str {
        "identity numbers of Denmark (CPR)"
    }

    fn method(&self) -> Method {
        Method::Pseudonym(Form::Word)
    }

    fn sight(&self) -> Sight {
        Sight::Digits { count: 10..=10, look }
    }

    fn claims(&self) -> &'static [&'static str] {
        &["cpr", "cpr number", "cpr nummer", "cprnr", "cpr nr"]
    }
}

fn look(seen: &Digits<'_>) -> Likeness {
    let [day, day_units, month, month_units, ..] = seen.digits else { return Likeness::No };
    let (day, month) = (day * 10 + day_units, month * 10 + month_units);
    let fits = seen.digits.len() == 10 && (1..=31).contains(&day) && (1..=12).contains(&month);
    if !fits {
        return Likeness::No;
    }
    let is_printed = seen.text.split('-').map(str::len).eq([6, 4]);
    match (is_printed, seen.text.len()) {
        (true, _) => Likeness::Likely,
        (false, 10) => Likeness::Possible,
        (false, _) => Likeness::No,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn values() {
        check(&DkCpr, "070761-4285", Likeness::Likely);
        check(&DkCpr, "0707614285", Likeness::Possible);
        check(&DkCpr, "471361-4285", Likeness::No);
    }
}
