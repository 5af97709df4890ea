//! A connection that has changed to another protocol: the rest of its life as a tunnel.
//!
//! The exchange is finished when the tunnel ends. Nothing of it is held meanwhile but what its record
//! needs: not the generation, because a tunnel outlives reloads, and no buffer while nothing moves.

use std::future::poll_fn;
use std::task::Poll;

use super::switched::Switched;
use super::{Connection, Ending};
use crate::http::status::Status;
use crate::message::tunnel::Tunnel;
use crate::metrics::End;
use crate::runtime::{Either, either, sleep};
use crate::server::exchange::outcome::{Outcome, Underway};
use crate::transfer::tunnel::{self, Carried, TunnelEnd};
use crate::transport::Transport;

/// The exchange of a tunnel, which learns when it is dropped how much was carried.
struct Carrying {
    exchange: Option<Underway<'static>>,
    carried: Carried,
}

impl Carrying {
    fn finish(mut self, end: End) {
        if let Some(exchange) = self.exchange.take() {
            exchange.finish(Outcome {
                end,
                status: Status::SWITCHING_PROTOCOLS,
                content_sent: self.carried.to_client(),
            });
        }
    }
}

impl Drop for Carrying {
    fn drop(&mut self) {
        if let Some(exchange) = &mut self.exchange {
            exchange.note_sent(self.carried.to_client());
        }
    }
}

impl Connection {
    /// Carries octets both ways until the tunnel ends.
    pub(super) async fn carry(&mut self, switched: Box<Switched>) -> Ending {
        let Switched {
            tunnel,
            to_upstream,
            exchange,
        } = *switched;
        let Tunnel {
            upstream,
            first,
            idle_timeout,
            grace,
            is_wanted,
        } = tunnel;
        let carrying = Carrying {
            exchange: Some(exchange),
            carried: Carried::default(),
        };
        let _counted = self.worker.count_tunnel();
        let upstream = Transport::Plain(upstream);
        let input = &self.worker.input;
        let mut relay = tunnel::Tunnel::new(
            &self.stream,
            &upstream,
            input,
            &carrying.carried,
            idle_timeout,
        )
        .first_to_upstream(to_upstream)
        .first_to_client(first);
        // A change of the configuration or the end of the server wakes every task that waits.
        let to_end = poll_fn(|_| {
            if self.is_to_end() || !is_wanted() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        });
        let ended = match either(relay.run(), to_end).await {
            Either::First(ended) => Some(ended),
            // In a box, so that tunnels hold no room for it until they are to end.
            Either::Second(()) => match Box::pin(either(relay.run(), sleep(grace))).await {
                Either::First(ended) => Some(ended),
                Either::Second(()) => None,
            },
        };
        self.tell("was a tunnel, which has ended");
        carrying.finish(match ended {
            Some(TunnelEnd::Complete | TunnelEnd::Idle) => End::Answered,
            Some(TunnelEnd::ClientBroke | TunnelEnd::UpstreamBroke) => End::BrokenOff,
            None => End::Cut,
        });
        Ending::Close
    }
}
