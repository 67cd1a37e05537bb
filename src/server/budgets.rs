//! What sessions have used up of what they may, and what identities have in a day.
//!
//! A day outlives the server: what has been used is written down, and read at the start. Where it has a limit that is done
//! before anybody is told that a statement has ended, so that a server that is killed forgets nothing of it; the rest is
//! written down every second and at the end. A cut of the power can take the last second.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, Transaction};

use super::config::{Bounds, Over};
use super::store::{self, Migrations, Store};
use crate::domain::{Budget, Duration, Failure, Identity, Kind, Reason, Spent, StatementEnd, Timestamp, Usage};

pub(crate) const MIGRATIONS: Migrations = Migrations {
    owner: "budgets",
    steps: &[
        "
        CREATE TABLE days (
            who TEXT PRIMARY KEY,
            day INTEGER NOT NULL,
            rows INTEGER NOT NULL,
            bytes INTEGER NOT NULL,
            statements INTEGER NOT NULL,
            micros INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
    ",
        "ALTER TABLE days ADD COLUMN lookups INTEGER NOT NULL DEFAULT 0;",
    ],
};

/// How often what has been used is written down.
const KEEP_EVERY: Duration = Duration::from_secs(1);

/// How long a statement's end waits for whoever writes to the store at the moment. Whoever is slower than that is waited
/// for by [`Days::follow`].
const BUSY_TIMEOUT: Duration = Duration::from_millis(50);

/// What every identity has used today.
#[derive(Debug, Default)]
pub(crate) struct Days {
    days: Mutex<HashMap<String, Day>>,
    /// Our own way into the store, which does not wait for the disk: what is written here survives the process, not the
    /// power.
    at_once: Mutex<Option<Connection>>,
}

#[derive(Clone, Copy, Debug)]
struct Day {
    /// Days since 1970.
    number: u64,
    used: Usage,
    /// The store knows it.
    kept: bool,
}

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
        let days = self.days.lock().unwrap_or_else(PoisonError::into_inner);
        days.get(who).filter(|day| day.number == day_of(now)).map(|day| day.used).unwrap_or_default()
    }

    fn add(&self, who: &str, more: &Usage, now: Timestamp) -> Usage {
        let today = day_of(now);
        let mut days = self.days.lock().unwrap_or_else(PoisonError::into_inner);
        days.retain(|_, day| day.number == today);
        let fresh = Day { number: today, used: Usage::default(), kept: false };
        let day = days.entry(who.to_owned()).or_insert(fresh);
        day.used.add(more);
        day.kept = false;
        day.used
    }

    /// Writes down at once, from now on, what has a limit. Blocks.
    pub(crate) fn write_at_once(&self, path: &Path) -> Result<(), Failure> {
        let connection = store::open_database(path, &[])?;
        let unusable = |error: rusqlite::Error| {
            Failure::new(Kind::Internal, format!("`{}` cannot be opened", path.display())).cause(error)
        };
        connection.busy_timeout(BUSY_TIMEOUT).map_err(unusable)?;
        connection.pragma_update(None, "synchronous", "normal").map_err(unusable)?;
        *self.at_once.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
        Ok(())
    }

    /// Writes down what somebody has used by now.
    fn keep_one(&self, who: &str, used: Usage, now: Timestamp) {
        let mut at_once = self.at_once.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(connection) = at_once.as_mut() else { return };
        let day = Day { number: day_of(now), used, kept: true };
        let written = connection.transaction().and_then(|transaction| {
            write(&transaction, &[(who.to_owned(), day)])?;
            transaction.commit()
        });
        match written {
            Ok(()) => {
                let mut days = self.days.lock().unwrap_or_else(PoisonError::into_inner);
                days.entry(who.to_owned()).and_modify(|day| day.kept |= day.used == used);
            }
            // It is still marked as not kept, and tried again within a second.
            Err(error) => tracing::warn!(error = %error, "the budget of a day could not be written down at once"),
        }
    }

    /// Reads what was used before the server was last stopped.
    pub(crate) async fn restore(&self, store: &Store, now: Timestamp) -> Result<(), Failure> {
        let found = store.run(move |db| read(db, day_of(now))).await?;
        self.days.lock().unwrap_or_else(PoisonError::into_inner).extend(found);
        Ok(())
    }

    /// Writes down what has changed.
    pub(crate) async fn keep(&self, store: &Store) -> Result<(), Failure> {
        let changed: Vec<(String, Day)> = {
            let mut days = self.days.lock().unwrap_or_else(PoisonError::into_inner);
            let mut changed = Vec::new();
            for (who, day) in days.iter_mut().filter(|(_, day)| !day.kept) {
                day.kept = true;
                changed.push((who.clone(), *day));
            }
            changed
        };
        if changed.is_empty() {
            return Ok(());
        }
        let whose: Vec<String> = changed.iter().map(|(who, _)| who.clone()).collect();
        store.run(move |db| write(db, &changed)).await.inspect_err(|_| {
            let mut days = self.days.lock().unwrap_or_else(PoisonError::into_inner);
            whose.iter().for_each(|who| {
                days.entry(who.clone()).and_modify(|day| day.kept = false);
            });
        })
    }

    /// Keeps writing down. Runs until dropped.
    pub(crate) async fn follow(self: Arc<Self>, store: Arc<Store>) {
        loop {
            tokio::time::sleep(KEEP_EVERY).await;
            if let Err(failure) = self.keep(&store).await {
                tracing::error!(error = %failure, "budgets of the day could not be written down");
            }
        }
    }
}

