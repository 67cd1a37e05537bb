//! Signed envelopes (DSSE v1) around batches of records and around the certificates of the keys that sign them.
//!
//! An envelope signs exact bytes together with their type, so nothing needs a canonical form and nothing signed as one
//! thing can be shown as another (github.com/secure-systems-lab/dsse, `protocol.md`).

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;

use super::json::Json;
use super::record::VERSION;
use crate::domain::{Digest, PublicKey, Secret, SessionId, Side, Timestamp};

/// Type of a batch of records.
pub(crate) const RECORDS_TYPE: &str = "application/vnd.gov.audit.v1+json";

/// Type of a key's certificate.
pub(crate) const CERTIFICATE_TYPE: &str = "application/vnd.gov.key.v1+json";

/// Longest envelope: an entry of a C2SP tlog-tiles log has a 16-bit length.
pub(crate) const ENVELOPE_MAX: usize = 65_535;

/// Longest text of a batch's records. In base64, with the payload's head (under 400 bytes) and the envelope's own
/// members (under 400), it stays within [`ENVELOPE_MAX`].
pub(crate) const BATCH_MAX: usize = 48_000;

/// Most records of one envelope. A reader of one record has to fetch its whole batch.
pub(crate) const BATCH_RECORDS_MAX: u32 = 256;

/// Why an envelope was refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum SealError {
    #[error("it is not an envelope ({0})")]
    Shape(String),
    #[error("it is longer than {ENVELOPE_MAX} bytes")]
    Long,
    #[error("its type `{0}` is not known")]
    Type(String),
    #[error("it is written in another way than envelopes are")]
    Form,
    #[error("its version {0} is not known")]
    Version(u64),
    #[error("its `{0}` is not what an envelope has there")]
    Member(&'static str),
    #[error("its signature is not by {0}")]
    Signature(PublicKey),
    #[error("the secret of a signing key is not usable")]
    Key,
}

/// A secret signing key.
#[derive(Clone, Debug)]
pub(crate) struct Signer {
    /// The seed of RFC 8032. It is expanded for each signature and the expansion forgotten, so that dropping this,
    /// which wipes it, leaves no lasting copy.
    seed: Secret<[u8; 32]>,
    public: PublicKey,
}

impl Signer {
    pub(crate) fn new(seed: Secret<[u8; 32]>) -> Result<Self, SealError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.expose()).map_err(|_| SealError::Key)?;
        let public = pair.public_key().as_ref().try_into().map(PublicKey).map_err(|_| SealError::Key)?;
        Ok(Self { seed, public })
    }

    pub(crate) fn public(&self) -> PublicKey {
        self.public
    }

    /// Signs a payload as what its type says it is.
    pub(crate) fn sign(&self, payload_type: &str, payload: &[u8]) -> Result<[u8; 64], SealError> {
        self.sign_bytes(&signed_bytes(payload_type, payload))
    }

    /// Signs bytes that say themselves what they are: a checkpoint begins with its log's name, a cosignature with
    /// that word, an envelope's bytes with `DSSEv1`.
    pub(super) fn sign_bytes(&self, message: &[u8]) -> Result<[u8; 64], SealError> {
        let pair =
            Ed25519KeyPair::from_seed_and_public_key(self.seed.expose(), &self.public.0).map_err(|_| SealError::Key)?;
        pair.sign(message).as_ref().try_into().map_err(|_| SealError::Key)
    }
}

/// The bytes a signature covers: DSSE's pre-authentication encoding.
fn signed_bytes(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    let mut out = Vec::with_capacity(head.len().saturating_add(payload.len()));
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(payload);
    out
}

