//! Asks before a value that may be a mask is written over a value that is masked.
//!
//! `1990-05-01` is what a birthday of that month is shown as, and `70000` a salary: whoever saves the row that was shown
//! writes them over what is there. Whoever means them is rare, and has never seen what they overwrite.

use super::{Rule, asked};
use crate::domain::{Action, Environment, IdentityKind, Reason};
use crate::engine::mask::recognise::Resemblance;
use crate::engine::resolve::Facts;
use crate::engine::write_back;

pub(in crate::engine) struct CoarseValue;

impl Rule for CoarseValue {
    fn name(&self) -> &'static str {
        "coarse_value"
    }

    fn summary(&self) -> &'static str {
        "values that may be masks, such as the first of a month, written over masked ones"
    }

    fn default(&self, environment: Environment, who: IdentityKind) -> Action {
        asked(environment, who)
    }

    fn check(&self, facts: &Facts<'_>) -> Option<Reason> {
        let returned = write_back::written(facts)?;
        (returned.resemblance == Resemblance::Possible).then(|| returned.reason(self.name()))
    }
}
