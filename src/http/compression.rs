//! Whether a response is compressed, and how: the operator's rules, and those of HTTP.
//!
//! ```text
//! of the response   status · Content-Encoding · no-transform · type · length     the same for every client
//! of the request    HTTP/1.0 · no-transform · Accept-Encoding                    so that it varies
//! ```
//!
//! The first half is alike for every client. Where it says yes, the response varies by `Accept-Encoding`,
//! whichever coding this client gets.

use std::fmt;

use super::date::HttpDate;
use super::field_list::{FieldLine, FieldList};
use super::fields::Known;
use super::list;
use super::negotiation::{ContentCoding, select_coding, select_coding_of_stream};
use super::request::RequestHead;
use super::status::Status;
use super::validator::{Comparison, EntityTag, matches_list};

/// What the operator says about compression, for the responses of a route.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Compression {
    /// The codings that may be used; not empty.
    pub(crate) codings: Vec<ContentCoding>,
    pub(crate) types: Vec<TypePattern>,
    /// Content of fewer octets is sent as it is, where its length is known.
    pub(crate) min_size: u64,
}

/// Media types that are worth a coding.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum TypePattern {
    /// `text/*`: without the star.
    Under(String),
    /// `*+json`: without the star.
    EndingWith(String),
    Exactly(String),
}

/// Why a response is sent without a coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Uncoded {
    /// It has no content that could be coded: 204, 304, and a part: 206.
    Status,
    /// Whatever made it has coded it already.
    HasCoding,
    /// It is a part of a representation, or says so.
    Part,
    /// `Cache-Control: no-transform` (RFC 9111 §5.2.2.6), of the response or of the request.
    NoTransform,
    Type,
    Length,
    /// A client of HTTP/1.0 is sent no content of unknown length.
    Version,
    /// The client takes none of the codings.
    NotAccepted,
}

/// As `explain` says it.
impl fmt::Display for Uncoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Status => "a response of this status has no content that could be coded",
            Self::HasCoding => "the content has a coding already",
            Self::Part => "the content is a part of a representation",
            Self::NoTransform => "Cache-Control says no-transform",
            Self::Type => "its Content-Type is none of `types`",
            Self::Length => "it is shorter than `min_size`",
            Self::Version => "the client speaks HTTP/1.0, and the length would not be known",
            Self::NotAccepted => "the client takes none of `codings`, or prefers content as it is",
        })
    }
}

impl Default for Compression {
    fn default() -> Self {
        use TypePattern::{EndingWith, Exactly, Under};
        let exactly = Self::EXACT_TYPES
            .iter()
            .map(|name| Exactly((*name).to_owned()));
        let mut types = vec![
            Under("text/".to_owned()),
            EndingWith("+json".to_owned()),
            EndingWith("+xml".to_owned()),
        ];
        types.extend(exactly);
        Self {
            codings: Self::CODINGS.to_vec(),
            types,
            min_size: Self::MIN_SIZE,
        }
    }
}

impl Compression {
    /// Every coding that there is, in the order in which they are preferred.
    pub(crate) const CODINGS: [ContentCoding; 3] = [
        ContentCoding::Zstd,
        ContentCoding::Brotli,
        ContentCoding::Gzip,
    ];

    /// Below this the fields that a coding adds and the client's work are not worth the octets: a packet of
    /// the network takes 1,400.
    pub(crate) const MIN_SIZE: u64 = 1024;

    /// Types that become smaller, beside text, JSON and XML in all their kinds (which SVG is one of).
    const EXACT_TYPES: [&'static str; 15] = [
        "application/javascript",
        "application/json",
        "application/ld+json",
        "application/rtf",
        "application/vnd.ms-fontobject",
        "application/wasm",
        "application/x-javascript",
        "application/x-ndjson",
        "application/xml",
        "application/yaml",
        "font/otf",
        "font/ttf",
        "font/collection",
        "image/bmp",
        "image/vnd.microsoft.icon",
    ];

    /// Whether content of `content_type`, a value of that field, is worth a coding.
    pub(crate) fn has_type(&self, content_type: &[u8]) -> bool {
        let semicolon = memchr::memchr(b';', content_type);
        let essence = &content_type[..semicolon.unwrap_or(content_type.len())];
        let essence = list::trim(essence);
        self.types.iter().any(|pattern| pattern.matches(essence))
    }

