//! What a read has found.

use std::io;

use crate::runtime::Stream;

/// The result of one [`Transport::receive`](super::Transport::receive).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    /// Octets that were put into the buffer; 0 says that the peer has ended its side.
    pub(crate) count: usize,
    /// Another `receive` would find nothing now, so the caller can wait first. False if that is not
    /// known, and if the next `receive` would find the peer's end.
    pub(crate) is_drained: bool,
}

impl Received {
    /// What a read into a buffer of `room` octets counts for where a turn has a limit of octets. Over TLS a read
    /// may have been much work for little content: one that has not emptied the socket counts as if it
    /// had filled the buffer, which it has over a plain connection.
    pub(crate) fn work(self, room: usize) -> usize {
        if self.is_drained {
            self.count
        } else {
            self.count.max(room)
        }
    }
}

/// Reads octets as they are.
///
/// # Errors
/// `WouldBlock` where nothing has arrived; otherwise the connection is broken.
#[inline(always)]
pub(super) fn receive_plain(stream: &Stream, buffer: &mut [u8]) -> io::Result<Received> {
    let count = stream.try_receive(buffer)?;
    // A short read has emptied the socket, so no second call is needed to learn that it is empty. But
    // the system reports the peer's end only once, and may have done so.
    let is_drained = count < buffer.len() && !stream.is_read_closed();
    Ok(Received { count, is_drained })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_that_leaves_something_counts_as_a_full_one() {
        for (count, is_drained, work) in [(1, true, 1), (1, false, 64), (64, false, 64)] {
            assert_eq!(Received { count, is_drained }.work(64), work);
        }
    }
}
