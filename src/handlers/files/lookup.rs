//! From a path to the file that answers for it: index files, clean URLs, precompressed siblings,
//! and files that are there but not served.
//!
//! The same code runs on the loop, where it may not wait, and on the blocking pool.

use std::borrow::Cow;
use std::cell::Cell;
use std::io;
use std::os::fd::BorrowedFd;

use rustix::io::Errno;

use crate::config::model::Files;
use crate::disk::absence::Absence;
use crate::disk::beneath::{Links, Opened, Waiting, is_hidden, open_beneath};
use crate::disk::identity::{Identity, Kind};
use crate::http::media_type;
use crate::http::negotiation::ContentCoding;
use crate::http::path::holds_encoded_slash;

/// What a path leads to.
#[derive(Debug)]
pub(super) enum Found {
    File(FoundFile),
    /// A directory without an index file; or any directory, if the path lacks its final slash.
    Directory,
    Missing,
    /// The system does not let us read it.
    Forbidden,
}

/// A regular file, and its codings: files beside it with the same content in a coding.
#[derive(Debug)]
pub(super) struct FoundFile {
    /// The path beneath the root, with the index file's name.
    pub(super) path: Vec<u8>,
    pub(super) media_type: String,
    /// The first one is the file itself, as [`ContentCoding::Identity`].
    pub(super) codings: Vec<(ContentCoding, Opened)>,
    /// Whether the result depends only on names: at least one name was missing, no symbolic link
    /// was met, and no file was passed over because of its kind or age. Then another look finds the
    /// same until the directory changes, or one of the files in [`codings`](Self::codings).
    pub(super) depends_only_on_names: bool,
}

impl FoundFile {
    /// What must change for another look to find another file or other codings.
    pub(super) fn identities(&self) -> impl Iterator<Item = (ContentCoding, Identity)> {
        self.codings
            .iter()
            .map(|(coding, opened)| (*coding, opened.identity))
    }
}

/// Looks up `path`, which is normal and begins with `/`, beneath `root`.
///
/// # Errors
/// An error that is neither "missing" nor "forbidden": a disk that fails, descriptors that ran out.
/// `WouldBlock` if the look would have to wait and may not.
pub(super) fn look_up(
    root: BorrowedFd<'_>,
    options: &Files,
    path: &[u8],
    waiting: Waiting,
) -> io::Result<Found> {
    // No file has a slash in its name.
    if is_hidden(path) || holds_encoded_slash(path) {
        return Ok(Found::Missing);
    }
    let search = Search {
        root,
        options,
        waiting,
        name_missing: Cell::new(false),
        saw_other_than_names: Cell::new(false),
    };
    match path.strip_suffix(b"/") {
        Some(directory) => search.index_of(directory.strip_prefix(b"/").unwrap_or(directory)),
        None => search.file(&path[1..]),
    }
}

/// The path of a coding: the file's path with a suffix.
pub(super) fn coded_path(path: &[u8], coding: ContentCoding) -> Cow<'_, [u8]> {
    match coding.file_suffix() {
        Some(suffix) => Cow::Owned([path, b".", suffix.as_bytes()].concat()),
        None => Cow::Borrowed(path),
    }
}

struct Search<'a> {
    root: BorrowedFd<'a>,
    options: &'a Files,
    waiting: Waiting,
    /// Whether a name was not there.
    name_missing: Cell<bool>,
    /// Whether anything but names decided: a link, or a file of the wrong kind or age.
    saw_other_than_names: Cell<bool>,
}

/// What is at one exact path.
enum PathState {
    Opened(Opened),
    Missing,
    Forbidden,
}

