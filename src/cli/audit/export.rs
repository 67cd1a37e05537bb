//! Hand the log on.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::super::exit::Exit;
use super::super::moment;
use super::super::output::Output;
use crate::audit::{ArchiveError, ArchiveWriter, Core, Event, NoteKey, Ocsf, ParquetError, ParquetWriter, Tile};
use crate::client::gateway::Gateway;
use crate::client::log::{self, Records, Source};
use crate::domain::{Failure, Kind};
use crate::runtime::clock;
use crate::runtime::files::{self, Appearing};

#[derive(Args)]
pub(super) struct Arguments {
    /// The form: the whole log with its tree, as a folder or a zip file, to be verified anywhere; or events, as JSON lines
    /// of the Open Cybersecurity Schema Framework or as a Parquet table of the same
    #[arg(long, value_name = "FORM")]
    format: Form,
    /// Where to: a folder or a file that is not there; JSON lines go to the output when left out
    #[arg(
        short,
        long,
        value_name = "PATH",
        required_if_eq_any([("format", "folder"), ("format", "zip"), ("format", "parquet")])
    )]
    output: Option<PathBuf>,
    /// Only events from then on: 2h, 30d, 2026-11-27 (UTC); a log is handed on whole
    #[arg(long, value_name = "WHEN")]
    from: Option<String>,
    /// Only events before then
    #[arg(long, value_name = "WHEN")]
    to: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Folder,
    Zip,
    OcsfJson,
    Parquet,
}

/// What lies beside the log for whoever opens it.
const README: &str = "\
This is a whole log of gov: what both sides of every session recorded, signed.

  checkpoint       the log's size and root hash, signed (c2sp.org/signed-note, tlog-checkpoint)
  tile/            its Merkle tree and entries (c2sp.org/tlog-tiles)
  tile/entries/    each entry is an envelope (DSSE, Ed25519): a batch of records, or the certificate of a key
  sealed/          where they are kept: statements as they were typed, encrypted; records name them by SHA-256 (`pay`)

To verify it, take the log's public key from whoever runs the server, not from here, and run

  gov audit verify --log THIS --key KEY

The formats are public; any tool that reads them can check the tree, and any that reads DSSE the signatures.
";

pub(super) async fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let gateway = Arc::new(Gateway::open().await?);
    let key = gateway.log_key()?;
    let source = Source::Server(gateway);
    match (arguments.format, &arguments.output) {
        (Form::OcsfJson, None) => {
            let written = |event: Event| {
                output.line(event.json());
                Ok(!output.is_closed())
            };
            events(arguments, &source, &key, written).await?;
        }
        (Form::OcsfJson, Some(path)) => lines(arguments, &source, &key, path).await?,
        (Form::Parquet, Some(path)) => table(arguments, &source, &key, path, output).await?,
        (Form::Folder, Some(path)) => whole(&source, &key, Target::folder(path)?, path, output).await?,
        (Form::Zip, Some(path)) => whole(&source, &key, Target::archive(path)?, path, output).await?,
        (Form::Folder | Form::Zip | Form::Parquet, None) => {
            return Err(Failure::new(Kind::Usage, "say where to, with --output"));
        }
    }
    Ok(Exit::Done)
}

/// Where files go. Nothing is there under its name before all of it is.
pub(in crate::cli) enum Target {
    Folder(Appearing),
    Archive { appearing: Appearing, file: File, writer: ArchiveWriter },
}

impl Target {
    /// A folder that is not there yet.
    fn folder(place: &Path) -> Result<Self, Failure> {
        Ok(Self::Folder(Appearing::folder(place).map_err(|error| unwritable(place, &error))?))
    }

    /// A zip file that is not there yet.
    pub(in crate::cli) fn archive(place: &Path) -> Result<Self, Failure> {
        let (appearing, file) = create(place)?;
        Ok(Self::Archive { appearing, file, writer: ArchiveWriter::default() })
    }

    pub(in crate::cli) fn add(&mut self, name: &str, contents: &[u8], place: &Path) -> Result<(), Failure> {
        let written = match self {
            Self::Folder(folder) => files::write_private(&folder.growing().join(name), contents),
            Self::Archive { file, writer, .. } => {
                let head = writer.file(name, contents).map_err(|error| too_long(error, place))?;
                file.write_all(&head).and_then(|()| file.write_all(contents))
            }
        };
        written.map_err(|error| unwritable(place, &error))
    }

    pub(in crate::cli) fn end(self, place: &Path) -> Result<(), Failure> {
        let appearing = match self {
            Self::Folder(appearing) => appearing,
            Self::Archive { appearing, mut file, writer } => {
                let directory = writer.end().map_err(|error| too_long(error, place))?;
                let written = file.write_all(&directory).and_then(|()| file.sync_all());
                written.map_err(|error| unwritable(place, &error))?;
                appearing
            }
        };
        appearing.finish().map_err(|error| unwritable(place, &error))
    }
}

