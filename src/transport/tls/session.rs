//! Octets in both directions over a socket, encrypted.
//!
//! ```text
//! receive   socket → buffers.incoming → rustls decrypts in place → the caller's buffer
//!                    └ the beginning of a record stays in State.incoming until the rest comes
//! send      the caller's octets → rustls encrypts → buffers.outgoing → socket
//!                    └ what the socket does not take stays in State.outgoing
//! ```
//!
//! A session that is idle holds neither: what it has is the state of rustls.

use std::cell::{OnceCell, RefCell};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::take;
use std::ops::Deref;
use std::os::fd::BorrowedFd;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::io::{Errno, ReadWriteFlags};
use rustls::InvalidMessage;

use super::about::About;
use super::buffers::{self, Buffers, MAX_BEFORE, MAX_HELD, Outgoing, SHARE, next_share};
use super::records::{MAX_RECORD, next_piece};
use super::state::State;
use crate::runtime::{Direction, Elapsed, Stream, Tick};
use crate::transport::received::{Received, receive_plain};

/// A connection over TLS. Until its handshake is complete it carries octets as they are: a header of the
/// PROXY protocol may come first, and a client that speaks plain HTTP is answered so.
pub(crate) struct Session {
    stream: Stream,
    /// `None` until the handshake is complete. Borrowed within a call, and never across a wait.
    state: RefCell<Option<State>>,
    about: OnceCell<About>,
}

/// The end of what a peer sends, without the alert that says so: what has come may be less than it sent
/// (RFC 8446 §6.1).
fn truncated() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "the connection ended without a close_notify",
    )
}

/// Reads octets of `file` from `offset`. `None` if the first of them is not in memory, unless the read
/// `may_wait` for the disk.
fn read_file(
    file: BorrowedFd<'_>,
    into: &mut [u8],
    offset: u64,
    may_wait: bool,
) -> io::Result<Option<usize>> {
    if !may_wait {
        let mut pieces = [IoSliceMut::new(into)];
        match rustix::io::preadv2(file, &mut pieces, offset, ReadWriteFlags::NOWAIT) {
            Err(Errno::AGAIN) => return Ok(None),
            // The file system cannot tell.
            Err(Errno::OPNOTSUPP) => {}
            read => return Ok(Some(read?)),
        }
    }
    Ok(Some(rustix::io::pread(file, into, offset)?))
}

impl Session {
    /// A connection whose handshake has not begun.
    pub(crate) fn new(stream: Stream) -> Self {
        Self {
            stream,
            state: RefCell::default(),
            about: OnceCell::new(),
        }
    }

    /// Has the connection go on with what its handshake has led to.
    pub(super) fn begin(&self, state: State, about: About) {
        *self.state.borrow_mut() = Some(state);
        let is_first = self.about.set(about).is_ok();
        debug_assert!(is_first, "a connection has one handshake");
    }

    /// What the handshake has settled, once it is complete.
    pub(crate) fn about(&self) -> Option<&About> {
        self.about.get()
    }

    pub(crate) fn stream(&self) -> &Stream {
        &self.stream
    }

