//! Pseudonyms that were made a moment ago: columns repeat themselves, and a look-up costs a tenth of a hash.
//!
//! Lives as long as one result is on its way, and holds [`SLOTS`] values of it at most. Where values do not repeat, it is
//! not asked for a while.

use super::pseudonym::Making;
use crate::engine::detector::{Detector, Form};

/// Values that are remembered, each in the place that its bytes give it.
#[derive(Debug, Default)]
pub(super) struct Recent {
    slots: Vec<Slot>,
    /// In this [`STRETCH`] of values: how many there were, and how many were remembered.
    asked: u32,
    known: u32,
    /// Values that are not looked up, because of those before too few were known.
    resting: u32,
}

#[derive(Clone, Debug, Default)]
struct Slot {
    entity: &'static str,
    value: Vec<u8>,
    made: Vec<u8>,
}

/// Values that are remembered: 256 of [`VALUE_MAX`] bytes with their pseudonyms are less than 50 kB.
const SLOTS: usize = 256;

/// Longest value that is remembered.
const VALUE_MAX: usize = 64;

/// Fewest values of a result before any is remembered: most results are short.
const FIRST: u32 = 16;

/// Values after which is seen how many of them were known; one in eight is what it takes.
const STRETCH: u32 = 512;
const WORTH: u32 = STRETCH / 8;

/// Values that go by before it is tried again.
const REST: u32 = 16 * STRETCH;

impl Recent {
    /// Writes the pseudonym of `value` as [`Pseudonyms::write`] does.
    pub(super) fn write(
        &mut self,
        making: Making<'_>,
        entity: &'static dyn Detector,
        form: Form,
        value: &[u8],
        room: usize,
        out: &mut Vec<u8>,
    ) -> bool {
        let place = self.place(value);
        let Some(slot) = place.and_then(|place| self.slots.get_mut(place)) else {
            return making.write(entity, form, value, room, out);
        };
        if slot.entity == entity.name() && slot.value == value {
            self.known += 1;
            if slot.made.len() <= room {
                out.extend_from_slice(&slot.made);
            }
            return slot.made.len() <= room;
        }
        let start = out.len();
        let written = making.pseudonyms.write(entity, form, value, room, out);
        if written {
            slot.entity = entity.name();
            slot.value.clear();
            slot.value.extend_from_slice(value);
            slot.made.clear();
            slot.made.extend_from_slice(out.get(start..).unwrap_or_default());
        }
        written
    }

    /// Where a value is looked up; nothing when it is not.
    fn place(&mut self, value: &[u8]) -> Option<usize> {
        if self.resting > 0 {
            self.resting -= 1;
            return None;
        }
        self.asked += 1;
        if self.asked == STRETCH {
            self.resting = if self.known < WORTH { REST } else { 0 };
            (self.asked, self.known) = (FIRST, 0);
        }
        if value.len() > VALUE_MAX || (self.slots.is_empty() && self.asked < FIRST) {
            return None;
        }
        if self.slots.is_empty() {
            self.slots.resize(SLOTS, Slot::default());
        }
        // FNV-1a: whoever makes values meet in one place gains nothing but that they are made anew.
        let hash = value
            .iter()
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
        usize::try_from((hash ^ (hash >> 32)) % u64::try_from(SLOTS).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Chance, Secret};
    use crate::engine::detector::{self, Method};
    use crate::engine::mask::MaskKey;
    use crate::engine::mask::pseudonym::{Drafts, Pseudonyms};

    #[test]
    fn what_is_remembered_is_what_would_be_made() {
        let pseudonyms = Pseudonyms::new(&MaskKey(Secret::new([3; 32])));
        let (mut chance, mut recent, mut drafts) = (Chance::new(27), Recent::default(), Drafts::default());
        let forms = detector::DETECTORS.iter().filter_map(|entity| match entity.method() {
            Method::Pseudonym(form) => Some((*entity, form)),
            Method::Redact | Method::LastFour | Method::Coarsen => None,
        });
        let forms: Vec<_> = forms.collect();
        let (mut known, mut rested) = (0, 0);
        for round in 0..60_000 {
            // Few values at first, then many, then few.
            let many = if (20_000..40_000).contains(&round) { 1_000_000 } else { 90 };
            let (entity, form) = *chance.pick(&forms[..3]);
            let value = format!("value {}", chance.below(many)).repeat(1 + chance.below(8) / 7 * 12);
            let room = if chance.below(9) == 0 { chance.below(40) } else { usize::MAX };
            let (mut made, mut expected) = (b"before ".to_vec(), b"before ".to_vec());
            let before = recent.known;
            let making = Making { pseudonyms: &pseudonyms, drafts: Some(&mut drafts).filter(|_| chance.below(2) == 0) };
            let written = recent.write(making, entity, form, value.as_bytes(), room, &mut made);
            drafts.write_all(&pseudonyms, &mut made);
            assert_eq!(written, pseudonyms.write(entity, form, value.as_bytes(), room, &mut expected));
            assert_eq!(made, expected, "{value} in {room}");
            known += u32::from(recent.known > before);
            rested += u32::from(recent.resting > 0);
            assert!(recent.slots.len() <= SLOTS && recent.slots.iter().all(|slot| slot.value.len() <= VALUE_MAX));
        }
        assert!(known > 5_000 && rested > 10_000, "{known} known, {rested} rested");
    }
}
