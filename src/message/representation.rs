//! A selected representation, and the response to a GET or HEAD for it: whole, in part,
//! not modified, or refused by a precondition (RFC 9110 §13, §14, §15.3.7).

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use super::changes::RepresentationChanges;
use super::response::{CommonFields, Response};
use crate::http::date::HttpDate;
use crate::http::fields::Known;
use crate::http::multipart::Multipart;
use crate::http::precondition::{self, Conditions, Verdict};
use crate::http::range::{self, ByteRange, ContentRange, Selection};
use crate::http::request::RequestHead;
use crate::http::response::FieldLines;
use crate::http::status::Status;
use crate::http::validator::{EntityTag, Validators};
use crate::message::content::{Content, FileRange, Octets, Piece};
use crate::reason::Reason;

/// A representation with its fields encoded, ready to be answered from.
#[derive(Clone)]
pub(crate) struct Representation {
    /// Every field line of a 200, in three runs; see [`Metadata::encode`].
    fields: Rc<[u8]>,
    /// Where the run ends that a 304 carries too.
    end_of_validators: usize,
    /// Where `Content-Type` begins, the last line.
    start_of_type: usize,
    content_type: String,
    /// Opaque part of the entity tag, without quotes.
    entity_tag: String,
    is_made: bool,
    /// Whether another one could have been selected by `Accept-Encoding`.
    varies: bool,
    last_modified: Option<ModificationDate>,
    body: Body,
}

/// When a representation was changed for the last time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ModificationDate {
    pub(crate) date: HttpDate,
    /// Whether other content has another date, as far as can be known: only then may parts of content
    /// be put together because of it (RFC 9110 §8.8.2.2).
    pub(crate) is_strong: bool,
}

/// Where a representation's octets are.
#[derive(Clone)]
pub(crate) enum Body {
    Memory(Rc<[u8]>),
    /// Shared among workers.
    Everywhere(Arc<[u8]>),
    File {
        file: Rc<OwnedFd>,
        length: u64,
    },
}

/// What there is to say of a representation.
pub(crate) struct Metadata<'a> {
    pub(crate) content_type: String,
    pub(crate) content_coding: Option<&'static str>,
    /// Opaque part, without quotes.
    pub(crate) entity_tag: String,
    /// Whether this server has made the octets of others, and may make other octets of the same ones another
    /// time: the entity tag is weak, and no parts are sent.
    pub(crate) is_made: bool,
    pub(crate) last_modified: Option<ModificationDate>,
    pub(crate) cache_control: Option<&'a str>,
    /// Whether another representation could have been selected by `Accept-Encoding`.
    pub(crate) varies: bool,
}

impl Metadata<'_> {
    /// The representation of these metadata and `body`.
    pub(crate) fn encode(self, body: Body) -> Representation {
        // What a 304 repeats (RFC 9110 §15.4.5) …
        let weak = if self.is_made { "W/" } else { "" };
        let mut fields = FieldLines::new().with("ETag", format!("{weak}\"{}\"", self.entity_tag));
        if let Some(modified) = self.last_modified {
            fields.push("Last-Modified", modified.date.to_bytes());
        }
        if self.varies {
            fields.push("Vary", "Accept-Encoding");
        }
        if let Some(value) = self.cache_control {
            fields.push("Cache-Control", value);
        }
        let end_of_validators = fields.as_bytes().len();
        // … what every 200 and 206 carries …
        if !self.is_made {
            fields.push("Accept-Ranges", "bytes");
        }
        fields.push("X-Content-Type-Options", "nosniff");
        if let Some(coding) = self.content_coding {
            fields.push("Content-Encoding", coding);
        }
        // … and what a multipart/byteranges says of its parts instead.
        let start_of_type = fields.as_bytes().len();
        fields.push("Content-Type", &self.content_type);
        Representation {
            fields: fields.into_bytes().into(),
            end_of_validators,
            start_of_type,
            content_type: self.content_type,
            entity_tag: self.entity_tag,
            is_made: self.is_made,
            varies: self.varies,
            last_modified: self.last_modified,
            body,
        }
    }
}

