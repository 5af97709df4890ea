//! A whole connection: any octets, cut anywhere, against a running server.
//!
//! One server is started for the process, at a Unix socket in a directory of its own. Each input is sent
//! twice, whole and in pieces; then the client has said all it has to say, and reads to the end.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use super::cuts::pieces;
use super::responses::{Response, responses};
use crate::http::content::{Decoder, Step};
use crate::http::method::Method;
use crate::http::request::{
    HeadLimits, Parsed, RequestHead, field_space, lower_minor_version, request_line,
};
use crate::{Response as Answer, Server};

/// The limits of the server below.
const LIMITS: HeadLimits = HeadLimits {
    max_bytes: 1024,
    max_fields: 20,
};

/// Octets of content that the server below takes.
const MAX_CONTENT: usize = 4096;

/// The longest input that is sent.
const LONGEST: usize = 16 * 1024;

/// How many pieces an input is sent in at most; the last one is the rest.
const MOST_PIECES: usize = 24;

/// How long the client waits for a response before it sends the next piece: long enough for the
/// server to read the last one, as a rule. Nothing depends on it.
const PAUSE: Duration = Duration::from_micros(200);

/// How long the client waits for what has to come.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection: one final response for each request, in order, each with framing that a client can
/// follow, nothing behind the one that closes, and the same responses for every split.
pub fn connection(input: &[u8]) {
    let input = &input[..input.len().min(LONGEST)];
    let requests = requests(input);
    let whole = exchange(&requests, &[input]);
    let mut cut = pieces(input);
    if cut.len() > MOST_PIECES {
        let sent: usize = cut[..MOST_PIECES - 1].iter().map(|piece| piece.len()).sum();
        cut.truncate(MOST_PIECES - 1);
        cut.push(&input[sent..]);
    }
    assert_eq!(exchange(&requests, &cut), whole, "sent in pieces");
}

/// What was sent, as this client sees it.
struct Requests {
    /// The method of each request; of what may be the beginning of one, or a fault, only HEAD.
    methods: Vec<Option<Method>>,
    /// How many of them have to be answered: the rest follows content that is too long, behind which the
    /// server may close.
    complete: usize,
}

impl Requests {
    /// Whether nothing more has to come.
    fn are_answered_by(&self, responses: &[Response]) -> bool {
        responses.len() >= self.complete || responses.last().is_some_and(|last| last.closes)
    }
}

/// The requests in `input`.
fn requests(mut input: &[u8]) -> Requests {
    let (mut methods, mut complete) = (Vec::new(), None);
    loop {
        let mut bytes = input.to_vec();
        let mut space = field_space();
        lower_minor_version(&mut bytes);
        let (head, length) = match RequestHead::parse(&bytes, &mut space, LIMITS) {
            Ok(Parsed::Complete(head, length)) => (head, length),
            // Nothing, or the beginning of a request, or a fault: one response at most.
            Ok(Parsed::Partial) | Err(_) => break,
        };
        let Some(content) = content_length(Decoder::new(head.framing), &input[length..]) else {
            methods.push(Some(head.method));
            return Requests {
                complete: complete.unwrap_or(methods.len() - 1),
                methods,
            };
        };
        methods.push(Some(head.method));
        if content > MAX_CONTENT {
            complete.get_or_insert(methods.len());
        }
        input = &input[length + content..];
    }
    let complete = complete.unwrap_or(methods.len());
    // A refusal of HEAD has no content either.
    methods.push(
        request_line(input)
            .starts_with(b"HEAD ")
            .then_some(Method::Head),
    );
    Requests { methods, complete }
}

/// The octets that the content takes up; `None` if it is incomplete or faulty.
fn content_length(mut decoder: Decoder, input: &[u8]) -> Option<usize> {
    let mut used = 0;
    loop {
        match decoder.step(&input[used..]).ok()? {
            Step::Content { skip, len } => used += skip + len,
            Step::NeedMore => return None,
            Step::End { used: last } => return Some(used + last),
        }
    }
}

