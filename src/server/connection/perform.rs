//! The slow path: answers that have to be waited for, and answers that are waited on to be taken.
//!
//! Each call is one boxed future, made when it is needed and gone when it is done.

use std::mem::{replace, take};
use std::rc::Rc;
use std::time::Instant;

use super::{Connection, Ending, head_limits};
use crate::http::request::{HeadLimits, Parsed, RequestHead, field_space};
use crate::http::response::ResponseFraming;
use crate::http::status::Status;
use crate::runtime;
use crate::server::content::RequestContent;
use crate::server::exchange::{self, Arrival, Asked, Framed};
use crate::server::transmit::Transmission;

/// An answer that is still to be sent.
pub(super) struct Pending {
    pub(super) transmission: Transmission,
    /// The exchange it belongs to, if that is not logged yet.
    pub(super) exchange: Option<Unlogged>,
    /// How the connection ends after it, if it does.
    pub(super) ending: Option<Ending>,
}

/// An exchange that is logged when its answer is sent.
pub(super) struct Unlogged {
    /// The request's.
    pub(super) head: Vec<u8>,
    pub(super) status: Status,
    pub(super) started: Instant,
}

impl Connection {
    /// Waits to send the rest of an answer; how the connection ends after it, if it does.
    pub(super) async fn transmit(&mut self, mut pending: Box<Pending>) -> Option<Ending> {
        let generation = self.generation();
        let pool = &self.worker.local.pool;
        let send_timeout = generation.limits.send_timeout;
        let sent = pending
            .transmission
            .finish(&self.stream, pool, send_timeout)
            .await;
        self.log_pending(&pending);
        match sent {
            Ok(()) => pending.ending,
            Err(_) => Some(Ending::Close),
        }
    }

    pub(super) fn log_pending(&self, pending: &Pending) {
        let Some(Unlogged {
            head: bytes,
            status,
            started,
        }) = &pending.exchange
        else {
            return;
        };
        let mut space = field_space();
        // It was parsed under the limits of its time.
        let limits = HeadLimits {
            max_bytes: usize::MAX,
            max_fields: usize::MAX,
        };
        if let Ok(Parsed::Complete(head, _)) = RequestHead::parse(bytes, &mut space, limits) {
            let outcome = (*status, pending.transmission.content_sent());
            self.worker
                .log_exchange(self.client, &head, bytes, outcome, *started);
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
        let parsed = RequestHead::parse(&bytes, &mut space, head_limits(&generation));
        let Ok(Parsed::Complete(head, _)) = parsed else {
            unreachable!("these bytes were parsed a moment ago, under the same limits")
        };

        let limits = &generation.limits;
        let mut content =
            RequestContent::new(&head, &self.stream, &worker, limits, &mut self.unread);
        let arrival = Arrival {
            listener: &self.endpoint.address,
            client: self.client,
        };
        let answer =
            exchange::answer(&generation, arrival, &head, &worker.local, &mut content).await;
        // Nobody is there to read an answer.
        let Some(response) = answer else {
            return Some(Ending::Close);
        };

        let is_to_end = worker.is_draining() || self.endpoint.is_retired();
        let may_persist = head.persistent && !is_to_end && content.can_be_drained();
        let mut framed = Framed::new(response.into_owned(), Asked::by(&head), may_persist);
        let mut buffer = Vec::new();
        framed.encode_head(&worker.common_lines(&generation), &mut buffer);
        let is_chunked = framed.framing == ResponseFraming::Chunked;
        let mut transmission = Transmission::new(buffer, take(&mut framed.content), is_chunked);
        let pool = &worker.local.pool;
        let sent = transmission
            .finish(&self.stream, pool, limits.send_timeout)
            .await;
        let is_next_known = sent.is_ok() && framed.persists() && content.drain().await;

        let outcome = (framed.status, transmission.content_sent());
        worker.log_exchange(self.client, &head, &bytes, outcome, started);
        self.is_unexamined = !self.unread.is_empty();
        self.is_drained = false;
        match sent {
            Ok(()) if is_next_known => None,
            Ok(()) => Some(Ending::Linger),
            Err(_) => Some(Ending::Close),
        }
    }
}
