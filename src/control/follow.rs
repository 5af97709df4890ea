//! The client of a reply that goes on until one side ends it: events of the server, as they happen.
//!
//! ```text
//! follow ──→ head, within the time of any command ──→ Stream: content, without its transfer coding
//!              └─ not 2xx: ClientError::Refused
//! ```

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::net::sockopt::socket_peercred;

use super::client::{CUT_OFF, ClientError, Command, Server, harmless, in_words};
use crate::http::chunked::{Decoder, Step};

/// Longest head of a response that is read, in bytes. The server's own have a few lines.
const MAX_HEAD: usize = 16 * 1024;

/// Asks the server that runs from the configuration file `config`, and returns the content of its response,
/// to be read as it comes.
///
/// # Errors
/// Why there is none. A server that refuses has its whole answer in the error.
pub(crate) fn follow(config: &Path, command: Command<'_>) -> Result<Stream, ClientError> {
    match begin(config, command)? {
        // That server is ending; a successor may have taken its place.
        (503, _) => accepted(begin(config, command)?),
        answer => accepted(answer),
    }
}

fn accepted((status, answer): (u16, Answer)) -> Result<Stream, ClientError> {
    match answer {
        Answer::Stream(stream) if (200..300).contains(&status) => Ok(stream),
        Answer::Stream(_) => Err(ClientError::NoAnswer(CUT_OFF.to_owned())),
        Answer::Refusal(content) => {
            let words = in_words(status, &content);
            Err(ClientError::Refused(words.unwrap_or(content)))
        }
    }
}

enum Answer {
    Stream(Stream),
    /// The content of a response that is not 2xx.
    Refusal(String),
}

/// Sends the request, and reads the response's head; of a refusal, all of it.
fn begin(config: &Path, command: Command<'_>) -> Result<(u16, Answer), ClientError> {
    let deadline = Instant::now() + command.timeout();
    let mut server = Server::asked(config, command, deadline)?;
    let mut answer = Vec::new();
    let head = loop {
        if let Some(head) = parse(&answer) {
            break head;
        }
        let more = server.receive(&mut answer, deadline);
        let more = more.map_err(|error| server.no_answer(&error, config, command))?;
        if !more || answer.len() > MAX_HEAD {
            return Err(ClientError::NoAnswer(CUT_OFF.to_owned()));
        }
    };
    answer.drain(..head.length);
    if (200..300).contains(&head.status) {
        let connection = server.into_stream();
        let stream = Stream::new(connection, answer, head.is_chunked);
        return Ok((head.status, Answer::Stream(stream)));
    }
    // The request says that the connection ends with the response.
    while server
        .receive(&mut answer, deadline)
        .map_err(|error| server.no_answer(&error, config, command))?
    {}
    Ok((head.status, Answer::Refusal(harmless(&answer))))
}

/// What is needed of a response's head.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    /// In bytes.
    length: usize,
    status: u16,
    is_chunked: bool,
}

/// `None` while the head is incomplete, or if it is no head.
fn parse(answer: &[u8]) -> Option<Head> {
    let mut lines = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut lines);
    let httparse::Status::Complete(length) = response.parse(answer).ok()? else {
        return None;
    };
    let is_coding = |field: &&mut httparse::Header<'_>| {
        field.name.eq_ignore_ascii_case("transfer-encoding")
            && field.value.eq_ignore_ascii_case(b"chunked")
    };
    let status = response.code?;
    let is_chunked = response.headers.iter_mut().any(|field| is_coding(&field));
    Some(Head {
        length,
        status,
        is_chunked,
    })
}

/// The content of a response that goes on. Reading waits for the server; dropping it ends the exchange.
#[derive(Debug)]
pub(crate) struct Stream {
    connection: UnixStream,
    /// What was read of the connection, of which the octets before `used` are done with.
    input: Vec<u8>,
    used: usize,
    /// `None` if the content ends with the connection.
    decoder: Option<Decoder>,
}

impl Stream {
    fn new(connection: UnixStream, input: Vec<u8>, is_chunked: bool) -> Self {
        Self {
            connection,
            input,
            used: 0,
            decoder: is_chunked.then(Decoder::default),
        }
    }

    /// The number of the process that sends it; `None` if the system does not know.
    pub(crate) fn process(&self) -> Option<i32> {
        let peer = socket_peercred(&self.connection).ok()?;
        Some(peer.pid.as_raw_nonzero().get())
    }

