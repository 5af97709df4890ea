//! Reads what a route with `proxy` asks, and the addresses of an upstream's servers.
//!
//! ```text
//! proxy      shop                  the name of an upstream
//!            http://HOST:PORT      one server, without a path; the port is 80 if it is left out
//!            unix:PATH             one server, at a Unix socket
//! of a stream  a name, or an address as in `servers`
//! servers    IP:PORT  [v6]:PORT  NAME:PORT  unix:PATH  srv:NAME, and http://HOST[:PORT]
//! ```

use std::net::{Ipv4Addr, Ipv6Addr};

use super::address::{parse_socket_address, parse_unix};
use crate::address::{SRV, UNIX, UpstreamAddress};
use crate::config::complaint::fault::Fault;

/// What a route with `proxy` asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ProxyTarget {
    /// An upstream of the file.
    Named(String),
    /// One server, of which the route says the address.
    Server(UpstreamAddress),
}

const SCHEME: &str = "http://";

const TARGET_HELP: &str =
    "write the name of an upstream, \"shop\", or the URL of a server, \"http://127.0.0.1:8000\"";

const SERVER_HELP: &str =
    "write \"127.0.0.1:8000\", \"[::1]:8000\", \"app.internal:8000\" or \"unix:run/app.sock\"";

/// Reads the value of `proxy`. Paths of Unix sockets stay as written, and names are not looked up.
pub(crate) fn parse_proxy_target(text: &str) -> Result<ProxyTarget, Fault> {
    if text.starts_with(UNIX) {
        return parse_upstream_server(text).map(ProxyTarget::Server);
    }
    if let Some(rest) = after_scheme(text)? {
        return parse_authority(text, rest).map(ProxyTarget::Server);
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
    if let Some((scheme, rest)) = text.split_once("://") {
        let range = 0..scheme.len() + 3;
        let fault = Fault::new(range, "a stream carries octets, whatever they mean");
        return Err(fault.help(format!("write the address alone: \"{rest}\"")));
    }
    // An address without its port has the form of a name.
    if is_upstream_name(text) && text.parse::<Ipv4Addr>().is_err() {
        return Ok(ProxyTarget::Named(text.to_owned()));
    }
    parse_upstream_server(text).map(ProxyTarget::Server)
}

/// Reads the address of a server of an upstream, as [`parse_proxy_target`] does.
pub(crate) fn parse_upstream_server(text: &str) -> Result<UpstreamAddress, Fault> {
    if let Some(path) = text.strip_prefix(UNIX) {
        return parse_unix(path).map(UpstreamAddress::Unix);
    }
    if let Some(name) = text.strip_prefix(SRV) {
        return parse_service(text, name);
    }
    if text.starts_with('/') {
        let fault = Fault::new(0..text.len(), "a path alone is no address");
        return Err(fault.help(format!("write \"unix:{text}\"")));
    }
    match after_scheme(text)? {
        Some(rest) => parse_authority(text, rest),
        None => parse_server(text, text),
    }
}

/// Reads the name of a service behind `srv:`: `_http._tcp.shop.internal` (RFC 2782).
fn parse_service(text: &str, name: &str) -> Result<UpstreamAddress, Fault> {
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
        let name = name.to_owned();
        return Ok(UpstreamAddress::Srv { name });
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

/// What stands behind `http://`; `None` without a scheme.
fn after_scheme(text: &str) -> Result<Option<&str>, Fault> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Ok(None);
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let fault = |message: String| Fault::new(0..scheme.len() + 3, message);
    match scheme.to_ascii_lowercase().as_str() {
        "http" => Ok(Some(rest)),
        "https" | "wss" | "h2" | "grpcs" => Err(fault(
            "this version of tidegate does not have TLS to upstreams".to_owned(),
        )
        .help(format!(
            "have the server listen without TLS where only this machine reaches it, and write \
             \"{SCHEME}{host}\""
        ))),
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
        .help(format!("write fastcgi = \"{host}\", root = \"DIR\""))),
        _ => Err(fault(format!(
            "`{}` is no scheme that `proxy` can speak",
            scheme.escape_debug()
        ))
        .help(format!("write \"{SCHEME}{host}\""))),
    }
}