/// Sends `pieces`, and returns the responses, which have been checked.
fn exchange(requests: &Requests, pieces: &[&[u8]]) -> Vec<Response> {
    let received = send(requests, pieces);
    let responses = responses(&received, &requests.methods).unwrap_or_else(|fault| {
        let received = String::from_utf8_lossy(&received);
        panic!("{fault} in what the server sent:\n{received}")
    });
    assert!(
        requests.are_answered_by(&responses),
        "{} responses to {} requests",
        responses.len(),
        requests.complete
    );
    responses
}

/// Sends `pieces` over a connection of its own, and reads all that comes.
///
/// The client keeps its side open until every complete request is answered: to the server, a client that
/// closes it has gone.
fn send(requests: &Requests, pieces: &[&[u8]]) -> Vec<u8> {
    let mut stream = UnixStream::connect(socket()).expect("the server listens");
    let mut received = Vec::new();
    for piece in pieces {
        // The server may have closed already.
        if stream.write_all(piece).is_err() {
            break;
        }
        read(&mut stream, &mut received, PAUSE);
    }
    let begun = Instant::now();
    let is_answered = |received: &[u8]| {
        let responses = responses(received, &requests.methods);
        responses.is_ok_and(|responses| requests.are_answered_by(&responses))
    };
    while !is_answered(&received) && begun.elapsed() < PATIENCE {
        if read(&mut stream, &mut received, PAUSE) {
            return received;
        }
    }
    let _ = stream.shutdown(Shutdown::Write);
    assert!(
        read(&mut stream, &mut received, PATIENCE),
        "the server does not close: {}",
        String::from_utf8_lossy(&received)
    );
    received
}

/// Reads until the end, or until nothing comes for `pause`. Returns whether it was the end.
fn read(stream: &mut UnixStream, received: &mut Vec<u8>, pause: Duration) -> bool {
    stream
        .set_read_timeout(Some(pause))
        .expect("it is not zero");
    let mut block = [0; 16 * 1024];
    loop {
        match stream.read(&mut block) {
            Ok(0) => return true,
            Ok(length) => received.extend_from_slice(&block[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Reset, because it closed before it read everything: what was sent counts.
            Err(_) => return true,
        }
    }
}

/// The socket of the server, which is started once.
fn socket() -> &'static Path {
    static SERVER: OnceLock<(PathBuf, Server)> = OnceLock::new();
    let (socket, _) = SERVER.get_or_init(|| {
        let directory = tempfile::tempdir().expect("a directory").keep();
        write(&directory.join("small.txt"), "small\n");
        write(&directory.join("large.txt"), &"large\n".repeat(20_000));
        let socket = directory.join("socket");
        let server = Server::builder()
            .function("stream", |_request| {
                let answer = Answer::stream(|content| {
                    content.write_all(b"in ")?;
                    content.flush()?;
                    content.write_all(b"pieces\n")
                });
                Ok(answer.content_type("text/plain"))
            })
            .config_text(configuration(&directory))
            .start()
            .expect("a server");
        (socket, server)
    });
    socket
}

/// Writes a file that is old enough for its validators to be strong.
fn write(path: &Path, content: &str) {
    std::fs::write(path, content).expect("a directory to write to");
    let file = File::options().write(true).open(path);
    let long_ago = SystemTime::now() - Duration::from_secs(3600);
    let outcome = file.and_then(|file| file.set_modified(long_ago));
    outcome.expect("a file of our own");
}

fn configuration(directory: &Path) -> String {
    let directory = directory.display();
    format!(
        r#"
        workers = 1
        log.access = false
        [limits]
        max_head = "{}"
        max_fields = {}
        max_content = {MAX_CONTENT}
        [[server]]
        listen = "unix:{directory}/socket"
        [server.routes]
        "/" = {{ files = "{directory}", listing = true }}
        "/respond" = {{ respond = "ok\n" }}
        "/redirect" = {{ redirect = "/respond" }}
        "/echo" = {{ echo = true }}
        "POST /posted/{{id}}" = {{ respond = "posted\n" }}
        "/stream" = {{ handler = "stream" }}
        "#,
        LIMITS.max_bytes, LIMITS.max_fields,
    )
}
