//! The path of a request-target, decoded once and without dot segments.
//!
//! Routing and files both look at a [`NormalPath`], so no client gets past a route with another
//! spelling of the same path.
//!
//! ```text
//! /page/AC%2FDC      two segments; the second one is `AC/DC`
//! ```
//!
//! Segments are split before they are decoded. An encoded slash is data of its segment, and stands as
//! [`ENCODED_SLASH`] in the path, so that nothing takes it for a separator by mistake.

use std::borrow::Cow;

use memchr::{memchr, memchr_iter};
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};

/// Stands for an encoded slash in a [`NormalPath`]. It is NUL, which no path holds otherwise, and which
/// no file's name can hold: a handler that forgets to ask for it finds no file.
pub(crate) const ENCODED_SLASH: u8 = 0;

/// A decoded path. It begins with `/`; an encoded slash stands as [`ENCODED_SLASH`]. No segment is `.`
/// or `..`, and none is empty, apart from the last one in a path that ends in `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NormalPath<'a>(Cow<'a, [u8]>);

/// Why a path has no normal form: a fault of the client, which is answered 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PathError {
    #[error("a percent sign in the path is not followed by two hexadecimal digits")]
    InvalidEncoding,
    #[error("the path holds a NUL")]
    ForbiddenOctet,
    #[error("the path leads above the root")]
    AboveRoot,
    #[error("the target has no path")]
    NoPath,
}

impl<'a> NormalPath<'a> {
    /// Normalizes the path of a request-target, which begins with `/` but in asterisk-form and authority-form.
    ///
    /// Decodes percent-encoding once, then resolves `.` and `..` (RFC 3986 §5.2.4) and drops empty
    /// segments. Refuses a `..` at the root, which no honest client sends. Allocates only if the path
    /// is not normal already.
    ///
    /// # Errors
    /// The path has no normal form.
    pub(crate) fn parse(raw: &'a [u8]) -> Result<Self, PathError> {
        if raw.first() != Some(&b'/') {
            return Err(PathError::NoPath);
        }
        if is_normal(raw) {
            return Ok(Self(Cow::Borrowed(raw)));
        }
        let mut path = decode(raw)?.into_owned();
        resolve_segments(&mut path)?;
        Ok(Self(Cow::Owned(path)))
    }

    /// The normal form of `raw`; a path that has none stays as it is.
    pub(crate) fn in_normal_form(raw: &'a [u8]) -> Cow<'a, [u8]> {
        Self::parse(raw).map_or(Cow::Borrowed(raw), Self::into_bytes)
    }

    /// Whether `path` is in the form of a normal path, decoded: nothing in it would be resolved or dropped.
    pub(crate) fn is_normal(path: &[u8]) -> bool {
        let mut segments = path.split(|octet| *octet == b'/');
        let is_rooted = segments.next() == Some(b"") && path.starts_with(b"/");
        let count = path.iter().filter(|octet| **octet == b'/').count();
        let mut segments = segments.enumerate();
        is_rooted
            && segments.all(|(index, segment)| match segment {
                b"" => index + 1 == count,
                segment => !matches!(segment, b"." | b".."),
            })
    }

    /// The path of `octets`, which are in the form of one.
    pub(crate) fn of_normal(octets: &'a [u8]) -> Self {
        debug_assert!(Self::is_normal(octets), "{octets:?}");
        Self(Cow::Borrowed(octets))
    }

    /// The octets of the path, with the `/` at its start.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The same, without the path.
    pub(crate) fn into_bytes(self) -> Cow<'a, [u8]> {
        self.0
    }

    /// Whether the path ends in `/`, and so names a directory.
    pub(crate) fn is_directory(&self) -> bool {
        self.0.last() == Some(&b'/')
    }

    /// The last segment; empty if the path names a directory.
    pub(crate) fn last_segment(&self) -> &[u8] {
        let start = memchr::memrchr(b'/', &self.0).map_or(0, |slash| slash + 1);
        &self.0[start..]
    }

    /// Whether a segment holds an encoded slash.
    pub(crate) fn has_encoded_slash(&self) -> bool {
        holds_encoded_slash(&self.0)
    }

