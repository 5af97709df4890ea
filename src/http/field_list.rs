//! Field lines as a value that is changed before it is sent (RFC 9110 §5).
//!
//! Three forms of field lines, each for one use:
//!
//! | form | what it is | who has it |
//! |---|---|---|
//! | [`Fields`](super::fields::Fields) | lines of a request, borrowed from its bytes | code that reads a request |
//! | [`FieldList`] | names and values, owned | code that makes or changes the fields of a response |
//! | [`FieldLines`] | encoded lines | what is prepared once and sent often, and the encoder |
//!
//! A list is parsed once ([`FieldList::parse`]), changed, and encoded once ([`FieldList::encode`]).

use std::borrow::Cow;

use super::list::{self, trim};
use super::response::FieldLines;

/// Field lines in their order. Names are compared without regard to case (RFC 9110 §5.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldList(Vec<FieldLine>);

/// One field line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FieldLine {
    /// As its maker wrote it.
    pub(crate) name: String,
    /// Without the white space around it.
    pub(crate) value: Vec<u8>,
}

/// Encoded lines one by one, each with its line end.
// Faster than octet by octet: all fields of a response are looked at where the operator changes some.
#[inline]
pub(crate) fn lines_of(mut fields: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let end = memchr::memchr(b'\n', fields).map_or(fields.len(), |end| end + 1);
        let (line, rest) = fields.split_at(end);
        fields = rest;
        (!line.is_empty()).then_some(line)
    })
}

/// The name and the value of an encoded line, without the white space around the value.
#[inline]
pub(crate) fn name_and_value(line: &[u8]) -> (&[u8], &[u8]) {
    let colon = memchr::memchr(b':', line).unwrap_or(line.len());
    let value = line.get(colon + 1..).unwrap_or_default();
    (&line[..colon], trim(value.trim_ascii_end()))
}

impl FieldLine {
    pub(crate) fn is_named(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The value as text, to be shown.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.value)
    }
}

impl FieldList {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Takes encoded lines apart, as [`FieldLines`] holds them. The empty line that ends a head is none.
    pub(crate) fn parse(lines: &[u8]) -> Self {
        let line = |line| {
            let (name, value) = name_and_value(line);
            FieldLine {
                name: String::from_utf8_lossy(name).into_owned(),
                value: value.to_vec(),
            }
        };
        let is_field = |line: &&[u8]| line.contains(&b':');
        Self(lines_of(lines).filter(is_field).map(line).collect())
    }

    /// Encodes the lines. A byte that could end a line becomes a space; see [`FieldLines::push`].
    pub(crate) fn encode(&self) -> FieldLines {
        let mut lines = FieldLines::new();
        for FieldLine { name, value } in &self.0 {
            lines.push(name, value);
        }
        lines
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, FieldLine> {
        self.0.iter()
    }

    /// Whether there is a line of that name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// The value of the first line of that name.
    pub(crate) fn find(&self, name: &str) -> Option<&[u8]> {
        let found = self.0.iter().find(|line| line.is_named(name));
        found.map(|line| &line.value[..])
    }

    /// The value of the first line of that name, to be changed in place.
    pub(crate) fn find_mut(&mut self, name: &str) -> Option<&mut Vec<u8>> {
        let found = self.0.iter_mut().find(|line| line.is_named(name));
        found.map(|line| &mut line.value)
    }

    /// Adds a line behind the others.
    pub(crate) fn push(&mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) {
        self.0.push(FieldLine {
            name: name.into(),
            value: value.into(),
        });
    }

    /// Adds to `Vary` what `names`, a value of that field, names in addition (RFC 9110 §12.5.5).
    pub(crate) fn vary_by(&mut self, names: &[u8]) {
        match self.find_mut("Vary") {
            Some(vary) => *vary = list::union(&[vary, names]),
            None => self.push("Vary", names),
        }
    }

    /// Takes the first line of that name out, and returns its value.
    pub(crate) fn take(&mut self, name: &str) -> Option<Vec<u8>> {
        let at = self.0.iter().position(|line| line.is_named(name))?;
        Some(self.0.remove(at).value)
    }

    /// Keeps the lines for which `is_kept` is true.
    pub(crate) fn retain(&mut self, mut is_kept: impl FnMut(&FieldLine) -> bool) {
        self.0.retain(|line| is_kept(line));
    }
}

impl<N: Into<String>, V: Into<Vec<u8>>> FromIterator<(N, V)> for FieldList {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(lines: I) -> Self {
        let mut list = Self::new();
        for (name, value) in lines {
            list.push(name, value);
        }
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_parsed_to_the_same() {
        let list: FieldList = [
            ("ETag", "\"1\""),
            ("Link", "<a>"),
            ("Link", "<b>"),
            ("X", ""),
        ]
        .into_iter()
        .collect();
        let lines = list.encode();
        assert_eq!(
            lines.as_bytes(),
            b"ETag: \"1\"\r\nLink: <a>\r\nLink: <b>\r\nX: \r\n"
        );
        assert_eq!(FieldList::parse(lines.as_bytes()), list);
        assert_eq!(FieldList::parse(b""), FieldList::new());
    }

    #[test]
    fn names_are_compared_without_regard_to_case() {
        let mut list: FieldList = [("a", "1"), ("B", "2"), ("A", "3")].into_iter().collect();
        assert_eq!(list.find("A"), Some(&b"1"[..]));
        assert!(list.has("b") && !list.has("c"));
        assert_eq!(list.take("A"), Some(b"1".to_vec()));
        assert_eq!(list.find("a"), Some(&b"3"[..]));
        list.retain(|line| !line.is_named("b"));
        assert_eq!(list.iter().count(), 1);
    }

    #[test]
    fn no_value_adds_a_line() {
        let list: FieldList = [("X", "a\r\nSet-Cookie: b")].into_iter().collect();
        assert_eq!(list.encode().as_bytes(), b"X: a  Set-Cookie: b\r\n");
    }
}
