//! The server behind the proxies that are measured: its answers are as large as their path says.
//!
//! `/612.html` is answered with 612 octets, `/100k.html` with 100 KiB, `/10g.bin` with 10 GiB: of the text
//! in a file, if one is named, which is worth compressing. Content of
//! a request is taken, if its length is announced, and dropped. A request to upgrade is answered 101, and
//! from then on every octet comes back. It answers one request of a connection after the other.

use std::io::IoSlice;
use std::os::fd::OwnedFd;

use httparse::{Request, Status};
use rustix::io::{Errno, writev};
use rustix::net::{RecvFlags, recv};

use crate::serving::{Next, Peer};

/// Fields in a head; with more, the connection is closed.
const MAX_FIELDS: usize = 64;

/// The longest head; with a longer one, the connection is closed.
const MAX_HEAD: usize = 64 * 1024;

/// Octets read in one call, and of content written in one.
const BUFFER: usize = 256 * 1024;

/// What stands in an answer beside its length, as a file server says it; the dates are canned.
const FIELDS: &str = "Server: floor\r\n\
    Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n\
    Content-Type: text/html; charset=utf-8\r\n\
    Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n\
    ETag: \"18867b0c3a6d8000-264\"\r\n\
    Accept-Ranges: bytes\r\n";

/// The answer to every handshake; its key is canned, which only a client would check.
const UPGRADED: &str = "HTTP/1.1 101 Switching Protocols\r\n\
    Connection: Upgrade\r\n\
    Upgrade: websocket\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// What all connections use.
pub(crate) struct Shared {
    buffer: Vec<u8>,
    /// What answers hold, over and over.
    content: Vec<u8>,
}

impl Shared {
    /// Answers that hold `text` over and over; without any, the letter x.
    pub(crate) fn of(text: &[u8]) -> Self {
        let text = if text.is_empty() { b"x" } else { text };
        Self {
            buffer: vec![0; BUFFER],
            content: text.repeat(BUFFER.div_ceil(text.len())),
        }
    }
}

/// What a connection is at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// The next head.
    Head,
    /// Content of a request, of which `missing` octets are to come; then its answer, with so much content.
    Content { missing: u64, answer: u64 },
    /// An upgraded connection.
    Echo,
}

/// One proxy's connection.
pub(crate) struct Upstream {
    socket: OwnedFd,
    state: State,
    /// What was read and not used: the beginning of a head, or a request behind another.
    begun: Vec<u8>,
    /// Octets that are ready to be sent: a head, or an echo.
    ready: Vec<u8>,
    /// Octets of content to be sent behind them.
    content: u64,
    /// Where they begin in the content that all answers hold.
    at: usize,
    is_last: bool,
}

/// What a head asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Asked {
    /// Octets of the head.
    head: usize,
    /// Octets of content behind it.
    content: u64,
    /// Octets of content of the answer.
    answer: u64,
    is_upgrade: bool,
    is_last: bool,
}

impl Peer for Upstream {
    type Shared = Shared;

    fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            state: State::Head,
            begun: Vec::new(),
            ready: Vec::new(),
            content: 0,
            at: 0,
            is_last: false,
        }
    }

    fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    fn is_owing(&self) -> bool {
        !self.ready.is_empty() || self.content > 0
    }

    fn proceed(&mut self, shared: &mut Shared) -> Next {
        loop {
            match self.send(&shared.content) {
                Next::Read => {}
                other => return other,
            }
            let count = match recv(&self.socket, &mut *shared.buffer, RecvFlags::empty()) {
                Ok((0, _)) => return Next::Close,
                Ok((count, _)) => count,
                Err(Errno::AGAIN) => return Next::Read,
                Err(Errno::INTR) => continue,
                Err(_) => return Next::Close,
            };
            if !self.take(&shared.buffer[..count]) {
                return Next::Close;
            }
            if count < shared.buffer.len() && !self.is_owing() {
                return Next::Read;
            }
        }
    }
}

impl Upstream {
    /// Takes what was read; false if it is no request.
    fn take(&mut self, input: &[u8]) -> bool {
        if let State::Content { missing, answer } = self.state
            && missing >= input.len() as u64
        {
            // Much content is counted without being copied.
            self.miss(missing - input.len() as u64, answer);
            return true;
        }
        self.begun.extend_from_slice(input);
        self.advance()
    }

