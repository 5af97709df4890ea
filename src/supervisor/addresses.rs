//! The addresses that a configuration listens at: lists them, tries them, names them to the operator.

use std::path::Path;

use super::sockets::Sockets;
use super::unix::Accesses;
use crate::address::{ListenAddress, UNIX};
use crate::config::model::{Config, Server};
use crate::log::{access, diagnostic};

/// Looks whether the server could listen at each address of `config` that is not in `bound`, which
/// are the listeners of the server that runs. Changes nothing. Returns an error message for each
/// address at which it could not.
pub(crate) fn try_addresses(config: &Config, bound: &[String]) -> Vec<String> {
    let addresses = addresses(config);
    let ours: Vec<_> = bound.iter().filter_map(|text| parse_bound(text)).collect();
    let refused = Sockets::try_addresses(&addresses, &ours);
    refused.iter().map(ToString::to_string).collect()
}

/// Looks whether the server could open the access log of `config`. Changes nothing. Returns an error
/// message if it could not.
pub(crate) fn try_log(config: &Config) -> Option<String> {
    let outcome = access::check(&config.log.access);
    outcome.err().map(|error| error.to_string())
}

/// Reads an address as a running server tells it.
fn parse_bound(text: &str) -> Option<ListenAddress> {
    match text.strip_prefix(UNIX) {
        Some(path) => Some(ListenAddress::Unix(path.into())),
        None => text.parse().ok().map(ListenAddress::Ip),
    }
}

/// Every address of a configuration, once.
pub(super) fn addresses(config: &Config) -> Vec<ListenAddress> {
    let mut addresses: Vec<ListenAddress> = config
        .servers
        .iter()
        .flat_map(|server| &server.listen)
        .cloned()
        .collect();
    addresses.sort();
    addresses.dedup();
    addresses
}

/// Who may use the Unix sockets of a configuration.
pub(super) fn accesses(config: &Config) -> Accesses {
    let of_server = |server: &Server| {
        let paths = server.listen.iter().filter_map(ListenAddress::unix);
        let access = |path: &Path| (path.to_owned(), server.socket.clone());
        paths.map(access).collect::<Vec<_>>()
    };
    config.servers.iter().flat_map(of_server).collect()
}

/// Tells the operator that the server listens at `address`.
pub(super) fn announce(address: &ListenAddress) {
    diagnostic::info(format_args!("listening at {}", shown(address)));
}

/// Tells the operator that the server listens at `address` no longer.
pub(super) fn announce_end(address: &ListenAddress) {
    diagnostic::info(format_args!(
        "no more connections are taken at {}",
        shown(address)
    ));
}

fn shown(address: &ListenAddress) -> String {
    match address {
        ListenAddress::Ip(address) => format!("http://{address}"),
        ListenAddress::Unix(_) => address.to_string(),
    }
}
