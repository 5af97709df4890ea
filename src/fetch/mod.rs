//! Asks a server of its own accord, for no client: a CA, a collector of traces. One connection, plain or
//! over TLS, one request, and its whole response.
//!
//! A CA is asked some ten times every few weeks, and a collector every few seconds, so that a connection
//! that is kept would save little. Servers that answer clients are `upstream`'s.

mod trust;

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use crate::http::content::{Decoder, Step};
use crate::http::date::HttpDate;
use crate::http::field_list::FieldList;
use crate::http::http_url::HttpUrl;
use crate::http::method::Method;
use crate::http::received_response::{MAX_RECEIVED_HEAD, ReceivedHead, line_space};
use crate::http::response::FieldLines;
use crate::runtime::{self, BlockingPool, Direction, Elapsed, Stream, Tick};
use crate::transport::Transport;
use crate::transport::tls::{Session, connect};

pub(crate) use trust::client_config;

const READ_SIZE: usize = 16 * 1024;

/// What every exchange needs.
pub(crate) struct Client {
    /// `None`: only URLs with `http` are asked for.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    /// Looks names up.
    pub(crate) pool: Arc<BlockingPool>,
    /// How long an exchange may take, from the look-up of the name to the end of the response.
    pub(crate) patience: Duration,
    /// The longest content of a response that is taken.
    pub(crate) max_content: usize,
}

/// A request.
#[derive(Clone, Copy)]
pub(crate) struct Question<'q> {
    pub(crate) method: Method,
    pub(crate) url: &'q HttpUrl,
    /// Fields beside `Host`, `User-Agent` and those of the framing.
    pub(crate) fields: &'q [(&'q str, &'q str)],
    /// Sent if the method is POST.
    pub(crate) content: &'q [u8],
}

/// A response.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) fields: FieldList,
    pub(crate) content: Vec<u8>,
}

impl Reply {
    /// The value of the field `name`, if it is text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        str::from_utf8(self.fields.find(name)?).ok()
    }

    /// How long the server wants to be left alone (RFC 9110 §10.2.3).
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        wait(self.fields.find("Retry-After")?, SystemTime::now())
    }
}

impl Client {
    /// Asks a server.
    ///
    /// # Errors
    /// A sentence, if no whole response comes: which server, and why not.
    pub(crate) async fn ask(&self, question: Question<'_>) -> Result<Reply, String> {
        let host = question.url.authority();
        let unreachable = |why: String| format!("{host}: {why}");
        let patience = self.patience;
        match runtime::timeout(patience, self.exchange(question)).await {
            Ok(reply) => reply.map_err(unreachable),
            Err(_) => Err(unreachable(format!("no response within {patience:?}"))),
        }
    }

    async fn exchange(&self, question: Question<'_>) -> Result<Reply, String> {
        let transport = self.connect(question.url).await?;
        let sent = send(&transport, &encode(question)).await;
        // A server may refuse before it has read the content, and close: its response is there all the same.
        let received = receive(&transport, question.method, self.max_content).await;
        let reply = match (received, sent) {
            (Ok(reply), _) => reply,
            (Err(_), Err(error)) => return Err(error.to_string()),
            (Err(why), Ok(())) => return Err(why),
        };
        // The response is complete, so that it does not matter whether the server takes the `close_notify`.
        let _ = transport.close(self.patience).await;
        Ok(reply)
    }

    /// A connection to the first address of the host that takes one.
    async fn connect(&self, url: &HttpUrl) -> Result<Transport, String> {
        let addresses = self.look_up(url).await;
        let addresses = addresses.map_err(|error| format!("cannot look the name up: {error}"))?;
        let mut failure = "the name has no address".to_owned();
        let part = self.patience / 2 / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
        for address in addresses {
            match Stream::connect(address, runtime::deadline_after(part)).await {
                Ok(stream) => return self.secure(stream, url).await,
                // Where the URL has the address itself, the caller names it.
                Err(error) if address.ip().to_string() == url.host() => failure = error.to_string(),
                Err(error) => failure = format!("{address}: {error}"),
            }
        }
        Err(failure)
    }

