//! A second person's yes or no: the states an approval goes through, and who may move it.
//!
//! ```text
//! PENDING ──quorum──▶ APPROVED ──used──▶ EXECUTING ─▶ EXECUTED │ FAILED │ UNKNOWN (nobody saw it end)
//!    │ one no ▶ DENIED      │ revoked ▶ REVOKED      └─▶ STALE (it is not what was approved)
//!    │ approve by ▶ EXPIRED │ execute by ▶ LAPSED
//!    │ requester ▶ WITHDRAWN
//! ```
//!
//! An approval of access is not used up: from the moment it is given it is good for its length, and then LAPSED. One that
//! somebody took without asking, in an emergency, begins APPROVED; its end is not its last word, for it has to be
//! REVIEWED by somebody else.
//!
//! Each arrow is taken once, by whoever comes first; whoever comes later is told what it is now. Nothing leads out of
//! an end, and EXECUTING is entered once: that is what makes an approval good for one execution.

use std::fmt;

use super::failure::{Failure, Kind};
use super::time::{Duration, Timestamp};

/// Where an approval is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ApprovalState {
    Pending,
    Approved,
    Executing,
    Executed,
    Failed,
    Unknown,
    Denied,
    Expired,
    Withdrawn,
    Revoked,
    Lapsed,
    Stale,
    Reviewed,
}

impl ApprovalState {
    const ALL: [Self; 13] = [
        Self::Pending,
        Self::Approved,
        Self::Executing,
        Self::Executed,
        Self::Failed,
        Self::Unknown,
        Self::Denied,
        Self::Expired,
        Self::Withdrawn,
        Self::Revoked,
        Self::Lapsed,
        Self::Stale,
        Self::Reviewed,
    ];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Executing => "executing",
            Self::Executed => "executed",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
            Self::Revoked => "revoked",
            Self::Lapsed => "lapsed",
            Self::Stale => "stale",
            Self::Reviewed => "reviewed",
        }
    }

    pub(crate) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }

    /// Nothing leads out of it.
    pub(crate) fn is_end(self) -> bool {
        !matches!(self, Self::Pending | Self::Approved | Self::Executing)
    }
}

impl fmt::Display for ApprovalState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// How an execution ended, as far as its approval is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Executed {
    Well,
    Badly,
    /// Nobody saw it end.
    Unseen,
    /// It was not what had been approved, and did not run.
    Stale,
}

/// The part of an approval that decides what may happen to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ballot {
    pub(crate) state: ApprovalState,
    /// Pseudonyms of those who said yes, each once.
    pub(crate) yes: Vec<String>,
    /// Who said no.
    pub(crate) no: Option<String>,
    /// Distinct persons who must say yes.
    pub(crate) needed: usize,
    /// Pseudonyms of those who may not: the requester and everybody the requester acts for.
    pub(crate) barred: Vec<String>,
    pub(crate) approve_by: Timestamp,
    pub(crate) execute_by: Timestamp,
    /// It is good for this long once it is given, and not used up: an approval of access.
    pub(crate) lasts: Option<Duration>,
    /// Somebody else has to look at it when it is over.
    pub(crate) review: bool,
}

