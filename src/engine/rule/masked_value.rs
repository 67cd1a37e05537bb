//! Stops masked values that come back as if they were data.
//!
//! The database does not hold them. Written, they destroy what it holds; compared, they are found nowhere, which is an
//! answer that is not true.

use super::Rule;
use crate::domain::{Action, Environment, IdentityKind, Reason};
use crate::engine::mask::recognise::Resemblance;
use crate::engine::resolve::Facts;
use crate::engine::write_back;

pub(in crate::engine) struct MaskedValue;

pub(in crate::engine) const NAME: &str = "masked_value";

impl Rule for MaskedValue {
    fn name(&self) -> &'static str {
        NAME
    }

    fn summary(&self) -> &'static str {
        "values that a mask made, written back or looked for as if they were data"
    }

    /// Data is lost in development as well.
    fn default(&self, _: Environment, _: IdentityKind) -> Action {
        Action::Deny
    }

    fn check(&self, facts: &Facts<'_>) -> Option<Reason> {
        let returned = write_back::written(facts)?;
        (returned.resemblance == Resemblance::Sure).then(|| returned.reason(self.name()))
    }
}
