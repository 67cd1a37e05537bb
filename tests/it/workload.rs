//! Jobs that log in with a token of their own platform: who is let in, who is not, and what a login of theirs can do.

use serde_json::{Value, json};

use crate::support::api::{Device, ask, client};
use crate::support::platform::{self, Platform, RUNNER_TOKEN};
use crate::support::{Ran, Sandbox, finish, postgres};

/// A server that takes tokens of this platform, with a database for jobs.
fn server(platform: &Platform) -> Sandbox {
    let mut sandbox = Sandbox::new();
    let database = postgres::server().database();
    sandbox.write_secret("broker.password", postgres::PASSWORD);
    sandbox.write("keys.json", &platform.keys().to_string());
    let (port, name, issuer) = (postgres::server().port, &database.name, &platform.issuer);
    let config = format!(
        "server: {{listen: '127.0.0.1:0', data: data}}
resources:
  staging-db:
    url: 'postgres://gov_broker@127.0.0.1:{port}/{name}'
    password: {{file: broker.password}}
    labels: {{env: staging}}
    roles: {{read: app_ro, write: app_rw}}
  prod-db:
    url: 'postgres://gov_broker@127.0.0.1:{port}/{name}'
    password: {{file: broker.password}}
    labels: {{env: prod}}
    roles: {{read: app_ro, write: app_rw}}
purposes:
  ci.migration: {{description: Migrations, who: {{kind: workload}}}}
  ci.dataset:
    description: Examples to train on
    who: {{kind: workload}}
    access: read
    limits: {{statement_rows: 60, session: {{rows: 150}}, day: {{rows: 200}}}}
workloads:
  deploy:
    platform: github
    issuer: '{issuer}'
    audience: https://gov.test
    claims: {{repository_id: 74, environment: production}}
    groups: [ci, approver]
  build:
    platform: gitlab
    issuer: '{issuer}'
    audience: https://gov.test
    claims: {{project_id: '20', ref_protected: true}}
    groups: [ci]
    ttl: 1m
  etl:
    platform: kubernetes
    issuer: '{issuer}'
    audience: https://gov.test
    claims: {{/kubernetes.io/serviceaccount/uid: 9f2f9c1e-3f0a-4d3e-8a1c-1c2d3e4f5a6b}}
    groups: [ci]
access:
  - {{who: {{group: ci, kind: workload}}, labels: {{env: staging}}, access: write}}
  - {{who: {{group: ci, kind: workload}}, labels: {{env: prod}}, access: write}}
operators: [ci, security]
approvals: {{approvers: [approver, ci]}}
policy:
  tags: [{{relation: public.customers, tags: [personal]}}]
  cases: [{{name: jobs take no people, if: {{kind: workload, tag: personal}}, then: deny}}]
"
    );
    sandbox.write("gov.yaml", &config);
    sandbox.start_server(&["--dev", "--config", "gov.yaml"]);
    sandbox
}

/// `gov login` with these arguments, in an environment with these variables besides.
fn log_in(sandbox: &Sandbox, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
    let mut command =
        sandbox.command([&["login", sandbox.url(), "--audience", "https://gov.test"], arguments].concat());
    command.envs(variables.iter().copied());
    finish(command)
}

/// What a client that is not ours gets for a token.
async fn exchange(sandbox: &Sandbox, device: &Device, token: &str) -> (u16, Value) {
    let url = format!("{}/v1/token", sandbox.url());
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ("subject_token", token),
    ];
    let proof = device.proof("POST", &url, None, |_| ());
    ask(client(sandbox).post(&url).header("dpop", proof).form(&form)).await
}

