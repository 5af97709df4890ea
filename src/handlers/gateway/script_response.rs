//! A script's response: a header section of its own kind, then content (RFC 3875 §6).
//!
//! ```text
//! Status: 404 Not Found        what becomes the status line; 200 where it is left out
//! Content-Type: text/html      what goes to the client as it is; it may be left out
//! Content-Length: 612          what is taken at its word, and the server's to say
//!                              (lines end in CRLF or in LF alone)
//! <p>content
//! ```
//!
//! No I/O: octets in, as they come, and a head or a fault out. Output that could be read in two
//! ways, or could add a line to what goes to the client, is a fault. The response is then 502,
//! never a split one. So is a section without any field of a response: text that was printed without
//! a header section, such as PHP's `Warning: …`, may look like field lines.

use memchr::memchr;

use crate::http::field_list::FieldList;
use crate::http::field_roles::{FieldRule, Setter};
use crate::http::fields::is_token;
use crate::http::list::trim;
use crate::http::response::FieldLines;
use crate::http::status::Status;

/// The longest header section that is taken, in octets. Honest ones are far shorter.
pub(crate) const MAX_HEADER_SECTION: usize = 64 * 1024;

/// Splits a script's output into a header section and content.
#[derive(Debug, Default)]
pub(crate) struct HeaderSection {
    /// The output so far.
    output: Vec<u8>,
    /// Where the first line begins that has not been parsed.
    line_start: usize,
    /// How far the end of that line has been searched for.
    searched: usize,
    fields: FieldList,
}

/// The meaning of a header section.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ScriptAnswer {
    Response(ScriptHead),
    /// The response is the one to a GET of another target on this server (RFC 3875 §6.2.2).
    LocalRedirect(String),
}

/// The head of a script's response, and the content that came with it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ScriptHead {
    pub(crate) status: Status,
    /// Fields for the client, and fields for the server, which [`take_field`](Self::take_field)
    /// takes out.
    pub(crate) fields: FieldList,
    /// Octets of content, if the script says how many.
    pub(crate) length: Option<u64>,
    /// The content's first octets, which came with the head.
    pub(crate) content: Vec<u8>,
}

/// Why output is no response. The script's fault: 502.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ScriptError {
    #[error("its output ended before its header section did")]
    Incomplete,
    #[error("its header section is longer than {MAX_HEADER_SECTION} bytes")]
    TooLong,
    #[error(
        "its output begins with a status line of HTTP, as of a script with non-parsed headers; it is to begin with \"Status:\""
    )]
    NonParsedHeaders,
    #[error("{0:?} in its header section is no field line")]
    NoFieldLine(String),
    #[error("the value of its field {0} holds a control character")]
    InvalidValue(String),
    #[error("its field {0} stands there twice")]
    Repeated(&'static str),
    #[error("its Status {0:?} is not a status from 200 to 999")]
    InvalidStatus(String),
    #[error("its Content-Length {0:?} is no length")]
    InvalidLength(String),
    #[error("its Location {0:?} is no target")]
    InvalidLocation(String),
    #[error(
        "its header section has no field of a response: neither Content-Type nor Location nor Status, nor another one"
    )]
    NoResponseField,
}

impl HeaderSection {
    /// Takes further `output`. Returns the answer once its header section is complete.
    ///
    /// # Errors
    /// The first fault. Nothing that follows it can be trusted.
    pub(crate) fn push(&mut self, output: &[u8]) -> Result<Option<ScriptAnswer>, ScriptError> {
        self.output.extend_from_slice(output);
        while let Some(at) = memchr(b'\n', &self.output[self.searched..]) {
            let end = self.searched + at + 1;
            if end > MAX_HEADER_SECTION {
                return Err(ScriptError::TooLong);
            }
            let line = &self.output[self.line_start..end - 1];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            (self.line_start, self.searched) = (end, end);
            if line.is_empty() {
                let content = self.output.split_off(end);
                return answer(std::mem::take(&mut self.fields), content).map(Some);
            }
            let (name, value) = parse_line(line)?;
            self.fields.push(name, value);
        }
        self.searched = self.output.len();
        if self.searched > MAX_HEADER_SECTION {
            return Err(ScriptError::TooLong);
        }
        Ok(None)
    }
}

impl ScriptHead {
    /// The field lines for the client.
    pub(crate) fn field_lines(&self) -> FieldLines {
        self.fields.encode()
    }

    /// Takes every line of a field out that is for this server and not for the client. Returns the
    /// value of the first one.
    pub(crate) fn take_field(&mut self, name: &str) -> Option<Vec<u8>> {
        let first = self.fields.take(name);
        self.fields.retain(|line| !line.is_named(name));
        first
    }
}

