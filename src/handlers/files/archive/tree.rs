//! What an archive holds: a walk through the directories below one, in order of their names.
//!
//! An archive tells nothing that requests would not tell. So of each directory it holds
//!
//! - what a listing shows, by the same code ([`directory`]): no hidden names, no devices, and of links only
//!   those that may be followed;
//! - but the index alone, where there is one: such a directory is not listed;
//! - nothing that another route of the server answers for, which may ask for a password.
//!
//! A file that may not be read is left out, as is a directory that is too deep, and a file in the archive says so
//! ([`LEFT_OUT`]). A file whose read fails, or that becomes shorter meanwhile, ends the archive.

use std::cell::Cell;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::rc::Rc;
use std::sync::Arc;
use std::vec;

use super::names::{Names, numbered};
use crate::config::model::ArchiveForm;
use crate::disk::absence::Absence;
use crate::disk::beneath::{Opened, Root, Waiting};
use crate::disk::identity::{Identity, Kind};
use crate::handlers::files::directory;
use crate::handlers::files::listing::{Entry, EntryKind};
use crate::handlers::files::look::FilesRoute;
use crate::http::path::holds_encoded_slash;

/// The most entries of an archive. A zip keeps each in memory until its end.
const MAX_ENTRIES: usize = 100_000;

/// How many directories may stand in one another.
const MAX_DEPTH: usize = 64;

/// The name of the file that says what is left out, in the directory at the top.
pub(super) const LEFT_OUT: &str = "tidegate-left-out.txt";

/// How many names that file has at most.
const MAX_LEFT_OUT: usize = 1000;

/// Says whether a request for that path is for the route, and for no other one of its server.
pub(crate) type OwnPaths = Arc<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// The directory that an archive is to hold.
#[derive(Clone)]
pub(super) struct Wanted {
    pub(super) own_paths: Option<OwnPaths>,
    /// The path of the directory beneath the root; ends in a slash.
    pub(super) beneath: Vec<u8>,
    /// The same path, as clients see it.
    pub(super) shown: Vec<u8>,
    /// What the directory is called in the archive.
    pub(super) name: String,
    pub(super) form: ArchiveForm,
}

/// A walk through a directory and what is below it.
pub(super) struct Tree {
    route: Arc<FilesRoute>,
    wanted: Wanted,
    root: Root,
    /// What the file is called that is [`LEFT_OUT`], unless the directory has such a file.
    note: String,
    /// The directories that the walk stands in, the innermost last.
    levels: Vec<Level>,
    /// How many entries it has met.
    count: usize,
    left_out: LeftOut,
}

/// A directory that the walk stands in.
struct Level {
    /// Its path below the one at the top; empty, or ends in a slash.
    below: Vec<u8>,
    /// The same path, as the archive has it.
    name: String,
    /// What tells it from every other directory.
    identity: (u64, u64),
    entries: vec::IntoIter<Entry>,
    /// What the entries are called in the archive.
    names: Names,
}

/// What is left out although a listing shows it.
#[derive(Default)]
struct LeftOut {
    names: Vec<String>,
    count: usize,
}

/// A directory or file of an archive.
pub(super) enum Item {
    Directory {
        /// Ends in a slash.
        name: String,
        /// Seconds since 1970.
        modified: i64,
    },
    File {
        name: String,
        modified: i64,
        length: u64,
        content: Content,
    },
}

/// The content of a file: as many octets as it had when it was opened, or an error.
pub(super) enum Content {
    File {
        file: File,
        left: u64,
        name: String,
        is_faulty: Rc<Cell<bool>>,
    },
    Text(io::Cursor<String>),
}

