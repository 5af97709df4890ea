//! Text of which parts are taken from a request: what an operator writes with variables in braces.
//!
//! ```text
//! "/item?id={id}&{query}"     request /shop/a%26b?x=1, of the route "/shop/{id}"
//!
//! /item?id=   text
//! a%26b       {id}: in a query, so that `&` would be encoded if it were not
//! &           text
//! x=1         {query}
//! ```
//!
//! A value is encoded for the place where it stands. Whatever a client sends, it ends no line, no
//! segment, no parameter of a query and no element of a page: only the operator's text does.

use std::borrow::Cow;
use std::net::IpAddr;

use super::path::{ENCODED_SLASH, decoded_segment, encode_path, readable};
use super::raw_path::behind_segments;

/// Text with variables, each of which the route has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Template(Vec<(Part, Area)>);

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Text that stands as it is.
    Text(Box<str>),
    /// The path of the request.
    Path,
    /// What the path has below the route's path: empty, or from a slash on.
    Rest,
    /// The query of the request.
    Query,
    /// The host of the request in lower case, without its port.
    Host,
    /// `http` or `https`.
    Scheme,
    Method,
    /// The client's address.
    Client,
    /// The segment of the path with that index.
    Segment(usize),
    /// What the path has behind so many segments, without the slash between them.
    Tail(usize),
}

/// Where a part stands in a URI reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Area {
    /// Between `//` and the path.
    Authority,
    Path,
    /// Behind the `?` or the `#`.
    Query,
}

/// What a template becomes a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A URI reference, or a request-target.
    Uri,
    /// The value of a field.
    Field,
    /// Text that is not marked up.
    Text,
    /// HTML or XML.
    Markup,
    /// A string of JSON or of a script.
    Json,
    /// The path of a file, with [`ENCODED_SLASH`] as in a normal path.
    File,
}

/// What a request has for each part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Values<'r> {
    /// The path: a normal one, or as the client sent it but without dot segments.
    pub(crate) path: &'r [u8],
    /// What of it is below the route's path, in the same form.
    pub(crate) rest: &'r [u8],
    /// The path that the route's pattern has matched, in the same form.
    pub(crate) matched: &'r [u8],
    /// Whether the three are as the client sent them.
    pub(crate) is_sent: bool,
    pub(crate) query: Option<&'r [u8]>,
    /// Without its port; empty if the request names none.
    pub(crate) host: &'r [u8],
    pub(crate) is_https: bool,
    pub(crate) method: &'static str,
    /// `None`: it has no address, or is not known.
    pub(crate) client: Option<IpAddr>,
}

impl Area {
    /// The area behind `text`, the beginning of a URI reference.
    pub(crate) fn behind(text: &str) -> Self {
        if text.contains(['?', '#']) {
            return Self::Query;
        }
        match text.find("//") {
            Some(at) if text[..at].is_empty() || text[..at].ends_with(':') => {
                if text[at + 2..].contains('/') {
                    Self::Path
                } else {
                    Self::Authority
                }
            }
            _ => Self::Path,
        }
    }
}

impl FromIterator<(Part, Area)> for Template {
    fn from_iter<I: IntoIterator<Item = (Part, Area)>>(parts: I) -> Self {
        Self(parts.into_iter().collect())
    }
}

impl Template {
    /// Whether `part` is one of its parts.
    pub(crate) fn has(&self, part: &Part) -> bool {
        self.0.iter().any(|(other, _)| other == part)
    }

    /// Whether a part is the tail of the path.
    pub(crate) fn has_tail(&self) -> bool {
        let mut parts = self.0.iter();
        parts.any(|(part, _)| matches!(part, Part::Tail(_)))
    }

    /// The text with the values of a request, as the value of `Location`. It begins with two slashes only if the
    /// operator has written them: in `{path}/{query}` the path `/` would bring the first one.
    pub(crate) fn location(&self, values: &Values<'_>) -> Vec<u8> {
        let mut location = Vec::new();
        self.fill(values, Place::Uri, &mut location);
        let is_network_path =
            matches!(self.0.first(), Some((Part::Text(text), _)) if text.starts_with("//"));
        if !is_network_path {
            drop_double_slash(&mut location);
        }
        location
    }

