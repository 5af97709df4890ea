//! A listing as a plain table, for a terminal. The name is the last column, so that no column's
//! width depends on rows that are still to come.

use std::fmt::Display;
use std::io::{self, Write};

use super::display::{HumanSize, UtcTime, name_characters};
use super::entry::{Entry, EntryKind};

pub(super) fn write_head(out: &mut Vec<u8>) -> io::Result<()> {
    write_columns(&"MODIFIED (UTC)", &"SIZE", out)?;
    out.write_all(b"NAME\n")
}

pub(super) fn write_row(entry: &Entry, out: &mut Vec<u8>) -> io::Result<()> {
    let modified = entry.modified.and_then(UtcTime::from_system);
    let modified = modified.map(|time| format!("{} {}", time.date(), time.clock()));
    let size = entry.size.map(|bytes| HumanSize(bytes).to_string());
    let known = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    write_columns(&known(modified), &known(size), out)?;
    for character in name_characters(&entry.name) {
        write!(out, "{character}")?;
    }
    let is_directory = entry.kind == EntryKind::Directory;
    out.write_all(if is_directory { b"/\n" } else { b"\n" })
}

fn write_columns(modified: &dyn Display, size: &dyn Display, out: &mut Vec<u8>) -> io::Result<()> {
    write!(out, "{modified:<16}  {size:>10}  ")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{directory, file, render, unreadable};
    use crate::message::format::Format;

    #[test]
    fn a_table_whose_columns_line_up() {
        let entries = vec![unreadable(b"x\x1b[2J"), file(b"a b.txt"), directory(b"sub")];
        let expected = [
            "MODIFIED (UTC)          SIZE  NAME",
            "2026-11-22 23:54           -  sub/",
            "2026-11-22 23:54     1.5 KiB  a b.txt",
            "-                          -  x\u{241b}[2J\n",
        ];
        let listing = render(Format::Text, "/", entries);
        assert_eq!(listing, expected.join("\n"));
    }
}
