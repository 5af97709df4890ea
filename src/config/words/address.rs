//! Reads addresses to listen on, addresses of upstreams, hosts, and networks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use crate::address::{LOCALHOST, ListenAddress, UNIX, UpstreamAddress};
use crate::config::complaint::fault::Fault;
use crate::config::model::{Cidr, HostPattern};

/// Reads an entry of `listen`.
///
/// `unix:PATH` is a Unix socket. `IP:PORT` and `[v6]:PORT` are one address. `localhost:PORT` is the
/// loopback address of both families, `:PORT` and `*:PORT` are the unspecified one.
pub(crate) fn parse_listen(text: &str) -> Result<Vec<ListenAddress>, Fault> {
    if let Some(path) = text.strip_prefix(UNIX) {
        return parse_unix(path).map(|path| vec![ListenAddress::Unix(path.into())]);
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        let help = format!("write \"{}\"", rest.trim_end_matches('/'));
        return Err(
            Fault::new(0..scheme.len() + 3, "an address to listen on has no scheme").help(help),
        );
    }
    if text.contains(',') {
        let items = text.split(',').map(|item| format!("\"{}\"", item.trim()));
        let list = items.collect::<Vec<_>>().join(", ");
        let fault = Fault::new(0..text.len(), "several addresses are a list");
        return Err(fault.help(format!("write [{list}]")));
    }
    let (host, port) = split_port(text)?;
    let port = parse_port(port, text.len() - port.len())?;
    let addresses = addresses_of(host)?;
    if let [IpAddr::V6(address)] = addresses[..] {
        refuse_unbindable(host, address, port)?;
    }
    Ok(addresses
        .into_iter()
        .map(|ip| ListenAddress::Ip(SocketAddr::new(ip, port)))
        .collect())
}

/// Refuses an address of version 6 that no socket of this server can be bound to. `host` is how it is written.
fn refuse_unbindable(host: &str, address: Ipv6Addr, port: u16) -> Result<(), Fault> {
    let whole = 0..host.len();
    if let Some(address) = address.to_ipv4_mapped() {
        // The sockets are of version 6 alone, so that one of version 4 can have the same port.
        let fault = Fault::new(whole, format!("`{host}` is an address of version 4"));
        return Err(fault.help(format!("write \"{address}:{port}\"")));
    }
    if address.is_unicast_link_local() {
        let message = format!(
            "`{host}` is an address within one link: it needs an interface, which `listen` does not take"
        );
        let help = "write another address of this machine, or \"[::]\" for all of them";
        return Err(Fault::new(whole, message).help(help));
    }
    Ok(())
}

/// Reads where an application server listens: `unix:PATH`, `IP:PORT`, `[v6]:PORT`, `localhost:PORT` or
/// `NAME:PORT`. The caller looks names up.
pub(crate) fn parse_peer(text: &str) -> Result<UpstreamAddress, Fault> {
    const HELP: &str = "write \"unix:/run/php/php-fpm.sock\", \"127.0.0.1:9000\" or \"php:9000\"";
    if let Some(path) = text.strip_prefix(UNIX) {
        return parse_unix(path).map(UpstreamAddress::Unix);
    }
    let whole = 0..text.len();
    if text.starts_with('/') {
        let help = format!("write \"unix:{text}\"");
        return Err(Fault::new(whole, "a path alone is no address").help(help));
    }
    match parse_socket_address(text) {
        Some(UpstreamAddress::Ip(address))
            if address.port() == 0 || address.ip().is_unspecified() =>
        {
            Err(Fault::new(whole, format!("no server can be asked at `{text}`")).help(HELP))
        }
        Some(address) => Ok(address),
        None => {
            let message = format!(
                "`{}` is not the address of an application server",
                text.escape_debug()
            );
            Err(Fault::new(whole, message).help(HELP))
        }
    }
}

/// Reads `IP:PORT`, `[v6]:PORT`, `localhost:PORT` or `NAME:PORT`.
pub(super) fn parse_socket_address(text: &str) -> Option<UpstreamAddress> {
    match text.parse::<SocketAddr>() {
        Ok(address) => Some(UpstreamAddress::Ip(address)),
        Err(_) => parse_named_peer(text),
    }
}

