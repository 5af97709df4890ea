//! The addresses that a configuration listens at: lists them, tries them, names them to the operator.

use super::sockets::Sockets;
use crate::address::ListenAddress;
use crate::config::model::Config;
use crate::log::diagnostic;

/// Tries to bind each address of `config` that is not in `bound`, which are the listeners of the
/// server that runs. Returns an error message for each address that cannot be bound.
pub(crate) fn try_addresses(config: &Config, bound: &[String]) -> Vec<String> {
    let untried = addresses(config)
        .into_iter()
        .filter(|address| !bound.contains(&address.to_string()));
    let tried = untried.map(|address| Sockets::default().extended(&[address], 1));
    tried
        .filter_map(Result::err)
        .map(|error| error.to_string())
        .collect()
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

/// Tells the operator that the server listens at `address`.
pub(super) fn announce(address: &ListenAddress) {
    match address {
        ListenAddress::Ip(address) => {
            diagnostic::info(format_args!("listening at http://{address}"));
        }
        ListenAddress::Unix(_) => diagnostic::info(format_args!("listening at {address}")),
    }
}
