//! What this machine remembers about its server: where it is, whom to believe, where the login rests. No secrets.

use std::path::PathBuf;

use reqwest::Url;
use serde::{Deserialize, Serialize};

use crate::domain::{Failure, Kind};
use crate::runtime::tls::Trust;
use crate::runtime::{env, files, http};
use crate::wire::api::{IssuerInfo, ServerKey};

/// Longest profile read, in bytes: a few certificates.
const LENGTH_MAX: u64 = 256 * 1024;

/// `profile.json` in the configuration folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profile {
    /// `https://host[:port]`.
    pub(crate) server: String,
    /// Authorities given with `--ca-file`, as PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca: Option<String>,
    /// What the server said about its issuer at the last login.
    pub(crate) issuer: IssuerInfo,
    /// The key the server signs with, as seen at the last login.
    pub(crate) key: ServerKey,
    /// By which key the server's log signs its checkpoints, as seen at the last login.
    pub(crate) log: String,
    /// Where the login rests.
    pub(crate) token_store: String,
    /// The platform whose token was exchanged, where a job logged in and no person: how to do it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) workload: Option<String>,
    /// Who logged in last, for screens.
    pub(crate) name: String,
}

impl Profile {
    /// What is remembered, if anything is.
    pub(crate) fn load() -> Result<Option<Self>, Failure> {
        let path = path()?;
        let broken = |why: String| {
            Failure::new(Kind::Usage, format!("`{}` cannot be read", path.display()))
                .cause(why)
                .hint("log in again: gov login https://…")
        };
        let Some(text) = files::read_limited(&path, LENGTH_MAX).map_err(|error| broken(error.to_string()))? else {
            return Ok(None);
        };
        serde_json::from_slice(&text).map(Some).map_err(|error| broken(error.to_string()))
    }

    pub(crate) fn save(&self) -> Result<(), Failure> {
        let path = path()?;
        let broken =
            |why: String| Failure::new(Kind::Internal, format!("`{}` cannot be written", path.display())).cause(why);
        let text = serde_json::to_vec_pretty(self).map_err(|error| broken(error.to_string()))?;
        files::write_private(&path, &text).map_err(|error| broken(error.to_string()))
    }
}

fn path() -> Result<PathBuf, Failure> {
    Ok(env::config_dir()?.join("profile.json"))
}

/// The server somebody typed: `https://` may be left out, a path may not be there.
pub(crate) fn server_url(typed: &str) -> Result<Url, Failure> {
    let with_scheme = if typed.contains("://") { typed.to_owned() } else { format!("https://{typed}") };
    let refused = |why: &dyn std::fmt::Display| {
        Failure::new(Kind::Usage, format!("`{typed}` is not the address of a gov server"))
            .cause(why)
            .hint("write for example: gov login https://gov.example.com")
    };
    let url = Url::parse(&with_scheme).map_err(|error| refused(&error))?;
    if url.scheme() != "https" {
        return Err(refused(&"only https is spoken"));
    }
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    if !bare || !url.username().is_empty() || url.password().is_some() {
        return Err(refused(&"give the host, and the port if it is not 443; nothing else"));
    }
    Ok(url)
}

/// `https://host[:port]`, as tokens and proofs name it.
pub(crate) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// Whom to believe about a server: on loopback the authorities that servers of this user have made, elsewhere the
/// system's and those given.
pub(crate) fn trust(server: &Url, ca: Option<&str>) -> Result<Trust, Failure> {
    if let Some(ca) = ca {
        return Ok(Trust::SystemAnd(ca.to_owned()));
    }
    if http::is_loopback(server) {
        let path = env::loopback_authorities()?;
        let known = files::read_limited(&path, LENGTH_MAX)
            .map_err(|error| Failure::new(Kind::Usage, format!("`{}` cannot be read", path.display())).cause(error))?;
        if let Some(known) = known.and_then(|known| String::from_utf8(known).ok()) {
            return Ok(Trust::Only(known));
        }
    }
    Ok(Trust::System)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_people_type_them() {
        for (typed, expect) in [
            ("https://gov.example.com", "https://gov.example.com"),
            ("https://gov.example.com/", "https://gov.example.com"),
            ("gov.example.com", "https://gov.example.com"),
            ("GOV.example.com:7443", "https://gov.example.com:7443"),
            ("https://127.0.0.1:7443", "https://127.0.0.1:7443"),
            ("https://gov.example.com:443", "https://gov.example.com"),
        ] {
            assert_eq!(origin(&server_url(typed).unwrap()), expect, "{typed}");
        }
        for bad in [
            "",
            "http://gov.example.com",
            "https://gov.example.com/v1",
            "https://u@gov.example.com",
            "https://gov.example.com?x",
            "ftp://gov",
            "https://",
        ] {
            assert_eq!(server_url(bad).unwrap_err().kind, Kind::Usage, "{bad}");
        }
    }
}
