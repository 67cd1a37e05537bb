//! SCRAM-SHA-256 and SCRAM-SHA-256-PLUS as state machines, both sides (RFC 5802, RFC 7677, PostgreSQL manual section
//! "SASL Authentication"). Nonces and salts are arguments.
//!
//! 1. client-first: `n,,n=,r=<client nonce>`
//! 2. server-first: `r=<both nonces>,s=<salt>,i=<iterations>`
//! 3. client-final: `c=<binding>,r=<both nonces>,p=<proof>`
//! 4. server-final: `v=<server signature>`

use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::{digest, hmac, pbkdf2};
use thiserror::Error;

use crate::domain::Secret;

/// Most iterations we are ready to compute for a server. A hostile one could otherwise keep a core busy
/// (CVE-2026-42198 class). OWASP's advice for PBKDF2-HMAC-SHA256 is 600,000.
const ITERATIONS_MAX: u32 = 600_000;

/// Longest SCRAM message read. PostgreSQL's own are under 200 bytes.
const MESSAGE_MAX: usize = 1024;

#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum ScramError {
    #[error("a SCRAM message is malformed: {0}")]
    Malformed(&'static str),
    #[error("the server asks for {0} iterations, more than {ITERATIONS_MAX}")]
    Iterations(u32),
    #[error("the nonce the other side sent back is not ours")]
    Nonce,
    #[error("the password is wrong")]
    Proof,
    #[error("the server could not prove that it knows the password")]
    Server,
    #[error("the channel binding does not match: somebody stands between")]
    Binding,
}

/// What the TLS connection offers to bind the login to (RFC 5929 section 4, `tls-server-end-point`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ChannelBinding {
    /// No TLS, or a certificate that has no binding.
    None,
    /// Hash of the server's certificate.
    EndPoint(Vec<u8>),
}

/// The hash of a DER certificate for `tls-server-end-point`: the hash of the certificate's own signature algorithm,
/// SHA-256 where that is MD5 or SHA-1. `None` where the algorithm has no hash (Ed25519) or is unknown.
pub(crate) fn certificate_binding(certificate: &[u8]) -> Option<Vec<u8>> {
    // Certificate ::= SEQUENCE { tbsCertificate SEQUENCE, signatureAlgorithm SEQUENCE { OID, … }, … }
    let (0x30, certificate_body, _) = der(certificate)? else { return None };
    let (0x30, _, after) = der(certificate_body)? else { return None };
    let (0x30, algorithm, _) = der(after)? else { return None };
    let (0x06, oid, _) = der(algorithm)? else { return None };
    let hash =
        match oid {
            // sha1/md5/sha256WithRSAEncryption, ecdsa-with-SHA1/SHA256
            [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x04 | 0x05 | 0x0b]
            | [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01]
            | [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02] => &digest::SHA256,
            [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c]
            | [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03] => &digest::SHA384,
            [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d]
            | [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04] => &digest::SHA512,
            _ => return None,
        };
    Some(digest::digest(hash, certificate).as_ref().to_vec())
}

