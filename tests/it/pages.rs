//! The page of the built-in issuer, as browsers and other sites see it.

use serde_json::{Value, json};

use crate::support::Sandbox;
use crate::support::api::{ask, client};

/// Starts a device flow: the issuer's answer.
async fn begin(sandbox: &Sandbox) -> Value {
    let form = json!({"client_id": "gov-cli", "gov_host": "alice@<b>laptop", "gov_version": "0.1.0"});
    let request = client(sandbox).post(format!("{}/issuer/device_authorization", sandbox.url())).form(&form);
    ask(request).await.1
}

async fn page(sandbox: &Sandbox, code: &str) -> (reqwest::header::HeaderMap, String) {
    let url = format!("{}/issuer/device?user_code={code}", sandbox.url());
    let response = client(sandbox).get(url).send().await.unwrap();
    let headers = response.headers().clone();
    (headers, response.text().await.unwrap())
}

#[tokio::test]
async fn the_page_shows_who_asks_and_cannot_be_framed_or_scripted() {
    let sandbox = Sandbox::with_server(&["--user", "erin:engineering"]);
    let flow = begin(&sandbox).await;
    let (headers, html) = page(&sandbox, flow["user_code"].as_str().unwrap()).await;
    for text in ["alice@&lt;b&gt;laptop", "127.0.0.1", "gov 0.1.0", flow["user_code"].as_str().unwrap(), "erin", "Deny"]
    {
        assert!(html.contains(text), "{text}: {html}");
    }
    assert!(!html.contains("<script") && !html.contains("alice@<b>"), "{html}");
    assert!(html.find("value=\"deny\"").unwrap() < html.find("value=\"approve\"").unwrap(), "Enter must deny");
    let number = format!("value=\"{}\"", flow["gov_number"].as_str().unwrap());
    assert!(html.contains(&number), "the number is among the choices");
    assert_eq!(html.matches("name=\"number\"").count(), 3);
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-") && policy.contains("frame-ancestors 'none'"));
    assert_eq!(headers["cache-control"], "no-store");
    let cookie = headers["set-cookie"].to_str().unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
}

#[tokio::test]
async fn other_sites_cannot_approve() {
    let sandbox = Sandbox::with_server(&[]);
    let client = client(&sandbox);
    let flow = begin(&sandbox).await;
    let form = |csrf: &str| {
        json!({"csrf": csrf, "user_code": flow["user_code"], "decision": "approve", "user": "alice",
               "number": flow["gov_number"]})
    };
    let url = format!("{}/issuer/device", sandbox.url());
    let evil = [
        ("no origin", None, Some("gov_csrf=x"), "x"),
        ("another origin", Some("https://evil.example"), Some("gov_csrf=x"), "x"),
        ("no origin at all, they say", Some("null"), Some("gov_csrf=x"), "x"),
        ("the plain origin over TLS", Some("http"), Some("gov_csrf=x"), "x"),
        ("no cookie", Some("own"), None, "x"),
        ("another cookie", Some("own"), Some("gov_csrf=y"), "x"),
        ("an empty cookie", Some("own"), Some("gov_csrf="), ""),
    ];
    for (name, origin, cookie, csrf) in evil {
        let mut request = client.post(&url).form(&form(csrf));
        let own = match origin {
            Some("own") => Some(sandbox.url().to_owned()),
            Some("http") => Some(sandbox.url().replace("https", "http")),
            other => other.map(str::to_owned),
        };
        if let Some(origin) = own {
            request = request.header("origin", origin);
        }
        if let Some(cookie) = cookie {
            request = request.header("cookie", cookie);
        }
        assert_eq!(ask(request).await.0, 403, "{name}");
    }
    // The neighbour that may.
    let request = client.post(&url).header("origin", sandbox.url()).header("cookie", "gov_csrf=x").form(&form("x"));
    let (status, html) = ask(request).await;
    assert_eq!(status, 200, "{html}");
    // And only once.
    let request = client.post(&url).header("origin", sandbox.url()).header("cookie", "gov_csrf=x").form(&form("x"));
    assert_eq!(ask(request).await.0, 403);
}

#[tokio::test]
async fn polls_get_the_words_of_rfc_8628() {
    let sandbox = Sandbox::with_server(&[]);
    let client = client(&sandbox);
    let poll = |code: &Value| {
        let form = json!({"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "client_id": "gov-cli", "device_code": code});
        ask(client.post(format!("{}/issuer/token", sandbox.url())).form(&form))
    };
    let flow = begin(&sandbox).await;
    assert_eq!(
        poll(&flow["device_code"]).await,
        (400, json!({"error": "authorization_pending", "error_description": "nobody has answered yet"}))
    );
    assert_eq!(poll(&flow["device_code"]).await.1["error"], "slow_down");
    assert_eq!(poll(&json!("made-up")).await.1["error"], "invalid_grant");
    let form = json!({"csrf": "x", "user_code": flow["user_code"], "decision": "approve", "user": "alice", "number": flow["gov_number"]});
    let request = client
        .post(format!("{}/issuer/device", sandbox.url()))
        .header("origin", sandbox.url())
        .header("cookie", "gov_csrf=x")
        .form(&form);
    assert_eq!(ask(request).await.0, 200);
    let (status, tokens) = poll(&flow["device_code"]).await;
    assert!(status == 200 && tokens["id_token"].is_string(), "{tokens}");
    assert_eq!(poll(&flow["device_code"]).await.1["error"], "invalid_grant");
}
