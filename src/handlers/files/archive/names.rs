//! Names in archives, and the name of an archive itself.
//!
//! A name in an archive becomes a path on the machine of a reader, whatever that machine is. So it is relative,
//! begins with the name of the directory, and holds nothing that some program takes for a separator, or a
//! terminal for a command.

use std::collections::HashMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use crate::config::model::ArchiveForm;

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

/// What the entries of one directory are called in an archive: no two alike, because a program that unpacks it
/// would keep the last of them alone.
pub(super) struct Names {
    form: ArchiveForm,
    /// Each name that another one could come to, with the last number that was put to it. Empty if all entries
    /// are called as on the disk.
    taken: HashMap<String, usize>,
}

impl Names {
    /// For an archive of that form, of a directory whose entries are called `all`.
    pub(super) fn new<'n>(form: ArchiveForm, all: impl Iterator<Item = &'n [u8]>) -> Self {
        let (mut taken, mut is_any_changed) = (HashMap::new(), false);
        for name in all {
            let cleaned = clean_for(form, name);
            if cleaned.as_bytes() == name {
                taken.insert(cleaned, 1);
            } else {
                is_any_changed = true;
            }
        }
        if !is_any_changed {
            taken = HashMap::new();
        }
        Self { form, taken }
    }

    /// What the entry `name` is called in the archive. Each is asked for once.
    pub(super) fn of(&mut self, name: &[u8]) -> String {
        let cleaned = clean_for(self.form, name);
        if cleaned.as_bytes() == name {
            return cleaned;
        }
        let Some(last) = self.taken.get(&cleaned) else {
            self.taken.insert(cleaned.clone(), 1);
            return cleaned;
        };
        let mut number = *last;
        let name = loop {
            number += 1;
            let name = numbered(&cleaned, number);
            if !self.taken.contains_key(&name) {
                break name;
            }
        };
        self.taken.insert(cleaned, number);
        self.taken.insert(name.clone(), 1);
        name
    }
}

/// [`clean`], and without colons in a zip: they end the name of a drive where zip comes from.
fn clean_for(form: ArchiveForm, name: &[u8]) -> String {
    let name = clean(name);
    match form {
        ArchiveForm::Zip => portable(&name),
        ArchiveForm::TarGz => name,
    }
}

/// `name` as a zip has it.
pub(super) fn portable(name: &str) -> String {
    name.replace(':', "_")
}

/// `name` with that number, before what says its type.
pub(super) fn numbered(name: &str, number: usize) -> String {
    match name.rsplit_once('.') {
        Some((stem, ending)) if !stem.is_empty() => format!("{stem}-{number}.{ending}"),
        _ => format!("{name}-{number}"),
    }
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
    fn no_two_entries_of_a_directory_are_called_alike() {
        let all: [&[u8]; 9] = [
            b"a:b.txt",
            b"a\\b.txt",
            b"a_b.txt",
            b"plain",
            b"x\xfe",
            b"x\xff",
            b"y\\y",
            b"y_y",
            b"y_y-2",
        ];
        let [a2, a3] = ["a_b-2.txt", "a_b-3.txt"];
        for (form, first) in [
            (ArchiveForm::TarGz, ["a:b.txt", a2]),
            (ArchiveForm::Zip, [a2, a3]),
        ] {
            let mut names = Names::new(form, all.into_iter());
            let found = all.map(|name| names.of(name));
            let (x, y) = (["x\u{fffd}", "x\u{fffd}-2"], ["y_y-3", "y_y", "y_y-2"]);
            let rest = ["a_b.txt", "plain"];
            let expected = [&first[..], &rest, &x, &y].concat();
            assert_eq!(found.to_vec(), expected, "{form:?}");
        }
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
