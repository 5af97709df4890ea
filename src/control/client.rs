//! The client of the control protocol: one exchange with a running server, HTTP over a Unix socket.
//!
//! The server may be stopped, or stuck. So every step has a time limit, and the sentence about it says
//! what is known of the process at the other end.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::sockopt::socket_peercred;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::Pid;

use super::socket::{OtherUser, alias_path, of_other_users, socket_path};
use crate::log::diagnostic;
use crate::log::line::is_format;
use crate::reason::Reason;

/// How long a server may take to tell something.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long it may take to do something: a reload calls the factories of handlers, an upgrade waits for
/// another process.
const ACTION_TIMEOUT: Duration = Duration::from_secs(60);

/// The time between two tries to connect while the server's queue is full.
const QUEUE_RETRY: Duration = Duration::from_millis(20);

/// What is said of an answer that is incomplete.
pub(super) const CUT_OFF: &str =
    "error: the server's answer was cut off; whether it did what was asked is not known";

/// A request to a running server.
#[derive(Clone, Copy)]
pub(crate) struct Command<'a> {
    pub(crate) method: &'a str,
    pub(crate) target: &'a str,
    pub(crate) accept: &'a str,
    /// Further field lines, each with its CRLF.
    pub(crate) fields: &'a str,
}

impl Command<'_> {
    pub(super) fn timeout(&self) -> Duration {
        if self.method == "GET" {
            ANSWER_TIMEOUT
        } else {
            ACTION_TIMEOUT
        }
    }
}

/// Why there is no content of a successful response; each with the text for the operator.
#[derive(Debug)]
pub(crate) enum ClientError {
    /// No server runs from the file, or none that this user can find.
    NoServer(String),
    /// There is a server, and it does not answer, or not in full.
    NoAnswer(String),
    /// The server refused: the content of a response that is not 2xx.
    Refused(String),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::NoServer(text) | Self::NoAnswer(text) | Self::Refused(text)) = self;
        f.write_str(text)
    }
}

/// Asks the server that runs from the configuration file `config`. Returns the content of its
/// response.
///
/// # Errors
/// Why there is none.
pub(crate) fn exchange(config: &Path, command: Command<'_>) -> Result<String, ClientError> {
    let (status, content) = match ask(config, command)? {
        // That server is ending and has done nothing; a successor may have taken its place.
        (503, _) => ask(config, command)?,
        answer => answer,
    };
    match status {
        200..300 => Ok(content),
        _ => Err(ClientError::Refused(match in_words(status, &content) {
            Some(words) => format!("error: {words}"),
            None => content,
        })),
    }
}

/// The sentence for a refusal by the connection itself: the socket has as many clients as it may have, or the server has
/// read no request that could say what it wants, and answers with a page for browsers. `None`: `content` is the
/// sentence.
pub(super) fn in_words(status: u16, content: &str) -> Option<String> {
    let is_page = content.starts_with("<!doctype html>");
    let is_full = status == 503 && content.contains(Reason::TooManyConnections.id());
    let busy = "too many commands are under way at the control socket of the server; ask again when some have ended";
    if is_full {
        Some(busy.to_owned())
    } else {
        is_page.then(|| format!("the server answers {status} at its control socket"))
    }
}

/// Sends the request, and returns the status and the content of the response.
fn ask(config: &Path, command: Command<'_>) -> Result<(u16, String), ClientError> {
    let deadline = Instant::now() + command.timeout();
    let mut server = Server::asked(config, command, deadline)?;
    let answer = server.receive_all(deadline);
    let answer = answer.map_err(|error| server.no_answer(&error, config, command))?;
    parse(&answer).ok_or_else(|| ClientError::NoAnswer(CUT_OFF.to_owned()))
}

/// A connection to a server.
pub(super) struct Server(UnixStream);

