//! Logins: how they begin, go on and end.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::api::{ask, client};
use crate::support::{GOV, Sandbox, collect, finish, tool};

fn start_login(sandbox: &Sandbox) -> std::process::Child {
    sandbox
        .command(["login", sandbox.url(), "--token-store", "file"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Reads what a waiting `gov login` shows, until it begins to wait: code and number.
fn read_prompt(child: &mut std::process::Child) -> (String, String) {
    use std::io::{BufRead, BufReader};
    let stderr = child.stderr.take().unwrap();
    let mut reader = BufReader::new(stderr);
    let mut text = String::new();
    while !text.contains("Waiting for you there") {
        assert!(reader.read_line(&mut text).unwrap() > 0, "{text}");
    }
    // What follows is read by whoever collects the output.
    child.stderr = Some(reader.into_inner());
    let code = text.lines().find_map(|line| line.strip_prefix("    ")).unwrap().to_owned();
    let number =
        text.lines().find_map(|line| line.strip_prefix("The page asks for the number of this terminal: ")).unwrap();
    (code, number.to_owned())
}

async fn answer(sandbox: &Sandbox, form: &Value) -> (u16, Value) {
    let request = client(sandbox)
        .post(format!("{}/issuer/device", sandbox.url()))
        .header("origin", sandbox.url())
        .header("cookie", "gov_csrf=x")
        .form(form);
    ask(request).await
}

#[tokio::test]
async fn a_person_may_say_yes_no_or_pick_the_wrong_number() {
    let sandbox = Sandbox::with_server(&[]);
    for (decision, wrong_number, code, says) in [
        ("approve", false, 0, "as Alice Ames."),
        ("deny", false, 3, "error: the login was denied"),
        ("approve", true, 3, "error: the login was denied"),
    ] {
        let mut child = start_login(&sandbox);
        let (user_code, number) = read_prompt(&mut child);
        let number = if wrong_number { (10 + (number.parse::<u32>().unwrap() + 1) % 90).to_string() } else { number };
        let form =
            json!({"csrf": "x", "user_code": user_code, "decision": decision, "user": "alice", "number": number});
        let (status, page) = answer(&sandbox, &form).await;
        assert_eq!(status, if wrong_number { 403 } else { 200 }, "{page}");
        let ran = collect(child);
        assert_eq!(ran.code, code, "{ran:?}");
        assert!(ran.stderr.contains(says), "{ran:?}");
    }
}

/// Two processes find the token expired at the same moment. A refresh token works once and its second use ends the
/// login, so exactly one of them may use it.
#[test]
fn renewing_twice_at_once_does_not_end_the_login() {
    let sandbox = Sandbox::with_server(&[]);
    sandbox.log_in("alice");
    for _ in 0..3 {
        expire(&sandbox);
        let running: Vec<_> = (0..8)
            .map(|_| sandbox.command(["ls"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
            .collect();
        for child in running {
            collect(child).ok();
        }
    }
    let renewals = sandbox.server_log().matches("method=\"id_token\"").count();
    assert_eq!(renewals, 4, "one login and three renewals: {}", sandbox.server_log());
}

/// Makes the access token look expired.
fn expire(sandbox: &Sandbox) {
    let path = sandbox.token_file();
    let mut login: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    login["access_until"] = json!(0);
    std::fs::write(&path, login.to_string()).unwrap();
}

#[test]
fn a_copied_refresh_token_ends_the_login_for_both() {
    let sandbox = Sandbox::with_server(&[]);
    sandbox.log_in("alice");
    expire(&sandbox);
    let path = sandbox.token_file();
    let stolen = std::fs::read(&path).unwrap();
    sandbox.gov(["ls"]).ok();
    let current = std::fs::read(&path).unwrap();
    std::fs::write(&path, stolen).unwrap();
    let thief = sandbox.gov(["ls"]);
    assert_eq!((thief.code, thief.stderr.lines().nth(1)), (4, Some("  The login has ended.")));
    std::fs::write(&path, current).unwrap();
    expire(&sandbox);
    assert_eq!(sandbox.gov(["ls"]).code, 4);
}

#[test]
fn a_login_survives_a_restart_of_the_server() {
    let mut sandbox = Sandbox::with_server(&[]);
    sandbox.log_in("alice");
    let url = sandbox.url().to_owned();
    let port = url.rsplit(':').next().unwrap().to_owned();
    sandbox.stop_server();
    assert_eq!(sandbox.gov(["ls"]).code, 8);
    sandbox.start_server_at(&format!("127.0.0.1:{port}"), &["--dev"]);
    sandbox.gov(["ls"]).ok();
    expire(&sandbox);
    sandbox.gov(["ls"]).ok();
}

/// Nothing that opens anything stands in clear on the server's disk or in its log.
#[test]
fn attack_12_the_server_keeps_no_secret_in_clear() {
    let mut sandbox = Sandbox::with_server(&[]);
    sandbox.log_in("alice");
    let login: Value = serde_json::from_slice(&std::fs::read(sandbox.token_file()).unwrap()).unwrap();
    sandbox.stop_server();
    let secrets = ["access_token", "refresh_token"].map(|name| login[name].as_str().unwrap().to_owned());
    let mut read = 0;
    for file in std::fs::read_dir(sandbox.home.join(".local/share/gov/server")).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            read += bytes.len();
            for secret in &secrets {
                let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!found, "{}", path.display());
            }
        }
    }
    assert!(read > 10_000);
    for secret in &secrets {
        assert!(!sandbox.server_log().contains(secret.as_str()));
    }
    assert!(!sandbox.server_log().contains("Alice"), "names are for the directory, not for the log");
}

#[test]
fn what_is_kept_here_is_for_its_owner_only() {
    use std::os::unix::fs::MetadataExt;
    let sandbox = Sandbox::with_server(&[]);
    sandbox.log_in("alice");
    for file in [sandbox.token_file(), sandbox.home.join(".config/gov/profile.json")] {
        assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o077, 0, "{}", file.display());
        let mut permissions = std::fs::metadata(&file).unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o644);
        std::fs::set_permissions(&file, permissions).unwrap();
    }
    let ran = sandbox.gov(["ls"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("chmod 600"), "{ran:?}");
    let profile = std::fs::read_to_string(sandbox.home.join(".config/gov/profile.json")).unwrap();
    assert!(!profile.contains("token\":\"ey") && !profile.contains("device"), "{profile}");
}

#[test]
fn without_a_keychain_the_fallback_is_said_aloud() {
    let sandbox = Sandbox::with_server(&[]);
    let ran = sandbox.gov(["login", sandbox.url(), "--dev-user", "alice"]).ok();
    assert!(ran.stderr.starts_with("warning: the login rests in a file"), "{ran:?}");
    assert_eq!(sandbox.gov(["--json", "status"]).ok().json()["token_store"], "file");
    let ran = sandbox.gov(["login", sandbox.url(), "--dev-user", "alice", "--token-store", "keychain"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("no keychain that answers"), "{ran:?}");
}

/// The real thing: GNOME's keyring on a session bus of its own.
#[test]
fn a_login_rests_in_the_keychain() {
    let mut sandbox = Sandbox::with_server(&[]);
    let script = sandbox.write(
        "session.sh",
        "set -eu
         eval \"$(printf secret | gnome-keyring-daemon --unlock --components=secrets --daemonize 2>/dev/null)\"
         gov() { \"$GOV\" \"$@\"; }
         gov login \"$URL\" --dev-user alice --token-store keychain
         gov --json status
         test ! -e \"$HOME/.local/share/gov/tokens\"
         gov ls
         gov logout
         ! gov ls
         ",
    );
    let mut command = std::process::Command::new(tool("dbus-run-session", "dbus-daemon"));
    tool("gnome-keyring-daemon", "gnome-keyring");
    command.args(["--", "sh"]).arg(script).env_clear();
    command.env("HOME", &sandbox.home).env("PATH", std::env::var_os("PATH").unwrap());
    command.env("GOV", GOV).env("URL", sandbox.url());
    let ran = finish(command).ok();
    assert!(ran.stdout.contains(r#""token_store":"keychain","logged_in":true"#), "{ran:?}");
    assert!(ran.stderr.contains("The login was ended on this machine."), "{ran:?}");
    sandbox.stop_server();
}
