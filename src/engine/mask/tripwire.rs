//! Fingerprints of sampled sensitive values, and whether something that goes out unmasked is one of them.
//!
//! A net under the masks: what lineage and detectors do not know of, such as a value that somebody copied into a column
//! that held nothing sensitive when it was looked at, is recognised by the value itself. Only values that tell who or what
//! they belong to have a fingerprint: long enough, seen once in their column, and in no column that is shown as it is.
//!
//! Fingerprints stay where they were made. There are few enough numbers of most kinds that whoever has a fingerprint and
//! its key finds the value by trying them all, so neither is given to a client, stored, or written to a log.

use std::collections::{HashMap, HashSet};
use std::fmt;

use ring::hmac;

use super::MaskKey;
use crate::engine::classify::FREE_TEXT;

/// Fingerprints of one resource: with their places about 2 MiB, and 128 KiB for the doorway.
const PRINTS_MAX: usize = 32 * 1024;

/// Bits of the doorway, as a power of two. With as many fingerprints as there may be, three cells of a hundred pass.
const DOORWAY_BITS: u32 = 20;

/// Bytes of a value that has one. Shorter ones are met by chance; longer ones are sampled in part.
const LENGTHS: std::ops::RangeInclusive<usize> = 8..=256;

/// Different bytes of a value that has one: `00000000` is nobody's.
const DIFFERENT_MIN: usize = 5;

/// Kinds of values that many share, or that stand in other columns in the ordinary course of things.
const SHARED: [&str; 13] = [
    FREE_TEXT,
    "address",
    "bic",
    "birth_date",
    "card_code",
    "health",
    "ip_address",
    "ipv6_address",
    "mac_address",
    "person_name",
    "salary",
    "us_routing",
    "username",
];

/// A value, as it is remembered.
pub(crate) type Fingerprint = u64;

/// Makes fingerprints of one resource.
#[derive(Clone)]
pub(crate) struct Fingerprinter {
    key: hmac::Key,
    /// Odd.
    factor: u64,
}

/// What is watched for.
pub(crate) struct Tripwire {
    maker: Fingerprinter,
    columns: Vec<String>,
    places: Vec<(u32, i16)>,
    /// The column a value is of, by its number in the two lists above.
    prints: HashMap<Fingerprint, u32>,
    /// Which values may have a fingerprint: a bit that is not set answers for nearly every cell.
    doorway: Vec<u64>,
}

/// A column whose values are watched for.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    pub(crate) place: (u32, i16),
    /// With relation and schema.
    pub(crate) name: String,
    pub(crate) prints: Vec<(Fingerprint, u32)>,
}

impl Fingerprinter {
    pub(crate) fn new(key: &MaskKey) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key.0.expose());
        let own = hmac::sign(&key, b"tripwire");
        let factor = own.as_ref().first_chunk().map_or(1, |bytes| u64::from_le_bytes(*bytes)) | 1;
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, own.as_ref()), factor }
    }

    /// The fingerprints of a column's sampled values, with their places in the doorway. `entity` is what it holds, or
    /// nothing where it is shown as it is.
    pub(crate) fn prints(&self, entity: Option<&str>, values: &[&str]) -> Vec<(Fingerprint, u32)> {
        if entity.is_some_and(|entity| SHARED.contains(&entity)) {
            return Vec::new();
        }
        let mut seen: HashMap<&str, u32> = HashMap::new();
        values.iter().for_each(|value| *seen.entry(value).or_default() += 1);
        let tells = |value: &str| {
            LENGTHS.contains(&value.len()) && value.bytes().collect::<HashSet<_>>().len() >= DIFFERENT_MIN
        };
        let once = seen.into_iter().filter(|(value, count)| (*count == 1 || entity.is_none()) && tells(value));
        once.map(|(value, _)| (self.print(value.as_bytes()), self.door(value.as_bytes()))).collect()
    }

    fn print(&self, value: &[u8]) -> Fingerprint {
        let tag = hmac::sign(&self.key, value);
        tag.as_ref().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// A few instructions: the length and both ends of a value, mixed.
    fn door(&self, value: &[u8]) -> u32 {
        let first = value.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let last = value.last_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let mixed = (first ^ last.rotate_left(23) ^ value.len() as u64).wrapping_mul(self.factor);
        u32::try_from(mixed >> (u64::BITS - DOORWAY_BITS)).unwrap_or(0)
    }
}