    /// Uses what was read, up to an answer that has to be sent first; false if it is no request.
    fn advance(&mut self) -> bool {
        while !self.begun.is_empty() && !self.is_owing() {
            match self.state {
                State::Echo => self.ready.append(&mut self.begun),
                State::Content { missing, answer } => {
                    let here = self.begun.len() as u64;
                    self.begun.drain(..missing.min(here) as usize);
                    self.miss(missing - missing.min(here), answer);
                }
                State::Head => match parse(&self.begun) {
                    Some(Status::Complete(asked)) => self.begin(asked),
                    Some(Status::Partial) => return self.begun.len() <= MAX_HEAD,
                    None => return false,
                },
            }
        }
        true
    }

    fn begin(&mut self, asked: Asked) {
        self.begun.drain(..asked.head);
        self.is_last = asked.is_last;
        if asked.is_upgrade {
            self.state = State::Echo;
            self.ready.extend_from_slice(UPGRADED.as_bytes());
        } else {
            self.miss(asked.content, asked.answer);
        }
    }

    /// Notes how much content is still to come; when there is none, the answer is due.
    fn miss(&mut self, missing: u64, answer: u64) {
        if missing > 0 {
            self.state = State::Content { missing, answer };
            return;
        }
        self.state = State::Head;
        let close = if self.is_last {
            "Connection: close\r\n"
        } else {
            ""
        };
        let head = format!("HTTP/1.1 200 OK\r\n{FIELDS}{close}Content-Length: {answer}\r\n\r\n");
        self.ready.extend_from_slice(head.as_bytes());
        self.content = answer;
        self.at = 0;
    }

    /// Sends what is owed, and then answers the requests that were read meanwhile.
    fn send(&mut self, content: &[u8]) -> Next {
        while self.is_owing() {
            let rest = &content[self.at..];
            let length = self.content.min(rest.len() as u64) as usize;
            let parts = [IoSlice::new(&self.ready), IoSlice::new(&rest[..length])];
            match writev(&self.socket, &parts) {
                Ok(count) => self.sent(count, content.len()),
                Err(Errno::AGAIN) => return Next::Write,
                Err(Errno::INTR) => continue,
                Err(_) => return Next::Close,
            }
            if self.is_owing() {
                continue;
            }
            if self.is_last || !self.advance() {
                return Next::Close;
            }
        }
        Next::Read
    }

    /// Notes that so many of the octets owed were taken; the content of all answers has `whole` octets.
    fn sent(&mut self, count: usize, whole: usize) {
        let head = count.min(self.ready.len());
        self.ready.drain(..head);
        self.content -= (count - head) as u64;
        self.at = (self.at + count - head) % whole;
    }
}

/// One head: what it asks for. None if it is none.
fn parse(input: &[u8]) -> Option<Status<Asked>> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut request = Request::new(&mut fields);
    let Status::Complete(head) = request.parse(input).ok()? else {
        return Some(Status::Partial);
    };
    let field = |name: &str| {
        let mut fields = request.headers.iter();
        fields
            .find(|field| field.name.eq_ignore_ascii_case(name))
            .map(|field| field.value)
    };
    let content = match field("content-length") {
        Some(value) => std::str::from_utf8(value).ok()?.parse().ok()?,
        None => 0,
    };
    let is_last = field("connection").is_some_and(|value| value.eq_ignore_ascii_case(b"close"));
    Some(Status::Complete(Asked {
        head,
        content,
        answer: size(request.path?),
        is_upgrade: field("upgrade").is_some(),
        is_last: is_last || request.version == Some(0),
    }))
}

/// The number of octets that a path stands for: digits and a unit; 0 without digits.
fn size(path: &str) -> u64 {
    let name = path.trim_start_matches('/');
    let end = name
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(name.len());
    let (digits, rest) = name.split_at(end);
    let unit = match rest.as_bytes().first() {
        Some(b'k') => 1 << 10,
        Some(b'm') => 1 << 20,
        Some(b'g') => 1 << 30,
        _ => 1,
    };
    digits
        .parse::<u64>()
        .map_or(0, |number| number.saturating_mul(unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_how_much_comes() {
        for (path, expected) in [
            ("/612.html", 612),
            ("/100k.html", 100 * 1024),
            ("/10g.bin", 10 * 1024 * 1024 * 1024),
            ("/7", 7),
            ("/", 0),
        ] {
            assert_eq!(size(path), expected, "{path}");
        }
    }

    #[test]
    fn reads_heads() {
        let request = "POST /2k HTTP/1.1\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
        let expected = Asked {
            head: request.len() - 5,
            content: 5,
            answer: 2048,
            is_upgrade: false,
            is_last: true,
        };
        assert_eq!(parse(request.as_bytes()), Some(Status::Complete(expected)));
        assert_eq!(parse(b"GET / HTTP/1.1\r\n"), Some(Status::Partial));
        assert_eq!(parse(b"nonsense\r\n\r\n"), None);
    }
}