/// Something somebody wants to happen to an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Move<'a> {
    /// Yes, by a person who belongs to those who may say so.
    Approve(&'a str),
    /// No, by such a person. Before the execution it counts whenever it comes: a no wins.
    Deny(&'a str),
    /// The requester, or the end of the requester's wait.
    Withdraw,
    /// Now it runs.
    Use,
    /// It ran, or not.
    Finish(Executed),
    /// Somebody who may decide has looked at what was done with it.
    Review(&'a str),
    /// Somebody may not decide any more, whatever they have said: they answer for the agent that asks now.
    Bar(&'a str),
    /// Time passes.
    Tick,
}

impl Ballot {
    /// Makes a move. Says where the approval is then, or why it cannot be made; in that case nothing has changed but
    /// what time alone changes.
    pub(crate) fn play(&mut self, now: Timestamp, wanted: Move<'_>) -> Result<ApprovalState, Failure> {
        self.tick(now);
        let next = match (wanted, self.state) {
            (Move::Tick, state) => state,
            (Move::Bar(who), ApprovalState::Pending | ApprovalState::Approved) => self.bar(who),
            // What has been used, or has ended, stays as it is.
            (Move::Bar(_), state) => state,
            (Move::Approve(who) | Move::Deny(who) | Move::Review(who), _)
                if self.barred.iter().any(|barred| barred == who) =>
            {
                return Err(Failure::new(Kind::Denied, "nobody decides about their own request")
                    .detail("That includes whoever asked, the agent that asked, and whoever it acts for."));
            }
            (Move::Approve(who), ApprovalState::Pending) => {
                if !self.yes.iter().any(|known| known == who) {
                    self.yes.push(who.to_owned());
                }
                if self.yes.len() >= self.needed {
                    if let Some(lasts) = self.lasts {
                        self.execute_by = now.after(lasts);
                    }
                    ApprovalState::Approved
                } else {
                    ApprovalState::Pending
                }
            }
            (Move::Deny(who), ApprovalState::Pending) => {
                self.no = Some(who.to_owned());
                ApprovalState::Denied
            }
            // What was allowed and has not run yet can be taken back.
            (Move::Deny(who), ApprovalState::Approved) => {
                self.no = Some(who.to_owned());
                ApprovalState::Revoked
            }
            (Move::Withdraw, ApprovalState::Pending | ApprovalState::Approved) => ApprovalState::Withdrawn,
            (Move::Use, ApprovalState::Approved) if self.lasts.is_none() => ApprovalState::Executing,
            (Move::Review(_), state) if self.review && state.is_end() && state != ApprovalState::Reviewed => {
                ApprovalState::Reviewed
            }
            (Move::Review(_), ApprovalState::Approved) if self.review => {
                return Err(Failure::new(Kind::Denied, "this is not over yet")
                    .detail(format!("What was done with it can be reviewed after {}.", self.execute_by)));
            }
            (Move::Finish(executed), ApprovalState::Executing) => match executed {
                Executed::Well => ApprovalState::Executed,
                Executed::Badly => ApprovalState::Failed,
                Executed::Unseen => ApprovalState::Unknown,
                Executed::Stale => ApprovalState::Stale,
            },
            (Move::Use, ApprovalState::Pending) => {
                return Err(Failure::new(Kind::Pending, "nobody has approved this yet"));
            }
            (Move::Approve(_), ApprovalState::Approved) => {
                return Err(Failure::new(Kind::Denied, "this approval is approved already")
                    .detail(format!("It is good until {}, unless somebody takes it back.", self.execute_by)));
            }
            (
                Move::Approve(_) | Move::Deny(_) | Move::Withdraw | Move::Use | Move::Finish(_) | Move::Review(_),
                state,
            ) => {
                return Err(Failure::new(Kind::Denied, format!("this approval is {state}"))
                    .detail("It cannot be decided, used or taken back any more."));
            }
        };
        self.state = next;
        Ok(next)
    }

    /// A yes of somebody who is barred is none, and may have been the one it rested on.
    fn bar(&mut self, who: &str) -> ApprovalState {
        if !self.barred.iter().any(|barred| barred == who) {
            self.barred.push(who.to_owned());
        }
        let said = self.yes.len();
        self.yes.retain(|yes| yes != who);
        let rested = self.yes.len() < said && self.yes.len() < self.needed;
        if self.state == ApprovalState::Approved && rested { ApprovalState::Revoked } else { self.state }
    }

    /// Nothing is expected of anybody any more.
    pub(crate) fn is_over(&self) -> bool {
        self.state.is_end() && (!self.review || self.state == ApprovalState::Reviewed)
    }

    /// What time alone changes.
    fn tick(&mut self, now: Timestamp) {
        self.state = match self.state {
            ApprovalState::Pending if now >= self.approve_by => ApprovalState::Expired,
            ApprovalState::Approved if now >= self.execute_by => ApprovalState::Lapsed,
            state => state,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ballot(needed: usize) -> Ballot {
        Ballot {
            state: ApprovalState::Pending,
            yes: vec![],
            no: None,
            needed,
            barred: vec!["alice".to_owned(), "robot".to_owned()],
            approve_by: Timestamp::from_seconds(100),
            execute_by: Timestamp::from_seconds(200),
            lasts: None,
            review: false,
        }
    }

    /// Plays the moves at second 1; the last answer.
    fn play(needed: usize, moves: &[Move<'_>]) -> Result<ApprovalState, Kind> {
        let mut ballot = ballot(needed);
        let mut last = Ok(ApprovalState::Pending);
        for wanted in moves {
            last = ballot.play(Timestamp::from_seconds(1), *wanted);
        }
        last.map_err(|failure| failure.kind)
    }

    #[test]
    fn moves() {
        use Move::{Approve, Deny, Finish, Use, Withdraw};
        assert_eq!(play(1, &[Approve("bob")]), Ok(ApprovalState::Approved));
        assert_eq!(play(2, &[Approve("bob"), Approve("bob")]), Ok(ApprovalState::Pending), "one person counts once");
        assert_eq!(play(2, &[Approve("bob"), Approve("carol")]), Ok(ApprovalState::Approved));
        assert_eq!(play(1, &[Approve("alice")]), Err(Kind::Denied), "nobody approves their own");
        assert_eq!(play(1, &[Approve("robot")]), Err(Kind::Denied));
        assert_eq!(play(1, &[Deny("alice")]), Err(Kind::Denied));
        assert_eq!(play(2, &[Approve("bob"), Deny("carol")]), Ok(ApprovalState::Denied), "a no wins");
        assert_eq!(play(1, &[Deny("carol"), Approve("bob")]), Err(Kind::Denied));
        assert_eq!(play(1, &[Approve("bob"), Deny("carol")]), Ok(ApprovalState::Revoked));
        assert_eq!(play(1, &[Use]), Err(Kind::Pending));
        assert_eq!(play(1, &[Approve("bob"), Use]), Ok(ApprovalState::Executing));
        assert_eq!(play(1, &[Approve("bob"), Use, Use]), Err(Kind::Denied), "good for one execution");
        assert_eq!(play(1, &[Approve("bob"), Use, Withdraw]), Err(Kind::Denied));
        assert_eq!(play(1, &[Approve("bob"), Use, Deny("carol")]), Err(Kind::Denied));
        assert_eq!(play(1, &[Approve("bob"), Withdraw]), Ok(ApprovalState::Withdrawn));
        assert_eq!(play(1, &[Withdraw, Approve("bob")]), Err(Kind::Denied));
        for (executed, state) in [
            (Executed::Well, ApprovalState::Executed),
            (Executed::Badly, ApprovalState::Failed),
            (Executed::Unseen, ApprovalState::Unknown),
            (Executed::Stale, ApprovalState::Stale),
        ] {
            assert_eq!(play(1, &[Approve("bob"), Use, Finish(executed)]), Ok(state));
            assert_eq!(play(1, &[Approve("bob"), Use, Finish(executed), Use]), Err(Kind::Denied));
        }
        assert_eq!(play(1, &[Finish(Executed::Well)]), Err(Kind::Denied));
    }

    #[test]
    fn whoever_is_barred_later_has_not_agreed() {
        use Move::{Approve, Bar, Use};
        assert_eq!(play(1, &[Bar("bob"), Approve("bob")]), Err(Kind::Denied));
        assert_eq!(play(1, &[Bar("bob"), Approve("carol")]), Ok(ApprovalState::Approved));
        assert_eq!(play(2, &[Approve("bob"), Bar("bob"), Approve("carol")]), Ok(ApprovalState::Pending));
        assert_eq!(play(1, &[Approve("bob"), Bar("bob")]), Ok(ApprovalState::Revoked));
        assert_eq!(play(1, &[Approve("bob"), Bar("carol")]), Ok(ApprovalState::Approved), "it does not rest on that");
        assert_eq!(play(1, &[Approve("bob"), Use, Bar("bob")]), Ok(ApprovalState::Executing), "it runs");
    }

    #[test]
    fn both_clocks_run() {
        let at = Timestamp::from_seconds;
        let mut late = ballot(1);
        assert!(late.play(at(100), Move::Approve("bob")).is_err());
        assert_eq!(late.state, ApprovalState::Expired);
        let mut unused = ballot(1);
        assert_eq!(unused.play(at(99), Move::Approve("bob")), Ok(ApprovalState::Approved));
        assert_eq!(unused.play(at(199), Move::Tick), Ok(ApprovalState::Approved), "approved in time stays approved");
        assert!(unused.play(at(200), Move::Use).is_err());
        assert_eq!(unused.state, ApprovalState::Lapsed);
        let mut running = ballot(1);
        running.play(at(1), Move::Approve("bob")).unwrap();
        running.play(at(1), Move::Use).unwrap();
        assert_eq!(running.play(at(1000), Move::Finish(Executed::Well)), Ok(ApprovalState::Executed));
    }

    #[test]
    fn access_lasts_from_the_yes_on_and_is_not_used_up() {
        let at = Timestamp::from_seconds;
        let mut access = Ballot { lasts: Some(Duration::from_secs(50)), ..ballot(1) };
        assert_eq!(access.play(at(90), Move::Approve("bob")), Ok(ApprovalState::Approved));
        assert_eq!(access.execute_by, at(140));
        assert!(access.play(at(91), Move::Use).is_err());
        assert!(access.play(at(92), Move::Review("bob")).is_err(), "there is nothing to review");
        assert_eq!(access.clone().play(at(93), Move::Deny("bob")), Ok(ApprovalState::Revoked));
        assert_eq!(access.play(at(140), Move::Tick), Ok(ApprovalState::Lapsed));
        assert!(access.is_over());
    }

    #[test]
    fn what_was_taken_is_over_when_somebody_else_has_looked_at_it() {
        let at = Timestamp::from_seconds;
        let taken = Ballot { state: ApprovalState::Approved, review: true, ..ballot(1) };
        let mut taken = Ballot { lasts: Some(Duration::from_secs(199)), ..taken };
        assert!(taken.play(at(2), Move::Review("bob")).is_err(), "not while it lasts");
        assert_eq!(taken.play(at(200), Move::Tick), Ok(ApprovalState::Lapsed));
        assert!(!taken.is_over());
        assert_eq!(
            taken.play(at(201), Move::Review("alice")).unwrap_err().kind,
            Kind::Denied,
            "nobody reviews their own"
        );
        assert_eq!(taken.play(at(201), Move::Review("bob")), Ok(ApprovalState::Reviewed));
        assert!(taken.is_over() && taken.play(at(202), Move::Review("bob")).is_err());
    }

    #[test]
    fn words_round_trip() {
        for state in ApprovalState::ALL {
            assert_eq!(ApprovalState::parse(state.word()), Some(state));
        }
        assert_eq!(ApprovalState::parse("granted"), None);
    }
}
