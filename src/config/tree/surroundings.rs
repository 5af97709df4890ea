//! What a configuration may refer to outside its files: variables, handlers, and names of hosts.

use std::net::{SocketAddr, ToSocketAddrs as _};

use crate::api::Handlers;
use crate::config::words::variables::Environment;

/// What a configuration may refer to outside its files.
#[derive(Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    pub(crate) environment: Environment<'a>,
    /// Only their names are looked at.
    pub(crate) handlers: &'a Handlers,
    /// The addresses that a name leads to, with the port; none if it is not found. It may wait.
    pub(crate) look_up: &'a dyn Fn(&str, u16) -> Vec<SocketAddr>,
}

impl<'a> Surroundings<'a> {
    /// The environment of this process, and these handlers.
    pub(crate) fn of_process(handlers: &'a Handlers) -> Self {
        Self {
            environment: &|name| std::env::var(name),
            handlers,
            look_up: &|name, port| {
                let found = (name, port).to_socket_addrs();
                found.map(Iterator::collect).unwrap_or_default()
            },
        }
    }
}
