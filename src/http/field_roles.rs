//! What a response's field is about, and so who may set it: one table for the configuration, for
//! scripts and for handlers.
//!
//! | Role | Fields | The rule comes from |
//! |---|---|---|
//! | connection | `Connection`, `Keep-Alive`, `TE`, `Upgrade`, `Proxy-…` | RFC 9110 §7.6.1, §11.7 |
//! | framing | `Content-Length`, `Transfer-Encoding`, `Trailer` | RFC 9112 §6 |
//! | server | `Date`, `Server` | RFC 9110 §6.6.1, §10.2.4 |
//! | representation | `Content-Type`, `ETag`, `Vary`, … | RFC 9110 §8, §12.5.5, §14 |
//! | other | every other field | |
//!
//! Some fields may stand on one line of a response only. The role of a field also decides on which
//! responses the operator's value is sent: see `generation::policy::Scope`.
//!
//! A wrong field of the first two roles lets a third party split a response or smuggle a request
//! (RFC 9112 §11), so only the server sets these.

use FieldRole::{Connection, Framing, Representation, Server};
use Setter::{Configuration, Handler, Script};

/// What a field describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldRole {
    /// The connection to the next recipient, or the proxy at its other end; not the message.
    Connection,
    /// Where the message ends.
    Framing,
    /// The server that answers.
    Server,
    /// The representation in the response.
    Representation,
    /// Anything else.
    Other,
}

/// What gives the server fields for a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setter {
    /// The operator, with `headers`. A field that the operator may not set is an error of the file.
    Configuration,
    /// A CGI script or a FastCGI application. A field that a script may not set is dropped
    /// (RFC 3875 §6.3.4).
    Script,
    /// A handler in Rust. A response with a field that a handler may not set is answered 500.
    Handler,
}

/// What the server knows of a field by its name.
#[derive(Debug)]
pub(crate) struct FieldRule {
    /// The name in its usual spelling; empty in the rule for all fields that the table lacks.
    pub(crate) name: &'static str,
    pub(crate) role: FieldRole,
    setters: &'static [Setter],
    /// A response has at most one line of it: two lines would be read differently by different
    /// recipients (RFC 9110 §5.3).
    pub(crate) is_single: bool,
    /// The field describes the content of this response. A response that is sent without that
    /// content, as a 304, is sent without the field.
    pub(crate) describes_content: bool,
}

const SERVER_ONLY: &[Setter] = &[];
const CODE: &[Setter] = &[Script, Handler];
const ALL_SETTERS: &[Setter] = &[Configuration, Script, Handler];

/// The table. [`ANY_OTHER`] is the rule for all fields that are not in it.
static FIELDS: &[FieldRule] = &[
    rule("Connection", Connection, SERVER_ONLY),
    rule("Keep-Alive", Connection, SERVER_ONLY),
    rule("Proxy-Connection", Connection, SERVER_ONLY),
    rule("Proxy-Authenticate", Connection, SERVER_ONLY),
    rule("Proxy-Authentication-Info", Connection, SERVER_ONLY),
    rule("Proxy-Authorization", Connection, SERVER_ONLY),
    rule("TE", Connection, SERVER_ONLY),
    rule("Upgrade", Connection, SERVER_ONLY),
    rule("Content-Length", Framing, SERVER_ONLY),
    rule("Transfer-Encoding", Framing, SERVER_ONLY),
    rule("Trailer", Framing, SERVER_ONLY),
    rule("Date", Server, SERVER_ONLY),
    // A script names the server it runs under, which is this one (`SERVER_SOFTWARE`).
    rule("Server", Server, &[Configuration, Handler]),
    // Code may answer a range request itself. The operator does not know which part is sent.
    rule("Content-Range", Representation, CODE).of_content(),
    rule("Content-Type", Representation, ALL_SETTERS)
        .of_content()
        .single(),
    rule("Content-Encoding", Representation, ALL_SETTERS).of_content(),
    rule("Content-Language", Representation, ALL_SETTERS).of_content(),
    rule("Content-Location", Representation, ALL_SETTERS).single(),
    rule("ETag", Representation, ALL_SETTERS).single(),
    rule("Last-Modified", Representation, ALL_SETTERS).single(),
    rule("Vary", Representation, ALL_SETTERS),
    rule("Accept-Ranges", Representation, ALL_SETTERS),
    rule("Location", FieldRole::Other, ALL_SETTERS).single(),
    rule("Retry-After", FieldRole::Other, ALL_SETTERS).single(),
    rule("Expires", FieldRole::Other, ALL_SETTERS).single(),
    rule("Age", FieldRole::Other, ALL_SETTERS).single(),
];