async fn whole(
    source: &Source,
    key: &NoteKey,
    mut target: Target,
    place: &Path,
    output: &mut Output,
) -> Result<(), Failure> {
    target.add("README.txt", README.as_bytes(), place)?;
    let size = add_log(source, key, &mut target, place, NOTHING).await?;
    target.end(place)?;
    output.say(format!("{size} entries are in `{}`. Verify them anywhere:", place.display()));
    output.say(format!("  gov audit verify --log {} --key {}", place.display(), key.text()));
    Ok(())
}

/// How much of a log has been added to something already.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Added {
    /// Tiles that were full at this size.
    pub(in crate::cli) size: u64,
    /// The first raw texts that were not added, by where they are at the source, and the number of their part.
    pub(in crate::cli) raw_texts: (u64, u64),
}

/// Nothing has been added.
pub(in crate::cli) const NOTHING: Added = Added { size: 0, raw_texts: (0, 0) };

/// Adds what is missing of a whole log, as it is now, and of the encrypted raw texts beside it. Says how many entries
/// it has.
pub(in crate::cli) async fn add_log(
    source: &Source,
    key: &NoteKey,
    target: &mut Target,
    place: &Path,
    added: Added,
) -> Result<u64, Failure> {
    let (text, _, checkpoint) = source.checkpoint(key).await?;
    target.add("checkpoint", text.as_bytes(), place)?;
    for tile in Tile::all(added.size, checkpoint.head.size) {
        let bytes = source.tile(tile).await?;
        target.add(&tile.path(), &bytes, place)?;
    }
    let (from, mut number) = added.raw_texts;
    let mut at = Some(from);
    while let Some(from) = at
        && let Some((texts, next)) = source.raw_texts(from).await?
    {
        target.add(&log::raw_texts_path(number), &texts, place)?;
        (at, number) = (next, number + 1);
    }
    Ok(checkpoint.head.size)
}

/// Hands each event of the time asked for to `written`, until that says to stop.
async fn events(
    arguments: &Arguments,
    source: &Source,
    key: &NoteKey,
    mut written: impl FnMut(Event) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let now = clock::now();
    let from = moment::option(arguments.from.as_deref(), now)?.unwrap_or_default();
    let to = moment::option(arguments.to.as_deref(), now)?.unwrap_or(now);
    let is_asked_for = |event: &Event| event.at() >= from && event.at() < to;
    let mut ocsf = Ocsf::default();
    let mut records = Records::of(source, key).await?;
    while let Some(texts) = records.next().await? {
        for record in texts.iter().filter_map(|text| Core::parse(text).ok()) {
            let event = ocsf.event(&record).filter(is_asked_for);
            if let Some(event) = event
                && !written(event)?
            {
                return Ok(());
            }
        }
    }
    for event in ocsf.unended().filter(is_asked_for) {
        if !written(event)? {
            break;
        }
    }
    Ok(())
}

async fn lines(arguments: &Arguments, source: &Source, key: &NoteKey, path: &Path) -> Result<(), Failure> {
    let (appearing, file) = create(path)?;
    let mut file = BufWriter::new(file);
    let full = |error: std::io::Error| unwritable(path, &error);
    let write = |event: Event| writeln!(file, "{}", event.json()).map(|()| true).map_err(full);
    events(arguments, source, key, write).await?;
    let synced = file.flush().and_then(|()| file.get_ref().sync_all());
    synced.and_then(|()| appearing.finish()).map_err(full)
}

async fn table(
    arguments: &Arguments,
    source: &Source,
    key: &NoteKey,
    path: &Path,
    output: &mut Output,
) -> Result<(), Failure> {
    let (appearing, file) = create(path)?;
    let full = |error: ParquetError| unwritable(path, &error);
    let mut writer = ParquetWriter::new(file).map_err(full)?;
    let mut count: u64 = 0;
    let add = |event: Event| {
        count += 1;
        writer.add(event).map(|()| true).map_err(full)
    };
    events(arguments, source, key, add).await?;
    let synced = writer.end().map_err(full)?.sync_all();
    synced.and_then(|()| appearing.finish()).map_err(|error| unwritable(path, &error))?;
    output.say(format!("{count} events are in `{}`.", path.display()));
    Ok(())
}

fn create(path: &Path) -> Result<(Appearing, File), Failure> {
    // What is there already is somebody's evidence.
    Appearing::file(path).map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Kind::Usage, format!("`{}` cannot be written", path.display())).cause(error)
}

fn too_long(error: ArchiveError, path: &Path) -> Failure {
    Failure::new(Kind::Limit, format!("`{}` cannot be a zip file", path.display()))
        .cause(error)
        .hint("use --format folder")
}