/// Reads `NAME:PORT`, of which `localhost` is a name that is not looked up. Names of digits alone are addresses
/// that are written wrongly.
fn parse_named_peer(text: &str) -> Option<UpstreamAddress> {
    let (name, port) = text.rsplit_once(':')?;
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let is_name = name.chars().all(is_of_name)
        && name.contains(|c: char| c.is_ascii_alphabetic())
        && name.split('.').all(|label| !label.is_empty());
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit());
    let port = port.parse().ok().filter(|port| is_port && *port != 0)?;
    if name.eq_ignore_ascii_case(LOCALHOST) {
        return Some(UpstreamAddress::Localhost { port });
    }
    is_name.then(|| UpstreamAddress::Name {
        name: name.to_owned(),
        port,
        found: Vec::new(),
    })
}

/// Reads the path of a Unix socket. It stays as written: the caller knows where a relative path
/// begins.
pub(super) fn parse_unix(path: &str) -> Result<PathBuf, Fault> {
    let range = UNIX.len()..UNIX.len() + path.len();
    if path.is_empty() {
        let fault = Fault::new(0..UNIX.len(), "the path of the socket is missing");
        return Err(fault.help("write \"unix:/run/tidegate.sock\""));
    }
    if path.contains('\0') || path.ends_with('/') {
        let message = format!("`{}` is not the path of a socket", path.escape_debug());
        return Err(Fault::new(range, message));
    }
    Ok(path.into())
}

const LISTEN_HELP: &str =
    "write \"127.0.0.1:8080\", \"[::1]:8080\", \"localhost:8080\", or \":8080\" for every address";

/// The part before the last colon outside brackets, and the part after it.
fn split_port(text: &str) -> Result<(&str, &str), Fault> {
    let whole = 0..text.len();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Fault::new(whole, "an address to listen on is more than a port")
            .help(format!("write \"localhost:{text}\" for this machine alone, or \":{text}\" for every address")));
    }
    let missing =
        || Fault::new(whole.clone(), "the port is missing").help(format!("write \"{text}:8080\""));
    if text.ends_with(']') || text.parse::<Ipv4Addr>().is_ok() {
        return Err(missing());
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        let (address, port) = unbracketed(text, "8080");
        let message = "an IPv6 address stands in brackets, and needs a port";
        return Err(Fault::new(whole, message).help(format!("write \"[{address}]:{port}\"")));
    }
    match text.rsplit_once(':') {
        Some((host, port)) if host.contains(':') && !host.starts_with('[') => {
            Err(Fault::new(whole, "an IPv6 address stands in brackets")
                .help(format!("write \"[{host}]:{port}\"")))
        }
        Some(parts) => Ok(parts),
        None if text == "localhost" || text == "*" => Err(missing()),
        None => Err(
            Fault::new(whole, format!("`{text}` is not an address to listen on")).help(LISTEN_HELP),
        ),
    }
}

/// Splits an IPv6 address without brackets into the address and the port that were most likely meant.
/// The last group is the port if it is two or more decimal digits.
pub(super) fn unbracketed<'t>(text: &'t str, default: &'t str) -> (&'t str, &'t str) {
    let is_port = |port: &str| port.len() > 1 && port.bytes().all(|byte| byte.is_ascii_digit());
    let parts = text.rsplit_once(':').filter(|(_, port)| is_port(port));
    parts
        .filter(|(address, _)| address.parse::<Ipv6Addr>().is_ok())
        .unwrap_or((text, default))
}

fn parse_port(port: &str, start: usize) -> Result<u16, Fault> {
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse() {
        Ok(port) if digits => Ok(port),
        _ => Err(
            Fault::new(start..start + port.len(), format!("`{port}` is not a port"))
                .help("a port is a number from 0 to 65535; 0 takes any free one"),
        ),
    }
}

