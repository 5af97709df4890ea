//! Octets as they come off a connection, and the content that is found in them.

use proptest::prelude::*;

use super::*;

/// What the decoder finds in a whole input.
#[derive(Debug, PartialEq, Eq)]
struct Decoded {
    content: Vec<u8>,
    /// Where the message ends; `None` if it has not ended.
    end: Result<Option<usize>, ChunkedError>,
}

impl Decoded {
    fn new(content: impl Into<Vec<u8>>, end: Result<Option<usize>, ChunkedError>) -> Self {
        let content = content.into();
        Self { content, end }
    }
}

/// Decodes `input` in pieces that end at `cuts`.
fn decode(input: &[u8], cuts: &[usize]) -> Decoded {
    let (mut decoder, mut content, mut at) = (Decoder::default(), Vec::new(), 0);
    for cut in cuts.iter().copied().chain([input.len()]) {
        while at < cut {
            match decoder.step(&input[at..cut]) {
                Ok(Step::Content { skip, len }) => {
                    content.extend_from_slice(&input[at + skip..at + skip + len]);
                    at += skip + len;
                }
                Ok(Step::NeedMore) => at = cut,
                Ok(Step::End { used }) => return Decoded::new(content, Ok(Some(at + used))),
                Err(fault) => return Decoded::new(content, Err(fault)),
            }
        }
    }
    Decoded::new(content, Ok(None))
}

#[test]
fn finds_content_and_end() {
    for (input, content, left) in [
        ("0\r\n\r\n", "", ""),
        ("5\r\nhello\r\n0\r\n\r\n", "hello", ""),
        ("2\r\nhi\r\n4\r\n you\r\n0\r\n\r\nGET /", "hi you", "GET /"),
        ("A\r\n0123456789\r\n0\r\n\r\n", "0123456789", ""),
        ("0a\r\n01234\r\n789\r\n000\r\n\r\n", "01234\r\n789", ""),
        ("2;a=b;c=\"d\"\r\nhi\r\n0;e\r\n\r\n", "hi", ""),
        ("2 \t; a = b\t;c\r\nhi\r\n0\r\n\r\n", "hi", ""),
        ("2;a=\"\\\";\u{e9}=\" ; b\r\nhi\r\n0\r\n\r\n", "hi", ""),
        ("0\r\nA:\r\nB:b:c\r\n\r\n", "", ""),
        ("2\r\nhi\r\n0\r\nA: b\r\nC:\t\u{e9}\r\n\r\nx", "hi", "x"),
    ] {
        let end = Ok(Some(input.len() - left.len()));
        let expected = Decoded::new(content, end);
        assert_eq!(decode(input.as_bytes(), &[]), expected, "{input:?}");
    }
}

#[test]
fn extensions_are_limited_together() {
    // Each is longer than the content by 200 bytes.
    let chunk = format!("1;{}\r\nx\r\n", "e".repeat(201));
    let most = usize::from(MAX_EXTENSION_EXCESS) / 200;
    assert_eq!(decode(chunk.repeat(most).as_bytes(), &[]).end, Ok(None));
    let found = decode(chunk.repeat(most + 1).as_bytes(), &[]).end;
    assert_eq!(found, Err(ChunkedError::ExtensionsTooLong));
}

/// A response of 300 kB in 3,000 chunks with extensions of nine bytes was cut after 139 kB.
#[test]
fn content_pays_for_extensions() {
    let chunk = |length: usize| {
        let content = "x".repeat(length);
        format!("{length:x};{}\r\n{content}\r\n", "e".repeat(200))
    };
    let many = 10 * usize::from(MAX_EXTENSION_EXCESS) / 200;
    assert_eq!(
        decode(chunk(200).repeat(many).as_bytes(), &[]).end,
        Ok(None)
    );
    // What content has paid beyond the extensions before it does not count for those behind it.
    let content_first = [chunk(100_000), chunk(1).repeat(many)].concat();
    let found = decode(content_first.as_bytes(), &[]).end;
    assert_eq!(found, Err(ChunkedError::ExtensionsTooLong));
}

