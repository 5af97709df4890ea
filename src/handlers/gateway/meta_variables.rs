//! What a script is told of a request: the meta-variables of RFC 3875 §4.1, and some that have
//! become custom.
//!
//! No I/O: from a [`Request`] and the place of the script to names and values, in their order.

use std::borrow::Cow;
use std::fmt;
use std::io::Write as _;
use std::ops::Range;

use super::{client_certificate, trace};
use crate::address::ListenAddress;
use crate::http::field_roles::is_hop_by_hop;
use crate::http::fields::Known;
use crate::http::framing::Framing;
use crate::http::method::Method;
use crate::http::path::readable;
use crate::http::request::RequestHead;
use crate::http::target::{self, Form, Target};
use crate::message::identity::Verified;
use crate::message::request::Request;
use crate::message::secured::Secured;

/// A script, as the meta-variables describe it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Script<'a> {
    /// `SCRIPT_NAME`: the part of the request's path that leads to it, decoded (RFC 3875 §4.1.13). The
    /// script is told `%2F` for an encoded slash, which it could not tell from a separator otherwise.
    pub(crate) name: &'a [u8],
    /// `PATH_INFO`: what follows that in the request's path, decoded. Empty, or from a `/` on.
    pub(crate) path_info: &'a [u8],
    /// `SCRIPT_FILENAME`: its absolute path on the disk.
    pub(crate) filename: &'a [u8],
    /// `DOCUMENT_ROOT`: the absolute path of the directory that the route maps to.
    pub(crate) document_root: &'a [u8],
}

/// Meta-variables in their order. A name holds no `=`, and a value no NUL.
///
/// All octets stand in one buffer: a request has some thirty variables, and a buffer for each name and
/// each value took as many instructions as everything else that is done for the request.
#[derive(Clone, Debug, Default)]
pub(crate) struct MetaVariables {
    octets: Vec<u8>,
    places: Vec<Place>,
}

/// Where a variable stands in the buffer.
#[derive(Clone, Debug)]
struct Place {
    name: Range<usize>,
    value: Range<usize>,
}

/// The meta-variables of `request` for `script`. `length` is the content's length, if it is known.
///
/// `AUTH_TYPE` and `REMOTE_USER` are among them if this server has verified the user. If it has verified a
/// password, `HTTP_AUTHORIZATION` is not (RFC 3875 §4.1.18): the script need not know it. Otherwise the
/// credentials are for the script. `REMOTE_IDENT` is never told.
pub(crate) fn meta_variables(
    request: &Request<'_>,
    script: &Script<'_>,
    length: Option<u64>,
) -> MetaVariables {
    let head = request.head;
    let client = request.client.ip_or_unspecified();
    let mut variables = MetaVariables::with_room_for(head);
    variables.set("GATEWAY_INTERFACE", "CGI/1.1");
    variables.set("SERVER_SOFTWARE", SERVER_SOFTWARE);
    variables.set("SERVER_PROTOCOL", head.version.as_str());
    variables.set("SERVER_NAME", &*server_name(head, request.listener));
    let is_https = request.arrival.is_some_and(|arrival| arrival.is_https);
    let port = if is_https {
        // The port of the proxy that the client came to.
        asked_port(head, b"443")
    } else {
        server_port(head, request.listener)
    };
    variables.set("SERVER_PORT", &*port);
    variables.set("REQUEST_METHOD", head.method.as_str());
    variables.set("REQUEST_SCHEME", if is_https { "https" } else { "http" });
    if is_https {
        variables.set("HTTPS", "on");
    }
    if let Some(secured) = request
        .arrival
        .and_then(|arrival| arrival.connection.secured())
    {
        variables.set_secured(&secured);
    }
    variables.set("REQUEST_URI", &*request_uri(head));
    variables.set("QUERY_STRING", head.target.query.unwrap_or_default());
    variables.show("REMOTE_ADDR", client);
    // §4.1.9: the address, because no name was looked up.
    variables.show("REMOTE_HOST", client);
    variables.set_addresses(request);
    variables.set_user(request.verified);
    variables.set("SCRIPT_NAME", &*readable(script.name));
    variables.set("SCRIPT_FILENAME", script.filename);
    variables.set("DOCUMENT_ROOT", script.document_root);
    if !script.path_info.is_empty() {
        let path_info = readable(script.path_info);
        let translated = [trim_end(script.document_root), &path_info].concat();
        variables.set("PATH_INFO", &*path_info);
        variables.set("PATH_TRANSLATED", translated);
    }
    // PHP does not run without it, as a guard against requests that bypass the server.
    variables.set("REDIRECT_STATUS", "200");
    variables.set_content(head, length);
    variables.set_fields(request);
    variables.set_marks(request);
    variables
}