    /// Whether a response of `status` with these `fields` could be coded for some client. `length` is that
    /// of its content, where it is known.
    pub(crate) fn suits(
        &self,
        status: Status,
        fields: &FieldList,
        length: Option<u64>,
    ) -> Result<(), Uncoded> {
        let is_to_stay =
            |line: &FieldLine| line.is_named("Cache-Control") && forbids_changes(&line.value);
        let content_type = fields.find("Content-Type").unwrap_or_default();
        if status.forbids_content() || status.is_interim() || status == Status::PARTIAL_CONTENT {
            Err(Uncoded::Status)
        } else if is_coded(fields) {
            Err(Uncoded::HasCoding)
        } else if fields.has("Content-Range") {
            Err(Uncoded::Part)
        } else if fields.iter().any(is_to_stay) {
            Err(Uncoded::NoTransform)
        } else if !self.has_type(content_type) {
            Err(Uncoded::Type)
        } else if length.is_some_and(|length| length < self.min_size) {
            Err(Uncoded::Length)
        } else {
            Ok(())
        }
    }

    /// Whether the whole could be coded of which a response of `status`, a 304 or a 206, has `fields`. What they
    /// leave open, as a 304 its type, may be so.
    pub(crate) fn may_suit_whole(&self, status: Status, fields: &FieldList) -> bool {
        let is_part = status == Status::PARTIAL_CONTENT;
        let content_type = fields.find("Content-Type");
        // That of the whole stands within its parts.
        let content_type = content_type.filter(|value| !(is_part && is_of_parts(value)));
        let length = fields.find("Content-Range").and_then(complete_length);
        let lets_change =
            |line: &FieldLine| !(line.is_named("Cache-Control") && forbids_changes(&line.value));
        !is_coded(fields)
            && fields.iter().all(lets_change)
            && content_type.is_none_or(|value| self.has_type(value))
            && length.is_none_or(|length| length >= self.min_size)
    }

    /// Has `fields` of a 304 or a 206, which a server or a program behind this one has answered to the request of
    /// `head`, say what they would of the whole content (RFC 9110 §15.3.7, §15.4.5): that is compressed here.
    /// A part keeps its strong tag, because it is one of the content without a coding.
    pub(crate) fn describe_unseen(
        &self,
        status: Status,
        fields: &mut FieldList,
        head: &RequestHead<'_>,
    ) {
        if !matches!(status, Status::NOT_MODIFIED | Status::PARTIAL_CONTENT)
            || !self.may_suit_whole(status, fields)
        {
            return;
        }
        fields.vary_by(b"Accept-Encoding");
        if status == Status::NOT_MODIFIED {
            self.weaken_for(head, fields);
        }
    }

    /// Has `fields` of a 304 name the content by the tag that it has in a coding, if the client of `head` gets it in
    /// one, and does not name the strong tag of the content without it.
    pub(crate) fn weaken_for(&self, head: &RequestHead<'_>, fields: &mut FieldList) {
        let tag = fields.find("ETag").and_then(EntityTag::parse);
        let is_coded = match head.fields.combined(Known::IfNoneMatch) {
            Some(known) => !matches_list(&known, tag, Comparison::Strong),
            None => self.coding_for(head).is_ok(),
        };
        if is_coded {
            weaken_tag(fields);
        }
    }

    /// The length up to which content that is compressed while it is sent may be in Brotli, where gzip would do
    /// as well: `coding::encoder` says why.
    pub(crate) const MAX_BROTLI: u64 = 256 * 1024;

    /// The coding for the client of `head`, for a response that [`suits`](Self::suits).
    pub(crate) fn coding_for(&self, head: &RequestHead<'_>) -> Result<ContentCoding, Uncoded> {
        self.coding_by(select_coding, head)
    }

    /// As [`coding_for`](Self::coding_for), for content that is compressed while it is sent: of so many octets,
    /// if that is known.
    pub(crate) fn coding_for_sent(
        &self,
        head: &RequestHead<'_>,
        length: Option<u64>,
    ) -> Result<ContentCoding, Uncoded> {
        if length.is_some_and(|length| length <= Self::MAX_BROTLI) {
            return self.coding_for(head);
        }
        self.coding_by(select_coding_of_stream, head)
    }

