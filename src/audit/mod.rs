//! The log as data: records, seals, proofs, and what can be concluded from them.
//!
//! Pure. Bytes, keys and times come in, values go out. What is written here is read by people and programs that are
//! not ours, so every format has one way to be written and a strict way to be read.
//!
//! ```text
//!  Event ─record──▶ core (JSON, one line) ─seal──▶ envelope (DSSE, Ed25519, up to 256 cores of one key)
//!                     │                              │
//!                     └─entry─▶ journal frames ─rebuild──▶ the same envelope, from what the disk holds
//!  envelopes + the server's public key ─verify──▶ what is proved, what is not, where the first fault is
//! ```

mod archive;
mod books;
mod entry;
mod evidence;
#[cfg(test)]
pub(crate) mod fuzz;
#[cfg(all(fuzzing, not(test)))]
pub(crate) mod fuzz;
mod json;
mod note;
mod ocsf;
mod parquet;
mod proof;
mod rebuild;
mod record;
mod seal;
mod sealed;
mod tree;
mod verify;
mod witness;

pub(crate) use archive::{ArchiveError, ArchiveWriter, file_in};
pub(crate) use books::Line;
pub(crate) use entry::{Entry, Role, record_kind, set_role, write_record_head};
pub(crate) use evidence::{Evidence, MANIFEST, Table};
pub(crate) use note::{Algorithm, Checkpoint, NOTE_MAX, Note, NoteKey, NoteSigner, tree_size};
pub(crate) use ocsf::{Event, Ocsf};
pub(crate) use parquet::{ParquetError, ParquetWriter};
pub(crate) use proof::{Inclusion, ProofError, Receipt};
pub(crate) use rebuild::{Rebuilder, Rebuilt};
pub(crate) use record::{Asked, Context, Core, Decided, Encoder, Happened, Place, Pseudonyms, RecordError};
pub(crate) use seal::{
    BATCH_MAX, BATCH_RECORDS_MAX, Batch, CERTIFICATE_TYPE, Carried, Certificate, Chain, Envelope, RECORDS_TYPE,
    SealError, Signer, digest, payload,
};
pub(crate) use sealed::{TextSealer, open_text, sealed_texts, write_sealed};
pub(crate) use tree::{
    Complete, Frontier, Hashes, Head, InTiles, Tile, TileKind, TreeError, bundle, bundle_entries, leaf,
    prove_consistency, prove_inclusion, root,
};
#[cfg(test)]
pub(crate) use verify::Wrong;
pub(crate) use verify::{Report, Verifier, Walk, checkpoint};
pub(crate) use witness::{AddCheckpoint, WITNESS_REQUEST_MAX, WitnessRefusal};
