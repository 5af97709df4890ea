//! The head of a request: the request line and the header section (RFC 9112 §3, §5), parsed once
//! into everything the server needs to know of it.
//!
//! Splitting lines is `httparse`'s work; what the lines mean, and which of them are refused, is
//! decided here. A head is borrowed from the bytes it was read from: nothing is copied.

use std::mem::MaybeUninit;

use super::error::RequestError;
use super::fields::{FIELD_CAPACITY, Fields, Known};
use super::framing::Framing;
use super::list;
use super::method::Method;
use super::target::{self, Form, Target};
use super::version::Version;

/// Sizes a head may not exceed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadLimits {
    /// Bytes, from the first of the request line to the end of the empty line.
    pub(crate) max_bytes: usize,
    /// Field lines; at most [`FIELD_CAPACITY`].
    pub(crate) max_fields: usize,
}

/// Room for the field lines of one head, on the caller's stack; it need not be initialized.
pub(crate) type FieldSpace<'a> = [MaybeUninit<httparse::Header<'a>>; FIELD_CAPACITY];

/// A fresh [`FieldSpace`], which costs nothing.
pub(crate) fn field_space<'a>() -> FieldSpace<'a> {
    [const { MaybeUninit::uninit() }; FIELD_CAPACITY]
}

/// A request's head, checked: framing is unambiguous, the host is valid, the method is known.
#[derive(Clone, Debug)]
pub(crate) struct RequestHead<'a> {
    pub(crate) method: Method,
    pub(crate) target: Target<'a>,
    /// The request-target as it stood, for the log.
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
    /// In bytes, with the empty line at its end.
    pub(crate) length: usize,
}

/// What [`RequestHead::parse`] made of the bytes so far.
#[derive(Debug)]
pub(crate) enum Parsed<'a> {
    /// More is needed.
    Partial,
    /// A head, and its length in bytes; content and further requests follow it.
    Complete(RequestHead<'a>, usize),
}

impl<'a> RequestHead<'a> {
    /// Parses the head at the start of `bytes`. Empty lines before it are passed over
    /// (RFC 9112 §2.2), a bare LF ends a line as CRLF does.
    ///
    /// # Errors
    /// What makes the request unacceptable. Every one of them ends the connection, for where the
    /// next request would begin is unknown.
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
    /// at first, takes the field lines there are. The parser's room for [`FIELD_CAPACITY`] of them,
    /// 8 KiB, is freed when this function returns.
    ///
    /// # Errors
    /// As `parse`.
    pub(crate) fn parse_kept(
        bytes: &'a [u8],
        lines: &'a mut Vec<httparse::Header<'a>>,
        limits: HeadLimits,
    ) -> Result<Parsed<'a>, RequestError> {
        let mut space = field_space();
        let mut request = httparse::Request::new(&mut []);
        let Some(length) = split_lines(&mut request, bytes, &mut space, limits)? else {
            return Ok(Parsed::Partial);
        };
        lines.reserve_exact(request.headers.len());
        lines.extend_from_slice(request.headers);
        let request = httparse::Request {
            method: request.method,
            path: request.path,
            version: request.version,
            headers: lines,
        };
        Self::from_lines(request, length).map(|head| Parsed::Complete(head, length))
    }

    /// The head of `length` bytes that was split into `request`.
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

    /// The same request, made for another target by GET and without content (RFC 3875 §6.2.2); HEAD
    /// stays HEAD. `None` if `target` is no path.
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

    /// Whether the answer goes out without its content.
    pub(crate) fn is_head(&self) -> bool {
        self.method == Method::Head
    }

    /// Whether anything asks for other than the whole representation: few requests do.
    pub(crate) fn has_conditions_or_range(&self) -> bool {
        Known::CONDITIONS
            .iter()
            .any(|known| self.fields.has(*known))
            || self.fields.has(Known::Range)
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
    match request.parse_with_uninit_headers(bytes, lines) {
        Ok(httparse::Status::Partial) if bytes.len() >= limits.max_bytes => {
            Err(too_long(bytes, limits))
        }
        Ok(httparse::Status::Partial) => Ok(None),
        Ok(httparse::Status::Complete(length)) if length > limits.max_bytes => {
            Err(too_long(bytes, limits))
        }
        Ok(httparse::Status::Complete(length)) => Ok(Some(length)),
        // Which version it is, is known when the line is complete.
        Err(httparse::Error::Version)
            if request_line_at(bytes).is_none() && bytes.len() < limits.max_bytes =>
        {
            Ok(None)
        }
        Err(httparse::Error::Version) => Err(version_error(bytes)),
        Err(error) => Err(error.into()),
    }
}

