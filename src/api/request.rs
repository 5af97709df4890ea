//! A request, as other people's code sees it: owned, and apart from the connection it came on.

use std::borrow::Cow;
use std::io::Read as _;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;

use super::content::Content;
use super::ending::{Ending, Life};
use super::error::Error;
use super::query;
use super::tls::Tls;
use crate::http::method::Method;
use crate::http::precondition::{self, Conditions, Verdict};
use crate::http::status::Status;
use crate::http::validator::{EntityTag, Validators, without_marks};

/// A request for a [`Handler`](super::Handler).
///
/// The server makes them. [`Request::new`] and the methods that begin with `with_` make one to try a
/// handler with, in a test that needs no server.
#[derive(Debug)]
pub struct Request {
    method: Method,
    pub(super) client: IpAddr,
    pub(super) peer: Option<SocketAddr>,
    pub(super) scheme: Cow<'static, str>,
    pub(super) tls: Option<Box<Tls>>,
    pub(super) user: Option<Range<usize>>,
    /// All text of the request in one buffer, so that a request costs few allocations.
    text: Vec<u8>,
    target: Range<usize>,
    pub(super) host: Range<usize>,
    /// Decoded and normalized.
    path: Range<usize>,
    /// How much of the path the route's pattern covers.
    pub(super) matched: usize,
    /// The id of the exchange, if it has one.
    pub(super) id: Option<Range<usize>>,
    /// Names and values of the header section.
    fields: Vec<(Range<usize>, Range<usize>)>,
    /// Names and values that the route's pattern found in the path.
    parameters: Vec<(Range<usize>, Range<usize>)>,
    pub(super) content: Content,
    life: Arc<Life>,
}

/// The parts of a request, borrowed from the exchange.
pub(crate) struct Received<'r> {
    pub(crate) method: Method,
    pub(crate) client: IpAddr,
    /// `None` for a peer at a Unix socket.
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) scheme: &'static str,
    pub(crate) tls: Option<Box<Tls>>,
    pub(crate) host: &'r [u8],
    pub(crate) target: &'r str,
    pub(crate) path: &'r [u8],
    pub(crate) matched: usize,
    pub(crate) id: Option<&'r str>,
}

impl Request {
    pub(crate) fn received(received: Received<'_>, content: Content, life: Arc<Life>) -> Self {
        let mut text = Vec::with_capacity(512);
        let target = append(&mut text, received.target.as_bytes());
        let host = append(&mut text, received.host);
        let path = append(&mut text, received.path);
        let id = received.id.map(|id| append(&mut text, id.as_bytes()));
        Self {
            id,
            method: received.method,
            client: received.client,
            peer: received.peer,
            scheme: received.scheme.into(),
            tls: received.tls,
            user: None,
            text,
            target,
            host,
            path,
            matched: received.matched,
            fields: Vec::new(),
            parameters: Vec::new(),
            content,
            life,
        }
    }

    pub(crate) fn push_field(&mut self, name: &str, value: &[u8]) {
        let name = append(&mut self.text, name.as_bytes());
        let value = append(&mut self.text, value);
        self.fields.push((name, value));
    }

    pub(crate) fn set_user(&mut self, user: &str) {
        self.user = Some(append(&mut self.text, user.as_bytes()));
    }

    pub(crate) fn push_parameter(&mut self, name: &str, value: &[u8]) {
        let name = append(&mut self.text, name.as_bytes());
        let value = append(&mut self.text, value);
        self.parameters.push((name, value));
    }

    /// Appends to the text of the request, and returns where it stands.
    pub(super) fn append(&mut self, octets: &[u8]) -> Range<usize> {
        append(&mut self.text, octets)
    }

    /// The method. A route that names none is asked with any but TRACE and CONNECT.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The request-target as the client sent it, or what `rewrite` of the route makes of it: path and
    /// query, nothing decoded.
    pub fn target(&self) -> &str {
        str::from_utf8(&self.text[self.target.clone()]).unwrap_or_default()
    }

    /// The id of the exchange, if `request_id = true` holds for the route: that of a trusted proxy, or
    /// a UUID of version 7. The log and the response have the same.
    ///
    /// ```
    /// # use tidegate::{Method, Request};
    /// let request = Request::new(Method::Get, "/").with_id("019ac2d5-3c1e-7a44-b0e2-91f4a7c05d3b");
    /// assert_eq!(request.id(), Some("019ac2d5-3c1e-7a44-b0e2-91f4a7c05d3b"));
    /// ```
    pub fn id(&self) -> Option<&str> {
        let range = self.id.clone()?;
        str::from_utf8(&self.text[range]).ok()
    }