    /// Returns the path in which each encoded slash separates segments, as it does for programs that
    /// decode a path before they split it. Returns `None` if that path is not normal: a segment that is
    /// `.`, `..` or empty was hidden by the encoding.
    pub(crate) fn with_slashes_decoded(&self) -> Option<NormalPath<'static>> {
        let decoded: Vec<u8> = self.0.iter().map(|byte| decoded_octet(*byte)).collect();
        let mut resolved = decoded.clone();
        resolve_segments(&mut resolved).ok()?;
        (resolved == decoded).then_some(NormalPath(Cow::Owned(decoded)))
    }

    /// Returns the path of a program that decodes encoded slashes and resolves nothing: to find a route by, because
    /// it may be no normal one.
    pub(crate) fn with_slashes_only_decoded(&self) -> NormalPath<'static> {
        let decoded = self.0.iter().map(|byte| decoded_octet(*byte));
        NormalPath(Cow::Owned(decoded.collect()))
    }

    /// Returns the path of a program that decodes encoded slashes, and then resolves `.` and `..`. A `..` at the root
    /// leads nowhere (RFC 3986 §5.2.4).
    pub(crate) fn with_slashes_decoded_and_resolved(&self) -> NormalPath<'static> {
        let decoded: Vec<u8> = self.0.iter().map(|byte| decoded_octet(*byte)).collect();
        let mut segments: Vec<&[u8]> = Vec::new();
        for segment in decoded.split(|byte| *byte == b'/') {
            match segment {
                b"" | b"." => {}
                b".." => drop(segments.pop()),
                segment => segments.push(segment),
            }
        }
        let is_directory = decoded.ends_with(b"/") && !segments.is_empty();
        let end = is_directory.then_some(&b""[..]);
        let path = [
            &b"/"[..],
            &segments
                .into_iter()
                .chain(end)
                .collect::<Vec<_>>()
                .join(&b'/'),
        ];
        NormalPath(Cow::Owned(path.concat()))
    }

    /// Returns the path without its first `prefix` octets. A segment must end there.
    pub(crate) fn strip_prefix(&self, prefix: usize) -> NormalPath<'_> {
        match self.0.get(prefix..) {
            None | Some([]) => NormalPath(Cow::Borrowed(b"/")),
            Some(rest) => {
                debug_assert_eq!(rest[0], b'/', "prefixes end where a segment ends");
                NormalPath(Cow::Borrowed(rest))
            }
        }
    }
}

/// Whether `path`, a normal one or a part of it, holds an encoded slash.
pub(crate) fn holds_encoded_slash(path: &[u8]) -> bool {
    memchr(ENCODED_SLASH, path).is_some()
}

/// Returns `path`, a normal one or a part of it, for programs that look at it: decoded, but with `%2F`
/// for an encoded slash. Decoded, it would separate segments that routing did not separate, and could
/// make one of them `..`.
pub(crate) fn readable(path: &[u8]) -> Cow<'_, [u8]> {
    if !holds_encoded_slash(path) {
        return Cow::Borrowed(path);
    }
    let mut readable =
        Vec::with_capacity(path.len() + 2 * memchr_iter(ENCODED_SLASH, path).count());
    for byte in path {
        match *byte {
            ENCODED_SLASH => readable.extend_from_slice(b"%2F"),
            byte => readable.push(byte),
        }
    }
    Cow::Owned(readable)
}

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

/// Returns a segment of a normal path, decoded: an encoded slash becomes a slash.
pub(crate) fn decoded_segment(segment: &[u8]) -> Cow<'_, [u8]> {
    if holds_encoded_slash(segment) {
        Cow::Owned(segment.iter().map(|byte| decoded_octet(*byte)).collect())
    } else {
        Cow::Borrowed(segment)
    }
}

fn decoded_octet(byte: u8) -> u8 {
    if byte == ENCODED_SLASH { b'/' } else { byte }
}

/// Whether nothing in the path has to be decoded, resolved or dropped. Nearly every path is normal.
fn is_normal(raw: &[u8]) -> bool {
    // One pass. A segment that begins with a dot goes the slow way, even if it is normal.
    let mut previous = b'/';
    for byte in &raw[1..] {
        match byte {
            b'%' | 0 => return false,
            b'/' | b'.' if previous == b'/' => return false,
            _ => previous = *byte,
        }
    }
    true
}

