//! Proof that whoever calls holds the key a token is bound to (RFC 9449): a small signed token per request, naming the
//! request, the moment and the token it goes with.
//!
//! The server remembers each proof's id for [`REMEMBER`]; remembering is not done here.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::jwt::{self, DPOP_PROOF, JwtError, NumericDate, SigningKey, Thumbprint};
use crate::domain::{Duration, Timestamp};

/// How far the client's clock may be from the server's, either way. RFC 9449 section 11.1 asks for "seconds or
/// minutes"; a minute is what an unsynchronised laptop drifts in weeks.
pub(crate) const WINDOW: Duration = Duration::from_secs(60);

/// How long a proof's id must be remembered so that it works once: from the earliest to the latest moment at which
/// the same proof could be accepted.
pub(crate) const REMEMBER: Duration = Duration::from_secs(2 * WINDOW.as_secs() + 1);

/// Longest id remembered, in bytes. Ours have 22.
const ID_LENGTH_MAX: usize = 64;

/// A checked proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proof {
    /// The key that made it.
    pub(crate) key: Thumbprint,
    /// Unique per proof; remember it.
    pub(crate) id: String,
}

/// Why a proof was not accepted.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum DpopError {
    #[error("the proof of possession is not genuine: {0}")]
    NotGenuine(#[from] JwtError),
    #[error("the proof of possession belongs to another request")]
    OtherRequest,
    #[error("the proof of possession belongs to another token")]
    OtherToken,
    /// By how many seconds the client's clock differs: positive when it is ahead.
    #[error("the proof of possession is dated {}", off(*.0))]
    ClockOff(i64),
}

fn off(seconds: i64) -> String {
    let side = if seconds < 0 { "ago" } else { "from now" };
    format!("{} seconds {side}", seconds.unsigned_abs())
}

#[derive(Serialize, Deserialize)]
struct Claims {
    jti: String,
    htm: String,
    htu: String,
    iat: NumericDate,
    #[serde(skip_serializing_if = "Option::is_none")]
    ath: Option<String>,
}

/// The request a proof is made for: `url` without query and fragment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) url: &'a str,
    /// The access token that is sent along, if there is one yet.
    pub(crate) token: Option<&'a str>,
}

/// A proof for one request, with an id made of `chance`.
pub(crate) fn make(
    key: &SigningKey,
    request: Request<'_>,
    now: Timestamp,
    chance: [u8; 16],
) -> Result<String, JwtError> {
    let claims = Claims {
        jti: URL_SAFE_NO_PAD.encode(chance),
        htm: request.method.to_owned(),
        htu: request.url.to_owned(),
        iat: NumericDate(now),
        ath: request.token.map(digest),
    };
    key.self_described_token("dpop+jwt", &claims)
}

/// Checks everything about a proof except whether its id was seen before.
pub(crate) fn check(proof: &str, request: Request<'_>, now: Timestamp) -> Result<Proof, DpopError> {
    let (key, claims): (_, Claims) = jwt::verify_self_described(proof, DPOP_PROOF)?;
    if claims.htm != request.method || claims.htu != request.url {
        return Err(DpopError::OtherRequest);
    }
    if claims.ath != request.token.map(digest) {
        return Err(DpopError::OtherToken);
    }
    if claims.jti.is_empty() || claims.jti.len() > ID_LENGTH_MAX {
        return Err(DpopError::NotGenuine(JwtError::Malformed));
    }
    let made_at = claims.iat.0;
    if made_at.after(WINDOW) < now || made_at > now.after(WINDOW) {
        let seconds = |at: Timestamp| i64::try_from(at.seconds()).unwrap_or(i64::MAX);
        return Err(DpopError::ClockOff(seconds(made_at).saturating_sub(seconds(now))));
    }
    Ok(Proof { key, id: claims.jti })
}

/// `ath`: SHA-256 of the token's text (RFC 9449 section 4.2).
fn digest(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Secret;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
    const REQUEST: Request<'_> = Request { method: "POST", url: "https://gov.example/v1/x", token: Some("token") };

    fn key(byte: u8) -> SigningKey {
        SigningKey::from_seed(&Secret::new([byte; 32])).unwrap()
    }

    #[test]
    fn a_proof_is_good_for_its_own_request_only() {
        let device = key(1);
        let proof = make(&device, REQUEST, NOW, [7; 16]).unwrap();
        let check = |request| check(&proof, request, NOW);
        assert_eq!(check(REQUEST).unwrap().key, *device.thumbprint());
        assert_eq!(check(Request { method: "GET", ..REQUEST }), Err(DpopError::OtherRequest));
        assert_eq!(check(Request { url: "https://gov.example/v1/y", ..REQUEST }), Err(DpopError::OtherRequest));
        assert_eq!(check(Request { token: Some("other"), ..REQUEST }), Err(DpopError::OtherToken));
        assert_eq!(check(Request { token: None, ..REQUEST }), Err(DpopError::OtherToken));
    }

    #[test]
    fn a_proof_is_good_for_a_minute_either_way() {
        let proof = make(&key(1), REQUEST, NOW, [7; 16]).unwrap();
        for (offset, expect) in [(-61i64, Some(61)), (-60, None), (0, None), (60, None), (61, Some(-61))] {
            let now = Timestamp::from_seconds(NOW.seconds().checked_add_signed(offset).unwrap());
            let found = check(&proof, REQUEST, now).err();
            assert_eq!(found, expect.map(DpopError::ClockOff), "{offset}");
        }
    }

    #[test]
    fn other_tokens_are_not_proofs() {
        let device = key(1);
        let token = device.token("dpop+jwt", &serde_json::json!({"jti": "1"})).unwrap();
        assert_eq!(check(&token, REQUEST, NOW), Err(DpopError::NotGenuine(JwtError::Malformed)));
        let typed = device.self_described_token("jwt", &serde_json::json!({"jti": "1"})).unwrap();
        assert_eq!(check(&typed, REQUEST, NOW), Err(DpopError::NotGenuine(JwtError::WrongType)));
        assert!(check("", REQUEST, NOW).is_err());
    }

    #[test]
    fn the_difference_is_said_in_words() {
        assert_eq!(DpopError::ClockOff(-90).to_string(), "the proof of possession is dated 90 seconds ago");
        assert_eq!(DpopError::ClockOff(90).to_string(), "the proof of possession is dated 90 seconds from now");
    }
}
