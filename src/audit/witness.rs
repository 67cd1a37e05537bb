//! Asking a witness for its signature, and what a witness answers (c2sp.org/tlog-witness).
//!
//! A witness remembers one tree per log: the last it has signed. It signs another only if that begins with the one
//! remembered, so a log that was rolled back, or that shows two histories, finds no witness any more.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use thiserror::Error;

use super::note::{Checkpoint, NOTE_MAX, Note, NoteKey, tree_size};
use super::tree::{self, Head};
use crate::domain::Digest;

/// Most hashes of a proof: the specification's number, and one less than a tree of 2^64 leaves is high.
const PROOF_MAX: usize = 63;

/// Longest request, in bytes: a note, and a proof before it.
pub(crate) const WITNESS_REQUEST_MAX: usize = NOTE_MAX + 64 * (PROOF_MAX + 2);

/// Why a witness does not sign.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum WitnessRefusal {
    #[error("the request is malformed: {0}")]
    Malformed(&'static str),
    #[error("`{0}` is no log of this witness")]
    UnknownLog(String),
    #[error("the checkpoint is not signed by a key of its log")]
    Unsigned,
    #[error("the last tree this witness has signed has {size} entries")]
    OtherSize { size: u64 },
    #[error("the log has shown another tree of the same size")]
    OtherRoot { size: u64 },
    #[error("the tree does not begin with the one that was signed last")]
    Inconsistent,
}

/// A checkpoint to be signed, with the proof that it continues the last one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AddCheckpoint {
    /// Size of the tree that the witness is thought to have signed last; 0 when it has signed none.
    pub(crate) old: u64,
    pub(crate) proof: Vec<Digest>,
    /// The signed note, as text.
    pub(crate) note: String,
}

impl AddCheckpoint {
    /// The request's body.
    pub(crate) fn write(&self) -> String {
        let proof: String = self.proof.iter().map(|hash| format!("{}\n", BASE64.encode(hash.0))).collect();
        format!("old {}\n{proof}\n{}", self.old, self.note)
    }

    pub(crate) fn read(text: &str) -> Result<Self, WitnessRefusal> {
        let malformed = WitnessRefusal::Malformed;
        let (head, note) = text.split_once("\n\n").ok_or_else(|| malformed("it has no empty line"))?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old "));
        let old = old.and_then(tree_size).ok_or_else(|| malformed("its first line is not `old SIZE`"))?;
        let hash = |line: &str| BASE64.decode(line).ok()?.try_into().map(Digest).ok();
        let proof =
            lines.map(hash).collect::<Option<Vec<_>>>().ok_or_else(|| malformed("a line of the proof is no hash"))?;
        if proof.len() > PROOF_MAX {
            return Err(malformed("its proof is too long"));
        }
        Ok(Self { old, proof, note: note.to_owned() })
    }

    /// The checkpoint, if one of the logs has signed it.
    pub(crate) fn open(&self, logs: &[NoteKey]) -> Result<Checkpoint, WitnessRefusal> {
        let malformed = |_| WitnessRefusal::Malformed("what follows the proof is no checkpoint");
        let note = Note::read(&self.note).map_err(malformed)?;
        let checkpoint = Checkpoint::parse(&note.text).map_err(malformed)?;
        let mut keys = logs.iter().filter(|key| key.name == checkpoint.origin).peekable();
        if keys.peek().is_none() {
            return Err(WitnessRefusal::UnknownLog(checkpoint.origin));
        }
        if keys.any(|key| note.verify(key).is_ok()) { Ok(checkpoint) } else { Err(WitnessRefusal::Unsigned) }
    }

    /// Whether the tree may be signed after `last`, the one that this witness has signed last.
    pub(crate) fn judge(&self, new: Head, last: Head) -> Result<(), WitnessRefusal> {
        if self.old > new.size {
            return Err(WitnessRefusal::Malformed("it would make the log shorter"));
        }
        if self.old != last.size {
            return Err(WitnessRefusal::OtherSize { size: last.size });
        }
        if last.size == new.size && last.root != new.root {
            return Err(WitnessRefusal::OtherRoot { size: last.size });
        }
        tree::verify_consistency(last, new, &self.proof).map_err(|_| WitnessRefusal::Inconsistent)
    }
}

#[cfg(test)]
mod tests {
    use super::super::note::{Algorithm, NoteSigner};
    use super::super::seal::Signer;
    use super::super::tree::{Frontier, Hashes, TreeError, leaf, prove_consistency};
    use super::*;
    use crate::domain::{Secret, Timestamp};

    /// A log of so many entries whose last one is `last`.
    struct Leaves(Vec<Digest>);

    impl Leaves {
        fn new(size: u64, last: &str) -> Self {
            let of = |number: u64| leaf(if number + 1 == size { last } else { "entry" }.as_bytes());
            Self((0..size).map(of).collect())
        }