/// Parses a field line into its name and its value. A folded line (RFC 9112 §5.2) is none, nor is a
/// line with a blank before the colon.
fn parse_line(line: &[u8]) -> Result<(String, &[u8]), ScriptError> {
    if line.starts_with(b"HTTP/") {
        return Err(ScriptError::NonParsedHeaders);
    }
    let no_field_line = || ScriptError::NoFieldLine(excerpt(line));
    let colon = memchr(b':', line).ok_or_else(no_field_line)?;
    let (name, value) = (&line[..colon], trim(&line[colon + 1..]));
    if !is_token(name) {
        return Err(no_field_line());
    }
    let name = String::from_utf8_lossy(name).into_owned();
    // RFC 9110 §5.5: none of them may be passed on, whatever it would do there.
    let is_control = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
    if value.iter().any(is_control) {
        return Err(ScriptError::InvalidValue(name));
    }
    Ok((name, value))
}

/// The meaning of the fields of a complete section; `content` came with it.
fn answer(mut fields: FieldList, content: Vec<u8>) -> Result<ScriptAnswer, ScriptError> {
    let status = take_only(&mut fields, "Status")?;
    let length = take_only(&mut fields, "Content-Length")?;
    let length = length.map(|value| parse_length(&value)).transpose()?;
    let location = only(&fields, "Location")?.map(<[u8]>::to_vec);
    let content_type = only(&fields, "Content-Type")?;
    let says_no_type = content_type.is_some_and(<[u8]>::is_empty);
    if status.is_none() && !fields.iter().any(|line| is_of_response(&line.name)) {
        return Err(ScriptError::NoResponseField);
    }
    // RFC 3875 §6.3.1: if the script gives no type, the server does not guess one. No type is not the empty one.
    if says_no_type {
        fields.retain(|line| !line.is_named("Content-Type"));
    }
    // Removes fields that every response of this server has, and those of the connection and the
    // framing.
    fields.retain(|line| FieldRule::of(&line.name).may_be_set_by(Setter::Script));
    let status = match (status, location) {
        (Some(status), _) => parse_status(&status)?,
        (None, Some(location)) => {
            if is_local(&location) && is_alone(&fields) {
                return local_redirect(&location);
            }
            Status::FOUND
        }
        (None, None) => Status::OK,
    };
    Ok(ScriptAnswer::Response(ScriptHead {
        status,
        fields,
        length,
        content,
    }))
}

/// Whether scripts give a field of that name with their responses. `Warning` is left out: the messages of PHP begin
/// so.
fn is_of_response(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "Location",
        "Set-Cookie",
        "Cache-Control",
        "Expires",
        "Pragma",
        "ETag",
        "Last-Modified",
        "Vary",
        "Link",
        "Refresh",
        "Retry-After",
        "Allow",
        "WWW-Authenticate",
        "Accept-Ranges",
        "Referrer-Policy",
        "Permissions-Policy",
        "Strict-Transport-Security",
    ];
    const PREFIXES: &[&str] = &["X-", "Content-", "Access-Control-", "Cross-Origin-"];
    let begins_with = |prefix: &&str| {
        let start = name.get(..prefix.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    PREFIXES.iter().any(begins_with) || NAMES.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// Whether a `Location` is a path of this server. `//host/path` is another server's (RFC 3986
/// §4.2).
fn is_local(location: &[u8]) -> bool {
    location.starts_with(b"/") && !location.starts_with(b"//")
}

/// Whether there is no field beside `Location` that the client would miss, such as `Set-Cookie`. If
/// there is one, the client itself is redirected.
fn is_alone(fields: &FieldList) -> bool {
    fields
        .iter()
        .all(|line| line.is_named("Location") || line.is_named("Content-Type"))
}

fn local_redirect(location: &[u8]) -> Result<ScriptAnswer, ScriptError> {
    match String::from_utf8(location.to_vec()) {
        Ok(target) if target.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Ok(ScriptAnswer::LocalRedirect(target))
        }
        _ => Err(ScriptError::InvalidLocation(excerpt(location))),
    }
}

/// Parses `404 Not Found`, or `404`; the reason is ignored.
fn parse_status(value: &[u8]) -> Result<Status, ScriptError> {
    let code = value.split(|byte| *byte == b' ').next().unwrap_or_default();
    let status = match code {
        [_, _, _] => str::from_utf8(code).ok().and_then(|code| code.parse().ok()),
        _ => None,
    };
    status
        .and_then(Status::from_code)
        .filter(|status| !status.is_interim())
        .ok_or_else(|| ScriptError::InvalidStatus(excerpt(value)))
}

fn parse_length(value: &[u8]) -> Result<u64, ScriptError> {
    let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let digits = str::from_utf8(value).ok().filter(|_| is_number);
    digits
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| ScriptError::InvalidLength(excerpt(value)))
}