/// RFC 9112 §3.2.2: the host of an absolute-form wins; RFC 9110 §7.2: in 1.1 there is exactly one
/// `Host`, valid, whatever the form.
fn effective_host<'a>(
    fields: &Fields<'a>,
    target: &Target<'a>,
    version: Version,
) -> Result<&'a [u8], RequestError> {
    if fields.is_repeated(Known::Host) {
        return Err(RequestError::InvalidHost);
    }
    let field = match fields.first(Known::Host) {
        Some(host) if !target::is_valid_host(host) => return Err(RequestError::InvalidHost),
        None if version == Version::Http11 => return Err(RequestError::MissingHost),
        host => host.unwrap_or_default(),
    };
    Ok(target::without_port(target.authority.unwrap_or(field)))
}

/// RFC 9112 §9.3: `close` ends it; 1.1 persists by default, 1.0 where `keep-alive` asks for it.
fn is_persistent(fields: &Fields<'_>, version: Version) -> bool {
    let Some(options) = fields.combined(Known::Connection) else {
        return version == Version::Http11;
    };
    // Nearly always it is this one option.
    if options.eq_ignore_ascii_case(b"keep-alive") {
        return true;
    }
    let has =
        |option: &[u8]| list::elements(&options).any(|member| member.eq_ignore_ascii_case(option));
    !has(b"close") && (version == Version::Http11 || has(b"keep-alive"))
}

/// RFC 9110 §10.1.1: one expectation is defined; a 1.0 client's is ignored, and so is one for
/// content that will not come.
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

/// Whether a head that was incomplete may be complete now that `bytes[seen..]` came: an empty line
/// ends in the new part. Spares a client's every byte another walk over all before it.
pub(crate) fn may_be_complete(bytes: &[u8], seen: usize) -> bool {
    // The end may have begun in the last three bytes seen: LF CR LF.
    let start = seen.saturating_sub(3);
    memchr::memchr_iter(b'\n', &bytes[start..])
        .any(|end| matches!(bytes[start + end + 1..], [b'\n', ..] | [b'\r', b'\n', ..]))
}

/// Turns the version `HTTP/1.2` and above into `HTTP/1.1`, in place (RFC 9110 §2.5: a higher minor
/// version is answered with the highest we know). Returns whether it changed anything.
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

/// The request line, or as much of it as there is: for the log of a request that was refused.
pub(crate) fn request_line(bytes: &[u8]) -> &[u8] {
    let start = bytes
        .iter()
        .position(|byte| !matches!(byte, b'\r' | b'\n'))
        .unwrap_or(bytes.len());
    let rest = &bytes[start..];
    let end = memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
    &rest[..end]
}

/// The complete request line and where it begins.
fn request_line_at(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let line = request_line(bytes);
    let start = bytes
        .iter()
        .position(|byte| !matches!(byte, b'\r' | b'\n'))?;
    (start + line.len() < bytes.len()).then_some((start, line))
}

/// RFC 9110 §15.5.15 and RFC 6585 §5: 414 if the request line alone is too long.
fn too_long(bytes: &[u8], limits: HeadLimits) -> RequestError {
    match request_line_at(bytes) {
        Some((_, line)) if line.len() < limits.max_bytes => RequestError::HeadTooLarge,
        _ => RequestError::TargetTooLong,
    }
}

/// What a version that httparse refuses comes to: 505 where it is one of another major, or a
/// minor that [`lower_minor_version`] mends; else the line is not a request line.
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
