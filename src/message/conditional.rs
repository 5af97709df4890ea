//! From what code answers to what the client asked for: conditional requests and ranges (RFC 9110
//! §13, §14), alike for handlers of the program, scripts and application servers. Framing comes later,
//! for all handlers alike.

use super::changes::{Change, RepresentationChanges};
use super::representation::{Body, Selected, partial, select, unsatisfiable};
use super::request::Request;
use super::response::{CommonFields, DuplexResponse, Response};
use crate::http::date::HttpDate;
use crate::http::field_list::FieldList;
use crate::http::field_roles::{FieldRule, describes_octets};
use crate::http::fields::Known;
use crate::http::list;
use crate::http::method::Method;
use crate::http::request::RequestHead;
use crate::http::status::Status;
use crate::http::validator::{EntityTag, Validators};
use crate::message::content::{Content, DuplexContent};
use crate::reason::Reason;

/// The content that code gives.
pub(crate) enum Supply<'c> {
    /// All there: parts of it can be sent.
    Whole(Body),
    /// To be sent from its beginning to its end, if at all.
    Entire(DuplexContent<'static, 'c>),
}

/// The type of content whose maker names none (RFC 9110 §8.3).
const UNKNOWN_TYPE: &[u8] = b"application/octet-stream";

/// The answer to `request` that a response of `status`, with these `fields` and that content, amounts
/// to. A stream of which nothing is sent is [discarded](crate::message::content::ContentSource::discard).
pub(crate) fn represent<'c>(
    status: Status,
    mut fields: FieldList,
    supply: Supply<'c>,
    request: &Request<'_>,
) -> DuplexResponse<'static, 'c> {
    let head = request.head;
    let is_read = matches!(head.method, Method::Get | Method::Head);
    if status != Status::OK || !is_read {
        let content = supply.entire_of(status);
        if matches!(content, DuplexContent::Problem(_)) {
            remove_description(&mut fields);
        }
        if let Some(rules) = &request.changes.compression {
            rules.describe_unseen(status, &mut fields, head);
        }
        let response = response(status, &fields, content, head);
        // Code that has answered the Range itself was not told of conditions on the operator's validators. It has
        // evaluated all others, and need not say the validators that they name.
        return if are_of_operator(head, request.changes) {
            under_conditions(response, head, request.changes)
        } else {
            response
        };
    }
    // As the whole content says, which is compressed later: a 304 and a part say the same (RFC 9110 §15.4.5).
    if head.has_conditions_or_range() && may_be_coded_later(&fields, &supply, request) {
        fields.vary_by(b"Accept-Encoding");
    }
    match (selected(&fields, &supply, request), supply) {
        (Selected::NotModified, supply) => {
            supply.discard();
            remove_description(&mut fields);
            response(Status::NOT_MODIFIED, &fields, Content::Empty, head)
        }
        (Selected::Failed, supply) => {
            supply.discard();
            Response::problem(Reason::PreconditionFailed)
        }
        (Selected::Unsatisfiable, supply) => unsatisfiable(supply.length().unwrap_or_default()),
        (Selected::Ranges(ranges), Supply::Whole(body)) => {
            let content_type = take_type(&mut fields);
            let content_type = request.changes.content_type(&content_type);
            partial(&body, &content_type, ranges, fields.encode().as_bytes())
        }
        (_, Supply::Whole(body)) => {
            if !fields.has("Accept-Ranges") {
                fields.push("Accept-Ranges", "bytes");
            }
            response(Status::OK, &fields, body.whole(), head)
        }
        (_, Supply::Entire(content)) => response(Status::OK, &fields, content, head),
    }
}

