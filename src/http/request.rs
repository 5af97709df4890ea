//! The head of a request: the request line and the header section (RFC 9112 §3, §5), parsed once
//! into everything the server needs to know about the request.
//!
//! `httparse` splits the lines; this module decides what they mean and which of them are refused. A
//! head borrows from the bytes it was parsed from: nothing is copied.

use std::mem::MaybeUninit;

use super::error::RequestError;
use super::fields::{FIELD_CAPACITY, Fields, Known};
use super::framing::Framing;
use super::list;
use super::method::Method;
use super::target::{self, Form, Target};
use super::version::Version;

/// Limits on the size of a head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadLimits {
    /// Bytes, from the first byte of the request line to the end of the empty line.
    pub(crate) max_bytes: usize,
    /// Field lines. More than [`FIELD_CAPACITY`] stands for that many.
    pub(crate) max_fields: usize,
}

impl HeadLimits {
    /// As many bytes as there are, and as many field lines as fit into a [`FieldSpace`].
    pub(crate) const NONE: Self = Self {
        max_bytes: usize::MAX,
        max_fields: FIELD_CAPACITY,
    };
}

/// Room for the field lines of one head, on the caller's stack. The parser needs no initialized
/// room.
pub(crate) type FieldSpace<'a> = [MaybeUninit<httparse::Header<'a>>; FIELD_CAPACITY];

/// Makes a [`FieldSpace`]. It is not initialized, so this costs nothing.
pub(crate) fn field_space<'a>() -> FieldSpace<'a> {
    [const { MaybeUninit::uninit() }; FIELD_CAPACITY]
}

/// The head of a request that passed every check: its framing is unambiguous, its host is valid, its
/// method is known.
#[derive(Clone, Debug)]
pub(crate) struct RequestHead<'a> {
    pub(crate) method: Method,
    pub(crate) target: Target<'a>,
    /// The request-target as the client sent it, for the log.
    pub(crate) raw_target: &'a str,
    pub(crate) version: Version,
    /// The host of the target URI without its port; empty if the request names none.
    pub(crate) host: &'a [u8],
    pub(crate) framing: Framing,
    /// Whether the client lets the connection persist (RFC 9112 §9.3).
    pub(crate) persistent: bool,
    /// Whether the client waits for `100 Continue` before it sends content (RFC 9110 §10.1.1).
    pub(crate) expects_continue: bool,
    pub(crate) fields: Fields<'a>,
    /// The length of the head in bytes, with the empty line at its end.
    pub(crate) length: usize,
}

/// What [`RequestHead::parse`] found in the bytes that have come so far.
#[derive(Debug)]
pub(crate) enum Parsed<'a> {
    /// The head is incomplete.
    Partial,
    /// A head, and its length in bytes. Content and further requests may follow it.
    Complete(RequestHead<'a>, usize),
}

