//! Content of requests that clients have compressed.

use super::cuts::{octets, pieces};
use crate::coding::decoder::Decoder;
use crate::http::compression::Compression;

/// Octets that are decoded at most: a few may stand for a thousand times as many.
const MOST: usize = 32 * 1024;

/// The result of decoding.
#[derive(Debug, PartialEq, Eq)]
enum Decoded {
    Ended {
        content: Vec<u8>,
    },
    Unended {
        content: Vec<u8>,
    },
    /// The content is not in the coding. What was decoded before the fault depends on the cuts.
    Fault,
    TooLarge,
}

/// Content in a coding, which the first octet chooses: decoded to the same however it comes, and however
/// much room there is, and never to more than there is room for.
pub fn decoding(input: &[u8]) {
    let Some((first, coded)) = input.split_first() else {
        return;
    };
    let codings = &Compression::CODINGS;
    let coding = codings[usize::from(*first) % codings.len()];
    let decode = |pieces: &[&[u8]], room: usize| {
        let decoder = Decoder::new(coding).expect("there is memory");
        decode(decoder, pieces, &mut vec![0; room])
    };
    let whole = decode(&[coded], 2 * MOST);
    for (pieces, room) in [
        (vec![coded], 1),
        (pieces(coded), 1000),
        (octets(coded), 2 * MOST),
        (octets(coded), 1),
    ] {
        let found = decode(&pieces, room);
        // Where there is a fault behind more than is decoded, the one or the other is met first.
        let is_either = |found: &Decoded| matches!(found, Decoded::Fault | Decoded::TooLarge);
        let is_alike = found == whole || is_either(&found) && is_either(&whole);
        assert!(is_alike, "{coding:?}, {room}: {found:?}, {whole:?}");
    }
}

/// What the decoder makes of `pieces`, with `output` as its room, as a handler's content is read.
fn decode(mut decoder: Decoder, pieces: &[&[u8]], output: &mut [u8]) -> Decoded {
    let (mut content, mut has_begun) = (Vec::new(), false);
    for piece in pieces {
        let mut unread = *piece;
        has_begun |= !piece.is_empty();
        loop {
            let Ok((read, written)) = decoder.decode(unread, output) else {
                return Decoded::Fault;
            };
            assert!(read <= unread.len() && written <= output.len());
            unread = &unread[read..];
            content.extend_from_slice(&output[..written]);
            if content.len() > MOST {
                return Decoded::TooLarge;
            }
            if (read, written) == (0, 0) {
                break;
            }
        }
        if !unread.is_empty() {
            return Decoded::Fault;
        }
    }
    if decoder.is_complete() || !has_begun {
        Decoded::Ended { content }
    } else {
        Decoded::Unended { content }
    }
}
