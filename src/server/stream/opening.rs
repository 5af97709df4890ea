//! What happens before octets are carried: finds out who the client is and whether it may connect, and
//! connects to a server.

use std::io;
use std::sync::Arc;

use super::{Connected, End, StreamConnection};
use crate::address::{ClientAddress, UpstreamAddress};
use crate::log::diagnostic;
use crate::proxy_protocol::{Origin, encode};
use crate::runtime;
use crate::runtime::descriptors::is_shortage;
use crate::server::proxy_header::{self, Announced};
use crate::transport::Transport;
use crate::upstream::{Chosen, Connection, Wanted};

impl StreamConnection {
    /// Connects the client to a server. Returns the connection to the server; the tunnel holds what is sent
    /// to the server first.
    ///
    /// # Errors
    /// Why the connection ends here.
    pub(super) async fn open(&mut self) -> Result<Transport, End> {
        let rest = if self.has_proxy_header {
            self.identify().await?
        } else {
            Vec::new()
        };
        if !self.stream.access.permits(self.client) {
            return Err(End::Denied);
        }
        self.place = self.stream.take_place();
        if self.place.is_none() {
            return Err(End::TooMany);
        }
        self.tell(|| {
            format!(
                "let in, for upstream {}",
                self.stream.upstream.options().name
            )
        });
        let terminator = self.stream.terminator.clone();
        let rest = match terminator {
            Some(terminator) => {
                self.secure(&terminator, rest).await?;
                Vec::new()
            }
            None => {
                self.tunnel.add_received(rest.len());
                rest
            }
        };
        let header = self.stream.proxy_protocol;
        let addresses = self.addresses.take().map(|addresses| *addresses);
        let header = header.map(|version| encode(version, addresses));
        let mut header = header.unwrap_or_default();
        let connection = self.connect(&header).await?;
        if self.server.as_ref().is_some_and(Connected::is_secure) {
            // The header was sent before the handshake.
            header = Vec::new();
        }
        self.tunnel.send_first_to_upstream([header, rest].concat());
        Ok(connection.into_transport())
    }

    /// Learns from a trusted proxy who the client is. Returns what the client has sent behind that.
    async fn identify(&mut self) -> Result<Vec<u8>, End> {
        let generation = self.worker.current_generation();
        let timeout = generation.limits_at(&self.endpoint.address).head_timeout;
        let (transport, worker) = (&self.transport, &self.worker);
        let proxies = &generation.proxies;
        let announced =
            proxy_header::receive(transport, self.client, proxies, worker, timeout).await;
        let Announced { origin, rest } = announced.map_err(|error| {
            error.tell(&self.endpoint.bound, self.client);
            End::NoHeader(error)
        })?;
        let proxy = self.client;
        match origin {
            Origin::Proxy => {
                self.tell(|| "its PROXY header says that it speaks for itself".to_owned())
            }
            Origin::Client {
                source,
                destination,
            } => {
                self.client = source.ip().into();
                self.client_port = Some(source.port());
                self.addresses = Some(Box::new((source, destination)));
                self.tell(|| {
                    format!(
                        "the PROXY header of {proxy} says that it has connected to {destination}"
                    )
                });
            }
            Origin::Unix => {
                self.client = ClientAddress::Unknown;
                self.client_port = None;
                self.addresses = None;
                self.tell(|| {
                    format!("the PROXY header of {proxy} says that it came by a Unix socket")
                });
            }
        }
        Ok(rest)
    }

    /// Connects to a server. If TLS is spoken to the server, `header` is sent before the handshake.
    /// Where this fails, nothing that the client sent has gone to the server, so that another one
    /// may be tried.
    async fn connect(&mut self, header: &[u8]) -> Result<Connection, End> {
        let group = &self.stream.upstream;
        let options = group.options();
        let mut begun = runtime::now();
        let (mut tried, mut failed) = (Vec::new(), None);
        loop {
            let wanted = Wanted {
                client: self.client,
                head: None,
            };
            let chosen = match group.choose(wanted, &tried).await {
                Ok(chosen) => chosen,
                Err(why) => return Err(failed.unwrap_or(End::NoServer(why))),
            };
            if tried.is_empty() {
                // The connection may have waited for a server, and the client may have left meanwhile.
                begun = runtime::now();
                if self.transport.is_broken() {
                    return Err(End::ClientGone);
                }
            }
            self.tries += 1;
            self.asked = Some(Arc::clone(chosen.server()));
            self.tell_of_server(&chosen, || format!("is asked, try {}", self.tries));
            let error = match self.connect_to(&chosen, header).await {
                Ok(connection) => {
                    chosen.succeeded();
                    let after = runtime::now().duration_since(begun);
                    self.tell_of_server(&chosen, || {
                        format!("takes the connection after {after:.1?}")
                    });
                    self.server = Some(Connected { chosen, after });
                    return Ok(connection);
                }
                Err(error) => error,
            };
            self.tell_not_connected(chosen.server().address(), &error);
            self.tell_of_server(&chosen, || format!("takes no connection: {error}"));
            if is_shortage(&error) {
                // This process has no descriptor or memory left: it could not reach another server either.
                return Err(End::NotConnected);
            }
            chosen.failed();
            let end = match error.kind() {
                io::ErrorKind::TimedOut => End::ConnectTimedOut,
                _ => End::NotConnected,
            };
            tried.push(chosen.server().id());
            let is_last = tried.len() >= options.retry.tries as usize;
            if is_last || runtime::now() >= begun + options.retry.within {
                return Err(end);
            }
            failed = Some(end);
        }
    }

    /// Connects to one server.
    async fn connect_to(&self, chosen: &Chosen, header: &[u8]) -> io::Result<Connection> {
        let timeout = self.stream.upstream.options().timeouts.connect;
        Connection::open_to(chosen.server(), header.to_vec(), timeout).await
    }

    fn tell_not_connected(&self, server: &UpstreamAddress, error: &io::Error) {
        let (listener, upstream) = (&self.endpoint.bound, &self.stream.upstream.options().name);
        let subject = format!("stream at {listener}: upstream {upstream}: {server}");
        diagnostic::warn_limited(&subject, format_args!("{subject}: no connection: {error}"));
    }
}
