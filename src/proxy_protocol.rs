//! The PROXY protocol (haproxy.org, `doc/proxy-protocol.txt`): what a proxy says of the client before
//! the first octet of a connection that it makes for it.
//!
//! ```text
//! version 1   PROXY TCP4 192.0.2.7 198.51.100.1 51234 443 CRLF
//!             PROXY TCP6 2001:db8::7 2001:db8::1 51234 443 CRLF
//!             PROXY UNKNOWN … CRLF
//! version 2   CR LF CR LF 00 CR LF Q U I T LF     the signature
//!             2x        0: of the proxy itself, 1: for a client
//!             xy        family (1: IPv4, 2: IPv6, 3: Unix), transport (1: stream, 2: datagram)
//!             length    of what follows, two octets
//!             source address, destination address, source port, destination port
//!             further values (TLVs), which are skipped
//! ```
//!
//! Octets in, values out; no I/O. Which peers are believed is the caller's matter.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Octets that a header may have. Version 1 has 107 at most (§2.1). In version 2 it is the certificate
/// of a client, if a proxy sends that, that takes room.
pub(crate) const MAX_HEADER: usize = 16 * 1024;

/// The longest line of version 1, with its CRLF (§2.1).
const MAX_LINE: usize = 107;

/// How each line of version 1 begins.
const LINE_START: &[u8] = b"PROXY ";

/// How each header of version 2 begins (§2.2).
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Octets of version 2 up to the length, with it.
const FIXED: usize = SIGNATURE.len() + 4;

/// How a header is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    V1,
    V2,
}

impl Version {
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
        }
    }
}

/// What a header says of the connection that it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The proxy made the connection for itself, or does not know for whom. The addresses of the
    /// connection itself count.
    Proxy,
    /// The client's address, and the one that it connected to.
    Client {
        source: SocketAddr,
        destination: SocketAddr,
    },
    /// The client came by a Unix socket of the proxy's machine.
    Unix,
}

/// A header that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) origin: Origin,
    /// Octets of it; what follows them is the client's.
    pub(crate) length: usize,
}

/// Why what a peer has sent is no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("it begins as neither version of the PROXY protocol does")]
    Start,
    #[error("its line does not end within 107 octets")]
    LongLine,
    #[error("its line holds no two addresses and ports")]
    Line,
    #[error("its version, command, family or transport is not known")]
    Kind,
    #[error("it is too short for the addresses that it announces")]
    Short,
    #[error("it is longer than 16 KiB")]
    Long,
}

/// Reads the header at the start of `input`, which holds all that has come so far. `None`: more has to
/// come.
///
/// # Errors
/// If no octets that may follow make it a header.
pub(crate) fn parse(input: &[u8]) -> Result<Option<Header>, Malformed> {
    if begins(input, SIGNATURE) {
        parse_v2(input)
    } else if begins(input, LINE_START) {
        parse_v1(input)
    } else {
        Err(Malformed::Start)
    }
}

/// Whether `input` and `start` are the same as far as both go.
fn begins(input: &[u8], start: &[u8]) -> bool {
    let common = input.len().min(start.len());
    input[..common] == start[..common]
}

fn parse_v1(input: &[u8]) -> Result<Option<Header>, Malformed> {
    let within = &input[..input.len().min(MAX_LINE)];
    let Some(end) = memchr::memchr(b'\n', within) else {
        return if within.len() == MAX_LINE {
            Err(Malformed::LongLine)
        } else {
            Ok(None)
        };
    };
    let line = within[..end].strip_suffix(b"\r").ok_or(Malformed::Line)?;
    let rest = line.strip_prefix(LINE_START).ok_or(Malformed::Line)?;
    let origin = parse_line(rest).ok_or(Malformed::Line)?;
    Ok(Some(Header {
        origin,
        length: end + 1,
    }))
}

/// Reads what follows `PROXY ` in a line of version 1.
fn parse_line(rest: &[u8]) -> Option<Origin> {
    let mut words = rest.split(|octet| *octet == b' ');
    let family = words.next()?;
    // Whatever stands behind it is ignored (§2.1).
    if family == b"UNKNOWN" {
        return Some(Origin::Proxy);
    }
    let mut word = || str::from_utf8(words.next()?).ok();
    let (source, destination) = (word()?, word()?);
    let (source_port, destination_port) = (port(word()?)?, port(word()?)?);
    let (source, destination): (IpAddr, IpAddr) = match family {
        b"TCP4" => (
            source.parse::<Ipv4Addr>().ok()?.into(),
            destination.parse::<Ipv4Addr>().ok()?.into(),
        ),
        b"TCP6" => (
            source.parse::<Ipv6Addr>().ok()?.into(),
            destination.parse::<Ipv6Addr>().ok()?.into(),
        ),
        _ => return None,
    };
    words.next().is_none().then_some(Origin::Client {
        source: (source, source_port).into(),
        destination: (destination, destination_port).into(),
    })
}

