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
use crate::http::received_response::{ReceivedFraming, ReceivedHead, final_status, line_space};

/// The pause after the first try; each one after it is half as long again, up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// How long the rest of a good answer may take. Its status has said enough; the instance may complain if it
/// cannot send the rest.
const REST_PATIENCE: Duration = Duration::from_secs(1);

/// How many octets an answer has up to the end of its status.
const STATUS_LENGTH: usize = "HTTP/1.1 200".len();

/// How many octets of an answer are read.
const LONGEST_ANSWER: usize = 1024 * 1024;

/// The question whether an instance is ready.
pub(super) struct Probe {
    address: UpstreamAddress,
    /// The request for `ready`; `None`: a connection says enough.
    request: Option<String>,
    /// The instance has to be ready by then. One try may take as long: how long the page takes is for
    /// the operator to say, with `ready_timeout`.
    ready_by: Instant,
    /// Whether the manager has given up waiting for the instance.
    is_over: Arc<AtomicBool>,
}

impl Probe {
    /// Asks the instance of `app` at `address`, which has to be ready by `ready_by`, until `is_over`.
    pub(super) fn new(
        app: &App,
        address: UpstreamAddress,
        ready_by: Instant,
        is_over: Arc<AtomicBool>,
    ) -> Self {
        let host = &app.ready_host;
        let request = app.ready.as_ref().map(|path| {
            format!(
                "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: tidegate\r\nAccept: */*\r\nConnection: close\r\n\r\n"
            )
        });
        Self {
            address,
            request,
            ready_by,
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
        let patience = left_until(self.ready_by)?;
        match &self.address {
            UpstreamAddress::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_write_timeout(Some(patience))?;
                self.request_by(&stream, |left| stream.set_read_timeout(Some(left)))
            }
            UpstreamAddress::Ip(address) => {
                let stream = TcpStream::connect_timeout(address, patience)?;
                stream.set_write_timeout(Some(patience))?;
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
        stream.write_all(request.as_bytes())?;
        let answer = read_to_status(&mut stream, self.ready_by, &set_patience)?;
        if !is_good(&answer) {
            return Ok(false);
        }
        // The status decides. An instance that leaves the connection open is ready all the same.
        let _ = read_rest(answer, stream, set_patience);
        Ok(true)
    }
}

/// The time until `deadline`.
///
/// # Errors
/// If that has passed.
fn left_until(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        Err(io::ErrorKind::TimedOut.into())
    } else {
        Ok(left)
    }
}

/// Reads an answer until it begins with the status of the final response, but no longer than `deadline`.
/// Interim responses, as 103, are taken out: they say nothing of the final one (RFC 9110 §15.2).
fn read_to_status(
    mut stream: impl Read,
    deadline: Instant,
    set_patience: impl Fn(Duration) -> io::Result<()>,
) -> io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    let mut read = [0; 4096];
    loop {
        set_patience(left_until(deadline)?)?;
        match stream.read(&mut read)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => answer.extend_from_slice(&read[..count]),
        }
        let is_faulty = final_status(&mut answer).is_err();
        let is_decided = answer.len() >= STATUS_LENGTH && !is_interim(&answer);
        if is_decided || is_faulty {
            return Ok(answer);
        }
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
        set_patience(left_until(deadline)?)?;
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

/// Whether an answer begins so that an instance is ready: 2xx or 3xx.
fn is_good(answer: &[u8]) -> bool {
    let is_digit = |octet: &u8| octet.is_ascii_digit();
    matches!(status(answer), Some([b'2' | b'3', rest @ ..]) if rest.iter().all(is_digit))
}

/// Whether an answer begins with the status 1xx.
fn is_interim(answer: &[u8]) -> bool {
    matches!(status(answer), Some([b'1', ..]))
}

/// The three octets of the status, of an answer that begins with HTTP/1.0 or HTTP/1.1.
fn status(answer: &[u8]) -> Option<&[u8; 3]> {
    let status = answer.strip_prefix(b"HTTP/1.1 ");
    let status = status.or_else(|| answer.strip_prefix(b"HTTP/1.0 "));
    status?.first_chunk()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Longer than any test takes.
    const LONG: Duration = Duration::from_secs(3600);

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
            "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 302 Found",
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
            let address = listener.local_addr().expect("an address");
            let probe = Probe {
                address: UpstreamAddress::Ip(address),
                request: Some("GET / HTTP/1.1\r\n\r\n".to_owned()),
                ready_by: Instant::now() + LONG,
                is_over: Arc::default(),
            };
            let asking = std::thread::spawn(move || probe.ask());
            let (mut stream, _) = listener.accept().expect("a connection");
            stream
                .set_read_timeout(Some(Duration::from_secs(5)))
                .expect("a timeout");
            stream.write_all(answer.as_bytes()).expect("a peer");
            // To the end: the probe leaves first.
            let mut request = Vec::new();
            let left = stream.read_to_end(&mut request);
            assert!(left.is_ok(), "{answer:?}: {left:?}");
            let is_ready = asking.join().expect("no panic");
            assert!(is_ready.is_ok_and(|is_ready| is_ready), "{answer:?}");
        }
    }

    #[test]
    fn the_final_status_decides_after_interim_ones() {
        for (answer, expected) in [
            ("HTTP/1.1 103 A\r\n\r\nHTTP/1.1 200 OK\r\n", Some(true)),
            ("HTTP/1.1 103 A\r\n\r\nHTTP/1.1 503 B\r\n", Some(false)),
            (
                "HTTP/1.1 103 A\r\nb : c\r\n\r\nHTTP/1.1 200 OK\r\n",
                Some(false),
            ),
            ("HTTP/1.1 103 A\r\n\r\n", None),
            ("HTTP/1.1 103 A\r\n\r\nHTTP/1.1 20", None),
            ("SSH-2.0-Open\r\n", Some(false)),
        ] {
            let deadline = Instant::now() + LONG;
            let read = read_to_status(answer.as_bytes(), deadline, |_| Ok(()));
            let is_ready = read.ok().map(|answer| is_good(&answer));
            assert_eq!(is_ready, expected, "{answer:?}");
        }
    }

    /// A connection to an instance that answers 204.
    struct Answering(&'static [u8]);

    impl Read for Answering {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Write for Answering {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// It had 10 s at most, so that an instance whose page takes longer was never ready.
    #[test]
    fn an_answer_may_take_as_long_as_the_instance_may() {
        let probe = Probe {
            address: UpstreamAddress::Unix("/nowhere".into()),
            request: Some("GET / HTTP/1.1\r\n\r\n".to_owned()),
            ready_by: Instant::now() + LONG,
            is_over: Arc::default(),
        };
        let patience = std::cell::Cell::new(Duration::ZERO);
        let stream = Answering(b"HTTP/1.1 204 No Content\r\n\r\n");
        let answer = probe.request_by(stream, |left| {
            patience.set(left);
            Ok(())
        });
        assert!(answer.is_ok_and(|is_ready| is_ready));
        assert!(patience.get() > LONG / 2, "{:?}", patience.get());
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
