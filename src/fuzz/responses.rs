//! A client's reading of what a server sent: responses, each with its framing (RFC 9112 §6.3).

use crate::http::content::{Decoder, Step};
use crate::http::framing::Framing;
use crate::http::method::Method;

/// A final response, without what differs between two equal ones: its `Date`, and the boundary of its
/// parts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) head: String,
    /// Its content, as text that a failed assertion can show.
    pub(super) content: String,
    /// Whether it says that it is the last one.
    pub(super) closes: bool,
}

/// Reads `received` as the responses to `requests`. Interim responses are left out.
///
/// # Errors
/// What no client could make sense of.
pub(super) fn responses(
    mut received: &[u8],
    requests: &[Option<Method>],
) -> Result<Vec<Response>, String> {
    let mut responses: Vec<Response> = Vec::new();
    while !received.is_empty() {
        if responses.last().is_some_and(|response| response.closes) {
            return Err(format!(
                "{} octets behind the last response",
                received.len()
            ));
        }
        let Some(method) = requests.get(responses.len()) else {
            return Err(format!("more than {} responses", requests.len()));
        };
        let end = memchr::memmem::find(received, b"\r\n\r\n").ok_or("no end of a head")? + 4;
        let head = str::from_utf8(&received[..end]).map_err(|_| "a head that is not text")?;
        received = &received[end..];
        let status = status(head)?;
        if (100..200).contains(&status) {
            continue;
        }
        let bodiless = *method == Some(Method::Head) || matches!(status, 204 | 304);
        let closes = field(head, "connection").is_some_and(|value| value.contains("close"));
        let decoder = if bodiless {
            Decoder::new(Framing::Empty)
        } else {
            decoder(head, closes)?
        };
        let content = take_content(decoder, &mut received)?;
        let content = String::from_utf8_lossy(&content);
        let boundary = head.split_once("; boundary=").map(|(_, rest)| rest);
        let boundary = boundary.and_then(|rest| rest.lines().next());
        let masked = |text: &str| match boundary {
            Some(boundary) => text.replace(boundary, "BOUNDARY"),
            None => text.to_owned(),
        };
        responses.push(Response {
            closes,
            head: masked(&without_date(head)),
            content: masked(&content),
        });
    }
    Ok(responses)
}

fn status(head: &str) -> Result<u16, String> {
    let rest = head.strip_prefix("HTTP/1.1 ");
    let code = rest.and_then(|rest| rest.get(..3)?.parse().ok());
    code.ok_or_else(|| format!("{head:?} begins with no status line"))
}

/// Where the content of a response ends; `closes` if it is the last one.
fn decoder(head: &str, closes: bool) -> Result<Decoder, String> {
    let length = field(head, "content-length");
    match (length, field(head, "transfer-encoding")) {
        (Some(length), None) => match length.parse() {
            Ok(length) => Ok(Decoder::new(Framing::Length(length))),
            Err(_) => Err(format!("{length:?} is no length")),
        },
        (None, Some("chunked")) => Ok(Decoder::new(Framing::Chunked)),
        (None, None) if closes => Ok(Decoder::until_close()),
        _ => Err(format!("{head:?} has no framing, or two")),
    }
}

/// The value of a field that may be there once.
fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    let found = lines.find(|(found, _)| found.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value)
}

fn take_content(mut decoder: Decoder, received: &mut &[u8]) -> Result<Vec<u8>, String> {
    let mut content = Vec::new();
    loop {
        match decoder.step(received).map_err(|fault| fault.to_string())? {
            Step::NeedMore if decoder.end_of_input().is_ok() => return Ok(content),
            Step::NeedMore => return Err("content that is cut".to_owned()),
            Step::Content { skip, len } => {
                content.extend_from_slice(&received[skip..skip + len]);
                *received = &received[skip + len..];
            }
            Step::End { used } => {
                *received = &received[used..];
                return Ok(content);
            }
        }
    }
}

fn without_date(head: &str) -> String {
    let lines = head.lines().filter(|line| !line.starts_with("Date: "));
    lines.collect::<Vec<_>>().join("\n")
}
