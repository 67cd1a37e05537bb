//! What a journal frame holds: a record before it is signed, the signature over a batch of them, or an envelope made
//! elsewhere.
//!
//! A record is written to the disk once. The signature that follows it within milliseconds covers a batch of records
//! of one key and carries what an envelope has besides them, so that envelopes are rebuilt, not stored twice.

use thiserror::Error;

use super::sealed::{self, CutShort};
use crate::domain::{PublicKey, StatementId};

/// Why a frame was not understood.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum EntryError {
    #[error("kind {0} has no meaning")]
    Kind(u8),
    #[error("it ends before its {0}")]
    Short(&'static str),
    #[error("it is not text")]
    NotText,
    #[error("its raw text: {0}")]
    Sealed(#[from] CutShort),
}

/// The part a record plays for a statement. What is started and not ended when a process dies becomes `unknown`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Start(StatementId),
    End(StatementId),
    Other,
}

/// One journal frame's contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry<'a> {
    /// A record, not signed yet. `sealed` is the raw text that came into being with it, as [`write_sealed`] writes one;
    /// empty where there is none.
    ///
    /// [`write_sealed`]: super::write_sealed
    Record { key: PublicKey, role: Role, sealed: &'a [u8], core: &'a str },
    /// The signature over the next `count` records of `key`. `header` is the payload up to its first record.
    Seal { key: PublicKey, count: u32, signature: [u8; 64], header: &'a str },
    /// A whole envelope.
    Envelope(&'a str),
    /// A statement of `key` that was started in a part of the journal that is no more, and has not ended.
    Open { key: PublicKey, id: StatementId },
    /// Everything of `key` before this that is not sealed has been recovered into another chain.
    Adopted { key: PublicKey },
}

const RECORD: u8 = 1;
const SEAL: u8 = 2;
const ENVELOPE: u8 = 3;
const ADOPTED: u8 = 4;
const OPEN: u8 = 5;
const SEALED_RECORD: u8 = 6;

const OTHER: u8 = 0;
const START: u8 = 1;
const END: u8 = 2;

impl<'a> Entry<'a> {
    /// The frame's kind, and its body appended to `out`.
    pub(crate) fn write(&self, out: &mut Vec<u8>) -> u8 {
        match self {
            Self::Record { key, role, sealed, core } => {
                write_record_head(out, *key, *role);
                out.extend_from_slice(sealed);
                out.extend_from_slice(core.as_bytes());
                record_kind(sealed)
            }
            Self::Seal { key, count, signature, header } => {
                out.extend_from_slice(&key.0);
                out.extend_from_slice(&count.to_be_bytes());
                out.extend_from_slice(signature);
                out.extend_from_slice(header.as_bytes());
                SEAL
            }
            Self::Envelope(text) => {
                out.extend_from_slice(text.as_bytes());
                ENVELOPE
            }
            Self::Open { key, id } => {
                write_record_head(out, *key, Role::Start(*id));
                OPEN
            }
            Self::Adopted { key } => {
                out.extend_from_slice(&key.0);
                ADOPTED
            }
        }
    }

    /// Reads a frame.
    pub(crate) fn read(kind: u8, body: &'a [u8]) -> Result<Self, EntryError> {
        let key = |body: &'a [u8]| {
            let (key, rest) = body.split_first_chunk::<32>().ok_or(EntryError::Short("key"))?;
            Ok((PublicKey(*key), rest))
        };
        let text = |rest: &'a [u8]| std::str::from_utf8(rest).map_err(|_| EntryError::NotText);
        match kind {
            RECORD | SEALED_RECORD | OPEN => {
                let (key, rest) = key(body)?;
                let ([role], rest) = rest.split_first_chunk::<1>().ok_or(EntryError::Short("role"))?;
                let (stream, rest) = rest.split_first_chunk::<4>().ok_or(EntryError::Short("stream"))?;
                let (number, rest) = rest.split_first_chunk::<8>().ok_or(EntryError::Short("number"))?;
                let id = StatementId { stream: u32::from_be_bytes(*stream), number: u64::from_be_bytes(*number) };
                let role = match *role {
                    START => Role::Start(id),
                    END => Role::End(id),
                    OTHER => Role::Other,
                    unknown => return Err(EntryError::Kind(unknown)),
                };
                if kind == OPEN {
                    return Ok(Self::Open { key, id });
                }
                let length = if kind == SEALED_RECORD { sealed::first_sealed(rest)?.2 } else { 0 };
                let (sealed, rest) = rest.split_at_checked(length).ok_or(CutShort)?;
                Ok(Self::Record { key, role, sealed, core: text(rest)? })
            }
            SEAL => {
                let (key, rest) = key(body)?;
                let (count, rest) = rest.split_first_chunk::<4>().ok_or(EntryError::Short("count"))?;
                let (signature, rest) = rest.split_first_chunk::<64>().ok_or(EntryError::Short("signature"))?;
                let (count, signature) = (u32::from_be_bytes(*count), *signature);
                Ok(Self::Seal { key, count, signature, header: text(rest)? })
            }
            ENVELOPE => text(body).map(Self::Envelope),
            ADOPTED => key(body).map(|(key, _)| Self::Adopted { key }),
            unknown => Err(EntryError::Kind(unknown)),
        }
    }
}