/// The value of a field that may be there once.
fn only<'f>(fields: &'f FieldList, name: &'static str) -> Result<Option<&'f [u8]>, ScriptError> {
    let mut found = fields.iter().filter(|line| line.is_named(name));
    match (found.next(), found.next()) {
        (Some(_), Some(_)) => Err(ScriptError::Repeated(name)),
        (found, _) => Ok(found.map(|line| &line.value[..])),
    }
}

/// As [`only`], and takes the field out.
fn take_only(fields: &mut FieldList, name: &'static str) -> Result<Option<Vec<u8>>, ScriptError> {
    let value = only(fields, name)?.map(<[u8]>::to_vec);
    fields.retain(|line| !line.is_named(name));
    Ok(value)
}

/// The beginning of `octets`, short enough for a line in the log.
fn excerpt(octets: &[u8]) -> String {
    const LONGEST: usize = 80;
    String::from_utf8_lossy(&octets[..octets.len().min(LONGEST)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(output: &[u8]) -> Result<Option<ScriptAnswer>, ScriptError> {
        HeaderSection::default().push(output)
    }

    /// The status, field lines, given length and content, or the target of a local redirect.
    fn told(output: &str) -> String {
        match read(output.as_bytes())
            .expect("it is right")
            .expect("it is whole")
        {
            ScriptAnswer::LocalRedirect(target) => format!("to {target}"),
            ScriptAnswer::Response(head) => {
                let lines = String::from_utf8(head.field_lines().into_bytes()).expect("text");
                let length = head
                    .length
                    .map_or("-".to_owned(), |length| length.to_string());
                let content = String::from_utf8(head.content).expect("text");
                let code = head.status.code();
                format!("{code} [{}] {length} {content}", lines.replace("\r\n", ";"))
            }
        }
    }

    #[test]
    fn reads_what_a_script_answers() {
        for (output, expected) in [
            (
                "Content-Type: text/plain\n\nhi",
                "200 [Content-Type: text/plain;] - hi",
            ),
            (
                "Content-Type: a/b\r\n\r\nhi",
                "200 [Content-Type: a/b;] - hi",
            ),
            (
                "content-type:a/b\r\n\nhi\n\n",
                "200 [content-type: a/b;] - hi\n\n",
            ),
            ("Status: 404 Not Found\n\n", "404 [] - "),
            ("Status: 201\nX-A: 1\nX-A: 2\n\n", "201 [X-A: 1;X-A: 2;] - "),
            (
                "Content-Type: a/b\nContent-Length: 2\n\nhi",
                "200 [Content-Type: a/b;] 2 hi",
            ),
            ("Status: 200\nX: \u{e9}\t.\n\n", "200 [X: \u{e9}\t.;] - "),
            ("Status: 200\nX:\n\n", "200 [X: ;] - "),
            // PHP with `default_mimetype = ""`, and `header('Content-Type:')`.
            (
                "X-Powered-By: PHP/8.2\n\nhi",
                "200 [X-Powered-By: PHP/8.2;] - hi",
            ),
            ("set-cookie: a=b\n\nhi", "200 [set-cookie: a=b;] - hi"),
            ("Content-Type:\nX: y\n\nhi", "200 [X: y;] - hi"),
            (
                "Status: 200\nConnection: close\nkeep-alive: 1\nTransfer-Encoding: chunked\nTE: x\nTrailer: x\nUpgrade: x\nProxy-Connection: x\nProxy-Authenticate: x\nDate: x\nServer: x\nX: y\nProxy-Status: x\n\n",
                "200 [X: y;Proxy-Status: x;] - ",
            ),
        ] {
            assert_eq!(told(output), expected, "{output:?}");
        }
    }

    #[test]
    fn a_location_leads_the_server_or_the_client() {
        for (output, expected) in [
            ("Location: /a?b=%20\n\n", "to /a?b=%20"),
            ("Location: /a\nContent-Type: text/html\n\nlost", "to /a"),
            ("Location: /a\nConnection: close\n\n", "to /a"),
            (
                "Location: /a\nSet-Cookie: b\n\n",
                "302 [Location: /a;Set-Cookie: b;] - ",
            ),
            ("Status: 303\nLocation: /a\n\n", "303 [Location: /a;] - "),
            ("Location: http://a/\n\n", "302 [Location: http://a/;] - "),
            ("Location: //a/\n\n", "302 [Location: //a/;] - "),
            (
                "Location: a\nContent-Type: b/c\n\nd",
                "302 [Location: a;Content-Type: b/c;] - d",
            ),
        ] {
            assert_eq!(told(output), expected, "{output:?}");
        }
    }

    #[test]
    fn refuses_what_is_no_answer() {
        use ScriptError::*;
        let no_field_line = |line: &str| NoFieldLine(line.to_owned());
        for (output, expected) in [
            ("\n", NoResponseField),
            ("X: y\n\n", NoResponseField),
            ("Dear: reader\n\n", NoResponseField),
            ("Warning: Undefined variable $a\n\n", NoResponseField),
            (
                "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n\r\n",
                NonParsedHeaders,
            ),
            (
                "Traceback (most recent call last)\n",
                no_field_line("Traceback (most recent call last)"),
            ),
            ("Content-Type : a/b\n", no_field_line("Content-Type : a/b")),
            (" X: y\n", no_field_line(" X: y")),
            (": y\n", no_field_line(": y")),
            ("X\u{e9}: y\n", no_field_line("X\u{e9}: y")),
            ("X: a\rSet-Cookie: b\n", InvalidValue("X".to_owned())),
            ("X: a\0\n", InvalidValue("X".to_owned())),
            ("X: a\x1b[2J\n", InvalidValue("X".to_owned())),
            ("X: a\x08\n", InvalidValue("X".to_owned())),
            ("Location: /a\x7f\n", InvalidValue("Location".to_owned())),
            ("Status: 200\nStatus: 404\n\n", Repeated("Status")),
            ("Location: /a\nlocation: /b\n\n", Repeated("Location")),
            (
                "Content-Type: a/b\nContent-Type: a/c\n\n",
                Repeated("Content-Type"),
            ),
            ("Status: 20\n\n", InvalidStatus("20".to_owned())),
            ("Status: OK\n\n", InvalidStatus("OK".to_owned())),
            ("Status: 100\n\n", InvalidStatus("100".to_owned())),
            ("Status: +20\n\n", InvalidStatus("+20".to_owned())),
            (
                "Status: 200\nContent-Length: 1, 1\n\n",
                InvalidLength("1, 1".to_owned()),
            ),
            (
                "Status: 200\nContent-Length: +1\n\n",
                InvalidLength("+1".to_owned()),
            ),
            (
                "Status: 200\nContent-Length: 1\nContent-Length: 1\n\n",
                Repeated("Content-Length"),
            ),
            ("Location: /a b\n\n", InvalidLocation("/a b".to_owned())),
        ] {
            assert_eq!(read(output.as_bytes()), Err(expected), "{output:?}");
        }
    }

    #[test]
    fn a_section_has_a_greatest_length() {
        let of_length = |length: usize| {
            let start = "Status: 200\nX: ";
            format!("{start}{}\n\n", "x".repeat(length - start.len() - 2))
        };
        let longest = of_length(MAX_HEADER_SECTION);
        assert!(matches!(read(longest.as_bytes()), Ok(Some(_))));
        let too_long = of_length(MAX_HEADER_SECTION + 1);
        assert_eq!(read(too_long.as_bytes()), Err(ScriptError::TooLong));
        let endless = vec![b'x'; MAX_HEADER_SECTION + 1];
        assert_eq!(read(&endless), Err(ScriptError::TooLong));
        assert_eq!(read(&endless[1..]), Ok(None));
    }

    #[test]
    fn a_field_for_the_server_is_taken_out() {
        let answer = read(b"Status: 200\nX-Sendfile: /a\nX: y\nX-SENDFILE: /b\n\n");
        let Ok(Some(ScriptAnswer::Response(mut head))) = answer else {
            panic!("{answer:?}")
        };
        assert_eq!(head.take_field("x-sendfile").as_deref(), Some(&b"/a"[..]));
        assert_eq!(head.take_field("x-sendfile"), None);
        assert_eq!(head.field_lines().as_bytes(), b"X: y\r\n");
    }

    proptest! {
        #[test]
        fn every_split_gives_the_same_answer(
            output in "((Status: 20[0-9]|Location: /?[a-z]|X: y|Content-Length: 3|[ -~\r]{0,9})\r?\n){0,4}\n?[a-z\n]{0,6}",
            at in any::<prop::sample::Index>(),
        ) {
            let output = output.as_bytes();
            let whole = read(output);
            let (first, second) = output.split_at(at.index(output.len() + 1));
            let mut section = HeaderSection::default();
            let split = match section.push(first) {
                Ok(None) => section.push(second),
                Ok(Some(ScriptAnswer::Response(mut head))) => {
                    head.content.extend_from_slice(second);
                    Ok(Some(ScriptAnswer::Response(head)))
                }
                done => done,
            };
            prop_assert_eq!(split, whole);
        }

        #[test]
        fn no_output_splits_a_response(output in proptest::collection::vec(any::<u8>(), 0..200)) {
            let output = [b"Status: 200\n", &output[..], b"\n\n"].concat();
            if let Ok(Some(ScriptAnswer::Response(head))) = read(&output) {
                let lines = head.field_lines().into_bytes();
                for line in lines.split_inclusive(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                    let line = line.strip_suffix(b"\r\n").expect("whole lines");
                    prop_assert!(!line.contains(&b'\r') && line.contains(&b':'));
                }
            }
        }
    }
}