impl Representation {
    /// The answer to a GET or HEAD that selected this representation, with the operator's `changes`.
    pub(crate) fn answer(
        &self,
        head: &RequestHead<'_>,
        changes: &RepresentationChanges,
    ) -> Response<'static> {
        let validators = changes.validators(self.validators(), self.varies);
        let length = (!self.is_made).then(|| self.body.length());
        match select(head, &validators, length) {
            Selected::Whole => self.whole(),
            Selected::Ranges(_) | Selected::Unsatisfiable if self.is_named_by_weak_date(head) => {
                self.whole()
            }
            Selected::NotModified => self.not_modified(),
            Selected::Failed => Response::problem(Reason::PreconditionFailed),
            Selected::Unsatisfiable => unsatisfiable(self.body.length()),
            Selected::Ranges(ranges) => {
                let fields = &self.fields[..self.start_of_type];
                let content_type = changes.content_type(&self.content_type);
                partial(&self.body, &content_type, ranges, fields)
            }
        }
    }

    pub(crate) fn body(&self) -> &Body {
        &self.body
    }

    fn validators(&self) -> Validators<'_> {
        Validators {
            entity_tag: Some(EntityTag {
                weak: self.is_made,
                opaque: self.entity_tag.as_bytes(),
            }),
            last_modified: self.last_modified.map(|modified| modified.date),
        }
    }

    /// Whether the client names the representation of which it has a part by a date that other content
    /// may have too.
    fn is_named_by_weak_date(&self, head: &RequestHead<'_>) -> bool {
        let is_strong = self
            .last_modified
            .is_some_and(|modified| modified.is_strong);
        let named = head.fields.combined(Known::IfRange);
        !is_strong && named.is_some_and(|named| HttpDate::parse(&named).is_some())
    }

    /// The whole of it, whatever was asked.
    pub(crate) fn whole(&self) -> Response<'static> {
        let fields = Octets::Shared(Rc::clone(&self.fields));
        Response {
            status: Status::OK,
            fields,
            content: self.body.whole(),
            common: CommonFields::DateAndServer,
        }
    }

    fn not_modified(&self) -> Response<'static> {
        let fields = Octets::Part(Rc::clone(&self.fields), 0..self.end_of_validators);
        Response {
            status: Status::NOT_MODIFIED,
            fields,
            content: Content::Empty,
            common: CommonFields::DateAndServer,
        }
    }
}

/// What of a representation a GET or HEAD asks for.
pub(crate) enum Selected {
    Whole,
    /// 304: the client has it.
    NotModified,
    /// 412: it is not what the client thinks it is.
    Failed,
    /// 206, with these; at least one.
    Ranges(Vec<ByteRange>),
    /// 416: it has no such octets.
    Unsatisfiable,
}

/// Evaluates the preconditions and the `Range` of a GET or HEAD for a representation with these
/// validators (RFC 9110 §13.2, §14.2). Without a `length` nothing can be said of its parts.
pub(crate) fn select(
    head: &RequestHead<'_>,
    validators: &Validators<'_>,
    length: Option<u64>,
) -> Selected {
    if !head.has_conditions_or_range() {
        return Selected::Whole;
    }
    let values = Known::CONDITIONS.map(|known| head.fields.combined(known));
    let [
        if_match,
        if_none_match,
        if_modified_since,
        if_unmodified_since,
        if_range,
    ] = values.each_ref().map(Option::as_deref);
    let conditions = Conditions {
        if_match,
        if_none_match,
        if_modified_since,
        if_unmodified_since,
        if_range,
    };
    match precondition::evaluate(head.method, &conditions, Some(validators)) {
        Verdict::NotModified => return Selected::NotModified,
        Verdict::Failed => return Selected::Failed,
        Verdict::Proceed => {}
    }
    // A Range is for GET alone (RFC 9110 §14.2).
    let (false, Some(length)) = (head.is_head(), length) else {
        return Selected::Whole;
    };
    match head.fields.combined(Known::Range) {
        Some(range) if precondition::range_applies(&conditions, validators, this_second) => {
            match range::select(&range, length) {
                Selection::Whole => Selected::Whole,
                Selection::Unsatisfiable => Selected::Unsatisfiable,
                Selection::Ranges(ranges) => Selected::Ranges(ranges),
            }
        }
        _ => Selected::Whole,
    }
}

