//! What works once, and what does not work any more: ids of proofs already used, tokens already exchanged, device keys
//! that were logged out.

use rusqlite::{OptionalExtension, Transaction};

use super::store::Migrations;
use crate::domain::{Digest, Duration, Timestamp};
use crate::identity::dpop;
use crate::identity::jwt::Thumbprint;

pub(crate) const MIGRATIONS: Migrations = Migrations {
    owner: "replay",
    steps: &["
        CREATE TABLE proofs_seen (
            key TEXT NOT NULL,
            id TEXT NOT NULL,
            until INTEGER NOT NULL,
            PRIMARY KEY (key, id)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX proofs_seen_until ON proofs_seen (until);
        CREATE TABLE tokens_exchanged (
            digest TEXT PRIMARY KEY,
            key TEXT NOT NULL,
            until INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX tokens_exchanged_until ON tokens_exchanged (until);
        CREATE TABLE keys_revoked (
            key TEXT PRIMARY KEY,
            until INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
    "],
};

/// How long a logged-out key is remembered: longer than any refresh token that could bring it back is likely to live.
const REVOKED: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// Most rows removed at a time, so that cleaning up never holds up a login.
const CLEANED_MAX: i64 = 100;

fn millis(at: Timestamp) -> i64 {
    i64::try_from(at.millis()).unwrap_or(i64::MAX)
}

/// Remembers a proof. False when it was seen before.
pub(super) fn first_use(db: &Transaction<'_>, proof: &dpop::Proof, now: Timestamp) -> rusqlite::Result<bool> {
    db.prepare_cached(
        "DELETE FROM proofs_seen WHERE (key, id) IN (SELECT key, id FROM proofs_seen WHERE until < ?1 LIMIT ?2)",
    )?
    .execute((millis(now), CLEANED_MAX))?;
    let until = millis(now.after(dpop::REMEMBER));
    let mut insert = db.prepare_cached("INSERT OR IGNORE INTO proofs_seen VALUES (?1, ?2, ?3)")?;
    Ok(insert.execute((proof.key.as_str(), &proof.id, until))? == 1)
}

/// Binds an identity provider's token to the first key that exchanges it. False when another key did before: then one
/// of the two stole it. The same key may ask again, because answers get lost.
pub(super) fn claim_token(
    db: &Transaction<'_>,
    token: Digest,
    key: &Thumbprint,
    now: Timestamp,
    until: Timestamp,
) -> rusqlite::Result<bool> {
    db.prepare_cached(
        "DELETE FROM tokens_exchanged WHERE digest IN (SELECT digest FROM tokens_exchanged WHERE until < ?1 LIMIT ?2)",
    )?
    .execute((millis(now), CLEANED_MAX))?;
    let token = token.to_string();
    db.prepare_cached("INSERT OR IGNORE INTO tokens_exchanged VALUES (?1, ?2, ?3)")?.execute((
        &token,
        key.as_str(),
        millis(until),
    ))?;
    let holder: String = db
        .prepare_cached("SELECT key FROM tokens_exchanged WHERE digest = ?1")?
        .query_row([&token], |row| row.get(0))?;
    Ok(holder == key.as_str())
}

/// Ends everything that is bound to a key.
pub(super) fn revoke_key(db: &Transaction<'_>, key: &Thumbprint, now: Timestamp) -> rusqlite::Result<()> {
    db.execute("DELETE FROM keys_revoked WHERE until < ?1", [millis(now)])?;
    db.execute("INSERT OR REPLACE INTO keys_revoked VALUES (?1, ?2)", (key.as_str(), millis(now.after(REVOKED))))?;
    Ok(())
}

pub(super) fn is_revoked(db: &Transaction<'_>, key: &Thumbprint) -> rusqlite::Result<bool> {
    let mut select = db.prepare_cached("SELECT 1 FROM keys_revoked WHERE key = ?1")?;
    Ok(select.query_row([key.as_str()], |_| Ok(())).optional()?.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::store::scratch;

    fn key(letter: char) -> Thumbprint {
        Thumbprint::parse(&format!("{}A", letter.to_string().repeat(42))).unwrap()
    }

    #[test]
    fn a_proof_works_once_per_key_until_it_is_too_old_anyway() {
        let store = scratch("proofs");
        let now = Timestamp::from_seconds(1_800_000_000);
        let proof = |key: &Thumbprint, id: &str| dpop::Proof { key: key.clone(), id: id.to_owned() };
        let (a, b) = (key('a'), key('b'));
        let check =
            |proof: dpop::Proof, at: Timestamp| store.run_blocking(move |db| first_use(db, &proof, at)).unwrap();
        assert!(check(proof(&a, "1"), now));
        assert!(!check(proof(&a, "1"), now));
        assert!(check(proof(&b, "1"), now), "ids are per key");
        assert!(!check(proof(&a, "1"), now.after(dpop::REMEMBER)));
        assert!(check(proof(&a, "1"), now.after(dpop::REMEMBER * 2)), "forgotten, and too old by then");
    }

    #[test]
    fn a_token_belongs_to_the_first_key() {
        let store = scratch("tokens");
        let now = Timestamp::from_seconds(1_800_000_000);
        let until = now.after(Duration::from_secs(300));
        let claim = |digest: u8, key: Thumbprint| {
            store.run_blocking(move |db| claim_token(db, Digest([digest; 32]), &key, now, until)).unwrap()
        };
        assert!(claim(1, key('a')));
        assert!(claim(1, key('a')), "asking again is fine");
        assert!(!claim(1, key('b')));
        assert!(claim(2, key('b')));
    }

    #[test]
    fn a_revoked_key_stays_revoked() {
        let store = scratch("keys");
        let now = Timestamp::from_seconds(1_800_000_000);
        let is = |key: Thumbprint| store.run_blocking(move |db| is_revoked(db, &key)).unwrap();
        store.run_blocking(move |db| revoke_key(db, &key('a'), now)).unwrap();
        assert!(is(key('a')) && !is(key('b')));
    }
}
