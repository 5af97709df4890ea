//! Which other origins may read what a server or a route answers (CORS, Fetch standard §3.2).

use std::fmt;
use std::time::Duration;

/// What browsers are told for scripts of other origins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cors {
    /// At least one.
    pub(crate) origins: Vec<OriginPattern>,
    /// Methods that a preflight allows, or `*`.
    pub(crate) methods: Vec<String>,
    /// Fields of requests that a preflight allows, or `*`.
    pub(crate) headers: Vec<String>,
    /// Fields of responses that scripts may read, besides those that they always may, or `*`.
    pub(crate) expose: Vec<String>,
    /// Whether requests may carry cookies and passwords. Then nothing is `*`, and no origin is `null`.
    pub(crate) credentials: bool,
    /// How long a browser may keep the response to a preflight, in whole seconds.
    pub(crate) max_age: Option<Duration>,
}

impl Cors {
    /// The fields of responses that CORS is made of (Fetch standard §3.2.3).
    pub(crate) const FIELDS: [&str; 6] = [
        "Access-Control-Allow-Origin",
        "Access-Control-Allow-Credentials",
        "Access-Control-Allow-Methods",
        "Access-Control-Allow-Headers",
        "Access-Control-Max-Age",
        "Access-Control-Expose-Headers",
    ];

    /// Whether scripts of every origin may read responses.
    pub(crate) fn allows_any(&self) -> bool {
        self.origins.contains(&OriginPattern::Any)
    }

    /// Whether scripts of `origin`, the value of the field, may read responses.
    pub(crate) fn allows(&self, origin: &[u8]) -> bool {
        self.origins.iter().any(|pattern| pattern.matches(origin))
    }
}

/// An entry of `origins`, in the form in which browsers serialize an origin (RFC 6454 §6.2): in lower
/// case, without the default port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OriginPattern {
    /// `*`: every origin, `null` included.
    Any,
    /// `https://example.com:8443`, or `null`.
    Exact(String),
    /// `https://*.example.com:8443`: any name below it, not the name itself, as in `hosts`.
    Below {
        /// `https://`
        start: String,
        /// `.example.com:8443`
        end: String,
    },
}

impl OriginPattern {
    /// Whether this is `origin`, the value of the field, octet by octet: a browser serializes an origin
    /// in one way.
    pub(crate) fn matches(&self, origin: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => exact.as_bytes() == origin,
            Self::Below { start, end } => {
                let rest = origin.strip_prefix(start.as_bytes());
                let name = rest.and_then(|rest| rest.strip_suffix(end.as_bytes()));
                // What matches is sent back, so it must be a name and nothing else.
                name.is_some_and(|name| name.split(|octet| *octet == b'.').all(is_label))
            }
        }
    }
}

/// Whether `label` may stand between the dots of a host, as browsers serialize it.
fn is_label(label: &[u8]) -> bool {
    let is_of_label = |octet: &u8| matches!(octet, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    !label.is_empty() && label.iter().all(is_of_label)
}

/// As the operator writes it.
impl fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Exact(origin) => f.write_str(origin),
            Self::Below { start, end } => write!(f, "{start}*{end}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_compared_octet_by_octet() {
        let exact = OriginPattern::Exact("https://example.com".to_owned());
        for (origin, expected) in [
            ("https://example.com", true),
            ("http://example.com", false),
            ("https://example.com:443", false),
            ("https://example.com:8443", false),
            ("https://example.com.evil.test", false),
            ("https://example.com/", false),
            ("https://EXAMPLE.com", false),
            ("https://example.com, https://example.com", false),
            ("null", false),
            ("", false),
        ] {
            assert_eq!(exact.matches(origin.as_bytes()), expected, "{origin:?}");
        }
        let null = OriginPattern::Exact("null".to_owned());
        assert!(null.matches(b"null") && !null.matches(b"Null"));
        assert!(OriginPattern::Any.matches(b"null") && OriginPattern::Any.matches(b""));
    }

    #[test]
    fn a_wildcard_is_names_below_a_host_and_nothing_else() {
        let below = OriginPattern::Below {
            start: "https://".to_owned(),
            end: ".example.com:8443".to_owned(),
        };
        for (origin, expected) in [
            ("https://a.example.com:8443", true),
            ("https://a-1.b_2.example.com:8443", true),
            ("https://example.com:8443", false),
            ("https://.example.com:8443", false),
            ("https://a..example.com:8443", false),
            ("https://a.example.com", false),
            ("http://a.example.com:8443", false),
            ("https://a.example.com:84430", false),
            ("https://aexample.com:8443", false),
            ("https://evil.test/.example.com:8443", false),
            ("https://evil.test#.example.com:8443", false),
            ("https://user@a.example.com:8443", false),
            ("https://evil.test:1.example.com:8443", false),
            ("https://a\t.example.com:8443", false),
            ("https://A.example.com:8443", false),
        ] {
            assert_eq!(below.matches(origin.as_bytes()), expected, "{origin:?}");
        }
        assert_eq!(below.to_string(), "https://*.example.com:8443");
    }
}
