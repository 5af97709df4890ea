//! The canned answer, and as many of it in a row as one `send` may want.

/// The size of the content, that of the page nginx welcomes with.
const CONTENT: usize = 612;

/// Answers in a row: more pipelined requests than this take another `send`.
const IN_A_ROW: usize = 64;

/// The fields a file server sends with a file; the dates are canned too.
const HEAD: &str = "HTTP/1.1 200 OK\r\n\
    Server: floor\r\n\
    Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n\
    Content-Type: text/html; charset=utf-8\r\n\
    Content-Length: 612\r\n\
    Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n\
    ETag: \"18867b0c3a6d8000-264\"\r\n";

/// The last field of an answer, by what follows it. They are of one length, for which the second has
/// white space that means nothing (RFC 9110 §5.5).
const PERSISTING: &str = "Accept-Ranges: bytes\r\n\r\n";
const CLOSING: &str = "Connection: close   \r\n\r\n";

/// Whether a connection outlives the answers owed to it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Persistence {
    Persist,
    Close,
}

/// The same answer over and over, and one that says it is the last: all of one length, so that what
/// is owed to a peer is told by the number of its bytes alone.
pub(crate) struct Answers {
    all: Vec<u8>,
}

impl Answers {
    /// The length of one answer, in bytes.
    pub(crate) const LENGTH: usize = HEAD.len() + PERSISTING.len() + CONTENT;

    pub(crate) fn new() -> Self {
        let answer = |last: &str| [HEAD.as_bytes(), last.as_bytes(), &[b'x'; CONTENT]].concat();
        let mut all = answer(PERSISTING).repeat(IN_A_ROW);
        all.extend(answer(CLOSING));
        Self { all }
    }

    /// What to send next to a peer that is owed that many bytes: the rest of the answer begun, and
    /// the answers after it.
    pub(crate) fn owed(&self, bytes: usize, persistence: Persistence) -> &[u8] {
        if persistence == Persistence::Close && bytes <= self.all.len() {
            return &self.all[self.all.len() - bytes..];
        }
        let begun = bytes.next_multiple_of(Self::LENGTH) - bytes;
        let end = (IN_A_ROW * Self::LENGTH).min(begun + bytes);
        &self.all[begun..end]
    }
}

#[cfg(test)]
mod tests {
    use super::Persistence::{Close, Persist};
    use super::*;

    #[test]
    fn owes_whole_answers_and_the_rest_of_one_begun() {
        let answers = Answers::new();
        let (one, persisting) = (Answers::LENGTH, IN_A_ROW * Answers::LENGTH);
        let all = persisting + one;
        assert_eq!(PERSISTING.len(), CLOSING.len());
        for (owed, persistence, begin, end) in [
            (one, Persist, 0, one),
            (one - 1, Persist, 1, one),
            (1, Persist, one - 1, one),
            (16 * one, Persist, 0, 16 * one),
            (persisting + one, Persist, 0, persisting),
            (persisting + 1, Persist, one - 1, persisting),
            (one, Close, persisting, all),
            (1, Close, all - 1, all),
            (2 * one, Close, persisting - one, all),
            (all + one, Close, 0, persisting),
        ] {
            let expected = &answers.all[begin..end];
            assert_eq!(
                answers.owed(owed, persistence),
                expected,
                "{owed} {persistence:?}"
            );
        }
    }
}
