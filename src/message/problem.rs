//! What an error answer says when no handler said anything: three forms of the same facts.
//!
//! Status, one sentence, and the id of the reason, by which the operator finds what to do; nothing of the
//! request comes in, so nothing of it can get out.

use std::sync::OnceLock;

use serde::Serialize;

use super::format::Format;
use super::request_id::RequestId;
use crate::http::response::FieldLines;
use crate::http::status::Status;
use crate::reason::Reason;

/// The look of `www/` and of the listing, in a few lines; the page stays below 1.2 KiB.
const STYLE: &str = include_str!("problem.css");

/// The JSON form.
#[derive(Serialize)]
struct Words<'w> {
    status: u16,
    error: &'static str,
    detail: &'static str,
    /// `None` where the status is that of a handler.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'w str>,
}

impl Words<'_> {
    /// By what the operator finds the exchange, each in `wrap`: the reason, and its id.
    fn marks(&self, wrap: impl Fn(&str) -> String) -> String {
        let marks = [self.reason, self.request_id].into_iter().flatten();
        marks.map(|mark| wrap(mark) + "\n").collect()
    }
}

/// An error answer's own field lines and its content.
pub(crate) struct ErrorContent {
    pub(crate) fields: FieldLines,
    pub(crate) content: Vec<u8>,
}

/// The first status of an error, and the number of statuses from it on.
const FIRST: usize = 400;
const STATUSES: usize = 600;
/// The places of all contents: one for each status, and behind them one for each reason.
const PLACES: usize = STATUSES + Reason::COUNT;

/// The answer for `status`, which is an error, because of `reason` in `format`: made when it is first
/// asked for, and kept. A later look takes no lock, because it stands on the fast path.
pub(crate) fn prepared(
    status: Status,
    reason: Option<Reason>,
    format: Format,
) -> &'static ErrorContent {
    static PREPARED: [[OnceLock<Box<ErrorContent>>; Format::COUNT]; PLACES] =
        [const { [const { OnceLock::new() }; Format::COUNT] }; PLACES];
    debug_assert!(status.is_error(), "{status}");
    // A reason that comes with several statuses is left out: its place would have one of them.
    let reason = reason.filter(|reason| reason.status() == Some(status));
    let place = match reason {
        Some(reason) => STATUSES + reason as usize,
        None => usize::from(status.code()).saturating_sub(FIRST),
    };
    PREPARED[place][format as usize].get_or_init(|| {
        let fields = FieldLines::new()
            .with("Content-Type", format.content_type())
            // Which form it takes depends on the request (RFC 9110 §12.5.5).
            .with("Vary", "Accept")
            .with("X-Content-Type-Options", "nosniff");
        let content = render(status, reason, format, None);
        Box::new(ErrorContent { fields, content })
    })
}

/// The content of [`prepared`] with the id of the exchange, which a user can pass on.
pub(crate) fn with_id(
    status: Status,
    reason: Option<Reason>,
    format: Format,
    id: &RequestId,
) -> Vec<u8> {
    let reason = reason.filter(|reason| reason.status() == Some(status));
    render(status, reason, format, Some(id.as_str()))
}

fn render(
    status: Status,
    reason: Option<Reason>,
    format: Format,
    request_id: Option<&str>,
) -> Vec<u8> {
    let words = Words {
        status: status.code(),
        error: phrase(status),
        detail: match reason {
            Some(Reason::CertificateMissing) => NO_CERTIFICATE,
            Some(Reason::OtherConnection) => OTHER_CONNECTION,
            Some(Reason::PlainHttp) => PLAIN_HTTP,
            _ => detail(status),
        },
        reason: reason.map(Reason::id),
        request_id,
    };
    let content = match format {
        Format::Html => html(&words),
        Format::Json => json(&words),
        Format::Text => text(&words),
    };
    content.into_bytes()
}

/// No character of ours needs escaping in HTML; a test holds `detail` to it.
fn html(words: &Words<'_>) -> String {
    let Words {
        status,
        error,
        detail,
        ..
    } = words;
    let marks = words.marks(|mark| format!("<small>{mark}</small>"));
    format!(
        r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{status} {error}</title>
<style>
{STYLE}</style>
<main>
<b>{status}</b>
<h1>{error}</h1>
<p>{detail}</p>
{marks}</main>
</html>
"#
    )
}

fn json(words: &Words<'_>) -> String {
    let object = serde_json::to_string(words).expect("numbers and strings are plain JSON");
    object + "\n"
}

fn text(words: &Words<'_>) -> String {
    let Words {
        status,
        error,
        detail,
        ..
    } = words;
    let marks = words.marks(|mark| format!("({mark})"));
    format!("{status} {error}\n{detail}\n{marks}")
}

/// The registered reason, or for an unregistered code its class (RFC 9110 §15).
fn phrase(status: Status) -> &'static str {
    match (status.reason(), status.code()) {
        ("", 500..) => "Server Error",
        ("", _) => "Client Error",
        (reason, _) => reason,
    }
}

const NO_CERTIFICATE: &str = "This is open to clients that show a certificate, and yours has shown none. Install one, then \
     open a new connection.";
const OTHER_CONNECTION: &str =
    "The site is not answered over this connection. Close it, then open one to the site itself.";
const PLAIN_HTTP: &str =
    "This port speaks HTTPS, and the request came over plain HTTP. Use https:// in the address.";

