//! Signed JSON tokens (RFC 7515, RFC 7517, RFC 7519): made with Ed25519, checked with whatever an identity provider
//! uses, on ring.
//!
//! The crate `jsonwebtoken` parses headers, keys and claims; it is built without cryptography of its own and asks the
//! provider below. It never sees the clock: its time checks are off, and every caller here checks `exp` and friends
//! against a `now` it was given.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, EncodingKey, Validation};
use ring::signature::{self as ring_signature, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

use crate::domain::{Secret, Timestamp};

/// Longest token looked at, in bytes. ID tokens with a few hundred groups stay below 16 KiB; HTTP servers commonly
/// refuse headers above that.
pub(crate) const TOKEN_LENGTH_MAX: usize = 16 * 1024;

/// Most keys looked at in one key set. Providers publish two or three.
const KEYS_MAX: usize = 64;

/// Shortest RSA modulus believed, in bytes: 2048 bits (NIST SP 800-131A revision 2).
const RSA_MODULUS_MIN: usize = 256;

/// `typ` values of OpenID Connect ID tokens; the empty text stands for none.
pub(crate) const ID_TOKEN: &[&str] = &["", "jwt"];
/// `typ` values of JWT access tokens (RFC 9068 section 2.1).
pub(crate) const ACCESS_TOKEN: &[&str] = &["at+jwt", "application/at+jwt"];
/// `typ` value of proofs of possession (RFC 9449 section 4.2).
pub(crate) const DPOP_PROOF: &[&str] = &["dpop+jwt"];

/// Why a token was not believed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum JwtError {
    #[error("the token is longer than {TOKEN_LENGTH_MAX} bytes")]
    TooLong,
    #[error("it is not a signed token")]
    Malformed,
    /// The issuer may have changed its keys since the set was fetched.
    #[error("it is signed with a key that the issuer does not publish")]
    UnknownKey,
    #[error("its signature algorithm is not one that fits the key")]
    AlgorithmRefused,
    #[error("it is a token of another kind")]
    WrongType,
    #[error("its signature is wrong")]
    BadSignature,
}

/// A key's fingerprint (RFC 7638): SHA-256 of its required members, in base64url.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Thumbprint(String);

impl Thumbprint {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The text form, 43 characters of base64url, or nothing.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        (bytes.len() == 32).then(|| Self(text.to_owned()))
    }

    fn of(members: &BTreeMap<&str, &str>) -> Self {
        // A map of plain texts always serialises, and a `BTreeMap` does so in the order RFC 7638 asks for.
        let canonical = serde_json::to_vec(members).unwrap_or_default();
        Self(URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, &canonical)))
    }

    fn of_jwk(parameters: &AlgorithmParameters) -> Option<Self> {
        let members = match parameters {
            AlgorithmParameters::RSA(rsa) => BTreeMap::from([("kty", "RSA"), ("n", &*rsa.n), ("e", &*rsa.e)]),
            AlgorithmParameters::EllipticCurve(ec) => {
                let curve = match ec.curve {
                    EllipticCurve::P256 => "P-256",
                    EllipticCurve::P384 => "P-384",
                    _ => return None,
                };
                BTreeMap::from([("kty", "EC"), ("crv", curve), ("x", &*ec.x), ("y", &*ec.y)])
            }
            AlgorithmParameters::OctetKeyPair(pair) => {
                BTreeMap::from([("kty", "OKP"), ("crv", "Ed25519"), ("x", &*pair.x)])
            }
            _ => return None,
        };
        Some(Self::of(&members))
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A point in time as tokens write it: seconds since 1970, possibly with a fraction (RFC 7519 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NumericDate(pub(crate) Timestamp);

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = serde_json::Number::deserialize(deserializer)?;
        if let Some(seconds) = number.as_u64() {
            return Ok(Self(Timestamp::from_seconds(seconds)));
        }
        match number.as_f64() {
            // The upper limit is the year 2286; below it every float is an exact number of milliseconds in `u64`.
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the range is checked, and a fraction of a millisecond does not matter"
            )]
            Some(seconds) if (0.0..1e10).contains(&seconds) => {
                Ok(Self(Timestamp::from_millis((seconds * 1000.0) as u64)))
            }
            _ => Err(serde::de::Error::custom("not a point in time")),
        }
    }
}

impl Serialize for NumericDate {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0.seconds())
    }
}

/// An Ed25519 key that signs tokens and other texts.
pub(crate) struct SigningKey {
    pair: Ed25519KeyPair,
    thumbprint: Thumbprint,
}