        fn head(&self, size: usize) -> Head {
            let mut frontier = Frontier::default();
            self.0.iter().take(size).for_each(|leaf| drop(frontier.append(*leaf)));
            Head { size: frontier.size(), root: frontier.root() }
        }
    }

    impl Hashes for Leaves {
        fn hash(&self, level: u8, index: u64) -> Result<Digest, TreeError> {
            let (from, size) = (usize::try_from(index << level).unwrap(), 1_usize << level);
            Ok(Self(self.0[from..from + size].to_vec()).head(size).root)
        }
    }

    fn signer(name: &str, seed: u8) -> NoteSigner {
        NoteSigner::new(name, Algorithm::Ed25519, Signer::new(Secret::new([seed; 32])).unwrap()).unwrap()
    }

    fn asked(log: &NoteSigner, leaves: &Leaves, old: u64) -> AddCheckpoint {
        let (size, head) = (u64::try_from(leaves.0.len()).unwrap(), leaves.head(leaves.0.len()));
        let text = Checkpoint { origin: log.key().name.clone(), head }.text();
        let note = format!("{text}\n{}", log.sign(&text, Timestamp::default()).unwrap());
        AddCheckpoint { old, proof: prove_consistency(old, size, leaves).unwrap(), note }
    }

    #[test]
    fn a_log_that_grows_is_signed_and_nothing_else() {
        let log = signer("gov.example/log", 1);
        let keys = [log.key().clone()];
        let leaves = Leaves::new(9, "entry");
        let judge = |request: &AddCheckpoint, last: Head| request.judge(request.open(&keys).unwrap().head, last);
        assert_eq!(judge(&asked(&log, &leaves, 0), Head::empty()), Ok(()));
        for old in 1..=9 {
            let last = leaves.head(old);
            let request = asked(&log, &leaves, last.size);
            assert_eq!(judge(&request, last), Ok(()), "from {old}");
            assert_eq!(judge(&request, leaves.head(old - 1)), Err(WitnessRefusal::OtherSize { size: last.size - 1 }));
            // The same size with another last entry: somebody else was shown something else.
            let forged = Leaves::new(last.size, "other").head(old);
            let expected = if old == 9 { WitnessRefusal::OtherRoot { size: 9 } } else { WitnessRefusal::Inconsistent };
            assert_eq!(judge(&request, forged), Err(expected), "from a forged {old}");
        }
        let back = asked(&log, &Leaves::new(4, "entry"), 4);
        assert_eq!(
            judge(&back, leaves.head(9)),
            Err(WitnessRefusal::OtherSize { size: 9 }),
            "a log that was rolled back"
        );
        let shorter = AddCheckpoint { old: 9, ..back };
        assert!(matches!(judge(&shorter, leaves.head(9)), Err(WitnessRefusal::Malformed(_))));
        let padded = AddCheckpoint { proof: vec![Digest([0; 32])], ..asked(&log, &leaves, 0) };
        assert_eq!(judge(&padded, Head::empty()), Err(WitnessRefusal::Inconsistent), "a first proof is empty");
    }

    #[test]
    fn only_known_logs_are_signed_for() {
        let (log, other) = (signer("gov.example/log", 1), signer("gov.example/log", 2));
        let request = asked(&log, &Leaves::new(3, "entry"), 0);
        assert!(request.open(&[log.key().clone()]).is_ok());
        assert!(request.open(&[other.key().clone(), log.key().clone()]).is_ok(), "one of its keys is enough");
        assert_eq!(request.open(&[other.key().clone()]), Err(WitnessRefusal::Unsigned));
        let elsewhere = signer("elsewhere.example/log", 1).key().clone();
        assert_eq!(request.open(&[elsewhere]), Err(WitnessRefusal::UnknownLog("gov.example/log".to_owned())));
    }

    #[test]
    fn requests_are_read_as_they_are_written() {
        let log = signer("gov.example/log", 1);
        for old in [0, 5] {
            let request = asked(&log, &Leaves::new(9, "entry"), old);
            assert_eq!(AddCheckpoint::read(&request.write()), Ok(request));
        }
        let good = asked(&log, &Leaves::new(9, "entry"), 5).write();
        for bad in [
            String::new(),
            "old 5\n".to_owned(),
            good.replace("old 5", "old 05"),
            good.replace("old 5", "old -5"),
            good.replace("old 5", "new 5"),
            good.replacen("=\n", "\n", 1),
            format!("old 5\n{}\n{}", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n".repeat(PROOF_MAX + 1), "x"),
        ] {
            assert!(matches!(AddCheckpoint::read(&bad), Err(WitnessRefusal::Malformed(_))), "{bad}");
        }
        let cut = AddCheckpoint { note: "gov.example/log\n9\n".to_owned(), old: 0, proof: Vec::new() };
        assert!(matches!(cut.open(&[log.key().clone()]), Err(WitnessRefusal::Malformed(_))));
    }
}
