//! Secrets that a configuration needs: in files of their owner's or in the environment, never in the configuration.

use std::path::{Path, PathBuf};
use std::{fmt, io};

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::domain::Secret;
use crate::runtime::{env, files};

/// Where a secret is: never in the file itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SecretSource {
    File(PathBuf),
    Env(String),
}

/// Longest secret file, in bytes: a private key with its comments.
const LENGTH_MAX: u64 = 64 * 1024;

/// Why a secret cannot be had. Never holds any of it.
#[derive(Debug, Error)]
pub(crate) enum SecretError {
    #[error("the environment variable `{0}` is not set")]
    NotSet(String),
    #[error("`{}` cannot be used: it does not exist", .0.display())]
    Missing(PathBuf),
    #[error("`{}` cannot be used: it is not text", .0.display())]
    NotText(PathBuf),
    #[error("`{}` cannot be used: {error}", path.display())]
    Unreadable { path: PathBuf, error: io::Error },
}

impl SecretSource {
    /// The secret itself, without the line end that editors add. Files are relative to `folder`.
    pub(super) fn read(&self, folder: &Path) -> Result<Secret<String>, SecretError> {
        let path = match self {
            Self::Env(name) => {
                return env::var(name).map(Secret::new).ok_or_else(|| SecretError::NotSet(name.clone()));
            }
            Self::File(file) => folder.join(file),
        };
        match files::read_secret(&path, LENGTH_MAX) {
            Ok(Some(bytes)) => {
                let bytes = Zeroizing::new(bytes);
                let text = std::str::from_utf8(&bytes).map_err(|_| SecretError::NotText(path))?;
                Ok(Secret::new(text.trim_end_matches(['\n', '\r']).to_owned()))
            }
            Ok(None) => Err(SecretError::Missing(path)),
            Err(error) => Err(SecretError::Unreadable { path, error }),
        }
    }
}

/// A file that everybody may read, such as a certificate.
pub(super) fn read_public(path: PathBuf) -> Result<String, SecretError> {
    match files::read_limited(&path, LENGTH_MAX) {
        Ok(Some(bytes)) => String::from_utf8(bytes).map_err(|_| SecretError::NotText(path)),
        Ok(None) => Err(SecretError::Missing(path)),
        Err(error) => Err(SecretError::Unreadable { path, error }),
    }
}

impl<'de> Deserialize<'de> for SecretSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        /// Says what to write and never what was written: it may be the secret.
        fn refused<T, E: de::Error>() -> Result<T, E> {
            Err(E::custom("a secret is not written here: use `{file: PATH}` or `{env: NAME}`"))
        }

        impl<'de> Visitor<'de> for Reader {
            type Value = SecretSource;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`{file: PATH}` or `{env: NAME}`")
            }

            fn visit_str<E: de::Error>(self, _: &str) -> Result<SecretSource, E> {
                refused()
            }

            fn visit_i64<E: de::Error>(self, _: i64) -> Result<SecretSource, E> {
                refused()
            }

            fn visit_u64<E: de::Error>(self, _: u64) -> Result<SecretSource, E> {
                refused()
            }

            fn visit_f64<E: de::Error>(self, _: f64) -> Result<SecretSource, E> {
                refused()
            }

            fn visit_bool<E: de::Error>(self, _: bool) -> Result<SecretSource, E> {
                refused()
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SecretSource, A::Error> {
                let source = match map.next_key::<String>()?.as_deref() {
                    Some("file") => SecretSource::File(map.next_value()?),
                    Some("env") => SecretSource::Env(map.next_value()?),
                    Some(_) | None => return refused(),
                };
                if map.next_key::<de::IgnoredAny>()?.is_some() { refused() } else { Ok(source) }
            }
        }

        deserializer.deserialize_any(Reader)
    }
}