/// A port: digits, without a sign and without a zero before others (§2.1).
fn port(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|octet| octet.is_ascii_digit());
    let is_padded = text.len() > 1 && text.starts_with('0');
    text.parse().ok().filter(|_| is_plain && !is_padded)
}

fn parse_v2(input: &[u8]) -> Result<Option<Header>, Malformed> {
    let Some(kind) = input.get(SIGNATURE.len()..FIXED) else {
        // A version or command that is not known is refused as soon as it is there.
        return match input.get(SIGNATURE.len()) {
            Some(0x20 | 0x21) | None => Ok(None),
            Some(_) => Err(Malformed::Kind),
        };
    };
    let [command, family, high, low] = *kind else {
        return Ok(None);
    };
    let announced = usize::from(u16::from_be_bytes([high, low]));
    let length = FIXED + announced;
    let addresses = match (command, family) {
        // Its own, whatever it says of addresses (§2.2).
        (0x20, _) => Addresses::None,
        (0x21, 0x11) => Addresses::Ipv4,
        (0x21, 0x21) => Addresses::Ipv6,
        (0x21, 0x31 | 0x32) => Addresses::Unix,
        // A transport that a stream cannot have been carried by: as if it were not known.
        (0x21, 0x00 | 0x12 | 0x22) => Addresses::None,
        _ => return Err(Malformed::Kind),
    };
    if announced < addresses.octets() {
        return Err(Malformed::Short);
    }
    if length > MAX_HEADER {
        return Err(Malformed::Long);
    }
    let Some(block) = input.get(FIXED..length) else {
        return Ok(None);
    };
    Ok(Some(Header {
        origin: addresses.read(block),
        length,
    }))
}

/// The addresses that stand in a header of version 2.
#[derive(Clone, Copy)]
enum Addresses {
    None,
    Ipv4,
    Ipv6,
    Unix,
}

impl Addresses {
    /// Octets of both addresses, and of the ports.
    fn octets(self) -> usize {
        match self {
            Self::None => 0,
            Self::Ipv4 => 2 * 4 + 2 * 2,
            Self::Ipv6 => 2 * 16 + 2 * 2,
            // Two paths.
            Self::Unix => 2 * 108,
        }
    }

    /// Reads them from `block`, which has at least [`octets`](Self::octets).
    fn read(self, block: &[u8]) -> Origin {
        let port = |at: usize| u16::from_be_bytes([block[at], block[at + 1]]);
        match self {
            Self::None => Origin::Proxy,
            Self::Unix => Origin::Unix,
            Self::Ipv4 => {
                let address = |at: usize| {
                    let octets = [block[at], block[at + 1], block[at + 2], block[at + 3]];
                    Ipv4Addr::from(octets)
                };
                Origin::Client {
                    source: (address(0), port(8)).into(),
                    destination: (address(4), port(10)).into(),
                }
            }
            Self::Ipv6 => {
                let address = |at: usize| {
                    let mut octets = [0; 16];
                    octets.copy_from_slice(&block[at..at + 16]);
                    Ipv6Addr::from(octets)
                };
                Origin::Client {
                    source: (address(0), port(32)).into(),
                    destination: (address(16), port(34)).into(),
                }
            }
        }
    }
}

/// The header for a connection that is made for the client at `addresses.0`, which connected to
/// `addresses.1`; without them it says that a client is not known.
pub(crate) fn encode(version: Version, addresses: Option<(SocketAddr, SocketAddr)>) -> Vec<u8> {
    let addresses = addresses.map(|(source, destination)| of_one_family(source, destination));
    match version {
        Version::V1 => encode_v1(addresses),
        Version::V2 => encode_v2(addresses),
    }
}

/// Both addresses in one family, because a header has one: IPv4 where both can be written so.
fn of_one_family(source: SocketAddr, destination: SocketAddr) -> (SocketAddr, SocketAddr) {
    let canonical = [source, destination].map(|address| address.ip().to_canonical());
    let ips = match canonical {
        [IpAddr::V4(_), IpAddr::V4(_)] => canonical,
        _ => canonical.map(|ip| match ip {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().into(),
            ip => ip,
        }),
    };
    (
        (ips[0], source.port()).into(),
        (ips[1], destination.port()).into(),
    )
}