/// An envelope as it was read. Its signature has not been checked: see [`Envelope::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub(crate) payload_type: &'static str,
    pub(crate) payload: Vec<u8>,
    /// Who it says has signed it.
    pub(crate) key: PublicKey,
    pub(crate) signature: [u8; 64],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvelopeShape<'a> {
    #[serde(rename = "payloadType")]
    payload_type: Cow<'a, str>,
    payload: Cow<'a, str>,
    signatures: [SignatureShape<'a>; 1],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignatureShape<'a> {
    keyid: Cow<'a, str>,
    sig: Cow<'a, str>,
}

impl Envelope {
    /// Reads one line. There is one way to write an envelope, and anything else is refused, so that two equal
    /// envelopes are equal byte by byte.
    pub(crate) fn read(line: &str) -> Result<Self, SealError> {
        if line.len() > ENVELOPE_MAX {
            return Err(SealError::Long);
        }
        let shape: EnvelopeShape<'_> =
            serde_json::from_str(line).map_err(|error| SealError::Shape(error.to_string()))?;
        let payload_type = [RECORDS_TYPE, CERTIFICATE_TYPE]
            .into_iter()
            .find(|known| *known == shape.payload_type)
            .ok_or_else(|| SealError::Type(shape.payload_type.chars().take(80).collect()))?;
        let payload = BASE64.decode(shape.payload.as_bytes()).map_err(|_| SealError::Member("payload"))?;
        let [signed] = shape.signatures;
        let key = PublicKey::parse(&signed.keyid).ok_or(SealError::Member("keyid"))?;
        let signature = BASE64.decode(signed.sig.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
        let envelope = Self { payload_type, payload, key, signature: signature.ok_or(SealError::Member("sig"))? };
        if envelope.write() == line { Ok(envelope) } else { Err(SealError::Form) }
    }

    /// The same as one line, the only way it is written.
    pub(crate) fn write(&self) -> String {
        let key = self.key;
        let (payload, signature) = (BASE64.encode(&self.payload), BASE64.encode(self.signature));
        format!(
            r#"{{"payloadType":"{}","payload":"{payload}","signatures":[{{"keyid":"{key}","sig":"{signature}"}}]}}"#,
            self.payload_type
        )
    }

    /// Whether `key`, and nobody else, signed this.
    pub(crate) fn verify(&self, key: PublicKey) -> Result<(), SealError> {
        let message = signed_bytes(self.payload_type, &self.payload);
        let valid = UnparsedPublicKey::new(&ED25519, &key.0).verify(&message, &self.signature).is_ok();
        if valid && self.key == key { Ok(()) } else { Err(SealError::Signature(key)) }
    }

    /// SHA-256 of the payload: how the next envelope of the same key names this one.
    pub(crate) fn digest(&self) -> Digest {
        digest(&self.payload)
    }
}

/// An envelope on its way into a log: its line, and itself where its signature has been checked already. Only
/// [`Carried::sealed`] can say that it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Carried {
    line: String,
    checked: Option<Envelope>,
    /// The raw texts that came into being with its records, sealed, one behind the other.
    pub(super) raw_texts: Vec<u8>,
}

impl Carried {
    /// An envelope put together from records and a signature, if that is the signature over them.
    pub(crate) fn sealed(envelope: Envelope) -> Result<Self, SealError> {
        envelope.verify(envelope.key)?;
        Ok(Self { line: envelope.write(), checked: Some(envelope), raw_texts: Vec::new() })
    }

    /// A line that nobody has looked at.
    pub(crate) fn unread(line: String) -> Self {
        Self { line, checked: None, raw_texts: Vec::new() }
    }

    pub(crate) fn line(&self) -> &str {
        &self.line
    }

    /// Raw texts come with what a gateway brings from its own journal, and with nothing else.
    pub(crate) fn raw_texts(&self) -> &[u8] {
        &self.raw_texts
    }

    pub(crate) fn into_line(self) -> String {
        self.line
    }

    /// The envelope, if it is known that the key it names has signed it.
    pub(crate) fn checked(&self) -> Option<&Envelope> {
        self.checked.as_ref()
    }
}

pub(crate) fn digest(bytes: &[u8]) -> Digest {
    Digest::of_hash(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref())
}

/// One key's chain of envelopes, as its writer carries it on.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    pub(crate) key: PublicKey,
    pub(crate) side: Side,
    pub(crate) session: Option<SessionId>,
    /// SHA-256 of the previous envelope's payload; for the first, of the key's certificate's, so that a chain hangs
    /// on one certificate.
    pub(crate) previous: Digest,
}

impl Chain {
    /// The payload up to its first record, `first` being that record's number.
    pub(crate) fn header(&self, first: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(320);
        let mut json = Json::new(&mut out);
        json.raw(b"{\"v\":").number(VERSION).raw(b",\"key\":").hex(&self.key.0);
        json.raw(b",\"side\":").text(self.side.word());
        if let Some(session) = self.session {
            json.raw(b",\"sid\":\"").raw(&session.symbols()).raw(b"\"");
        }
        json.raw(b",\"first\":").number(first).raw(b",\"prev\":").hex(&self.previous.0).raw(b",\"records\":[");
        out
    }
}

