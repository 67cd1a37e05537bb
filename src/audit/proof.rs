//! Proofs that something is in the log: receipts for uploads, and C2SP's `.tlog-proof` files.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use thiserror::Error;

use super::note::{Checkpoint, Note, NoteError, NoteKey, decimal};
use super::tree::{self, Head, TreeError};
use crate::domain::Digest;

/// Why a proof was refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum ProofError {
    #[error("{0}")]
    Note(#[from] NoteError),
    #[error("{0}")]
    Tree(#[from] TreeError),
    #[error("it is not a proof: {0}")]
    Shape(&'static str),
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

/// First line of a `.tlog-proof` file (c2sp.org/tlog-proof).
const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";

/// Longest `.tlog-proof`: a note and 63 hashes, which a tree of 2^63 leaves would need.
const PROOF_MAX: usize = super::note::NOTE_MAX + 64 * 64;

impl Inclusion {
    /// The proof as a file that stands for itself, `checkpoint` being a signed note.
    pub(crate) fn file(&self, checkpoint: &str) -> String {
        let mut file = format!("{FIRST_LINE}\nindex {}\n", self.leaf);
        for hash in &self.proof {
            file.push_str(&BASE64.encode(hash.0));
            file.push('\n');
        }
        file.push('\n');
        file.push_str(checkpoint);
        file
    }

    /// Reads such a file: the proof, and the note it leads to. Nothing has been checked.
    pub(crate) fn parse(file: &str) -> Result<(Self, Note), ProofError> {
        if file.len() > PROOF_MAX {
            return Err(ProofError::Shape("it is too long"));
        }
        let (head, note) = file.split_once("\n\n").ok_or(ProofError::Shape("it has no checkpoint"))?;
        let mut lines = head.split('\n');
        if lines.next() != Some(FIRST_LINE) {
            return Err(ProofError::Shape("its first line is another"));
        }
        let mut lines = lines.skip_while(|line| line.starts_with("extra "));
        let leaf = lines.next().and_then(|line| line.strip_prefix("index ")).and_then(decimal);
        let leaf = leaf.ok_or(ProofError::Shape("it has no index"))?;
        let hash = |line: &str| BASE64.decode(line).ok().and_then(|hash| hash.try_into().ok()).map(Digest);
        let proof = lines.map(hash).collect::<Option<_>>().ok_or(ProofError::Shape("a line is no hash"))?;
        Ok((Self { leaf, proof }, Note::read(note)?))
    }

    /// Whether a leaf with these contents is in the tree of the note, signed by `log`.
    pub(crate) fn check(&self, note: &Note, contents: &[u8], log: &NoteKey) -> Result<Head, ProofError> {
        let head = Checkpoint::open(note, log)?.head;
        tree::verify_inclusion(tree::leaf(contents), self.leaf, head.size, head.root, &self.proof)?;
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

    #[test]
    fn proof_files_round_trip_and_stand_for_themselves() {
        let (envelopes, receipt) = receipt();
        let file = receipt.inclusions[1].file(&receipt.checkpoint);
        assert!(file.starts_with("c2sp.org/tlog-proof@v1\nindex 1\n"), "{file}");
        let (inclusion, note) = Inclusion::parse(&file).unwrap();
        assert_eq!(inclusion, receipt.inclusions[1]);
        assert!(inclusion.check(&note, envelopes[1].as_bytes(), log().key()).is_ok());
        assert!(inclusion.check(&note, envelopes[0].as_bytes(), log().key()).is_err());
        let extra = file.replace("index 1", "extra AAAA\nindex 1");
        assert_eq!(Inclusion::parse(&extra).unwrap().0, inclusion);
        for bad in [
            String::new(),
            file.replace("@v1", "@v2"),
            file.replace("index 1", "index 01"),
            file.replace("index 1", "index"),
            file.replace("\n\n", "\n"),
            file.replace("index 1\n", "index 1\nAAAA\n"),
        ] {
            assert!(Inclusion::parse(&bad).is_err(), "{bad}");
        }
    }
}
