//! The API seen from a client that is not ours: requests with every header under the test's control, proofs of
//! possession made here.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{Client, RequestBuilder};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

use super::Sandbox;

/// A client that believes this sandbox's server and nobody else.
pub(crate) fn client(sandbox: &Sandbox) -> Client {
    Client::builder()
        .tls_backend_preconfigured(tls(sandbox))
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}

/// TLS as that client speaks it.
pub(crate) fn tls(sandbox: &Sandbox) -> rustls::ClientConfig {
    let authority = std::fs::read(sandbox.home.join(".local/share/gov/dev-ca.pem")).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    for certificate in
        <rustls::pki_types::CertificateDer as rustls::pki_types::pem::PemObject>::pem_slice_iter(&authority)
    {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// A client that speaks plain HTTP: it believes no certificate at all.
pub(crate) fn plain_client() -> Client {
    let tls =
        rustls::ClientConfig::builder_with_provider(std::sync::Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
    Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}

/// A key on some device.
pub(crate) struct Device(Ed25519KeyPair);

impl Device {
    pub(crate) fn new(seed: u8) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap())
    }

    /// The device key of a login, and its access token, from the file it rests in.
    pub(crate) fn of_login(sandbox: &Sandbox) -> (Self, String) {
        let login: Value = serde_json::from_slice(&std::fs::read(sandbox.token_file()).unwrap()).unwrap();
        let seed: Vec<u8> = serde_json::from_value(login["device"].clone()).unwrap();
        let key = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
        (Self(key), login["access_token"].as_str().unwrap().to_owned())
    }

    fn jwk(&self) -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(self.0.public_key())})
    }

    /// RFC 7638.
    pub(crate) fn thumbprint(&self) -> String {
        // The members are in alphabetical order already.
        let jwk = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, URL_SAFE_NO_PAD.encode(self.0.public_key()));
        URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, jwk.as_bytes()))
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let text =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(self.0.sign(text.as_bytes())))
    }

    /// A proof for one request; `change` may spoil its claims.
    pub(crate) fn proof(
        &self,
        method: &str,
        url: &str,
        token: Option<&str>,
        change: impl FnOnce(&mut Value),
    ) -> String {
        let mut claims = json!({"jti": unique(), "htm": method, "htu": url, "iat": now()});
        if let Some(token) = token {
            let digest = ring::digest::digest(&ring::digest::SHA256, token.as_bytes());
            claims["ath"] = URL_SAFE_NO_PAD.encode(digest).into();
        }
        change(&mut claims);
        self.sign(&json!({"typ": "dpop+jwt", "alg": "EdDSA", "jwk": self.jwk()}), &claims)
    }

    /// A token with any claims, signed by this key under any name.
    pub(crate) fn token(&self, typ: &str, kid: &str, claims: &Value) -> String {
        self.sign(&json!({"typ": typ, "alg": "EdDSA", "kid": kid}), claims)
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn unique() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}-{}", std::process::id(), now(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// Status and document of an answer.
pub(crate) async fn ask(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}