impl<'a> RequestHead<'a> {
    /// Parses the head at the start of `bytes`. Skips empty lines before it (RFC 9112 §2.2), and
    /// takes a bare LF for the end of a line, as it does CRLF.
    ///
    /// # Errors
    /// Why the request is refused. The connection must end after every such error, because it is
    /// unknown where the next request begins.
    pub(crate) fn parse(
        bytes: &'a [u8],
        space: &'a mut FieldSpace<'a>,
        limits: HeadLimits,
    ) -> Result<Parsed<'a>, RequestError> {
        let mut request = httparse::Request::new(&mut []);
        match split_lines(&mut request, bytes, space, limits)? {
            None => Ok(Parsed::Partial),
            Some(length) => {
                Self::from_lines(request, length).map(|head| Parsed::Complete(head, length))
            }
        }
    }

    /// As [`parse`](Self::parse), for a head that is held while its exchange waits: `lines`, empty
    /// at first, receives the field lines of the head. The parser needs room for [`FIELD_CAPACITY`]
    /// lines, 8 KiB; that room is freed when this function returns.
    ///
    /// # Errors
    /// The errors of `parse`.
    // Two callers, of which one is hot: without this the compiler inlines it into neither.
    #[inline(always)]
    pub(crate) fn parse_kept(
        bytes: &'a [u8],
        lines: &'a mut Box<[httparse::Header<'a>]>,
        limits: HeadLimits,
    ) -> Result<Parsed<'a>, RequestError> {
        let mut space = field_space();
        let mut request = httparse::Request::new(&mut []);
        let Some(length) = split_lines(&mut request, bytes, &mut space, limits)? else {
            return Ok(Parsed::Partial);
        };
        *lines = Box::from(&*request.headers);
        let request = httparse::Request {
            method: request.method,
            path: request.path,
            version: request.version,
            headers: lines,
        };
        Self::from_lines(request, length).map(|head| Parsed::Complete(head, length))
    }

    /// Checks the head of `length` bytes that is split into `request`.
    ///
    /// # Errors
    /// Why the request is refused.
    fn from_lines(request: httparse::Request<'a, 'a>, length: usize) -> Result<Self, RequestError> {
        let complete = "httparse fills these in before it says Complete";
        let raw_target = request.path.expect(complete);
        let version = match request.version.expect(complete) {
            0 => Version::Http10,
            _ => Version::Http11,
        };
        let fields = Fields::new(request.headers);
        let method = Method::from_bytes(request.method.expect(complete).as_bytes())
            .ok_or(RequestError::UnknownMethod)?;
        let target =
            Target::parse(method, raw_target.as_bytes()).ok_or(RequestError::InvalidTarget)?;
        let framing = Framing::of_request(&fields, version)?;
        Ok(Self {
            method,
            target,
            raw_target,
            version,
            host: effective_host(&fields, &target, version)?,
            framing,
            persistent: is_persistent(&fields, version),
            expects_continue: expects_continue(&fields, version, framing)?,
            fields,
            length,
        })
    }

    /// Returns the same request with another target, with the method GET and without content
    /// (RFC 3875 §6.2.2); HEAD stays HEAD. Returns `None` if `target` is not a path.
    pub(crate) fn redirected<'t>(&self, target: &'t str) -> Option<RequestHead<'t>>
    where
        'a: 't,
    {
        let parsed = Target::parse(Method::Get, target.as_bytes());
        let target_is_path = |target: &Target<'_>| target.form == Form::Origin;
        let method = if self.is_head() {
            Method::Head
        } else {
            Method::Get
        };
        Some(RequestHead {
            method,
            raw_target: target,
            target: parsed.filter(target_is_path)?,
            framing: Framing::Empty,
            expects_continue: false,
            ..self.clone()
        })
    }

    /// Returns the same request for another path and query. What it is called in the log stays as the client
    /// sent it. Returns `None` if `target` does not begin with a path.
    pub(crate) fn rewritten<'t>(&self, target: &'t str) -> Option<RequestHead<'t>>
    where
        'a: 't,
    {
        let parsed = Target::parse(Method::Get, target.as_bytes());
        let parsed = parsed.filter(|target| target.form == Form::Origin)?;
        Some(RequestHead {
            target: Target {
                authority: self.target.authority,
                is_https: self.target.is_https,
                ..parsed
            },
            ..self.clone()
        })
    }

    /// Whether the response is sent without its content.
    pub(crate) fn is_head(&self) -> bool {
        self.method == Method::Head
    }

    /// Whether the request has a precondition or a `Range`. Few requests do; every other one asks for
    /// the whole representation.
    pub(crate) fn has_conditions_or_range(&self) -> bool {
        Known::CONDITIONS
            .iter()
            .any(|known| self.fields.has(*known))
            || self.fields.has(Known::Range)
    }
}

/// What can be told of a request that is refused, or whose head has not come to its end.
#[derive(Debug)]
pub(crate) struct Glimpse<'a> {
    /// The request line, or as much of it as has come.
    pub(crate) line: &'a [u8],
    /// `None`: the line begins with no method that is known.
    pub(crate) method: Option<Method>,
    /// The host, as in [`RequestHead`]; empty also where it is invalid, or the head is not whole.
    pub(crate) host: &'a [u8],
    /// None of them, unless the head is whole.
    pub(crate) fields: Fields<'a>,
    /// Whether the head has come to its end, and each of its lines can be read.
    pub(crate) is_whole: bool,
}

