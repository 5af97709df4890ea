//! The request-target (RFC 9112 §3.2) and the host it names.
//!
//! ```text
//! GET /where?q=now HTTP/1.1                   origin-form
//! GET http://example.com/where HTTP/1.1       absolute-form
//! CONNECT example.com:443 HTTP/1.1            authority-form
//! OPTIONS * HTTP/1.1                          asterisk-form
//! ```
//!
//! Nothing is decoded here: [`Target::path`] is as the client sent it, and `path::NormalPath` decodes
//! it.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::method::Method;

/// The parts of a request-target, each as the client sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    pub(crate) form: Form,
    /// The host of an absolute-form or authority-form, with its port.
    pub(crate) authority: Option<&'a [u8]>,
    /// The path, which begins with `/`. It is `*` in asterisk-form, and empty in authority-form.
    pub(crate) path: &'a [u8],
    /// The octets behind the `?`.
    pub(crate) query: Option<&'a [u8]>,
    /// Whether the target names the scheme `https`: such a request may only come over a connection
    /// that is secured (RFC 9110 §7.4).
    pub(crate) is_https: bool,
}

/// The form of a request-target (RFC 9112 §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Origin,
    Absolute,
    Authority,
    Asterisk,
}

impl<'a> Target<'a> {
    /// Parses a request-target. Returns `None` if it is of no form that `method` may have.
    pub(crate) fn parse(method: Method, target: &'a [u8]) -> Option<Self> {
        match (target, method) {
            (_, Method::Connect) => Self::authority_form(target),
            ([b'/', ..], _) => Self::origin_form(target),
            (b"*", Method::Options) => Some(Self::asterisk()),
            _ => Self::absolute_form(method, target),
        }
    }

    /// Parses `/where?q=now`.
    fn origin_form(target: &'a [u8]) -> Option<Self> {
        // Targets are short, so that a plain search is faster than a vectorized one.
        let end = target.iter().position(|byte| matches!(byte, b'?' | b'#'));
        let (path, query) = match end {
            None => (target, None),
            Some(end) if target[end] == b'?' => (&target[..end], Some(&target[end + 1..])),
            // No client sends a fragment (RFC 9110 §4.2.5), so that this target is a mistake.
            Some(_) => return None,
        };
        if query.is_some_and(|query| query.contains(&b'#')) {
            return None;
        }
        Some(Self {
            form: Form::Origin,
            authority: None,
            path,
            query,
            is_https: false,
        })
    }

    /// Parses `http://example.com/where`.
    fn absolute_form(method: Method, target: &'a [u8]) -> Option<Self> {
        let (is_https, after_scheme) = strip_scheme(target)?;
        let end = after_scheme
            .iter()
            .position(|byte| b"/?#".contains(byte))
            .unwrap_or(after_scheme.len());
        let (authority, rest) = after_scheme.split_at(end);
        // RFC 9110 §4.2.1: an http URI without a host is invalid.
        if without_port(authority).is_empty() || !is_valid_host(authority) {
            return None;
        }
        let mut parsed = match rest {
            // RFC 9112 §3.2.4: OPTIONS for an authority without a path is about the server.
            [] if method == Method::Options => Self::asterisk(),
            [] | [b'?', ..] => Self {
                path: b"/",
                ..Self::origin_form(rest)?
            },
            _ => Self::origin_form(rest)?,
        };
        parsed.authority = Some(authority);
        parsed.is_https = is_https;
        if parsed.form == Form::Origin {
            parsed.form = Form::Absolute;
        }
        Some(parsed)
    }

    /// Parses `example.com:443`.
    fn authority_form(target: &'a [u8]) -> Option<Self> {
        (!target.is_empty() && is_valid_host(target)).then_some(Self {
            form: Form::Authority,
            authority: Some(target),
            path: b"",
            query: None,
            is_https: false,
        })
    }

    /// The target `*`.
    pub(super) fn asterisk() -> Self {
        Self {
            form: Form::Asterisk,
            authority: None,
            path: b"*",
            query: None,
            is_https: false,
        }
    }
}

/// `target` as a client would send it: without its fragment, and with what is no visible ASCII percent-encoded.
/// Returns `None` if that is of no form that `method` may have.
pub(crate) fn mended(method: Method, target: &str) -> Option<String> {
    const INVISIBLE: &AsciiSet = &CONTROLS.add(b' ');
    let (target, _) = target.split_once('#').unwrap_or((target, ""));
    let mended = utf8_percent_encode(target, INVISIBLE).to_string();
    let is_target = Target::parse(method, mended.as_bytes()).is_some();
    is_target.then_some(mended)
}