    /// How the client reaches the server: `https` over TLS, or where a trusted proxy says so in
    /// `X-Forwarded-Proto`; otherwise `http`.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// The user whose password the server has verified, or whom the service of `auth` has named. `None`
    /// where the route has no `auth`.
    ///
    /// ```
    /// use tidegate::{Method, Request, Response};
    ///
    /// fn greet(request: Request) -> Response {
    ///     Response::text(format!("hello {}\n", request.user().unwrap_or("stranger")))
    /// }
    ///
    /// let response = greet(Request::new(Method::Get, "/").with_user("alice"));
    /// assert_eq!(response.content(), Some(&b"hello alice\n"[..]));
    /// ```
    pub fn user(&self) -> Option<&str> {
        let user = &self.text[self.user.clone()?];
        str::from_utf8(user).ok()
    }

    /// What the handshake of TLS has settled, with the client's certificate if it has shown one.
    /// `None` where the request came over a plain connection, also if a proxy in front speaks TLS
    /// with the client.
    ///
    /// ```
    /// use tidegate::{ClientCertificate, Method, Request, Response, Status, Tls};
    ///
    /// fn greet(request: Request) -> Response {
    ///     match request.tls().and_then(Tls::client_certificate) {
    ///         Some(certificate) => Response::text(format!("hello {}\n", certificate.subject())),
    ///         None => Response::new(Status::FORBIDDEN),
    ///     }
    /// }
    ///
    /// let ada = Tls::new().with_client_certificate(ClientCertificate::new("CN=Ada"));
    /// let response = greet(Request::new(Method::Get, "/").with_tls(ada));
    /// assert_eq!(response.content(), Some(&b"hello CN=Ada\n"[..]));
    /// ```
    pub fn tls(&self) -> Option<&Tls> {
        self.tls.as_deref()
    }

    /// The host that the client asks for, without a port; empty where a client of HTTP/1.0 names none.
    /// What it is has been checked only if the server has `hosts`.
    pub fn host(&self) -> &str {
        str::from_utf8(&self.text[self.host.clone()]).unwrap_or_default()
    }