impl Tripwire {
    /// Nothing when there is nothing to watch for. What stands in `plain` is shown somewhere as it is.
    pub(crate) fn new(maker: &Fingerprinter, watched: Vec<Watched>, plain: &HashSet<Fingerprint>) -> Option<Self> {
        let (columns, places) = (Vec::new(), Vec::new());
        let doorway = vec![0; (1 << DOORWAY_BITS) / 64];
        let mut wire = Self { maker: maker.clone(), columns, places, prints: HashMap::new(), doorway };
        for column in watched {
            let number = u32::try_from(wire.columns.len()).unwrap_or(u32::MAX);
            for (print, door) in column.prints.iter().filter(|(print, _)| !plain.contains(print)) {
                if wire.prints.len() < PRINTS_MAX {
                    wire.prints.entry(*print).or_insert(number);
                    if let Some(word) = wire.doorway.get_mut(*door as usize / 64) {
                        *word |= 1 << (door % 64);
                    }
                }
            }
            wire.columns.push(column.name);
            wire.places.push(column.place);
        }
        (!wire.prints.is_empty()).then_some(wire)
    }

    /// The number of the column that a value is of.
    pub(super) fn touched_by(&self, value: &[u8]) -> Option<u32> {
        if !LENGTHS.contains(&value.len()) {
            return None;
        }
        let door = self.maker.door(value);
        let word = self.doorway.get(door as usize / 64)?;
        if word & (1 << (door % 64)) == 0 {
            return None;
        }
        self.prints.get(&self.maker.print(value)).copied()
    }

    pub(super) fn place(&self, number: u32) -> Option<(u32, i16)> {
        self.places.get(number as usize).copied()
    }

    pub(super) fn column(&self, number: u32) -> Option<&str> {
        self.columns.get(number as usize).map(String::as_str)
    }
}

impl fmt::Debug for Fingerprinter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprinter")
    }
}

/// How much there is to watch for, and nothing of it.
impl fmt::Debug for Tripwire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tripwire({} of {} columns)", self.prints.len(), self.columns.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Secret;

    fn wire(entity: &str, values: &[&str], plain: &[&str]) -> Option<Tripwire> {
        let maker = Fingerprinter::new(&MaskKey(Secret::new([7; 32])));
        let prints = maker.prints(Some(entity), values);
        let plain = maker.prints(None, plain).into_iter().map(|(print, _)| print).collect();
        Tripwire::new(&maker, vec![Watched { place: (16_400, 3), name: "public.t.c".to_owned(), prints }], &plain)
    }

    #[test]
    fn sampled_values_are_recognised_and_nothing_else() {
        let wire = wire("phone", &["+4915112345101", "+4915112345102", "+4915112345102"], &[]).unwrap();
        assert_eq!(wire.touched_by(b"+4915112345101").and_then(|number| wire.column(number)), Some("public.t.c"));
        for other in ["+4915112345102", "+4915112345103", "+491511234510", "+49151123451011", ""] {
            assert_eq!(wire.touched_by(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn what_others_have_too_is_not_watched_for() {
        assert!(wire("phone", &["1234567", "00000000", "11111112"], &[]).is_none(), "short, and of few digits");
        assert!(wire("person_name", &["Grace Hopper"], &[]).is_none(), "names are not unique");
        assert!(wire("phone", &["+4915112345101"], &["+4915112345101", "+4915112345101"]).is_none(), "shown elsewhere");
    }

    #[test]
    fn there_is_an_end_to_it() {
        let values: Vec<String> = (0..PRINTS_MAX + 10).map(|number| format!("secret {number:09}")).collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        assert_eq!(wire("secret", &values, &[]).unwrap().prints.len(), PRINTS_MAX);
    }
}
