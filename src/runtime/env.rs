//! The only environment and home directory.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::domain::{Failure, Kind};

/// An environment variable, if it is set and not empty.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
pub(crate) fn var(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// All variables, for handing a cleaned copy to a child process.
pub(crate) fn all() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os()
}

/// Where settings live: `$XDG_CONFIG_HOME/gov`, `~/.config/gov`.
pub(crate) fn config_dir() -> Result<PathBuf, Failure> {
    base(dirs::config_dir())
}

/// Where gov keeps what must survive: `$XDG_DATA_HOME/gov`, `~/.local/share/gov`.
pub(crate) fn data_dir() -> Result<PathBuf, Failure> {
    base(dirs::data_local_dir())
}

/// The authorities of servers on loopback that this user has started; clients believe them about loopback only.
pub(crate) fn loopback_authorities() -> Result<PathBuf, Failure> {
    Ok(data_dir()?.join("dev-ca.pem"))
}

/// Where sockets live while somebody is logged in: `$XDG_RUNTIME_DIR/gov`, or a folder of our own in the data
/// directory where the system has no such place.
pub(crate) fn runtime_dir() -> Result<PathBuf, Failure> {
    match dirs::runtime_dir() {
        Some(dir) if dir.is_dir() => Ok(dir.join("gov")),
        _ => Ok(data_dir()?.join("run")),
    }
}

fn base(dir: Option<PathBuf>) -> Result<PathBuf, Failure> {
    dir.map(|dir| dir.join("gov")).ok_or_else(|| {
        Failure::new(Kind::Usage, "no home directory is known").hint("set HOME, or XDG_CONFIG_HOME and XDG_DATA_HOME")
    })
}

/// `user@host`, as this machine calls them.
pub(crate) fn user_at_host() -> String {
    let user =
        var("USER").or_else(|| var("LOGNAME")).unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()));
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{user}@{host}")
}
