//! Names in archives, and the name of an archive itself.
//!
//! A name in an archive becomes a path on the machine of a reader, whatever that machine is. So it is relative,
//! begins with the name of the directory, and holds nothing that some program takes for a separator, or a
//! terminal for a command.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

/// The name of the root's archive: its path has none.
const ROOT: &str = "files";

/// The most octets of a name that a client writes: no directory on a disk has a longer one, and each entry of an
/// archive repeats it.
const MAX_NAME: usize = 255;

/// What `filename*` encodes: all but `attr-char` (RFC 8187 §3.2.1).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// The name of the directory at `path`, as clients see the path, for use in an archive.
pub(super) fn of_directory(path: &[u8]) -> String {
    let path = path.strip_suffix(b"/").unwrap_or(path);
    let name = path.rsplit(|octet| *octet == b'/').next();
    match name {
        None | Some(b"") => ROOT.to_owned(),
        Some(name) => clean(&name[..name.len().min(MAX_NAME)]),
    }
}

/// The name of a file or directory, which holds no slash, for use in an archive: UTF-8, and without what is a
/// separator elsewhere.
pub(super) fn clean(name: &[u8]) -> String {
    let visible = |character: char| match character {
        '\\' | '/' => '_',
        _ if character.is_control() => '_',
        _ => character,
    };
    String::from_utf8_lossy(name).chars().map(visible).collect()
}

/// The value of `Content-Disposition` that has a browser save the content as `file` (RFC 6266). The first form of
/// the name is for clients that do not know the second.
pub(super) fn attachment(file: &str) -> String {
    let plain = |character: char| match character {
        ' '..='~' if !matches!(character, '"' | '\\' | '%') => character,
        _ => '_',
    };
    let plain: String = file.chars().map(plain).collect();
    let encoded = percent_encode(file.as_bytes(), ENCODED);
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_called_as_its_directory() {
        for (path, name) in [
            (&b"/"[..], "files"),
            (b"/a/", "a"),
            (b"/a/b c/", "b c"),
            ("/gr\u{fc}\u{df}e/".as_bytes(), "gr\u{fc}\u{df}e"),
            (b"/a\\..\\b/", "a_.._b"),
            (b"/\x1b[2J\xff/", "_[2J\u{fffd}"),
        ] {
            assert_eq!(of_directory(path), name);
        }
        // A client may write a path that is longer than any name on a disk, where a route drops a part of it.
        let long = [b'x'; 8000];
        assert_eq!(of_directory(&long), "x".repeat(MAX_NAME));
    }

    #[test]
    fn the_name_is_told_in_both_forms() {
        for (file, expected) in [
            (
                "a.zip",
                "attachment; filename=\"a.zip\"; filename*=UTF-8''a.zip",
            ),
            (
                "gr\u{fc}n \"%.zip",
                "attachment; filename=\"gr_n __.zip\"; filename*=UTF-8''gr%C3%BCn%20%22%25.zip",
            ),
        ] {
            assert_eq!(attachment(file), expected);
        }
    }
}
