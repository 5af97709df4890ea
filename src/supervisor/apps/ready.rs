//! Asks an instance whether it is ready, again and again, on a thread of its own.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::address::UpstreamAddress;
use crate::config::model::App;

/// The pause after the first try; each one after it is half as long again, up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// How long one try may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many octets of an answer are read.
const LONGEST_ANSWER: u64 = 1024 * 1024;

/// The question whether an instance is ready.
pub(super) struct Probe {
    address: UpstreamAddress,
    /// The request for `ready`; `None`: a connection says enough.
    request: Option<String>,
    /// Whether the manager has given up waiting for the instance.
    is_over: Arc<AtomicBool>,
}

impl Probe {
    /// Asks the instance of `app` at `address`, until `is_over`.
    pub(super) fn new(app: &App, address: UpstreamAddress, is_over: Arc<AtomicBool>) -> Self {
        let host = &app.ready_host;
        let request = app.ready.as_ref().map(|path| {
            format!(
                "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: tidegate\r\nAccept: */*\r\nConnection: close\r\n\r\n"
            )
        });
        Self {
            address,
            request,
            is_over,
        }
    }

    /// Waits until the instance is ready. Returns false if the manager has given up
    /// waiting for it.
    pub(super) fn wait(&self) -> bool {
        let mut pause = FIRST_PAUSE;
        while !self.is_over.load(Ordering::Relaxed) {
            if self.ask().unwrap_or(false) {
                return true;
            }
            std::thread::sleep(pause);
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
        }
        false
    }

    fn ask(&self) -> io::Result<bool> {
        match &self.address {
            UpstreamAddress::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                self.request_by(stream)
            }
            UpstreamAddress::Ip(address) => {
                let stream = TcpStream::connect_timeout(address, PATIENCE)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                self.request_by(stream)
            }
            UpstreamAddress::Name { .. } | UpstreamAddress::Srv { .. } => Ok(false),
        }
    }

    fn request_by(&self, mut stream: impl Read + Write) -> io::Result<bool> {
        let Some(request) = &self.request else {
            return Ok(true);
        };
        stream.write_all(request.as_bytes())?;
        let mut line = [0; "HTTP/1.1 200".len()];
        stream.read_exact(&mut line)?;
        if !is_good(&line) {
            return Ok(false);
        }
        // An application may complain if it cannot send all of its answer.
        let _ = io::copy(&mut stream.take(LONGEST_ANSWER), &mut io::sink());
        Ok(true)
    }
}

/// Whether a status line begins so that an instance is ready: 2xx or 3xx.
fn is_good(line: &[u8]) -> bool {
    let status = line.strip_prefix(b"HTTP/1.1 ");
    let status = status.or_else(|| line.strip_prefix(b"HTTP/1.0 "));
    matches!(status, Some([b'2' | b'3', b'0'..=b'9', b'0'..=b'9']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_2xx_and_3xx_are_good() {
        for (line, expected) in [
            ("HTTP/1.1 200", true),
            ("HTTP/1.0 301", true),
            ("HTTP/1.1 404", false),
            ("HTTP/1.1 503", false),
            ("HTTP/2.0 200", false),
            ("SSH-2.0-Open", false),
        ] {
            assert_eq!(is_good(line.as_bytes()), expected, "{line}");
        }
    }
}
