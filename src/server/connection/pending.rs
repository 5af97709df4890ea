//! Responses that the socket does not take at once, on their way out.

use std::fmt::Display;
use std::num::NonZeroU64;
use std::time::Duration;

use super::{Connection, Ending};
use crate::http::status::Status;
use crate::log::diagnostic;
use crate::message::content::BrokenOff;
use crate::metrics::End;
use crate::reason::Reason;
use crate::runtime::BlockingPool;
use crate::server::exchange::outcome::{Outcome, Underway};
use crate::transfer::send::{SendError, Terms, Transmission};
use crate::transport::Transport;

/// A response on its way out, and the exchange that ends when it is sent.
pub(super) struct Sending<'e, R> {
    transmission: Transmission<'e>,
    exchange: Underway<'e>,
    status: Status,
    /// Why the response is the server's own, if it is an error.
    reason: Option<Reason>,
    /// The route that answers, as diagnostics name it, if one does.
    route: Option<R>,
}

/// Octets that are still to be sent before the connection goes on.
pub(super) struct Pending {
    pub(super) octets: Octets,
    pub(super) send_timeout: Duration,
    /// Octets a second; `None`: as many as the client takes.
    pub(super) max_rate_out: Option<NonZeroU64>,
    /// How the connection ends after them, if it does.
    pub(super) ending: Option<Ending>,
}

/// What the octets belong to.
pub(super) enum Octets {
    /// The response of an exchange that is still under way.
    Response(Sending<'static, String>),
    /// The rest of responses that were collected for one write; their exchanges are finished.
    Collected(Transmission<'static>),
}

impl<'e, R: Display> Sending<'e, R> {
    /// A response of `status`, which `route` gives and `exchange` ends with.
    pub(super) fn new(
        transmission: Transmission<'e>,
        mut exchange: Underway<'e>,
        (status, reason): (Status, Option<Reason>),
        route: Option<R>,
    ) -> Self {
        exchange.answer_with(status);
        Self {
            transmission,
            exchange,
            status,
            reason,
            route,
        }
    }

    /// Sends the response to its end, and finishes the exchange.
    ///
    /// # Errors
    /// Why it could not be sent to its end; the connection is of no more use then.
    ///
    /// # Cancellation
    /// Dropped midway, the exchange is finished as cut, with the octets sent until then.
    pub(super) async fn finish(
        mut self,
        stream: &Transport,
        disk: &BlockingPool,
        terms: Terms<'_>,
    ) -> Result<(), SendError> {
        let noting = Noting {
            sending: &mut self,
            stream,
        };
        let sent = noting
            .sending
            .transmission
            .finish(stream, disk, terms)
            .await;
        drop(noting);
        match &sent {
            Err(error) => {
                self.reason = Some(match error {
                    SendError::BrokenOff(BrokenOff::Maker(_)) => self.exchange.note_broken_off(),
                    error => reason_of(error),
                });
                self.report(error);
            }
            Ok(()) if self.transmission.dropped_some() => self.warn_of_surplus(),
            Ok(()) => {}
        }
        self.exchange.finish(Outcome {
            end: if sent.is_ok() {
                End::Answered
            } else {
                End::BrokenOff
            },
            status: self.status,
            reason: self.reason,
            content_sent: self.transmission.content_sent(),
        });
        sent
    }

    /// Tells the operator that code gave more content than it had announced: the client has got a
    /// whole response, but the code has a mistake.
    fn warn_of_surplus(&self) {
        if let Some(route) = &self.route {
            let request = self.exchange.request_in_log();
            let what = format_args!(
                "{route}: {request}: the content is longer than its Content-Length says; \
                 the rest was dropped"
            );
            diagnostic::warn_limited(route, what);
        }
    }

    /// Tells the operator why the response was not sent to its end, unless the client or the network
    /// is the cause.
    fn report(&self, error: &SendError) {
        if let (Some(route), true) = (&self.route, error.is_ours()) {
            let (request, chain) = (self.exchange.request_in_log(), diagnostic::chain(error));
            diagnostic::error_of(route, format_args!("{request}: {chain}"));
        }
    }
}

/// Why a response was not sent to its end.
fn reason_of(error: &SendError) -> Reason {
    match error {
        SendError::TimedOut => Reason::SendTimeout,
        SendError::Broken(_) | SendError::ClientGone => Reason::ClientGone,
        SendError::FileUnreadable(_) => Reason::FileUnreadable,
        SendError::FileShrank => Reason::FileShrank,
        SendError::BrokenOff(BrokenOff::Request(error)) => error.reason(),
        SendError::BrokenOff(BrokenOff::Maker(_)) => Reason::ContentBrokeOff,
        SendError::TooShort => Reason::ContentTooShort,
    }
}

/// When it is dropped, it tells the exchange how much of the response was sent. If that is a part, and the
/// client would take the end of the connection for the end of the response, it has the connection reset.
struct Noting<'s, 'e, R> {
    sending: &'s mut Sending<'e, R>,
    stream: &'s Transport,
}

impl<R> Drop for Noting<'_, '_, R> {
    fn drop(&mut self) {
        let Sending {
            transmission,
            exchange,
            ..
        } = &mut *self.sending;
        exchange.note_sent(transmission.content_sent());
        if transmission.looks_complete() {
            self.stream.reset_on_close();
        }
    }
}

impl Connection {
    /// How a response is sent to its end, at most so many octets a second.
    pub(super) fn terms(
        &self,
        send_timeout: Duration,
        max_rate_out: Option<NonZeroU64>,
    ) -> Terms<'_> {
        let pace = |octets| self.debt.get_or_init(Box::default).at(octets);
        Terms {
            send_timeout,
            pace: max_rate_out.map(pace),
        }
    }

    /// Waits to send octets to their end; how the connection ends after them, if it does.
    pub(super) async fn transmit(&mut self, pending: Box<Pending>) -> Option<Ending> {
        let disk = &self.worker.local.pools.disk;
        let Pending {
            octets,
            send_timeout,
            max_rate_out,
            ending,
        } = *pending;
        let terms = self.terms(send_timeout, max_rate_out);
        let sent = match octets {
            Octets::Response(sending) => sending.finish(&self.stream, disk, terms).await,
            Octets::Collected(mut rest) => rest.finish(&self.stream, disk, terms).await,
        };
        match sent {
            Ok(()) => ending,
            Err(_) => Some(Ending::Cut),
        }
    }
}