impl Tree {
    /// Opens the directory that is `wanted` beneath the root of `route`. It may wait for the disk.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub(super) fn open(route: Arc<FilesRoute>, wanted: Wanted) -> io::Result<Self> {
        let options = &route.options;
        let root = Root::open(&options.root, &options.links, Waiting::Allowed)?;
        let mut tree = Self {
            route,
            wanted,
            root,
            note: LEFT_OUT.to_owned(),
            levels: Vec::new(),
            count: 0,
            left_out: LeftOut::default(),
        };
        let opened = directory::open(&tree.root, &tree.wanted.beneath)?;
        tree.enter(Vec::new(), String::new(), &opened)?;
        Ok(tree)
    }

    /// Goes into the directory `opened`, which stands at `below`.
    fn enter(&mut self, below: Vec<u8>, name: String, opened: &Opened) -> io::Result<()> {
        let path = [&self.wanted.beneath[..], &below].concat();
        let mut entries = directory::entries(&self.root, &path, opened)?;
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        if self.levels.is_empty() {
            self.note = name_of_note(&entries);
        } else {
            self.keep_index_alone(&mut entries);
        }
        let names = Names::new(
            self.wanted.form,
            entries.iter().map(|entry| &entry.name[..]),
        );
        self.levels.push(Level {
            below,
            name,
            identity: identity(opened),
            entries: entries.into_iter(),
            names,
        });
        Ok(())
    }

    /// Drops all entries but the index, if there is one.
    fn keep_index_alone(&self, entries: &mut Vec<Entry>) {
        let is_there = |name: &&String| {
            let mut files = entries.iter().filter(|it| it.kind != EntryKind::Directory);
            files.any(|entry| entry.name == name.as_bytes())
        };
        if let Some(index) = self.route.options.index.iter().find(is_there) {
            entries.retain(|entry| entry.name == index.as_bytes());
        }
    }

    /// The next directory or file; `None` at the end.
    ///
    /// # Errors
    /// If there are too many entries, or the disk fails.
    fn next(&mut self, is_faulty: &Rc<Cell<bool>>) -> io::Result<Option<Item>> {
        while let Some(level) = self.levels.last_mut() {
            let Some(entry) = level.entries.next() else {
                self.levels.pop();
                continue;
            };
            let below = [&level.below[..], &entry.name].concat();
            let name = format!("{}{}", level.name, level.names.of(&entry.name));
            self.count += 1;
            if self.count > MAX_ENTRIES {
                let message = format!("there are more than {MAX_ENTRIES} entries");
                return Err(io::Error::other(message));
            }
            let item = match entry.kind {
                EntryKind::Directory => self.directory(below, name)?,
                EntryKind::File => self.file(&below, name, is_faulty)?,
                EntryKind::Other => None,
            };
            if item.is_some() {
                return Ok(item);
            }
        }
        let text = self.left_out.take();
        Ok(text.map(|text| self.note(text)))
    }

    /// Whether a request for what stands at `below` is for this route.
    fn is_own(&self, below: &[u8]) -> bool {
        let path = || [&self.wanted.shown[..], below].concat();
        self.wanted
            .own_paths
            .as_ref()
            .is_none_or(|is_own| is_own(&path()))
    }

    /// Goes into the directory at `below`, unless it has nothing to show.
    fn directory(&mut self, mut below: Vec<u8>, mut name: String) -> io::Result<Option<Item>> {
        below.push(b'/');
        name.push('/');
        if !self.is_own(&below) {
            return Ok(None);
        }
        if self.levels.len() >= MAX_DEPTH {
            self.left_out.add(&name, "it is too deep");
            return Ok(None);
        }
        let path = [&self.wanted.beneath[..], &below].concat();
        let opened = match directory::open(&self.root, &path) {
            Ok(opened) => opened,
            Err(error) => return self.left_out.because(&name, error),
        };
        // A link may lead back to where the walk has come from.
        let is_circle = |level: &Level| level.identity == identity(&opened);
        if opened.kind != Kind::Directory || self.levels.iter().any(is_circle) {
            return Ok(None);
        }
        if let Err(error) = self.enter(below, name.clone(), &opened) {
            return self.left_out.because(&name, error);
        }
        Ok(Some(Item::Directory {
            name: format!("{}/{name}", self.wanted.name),
            modified: seconds(opened.identity),
        }))
    }

    /// Opens the file at `below`, unless requests would not be answered with it.
    fn file(
        &mut self,
        below: &[u8],
        name: String,
        is_faulty: &Rc<Cell<bool>>,
    ) -> io::Result<Option<Item>> {
        if holds_encoded_slash(below) || !self.is_own(below) {
            return Ok(None);
        }
        let path = [&self.wanted.beneath[..], below].concat();
        let relative = path.strip_prefix(b"/").unwrap_or(&path);
        let opened = match self.root.open_beneath(relative, Waiting::Allowed) {
            Ok(opened) if opened.kind == Kind::File => opened,
            Ok(_) => return Ok(None),
            Err(error) => return self.left_out.because(&name, error),
        };
        let length = opened.identity.size;
        let name = format!("{}/{name}", self.wanted.name);
        let content = Content::File {
            file: File::from(opened.fd),
            left: length,
            name: name.clone(),
            is_faulty: Rc::clone(is_faulty),
        };
        Ok(Some(Item::File {
            name,
            modified: seconds(opened.identity),
            length,
            content,
        }))
    }

    /// The file that says what is left out.
    fn note(&self, text: String) -> Item {
        let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
        Item::File {
            name: format!("{}/{}", self.wanted.name, self.note),
            modified: i64::try_from(now.as_secs()).unwrap_or(i64::MAX),
            length: text.len() as u64,
            content: Content::Text(io::Cursor::new(text)),
        }
    }
}

