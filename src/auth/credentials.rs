//! What a client sends to prove who it is: the credentials of the scheme `Basic` (RFC 7617).
//!
//! ```text
//! Authorization: Basic YWxpY2U6c2VzYW1l
//!                      alice:sesame      in base64
//! ```

use data_encoding::BASE64_NOPAD;

/// The most octets of a name, a colon and a password together. A hash of a longer one would take as long as the
/// client likes.
pub(crate) const MAX_LENGTH: usize = 1024;

/// Room for decoded credentials, on the caller's stack.
pub(crate) struct Decoded([u8; MAX_LENGTH]);

impl Decoded {
    /// Room in which nothing stands yet.
    pub(crate) fn new() -> Self {
        Self([0; MAX_LENGTH])
    }
}

/// A name and a password.
#[derive(Clone, Copy)]
pub(crate) struct Credentials<'a> {
    pub(super) user: &'a str,
    /// Both, with the colon between them.
    pub(super) whole: &'a [u8],
}

impl Credentials<'_> {
    /// Both, with the colon between them, to be taken to another thread.
    pub(crate) fn to_vec(self) -> Vec<u8> {
        self.whole.to_vec()
    }
}

/// The credentials in `value`, which is that of `Authorization`; they stand in `decoded` then. `None`: the
/// client has sent none of the scheme `Basic` that are well-formed.
pub(crate) fn basic<'a>(value: &[u8], decoded: &'a mut Decoded) -> Option<Credentials<'a>> {
    let (scheme, rest) = value.split_at_checked(b"Basic ".len())?;
    if !scheme.eq_ignore_ascii_case(b"Basic ") {
        return None;
    }
    let encoded = rest.trim_ascii();
    // RFC 4648 §3.2: the padding says nothing that the length does not.
    let padding = encoded.iter().rev().take_while(|octet| **octet == b'=');
    let padding = padding.count();
    if padding > 2 || padding > 0 && encoded.len() % 4 != 0 {
        return None;
    }
    let encoded = &encoded[..encoded.len() - padding];
    let length = BASE64_NOPAD.decode_len(encoded.len()).ok()?;
    let whole = decoded.0.get_mut(..length)?;
    let length = BASE64_NOPAD.decode_mut(encoded, whole).ok()?;
    let whole = &decoded.0[..length];
    // RFC 7617 §2: neither part has a control character.
    if whole.iter().any(u8::is_ascii_control) {
        return None;
    }
    let colon = memchr::memchr(b':', whole)?;
    Some(Credentials {
        user: str::from_utf8(&whole[..colon]).ok()?,
        whole,
    })
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64;

    use super::*;

    fn read(value: &[u8]) -> Option<(String, Vec<u8>)> {
        let mut decoded = Decoded::new();
        let credentials = basic(value, &mut decoded)?;
        let password = &credentials.whole[credentials.user.len() + 1..];
        Some((credentials.user.to_owned(), password.to_vec()))
    }

    fn field(credentials: &[u8]) -> Vec<u8> {
        format!("Basic {}", BASE64.encode(credentials)).into_bytes()
    }

    #[test]
    fn reads_a_name_and_a_password() {
        for (value, user, password) in [
            (&b"Basic YWxpY2U6c2VzYW1l"[..], "alice", "sesame"),
            (b"bAsIc   YWxpY2U6c2VzYW1l", "alice", "sesame"),
            (b"Basic YTo=", "a", ""),
            (b"Basic YTo", "a", ""),
            (b"Basic Og==", "", ""),
            (&field(b"a:b:c"), "a", "b:c"),
            (&field("ü:ß€".as_bytes()), "ü", "ß€"),
            (&field(b"a b: c"), "a b", " c"),
        ] {
            let expected = (user.to_owned(), password.as_bytes().to_vec());
            assert_eq!(read(value), Some(expected), "{}", value.escape_ascii());
        }
        // A password may be of another encoding. A name may not, for none in the file is.
        assert_eq!(read(&field(b"a:\xe4")), Some(("a".to_owned(), vec![0xe4])));
        assert_eq!(read(&field(b"\xe4:a")), None);
    }

    #[test]
    fn refuses_what_is_malformed() {
        for value in [
            &b""[..],
            b"Basic",
            b"Basic ",
            b"Basic\tYTpi",
            b"BasicYTpi",
            b"Bearer YTpi",
            b"Basic YWJj",
            b"Basic YTpi=",
            b"Basic YTo===",
            b"Basic YT=o",
            b"Basic Y",
            b"Basic YTpi YTpi",
            b"Basic YTpi, Basic YTpi",
            b"Basic YTp\xff",
            b"Basic YTp_",
            b"Basic YTp",
            &field(b"a:b\n"),
            &field(b"a\0:b"),
            &field(b"a:b\x7f"),
        ] {
            assert_eq!(read(value), None, "{}", value.escape_ascii());
        }
    }

    #[test]
    fn credentials_have_a_limit() {
        let of_length =
            |length: usize| read(&field(&[&b"a:"[..], &vec![b'x'; length - 2]].concat()));
        assert!(of_length(MAX_LENGTH).is_some());
        assert!(of_length(MAX_LENGTH + 1).is_none());
        assert!(of_length(16 * 1024).is_none());
    }
}