    fn coding_by(
        &self,
        select: fn(Option<&[u8]>, &[ContentCoding]) -> ContentCoding,
        head: &RequestHead<'_>,
    ) -> Result<ContentCoding, Uncoded> {
        let accept_encoding = head.fields.combined(Known::AcceptEncoding);
        let coding = select(accept_encoding.as_deref(), &self.codings);
        if coding == ContentCoding::Identity {
            return Err(Uncoded::NotAccepted);
        }
        if wants_no_change(head) {
            return Err(Uncoded::NoTransform);
        }
        Ok(coding)
    }

    /// Whether a `Range` of the request of `head` must not be looked at, because the client may have a part
    /// of the content in a coding: it names that by a date, which does not tell the codings apart. A tag
    /// does, because what is coded here has a weak one.
    pub(crate) fn hides_range(&self, head: &RequestHead<'_>) -> bool {
        let named = head.fields.combined(Known::IfRange);
        let is_date = named.is_some_and(|named| HttpDate::parse(&named).is_some());
        is_date && self.coding_for(head).is_ok()
    }
}

impl TypePattern {
    /// Whether `essence`, a media type without parameters, is one of these.
    fn matches(&self, essence: &[u8]) -> bool {
        match self {
            Self::Under(start) => essence
                .get(..start.len())
                .is_some_and(|found| found.eq_ignore_ascii_case(start.as_bytes())),
            Self::EndingWith(end) => essence
                .len()
                .checked_sub(end.len())
                .is_some_and(|at| essence[at..].eq_ignore_ascii_case(end.as_bytes())),
            Self::Exactly(name) => essence.eq_ignore_ascii_case(name.as_bytes()),
        }
    }
}

/// As the operator writes it.
impl fmt::Display for TypePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Under(start) => write!(f, "{start}*"),
            Self::EndingWith(end) => write!(f, "*{end}"),
            Self::Exactly(name) => f.write_str(name),
        }
    }
}

/// Makes the entity tag among `fields` a weak one, if it is strong.
pub(crate) fn weaken_tag(fields: &mut FieldList) {
    if let Some(tag) = fields.find_mut("ETag")
        && EntityTag::parse(tag).is_some_and(|tag| !tag.weak)
    {
        tag.splice(0..0, *b"W/");
    }
}

/// Whether `content_type` is that of several parts in one response.
fn is_of_parts(content_type: &[u8]) -> bool {
    const TYPE: &[u8] = b"multipart/byteranges";
    let start = content_type.get(..TYPE.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(TYPE))
}

/// The length of the whole that a value of `Content-Range` says, if it says one.
fn complete_length(content_range: &[u8]) -> Option<u64> {
    let (_, length) = str::from_utf8(content_range).ok()?.rsplit_once('/')?;
    length.parse().ok()
}

/// Whether the client of `head` asks for content as it is (RFC 9111 §5.2.1.6).
fn wants_no_change(head: &RequestHead<'_>) -> bool {
    head.fields.values("Cache-Control").any(forbids_changes)
}

/// Whether a value of `Cache-Control` says no-transform.
pub(crate) fn forbids_changes(cache_control: &[u8]) -> bool {
    let mut directives = list::elements(cache_control);
    directives.any(|directive| directive.eq_ignore_ascii_case(b"no-transform"))
}

