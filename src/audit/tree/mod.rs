//! The Merkle tree over all envelopes: hashes, proofs, and the tiles in which both are kept and served.
//!
//! The tree is RFC 6962's (section 2.1), the tiles are C2SP's (c2sp.org/tlog-tiles), so that what is written here can
//! be read by tools that are not ours. A *level* counts from the leaves (0); a tile holds up to 256 hashes of one level
//! that is a multiple of eight, its *height* being that level divided by eight.

mod tile;

pub(crate) use tile::{InTiles, Kind as TileKind, Tile, bundle, bundle_entries};

use ring::digest::{Context, SHA256};
use thiserror::Error;

use crate::domain::Digest;

/// Why a proof was refused, or could not be made.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum TreeError {
    #[error("a tree of size {size} has no place {place}")]
    Place { place: u64, size: u64 },
    #[error("the proof has the wrong length")]
    Length,
    #[error("the proof leads to another root")]
    Root,
    #[error("the hash {index} of level {level} is not there")]
    Missing { level: u8, index: u64 },
}

/// The hash of a leaf with these contents.
pub(crate) fn leaf(contents: &[u8]) -> Digest {
    hash(&[&[0], contents])
}

fn node(left: &Digest, right: &Digest) -> Digest {
    hash(&[&[1], &left.0, &right.0])
}

fn hash(parts: &[&[u8]]) -> Digest {
    let mut context = Context::new(&SHA256);
    parts.iter().for_each(|part| context.update(part));
    Digest(context.finish().as_ref().try_into().unwrap_or_default())
}

/// What must be remembered of a tree to append to it: the roots of its largest complete subtrees, left to right.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Frontier {
    size: u64,
    /// As many as `size` has bits that are one.
    roots: Vec<Digest>,
}

/// A node whose subtree has become complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Complete {
    pub(crate) level: u8,
    pub(crate) index: u64,
    pub(crate) hash: Digest,
}

