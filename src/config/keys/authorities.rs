//! `ca` of a server that this one asks, and that is no upstream's: the collector of traces, the CA of ACME.

use std::path::PathBuf;

use crate::config::tree::named_connector::NamedConnector;
use crate::config::tree::node::Node;
use crate::config::tree::paths::readable_file;

/// The file of PEM that `node` names: the certificates by which a server is verified that belongs to no upstream. It
/// is reported if it cannot be read, or holds no certificate.
pub(super) fn authorities_file(node: Node<'_>) -> Option<PathBuf> {
    let (context, spot) = (node.cx, node.spot());
    let file = readable_file(&node.text()?)?;
    let named = NamedConnector::verified_by(file.clone(), spot);
    context.connectors.borrow_mut().push(named);
    Some(file)
}
