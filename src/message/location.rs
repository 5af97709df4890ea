//! Paths on their way back into a URI: the `Location` of a redirect.

use percent_encoding::{AsciiSet, CONTROLS, PercentEncode, percent_encode};

use super::request::Request;
use super::response::Response;
use crate::http::response::FieldLines;
use crate::http::status::Status;

/// What a path may not hold as it is (RFC 3986 §3.3), and `%` itself, because the path was decoded.
const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// A decoded path, encoded again.
pub(crate) fn encode_path(path: &[u8]) -> PercentEncode<'_> {
    percent_encode(path, PATH)
}

/// The redirect to the same directory with a final slash, relative to where the client is; the
/// query stays.
pub(crate) fn redirect_to_directory(request: &Request<'_>) -> Response<'static> {
    let query = request
        .head
        .target
        .query
        .map(|query| [b"?", query].concat())
        .unwrap_or_default();
    let location = [
        relative_segment(request.path.last_segment()).as_bytes(),
        b"/",
        &query,
    ]
    .concat();
    let fields = FieldLines::new().with("Location", location);
    Response::problem_with(Status::PERMANENT_REDIRECT, fields)
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
    }
}
