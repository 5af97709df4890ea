//! Asks an instance whether it is ready, again and again, on a thread of its own.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::address::UpstreamAddress;
use crate::config::model::App;
use crate::http::method::Method;
use crate::http::received_response::{ReceivedFraming, ReceivedHead, line_space};

/// The pause after the first try; each one after it is half as long again, up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// How long one try may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the rest of a good answer may take. Its status has said enough; the instance may complain if it
/// cannot send the rest.
const REST_PATIENCE: Duration = Duration::from_secs(1);

/// How many octets of an answer are read.
const LONGEST_ANSWER: usize = 1024 * 1024;

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
                stream.set_write_timeout(Some(PATIENCE))?;
                self.request_by(&stream, |left| stream.set_read_timeout(Some(left)))
            }
            UpstreamAddress::Ip(address) => {
                let stream = TcpStream::connect_timeout(address, PATIENCE)?;
                stream.set_write_timeout(Some(PATIENCE))?;
                self.request_by(&stream, |left| stream.set_read_timeout(Some(left)))
            }
            // Does not occur: an instance listens at an IP address or a Unix socket.
            UpstreamAddress::Localhost { .. }
            | UpstreamAddress::Name { .. }
            | UpstreamAddress::Srv { .. } => Ok(false),
        }
    }

    /// Sends the request by `stream`, and reads its answer; `set_patience` says how long a read may take.
    fn request_by(
        &self,
        mut stream: impl Read + Write,
        set_patience: impl Fn(Duration) -> io::Result<()>,
    ) -> io::Result<bool> {
        let Some(request) = &self.request else {
            return Ok(true);
        };
        set_patience(PATIENCE)?;
        stream.write_all(request.as_bytes())?;
        let mut line = [0; "HTTP/1.1 200".len()];
        stream.read_exact(&mut line)?;
        if !is_good(&line) {
            return Ok(false);
        }
        // The status decides. An instance that leaves the connection open is ready all the same.
        let _ = read_rest(line.to_vec(), stream, set_patience);
        Ok(true)
    }
}

/// Reads what follows `answer`, until that is whole, too long or too late.
fn read_rest(
    mut answer: Vec<u8>,
    mut stream: impl Read,
    set_patience: impl Fn(Duration) -> io::Result<()>,
) -> io::Result<()> {
    let deadline = Instant::now() + REST_PATIENCE;
    let mut read = [0; 4096];
    while answer.len() < LONGEST_ANSWER && !is_whole(&answer) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        set_patience(left)?;
        match stream.read(&mut read)? {
            0 => break,
            count => answer.extend_from_slice(&read[..count]),
        }
    }
    Ok(())
}

/// Whether `answer` has as much content as its head announces.
fn is_whole(answer: &[u8]) -> bool {
    let mut space = line_space();
    let Ok(Some(head)) = ReceivedHead::parse(answer, &mut space, Method::Get) else {
        return false;
    };
    let content = (answer.len() - head.length) as u64;
    match head.framing {
        ReceivedFraming::Empty => true,
        ReceivedFraming::Length(length) => content >= length,
        ReceivedFraming::Chunked | ReceivedFraming::Close => false,
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
    use std::net::TcpListener;

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

    /// It asked until the instance closed, and nothing more was asked within `ready_timeout`.
    #[test]
    fn an_instance_that_leaves_the_connection_open_is_ready() {
        for answer in [
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
            "HTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.1 302 Found",
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
            let address = listener.local_addr().expect("an address");
            let probe = Probe {
                address: UpstreamAddress::Ip(address),
                request: Some("GET / HTTP/1.1\r\n\r\n".to_owned()),
                is_over: Arc::default(),
            };
            let asking = std::thread::spawn(move || probe.wait());
            let (mut stream, _) = listener.accept().expect("a connection");
            stream
                .set_read_timeout(Some(PATIENCE / 2))
                .expect("a timeout");
            stream.write_all(answer.as_bytes()).expect("a peer");
            // To the end: the probe leaves first.
            let mut request = Vec::new();
            let left = stream.read_to_end(&mut request);
            assert!(left.is_ok(), "{answer:?}: {left:?}");
            assert!(asking.join().expect("no panic"), "{answer:?}");
        }
    }

    #[test]
    fn an_answer_is_whole_with_the_content_that_it_announces() {
        for (answer, expected) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no", false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n", false),
            ("HTTP/1.1 204 No Content\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nok", false),
            ("HTTP/1.1 200 OK\r\n\r\nContent-Length: 2", false),
        ] {
            assert_eq!(is_whole(answer.as_bytes()), expected, "{answer}");
        }
    }
}