/// A bit for each rule whose name has that many octets, by its place in the table. Every field that a
/// gateway passes on is looked up, and most names have the length of few rules or of none.
static BY_LENGTH: [u32; LONGEST_NAME + 1] = by_length();

/// Octets of the longest name in the table.
const LONGEST_NAME: usize = "Proxy-Authentication-Info".len();

const fn by_length() -> [u32; LONGEST_NAME + 1] {
    let mut places = [0; LONGEST_NAME + 1];
    let mut nth = 0;
    while nth < FIELDS.len() {
        places[FIELDS[nth].name.len()] |= 1 << nth;
        nth += 1;
    }
    places
}

/// A bit for each rule whose field a gateway does not pass on.
const HOP_BY_HOP: u32 = hop_by_hop();

const fn hop_by_hop() -> u32 {
    let mut places = 0;
    let mut nth = 0;
    while nth < FIELDS.len() {
        // `Content-Length` tells about the content, which is the same on both sides.
        let is_hop_by_hop = match FIELDS[nth].role {
            FieldRole::Connection => true,
            FieldRole::Framing => !matches!(FIELDS[nth].name.as_bytes(), b"Content-Length"),
            FieldRole::Server | FieldRole::Representation | FieldRole::Other => false,
        };
        if is_hop_by_hop {
            places |= 1 << nth;
        }
        nth += 1;
    }
    places
}

/// The rule for the field `name`, if it is one of those whose bits are set in `among`.
fn find(name: &str, among: u32) -> Option<&'static FieldRule> {
    let mut places = BY_LENGTH.get(name.len())? & among;
    while places != 0 {
        let rule = &FIELDS[places.trailing_zeros() as usize];
        if rule.name.eq_ignore_ascii_case(name) {
            return Some(rule);
        }
        places &= places - 1;
    }
    None
}

/// The rule for a field that is not in the table: configuration, scripts and handlers may set it.
static ANY_OTHER: FieldRule = rule("", FieldRole::Other, ALL_SETTERS);

/// A field whose lines are not limited to one and which does not describe content.
const fn rule(name: &'static str, role: FieldRole, setters: &'static [Setter]) -> FieldRule {
    FieldRule {
        name,
        role,
        setters,
        is_single: false,
        describes_content: false,
    }
}

impl FieldRule {
    /// Returns the rule for the field `name`. Case does not matter (RFC 9110 §5.1).
    pub(crate) fn of(name: &str) -> &'static Self {
        find(name, u32::MAX).unwrap_or(&ANY_OTHER)
    }

    /// Whether `setter` may set the field in a response.
    pub(crate) fn may_be_set_by(&self, setter: Setter) -> bool {
        self.setters.contains(&setter)
    }

    /// The same rule, for a field of which a response has at most one line.
    const fn single(self) -> Self {
        Self {
            is_single: true,
            ..self
        }
    }

    /// The same rule, for a field that describes the content of a response.
    const fn of_content(self) -> Self {
        Self {
            describes_content: true,
            ..self
        }
    }
}

