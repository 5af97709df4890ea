//! From what a handler answers to what the client asked for: conditional requests, ranges, validators
//! that know of content codings (RFC 9110 §8.8.3.3, §13, §14). HEAD and framing come later, for all
//! handlers alike.

use super::stream;
use crate::handlers::representation::{Body, Selected, partial, select, unsatisfiable};
use crate::handlers::response::{Content, Response};
use crate::http::date::HttpDate;
use crate::http::method::Method;
use crate::http::request::RequestHead;
use crate::http::response::FieldLines;
use crate::http::status::Status;
use crate::http::validator::{EntityTag, Validators};
use crate::plugin::MadeHead;

/// What a 304 does not repeat: it describes content that is not sent (RFC 9110 §15.4.5).
const OF_CONTENT: &[&str] = &[
    "content-type",
    "content-encoding",
    "content-language",
    "content-range",
];

/// The type of content that nobody says anything about (RFC 9110 §8.3).
const UNKNOWN_TYPE: &str = "application/octet-stream";

/// The answer to `head` that the handler's response amounts to.
pub(super) fn represent(
    mut made: MadeHead,
    content: stream::Made,
    head: &RequestHead<'_>,
) -> Response<'static> {
    let whole = match content {
        stream::Made::Lost => return Response::problem(Status::INTERNAL_SERVER_ERROR),
        stream::Made::Stream(stream) => Err(stream),
        stream::Made::Whole(body) => Ok(body),
    };
    mark_coding(&mut made.fields);
    let is_read = matches!(head.method, Method::Get | Method::Head);
    if made.status != Status::OK || !is_read {
        let content = match whole {
            Ok(body) if body.length() == 0 && made.status.is_error() => Content::Problem,
            Ok(body) => body.whole(),
            Err(stream) => Content::Stream(stream),
        };
        return response(made.status, &made.fields, content);
    }
    let length = whole.as_ref().ok().map(Body::length);
    let selected = select(head, &validators(&made.fields), length);
    match (selected, whole) {
        (Selected::NotModified, _) => {
            let is_of_content =
                |name: &str| OF_CONTENT.iter().any(|own| own.eq_ignore_ascii_case(name));
            made.fields.retain(|(name, _)| !is_of_content(name));
            response(Status::NOT_MODIFIED, &made.fields, Content::Empty)
        }
        (Selected::Failed, _) => Response::problem(Status::PRECONDITION_FAILED),
        (Selected::Unsatisfiable, _) => unsatisfiable(length.unwrap_or_default()),
        (Selected::Ranges(ranges), Ok(body)) => {
            let content_type = take_type(&mut made.fields);
            partial(&body, &content_type, ranges, lines(&made.fields).as_bytes())
        }
        (_, Ok(body)) => {
            if find(&made.fields, "Accept-Ranges").is_none() {
                made.fields.push(("Accept-Ranges".into(), "bytes".into()));
            }
            response(Status::OK, &made.fields, body.whole())
        }
        (_, Err(stream)) => response(Status::OK, &made.fields, Content::Stream(stream)),
    }
}

fn response(
    status: Status,
    fields: &[(String, String)],
    content: Content<'static>,
) -> Response<'static> {
    Response {
        status,
        fields: lines(fields).into(),
        content,
    }
}

fn lines(fields: &[(String, String)]) -> FieldLines {
    let mut lines = FieldLines::new();
    for (name, value) in fields {
        lines.push(name, value);
    }
    lines
}

/// The first value of that name.
fn find<'f>(fields: &'f [(String, String)], name: &str) -> Option<&'f str> {
    let found = fields
        .iter()
        .find(|(field, _)| field.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

fn validators(fields: &[(String, String)]) -> Validators<'_> {
    Validators {
        entity_tag: find(fields, "ETag").and_then(|tag| EntityTag::parse(tag.as_bytes())),
        last_modified: find(fields, "Last-Modified")
            .and_then(|date| HttpDate::parse(date.as_bytes())),
    }
}

fn take_type(fields: &mut Vec<(String, String)>) -> String {
    let is_type = |(name, _): &(String, String)| name.eq_ignore_ascii_case("Content-Type");
    match fields.iter().position(is_type) {
        Some(at) => fields.remove(at).1,
        None => UNKNOWN_TYPE.to_owned(),
    }
}

/// RFC 9110 §8.8.3.3: content in a coding is another representation than the same without, so a
/// strong entity tag must not be the same; and caches must know that clients are told apart.
///
/// The tag of a resource, `"7"`, becomes `"7-gzip"`; one that says so already stays.
fn mark_coding(fields: &mut Vec<(String, String)>) {
    let Some(coding) = find(fields, "Content-Encoding").map(str::to_ascii_lowercase) else {
        return;
    };
    if coding == "identity" {
        return;
    }
    if find(fields, "Vary").is_none() {
        fields.push(("Vary".into(), "Accept-Encoding".into()));
    }
    let is_tag = |(name, _): &&mut (String, String)| name.eq_ignore_ascii_case("ETag");
    if let Some((_, tag)) = fields.iter_mut().find(is_tag)
        && let Some(opaque) = tag.strip_suffix('"').filter(|tag| tag.starts_with('"'))
        && !opaque.ends_with(&format!("-{coding}"))
    {
        *tag = format!("{opaque}-{coding}\"");
    }
}