/// The ends of the segments of a path below a route, the shortest first: a script may end there,
/// and its path-info begin. `/a/b/` gives 2 and 4.
pub(crate) fn segment_ends(path: &[u8]) -> impl Iterator<Item = usize> + '_ {
    (1..=path.len())
        .filter(|end| path[end - 1] != b'/' && matches!(path.get(*end), None | Some(b'/')))
}

const SERVER_SOFTWARE: &str = concat!("tidegate/", env!("CARGO_PKG_VERSION"));

impl MetaVariables {
    /// No variables, in a buffer that is large enough for those of most requests.
    fn with_room_for(head: &RequestHead<'_>) -> Self {
        Self {
            octets: Vec::with_capacity(1024 + 2 * head.length),
            places: Vec::with_capacity(24 + head.fields.count()),
        }
    }

    /// The names and values, in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let octets = &self.octets;
        let places = self.places.iter();
        places.map(|place| (&octets[place.name.clone()], &octets[place.value.clone()]))
    }

    /// Adds a variable, in place of the one of that name if there is one.
    pub(crate) fn replace(&mut self, name: &str, value: &[u8]) {
        let octets = &self.octets;
        self.places
            .retain(|place| octets[place.name.clone()] != *name.as_bytes());
        self.set(name, value);
    }

    /// What Apache's mod_ssl tells of a connection over TLS.
    fn set_secured(&mut self, secured: &Secured<'_>) {
        self.set("SSL_PROTOCOL", secured.version);
        self.set("SSL_CIPHER", secured.cipher);
        if let Some(name) = secured.server_name {
            self.set("SSL_TLS_SNI", name);
        }
        let Some(facts) = client_certificate::facts(secured) else {
            self.set("SSL_CLIENT_VERIFY", client_certificate::NOT_SHOWN);
            return;
        };
        self.set("SSL_CLIENT_VERIFY", client_certificate::VERIFIED);
        self.set("SSL_CLIENT_S_DN", facts.subject);
        self.set("SSL_CLIENT_I_DN", facts.issuer);
        self.set("SSL_CLIENT_M_SERIAL", facts.serial);
        self.set("SSL_CLIENT_FINGERPRINT", facts.fingerprint);
    }

    fn set(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.push(name.as_bytes(), |octets| {
            octets.extend_from_slice(value.as_ref());
        });
    }

    /// Sets the variable `name` to `value` as it is written.
    fn show(&mut self, name: &str, value: impl fmt::Display) {
        self.push(name.as_bytes(), |octets| {
            write!(octets, "{value}").expect("a Vec takes everything");
        });
    }

    /// Adds a variable, whose value `write` appends.
    fn push(&mut self, name: &[u8], write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.octets.len();
        self.octets.extend_from_slice(name);
        let end = self.octets.len();
        write(&mut self.octets);
        self.places.push(Place {
            name: start..end,
            value: end..self.octets.len(),
        });
    }

    /// What the exchange is known by: its trace, and its id.
    fn set_marks(&mut self, request: &Request<'_>) {
        if let Some(trace) = request.trace() {
            for (name, value) in trace::variables(trace) {
                self.set(name, &value);
            }
        }
        if let Some(id) = request.id() {
            self.set("REQUEST_ID", id.as_str());
            // Whatever the client has sent by that name.
            self.replace("HTTP_X_REQUEST_ID", id.as_str().as_bytes());
        }
    }

    /// `AUTH_TYPE` and `REMOTE_USER` (RFC 3875 §4.1.1, §4.1.11).
    fn set_user(&mut self, verified: Verified<'_>) {
        if let (Some(identity), Some(user)) = (verified.identity, verified.user()) {
            self.set("AUTH_TYPE", identity.by.auth_type());
            self.set("REMOTE_USER", user);
        }
    }

    /// `SERVER_ADDR`, and `REMOTE_PORT` where it belongs to the `REMOTE_ADDR`: the port of a client
    /// behind a proxy is not known.
    fn set_addresses(&mut self, request: &Request<'_>) {
        let Some(arrival) = request.arrival else {
            return;
        };
        if let Some(address) = arrival.connection.server_ip() {
            self.show("SERVER_ADDR", address);
        }
        let peer = arrival.connection.peer();
        let peer = peer.filter(|peer| request.client.ip() == Some(peer.ip()));
        if let Some(peer) = peer {
            self.show("REMOTE_PORT", peer.port());
        }
    }

    /// `CONTENT_LENGTH` and `CONTENT_TYPE`, if there is content or the method is one for content
    /// (RFC 3875 §4.1.2, §4.1.3).
    fn set_content(&mut self, head: &RequestHead<'_>, length: Option<u64>) {
        let is_for_content = matches!(head.method, Method::Post | Method::Put | Method::Patch);
        if head.framing == Framing::Empty && !is_for_content {
            return;
        }
        if let Some(length) = length {
            self.show("CONTENT_LENGTH", length);
        }
        if let Some(value) = head.fields.values("content-type").next() {
            self.set("CONTENT_TYPE", value);
        }
    }

    /// `HTTP_*` (RFC 3875 §4.1.18).
    fn set_fields(&mut self, request: &Request<'_>) {
        let (head, verified) = (request.head, request.verified);
        let first = self.places.len();
        let hidden = request.hidden_fields();
        let has_trace = request.trace().is_some();
        let is_for_us = |name: &str| {
            verified.withholds(name)
                || has_trace && trace::is_of_trace(name)
                || verified.is_by_password() && name.eq_ignore_ascii_case("authorization")
                || hidden.has(name)
        };
        let fields = head.fields.iter();
        let fields = fields.filter(|(name, _)| is_passed(name) && !is_for_us(name));
        for (name, value) in fields.chain(verified.lines()) {
            // RFC 9112 §3.2.2: the host of an absolute-form replaces `Host`.
            let value = match head.target.authority {
                Some(authority) if name.eq_ignore_ascii_case("host") => authority,
                _ => value,
            };
            let start = self.octets.len();
            push_variable_name(name, &mut self.octets);
            let end = self.octets.len();
            let is_same =
                |place: &Place| self.octets[place.name.clone()] == self.octets[start..end];
            let known = (first..self.places.len()).find(|nth| is_same(&self.places[*nth]));
            match known {
                Some(nth) => self.join(nth, end, value),
                None => {
                    self.octets.extend_from_slice(value);
                    self.places.push(Place {
                        name: start..end,
                        value: end..self.octets.len(),
                    });
                }
            }
        }
    }

    /// Appends `value` to that of a variable. Both stand from `start` on then.
    fn join(&mut self, nth: usize, start: usize, value: &[u8]) {
        let Place {
            name,
            value: before,
        } = self.places[nth].clone();
        // RFC 9110 §5.3; cookies have a separator of their own (RFC 6265 §5.4).
        let separator: &[u8] = match &self.octets[name] {
            b"HTTP_COOKIE" => b"; ",
            _ => b", ",
        };
        self.octets.extend_from_within(before);
        self.octets.extend_from_slice(separator);
        self.octets.extend_from_slice(value);
        self.places[nth].value = start..self.octets.len();
    }
}

