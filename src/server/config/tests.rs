//! Configuration files, good and bad.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::runtime::files;

/// A folder with the files that configurations here refer to.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("gov-config-{}-{name}", std::process::id()));
    drop(fs::remove_dir_all(&folder));
    let (authority, identity) = crate::runtime::tls::loopback_certificate().unwrap();
    for (file, contents) in [
        ("tls/chain.pem", identity.chain.as_str()),
        ("tls/key.pem", identity.key.expose()),
        ("tls/db-ca.pem", &authority),
        ("agents/report-bot.md", "Makes the weekly report.\n"),
        ("secrets/prod-db", "hunter2\n"),
        ("secrets/key", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"),
    ] {
        files::write_private(&folder.join(file), contents.as_bytes()).unwrap();
    }
    folder
}

/// The example with secrets from files, because tests share one environment.
fn example() -> String {
    EXAMPLE
        .replace("{ env: GOV_SERVER_KEY }", "{ file: secrets/key }")
        .replace("{ env: GOV_STAGING_PASSWORD }", "{ file: secrets/prod-db }")
}

#[test]
fn the_example_is_a_configuration() {
    let folder = folder("example");
    let config = parse(&example(), &folder.join("gov.yaml"), false).unwrap();
    assert_eq!(config.url.as_deref(), Some("https://gov.example.com"));
    let database = &config.resources[&"prod-db".parse().unwrap()];
    assert_eq!(database.password.as_ref().unwrap().expose(), "hunter2");
    assert!(matches!(&database.tls, DatabaseTls::Verified(Trust::Only(_))));
    assert_eq!(config.access.len(), 5);
    assert_eq!(config.access[3].who.groups, ["dba", "oncall"]);
    assert_eq!((config.access[3].approval, config.access[4].approval), (false, true));
    assert_eq!(config.access[4].break_glass, Some(Duration::from_secs(900)));
    let purpose = &config.purposes[&"support.ticket".parse().unwrap()];
    let reference = purpose.reference.as_ref().unwrap();
    for (text, fits) in [("ZD-1", true), ("ZD-1 or so", false), ("xZD-1", false), ("ZD-1\n", false)] {
        assert_eq!(reference.is_match(text), fits, "{text:?}");
    }
    assert_eq!(config.key.unwrap().expose()[31], 31);
    // Only the environment is missing in the example as printed.
    let failure = parse(EXAMPLE, &folder.join("gov.yaml"), false).unwrap_err();
    assert_eq!(failure.message, "gov.yaml:16: the environment variable `GOV_SERVER_KEY` is not set");
}

