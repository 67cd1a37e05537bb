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
    Slash,
}

/// How many bytes of each kind there are, as far as [`MANY`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Census {
    /// A byte for each kind, none of them above [`MANY`].
    counts: u64,
}

impl Census {
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut counts = 0;
        for chunk in bytes.chunks(MANY) {
            // Neither of the two has a high bit, so no byte of their sum runs over into the next.
            let sum = counts + chunk.iter().fold(0, |sum: u64, byte| sum.wrapping_add(unit(*byte)));
            let over = sum & HIGH_BITS;
            counts = (sum | (over - (over >> 7))) & !HIGH_BITS;
        }
        Self { counts }
    }

    /// How many there are; more than anybody counts where there are [`MANY`].
    pub(super) fn count(self, kind: Kind) -> usize {
        match self.counts.to_le_bytes().get(kind as usize).copied().map_or(0, usize::from) {
            MANY => usize::MAX,
            count => count,
        }
    }

    /// Whether there are at least as many of each kind as in the other.
    pub(super) fn covers(self, other: Self) -> bool {
        // A high bit is lent to each byte, and stays where nothing had to be borrowed.
        ((self.counts | HIGH_BITS) - other.counts) & HIGH_BITS == HIGH_BITS
    }
}

const KINDS: [Kind; 7] = [Kind::Digit, Kind::Capital, Kind::At, Kind::Colon, Kind::Dollar, Kind::Dash, Kind::Slash];

const fn of_kind(byte: u8, kind: Kind) -> bool {
    match kind {
        Kind::Digit => byte.is_ascii_digit(),
        Kind::Capital => is_capital(byte),
        Kind::At => byte == b'@',
        Kind::Colon => byte == b':',
        Kind::Dollar => byte == b'$',
        Kind::Dash => byte == b'-',
        Kind::Slash => byte == b'/',
    }
}

/// Whether a byte may begin a capital letter.
pub(super) const fn is_capital(byte: u8) -> bool {
    byte.is_ascii_uppercase() || !byte.is_ascii()
}

/// As far as is counted: what fits below the high bit of a byte.
const MANY: usize = 127;

const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

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
        for length in [0, 1, 126, 127, 128, 254, 255, 1_000, 100_000] {
            let text = "7".repeat(length) + "Ab@é::";
            let census = Census::of(text.as_bytes());
            let counts =
                [Kind::Digit, Kind::Capital, Kind::At, Kind::Colon, Kind::Dollar].map(|kind| census.count(kind));
            assert_eq!(counts, [if length < MANY { length } else { usize::MAX }, 3, 1, 2, 0]);
        }
    }

    #[test]
    fn one_covers_another_when_no_kind_is_short() {
        let census = |text: &str| Census::of(text.as_bytes());
        assert!(census("a").covers(census("")) && census("").covers(census("a b")));
        assert!(census("x://y@z").covers(census("@://")) && !census("x://y.z").covers(census("@://")));
        assert!(!census("12:30").covers(census("::")) && census("12:30:00").covers(census("::")));
        assert!(census(&":".repeat(500)).covers(census(&":".repeat(127))));
    }
}
