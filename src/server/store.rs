//! The embedded database: SQLite on one thread of its own.
//!
//! Work is sent to the thread as a function and runs in one transaction: all of it happens, or none. One thread means
//! that there is one writer and no lock to wait for, and that no disk write ever blocks a worker of the server.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::mpsc;
use std::thread::JoinHandle;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::oneshot;

use crate::domain::{Failure, Kind};
use crate::runtime::files;

/// Tables of one part of the server. Each step is SQL that runs once, in order; steps are added, never changed.
#[derive(Debug)]
pub(crate) struct Migrations {
    pub(crate) owner: &'static str,
    pub(crate) steps: &'static [&'static str],
}

/// All tables. Whoever needs tables adds a constant here.
const MIGRATIONS: &[Migrations] = &[
    super::keys::MIGRATIONS,
    super::classification::MIGRATIONS,
    super::directory::MIGRATIONS,
    super::replay::MIGRATIONS,
    super::leases::MIGRATIONS,
    super::dev_issuer::MIGRATIONS,
    super::approval::MIGRATIONS,
    super::budgets::MIGRATIONS,
    super::raw_texts::MIGRATIONS,
];

/// Marks the file as ours (`PRAGMA application_id`): the letters `gov1`.
const APPLICATION_ID: i32 = 0x676f_7631;

/// How long another process that holds the file is waited for.
const BUSY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(2);

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// A handle to the database. Dropping it ends the thread after the work it was given.
#[derive(Debug)]
pub(crate) struct Store {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Store {
    /// Opens the database, makes it when it is not there, and brings its tables up to date.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        Self::with(path, MIGRATIONS)
    }

    /// As [`Store::open`], with other tables.
    pub(super) fn with(path: &Path, migrations: &[Migrations]) -> Result<Self, Failure> {
        let mut connection = open_database(path, migrations)?;
        let (jobs, inbox) = mpsc::channel::<Job>();
        let work = move || {
            for job in inbox {
                job(&mut connection);
            }
        };
        let thread = std::thread::Builder::new()
            .name("gov-store".to_owned())
            .spawn(work)
            .map_err(|error| Failure::new(Kind::Internal, "no thread could be started").cause(error))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Runs `work` in one transaction. Cancel safe in that the work is done whole or not at all; whether it was done
    /// is not known then.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let (reply, answer) = oneshot::channel();
        self.send(Box::new(move |connection| {
            // Nobody waits any more when the caller was cancelled.
            drop(reply.send(in_transaction(connection, work)));
        }))?;
        answer.await.map_err(|_| stopped())?.map_err(|error| failed(&error))
    }

    /// As [`Store::run`], for threads that may wait.
    pub(crate) fn run_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let (reply, answer) = mpsc::sync_channel(1);
        self.send(Box::new(move |connection| drop(reply.send(in_transaction(connection, work)))))?;
        answer.recv().map_err(|_| stopped())?.map_err(|error| failed(&error))
    }

    /// As [`Store::run`], for what must leave no trace in the file: the journal beside it, which still has what was
    /// deleted, is emptied too.
    pub(crate) async fn forget<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let (reply, answer) = oneshot::channel();
        self.send(Box::new(move |connection| {
            let done = in_transaction(connection, work).and_then(|value| {
                let left: i64 = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
                // Somebody else reads the file: what they read is kept for them.
                if left == 0 { Ok(value) } else { Err(rusqlite::Error::StatementChangedRows(0)) }
            });
            drop(reply.send(done));
        }))?;
        answer.await.map_err(|_| stopped())?.map_err(|error| failed(&error))
    }

    fn send(&self, job: Job) -> Result<(), Failure> {
        self.jobs.as_ref().and_then(|jobs| jobs.send(job).ok()).ok_or_else(stopped)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Closing the channel ends the loop; waiting for it lets SQLite close the file in order.
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn in_transaction<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let result = work(&transaction)?;
    transaction.commit()?;
    Ok(result)
}

fn stopped() -> Failure {
    Failure::new(Kind::Internal, "the server's store has stopped")
}

/// SQLite's own words name tables and files of ours, never values.
fn failed(error: &rusqlite::Error) -> Failure {
    tracing::error!(error = %error, "the store failed");
    Failure::new(Kind::Internal, "the server's store failed").detail("The server's log says why.")
}

/// Opens a database of ours, makes it when it is not there, and brings its tables up to date.
pub(super) fn open_database(path: &Path, migrations: &[Migrations]) -> Result<Connection, Failure> {
    let mut connection = connect(path).map_err(|error| broken(path, &error))?;
    migrate(&mut connection, migrations).map_err(|error| match error {
        MigrationError::Newer => Failure::new(Kind::Usage, format!("`{}` was written by a newer gov", path.display()))
            .hint("start the newer version again; data is not taken back"),
        MigrationError::Foreign => Failure::new(Kind::Usage, format!("`{}` is not a database of gov", path.display()))
            .hint("name another folder under `server.data`"),
        MigrationError::Sqlite(error) => broken(path, &Opening::Sqlite(error)),
    })?;
    Ok(connection)
}

enum Opening {
    File(std::io::Error),
    Sqlite(rusqlite::Error),
}

fn broken(path: &Path, error: &Opening) -> Failure {
    let why = match error {
        Opening::File(error) => error.to_string(),
        Opening::Sqlite(error) => error.to_string(),
    };
    Failure::new(Kind::Usage, format!("`{}` cannot be opened", path.display())).cause(why)
}

