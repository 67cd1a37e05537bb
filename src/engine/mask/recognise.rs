//! Recognises what masks made when it comes back: as a value in a statement, a parameter or COPY data.
//!
//! A pseudonym proves itself, wherever it stands. Of other masks no form is theirs alone: `1990-05-01` is the mask of a
//! birthday and the birthday of some. But masks are idempotent: what the mask of a column leaves as it is may be one.

use super::pseudonym::{Drafts, Pseudonyms};
use super::text::STARS;
use super::treatment::{Applied, Column, Pen};
use super::{MaskKey, ResultColumn};
use crate::engine::catalog::Catalog;
use crate::engine::mask::plan::Treatment;

/// Recognises masks of one resource; pseudonyms only with its key.
#[derive(Debug)]
pub(in crate::engine) struct Recogniser {
    pseudonyms: Option<Pseudonyms>,
}

/// How much a value looks like a mask of the column it is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Resemblance {
    /// No value of the outside looks like this.
    Sure,
    /// Some do.
    Possible,
}

impl Recogniser {
    pub(in crate::engine) fn new(key: Option<&MaskKey>) -> Self {
        Self { pseudonyms: key.map(Pseudonyms::new) }
    }

    /// Whether a pseudonym of this resource stands in a value, of whatever type and in either format.
    pub(in crate::engine) fn carries(&self, value: &[u8]) -> bool {
        self.pseudonyms.as_ref().is_some_and(|pseudonyms| pseudonyms.stand_in(value))
    }

    /// Whether a value has what no value of the outside has: worth a closer look before it is written.
    pub(in crate::engine) fn is_marked(value: &[u8]) -> bool {
        memchr::memchr(b'*', value).is_some() || CONSTANTS.contains(&value)
    }

    /// Whether a value is one that the mask of `column` would leave as it is.
    pub(in crate::engine) fn resembles(
        &self,
        treatment: Treatment,
        column: &ResultColumn,
        catalog: &Catalog,
        value: Option<&[u8]>,
    ) -> Option<Resemblance> {
        let masked = Column::new(treatment, column, catalog);
        let mut pen = Pen::new(self.pseudonyms.clone());
        match (treatment, value) {
            (Treatment::Clear | Treatment::Glance | Treatment::Hide, _) | (_, Some([])) => None,
            // A text that is masked in places has stars in them; so do some that are not.
            (Treatment::Look | Treatment::Definition | Treatment::Suspect(_), Some(value)) => {
                memchr::memmem::find(value, STARS.as_bytes()).map(|_| Resemblance::Possible)
            }
            (Treatment::Look | Treatment::Definition | Treatment::Suspect(_), None) => None,
            (Treatment::Entity(_) | Treatment::Redact, Some(value)) => {
                let is_word = Self::is_marked(value);
                let stays = |pen: &mut Pen| {
                    masked.apply(value, pen, &mut Drafts::default(), &mut Vec::new()) == Applied::Unchanged
                };
                // The catalog does not say how many digits a column has: without room for a pseudonym it shows ranges.
                let is_mask = stays(&mut pen) || (masked.is_measured() && stays(&mut Pen::new(None)));
                is_mask.then_some(if is_word { Resemblance::Sure } else { Resemblance::Possible })
            }
            // Values of some types have no mask but NULL.
            (Treatment::Entity(_) | Treatment::Redact, None) => masked.has_no_mask().then_some(Resemblance::Possible),
        }
    }
}

/// Masks of documents.
const CONSTANTS: [&[u8]; 2] = [br#"{"masked": true}"#, b"<masked/>"];