    /// As [`Transport::receive`](crate::transport::Transport::receive).
    ///
    /// # Errors
    /// `WouldBlock` where no content has arrived, `UnexpectedEof` where the connection ended and the peer
    /// has not said that it would; otherwise the connection is broken.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        let Some(state) = &mut *self.state.borrow_mut() else {
            return receive_plain(&self.stream, buffer);
        };
        if !state.plain.is_empty() {
            return Ok(Received {
                count: state.take_plain(buffer),
                is_drained: false,
            });
        }
        if state.is_broken {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        loop {
            if state.is_ended {
                return Ok(Received {
                    count: 0,
                    is_drained: false,
                });
            }
            let Received { count, is_drained } =
                buffers::with(|buffers| self.receive_once(state, buffers, buffer))?;
            if count > 0 {
                state.sent = 0;
                return Ok(Received { count, is_drained });
            }
            if is_drained {
                return Err(io::ErrorKind::WouldBlock.into());
            }
        }
    }

    /// Reads once from the socket, unless a whole record is there, and decrypts as much as has room in
    /// `buffer`.
    fn receive_once(
        &self,
        state: &mut State,
        buffers: &mut Buffers,
        buffer: &mut [u8],
    ) -> io::Result<Received> {
        let input = &mut buffers.incoming;
        let kept = state.incoming.len();
        if !state.has_unread && kept > MAX_RECORD {
            // Records of a message that does not end. No message has to be so long once the
            // handshake is complete.
            return Err(self.tell(state, InvalidMessage::HandshakePayloadTooLarge.into()));
        }
        input[..kept].copy_from_slice(&state.incoming);
        let mut filled = kept;
        let mut is_empty = false;
        if !state.has_unread {
            let room = buffer.len().clamp(MAX_RECORD, SHARE + MAX_RECORD);
            let count = self.stream.try_receive(&mut input[kept..kept + room])?;
            if count == 0 {
                return Err(truncated());
            }
            filled += count;
            // As for a plain connection: a short read has emptied the socket.
            is_empty = count < room && !self.stream.is_read_closed();
        }
        let (used, taken) = state.decrypt(&mut input[..filled], buffer);
        state.incoming.clear();
        if used == filled {
            state.incoming = Vec::new();
        } else {
            state.incoming.extend_from_slice(&input[used..filled]);
        }
        let count = match taken {
            Ok(count) => count,
            Err(error) => return Err(self.tell(state, error)),
        };
        Ok(Received {
            count,
            is_drained: is_empty && !state.has_something(),
        })
    }

    /// Takes note that the session has failed, and tells the peer why, if the socket takes it.
    fn tell(&self, state: &mut State, error: rustls::Error) -> io::Error {
        let error = state.fail(error);
        let _ = state.flush(&self.stream);
        error
    }

    /// As [`Transport::send`](crate::transport::Transport::send). Takes [`next_share`] octets at most.
    /// With `more` it keeps a few, which go into the same records as those that follow.
    ///
    /// Where the socket does not take all of the records, this is `WouldBlock`, and the caller sends the
    /// same octets again when there is room: they are encrypted already.
    ///
    /// # Errors
    /// `WouldBlock`; otherwise the connection is broken.
    #[inline(never)]
    pub(crate) fn send(&self, octets: &[u8], more: bool) -> io::Result<usize> {
        let Some(state) = &mut *self.state.borrow_mut() else {
            return self.stream.try_send(octets, more);
        };
        if let Some(count) = self.finish_last(state)? {
            return Ok(count);
        }
        let octets = &octets[..octets.len().min(next_share(state.sent))];
        if more && state.held.len() + octets.len() <= MAX_HELD {
            state.held.extend_from_slice(octets);
            return Ok(octets.len());
        }
        self.send_gathered(state, &[octets], more)
    }

    /// As [`Transport::send_vectored`](crate::transport::Transport::send_vectored): the pieces are put
    /// together first, into records that they share.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub(crate) fn send_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let Some(state) = &mut *self.state.borrow_mut() else {
            return self.stream.try_send_vectored(pieces);
        };
        if let Some(count) = self.finish_last(state)? {
            return Ok(count);
        }
        self.send_gathered(state, pieces, false)
    }

    /// Sends the pieces behind the content that is held. Takes [`next_share`] octets of them at most.
    fn send_gathered(
        &self,
        state: &mut State,
        pieces: &[impl Deref<Target = [u8]>],
        more: bool,
    ) -> io::Result<usize> {
        buffers::with(|buffers| {
            let held = take(&mut state.held);
            let share = next_share(state.sent);
            // A single piece need not be copied.
            if let ([octets], true) = (pieces, held.is_empty()) {
                let octets = &octets[..octets.len().min(share)];
                let out = &mut buffers.outgoing;
                return self.encrypt_and_send(state, octets, octets.len(), out, more);
            }
            let start = held.len();
            buffers.plain[..start].copy_from_slice(&held);
            let mut filled = start;
            for piece in pieces {
                let room = &mut buffers.plain[filled..start + share];
                let count = piece.len().min(room.len());
                room[..count].copy_from_slice(&piece[..count]);
                filled += count;
            }
            let octets = &buffers.plain[..filled];
            let out = &mut buffers.outgoing;
            self.encrypt_and_send(state, octets, filled - start, out, more)
        })
    }

    /// As [`Transport::send_file`](crate::transport::Transport::send_file).
    ///
    /// # Errors
    /// As [`send`](Self::send), and the errors of reading the file.
    pub(crate) fn send_file(
        &self,
        file: BorrowedFd<'_>,
        offset: &mut u64,
        count: usize,
        may_wait: bool,
    ) -> io::Result<Option<usize>> {
        let Some(state) = &mut *self.state.borrow_mut() else {
            return self.stream.try_send_file(file, offset, count).map(Some);
        };
        let sent = match self.finish_last(state)? {
            Some(sent) => Some(sent),
            None => buffers::with(|buffers| {
                let start = state.held.len();
                let share = next_share(state.sent);
                let room = &mut buffers.plain[start..start + count.min(share)];
                let Some(read) = read_file(file, room, *offset, may_wait)? else {
                    return Ok(None);
                };
                if read == 0 {
                    return Ok(Some(0));
                }
                buffers.plain[..start].copy_from_slice(&take(&mut state.held));
                let octets = &buffers.plain[..start + read];
                // More follows if the file has more than fits, and a full share waits for it.
                let more = read < count && share == SHARE;
                self.encrypt_and_send(state, octets, read, &mut buffers.outgoing, more)
                    .map(Some)
            })?,
        };
        *offset += sent.unwrap_or(0) as u64;
        Ok(sent)
    }

    /// Sends what the socket did not take of the last octets. Returns how many octets of content those
    /// were, if there were any: they are the first that the caller has now.
    fn finish_last(&self, state: &mut State) -> io::Result<Option<usize>> {
        if state.is_broken {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let is_in_the_way = state.unreported > 0 || state.outgoing.len() > MAX_BEFORE;
        if is_in_the_way && !state.flush(&self.stream)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = take(&mut state.unreported);
        Ok((count > 0).then_some(count))
    }

    /// Encrypts `octets` behind the records that wait, and sends all of it with one call. The last `count`
    /// of them are those of the caller.
    fn encrypt_and_send(
        &self,
        state: &mut State,
        octets: &[u8],
        count: usize,
        out: &mut Outgoing,
        more: bool,
    ) -> io::Result<usize> {
        out.begin_with(&[]);
        let mut left = octets;
        while !left.is_empty() {
            state.process_records()?;
            out.push(&take(&mut state.outgoing));
            let piece;
            (piece, left) = left.split_at(next_piece(state.sent, left.len()));
            let written = state.half.encrypt(&mut state.incoming, piece, out.room())?;
            out.grow(written);
            state.sent += piece.len();
        }
        let taken = match self.stream.try_send(out.octets(), more) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            taken => taken?,
        };
        if taken == out.octets().len() {
            return Ok(count);
        }
        state.outgoing = out.octets()[taken..].to_vec();
        state.unreported = count;
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Says that we send nothing more (`close_notify`), and waits until the socket has taken that and what
    /// went before it.
    ///
    /// # Errors
    /// [`Elapsed`] if the peer takes nothing for `timeout`.
    pub(crate) async fn close(&self, timeout: Duration) -> Result<(), Elapsed> {
        self.finish();
        while !self.is_flushed() {
            self.stream.room(timeout).await?;
        }
        Ok(())
    }

    /// As [`Transport::shut_down`](crate::transport::Transport::shut_down). What the socket does
    /// not take now is sent while the caller waits to read, and our side ends then.
    pub(crate) fn shut_down(&self) {
        self.finish();
        if let Some(state) = &mut *self.state.borrow_mut() {
            state.has_to_end = true;
        }
        if self.is_flushed() {
            self.stream.shut_down_write();
        }
    }

    /// Puts what is held and the `close_notify` into records.
    fn finish(&self) {
        let Some(state) = &mut *self.state.borrow_mut() else {
            return;
        };
        self.send_held(state);
        if !state.is_broken && state.process_records().is_ok() {
            state.half.close(&mut state.incoming, &mut state.outgoing);
        }
    }

    /// Sends content that waited for more, and nothing followed.
    fn send_held(&self, state: &mut State) {
        if !state.held.is_empty() && !state.is_broken {
            // What the socket does not take is among the records that wait.
            let _ = self.send_gathered(state, &[&[][..]], false);
        }
    }

    /// Sends records that wait. Returns whether none is left, or none will ever be sent.
    fn is_flushed(&self) -> bool {
        match &mut *self.state.borrow_mut() {
            Some(state) if !state.outgoing.is_empty() => state.flush(&self.stream).unwrap_or(true),
            _ => true,
        }
    }

    /// Has the connection end without a word to the peer.
    pub(crate) fn give_up(&self) {
        if let Some(state) = &mut *self.state.borrow_mut() {
            state.is_broken = true;
            state.outgoing = Vec::new();
            state.held = Vec::new();
        }
    }

    /// As [`Transport::poll_ready`](crate::transport::Transport::poll_ready).
    pub(crate) fn poll_ready(
        &self,
        context: &mut Context<'_>,
        direction: Direction,
        deadline: Tick,
    ) -> Poll<Result<(), Elapsed>> {
        if direction == Direction::Read && self.begin_wait(context) {
            return Poll::Ready(Ok(()));
        }
        self.stream.poll_ready(context, direction, deadline)
    }

    /// As [`Transport::poll_report`](crate::transport::Transport::poll_report).
    pub(crate) fn poll_report(
        &self,
        context: &mut Context<'_>,
        deadline: Tick,
    ) -> Poll<Result<(), Elapsed>> {
        if let Some(state) = &mut *self.state.borrow_mut() {
            self.send_before_wait(state, context);
        }
        self.stream.poll_ready(context, Direction::Read, deadline)
    }

    /// Whether the next [`receive`](Self::receive) has something without a further octet from the socket.
    pub(crate) fn has_something(&self) -> bool {
        let state = self.state.borrow();
        state.as_ref().is_some_and(State::has_something)
    }

    /// Before a wait to read: sends records that waited for content to go with them, such as session
    /// tickets. Returns whether there is no need to wait.
    pub(crate) fn begin_wait(&self, context: &mut Context<'_>) -> bool {
        let Some(state) = &mut *self.state.borrow_mut() else {
            return false;
        };
        let has_something = state.has_something();
        if !has_something {
            self.send_before_wait(state, context);
        }
        has_something
    }

    /// Sends content and records that waited for more to go with them. What the socket does not take now is sent
    /// by a later call: the task of `context` is woken when there is room.
    fn send_before_wait(&self, state: &mut State, context: &mut Context<'_>) {
        self.send_held(state);
        if state.outgoing.is_empty() {
            return;
        }
        // While content is unreported, its caller waits for room and sends it again: that flushes, too.
        while state.unreported == 0 || state.has_to_end {
            match state.flush(&self.stream) {
                Ok(true) if state.has_to_end => {
                    self.stream.shut_down_write();
                    return;
                }
                Ok(false) => {
                    let ready = self
                        .stream
                        .poll_ready(context, Direction::Write, Tick::NEVER);
                    // If the system does not watch the socket, a later call sends it.
                    if !matches!(ready, Poll::Ready(Ok(()))) {
                        return;
                    }
                }
                // The next read finds what is wrong.
                Ok(true) | Err(_) => return,
            }
        }
    }
}