impl Frontier {
    /// The frontier of a tree whose complete subtrees can be looked up.
    pub(crate) fn of(size: u64, hashes: &impl Hashes) -> Result<Self, TreeError> {
        let roots = subtrees(0, size).map(|(level, index)| hashes.hash(level, index)).collect::<Result<_, _>>()?;
        Ok(Self { size, roots })
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf; returns every node that is complete now, the leaf first.
    pub(crate) fn append(&mut self, leaf: Digest) -> Vec<Complete> {
        let mut done = Complete { level: 0, index: self.size, hash: leaf };
        let mut all = vec![done];
        while done.index & 1 == 1 {
            let Some(left) = self.roots.pop() else { break };
            done = Complete { level: done.level + 1, index: done.index >> 1, hash: node(&left, &done.hash) };
            all.push(done);
        }
        self.roots.push(done.hash);
        self.size += 1;
        all
    }

    /// The root of the tree; for an empty one the hash of nothing.
    pub(crate) fn root(&self) -> Digest {
        let mut roots = self.roots.iter().rev();
        roots.next().map_or_else(|| hash(&[]), |last| roots.fold(*last, |right, left| node(left, &right)))
    }
}

/// Where hashes of complete subtrees are looked up.
pub(crate) trait Hashes {
    /// The root of the leaves from `index << level` to `(index + 1) << level`.
    fn hash(&self, level: u8, index: u64) -> Result<Digest, TreeError>;
}

/// The root of a tree of this size.
pub(crate) fn root(size: u64, hashes: &impl Hashes) -> Result<Digest, TreeError> {
    Frontier::of(size, hashes).map(|frontier| frontier.root())
}

/// The proof that leaf `index` is in the tree of `size` leaves: the sibling's hash first, the root's child last
/// (RFC 6962 section 2.1.1).
pub(crate) fn prove_inclusion(index: u64, size: u64, hashes: &impl Hashes) -> Result<Vec<Digest>, TreeError> {
    if index >= size {
        return Err(TreeError::Place { place: index, size });
    }
    let mut proof = Vec::new();
    let (mut low, mut high) = (0, size);
    while high - low > 1 {
        let middle = low + split(high - low);
        if index < middle {
            proof.push(range(middle, high, hashes)?);
            high = middle;
        } else {
            proof.push(range(low, middle, hashes)?);
            low = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// The proof that the tree of `new` leaves begins with the tree of `old` leaves (RFC 6962 section 2.1.2).
pub(crate) fn prove_consistency(old: u64, new: u64, hashes: &impl Hashes) -> Result<Vec<Digest>, TreeError> {
    if old > new {
        return Err(TreeError::Place { place: old, size: new });
    }
    if old == 0 || old == new {
        return Ok(Vec::new());
    }
    let mut proof = Vec::new();
    let (mut low, mut high) = (0, new);
    // Until the old tree ends where a subtree of the new one ends.
    while old != high {
        let middle = low + split(high - low);
        if old <= middle {
            proof.push(range(middle, high, hashes)?);
            high = middle;
        } else {
            proof.push(range(low, middle, hashes)?);
            low = middle;
        }
    }
    if low > 0 {
        proof.push(range(low, high, hashes)?);
    }
    proof.reverse();
    Ok(proof)
}

/// The largest power of two that is less than `length`, which is 2 or more.
fn split(length: u64) -> u64 {
    1 << (u64::BITS - 1).saturating_sub((length.saturating_sub(1)).leading_zeros())
}

/// The complete subtrees that make up the leaves `low` to `high`, largest first, as level and index. `low` is a
/// multiple of the first one's size.
fn subtrees(mut low: u64, high: u64) -> impl Iterator<Item = (u8, u64)> {
    std::iter::from_fn(move || {
        let length = high.checked_sub(low).filter(|length| *length > 0)?;
        let level = (u64::BITS - 1).saturating_sub(length.leading_zeros());
        let subtree = (u8::try_from(level).ok()?, low >> level);
        low += 1 << level;
        Some(subtree)
    })
}

/// The root of the leaves `low` to `high`.
fn range(low: u64, high: u64, hashes: &impl Hashes) -> Result<Digest, TreeError> {
    let roots = subtrees(low, high).map(|(level, index)| hashes.hash(level, index)).collect::<Result<Vec<_>, _>>()?;
    Ok(Frontier { size: high - low, roots }.root())
}

/// Whether `proof` shows that a leaf with this hash is at `index` of the tree with this root (RFC 9162 section 2.1.3.2).
pub(crate) fn verify_inclusion(
    leaf: Digest,
    index: u64,
    size: u64,
    root: Digest,
    proof: &[Digest],
) -> Result<(), TreeError> {
    if index >= size {
        return Err(TreeError::Place { place: index, size });
    }
    let (mut at, mut last, mut hash) = (index, size - 1, leaf);
    for sibling in proof {
        if last == 0 {
            return Err(TreeError::Length);
        }
        if at & 1 == 1 || at == last {
            hash = node(sibling, &hash);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash = node(&hash, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    match (last, hash == root) {
        (0, true) => Ok(()),
        (0, false) => Err(TreeError::Root),
        _ => Err(TreeError::Length),
    }
}

/// A tree as its log states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) size: u64,
    pub(crate) root: Digest,
}

impl Head {
    /// The tree without leaves.
    pub(crate) fn empty() -> Self {
        Self { size: 0, root: hash(&[]) }
    }
}

/// Whether `proof` shows that `new` begins with `old` (RFC 9162 section 2.1.4.2). Anything begins with the empty tree.
pub(crate) fn verify_consistency(old: Head, new: Head, proof: &[Digest]) -> Result<(), TreeError> {
    if old.size > new.size {
        return Err(TreeError::Place { place: old.size, size: new.size });
    }
    let right_root = |head: Head| if head.size > 0 || head == Head::empty() { Ok(()) } else { Err(TreeError::Root) };
    right_root(old)?;
    right_root(new)?;
    if old.size == 0 || old.size == new.size {
        return match (proof.is_empty(), old.size == 0 || old.root == new.root) {
            (true, true) => Ok(()),
            (true, false) => Err(TreeError::Root),
            (false, _) => Err(TreeError::Length),
        };
    }
    let (mut at, mut last) = (old.size - 1, new.size - 1);
    while at & 1 == 1 {
        at >>= 1;
        last >>= 1;
    }
    // A tree that is a power of two is itself the first hash, and is left out of the proof.
    let mut hashes = proof.iter();
    let first = if at == 0 { &old.root } else { hashes.next().ok_or(TreeError::Length)? };
    let (mut old_root, mut new_root) = (*first, *first);
    for hash in hashes {
        if last == 0 {
            return Err(TreeError::Length);
        }
        if at & 1 == 1 || at == last {
            old_root = node(hash, &old_root);
            new_root = node(hash, &new_root);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            new_root = node(&new_root, hash);
        }
        at >>= 1;
        last >>= 1;
    }
    match (last, old_root == old.root && new_root == new.root) {
        (0, true) => Ok(()),
        (0, false) => Err(TreeError::Root),
        _ => Err(TreeError::Length),
    }
}

#[cfg(test)]
mod tests;
