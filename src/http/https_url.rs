//! URLs with `https` (RFC 9110 §4.2.2), as another server gives them: what to connect to, and what to ask
//! for.

use std::fmt;
use std::str::FromStr;

/// The port of `https`.
const DEFAULT_PORT: u16 = 443;

/// A URL with `https`, without user and fragment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct HttpsUrl {
    /// The name or the IP address, in lower case; an IPv6 address has its brackets.
    host: String,
    port: u16,
    /// What the request asks for: a path, and perhaps a query.
    target: String,
}

/// Why a text is no such URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoHttpsUrl {
    #[error("it does not begin with https://")]
    Scheme,
    #[error("its host or port is not valid")]
    Authority,
    #[error("it has a character that no URL has")]
    Character,
}

impl HttpsUrl {
    /// The name or the IP address to connect to, without brackets.
    pub(crate) fn host(&self) -> &str {
        let inner = self.host.strip_prefix('[');
        inner
            .and_then(|inner| inner.strip_suffix(']'))
            .unwrap_or(&self.host)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn target(&self) -> &str {
        &self.target
    }

    /// The value of `Host`.
    pub(crate) fn authority(&self) -> String {
        match self.port {
            DEFAULT_PORT => self.host.clone(),
            port => format!("{}:{port}", self.host),
        }
    }
}

impl FromStr for HttpsUrl {
    type Err = NoHttpsUrl;

    fn from_str(text: &str) -> Result<Self, NoHttpsUrl> {
        let rest = text.get(8..).filter(|_| is_https(text));
        let rest = rest.ok_or(NoHttpsUrl::Scheme)?;
        if !rest.bytes().all(|octet| octet.is_ascii_graphic()) || rest.contains('#') {
            return Err(NoHttpsUrl::Character);
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let is_after_brackets = |at: &usize| !authority[*at..].contains(']');
        let (host, port) = match authority.rfind(':').filter(is_after_brackets) {
            Some(at) => {
                let digits = &authority[at + 1..];
                let is_number = digits.bytes().all(|octet| octet.is_ascii_digit());
                let port = digits.parse().ok();
                let port = port.filter(|port| is_number && *port != 0);
                (&authority[..at], port.ok_or(NoHttpsUrl::Authority)?)
            }
            None => (authority, DEFAULT_PORT),
        };
        if !is_host(host) {
            return Err(NoHttpsUrl::Authority);
        }
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Self {
            host: host.to_ascii_lowercase(),
            port,
            target: format!("{slash}{target}"),
        })
    }
}

fn is_https(text: &str) -> bool {
    text.get(..8)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"))
}

/// Whether `text` is a name of letters, digits, hyphens and dots, or an IP address.
fn is_host(text: &str) -> bool {
    match text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let is_of_name = |octet: u8| octet.is_ascii_alphanumeric() || b"-._".contains(&octet);
            !text.is_empty() && text.bytes().all(is_of_name)
        }
    }
}

impl fmt::Display for HttpsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}{}", self.authority(), self.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_to_connect_to_and_what_to_ask_for() {
        for (text, host, port, target) in [
            ("https://ca.example/dir", "ca.example", 443, "/dir"),
            (
                "HTTPS://CA.example:14000/a?b=/c",
                "ca.example",
                14000,
                "/a?b=/c",
            ),
            ("https://ca.example", "ca.example", 443, "/"),
            ("https://ca.example?x", "ca.example", 443, "/?x"),
            ("https://[::1]:8443/dir", "::1", 8443, "/dir"),
            ("https://[::1]/dir", "::1", 443, "/dir"),
        ] {
            let url: HttpsUrl = text.parse().expect(text);
            assert_eq!((url.host(), url.port(), url.target()), (host, port, target));
            assert_eq!(url.to_string().parse(), Ok(url));
        }
    }

    #[test]
    fn refuses_what_is_no_such_url() {
        use NoHttpsUrl::*;
        for (text, expected) in [
            ("", Scheme),
            ("http://ca.example/", Scheme),
            ("ca.example", Scheme),
            ("https:/ca.example", Scheme),
            ("https://", Authority),
            ("https://:443/", Authority),
            ("https://ca.example:0/", Authority),
            ("https://ca.example:65536/", Authority),
            ("https://ca.example:+1/", Authority),
            ("https://user@ca.example/", Authority),
            ("https://[::x]/", Authority),
            ("https://ca.example/a b", Character),
            ("https://ca.example/a\r\nHost: b", Character),
            ("https://ca.example/ä", Character),
            ("https://ca.example/#a", Character),
        ] {
            assert_eq!(text.parse::<HttpsUrl>(), Err(expected), "{text:?}");
        }
    }
}