impl<'a> Glimpse<'a> {
    /// Looks at the request at the start of `bytes`, which may be refused for any reason: its limits and
    /// its framing are not looked at.
    pub(crate) fn of(bytes: &'a [u8], space: &'a mut FieldSpace<'a>) -> Self {
        let line = request_line(bytes);
        let name = line.split(|octet| *octet == b' ').next();
        let method = name.and_then(Method::from_bytes);
        let mut request = httparse::Request::new(&mut []);
        // Read as every head is: a second call of the parser would have neither of them inlined.
        let limits = HeadLimits::NONE;
        if !matches!(split_lines(&mut request, bytes, space, limits), Ok(Some(_))) {
            return Self {
                line,
                method,
                host: b"",
                fields: Fields::new(&[]),
                is_whole: false,
            };
        }
        let fields = Fields::new(request.headers);
        let target = Target::parse(
            method.unwrap_or(Method::Get),
            request.path.unwrap_or_default().as_bytes(),
        );
        // A target of no known form says no host, and that of the field counts.
        let target = target.unwrap_or(Target::asterisk());
        let host = effective_host(&fields, &target, Version::Http10);
        Self {
            line,
            method,
            host: host.unwrap_or_default(),
            fields,
            is_whole: true,
        }
    }

    /// Whether the response has no content (RFC 9110 §9.3.2).
    pub(crate) fn is_head(&self) -> bool {
        self.method == Some(Method::Head)
    }
}

/// Splits the head at the start of `bytes` into the lines of `request`, for which there is room in
/// `space`. Returns the head's length in bytes; `None` if the head is incomplete.
fn split_lines<'s, 'b>(
    request: &mut httparse::Request<'s, 'b>,
    bytes: &'b [u8],
    space: &'s mut FieldSpace<'b>,
    limits: HeadLimits,
) -> Result<Option<usize>, RequestError> {
    let (lines, _) = space.split_at_mut(limits.max_fields.min(FIELD_CAPACITY));
    let bytes = within_limit(bytes, limits);
    match request.parse_with_uninit_headers(bytes, lines) {
        Ok(httparse::Status::Partial) if is_full(bytes, limits) => Err(too_long(bytes, limits)),
        Ok(httparse::Status::Partial) => Ok(None),
        Ok(httparse::Status::Complete(length)) => Ok(Some(length)),
        // The version may be incomplete as long as its line is.
        Err(httparse::Error::Version)
            if request_line_at(bytes).is_none() && !is_full(bytes, limits) =>
        {
            Ok(None)
        }
        Err(httparse::Error::Version) => Err(version_error(bytes)),
        Err(error) => Err(error.into()),
    }
}

/// The part of `bytes` in which a head may stand. Octets past the limit are not looked at: a fault in
/// them must not count, because it would only be seen if they came together with the octets before the
/// limit.
fn within_limit(bytes: &[u8], limits: HeadLimits) -> &[u8] {
    if bytes.len() <= limits.max_bytes {
        return bytes;
    }
    let most = empty_lines(bytes).saturating_add(limits.max_bytes);
    &bytes[..bytes.len().min(most)]
}

/// Whether a head that is incomplete in `bytes` has no room left.
fn is_full(bytes: &[u8], limits: HeadLimits) -> bool {
    bytes.len() - empty_lines(bytes) >= limits.max_bytes
}

/// The octets of the empty lines before a head, which are no part of it (RFC 9112 §2.2).
fn empty_lines(bytes: &[u8]) -> usize {
    let is_line_end = |byte: &&u8| matches!(byte, b'\r' | b'\n');
    bytes.iter().take_while(is_line_end).count()
}

/// Returns the host of the target URI, without its port.
///
/// The host of an absolute-form counts rather than `Host` (RFC 9112 §3.2.2). That of an authority-form does not:
/// it is where a tunnel would lead, and `Host` says which server refuses to make one. A request of HTTP/1.1 has
/// exactly one valid `Host` in any form (RFC 9110 §7.2).
// On the path of every request.
#[inline(always)]
fn effective_host<'a>(
    fields: &Fields<'a>,
    target: &Target<'a>,
    version: Version,
) -> Result<&'a [u8], RequestError> {
    if fields.is_repeated(Known::Host) {
        return Err(RequestError::InvalidHost);
    }
    let name = match fields.first(Known::Host) {
        Some(host) => target::valid_name(host).ok_or(RequestError::InvalidHost)?,
        None if version == Version::Http11 => return Err(RequestError::MissingHost),
        None => b"",
    };
    Ok(match target.authority {
        Some(authority) if target.form != Form::Authority => target::without_port(authority),
        _ => name,
    })
}

/// Whether the client lets the connection persist (RFC 9112 §9.3): not with `close`; without it, in
/// HTTP/1.1 always, in HTTP/1.0 with `keep-alive`.
fn is_persistent(fields: &Fields<'_>, version: Version) -> bool {
    let Some(options) = fields.combined(Known::Connection) else {
        return version == Version::Http11;
    };
    // Nearly every `Connection` has this one option.
    if options.eq_ignore_ascii_case(b"keep-alive") {
        return true;
    }
    let has =
        |option: &[u8]| list::elements(&options).any(|member| member.eq_ignore_ascii_case(option));
    !has(b"close") && (version == Version::Http11 || has(b"keep-alive"))
}

