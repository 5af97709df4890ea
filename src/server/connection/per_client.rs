//! One connection too many of a client: `connections_per_client`.
//!
//! A client is counted where its address is known: when the connection is accepted, or behind the header of
//! the PROXY protocol. A trusted proxy is not counted, because its connections are those of many clients, and
//! of whom a request is, is known only then. Nor is a peer at a Unix socket, which is a proxy of this machine.
//!
//! The answer is 429, because the client is at fault, and not the server, which takes connections of others.
//! Over TLS there is none: the handshake that it would need is what costs most.

use super::Connection;
use crate::address::ClientAddress;
use crate::generation::Generation;
use crate::http::response::FieldLines;
use crate::log::limited;
use crate::reason::Reason;
use crate::runtime;
use crate::server::exchange::client::is_trusted_proxy;
use crate::throttle::key::Client;
use crate::transport::Transport;

impl Connection {
    /// Takes a place for this connection among those of its client, where they are counted. Returns `false`
    /// if the client has as many as it may.
    #[cold]
    pub(in crate::server) fn take_place_of_client(&mut self, generation: &Generation) -> bool {
        let limits = generation.limits_at(&self.endpoint.address);
        let Some(max) = limits
            .connections_per_client
            .filter(|_| self.endpoint.is_recorded)
        else {
            return true;
        };
        let is_client = matches!(self.client, ClientAddress::Ip(_));
        if !is_client || is_trusted_proxy(&generation.proxies, self.client) {
            return true;
        }
        let clients = &self.worker.process.clients;
        self.place = clients.take(Client::of(self.client), max).map(Box::new);
        if self.place.is_some() {
            return true;
        }
        self.worker.counters.too_many_of_client.add(1);
        let (client, address) = (self.client, &self.endpoint.bound);
        limited::info(format_args!(
            "{address}: {client} has connections_per_client = {max} open, and one more is refused"
        ));
        false
    }

    /// Answers that the client has as many connections as it may, and ends the connection. It counts as open
    /// no longer: those that linger must not keep others out.
    #[cold]
    pub(in crate::server) fn turn_away_of_client(mut self) {
        self.send_too_many();
        if let Transport::Tls(_) = self.stream {
            return;
        }
        self.stop_counting();
        // The request may come only now.
        runtime::spawn(async move { self.linger().await });
    }

    /// Answers 429, unless the client could not read it before a handshake.
    pub(super) fn send_too_many(&self) {
        let fields = FieldLines::new().with("Retry-After", "1");
        self.send_unasked(Reason::TooManyOfClient, fields);
    }
}
