//! Knows columns of identity and tax numbers whose country is not said.

use super::{Detector, Form, Method, Sight};

pub(super) struct NationalId;

impl Detector for NationalId {
    fn name(&self) -> &'static str {
        "national_id"
    }

    fn summary(&self) -> &'static str {
        "identity and tax numbers of an unknown country"
    }

    fn method(&self) -> Method {
        Method::Pseudonym(Form::Word)
    }

    fn sight(&self) -> Sight {
        Sight::Nowhere
    }

    fn claims(&self) -> &'static [&'static str] {
        &[
            "national id",
            "national id number",
            "nationalid",
            "id number",
            "identity number",
            "tax id",
            "tax number",
            "taxid",
            "tin",
            "vat id personal",
            "tax identification number",
            "tax payer id",
            "taxpayer id",
            "personal id",
            "personal number",
            "id card",
            "identity card",
            "citizen id",
            "government id",
            "document number",
            "personalausweis",
            "ausweisnummer",
            "numero identificacion",
            "cedula",
            "rut",
            "rfc",
            "medicare number",
            "voter id",
            "elector id",
        ]
    }
}
