//! Paths on their way back into a URI: the `Location` of a redirect.

use percent_encoding::{AsciiSet, CONTROLS, percent_encode};

use super::request::Request;
use super::response::Response;
use crate::http::path::{ENCODED_SLASH, NormalPath};
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

/// A normal path or a part of it, encoded again.
pub(crate) fn encode_path(path: &[u8]) -> String {
    let between_slashes = path.split(|byte| *byte == ENCODED_SLASH);
    let encoded = between_slashes.map(|part| percent_encode(part, PATH).to_string());
    encoded.collect::<Vec<_>>().join("%2F")
}

/// The redirect to the same directory with a final slash, relative to where the client is; the
/// query stays.
pub(crate) fn redirect_to_directory(request: &Request<'_>) -> Response<'static> {
    // Where the client is: an encoded slash separates nothing for it, whatever it does for the route.
    let sent = NormalPath::parse(request.head.target.path).ok();
    let sent = sent.as_ref().map(NormalPath::last_segment);
    let segment = relative_segment(sent.unwrap_or_else(|| request.path.last_segment()));
    redirect(request, format!("{segment}/"))
}

/// The redirect from `/a/` to `/a`, relative to where the client is; the query stays.
pub(crate) fn redirect_to_page(request: &Request<'_>) -> Response<'static> {
    let sent = request.head.target.path;
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

    /// Browsers read `\\` in a path as `/`, so `/\\example.com` would lead to another host.
    #[test]
    fn only_octets_of_a_path_stand_as_they_are() {
        let all: Vec<u8> = (0..=u8::MAX).collect();
        let plain: Vec<u8> = (all.iter().copied())
            .filter(|octet| encode_path(&[*octet]).to_string().as_bytes() == [*octet])
            .collect();
        let allowed = |octet: &u8| {
            // RFC 3986 §3.3: pchar without "%", the slash; and "[" and "]", which no client misreads.
            octet.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/[]".contains(octet)
        };
        let expected: Vec<u8> = all.into_iter().filter(allowed).collect();
        assert_eq!(
            String::from_utf8_lossy(&plain),
            String::from_utf8_lossy(&expected)
        );
        assert_eq!(
            encode_path(br"/\example.com").to_string(),
            "/%5Cexample.com"
        );
    }
}