/// A payload from its header and its records, which are separated by commas.
pub(crate) fn payload(header: &[u8], records: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(header.len().saturating_add(records.len()).saturating_add(2));
    out.extend_from_slice(header);
    out.extend_from_slice(records);
    out.extend_from_slice(b"]}");
    out
}

/// A batch of records as it was read from an envelope's payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) key: PublicKey,
    pub(crate) side: Side,
    pub(crate) session: Option<SessionId>,
    /// Number of the first record in its key's chain.
    pub(crate) first: u64,
    pub(crate) previous: Digest,
    /// Each record's own text.
    pub(crate) records: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchShape<'a> {
    v: u64,
    key: Cow<'a, str>,
    side: Cow<'a, str>,
    #[serde(default)]
    sid: Option<Cow<'a, str>>,
    first: u64,
    prev: Cow<'a, str>,
    #[serde(borrow)]
    records: Vec<&'a RawValue>,
}

impl Batch {
    pub(crate) fn parse(payload: &[u8]) -> Result<Self, SealError> {
        let shape: BatchShape<'_> =
            serde_json::from_slice(payload).map_err(|error| SealError::Shape(error.to_string()))?;
        if shape.v != VERSION {
            return Err(SealError::Version(shape.v));
        }
        if shape.records.is_empty() || shape.records.len() > usize::try_from(BATCH_RECORDS_MAX).unwrap_or(usize::MAX) {
            return Err(SealError::Member("records"));
        }
        Ok(Self {
            key: PublicKey::parse(&shape.key).ok_or(SealError::Member("key"))?,
            side: Side::parse(&shape.side).ok_or(SealError::Member("side"))?,
            session: session(shape.sid.as_deref())?,
            first: shape.first,
            previous: Digest::parse(&shape.prev).ok_or(SealError::Member("prev"))?,
            records: shape.records.into_iter().map(|record| record.get().to_owned()).collect(),
        })
    }
}

/// Whose key it is, for which session and how long; signed by the server's own key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Certificate {
    pub(crate) key: PublicKey,
    pub(crate) side: Side,
    /// `None` for a key the server uses for its own records.
    pub(crate) session: Option<SessionId>,
    /// The pseudonym of whoever the session belongs to.
    pub(crate) subject: Option<String>,
    /// When records may be signed by it.
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CertificateShape<'a> {
    v: u64,
    key: Cow<'a, str>,
    side: Cow<'a, str>,
    #[serde(default)]
    sid: Option<Cow<'a, str>>,
    #[serde(default)]
    sub: Option<String>,
    from: Cow<'a, str>,
    until: Cow<'a, str>,
}

impl Certificate {
    /// The certificate as an envelope signed by the server.
    pub(crate) fn sign(&self, server: &Signer) -> Result<Envelope, SealError> {
        let mut payload = Vec::with_capacity(256);
        let mut json = Json::new(&mut payload);
        json.raw(b"{\"v\":").number(VERSION).raw(b",\"key\":").hex(&self.key.0);
        json.raw(b",\"side\":").text(self.side.word());
        if let Some(session) = self.session {
            json.raw(b",\"sid\":\"").raw(&session.symbols()).raw(b"\"");
        }
        if let Some(subject) = &self.subject {
            json.raw(b",\"sub\":").text(subject);
        }
        json.raw(b",\"from\":").text(&self.from.to_string());
        json.raw(b",\"until\":").text(&self.until.to_string()).raw(b"}");
        let signature = server.sign(CERTIFICATE_TYPE, &payload)?;
        Ok(Envelope { payload_type: CERTIFICATE_TYPE, payload, key: server.public(), signature })
    }

    /// Reads a certificate, if the server signed it.
    pub(crate) fn open(envelope: &Envelope, server: PublicKey) -> Result<Self, SealError> {
        envelope.verify(server)?;
        if envelope.payload_type != CERTIFICATE_TYPE {
            return Err(SealError::Type(envelope.payload_type.to_owned()));
        }
        let shape: CertificateShape<'_> =
            serde_json::from_slice(&envelope.payload).map_err(|error| SealError::Shape(error.to_string()))?;
        if shape.v != VERSION {
            return Err(SealError::Version(shape.v));
        }
        Ok(Self {
            key: PublicKey::parse(&shape.key).ok_or(SealError::Member("key"))?,
            side: Side::parse(&shape.side).ok_or(SealError::Member("side"))?,
            session: session(shape.sid.as_deref())?,
            subject: shape.sub,
            from: Timestamp::parse(&shape.from).ok_or(SealError::Member("from"))?,
            until: Timestamp::parse(&shape.until).ok_or(SealError::Member("until"))?,
        })
    }
}

