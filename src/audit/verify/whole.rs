//! A whole log: its envelopes in the order of the tree, against the checkpoint that states the tree, the checkpoint
//! remembered from last time, and the witnesses.

use std::collections::BTreeMap;

use super::super::note::{Checkpoint, Note, NoteError, NoteKey};
use super::super::seal;
use super::super::tree::{self, Frontier, Head, Tile, TileKind};
use super::{Report, Seen, Verifier, Wrong};
use crate::domain::{Digest, PublicKey};

/// Takes a log's entries from the first on.
#[derive(Debug)]
pub(crate) struct Walk {
    verifier: Verifier,
    frontier: Frontier,
    remembered: Head,
    /// The root at the size that is remembered, once so many entries have been taken.
    root_then: Option<Digest>,
    /// What the tiles of hashes must hold, by level.
    nodes: BTreeMap<u8, Vec<Digest>>,
    /// The first tile that holds something else.
    wrong_tile: Option<Tile>,
}

impl Walk {
    /// `remembered` is the head seen last time; the empty tree when there was no last time.
    pub(crate) fn new(server: PublicKey, remembered: Head) -> Self {
        let (verifier, frontier) = (Verifier::new(server), Frontier::default());
        let root_then = (remembered.size == 0).then(|| frontier.root());
        Self { verifier, frontier, remembered, root_then, nodes: BTreeMap::new(), wrong_tile: None }
    }

    /// Takes the next entry.
    pub(crate) fn entry(&mut self, contents: &[u8]) {
        // What is no text is no envelope; the verifier says so.
        self.verifier.envelope(&String::from_utf8_lossy(contents));
        for node in self.frontier.append(tree::leaf(contents)) {
            if node.level.is_multiple_of(8) {
                self.nodes.entry(node.level).or_default().push(node.hash);
            }
        }
        if self.frontier.size() == self.remembered.size {
            self.root_then = Some(self.frontier.root());
        }
    }

    /// Takes some of the raw texts that lie beside the log.
    pub(crate) fn raw_texts(&mut self, bytes: &[u8]) {
        self.verifier.raw_texts(bytes);
    }

    /// Takes a tile of hashes, when all entries have been taken. Whoever proves something with it, or has it proved, must
    /// have what follows from the entries.
    pub(crate) fn tile(&mut self, tile: Tile, contents: &[u8]) {
        let TileKind::Hashes { height } = tile.kind else { return };
        let within = || {
            let range = tile.range();
            let (from, until) = (usize::try_from(range.start).ok()?, usize::try_from(range.end).ok()?);
            self.nodes.get(&height.checked_mul(8)?)?.get(from..until)
        };
        let holds = within().is_some_and(|hashes| hashes.iter().flat_map(|hash| &hash.0).eq(contents));
        if !holds {
            self.wrong_tile.get_or_insert(tile);
        }
    }

    /// What all of it proves, if `head` is what the log's checkpoint states.
    pub(crate) fn finish(self, head: Head) -> Report {
        let Self { verifier, frontier, remembered, root_then, wrong_tile, .. } = self;
        let mut report = verifier.finish_whole();
        if let Some(tile) = wrong_tile {
            report.fault_first(Wrong::Tile { path: tile.path() });
        }
        report.seen = Seen::Whole { size: head.size, remembered: remembered.size };
        if frontier.size() != head.size {
            report.fault_first(Wrong::Count { found: frontier.size(), stated: head.size });
        } else if frontier.root() != head.root {
            report.fault_first(Wrong::Root { size: head.size });
        }
        match root_then {
            None => report.fault_first(Wrong::Shorter { size: frontier.size(), remembered: remembered.size }),
            Some(root) if root != remembered.root => {
                report.fault_first(Wrong::Rewritten { remembered: remembered.size });
            }
            Some(_) => {}
        }
        report
    }
}

impl Report {
    /// Looks for the witness's signature under the checkpoint that was verified.
    pub(crate) fn witnessed(&mut self, note: &Note, witness: &NoteKey) {
        match note.verify(witness) {
            Ok(at) => self.witnesses.push((witness.name.clone(), at)),
            Err(why) => self.fault_first(Wrong::Witness { name: witness.name.clone(), why }),
        }
    }

    /// Takes the evidence that lies beside the log: its list, and what is there under the names in it.
    pub(crate) fn packed(&mut self, list: &str, file: impl Fn(&str) -> Option<Digest>) {
        let Some(at) = self.evidence.get(&seal::digest(list.as_bytes())).copied() else {
            return self.fault_first(Wrong::EvidenceList);
        };
        let mut files = 0;
        for line in list.lines() {
            let named = line.split_once("  ").and_then(|(hash, name)| Some((Digest::parse(hash)?, name)));
            match named {
                Some((hash, name)) if file(name) == Some(hash) => files += 1,
                Some((_, name)) => self.fault_first(Wrong::Evidence { file: name.to_owned() }),
                None => self.fault_first(Wrong::EvidenceList),
            }
        }
        self.pack = Some((at, files));
    }

    /// States that the envelopes have been proved to be in a tree of `size` leaves.
    pub(crate) fn included(&mut self, size: u64, remembered: u64) {
        self.seen = Seen::Included { size, remembered };
    }
}

/// The checkpoint in a note signed by `key`, read for verification.
pub(crate) fn checkpoint(text: &str, key: &NoteKey) -> Result<(Note, Checkpoint), NoteError> {
    let note = Note::read(text)?;
    let checkpoint = Checkpoint::open(&note, key)?;
    Ok((note, checkpoint))
}