/// Whether the client waits for `100 Continue`, the only expectation there is (RFC 9110 §10.1.1). The
/// server ignores it in a request of HTTP/1.0, and in a request without content.
fn expects_continue(
    fields: &Fields<'_>,
    version: Version,
    framing: Framing,
) -> Result<bool, RequestError> {
    match fields.combined(Known::Expect) {
        None => Ok(false),
        Some(_) if version == Version::Http10 => Ok(false),
        Some(value) if value.eq_ignore_ascii_case(b"100-continue") => Ok(framing != Framing::Empty),
        Some(_) => Err(RequestError::UnknownExpectation),
    }
}

/// Whether a head that was incomplete may be complete now that `bytes[seen..]` have come: whether an
/// empty line ends in them.
///
/// A client that sends its head byte by byte then costs one walk over the head, not one for each
/// byte.
pub(crate) fn may_be_complete(bytes: &[u8], seen: usize) -> bool {
    // The end may have begun in the last three bytes seen: LF CR LF.
    let start = seen.saturating_sub(3);
    memchr::memchr_iter(b'\n', &bytes[start..])
        .any(|end| matches!(bytes[start + end + 1..], [b'\n', ..] | [b'\r', b'\n', ..]))
}

/// The length of the head at the start of `bytes`, if the empty line at its end has come. It is not checked,
/// and may be that of empty lines before a head.
pub(crate) fn head_length(bytes: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'\n', bytes).find_map(|end| match bytes[end + 1..] {
        [b'\n', ..] => Some(end + 2),
        [b'\r', b'\n', ..] => Some(end + 3),
        _ => None,
    })
}

/// Turns the version `HTTP/1.2` and above into `HTTP/1.1`, in place: a server answers a higher minor
/// version with the highest it knows (RFC 9110 §2.5). Returns whether it changed anything.
pub(crate) fn lower_minor_version(bytes: &mut [u8]) -> bool {
    let Some((line_start, line)) = request_line_at(bytes) else {
        return false;
    };
    match *line {
        [.., b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9'] => {
            let minor = line_start + line.len() - 1;
            bytes[minor] = b'1';
            true
        }
        _ => false,
    }
}

/// The start of a request, as a line of the log shows it: cut where it is long, and without control
/// characters.
pub(crate) fn line_in_log(text: &str) -> String {
    const LONGEST: usize = 200;
    let mut shown: String = text.chars().take(LONGEST).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown.escape_debug().to_string()
}

/// Returns the request line, or as much of it as has come, for the log of a request that is refused.
pub(crate) fn request_line(bytes: &[u8]) -> &[u8] {
    let start = bytes
        .iter()
        .position(|byte| !matches!(byte, b'\r' | b'\n'))
        .unwrap_or(bytes.len());
    let rest = &bytes[start..];
    let end = memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
    &rest[..end]
}

/// Returns the request line and where it begins; `None` if the line is incomplete.
fn request_line_at(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let line = request_line(bytes);
    let start = bytes
        .iter()
        .position(|byte| !matches!(byte, b'\r' | b'\n'))?;
    (start + line.len() < bytes.len()).then_some((start, line))
}

/// Returns the error for a head that is too long: 414 if the request line alone is too long
/// (RFC 9110 §15.5.15), otherwise 431 (RFC 6585 §5).
fn too_long(bytes: &[u8], limits: HeadLimits) -> RequestError {
    match request_line_at(bytes) {
        Some((_, line)) if line.len() < limits.max_bytes => RequestError::HeadTooLarge,
        _ => RequestError::TargetTooLong,
    }
}

/// Returns the error for a version that httparse refuses: 505 if it is a version of HTTP, of another
/// major, or of a higher minor, which [`lower_minor_version`] mends; otherwise the line is not a
/// request line.
fn version_error(bytes: &[u8]) -> RequestError {
    match request_line(bytes) {
        [.., b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit()
                && minor.is_ascii_digit()
                && !matches!((major, minor), (b'1', b'0' | b'1')) =>
        {
            RequestError::UnsupportedVersion
        }
        _ => RequestError::Malformed,
    }
}

#[cfg(test)]
mod tests;
