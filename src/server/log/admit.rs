//! What may enter the log: an envelope that proves itself, of a key that is certified, in a place of its chain that is
//! free.

use rusqlite::Transaction;
use thiserror::Error;

use super::recent::{Contents, Entered};
use super::tables::{self, Key, Row};
use crate::audit::{
    self, Batch, CERTIFICATE_TYPE, Carried, Certificate, Core, Envelope, Frontier, RecordError, SealError,
};
use crate::domain::{Digest, PublicKey, Side, Timestamp};

/// Why an envelope was not let in.
#[derive(Debug, Error)]
pub(super) enum AdmitError {
    #[error("{0}")]
    Envelope(#[from] SealError),
    #[error("record {seq}: {why}")]
    Record { seq: u64, why: RecordError },
    #[error("record {0} does not say itself what its envelope says of it")]
    Place(u64),
    #[error("the key {0} is not certified")]
    Unknown(PublicKey),
    #[error("the key {0} may not be used by this caller")]
    Foreign(PublicKey),
    #[error("the key {key} has signed something else for record {seq}")]
    Fork { key: PublicKey, seq: u64 },
    #[error("the log's database failed: {0}")]
    Database(#[from] rusqlite::Error),
}

/// Who brings an envelope.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bearer<'a> {
    /// Our own journal.
    Journal,
    /// A client who is logged in under this pseudonym.
    Client(&'a str),
}

/// The log as it grows within one transaction.
#[derive(Debug)]
pub(super) struct Entrance<'a> {
    pub(super) db: &'a Transaction<'a>,
    pub(super) server: PublicKey,
    pub(super) now: Timestamp,
    pub(super) frontier: &'a mut Frontier,
    /// What was taken in.
    pub(super) entered: &'a mut Vec<Entered>,
}

impl Entrance<'_> {
    /// Takes an envelope in, unless it is there already; returns its leaf.
    pub(super) fn admit(&mut self, bearer: Bearer<'_>, carried: &Carried) -> Result<u64, AdmitError> {
        let line = carried.line();
        let read;
        let envelope = match carried.checked() {
            Some(envelope) => envelope,
            None => {
                read = Envelope::read(line)?;
                &read
            }
        };
        if envelope.payload_type == CERTIFICATE_TYPE {
            return self.admit_certificate(bearer, envelope, line);
        }
        let key = tables::key(self.db, envelope.key)?.ok_or(AdmitError::Unknown(envelope.key))?;
        let certificate = &key.certificate;
        if let Bearer::Client(subject) = bearer
            && (certificate.side != Side::Client || certificate.subject.as_deref() != Some(subject))
        {
            return Err(AdmitError::Foreign(envelope.key));
        }
        if carried.checked().is_none() {
            envelope.verify(certificate.key)?;
        }
        let batch = Batch::parse(&envelope.payload)?;
        let records = check(&batch, certificate)?;
        let count = u64::try_from(batch.records.len()).unwrap_or(u64::MAX);
        let digest = envelope.digest();
        if let Some(before) = tables::stretch_at(self.db, batch.key, batch.first)? {
            if before.first == batch.first && before.digest == digest {
                return Ok(before.leaf);
            }
            if before.first.saturating_add(before.count) > batch.first {
                return Err(AdmitError::Fork { key: batch.key, seq: batch.first });
            }
        }
        if let Some(after) = tables::stretch_after(self.db, batch.key, batch.first)?
            && after.first < batch.first.saturating_add(count)
        {
            return Err(AdmitError::Fork { key: batch.key, seq: after.first });
        }
        let contents = Contents::Records { side: batch.side, session: batch.session, records };
        let leaf = self.append(batch.key, Some((batch.first, count)), digest, line, contents)?;
        if !carried.raw_texts().is_empty() {
            tables::insert_sealed(self.db, leaf, carried.raw_texts())?;
        }
        Ok(leaf)
    }

    fn admit_certificate(&mut self, bearer: Bearer<'_>, envelope: &Envelope, line: &str) -> Result<u64, AdmitError> {
        let certificate = Certificate::open(envelope, self.server)?;
        let (key, digest) = (certificate.key, envelope.digest());
        match (tables::key(self.db, key)?, bearer) {
            (Some(known), _) if known.digest == digest => Ok(tables::certificate_leaf(self.db, key)?),
            (Some(_), _) => Err(AdmitError::Fork { key, seq: 0 }),
            // Certificates are given out by us, and enter with that, from the journal.
            (None, Bearer::Client(_)) => Err(AdmitError::Unknown(key)),
            (None, Bearer::Journal) => {
                let contents = Contents::Certificate(Box::new(certificate.clone()));
                tables::insert_key(self.db, &Key { certificate, digest })?;
                self.append(key, None, digest, line, contents)
            }
        }
    }

    fn append(
        &mut self,
        key: PublicKey,
        records: Option<(u64, u64)>,
        digest: Digest,
        body: &str,
        contents: Contents,
    ) -> Result<u64, AdmitError> {
        let leaf = self.frontier.size();
        let hash = audit::leaf(body.as_bytes());
        tables::insert_envelope(self.db, &Row { leaf, hash, key, records, digest, body })?;
        for node in self.frontier.append(hash) {
            tables::insert_node(self.db, &node)?;
        }
        self.entered.push(Entered { leaf, hash, contents });
        Ok(leaf)
    }
}

/// The records of a batch, if it is what its key is certified for, and they are what they must be.
fn check(batch: &Batch, certificate: &Certificate) -> Result<Vec<Core>, AdmitError> {
    if (batch.key, batch.side, batch.session) != (certificate.key, certificate.side, certificate.session) {
        return Err(AdmitError::Place(batch.first));
    }
    let mut records = Vec::with_capacity(batch.records.len());
    for (record, seq) in batch.records.iter().zip(batch.first..) {
        let core = Core::parse(record).map_err(|why| AdmitError::Record { seq, why })?;
        let own_session = batch.session.is_none() || core.session == batch.session;
        if core.seq != seq || core.side != batch.side || !own_session {
            return Err(AdmitError::Place(seq));
        }
        records.push(core);
    }
    Ok(records)
}
