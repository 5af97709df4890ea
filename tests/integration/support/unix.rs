//! A client at a Unix socket: the control socket's, or a listener's.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::{Events, Response, SAFETY};

/// A connection that persists.
pub(crate) struct UnixClient(BufReader<UnixStream>);

impl UnixClient {
    pub(crate) fn connect(path: &Path) -> Self {
        let stream = UnixStream::connect(path).expect("the server listens");
        for set in [UnixStream::set_read_timeout, UnixStream::set_write_timeout] {
            set(&stream, Some(SAFETY)).expect("it is not zero");
        }
        Self(BufReader::new(stream))
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let sent = self.0.get_mut().write_all(bytes.as_ref());
        sent.expect("the server reads");
    }

    pub(crate) fn response(&mut self) -> Response {
        Response::read(&mut self.0, false).expect("a response, not the end of the connection")
    }

    /// Reads the head of the next response; the caller reads the content.
    pub(crate) fn response_head(&mut self) -> Response {
        Response::read_head(&mut self.0).expect("a response, not the end of the connection")
    }

    /// Reads the head of the next response, whose content is events.
    pub(crate) fn events(self) -> (Response, Events) {
        Events::of(self.0)
    }

    /// Reads the next chunk of content that comes in chunks; `None` at its end.
    pub(crate) fn chunk(&mut self) -> Option<Vec<u8>> {
        let mut size = String::new();
        self.0.read_line(&mut size).expect("a chunk in time");
        let size = usize::from_str_radix(size.trim_end(), 16);
        let size = size.expect("a hexadecimal number");
        let mut chunk = vec![0; size + 2];
        self.0.read_exact(&mut chunk).expect("all of a chunk");
        assert!(chunk.ends_with(b"\r\n"), "a chunk ends in CRLF");
        chunk.truncate(size);
        (size > 0).then_some(chunk)
    }

    /// Sends a GET that asks for JSON, as programs do, and reads the response.
    pub(crate) fn exchange(&mut self, method: &str, target: &str) -> Response {
        self.send(format!(
            "{method} {target} HTTP/1.1\r\nHost: h\r\nAccept: application/json\r\n\r\n"
        ));
        self.response()
    }
}