#[test]
fn waits_for_the_rest() {
    for (input, content) in [
        ("", ""),
        ("5", ""),
        ("5\r", ""),
        ("5\r\n", ""),
        ("5\r\nhel", "hel"),
        ("5\r\nhello\r", "hello"),
        ("0\r\n", ""),
        ("0\r\n\r", ""),
        ("0\r\nA: b\r\n", ""),
        ("ffffffffffffffff\r\nx", "x"),
    ] {
        let waiting = Decoded::new(content, Ok(None));
        assert_eq!(decode(input.as_bytes(), &[]), waiting, "{input:?}");
    }
}

#[test]
fn refuses_faulty_framing() {
    use ChunkedError::*;
    for (input, fault) in [
        ("\r\n", InvalidSize),
        ("x\r\n", InvalidSize),
        ("5x\r\n", InvalidSize),
        ("0x5\r\n", InvalidSize),
        ("-5\r\n", InvalidSize),
        ("+5\r\n", InvalidSize),
        (" 5\r\n", InvalidSize),
        (";a\r\n", InvalidSize),
        ("5 \r\n", InvalidExtension),
        ("5 5\r\n", InvalidExtension),
        ("5;\r\n", InvalidExtension),
        ("5; \r\n", InvalidExtension),
        ("5;;a\r\n", InvalidExtension),
        ("5;a \r\n", InvalidExtension),
        ("5;a b\r\n", InvalidExtension),
        ("5;a=\r\n", InvalidExtension),
        ("5;=b\r\n", InvalidExtension),
        ("5;a=b=c\r\n", InvalidExtension),
        ("5;a=\"b\r\n", InvalidExtension),
        ("5;a=\"b\\\"\r\n", InvalidExtension),
        ("5;a=\"b\"c\r\n", InvalidExtension),
        ("5;a(b)\r\n", InvalidExtension),
        ("5;\u{e9}\r\n", InvalidExtension),
        ("10000000000000000\r\n", SizeOverflow),
        ("5\n", InvalidLineEnd),
        ("\n", InvalidLineEnd),
        ("5\rhello", InvalidLineEnd),
        ("5;a\nhello", InvalidLineEnd),
        ("5;a\rb\r\n", InvalidLineEnd),
        ("5;\0\r\n", ControlCharacter),
        ("5\r\nhello!", ChunkTooLong),
        ("5\r\nhello\n", ChunkTooLong),
        ("5\r\nhello\rx", InvalidLineEnd),
        ("0\r\n\n", InvalidLineEnd),
        ("0\r\n\rx", InvalidLineEnd),
        ("0\r\nA: b\n", InvalidLineEnd),
        ("0\r\nA: b\rc", InvalidLineEnd),
        ("0\r\nA: \x7f\r\n", ControlCharacter),
        ("0\r\nno colon\r\n", InvalidTrailer),
        ("0\r\nA\r\n", InvalidTrailer),
        ("0\r\n: b\r\n", InvalidTrailer),
        ("0\r\nA : b\r\n", InvalidTrailer),
        ("0\r\n A: b\r\n", InvalidTrailer),
        ("0\r\nA: b\r\n c\r\n", InvalidTrailer),
        ("0\r\n\u{e9}: b\r\n", InvalidTrailer),
        ("0\r\nA\0: b\r\n", InvalidTrailer),
    ] {
        assert_eq!(decode(input.as_bytes(), &[]).end, Err(fault), "{input:?}");
    }
}

#[test]
fn keeps_lines_and_trailers_under_their_limits() {
    let ended = |input: String| decode(input.as_bytes(), &[]).end.map(|end| end.is_some());
    let chunk_line = |length| ended(format!("{:0>length$}\r\n\r\n", 0));
    let extension = |length: usize| ended(format!("0;{}\r\n\r\n", "x".repeat(length - 2)));
    let trailer = |length: usize| ended(format!("0\r\nX:{}\r\n\r\n", "x".repeat(length - 4)));
    let trailers = |lines: usize| ended(format!("0\r\n{}\r\n", "A:bbbb\r\n".repeat(lines)));
    for (outcome, expected) in [
        (chunk_line(256), Ok(true)),
        (chunk_line(257), Err(ChunkedError::LineTooLong)),
        (extension(256), Ok(true)),
        (extension(257), Err(ChunkedError::LineTooLong)),
        (trailer(8192), Ok(true)),
        (trailer(8193), Err(ChunkedError::TrailerTooLong(8192))),
        (trailers(1024), Ok(true)),
        (trailers(1025), Err(ChunkedError::TrailerTooLong(8192))),
    ] {
        assert_eq!(outcome, expected);
    }
}