/// One DER element: its tag, its contents, and what follows it.
fn der(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = if first & 0x80 == 0 {
        (usize::from(*first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        if count > 4 {
            return None;
        }
        let (digits, rest) = rest.split_at_checked(count)?;
        (digits.iter().fold(0usize, |sum, digit| (sum << 8) | usize::from(*digit)), rest)
    };
    let (contents, after) = rest.split_at_checked(length)?;
    Some((*tag, contents, after))
}

/// What a server stores instead of a password.
#[derive(Clone, Debug)]
pub(crate) struct Verifier {
    pub(crate) salt: Vec<u8>,
    pub(crate) iterations: NonZeroU32,
    stored_key: [u8; 32],
    server_key: Secret<[u8; 32]>,
}

/// Computes the verifier of a password.
///
/// Passwords are used as their bytes: RFC 4013's preparation leaves ASCII as it is, and every password made by gov
/// is ASCII.
pub(crate) fn verifier(password: &[u8], salt: &[u8], iterations: NonZeroU32) -> Verifier {
    let salted = salted_password(password, salt, iterations);
    let (stored_key, server_key) = (stored_key(&client_key(&salted)), server_key(&salted));
    Verifier { salt: salt.to_vec(), iterations, stored_key, server_key: Secret::new(server_key) }
}

impl Verifier {
    /// The text PostgreSQL keeps in `pg_authid.rolpassword` and accepts in `ALTER ROLE … PASSWORD`.
    pub(crate) fn to_postgres(&self) -> String {
        format!(
            "SCRAM-SHA-256${}:{}${}:{}",
            self.iterations,
            BASE64.encode(&self.salt),
            BASE64.encode(self.stored_key),
            BASE64.encode(self.server_key.expose())
        )
    }
}

/// The client's side of one login.
#[derive(Debug)]
pub(crate) struct ClientScram {
    password: Secret<Vec<u8>>,
    nonce: String,
    binding: ChannelBinding,
    /// Server signature to expect in the last message; set by [`Self::reply`].
    expected: Option<[u8; 32]>,
}

impl ClientScram {
    pub(crate) fn new(password: Secret<Vec<u8>>, nonce: [u8; 18], binding: ChannelBinding) -> Self {
        Self { password, nonce: BASE64.encode(nonce), binding, expected: None }
    }

    /// The mechanism to name, out of those the server offers.
    pub(crate) fn mechanism(&self) -> &'static str {
        match self.binding {
            ChannelBinding::None => "SCRAM-SHA-256",
            ChannelBinding::EndPoint(_) => "SCRAM-SHA-256-PLUS",
        }
    }

    fn header(&self) -> &'static str {
        match self.binding {
            ChannelBinding::None => "n,,",
            ChannelBinding::EndPoint(_) => "p=tls-server-end-point,,",
        }
    }

    fn first_bare(&self) -> String {
        format!("n=,r={}", self.nonce)
    }

    /// Step 1.
    pub(crate) fn first(&self) -> String {
        format!("{}{}", self.header(), self.first_bare())
    }

    /// Step 3, from the server's step 2.
    pub(crate) fn reply(&mut self, server_first: &[u8]) -> Result<String, ScramError> {
        let text = text(server_first)?;
        let mut fields = text.split(',');
        let nonce = field(fields.next(), "r=")?;
        let salt = BASE64.decode(field(fields.next(), "s=")?).map_err(|_| ScramError::Malformed("salt"))?;
        let iterations: u32 = field(fields.next(), "i=")?.parse().map_err(|_| ScramError::Malformed("iterations"))?;
        if !nonce.starts_with(&self.nonce) || nonce.len() <= self.nonce.len() {
            return Err(ScramError::Nonce);
        }
        let iterations = NonZeroU32::new(iterations)
            .filter(|count| count.get() <= ITERATIONS_MAX)
            .ok_or(ScramError::Iterations(iterations))?;

        let mut binding = self.header().as_bytes().to_vec();
        if let ChannelBinding::EndPoint(hash) = &self.binding {
            binding.extend_from_slice(hash);
        }
        let without_proof = format!("c={},r={nonce}", BASE64.encode(binding));
        let auth_message = format!("{},{text},{without_proof}", self.first_bare());

        let salted = salted_password(self.password.expose(), &salt, iterations);
        let client_key = client_key(&salted);
        let signature = hmac_sha256(&stored_key(&client_key), auth_message.as_bytes());
        self.expected = Some(hmac_sha256(&server_key(&salted), auth_message.as_bytes()));
        Ok(format!("{without_proof},p={}", BASE64.encode(xor(client_key, signature))))
    }

    /// Checks step 4. Until this has returned, nobody knows who the server is.
    pub(crate) fn verify(&self, server_final: &[u8]) -> Result<(), ScramError> {
        let signature = BASE64
            .decode(field(Some(text(server_final)?), "v=")?)
            .map_err(|_| ScramError::Malformed("server signature"))?;
        match self.expected {
            Some(expected) if equal(&signature, &expected) => Ok(()),
            _ => Err(ScramError::Server),
        }
    }
}

/// The server's side of one login.
#[derive(Debug)]
pub(crate) struct ServerScram {
    verifier: Verifier,
    binding: ChannelBinding,
    nonce: String,
    /// Step 1 without its header, and step 2, once they happened.
    exchanged: Option<(String, String, String)>,
}

impl ServerScram {
    /// `binding` is what our own certificate offers on this connection.
    pub(crate) fn new(verifier: Verifier, nonce: [u8; 18], binding: ChannelBinding) -> Self {
        Self { verifier, binding, nonce: BASE64.encode(nonce), exchanged: None }
    }

