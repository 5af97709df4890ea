//! Where a record begins and ends (RFC 8446 §5.1), and how large ours are.

/// Octets of the header of a record: its type, a version, and the length of what follows.
const HEADER: usize = 5;

/// The most octets of a record, as TLS 1.2 allows them (RFC 5246 §6.2.3); TLS 1.3 allows fewer.
pub(super) const MAX_RECORD: usize = HEADER + 16 * 1024 + 2048;

/// More octets than encryption adds to the content of a record: its header, a nonce, a tag, the type.
pub(super) const OVERHEAD: usize = 64;

/// The content of a full record.
pub(super) const FULL: usize = 16 * 1024;

/// The content of a record while a response begins. The peer can use a record only when the whole of it
/// has come, and a new connection carries about 14 KiB in its first round trip.
const FIRST: usize = 4 * 1024;

/// Octets of a response that are sent in records of [`FIRST`] octets.
const BEGINNING: usize = 16 * 1024;

/// Octets of the record at the start of `input`, with its header; `None` while the header is not whole.
pub(super) fn record_length(input: &[u8]) -> Option<usize> {
    let header = input.get(..HEADER)?;
    Some(HEADER + usize::from(u16::from_be_bytes([header[3], header[4]])))
}

/// Whether a whole record stands at the start of `input`.
pub(super) fn has_record(input: &[u8]) -> bool {
    record_length(input).is_some_and(|length| length <= input.len())
}

/// How many whole records stand at the start of `input`.
pub(super) fn count_records(input: &[u8]) -> usize {
    let (mut count, mut rest) = (0, input);
    while let Some((_, behind)) =
        record_length(rest).and_then(|length| rest.split_at_checked(length))
    {
        count += 1;
        rest = behind;
    }
    count
}

/// How many of `left` octets are given to encryption at once, where `sent` octets of the response are
/// sent already: a small record while it begins, then as many as there are, which encryption divides
/// into full records.
pub(super) fn next_piece(sent: usize, left: usize) -> usize {
    if sent < BEGINNING {
        left.min(FIRST)
    } else {
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_as_long_as_its_header_says() {
        for (input, length, is_whole) in [
            (&b""[..], None, false),
            (b"\x17\x03\x03\x00", None, false),
            (b"\x17\x03\x03\x00\x02", Some(7), false),
            (b"\x17\x03\x03\x00\x02ab", Some(7), true),
            (b"\x17\x03\x03\x00\x02abcd", Some(7), true),
            (b"\x17\x03\x03\x01\x00", Some(261), false),
        ] {
            assert_eq!(record_length(input), length, "{input:?}");
            assert_eq!(has_record(input), is_whole, "{input:?}");
        }
    }

    #[test]
    fn counts_whole_records() {
        for (input, count) in [
            (&b""[..], 0),
            (b"\x17\x03\x03\x00\x01", 0),
            (b"\x17\x03\x03\x00\x01a", 1),
            (b"\x17\x03\x03\x00\x00\x17\x03\x03\x00\x01a\x17\x03", 2),
        ] {
            assert_eq!(count_records(input), count, "{input:?}");
        }
    }

    #[test]
    fn a_response_begins_in_small_records() {
        let mut sent = 0;
        let mut pieces = Vec::new();
        while sent < 60_000 {
            let piece = next_piece(sent, 60_000 - sent);
            pieces.push(piece);
            sent += piece;
        }
        assert_eq!(pieces, [4096, 4096, 4096, 4096, 60_000 - 16_384]);
        assert_eq!(next_piece(0, 612), 612);
    }
}