    async fn look_up(&self, url: &HttpUrl) -> io::Result<Vec<SocketAddr>> {
        let (host, port) = (url.host().to_owned(), url.port());
        let look_up = move || (host.as_str(), port).to_socket_addrs().map(Vec::from_iter);
        let found = self.pool.run(look_up).await;
        found.unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    async fn secure(&self, stream: Stream, url: &HttpUrl) -> Result<Transport, String> {
        if !url.is_https() {
            return Ok(Transport::Plain(stream));
        }
        let tls = self.tls.as_ref();
        let tls = Arc::clone(tls.ok_or("there is nothing to verify its certificate by")?);
        let name = ServerName::try_from(url.host().to_owned());
        let name = name.map_err(|error| error.to_string())?;
        let session = Session::new(stream);
        let deadline = runtime::deadline_after(self.patience);
        let connected = connect(&session, tls, name, Vec::new(), deadline).await;
        connected.map_err(|error| error.to_string())?;
        Ok(Transport::Tls(Box::new(session)))
    }
}

/// The octets of a request.
fn encode(question: Question<'_>) -> Vec<u8> {
    let Question { method, url, .. } = question;
    let start = format!("{method} {} HTTP/1.1\r\n", url.target());
    let mut lines = FieldLines::behind(start.into_bytes());
    lines.push("Host", url.authority());
    lines.push(
        "User-Agent",
        concat!("tidegate/", env!("CARGO_PKG_VERSION")),
    );
    lines.push("Connection", "close");
    for (name, value) in question.fields {
        lines.push(name, value);
    }
    let has_content = method == Method::Post;
    if has_content {
        lines.push("Content-Length", question.content.len().to_string());
    }
    let mut request = lines.into_bytes();
    request.extend_from_slice(b"\r\n");
    if has_content {
        request.extend_from_slice(question.content);
    }
    request
}

async fn send(transport: &Transport, mut octets: &[u8]) -> io::Result<()> {
    while !octets.is_empty() {
        match transport.send(octets, false) {
            Ok(count) => octets = &octets[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let ready = transport.ready(Direction::Write, Tick::NEVER).await;
                ready.map_err(Elapsed::of_unwatched)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads a whole response to a request of `method`, with at most so many octets of content.
async fn receive(
    transport: &Transport,
    method: Method,
    max_content: usize,
) -> Result<Reply, String> {
    let mut octets = Vec::new();
    let (mut reply, mut decoder) = loop {
        if let Some((reply, decoder, length)) = parse_head(&octets, method)? {
            octets.drain(..length);
            break (reply, decoder);
        }
        if receive_more(transport, &mut octets).await? == 0 {
            return Err("the connection ended before a response".to_owned());
        }
    };
    loop {
        match decoder.step(&octets).map_err(|error| error.to_string())? {
            Step::End { .. } => return Ok(reply),
            Step::Content { skip, len } => {
                reply.content.extend_from_slice(&octets[skip..skip + len]);
                octets.drain(..skip + len);
                if reply.content.len() > max_content {
                    return Err(format!("its response is longer than {max_content} bytes"));
                }
            }
            Step::NeedMore => {
                octets.clear();
                if receive_more(transport, &mut octets).await? == 0 {
                    decoder.end_of_input().map_err(|error| error.to_string())?;
                }
            }
        }
    }
}

/// Reads once to the end of `octets`. 0 is the end of the peer's side.
async fn receive_more(transport: &Transport, octets: &mut Vec<u8>) -> Result<usize, String> {
    let start = octets.len();
    loop {
        octets.resize(start + READ_SIZE, 0);
        let received = transport.receive(&mut octets[start..]);
        let count = received.as_ref().map_or(0, |received| received.count);
        octets.truncate(start + count);
        match received {
            Ok(_) => return Ok(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let ready = transport.ready(Direction::Read, Tick::NEVER).await;
                ready.map_err(|elapsed| elapsed.of_unwatched().to_string())?;
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// The head of the final response at the start of `octets`: what it says, how its content is read, and
/// the octets up to its end. `None` while it is incomplete.
fn parse_head(
    mut octets: &[u8],
    method: Method,
) -> Result<Option<(Reply, Decoder, usize)>, String> {
    let mut before = 0;
    loop {
        let mut space = line_space();
        let head = ReceivedHead::parse(octets, &mut space, method);
        let Some(head) = head.map_err(|error| format!("it sent no response: {error}"))? else {
            return Ok(None);
        };
        if head.status.code() < 200 {
            before += head.length;
            octets = &octets[head.length..];
            if before > MAX_RECEIVED_HEAD {
                return Err("it sent too many interim responses".to_owned());
            }
            continue;
        }
        let mut fields = FieldList::new();
        for (name, value) in head.fields() {
            fields.push(name, value);
        }
        let reply = Reply {
            status: head.status.code(),
            fields,
            content: Vec::new(),
        };
        let decoder = Decoder::of_response(head.framing);
        return Ok(Some((reply, decoder, before + head.length)));
    }
}

/// The value of `Retry-After` (RFC 9110 §10.2.3): seconds, or a date.
fn wait(value: &[u8], now: SystemTime) -> Option<Duration> {
    if value.iter().all(u8::is_ascii_digit) {
        let seconds = str::from_utf8(value).ok()?.parse().ok()?;
        return Some(Duration::from_secs(seconds));
    }
    let date = HttpDate::parse(value)?.to_system_time();
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::slow_peer::{fill, unix_pair};
    use crate::test_support::unwatched::{on_own_loop, watch_no_more};

    /// The loop tried again and again, so that no timeout came either.
    #[test]
    fn a_connection_that_the_system_does_not_watch_is_given_up() {
        on_own_loop(|| async {
            let (near, _far) = unix_pair();
            fill(&near).await;
            watch_no_more();
            let transport = Transport::Plain(near);
            let sent = send(&transport, b"x").await;
            assert!(sent.is_err());
            let received = receive_more(&transport, &mut Vec::new()).await;
            assert!(received.is_err());
        });
    }

    #[test]
    fn a_wait_is_in_seconds_or_until_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (value, expected) in [
            ("120", Some(120)),
            ("0", Some(0)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
        ] {
            let waited = wait(value.as_bytes(), now).map(|wait| wait.as_secs());
            assert_eq!(waited, expected, "{value}");
        }
    }

    #[test]
    fn a_request_has_content_if_it_is_a_post() {
        let url: HttpUrl = "https://ca.example:14000/new?x".parse().expect("a URL");
        let encoded = |method| {
            let question = Question {
                method,
                url: &url,
                fields: &[("Accept-Language", "en")],
                content: b"{}",
            };
            String::from_utf8(encode(question)).expect("ASCII")
        };
        let get = encoded(Method::Get);
        assert!(get.starts_with("GET /new?x HTTP/1.1\r\nHost: ca.example:14000\r\n"));
        assert!(get.contains("\r\nAccept-Language: en\r\n"), "{get}");
        assert!(get.ends_with("\r\n\r\n") && !get.contains("Content-"));
        let post = encoded(Method::Post);
        assert!(post.contains("\r\nContent-Length: 2\r\n") && post.ends_with("\r\n\r\n{}"));
    }
}
