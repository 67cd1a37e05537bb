//! Knows columns of the codes on the back of payment cards.

use super::{Detector, Method, Sight};

pub(super) struct CardCode;

impl Detector for CardCode {
    fn name(&self) -> &'static str {
        "card_code"
    }

    fn summary(&self) -> &'static str {
        "security codes of payment cards"
    }

    fn method(&self) -> Method {
        Method::Redact
    }

    fn sight(&self) -> Sight {
        Sight::Nowhere
    }

    fn claims(&self) -> &'static [&'static str] {
        &[
            "cvv",
            "cvc",
            "cvv 2",
            "cvc 2",
            "card code",
            "security code",
            "card verification",
            "card security code",
            "card cvv",
            "card cvc",
            "csc",
            "cvv code",
            "pin",
            "pin code",
            "card pin",
        ]
    }
}