#[test]
fn every_mistake_has_a_line_and_most_have_a_hint() {
    let folder = folder("mistakes");
    let example = example();
    // The mistake is made by replacing `from` with `to`, and is expected on the line that holds `at`.
    let check = |from: &str, to: &str, at: &str, message: &str, hint: Option<&str>| {
        assert!(example.contains(from), "{from}");
        let text = example.replacen(from, to, 1);
        let line = text.lines().position(|line| line.contains(at)).unwrap() + 1;
        let failure = parse(&text, &folder.join("gov.yaml"), false).map(|_| ()).unwrap_err();
        let message = format!("gov.yaml:{line}: {message}");
        assert_eq!((failure.message.as_str(), failure.hint.as_deref()), (message.as_str(), hint), "{from} -> {to}");
        assert!(!format!("{failure:?}").contains("hunter2"));
    };
    check(
        "    labels: { env: prod",
        "    label: { env: prod",
        "label: {",
        "resources.prod-db: unknown field `label`, expected one of `url`, `password`, `tls`, `labels`, `credential`, \
         `roles`, `masking`",
        Some("did you mean `labels`?"),
    );
    let everywhere = "server.listen: `everywhere`: invalid socket address syntax";
    check("listen: 0.0.0.0:443", "listen: everywhere", "everywhere", everywhere, None);
    check(
        "  url: https://gov.example.com\n",
        "",
        "server:",
        "`server.url` is missing",
        Some("add the URL under which clients reach this server: `url: https://gov.example.com`"),
    );
    for url in ["http://gov.example.com", "https://gov.example.com/gov", "gov.example.com", "https://u@gov.example.com"]
    {
        check(
            "url: https://gov.example.com",
            &format!("url: {url}"),
            &format!("url: {url}"),
            &format!("`{url}` is not the URL of a server"),
            Some("write `https://` and a host, in lower case, without a path"),
        );
    }
    check(
        "{ file: secrets/prod-db }",
        "hunter2",
        "hunter2",
        "resources.prod-db.password: a secret is not written here: use `{file: PATH}` or `{env: NAME}`",
        None,
    );
    check(
        "gov_broker@db.internal:5432",
        "gov_broker:hunter2@db.internal",
        "hunter2",
        "a password must not stand in a URL",
        Some("give the password as a file or an environment variable"),
    );
    let missing = format!("`{}` cannot be used: it does not exist", folder.join("secrets/other").display());
    check("secrets/prod-db }", "secrets/other }", "secrets/other", &missing, None);
    let near = Some("did you mean `prod-db`?");
    check("resources: [prod-db]", "resources: [prod-bd]", "[prod-bd]", "there is no resource `prod-bd`", near);
    let near = Some("did you mean `incident`?");
    check("purposes: [incident]", "purposes: [incidents]", "[incidents]", "there is no purpose `incidents`", near);
    let shorter = Some("write `12h` or less");
    check("ttl: 8h", "ttl: 80h", "ttl: 80h", "a session may not be longer than 12 hours", shorter);
    check(
        "ttl: 8h",
        "ttl: 8",
        "ttl: 8",
        "access[0].ttl: `8` is not a length of time: write for example `15m` or `1h30m`",
        None,
    );
    check("- who: { group: support }", "- who: {}", "- who: {}", "this would be everybody", Some("name a `group`"));
    let everybody = "this would be for everybody";
    let hint = Some("name a `group` it may act for");
    check("    who: { group: support }   ", "    who: {}   ", "    who: {}   ", everybody, hint);
    let near = Some("did you mean `analytics.report`?");
    let unknown = "there is no purpose `analytics.reports`";
    check("    purposes: [analytics.report]", "    purposes: [analytics.reports]", "analytics.reports]", unknown, near);
    let hint = Some("name at least one of `purposes`: without one it gets nothing");
    check("    purposes: [analytics.report]", "    purposes: []", "  report-bot:", "this agent has no purpose", hint);
    let missing = format!("`{}` cannot be used: it does not exist", folder.join("agents/other.md").display());
    check("charter: agents/report-bot.md", "charter: agents/other.md", "agents/other.md", &missing, None);
    let names = "nothing here is never given to another: names can be registered again";
    let hint = Some("add `repository_id` or `repository_owner_id` or `enterprise_id`");
    let claims = "claims: { repository_id: 74, repository_owner_id: 65, environment: production }";
    check(claims, "claims: { repository: octo-org/octo-repo }", "octo-org", names, hint);
    let star = "`refs/*` is compared whole: `*` stands for nothing but itself";
    let hint = Some("write the one value of `ref`, or another rule");
    check(claims, "claims: { repository_id: 74, ref: 'refs/*' }", "refs/*", star, hint);
    let long = "a workload may not be logged in for longer than 15 minutes";
    check("ttl: 10m", "ttl: 20m", "ttl: 20m", long, Some("write `15m` or less; a longer job logs in again"));
    let hint = Some("write the `iss` of its tokens, an https URL, character by character");
    let unknown = "the issuer of these tokens is not known";
    check("issuer: https://cluster", "issuer: http://cluster", "http://cluster", unknown, hint);
    let size = "purposes.analytics.report.limits.session.bytes: `50MB` is not an amount of data: write for example `500KiB` or `10MiB`";
    check("50MiB", "50MB", "50MB", size, None);
    let zero = "purposes.analytics.report.limits.statement_rows: invalid value: integer `0`, expected a nonzero u64";
    check("statement_rows: 10000", "statement_rows: 0", "statement_rows: 0", zero, None);
    check(
        "    labels: { env: staging }\n    access: write",
        "    access: write",
        "who: { group: engineering }",
        "this would be every resource",
        Some("name `resources`, or the `labels` they carry"),
    );
    let unclosed = "the pattern cannot be read: error: unclosed character class";
    check("'ZD-[0-9]+'", "'ZD-[0-9+'", "ZD-[0-9+", unclosed, None);
    check("'ZD-[0-9]+'", "'a)|(b'", "a)|(b", "the pattern cannot be read: error: unopened group", None);
    let twice = "purposes: `support.ticket` stands here twice";
    check("  incident:\n", "  support.ticket: # again\n", "# again", twice, None);
    let plain = "`http://login.example.com` is not an https URL";
    check("issuer: https", "issuer: http", "issuer: http:", plain, None);
    check(
        "durability: synced",
        "durability: sync",
        "durability: sync",
        "audit.durability: unknown variant `sync`, expected `written` or `synced`",
        Some("did you mean `synced`?"),
    );
    check(
        "witnesses: []",
        "witnesses: [{ url: 'https://witness.example', key: nonsense }]",
        "witnesses: [",
        "`nonsense` is not the key of a witness",
        Some("`gov witness` prints its key when it starts"),
    );
}