fn session(text: Option<&str>) -> Result<Option<SessionId>, SealError> {
    text.map(|text| text.parse().map_err(|_| SealError::Member("sid"))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer(seed: u8) -> Signer {
        Signer::new(Secret::new([seed; 32])).unwrap()
    }

    fn certificate() -> Certificate {
        Certificate {
            key: signer(2).public(),
            side: Side::Client,
            session: Some(SessionId::new(Timestamp::from_millis(1), [3; 10])),
            subject: Some("5e1f".to_owned()),
            from: Timestamp::from_millis(5),
            until: Timestamp::from_millis(9),
        }
    }

    /// The example of DSSE's `protocol.md`.
    #[test]
    fn signed_bytes_are_those_of_the_specification() {
        assert_eq!(
            signed_bytes("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    /// RFC 8032 section 7.1, test 1.
    #[test]
    fn keys_are_those_of_the_rfc() {
        let seed = Digest::parse("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").unwrap();
        let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        assert_eq!(Signer::new(Secret::new(seed.0)).unwrap().public().to_string(), public);
    }

    #[test]
    fn certificates_round_trip_and_hold_only_under_their_server() {
        let server = signer(1);
        let line = certificate().sign(&server).unwrap().write();
        let envelope = Envelope::read(&line).unwrap();
        assert_eq!(envelope.write(), line);
        assert_eq!(Certificate::open(&envelope, server.public()).unwrap(), certificate());
        assert_eq!(Certificate::open(&envelope, signer(2).public()), Err(SealError::Signature(signer(2).public())));
        let relabelled = Envelope { payload_type: RECORDS_TYPE, ..envelope };
        assert!(relabelled.verify(server.public()).is_err(), "the type is signed too");
    }

    #[test]
    fn batches_round_trip() {
        let key = signer(4);
        let chain = Chain { key: key.public(), side: Side::Gateway, session: None, previous: Digest([1; 32]) };
        let payload = payload(&chain.header(17), br#"{"a":1},{"b":"]}"}"#);
        let batch = Batch::parse(&payload).unwrap();
        assert_eq!((batch.key, batch.side, batch.first), (key.public(), Side::Gateway, 17));
        assert_eq!(batch.records, [r#"{"a":1}"#, r#"{"b":"]}"}"#]);
    }

    #[test]
    fn every_single_changed_byte_is_noticed() {
        let server = signer(1);
        let line = certificate().sign(&server).unwrap().write();
        for at in 0..line.len() {
            let mut bytes = line.clone().into_bytes();
            bytes[at] ^= 1;
            let opened = String::from_utf8(bytes).ok().and_then(|line| Envelope::read(&line).ok());
            let opened = opened.and_then(|envelope| Certificate::open(&envelope, server.public()).ok());
            assert_eq!(opened, None, "byte {at} of {line}");
        }
    }

    #[test]
    fn the_longest_batch_fits_a_log_entry() {
        let chain = Chain {
            key: PublicKey([0xff; 32]),
            side: Side::Gateway,
            session: certificate().session,
            previous: Digest([0xff; 32]),
        };
        let payload = payload(&chain.header(u64::MAX), &vec![b' '; BATCH_MAX]);
        let envelope = Envelope { payload_type: RECORDS_TYPE, payload, key: chain.key, signature: [0; 64] };
        assert!(envelope.write().len() <= ENVELOPE_MAX);
    }

    #[test]
    fn odd_envelopes_are_refused() {
        let good = certificate().sign(&signer(1)).unwrap().write();
        for bad in [
            String::new(),
            "{}".to_owned(),
            good.replace("\"signatures\":[", "\"extra\":1,\"signatures\":["),
            good.replace(CERTIFICATE_TYPE, "text/plain"),
            good.replace("keyid", "key"),
            good.replace("\"payload\":\"", "\"payload\":\" "),
            good.replace("\"payload\":\"", "\"payload\": \""),
            format!("{good}{good}"),
            " ".repeat(ENVELOPE_MAX) + &good,
        ] {
            assert!(Envelope::read(&bad).is_err(), "{bad}");
        }
    }
}
