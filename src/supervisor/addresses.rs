//! The addresses of a configuration: which there are, whether they could be bound, how they are told.

use super::sockets::Sockets;
use crate::address::ListenAddress;
use crate::config::model::Config;
use crate::log::diagnostic;

/// Tries to bind what `config` wants and is not among `bound`, the listeners of a server that runs;
/// why each address that cannot be bound cannot be.
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

/// Tells the operator of an address that is listened at from now on.
pub(super) fn announce(address: &ListenAddress) {
    match address {
        ListenAddress::Ip(address) => {
            diagnostic::info(format_args!("listening at http://{address}"));
        }
        ListenAddress::Unix(_) => diagnostic::info(format_args!("listening at {address}")),
    }
}
