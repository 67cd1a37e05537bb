//! Event → record core: one JSON object on one line, versioned, one way to write each.
//!
//! Records hold no literal of a statement, no value from a row, no message of a server and no name of a person: people
//! are pseudonyms, statements are normalised text and a keyed hash, errors are SQLSTATEs.

mod read;
mod write;

pub(crate) use read::{Asked, Core, Decided, Happened, Of, Raw, RecordError};
pub(crate) use write::{Encoder, Place};

use std::fmt::Write as _;

use ring::hmac;

use crate::domain::{Actor, Digest, Grant, Purpose, ResourceName, Secret, SessionId, Side};

/// Version of the record format, in every envelope's payload. A reader refuses a version it does not know.
pub(crate) const VERSION: u64 = 1;

/// Most JSON bytes of a normalised text that a record keeps; it is cut after that, and says so.
const TEXT_MAX: usize = 16 * 1024;

/// Most JSON bytes of relation names that a record keeps; what follows is counted.
const RELATIONS_MAX: usize = 8 * 1024;

/// Most JSON bytes of function names that a record keeps; what follows is counted.
const FUNCTIONS_MAX: usize = 4 * 1024;

/// Most JSON bytes of any other text: names, reasons, application names. PostgreSQL's longest identifier is 63 bytes,
/// the longest purpose reference an issue tracker's key or URL.
const WORD_MAX: usize = 256;

/// What is the same in every record of one key.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) side: Side,
    /// The session the key signs for; `None` for the server's own key.
    pub(crate) session: Option<SessionId>,
    /// The subject's pseudonym.
    pub(crate) subject: Option<String>,
    /// Who acts for the subject, the nearest first.
    pub(crate) actors: Vec<Actor>,
    pub(crate) purpose: Option<Purpose>,
    pub(crate) resource: Option<ResourceName>,
    /// The policy this side decides by.
    pub(crate) policy: Option<Digest>,
    /// Version of the engine that decides.
    pub(crate) engine: String,
    /// Present where addresses and host names are seen and may be recorded as pseudonyms.
    pub(crate) pseudonyms: Option<Pseudonyms>,
}

impl Context {
    /// One side of a session under `grant`.
    pub(crate) fn session(side: Side, grant: &Grant, subject: &str) -> Self {
        Self {
            side,
            session: Some(grant.session),
            subject: Some(subject.to_owned()),
            actors: grant.identity.actors.clone(),
            purpose: grant.purpose.clone(),
            resource: Some(grant.resource.clone()),
            policy: Some(grant.policy),
            engine: env!("CARGO_PKG_VERSION").to_owned(),
            pseudonyms: None,
        }
    }

    /// The control plane.
    pub(crate) fn server(pseudonyms: Option<Pseudonyms>) -> Self {
        Self {
            side: Side::Server,
            session: None,
            subject: None,
            actors: Vec::new(),
            purpose: None,
            resource: None,
            policy: None,
            engine: env!("CARGO_PKG_VERSION").to_owned(),
            pseudonyms,
        }
    }
}

/// Turns what leads to a person into something that does not, unless one has the key. Destroying the key makes every
/// pseudonym final.
#[derive(Clone, Debug)]
pub(crate) struct Pseudonyms(Secret<[u8; 32]>);

/// Half of an HMAC-SHA256: 128 bits are enough against collisions among people, and easier to read in a line.
const PSEUDONYM_BYTES: usize = 16;

impl Pseudonyms {
    pub(crate) fn new(key: Secret<[u8; 32]>) -> Self {
        Self(key)
    }

    /// The pseudonym of an address or a host name; `kind` says which of the two. People have theirs from the server's
    /// directory.
    pub(crate) fn place(&self, kind: &'static str, text: &str) -> String {
        self.keyed(&[kind, text])
    }

    /// The parts are separated by their lengths: no two lists of parts give the same bytes.
    fn keyed(&self, parts: &[&str]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.expose());
        let mut input = hmac::Context::with_key(&key);
        for part in parts {
            input.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            input.update(part.as_bytes());
        }
        input.sign().as_ref().iter().take(PSEUDONYM_BYTES).fold(String::new(), |mut out, byte| {
            // Writing to a String cannot fail.
            write!(out, "{byte:02x}").unwrap_or_default();
            out
        })
    }
}

#[cfg(test)]
mod tests;
