//! Requests to try a handler with, made by a test and not by the server.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use super::content::{Content, ContentSource};
use super::ending::{Life, RouteLife};
use super::query;
use super::request::{Received, Request};
use super::tls::Tls;
use crate::http::method::Method;
use crate::http::path::{NormalPath, readable};

/// The port of the peer of a request that no server made.
const TRIAL_PORT: u16 = 50_000;

/// # To try a handler
impl Request {
    /// A request as the server makes it of `GET /target?a=b`: from a client at 127.0.0.1, for the host
    /// `localhost`, at the route `/`, without fields and content. The methods that begin with `with_`
    /// change that.
    ///
    /// ```
    /// use tidegate::{Error, Method, Request, Response};
    ///
    /// fn rename(mut request: Request) -> Result<Response, Error> {
    ///     let id = request.parameter("id").unwrap_or_default().to_owned();
    ///     let name = std::io::read_to_string(request.content())?;
    ///     Ok(Response::text(format!("{id} is {name} for {}", request.client())))
    /// }
    ///
    /// let request = Request::new(Method::Put, "/users/7/name")
    ///     .with_route("/users/{id}")
    ///     .with_client([192, 0, 2, 1].into())
    ///     .with_content("Ada");
    /// assert_eq!(request.path_below(), "/name");
    /// assert_eq!(rename(request)?.content(), Some(&b"7 is Ada for 192.0.2.1"[..]));
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Panics
    /// If the server would refuse the target.
    #[track_caller]
    pub fn new(method: Method, target: &str) -> Self {
        let raw = target.split('?').next().unwrap_or_default();
        assert!(raw.starts_with('/'), "a target begins with `/`: {target:?}");
        let path = NormalPath::parse(raw.as_bytes());
        let path = path.unwrap_or_else(|error| panic!("{target:?}: {error}"));
        let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let received = Received {
            method,
            client,
            peer: Some((client, TRIAL_PORT).into()),
            scheme: "http",
            tls: None,
            host: b"localhost",
            target,
            path: &readable(path.as_bytes()),
            matched: 0,
            id: None,
        };
        let life = Life::new(Arc::<RouteLife>::default());
        Self::received(received, Content::empty(), life)
    }

    /// This request, as a route with the pattern finds it: `/users/{id}` gives the parameter `id`, and
    /// the rest of the path is [`path_below`](Self::path_below).
    ///
    /// # Panics
    /// If the pattern does not match the path.
    #[track_caller]
    pub fn with_route(mut self, pattern: &str) -> Self {
        let path = self.path().into_owned();
        let (mut matched, mut parameters) = (0, Vec::new());
        for wanted in pattern.split('/').filter(|segment| !segment.is_empty()) {
            let segment = path[matched..].split('/').nth(1);
            let name = wanted
                .strip_prefix('{')
                .and_then(|name| name.strip_suffix('}'));
            let found = match (segment, name) {
                (Some(segment), Some(name)) if !segment.is_empty() => {
                    parameters.push((name, segment));
                    segment
                }
                (Some(segment), None) if segment == wanted => segment,
                _ => panic!("the route {pattern:?} does not match {path:?}"),
            };
            matched += 1 + found.len();
        }
        for (name, value) in parameters {
            self.push_parameter(name, value.as_bytes());
        }
        self.matched = matched;
        self
    }

    /// This request, with a parameter that the route's pattern found in the path.
    pub fn with_parameter(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.push_parameter(name, value.as_ref());
        self
    }

    /// This request, with the id of its exchange.
    pub fn with_id(mut self, id: &str) -> Self {
        let range = self.append(id.as_bytes());
        self.id = Some(range);
        self
    }

    /// This request, with one more field.
    pub fn with_field(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.push_field(name, value.as_ref());
        self
    }

    /// This request, from a user who was verified.
    pub fn with_user(mut self, user: &str) -> Self {
        self.set_user(user);
        self
    }

    /// This request, with content.
    pub fn with_content(mut self, content: impl Into<Vec<u8>>) -> Self {
        self.content = Content::from_memory(content.into());
        self
    }

    /// This request, with content that is read while the handler runs, as with `stream = true`; `length`
    /// where it is announced.
    pub fn with_content_reader(
        mut self,
        reader: impl std::io::Read + Send + 'static,
        length: Option<u64>,
    ) -> Self {
        self.content = Content::new(length, ContentSource::Reader(Mutex::new(Box::new(reader))));
        self
    }

    /// This request, with a form as content, and its `Content-Type`.
    pub fn with_form<'p>(self, pairs: impl IntoIterator<Item = (&'p str, &'p str)>) -> Self {
        let mut form = form_urlencoded::Serializer::new(String::new());
        let content = form.extend_pairs(pairs).finish();
        self.with_field("Content-Type", query::FORM)
            .with_content(content)
    }

    /// This request, for that host.
    pub fn with_host(mut self, host: &str) -> Self {
        self.host = self.append(host.as_bytes());
        self
    }

    /// This request, over `http` or `https`.
    pub fn with_scheme(mut self, scheme: &str) -> Self {
        self.scheme = scheme.to_owned().into();
        self
    }

    /// This request, over TLS.
    pub fn with_tls(mut self, tls: Tls) -> Self {
        self.tls = Some(Box::new(tls));
        self.with_scheme("https")
    }

    /// This request, from that client. The peer stays as it is, as where a proxy stands between.
    pub fn with_client(mut self, client: IpAddr) -> Self {
        self.client = client;
        self
    }

    /// This request, from a connection of that peer; `None` for one at a Unix socket.
    pub fn with_peer(mut self, peer: impl Into<Option<SocketAddr>>) -> Self {
        self.peer = peer.into();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_what_the_server_makes_of_the_same() {
        let request = Request::new(Method::Get, "/a//b%20c/./d/../e?q=1");
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert_eq!(
            (request.path(), request.path_below()),
            ("/a/b c/e".into(), "/a/b c/e".into())
        );
        assert_eq!(
            (
                request.client(),
                request.peer(),
                request.host(),
                request.scheme()
            ),
            (here, Some((here, TRIAL_PORT).into()), "localhost", "http")
        );
        let proxied = request
            .with_client([192, 0, 2, 7].into())
            .with_peer(None)
            .with_host("example.com")
            .with_scheme("https");
        assert_eq!(
            (
                proxied.client().to_string().as_str(),
                proxied.peer(),
                proxied.host()
            ),
            ("192.0.2.7", None, "example.com")
        );
        assert_eq!(proxied.scheme(), "https");
    }

    #[test]
    fn a_route_covers_a_part_of_the_path() {
        for (target, route, below, id) in [
            ("/a/7/b", "/a/{id}", "/b", Some("7")),
            ("/a/7", "/a/{id}", "", Some("7")),
            ("/a/7/", "/a/{id}", "/", Some("7")),
            ("/%C3%A4/7%20b/c", "/ä/{id}", "/c", Some("7 b")),
            ("/a/b", "/", "/a/b", None),
            ("/a/7%2F8/b", "/a/{id}", "/b", Some("7%2F8")),
        ] {
            let request = Request::new(Method::Get, target).with_route(route);
            assert_eq!(
                (&*request.path_below(), request.parameter("id")),
                (below, id),
                "{target}"
            );
        }
    }
}