/// `response` to the request of `head`, if the conditions of that let it be sent: its handler was not told of those
/// that name the operator's validators.
pub(crate) fn under_conditions<'a, 'c>(
    response: DuplexResponse<'a, 'c>,
    head: &RequestHead<'_>,
    changes: &RepresentationChanges,
) -> DuplexResponse<'a, 'c> {
    let is_read = matches!(head.method, Method::Get | Method::Head);
    let depends = match response.status {
        Status::OK | Status::PARTIAL_CONTENT => true,
        // This server's own comes after the conditions, as ranges do (RFC 9110 §14.2).
        Status::RANGE_NOT_SATISFIABLE if is_own(&response) => false,
        // The handler has evaluated all other conditions, and a 416 need not have the validators that they name.
        Status::RANGE_NOT_SATISFIABLE => are_of_operator(head, changes),
        _ => false,
    };
    if !is_read || !depends || !changes.set_validators() || !head.has_conditions_or_range() {
        return response;
    }
    let mut fields = FieldList::parse(&response.fields);
    let (status, length) = (response.status, response.content.length());
    if status == Status::RANGE_NOT_SATISFIABLE {
        remove_description_of_error(&mut fields);
    }
    let rules = changes.compression.as_ref().filter(|rules| match status {
        Status::OK => rules.suits(status, &fields, length).is_ok(),
        _ => rules.may_suit_whole(status, &fields),
    });
    if rules.is_some() {
        fields.vary_by(b"Accept-Encoding");
    }
    let validators = changes.validators(validators_of(&fields), has_codings(&fields));
    match select(head, &validators, None) {
        Selected::NotModified => {
            discard(response.content);
            remove_description(&mut fields);
            if let Some(rules) = rules {
                rules.weaken_for(head, &mut fields);
            }
            self::response(Status::NOT_MODIFIED, &fields, Content::Empty, head)
        }
        Selected::Failed => {
            discard(response.content);
            Response::problem(Reason::PreconditionFailed)
        }
        Selected::Whole | Selected::Ranges(_) | Selected::Unsatisfiable => response,
    }
}

/// Whether this server has made the error itself.
fn is_own(response: &DuplexResponse<'_, '_>) -> bool {
    matches!(response.content, DuplexContent::Problem(Some(_)))
}

/// Whether the conditions of `head` name validators that the operator sets. Tags overrule dates (RFC 9110 §13.2.2).
fn are_of_operator(head: &RequestHead<'_>, changes: &RepresentationChanges) -> bool {
    let names_tags = head.fields.has(Known::IfMatch) || head.fields.has(Known::IfNoneMatch);
    if names_tags {
        matches!(changes.entity_tag, Change::Set(_))
    } else {
        matches!(changes.last_modified, Change::Set(_))
    }
}

/// Gives up content that is not sent.
fn discard(content: DuplexContent<'_, '_>) {
    if let DuplexContent::Stream(stream) = content {
        stream.discard();
    }
}

/// The validators that `fields` name.
fn validators_of(fields: &FieldList) -> Validators<'_> {
    Validators {
        entity_tag: fields.find("ETag").and_then(EntityTag::parse),
        last_modified: fields.find("Last-Modified").and_then(HttpDate::parse),
    }
}

/// What of the content a GET or HEAD asks for.
fn selected(fields: &FieldList, supply: &Supply<'_>, request: &Request<'_>) -> Selected {
    let validators = request
        .changes
        .validators(validators_of(fields), has_codings(fields));
    let is_validated = validators.entity_tag.is_some() || validators.last_modified.is_some();
    match supply {
        // Content that is made anew each time: no client can have kept a part of it.
        Supply::Entire(_) if !is_validated => Selected::Whole,
        _ => {
            let length = supply.length();
            // The length counts for ranges alone.
            let asks_for_parts = request.head.fields.first(Known::Range).is_some();
            let length =
                length.filter(|_| !(asks_for_parts && is_coded_later(fields, supply, request)));
            select(request.head, &validators, length)
        }
    }
}

/// Whether `fields` are those of content of which there are several codings, as `Vary` says.
pub(crate) fn has_codings(fields: &FieldList) -> bool {
    let names_codings = |value: &[u8]| {
        let mut names = list::elements(value);
        names.any(|name| name == b"*" || name.eq_ignore_ascii_case(b"Accept-Encoding"))
    };
    let mut vary = fields.iter().filter(|line| line.is_named("Vary"));
    vary.any(|line| names_codings(&line.value))
}

/// Whether the server compresses this content for a client that takes a coding. A file goes as it is.
fn may_be_coded_later(fields: &FieldList, supply: &Supply<'_>, request: &Request<'_>) -> bool {
    let length = match supply {
        Supply::Whole(Body::File { .. }) => return false,
        Supply::Whole(body) => Some(body.length()),
        Supply::Entire(content) => content.length(),
    };
    let compression = request.changes.compression.as_ref();
    compression.is_some_and(|rules| rules.suits(Status::OK, fields, length).is_ok())
}

/// Whether the server will compress this content for the client. Parts of it cannot be asked for then:
/// they would be parts of what is sent, which is made anew each time.
fn is_coded_later(fields: &FieldList, supply: &Supply<'_>, request: &Request<'_>) -> bool {
    let compression = request.changes.compression.as_ref();
    compression.is_some_and(|rules| rules.coding_for(request.head).is_ok())
        && may_be_coded_later(fields, supply, request)
}

