//! Every route × every kind of caller. A new route fails here until it has a row.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::Sandbox;
use crate::support::api::{Device, ask, client, now};

/// Method, path, and what a caller must prove; written down here once more, so that the server cannot loosen a right
/// unnoticed.
const ROUTES: &[(&str, &str, &str)] = &[
    ("get", "/v1/server", "public"),
    ("post", "/v1/token", "subject_token"),
    ("get", "/v1/me", "user"),
    ("post", "/v1/logout", "user"),
    ("get", "/v1/resources", "user"),
    ("post", "/v1/resources/{resource}/explain", "user"),
    ("get", "/v1/resources/{resource}/classification", "user"),
    ("post", "/v1/sessions", "user"),
    ("get", "/v1/sessions", "user"),
    ("post", "/v1/resources/{resource}/unmask", "user"),
    ("post", "/v1/sessions/{session}/end", "user"),
    ("get", "/v1/sessions/{session}/masks", "user"),
    ("get", "/v1/sessions/{session}/policy", "user"),
    ("get", "/v1/sessions/{session}/tunnel", "session_key"),
    ("get", "/v1/approvals", "user"),
    ("get", "/v1/approvals/{approval}", "user"),
    ("post", "/v1/approvals/{approval}/approve", "user"),
    ("post", "/v1/approvals/{approval}/deny", "user"),
    ("post", "/v1/approvals/{approval}/withdraw", "user"),
    ("post", "/v1/approvals/{approval}/review", "user"),
    ("post", "/v1/requests", "user"),
    ("post", "/v1/approvals/{approval}/rehearse", "user"),
    ("post", "/v1/log/envelopes", "user"),
    ("get", "/v1/log/checkpoint", "user"),
    ("get", "/v1/log/tile/{path}", "user"),
    ("get", "/v1/log/own", "user"),
    ("post", "/v1/log/evidence", "user"),
    ("get", "/v1/log/sealed/{leaf}", "user"),
    ("get", "/v1/sessions/{session}/raw", "user"),
    ("post", "/v1/people/erase", "user"),
    ("get", "/v1/timeline", "user"),
    ("get", "/v1/timeline/access", "user"),
    ("get", "/v1/openapi.json", "public"),
    ("get", "/healthz", "public"),
    ("get", "/readyz", "public"),
    ("get", "/issuer/.well-known/openid-configuration", "public"),
    ("get", "/issuer/jwks", "public"),
    ("post", "/issuer/device_authorization", "device"),
    ("post", "/issuer/token", "device"),
    ("post", "/issuer/revoke", "device"),
    ("get", "/issuer/device", "page"),
    ("post", "/issuer/device", "page"),
];

/// A session id that nobody has.
const MADE_UP: &str = "01m8200000000000000000000r";

/// What a stranger sends as `authorization` and `dpop`.
type Sent = (Option<String>, Option<String>);

/// Callers that must not get in where a login is needed: each comes with a real login and spoils one thing.
fn strangers(sandbox: &Sandbox, method: &str, url: &str) -> Vec<(&'static str, Sent)> {
    let (device, real) = Device::of_login(sandbox);
    let token = Some(real.as_str());
    let dpop = |token: Option<&str>| token.map(|token| format!("DPoP {token}"));
    let proof = |change: &dyn Fn(&mut Value)| Some(device.proof(method, url, token, change));
    let set = |name: &'static str, value: Value| proof(&|claims: &mut Value| claims[name] = value.clone());
    let forged = forged(sandbox, &real);
    let forged = Some(forged.as_str());
    vec![
        ("nobody", (None, None)),
        ("garbage", (dpop(Some("garbage")), Some(device.proof(method, url, Some("garbage"), |_| ())))),
        ("a token without a proof", (dpop(token), None)),
        ("a proof without a token", (None, Some(device.proof(method, url, None, |_| ())))),
        ("a bearer", (token.map(|token| format!("Bearer {token}")), proof(&|_| ()))),
        ("another device", (dpop(token), Some(Device::new(7).proof(method, url, token, |_| ())))),
        ("a proof for another address", (dpop(token), set("htu", format!("{url}/other").into()))),
        ("a proof for another method", (dpop(token), set("htm", "DELETE".into()))),
        ("a proof for another token", (dpop(token), Some(device.proof(method, url, Some("other"), |_| ())))),
        ("a proof that names no token", (dpop(token), Some(device.proof(method, url, None, |_| ())))),
        ("an old proof", (dpop(token), set("iat", (now() - 70).into()))),
        ("a proof from the future", (dpop(token), set("iat", (now() + 70).into()))),
        ("a proof without an id", (dpop(token), set("jti", "".into()))),
        ("a forged token", (dpop(forged), Some(Device::new(9).proof(method, url, forged, |_| ())))),
    ]
}

/// A token that says everything a real one says, under the name of the server's key, signed by another.
fn forged(sandbox: &Sandbox, real: &str) -> String {
    let part = |index: usize| -> Value {
        let text = URL_SAFE_NO_PAD.decode(real.split('.').nth(index).unwrap()).unwrap();
        serde_json::from_slice(&text).unwrap()
    };
    let (header, mut claims) = (part(0), part(1));
    let stranger = Device::new(9);
    claims["groups"] = json!(["dba"]);
    claims["cnf"]["jkt"] = stranger.thumbprint().into();
    assert_eq!(claims["iss"], sandbox.url());
    stranger.token("at+jwt", header["kid"].as_str().unwrap(), &claims)
}

