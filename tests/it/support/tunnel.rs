//! Sessions and streams of a client that is not ours: it has a login, speaks to the gateway past every check of our own
//! client, and says in each header what the test likes. The steps are those of `src/wire/tunnel.rs`.

use std::os::unix::net::UnixStream;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::client::TlsStream;

use super::Sandbox;
use super::api::{Device, ask, client, tls};
use super::wire::Wire;

/// An open session, and the key that opens its streams.
pub(crate) struct Session {
    pub(crate) id: String,
    pub(crate) key: Ed25519KeyPair,
    /// The digest of its policy, in hexadecimal.
    pub(crate) policy: String,
}

impl Session {
    /// Opens a session with the login that rests in the sandbox.
    pub(crate) async fn open(sandbox: &Sandbox, resource: &str, access: &str) -> Self {
        static NUMBER: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(1);
        let key = session_key(NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        let (device, token) = Device::of_login(sandbox);
        let url = format!("{}/v1/sessions", sandbox.url());
        let body = json!({
            "resource": resource, "access": access, "host": "mallory@elsewhere", "version": env!("CARGO_PKG_VERSION"),
            "session_key": URL_SAFE_NO_PAD.encode(key.public_key()),
        });
        let request = client(sandbox)
            .post(&url)
            .header("authorization", format!("DPoP {token}"))
            .header("dpop", device.proof("POST", &url, Some(&token), |_| ()))
            .json(&body);
        let (status, opened) = ask(request).await;
        assert_eq!(status, 200, "{opened}");
        let text = |name: &str| opened[name].as_str().unwrap().to_owned();
        Self { id: text("session"), key, policy: text("policy_digest") }
    }

    /// What a well-behaved client would ask for.
    pub(crate) fn ask(&self, stream: u32) -> Ask<'_> {
        Ask {
            session: &self.id,
            key: &self.key,
            stream,
            policy: self.policy.clone(),
            engine: env!("CARGO_PKG_VERSION").to_owned(),
            proof: None,
        }
    }

    /// A stream of this session on which nothing has been said yet.
    pub(crate) async fn stream(&self, sandbox: &Sandbox, stream: u32) -> Wire {
        self.ask(stream).open(sandbox).await.unwrap_or_else(|refused| panic!("{refused:?}"))
    }
}

/// The key that belongs to a number.
pub(crate) fn session_key(number: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[number; 32]).unwrap()
}

/// A request for a stream, to be spoilt.
pub(crate) struct Ask<'a> {
    pub(crate) session: &'a str,
    pub(crate) key: &'a Ed25519KeyPair,
    pub(crate) stream: u32,
    pub(crate) policy: String,
    pub(crate) engine: String,
    /// Instead of a proof for this connection.
    pub(crate) proof: Option<String>,
}

impl Ask<'_> {
    /// A stream; or status and document of the refusal.
    pub(crate) async fn open(&self, sandbox: &Sandbox) -> Result<Wire, (u16, String)> {
        let mut stream = connect(sandbox).await;
        let proof = self.proof.clone().unwrap_or_else(|| self.proof(&stream));
        let head = format!(
            "GET /v1/sessions/{}/tunnel HTTP/1.1\r\nhost: {}\r\nconnection: upgrade\r\nupgrade: gov-tunnel/1\r\n\
             gov-stream: {}\r\ngov-policy: {}\r\ngov-engine: {}\r\ngov-proof: {proof}\r\n\r\n",
            self.session,
            sandbox.url().trim_start_matches("https://"),
            self.stream,
            self.policy,
            self.engine,
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await.unwrap());
        }
        let answer = String::from_utf8(answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        if status == 101 {
            return Ok(Wire::over(relayed(stream)));
        }
        let length = answer.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        Err((status, String::from_utf8(body).unwrap()))
    }

    /// The proof for this connection and nothing else.
    pub(crate) fn proof(&self, stream: &TlsStream<tokio::net::TcpStream>) -> String {
        let exporter = stream.get_ref().1.export_keying_material([0_u8; 32], b"EXPORTER-gov-tunnel-1", None).unwrap();
        let mut message = b"gov-tunnel-proof-1\0".to_vec();
        message.extend(exporter);
        message.extend(self.session.as_bytes());
        message.extend(self.stream.to_be_bytes());
        message.extend(
            (0..self.policy.len()).step_by(2).map(|at| u8::from_str_radix(&self.policy[at..at + 2], 16).unwrap()),
        );
        message.extend(self.engine.as_bytes());
        URL_SAFE_NO_PAD.encode(self.key.sign(&message))
    }
}

/// A TLS connection to the server.
pub(crate) async fn connect(sandbox: &Sandbox) -> TlsStream<tokio::net::TcpStream> {
    let address = sandbox.url().trim_start_matches("https://");
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let name = "127.0.0.1".try_into().unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(tls(sandbox))).connect(name, stream).await.unwrap()
}

/// A plain socket with the stream behind it, carried over by the runtime: tests block, so theirs has several threads.
fn relayed(mut stream: TlsStream<tokio::net::TcpStream>) -> UnixStream {
    let (ours, mut theirs) = tokio::net::UnixStream::pair().unwrap();
    tokio::spawn(async move { drop(tokio::io::copy_bidirectional(&mut stream, &mut theirs).await) });
    let ours = ours.into_std().unwrap();
    ours.set_nonblocking(false).unwrap();
    ours
}