fn this_second() -> HttpDate {
    HttpDate::from_system_time(SystemTime::now())
}

/// RFC 9110 §15.5.17
pub(crate) fn unsatisfiable(complete_length: u64) -> Response<'static> {
    let content_range = ContentRange::Unsatisfied { complete_length };
    let fields = FieldLines::new()
        .with("Content-Range", content_range.to_string())
        .with("Accept-Ranges", "bytes");
    Response::problem_with(Reason::RangeUnsatisfiable, fields)
}

/// Some ranges of `body`, which is of that type; `fields` are all other lines of its 200.
pub(crate) fn partial(
    body: &Body,
    content_type: &str,
    ranges: Vec<ByteRange>,
    fields: &[u8],
) -> Response<'static> {
    let mut lines = FieldLines::new();
    lines.extend(fields);
    let content = match ranges[..] {
        [range] => part(body, content_type, range, &mut lines),
        _ => parts(body, content_type, ranges, &mut lines),
    };
    Response {
        status: Status::PARTIAL_CONTENT,
        fields: lines.into(),
        content,
        common: CommonFields::DateAndServer,
    }
}

/// RFC 9110 §15.3.7.1
fn part(
    body: &Body,
    content_type: &str,
    range: ByteRange,
    fields: &mut FieldLines,
) -> Content<'static> {
    let content_range = ContentRange::Satisfied {
        range,
        complete_length: body.length(),
    };
    fields.push("Content-Type", content_type);
    fields.push("Content-Range", content_range.to_string());
    match body.range(range) {
        Piece::Octets(octets) => Content::Octets(octets),
        Piece::File(range) => Content::File(range),
    }
}

/// RFC 9110 §15.3.7.2
fn parts(
    body: &Body,
    content_type: &str,
    ranges: Vec<ByteRange>,
    fields: &mut FieldLines,
) -> Content<'static> {
    let multipart = Multipart::new(boundary(), content_type, body.length(), ranges);
    fields.push("Content-Type", multipart.content_type());
    let mut pieces = Vec::with_capacity(2 * multipart.ranges().len() + 1);
    let owned = |text: String| Piece::Octets(Octets::Owned(text.into_bytes()));
    for (index, range) in multipart.ranges().iter().enumerate() {
        pieces.push(owned(multipart.part_head(index)));
        pieces.push(body.range(*range));
    }
    pieces.push(owned(multipart.closing_delimiter()));
    let content = Content::Pieces(pieces);
    debug_assert_eq!(content.length(), Some(multipart.content_length()));
    content
}

impl Body {
    /// Octets.
    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::Memory(octets) => octets.len() as u64,
            Self::Everywhere(octets) => octets.len() as u64,
            Self::File { length, .. } => *length,
        }
    }

    pub(crate) fn whole(&self) -> Content<'static> {
        match self {
            Self::Memory(octets) => Content::Octets(Octets::Shared(Rc::clone(octets))),
            Self::Everywhere(octets) => Content::Octets(Octets::Everywhere(Arc::clone(octets))),
            Self::File { file, length } => Content::File(FileRange {
                file: Rc::clone(file),
                start: 0,
                end: *length,
            }),
        }
    }

    /// Some octets of it; `range` lies within, [`range::select`] sees to that.
    fn range(&self, range: ByteRange) -> Piece {
        match self {
            Self::Memory(octets) => Piece::Octets(Octets::Part(
                Rc::clone(octets),
                range.first as usize..range.last as usize + 1,
            )),
            Self::Everywhere(octets) => Piece::Octets(Octets::Owned(
                octets[range.first as usize..range.last as usize + 1].to_vec(),
            )),
            Self::File { file, .. } => Piece::File(FileRange {
                file: Rc::clone(file),
                start: range.first,
                end: range.last + 1,
            }),
        }
    }
}