    /// Appends the text with the values of a request to `out`, as a part of `place`.
    ///
    /// In a URI the slash before `{path}` or `{rest}` is not doubled. `{query}` behind a `?` or a `&` stands for
    /// parameters; if the request has none, that `?` or `&` is left out. Elsewhere it is a value.
    pub(crate) fn fill(&self, values: &Values<'_>, place: Place, out: &mut Vec<u8>) {
        let mut has_open_query = false;
        for (part, area) in &self.0 {
            let Part::Text(text) = part else {
                push(part, values, (place, *area), out);
                has_open_query = place == Place::Uri
                    && *part == Part::Query
                    && values.query.unwrap_or_default().is_empty()
                    && drops_ampersand(out);
                continue;
            };
            // `?{query}&a=b` or `?{query}#a`
            let text = match text.strip_prefix('&') {
                Some(rest) if has_open_query => rest,
                _ => text,
            };
            if has_open_query && text.starts_with('#') {
                out.pop();
            }
            out.extend_from_slice(text.as_bytes());
            has_open_query &= text.is_empty();
        }
        if has_open_query {
            out.pop();
        }
    }
}

/// Whether `reference`, the beginning of a URI reference, ends where its host would stand: behind `x-app://`, and not
/// behind `/fetch/https://`. The slash of a path that follows ends an empty host: without it, the first segment would
/// be the host.
pub(crate) fn has_empty_authority(reference: &[u8]) -> bool {
    let before = reference.strip_suffix(b"//");
    before.is_some_and(|before| {
        before.is_empty() || before.ends_with(b":") && !before.contains(&b'/')
    })
}

/// Leaves one of the slashes at the start of `location`: behind two, a browser reads a host (RFC 3986 §4.2).
fn drop_double_slash(location: &mut Vec<u8>) {
    let slashes = location.iter().take_while(|octet| **octet == b'/').count();
    location.drain(..slashes.saturating_sub(1));
}

/// Takes off the `&` before an empty query. Returns whether the `?` is before it.
fn drops_ampersand(out: &mut Vec<u8>) -> bool {
    if out.last() == Some(&b'&') {
        out.pop();
    }
    out.last() == Some(&b'?')
}

/// Appends the value of `part`.
fn push(part: &Part, values: &Values<'_>, to: (Place, Area), out: &mut Vec<u8>) {
    let matched = values.matched;
    match part {
        Part::Text(text) => out.extend_from_slice(text.as_bytes()),
        Part::Path => push_path(values.path, values.is_sent, to, out),
        Part::Rest => push_path(values.rest, values.is_sent, to, out),
        Part::Segment(index) => {
            let segment = first_segment(behind_segments(matched, *index));
            push_segment(segment, values.is_sent, to, out);
        }
        Part::Tail(count) => {
            let tail = behind_segments(matched, *count);
            let start = tail.iter().position(|octet| *octet != b'/');
            let tail = &tail[start.unwrap_or(tail.len())..];
            push_piece(tail, values.is_sent, to, out);
        }
        Part::Query => {
            let query = values.query.unwrap_or_default();
            let begins_parameters = matches!(out.last(), Some(b'?' | b'&'));
            if to == (Place::Uri, Area::Query) && begins_parameters {
                push_parameters(query, out);
            } else {
                push_value(query, to, out);
            }
        }
        Part::Host => push_value(&values.host.to_ascii_lowercase(), to, out),
        Part::Scheme => {
            let scheme = if values.is_https { "https" } else { "http" };
            out.extend_from_slice(scheme.as_bytes());
        }
        Part::Method => out.extend_from_slice(values.method.as_bytes()),
        Part::Client => {
            let client = values.client.map(|client| client.to_string());
            push_value(client.unwrap_or_default().as_bytes(), to, out);
        }
    }
}

/// The first segment of `path` that is not empty; empty if there is none.
fn first_segment(path: &[u8]) -> &[u8] {
    let mut segments = path.split(|octet| *octet == b'/');
    segments
        .find(|segment| !segment.is_empty())
        .unwrap_or_default()
}