/// A sentence that says what the reader can do.
fn detail(status: Status) -> &'static str {
    match status {
        Status::BAD_REQUEST => "The request is not valid HTTP, so it was not answered.",
        Status::FORBIDDEN => "This is not open to you.",
        Status::NOT_FOUND => "There is nothing at this address. Check its spelling.",
        Status::METHOD_NOT_ALLOWED => {
            "This resource does not take that method; the Allow field lists those it takes."
        }
        Status::REQUEST_TIMEOUT => "The request did not arrive in time. Try again.",
        Status::CONTENT_TOO_LARGE => "The content of the request is larger than is accepted here.",
        Status::URI_TOO_LONG => "The address is longer than is accepted here.",
        Status::RANGE_NOT_SATISFIABLE => {
            "The range lies outside the content; the Content-Range field tells its length."
        }
        Status::EXPECTATION_FAILED => "The only expectation met here is 100-continue.",
        Status::TOO_MANY_REQUESTS => {
            "Too many requests came from you. Wait a while, then try again."
        }
        Status::MISDIRECTED_REQUEST => {
            "No site here goes by the name in the address. Check its spelling, or use the site's own name instead of a number."
        }
        Status::REQUEST_HEADER_FIELDS_TOO_LARGE => {
            "The header section is larger than is accepted here. Clearing cookies may help."
        }
        Status::INTERNAL_SERVER_ERROR => "The server made a mistake; its log has the details.",
        Status::NOT_IMPLEMENTED => "The server does not know how to do what was asked.",
        Status::BAD_GATEWAY => "The server behind this one gave no valid answer. Try again later.",
        Status::SERVICE_UNAVAILABLE => "The server is busy. Try again in a moment.",
        Status::GATEWAY_TIMEOUT => {
            "The server behind this one did not answer in time. Try again later."
        }
        Status::HTTP_VERSION_NOT_SUPPORTED => "This server speaks HTTP/1.1 and HTTP/1.0.",
        _ if status.code() >= 500 => "The server could not answer this request.",
        _ => "The request could not be answered as it was sent.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(status: Status, format: Format) -> String {
        let content = render(status, None, format, None);
        String::from_utf8(content).expect("error content is UTF-8")
    }

    fn all_errors() -> impl Iterator<Item = Status> {
        (400..600).filter_map(Status::from_code)
    }

    #[test]
    fn says_the_same_in_each_form() {
        let detail = "There is nothing at this address. Check its spelling.";
        for (format, expected) in [
            (
                Format::Html,
                format!("<b>404</b>\n<h1>Not Found</h1>\n<p>{detail}</p>"),
            ),
            (
                Format::Json,
                format!("{{\"status\":404,\"error\":\"Not Found\",\"detail\":\"{detail}\"}}\n"),
            ),
            (Format::Text, format!("404 Not Found\n{detail}\n")),
        ] {
            let content = content(Status::NOT_FOUND, format);
            assert!(content.contains(&expected), "{content}");
        }
    }

    #[test]
    fn every_error_has_a_place_of_its_own() {
        let statuses = (400..1000).filter_map(Status::from_code);
        let reasons = Reason::ALL.iter();
        let reasons = reasons.filter_map(|reason| Some((reason.status()?, Some(*reason))));
        for (status, reason) in statuses.map(|status| (status, None)).chain(reasons) {
            for format in [Format::Html, Format::Json, Format::Text] {
                let prepared = prepared(status, reason, format);
                let expected = render(status, reason, format, None);
                assert_eq!(prepared.content, expected, "{status} {reason:?}");
            }
        }
    }

    #[test]
    fn an_error_names_its_reason_in_each_form() {
        for (format, expected) in [
            (Format::Html, "</p>\n<small>no_route</small>\n</main>"),
            (Format::Json, ",\"reason\":\"no_route\"}"),
            (Format::Text, "spelling.\n(no_route)\n"),
        ] {
            let own = prepared(Status::NOT_FOUND, Some(Reason::NoRoute), format);
            let content = String::from_utf8_lossy(&own.content);
            assert!(content.contains(expected), "{content}");
            let of_route = prepared(Status::NOT_FOUND, Some(Reason::Configured), format);
            let content = String::from_utf8_lossy(&of_route.content);
            assert!(!content.contains("configured"), "{content}");
        }
    }

    #[test]
    fn an_error_names_the_id_of_the_exchange_in_each_form() {
        let id = RequestId::taken(b"abc-1").expect("a good one");
        for (format, expected) in [
            (
                Format::Html,
                "<small>no_route</small>\n<small>abc-1</small>\n</main>",
            ),
            (
                Format::Json,
                ",\"reason\":\"no_route\",\"request_id\":\"abc-1\"}",
            ),
            (Format::Text, "(no_route)\n(abc-1)\n"),
        ] {
            let content = with_id(Status::NOT_FOUND, Some(Reason::NoRoute), format, &id);
            let content = String::from_utf8_lossy(&content);
            assert!(content.contains(expected), "{content}");
        }
    }

    #[test]
    fn a_page_is_small_and_whole_for_every_status() {
        for status in all_errors() {
            let page = content(status, Format::Html);
            assert!(page.len() < 1229, "{status}: {} bytes", page.len());
            assert!(!page.contains("<h1></h1>"), "{status}");
        }
    }

    #[test]
    fn no_text_needs_escaping() {
        let of_status = |status| [phrase(status), detail(status)];
        let texts = all_errors().flat_map(of_status);
        for text in texts.chain([NO_CERTIFICATE, OTHER_CONNECTION, PLAIN_HTTP]) {
            assert!(!text.contains(['<', '>', '&', '"', '\\']), "{text}");
        }
    }
}