fn encode_v1(addresses: Option<(SocketAddr, SocketAddr)>) -> Vec<u8> {
    let line = match addresses {
        None => "PROXY UNKNOWN\r\n".to_owned(),
        Some((source, destination)) => format!(
            "PROXY {} {} {} {} {}\r\n",
            if source.is_ipv4() { "TCP4" } else { "TCP6" },
            source.ip(),
            destination.ip(),
            source.port(),
            destination.port()
        ),
    };
    line.into_bytes()
}

fn encode_v2(addresses: Option<(SocketAddr, SocketAddr)>) -> Vec<u8> {
    let mut header = SIGNATURE.to_vec();
    header.push(0x21);
    let mut block = Vec::new();
    let Some((source, destination)) = addresses else {
        header.extend_from_slice(&[0x00, 0, 0]);
        return header;
    };
    for ip in [source.ip(), destination.ip()] {
        match ip {
            IpAddr::V4(ip) => block.extend_from_slice(&ip.octets()),
            IpAddr::V6(ip) => block.extend_from_slice(&ip.octets()),
        }
    }
    for port in [source.port(), destination.port()] {
        block.extend_from_slice(&port.to_be_bytes());
    }
    header.push(if source.is_ipv4() { 0x11 } else { 0x21 });
    // Twelve or thirty-six octets.
    header.extend_from_slice(&(block.len() as u16).to_be_bytes());
    header.extend_from_slice(&block);
    header
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn client(source: &str, destination: &str) -> Origin {
        Origin::Client {
            source: source.parse().expect("an address"),
            destination: destination.parse().expect("an address"),
        }
    }

    #[test]
    fn reads_version_1() {
        let longest = format!("PROXY UNKNOWN {}\r\n", "f".repeat(MAX_LINE - 16));
        let cases: &[(&str, Origin)] = &[
            (
                "PROXY TCP4 192.0.2.7 198.51.100.1 51234 443\r\n",
                client("192.0.2.7:51234", "198.51.100.1:443"),
            ),
            (
                "PROXY TCP6 2001:db8::7 ::1 0 65535\r\n",
                client("[2001:db8::7]:0", "[::1]:65535"),
            ),
            ("PROXY UNKNOWN\r\n", Origin::Proxy),
            ("PROXY UNKNOWN ffff::1 whatever \r\n", Origin::Proxy),
            (&longest, Origin::Proxy),
        ];
        for (line, origin) in cases {
            let input = [line.as_bytes(), b"GET / HTTP/1.1\r\n"].concat();
            let header = Header {
                origin: *origin,
                length: line.len(),
            };
            assert_eq!(parse(&input), Ok(Some(header)), "{line:?}");
        }
    }

    /// A header of version 2 with that command, family and length, and so many octets behind it.
    fn v2(command: u8, family: u8, length: u16, octets: usize) -> Vec<u8> {
        let fixed = [command, family];
        let block: Vec<u8> = (1..=octets).map(|n| n as u8).collect();
        [SIGNATURE, &fixed, &length.to_be_bytes(), &block].concat()
    }

    #[test]
    fn reads_version_2() {
        let ipv4 = client("1.2.3.4:2314", "5.6.7.8:2828");
        let ipv6 = client(
            "[102:304:506:708:90a:b0c:d0e:f10]:8482",
            "[1112:1314:1516:1718:191a:1b1c:1d1e:1f20]:8996",
        );
        let cases = [
            (v2(0x21, 0x11, 12, 12), ipv4),
            // With further values behind the addresses.
            (v2(0x21, 0x11, 100, 100), ipv4),
            (v2(0x21, 0x21, 36, 36), ipv6),
            (v2(0x21, 0x31, 216, 216), Origin::Unix),
            (v2(0x21, 0x00, 0, 0), Origin::Proxy),
            (v2(0x21, 0x12, 12, 12), Origin::Proxy),
            (v2(0x20, 0x00, 0, 0), Origin::Proxy),
            (v2(0x20, 0x11, 12, 12), Origin::Proxy),
            // A proxy that checks this server: the rest is ignored, whatever it is.
            (v2(0x20, 0xff, 3, 3), Origin::Proxy),
        ];
        for (header, origin) in cases {
            let length = header.len();
            let input = [&header[..], b"EHLO"].concat();
            assert_eq!(parse(&input), Ok(Some(Header { origin, length })));
        }
    }

    #[test]
    fn refuses_what_is_no_header() {
        use Malformed::{Kind, Line, Long, LongLine, Short, Start};
        let line = |text: &str| text.as_bytes().to_vec();
        let cases = [
            (line("GET / HTTP/1.1\r\n"), Start),
            (line("PROXYTCP4 "), Start),
            (line("proxy TCP4 "), Start),
            (line("\r\n\r\n\0\r\nQUIX"), Start),
            (line(&format!("PROXY {}", "x".repeat(101))), LongLine),
            (
                line(&format!("PROXY UNKNOWN {}\r\n", "f".repeat(92))),
                LongLine,
            ),
            (line("PROXY \r\n"), Line),
            (line("PROXY UNKNOWN\n"), Line),
            (line("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n"), Line),
            (line("PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n"), Line),
            (line("PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n"), Line),
            (line("PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n"), Line),
            (line("PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n"), Line),
            (line("PROXY TCP4 1.2.3.4 5.6.7.8 1 +2\r\n"), Line),
            (line("PROXY TCP4 1.2.3.4 5.6.7.8 1 02\r\n"), Line),
            (line("PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n"), Line),
            (line("PROXY TCP4 ::1 ::2 1 2\r\n"), Line),
            (line("PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n"), Line),
            (line("PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n"), Line),
            (v2(0x11, 0x11, 12, 12), Kind),
            (v2(0x22, 0x11, 12, 12), Kind),
            (v2(0x21, 0x41, 12, 12), Kind),
            (v2(0x21, 0x13, 12, 12), Kind),
            (v2(0x21, 0x11, 11, 11), Short),
            (v2(0x21, 0x21, 12, 12), Short),
            (v2(0x21, 0x31, 215, 0), Short),
            (v2(0x21, 0x11, 16_369, 12), Long),
        ];
        for (input, expected) in cases {
            assert_eq!(parse(&input), Err(expected), "{}", input.escape_ascii());
        }
        // As soon as it is known.
        assert_eq!(parse(b"G"), Err(Start));
        assert_eq!(parse(&[SIGNATURE, &[0x31]].concat()), Err(Kind));
    }

    #[test]
    fn a_client_that_is_not_known_is_no_client() {
        for (version, expected) in [
            (Version::V1, b"PROXY UNKNOWN\r\n".to_vec()),
            (Version::V2, v2(0x21, 0, 0, 0)),
        ] {
            let header = encode(version, None);
            assert_eq!(header, expected);
            let origin = parse(&header).map(|header| header.map(|header| header.origin));
            assert_eq!(origin, Ok(Some(Origin::Proxy)));
        }
    }

    #[test]
    fn two_families_become_one() {
        let addresses = |source: &str, destination: &str| {
            let parse = |text: &str| text.parse().expect("an address");
            Some((parse(source), parse(destination)))
        };
        let mapped = addresses("[::ffff:192.0.2.7]:1", "198.51.100.1:2");
        let line = encode(Version::V1, mapped);
        assert_eq!(line, b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2\r\n");
        let mixed = addresses("192.0.2.7:1", "[2001:db8::1]:2");
        let line = encode(Version::V1, mixed);
        assert_eq!(line, b"PROXY TCP6 ::ffff:192.0.2.7 2001:db8::1 1 2\r\n");
    }

    /// Two addresses of one family. A mapped one would be written as the IPv4 address that it is.
    fn any_addresses() -> impl Strategy<Value = (SocketAddr, SocketAddr)> {
        let v6 = any::<[u16; 8]>().prop_map(|segments| Ipv6Addr::from(segments).to_canonical());
        let v6 = v6.prop_filter("a mapped one", IpAddr::is_ipv6);
        let v4 = any::<[u8; 4]>().prop_map(IpAddr::from);
        let ips = prop_oneof![(v4.clone(), v4), (v6.clone(), v6)];
        (ips, any::<[u16; 2]>())
            .prop_map(|((one, other), ports)| ((one, ports[0]).into(), (other, ports[1]).into()))
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_however_it_is_cut(
            addresses in any_addresses(),
            is_v1 in any::<bool>(),
            rest in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let version = if is_v1 { Version::V1 } else { Version::V2 };
            let header = encode(version, Some(addresses));
            let (source, destination) = addresses;
            let origin = Origin::Client { source, destination };
            let read = Header { origin, length: header.len() };
            for cut in 0..header.len() {
                prop_assert_eq!(parse(&header[..cut]), Ok(None));
            }
            prop_assert_eq!(parse(&[header, rest].concat()), Ok(Some(read)));
        }
    }
}
