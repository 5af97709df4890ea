//! What a URI holds that gives access, and how a request is named without it: the user information, and values
//! of parameters in the query and in the fragment.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{LazyLock, PoisonError, RwLock};

use memchr::{memchr, memchr2, memchr3, memmem, memrchr};
use percent_encoding::percent_decode;

use crate::config::model::{LogField, Redaction, Secret};
use crate::http::request::{RequestHead, line_in_log};

/// What diagnostics leave out. The process has only one.
static OF_DIAGNOSTICS: LazyLock<RwLock<Redaction>> = LazyLock::new(RwLock::default);

/// What stands in the place of a value.
const IN_PLACE: &[u8] = Secret::IN_PLACE.as_bytes();

/// Has diagnostics leave out what `redaction` says from now on.
pub(super) fn configure(redaction: &Redaction) {
    let mut current = OF_DIAGNOSTICS
        .write()
        .unwrap_or_else(PoisonError::into_inner);
    current.clone_from(redaction);
}

/// Method and request-target of `head`, as diagnostics name the request: as [`named`] does.
pub(crate) fn in_diagnostics(head: &RequestHead<'_>) -> String {
    named(&format!("{} {}", head.method, head.raw_target))
}

/// `request`, a request line or the start of one, as diagnostics name it: short, without control characters
/// and without secrets.
pub(crate) fn named(request: &str) -> String {
    let redaction = OF_DIAGNOSTICS
        .read()
        .unwrap_or_else(PoisonError::into_inner);
    let mut room = LineRoom::default();
    let named = redacted_line(request.as_bytes(), &redaction, &mut room);
    line_in_log(&String::from_utf8_lossy(named))
}

/// What stands around a URI.
#[derive(Clone, Copy)]
pub(super) enum Within {
    /// A request line or the start of one: the version is behind the URI, if there is one. A space that is not
    /// encoded ends no query: a client that sends one is refused, and its line is logged.
    RequestLine,
    /// The text is the URI, as in `Referer`.
    Nothing,
}

impl Within {
    /// Where the query and the fragment stand in `text`, with the mark that begins them; at its end if there is
    /// neither.
    fn parameters(self, text: &[u8]) -> Range<usize> {
        let start = memchr2(b'?', b'#', text).unwrap_or(text.len());
        let version = match self {
            Self::Nothing => None,
            Self::RequestLine => memrchr(b' ', text)
                .filter(|end| *end > start && text[end + 1..].starts_with(b"HTTP/")),
        };
        start..version.unwrap_or(text.len())
    }
}

/// Room for a request line without its secrets.
#[derive(Default)]
pub(super) struct LineRoom {
    without_secrets: Vec<u8>,
    without_host: Vec<u8>,
}

/// `line`, a request line or the start of one, as `redaction` lets it be written. `room` is taken up only if
/// something is left out.
#[inline]
pub(super) fn redacted_line<'a>(
    line: &'a [u8],
    redaction: &Redaction,
    room: &'a mut LineRoom,
) -> &'a [u8] {
    let line = without_secrets(
        line,
        Within::RequestLine,
        redaction,
        &mut room.without_secrets,
    );
    if redaction.fields.contains(&LogField::Host) {
        without_host(line, &mut room.without_host)
    } else {
        line
    }
}

/// `line`, a request line or the start of one, without the host in its target: scheme and authority of absolute-form,
/// and what CONNECT asks for. `room` is taken up only if there is one.
fn without_host<'a>(line: &'a [u8], room: &'a mut Vec<u8>) -> &'a [u8] {
    const CONNECT: &[u8] = b"CONNECT ";
    if let Some(target) = line.strip_prefix(CONNECT) {
        let end = memchr(b' ', target).unwrap_or(target.len());
        room.extend_from_slice(CONNECT);
        room.extend_from_slice(IN_PLACE);
        room.extend_from_slice(&target[end..]);
        return room;
    }
    let Some(authority) = authority(line) else {
        return line;
    };
    let start = memrchr(b' ', &line[..authority.start]).map_or(0, |blank| blank + 1);
    let rest = &line[authority.end..];
    room.extend_from_slice(&line[..start]);
    if !rest.starts_with(b"/") {
        room.push(b'/');
    }
    room.extend_from_slice(rest);
    room
}

/// Where the authority stands of the URI that `text` is, or that is the target of this request line.
fn authority(text: &[u8]) -> Option<Range<usize>> {
    let colon = memmem::find(text, b"://")?;
    let start = memrchr(b' ', &text[..colon]).map_or(0, |blank| blank + 1);
    let is_of_scheme = |octet: &u8| octet.is_ascii_alphanumeric() || b"+-.".contains(octet);
    if !text[start..colon].iter().all(is_of_scheme) {
        return None;
    }
    let start = colon + 3;
    let is_end = |octet: &u8| matches!(octet, b'/' | b'?' | b'#' | b' ');
    let length = text[start..].iter().position(is_end);
    Some(start..length.map_or(text.len(), |length| start + length))
}