/// Appends a path, which is empty or begins with a slash.
fn push_path(path: &[u8], is_sent: bool, to: (Place, Area), out: &mut Vec<u8>) {
    if to == (Place::Uri, Area::Authority) && has_empty_authority(out) {
        return push_piece(path, is_sent, (Place::Uri, Area::Path), out);
    }
    // Its slash ends the authority.
    let to = match to {
        (Place::Uri, Area::Authority) => (Place::Uri, Area::Path),
        to => to,
    };
    let is_path = matches!(to, (Place::Uri, Area::Path) | (Place::File, _));
    match path.strip_prefix(b"/") {
        Some(rest) if is_path && out.last() == Some(&b'/') => push_piece(rest, is_sent, to, out),
        _ => push_piece(path, is_sent, to, out),
    }
}

/// Appends a segment. Where text is wanted, an encoded slash in it is a slash.
fn push_segment(segment: &[u8], is_sent: bool, to: (Place, Area), out: &mut Vec<u8>) {
    match to.0 {
        Place::Text | Place::Markup | Place::Json => {
            push_text(&decoded_segment(segment), to.0, out)
        }
        Place::Uri | Place::Field | Place::File => push_piece(segment, is_sent, to, out),
    }
}

/// Appends a path or a part of it.
fn push_piece(piece: &[u8], is_sent: bool, to: (Place, Area), out: &mut Vec<u8>) {
    let encoded = || {
        if is_sent {
            Cow::Borrowed(piece)
        } else {
            Cow::Owned(encode_path(piece).into_bytes())
        }
    };
    match to {
        (Place::Uri, Area::Path) => out.extend_from_slice(&encoded()),
        (Place::Uri | Place::Field, _) => push_encoded(&encoded(), to, out),
        (Place::File, _) => out.extend_from_slice(piece),
        (place, _) => push_text(&readable(piece), place, out),
    }
}

/// Appends the parameters of a query as they are.
fn push_parameters(query: &[u8], out: &mut Vec<u8>) {
    for octet in query {
        match octet {
            b'"' | b'<' | b'>' | b'\\' => push_octet(*octet, out),
            octet if octet.is_ascii_graphic() => out.push(*octet),
            octet => push_octet(*octet, out),
        }
    }
}

fn push_octet(octet: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("%{octet:02X}").as_bytes());
}

/// Appends what is no path: a query, a host, an address.
fn push_value(value: &[u8], to: (Place, Area), out: &mut Vec<u8>) {
    match to {
        (Place::Uri | Place::Field, _) => push_encoded(value, to, out),
        (Place::File, _) => {
            let hidden = value.iter().map(|octet| match octet {
                b'/' => ENCODED_SLASH,
                octet => *octet,
            });
            out.extend(hidden);
        }
        (place, _) => push_text(value, place, out),
    }
}

/// Appends a value that is percent-encoded already, and encodes what would end it.
fn push_encoded(value: &[u8], (place, area): (Place, Area), out: &mut Vec<u8>) {
    for octet in value {
        let stands = octet.is_ascii_graphic()
            && match (place, area) {
                (Place::Field, _) => !matches!(octet, b'"' | b',' | b';' | b'<' | b'>' | b'\\'),
                (_, Area::Authority) => {
                    octet.is_ascii_alphanumeric() || b"-._~%:[]".contains(octet)
                }
                (_, Area::Path) => !matches!(octet, b'/' | b'?' | b'#' | b'\\'),
                (_, Area::Query) => !matches!(octet, b'&' | b'+' | b';' | b'=' | b'#' | b'"'),
            };
        if stands {
            out.push(*octet);
        } else {
            push_octet(*octet, out);
        }
    }
}

/// Appends decoded octets as text. Those that are no text become U+FFFD.
fn push_text(octets: &[u8], place: Place, out: &mut Vec<u8>) {
    for c in String::from_utf8_lossy(octets).chars() {
        match (place, c) {
            (Place::Markup, '&') => out.extend_from_slice(b"&amp;"),
            (Place::Markup, '<') => out.extend_from_slice(b"&lt;"),
            (Place::Markup, '>') => out.extend_from_slice(b"&gt;"),
            (Place::Markup, '"') => out.extend_from_slice(b"&quot;"),
            (Place::Markup, '\'') => out.extend_from_slice(b"&#39;"),
            // Scripts have strings between three kinds of quotes, and pages have scripts in them.
            (
                Place::Json,
                '"' | '\\' | '\'' | '`' | '$' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}',
            ) => {
                out.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes());
            }
            (Place::Json, c) if c.is_control() => {
                out.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes());
            }
            (_, c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests;