impl SigningKey {
    /// The key that belongs to 32 secret bytes (RFC 8032 section 5.1.5), or nothing if ring refuses them.
    pub(crate) fn from_seed(seed: &Secret<[u8; 32]>) -> Option<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.expose()).ok()?;
        let x = URL_SAFE_NO_PAD.encode(pair.public_key());
        let thumbprint = Thumbprint::of(&BTreeMap::from([("kty", "OKP"), ("crv", "Ed25519"), ("x", &*x)]));
        Some(Self { pair, thumbprint })
    }

    /// The public half.
    pub(crate) fn public(&self) -> [u8; 32] {
        let mut out = [0u8; 32];
        out.copy_from_slice(self.pair.public_key().as_ref());
        out
    }

    /// What the key is called in `kid` headers and `cnf.jkt` claims.
    pub(crate) fn thumbprint(&self) -> &Thumbprint {
        &self.thumbprint
    }

    /// The public half as a JSON Web Key (RFC 8037).
    pub(crate) fn jwk(&self) -> serde_json::Value {
        serde_json::json!({"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(self.pair.public_key())})
    }

    /// The public half as an entry of a published key set.
    pub(crate) fn published_jwk(&self) -> serde_json::Value {
        let mut jwk = self.jwk();
        if let Some(members) = jwk.as_object_mut() {
            members.insert("kid".to_owned(), self.thumbprint.as_str().into());
            members.insert("use".to_owned(), "sig".into());
            members.insert("alg".to_owned(), "EdDSA".into());
        }
        jwk
    }

    /// A signed token naming this key by its thumbprint.
    pub(crate) fn token(&self, typ: &str, claims: &impl Serialize) -> Result<String, JwtError> {
        self.encode(&serde_json::json!({"typ": typ, "alg": "EdDSA", "kid": self.thumbprint.as_str()}), claims)
    }

    /// A signed token that carries the public half of this key.
    pub(crate) fn self_described_token(&self, typ: &str, claims: &impl Serialize) -> Result<String, JwtError> {
        self.encode(&serde_json::json!({"typ": typ, "alg": "EdDSA", "jwk": self.jwk()}), claims)
    }

    fn encode(&self, header: &serde_json::Value, claims: &impl Serialize) -> Result<String, JwtError> {
        let claims = serde_json::to_vec(claims).map_err(|_| JwtError::Malformed)?;
        let header = URL_SAFE_NO_PAD.encode(header.to_string());
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.pair.sign(signed.as_bytes()));
        Ok(format!("{signed}.{signature}"))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.thumbprint)
    }
}

/// One public key and the algorithms it may be used with.
#[derive(Clone, Debug)]
struct VerifyingKey {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

impl VerifyingKey {
    /// The key, if it is meant for signatures and of a kind we can check.
    fn from_jwk(jwk: &Jwk) -> Option<Self> {
        let for_signatures = match &jwk.common.public_key_use {
            None | Some(PublicKeyUse::Signature) => true,
            Some(PublicKeyUse::Encryption | PublicKeyUse::Other(_)) => false,
        };
        let may_verify =
            jwk.common.key_operations.as_ref().is_none_or(|operations| operations.contains(&KeyOperations::Verify));
        if !(for_signatures && may_verify) {
            return None;
        }
        let mut algorithms = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => {
                vec![Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256]
            }
            AlgorithmParameters::EllipticCurve(ec) => match ec.curve {
                EllipticCurve::P256 => vec![Algorithm::ES256],
                EllipticCurve::P384 => vec![Algorithm::ES384],
                _ => return None,
            },
            AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => vec![Algorithm::EdDSA],
            _ => return None,
        };
        if let Some(stated) = jwk.common.key_algorithm {
            let stated = Algorithm::try_from(stated).ok()?;
            algorithms.retain(|algorithm| *algorithm == stated);
        }
        let key = DecodingKey::from_jwk(jwk).ok()?;
        let long_enough = match key.kind() {
            DecodingKeyKind::RsaModulusExponent { n, .. } => n.len() >= RSA_MODULUS_MIN,
            DecodingKeyKind::SecretOrDer(_) => true,
        };
        (long_enough && !algorithms.is_empty()).then(|| Self { id: jwk.common.key_id.clone(), algorithms, key })
    }
}

/// The keys an issuer publishes.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeySet {
    keys: Vec<VerifyingKey>,
}

