//! Raw texts of statements, sealed so that they can be forgotten: the record of a statement names the SHA-256 of the
//! ciphertext, the ciphertext lies beside the log, and the key, one for each person and month, can be destroyed. Nothing
//! that is signed changes by that.
//!
//! AES-256-GCM under a key of the session's own, derived (HKDF-SHA256) from that of person and month. A nonce is a
//! stream's number and a counter: neither is ever used twice within a session, so no chance is needed per statement.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf;
use thiserror::Error;

use super::seal;
use crate::domain::{Digest, SealedText, Secret, SessionId, TextKeyId};

/// What records call the algorithm (RFC 7518 section 5.1).
pub(super) const ALGORITHM: &str = "A256GCM";

/// Most bytes of a text that are sealed; what follows is not kept. As much as records keep of normalised texts.
pub(crate) const SEALED_TEXT_MAX: usize = 16 * 1024;

/// Seals the texts of one session.
#[derive(Debug)]
pub(crate) struct TextSealer {
    id: TextKeyId,
    session: SessionId,
    key: LessSafeKey,
}

impl TextSealer {
    /// `None` when the cipher does not take the key: then nothing may go on as if texts were kept.
    pub(crate) fn new(id: TextKeyId, key: &Secret<[u8; 32]>, session: SessionId) -> Option<Self> {
        Some(Self { id, session, key: session_key(key, session)? })
    }

    /// Seals the `number`th text of a stream. No two texts may have the same number.
    pub(crate) fn seal(&self, stream: u32, number: u64, text: &[u8]) -> Option<SealedText> {
        let text = text.get(..SEALED_TEXT_MAX).unwrap_or(text);
        let mut nonce = [0u8; NONCE_LEN];
        let parts = stream.to_be_bytes().into_iter().chain(number.to_be_bytes());
        nonce.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        let mut bytes = Vec::with_capacity(NONCE_LEN + text.len() + AES_256_GCM.tag_len());
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(text);
        let sealed = bytes.get_mut(NONCE_LEN..)?;
        let aad = aad(self.session);
        let tag = self.key.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), aad, sealed).ok()?;
        bytes.extend_from_slice(tag.as_ref());
        Some(SealedText { key: self.id, digest: seal::digest(&bytes), bytes })
    }
}

/// The text in what was sealed for a session; `None` when it is not that, or the key is another.
pub(crate) fn open_text(key: &Secret<[u8; 32]>, session: SessionId, sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, ciphertext) = sealed.split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut text = ciphertext.to_vec();
    let length = session_key(key, session)?.open_in_place(nonce, aad(session), &mut text).ok()?.len();
    text.truncate(length);
    Some(text)
}

fn session_key(key: &Secret<[u8; 32]>, session: SessionId) -> Option<LessSafeKey> {
    let symbols = session.symbols();
    let info: [&[u8]; 2] = [b"gov raw text v1", &symbols];
    let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]);
    let derived = salt.extract(key.expose());
    let derived = derived.expand(&info, &AES_256_GCM).ok()?;
    Some(LessSafeKey::new(UnboundKey::from(derived)))
}

/// A text of one session cannot pass for one of another.
fn aad(session: SessionId) -> Aad<[u8; SESSION_SYMBOLS]> {
    Aad::from(session.symbols())
}

/// Length of a session's id as it is written.
const SESSION_SYMBOLS: usize = 26;

/// Why a sealed text cannot be read.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("it ends in the middle of a sealed text")]
pub(crate) struct CutShort;

/// Appends a sealed text to others: what records name it by, its length, the bytes.
pub(crate) fn write_sealed(out: &mut Vec<u8>, digest: Digest, bytes: &[u8]) {
    out.extend_from_slice(&digest.0);
    out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// The first of several sealed texts, and where the next begins.
pub(super) fn first_sealed(all: &[u8]) -> Result<(Digest, &[u8], usize), CutShort> {
    let (digest, rest) = all.split_first_chunk::<32>().ok_or(CutShort)?;
    let (length, rest) = rest.split_first_chunk::<4>().ok_or(CutShort)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| CutShort)?;
    let bytes = rest.get(..length).ok_or(CutShort)?;
    Ok((Digest(*digest), bytes, SEALED_HEAD + length))
}

/// What stands before the bytes of each.
const SEALED_HEAD: usize = 32 + 4;

/// Reads sealed texts that stand one behind the other: by what they are named, and their bytes. What is cut short is
/// left out.
pub(crate) fn sealed_texts(mut all: &[u8]) -> Vec<(Digest, &[u8])> {
    let mut found = Vec::new();
    while let Ok((digest, bytes, length)) = first_sealed(all) {
        found.push((digest, bytes));
        all = all.get(length..).unwrap_or_default();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;

    fn key(byte: u8) -> Secret<[u8; 32]> {
        Secret::new([byte; 32])
    }

    fn session(byte: u8) -> SessionId {
        SessionId::new(Timestamp::from_seconds(0), [byte; 10])
    }

    fn sealer(session: SessionId) -> TextSealer {
        TextSealer::new(TextKeyId([7; 8]), &key(9), session).unwrap()
    }

    #[test]
    fn a_text_comes_back_with_its_key_in_its_session_and_nowhere_else() {
        let sealed = sealer(session(1)).seal(1, 5, b"SELECT 'alice@example.com'").unwrap();
        assert_eq!(open_text(&key(9), session(1), &sealed.bytes).unwrap(), b"SELECT 'alice@example.com'");
        assert_eq!(sealed.digest, seal::digest(&sealed.bytes));
        assert!(!String::from_utf8_lossy(&sealed.bytes).contains("alice"));
        assert_eq!(open_text(&key(8), session(1), &sealed.bytes), None);
        assert_eq!(open_text(&key(9), session(2), &sealed.bytes), None);
        for index in 0..sealed.bytes.len() {
            let mut changed = sealed.bytes.clone();
            changed[index] ^= 1;
            assert_eq!(open_text(&key(9), session(1), &changed), None, "byte {index}");
            assert_eq!(open_text(&key(9), session(1), &sealed.bytes[..index]), None, "cut at {index}");
        }
    }

    #[test]
    fn equal_texts_look_different_and_long_ones_are_cut() {
        let sealer = sealer(session(1));
        let texts: Vec<_> =
            [(1, 1), (1, 2), (2, 1)].map(|(s, n)| sealer.seal(s, n, b"SELECT 1").unwrap().digest).into();
        assert!(texts[0] != texts[1] && texts[1] != texts[2] && texts[0] != texts[2]);
        let long = sealer.seal(1, 3, &[b'x'; SEALED_TEXT_MAX + 1]).unwrap();
        assert_eq!(open_text(&key(9), session(1), &long.bytes).unwrap().len(), SEALED_TEXT_MAX);
        assert_eq!(open_text(&key(9), session(1), &sealer.seal(1, 4, b"").unwrap().bytes).unwrap(), b"");
    }

    #[test]
    fn many_stand_one_behind_the_other() {
        let mut all = Vec::new();
        write_sealed(&mut all, Digest([1; 32]), b"one");
        write_sealed(&mut all, Digest([2; 32]), b"");
        assert_eq!(sealed_texts(&all), [(Digest([1; 32]), &b"one"[..]), (Digest([2; 32]), b"")]);
        for length in 0..all.len() {
            assert_eq!(sealed_texts(&all[..length]).len(), usize::from(length >= 39), "cut at {length}");
        }
    }
}