#[tokio::test]
async fn every_route_refuses_every_stranger() {
    let sandbox = Sandbox::with_server(&[]);
    sandbox.log_in("alice");
    let client = client(&sandbox);
    let (_, document) = ask(client.get(format!("{}/v1/openapi.json", sandbox.url()))).await;

    let mut described = BTreeMap::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            described.insert((method.clone(), path.clone()), operation["x-gov-right"].as_str().unwrap().to_owned());
        }
    }
    let row =
        |(method, path, right): &(&str, &str, &str)| (((*method).to_owned(), (*path).to_owned()), (*right).to_owned());
    assert_eq!(
        described,
        ROUTES.iter().map(row).collect(),
        "the server's routes on the left, the rows of this test on the right"
    );

    let mut tried = 0;
    for (method, path, right) in ROUTES {
        let url = format!(
            "{}{}",
            sandbox.url(),
            path.replace("{session}", MADE_UP)
                .replace("{approval}", MADE_UP)
                .replace("{resource}", "nothing")
                .replace("{path}", "0/000")
        );
        let verb = method.to_uppercase();
        let request = || client.request(verb.parse().unwrap(), &url);
        match *right {
            "public" => assert_eq!(ask(request()).await.0, 200, "{path}"),
            "subject_token" | "device" => {
                for body in ["", "grant_type=x", "client_id=nobody&token=x", "grant_type=x&client_id=nobody"] {
                    let form = request().header("content-type", "application/x-www-form-urlencoded").body(body);
                    let (status, answer) = ask(form).await;
                    assert_eq!(status, 400, "{path} {body} {answer}");
                    assert!(answer["error"].is_string() || answer["error"]["kind"] == "usage", "{answer}");
                }
            }
            "page" => {
                for (name, value) in
                    [("host", "gov.example.com"), ("origin", "https://evil.example"), ("origin", "null")]
                {
                    let (status, answer) = ask(request().header(name, value)).await;
                    assert_eq!(status, 403, "{path} {name}: {answer}");
                }
            }
            // A session that does not exist; what its key proves is tested with real sessions.
            "session_key" => {
                let proofs = [None, Some(""), Some("AAAA"), Some("garbage")];
                for proof in proofs {
                    let mut request = request().header("connection", "upgrade").header("upgrade", "gov-tunnel/1");
                    if let Some(proof) = proof {
                        request = request.header("gov-stream", "1").header("gov-proof", proof);
                    }
                    let (status, answer) = ask(request).await;
                    assert!(status == 404 || status == 401, "{path} {proof:?}: {status} {answer}");
                }
            }
            "user" => {
                for (name, (authorization, proof)) in strangers(&sandbox, &verb, &url) {
                    let mut request = request();
                    if let Some(authorization) = authorization {
                        request = request.header("authorization", authorization);
                    }
                    if let Some(proof) = proof {
                        request = request.header("dpop", proof);
                    }
                    let (status, answer) = ask(request).await;
                    assert_eq!(
                        (status, &answer["error"]["kind"]),
                        (401, &json!("not_logged_in")),
                        "{path}: {name}: {answer}"
                    );
                    tried += 1;
                }
            }
            other => panic!("what is {other}?"),
        }
    }
    assert!(tried >= 40, "{tried}");

    // The neighbour that is let in; and the same proof a second time, which is not.
    let (device, token) = Device::of_login(&sandbox);
    let url = format!("{}/v1/me", sandbox.url());
    let proof = device.proof("GET", &url, Some(&token), |_| ());
    let request = || client.get(&url).header("authorization", format!("DPoP {token}")).header("dpop", &proof);
    assert_eq!(ask(request()).await.0, 200);
    assert_eq!(ask(request()).await.0, 401);
    let twice = request().header("dpop", device.proof("GET", &url, Some(&token), |_| ()));
    assert_eq!(ask(twice).await.0, 401, "two proofs");

    // After the login was ended, a copy of it is worth nothing.
    let copy = std::fs::read(sandbox.token_file()).unwrap();
    sandbox.gov(["logout"]).ok();
    assert!(!copy.is_empty());
    let proof = device.proof("GET", &url, Some(&token), |_| ());
    let request = client.get(&url).header("authorization", format!("DPoP {token}")).header("dpop", proof);
    let (status, answer) = ask(request).await;
    assert_eq!((status, answer["error"]["detail"].as_str()), (401, Some("This login was ended.")));
}

#[tokio::test]
async fn what_is_not_there_is_not_there() {
    let sandbox = Sandbox::with_server(&[]);
    let client = client(&sandbox);
    for (verb, path) in
        [("GET", "/"), ("GET", "/v1"), ("POST", "/v1/me"), ("DELETE", "/v1/server"), ("GET", "/v1/../v1/me/")]
    {
        let (status, answer) = ask(client.request(verb.parse().unwrap(), format!("{}{path}", sandbox.url()))).await;
        assert_eq!((status, &answer["error"]["kind"]), (404, &json!("not_found")), "{verb} {path}");
    }
}
