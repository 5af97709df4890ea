//! What handshakes with clients and with upstreams have in common: cryptography and versions of TLS.

use std::sync::Arc;

use rustls::SupportedProtocolVersion;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::version::{TLS12, TLS13};

use crate::config::model::TlsVersions;

/// The library that rustls encrypts, signs and verifies with.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// The versions that `allowed` has, as rustls names them. Checking the configuration has left one at least.
pub(super) fn protocol_versions(allowed: TlsVersions) -> Vec<&'static SupportedProtocolVersion> {
    let tls13 = allowed.tls13.then_some(&TLS13);
    let tls12 = allowed.tls12.then_some(&TLS12);
    tls13.into_iter().chain(tls12).collect()
}
