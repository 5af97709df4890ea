//! Where an input is cut into pieces. The places follow from the input, so that a failure repeats.

/// Splits `input` at places that a hash of it chooses: pieces of 1 to 16 octets for the most part, now
/// and then of up to 4,096.
pub(super) fn pieces(input: &[u8]) -> Vec<&[u8]> {
    // FNV-1a, then a linear congruence: it has to be the same everywhere, nothing more.
    let hash = |state: u64, octet: &u8| (state ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3);
    let mut state = input.iter().fold(0xcbf2_9ce4_8422_2325, hash);
    let (mut pieces, mut rest) = (Vec::new(), input);
    while !rest.is_empty() {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let longest = if state >> 60 == 0 { 4096 } else { 16 };
        let length = 1 + (state >> 33) as usize % longest;
        let (piece, others) = rest.split_at(length.min(rest.len()));
        pieces.push(piece);
        rest = others;
    }
    pieces
}

/// Every octet by itself.
pub(super) fn octets(input: &[u8]) -> Vec<&[u8]> {
    input.chunks(1).collect()
}
