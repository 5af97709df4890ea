//! A listing as JSON: an array of objects, one on each line.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Serialize;

use super::display::{Link, UtcTime};
use super::entry::{Entry, EntryKind};

/// A value that could not be read is `null`.
#[derive(Serialize)]
struct Row<'a> {
    /// Invalid UTF-8 becomes U+FFFD: JSON has no other strings (RFC 8259 §8.1). The `url` is exact.
    name: Cow<'a, str>,
    /// Relative to the listing.
    url: String,
    #[serde(rename = "type")]
    kind: &'static str,
    size: Option<u64>,
    modified: Option<String>,
}

pub(super) fn write_head(out: &mut Vec<u8>) -> io::Result<()> {
    out.write_all(b"[\n")
}

pub(super) fn write_row(entry: &Entry, is_last: bool, out: &mut Vec<u8>) -> io::Result<()> {
    let modified = entry.modified.and_then(UtcTime::from_system);
    let row = Row {
        name: String::from_utf8_lossy(&entry.name),
        url: Link(entry).to_string(),
        kind: kind_name(entry.kind),
        size: entry.size,
        modified: modified.map(UtcTime::iso),
    };
    serde_json::to_writer(&mut *out, &row)?;
    out.write_all(if is_last { b"\n" } else { b",\n" })
}

pub(super) fn write_foot(out: &mut Vec<u8>) -> io::Result<()> {
    out.write_all(b"]\n")
}

fn kind_name(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Directory => "directory",
        EntryKind::File => "file",
        EntryKind::Other => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{directory, file, render, unreadable};
    use crate::message::format::Format;

    /// A name that is not UTF-8 stood there with U+FFFD in it, and no client could ask for the file.
    #[test]
    fn an_array_of_objects_with_null_for_the_unknown() {
        let entries = vec![
            unreadable(b"x\xff\n\"q\""),
            file(b"a.txt"),
            directory(b"sub"),
        ];
        let expected = [
            "[",
            r#"{"name":"sub","url":"./sub/","type":"directory","size":null,"modified":"2026-11-22T23:54:10Z"},"#,
            r#"{"name":"a.txt","url":"./a.txt","type":"file","size":1536,"modified":"2026-11-22T23:54:10Z"},"#,
            r#"{"name":"x�\n\"q\"","url":"./x%FF%0A%22q%22","type":"other","size":null,"modified":null}"#,
            "]\n",
        ];
        let listing = render(Format::Json, "/", entries);
        assert_eq!(listing, expected.join("\n"));
        serde_json::from_str::<serde_json::Value>(&listing).expect("valid JSON");
    }

    #[test]
    fn an_empty_directory_is_an_empty_array() {
        assert_eq!(render(Format::Json, "/", Vec::new()), "[\n]\n");
    }
}
