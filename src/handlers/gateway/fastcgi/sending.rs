//! A request on its way to the application server: records, how much of them is sent, and whether
//! they can be sent again.
//!
//! No I/O: the caller passes the function that sends.

use std::io;

use super::record;

/// A request on its way.
pub(super) struct Sending {
    /// Records for the application server.
    outgoing: Vec<u8>,
    /// How much of `outgoing` has been sent.
    sent: usize,
    /// `outgoing` still holds everything that was sent.
    is_whole: bool,
    phase: Phase,
}

/// How much of the request has been pushed, and whether it is still taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// More of its content follows.
    Asking,
    /// The end of its content is in `outgoing`, or sent.
    Asked,
    /// The application server takes nothing more. It may have responded all the same.
    Refused { was_asked: bool },
}

/// The result of an attempt to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// Some octets went out.
    Some,
    /// There was nothing to send, or no room for it.
    Nothing,
    /// The connection has just begun to take nothing more.
    Refused,
}

impl Sending {
    /// A request that begins with the records in `request`; its content is still to come.
    pub(super) fn new(request: Vec<u8>) -> Self {
        Self {
            outgoing: request,
            sent: 0,
            is_whole: true,
            phase: Phase::Asking,
        }
    }

    /// Adds content, and the end of the content unless it `goes_on`.
    pub(super) fn push_content(&mut self, block: &[u8], goes_on: bool) {
        if self.sent > 0 && self.sent == self.outgoing.len() {
            self.is_whole = false;
            self.outgoing.clear();
            self.sent = 0;
        }
        record::push_content(block, &mut self.outgoing);
        if !goes_on {
            record::push_end_of_content(&mut self.outgoing);
            self.phase = match self.phase {
                Phase::Asking | Phase::Asked => Phase::Asked,
                Phase::Refused { .. } => Phase::Refused { was_asked: true },
            };
        }
    }

    /// Sends what `send` takes without waiting.
    pub(super) fn advance(&mut self, send: impl FnOnce(&[u8]) -> io::Result<usize>) -> Sent {
        if !self.has_more() {
            return Sent::Nothing;
        }
        match send(&self.outgoing[self.sent..]) {
            Ok(count) => {
                self.sent += count;
                Sent::Some
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Sent::Nothing,
            Err(_) => {
                self.phase = Phase::Refused {
                    was_asked: self.is_asked(),
                };
                Sent::Refused
            }
        }
    }

    /// Whether records wait for room in the socket.
    pub(super) fn has_more(&self) -> bool {
        self.sent < self.outgoing.len() && !self.is_refused()
    }

    /// Whether further content is to be pushed.
    pub(super) fn wants_content(&self) -> bool {
        self.phase == Phase::Asking
    }

    /// Whether all of the request's content has been pushed.
    pub(super) fn is_asked(&self) -> bool {
        match self.phase {
            Phase::Asking => false,
            Phase::Asked => true,
            Phase::Refused { was_asked } => was_asked,
        }
    }

    /// Whether the whole request has been sent.
    pub(super) fn has_sent_all(&self) -> bool {
        self.phase == Phase::Asked && self.sent == self.outgoing.len()
    }

    /// Whether the request can be sent again from its beginning.
    pub(super) fn is_repeatable(&self) -> bool {
        self.is_whole
    }

    /// Begins again from the request's first octet, on another connection.
    pub(super) fn repeat(&mut self) {
        self.sent = 0;
        if let Phase::Refused { was_asked } = self.phase {
            self.phase = if was_asked {
                Phase::Asked
            } else {
                Phase::Asking
            };
        }
    }

    fn is_refused(&self) -> bool {
        matches!(self.phase, Phase::Refused { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends up to `room` octets; what went out is appended to `out`.
    fn take(room: usize, out: &mut Vec<u8>) -> impl FnOnce(&[u8]) -> io::Result<usize> {
        move |octets| {
            let count = octets.len().min(room);
            out.extend_from_slice(&octets[..count]);
            match count {
                0 => Err(io::ErrorKind::WouldBlock.into()),
                count => Ok(count),
            }
        }
    }

    fn refuse(_: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    #[test]
    fn sends_all_in_order_however_little_is_taken() {
        let (mut sending, mut out) = (Sending::new(b"head".to_vec()), Vec::new());
        assert!(sending.wants_content() && sending.has_more());
        assert_eq!(sending.advance(take(3, &mut out)), Sent::Some);
        assert_eq!(sending.advance(take(0, &mut out)), Sent::Nothing);
        sending.push_content(b"12345678", false);
        assert!(sending.is_asked() && !sending.wants_content() && !sending.has_sent_all());
        assert_eq!(sending.advance(take(usize::MAX, &mut out)), Sent::Some);
        assert_eq!(sending.advance(take(usize::MAX, &mut out)), Sent::Nothing);
        assert!(sending.has_sent_all() && sending.is_repeatable());
        let mut expected = b"head".to_vec();
        record::push_content(b"12345678", &mut expected);
        record::push_end_of_content(&mut expected);
        assert_eq!(out, expected);
        sending.repeat();
        let mut again = Vec::new();
        sending.advance(take(usize::MAX, &mut again));
        assert_eq!(again, expected);
    }

    #[test]
    fn content_that_was_sent_and_let_go_of_cannot_be_repeated() {
        let (mut sending, mut out) = (Sending::new(b"head".to_vec()), Vec::new());
        sending.push_content(b"first", true);
        assert!(sending.is_repeatable());
        sending.advance(take(usize::MAX, &mut out));
        sending.push_content(b"second", false);
        assert!(!sending.is_repeatable());
    }

    #[test]
    fn a_refusal_is_known_once_and_ends_with_another_connection() {
        for goes_on in [true, false] {
            let mut sending = Sending::new(b"head".to_vec());
            sending.push_content(b"a", goes_on);
            assert_eq!(sending.advance(refuse), Sent::Refused);
            assert_eq!(sending.advance(refuse), Sent::Nothing);
            assert!(!sending.has_more() && !sending.wants_content() && !sending.has_sent_all());
            assert_eq!(sending.is_asked(), !goes_on);
            sending.repeat();
            assert!(sending.has_more());
            assert_eq!(sending.wants_content(), goes_on);
            assert_eq!(sending.is_asked(), !goes_on);
        }
    }
}