    /// Has a read fail with `WouldBlock` if the server sends nothing for that long; `None` waits for ever.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn set_patience(&self, patience: Option<Duration>) -> io::Result<()> {
        self.connection.set_read_timeout(patience)
    }

    /// Reads from the connection. Returns `false` at its end.
    fn fill(&mut self) -> io::Result<bool> {
        self.input.resize(8 * 1024, 0);
        self.used = 0;
        let read = self.connection.read(&mut self.input);
        self.input.truncate(*read.as_ref().unwrap_or(&0));
        Ok(read? > 0)
    }

    /// Copies content out of `input`, which holds unread octets. `None` if the first of them are no content;
    /// `Some(0)` at the end.
    fn take(&mut self, out: &mut [u8]) -> io::Result<Option<usize>> {
        let unread = &self.input[self.used..];
        // A decoder gives out all of a chunk that it has seen, so it sees no more than fits.
        let some = &unread[..unread.len().min(out.len())];
        let Some(decoder) = &mut self.decoder else {
            out[..some.len()].copy_from_slice(some);
            self.used += some.len();
            return Ok(Some(some.len()));
        };
        let step = decoder.step(some);
        match step.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))? {
            Step::Content { skip, len } => {
                out[..len].copy_from_slice(&some[skip..skip + len]);
                self.used += skip + len;
                Ok(Some(len))
            }
            Step::End { .. } => Ok(Some(0)),
            Step::NeedMore => {
                self.used += some.len();
                Ok(None)
            }
        }
    }
}

impl Read for Stream {
    /// # Errors
    /// `UnexpectedEof` if the connection ends within chunked content.
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            if self.used == self.input.len() && !self.fill()? {
                return match self.decoder {
                    None => Ok(0),
                    Some(_) => Err(io::ErrorKind::UnexpectedEof.into()),
                };
            }
            if let Some(count) = self.take(out)? {
                return Ok(count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// A stream whose server has sent `first` with the head, then `rest`, and has closed.
    fn stream(first: &str, rest: &str, is_chunked: bool) -> Stream {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        theirs.write_all(rest.as_bytes()).expect("it fits");
        Stream::new(ours, first.as_bytes().to_vec(), is_chunked)
    }

    #[test]
    fn content_comes_without_its_chunks_however_it_is_split() {
        let whole = "5\r\nhello\r\n1;x=y\r\n,\r\n6\r\n world\r\n0\r\n\r\n";
        for at in 0..=whole.len() {
            let (first, rest) = whole.split_at(at);
            let mut text = String::new();
            let read = stream(first, rest, true).read_to_string(&mut text);
            assert_eq!((read.ok(), &*text), (Some(12), "hello, world"), "{at}");
        }
    }

    #[test]
    fn small_reads_get_all_of_a_chunk() {
        let mut stream = stream("3\r\nabc\r\n0\r\n", "\r\n", true);
        let mut one = [0];
        for expected in [&b"a"[..], b"b", b"c", b""] {
            let count = stream.read(&mut one).expect("content");
            assert_eq!(&one[..count], expected);
        }
    }

    #[test]
    fn content_without_chunks_ends_with_the_connection() {
        let mut text = String::new();
        let read = stream("hel", "lo", false).read_to_string(&mut text);
        assert_eq!((read.ok(), &*text), (Some(5), "hello"));
    }

    #[test]
    fn chunked_content_that_is_cut_is_an_error() {
        for (content, kind) in [
            ("5\r\nhel", io::ErrorKind::UnexpectedEof),
            ("1\r\na\r\n", io::ErrorKind::UnexpectedEof),
            ("x\r\n", io::ErrorKind::InvalidData),
        ] {
            let read = stream("", content, true).read_to_end(&mut Vec::new());
            assert_eq!(read.expect_err("it is cut").kind(), kind, "{content}");
        }
    }

    #[test]
    fn a_head_is_taken_apart_once_it_is_complete() {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let found = Head {
            length: head.len(),
            status: 200,
            is_chunked: true,
        };
        assert_eq!(parse(format!("{head}0\r\n").as_bytes()), Some(found));
        assert_eq!(parse(&head.as_bytes()[..head.len() - 1]), None);
        let closing = parse(b"HTTP/1.1 503 Service Unavailable\r\n\r\n").expect("complete");
        assert_eq!((closing.status, closing.is_chunked), (503, false));
    }
}
