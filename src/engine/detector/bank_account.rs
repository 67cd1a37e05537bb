//! Knows columns of bank account numbers, which have a form of their own in every bank.

use super::{Detector, Method, Sight};

pub(super) struct BankAccount;

impl Detector for BankAccount {
    fn name(&self) -> &'static str {
        "bank_account"
    }

    fn summary(&self) -> &'static str {
        "bank account numbers"
    }

    fn method(&self) -> Method {
        Method::LastFour
    }

    fn sight(&self) -> Sight {
        Sight::Nowhere
    }

    fn claims(&self) -> &'static [&'static str] {
        &[
            "account number",
            "account no",
            "account num",
            "acct number",
            "acct no",
            "acct num",
            "bank account number",
            "bankaccount",
            "kontonr",
            "konto nr",
            "numero cuenta",
            "numero compte",
            "conta bancaria",
            "numero conto",
            "rekeningnummer",
            "sort code",
            "bank account no",
            "clabe",
        ]
    }
}
