//! Every other place that writes a file, on a disk that is full to the last byte: it says so, what was there stays as it
//! was, nothing half-written has a name, and with room again the same command works. What statements wait on, the
//! journals, is in `faults.rs`.

use std::path::Path;
use std::process::Command;

use crate::support::{Ran, Sandbox, finish, postgres, tool};

/// Runs a command twice in a home of which one folder is on a disk of its own: without a byte of room, then with. Says how
/// both ended, how long the first took, and what had changed in between.
const TWICE: &str = r#"
folder=$1; shift
mkdir -p "$folder"; cp -a "$folder" /tmp/kept.$$; mount -t tmpfs -o mode=700,size=96m tmpfs "$folder"
cp -a /tmp/kept.$$/. "$folder"; rm -rf /tmp/kept.$$
list() { (cd "$folder" && find . -type f ! -name ballast ! -name '*lock' -exec sha256sum {} + | sort); }
before=$(list); cat /dev/zero > "$folder/ballast" 2>/dev/null
begun=$(date +%s%3N); "$@" > full.out 2> full.err; echo "full $?"; echo "took $(($(date +%s%3N) - begun))"
[ "$before" = "$(list)" ] && echo "same yes" || { echo "same no"; list >&2; echo "$before" >&2; }
rm "$folder/ballast"; "$@" > healed.out 2> healed.err; echo "healed $?"
"#;

struct Site<'a> {
    what: &'a str,
    /// On the disk that is full.
    folder: &'a str,
    arguments: &'a [&'a str],
    /// What it says then.
    says: &'a str,
    /// How the same command ends with room.
    healed: &'a str,
}

fn twice(sandbox: &Sandbox, site: &Site<'_>) -> Ran {
    let plain = sandbox.command(site.arguments);
    let mut command = Command::new(tool("unshare", "util-linux"));
    command.args(["--mount", "--map-root-user", "sh", "-c", TWICE, "sh", site.folder]);
    if site.healed == "124" {
        // Serves until it is ended.
        command.args(["timeout", "--signal=INT", "20"]);
    }
    command.arg(plain.get_program()).args(plain.get_args()).env_clear();
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?)))).current_dir(&sandbox.home);
    finish(command)
}

#[test]
fn every_file_that_is_written_finds_the_disk_full_once() {
    let mut sandbox = Sandbox::new();
    let resource = postgres::server().database().resource("prod-db", &sandbox.home, "env=dev");
    sandbox.start_server(&["--dev", "--data", "server", "--resource", &resource]);
    sandbox.log_in("dave");
    sandbox.log_in("bob");
    sandbox.gov(["exec", "prod-db", "-c", "select count(*) from customers"]).ok();
    sandbox.log_in("dave");
    let (url, log) = (sandbox.url().to_owned(), sandbox.gov(["audit", "key"]).ok().stdout.trim().to_owned());
    let export = |form, file| ["audit", "export", "--format", form, "-o", file];
    let (zip, folder) = (export("zip", "out/log.zip"), export("folder", "out/log"));
    let (lines, table) = (export("ocsf-json", "out/events.json"), export("parquet", "out/events.parquet"));
    let login = ["login", &url, "--dev-user", "carol", "--token-store", "file"];
    let witness = ["witness", "--name", "w.example", "--data", "witness", "--listen", "127.0.0.1:0", "--log", &log];
    let site = |what, folder, arguments, says| Site { what, folder, arguments, says, healed: "0" };
    let written = "cannot be written";
    let home = ".local/share/gov";
    let sites = [
        site("export, zip", "out", &zip[..], written),
        site("export, folder", "out", &folder, written),
        site("export, OCSF lines", "out", &lines, written),
        site("export, Parquet", "out", &table, written),
        site("evidence pack", "out", &["evidence", "--from", "1d", "-o", "out/evidence.zip"], written),
        site("remembered checkpoint", home, &["audit", "verify"], "cannot be remembered"),
        site("login, token", home, &login, "os error 28"),
        site("login, profile", ".config/gov", &login, written),
        site("endpoint's own files", home, &["connect", "prod-db", "--", "true"], "os error 28"),
        Site {
            healed: "124",
            ..site(
                "server's files at its start",
                "other",
                &["server", "--dev", "--listen", "127.0.0.1:0", "--data", "other"],
                "other",
            )
        },
        Site { healed: "124", ..site("witness's key and state", "witness", &witness, "witness") },
    ];
    // What somebody's session needs is bob's to try.
    let mut survived = 0;
    for site in &sites {
        if site.what.starts_with("endpoint") {
            sandbox.log_in("bob");
        }
        let ran = twice(&sandbox, site).ok();
        let word = |name: &str| {
            let line = ran.stdout.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.trim().to_owned()
        };
        let said = |file: &str| std::fs::read_to_string(Path::new(&sandbox.home).join(file)).unwrap();
        let error = said("full.err");
        println!("full disk, {}: refused with {} after {} ms, healed", site.what, word("full"), word("took"));
        assert!(!["0", "124"].contains(&word("full").as_str()), "{}: {ran:?} {error}", site.what);
        assert!(error.to_lowercase().contains(&site.says.to_lowercase()), "{}: {error}", site.what);
        assert_eq!(word("same"), "yes", "{}: {ran:?} {error}", site.what);
        assert_eq!(word("healed"), site.healed, "{}: {ran:?} {}", site.what, said("healed.err"));
        survived += 1;
    }
    println!("full disks beside the journals: {} attempts, {survived} survived, 0 lost", sites.len());
}
