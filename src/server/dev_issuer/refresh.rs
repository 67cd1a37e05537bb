//! Refresh tokens of the built-in issuer: each works once and gives the next (RFC 9700 section 4.14.2). One that comes
//! back was copied, and then the whole family ends.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rusqlite::{OptionalExtension, Transaction};

use crate::domain::{Duration, Failure, Timestamp};
use crate::server::store::{Migrations, Store};

pub(super) const MIGRATIONS: Migrations = Migrations {
    owner: "dev_issuer",
    steps: &["
        CREATE TABLE refresh_tokens (
            digest TEXT PRIMARY KEY,
            family TEXT NOT NULL,
            user TEXT NOT NULL,
            login INTEGER NOT NULL,
            used INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX refresh_tokens_family ON refresh_tokens (family);
    "],
};

/// How long one login lasts, however often it is renewed: a working day.
const LOGIN: Duration = Duration::from_secs(12 * 60 * 60);

/// A login that goes on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) user: String,
    /// When they logged in.
    pub(super) login: Timestamp,
    /// The next refresh token.
    pub(super) token: String,
}

/// Begins a family.
pub(super) async fn begin(store: &Store, user: String, now: Timestamp, fresh: [u8; 32]) -> Result<Grant, Failure> {
    store
        .run(move |db| {
            let ended = millis(now.before(LOGIN));
            db.execute("DELETE FROM refresh_tokens WHERE login < ?1", [ended])?;
            let token = URL_SAFE_NO_PAD.encode(fresh);
            insert(db, &token, &digest(&token), &user, now)?;
            Ok(Grant { user, login: now, token })
        })
        .await
}

/// Uses a token up and gives the next; nothing when it is not good (any more).
pub(super) async fn rotate(
    store: &Store,
    token: &str,
    now: Timestamp,
    fresh: [u8; 32],
) -> Result<Option<Grant>, Failure> {
    let digest = digest(token);
    store
        .run(move |db| {
            let select = "SELECT family, user, login, used FROM refresh_tokens WHERE digest = ?1";
            let found = db.query_row(select, [&digest], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?, row.get::<_, bool>(3)?))
            });
            let Some((family, user, login, used)) = found.optional()? else { return Ok(None) };
            let login = Timestamp::from_millis(u64::try_from(login).unwrap_or(0));
            if used || now.since(login) > LOGIN {
                db.execute("DELETE FROM refresh_tokens WHERE family = ?1", [&family])?;
                return Ok(None);
            }
            db.execute("UPDATE refresh_tokens SET used = 1 WHERE digest = ?1", [&digest])?;
            let token = URL_SAFE_NO_PAD.encode(fresh);
            insert(db, &token, &family, &user, login)?;
            Ok(Some(Grant { user, login, token }))
        })
        .await
}

/// Ends the family of a token.
pub(super) async fn revoke(store: &Store, token: &str) -> Result<(), Failure> {
    let digest = digest(token);
    store
        .run(move |db| {
            db.execute(
                "DELETE FROM refresh_tokens WHERE family = (SELECT family FROM refresh_tokens WHERE digest = ?1)",
                [&digest],
            )
        })
        .await
        .map(|_| ())
}

fn insert(db: &Transaction<'_>, token: &str, family: &str, user: &str, login: Timestamp) -> rusqlite::Result<()> {
    db.execute("INSERT INTO refresh_tokens VALUES (?1, ?2, ?3, ?4, 0)", (digest(token), family, user, millis(login)))?;
    Ok(())
}

/// Only digests are stored: who reads the database cannot log in with it.
fn digest(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, token.as_bytes()))
}

fn millis(at: Timestamp) -> i64 {
    i64::try_from(at.millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::store::scratch;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    #[tokio::test]
    async fn a_token_works_once_and_its_copy_ends_the_family() {
        let store = scratch("refresh");
        let first = begin(&store, "alice".to_owned(), NOW, [1; 32]).await.unwrap();
        let second = rotate(&store, &first.token, NOW, [2; 32]).await.unwrap().unwrap();
        assert_eq!((second.user.as_str(), second.login), ("alice", NOW));
        assert_ne!(first.token, second.token);
        assert_eq!(rotate(&store, &first.token, NOW, [3; 32]).await.unwrap(), None, "a copy");
        assert_eq!(rotate(&store, &second.token, NOW, [4; 32]).await.unwrap(), None, "the family has ended");
        assert_eq!(rotate(&store, "unknown", NOW, [5; 32]).await.unwrap(), None);
    }

    #[tokio::test]
    async fn logins_end() {
        let store = scratch("refresh-ends");
        let first = begin(&store, "alice".to_owned(), NOW, [1; 32]).await.unwrap();
        let other = begin(&store, "bob".to_owned(), NOW, [9; 32]).await.unwrap();
        let second = rotate(&store, &first.token, NOW.after(LOGIN), [2; 32]).await.unwrap().unwrap();
        let too_late = NOW.after(LOGIN).after(Duration::from_millis(1));
        assert_eq!(rotate(&store, &second.token, too_late, [3; 32]).await.unwrap(), None);
        revoke(&store, &other.token).await.unwrap();
        assert_eq!(rotate(&store, &other.token, NOW, [4; 32]).await.unwrap(), None);
    }
}
