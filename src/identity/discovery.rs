//! What an identity provider says about itself (OpenID Connect Discovery 1.0 section 3).

use serde::Deserialize;
use thiserror::Error;

/// Where a provider's endpoints are. Only what is used here.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Discovery {
    issuer: String,
    pub(crate) jwks_uri: String,
    /// Absent where nobody can ask for tokens: GitHub and Kubernetes give them to their own jobs only.
    pub(crate) token_endpoint: Option<String>,
    /// Absent where the provider has no device flow (RFC 8628 section 4).
    pub(crate) device_authorization_endpoint: Option<String>,
    /// Absent where tokens cannot be revoked (RFC 7009).
    pub(crate) revocation_endpoint: Option<String>,
}

/// Why a discovery document is not believed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum DiscoveryError {
    #[error("it is not a discovery document")]
    Malformed,
    /// Must be equal, character by character: otherwise one provider could speak for another (section 4.3).
    #[error("it is about the issuer `{0}`")]
    OtherIssuer(String),
}

/// Where the document of an issuer is.
pub(crate) fn location(issuer: &str) -> String {
    format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))
}

/// Reads the document that was found at the [`location`] of `issuer`.
pub(crate) fn parse(json: &[u8], issuer: &str) -> Result<Discovery, DiscoveryError> {
    let found: Discovery = serde_json::from_slice(json).map_err(|_| DiscoveryError::Malformed)?;
    if found.issuer == issuer {
        Ok(found)
    } else {
        Err(DiscoveryError::OtherIssuer(found.issuer.chars().filter(|c| !c.is_control()).take(200).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_speaks_for_its_own_issuer_only() {
        let text = br#"{"issuer": "https://a", "jwks_uri": "https://a/k", "token_endpoint": "https://a/t", "more": 1}"#;
        let found = parse(text, "https://a").unwrap();
        let jobs = br#"{"issuer": "https://a", "jwks_uri": "https://a/k", "claims_supported": ["sub"]}"#;
        assert_eq!(parse(jobs, "https://a").unwrap().token_endpoint, None);
        assert_eq!((found.jwks_uri.as_str(), found.device_authorization_endpoint), ("https://a/k", None));
        assert_eq!(parse(text, "https://a/"), Err(DiscoveryError::OtherIssuer("https://a".to_owned())));
        assert_eq!(parse(b"{}", "https://a"), Err(DiscoveryError::Malformed));
        assert_eq!(parse(b"<html>", "https://a"), Err(DiscoveryError::Malformed));
    }

    #[test]
    fn locations() {
        assert_eq!(location("https://a"), "https://a/.well-known/openid-configuration");
        assert_eq!(location("https://a/realms/x/"), "https://a/realms/x/.well-known/openid-configuration");
    }
}
