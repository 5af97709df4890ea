//! Responses, parsed as far as tests need it, and strictly where the framing is concerned.

use std::io::BufRead;

/// A response as it came off the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// As it stands in the status line: `HTTP/1.1`.
    pub(crate) version: String,
    /// In their order, with names as they were sent.
    pub(crate) fields: Vec<(String, String)>,
    /// Without the chunked coding.
    pub(crate) content: Vec<u8>,
    /// The trailer section, a line each.
    pub(crate) trailers: Vec<String>,
}

impl Response {
    /// Reads the next response, an interim one included. `None` if the connection ends before its
    /// first byte. A response to HEAD has no content, whatever its fields say.
    ///
    /// # Panics
    /// If what is read is not a complete response.
    pub(super) fn read(from: &mut impl BufRead, is_to_head: bool) -> Option<Self> {
        let mut response = Self::read_head(from)?;
        if !is_to_head && response.has_content() {
            response.read_content(from);
        }
        Some(response)
    }

    /// Reads the status line and the fields alone.
    pub(super) fn read_head(from: &mut impl BufRead) -> Option<Self> {
        let status_line = read_line(from)?;
        let (version, rest) = status_line.split_once(' ').expect("a status line");
        let (status, _reason) = rest.split_once(' ').expect("a status and a reason");
        let fields = std::iter::from_fn(|| Some(read_line(from).expect("the end of the head")))
            .take_while(|line| !line.is_empty())
            .map(|line| {
                let (name, value) = line.split_once(": ").expect("a field line");
                (name.to_owned(), value.to_owned())
            })
            .collect();
        Some(Self {
            status: status
                .parse()
                .unwrap_or_else(|_| panic!("no status: {status_line:?}")),
            version: version.to_owned(),
            fields,
            content: Vec::new(),
            trailers: Vec::new(),
        })
    }

    fn has_content(&self) -> bool {
        self.status >= 200 && !matches!(self.status, 204 | 304)
    }

    fn read_content(&mut self, from: &mut impl BufRead) {
        match (self.field("Transfer-Encoding"), self.content_length()) {
            (Some("chunked"), None) => (self.content, self.trailers) = read_chunks(from),
            (None, Some(length)) => self.content = read_exactly(from, length),
            (None, None) => {
                from.read_to_end(&mut self.content)
                    .expect("content up to the end of the connection");
            }
            ambiguous => panic!("framed as {ambiguous:?}"),
        }
    }

    /// The value of the one field line of that name.
    ///
    /// # Panics
    /// If there are several: no response of the server repeats a field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut values = self
            .fields
            .iter()
            .filter(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str());
        let value = values.next();
        assert_eq!(values.next(), None, "{name} is repeated");
        value
    }

    pub(crate) fn content_length(&self) -> Option<usize> {
        self.field("Content-Length")
            .map(|value| value.parse().expect("a number"))
    }

    /// Every field but `Date`, which may differ between two equal responses.
    pub(crate) fn fields_but_date(&self) -> Vec<&(String, String)> {
        self.fields
            .iter()
            .filter(|(name, _)| name != "Date")
            .collect()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.content).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.content).expect("JSON")
    }

    /// Whether the server says that it closes the connection.
    pub(crate) fn says_close(&self) -> bool {
        self.field("Connection") == Some("close")
    }
}

/// A line without its CRLF; `None` at the end of the connection.
fn read_line(from: &mut impl BufRead) -> Option<String> {
    let mut line = Vec::new();
    let count = from.read_until(b'\n', &mut line).expect("a line in time");
    if count == 0 {
        return None;
    }
    let line = line
        .strip_suffix(b"\r\n")
        .unwrap_or_else(|| panic!("cut off: {line:?}"));
    Some(String::from_utf8_lossy(line).into_owned())
}

fn read_exactly(from: &mut impl BufRead, length: usize) -> Vec<u8> {
    let mut content = vec![0; length];
    from.read_exact(&mut content)
        .expect("as much content as was said");
    content
}

/// Reads the chunked coding (RFC 9112 §7.1), without extensions: the server sends none. Returns the content,
/// and the lines of the trailer section.
fn read_chunks(from: &mut impl BufRead) -> (Vec<u8>, Vec<String>) {
    let mut content = Vec::new();
    loop {
        let size = read_line(from).expect("a chunk size");
        let size = usize::from_str_radix(&size, 16).expect("a hexadecimal number");
        if size == 0 {
            break;
        }
        content.extend(read_exactly(from, size));
        assert_eq!(read_line(from).as_deref(), Some(""), "a chunk ends in CRLF");
    }
    let line = || Some(read_line(from).expect("the end of the trailer section"));
    let trailers = std::iter::from_fn(line).take_while(|line| !line.is_empty());
    let trailers = trailers.collect();
    (content, trailers)
}