/// Returns the octets behind `http://` or `https://`, and whether it is the latter. The case of a
/// scheme does not matter (RFC 9110 §4.2.3).
fn strip_scheme(target: &[u8]) -> Option<(bool, &[u8])> {
    let schemes = [("http://", false), ("https://", true)];
    schemes.iter().find_map(|(scheme, is_https)| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start
            .eq_ignore_ascii_case(scheme.as_bytes())
            .then_some((*is_https, rest))
    })
}

/// Whether `host` is `uri-host [ ":" port ]` (RFC 9110 §7.2), or empty, as `Host` is if the target has
/// no authority. User information makes it invalid (RFC 9110 §4.2.4).
pub(crate) fn is_valid_host(host: &[u8]) -> bool {
    valid_name(host).is_some()
}

/// Returns `host` without its port, if it is [valid](is_valid_host).
pub(crate) fn valid_name(host: &[u8]) -> Option<&[u8]> {
    // Nearly every host is a name of plain octets, and perhaps a port.
    match host.iter().position(|byte| !REG_NAME[usize::from(*byte)]) {
        None => Some(host),
        Some(end) if host[end] == b':' => is_valid_port(&host[end + 1..]).then_some(&host[..end]),
        Some(_) => is_valid_other(host).then(|| without_port(host)),
    }
}

/// [`is_valid_host`], of one that is not as nearly all are.
#[cold]
fn is_valid_other(host: &[u8]) -> bool {
    let (name, port) = split_port(host);
    let name_is_valid = match name {
        [b'[', address @ .., b']'] => is_ip_literal(address),
        _ => name.iter().all(|byte| REG_NAME[usize::from(*byte)]) || is_encoded_reg_name(name),
    };
    name_is_valid && port.is_none_or(is_valid_port)
}

/// Whether `address` may stand between brackets (RFC 3986 §3.2.2): an IPv6 address, or an address of a
/// later version such as `v1.a`, whose form this server need not know.
fn is_ip_literal(address: &[u8]) -> bool {
    let [b'v' | b'V', future @ ..] = address else {
        return str::from_utf8(address)
            .is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok());
    };
    let mut parts = future.splitn(2, |byte| *byte == b'.');
    let (version, rest) = (parts.next().unwrap_or_default(), parts.next());
    let is_of_address = |byte: &u8| REG_NAME[usize::from(*byte)] || *byte == b':';
    !version.is_empty()
        && version.iter().all(u8::is_ascii_hexdigit)
        && rest.is_some_and(|rest| !rest.is_empty() && rest.iter().all(is_of_address))
}

/// Whether `name` is a `reg-name` with percent-encoded octets in it. It takes longer than a look into
/// [`REG_NAME`], and hardly a host has any.
#[cold]
fn is_encoded_reg_name(name: &[u8]) -> bool {
    let mut parts = name.split(|byte| *byte == b'%');
    let is_plain = |part: &[u8]| part.iter().all(|byte| REG_NAME[usize::from(*byte)]);
    parts.next().is_some_and(is_plain)
        && parts.all(|part| match part {
            [high, low, rest @ ..] => {
                high.is_ascii_hexdigit() && low.is_ascii_hexdigit() && is_plain(rest)
            }
            _ => false,
        })
}

/// Returns `host` without its port. The server is chosen by that.
pub(crate) fn without_port(host: &[u8]) -> &[u8] {
    split_port(host).0
}

/// Returns the port in `host`; `None` if there is none.
pub(crate) fn port(host: &[u8]) -> Option<&[u8]> {
    split_port(host).1.filter(|port| !port.is_empty())
}

/// Splits `host` at the colon before its port. The colons in an address between brackets do not count.
fn split_port(host: &[u8]) -> (&[u8], Option<&[u8]>) {
    let colon = match host {
        [b'[', ..] => host
            .iter()
            .rposition(|byte| matches!(byte, b':' | b']'))
            .filter(|at| host[*at] == b':'),
        _ => host.iter().position(|byte| *byte == b':'),
    };
    match colon {
        Some(colon) => (&host[..colon], Some(&host[colon + 1..])),
        None => (host, None),
    }
}

/// Whether `port` is digits, perhaps none (RFC 3986 §3.2.3), and not larger than a port can be.
fn is_valid_port(port: &[u8]) -> bool {
    let number = port.iter().try_fold(0u32, |number, byte| {
        let number = byte
            .is_ascii_digit()
            .then(|| number * 10 + u32::from(byte - b'0'))?;
        (number <= u32::from(u16::MAX)).then_some(number)
    });
    number.is_some()
}

/// Whether `byte` may stand in a `reg-name` as it is (RFC 3986 §3.2.2).
const fn is_reg_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
        )
}

