//! The slow path: an exchange that has to be waited for, as one boxed future that is made when it is
//! needed and gone when it is done.
//!
//! ```text
//! head → exchange → response, waited for → framed → sent → what is left of the request's content
//! ```

use std::mem::{replace, take};
use std::rc::Rc;

use super::pending::Sending;
use super::{Connection, Ending};
use crate::http::request::{Parsed, RequestHead};
use crate::http::response::ResponseFraming;
use crate::server::exchange::finishing::{FramedResponse, RequestTraits};
use crate::server::exchange::outcome::Outcome;
use crate::server::exchange::{Answered, Exchange};
use crate::transfer::receive::{ContentLimits, RequestContent};
use crate::transfer::send::Transmission;

impl Connection {
    /// Performs the exchange whose request's head is the first `length` bytes of `unread`, waiting
    /// wherever it has to; how the connection ends after it, if it does.
    pub(super) async fn perform(&mut self, length: usize) -> Option<Ending> {
        let worker = Rc::clone(&self.worker);
        let generation = self.generation();
        let bytes = self.take_head(length);
        let mut lines = Vec::new();
        let parsed = RequestHead::parse_kept(&bytes, &mut lines, self.head_limits(&generation));
        let Ok(Parsed::Complete(head, _)) = parsed else {
            unreachable!("these bytes were parsed a moment ago, under the same limits")
        };
        let exchange = Exchange::new(&generation, &self.endpoint.address, self.client, &head);
        let underway = self.begin(&exchange, &head, &bytes);

        let limits = exchange.limits();
        let mut content = RequestContent::new(
            &head,
            &self.stream,
            &worker.input,
            ContentLimits {
                max_content: limits.max_content,
                body_timeout: limits.body_timeout,
                send_timeout: limits.send_timeout,
            },
            &mut self.unread,
        );
        let Some(answered) = exchange.answer(&worker.local, &mut content).await else {
            underway.finish(Outcome::CLIENT_LEFT);
            return Some(Ending::Close);
        };

        let is_to_end = worker.is_draining() || self.endpoint.is_retired();
        let may_persist = head.persistent && !is_to_end && content.can_be_drained();
        let Answered { response, policy } = answered;
        let traits = RequestTraits::of(&head);
        let mut framed = FramedResponse::new(response, policy, traits, may_persist);
        let mut buffer = Vec::new();
        let has_server_field = framed.has_server_field(&generation);
        framed.encode_head(&worker.common_lines(has_server_field), &mut buffer);
        let is_chunked = framed.framing == ResponseFraming::Chunked;
        let octets = take(&mut framed.content).into_owned();
        let transmission = Transmission::new(buffer, octets, is_chunked);

        let sending = Sending::new(transmission, underway, framed.status, exchange.route());
        let disk = &worker.local.pools.disk;
        let sent = sending
            .finish(&self.stream, disk, limits.send_timeout)
            .await;
        let is_next_known = sent.is_ok() && framed.persists() && content.drain().await;
        self.go_on_behind_content();
        match sent {
            Ok(()) if is_next_known => None,
            Ok(()) => Some(Ending::Linger),
            Err(_) => Some(Ending::Close),
        }
    }

    /// Takes the head of so many bytes off `unread`.
    fn take_head(&mut self, length: usize) -> Vec<u8> {
        let behind = self.unread.split_off(length);
        replace(&mut self.unread, behind)
    }

    /// Has the next turn look at what was read behind the request's content.
    fn go_on_behind_content(&mut self) {
        // Copied, to let go of a buffer that the content may have made large.
        let behind = take(&mut self.unread);
        self.keep_for_later(&behind);
        self.is_drained = false;
    }
}
