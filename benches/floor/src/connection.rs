//! A connection: read, parse, answer, in as few system calls as there can be.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

use httparse::{Request, Status};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::answer::{Answers, Persistence};
use crate::serving::{Next, Peer};

/// Fields in a head; with more, the connection is closed.
const MAX_FIELDS: usize = 64;

/// The longest head; with a longer one, the connection is closed.
const MAX_HEAD: usize = 16 * 1024;

/// The size of the buffer all connections are read into; a shorter read has drained its socket.
const READ_BUFFER: usize = 64 * 1024;

/// What all connections use.
pub(crate) struct Shared {
    answers: Answers,
    buffer: Vec<u8>,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            answers: Answers::new(),
            buffer: vec![0; READ_BUFFER],
        }
    }
}

/// One peer.
pub(crate) struct Connection {
    socket: OwnedFd,
    /// The beginning of a head that has not come whole; nearly always empty, and then without memory.
    begun: Vec<u8>,
    /// Bytes of answers not sent yet.
    owed: usize,
    persistence: Persistence,
}

impl Peer for Connection {
    type Shared = Shared;

    fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            begun: Vec::new(),
            owed: 0,
            persistence: Persistence::Persist,
        }
    }

    fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    fn is_owing(&self) -> bool {
        self.owed > 0
    }

    /// Sends what is owed first, and takes requests only when nothing is.
    fn proceed(&mut self, shared: &mut Shared) -> Next {
        if self.is_owing() {
            match self.send(&shared.answers) {
                Next::Read => {}
                other => return other,
            }
        }
        self.read(&shared.answers, &mut shared.buffer)
    }
}

impl Connection {
    /// Reads until the socket is drained, and answers.
    fn read(&mut self, answers: &Answers, buffer: &mut [u8]) -> Next {
        loop {
            let count = match recv(&self.socket, &mut *buffer, RecvFlags::empty()) {
                Ok((0, _)) => return Next::Close,
                Ok((count, _)) => count,
                Err(Errno::AGAIN) => return Next::Read,
                Err(Errno::INTR) => continue,
                Err(_) => return Next::Close,
            };
            let next = self.answer(answers, &buffer[..count]);
            if next != Next::Read || count < buffer.len() {
                return next;
            }
        }
    }

    /// Answers every complete request in what was begun and in `input`, with one `send`.
    fn answer(&mut self, answers: &Answers, input: &[u8]) -> Next {
        let Some(requests) = self.take_requests(input) else {
            return Next::Close;
        };
        self.owed += requests * Answers::LENGTH;
        if self.is_owing() {
            self.send(answers)
        } else {
            Next::Read
        }
    }

    /// The number of complete requests; what follows them is kept. None when they are none.
    fn take_requests(&mut self, input: &[u8]) -> Option<usize> {
        if self.begun.is_empty() {
            let (requests, used) = self.count_requests(input)?;
            self.begun.extend_from_slice(&input[used..]);
            return Some(requests);
        }
        let mut whole = std::mem::take(&mut self.begun);
        whole.extend_from_slice(input);
        let (requests, used) = self.count_requests(&whole)?;
        self.begun = whole.split_off(used);
        Some(requests)
    }

    /// The number of complete requests at the start of `input`, and of their bytes.
    fn count_requests(&mut self, input: &[u8]) -> Option<(usize, usize)> {
        let (mut requests, mut used) = (0, 0);
        while used < input.len() && self.persistence == Persistence::Persist {
            match parse(&input[used..])? {
                Status::Complete((length, persistence)) => {
                    requests += 1;
                    used += length;
                    self.persistence = persistence;
                }
                Status::Partial if input.len() - used > MAX_HEAD => return None,
                Status::Partial => break,
            }
        }
        Some((requests, used))
    }

    fn send(&mut self, answers: &Answers) -> Next {
        while self.is_owing() {
            match send(
                &self.socket,
                answers.owed(self.owed, self.persistence),
                SendFlags::NOSIGNAL,
            ) {
                Ok(count) => self.owed -= count,
                Err(Errno::AGAIN) => return Next::Write,
                Err(Errno::INTR) => {}
                Err(_) => return Next::Close,
            }
        }
        match self.persistence {
            Persistence::Persist => Next::Read,
            Persistence::Close => Next::Close,
        }
    }
}

/// One head: its length, and whether another may follow it. None if it is none.
fn parse(input: &[u8]) -> Option<Status<(usize, Persistence)>> {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut request = Request::new(&mut []);
    match request.parse_with_uninit_headers(input, &mut fields).ok()? {
        Status::Partial => Some(Status::Partial),
        Status::Complete(length) => Some(Status::Complete((length, persistence(&request)))),
    }
}

/// HTTP/1.0 closes, and so does `Connection: close`; a list of options is not looked into.
fn persistence(request: &Request<'_, '_>) -> Persistence {
    let is_closing = |field: &httparse::Header<'_>| {
        field.name.eq_ignore_ascii_case("connection") && field.value.eq_ignore_ascii_case(b"close")
    };
    if request.version == Some(0) || request.headers.iter().any(is_closing) {
        Persistence::Close
    } else {
        Persistence::Persist
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(input: &str) -> Option<Option<(usize, Persistence)>> {
        parse(input.as_bytes()).map(|status| match status {
            Status::Complete(found) => Some(found),
            Status::Partial => None,
        })
    }

    #[test]
    fn parses_heads() {
        use Persistence::{Close, Persist};
        for (input, expected) in [
            (
                "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
                Some(Some((27, Persist))),
            ),
            (
                "GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n",
                Some(Some((18, Persist))),
            ),
            (
                "GET / HTTP/1.1\r\nCONNECTION: Close\r\n\r\n",
                Some(Some((37, Close))),
            ),
            ("GET / HTTP/1.0\r\n\r\n", Some(Some((18, Close)))),
            ("GET / HTTP/1.1\r\nHost: a\r\n", Some(None)),
            ("nonsense\r\n\r\n", None),
        ] {
            assert_eq!(outcome(input), expected, "{input:?}");
        }
    }
}
