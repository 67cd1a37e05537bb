//! Credentials on loan, remembered: what a gateway that was killed had minted is revoked when it comes back, not when
//! its time is over.

use rusqlite::Transaction;

use super::store::Migrations;
use crate::domain::Timestamp;

pub(crate) const MIGRATIONS: Migrations = Migrations {
    owner: "leases",
    steps: &["
        CREATE TABLE leases (
            resource TEXT NOT NULL,
            role TEXT NOT NULL,
            minted_at INTEGER NOT NULL,
            PRIMARY KEY (resource, role)
        ) STRICT, WITHOUT ROWID;
    "],
};

/// A credential that was minted and is not known to be revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Open {
    pub(super) resource: String,
    pub(super) role: String,
}

/// Written before the credential is of use to anybody.
pub(super) fn minted(db: &Transaction<'_>, lease: &Open, now: Timestamp) -> rusqlite::Result<()> {
    let now = i64::try_from(now.millis()).unwrap_or(i64::MAX);
    db.execute("INSERT OR REPLACE INTO leases VALUES (?1, ?2, ?3)", (&lease.resource, &lease.role, now))?;
    Ok(())
}

pub(super) fn revoked(db: &Transaction<'_>, lease: &Open) -> rusqlite::Result<()> {
    db.execute("DELETE FROM leases WHERE resource = ?1 AND role = ?2", (&lease.resource, &lease.role))?;
    Ok(())
}

pub(super) fn open(db: &Transaction<'_>) -> rusqlite::Result<Vec<Open>> {
    let mut select = db.prepare("SELECT resource, role FROM leases ORDER BY minted_at")?;
    let rows = select.query_map([], |row| Ok(Open { resource: row.get(0)?, role: row.get(1)? }))?;
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::store::scratch;

    #[test]
    fn leases_are_open_until_revoked() {
        let store = scratch("leases");
        let lease = Open { resource: "db".into(), role: "gov_s_1".into() };
        let (first, second) = (lease.clone(), lease.clone());
        store.run_blocking(move |db| minted(db, &first, Timestamp::from_seconds(1))).unwrap();
        assert_eq!(store.run_blocking(open).unwrap(), [lease]);
        store.run_blocking(move |db| revoked(db, &second)).unwrap();
        assert!(store.run_blocking(open).unwrap().is_empty());
    }
}