impl Server {
    /// Connects to the server that runs from `config`, and sends it the request.
    ///
    /// # Errors
    /// If there is no such server, or if it does not take the request.
    pub(super) fn asked(
        config: &Path,
        command: Command<'_>,
        deadline: Instant,
    ) -> Result<Self, ClientError> {
        let server = find(config, deadline)?;
        let mut server = server.map_err(|stuck| stuck.describe(config, command))?;
        let Command {
            method,
            target,
            accept,
            fields,
        } = command;
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: tidegate\r\nAccept: {accept}\r\n{fields}Connection: close\r\n\r\n"
        );
        let sent = server.send(request.as_bytes(), deadline);
        sent.map_err(|error| server.no_answer(&error, config, command))?;
        Ok(server)
    }

    fn send(&mut self, request: &[u8], deadline: Instant) -> io::Result<()> {
        self.0.set_write_timeout(Some(left(deadline)?))?;
        self.0.write_all(request)
    }

    /// Returns all that comes until the server closes.
    fn receive_all(&mut self, deadline: Instant) -> io::Result<Vec<u8>> {
        let mut answer = Vec::new();
        while self.receive(&mut answer, deadline)? {}
        Ok(answer)
    }

    /// Appends what comes next to `answer`. Returns `false` once the server has closed.
    pub(super) fn receive(&mut self, answer: &mut Vec<u8>, deadline: Instant) -> io::Result<bool> {
        let mut buffer = [0; 8 * 1024];
        loop {
            self.0.set_read_timeout(Some(left(deadline)?))?;
            match self.0.read(&mut buffer) {
                Ok(count) => {
                    answer.extend_from_slice(&buffer[..count]);
                    return Ok(count > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The operator's sentence about a server that has not sent an answer, because of `error`.
    pub(super) fn no_answer(
        &self,
        error: &io::Error,
        config: &Path,
        command: Command<'_>,
    ) -> ClientError {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                Stuck::of(&self.0).describe(config, command)
            }
            _ => ClientError::NoAnswer(format!("error: the server did not answer: {error}")),
        }
    }

    /// The connection, to go on with.
    pub(super) fn into_stream(self) -> UnixStream {
        self.0
    }
}

/// The time until `deadline`.
///
/// # Errors
/// `TimedOut` if there is none.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(left)
}

/// The path of the control socket of the server that runs from `config`, for commands that have another part of
/// the process connect there.
///
/// # Errors
/// If no server runs from it. One that takes no connection at present is a server.
pub(crate) fn find_socket(config: &Path) -> Result<PathBuf, ClientError> {
    let found = locate(config, Instant::now() + ANSWER_TIMEOUT)?;
    Ok(found.0)
}

/// Connects to the server that runs from `config`: as this user, or, if this user may, as another. The
/// inner error is a server that takes no connection.
fn find(config: &Path, deadline: Instant) -> Result<Result<Server, Stuck>, ClientError> {
    locate(config, deadline).map(|(_, server)| server)
}

/// As [`find`], with the path of the socket.
fn locate(
    config: &Path,
    deadline: Instant,
) -> Result<(PathBuf, Result<Server, Stuck>), ClientError> {
    // First by the path as it is named: where a link on the way leads elsewhere by now, another file would be found.
    let named = alias_path(config);
    match connect(&named, deadline) {
        Ok(stream) => return Ok((named, Ok(Server(stream)))),
        Err(Errno::AGAIN) => return Ok((named, Err(Stuck::default()))),
        Err(_) => {}
    }
    let socket = socket_path(config);
    let socket = socket
        .map_err(|error| ClientError::NoServer(format!("error: {}", diagnostic::chain(&error))))?;
    let error = match connect(&socket, deadline) {
        Ok(stream) => return Ok((socket, Ok(Server(stream)))),
        Err(Errno::AGAIN) => return Ok((socket, Err(Stuck::default()))),
        Err(error) => error,
    };
    let mut hidden = String::new();
    for OtherUser { user, socket } in of_other_users(config) {
        let is_theirs = |stream: &UnixStream| {
            socket_peercred(stream).is_ok_and(|peer| peer.uid.as_raw() == user)
        };
        match connect(&socket, deadline) {
            Ok(stream) if is_theirs(&stream) => return Ok((socket, Ok(Server(stream)))),
            Err(Errno::AGAIN) => return Ok((socket, Err(Stuck::default()))),
            Err(Errno::ACCESS | Errno::PERM) => {
                let directory = socket.parent().unwrap_or(&socket).display();
                let doubt = format!(
                    "; user {user} may run one, in {directory}, where this user cannot look (`sudo -u '#{user}' tidegate …` asks it)"
                );
                if !hidden.contains(&doubt) {
                    hidden += &doubt;
                }
            }
            Ok(_) | Err(_) => {}
        }
    }
    let config = config.display();
    Err(ClientError::NoServer(format!(
        "error: no server runs from {config} ({}: {}){hidden}; start one with `tidegate run --config {config}`",
        socket.display(),
        io::Error::from(error)
    )))
}

/// Connects to the socket at `path`.
///
/// # Errors
/// `AGAIN` if its queue stays full until `deadline`; otherwise the system's error.
fn connect(path: &Path, deadline: Instant) -> Result<UnixStream, Errno> {
    let address = SocketAddrUnix::new(path)?;
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    loop {
        match rustix::net::connect(&socket, &address) {
            Err(Errno::AGAIN) if Instant::now() < deadline => std::thread::sleep(QUEUE_RETRY),
            connected => break connected?,
        }
    }
    let stream = UnixStream::from(socket);
    let is_blocking = stream.set_nonblocking(false);
    is_blocking.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    Ok(stream)
}

/// A server that does not answer in time.
#[derive(Default)]
struct Stuck {
    process: Option<Pid>,
}

impl Stuck {
    /// The process at the other end of `stream`.
    fn of(stream: &UnixStream) -> Self {
        let peer = socket_peercred(stream).ok();
        Self {
            process: peer.map(|peer| peer.pid),
        }
    }

    fn describe(&self, config: &Path, command: Command<'_>) -> ClientError {
        let name = match self.process {
            Some(process) => format!(" (process {process})", process = process.as_raw_nonzero()),
            None => String::new(),
        };
        let why = match self.process {
            Some(process) if is_stopped(process) => format!(
                ": that process is stopped, and `kill -CONT {}` lets it go on",
                process.as_raw_nonzero()
            ),
            _ => "; it is busy, or stuck".to_owned(),
        };
        let unknown = if command.method == "GET" {
            ""
        } else {
            ". Whether it will do what was asked is not known; `tidegate status` tells later"
        };
        ClientError::NoAnswer(format!(
            "error: the server that runs from {}{name} has not answered within {:?}{why}{unknown}",
            config.display(),
            command.timeout()
        ))
    }
}

/// Whether a signal has stopped the process.
fn is_stopped(process: Pid) -> bool {
    let path = format!("/proc/{}/stat", process.as_raw_nonzero());
    let stat = std::fs::read_to_string(path).unwrap_or_default();
    // 1234 (tidegate) T 1 …; the name may hold anything.
    let state = stat.rsplit_once(") ").map(|(_, state)| state);
    state.is_some_and(|state| state.starts_with(['T', 't']))
}

/// Takes a response apart: its status and its content. `None` if it is incomplete.
fn parse(answer: &[u8]) -> Option<(u16, String)> {
    let mut lines = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut lines);
    let httparse::Status::Complete(head) = response.parse(answer).ok()? else {
        return None;
    };
    let content = &answer[head..];
    let mut fields = response.headers.iter();
    let length = fields.find(|field| field.name.eq_ignore_ascii_case("content-length"));
    if let Some(length) = length {
        let length: usize = str::from_utf8(length.value).ok()?.parse().ok()?;
        (content.len() == length).then_some(())?;
    }
    Some((response.code?, harmless(content)))
}

/// Content as text for a terminal: the server may be another user's. Ends of lines and tabs stay.
pub(crate) fn harmless(content: &[u8]) -> String {
    let is_control = |character: char| character.is_control() && !"\n\t".contains(character);
    let is_harmful = |character| is_control(character) || is_format(character);
    String::from_utf8_lossy(content).replace(is_harmful, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_an_answer_apart() {
        let answer = b"HTTP/1.1 422 Unprocessable Content\r\nContent-Length: 3\r\n\r\nno\n";
        assert_eq!(parse(answer), Some((422, "no\n".to_owned())));
        let harmful = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n\x1bc\n";
        assert_eq!(parse(harmful), Some((200, "\u{fffd}c\n".to_owned())));
    }

    /// A reply that was cut within its content counted as whole.
    #[test]
    fn an_answer_that_is_cut_is_none() {
        for answer in [
            "HTTP/1.1 200 OK\r\nConte",
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab",
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n",
        ] {
            assert_eq!(parse(answer.as_bytes()), None, "{answer}");
        }
    }
}
