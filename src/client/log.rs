//! A log to be read: at the server, or as files somebody has exported.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::gateway::Gateway;
use super::records;
use super::remembered::Remembered;
use crate::audit::{
    self, Batch, Checkpoint, Envelope, Head, MANIFEST, Note, NoteKey, Report, Tile, TileKind, Verifier, Walk,
    bundle_entries,
};
use crate::domain::{Failure, Kind};
use crate::runtime::files;
use crate::wire::api::{OwnEnvelopes, OwnQuery};

/// Longest file of a log, in bytes: a bundle of 256 entries of 64 KiB.
const FILE_MAX: usize = 256 * (65_535 + 2);

/// Longest zip file, in bytes: what a log of a million entries takes.
const ARCHIVE_MAX: u64 = 2 * 1024 * 1024 * 1024;

/// Where a log's files are.
#[derive(Debug)]
pub(crate) enum Source {
    Server(Arc<Gateway>),
    Folder(PathBuf),
    /// The contents of a zip file.
    Archive(Vec<u8>),
}

/// What a reading found.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(crate) origin: String,
    pub(crate) note: Note,
    pub(crate) checkpoint: String,
    pub(crate) head: Head,
    pub(crate) report: Report,
}

impl Source {
    /// What somebody has exported: a folder or a zip file.
    pub(crate) fn exported(path: &Path) -> Result<Self, Failure> {
        if path.is_dir() {
            return Ok(Self::Folder(path.to_owned()));
        }
        let bytes = files::read_limited(path, ARCHIVE_MAX).map_err(|error| unreadable(path, &error))?;
        let nothing = || Failure::new(Kind::Usage, format!("there is no `{}`", path.display()));
        bytes.map(Self::Archive).ok_or_else(nothing)
    }

    /// A file by its path in the log.
    async fn file(&self, path: &str) -> Result<Option<Vec<u8>>, Failure> {
        match self {
            Self::Server(gateway) => gateway.bytes(&format!("/v1/log/{path}"), FILE_MAX).await,
            Self::Folder(folder) => {
                let path = folder.join(path);
                let limit = u64::try_from(FILE_MAX).unwrap_or(u64::MAX);
                files::read_limited(&path, limit).map_err(|error| unreadable(&path, &error))
            }
            Self::Archive(archive) => {
                let found = audit::file_in(archive, path).map_err(|error| not_a_log(&error))?;
                Ok(found.map(<[u8]>::to_vec))
            }
        }
    }

    /// The log's last checkpoint, signed by `key`: its text, as a note, and what it states.
    pub(crate) async fn checkpoint(&self, key: &NoteKey) -> Result<(String, Note, Checkpoint), Failure> {
        let bytes = self.file("checkpoint").await?;
        let bytes = bytes.ok_or_else(|| Failure::new(Kind::NotFound, "the log has no checkpoint"))?;
        let text = String::from_utf8(bytes).map_err(|_| not_a_log(&"its checkpoint is not text"))?;
        let (note, checkpoint) = audit::checkpoint(&text, key).map_err(|error| not_a_log(&error))?;
        Ok((text, note, checkpoint))
    }

    /// The list of the evidence beside the log, where there is some.
    async fn evidence(&self) -> Result<Option<String>, Failure> {
        match self {
            Self::Server(_) => Ok(None),
            Self::Folder(_) | Self::Archive(_) => {
                let list = self.file(MANIFEST).await?;
                Ok(list.map(|list| String::from_utf8_lossy(&list).into_owned()))
            }
        }
    }

    /// A tile as it is.
    pub(crate) async fn tile(&self, tile: Tile) -> Result<Vec<u8>, Failure> {
        let path = tile.path();
        let missing = || Failure::new(Kind::NotFound, format!("the log has no `{path}`"));
        self.file(&path).await?.ok_or_else(missing)
    }

    /// The entries of one tile.
    pub(crate) async fn entries(&self, tile: Tile) -> Result<Vec<Vec<u8>>, Failure> {
        let bytes = self.tile(tile).await?;
        Ok(entries_of(tile, &bytes)?.into_iter().map(<[u8]>::to_vec).collect())
    }

    /// Entries `from` to `size`, which is the size of the log.
    async fn between(&self, from: u64, size: u64) -> Result<Vec<Vec<u8>>, Failure> {
        let mut found = Vec::new();
        for tile in Tile::all(from, size).into_iter().filter(|tile| tile.kind == TileKind::Entries) {
            let range = tile.range();
            let entries = self.entries(tile).await?.into_iter().zip(range);
            found.extend(entries.filter(|(_, leaf)| *leaf >= from).map(|(entry, _)| entry));
        }
        Ok(found)
    }

