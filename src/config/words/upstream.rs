//! Reads what a route with `proxy` asks, and the addresses of an upstream's servers.
//!
//! ```text
//! proxy      shop                  the name of an upstream
//!            http://HOST:PORT      one server, without a path; the port is 80 if it is left out
//!            https://HOST:PORT     the same over TLS; the port is 443 if it is left out
//!            unix:PATH             one server, at a Unix socket
//! of a stream  a name, or an address as in `servers`
//!            tls://HOST:PORT       one server, over TLS
//! servers    IP:PORT  [v6]:PORT  localhost:PORT  NAME:PORT  unix:PATH  srv:NAME, and all of these URLs;
//!            srv:_https.… is a service over TLS
//! ```

use std::net::{Ipv4Addr, Ipv6Addr};

use super::address::{parse_socket_address, parse_unix, unbracketed};
use crate::address::{SRV, Scheme, UNIX, UpstreamAddress, UpstreamUrl};
use crate::config::complaint::fault::Fault;

/// What a route with `proxy` asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ProxyTarget {
    /// An upstream of the file.
    Named(String),
    /// One server, of which the route says the address.
    Server(UpstreamUrl),
}

/// Where an address of a server stands. What may stand beside it depends on that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In `proxy` of a route.
    Route,
    /// In the `servers` of an upstream, which routes and streams ask.
    Upstream,
    /// In `proxy` of a stream.
    Stream,
    /// In the command line, where no route can say more of it.
    Command,
}

const SCHEME: &str = "http://";

const TARGET_HELP: &str =
    "write the name of an upstream, \"shop\", or the URL of a server, \"http://127.0.0.1:8000\"";

const SERVER_HELP: &str =
    "write \"127.0.0.1:8000\", \"[::1]:8000\", \"app.internal:8000\" or \"unix:run/app.sock\"";

/// Reads the value of `proxy`. Paths of Unix sockets stay as written, and names are not looked up.
pub(crate) fn parse_proxy_target(text: &str) -> Result<ProxyTarget, Fault> {
    if text.starts_with(UNIX) {
        return parse_server_at(text, Place::Route).map(ProxyTarget::Server);
    }
    match after_scheme(text)? {
        Some((Scheme::Tls, rest)) => {
            let fault = Fault::new(0..text.len() - rest.len(), "a route speaks HTTP over TLS");
            return Err(fault.help(format!("write \"https://{rest}\"")));
        }
        Some((scheme, rest)) => {
            let server = parse_authority(text, (scheme, rest), Place::Route);
            return server.map(ProxyTarget::Server);
        }
        None => {}
    }
    if is_upstream_name(text) {
        return Ok(ProxyTarget::Named(text.to_owned()));
    }
    let message = format!("`{}` is nothing that `proxy` can ask", text.escape_debug());
    let fault = Fault::new(0..text.len(), message);
    let authority = text.split('/').next().unwrap_or(text);
    Err(match parse_socket_address(authority) {
        Some(_) => fault.help(format!(
            "write the URL of the server: \"{SCHEME}{authority}\""
        )),
        None => fault.help(TARGET_HELP),
    })
}

/// Reads the value of `proxy` of a stream, as [`parse_proxy_target`] does.
pub(crate) fn parse_stream_target(text: &str) -> Result<ProxyTarget, Fault> {
    if let Some((scheme, rest)) = text.split_once("://")
        && !scheme.eq_ignore_ascii_case("tls")
    {
        let range = 0..scheme.len() + 3;
        let fault = Fault::new(range, "a stream carries octets, whatever they mean");
        let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
        let authority = authority.rsplit('@').next().unwrap_or(authority);
        return Err(fault.help(if scheme.eq_ignore_ascii_case("https") {
            format!("write \"tls://{authority}\", with the port")
        } else {
            format!("write the address alone: \"{authority}\"")
        }));
    }
    // An address without its port has the form of a name.
    if is_upstream_name(text) && text.parse::<Ipv4Addr>().is_err() {
        return Ok(ProxyTarget::Named(text.to_owned()));
    }
    parse_server_at(text, Place::Stream).map(ProxyTarget::Server)
}

