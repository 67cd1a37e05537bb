//! A provider that is not ours: npm `oidc-provider`, certified by the OpenID Foundation (`oidc/server.mjs`).

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::api::{Device, ask, client, now, plain_client};
use crate::support::browser::Browser;
use crate::support::{Ran, Sandbox, collect, repository, tool};

/// The provider's process.
struct Provider {
    child: Child,
    issuer: String,
}

impl Drop for Provider {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Provider {
    fn start(id_token_algorithm: &str) -> Self {
        let folder = repository().join("tests/it/oidc");
        assert!(
            folder.join("node_modules/oidc-provider").is_dir(),
            "this test needs an OpenID Connect provider; install it with: npm ci --ignore-scripts --prefix {}",
            folder.display()
        );
        let mut child = Command::new(tool("node", "nodejs"))
            .arg("server.mjs")
            .current_dir(folder)
            .env("ID_TOKEN_ALG", id_token_algorithm)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        // It goes on talking, and would end if nobody listened.
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        Self { child, issuer: ready["issuer"].as_str().unwrap().to_owned() }
    }

    async fn rotate_keys(&self) {
        assert_eq!(ask(plain_client().post(format!("{}/test/rotate", self.issuer))).await.0, 200);
    }

    /// How often the provider was asked for something.
    async fn requests(&self, path: &str) -> u64 {
        let (_, counts) = ask(plain_client().get(format!("{}/test/requests", self.issuer))).await;
        counts[path].as_u64().unwrap_or(0)
    }
}

/// A gov server that believes the provider. `more` goes into its identity section.
fn server(provider: &Provider, more: &str) -> Sandbox {
    let mut sandbox = Sandbox::new();
    let config = format!(
        "server: {{ listen: '127.0.0.1:0', data: data }}
identity: {{ issuer: '{}', client_id: gov-cli{more} }}
resources:
  app-db: {{ url: 'postgres://gov@db.internal/app', labels: {{ env: dev }} }}
access:
  - {{ who: {{ group: dev }}, resources: [app-db], access: read }}
",
        provider.issuer
    );
    sandbox.write("gov.yaml", &config);
    sandbox.start_server(&["--config", "gov.yaml"]);
    sandbox
}

/// Runs `gov login` while a person answers in a browser: as `user`, or with "no".
async fn log_in(sandbox: &Sandbox, user: Option<&str>) -> Ran {
    let mut command = sandbox.command(["login", sandbox.url(), "--token-store", "file"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut reader = BufReader::new(child.stderr.take().unwrap());
    let mut prompt = String::new();
    while !prompt.contains("Waiting for you there") {
        assert!(reader.read_line(&mut prompt).unwrap() > 0, "{prompt}");
    }
    child.stderr = Some(reader.into_inner());
    assert!(!prompt.contains("number of this terminal") && !prompt.contains("built-in"), "{prompt}");
    let address = prompt.split(' ').nth(1).unwrap();
    let code = prompt.lines().find_map(|line| line.strip_prefix("    ")).unwrap();
    let mut browser = Browser::new(plain_client());
    browser.open(&format!("{address}?user_code={code}")).await;
    browser.submit(&[]).await;
    match user {
        None => browser.submit(&[("abort", "yes")]).await,
        Some(user) => {
            browser.submit(&[("confirm", "yes")]).await;
            browser.submit(&[("prompt", "login"), ("login", user), ("password", "x")]).await;
            browser.submit(&[]).await;
            assert!(browser.page.contains("Success"), "{}: {}", browser.address, browser.page);
        }
    }
    collect(child)
}

/// Makes the access token look expired, so that the next command renews the login.
fn expire(sandbox: &Sandbox) {
    let path = sandbox.token_file();
    let mut login: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    login["access_until"] = 0.into();
    std::fs::write(path, login.to_string()).unwrap();
}

fn names(ran: &Ran) -> Vec<String> {
    let list = ran.json();
    list["resources"].as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
}

/// RS256 ID tokens: from the device flow through renewal and new keys to the end.
#[tokio::test]
async fn a_login_lives_through_renewal_and_new_keys() {
    let provider = Provider::start("RS256");
    let mut sandbox = server(&provider, "");
    let ran = log_in(&sandbox, Some("alice+dev+staff")).await.ok();
    assert!(ran.stderr.contains("as alice of the provider."), "{ran:?}");
    assert_eq!(names(&sandbox.gov(["--json", "ls"]).ok()), ["app-db"]);
    let me = &sandbox.gov(["--json", "status"]).ok().json()["me"];
    assert_eq!((&me["subject"], &me["groups"][0]), (&"alice+dev+staff".into(), &"dev".into()));
    assert_eq!(me["issuer"].as_str(), Some(provider.issuer.as_str()));

    // Renewal rotates the refresh token.
    let before = std::fs::read_to_string(sandbox.token_file()).unwrap();
    expire(&sandbox);
    sandbox.gov(["ls"]).ok();
    let after = std::fs::read_to_string(sandbox.token_file()).unwrap();
    let refresh = |text: &str| serde_json::from_str::<Value>(text).unwrap()["refresh_token"].clone();
    assert_ne!(refresh(&before), refresh(&after));
    assert_eq!(provider.requests("/jwks").await, 1, "keys are kept");

    // The provider changes its keys: the server notices at the first token.
    provider.rotate_keys().await;
    expire(&sandbox);
    sandbox.gov(["ls"]).ok();
    assert_eq!(provider.requests("/jwks").await, 2);

    // Made-up keys do not become requests to the provider.
    let (http, device) = (client(&sandbox), Device::new(3));
    for number in 0..20 {
        let url = format!("{}/v1/token", sandbox.url());
        let claims =
            serde_json::json!({"iss": provider.issuer, "aud": "gov-cli", "sub": "x", "iat": now(), "exp": now() + 60});
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange".to_owned()),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:id_token".to_owned()),
            ("subject_token", device.token("JWT", &format!("made-up-{number}"), &claims)),
        ];
        let (status, answer) =
            ask(http.post(&url).header("dpop", device.proof("POST", &url, None, |_| ())).form(&form)).await;
        assert_eq!((status, &answer["error"]), (400, &"invalid_request".into()), "{answer}");
    }
    assert_eq!(provider.requests("/jwks").await, 2);

    // The end: the refresh token is revoked at the provider too.
    let refresh_token = refresh(&std::fs::read_to_string(sandbox.token_file()).unwrap());
    sandbox.gov(["logout"]).ok();
    let form =
        [("grant_type", "refresh_token"), ("client_id", "gov-cli"), ("refresh_token", refresh_token.as_str().unwrap())];
    let (status, answer) = ask(plain_client().post(format!("{}/token", provider.issuer)).form(&form)).await;
    assert_eq!((status, &answer["error"]), (400, &"invalid_grant".into()));
    sandbox.stop_server();
}

/// JWT access tokens (RFC 9068, ES256) for a resource (RFC 8707), where the server asks for them.
#[tokio::test]
async fn jwt_access_tokens_for_a_resource() {
    let provider = Provider::start("ES256");
    let more = ", audience: 'https://gov.example.com', resource: 'https://gov.example.com', groups_claim: groups";
    let sandbox = server(&provider, more);
    log_in(&sandbox, Some("bob+dev")).await.ok();
    assert_eq!(names(&sandbox.gov(["--json", "ls"]).ok()), ["app-db"]);
    expire(&sandbox);
    assert_eq!(names(&sandbox.gov(["--json", "ls"]).ok()), ["app-db"]);
}

/// ES256 ID tokens, a person without the right group, one who says no; and a provider that goes away.
#[tokio::test]
async fn other_endings() {
    let provider = Provider::start("ES256");
    let sandbox = server(&provider, "");
    let ran = log_in(&sandbox, None).await;
    assert_eq!((ran.code, ran.stderr.lines().next()), (3, Some("error: the login was denied")), "{ran:?}");
    log_in(&sandbox, Some("carol+support")).await.ok();
    assert_eq!(names(&sandbox.gov(["--json", "ls"]).ok()), [""; 0]);

    let issuer = provider.issuer.clone();
    drop(provider);
    // What is still good goes on working.
    sandbox.gov(["ls"]).ok();
    expire(&sandbox);
    let start = Instant::now();
    let ran = sandbox.gov(["ls"]);
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
    let expected = format!("error: cannot reach the identity provider `{issuer}`");
    assert_eq!((ran.code, ran.stderr.lines().next()), (8, Some(expected.as_str())), "{ran:?}");
    let ran = sandbox.gov(["login"]);
    assert_eq!((ran.code, ran.stderr.lines().next()), (8, Some(expected.as_str())), "{ran:?}");
}
