//! A platform that gives its jobs tokens, as GitHub Actions, GitLab CI and Kubernetes do: an issuer with its discovery
//! document and keys, and the runner's service from which a job of GitHub gets a token.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

use super::api::now;

/// What the runner lets a job ask with.
pub(crate) const RUNNER_TOKEN: &str = "runner-token";

/// A running platform. Its thread ends with the process.
pub(crate) struct Platform {
    pub(crate) issuer: String,
    key: EcdsaKeyPair,
    /// The token that the runner's service gives to whoever asks, and for which audience it was last asked.
    next: Arc<Mutex<(String, String)>>,
}

impl Platform {
    pub(crate) fn start() -> Self {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let next = Arc::<Mutex<(String, String)>>::default();
        let platform = Self { issuer: issuer.clone(), key, next: Arc::clone(&next) };
        // What GitHub and Kubernetes publish: no endpoint for tokens.
        let discovery = json!({
            "issuer": issuer, "jwks_uri": format!("{issuer}/jwks"), "subject_types_supported": ["public", "pairwise"],
            "response_types_supported": ["id_token"], "id_token_signing_alg_values_supported": ["ES256"]
        });
        let keys = platform.keys();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                answer(&stream.unwrap(), &discovery, &keys, &next);
            }
        });
        platform
    }

    /// The key set, as published.
    pub(crate) fn keys(&self) -> Value {
        let (x, y) = self.public().split_at(32);
        json!({"keys": [{
            "kty": "EC", "crv": "P-256", "kid": "k1", "use": "sig", "alg": "ES256",
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        }]})
    }

    /// The public point, without the byte that says it is not compressed.
    fn public(&self) -> &[u8] {
        &self.key.public_key().as_ref()[1..]
    }

    /// A token with these claims, signed as the platform does.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_with(&json!({"typ": "JWT", "alg": "ES256", "kid": "k1"}), claims)
    }

    pub(crate) fn sign_with(&self, header: &Value, claims: &Value) -> String {
        let signed = signed_part(header, claims);
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// A token that is "signed" with the published key as if it were a shared secret.
    pub(crate) fn confuse(&self, claims: &Value) -> String {
        let signed = signed_part(&json!({"typ": "JWT", "alg": "HS256", "kid": "k1"}), claims);
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, self.public());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(ring::hmac::sign(&key, signed.as_bytes())))
    }

    /// What the runner's service gives out next.
    pub(crate) fn mint(&self, token: &str) {
        self.next.lock().unwrap().0 = token.to_owned();
    }

    /// For what the runner's service was last asked.
    pub(crate) fn asked_for(&self) -> String {
        self.next.lock().unwrap().1.clone()
    }
}

/// A token that nobody signed.
pub(crate) fn unsigned(claims: &Value) -> String {
    format!("{}.", signed_part(&json!({"typ": "JWT", "alg": "none", "kid": "k1"}), claims))
}

fn signed_part(header: &Value, claims: &Value) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()))
}

fn answer(stream: &TcpStream, discovery: &Value, keys: &Value, next: &Mutex<(String, String)>) {
    let lines = BufReader::new(stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let lines: Vec<String> = lines.collect();
    let Some(request) = lines.first() else { return };
    let bearer = format!("authorization: bearer {RUNNER_TOKEN}");
    let allowed = lines.iter().any(|line| line.to_lowercase() == bearer);
    let path = request.split(' ').nth(1).unwrap_or_default();
    let (status, body) = match path.split_once("audience=") {
        Some((_, audience)) if path.starts_with("/mint?") && allowed => {
            let mut next = next.lock().unwrap();
            audience.clone_into(&mut next.1);
            (200, json!({"count": next.0.len(), "value": next.0}))
        }
        Some(_) => (401, json!({})),
        None if path == "/.well-known/openid-configuration" => (200, discovery.clone()),
        None if path == "/jwks" => (200, keys.clone()),
        None => (404, json!({})),
    };
    let body = body.to_string();
    let head = format!("HTTP/1.1 {status} .\r\ncontent-type: application/json\r\nconnection: close\r\n");
    let mut stream = stream;
    drop(write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len()));
}

/// What a token of any platform says about itself.
fn common(issuer: &str, id: &str) -> Value {
    json!({"iss": issuer, "aud": "https://gov.test", "jti": id, "iat": now(), "nbf": now(), "exp": now() + 300})
}

fn with(mut claims: Value, more: Value) -> Value {
    let Value::Object(more) = more else { panic!("{more}") };
    claims.as_object_mut().unwrap().extend(more);
    claims
}

/// A token of GitHub Actions, claim by claim (docs.github.com/actions/reference/security/oidc).
pub(crate) fn github(issuer: &str, id: &str) -> Value {
    with(
        common(issuer, id),
        json!({
            "sub": "repo:octo-org/octo-repo:environment:production", "environment": "production",
            "ref": "refs/heads/main", "sha": "9f2c", "repository": "octo-org/octo-repo", "repository_owner": "octo-org",
            "actor_id": "12", "repository_visibility": "private", "repository_id": "74", "repository_owner_id": "65",
            "run_id": "1234", "run_number": "10", "run_attempt": "2", "runner_environment": "github-hosted",
            "actor": "octocat", "workflow": "migrate", "head_ref": "", "base_ref": "", "event_name": "push",
            "ref_type": "branch", "ref_protected": "true",
            "job_workflow_ref": "octo-org/octo-repo/.github/workflows/migrate.yml@refs/heads/main",
        }),
    )
}

/// An ID token of GitLab CI (docs.gitlab.com/ci/secrets/id_token_authentication).
pub(crate) fn gitlab(issuer: &str, id: &str) -> Value {
    with(
        common(issuer, id),
        json!({
            "sub": "project_path:my-group/my-project:ref_type:branch:ref:main", "namespace_id": "72",
            "namespace_path": "my-group", "project_id": "20", "project_path": "my-group/my-project", "user_id": "1",
            "user_login": "sample-user", "pipeline_id": "574", "pipeline_source": "push", "job_id": "302",
            "ref": "main", "ref_type": "branch", "ref_path": "refs/heads/main", "ref_protected": "true",
            "environment": "production", "runner_environment": "gitlab-hosted", "sha": "714a",
        }),
    )
}

/// A projected service account token (kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin), of a
/// cluster that gives tokens no id.
pub(crate) fn kubernetes(issuer: &str) -> Value {
    let mut claims = with(
        common(issuer, ""),
        json!({
            "aud": ["https://gov.test"], "sub": "system:serviceaccount:jobs:etl",
            "kubernetes.io": {
                "namespace": "jobs", "node": {"name": "node-1", "uid": "n-1"}, "pod": {"name": "etl-x", "uid": "p-1"},
                "serviceaccount": {"name": "etl", "uid": "9f2f9c1e-3f0a-4d3e-8a1c-1c2d3e4f5a6b"}, "warnafter": now() + 200,
            },
        }),
    );
    claims.as_object_mut().unwrap().remove("jti");
    claims
}