/// Reads the address of a server of an upstream, as [`parse_proxy_target`] does.
pub(crate) fn parse_upstream_server(text: &str) -> Result<UpstreamUrl, Fault> {
    parse_server_at(text, Place::Upstream)
}

/// Reads the address of a server in the command line, as [`parse_upstream_server`] does.
pub(crate) fn parse_server_of_command(text: &str) -> Result<UpstreamUrl, Fault> {
    parse_server_at(text, Place::Command)
}

fn parse_server_at(text: &str, place: Place) -> Result<UpstreamUrl, Fault> {
    if let Some(path) = text.strip_prefix(UNIX) {
        return Ok(UpstreamAddress::Unix(parse_unix(path)?).into());
    }
    if let Some(name) = text.strip_prefix(SRV) {
        return parse_service(text, name);
    }
    if text.starts_with('/') {
        let fault = Fault::new(0..text.len(), "a path alone is no address");
        return Err(fault.help(format!("write \"unix:{text}\"")));
    }
    match after_scheme(text)? {
        Some(url) => parse_authority(text, url, place),
        None => parse_server(text, (Scheme::Plain, text), place),
    }
}

/// Reads the name of a service behind `srv:`: `_http._tcp.shop.internal` (RFC 2782).
fn parse_service(text: &str, name: &str) -> Result<UpstreamUrl, Fault> {
    const HELP: &str = "write \"srv:_http._tcp.shop.internal\"";
    let is_of_label = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let is_label = |label: &str| (1..64).contains(&label.len()) && label.chars().all(is_of_label);
    let mut labels = name.split('.');
    let mut begins = || {
        labels
            .next()
            .is_some_and(|label| label.len() > 1 && label.starts_with('_'))
    };
    let is_service = begins() && begins() && labels.next().is_some();
    if is_service && name.len() < 254 && name.split('.').all(is_label) {
        let service = name.split('.').next();
        let is_https = service.is_some_and(|service| service.eq_ignore_ascii_case("_https"));
        let name = name.to_owned();
        return Ok(UpstreamUrl {
            scheme: if is_https {
                Scheme::Https
            } else {
                Scheme::Plain
            },
            address: UpstreamAddress::Srv { name },
        });
    }
    let name = name.escape_debug();
    let message = if has_port(&name.to_string()) {
        format!("`{name}` has a port, which SRV records say")
    } else {
        format!("`{name}` is no service, a protocol and a domain")
    };
    Err(Fault::new(0..text.len(), message).help(HELP))
}

/// Reads the name of an upstream: letters, digits, `-`, `_` and `.`. So it is never taken for an address,
/// and a `/` can stand between it and that of one of its servers.
pub(crate) fn parse_upstream_name(name: &str) -> Result<String, Fault> {
    if is_upstream_name(name) {
        return Ok(name.to_owned());
    }
    let message = format!(
        "`{}` cannot be the name of an upstream",
        name.escape_debug()
    );
    let help = "a name is letters, digits, `-`, `_` and `.`";
    Err(Fault::new(0..name.len(), message).help(help))
}

fn is_upstream_name(text: &str) -> bool {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !text.is_empty() && text.chars().all(is_of_name)
}

