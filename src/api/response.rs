//! A response, as other people's code makes it, looks at it and changes it.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek as _};
use std::time::{Duration, SystemTime};

use super::error::Error;
use super::later::{Later, Reply};
use super::made::Body;
use super::stream::{Pump, StreamWriter};
use crate::http::date::HttpDate;
use crate::http::field_roles::FieldRule;
use crate::http::status::Status;
use crate::runtime::pipe_to_task;

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
///
/// Code around a handler can look at what the handler answers, and change it:
///
/// ```
/// use tidegate::{Error, Request, Response};
///
/// /// Forbids frames around every document.
/// fn framed(
///     handler: impl Fn(Request) -> Result<Response, Error> + Send + Sync,
/// ) -> impl Fn(Request) -> Result<Response, Error> + Send + Sync {
///     move |request| {
///         let response = handler(request)?;
///         // Also of a response that is decided later.
///         Ok(response.map(|response| {
///             let media_type = response.field_value("Content-Type").unwrap_or_default();
///             if response.status_code().is_error() || !media_type.starts_with("text/html") {
///                 return response;
///             }
///             response.field("Content-Security-Policy", "frame-ancestors 'none'")
///         }))
///     }
/// }
/// # use tidegate::Method;
/// # let page = framed(|_| Ok(Response::html("hello")));
/// # let response = page(Request::new(Method::Get, "/"))?;
/// # assert_eq!(response.field_value("content-security-policy"), Some("frame-ancestors 'none'"));
/// # Ok::<(), Error>(())
/// ```
pub struct Response {
    pub(super) status: Status,
    pub(super) fields: Vec<(String, String)>,
    pub(super) body: Body,
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

