//! SHA-256 that goes on, for each message, from a block it has read once and for all.
//!
//! A pseudonym takes two hashes of one block each, so that masking costs what those cost. Taken block by block, one is
//! 49 ns where `ring`'s, whose state is copied, fed in parts and closed, is 81; of several that lie ready ([`Last`]) and do
//! not wait for each other, a processor works on two at a time, and one is 28 ns. Filling up the last block (FIPS 180-4
//! section 5.1.1) is therefore done here; what is done here is compared with `ring` for all lengths.

use sha2::block_api::compress256;

/// Bytes that SHA-256 reads at a time.
pub(super) const BLOCK: usize = 64;

/// SHA-256 that has read one block.
#[derive(Clone, Copy)]
pub(super) struct Begun([u32; 8]);

impl Begun {
    pub(super) fn new(block: &[u8; BLOCK]) -> Self {
        let mut state = INITIAL;
        compress256(&mut state, &[*block]);
        Self(state)
    }

    /// The first 64 bits of the hash of the block and these parts, one behind the other.
    pub(super) fn number(&self, parts: [&[u8]; 4]) -> u64 {
        let mut begun = *self;
        let mut block = [0; BLOCK];
        let mut filled = 0;
        for mut part in parts {
            // Whole blocks are read as they become full; what is left stays for the next part.
            while let Some((now, later)) = part.split_at_checked(BLOCK - filled) {
                put(now, filled, &mut block);
                compress256(&mut begun.0, &[block]);
                (part, filled) = (later, 0);
            }
            put(part, filled, &mut block);
            filled += part.len();
        }
        let length = parts.iter().fold(BLOCK, |sum, part| sum + part.len());
        // What follows a message goes into this block, or into the next where this one has no room.
        block.iter_mut().skip(filled).for_each(|byte| *byte = 0);
        put(&[END], filled, &mut block);
        if filled > ROOM {
            compress256(&mut begun.0, &[block]);
            block = [0; BLOCK];
        }
        put(&bits(length), BLOCK - LENGTH, &mut block);
        begun.ended(&Last(block))
    }

    /// The first 64 bits of the hash of the block and the one message behind it.
    pub(super) fn ended(&self, last: &Last) -> u64 {
        let mut state = self.0;
        compress256(&mut state, std::slice::from_ref(&last.0));
        let [first, second, ..] = state;
        (u64::from(first) << 32) | u64::from(second)
    }
}

/// The last block of what is hashed: a message, a one, zeros, and the length in bits.
#[derive(Clone)]
pub(super) struct Last([u8; BLOCK]);

impl Default for Last {
    fn default() -> Self {
        Self([0; BLOCK])
    }
}

/// What several messages begin with, each of which is all that is read behind the first block.
#[derive(Clone, Copy)]
pub(super) struct Start {
    block: [u8; BLOCK],
    filled: usize,
}

impl Start {
    /// With these parts, one behind the other; nothing where they do not fit.
    pub(super) fn of(parts: [&[u8]; 3]) -> Option<Self> {
        let mut start = Self { block: [0; BLOCK], filled: 0 };
        for part in parts {
            put(part, start.filled, &mut start.block);
            start.filled = start.filled.saturating_add(part.len());
        }
        (start.filled <= ROOM).then_some(start)
    }

    /// Whether a message that goes on for so many bytes fits into the block.
    pub(super) fn holds(&self, rest: usize) -> bool {
        self.filled.saturating_add(rest) <= ROOM
    }

    /// Makes `last` the block of the message that goes on like this, which must fit. In place: a processor waits for bytes
    /// that are moved right after they were written one by one.
    #[inline]
    pub(super) fn end(&self, rest: &[u8], last: &mut Last) {
        let length = self.filled + rest.len();
        last.0 = self.block;
        put(rest, self.filled, &mut last.0);
        put(&[END], length, &mut last.0);
        put(&bits(BLOCK + length), BLOCK - LENGTH, &mut last.0);
    }
}

/// Bytes that say how long a message is.
const LENGTH: usize = 8;

/// Most bytes of a message that end in a block with what follows them.
const ROOM: usize = BLOCK - LENGTH - 1;

/// A one and zeros.
const END: u8 = 0x80;

/// The length of so many bytes in bits.
fn bits(length: usize) -> [u8; LENGTH] {
    u64::try_from(length).unwrap_or(u64::MAX).wrapping_mul(8).to_be_bytes()
}

/// Puts bytes where there is room for them.
#[inline]
pub(super) fn put(bytes: &[u8], at: usize, out: &mut [u8]) {
    if let Some(room) = out.get_mut(at..).and_then(|rest| rest.get_mut(..bytes.len())) {
        room.copy_from_slice(bytes);
    }
}

/// Where SHA-256 begins (FIPS 180-4 section 5.3.3).
const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

#[cfg(test)]
mod tests {
    use ring::digest;

    use super::*;
    use crate::domain::Chance;

    /// What `ring` makes of the same.
    fn expected(block: &[u8; BLOCK], message: &[u8]) -> u64 {
        let hash = digest::digest(&digest::SHA256, &[block, message].concat());
        u64::from_be_bytes(*hash.as_ref().first_chunk().unwrap())
    }

    #[test]
    fn it_is_sha256_for_all_lengths_however_the_message_is_cut() {
        let mut chance = Chance::new(256);
        for length in 0..=300 {
            let mut bytes =
                |count: usize| (0..count).map(|_| u8::try_from(chance.below(256)).unwrap()).collect::<Vec<u8>>();
            let block: [u8; BLOCK] = bytes(BLOCK).try_into().unwrap();
            let message = bytes(length);
            let begun = Begun::new(&block);
            for _ in 0..20 {
                let mut cuts = [0; 3].map(|_| chance.below(length + 1));
                cuts.sort_unstable();
                let [a, b, c] = cuts;
                let parts = [&message[..a], &message[a..b], &message[b..c], &message[c..]];
                let hash = expected(&block, &message);
                assert_eq!(begun.number(parts), hash, "{length} bytes, cut at {cuts:?}");
                let start = Start::of([parts[0], parts[1], parts[2]]).filter(|start| start.holds(parts[3].len()));
                assert_eq!(start.is_some(), length <= 55);
                if let Some(start) = start {
                    let mut last = Last::default();
                    start.end(parts[3], &mut last);
                    assert_eq!(begun.ended(&last), hash, "{length} bytes");
                }
            }
        }
    }

    #[test]
    fn long_messages_are_read_block_by_block() {
        let (block, message) = ([3; BLOCK], vec![0x61; 1_000_000]);
        assert_eq!(Begun::new(&block).number([&message, b"", b"", b""]), expected(&block, &message));
    }
}
