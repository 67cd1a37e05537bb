//! What strangers can use up.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::Sandbox;
use crate::support::api::{ask, client, plain_client};

fn connect(sandbox: &Sandbox) -> TcpStream {
    let address = sandbox.url().trim_start_matches("https://");
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// Silent and slow strangers are closed within ten seconds and hold up nobody.
#[tokio::test]
async fn attack_10_silent_strangers_are_closed() {
    let sandbox = Sandbox::with_server(&[]);
    let start = Instant::now();
    let waiting: Vec<_> = [&b""[..], &[22, 3, 1], &[22, 3, 1, 2, 0, 1, 0], b"GET / HTTP/1.1\r\nhost: "]
        .into_iter()
        .map(|first| {
            let mut stream = connect(&sandbox);
            stream.write_all(first).unwrap();
            std::thread::spawn(move || {
                let mut rest = Vec::new();
                drop(stream.read_to_end(&mut rest));
                rest
            })
        })
        .collect();
    // Meanwhile others are served.
    let (status, _) = ask(client(&sandbox).get(format!("{}/healthz", sandbox.url()))).await;
    assert_eq!(status, 200);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    for stranger in waiting {
        stranger.join().unwrap();
    }
    let took = start.elapsed();
    assert!((9..13).contains(&took.as_secs()), "{took:?}");
}

#[tokio::test]
async fn garbage_is_closed_at_once_and_says_nothing() {
    let sandbox = Sandbox::with_server(&[]);
    for garbage in [&b"\x00\x01\x02\x03"[..], b"\x16\xff\xff\xff\xff\xff", b"\x00\x00\x00\x08\x04\xd2\x16\x2f"] {
        let mut stream = connect(&sandbox);
        stream.write_all(garbage).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer));
        // At most a TLS alert or an HTTP refusal; no name, no version.
        let text = String::from_utf8_lossy(&answer).to_lowercase();
        assert!(answer.len() < 200 && !text.contains("gov"), "{text:?}");
    }
}

#[tokio::test]
async fn bodies_and_headers_are_bounded() {
    let sandbox = Sandbox::with_server(&[]);
    let client = client(&sandbox);
    let url = format!("{}/v1/token", sandbox.url());
    let form = |length: usize| {
        client.post(&url).header("content-type", "application/x-www-form-urlencoded").body("a".repeat(length))
    };
    let (status, answer) = ask(form(64 * 1024 + 1)).await;
    assert_eq!(status, 400, "{answer}");
    assert!(answer["error_description"].as_str().unwrap().contains("length limit"), "{answer}");
    let (_, answer) = ask(form(64 * 1024)).await;
    assert!(!answer["error_description"].as_str().unwrap().contains("length limit"), "{answer}");
    let long = client.get(format!("{}/healthz", sandbox.url())).header("x-long", "a".repeat(128 * 1024));
    // The server may hang up before all of it has been sent.
    let answer = long.send().await.map(|answer| answer.status().as_u16());
    assert!(matches!(answer, Ok(431) | Err(_)), "{answer:?}");
}

/// Everything but the device page is refused in clear, even on loopback.
#[tokio::test]
async fn plain_http_is_for_the_page_only() {
    let sandbox = Sandbox::with_server(&[]);
    let plain = sandbox.url().replace("https://", "http://");
    let client = plain_client();
    assert_eq!(ask(client.get(format!("{plain}/issuer/device"))).await.0, 200);
    for path in ["/healthz", "/v1/server", "/v1/me", "/issuer/jwks", "/v1/openapi.json"] {
        let (status, answer) = ask(client.get(format!("{plain}{path}"))).await;
        assert_eq!((status, answer["error"]["message"].as_str()), (400, Some("this server speaks https")), "{path}");
    }
}
