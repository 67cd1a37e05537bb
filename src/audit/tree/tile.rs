//! Tiles and entry bundles: which there are, what they are called, what they hold.

use super::{Digest, Frontier, Hashes, TreeError};

/// Hashes or entries of a full tile.
const WIDTH: u64 = 256;

/// What a tile holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// The hashes of one level; the height is that level divided by eight.
    Hashes { height: u8 },
    /// The leaves themselves.
    Entries,
}

/// One tile's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tile {
    pub(crate) kind: Kind,
    pub(crate) index: u64,
    /// 1 to 256: how many hashes or entries it holds.
    pub(crate) width: u64,
}

impl Tile {
    /// Every tile of a tree of `size` leaves that begins at leaf `from` or later, or was not full at that size.
    pub(crate) fn all(from: u64, size: u64) -> Vec<Self> {
        let mut tiles = Vec::new();
        let (mut first, mut count, mut height) = (from, size, 0);
        while count > 0 {
            for index in first / WIDTH..count.div_ceil(WIDTH) {
                let width = WIDTH.min(count - index * WIDTH);
                tiles.push(Self { kind: Kind::Hashes { height }, index, width });
                if height == 0 {
                    tiles.push(Self { kind: Kind::Entries, index, width });
                }
            }
            first /= WIDTH;
            count /= WIDTH;
            height += 1;
        }
        tiles
    }

    /// The numbers, at their own level, of the hashes or entries it holds.
    pub(crate) fn range(&self) -> std::ops::Range<u64> {
        let first = self.index.saturating_mul(WIDTH);
        first..first.saturating_add(self.width)
    }

    /// Whether it stays as it is, however the log grows.
    pub(crate) fn is_full(&self) -> bool {
        self.width == WIDTH
    }

    /// Where it is found below a log's prefix.
    pub(crate) fn path(&self) -> String {
        let mut path = match self.kind {
            Kind::Hashes { height } => format!("tile/{height}/"),
            Kind::Entries => "tile/entries/".to_owned(),
        };
        let digits = format!("{:03}", self.index);
        let lead = digits.len().next_multiple_of(3) - digits.len();
        let digits = format!("{}{digits}", "0".repeat(lead));
        let groups = digits.len() / 3;
        for (at, digit) in digits.chars().enumerate() {
            if at % 3 == 0 {
                path.push_str(if at == 0 { "" } else { "/" });
                path.push_str(if at / 3 + 1 < groups { "x" } else { "" });
            }
            path.push(digit);
        }
        if self.width < WIDTH {
            path.push_str(&format!(".p/{}", self.width));
        }
        path
    }

    /// The tile at a path, if it is one's only path.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let (kind, rest) = path.strip_prefix("tile/")?.split_once('/')?;
        let kind = match kind {
            "entries" => Kind::Entries,
            height => Kind::Hashes { height: height.parse().ok().filter(|height| *height < 64)? },
        };
        let (digits, width) = match rest.split_once(".p/") {
            Some((digits, width)) => (digits, width.parse().ok().filter(|width| (1..WIDTH).contains(width))?),
            None => (rest, WIDTH),
        };
        let digits: String = digits.split('/').map(|group| group.strip_prefix('x').unwrap_or(group)).collect();
        let index = digits.parse().ok()?;
        let tile = Self { kind, index, width };
        // There is one way to write it: no sign, no zeros too many, no group too short.
        (tile.path() == path).then_some(tile)
    }
}

/// The hashes of a tree whose tiles can be had.
pub(super) fn within(tile: &[Digest], level: u8, index: u64) -> Option<Digest> {
    let span = 1u64 << (level % 8);
    let first = usize::try_from(index.checked_mul(span)? % WIDTH).ok()?;
    let hashes = tile.get(first..first.checked_add(usize::try_from(span).ok()?)?)?;
    let mut frontier = Frontier::default();
    hashes.iter().for_each(|hash| drop(frontier.append(*hash)));
    Some(frontier.root())
}

/// Looks hashes up in tiles, which a function gives by height and index, as long as they are known to be.
#[derive(Debug)]
pub(crate) struct InTiles<F>(pub(crate) F);

impl<F: Fn(u8, u64) -> Option<Vec<Digest>>> Hashes for InTiles<F> {
    fn hash(&self, level: u8, index: u64) -> Result<Digest, TreeError> {
        let tile_index = (index << (level % 8)) / WIDTH;
        let tile = (self.0)(level / 8, tile_index);
        tile.and_then(|tile| within(&tile, level, index)).ok_or(TreeError::Missing { level, index })
    }
}

/// An entry bundle: each entry behind its length in two bytes. `None` when one is too long for that.
pub(crate) fn bundle<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for entry in entries {
        out.extend_from_slice(&u16::try_from(entry.len()).ok()?.to_be_bytes());
        out.extend_from_slice(entry);
    }
    Some(out)
}

/// The entries of a bundle. `None` when it is not made of whole ones, or of more than a tile holds.
pub(crate) fn bundle_entries(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut entries = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<2>() {
        let (entry, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        entries.push(entry);
        bytes = rest;
    }
    let many = u64::try_from(entries.len()).unwrap_or(u64::MAX) > WIDTH;
    (bytes.is_empty() && !many).then_some(entries)
}
