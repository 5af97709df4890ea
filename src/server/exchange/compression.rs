//! The content of a response in a coding that the client takes, where `compress` says so.
//!
//! It stands behind the handler, whose response it takes as it is, and before the operator's fields.
//! The server's own words and error pages come later: they are too short to be worth it.
//!
//! | Content | is sent |
//! |---|---|
//! | a file, or pieces of one | as it is: `files` has coded its own already, if they are to be |
//! | octets, up to [`AT_ONCE`] | compressed at once, with their length |
//! | more octets, a stream | compressed while they are sent, in chunks |
//!
//! What is sent in a coding has a weak entity tag (RFC 9110 §8.8.3.3): the same tag as the content without
//! it, so that `If-None-Match` finds it again, but not one by which parts could be put together.

use std::rc::Rc;

use crate::coding::coded_stream::{coded, stream_of};
use crate::coding::encoders::{Encoders, LentEncoder};
use crate::http::compression::{Compression, weaken_tag};
use crate::http::field_list::FieldList;
use crate::http::field_roles::describes_octets;
use crate::http::negotiation::ContentCoding;
use crate::http::request::RequestHead;
use crate::http::status::Status;
use crate::http::version::Version;
use crate::message::content::{Content, ContentStream, DuplexContent, Octets};
use crate::message::response::DuplexResponse;

/// Octets that are compressed before the head is sent, so that their length is known. It takes about as
/// long as a handshake.
const AT_ONCE: usize = 16 * 1024;

/// `response` to the request of `head`, compressed as `rules` say. If it `is_passed_on`, this server has not seen the
/// whole content of which it is a 304 or a 206.
pub(super) fn compress<'a, 'c>(
    rules: &Compression,
    response: DuplexResponse<'a, 'c>,
    head: &RequestHead<'_>,
    encoders: &Rc<Encoders>,
    is_passed_on: bool,
) -> DuplexResponse<'a, 'c> {
    let DuplexResponse {
        status,
        fields,
        content,
        common,
    } = response;
    let is_unseen = matches!(status, Status::NOT_MODIFIED | Status::PARTIAL_CONTENT);
    let fields = if is_passed_on && is_unseen {
        let mut list = FieldList::parse(&fields);
        rules.describe_unseen(status, &mut list, head);
        list.encode().into()
    } else {
        fields
    };
    let (fields, content) = match content {
        DuplexContent::Octets(_) | DuplexContent::Stream(_) => {
            let mut list = FieldList::parse(&fields);
            if rules.suits(status, &list, content.length()).is_ok() {
                list.vary_by(b"Accept-Encoding");
                let content = code(rules, &mut list, content, head, encoders);
                (list.encode().into(), content)
            } else {
                (fields, content)
            }
        }
        content => (fields, content),
    };
    DuplexResponse {
        status,
        fields,
        content,
        common,
    }
}

/// `content`, which could be coded, in the coding for the client of `head`; `fields` say so then.
fn code<'a, 'c>(
    rules: &Compression,
    fields: &mut FieldList,
    content: DuplexContent<'a, 'c>,
    head: &RequestHead<'_>,
    encoders: &Rc<Encoders>,
) -> DuplexContent<'a, 'c> {
    let Ok(coding) = rules.coding_for_sent(head, content.length()) else {
        return content;
    };
    let is_short = |octets: &Octets<'_>| octets.len() <= AT_ONCE;
    let has_length = matches!(&content, DuplexContent::Octets(octets) if is_short(octets));
    if !has_length && head.version == Version::Http10 {
        return content;
    }
    let Some(encoder) = encoders.lend(coding) else {
        return content;
    };
    let coded = match content {
        DuplexContent::Octets(octets) if has_length => match at_once(&octets, encoder) {
            Some(coded) => Content::Octets(Octets::Owned(coded)),
            None => return DuplexContent::Octets(octets),
        },
        DuplexContent::Octets(_) if head.is_head() => Content::Stream(ContentStream::unsent(None)),
        DuplexContent::Stream(stream) if head.is_head() => {
            stream.discard();
            Content::Stream(ContentStream::unsent(None))
        }
        DuplexContent::Octets(octets) => {
            DuplexContent::Stream(coded_octets(octets.into_owned(), encoder))
        }
        DuplexContent::Stream(stream) => DuplexContent::Stream(coded(stream, encoder)),
        content => return content,
    };
    describe(fields, coding);
    coded
}

fn coded_octets(octets: Octets<'static>, encoder: LentEncoder) -> ContentStream<'static> {
    coded(stream_of(octets), encoder)
}

/// `octets` in the coding of `encoder`; `None` if they would not be fewer.
fn at_once(octets: &[u8], mut encoder: LentEncoder) -> Option<Vec<u8>> {
    let mut coded = Vec::new();
    let encoder = encoder.get();
    encoder.write(octets, &mut coded).ok()?;
    encoder.finish(&mut coded).ok()?;
    (coded.len() < octets.len()).then_some(coded)
}

/// Has `fields` describe the content in `coding`.
fn describe(fields: &mut FieldList, coding: ContentCoding) {
    fields.retain(|line| {
        let is_of_uncoded = line.is_named("Content-Encoding") || line.is_named("Accept-Ranges");
        !is_of_uncoded && !describes_octets(&line.name)
    });
    weaken_tag(fields);
    fields.push("Content-Encoding", coding.as_str());
}
