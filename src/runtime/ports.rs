//! Who listens on a port of this machine, for the sentence "the port is taken by …". Best effort: other users'
//! processes are known by their number at most.

use std::fs;
use std::path::Path;

/// Most processes looked at. The largest Linux `pid_max` is 4,194,304; a machine that busy gets no name.
const PROCESSES_MAX: usize = 65_536;

/// State `LISTEN` in `/proc/net/tcp` (`include/net/tcp_states.h`).
const LISTENING: &str = "0A";

/// The program that listens on a TCP port, as `postgres (pid 812)`, if it can be found out.
pub(crate) fn holder(port: u16) -> Option<String> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .find_map(|table| listening_inode(&table, port).map(str::to_owned))?;
    let wanted = format!("socket:[{inode}]");
    let processes = fs::read_dir("/proc").ok()?.take(PROCESSES_MAX).filter_map(Result::ok);
    processes
        .filter(|entry| entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit))
        .find(|entry| holds(&entry.path(), &wanted))
        .map(|entry| {
            let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            let name: String = name.trim().chars().filter(|c| !c.is_control()).collect();
            format!("{name} (pid {})", entry.file_name().to_string_lossy())
        })
}

fn holds(process: &Path, wanted: &str) -> bool {
    let Ok(files) = fs::read_dir(process.join("fd")) else { return false };
    files
        .filter_map(Result::ok)
        .filter_map(|file| fs::read_link(file.path()).ok())
        .any(|target| target.as_os_str() == wanted)
}

/// The socket inode of the listener on `port` in the text of `/proc/net/tcp` (`proc(5)`): fields are separated by
/// blanks; the second is the local address with the port in hexadecimal, the fourth the state, the tenth the inode.
fn listening_inode(table: &str, port: u16) -> Option<&str> {
    let port = format!("{port:04X}");
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_whitespace();
        let (_, local) = fields.nth(1)?.split_once(':')?;
        let state = fields.nth(1)?;
        let inode = fields.nth(5)?;
        (local == port && state == LISTENING).then_some(inode)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernels_table() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
                     0: 0100007F:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000   105        0 23456 1 0\n   \
                     1: 0100007F:1539 0100007F:0050 01 00000000:00000000 00:00000000 00000000   105        0 99999 1 0\n";
        assert_eq!(listening_inode(table, 0x1538), Some("23456"));
        assert_eq!(listening_inode(table, 0x1539), None, "connected, not listening");
        assert_eq!(listening_inode(table, 1), None);
    }

    #[test]
    fn names_this_very_process() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let found = holder(listener.local_addr().unwrap().port()).unwrap();
        assert!(found.ends_with(&format!("(pid {})", std::process::id())), "{found}");
    }
}
