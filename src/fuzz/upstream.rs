//! What servers behind this one send over HTTP: the head of a response.

use crate::http::fields::is_token;
use crate::http::method::Method;
use crate::http::received_response::{
    MAX_RECEIVED_HEAD, ReceivedFraming, ReceivedHead, ResponseError, line_space,
};

/// The longest input of which every beginning is parsed.
const LONGEST: usize = 2048;

/// The head of a response: complete at the same octet however it arrives, never ambiguous, and nothing in
/// it that could end a line of the head that is made from it.
pub fn response_head(input: &[u8]) {
    let input = &input[..input.len().min(LONGEST)];
    for method in [Method::Get, Method::Head] {
        let whole = parse(input, method);
        for length in 0..input.len() {
            match parse(&input[..length], method) {
                Ok(None) => {}
                begun => {
                    assert_eq!(begun, whole, "after {length} octets it was {begun:?}");
                    break;
                }
            }
        }
    }
}

/// The length and the framing of the head at the start of `input`; `None` if it is incomplete.
fn parse(input: &[u8], method: Method) -> Result<Option<(usize, ReceivedFraming)>, ResponseError> {
    let mut space = line_space();
    let Some(head) = ReceivedHead::parse(input, &mut space, method)? else {
        return Ok(None);
    };
    assert!(head.length <= input.len() && head.length <= MAX_RECEIVED_HEAD);
    assert!((100..=999).contains(&head.status.code()));
    for (name, value) in head.fields() {
        assert!(is_token(name.as_bytes()));
        assert!(!value.iter().any(|octet| b"\r\n\0".contains(octet)));
    }
    let has_no_content =
        method == Method::Head || matches!(head.status.code(), 100..200 | 204 | 304);
    let lengths = head.values(b"content-length").count();
    let codings = head.values(b"transfer-encoding").count();
    match head.framing {
        ReceivedFraming::Empty => assert!(has_no_content),
        _ if has_no_content => panic!("content with {}", head.status.code()),
        ReceivedFraming::Length(_) => {
            assert_eq!((lengths, codings), (1, 0));
        }
        ReceivedFraming::Chunked => {
            assert_eq!((lengths, codings), (0, 1));
        }
        ReceivedFraming::Close => {
            assert_eq!((lengths, codings), (0, 0));
            assert!(!head.persistent, "nothing can follow on the connection");
        }
    }
    Ok(Some((head.length, head.framing)))
}
