//! Make a pack of evidence for an auditor.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{ArgMatches, Args};

use super::audit::access;
use super::audit::export::{self, Added, Target};
use super::exit::Exit;
use super::output::Output;
use super::{Command, moment, parse, result, run_async};
use crate::audit::{self, Core, Evidence, Head, MANIFEST, NoteKey, Table, Tile, TileKind, Walk};
use crate::client::gateway::Gateway;
use crate::client::log::{self, Source, Verified};
use crate::domain::{Failure, Timestamp};
use crate::runtime::clock;
use crate::wire::api::{AccessQuery, AccessReport, EvidenceRecorded, EvidenceRequest, TimelinePage, TimelineQuery};

pub(super) struct EvidencePack;

#[derive(Args)]
struct Arguments {
    /// Evidence from then on: 90d, 2026-11-27, 2026-11-27T09:30 (UTC)
    #[arg(long, value_name = "WHEN")]
    from: String,
    /// Evidence before then; now when left out
    #[arg(long, value_name = "WHEN")]
    to: Option<String>,
    /// The zip file to make
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

impl Command for EvidencePack {
    fn name(&self) -> &'static str {
        "evidence"
    }

    fn summary(&self) -> &'static str {
        "Make a signed pack of evidence for an auditor"
    }

    fn define(&self, command: clap::Command) -> clap::Command {
        Arguments::augment_args(command)
            .long_about(
                "Make a signed pack of evidence for an auditor: who had access and used it, who touched what kind of data, \
                 approvals, privileged and refused statements, credentials, policies, agents, readers of the record, and \
                 the whole log to check all of it against. One zip file, for operators.\n\nEvery report's SHA-256 is in \
                 the file SHA256SUMS, and the log itself names the SHA-256 of that file: a report that was changed later \
                 does not fit any more.",
            )
            .after_help("Example: gov evidence --from 90d -o evidence.zip")
    }

    fn run(&self, arguments: &ArgMatches, output: &mut Output) -> Result<Exit, Failure> {
        let arguments: Arguments = parse(arguments)?;
        let now = clock::now();
        let from = moment::option(Some(&arguments.from), now)?.unwrap_or_default();
        let to = moment::option(arguments.to.as_deref(), now)?.unwrap_or(now);
        run_async(pack(from, to, &arguments.output, output))
    }
}

async fn pack(from: Timestamp, to: Timestamp, place: &Path, output: &mut Output) -> Result<Exit, Failure> {
    let gateway = Arc::new(Gateway::open().await?);
    let key = gateway.log_key()?;
    let source = Source::Server(Arc::clone(&gateway));
    let mut evidence = Evidence::new(from, to);
    let (mut target, verified, added) = read(&source, &key, place, &mut evidence).await?;
    let tables = evidence.tables(&names(&gateway, from, to).await?);
    let (since, until) = (Some(from.to_string()), Some(to.to_string()));
    let query = AccessQuery { since, until, ..AccessQuery::default() };
    let accesses: AccessReport = gateway.find("/v1/timeline/access", &query).await?;

    let mut files: Vec<(String, Vec<u8>)> = tables.iter().map(|table| (path(table.name, "csv"), csv(table))).collect();
    files.push((path("2-who-touched-what", "csv"), access::csv(&accesses)));
    files.push((path("9-integrity", "txt"), integrity(&verified).into_bytes()));
    files.push(("README.txt".to_owned(), readme(&tables, &key, from, to).into_bytes()));
    files.push((VERIFIER.to_owned(), include_bytes!("../../tests/verify.py").to_vec()));
    files.sort();
    let manifest: String = files.iter().fold(String::new(), |mut out, (name, contents)| {
        // Writing to a String cannot fail.
        writeln!(out, "{}  {name}", audit::digest(contents)).unwrap_or_default();
        out
    });
    let digest = audit::digest(manifest.as_bytes()).to_string();
    let recorded: EvidenceRecorded = gateway.post("/v1/log/evidence", &EvidenceRequest { digest }).await?;

    for (name, contents) in &files {
        target.add(name, contents, place)?;
    }
    target.add(MANIFEST, manifest.as_bytes(), place)?;
    // What has come since comes last: in it is the record that names the manifest.
    let size = export::add_log(&source, &key, &mut target, place, added).await?;
    target.end(place)?;
    output.say(format!(
        "{} reports and a log of {size} entries are in `{}`, on record since {}. Check them anywhere:",
        // The text that explains them and the program that checks them are none.
        files.len().saturating_sub(2),
        place.display(),
        recorded.at
    ));
    output.say(format!("  gov audit verify --log {} --key {}", place.display(), key.text()));
    Ok(Exit::Done)
}

/// The program in the pack that shares no code with gov.
const VERIFIER: &str = "verify.py";

