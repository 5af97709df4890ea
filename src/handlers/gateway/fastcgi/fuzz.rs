//! The decoder of records, as `crate::fuzz` tries it.

use super::record::{Decoder, ProtocolStatus, RecordError, Step};

/// What the decoder makes of a responder's octets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Decoded {
    output: Vec<u8>,
    messages: Vec<u8>,
    end: Result<Option<(u32, ProtocolStatus)>, RecordError>,
    /// Octets behind the end of the request.
    unused: usize,
}

/// Decodes the octets of a responder, which come in `pieces`.
pub(crate) fn decode_records(pieces: &[&[u8]]) -> Decoded {
    let mut decoder = Decoder::default();
    let mut decoded = Decoded {
        output: Vec::new(),
        messages: Vec::new(),
        end: Ok(None),
        unused: 0,
    };
    for (index, piece) in pieces.iter().enumerate() {
        let mut rest = *piece;
        loop {
            match decoder.step(&mut rest) {
                Ok(Step::NeedMore) => {
                    assert!(rest.is_empty(), "more is asked for while there is some");
                    break;
                }
                Ok(Step::Output(octets)) => decoded.output.extend_from_slice(octets),
                Ok(Step::Messages(octets)) => decoded.messages.extend_from_slice(octets),
                Ok(Step::End {
                    application,
                    protocol,
                }) => {
                    decoded.end = Ok(Some((application, protocol)));
                    let others = pieces[index + 1..].iter().map(|piece| piece.len());
                    decoded.unused = rest.len() + others.sum::<usize>();
                    return decoded;
                }
                Err(fault) => {
                    decoded.end = Err(fault);
                    return decoded;
                }
            }
        }
    }
    decoded
}
