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
        files::write_private(&path(server)?, text.expose().as_bytes()).map_err(broken)
    }

    fn load(&self, server: &str) -> Result<Option<Secret<String>>, StoreError> {
        let Some(bytes) = files::read_secret(&path(server)?, LENGTH_MAX).map_err(broken)? else { return Ok(None) };
        String::from_utf8(bytes).map(|text| Some(Secret::new(text))).map_err(broken)
    }

    fn erase(&self, server: &str) -> Result<(), StoreError> {
        files::remove(&path(server)?).map_err(broken)
    }
}

fn broken(error: impl std::fmt::Display) -> StoreError {
    StoreError(error.to_string())
}

/// `tokens/https-gov.example.com` below the data folder: the server's origin in characters that need no quoting.
fn path(server: &str) -> Result<PathBuf, StoreError> {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    let name: String = server.replace("://", "-").chars().map(plain).collect();
    Ok(env::data_dir().map_err(broken)?.join("tokens").join(name))
}