/// Whether the fields say that the content is in a coding.
fn is_coded(fields: &FieldList) -> bool {
    fields.iter().any(|line| {
        line.is_named("Content-Encoding")
            && list::elements(&line.value).any(|coding| !coding.eq_ignore_ascii_case(b"identity"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request::{HeadLimits, Parsed, field_space};

    #[test]
    fn says_what_could_be_coded() {
        let rules = Compression::default();
        let html = "Content-Type: text/html; charset=utf-8\r\n";
        for (status, fields, length, expected) in [
            (200, html.to_owned(), Some(1024), Ok(())),
            (200, html.to_owned(), None, Ok(())),
            (404, html.to_owned(), None, Ok(())),
            (200, html.to_owned(), Some(1023), Err(Uncoded::Length)),
            (204, html.to_owned(), None, Err(Uncoded::Status)),
            (206, html.to_owned(), None, Err(Uncoded::Status)),
            (304, html.to_owned(), None, Err(Uncoded::Status)),
            (200, String::new(), None, Err(Uncoded::Type)),
            (
                200,
                format!("{html}Content-Encoding: gzip\r\n"),
                None,
                Err(Uncoded::HasCoding),
            ),
            (
                200,
                format!("{html}Content-Encoding: identity\r\n"),
                None,
                Ok(()),
            ),
            (
                200,
                format!("{html}content-range: bytes 0-1/2\r\n"),
                None,
                Err(Uncoded::Part),
            ),
            (
                200,
                format!(
                    "{html}Cache-Control: private\r\ncache-control: max-age=1, No-Transform\r\n"
                ),
                None,
                Err(Uncoded::NoTransform),
            ),
        ] {
            let found = rules.suits(
                Status::from_code(status).expect("a status"),
                &FieldList::parse(fields.as_bytes()),
                length,
            );
            assert_eq!(found, expected, "{status} {fields}");
        }
    }

    #[test]
    fn knows_types_that_gain() {
        let rules = Compression::default();
        for (content_type, expected) in [
            ("text/html", true),
            ("TEXT/CSS ; charset=utf-8", true),
            ("text/event-stream", true),
            ("application/json", true),
            ("application/problem+json", true),
            ("application/manifest+json", true),
            ("image/svg+xml", true),
            ("application/wasm", true),
            ("font/ttf", true),
            ("font/woff2", false),
            ("image/png", false),
            ("video/mp4", false),
            ("application/zip", false),
            ("application/pdf", false),
            ("application/octet-stream", false),
            ("multipart/byteranges; boundary=x", false),
            ("tex", false),
            ("", false),
        ] {
            assert_eq!(
                rules.has_type(content_type.as_bytes()),
                expected,
                "{content_type}"
            );
        }
    }

    #[test]
    fn every_kind_that_is_known_to_be_packed_is_left_alone() {
        let rules = Compression::default();
        for extension in [
            "png", "jpg", "webp", "mp4", "zip", "gz", "woff2", "webm", "avif",
        ] {
            let name = format!("a.{extension}");
            let media_type = crate::http::media_type::for_path(name.as_bytes());
            assert!(!rules.has_type(media_type.as_bytes()), "{media_type}");
        }
    }

    #[test]
    fn the_client_decides_among_the_codings() {
        use ContentCoding::{Brotli, Gzip, Zstd};
        let all = Compression::default();
        let only_gzip = Compression {
            codings: vec![Gzip],
            ..Compression::default()
        };
        for (rules, fields, expected) in [
            (&all, "Accept-Encoding: gzip, deflate, br, zstd", Ok(Zstd)),
            (&all, "Accept-Encoding: gzip, deflate, br", Ok(Brotli)),
            (&all, "Accept-Encoding: gzip;q=1.0, br;q=0.5", Ok(Gzip)),
            (&all, "Accept-Encoding: gzip;q=0.5, br", Ok(Brotli)),
            (&all, "Accept-Encoding: gzip;q=0", Err(Uncoded::NotAccepted)),
            (&all, "Accept-Encoding: identity", Err(Uncoded::NotAccepted)),
            (
                &all,
                "Accept-Encoding: gzip;q=x, ;;, \"",
                Err(Uncoded::NotAccepted),
            ),
            (&all, "X: y", Err(Uncoded::NotAccepted)),
            (&only_gzip, "Accept-Encoding: gzip, br, zstd", Ok(Gzip)),
            (
                &only_gzip,
                "Accept-Encoding: br, zstd",
                Err(Uncoded::NotAccepted),
            ),
            (
                &all,
                "Cache-Control: no-transform\r\nAccept-Encoding: gzip",
                Err(Uncoded::NoTransform),
            ),
        ] {
            let bytes = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
            let mut space = field_space();
            let limits = HeadLimits {
                max_bytes: 8192,
                max_fields: 100,
            };
            let parsed = RequestHead::parse(bytes.as_bytes(), &mut space, limits);
            let Ok(Parsed::Complete(head, _)) = parsed else {
                unreachable!("{fields} are lines of a head")
            };
            assert_eq!(rules.coding_for(&head), expected, "{fields}");
            let short = rules.coding_for_sent(&head, Some(Compression::MAX_BROTLI));
            assert_eq!(short, expected, "{fields}");
            for length in [Some(Compression::MAX_BROTLI + 1), None] {
                let long = rules.coding_for_sent(&head, length);
                let expected = match expected {
                    // Unless the client weighs it higher.
                    Ok(Brotli) if !fields.contains("gzip;q=0.5") => Ok(Gzip),
                    expected => expected,
                };
                assert_eq!(long, expected, "{fields} {length:?}");
            }
        }
    }
}