#[test]
fn a_readable_secret_is_no_secret() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder("readable");
    fs::set_permissions(folder.join("secrets/prod-db"), fs::Permissions::from_mode(0o640)).unwrap();
    let failure = parse(&example(), &folder.join("gov.yaml"), false).unwrap_err();
    assert!(failure.message.starts_with("gov.yaml:46: ") && failure.message.contains("chmod 600"), "{failure}");
}

#[test]
fn mistakes_are_told_together() {
    let folder = folder("together");
    let text = example().replace("[prod-db]", "[prod-bd]").replace("ttl: 8h", "ttl: 13h");
    let failure = parse(&text, &folder.join("gov.yaml"), false).unwrap_err();
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    let first = lines.clone().find(|(_, line)| line.contains("13h")).unwrap().0;
    assert!(failure.message.starts_with(&format!("gov.yaml:{first}: ")), "{failure}");
    let others = lines.filter(|(_, line)| line.contains("[prod-bd]"));
    let others: Vec<_> = others.map(|(line, _)| format!("gov.yaml:{line}: there is no resource `prod-bd`")).collect();
    assert_eq!(failure.detail.unwrap(), format!("Also: {}.", others.join("; ")));
}

#[test]
fn loopback_needs_less() {
    let text = "server:\n  listen: 127.0.0.1:0\n  data: data\nusers:\n  erin: {groups: [a]}\n";
    let config = parse(text, &PathBuf::from("/x/gov.yaml"), true).unwrap();
    assert!(matches!(config.tls, TlsIdentity::Loopback) && config.url.is_none());
    assert_eq!(config.data, PathBuf::from("/x/data"));
    let IdentitySource::BuiltIn(users) = config.identity else { panic!() };
    assert_eq!(users["erin"].groups, ["a"]);
    let failure = parse(text, &PathBuf::from("gov.yaml"), false).unwrap_err();
    assert_eq!(failure.message, "gov.yaml:1: `identity` is missing");
    assert_eq!(failure.detail.as_deref(), Some("Also: gov.yaml:4: `users` are for the built-in issuer only."));
}

/// The example, changed by chance: it is read, or refused with a sentence that names the file.
#[test]
fn fuzz_configurations_are_read_or_refused() {
    const ROUNDS: usize = 1_000;
    let folder = folder("fuzz");
    let mut chance = crate::domain::Chance::new(23);
    let (sample, mut read) = ([example()], 0);
    for round in 0..ROUNDS {
        let text = String::from_utf8_lossy(&chance.mutate(&sample)).into_owned();
        match parse(&text, &folder.join("gov.yaml"), round % 2 == 0) {
            Ok(_) => read += 1,
            Err(failure) => assert!(!failure.message.is_empty(), "{text}"),
        }
    }
    println!("configurations: {read} of {ROUNDS} read");
    assert!(read > 0 && read < ROUNDS);
}