impl LeftOut {
    /// Leaves out `name`, because of `error`; not if it is not there any more, or not to be had at all.
    ///
    /// # Errors
    /// That error, if the disk has failed.
    fn because(&mut self, name: &str, error: io::Error) -> io::Result<Option<Item>> {
        match Absence::of(&error) {
            Some(Absence::Forbidden) => self.add(name, "the server may not read it"),
            Some(_) => {}
            None => {
                let message = format!("cannot open {name:?}: {error}");
                return Err(io::Error::new(error.kind(), message));
            }
        }
        Ok(None)
    }

    fn add(&mut self, name: &str, why: &str) {
        self.count += 1;
        if self.names.len() < MAX_LEFT_OUT {
            self.names.push(format!("{name}: {why}"));
        }
    }

    /// The text that says what is left out, if anything is. Then nothing is.
    fn take(&mut self) -> Option<String> {
        let Self { names, count } = std::mem::take(self);
        let more = count - names.len();
        let mut text = String::new();
        for name in names {
            text += &name;
            text.push('\n');
        }
        if more > 0 {
            let _ = writeln!(text, "and {more} more");
        }
        (count > 0).then_some(text)
    }
}

/// What the note is called in a directory with these entries.
fn name_of_note(entries: &[Entry]) -> String {
    let mut name = LEFT_OUT.to_owned();
    let mut further = (2..).map(|number| numbered(LEFT_OUT, number));
    while entries.iter().any(|entry| entry.name == name.as_bytes()) {
        name = further.next().expect("there are more numbers than entries");
    }
    name
}

fn identity(opened: &Opened) -> (u64, u64) {
    (opened.identity.device, opened.identity.inode)
}

fn seconds(identity: Identity) -> i64 {
    identity.modified.0
}

impl Read for Content {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let (file, left, name, is_faulty) = match self {
            Self::Text(text) => return text.read(into),
            Self::File {
                file,
                left,
                name,
                is_faulty,
            } => (file, left, name, is_faulty),
        };
        let most = usize::try_from(*left).map_or(into.len(), |left| left.min(into.len()));
        if most == 0 {
            return Ok(0);
        }
        let error = match file.read(&mut into[..most]) {
            Ok(count @ 1..) => {
                *left -= count as u64;
                return Ok(count);
            }
            Ok(_) => io::Error::other(format!("{name:?} became shorter while it was read")),
            // The caller reads again.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => io::Error::new(error.kind(), format!("cannot read {name:?}: {error}")),
        };
        is_faulty.set(true);
        Err(error)
    }
}

/// The items of a tree, on the thread that makes the archive.
pub(super) struct Items {
    tree: Tree,
    /// Set once the archive cannot be completed.
    is_faulty: Rc<Cell<bool>>,
}

impl Items {
    pub(super) fn new(tree: Tree, is_faulty: Rc<Cell<bool>>) -> Self {
        Self { tree, is_faulty }
    }

