//! What bytes a text is made of, counted in one pass: a byte is a look-up and an addition, whatever it is.

/// Kinds of bytes that are counted, each in a byte of its own of a sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Digit,
    /// What may begin a capital letter: one of A to Z, or anything beyond ASCII.
    Capital,
    At,
    Colon,
    Dollar,
    Dash,
}

/// How many bytes of each kind there are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Census {
    counts: [u32; LANES],
}

impl Census {
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut counts = [0u32; LANES];
        for chunk in bytes.chunks(CHUNK) {
            let sum = chunk.iter().fold(0u64, |sum, byte| sum.wrapping_add(unit(*byte)));
            let lanes = counts.iter_mut().zip(sum.to_le_bytes());
            lanes.for_each(|(count, lane)| *count = count.saturating_add(u32::from(lane)));
        }
        Self { counts }
    }

    pub(super) fn count(&self, kind: Kind) -> u32 {
        self.counts.get(kind as usize).copied().unwrap_or_default()
    }
}

/// The kind that a needle's first byte is counted as, and how many of it are in the needle.
pub(super) fn mark(needle: &str) -> Option<(Kind, u32)> {
    let first = *needle.as_bytes().first()?;
    let kind = KINDS.iter().copied().find(|kind| *kind != Kind::Capital && of_kind(first, *kind))?;
    let count = needle.bytes().filter(|byte| of_kind(*byte, kind)).count();
    Some((kind, u32::try_from(count).ok()?))
}

const KINDS: [Kind; 6] = [Kind::Digit, Kind::Capital, Kind::At, Kind::Colon, Kind::Dollar, Kind::Dash];

const fn of_kind(byte: u8, kind: Kind) -> bool {
    match kind {
        Kind::Digit => byte.is_ascii_digit(),
        Kind::Capital => is_capital(byte),
        Kind::At => byte == b'@',
        Kind::Colon => byte == b':',
        Kind::Dollar => byte == b'$',
        Kind::Dash => byte == b'-',
    }
}

/// Whether a byte may begin a capital letter.
pub(super) const fn is_capital(byte: u8) -> bool {
    byte.is_ascii_uppercase() || !byte.is_ascii()
}

/// Bytes of a sum.
const LANES: usize = 8;

/// As many bytes can be counted before a byte of the sum runs over.
const CHUNK: usize = 255;

fn unit(byte: u8) -> u64 {
    UNITS.get(usize::from(byte)).copied().unwrap_or_default()
}

/// For each byte, one in the place of each kind it is of.
static UNITS: [u64; 256] = {
    let mut units = [0; 256];
    let mut byte: u8 = 0;
    loop {
        let mut unit = 0;
        let mut place = 0;
        while place < KINDS.len() {
            #[expect(clippy::indexing_slicing, reason = "below its length")]
            let kind = KINDS[place];
            if of_kind(byte, kind) {
                unit |= 1 << (8 * kind as u32);
            }
            place += 1;
        }
        #[expect(clippy::indexing_slicing, reason = "a byte is below 256")]
        {
            units[byte as usize] = unit;
        }
        match byte.checked_add(1) {
            Some(next) => byte = next,
            None => break,
        }
    }
    units
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_do_not_run_over() {
        for length in [0, 1, 254, 255, 256, 1_000, 100_000] {
            let text = "7".repeat(length) + "Ab@é::";
            let census = Census::of(text.as_bytes());
            let counts =
                [Kind::Digit, Kind::Capital, Kind::At, Kind::Colon, Kind::Dollar].map(|kind| census.count(kind));
            assert_eq!(counts, [u32::try_from(length).unwrap(), 3, 1, 2, 0]);
        }
        assert_eq!(mark("-----BEGIN "), Some((Kind::Dash, 5)));
        assert_eq!(mark("://"), Some((Kind::Colon, 1)));
        assert_eq!(mark("BEGIN"), None);
    }
}
