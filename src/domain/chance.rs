//! Chance for tests: numbers that look random and are the same for the same seed, and what they do to bytes.

/// xorshift64* (Marsaglia 2003, Vigna 2016).
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

/// Values that parsers get wrong: the ends of the ranges of lengths and counts, and what separates things in texts.
const ODD: &[&[u8]] = &[
    b"\0",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"\0\0\0\0",
    b"\xff\xff",
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\xfe",
    b"\x7f\xff\xff\xff",
    b"\x80\0\0\0",
    b"\0\0\0\x04",
    b"\0\0\0\x03",
    b"\0\x04\0\0",
    b"\n",
    b"\n\n",
    b"\"",
    b"'",
    b"\\",
    b"$$",
    b"--",
    b"/*",
    b"(",
    b"{",
    b"[",
    b": ",
    b"- ",
    b"&a ",
    b"*a",
    b",",
    b"=",
    b"+",
    b"18446744073709551616",
    b"-1",
    b"1e999",
    b"\xc3\xa9",
    b"\xe2\x80\xae",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
];

/// Longest stretch that one change takes, in bytes.
const STRETCH_MAX: usize = 64;

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `end`; 0 when that is 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16;
        usize::try_from(number).unwrap_or(0) % end.max(1)
    }

    /// One of these.
    pub(crate) fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// One of the samples, changed in one to four places: bits flipped, odd values put in or over what was there,
    /// stretches taken out, doubled, moved, or taken over from another sample, the end cut off.
    pub(crate) fn mutate<T: AsRef<[u8]>>(&mut self, samples: &[T]) -> Vec<u8> {
        let mut bytes = self.pick(samples).as_ref().to_vec();
        for _ in 0..=self.below(4) {
            self.change(&mut bytes, samples);
        }
        bytes
    }

    fn change<T: AsRef<[u8]>>(&mut self, bytes: &mut Vec<u8>, samples: &[T]) {
        let at = self.below(bytes.len() + 1);
        let end = (at + 1 + self.below(STRETCH_MAX)).min(bytes.len());
        match self.below(9) {
            0 | 1 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << self.below(8);
                }
            }
            2 => drop(bytes.splice(at..at, self.pick(ODD).iter().copied())),
            3 => {
                let odd = *self.pick(ODD);
                let end = (at + odd.len()).min(bytes.len());
                bytes.splice(at..end, odd.iter().copied());
            }
            4 => drop(bytes.drain(at.min(end)..end)),
            5 => {
                let stretch = bytes[at.min(end)..end].to_vec();
                bytes.splice(at..at, stretch);
            }
            6 => {
                let stretch: Vec<u8> = bytes.drain(at.min(end)..end).collect();
                let to = self.below(bytes.len() + 1);
                bytes.splice(to..to, stretch);
            }
            7 => {
                let other = self.pick(samples).as_ref();
                let from = self.below(other.len() + 1);
                let until = (from + 1 + self.below(STRETCH_MAX)).min(other.len());
                bytes.splice(at..end.max(at), other[from.min(until)..until].iter().copied());
            }
            _ => bytes.truncate(at),
        }
    }
}
