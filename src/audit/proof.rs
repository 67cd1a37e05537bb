//! Proofs that something is in the log: receipts for uploads.

use thiserror::Error;

use super::note::{Checkpoint, Note, NoteError, NoteKey};
use super::tree::{self, Head, TreeError};
use crate::domain::Digest;

/// Why a proof was refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum ProofError {
    #[error("{0}")]
    Note(#[from] NoteError),
    #[error("{0}")]
    Tree(#[from] TreeError),
    #[error("it has {found} proofs for {asked} envelopes")]
    Count { asked: usize, found: usize },
}

/// Where a leaf is in the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inclusion {
    pub(crate) leaf: u64,
    pub(crate) proof: Vec<Digest>,
}

/// What a log answers to an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Receipt {
    /// The signed checkpoint of the tree that has everything uploaded.
    pub(crate) checkpoint: String,
    /// For each envelope, in the order of the upload.
    pub(crate) inclusions: Vec<Inclusion>,
    /// That this tree begins with the one the uploader remembers.
    pub(crate) consistency: Vec<Digest>,
}

impl Receipt {
    /// Checks that these envelopes are in a tree the log has signed, and that it begins with the tree remembered.
    pub(crate) fn check(&self, envelopes: &[String], log: &NoteKey, remembered: Head) -> Result<Head, ProofError> {
        let head = Checkpoint::open(&Note::read(&self.checkpoint)?, log)?.head;
        if envelopes.len() != self.inclusions.len() {
            return Err(ProofError::Count { asked: envelopes.len(), found: self.inclusions.len() });
        }
        for (envelope, inclusion) in envelopes.iter().zip(&self.inclusions) {
            let leaf = tree::leaf(envelope.as_bytes());
            tree::verify_inclusion(leaf, inclusion.leaf, head.size, head.root, &inclusion.proof)?;
        }
        tree::verify_consistency(remembered, head, &self.consistency)?;
        Ok(head)
    }
}

#[cfg(test)]
mod tests {
    use super::super::note::{Algorithm, NoteSigner};
    use super::super::seal::Signer;
    use super::super::tree::Frontier;
    use super::*;
    use crate::domain::{Secret, Timestamp};

    fn log() -> NoteSigner {
        let signer = Signer::new(Secret::new([1; 32])).unwrap();
        NoteSigner::new("gov.example/log", Algorithm::Ed25519, signer).unwrap()
    }

    /// Two leaves: each proves the other.
    fn receipt() -> (Vec<String>, Receipt) {
        let envelopes = vec!["one".to_owned(), "two".to_owned()];
        let leaves: Vec<_> = envelopes.iter().map(|envelope| tree::leaf(envelope.as_bytes())).collect();
        let mut frontier = Frontier::default();
        leaves.iter().for_each(|leaf| drop(frontier.append(*leaf)));
        let head = Head { size: 2, root: frontier.root() };
        let text = Checkpoint { origin: "gov.example/log".to_owned(), head }.text();
        let checkpoint = format!("{text}\n{}", log().sign(&text, Timestamp::default()).unwrap());
        let inclusion = |leaf, other: usize| Inclusion { leaf, proof: vec![leaves[other]] };
        let inclusions = vec![inclusion(0, 1), inclusion(1, 0)];
        (envelopes, Receipt { checkpoint, inclusions, consistency: Vec::new() })
    }

    #[test]
    fn receipts_hold_for_what_was_uploaded_and_what_is_remembered() {
        let (envelopes, receipt) = receipt();
        let check = |receipt: &Receipt, envelopes: &[String], remembered| {
            receipt.check(envelopes, log().key(), remembered).map(|head| head.size)
        };
        assert_eq!(check(&receipt, &envelopes, Head::empty()), Ok(2));
        let first = Head { size: 1, root: tree::leaf(b"one") };
        let consistency = vec![tree::leaf(b"two")];
        assert_eq!(check(&Receipt { consistency, ..receipt.clone() }, &envelopes, first), Ok(2));
        let other = Head { size: 1, root: tree::leaf(b"another") };
        assert!(
            check(&Receipt { consistency: vec![tree::leaf(b"two")], ..receipt.clone() }, &envelopes, other).is_err()
        );
        let longer = Head { size: 3, root: Digest([0; 32]) };
        assert_eq!(
            check(&receipt, &envelopes, longer),
            Err(ProofError::Tree(TreeError::Place { place: 3, size: 2 })),
            "a log that has become shorter"
        );
        assert!(check(&receipt, &["one".to_owned(), "three".to_owned()], Head::empty()).is_err());
        assert_eq!(check(&receipt, &envelopes[..1], Head::empty()), Err(ProofError::Count { asked: 1, found: 2 }));
    }
}
