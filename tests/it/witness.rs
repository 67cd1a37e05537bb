//! A witness in another trust domain: what it has signed cannot be put back, nor be shown in two versions.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::audit::second_opinion_of;
use crate::faults::fill;
use crate::support::{Sandbox, own_disk};

/// A running `gov witness`, which dies with its owner.
struct Witness {
    child: Child,
    key: String,
    url: String,
}

impl Drop for Witness {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn witness(home: &Sandbox, listen: &str, log: &str) -> Witness {
    witness_by(home, home.command(arguments(listen, log)))
}

fn arguments<'a>(listen: &'a str, log: &'a str) -> [&'a str; 10] {
    ["--json", "witness", "--name", "witness.example", "--data", "witness", "--listen", listen, "--log", log]
}

fn witness_by(home: &Sandbox, mut command: Command) -> Witness {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::from(std::fs::File::create(home.home.join("witness.log")).unwrap()))
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
    let text = |name: &str| ready[name].as_str().unwrap().to_owned();
    Witness { child, key: text("key"), url: format!("http://{}", text("address")) }
}

fn config(witnesses: &str) -> String {
    format!(
        "server: {{listen: '127.0.0.1:0', data: data}}\naudit: {{witnesses: [{witnesses}]}}\noperators: [security]\n\
         users: {{dave: {{groups: [security]}}}}\n"
    )
}

/// Copies a folder as it is, with who may enter it.
fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status().unwrap();
    assert!(copied.success());
}

/// A server whose log a witness signs.
struct Stage {
    sandbox: Sandbox,
    key: String,
    exports: u32,
}

impl Stage {
    /// With a server that has made its key, and has stopped again.
    fn set() -> Self {
        let mut stage = Self { sandbox: Sandbox::new(), key: String::new(), exports: 0 };
        stage.start("");
        stage.key = stage.sandbox.gov(["audit", "key"]).ok().stdout.trim().to_owned();
        stage.sandbox.stop_server();
        stage
    }

    fn start(&mut self, witnesses: &str) {
        let file = self.sandbox.write("gov.yaml", &config(witnesses));
        self.sandbox.start_server(&["--dev", "--config", file.to_str().unwrap()]);
        self.sandbox.log_in("dave");
    }

    /// Takes the log away, and says how many entries it has.
    fn export(&mut self) -> (PathBuf, u64) {
        self.exports += 1;
        let name = format!("log{}", self.exports);
        self.sandbox.gov(["audit", "export", "--format", "folder", "-o", &name]).ok();
        let folder = self.sandbox.home.join(name);
        let checkpoint = std::fs::read_to_string(folder.join("checkpoint")).unwrap();
        let size = checkpoint.lines().nth(1).unwrap().parse().unwrap();
        (folder, size)
    }

    /// Whether an export is sound, for somebody elsewhere who asks for these witnesses.
    fn sound(&self, folder: &Path, witness: Option<&str>) -> bool {
        let elsewhere = Sandbox::new();
        let place = folder.to_str().unwrap();
        let mut arguments = vec!["audit", "verify", "--json", "--log", place, "--key", &self.key];
        arguments.extend(witness.into_iter().flat_map(|key| ["--witness", key]));
        let ran = elsewhere.gov(arguments);
        let theirs = second_opinion_of(folder, &self.key, witness);
        assert_eq!(ran.code == 0, theirs.code == 0, "the two verifiers do not agree: {ran:?} {theirs:?}");
        let report = ran.json();
        assert_eq!(report["sound"].as_bool(), Some(ran.code == 0), "{report}");
        ran.code == 0
    }
}

