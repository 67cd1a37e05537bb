//! Who is behind a pseudonym. Records carry pseudonyms only; this table can be erased without touching them.

use rusqlite::{OptionalExtension, Transaction};

use super::store::Migrations;
use crate::domain::{Identity, Timestamp};

pub(crate) const MIGRATIONS: Migrations = Migrations {
    owner: "directory",
    steps: &["
        CREATE TABLE people (
            pseudonym TEXT PRIMARY KEY,
            issuer TEXT NOT NULL,
            subject TEXT NOT NULL,
            name TEXT NOT NULL,
            email TEXT,
            first_seen INTEGER NOT NULL,
            last_seen INTEGER NOT NULL,
            UNIQUE (issuer, subject)
        ) STRICT;
    "],
};

/// What an identity is called in records: 80 bits of chance, given when they are first seen and written nowhere but
/// here. Once the row is gone nobody can tell whose records they were, the server's own keys included; who comes back
/// gets another. Two of a billion people share one with a chance of one in a million.
///
/// Notes that they were here, under their present name.
pub(super) fn enter(
    db: &Transaction<'_>,
    identity: &Identity,
    chance: [u8; 10],
    now: Timestamp,
) -> rusqlite::Result<String> {
    let hex: String = chance.iter().map(|byte| format!("{byte:02x}")).collect();
    let now = i64::try_from(now.millis()).unwrap_or(i64::MAX);
    db.query_row(
        "INSERT INTO people VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)
         ON CONFLICT (issuer, subject)
         DO UPDATE SET name = excluded.name, email = excluded.email, last_seen = excluded.last_seen
         RETURNING pseudonym",
        (format!("u-{hex}"), &identity.issuer, &identity.subject, &identity.name, &identity.email, now),
        |row| row.get(0),
    )
}

/// The pseudonym of somebody who may not have been here yet: who answers for an agent. What is known of them stays.
pub(super) fn mention(
    db: &Transaction<'_>,
    (issuer, subject): (&str, &str),
    chance: [u8; 10],
    now: Timestamp,
) -> rusqlite::Result<String> {
    let hex: String = chance.iter().map(|byte| format!("{byte:02x}")).collect();
    let now = i64::try_from(now.millis()).unwrap_or(i64::MAX);
    db.query_row(
        "INSERT INTO people VALUES (?1, ?2, ?3, ?3, NULL, ?4, ?4)
         ON CONFLICT (issuer, subject) DO UPDATE SET last_seen = last_seen RETURNING pseudonym",
        (format!("u-{hex}"), issuer, subject, now),
        |row| row.get(0),
    )
}

/// The pseudonyms of whoever is called this: by name, e-mail address, the issuer's subject, or pseudonym.
pub(super) fn called(db: &Transaction<'_>, text: &str) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT pseudonym FROM people
               WHERE pseudonym = ?1 OR subject = ?1 OR lower(name) = lower(?1) OR lower(email) = lower(?1)";
    db.prepare_cached(sql)?.query_map([text], |row| row.get(0))?.collect()
}

/// What a pseudonym stands for, unless that has been erased.
pub(super) fn name(db: &Transaction<'_>, pseudonym: &str) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT name FROM people WHERE pseudonym = ?1";
    db.prepare_cached(sql)?.query_row([pseudonym], |row| row.get(0)).optional()
}

/// Words that lead to somebody: subject, name, e-mail address.
pub(super) fn words_of(db: &Transaction<'_>, pseudonym: &str) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT subject, name, email FROM people WHERE pseudonym = ?1";
    let read = |row: &rusqlite::Row<'_>| {
        let email: Option<String> = row.get(2)?;
        Ok([row.get(0)?, row.get(1)?].into_iter().chain(email).collect())
    };
    Ok(db.prepare_cached(sql)?.query_row([pseudonym], read).optional()?.unwrap_or_default())
}

/// Forgets whose a pseudonym is.
pub(super) fn forget(db: &Transaction<'_>, pseudonym: &str) -> rusqlite::Result<()> {
    db.execute("DELETE FROM people WHERE pseudonym = ?1", [pseudonym]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{IdentityKind, Method};
    use crate::server::store::scratch;

    fn person(issuer: &str, subject: &str, name: &str) -> Identity {
        Identity {
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
            name: name.to_owned(),
            email: None,
            groups: Vec::new(),
            kind: IdentityKind::Person,
            actors: Vec::new(),
            method: Method::IdToken,
            proved_at: Timestamp::from_seconds(0),
        }
    }

    #[test]
    fn who_is_seen_again_keeps_the_pseudonym_under_the_latest_name() {
        let store = scratch("directory");
        let enter = |issuer: &'static str, subject: &'static str, name: &'static str, chance: u8| {
            let now = Timestamp::from_seconds(u64::from(chance));
            store.run_blocking(move |db| enter(db, &person(issuer, subject, name), [chance; 10], now)).unwrap()
        };
        let alice = enter("https://a", "1", "Alice", 1);
        assert_eq!(alice, "u-01010101010101010101");
        assert_eq!(enter("https://a", "1", "Alice Ames", 2), alice);
        assert_ne!(enter("https://a", "2", "Alice", 3), alice);
        assert_ne!(enter("https://b", "1", "Alice", 4), alice);
        let row = store
            .run_blocking(|db| {
                let sql = "SELECT name, first_seen, last_seen FROM people WHERE issuer = 'https://a' AND subject = '1'";
                db.query_row(sql, [], |row| {
                    Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
                })
            })
            .unwrap();
        assert_eq!(row, ("Alice Ames".to_owned(), 1000, 2000));
    }

    #[test]
    fn who_was_only_mentioned_is_the_same_person_when_they_come() {
        let store = scratch("directory-mentioned");
        let now = Timestamp::from_seconds(1);
        let bob = store.run_blocking(move |db| mention(db, ("https://a", "bob"), [5; 10], now)).unwrap();
        let came = store.run_blocking(move |db| enter(db, &person("https://a", "bob", "Bob"), [6; 10], now)).unwrap();
        assert_eq!(bob, came);
        let again = store.run_blocking(move |db| mention(db, ("https://a", "bob"), [7; 10], now)).unwrap();
        assert_eq!(again, bob);
        assert_eq!(store.run_blocking(move |db| name(db, &bob)).unwrap().as_deref(), Some("Bob"));
    }

    #[test]
    fn who_was_forgotten_comes_back_as_somebody_else() {
        let store = scratch("directory-forgotten");
        let now = Timestamp::from_seconds(1);
        let first = store.run_blocking(move |db| enter(db, &person("https://a", "1", "Al"), [1; 10], now)).unwrap();
        let gone = first.clone();
        store.run_blocking(move |db| forget(db, &gone)).unwrap();
        let again = store.run_blocking(move |db| enter(db, &person("https://a", "1", "Al"), [2; 10], now)).unwrap();
        assert_ne!(first, again);
        assert_eq!(store.run_blocking(move |db| name(db, &first)).unwrap(), None);
    }
}
