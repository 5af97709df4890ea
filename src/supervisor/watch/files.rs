//! The files of a configuration: where they are, how they look now, and which reports concern them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf, absolute};

use crate::byte_order_mark;
use crate::config::{Inputs, Listing, Wildcard};
use crate::disk::identity::Identity;
use crate::disk::read_file;

/// The most octets of a file of the configuration.
const MAX_SIZE: u64 = 16 * 1024 * 1024;

/// The files of a configuration, and the patterns by which further files would belong to it.
#[derive(Clone, Default)]
pub(crate) struct Files {
    /// The text of each file when it was read; `None` for what is named and could not be read, or is
    /// not there.
    texts: BTreeMap<PathBuf, Option<String>>,
    /// Where the files are, links resolved.
    targets: BTreeSet<PathBuf>,
    /// What the patterns matched when the files were read.
    listings: Vec<Listing>,
}

/// How files look: two looks differ if a file was written, replaced, made or removed between them.
#[derive(Default, PartialEq, Eq)]
pub(super) struct Look {
    /// `None`: it is not there.
    files: BTreeMap<PathBuf, Option<Identity>>,
    /// What the patterns match.
    listings: Vec<Listing>,
}

impl Files {
    /// The files of `inputs`. Their names are made absolute, because the system reports changes by
    /// absolute names.
    ///
    /// # Errors
    /// If the current directory is unknown.
    pub(crate) fn of(inputs: &Inputs) -> io::Result<Self> {
        let mut texts = BTreeMap::new();
        for source in &inputs.read {
            texts.insert(absolute(&*source.path)?, Some(source.written().to_owned()));
        }
        for path in &inputs.missing {
            texts.insert(absolute(path)?, None);
        }
        let mut listings = inputs.listings.clone();
        for Listing { wildcard, .. } in &mut listings {
            // An empty path is the current directory.
            wildcard.directory = absolute(Path::new(".").join(&wildcard.directory))?;
        }
        let mut files = Self {
            texts,
            targets: BTreeSet::new(),
            listings,
        };
        files.resolve();
        Ok(files)
    }

    /// Finds anew where links lead.
    pub(super) fn resolve(&mut self) {
        let resolved = self.texts.keys().map(fs::canonicalize);
        self.targets = resolved.filter_map(Result::ok).collect();
    }

    /// Whether a file has another text, or a pattern matches other names, than when they were read. Files
    /// and patterns that `known` looked at are left out: that look tells whether they have changed since.
    pub(super) fn differ_from_what_was_read(&self, known: &Look) -> bool {
        let mut new = self
            .listings
            .iter()
            .filter(|it| known.listing(&it.wildcard).is_none());
        let is_as_read = |listing: &Listing| Listing::now(listing.wildcard.clone()) == *listing;
        !new.all(is_as_read) || self.texts_differ(known)
    }

    fn texts_differ(&self, known: &Look) -> bool {
        let mut new = self.texts.iter().filter(|(path, _)| !known.has(path));
        let is_as_read = |(path, text): (&PathBuf, &Option<String>)| {
            // A FIFO or a device has given what it had: reading it again would wait, or find nothing.
            let metadata = fs::metadata(path);
            if text.is_none() && metadata.as_ref().is_ok_and(fs::Metadata::is_dir) {
                // It was missing, and is to be a directory.
                return false;
            }
            let is_other = metadata.is_ok_and(|metadata| !metadata.is_file());
            let now = || read_file(path, MAX_SIZE).ok().map(byte_order_mark::without);
            is_other || now().and_then(|octets| String::from_utf8(octets).ok()) == *text
        };
        !new.all(is_as_read)
    }

    /// How the files look now.
    pub(super) fn look(&self) -> Look {
        let identity = |path: &PathBuf| (path.clone(), Identity::at(path).ok());
        Look {
            files: self.texts.keys().map(identity).collect(),
            listings: self.wildcards().cloned().map(Listing::now).collect(),
        }
    }

    /// The directories in which a change may concern these files; those that exist.
    pub(super) fn directories(&self) -> BTreeSet<PathBuf> {
        let paths = self.texts.keys().chain(&self.targets);
        let of_files = paths.filter_map(|path| path.parent());
        let of_wildcards = self.wildcards().map(|wildcard| &*wildcard.directory);
        let directories = of_files.chain(of_wildcards);
        let existing = directories.filter(|directory| directory.is_dir());
        existing.map(Path::to_owned).collect()
    }

    /// Whether a change to `path` may change the configuration.
    pub(super) fn concern(&self, path: &Path) -> bool {
        let (directory, name) = (path.parent(), path.file_name().unwrap_or(OsStr::new("")));
        let is_wanted = |wildcard: &Wildcard| {
            wildcard.is_of_files()
                && directory == Some(&*wildcard.directory)
                && wildcard.is_match(name)
        };
        self.texts.contains_key(path)
            || self.targets.contains(path)
            || self.wildcards().any(is_wanted)
    }

    fn wildcards(&self) -> impl Iterator<Item = &Wildcard> {
        self.listings.iter().map(|listing| &listing.wildcard)
    }
}

impl Look {
    /// Whether the file at `path` was looked at.
    fn has(&self, path: &Path) -> bool {
        self.files.contains_key(path)
    }

    /// What `wildcard` matched; `None` if this look does not cover it.
    fn listing(&self, wildcard: &Wildcard) -> Option<&Listing> {
        self.listings
            .iter()
            .find(|known| known.wildcard == *wildcard)
    }

