//! A client at a Unix socket: the control socket's, or a listener's.

use std::io::{BufReader, Write as _};
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

    /// Reads the head of the next response; the caller reads no more.
    pub(crate) fn response_head(&mut self) -> Response {
        Response::read_head(&mut self.0).expect("a response, not the end of the connection")
    }

    /// Reads the head of the next response, whose content is events.
    pub(crate) fn events(self) -> (Response, Events) {
        Events::of(self.0)
    }

    /// Sends a GET that asks for JSON, as programs do, and reads the response.
    pub(crate) fn exchange(&mut self, method: &str, target: &str) -> Response {
        self.send(format!(
            "{method} {target} HTTP/1.1\r\nHost: h\r\nAccept: application/json\r\n\r\n"
        ));
        self.response()
    }
}
