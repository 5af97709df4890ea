//! The byte order mark, which editors of other systems put before a text in UTF-8. It is no part of what the operator
//! has written: it would stand in the first name of a file of users, and make the first column of a place wrong.

const MARK: &[u8] = b"\xef\xbb\xbf";

/// The octets of a text file without the mark. Only at the start it is one.
pub(crate) fn without(mut text: Vec<u8>) -> Vec<u8> {
    if text.starts_with(MARK) {
        text.drain(..MARK.len());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_mark_at_the_start_is_taken_away() {
        for (text, expected) in [
            ("", ""),
            ("a", "a"),
            ("\u{feff}", ""),
            ("\u{feff}a\u{feff}", "a\u{feff}"),
            ("\u{feff}\u{feff}a", "\u{feff}a"),
            ("a\u{feff}", "a\u{feff}"),
        ] {
            assert_eq!(without(text.into()), expected.as_bytes(), "{text:?}");
        }
        assert_eq!(without(b"\xef\xbb".to_vec()), b"\xef\xbb", "not all of it");
    }
}
