//! Asks witnesses to sign the log's checkpoints (c2sp.org/tlog-witness), and publishes what they have signed.

use std::collections::BTreeMap;
use std::sync::Arc;

use reqwest::StatusCode;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Log;
use crate::audit::{self, AddCheckpoint, Head, Note};
use crate::domain::{Duration, Failure};
use crate::runtime::http;
use crate::server::config;

/// How often a witness signs a checkpoint again that has not changed: its time proves that the log is not a stale copy
/// (`reference/trust.md` section 1.4).
const IDLE: Duration = Duration::from_secs(10 * 60);

/// How long to wait after a round in which a witness did not sign.
const AGAIN: Duration = Duration::from_secs(2);

/// How long one witness may take for its answer. Whoever wants the checkpoint that comes next waits for this, and for
/// [`GRACE`], and is more patient than both.
const ANSWER: Duration = Duration::from_secs(3);

/// How long somebody who wants the checkpoint waits for its witnesses.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a checkpoint waits for all of its witnesses before it is published with the signatures there are: one that
/// does not answer must not keep those of the others back.
const GRACE: Duration = Duration::from_secs(1);

/// Times that a witness is asked for one checkpoint: it may say which tree it has seen last.
const TRIES: usize = 3;

/// The witnesses, and the last checkpoint that one of them has signed.
#[derive(Debug)]
pub(crate) struct Cosigners {
    witnesses: Vec<Arc<Witness>>,
    /// The head and the note with the witnesses' signatures.
    signed: watch::Sender<Option<(Head, String)>>,
}

#[derive(Debug)]
struct Witness {
    told: config::Witness,
    client: reqwest::Client,
}

impl Cosigners {
    pub(crate) fn new(witnesses: &[config::Witness]) -> Result<Self, Failure> {
        let client = |told: &config::Witness| {
            let client = http::foreign_client(&told.trust, &told.url)?;
            Ok(Arc::new(Witness { told: told.clone(), client }))
        };
        let witnesses = witnesses.iter().map(client).collect::<Result<_, Failure>>()?;
        Ok(Self { witnesses, signed: watch::Sender::new(None) })
    }

    /// Follows the log until dropped.
    pub(crate) async fn follow(self: Arc<Self>, log: Arc<Log>) {
        if self.witnesses.is_empty() {
            return;
        }
        let mut grown = log.committed();
        // What each of them has signed last, as far as is known here.
        let mut known: Vec<u64> = self.witnesses.iter().map(|_| 0).collect();
        let mut last = None;
        loop {
            let all_signed = match log.checkpoint().await {
                Ok(Some((head, note))) if last != Some(head) => {
                    let all_signed = self.round(&log, head, &note, &mut known).await;
                    last = Some(head);
                    all_signed
                }
                Ok(_) => true,
                Err(failure) => {
                    tracing::warn!(error = %failure, "the log's checkpoint cannot be read");
                    false
                }
            };
            if !all_signed {
                // What has come meanwhile need not wait for one that does not answer.
                drop(tokio::time::timeout(AGAIN, grown.changed()).await);
                last = None;
            } else if tokio::time::timeout(IDLE, grown.changed()).await.is_err() {
                last = None;
            }
        }
    }

