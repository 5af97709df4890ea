//! What a peer says of its client before a connection's first octet.

use crate::proxy_protocol::{MAX_HEADER, Origin, Version, encode, parse};

/// The PROXY protocol: a result does not change when more octets come, a header is within its limit, and
/// what was read can be written and read again.
pub fn proxy_protocol(input: &[u8]) {
    let whole = parse(input);
    let mut decided = None;
    for cut in 0..=input.len().min(2 * MAX_HEADER) {
        let part = parse(&input[..cut]);
        if let Some(decided) = decided {
            assert_eq!(part, decided, "at {cut}");
        } else if part != Ok(None) {
            decided = Some(part);
        }
    }
    assert_eq!(whole, decided.unwrap_or(Ok(None)));
    let Ok(Some(header)) = whole else { return };
    assert!(header.length <= input.len() && header.length <= MAX_HEADER);
    let Origin::Client {
        source,
        destination,
    } = header.origin
    else {
        return;
    };
    for version in [Version::V1, Version::V2] {
        let written = encode(version, Some((source, destination)));
        let Ok(Some(again)) = parse(&written) else {
            panic!("{} is not read", written.escape_ascii());
        };
        assert_eq!(again.length, written.len());
        let Origin::Client {
            source: source_again,
            destination: destination_again,
        } = again.origin
        else {
            panic!("{} has no client", written.escape_ascii());
        };
        for (before, after) in [(source, source_again), (destination, destination_again)] {
            assert_eq!(before.ip().to_canonical(), after.ip().to_canonical());
            assert_eq!(before.port(), after.port());
        }
    }
}
