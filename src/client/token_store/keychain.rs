//! The operating system's keychain: Secret Service on Linux, Keychain on macOS.

use keyring::{Entry, Error};

use super::{StoreError, TokenStore};
use crate::domain::Secret;

/// The name under which people find the entry in their keychain.
const SERVICE: &str = "gov";

#[derive(Debug)]
pub(super) struct Keychain;

impl TokenStore for Keychain {
    fn name(&self) -> &'static str {
        "keychain"
    }

    fn summary(&self) -> &'static str {
        "the operating system's keychain"
    }

    fn save(&self, server: &str, text: &Secret<String>) -> Result<(), StoreError> {
        entry(server)?.set_password(text.expose()).map_err(broken)
    }

    fn load(&self, server: &str) -> Result<Option<Secret<String>>, StoreError> {
        match entry(server)?.get_password() {
            Ok(text) => Ok(Some(Secret::new(text))),
            Err(Error::NoEntry) => Ok(None),
            Err(error) => Err(broken(error)),
        }
    }

    fn erase(&self, server: &str) -> Result<(), StoreError> {
        match entry(server)?.delete_credential() {
            Ok(()) | Err(Error::NoEntry) => Ok(()),
            Err(error) => Err(broken(error)),
        }
    }
}

fn entry(server: &str) -> Result<Entry, StoreError> {
    match Entry::store_status() {
        Ok(()) => Entry::new(SERVICE, server).map_err(broken),
        Err(_) => Err(StoreError::NoKeychain),
    }
}

/// Some of the crate's errors carry the stored bytes; their `Display` leaves them out.
fn broken(error: Error) -> StoreError {
    match error {
        Error::NoStorageAccess(_) | Error::NoDefaultStore | Error::PlatformFailure(_) => StoreError::NoKeychain,
        other => StoreError::Keychain(other),
    }
}
