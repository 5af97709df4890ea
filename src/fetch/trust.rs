//! How a server is verified that is asked over TLS: as servers of upstreams are.

use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;

use crate::address::Scheme;
use crate::config::model::UpstreamTls;
use crate::tls::{Connector, Material};

/// The configuration of TLS for connections to a server. `ca` is a file with the certificates of the CAs
/// that may have issued its certificate; without it, the roots of the system hold. Reads files.
///
/// # Errors
/// Why there are no roots to verify the server by.
pub(crate) fn client_config(ca: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let settings = UpstreamTls {
        authorities: ca.map(Path::to_owned),
        ..UpstreamTls::default()
    };
    let connector =
        Material::read(&settings).and_then(|material| Connector::new(&settings, &material));
    let connector = connector.map_err(|fault| fault.message)?;
    Ok(Arc::clone(connector.config(Scheme::Https)))
}
