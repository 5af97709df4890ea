//! A connection that is passed on to an upstream as it is.
//!
//! ```text
//!   accept → who is it? → may it? → TLS? → connect to a server → tunnel → record
//!              │            │         │       └ another server, if it takes no connection
//!              └────────────┴─────────┴─ closed, with a record that says why
//! ```
//!
//! The client is connected to a server at once, because in some protocols the server speaks first. A reload
//! changes nothing for a connection that was open before.

mod end;
mod opening;
mod secure;
mod story;

use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::worker::Worker;
use super::worker::endpoint::Endpoint;
use crate::address::ClientAddress;
use crate::config::model::LogField;
use crate::generation;
use crate::log::diagnostic;
use crate::log::stream_record::StreamRecord;
use crate::runtime::{self, Permit};
use crate::transfer::tunnel::{Sides, Tunnel};
use crate::transport::Transport;
use crate::upstream::{Chosen, Server};

use end::End;

/// A connection of a stream. Dropping it closes and records it.
pub(super) struct StreamConnection {
    transport: Transport,
    worker: Rc<Worker>,
    /// Where it came in.
    endpoint: Rc<Endpoint>,
    stream: Arc<generation::Stream>,
    /// Whether a trusted proxy has to say who the client is.
    has_proxy_header: bool,
    client: ClientAddress,
    /// The client's port; `None` for a client without an address.
    client_port: Option<u16>,
    /// The address and port of the client, and those that it connected to; `None` for a client without, and
    /// once they have been used.
    addresses: Option<Box<(SocketAddr, SocketAddr)>>,
    started: Instant,
    /// Its place among the connections of the stream.
    place: Option<Permit>,
    /// The connection to the server. It stands before `server`, so that it is closed before the place there is
    /// given to another.
    upstream: Option<Transport>,
    /// The server that it is passed on to, once that has taken a connection.
    server: Option<Connected>,
    /// The server that was asked last for a connection, and how many were asked.
    asked: Option<Arc<Server>>,
    tries: u32,
    tunnel: Tunnel,
    end: End,
}

/// The server that has taken a connection.
struct Connected {
    chosen: Chosen,
    /// How long that took, with the servers that were tried before.
    after: Duration,
}

impl Connected {
    /// Whether TLS is spoken to it.
    fn is_secure(&self) -> bool {
        self.chosen.server().is_secure()
    }
}

impl StreamConnection {
    /// A connection that `peer` made to `endpoint`; the worker has admitted it.
    pub(super) fn new(
        transport: Transport,
        peer: Option<SocketAddr>,
        endpoint: Rc<Endpoint>,
        worker: Rc<Worker>,
        stream: Arc<generation::Stream>,
        has_proxy_header: bool,
    ) -> Self {
        worker.counters.streams.open.add(1);
        worker.counters.streams.accepted.add(1);
        let addresses = peer.zip(transport.server_address());
        let tunnel = Tunnel::new(stream.idle_timeout, stream.max_rate_out);
        Self {
            transport,
            worker,
            endpoint,
            stream,
            has_proxy_header,
            client: ClientAddress::of_peer(peer),
            client_port: peer.map(|peer| peer.port()),
            addresses: addresses.map(Box::new),
            started: runtime::now(),
            place: None,
            server: None,
            upstream: None,
            asked: None,
            tries: 0,
            tunnel,
            end: End::CutBefore,
        }
    }

    /// Lives the connection's life. A panic anywhere in it ends this connection, and no other.
    #[expect(
        clippy::manual_async_fn,
        reason = "an async fn keeps room for an argument twice: more than a quarter of an idle tunnel"
    )]
    pub(super) fn serve(mut self) -> impl Future<Output = ()> {
        async move {
            if runtime::catch_panics(pin!(self.live())).await.is_err() {
                diagnostic::error(format_args!(
                    "a connection of a stream panicked and was closed"
                ));
            }
        }
    }

    /// Closes a connection that is one too many.
    pub(super) fn turn_away(mut self) {
        self.refuse(End::TooMany);
    }

    async fn live(&mut self) {
        // Boxed, so that a tunnel does not keep the room for what came before it.
        let upstream = match Box::pin(self.open()).await {
            Ok(upstream) => self.upstream.insert(upstream),
            Err(end) => return self.refuse(end),
        };
        self.end = End::Cut;
        let sides = Sides {
            client: &self.transport,
            upstream,
            input: &self.worker.input,
        };
        self.end = End::Carried(self.tunnel.run(sides).await);
    }

    /// Has the client see an error, as where no server listens.
    fn refuse(&mut self, end: End) {
        self.end = end;
        self.transport.reset_on_close();
    }

    /// Has neither side take a cut for an end: both see an error.
    fn reset_if_cut(&self) {
        if matches!(self.end, End::Cut | End::CutBefore) {
            self.transport.reset_on_close();
            if let Some(upstream) = &self.upstream {
                upstream.reset_on_close();
            }
        }
    }

    fn record(&self) {
        let now = runtime::now();
        let server = self.server.as_ref();
        let asked = self.asked.as_ref().map(|asked| asked.address().to_string());
        let client = if self.worker.leaves_out(LogField::Client) {
            ClientAddress::Unknown
        } else {
            self.client
        };
        let record = StreamRecord {
            client,
            listener: &self.endpoint.address,
            upstream: &self.stream.upstream.options().name,
            server: asked.as_deref().filter(|_| server.is_some()),
            asked: asked.as_deref(),
            tries: self.tries,
            status: self.end.status(),
            end: self.end.word(),
            received: self.tunnel.received_from_client(),
            sent: self.tunnel.to_client(),
            connect: server.map(|server| server.after),
            duration: now.duration_since(self.started),
        };
        let worker = &self.worker;
        let line = record.line();
        let access = record.as_access(line.as_bytes());
        worker.publish_stream(&record, &access, now);
    }
}

impl Drop for StreamConnection {
    fn drop(&mut self) {
        self.reset_if_cut();
        self.tell_end();
        if self.worker.is_recorded() {
            self.record();
        }
        self.worker.counters.streams.open.subtract_one();
        self.worker.dismiss();
    }
}