/// Whether a field becomes a variable.
///
/// `Proxy` does not: `HTTP_PROXY` means something else to many programs ("httpoxy"). A name that has anything but
/// letters, digits and dashes does not, because a script could take it for another one: `X_User` becomes the same
/// variable as `X-User`, and PHP makes `HTTP_X_USER` of `HTTP_X.USER`. Fields that other variables carry, or that
/// concern the connection alone, do not either.
fn is_passed(name: &str) -> bool {
    const WITHHELD: [&str; 3] = ["content-length", "content-type", "proxy"];
    let is_withheld = WITHHELD
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known));
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !is_withheld && !is_hop_by_hop(name) && name.bytes().all(is_plain)
}

/// Appends `HTTP_ACCEPT_LANGUAGE` for `Accept-Language`.
fn push_variable_name(field: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"HTTP_");
    out.extend(field.bytes().map(|byte| match byte {
        b'-' => b'_',
        byte => byte.to_ascii_uppercase(),
    }));
}

/// The host that the client asked for; if it named none, the address of the listener (§4.1.14).
fn server_name<'r>(head: &RequestHead<'r>, listener: &ListenAddress) -> Cow<'r, [u8]> {
    match listener.ip() {
        _ if !head.host.is_empty() => head.host.into(),
        Some(address) if address.is_ipv6() => format!("[{}]", address.ip()).into_bytes().into(),
        Some(address) => address.ip().to_string().into_bytes().into(),
        None => b"localhost"[..].into(),
    }
}

