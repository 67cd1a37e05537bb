//! Who is behind a pseudonym. Records carry pseudonyms only; this table can be erased without touching them.

use ring::hmac;
use rusqlite::{OptionalExtension, Transaction};

use super::store::Migrations;
use crate::domain::{Identity, Secret, Timestamp};

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

/// What an identity is called in records: 80 bits of HMAC-SHA256 over issuer and subject, so that nobody without the
/// server's key can tell whose it is, not even by trying all names. Two of a billion people share one with a chance
/// of one in a million.
pub(super) fn pseudonym(key: &Secret<[u8; 32]>, identity: &Identity) -> String {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key.expose()));
    // The length keeps (`ab`, `c`) apart from (`a`, `bc`).
    context.update(&u64::try_from(identity.issuer.len()).unwrap_or(u64::MAX).to_be_bytes());
    context.update(identity.issuer.as_bytes());
    context.update(identity.subject.as_bytes());
    let tag = context.sign();
    let hex: String = tag.as_ref().iter().take(10).map(|byte| format!("{byte:02x}")).collect();
    format!("u-{hex}")
}

/// Notes that somebody was here, under their present name.
pub(super) fn note(db: &Transaction<'_>, pseudonym: &str, identity: &Identity, now: Timestamp) -> rusqlite::Result<()> {
    let now = i64::try_from(now.millis()).unwrap_or(i64::MAX);
    db.execute(
        "INSERT INTO people VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)
         ON CONFLICT (pseudonym) DO UPDATE SET name = excluded.name, email = excluded.email, last_seen = excluded.last_seen",
        (pseudonym, &identity.issuer, &identity.subject, &identity.name, &identity.email, now),
    )?;
    Ok(())
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
    fn pseudonyms_depend_on_issuer_subject_and_key_only() {
        let key = Secret::new([1; 32]);
        let alice = pseudonym(&key, &person("https://a", "1", "Alice"));
        assert_eq!(alice.len(), 22);
        assert_eq!(alice, pseudonym(&key, &person("https://a", "1", "Renamed")));
        for other in
            [person("https://a", "2", "Alice"), person("https://b", "1", "Alice"), person("https://a1", "", "")]
        {
            assert_ne!(alice, pseudonym(&key, &other));
        }
        assert_ne!(alice, pseudonym(&Secret::new([2; 32]), &person("https://a", "1", "Alice")));
    }

    #[test]
    fn the_directory_keeps_the_latest_name() {
        let store = scratch("directory");
        for (name, second) in [("Alice", 1), ("Alice Ames", 2)] {
            let now = Timestamp::from_seconds(second);
            store.run_blocking(move |db| note(db, "u-1", &person("https://a", "1", name), now)).unwrap();
        }
        let row = store
            .run_blocking(|db| {
                db.query_row("SELECT name, first_seen, last_seen FROM people", [], |row| {
                    Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
                })
            })
            .unwrap();
        assert_eq!(row, ("Alice Ames".to_owned(), 1000, 2000));
    }
}
