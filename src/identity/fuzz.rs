//! Tokens, key sets, proofs and claims, changed by chance: nothing panics, and nothing that was changed is believed.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::claims::ClaimRules;
use super::device_flow::UserCode;
use super::jwt::{ACCESS_TOKEN, DPOP_PROOF, ID_TOKEN, KeySet, SigningKey, Thumbprint, verify_self_described};
use super::token::AccessToken;
use super::{discovery, dpop};
use crate::domain::{Chance, Method, Secret, Timestamp};

const ROUNDS: usize = 3_000;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn key(byte: u8) -> SigningKey {
    SigningKey::from_seed(&Secret::new([byte; 32])).unwrap()
}

/// The tokens of other makers, each with the keys it is to be checked by.
fn vectors() -> Vec<(String, String)> {
    let vectors: Vec<Value> = serde_json::from_slice(include_bytes!("../../tests/vectors/jwt/tokens.json")).unwrap();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    vectors.iter().map(|vector| (text(&vector["token"]), text(&vector["jwks"]))).collect()
}

/// Tokens that were made as they should be, and the keys of their makers.
static MADE: LazyLock<(Vec<String>, Vec<KeySet>)> = LazyLock::new(|| {
    let ours = key(1);
    let own = ours.token("at+jwt", &json!({"iss": "https://s", "aud": "https://s", "sub": "a"})).unwrap();
    let proof = ours.self_described_token("dpop+jwt", &json!({"jti": "1", "htm": "GET", "htu": "https://s/"})).unwrap();
    let (tokens, keys): (Vec<_>, Vec<_>) = vectors().into_iter().unzip();
    let sets = keys.iter().map(|keys| KeySet::parse(keys.as_bytes()).unwrap());
    (tokens.into_iter().chain([own, proof]).collect(), sets.chain([KeySet::of(&[&ours])]).collect())
});

/// A token; whether it is one that nobody made like that. Nobody believes it then, whosever keys it is checked by.
pub(crate) fn changed_tokens(bytes: &[u8]) -> bool {
    let (tokens, sets) = &*MADE;
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let changed = !tokens.iter().any(|token| token == text);
    let request = dpop::Request { method: "GET", url: "https://s/", token: None };
    let mut believed = verify_self_described::<Value>(text, DPOP_PROOF).is_ok();
    believed |= dpop::check(text, request, NOW).is_ok();
    for keys in sets {
        believed |= [ID_TOKEN, ACCESS_TOKEN, DPOP_PROOF].iter().any(|types| keys.verify::<Value>(text, types).is_ok());
        believed |= AccessToken::verify(text, "https://s", keys, NOW).is_ok();
    }
    assert!(!(changed && believed), "{text}");
    changed
}

#[test]
fn fuzz_no_changed_token_is_believed() {
    let mut chance = Chance::new(9);
    let attempts = (0..ROUNDS).filter(|_| changed_tokens(&chance.mutate(&MADE.0))).count();
    println!("tokens: {attempts} changed, 0 believed");
    assert!(attempts > ROUNDS / 2);
}

/// A key set and a discovery document; how many of them these bytes are.
pub(crate) fn documents(bytes: &[u8]) -> usize {
    usize::from(KeySet::parse(bytes).is_ok()) + usize::from(discovery::parse(bytes, "https://a").is_ok())
}

#[test]
fn fuzz_key_sets_and_documents_are_read_or_refused() {
    let vectors = vectors();
    let mut samples: Vec<String> = vectors.into_iter().map(|(_, keys)| keys).collect();
    samples
        .push(json!({"issuer": "https://a", "jwks_uri": "https://a/k", "token_endpoint": "https://a/t"}).to_string());
    let mut chance = Chance::new(10);
    let read: usize = (0..ROUNDS).map(|_| documents(&chance.mutate(&samples))).sum();
    println!("key sets and documents: {read} of {ROUNDS} read");
    assert!(read > 0 && read < ROUNDS);
}

/// What an issuer says of somebody; how often it proves who that is.
pub(crate) fn claims(bytes: &[u8]) -> usize {
    let rules = ClaimRules {
        issuer: "https://a".to_owned(),
        client_id: "gov".to_owned(),
        audience: Some("gov-api".to_owned()),
        groups_claim: "/realm/roles".to_owned(),
        name_claim: None,
    };
    let Ok(found) = serde_json::from_slice::<Map<String, Value>>(bytes) else { return 0 };
    let mut proved = 0;
    for method in [Method::IdToken, Method::AccessToken] {
        if let Ok(who) = super::claims::identity(&rules, method, &found, NOW) {
            proved += 1;
            assert_eq!(who.identity.issuer, rules.issuer);
            assert!(!who.identity.subject.is_empty() && who.identity.subject.len() <= 255);
            assert!(who.expires_at.after(std::time::Duration::from_secs(60)) > NOW);
        }
    }
    proved
}

#[test]
fn fuzz_claims_prove_somebody_or_nobody() {
    let (iat, exp) = (NOW.seconds() - 10, NOW.seconds() + 600);
    let samples = [
        json!({"iss": "https://a", "aud": "gov", "sub": "u-1", "exp": exp, "iat": iat, "name": "Alice", "email": "a@b.c",
               "realm": {"roles": ["dba", "dev"]}}),
        json!({"iss": "https://a", "aud": ["gov", "x"], "azp": "gov", "sub": "u-2", "exp": exp, "iat": iat, "nbf": iat}),
        json!({"iss": "https://a", "aud": "gov-api", "client_id": "gov", "sub": "u-3", "exp": exp, "iat": iat, "jti": "1"}),
    ]
    .map(|claims| claims.to_string());
    let mut chance = Chance::new(11);
    let proved: usize = (0..ROUNDS).map(|_| claims(&chance.mutate(&samples))).sum();
    println!("claims: {proved} of {ROUNDS} proved somebody");
    assert!(proved > 0);
}

/// What people type from a terminal, and the thumbprint of a key.
pub(crate) fn codes(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(code) = UserCode::parse(text) {
        assert_eq!(UserCode::parse(&code.to_string()), Some(code));
    }
    if let Some(thumbprint) = Thumbprint::parse(text) {
        assert_eq!(thumbprint.as_str(), text);
    }
}

#[test]
fn fuzz_codes_and_thumbprints_have_one_form() {
    let mut chance = Chance::new(12);
    for _ in 0..ROUNDS {
        codes(&chance.mutate(&["BCDF-GHJK", "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"]));
    }
}