    /// The path: decoded, without `.`, `..` and empty segments. Octets that are no UTF-8 become
    /// U+FFFD. An encoded slash stays `%2F`, because it separates no segments; a
    /// [`parameter`](Self::parameter) has it decoded.
    pub fn path(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.text[self.path.clone()])
    }

    /// What of the [`path`](Self::path) lies below the route's own; empty, or with a slash in front.
    pub fn path_below(&self) -> Cow<'_, str> {
        let path = &self.text[self.path.clone()];
        String::from_utf8_lossy(path.get(self.matched..).unwrap_or_default())
    }

    /// The segment that stands where the route's pattern has `{name}`, decoded; or the segments where it
    /// has `{name...}`, with slashes between them and `%2F` for an encoded one. `None` if the pattern has
    /// no such parameter, or it is no UTF-8.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let (_, value) = self
            .parameters
            .iter()
            .find(|(range, _)| &self.text[range.clone()] == name.as_bytes())?;
        str::from_utf8(&self.text[value.clone()]).ok()
    }

    /// What stands behind the question mark, nothing decoded.
    pub fn query(&self) -> Option<&str> {
        self.target().split_once('?').map(|(_, query)| query)
    }

    /// The pairs of a query such as forms make, `a=b&c=d`: decoded, in order.
    pub fn query_pairs(&self) -> impl Iterator<Item = (String, String)> {
        query::pairs(self.query().unwrap_or_default().as_bytes())
    }

    /// The value of the first pair of the query with that name.
    pub fn query_value(&self, name: &str) -> Option<String> {
        let mut pairs = self.query_pairs();
        pairs.find_map(|(key, value)| (key == name).then_some(value))
    }

    /// The value of the first field of that name, in any case; `None` also where it is no UTF-8.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields()
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .and_then(|(_, value)| str::from_utf8(value).ok())
    }

    /// Names and values of all fields, in the order and case in which they came.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields.iter().map(|(name, value)| {
            let name = str::from_utf8(&self.text[name.clone()]).unwrap_or_default();
            (name, &self.text[value.clone()])
        })
    }

    /// Who asks: the peer's address, or what a proxy that the configuration trusts says of it. A
    /// client at a Unix socket has none, nor has one that the proxy names otherwise than by an
    /// address: 0.0.0.0.
    pub fn client(&self) -> IpAddr {
        self.client
    }

    /// Who is at the other end of the connection: the client itself, or the nearest proxy. `None` at a
    /// Unix socket.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// The content, to be read once.
    pub fn content(&mut self) -> &mut Content {
        &mut self.content
    }

    /// The pairs of a form that was sent as content (`application/x-www-form-urlencoded`): decoded, in
    /// order. The content has been read then. Octets that are no UTF-8 become U+FFFD.
    ///
    /// ```
    /// # use tidegate::{Error, Method, Request, Response};
    /// fn sign(mut request: Request) -> Result<Response, Error> {
    ///     let form = request.form()?;
    ///     let name = form.iter().find(|(name, _)| name == "name").map(|(_, value)| value);
    ///     Ok(Response::text(format!("signed by {}\n", name.map_or("no user", String::as_str))))
    /// }
    /// # let request = Request::new(Method::Post, "/").with_form([("name", "Ada L.")]);
    /// # assert_eq!(sign(request)?.content(), Some(&b"signed by Ada L.\n"[..]));
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// 415 if the content is of another type; the errors of reading it.
    pub fn form(&mut self) -> Result<Vec<(String, String)>, Error> {
        let media_type = self.field("Content-Type").unwrap_or_default();
        let essence = media_type.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case(query::FORM) {
            let cause = format!(
                "a form is {}, and the content is {media_type:?}",
                query::FORM
            );
            return Err(Error::new(Status::UNSUPPORTED_MEDIA_TYPE, cause));
        }
        let mut octets = Vec::new();
        self.content.read_to_end(&mut octets)?;
        Ok(query::pairs(&octets).collect())
    }

    /// Whether the client has broken the connection, or ended its side of it: no client will read an
    /// answer. Code that takes its time asks now and then, and gives up.
    pub fn client_has_gone(&self) -> bool {
        self.ending().client_has_gone()
    }

    /// Tells when to end before the work is done: because the client has gone, the server stops, or a
    /// reload has taken the route away. For handlers that wait or stream.
    pub fn ending(&self) -> Ending {
        Ending(Arc::clone(&self.life))
    }

    /// Evaluates the preconditions of a request that changes something (RFC 9110 §13): `If-Match`,
    /// `If-None-Match`. `entity_tag` is the one the handler gives
    /// in `ETag` now, quotes included; `None` if there is nothing there yet.
    ///
    /// For GET and HEAD the server does this, with the response's own fields.
    ///
    /// # Errors
    /// 412 (Precondition Failed).
    pub fn check_preconditions(&self, entity_tag: Option<&str>) -> Result<(), Error> {
        let tag = entity_tag.and_then(|tag| EntityTag::parse(tag.as_bytes()));
        let current = tag.map(|tag| Validators {
            entity_tag: Some(tag),
            last_modified: None,
        });
        // With content in gzip the server sends the handler's tag `"7"` as `"7-gzip"`, and the client
        // sends that back.
        let tags = |name| {
            let value = self.combined(name)?;
            Some(tag.map_or(value.clone(), |tag| without_marks(&value, tag)))
        };
        let (if_match, if_none_match) = (tags("if-match"), tags("if-none-match"));
        let conditions = Conditions {
            if_match: if_match.as_deref(),
            if_none_match: if_none_match.as_deref(),
            ..Conditions::default()
        };
        match precondition::evaluate(self.method, &conditions, current.as_ref()) {
            Verdict::Failed => Err(Error::new(
                Status::PRECONDITION_FAILED,
                "a precondition does not hold",
            )),
            Verdict::Proceed | Verdict::NotModified => Ok(()),
        }
    }

    /// The values of all fields of that name, as one list (RFC 9110 §5.3).
    fn combined(&self, name: &str) -> Option<Vec<u8>> {
        let values: Vec<&[u8]> = self
            .fields()
            .filter(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect();
        (!values.is_empty()).then(|| values.join(&b", "[..]))
    }
}

fn append(text: &mut Vec<u8>, octets: &[u8]) -> Range<usize> {
    let start = text.len();
    text.extend_from_slice(octets);
    start..text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The handler's tag is `"7"`. The client was sent it with the mark of a coding, and sends that
    /// back in either condition.
    #[test]
    fn conditions_know_the_marks_of_codings() {
        for (name, value, holds) in [
            ("If-Match", "\"7\"", true),
            ("If-Match", "\"7-gzip\"", true),
            ("If-Match", "\"7-x-gzip\"", true),
            ("If-Match", "\"6\", \"7-gzip-br\"", true),
            ("If-Match", "\"7-1\"", false),
            ("If-Match", "W/\"7-gzip\"", false),
            ("If-None-Match", "\"7-gzip\"", false),
            ("If-None-Match", "W/\"7-br\"", false),
            ("If-None-Match", "\"7\"", false),
            ("If-None-Match", "\"6-gzip\"", true),
            ("If-None-Match", "*", false),
        ] {
            let request = Request::new(Method::Put, "/a").with_field(name, value);
            let found = request.check_preconditions(Some("\"7\""));
            assert_eq!(found.is_ok(), holds, "{name}: {value}");
        }
        let request = Request::new(Method::Put, "/a").with_field("If-None-Match", "\"7-gzip\"");
        assert!(request.check_preconditions(None).is_ok());
    }
}
