//! One exchange with a CA: a connection of its own, over TLS, a request, and its whole response.
//!
//! There are some ten exchanges for a certificate every few weeks, so that a connection that is kept
//! would save nothing.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::fault::Fault;
use crate::http::content::{Decoder, Step};
use crate::http::date::HttpDate;
use crate::http::https_url::HttpsUrl;
use crate::http::method::Method;
use crate::http::received_response::{ReceivedHead, line_space};
use crate::runtime::{self, BlockingPool, Direction, Stream, Tick};
use crate::transport::Transport;
use crate::transport::tls::{Session, connect};

/// How long an exchange may take, from the look-up of the name to the end of the response.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest content of a response that is taken: a chain of certificates has some 6 KiB.
const MAX_CONTENT: usize = 100 * 1024;

const READ_SIZE: usize = 16 * 1024;

/// What every exchange needs.
pub(super) struct Client {
    pub(super) tls: Arc<ClientConfig>,
    /// Looks names up.
    pub(super) pool: Arc<BlockingPool>,
}

/// A response of a CA.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// The next nonce (RFC 8555 §6.5.1).
    pub(super) nonce: Option<String>,
    pub(super) location: Option<String>,
    pub(super) retry_after: Option<Duration>,
    pub(super) content: Vec<u8>,
}

impl Client {
    /// Asks for `url`, with `content` if the method is POST.
    ///
    /// # Errors
    /// If no whole response comes.
    pub(super) async fn ask(
        &self,
        method: Method,
        url: &HttpsUrl,
        content: &str,
    ) -> Result<Reply, Fault> {
        let host = url.authority();
        let unreachable = |why: String| Fault::Unreachable(format!("{host}: {why}"));
        match runtime::timeout(PATIENCE, self.exchange(method, url, content)).await {
            Ok(reply) => reply.map_err(unreachable),
            Err(_) => Err(unreachable(format!("no response within {PATIENCE:?}"))),
        }
    }

    async fn exchange(
        &self,
        method: Method,
        url: &HttpsUrl,
        content: &str,
    ) -> Result<Reply, String> {
        let transport = self.connect(url).await?;
        let request = request(method, url, content);
        send(&transport, request.as_bytes())
            .await
            .map_err(|error| error.to_string())?;
        let reply = receive(&transport, method).await?;
        // The response is complete, so that it does not matter whether the CA takes the `close_notify`.
        let _ = transport.close(runtime::deadline_after(PATIENCE)).await;
        Ok(reply)
    }

    /// A connection to the first address of the host that takes one.
    async fn connect(&self, url: &HttpsUrl) -> Result<Transport, String> {
        let addresses = self.look_up(url).await;
        let addresses = addresses.map_err(|error| format!("cannot look the name up: {error}"))?;
        let mut failure = "the name has no address".to_owned();
        let part = PATIENCE / 2 / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
        for address in addresses {
            match Stream::connect(address, runtime::deadline_after(part)).await {
                Ok(stream) => return self.secure(stream, url).await,
                Err(error) => failure = format!("{address}: {error}"),
            }
        }
        Err(failure)
    }

    async fn look_up(&self, url: &HttpsUrl) -> io::Result<Vec<SocketAddr>> {
        let (host, port) = (url.host().to_owned(), url.port());
        let look_up = move || (host.as_str(), port).to_socket_addrs().map(Vec::from_iter);
        let found = self.pool.run(look_up).await;
        found.unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    async fn secure(&self, stream: Stream, url: &HttpsUrl) -> Result<Transport, String> {
        let name = ServerName::try_from(url.host().to_owned());
        let name = name.map_err(|error| error.to_string())?;
        let session = Session::new(stream);
        let deadline = runtime::deadline_after(PATIENCE);
        let connected = connect(&session, Arc::clone(&self.tls), name, Vec::new(), deadline).await;
        connected.map_err(|error| error.to_string())?;
        Ok(Transport::Tls(Box::new(session)))
    }
}

fn request(method: Method, url: &HttpsUrl, content: &str) -> String {
    let (host, target) = (url.authority(), url.target());
    let version = env!("CARGO_PKG_VERSION");
    let mut request = format!(
        "{method} {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: tidegate/{version}\r\n\
         Accept-Language: en\r\nConnection: close\r\n"
    );
    if method == Method::Post {
        let length = content.len();
        request.push_str(&format!(
            "Content-Type: application/jose+json\r\nContent-Length: {length}\r\n"
        ));
    }
    request.push_str("\r\n");
    request + content
}

async fn send(transport: &Transport, mut octets: &[u8]) -> io::Result<()> {
    while !octets.is_empty() {
        match transport.send(octets, false) {
            Ok(count) => octets = &octets[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let _ = transport.ready(Direction::Write, Tick::NEVER).await;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads a whole response to a request of `method`.
async fn receive(transport: &Transport, method: Method) -> Result<Reply, String> {
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
                if reply.content.len() > MAX_CONTENT {
                    return Err(format!("its response is longer than {MAX_CONTENT} bytes"));
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
                let _ = transport.ready(Direction::Read, Tick::NEVER).await;
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
            continue;
        }
        let text = |name: &'static [u8]| {
            let mut fields = head.fields();
            let found = fields.find(|(field, _)| is_name_of(field, name));
            found.and_then(|(_, value)| String::from_utf8(value.to_vec()).ok())
        };
        let retry_after = text(b"retry-after");
        let reply = Reply {
            status: head.status.code(),
            nonce: text(b"replay-nonce"),
            location: text(b"location"),
            retry_after: retry_after.and_then(|text| wait(text.as_bytes(), SystemTime::now())),
            content: Vec::new(),
        };
        let decoder = Decoder::of_response(head.framing);
        return Ok(Some((reply, decoder, before + head.length)));
    }
}

fn is_name_of(field: &str, name: &[u8]) -> bool {
    field.as_bytes().eq_ignore_ascii_case(name)
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
        let url: HttpsUrl = "https://ca.example:14000/new?x".parse().expect("a URL");
        let get = request(Method::Get, &url, "");
        assert!(get.starts_with("GET /new?x HTTP/1.1\r\nHost: ca.example:14000\r\n"));
        assert!(get.ends_with("\r\n\r\n") && !get.contains("Content-"));
        let post = request(Method::Post, &url, "{}");
        assert!(post.contains("\r\nContent-Length: 2\r\n") && post.ends_with("\r\n\r\n{}"));
    }
}