/// Reads a log once: for the reports, for what it proves, and into the pack, except for what may still grow.
async fn read(
    source: &Source,
    key: &NoteKey,
    place: &Path,
    evidence: &mut Evidence,
) -> Result<(Target, Verified, Added), Failure> {
    let (text, note, checkpoint) = source.checkpoint(key).await?;
    let size = checkpoint.head.size;
    let mut walk = Walk::new(key.public, Head::empty());
    let mut target = None;
    let tiles = Tile::all(0, size);
    let (entries, hashes): (Vec<_>, Vec<_>) = tiles.into_iter().partition(|tile| tile.kind == TileKind::Entries);
    for tile in entries {
        let bytes = source.tile(tile).await?;
        // Whoever may not have everybody's records has been told by now: nothing is made for them.
        let target = match &mut target {
            Some(target) => target,
            none => none.insert(Target::archive(place)?),
        };
        for entry in log::entries_of(tile, &bytes)? {
            walk.entry(entry);
            log::records_of(entry).iter().filter_map(|text| Core::parse(text).ok()).for_each(|record| {
                evidence.record(&record);
            });
        }
        if tile.is_full() {
            target.add(&tile.path(), &bytes, place)?;
        }
    }
    let mut target = target.map_or_else(|| Target::archive(place), Ok)?;
    for tile in hashes {
        let bytes = source.tile(tile).await?;
        walk.tile(tile, &bytes);
        if tile.is_full() {
            target.add(&tile.path(), &bytes, place)?;
        }
    }
    let (mut at, mut part) = (0, 0);
    while let Some((texts, next)) = source.raw_texts(at).await? {
        walk.raw_texts(&texts);
        let Some(next) = next else { break };
        target.add(&log::raw_texts_path(part), &texts, place)?;
        (at, part) = (next, part + 1);
    }
    let report = walk.finish(checkpoint.head);
    let verified = Verified { origin: checkpoint.origin, note, checkpoint: text, head: checkpoint.head, report };
    Ok((target, verified, Added { size, raw_texts: (at, part) }))
}

fn path(name: &str, ending: &str) -> String {
    format!("reports/{name}.{ending}")
}

/// What the pseudonyms stand for of those who had sessions, decided about approvals, or read the record.
async fn names(gateway: &Gateway, from: Timestamp, to: Timestamp) -> Result<BTreeMap<String, String>, Failure> {
    let mut names = BTreeMap::new();
    for kind in ["session.open", "session.refuse", "approval", "audit.read"] {
        let mut query = TimelineQuery {
            kind: Some(kind.to_owned()),
            since: Some(from.to_string()),
            until: Some(to.to_string()),
            limit: Some(1000),
            ..TimelineQuery::default()
        };
        loop {
            let page: TimelinePage = gateway.find("/v1/timeline", &query).await?;
            query.before = page.entries.first().map(|entry| entry.id);
            names.extend(page.entries.into_iter().filter_map(|entry| Some((entry.subject?, entry.who?))));
            if !page.more {
                break;
            }
        }
    }
    Ok(names)
}

fn csv(table: &Table) -> Vec<u8> {
    let mut out = Vec::new();
    let heading = table.heading.iter().map(|name| Some(name.as_bytes().to_vec())).collect();
    let rows = table.rows.iter().map(|row| row.iter().map(|cell| Some(cell.clone().into_bytes())).collect());
    for cells in std::iter::once::<Vec<_>>(heading).chain(rows) {
        // Writing into memory does not fail.
        drop(result::write_csv(&mut out, &cells));
    }
    out
}

/// What verification says of the log, in its own words.
fn integrity(verified: &Verified) -> String {
    let report = &verified.report;
    let statements = &report.statements;
    let mut out = format!(
        "log {}, {} entries, {} records: {}\n\nstatements: {} matched, {} known from the client alone, {} from the \
         gateway alone, {} on which the two differ, {} whose end nobody saw\n\ncheckpoint\n\n{}",
        verified.origin,
        verified.head.size,
        report.records,
        if report.is_sound() { "sound" } else { "NOT SOUND" },
        statements.matched,
        statements.client_only,
        statements.gateway_only,
        statements.mismatched,
        statements.unknown,
        verified.checkpoint
    );
    let faults: Vec<String> = report.faults.iter().map(ToString::to_string).collect();
    for (title, sentences) in [("faults", faults), ("proven", report.proven()), ("not proven", report.not_proven())] {
        if !sentences.is_empty() {
            // Writing to a String cannot fail.
            write!(out, "\n{title}\n  - {}\n", sentences.join("\n  - ")).unwrap_or_default();
        }
    }
    out
}

fn readme(tables: &[Table], key: &NoteKey, from: Timestamp, to: Timestamp) -> String {
    let mut reports: Vec<_> = tables.iter().map(|table| (path(table.name, "csv"), table.about)).collect();
    reports.push((
        path("2-who-touched-what", "csv"),
        "who touched what kind of data, how often, masked or clear, for which purpose and by which approval",
    ));
    reports.push((path("9-integrity", "txt"), "what verifying the log said when this was made"));
    // By their numbers, of which some have two digits.
    reports.sort_by_key(|(name, _)| (name.find('-'), name.clone()));
    let reports: String = reports.iter().fold(String::new(), |mut out, (name, about)| {
        // Writing to a String cannot fail.
        writeln!(out, "  {name}\n      {about}").unwrap_or_default();
        out
    });
    format!(
        "\
Evidence of who used databases through gov, from {from} to {to} (UTC).

What is here

{reports}  SHA256SUMS
      the SHA-256 of every report and of this text; the log names the SHA-256 of this file in a record of kind `evidence`
  verify.py
      a program that checks all of this and is not gov
  sealed/
      where they are kept: statements as they were typed, encrypted; the records name them by SHA-256
  checkpoint, tile/
      the whole log: what both sides of every session recorded and signed (c2sp.org/tlog-tiles, tlog-checkpoint; DSSE)

How to check it, with tools that are not gov's

  sha256sum --check SHA256SUMS       no report was changed since the list was made
  python3 verify.py FOLDER KEY       the log is whole and signed, and it names this very list; FOLDER is this, unpacked.
                                     A short program that shares no code with gov. Read it: it is shorter than this evidence
  or any reader of c2sp.org/tlog-tiles for the tree, and of DSSE for the signatures

With gov: gov audit verify --log FILE --key KEY [--witness KEY]

The log's key, and those of witnesses, must come from whoever runs them, not from here. The one that was used is
  {}

What it does not show

  Pseudonyms (u-...) stand for people in the log; names in the reports are what the server's directory said when they were
  made. Statements are shown without their literal values. That the log was not put back to an older state, or shown to
  others in another version, is shown by a witness only.
",
        key.text()
    )
}
