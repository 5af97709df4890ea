//! A response, as other people's code makes it, and what of it the server refuses to send.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::time::SystemTime;

use super::stream::StreamWriter;
use crate::http::date::HttpDate;
use crate::http::field_list::FieldList;
use crate::http::field_roles::{FieldRule, Setter};
use crate::http::fields::is_token;
use crate::http::status::Status;
use crate::runtime::{TaskReader, pipe_to_task};

/// A response of a [`Handler`](super::Handler).
///
/// It says what the answer is: a status, fields, content. How it travels is the server's work; see
/// there for conditional requests, ranges and HEAD.
///
/// A response with an error status and no content gets the operator's error page, or the server's own
/// words.
///
/// ```
/// use std::time::SystemTime;
/// use tidegate::{Response, Status};
///
/// let created = Response::new(Status::CREATED).field("Location", "/notes/7");
/// let page = Response::html("<p>hello").entity_tag("v3").field("Cache-Control", "max-age=60");
/// let rows = Response::stream(|writer| {
///     use std::io::Write as _;
///     (0..1000).try_for_each(|row| writeln!(writer, "{row}"))
/// });
/// ```
pub struct Response {
    status: Status,
    fields: Vec<(String, String)>,
    body: Body,
}

/// Where the content of a response comes from.
pub(crate) enum Body {
    Memory(Vec<u8>),
    File(File),
    /// Made on a thread of the pool, once the head has been sent.
    Pumped {
        length: Option<u64>,
        pump: Pump,
    },
    /// Written into a channel by the owner of its writer.
    Stream {
        length: Option<u64>,
        reader: TaskReader<String>,
    },
}

/// Writes all of the content.
pub(crate) type Pump = Box<dyn FnOnce(&mut StreamWriter) -> io::Result<()> + Send>;

/// A response that the server is willing to send.
pub(crate) struct Made {
    pub(crate) head: MadeHead,
    pub(crate) body: Body,
}

/// The head of a response that the server is willing to send.
pub(crate) struct MadeHead {
    pub(crate) status: Status,
    pub(crate) fields: FieldList,
}

/// Why the server does not send a response as it was made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("status {0} is not for a handler: it takes 200 to 599")]
    Status(Status),
    #[error("{0:?} is no field name")]
    FieldName(String),
    #[error("the value of the field {0:?} holds a control character")]
    FieldValue(String),
    #[error("the field {0:?} is the server's to set")]
    ServersField(String),
}

impl Response {
    /// A response without content.
    pub fn new(status: Status) -> Self {
        Self {
            status,
            fields: Vec::new(),
            body: Body::Memory(Vec::new()),
        }
    }

    /// 200 with these octets.
    pub fn bytes(content_type: &str, octets: impl Into<Vec<u8>>) -> Self {
        Self::with_body(content_type, Body::Memory(octets.into()))
    }

