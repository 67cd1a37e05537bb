//! The only randomness: the operating system's.

use ring::rand::{SecureRandom, SystemRandom};

use crate::audit::Signer;
use crate::domain::{ApprovalId, Failure, Kind, RecordId, Secret, SessionId};
use crate::runtime::clock;

/// `N` bytes nobody can guess. Fails only when the operating system has none to give, and then nothing should go on.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], Failure> {
    let mut out = [0u8; N];
    SystemRandom::new()
        .fill(&mut out)
        .map_err(|_| Failure::new(Kind::Internal, "the operating system gave no random bytes"))?;
    Ok(out)
}

pub(crate) fn session_id() -> Result<SessionId, Failure> {
    Ok(SessionId::new(clock::now(), bytes()?))
}

pub(crate) fn approval_id() -> Result<ApprovalId, Failure> {
    Ok(ApprovalId::new(clock::now(), bytes()?))
}

pub(crate) fn record_id() -> Result<RecordId, Failure> {
    Ok(RecordId::new(clock::now(), bytes()?))
}

/// A new signing key.
pub(crate) fn signer() -> Result<Signer, Failure> {
    let seed = Secret::new(bytes::<32>()?);
    Signer::new(seed).map_err(|_| Failure::new(Kind::Internal, "no signing key could be made"))
}

/// A password of 256 bits, in characters that need no quoting anywhere.
pub(crate) fn password() -> Result<Secret<String>, Failure> {
    use base64::Engine as _;
    let raw = zeroize::Zeroizing::new(bytes::<32>()?);
    Ok(Secret::new(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(raw.as_slice())))
}
