//! What sessions have used up of what they may, and what identities have in a day.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::config::Bounds;
use crate::domain::{Budget, Failure, Identity, Kind, Spent, StatementEnd, Timestamp, Usage};

/// What every identity has used today.
#[derive(Debug, Default)]
pub(crate) struct Days(Mutex<HashMap<String, (u64, Usage)>>);

/// What one session uses up.
#[derive(Debug)]
pub(crate) struct Tab {
    bounds: Bounds,
    who: String,
    used: Mutex<Usage>,
    days: Arc<Days>,
    /// The session is being ended because nothing is left.
    ending: AtomicBool,
}

/// Whose day it is: each agent that acts for a person has a day of its own, and the person another.
pub(crate) fn whose(pseudonym: &str, identity: &Identity) -> String {
    let through: Vec<_> = identity.actors.iter().map(|actor| format!(" {}", actor.id)).collect();
    format!("{pseudonym}{}", through.concat())
}

impl Days {
    /// Refuses when nothing is left of a day.
    pub(crate) fn check(&self, who: &str, budget: &Budget, now: Timestamp) -> Result<(), Failure> {
        match budget.spent(&self.used(who, now)) {
            Some(spent) => Err(of_the_day(&spent)),
            None => Ok(()),
        }
    }

    pub(crate) fn used(&self, who: &str, now: Timestamp) -> Usage {
        let days = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        days.get(who).filter(|(day, _)| *day == day_of(now)).map(|(_, used)| *used).unwrap_or_default()
    }

    fn add(&self, who: &str, more: &Usage, now: Timestamp) -> Usage {
        let today = day_of(now);
        let mut days = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        days.retain(|_, (day, _)| *day == today);
        let (_, used) = days.entry(who.to_owned()).or_insert_with(|| (today, Usage::default()));
        used.add(more);
        *used
    }
}

impl Tab {
    pub(crate) fn new(bounds: Bounds, who: String, days: Arc<Days>) -> Self {
        Self { bounds, who, used: Mutex::default(), days, ending: AtomicBool::new(false) }
    }

    /// Whether nobody has begun to end the session before; whoever asks first is to do it.
    pub(crate) fn first(&self) -> bool {
        !self.ending.swap(true, Ordering::Relaxed)
    }

    /// Counts a statement. The failure when nothing is left: then the session is over.
    pub(crate) fn count(&self, end: &StatementEnd, now: Timestamp) -> Option<Failure> {
        let more = Usage { rows: end.rows, bytes: end.bytes, statements: 1, time: end.took };
        let session = {
            let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
            used.add(&more);
            *used
        };
        let day = self.days.add(&self.who, &more, now);
        let of_session = self.bounds.session.spent(&session).map(|spent| of_the_session(&spent));
        of_session.or_else(|| self.bounds.day.spent(&day).map(|spent| of_the_day(&spent)))
    }

    /// What may be used up, and what has been: of the session, then of the day.
    pub(crate) fn state(&self, now: Timestamp) -> [(&'static str, Budget, Usage); 2] {
        let session = *self.used.lock().unwrap_or_else(PoisonError::into_inner);
        [("session", self.bounds.session, session), ("day", self.bounds.day, self.days.used(&self.who, now))]
    }
}

fn of_the_session(spent: &Spent) -> Failure {
    Failure::new(Kind::Limit, format!("the budget of this session is used up: {} {}", spent.limit, spent.what))
        .detail("What had begun has come to its end; nothing further begins.")
        .hint("see budgets with: gov session ls; open another session if there is reason to")
}

fn of_the_day(spent: &Spent) -> Failure {
    Failure::new(Kind::Limit, format!("the budget of this day is used up: {} {}", spent.limit, spent.what))
        .detail("It counts all sessions of one identity for it.")
        .hint("it begins anew at midnight UTC")
}

fn day_of(now: Timestamp) -> u64 {
    now.seconds() / (24 * 60 * 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Duration, Outcome, Shown, StatementId};

    fn end(rows: u64) -> StatementEnd {
        StatementEnd {
            id: StatementId { stream: 1, number: 1 },
            outcome: Outcome::Ok,
            rows,
            bytes: 10,
            masked_columns: 0,
            masked_cells: 0,
            shown: Shown::default(),
            took: Duration::from_millis(1),
        }
    }

    #[test]
    fn a_session_ends_when_its_budget_does_and_a_day_outlives_sessions() {
        let days = Arc::new(Days::default());
        let rows = |rows| Budget { rows: Some(rows), ..Budget::default() };
        let bounds = Bounds { session: rows(100), day: rows(150), ..Bounds::default() };
        let now = Timestamp::from_seconds(1_800_000_000);
        let tab = || Tab::new(bounds, "u-1 bot".to_owned(), Arc::clone(&days));
        let first = tab();
        assert_eq!(first.count(&end(99), now), None);
        let failure = first.count(&end(1), now).unwrap();
        assert_eq!(failure.message, "the budget of this session is used up: 100 rows");
        assert!(first.first() && !first.first());
        // The next session begins with what is left of the day.
        assert!(days.check("u-1 bot", &bounds.day, now).is_ok());
        let failure = tab().count(&end(50), now).unwrap();
        assert_eq!(failure.message, "the budget of this day is used up: 150 rows");
        assert_eq!(days.check("u-1 bot", &bounds.day, now).unwrap_err().kind, Kind::Limit);
        // Others have their own, and tomorrow is another day.
        assert!(days.check("u-1", &bounds.day, now).is_ok());
        let tomorrow = now.after(Duration::from_secs(24 * 60 * 60));
        assert!(days.check("u-1 bot", &bounds.day, tomorrow).is_ok());
    }
}
