//! The content of a message, in the chunked coding and by its length.

use super::cuts::{octets, pieces};
use crate::http::chunked::ChunkedError;
use crate::http::content::{Decoder, Step};
use crate::http::framing::Framing;

/// The result of decoding: the content, and the octets behind it; or the fault and the content before
/// it.
#[derive(Debug, PartialEq, Eq)]
enum Decoded {
    Ended { content: Vec<u8>, rest: Vec<u8> },
    Unended { content: Vec<u8> },
    Fault(ChunkedError),
}

/// Content in both framings: the same for every split of the input, and never longer than the input.
pub fn content(input: &[u8]) {
    let length = input.first().copied().map_or(0, u64::from);
    for framing in [Framing::Empty, Framing::Length(length), Framing::Chunked] {
        let whole = decode(framing, &[input]);
        assert_eq!(decode(framing, &pieces(input)), whole, "{framing:?}, cut");
        assert_eq!(
            decode(framing, &octets(input)),
            whole,
            "{framing:?}, octets"
        );
    }
}

fn decode(framing: Framing, pieces: &[&[u8]]) -> Decoded {
    let (mut decoder, mut content) = (Decoder::new(framing), Vec::new());
    // Content of no octets ends before anything has come.
    let pieces = [&[&b""[..]], pieces].concat();
    for (index, piece) in pieces.iter().enumerate() {
        let mut unused = *piece;
        loop {
            match decoder.step(unused) {
                Err(fault) => return Decoded::Fault(fault),
                Ok(Step::NeedMore) => break,
                Ok(Step::Content { skip, len }) => {
                    assert!(len > 0, "content of no octets");
                    content.extend_from_slice(&unused[skip..skip + len]);
                    unused = &unused[skip + len..];
                }
                Ok(Step::End { used }) => {
                    assert!(decoder.is_ended());
                    let others = pieces[index + 1..].iter().copied().flatten();
                    let rest = unused[used..].iter().chain(others).copied().collect();
                    return Decoded::Ended { content, rest };
                }
            }
        }
    }
    assert_eq!(decoder.end_of_input().is_ok(), decoder.is_ended());
    Decoded::Unended { content }
}
