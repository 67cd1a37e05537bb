//! Finds identity numbers of India: twelve digits, the last by Verhoeff.

use super::checksum::verhoeff;
use super::{Detector, Digits, Form, Likeness, Method, Sight};

pub(super) struct InAadhaar;

impl Detector for InAadhaar {
    fn name(&self) -> &'static str {
        "in_aadhaar"
    }

    fn summary(&self) -> &'static str {
        "identity numbers of India (Aadhaar)"
    }

    fn method(&self) -> Method {
        Method::Pseudonym(Form::Word)
    }

    fn sight(&self) -> Sight {
        Sight::Digits { count: 12..=12, look }
    }

    fn claims(&self) -> &'static [&'static str] {
        &["aadhaar", "aadhar", "aadhaar number", "aadhar number", "aadhaar no", "aadhar no", "uidai"]
    }

    fn is_checked(&self) -> bool {
        true
    }
}

fn look(seen: &Digits<'_>) -> Likeness {
    let starts = seen.digits.first().is_some_and(|first| *first >= 2);
    if seen.digits.len() != 12 || !starts || !verhoeff(seen.digits) {
        return Likeness::No;
    }
    let is_printed = seen.text.split([' ', '-']).map(str::len).eq([4, 4, 4]);
    if is_printed { Likeness::Likely } else { Likeness::Possible }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn values() {
        check(&InAadhaar, "2341 2341 2346", Likeness::Likely);
        check(&InAadhaar, "234123412346", Likeness::Possible);
        check(&InAadhaar, "2341 2341 2347", Likeness::No);
        check(&InAadhaar, "1341 2341 2346", Likeness::No);
    }
}