    /// 200 with all of a file, from its first octet on. The server reads it while it sends: a change to
    /// the file meanwhile changes the answer.
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
        let pump = Pump::new(move |writer| io::copy(&mut reader, writer).map(drop));
        Self::with_body(content_type, Body::Pumped { length, pump })
    }

    /// 200 with what `write` writes, on a thread of the blocking pool when the head has gone out, no
    /// faster than the client takes it. An error cuts the connection, and is logged. Its type is
    /// `application/octet-stream` unless [`content_type`](Self::content_type) says otherwise.
    pub fn stream(
        write: impl FnOnce(&mut StreamWriter) -> io::Result<()> + Send + 'static,
    ) -> Self {
        let (length, pump) = (None, Pump::new(write));
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

    /// A response that is decided later: what is sent to the [`Reply`], from any thread. The handler
    /// returns at once, and no thread waits: for long polls, of which thousands may be open.
    ///
    /// The route's `timeout` holds for it as for a handler: then the client is answered 504, unless
    /// there is a [fallback](Self::or_after). Fields and a status that this response is given are set
    /// when it is decided.
    ///
    /// ```
    /// use std::sync::{Arc, Mutex};
    /// use std::time::Duration;
    /// use tidegate::{Handlers, Reply, Response, Status};
    ///
    /// /// The clients that wait for the next message.
    /// let waiting: Arc<Mutex<Vec<Reply>>> = Arc::default();
    ///
    /// let mut handlers = Handlers::new();
    /// let listening = Arc::clone(&waiting);
    /// handlers.function("poll", move |_request| {
    ///     let (reply, response) = Response::later();
    ///     let mut listening = listening.lock().expect("no panic under the lock");
    ///     listening.retain(|reply| !reply.client_has_gone());
    ///     listening.push(reply);
    ///     Ok(response.or_after(Duration::from_secs(30), Response::new(Status::NO_CONTENT)))
    /// });
    ///
    /// // Somewhere else, on any thread:
    /// for reply in waiting.lock().expect("no panic under the lock").drain(..) {
    ///     reply.send(Response::text("high water\n"));
    /// }
    /// ```
    pub fn later() -> (Reply, Self) {
        let (reply, later) = Later::new();
        let response = Self {
            status: Status::OK,
            fields: Vec::new(),
            body: Body::Later(Box::new(later)),
        };
        (reply, response)
    }

    /// This response if it is decided within that time, and else `fallback`. The fallback is sent before
    /// if the route's `timeout` is shorter, if the server stops, or if a reload retires the route; its
    /// client may ask again then. Of a response that is decided it changes nothing.
    pub fn or_after(mut self, time: Duration, fallback: Self) -> Self {
        if let Body::Later(later) = &mut self.body {
            later.set_fallback(time, fallback);
        }
        self
    }

    fn with_body(content_type: &str, body: Body) -> Self {
        let response = Self {
            status: Status::OK,
            fields: Vec::new(),
            body,
        };
        response.content_type(content_type)
    }

    /// This response, changed by `change`: at once, or when it is decided, on the thread that decides
    /// it. For code around handlers, which has to do with both.
    pub fn map(mut self, change: impl FnOnce(Self) -> Self + Send + 'static) -> Self {
        match &mut self.body {
            Body::Later(later) => later.change(change),
            _ => return change(self),
        }
        self
    }

    /// This response, with another status, 200 to 599.
    pub fn status(mut self, status: Status) -> Self {
        if !self.is_decided() {
            return self.map(move |decided| decided.status(status));
        }
        self.status = status;
        self
    }

    /// This response, with one more field. `Connection`, `Content-Length`, `Date`,
    /// `Transfer-Encoding` and their like are the server's: a response that sets one, or a value
    /// that holds a line end, is logged and answered 500. So is `Upgrade`: there are no tunnels yet.
    ///
    /// `Content-Type`, `ETag`, `Last-Modified`, `Location` and others of which a response has one
    /// line take the place of the one there is.
    pub fn field(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let (name, value) = (name.into(), value.into());
        if !self.is_decided() {
            return self.map(move |decided| decided.field(name, value));
        }
        if FieldRule::of(&name).is_single {
            self.remove_fields(&name);
        }
        self.fields.push((name, value));
        self
    }

    /// This response, without the fields of that name, in any case.
    pub fn without_field(mut self, name: &str) -> Self {
        if !self.is_decided() {
            let name = name.to_owned();
            return self.map(move |decided| decided.without_field(&name));
        }
        self.remove_fields(name);
        self
    }

    fn remove_fields(&mut self, name: &str) {
        self.fields
            .retain(|(other, _)| !other.eq_ignore_ascii_case(name));
    }

    /// This response, with these octets in the place of its content. Its fields stay: what described
    /// the old content, such as `ETag`, is the caller's to change.
    pub fn with_content(mut self, octets: impl Into<Vec<u8>>) -> Self {
        let octets = octets.into();
        if !self.is_decided() {
            return self.map(move |decided| decided.with_content(octets));
        }
        self.body = Body::Memory(octets);
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
}

/// # To look at a response
///
/// For code around handlers, and for tests.
impl Response {
    /// Whether it is known what the answer is; `false` for one that is [decided later](Self::later). Such
    /// a response shows the status 200, no fields and no content; see [`map`](Self::map).
    pub fn is_decided(&self) -> bool {
        !matches!(self.body, Body::Later(_))
    }

    /// The status.
    pub fn status_code(&self) -> Status {
        self.status
    }

    /// Names and values of all fields, in order, but for those that the server sets.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        let fields = self.fields.iter();
        fields.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of the first field of that name, in any case.
    pub fn field_value(&self, name: &str) -> Option<&str> {
        self.fields()
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The content, if it is in memory; `None` for a file, for what is made while it is sent, and for a
    /// response that is decided later.
    pub fn content(&self) -> Option<&[u8]> {
        match &self.body {
            Body::Memory(octets) => Some(octets),
            Body::File(_) | Body::Pumped { .. } | Body::Stream { .. } | Body::Later(_) => None,
        }
    }

    /// How many octets of content there are, if that is known before they are made.
    pub fn content_length(&self) -> Option<u64> {
        match &self.body {
            Body::Memory(octets) => Some(octets.len() as u64),
            Body::File(file) => file.metadata().ok().map(|metadata| metadata.len()),
            Body::Pumped { length, .. } | Body::Stream { length, .. } => *length,
            Body::Later(_) => None,
        }
    }

    /// All of the content, wherever it comes from, read here and now: a file is read, a writer is
    /// called, the end of a [`channel`](Self::channel) and a [later](Self::later) decision are waited
    /// for. It must fit memory.
    ///
    /// ```
    /// use std::io::Write as _;
    /// use tidegate::Response;
    ///
    /// let rows = Response::stream(|writer| (0..3).try_for_each(|row| write!(writer, "{row},")));
    /// assert_eq!(rows.into_content()?, b"0,1,2,");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// Where the content breaks off, or the response is never decided.
    pub fn into_content(self) -> io::Result<Vec<u8>> {
        match self.body {
            Body::Memory(octets) => Ok(octets),
            Body::File(mut file) => {
                let mut octets = Vec::new();
                file.rewind()?;
                file.read_to_end(&mut octets)?;
                Ok(octets)
            }
            Body::Pumped { pump, .. } => pump.into_octets(),
            Body::Stream { reader, .. } => StreamWriter::read_all(reader),
            Body::Later(later) => match later.wait() {
                Some(Ok(response)) => response.into_content(),
                Some(Err(error)) => Err(io::Error::other(error.to_string())),
                None => Err(io::Error::other(super::later::UNDECIDED)),
            },
        }
    }

    /// Waits until it is known what the answer is, and returns that: this response, unless it is
    /// [decided later](Self::later). For tests; a handler would hold its thread.
    ///
    /// # Errors
    /// If the reply said that there is no response, or was dropped.
    pub fn decided(self) -> Result<Self, Error> {
        match self.body {
            Body::Later(later) => match later.wait() {
                Some(answer) => answer?.decided(),
                None => Err(Error::new(
                    Status::INTERNAL_SERVER_ERROR,
                    super::later::UNDECIDED,
                )),
            },
            _ => Ok(self),
        }
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let content = match &self.body {
            Body::Memory(octets) => format!("{} octets", octets.len()),
            Body::File(file) => format!("{file:?}"),
            Body::Pumped { .. } | Body::Stream { .. } => "a stream".to_owned(),
            Body::Later(_) => "decided later".to_owned(),
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
    use std::io::Write as _;

    use super::*;

    #[test]
    fn has_one_content_type() {
        let response = Response::text("a").content_type("text/csv");
        let fields: Vec<_> = response.fields().collect();
        assert_eq!(fields, [("Content-Type", "text/csv")]);
    }

    /// Tests of handlers, and code around them, could not see what they answered.
    #[test]
    fn everything_that_was_put_in_can_be_looked_at_and_changed() {
        let response = Response::text("abc")
            .status(Status::CREATED)
            .field("X-A", "1")
            .field("x-a", "2");
        assert_eq!(response.status_code(), Status::CREATED);
        assert_eq!(response.field_value("x-A"), Some("1"));
        assert_eq!(response.field_value("X-B"), None);
        assert_eq!(response.content(), Some(&b"abc"[..]));
        assert_eq!(response.content_length(), Some(3));
        let changed = response.without_field("X-a").with_content("de");
        let fields: Vec<_> = changed.fields().collect();
        assert_eq!(fields, [("Content-Type", "text/plain; charset=utf-8")]);
        assert_eq!(changed.content(), Some(&b"de"[..]));
    }

    #[test]
    fn content_of_every_origin_can_be_read() {
        let mut file = tempfile::tempfile().expect("there is a disk");
        file.write_all(b"file").expect("it takes four octets");
        let read = |response: Response| response.into_content().expect("it is complete");
        assert_eq!(read(Response::file("text/plain", file)), b"file");
        let length = 3 * 1024 * 1024;
        let reader = io::repeat(b'x').take(length);
        let response = Response::reader("text/plain", reader, Some(length));
        assert_eq!(response.content_length(), Some(length));
        assert!(read(response) == vec![b'x'; length as usize]);
        let (mut writer, response) = Response::channel();
        writer.write_all(b"channel").expect("it is there");
        drop(writer);
        assert_eq!(read(response), b"channel");
        let (reply, response) = Response::later();
        assert!(reply.send(Response::text("later")));
        assert_eq!(read(response), b"later");
    }

    #[test]
    fn content_that_breaks_off_cannot_be_read() {
        let broken = Response::stream(|_| Err(io::Error::other("dry")));
        let (writer, cut) = Response::channel();
        writer.break_off("cut");
        let (reply, dropped) = Response::later();
        drop(reply);
        let (reply, failed) = Response::later();
        assert!(reply.fail(io::Error::other("failed")));
        for (response, why) in [
            (broken, "dry"),
            (cut, "cut"),
            (dropped, "dropped"),
            (failed, "failed"),
        ] {
            let error = response.into_content().expect_err(why).to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_change_is_made_when_the_response_is_decided_before_or_after() {
        let change = |response: Response| {
            let response = response.field("X-A", "1").status(Status::ACCEPTED);
            response.map(|decided| {
                let text = format!("{}!", decided.content_length().unwrap_or_default());
                decided.with_content(text)
            })
        };
        let (reply, before) = Response::later();
        let before = change(before);
        assert!(!before.is_decided());
        assert!(reply.send(Response::text("abc")));
        let (reply, after) = Response::later();
        assert!(reply.send(Response::text("abc")));
        for response in [before, change(after), change(Response::text("abc"))] {
            let response = response.decided().expect("it is decided");
            assert_eq!(response.status_code(), Status::ACCEPTED);
            assert_eq!(response.field_value("X-A"), Some("1"));
            assert_eq!(response.content(), Some(&b"3!"[..]));
        }
    }
}
