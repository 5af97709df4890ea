//! What a read has found.

use std::io;

use crate::runtime::Stream;

/// The result of one [`Transport::receive`](super::Transport::receive).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    /// Octets that were put into the buffer; 0 says that the client has ended its side.
    pub(crate) count: usize,
    /// Another `receive` would find nothing now, so the caller can wait first. False if that is not
    /// known, and if the next `receive` would find the client's end.
    pub(crate) is_drained: bool,
}

/// Reads octets as they are.
///
/// # Errors
/// `WouldBlock` where nothing has arrived; otherwise the connection is broken.
#[inline(always)]
pub(super) fn receive_plain(stream: &Stream, buffer: &mut [u8]) -> io::Result<Received> {
    let count = stream.try_receive(buffer)?;
    // A short read has emptied the socket, so no second call is needed to learn that it is empty. But
    // the system reports the client's end only once, and may have done so.
    let is_drained = count < buffer.len() && !stream.is_read_closed();
    Ok(Received { count, is_drained })
}
