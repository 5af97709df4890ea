//! The state of a session, between the octets of the caller and those of the socket.

use std::io;

use super::half::{Advance, Half, broken};
use super::records::{count_records, has_record, record_length};
use crate::runtime::Stream;

/// How many records without content a peer may send, and how many with content earn it another one. Updates
/// of keys cost more than they are long, session tickets are few, and no peer needs many of either.
const MAX_WITHOUT_CONTENT: usize = 1024;
const CONTENT_FOR_ONE: usize = 16;

/// The session, and what is between it and its two sides.
pub(super) struct State {
    pub(super) half: Half,
    /// What has come of a record that is not whole, or of a message of the handshake whose records have not
    /// all come, or records for which the caller had no room.
    pub(super) incoming: Vec<u8>,
    /// A whole record is in `incoming` that rustls has not looked at. One that rustls has looked at stays
    /// there, too, if it holds a part of a message of the handshake, until the records with the rest come.
    pub(super) has_unread: bool,
    /// Content that was decrypted and for which the caller had no room.
    pub(super) plain: Vec<u8>,
    /// Records that the socket has not taken.
    pub(super) outgoing: Vec<u8>,
    /// Octets of content that are in `outgoing`. The caller has not been told that they are sent: it
    /// waits, as for a socket that takes nothing, and then sends the same octets again.
    pub(super) unreported: usize,
    /// Content that counts as sent, and waits for more to go into the same records.
    pub(super) held: Vec<u8>,
    /// Octets sent since the peer sent something.
    pub(super) sent: usize,
    /// Records that came without content and with it.
    without_content: usize,
    with_content: usize,
    /// Our side of the connection ends when `outgoing` is sent.
    pub(super) has_to_end: bool,
    /// The peer has ended its side in order.
    pub(super) is_ended: bool,
    /// The session has failed: nothing more can be received or sent.
    pub(super) is_broken: bool,
}

impl State {
    pub(super) fn new(half: Half, incoming: Vec<u8>) -> Self {
        Self {
            half,
            incoming,
            has_unread: false,
            plain: Vec::new(),
            outgoing: Vec::new(),
            unreported: 0,
            held: Vec::new(),
            sent: 0,
            without_content: 0,
            with_content: 0,
            has_to_end: false,
            is_ended: false,
            is_broken: false,
        }
    }

    /// Does what there is to do without further records, and puts the records of our own that this gives
    /// into `outgoing`.
    pub(super) fn process_records(&mut self) -> io::Result<()> {
        let mut at = 0;
        let processed = loop {
            let plain = &mut self.plain;
            let mut keep = |octets: &[u8]| plain.extend_from_slice(octets);
            let input = &mut self.incoming[at..];
            let (used, advance) = self.half.advance(input, &mut keep, &mut self.outgoing);
            at += used;
            match advance {
                Ok(Advance::More) => {}
                Ok(Advance::Waiting) => break Ok(()),
                Ok(Advance::PeerClosed) => self.is_ended = true,
                Err(error) => break Err(error),
            }
        };
        self.incoming.drain(..at);
        self.has_unread = false;
        processed.map_err(|error| self.fail(error))
    }

    /// Takes note that the session has failed. The alert that tells the peer why is put into `outgoing`.
    pub(super) fn fail(&mut self, error: rustls::Error) -> io::Error {
        self.is_broken = true;
        // The alert may stand behind messages of the handshake, as behind a ServerHello. Without input, because
        // rustls must not look again at the record that failed.
        let mut ignore = |_: &[u8]| {};
        while self.half.common().wants_write() {
            let advanced = self.half.advance(&mut [], &mut ignore, &mut self.outgoing);
            if !matches!(advanced, (_, Ok(Advance::More))) {
                break;
            }
        }
        broken(error)
    }

    /// Sends what is in `outgoing`. Returns whether the socket took all of it.
    ///
    /// # Errors
    /// If the connection is broken.
    pub(super) fn flush(&mut self, stream: &Stream) -> io::Result<bool> {
        while !self.outgoing.is_empty() {
            match stream.try_send(&self.outgoing, false) {
                Ok(count) if count == self.outgoing.len() => self.outgoing = Vec::new(),
                Ok(count) => drop(self.outgoing.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Whether the next [`Session::receive`](super::session::Session::receive) has something
    /// without a further octet from the socket.
    pub(super) fn has_something(&self) -> bool {
        !self.plain.is_empty() || self.is_ended || self.is_broken || self.has_unread
    }

    /// Moves content that was decrypted before to `buffer`.
    pub(super) fn take_plain(&mut self, buffer: &mut [u8]) -> usize {
        let count = self.plain.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.plain[..count]);
        self.plain.drain(..count);
        if self.plain.is_empty() {
            self.plain = Vec::new();
        }
        count
    }

    /// Decrypts the records in `input` into `buffer`, up to the one that may have no room in it;
    /// but the first in any case, and what of it has no room is kept. Returns how many octets of
    /// `input` are used, and how many octets of content there are; or that the peer sends hardly
    /// any.
    pub(super) fn decrypt(
        &mut self,
        input: &mut [u8],
        buffer: &mut [u8],
    ) -> (usize, Result<usize, rustls::Error>) {
        let before = count_records(input);
        let mut with_content = 0;
        let (used, count) = self.decrypt_records(input, buffer, &mut with_content);
        let taken = before - count_records(&input[used..]).min(before);
        self.with_content += with_content;
        self.without_content += taken.saturating_sub(with_content);
        let most = MAX_WITHOUT_CONTENT + self.with_content / CONTENT_FOR_ONE;
        if count.is_ok() && self.without_content > most {
            let reason = rustls::PeerMisbehaved::TooManyKeyUpdateRequests;
            return (used, Err(reason.into()));
        }
        (used, count)
    }

    /// [`decrypt`](Self::decrypt), which counts the records `with_content`.
    fn decrypt_records(
        &mut self,
        input: &mut [u8],
        buffer: &mut [u8],
        with_content: &mut usize,
    ) -> (usize, Result<usize, rustls::Error>) {
        let mut used = 0;
        let mut count = 0;
        self.has_unread = false;
        loop {
            let plain = &mut self.plain;
            let mut take = |octets: &[u8]| {
                *with_content += usize::from(!octets.is_empty());
                let (now, later) = octets.split_at(octets.len().min(buffer.len() - count));
                buffer[count..count + now.len()].copy_from_slice(now);
                count += now.len();
                plain.extend_from_slice(later);
            };
            let rest = &mut input[used..];
            let (of_rest, advance) = self.half.advance(rest, &mut take, &mut self.outgoing);
            used += of_rest;
            match advance {
                Ok(Advance::More) => {}
                Ok(Advance::Waiting) => return (used, Ok(count)),
                Ok(Advance::PeerClosed) => {
                    self.is_ended = true;
                    return (used, Ok(count));
                }
                Err(error) => return (used, Err(error)),
            }
            let room = buffer.len() - count;
            let is_next_too_large = record_length(&input[used..]).is_some_and(|next| next > room);
            if count > 0 && is_next_too_large {
                self.has_unread = has_record(&input[used..]);
                return (used, Ok(count));
            }
        }
    }
}
