//! A request on its way to the upstream: its octets, and how much of them is sent.
//!
//! No I/O: the caller passes the function that sends.

use std::io;
use std::mem::take;

/// A request on its way.
pub(super) struct Sending {
    /// Octets for the upstream. Empty once all of them are sent, because the upstream may then take its
    /// time.
    outgoing: Vec<u8>,
    /// How much of `outgoing` has been sent.
    sent: usize,
    phase: Phase,
}

/// How much of the request has been pushed, and whether it is still taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// More of its content follows.
    Asking,
    /// The end of its content is in `outgoing`, or sent.
    Asked,
    /// The upstream takes nothing more, or gets nothing more. It may have responded all the same.
    Stopped { was_asked: bool },
}

/// The result of an attempt to send.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// Some octets went out, and others are left.
    Some,
    /// All went out. The buffer that they were in.
    All(Vec<u8>),
    /// There was nothing to send, or no room for it.
    Nothing,
    /// The connection has just begun to take nothing more.
    Refused,
}

impl Sending {
    /// A request that begins with the octets of `request`; its content is still to come.
    pub(super) fn new(request: Vec<u8>) -> Self {
        Self {
            outgoing: request,
            sent: 0,
            phase: Phase::Asking,
        }
    }

    /// Adds content, which `push` appends; the end of the content is with it unless it `goes_on`.
    pub(super) fn push_content(&mut self, goes_on: bool, push: impl FnOnce(&mut Vec<u8>)) {
        push(&mut self.outgoing);
        if !goes_on {
            self.phase = match self.phase {
                Phase::Asking | Phase::Asked => Phase::Asked,
                Phase::Stopped { .. } => Phase::Stopped { was_asked: true },
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
                if self.sent < self.outgoing.len() {
                    return Sent::Some;
                }
                self.sent = 0;
                Sent::All(take(&mut self.outgoing))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Sent::Nothing,
            Err(_) => {
                self.stop();
                Sent::Refused
            }
        }
    }

    /// Sends nothing more.
    pub(super) fn stop(&mut self) {
        self.phase = Phase::Stopped {
            was_asked: self.is_asked(),
        };
    }

    /// Whether octets wait for room in the socket.
    pub(super) fn has_more(&self) -> bool {
        self.sent < self.outgoing.len() && !matches!(self.phase, Phase::Stopped { .. })
    }

    /// Whether all of the request has been sent.
    pub(super) fn is_sent(&self) -> bool {
        self.phase == Phase::Asked && !self.has_more()
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
            Phase::Stopped { was_asked } => was_asked,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends up to `room` octets; what went out is appended to `out`.
    fn send_up_to(room: usize, out: &mut Vec<u8>) -> impl FnOnce(&[u8]) -> io::Result<usize> {
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
        assert_eq!(sending.advance(send_up_to(3, &mut out)), Sent::Some);
        assert_eq!(sending.advance(send_up_to(0, &mut out)), Sent::Nothing);
        sending.push_content(true, |out| out.extend_from_slice(b"1234"));
        let sent = sending.advance(send_up_to(usize::MAX, &mut out));
        assert_eq!(sent, Sent::All(b"head1234".to_vec()));
        assert!(sending.wants_content() && !sending.has_more());
        sending.push_content(false, |out| out.extend_from_slice(b"5678."));
        assert!(sending.is_asked() && !sending.wants_content() && sending.has_more());
        let sent = sending.advance(send_up_to(usize::MAX, &mut out));
        assert_eq!(sent, Sent::All(b"5678.".to_vec()));
        assert_eq!(
            sending.advance(send_up_to(usize::MAX, &mut out)),
            Sent::Nothing
        );
        assert_eq!(out, b"head12345678.");
    }

    #[test]
    fn a_refusal_is_known_once() {
        for goes_on in [true, false] {
            let mut sending = Sending::new(b"head".to_vec());
            sending.push_content(goes_on, |out| out.push(b'a'));
            assert_eq!(sending.advance(refuse), Sent::Refused);
            assert_eq!(sending.advance(refuse), Sent::Nothing);
            assert!(!sending.has_more() && !sending.wants_content());
            assert_eq!(sending.is_asked(), !goes_on);
        }
    }
}
