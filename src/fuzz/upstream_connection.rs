//! A whole connection to an upstream: any octets for an answer, cut anywhere, passed on by a running
//! server.
//!
//! One server is started for the process, with a `proxy` that buffers and one that does not, and one
//! upstream, which answers every request with the input and closes. What the client gets is compared
//! with this file's own reading of the input: a whole answer is whole, an answer that is faulty before its
//! content is 502, and one that breaks off is cut so that the client can tell. Behind it the client asks for
//! something else, which no octet of the input may answer.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use super::cuts::pieces;
use crate::Server;
use crate::http::content::{Decoder, Step};
use crate::http::framing::Framing;
use crate::http::method::Method;
use crate::http::received_response::{ReceivedFraming, ReceivedHead, line_space};

/// The longest input that is sent.
const LONGEST: usize = 16 * 1024;

/// How long the client waits for what has to come.
const PATIENCE: Duration = Duration::from_secs(5);

/// What an answer is.
#[derive(PartialEq, Eq)]
enum Answer {
    /// Its status, and all of its content.
    Whole(u16, Vec<u8>),
    /// Its status, and the content before it breaks off.
    Cut(u16, Vec<u8>),
    /// There is no final head, or a faulty one.
    Faulty,
}

/// An upstream's connection: the client gets what the upstream sent, or can tell that it did not.
pub fn upstream_connection(input: &[u8]) {
    let input = &input[..input.len().min(LONGEST)];
    for (method, name) in [(Method::Get, "GET"), (Method::Head, "HEAD")] {
        let sent = read(input, method, true);
        for target in ["/buffered", "/direct"] {
            for pieces in [vec![input], pieces(input)] {
                let received = exchange(&format!("{name} {target}"), &pieces);
                let found = read(&received, method, false);
                let shown = || String::from_utf8_lossy(&received).into_owned();
                assert!(is_faithful(&sent, &found), "{name} {target}:\n{}", shown());
                // The answer to the second request, which the upstream was not asked.
                let is_whole = matches!(found, Answer::Whole(..));
                assert!(
                    !is_whole || received.ends_with(HERE),
                    "no second:\n{}",
                    shown()
                );
            }
        }
    }
}

/// What the server's own route answers.
const HERE: &[u8] = b"\r\n\r\nhere";

/// Whether a client may get `found` if the upstream sent `sent`.
fn is_faithful(sent: &Answer, found: &Answer) -> bool {
    match (sent, found) {
        // RFC 9110 §15.3.6: a 205 has no content, whatever the upstream sends.
        (Answer::Whole(205, _) | Answer::Cut(205, _), Answer::Whole(205, content)) => {
            content.is_empty()
        }
        (Answer::Whole(..), found) => sent == found,
        // The fault may be seen before the head is sent.
        (Answer::Cut(..) | Answer::Faulty, Answer::Whole(502, _)) => true,
        (Answer::Cut(status, all), Answer::Cut(found, some)) => {
            status == found && all.starts_with(some)
        }
        _ => false,
    }
}

/// Reads an answer; what follows it is left. `is_upstream`: what breaks off ends where the input does.
fn read(mut input: &[u8], method: Method, is_upstream: bool) -> Answer {
    // The limit of the handler: no honest upstream sends more interim responses.
    for _ in 0..=64 {
        let mut space = line_space();
        let Ok(Some(head)) = ReceivedHead::parse(input, &mut space, method) else {
            return Answer::Faulty;
        };
        let (status, framing) = (head.status.code(), head.framing);
        input = &input[head.length..];
        match status {
            101 => return Answer::Faulty,
            100..200 => continue,
            _ => {}
        }
        let mut decoder = match framing {
            ReceivedFraming::Empty => return Answer::Whole(status, Vec::new()),
            ReceivedFraming::Length(0) => return Answer::Whole(status, Vec::new()),
            ReceivedFraming::Length(length) => Decoder::new(Framing::Length(length)),
            ReceivedFraming::Chunked => Decoder::new(Framing::Chunked),
            ReceivedFraming::Close if is_upstream => return Answer::Whole(status, input.to_vec()),
            ReceivedFraming::Close => panic!("framing that no client can tell the end of"),
        };
        let mut content = Vec::new();
        loop {
            match decoder.step(input) {
                Ok(Step::Content { skip, len }) => {
                    content.extend_from_slice(&input[skip..skip + len]);
                    input = &input[skip + len..];
                }
                Ok(Step::End { .. }) => return Answer::Whole(status, content),
                Ok(Step::NeedMore) | Err(_) => return Answer::Cut(status, content),
            }
        }
    }
    Answer::Faulty
}