#[test]
fn a_job_of_github_works_without_a_secret() {
    let platform = Platform::start();
    let sandbox = server(&platform);
    // Outside of a job, and in one that may not have a token.
    let refused = log_in(&sandbox, &["--workload", "github"], &[]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("add to the job: permissions: {id-token: write}"), "{refused:?}");

    platform.mint(&platform.sign(&platform::github(&platform.issuer, "job-1")));
    let service = format!("{}/mint?api-version=2.0", platform.issuer);
    let runner = [("ACTIONS_ID_TOKEN_REQUEST_URL", service.as_str()), ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", RUNNER_TOKEN)];
    let ran = log_in(&sandbox, &["--workload", "github"], &runner).ok();
    assert_eq!(ran.stderr, format!("Logged in to {} as deploy.\n", sandbox.url()));
    assert_eq!(platform.asked_for(), "https%3A%2F%2Fgov.test");

    // The commands that follow find the login. It is a workload's, has a purpose or nothing, and cannot be renewed.
    let status = sandbox.gov(["--json", "status"]).ok().json();
    assert_eq!(status["me"]["kind"], "workload");
    assert_eq!(status["me"]["subject"], "deploy:74");
    assert_eq!(status["renews"], false);
    let refused = sandbox.gov(["exec", "staging-db", "-c", "select 1"]);
    assert!(refused.code == 3 && refused.stderr.contains("`staging-db` needs a purpose"), "{refused:?}");
    let with_purpose = ["exec", "staging-db", "--purpose", "ci.migration", "--format", "csv"];
    let count = sandbox.gov([&with_purpose[..], &["-c", "select count(*) from orders"]].concat()).ok();
    assert_eq!(count.stdout, "count\r\n100\r\n");
    let update = ["--write", "-c", "update orders set status = 'paid' where id = 1"];
    sandbox.gov([&with_purpose[..], &update].concat()).ok();

    // In no file is there anything but the login, in one that only its owner may read.
    let kept = std::fs::read_to_string(sandbox.token_file()).unwrap();
    assert!(!kept.contains("refresh_token") && !kept.contains(RUNNER_TOKEN), "{kept}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(sandbox.token_file()).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);

    // It is in no group's power to approve or to look at others, whatever its groups say.
    let approvals = sandbox.gov(["approval", "approve", "01m8200000000000000000000r"]);
    assert_ne!(approvals.code, 0, "{approvals:?}");

    // Over: the next command says what to do.
    let path = sandbox.token_file();
    let mut login: Value = serde_json::from_str(&kept).unwrap();
    login["access_until"] = 0.into();
    std::fs::write(path, login.to_string()).unwrap();
    let ended = sandbox.gov(["ls"]);
    assert!(ended.code == 4 && ended.stderr.contains("run: gov login --workload github"), "{ended:?}");

    // The records say what it is.
    sandbox.log_in("dave");
    let told = sandbox.gov(["timeline", "--purpose", "ci.migration"]).ok().stdout;
    assert!(told.contains("deploy") && told.contains("ci.migration"), "{told}");
}

#[test]
fn jobs_of_other_platforms_find_their_token() {
    let platform = Platform::start();
    let sandbox = server(&platform);
    let gitlab = platform.sign(&platform::gitlab(&platform.issuer, "g-1"));
    let ran = log_in(&sandbox, &["--workload", "gitlab"], &[("GOV_ID_TOKEN", gitlab.as_str())]).ok();
    assert!(ran.stderr.contains("as build."), "{ran:?}");
    // GitLab gives a job one token: it may log in with it again, from where it did before.
    log_in(&sandbox, &["--workload", "gitlab"], &[("GOV_ID_TOKEN", gitlab.as_str())]).ok();
    let me = sandbox.gov(["--json", "status"]).ok().json();
    assert_eq!(me["me"]["subject"], "build:20");

    let file = sandbox.write("token", &platform.sign(&platform::kubernetes(&platform.issuer)));
    for word in ["kubernetes", "oidc-file"] {
        let ran = log_in(&sandbox, &["--workload", word, "--token-file", file.to_str().unwrap()], &[]).ok();
        assert!(ran.stderr.contains("as etl."), "{ran:?}");
    }
    let missing = log_in(&sandbox, &["--workload", "oidc-file"], &[]);
    assert!(missing.code == 2 && missing.stderr.contains("--token-file FILE"), "{missing:?}");
    let nothing = log_in(&sandbox, &["--workload", "kubernetes"], &[]);
    assert!(nothing.code == 2 && nothing.stderr.contains("/var/run/secrets/gov/token"), "{nothing:?}");
}

/// Tokens that are refused, one after the other, and the one beside them that is not.
#[tokio::test]
async fn tokens_that_prove_nothing() {
    let platform = Platform::start();
    let mut sandbox = server(&platform);
    let device = Device::new(1);
    let good = |id: &str| platform::github(&platform.issuer, id);
    let changed = |claim: &str, value: Value| {
        let mut claims = good(claim);
        claims[claim] = value;
        platform.sign(&claims)
    };
    let stranger = Platform::start();
    let key_in_header = json!({"typ": "JWT", "alg": "ES256", "jwk": stranger.keys()["keys"][0]});
    let access_token = json!({"typ": "at+jwt", "alg": "ES256", "kid": "k1"});
    let past = json!(crate::support::api::now() - 120);
    let table = [
        ("another audience", changed("aud", json!("https://other.test")), "somebody else"),
        ("two audiences", changed("aud", json!(["https://gov.test", "https://other.test"])), "somebody else"),
        ("another repository of the same name", changed("repository_id", json!("75")), "no rule"),
        ("another environment", changed("environment", json!("staging")), "no rule"),
        ("no environment", changed("environment", Value::Null), "no rule"),
        ("a pull request from a fork", changed("event_name", json!("pull_request")), "from outside"),
        ("a pull request, in the target", changed("event_name", json!("pull_request_target")), "from outside"),
        ("expired", changed("exp", past), "expired"),
        ("not yet", changed("nbf", json!(crate::support::api::now() + 600)), "future"),
        ("without an end", changed("exp", Value::Null), "`exp`"),
        ("not signed", platform::unsigned(&good("none")), ""),
        ("signed with the public key", platform.confuse(&good("hs256")), ""),
        ("signed by another", stranger.sign(&good("stranger")), ""),
        ("with a key of its own", stranger.sign_with(&key_in_header, &good("jwk")), ""),
        ("of another kind", platform.sign_with(&access_token, &good("type")), ""),
        ("of an issuer nobody knows", stranger.sign(&platform::github(&stranger.issuer, "x")), "another issuer"),
        (
            "a merge request",
            platform.sign(&json_with(
                platform::gitlab(&platform.issuer, "m"),
                "pipeline_source",
                json!("merge_request_event"),
            )),
            "from outside",
        ),
        (
            "another service account",
            platform.sign(&json_with(
                platform::kubernetes(&platform.issuer),
                "kubernetes.io",
                json!({"serviceaccount": {"name": "etl", "uid": "other"}}),
            )),
            "no rule",
        ),
        ("nothing", String::new(), "another issuer"),
        ("too long", platform.sign(&json_with(good("long"), "workflow", json!("x".repeat(20_000)))), "another issuer"),
    ];
    for (what, token, why) in &table {
        let (status, answer) = exchange(&sandbox, &device, token).await;
        assert_eq!((status, &answer["error"]), (400, &json!("invalid_request")), "{what}: {answer}");
        assert!(answer["error_description"].as_str().unwrap().contains(why), "{what}: {answer}");
    }

    // The good one, which no other key can use again: not at once, not by another copy of the text, not after a restart.
    let token = platform.sign(&good("once"));
    let (status, answer) = exchange(&sandbox, &device, &token).await;
    assert_eq!(status, 200, "{answer}");
    assert!(answer["expires_in"].as_u64().unwrap() <= 900, "{answer}");
    let again = platform.sign(&good("once"));
    for copy in [&token, &again] {
        let (status, answer) = exchange(&sandbox, &Device::new(2), copy).await;
        assert_eq!(status, 400, "{answer}");
        assert!(answer["error_description"].as_str().unwrap().contains("exchanged before"), "{answer}");
    }
    let pod = platform.sign(&platform::kubernetes(&platform.issuer));
    assert_eq!(exchange(&sandbox, &device, &pod).await.0, 200);
    sandbox.stop_server();
    sandbox.start_server(&["--dev", "--config", "gov.yaml"]);
    for replayed in [&token, &pod] {
        let (status, answer) = exchange(&sandbox, &Device::new(2), replayed).await;
        assert_eq!(status, 400, "{answer}");
        assert!(answer["error_description"].as_str().unwrap().contains("exchanged before"), "{answer}");
    }
    // As long as its rule says, and no longer.
    let (_, answer) = exchange(&sandbox, &device, &platform.sign(&platform::gitlab(&platform.issuer, "short"))).await;
    assert_eq!(answer["expires_in"], 60, "{answer}");
}

/// A job that carries production off, in each way there is: by purpose and by what it is, it ends somewhere.
#[test]
fn a_job_carries_nothing_off_in_bulk() {
    let platform = Platform::start();
    let sandbox = server(&platform);
    let token = sandbox.write("token", &platform.sign(&platform::kubernetes(&platform.issuer)));
    log_in(&sandbox, &["--workload", "oidc-file", "--token-file", token.to_str().unwrap()], &[]).ok();
    let exec = |purpose: &str, more: &[&str], sql: &str| {
        let fixed = ["exec", "prod-db", "--purpose", purpose, "--no-wait", "--format", "csv", "-c", sql];
        sandbox.gov([&fixed[..], more].concat())
    };
    let attempts: &[(&str, &str, &[&str], &str, i32)] = &[
        ("COPY of a table", "ci.migration", &[], "copy orders to stdout", 5),
        ("the same with write access", "ci.migration", &["--write"], "copy orders to stdout", 5),
        ("COPY of a query without a condition", "ci.migration", &[], "copy (select id from orders) to stdout", 5),
        ("COPY into a file of the server", "ci.migration", &["--write"], "copy orders to '/tmp/x'", 3),
        ("COPY to a program", "ci.migration", &["--write"], "copy orders to program 'cat'", 3),
        ("a table as XML", "ci.migration", &[], "select table_to_xml('orders', true, false, '')", 5),
        ("data of people", "ci.migration", &[], "select country from customers limit 1", 3),
        ("the same under another name", "ci.migration", &[], "with c as (table customers) select id from c limit 1", 3),
        ("the same into a table of its own", "ci.migration", &["--write"], "create table mine as table customers", 3),
        ("without a purpose for it", "other", &[], "select 1", 3),
        ("writing, for reading", "ci.dataset", &["--write"], "select 1", 3),
        ("more rows than one statement may give", "ci.dataset", &[], "select id from orders where id > 0", 6),
        ("a little", "ci.dataset", &[], "select id from orders where id <= 3", 0),
        (
            "a bit at a time",
            "ci.dataset",
            &[],
            "select id from orders where id <= 50; select id from orders where id between 51 and 100; \
             select id from orders where id <= 50; select id from orders where id <= 50",
            6,
        ),
        ("and again in the next session", "ci.dataset", &[], "select id from orders where id <= 50", 6),
        ("which its next login does not undo", "ci.dataset", &[], "select 1", 6),
    ];
    for (what, purpose, more, sql, code) in attempts {
        if what.starts_with("which") {
            let mut claims = platform::kubernetes(&platform.issuer);
            claims["jti"] = "another".into();
            let token = sandbox.write("token", &platform.sign(&claims));
            log_in(&sandbox, &["--workload", "oidc-file", "--token-file", token.to_str().unwrap()], &[]).ok();
        }
        let ran = exec(purpose, more, sql);
        assert_eq!(ran.code, *code, "{what}: {ran:?}");
        let rows = ran.stdout.lines().filter(|line| line.parse::<u32>().is_ok()).count();
        assert!(rows <= 160, "{what}: {rows} rows");
    }
    sandbox.log_in("dave");
    let seen = sandbox.gov(["timeline", "--purpose", "ci.dataset", "--limit", "200"]).ok().stdout;
    assert!(seen.contains("etl") && seen.contains("ci.dataset"), "{seen}");
}

/// A rule of access may give eight hours; a job has what its login has, whatever it wishes for, and is told why it is over.
#[test]
fn a_session_does_not_outlive_the_login_of_its_job() {
    let platform = Platform::start();
    let sandbox = server(&platform);
    let gitlab = platform.sign(&platform::gitlab(&platform.issuer, "g-2"));
    log_in(&sandbox, &["--workload", "gitlab"], &[("GOV_ID_TOKEN", gitlab.as_str())]).ok();
    let login: Value = serde_json::from_str(&std::fs::read_to_string(sandbox.token_file()).unwrap()).unwrap();
    let until = login["access_until"].as_u64().unwrap() / 1000;
    let connected = sandbox.connect(&["staging-db", "--purpose", "ci.migration", "--ttl", "1h"]).unwrap();
    let sessions = sandbox.gov(["--json", "session", "ls"]).ok().json();
    let ends = sessions["sessions"][0]["expires_at"].as_str().unwrap();
    let printed = std::process::Command::new("date").args(["-d", ends, "+%s"]).output().unwrap().stdout;
    let ends: u64 = String::from_utf8(printed).unwrap().trim().parse().unwrap();
    assert!(ends <= until && ends + 60 > until, "{ends} {until} {sessions}");
    // It ends for real: what is open then is told, and nothing is left at the database.
    let mut wire = connected.wire(&[]).unwrap();
    let begun = std::time::Instant::now();
    let said = loop {
        let answer = wire.simple(b"select 1");
        if answer.closed || !answer.errors.is_empty() {
            break answer;
        }
        assert!(begun.elapsed().as_secs() < 120, "it goes on");
        std::thread::sleep(std::time::Duration::from_millis(500));
    };
    assert!(said.errors[0].message.contains("expired"), "{said:?}");
    while !sandbox.gov(["ls"]).stderr.contains("run: gov login --workload gitlab") {
        assert!(begun.elapsed().as_secs() < 120, "the login goes on");
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
}

/// A rule that is taken away takes its logins with it.
#[test]
fn a_rule_that_is_gone_lets_nobody_in() {
    let platform = Platform::start();
    let sandbox = server(&platform);
    let token = sandbox.write("token", &platform.sign(&platform::kubernetes(&platform.issuer)));
    log_in(&sandbox, &["--workload", "oidc-file", "--token-file", token.to_str().unwrap()], &[]).ok();
    sandbox.gov(["exec", "staging-db", "--purpose", "ci.migration", "-c", "select 1"]).ok();
    let path = sandbox.home.join("gov.yaml");
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, config.replace("  etl:\n", "  other:\n")).unwrap();
    let start = std::time::Instant::now();
    loop {
        let ran = sandbox.gov(["exec", "staging-db", "--purpose", "ci.migration", "-c", "select 1"]);
        if ran.stderr.contains("there is no resource `staging-db` for you") {
            assert_ne!(ran.code, 0, "{ran:?}");
            break;
        }
        // The one that the change overtakes is told so.
        assert!(ran.code == 0 || ran.stderr.contains("this session was withdrawn"), "{ran:?}");
        assert!(start.elapsed().as_secs() < 60, "{}", sandbox.server_log());
    }
}

fn json_with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}