/// What is spoken, and what stands behind `://`; `None` without a scheme.
fn after_scheme(text: &str) -> Result<Option<(Scheme, &str)>, Fault> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Ok(None);
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let fault = |message: String| Fault::new(0..scheme.len() + 3, message);
    match scheme.to_ascii_lowercase().as_str() {
        "http" => Ok(Some((Scheme::Plain, rest))),
        "https" => Ok(Some((Scheme::Https, rest))),
        "tls" => Ok(Some((Scheme::Tls, rest))),
        "wss" => Err(
            fault("a WebSocket begins as a request of HTTP".to_owned()).help(format!(
                "write \"https://{host}\"; `Upgrade: websocket` is passed on"
            )),
        ),
        "h2" | "grpcs" => Err(
            fault("upstreams are asked by HTTP/1.1, not by HTTP/2".to_owned()).help(format!(
                "write \"https://{host}\" if the server speaks HTTP/1.1, too"
            )),
        ),
        "ws" => Err(
            fault("a WebSocket begins as a request of HTTP".to_owned()).help(format!(
                "write \"{SCHEME}{host}\"; `Upgrade: websocket` is passed on"
            )),
        ),
        "h2c" | "grpc" => Err(
            fault("upstreams are asked by HTTP/1.1, not by HTTP/2".to_owned()).help(format!(
                "write \"{SCHEME}{host}\" if the server speaks HTTP/1.1, too"
            )),
        ),
        "fastcgi" | "fcgi" => Err(fault(
            "`proxy` asks servers that speak HTTP; FastCGI has a verb of its own".to_owned(),
        )
        .help(format!(
            "in the route, write fastcgi = \"{host}\", root = \"DIR\" in place of `proxy`"
        ))),
        _ => Err(fault(format!(
            "`{}` is no scheme that `proxy` can speak",
            scheme.escape_debug()
        ))
        .help(format!("write \"{SCHEME}{host}\""))),
    }
}

/// Reads `rest`, which stands behind the scheme in `text`: a host, and a port or none.
fn parse_authority(
    text: &str,
    (scheme, rest): (Scheme, &str),
    place: Place,
) -> Result<UpstreamUrl, Fault> {
    let start = text.len() - rest.len();
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, beyond) = rest.split_at(end);
    if authority == UNIX || authority == UNIX.trim_end_matches(':') {
        let path = beyond.split(':').next().unwrap_or(beyond);
        let fault = Fault::new(0..text.len(), "a Unix socket has no scheme");
        return Err(fault.help(format!("write \"{UNIX}{path}\"")));
    }
    if !beyond.is_empty() {
        let fault = Fault::new(
            start + end..text.len(),
            "the URL of a server ends with its port",
        );
        return Err(fault.help(path_help(scheme, (authority, beyond), place)));
    }
    if let Some((account, host)) = authority.rsplit_once('@') {
        let range = start..start + account.len() + 1;
        let url = format!("{}{host}", url_start(scheme));
        let help = match route_of(scheme, place) {
            Some(there) => format!(
                "write \"{url}\", and \
                 request_headers = {{ set = {{ Authorization = \"Basic …\" }} }} {there}"
            ),
            None => format!("write \"{url}\""),
        };
        return Err(Fault::new(range, "the URL of a server names no user").help(help));
    }
    let port = match scheme {
        _ if has_port(authority) => return parse_server(text, (scheme, authority), place),
        Scheme::Plain => 80,
        Scheme::Https => 443,
        Scheme::Tls => {
            let fault = Fault::new(0..text.len(), "the port is missing");
            return Err(fault.help(format!("write \"tls://{authority}:5433\"")));
        }
    };
    parse_server(text, (scheme, &format!("{authority}:{port}")), place)
}

/// What stands before the address of a server with that scheme.
fn url_start(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Plain => SCHEME,
        Scheme::Https => "https://",
        Scheme::Tls => "tls://",
    }
}

/// Where the options of the route stand that asks a server over `scheme`; `None` if no route does.
fn route_of(scheme: Scheme, place: Place) -> Option<&'static str> {
    match place {
        // `tls` is what streams speak.
        _ if scheme == Scheme::Tls => None,
        Place::Route => Some("beside it"),
        Place::Upstream => Some("in the route that asks it"),
        Place::Stream | Place::Command => None,
    }
}

