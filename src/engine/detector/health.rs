//! Knows columns about the health of people.

use super::{Detector, Method, Sight};

pub(super) struct Health;

impl Detector for Health {
    fn name(&self) -> &'static str {
        "health"
    }

    fn summary(&self) -> &'static str {
        "health records"
    }

    fn method(&self) -> Method {
        Method::Redact
    }

    fn sight(&self) -> Sight {
        Sight::Nowhere
    }

    fn claims(&self) -> &'static [&'static str] {
        &[
            "diagnosis",
            "diagnoses",
            "blood type",
            "medical record number",
            "mrn",
            "medical history",
            "allergies",
            "icd 10",
            "icd code",
            "medication",
            "medications",
            "disability",
            "medical condition",
            "health condition",
            "health insurance number",
            "patient id number",
            "diagnose",
            "krankheit",
            "maladie",
            "enfermedad",
        ]
    }
}