/// The port of the listener (§4.1.15). If the listener has none, as a Unix socket, or if the system
/// chose it, the port that the client asked for.
fn server_port<'r>(head: &RequestHead<'r>, listener: &ListenAddress) -> Cow<'r, [u8]> {
    match listener.ip() {
        Some(address) if address.port() != 0 => address.port().to_string().into_bytes().into(),
        _ => asked_port(head, b"80"),
    }
}

/// The port that the client asked for, or `default` if it named none.
fn asked_port<'r>(head: &RequestHead<'r>, default: &'static [u8]) -> Cow<'r, [u8]> {
    let asked = head.target.authority.or(head.fields.first(Known::Host));
    asked.and_then(target::port).unwrap_or(default).into()
}

/// The request-target in origin-form, as the client sent it: `rewrite` changes the script and the query, but
/// applications make links to themselves of this.
fn request_uri<'r>(head: &RequestHead<'r>) -> Cow<'r, [u8]> {
    let raw = head.raw_target.as_bytes();
    if raw.starts_with(b"/") {
        return raw.into();
    }
    let sent = Target::parse(head.method, raw).filter(|target| target.form == Form::Absolute);
    match sent.map(|target| (target.path, target.query)) {
        Some((path, None)) => path.into(),
        Some((path, Some(query))) => [path, b"?", query].concat().into(),
        None => raw.into(),
    }
}

