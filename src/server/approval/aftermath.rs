//! What becomes of requests whose gateway went without a word.
//!
//! Who waited in a session waits no more: that is withdrawn. What was running ended as the log says; the log has the start
//! of everything that was sent, because it is written first.

use tracing::warn;

use super::*;
use crate::server::timeline::{Entry, Filter};

/// What is said of what somebody still waited for.
const NOBODY_WAITS: &str = "the gateway was stopped, and nobody waits for this any more: nothing of it has run";

/// More statements than one approval is good for.
const STATEMENTS_MAX: u32 = 100;

impl Approvals {
    /// Withdraws what a session that is gone waited for, and puts on record what was not yet.
    pub(crate) async fn recover(&self) -> Result<(), Failure> {
        self.announce().await;
        let now = clock::now();
        for approval in self.store.run(|db| load_all(db, true)).await? {
            let (wanted, remark) = match approval.ballot.state {
                ApprovalState::Executing => {
                    self.cut.lock().unwrap_or_else(PoisonError::into_inner).push(approval.id);
                    continue;
                }
                _ if approval.body.session.is_some() => (Move::Withdraw, Some(NOBODY_WAITS.to_owned())),
                _ => (Move::Tick, None),
            };
            if let Err(failure) = self.play(approval.id, now, None, wanted, remark).await {
                warn!(approval = %approval.id, error = %failure, "what a stopped server left open stays as it is");
            }
        }
        Ok(())
    }

    /// Ends what ran when the last gateway was stopped as the log says, once all of the log has been looked through. Until
    /// then it is `executing`, and nobody can use it. Cancel safe.
    pub(super) async fn settle_cut(&self, timeline: &Timeline) {
        let cut = std::mem::take(&mut *self.cut.lock().unwrap_or_else(PoisonError::into_inner));
        if cut.is_empty() {
            return;
        }
        timeline.caught_up(&self.log).await;
        for id in cut {
            while let Err(failure) = self.settle(id, timeline).await {
                warn!(approval = %id, error = %failure, "how an execution ended cannot be looked up");
                tokio::time::sleep(TICK_EVERY).await;
            }
        }
    }

    async fn settle(&self, id: ApprovalId, timeline: &Timeline) -> Result<(), Failure> {
        let filter = Filter {
            approval: Some(id.to_string()),
            kind: Some("statement".to_owned()),
            limit: STATEMENTS_MAX,
            ..Filter::default()
        };
        let (executed, remark) = outcome(&timeline.find(filter).await?.entries, self.durability);
        self.play(id, clock::now(), None, Move::Finish(executed), Some(remark.to_owned())).await?;
        Ok(())
    }
}

/// How an execution ended, by the statements that began by it.
fn outcome(began: &[Entry], durability: Durability) -> (Executed, &'static str) {
    let is = |entry: &Entry, word| entry.outcome.as_deref() == Some(word);
    if began.iter().any(|entry| !is(entry, "ok") && !is(entry, "error")) {
        (Executed::Unseen, "the gateway was stopped while this ran: nobody saw whether it took effect")
    } else if began.iter().any(|entry| is(entry, "error")) {
        (Executed::Badly, "the gateway was stopped just after this had failed")
    } else if !began.is_empty() {
        (Executed::Well, "the gateway was stopped just after this had run")
    } else {
        match durability {
            Durability::Synced => {
                (Executed::Badly, "the gateway was stopped before this was sent: nothing of it has run")
            }
            // The disk may have forgotten that it began.
            Durability::Written => (Executed::Unseen, "the gateway was stopped about when this was sent"),
        }
    }
}