fn addresses_of(host: &str) -> Result<Vec<IpAddr>, Fault> {
    match host {
        "localhost" => return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]),
        "" | "*" => {
            return Ok(vec![
                Ipv4Addr::UNSPECIFIED.into(),
                Ipv6Addr::UNSPECIFIED.into(),
            ]);
        }
        _ => {}
    }
    let bracketed = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let address = match bracketed {
        Some(address) => address.parse().map(IpAddr::V6).ok(),
        None => host.parse().map(IpAddr::V4).ok(),
    };
    address.map(|address| vec![address]).ok_or_else(|| {
        let fault = Fault::new(0..host.len(), format!("`{host}` is not an IP address"));
        match parse_host(host) {
            Ok(_) => fault.help(
                "`listen` takes IP addresses; the names a server answers for go into `hosts`",
            ),
            Err(_) => fault.help(LISTEN_HELP),
        }
    })
}

/// Reads an entry of `hosts`: a name, an IP address (version 6 in brackets, as `Host` carries it,
/// RFC 9110 §7.2), or `*.` and a name.
pub(crate) fn parse_host(text: &str) -> Result<HostPattern, Fault> {
    parse_host_with(text, &IN_HOSTS)
}

/// What is to be done about a word that is no host. It depends on where the word stands.
struct Remedies {
    /// Whether several hosts may stand there.
    takes_several: bool,
    /// For `*`.
    any: &'static str,
    /// Behind a host that was written with its port.
    port: &'static str,
    /// Behind a host that was written with a path.
    path: &'static str,
}

const IN_HOSTS: Remedies = Remedies {
    takes_several: true,
    any: "leave `hosts` out to answer for any host",
    port: "; the port stands in `listen`",
    path: "; paths are the keys in `[server.routes]`",
};

/// A certificate is for names and addresses alone.
const FOR_CERTIFICATE: Remedies = Remedies {
    takes_several: true,
    any: "a certificate is for names; \"*.app.test\" is any name below app.test",
    port: "; a certificate is for every port",
    path: "; a certificate is for every path",
};

/// The certificate of an upstream's server is looked for by one name.
const OF_SERVER: Remedies = Remedies {
    takes_several: false,
    any: "write a name that its certificate is for, without `*`",
    ..FOR_CERTIFICATE
};

fn parse_host_with(text: &str, remedies: &Remedies) -> Result<HostPattern, Fault> {
    let whole = 0..text.len();
    if text == "*" {
        return Err(Fault::new(whole, "`*` is not a host").help(remedies.any));
    }
    // nginx's `server_name _`, the name that no request has.
    if text == "_" {
        return Err(Fault::new(whole, "`_` is not a host").help(remedies.any));
    }
    if let Some(address) = text.strip_prefix('[') {
        return parse_ipv6_host(text, address);
    }
    // nginx's name for a host and every name below it.
    let below = text.strip_prefix('.').filter(|_| remedies.takes_several);
    if let Some(name) = below.filter(|name| check_name(name, name).is_ok()) {
        return Err(Fault::new(0..1, "a host has no empty part").help(format!(
            "write [\"{name}\", \"*.{name}\"] for the host and every name below it"
        )));
    }
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        let fault = Fault::new(whole, "an IPv6 address stands in brackets");
        return Err(fault.help(format!("write \"[{address}]\"")));
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        let host = rest.split(['/', ':']).next().unwrap_or(rest);
        return Err(Fault::new(0..scheme.len() + 3, "a host has no scheme")
            .help(format!("write \"{host}\"{}", remedies.port)));
    }
    if let Some((host, _)) = text.split_once('/') {
        return Err(Fault::new(host.len()..text.len(), "a host has no path")
            .help(format!("write \"{host}\"{}", remedies.path)));
    }
    if let Some((host, port)) = text.split_once(':') {
        return Err(Fault::new(
            host.len()..text.len(),
            format!("a host has no port, and no `:{port}`"),
        )
        .help(format!("write \"{host}\"{}", remedies.port)));
    }
    match text.strip_prefix("*.") {
        Some(name) => check_name(text, name)
            .map(|()| HostPattern::Below(format!(".{}", name.to_ascii_lowercase()))),
        None => check_name(text, text).map(|()| HostPattern::Exact(text.to_ascii_lowercase())),
    }
}

