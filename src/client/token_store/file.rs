//! A file that only its owner may read.

use std::path::PathBuf;

use super::{StoreError, TokenStore};
use crate::domain::Secret;
use crate::runtime::{env, files};

/// Longest file read, in bytes. Two tokens and a key have a few kilobytes.
const LENGTH_MAX: u64 = 256 * 1024;

#[derive(Debug)]
pub(super) struct File;

impl TokenStore for File {
    fn name(&self) -> &'static str {
        "file"
    }

    fn summary(&self) -> &'static str {
        "a file in your home directory that only you may read"
    }

    fn save(&self, server: &str, text: &Secret<String>) -> Result<(), StoreError> {
        Ok(files::write_private(&path(server)?, text.expose().as_bytes())?)
    }

    fn load(&self, server: &str) -> Result<Option<Secret<String>>, StoreError> {
        let Some(bytes) = files::read_secret(&path(server)?, LENGTH_MAX)? else { return Ok(None) };
        String::from_utf8(bytes).map(|text| Some(Secret::new(text))).map_err(|_| StoreError::NotOurs)
    }

    fn erase(&self, server: &str) -> Result<(), StoreError> {
        Ok(files::remove(&path(server)?)?)
    }
}

/// `tokens/https-gov.example.com` below the data folder: the server's origin in characters that need no quoting.
fn path(server: &str) -> Result<PathBuf, StoreError> {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    let name: String = server.replace("://", "-").chars().map(plain).collect();
    Ok(env::data_dir().map_err(StoreError::NoHome)?.join("tokens").join(name))
}