/// What to write in place of a URL with a path. Other servers put that path before the request's, or in
/// place of what matched, and which of the two depends on a slash.
fn path_help(scheme: Scheme, (authority, beyond): (&str, &str), place: Place) -> String {
    let path = beyond.split(['?', '#']).next().unwrap_or(beyond);
    // A stream names a server without TLS by its address alone.
    let start = match place {
        Place::Stream if scheme == Scheme::Plain => "",
        _ => url_start(scheme),
    };
    let url = format!("{start}{authority}");
    let Some(there) = route_of(scheme, place) else {
        return match place {
            Place::Command => format!("write \"{url}\": the path is the client's"),
            _ => format!("write \"{url}\": a stream carries octets, and asks for no path"),
        };
    };
    match path.trim_end_matches('/') {
        "" => format!(
            "write \"{url}\": the path is the client's; strip_prefix = true {there} leaves the part out \
             that matched"
        ),
        path => format!(
            "write \"{url}\", and rewrite = \"{path}{{rest}}\" {there}; `{{rest}}` is what the path has \
             below the route"
        ),
    }
}

fn has_port(authority: &str) -> bool {
    let after_brackets = authority.rsplit(']').next().unwrap_or(authority);
    after_brackets.contains(':')
}

/// Reads `authority`, a host and a port. `text` is what the operator wrote.
fn parse_server(
    text: &str,
    (scheme, authority): (Scheme, &str),
    place: Place,
) -> Result<UpstreamUrl, Fault> {
    let whole = 0..text.len();
    match parse_socket_address(authority) {
        Some(UpstreamAddress::Ip(address))
            if address.port() == 0 || address.ip().is_unspecified() =>
        {
            Err(Fault::new(whole, format!("no server can be asked at `{text}`")).help(SERVER_HELP))
        }
        Some(address) => Ok(UpstreamUrl { scheme, address }),
        None => Err(explain_server(text, authority, place)),
    }
}