    /// A look at what `newer` has looked at; where `self` has done so before, as it was then.
    pub(super) fn extended(self, mut newer: Self) -> Self {
        for (path, identity) in &mut newer.files {
            if let Some(known) = self.files.get(path) {
                *identity = *known;
            }
        }
        for listing in &mut newer.listings {
            if let Some(known) = self.listing(&listing.wildcard) {
                listing.clone_from(known);
            }
        }
        newer
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::api::Handlers;
    use crate::config::{self, Strictness, Surroundings};
    use crate::test_support::TemporaryDirectory;

    const SITE: &[u8] =
        b"[[server]]\nlisten = '127.0.0.1:0'\n[server.routes]\n'/' = { echo = true }\n";

    /// The files of a configuration in `directory` that includes others by `pattern`.
    fn files(directory: &TemporaryDirectory, pattern: &str) -> Files {
        let text = format!("include = ['{pattern}']\n");
        directory.write("config.toml", text.as_bytes());
        let main = directory.path().join("config.toml");
        let handlers = Handlers::new();
        let surroundings = Surroundings::of_process(&handlers);
        let checked = config::load(&main, surroundings, Strictness::Lenient);
        Files::of(checked.inputs()).expect("the current directory is known")
    }

    /// A file that came between the reading of a configuration and the first look at a new pattern of it
    /// was taken for one that had been read.
    #[test]
    fn a_file_that_comes_before_the_first_look_is_a_difference() {
        for (pattern, read, other, new) in [
            (
                "sites/*.toml",
                "sites/a.toml",
                "sites/b.txt",
                "sites/b.toml",
            ),
            ("*/site.toml", "a/site.toml", "b.txt", "b/site.toml"),
        ] {
            let directory = TemporaryDirectory::new("watch-new");
            directory.write(read, SITE);
            let files = files(&directory, pattern);
            let differ = |known: &Look| files.differ_from_what_was_read(known);
            directory.write(other, b"not asked for");
            assert!(!differ(&Look::default()), "{pattern}");
            directory.write(new, SITE);
            assert!(differ(&Look::default()), "{pattern}");
            assert!(!differ(&files.look()), "{pattern}: it was looked at");
        }
    }

    /// The text of a configuration is kept without its byte order mark.
    #[test]
    fn a_byte_order_mark_is_no_difference() {
        let directory = TemporaryDirectory::new("watch-mark");
        let marked = ["\u{feff}".as_bytes(), SITE].concat();
        directory.write("sites/a.toml", &marked);
        let files = files(&directory, "sites/*.toml");
        assert!(!files.differ_from_what_was_read(&Look::default()));
        directory.write("sites/a.toml", &[&marked, &b"# a"[..]].concat());
        assert!(files.differ_from_what_was_read(&Look::default()));
    }

    /// Entries that match and are not read again made the configuration load a second time.
    #[test]
    fn what_was_left_out_is_no_difference() {
        let directory = TemporaryDirectory::new("watch-left-out");
        directory.write("sites/a.toml", SITE);
        let sites = directory.path().join("sites");
        symlink("a.toml", sites.join("again.toml")).expect("a link can be made");
        symlink("nowhere", sites.join("dangling.toml")).expect("a link can be made");
        let files = files(&directory, "sites/*.toml");
        assert!(!files.differ_from_what_was_read(&Look::default()));
    }

    /// A reload that was refused because of such a file was not tried again when it came.
    #[test]
    fn what_is_named_and_missing_is_a_difference_when_it_comes() {
        let directory = TemporaryDirectory::new("watch-named");
        let named = "[[server]]\nlisten = '127.0.0.1:0'\nerror_pages = { 404 = 'e.html' }\n\
             tls = { certificate = 'a.pem', key = 'a.key', client_ca = 'ca.pem' }\n[server.routes]\n\
             '/' = { files = 'www', auth = { basic = 'users' } }\n'/s' = { cgi = 'scripts' }\n\
             '/t' = { cgi = '.', script = 't.cgi' }\n";
        directory.write("sites/a.toml", named.as_bytes());
        let files = files(&directory, "sites/*.toml");
        let came_meanwhile = || files.differ_from_what_was_read(&Look::default());
        assert!(!came_meanwhile());
        directory.write("sites/www/y", b"y");
        assert!(came_meanwhile(), "a directory");
        std::fs::remove_dir_all(directory.path().join("sites/www")).expect("it is ours");
        assert!(!came_meanwhile());
        for name in [
            "e.html",
            "a.pem",
            "a.key",
            "ca.pem",
            "www/x",
            "users",
            "scripts/x",
            "t.cgi",
        ] {
            let before = files.look();
            assert!(files.look() == before, "{name}");
            directory.write(&format!("sites/{name}"), b"x");
            assert!(files.look() != before, "{name}");
        }
    }

    #[test]
    fn what_is_read_and_what_would_be_concerns_the_configuration() {
        let directory = TemporaryDirectory::new("watch");
        directory.write("sites/a.toml", SITE);
        let files = files(&directory, "sites/*.toml");
        for (name, expected) in [
            ("config.toml", true),
            ("sites/a.toml", true),
            ("sites/new.toml", true),
            ("sites/.#a.toml", false),
            ("sites", false), // a directory: seen by looking
            ("sites/a.toml~", false),
            ("access.log", false),
            ("other.toml", false),
        ] {
            let path = directory.path().join(name);
            assert_eq!(files.concern(&path), expected, "{name}");
        }
    }
}
