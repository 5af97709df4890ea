//! The end of a connection whose client may still be sending: what comes is read and dropped, so that
//! closing does not reset the response away (RFC 9112 §9.6).
//!
//! A client that uploads looks for a response when it has sent everything, and that may be much. So
//! lingering is bounded by time and by how many connections of a worker linger at once, and not by
//! octets.

use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::Duration;

use super::Connection;
use crate::runtime::{self, Direction, Tick};
use crate::server::worker::lingering::Place;
use crate::transfer::READ_SIZE;
use crate::transfer::send::BYTES_PER_TURN;
use crate::transport::Received;

/// How long a connection that the server has closed is still read from, in all.
const LINGER: Duration = Duration::from_secs(30);

/// How long the server waits for the client to send more.
const LINGER_IDLE: Duration = Duration::from_secs(5);

/// The same while the server stops: enough for octets that are already on the network.
const LINGER_STOPPING: Duration = Duration::from_millis(200);

impl Connection {
    /// Sends the end of our side, then reads what the client still sends, and drops it.
    pub(super) async fn linger(&self) {
        self.stream.shut_down();
        let place = self.worker.lingering.take_place();
        let end = runtime::deadline_after(LINGER);
        let mut budget = BYTES_PER_TURN;
        loop {
            match self.drop_received() {
                Ok(Received { count: 0, .. }) => return,
                Ok(received) => budget = budget.saturating_sub(received.work(READ_SIZE)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.wait_to_linger(&place, end).await.is_break() {
                        return;
                    }
                }
                Err(_) => return,
            }
            if budget == 0 {
                // The client may be as fast as this loop.
                budget = BYTES_PER_TURN;
                runtime::yield_now().await;
            }
            if place.is_lost() || end.has_come() {
                return;
            }
        }
    }

    /// Reads once, and drops what came.
    fn drop_received(&self) -> io::Result<Received> {
        let mut input = self.worker.input.borrow_mut();
        self.stream.receive(&mut input[..READ_SIZE])
    }

    /// Waits for the client to send more. Breaks if the client sends nothing in time, at `end`, and when
    /// another connection takes the place.
    async fn wait_to_linger(&self, place: &Place<'_>, end: Tick) -> std::ops::ControlFlow<()> {
        use std::ops::ControlFlow::{Break, Continue};
        let is_draining = self.worker.is_draining();
        let patience = if is_draining {
            LINGER_STOPPING
        } else {
            LINGER_IDLE
        };
        let deadline = runtime::deadline_after(patience).min(end);
        poll_fn(|context| {
            if place.is_lost() {
                return Poll::Ready(Break(()));
            }
            place.wake_when_lost(context.waker());
            match self.stream.poll_ready(context, Direction::Read, deadline) {
                Poll::Ready(Ok(())) => Poll::Ready(Continue(())),
                Poll::Ready(Err(_)) => Poll::Ready(Break(())),
                // The server has begun to stop: there is less time.
                Poll::Pending if self.worker.is_draining() != is_draining => {
                    Poll::Ready(Continue(()))
                }
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }
}
