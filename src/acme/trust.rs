//! Whom we believe that a server is the CA's: the same as for servers of upstreams.

use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;

use crate::address::Scheme;
use crate::config::model::UpstreamTls;
use crate::tls::{Connector, Material};

/// What connections to the CA go on with. `ca` is a file of those who may have issued the certificate of
/// its server; without it, those count whom the system trusts. Reads files.
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
