//! `gov demo`: what README shows first, and that nothing of it stays behind.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Sandbox, wait, wait_until};

/// The command, with its folder of temporary files in the sandbox.
fn demo(sandbox: &Sandbox) -> Command {
    let folder = temporary(sandbox);
    // PostgreSQL's own user must get through to it.
    std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o711)
        .recursive(true)
        .create(&folder)
        .unwrap();
    let mut command = sandbox.command(["demo"]);
    command.env("TMPDIR", folder).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn temporary(sandbox: &Sandbox) -> std::path::PathBuf {
    sandbox.home.join("tmp")
}

fn nothing_is_left(sandbox: &Sandbox) {
    let folder = temporary(sandbox).display().to_string();
    let runs = |process: std::fs::DirEntry| {
        // One that has ended meanwhile does not run.
        let file = |name| std::fs::read(process.path().join(name)).unwrap_or_default();
        let told = [file("cmdline"), file("environ")].concat();
        String::from_utf8_lossy(&told).contains(&folder)
    };
    wait_until("every process of it has ended", || !std::fs::read_dir("/proc").unwrap().flatten().any(runs));
    let left: Vec<_> = std::fs::read_dir(&folder).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn every_claim_of_the_demonstration_holds_and_nothing_stays() {
    let sandbox = Sandbox::new();
    let ran = demo(&sandbox).output().unwrap();
    let shown = String::from_utf8_lossy(&ran.stdout);
    assert_eq!(ran.status.code(), Some(0), "{shown}{}", String::from_utf8_lossy(&ran.stderr));
    let checked = shown.lines().filter(|line| line.starts_with("checked: ")).count();
    assert_eq!(checked, 10, "{shown}");
    nothing_is_left(&sandbox);
}

#[test]
fn a_demonstration_that_is_interrupted_leaves_nothing() {
    let sandbox = Sandbox::new();
    let mut child = demo(&sandbox).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let reached = lines.any(|line| line.contains("a role was made for this session"));
    assert!(reached, "it came to a session that runs in the background");
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(wait(&mut child), Some(130));
    nothing_is_left(&sandbox);
}
