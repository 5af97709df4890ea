//! A connection that has changed to another protocol: the rest of its life as a tunnel.
//!
//! The exchange is finished when the tunnel ends. Nothing of it is held meanwhile but what its record
//! needs: not the generation, because a tunnel outlives reloads, and no buffer while nothing moves. The
//! tunnel is a task of its own, because that of the connection has room for requests.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

use super::Connection;
use super::switched::Switched;
use crate::http::status::Status;
use crate::log::diagnostic;
use crate::message;
use crate::metrics::End;
use crate::reason::Reason;
use crate::runtime::{self, CompactDuration, Either, either, sleep};
use crate::server::exchange::outcome::{Outcome, Underway};
use crate::transfer::tunnel::{Sides, Tunnel, TunnelEnd};
use crate::transport::Transport;

/// A connection that is a tunnel, and counts as one until it is dropped. If that is before its end, its
/// exchange learns how much was carried.
struct TunnelConnection {
    connection: Connection,
    upstream: Transport,
    tunnel: Tunnel,
    /// How long the tunnel goes on once it is to end.
    grace: CompactDuration,
    /// Whether the route and the server that it leads to are still there.
    is_wanted: Box<dyn Fn() -> bool>,
    /// `None` once it is finished.
    exchange: Option<Underway<'static>>,
}

impl Connection {
    /// Carries octets both ways until the tunnel ends, and then closes the connection.
    pub(super) fn become_tunnel(self, switched: Switched) {
        let Switched {
            tunnel,
            to_upstream,
            max_rate_out,
            exchange,
        } = switched;
        let message::tunnel::Tunnel {
            upstream,
            first,
            idle_timeout,
            grace,
            is_wanted,
        } = tunnel;
        self.worker.count_tunnel();
        let mut tunnel = Tunnel::new(idle_timeout, max_rate_out);
        tunnel.send_first_to_upstream(to_upstream);
        tunnel.send_first_to_client(first);
        let tunnel = TunnelConnection {
            upstream,
            tunnel,
            grace: grace.into(),
            is_wanted,
            exchange: Some(exchange),
            connection: self,
        };
        runtime::spawn(tunnel.serve());
    }
}

impl TunnelConnection {
    /// Lives to the end of the tunnel. A panic anywhere in it ends this connection, and no other.
    #[expect(
        clippy::manual_async_fn,
        reason = "an async fn keeps room for an argument twice: a third more of each idle tunnel"
    )]
    fn serve(mut self) -> impl Future<Output = ()> {
        async move {
            if runtime::catch_panics(pin!(self.carry())).await.is_err() {
                diagnostic::error(format_args!("a tunnel panicked and was closed"));
            }
        }
    }

    async fn carry(&mut self) {
        let ended = match self.carry_until_unwanted().await {
            Some(ended) => Some(ended),
            // In a box, so that tunnels hold no room for it until they are to end.
            None => Box::pin(self.carry_for_grace()).await,
        };
        self.connection.tell("was a tunnel, which has ended");
        let (end, reason) = match ended {
            Some(TunnelEnd::Complete | TunnelEnd::Idle) => (End::Answered, None),
            Some(TunnelEnd::ClientBroke) => (End::BrokenOff, Some(Reason::ClientGone)),
            Some(TunnelEnd::UpstreamBroke) => (End::BrokenOff, Some(Reason::UpstreamBroken)),
            None => (End::Cut, Some(Reason::Stopped)),
        };
        self.finish(end, reason);
    }

    /// Carries octets until the tunnel ends. Returns `None` if it is to end before that.
    fn carry_until_unwanted(&mut self) -> impl Future<Output = Option<TunnelEnd>> {
        let (connection, is_wanted) = (&self.connection, &self.is_wanted);
        let mut run = self.tunnel.run(sides(connection, &self.upstream));
        poll_fn(move |context| {
            if let Poll::Ready(end) = Pin::new(&mut run).poll(context) {
                return Poll::Ready(Some(end));
            }
            // A change of the configuration or the end of the server wakes every task that waits.
            if connection.is_to_end() || connection.endpoint.is_retired() || !is_wanted() {
                return Poll::Ready(None);
            }
            Poll::Pending
        })
    }

    /// Carries octets for the time that the operator gives a tunnel which is to end. Returns `None`
    /// if it has not ended by then.
    async fn carry_for_grace(&mut self) -> Option<TunnelEnd> {
        let run = self.tunnel.run(sides(&self.connection, &self.upstream));
        match either(run, sleep(self.grace.into())).await {
            Either::First(ended) => Some(ended),
            Either::Second(()) => None,
        }
    }

    fn finish(&mut self, end: End, reason: Option<Reason>) {
        if let Some(exchange) = self.exchange.take() {
            exchange.finish(Outcome {
                end,
                status: Status::SWITCHING_PROTOCOLS,
                reason,
                content_sent: self.tunnel.to_client(),
            });
        }
    }
}

fn sides<'t>(connection: &'t Connection, upstream: &'t Transport) -> Sides<'t> {
    Sides {
        client: &connection.stream,
        upstream,
        input: &connection.worker.input,
    }
}

impl Drop for TunnelConnection {
    fn drop(&mut self) {
        if let Some(exchange) = &mut self.exchange {
            exchange.note_sent(self.tunnel.to_client());
        }
        self.connection.worker.uncount_tunnel();
    }
}
