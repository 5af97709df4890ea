//! How the CA's own server is verified: as servers of upstreams are.

use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;

use crate::address::Scheme;
use crate::config::model::UpstreamTls;
use crate::tls::{Connector, Material};

/// The configuration of TLS for connections to the CA. `ca` is a file with the certificates of the CAs
/// that may have issued the certificate of its server; without it, the roots of the system hold. Reads files.
///
/// # Errors
/// Why there are no roots to verify the CA's server by.
pub(super) fn client_config(ca: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let settings = UpstreamTls {
        authorities: ca.map(Path::to_owned),
        ..UpstreamTls::default()
    };
    let connector =
        Material::read(&settings).and_then(|material| Connector::new(&settings, &material));
    let connector = connector.map_err(|fault| fault.message)?;
    Ok(Arc::clone(connector.config(Scheme::Https)))
}