/// Why `authority`, which stands at `place`, is no host and port.
fn explain_server(text: &str, authority: &str, place: Place) -> Fault {
    let fault = |message: String| Fault::new(0..text.len(), message);
    if authority.parse::<Ipv6Addr>().is_ok() {
        let (address, port) = unbracketed(authority, "8000");
        let help = format!("write \"[{address}]:{port}\"");
        return fault("an IPv6 address stands in brackets, and needs a port".to_owned()).help(help);
    }
    let lacks_port = authority.parse::<Ipv4Addr>().is_ok()
        || parse_socket_address(&format!("{authority}:80")).is_some();
    if lacks_port {
        let help = match place {
            Place::Stream => format!("write \"{authority}:5432\""),
            _ => format!("write \"{authority}:8000\", or \"{SCHEME}{authority}\" for port 80"),
        };
        return fault("the port is missing".to_owned()).help(help);
    }
    if let Some((host, path)) = authority.split_once('/')
        && parse_socket_address(host).is_some()
    {
        let help = path_help(Scheme::Plain, (host, &format!("/{path}")), place);
        return fault("the address of a server has no path".to_owned()).help(help);
    }
    let message = format!("`{}` is not the address of a server", text.escape_debug());
    fault(message).help(SERVER_HELP)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::complaint::fault::assert_faults;

    fn shown(url: &UpstreamUrl) -> String {
        url.to_string()
    }

    #[test]
    fn reads_what_proxy_asks() {
        for (text, expected) in [
            ("http://127.0.0.1:8000", "127.0.0.1:8000"),
            ("HTTP://localhost", "localhost:80"),
            ("http://[::1]", "[::1]:80"),
            ("http://[::1]:8000", "[::1]:8000"),
            ("http://app.internal", "app.internal:80"),
            ("https://app.internal", "https://app.internal:443"),
            ("HTTPS://[::1]:8443", "https://[::1]:8443"),
            ("unix:run/app.sock", "unix:run/app.sock"),
        ] {
            match parse_proxy_target(text).expect(text) {
                ProxyTarget::Server(address) => assert_eq!(shown(&address), expected),
                other => panic!("{other:?}"),
            }
        }
        for name in ["shop", "shop-2", "shop.v2", "SHOP_2", "8000"] {
            let named = ProxyTarget::Named(name.to_owned());
            assert_eq!(parse_proxy_target(name), Ok(named));
        }
    }

    #[test]
    fn reads_servers_of_an_upstream() {
        for (text, expected) in [
            ("127.0.0.1:8000", "127.0.0.1:8000"),
            ("localhost:8000", "localhost:8000"),
            ("https://LOCALHOST", "https://localhost:443"),
            ("[::1]:8000", "[::1]:8000"),
            ("app:8000", "app:8000"),
            ("http://app", "app:80"),
            ("unix:/run/app.sock", "unix:/run/app.sock"),
            ("srv:_http._tcp.shop", "srv:_http._tcp.shop"),
            ("srv:_https._tcp.shop", "srv:_https._tcp.shop"),
            ("https://app", "https://app:443"),
            ("tls://db:5433", "tls://db:5433"),
        ] {
            assert_eq!(shown(&parse_upstream_server(text).expect(text)), expected);
        }
    }

    #[test]
    fn a_service_over_tls_is_known_by_its_name() {
        for (text, is_tls) in [
            ("srv:_https._tcp.shop", true),
            ("srv:_HTTPS._tcp.shop", true),
            ("srv:_http._tcp.shop", false),
            ("srv:_postgresql._tcp.db", false),
        ] {
            let url = parse_upstream_server(text).expect(text);
            assert_eq!(url.scheme.is_tls(), is_tls, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_server_and_says_where() {
        let cases = [
            ("", 0..0, "not the address"),
            ("app", 0..3, "the port is missing"),
            ("127.0.0.1", 0..9, "the port is missing"),
            ("[::1]", 0..5, "the port is missing"),
            ("::1", 0..3, "stands in brackets"),
            ("app:0", 0..5, "not the address"),
            ("app:65536", 0..9, "not the address"),
            ("1.2.3:80", 0..8, "not the address"),
            ("0.0.0.0:80", 0..10, "no server can be asked"),
            ("srv:", 0..4, "no service"),
            ("srv:shop", 0..8, "no service"),
            ("srv:_http._tcp", 0..14, "no service"),
            ("srv:_http._tcp.a b", 0..18, "no service"),
            ("srv:_http._tcp..b", 0..17, "no service"),
            (
                "srv:_http._tcp.shop:80",
                0..22,
                "has a port, which SRV records say",
            ),
            ("http://[::]:80", 0..14, "no server can be asked"),
            ("app:80/a", 0..8, "has no path"),
            ("http://app/", 10..11, "ends with its port"),
            ("http://app:80/a?b", 13..17, "ends with its port"),
            ("http://app?b", 10..12, "ends with its port"),
            ("http://a:b@app", 7..11, "names no user"),
            ("http://unix:/a:/b", 0..17, "has no scheme"),
            ("http://", 0..7, "not the address"),
            ("/run/a", 0..6, "a path alone"),
            ("unix:", 0..5, "is missing"),
            ("tls://db", 0..8, "the port is missing"),
            ("https://app/a", 11..13, "ends with its port"),
            ("https://unix:/a:/b", 0..18, "has no scheme"),
            ("grpcs://app", 0..8, "not by HTTP/2"),
            ("wss://app", 0..6, "a WebSocket begins"),
            ("h2c://app", 0..6, "not by HTTP/2"),
            ("ws://app", 0..5, "a WebSocket begins"),
            ("fcgi://app:9000", 0..7, "FastCGI has a verb"),
            ("gopher://app", 0..9, "no scheme"),
        ];
        assert_faults(parse_upstream_server, &cases);
        assert_faults(
            parse_proxy_target,
            &[("tls://app:1", 0..6, "speaks HTTP over TLS")],
        );
        assert_faults(
            parse_stream_target,
            &[("https://app:1", 0..8, "a stream carries octets")],
        );
        for (text, words) in [
            ("127.0.0.1:8000", "nothing that `proxy` can ask"),
            ("app:8000/a", "nothing that `proxy` can ask"),
            ("a b", "nothing that `proxy` can ask"),
            ("", "nothing that `proxy` can ask"),
        ] {
            assert_faults(parse_proxy_target, &[(text, 0..text.len(), words)]);
        }
    }
}
