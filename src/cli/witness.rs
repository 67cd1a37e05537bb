//! Run a witness.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{ArgMatches, Args};
use serde::Serialize;

use super::exit::Exit;
use super::output::{Format, Output};
use super::{Command, parse, run_async};
use crate::audit::{Algorithm, NoteKey};
use crate::client::log::key;
use crate::domain::{Failure, Kind, Secret};
use crate::runtime::shutdown::{self, Shutdown};
use crate::runtime::tls::CertifiedPem;
use crate::runtime::{files, log};
use crate::server::{self, WitnessSetup};

pub(super) struct Witness;

#[derive(Args)]
struct Arguments {
    /// What the witness signs as: a name that is yours, as in a URL without https://
    #[arg(long, value_name = "NAME")]
    name: String,
    /// The key of a log to sign for, as `gov audit key` prints it; may be repeated
    #[arg(long, value_name = "KEY", required = true)]
    log: Vec<String>,
    /// Where the witness keeps its key and what it has seen. Never put an older copy of it back
    #[arg(long, value_name = "FOLDER")]
    data: PathBuf,
    /// Where to listen
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7444")]
    listen: SocketAddr,
    /// Serve over TLS with this certificate chain, in PEM; plain HTTP when left out
    #[arg(long, value_name = "FILE", requires = "certificate_key")]
    certificate: Option<PathBuf>,
    /// The certificate's key, in PEM
    #[arg(long, value_name = "FILE", requires = "certificate")]
    certificate_key: Option<PathBuf>,
}

/// What `--json` prints when the witness is ready.
#[derive(Serialize)]
struct Ready {
    key: String,
    address: Option<String>,
}

/// Longest certificate or key file, in bytes.
const PEM_MAX: u64 = 64 * 1024;

impl Command for Witness {
    fn name(&self) -> &'static str {
        "witness"
    }

    fn summary(&self) -> &'static str {
        "Sign checkpoints of logs, and none that contradicts another"
    }

    fn define(&self, command: clap::Command) -> clap::Command {
        Arguments::augment_args(command)
            .long_about(
                "Run a witness for logs of gov, or of anybody who speaks c2sp.org/tlog-witness. It signs a log's \
                 checkpoint only if the log has grown from the one it signed before, so a log that was put back to an \
                 older state, or that shows two people two histories, is signed no more.\n\nRun it where those who run \
                 the log cannot reach: another account, an auditor's machine. It prints its key; the log's server names \
                 it under `audit.witnesses`, and whoever verifies asks for it with gov audit verify --witness KEY.",
            )
            .after_help("Example: gov witness --name witness.example --log \"$(gov audit key)\" --data /var/lib/witness")
    }

    fn run(&self, arguments: &ArgMatches, output: &mut Output) -> Result<Exit, Failure> {
        let arguments: Arguments = parse(arguments)?;
        let logs = arguments.log.iter().map(|text| log_key(text)).collect::<Result<_, _>>()?;
        let tls = match (&arguments.certificate, &arguments.certificate_key) {
            (Some(certificate), Some(key)) => {
                Some(CertifiedPem { chain: pem(certificate)?, key: Secret::new(pem(key)?) })
            }
            (_, _) => None,
        };
        let (name, folder, listen) = (arguments.name, arguments.data, arguments.listen);
        log::start("info");
        run_async(serve(WitnessSetup { folder, name, logs, listen, tls }, output))
    }
}

fn log_key(text: &str) -> Result<NoteKey, Failure> {
    let key = key(text)?;
    if key.algorithm != Algorithm::Ed25519 {
        return Err(Failure::new(Kind::Usage, format!("`{text}` is the key of a witness, not of a log")));
    }
    Ok(key)
}

fn pem(path: &Path) -> Result<String, Failure> {
    let unusable = || Failure::new(Kind::Usage, format!("`{}` cannot be read", path.display()));
    let bytes = files::read_limited(path, PEM_MAX).map_err(|error| unusable().cause(error))?.ok_or_else(unusable)?;
    String::from_utf8(bytes).map_err(|error| unusable().cause(error))
}

async fn serve(setup: WitnessSetup, output: &mut Output) -> Result<Exit, Failure> {
    let (shutdown, ending) = Shutdown::new();
    // Before anything is announced: whoever waits for the announcement may end us right after it.
    let mut signalled = std::pin::pin!(shutdown::signalled());
    let witness = server::Witness::open(setup).await?;
    let (key, address) = (witness.key().text(), witness.address().map(|address| address.to_string()));
    match output.format() {
        Format::Json => output.json(&Ready { key, address }),
        Format::Human => output.line(key),
    }
    let mut serving = std::pin::pin!(witness.run(ending));
    tokio::select! {
        () = &mut serving => {}
        signal = &mut signalled => {
            signal?;
            shutdown.begin();
            serving.await;
        }
    }
    Ok(Exit::Done)
}
