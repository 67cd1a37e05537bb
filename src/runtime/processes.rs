//! Other processes of this program.

use rustix::process::{Pid, Signal, getuid, kill_process};
use std::os::unix::fs::MetadataExt as _;

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
        drop(kill_process(pid, Signal::TERM));
    }
}
