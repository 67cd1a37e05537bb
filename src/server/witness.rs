//! A witness: signs the checkpoints of logs that are somebody else's, and remembers for each the last tree it signed
//! (c2sp.org/tlog-witness). It belongs into another trust domain than the logs: whoever can change both can change the
//! past.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use rusqlite::{OptionalExtension, Transaction};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::listener::{self, Door};
use super::store::{Migrations, Store};
use crate::audit::{
    AddCheckpoint, Algorithm, Checkpoint, Head, NoteKey, NoteSigner, Signer, WITNESS_REQUEST_MAX, WitnessRefusal,
};
use crate::domain::{Digest, Duration, Failure, Kind, Secret};
use crate::runtime::shutdown::Ending;
use crate::runtime::tls::{self, CertifiedPem};
use crate::runtime::{clock, files, random};

const MIGRATIONS: &[Migrations] = &[Migrations {
    owner: "witness",
    steps: &["
        CREATE TABLE trees (
            origin TEXT PRIMARY KEY,
            size INTEGER NOT NULL,
            root BLOB NOT NULL
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE evidence (
            received INTEGER NOT NULL,
            why TEXT NOT NULL,
            note TEXT NOT NULL
        ) STRICT;
    "],
}];

/// Checkpoints of logs that contradicted themselves which are kept for whoever looks into it.
const EVIDENCE_MAX: i64 = 1000;

/// How long a request may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the specification calls the type of an answer that is a size.
const SIZE_TYPE: &str = "text/x.tlog.size";

/// What a witness is told.
#[derive(Debug)]
pub(crate) struct WitnessSetup {
    /// Where it keeps its key and its memory.
    pub(crate) folder: PathBuf,
    /// What it signs as: a URL without its scheme.
    pub(crate) name: String,
    /// The logs it signs for.
    pub(crate) logs: Vec<NoteKey>,
    pub(crate) listen: SocketAddr,
    /// `None`: plain HTTP, which is enough on one machine or behind a proxy. Nothing it says is secret, and everything
    /// is signed.
    pub(crate) tls: Option<CertifiedPem>,
}

/// A witness that has its port but does not answer yet.
#[derive(Debug)]
pub(crate) struct Witness {
    desk: Arc<Desk>,
    listener: TcpListener,
    door: Door,
}

/// What every request can reach.
#[derive(Debug)]
struct Desk {
    signer: NoteSigner,
    logs: Vec<NoteKey>,
    store: Store,
}

impl Witness {
    /// Opens the witness; its key is made at the first start.
    pub(crate) async fn open(setup: WitnessSetup) -> Result<Self, Failure> {
        files::create_private_dir(&setup.folder).map_err(|error| unusable(&setup, &error))?;
        let signer = NoteSigner::new(&setup.name, Algorithm::Cosignature, key(&setup)?).map_err(|error| {
            Failure::new(Kind::Usage, format!("a witness cannot be called `{}`", setup.name)).cause(error)
        })?;
        let store = Store::with(&setup.folder.join("witness.db"), MIGRATIONS)?;
        let listener = listener::bind(setup.listen).await?;
        let door = match &setup.tls {
            Some(identity) => Door::Tls(tls::server(identity, &["http/1.1"])?),
            None => Door::Plain,
        };
        let desk = Arc::new(Desk { signer, logs: setup.logs, store });
        Ok(Self { desk, listener, door })
    }

    /// The key that its signatures are checked with.
    pub(crate) fn key(&self) -> &NoteKey {
        self.desk.signer.key()
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.listener.local_addr().ok()
    }

    /// Serves until the end is asked for. Not cancel safe: requests would be cut off.
    pub(crate) async fn run(self, ending: Ending) {
        let router = Router::new().route("/add-checkpoint", post(add_checkpoint)).with_state(self.desk);
        listener::serve(self.listener, self.door, router, ending).await;
    }
}

/// The witness's secret key, in a file that only its owner can read.
fn key(setup: &WitnessSetup) -> Result<Signer, Failure> {
    let path = setup.folder.join("key");
    let seed = match files::read_secret(&path, 32).map_err(|error| unusable(setup, &error))? {
        Some(bytes) => bytes
            .try_into()
            .map_err(|_| Failure::new(Kind::Usage, format!("`{}` is not a witness's key", path.display())))?,
        None => {
            let seed = random::bytes::<32>()?;
            files::write_private(&path, &seed).map_err(|error| unusable(setup, &error))?;
            seed
        }
    };
    Signer::new(Secret::new(seed)).map_err(|_| Failure::new(Kind::Internal, "the witness's key cannot be used"))
}

fn unusable(setup: &WitnessSetup, error: &std::io::Error) -> Failure {
    Failure::new(Kind::Usage, format!("`{}` cannot be used", setup.folder.display())).cause(error)
}

async fn add_checkpoint(State(desk): State<Arc<Desk>>, request: Request) -> Response {
    let body = match timeout(PATIENCE, to_bytes(request.into_body(), WITNESS_REQUEST_MAX)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return StatusCode::PAYLOAD_TOO_LARGE.into_response(),
        Err(_) => return StatusCode::REQUEST_TIMEOUT.into_response(),
    };
    match desk.sign(&String::from_utf8_lossy(&body)).await {
        Ok(Ok(line)) => line.into_response(),
        Ok(Err(refusal)) => refused(&refusal),
        Err(failure) => {
            tracing::error!(error = %failure, "a checkpoint could not be judged");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn refused(refusal: &WitnessRefusal) -> Response {
    let status = match refusal {
        WitnessRefusal::Malformed(_) => StatusCode::BAD_REQUEST,
        WitnessRefusal::UnknownLog(_) => StatusCode::NOT_FOUND,
        WitnessRefusal::Unsigned => StatusCode::FORBIDDEN,
        WitnessRefusal::OtherSize { .. } | WitnessRefusal::OtherRoot { .. } => StatusCode::CONFLICT,
        WitnessRefusal::Inconsistent => StatusCode::UNPROCESSABLE_ENTITY,
    };
    match refusal {
        WitnessRefusal::OtherSize { size } | WitnessRefusal::OtherRoot { size } => {
            (status, [(header::CONTENT_TYPE, SIZE_TYPE)], format!("{size}\n")).into_response()
        }
        WitnessRefusal::Malformed(_)
        | WitnessRefusal::UnknownLog(_)
        | WitnessRefusal::Unsigned
        | WitnessRefusal::Inconsistent => (status, format!("{refusal}\n")).into_response(),
    }
}

impl Desk {
    /// Judges a checkpoint, remembers it, and signs it, in this order.
    async fn sign(&self, text: &str) -> Result<Result<String, WitnessRefusal>, Failure> {
        let opened = AddCheckpoint::read(text).and_then(|asked| Ok((asked.open(&self.logs)?, asked)));
        let (checkpoint, asked) = match opened {
            Ok(opened) => opened,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let text = checkpoint.text();
        let log = checkpoint.origin.clone();
        let judged = self.store.run(move |db| remember(db, &asked, &checkpoint)).await?;
        match judged {
            Ok(()) => {}
            Err(refusal) => {
                if contradicts(&refusal) {
                    tracing::error!(%log, why = %refusal, "a log contradicts what it had signed before");
                }
                return Ok(Err(refusal));
            }
        }
        let signed = self.signer.sign(&text, clock::now());
        signed.map(Ok).map_err(|_| Failure::new(Kind::Internal, "the witness's key cannot be used"))
    }
}

/// The log has signed two trees of which neither continues the other.
fn contradicts(refusal: &WitnessRefusal) -> bool {
    matches!(refusal, WitnessRefusal::OtherRoot { .. } | WitnessRefusal::Inconsistent)
}

/// Judges and remembers in one transaction: of two requests at the same time, one sees what the other has left.
fn remember(
    db: &Transaction<'_>,
    asked: &AddCheckpoint,
    new: &Checkpoint,
) -> rusqlite::Result<Result<(), WitnessRefusal>> {
    let read = |row: &rusqlite::Row<'_>| {
        let size: i64 = row.get(0)?;
        Ok(Head { size: u64::try_from(size).unwrap_or(0), root: Digest(row.get(1)?) })
    };
    let known = db.query_row("SELECT size, root FROM trees WHERE origin = ?1", [&new.origin], read).optional()?;
    if let Err(refusal) = asked.judge(new.head, known.unwrap_or_else(Head::empty)) {
        if contradicts(&refusal) {
            let received = i64::try_from(clock::now().millis()).unwrap_or(i64::MAX);
            db.execute("INSERT INTO evidence VALUES (?1, ?2, ?3)", (received, refusal.to_string(), &asked.note))?;
            db.execute("DELETE FROM evidence WHERE rowid <= (SELECT max(rowid) FROM evidence) - ?1", [EVIDENCE_MAX])?;
        }
        return Ok(Err(refusal));
    }
    let size = i64::try_from(new.head.size).unwrap_or(i64::MAX);
    db.execute("INSERT OR REPLACE INTO trees VALUES (?1, ?2, ?3)", (&new.origin, size, new.head.root.0))?;
    Ok(Ok(()))
}