/// Where a record's role stands in its frame: behind the key.
const ROLE_AT: usize = 32;

/// Appends what stands before a record's text in its frame. The role may be filled in later by [`set_role`].
pub(crate) fn write_record_head(out: &mut Vec<u8>, key: PublicKey, role: Role) {
    out.extend_from_slice(&key.0);
    out.extend_from_slice(&role_bytes(role));
}

/// Fills in the role of a record whose head was written before it was known.
pub(crate) fn set_role(frame: &mut [u8], role: Role) {
    let bytes = role_bytes(role);
    if let Some(place) = frame.get_mut(ROLE_AT..ROLE_AT.saturating_add(bytes.len())) {
        place.copy_from_slice(&bytes);
    }
}

/// Kind of the frame of a record with this sealed text, for whoever writes the frame in place.
pub(crate) fn record_kind(sealed: &[u8]) -> u8 {
    if sealed.is_empty() { RECORD } else { SEALED_RECORD }
}

fn role_bytes(role: Role) -> [u8; 13] {
    let (code, id) = match role {
        Role::Other => (OTHER, StatementId::default()),
        Role::Start(id) => (START, id),
        Role::End(id) => (END, id),
    };
    let mut bytes = [0u8; 13];
    let fields = std::iter::once(code).chain(id.stream.to_be_bytes()).chain(id.number.to_be_bytes());
    for (byte, field) in bytes.iter_mut().zip(fields) {
        *byte = field;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEALED: &[u8] = b"01234567890123456789012345678901\0\0\0\x03abc";

    fn entries() -> Vec<Entry<'static>> {
        let key = PublicKey([7; 32]);
        let id = StatementId { stream: 3, number: 9 };
        vec![
            Entry::Record { key, role: Role::Start(id), sealed: &[], core: "{}" },
            Entry::Record { key, role: Role::Start(id), sealed: SEALED, core: "{}" },
            Entry::Record { key, role: Role::End(id), sealed: &[], core: "{\"a\":1}" },
            Entry::Record { key, role: Role::Other, sealed: &[], core: "" },
            Entry::Seal { key, count: 5, signature: [9; 64], header: "{\"v\":1" },
            Entry::Envelope("{}"),
            Entry::Open { key, id },
            Entry::Adopted { key },
        ]
    }

    #[test]
    fn entries_round_trip() {
        for entry in entries() {
            let mut body = Vec::new();
            let kind = entry.write(&mut body);
            assert_eq!(Entry::read(kind, &body), Ok(entry));
        }
        let mut body = Vec::new();
        write_record_head(&mut body, PublicKey([7; 32]), Role::Other);
        set_role(&mut body, Role::End(StatementId { stream: 1, number: 2 }));
        assert!(matches!(Entry::read(RECORD, &body), Ok(Entry::Record { role: Role::End(_), .. })));
    }

    #[test]
    fn what_is_cut_short_or_unknown_is_refused() {
        for entry in entries() {
            let mut body = Vec::new();
            let kind = entry.write(&mut body);
            let fixed = match entry {
                Entry::Record { sealed, .. } => 45 + sealed.len(),
                Entry::Open { .. } => 45,
                Entry::Seal { .. } => 100,
                Entry::Envelope(_) => 0,
                Entry::Adopted { .. } => 32,
            };
            for length in 0..fixed {
                assert!(Entry::read(kind, &body[..length]).is_err(), "{entry:?} cut to {length}");
            }
        }
        assert_eq!(Entry::read(0, b""), Err(EntryError::Kind(0)));
        assert_eq!(Entry::read(ENVELOPE, &[0xff]), Err(EntryError::NotText));
    }
}