impl Search<'_> {
    fn file(&self, path: &[u8]) -> io::Result<Found> {
        match self.at(path)? {
            PathState::Opened(opened) => match opened.kind {
                Kind::File => self.with_siblings(path.to_vec(), opened).map(Found::File),
                Kind::Directory => Ok(Found::Directory),
                Kind::Other => Ok(Found::Missing),
            },
            PathState::Missing if self.options.clean_urls => self.clean_url(path),
            PathState::Missing => Ok(Found::Missing),
            PathState::Forbidden => Ok(Found::Forbidden),
        }
    }

    /// Tries `a.html` for `a`.
    fn clean_url(&self, path: &[u8]) -> io::Result<Found> {
        let path = [path, b".html"].concat();
        match self.at(&path)? {
            PathState::Opened(opened) if opened.kind == Kind::File => {
                self.with_siblings(path, opened).map(Found::File)
            }
            PathState::Forbidden => Ok(Found::Forbidden),
            _ => Ok(Found::Missing),
        }
    }

    fn index_of(&self, directory: &[u8]) -> io::Result<Found> {
        for name in &self.options.index {
            let path = match directory {
                [] => name.clone().into_bytes(),
                _ => [directory, b"/", name.as_bytes()].concat(),
            };
            match self.at(&path)? {
                PathState::Opened(opened) if opened.kind == Kind::File => {
                    return self.with_siblings(path, opened).map(Found::File);
                }
                PathState::Forbidden => return Ok(Found::Forbidden),
                _ => {}
            }
        }
        match self.at(directory)? {
            PathState::Opened(opened) if opened.kind == Kind::Directory => Ok(Found::Directory),
            PathState::Forbidden => Ok(Found::Forbidden),
            _ => Ok(Found::Missing),
        }
    }

    /// Adds the codings that are not older than the file: an older coding was made from an older
    /// file.
    fn with_siblings(&self, path: Vec<u8>, opened: Opened) -> io::Result<FoundFile> {
        const CODINGS: [ContentCoding; 3] = [
            ContentCoding::Zstd,
            ContentCoding::Brotli,
            ContentCoding::Gzip,
        ];
        let media_type = media_type::for_path(&path).into_owned();
        let modified = opened.identity.modified;
        let mut codings = vec![(ContentCoding::Identity, opened)];
        if self.options.precompressed && media_type::is_compressible(&media_type) {
            for coding in CODINGS {
                match self.at(&coded_path(&path, coding))? {
                    PathState::Opened(sibling)
                        if sibling.kind == Kind::File && sibling.identity.modified >= modified =>
                    {
                        codings.push((coding, sibling));
                    }
                    PathState::Opened(_) | PathState::Forbidden => {
                        self.saw_other_than_names.set(true)
                    }
                    PathState::Missing => {}
                }
            }
        }
        Ok(FoundFile {
            path,
            media_type,
            codings,
            depends_only_on_names: self.name_missing.get() && !self.saw_other_than_names.get(),
        })
    }

    fn at(&self, path: &[u8]) -> io::Result<PathState> {
        match self.open(path) {
            Ok(opened) => Ok(PathState::Opened(opened)),
            Err(error) => match Absence::of(&error) {
                Some(Absence::NameMissing) => {
                    self.name_missing.set(true);
                    Ok(PathState::Missing)
                }
                Some(Absence::Outside | Absence::Unusable) => {
                    self.saw_other_than_names.set(true);
                    Ok(PathState::Missing)
                }
                Some(Absence::Forbidden) => Ok(PathState::Forbidden),
                None => Err(error),
            },
        }
    }

    fn open(&self, path: &[u8]) -> io::Result<Opened> {
        match open_beneath(self.root, path, Links::Refused, self.waiting) {
            Err(error) if Errno::from_io_error(&error) == Some(Errno::LOOP) => {
                self.saw_other_than_names.set(true);
                open_beneath(self.root, path, Links::Followed, self.waiting)
            }
            opened => opened,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::beneath::open_root;
    use crate::test_support::TemporaryDirectory;
    use std::os::fd::AsFd as _;

    #[test]
    fn paths_lead_to_files() {
        let tree = TemporaryDirectory::new("lookup");
        for file in [
            "index.html",
            "a.html",
            "dir/index.html",
            "bare/x.txt",
            ".env",
            ".well-known/y",
            "both",
            "both.html",
        ] {
            tree.write(file, b"content");
        }
        let root = open_root(tree.path(), Waiting::Allowed).expect("it is there");
        let options = Files {
            clean_urls: true,
            ..Files::beneath(tree.path().to_owned())
        };
        for (path, expected) in [
            ("/", "index.html"),
            ("/a.html", "a.html"),
            ("/a", "a.html"),
            ("/both", "both"),
            ("/dir", "(directory)"),
            ("/dir/", "dir/index.html"),
            ("/bare/", "(directory)"),
            ("/bare/x.txt", "bare/x.txt"),
            ("/bare/x.txt/", "(missing)"),
            ("/.env", "(missing)"),
            ("/bare\0x.txt", "(missing)"),
            ("/bare\0", "(missing)"),
            ("/.well-known/y", ".well-known/y"),
            ("/nothing", "(missing)"),
            ("/nothing/", "(missing)"),
        ] {
            let found = look_up(root.as_fd(), &options, path.as_bytes(), Waiting::Allowed)
                .expect("no error");
            let found = match found {
                Found::File(file) => String::from_utf8(file.path).expect("text"),
                Found::Directory => "(directory)".to_owned(),
                Found::Missing => "(missing)".to_owned(),
                Found::Forbidden => "(forbidden)".to_owned(),
            };
            assert_eq!(found, expected, "{path}");
        }
    }

    #[test]
    fn only_siblings_that_are_not_older_count() {
        let tree = TemporaryDirectory::new("siblings");
        let now = std::time::SystemTime::now();
        let second = std::time::Duration::from_secs(1);
        for (name, modified) in [
            ("a.css", now),
            ("a.css.gz", now),
            ("a.css.br", now - second),
            ("a.css.zst", now + second),
            ("b.png", now),
            ("b.png.gz", now),
        ] {
            tree.write(name, b"x");
            let file = std::fs::File::options()
                .write(true)
                .open(tree.path().join(name))
                .expect("just written");
            file.set_modified(modified).expect("it is ours");
        }
        let root = open_root(tree.path(), Waiting::Allowed).expect("it is there");
        let codings = |path: &[u8]| match look_up(
            root.as_fd(),
            &Files::beneath(tree.path().to_owned()),
            path,
            Waiting::Allowed,
        ) {
            Ok(Found::File(file)) => file
                .codings
                .iter()
                .map(|(coding, _)| coding.as_str())
                .collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        assert_eq!(codings(b"/a.css"), ["identity", "zstd", "gzip"]);
        assert_eq!(codings(b"/b.png"), ["identity"]);
    }
}
