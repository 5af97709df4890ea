//! What an error answer says when no handler said anything: three forms of the same three facts.
//!
//! Status, reason and one sentence; nothing of the request or of the cause comes in, so neither can
//! get out.

use std::sync::OnceLock;

use serde::Serialize;

use super::format::Format;
use crate::http::response::FieldLines;
use crate::http::status::Status;

/// The look of `www/` and of the listing, in a few lines; the page stays below 1.2 KiB.
const STYLE: &str = include_str!("problem.css");

/// What the server's own words are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// The status says all.
    OfStatus,
    /// With 403: the client has shown no certificate, and has to.
    NoCertificate,
    /// With 421: a server answers for the host, but not over the connection.
    OtherConnection,
}

/// The JSON form.
#[derive(Serialize)]
struct Words {
    status: u16,
    error: &'static str,
    detail: &'static str,
}

/// An error answer's own field lines and its content.
pub(crate) struct ErrorContent {
    pub(crate) fields: FieldLines,
    pub(crate) content: Vec<u8>,
}

/// The first status of an error, and the number of statuses from it on.
const FIRST: usize = 400;
const STATUSES: usize = 600;
/// The places of all contents: one for each status, and one for each other problem behind them.
const PLACES: usize = STATUSES + 2;

/// The answer for `status`, which is an error, about `problem` in `format`: made when it is first asked
/// for, and kept. A later look takes no lock, because it stands on the fast path.
pub(crate) fn prepared(status: Status, problem: Problem, format: Format) -> &'static ErrorContent {
    static PREPARED: [[OnceLock<Box<ErrorContent>>; Format::COUNT]; PLACES] =
        [const { [const { OnceLock::new() }; Format::COUNT] }; PLACES];
    debug_assert!(status.is_error(), "{status}");
    let place = match problem {
        Problem::OfStatus => usize::from(status.code()).saturating_sub(FIRST),
        Problem::NoCertificate => STATUSES,
        Problem::OtherConnection => STATUSES + 1,
    };
    PREPARED[place][format as usize].get_or_init(|| {
        let fields = FieldLines::new()
            .with("Content-Type", format.content_type())
            // Which form it takes depends on the request (RFC 9110 §12.5.5).
            .with("Vary", "Accept")
            .with("X-Content-Type-Options", "nosniff");
        let content = render(status, problem, format);
        Box::new(ErrorContent { fields, content })
    })
}

fn render(status: Status, problem: Problem, format: Format) -> Vec<u8> {
    let words = Words {
        status: status.code(),
        error: reason(status),
        detail: match problem {
            Problem::OfStatus => detail(status),
            Problem::NoCertificate => NO_CERTIFICATE,
            Problem::OtherConnection => OTHER_CONNECTION,
        },
    };
    let content = match format {
        Format::Html => html(&words),
        Format::Json => json(&words),
        Format::Text => text(&words),
    };
    content.into_bytes()
}

/// No character of ours needs escaping in HTML; a test holds `detail` to it.
fn html(words: &Words) -> String {
    let Words {
        status,
        error,
        detail,
    } = words;
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
</main>
</html>
"#
    )
}

fn json(words: &Words) -> String {
    let object = serde_json::to_string(words).expect("a number and two strings are plain JSON");
    object + "\n"
}

fn text(words: &Words) -> String {
    let Words {
        status,
        error,
        detail,
    } = words;
    format!("{status} {error}\n{detail}\n")
}

/// The registered reason, or for an unregistered code its class (RFC 9110 §15).
fn reason(status: Status) -> &'static str {
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
        let content = render(status, Problem::OfStatus, format);
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
        let all = statuses.map(|status| (status, Problem::OfStatus)).chain([
            (Status::FORBIDDEN, Problem::NoCertificate),
            (Status::MISDIRECTED_REQUEST, Problem::OtherConnection),
        ]);
        for (status, problem) in all {
            for format in [Format::Html, Format::Json, Format::Text] {
                let prepared = prepared(status, problem, format);
                let expected = render(status, problem, format);
                assert_eq!(prepared.content, expected, "{status} {problem:?}");
            }
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
        let of_status = |status| [reason(status), detail(status)];
        let texts = all_errors().flat_map(of_status);
        for text in texts.chain([NO_CERTIFICATE, OTHER_CONNECTION]) {
            assert!(!text.contains(['<', '>', '&', '"', '\\']), "{text}");
        }
    }
}