#[test]
fn the_end_is_the_end() {
    let mut decoder = Decoder::default();
    assert_eq!(decoder.step(b"0\r\n\r\nmore"), Ok(Step::End { used: 5 }));
    assert_eq!(decoder.step(b"more"), Ok(Step::End { used: 0 }));
    assert_eq!(decoder.step(b""), Ok(Step::End { used: 0 }));
}

#[test]
fn writes_chunk_heads() {
    for (len, head) in [(1, "1\r\n"), (26, "1a\r\n"), (0x10000, "10000\r\n")] {
        let len = NonZeroUsize::new(len).expect("not zero");
        assert_eq!(&*chunk_head(len), head.as_bytes());
    }
    assert_eq!(chunk_head(NonZeroUsize::MAX).len(), ChunkHead::MAX_LENGTH);
}

/// Encodes `chunks`, each with an extension, and a trailer section.
fn encode(chunks: &[(Vec<u8>, String)], trailer: &str) -> Vec<u8> {
    let mut body = Vec::new();
    for (content, extension) in chunks {
        let len = NonZeroUsize::new(content.len()).expect("the strategy makes none empty");
        body.extend_from_slice(chunk_head(len).trim_ascii_end());
        body.extend_from_slice(extension.as_bytes());
        body.extend_from_slice(CHUNK_END);
        body.extend_from_slice(content);
        body.extend_from_slice(CHUNK_END);
    }
    body.extend_from_slice(b"0\r\n");
    body.extend_from_slice(trailer.as_bytes());
    body.extend_from_slice(CHUNK_END);
    body
}

/// Up to eight places at which to cut `length` bytes, in order.
fn cuts(length: usize) -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0..=length, 0..8).prop_map(|mut cuts| {
        cuts.sort_unstable();
        cuts
    })
}

/// Content, its encoded form, bytes behind that, and where to cut both.
fn encoded() -> impl Strategy<Value = (Vec<u8>, Vec<u8>, Vec<u8>, Vec<usize>)> {
    let chunk = (
        prop::collection::vec(any::<u8>(), 1..40),
        "( ?; ?[a-z]{1,5}( ?= ?([!*+a-z]{1,3}|\"([a-z;= ]|\\\\\"){0,5}\"))?){0,2}",
    );
    let chunks = prop::collection::vec(chunk, 0..6);
    (chunks, "([A-Z]: [ -~]{0,9}\r\n){0,3}", any::<Vec<u8>>()).prop_flat_map(
        |(chunks, trailer, after)| {
            let body = encode(&chunks, &trailer);
            let content = chunks
                .into_iter()
                .flat_map(|(content, _)| content)
                .collect();
            let cuts = cuts(body.len() + after.len());
            (Just(content), Just(body), Just(after), cuts)
        },
    )
}

/// Bytes that are often nearly in the chunked coding, and where to cut them.
fn nearly_encoded() -> impl Strategy<Value = (Vec<u8>, Vec<usize>)> {
    let piece = prop_oneof![
        "\r\n",
        "[0-3]",
        "[0-9a-f;:=\"\\\\ \t\r\n]{1,4}",
        "0\r\n\r\n",
        "2\r\nhi\r\n"
    ];
    let near = prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat().into());
    prop_oneof![near, any::<Vec<u8>>()].prop_flat_map(|input| {
        let cuts = cuts(input.len());
        (Just(input), cuts)
    })
}

proptest! {
    #[test]
    fn what_was_encoded_is_decoded((content, body, after, cuts) in encoded()) {
        let end = Ok(Some(body.len()));
        let input = [body, after].concat();
        prop_assert_eq!(decode(&input, &cuts), Decoded::new(content, end));
    }

    #[test]
    fn every_split_gives_the_same_answer((input, cuts) in nearly_encoded()) {
        let every: Vec<usize> = (0..input.len()).collect();
        let whole = decode(&input, &[]);
        prop_assert_eq!(&decode(&input, &cuts), &whole);
        prop_assert_eq!(&decode(&input, &every), &whole);
    }
}