impl KeySet {
    /// Reads a published key set. Keys of unknown kinds or for other uses are passed over, as RFC 7517 section 5 asks.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, JwtError> {
        #[derive(Deserialize)]
        struct Published {
            keys: Vec<serde_json::Value>,
        }
        let published: Published = serde_json::from_slice(json).map_err(|_| JwtError::Malformed)?;
        let keys = published
            .keys
            .into_iter()
            .take(KEYS_MAX)
            .filter_map(|value| serde_json::from_value::<Jwk>(value).ok())
            .filter_map(|jwk| VerifyingKey::from_jwk(&jwk))
            .collect();
        Ok(Self { keys })
    }

    /// The public halves of keys of our own.
    pub(crate) fn of(keys: &[&SigningKey]) -> Self {
        let keys = keys.iter().map(|key| VerifyingKey {
            id: Some(key.thumbprint.as_str().to_owned()),
            algorithms: vec![Algorithm::EdDSA],
            key: DecodingKey::from_ed_der(&key.public()),
        });
        Self { keys: keys.collect() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The claims of a token that one of these keys signed and whose `typ` is one of `types`. Nothing else about the
    /// claims has been checked.
    pub(crate) fn verify<C: DeserializeOwned>(&self, token: &str, types: &[&str]) -> Result<C, JwtError> {
        let header = header(token, types)?;
        let named = |key: &&VerifyingKey| match (&header.kid, &key.id) {
            (Some(wanted), Some(id)) => wanted == id,
            (Some(_), None) => false,
            (None, _) => true,
        };
        let candidates: Vec<_> = self.keys.iter().filter(named).collect();
        if candidates.is_empty() {
            return Err(JwtError::UnknownKey);
        }
        let mut fitting = candidates.into_iter().filter(|key| key.algorithms.contains(&header.alg));
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => claims(token, &key.key, header.alg),
            // Without a key id, more than one fitting key leaves it open which one is meant
            // (OpenID Connect Core 1.0 section 10.1 requires an id then).
            (Some(_), Some(_)) => Err(JwtError::UnknownKey),
            (None, _) => Err(JwtError::AlgorithmRefused),
        }
    }
}

/// The claims of a token signed with the key it carries itself, and that key's thumbprint. Proves possession of the
/// key, not who holds it.
pub(crate) fn verify_self_described<C: DeserializeOwned>(
    token: &str,
    types: &[&str],
) -> Result<(Thumbprint, C), JwtError> {
    let header = header(token, types)?;
    let jwk = header.jwk.as_ref().ok_or(JwtError::Malformed)?;
    let key = VerifyingKey::from_jwk(jwk).ok_or(JwtError::AlgorithmRefused)?;
    if !key.algorithms.contains(&header.alg) {
        return Err(JwtError::AlgorithmRefused);
    }
    let thumbprint = Thumbprint::of_jwk(&jwk.algorithm).ok_or(JwtError::AlgorithmRefused)?;
    Ok((thumbprint, claims(token, &key.key, header.alg)?))
}

fn header(token: &str, types: &[&str]) -> Result<jsonwebtoken::Header, JwtError> {
    if token.len() > TOKEN_LENGTH_MAX {
        return Err(JwtError::TooLong);
    }
    let header = jsonwebtoken::decode_header(token).map_err(|_| JwtError::Malformed)?;
    // An extension marked critical must be understood (RFC 7515 section 4.1.11), and we know none.
    if header.crit.is_some() {
        return Err(JwtError::Malformed);
    }
    let typ = header.typ.as_deref().unwrap_or_default().to_ascii_lowercase();
    if types.contains(&typ.as_str()) { Ok(header) } else { Err(JwtError::WrongType) }
}

fn claims<C: DeserializeOwned>(token: &str, key: &DecodingKey, algorithm: Algorithm) -> Result<C, JwtError> {
    // Fails only when it is already installed.
    let _ = RING.install_default();
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    match jsonwebtoken::decode::<C>(token, key, &validation) {
        Ok(token) => Ok(token.claims),
        Err(error) => Err(match error.kind() {
            ErrorKind::InvalidSignature => JwtError::BadSignature,
            ErrorKind::InvalidAlgorithm | ErrorKind::UnsupportedAlgorithm => JwtError::AlgorithmRefused,
            _ => JwtError::Malformed,
        }),
    }
}

