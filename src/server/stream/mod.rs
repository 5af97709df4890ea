//! A connection that is passed on to an upstream as it is.
//!
//! ```text
//!   accept → who is it? → may it? → connect to a server → tunnel → record
//!              │            │          └ another server, if it takes no connection
//!              └────────────┴─ closed, with a record that says why
//! ```
//!
//! The client is connected to its server at once, because that may speak first. What the connection
//! began with stays true until it ends, whatever a reload changes.

mod end;
mod opening;

use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::worker::Worker;
use super::worker::endpoint::Endpoint;
use crate::address::ClientAddress;
use crate::generation;
use crate::log::diagnostic;
use crate::log::stream_record::StreamRecord;
use crate::runtime::{self, Permit};
use crate::transfer::tunnel::{Carried, Tunnel};
use crate::transport::Transport;
use crate::upstream::Chosen;

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
    /// The address and port of the client, and those that it connected to; `None` for a client without.
    addresses: Option<(SocketAddr, SocketAddr)>,
    started: Instant,
    /// Its place among the connections of the stream.
    place: Option<Permit>,
    /// The server that it is passed on to, from when that has taken a connection.
    server: Option<Connected>,
    carried: Carried,
    end: End,
}

/// The server that has taken a connection.
struct Connected {
    chosen: Chosen,
    /// How long that took, with the servers that were tried before.
    after: Duration,
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
        Self {
            transport,
            worker,
            endpoint,
            stream,
            has_proxy_header,
            client: ClientAddress::of_peer(peer),
            addresses,
            started: runtime::now(),
            place: None,
            server: None,
            carried: Carried::default(),
            end: End::Cut,
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
        match Box::pin(self.open()).await {
            Ok((upstream, first)) => self.carry(&upstream, first).await,
            Err(end) => self.refuse(end),
        }
    }

    /// Has the client see an error, as where no server listens.
    fn refuse(&mut self, end: End) {
        self.end = end;
        self.transport.reset_on_close();
    }

    /// Carries octets both ways until the end; `first` goes to the upstream before any other.
    async fn carry(&mut self, upstream: &Transport, first: Vec<u8>) {
        let input = &self.worker.input;
        let idle_timeout = self.stream.idle_timeout;
        let mut tunnel = Tunnel::new(
            &self.transport,
            upstream,
            input,
            &self.carried,
            idle_timeout,
        )
        .first_to_upstream(first);
        self.end = End::Carried(tunnel.run().await);
    }

    fn record(&self) {
        let now = runtime::now();
        let server = self.server.as_ref();
        let address = server.map(|server| server.chosen.server().address().to_string());
        let record = StreamRecord {
            client: self.client,
            listener: &self.endpoint.address,
            upstream: &self.stream.upstream.options().name,
            server: address.as_deref(),
            status: self.end.status(),
            end: self.end.word(),
            received: self.carried.received_from_client(),
            sent: self.carried.to_client(),
            connect: server.map(|server| server.after),
            duration: now.duration_since(self.started),
        };
        let worker = &self.worker;
        worker.append_line(now, |format, time, out| record.write(format, time, out));
    }
}

impl Drop for StreamConnection {
    fn drop(&mut self) {
        if self.worker.has_log() {
            self.record();
        }
        self.worker.counters.streams.open.add(u64::MAX);
        self.worker.dismiss();
    }
}