    /// The mechanisms to offer, best first.
    pub(crate) fn mechanisms(&self) -> &'static [&'static str] {
        match self.binding {
            ChannelBinding::None => &["SCRAM-SHA-256"],
            ChannelBinding::EndPoint(_) => &["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"],
        }
    }

    /// Step 2, from the client's step 1.
    pub(crate) fn first(&mut self, mechanism: &str, client_first: &[u8]) -> Result<String, ScramError> {
        let text = text(client_first)?;
        let mut parts = text.splitn(3, ',');
        let flag = parts.next().unwrap_or_default();
        if parts.next() != Some("") {
            return Err(ScramError::Malformed("authorisation identity"));
        }
        let bare = parts.next().ok_or(ScramError::Malformed("client-first"))?;
        let plus = mechanism == "SCRAM-SHA-256-PLUS";
        match (flag, &self.binding) {
            ("n", _) if !plus => {}
            // `y`: the client could bind but thinks that we cannot. Over TLS with a binding we offered it, so somebody
            // took the offer away (RFC 5802 section 6).
            ("y", ChannelBinding::None) if !plus => {}
            ("p=tls-server-end-point", ChannelBinding::EndPoint(_)) if plus => {}
            _ => return Err(ScramError::Binding),
        }
        let mut fields = bare.split(',');
        field(fields.next(), "n=")?;
        let nonce = field(fields.next(), "r=")?;
        if nonce.is_empty() || fields.next().is_some() {
            return Err(ScramError::Malformed("client nonce"));
        }
        let server_first =
            format!("r={nonce}{},s={},i={}", self.nonce, BASE64.encode(&self.verifier.salt), self.verifier.iterations);
        self.exchanged = Some((format!("{flag},,"), bare.to_owned(), server_first.clone()));
        Ok(server_first)
    }

    /// Step 4, from the client's step 3.
    pub(crate) fn finish(&mut self, client_final: &[u8]) -> Result<String, ScramError> {
        let (header, first_bare, server_first) = self.exchanged.take().ok_or(ScramError::Malformed("order"))?;
        let text = text(client_final)?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(ScramError::Malformed("proof"))?;
        let mut fields = without_proof.split(',');
        let bound = BASE64.decode(field(fields.next(), "c=")?).map_err(|_| ScramError::Malformed("binding"))?;
        let mut expected = header.into_bytes();
        if expected.starts_with(b"p=")
            && let ChannelBinding::EndPoint(hash) = &self.binding
        {
            expected.extend_from_slice(hash);
        }
        if !equal(&bound, &expected) {
            return Err(ScramError::Binding);
        }
        let nonce = field(fields.next(), "r=")?;
        if !server_first.starts_with(&format!("r={nonce},")) {
            return Err(ScramError::Nonce);
        }
        let proof: [u8; 32] =
            BASE64.decode(proof).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(ScramError::Malformed("proof"))?;
        let auth_message = format!("{first_bare},{server_first},{without_proof}");
        let signature = hmac_sha256(&self.verifier.stored_key, auth_message.as_bytes());
        if !equal(&stored_key(&xor(proof, signature)), &self.verifier.stored_key) {
            return Err(ScramError::Proof);
        }
        let server_signature = hmac_sha256(self.verifier.server_key.expose(), auth_message.as_bytes());
        Ok(format!("v={}", BASE64.encode(server_signature)))
    }
}

fn text(bytes: &[u8]) -> Result<&str, ScramError> {
    if bytes.len() > MESSAGE_MAX {
        return Err(ScramError::Malformed("length"));
    }
    std::str::from_utf8(bytes).map_err(|_| ScramError::Malformed("encoding"))
}

fn field<'a>(field: Option<&'a str>, name: &'static str) -> Result<&'a str, ScramError> {
    field.and_then(|text| text.strip_prefix(name)).ok_or(ScramError::Malformed(name))
}

fn salted_password(password: &[u8], salt: &[u8], iterations: NonZeroU32) -> [u8; 32] {
    let mut out = [0u8; 32];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, password, &mut out);
    out
}

fn client_key(salted: &[u8; 32]) -> [u8; 32] {
    hmac_sha256(salted, b"Client Key")
}

fn server_key(salted: &[u8; 32]) -> [u8; 32] {
    hmac_sha256(salted, b"Server Key")
}

fn stored_key(client_key: &[u8; 32]) -> [u8; 32] {
    let mut out = [0u8; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, client_key).as_ref());
    out
}

fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut out = [0u8; 32];
    out.copy_from_slice(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message).as_ref());
    out
}

fn xor(mut left: [u8; 32], right: [u8; 32]) -> [u8; 32] {
    left.iter_mut().zip(right).for_each(|(l, r)| *l ^= r);
    left
}

/// Compares without stopping at the first difference.
fn equal(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |sum, (l, r)| sum | (l ^ r)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Secret<Vec<u8>> {
        Secret::new(text.as_bytes().to_vec())
    }

    fn exchange(typed: &str, client: ChannelBinding, server: ChannelBinding) -> Result<(), ScramError> {
        let iterations = NonZeroU32::new(4096).unwrap();
        let mut server = ServerScram::new(verifier(b"right", b"0123456789abcdef", iterations), [2; 18], server);
        let mut client = ClientScram::new(password(typed), [1; 18], client);
        let server_first = server.first(client.mechanism(), client.first().as_bytes())?;
        let client_final = client.reply(server_first.as_bytes())?;
        client.verify(server.finish(client_final.as_bytes())?.as_bytes())
    }

    #[test]
    fn rfc_7677_example() {
        // The example names user "user", PostgreSQL sends none; so the vector is checked on the key derivation.
        let salt = BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let salted = salted_password(b"pencil", &salt, NonZeroU32::new(4096).unwrap());
        let auth = "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                    s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let client = client_key(&salted);
        let proof = xor(client, hmac_sha256(&stored_key(&client), auth.as_bytes()));
        assert_eq!(BASE64.encode(proof), "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
        let signature = hmac_sha256(&server_key(&salted), auth.as_bytes());
        assert_eq!(BASE64.encode(signature), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    #[test]
    fn both_sides_agree_with_and_without_binding() {
        let hash = || ChannelBinding::EndPoint(vec![9; 32]);
        assert_eq!(exchange("right", ChannelBinding::None, ChannelBinding::None), Ok(()));
        assert_eq!(exchange("right", hash(), hash()), Ok(()));
        assert_eq!(exchange("right", ChannelBinding::None, hash()), Ok(()), "a client may choose not to bind");
        assert_eq!(exchange("wrong", ChannelBinding::None, ChannelBinding::None), Err(ScramError::Proof));
        assert_eq!(exchange("", ChannelBinding::None, ChannelBinding::None), Err(ScramError::Proof));
    }

    #[test]
    fn somebody_in_between_is_noticed() {
        let other = ChannelBinding::EndPoint(vec![8; 32]);
        assert_eq!(exchange("right", other, ChannelBinding::EndPoint(vec![9; 32])), Err(ScramError::Binding));
        let iterations = NonZeroU32::MIN;
        let mut server =
            ServerScram::new(verifier(b"right", b"salt", iterations), [2; 18], ChannelBinding::EndPoint(vec![9; 32]));
        assert_eq!(server.first("SCRAM-SHA-256", b"y,,n=,r=abc"), Err(ScramError::Binding), "offer taken away");
    }

    #[test]
    fn hostile_servers_are_refused() {
        let mut client = ClientScram::new(password("right"), [1; 18], ChannelBinding::None);
        let nonce = BASE64.encode([1; 18]);
        for (message, error) in [
            (format!("r={nonce}x,s=AAAA,i=2000000000"), ScramError::Iterations(2_000_000_000)),
            (format!("r={nonce}x,s=AAAA,i=0"), ScramError::Iterations(0)),
            (format!("r={nonce},s=AAAA,i=1"), ScramError::Nonce),
            ("r=other,s=AAAA,i=1".to_owned(), ScramError::Nonce),
            (format!("r={nonce}x,s=!,i=1"), ScramError::Malformed("salt")),
            ("x".repeat(MESSAGE_MAX + 1), ScramError::Malformed("length")),
        ] {
            assert_eq!(client.reply(message.as_bytes()), Err(error));
        }
        assert_eq!(client.verify(b"v=AAAA"), Err(ScramError::Server), "no exchange, no trust");
    }

    #[test]
    fn verifier_is_what_postgresql_stores() {
        let text = verifier(b"pencil", b"0123456789abcdef", NonZeroU32::MIN).to_postgres();
        assert!(text.starts_with("SCRAM-SHA-256$1:MDEyMzQ1Njc4OWFiY2RlZg==$"), "{text}");
    }
}