/// Decodes percent-encoding (RFC 3986 §2.1), but for slashes.
fn decode(raw: &[u8]) -> Result<Cow<'_, [u8]>, PathError> {
    if memchr(0, raw).is_some() {
        return Err(PathError::ForbiddenOctet);
    }
    let Some(first) = memchr(b'%', raw) else {
        return Ok(Cow::Borrowed(raw));
    };
    let mut decoded = Vec::with_capacity(raw.len());
    decoded.extend_from_slice(&raw[..first]);
    let mut rest = &raw[first..];
    while let [byte, after @ ..] = rest {
        if *byte != b'%' {
            decoded.push(*byte);
            rest = after;
            continue;
        }
        let [high, low, after @ ..] = after else {
            return Err(PathError::InvalidEncoding);
        };
        match decode_pair(*high, *low) {
            None => return Err(PathError::InvalidEncoding),
            Some(0) => return Err(PathError::ForbiddenOctet),
            Some(b'/') => decoded.push(ENCODED_SLASH),
            Some(octet) => decoded.push(octet),
        }
        rest = after;
    }
    Ok(Cow::Owned(decoded))
}

/// Returns the octet of two hexadecimal digits.
fn decode_pair(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    Some((digit(high)? * 16 + digit(low)?) as u8)
}