/// [`is_reg_name_byte`] for every byte, as a table, because every request has a host.
const REG_NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = is_reg_name_byte(byte as u8);
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use Form::*;

    /// Form, authority, path, query.
    type Expected = Option<(
        Form,
        Option<&'static str>,
        &'static str,
        Option<&'static str>,
    )>;

    #[test]
    fn takes_each_form_apart() {
        let cases: &[(Method, &str, Expected)] = &[
            (Method::Get, "/", Some((Origin, None, "/", None))),
            (
                Method::Get,
                "/a/b?c=d?e",
                Some((Origin, None, "/a/b", Some("c=d?e"))),
            ),
            (Method::Get, "/a?", Some((Origin, None, "/a", Some("")))),
            (Method::Get, "//a", Some((Origin, None, "//a", None))),
            (Method::Get, "/a#b", None),
            (Method::Get, "/a?b#c", None),
            (
                Method::Get,
                "http://h",
                Some((Absolute, Some("h"), "/", None)),
            ),
            (
                Method::Get,
                "HTTP://h:80/p?q",
                Some((Absolute, Some("h:80"), "/p", Some("q"))),
            ),
            (
                Method::Get,
                "https://h?q",
                Some((Absolute, Some("h"), "/", Some("q"))),
            ),
            (
                Method::Get,
                "http://[::1]:8080/",
                Some((Absolute, Some("[::1]:8080"), "/", None)),
            ),
            (Method::Get, "http:///p", None),
            (Method::Get, "http://:80/p", None),
            (Method::Get, "http://u@h/", None),
            (Method::Get, "ftp://h/", None),
            (Method::Get, "*", None),
            (Method::Get, "a", None),
            (Method::Get, "", None),
            (Method::Options, "*", Some((Asterisk, None, "*", None))),
            (
                Method::Options,
                "http://h",
                Some((Asterisk, Some("h"), "*", None)),
            ),
            (
                Method::Options,
                "http://h/",
                Some((Absolute, Some("h"), "/", None)),
            ),
            (
                Method::Connect,
                "h:443",
                Some((Authority, Some("h:443"), "", None)),
            ),
            (Method::Connect, "/", None),
        ];
        for (method, target, expected) in cases {
            let found = Target::parse(*method, target.as_bytes()).map(|target| {
                let text = |bytes| str::from_utf8(bytes).expect("the cases are text");
                (
                    target.form,
                    target.authority.map(text),
                    text(target.path),
                    target.query.map(text),
                )
            });
            assert_eq!(found, *expected, "{method} {target}");
        }
    }

    #[test]
    fn tells_which_scheme_a_target_names() {
        for (target, is_https) in [
            ("/", false),
            ("http://h/", false),
            ("https://h/", true),
            ("HTTPS://h", true),
            ("https://h?q", true),
        ] {
            let parsed = Target::parse(Method::Get, target.as_bytes()).expect("a target");
            assert_eq!(parsed.is_https, is_https, "{target}");
        }
        let asterisk = Target::parse(Method::Options, b"https://h").expect("a target");
        assert!(asterisk.is_https);
    }

    #[test]
    fn tells_a_valid_host() {
        for (host, valid) in [
            ("localhost", true),
            ("example.com:8080", true),
            ("example.com:", true),
            ("127.0.0.1", true),
            ("[::1]", true),
            ("[::1]:80", true),
            ("", true),
            ("a_b", true),
            ("a b", false),
            ("a/b", false),
            ("u@h", false),
            ("h:8x", false),
            ("h:65536", false),
            ("h:1:2", false),
            ("[::1", false),
            ("[::1]x", false),
            ("[nonsense]", false),
            ("[v1.a]", true),
            ("[V1f.a:b]:80", true),
            ("[v.a]", false),
            ("[v1.]", false),
            ("[v1]", false),
            ("[vx.a]", false),
            ("[v1.a%41]", false),
            ("[v1.a/b]", false),
            ("[::1%25lo]", false),
            ("a%20b", true),
            ("%41:80", true),
            ("a%zz", false),
            ("a%4", false),
            ("a%", false),
            ("%%41", false),
            ("a%41/b", false),
            ("::1", false),
            ("h\u{e9}", false),
        ] {
            assert_eq!(is_valid_host(host.as_bytes()), valid, "{host:?}");
        }
    }

    #[test]
    fn takes_the_port_off() {
        for (host, name) in [
            ("h:80", "h"),
            ("h", "h"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("", ""),
        ] {
            assert_eq!(without_port(host.as_bytes()), name.as_bytes(), "{host:?}");
        }
    }
}