/// Reads the host that a certificate has to be for: a name, or an IP address without brackets.
pub(crate) fn parse_server_name(text: &str) -> Result<String, Fault> {
    if text.parse::<IpAddr>().is_ok() {
        return Ok(text.to_owned());
    }
    match parse_host_with(text, &OF_SERVER)? {
        HostPattern::Exact(_) => Ok(text.trim_matches(['[', ']']).to_owned()),
        HostPattern::Below(_) => {
            let fault = Fault::new(0..text.len(), "a server is asked for by one name");
            Err(fault.help(OF_SERVER.any))
        }
    }
}

/// Reads a host that a certificate is to be for: as in `hosts`, and IPv6 addresses without brackets, too.
pub(crate) fn parse_certificate_host(text: &str) -> Result<HostPattern, Fault> {
    let text = text.trim();
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Ok(HostPattern::Exact(format!("[{address}]")));
    }
    let host = parse_host_with(text, &FOR_CERTIFICATE)?;
    // Clients take a name whose last part is a number for an IPv4 address.
    let last = text.rsplit('.').next().unwrap_or(text);
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit());
    if is_number && text.parse::<Ipv4Addr>().is_err() {
        let fault = Fault::new(0..text.len(), format!("`{text}` is not an IP address"));
        return Err(
            fault.help("an IPv4 address has four numbers of up to 255; a name ends with a word")
        );
    }
    Ok(host)
}

fn parse_ipv6_host(text: &str, address: &str) -> Result<HostPattern, Fault> {
    let address = address
        .strip_suffix(']')
        .and_then(|address| address.parse::<Ipv6Addr>().ok());
    match address {
        Some(address) => Ok(HostPattern::Exact(format!("[{address}]"))),
        None => Err(Fault::new(
            0..text.len(),
            format!("`{text}` is not an IPv6 address in brackets"),
        )),
    }
}

/// Checks the labels of `name`, which is the end of `text` (RFC 1123 §2.1; the underscore is in use).
fn check_name(text: &str, name: &str) -> Result<(), Fault> {
    let mut start = text.len() - name.len();
    if name.len() > 253 {
        return Err(Fault::new(
            0..text.len(),
            "a host is at most 253 characters long",
        ));
    }
    for label in name.split('.') {
        let range = start..start + label.len();
        check_label(label).map_err(|(message, help)| Fault {
            range,
            message,
            help: Some(help),
        })?;
        start += label.len() + 1;
    }
    Ok(())
}

/// What is wrong with a label, and what would be right.
fn check_label(label: &str) -> Result<(), (String, String)> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let (message, help) = match label.chars().find(|c| !allowed(*c)) {
        None if label.is_empty() => (
            "a host has no empty part".to_owned(),
            "write it without a dot at its start or end",
        ),
        None if label.len() > 63 => (
            "a part of a host is at most 63 characters long".to_owned(),
            "shorten it",
        ),
        None if label.starts_with('-') || label.ends_with('-') => (
            format!("`{label}` begins or ends with a hyphen"),
            "no part of a host may",
        ),
        None => return Ok(()),
        Some('*') => (
            "a wildcard stands only at the start, as `*.`".to_owned(),
            "\"*.example.com\" is any name below example.com",
        ),
        Some(c) if !c.is_ascii() => (
            format!("`{c}` cannot stand in a host"),
            "write the name in its ASCII form, which begins with \"xn--\"",
        ),
        Some(c) => (
            format!("`{}` cannot stand in a host", c.escape_default()),
            "a host is letters, digits, hyphens and dots",
        ),
    };
    Err((message, help.to_owned()))
}