    /// The next directory or file; `None` at the end.
    ///
    /// # Errors
    /// If the archive cannot be completed.
    pub(super) fn next(&mut self) -> io::Result<Option<Item>> {
        let next = self.tree.next(&self.is_faulty);
        if next.is_err() {
            self.is_faulty.set(true);
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::config::model::Files;
    use crate::test_support::TemporaryDirectory;

    fn open(options: &Files, path: &str, own: Option<OwnPaths>) -> Tree {
        let route = Arc::new(FilesRoute::new(options));
        let wanted = Wanted {
            own_paths: own,
            beneath: path.into(),
            shown: format!("/shown{path}").into(),
            name: "top".to_owned(),
            form: ArchiveForm::Zip,
        };
        Tree::open(route, wanted).expect("it is there")
    }

    /// The names of all items, each with its content if it is a file.
    fn walk(tree: Tree) -> io::Result<Vec<String>> {
        let mut items = Items::new(tree, Rc::default());
        let mut names = Vec::new();
        while let Some(item) = items.next()? {
            names.push(match item {
                Item::Directory { name, .. } => name,
                Item::File {
                    name, mut content, ..
                } => {
                    let mut text = String::new();
                    content.read_to_string(&mut text)?;
                    format!("{name}={text}")
                }
            });
        }
        Ok(names)
    }

    fn tree_of(files: &[&str]) -> (TemporaryDirectory, Files) {
        let tree = TemporaryDirectory::new("archive");
        for file in files {
            tree.write(&format!("root/{file}"), b"x");
        }
        let options = Files::beneath(tree.path().join("root"));
        (tree, options)
    }

    #[test]
    fn holds_what_listings_show_in_order() {
        let (tree, options) = tree_of(&[
            "b",
            "a/2",
            "a/1",
            ".env",
            "a/.git/x",
            ".well-known/w",
            "a%2Fb",
        ]);
        tree.write("outside", b"secret");
        let link = |name: &str, to: &str| {
            symlink(to, tree.path().join("root").join(name)).expect("a link")
        };
        link("out", "../outside");
        link("in", "b");
        link("a/up", "..");
        link("self", ".");
        let found = walk(open(&options, "/", None)).expect("it can be read");
        let expected = [
            "top/.well-known/",
            "top/.well-known/w=x",
            "top/a/",
            "top/a/1=x",
            "top/a/2=x",
            "top/a%2Fb=x",
            "top/b=x",
            "top/in=x",
        ];
        assert_eq!(found, expected);
        let below = walk(open(&options, "/a/", None)).expect("it can be read");
        let (files, rest) = below.split_at(2);
        assert_eq!(files, ["top/1=x", "top/2=x"]);
        // The link leads up, out of what the archive is of, but not out of the root: a listing shows that.
        assert_eq!(rest[0], "top/up/");
        assert!(
            !rest.contains(&"top/up/a/".to_owned()),
            "a circle: {rest:?}"
        );
    }

    #[test]
    fn of_a_directory_with_an_index_it_has_the_index_alone() {
        let (_tree, mut options) = tree_of(&["a/index.html", "a/secret", "a/b/c", "d/index.txt"]);
        options.index = vec!["index.html".to_owned(), "index.txt".to_owned()];
        let found = walk(open(&options, "/", None)).expect("it can be read");
        let expected = [
            "top/a/",
            "top/a/index.html=x",
            "top/d/",
            "top/d/index.txt=x",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_other_routes_answer_is_left_out() {
        let (_tree, options) = tree_of(&["a/1", "a/2", "b/1", "c"]);
        let others: [&[u8]; 3] = [b"/shown/a/2", b"/shown/b/", b"/shown/c"];
        let own: OwnPaths = Arc::new(move |path| !others.contains(&path));
        let found = walk(open(&options, "/", Some(own))).expect("it can be read");
        assert_eq!(found, ["top/a/", "top/a/1=x"]);
    }

    #[test]
    fn what_is_too_deep_is_told_of() {
        let deep = "d/".repeat(MAX_DEPTH);
        let (_tree, options) = tree_of(&[&format!("{deep}f"), "z"]);
        let found = walk(open(&options, "/", None)).expect("it can be read");
        let told = found.last().expect("some");
        assert_eq!(*told, format!("top/{LEFT_OUT}={deep}: it is too deep\n"));
        assert_eq!(found.len(), MAX_DEPTH - 1 + 2);
        assert_eq!(found[MAX_DEPTH - 1], "top/z=x");
    }

    /// A program that unpacked it kept the last of them alone.
    #[test]
    fn no_two_files_have_one_name() {
        let (tree, options) = tree_of(&["x_y", "x\\y", "a/1:2", "a/1_2"]);
        tree.write(&format!("root/{LEFT_OUT}"), b"own");
        let deep = "d/".repeat(MAX_DEPTH);
        tree.write(&format!("root/{deep}f"), b"x");
        let found = walk(open(&options, "/", None)).expect("it can be read");
        let shown = found.iter().filter(|name| !name.contains("d/"));
        let shown: Vec<&str> = shown.map(String::as_str).collect();
        let expected = [
            "top/a/",
            "top/a/1_2-2=x",
            "top/a/1_2=x",
            &format!("top/{LEFT_OUT}=own"),
            "top/x_y-2=x",
            "top/x_y=x",
        ];
        assert_eq!(shown, expected);
        let note = found.last().expect("some");
        assert!(note.starts_with("top/tidegate-left-out-2.txt="), "{note}");
    }

    #[test]
    fn a_file_that_becomes_shorter_is_an_error() {
        let (tree, options) = tree_of(&["a"]);
        let mut items = Items::new(open(&options, "/", None), Rc::default());
        let item = items.next().expect("it can be read");
        tree.write("root/a", b"");
        let Some(Item::File {
            mut content,
            length: 1,
            ..
        }) = item
        else {
            panic!("it is a file");
        };
        let read = content.read_to_end(&mut Vec::new()).expect_err("too short");
        assert!(
            read.to_string().contains("\"top/a\" became shorter"),
            "{read}"
        );
        assert!(items.is_faulty.get());
    }
}
