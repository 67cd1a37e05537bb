//! Knows columns of driving licence numbers, which have a form of their own in every country.

use super::{Detector, Form, Method, Sight};

pub(super) struct DriverLicence;

impl Detector for DriverLicence {
    fn name(&self) -> &'static str {
        "driver_licence"
    }

    fn summary(&self) -> &'static str {
        "driving licence numbers"
    }

    fn method(&self) -> Method {
        Method::Pseudonym(Form::Word)
    }

    fn sight(&self) -> Sight {
        Sight::Nowhere
    }

    fn claims(&self) -> &'static [&'static str] {
        &[
            "driver license",
            "drivers license",
            "driver licence",
            "driving licence",
            "driving license",
            "driver license number",
            "drivers license number",
            "driving licence number",
            "dl number",
            "license number",
            "fuhrerschein",
            "permis conduire",
            "licencia conducir",
            "patente guida",
            "cnh",
        ]
    }
}