/// What `jsonwebtoken` asks for cryptography. Signing is not among it: our own tokens are signed above.
static RING: CryptoProvider = CryptoProvider {
    signer_factory: refuse_to_sign,
    verifier_factory: ring_verifier,
    key_utils: KeyUtils {
        rsa_pub_components_from_private_key: |_| Err(ErrorKind::UnsupportedAlgorithm.into()),
        rsa_pub_components_from_public_key: |_| Err(ErrorKind::UnsupportedAlgorithm.into()),
        ec_pub_components_from_private_key: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
        ed_pub_components_from_private_key: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
        compute_digest: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
    },
};

/// Signature algorithms we can check. HMAC is absent on purpose: whoever could check it could also sign.
const SUPPORTED: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

fn refuse_to_sign(_: &Algorithm, _: &EncodingKey) -> jsonwebtoken::errors::Result<Box<dyn JwtSigner>> {
    Err(ErrorKind::UnsupportedAlgorithm.into())
}

fn ring_verifier(algorithm: &Algorithm, key: &DecodingKey) -> jsonwebtoken::errors::Result<Box<dyn JwtVerifier>> {
    if SUPPORTED.contains(algorithm) && key.family() == family(algorithm) {
        Ok(Box::new(RingVerifier { algorithm: *algorithm, key: key.kind().clone() }))
    } else {
        Err(ErrorKind::UnsupportedAlgorithm.into())
    }
}

fn family(algorithm: &Algorithm) -> jsonwebtoken::AlgorithmFamily {
    use jsonwebtoken::AlgorithmFamily as Family;
    [Family::Rsa, Family::Ec, Family::Ed]
        .into_iter()
        .find(|family| family.algorithms().contains(algorithm))
        .unwrap_or(Family::Hmac)
}