    /// Encrypted raw texts that lie beside the log, some at a time: those from `at` on, and where to go on. `None` when
    /// there are none at `at`.
    pub(crate) async fn raw_texts(&self, at: u64) -> Result<Option<(Vec<u8>, Option<u64>)>, Failure> {
        let path = match self {
            Self::Server(_) => format!("sealed/{at}"),
            Self::Folder(_) | Self::Archive(_) => raw_texts_path(at),
        };
        let Some(bytes) = self.file(&path).await? else { return Ok(None) };
        if let Self::Folder(_) | Self::Archive(_) = self {
            return Ok(Some((bytes, at.checked_add(1))));
        }
        let (next, texts) = bytes.split_first_chunk::<8>().ok_or_else(|| not_a_log(&"its raw texts cannot be read"))?;
        // A server that does not go forward would be asked for ever.
        let next = Some(u64::from_be_bytes(*next)).filter(|next| *next > at && *next < u64::MAX);
        Ok(Some((texts.to_vec(), next)))
    }

    /// Reads all of it and says what it proves.
    pub(crate) async fn verify(&self, key: &NoteKey, remembered: Head) -> Result<Verified, Failure> {
        let (text, note, checkpoint) = self.checkpoint(key).await?;
        let mut walk = Walk::new(key.public, remembered);
        let tiles = Tile::all(0, checkpoint.head.size);
        let (entries, hashes): (Vec<_>, Vec<_>) = tiles.into_iter().partition(|tile| tile.kind == TileKind::Entries);
        for tile in entries {
            for entry in self.entries(tile).await? {
                walk.entry(&entry);
            }
        }
        let mut at = Some(0);
        while let Some(from) = at
            && let Some((texts, next)) = self.raw_texts(from).await?
        {
            walk.raw_texts(&texts);
            at = next;
        }
        for tile in hashes {
            walk.tile(tile, &self.tile(tile).await?);
        }
        let head = checkpoint.head;
        let mut report = walk.finish(head);
        if let Some(list) = self.evidence().await? {
            let mut files = BTreeMap::new();
            for name in list.lines().filter_map(|line| line.split_once("  ")).map(|(_, name)| name) {
                // A list that names what is outside of the pack is not one that we made.
                if name.split('/').all(|part| !part.is_empty() && part != "..")
                    && let Some(contents) = self.file(name).await?
                {
                    files.insert(name, audit::digest(&contents));
                }
            }
            report.packed(&list, |name| files.get(name).copied());
        }
        Ok(Verified { origin: checkpoint.origin, note, checkpoint: text, head, report })
    }
}

/// Where an export has the `number`th part of the encrypted raw texts.
pub(crate) fn raw_texts_path(number: u64) -> String {
    format!("sealed/{number:06}")
}

/// Reads what the log has of one's own sessions and says what that proves.
pub(crate) async fn verify_own(gateway: &Gateway, remembered: &Remembered) -> Result<Verified, Failure> {
    let key = remembered.log();
    let before = remembered.head()?;
    let mut verifier = Verifier::new(key.public);
    let mut after = None;
    loop {
        let query = OwnQuery { after, remembered: before.size };
        let found: OwnEnvelopes = gateway.find("/v1/log/own", &query).await?;
        let receipt = records::receipt(found.receipt).ok_or_else(|| not_a_log(&"a receipt was not understood"))?;
        let refused = |error: audit::ProofError| {
            Failure::new(Kind::Gateway, "the server does not prove what it shows").detail(format!("{error}."))
        };
        let head = receipt.check(&found.envelopes, key, before).map_err(refused)?;
        found.envelopes.iter().for_each(|line| verifier.envelope(line));
        if found.envelopes.is_empty() {
            let (note, checkpoint) = audit::checkpoint(&receipt.checkpoint, key).map_err(|error| not_a_log(&error))?;
            let mut report = verifier.finish();
            report.included(head.size, before.size);
            return Ok(Verified { origin: checkpoint.origin, note, checkpoint: receipt.checkpoint, head, report });
        }
        after = receipt.inclusions.last().map(|inclusion| inclusion.leaf);
    }
}

