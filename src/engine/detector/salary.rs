//! Knows columns of what people earn.

use super::{Detector, Method, Sight};

pub(super) struct Salary;

impl Detector for Salary {
    fn name(&self) -> &'static str {
        "salary"
    }

    fn summary(&self) -> &'static str {
        "salaries and other pay"
    }

    fn method(&self) -> Method {
        Method::Coarsen
    }

    fn sight(&self) -> Sight {
        Sight::Nowhere
    }

    fn claims(&self) -> &'static [&'static str] {
        &[
            "salary",
            "salaries",
            "base salary",
            "annual salary",
            "monthly salary",
            "income",
            "annual income",
            "wage",
            "wages",
            "compensation",
            "bonus",
            "pay rate",
            "hourly rate",
            "gross pay",
            "net pay",
            "net worth",
            "gehalt",
            "lohn",
            "salaire",
            "salario",
            "sueldo",
            "stipendio",
            "loenn",
            "lonn",
            "lon",
            "palkka",
            "wynagrodzenie",
        ]
    }
}
