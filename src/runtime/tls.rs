//! The one TLS configuration: rustls with ring. 1.3 between our own ends; 1.2 and later towards databases.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use rustls_platform_verifier::{BuilderVerifierExt, Verifier};

use crate::domain::{Failure, Kind, Secret};

const OURS: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];
const WEB: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];
const DATABASES: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

/// A certificate chain and its key, as PEM texts.
#[derive(Clone, Debug)]
pub(crate) struct CertifiedPem {
    pub(crate) chain: String,
    pub(crate) key: Secret<String>,
}

/// Whom a client believes.
#[derive(Clone, Debug)]
pub(crate) enum Trust {
    /// What the operating system believes.
    System,
    /// What the operating system believes, and certificates issued under these, as PEM.
    SystemAnd(String),
    /// Only certificates issued under these, as PEM.
    Only(String),
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn broken(what: &str, error: impl std::fmt::Display) -> Failure {
    Failure::new(Kind::Usage, format!("{what} cannot be used")).cause(error)
}

/// How the server presents itself. `protocols` are ALPN names.
pub(crate) fn server(identity: &CertifiedPem, protocols: &[&str]) -> Result<Arc<ServerConfig>, Failure> {
    let chain = CertificateDer::pem_slice_iter(identity.chain.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| broken("the TLS certificate", error))?;
    let key = PrivateKeyDer::from_pem_slice(identity.key.expose().as_bytes())
        .map_err(|error| broken("the TLS key", error))?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(OURS)
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| broken("the TLS certificate", error))?;
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok(Arc::new(config))
}

/// The certificate itself, first of its chain.
pub(crate) fn leaf(identity: &CertifiedPem) -> Result<CertificateDer<'static>, Failure> {
    CertificateDer::from_pem_slice(identity.chain.as_bytes()).map_err(|error| broken("the TLS certificate", error))
}

/// How a client of ours talks to our server.
pub(crate) fn client(trust: &Trust, protocols: &[&str]) -> Result<Arc<ClientConfig>, Failure> {
    client_config(OURS, trust, protocols).map(Arc::new)
}

/// How the gateway talks to a database.
pub(crate) fn database_client(trust: &Trust) -> Result<Arc<ClientConfig>, Failure> {
    client_config(DATABASES, trust, &["postgresql"]).map(Arc::new)
}

/// How we talk to HTTPS servers of others.
pub(crate) fn foreign_client(trust: &Trust) -> Result<Arc<ClientConfig>, Failure> {
    client_config(WEB, trust, &["http/1.1"]).map(Arc::new)
}

fn client_config(
    versions: &[&'static SupportedProtocolVersion],
    trust: &Trust,
    protocols: &[&str],
) -> Result<ClientConfig, Failure> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .map_err(|error| broken("TLS", error))?;
    let mut config = match trust {
        Trust::System => builder
            .with_platform_verifier()
            .map_err(|error| broken("the operating system's certificate store", error))?
            .with_no_client_auth(),
        Trust::SystemAnd(pem) => {
            let verifier = Verifier::new_with_extra_roots(authorities(pem)?, provider())
                .map_err(|error| broken("the CA certificate", error))?;
            // Despite its name this verifier is the platform's own; the name warns those who bring none.
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth()
        }
        Trust::Only(pem) => {
            let mut roots = RootCertStore::empty();
            for certificate in authorities(pem)? {
                roots.add(certificate).map_err(|error| broken("the CA certificate", error))?;
            }
            builder.with_root_certificates(roots).with_no_client_auth()
        }
    };
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok(config)
}

/// The certificates in a PEM text; at least one.
fn authorities(pem: &str) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let certificates = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| broken("the CA certificate", error))?;
    if certificates.is_empty() {
        Err(broken("the CA certificate", "it holds no certificate"))
    } else {
        Ok(certificates)
    }
}

/// The name a certificate must carry.
pub(crate) fn server_name(host: &str) -> Result<rustls::pki_types::ServerName<'static>, Failure> {
    rustls::pki_types::ServerName::try_from(host.to_owned())
        .map_err(|_| Failure::new(Kind::Usage, format!("`{host}` is not a host name")))
}

/// A certificate authority of this machine's own and a certificate it issued for loopback, both for `valid` days.
///
/// Used by `gov server --dev` and, on request, by the local endpoint. ECDSA P-256 with SHA-256, because a certificate
/// without a hash in its signature (Ed25519) cannot be bound to a SCRAM login (RFC 5929 section 4.1).
pub(crate) fn loopback_certificate() -> Result<(String, CertifiedPem), Failure> {
    let make = || -> Result<_, rcgen::Error> {
        let mut authority = rcgen::CertificateParams::new(Vec::new())?;
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
        authority.distinguished_name.push(rcgen::DnType::CommonName, "gov on this machine");
        authority.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::CrlSign];
        let authority_key = rcgen::KeyPair::generate()?;
        let authority_certificate = authority.self_signed(&authority_key)?;
        let issuer = rcgen::Issuer::new(authority, authority_key);

        let mut leaf = rcgen::CertificateParams::new(vec!["localhost".to_owned()])?;
        leaf.subject_alt_names.extend([
            rcgen::SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            rcgen::SanType::IpAddress(IpAddr::V6(Ipv6Addr::LOCALHOST)),
        ]);
        leaf.distinguished_name.push(rcgen::DnType::CommonName, "localhost");
        leaf.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        leaf.use_authority_key_identifier_extension = true;
        let leaf_key = rcgen::KeyPair::generate()?;
        let leaf_certificate = leaf.signed_by(&leaf_key, &issuer)?;
        let identity = CertifiedPem { chain: leaf_certificate.pem(), key: Secret::new(leaf_key.serialize_pem()) };
        Ok((authority_certificate.pem(), identity))
    };
    make().map_err(|error| Failure::new(Kind::Internal, "no certificate could be made").cause(error))
}

/// Bytes both ends of a TLS 1.3 connection can compute and nobody else (RFC 8446 section 7.5), to bind a proof to
/// this one connection.
pub(crate) fn exporter<D>(connection: &rustls::ConnectionCommon<D>) -> io::Result<[u8; 32]> {
    connection
        .export_keying_material([0u8; 32], crate::wire::tunnel::EXPORTER_LABEL, None)
        .map_err(|error| io::Error::other(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_certificate_is_believed_under_its_own_authority_only() {
        let (authority, identity) = loopback_certificate().unwrap();
        assert!(server(&identity, &["http/1.1"]).is_ok());
        assert!(client(&Trust::SystemAnd(authority.clone()), &[]).is_ok());
        assert!(client(&Trust::SystemAnd("no certificate".to_owned()), &[]).is_err());
        assert!(client(&Trust::Only(authority), &[]).is_ok());
        assert!(client(&Trust::Only("no certificate".to_owned()), &[]).is_err());
    }
}
