//! A database's URL → where it is, whom to log in as and how to protect the connection.
//!
//! `postgres://user@host:port/database?option=value`. A password has no place in it: it would end in shell histories,
//! process lists and configuration repositories.

use std::net::IpAddr;

use reqwest::Url;
use thiserror::Error;

use crate::domain::ProtocolName;

/// PostgreSQL's port (IANA).
const POSTGRES_PORT: u16 = 5432;

/// What a URL says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Upstream {
    pub(super) protocol: ProtocolName,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) user: String,
    pub(super) database: String,
    /// What stands behind the question mark, in order, decoded.
    pub(super) options: Vec<(String, String)>,
}

/// Why a text is not the URL of a database. Never repeats the URL, which may hold a password.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum BadUrl {
    #[error("not a URL: {0}")]
    NotAUrl(String),
    #[error("only `postgres://` is known")]
    UnknownProtocol,
    #[error("no host is given")]
    NoHost,
    #[error("no user is given")]
    NoUser,
    #[error("no database is given")]
    NoDatabase,
    #[error("a password must not stand in a URL")]
    Password,
    #[error("a part of it is not text in UTF-8")]
    NotText,
}

impl BadUrl {
    pub(super) fn hint(&self) -> &'static str {
        match self {
            Self::Password => "give the password as a file or an environment variable",
            Self::NotAUrl(_)
            | Self::UnknownProtocol
            | Self::NoHost
            | Self::NoUser
            | Self::NoDatabase
            | Self::NotText => "write `postgres://user@host:5432/database`",
        }
    }
}

pub(super) fn parse(text: &str) -> Result<Upstream, BadUrl> {
    let url = Url::parse(text).map_err(|error| BadUrl::NotAUrl(error.to_string()))?;
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return Err(BadUrl::UnknownProtocol);
    }
    if url.password().is_some() {
        return Err(BadUrl::Password);
    }
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or(BadUrl::NoHost)?;
    let database = decode(url.path().trim_start_matches('/'))?;
    let user = decode(url.username())?;
    Ok(Upstream {
        protocol: ProtocolName::Postgres,
        // `%2Fvar%2Frun%2Fpostgresql` is the folder of a Unix socket, as libpq writes it.
        host: decode(host.trim_start_matches('[').trim_end_matches(']'))?,
        port: url.port().unwrap_or(POSTGRES_PORT),
        user: if user.is_empty() { return Err(BadUrl::NoUser) } else { user },
        database: if database.is_empty() { return Err(BadUrl::NoDatabase) } else { database },
        options: url.query_pairs().into_owned().collect(),
    })
}

/// Whether a host is this very machine, where TLS to the database may be left out.
pub(super) fn is_loopback(host: &str) -> bool {
    host.starts_with('/') || host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Percent-decoding (RFC 3986 section 2.1). What is not an escape stays as it is.
fn decode(text: &str) -> Result<String, BadUrl> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escape = after.split_at_checked(2).filter(|_| *first == b'%').and_then(|(digits, after)| {
            let digits = std::str::from_utf8(digits).ok().filter(|_| digits.iter().all(u8::is_ascii_hexdigit))?;
            Some((u8::from_str_radix(digits, 16).ok()?, after))
        });
        let (byte, next) = escape.unwrap_or((*first, after));
        out.push(byte);
        rest = next;
    }
    String::from_utf8(out).map_err(|_| BadUrl::NotText)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let found = parse("postgres://ad%40min@db.example:6543/my%20db?env=prod&data=a%26b").unwrap();
        assert_eq!((found.user.as_str(), found.host.as_str(), found.port), ("ad@min", "db.example", 6543));
        assert_eq!(found.database, "my db");
        assert_eq!(found.options, [("env", "prod"), ("data", "a&b")].map(|(k, v)| (k.to_owned(), v.to_owned())));
        assert_eq!(parse("postgresql://u@[::1]/d").unwrap().host, "::1");
        assert_eq!(parse("postgres://u@%2Ftmp%2Fpg:5433/d").unwrap().host, "/tmp/pg");
        assert_eq!(parse("postgres://u@h/d").unwrap().port, 5432);
        for (text, expect) in [
            ("mysql://u@h/d", BadUrl::UnknownProtocol),
            ("postgres://u:hunter2@h/d", BadUrl::Password),
            ("postgres://u@h", BadUrl::NoDatabase),
            ("postgres://u@h/", BadUrl::NoDatabase),
            ("postgres://h/d", BadUrl::NoUser),
            ("postgres:///d", BadUrl::NoHost),
            ("postgres://u@h/%ff", BadUrl::NotText),
        ] {
            assert_eq!(parse(text).unwrap_err(), expect, "{text}");
        }
        assert!(matches!(parse("postgres://u:hunter2@h:port/d"), Err(error) if !error.to_string().contains("hunter2")));
    }

    #[test]
    fn escapes() {
        for (text, expect) in
            [("a%2Fb", "a/b"), ("%", "%"), ("%2", "%2"), ("%zz", "%zz"), ("%+f", "%+f"), ("100%25", "100%"), ("ä", "ä")]
        {
            assert_eq!(decode(text).unwrap(), expect);
        }
    }
}