fn connect(path: &Path) -> Result<Connection, Opening> {
    if let Some(folder) = path.parent() {
        files::create_private_dir(folder).map_err(Opening::File)?;
    }
    // SQLite would make the file readable for everyone; its journals copy the file's own mode.
    let _file: File =
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path).map_err(Opening::File)?;
    let connection = Connection::open(path).map_err(Opening::Sqlite)?;
    let configure = || {
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        // In WAL mode only FULL makes a commit survive a power cut.
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        // What is deleted is overwritten, not only marked as free.
        connection.pragma_update(None, "secure_delete", true)?;
        connection.pragma_update(None, "trusted_schema", false)
    };
    configure().map_err(Opening::Sqlite)?;
    Ok(connection)
}

#[derive(Debug)]
enum MigrationError {
    /// A later version of gov was here.
    Newer,
    /// Another program's file.
    Foreign,
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for MigrationError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

fn migrate(connection: &mut Connection, all: &[Migrations]) -> Result<(), MigrationError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    let application: i32 = transaction.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (application, tables) {
        (APPLICATION_ID, _) => {}
        (0, 0) => transaction.pragma_update(None, "application_id", APPLICATION_ID)?,
        (_, _) => return Err(MigrationError::Foreign),
    }
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS migrations (
             owner TEXT PRIMARY KEY,
             steps INTEGER NOT NULL
         ) STRICT, WITHOUT ROWID",
    )?;
    for migrations in all {
        let select = "SELECT coalesce(max(steps), 0) FROM migrations WHERE owner = ?1";
        let done: u32 = transaction.query_row(select, [migrations.owner], |row| row.get(0))?;
        let missing = usize::try_from(done).ok().and_then(|done| migrations.steps.get(done..));
        let Some(missing) = missing else { return Err(MigrationError::Newer) };
        for step in missing {
            transaction.execute_batch(step)?;
        }
        let steps = u32::try_from(migrations.steps.len()).unwrap_or(u32::MAX);
        transaction.execute("INSERT OR REPLACE INTO migrations VALUES (?1, ?2)", (migrations.owner, steps))?;
    }
    transaction.commit()?;
    Ok(())
}

/// A store in a folder of its own that is not there before.
#[cfg(test)]
pub(crate) fn scratch(name: &str) -> Store {
    let folder = std::env::temp_dir().join(format!("gov-store-{}-{name}", std::process::id()));
    drop(std::fs::remove_dir_all(&folder));
    Store::open(&folder.join("gov.db")).unwrap()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn work_is_done_whole_or_not_at_all() {
        let store = scratch("whole");
        store.run_blocking(|db| db.execute_batch("CREATE TABLE t (a INTEGER NOT NULL) STRICT")).unwrap();
        let half = store.run_blocking(|db| {
            db.execute("INSERT INTO t VALUES (1)", [])?;
            db.execute("INSERT INTO t VALUES (NULL)", [])
        });
        assert_eq!(half.unwrap_err().message, "the server's store failed");
        let count = |db: &Transaction<'_>| db.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0));
        assert_eq!(store.run_blocking(count).unwrap(), 0);
        store.run_blocking(|db| db.execute("INSERT INTO t VALUES (1)", [])).unwrap();
        assert_eq!(store.run_blocking(count).unwrap(), 1);
    }

    #[test]
    fn a_full_disk_is_told_and_heals() {
        let store = scratch("full");
        store.run_blocking(|db| db.execute_batch("CREATE TABLE t (a BLOB NOT NULL) STRICT")).unwrap();
        let limit = |pages: i64| {
            let set = move |db: &Transaction<'_>| {
                let used: i64 = db.query_row("PRAGMA page_count", [], |row| row.get(0))?;
                let sql = format!("PRAGMA max_page_count = {}", used + pages);
                db.query_row(&sql, [], |row| row.get::<_, i64>(0))
            };
            store.run_blocking(set).unwrap();
        };
        let insert = || store.run_blocking(|db| db.execute("INSERT INTO t VALUES (zeroblob(100000))", []));
        // To SQLite it is the same as a disk without room.
        limit(0);
        assert_eq!(insert().unwrap_err().message, "the server's store failed");
        limit(1000);
        assert_eq!(insert().unwrap(), 1);
    }

    #[test]
    fn files_are_for_the_owner_and_contents_survive() {
        let folder = std::env::temp_dir().join(format!("gov-store-{}-owner", std::process::id()));
        drop(std::fs::remove_dir_all(&folder));
        let path = folder.join("gov.db");
        let store = Store::open(&path).unwrap();
        store.run_blocking(|db| db.execute_batch("CREATE TABLE t (a)")).unwrap();
        for entry in std::fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(entry.metadata().unwrap().mode() & 0o077, 0, "{:?}", entry.path());
        }
        drop(store);
        let again = Store::open(&path).unwrap();
        again.run_blocking(|db| db.execute("INSERT INTO t VALUES (1)", [])).unwrap();
    }

    #[test]
    fn steps_run_once_and_never_backwards() {
        let mut connection = Connection::open_in_memory().unwrap();
        const ONE: &str = "CREATE TABLE one (a)";
        const TWO: &str = "CREATE TABLE two (a)";
        let with = |steps| [Migrations { owner: "test", steps }];
        migrate(&mut connection, &with(&[ONE])).unwrap();
        migrate(&mut connection, &with(&[ONE])).unwrap();
        migrate(&mut connection, &with(&[ONE, TWO])).unwrap();
        assert!(matches!(migrate(&mut connection, &with(&[ONE])), Err(MigrationError::Newer)));
        // A step that fails leaves everything as it was.
        assert!(migrate(&mut connection, &with(&[ONE, TWO, "CREATE TABLE three (a); nonsense"])).is_err());
        migrate(&mut connection, &with(&[ONE, TWO, "CREATE TABLE three (a)"])).unwrap();
    }

    #[test]
    fn other_programs_files_are_left_alone() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE theirs (a)").unwrap();
        assert!(matches!(migrate(&mut connection, &[]), Err(MigrationError::Foreign)));
    }
}