/// Resolves dot segments and drops empty ones, in place.
fn resolve_segments(path: &mut Vec<u8>) -> Result<(), PathError> {
    let mut resolved: Vec<u8> = Vec::with_capacity(path.len());
    let mut ends_in_directory = false;
    for segment in path[1..].split(|byte| *byte == b'/') {
        ends_in_directory = matches!(segment, b"" | b"." | b"..");
        match segment {
            b"" | b"." => {}
            b".." => {
                let parent = resolved
                    .iter()
                    .rposition(|byte| *byte == b'/')
                    .ok_or(PathError::AboveRoot)?;
                resolved.truncate(parent);
            }
            _ => {
                resolved.push(b'/');
                resolved.extend_from_slice(segment);
            }
        }
    }
    if ends_in_directory || resolved.is_empty() {
        resolved.push(b'/');
    }
    *path = resolved;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn normalizes() {
        let cases: &[(&str, Result<&str, PathError>)] = &[
            ("/", Ok("/")),
            ("/a/b", Ok("/a/b")),
            ("/a/b/", Ok("/a/b/")),
            ("/a%20b", Ok("/a b")),
            ("/%7Euser", Ok("/~user")),
            ("/%41%2e%62", Ok("/A.b")),
            ("//a///b//", Ok("/a/b/")),
            ("/.", Ok("/")),
            ("/a/.", Ok("/a/")),
            ("/./a", Ok("/a")),
            ("/a/./b", Ok("/a/b")),
            ("/a/..", Ok("/")),
            ("/a/../b", Ok("/b")),
            ("/a/b/..", Ok("/a/")),
            ("/a/%2e%2E/b", Ok("/b")),
            ("/.hidden", Ok("/.hidden")),
            ("/a/...", Ok("/a/...")),
            ("/a..b", Ok("/a..b")),
            ("/%25", Ok("/%")),
            ("/%252e%252e/x", Ok("/%2e%2e/x")),
            ("/..", Err(PathError::AboveRoot)),
            ("/a/../../b", Err(PathError::AboveRoot)),
            ("/%2e%2e/etc", Err(PathError::AboveRoot)),
            ("/a%2Fb", Ok("/a\0b")),
            ("/a%2fb/%2F", Ok("/a\0b/\0")),
            ("/a%2F../b", Ok("/a\0../b")),
            ("/..%2F..%2Fetc/..", Ok("/")),
            ("/a%252Fb", Ok("/a%2Fb")),
            ("/a%00", Err(PathError::ForbiddenOctet)),
            ("/a\0", Err(PathError::ForbiddenOctet)),
            ("/%", Err(PathError::InvalidEncoding)),
            ("/%4", Err(PathError::InvalidEncoding)),
            ("/%zz", Err(PathError::InvalidEncoding)),
            ("/%+1", Err(PathError::InvalidEncoding)),
        ];
        for (raw, expected) in cases {
            let found = NormalPath::parse(raw.as_bytes());
            let expected = expected.map(|path| NormalPath(Cow::Borrowed(path.as_bytes())));
            assert_eq!(found, expected, "{raw:?}");
        }
    }

    #[test]
    fn strips_a_prefix_down_to_a_path() {
        let path = NormalPath::parse(b"/docs/a/").expect("normal");
        assert_eq!(path.strip_prefix(5).as_bytes(), b"/a/");
        assert_eq!(path.strip_prefix(7).as_bytes(), b"/");
        assert_eq!(path.strip_prefix(0).as_bytes(), b"/docs/a/");
        assert_eq!(
            NormalPath::parse(b"/docs")
                .expect("normal")
                .strip_prefix(5)
                .as_bytes(),
            b"/"
        );
    }

    #[test]
    fn tells_what_is_in_normal_form() {
        for (path, is_normal) in [
            ("/", true),
            ("/a/b", true),
            ("/a/b/", true),
            ("/a b%/...", true),
            ("/a\0b", true),
            ("", false),
            ("a", false),
            ("//", false),
            ("/a//b", false),
            ("/a/./b", false),
            ("/a/..", false),
        ] {
            assert_eq!(NormalPath::is_normal(path.as_bytes()), is_normal, "{path}");
        }
    }

    #[test]
    fn an_encoded_slash_is_data_until_it_is_asked_for() {
        for (raw, shown, decoded) in [
            ("/a/b", "/a/b", Some("/a/b")),
            ("/@types%2fnode", "/@types%2Fnode", Some("/@types/node")),
            ("/page/AC%2FDC/", "/page/AC%2FDC/", Some("/page/AC/DC/")),
            ("/a%2F", "/a%2F", Some("/a/")),
            ("/%2Fa", "/%2Fa", None),
            ("/a%2F%2Fb", "/a%2F%2Fb", None),
            ("/a%2F../b", "/a%2F../b", None),
            ("/..%2Fb", "/..%2Fb", None),
            ("/a%2F.", "/a%2F.", None),
            ("/a%2F/b", "/a%2F/b", None),
        ] {
            let path = NormalPath::parse(raw.as_bytes()).expect("normal");
            assert_eq!(path.has_encoded_slash(), raw.contains("%2"), "{raw}");
            assert_eq!(&*readable(path.as_bytes()), shown.as_bytes(), "{raw}");
            let found = path.with_slashes_decoded();
            let found = found.as_ref().map(NormalPath::as_bytes);
            assert_eq!(found, decoded.map(str::as_bytes), "{raw}");
        }
        assert_eq!(&*decoded_segment(b"AC\0DC"), b"AC/DC");
        assert_eq!(&*decoded_segment(b"AC"), b"AC");
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

    #[test]
    fn a_program_may_read_an_encoded_slash_as_one_that_separates() {
        for (raw, expected) in [
            ("/admin%2Fx", "/admin/x"),
            ("/admin%2F", "/admin/"),
            ("/open/..%2Fadmin%2Fx", "/admin/x"),
            ("/..%2F..%2Fadmin", "/admin"),
            ("/a%2F%2Fb%2F.", "/a/b"),
            ("/..%2F", "/"),
            ("/a/b", "/a/b"),
        ] {
            let path = NormalPath::parse(raw.as_bytes()).expect("normal");
            assert_eq!(
                path.with_slashes_decoded_and_resolved().as_bytes(),
                expected.as_bytes(),
                "{raw}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_normal_path_never_leaves_the_root(raw in "/[a-c./%2e0f]{0,24}") {
            let path = NormalPath::parse(raw.as_bytes()).ok();
            let decoded = path.as_ref().and_then(NormalPath::with_slashes_decoded);
            for path in path.iter().chain(&decoded) {
                let bytes = path.as_bytes();
                prop_assert_eq!(bytes[0], b'/');
                let segments: Vec<&[u8]> = bytes[1..].split(|byte| *byte == b'/').collect();
                for (index, segment) in segments.iter().enumerate() {
                    let is_last = index + 1 == segments.len();
                    prop_assert!(*segment != b"." && *segment != b".." && (is_last || !segment.is_empty()));
                }
            }
        }

        #[test]
        fn any_octets_give_an_answer(raw in proptest::collection::vec(any::<u8>(), 0..64)) {
            let is_rooted = raw.first() == Some(&b'/');
            prop_assert!(is_rooted || NormalPath::parse(&raw).is_err());
            let _ = NormalPath::parse(&[b"/", &raw[..]].concat());
        }
    }
}
