//! Keys of raw texts: one for each person and month, kept sealed like the server's own, and destroyed for good when the
//! person is erased. What is erased stays erased: a person who comes back gets new keys.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{OptionalExtension, Transaction};

use super::Server;
use super::directory;
use super::store::Migrations;
use crate::audit::{Core, TextSealer, open_text, sealed_texts};
use crate::domain::{Digest, Failure, Happening, Kind, Secret, SessionId, TextKeyId, Timestamp};
use crate::runtime::{clock, random};

pub(crate) const MIGRATIONS: Migrations = Migrations {
    owner: "raw_texts",
    steps: &["
        -- A key that was destroyed keeps its row, so that `erased` and `never had` can be told apart.
        CREATE TABLE text_keys (
            id BLOB PRIMARY KEY,
            subject TEXT NOT NULL,
            month TEXT NOT NULL,
            sealed BLOB
        ) STRICT, WITHOUT ROWID;
        CREATE UNIQUE INDEX text_keys_in_use ON text_keys (subject, month) WHERE sealed IS NOT NULL;

        -- Erasing is put on record first. What a crash leaves half done is finished at the next start.
        CREATE TABLE erasures (
            person TEXT PRIMARY KEY,
            subject TEXT NOT NULL,
            why TEXT NOT NULL,
            done INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
    "],
};

/// Longest reason for an erasure, in bytes: a reference, not a story.
const WHY_MAX: usize = 120;

/// What the session ends with whose person is erased.
const WHY_ENDED: &str = "erased";

impl Server {
    /// What seals the raw texts of a session, where they are kept.
    pub(super) async fn text_sealer(
        &self,
        subject: &str,
        session: SessionId,
        now: Timestamp,
    ) -> Result<Option<Arc<TextSealer>>, Failure> {
        if !self.config().raw_texts {
            return Ok(None);
        }
        let (id, key) = self.text_key(subject, now).await?;
        let sealer = TextSealer::new(id, &key, session);
        sealer.map(|sealer| Some(Arc::new(sealer))).ok_or_else(unusable)
    }

    /// The key for a person and the present month; made when there is none.
    async fn text_key(&self, subject: &str, now: Timestamp) -> Result<(TextKeyId, Secret<[u8; 32]>), Failure> {
        let (subject, month) = (subject.to_owned(), now.to_string().chars().take("2026-11".len()).collect::<String>());
        let (id, key) = (TextKeyId(random::bytes()?), Secret::new(random::bytes::<32>()?));
        let fresh = self.keys.wrap(&id.to_string(), &key, random::bytes()?).ok_or_else(unusable)?;
        let found = self.store.run(move |db| {
            let insert = "INSERT INTO text_keys VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
            db.prepare_cached(insert)?.execute((id.0, &subject, &month, fresh))?;
            let select = "SELECT id, sealed FROM text_keys WHERE subject = ?1 AND month = ?2 AND sealed IS NOT NULL";
            let read = |row: &rusqlite::Row<'_>| Ok((TextKeyId(row.get(0)?), row.get::<_, Vec<u8>>(1)?));
            db.prepare_cached(select)?.query_row((&subject, &month), read)
        });
        let (id, sealed) = found.await?;
        let key = self.keys.unwrap(&id.to_string(), sealed).ok_or_else(unusable)?;
        Ok((id, key))
    }

    /// Some of a session's raw texts, from behind leaf `after` on, and the last leaf that was looked at; `None` when
    /// there are no more.
    pub(super) async fn raw_texts(
        &self,
        session: SessionId,
        after: Option<u64>,
    ) -> Result<(Vec<RawText>, Option<u64>), Failure> {
        let leaves = self.log.of_session(session, after).await?;
        let last = leaves.last().map(|leaf| leaf.leaf);
        let mut keys = BTreeMap::new();
        let mut found = Vec::new();
        for leaf in leaves {
            let texts: BTreeMap<Digest, &[u8]> = sealed_texts(&leaf.sealed).into_iter().collect();
            for record in leaf.records.iter().filter_map(|record| said_of(session, record)) {
                let Some(raw) = record.raw else { continue };
                if let std::collections::btree_map::Entry::Vacant(place) = keys.entry(raw.key) {
                    place.insert(self.kept_key(raw.key).await?);
                }
                let text = match (keys.get(&raw.key), texts.get(&raw.digest)) {
                    (Some(Some(key)), Some(sealed)) => {
                        let text = open_text(key, session, sealed);
                        text.map_or(Text::Damaged, |text| Text::Kept(String::from_utf8_lossy(&text).into_owned()))
                    }
                    (Some(Some(_)), None) => Text::Missing,
                    (Some(None) | None, _) => Text::Erased,
                };
                found.push(RawText { record, text });
            }
        }
        Ok((found, last))
    }

    /// A key that has not been destroyed.
    async fn kept_key(&self, id: TextKeyId) -> Result<Option<Secret<[u8; 32]>>, Failure> {
        let found: Option<Option<Vec<u8>>> = self
            .store
            .run(move |db| {
                let select = "SELECT sealed FROM text_keys WHERE id = ?1";
                db.prepare_cached(select)?.query_row([id.0], |row| row.get(0)).optional()
            })
            .await?;
        let Some(sealed) = found.flatten() else { return Ok(None) };
        self.keys.unwrap(&id.to_string(), sealed).map(Some).ok_or_else(unusable)
    }

    /// Erases a person: ends their sessions, destroys the keys of what they typed and forgets whose their pseudonym is.
    /// Returns how many keys were destroyed. Not cancel safe; finished at the next start when it is cut off.
    pub(super) async fn erase(&self, by: &str, whom: &str, why: &str) -> Result<usize, Failure> {
        let (subject, called) = (by.to_owned(), whom.to_owned());
        let found = self.store.run(move |db| {
            let people = directory::called(db, &called)?;
            let words = match people.as_slice() {
                [one] => directory::words_of(db, one)?,
                _ => Vec::new(),
            };
            Ok((people, words))
        });
        let (people, words) = found.await?;
        let [person] = people.as_slice() else {
            let count = people.len();
            let failure = Failure::new(Kind::NotFound, format!("{count} people are called `{whom}`"));
            return Err(failure.hint("name one by the pseudonym that `gov timeline` shows in JSON as `subject`"));
        };
        if *person == subject {
            return Err(Failure::new(Kind::Denied, "nobody erases what leads to themselves")
                .detail("Whoever could would be able to take away what they typed.")
                .hint("ask another auditor"));
        }
        check_reason(why, &words)?;
        let row = (person.clone(), subject, why.to_owned());
        self.store.run(move |db| db.execute("INSERT OR REPLACE INTO erasures VALUES (?1, ?2, ?3, 0)", row)).await?;
        self.finish_erasure(person).await
    }

    /// Finishes what was begun and cut off.
    pub(super) async fn finish_erasures(&self) -> Result<(), Failure> {
        let people = self.store.run(|db| {
            let mut select = db.prepare("SELECT person FROM erasures WHERE done = 0")?;
            select.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()
        });
        for person in people.await? {
            self.finish_erasure(&person).await?;
        }
        Ok(())
    }

    async fn finish_erasure(&self, person: &str) -> Result<usize, Failure> {
        let ended = Failure::new(Kind::Denied, "this session was ended: its person is being erased");
        for live in self.live.all() {
            if live.requester == person {
                self.live.end(live.grant.session, &ended, WHY_ENDED).await;
            }
        }
        let whom = person.to_owned();
        let (subject, why, keys) = self.store.run(move |db| begun(db, &whom)).await?;
        let count = keys.len();
        let erased = Happening::Erased { subject, person: person.to_owned(), why, keys };
        // Said before it is done: a text that cannot be read any more must never look as if somebody had hidden it.
        let ticket = self.log.record(None, erased)?;
        self.log.durable(ticket).await?;
        let whom = person.to_owned();
        self.store.forget(move |db| destroy(db, &whom)).await?;
        tracing::info!(person, keys = count, at = %clock::now(), "a person was erased");
        Ok(count)
    }
}

/// A statement's raw text.
#[derive(Debug)]
pub(super) struct RawText {
    pub(super) record: Core,
    pub(super) text: Text,
}

/// What is left of it.
#[derive(Debug)]
pub(super) enum Text {
    Kept(String),
    Erased,
    /// It should be there.
    Missing,
    /// It is there, and is not what was sealed.
    Damaged,
}

/// An erasure that has begun: who erases, why, and the keys that are to go.
fn begun(db: &Transaction<'_>, person: &str) -> rusqlite::Result<(String, String, Vec<TextKeyId>)> {
    let (subject, why) = db.query_row("SELECT subject, why FROM erasures WHERE person = ?1", [person], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    let mut select = db.prepare("SELECT id FROM text_keys WHERE subject = ?1 AND sealed IS NOT NULL ORDER BY month")?;
    let keys = select.query_map([person], |row| Ok(TextKeyId(row.get(0)?)))?.collect::<rusqlite::Result<_>>()?;
    Ok((subject, why, keys))
}

fn destroy(db: &Transaction<'_>, person: &str) -> rusqlite::Result<()> {
    db.execute("UPDATE text_keys SET sealed = NULL WHERE subject = ?1", [person])?;
    // Requests hold the statement that was asked about as it was typed, and the name of who asked.
    db.execute("DELETE FROM approvals WHERE requester = ?1", [person])?;
    directory::forget(db, person)?;
    db.execute("UPDATE erasures SET done = 1 WHERE person = ?1", [person])?;
    Ok(())
}

/// Whether whoever had this pseudonym was erased.
pub(super) fn is_erased(db: &Transaction<'_>, person: &str) -> rusqlite::Result<bool> {
    db.prepare_cached("SELECT 1 FROM erasures WHERE person = ?1 AND done = 1")?.exists([person])
}

/// The reason goes into the log, where nothing is ever taken out: it must not name whom it is about.
fn check_reason(why: &str, words: &[String]) -> Result<(), Failure> {
    if why.is_empty() || why.len() > WHY_MAX {
        return Err(Failure::new(Kind::Usage, format!("a reason has 1 to {WHY_MAX} bytes")));
    }
    let lower = why.to_lowercase();
    // Names of one or two letters are in any text.
    let named = words.iter().flat_map(|words| words.split_whitespace()).filter(|word| word.chars().count() > 2);
    match named.map(str::to_lowercase).find(|word| lower.contains(word.as_str())) {
        None => Ok(()),
        Some(_) => Err(Failure::new(Kind::Usage, "the reason names the person")
            .detail("It stays in the log for good, so it must not lead to who was erased.")
            .hint("give a reference: --reason 'GDPR art. 17, ticket 4711'")),
    }
}

fn unusable() -> Failure {
    Failure::new(Kind::Internal, "the keys of raw texts cannot be used")
        .detail("They were sealed with another key, or somebody changed them.")
}

/// What a record says of a session: itself, or the one in it that was found after a crash.
pub(super) fn said_of(session: SessionId, record: &str) -> Option<Core> {
    let record = Core::parse(record).ok()?;
    let record = match record.of {
        Some(of) => Core::parse(&of.record?).ok()?,
        None => record,
    };
    (record.session == Some(session)).then_some(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_leads_to_nobody() {
        let words = ["Alice Ames".to_owned(), "alice@example.com".to_owned(), "Al".to_owned()];
        check_reason("GDPR art. 17, ticket 4711", &words).unwrap();
        for wrong in ["", "alice asked", "for Ms AMES", "see alice@example.com", &"x".repeat(WHY_MAX + 1)] {
            assert!(check_reason(wrong, &words).is_err(), "{wrong}");
        }
    }
}