fn trim_end(path: &[u8]) -> &[u8] {
    path.strip_suffix(b"/").unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::path::NormalPath;
    use crate::http::request::{HeadLimits, Parsed, field_space};
    use crate::message::changes::RepresentationChanges;
    use crate::message::identity::{Identity, IdentityFields, VerifiedBy};
    use crate::message::marks::MarksPlace;
    use crate::message::request::{Arrival, TellsOfConnection};
    use crate::message::routed_path::RoutedPath;
    use crate::message::upstream_note::NotePlace;
    use std::net::{IpAddr, SocketAddr};

    const SCRIPT: Script<'_> = Script {
        name: b"/cgi-bin/x.py",
        path_info: b"",
        filename: b"/srv/cgi-bin/x.py",
        document_root: b"/srv/cgi-bin",
    };

    /// The variables, as `NAME=value`, for a request of these lines.
    fn variables_at(listen: &str, lines: &[&str], script: Script<'_>) -> Vec<String> {
        variables_by(None, listen, lines, script)
    }

    fn variables_by(
        arrival: Option<&Arrival<'_>>,
        listen: &str,
        lines: &[&str],
        script: Script<'_>,
    ) -> Vec<String> {
        variables_of((arrival, Verified::default()), listen, lines, script)
    }

    fn variables_of(
        (arrival, verified): (Option<&Arrival<'_>>, Verified<'_>),
        listen: &str,
        lines: &[&str],
        script: Script<'_>,
    ) -> Vec<String> {
        let bytes = format!("{}\r\n\r\n", lines.join("\r\n"));
        let mut space = field_space();
        let parsed = RequestHead::parse(bytes.as_bytes(), &mut space, HeadLimits::NONE);
        let Ok(Parsed::Complete(head, _)) = parsed else {
            panic!("{lines:?} is a request")
        };
        let path = NormalPath::parse(head.target.path).expect("a path");
        let listener = match listen.strip_prefix("unix:") {
            Some(path) => ListenAddress::Unix(path.into()),
            None => ListenAddress::Ip(listen.parse().expect("an address")),
        };
        let request = Request {
            head: &head,
            path: RoutedPath::new(&path, 0),
            changes: &RepresentationChanges::default(),
            verified,
            client: IpAddr::from([192, 0, 2, 7]).into(),
            listener: &listener,
            arrival,
            marks: &MarksPlace::new(),
            note: &NotePlace::default(),
            original: None,
        };
        let text = String::from_utf8_lossy;
        let line = |(name, value)| format!("{}={}", text(name), text(value));
        let length = match head.framing {
            Framing::Empty => Some(0),
            Framing::Length(length) => Some(length),
            Framing::Chunked => None,
        };
        meta_variables(&request, &script, length)
            .iter()
            .map(line)
            .collect()
    }

    fn variables(lines: &[&str]) -> Vec<String> {
        variables_at("127.0.0.1:8080", lines, SCRIPT)
    }

    #[test]
    fn tells_all_of_a_request() {
        let script = Script {
            path_info: b"/more info",
            ..SCRIPT
        };
        let lines = [
            "GET /cgi-bin/x.py/more%20info?a=%20b HTTP/1.1",
            "Host: www.example.com:8080",
            "Accept-Language: en",
        ];
        assert_eq!(
            variables_at("[::]:8080", &lines, script),
            [
                "GATEWAY_INTERFACE=CGI/1.1",
                concat!("SERVER_SOFTWARE=tidegate/", env!("CARGO_PKG_VERSION")),
                "SERVER_PROTOCOL=HTTP/1.1",
                "SERVER_NAME=www.example.com",
                "SERVER_PORT=8080",
                "REQUEST_METHOD=GET",
                "REQUEST_SCHEME=http",
                "REQUEST_URI=/cgi-bin/x.py/more%20info?a=%20b",
                "QUERY_STRING=a=%20b",
                "REMOTE_ADDR=192.0.2.7",
                "REMOTE_HOST=192.0.2.7",
                "SCRIPT_NAME=/cgi-bin/x.py",
                "SCRIPT_FILENAME=/srv/cgi-bin/x.py",
                "DOCUMENT_ROOT=/srv/cgi-bin",
                "PATH_INFO=/more info",
                "PATH_TRANSLATED=/srv/cgi-bin/more info",
                "REDIRECT_STATUS=200",
                "HTTP_HOST=www.example.com:8080",
                "HTTP_ACCEPT_LANGUAGE=en",
            ]
        );
    }

    #[test]
    fn the_query_is_always_told_and_path_info_only_where_there_is_one() {
        let found = variables(&["GET /cgi-bin/x.py HTTP/1.0"]);
        assert!(found.contains(&"QUERY_STRING=".to_owned()), "{found:?}");
        assert!(
            !found.iter().any(|line| line.starts_with("PATH_")),
            "{found:?}"
        );
    }

    #[test]
    fn tells_of_content_where_there_may_be_some() {
        const TYPE: &str = "Content-Type: text/plain";
        let of_content = |lines: &[&str]| {
            let mut found = variables(lines);
            found.retain(|line| line.contains("CONTENT_"));
            found.join(" ")
        };
        for (method, framing, expected) in [
            (
                "POST",
                "Content-Length: 3",
                "CONTENT_LENGTH=3 CONTENT_TYPE=text/plain",
            ),
            (
                "POST",
                "Content-Length: 0",
                "CONTENT_LENGTH=0 CONTENT_TYPE=text/plain",
            ),
            ("POST", "X: y", "CONTENT_LENGTH=0 CONTENT_TYPE=text/plain"),
            (
                "POST",
                "Transfer-Encoding: chunked",
                "CONTENT_TYPE=text/plain",
            ),
            (
                "GET",
                "Content-Length: 3",
                "CONTENT_LENGTH=3 CONTENT_TYPE=text/plain",
            ),
            ("GET", "X: y", ""),
        ] {
            let line = format!("{method} / HTTP/1.1");
            let found = of_content(&[&line, "Host: a", TYPE, framing]);
            assert_eq!(found, expected, "{method} {framing}");
        }
    }

    #[test]
    fn fields_become_variables_but_for_those_that_must_not() {
        for (fields, expected) in [
            (&["X-A-b: 1"][..], "HTTP_X_A_B=1"),
            (&["X-A: 1", "X-B: 2", "x-a: 3"], "HTTP_X_A=1, 3 HTTP_X_B=2"),
            (&["Cookie: a=1", "Cookie: b=2"], "HTTP_COOKIE=a=1; b=2"),
            (
                &["Authorization: Basic YTpi"],
                "HTTP_AUTHORIZATION=Basic YTpi",
            ),
            (&["Proxy: http://evil"], ""),
            (&["pROXY: http://evil"], ""),
            (&["X_A: 1"], ""),
            // PHP reads it as `HTTP_X_A`.
            (&["X.A: 1"], ""),
            (&["X+A: 1", "X!A: 2", "X`A: 3"], ""),
            (
                &["X-Forwarded_For: 1", "X-Forwarded-For: 2"],
                "HTTP_X_FORWARDED_FOR=2",
            ),
            (
                &["Connection: close, Upgrade", "Upgrade: x", "TE: trailers"],
                "",
            ),
            (
                &[
                    "Content-Length: 0",
                    "Keep-Alive: 3",
                    "Proxy-Authorization: x",
                    "Proxy-Connection: x",
                    "Trailer: x",
                ],
                "",
            ),
        ] {
            let lines = [&["GET / HTTP/1.0"], fields].concat();
            let mut found = variables(&lines);
            found.retain(|line| line.starts_with("HTTP_"));
            assert_eq!(found.join(" "), expected, "{fields:?}");
        }
    }

    #[test]
    fn a_user_who_was_verified_is_told_and_the_password_is_not() {
        let identity = |by, user: Option<&str>| Identity {
            user: user.map(Into::into),
            by,
            fields: vec![("Remote-User".to_owned(), b"alice".to_vec())],
        };
        let fields = IdentityFields {
            withheld: vec!["Remote-User".to_owned()],
            user: None,
        };
        let lines = [
            "GET / HTTP/1.0",
            "Remote-User: eve",
            "remote_user: eve",
            "Authorization: Basic YTpi",
        ];
        let copied = "HTTP_REMOTE_USER=alice";
        let password = "HTTP_AUTHORIZATION=Basic YTpi";
        for (identity, expected) in [
            (None, &[password][..]),
            (
                Some(identity(VerifiedBy::Password, Some("alice"))),
                &["AUTH_TYPE=Basic", "REMOTE_USER=alice", copied],
            ),
            (
                Some(identity(VerifiedBy::Service, Some("alice"))),
                &["AUTH_TYPE=forward", "REMOTE_USER=alice", password, copied],
            ),
            (
                Some(identity(VerifiedBy::Service, None)),
                &[password, copied],
            ),
        ] {
            let verified = Verified {
                identity: identity.as_ref(),
                fields: Some(&fields),
            };
            let mut found = variables_of((None, verified), "unix:/run/x", &lines, SCRIPT);
            let names = ["HTTP_", "REMOTE_USER=", "AUTH_TYPE="];
            found.retain(|line| names.iter().any(|name| line.starts_with(name)));
            assert_eq!(found, expected, "{identity:?}");
        }
    }

    #[test]
    fn the_server_is_the_one_that_the_client_asked() {
        for (listen, lines, expected) in [
            ("10.0.0.1:81", &["GET / HTTP/1.0"][..], "10.0.0.1 81"),
            ("[::1]:81", &["GET / HTTP/1.0"], "[::1] 81"),
            (
                "[::1]:81",
                &["GET / HTTP/1.1", "Host: [::1]:99"],
                "[::1] 81",
            ),
            ("127.0.0.1:0", &["GET / HTTP/1.1", "Host: a:99"], "a 99"),
            ("unix:/run/x", &["GET / HTTP/1.1", "Host: a"], "a 80"),
            ("unix:/run/x", &["GET / HTTP/1.1", "Host: a:443"], "a 443"),
            ("unix:/run/x", &["GET / HTTP/1.0"], "localhost 80"),
            (
                "unix:/run/x",
                &["GET http://b:82/ HTTP/1.1", "Host: a"],
                "b 82",
            ),
        ] {
            let found = variables_at(listen, lines, SCRIPT);
            let value = |name: &str| {
                let line = found.iter().find_map(|line| line.strip_prefix(name));
                line.expect("it is always told").to_owned()
            };
            let server = [value("SERVER_NAME="), value("SERVER_PORT=")].join(" ");
            assert_eq!(server, expected, "{listen} {lines:?}");
        }
    }

    #[test]
    fn both_ends_of_the_connection_are_told() {
        let names = [
            "SERVER_ADDR=",
            "REMOTE_PORT=",
            "HTTPS=",
            "REQUEST_SCHEME=",
            "SERVER_PORT=",
        ];
        for (peer, is_https, host, expected) in [
            (
                Some("192.0.2.7:4711"),
                false,
                "h:81",
                "SERVER_PORT=81 REQUEST_SCHEME=http SERVER_ADDR=10.0.0.1 REMOTE_PORT=4711",
            ),
            // Behind a proxy the port is the proxy's.
            (
                Some("10.0.0.9:4711"),
                true,
                "h",
                "SERVER_PORT=443 REQUEST_SCHEME=https HTTPS=on SERVER_ADDR=10.0.0.1",
            ),
            (
                Some("10.0.0.9:4711"),
                true,
                "h:8443",
                "SERVER_PORT=8443 REQUEST_SCHEME=https HTTPS=on SERVER_ADDR=10.0.0.1",
            ),
            (None, false, "h", "SERVER_PORT=80 REQUEST_SCHEME=http"),
        ] {
            struct At(Option<SocketAddr>, Option<IpAddr>);
            impl TellsOfConnection for At {
                fn peer(&self) -> Option<SocketAddr> {
                    self.0
                }
                fn server_ip(&self) -> Option<IpAddr> {
                    self.1
                }
                fn secured(&self) -> Option<Secured<'_>> {
                    None
                }
            }
            let ip = peer.map(|_| IpAddr::from([10, 0, 0, 1]));
            let arrival = Arrival {
                believed: None,
                is_https,
                connection: &At(peer.map(|peer| peer.parse().expect("an address")), ip),
            };
            let lines = ["GET / HTTP/1.1", &format!("Host: {host}")];
            let mut found = variables_by(Some(&arrival), "unix:/run/x", &lines, SCRIPT);
            found.retain(|line| names.iter().any(|name| line.starts_with(name)));
            assert_eq!(found.join(" "), expected, "{peer:?} {host}");
        }
    }

    #[test]
    fn an_absolute_form_is_told_as_what_it_stands_for() {
        let found = variables(&["GET http://b:82/c?d HTTP/1.1", "Host: a"]);
        for expected in ["REQUEST_URI=/c?d", "HTTP_HOST=b:82", "SERVER_NAME=b"] {
            assert!(found.contains(&expected.to_owned()), "{expected} {found:?}");
        }
    }

    #[test]
    fn a_script_ends_where_a_segment_does() {
        for (path, expected) in [
            ("", &[][..]),
            ("/", &[]),
            ("/a", &[2]),
            ("/a/", &[2]),
            ("/ab/c.py/d/", &[3, 8, 10]),
        ] {
            assert!(
                segment_ends(path.as_bytes()).eq(expected.iter().copied()),
                "{path:?}"
            );
        }
    }
}
