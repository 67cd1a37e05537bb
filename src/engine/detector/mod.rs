//! Finds sensitive values in text, one kind per file. The file's name is the entity's word in policy files.
//!
//! A detector says how its values look ([`Sight`]), what columns that hold them are called, and how they are masked.
//! [`scan`] looks at a text once for all of them: most cells are rejected after counting digits and signs.

mod card;
mod checksum;
mod email;
mod iban;
mod name;
mod phone;
mod scan;
mod us_ssn;

use std::fmt;
use std::ops::Range;

pub(super) use name::{claimed, words};
pub(super) use scan::{Found, scan};

/// One kind of sensitive value.
pub(crate) trait Detector: Sync {
    /// The entity's word.
    fn name(&self) -> &'static str;

    /// One line for help and documentation.
    fn summary(&self) -> &'static str;

    /// How a value that is known to be one is masked.
    fn method(&self) -> Method;

    /// How values are found in text that may hold anything.
    fn sight(&self) -> Sight;

    /// What a column that holds them is called: phrases of whole words in lower case. Also what stands before a value
    /// in a text.
    fn claims(&self) -> &'static [&'static str];
}

impl fmt::Debug for dyn Detector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a value is masked, in whatever type it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// Nothing of it stays.
    Redact,
    /// The last four characters that count stay.
    LastFour,
    /// A keyed pseudonym: equal for equal values.
    Pseudonym(Form),
    /// Numbers to the lower end of their range, dates to the first of their month, addresses to their network.
    Coarsen,
}

/// What a pseudonym looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `entity_` and letters.
    Word,
    /// An e-mail address in a domain that does not exist.
    Email,
    /// A telephone number under a country code that is not given to any country.
    Phone,
}

/// How values look in text.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sight {
    /// A run of digits with the usual signs between them.
    Digits(fn(&Digits<'_>) -> Likeness),
    /// A word of letters and digits. The check may see further than the word and says where the value ends.
    Word(fn(&Word<'_>) -> Option<(Likeness, usize)>),
    /// What holds this needle; the function gives the first value at or after a place.
    Text { needle: &'static str, find: fn(&str, usize) -> Option<Range<usize>> },
}

/// How sure a look is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Likeness {
    No,
    /// Only when the words before it say so.
    Possible,
    /// Enough to mask what nobody has looked at before; one in ten numbers of other kinds also looks so.
    Likely,
    /// Nothing else looks like this.
    Certain,
}

/// Digits as they stand in a text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Digits<'a> {
    /// With the signs between them.
    pub(crate) text: &'a str,
    /// The digits alone, 0 to 9.
    pub(crate) digits: &'a [u8],
}

/// A word as it stands in a text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Word<'a> {
    pub(crate) text: &'a str,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl<'a> Word<'a> {
    pub(crate) fn word(&self) -> &'a str {
        self.text.get(self.start..self.end).unwrap_or_default()
    }
}

/// The detector of this word.
pub(super) fn named(name: &str) -> Option<&'static dyn Detector> {
    DETECTORS.iter().find(|detector| detector.name() == name).copied()
}

/// All detectors. Where two find the same value, the earlier has it.
pub(crate) const DETECTORS: &[&dyn Detector] =
    &[&email::Email, &iban::Iban, &card::Card, &us_ssn::UsSsn, &phone::Phone];
