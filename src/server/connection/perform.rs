//! The slow path: answers that have to be waited for, and answers that are waited on to be taken.
//!
//! Each call is one boxed future, made when it is needed and gone when it is done.

use std::mem::{replace, take};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::{Connection, Ending};
use crate::http::request::{HeadLimits, Parsed, RequestHead, field_space};
use crate::http::response::ResponseFraming;
use crate::http::status::Status;
use crate::log::diagnostic;
use crate::runtime;
use crate::server::exchange::finishing::{Asked, Framed};
use crate::server::exchange::{Answered, Exchange};
use crate::transfer::receive::RequestContent;
use crate::transfer::send::{SendError, Transmission};

/// An answer that is still to be sent.
pub(super) struct Pending {
    pub(super) transmission: Transmission,
    /// The exchange it belongs to, if that is not logged yet.
    pub(super) exchange: Option<Unlogged>,
    pub(super) send_timeout: Duration,
    /// How the connection ends after it, if it does.
    pub(super) ending: Option<Ending>,
}

/// An exchange that is logged when its answer is sent.
pub(super) struct Unlogged {
    /// The request's.
    pub(super) head: Vec<u8>,
    pub(super) client: IpAddr,
    pub(super) status: Status,
    pub(super) started: Instant,
    /// Who answers, as diagnostics name it, if a route does.
    pub(super) route: Option<String>,
}

impl Connection {
    /// Waits to send the rest of an answer; how the connection ends after it, if it does.
    pub(super) async fn transmit(&mut self, mut pending: Box<Pending>) -> Option<Ending> {
        let pool = &self.worker.local.pools.disk;
        let send_timeout = pending.send_timeout;
        let sent = pending
            .transmission
            .finish(&self.stream, pool, send_timeout)
            .await;
        let exchange = pending.exchange.as_ref();
        if let (Err(error), Some(unlogged)) = (&sent, exchange) {
            report(unlogged.route.as_deref(), error);
        }
        self.log_pending(&pending);
        match sent {
            Ok(()) => pending.ending,
            Err(_) => Some(Ending::Close),
        }
    }

    pub(super) fn log_pending(&self, pending: &Pending) {
        let Some(unlogged) = &pending.exchange else {
            return;
        };
        let mut space = field_space();
        // It was parsed under the limits of its time.
        let limits = HeadLimits {
            max_bytes: usize::MAX,
            max_fields: usize::MAX,
        };
        if let Ok(Parsed::Complete(head, _)) =
            RequestHead::parse(&unlogged.head, &mut space, limits)
        {
            let Unlogged {
                head: bytes,
                client,
                status,
                started,
                route: _,
            } = unlogged;
            let outcome = (*status, pending.transmission.content_sent());
            self.worker
                .log_exchange(*client, &head, bytes, outcome, *started);
        }
    }

    /// Performs the exchange whose request's head is the first `length` bytes of `unread`, waiting
    /// wherever it has to; how the connection ends after it, if it does.
    pub(super) async fn perform(&mut self, length: usize) -> Option<Ending> {
        let worker = Rc::clone(&self.worker);
        let generation = self.generation();
        let started = runtime::now();
        let behind = self.unread.split_off(length);
        let bytes = replace(&mut self.unread, behind);
        let mut space = field_space();
        let parsed = RequestHead::parse(&bytes, &mut space, self.head_limits(&generation));
        let Ok(Parsed::Complete(head, _)) = parsed else {
            unreachable!("these bytes were parsed a moment ago, under the same limits")
        };

        let exchange = Exchange::new(&generation, &self.endpoint.address, self.client, &head);
        let limits = exchange.limits();
        let mut content =
            RequestContent::new(&head, &self.stream, &worker, limits, &mut self.unread);
        // Where there is no answer, nobody is left to read one.
        let Some(answered) = exchange.answer(&worker.local, &mut content).await else {
            if exchange.policy.is_logged {
                let outcome = (Status::CLIENT_GONE, 0);
                worker.log_exchange(exchange.client, &head, &bytes, outcome, started);
            }
            return Some(Ending::Close);
        };

        let is_to_end = worker.is_draining() || self.endpoint.is_retired();
        let may_persist = head.persistent && !is_to_end && content.can_be_drained();
        let asked = Asked::by(&head);
        let Answered { response, policy } = answered;
        let mut framed = Framed::new(response, policy, asked, may_persist);
        let mut buffer = Vec::new();
        framed.encode_head(&worker, &generation, &mut buffer);
        let is_chunked = framed.framing == ResponseFraming::Chunked;
        let mut transmission =
            Transmission::new(buffer, take(&mut framed.content).into_owned(), is_chunked);
        let pool = &worker.local.pools.disk;
        let sent = transmission
            .finish(&self.stream, pool, limits.send_timeout)
            .await;
        if let Err(error) = &sent {
            report(exchange.route(), error);
        }
        let is_next_known = sent.is_ok() && framed.persists() && content.drain().await;

        let outcome = (framed.status, transmission.content_sent());
        if exchange.policy.is_logged {
            worker.log_exchange(exchange.client, &head, &bytes, outcome, started);
        }
        // Copied, to let go of a buffer that the content may have made large.
        let behind = take(&mut self.unread);
        self.keep_for_later(&behind);
        self.is_drained = false;
        match sent {
            Ok(()) if is_next_known => None,
            Ok(()) => Some(Ending::Linger),
            Err(_) => Some(Ending::Close),
        }
    }
}

/// Tells the operator why an answer of `route` was not sent to its end, where that is not the client's
/// doing.
fn report(route: Option<impl std::fmt::Display>, error: &SendError) {
    if let (Some(route), true) = (route, error.is_ours()) {
        diagnostic::error(format_args!("{route}: {}", diagnostic::chain(error)));
    }
}