/// Where the user information stands: before the last at sign of the authority.
fn user_information(text: &[u8]) -> Option<Range<usize>> {
    let authority = authority(text)?;
    let length = memrchr(b'@', &text[authority.clone()])?;
    Some(authority.start..authority.start + length)
}

/// `text`, in which a URI stands, without its secrets. `room` is taken up only if there is one.
pub(super) fn without_secrets<'a>(
    text: &'a [u8],
    within: Within,
    redaction: &Redaction,
    room: &'a mut Vec<u8>,
) -> &'a [u8] {
    if memchr3(b'?', b'#', b'@', text).is_none() {
        return text;
    }
    let place = within.parameters(text);
    // It stands before the parameters of its URI: behind them there is another URI, or none.
    let user = user_information(&text[..place.start]);
    let (mark, parameters) = text[place.clone()].split_at(place.len().min(1));
    let is_left_out = redaction.fields.contains(&LogField::Query) && !place.is_empty();
    let has_secret = !is_left_out && has_secret(parameters, &redaction.query);
    if user.is_none() && !is_left_out && !has_secret {
        return text;
    }
    let mut before = &text[..place.start];
    if let Some(user) = user {
        room.extend_from_slice(&text[..user.start]);
        room.extend_from_slice(IN_PLACE);
        before = &text[user.end..place.start];
    }
    room.extend_from_slice(before);
    if has_secret {
        room.extend_from_slice(mark);
        push_parameters(parameters, &redaction.query, room);
    } else if !is_left_out {
        room.extend_from_slice(&text[place.clone()]);
    }
    room.extend_from_slice(&text[place.end..]);
    room
}

fn has_secret(query: &[u8], names: &[String]) -> bool {
    parameters(query).any(|parameter| is_secret(parameter, names))
}

/// The parameters of a query, and those of the fragment behind it, each with its value. A fragment may have a query of
/// its own, as the routes of single-page applications have.
fn parameters(query: &[u8]) -> impl Iterator<Item = &[u8]> {
    query.split(|octet| matches!(octet, b'&' | b';' | b'#' | b'?'))
}

/// Whether the value of a parameter is left out: its name is one of `names`, or a part of it is, as in
/// `user[password]`, `token[]` and `user.password`. Frameworks read these as a value of that name.
fn is_secret(parameter: &[u8], names: &[String]) -> bool {
    let end = memchr(b'=', parameter).unwrap_or(parameter.len());
    let name = decoded(&parameter[..end]);
    let is_one = |name: &[u8]| {
        let mut names = names.iter();
        names.any(|other| other.as_bytes().eq_ignore_ascii_case(name))
    };
    let mut parts = name.split(|octet| matches!(octet, b'[' | b']' | b'.'));
    is_one(&name) || parts.any(is_one)
}

/// The name of a parameter as an application reads it: it may be percent-encoded, a plus sign is a space, and PHP
/// passes over spaces at the start.
fn decoded(name: &[u8]) -> Cow<'_, [u8]> {
    if memchr2(b'%', b'+', name).is_none() {
        return Cow::Borrowed(name);
    }
    let spaced: Vec<u8> = name
        .iter()
        .map(|octet| if *octet == b'+' { b' ' } else { *octet })
        .collect();
    let decoded: Vec<u8> = percent_decode(&spaced).collect();
    Cow::Owned(decoded.trim_ascii_start().to_owned())
}

fn push_parameters(query: &[u8], names: &[String], out: &mut Vec<u8>) {
    let mut at = 0;
    for parameter in parameters(query) {
        if at > 0 {
            out.push(query[at - 1]);
        }
        match memchr(b'=', parameter) {
            Some(end) if is_secret(parameter, names) => {
                out.extend_from_slice(&parameter[..=end]);
                out.extend_from_slice(IN_PLACE);
            }
            _ => out.extend_from_slice(parameter),
        }
        at += parameter.len() + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn diagnostics_have_no_secrets_either() {
        let long = format!("GET /?a={}&token=abc", "b".repeat(300));
        for (request, expected) in [
            ("GET /a?b=1&token=abc", "GET /a?b=1&token=[redacted]"),
            ("GET /a?code=x HTTP/1.1", "GET /a?code=[redacted] HTTP/1.1"),
            ("GET /a?b=c d&code=x y", "GET /a?b=c d&code=[redacted]"),
            ("GET /a\n", "GET /a\\n"),
            (&*long, &*format!("GET /?a={}…", "b".repeat(192))),
        ] {
            assert_eq!(named(request), expected);
        }
    }
}
