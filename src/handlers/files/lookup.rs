//! From a path to the file that answers for it: index files, clean URLs, precompressed siblings,
//! and files that are there but not served.
//!
//! The same code runs on the loop, where it may not wait, and on the blocking pool.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::io;

use crate::config::model::Files;
use crate::disk::absence::Absence;
use crate::disk::barrier::Barrier;
use crate::disk::beneath::{Opened, Root, Waiting, is_hidden};
use crate::disk::identity::{Identity, Kind};
use crate::http::media_type;
use crate::http::negotiation::ContentCoding;
use crate::http::path::holds_encoded_slash;

/// The codings that are looked for.
pub(super) const CODINGS: [ContentCoding; 3] = [
    ContentCoding::Zstd,
    ContentCoding::Brotli,
    ContentCoding::Gzip,
];

/// What a look finds: what the path leads to, and what stood in the way of something else.
#[derive(Debug)]
pub(super) struct LookedUp {
    pub(super) found: Found,
    /// The first barrier that was met. If `found` is a file, it is one before a sibling.
    pub(super) barrier: Option<Barrier>,
}

/// What a path leads to.
#[derive(Debug)]
pub(super) enum Found {
    File(FoundFile),
    /// A directory without an index file; or any directory, if the path lacks its final slash.
    Directory,
    /// No index file, but `a.html` where the path is `/a/`: the page is at `/a`.
    Page,
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
    root: &Root,
    options: &Files,
    path: &[u8],
    waiting: Waiting,
) -> io::Result<LookedUp> {
    // No file has a slash in its name.
    if is_hidden(path) || holds_encoded_slash(path) {
        return Ok(LookedUp {
            found: Found::Missing,
            barrier: None,
        });
    }
    let search = Search {
        root,
        options,
        waiting,
        name_missing: Cell::new(false),
        saw_other_than_names: Cell::new(false),
        barrier: RefCell::new(None),
    };
    let found = match path.strip_suffix(b"/") {
        Some(directory) => search.index_of(directory.strip_prefix(b"/").unwrap_or(directory)),
        None => search.file(&path[1..]),
    }?;
    Ok(LookedUp {
        found,
        barrier: search.barrier.into_inner(),
    })
}

/// Whether it is worth while to look for codings of a file: not if its format is compressed.
pub(super) fn may_have_codings(path: &[u8], media_type: &str) -> bool {
    !media_type::is_compressed(media_type) && media_type::coding_of(path).is_none()
}

/// The path of a coding: the file's path with a suffix.
pub(super) fn coded_path(path: &[u8], coding: ContentCoding) -> Cow<'_, [u8]> {
    match coding.file_suffix() {
        Some(suffix) => Cow::Owned([path, b".", suffix.as_bytes()].concat()),
        None => Cow::Borrowed(path),
    }
}

struct Search<'a> {
    root: &'a Root,
    options: &'a Files,
    waiting: Waiting,
    /// Whether a name was not there.
    name_missing: Cell<bool>,
    /// Whether anything but names decided: a link, or a file of the wrong kind or age.
    saw_other_than_names: Cell<bool>,
    /// What stood in the way first.
    barrier: RefCell<Option<Barrier>>,
}

/// What is at one exact path.
enum PathState {
    File(Opened),
    Directory,
    /// A device, a socket, a pipe.
    Other,
    Missing,
    Forbidden,
}