/// Checks one signature with ring.
struct RingVerifier {
    algorithm: Algorithm,
    key: DecodingKeyKind,
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl signature::Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        let verified = match (&self.key, self.algorithm) {
            (DecodingKeyKind::RsaModulusExponent { n, e }, algorithm) => {
                let parameters = match algorithm {
                    Algorithm::RS256 => &ring_signature::RSA_PKCS1_2048_8192_SHA256,
                    Algorithm::RS384 => &ring_signature::RSA_PKCS1_2048_8192_SHA384,
                    Algorithm::RS512 => &ring_signature::RSA_PKCS1_2048_8192_SHA512,
                    Algorithm::PS256 => &ring_signature::RSA_PSS_2048_8192_SHA256,
                    _ => return Err(signature::Error::new()),
                };
                ring_signature::RsaPublicKeyComponents { n, e }.verify(parameters, message, signature)
            }
            (DecodingKeyKind::SecretOrDer(point), Algorithm::ES256) => {
                UnparsedPublicKey::new(&ring_signature::ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            (DecodingKeyKind::SecretOrDer(point), Algorithm::ES384) => {
                UnparsedPublicKey::new(&ring_signature::ECDSA_P384_SHA384_FIXED, point).verify(message, signature)
            }
            (DecodingKeyKind::SecretOrDer(point), Algorithm::EdDSA) => {
                UnparsedPublicKey::new(&ring_signature::ED25519, point).verify(message, signature)
            }
            (DecodingKeyKind::SecretOrDer(_), _) => return Err(signature::Error::new()),
        };
        verified.map_err(|_| signature::Error::new())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn key(byte: u8) -> SigningKey {
        SigningKey::from_seed(&Secret::new([byte; 32])).unwrap()
    }

    /// Tokens made with Node.js's own cryptography; see `tests/vectors/jwt/make.mjs`.
    #[test]
    fn tokens_of_other_makers() {
        let vectors: Vec<Value> =
            serde_json::from_slice(include_bytes!("../../tests/vectors/jwt/tokens.json")).unwrap();
        assert!(vectors.len() >= 20);
        for vector in vectors {
            let keys = KeySet::parse(vector["jwks"].to_string().as_bytes()).unwrap();
            let found = match keys.verify::<Value>(vector["token"].as_str().unwrap(), ID_TOKEN) {
                Ok(claims) => claims["sub"].as_str().unwrap().to_owned(),
                Err(error) => format!("{error:?}"),
            };
            assert_eq!(found, vector["expect"].as_str().unwrap(), "{}", vector["name"]);
        }
    }

    #[test]
    fn own_tokens_are_believed_and_changed_ones_are_not() {
        let (ours, theirs) = (key(1), key(2));
        let token = ours.token("at+jwt", &json!({"sub": "alice"})).unwrap();
        let keys = KeySet::of(&[&ours]);
        let check =
            |token: &str, types: &[&str]| keys.verify::<Value>(token, types).map(|claims| claims["sub"].clone());
        assert_eq!(check(&token, ACCESS_TOKEN), Ok(json!("alice")));
        assert_eq!(check(&token, ID_TOKEN), Err(JwtError::WrongType));
        let foreign = theirs.token("at+jwt", &json!({"sub": "alice"})).unwrap();
        assert_eq!(check(&foreign, ACCESS_TOKEN), Err(JwtError::UnknownKey));
        assert_eq!(KeySet::of(&[]).verify::<Value>(&token, ACCESS_TOKEN).unwrap_err(), JwtError::UnknownKey);
        // Every single changed character is noticed, whichever part it is in.
        for index in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
            assert!(check(&String::from_utf8(bytes).unwrap(), ACCESS_TOKEN).is_err(), "character {index}");
            assert!(check(token.split_at(index).0, ACCESS_TOKEN).is_err(), "cut at {index}");
        }
        assert!(check(&format!("{token}{token}"), ACCESS_TOKEN).is_err());
        assert_eq!(check(&"a".repeat(TOKEN_LENGTH_MAX + 1), ACCESS_TOKEN), Err(JwtError::TooLong));
    }

    #[test]
    fn headers_may_not_ask_for_more_than_we_know() {
        let ours = key(1);
        let keys = KeySet::of(&[&ours]);
        let kid = ours.thumbprint().as_str();
        for (header, expect) in [
            (json!({"alg": "none", "kid": kid}), JwtError::Malformed),
            (json!({"alg": "HS256", "kid": kid}), JwtError::AlgorithmRefused),
            (json!({"alg": "RS256", "kid": kid}), JwtError::AlgorithmRefused),
            (json!({"alg": "EdDSA", "kid": kid, "crit": ["exp"]}), JwtError::Malformed),
            (json!({"alg": "EdDSA", "kid": "other"}), JwtError::UnknownKey),
            (json!({"alg": "EdDSA", "kid": kid, "typ": "logout+jwt"}), JwtError::WrongType),
            (json!({"kid": kid}), JwtError::Malformed),
        ] {
            let token = ours.encode(&header, &json!({"sub": "alice"})).unwrap();
            assert_eq!(keys.verify::<Value>(&token, ID_TOKEN).unwrap_err(), expect, "{header}");
        }
    }

    #[test]
    fn a_self_described_token_proves_its_own_key_only() {
        let device = key(3);
        let token = device.self_described_token("dpop+jwt", &json!({"jti": "1"})).unwrap();
        let (thumbprint, claims) = verify_self_described::<Value>(&token, DPOP_PROOF).unwrap();
        assert_eq!((thumbprint, claims), (device.thumbprint().clone(), json!({"jti": "1"})));
        // Signed with one key, carrying another.
        let header = json!({"typ": "dpop+jwt", "alg": "EdDSA", "jwk": key(4).jwk()});
        let crossed = device.encode(&header, &json!({"jti": "1"})).unwrap();
        assert_eq!(verify_self_described::<Value>(&crossed, DPOP_PROOF).unwrap_err(), JwtError::BadSignature);
        // A shared secret in the place of a public key.
        let header = json!({"typ": "dpop+jwt", "alg": "HS256", "jwk": {"kty": "oct", "k": "AAAA"}});
        let shared = device.encode(&header, &json!({"jti": "1"})).unwrap();
        assert_eq!(verify_self_described::<Value>(&shared, DPOP_PROOF).unwrap_err(), JwtError::AlgorithmRefused);
    }

    #[test]
    fn thumbprint_of_rfc_8037_appendix_a_3() {
        let jwk: Jwk = serde_json::from_value(
            json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}),
        )
        .unwrap();
        let thumbprint = Thumbprint::of_jwk(&jwk.algorithm).unwrap();
        assert_eq!(thumbprint.as_str(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        assert_eq!(Thumbprint::parse(thumbprint.as_str()), Some(thumbprint));
        assert_eq!(Thumbprint::parse("AAAA"), None);
    }

    #[test]
    fn points_in_time_may_have_fractions_but_not_be_nonsense() {
        let read = |text: &str| serde_json::from_str::<NumericDate>(text).ok().map(|date| date.0.millis());
        for (text, expect) in [
            ("1300819380", Some(1_300_819_380_000)),
            ("1300819380.5", Some(1_300_819_380_500)),
            ("0", Some(0)),
            ("-1", None),
            ("1e300", None),
            ("\"1300819380\"", None),
        ] {
            assert_eq!(read(text), expect, "{text}");
        }
    }
}