/// A boundary that no content can have been made to hold, because it cannot be known beforehand.
fn boundary() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::with_head;

    const CONTENT: &[u8] = b"abcdefghijklmnopqrstuvwxyz";

    fn representation() -> Representation {
        Metadata {
            content_type: "text/plain".into(),
            content_coding: None,
            is_made: false,
            entity_tag: "tag".into(),
            last_modified: Some(ModificationDate {
                date: HttpDate::parse(b"Sun, 22 Nov 2026 23:54:16 GMT").expect("a date"),
                is_strong: true,
            }),
            cache_control: Some("max-age=60"),
            varies: true,
        }
        .encode(Body::Memory(CONTENT.into()))
    }

    /// Status, field lines and content of the answer to a GET with `lines`.
    fn answer(lines: &str) -> (u16, String, String) {
        let respond = |head: &RequestHead<'_>| {
            representation().answer(head, &RepresentationChanges::default())
        };
        let response = with_head(lines, respond);
        let content = match response.content {
            Content::Octets(octets) => octets.to_vec(),
            Content::Pieces(pieces) => pieces
                .iter()
                .flat_map(|piece| match piece {
                    Piece::Octets(octets) => octets.to_vec(),
                    Piece::File(_) => unreachable!("the body is in memory"),
                })
                .collect(),
            _ => Vec::new(),
        };
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        (
            response.status.code(),
            text(&response.fields),
            text(&content),
        )
    }

    #[test]
    fn answers_whole_in_part_or_not_at_all() {
        for (lines, status, content) in [
            ("", 200, "abcdefghijklmnopqrstuvwxyz"),
            ("If-None-Match: \"tag\"\r\n", 304, ""),
            (
                "If-None-Match: \"other\"\r\nIf-None-Match: W/\"tag\"\r\n",
                304,
                "",
            ),
            (
                "If-None-Match: \"other\"\r\n",
                200,
                "abcdefghijklmnopqrstuvwxyz",
            ),
            (
                "If-Modified-Since: Sun, 22 Nov 2026 23:54:16 GMT\r\n",
                304,
                "",
            ),
            ("If-Match: \"other\"\r\n", 412, ""),
            ("Range: bytes=0-3\r\n", 206, "abcd"),
            ("Range: bytes=-2\r\n", 206, "yz"),
            ("Range: bytes=26-\r\n", 416, ""),
            ("Range: lines=1\r\n", 200, "abcdefghijklmnopqrstuvwxyz"),
            ("Range: bytes=0-3\r\nIf-Range: \"tag\"\r\n", 206, "abcd"),
            (
                "Range: bytes=0-3\r\nIf-Range: \"old\"\r\n",
                200,
                "abcdefghijklmnopqrstuvwxyz",
            ),
            ("Range: bytes=0-3\r\nIf-None-Match: \"tag\"\r\n", 304, ""),
        ] {
            let found = answer(lines);
            assert_eq!((found.0, found.2.as_str()), (status, content), "{lines:?}");
        }
    }

    #[test]
    fn each_answer_carries_its_fields() {
        let (_, whole, _) = answer("");
        for line in [
            "ETag: \"tag\"",
            "Last-Modified: Sun,",
            "Vary: Accept-Encoding",
            "Accept-Ranges: bytes",
            "Content-Type: text/plain",
        ] {
            assert!(whole.contains(line), "{line} in {whole}");
        }
        let (_, not_modified, _) = answer("If-None-Match: *\r\n");
        assert!(
            not_modified.contains("ETag: \"tag\"")
                && not_modified.contains("Cache-Control: max-age=60")
        );
        assert!(!not_modified.contains("Content-Type"));
        assert!(
            answer("Range: bytes=1-2\r\n")
                .1
                .contains("Content-Range: bytes 1-2/26\r\n")
        );
        assert!(
            answer("Range: bytes=99-\r\n")
                .1
                .contains("Content-Range: bytes */26\r\n")
        );
    }

    #[test]
    fn several_ranges_come_as_parts() {
        let (status, fields, content) = answer("Range: bytes=0-1, 24-\r\n");
        assert_eq!(status, 206);
        assert_eq!(fields.matches("Content-Type:").count(), 1);
        let (_, boundary) = fields
            .split_once("multipart/byteranges; boundary=")
            .expect("a boundary");
        let boundary = boundary.trim_end().trim_matches('"');
        let part = |range: &str, octets: &str| {
            format!(
                "--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes {range}/26\r\n\r\n{octets}\r\n"
            )
        };
        assert_eq!(
            content,
            format!(
                "\r\n{}{}--{boundary}--\r\n",
                part("0-1", "ab"),
                part("24-25", "yz")
            )
        );
    }
}
