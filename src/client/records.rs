//! This process's records on their way to the server's log, and those that dead processes of the same user have left.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinHandle;
use tracing::{debug, warn};

use super::gateway::Gateway;
use super::remembered::Remembered;
use super::spool::{self, Spool, Uplink};
use crate::audit::{Inclusion, Receipt};
use crate::domain::{Digest, Duration, Failure, Kind, PublicKey};
use crate::runtime::recorder::{Recorder, Recorders};
use crate::runtime::{env, random};
use crate::wire::api::{InclusionProof, UploadReceipt, UploadRequest};

/// How long a process that ends waits for its last records to be taken. What was not taken by then stays on this
/// machine, and the next process sends it.
const LAST_RECORDS: Duration = Duration::from_secs(2);

/// Records of one user at one server.
#[derive(Debug)]
pub(crate) struct Records {
    gateway: Arc<Gateway>,
    remembered: Remembered,
    root: std::path::PathBuf,
    spool: Arc<Spool>,
    /// Nothing more will be recorded.
    over: Arc<AtomicBool>,
    sending: Mutex<Option<JoinHandle<Result<(), Failure>>>>,
    inheriting: Mutex<Option<JoinHandle<()>>>,
}

impl Records {
    /// Makes the place where this process records for `pseudonym`.
    pub(crate) fn open(gateway: &Arc<Gateway>, pseudonym: &str) -> Result<Self, Failure> {
        let server = PublicKey(gateway.server_key()?);
        let root = env::data_dir()?.join("spool").join(server.to_string()).join(pseudonym);
        spool::create_root(&root)?;
        let spool = Arc::new(Spool::create(&root, random::record_id)?);
        let remembered = remembered(gateway)?;
        let (over, sending, inheriting) = Default::default();
        Ok(Self { gateway: Arc::clone(gateway), remembered, root, spool, over, sending, inheriting })
    }

    pub(crate) fn recorders(&self) -> &Recorders {
        self.spool.recorders()
    }

    /// Sends what is recorded from now on, and what others have left behind; what they had not signed is signed by
    /// `recorder`.
    pub(crate) fn send(&self, recorder: &Recorder) {
        let (gateway, remembered) = (Arc::clone(&self.gateway), self.remembered.clone());
        let (spool, over) = (Arc::clone(&self.spool), Arc::clone(&self.over));
        let sending = tokio::spawn(async move {
            spool.send(&*gateway, &remembered, || over.load(Ordering::Acquire)).await?;
            spool.remove()
        });
        *self.sending.lock().unwrap_or_else(PoisonError::into_inner) = Some(sending);

        let (gateway, remembered) = (Arc::clone(&self.gateway), self.remembered.clone());
        let (root, recorder) = (self.root.clone(), recorder.clone());
        let inheriting = tokio::task::spawn_blocking(move || match Spool::take_over(&root, &recorder) {
            Ok(found) => drop(tokio::spawn(send_inherited(found, gateway, remembered))),
            Err(failure) => warn!(error = %failure, "records of an earlier process could not be taken over"),
        });
        *self.inheriting.lock().unwrap_or_else(PoisonError::into_inner) = Some(inheriting);
    }

    /// Waits until whatever was left unsigned here by others has been signed: the recorder that signs it may be closed
    /// after that.
    pub(crate) async fn inherited(&self) {
        let inheriting = self.inheriting.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(inheriting) = inheriting {
            drop(tokio::time::timeout(LAST_RECORDS, inheriting).await);
        }
    }

    /// Has the last records sent; every recorder has been closed. A log that refuses them, or does not prove that it
    /// has them, is a failure; a server that does not answer is none, because the next process sends them.
    pub(crate) async fn finish(&self) -> Result<(), Failure> {
        self.over.store(true, Ordering::Release);
        self.spool.hurry();
        let Some(mut sending) = self.sending.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return self.spool.remove();
        };
        match tokio::time::timeout(LAST_RECORDS, &mut sending).await {
            Ok(Ok(sent)) => sent,
            Ok(Err(_)) => Err(Failure::new(Kind::Internal, "this session's records could not be sent")),
            Err(_) => {
                debug!("records stay here for the next process to send");
                sending.abort();
                Ok(())
            }
        }
    }
}

async fn send_inherited(
    found: Vec<(Spool, crate::runtime::drain::Recovery)>,
    gateway: Arc<Gateway>,
    remembered: Remembered,
) {
    for (spool, recovery) in found {
        debug!(unsigned = recovery.records, unknown = recovery.unknown, "records of an earlier process taken over");
        let sent = spool.send(&*gateway, &remembered, || true).await;
        if let Err(failure) = sent.and_then(|()| spool.remove()) {
            warn!(error = %failure, "records of an earlier process could not be sent");
        }
    }
}

/// What this user remembers of the server's log.
pub(crate) fn remembered(gateway: &Gateway) -> Result<Remembered, Failure> {
    let server = PublicKey(gateway.server_key()?);
    let path = env::data_dir()?.join("logs").join(format!("{server}.checkpoint"));
    Ok(Remembered::new(path, gateway.log_key()?))
}

impl Uplink for Gateway {
    async fn upload(&self, envelopes: &[String], remembered: u64) -> Result<Receipt, Failure> {
        let request = UploadRequest { envelopes: envelopes.to_vec(), remembered };
        let answer: UploadReceipt = self.post("/v1/log/envelopes", &request).await?;
        receipt(answer).ok_or_else(|| Failure::new(Kind::Gateway, "the server's receipt was not understood"))
    }
}

/// A receipt as it came over the wire; nothing in it has been checked.
pub(super) fn receipt(answer: UploadReceipt) -> Option<Receipt> {
    let hashes = |texts: &[String]| texts.iter().map(|text| Digest::parse(text)).collect::<Option<Vec<_>>>();
    let inclusion = |found: &InclusionProof| Some(Inclusion { leaf: found.leaf, proof: hashes(&found.proof)? });
    Some(Receipt {
        inclusions: answer.inclusions.iter().map(inclusion).collect::<Option<_>>()?,
        consistency: hashes(&answer.consistency)?,
        checkpoint: answer.checkpoint,
    })
}
