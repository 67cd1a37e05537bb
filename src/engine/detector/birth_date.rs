//! Knows columns of dates of birth.

use super::{Detector, Method, Sight};

pub(super) struct BirthDate;

impl Detector for BirthDate {
    fn name(&self) -> &'static str {
        "birth_date"
    }

    fn summary(&self) -> &'static str {
        "dates of birth"
    }

    fn method(&self) -> Method {
        Method::Coarsen
    }

    fn sight(&self) -> Sight {
        Sight::Nowhere
    }

    fn claims(&self) -> &'static [&'static str] {
        &[
            "dob",
            "birth date",
            "birthdate",
            "birthday",
            "date of birth",
            "born",
            "born on",
            "born at",
            "birth day",
            "birth dt",
            "geburtsdatum",
            "geburtstag",
            "geb datum",
            "date naissance",
            "date de naissance",
            "naissance",
            "fecha nacimiento",
            "fecha de nacimiento",
            "nacimiento",
            "data nascita",
            "data di nascita",
            "data nascimento",
            "data de nascimento",
            "nascimento",
            "geboortedatum",
            "fodselsdato",
            "fodelsedatum",
            "foedselsdato",
            "data urodzenia",
            "syntymaaika",
            "d o b",
            "b day",
            "bday",
            "birth dte",
            "dt birth",
            "dt nasc",
            "fec nac",
        ]
    }
}