    /// Asks every witness about one checkpoint, all at once, and publishes it with the signatures of those who gave one:
    /// when all have answered, or after [`GRACE`], and then again with each that comes late. Says whether all signed.
    async fn round(&self, log: &Arc<Log>, head: Head, note: &str, known: &mut [u64]) -> bool {
        let mut asking = JoinSet::new();
        for (place, (witness, known)) in self.witnesses.iter().zip(known.iter()).enumerate() {
            let (witness, log, note, mut known) = (Arc::clone(witness), Arc::clone(log), note.to_owned(), *known);
            asking.spawn(async move {
                let answer = witness.ask(&log, head, &note, &mut known).await;
                (place, known, answer)
            });
        }
        // In the order of the configuration, whoever answers first.
        let mut lines = BTreeMap::new();
        let mut late = false;
        let grace = tokio::time::sleep(GRACE);
        tokio::pin!(grace);
        loop {
            tokio::select! {
                answer = asking.join_next() => match answer {
                    Some(Ok((place, seen, answer))) => {
                        known.iter_mut().skip(place).take(1).for_each(|known| *known = seen);
                        match (answer, self.witnesses.get(place)) {
                            (Ok(signature), _) => drop(lines.insert(place, signature)),
                            (Err(why), witness) => {
                                let witness = witness.map(|witness| witness.told.key.name.as_str());
                                tracing::error!(witness, %why, "a witness does not sign the log");
                            }
                        }
                    }
                    // It was cut off: the server stops.
                    Some(Err(_)) => {}
                    None => break,
                },
                () = &mut grace, if !late => late = true,
            }
            if late {
                self.publish(head, note, &lines);
            }
        }
        self.publish(head, note, &lines);
        lines.len() == self.witnesses.len()
    }

    fn publish(&self, head: Head, note: &str, lines: &BTreeMap<usize, String>) {
        if !lines.is_empty() {
            let lines: String = lines.values().map(String::as_str).collect();
            self.signed.send_replace(Some((head, format!("{note}{lines}"))));
        }
    }

    /// The last checkpoint that witnesses have signed, if it has so many entries, or will have within a moment. Cancel
    /// safe.
    pub(crate) async fn checkpoint(&self, size: u64) -> Option<String> {
        if self.witnesses.is_empty() {
            return None;
        }
        let mut signed = self.signed.subscribe();
        let big_enough = |signed: &Option<(Head, String)>| signed.as_ref().is_some_and(|(head, _)| head.size >= size);
        let found = tokio::time::timeout(PATIENCE, signed.wait_for(big_enough)).await.ok()?.ok()?;
        found.as_ref().map(|(_, note)| note.clone())
    }
}

impl Witness {
    /// The signature lines of this witness under a checkpoint. Why there are none is for the operator.
    async fn ask(&self, log: &Log, head: Head, note: &str, known: &mut u64) -> Result<String, String> {
        for _ in 0..TRIES {
            if *known > head.size {
                return Err(format!("it has seen {known} entries, and the log has {}: it was rolled back", head.size));
            }
            let proof = log.consistency(*known, head.size).await.map_err(|failure| failure.to_string())?;
            let body = AddCheckpoint { old: *known, proof, note: note.to_owned() }.write();
            let url = format!("{}/add-checkpoint", self.told.url.as_str().trim_end_matches('/'));
            let answer = http::send(self.client.post(url).timeout(ANSWER).body(body))
                .await
                .map_err(|error| error.to_string())?;
            let text = String::from_utf8_lossy(&answer.body);
            let seen = audit::tree_size(text.trim_end());
            match (answer.status, seen) {
                (StatusCode::OK, _) => {
                    *known = head.size;
                    return self.signatures(note, &text).ok_or_else(|| "its answer is not its signature".to_owned());
                }
                (StatusCode::CONFLICT, Some(seen)) if seen != *known => *known = seen,
                (StatusCode::CONFLICT, _) => return Err("it has seen another tree of this size".to_owned()),
                (StatusCode::UNPROCESSABLE_ENTITY, _) => return Err("it has seen another beginning".to_owned()),
                (status, _) => return Err(format!("it answered {}", status.as_u16())),
            }
        }
        Err("it does not say twice the same".to_owned())
    }

    /// The lines of the answer that are this witness's signature under the note's text.
    fn signatures(&self, note: &str, answer: &str) -> Option<String> {
        let (text, _) = note.rsplit_once("\n\n")?;
        let is_ours = |line: &&str| {
            let note = Note::read(&format!("{text}\n\n{line}"));
            note.is_ok_and(|note| note.verify(&self.told.key).is_ok())
        };
        let lines: String = answer.split_inclusive('\n').filter(is_ours).collect();
        (!lines.is_empty()).then_some(lines)
    }
}
