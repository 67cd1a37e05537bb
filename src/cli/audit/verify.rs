//! Check the log.

use std::path::Path;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::super::exit::Exit;
use super::super::output::{Format, Output};
use crate::audit::{Algorithm, Head, NoteKey};
use crate::client::gateway::Gateway;
use crate::client::log::{self, Source, Verified};
use crate::client::profile::{self, Profile};
use crate::client::records;
use crate::domain::{Failure, Kind};

/// Faults that are shown to people; the number of all is told.
const FAULTS_SHOWN: usize = 5;

#[derive(Args)]
pub(super) struct Arguments {
    /// The log: the server's address, or the folder or zip file it was exported to; the server one is logged in to when left out
    #[arg(long, value_name = "URL|PATH")]
    log: Option<String>,
    /// The log's public key, as `gov audit key` prints it; the one seen at login when left out
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Also ask for this witness's signature; may be repeated
    #[arg(long, value_name = "KEY")]
    witness: Vec<String>,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Document<'a> {
    sound: bool,
    log: &'a str,
    entries: u64,
    records: u64,
    matched: u64,
    unmatched: u64,
    /// Statements of which nobody saw how they ended.
    unknown: u64,
    proven: Vec<String>,
    not_proven: Vec<String>,
    faults: Vec<String>,
    checkpoint: &'a str,
}

pub(super) async fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let witnesses = arguments.witness.iter().map(|text| witness(text)).collect::<Result<Vec<_>, _>>()?;
    let mut verified = match &arguments.log {
        Some(place) if !place.contains("://") => offline(place, arguments.key.as_deref()).await?,
        place => online(place.as_deref()).await?,
    };
    for witness in &witnesses {
        verified.report.witnessed(&verified.note, witness);
    }
    show(&verified, output);
    Ok(if verified.report.is_sound() { Exit::Done } else { Exit::Unsound })
}

/// The server's log: all of it for operators, one's own sessions for everybody else.
async fn online(place: Option<&str>) -> Result<Verified, Failure> {
    let gateway = Arc::new(Gateway::open().await?);
    if let Some(place) = place
        && profile::origin(&profile::server_url(place)?) != gateway.server.origin()
    {
        return Err(Failure::new(Kind::Usage, format!("you are not logged in to `{place}`"))
            .hint(format!("run: gov login {place}")));
    }
    let remembered = records::remembered(&gateway)?;
    let before = remembered.head()?;
    let source = Source::Server(Arc::clone(&gateway));
    let verified = match source.verify(remembered.log(), before).await {
        Err(Failure { kind: Kind::Denied, .. }) => log::verify_own(&gateway, &remembered).await?,
        other => other?,
    };
    if verified.report.is_sound() {
        remembered.keep(verified.head, &verified.checkpoint)?;
    }
    Ok(verified)
}

/// A log that was exported. What is remembered is newer than it may be, so nothing is compared with that.
async fn offline(place: &str, key: Option<&str>) -> Result<Verified, Failure> {
    let key = match key {
        Some(key) => log::key(key)?,
        None => match Profile::load()? {
            Some(profile) => log::key(&profile.log)?,
            None => {
                return Err(Failure::new(Kind::Usage, "the log's public key is not known here").hint(
                    "get it from whoever runs the server, not from the export: gov audit verify --log PATH --key KEY",
                ));
            }
        },
    };
    let source = Source::exported(Path::new(place))?;
    source.verify(&key, Head::empty()).await
}

fn witness(text: &str) -> Result<NoteKey, Failure> {
    let key = log::key(text)?;
    if key.algorithm != Algorithm::Cosignature {
        return Err(Failure::new(Kind::Usage, format!("`{text}` is not the key of a witness")));
    }
    Ok(key)
}

fn show(verified: &Verified, output: &mut Output) {
    let report = &verified.report;
    let statements = &report.statements;
    let unmatched = statements.client_only + statements.gateway_only + statements.mismatched;
    if output.format() == Format::Json {
        output.json(&Document {
            sound: report.is_sound(),
            log: &verified.origin,
            entries: verified.head.size,
            records: report.records,
            matched: statements.matched,
            unmatched,
            unknown: statements.unknown,
            proven: report.proven(),
            not_proven: report.not_proven(),
            faults: report.faults.iter().map(ToString::to_string).collect(),
            checkpoint: &verified.checkpoint,
        });
        return;
    }
    let verdict = if report.is_sound() { output.paint("32", "sound") } else { output.paint("31", "NOT SOUND") };
    output.line(format!("log {}, {} entries: {verdict}", verified.origin, verified.head.size));
    if !report.is_sound() {
        let shown = report.faults.iter().take(FAULTS_SHOWN);
        output.line("\nfaults, the first one first");
        shown.for_each(|fault| output.line(format!("  - {fault}")));
        let all = u64::try_from(report.faults.len()).unwrap_or(u64::MAX).saturating_add(report.more_faults);
        let more = all.saturating_sub(u64::try_from(FAULTS_SHOWN).unwrap_or(0));
        if more > 0 {
            output.line(format!("  and {more} more"));
        }
    }
    for (title, sentences) in [("proven", report.proven()), ("not proven", report.not_proven())] {
        if !sentences.is_empty() {
            output.line(format!("\n{title}"));
            sentences.iter().for_each(|sentence| output.line(format!("  - {sentence}")));
        }
    }
    output.line(format!("\nstatements: {} matched, unmatched = {unmatched}", statements.matched));
}