/// What somebody is asked about when a budget is used up and its sessions may go on.
const RULE: &str = "budget";

impl Tab {
    /// Why somebody must agree to what comes next, if the session may go on at all.
    pub(crate) fn asks(&self, failure: &Failure) -> Option<Reason> {
        let reason =
            || Reason::new(RULE, failure.message.clone()).detail("Each further statement needs somebody's word.");
        (self.bounds.over == Some(Over::Hold)).then(reason)
    }

    /// The failure when nothing is left of a day before the session has begun.
    pub(crate) fn spent_before(&self, now: Timestamp) -> Option<Failure> {
        self.days.check(&self.who, &self.bounds.day, now).err()
    }

    pub(crate) fn new(bounds: Bounds, who: String, days: Arc<Days>) -> Self {
        Self { bounds, who, used: Mutex::default(), days, ending: AtomicBool::new(false) }
    }

    /// Whether nobody has begun to end the session before; whoever asks first is to do it.
    pub(crate) fn first(&self) -> bool {
        !self.ending.swap(true, Ordering::Relaxed)
    }

    /// Counts a statement; `lookups` is how many values the session has asked masked columns for by now. The failure when
    /// nothing is left: then the session is over.
    pub(crate) fn count(&self, end: &StatementEnd, lookups: u64, now: Timestamp) -> Option<Failure> {
        let (more, session) = {
            let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
            let lookups = lookups.saturating_sub(used.lookups);
            let more = Usage { rows: end.rows, bytes: end.bytes, statements: 1, lookups, time: end.took };
            used.add(&more);
            (more, *used)
        };
        let day = self.days.add(&self.who, &more, now);
        if self.bounds.day != Budget::default() {
            self.days.keep_one(&self.who, day, now);
        }
        let of_session = self.bounds.session.spent(&session).map(|spent| of_the_session(&spent));
        of_session.or_else(|| self.bounds.day.spent(&day).map(|spent| of_the_day(&spent)))
    }

