//! Places where a login may rest, one per file. The file's name is the word people type after `--token-store`.

mod file;
mod keychain;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

use crate::domain::{Failure, Secret, Timestamp};

/// All places, the best first.
pub(crate) const TOKEN_STORES: &[&dyn TokenStore] = &[&keychain::Keychain, &file::File];

/// One kind of place. What is kept is one text per server.
pub(crate) trait TokenStore: Sync + std::fmt::Debug {
    /// The word.
    fn name(&self) -> &'static str;
    /// One line for help and `gov status`.
    fn summary(&self) -> &'static str;
    fn save(&self, server: &str, text: &Secret<String>) -> Result<(), StoreError>;
    fn load(&self, server: &str) -> Result<Option<Secret<String>>, StoreError>;
    /// Also succeeds when there is nothing.
    fn erase(&self, server: &str) -> Result<(), StoreError>;
}

/// Why a place cannot be used. Never holds what was to be kept.
#[derive(Debug, Error)]
pub(crate) enum StoreError {
    #[error("there is no keychain that answers")]
    NoKeychain,
    #[error("the keychain refused: {0}")]
    Keychain(#[from] keyring::Error),
    #[error("{0}")]
    File(#[from] std::io::Error),
    #[error("{0}")]
    NoHome(Failure),
    /// The parser's own words are left out: they could repeat what it read.
    #[error("what is kept there was not written by this version of gov")]
    NotOurs,
    #[error("it did not answer")]
    Silent,
}

/// The place with a name.
pub(crate) fn named(name: &str) -> Option<&'static dyn TokenStore> {
    TOKEN_STORES.iter().copied().find(|store| store.name() == name)
}

/// What a login leaves on this machine.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    /// Seed of the device key: without it the tokens are worthless.
    pub(crate) device: Secret<[u8; 32]>,
    /// The identity provider's; replaced at each use.
    pub(crate) refresh_token: Option<Secret<String>>,
    /// The server's, for a few minutes.
    pub(crate) access_token: Secret<String>,
    pub(crate) access_until: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Written {
    device: [u8; 32],
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    access_token: String,
    access_until: u64,
}

impl Drop for Written {
    fn drop(&mut self) {
        self.device.zeroize();
        self.refresh_token.zeroize();
        self.access_token.zeroize();
    }
}

impl Login {
    pub(crate) fn save(&self, store: &dyn TokenStore, server: &str) -> Result<(), StoreError> {
        let written = Written {
            device: *self.device.expose(),
            refresh_token: self.refresh_token.as_ref().map(|token| token.expose().clone()),
            access_token: self.access_token.expose().clone(),
            access_until: self.access_until.millis(),
        };
        let text = serde_json::to_string(&written).map_err(|_| StoreError::NotOurs)?;
        store.save(server, &Secret::new(text))
    }

    /// The login at a server, if there is one.
    pub(crate) fn load(store: &dyn TokenStore, server: &str) -> Result<Option<Self>, StoreError> {
        let Some(text) = store.load(server)? else { return Ok(None) };
        let text = Zeroizing::new(text.expose().clone());
        let mut written: Written = serde_json::from_str(&text).map_err(|_| StoreError::NotOurs)?;
        Ok(Some(Self {
            device: Secret::new(written.device),
            refresh_token: written.refresh_token.take().map(Secret::new),
            access_token: Secret::new(std::mem::take(&mut written.access_token)),
            access_until: Timestamp::from_millis(written.access_until),
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    use super::*;

    #[derive(Debug, Default)]
    struct Memory(Mutex<BTreeMap<String, String>>);

    impl TokenStore for Memory {
        fn name(&self) -> &'static str {
            "memory"
        }

        fn summary(&self) -> &'static str {
            "nowhere"
        }

        fn save(&self, server: &str, text: &Secret<String>) -> Result<(), StoreError> {
            self.0.lock().unwrap().insert(server.to_owned(), text.expose().clone());
            Ok(())
        }

        fn load(&self, server: &str) -> Result<Option<Secret<String>>, StoreError> {
            Ok(self.0.lock().unwrap().get(server).cloned().map(Secret::new))
        }

        fn erase(&self, server: &str) -> Result<(), StoreError> {
            self.0.lock().unwrap().remove(server);
            Ok(())
        }
    }

    #[test]
    fn a_login_comes_back_as_it_was() {
        let store = Memory::default();
        let login = Login {
            device: Secret::new([7; 32]),
            refresh_token: Some(Secret::new("r".to_owned())),
            access_token: Secret::new("a".to_owned()),
            access_until: Timestamp::from_millis(42),
        };
        login.save(&store, "https://a").unwrap();
        let found = Login::load(&store, "https://a").unwrap().unwrap();
        assert_eq!(found.device.expose(), &[7; 32]);
        assert_eq!(found.refresh_token.unwrap().expose(), "r");
        assert_eq!((found.access_token.expose().as_str(), found.access_until.millis()), ("a", 42));
        assert!(Login::load(&store, "https://b").unwrap().is_none());
        store.save("https://a", &Secret::new("{\"device\": \"hunter2\"}".to_owned())).unwrap();
        let error = Login::load(&store, "https://a").unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn names_lead_to_their_stores() {
        for store in TOKEN_STORES {
            assert_eq!(named(store.name()).unwrap().name(), store.name());
        }
        assert!(named("memory").is_none());
    }
}