/// Reads `ADDRESS/BITS`, or an address alone.
pub(crate) fn parse_cidr(text: &str) -> Result<Cidr, Fault> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let Ok(ip) = address.parse::<IpAddr>() else {
        let message = format!("`{}` is not an IP address", address.escape_debug());
        return Err(Fault::new(0..address.len(), message).help(CIDR_HELP));
    };
    if ip.to_canonical() != ip {
        let message = "an IPv4 address mapped into IPv6 counts as the IPv4 address it is";
        return Err(Fault::new(0..text.len(), message).help(CIDR_HELP));
    }
    let most = if ip.is_ipv4() { 32 } else { 128 };
    let digits = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit());
    let bits = prefix.map_or(Some(most), |text| Some(text).filter(digits)?.parse().ok());
    let after = (address.len() + 1).min(text.len())..text.len();
    let Some(cidr) = bits.and_then(|bits| Cidr::around(ip, bits)) else {
        let message = format!("the length of this network is from 0 to {most} bits");
        return Err(Fault::new(after, message).help(CIDR_HELP));
    };
    if cidr.address() != ip {
        let message = format!("`{text}` has bits beyond the length of the network");
        return Err(Fault::new(0..text.len(), message).help(format!(
            "write \"{cidr}\", or \"{ip}\" for that address alone"
        )));
    }
    Ok(cidr)
}

