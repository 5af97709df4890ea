//! Paths on their way back into a URI: the `Location` of a redirect.

use super::request::Request;
use super::response::Response;
use crate::http::path::{NormalPath, encode_path};
use crate::http::response::FieldLines;
use crate::http::status::Status;
use crate::reason::Reason;

/// The redirect to the same directory with a final slash, relative to where the client is; the
/// query stays. Where the client has sent that slash and `rewrite` has taken it off, there is no such
/// redirect, and nothing is found.
pub(crate) fn redirect_to_directory(request: &Request<'_>) -> Response<'static> {
    let is_rewritten = request.original.is_some();
    let request = request.as_sent();
    if is_rewritten && request.head.target.path.ends_with(b"/") {
        return Response::problem(Reason::FileMissing);
    }
    // Where the client is: an encoded slash separates nothing for it, whatever it does for the route.
    let sent = NormalPath::parse(request.head.target.path).ok();
    let sent = sent.as_ref().map(NormalPath::last_segment);
    let segment = relative_segment(sent.unwrap_or_else(|| request.path.last_segment()));
    redirect(request, format!("{segment}/"))
}

/// The redirect from `/a/` to `/a`, relative to where the client is; the query stays. Where the client has
/// sent no slash at the end, and `rewrite` has added it, nothing is found.
pub(crate) fn redirect_to_page(request: &Request<'_>) -> Response<'static> {
    let is_rewritten = request.original.is_some();
    let request = request.as_sent();
    let sent = request.head.target.path;
    if is_rewritten && !sent.ends_with(b"/") {
        return Response::problem(Reason::FileMissing);
    }
    let name = NormalPath::parse(sent).unwrap_or_else(|_| request.path.whole().clone());
    let name = name.as_bytes().strip_suffix(b"/").unwrap_or_default();
    let start = memchr::memrchr(b'/', name).map_or(0, |slash| slash + 1);
    // For the client, each of several slashes at the end ends a segment.
    let slashes = sent
        .iter()
        .rev()
        .take_while(|octet| **octet == b'/')
        .count();
    let up = "../".repeat(slashes.max(1));
    redirect(request, format!("{up}{}", encode_path(&name[start..])))
}

/// The redirect to `location`, with the query of the request.
fn redirect(request: &Request<'_>, location: String) -> Response<'static> {
    let mut location = location.into_bytes();
    if let Some(query) = request.head.target.query {
        location.push(b'?');
        location.extend_from_slice(query);
    }
    let fields = FieldLines::new().with("Location", location);
    Response::bare(Status::PERMANENT_REDIRECT, fields)
}

/// A segment as it stands in a relative reference: encoded, and never taken for a scheme.
fn relative_segment(segment: &[u8]) -> String {
    // RFC 3986 §4.2: a first segment with a colon would be taken for one.
    let prefix = if segment.contains(&b':') { "./" } else { "" };
    format!("{prefix}{}", encode_path(segment))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_never_a_scheme() {
        assert_eq!(relative_segment(b"a:b"), "./a:b");
        assert_eq!(relative_segment(b"a?b"), "a%3Fb");
        assert_eq!(relative_segment(b"@a\0b"), "@a%2Fb");
    }
}
