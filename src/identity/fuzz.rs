//! Tokens, key sets, proofs and claims, changed by chance: nothing panics, and nothing that was changed is believed.

use serde_json::{Map, Value, json};

use super::claims::{self, ClaimRules};
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

#[test]
fn fuzz_no_changed_token_is_believed() {
    let ours = key(1);
    let own = ours.token("at+jwt", &json!({"iss": "https://s", "aud": "https://s", "sub": "a"})).unwrap();
    let proof = ours.self_described_token("dpop+jwt", &json!({"jti": "1", "htm": "GET", "htu": "https://s/"})).unwrap();
    let vectors = vectors();
    let tokens: Vec<&str> =
        vectors.iter().map(|(token, _)| token.as_str()).chain([own.as_str(), proof.as_str()]).collect();
    let sets: Vec<KeySet> =
        vectors.iter().map(|(_, keys)| KeySet::parse(keys.as_bytes()).unwrap()).chain([KeySet::of(&[&ours])]).collect();
    let mut chance = Chance::new(9);
    let (mut attempts, mut believed) = (0, 0);
    for _ in 0..ROUNDS {
        let Ok(text) = String::from_utf8(chance.mutate(&tokens)) else { continue };
        let changed = !tokens.contains(&text.as_str());
        attempts += usize::from(changed);
        let keys = chance.pick(&sets);
        let mut found = [ID_TOKEN, ACCESS_TOKEN, DPOP_PROOF]
            .map(|types| keys.verify::<Value>(&text, types).is_ok())
            .contains(&true);
        found |= verify_self_described::<Value>(&text, DPOP_PROOF).is_ok();
        found |= AccessToken::verify(&text, "https://s", keys, NOW).is_ok();
        let request = dpop::Request { method: "GET", url: "https://s/", token: None };
        found |= dpop::check(&text, request, NOW).is_ok();
        believed += usize::from(changed && found);
    }
    println!("tokens: {attempts} changed, {believed} believed");
    assert_eq!(believed, 0);
    assert!(attempts > ROUNDS / 2);
}

#[test]
fn fuzz_key_sets_and_documents_are_read_or_refused() {
    let vectors = vectors();
    let mut samples: Vec<String> = vectors.into_iter().map(|(_, keys)| keys).collect();
    samples
        .push(json!({"issuer": "https://a", "jwks_uri": "https://a/k", "token_endpoint": "https://a/t"}).to_string());
    let mut chance = Chance::new(10);
    let mut read = 0;
    for _ in 0..ROUNDS {
        let bytes = chance.mutate(&samples);
        read += usize::from(KeySet::parse(&bytes).is_ok());
        read += usize::from(discovery::parse(&bytes, "https://a").is_ok());
    }
    println!("key sets and documents: {read} of {ROUNDS} read");
    assert!(read > 0 && read < ROUNDS);
}

#[test]
fn fuzz_claims_prove_somebody_or_nobody() {
    let rules = ClaimRules {
        issuer: "https://a".to_owned(),
        client_id: "gov".to_owned(),
        audience: Some("gov-api".to_owned()),
        groups_claim: "/realm/roles".to_owned(),
        name_claim: None,
    };
    let (iat, exp) = (NOW.seconds() - 10, NOW.seconds() + 600);
    let samples = [
        json!({"iss": "https://a", "aud": "gov", "sub": "u-1", "exp": exp, "iat": iat, "name": "Alice", "email": "a@b.c",
               "realm": {"roles": ["dba", "dev"]}}),
        json!({"iss": "https://a", "aud": ["gov", "x"], "azp": "gov", "sub": "u-2", "exp": exp, "iat": iat, "nbf": iat}),
        json!({"iss": "https://a", "aud": "gov-api", "client_id": "gov", "sub": "u-3", "exp": exp, "iat": iat, "jti": "1"}),
    ]
    .map(|claims| claims.to_string());
    let mut chance = Chance::new(11);
    let mut proved = 0;
    for _ in 0..ROUNDS {
        let Ok(found) = serde_json::from_slice::<Map<String, Value>>(&chance.mutate(&samples)) else { continue };
        for method in [Method::IdToken, Method::AccessToken] {
            if let Ok(who) = claims::identity(&rules, method, &found, NOW) {
                proved += 1;
                assert_eq!(who.identity.issuer, rules.issuer);
                assert!(!who.identity.subject.is_empty() && who.identity.subject.len() <= 255);
                assert!(who.expires_at.after(std::time::Duration::from_secs(60)) > NOW);
            }
        }
    }
    println!("claims: {proved} of {ROUNDS} proved somebody");
    assert!(proved > 0);
}

#[test]
fn fuzz_codes_and_thumbprints_have_one_form() {
    let mut chance = Chance::new(12);
    for _ in 0..ROUNDS {
        let Ok(text) = String::from_utf8(chance.mutate(&["BCDF-GHJK", "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"]))
        else {
            continue;
        };
        if let Some(code) = UserCode::parse(&text) {
            assert_eq!(UserCode::parse(&code.to_string()), Some(code));
        }
        if let Some(thumbprint) = Thumbprint::parse(&text) {
            assert_eq!(thumbprint.as_str(), text);
        }
    }
}
