//! The bytes of one journal frame: length, checksum, number, what is known to be durable, kind, body.
//!
//! ```text
//!  0        4        8                16               24     25
//!  │ length │ CRC32C │ number         │ durable        │ kind │ body …
//! ```
//! All integers are big-endian. The checksum covers everything after itself. A length of zero marks the end: files are
//! set aside as zeros. Bodies are text, keys or ciphertext; a text of ours holds no zero byte, while every head holds
//! some, and ciphertext is nothing that can be chosen, so nobody can write a statement whose record looks like a frame to
//! somebody who searches for one.

/// Bytes before the body.
pub(super) const HEAD: usize = 25;

/// Longest body: the longest envelope, and room for what stands beside a record.
pub(crate) const BODY_MAX: usize = 66 * 1024;

/// A frame as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Position in the journal, from 1 without gaps.
    pub(crate) number: u64,
    /// The last frame that was known to be durable when this one was written.
    pub(crate) durable: u64,
    pub(crate) kind: u8,
    pub(crate) body: Vec<u8>,
}

/// What stands at a place of a segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Frame(Frame, usize),
    /// Zeros: nothing has been written here.
    End,
    /// Something that is no frame.
    Garbage,
}

/// Appends a frame.
pub(super) fn write(out: &mut Vec<u8>, number: u64, durable: u64, kind: u8, body: &[&[u8]]) {
    let length: usize = body.iter().map(|part| part.len()).sum();
    let start = out.len();
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&number.to_be_bytes());
    out.extend_from_slice(&durable.to_be_bytes());
    out.push(kind);
    body.iter().for_each(|part| out.extend_from_slice(part));
    let Some((head, checked)) = out.get_mut(start..).and_then(|frame| frame.split_at_mut_checked(8)) else { return };
    let checksum = crc32c(checked);
    if let Some(field) = head.get_mut(4..) {
        field.copy_from_slice(&checksum.to_be_bytes());
    }
}

/// Reads the frame at the start of `bytes`.
pub(super) fn read(bytes: &[u8]) -> Found {
    parse(bytes).unwrap_or_else(|| {
        // A frame is never written with a length of zero.
        if bytes.iter().take(HEAD).all(|byte| *byte == 0) { Found::End } else { Found::Garbage }
    })
}

fn parse(bytes: &[u8]) -> Option<Found> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (checksum, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    if length == 0 || length > BODY_MAX {
        return None;
    }
    let (checked, _) = rest.split_at_checked(length.checked_add(HEAD - 8)?)?;
    if crc32c(checked) != u32::from_be_bytes(*checksum) {
        return None;
    }
    let (number, rest) = checked.split_first_chunk::<8>()?;
    let (durable, rest) = rest.split_first_chunk::<8>()?;
    let ([kind], body) = rest.split_first_chunk::<1>()?;
    let (number, durable) = (u64::from_be_bytes(*number), u64::from_be_bytes(*durable));
    Some(Found::Frame(Frame { number, durable, kind: *kind, body: body.to_vec() }, length + HEAD))
}

/// CRC-32C (Castagnoli), as in RFC 3720 appendix B.4; eight bytes at a time ("slicing-by-8").
pub(super) fn crc32c(bytes: &[u8]) -> u32 {
    let mut state = u32::MAX;
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let Some((low, high)) = chunk.split_first_chunk::<4>() else { continue };
        let [a, b, c, d] = (state ^ u32::from_le_bytes(*low)).to_le_bytes();
        let mut next = 0;
        for (table, byte) in TABLES.iter().rev().zip([a, b, c, d].iter().chain(high)) {
            next ^= entry(table, *byte);
        }
        state = next;
    }
    for byte in chunks.remainder() {
        let [low, ..] = state.to_le_bytes();
        state = entry(&TABLE, low ^ byte) ^ (state >> 8);
    }
    !state
}

fn entry(table: &[u32; 256], byte: u8) -> u32 {
    table.get(usize::from(byte)).copied().unwrap_or(0)
}

/// The polynomial 0x1EDC6F41 with its bits in reverse.
const POLYNOMIAL: u32 = 0x82f6_3b78;

const TABLE: [u32; 256] = table();

/// `TABLES[n]` advances a byte over `n` further bytes of zeros.
static TABLES: [[u32; 256]; 8] = tables();

#[expect(clippy::indexing_slicing, reason = "constant evaluation: an index out of range does not compile")]
const fn table() -> [u32; 256] {
    let mut table = [0u32; 256];
    let (mut byte, mut start) = (0, 0u32);
    while byte < 256 {
        let mut value = start;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { (value >> 1) ^ POLYNOMIAL } else { value >> 1 };
            bit += 1;
        }
        table[byte] = value;
        byte += 1;
        start += 1;
    }
    table
}

#[expect(clippy::indexing_slicing, reason = "constant evaluation: an index out of range does not compile")]
const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [table(); 8];
    let mut level = 1;
    while level < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[level - 1][byte];
            tables[level][byte] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        level += 1;
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3720 appendix B.4, and the customary check value.
    #[test]
    fn checksums_are_those_of_the_rfc() {
        let rising: Vec<u8> = (0..32).collect();
        let falling: Vec<u8> = (0..32).rev().collect();
        for (bytes, expected) in [
            (&b""[..], 0),
            (b"123456789", 0xe306_9283),
            (&[0; 32], 0x8a91_36aa),
            (&[0xff; 32], 0x62a8_ab43),
            (&rising, 0x46dd_794e),
            (&falling, 0x113f_db5c),
        ] {
            assert_eq!(crc32c(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn frames_round_trip_and_no_changed_bit_goes_unnoticed() {
        let mut bytes = Vec::new();
        write(&mut bytes, 7, 3, 9, &[b"one", b" ", b"two"]);
        let frame = Frame { number: 7, durable: 3, kind: 9, body: b"one two".to_vec() };
        assert_eq!(read(&bytes), Found::Frame(frame, bytes.len()));
        for at in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[at / 8] ^= 1 << (at % 8);
            assert_eq!(read(&changed), Found::Garbage, "bit {at}");
        }
        for length in 1..bytes.len() {
            assert_eq!(read(&bytes[..length]), if length < 4 { Found::End } else { Found::Garbage }, "{length}");
        }
        assert_eq!(read(&[0; 64]), Found::End);
        assert_eq!(read(&[]), Found::End);
    }
}
