//! The tunnel between client and gateway: one TLS 1.3 connection per database connection, opened by an HTTP/1.1
//! Upgrade on the server's one port, carrying PostgreSQL's protocol unframed from then on.
//!
//! 1. The client connects, with TLS 1.3.
//! 2. It asks for `GET /v1/sessions/{id}/tunnel` with `Upgrade: gov-tunnel/1` and the headers below. The proof is an
//!    Ed25519 signature by the session's key over [`proof_message`], which holds keying material that only the two ends
//!    of this very TLS connection can compute (RFC 8446 section 7.5): it is worth nothing anywhere else, at any time.
//! 3. The server answers `101 Switching Protocols`, or an error in the API's own form.
//! 4. The client sends a StartupMessage or a CancelRequest; the server answers as PostgreSQL would, asking for no
//!    password.
//! 5. From then on each end says [`BEAT`] when it has said nothing else for [`BEAT_EVERY`], and takes the other for lost
//!    when it has heard nothing for [`SILENT_MAX`] times that. TCP's own keepalive knows only the next hop: behind a proxy
//!    that is the proxy.

use crate::domain::{Digest, Duration, SessionId};
use crate::wire::buffer::Writer;

/// Type of the message that says nothing but that somebody is there. PostgreSQL has none of this type, in either
/// direction.
pub(crate) const BEAT: u8 = b'~';

pub(crate) const BEAT_EVERY: Duration = Duration::from_secs(10);

pub(crate) const SILENT_MAX: u32 = 3;

/// Writes a [`BEAT`].
pub(crate) fn beat(out: &mut Vec<u8>) {
    drop(Writer::message(out, BEAT));
}

/// Label of the exported keying material that a stream's proof signs.
pub(crate) const EXPORTER_LABEL: &[u8] = b"EXPORTER-gov-tunnel-1";

/// The name of what is upgraded to.
pub(crate) const UPGRADE: &str = "gov-tunnel/1";

/// Which stream of the session this is, decimal.
pub(crate) const STREAM_HEADER: &str = "gov-stream";

/// The digest of the policy the client decides by, hexadecimal.
pub(crate) const POLICY_HEADER: &str = "gov-policy";

/// The version of the engine the client decides with.
pub(crate) const ENGINE_HEADER: &str = "gov-engine";

/// The signature, base64url without padding.
pub(crate) const PROOF_HEADER: &str = "gov-proof";

/// What the session's key signs to open a stream. Every field has a fixed length but the last, so no two requests give
/// the same bytes.
pub(crate) fn proof_message(
    exporter: &[u8; 32],
    session: SessionId,
    stream: u32,
    policy: Digest,
    engine: &str,
) -> Vec<u8> {
    let mut message = b"gov-tunnel-proof-1\0".to_vec();
    message.extend_from_slice(exporter);
    message.extend_from_slice(session.to_string().as_bytes());
    message.extend_from_slice(&stream.to_be_bytes());
    message.extend_from_slice(&policy.0);
    message.extend_from_slice(engine.as_bytes());
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;

    #[test]
    fn every_field_changes_the_message() {
        let session = |n| SessionId::new(Timestamp::from_millis(n), [0; 10]);
        let messages = [
            proof_message(&[0; 32], session(1), 1, Digest([0; 32]), "1"),
            proof_message(&[1; 32], session(1), 1, Digest([0; 32]), "1"),
            proof_message(&[0; 32], session(2), 1, Digest([0; 32]), "1"),
            proof_message(&[0; 32], session(1), 2, Digest([0; 32]), "1"),
            proof_message(&[0; 32], session(1), 1, Digest([1; 32]), "1"),
            proof_message(&[0; 32], session(1), 1, Digest([0; 32]), "2"),
        ];
        for (index, message) in messages.iter().enumerate() {
            assert!(!messages[..index].contains(message));
        }
    }
}
