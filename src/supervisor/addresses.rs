//! The addresses that a configuration listens at: lists them, tries them, names them to the operator.

use std::collections::HashMap;

use super::inherited::Inherited;
use super::listening::Service;
use super::sockets::{ListenError, Sockets};
use super::unix::Accesses;
use crate::address::{ListenAddress, UNIX};
use crate::config::model::{Config, SocketAccess};
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

/// Returns the sockets of a process that begins: those that were `inherited`, and new ones. They take connections,
/// but for the new ones of a successor, which the process before stands in for until it serves.
///
/// # Errors
/// The first address that cannot be listened at.
pub(super) fn open(
    inherited: Inherited,
    config: &Config,
    is_successor: bool,
) -> Result<Sockets, ListenError> {
    let adopted = Sockets::adopt(inherited, &addresses(config))?;
    let mut sockets = bind(&adopted, config)?;
    if !is_successor {
        listen(&mut sockets, config)?;
    }
    Ok(sockets)
}

/// Returns the sockets of `config`: those of `before` that it still wants, and new ones, bound, which
/// take no connections until they [`listen`].
///
/// # Errors
/// The first address that cannot be listened at.
pub(super) fn bind(before: &Sockets, config: &Config) -> Result<Sockets, ListenError> {
    let workers = config.workers.get();
    before.extended(&addresses(config), &accesses(config), workers)
}

/// Has `sockets` take connections, and be as `config` says. The workers should be about to accept.
///
/// # Errors
/// The first address that cannot be listened at.
pub(super) fn listen(sockets: &mut Sockets, config: &Config) -> Result<(), ListenError> {
    // First what the system refuses most often: a socket that has begun to take connections and is closed again
    // resets those that it has.
    sockets.look()?;
    sockets.set_access(&accesses(config))?;
    sockets.set_services(&services(config))?;
    sockets.listen()
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
    let servers = config.servers.iter().flat_map(|server| &server.listen);
    let mut addresses: Vec<ListenAddress> = servers.chain(streamed(config)).cloned().collect();
    addresses.sort();
    addresses.dedup();
    addresses
}

/// The addresses of a configuration's streams.
fn streamed(config: &Config) -> impl Iterator<Item = &ListenAddress> {
    config.streams.iter().flat_map(|stream| &stream.listen)
}

/// What connections at each address are, where they do not begin with a request.
fn services(config: &Config) -> HashMap<ListenAddress, Service> {
    let over_tls = config.servers.iter().filter(|server| server.tls.is_some());
    let over_tls = over_tls.flat_map(|server| &server.listen);
    let over_tls = over_tls.map(|address| (address.clone(), Service::Https));
    let streams = streamed(config).map(|address| (address.clone(), Service::Stream));
    over_tls.chain(streams).collect()
}

/// Who may use the Unix sockets of a configuration.
fn accesses(config: &Config) -> Accesses {
    let servers = config.servers.iter();
    let servers = servers.map(|server| (&server.listen, &server.socket));
    let streams = config.streams.iter();
    let streams = streams.map(|stream| (&stream.listen, &stream.socket));
    let of_each = |(listen, access): (&Vec<ListenAddress>, &SocketAccess)| {
        let sockets = listen.iter().filter(|address| address.unix().is_some());
        let access = |address: &ListenAddress| (address.clone(), access.clone());
        sockets.map(access).collect::<Vec<_>>()
    };
    servers.chain(streams).flat_map(of_each).collect()
}

/// Tells the operator that the server listens at `address`.
pub(super) fn announce(address: &ListenAddress, service: Service) {
    diagnostic::info(format_args!("listening at {}", shown(address, service)));
}

/// Tells the operator that the server listens at `address` no longer.
pub(super) fn announce_end(address: &ListenAddress, service: Service) {
    diagnostic::info(format_args!(
        "no more connections are taken at {}",
        shown(address, service)
    ));
}

fn shown(address: &ListenAddress, service: Service) -> String {
    match (service, address) {
        (Service::Stream, _) => format!("{address}, for a stream"),
        (Service::Http, ListenAddress::Ip(address)) => format!("http://{address}"),
        (Service::Https, ListenAddress::Ip(address)) => format!("https://{address}"),
        (Service::Http, ListenAddress::Unix(_)) => address.to_string(),
        (Service::Https, ListenAddress::Unix(_)) => format!("{address}, for TLS"),
    }
}
