//! The path of a request-target, decoded once and without dot segments.
//!
//! Routing and files both look at a [`NormalPath`], so no client gets past a route with another
//! spelling of the same path. An encoded slash is refused, not resolved: it would separate segments
//! in the file system, and be data for everything else.

use std::borrow::Cow;

use memchr::memchr;

/// A decoded path. It begins with `/` and holds no NUL. No segment is `.` or `..`, and none is empty,
/// apart from the last one in a path that ends in `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NormalPath<'a>(Cow<'a, [u8]>);

/// Why a path has no normal form: a fault of the client, which is answered 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PathError {
    #[error("a percent sign in the path is not followed by two hexadecimal digits")]
    InvalidEncoding,
    #[error("the path holds an encoded slash or an encoded NUL")]
    ForbiddenOctet,
    #[error("the path leads above the root")]
    AboveRoot,
}

impl<'a> NormalPath<'a> {
    /// Normalizes the path of a request-target, which begins with `/`.
    ///
    /// Decodes percent-encoding once, then resolves `.` and `..` (RFC 3986 §5.2.4) and drops empty
    /// segments. Refuses a `..` at the root, which no honest client sends. Allocates only if the path
    /// is not normal already.
    ///
    /// # Errors
    /// The path has no normal form.
    pub(crate) fn parse(raw: &'a [u8]) -> Result<Self, PathError> {
        debug_assert_eq!(
            raw.first(),
            Some(&b'/'),
            "Target::parse lets no other path through"
        );
        if is_normal(raw) {
            return Ok(Self(Cow::Borrowed(raw)));
        }
        let mut path = decode(raw)?.into_owned();
        resolve_segments(&mut path)?;
        Ok(Self(Cow::Owned(path)))
    }

    /// The octets of the path, with the `/` at its start.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether the path ends in `/`, and so names a directory.
    pub(crate) fn is_directory(&self) -> bool {
        self.0.last() == Some(&b'/')
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

/// Decodes percent-encoding (RFC 3986 §2.1).
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
            Some(b'/' | 0) => return Err(PathError::ForbiddenOctet),
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
            ("/a%2Fb", Err(PathError::ForbiddenOctet)),
            ("/a%2fb", Err(PathError::ForbiddenOctet)),
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

    proptest! {
        #[test]
        fn a_normal_path_never_leaves_the_root(raw in "/[a-c./%2e0f]{0,24}") {
            if let Ok(path) = NormalPath::parse(raw.as_bytes()) {
                let bytes = path.as_bytes();
                prop_assert_eq!(bytes[0], b'/');
                prop_assert!(memchr(0, bytes).is_none());
                let segments: Vec<&[u8]> = bytes[1..].split(|byte| *byte == b'/').collect();
                for (index, segment) in segments.iter().enumerate() {
                    let is_last = index + 1 == segments.len();
                    prop_assert!(*segment != b"." && *segment != b".." && (is_last || !segment.is_empty()));
                }
            }
        }

        #[test]
        fn any_octets_give_an_answer(rest in proptest::collection::vec(any::<u8>(), 0..64)) {
            let raw = [b"/", &rest[..]].concat();
            let _ = NormalPath::parse(&raw);
        }
    }
}