impl<'c> Supply<'c> {
    /// Octets, where there is a way to send some of them.
    fn length(&self) -> Option<u64> {
        match self {
            Self::Whole(body) => Some(body.length()),
            Self::Entire(_) => None,
        }
    }

    /// All of it, in an answer of `status`; where that is an error and nothing is said of it, the
    /// server's own words.
    fn entire_of(self, status: Status) -> DuplexContent<'static, 'c> {
        match self {
            Self::Whole(body) if body.length() == 0 && status.is_error() => Content::Problem(None),
            Self::Whole(body) => body.whole(),
            Self::Entire(content) => content,
        }
    }

    fn discard(self) {
        if let Self::Entire(DuplexContent::Stream(stream)) = self {
            stream.discard();
        }
    }
}

fn response<'c>(
    status: Status,
    fields: &FieldList,
    content: DuplexContent<'static, 'c>,
    head: &RequestHead<'_>,
) -> DuplexResponse<'static, 'c> {
    let content = match content {
        DuplexContent::Stream(stream) if head.is_head() || status.forbids_content() => {
            DuplexContent::Stream(stream.without_octets())
        }
        content => content,
    };
    DuplexResponse {
        status,
        fields: fields.encode().into(),
        content,
        common: CommonFields::DateAndServer,
    }
}

/// Takes out what describes content that is not sent: a 304 does not repeat it (RFC 9110 §15.4.5),
/// and the server's own words have a description of their own.
fn remove_description(fields: &mut FieldList) {
    fields.retain(|line| !FieldRule::of(&line.name).describes_content);
}

/// Leaves those fields of a 416 that tell of the selected representation: `Content-Range` has its length, the others
/// describe the error page.
fn remove_description_of_error(fields: &mut FieldList) {
    fields.retain(|line| {
        line.is_named("Content-Range")
            || !(FieldRule::of(&line.name).describes_content || describes_octets(&line.name))
    });
}

fn take_type(fields: &mut FieldList) -> String {
    let value = fields
        .take("Content-Type")
        .unwrap_or_else(|| UNKNOWN_TYPE.to_vec());
    String::from_utf8_lossy(&value).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::with_head;

    /// The status to a GET with `lines`, where a handler answers with `status` and `fields`.
    fn status_of(
        changes: &RepresentationChanges,
        lines: &str,
        status: Status,
        fields: &str,
    ) -> (u16, String) {
        let fields = FieldList::parse(fields.as_bytes());
        with_head(lines, |head| {
            let response = response(status, &fields, Content::Empty, head);
            let response = under_conditions(response, head, changes);
            let fields = String::from_utf8_lossy(&response.fields).into_owned();
            (response.status.code(), fields)
        })
    }

    /// An upstream that is not told of a condition answers the Range alone.
    #[test]
    fn an_unsatisfiable_range_counts_after_the_operators_conditions() {
        const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
        let tag = RepresentationChanges {
            entity_tag: Change::Set("\"op\"".to_owned()),
            ..RepresentationChanges::default()
        };
        let date = RepresentationChanges {
            last_modified: Change::Set(HttpDate::parse(DATE.as_bytes()).expect("a date")),
            ..RepresentationChanges::default()
        };
        let since = format!("If-Modified-Since: {DATE}\r\n");
        let before = "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n";
        let status = Status::RANGE_NOT_SATISFIABLE;
        let fields =
            "Content-Range: bytes */10\r\nContent-Type: text/html\r\nContent-MD5: x\r\nX: y\r\n";
        for (changes, lines, expected) in [
            (&tag, "If-None-Match: \"op\"\r\n", 304),
            (&tag, "If-None-Match: \"zz\"\r\n", 416),
            (&tag, "If-Match: \"zz\"\r\n", 412),
            (&tag, "If-Match: \"op\"\r\n", 416),
            (&tag, "", 416),
            (&date, &since, 304),
            (&date, before, 412),
            // The upstream has evaluated these, and its 416 does not say what it has compared them with.
            (&tag, &since, 416),
            (&date, "If-Match: \"up\"\r\n", 416),
        ] {
            let lines = format!("Range: bytes=10-\r\n{lines}");
            let (found, kept) = status_of(changes, &lines, status, fields);
            assert_eq!(found, expected, "{lines}");
            if found == 304 {
                assert_eq!(kept, "X: y\r\n", "{lines}");
            }
        }
    }
}
