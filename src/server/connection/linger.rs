//! The end of a connection whose client may still be sending: what comes is read and dropped, so that
//! closing does not reset the response away (RFC 9112 §9.6).

use std::io;
use std::time::Duration;

use super::Connection;
use crate::runtime::{self, Direction};

/// How long a connection that the server has closed is still read from, and how much of it.
const LINGER: Duration = Duration::from_secs(5);
const LINGER_BYTES: usize = 4 * 1024 * 1024;

impl Connection {
    /// Sends the end of our side, then reads what the client still sends, and drops it.
    pub(super) async fn linger(&mut self) {
        self.stream.shut_down();
        let mut room = LINGER_BYTES;
        let deadline = runtime::deadline_after(LINGER);
        while room > 0 {
            let received = {
                let mut input = self.worker.input.borrow_mut();
                self.stream
                    .receive(&mut input)
                    .map(|received| received.count)
            };
            match received {
                Ok(0) => return,
                Ok(count) => room = room.saturating_sub(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.stream.ready(Direction::Read, deadline).await.is_err() {
                        return;
                    }
                }
                Err(_) => return,
            }
        }
    }
}