/// Reads `rest`, which stands behind the scheme in `text`: a host, and a port or none.
fn parse_authority(text: &str, rest: &str) -> Result<UpstreamAddress, Fault> {
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
        return Err(fault.help(path_help(authority, beyond)));
    }
    if let Some((account, host)) = authority.rsplit_once('@') {
        let range = start..start + account.len() + 1;
        let help = format!(
            "write \"{SCHEME}{host}\", and \
             request_headers = {{ set = {{ Authorization = \"Basic …\" }} }} beside it"
        );
        return Err(Fault::new(range, "the URL of a server names no user").help(help));
    }
    if has_port(authority) {
        return parse_server(text, authority);
    }
    parse_server(text, &format!("{authority}:80"))
}

/// What to write in place of a URL with a path. Other servers put that path before the request's, or in
/// place of what matched, and which of the two depends on a slash.
fn path_help(authority: &str, beyond: &str) -> String {
    let path = beyond.split(['?', '#']).next().unwrap_or(beyond);
    let url = format!("{SCHEME}{authority}");
    match path.trim_end_matches('/') {
        "" => format!(
            "write \"{url}\": the path is the client's; strip_prefix = true leaves the part out that \
             matched"
        ),
        path => format!(
            "write \"{url}\", and rewrite = \"{path}{{rest}}\" beside it; `{{rest}}` is what the path has \
             below the route"
        ),
    }
}

fn has_port(authority: &str) -> bool {
    let after_brackets = authority.rsplit(']').next().unwrap_or(authority);
    after_brackets.contains(':')
}

/// Reads `authority`, a host and a port. `text` is what the operator wrote.
fn parse_server(text: &str, authority: &str) -> Result<UpstreamAddress, Fault> {
    let whole = 0..text.len();
    match parse_socket_address(authority) {
        Some(UpstreamAddress::Ip(address))
            if address.port() == 0 || address.ip().is_unspecified() =>
        {
            Err(Fault::new(whole, format!("no server can be asked at `{text}`")).help(SERVER_HELP))
        }
        Some(address) => Ok(address),
        None => Err(explain_server(text, authority)),
    }
}

/// Why `authority` is no host and port.
fn explain_server(text: &str, authority: &str) -> Fault {
    let fault = |message: String| Fault::new(0..text.len(), message);
    if authority.parse::<Ipv6Addr>().is_ok() {
        let help = format!("write \"[{authority}]:8000\"");
        return fault("an IPv6 address stands in brackets, and needs a port".to_owned()).help(help);
    }
    let lacks_port = authority.parse::<Ipv4Addr>().is_ok()
        || parse_socket_address(&format!("{authority}:80")).is_some();
    if lacks_port {
        let help = format!("write \"{authority}:8000\", or \"{SCHEME}{authority}\" for port 80");
        return fault("the port is missing".to_owned()).help(help);
    }
    if let Some((host, path)) = authority.split_once('/')
        && parse_socket_address(host).is_some()
    {
        let help = path_help(host, &format!("/{path}"));
        return fault("the address of a server has no path".to_owned()).help(help);
    }
    let message = format!("`{}` is not the address of a server", text.escape_debug());
    fault(message).help(SERVER_HELP)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::complaint::fault::assert_faults;

    fn shown(address: &UpstreamAddress) -> String {
        address.to_string()
    }

    #[test]
    fn reads_what_proxy_asks() {
        for (text, expected) in [
            ("http://127.0.0.1:8000", "127.0.0.1:8000"),
            ("HTTP://localhost", "127.0.0.1:80"),
            ("http://[::1]", "[::1]:80"),
            ("http://[::1]:8000", "[::1]:8000"),
            ("http://app.internal", "app.internal:80"),
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
            ("localhost:8000", "127.0.0.1:8000"),
            ("[::1]:8000", "[::1]:8000"),
            ("app:8000", "app:8000"),
            ("http://app", "app:80"),
            ("unix:/run/app.sock", "unix:/run/app.sock"),
            ("srv:_http._tcp.shop", "srv:_http._tcp.shop"),
        ] {
            assert_eq!(shown(&parse_upstream_server(text).expect(text)), expected);
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
            ("https://app", 0..8, "TLS to upstreams"),
            ("h2c://app", 0..6, "not by HTTP/2"),
            ("ws://app", 0..5, "a WebSocket begins"),
            ("fcgi://app:9000", 0..7, "FastCGI has a verb"),
            ("gopher://app", 0..9, "no scheme"),
        ];
        assert_faults(parse_upstream_server, &cases);
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
