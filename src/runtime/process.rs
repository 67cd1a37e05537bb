//! What the operating system is to do with this process, and with others of this program.

use std::os::unix::fs::MetadataExt as _;

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, getuid, kill_process, setrlimit};

/// Writes no core files: they would hold keys and rows.
pub(crate) fn forbid_core_files() {
    // A process may always lower its own limits; if it could not, there would be nothing to do about it.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
}

/// Allows as many open files as the system lets this process have: each session takes a handful. Gives that number.
pub(crate) fn raise_open_files() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let _ = setrlimit(Resource::Nofile, raised);
    getrlimit(Resource::Nofile).current
}

/// Asks another gov process of this user to end. Does nothing when the number belongs to anything else by now: numbers
/// of processes are used again.
pub(crate) fn end_own(process: u32) {
    let pid = i32::try_from(process).ok().and_then(Pid::from_raw);
    let Some(pid) = pid.filter(|_| process != std::process::id()) else { return };
    let place = format!("/proc/{process}");
    let ours = std::fs::metadata(&place).is_ok_and(|metadata| metadata.uid() == getuid().as_raw())
        && std::fs::read_to_string(format!("{place}/comm")).is_ok_and(|name| name.trim() == "gov");
    if ours {
        // It may have ended in this very moment, which is what was wanted.
        let _ = kill_process(pid, Signal::TERM);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_as_asked() {
        forbid_core_files();
        assert_eq!(getrlimit(Resource::Core).current, Some(0));
        assert_eq!(raise_open_files(), getrlimit(Resource::Nofile).maximum);
    }
}