/// Whether the field `name` means something in a trailer section. One that frames, routes, authenticates,
/// controls or describes the message would come too late there (RFC 9110 §6.5.1).
pub(crate) fn may_be_trailer(name: &str) -> bool {
    const TOO_LATE: &[&str] = &[
        "Authorization",
        "Cache-Control",
        "Cookie",
        "Expect",
        "Host",
        "Max-Forwards",
        "Pragma",
        "Range",
        "Set-Cookie",
        "WWW-Authenticate",
    ];
    let rule = FieldRule::of(name);
    let is_too_late = |other: &&str| name.eq_ignore_ascii_case(other);
    rule.role == FieldRole::Other && !rule.is_single && !TOO_LATE.iter().any(is_too_late)
}

/// Whether the field `name` of a request asks for a part of content.
pub(crate) fn is_of_range(name: &str) -> bool {
    name.eq_ignore_ascii_case("Range") || name.eq_ignore_ascii_case("If-Range")
}

/// Whether the field `name` tells about the octets of content as they are, so that it is wrong of the same
/// content in a coding (RFC 9530 §2, §3; the older ones are `Digest` and `Content-MD5`).
pub(crate) fn describes_octets(name: &str) -> bool {
    const DIGESTS: [&str; 4] = ["Content-Digest", "Repr-Digest", "Digest", "Content-MD5"];
    DIGESTS
        .iter()
        .any(|digest| name.eq_ignore_ascii_case(digest))
}

/// Whether a gateway must not pass the field `name` on, in a request or in a response, because it
/// tells about one connection, or about the transfer coding on that connection (RFC 9110 §7.6.1).
/// `Content-Length` tells about neither: it is the same on both sides if the content is.
pub(crate) fn is_hop_by_hop(name: &str) -> bool {
    find(name, HOP_BY_HOP).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_decides_about_a_message_is_no_trailer() {
        for name in [
            "Content-Length",
            "transfer-encoding",
            "Content-Type",
            "Set-Cookie",
            "host",
            "Location",
            "Date",
            "TE",
        ] {
            assert!(!may_be_trailer(name), "{name}");
        }
        for name in ["X-Sum", "Server-Timing", "grpc-status"] {
            assert!(may_be_trailer(name), "{name}");
        }
    }

    #[test]
    fn one_table_says_who_may_set_a_field() {
        for (name, setters) in [
            ("Connection", SERVER_ONLY),
            ("keep-alive", SERVER_ONLY),
            ("PROXY-CONNECTION", SERVER_ONLY),
            ("Proxy-Authenticate", SERVER_ONLY),
            ("te", SERVER_ONLY),
            ("Upgrade", SERVER_ONLY),
            ("Content-Length", SERVER_ONLY),
            ("transfer-encoding", SERVER_ONLY),
            ("Trailer", SERVER_ONLY),
            ("Date", SERVER_ONLY),
            ("server", &[Configuration, Handler]),
            ("Content-Range", CODE),
            ("Content-Type", ALL_SETTERS),
            ("ETag", ALL_SETTERS),
            ("Vary", ALL_SETTERS),
            ("Proxy-Status", ALL_SETTERS),
            ("Set-Cookie", ALL_SETTERS),
            ("", ALL_SETTERS),
        ] {
            for setter in [Configuration, Script, Handler] {
                let expected = setters.contains(&setter);
                let found = FieldRule::of(name).may_be_set_by(setter);
                assert_eq!(found, expected, "{name:?} by {setter:?}");
            }
        }
    }

    #[test]
    fn tells_what_stays_on_one_hop() {
        for (name, expected) in [
            ("connection", true),
            ("Keep-Alive", true),
            ("Proxy-Authorization", true),
            ("TE", true),
            ("Trailer", true),
            ("Transfer-Encoding", true),
            ("Upgrade", true),
            ("Content-Length", false),
            ("Date", false),
            ("Via", false),
            ("Authorization", false),
            ("Proxy-Status", false),
        ] {
            assert_eq!(is_hop_by_hop(name), expected, "{name:?}");
        }
    }

    #[test]
    fn no_field_has_two_rules() {
        for rule in FIELDS {
            assert!(std::ptr::eq(FieldRule::of(rule.name), rule), "{rule:?}");
        }
    }
}