const CIDR_HELP: &str = "write \"192.0.2.1\", \"10.0.0.0/8\" or \"2001:db8::/32\"";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::complaint::fault::assert_faults;

    #[test]
    fn networks_contain_their_addresses() {
        let cases = [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "::1", true),
            ("2001:db8::/33", "2001:db8:7fff::1", true),
            ("2001:db8::/33", "2001:db8:8000::1", false),
            ("::1", "::1", true),
        ];
        for (network, ip, expected) in cases {
            let cidr = parse_cidr(network).expect(network);
            assert_eq!(cidr.to_string(), network);
            assert_eq!(
                cidr.contains(ip.parse().expect(ip)),
                expected,
                "{ip} in {network}"
            );
        }
    }

    #[test]
    fn refuses_what_is_no_network_and_says_where() {
        let cases = [
            ("", 0..0, "not an IP address"),
            ("localhost", 0..9, "not an IP address"),
            ("10.0.0/8", 0..6, "not an IP address"),
            ("::ffff:10.0.0.0/104", 0..19, "counts as the IPv4"),
            ("10.0.0.0/33", 9..11, "from 0 to 32"),
            ("10.0.0.0/+8", 9..11, "from 0 to 32"),
            ("10.0.0.0/", 9..9, "from 0 to 32"),
            ("::/129", 3..6, "from 0 to 128"),
            ("10.0.0.1/8", 0..10, "bits beyond"),
        ];
        assert_faults(parse_cidr, &cases);
    }

    #[test]
    fn reads_addresses_to_listen_on() {
        let cases = [
            ("127.0.0.1:8080", &["127.0.0.1:8080"][..]),
            ("[::1]:80", &["[::1]:80"]),
            ("localhost:0", &["127.0.0.1:0", "[::1]:0"]),
            (":80", &["0.0.0.0:80", "[::]:80"]),
            ("*:80", &["0.0.0.0:80", "[::]:80"]),
            ("unix:/run/a.sock", &["unix:/run/a.sock"]),
        ];
        for (text, expected) in cases {
            let found = parse_listen(text).expect(text);
            let found: Vec<String> = found.iter().map(ListenAddress::to_string).collect();
            assert_eq!(found, expected, "{text:?}");
        }
    }

    #[test]
    fn refuses_what_is_no_address_and_says_where() {
        let cases = [
            ("", 0..0, "not an address"),
            ("8080", 0..4, "more than a port"),
            ("127.0.0.1", 0..9, "the port is missing"),
            ("[::1]", 0..5, "the port is missing"),
            ("localhost", 0..9, "the port is missing"),
            ("::1", 0..3, "in brackets, and needs a port"),
            ("fe80::x:8080", 0..12, "stands in brackets"),
            ("127.0.0.1:99999", 10..15, "`99999` is not a port"),
            ("127.0.0.1:+1", 10..12, "`+1` is not a port"),
            ("127.0.0.1:", 10..10, "`` is not a port"),
            ("example.com:80", 0..11, "not an IP address"),
            ("[fe80::1]:80", 0..9, "needs an interface"),
            ("[::ffff:127.0.0.1]:80", 0..18, "an address of version 4"),
            ("[127.0.0.1]:80", 0..11, "not an IP address"),
            ("http://localhost:80/", 0..7, "no scheme"),
            ("unix:", 0..5, "path of the socket is missing"),
            ("unix:/run/", 5..10, "not the path of a socket"),
            ("web", 0..3, "not an address"),
        ];
        assert_faults(parse_listen, &cases);
    }

    #[test]
    fn reads_hosts() {
        let exact = |host: &str| HostPattern::Exact(host.to_owned());
        let cases = [
            ("localhost", exact("localhost")),
            ("Example.COM", exact("example.com")),
            ("127.0.0.1", exact("127.0.0.1")),
            ("[0::1]", exact("[::1]")),
            ("my_host-1", exact("my_host-1")),
            (
                "*.Example.com",
                HostPattern::Below(".example.com".to_owned()),
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_host(text), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn a_dot_at_the_start_is_nginx_s_for_the_host_and_all_below() {
        let fault = parse_host(".example.com").expect_err("nginx's");
        let remedy =
            "write [\"example.com\", \"*.example.com\"] for the host and every name below it";
        assert_eq!(fault.help.as_deref(), Some(remedy));
    }

    #[test]
    fn an_ipv6_address_without_brackets_is_shown_with_them() {
        let fault = parse_host("2001:DB8::1").expect_err("it has no brackets");
        assert_eq!(fault.help.as_deref(), Some("write \"[2001:db8::1]\""));
    }

    #[test]
    fn reads_what_a_certificate_can_be_for() {
        let exact = |host: &str| HostPattern::Exact(host.to_owned());
        for (text, expected) in [
            ("localhost", exact("localhost")),
            (" App.test", exact("app.test")),
            ("127.0.0.1", exact("127.0.0.1")),
            ("::1", exact("[::1]")),
            ("[2001:DB8::1]", exact("[2001:db8::1]")),
            ("*.app.test", HostPattern::Below(".app.test".to_owned())),
        ] {
            assert_eq!(parse_certificate_host(text), Ok(expected), "{text:?}");
        }
        let cases = [
            ("", 0..0, "empty part"),
            ("256.1.1.1", 0..9, "is not an IP address"),
            ("10.1", 0..4, "is not an IP address"),
            ("app.test:443", 8..12, "no port"),
            ("https://app.test", 0..8, "no scheme"),
        ];
        assert_faults(parse_certificate_host, &cases);
        // What helps in the file cannot be done on the command line.
        for (text, remedy) in [
            ("*", "\"*.app.test\" is any name below"),
            (
                "app.test:443",
                "write \"app.test\"; a certificate is for every port",
            ),
            (
                "https://app.test:1/x",
                "write \"app.test\"; a certificate is for every port",
            ),
            (
                "app.test/x",
                "write \"app.test\"; a certificate is for every path",
            ),
        ] {
            let fault = parse_certificate_host(text).expect_err("it is no host");
            let help = fault.help.unwrap_or_default();
            assert!(help.contains(remedy), "{text}: {help}");
            for key in ["`hosts`", "`listen`", "[server.routes]"] {
                assert!(!help.contains(key), "{text}: {help}");
            }
        }
    }

    #[test]
    fn refuses_what_is_no_host_and_says_where() {
        let cases = [
            ("", 0..0, "empty part"),
            ("*", 0..1, "`*` is not a host"),
            ("a.*.com", 2..3, "only at the start"),
            ("*a.com", 0..2, "only at the start"),
            ("a..b", 2..2, "empty part"),
            ("a.com.", 6..6, "empty part"),
            ("a.com:80", 5..8, "no port"),
            ("a.com/x", 5..7, "no path"),
            ("http://a.com:80/x", 0..7, "no scheme"),
            ("müll.de", 0..5, "`ü` cannot stand"),
            ("-a.com", 0..2, "hyphen"),
            ("[::1", 0..4, "not an IPv6 address"),
        ];
        assert_faults(parse_host, &cases);
    }
}