    /// What may be used up, and what has been: of the session, then of the day.
    pub(crate) fn state(&self, now: Timestamp) -> [(&'static str, Budget, Usage); 2] {
        let session = *self.used.lock().unwrap_or_else(PoisonError::into_inner);
        [("session", self.bounds.session, session), ("day", self.bounds.day, self.days.used(&self.who, now))]
    }
}

fn read(db: &Transaction<'_>, today: u64) -> rusqlite::Result<Vec<(String, Day)>> {
    db.execute("DELETE FROM days WHERE day <> ?1", [number(today)])?;
    let mut select = db.prepare("SELECT who, rows, bytes, statements, micros, lookups FROM days")?;
    let rows = select.query_map([], |row| {
        let number = |index| row.get::<_, i64>(index).map(|number| u64::try_from(number).unwrap_or_default());
        let time = Duration::from_micros(number(4)?);
        let used = Usage { rows: number(1)?, bytes: number(2)?, statements: number(3)?, lookups: number(5)?, time };
        Ok((row.get(0)?, Day { number: today, used, kept: true }))
    })?;
    rows.collect()
}

fn write(db: &Transaction<'_>, days: &[(String, Day)]) -> rusqlite::Result<()> {
    // Two may write about the same day, and whoever comes later may know less.
    let mut insert = db.prepare_cached(
        "INSERT INTO days VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (who) DO UPDATE SET day = excluded.day,
             rows = iif(day = excluded.day, max(rows, excluded.rows), excluded.rows),
             bytes = iif(day = excluded.day, max(bytes, excluded.bytes), excluded.bytes),
             statements = iif(day = excluded.day, max(statements, excluded.statements), excluded.statements),
             micros = iif(day = excluded.day, max(micros, excluded.micros), excluded.micros),
             lookups = iif(day = excluded.day, max(lookups, excluded.lookups), excluded.lookups)",
    )?;
    for (who, Day { number: day, used, kept: _ }) in days {
        let micros = u64::try_from(used.time.as_micros()).unwrap_or(u64::MAX);
        let [day, rows, bytes, statements, micros, lookups] =
            [*day, used.rows, used.bytes, used.statements, micros, used.lookups].map(number);
        insert.execute((who, day, rows, bytes, statements, micros, lookups))?;
    }
    Ok(())
}

fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
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
    use crate::domain::{Outcome, Shown, StatementId};
    use crate::server::store::scratch;

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
        assert_eq!(first.count(&end(99), 0, now), None);
        let failure = first.count(&end(1), 0, now).unwrap();
        assert_eq!(failure.message, "the budget of this session is used up: 100 rows");
        assert!(first.first() && !first.first());
        // The next session begins with what is left of the day.
        assert!(days.check("u-1 bot", &bounds.day, now).is_ok());
        let failure = tab().count(&end(50), 0, now).unwrap();
        assert_eq!(failure.message, "the budget of this day is used up: 150 rows");
        assert_eq!(days.check("u-1 bot", &bounds.day, now).unwrap_err().kind, Kind::Limit);
        // Others have their own, and tomorrow is another day.
        assert!(days.check("u-1", &bounds.day, now).is_ok());
        let tomorrow = now.after(Duration::from_secs(24 * 60 * 60));
        assert!(days.check("u-1 bot", &bounds.day, tomorrow).is_ok());
    }

    #[tokio::test]
    async fn a_day_outlives_the_server() {
        let store = scratch("budgets");
        let now = Timestamp::from_seconds(1_800_000_000);
        let used = Usage { rows: 7, bytes: 70, statements: 2, lookups: 3, time: Duration::from_millis(3) };
        let days = Days::default();
        days.add("u-1 bot", &used, now);
        days.keep(&store).await.unwrap();
        days.add("u-1 bot", &used, now);
        days.keep(&store).await.unwrap();
        let next = Days::default();
        next.restore(&store, now).await.unwrap();
        let twice = Usage { rows: 14, bytes: 140, statements: 4, lookups: 6, time: Duration::from_millis(6) };
        assert_eq!(next.used("u-1 bot", now), twice);
        let tomorrow = now.after(Duration::from_secs(24 * 60 * 60));
        let later = Days::default();
        later.restore(&store, tomorrow).await.unwrap();
        assert_eq!(later.used("u-1 bot", tomorrow), Usage::default());
    }
}