impl Search<'_> {
    fn file(&self, path: &[u8]) -> io::Result<Found> {
        match self.at(path)? {
            PathState::File(opened) => self.with_siblings(path.to_vec(), opened).map(Found::File),
            PathState::Directory if self.options.clean_urls => self.page_or_directory(path),
            PathState::Directory => Ok(Found::Directory),
            PathState::Missing if self.options.clean_urls => self.clean_url(path),
            PathState::Missing | PathState::Other => Ok(Found::Missing),
            PathState::Forbidden => Ok(Found::Forbidden),
        }
    }

    /// Decides between `a.html` and the directory `a` beside it: the page answers for `a`, unless the
    /// directory has an index file. Generators of sites put the pages below `a` into the directory.
    fn page_or_directory(&self, path: &[u8]) -> io::Result<Found> {
        // An index file may appear without a change in the directory that holds the page.
        self.saw_other_than_names.set(true);
        for name in &self.options.index {
            let index = [path, b"/", name.as_bytes()].concat();
            if let PathState::File(_) | PathState::Forbidden = self.at(&index)? {
                return Ok(Found::Directory);
            }
        }
        match self.clean_url(path)? {
            Found::Missing => Ok(Found::Directory),
            page => Ok(page),
        }
    }

    /// Tries `a.html` for `a`.
    fn clean_url(&self, path: &[u8]) -> io::Result<Found> {
        let path = [path, b".html"].concat();
        match self.at(&path)? {
            PathState::File(opened) => self.with_siblings(path, opened).map(Found::File),
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
                PathState::File(opened) => {
                    return self.with_siblings(path, opened).map(Found::File);
                }
                PathState::Forbidden => return Ok(Found::Forbidden),
                _ => {}
            }
        }
        let found = match self.at(directory)? {
            PathState::Directory if self.options.listing => return Ok(Found::Directory),
            PathState::Directory => Found::Directory,
            PathState::Missing => Found::Missing,
            PathState::Forbidden => return Ok(Found::Forbidden),
            PathState::File(_) | PathState::Other => return Ok(Found::Missing),
        };
        let has_page = self.options.clean_urls && !directory.is_empty() && {
            let page = [directory, b".html"].concat();
            matches!(self.at(&page)?, PathState::File(_))
        };
        Ok(if has_page { Found::Page } else { found })
    }

    /// Adds the codings that are not older than the file: an older coding was made from an older
    /// file.
    fn with_siblings(&self, path: Vec<u8>, opened: Opened) -> io::Result<FoundFile> {
        let media_type = self.options.types.for_path(&path).into_owned();
        let modified = opened.identity.modified;
        let mut codings = vec![(ContentCoding::Identity, opened)];
        if self.options.sends_siblings() && may_have_codings(&path, &media_type) {
            for coding in CODINGS {
                match self.at(&coded_path(&path, coding))? {
                    PathState::File(sibling)
                        if Files::is_current_sibling(sibling.identity.modified.0, modified.0) =>
                    {
                        codings.push((coding, sibling));
                    }
                    PathState::Missing => {}
                    _ => self.saw_other_than_names.set(true),
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
        let error = match self.root.open_beneath(path, self.waiting) {
            Ok(opened) => {
                if opened.through_link {
                    self.saw_other_than_names.set(true);
                }
                return Ok(match opened.kind {
                    Kind::File => PathState::File(opened),
                    Kind::Directory => PathState::Directory,
                    Kind::Other => PathState::Other,
                });
            }
            Err(error) => error,
        };
        let state = match Absence::of(&error) {
            Some(Absence::NameMissing) => {
                self.name_missing.set(true);
                PathState::Missing
            }
            Some(Absence::Outside | Absence::Unusable) => {
                self.saw_other_than_names.set(true);
                PathState::Missing
            }
            Some(Absence::Forbidden) if self.is_directory(path) => return Ok(PathState::Directory),
            Some(Absence::Forbidden) => PathState::Forbidden,
            None => return Err(error),
        };
        if let Some(barrier) = Barrier::from(error) {
            self.saw_other_than_names.set(true);
            self.barrier.borrow_mut().get_or_insert(barrier);
        }
        Ok(state)
    }

    /// Whether a directory is at `path`. What is in it can be served although its names may not be
    /// read.
    fn is_directory(&self, path: &[u8]) -> bool {
        let found = self.root.find(path, self.waiting);
        found.is_ok_and(|(kind, _)| kind == Kind::Directory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::Links;
    use crate::test_support::TemporaryDirectory;

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
            "page.html",
            "page/below.html",
            "section.html",
            "section/index.html",
        ] {
            tree.write(file, b"content");
        }
        let root = Root::open(tree.path(), &Links::Inside, Waiting::Allowed).expect("it is there");
        let options = Files {
            clean_urls: true,
            ..Files::beneath(tree.path().to_owned())
        };
        for (path, expected) in [
            ("/", "index.html"),
            ("/a.html", "a.html"),
            ("/a", "a.html"),
            ("/both", "both"),
            // Generators of sites write a page beside the directory of the pages below it.
            ("/page", "page.html"),
            ("/page/below", "page/below.html"),
            ("/page/", "(page)"),
            ("/a/", "(page)"),
            // `/both` is no page.
            ("/both/", "(missing)"),
            ("/section", "(directory)"),
            ("/section/", "section/index.html"),
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
            let looked_up = look_up(&root, &options, path.as_bytes(), Waiting::Allowed);
            let found = match looked_up.expect("no error").found {
                Found::File(file) => String::from_utf8(file.path).expect("text"),
                Found::Directory => "(directory)".to_owned(),
                Found::Missing => "(missing)".to_owned(),
                Found::Forbidden => "(forbidden)".to_owned(),
                Found::Page => "(page)".to_owned(),
            };
            assert_eq!(found, expected, "{path}");
        }
    }

    #[test]
    fn only_siblings_that_are_not_much_older_count() {
        let tree = TemporaryDirectory::new("siblings");
        let now = std::time::SystemTime::now();
        let second = std::time::Duration::from_secs(1);
        for (name, modified) in [
            ("a.css", now),
            ("a.css.gz", now),
            ("a.css.br", now - 10 * second),
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
        let root = Root::open(tree.path(), &Links::Inside, Waiting::Allowed).expect("it is there");
        let options = Files::beneath(tree.path().to_owned());
        let found =
            |path: &[u8]| look_up(&root, &options, path, Waiting::Allowed).map(|it| it.found);
        let codings = |path: &[u8]| match found(path) {
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
