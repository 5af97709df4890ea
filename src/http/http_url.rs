//! URLs with `http` or `https` (RFC 9110 §4.2): what to connect to, and what to ask for.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

/// A URL with `http` or `https`, without user and fragment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct HttpUrl {
    scheme: Scheme,
    /// The name or the IP address, in lower case; an IPv6 address has its brackets.
    host: String,
    port: u16,
    /// What the request asks for: a path, and perhaps a query.
    target: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Scheme {
    Http,
    Https,
}

/// A URL with `https`, as a server gives them that is asked over TLS alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct HttpsUrl(HttpUrl);

/// Why a text is no such URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoUrl {
    #[error("it does not begin with http:// or https://")]
    Scheme,
    #[error("it does not begin with https://")]
    NotHttps,
    #[error("its host or port is not valid")]
    Authority,
    #[error("it has a character that no URL has")]
    Character,
}

impl Scheme {
    fn start(self) -> &'static str {
        match self {
            Self::Http => "http://",
            Self::Https => "https://",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl HttpUrl {
    /// Whether its server is asked over TLS.
    pub(crate) fn is_https(&self) -> bool {
        self.scheme == Scheme::Https
    }

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
        if self.port == self.scheme.default_port() {
            self.host.clone()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// This URL, with `path` in place of the path `/`. Its query stays.
    pub(crate) fn or_path(mut self, path: &str) -> Self {
        if let Some(query) = self.target.strip_prefix('/')
            && (query.is_empty() || query.starts_with('?'))
        {
            self.target = format!("{path}{query}");
        }
        self
    }
}

impl FromStr for HttpUrl {
    type Err = NoUrl;

    fn from_str(text: &str) -> Result<Self, NoUrl> {
        let (scheme, rest) = split_scheme(text).ok_or(NoUrl::Scheme)?;
        if !rest.bytes().all(|octet| octet.is_ascii_graphic()) || rest.contains('#') {
            return Err(NoUrl::Character);
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
                (&authority[..at], port.ok_or(NoUrl::Authority)?)
            }
            None => (authority, scheme.default_port()),
        };
        if !is_host(host) {
            return Err(NoUrl::Authority);
        }
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Self {
            scheme,
            host: host.to_ascii_lowercase(),
            port,
            target: format!("{slash}{target}"),
        })
    }
}

impl Deref for HttpsUrl {
    type Target = HttpUrl;

    fn deref(&self) -> &HttpUrl {
        &self.0
    }
}

impl FromStr for HttpsUrl {
    type Err = NoUrl;

    fn from_str(text: &str) -> Result<Self, NoUrl> {
        match split_scheme(text) {
            Some((Scheme::Https, _)) => text.parse().map(Self),
            _ => Err(NoUrl::NotHttps),
        }
    }
}

/// The scheme of `text` in any case, and what follows it.
fn split_scheme(text: &str) -> Option<(Scheme, &str)> {
    [Scheme::Http, Scheme::Https]
        .into_iter()
        .find_map(|scheme| {
            let (start, rest) = text.split_at_checked(scheme.start().len())?;
            let is_it = start.eq_ignore_ascii_case(scheme.start());
            is_it.then_some((scheme, rest))
        })
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

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}{}{}",
            self.scheme.start(),
            self.authority(),
            self.target
        )
    }
}

impl fmt::Display for HttpsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
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
        use NoUrl::*;
        for (text, expected) in [
            ("", NotHttps),
            ("http://ca.example/", NotHttps),
            ("ca.example", NotHttps),
            ("https:/ca.example", NotHttps),
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

    #[test]
    fn http_has_a_port_of_its_own() {
        for (text, is_https, port, shown) in [
            ("http://a.example", false, 80, "http://a.example/"),
            (
                "HTTP://a.example:443/x",
                false,
                443,
                "http://a.example:443/x",
            ),
            ("https://a.example:80", true, 80, "https://a.example:80/"),
        ] {
            let url: HttpUrl = text.parse().expect(text);
            assert_eq!((url.is_https(), url.port()), (is_https, port), "{text}");
            assert_eq!(url.to_string(), shown);
        }
        assert_eq!("ftp://a.example".parse::<HttpUrl>(), Err(NoUrl::Scheme));
    }

    #[test]
    fn a_path_stands_in_for_none() {
        for (text, expected) in [
            ("http://a.example", "http://a.example/v1/traces"),
            ("http://a.example/", "http://a.example/v1/traces"),
            ("http://a.example/x", "http://a.example/x"),
            ("http://a.example?k=v", "http://a.example/v1/traces?k=v"),
        ] {
            let url: HttpUrl = text.parse().expect(text);
            assert_eq!(url.or_path("/v1/traces").to_string(), expected);
        }
    }
}