#[test]
fn a_rollback_and_a_second_history_are_not_signed() {
    let outside = Sandbox::new();
    let mut stage = Stage::set();
    let mut signing = witness(&outside, "127.0.0.1:0", &stage.key);
    let told = format!("{{url: '{}', key: '{}'}}", signing.url, signing.key);

    stage.start(&told);
    let (first, _) = stage.export();
    assert!(stage.sound(&first, Some(&signing.key)), "{}", stage.sandbox.server_log());
    stage.sandbox.stop_server();
    let data = stage.sandbox.home.join("data");
    let old = stage.sandbox.home.join("old");
    copy(&data, &old);

    // It grows, and the witness signs on, also after it was started again.
    stage.start(&told);
    let address = signing.url.trim_start_matches("http://").to_owned();
    let key = signing.key.clone();
    drop(signing);
    signing = witness(&outside, &address, &stage.key);
    assert_eq!(signing.key, key, "a witness keeps its key");
    for _ in 0..6 {
        stage.sandbox.log_in("dave");
    }
    let (second, seen) = stage.export();
    assert!(stage.sound(&second, Some(&key)), "{}", stage.sandbox.server_log());
    stage.sandbox.stop_server();

    // Whoever runs the server puts it back to what it was: nothing in the log itself is wrong.
    std::fs::remove_dir_all(&data).unwrap();
    copy(&old, &data);
    stage.start(&told);
    let (rolled_back, size) = stage.export();
    assert!(size < seen, "{size} of {seen}");
    assert!(stage.sound(&rolled_back, None), "without a witness a rollback cannot be seen in the log");
    assert!(!stage.sound(&rolled_back, Some(&key)), "a rollback must be caught");
    assert!(stage.sandbox.server_log().contains("rolled back"), "{}", stage.sandbox.server_log());

    // And writes another history from there, until it is longer than the one the witness has seen.
    let (mut forked, mut size) = (rolled_back, size);
    while size <= seen {
        stage.sandbox.log_in("dave");
        (forked, size) = stage.export();
    }
    assert!(stage.sound(&forked, None), "each history is sound by itself");
    assert!(!stage.sound(&forked, Some(&key)), "a second history must be caught");
    assert!(stage.sound(&second, Some(&key)), "what was signed stays signed");
    let told = std::fs::read_to_string(outside.home.join("witness.log")).unwrap();
    assert!(told.contains("contradicts what it had signed before"), "{told}");
}

/// What cannot be remembered is not signed: a witness that forgot it would sign another history later.
#[test]
fn a_witness_with_a_full_disk_signs_nothing_and_heals() {
    let outside = Sandbox::new();
    let mut stage = Stage::set();
    let signing = witness_by(&outside, outside.command_on_disk("witness", 2, &arguments("127.0.0.1:0", &stage.key)));
    stage.start(&format!("{{url: '{}', key: '{}'}}", signing.url, signing.key));
    let (before, _) = stage.export();
    assert!(stage.sound(&before, Some(&signing.key)), "{}", stage.sandbox.server_log());

    let ballast = fill(&own_disk(signing.child.id(), &outside.home.join("witness")));
    stage.sandbox.log_in("dave");
    let (meanwhile, _) = stage.export();
    assert!(stage.sound(&meanwhile, None), "the log goes on");
    assert!(!stage.sound(&meanwhile, Some(&signing.key)), "signed without being remembered");

    std::fs::remove_file(ballast).unwrap();
    stage.sandbox.log_in("dave");
    let (after, _) = stage.export();
    assert!(stage.sound(&after, Some(&signing.key)), "{}", stage.sandbox.server_log());
    println!("full disk at the witness: 1 attempt, signed nothing, healed");
}

/// One that takes connections and never answers must not keep back what the others have signed.
#[test]
fn a_silent_witness_does_not_keep_the_others_signatures_back() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_url = format!("http://{}", silent.local_addr().unwrap());
    let (outside, elsewhere) = (Sandbox::new(), Sandbox::new());
    let mut stage = Stage::set();
    let signing = witness(&outside, "127.0.0.1:0", &stage.key);
    // Only its key is needed of this one: whoever is asked instead says nothing.
    let absent = witness(&elsewhere, "127.0.0.1:0", &stage.key).key.clone();
    stage.start(&format!(
        "{{url: '{silent_url}', key: '{absent}'}}, {{url: '{}', key: '{}'}}",
        signing.url, signing.key
    ));
    let (folder, _) = stage.export();
    assert!(stage.sound(&folder, Some(&signing.key)), "{}", stage.sandbox.server_log());
}
