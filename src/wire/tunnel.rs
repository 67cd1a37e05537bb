//! The tunnel between client and gateway: one TLS 1.3 connection per database connection, opened by an HTTP/1.1
//! Upgrade on the server's one port, carrying PostgreSQL's protocol unframed from then on.

/// Label of the exported keying material that a stream's proof signs.
pub(crate) const EXPORTER_LABEL: &[u8] = b"EXPORTER-gov-tunnel-1";
