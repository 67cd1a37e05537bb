//! Knows columns of passport numbers, which have a form of their own in every country.

use super::{Detector, Form, Method, Sight};

pub(super) struct Passport;

impl Detector for Passport {
    fn name(&self) -> &'static str {
        "passport"
    }

    fn summary(&self) -> &'static str {
        "passport numbers"
    }

    fn method(&self) -> Method {
        Method::Pseudonym(Form::Word)
    }

    fn sight(&self) -> Sight {
        Sight::Nowhere
    }

    fn claims(&self) -> &'static [&'static str] {
        &[
            "passport",
            "passport number",
            "passport no",
            "passport num",
            "passnummer",
            "passeport",
            "numero passeport",
            "pasaporte",
            "numero pasaporte",
            "reisepass",
            "passaporto",
            "passaporte",
            "paspoort",
            "paszport",
        ]
    }
}