/// Follows the records of a log: everybody's for operators, else those of one's own sessions.
#[derive(Debug)]
pub(crate) struct Follower {
    gateway: Arc<Gateway>,
    remembered: Remembered,
    at: At,
}

/// How far a follower has come.
#[derive(Clone, Copy, Debug)]
enum At {
    Beginning,
    /// The next leaf of all.
    All(u64),
    /// The last leaf of one's own.
    Own(Option<u64>),
}

/// Entries before the end at which following begins: the last two bundles hold all that anybody asks for.
const FOLLOWED: u64 = 256;

impl Follower {
    pub(crate) fn new(gateway: Arc<Gateway>) -> Result<Self, Failure> {
        let remembered = records::remembered(&gateway)?;
        Ok(Self { gateway, remembered, at: At::Beginning })
    }

    /// Records that have come since the last call, each as the JSON object that was signed; at first, the newest there
    /// are.
    pub(crate) async fn next(&mut self) -> Result<Vec<String>, Failure> {
        let source = Source::Server(Arc::clone(&self.gateway));
        let mut found = Vec::new();
        if let At::Beginning | At::All(_) = self.at {
            let size = source.checkpoint(self.remembered.log()).await?.2.head.size;
            let from = if let At::All(from) = self.at { from } else { size.saturating_sub(FOLLOWED) };
            match source.between(from, size).await {
                Ok(entries) => {
                    self.at = At::All(size);
                    found = entries;
                }
                Err(Failure { kind: Kind::Denied, .. }) => self.at = At::Own(None),
                Err(failure) => return Err(failure),
            }
        }
        while let At::Own(after) = self.at {
            let query = OwnQuery { after, remembered: 0 };
            let own: OwnEnvelopes = self.gateway.find("/v1/log/own", &query).await?;
            let Some(last) = own.receipt.inclusions.last() else { break };
            self.at = At::Own(Some(last.leaf));
            found.extend(own.envelopes.into_iter().map(String::into_bytes));
        }
        Ok(found.iter().flat_map(|entry| records_of(entry)).collect())
    }
}

/// All records of a log, in its order, some at a time.
#[derive(Debug)]
pub(crate) struct Records<'a> {
    source: &'a Source,
    tiles: std::vec::IntoIter<Tile>,
}

impl<'a> Records<'a> {
    pub(crate) async fn of(source: &'a Source, key: &NoteKey) -> Result<Self, Failure> {
        let size = source.checkpoint(key).await?.2.head.size;
        let tiles: Vec<_> = Tile::all(0, size).into_iter().filter(|tile| tile.kind == TileKind::Entries).collect();
        Ok(Self { source, tiles: tiles.into_iter() })
    }

    /// The next ones; `None` behind the last. Cancel safe, but for the ones that were on their way.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<String>>, Failure> {
        let Some(tile) = self.tiles.next() else { return Ok(None) };
        let entries = self.source.entries(tile).await?;
        Ok(Some(entries.iter().flat_map(|entry| records_of(entry)).collect()))
    }
}

/// The entries in the bytes of a tile.
pub(crate) fn entries_of(tile: Tile, bytes: &[u8]) -> Result<Vec<&[u8]>, Failure> {
    let broken = || not_a_log(&format!("`{}` is no bundle of entries", tile.path()));
    bundle_entries(bytes).ok_or_else(broken)
}

/// The records in an entry of the log; a certificate has none.
pub(crate) fn records_of(entry: &[u8]) -> Vec<String> {
    let batch = std::str::from_utf8(entry).ok().and_then(|line| Envelope::read(line).ok());
    let batch = batch.and_then(|envelope| Batch::parse(&envelope.payload).ok());
    batch.map(|batch| batch.records).unwrap_or_default()
}

/// The log's key from what somebody typed: a verifier key (`name+id+key`) alone says which log is meant.
pub(crate) fn key(text: &str) -> Result<NoteKey, Failure> {
    NoteKey::parse(text.trim()).map_err(|error| {
        Failure::new(Kind::Usage, format!("`{}` is not the key of a log", text.trim()))
            .cause(error)
            .hint("`gov audit key` prints it, on a machine where somebody is logged in")
    })
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Kind::Usage, format!("`{}` cannot be read", path.display())).cause(error)
}

fn not_a_log(why: &dyn std::fmt::Display) -> Failure {
    Failure::new(Kind::Usage, "that is not a log of this server").detail(format!("It is refused: {why}."))
}