/// Has the upstream answer a request with `pieces`, and returns all that the client gets, with the answer
/// to a second request behind it.
fn exchange(line: &str, pieces: &[&[u8]]) -> Vec<u8> {
    let running = running();
    let open = lock(&running.open);
    let closed = running
        .closed
        .wait_timeout_while(open, PATIENCE, |open| *open > 0);
    drop(closed.unwrap_or_else(PoisonError::into_inner));
    *lock(&running.answer) = pieces.iter().map(|piece| piece.to_vec()).collect();
    let mut stream = UnixStream::connect(&running.socket).expect("the server listens");
    stream
        .set_read_timeout(Some(PATIENCE))
        .expect("it is not zero");
    let requests = format!(
        "{line} HTTP/1.1\r\nHost: h\r\n\r\nGET /here HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    );
    stream
        .write_all(requests.as_bytes())
        .expect("the server reads");
    let mut received = Vec::new();
    let end = stream.read_to_end(&mut received);
    let is_stuck = end.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
    assert!(!is_stuck, "no end: {}", String::from_utf8_lossy(&received));
    received
}

/// The server, and what its upstream answers.
struct Running {
    socket: PathBuf,
    answer: Mutex<Vec<Vec<u8>>>,
    /// How many connections the upstream has not closed. An exchange begins when it has closed all: octets
    /// that came later, on a connection that the server keeps, would be taken for the next answer.
    open: Mutex<usize>,
    closed: Condvar,
    _server: Server,
}

fn running() -> &'static Running {
    static RUNNING: OnceLock<Running> = OnceLock::new();
    RUNNING.get_or_init(|| {
        let directory = tempfile::tempdir().expect("a directory").keep();
        let upstream = UnixListener::bind(directory.join("upstream")).expect("it is new");
        thread::spawn(move || {
            for stream in upstream.incoming() {
                let stream = stream.expect("it is not closed");
                *lock(&running().open) += 1;
                thread::spawn(move || {
                    answer(stream);
                    *lock(&running().open) -= 1;
                    running().closed.notify_all();
                });
            }
        });
        Running {
            socket: directory.join("socket"),
            answer: Mutex::default(),
            open: Mutex::default(),
            closed: Condvar::new(),
            _server: Server::builder()
                .config_text(configuration(&directory))
                .start()
                .expect("a server"),
        }
    })
}

/// Reads a request, answers it, and closes.
fn answer(mut stream: UnixStream) {
    let (mut request, mut block) = (Vec::new(), [0; 1024]);
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut block) {
            Ok(0) | Err(_) => return,
            Ok(count) => request.extend_from_slice(&block[..count]),
        }
    }
    let pieces = lock(&running().answer).clone();
    for piece in pieces {
        // The server may have closed already.
        if stream.write_all(&piece).is_err() {
            return;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn configuration(directory: &Path) -> String {
    let directory = directory.display();
    format!(
        r#"
        workers = 1
        log.access = false
        upstreams.any = {{ servers = ["unix:{directory}/upstream"], failures = {{ max = 0 }} }}
        [[server]]
        listen = "unix:{directory}/socket"
        [server.routes]
        "/buffered" = {{ proxy = "any" }}
        "/direct" = {{ proxy = "any", buffer = false }}
        "/here" = {{ respond = "here" }}
        "#
    )
}
