//! Statements as they were typed: kept encrypted, read by auditors and on record, and gone for good when a person is
//! erased, while everything else still verifies.

use std::path::{Path, PathBuf};

use crate::audit::second_opinion_of;
use crate::support::{Ran, Sandbox, postgres};

/// What alice types, and nobody else may see.
const SECRET: &str = "alice.was.here@example.com";

fn sandbox(raw_sql: &str) -> Sandbox {
    let mut sandbox = Sandbox::new();
    let config = sandbox.write(
        "gov.yaml",
        &format!(
            "server: {{listen: '127.0.0.1:0', data: data}}
audit: {{raw_sql: {raw_sql}}}
access:
  - {{who: {{group: engineering}}, labels: {{env: prod}}, access: read}}
  - {{who: {{group: dba}}, labels: {{env: prod}}, access: read}}
operators: [security]
auditors: [security]
"
        ),
    );
    let resource = postgres::server().database().resource("prod-db", &sandbox.home, "env=prod");
    sandbox.start_server(&["--dev", "--config", config.to_str().unwrap(), "--resource", &resource]);
    sandbox
}

/// The id of the only session of the person.
fn session_of(sandbox: &Sandbox, person: &str) -> String {
    let found = sandbox.gov(["--json", "timeline", "--person", person]).ok().stdout;
    let mut entries = found.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    entries.find_map(|entry| entry["session"].as_str().map(str::to_owned)).unwrap()
}

/// Every file below a folder that holds these bytes.
fn holding(folder: &Path, bytes: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(holding(&path, bytes));
        } else if std::fs::read(&path).is_ok_and(|all| all.windows(bytes.len()).any(|window| window == bytes)) {
            found.push(path);
        }
    }
    found
}

fn export(sandbox: &Sandbox, name: &str) -> PathBuf {
    sandbox.gov(["audit", "export", "--format", "folder", "-o", name]).ok();
    sandbox.home.join(name)
}

fn verify(sandbox: &Sandbox, folder: &Path) -> Ran {
    sandbox.gov(["audit", "verify", "--json", "--log", folder.to_str().unwrap()])
}

#[test]
fn what_was_typed_is_kept_encrypted_read_by_auditors_and_erased_for_good() {
    let sandbox = sandbox("encrypted");
    sandbox.log_in("alice");
    let sql = format!("select count(*) from customers where email = '{SECRET}'; select 1 from nowhere");
    sandbox.gov(["exec", "prod-db", "--no-wait", "-c", &sql]);
    let session = session_of(&sandbox, "alice");
    let refused = sandbox.gov(["timeline", &session, "--raw"]);
    assert_eq!(refused.code, 3, "not even one's own, unless one is an auditor: {refused:?}");
    sandbox.log_in("bob");
    sandbox.gov(["exec", "prod-db", "-c", "select 'typed by bob'"]).ok();

    sandbox.log_in("dave");
    let raw = sandbox.gov(["timeline", &session[..12], "--raw"]).ok().stdout;
    assert!(raw.contains(SECRET) && raw.contains("deny: select 1 from nowhere"), "{raw}");
    let read = sandbox.gov(["--json", "timeline", "--all"]).ok().stdout;
    assert!(read.contains(&format!("raw texts session={session}")), "{read}");
    let key = sandbox.gov(["audit", "key"]).ok().stdout.trim().to_owned();
    let folder = export(&sandbox, "before");
    let report = verify(&sandbox, &folder).ok().json();
    assert!(report["proven"].to_string().contains("3 encrypted raw texts are those that the records name"), "{report}");
    let agreed = second_opinion_of(&folder, &key, None).ok().stdout;
    assert!(agreed.contains("3 raw texts, 0 erased"), "{agreed}");
    assert_eq!(holding(&sandbox.home, SECRET.as_bytes()), Vec::<PathBuf>::new(), "in clear nowhere");

    // Changed, and taken away: two different faults, for both verifiers.
    let part = folder.join("sealed/000000");
    let original = std::fs::read(&part).unwrap();
    let mut changed = original.clone();
    *changed.last_mut().unwrap() ^= 1;
    for (contents, said) in [(&changed[..], "is not the one that was recorded"), (&[][..], "and nobody has erased it")]
    {
        std::fs::write(&part, contents).unwrap();
        let (ours, theirs) = (verify(&sandbox, &folder), second_opinion_of(&folder, &key, None));
        assert!(ours.code != 0 && ours.json()["faults"].to_string().contains(said), "{ours:?}");
        assert!(theirs.code != 0 && theirs.stderr.contains(said), "{theirs:?}");
    }
    std::fs::write(&part, original).unwrap();

    // Who may not, whom one may not, and reasons one may not give.
    let dave = sandbox.gov(["audit", "erase", "--subject", "dave", "--reason", "ticket 1"]);
    assert!(dave.code == 3 && dave.stderr.contains("nobody erases what leads to themselves"), "{dave:?}");
    let named = sandbox.gov(["audit", "erase", "--subject", "alice", "--reason", "Ms Ames asked"]);
    assert!(named.code == 2 && named.stderr.contains("the reason names the person"), "{named:?}");
    let nobody = sandbox.gov(["audit", "erase", "--subject", "nobody", "--reason", "ticket 1"]);
    assert!(nobody.code != 0 && nobody.stderr.contains("0 people are called"), "{nobody:?}");
    sandbox.gov(["audit", "erase", "--subject", "alice", "--reason", "GDPR art. 17, ticket 4711"]).ok();

    let raw = sandbox.gov(["timeline", &session, "--raw"]).ok().stdout;
    assert!(!raw.contains(SECRET) && raw.matches("(erased)").count() == 2, "{raw}");
    let shown = sandbox.gov(["timeline", &session]).ok().stdout;
    assert!(shown.contains("(erased)") && shown.contains("customers") && !shown.contains("Alice"), "{shown}");
    assert!(sandbox.gov(["timeline", "--person", "alice"]).stdout.is_empty(), "nobody is called that any more");
    let folder = export(&sandbox, "after");
    for report in [verify(&sandbox, &folder).ok().json(), sandbox.gov(["audit", "verify", "--json"]).ok().json()] {
        let proven = report["proven"].to_string();
        assert!(proven.contains("1 encrypted raw text is") && proven.contains("2 raw texts were erased"), "{report}");
    }
    let agreed = second_opinion_of(&folder, &key, None).ok().stdout;
    assert!(agreed.contains("1 raw texts, 2 erased"), "{agreed}");
    for (name, bytes) in [("her name", "Alice Ames"), ("her address", "alice@example.com")] {
        assert_eq!(holding(&sandbox.home.join("data"), bytes.as_bytes()), Vec::<PathBuf>::new(), "{name}");
    }

    // She is somebody else when she comes back.
    sandbox.log_in("alice");
    sandbox.gov(["exec", "prod-db", "-c", "select 2"]).ok();
    assert_ne!(session_of(&sandbox, "alice"), session);
}

#[test]
fn what_is_not_to_be_kept_is_nowhere() {
    let sandbox = sandbox("off");
    sandbox.log_in("alice");
    sandbox.gov(["exec", "prod-db", "-c", &format!("select '{SECRET}'")]).ok();
    sandbox.log_in("dave");
    let session = session_of(&sandbox, "alice");
    let raw = sandbox.gov(["timeline", &session, "--raw"]).ok();
    assert!(raw.stdout.is_empty() && raw.stderr.contains("does not keep what people type"), "{raw:?}");
    assert_eq!(holding(&sandbox.home, SECRET.as_bytes()), Vec::<PathBuf>::new());
}
