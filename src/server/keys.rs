//! The server's own keys, made once and kept sealed: on disk they are worthless without the key that seals them.

use std::path::Path;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use rusqlite::OptionalExtension;
use zeroize::{Zeroize, Zeroizing};

use super::store::{Migrations, Store};
use crate::audit::Signer;
use crate::domain::{Failure, Kind, Secret};
use crate::identity::jwt::SigningKey;
use crate::runtime::{files, random};

pub(crate) const MIGRATIONS: Migrations = Migrations {
    owner: "keys",
    steps: &["
        CREATE TABLE server_keys (
            name TEXT PRIMARY KEY,
            sealed BLOB NOT NULL
        ) STRICT, WITHOUT ROWID;
    "],
};

/// Name of the file that holds the sealing key where none is configured.
const KEY_FILE: &str = "server.key";

/// What the server signs and computes pseudonyms with.
#[derive(Debug)]
pub(crate) struct ServerKeys {
    /// Under it everything secret is kept.
    sealing: Secret<[u8; 32]>,
    /// Signs access tokens.
    pub(crate) signing: SigningKey,
    /// The same key, for certificates and what the server itself records.
    pub(crate) records: Signer,
    /// From it come the keys of pseudonyms in masked results.
    masks: Secret<[u8; 32]>,
    /// Makes pseudonyms.
    pub(crate) pseudonym: Secret<[u8; 32]>,
    /// Signs the tokens of the built-in issuer. Another key, so that no token of one kind can pass for the other.
    pub(crate) issuer: SigningKey,
}

impl ServerKeys {
    /// Opens the keys in the store, and makes those that are not there yet.
    pub(crate) fn open(store: &Store, data: &Path, configured: Option<&Secret<[u8; 32]>>) -> Result<Self, Failure> {
        let sealing = match configured {
            Some(key) => key.clone(),
            None => key_beside_the_data(store, data)?,
        };
        Ok(Self {
            signing: signing_key(store, &sealing, "signing")?,
            records: Signer::new(open_or_make(store, &sealing, "signing")?)
                .map_err(|_| Failure::new(Kind::Internal, "the key `signing` cannot be used"))?,
            masks: open_or_make(store, &sealing, "masks")?,
            pseudonym: open_or_make(store, &sealing, "pseudonym")?,
            issuer: signing_key(store, &sealing, "issuer")?,
            sealing,
        })
    }
}

impl ServerKeys {
    /// A key for keeping, as it may lie on a disk. The name is authenticated.
    pub(super) fn wrap(&self, name: &str, key: &Secret<[u8; 32]>, nonce: [u8; NONCE_LEN]) -> Option<Vec<u8>> {
        seal(&self.sealing, name, key, nonce)
    }

    /// A key that was kept under this name.
    pub(super) fn unwrap(&self, name: &str, sealed: Vec<u8>) -> Option<Secret<[u8; 32]>> {
        open(&self.sealing, name, sealed)
    }

    /// The key under which values of a resource are pseudonymised: equal values stay equal there, and nowhere else.
    pub(crate) fn mask_key(&self, resource: &str) -> Secret<[u8; 32]> {
        let mut out = [0u8; 32];
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.masks.expose());
        out.copy_from_slice(hmac::sign(&key, resource.as_bytes()).as_ref());
        Secret::new(out)
    }
}

fn signing_key(store: &Store, sealing: &Secret<[u8; 32]>, name: &'static str) -> Result<SigningKey, Failure> {
    let seed = open_or_make(store, sealing, name)?;
    SigningKey::from_seed(&seed).ok_or_else(|| Failure::new(Kind::Internal, format!("the key `{name}` cannot be used")))
}

/// The key in the data folder. Made at the first start only: if it is lost later, the sealed keys are lost with it, and
/// a new one would hide that.
fn key_beside_the_data(store: &Store, data: &Path) -> Result<Secret<[u8; 32]>, Failure> {
    let path = data.join(KEY_FILE);
    let broken = |why: String| {
        Failure::new(Kind::Usage, format!("the server's key `{}` cannot be used", path.display())).cause(why)
    };
    if let Some(bytes) = files::read_secret(&path, 32).map_err(|error| broken(error.to_string()))? {
        let bytes = Zeroizing::new(bytes);
        let key: [u8; 32] = bytes.as_slice().try_into().map_err(|_| broken("It does not hold 32 bytes".to_owned()))?;
        return Ok(Secret::new(key));
    }
    let sealed: i64 =
        store.run_blocking(|db| db.query_row("SELECT count(*) FROM server_keys", [], |row| row.get(0)))?;
    if sealed > 0 {
        return Err(broken("It is missing, and keys in the store are sealed with it".to_owned())
            .hint("put it back from your backup"));
    }
    let mut key = random::bytes::<32>()?;
    let written = files::write_private(&path, &key).map_err(|error| broken(error.to_string()));
    let secret = Secret::new(key);
    key.zeroize();
    written.map(|()| secret)
}

