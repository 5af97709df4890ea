//! Reading a directory for its listing. It may wait for the disk, so it runs on the blocking pool.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};

use rustix::fs::{AtFlags, Dir, FileType};

use super::listing::{Entry, EntryKind};
use crate::disk::beneath::{Opened, Root, Waiting, is_hidden};
use crate::disk::identity::{Identity, Kind};

/// The entries of the directory at `path` (which ends in `/`) beneath `root`, in no order. Entries
/// that serving would refuse are left out; entries that cannot be looked at are named all the same.
///
/// # Errors
/// If the directory itself cannot be read.
pub(super) fn read(root: &Root, path: &[u8]) -> io::Result<Vec<Entry>> {
    let directory = open(root, path)?;
    entries(root, path, &directory)
}

/// Opens the directory at `path` (which ends in `/`) beneath `root`.
///
/// # Errors
/// As [`read`].
pub(super) fn open(root: &Root, path: &[u8]) -> io::Result<Opened> {
    let relative = path.strip_prefix(b"/").unwrap_or(path);
    let relative = relative.strip_suffix(b"/").unwrap_or(relative);
    root.open_beneath(relative, Waiting::Allowed)
}

/// The entries of `directory`, which is open and stands at `path`, as [`read`] gives them.
///
/// # Errors
/// As there.
pub(super) fn entries(root: &Root, path: &[u8], directory: &Opened) -> io::Result<Vec<Entry>> {
    let relative = path.strip_prefix(b"/").unwrap_or(path);
    let mut entries = Vec::new();
    for entry in Dir::read_from(&directory.fd)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if matches!(name, b"." | b"..") || is_hidden(&[path, name].concat()) {
            continue;
        }
        let looked_at = match entry.file_type() {
            // What the link leads to decides, and whether it may lead there.
            FileType::Symlink | FileType::Unknown => {
                let path = [relative, name].concat();
                match root.find(&path, Waiting::Allowed) {
                    Ok(found) => Ok(found),
                    Err(_) => continue,
                }
            }
            _ => state(directory.fd.as_fd(), entry.file_name()),
        };
        match looked_at {
            Ok((Kind::Other, _)) => {}
            looked_at => entries.push(row(name, entry.file_type(), looked_at.ok())),
        }
    }
    Ok(entries)
}

fn state(directory: BorrowedFd<'_>, name: &std::ffi::CStr) -> io::Result<(Kind, Identity)> {
    let state = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok((Kind::of(&state), Identity::of(&state)))
}

fn row(name: &[u8], file_type: FileType, looked_at: Option<(Kind, Identity)>) -> Entry {
    let kind = match (looked_at, file_type) {
        (Some((Kind::Directory, _)), _) | (None, FileType::Directory) => EntryKind::Directory,
        (Some((Kind::File, _)), _) | (None, FileType::RegularFile) => EntryKind::File,
        _ => EntryKind::Other,
    };
    let identity = looked_at.map(|(_, identity)| identity);
    Entry {
        name: name.to_vec(),
        kind,
        size: identity
            .filter(|_| kind == EntryKind::File)
            .map(|identity| identity.size),
        modified: identity.map(Identity::modified_time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::Links;
    use crate::test_support::TemporaryDirectory;

    #[test]
    fn shows_what_serving_would_find() {
        let tree = TemporaryDirectory::new("directory");
        for file in [
            "root/a.txt",
            "root/sub/b.txt",
            "root/.env",
            "root/.well-known/x",
            "outside.txt",
        ] {
            tree.write(file, b"12345");
        }
        for (link, target) in [
            ("in", "a.txt"),
            ("out", "../outside.txt"),
            ("dangling", "nowhere"),
            ("insub", "sub"),
        ] {
            std::os::unix::fs::symlink(target, tree.path().join("root").join(link))
                .expect("a link");
        }
        let root = Root::open(&tree.path().join("root"), &Links::Inside, Waiting::Allowed)
            .expect("it is there");
        let mut found: Vec<_> = read(&root, b"/")
            .expect("it can be read")
            .into_iter()
            .map(|entry| {
                (
                    String::from_utf8(entry.name).expect("text"),
                    entry.kind,
                    entry.size,
                )
            })
            .collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        let expected = [
            (".well-known", EntryKind::Directory, None),
            ("a.txt", EntryKind::File, Some(5)),
            ("in", EntryKind::File, Some(5)),
            ("insub", EntryKind::Directory, None),
            ("sub", EntryKind::Directory, None),
        ];
        assert_eq!(
            found,
            expected.map(|(name, kind, size)| (name.to_owned(), kind, size))
        );
        assert_eq!(read(&root, b"/sub/").expect("it can be read").len(), 1);
        assert!(read(&root, b"/nothing/").is_err());
    }
}