    /// 200 with plain text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::bytes("text/plain; charset=utf-8", text.into())
    }

    /// 200 with an HTML document. What comes from outside must have been escaped.
    pub fn html(html: impl Into<String>) -> Self {
        Self::bytes("text/html; charset=utf-8", html.into())
    }

    /// 200 with JSON, encoded by whatever library the handler uses.
    pub fn json(json: impl Into<String>) -> Self {
        Self::bytes("application/json", json.into())
    }

    /// 200 with all of a file, from its first octet on. It is sent as it is when it is sent: whoever
    /// changes it meanwhile changes the answer.
    pub fn file(content_type: &str, file: File) -> Self {
        Self::with_body(content_type, Body::File(file))
    }

    /// 200 with what `reader` gives, read on a thread of the blocking pool when the head has gone
    /// out, no faster than the client takes it.
    ///
    /// With a `length` in octets the client knows how much will come. Should the reader give more,
    /// the rest is dropped; should it give less, the connection is cut. The log tells of both.
    /// Without, an HTTP/1.1 client gets chunks, and an HTTP/1.0 client content that ends with the
    /// connection.
    pub fn reader(
        content_type: &str,
        mut reader: impl Read + Send + 'static,
        length: Option<u64>,
    ) -> Self {
        let pump: Pump = Box::new(move |writer| io::copy(&mut reader, writer).map(drop));
        Self::with_body(content_type, Body::Pumped { length, pump })
    }

    /// 200 with what `write` writes, on a thread of the blocking pool when the head has gone out, no
    /// faster than the client takes it. An error cuts the connection, and is logged. Its type is
    /// `application/octet-stream` unless [`content_type`](Self::content_type) says otherwise.
    pub fn stream(
        write: impl FnOnce(&mut StreamWriter) -> io::Result<()> + Send + 'static,
    ) -> Self {
        let (length, pump) = (None, Box::new(write));
        Self::with_body("application/octet-stream", Body::Pumped { length, pump })
    }

    /// 200 with what is written to the writer, from any thread and for as long as it is kept: for
    /// answers that wait for something to happen, such as server-sent events, of which thousands
    /// may be open without a thread each. Its type is `application/octet-stream` unless
    /// [`content_type`](Self::content_type) says otherwise.
    ///
    /// The server reads the channel when the handler has returned the response. Until then it holds
    /// 256 KiB, and a write beyond would wait for ever: a handler that writes more itself uses
    /// [`stream`](Self::stream).
    pub fn channel() -> (StreamWriter, Self) {
        let (writer, reader) = pipe_to_task();
        let length = None;
        let body = Body::Stream { length, reader };
        let response = Self::with_body("application/octet-stream", body);
        (StreamWriter::new(writer), response)
    }

    fn with_body(content_type: &str, body: Body) -> Self {
        let response = Self {
            status: Status::OK,
            fields: Vec::new(),
            body,
        };
        response.content_type(content_type)
    }

    /// This response, with another status, 200 to 599.
    pub fn status(mut self, status: Status) -> Self {
        self.status = status;
        self
    }

    /// This response, with one more field. `Connection`, `Content-Length`, `Date`,
    /// `Transfer-Encoding` and their like are the server's: a response that sets one, or a value
    /// that holds a line end, is logged and answered 500.
    ///
    /// `Content-Type`, `ETag`, `Last-Modified`, `Location` and others of which a response has one
    /// line take the place of the one there is.
    pub fn field(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let name = name.into();
        if FieldRule::of(&name).is_single {
            self.fields
                .retain(|(other, _)| !other.eq_ignore_ascii_case(&name));
        }
        self.fields.push((name, value.into()));
        self
    }

    /// This response, with `Content-Type` instead of the one it has.
    pub fn content_type(self, media_type: impl Into<String>) -> Self {
        self.field("Content-Type", media_type)
    }

    /// This response, with a strong `ETag`; `opaque` is what stands between the quotes. Two
    /// responses may have the same only if their content is the same octet by octet.
    pub fn entity_tag(self, opaque: impl fmt::Display) -> Self {
        self.field("ETag", format!("\"{opaque}\""))
    }

    /// This response, with `Last-Modified`.
    pub fn last_modified(self, time: SystemTime) -> Self {
        let date = HttpDate::from_system_time(time);
        self.field("Last-Modified", date.to_string())
    }

    /// Splits the response into its parts, if the server is willing to send them.
    pub(crate) fn made(self) -> Result<Made, Refused> {
        if !self.status.is_final() {
            return Err(Refused::Status(self.status));
        }
        for (name, value) in &self.fields {
            check_field(name, value)?;
        }
        let Self {
            status,
            fields,
            body,
        } = self;
        let fields = fields.into_iter().collect();
        let head = MadeHead { status, fields };
        Ok(Made { head, body })
    }
}

fn check_field(name: &str, value: &str) -> Result<(), Refused> {
    if !is_token(name.as_bytes()) {
        return Err(Refused::FieldName(name.to_owned()));
    }
    // RFC 9110 §5.5
    if value
        .bytes()
        .any(|byte| byte.is_ascii_control() && byte != b'\t')
    {
        return Err(Refused::FieldValue(name.to_owned()));
    }
    if !FieldRule::of(name).may_be_set_by(Setter::Handler) {
        return Err(Refused::ServersField(name.to_owned()));
    }
    Ok(())
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let content = match &self.body {
            Body::Memory(octets) => format!("{} octets", octets.len()),
            Body::File(file) => format!("{file:?}"),
            Body::Pumped { .. } | Body::Stream { .. } => "a stream".to_owned(),
        };
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("fields", &self.fields)
            .field("content", &content)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_could_split_a_response() {
        for (name, value, refused) in [
            ("X-Name", "value", false),
            ("X-Name", "tab\tis fine", false),
            ("X-Name", "é", false),
            ("X Name", "value", true),
            ("", "value", true),
            ("X-Name", "a\r\nSet-Cookie: b", true),
            ("X-Name", "a\nb", true),
            ("X-Name", "a\0", true),
            ("Content-Length", "1", true),
            ("transfer-encoding", "chunked", true),
            ("Connection", "close", true),
            ("Upgrade", "h2c", true),
            ("Proxy-Connection", "close", true),
            ("Proxy-Authenticate", "Basic", true),
            ("Date", "now", true),
            ("Server", "mine", false),
            ("Content-Range", "bytes 0-0/1", false),
        ] {
            let made = Response::text("").field(name, value).made();
            assert_eq!(made.is_err(), refused, "{name:?}: {value:?}");
        }
    }

    #[test]
    fn refuses_a_status_that_is_not_final() {
        let codes = [100, 101, 199, 200, 599, 600];
        let made = codes.map(|code| {
            let status = Status::from_code(code).expect("three digits");
            Response::new(status).made().is_ok()
        });
        assert_eq!(made, [false, false, false, true, true, false]);
    }

    #[test]
    fn has_one_content_type() {
        let response = Response::text("a").content_type("text/csv");
        assert_eq!(
            response.fields,
            [("Content-Type".into(), "text/csv".into())]
        );
    }
}