fn open_or_make(store: &Store, sealing: &Secret<[u8; 32]>, name: &'static str) -> Result<Secret<[u8; 32]>, Failure> {
    let found: Option<Vec<u8>> = store.run_blocking(move |db| {
        db.query_row("SELECT sealed FROM server_keys WHERE name = ?1", [name], |row| row.get(0)).optional()
    })?;
    if let Some(sealed) = found {
        return open(sealing, name, sealed).ok_or_else(|| {
            Failure::new(Kind::Usage, "the server's keys cannot be opened")
                .detail("They were sealed with another key, or somebody changed them.")
                .hint("start the server with the `server.key` it had before")
        });
    }
    let key = Secret::new(random::bytes::<32>()?);
    let sealed = seal(sealing, name, &key, random::bytes()?)
        .ok_or_else(|| Failure::new(Kind::Internal, "a key of the server could not be sealed"))?;
    store.run_blocking(move |db| db.execute("INSERT INTO server_keys VALUES (?1, ?2)", (name, sealed)))?;
    Ok(key)
}

/// AES-256-GCM; the name is authenticated, so that sealed keys cannot be swapped for each other.
fn cipher(sealing: &Secret<[u8; 32]>) -> Option<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, sealing.expose()).ok().map(LessSafeKey::new)
}

/// Nonce, then ciphertext and tag. A handful of random nonces per sealing key, and one for each person and month: far
/// below the limit of 2^32 (NIST SP 800-38D section 8.3).
fn seal(sealing: &Secret<[u8; 32]>, name: &str, key: &Secret<[u8; 32]>, nonce: [u8; NONCE_LEN]) -> Option<Vec<u8>> {
    let mut sealed = key.expose().to_vec();
    let aad = Aad::from(name.as_bytes());
    cipher(sealing)?.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed).ok()?;
    Some([nonce.as_slice(), &sealed].concat())
}

fn open(sealing: &Secret<[u8; 32]>, name: &str, sealed: Vec<u8>) -> Option<Secret<[u8; 32]>> {
    let mut sealed = Zeroizing::new(sealed);
    let (nonce, ciphertext) = sealed.split_at_mut_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let opened = cipher(sealing)?.open_in_place(nonce, Aad::from(name.as_bytes()), ciphertext).ok()?;
    <[u8; 32]>::try_from(&*opened).ok().map(Secret::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::store::scratch;

    fn folder(name: &str) -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("gov-keys-{}-{name}", std::process::id()));
        drop(std::fs::remove_dir_all(&folder));
        folder
    }

    #[test]
    fn keys_are_made_once_and_kept() {
        let (store, folder) = (scratch("keys-kept"), folder("kept"));
        let first = ServerKeys::open(&store, &folder, None).unwrap();
        let again = ServerKeys::open(&store, &folder, None).unwrap();
        assert_eq!(first.signing.public(), again.signing.public());
        assert_eq!(first.pseudonym.expose(), again.pseudonym.expose());
        assert_ne!(first.signing.public(), first.issuer.public());
    }

    #[test]
    fn nothing_on_disk_opens_them_without_the_sealing_key() {
        let (store, folder) = (scratch("keys-sealed"), folder("sealed"));
        let key = Secret::new([7; 32]);
        let keys = ServerKeys::open(&store, &folder, Some(&key)).unwrap();
        assert!(!folder.exists(), "a configured key is not written anywhere");
        let rows: Vec<u8> = store
            .run_blocking(|db| {
                let mut select = db.prepare("SELECT sealed FROM server_keys")?;
                let rows =
                    select.query_map([], |row| row.get::<_, Vec<u8>>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
                Ok(rows.concat())
            })
            .unwrap();
        assert!(!rows.windows(32).any(|window| window == keys.pseudonym.expose()));
        let failure = ServerKeys::open(&store, &folder, Some(&Secret::new([8; 32]))).unwrap_err();
        assert_eq!(failure.message, "the server's keys cannot be opened");
    }

    #[test]
    fn a_lost_key_is_not_replaced_silently() {
        let (store, folder) = (scratch("keys-lost"), folder("lost"));
        ServerKeys::open(&store, &folder, None).unwrap();
        std::fs::remove_file(folder.join(KEY_FILE)).unwrap();
        let failure = ServerKeys::open(&store, &folder, None).unwrap_err();
        assert!(failure.detail.unwrap().starts_with("It is missing"));
    }

    #[test]
    fn sealed_keys_cannot_be_swapped_or_changed() {
        let sealing = Secret::new([7; 32]);
        let sealed = seal(&sealing, "one", &Secret::new([9; 32]), [1; NONCE_LEN]).unwrap();
        assert_eq!(open(&sealing, "one", sealed.clone()).unwrap().expose(), &[9; 32]);
        assert!(open(&sealing, "two", sealed.clone()).is_none());
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(open(&sealing, "one", changed).is_none(), "byte {index}");
            assert!(open(&sealing, "one", sealed[..index].to_vec()).is_none(), "cut at {index}");
        }
    }
}
