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
            "pay",
            "pay rate",
            "hourly rate",
            "gross pay",
            "net pay",
            "take home",
            "remuneration",
            "stipend",
            "paycheck",
            "net worth",
            "gehalt",
            "lohn",
            "entgelt",
            "verguetung",
            "vergutung",
            "besoldung",
            "salaire",
            "salario",
            "sueldo",
            "remuneracion",
            "remuneracao",
            "ordenado",
            "stipendio",
            "retribuzione",
            "loenn",
            "lonn",
            "lon",
            "salaris",
            "vederlag",
            "palkka",
            "wynagrodzenie",
        ]
    }
}
