//! Content of requests that is decoded for a handler: `decompress`.

use crate::coding::decoder::Decoder;
use crate::http::field_roles::describes_octets;
use crate::http::framing::Framing;
use crate::http::list;
use crate::http::negotiation::ContentCoding;
use crate::http::request::RequestHead;
use crate::http::response::FieldLines;
use crate::message::response::Response;
use crate::reason::Reason;

/// The codings that are decoded, as a 415 names them (RFC 9110 §15.5.16).
const DECODED: &str = "gzip, br, zstd";

/// Whether the request of `head` has content that is said to be in a coding.
pub(super) fn has_coding(head: &RequestHead<'_>) -> bool {
    head.framing != Framing::Empty && codings(head).next().is_some()
}

/// Whether the field `name` tells about content as it is before it is decoded.
pub(super) fn is_of_coded(name: &str) -> bool {
    name.eq_ignore_ascii_case("Content-Encoding")
        || name.eq_ignore_ascii_case("Content-Length")
        || describes_octets(name)
}

/// What decodes the content of a request that [has a coding](has_coding).
///
/// # Errors
/// The response: 415 if it is another coding, or several; 503 if there is no memory.
pub(super) fn decoder(head: &RequestHead<'_>) -> Result<Decoder, Response<'static>> {
    let mut codings = codings(head);
    let coding = codings.next().and_then(ContentCoding::from_name);
    let (Some(coding), None) = (coding, codings.next()) else {
        let fields = FieldLines::new().with("Accept-Encoding", DECODED);
        return Err(Response::problem_with(Reason::ContentCodingUnknown, fields));
    };
    Decoder::new(coding).ok_or_else(|| Response::busy(Reason::SystemShortage))
}

/// The codings that the content is in, in the order in which they were applied.
fn codings<'a>(head: &RequestHead<'a>) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let codings = head.fields.values("Content-Encoding");
    let codings = codings.flat_map(list::elements);
    codings.filter(|coding| !coding.eq_ignore_ascii_case(b"identity"))
}
